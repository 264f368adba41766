"""Where trials run: `concurrent.futures` executors, to which a trial is `submit(run_trial, task, on_epoch)`.

An executor may call `on_epoch` from any thread. What it gives back for a trial may be a `TrialFuture`, which
knows the worker; a future that ends with `WorkerDied` is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from archsearch.task import TrialResult

THIS_PROCESS = "0"
"""Name of the worker that is the searching process itself."""


class WorkerDied(Exception):
    """A worker was lost with its trial, which is not to blame: killed, out of memory, or frozen."""


class TrialFuture(Future[TrialResult]):
    """The result to come of one trial.

    Args:
        worker: Name of who trains it.
    """

    def __init__(self, worker: str) -> None:
        super().__init__()
        self.worker = worker


class InlineExecutor(Executor):
    """Runs what is submitted at once, in this process; `submit` returns when it is done."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
