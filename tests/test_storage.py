"""What becomes of a search when its files, its disk or its process fail: one sentence, and nothing lost."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import archsearch
from archsearch import cli
from archsearch.callbacks import SearchCallback
from archsearch.errors import StorageError, UserError
from archsearch.reporting.plan_text import describe
from archsearch.reporting.summary import summary
from archsearch.run import Run, read_stored
from archsearch.run_folder import RunFolder, read_json
from archsearch.searching import Search
from archsearch.trials import Status, TrialRecord, read_records

if TYPE_CHECKING:
    from archsearch.task import TrialResult, TrialTask
    from archsearch.training import OnEpoch

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

ROOT = Path(__file__).resolve().parent.parent

SMALL: dict[str, Any] = {"max_epochs": 2, "factor": 2, "confirm": 0}
"""Six trials: the baseline, 2 x 1 -> 1 x 2 epochs, and 2 x 2 epochs."""
SMALLEST: dict[str, Any] = {"max_epochs": 1, "confirm": 0}
"""Two trials of one epoch."""


def images(num: int = 40, seed: int = 0) -> Any:
    """Two classes of grey 8x8 noise."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 256, (num, 8, 8, 1), dtype=np.uint8), np.arange(num) % 2
    return (x, y), (x[:4], y[:4])


class Stub:
    """A run_trial that trains nothing, but saves its state at each epoch; it may be interrupted."""

    def __init__(self, *, interrupted_at: int | None = None) -> None:
        self.interrupted_at = interrupted_at
        self.tasks: list[TrialTask] = []

    def __call__(self, task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        from archsearch.checkpoints import Checkpoints
        from archsearch.task import TrialResult

        self.tasks.append(task)
        assert task.resume_folder is not None
        assert on_epoch is not None
        checkpoints = Checkpoints(task.resume_folder, task.identity)
        found = checkpoints.load()
        score = random.Random(f"{sorted(task.values.items())} {task.epochs}").random()
        epoch = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1 - score, "val_accuracy": score}
        curve = (epoch | {"learning_rate": 0.001, "seconds": 0.1},) * task.epochs
        for number, values in enumerate(curve):
            if found is None or number >= len(found.curve):
                checkpoints.save_if_due(lambda: {"weights": np.zeros(9)}, curve[: number + 1])
            on_epoch(number, values)
            if len(self.tasks) - 1 == self.interrupted_at:
                raise KeyboardInterrupt
        return TrialResult(Status.COMPLETED, curve, 0.1 * task.epochs, 0)


def own_space() -> Any:
    """A space that builds nothing, for nothing here trains."""
    import keras_tuner

    class Space(keras_tuner.HyperModel):
        def build(self, hp: Any) -> None:
            hp.Float("x", 0.0, 1.0, default=0.5)

    Space.__module__ = "own"  # the same in a process of its own
    return Space()


def search(path: Path, stub: Any = None, **options: Any) -> Run:
    """One session on the run in this folder; what is no option of `Search` is a setting given."""
    arguments: dict[str, Any] = {"data": images(), "overwrite": False, "callbacks": ()}
    arguments |= {name: options.pop(name) for name in (*arguments, "hypermodel") if name in options}
    if "hypermodel" not in arguments:
        arguments["hypermodel"] = own_space()
    return Search(
        folder=RunFolder(path), given=options, run_trial=Stub() if stub is None else stub, **arguments
    ).execute()


def interrupted(path: Path, *, at: int = 2, **options: Any) -> Path:
    """A search that was left in a trial after the first epoch, with its state saved."""
    with pytest.raises(KeyboardInterrupt):
        search(path, Stub(interrupted_at=at), **(SMALL | options))
    return path


def refusal(call: Callable[[], object]) -> str:
    """The sentence it ends with; empty if it comes to its end."""
    try:
        call()
    except UserError as error:
        return str(error)
    return ""


def log(path: Path) -> list[TrialRecord]:
    """Without what differs from one session to another."""
    records, torn = read_records(RunFolder(path).trials)
    assert not torn
    return [dataclasses.replace(one, seconds=0.0, elapsed_seconds=0.0) for one in records]


