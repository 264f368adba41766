"""What a final training trains: which network, on which images, for how long."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch.batches import View
from archsearch.devices import scope
from archsearch.evaluation import views
from archsearch.measuring import Measured, measure
from archsearch.plan import Speed
from archsearch.quantities import format_epochs, format_seconds
from archsearch.time_fit import (
    CLOSING_SECONDS,
    DEFAULT_EPOCHS,
    MAX_EPOCHS,
    Length,
    OnTime,
    Work,
    fit_length,
    usable,
)
from space.sampling import width_of

if TYPE_CHECKING:
    from archsearch.task import TrialTask

WIDTH_STEP = 1 / 32
"""In which a found network is widened; times 32 filters it is one."""


@dataclass(frozen=True)
class Options:
    """Of one final training; what is kept of an interrupted one, to go on as it was begun."""

    epochs: int
    """Of the whole schedule."""
    steps_per_epoch: int | None
    """As fitted to the time before it began; `None`: all whole batches."""
    seed: int
    max_seconds: float | None
    """Wall-clock of all of it; `None`: the epochs say."""
    all_data: bool
    """Whether the validation part is trained on too."""
    tta: bool
    """Whether it is also tested with several views averaged."""
    precision: str
    """Keras's policy."""
    devices: int = 1
    """That share every batch."""
    test_slowdown: float = 1.0
    """How many times as long an image takes in the test as in a forward pass of the training: measured before
    one to a time began, unless both are on one device in single precision."""


@dataclass(frozen=True)
class FinalTask:
    """What is trained, and on time."""

    task: TrialTask
    options: Options
    on_time: OnTime | None
    notes: tuple[str, ...]
    """For the person who waits: how long it will take, and on what."""
    num_test: int | None = None
    """Images of the test part; `None` where it would have to be read for that."""
    strategy: Any = None
    """Of `tf.distribute`, on several devices."""

    @property
    def views(self) -> tuple[View, ...]:
        """In which the test images are seen; the first is the plain one."""
        return views(self.task.dataset.flip) if self.options.tta else (View(),)


def widened(
    hypermodel: Any, values: Mapping[str, Any], final_macs: int | None, *, max_params: int | None = None
) -> dict[str, Any]:
    """The values of a network found, its `width` the largest that the limits admit; never a smaller one.

    Args:
        hypermodel: Of any family; one whose networks do not know their macs, or do not follow a factor
            `width`, is not widened.
        values: Of the network.
        final_macs: `Plan.final_macs`; `None` changes nothing.
        max_params: Most weights; `None`: any number.
    """
    found = width_of(values)

    def measured(width: float) -> Measured:
        return measure(hypermodel, {**values, "width": width})

    if final_macs is None or found is None:
        return dict(values)
    if measured(found).macs in (None, measured(2 * found).macs):
        return dict(values)

    def admitted(width: float) -> bool:
        network = measured(width)
        return (network.macs or 0) <= final_macs and (
            max_params is None or (network.params or 0) <= max_params
        )

    width = found
    while admitted(width + WIDTH_STEP):
        width += WIDTH_STEP
    return {**values, "width": width}


def fitted(final: FinalTask, *, start: float) -> FinalTask:
    """With as many epochs as fit into its time, if it has one: from the speed of this network, measured here.

    Args:
        final: What is trained.
        start: When the process began with it, as `time.time()`.
    """
    options, task = final.options, final.task
    if options.max_seconds is None:
        return final
    macs = measure(task.hypermodel, task.values).macs or 1
    with scope(final.strategy):
        speed = _measured_speed(task, macs)
    if options.devices > 1 or options.precision != "float32":
        slowdown = _test_seconds(task) * speed.macs_per_second / macs
        final = dataclasses.replace(final, options=dataclasses.replace(options, test_slowdown=slowdown))
    work = _work(final)
    left = options.max_seconds - (time.time() - start)
    length = fit_length(work, macs=macs, seconds=left, speed=speed)
    return dataclasses.replace(
        final,
        task=dataclasses.replace(task, epochs=length.epochs),
        options=dataclasses.replace(
            final.options, epochs=length.epochs, steps_per_epoch=length.steps_per_epoch
        ),
        notes=(*final.notes, *_length_notes(work, length, macs, speed, options.max_seconds, left)),
    )


def kept_on_time(final: FinalTask, *, start: float) -> FinalTask:
    """With epochs that change their length when the machine turns out slower or faster, if it has a time.

    Args:
        final: What is trained.
        start: When it began, as `time.time()`, as if all its processes had followed at once.
    """
    options = final.options
    if options.max_seconds is None or options.steps_per_epoch is None:
        return final
    length = Length(options.epochs, options.steps_per_epoch)
    on_time = OnTime(_work(final), length, seconds=options.max_seconds, start=start)
    return dataclasses.replace(final, on_time=on_time)


def _work(final: FinalTask) -> Work:
    from archsearch.task import recipe_of

    data = final.task.dataset
    work = Work.final(
        num_train=len(data.train),
        num_validation=(1 + data.class_measures) * len(data.validation or ()),  # predicted once more for them
        batch_size=recipe_of(final.task.hypermodel, flip=data.flip).batch_size,
        num_test=final.num_test,
        num_views=len(final.views),
    )
    return dataclasses.replace(work, num_evaluated=int(final.options.test_slowdown * work.num_evaluated))


def _measured_speed(task: TrialTask, macs: int) -> Speed:
    from archsearch.speed import measure_speed

    return measure_speed(task.hypermodel, task.values, macs=macs, data=task.dataset)


def _test_seconds(task: TrialTask) -> float:
    """Of one image in the test, which computes on one device in single precision."""
    from archsearch.delivery import as_delivered
    from archsearch.speed import measure_test

    return measure_test(as_delivered(task), task.dataset.train, num_classes=task.dataset.num_classes)


def _length_notes(
    work: Work, length: Length, macs: int, speed: Speed, max_seconds: float, left: float
) -> Iterator[str]:
    epochs, images = format_epochs(length.epochs), length.steps_per_epoch * work.batch_size
    seconds, limit = work.seconds(length, macs=macs, speed=speed), format_seconds(max_seconds)
    if length == Length(1, 1) and seconds > usable(left):
        needed = format_seconds(max_seconds - left + seconds + CLOSING_SECONDS)
        yield f"{limit} are too short: one step and the test take about {needed}; give a longer --max-time"
    elif length.epochs == MAX_EPOCHS and length.steps_per_epoch == work.full_steps:
        yield f"{epochs} of all images are the most, so it may end before its {limit}; --epochs can give more"
    elif length.steps_per_epoch < work.full_steps:
        passes = length.epochs * length.steps_per_epoch / work.full_steps
        yield f"{epochs} of {images:,} images, {passes:.1f} passes over all of them, fit into {limit}"
    else:
        yield f"{epochs} of {images:,} images fit into {limit}"
    if length.epochs < DEFAULT_EPOCHS:
        whole = work.seconds(Length(DEFAULT_EPOCHS, work.full_steps), macs=macs, speed=speed)
        yield f"{DEFAULT_EPOCHS} epochs of all images would take {format_seconds(whole)}"
