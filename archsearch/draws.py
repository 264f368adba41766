"""Which values each slot of a search gets. No Keras Tuner: a space is a list of its hyperparameters.

The draw of a slot depends on the seed, on the slot and on what the search begins with, so it is the same in
whatever order, and by however many workers, the trials are run.

Draws are uniform over the space. Where the search begins with known networks, every second slot gets a
neighbour of one of these instead: a mixture after PriorBand (Mallik et al., NeurIPS 2023, arXiv 2306.12370),
whose share of neighbours grows with the fidelity, and which adds those of the best trial so far; here no draw
depends on a score.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from archsearch.hyperparameter_values import is_value_of
from archsearch.plan import Bracket

Values = dict[str, Any]

MAX_DUPLICATES = 1000
"""Networks drawn for one slot that others have already, before the space counts as exhausted."""

MAX_DUPLICATE_NEIGHBOURS = 100
"""Likewise, before a slot gets a uniform draw instead."""

CHANGE_RATE = 0.25
"""Probability that a value of a neighbour is drawn anew: of a dozen three are, some to what they were."""

CHANGE_DEVIATION = 0.25
"""Of what is drawn anew and has an order, as a share of the range: PriorBand's."""

MAX_TRIES = 20_000
"""Draws for one slot, those beyond the limits included: one network in a thousand is still found."""


class Draws:
    """Draws values slot by slot, no two first draws alike.

    Args:
        brackets: Of the plan, in its order.
        space: The hyperparameters, each after those that its conditions name; asked for at each draw,
            because Keras Tuner learns them only when a hypermodel is built.
        seed: Of all draws.
        baseline: Values of the baseline over the defaults, which no slot repeats; `None` without one.
        fit: From the values of a network to those of one within the limits, narrowed where it has to be;
            `None` if there is none.
    """

    def __init__(
        self,
        brackets: Sequence[Bracket],
        *,
        space: Callable[[], Iterable[Any]],
        seed: int,
        baseline: Mapping[str, Any] | None,
        fit: Callable[[Values], Values | None],
    ) -> None:
        self._slots = [(bracket, slot) for bracket in brackets for slot in range(bracket.rungs[0].size)]
        self._space = space
        self._seed = seed
        self._baseline = baseline
        self._fit = fit
        self.begin_with: Sequence[Values] = ()
        """Given to `begin`."""
        self.first_place: tuple[Bracket, int] | None = None
        """Bracket and slot of the first of them, where it is trained for all epochs at once."""
        self.neighbours = False
        """Whether every second slot gets a neighbour of one of them."""
        self._first: dict[tuple[str, int], Values | None] = {}
        self._further: dict[tuple[str, int, int], Values | None] = {}
        self._known: set[str] = set()
        """Of all first draws so far, which come in the order of the slots."""
        self._exhausted = False

    def begin(self, networks: Sequence[Values], *, at_top: bool = True, neighbours: bool = True) -> None:
        """Gives slots these networks instead of a draw, before anything is drawn.

        Args:
            networks: All values of each, the best first.
            at_top: Whether the first one is trained for all epochs at once, as few could throw out what is
                known to be good; earlier versions gave it the first slot, like the others the next ones.
            neighbours: Whether every second slot gets a neighbour of one of them; in earlier versions none.
        """
        self.begin_with = tuple(networks)
        self.neighbours = neighbours and bool(networks)
        if self.begin_with and at_top:
            self.first_place = next(place for place in self._slots if len(place[0].rungs) == 1)
            self._slots.remove(self.first_place)
            self._slots.insert(0, self.first_place)

    @property
    def baseline_values(self) -> Values | None:
        """All values of the baseline; `None` without one."""
        return None if self._baseline is None else self.complete(self._baseline)

    def complete(self, values: Mapping[str, Any]) -> Values:
        """All values of a network, from those that differ from the defaults."""
        return self._active_values(lambda hp: values.get(hp.name, hp.default)) | dict(values)

    def of(self, bracket: Bracket, *, slot: int, attempt: int) -> Values | None:
        """The values of a slot's attempt; `None` if no network seems to be left.

        A first draw differs from the baseline and from the first draws of all slots before it; a further
        one from those of all slots up to and with its iteration, and from the slot's own.
        """
        if attempt == 0:
            return self._first_draw(bracket, slot)
        place = bracket.name, slot, attempt
        if place not in self._further:
            self._further[place] = self._further_draw(bracket, slot, attempt)
        return self._further[place]

    def _further_draw(self, bracket: Bracket, slot: int, attempt: int) -> Values | None:
        taken = [self._first_draw(*each) for each in self._slots if each[0].iteration <= bracket.iteration]
        known = _keys([self.baseline_values, *taken])
        values = None
        for number in range(1, attempt + 1):
            values = self._draw(bracket, slot, number, known)
            known |= _keys([values])
        return values

    def _first_draw(self, bracket: Bracket, slot: int) -> Values | None:
        while (bracket.name, slot) not in self._first:
            number = len(self._first)
            other, other_slot = self._slots[number]
            known = self._known | _keys([self.baseline_values])
            if number < len(self.begin_with):
                values: Values | None = dict(self.begin_with[number])
            else:
                # A space that is exhausted stays so: the slots that follow do not search it again.
                values = None if self._exhausted else self._draw(other, other_slot, 0, known)
                self._exhausted = values is None
            self._first[other.name, other_slot] = values
            self._known |= _keys([values])
        return self._first[bracket.name, slot]

    def _draw(self, bracket: Bracket, slot: int, attempt: int, known: set[str]) -> Values | None:
        """A network for a slot; a uniform one, too, where neighbours are hardly left."""
        name = f"{bracket.name}/{slot}/{attempt}"
        values = None
        if self.neighbours and gets_neighbour(slot):
            few = MAX_DUPLICATE_NEIGHBOURS
            values = self._new_draw(f"{name}/neighbour", known, self._neighbour, max_duplicates=few)
        return values or self._new_draw(name, known, self._uniform)

    def _uniform(self, rng: random.Random) -> Values:
        return self._active_values(partial(_random_value, rng))

    def _neighbour(self, rng: random.Random) -> Values:
        """Of one of the networks that the search begins with; at its full width, to be narrowed anew."""
        known = rng.choice(self.begin_with)
        return self._active_values(lambda hp: _near_value(rng, hp, known.get(hp.name)))

    def _new_draw(
        self,
        name: str,
        known: set[str],
        draw: Callable[[random.Random], Values],
        *,
        max_duplicates: int = MAX_DUPLICATES,
    ) -> Values | None:
        """A network within the limits that is not known."""
        duplicates = 0
        for number in range(MAX_TRIES):
            values = self._fit(draw(random.Random(f"{self._seed}/{name}/{number}")))
            if values is None:
                continue
            if known.isdisjoint(_keys([values])):
                return values
            duplicates += 1
            if duplicates == max_duplicates:
                return None
        return None

    def _active_values(self, choose: Callable[[Any], Any]) -> Values:
        """Of the hyperparameters whose conditions are met, in the order of the space."""
        values: Values = {}
        for hp in self._space():
            if all(condition.is_active(values) for condition in hp.conditions):
                values[hp.name] = choose(hp)
        return values


