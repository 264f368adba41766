"""The straight line of a search.

settings -> dataset -> plan -> space -> tuner -> trials.jsonl -> best.json
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch import fitting, runtime
from archsearch.callbacks import SearchCallback
from archsearch.dataset import Splits, facts, load, subset
from archsearch.errors import UserError
from archsearch.fitting import family_population
from archsearch.plan import Plan, Speed
from archsearch.problem import (
    Problem,
    admits,
    describe_dataset,
    hypermodel_name,
    hyperparameter_kinds,
    problem_of,
)
from archsearch.reporting.tensorboard import write_hparams_config
from archsearch.run import Run, read_stored
from archsearch.run_folder import RunFolder, read_json, write_json
from archsearch.settings import SearchSettings, continued, resolve
from archsearch.speed import estimate_speed
from archsearch.trials import read_records

if TYPE_CHECKING:
    import keras_tuner

    from archsearch.tuner import RunTrial


def planned(data: Any, *, folder: RunFolder, overwrite: bool, given: Mapping[str, Any]) -> Plan:
    """What `search` would do, without TensorFlow: nothing is measured, written or downloaded.

    The speed is the stored one of this run where there is one, else an estimate.
    """
    stored = _stored(folder, overwrite)
    if stored is not None:
        return _continued_plan(stored, continued(stored["settings"], given), given)
    settings = resolve(given)
    known = facts(data if data is not None else settings.dataset)
    num_train, num_validation = known.split_sizes()
    return fitting.fit(
        settings,
        population=family_population(known.image_shape, known.num_classes, settings=settings),
        num_train=num_train,
        num_validation=num_validation,
        speed=Speed(**read_json(folder.speed)) if folder.speed.exists() else estimate_speed(),
    )


def _stored(folder: RunFolder, overwrite: bool) -> dict[str, Any] | None:
    """What an earlier session wrote in settings.json; `None` if the search begins anew."""
    if overwrite:
        return None
    if folder.trials.exists() and not folder.exists():
        raise UserError(
            f"There is no {folder.settings} for the trials in {folder.trials}. Restore it, choose another "
            "--run, or start over with --overwrite."
        )
    return read_stored(folder) if folder.exists() else None


def _continued_plan(stored: Mapping[str, Any], settings: SearchSettings, given: Mapping[str, Any]) -> Plan:
    plan = Plan.from_dict(stored["plan"])
    if settings.iterations is not None:
        plan = dataclasses.replace(plan, iterations=max(plan.iterations, settings.iterations))
    if "max_seconds" in given and settings.max_seconds != plan.max_seconds:
        if settings.max_seconds is not None:
            planned_seconds = settings.max_seconds * (1 - fitting.RESERVE)
            plan = plan.with_more_time(planned_seconds) if settings.iterations is None else plan
        plan = dataclasses.replace(plan, max_seconds=settings.max_seconds)
    return plan


def _check_same_recipe(stored: Mapping[str, Any] | None, problem: Problem) -> None:
    """Refuses to mix in one log what another recipe, or another version of ours, trained."""
    if stored is not None and stored["recipe"] != problem.recipe:
        raise UserError(
            f"This run was trained with another recipe: {stored['recipe']}, now {problem.recipe}. "
            "Choose another --run, or start over with --overwrite."
        )


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
        with self.folder.locked():
            stored = _stored(self.folder, self.overwrite)
            if stored is not None and self._is_finished(stored):
                return Run(self.folder)
            settings = resolve(self.given) if stored is None else continued(stored["settings"], self.given)
            runtime.configure()
            splits = self._load(settings)
            self._check_same(stored, splits)
            runtime.import_tensorflow()  # some seconds, which a mistake in the data need not wait for
            problem = problem_of(settings, splits, self.hypermodel)
            _check_same_recipe(stored, problem)
            notes = list(splits.notes)
            if stored is None:
                plan = self._new_plan(settings, problem, notes, start)
            else:
                plan = _continued_plan(stored, settings, self.given)
            self._begin(stored, settings, splits, problem, plan)
            self._run(problem, settings, plan, notes, start)
            write_json(self.folder.settings, {**read_json(self.folder.settings), "finished": True})
        return Run(self.folder)

    def _is_finished(self, stored: Mapping[str, Any]) -> bool:
        """Whether there is nothing to do: the search ended, and nothing given asks for more."""
        settings = continued(stored["settings"], self.given)
        return bool(stored["finished"]) and settings.to_dict() == stored["settings"]

    def _load(self, settings: SearchSettings) -> Splits:
        data = self.data if self.data is not None else settings.dataset
        if isinstance(data, str) and data == "arrays":
            raise UserError("This run was searched on arrays: call archsearch.search(data=...) with them.")
        return load(data, seed=settings.seed, flip=settings.flip, cache=self.folder.cache)

    def _check_same(self, stored: Mapping[str, Any] | None, splits: Splits) -> None:
        """Refuses to go on with other images, or another space, than the run began with."""
        if stored is None:
            return
        if stored["dataset"]["content_hash"] != splits.content_hash:
            raise UserError(
                f"The images of {splits.name} are not those this run was searched on. "
                "Choose another --run, or start over with --overwrite."
            )
        if stored["hypermodel"] != hypermodel_name(self.hypermodel):
            given = hypermodel_name(self.hypermodel)
            raise UserError(f"This run searches {stored['hypermodel']}, not {given}. Choose another --run.")

    def _new_plan(self, settings: SearchSettings, problem: Problem, notes: list[str], start: float) -> Plan:
        from archsearch.speed import measure_speed

        speed = estimate_speed()
        if self.run_trial is None:
            values, macs = problem.measured_network(settings)
            try:
                speed = measure_speed(problem.hypermodel, values, macs=macs, data=problem.data)
            except Exception as error:  # the same network as a trial would be a FAILED one, not the end
                notes.append(
                    f"The speed is estimated, for measuring it failed: {type(error).__name__}: {error}"
                )
        return fitting.fit(
            settings,
            population=problem.population,
            num_train=len(problem.data.train),
            num_validation=len(problem.data.validation or ()),
            speed=speed,
            spent_seconds=time.time() - start,
        )

    def _begin(
        self,
        stored: Mapping[str, Any] | None,
        settings: SearchSettings,
        splits: Splits,
        problem: Problem,
        plan: Plan,
    ) -> None:
        """Everything is checked: only now is anything written."""
        if stored is None:
            self.folder.clear()
        description = {
            "settings": settings.to_dict(),
            "plan": plan.to_dict(),
            "hypermodel": hypermodel_name(self.hypermodel),
            "recipe": problem.recipe,
            "dataset": describe_dataset(splits, problem.statistics),
            "versions": runtime.versions(),
            "git_commit": runtime.git_commit(),
            "machine": runtime.machine(),
            "finished": False,
        }
        write_json(self.folder.settings, description)
        write_json(self.folder.speed, dataclasses.asdict(plan.speed))

    def _run(
        self, problem: Problem, settings: SearchSettings, plan: Plan, notes: list[str], start: float
    ) -> None:
        import keras_tuner

        from archsearch.best import BestKeeper
        from archsearch.oracle import HyperbandOracle
        from archsearch.reporting.events import EventWriter, FigureWriter  # loads Matplotlib
        from archsearch.training import run_trial
        from archsearch.tuner import HyperbandTuner

        records, torn = read_records(self.folder.trials)
        if torn:
            self.folder.drop_torn_line()
        spent = max((record.elapsed_seconds for record in records), default=0.0)
        oracle = HyperbandOracle(
            keras_tuner.Objective(settings.objective, settings.direction),
            max_epochs=plan.max_epochs,
            factor=plan.factor,
            iterations=plan.iterations,
            seed=settings.seed,
            baseline={"width": plan.baseline_width} if self.hypermodel is None else {},
            admits=lambda values: admits(problem.measure(values), plan),
        )
        keeper = BestKeeper(self.folder, settings.direction, problem)
        callbacks = [keeper, EventWriter(self.folder), FigureWriter(self.folder), *self.callbacks]
        tuner = HyperbandTuner(
            oracle,
            problem.hypermodel,
            folder=self.folder,
            plan=plan,
            data=dataclasses.replace(
                problem.data,
                train=subset(
                    problem.data.train, plan.images_per_epoch, settings.seed, cache=self.folder.cache
                ),
            ),
            measure=problem.measure,
            deadline=None if settings.max_seconds is None else start + settings.max_seconds - spent,
            spent_seconds=spent + time.time() - start,
            callbacks=callbacks,
            run=self.run_trial or run_trial,
        )
        oracle.replay(records)
        write_hparams_config(self.folder.path, hyperparameter_kinds(oracle.hyperparameters))
        with ExitStack() as ends:
            for callback in callbacks:
                ends.callback(callback.on_search_end)
                elapsed = spent + time.time() - start
                callback.on_search_begin(settings, plan, records, notes=notes, spent_seconds=elapsed)
            tuner.search()
