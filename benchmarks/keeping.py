"""How benchmarks keep what they found: lines of JSON, and a table in a page of the documentation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import filelock

Line = Mapping[str, Any]

END = "<!-- to here -->"


def read(path: Path) -> list[dict[str, Any]]:
    """The lines so far; a last one that a kill tore has no line end, and is left out."""
    whole = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in whole]


def append(path: Path, line: Line) -> None:
    """Adds one, in place of a torn one; those before it are not written again. Two processes take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with filelock.FileLock(f"{path}.lock"), path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(json.dumps(line).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def begin(script: str) -> str:
    """The mark in a page from which on a script of benchmarks/ writes."""
    return f"<!-- benchmarks/{script} writes from here -->"


def between(page: str, begin: str, lines: Iterable[str]) -> str:
    """The page with these lines between its marks.

    Raises:
        ValueError: The page has not exactly one pair of marks.
    """
    if page.count(begin) != 1 or page.count(END) != 1:
        raise ValueError(f"The page must have one line {begin} and one line {END}.")
    before, _, rest = page.partition(begin)
    after = rest.partition(END)[2]
    return "".join([before, begin, "\n\n", "\n".join(lines), "\n\n", END, after])
