"""Writes what TensorBoard shows of a search, and its picture, while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from archsearch import standing
from archsearch.callbacks import Beginning, SearchCallback
from archsearch.reporting.figures import save, search_history
from archsearch.reporting.html.findings import read_findings
from archsearch.reporting.ration import Ration
from archsearch.reporting.search_events import (
    SearchEvents,
    write_columns,
    write_missing_events,
    write_search_figures,
)
from archsearch.reporting.tensorboard import TrialEvents, write_trial_session
from archsearch.run_folder import RunFolder
from archsearch.settings import SearchSettings
from archsearch.trials import TrialRecord

if TYPE_CHECKING:
    from archsearch.assignment import Assignment

FIRST_SECONDS = 5.0
"""What the first pictures are taken to cost, with the libraries they load."""


class FigureWriter(SearchCallback):
    """Draws how the search went, when it ends or is interrupted."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._settings = SearchSettings()
        self._records: list[TrialRecord] = []

    def on_search_begin(self, beginning: Beginning) -> None:
        self._settings = beginning.settings
        self._records = list(beginning.records)

    def on_trial_end(self, record: TrialRecord) -> None:
        # One that ran out of time may be run again.
        self._records = [other for other in self._records if other.trial_id != record.trial_id] + [record]

    def on_search_end(self) -> None:
        if self._records:
            figure = search_history(
                self._records,
                baseline=standing.baseline(self._records),
                direction=self._settings.direction,
                objective=self._settings.objective,
            )
            save(figure, self.folder.figure)


class EventWriter(SearchCallback):
    """One folder of events per trial: its curves while it runs, then its row in the HParams table.

    And one for the search: its course after every trial, and its plots as pictures, at no more than a
    hundredth of the time while it runs, and at its end.

    Args:
        folder: Of the run.
        note: Told why there are no pictures; by default stderr.
    """

    def __init__(self, folder: RunFolder, note: Callable[[str], None] | None = None) -> None:
        self.folder = folder
        self.note = note or _say
        self._open: dict[str, TrialEvents] = {}
        self._search: SearchEvents | None = None
        self._figures = Ration(self._draw, first_seconds=FIRST_SECONDS)

    def on_search_begin(self, beginning: Beginning) -> None:
        """What an earlier session left is written anew, or where it is missing: it may have been killed."""
        begin = time.time() - beginning.spent_seconds
        write_columns(self.folder, read_findings(self.folder))
        write_missing_events(self.folder, beginning.records, begin)
        self._search = SearchEvents(self.folder, beginning.settings.direction, begin)
        self._search.rebuild(beginning.records)
        self._figures.begin()

    def on_trial_begin(self, assignment: Assignment, text: str) -> None:
        if assignment.trial_id in self._open:  # its worker died
            self._open.pop(assignment.trial_id).close()
        self._open[assignment.trial_id] = TrialEvents(self.folder.trial(assignment.trial_id))

    def on_epoch_end(self, assignment: Assignment, epoch: int, values: Mapping[str, float]) -> None:
        self._open[assignment.trial_id].epoch(epoch, values)

    def on_trial_end(self, record: TrialRecord) -> None:
        self._open.pop(record.trial_id).close()
        write_trial_session(self.folder.trial(record.trial_id), record)
        if self._search is not None:
            self._search.add(record)
        self._figures.run_if_due()

    def on_search_end(self) -> None:
        for events in self._open.values():
            events.close()
        self._open.clear()
        if self._search is not None:
            self._search.close()
            self._figures.run()

    def _draw(self) -> None:
        """Pictures that cannot be drawn must not end what made them worth drawing."""
        try:
            write_search_figures(self.folder)
        except Exception as error:
            self.note(f"TensorBoard's pictures could not be written: {type(error).__name__}: {error}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