def tags(folder: Path) -> dict[str, set[str]]:
    """What TensorBoard finds below a folder: the tags of each event file's kind, by sub-folder and kind."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: dict[str, set[str]] = {}
    for path in folder.rglob("events.out.tfevents.*"):
        name = f"{path.parent.relative_to(folder)} {path.suffix}"
        assert name not in found, "one file of each kind"
        events = EventFileLoader(str(path)).Load()
        found[name] = {value.tag for event in events for value in event.summary.value}
    return found


PICTURE_BYTES = bytes(24)
"""As long as the head of a PNG file."""


def make_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch is saved; no machine is measured, nothing drawn, and the disk not waited for."""
    from archsearch import checkpoints, planning, runtime
    from archsearch.plan import Speed
    from archsearch.reporting import events, figures, report

    monkeypatch.setattr(checkpoints, "WORTH_SAVING", -1.0)
    monkeypatch.setattr(checkpoints, "MAX_SHARE", float("inf"))
    monkeypatch.setattr(planning, "estimate_speed", lambda: Speed(1e9, 1.0, "estimated"))
    monkeypatch.setattr(figures, "png", lambda figure: PICTURE_BYTES)
    monkeypatch.setattr(events, "search_history", lambda *args, **options: None)
    monkeypatch.setattr(events, "write_search_figures", lambda folder: None)
    monkeypatch.setattr(report, "write_report", lambda folder, **options: None)
    versions, machine = runtime.versions(), runtime.machine()
    monkeypatch.setattr(runtime, "versions", lambda: versions)
    monkeypatch.setattr(runtime, "machine", lambda: machine)
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tensorflow: Any) -> None:
    make_quick(monkeypatch)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Searches to their end, by their settings; never written to again."""
    made: dict[str, Path] = {}

    def of(**options: Any) -> Path:
        if str(options) not in made:
            made[str(options)] = tmp_path_factory.mktemp("undisturbed") / "run"
            search(made[str(options)], **options)
        return made[str(options)]

    return of


def check_whole(path: Path, like: Path) -> None:
    """The run holds the same as an undisturbed one, and nothing else is left over."""
    assert log(path) == log(like)
    assert read_json(RunFolder(path).settings)["finished"] is True
    assert read_json(RunFolder(path).best)["trial_id"] == read_json(RunFolder(like).best)["trial_id"]
    assert tags(path) == tags(like)
    names = {file.relative_to(path).as_posix() for file in path.rglob("*") if "tfevents" not in file.name}
    assert names == {
        file.relative_to(like).as_posix() for file in like.rglob("*") if "tfevents" not in file.name
    }


# A disk on which something fails.


class Disk:
    """Counts the operations that write below a folder, and refuses some.

    Args:
        folder: All else is left alone.
        fails_at: The first operation that is refused, counted from 0; `None`: none is.
        stays: Whether all that follow are refused, too, but those that need no room on a full disk.
        number: Of the system's error: `ENOSPC`, or `EROFS`, which refuses to remove files, too.
    """

    def __init__(
        self, folder: Path, fails_at: int | None = None, *, stays: bool = True, number: int = errno.ENOSPC
    ) -> None:
        self.folder, self.fails_at, self.stays, self.number = folder, fails_at, stays, number
        self.count = 0

    def step(self, path: object) -> None:
        """One operation.

        Raises:
            OSError: It is refused.
        """
        if not str(path).startswith(str(self.folder)):
            return
        self.count += 1
        refused = self.count - 1
        if self.fails_at is not None and (
            refused == self.fails_at or (self.stays and refused > self.fails_at)
        ):
            raise OSError(self.number, os.strerror(self.number), str(path))

    def insert(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Puts this disk below `pathlib` and `os.fsync`, through which everything is written."""
        real_open, real_mkdir, real_fsync = Path.open, Path.mkdir, os.fsync

        def opened(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            if not set(mode) & set("wax+"):
                return real_open(path, mode, *args, **options)
            self.step(path)
            return Written(real_open(path, mode, *args, **options), self, path)

        def mkdir(path: Path, *args: Any, **options: Any) -> None:
            if not path.exists():  # as the system, which first looks whether it is there
                self.step(path)
            real_mkdir(path, *args, **options)

        def fsync(number: int) -> None:
            self.step(Path(f"/proc/self/fd/{number}").readlink())
            real_fsync(number)

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(os, "fsync", fsync)
        for name in ("replace", "unlink", "rmdir"):
            if name == "replace" or self.number == errno.EROFS:
                monkeypatch.setattr(Path, name, self._refusing(getattr(Path, name)))

    def _refusing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(path: Path, *args: Any, **options: Any) -> Any:
            if path.exists():
                self.step(path)
            return real(path, *args, **options)

        return operation


class Written:
    """A file open for writing on a `Disk`; of what is refused, half is written."""

    def __init__(self, file: Any, disk: Disk, path: Path) -> None:
        self._file, self._disk, self._path = file, disk, path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Written:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def write(self, data: bytes) -> int:
        try:
            self._disk.step(self._path)
        except OSError:
            self._file.write(bytes(data)[: len(data) // 2])
            self._file.flush()
            raise
        written: int = self._file.write(data)
        return written


def count_operations(path: Path, **options: Any) -> int:
    """Of an undisturbed search."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(path)
        disk.insert(patch)
        search(path, **options)
    shutil.rmtree(path)
    return disk.count


@pytest.mark.parametrize(
    ("number", "stays", "sessions"),
    [(errno.ENOSPC, False, 1), (errno.ENOSPC, True, 3), (errno.EROFS, True, 2)],
)
def test_wherever_the_disk_fails_the_search_ends_with_a_sentence_and_goes_on(
    number: int, stays: bool, sessions: int, tmp_path: Path, undisturbed: Callable[..., Path]
) -> None:
    """At each of its operations; three sessions in a row count no trial as one that kills its process."""
    total = count_operations(tmp_path / "counted", **SMALLEST)
    assert total > 80
    for fails_at in range(total):
        path = tmp_path / str(fails_at)
        for session in range(sessions):
            with pytest.MonkeyPatch.context() as patch:
                Disk(path, fails_at, stays=stays, number=number).insert(patch)
                said = refusal(lambda: search(path, **SMALLEST))  # noqa: B023
            # A later session may have less to write, and come to the end.
            assert (os.strerror(number) in said and str(path) in said) or (session > 0 and not said), fails_at
        search(path, **SMALLEST)
        check_whole(path, undisturbed(**SMALLEST))


# The system's own limit on the size of a file.


def child(what: str, folder: str) -> None:
    """What a process of its own does for the tests below; it answers with one line of JSON a case."""
    from archsearch import runtime

    runtime.import_tensorflow()
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        {"limited": search_limited, "held": search_held}[what](Path(folder))


def command(what: str, folder: Path) -> list[str]:
    program = "import sys; sys.path[:0] = sys.argv[1:3]; import test_storage as t; t.child(*sys.argv[3:])"
    return [sys.executable, "-c", program, str(ROOT), str(Path(__file__).parent), what, str(folder)]


@contextlib.contextmanager
def files_below(num_bytes: int) -> Any:
    """No file of this process grows past this; Python ignores the signal, so that writing fails."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Limited(Stub):
    """Files are limited in its last trial, or just after it."""

    def __init__(self, limit: Callable[[], int], *, after: bool) -> None:
        super().__init__()
        self.limit, self.after = limit, after

    def __call__(self, task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        last = len(self.tasks) == 5
        if last and not self.after:
            self.set()
        result = super().__call__(task, on_epoch)
        if last and self.after:
            self.set()
        return result

    def set(self) -> None:
        import resource

        resource.setrlimit(
            resource.RLIMIT_FSIZE, (self.limit(), resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        )


def search_limited(folder: Path) -> None:
    cases: dict[str, Callable[[Path], Stub]] = {
        "settings.json": lambda path: Stub(),
        "state.npz": lambda path: Limited(lambda: 300, after=False),
        "trials.jsonl": lambda path: Limited(lambda: (path / LOG).stat().st_size + 100, after=True),
    }
    for name, stub in cases.items():
        with files_below(0 if name == "settings.json" else 10**9):
            said = refusal(lambda: search(folder / name, stub(folder / name), **SMALL))  # noqa: B023
        search(folder / name, **SMALL)
        print(json.dumps([name, said]), flush=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_file_that_cannot_grow_ends_the_search_with_its_name(
    tmp_path: Path, undisturbed: Callable[..., Path]
) -> None:
    ran = subprocess.run(command("limited", tmp_path), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for name, said in map(json.loads, ran.stdout.splitlines()):
        assert said.endswith(
            f"{name} cannot be written: File too large. What was finished before is saved; mend this and run "
            "the same command again."
        )
        check_whole(tmp_path / name, undisturbed(**SMALL))
    assert ran.stdout.count("\n") == 3


# Folders that cannot be written or read.


def told(*flags: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status of a search's command, and what it said on stderr: of an error, one line."""
    capsys.readouterr()
    status = cli.search(flags, "python search.py")
    said = capsys.readouterr().err
    if status == 1:
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    return status, said


def save_npz(path: Path, seed: int = 0) -> str:
    (x, y), (x_test, y_test) = images(seed=seed)
    np.savez(path, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return str(path)


def test_logs_below_a_file_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = save_npz(tmp_path / "data.npz")
    flags = ("--logs", data, "--dataset", data)
    status, said = told(*flags, capsys=capsys)
    assert status == 1
    assert f"{data}/default cannot be written: " in said
    assert told("--logs", data, "--status", capsys=capsys) == (
        1,
        f"error: There is no search in {data}/default. Start one with `python search.py`.\n",
    )
    final = ("--documented", "--logs", data, "--dataset", data)
    assert cli.final_train(final, "python final_train.py") == 1
    assert f"error: {data}/default/final/documented cannot be written: " in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_answer_for_which_there_is_no_room_is_one_sentence(unbuffered: str, left: Path) -> None:
    program = [
        sys.executable,
        str(ROOT / "search.py"),
        "--status",
        "--logs",
        str(left.parent),
        "--run",
        "run",
    ]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert (ran.returncode, ran.stderr) == (1, "error: standard output: No space left on device.\n")


def test_a_name_that_is_too_long_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--logs", str(tmp_path), "--run", 300 * "a")
    for more in ((), ("--status",), ("--plan",)):
        status, said = told(*flags, *more, capsys=capsys)
        assert status == 1
        assert "File name too long." in said
    assert cli.final_train(("--documented", *flags), "python final_train.py") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "File name too long." in said
    assert said.count("\n") == 1


def test_a_folder_that_may_not_be_entered_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system says it to who is not root."""
    path = interrupted(tmp_path / "run")
    real = os.stat

    def refused(file: Any, *args: Any, **options: Any) -> Any:
        if str(file).startswith(str(path)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return real(file, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refused)
        for flags in ((), ("--status",), ("--plan",)):
            status, said = told("--logs", str(tmp_path), "--run", "run", *flags, capsys=capsys)
            assert status == 1
            assert f"{path}" in said
            assert "Permission denied" in said


def test_a_run_removed_while_it_is_searched_is_one_sentence(tmp_path: Path) -> None:
    class Remove(SearchCallback):
        def on_epoch_end(self, *args: Any) -> None:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(StorageError, match="No such file or directory"):
        search(tmp_path / "run", callbacks=(Remove(),), **SMALL)


# Damaged and foreign files.

DAMAGES: dict[str, Callable[[bytes], bytes] | None] = {
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "noise": lambda data: b"\xff\xfe\x00noise",
    "zeros": lambda data: b"\0" * 4096,
    "list": lambda data: b"[1, 2]\n",
    "foreign": lambda data: b'{"name": "thesis", "version": 3}\n',
    "pickle": lambda data: pickle.dumps({"a": 1}),
    "folder": None,
}


def damage(path: Path, how: str) -> None:
    """What stands in its place afterwards may be a folder."""
    change = DAMAGES[how]
    if change is not None:
        path.write_bytes(change(path.read_bytes()))
        return
    path.unlink()
    path.mkdir()
    (path / "thesis.tex").touch()


SETTINGS, LOG, BEST, LOCK = "settings.json", "trials.jsonl", "best.json", "lock"
SPEED, PICTURE = "cache/speed.json", "search.png"
ATTEMPTS, STATE = "trials/b1-r0-s1/attempts.json", "trials/b1-r0-s1/resume/state.npz"
CONTENTS = tuple(how for how in DAMAGES if how != "folder")

REFUSED = (
    *((SETTINGS, how, "Restore it, or start over with --overwrite") for how in DAMAGES),
    *((LOG, how, "Remove that line to lose only its trial") for how in ("list", "foreign")),
    (LOG, "folder", "Is a directory"),
    *((ATTEMPTS, how, "Remove it, and run the same command again") for how in DAMAGES),
    *((STATE, how, "Remove it: its training then starts afresh") for how in DAMAGES),
    *((name, "folder", "Is a directory") for name in (BEST, LOCK, SPEED, PICTURE)),
)
CONTINUED = (
    *((LOG, how) for how in ("half", "empty", "noise", "zeros")),
    *((name, how) for name in (BEST, LOCK, SPEED, PICTURE) for how in CONTENTS),
)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was left in its third trial, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        path = interrupted(tmp_path_factory.mktemp("left") / "run")
    for name in (ATTEMPTS, STATE, PICTURE):
        assert (path / name).exists()
    return path


def copy(path: Path, to: Path) -> Path:
    return Path(shutil.copytree(path, to / "run"))


def contents(path: Path) -> dict[str, bytes]:
    files = (file for file in path.rglob("*") if file.is_file())
    return {str(file): file.read_bytes() for file in files if file.name != LOCK}


@pytest.mark.parametrize(("name", "how", "advice"), REFUSED)
def test_a_damaged_file_that_is_needed_is_named_with_what_to_do(
    name: str, how: str, advice: str, tmp_path: Path, left: Path, undisturbed: Callable[..., Path]
) -> None:
    """And with the file as it was, or removed where that is the advice, nothing is lost."""
    path = copy(left, tmp_path)
    damage(path / name, how)
    before = log(left)
    with pytest.raises(UserError, match=advice) as refusal:
        search(path)
    assert str(path / name) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    if name != LOG:
        assert log(path)[: len(before)] == before
    if (path / name).is_dir():
        shutil.rmtree(path / name)
    elif advice.startswith("Remove it"):
        (path / name).unlink()
    if (left / name).exists() and not advice.startswith("Remove it"):
        shutil.copy(left / name, path / name)
    search(path)
    check_whole(path, undisturbed(**SMALL))


@pytest.mark.parametrize(("name", "how"), CONTINUED)
def test_a_damaged_file_that_can_be_made_anew_is(
    name: str, how: str, tmp_path: Path, left: Path, undisturbed: Callable[..., Path]
) -> None:
    path = copy(left, tmp_path)
    damage(path / name, how)
    search(path)
    check_whole(path, undisturbed(**SMALL))


@pytest.mark.parametrize(
    ("name", "how"), [(name, how) for name, how, _ in REFUSED if name in (SETTINGS, LOG)]
)
def test_a_search_with_damaged_files_can_be_started_over(
    name: str, how: str, tmp_path: Path, left: Path, undisturbed: Callable[..., Path]
) -> None:
    path = copy(left, tmp_path)
    damage(path / name, how)
    if how == "folder":
        in_the_way = RunFolder(path).overwritten if name == SETTINGS else path / name
        with pytest.raises(StorageError, match=f"{in_the_way} cannot be written: Is a directory"):
            search(path, overwrite=True, **SMALL)
        shutil.rmtree(in_the_way)
    search(path, overwrite=True, **SMALL)
    check_whole(path, undisturbed(**SMALL))


@pytest.mark.parametrize("name", [SETTINGS, LOG, BEST, LOCK, SPEED, PICTURE, ATTEMPTS, STATE])
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("flags", [("--status", "--json"), ("--plan",)])
def test_status_and_plan_of_a_damaged_run_are_an_answer_or_one_sentence(
    flags: tuple[str, ...],
    name: str,
    how: str,
    tmp_path: Path,
    left: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = copy(left, tmp_path)
    damage(path / name, how)
    before = contents(path)
    status, said = told("--logs", str(tmp_path), "--run", "run", *flags, capsys=capsys)
    needed = {SETTINGS} if "--plan" in flags else {SETTINGS, ATTEMPTS}
    readable = name == LOG and (how in ("half", "empty", "noise", "zeros") or "--plan" in flags)
    assert status == (1 if name in needed or (name == LOG and not readable) else 0)
    if status == 1:
        assert str(path / name) in said
    assert contents(path) == before


@pytest.mark.parametrize("how", DAMAGES)
def test_the_plan_of_a_new_search_names_a_damaged_speed(
    how: str, tmp_path: Path, left: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy(left, tmp_path)
    damage(path / SPEED, how)
    flags = ("--logs", str(tmp_path), "--run", "run", "--overwrite", "--plan", "--dataset")
    status, said = told(*flags, save_npz(tmp_path / "data.npz"), capsys=capsys)
    assert status == 1
    assert str(path / SPEED) in said
    assert "Remove it: the speed is measured again." in said


@pytest.mark.parametrize("line", [b'{"trial_id": "base', b"\0" * 100, b"\xff\xfe", b"null", b"[" * 10**5])
def test_a_damaged_line_in_the_middle_costs_only_its_trial(
    line: bytes, tmp_path: Path, left: Path, undisturbed: Callable[..., Path]
) -> None:
    path = copy(left, tmp_path)
    file = path / LOG
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], line + b"\n", *lines[2:]]))
    before = file.read_bytes()
    with pytest.raises(UserError, match=f"{file} is damaged in line 2 ") as refusal:
        search(path)
    assert len(str(refusal.value)) < 1000
    assert file.read_bytes() == before
    file.write_bytes(b"".join([lines[0], *lines[2:]]))
    search(path)
    key = lambda record: record.trial_id  # noqa: E731
    assert sorted(log(path), key=key) == sorted(log(undisturbed(**SMALL)), key=key)


def places(data: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Of every value in nested mappings."""
    found: list[tuple[str, ...]] = []
    for name, value in data.items() if isinstance(data, dict) else ():
        found += [(*above, name), *places(value, (*above, name))]
    return found


def changed(data: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    data = json.loads(json.dumps(data))
    at = data
    for name in place[:-1]:
        at = at[name]
    if value is None:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return data


@pytest.mark.parametrize("value", [None, "x", -1, 1.5, [], {"a": 1}])
def test_settings_edited_by_hand_are_read_or_refused_by_name(value: Any, tmp_path: Path, left: Path) -> None:
    """Every value left out (`None`) or of another kind; what is read is told without a traceback."""
    stored = read_json(left / SETTINGS)
    path = copy(left, tmp_path)
    for place in places({name: stored[name] for name in stored if name not in ("machine", "space")}):
        (path / SETTINGS).write_text(json.dumps(changed(stored, place, value)))
        said = refusal(lambda: read_stored(RunFolder(path)))
        assert not said or str(path / SETTINGS) in said, place
        if not said:
            run = Run(RunFolder(path))
            list(summary(run))
            list(describe(run.plan))


@pytest.mark.parametrize("value", [None, "x", -1, 1.5, [], {"a": 1}])
def test_a_line_edited_by_hand_is_read_or_refused_by_its_number(
    value: Any, tmp_path: Path, left: Path
) -> None:
    path = copy(left, tmp_path)
    lines = (left / LOG).read_text().splitlines()
    for number, line in enumerate(lines):
        for place in places(json.loads(line)):
            edited = json.dumps(changed(json.loads(line), place, value))
            (path / LOG).write_text("\n".join([*lines[:number], edited, *lines[number + 1 :], ""]))
            run = Run(RunFolder(path))
            said = refusal(lambda: [*summary(run), json.dumps(run.to_status())])  # noqa: B023
            assert not said or f"{path / LOG} is damaged in line {number + 1} " in said, place


def test_the_log_of_another_search_is_refused(tmp_path: Path, left: Path) -> None:
    path = copy(left, tmp_path)
    search(tmp_path / "other", max_epochs=4, factor=2, confirm=0)
    shutil.copy(tmp_path / "other" / LOG, path / LOG)
    before = contents(path)
    with pytest.raises(UserError, match=f"{path / LOG} is not the log of this search, which has no trial "):
        search(path)
    assert contents(path) == before


def test_what_a_killed_process_left_half_written_is_in_nobodys_way(
    tmp_path: Path, left: Path, undisturbed: Callable[..., Path]
) -> None:
    path = copy(left, tmp_path)
    for file in (SETTINGS, BEST, SPEED, PICTURE, ATTEMPTS, STATE):
        unfinished = (path / file).with_name(f".{Path(file).name}.unfinished")
        unfinished.write_bytes(b"half of")
    search(path)
    check_whole(path, undisturbed(**SMALL))


def test_damaged_event_files_of_a_trial_that_runs_are_written_anew(
    tmp_path: Path, left: Path, undisturbed: Callable[..., Path]
) -> None:
    path = copy(left, tmp_path)
    (curves,) = (path / "trials" / "b1-r0-s1").glob("*.curves")
    (declared,) = path.glob("*.hparams")
    curves.write_bytes(b"noise")
    declared.write_bytes(b"noise")
    search(path)
    check_whole(path, undisturbed(**SMALL))


def test_the_state_of_another_training_is_not_taken(
    tmp_path: Path, left: Path, undisturbed: Callable[..., Path]
) -> None:
    from archsearch.checkpoints import Checkpoints

    path = copy(left, tmp_path)
    other = Checkpoints((path / STATE).parent, {"of": "another"})
    other.save_if_due(lambda: {"weights": np.zeros(1)}, ({"loss": 7.0},) * 9)
    search(path)
    check_whole(path, undisturbed(**SMALL))


class Bomb:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_state_with_python_objects_inside_runs_no_code(tmp_path: Path, left: Path) -> None:
    path = copy(left, tmp_path)
    np.savez(path / STATE, allow_pickle=True, weights=np.array([Bomb(tmp_path / "went off")], dtype=object))
    with pytest.raises(UserError, match=f"{path / STATE} cannot be read "):
        search(path)
    assert not (tmp_path / "went off").exists()


# Two at once.


class Held(Stub):
    """Waits in its third trial until its standard input is closed."""

    def __call__(self, task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        if len(self.tasks) == 2:
            print("held", flush=True)
            sys.stdin.read()
        return super().__call__(task, on_epoch)


def search_held(path: Path) -> None:
    search(path, Held(), **SMALL)


def test_a_second_search_is_refused_until_the_first_is_killed_and_then_goes_on(
    tmp_path: Path, undisturbed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    with subprocess.Popen(
        command("held", path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        before = contents(path)
        flags = ("--logs", str(tmp_path), "--run", "run")
        for more in ((), ("--overwrite",)):
            assert told(*flags, *more, capsys=capsys) == (
                1,
                f"error: Another process is working on {path}. Wait for it, or choose another --run.\n",
            )
        assert told(*flags, "--status", capsys=capsys)[0] == 0
        assert contents(path) == before
        first.kill()
    search(path)
    check_whole(path, undisturbed(**SMALL))


HOLD = """
import sys
from pathlib import Path
from archsearch.run_folder import locked
with locked(Path(sys.argv[1]), Path()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_final_training_is_refused_until_the_first_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "default" / "final" / "documented"
    (x, y), _ = images()
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y)  # without a test part, so nothing is trained
    flags = ("--documented", "--logs", str(tmp_path), "--dataset", str(tmp_path / "data.npz"))
    program = [sys.executable, "-c", HOLD, f"{target}.lock"]
    with subprocess.Popen(
        program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert cli.final_train(flags, "python final_train.py") == 1
        assert capsys.readouterr().err == (
            f"error: Another process is working on {target}. Wait for it, or choose another --run.\n"
        )
        first.kill()
    assert cli.final_train(flags, "python final_train.py") == 1
    assert "has no test part" in capsys.readouterr().err


# Runs and data in another place.


@pytest.mark.parametrize("at", range(6))
def test_a_copy_goes_on_to_the_same_trials_and_leaves_the_original_alone(
    at: int, tmp_path: Path, undisturbed: Callable[..., Path]
) -> None:
    path = interrupted(tmp_path / "here" / "run", at=at)
    before = contents(path)
    moved = tmp_path / "elsewhere" / "deeper" / "another-name"
    shutil.copytree(path, moved)
    search(moved)
    check_whole(moved, undisturbed(**SMALL))
    assert contents(path) == before


def test_data_in_another_place_are_the_same_data_and_other_data_are_refused(tmp_path: Path) -> None:
    here, there, other = (str(tmp_path / f"{name}.npz") for name in ("here", "there", "other"))
    save_npz(Path(here))
    save_npz(Path(other), seed=1)
    path = interrupted(tmp_path / "run", data=here, dataset=here)
    Path(here).rename(there)
    with pytest.raises(UserError, match=f"{here} is no built-in name and does not exist"):
        search(path, data=None)
    before = log(path)
    with pytest.raises(UserError, match=r"another search \(the images or labels are not the same\)"):
        search(path, data=other, dataset=other)
    assert log(path) == before
    assert Run(RunFolder(path)).settings.dataset == here
    run = search(path, data=there, dataset=there)
    assert run.finished
    assert run.settings.dataset == there
    assert log(path)[: len(before)] == before
    assert search(path, data=None).finished


# Signals.

BLOCKED = """
import sys, archsearch
from archsearch import cli
def search(*args, **options):
    try:
        print("running", flush=True)
        sys.stdin.readline()
    finally:
        print("saving", flush=True)
        sys.stdin.readline()
        print("saved", flush=True)
archsearch.search = search
sys.exit(cli.search(["--logs", sys.argv[1]], "python search.py"))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("second", [None, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("first", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_lets_it_save_and_a_second_one_leaves_at_once(
    first: signal.Signals, status: int, second: signal.Signals | None, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BLOCKED, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell runs in the background inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(first)
        assert process.stdout.readline() == "saving\n"
        if second is not None:
            process.send_signal(second)
            assert process.wait() == {signal.SIGINT: 130, signal.SIGTERM: 143}[second]
            assert process.stdout.read() == ""
            return
        out, err = process.communicate("\n")
    assert process.returncode == status
    assert out == "saved\n"
    assert err == (
        f"\ninterrupted; every finished trial is saved. Continue: python search.py --logs {tmp_path}\n"
    )


# The final training.


def tiny(how: str = "") -> Any:
    """A space of networks of one layer, in which something may be wrong."""
    import keras
    import keras_tuner

    class Tiny(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            kind = hp.Choice("kind", ["plain", "broken"])
            hp.Float("x", 0.0, 1.0, default=0.5)
            if how == "cannot be built":
                raise ValueError("not today")
            if kind == "broken" and how == "some cannot be built":
                raise ValueError("no such kind")
            if how == "some cannot be built, under a condition":
                with hp.conditional_scope("kind", ["broken"]):
                    if kind == "broken":
                        raise ValueError("no such kind")
            if how == "no model":
                return None
            # Without an input, a network knows its weights only from its first images.
            first = [keras.Input((8, 8, 1))] if how else []
            layers = [keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
            model = keras.Sequential([*first, *layers])
            model.compile(
                loss={"nan": nan, "inf": inf}.get(how, "categorical_crossentropy"),
                metrics=[] if how == "no metric" else ["accuracy"],
                run_eagerly=True,  # quicker than tracing so small a network
            )
            return model

        def fit(self, hp: Any, model: Any, *args: Any, **options: Any) -> Any:
            if how == "cannot be trained":
                raise RuntimeError("broken\nin many words")
            if how == "no memory":
                raise MemoryError("no room")
            return super().fit(hp, model, *args, **options)

    def nan(true: Any, predicted: Any) -> Any:
        return keras.ops.sum(predicted, axis=-1) * float("nan")

    def inf(true: Any, predicted: Any) -> Any:
        return keras.ops.sum(predicted, axis=-1) * float("inf")

    return Tiny()


def final_train(logs: Path, **options: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"hypermodel": tiny(), "data": images(), "run": "run", "epochs": 3}
    return archsearch.final_train("best", logs=logs, verbose=False, **(arguments | options))


def interrupt_final(logs: Path, **options: Any) -> None:
    """Leaves a final training after the second of its three epochs."""
    from archsearch.reporting.tensorboard import TrialEvents

    def epoch(self: TrialEvents, number: int, values: object) -> None:
        if number == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrialEvents, "epoch", epoch)
        with pytest.raises(KeyboardInterrupt):
            final_train(logs, **options)


UNFINISHED = Path("run/final/best.unfinished")
BEGUN, RESUME = "begun.json", "resume/state.npz"


@pytest.fixture(scope="module")
def left_final(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of a search with an interrupted final training, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        logs = tmp_path_factory.mktemp("left_final")
        search(logs / "run", hypermodel=tiny(), **SMALLEST)
        interrupt_final(logs)
    for name in (BEGUN, RESUME):
        assert (logs / UNFINISHED / name).exists()
    return logs


@pytest.fixture(scope="module")
def whole_final(tmp_path_factory: pytest.TempPathFactory, left_final: Path) -> dict[str, Any]:
    """The result of the same one undisturbed."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        logs = tmp_path_factory.mktemp("whole_final")
        shutil.copytree(left_final / "run", logs / "run", ignore=shutil.ignore_patterns("final"))
        return final_train(logs)


def same_result(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in one if not name.endswith("seconds"))


def no_training(*args: Any) -> None:
    raise AssertionError("nothing is to be trained")


@pytest.mark.parametrize("name", [BEGUN, RESUME])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_of_a_final_training_is_named_with_what_to_do(
    name: str, how: str, tmp_path: Path, left_final: Path
) -> None:
    logs = Path(shutil.copytree(left_final, tmp_path / "logs"))
    damage(logs / UNFINISHED / name, how)
    before = {file: data for file, data in contents(logs).items() if "tfevents" not in file}
    with pytest.raises(UserError, match=r"Remove it: |Start over with --overwrite") as error:
        final_train(logs)
    assert str(logs / UNFINISHED / name) in str(error.value)
    assert {file: data for file, data in contents(logs).items() if "tfevents" not in file} == before


def test_a_final_training_goes_on_in_a_copy_to_the_same_result(
    tmp_path: Path, left_final: Path, whole_final: dict[str, Any]
) -> None:
    logs = Path(shutil.copytree(left_final, tmp_path / "elsewhere"))
    result = final_train(logs, epochs=None)
    assert same_result(result, whole_final)
    (final,) = [file for file in (logs / "run" / "final").iterdir() if file.suffix != ".lock"]
    assert final.name == "best"
    assert len(read_json(final / "history.json")["epochs"]) == 3
    assert not (final / BEGUN).exists()
    assert not (final / "resume").exists()


def test_a_final_training_without_its_state_starts_afresh_to_the_same_result(
    tmp_path: Path, left_final: Path, whole_final: dict[str, Any]
) -> None:
    logs = Path(shutil.copytree(left_final, tmp_path / "logs"))
    (logs / UNFINISHED / RESUME).unlink()
    assert same_result(final_train(logs), whole_final)


def test_a_final_training_killed_before_it_stands_in_its_place_is_not_trained_again(
    tmp_path: Path, left_final: Path, whole_final: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import final_training, training

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    logs = Path(shutil.copytree(left_final, tmp_path / "logs"))
    with monkeypatch.context() as patch:
        patch.setattr(final_training, "put_in_place", interrupt)
        with pytest.raises(KeyboardInterrupt):
            final_train(logs)
    monkeypatch.setattr(training.Training, "run", no_training)
    assert same_result(final_train(logs), whole_final)
    assert (logs / "run/final/best/model.keras").exists()
    assert not (logs / UNFINISHED).exists()


def test_an_interrupted_replacement_goes_on_and_the_earlier_result_stays_until_then(
    tmp_path: Path, left_final: Path, whole_final: dict[str, Any]
) -> None:
    """The command that is told at the interruption is without --overwrite."""
    logs = Path(shutil.copytree(left_final, tmp_path / "logs"))
    earlier = final_train(logs, epochs=None)
    interrupt_final(logs, overwrite=True, seed=7)
    assert same_result(read_json(logs / "run/final/best/result.json"), earlier)
    result = final_train(logs, epochs=None)
    assert (result["seed"], result["epochs"]) == (7, 3)
    with pytest.raises(
        UserError, match=r"holds an earlier final training.*`archsearch export run .*--format FORMATS`"
    ):
        final_train(logs, epochs=None)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_model_that_cannot_be_saved_is_one_sentence_and_its_training_goes_on(
    tmp_path: Path, left_final: Path, whole_final: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import final_result

    real = final_result.save_model

    def limited(*args: Any) -> None:
        with files_below(1000):
            real(*args)

    logs = Path(shutil.copytree(left_final, tmp_path / "logs"))
    with monkeypatch.context() as patch:
        patch.setattr(final_result, "save_model", limited)
        with pytest.raises(StorageError, match=r"unfinished/model\.keras cannot be written: File too large"):
            final_train(logs)
    assert not any(file.suffix == ".keras" for file in (logs / UNFINISHED).iterdir())
    assert same_result(final_train(logs), whole_final)


# Mistakes in a space of one's own.


THREE: dict[str, Any] = {"max_epochs": 1, "iterations": 2}
"""The baseline, and one trial an iteration, the second of which draws "broken" first."""


class Notes(SearchCallback):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_note(self, text: str) -> None:
        self.texts.append(text)


def search_truly(path: Path, how: str, **options: Any) -> tuple[Run, list[str]]:
    """With real trainings; and what was said."""
    from archsearch.training import run_trial

    notes = Notes()
    settings = {"confirm": 0, "callbacks": (notes,), **options}
    return search(path, run_trial, hypermodel=tiny(how), **settings), notes.texts


@pytest.mark.parametrize(
    ("how", "reason", "is_shown"),
    [
        (
            "no model",
            "WrongHyperModel: The hypermodel's `build` returned None instead of a keras.Model.",
            True,
        ),
        ("no metric", "The last epoch reported no finite val_accuracy.", False),
        ("no memory", "MemoryError: no room", False),
        ("nan", "Diverged: the loss was nan in epoch 1; a smaller learning rate may help", False),
        ("inf", "Diverged: the loss was inf in epoch 1; a smaller learning rate may help", False),
    ],
)
def test_what_goes_wrong_in_every_trial_is_its_reason(
    how: str, reason: str, is_shown: bool, tmp_path: Path
) -> None:
    """The baseline, and three draws of the one slot."""
    run, notes = search_truly(tmp_path / "run", how, max_epochs=1)
    assert [record.status for record in run.trials] == [Status.FAILED] * 4
    assert all((record.message or "").startswith(reason) for record in run.trials)
    told = [line for line in summary(run) if reason in line]
    assert len(told) == 4
    assert "No trial succeeded." in list(summary(run))
    traces = [text for text in notes if "Traceback" in text]
    assert len(traces) == is_shown
    if is_shown:
        assert traces[0].startswith("baseline failed with {'kind': 'plain', 'x': 0.5}\n")


def test_what_goes_wrong_with_some_values_costs_these_trials_alone(tmp_path: Path) -> None:
    run, notes = search_truly(tmp_path / "run", "some cannot be built", **THREE)
    failed = [record for record in run.trials if record.hyperparameters["kind"] == "broken"]
    assert failed
    assert {record.message for record in failed} == {"ValueError: no such kind"}
    assert all((record in failed) == (record.status is Status.FAILED) for record in run.trials)
    assert run.incumbent is not None
    (trace,) = [text for text in notes if "Traceback" in text]
    assert trace.startswith(f"{failed[0].trial_id} failed with {failed[0].hyperparameters}\n")


def test_values_that_cannot_be_counted_cost_these_trials_alone(tmp_path: Path) -> None:
    """A limit on the weights means that networks are built before their trials."""
    run, _ = search_truly(tmp_path / "run", "some cannot be built", **THREE, max_params=10_000)
    assert {record.status for record in run.trials if record.hyperparameters["kind"] == "plain"} == {
        Status.COMPLETED
    }
    assert {record.message for record in run.trials if record.hyperparameters["kind"] == "broken"} <= {
        "ValueError: no such kind"
    }


@pytest.mark.parametrize(
    ("how", "status", "said", "num_traces"),
    [
        ("cannot be built", 1, "cannot be built with {'kind': 'plain', 'x': 0.5}: ValueError: not today", 1),
        ("some cannot be built, under a condition", 1, "'kind': 'broken'", 1),
        ("cannot be trained", 3, "FAILED: RuntimeError: broken", 1),
        ("some cannot be built", 0, "ValueError: no such kind", 1),
    ],
)
def test_a_space_of_ones_own_with_a_mistake_ends_with_its_status(
    how: str,
    status: int,
    said: str,
    num_traces: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a command; the space and the images are handed in."""
    from archsearch import speed

    real = archsearch.search
    monkeypatch.setattr(
        archsearch, "search", lambda **options: real(images(), hypermodel=tiny(how), **options)
    )
    monkeypatch.setattr(speed, "measure_speed", no_training)
    flags = ("--logs", str(tmp_path), "--max-epochs", "1", "--iterations", "2", "--confirm", "0")
    assert cli.search(flags, "python search.py") == status
    err = capsys.readouterr().err
    assert said in err
    assert err.count("Traceback (most recent call last)") == num_traces
    assert (tmp_path / "default").exists() == (status != 1)


# Decoded images.


def test_damaged_decoded_images_are_named_and_made_anew_once_removed(tmp_path: Path) -> None:
    from PIL import Image

    from archsearch.dataset import load

    for number, pixels in enumerate(images()[0][0][:20, ..., 0]):
        file = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    whole = load(str(tmp_path / "data"), seed=0, cache=tmp_path / "cache").content_hash
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 4
    for file in files:
        file.write_bytes(file.read_bytes()[:5])
        with pytest.raises(UserError, match=rf"{file} cannot be read .* Remove it: the images are "):
            load(str(tmp_path / "data"), seed=0, cache=tmp_path / "cache")
        file.unlink()
        assert load(str(tmp_path / "data"), seed=0, cache=tmp_path / "cache").content_hash == whole


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_images_for_which_there_is_no_room_are_one_sentence(tmp_path: Path) -> None:
    from archsearch.dataset import subset
    from archsearch.readers.source import Images

    (x, y), _ = images()
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=x.shape)
    with (
        files_below(100),
        pytest.raises(StorageError, match=r"part-\w+\.npy cannot be written: File too large"),
    ):
        subset(Images(mapped, y), 20, 0, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
