"""Processes killed with SIGKILL wherever something changes on disk, and in every epoch.

A program of its own (`python tests/killing.py FOLDER NAME...`): it imports TensorFlow, runs none of its
operations, and forks a child for every session of a search, which so starts in a fraction of a second.
The judging is done by test_kills.py, from what is left in the folder.

What a kill leaves on disk is what the system calls before it left. So the points are: before every call
that changes a folder, in the middle of every write, in every epoch, and at the end. A point is named by
where in the search it lies, so that it is the same point in every session that comes by.
"""

from __future__ import annotations

import builtins
import gc
import importlib
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.callbacks import SearchCallback
from archsearch.run_folder import RunFolder
from archsearch.trials import Status, TrialRecord

MOST_DEATHS = 2
"""In a row in one trial without a further completed epoch; with the third it would have failed."""

MOST_OF_A_KIND = 5
"""Points in one place: the state of a network is written in hundreds of pieces."""

JOURNAL = "journal.jsonl"
RUN = "run"
UNDISTURBED = "undisturbed"
FINAL = "final"
BEFORE = "settings-before.json"


# What happened, over all sessions.


@dataclass
class Journal:
    """Lines that are on disk before anything else happens, outside the folder that is watched."""

    path: Path
    kills: list[str] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    """By trial, since it last completed an epoch for the first time."""
    completed: Counter[str] = field(default_factory=Counter)
    """Epochs, by trial."""
    _num_read: int = 0

    def write(self, **entry: Any) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(json.dumps(entry).encode() + b"\n")

    def read(self) -> None:
        """Takes in what children have written."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        for line in lines[self._num_read :]:
            self._take(json.loads(line))
        self._num_read = len(lines)

    def _take(self, entry: Mapping[str, Any]) -> None:
        trial = entry.get("trial")
        if "kill" in entry:
            self.kills.append(entry["kill"])
            if trial is not None:
                self.deaths[trial] += 1
        if "completed" in entry and trial is not None and entry["completed"] > self.completed[trial]:
            self.completed[trial] = entry["completed"]
            self.deaths[trial] = 0


# Points.


class Points:
    """The numbered points of one session, at one of which its process ends.

    Args:
        folder: What is watched.
        journal: Of the sessions before.
        due: From a point's name and its number in the session to whether the process ends there.
    """

    def __init__(self, folder: Path, journal: Journal, due: Due) -> None:
        self.folder = str(folder)
        self.journal = journal
        self.due = due
        self.trial: str | None = None
        """That would be counted as having died."""
        self.place = "start"
        """Trial and epoch, or what else tells the points of one kind apart."""
        self.passed: list[str] = []
        self._seen: Counter[str] = Counter()

    def at(self, what: str, last_act: Callable[[], object] = lambda: None) -> None:
        """A point is passed, or the process ends here.

        Args:
            what: Kind of the point.
            last_act: Done before the end, and only then.
        """
        kind = f"{self.place}: {what}"
        self._seen[kind] += 1
        if self._seen[kind] > MOST_OF_A_KIND:
            return
        name = f"{kind} ({self._seen[kind]})"
        self.passed.append(name)
        spared = self.trial is not None and self.journal.deaths[self.trial] >= MOST_DEATHS
        if not spared and self.due(name, len(self.passed)):
            last_act()
            self.journal.write(kill=name, trial=self.trial)
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """From now on, for good."""
        sys.addaudithook(self._audit)
        original = io.open

        def watched_open(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
            name = None if isinstance(file, int) else self.name_of(file)
            if name is None or "b" not in mode or not set(mode) & set("wax+"):
                return original(file, mode, buffering, *args, **kwargs)
            raw = WatchedFile(file, mode, lambda what, act: self.at(f"{what} {name}", act))
            if buffering == 0:
                return raw
            return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

        io.open = builtins.open = watched_open

    def name_of(self, path: Any, dir_fd: int = -1) -> str | None:
        """Relative to the folder and without what differs from session to session; `None` outside."""
        path = os.fsdecode(path)
        if dir_fd is not None and dir_fd >= 0:
            path = f"{Path(f'/proc/self/fd/{dir_fd}').readlink()}/{path}"
        if path != self.folder and not path.startswith(f"{self.folder}/"):
            return None
        name = path[len(self.folder) + 1 :] or "."
        name = re.sub(r"events\.out\.tfevents\..*\.(\w+)$", r"events.\1", name)
        return re.sub(rf"\.[^./]*-{os.getpid()}$", "", name)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(args[0], int) and args[0] is not None:
            changes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
            if args[2] & changes and (name := self.name_of(args[0])):
                self.at(f"open {name}")
        elif event == "os.rename" and (name := self.name_of(args[1])):
            self.at(f"rename to {name}")
        elif event in ("os.remove", "os.rmdir") and (name := self.name_of(args[0], args[1])):
            if args[1] >= 0 or os.path.lexists(args[0]):
                self.at(f"{event.removeprefix('os.')} {name}")
        elif event == "os.mkdir" and (name := self.name_of(args[0])) and not os.path.lexists(args[0]):
            self.at(f"mkdir {name}")


class WatchedFile(io.FileIO):
    """Every write has a point before it and one when half of it is done."""

    def __init__(self, path: Any, mode: str, at: Callable[[str, Callable[[], object]], None]) -> None:
        super().__init__(path, mode.replace("b", ""))
        self.at = at

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.at("write", lambda: None)
        if len(view) > 1:
            self.at("half a write", lambda: super(WatchedFile, self).write(view[: len(view) // 2]))
        return super().write(view)

    def truncate(self, size: int | None = None) -> int:
        self.at("truncate", lambda: None)
        return super().truncate(size)


class Follower(SearchCallback):
    """Tells the points which trial runs, and the journal which epochs are completed."""

    def __init__(self, points: Points) -> None:
        self.points = points

    def on_trial_begin(self, assignment: Any, text: str) -> None:
        self.points.trial = assignment.trial_id
        self.points.place = f"{assignment.trial_id}, epoch 1"

    def on_epoch_end(self, assignment: Any, epoch: int, values: Mapping[str, float]) -> None:
        self.points.journal.write(completed=epoch, trial=assignment.trial_id)
        self.points.journal.read()
        self.points.place = f"{assignment.trial_id}, epoch {epoch + 1}"

    def on_trial_end(self, record: TrialRecord) -> None:
        self.points.place = "between trials"

    def follow_the_log(self) -> None:
        """A death in a trial that stands in the log is not its own."""
        original = RunFolder.append

        def append(folder: RunFolder, record: TrialRecord) -> None:
            original(folder, record)
            self.points.trial = None
            self.points.place = f"{record.trial_id}, logged"

        RunFolder.append = append  # type: ignore[method-assign,assignment]


# Sessions.

Session = Callable[[Path, Points, int], None]
"""Does its work in a folder, being the n-th (from 0) to do so."""


def run_session(session: Session, folder: Path, journal: Journal, due: Due) -> bool:
    """In a child; whether it came to its end."""
    journal.read()
    number = len(journal.kills)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            points = Points(folder / RUN, journal, due)
            points.watch()
            session(folder / RUN, points, number)
            points.place = "end"
            points.at("end")
            (folder / "points.json").write_text(json.dumps(points.passed))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(ended)
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(
            f"{folder}: session {number} ended with status {status}; kills before: {journal.kills[-3:]}"
        )
    return status == 0


# When a session is killed: from a point's name and its number in the session.

Due = Callable[[str, int], bool]


def never(name: str, number: int) -> bool:
    return False


def run_to_the_end(session: Session, folder: Path, due: Callable[[list[str]], Due]) -> list[str]:
    """Sessions until one comes to its end; the points at which the others were killed.

    Args:
        session: Does its work in the folder `run` of this folder.
        folder: May hold what was there before.
        due: From the kills so far to when the next session is killed.
    """
    journal = Journal(folder / JOURNAL)
    while not run_session(session, folder, journal, due(journal.kills)):
        journal.read()
    return journal.kills


@dataclass(frozen=True)
class Everywhere:
    """Kills every session at the first point at which none was killed yet, search after search.

    Args:
        places: Pattern of the points that count.
    """

    places: str = ""

    def __call__(self, session: Session, folders: Iterator[Path]) -> None:
        covered: set[str] = set()

        def due(kills: list[str]) -> Due:
            covered.update(kills)
            return lambda name, _: name not in covered and re.match(self.places, name) is not None

        while run_to_the_end(session, next(folders), due):
            pass


@dataclass(frozen=True)
class AtRandom:
    """Kills every session at a point drawn at random, search after search.

    Args:
        num: Of kills.
        farthest: Number of the last point that is drawn.
        seed: Of the draws.
    """

    num: int
    farthest: int
    seed: int = 0

    def __call__(self, session: Session, folders: Iterator[Path]) -> None:
        rng = random.Random(self.seed)
        num = 0

        def due(kills: list[str]) -> Due:
            first = rng.randint(1, self.farthest) if num + len(kills) < self.num else sys.maxsize
            return lambda _, number: number >= first

        while num < self.num:
            num += len(run_to_the_end(session, next(folders), due))


@dataclass(frozen=True)
class Scenario:
    """One undisturbed search or training, and the same killed again and again.

    Args:
        session: What is done.
        kills: Where.
        before: What stands in the folder before the first session.
    """

    session: Session
    kills: Callable[[Session, Iterator[Path]], None] = Everywhere()
    before: Session | None = None

    def run(self, folder: Path) -> None:
        run_to_the_end(self.session, self._prepared(folder / UNDISTURBED), lambda _: never)
        self.kills(
            self.session, (self._prepared(folder / f"killed-{number:02}") for number in itertools.count())
        )

    def _prepared(self, folder: Path) -> Path:
        before = folder.with_name("before")
        if not before.exists():
            before.mkdir(parents=True)
            if self.before is not None:
                run_session(self.before, before, Journal(before / "before.jsonl"), never)
                shutil.copy(before / RUN / "settings.json", before / BEFORE)
        return shutil.copytree(before, folder)


# Searches with a training that only pretends.


def images(num: int = 40) -> Any:
    """Two classes of grey 8x8 noise."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (num, 8, 8, 1), dtype=np.uint8), np.arange(num) % 2
    return (x, y), (x[:4], y[:4])


