"""Worker processes that are killed, freeze and starve, with trials that only pretend to train."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from archsearch.dataset import Images
from archsearch.errors import HyperModelError, StorageError, UserError
from archsearch.executors import WorkerDied
from archsearch.sharing import stored
from archsearch.task import TrainingData, TrialResult, TrialTask
from archsearch.trials import Status
from archsearch.workers import WorkerExecutor, setup_of
from tests.pretending import HardToOpen, PlainSpace, Pretender, Trouble, starts

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Stops processes and reads /proc")

SHORT = 2.0
"""Seconds without a sign of life, after which a worker counts as frozen."""


def task(trial_id: str, *, epochs: int = 2) -> TrialTask:
    anything: Any = None
    return TrialTask(trial_id, {}, anything, anything, epochs, seed=7)


def silent(epoch: int, values: Mapping[str, float]) -> None:
    pass


@pytest.fixture
def executor() -> Iterator[Callable[..., WorkerExecutor]]:
    """Makes executors without data whose workers are gone after the test."""
    with ExitStack() as stack:

        def make(num: int = 1, *, setup: Any = None, **options: Any) -> WorkerExecutor:
            setup = setup or setup_of(PlainSpace(), None, precision=None)
            environments = {str(n): {"TF_NUM_INTRAOP_THREADS": str(n)} for n in range(1, num + 1)}
            return stack.enter_context(WorkerExecutor(setup, environments, **options))

        yield make


def process_of(trial: TrialTask, on_epoch: Any) -> TrialResult:
    return TrialResult(Status.COMPLETED, (), 0.0, 0, message=str(os.getpid()))


# What workers are.


def test_a_worker_is_another_process_that_is_used_again(executor: Callable[..., WorkerExecutor]) -> None:
    workers = executor()
    results = [workers.submit(process_of, task("a"), silent).result() for _ in range(3)]
    [process] = {int(result.message) for result in results}
    assert process != os.getpid()


def test_each_worker_has_its_name_and_its_environment(executor: Callable[..., WorkerExecutor]) -> None:
    def threads(trial: TrialTask, on_epoch: Any) -> TrialResult:
        return TrialResult(Status.COMPLETED, (), 0.0, 0, message=os.environ["TF_NUM_INTRAOP_THREADS"])

    workers = executor(2)
    futures: Any = [workers.submit(threads, task(name), silent) for name in "ab"]
    assert [future.worker for future in futures] == ["1", "2"]
    assert [future.result().message for future in futures] == ["1", "2"]


def test_epochs_are_told_in_order_before_the_result(
    tmp_path: Path, executor: Callable[..., WorkerExecutor]
) -> None:
    told: list[int] = []
    future = executor().submit(
        Pretender(tmp_path), task("a", epochs=50), lambda epoch, values: told.append(epoch)
    )
    future.result()
    assert told == list(range(50))


def test_a_busy_worker_takes_no_second_trial(tmp_path: Path, executor: Callable[..., WorkerExecutor]) -> None:
    workers = executor()
    workers.submit(Pretender(tmp_path, {"a": (("wait", 0),)}), task("a"), silent)
    with pytest.raises(RuntimeError, match="No worker is idle"):
        workers.submit(Pretender(tmp_path), task("b"), silent)


@pytest.mark.parametrize(
    "error",
    [
        UserError("state.npz cannot be read"),
        HyperModelError("Space cannot be built"),
        StorageError(Path("state.npz"), OSError(28, "No space left on device")),
    ],
)
def test_what_a_trial_raises_comes_back(error: UserError, executor: Callable[..., WorkerExecutor]) -> None:
    def broken(trial: TrialTask, on_epoch: Any) -> TrialResult:
        raise error

    workers = executor()
    with pytest.raises(UserError) as raised:
        workers.submit(broken, task("a"), silent).result()
    assert type(raised.value) is type(error)
    assert str(raised.value) == str(error)
    assert workers.submit(process_of, task("b"), silent).result().message


def test_the_hypermodel_and_the_images_are_there_already(
    tmp_path: Path, executor: Callable[..., WorkerExecutor]
) -> None:
    def seen(trial: TrialTask, on_epoch: Any) -> TrialResult:
        space: Any = trial.hypermodel
        data = trial.dataset
        assert data.validation is not None
        text = (
            f"{space.value} {type(data.train.x).__name__} {data.train.x.sum()} {data.validation.y.tolist()}"
        )
        return TrialResult(Status.COMPLETED, (), 0.0, 0, message=text)

    x = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 1)
    images = Images(x, np.array([0, 1]))
    with stored(TrainingData(images, images, 2, flip=True), tmp_path / "cache") as data:
        setup = setup_of(PlainSpace("a space"), data, precision=None)
        future = executor(setup=setup).submit(seen, task("a"), silent)
        assert future.result().message == "a space memmap 153 [0, 1]"
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_memory_map_is_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((4, 3, 3, 1), np.uint8))
    x = np.load(tmp_path / "images.npy", mmap_mode="r")
    whole, part = (Images(each, np.zeros(len(each), np.int64)) for each in (x, x[1:]))
    with stored(TrainingData(whole, part, 2, flip=True), tmp_path / "cache") as data:
        assert data.train.path == tmp_path / "images.npy"
        assert data.validation is not None
        assert data.validation.path.parent == tmp_path / "cache"
        assert len(data.validation.open()) == 3


def test_what_cannot_be_sent_is_refused_in_one_sentence() -> None:
    with pytest.raises(UserError, match=r"PlainSpace cannot be sent to a worker process .*--workers 0\."):
        setup_of(PlainSpace(threading.Lock()), None, precision=None)


class Clock:
    """Instead of the module `time`: it stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.now

    time = monotonic


