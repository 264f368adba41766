"""What a worker process does: it trains one trial after the other, and dies with the searching process.

Light to import: TensorFlow comes after the environment of the worker is in force.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from archsearch import runtime

if TYPE_CHECKING:
    from archsearch.sharing import StoredData
    from archsearch.task import TrainingData, TrialResult, TrialTask

READY, FAILED, EPOCH, ALIVE = "ready", "failed", "epoch", "alive"
"""First items of what a worker sends."""

SECONDS_BETWEEN_SIGNS = 1.0


@dataclass(frozen=True)
class Setup:
    """What a worker is given once, when it starts."""

    trained: bytes
    """Pickled: hypermodel and `StoredData`, which are the same for all trials."""
    precision: str | None
    """That networks compute in; `None` for trials that need no TensorFlow."""


@dataclass
class _Here:
    """This worker."""

    pipe: Connection
    hypermodel: Any
    data: TrainingData | None
    memory: int
    """Bytes, before the first trial."""
    last_sign: float = 0.0

    def sign(self) -> None:
        """Tells that this process is not frozen, now and then."""
        now = time.monotonic()
        if now - self.last_sign >= SECONDS_BETWEEN_SIGNS:
            self.last_sign = now
            self.pipe.send((ALIVE,))


_here: _Here | None = None


def begin(setup: Setup, pipe: Connection) -> None:
    """Prepares this process for its trials.

    Args:
        setup: What all trials share.
        pipe: To the searching process; it ends when that does.
    """
    global _here
    # Ctrl-C and the like go to all processes of a terminal: it is the searching one that heeds them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _die_with(pipe)
    try:
        if setup.precision is not None:
            runtime.set_precision(setup.precision)
        hypermodel, stored = pickle.loads(setup.trained)
        data = _opened(stored)
        _here = _Here(pipe, hypermodel, data, _memory())
        if setup.precision is not None:
            from archsearch import watch

            watch.signs_of_life.append(_here.sign)
        pipe.send((READY, os.getpid()))
    except Exception as error:
        pipe.send((FAILED, f"{type(error).__name__}: {error}"))
        os._exit(1)


def _opened(stored: StoredData | None) -> TrainingData | None:
    return None if stored is None else stored.open()


def train(run: Callable[..., TrialResult], task: TrialTask) -> tuple[TrialResult, int]:
    """Trains one trial.

    Args:
        run: `run_trial`, or what stands for it.
        task: Without what all trials share.

    Returns:
        The result, and the bytes by which this process grew since it began.
    """
    here = _here
    assert here is not None
    shared: dict[str, Any] = {"hypermodel": here.hypermodel, "dataset": here.data}
    task = dataclasses.replace(task, **shared)

    def on_epoch(epoch: int, values: dict[str, float]) -> None:
        here.pipe.send((EPOCH, epoch, values))

    result = run(task, on_epoch)
    return result, _memory() - here.memory


def _die_with(pipe: Connection) -> None:
    """Ends this process when the searching one does, however that ends."""

    def watch() -> None:
        try:
            while True:
                pipe.recv()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=watch, name="searching process", daemon=True).start()
    if sys.platform == "linux":
        import ctypes

        # Of a stopped process no thread runs. SIGKILL, when the thread that started this process ends.
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _memory() -> int:
    """Bytes that this process alone holds; mapped images, which it shares, are not among them."""
    import psutil

    memory: Any = psutil.Process().memory_full_info()
    return int(getattr(memory, "uss", memory.rss))