def small_space() -> Any:
    """A space that builds nothing."""
    import keras_tuner

    class Space(keras_tuner.HyperModel):
        def build(self, hp: Any) -> None:
            hp.Float("x", 0.0, 1.0, default=0.5)
            if hp.Choice("kind", ["conv", "dense"]) == "conv":
                with hp.conditional_scope("kind", ["conv"]):
                    hp.Choice("depth", [1, 2, 3])

    return Space()


@dataclass(frozen=True)
class Pretence:
    """A run_trial whose score depends on the state that every epoch makes of the one before.

    Args:
        points: Of the session.
        fails: Whether a third of the trials fail, after their first epoch.
        salt: With another one the scores are others.
    """

    points: Points
    fails: bool = False
    salt: int = 0

    def __call__(self, task: Any, on_epoch: Any) -> Any:
        from archsearch.checkpoints import Checkpoints
        from archsearch.task import TrialResult

        checkpoints = Checkpoints(task.resume_folder, task.identity)
        found = checkpoints.load()
        weights = found.arrays["weights"] if found else np.full(3, self.salt)
        curve = [dict(values) for values in found.curve] if found else []
        for epoch, values in enumerate(curve):
            on_epoch(epoch, values)
        for epoch in range(len(curve), 1 if self._fails(task) else task.epochs):
            self.points.journal.write(begun=epoch + 1, trial=task.trial_id)
            self.points.at("the epoch begins")
            weights = np.random.default_rng((task.seed, epoch)).random(3) + np.sin(100 * weights)
            curve.append(_epoch(float(weights.sum()) % 1))
            checkpoints.save_if_due(partial(dict, weights=weights), tuple(curve))
            self.points.at("the epoch is trained")
            on_epoch(epoch, curve[-1])
        if self._fails(task):
            return TrialResult(Status.FAILED, tuple(curve), 0.1, 0, "ValueError: as asked")
        return TrialResult(Status.COMPLETED, tuple(curve), 0.1, 0)

    def _fails(self, task: Any) -> bool:
        return self.fails and task.trial_id != "baseline" and random.Random(task.trial_id).random() < 1 / 3


