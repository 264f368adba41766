"""What may be told how a search goes: subclass, and override what is of interest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.plan import Plan
from archsearch.settings import SearchSettings
from archsearch.trials import TrialRecord

if TYPE_CHECKING:
    from archsearch.assignment import Assignment


@dataclass(frozen=True)
class Beginning:
    """What is known when the trials of a session are about to run."""

    settings: SearchSettings
    plan: Plan
    """Of the whole search, earlier sessions included."""
    records: Sequence[TrialRecord]
    """Of earlier sessions."""
    notes: Sequence[str]
    """Sentences on the data, and on what differs from earlier sessions."""
    spent_seconds: float
    """Wall-clock so far, earlier sessions and this one's start included."""


class SearchCallback:
    """Called by the searching process, never by a worker; an exception ends the search."""

    def on_images(self, done: int, total: int) -> None:
        """So many of so many files of a folder are decoded; before the search begins."""

    def on_images_end(self) -> None:
        """No more files are being decoded, whatever the reason."""

    def on_search_begin(self, beginning: Beginning) -> None:
        """Trials are about to run."""

    def on_trial_begin(self, assignment: Assignment, text: str) -> None:
        """A trial starts, once more if its worker died.

        Args:
            assignment: What is trained.
            text: Its network in one line, empty if it has no `Architecture`.
        """

    def on_trial_placed(self, assignment: Assignment, worker: str) -> None:
        """A worker, named by a number or a machine, has the trial; after a death perhaps another one."""

    def on_epoch_end(self, assignment: Assignment, epoch: int, values: Mapping[str, float]) -> None:
        """An epoch (counted from 1) of a trial ended."""

    def on_trial_end(self, record: TrialRecord) -> None:
        """A trial ended and stands in the log."""

    def on_note(self, text: str) -> None:
        """Something goes otherwise than planned."""

    def on_search_end(self) -> None:
        """No more trials will run in this session, whatever the reason."""
