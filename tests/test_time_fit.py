"""Lengths by sums written out; and trainings on machines whose speed changes, on a fake clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import time_fit
from archsearch.plan import Speed
from archsearch.time_fit import MAX_EPOCHS, Length, OnTime, Work, corrected_steps, fit_length

# 1,000 images in batches of 64: 15 steps, 960 images, an epoch; 3 passes each, and 100 to validate.
WORK = Work(num_train=1000, num_validation=100, num_evaluated=2500, batch_size=64)
FULL_EPOCH = 3 * 15 * 64 + 100


@pytest.fixture(autouse=True, scope="module")
def _nothing_to_close() -> Iterator[None]:
    """The sums below are about the training and its evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_fit, "CLOSING_SECONDS", 0.0)
        yield


def test_a_hundredth_and_the_closing_seconds_are_not_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_fit, "CLOSING_SECONDS", 8.0)
    assert time_fit.usable(100.0) == pytest.approx(91.0)
    assert time_fit.usable(5.0) == 0.0


# Work.


def test_the_work_of_a_final_training_is_evaluated_on_all_images_and_on_the_test_part_in_every_view() -> None:
    """Where it is not known, a test part of a quarter of the training images: 250."""
    known = Work.final(num_train=1000, num_validation=100, batch_size=64, num_test=300, num_views=6)
    assert known == Work(num_train=1000, num_validation=100, num_evaluated=2800, batch_size=64)
    one = Work.final(num_train=1000, num_validation=100, batch_size=64)
    assert one == Work(num_train=1000, num_validation=100, num_evaluated=1250, batch_size=64)
    six = Work.final(num_train=1000, num_validation=100, batch_size=64, num_views=6)
    assert six == Work(num_train=1000, num_validation=100, num_evaluated=2500, batch_size=64)


def test_a_batch_is_no_larger_than_all_images() -> None:
    work = Work.final(num_train=40, num_validation=0, batch_size=64)
    assert (work.batch_size, work.full_steps, work.epoch(1)) == (40, 1, 120)


def test_an_epoch_is_three_passes_over_its_images_and_one_over_the_validation_part() -> None:
    assert WORK.full_steps == 15
    assert WORK.epoch(15) == FULL_EPOCH == 2980
    assert WORK.epoch(1) == 3 * 64 + 100


def test_macs_for_two_epochs_by_hand() -> None:
    """Of 110 seconds 1.1 are not planned and 8.9 overhead: 100 M macs for 2 epochs and the evaluation."""
    speed = Speed(macs_per_second=1e6, overhead_seconds=8.9, source="measured")
    assert WORK.macs_for(2, 110.0, speed) == pytest.approx(100e6 / (2 * 2980 + 2500))


def test_a_time_shorter_than_the_overhead_is_for_no_macs() -> None:
    assert WORK.macs_for(2, 5.0, Speed(1e6, 8.9, "measured")) == 0


# Before it begins.


def test_a_length_by_hand() -> None:
    """338 M macs at 10,000 a pass: 33,800 passes, 31,300 without the evaluation, 10.5 epochs.

    So 11 of 2,845 passes each: 100 for the validation and 192 a step, 14.3 steps.
    """
    length = fit_length(WORK, macs=1e4, seconds=350.4, speed=Speed(1e6, 8.9, "measured"))
    assert length == Length(epochs=11, steps_per_epoch=14)


def test_a_time_of_few_passes_is_split_into_eight_epochs_by_hand() -> None:
    """7,500 passes without the evaluation, 2.5 epochs: 8 of 937, 100 for the validation and 4.4 steps."""
    length = fit_length(WORK, macs=1e4, seconds=110.0, speed=Speed(1e6, 8.9, "measured"))
    assert length == Length(epochs=8, steps_per_epoch=4)


