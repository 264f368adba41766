"""Other machines: an executor whose trials are tasks on a Ray cluster.

Tasks, not actors: an actor keeps its CPUs, so that a trial whose machine is gone might wait for ever for
others to leave theirs; a task waits its turn, its process takes the next one with TensorFlow loaded, and is
killed when the task is canceled. It is a generator: of the epochs of the trial, and at last of its result.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pickle
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

from archsearch import runtime
from archsearch.dataset import Images
from archsearch.errors import UserError
from archsearch.executors import TrialFuture, WorkerDied
from archsearch.layout import Layout
from archsearch.nodes import first_line, import_ray
from archsearch.task import TrainingData, TrialResult, TrialTask
from archsearch.workers import LATE_SECONDS, TICK

if TYPE_CHECKING:
    from archsearch.watch import OnEpoch

LOSSES = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "RayActorError", "ObjectLostError")
"""Errors of Ray that a trial is not to blame for."""

CANCEL_SECONDS = 10.0
"""For all tasks of a search that ends to end; what is left ends with the connection."""


class ClusterExecutor(Executor):
    """Runs trials on the cluster that this process is connected with.

    Args:
        hypermodel: Sent once, as the data are.
        data: What trials may see of the images.
        laid_out: Trials at a time, and the CPUs of each.
        gpus: Of each trial.
        precision: That networks compute in; `None` for trials that need no TensorFlow.

    Raises:
        UserError: The hypermodel or the data cannot be sent.
    """

    def __init__(
        self,
        hypermodel: Any,
        data: TrainingData | None,
        laid_out: Layout,
        *,
        gpus: int = 0,
        precision: str | None,
    ) -> None:
        self._ray = import_ray()
        self._precision = precision
        self._idle = list(laid_out.names)
        self._running: dict[threading.Thread, Any] = {}
        """With the generators that they follow."""
        self._closed = False
        self._lock = threading.Lock()
        shared = pickled(hypermodel), None if data is None else _without_maps(data)
        try:
            self._shared = self._ray.put(shared)
        except self._ray.exceptions.RayError as error:
            raise UserError(
                f"The images do not fit into Ray's object store ({first_line(error)}). Start this node with "
                "more --object-store-memory, or take fewer with --images-per-epoch."
            ) from error
        # Whether a trial is tried again is the tuner's to say. Where there are GPUs, Ray ends the process of
        # every task, which else would keep the memory of its GPU and could have no other.
        options: dict[str, Any] = {"num_cpus": laid_out.threads, "num_gpus": gpus, "max_retries": 0}
        # TensorFlow, once loaded, keeps its threads: Ray uses no process of another environment again.
        environment = {"TF_NUM_INTRAOP_THREADS": str(laid_out.threads)}
        options |= {"scheduling_strategy": "SPREAD", "runtime_env": {"env_vars": environment}}
        self._train = self._ray.remote(**options)(train)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Gives `fn(task, on_epoch)` to Ray, which begins it when there is room.

        Args:
            fn: `run_trial`, or what stands for it.
            args: The task, and whom to tell of its epochs, from another thread.

        Raises:
            RuntimeError: As many trials as were asked for are under way.
        """
        task, on_epoch = args
        with self._lock:
            if not self._idle or self._closed:
                raise RuntimeError("No worker is idle.")
            future = TrialFuture(self._idle.pop(0))
            future.set_running_or_notify_cancel()
            bare = dataclasses.replace(task, hypermodel=None, dataset=None, resume_folder=None)
            items = self._train.remote(cloudpickle.dumps(fn), bare, self._shared, self._precision)
            thread = threading.Thread(
                target=self._follow, args=(future, items, task.deadline, on_epoch), daemon=True
            )
            self._running[thread] = items
        thread.start()
        return future

    def _follow(
        self, future: TrialFuture, items: Any, deadline: float | None, on_epoch: OnEpoch | None
    ) -> None:
        """Passes on what the task yields."""
        last: Any = WorkerDied(f"Worker {future.worker} left without a result")
        try:
            for item in self._yielded(future.worker, items, deadline):
                if not isinstance(item, tuple):
                    last = item
                elif on_epoch is not None and not self._closed:
                    on_epoch(*item)
        except WorkerDied as late:
            last = late
        except Exception as error:  # Ray's; what the trial raised comes as an item
            last = self._explained(future.worker, error)
        if isinstance(last, TrialResult) and last.out_of_memory:
            last = WorkerDied(f"Worker {future.worker} ran out of memory: {last.message}")
        with self._lock:
            del self._running[threading.current_thread()]
            self._idle.append(future.worker)
            if self._closed:
                return
        if isinstance(last, TrialResult):
            future.set_result(last)
        else:
            future.set_exception(last)

    def _yielded(self, name: str, items: Any, deadline: float | None) -> Iterator[Any]:
        """What the task yields, until the search ends.

        Raises:
            WorkerDied: It is late, and canceled: it froze, or waits for a node that has room.
        """
        end = math.inf if deadline is None else deadline + LATE_SECONDS
        while True:
            while not self._ray.wait([items], timeout=TICK)[0]:
                if self._closed:  # without a connection the next call would start a cluster here
                    return
                if time.time() >= end:
                    self._ray.cancel(items, force=True)
                    raise WorkerDied(f"Worker {name} had no result {LATE_SECONDS:.0f} s after the deadline")
            try:
                item = next(items)
            except StopIteration:
                return
            yield self._ray.get(item)

    def _explained(self, name: str, error: Exception) -> Exception:
        if isinstance(error, tuple(getattr(self._ray.exceptions, loss) for loss in LOSSES)):
            return WorkerDied(f"Worker {name} died ({type(error).__name__})")
        explained = UserError(
            f"The Ray cluster cannot run trials ({first_line(error)}). Mend this and run the same command "
            "again."
        )
        explained.__cause__ = error
        return explained

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the tasks: what they were training is not finished, nor are they to blame for it."""
        with self._lock:
            self._closed = True
            running = dict(self._running)
        for items in running.values():
            self._ray.cancel(items, force=True)
        end = time.monotonic() + CANCEL_SECONDS
        for thread in running if wait else ():
            thread.join(max(0.0, end - time.monotonic()))


def pickled(hypermodel: Any) -> bytes:
    """A hypermodel for other machines: with the code of its module, or package, where that is not installed.

    Raises:
        UserError: It cannot be pickled.
    """
    roots = {base.__module__.partition(".")[0] for base in type(hypermodel).__mro__}
    installed = {"archsearch", "space", "__main__", *sys.stdlib_module_names, *packages_distributions()}
    own = [sys.modules[root] for root in roots - installed]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(hypermodel))
    except Exception as error:  # whatever the user's own objects raise when they are pickled
        raise UserError(
            f"{type(hypermodel).__qualname__} cannot be sent to other machines ({type(error).__name__}: "
            f"{error}). Let it hold plain data only, or search in this process with --ray none --workers 0."
        ) from error
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


def train(
    run: bytes,
    task: TrialTask,
    shared: tuple[bytes, TrainingData | None],
    precision: str | None,
) -> Iterator[Any]:
    """What a process of the cluster does.

    Args:
        run: Pickled: `run_trial`, or what stands for it. TensorFlow may come with it.
        task: Without what all trials share.
        shared: The pickled hypermodel, and the data.
        precision: That networks compute in; `None` for trials that need no TensorFlow.

    Yields:
        The number of every epoch, with its values; at last the result, or what was raised.
    """
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def trains() -> None:
        try:
            if precision is not None:
                runtime.set_precision(precision)
            filled: dict[str, Any] = {"hypermodel": _unpickled(shared[0]), "dataset": shared[1]}
            whole = dataclasses.replace(task, **filled)
            items.put(pickle.loads(run)(whole, lambda epoch, values: items.put((epoch, values))))
        except BaseException as error:  # even if the user's network leaves: this thread is not the process
            items.put(error)

    # Only this thread can yield, and epochs are told from within the training.
    threading.Thread(target=trains, name="trial", daemon=True).start()
    item: Any = ()
    while isinstance(item, tuple):
        item = items.get()
        yield item
    if isinstance(item, TrialResult) and item.out_of_memory:
        os._exit(1)  # another process may have the memory that this one keeps


@functools.lru_cache(maxsize=1)
def _unpickled(hypermodel: bytes) -> Any:
    """Once in a process: a class that was sent by value would be another one each time."""
    return pickle.loads(hypermodel)


def _without_maps(data: TrainingData) -> TrainingData:
    """With plain arrays, which Ray takes as they are: of a memory map only this machine has the file."""

    def plain(images: Images) -> Images:
        return dataclasses.replace(images, x=np.asarray(images.x))

    validation = None if data.validation is None else plain(data.validation)
    return dataclasses.replace(data, train=plain(data.train), validation=validation)
