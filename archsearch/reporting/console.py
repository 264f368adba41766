"""What a search says on stderr: the plan before it starts, then its progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from archsearch import standing
from archsearch.callbacks import Beginning, SearchCallback
from archsearch.plan import Plan
from archsearch.reporting.notebook import default_stream
from archsearch.reporting.plan_text import describe
from archsearch.reporting.progress import DecodingProgress, SearchProgress
from archsearch.trials import Status, TrialRecord

if TYPE_CHECKING:
    from archsearch.assignment import Assignment


class ConsoleReporter(SearchCallback):
    """Speaks for the search.

    Args:
        stream: Default: stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else default_stream()
        self.direction = "max"
        self._records: list[TrialRecord] = []
        self._plan: Plan | None = None
        self._progress: SearchProgress | None = None
        self._decoding: DecodingProgress | None = None

    def on_images(self, done: int, total: int) -> None:
        if self._decoding is None:
            self._decoding = DecodingProgress(stream=self.stream)
            self._decoding.__enter__()
        self._decoding.update(done, total)

    def on_images_end(self) -> None:
        if self._decoding is not None:
            self._decoding.__exit__(None, None, None)
            self._decoding = None

    def on_search_begin(self, beginning: Beginning) -> None:
        settings, plan, spent_seconds = beginning.settings, beginning.plan, beginning.spent_seconds
        self.direction = settings.direction
        self._records = list(beginning.records)
        self._plan = plan
        completed = [record for record in self._records if record.status is Status.COMPLETED]
        for line in (*beginning.notes, *describe(plan)):
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
            num_workers=plan.workers,
            done_trials=len(completed),
            done_epochs=sum(record.epochs for record in completed),
        )
        self._progress.__enter__()

    def on_trial_begin(self, assignment: Assignment, text: str) -> None:
        if self._progress is not None:
            self._progress.trial_started(assignment.trial_id, assignment.epochs, text)

    def on_trial_placed(self, assignment: Assignment, worker: str) -> None:
        if self._progress is not None:
            self._progress.trial_placed(assignment.trial_id, worker)

    def on_epoch_end(self, assignment: Assignment, epoch: int, values: Mapping[str, float]) -> None:
        if self._progress is not None:
            self._progress.epoch(assignment.trial_id, epoch, assignment.epochs, values)

    def on_trial_end(self, record: TrialRecord) -> None:
        # One out of time in an earlier session counts no more.
        self._records = [other for other in self._records if other.trial_id != record.trial_id] + [record]
        best = standing.incumbent(self._records, self.direction)
        means = {each.trial.trial_id: each.mean for each in standing.confirmations(self._records)}
        if self._progress is not None:
            self._progress.trial_ended(record, best, standing.baseline(self._records), means)
            if self._completes_a_rung(record):
                for correlation in standing.rank_correlations(self._records):
                    if correlation.next_epochs == record.epochs:
                        self._progress.note(str(correlation))

    def _completes_a_rung(self, record: TrialRecord) -> bool:
        """Whether it was the last promotion into its rung."""
        place = record.place
        if self._plan is None or place is None or place.rung == 0:
            return False
        bracket = next(each for each in self._plan.brackets if each.place == place[:2])
        alike = [each for each in self._records if each.place is not None and each.place[:3] == place[:3]]
        return len(alike) == bracket.rungs[place.rung].size

    def on_note(self, text: str) -> None:
        if self._progress is not None:
            self._progress.note(text)

    def on_search_end(self) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)
            self._progress = None
