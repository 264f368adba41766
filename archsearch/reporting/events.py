"""Writes what TensorBoard shows of a search, and its picture, while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archsearch import standing
from archsearch.callbacks import Beginning, SearchCallback
from archsearch.reporting.figures import save, search_history
from archsearch.reporting.tensorboard import TrialEvents, write_trial_session
from archsearch.run_folder import RunFolder
from archsearch.settings import SearchSettings
from archsearch.trials import TrialRecord

if TYPE_CHECKING:
    from archsearch.assignment import Assignment


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
        self._records.append(record)

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
    """One folder of events per trial: its curves while it runs, then its row in the HParams table."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._open: dict[str, TrialEvents] = {}

    def on_search_begin(self, beginning: Beginning) -> None:
        """A process killed between the log and the events leaves a trial without its row: written now."""
        for record in beginning.records:
            if not any(self.folder.trial(record.trial_id).glob("events.out.tfevents.*.hparams")):
                write_trial_session(self.folder.trial(record.trial_id), record)

    def on_trial_begin(self, assignment: Assignment, text: str) -> None:
        if assignment.trial_id in self._open:  # its worker died
            self._open.pop(assignment.trial_id).close()
        self._open[assignment.trial_id] = TrialEvents(self.folder.trial(assignment.trial_id))

    def on_epoch_end(self, assignment: Assignment, epoch: int, values: Mapping[str, float]) -> None:
        self._open[assignment.trial_id].epoch(epoch, values)

    def on_trial_end(self, record: TrialRecord) -> None:
        self._open.pop(record.trial_id).close()
        write_trial_session(self.folder.trial(record.trial_id), record)

    def on_search_end(self) -> None:
        for events in self._open.values():
            events.close()
        self._open.clear()
