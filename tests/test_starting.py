from __future__ import annotations

import random
from typing import Any

import pytest

from archsearch.measuring import narrowed_to
from archsearch.starting import differing, origin, starting_points
from space.architecture import Architecture
from space.recipe import MODERN
from space.sampling import RandomDraw, sample
from space.starting_points import STARTING_POINTS
from tests.records import NOWHERE, trial

CIFAR10 = (32, 32, 3)


class Given(RandomDraw):
    """Values over the defaults, each of which has to be one that the space offers."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(random.Random(0))
        self.values = values
        self.asked: set[str] = set()

    def Choice(self, name: str, values: Any, default: Any = None) -> Any:
        self.asked.add(name)
        value = self.values.get(name, default)
        assert value in values
        return value

    def Float(
        self, name: str, min_value: float, max_value: float, sampling: str = "linear", default: Any = None
    ) -> float:
        self.asked.add(name)
        value = float(self.values.get(name, default))
        assert min_value <= value <= max_value
        return value

    def Boolean(self, name: str, default: bool = False) -> bool:
        self.asked.add(name)
        return bool(self.values.get(name, default))

    def Fixed(self, name: str, value: Any) -> Any:
        self.asked.add(name)
        return self.values.get(name, value)


def architecture(values: Any) -> Architecture:
    return sample(Given(dict(values)), MODERN)[0]


@pytest.mark.parametrize(("number", "filters"), [(0, (64, 256, 256)), (1, (64, 128, 128))])
def test_the_starting_points_are_networks_of_the_space(number: int, filters: tuple[int, ...]) -> None:
    values = STARTING_POINTS[number]
    given = Given(dict(values))
    found, recipe = sample(given, MODERN)
    assert values.keys() <= given.asked, "every value has a name of the space"
    assert (found.convs, found.filters) == ((2, 2, 2), filters)
    assert (found.pool, found.head, found.fast_start) == ("first", "linear", True)
    assert recipe == MODERN


def test_what_is_within_the_limits_stays_as_it_is() -> None:
    networks = [{"a": 1, "width": 1.0}, {"a": 2, "width": 1.0}]
    found = starting_points(networks, fit=dict, known=None, first_rung=4)
    assert found == networks


def test_what_is_beyond_them_is_narrowed_to_the_widest_that_is_not() -> None:
    """Widths are whole 64ths: the widest whose square is at most a quarter is a half."""
    assert narrowed_to({"a": 1}, lambda values: values.get("width", 1.0) ** 2 <= 0.25) == {
        "a": 1,
        "width": 0.5,
    }
    assert narrowed_to({"width": 0.5}, lambda values: values["width"] <= 0.25) == {"width": 0.25}
    assert narrowed_to({"a": 1}, lambda values: True) == {"a": 1}
    assert narrowed_to({"a": 1}, lambda values: False) is None


def test_macs_of_a_starting_point_keep_to_the_limit() -> None:
    def macs(values: Any) -> int:
        return architecture(values).macs(CIFAR10)

    found = narrowed_to(STARTING_POINTS[0], lambda values: macs(values) <= 20_000_000)
    assert found is not None
    assert macs(found) <= 20_000_000 < macs({**found, "width": found["width"] + 1 / 8})


def test_what_meets_no_limit_is_left_out() -> None:
    networks = [{"a": 1}, {"a": 2}]
    found = starting_points(
        networks, fit=lambda values: values if values["a"] == 2 else None, known=None, first_rung=4
    )
    assert found == [{"a": 2}]


def test_the_baseline_is_not_begun_with_again() -> None:
    known = {"b": 1, "a": 1}
    found = starting_points([{"a": 1, "b": 1}, {"a": 2}], fit=dict, known=known, first_rung=4)
    assert found == [{"a": 2}]


@pytest.mark.parametrize(("first_rung", "num"), [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4), (81, 5)])
def test_they_take_at_most_half_of_the_first_rung_and_at_least_one_slot(first_rung: int, num: int) -> None:
    networks = [{"a": number} for number in range(5)]
    assert len(starting_points(networks, fit=dict, known=None, first_rung=first_rung)) == num


@pytest.mark.parametrize(("num_begun_with", "num"), [(0, 4), (1, 3), (3, 1), (4, 0), (5, 0)])
def test_they_take_the_slots_that_networks_of_earlier_runs_leave(num_begun_with: int, num: int) -> None:
    networks = [{"a": number} for number in range(9)]
    begun_with = networks[:num_begun_with]
    found = starting_points(networks, fit=dict, known=None, begun_with=begun_with, first_rung=9)
    assert found == networks[num_begun_with : num_begun_with + num]


def test_a_network_that_the_search_began_with_is_told_by_its_values() -> None:
    stored = {"begin_with": [{"a": 1, "b": 2}, {"a": 4}], "num_from_runs": 1}
    assert origin(trial("x", hyperparameters={"b": 2, "a": 1}), stored) == "from an earlier run"
    assert origin(trial("x", hyperparameters={"a": 4}), stored) == "starting point"
    assert origin(trial("x", hyperparameters={"b": 3, "a": 1}), stored) == ""
    first = trial("x", hyperparameters={"b": 2, "a": 1})
    assert origin(first, {**stored, "num_from_runs": 0}) == "starting point"
    assert origin(first, {"begin_with": None, "num_from_runs": 0}) == ""
    assert origin(first, {}) == ""


NEIGHBOURS: dict[str, Any] = {
    "begin_with": [
        {"a": 1, "b": 2, "c": 3, "d": 4, "width": 0.5},
        {"a": 5, "b": 6, "c": 7, "d": 8, "width": 0.25},
    ],
    "num_from_runs": 1,
    "neighbours": True,
}


def test_a_network_of_which_most_differs_is_near_none() -> None:
    """A slot gets one from the whole space where those near are known already."""
    far = trial("x", slot=2, hyperparameters={"a": 9, "b": 9, "c": 9, "d": 4, "width": 1.0})
    assert origin(far, NEIGHBOURS) == ""


@pytest.mark.parametrize(
    ("values", "name", "different"),
    [
        ({"a": 1, "b": 2, "c": 3, "d": 9, "width": 0.4}, "near one of an earlier run", ["d"]),
        ({"a": 5, "b": 2, "c": 7, "d": 8, "width": 1.0}, "near a starting point", ["b"]),
        # One that is there or not counts as another value.
        ({"a": 5, "b": 6, "c": 7, "e": 9, "width": 1.0}, "near a starting point", ["e", "d"]),
        # Under a looser limit the same structure is wider.
        ({"a": 1, "b": 2, "c": 3, "d": 4, "width": 1.0}, "near one of an earlier run", ["width"]),
    ],
)
def test_a_network_near_a_known_one_is_told_by_its_slot_and_by_what_differs(
    values: dict[str, Any], name: str, different: list[str]
) -> None:
    near = trial("x", slot=2, hyperparameters=values)
    assert origin(near, NEIGHBOURS) == name
    assert differing(values, NEIGHBOURS) == different
    assert origin(near, {**NEIGHBOURS, "neighbours": False}) == ""
    assert origin(trial("x", slot=3, hyperparameters=values), NEIGHBOURS) == "", "drawn from the whole space"
    assert origin(trial("x", **NOWHERE, hyperparameters=values), NEIGHBOURS) == "", "the baseline, say"