class Unreadable:
    """Cannot be unpickled."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise ModuleNotFoundError("No module named 'mine'")


def test_a_worker_that_cannot_start_ends_the_search_with_the_reason(
    executor: Callable[..., WorkerExecutor],
) -> None:
    workers = executor(setup=setup_of(Unreadable(), None, precision=None))
    message = r"cannot start \(ModuleNotFoundError: No module named 'mine'\).*--workers 0\."
    with pytest.raises(UserError, match=message):
        workers.submit(process_of, task("a"), silent).result()


def test_what_the_system_refuses_when_a_process_starts_is_no_death(
    executor: Callable[..., WorkerExecutor],
) -> None:
    """No further file can be opened."""
    import resource

    workers = executor()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        future = workers.submit(process_of, task("a"), silent)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(UserError, match=r"cannot start \(Too many open files\)\. Mend this and run the same"):
        future.result()
    assert workers.submit(process_of, task("a"), silent).result().message


def test_a_worker_that_cannot_start_after_others_could_is_a_death(
    tmp_path: Path, executor: Callable[..., WorkerExecutor]
) -> None:
    """It is the fault of the moment, not of what all workers are given."""
    hard = HardToOpen(tmp_path, times=0)
    workers = executor(setup=setup_of(hard, None, precision=None))
    process = int(workers.submit(process_of, task("a"), silent).result().message)
    (tmp_path / "opened").unlink()
    (tmp_path / "opened").mkdir()
    pretender = Pretender(tmp_path, {"b": (("kill", 0),)})
    with pytest.raises(WorkerDied, match="SIGKILL"):
        workers.submit(pretender, task("b"), silent).result()
    with pytest.raises(WorkerDied, match=r"^Worker 1 could not start \(IsADirectoryError: .*\)$"):
        workers.submit(process_of, task("b"), silent).result()
    (tmp_path / "opened").rmdir()
    assert int(workers.submit(process_of, task("b"), silent).result().message) != process


def test_a_worker_that_cannot_start_three_times_in_a_row_ends_the_search(
    tmp_path: Path, executor: Callable[..., WorkerExecutor]
) -> None:
    """What all workers are given has changed since others could start: no trial is to blame."""
    hard = HardToOpen(tmp_path, times=0)
    workers = executor(setup=setup_of(hard, None, precision=None))
    workers.submit(process_of, task("a"), silent).result()
    (tmp_path / "opened").unlink()
    (tmp_path / "opened").mkdir()
    pretender = Pretender(tmp_path, {"b": (("kill", 0),)})
    with pytest.raises(WorkerDied, match="SIGKILL"):
        workers.submit(pretender, task("b"), silent).result()
    for _ in range(2):
        with pytest.raises(WorkerDied, match="could not start"):
            workers.submit(process_of, task("b"), silent).result()
    with pytest.raises(UserError, match="A worker process cannot start"):
        workers.submit(process_of, task("b"), silent).result()


# Deaths.


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (("kill", 1), r"Worker 1 died \(SIGKILL\(-9\)\)"),
        (("exit", 1), r"Worker 1 died"),
        (("stop", 1), "Worker 1 gave no sign of life for 2 s, and was killed"),
        (("starve", 1), "Worker 1 ran out of memory: MemoryError: .*"),
    ],
)
def test_a_death_costs_one_trial_and_another_process_takes_the_place(
    trouble: Trouble, message: str, tmp_path: Path, executor: Callable[..., WorkerExecutor]
) -> None:
    workers = executor(2, hang_seconds=SHORT)
    pretender = Pretender(tmp_path, {"a": (trouble,)}, seconds=0.2)
    dying, other = (workers.submit(pretender, task(name), silent) for name in "ab")
    with pytest.raises(WorkerDied, match=message):
        dying.result()
    assert other.result().status is Status.COMPLETED
    again: Any = workers.submit(pretender, task("a"), silent)
    assert again.worker == "1"
    assert again.result().status is Status.COMPLETED
    before, after = starts(tmp_path)["a"]
    assert before != after
    assert not psutil.pid_exists(before) or psutil.Process(before).status() == psutil.STATUS_ZOMBIE


HOURS = 3600.0
"""Of silence that no test waits for."""


def test_a_worker_that_freezes_after_the_deadline_is_not_waited_for_long(
    tmp_path: Path, executor: Callable[..., WorkerExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = executor(hang_seconds=HOURS)
    workers.submit(process_of, task("ready"), silent).result()
    monkeypatch.setattr("archsearch.workers.LATE_SECONDS", SHORT)
    late = dataclasses.replace(task("a"), deadline=time.time())
    future = workers.submit(Pretender(tmp_path, {"a": (("stop", 1),)}), late, silent)
    with pytest.raises(WorkerDied, match="gave no sign of life for 2 s, and was killed"):
        future.result()


def test_a_worker_that_freezes_when_it_starts_is_killed(
    tmp_path: Path, executor: Callable[..., WorkerExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.workers.START_SECONDS", SHORT)
    hard = HardToOpen(tmp_path, times=1, number=signal.SIGSTOP)
    workers = executor(setup=setup_of(hard, None, precision=None), hang_seconds=HOURS)
    with pytest.raises(WorkerDied, match="gave no sign of life for 2 s, and was killed"):
        workers.submit(process_of, task("a"), silent).result()


def test_silence_while_the_searching_process_was_stopped_does_not_count(
    tmp_path: Path, executor: Callable[..., WorkerExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-Z does, which stops the workers, too: its clock leaps."""
    clock = Clock()
    monkeypatch.setattr("archsearch.workers.time", clock)
    workers = executor(hang_seconds=SHORT)
    future = workers.submit(Pretender(tmp_path, {"a": (("stop", 1),)}), task("a"), silent)
    [worker] = workers.workers
    wait_until(lambda: worker.pid is not None)
    wait_until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)
    clock.now += HOURS
    looks = clock.looks
    wait_until(lambda: clock.looks >= looks + 3)  # at the leap, to forgive, at the next turn
    assert not future.done()
    clock.now += SHORT + 1
    with pytest.raises(WorkerDied, match="gave no sign of life for 2 s"):
        future.result()


