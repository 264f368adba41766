"""A stored search, read back: its trials, its incumbent, what it is worth. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch import standing
from archsearch.attempts import spent_seconds
from archsearch.errors import UserError
from archsearch.fitting import RESERVE
from archsearch.lineage import is_of
from archsearch.plan import Bracket, Plan
from archsearch.quantities import format_epochs
from archsearch.run_folder import RunFolder, read_json
from archsearch.runtime import import_tensorflow
from archsearch.settings import SearchSettings, check_precision
from archsearch.standing import Confirmation, Lift, RankCorrelation
from archsearch.trials import Place, Role, Status, TrialRecord, read_records
from archsearch.typed import from_plain
from archsearch.utilisation import Utilisation, utilisation
from space.recipe import Recipe

if TYPE_CHECKING:
    import keras
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Run:
    """One search as its folder tells it.

    Args:
        folder: Where it is stored.
    """

    folder: RunFolder

    @cached_property
    def stored(self) -> Mapping[str, Any]:
        """settings.json.

        Raises:
            UserError: It is not there, or not what a search writes.
        """
        return read_stored(self.folder)

    @cached_property
    def settings(self) -> SearchSettings:
        return SearchSettings(**self.stored["settings"])

    @cached_property
    def plan(self) -> Plan:
        return Plan.from_dict(self.stored["plan"])

    @cached_property
    def trials(self) -> list[TrialRecord]:
        """Every finished trial in the order they ended."""
        return read_records(self.folder.trials)[0]

    @property
    def finished(self) -> bool:
        """Whether the search ended by itself: the plan was done, or the time used up."""
        return bool(self.stored["finished"])

    @property
    def incumbent(self) -> TrialRecord | None:
        """The trial of the best confirmed mean; before, the best one of the highest fidelity reached."""
        return standing.incumbent(self.trials, self.settings.direction)

    @property
    def baseline(self) -> TrialRecord | None:
        """The completed baseline; `None` while there is none."""
        return standing.baseline(self.trials)

    @property
    def lift(self) -> Lift | None:
        """What the incumbent gained over the baseline; `None` if they cannot be compared."""
        settings = self.settings
        return standing.lift(self.trials, settings.direction, self.plan.num_validation, settings.objective)

    @property
    def confirmations(self) -> list[Confirmation]:
        """Networks trained again with fresh seeds after the search, the baseline first."""
        return standing.confirmations(self.trials)

    @property
    def rank_correlations(self) -> list[RankCorrelation]:
        """Whether neighbouring rungs ordered their trials alike."""
        return standing.rank_correlations(self.trials)

    @property
    def seconds(self) -> float:
        """Wall-clock of the search so far."""
        return spent_seconds(self.folder, self.trials)

    @property
    def utilisation(self) -> Utilisation | None:
        """How busy its workers were; `None` if not all sessions had as many."""
        if self.stored.get("workers_changed", False):
            return None
        return utilisation(self.trials, num_workers=self.plan.workers, seconds=self.seconds)

    @property
    def brackets_left_out(self) -> list[Bracket]:
        """Of which no trial was started but the network that the search begins with."""
        places = {record.place for record in self.trials if record.place is not None}
        if self.stored.get("begin_at_top", False):  # this one comes ahead of its bracket
            places.discard(Place(0, 0, 0, 0))
        started = {place[:2] for place in places}
        return [each for each in self.plan.brackets if each.place not in started]

    @property
    def seconds_for_another_iteration(self) -> float:
        """The time limit under which the search would go on: for brackets left out, or for another pass.

        What leads then is confirmed, too.
        """
        brackets, left_out = self.plan.brackets, self.brackets_left_out
        more = left_out or brackets[: len(brackets) // self.plan.iterations]
        expected = sum(self.plan.bracket_seconds(bracket) for bracket in more) + self.plan.confirm_seconds
        if left_out:
            return self.seconds + expected / (1 - RESERVE)
        # A longer plan than this one: that is made from the whole time, whatever was spent of it.
        return (max(self.seconds, self.plan.seconds) + expected) / (1 - RESERVE)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a trial, as in trials.csv; a hyperparameter is empty where it is inactive.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UserError("to_dataframe() needs pandas: pip install pandas") from None
        return pandas.DataFrame([record.to_row() for record in self.trials]).convert_dtypes()

    def best_model(self) -> keras.Model:
        """The network of the final training, trained: raw 0..255 pixels in, class probabilities out.

        A search keeps no weights: its trials are short.

        Raises:
            UserError: There was no final training of the incumbent yet.
        """
        path = self.folder.final("best") / "model.keras"
        if not path.exists():
            raise UserError(f"There is no {path}: train the incumbent first, with {self._final_train()}.")
        what = self.other_than_incumbent()
        if what:
            again = self._final_train("overwrite=True")
            raise UserError(f"{path} is {what}: train the incumbent, with {again}.")
        import_tensorflow()
        import keras

        model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
        return model

    def other_than_incumbent(self) -> str:
        """Of what the training in `final/best` is, as in "of an earlier search"; empty: of the incumbent.

        Raises:
            UserError: Its result.json, or a file of this run, is not there or damaged.
        """
        trained, best = read_json(self.folder.final("best") / "result.json"), self.incumbent
        of_this, trial_id = is_of(trained, self.trials, self.stored), trained.get("trial_id")
        if best is not None and of_this and trial_id == best.trial_id:
            return ""
        return f"of {trial_id}, not of the incumbent" if of_this else "of an earlier search"

    def _final_train(self, *options: str) -> str:
        """The call that trains the incumbent; what was handed in has to be again."""
        logs, own = self.folder.path.parent, self.stored["hypermodel"] != BUILT_IN
        more = (
            (f"logs={str(logs)!r}", logs != Path("logs")),
            ("data=...", self.settings.dataset == "arrays"),
            ("hypermodel=...", own and self.settings.space is None),
        )
        needed = [text for text, needed in more if needed]
        given = [f"run={self.folder.path.name!r}", *needed, *options]
        return f"archsearch.final_train('best', {', '.join(given)})"

    def plot_history(self) -> Figure:
        """The score of every trial over the time of the search, as in search.png."""
        from archsearch.reporting.figures import png, search_history

        settings = self.settings
        figure = search_history(
            self.trials,
            baseline=self.baseline,
            direction=settings.direction,
            objective=settings.objective,
        )
        # A notebook shows figures by themselves only if they were made with pyplot.
        vars(figure)["_repr_png_"] = partial(png, figure)
        return figure

    def deviations(self) -> Iterator[str]:
        """Where the trials differ from the plan, and why."""
        for bracket in self.plan.brackets:
            ran = [
                record
                for record in self.trials
                if record.place is not None and record.place[:2] == bracket.place
            ]
            if not ran:
                yield f"bracket {bracket.name} was not started"
                continue
            for number, rung in enumerate(bracket.rungs):
                completed = sum(record.rung == number and record.status is Status.COMPLETED for record in ran)
                if completed < rung.size:
                    yield (
                        f"bracket {bracket.name}, {format_epochs(rung.epochs)}: "
                        f"{completed} of {rung.size} trials completed"
                    )
        again = [record for record in self.trials if record.role is Role.CONFIRM]
        completed = sum(record.status is Status.COMPLETED for record in again)
        if completed < self.plan.num_confirmations:
            yield f"confirmation: {completed} of {self.plan.num_confirmations} trials completed"
        for record in self.trials:
            if record.status is not Status.COMPLETED:
                yield f"{record.trial_id} {record.status}: {record.message}"

    def to_status(self) -> dict[str, Any]:
        """The state in plain data, for scripts."""
        best, base = self.incumbent, self.baseline
        counts = {status: sum(record.status is status for record in self.trials) for status in Status}
        return {
            "run": str(self.folder.path),
            "finished": self.finished,
            "trials": {"planned": self.plan.num_trials, **counts},
            "seconds": self.seconds,
            "max_seconds": self.settings.max_seconds,
            "workers": self.plan.workers,
            "utilisation": None if self.utilisation is None else self.utilisation.share,
            "objective": self.settings.objective,
            "incumbent": _brief(best),
            "baseline": _brief(base),
            "lift_points": self.lift.points if self.lift else None,
            "lift_interval": [self.lift.low, self.lift.high] if self.lift else None,
            "confirmed": {
                each.trial.trial_id: {"mean": each.mean, "scores": each.scores} for each in self.confirmations
            },
            "rank_correlations": [vars(each) for each in self.rank_correlations],
            "deviations": list(self.deviations()),
        }


def _brief(record: TrialRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    names = ("trial_id", "score", "epochs", "params", "macs", "seconds", "hyperparameters")
    return {name: getattr(record, name) for name in names}


def baseline_name(plan: Plan, hypermodel: str, baseline: str = "documented") -> str:
    """How the baseline is called in every sentence: a narrowed one says so.

    Args:
        plan: Holds its width.
        hypermodel: As stored in settings.json.
        baseline: Of the settings.
    """
    name = "the documented network" if baseline == "documented" else f"the network of {Path(baseline).name}"
    if hypermodel != BUILT_IN:
        return "the defaults of the space" if baseline == "documented" else name
    if plan.baseline_width == 1.0:
        return name
    return f"{name} at width {plan.baseline_width:.2f}"


BUILT_IN = "space.hypermodel:VGGHyperModel"
"""How the built-in space is named in settings.json and best.json."""


_KINDS = {"hypermodel": str, "dataset": dict, "versions": dict, "machine": dict, "finished": bool}
"""Of what else stands in settings.json."""


def read_stored(folder: RunFolder) -> dict[str, Any]:
    """settings.json, with all that a search writes in it.

    Raises:
        UserError: It is not there, or something is missing in it.
    """
    stored = read_json(folder.settings)
    try:
        from_plain(SearchSettings, stored["settings"])
        Plan.from_dict(stored["plan"])
        Recipe.from_dict(stored["recipe"])
        for name, kind in _KINDS.items():
            if not isinstance(stored[name], kind):
                raise TypeError(f"{name} is {stored[name]!r}")
        stored["dataset"]["content_hash"]
        begun_with = stored.get("begin_with") or []
        if not isinstance(begun_with, list) or not all(isinstance(each, dict) for each in begun_with):
            raise TypeError(f"begin_with is {begun_with!r}")
        for name in ("begin_at_top", "neighbours"):  # which earlier versions did not write
            if not isinstance(stored.get(name, False), bool):
                raise TypeError(f"{name} is {stored[name]!r}")
        changes = stored.get("changed_on_the_way", [])  # likewise
        if not isinstance(changes, list) or not all(isinstance(each, str) for each in changes):
            raise TypeError(f"changed_on_the_way is {changes!r}")
        if not isinstance(stored.get("num_from_runs", 0), int):  # nor this
            raise TypeError(f"num_from_runs is {stored['num_from_runs']!r}")
        check_precision(stored.get("precision", "auto"))  # which earlier versions did not write
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(
            f"{folder.settings} is not what a search of this version writes ({error}). "
            "Restore it, or start over with --overwrite."
        ) from error
    return stored


def doubt(folder: RunFolder) -> str:
    """A sentence if the network in its `final/best` is not that of the incumbent; else empty."""
    path = folder.final("best") / "model.keras"
    if not (folder.exists() and path.exists() and path.with_name("result.json").exists()):
        return ""
    try:
        what = Run(folder).other_than_incumbent()
    except UserError as error:
        return str(error)
    return f"{path} is {what}: --best --overwrite trains the incumbent." if what else ""


def open_run(path: str | Path) -> Run:
    """A stored search.

    Args:
        path: `logs/<run>`.

    Raises:
        UserError: There is no search.
    """
    run = Run(RunFolder(Path(path)))
    if not run.folder.exists():
        raise UserError(f"There is no search in {path}. Start one with `python search.py`.")
    return run
