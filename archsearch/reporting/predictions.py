"""What was seen on pictures, as a table for a person or as JSON for a program."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator

from rich.cells import cell_len

from archsearch.predicting import Found

LEAST_FILE_WIDTH = 16


def prediction_lines(found: Found, top: int, width: int | None = None) -> Iterator[str]:
    """A table: file, class, probability, and the next best.

    Args:
        found: What was predicted.
        top: Classes to name.
        width: Columns that it must fit into, by leaving out the beginnings of long file names. The
            terminal's by default; into a pipe names go whole.
    """
    if not found.predictions:
        return
    if width is None and sys.stdout is not None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    rows = [("file", "class", "probability", "next" if top > 1 else "")]
    for prediction in found.predictions:
        best, *others = (
            (_printable(found.class_names[number]), f"{prediction.probabilities[number]:.1%}")
            for number in prediction.best(top)
        )
        following = ", ".join(f"{name} {probability}" for name, probability in others)
        rows.append((_printable(str(prediction.file)), *best, following))
    name_width, probability_width = (max(cell_len(row[column]) for row in rows) for column in (1, 2))
    file_width = max(cell_len(row[0]) for row in rows)
    if width is not None:
        following_width = max(cell_len(row[3]) for row in rows)
        left = width - name_width - probability_width - following_width - 6
        file_width = min(file_width, max(LEAST_FILE_WIDTH, left))
    for file, name, probability, following in rows:
        cells = (
            _padded(_shortened(file, file_width), file_width),
            _padded(name, name_width),
            probability.rjust(probability_width),
            following,
        )
        yield "  ".join(cells).rstrip()


def as_json(found: Found, top: int) -> str:
    """The same for a program, with all digits; what could not be read is in it too."""
    predictions = []
    for prediction in found.predictions:
        best = [
            {"class": found.class_names[number], "probability": float(prediction.probabilities[number])}
            for number in prediction.best(top)
        ]
        predictions.append({"file": str(prediction.file), **best[0], "top": best})
    broken = [{"file": str(each.file), "reason": each.reason} for each in found.broken]
    return json.dumps(
        {"model": str(found.model), "predictions": predictions, "broken": broken}, indent=2, allow_nan=False
    )


def say_broken(found: Found) -> None:
    """A line on stderr for each picture that could not be read."""
    for each in found.broken:
        print(f"error: {_printable(str(each.file))}: {_printable(each.reason)}", file=sys.stderr)


def _printable(text: str) -> str:
    """Without characters by which a name could steer the terminal, or break the table."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _shortened(text: str, width: int) -> str:
    """Its end, which tells files apart."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}"
