"""What is nice to have while a search runs, at no more than a hundredth of the time."""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.01
"""Of the elapsed time, that each such thing may take."""


class Ration:
    """Does something now and then.

    Args:
        work: What is done.
        first_seconds: What it is taken to cost before it was done once.
        clock: Seconds.
    """

    def __init__(
        self,
        work: Callable[[], object],
        *,
        first_seconds: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._work = work
        self._clock = clock
        self._begin = clock()
        self._spent = 0.0
        self._expected = first_seconds

    def begin(self) -> None:
        """The time is counted from here."""
        self._begin = self._clock()

    def run_if_due(self) -> None:
        """Does it if what it took so far, and will take, is within its share."""
        if self._spent + self._expected <= SHARE * (self._clock() - self._begin):
            self.run()

    def run(self) -> None:
        """Does it in any case."""
        start = self._clock()
        self._work()
        self._expected = self._clock() - start
        self._spent += self._expected
