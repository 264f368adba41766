"""Where progress goes: stderr; in a notebook a few lines below the cell, replaced instead of added to."""

from __future__ import annotations

import importlib
import io
import sys
from collections import deque
from typing import Any, TextIO, cast

FIRST = 15
"""Lines that stay: the notes and the plan."""

LAST = 10
"""Of those that follow, that are shown."""


def default_stream() -> TextIO:
    """Of progress: below the cell in a notebook, else stderr."""
    return cast(TextIO, CellStream()) if in_notebook() else sys.stderr


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, whose stderr would be a long red block."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


class CellStream(io.TextIOBase):
    """A stream for whole lines, of which a notebook shows the first and the last ones.

    Args:
        handle: With a method `update`, given the text to show as something IPython displays; by default a
            new one below the cell that runs.
    """

    def __init__(self, handle: Any = None) -> None:
        super().__init__()
        self._handle = handle
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=LAST)
        self._num_lines = 0
        self._unfinished = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._num_lines += 1
            if len(self._first) < FIRST:
                self._first.append(line)
            else:
                self._last.append(line)
        if lines:
            self._show()
        return len(text)

    def _show(self) -> None:
        hidden = self._num_lines - len(self._first) - len(self._last)
        gap = [f"... {hidden} lines"] if hidden else []
        shown = Lines("\n".join([*self._first, *gap, *self._last]))
        if self._handle is None:
            display = importlib.import_module("IPython.display").display
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)


class Lines:
    """Text that a notebook shows as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text
