"""The space: its defaults as literals, its draws, and its conditions as Keras Tuner sees them."""

from __future__ import annotations

import dataclasses
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.architecture import DOCUMENTED, Architecture
from space.recipe import DOCUMENTED as DOCUMENTED_RECIPE
from space.recipe import MODERN
from space.sampling import RandomDraw, block_filters, random_architectures, sample

# What an empty HyperParameters() holds after the space was declared on it.
DEFAULTS = {
    "num_blocks": 5,
    "block_0/convs": 2,
    "block_1/convs": 2,
    "block_2/convs": 3,
    "block_3/convs": 3,
    "block_4/convs": 3,
    "filters": 64,
    "growth": 2.0,
    "max_filters": 512,
    "hidden_units": 512,
    "dropout": 0.5,
    "leaky_relu_slope": 0.3,
    "learning_rate": 0.001,
    "width": 1.0,
}


# Without Keras Tuner


@given(seed=st.integers(0, 2**32))
def test_draws_stay_inside_the_space(seed: int) -> None:
    network, recipe = sample(RandomDraw(random.Random(seed)), MODERN)
    assert 2 <= len(network.convs) <= 5
    assert set(network.convs) <= {1, 2, 3}
    assert network.filters[0] in {16, 24, 32, 48, 64, 96, 128}
    assert list(network.filters) == sorted(network.filters)
    assert all(filters % 8 == 0 for filters in network.filters)
    assert network.filters[-1] <= 512
    assert network.hidden_units in {128, 256, 512, 1024}
    assert 0 <= network.dropout <= 0.7
    assert 0.01 * (1 - 1e-9) <= network.leaky_relu_slope <= 0.3 * (1 + 1e-9)
    assert 1e-4 * (1 - 1e-9) <= recipe.learning_rate <= 1e-2 * (1 + 1e-9)
    assert dataclasses.replace(recipe, learning_rate=MODERN.learning_rate) == MODERN


def test_draws_reach_every_number_of_blocks_and_convolutions() -> None:
    networks = random_architectures(200, seed=0, base=MODERN)
    assert {len(network.convs) for network in networks} == {2, 3, 4, 5}
    assert {convs for network in networks for convs in network.convs} == {1, 2, 3}


def test_draws_on_a_log_scale_fall_below_the_geometric_mean_as_often_as_above() -> None:
    rng = random.Random(0)
    rates = [sample(RandomDraw(rng), MODERN)[1].learning_rate for _ in range(1000)]
    # The middle of 1e-4 and 1e-2; the standard deviation of the count is 16.
    assert 420 <= sum(rate < 1e-3 for rate in rates) <= 580


def test_random_architectures_depend_on_the_seed_alone() -> None:
    assert random_architectures(5, seed=3, base=MODERN) == random_architectures(5, seed=3, base=MODERN)
    assert random_architectures(5, seed=3, base=MODERN) != random_architectures(5, seed=4, base=MODERN)


@pytest.mark.parametrize(
    ("filters", "growth", "max_filters", "expected"),
    [
        (64, 2.0, 512, [64, 128, 256, 512, 512]),
        (48, 1.0, 128, [48, 48, 48, 48, 48]),
        (32, 1.5, 128, [32, 48, 72, 112, 128]),  # 108 is nearer to 112 than to 104; 162 is cut
        (128, 1.5, 128, [128, 128, 128, 128, 128]),
    ],
)
def test_filters_grow_up_to_the_cap(
    filters: int, growth: float, max_filters: int, expected: list[int]
) -> None:
    assert [block_filters(block, filters, growth, max_filters) for block in range(5)] == expected


# With Keras Tuner

with_keras_tuner = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


def hyperparameters(values: dict[str, Any]) -> Any:
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


def keras_tuner_draws(num: int) -> list[dict[str, Any]]:
    """Values as Keras Tuner's own random oracle draws them."""
    import keras_tuner

    oracle = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective("val_accuracy", "max"), max_trials=num, seed=1
    )
    hp = keras_tuner.HyperParameters()
    sample(hp, MODERN)
    oracle.update_space(hp)
    return [oracle.populate_space(str(number))["values"] for number in range(num)]


class TestWithKerasTuner:
    pytestmark = with_keras_tuner

    def test_empty_hyperparameters_give_the_documented_network(self) -> None:
        hp = hyperparameters({})
        assert sample(hp, MODERN) == (DOCUMENTED, MODERN)
        assert hp.values == DEFAULTS

    def test_defaults_given_as_values_are_the_same_network(self) -> None:
        assert sample(hyperparameters(DEFAULTS), DOCUMENTED_RECIPE) == (DOCUMENTED, DOCUMENTED_RECIPE)

    def test_values_are_decoded(self) -> None:
        values = {
            "num_blocks": 3,
            "block_0/convs": 1,
            "block_1/convs": 2,
            "block_2/convs": 3,
            "filters": 24,
            "growth": 1.5,
            "max_filters": 128,
            "hidden_units": 128,
            "dropout": 0.1,
            "leaky_relu_slope": 0.02,
            "learning_rate": 0.004,
        }
        network, recipe = sample(hyperparameters(values), MODERN)
        assert network == Architecture((1, 2, 3), (24, 32, 56), 128, 0.1, 0.02)  # 36 and 54 rounded
        assert recipe == dataclasses.replace(MODERN, learning_rate=0.004)

    def test_width_among_the_values_narrows_the_network(self) -> None:
        network, _ = sample(hyperparameters({"width": 0.25}), MODERN)
        assert network == Architecture(filters=(16, 32, 64, 128, 128), hidden_units=128)

    def test_two_blocks_hold_no_values_of_the_others(self) -> None:
        draws = [draw for draw in keras_tuner_draws(40) if draw["num_blocks"] == 2]
        assert draws
        for draw in draws:
            assert [name for name in draw if name.startswith("block_")] == ["block_0/convs", "block_1/convs"]

    def test_every_draw_names_the_blocks_it_has_and_keeps_the_width(self) -> None:
        for draw in keras_tuner_draws(40):
            blocks = [name for name in draw if re.match(r"block_\d/convs", name)]
            assert blocks == [f"block_{number}/convs" for number in range(draw["num_blocks"])]
            assert draw["width"] == 1.0

    def test_every_draw_decodes_to_what_its_values_say(self) -> None:
        for draw in keras_tuner_draws(40):
            network, recipe = sample(hyperparameters(draw), MODERN)
            num_blocks = draw["num_blocks"]
            assert network.convs == tuple(draw[f"block_{number}/convs"] for number in range(num_blocks))
            assert network.filters[0] == draw["filters"]
            assert network.hidden_units == draw["hidden_units"]
            assert network.dropout == draw["dropout"]
            assert network.leaky_relu_slope == draw["leaky_relu_slope"]
            assert recipe.learning_rate == draw["learning_rate"]

    def test_decoding_adds_no_value_to_a_complete_draw(self) -> None:
        for draw in keras_tuner_draws(40):
            hp = hyperparameters(draw)
            sample(hp, MODERN)
            assert hp.values == draw