def _epoch(score: float) -> dict[str, float]:
    return {
        "loss": 1 - score / 2,
        "accuracy": score / 2,
        "val_loss": 1 - score,
        "val_accuracy": score,
        "learning_rate": 0.001,
        "seconds": 0.1,
    }


def save_every_epoch(points: Points, *, worth_saving: float = 0.0) -> None:
    """However short it is; the journal is told."""
    from archsearch import checkpoints

    checkpoints.WORTH_SAVING, checkpoints.MAX_SHARE = worth_saving, float("inf")
    original = checkpoints.Checkpoints.save_if_due

    def save_if_due(self: Any, arrays: Any, curve: Any) -> None:
        original(self, arrays, curve)
        if points.trial is None:
            points.place = FINAL
        if worth_saving == 0:
            points.journal.write(saved=len(curve), trial=points.trial or FINAL)

    checkpoints.Checkpoints.save_if_due = save_if_due  # type: ignore[method-assign]


@dataclass(frozen=True)
class StubSearch:
    """A search by `Pretence`.

    Args:
        settings: As given in every session.
        fails: See there.
        salt: See there.
        saves: Whether every epoch is worth saving; if not, none is.
        overwrites: Whether an earlier search is to be overwritten, as long as it is there.
        decodes: Whether the images are files, beside the run, that are decoded and kept in its cache.
    """

    settings: Mapping[str, Any]
    fails: bool = False
    salt: int = 0
    saves: bool = True
    overwrites: bool = False
    decodes: bool = False

    def __call__(self, folder: Path, points: Points, number: int) -> None:
        save_every_epoch(points, worth_saving=0.0 if self.saves else float("inf"))
        search(
            folder,
            points,
            data=image_files(folder.parents[1] / "images") if self.decodes else images(),
            overwrite=self.overwrites and is_there(folder.parent / BEFORE, folder / "settings.json"),
            hypermodel=small_space(),
            given=self.settings,
            run_trial=Pretence(points, self.fails, self.salt),
        )


