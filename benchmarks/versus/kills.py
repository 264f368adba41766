"""Searches that are killed with SIGKILL at numbered points, and continued each time."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.versus.processes import fork, in_child
from benchmarks.versus.sides import OURS, PROJECT, SEARCHES, STOCK, Training, finished_trials

MAX_EPOCHS = 27

Kill = tuple[str, int]
"""("epoch", n): in the n-th epoch of the session; (file, n): half-way through its n-th write of that file."""

EPOCH = "epoch"

IN_TRAINING = tuple((EPOCH, number) for number in (7, 29, 11, 31, 13, 28, 17, 30, 19, 29, 23, 31))
"""One a session. Every second session outlives a trial of 27 epochs, so that none is killed in the same trial
again and again."""

IN_WRITING: Mapping[str, tuple[Kill, ...]] = {
    STOCK: (
        ("oracle.json", 12),
        ("trial.json", 12),
        ("tuner0.json", 4),
        ("oracle.json", 31),
        ("trial.json", 31),
        ("tuner0.json", 8),
        ("oracle.json", 50),
        ("trial.json", 50),
    ),
    OURS: (
        ("trials.jsonl", 4),
        ("settings.json", 1),
        ("best.json", 4),
        ("attempts.json", 31),
        ("trials.jsonl", 8),
        ("best.json", 8),
        ("attempts.json", 50),
        ("settings.json", 1),
    ),
}
"""One a session, on every file a side keeps its state in; when the first one comes, trials are finished."""

REFUSED = 3
"""Exit code of a session that could not open the project."""


def in_training(side: str) -> dict[str, Any]:
    """Killed while a trial trains."""
    return Survival(side, IN_TRAINING).measure()


def in_writing(side: str) -> dict[str, Any]:
    """Killed when half of a state file is written."""
    return Survival(side, IN_WRITING[side]).measure()


@dataclass
class Survival:
    """One search through all its kills.

    Args:
        side: Whose search.
        kills: One for each session; one more session is not killed.
    """

    side: str
    kills: Sequence[Kill]
    delivered: int = 0
    not_opened: int = 0
    lost: int = 0
    repeated: int = 0
    again: int = 0
    """Trials that were trained to their end, and killed before that was noted."""
    finished: set[str] = field(default_factory=set)
    trained: set[str] = field(default_factory=set)

    def measure(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ended = self._through(folder / "killed")
            undisturbed = in_child(lambda: _whole(self.side, folder / "undisturbed"))
        return {
            "kills": self.delivered,
            "not_opened": self.not_opened,
            "finished_lost": self.lost,
            "finished_trained_again": self.repeated,
            "unrecorded_trained_again": self.again,
            "ends_as_undisturbed": ended == undisturbed,
        }

    def _through(self, folder: Path) -> dict[str, Any]:
        """All sessions; gives the trials of the search at its end."""
        pending = list(self.kills)
        while True:
            folder.mkdir(exist_ok=True)
            session = Session(self.side, folder, pending[0] if pending else None)
            code = fork(session.run)
            self._count(session.events())
            if code == REFUSED and self.finished:  # nothing is left to the user but to start over
                self.not_opened += 1
                self.lost += len(self.finished)
                self.finished, self.trained = set(), set()
                shutil.rmtree(folder)
            elif code == -signal.SIGKILL:
                self.delivered += 1
                pending.pop(0)
            elif code == 0 and not pending:
                return in_child(lambda: _continued(self.side, folder))
            else:
                raise RuntimeError(f"A session of {self.side} to be killed at {session.kill} gave {code}.")

    def _count(self, events: list[tuple[str, str]]) -> None:
        for what, trial_id in events:
            if what == "started":
                self.repeated += trial_id in self.finished
                self.again += trial_id in self.trained - self.finished
            elif what == "trained":
                self.trained.add(trial_id)
            else:
                self.finished.add(trial_id)


@dataclass
class Session:
    """One process on the search.

    Args:
        side: Whose search.
        folder: Where it is stored.
        kill: When the process kills itself; `None` for never.
    """

    side: str
    folder: Path
    kill: Kill | None

    @property
    def journal(self) -> Path:
        """What the trials came to, written by the training; neither search knows of it."""
        return self.folder.with_name(f"{self.folder.name}.journal")

    def events(self) -> list[tuple[str, str]]:
        lines = self.journal.read_text().splitlines()
        return [(what, trial_id) for what, _, trial_id in (line.partition(" ") for line in lines)]

    def run(self) -> None:
        """In the child."""
        journal = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        training = Training(tell=lambda what, name: _note(journal, what, name))
        if self.kill is not None:
            what, number = self.kill
            if what == EPOCH:
                training.on_epoch = lambda: _kill() if training.epochs == number else None
            else:
                HALVE_A_WRITE[self.side](what, number)
        try:
            SEARCHES[self.side](self.folder, training, max_epochs=MAX_EPOCHS)
        except Exception:
            if training.started:
                raise
            os._exit(REFUSED)


def _note(journal: int, what: str, trial_id: str) -> None:
    os.write(journal, f"{what} {trial_id}\n".encode())


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Halved:
    """A file whose first write is half a write, and the end of the process."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, data: Any) -> None:
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        _kill()

    def __enter__(self) -> _Halved:
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _halve_stock(file: str, number: int) -> None:
    """All of Keras Tuner's state files are opened by one function."""
    from keras_tuner.src.backend import io

    opened, count = io.File, 0

    def halving(filename: str, mode: str) -> Any:
        nonlocal count
        matches = mode == "w" and Path(filename).name == file
        count += matches
        found = opened(filename, mode)
        return _Halved(found) if matches and count == number else found

    io.File = halving


def _halve_ours(file: str, number: int) -> None:
    """All of ours are opened by `Path.open`, some under another name until they are complete."""
    opened, count = Path.open, 0

    def halving(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        nonlocal count
        matches = mode in ("wb", "ab") and path.name in (file, f".{file}.unfinished")
        count += matches
        found = opened(path, mode, *args, **kwargs)
        return _Halved(found) if matches and count == number else found

    Path.open = halving  # type: ignore[method-assign]


HALVE_A_WRITE: Mapping[str, Callable[[str, int], None]] = {STOCK: _halve_stock, OURS: _halve_ours}
"""Side -> makes this process kill itself in the n-th write of a file."""


def _whole(side: str, folder: Path) -> dict[str, Any]:
    """The trials of a search that nothing disturbs."""
    folder.mkdir()
    return finished_trials(side, SEARCHES[side](folder, Training(), max_epochs=MAX_EPOCHS))


def _continued(side: str, folder: Path) -> dict[str, Any]:
    """The trials of a search that has ended, read back by opening it once more."""
    assert (folder / PROJECT).exists()
    training = Training()
    found = finished_trials(side, SEARCHES[side](folder, training, max_epochs=MAX_EPOCHS))
    assert not training.started
    return found