def _random_value(rng: random.Random, hp: Any) -> Any:
    return hp.prob_to_value(rng.random())


def gets_neighbour(slot: int) -> bool:
    """Whether a slot gets a neighbour of a known network, where a search begins with any."""
    return slot % 2 == 0


def _near_value(rng: random.Random, hp: Any, value: Any) -> Any:
    """The value, or one drawn anew: around it where values have an order.

    Any, where the known network has none that this hyperparameter may have: it was not there, or another one
    had its name.
    """
    if hasattr(hp, "value"):  # A fixed one is the space's, like the width of a network not yet narrowed.
        return hp.value
    if not is_value_of(hp, value):
        return _random_value(rng, hp)
    if rng.random() >= CHANGE_RATE:
        return value
    if not getattr(hp, "ordered", hasattr(hp, "min_value")):
        return _random_value(rng, hp)
    prob = -1.0
    while not 0.0 <= prob < 1.0:
        prob = rng.gauss(hp.value_to_prob(value), CHANGE_DEVIATION)
    return hp.prob_to_value(prob)


def _keys(draws: Iterable[Values | None]) -> set[str]:
    """Equal for equal values."""
    return {key_of(values) for values in draws if values is not None}


def key_of(values: Mapping[str, Any]) -> str:
    """Equal for equal values, in whatever order."""
    return json.dumps(values, sort_keys=True, default=str)
