"""Images for several processes: files that each of them maps, so that they are in memory once."""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.dataset import Images
from archsearch.readers.memory_map import read_array, save_rows
from archsearch.run_folder import own_temporary
from archsearch.task import TrainingData


@dataclass(frozen=True)
class StoredImages:
    """The way to images, which takes no more room than their labels."""

    path: Path
    y: NDArray[np.int64]

    def open(self) -> Images:
        """The images, as a memory map."""
        return Images(read_array(self.path), self.y)


@dataclass(frozen=True)
class StoredData:
    """The way to what trials may see of the data."""

    train: StoredImages
    validation: StoredImages | None
    rest: Mapping[str, Any]
    """All else of it, by name."""

    def open(self) -> TrainingData:
        """What was stored."""
        validation = None if self.validation is None else self.validation.open()
        return TrainingData(self.train.open(), validation, **self.rest)


@contextlib.contextmanager
def stored(data: TrainingData, folder: Path) -> Iterator[StoredData]:
    """Data that other processes can open as long as the block lasts.

    Args:
        data: What is a memory map already stays where it is.
        folder: For the rest; a process that is killed leaves it there, and the next one that decodes or
            stores images there removes it.

    Raises:
        UserError: There is no room for it.
    """
    made: list[Path] = []

    def store(images: Images, name: str) -> StoredImages:
        path = _file_of(images.x)
        if path is None:
            path = folder.absolute() / own_temporary(Path(f"{name}.npy"))
            made.append(path)
            save_rows(images.x, np.arange(len(images)), path)
        return StoredImages(path, images.y)

    try:
        validation = None if data.validation is None else store(data.validation, "validation")
        names = [field.name for field in dataclasses.fields(data)]
        rest = {name: getattr(data, name) for name in names if name not in ("train", "validation")}
        yield StoredData(store(data.train, "train"), validation, rest)
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # Windows removes no file that is mapped
                path.unlink(missing_ok=True)


def _file_of(x: NDArray[np.uint8]) -> Path | None:
    """That holds exactly these images; of a part of a memory map there is none."""
    whole = isinstance(x, np.memmap) and isinstance(x.base, mmap.mmap)
    filename = getattr(x, "filename", None)
    return Path(filename).absolute() if whole and filename is not None else None
