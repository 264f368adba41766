"""How long a training may be so that it ends on time: epochs and steps, from the speed of the machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from archsearch.plan import Speed

DEFAULT_EPOCHS = 50
"""Of a final training without a time."""

SLACK = 0.01
"""Share of the time that is not planned."""

CLOSING_SECONDS = 8.0
"""After the evaluation: files, pictures, the report."""

TOLERANCE = 0.02
"""Share by which the steps of the next epoch may be off before they are changed."""


def usable(seconds: float) -> float:
    """What is left of a time for building, training and evaluation."""
    return max(0.0, seconds * (1 - SLACK) - CLOSING_SECONDS)


@dataclass(frozen=True)
class Work:
    """What a final training does, in forward passes of one image.

    A training step costs three per image: forward, and twice backward.
    """

    num_train: int
    num_validation: int
    num_evaluated: int
    """Once, after the training: training images, and the test images in every view."""
    batch_size: int

    @classmethod
    def final(cls, *, num_train: int, num_validation: int, batch_size: int, num_views: int = 1) -> Work:
        """Of a final training; its test part, which nobody has looked at, is taken for a quarter as large."""
        evaluated = num_train + num_views * num_train // 4
        return cls(num_train, num_validation, evaluated, min(batch_size, num_train))

    @property
    def full_steps(self) -> int:
        """Of an epoch over all images."""
        return max(1, self.num_train // self.batch_size)

    def epoch(self, steps: int) -> int:
        """Of an epoch of so many steps, its validation included."""
        return 3 * steps * self.batch_size + self.num_validation

    def seconds(self, length: Length, *, macs: float, speed: Speed) -> float:
        """Expected wall-clock of a training of this length, with its evaluation."""
        passes = length.epochs * self.epoch(length.steps_per_epoch) + self.num_evaluated
        return passes * macs / speed.macs_per_second + speed.overhead_seconds

    def macs_for(self, epochs: int, seconds: float, speed: Speed) -> float:
        """Of a network that is trained for so many full epochs, and evaluated, in this time."""
        passes = epochs * self.epoch(self.full_steps) + self.num_evaluated
        return max(0.0, usable(seconds) - speed.overhead_seconds) * speed.macs_per_second / passes


@dataclass(frozen=True)
class Length:
    """How long one training is."""

    epochs: int
    steps_per_epoch: int


def fit_length(work: Work, *, macs: float, seconds: float, speed: Speed) -> Length:
    """The longest training that ends on time: whole epochs, or one more, each a little shorter.

    At least one step.

    Args:
        work: What is done.
        macs: Of the network.
        seconds: Wall-clock, with building, tracing and evaluation.
        speed: Of this network on this machine.
    """
    left = usable(seconds) - speed.overhead_seconds
    passes = left * speed.macs_per_second / macs - work.num_evaluated
    whole = math.floor(passes / work.epoch(work.full_steps))
    # With one epoch more, each of fewer steps. Where epochs have a handful of steps, that may be less in all.
    steps = int((passes / (whole + 1) - work.num_validation) / (3 * work.batch_size)) if whole >= 0 else 0
    if whole >= 1 and steps * (whole + 1) <= work.full_steps * whole:
        return Length(whole, work.full_steps)
    return Length(max(0, whole) + 1, min(max(1, steps), work.full_steps))


def corrected_steps(
    work: Work, *, steps: int, epoch_seconds: float, epochs_left: int, seconds_left: float
) -> int:
    """Steps of each of the epochs left, now that one of `steps` is known to take `epoch_seconds`.

    At least one.

    Args:
        work: What is done.
        steps: Of an epoch that was timed.
        epoch_seconds: Wall-clock of that epoch, its validation included.
        epochs_left: At least 1.
        seconds_left: For these epochs, and the evaluation after them.
    """
    per_pass = epoch_seconds / work.epoch(steps)
    passes = seconds_left / per_pass - work.num_evaluated
    wanted = (passes / epochs_left - work.num_validation) / (3 * work.batch_size)
    return min(max(1, int(wanted)), work.full_steps)


class OnTime:
    """Steps of each epoch, so that a training ends on time although the machine's speed varies.

    Args:
        work: What is done.
        length: As fitted before it began.
        seconds: Wall-clock of all of it, over all its processes.
        start: When this process began, as `time.time()`.
        clock: What tells the time.
    """

    def __init__(
        self,
        work: Work,
        length: Length,
        *,
        seconds: float,
        start: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.work = work
        self.length = length
        self.seconds = seconds
        self.start = start
        self.clock = clock
        self._steps = length.steps_per_epoch
        self._first: int | None = None
        self._earlier_seconds = 0.0
        self._asked = 0

    def __call__(self, curve: Sequence[Mapping[str, float]]) -> int:
        """Steps of the next epoch; asked again, the same.

        Args:
            curve: Of the epochs completed, with their `seconds`. The first one of a process, which traces,
                tells nothing of the speed.
        """
        done = len(curve)
        if self._first is None:
            self._first = done
            self._earlier_seconds = sum(epoch["seconds"] for epoch in curve)
        if self._first + 1 < done < self.length.epochs and done != self._asked:
            self._asked = done
            spent = self._earlier_seconds + self.clock() - self.start
            wanted = corrected_steps(
                self.work,
                steps=self._steps,
                epoch_seconds=curve[-1]["seconds"],
                epochs_left=self.length.epochs - done,
                seconds_left=usable(self.seconds) - spent,
            )
            if abs(wanted - self._steps) > TOLERANCE * self._steps:
                self._steps = wanted
        return self._steps
