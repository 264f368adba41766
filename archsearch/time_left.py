"""Whether what comes next still fits into the time of a search, at the pace of the trials so far."""

from __future__ import annotations

import time

from archsearch.fitting import CONFIRM_SHARE
from archsearch.plan import Bracket, Plan

HOPELESS = 1.5
"""A trial expected to take this many times the time that is left is not started."""


class TimeLeft:
    """The time of one search.

    Args:
        plan: For what trials are expected to take, and what is kept for the confirmations.
        deadline: As `time.time()`; `None` for no limit.
    """

    def __init__(self, plan: Plan, deadline: float | None) -> None:
        self.plan = plan
        self.deadline = deadline
        self._expected_seconds = 0.0
        self._actual_seconds = 0.0
        self.num_confirmed = 0
        """Confirmations that need no time any more: an idle worker takes the baseline's before the search is
        over."""

    @property
    def seconds(self) -> float:
        """Until the deadline."""
        return float("inf") if self.deadline is None else self.deadline - time.time()

    def learn(self, macs: int | None, epochs: int, seconds: float) -> None:
        """A trial took so long."""
        self._expected_seconds += self.plan.trial_seconds(macs or 1, epochs)
        self._actual_seconds += seconds

    @property
    def _pace(self) -> float:
        """Seconds that trials took over seconds that were expected, in this session."""
        return self._actual_seconds / self._expected_seconds if self._expected_seconds else 1.0

    @property
    def _for_search(self) -> float:
        """Seconds left for the search itself, what the confirmations need taken off."""
        if self.deadline is None or self.plan.max_seconds is None:
            return self.seconds
        kept = min(self._pace * self.plan.confirm_seconds, CONFIRM_SHARE * self.plan.max_seconds)
        planned = self.plan.num_confirmations
        return self.seconds - kept * (planned - self.num_confirmed) / max(1, planned)

    def refuses_bracket(self, bracket: Bracket) -> str | None:
        """Why a bracket is not started; `None` if it is."""
        return self._refuses(
            f"Bracket {bracket.name} is left out", self.plan.bracket_seconds(bracket), self._for_search
        )

    def refuses_trial(self, name: str, *, macs: int | None, epochs: int, confirms: bool) -> str | None:
        """Why a trial of the search, or one that confirms, is not started; `None` if it is."""
        return self._refuses(
            f"Trial {name} is not started",
            self.plan.trial_seconds(macs or 1, epochs),
            self.seconds if confirms else self._for_search,
        )

    def _refuses(self, what: str, planned_seconds: float, left: float) -> str | None:
        if self.seconds <= 0:
            return "The time is used up."
        expected = self._pace * planned_seconds
        if expected <= HOPELESS * left:
            return None
        return f"{what}: about {expected:.0f} s, and {max(0.0, left):.0f} s are left."
