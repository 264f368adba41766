"""How busy the workers of a search were, from its records, and what they spared its user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.trials import TrialRecord


@dataclass(frozen=True)
class Utilisation:
    """Of all workers together."""

    num_workers: int
    work_seconds: float
    """Of all trials, as if one had come after the other."""
    seconds: float
    """Wall-clock of the search."""

    @property
    def share(self) -> float:
        """Of the workers' time that went into trials, 0 to 1."""
        return min(1.0, self.work_seconds / (self.num_workers * self.seconds)) if self.seconds else 0.0

    @property
    def saved_seconds(self) -> float:
        """Against one worker that trains each trial as fast as these did."""
        return max(0.0, self.work_seconds - self.seconds)


def utilisation(records: Sequence[TrialRecord], *, num_workers: int, seconds: float) -> Utilisation:
    """Of a search in which all sessions had so many workers.

    Args:
        records: Of the whole search.
        num_workers: Trials at a time.
        seconds: Its wall-clock.
    """
    return Utilisation(num_workers, sum(record.seconds for record in records), seconds)
