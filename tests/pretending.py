"""Trials for worker processes that only pretend to train, and come to grief where they are told to.

Workers import this module, which loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from archsearch import checkpoints
from archsearch.checkpoints import Checkpoints
from archsearch.task import TrialResult, TrialTask
from archsearch.trials import Status

Trouble = tuple[str, int]
"""What happens, and at which point of the trial, from 0: two points an epoch, one at the end."""


def number_of(text: str) -> int:
    """The same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@dataclass(frozen=True)
class Pretender:
    """A run_trial whose score depends on the state that every epoch makes of the one before.

    Args:
        folder: Where every start of a trial is noted.
        troubles: By trial: what happens in its first start, its second one and so on.
        seconds: An epoch takes up to so long, some more and some less.
    """

    folder: Path
    troubles: Mapping[str, tuple[Trouble, ...]] = field(default_factory=dict)
    seconds: float = 0.0

    def __call__(self, task: TrialTask, on_epoch: Callable[..., None]) -> TrialResult:
        kind, point = self._trouble(task.trial_id)
        meet = partial(_meet, kind, point)
        with patch.multiple(checkpoints, WORTH_SAVING=0.0, MAX_SHARE=float("inf")):
            return self._pretend(task, on_epoch, meet)

    def _pretend(
        self, task: TrialTask, on_epoch: Callable[..., None], meet: Callable[[int], None]
    ) -> TrialResult:
        state = Checkpoints(self.folder / "state" / task.trial_id, {"seed": task.seed, "epochs": task.epochs})
        found = state.load()
        weights = found.arrays["weights"] if found else np.zeros(3)
        curve = [dict(values) for values in found.curve] if found else []
        try:
            for epoch, values in enumerate(curve):
                on_epoch(epoch, values)
            for epoch in range(len(curve), task.epochs):
                meet(2 * epoch)
                time.sleep(self.seconds * (number_of(f"{task.trial_id}/{epoch}") % 100) / 100)
                weights = np.random.default_rng((task.seed, epoch)).random(3) + np.sin(100 * weights)
                curve.append({"val_accuracy": float(weights.sum()) % 1})
                state.save_if_due(partial(dict, weights=weights), tuple(curve))
                meet(2 * epoch + 1)
                on_epoch(epoch, curve[-1])
            meet(2 * task.epochs)
        except MemoryError as error:
            return TrialResult(Status.FAILED, (), 0.0, 0, f"MemoryError: {error}", out_of_memory=True)
        return TrialResult(Status.COMPLETED, tuple(curve), 0.1, 0, message=None)

    def _trouble(self, trial_id: str) -> Trouble:
        """Of this start."""
        note = self.folder / "starts" / trial_id
        note.parent.mkdir(parents=True, exist_ok=True)
        with note.open("a") as file:
            file.write(f"{os.getpid()}\n")
        number = len(note.read_text().splitlines()) - 1
        troubles = self.troubles.get(trial_id, ())
        return troubles[number] if number < len(troubles) else ("", -1)


def _meet(kind: str, point: int, at: int) -> None:
    """The trouble that waits at this point."""
    if at != point:
        return
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif kind == "exit":
        os._exit(3)
    elif kind == "starve":
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**24, resource.RLIM_INFINITY))
        np.ones(2**26)  # 512 MB
    elif kind == "wait":
        time.sleep(600)


def starts(folder: Path) -> dict[str, list[int]]:
    """By trial, the processes in which it was started."""
    return {
        path.name: [int(line) for line in path.read_text().splitlines()]
        for path in (folder / "starts").iterdir()
    }


@dataclasses.dataclass
class PlainSpace:
    """What workers hold instead of a hypermodel."""

    value: Any = None


@dataclasses.dataclass
class HardToOpen:
    """In the first processes that open it, it kills them.

    Args:
        folder: Where they are counted.
        times: How many.
        number: Of the signal that they get.
    """

    folder: Path
    times: int
    number: int = signal.SIGKILL

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        note = self.folder / "opened"
        with note.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if len(note.read_text().splitlines()) <= self.times:
            os.kill(os.getpid(), self.number)
