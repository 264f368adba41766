"""The final training: one network afresh, in full, tested once, and left to be taken away."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch import runtime
from archsearch.attempts import RESUME
from archsearch.class_measures import CLASS_OBJECTIVES
from archsearch.dataset import Splits, load
from archsearch.delivery import delivered
from archsearch.devices import DEVICES, device_names, notes, shared, strategy_for
from archsearch.errors import UserError
from archsearch.exporting.export import export_command, take_away
from archsearch.exporting.formats import require
from archsearch.final_result import RESULT, Epoch, Trained, leave
from archsearch.final_task import FinalTask, Options, fitted, kept_on_time, widened
from archsearch.measuring import measure
from archsearch.own_space import load_space
from archsearch.problem import built_by_the_user, built_in_hypermodel, hypermodel_name
from archsearch.reporting.progress import DecodingProgress, TrainingProgress
from archsearch.reporting.report import refresh_report
from archsearch.reporting.tensorboard import TrialEvents
from archsearch.run import BUILT_IN, Run, open_run
from archsearch.run_folder import RunFolder, locked, read_json
from archsearch.settings import check_precision, check_seconds, check_seed
from archsearch.time_fit import DEFAULT_EPOCHS
from archsearch.trials import TrialRecord
from archsearch.unfinished import Unfinished, put_in_place
from space.recipe import DOCUMENTED, RECIPES, Recipe

if TYPE_CHECKING:
    import keras_tuner


@dataclass(frozen=True)
class FinalTraining:
    """One call of `archsearch.final_train`.

    Args:
        what: "best", "documented", or the id of a trial.
        data: Instead of what the run was searched on; needed where that were arrays.
        folder: Of the run. With "documented" it need not hold a search; one that is there lends its images,
            validation split and seed, unless `data` is given.
        epochs: Of one complete schedule; `None`: as many as the time admits, at most 200 and parts of a pass
            where it admits few, or 50 without a time.
        max_seconds: Wall-clock of all of it; `None`: what the search of the run aimed at, unless epochs are
            given.
        all_data: Whether the validation part is trained on too; there is no validation then.
        tta: Whether it is also tested with the probabilities of several views averaged.
        precision: One of `runtime.PRECISIONS`; `None`: as in the search.
        devices: "one", or "all" GPUs of this machine, which share every batch; `None`: one.
        recipe: Name; `None`: the run's, or the documented one for "documented".
        seed: `None`: that of an interrupted training, the run's, or 0.
        overwrite: Whether an earlier final training of the same network is replaced, or an interrupted one
            started over. One that goes on takes what is not given from what it was begun with.
        hypermodel: Needed where the run searched another space than the built-in one.
        verbose: Whether progress is shown on stderr.
        export: Formats to export the network in, as in `archsearch.exporting.formats`.
    """

    what: str
    data: Any
    folder: RunFolder
    epochs: int | None = None
    max_seconds: float | None = None
    all_data: bool | None = None
    tta: bool | None = None
    precision: str | None = None
    devices: str | None = None
    recipe: str | None = None
    seed: int | None = None
    overwrite: bool = False
    hypermodel: keras_tuner.HyperModel | None = None
    verbose: bool = True
    export: Sequence[str] = ()

    def execute(self) -> dict[str, Any]:
        """Trains, tests, writes; returns what result.json holds."""
        start = time.time()
        self._check()
        require(self.export)
        run = self._run()
        record = None if run is None or self.what == "documented" else self._record(run)
        target = self._target()
        with locked(target.with_name(f"{target.name}.lock"), target), ExitStack() as ends:
            runtime.configure()
            # An earlier result stays until this one is complete.
            unfinished = Unfinished.of(target, start=start, overwrite=self.overwrite)
            begun = unfinished.begun
            splits = self._load(run, begun)
            if not splits.has_test:
                raise UserError(f"{splits.name} has no test part, on which a final training ends.")
            ends.enter_context(runtime.own_precision())
            options = self._options(run, begun)
            hypermodel = self._hypermodel(run, splits)
            with built_by_the_user(_users(hypermodel)):
                final = self._task(hypermodel, run, record, splits, options)
                final = self._begin(final, splits, unfinished)
            if (unfinished.folder / RESULT).exists():  # the process was killed before it stood in its place
                result = read_json(unfinished.folder / RESULT)
            else:
                with unfinished.timed():
                    trained = self._train(final, run, record, splits, unfinished)
                    result = leave(trained, unfinished.folder)
            put_in_place(unfinished.folder, target)
            self._take_away(run, target, splits)
            return result

    def _take_away(self, run: Run | None, target: Path, splits: Splits) -> None:
        """The report knows of the training before, and of what was exported also if that is interrupted."""
        if run is not None:
            refresh_report(self.folder)
        try:
            take_away(target, self.export, splits, verbose=self.verbose)
        finally:
            if run is not None and self.export:
                refresh_report(self.folder)

    def _check(self) -> None:
        """Refuses what makes no sense before anything is read."""
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"--epochs must be at least 1, got {self.epochs}.")
        if self.epochs is not None and self.max_seconds is not None:
            raise UserError("--epochs and --max-time exclude each other: the time says how many epochs.")
        if self.recipe is not None and self.recipe not in RECIPES:
            raise UserError(f"--recipe must be one of {', '.join(RECIPES)}; got {self.recipe!r}.")
        check_seed(self.seed)
        check_seconds("--max-time", self.max_seconds)
        if self.precision is not None:
            check_precision(self.precision)
        if self.devices not in (None, *DEVICES):
            raise UserError(f"--devices must be one of {', '.join(DEVICES)}; got {self.devices!r}.")

    # Before.

    def _run(self) -> Run | None:
        """The search behind it; `None` where the documented network is trained without one."""
        if self.what == "documented" and (self.data is not None or not self.folder.exists()):
            return None
        return open_run(self.folder.path)

    def _record(self, run: Run) -> TrialRecord:
        if self.what == "best":
            if run.incumbent is None:
                raise UserError(
                    f"No trial of {self.folder.path} has completed yet, so there is no best network. "
                    "Continue the search, or train --documented."
                )
            return run.incumbent
        for record in run.trials:
            if record.trial_id == self.what:
                return record
        known = ", ".join(record.trial_id for record in run.trials[:5])
        raise UserError(f"There is no trial {self.what!r} in {self.folder.path}; there are {known}, ...")

    def _target(self) -> Path:
        name = self.what if self.what in ("best", "documented") else f"trial-{self.what}"
        target = self.folder.final(name)
        # An interrupted one beside it was begun with --overwrite, and goes on without.
        if (target / RESULT).exists() and not Unfinished.exists(target) and not self.overwrite:
            raise UserError(
                f"{target} holds an earlier final training. Add --overwrite to replace it; its network is "
                f"exported by `{export_command(target, self.export or ('FORMATS',))}`."
            )
        return target

    def _seed(self, run: Run | None) -> int:
        return self.seed if self.seed is not None else (run.settings.seed if run else 0)

    def _load(self, run: Run | None, begun: Mapping[str, Any] | None) -> Splits:
        """The images of the run, with its validation split."""
        data = self.data
        if data is None:
            data = "cifar10" if run is None else run.settings.dataset
        if run is not None and isinstance(data, str) and data == "arrays":
            raise UserError(
                "This run was searched on arrays: call archsearch.final_train(data=...) with them."
            )
        flip, size = ("auto", None) if run is None else (run.settings.flip, run.settings.size)
        seed = self._seed(None) if run is None else run.settings.seed
        if run is None and begun is not None and self.seed is None:
            seed = begun["seed"]
        with ExitStack() as stack:
            decoding = stack.enter_context(DecodingProgress()) if self.verbose else None
            splits = load(
                data,
                seed=seed,
                flip=flip,
                image_size=size,
                cache=self.folder.cache,
                on_images=decoding.update if decoding else None,
            )
            if run is not None and splits.content_hash != run.stored["dataset"]["content_hash"]:
                raise UserError(
                    f"The images of {splits.name} are not those that {self.folder.path} was searched on."
                )
            if splits.prepare_test is not None:  # too many broken files are better found before than after
                splits.prepare_test()
        return splits

    def _hypermodel(self, run: Run | None, splits: Splits) -> Any:
        stored = run.stored["hypermodel"] if run and self.what != "documented" else BUILT_IN
        if self.hypermodel is not None:
            if self.recipe is not None:
                raise UserError("A hypermodel that is handed in brings its own recipe; leave `recipe` out.")
            if hypermodel_name(self.hypermodel) != stored:
                raise UserError(f"This run searched {stored}, not {hypermodel_name(self.hypermodel)}.")
            return self.hypermodel
        if run is not None and stored != BUILT_IN and run.settings.space is not None:
            if self.recipe is not None:
                raise UserError("A space of your own brings its own recipe; leave --recipe out.")
            return load_space(run.settings.space, splits, splits.statistics)
        if stored != BUILT_IN:
            raise UserError(
                f"This run searched {stored}: call archsearch.final_train(hypermodel=...) with it."
            )
        if self.recipe is not None:
            recipe = RECIPES[self.recipe]
        elif self.what == "documented" or run is None:
            recipe = DOCUMENTED
        else:  # as it was then, whatever a later version means by its name
            recipe = Recipe.from_dict(run.stored["recipe"])
        return built_in_hypermodel(splits, recipe, splits.statistics)

    # The training.

    def _options(self, run: Run | None, begun: Mapping[str, Any] | None) -> Options:
        """What is given, else what an interrupted training was begun with, else what the run says."""
        aimed = run is not None and self.what != "documented" and self.epochs is None
        usual: dict[str, Any] = {
            "epochs": DEFAULT_EPOCHS,
            "steps_per_epoch": None,
            "seed": self._seed(run),
            "max_seconds": run.settings.final_seconds if run is not None and aimed else None,
            "all_data": False,
            "tta": False,
            "precision": run.settings.precision if run is not None else "auto",
            "devices": 1,
        }
        earlier = {name: (begun or usual)[name] for name in usual}
        names = ("epochs", "seed", "max_seconds", "all_data", "tta")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.devices is not None:
            given["devices"] = len(device_names()) if self.devices == "all" else 1
        precision = runtime.set_precision(self.precision or earlier["precision"])
        return Options(**{**earlier, **given, "precision": precision})

    def _task(
        self,
        hypermodel: Any,
        run: Run | None,
        record: TrialRecord | None,
        splits: Splits,
        options: Options,
    ) -> FinalTask:
        from archsearch.task import TrainingData, TrialTask

        final_macs = run.plan.final_macs if run is not None and record is not None else None
        values = record.hyperparameters if record is not None else {}
        if record is not None and record.architecture is not None:
            now = measure(hypermodel, values).architecture
            if now is not None and now.to_dict() != {**now.to_dict(), **record.architecture}:
                raise UserError(
                    f"With the values of {record.trial_id} this version builds another network than the one "
                    f"that was searched. Search again, or use the version of {self.folder.settings}."
                )
        train = splits.read_both() if options.all_data else splits.train
        validation = None if options.all_data else splits.validation
        task = TrialTask(
            trial_id=self.what,
            values=widened(hypermodel, values, final_macs, max_params=run.plan.max_params if run else None),
            hypermodel=hypermodel,
            dataset=TrainingData(
                train,
                validation,
                splits.num_classes,
                splits.flip,
                class_weights=run.settings.class_weights if run is not None else "none",
                class_measures=run is not None and run.settings.objective in CLASS_OBJECTIVES,
            ),
            epochs=options.epochs,
            seed=options.seed,
        )
        task = shared(task, options.devices)
        said: tuple[str, ...] = ()
        if self.devices == "all" or options.devices > 1:
            said = tuple(notes(task, options.devices, num_validation=len(validation or ())))
        return FinalTask(
            task,
            options,
            on_time=None,
            notes=said,
            num_test=splits.num_test,
            strategy=strategy_for(options.devices),
        )

    def _begin(self, final: FinalTask, splits: Splits, unfinished: Unfinished) -> FinalTask:
        """Notes what it is in the folder, to be continued, or finds that an interrupted one was the same.

        Raises:
            UserError: It was another one.
        """
        if unfinished.begun is None:
            final = fitted(final, start=unfinished.start)
        unfinished.begin(
            {
                **dataclasses.asdict(final.options),
                "hypermodel": hypermodel_name(final.task.hypermodel),
                "images": splits.content_hash,
                **final.task.identity,
            }
        )
        task = dataclasses.replace(final.task, resume_folder=unfinished.folder / RESUME)
        return kept_on_time(dataclasses.replace(final, task=task), start=unfinished.start)

    def _train(
        self,
        final: FinalTask,
        run: Run | None,
        record: TrialRecord | None,
        splits: Splits,
        unfinished: Unfinished,
    ) -> Trained:
        from archsearch.training import Training
        from archsearch.watch import Diverged, WrongHyperModel

        history: list[Epoch] = []
        of_telling: list[BaseException] = []
        task = final.task
        with ExitStack() as stack:
            events = stack.enter_context(TrialEvents(unfinished.folder))
            progress = stack.enter_context(TrainingProgress("final training")) if self.verbose else None
            if progress is not None:
                for note in final.notes:
                    progress.note(note)

            def on_epoch(epoch: int, values: Epoch) -> None:
                history.append(values)
                try:
                    unfinished.note_time()
                    events.epoch(epoch + 1, values)
                    if progress is not None:
                        progress.epoch(epoch + 1, task.epochs, values)
                except BaseException as error:
                    of_telling.append(error)
                    raise

            training = Training(task, on_epoch, final.on_time, final.strategy)
            users = _users(task.hypermodel)
            with built_by_the_user(users, "cannot be trained", others=of_telling):
                try:
                    model = training.run()
                except (Diverged, WrongHyperModel) as error:
                    unfinished.remove()  # to go on from there would end the same way
                    raise UserError(f"The final training failed: {str(error).rstrip('.')}.") from error
        if final.strategy is not None or final.options.precision != "float32":
            with built_by_the_user(users, "cannot be built once more"):
                model = delivered(model, task)
        return Trained(
            final=final,
            record=record,
            splits=splits,
            model=model,
            history=history,
            start=unfinished.start,
            search_seconds=run.seconds if run else None,
            learning_rate=training.learning_rate,
        )


def _users(hypermodel: Any) -> Any:
    """The hypermodel if it is the user's own."""
    return None if hypermodel_name(hypermodel) == BUILT_IN else hypermodel
