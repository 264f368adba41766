"""Which trial of a bracket may start next. Plain logic: no Keras Tuner, no clock, no files.

A lineage keeps its slot on its way up: slot 3 of rung 1 trains the values of slot 3 of rung 0. A
promotion is made as soon as it is certain whatever the unfinished trials score, so the trials of a
bracket are the same in whatever order, and by however many workers, they are finished.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.plan import Bracket

MAX_ATTEMPTS = 3
"""Draws a slot of the first rung gets before it is given up."""


@dataclass(frozen=True)
class Position:
    """Where a trial stands in its bracket."""

    rung: int
    slot: int
    attempt: int
    """0 for the first draw of the slot; always that of the lineage's draw above the first rung."""


class Ladder:
    """The state of one bracket.

    Args:
        bracket: Its rungs.
        direction: "max" or "min": which scores are better.
    """

    def __init__(self, bracket: Bracket, direction: str) -> None:
        self.bracket = bracket
        self._sign = -1.0 if direction == "max" else 1.0
        num_rungs = len(bracket.rungs)
        self._scores: list[dict[int, float]] = [{} for _ in range(num_rungs)]
        self._running: list[set[int]] = [set() for _ in range(num_rungs)]
        self._failed: list[set[int]] = [set() for _ in range(num_rungs)]
        self._attempts = [0] * bracket.rungs[0].size

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing more will."""
        return not any(self._running) and self.next() is None

    def next(self) -> Position | None:
        """The next trial that may start: the highest certain promotion, else the first open slot.

        `None` while the running trials decide, and when the bracket is finished.
        """
        for rung in range(len(self.bracket.rungs) - 1, 0, -1):
            for slot in self._promoted(rung):
                if slot not in self._scores[rung] and slot not in self._running[rung]:
                    return Position(rung, slot, self._attempts[slot])
        return next(iter(self.open_positions()), None)

    def open_positions(self) -> list[Position]:
        """All trials of the first rung that may start, by slot."""
        slots = range(self.bracket.rungs[0].size)
        return [Position(0, slot, self._attempts[slot]) for slot in slots if self._is_open(slot)]

    def start(self, position: Position) -> None:
        """The trial is running."""
        if position.rung == 0:
            self._attempts[position.slot] = position.attempt
        self._running[position.rung].add(position.slot)

    def release(self, position: Position) -> None:
        """The trial stopped without a verdict, so its place is open again."""
        self._running[position.rung].discard(position.slot)

    def complete(self, position: Position, score: float) -> None:
        """The trial trained all epochs of its rung."""
        self.release(position)
        self._scores[position.rung][position.slot] = score

    def fail(self, position: Position) -> None:
        """The trial failed: below, the slot is drawn again; above, the next best takes its place."""
        self.release(position)
        if position.rung == 0:
            self._attempts[position.slot] = position.attempt + 1
            if position.attempt + 1 < MAX_ATTEMPTS:
                return
        self._failed[position.rung].add(position.slot)

    def give_up(self, slot: int) -> None:
        """Nothing is trained for this slot of the first rung: no network is left to draw, or no time."""
        self._failed[0].add(slot)

    def _is_open(self, slot: int) -> bool:
        return slot not in self._scores[0] and slot not in self._running[0] and slot not in self._failed[0]

    def _alive(self, rung: int) -> list[int]:
        """Slots completed one rung below that have not failed in `rung`, best first, then by slot."""
        below = self._scores[rung - 1]
        alive = (slot for slot in below if slot not in self._failed[rung])
        return sorted(alive, key=lambda slot: (self._sign * below[slot], slot))

    def _promoted(self, rung: int) -> list[int]:
        """Slots that belong in `rung` whatever the unfinished trials below score."""
        certain = self.bracket.rungs[rung].size - self._unfinished(rung - 1)
        return self._alive(rung)[: max(0, certain)]

    def _unfinished(self, rung: int) -> int:
        """How many more trials may still complete in `rung`."""
        if rung == 0:
            slots = range(self.bracket.rungs[0].size)
            return sum(slot in self._running[0] or self._is_open(slot) for slot in slots)
        places = self.bracket.rungs[rung].size - len(self._scores[rung])
        lineages = len(self._alive(rung)) - len(self._scores[rung]) + self._unfinished(rung - 1)
        return min(places, lineages)
