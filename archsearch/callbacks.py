"""What may be told how a search goes: subclass, and override what is of interest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from archsearch.plan import Plan
from archsearch.settings import SearchSettings
from archsearch.trials import TrialRecord

if TYPE_CHECKING:
    from archsearch.assignment import Assignment


class SearchCallback:
    """Called by the searching process, never by a worker; an exception ends the search."""

    def on_search_begin(
        self,
        settings: SearchSettings,
        plan: Plan,
        records: Sequence[TrialRecord],
        *,
        notes: Sequence[str],
        spent_seconds: float,
    ) -> None:
        """Trials are about to run.

        Args:
            settings: Of the search.
            plan: Of the whole search, earlier sessions included.
            records: Of earlier sessions.
            notes: Sentences on the data.
            spent_seconds: Wall-clock so far, earlier sessions and this one's start included.
        """

    def on_trial_begin(self, assignment: Assignment, text: str) -> None:
        """A trial starts; `text` is its network in one line, empty if it has no `Architecture`."""

    def on_epoch_end(self, assignment: Assignment, epoch: int, values: Mapping[str, float]) -> None:
        """An epoch (counted from 1) of a trial ended."""

    def on_trial_end(self, record: TrialRecord) -> None:
        """A trial ended and stands in the log."""

    def on_note(self, text: str) -> None:
        """Something goes otherwise than planned."""

    def on_search_end(self) -> None:
        """No more trials will run in this session, whatever the reason."""
