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

GROWTH = 0.25
"""Share of a pass over all images by which an epoch may be longer than one, where the machine turns out
faster than it was measured: some images are then seen twice in it. The training would end early otherwise."""

MIN_EPOCHS = 8
"""Of a training to a time: where fewer passes over all images fit, an epoch is a part of a pass, for only
between epochs is the length corrected. The third is the first that can be."""

VALIDATION_SHARE = 0.25
"""Of the forward passes, that the validations may take for the sake of `MIN_EPOCHS`; then there are fewer."""

MAX_EPOCHS = 200
"""Of a training to a time, which ends early then: as long as the long schedules on CIFAR-10 (Zagoruyko and
Komodakis, arXiv 1605.07146, 2016). On data so few that more would fit, more hardly help, and what every epoch
costs besides its images, which no plan here knows, adds up."""

TEST_SHARE = 0.25
"""Of the training images: for so many the test part is taken where to know its size is to read it."""


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
    def final(
        cls,
        *,
        num_train: int,
        num_validation: int,
        batch_size: int,
        num_test: int | None = None,
        num_views: int = 1,
    ) -> Work:
        """Of a final training.

        Args:
            num_train: Images trained on.
            num_validation: Images of the validation part, as often as an epoch goes over them.
            batch_size: Of the recipe.
            num_test: Images of the test part; `None`: `TEST_SHARE` of those trained on.
            num_views: In which each of them is seen.
        """
        tested = int(TEST_SHARE * num_train) if num_test is None else num_test
        return cls(num_train, num_validation, num_train + num_views * tested, min(batch_size, num_train))

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

    Where fewer than `MIN_EPOCHS` passes over the images fit, an epoch is a part of one, so that there are as
    many; what whole steps leave over, later epochs get when they are corrected. At most `MAX_EPOCHS`, at
    least one step.

    Args:
        work: What is done.
        macs: Of the network.
        seconds: Wall-clock, with building, tracing and evaluation.
        speed: Of this network on this machine.
    """
    left = usable(seconds) - speed.overhead_seconds
    passes = left * speed.macs_per_second / macs - work.num_evaluated
    whole = max(0, math.floor(passes / work.epoch(work.full_steps)))
    if whole >= MAX_EPOCHS:
        return Length(MAX_EPOCHS, work.full_steps)
    fewest = _num_parts(work, passes)
    epochs = max(whole + 1, fewest)
    # Fewer steps in each. Where a pass has a handful of them, one epoch more may be fewer in all.
    steps = _steps(work, passes / epochs)
    if whole >= max(1, fewest) and steps * epochs <= work.full_steps * whole:
        return Length(whole, work.full_steps)
    return Length(epochs, min(max(1, steps), work.full_steps))


def _steps(work: Work, passes: float) -> int:
    """Of an epoch for which so many forward passes are enough; below 1 if they are not for one step."""
    return int((passes - work.num_validation) / (3 * work.batch_size))


def _num_parts(work: Work, passes: float) -> int:
    """How many epochs so many forward passes may be split into: `MIN_EPOCHS`, or fewer; perhaps 0."""
    steps = passes / work.epoch(1)
    validations = VALIDATION_SHARE * passes / work.num_validation if work.num_validation else steps
    return max(0, int(min(MIN_EPOCHS, steps, validations)))


def corrected_steps(
    work: Work, *, steps: int, epoch_seconds: float, epochs_left: int, seconds_left: float, most: int
) -> int:
    """Steps of each of the epochs left, now that one of `steps` is known to take `epoch_seconds`.

    At least one.

    Args:
        work: What is done.
        steps: Of an epoch that was timed.
        epoch_seconds: Wall-clock of that epoch, its validation included.
        epochs_left: At least 1.
        seconds_left: For these epochs, and the evaluation after them.
        most: Steps that an epoch may have.
    """
    per_pass = epoch_seconds / work.epoch(steps)
    passes = seconds_left / per_pass - work.num_evaluated
    return min(max(1, _steps(work, passes / epochs_left)), most)


class OnTime:
    """Steps of each epoch, so that a training ends on time although the machine's speed varies.

    What it goes by are the epochs completed, so a training that goes on in another process is corrected at
    once.

    Args:
        work: What is done.
        length: As fitted before it began.
        seconds: Wall-clock of all of it, over all its processes.
        start: When it began, as `time.time()`, as if all its processes had followed at once.
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
        # The longest training gets no longer, whatever time is left.
        growth = 0.0 if length.epochs >= MAX_EPOCHS else GROWTH
        self._most = int((1 + growth) * work.full_steps)
        self._steps = length.steps_per_epoch
        self._first: int | None = None
        self._asked = 0

    def __call__(self, curve: Sequence[Mapping[str, float]]) -> int:
        """Steps of the next epoch; asked again, the same.

        Args:
            curve: Of the epochs completed, each with its `seconds` and `steps`.
        """
        if self._first is None:
            self._first = len(curve)
            self._steps = self._steps_of(curve[-1]) if curve else self._steps
        if len(curve) != self._asked:
            self._asked = len(curve)
            self._correct(curve)
        return self._steps

    def _correct(self, curve: Sequence[Mapping[str, float]]) -> None:
        # The first epoch, of all and of this process, traces: it tells nothing of the speed.
        timed = [epoch for number, epoch in enumerate(curve) if number not in (0, self._first)]
        epochs_left = self.length.epochs - len(curve)
        if not timed or epochs_left < 1:
            return
        spent = self.clock() - self.start + self._still_to_trace(curve, timed[-1])
        wanted = corrected_steps(
            self.work,
            steps=self._steps_of(timed[-1]),
            epoch_seconds=timed[-1]["seconds"],
            epochs_left=epochs_left,
            seconds_left=usable(self.seconds) - spent,
            most=self._most,
        )
        if abs(wanted - self._steps) > TOLERANCE * self._steps:
            self._steps = wanted

    def _still_to_trace(self, curve: Sequence[Mapping[str, float]], timed: Mapping[str, float]) -> float:
        """Seconds, of a process that has trained no epoch yet: what the very first one took too long."""
        if len(curve) != self._first:
            return 0.0
        per_pass = timed["seconds"] / self.work.epoch(self._steps_of(timed))
        return max(0.0, curve[0]["seconds"] - per_pass * self.work.epoch(self._steps_of(curve[0])))

    def _steps_of(self, epoch: Mapping[str, float]) -> int:
        """As fitted, in what an earlier version left."""
        return int(epoch.get("steps", self.length.steps_per_epoch))
