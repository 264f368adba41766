"""What is known of a search: its trials, and whatever else of its folder can be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from archsearch import standing
from archsearch.errors import UserError
from archsearch.exporting.records import Exported, read_exports
from archsearch.lineage import is_of
from archsearch.plan import Plan
from archsearch.run import Run, baseline_name
from archsearch.run_folder import RunFolder, read_json
from archsearch.settings import OBJECTIVES
from archsearch.standing import Confirmation, Lift, RankCorrelation
from archsearch.trials import Role, Status, TrialRecord, read_records

UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
"""What a settings.json of another version, or one damaged by hand, may bring about."""


@dataclass(frozen=True)
class Final:
    """One final training."""

    name: str
    result: Mapping[str, Any]
    """result.json."""
    curve: tuple[Mapping[str, float], ...]
    """Of history.json; empty if that cannot be read."""
    exports: Sequence[Exported] = ()
    """Of export.json."""


@dataclass(frozen=True)
class Findings:
    """One search. All but the records may be missing, and is then left out of the report.

    Args:
        name: Of the run.
        records: In the order they ended.
        stored: settings.json; empty if it cannot be read.
        finals: That are complete.
        not_done: What of the plan was not done, in sentences.
        logs: Folder of all runs, as it was given.
    """

    name: str
    records: Sequence[TrialRecord]
    stored: Mapping[str, Any]
    finals: Sequence[Final] = ()
    not_done: Sequence[str] = ()
    logs: str = "logs"
    running: bool = False
    """Whether a process is at it."""
    other_finals: Sequence[str] = ()
    """Names of final trainings that lie here, but of another search: it was started over since."""

    @property
    def finished(self) -> bool | None:
        """Whether the search ended by itself; `None` where that is not known."""
        finished = self.stored.get("finished")
        return finished if isinstance(finished, bool) else None

    def section(self, name: str) -> Mapping[str, Any]:
        """A part of settings.json; empty if it is missing, or not what it should be."""
        part = self.stored.get(name)
        return part if isinstance(part, Mapping) else {}

    @cached_property
    def objective(self) -> str:
        """Without settings.json the metric that all scores are equal to; "score" if there is none."""
        stored = self.section("settings").get("objective")
        return stored if isinstance(stored, str) else _objective_of(self.completed)

    @cached_property
    def direction(self) -> str:
        """ "max" or "min"."""
        return OBJECTIVES.get(self.objective) or ("min" if self.objective.endswith("loss") else "max")

    @cached_property
    def plan(self) -> Plan | None:
        try:
            return Plan.from_dict(self.section("plan"))
        except UNREADABLE:
            return None

    @cached_property
    def num_planned(self) -> int | None:
        """Trials."""
        try:
            return self.plan.num_trials if self.plan else None
        except UNREADABLE:
            return None

    @cached_property
    def num_validation(self) -> int | None:
        """Images."""
        datasets = [self.section("plan"), self.section("dataset")]
        datasets += [final.result.get("dataset") for final in self.finals]  # type: ignore[misc]
        for part in datasets:
            number = part.get("num_validation") if isinstance(part, Mapping) else None
            if isinstance(number, int) and number > 0:
                return number
        return None

    @cached_property
    def image_shape(self) -> tuple[int, int, int] | None:
        shape = self.section("dataset").get("image_shape")
        if isinstance(shape, list) and len(shape) == 3 and all(isinstance(size, int) for size in shape):
            return shape[0], shape[1], shape[2]
        return None

    @cached_property
    def completed(self) -> list[TrialRecord]:
        """Trials with a score, confirmations included."""
        return [
            record
            for record in self.records
            if record.status is Status.COMPLETED and record.score is not None
        ]

    @cached_property
    def searched(self) -> list[TrialRecord]:
        """Completed trials of the search itself, by which hyperparameters can be judged."""
        return [record for record in self.completed if record.role is Role.SEARCH]

    @cached_property
    def rungs(self) -> list[int]:
        """The fidelities that completed trials have, in epochs, from the lowest."""
        return sorted({record.epochs for record in self.completed})

    @cached_property
    def incumbent(self) -> TrialRecord | None:
        return standing.incumbent(self.records, self.direction)

    @cached_property
    def baseline(self) -> TrialRecord | None:
        return standing.baseline(self.records)

    @cached_property
    def baseline_name(self) -> str:
        """For use in sentences."""
        hypermodel = self.stored.get("hypermodel")
        if self.plan is not None and isinstance(hypermodel, str):
            given = self.section("settings").get("baseline")
            return baseline_name(self.plan, hypermodel, given if isinstance(given, str) else "documented")
        return "the baseline" if self.baseline is None else f"the {standing.baseline_label(self.baseline)}"

    @cached_property
    def confirmations(self) -> dict[str, Confirmation]:
        """By the trial that was confirmed."""
        return {each.trial.trial_id: each for each in standing.confirmations(self.records)}

    @cached_property
    def lift(self) -> Lift | None:
        """`None` also where the number of validation images is not known."""
        if self.num_validation is None:
            return None
        return standing.lift(self.records, self.direction, self.num_validation, self.objective)

    @cached_property
    def rank_correlations(self) -> dict[tuple[int, int], RankCorrelation]:
        """By the epochs of both rungs."""
        return {(each.epochs, each.next_epochs): each for each in standing.rank_correlations(self.records)}

    @property
    def seconds(self) -> float:
        """Wall-clock until the last trial ended."""
        return max((record.elapsed_seconds for record in self.records), default=0.0)

    @cached_property
    def incumbent_line(self) -> set[str]:
        """The incumbent, and the trials of the same values on the rungs below."""
        trials = {record.trial_id: record for record in self.records}
        line: set[str] = set()
        record = self.incumbent
        while record is not None and record.trial_id not in line:
            line.add(record.trial_id)
            record = trials.get(record.parent_trial_id or "")
        return line


def read_findings(folder: RunFolder, *, running: bool | None = None) -> Findings:
    """Of a run, finished or not.

    Args:
        folder: Of the run.
        running: Whether a search is at it; by default its lock says.

    Raises:
        UserError: There is no search, or its log is damaged.
    """
    if not folder.trials.exists() and not folder.exists():
        raise UserError(f"There is no search in {folder.path}. Start one with `python search.py`.")
    records, _ = read_records(folder.trials)
    stored = _read(folder.settings)
    finals = [
        Final(path.name, result, _curve(path / "history.json"), read_exports(path))
        for path in folder.finals()
        if (result := _read(path / "result.json"))
    ]
    others = [final.name for final in finals if not is_of(final.result, records, stored)]
    return Findings(
        folder.path.name,
        records,
        stored,
        [final for final in finals if final.name not in others],
        _not_done(folder),
        folder.path.parent.as_posix(),
        running=folder.is_locked() if running is None else running,
        other_finals=others,
    )


def _objective_of(completed: Sequence[TrialRecord]) -> str:
    names = [*OBJECTIVES, *(name for record in completed[:1] for name in (record.curve or ({},))[-1])]
    for name in names:
        if completed and all(r.curve and r.curve[-1].get(name) == r.score for r in completed):
            return name
    return "score"


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON file of ours; empty if it cannot be read."""
    try:
        return read_json(path)
    except UserError:
        return {}


def _curve(path: Path) -> tuple[Mapping[str, float], ...]:
    try:
        epochs = json.loads(path.read_text(encoding="utf-8"))["epochs"]
        return tuple(dict(epoch) for epoch in epochs)
    except (OSError, *UNREADABLE):
        return ()


def _not_done(folder: RunFolder) -> list[str]:
    """Of a search that is finished; failed trials aside, of which the report has a table."""
    try:
        run = Run(folder)
        if not run.finished:
            return []
        failed = {
            f"{record.trial_id} {record.status}: {record.message}"
            for record in run.trials
            if record.status is not Status.COMPLETED
        }
        return [line for line in run.deviations() if line not in failed]
    except (UserError, *UNREADABLE):
        return []