@pytest.mark.parametrize(("passes", "length"), [(4_000, Length(1, 10)), (20_000, Length(5, 10))])
def test_epochs_are_not_split_where_validations_would_take_over_a_quarter(
    passes: int, length: Length
) -> None:
    """As many images to validate as to train on: 1,000, beside 3,000 passes that train."""
    work = Work(num_train=1000, num_validation=1000, num_evaluated=0, batch_size=100)
    speed = Speed(macs_per_second=1.0, overhead_seconds=0.0, source="measured")
    assert fit_length(work, macs=1.0, seconds=(passes + 1e-6) / 0.99, speed=speed) == length


def test_a_time_of_hundreds_of_epochs_has_two_hundred() -> None:
    speed = Speed(macs_per_second=1e4, overhead_seconds=0.0, source="measured")
    for epochs in (200.5, 1e6):
        seconds = (epochs * FULL_EPOCH + 2500) / 0.99
        assert fit_length(WORK, macs=1e4, seconds=seconds, speed=speed) == Length(200, 15)


def test_a_time_of_whole_epochs_has_epochs_of_all_batches() -> None:
    passes = 9 * FULL_EPOCH + 2500
    speed = Speed(macs_per_second=1e4, overhead_seconds=0.0, source="measured")
    assert fit_length(WORK, macs=1e4, seconds=passes / 0.99 - 1e-6, speed=speed) == Length(9, 14)
    assert fit_length(WORK, macs=1e4, seconds=(passes + 1e-6) / 0.99, speed=speed) == Length(9, 15)


def test_epochs_of_a_handful_of_steps_stay_whole() -> None:
    """100.5 epochs of 5 steps: 100 whole ones are 500 steps, 101 of 4 steps 404."""
    work = Work(num_train=320, num_validation=0, num_evaluated=0, batch_size=64)
    speed = Speed(macs_per_second=1.0, overhead_seconds=0.0, source="measured")
    assert fit_length(work, macs=1.0, seconds=100.5 * 960 / 0.99, speed=speed) == Length(100, 5)
    # 9.5 steps, and 4.5: eight epochs of one, and as many as there are steps.
    assert fit_length(work, macs=1.0, seconds=9.5 * 192 / 0.99, speed=speed) == Length(8, 1)
    assert fit_length(work, macs=1.0, seconds=4.5 * 192 / 0.99, speed=speed) == Length(4, 1)


@pytest.mark.parametrize("seconds", [1e-9, 1.0, 8.0, 30.0])
def test_too_short_a_time_is_one_step(seconds: float) -> None:
    """30 seconds are 20.8 million macs, which the evaluation alone exceeds."""
    speed = Speed(macs_per_second=1e6, overhead_seconds=8.9, source="measured")
    assert fit_length(WORK, macs=1e4, seconds=seconds, speed=speed) == Length(1, 1)


