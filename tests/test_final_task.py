"""What a final training trains, and for how long."""

from __future__ import annotations

import dataclasses
import itertools
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from archsearch import final_task, runtime, speed
from archsearch.dataset import Images
from archsearch.final_task import FinalTask, Options, fitted, kept_on_time, widened
from archsearch.plan import Speed
from archsearch.time_fit import Length, Work

IMAGE_SHAPE = (32, 32, 3)

OPTIONS = Options(
    epochs=50,
    steps_per_epoch=None,
    seed=0,
    max_seconds=None,
    all_data=False,
    tta=False,
    precision="float32",
)

ONE_BLOCK = {"num_blocks": 2, "block_0/convs": 1, "block_1/convs": 1, "filters": 32, "growth": 1.0}


@pytest.fixture
def hypermodel(tensorflow: Any) -> Any:
    from space.hypermodel import VGGHyperModel

    return VGGHyperModel(IMAGE_SHAPE, 10)


def macs_of(hypermodel: Any, values: dict[str, Any]) -> int:
    return final_task.measure(hypermodel, values).macs or 0


@pytest.mark.tensorflow
def test_without_a_goal_nothing_is_widened(hypermodel: Any) -> None:
    assert widened(hypermodel, ONE_BLOCK, None) == ONE_BLOCK


@pytest.mark.tensorflow
def test_a_network_is_widened_as_far_as_the_macs_admit(hypermodel: Any) -> None:
    """1x32 1x32, flatten 512: the first convolution has 32 x 32 x 9 x 3 x 32 macs, and so on."""
    first, second, dense = 32 * 32 * 9 * 3 * 32, 16 * 16 * 9 * 32 * 32, 8 * 8 * 32 * 512
    assert macs_of(hypermodel, ONE_BLOCK) == first + second + dense
    # Twice the width: twice the first convolution's, four times what both ends of the others have.
    twice = 2 * first + 4 * second + 4 * dense
    exact = widened(hypermodel, ONE_BLOCK, twice)
    assert macs_of(hypermodel, exact) == twice
    assert exact == {**ONE_BLOCK, "width": pytest.approx(2.0, abs=0.25)}
    less = widened(hypermodel, ONE_BLOCK, twice - 1)
    assert macs_of(hypermodel, less) < twice
    assert less["width"] < exact["width"]


@pytest.mark.tensorflow
def test_a_network_above_the_goal_stays_as_it_was_found(hypermodel: Any) -> None:
    assert widened(hypermodel, ONE_BLOCK, 1000) == {**ONE_BLOCK, "width": 1.0}


@pytest.mark.tensorflow
def test_a_narrowed_baseline_is_widened_from_its_own_width(hypermodel: Any) -> None:
    half, whole = macs_of(hypermodel, {"width": 0.5}), macs_of(hypermodel, {})
    assert widened(hypermodel, {"width": 0.5}, half)["width"] >= 0.5
    wider = widened(hypermodel, {"width": 0.5}, whole)
    assert macs_of(hypermodel, wider) == whole


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_networks_that_do_not_know_their_macs_are_not_widened() -> None:
    assert widened(SimpleNamespace(), {"units": 3}, 10**9) == {"units": 3}


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_networks_that_do_not_follow_the_width_are_not_widened() -> None:
    """Of a family of the user's own."""
    network = SimpleNamespace(macs=lambda shape: 1000, params=lambda shape, classes: 10)
    family = SimpleNamespace(architecture=lambda hp: network, image_shape=IMAGE_SHAPE, num_classes=10)
    assert widened(family, {"units": 3}, 10**9) == {"units": 3}


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("width", [32, "narrow"])
def test_a_width_that_is_no_factor_is_left_as_it_is(width: Any) -> None:
    """A choice of the user's own of that name, that the networks do follow."""

    def architecture(hp: Any) -> Any:
        size = len(str(hp.values["width"])) * 1000
        return SimpleNamespace(macs=lambda shape: size, params=lambda shape, classes: 10)

    family = SimpleNamespace(architecture=architecture, image_shape=IMAGE_SHAPE, num_classes=10)
    assert widened(family, {"width": width}, 10**9) == {"width": width}


@pytest.mark.tensorflow
def test_a_network_is_not_widened_beyond_the_weights_that_are_allowed(hypermodel: Any) -> None:
    found = final_task.measure(hypermodel, ONE_BLOCK).params or 0
    wide = widened(hypermodel, ONE_BLOCK, 10**9, max_params=2 * found)
    assert found < (final_task.measure(hypermodel, wide).params or 0) <= 2 * found


