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
    "pool": "last",
    "head": "flatten",
    "hidden_units": 512,
    "dropout": 0.5,
    "leaky_relu_slope": 0.3,
    "fast_start": False,
    "learning_rate": 0.3,
    "weight_decay": 0.01,
    "width": 1.0,
}
OF_DOCUMENTED_RECIPE = {
    name: 0.001 if name == "learning_rate" else value
    for name, value in DEFAULTS.items()
    if name != "weight_decay"
}
"""Adam has no weight decay, so there is none to draw."""


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
    assert network.pool in {"last", "first"}
    assert network.head in {"flatten", "global_pool", "linear"}
    if network.head == "linear":
        assert (network.hidden_units, network.dropout) == (0, 0.0)
    else:
        assert network.hidden_units in {128, 256, 512, 1024}
    assert network.fast_start in {False, True}
    assert 0 <= network.dropout <= 0.7
    assert 0.01 * (1 - 1e-9) <= network.leaky_relu_slope <= 0.3 * (1 + 1e-9)
    # A quarter to four times 0.3 and 0.01.
    assert 0.075 * (1 - 1e-9) <= recipe.learning_rate <= 1.2 * (1 + 1e-9)
    assert 0.0025 * (1 - 1e-9) <= recipe.weight_decay <= 0.04 * (1 + 1e-9)
    assert dataclasses.replace(recipe, learning_rate=0.3, weight_decay=0.01) == MODERN


@given(seed=st.integers(0, 2**32))
def test_draws_under_the_documented_recipe_are_around_0_001_without_decay(seed: int) -> None:
    _, recipe = sample(RandomDraw(random.Random(seed)), DOCUMENTED_RECIPE)
    assert 0.00025 * (1 - 1e-9) <= recipe.learning_rate <= 0.004 * (1 + 1e-9)
    assert dataclasses.replace(recipe, learning_rate=0.001) == DOCUMENTED_RECIPE


def test_draws_reach_every_number_of_blocks_and_convolutions() -> None:
    networks = random_architectures(200, seed=0, base=MODERN)
    assert {len(network.convs) for network in networks} == {2, 3, 4, 5}
    assert {convs for network in networks for convs in network.convs} == {1, 2, 3}


def test_draws_reach_every_pooling_head_and_start() -> None:
    networks = random_architectures(200, seed=0, base=MODERN)
    kinds = {(network.pool, network.head, network.fast_start) for network in networks}
    assert len(kinds) == 2 * 3 * 2


