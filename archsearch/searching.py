"""The straight line of a search.

settings -> dataset -> plan -> space -> tuner -> trials.jsonl -> best.json
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch import runtime
from archsearch.attempts import end_those_of, spent_seconds
from archsearch.callbacks import Beginning, SearchCallback
from archsearch.continuing import (
    chosen,
    continued_plan,
    stored_settings,
    workers_changed,
)
from archsearch.dataset import Splits, load, subset
from archsearch.earlier import fitted_values, read_earlier
from archsearch.errors import UserError
from archsearch.executors import InlineExecutor
from archsearch.fingerprint import (
    changed_on_the_way,
    changed_surroundings,
    check_log,
    check_same,
    describe_space,
)
from archsearch.given_network import check_values, read_baseline, read_values
from archsearch.layout import Layout, layout_here
from archsearch.nodes import Cluster, connected
from archsearch.plan import Plan
from archsearch.planning import new_plan
from archsearch.problem import (
    Problem,
    built_by_the_user,
    describe_dataset,
    hypermodel_name,
    problem_of,
)
from archsearch.readers.opening import is_built_in
from archsearch.run import BUILT_IN, Run
from archsearch.run_folder import RunFolder, write_json
from archsearch.settings import WHERE, SearchSettings, continued, resolve
from archsearch.starting import most, starting_points
from archsearch.trials import TrialRecord, read_records
from space.starting_points import STARTING_POINTS

if TYPE_CHECKING:
    import keras_tuner

    from archsearch.tuner import HyperbandTuner, RunTrial


@dataclass(frozen=True)
class Search:
    """One call of `archsearch.search`, resolved: what is searched, with what, where.

    Args:
        data: A name, a path, or arrays; `None` for what the settings say.
        folder: Where the run is stored.
        overwrite: Whether an earlier search there is removed.
        hypermodel: Another space than the built-in one.
        callbacks: Told of every trial.
        given: The settings that were given, by field name.
        run_trial: Trains one trial; another one in tests.
    """

    data: Any
    folder: RunFolder
    overwrite: bool
    hypermodel: keras_tuner.HyperModel | None
    callbacks: tuple[SearchCallback, ...]
    given: Mapping[str, Any]
    run_trial: RunTrial | None = None

    def execute(self) -> Run:
        """Runs or continues the search to its end."""
        start = time.time()
        with self.folder.locked(), ExitStack() as ends:
            stored = stored_settings(self.folder, self.overwrite)
            finished = stored is not None and self._is_finished(stored)
            if finished and not self._may_have_changed:
                return self._answer()
            settings = (
                resolve(self.given)
                if stored is None
                else continued(stored["settings"], self.given, chosen(stored))
            )
            if self.hypermodel is not None and settings.space is not None:
                raise UserError("`hypermodel` and `space` exclude each other: both say what is searched.")
            baseline, notes = self._baseline(settings, stored)
            earlier = read_earlier(settings.from_runs, self.folder) if stored is None else []
            cluster = ends.enter_context(connected("none" if finished else settings.ray))
            runtime.configure()
            splits = self._load(settings)
            # Some seconds, which a mistake in the data need not wait for.
            ends.enter_context(runtime.own_precision())
            # "auto" may be another one on the machine that goes on: then scores would not be comparable.
            # Runs that do not say theirs are of versions that had one.
            asked = settings.precision if stored is None else stored.get("precision", "float32")
            space = settings.space or hypermodel_name(self.hypermodel)
            precision = runtime.set_precision(asked, own_space=space != BUILT_IN)
            laid_out = self._layout(settings, cluster)
            problem = problem_of(settings, splits, self.hypermodel, baseline)
            notes += [*splits.notes, *(() if cluster is None else cluster.notes)]
            notes += _precision_note(asked, precision)
            if stored is None:
                plan, more = new_plan(
                    settings, problem, laid_out=laid_out, start=start, measured=self.run_trial is None
                )
                notes, records = [*notes, *more], []
            else:
                plan = continued_plan(stored, settings, self.given, laid_out)
                records = self._records(plan)
            spent = spent_seconds(self.folder, records) if stored else 0.0
            tuner = self._tuner(problem, settings, plan, start - spent)
            if stored is None:
                num_from_runs, more = self._begin_with(earlier, tuner, problem, settings)
                notes += more
            else:
                num_from_runs = stored.get("num_from_runs", 0)
                # Earlier versions do not say: they had all in the first rung, and no neighbours.
                at_top, neighbours = stored.get("begin_at_top", False), stored.get("neighbours", False)
                draws = tuner.oracle.draws
                draws.begin(stored.get("begin_with") or [], at_top=at_top, neighbours=neighbours)
            description = {**self._describe(settings, splits, problem, plan, tuner), "precision": precision}
            description["num_from_runs"] = num_from_runs
            description["machine"]["threads_per_trial"] = laid_out.threads
            description["workers_changed"], description["changed_on_the_way"] = False, []
            if stored is not None:
                description["workers_changed"] = bool(records) and workers_changed(stored, plan)
                check_same(stored, description)
                if finished:
                    return self._answer()
                notes += changed_surroundings(stored, description)
                description["changed_on_the_way"] = changed_on_the_way(
                    stored, description, num_trials=len(records)
                )
            self._begin(stored, description, plan, records)
            executor = self._executor(laid_out, tuner, precision, cluster)
            try:
                self._run(tuner, executor, problem, settings, records, notes)
                write_json(self.folder.settings, {**description, "finished": True})
            finally:
                self._report()
        return Run(self.folder)

    def _baseline(
        self, settings: SearchSettings, stored: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any], list[str]]:
        """As stored, wherever the file may be by now; a sentence if it is there and has changed."""
        if stored is None:
            return self._given_baseline(settings)
        values = dict(stored.get("baseline") or {})
        if settings.baseline == "documented" or not Path(settings.baseline).exists():
            return values, []
        try:
            now, _ = self._given_baseline(settings)
            changed = "" if now == values else "has other values now"
        except UserError as error:
            changed = f"has changed ({error})"
        note = f"{settings.baseline} {changed}: this run goes on with the baseline that it began with."
        return values, [note] if changed else []

    def _given_baseline(self, settings: SearchSettings) -> tuple[dict[str, Any], list[str]]:
        if self.hypermodel is not None and settings.baseline != "documented":
            return read_values(Path(settings.baseline)), []
        return read_baseline(settings)

    def _begin_with(
        self,
        earlier: list[dict[str, Any]],
        tuner: HyperbandTuner,
        problem: Problem,
        settings: SearchSettings,
    ) -> tuple[int, list[str]]:
        """Begins with the best networks of earlier runs, then the starting points of the space.

        Returns:
            How many are of earlier runs; sentences on what they are, and on what was left out.
        """
        draws = tuner.oracle.draws
        first_rung = tuner.plan.brackets[0].rungs[0].size
        fit = partial(problem.fit, plan=tuner.plan)
        found: list[dict[str, Any]] = []
        notes: list[str] = []
        if earlier:
            found, notes = fitted_values(
                earlier,
                list(tuner.oracle.hyperparameters.space),
                own=problem.own,
                fit=fit,
                known=[draws.baseline_values or {}],
                num=most(first_rung),
            )
        more: list[dict[str, Any]] = []
        if not problem.own and settings.starting_points == "yes":
            more = starting_points(
                map(draws.complete, STARTING_POINTS),
                fit=fit,
                known=draws.baseline_values,
                begun_with=found,
                first_rung=first_rung,
            )
        draws.begin([*found, *more])
        if more:
            which = "next" if found else "first"
            names = "; ".join(problem.measure(values).text for values in more)
            notes.append(f"The {which} networks are starting points of the space, not drawn: {names}.")
        if draws.neighbours:
            notes.append(
                "About half of the networks drawn are near known ones: "
                "a quarter of their values is drawn anew."
            )
        return len(found), notes

    def _report(self) -> None:
        """The last report, whatever ended the search; it says whether that is finished."""
        from archsearch.reporting.report import refresh_report

        refresh_report(self.folder, running=False)

    def _answer(self) -> Run:
        """Of a search that is finished."""
        if not self.folder.is_reported():  # it was killed between its end and its last report
            self._report()
        return Run(self.folder)

    @property
    def _may_have_changed(self) -> bool:
        """Whether images or a space are given that can be other ones under the same name."""
        if self.hypermodel is not None or self.given.get("space") is not None:
            return True
        images = self.data if self.data is not None else self.given.get("dataset")
        return images is not None and not is_built_in(images)

    def _is_finished(self, stored: Mapping[str, Any]) -> bool:
        """Whether there is nothing to do: the search ended, and nothing given asks for more."""
        given = {name: value for name, value in self.given.items() if name not in WHERE}
        settings = continued(stored["settings"], given, chosen(stored))
        plan = continued_plan(stored, settings, given)
        unchanged = settings == SearchSettings(**stored["settings"]) and plan == Plan.from_dict(
            stored["plan"]
        )
        return bool(stored["finished"]) and unchanged

    def _load(self, settings: SearchSettings) -> Splits:
        data = self.data if self.data is not None else settings.dataset
        if isinstance(data, str) and data == "arrays":
            raise UserError("This run was searched on arrays: call archsearch.search(data=...) with them.")
        with ExitStack() as ends:
            for callback in self.callbacks:
                ends.callback(callback.on_images_end)
            return load(
                data,
                seed=settings.seed,
                flip=settings.flip,
                image_size=settings.size,
                cache=self.folder.cache,
                on_images=self._on_images,
            )

    def _on_images(self, done: int, total: int) -> None:
        for callback in self.callbacks:
            callback.on_images(done, total)

    def _records(self, plan: Plan) -> list[TrialRecord]:
        """Of earlier sessions."""
        records, _ = read_records(self.folder.trials)
        check_log(self.folder.trials, plan, records)
        return records

    def _layout(self, settings: SearchSettings, cluster: Cluster | None) -> Layout:
        """Another `run_trial` stays in this process, unless workers are asked for."""
        if cluster is not None:
            return cluster.layout(settings.workers, threads=runtime.given_threads())
        workers = settings.workers
        return layout_here(0 if workers is None and self.run_trial is not None else workers)

    @contextlib.contextmanager
    def _executor(
        self, laid_out: Layout, tuner: HyperbandTuner, precision: str, cluster: Cluster | None
    ) -> Iterator[Executor]:
        """Where the trials run."""
        if cluster is not None:
            from archsearch.cluster import ClusterExecutor

            gpus = cluster.gpus_per_trial
            with ClusterExecutor(
                tuner.hypermodel, tuner.data, laid_out, gpus=gpus, precision=precision
            ) as remote:
                yield remote
            return
        if laid_out.workers == 0:
            yield InlineExecutor()
            return
        from archsearch.sharing import stored
        from archsearch.workers import WorkerExecutor, setup_of

        with stored(tuner.data, self.folder.cache) as data:
            setup = setup_of(tuner.hypermodel, data, precision=precision)
            environments = {name: laid_out.environment(name) for name in laid_out.names}
            with WorkerExecutor(setup, environments) as executor:
                yield executor

    def _tuner(self, problem: Problem, settings: SearchSettings, plan: Plan, begin: float) -> HyperbandTuner:
        """With an oracle that knows of no trial yet; the hypermodel is built for the first time.

        Args:
            begin: When the search began, as `time.time()`, as if all its sessions had followed at once.
        """
        import keras_tuner

        from archsearch.oracle import HyperbandOracle
        from archsearch.training import run_trial
        from archsearch.tuner import HyperbandTuner

        oracle = HyperbandOracle(
            keras_tuner.Objective(settings.objective, settings.direction),
            max_epochs=plan.max_epochs,
            factor=plan.factor,
            iterations=plan.iterations,
            seed=settings.seed,
            baseline=problem.baseline_values(plan.baseline_width),
            fit=partial(problem.fit, plan=plan),
            cost=problem.cost,
            confirm=plan.confirm,
        )
        train = subset(problem.data.train, plan.images_per_epoch, settings.seed, cache=self.folder.cache)
        with built_by_the_user(problem.users):
            tuner = HyperbandTuner(
                oracle,
                problem.hypermodel,
                folder=self.folder,
                plan=plan,
                data=dataclasses.replace(problem.data, train=train),
                measure=problem.measure,
                deadline=None if settings.max_seconds is None else begin + settings.max_seconds,
                begin=begin,
                run=self.run_trial or run_trial,
            )
        check_values(problem.baseline, tuner.oracle.hyperparameters.space, settings)
        return tuner

    def _describe(
        self,
        settings: SearchSettings,
        splits: Splits,
        problem: Problem,
        plan: Plan,
        tuner: HyperbandTuner,
    ) -> dict[str, Any]:
        """What settings.json says while the search is not finished."""
        return {
            "settings": settings.to_dict(),
            "plan": plan.to_dict(),
            "hypermodel": hypermodel_name(problem.hypermodel),
            "space": describe_space(tuner.oracle.hyperparameters),
            "recipe": problem.recipe,
            "baseline": problem.baseline or None,
            "begin_with": list(tuner.oracle.draws.begin_with) or None,
            "begin_at_top": tuner.oracle.draws.first_place is not None,
            "neighbours": tuner.oracle.draws.neighbours,
            "dataset": describe_dataset(splits, problem.statistics),
            "versions": runtime.versions(),
            "git_commit": runtime.git_commit(),
            "machine": runtime.machine(),
            "finished": False,
        }

    def _begin(
        self,
        stored: Mapping[str, Any] | None,
        description: Mapping[str, Any],
        plan: Plan,
        records: list[TrialRecord],
    ) -> None:
        """Everything is checked: only now is anything written, and what a kill left is tidied up."""
        if stored is None:
            self.folder.clear()
        else:
            self.folder.drop_torn_line()
            end_those_of(self.folder, records)
        write_json(self.folder.settings, description)
        write_json(self.folder.speed, dataclasses.asdict(plan.speed))

    def _run(
        self,
        tuner: HyperbandTuner,
        executor: AbstractContextManager[Executor],
        problem: Problem,
        settings: SearchSettings,
        records: list[TrialRecord],
        notes: list[str],
    ) -> None:
        from archsearch.best import BestKeeper
        from archsearch.reporting.events import EventWriter, FigureWriter  # loads Matplotlib
        from archsearch.reporting.report import ReportWriter

        keeper = BestKeeper(self.folder, settings.direction, problem)
        own = [keeper, EventWriter(self.folder), FigureWriter(self.folder), ReportWriter(self.folder)]
        callbacks = [*own, *self.callbacks]
        tuner.oracle.replay(records)
        beginning = Beginning(settings, tuner.plan, records, notes, tuner.elapsed_seconds)
        with ExitStack() as ends:
            for callback in callbacks:
                ends.callback(callback.on_search_end)
                callback.on_search_begin(beginning)
            # It ends first: what is written at the end need not wait for trials that nobody wants.
            trains = ends.enter_context(executor)
            tuner.search(trains, num_workers=tuner.plan.workers, callbacks=callbacks)


def _precision_note(asked: str, precision: str) -> list[str]:
    """That a space of one's own may be trained faster than it is by default."""
    fast = runtime.fast_precision()
    if asked != "auto" or precision == fast:
        return []
    return [
        f"Networks of a space of your own compute in {precision}; if their layers can do with less, "
        f"--precision {fast} may be faster here."
    ]