def test_a_worker_killed_between_trials_is_replaced(
    tmp_path: Path, executor: Callable[..., WorkerExecutor]
) -> None:
    workers = executor()
    process = int(workers.submit(process_of, task("a"), silent).result().message)
    psutil.Process(process).kill()
    for _ in range(2):  # the first may have been given to the dead one
        try:
            result = workers.submit(process_of, task("b"), silent).result()
        except WorkerDied:
            continue
    assert int(result.message) != process


def test_a_worker_that_has_grown_is_replaced(executor: Callable[..., WorkerExecutor]) -> None:
    def grow(trial: TrialTask, on_epoch: Any) -> TrialResult:
        held = sys.modules["tests.pretending"].__dict__.setdefault("held", [])
        held.append(bytearray(os.urandom(1024)) * 2**16)  # 64 MB
        return process_of(trial, on_epoch)

    workers = executor(max_growth=100 * 2**20)
    processes = [int(workers.submit(grow, task("a"), silent).result().message) for _ in range(5)]
    assert [processes.index(each) for each in processes] == [0, 0, 2, 2, 4]


# The searching process ends.


ORPHANS = """
import sys
from pathlib import Path
from archsearch.workers import WorkerExecutor, setup_of
from tests.pretending import PlainSpace, Pretender
from tests.test_workers import silent, task
folder = Path(sys.argv[1])
setup = setup_of(PlainSpace(), None, precision=None)
workers = WorkerExecutor(setup, {"1": {}, "2": {}})
pretender = Pretender(folder, {"a": (("wait", 0),), "b": (("stop", 0),)})
futures = [workers.submit(pretender, task(name), silent) for name in "ab"]
futures[0].result()
"""


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_the_searching_process(number: signal.Signals, tmp_path: Path) -> None:
    """Not even a stopped one."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", ORPHANS, str(tmp_path)],
        env=environment,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    notes = [tmp_path / "starts" / name for name in "ab"]
    try:
        wait_until(lambda: all(note.exists() and note.read_text().endswith("\n") for note in notes))
        workers = [int(note.read_text()) for note in notes]
        children = [each.pid for each in psutil.Process(process.pid).children(recursive=True)]
        assert set(workers) <= set(children)
    finally:
        process.send_signal(number)
        process.wait()
    wait_until(lambda: not any(is_running(each) for each in (*workers, *children)))
