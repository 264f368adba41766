"""Every path of a run, and how its files are written: whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import filelock

from archsearch.errors import StorageError, UserError, reading, writing
from archsearch.trials import NAME_PATTERN, TrialRecord, finite

UNFINISHED = ".unfinished"
"""Behind the name of the folder of a final training that is not complete."""


@dataclass(frozen=True)
class RunFolder:
    """One search on disk.

    Args:
        path: `logs/<run>`.
    """

    path: Path

    @classmethod
    def named(cls, name: str, logs: Path | str) -> RunFolder:
        """The folder of a run.

        Raises:
            UserError: The name is not usable as a folder.
        """
        if not NAME_PATTERN.fullmatch(name):
            raise UserError(f"--run must be a name of letters, digits, '.', '_' and '-', got {name!r}.")
        return cls(Path(logs) / name)

    @property
    def settings(self) -> Path:
        return self.path / "settings.json"

    @property
    def trials(self) -> Path:
        return self.path / "trials.jsonl"

    @property
    def best(self) -> Path:
        return self.path / "best.json"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def speed(self) -> Path:
        return self.cache / "speed.json"

    @property
    def figure(self) -> Path:
        return self.path / "search.png"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def table(self) -> Path:
        """Every trial as a row."""
        return self.path / "trials.csv"

    @property
    def overwritten(self) -> Path:
        """The settings of a search that is being removed: there is none to go on with."""
        return self.path / ".overwritten.unfinished"

    def trial(self, trial_id: str) -> Path:
        """TensorBoard events of one trial.

        Raises:
            UserError: The id is not usable as a folder.
        """
        return self.path / "trials" / _checked(trial_id)

    @property
    def search(self) -> Path:
        """TensorBoard events of the search as a whole."""
        return self.path / "search"

    def final(self, what: str) -> Path:
        """What a final training leaves: `what` is "best", "documented" or "trial-ID".

        Raises:
            UserError: It is not usable as a folder.
        """
        return self.path / "final" / _checked(what)

    def finals(self) -> list[Path]:
        """The folders of final trainings by their names, without those that are not complete."""
        folders = (path for path in (self.path / "final").glob("*") if path.is_dir())
        return sorted(
            path for path in folders if path.suffix != UNFINISHED and NAME_PATTERN.fullmatch(path.name)
        )

    def exists(self) -> bool:
        """Whether a search was started here."""
        with reading(self.settings):
            return self.settings.exists()

    def is_reported(self) -> bool:
        """Whether the report is younger than settings.json, which says how the search ended."""
        reported, settings = (
            file.stat().st_mtime_ns if file.exists() else 0 for file in (self.report, self.settings)
        )
        return reported >= settings

    def clear(self) -> None:
        """Removes what a search wrote; decoded images and trained models stay.

        Raises:
            UserError: The folder holds none of a run's files, so it is not ours to remove.
            StorageError: A file cannot be removed.
        """
        if not self.path.exists():
            return
        ours = any(file.exists() for file in (self.settings, self.trials, self.overwritten))
        # Of processes killed in `atomic_file`, and under `own_temporary` names.
        temporary = {*self.path.glob(".*.unfinished"), *self.path.glob(".*.*-[0-9]*")}
        foreign = {entry.name for entry in self.path.iterdir() if entry not in temporary}
        foreign -= {"lock", "cache", "final"}
        if foreign and not ours:
            raise UserError(
                f"{self.path} is not the folder of a run; choose another --run or remove it yourself."
            )
        # What a killed process leaves is known to be ours, but no search that could go on.
        with writing(self.settings):
            if self.settings.exists():
                self.settings.replace(self.overwritten)
            elif ours:
                self.overwritten.touch()
        events = self.path.glob("events.out.tfevents.*")
        ends = (self.trials, self.best, self.figure, self.report, self.table)
        for file in (*ends, *events, *(temporary - {self.overwritten})):
            with writing(file):
                file.unlink(missing_ok=True)
        for events_of in (self.path / "trials", self.search):
            shutil.rmtree(events_of, ignore_errors=True)
        with writing(self.overwritten):
            self.overwritten.unlink(missing_ok=True)

    def append(self, record: TrialRecord) -> None:
        """Adds one line to the log; on disk when this returns.

        Raises:
            StorageError: It cannot be written; half a line may stand there, which `drop_torn_line` removes.
        """
        with writing(self.trials), self.trials.open("ab") as file:
            file.write(record.to_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def drop_torn_line(self) -> None:
        """Cuts what follows the last line end of the log, so that the next line begins on its own.

        Raises:
            StorageError: The file cannot be written.
        """
        with writing(self.trials):
            data = self.trials.read_bytes() if self.trials.exists() else b""
            if data and not data.endswith(b"\n"):
                with self.trials.open("r+b") as file:
                    file.truncate(data.rfind(b"\n") + 1)

    def is_locked(self) -> bool:
        """Whether a process is working on it; the file stays when that ends, but not its lock."""
        path = self.path / "lock"
        if not path.exists():
            return False
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return True
        except OSError:  # in a folder that may only be read nobody works
            return False
        lock.release()
        return False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run's lock; a folder made for it in which nothing was begun is removed again.

        Raises:
            UserError: Another search holds it.
        """
        with locked(self.path / "lock", self.path):
            yield


