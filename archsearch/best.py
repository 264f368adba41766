"""best.json: the incumbent, and the way to rebuild it."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.callbacks import SearchCallback
from archsearch.plan import Plan
from archsearch.problem import Problem, hypermodel_name
from archsearch.run_folder import RunFolder, write_json
from archsearch.settings import SearchSettings
from archsearch.trials import TrialRecord, incumbent


class BestKeeper(SearchCallback):
    """Writes best.json whenever the incumbent changes."""

    def __init__(self, folder: RunFolder, direction: str, problem: Problem) -> None:
        self.folder = folder
        self.direction = direction
        self.problem = problem
        self.records: list[TrialRecord] = []

    def on_search_begin(
        self,
        settings: SearchSettings,
        plan: Plan,
        records: Sequence[TrialRecord],
        *,
        notes: Sequence[str],
        spent_seconds: float,
    ) -> None:
        self.records = list(records)
        self._write()

    def on_trial_end(self, record: TrialRecord) -> None:
        before = incumbent(self.records, self.direction)
        self.records = [other for other in self.records if other.trial_id != record.trial_id] + [record]
        if incumbent(self.records, self.direction) is not before:
            self._write()

    def _write(self) -> None:
        best = incumbent(self.records, self.direction)
        if best is not None:
            write_json(
                self.folder.best,
                {
                    "trial_id": best.trial_id,
                    "score": best.score,
                    "epochs": best.epochs,
                    "hypermodel": hypermodel_name(self.problem.hypermodel),
                    "hyperparameters": dict(best.hyperparameters),
                    "recipe": self.problem.recipe,
                    "record": best.to_dict(),
                },
            )
