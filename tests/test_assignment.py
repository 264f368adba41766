"""Which networks are the best of a search, whatever the order in which trials ended."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from archsearch.assignment import Assignment, best_networks, structure_values, tuner_values
from archsearch.ladder import Position
from archsearch.plan import Bracket, plan_brackets
from archsearch.trials import Role

FIRST, SECOND, THIRD = plan_brackets(max_epochs=9, factor=3)
AGAIN = plan_brackets(max_epochs=9, factor=3, iterations=2)[3]
"""Bracket 2 of the second iteration."""


def trial(
    name: str, *, bracket: Bracket = FIRST, rung: int = 2, slot: int = 0, attempt: int = 0, **changes: Any
) -> Assignment:
    """Of nine epochs, with its name for its values."""
    values: dict[str, Any] = {
        "trial_id": name,
        "role": Role.SEARCH,
        "epochs": 9,
        "seed": 0,
        "values": {"x": name},
        "attempt": attempt,
        "bracket": bracket,
        "position": Position(rung, slot, attempt),
    }
    return Assignment(**(values | changes))


def outside(name: str, role: Role) -> Assignment:
    return Assignment(name, role, epochs=9, seed=0, values={"x": name})


def names(found: list[Assignment]) -> list[str]:
    return [each.trial_id for each in found]


@pytest.mark.parametrize(("direction", "best"), [("max", ["c", "a"]), ("min", ["b", "a"])])
def test_the_best_come_first(direction: str, best: list[str]) -> None:
    completed = [(0.5, trial("a")), (0.1, trial("b")), (0.9, trial("c"))]
    assert names(best_networks(completed, num=2, direction=direction)) == best


def test_no_more_than_there_are() -> None:
    completed = [(0.5, trial("a")), (0.1, trial("b"))]
    assert names(best_networks(completed, num=7, direction="max")) == ["a", "b"]
    assert best_networks(completed, num=0, direction="max") == []
    assert best_networks([], num=2, direction="max") == []


def test_lower_rungs_do_not_count() -> None:
    completed = [(0.9, trial("low", epochs=3)), (0.1, trial("high")), (0.95, trial("lowest", epochs=1))]
    assert names(best_networks(completed, num=3, direction="max")) == ["high"]


def test_where_no_trial_reached_the_top_the_highest_rung_reached_counts() -> None:
    completed = [(0.4, trial("a", epochs=3)), (0.9, trial("lowest", epochs=1)), (0.6, trial("b", epochs=3))]
    assert names(best_networks(completed, num=3, direction="max")) == ["b", "a"]


def test_baseline_and_confirmations_are_passed_over() -> None:
    completed = [(0.9, outside("baseline", Role.BASELINE)), (0.8, outside("a-c1", Role.CONFIRM))]
    assert names(best_networks([*completed, (0.1, trial("a"))], num=3, direction="max")) == ["a"]


def test_a_longer_baseline_does_not_make_the_searchs_rungs_low() -> None:
    completed = [(0.9, outside("baseline", Role.BASELINE)), (0.1, trial("a", epochs=3))]
    assert names(best_networks(completed, num=3, direction="max")) == ["a"]


EQUAL = [
    trial("b2", bracket=FIRST, slot=5),
    trial("b1-low slot", bracket=SECOND, rung=1, slot=0),
    trial("b1-high slot", bracket=SECOND, rung=1, slot=3),
    trial("b0-first", bracket=THIRD, rung=0, slot=1),
    trial("b0-redrawn", bracket=THIRD, rung=0, slot=1, attempt=1),
    trial("i1-b2", bracket=AGAIN, slot=0),
]
"""In the order of the plan: brackets, then slots, then attempts; the next iteration last."""


@pytest.mark.parametrize("direction", ["max", "min"])
def test_of_equals_the_first_in_the_plan_wins_whatever_ended_first(direction: str) -> None:
    for order in itertools.permutations(EQUAL):
        found = best_networks([(0.5, each) for each in order], num=3, direction=direction)
        assert names(found) == ["b2", "b1-low slot", "b1-high slot"]


def test_the_order_of_the_plan_is_ascending() -> None:
    orders = [each.plan_order for each in EQUAL]
    assert orders == sorted(orders)
    assert len(set(orders)) == len(orders)
    assert outside("baseline", Role.BASELINE).plan_order == ()


def test_a_network_counts_once_by_its_best_trial() -> None:
    """The values of "a" were drawn again in another bracket, under another name, in another order."""
    values, reordered = {"x": 1, "y": 2}, {"y": 2, "x": 1}
    completed = [
        (0.5, trial("a", values=values)),
        (0.7, trial("a again", bracket=SECOND, values=reordered)),
        (0.6, trial("b")),
        (0.1, trial("c")),
    ]
    for order in itertools.permutations(completed):
        assert names(best_networks(order, num=2, direction="max")) == ["a again", "b"]
        assert names(best_networks(order, num=2, direction="min")) == ["c", "a"]


def test_of_equal_trials_of_one_network_the_first_in_the_plan_counts() -> None:
    twice = [(0.5, trial("later", bracket=SECOND, values={"x": 1})), (0.5, trial("first", values={"x": 1}))]
    for order in (twice, twice[::-1]):
        assert names(best_networks(order, num=2, direction="max")) == ["first"]


# What Keras Tuner reads.


def test_values_for_keras_tuner_by_hand() -> None:
    inside = tuner_values(trial("a", bracket=SECOND, rung=1))
    assert inside == {"tuner/epochs": 9, "tuner/initial_epoch": 0, "tuner/bracket": 1, "tuner/round": 1}
    alone = tuner_values(outside("baseline", Role.BASELINE))
    assert alone == {"tuner/epochs": 9, "tuner/initial_epoch": 0}


def test_values_without_those_of_keras_tuner() -> None:
    assert structure_values({"x": 1, "tuner/epochs": 3, "tuner/round": 0, "block/x": 2}) == {
        "x": 1,
        "block/x": 2,
    }
