"""The callback of every training, without a training."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

NAN, INFINITY = float("nan"), float("inf")


class Checkpoints:
    """Takes note of what is saved."""

    def __init__(self, told: list[tuple[str, Any]]) -> None:
        self.told = told

    def save_if_due(self, arrays: Any, curve: Any) -> None:
        self.told.append(("saved", curve))


def make(told: list[tuple[str, Any]] | None = None, **changes: Any) -> Any:
    """A watch over a model that has a rate and no random layer."""
    from archsearch.watch import Watch

    told = [] if told is None else told
    arguments: dict[str, Any] = {"seed": 3, "deadline": None, "curve": [], "checkpoints": Checkpoints(told)}
    arguments["on_epoch"] = lambda epoch, values: told.append(("reported", epoch))
    arguments |= {"goes_on": lambda curve: True, "steps": None}
    watch = Watch(**(arguments | changes))
    watch.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.25), variables=[]))
    watch.on_epoch_begin(0)
    return watch


# Epochs.


def test_an_epoch_is_saved_before_it_is_reported() -> None:
    """So what a killed process had reported is never trained again."""
    told: list[tuple[str, Any]] = []
    watch = make(told)
    watch.on_epoch_end(0, {"loss": 1.5, "val_accuracy": np.float32(0.5)})
    [(first, curve), second] = told
    assert (first, second) == ("saved", ("reported", 0))
    [values] = curve
    assert values.pop("seconds") >= 0
    assert values == {"loss": 1.5, "val_accuracy": 0.5, "learning_rate": 0.25}
    assert all(type(value) is float for value in values.values())


def test_epochs_of_an_earlier_process_stay_in_the_curve() -> None:
    told: list[tuple[str, Any]] = []
    before = {"loss": 9.0}
    watch = make(told, curve=[before])
    watch.on_epoch_begin(1)
    watch.on_epoch_end(1, {"loss": 1.5})
    assert [values["loss"] for values in told[0][1]] == [9.0, 1.5]
    assert told[1] == ("reported", 1)


def test_without_checkpoints_nothing_is_saved() -> None:
    told: list[tuple[str, Any]] = []
    make(told, checkpoints=None).on_epoch_end(0, {"loss": 1.5})
    assert told == [("reported", 0)]


def test_steps_are_noted_where_they_may_change() -> None:
    told: list[tuple[str, Any]] = []
    make(told, steps=5).on_epoch_end(0, {"loss": 1.5})
    [(_, [values]), _] = told
    assert values["steps"] == 5


def test_an_epoch_of_another_length_does_not_begin() -> None:
    """Only then: whoever wants no more epochs has said so by the end of the one before."""
    from archsearch.watch import StepsChange

    watch = make(goes_on=lambda curve: len(curve) < 1)
    watch.on_epoch_end(0, {"loss": 1.5})
    with pytest.raises(StepsChange):
        watch.on_epoch_begin(1)


# Divergence.


@pytest.mark.parametrize("loss", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize(("since", "noticed"), [(0, 0), (1, 20), (20, 20), (21, 40)])
def test_a_loss_that_is_no_number_is_noticed_within_twenty_batches(
    loss: float, since: int, noticed: int
) -> None:
    from archsearch.watch import Diverged

    watch = make()
    watch.on_epoch_begin(4)
    for batch in range(noticed):
        watch.on_train_batch_end(batch, {"loss": loss if batch >= since else 1.0})
    with pytest.raises(Diverged, match=f"the loss was {loss} in epoch 5; a smaller learning rate may help"):
        watch.on_train_batch_end(noticed, {"loss": loss})


def test_an_epoch_that_ends_without_a_number_is_reported_but_not_saved() -> None:
    """To go on from there would end the same way."""
    from archsearch.watch import Diverged

    told: list[tuple[str, Any]] = []
    with pytest.raises(Diverged, match="the loss was nan in epoch 1;"):
        make(told).on_epoch_end(0, {"loss": NAN})
    assert told == [("reported", 0)]


# The deadline.


@pytest.mark.parametrize(("now", "passed"), [(100.0, False), (100.1, True)])
def test_the_deadline_is_kept_at_every_batch(
    now: float, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import watch as module

    clock = SimpleNamespace(time=lambda: now, perf_counter=lambda: 0.0)
    monkeypatch.setattr(module, "time", clock)
    watch = make(deadline=100.0)
    if passed:
        with pytest.raises(module.DeadlinePassed):
            watch.on_train_batch_end(1, {"loss": 1.0})
    else:
        watch.on_train_batch_end(1, {"loss": 1.0})


@pytest.mark.parametrize(("now", "passed"), [(100.0, False), (100.1, True)])
def test_a_prediction_keeps_it_too_and_gives_signs_of_life(
    now: float, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import watch as module

    signs: list[str] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now))
    monkeypatch.setattr(module, "signs_of_life", [lambda: signs.append("alive")])
    with pytest.raises(module.DeadlinePassed) if passed else contextlib.nullcontext():
        module.PredictionWatch(100.0).on_predict_batch_end(0)
    module.PredictionWatch(None).on_predict_batch_end(0)
    assert signs == ["alive", "alive"]


# Dropout.


def dropout_model() -> Any:
    import keras

    pixels = keras.Input((64,))
    x = keras.layers.Dropout(0.5)(pixels)
    return keras.Model(pixels, [x, keras.layers.Dropout(0.5)(pixels)])


def masks(model: Any) -> list[bytes]:
    """What each of the two dropout layers lets through of 64 ones."""
    return [np.asarray(mask).tobytes() for mask in model(np.ones((1, 64), np.float32), training=True)]


def test_masks_depend_on_seed_and_epoch_alone() -> None:
    from archsearch.watch import seed_dropout

    model, other = dropout_model(), dropout_model()
    seed_dropout(model, seed=3, epoch=1)
    first = masks(model)
    assert masks(model) != first  # the state moves on with every batch
    seed_dropout(model, seed=3, epoch=1)
    assert masks(model) == first
    seed_dropout(other, seed=3, epoch=1)
    assert masks(other) == first


def test_masks_differ_between_layers_epochs_and_seeds() -> None:
    from archsearch.watch import seed_dropout

    model = dropout_model()
    seen = set()
    for seed, epoch in [(3, 0), (3, 1), (4, 0), (4, 1)]:
        seed_dropout(model, seed=seed, epoch=epoch)
        seen |= set(masks(model))
    assert len(seen) == 8


def test_an_epoch_begins_with_its_seed() -> None:
    from archsearch.watch import seed_dropout

    model = dropout_model()
    watch = make(seed=7)
    watch.set_model(model)
    watch.on_epoch_begin(2)
    first = masks(model)
    seed_dropout(model, seed=7, epoch=2)
    assert masks(model) == first
