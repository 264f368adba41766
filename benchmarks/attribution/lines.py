"""The file of results: one line a finished cell."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]


def read(path: Path) -> list[dict[str, Any]]:
    """The lines so far; a last one that a kill tore has no line end, and is left out."""
    whole = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in whole]


def append(path: Path, line: Line) -> None:
    """Adds one, in place of a torn one; those before it are not written again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(json.dumps(line).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def key(line: Line) -> tuple[str, str, int]:
    """Cell, budget and seed, of which there is one line."""
    return line["cell"], line["budget"], line["seed"]