@given(
    num_train=st.integers(1, 60_000),
    num_validation=st.integers(0, 10_000),
    batch_size=st.sampled_from([1, 32, 128, 256, 1024]),
    macs=st.floats(1e4, 1e9),
    seconds=st.floats(10, 1e5),
    rate=st.floats(1e8, 1e14),
)
def test_a_fitted_training_ends_on_time_and_no_step_more_would(
    num_train: int, num_validation: int, batch_size: int, macs: float, seconds: float, rate: float
) -> None:
    work = Work.final(num_train=num_train, num_validation=num_validation, batch_size=batch_size)
    length = fit_length(work, macs=macs, seconds=seconds, speed=Speed(rate, 3.0, "measured"))

    def needed(steps: int) -> float:
        images = 3 * steps * work.batch_size + num_validation
        return 3.0 + (length.epochs * images + num_train + num_train // 4) * macs / rate

    assert length.epochs >= 1
    assert 1 <= length.steps_per_epoch <= work.full_steps
    if length != Length(1, 1):
        assert needed(length.steps_per_epoch) <= 0.99 * seconds * (1 + 1e-9)
    # No step more in each, and no whole epoch more.
    if length.steps_per_epoch < work.full_steps:
        assert needed(length.steps_per_epoch + 1) >= 0.99 * seconds * (1 - 1e-9)
    elif length.epochs < MAX_EPOCHS:
        one_more = needed(work.full_steps) + work.epoch(work.full_steps) * macs / rate
        assert one_more >= 0.99 * seconds * (1 - 1e-9)


# While it runs.


def test_corrected_steps_by_hand() -> None:
    """An epoch of 10 steps is 2,020 passes; in 20.2 seconds 0.01 a pass.

    61 seconds are 6,100 passes, 3,600 without the evaluation, 1,200 in each of 3 epochs; 1,100 without the
    validation are 5.7 steps.
    """
    steps = corrected_steps(WORK, steps=10, epoch_seconds=20.2, epochs_left=3, seconds_left=61.0, most=18)
    assert steps == 5


def test_corrected_steps_stay_between_one_and_the_most() -> None:
    for seconds_left, expected in ((-5.0, 1), (0.0, 1), (1e6, 18)):
        steps = corrected_steps(
            WORK, steps=10, epoch_seconds=20.2, epochs_left=3, seconds_left=seconds_left, most=18
        )
        assert steps == expected


Curve = list[Mapping[str, float]]

LARGE = Work(num_train=50_000, num_validation=1000, num_evaluated=60_000, batch_size=100)
"""500 steps at most; 151,000 passes in a full epoch."""


class Machine:
    """Trains in the seconds that `per_pass` says, by the number of the epoch; the last number evaluates."""

    def __init__(
        self, per_pass: Callable[[int], float], *, overhead: float = 0.0, now: float = 1000.0
    ) -> None:
        self.per_pass = per_pass
        self.overhead = overhead
        self.now = now
        self.steps: list[int] = []

    def clock(self) -> float:
        return self.now

    def train(self, on_time: OnTime, curve: Curve, *, until: int) -> None:
        """Asks twice for each epoch, as a training does: to begin it, and whether it goes on as before."""
        for epoch in range(len(curve), until):
            steps = on_time(curve)
            assert on_time(curve) == steps
            seconds = on_time.work.epoch(steps) * self.per_pass(epoch)
            # The first epoch of a process traces.
            seconds += self.overhead if not self.steps else 0.0
            self.steps.append(steps)
            self.now += seconds
            curve.append({"seconds": seconds, "steps": steps})

    def evaluate(self, work: Work, epochs: int) -> None:
        self.now += work.num_evaluated * self.per_pass(epochs)


def total_seconds(
    per_pass: Callable[[int], float], *, seconds: float = 1000.0, overhead: float = 10.0
) -> tuple[float, list[int]]:
    """Of a training that was fitted to the time at a millisecond a pass, and the steps of its epochs."""
    speed = Speed(macs_per_second=1000.0, overhead_seconds=overhead, source="measured")
    length = fit_length(LARGE, macs=1.0, seconds=seconds, speed=speed)
    machine = Machine(per_pass, overhead=overhead)
    on_time = OnTime(LARGE, length, seconds=seconds, start=machine.now, clock=machine.clock)
    machine.train(on_time, [], until=length.epochs)
    machine.evaluate(LARGE, length.epochs)
    return machine.now - 1000.0, machine.steps


def test_a_machine_as_fast_as_expected_changes_no_step() -> None:
    spent, steps = total_seconds(lambda epoch: 0.001)
    # 980 seconds are 980,000 passes, 920,000 without the evaluation: 8 epochs of 115,000, 380 steps.
    assert steps == [380] * 8
    assert spent == pytest.approx(990)


@pytest.mark.parametrize("factor", [0.7, 0.9, 0.95, 1.1, 1.3, 2.0])
def test_a_machine_of_another_speed_than_expected_ends_on_time(factor: float) -> None:
    spent, _ = total_seconds(lambda epoch: 0.001 * factor)
    assert 950 <= spent <= 1000


@pytest.mark.parametrize("factor", [0.85, 0.92, 1.0])
def test_a_faster_machine_uses_its_time_however_close_to_whole_the_epochs_are(factor: float) -> None:
    """1,958,510 passes are 12.97 epochs of all images: 13 of 498 steps, of 500 in a pass."""
    spent, steps = total_seconds(lambda epoch: 0.001 * factor, seconds=2049.0)
    assert (len(steps), steps[0]) == (13, 498)
    assert 0.97 * 2049 <= spent <= 2049


def test_no_epoch_is_longer_than_a_pass_and_a_quarter() -> None:
    """On a machine twice as fast: such a training ends early."""
    spent, steps = total_seconds(lambda epoch: 0.0005, seconds=2049.0)
    assert steps == [498, 498, *[625] * 11]
    assert spent < 0.8 * 2049


def test_the_longest_training_gets_no_longer() -> None:
    on_time = OnTime(RESUMED, Length(MAX_EPOCHS, 500), seconds=1e6, start=0.0, clock=lambda: 100.0)
    assert on_time([{"seconds": 50.0, "steps": 500}] * 2) == 500


@pytest.mark.parametrize("factor", [1.2, 1.5, 2.0])
def test_a_machine_that_gets_slower_half_way_ends_on_time(factor: float) -> None:
    spent, steps = total_seconds(lambda epoch: 0.001 * (1 if epoch < 3 else factor))
    assert 960 <= spent <= 1000
    assert steps[2] > steps[-1]


@pytest.mark.parametrize("factor", [0.9, 0.8])
def test_a_machine_that_gets_faster_half_way_uses_its_time(factor: float) -> None:
    spent, steps = total_seconds(lambda epoch: 0.001 * (1 if epoch < 3 else factor))
    assert 960 <= spent <= 1000
    assert steps[-1] > steps[2]


def test_a_speed_that_goes_up_and_down_ends_within_a_twentieth_of_the_time() -> None:
    spent, _ = total_seconds(lambda epoch: 0.001 * (1.2 if epoch % 2 else 0.9))
    assert 950 <= spent <= 1050


def test_the_first_epoch_which_traces_corrects_nothing() -> None:
    _, steps = total_seconds(lambda epoch: 0.001, overhead=200.0)
    # It took 200 seconds longer, as expected; 730,000 passes are 8 epochs of 91,250, 300 steps.
    assert steps[:2] == [300, 300]


def test_small_differences_change_nothing() -> None:
    """Each change stops and restarts Keras's training."""
    _, steps = total_seconds(lambda epoch: 0.001 * (1.002 if epoch % 2 else 0.998))
    assert len(set(steps)) == 1


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_a_single_pass_ends_on_time_on_a_slower_machine_too(factor: float) -> None:
    """177,500 passes, of which 151,000 are an epoch of all images."""
    spent, steps = total_seconds(lambda epoch: 0.001 * factor, seconds=250.0)
    assert len(steps) == 8
    assert steps[0] == 70  # 22,187 passes, 1,000 of them to validate
    assert 235 <= spent <= 250


# Going on in another process.

RESUMED = Work(num_train=50_000, num_validation=0, num_evaluated=0, batch_size=100)


def resumed(*seconds: float, spent: float, steps: int = 200) -> int:
    """Steps with which a training to 1,000 seconds goes on after epochs of so many seconds."""
    curve = [{"seconds": each, "steps": steps} for each in seconds]
    on_time = OnTime(RESUMED, Length(8, 400), seconds=1000.0, start=0.0, clock=lambda: spent)
    return on_time(curve)


def test_a_training_that_goes_on_is_corrected_at_once_by_hand() -> None:
    """Half a second a step; of 990 seconds 540 are left: 1,080 steps in 4 epochs."""
    assert resumed(100.0, 100.0, 100.0, 100.0, spent=450.0) == 270


def test_a_training_that_goes_on_will_trace_again_as_long_as_it_did() -> None:
    """The first epoch took 40 seconds longer: 500 are left, 1,000 steps in 4 epochs."""
    assert resumed(140.0, 100.0, 100.0, 100.0, spent=450.0) == 250


def test_a_training_that_goes_on_keeps_the_steps_it_had_come_to() -> None:
    """406 seconds are 812 steps, 203 an epoch instead of 200."""
    assert resumed(100.0, 100.0, 100.0, 100.0, spent=584.0) == 200


def test_the_very_first_epoch_alone_tells_nothing() -> None:
    assert resumed(500.0, spent=500.0) == 200


def test_epochs_that_do_not_say_their_steps_had_those_fitted() -> None:
    """400 in 100 seconds, a quarter of a second each: in 540 seconds 2,160 steps, 540 in each of 4 epochs.

    Of 500 in a pass: they may be a little longer than one.
    """
    on_time = OnTime(RESUMED, Length(8, 400), seconds=1000.0, start=0.0, clock=lambda: 450.0)
    assert on_time([{"seconds": 100.0}] * 4) == 540


def goes_on(
    per_pass: Callable[[int], float], stops: list[int], *, lost: float = 0.0
) -> tuple[float, list[int]]:
    """Seconds and steps of a training to 1,000 seconds, in processes that end after so many epochs.

    Each traces for 10 seconds, begins an hour after the last one, and wastes some time that is on record.
    """
    length = fit_length(LARGE, macs=1.0, seconds=1000.0, speed=Speed(1000.0, 10.0, "measured"))
    assert length == Length(8, 380)
    curve: Curve = []
    spent, steps = 0.0, []
    for until in (*stops, 8):
        machine = Machine(per_pass, overhead=10.0, now=3600.0 * (1 + len(steps)))
        begun = machine.now
        on_time = OnTime(LARGE, length, seconds=1000.0, start=begun - spent, clock=machine.clock)
        machine.now += lost
        machine.train(on_time, curve, until=until)
        spent += machine.now - begun
        steps += machine.steps
    return spent + LARGE.num_evaluated * per_pass(8), steps


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.5])
def test_a_training_resumed_on_a_machine_of_another_speed_ends_on_time(factor: float) -> None:
    spent, _ = goes_on(lambda epoch: 0.001 * (1 if epoch < 3 else factor), [3])
    assert 950 <= spent <= 1000


