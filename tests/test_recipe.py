"""Rates by hand, and the optimisers by what they do to a weight."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.recipe import DOCUMENTED, MODERN, RECIPES, Recipe


def decaying(**changes: Any) -> Recipe:
    values: dict[str, Any] = {"name": "test", "optimizer": "adam", "learning_rate": 0.01, "decay": "linear"}
    return Recipe(**(values | changes))


# The rate


@given(total=st.integers(1, 100_000), data=st.data())
def test_documented_rate_is_0_001_at_every_step(total: int, data: st.DataObject) -> None:
    assert DOCUMENTED.rate(data.draw(st.integers(0, total - 1)), total) == 0.001


def test_ten_steps_of_warmup_and_decay_by_hand() -> None:
    rates = [decaying(warmup=0.2).rate(step, 10) for step in range(10)]
    # Half and full peak, then from the peak down by one eighth of it per step.
    by_hand = [0.005, 0.01, 0.01, 0.00875, 0.0075, 0.00625, 0.005, 0.00375, 0.0025, 0.00125]
    assert rates == pytest.approx(by_hand)


@given(
    total=st.integers(1, 20_000),
    warmup=st.floats(0, 0.9),
    decay=st.sampled_from(["constant", "linear"]),
    data=st.data(),
)
def test_rate_is_above_0_and_at_most_the_peak(
    total: int, warmup: float, decay: str, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, total - 1))
    assert 0 < decaying(warmup=warmup, decay=decay).rate(step, total) <= 0.01 * (1 + 1e-12)


@given(total=st.integers(2, 500), warmup=st.floats(0, 0.9))
def test_rate_rises_to_its_peak_once_and_then_only_falls(total: int, warmup: float) -> None:
    rates = [decaying(warmup=warmup).rate(step, total) for step in range(total)]
    highest = rates.index(max(rates))
    assert rates[highest] == pytest.approx(0.01)
    assert rates[: highest + 1] == sorted(rates[: highest + 1])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)


@given(total=st.integers(100, 20_000))
def test_modern_rate_ends_within_two_steps_of_zero(total: int) -> None:
    # One step of the decay is peak / (0.8 total).
    assert MODERN.rate(total - 1, total) <= 0.3 / (0.79 * total)


def test_steps_beyond_the_training_have_rate_zero() -> None:
    assert decaying().rate(10, 10) == 0
    assert decaying().rate(11, 10) == 0


def test_warmup_of_the_whole_training_ends_at_the_peak() -> None:
    assert decaying(warmup=1.0).rate(9, 10) == pytest.approx(0.01)


def test_one_step_of_training_is_at_the_peak() -> None:
    assert MODERN.rate(0, 1) == 0.3


def test_modern_rate_of_ten_steps_by_hand() -> None:
    # Two steps up to 0.3, then down by one eighth of it per step.
    eighths = [0.3 * share / 8 for share in range(8, 0, -1)]
    assert [MODERN.rate(step, 10) for step in range(10)] == pytest.approx([0.15, 0.3, *eighths])


def test_a_rate_depends_on_the_share_of_the_training_alone() -> None:
    """So an epoch of other length goes on with the schedule where the one before ended."""
    assert MODERN.rate(300, 1000) == pytest.approx(MODERN.rate(600, 2000))
    assert MODERN.rate(100, 1000) == pytest.approx(MODERN.rate(200, 2000), rel=0.01)


# Plain data


@pytest.mark.parametrize("recipe", [MODERN, DOCUMENTED])
def test_dictionary_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_recipes_go_by_their_names() -> None:
    assert RECIPES == {"modern": MODERN, "documented": DOCUMENTED}


def test_documented_recipe_is_the_published_one() -> None:
    assert DOCUMENTED.to_dict() == {
        "name": "documented",
        "optimizer": "adam",
        "learning_rate": 0.001,
        "warmup": 0.0,
        "decay": "constant",
        "weight_decay": 0.0,
        "momentum": 0.9,
        "label_smoothing": 0.0,
        "batch_size": 128,
        "batch_norm_momentum": 0.99,
        "rotation_degrees": 15.0,
        "shift": 0.1,
        "flip": True,
        "alternating": False,
    }


def test_modern_recipe_is_nesterov_sgd_without_rotation() -> None:
    assert MODERN.to_dict() == {
        "name": "modern",
        "optimizer": "sgd",
        "learning_rate": 0.3,
        "warmup": 0.2,
        "decay": "linear",
        "weight_decay": 0.01,
        "momentum": 0.9,
        "label_smoothing": 0.2,
        "batch_size": 256,
        "batch_norm_momentum": 0.6,
        "rotation_degrees": 0.0,
        "shift": 0.07,
        "flip": True,
        "alternating": True,
    }


def test_modern_recipe_moves_cifar_images_by_two_pixels() -> None:
    assert int(MODERN.shift * 32) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "lion"}, "`optimizer` must be one of adam, adamw, sgd, got 'lion'"),
        ({"decay": "cosine"}, "`decay` must be one of constant, linear, got 'cosine'"),
        ({"weight_decay": 0.1}, "`weight_decay` needs the optimizer adamw or sgd"),
        ({"momentum": 1.0}, r"`momentum` must be in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, r"`momentum` must be in \[0, 1\), got -0.1"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0, got 0.0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be above 0, got nan"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decaying(**changes)


# The optimiser


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_weight_decay_shrinks_kernels_and_nothing_else(optimizer: str) -> None:
    import keras
    import numpy as np

    layers = [keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Dense(2)])
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    made = Recipe(
        name="test", optimizer=optimizer, learning_rate=0.1, weight_decay=0.5, decay="linear"
    ).make_optimizer(offset_rate=64.0)

    made.apply([np.zeros(v.shape, np.float32) for v in model.trainable_variables], model.trainable_variables)

    # Without a gradient it multiplies by 1 - rate * decay = 0.95.
    after = [(v.name, float(np.ravel(v)[0])) for v in model.trainable_variables]
    assert [name for name, _ in after] == ["kernel", "bias", "gamma", "beta", "kernel", "bias"]
    assert [value for _, value in after] == pytest.approx([0.95, 1, 1, 1, 0.95, 1])


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(
    ("recipe", "name", "rate"),
    [
        (DOCUMENTED, "Adam", 0.001),
        (decaying(optimizer="adamw", weight_decay=0.1), "AdamW", 0.01),
        (MODERN, "NesterovSGD", 0.3),
    ],
)
def test_optimizer_starts_at_the_peak_rate(recipe: Recipe, name: str, rate: float) -> None:
    optimizer = recipe.make_optimizer()
    assert type(optimizer).__name__ == name
    assert float(optimizer.learning_rate) == pytest.approx(rate)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_modern_optimizer_has_the_numbers_of_its_recipe() -> None:
    optimizer = MODERN.make_optimizer(offset_rate=64.0)
    assert (optimizer.momentum, optimizer.nesterov, optimizer.weight_decay) == (0.9, True, 0.01)
    assert optimizer.offset_rate == 64.0
    assert MODERN.make_optimizer().offset_rate == 1.0
