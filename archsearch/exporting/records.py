"""What is known of exported files: export.json, beside result.json. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archsearch.errors import UserError
from archsearch.exporting.formats import FORMATS
from archsearch.run_folder import read_json, write_json
from archsearch.typed import from_plain

EXPORTS = "export.json"


@dataclass(frozen=True)
class Exported:
    """An exported file, read back and measured."""

    format: str
    file: str
    """In the folder of the final training."""
    runtime: str = ""
    """That read it, with its version."""
    size: int = 0
    """Bytes."""
    images: str = ""
    """It was compared on."""
    num_images: int = 0
    max_difference: float | None = None
    """The largest of any probability from Keras's."""
    same_class: float | None = None
    """Share of the images that get the class Keras gives them."""
    accuracy: float | None = None
    """On the test part; `None` where it was compared on other images."""
    single_seconds: float | None = None
    """Median for one image."""
    batch_seconds: float | None = None
    """Median for `batch_size` images at once."""
    batch_size: int = 0
    processor: str = ""
    problem: str = ""
    """Why it is not to be used; empty if it may be."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold."""
        return asdict(self)


def record(folder: Path, exported: Exported) -> None:
    """Adds it to export.json, in place of an earlier export of the same format."""
    known = {each.format: each for each in read_exports(folder)} | {exported.format: exported}
    write_json(folder / EXPORTS, {"exports": [known[name].to_dict() for name in FORMATS if name in known]})


def read_exports(folder: Path) -> list[Exported]:
    """What export.json of a final training says; nothing if it is not there, or none of ours."""
    try:
        return list(_exports(read_json(folder / EXPORTS)))
    except (UserError, KeyError, TypeError):
        return []


def _exports(stored: Mapping[str, Any]) -> Iterator[Exported]:
    for each in stored["exports"]:
        exported = from_plain(Exported, each)
        if exported.format in FORMATS:
            yield exported