def is_there(before: Path, settings: Path) -> bool:
    """Whether the earlier search is as it was."""
    return settings.exists() and settings.read_bytes() == before.read_bytes()


def search(folder: Path, points: Points, **options: Any) -> None:
    """One session of a search, that is followed."""
    from archsearch.searching import Search

    follower = Follower(points)
    follower.follow_the_log()
    Search(folder=RunFolder(folder), callbacks=(follower,), **{"overwrite": False, **options}).execute()


def image_files(folder: Path) -> str:
    """The images as PNG files, written where they are not there yet."""
    from PIL import Image

    if not folder.exists():
        for number, (x, y) in enumerate(zip(*images()[0], strict=True)):
            (folder / f"class-{y}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(x[..., 0]).save(folder / f"class-{y}" / f"{number}.png")
    return str(folder)


# Searches and final trainings with TensorFlow.


def tiny_space() -> Any:
    """Networks of some hundred weights."""
    import dataclasses

    import keras
    import keras_tuner

    from space.recipe import MODERN

    class Tiny(keras_tuner.HyperModel):
        recipe = dataclasses.replace(MODERN, batch_size=16)

        def build(self, hp: Any) -> keras.Model:
            layers = [
                keras.Input((8, 8, 1)),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Conv2D(hp.Int("filters", 2, 8), 3),
                keras.layers.BatchNormalization(),
                keras.layers.Flatten(),
                keras.layers.Dropout(hp.Float("dropout", 0.1, 0.5)),
                keras.layers.Dense(2, activation="softmax"),
            ]
            model = keras.Sequential(layers)
            model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
            return model

    return Tiny()


def watch_the_training(points: Points) -> None:
    """A point at the beginning of every epoch and after every batch."""
    from archsearch.watch import Watch

    epoch_begin, batch_end = Watch.on_epoch_begin, Watch.on_train_batch_end

    def on_epoch_begin(self: Any, epoch: int, logs: Any = None) -> None:
        points.journal.write(begun=epoch + 1, trial=points.trial or FINAL)
        if points.trial is None:
            points.place = f"{FINAL}, epoch {epoch + 1}"
        points.at("the epoch begins")
        epoch_begin(self, epoch, logs)

    def on_train_batch_end(self: Any, batch: int, logs: Any = None) -> None:
        batch_end(self, batch, logs)
        points.at("a batch is done")

    Watch.on_epoch_begin, Watch.on_train_batch_end = on_epoch_begin, on_train_batch_end  # type: ignore


@dataclass(frozen=True)
class TinySearch:
    """A search that trains tiny networks.

    Args:
        settings: As given in every session.
        trains: If not, `Pretence` stands in.
    """

    settings: Mapping[str, Any]
    trains: bool = True

    def __call__(self, folder: Path, points: Points, number: int) -> None:
        from archsearch.training import run_trial

        save_every_epoch(points)
        watch_the_training(points)
        search(
            folder,
            points,
            data=images(80),
            hypermodel=tiny_space(),
            given=self.settings,
            run_trial=run_trial if self.trains else Pretence(points),
        )


@dataclass(frozen=True)
class TinyFinal:
    """The final training of the best network of the search in the folder.

    Args:
        epochs: Of it; an earlier one of others is overwritten.
    """

    epochs: int

    def __call__(self, folder: Path, points: Points, number: int) -> None:
        from archsearch.final_training import FinalTraining

        points.place = FINAL
        save_every_epoch(points)
        watch_the_training(points)
        result = folder / "final" / "best" / "result.json"
        if result.exists() and json.loads(result.read_text())["epochs"] == self.epochs:
            return
        begun = folder / "final" / "best.unfinished" / "begun.json"
        FinalTraining(
            "best",
            images(80),
            RunFolder(folder),
            epochs=self.epochs,
            overwrite=not begun.exists(),
            hypermodel=tiny_space(),
            verbose=False,
        ).execute()


def searched_and_trained(folder: Path, points: Points, number: int) -> None:
    """A search and a final training of one epoch."""
    TinySearch(SMALLEST, trains=False)(folder, points, number)
    TinyFinal(epochs=1)(folder, points, number)


# Commands that die in one trial, or are interrupted there.


@dataclass(frozen=True)
class Troubled:
    """Runs `python search.py` until it comes to its end, with trainings that only pretend.

    Args:
        flags: Of every run of the command.
        trouble: From the trial, the epoch (from 1) that is about to end, and the number of the run (from 0)
            to the signal that the process gets.
    """

    flags: tuple[str, ...]
    trouble: Callable[[str, int, int], signal.Signals | None]

    def run(self, folder: Path) -> None:
        """Leaves the exit statuses in statuses.json."""
        folder.mkdir(parents=True)
        (x, y), (x_test, y_test) = images()
        np.savez(folder / "tiny.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
        statuses: list[int] = []
        while not statuses or statuses[-1] not in (0, 1):
            statuses.append(self._run_once(folder, len(statuses)))
        (folder / "statuses.json").write_text(json.dumps(statuses))

    def _run_once(self, folder: Path, number: int) -> int:
        pid = os.fork()
        if pid == 0:
            os.chdir(folder)
            for descriptor, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(os.open(f"{name}-{number}", os.O_WRONLY | os.O_CREAT), descriptor)
            os._exit(self._command(number))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _command(self, number: int) -> int:
        from archsearch import cli, searching

        original = searching.Search
        points = Points(Path(RUN), Journal(Path(JOURNAL)), never)
        pretence = Pretence(points)

        def run_trial(task: Any, on_epoch: Any) -> Any:
            def troubled(epoch: int, values: Any) -> None:
                number_of_signal = self.trouble(task.trial_id, epoch + 1, number)
                if number_of_signal is not None:
                    os.kill(os.getpid(), number_of_signal)
                on_epoch(epoch, values)

            return pretence(task, troubled)

        def stubbed(**options: Any) -> Any:
            return original(**{**options, "hypermodel": small_space(), "run_trial": run_trial})

        searching.Search = stubbed  # type: ignore[assignment,misc]
        try:
            status = cli.search(["--dataset", "tiny.npz", "--run", RUN, *self.flags], "search.py")
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        return status


def always_dies(trial: str, epoch: int, number: int) -> signal.Signals | None:
    """In the second epoch of one trial."""
    return signal.SIGKILL if (trial, epoch) == (TROUBLED_TRIAL, 2) else None


def dies_twice_in_every_epoch(trial: str, epoch: int, number: int) -> signal.Signals | None:
    """Of one trial."""
    return signal.SIGKILL if trial == "baseline" and epoch == number // 2 + 1 else None


def is_interrupted(trial: str, epoch: int, number: int) -> signal.Signals | None:
    """Dies twice in an epoch of one trial, then is interrupted there again and again."""
    if (trial, epoch) != (TROUBLED_TRIAL, 2) or number >= 10:
        return None
    if number < 2:
        return signal.SIGKILL
    return signal.SIGTERM if number % 2 else signal.SIGINT


# Scenarios.

SMALL = {"max_epochs": 2, "factor": 2, "confirm": 1}
"""Ten trials: the baseline, 2 -> 1, 2, and four that confirm."""

SMALLEST = {"max_epochs": 1, "confirm": 0}
"""Two trials."""

SMALL_FLAGS = ("--max-epochs", "2", "--factor", "2", "--confirm", "0")
TROUBLED_TRIAL = "b0-r0-s1"

FINAL_POINTS = r".*: " + "|.*: ".join(
    (
        r"a batch is done \(2\)",
        r"half a write .*(begun|state|model|history|samples|result).*\(1\)",
        r"rename to .*(begun\.json|state\.npz|model\.keras|result\.json|final/best) ",
        r"(remove|rmdir) .*(state\.npz|result\.json|begun\.json|best) \(1\)",
    )
)
"""Of the points of a final training, whose sessions take seconds, one of each sort."""

SCENARIOS: dict[str, Scenario | Troubled] = {
    "saved": Scenario(StubSearch({**SMALL, "seed": 1})),
    "failing": Scenario(StubSearch({**SMALL, "confirm": 0, "seed": 2}, fails=True, saves=False)),
    "overwriting": Scenario(
        StubSearch({**SMALLEST, "seed": 1}, overwrites=True),
        Everywhere("start"),
        before=StubSearch({**SMALL, "seed": 2}),
    ),
    "repeating": Scenario(
        StubSearch(SMALLEST, overwrites=True), Everywhere("start"), before=StubSearch(SMALLEST, salt=1)
    ),
    "decoding": Scenario(StubSearch({**SMALLEST, "images_per_epoch": 12}, decodes=True), Everywhere("start")),
    "random": Scenario(
        StubSearch({"max_epochs": 3, "iterations": 2, "seed": 3}, fails=True), AtRandom(num=60, farthest=250)
    ),
    "tensorflow": Scenario(TinySearch(SMALL), AtRandom(num=30, farthest=80)),
    "final": Scenario(TinyFinal(epochs=3), Everywhere(FINAL_POINTS), before=searched_and_trained),
    "dying": Troubled(SMALL_FLAGS, always_dies),
    "getting-on": Troubled(("--max-epochs", "4", "--confirm", "0"), dies_twice_in_every_epoch),
    "interrupted": Troubled(SMALL_FLAGS, is_interrupted),
}


def draw_little() -> None:
    """One small picture for TensorBoard and a report in one line: all plots take seconds in every session."""
    from matplotlib.figure import Figure

    from archsearch.reporting import plot_figures
    from archsearch.reporting.html import page

    def search_figures(findings: Any) -> Iterator[tuple[str, str, Figure]]:
        yield "search/optimisation history", "", Figure(figsize=(1, 1))

    def render(findings: Any) -> str:
        return f"{len(findings.records)} trials"

    plot_figures.search_figures = search_figures
    page.render = render


def main(folder: Path, names: list[str]) -> None:
    """Imports all that a session may need, so that a child does not."""
    from archsearch import runtime

    # Tests that a shell runs in the background inherit that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    runtime.configure()
    modules = (
        *("matplotlib.backends.backend_agg", "psutil", "scipy.stats", "tensorflow", "PIL.Image"),
        *(
            f"archsearch.{name}"
            for name in ("best", "final_training", "oracle", "speed", "training", "tuner")
        ),
        *("archsearch.reporting.console", "archsearch.reporting.events", "space.hypermodel"),
        "archsearch.reporting.plot_figures",
        *("archsearch.reporting.html.page", "plotly.offline", "jinja2"),
        *("sklearn.ensemble", "sklearn.inspection"),
    )
    for module in modules:
        importlib.import_module(module)
    sys.modules["tensorflow"].get_logger().setLevel("ERROR")
    draw_little()
    gc.freeze()  # a collection in a child would copy all that it looks at
    for name in names:
        SCENARIOS[name].run(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