def _checked(name: str) -> str:
    """Of a folder inside a run; it may come from a file, or from the command line."""
    if not NAME_PATTERN.fullmatch(name):
        raise UserError(f"{name!r} is no id of a trial: these are of letters, digits, '.', '_' and '-'.")
    return name


def unfinished_of(target: Path) -> Path:
    """Where a final training is kept until it stands in `target`, complete."""
    return target.with_name(f"{target.name}{UNFINISHED}")


@contextlib.contextmanager
def locked(path: Path, what: Path) -> Iterator[None]:
    """Holds a lock file; the system lets go of it when the process ends, however it ends.

    Args:
        path: The lock file. Folders made for it are removed again if nothing else is put there.
        what: Named in the refusal.

    Raises:
        UserError: Another process holds it, or the folder cannot be written.
    """
    lock = filelock.FileLock(path)
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"Another process is working on {what}. Wait for it, or choose another --run."
        ) from None
    except OSError as error:
        raise UserError(f"{what} cannot be written: {error}.") from error
    try:
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):  # the folder may be gone by now, or read-only
            _remove_if_alone(path, made)


def _remove_if_alone(lock: Path, made: Sequence[Path]) -> None:
    """Removes a lock file beside which nothing lies, and the folders made for it that are empty then."""
    if [entry.name for entry in lock.parent.iterdir()] != [lock.name]:
        return
    lock.unlink(missing_ok=True)
    for folder in made:
        if any(folder.iterdir()):
            return
        folder.rmdir()


@contextlib.contextmanager
def atomic_file(path: Path, *, temporary: str | None = None) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` in one step when the block ends.

    A reader, or a kill, sees the old one or the new one. One process at a time writes a path: a run's lock
    sees to that; where several may, each gives a `temporary` name of its own.

    Raises:
        StorageError: It cannot be written.
    """
    unfinished = path.with_name(temporary or f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # what made the writing fail may forbid this too
            unfinished.unlink(missing_ok=True)
        raise StorageError(path, error) from error


def write_atomically(path: Path, data: bytes, *, temporary: str | None = None) -> None:
    """Replaces a file in one step.

    Args:
        path: Of the file.
        data: All of it.
        temporary: Name until it is whole; the default is made from that of the file.

    Raises:
        StorageError: It cannot be written.
    """
    with atomic_file(path, temporary=temporary) as file:
        file.write(data)


def own_temporary(path: Path) -> str:
    """A name until it is whole that no other process has, of a file that several may write at once.

    Nor has one of another machine or container that shares the folder, where process numbers are others.
    """
    return f".{path.name}.{_host()}-{os.getpid()}"


def remove_abandoned(folder: Path, names: str) -> None:
    """What processes were writing under `own_temporary` names when they were killed.

    Args:
        folder: Where it lies.
        names: Pattern of the files that were to be.
    """
    import psutil

    for path in folder.glob(f".{names}.*"):
        host, _, process = path.suffix.removeprefix(".").rpartition("-")
        if host == _host() and process.isdecimal() and not psutil.pid_exists(int(process)):
            path.unlink(missing_ok=True)


def _host() -> str:
    """This machine's or container's name, without dots."""
    return socket.gethostname().partition(".")[0]


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """JSON that a person can read, atomically; a value that is not finite becomes null."""
    write_atomically(path, (json.dumps(finite(data), indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path, *, remedy: str = "Restore it, or start over with --overwrite.") -> dict[str, Any]:
    """What `write_json` wrote.

    Args:
        path: Of the file.
        remedy: What a person is told to do if it is damaged.

    Raises:
        UserError: The file is not there or not readable as such.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"There is no {path}. Run `python search.py` first.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}). {remedy}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is not one of our files: it holds no JSON object. {remedy}")
    return data
