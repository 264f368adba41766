"""How often a process died in a trial: `attempts.json`, which lies beside a trial while it runs.

A trial that gets its process killed, for its memory say, must not be tried for ever. The death of the
searching process counts for all trials that were under way, in workers too: what one of them does may have
brought down the whole machine, or all processes that share a limit on memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from archsearch.errors import StorageError, UserError, writing
from archsearch.run_folder import RunFolder, read_json, write_json
from archsearch.trials import Status, TrialRecord
from archsearch.typed import from_plain

MAX_DEATHS = 3
"""In a row, without a further epoch completed."""

FILE = "attempts.json"
RESUME = "resume"
REMEDY = "Remove it, and run the same command again: only how often its trial was tried is lost."


@dataclass
class Attempts:
    """The starts of one trial.

    Args:
        folder: Of the trial, `logs/<run>/trials/<id>/`.
    """

    folder: Path
    starts: int = 0
    """Since an epoch was completed for the first time; those that ended in an orderly way are taken off."""
    epochs: int = 0
    """Completed at most."""
    elapsed_seconds: float = 0.0
    """Of the search, when this was last written."""

    @classmethod
    def read(cls, folder: Path) -> Attempts:
        """What earlier processes left; a fresh one if they left nothing.

        Raises:
            UserError: The file is damaged.
        """
        path = folder / FILE
        if not path.exists():
            return cls(folder)
        stored = read_json(path, remedy=REMEDY)
        try:
            values = {name: stored[name] for name in ("starts", "epochs", "elapsed_seconds")}
            return from_plain(cls, {"folder": folder, **values})
        except (KeyError, TypeError) as error:
            raise UserError(f"{path} is not one of our files ({error}). {REMEDY}") from error

    @property
    def resume_folder(self) -> Path:
        """Of the trial's checkpoint."""
        return self.folder / RESUME

    @property
    def verdict(self) -> str | None:
        """Why the trial is not tried again; `None` if it is."""
        if self.starts < MAX_DEATHS:
            return None
        return (
            f"The process died {self.starts} times in a row in this trial before it had completed epoch "
            f"{self.epochs + 1}; running out of memory is the usual cause."
        )

    def begin(self, elapsed_seconds: float) -> None:
        """The trial starts."""
        self.starts += 1
        self._write(elapsed_seconds)

    def epoch(self, epochs: int, elapsed_seconds: float) -> None:
        """So many epochs are completed; written if it is more than ever before."""
        if epochs > self.epochs:
            self.starts, self.epochs = 1, epochs
            self._write(elapsed_seconds)

    def leave(self, elapsed_seconds: float) -> None:
        """The trial stops without a verdict, in an orderly way: this is no death."""
        self.starts -= 1
        try:
            self._write(elapsed_seconds)
        except StorageError:
            # As it stands there it would count as a death; to remove it needs no room on a full disk.
            self._remove()
            raise

    def end(self) -> None:
        """The trial's result is in the log: nothing else is needed of it."""
        shutil.rmtree(self.resume_folder, ignore_errors=True)
        self._remove()

    def _remove(self) -> None:
        path = self.folder / FILE
        with writing(path):
            path.unlink(missing_ok=True)

    def _write(self, elapsed_seconds: float) -> None:
        self.elapsed_seconds = elapsed_seconds
        write_json(
            self.folder / FILE,
            {"starts": self.starts, "epochs": self.epochs, "elapsed_seconds": elapsed_seconds},
        )


def end_those_of(folder: RunFolder, records: Iterable[TrialRecord]) -> None:
    """Removes what a process killed between the log and this left beside trials that have their verdict."""
    for record in records:
        if record.status is not Status.TIMED_OUT:
            Attempts(folder.trial(record.trial_id)).end()


def spent_seconds(folder: RunFolder, records: Iterable[TrialRecord]) -> float:
    """Wall-clock of a search so far, over all its sessions: up to its last trial or epoch."""
    trials = [record.elapsed_seconds for record in records]
    running = [Attempts.read(path.parent).elapsed_seconds for path in folder.path.glob(f"trials/*/{FILE}")]
    return max((*trials, *running), default=0.0)
