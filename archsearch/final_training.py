"""The final training: one network afresh, in full, tested once, and left to be taken away."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch import runtime
from archsearch.attempts import RESUME
from archsearch.dataset import Splits
from archsearch.delivery import delivered, is_deliverable
from archsearch.devices import DEVICES, device_names, notes, shared, strategy_for
from archsearch.errors import UserError
from archsearch.exporting.export import export_command, take_away
from archsearch.exporting.formats import require
from archsearch.final_result import RESULT, Epoch, Trained, leave
from archsearch.final_source import BEST, DOCUMENTED_NETWORK, FinalSource
from archsearch.final_task import FinalTask, Options, fitted, kept_on_time
from archsearch.problem import built_by_the_user, hypermodel_name
from archsearch.reporting.progress import TrainingProgress
from archsearch.reporting.report import refresh_report
from archsearch.reporting.tensorboard import TrialEvents
from archsearch.run import BUILT_IN, Run
from archsearch.run_folder import RunFolder, locked, read_json
from archsearch.settings import check_precision, check_seconds, check_seed
from archsearch.time_fit import DEFAULT_EPOCHS
from archsearch.unfinished import Unfinished, put_in_place
from space.recipe import RECIPES

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
        precision: One of `runtime.PRECISIONS`; `None`: what was asked for in the search.
        devices: "one", or "all" GPUs of this machine, which share every batch; `None`: one.
        recipe: Name; `None`: the run's, or the documented one for "documented". Another one than the run's
            trains at its own learning rate and weight decay.
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
        source = FinalSource.of(self.what, self.folder, own_images=self.data is not None)
        target = self._target()
        with locked(target.with_name(f"{target.name}.lock"), target), ExitStack() as ends:
            runtime.configure()
            # An earlier result stays until this one is complete.
            unfinished = Unfinished.of(target, start=start, overwrite=self.overwrite)
            begun = unfinished.begun
            seed = self.seed if self.seed is not None else (begun["seed"] if begun else 0)
            splits = source.load(self.data, seed=seed, verbose=self.verbose)
            ends.enter_context(runtime.own_precision())
            options = self._options(source, begun)
            hypermodel = source.hypermodel(self.hypermodel, self.recipe, splits)
            with built_by_the_user(_users(hypermodel)):
                final = self._begin(self._task(source, hypermodel, splits, options), splits, unfinished)
            if (unfinished.folder / RESULT).exists():  # the process was killed before it stood in its place
                result = read_json(unfinished.folder / RESULT)
            else:
                with unfinished.timed():
                    result = leave(self._train(final, source, splits, unfinished), unfinished.folder)
            put_in_place(unfinished.folder, target)
            self._take_away(source.run, target, splits)
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

    def _target(self) -> Path:
        name = self.what if self.what in (BEST, DOCUMENTED_NETWORK) else f"trial-{self.what}"
        target = self.folder.final(name)
        # An interrupted one beside it was begun with --overwrite, and goes on without.
        if (target / RESULT).exists() and not Unfinished.exists(target) and not self.overwrite:
            raise UserError(
                f"{target} holds an earlier final training. Add --overwrite to replace it; its network is "
                f"exported by `{export_command(target, self.export or ('FORMATS',))}`."
            )
        return target

    def _options(self, source: FinalSource, begun: Mapping[str, Any] | None) -> Options:
        """What is given, else what an interrupted training was begun with, else what the run says."""
        usual: dict[str, Any] = {
            "epochs": DEFAULT_EPOCHS,
            "steps_per_epoch": None,
            "seed": source.seed,
            "max_seconds": source.final_seconds if self.epochs is None else None,
            "all_data": False,
            "tta": False,
            "precision": source.precision,
            "devices": 1,
            "test_slowdown": 1.0,
        }
        earlier = {name: (begun or usual)[name] for name in usual}
        names = ("epochs", "seed", "max_seconds", "all_data", "tta")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.devices is not None:
            given["devices"] = len(device_names()) if self.devices == "all" else 1
        told = {**earlier, **given}
        precision = runtime.set_precision(
            self.precision or earlier["precision"],
            own_space=source.space != BUILT_IN,
            num_devices=told["devices"],
        )
        return Options(**{**told, "precision": precision})

    def _task(self, source: FinalSource, hypermodel: Any, splits: Splits, options: Options) -> FinalTask:
        from archsearch.task import TrialTask

        task = TrialTask(
            trial_id=self.what,
            values=source.values(hypermodel),
            hypermodel=hypermodel,
            dataset=source.training_data(splits, all_data=options.all_data),
            epochs=options.epochs,
            seed=options.seed,
        )
        task = shared(task, options.devices)
        said = source.notes(hypermodel)
        if self.devices == "all" or options.devices > 1:
            said += notes(task, options.devices, num_validation=len(task.dataset.validation or ()))
        return FinalTask(
            task,
            options,
            on_time=None,
            notes=tuple(said),
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
        self, final: FinalTask, source: FinalSource, splits: Splits, unfinished: Unfinished
    ) -> Trained:
        from archsearch.training import Training
        from archsearch.watch import Diverged, WrongHyperModel

        task, users = final.task, _users(final.task.hypermodel)
        num_devices = 1 if final.strategy is None else final.strategy.num_replicas_in_sync
        with self._telling(final, unfinished) as telling:
            training = Training(task, telling, final.on_time, final.strategy)
            with built_by_the_user(users, "cannot be trained", others=telling.errors):
                try:
                    model = training.run()
                except (Diverged, WrongHyperModel) as error:
                    unfinished.remove()  # to go on from there would end the same way
                    raise UserError(f"The final training failed: {str(error).rstrip('.')}.") from error
        if not is_deliverable(task, num_devices=num_devices, precision=final.options.precision):
            with built_by_the_user(users, "cannot be built once more"):
                model = delivered(model, task)
        return Trained(
            final=final,
            record=source.record,
            splits=splits,
            model=model,
            history=telling.history,
            start=unfinished.start,
            search_seconds=source.run.seconds if source.run is not None else None,
            learning_rate=training.learning_rate,
        )

    @contextmanager
    def _telling(self, final: FinalTask, unfinished: Unfinished) -> Iterator[Telling]:
        """Everyone who is told of every epoch, until the block ends."""
        with ExitStack() as stack:
            events = stack.enter_context(TrialEvents(unfinished.folder))
            progress = stack.enter_context(TrainingProgress("final training")) if self.verbose else None
            if progress is not None:
                for note in final.notes:
                    progress.note(note)
            yield Telling(unfinished, events, progress, final.task.epochs)


@dataclass
class Telling:
    """Called with every epoch: keeps it, and tells the folder, TensorBoard and the terminal."""

    unfinished: Unfinished
    events: TrialEvents
    progress: TrainingProgress | None
    epochs: int
    history: list[Epoch] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    """Raised in telling, as by a full disk: they are no fault of a network."""

    def __call__(self, epoch: int, values: Epoch) -> None:
        self.history.append(values)
        try:
            self.unfinished.note_time()
            self.events.epoch(epoch + 1, values)
            if self.progress is not None:
                self.progress.epoch(epoch + 1, self.epochs, values)
        except BaseException as error:
            self.errors.append(error)
            raise


def _users(hypermodel: Any) -> Any:
    """The hypermodel if it is the user's own."""
    return None if hypermodel_name(hypermodel) == BUILT_IN else hypermodel
