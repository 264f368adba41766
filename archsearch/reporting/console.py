"""What a search says on stderr: the plan before it starts, then its progress."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from archsearch import standing
from archsearch.callbacks import SearchCallback
from archsearch.plan import Plan, describe
from archsearch.reporting.progress import SearchProgress
from archsearch.settings import SearchSettings
from archsearch.trials import Status, TrialRecord

if TYPE_CHECKING:
    from archsearch.assignment import Assignment


class ConsoleReporter(SearchCallback):
    """Speaks for the search.

    Args:
        stream: Default: stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self.direction = "max"
        self._records: list[TrialRecord] = []
        self._progress: SearchProgress | None = None

    def on_search_begin(
        self,
        settings: SearchSettings,
        plan: Plan,
        records: Sequence[TrialRecord],
        *,
        notes: Sequence[str],
        spent_seconds: float,
    ) -> None:
        self.direction = settings.direction
        self._records = list(records)
        completed = [record for record in records if record.status is Status.COMPLETED]
        for line in (*notes, *describe(plan)):
            print(line, file=self.stream)
        if completed:
            minutes = spent_seconds / 60
            print(f"continued: {len(completed)} trials done, {minutes:.1f} min spent", file=self.stream)
        self._progress = SearchProgress(
            total_trials=plan.num_trials,
            total_epochs=plan.num_epochs,
            objective=settings.objective,
            direction=settings.direction,
            deadline_seconds=None if plan.max_seconds is None else plan.max_seconds - spent_seconds,
            stream=self.stream,
            done_trials=len(completed),
            done_epochs=sum(record.epochs for record in completed),
        )
        self._progress.__enter__()

    def on_trial_begin(self, assignment: Assignment, text: str) -> None:
        if self._progress is not None:
            self._progress.trial_started(assignment.trial_id, assignment.epochs, text)

    def on_epoch_end(self, assignment: Assignment, epoch: int, values: Mapping[str, float]) -> None:
        if self._progress is not None:
            self._progress.epoch(assignment.trial_id, epoch, assignment.epochs, values)

    def on_trial_end(self, record: TrialRecord) -> None:
        self._records.append(record)
        best = standing.incumbent(self._records, self.direction)
        if self._progress is not None:
            self._progress.trial_ended(record, best, standing.baseline(self._records))

    def on_note(self, text: str) -> None:
        if self._progress is not None:
            self._progress.note(text)

    def on_search_end(self) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)
            self._progress = None
