"""What a trial is to be: all that running it and writing it down need besides its result. Plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.draws import Values, key_of
from archsearch.ladder import Position
from archsearch.plan import Bracket
from archsearch.trials import Place, Role, plan_order

BASELINE_ID = "baseline"


@dataclass(frozen=True)
class Assignment:
    """One trial that the oracle proposes."""

    trial_id: str
    role: Role
    epochs: int
    seed: int
    values: Mapping[str, Any]
    attempt: int = 0
    parent_trial_id: str | None = None
    bracket: Bracket | None = None
    position: Position | None = None

    @property
    def plan_order(self) -> tuple[int, ...]:
        """Ascending in the order in which the plan lists the trials of the search."""
        if self.bracket is None or self.position is None:
            return ()
        iteration, number = self.bracket.place
        return plan_order(Place(iteration, number, self.position.rung, self.position.slot), self.attempt)


def best_networks(
    completed: Iterable[tuple[float, Assignment]], *, num: int, direction: str
) -> list[Assignment]:
    """The best different networks of the highest rung that the search reached; at most `num`.

    Args:
        completed: Trials with their scores; others than those of the search are passed over.
        num: How many.
        direction: "max" or "min": which scores are better.
    """
    searched = [pair for pair in completed if pair[1].role is Role.SEARCH]
    highest = max((assignment.epochs for _, assignment in searched), default=0)
    sign = -1.0 if direction == "max" else 1.0
    # Of equal scores the one that comes first in the plan, in whatever order they ended.
    ranked = sorted(
        (pair for pair in searched if pair[1].epochs == highest),
        key=lambda pair: (sign * pair[0], pair[1].plan_order),
    )
    different = {key_of(assignment.values): assignment for _, assignment in reversed(ranked)}
    return [each for _, each in ranked if different[key_of(each.values)] is each][:num]


def tuner_values(assignment: Assignment) -> Values:
    """What stock `keras_tuner.Hyperband.run_trial` reads; every rung starts from epoch 0."""
    values: Values = {"tuner/epochs": assignment.epochs, "tuner/initial_epoch": 0}
    if assignment.bracket is not None and assignment.position is not None:
        values |= {"tuner/bracket": assignment.bracket.number, "tuner/round": assignment.position.rung}
    return values


def structure_values(values: Mapping[str, Any]) -> Values:
    """Values without Keras Tuner's own `tuner/...`."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}
