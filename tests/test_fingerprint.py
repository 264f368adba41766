"""Whether a run that goes on is the search it was."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from archsearch.errors import UserError
from archsearch.fingerprint import (
    changed_on_the_way,
    changed_surroundings,
    check_same,
    describe_space,
    differences,
)

STORED: dict[str, Any] = {
    "hypermodel": "mine:Space",
    "space": {
        "filters": {"kind": "Choice", "values": [16, 32], "default": 16, "conditions": []},
        "rate": {"kind": "Float", "min_value": 0.0, "max_value": 1.0, "conditions": []},
    },
    "recipe": {"name": "modern", "batch_size": 128},
    "dataset": {"content_hash": "abc", "name": "digits"},
    "versions": {"keras": "3.15.0", "python": "3.11.2"},
    "machine": {"processor": "x86_64", "cores": 2, "gpus": [], "memory": 8},
    "settings": {"seed": 0},
    "finished": False,
}


def changed(*path: str, value: Any) -> dict[str, Any]:
    """The same, but for one value."""
    description = copy.deepcopy(STORED)
    place = description
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return description


def test_the_same_search_is_the_same() -> None:
    check_same(STORED, json.loads(json.dumps(STORED)))


@pytest.mark.parametrize(
    "other",
    [
        changed("dataset", "name", value="elsewhere/digits.npz"),
        changed("settings", "seed", value=1),
        changed("finished", value=True),
        changed("versions", "keras", value="3.16.0"),
        changed("machine", "cores", value=64),
    ],
)
def test_other_things_have_their_own_comparison(other: dict[str, Any]) -> None:
    check_same(STORED, other)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (changed("hypermodel", value="mine:Other"), "hypermodel: stored mine:Space, now mine:Other"),
        (
            changed("space", "filters", "values", value=[16, 64]),
            "space filters values: stored [16, 32], now [16, 64]",
        ),
        (changed("space", "rate", "max_value", value=2.0), "space rate max_value: stored 1.0, now 2.0"),
        (changed("space", "rate", "conditions", value=["x"]), "space rate conditions: stored [], now ['x']"),
        (changed("space", "depth", value={"kind": "Int"}), "space depth: stored None, now {'kind': 'Int'}"),
        (changed("recipe", "batch_size", value=64), "recipe batch_size: stored 128, now 64"),
        (changed("dataset", "content_hash", value="abd"), "the images or labels are not the same"),
    ],
)
def test_what_scores_depend_on_is_refused_when_it_differs(other: dict[str, Any], difference: str) -> None:
    with pytest.raises(UserError) as refusal:
        check_same(STORED, other)
    assert str(refusal.value) == (
        f"This run is of another search ({difference}). Choose another --run, or start over with --overwrite."
    )


def test_every_difference_is_listed() -> None:
    other = changed("space", "rate", "max_value", value=2.0)
    other["recipe"]["batch_size"] = 64
    other["dataset"]["content_hash"] = "abd"
    with pytest.raises(UserError, match=r"\(space rate .*; recipe batch_size: .*; the images or labels .*\)"):
        check_same(STORED, other)


def test_a_hyperparameter_that_is_gone_is_a_difference() -> None:
    other = copy.deepcopy(STORED)
    del other["space"]["rate"]
    with pytest.raises(UserError, match=r"\(space rate: stored \{'kind': 'Float', .*\}, now None\)"):
        check_same(STORED, other)


# Differences.


def test_equal_data_have_no_differences() -> None:
    assert list(differences("x", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})) == []


def test_differences_are_named_by_their_place() -> None:
    before, now = {"a": 1, "b": {"c": 2, "d": 3}, "e": 4}, {"a": 1, "b": {"c": 5, "d": 3}, "f": 6}
    assert list(differences("", before, now)) == [
        "b c: stored 2, now 5",
        "e: stored 4, now None",
        "f: stored None, now 6",
    ]


# Surroundings.


def test_the_same_surroundings_are_not_mentioned() -> None:
    assert list(changed_surroundings(STORED, STORED)) == []
    assert list(changed_surroundings(STORED, changed("machine", "memory", value=4))) == []


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (changed("versions", "keras", value="3.16.0"), "keras 3.15.0, now it is 3.16.0"),
        (changed("versions", "numpy", value="2.4.6"), "numpy None, now it is 2.4.6"),
        (changed("versions", value={"python": "3.11.2"}), "keras 3.15.0, now it is None"),
        (changed("machine", "processor", value="arm64"), "processor x86_64, now it is arm64"),
        (changed("machine", "cores", value=4), "cores 2, now it is 4"),
        (changed("machine", "gpus", value=["A"]), r"gpus [], now it is ['A']"),
        (changed("machine", "threads_per_trial", value=4), "threads per trial None, now it is 4"),
    ],
)
def test_other_surroundings_are_one_sentence(other: dict[str, Any], sentence: str) -> None:
    assert list(changed_surroundings(STORED, other)) == [
        f"So far this run had {sentence}: scores may differ a little."
    ]


def test_what_changed_from_session_to_session_is_kept() -> None:
    """settings.json has the versions of the last session."""
    second = changed("versions", "keras", value="3.16.0")
    assert changed_on_the_way(STORED, STORED, num_trials=5) == []
    kept = changed_on_the_way(STORED, second, num_trials=5)
    assert kept == ["keras 3.15.0, after 5 trials 3.16.0"]
    third = changed("machine", "cores", value=4)
    again = changed_on_the_way({**second, "changed_on_the_way": kept}, third, num_trials=9)
    assert again == [*kept, "cores 2, after 9 trials 4", "keras 3.16.0, after 9 trials 3.15.0"]


# Spaces.


def space(*, largest: float = 1.0, default: str = "conv", depths: tuple[int, ...] = (1, 2)) -> Any:
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, largest, sampling="log", default=1e-2)
    hp.Choice("kind", ["conv", "dense"], default=default)
    with hp.conditional_scope("kind", ["conv"]):
        hp.Choice("depth", list(depths))
        hp.Boolean("pool")
    hp.Int("units", 8, 64, step=8)
    hp.Fixed("width", 1.0)
    return hp


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_a_space_is_described_by_kind_range_default_and_conditions() -> None:
    described = describe_space(space())
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert list(described) == ["rate", "kind", "depth", "pool", "units", "width"]
    assert [one["kind"] for one in described.values()] == [
        *("Float", "Choice", "Choice", "Boolean", "Int", "Fixed")
    ]
    rate, depth, units = described["rate"], described["depth"], described["units"]
    assert (rate["min_value"], rate["max_value"], rate["sampling"], rate["default"]) == (
        1e-4,
        1.0,
        "log",
        0.01,
    )
    assert (units["min_value"], units["max_value"], units["step"]) == (8, 64, 8)
    assert depth["values"] == [1, 2]
    assert rate["conditions"] == []
    assert len(depth["conditions"]) == 1
    assert "kind" in depth["conditions"][0]
    assert "conv" in depth["conditions"][0]


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("change", [{"largest": 0.5}, {"default": "dense"}, {"depths": (1, 2, 3)}])
def test_spaces_that_differ_are_described_otherwise(change: dict[str, Any]) -> None:
    assert describe_space(space()) == describe_space(space())
    assert describe_space(space(**change)) != describe_space(space())


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_values_drawn_make_no_space_another() -> None:
    drawn = space()
    drawn.values = {"rate": 0.5, "kind": "dense"}
    assert describe_space(drawn) == describe_space(space())
