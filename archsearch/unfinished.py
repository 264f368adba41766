"""A final training that is not complete: what it was begun with, and the wall-clock it has taken so far."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.attempts import RESUME
from archsearch.errors import UserError, writing
from archsearch.final_task import Options
from archsearch.fingerprint import differences
from archsearch.run_folder import read_json, unfinished_of, write_json
from archsearch.typed import from_plain

BEGUN = "begun.json"
"""In its folder: what it depends on, and its wall-clock."""

ELAPSED = "elapsed_seconds"
"""In that file, beside what it depends on."""


@dataclass
class Unfinished:
    """Where a final training is kept until it is complete.

    Args:
        folder: Of this training.
        begun: What an interrupted one depends on; `None` if none goes on here.
        start: When it began, as `time.time()`, as if all its processes had followed at once.
    """

    folder: Path
    begun: Mapping[str, Any] | None
    start: float

    def __post_init__(self) -> None:
        self._description: Mapping[str, Any] = self.begun or {}

    @staticmethod
    def exists(target: Path) -> bool:
        """Whether one was interrupted, or is under way, that will replace `target`."""
        return (unfinished_of(target) / BEGUN).exists()

    @classmethod
    def of(cls, target: Path, *, start: float, overwrite: bool) -> Unfinished:
        """The one that will stand in `target`.

        Args:
            target: Folder of the complete training.
            start: When this process began, as `time.time()`.
            overwrite: Whether an interrupted one is started over.

        Raises:
            UserError: begun.json is damaged.
        """
        folder = unfinished_of(target)
        if overwrite or not cls.exists(target):
            return cls(folder, None, start)
        begun, elapsed = _read(folder / BEGUN)
        return cls(folder, begun, start - elapsed)

    def begin(self, description: Mapping[str, Any]) -> None:
        """Notes what the training depends on, before anything is trained.

        Args:
            description: Plain data.

        Raises:
            UserError: The interrupted one was another one.
        """
        changes = [] if self.begun is None else list(differences("", self.begun, description))
        if changes:
            raise UserError(
                f"An interrupted final training in {self.folder} was another one ({'; '.join(changes)}). "
                "Give the same to continue it, or --overwrite to start over."
            )
        self._description = description
        if self.begun is None:
            self.remove()
            self.note_time()

    def note_time(self) -> None:
        """Notes the wall-clock so far; what comes after the last note is not counted after a kill."""
        write_json(self.folder / BEGUN, {**self._description, ELAPSED: time.time() - self.start})

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Notes the wall-clock also when the block is interrupted."""
        try:
            yield
        except KeyboardInterrupt:
            self.note_time()
            raise

    def remove(self) -> None:
        """All that was kept of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(path: Path) -> tuple[dict[str, Any], float]:
    """What the interrupted training depends on, and its wall-clock so far."""
    # Earlier versions trained on one device, and did not measure the test.
    begun = {"devices": 1, "test_slowdown": 1.0, **read_json(path, remedy="Start over with --overwrite.")}
    try:
        elapsed = float(begun.pop(ELAPSED, 0.0))
        from_plain(Options, {field.name: begun[field.name] for field in dataclasses.fields(Options)})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not one of our files ({error}). Start over with --overwrite.") from error
    return begun, elapsed


def put_in_place(unfinished: Path, target: Path) -> None:
    """Of a complete training. What it depends on goes last: until then, it is found complete."""
    with writing(target):
        shutil.rmtree(unfinished / RESUME, ignore_errors=True)
        if target.exists():
            shutil.rmtree(target)
        unfinished.replace(target)
        (target / BEGUN).unlink(missing_ok=True)
