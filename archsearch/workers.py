"""Worker processes: an executor whose workers may be killed, freeze or run out of memory.

Each worker is a loky executor of its own with one process, for a process that dies breaks all of its
executor. loky starts processes without importing the caller's main module again, which in a notebook has
no file and in a script without a guard would search again; and it pickles what is defined there by value.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

import cloudpickle
from loky.process_executor import BrokenProcessPool, ProcessPoolExecutor, ShutdownExecutorError

from archsearch import worker
from archsearch.errors import UserError
from archsearch.executors import TrialFuture, WorkerDied
from archsearch.worker import Setup

if TYPE_CHECKING:
    from archsearch.sharing import StoredData
    from archsearch.watch import OnEpoch

HANG_SECONDS = 300.0
"""Without a batch, an epoch or a result, after which a worker counts as frozen. A step of the documented
network takes ten seconds on two cores, tracing it less than a minute."""

START_SECONDS = 300.0
"""After which a worker that is not ready counts as frozen; loading TensorFlow takes some seconds."""

LATE_SECONDS = 60.0
"""Of silence that are enough once a trial's deadline has passed."""

MAX_STARTS = 3
"""Processes of a worker that may fail to start, one after the other: then it is no fault of the moment."""

MAX_GROWTH = 2 * 2**30
"""Bytes by which a worker may grow before another process takes its place."""

TICK = 1.0
"""Seconds between two looks at the clock."""

STOPPED = 10
"""Ticks between two looks, after which the clock tells nothing about the workers."""


def setup_of(hypermodel: Any, data: StoredData | None, *, precision: str | None) -> Setup:
    """What workers are given when they start.

    Raises:
        UserError: The hypermodel cannot be sent to another process.
    """
    try:
        return Setup(cloudpickle.dumps((hypermodel, data)), precision)
    except Exception as error:  # whatever the user's own objects raise when they are pickled
        raise UserError(
            f"{type(hypermodel).__qualname__} cannot be sent to a worker process ({type(error).__name__}: "
            f"{error}). Let it hold plain data only, or search in this process with --workers 0."
        ) from error


class WorkerExecutor(Executor):
    """Runs trials in processes that are started once and used again.

    Args:
        setup: What all trials share.
        environments: Of each worker, by name.
        hang_seconds: Without a sign of life, after which a worker counts as frozen.
        max_growth: Bytes by which a worker may grow before another process takes its place.
    """

    def __init__(
        self,
        setup: Setup,
        environments: Mapping[str, Mapping[str, str]],
        *,
        hang_seconds: float = HANG_SECONDS,
        max_growth: int = MAX_GROWTH,
    ) -> None:
        any_started = threading.Event()
        self.workers = [
            _Worker(
                name,
                dict(environment),
                setup,
                any_started,
                hang_seconds=hang_seconds,
                max_growth=max_growth,
            )
            for name, environment in environments.items()
        ]
        self._closed = threading.Event()
        self._tick = min(TICK, hang_seconds / 4)
        self._listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._listener.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Gives `fn(task, on_epoch)` to an idle worker.

        Args:
            fn: `run_trial`, or what stands for it.
            args: The task, and whom to tell of its epochs, from another thread.

        Raises:
            RuntimeError: No worker is idle.
        """
        task, on_epoch = args
        idle = next((each for each in self.workers if each.is_idle), None)
        if idle is None or self._closed.is_set():
            raise RuntimeError("No worker is idle.")
        return idle.start(fn, task, on_epoch)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Kills the workers: what they were training is not finished, nor are they to blame for it."""
        self._closed.set()
        for each in self.workers:
            each.close(wait=wait)
        if wait:
            self._listener.join()

    def _listen(self) -> None:
        """Passes on what workers send, and looks for frozen ones."""
        last = time.monotonic()
        while not self._closed.is_set():
            pipes = {each.pipe: each for each in self.workers if each.pipe is not None}
            for pipe in connection.wait(list(pipes), timeout=self._tick):
                pipes[pipe].hear()  # type: ignore[index]
            now = time.monotonic()
            for each in self.workers:
                if now - last > STOPPED * self._tick:  # this process was: Ctrl-Z stops the workers too
                    each.forgive()
                each.kill_if_frozen(now)
            last = now


def _cannot_start(reason: str) -> UserError:
    return UserError(
        f"A worker process cannot start ({reason}). Mend this and run the same command again, or search in "
        "this process with --workers 0."
    )


