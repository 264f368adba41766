"""Networks given as values: what is taken, what is left out with a sentence, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archsearch.errors import UserError
from archsearch.given_network import Given, architecture_of, narrowed, read_network, read_values
from archsearch.population import family_population
from archsearch.settings import SearchSettings
from space.architecture import DOCUMENTED, Architecture
from space.recipe import DOCUMENTED as DOCUMENTED_RECIPE
from space.recipe import MODERN
from space.sampling import random_architectures, sample

SMALL = {"num_blocks": 2, "block_0/convs": 1, "block_1/convs": 1, "filters": 16, "hidden_units": 128}


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def file(content: Any) -> str:
        path = tmp_path / "mine.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return file


def test_without_values_it_is_the_documented_network() -> None:
    assert architecture_of({}, MODERN) == DOCUMENTED


def test_values_alone_and_those_of_a_best_json_are_the_same(file: Any) -> None:
    best = {"trial_id": "b1-r0-s0", "score": 0.5, "hyperparameters": SMALL | {"tuner/epochs": 9}}
    for content in (SMALL, best):
        assert read_network(file(content), MODERN) == (SMALL, [])
    assert architecture_of(SMALL, MODERN) == Architecture((1, 1), (16, 32), 128)


def test_values_beyond_those_that_are_drawn_are_taken_where_a_network_can_be_made(file: Any) -> None:
    values, _ = read_network(file({"filters": 80, "growth": 1.25, "block_0/convs": 5}), MODERN)
    network = architecture_of(values, MODERN)
    assert (network.convs[0], network.filters[:2]) == (5, (80, 96))  # 100 is 12.5 eights: rounded to even


@pytest.mark.parametrize(
    ("recipe", "values", "left_out"),
    [
        (MODERN, {"learning_rate": 0.001}, "The learning rate 0.001 of .* is not one of the recipe modern"),
        (DOCUMENTED_RECIPE, {"weight_decay": 0.002}, "The weight decay 0.002 of .* the recipe documented"),
        (MODERN, {"learning_rate": "fast"}, "The learning rate fast of"),
    ],
)
def test_what_belongs_to_another_recipe_is_left_out_and_said(
    file: Any, recipe: Any, values: dict[str, Any], left_out: str
) -> None:
    import re

    kept, notes = read_network(file(SMALL | values), recipe)
    assert kept == SMALL
    (note,) = notes
    assert re.match(left_out, note)


def test_what_belongs_to_the_recipe_is_kept(file: Any) -> None:
    values = SMALL | {"learning_rate": 0.1, "weight_decay": 0.005}
    assert read_network(file(values), MODERN) == (values, [])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", r"cannot be read: Expecting .*\. It takes values in JSON; for the built-in space also"),
        ("[1]", "holds no values of a network"),
        ({"hyperparameters": {"filters": [1]}}, "holds no values of a network"),
        ({"hyperparameters": 3}, "holds no values of a network"),
        ({"filter": 16}, "has values that the space has not: filter; it has num_blocks, .*filters"),
        (
            {"num_blocks": 6},
            "is no network of the space: num_blocks must be a whole number from 2 to 5, got 6",
        ),
        (
            {"num_blocks": "three", "filters": 16},
            "num_blocks must be a whole number from 2 to 5, got 'three'",
        ),
        ({"num_blocks": True}, "num_blocks must be a whole number from 2 to 5, got True"),
        ({"filters": 16.5}, "filters must be a whole number from 0 to 16,384, got 16.5"),
        ({"filters": 10**400}, "filters must be a whole number from 0 to 16,384, got 1000"),
        ({"filters": 0}, "Every size must be at least 1"),
        ({"block_0/convs": 10**9}, "block_0/convs must be a whole number from 1 to 100, got 1000000000"),
        ({"growth": 1e308}, r"growth must be a number from 0 to 64, got 1e\+308"),
        ('{"growth": Infinity}', "growth must be a number from 0 to 64, got inf"),
        ('{"leaky_relu_slope": NaN}', "leaky_relu_slope must be a number from 0 to 16,384, got nan"),
        ({"width": 1e300}, r"width must be a number from 0.0001 to 16, got 1e\+300"),
        ({"width": 0}, "width must be a number from 0.0001 to 16, got 0"),
        ({"fast_start": "no"}, "fast_start must be true or false, got 'no'"),
        ({"pool": 3}, "`pool` must be one of last, first, got 3"),
        ({"head": "mean"}, "is no network of the space: `head` must be one of"),
        ({"dropout": 1.5}, r"is no network of the space: `dropout` must be in \[0, 1\)"),
    ],
)
def test_what_is_no_network_is_refused(file: Any, content: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_network(file(content), MODERN)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_windows_writes_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(SMALL), encoding=encoding)
    assert read_values(tmp_path / "mine.json") == SMALL


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--baseline .*none\.json cannot be read: No such file"):
        read_values(tmp_path / "none.json")


def test_narrowing_keeps_a_width_of_its_own() -> None:
    assert narrowed({"width": 0.5}, 0.25)["width"] == 0.125
    assert narrowed({"filters": 32}, 0.25) == {"filters": 32, "width": 0.25}


def test_it_declares_the_names_of_keras_tuner() -> None:
    asked = Given({})
    sample(asked, MODERN)
    # A quarter of the own rate of the recipe, and four times.
    assert asked.ranges["learning_rate"] == pytest.approx(
        (MODERN.learning_rate / 4, 4 * MODERN.learning_rate)
    )
    assert asked.ranges["width"] is None
    assert {"num_blocks", "block_4/convs", "head", "dropout", "fast_start"} <= {*asked.ranges}


# Networks of saved models


@pytest.mark.parametrize(
    "width", [1.0, 53 / 64, 0.5, 18 / 64, 7 / 64, 1 / 64, 33 / 32, 49 / 32, 18 / 64 + 27 / 32, 4.0]
)
def test_networks_of_the_space_are_read_back_at_any_width(width: float, monkeypatch: Any) -> None:
    """Narrowed by a search to 64ths, widened by a final training in 32nds of what was found."""
    for network in random_architectures(60, seed=3, base=MODERN):
        scaled = network.scaled(width)
        monkeypatch.setattr("archsearch.given_network.read_architecture", lambda path, scaled=scaled: scaled)
        values, notes = read_network("mine.keras", MODERN)
        assert architecture_of(values, MODERN) == scaled
        assert notes == []


def test_filters_by_hand_of_a_widened_network(monkeypatch: Any) -> None:
    """24 filters that grow by 1.5 are 24 32 56 80, twice that 48 64 112 160; from 48 they would be 48 72."""
    network = Architecture((1, 1, 1, 1), (48, 64, 112, 160), 256)
    monkeypatch.setattr("archsearch.given_network.read_architecture", lambda path: network)
    values, _ = read_network("mine.keras", MODERN)
    assert values["width"] != 1.0
    assert architecture_of(values, MODERN) == network
    assert (
        architecture_of({"filters": 24, "growth": 1.5, "width": 2.0}, MODERN).filters[:4] == network.filters
    )


def test_filters_that_no_width_explains_are_refused(monkeypatch: Any) -> None:
    network = Architecture((1, 1, 1), (64, 256, 128), 256)
    monkeypatch.setattr("archsearch.given_network.read_architecture", lambda path: network)
    with pytest.raises(UserError, match="all of them may be widened or narrowed; here they are 64, 256, 128"):
        read_network("mine.keras", MODERN)


# What it costs as the baseline


def test_the_population_has_the_given_network_as_its_baseline() -> None:
    settings = SearchSettings()
    population = family_population((32, 32, 3), 10, settings=settings, baseline=SMALL)
    width, macs = population.baselines[0]
    # 1024 places of 9 x 3 x 16, 256 of 9 x 16 x 32, and 8 x 8 x 32 features to 128 units.
    assert (width, macs) == (1.0, 1024 * 9 * 3 * 16 + 256 * 9 * 16 * 32 + 64 * 32 * 128)
    assert population.baselines[32][1] == Architecture((1, 1), (8, 16), 64).macs((32, 32, 3))


def test_a_given_network_beyond_the_limits_is_called_that() -> None:
    """At its narrowest all layers have 8 filters or units: 40 convolutions of 32x32 pixels, two of 16x16,
    and 8 units on the 8x8x8 that are left. A convolution has 9 x 8 + 4 weights a filter, the first of all
    9 x 3 + 4; the hidden layer 512 + 4 a unit, the output 8 + 1.
    """
    settings = SearchSettings(max_macs=1_000_000, max_params=None)
    macs = 1024 * 9 * (3 + 39 * 8) * 8 + 2 * 256 * 9 * 8 * 8 + 512 * 8
    params = (31 + 41 * 76) * 8 + 516 * 8 + 9 * 10
    said = f"the network given at its narrowest has {macs:,} macs and {params:,} weights"
    with pytest.raises(UserError, match=said):
        family_population((32, 32, 3), 10, settings=settings, baseline={"num_blocks": 2, "block_0/convs": 40})