def a_task(hypermodel: Any, *, num_train: int = 1000, num_validation: int = 100) -> Any:
    from archsearch.task import TrainingData, TrialTask

    def images(number: int) -> Images:
        return Images(np.zeros((number, *IMAGE_SHAPE), np.uint8), np.zeros(number, np.int64))

    data = TrainingData(images(num_train), images(num_validation), 10, flip=True)
    return TrialTask("best", ONE_BLOCK, hypermodel, data, epochs=50, seed=0)


@pytest.mark.tensorflow
def test_without_a_time_the_epochs_stay(hypermodel: Any) -> None:
    final = FinalTask(a_task(hypermodel), OPTIONS, on_time=None, notes=())
    assert fitted(final, start=0.0) is final
    assert kept_on_time(final, start=0.0) is final


@pytest.mark.tensorflow
def test_epochs_are_fitted_to_what_is_left_of_the_time(
    hypermodel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_task(hypermodel)
    macs = macs_of(hypermodel, ONE_BLOCK)
    # 1,000 forward passes a second: an epoch of three batches of 256, each forward and twice backward, and of
    # 100 validation images takes 2.404 s.
    speed = Speed(1000.0 * macs, overhead_seconds=3.0, source="measured")
    monkeypatch.setattr(final_task, "_measured_speed", lambda task, macs: speed)
    monkeypatch.setattr(final_task.time, "time", lambda: 110.0)
    options = dataclasses.replace(OPTIONS, max_seconds=78.0)
    final = fitted(FinalTask(task, options, on_time=None, notes=()), start=100.0)
    # Of the 68 s left a hundredth, 8 s to close, 3 s of overhead and 1.25 s for the images to evaluate go
    # off: 55.07 s, 22.9 epochs.
    assert final.options.epochs == final.task.epochs == 22
    assert final.options.steps_per_epoch == 3  # 66 steps; 23 epochs of two would be fewer
    assert final.notes == (
        "22 epochs of 768 images fit into 78 s",
        "50 epochs of all images would take 2 min",
    )
    on_time = kept_on_time(final, start=100.0).on_time
    assert on_time is not None
    assert on_time([]) == 3


def a_final(*, tta: bool = False, flip: bool = True, **changes: Any) -> FinalTask:
    """Of no network."""
    task: Any = SimpleNamespace(dataset=SimpleNamespace(flip=flip))
    return FinalTask(task, dataclasses.replace(OPTIONS, tta=tta, **changes), on_time=None, notes=())


@pytest.mark.parametrize(
    ("tta", "flip", "num"), [(False, True, 1), (False, False, 1), (True, True, 6), (True, False, 3)]
)
def test_views_are_averaged_only_when_asked_for_and_mirrored_only_where_valid(
    tta: bool, flip: bool, num: int
) -> None:
    assert len(a_final(tta=tta, flip=flip).views) == num


@pytest.mark.tensorflow
@pytest.mark.parametrize(("flip", "num_evaluated"), [(True, 1000 + 6 * 40), (False, 1000 + 3 * 40)])
def test_the_test_part_is_planned_with_its_own_size_in_every_view(
    hypermodel: Any, flip: bool, num_evaluated: int
) -> None:
    task = a_task(hypermodel)
    task = dataclasses.replace(task, dataset=dataclasses.replace(task.dataset, flip=flip))
    options = dataclasses.replace(OPTIONS, tta=True, max_seconds=60.0, steps_per_epoch=3)
    on_time = kept_on_time(FinalTask(task, options, None, (), num_test=40), start=0.0).on_time
    assert on_time is not None
    assert on_time.work == Work(
        num_train=1000, num_validation=100, num_evaluated=num_evaluated, batch_size=256
    )


@pytest.mark.tensorflow
def test_measures_of_classes_go_over_the_validation_images_once_more(hypermodel: Any) -> None:
    task = a_task(hypermodel)
    task = dataclasses.replace(task, dataset=dataclasses.replace(task.dataset, class_measures=True))
    assert final_task._work(FinalTask(task, OPTIONS, on_time=None, notes=())).num_validation == 200


# What the person who waits is told.

WORK = Work(num_train=1000, num_validation=100, num_evaluated=250, batch_size=100)
"""Ten steps; 3,100 passes in a full epoch."""


def notes(length: Length, *, max_seconds: float = 90.0, left: float = 90.0) -> list[str]:
    """Of a machine with a thousand passes and 3 seconds of overhead."""
    speed = Speed(1000.0, overhead_seconds=3.0, source="measured")
    return [*final_task._length_notes(WORK, length, 1, speed, max_seconds, left)]


def test_epochs_that_are_parts_of_a_pass_are_said_to_be() -> None:
    assert notes(Length(8, 3)) == [
        "8 epochs of 300 images, 2.4 passes over all of them, fit into 90 s",
        "50 epochs of all images would take 3 min",  # 155 s, and 3.25 s
    ]


def test_whole_epochs_are_said_by_their_images() -> None:
    assert notes(Length(60, 10)) == ["60 epochs of 1,000 images fit into 90 s"]


def test_the_most_epochs_are_said_to_end_early() -> None:
    assert notes(Length(200, 10), max_seconds=7200.0) == [
        "200 epochs of all images are the most, so it may end before its 2.0 h; --epochs can give more"
    ]


def test_a_time_for_less_than_a_step_is_said_to_be_too_short() -> None:
    """0.65 s of passes, 3 of overhead, 8 to close, and 20 of the 25 that are over already."""
    [too_short, _] = notes(Length(1, 1), max_seconds=25.0, left=5.0)
    assert too_short == "25 s are too short: one step and the test take about 32 s; give a longer --max-time"


def test_one_step_that_fits_is_no_reason_to_complain() -> None:
    assert notes(Length(1, 1))[0] == "1 epoch of 100 images, 0.1 passes over all of them, fit into 90 s"


# The test, on one device in single precision.


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "changes", [{"precision": "mixed_bfloat16"}, {"devices": 2}], ids=["half precision", "two devices"]
)
def test_a_test_that_is_slower_than_the_training_is_planned_as_it_was_measured(
    hypermodel: Any, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """A thousand images a second in training, four hundred in the test: two and a half times as long."""
    speed = Speed(1000.0 * macs_of(hypermodel, ONE_BLOCK), overhead_seconds=3.0, source="measured")
    monkeypatch.setattr(final_task, "_measured_speed", lambda task, macs: speed)
    monkeypatch.setattr(final_task, "_test_seconds", lambda task: 1 / 400)
    options = dataclasses.replace(OPTIONS, max_seconds=78.0, **changes)
    final = fitted(FinalTask(a_task(hypermodel), options, on_time=None, notes=()), start=time.time())
    assert final.options.test_slowdown == pytest.approx(2.5)
    on_time = kept_on_time(final, start=0.0).on_time
    assert on_time is not None
    assert on_time.work.num_evaluated == 3125  # 1,000 images of the training, 250 assumed of the test


@pytest.mark.tensorflow
def test_a_test_like_the_training_is_not_measured(hypermodel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    speed = Speed(1e9, overhead_seconds=3.0, source="measured")
    monkeypatch.setattr(final_task, "_measured_speed", lambda task, macs: speed)
    monkeypatch.delattr(final_task, "_test_seconds")
    options = dataclasses.replace(OPTIONS, max_seconds=78.0)
    final = fitted(FinalTask(a_task(hypermodel), options, on_time=None, notes=()), start=time.time())
    assert final.options.test_slowdown == 1.0


@pytest.mark.tensorflow
def test_the_test_is_measured_with_the_network_that_is_delivered(
    hypermodel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a second when it is looked at: a second for every batch."""
    seen: list[Any] = []

    def measure_test(model: Any, images: Images, *, num_classes: int) -> float:
        seen.append(model)
        return the_real_one(model, images, num_classes=num_classes)

    the_real_one = speed.measure_test
    monkeypatch.setattr(speed, "measure_test", measure_test)
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    with runtime.own_precision():
        runtime.set_precision("mixed_bfloat16")
        assert final_task._test_seconds(a_task(hypermodel, num_train=20)) == pytest.approx(1 / 20)
    assert {layer.compute_dtype for layer in seen[0].layers} == {"float32"}


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_a_model_that_predicts_without_callbacks_is_told_so() -> None:
    silent: Any = SimpleNamespace(predict=lambda batches, callbacks, verbose: None)
    images = Images(np.zeros((20, *IMAGE_SHAPE), np.uint8), np.zeros(20, np.int64))
    with pytest.raises(TypeError, match="`predict` told of no batches: pass `callbacks` on"):
        speed.measure_test(silent, images, num_classes=10)