class _Worker:
    """One process at a time, its successors included.

    Args:
        name: Of it.
        environment: Of its processes.
        setup: See `WorkerExecutor`, as for the others.
        any_started: Set once a process was ready with this setup, of whichever worker.
    """

    def __init__(
        self,
        name: str,
        environment: dict[str, str],
        setup: Setup,
        any_started: threading.Event,
        *,
        hang_seconds: float,
        max_growth: int,
    ) -> None:
        self.name = name
        # How a worker is replaced when it grows is decided here, not by loky.
        self.environment = {**environment, "LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
        self.setup = setup
        self._any_started = any_started
        self.hang_seconds = hang_seconds
        self.max_growth = max_growth
        self.pipe: connection.Connection | None = None
        """To the process; `None` where there is none."""
        self.pid: int | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.RLock()
        self._future: TrialFuture | None = None
        """Of the trial that runs."""
        self._on_epoch: OnEpoch | None = None
        self._last_sign = 0.0
        self._deadline: float | None = None
        """Of the trial that runs."""
        self._patience = START_SECONDS
        """Seconds of silence until it counts as frozen."""
        self._cannot_start: str | None = None
        self._failed_starts = 0
        """Of processes one after the other."""
        self._outgrown = False

    @property
    def is_idle(self) -> bool:
        return self._future is None

    def start(self, run: Callable[..., Any], task: Any, on_epoch: OnEpoch | None) -> TrialFuture:
        """Has a trial trained; another process is started where there is none that can."""
        future = TrialFuture(self.name)
        future.set_running_or_notify_cancel()
        bare = dataclasses.replace(task, hypermodel=None, dataset=None)  # which it has already
        with self._lock:
            if self._outgrown:
                self._replace()
            self._future, self._on_epoch, self._last_sign = future, on_epoch, time.monotonic()
            self._deadline = task.deadline
            try:
                inner = self._submit(run, bare)
            except (OSError, BrokenProcessPool) as error:
                self._replace()
                self._future = self._on_epoch = None
                future.set_exception(self._lost(error))
                return future
        inner.add_done_callback(partial(self._ended, future))
        return future

    def _submit(self, run: Callable[..., Any], task: Any) -> Future[Any]:
        if self._pool is not None:
            try:
                return self._pool.submit(worker.train, run, task)
            except BrokenProcessPool:  # killed while it was idle
                self._replace()
        self.pipe, theirs = multiprocessing.Pipe()
        self._pool = ProcessPoolExecutor(
            max_workers=1, initializer=worker.begin, initargs=(self.setup, theirs), env=self.environment
        )
        try:
            return self._pool.submit(worker.train, run, task)
        finally:
            theirs.close()  # so that only the process holds its end, and its death ends the pipe

    def hear(self) -> None:
        """Takes in what the process has sent."""
        with self._lock:
            while self.pipe is not None:
                try:
                    if not self.pipe.poll():
                        return
                    kind, *values = self.pipe.recv()
                except (EOFError, OSError):  # it ended, of which its future tells
                    self.pipe = None
                    return
                self._last_sign = time.monotonic()
                if kind == worker.READY:
                    [self.pid] = values
                    self._any_started.set()
                    self._failed_starts = 0
                    self._patience = self.hang_seconds
                elif kind == worker.FAILED:
                    [self._cannot_start] = values
                elif kind == worker.EPOCH and self._on_epoch is not None:
                    self._on_epoch(*values)

    def _ended(self, future: TrialFuture, inner: Future[Any]) -> None:
        """The process is done with a trial, or was lost with it."""
        with self._lock:
            if self._future is not future:  # frozen, and killed for it
                return
            self.hear()
            self._future = self._on_epoch = None
            error = inner.exception()
            if isinstance(error, BrokenProcessPool | ShutdownExecutorError):
                error = self._death(error)
                self._replace()
            elif error is None:
                result, growth = inner.result()
                self._outgrown = growth > self.max_growth
                if result.out_of_memory:
                    self._outgrown = True
                    error = WorkerDied(f"Worker {self.name} ran out of memory: {result.message}")
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def _lost(self, error: OSError | BrokenProcessPool) -> Exception:
        """Why the process was not given a trial."""
        # The system's refusal, of memory or files say, is none of the trial's, and will not soon be over. An
        # error without a number is not the system's.
        if isinstance(error, OSError) and error.errno is not None:
            return _cannot_start(error.strerror or str(error))
        return WorkerDied(f"Worker {self.name} died when it was to start")

    def _death(self, error: BaseException) -> Exception:
        """Why it ended with a trial."""
        if self._cannot_start is not None:
            self._failed_starts += 1
            # While others could start, the setup is not to blame; but it may have changed since.
            if self._any_started.is_set() and self._failed_starts < MAX_STARTS:
                return WorkerDied(f"Worker {self.name} could not start ({self._cannot_start})")
            return _cannot_start(self._cannot_start)
        found = re.search(r"\{(.*)\}", str(error))
        ended = f" ({found[1]})" if found else ""
        return WorkerDied(f"Worker {self.name} died{ended}")

    def forgive(self) -> None:
        """Counts silence from now on."""
        with self._lock:
            self._last_sign = time.monotonic()

    def kill_if_frozen(self, now: float) -> None:
        """Kills the process if it has a trial and had not been heard of for long, at this time.

        Args:
            now: As `time.monotonic()`, of a look that counts: since then this process may have been stopped.
        """
        with self._lock:
            future, patience = self._future, self._patience
            if self._deadline is not None and time.time() > self._deadline:
                patience = min(patience, LATE_SECONDS)
            if future is None or now - self._last_sign < patience:
                return
            silence = f"gave no sign of life for {patience:.0f} s, and was killed"
            self._future = self._on_epoch = None
            self._replace()
        future.set_exception(WorkerDied(f"Worker {self.name} {silence}"))

    def _replace(self) -> None:
        """Kills the process; another one takes its place when it is needed."""
        pool = self._let_go()
        if pool is not None:
            pool.shutdown(wait=False, kill_workers=True)

    def close(self, *, wait: bool) -> None:
        """Kills the process for good."""
        with self._lock:
            self._future = self._on_epoch = None
            pool = self._let_go()
        # Not while the lock is held: what loky does until then may end in `_ended`.
        if pool is not None:
            pool.shutdown(wait=wait, kill_workers=True)

    def _let_go(self) -> ProcessPoolExecutor | None:
        pool = self._pool
        # The pipe closes when nobody refers to it: the listener may wait for it just now.
        self._pool = self.pipe = self.pid = self._cannot_start = None
        self._outgrown, self._patience = False, START_SECONDS
        return pool