def test_draws_on_a_log_scale_fall_below_the_geometric_mean_as_often_as_above() -> None:
    rng = random.Random(0)
    recipes = [sample(RandomDraw(rng), MODERN)[1] for _ in range(1000)]
    # The recipe's own values are the middles; the standard deviation of a count is 16.
    assert 420 <= sum(recipe.learning_rate < 0.3 for recipe in recipes) <= 580
    assert 420 <= sum(recipe.weight_decay < 0.01 for recipe in recipes) <= 580


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
        assert sample(hyperparameters(DEFAULTS), MODERN) == (DOCUMENTED, MODERN)

    def test_the_documented_recipe_has_no_decay_to_draw(self) -> None:
        hp = hyperparameters({})
        assert sample(hp, DOCUMENTED_RECIPE) == (DOCUMENTED, DOCUMENTED_RECIPE)
        assert hp.values == OF_DOCUMENTED_RECIPE

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
            "pool": "first",
            "head": "global_pool",
            "fast_start": True,
            "learning_rate": 0.04,
            "weight_decay": 0.01,
        }
        network, recipe = sample(hyperparameters(values), MODERN)
        assert network == Architecture(
            (1, 2, 3),
            (24, 32, 56),  # 36 and 54 rounded
            128,
            0.1,
            0.02,
            pool="first",
            head="global_pool",
            fast_start=True,
        )
        assert recipe == dataclasses.replace(MODERN, learning_rate=0.04, weight_decay=0.01)

    def test_width_among_the_values_narrows_the_network(self) -> None:
        network, _ = sample(hyperparameters({"width": 0.25}), MODERN)
        assert network == Architecture(filters=(16, 32, 64, 128, 128), hidden_units=128)

    def test_width_above_1_among_the_values_widens_the_network(self) -> None:
        network, _ = sample(hyperparameters({"width": 1.5}), MODERN)
        assert network == Architecture(filters=(96, 192, 384, 768, 768), hidden_units=768)

    def test_a_linear_head_holds_no_values_of_a_hidden_layer(self) -> None:
        hp = hyperparameters({"head": "linear"})
        network, _ = sample(hp, MODERN)
        assert (network.hidden_units, network.dropout) == (0, 0.0)
        assert {name: value for name, value in hp.values.items() if name != "head"} == {
            name: value for name, value in DEFAULTS.items() if name not in ("head", "hidden_units", "dropout")
        }

    def test_values_of_a_hidden_layer_that_is_not_there_change_nothing(self) -> None:
        plain = sample(hyperparameters({"head": "linear"}), MODERN)
        assert sample(hyperparameters({"head": "linear", "hidden_units": 128}), MODERN) == plain

    def test_draws_of_a_linear_head_have_no_hidden_layer_and_others_do(self) -> None:
        drawn = keras_tuner_draws(60)
        assert {draw["head"] for draw in drawn} == {"flatten", "global_pool", "linear"}
        for draw in drawn:
            assert ("hidden_units" in draw) == ("dropout" in draw) == (draw["head"] != "linear")

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
            assert network.hidden_units == draw.get("hidden_units", 0)
            assert network.dropout == draw.get("dropout", 0.0)
            assert (network.pool, network.head) == (draw["pool"], draw["head"])
            assert network.fast_start is draw["fast_start"]
            assert network.leaky_relu_slope == draw["leaky_relu_slope"]
            assert recipe.learning_rate == draw["learning_rate"]
            assert recipe.weight_decay == draw["weight_decay"]

    def test_decoding_adds_no_value_to_a_complete_draw(self) -> None:
        for draw in keras_tuner_draws(40):
            hp = hyperparameters(draw)
            sample(hp, MODERN)
            assert hp.values == draw

    def test_ranges_are_a_quarter_to_four_times_the_recipes_own_values(self) -> None:
        hp = hyperparameters({})
        sample(hp, dataclasses.replace(MODERN, learning_rate=0.02, weight_decay=0.5))
        ranges = {each.name: each for each in hp.space if each.name in ("learning_rate", "weight_decay")}
        for name, low, default, high in (
            ("learning_rate", 0.005, 0.02, 0.08),
            ("weight_decay", 0.125, 0.5, 2.0),
        ):
            each = ranges[name]
            assert (each.min_value, each.max_value) == pytest.approx((low, high))
            assert (each.default, each.sampling) == (default, "log")

    def test_equal_networks_with_a_linear_head_are_drawn_once(self) -> None:
        """Of this space's 6 networks 4 have a hidden layer: a baseline and 5 slots use it up."""
        import keras_tuner

        from archsearch.draws import Draws, key_of
        from archsearch.plan import Bracket, Rung

        fixed = {name: value for name, value in DEFAULTS.items() if name not in ("head", "hidden_units")}
        hp = keras_tuner.HyperParameters()
        for name, value in fixed.items():
            if name.startswith("block_") or name == "dropout":
                continue
            hp.Fixed(name, value)
        with hp.conditional_scope("num_blocks", [5]):
            for block in range(5):
                hp.Fixed(f"block_{block}/convs", fixed[f"block_{block}/convs"])
        hp.Choice("head", ["flatten", "global_pool", "linear"])
        with hp.conditional_scope("head", ["flatten", "global_pool"]):
            hp.Choice("hidden_units", [128, 512], default=512)
            hp.Fixed("dropout", 0.5)
        bracket = Bracket(iteration=0, number=0, rungs=(Rung(epochs=1, size=6),))
        found = Draws([bracket], space=lambda: hp.space, seed=0, baseline={}, fit=lambda values: values)
        drawn = [found.of(bracket, slot=slot, attempt=0) for slot in range(6)]

        # Two hidden layers on two heads, of which one is the baseline, and one linear head.
        networks = [sample(hyperparameters(values), MODERN)[0] for values in drawn if values is not None]
        assert len(networks) == 4
        assert len({str(network) for network in networks}) == 4
        assert sum(network.head == "linear" for network in networks) == 1
        assert drawn[4:] == [None, None]
        assert len({key_of(values) for values in drawn if values is not None}) == 4