def test_a_slow_machine_stays_slow_after_a_kill() -> None:
    """The process after it begins with the steps that the one before had come to, or fewer."""
    spent, steps = goes_on(lambda epoch: 0.0015, [4])
    assert steps[0] == steps[1] == 380
    assert steps[4] <= steps[3] < 300
    assert 950 <= spent <= 1000


def test_a_training_killed_after_every_epoch_ends_on_time() -> None:
    spent, _ = goes_on(lambda epoch: 0.001, list(range(1, 8)))
    assert 900 <= spent <= 1000


def test_time_that_was_lost_is_made_up_for() -> None:
    """Two minutes in each of two processes, for what was trained after the last epoch that was saved, say."""
    spent, steps = goes_on(lambda epoch: 0.001, [3], lost=120.0)
    assert 950 <= spent <= 1000
    assert steps[3] < 300


@pytest.mark.parametrize("factor", [0.97, 1.03, 1.3])
def test_epochs_of_a_handful_of_steps_use_the_time_too(factor: float) -> None:
    """Five steps an epoch, 100 epochs: on a slower machine some have 5 and some fewer, on a faster one 6."""
    work = Work(num_train=320, num_validation=40, num_evaluated=400, batch_size=64)
    speed = Speed(1000.0, 1.0, "measured")
    length = fit_length(work, macs=1.0, seconds=102.5, speed=speed)
    assert length == Length(100, 5)
    machine = Machine(lambda epoch: 0.001 * factor, overhead=1.0)
    on_time = OnTime(work, length, seconds=102.5, start=machine.now, clock=machine.clock)
    machine.train(on_time, [], until=100)
    machine.evaluate(work, 100)
    assert 98.0 <= machine.now - 1000.0 <= 102.5


def test_a_training_without_time_left_takes_one_step_an_epoch() -> None:
    _, steps = total_seconds(lambda epoch: 0.01)
    assert steps[2:] == [1] * (len(steps) - 2)
