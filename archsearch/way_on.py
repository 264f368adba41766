"""How a command goes on that ended before its time: with `--overwrite`, or without."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from archsearch.errors import UserError

OVERWRITE = "--overwrite"


class WayOn:
    """What to say of a command that did not come to its end.

    One that was given `--overwrite` starts over, also what it has done itself: once it has begun, it goes on
    without. Until then what was to be overwritten is still there.

    Args:
        prog: The command.
        argv: Its arguments.
        saved: What an interruption leaves, once it has begun.
        places: Files or folders of which one is made anew when it begins; the last is there as long as there
            is something to go on with. A `UserError` means none.
    """

    def __init__(
        self, prog: str, argv: Sequence[str], *, saved: str, places: Callable[[], Sequence[Path]]
    ) -> None:
        self._prog, self._argv = prog, list(argv)
        self._saved = saved
        self._places = places
        self._before = self._marks()

    def interrupted(self) -> str:
        """A sentence, and the command that follows."""
        if self._begun:
            return f"{self._saved} is saved. Continue: {self._command(OVERWRITE)}"
        return f"nothing was overwritten yet. Again: {self._command()}"

    def advice(self) -> str:
        """After an error; empty where there is nothing that the same command would remove."""
        if OVERWRITE not in self._argv or not self._begun or self._marks()[-1] is None:
            return ""
        return f"Next time without {OVERWRITE}, which would start over."

    @property
    def _begun(self) -> bool:
        return OVERWRITE not in self._argv or self._marks() != self._before

    def _command(self, *left_out: str) -> str:
        return shlex.join([*self._prog.split(), *(each for each in self._argv if each not in left_out)])

    def _marks(self) -> list[tuple[int, int] | None]:
        try:
            return [_mark(place) for place in self._places()]
        except UserError:
            return []


def _mark(path: Path) -> tuple[int, int] | None:
    """Differs when a file, or a folder, was made anew; `None` if there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_mtime_ns
