"""best.json: the incumbent, what it is worth, and the way to rebuild it."""

from __future__ import annotations

from typing import Any

from archsearch.callbacks import Beginning, SearchCallback
from archsearch.problem import Problem, hypermodel_name
from archsearch.run_folder import RunFolder, write_json
from archsearch.standing import confirmations, incumbent, rank_correlations
from archsearch.trials import TrialRecord


class BestKeeper(SearchCallback):
    """Writes best.json whenever something in it changes."""

    def __init__(self, folder: RunFolder, direction: str, problem: Problem) -> None:
        self.folder = folder
        self.direction = direction
        self.problem = problem
        self.records: list[TrialRecord] = []
        self._written: dict[str, Any] = {}

    def on_search_begin(self, beginning: Beginning) -> None:
        self.records = list(beginning.records)
        self._write()

    def on_trial_end(self, record: TrialRecord) -> None:
        self.records = [other for other in self.records if other.trial_id != record.trial_id] + [record]
        self._write()

    def _write(self) -> None:
        best = incumbent(self.records, self.direction)
        if best is None:
            return
        content = {
            "trial_id": best.trial_id,
            "score": best.score,
            "epochs": best.epochs,
            "confirmed": {
                each.trial.trial_id: {"score": each.trial.score, "mean": each.mean, "scores": each.scores}
                for each in confirmations(self.records)
            },
            "hypermodel": hypermodel_name(self.problem.hypermodel),
            "hyperparameters": dict(best.hyperparameters),
            "recipe": self.problem.recipe,
            "rank_correlations": [vars(each) for each in rank_correlations(self.records)],
            "record": best.to_dict(),
        }
        if content != self._written:  # most trials change nothing
            write_json(self.folder.best, content)
            self._written = content
