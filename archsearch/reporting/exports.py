"""Exported files as lines for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from archsearch.exporting.records import Exported

HEADINGS = ("format", "size", "difference", "same class", "accuracy", "1 image", "batch")


def export_lines(exports: Sequence[Exported], folder: Path) -> Iterator[str]:
    """A table of at most 80 columns, and what it was measured on.

    Args:
        exports: Of one call.
        folder: They are in.
    """
    measured = [each for each in exports if each.runtime]
    if measured:
        rows = [HEADINGS, *(cells(each) for each in measured)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        for row in rows:
            first, *others = (
                text.ljust(width) if column == 0 else text.rjust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            yield "  ".join([first, *others]).rstrip()
        yield "difference: the largest of a probability from Keras's; batch: " + (
            f"{measured[0].batch_size} images at once; medians"
        )
        yield f"compared on {measured[0].images}"
    for each in exports:
        if not each.problem:
            yield f"{folder / each.file}: read by {each.runtime}"


def problems(exports: Sequence[Exported]) -> Iterator[str]:
    """A sentence for each file that is not to be used."""
    for each in exports:
        if each.problem:
            yield f"{each.format}: {each.problem}."


def cells(exported: Exported) -> tuple[str, ...]:
    """As in `HEADINGS`; empty what was not measured."""
    return (
        exported.format,
        size_text(exported.size),
        "" if exported.max_difference is None else f"{exported.max_difference:.1e}",
        "" if exported.same_class is None else f"{100 * exported.same_class:.1f} %",
        "" if exported.accuracy is None else f"{exported.accuracy:.4f}",
        seconds_text(exported.single_seconds),
        seconds_text(exported.batch_seconds),
    )


def size_text(size: int) -> str:
    """Of a file."""
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def seconds_text(seconds: float | None) -> str:
    """Of one call."""
    if seconds is None:
        return ""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def say(text: str) -> None:
    """What is being done."""
    print(text, file=sys.stderr)
