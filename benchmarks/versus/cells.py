"""Every cell of the table, by its name `<row>/<side>`, and how it is measured again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.versus import counts, kills, overhead, resumes, workers
from benchmarks.versus.sides import SIDES

Measure = Callable[[str], dict[str, Any]]

ROWS: Mapping[str, Measure] = {
    "epochs-27": partial(counts.epochs, max_epochs=27),
    "epochs-9": partial(counts.epochs, max_epochs=9),
    **{f"failures-{percent}": partial(counts.failures, percent=percent) for percent in (0, 10, 30)},
    "kills-training": kills.in_training,
    "kills-writing": kills.in_writing,
    **{f"damage-{what}": partial(resumes.damage, what=what) for what in resumes.DAMAGES},
    "changed-max-epochs": partial(resumes.change, what="max-epochs"),
    "changed-objective": partial(resumes.change, what="objective"),
    "changed-range": partial(resumes.change, what="range"),
    "worker-killed": workers.killed,
    "overhead": overhead.overhead,
}
"""Row -> what measures it for a side."""

TIMED = ("worker-killed", "overhead")
"""Rows that differ from machine to machine and from run to run; all others are the same everywhere."""

ROUNDS: Mapping[str, int] = {"overhead": 3}
"""How often a row is measured, if more than once."""

ITS_OWN_PROCESSES = ("kills-training", "kills-writing")
"""Rows that start a process for every session themselves."""


def names(wanted: Sequence[str] = ()) -> list[str]:
    """Cells in the order of the table.

    Args:
        wanted: Single cells, rows, or what several rows begin with; nothing for all.

    Raises:
        ValueError: There is none of that name.
    """
    cells = [f"{row}/{side}" for row in ROWS for side in SIDES]
    found = set()
    for name in wanted:
        matching = {cell for cell in cells if cell == name or cell.startswith((f"{name}-", f"{name}/"))}
        if not matching:
            raise ValueError(f"There is no cell {name}; there are {', '.join(cells)}.")
        found |= matching
    return [cell for cell in cells if cell in found or not wanted]


def measure(cell: str) -> dict[str, Any]:
    """Measures one cell in this process."""
    row, side = cell.split("/")
    return ROWS[row](side)
