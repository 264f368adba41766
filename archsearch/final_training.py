"""The final training: one network afresh, in full, tested once, and left to be taken away."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch import runtime
from archsearch.attempts import RESUME
from archsearch.dataset import Splits, image_statistics, load
from archsearch.errors import UserError, writing
from archsearch.exporting.export import take_away
from archsearch.exporting.formats import require
from archsearch.final_result import RESULT, Epoch, Trained, leave
from archsearch.fingerprint import differences
from archsearch.problem import built_in_hypermodel, hypermodel_name
from archsearch.reporting.progress import TrainingProgress
from archsearch.reporting.report import refresh_report
from archsearch.reporting.tensorboard import TrialEvents
from archsearch.run import BUILT_IN, Run, open_run
from archsearch.run_folder import RunFolder, locked, read_json, write_json
from archsearch.settings import check_seed
from archsearch.trials import TrialRecord
from space.recipe import DOCUMENTED, RECIPES, Recipe

if TYPE_CHECKING:
    import keras_tuner

    from archsearch.training import TrialTask

DEFAULT_EPOCHS = 50

BEGUN = "begun.json"
"""In the folder of a training that is not complete: what it depends on."""


@dataclass(frozen=True)
class FinalTraining:
    """One call of `archsearch.final_train`.

    Args:
        what: "best", "documented", or the id of a trial.
        data: Instead of what the run was searched on; needed where that were arrays.
        folder: Of the run. With "documented" it need not hold a search; one that is there lends its images,
            validation split and seed, unless `data` is given.
        epochs: Of one complete schedule; `None`: those of an interrupted training that goes on, or 50.
        recipe: Name; `None`: the run's, or the documented one for "documented".
        seed: `None`: that of an interrupted training, the run's, or 0.
        overwrite: Whether an earlier final training of the same network is replaced, or an interrupted one
            started over.
        hypermodel: Needed where the run searched another space than the built-in one.
        verbose: Whether progress is shown on stderr.
        export: Formats to export the network in, as in `archsearch.exporting.formats`.
    """

    what: str
    data: Any
    folder: RunFolder
    epochs: int | None = None
    recipe: str | None = None
    seed: int | None = None
    overwrite: bool = False
    hypermodel: keras_tuner.HyperModel | None = None
    verbose: bool = True
    export: Sequence[str] = ()

    def execute(self) -> dict[str, Any]:
        """Trains, tests, writes; returns what result.json holds."""
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"--epochs must be at least 1, got {self.epochs}.")
        if self.recipe is not None and self.recipe not in RECIPES:
            raise UserError(f"--recipe must be one of {', '.join(RECIPES)}; got {self.recipe!r}.")
        check_seed(self.seed)
        require(self.export)
        run = self._run()
        record = None if run is None or self.what == "documented" else self._record(run)
        target = self._target()
        with locked(target.with_name(f"{target.name}.lock"), target):
            runtime.configure()
            splits = self._load(run)
            if not splits.has_test:
                raise UserError(f"{splits.name} has no test part, on which a final training ends.")
            runtime.import_tensorflow()
            hypermodel = self._hypermodel(run, splits)
            # An earlier result stays until this one is complete.
            unfinished = _unfinished(target)
            task = self._task(hypermodel, run, record, splits, unfinished)
            if (unfinished / RESULT).exists():  # the process was killed before it stood in its place
                result = read_json(unfinished / RESULT)
            else:
                result = leave(self._train(task, run, record, splits, unfinished), unfinished)
            _put_in_place(unfinished, target)
            take_away(target, self.export, splits, verbose=self.verbose)
            if run is not None:
                refresh_report(self.folder)
            return result

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
        interrupted = (_unfinished(target) / BEGUN).exists()
        if (target / RESULT).exists() and not interrupted and not self.overwrite:
            raise UserError(f"{target} holds an earlier final training. Add --overwrite to replace it.")
        return target

    def _seed(self, run: Run | None) -> int:
        return self.seed if self.seed is not None else (run.settings.seed if run else 0)

    def _load(self, run: Run | None) -> Splits:
        """The images of the run, with its validation split."""
        if run is None:
            data = self.data if self.data is not None else "cifar10"
            return load(data, seed=self._seed(run), cache=self.folder.cache)
        data = self.data if self.data is not None else run.settings.dataset
        if isinstance(data, str) and data == "arrays":
            raise UserError(
                "This run was searched on arrays: call archsearch.final_train(data=...) with them."
            )
        splits = load(data, seed=run.settings.seed, flip=run.settings.flip, cache=self.folder.cache)
        if splits.content_hash != run.stored["dataset"]["content_hash"]:
            raise UserError(
                f"The images of {splits.name} are not those that {self.folder.path} was searched on."
            )
        return splits

    def _hypermodel(self, run: Run | None, splits: Splits) -> Any:
        stored = run.stored["hypermodel"] if run and self.what != "documented" else BUILT_IN
        if self.hypermodel is not None:
            if self.recipe is not None:
                raise UserError("A hypermodel that is handed in brings its own recipe; leave `recipe` out.")
            if hypermodel_name(self.hypermodel) != stored:
                raise UserError(f"This run searched {stored}, not {hypermodel_name(self.hypermodel)}.")
            return self.hypermodel
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
        return built_in_hypermodel(splits, recipe, image_statistics(splits.train))

    # The training.

    def _task(
        self, hypermodel: Any, run: Run | None, record: TrialRecord | None, splits: Splits, folder: Path
    ) -> TrialTask:
        """What is trained, with what an interrupted training left where nothing else is given.

        Raises:
            UserError: An interrupted training was another one.
        """
        from archsearch.training import TrainingData, TrialTask

        begun = None if self.overwrite else _begun(folder)
        if begun is None:
            shutil.rmtree(folder, ignore_errors=True)
        earlier = begun or {"epochs": DEFAULT_EPOCHS, "seed": self._seed(run)}
        task = TrialTask(
            trial_id=self.what,
            values=record.hyperparameters if record else {},
            hypermodel=hypermodel,
            dataset=TrainingData(splits.train, splits.validation, splits.num_classes, splits.flip),
            epochs=self.epochs or earlier["epochs"],
            seed=earlier["seed"] if self.seed is None else self.seed,
            resume_folder=folder / RESUME,
        )
        description = {
            "hypermodel": hypermodel_name(hypermodel),
            "images": splits.content_hash,
            **task.identity,
        }
        changes = [] if begun is None else list(differences("", begun, description))
        if changes:
            raise UserError(
                f"An interrupted final training in {folder} was another one ({'; '.join(changes)}). "
                "Give the same to continue it, or --overwrite to start over."
            )
        write_json(folder / BEGUN, description)
        return task

    def _train(
        self, task: TrialTask, run: Run | None, record: TrialRecord | None, splits: Splits, target: Path
    ) -> Trained:
        from archsearch.training import Training
        from archsearch.watch import Diverged

        history: list[Epoch] = []
        start = time.perf_counter()
        with ExitStack() as stack:
            events = stack.enter_context(TrialEvents(target))
            progress = stack.enter_context(TrainingProgress("final training")) if self.verbose else None

            def on_epoch(epoch: int, values: Epoch) -> None:
                history.append(values)
                events.epoch(epoch + 1, values)
                if progress is not None:
                    progress.epoch(epoch + 1, task.epochs, values)

            training = Training(task, on_epoch)
            try:
                model = training.run()
            except Diverged as error:
                shutil.rmtree(target, ignore_errors=True)  # to go on from there would end the same way
                raise UserError(f"The final training failed: {error}.") from error
        return Trained(
            task=task,
            record=record,
            splits=splits,
            model=model,
            history=history,
            seconds=training.earlier_seconds + time.perf_counter() - start,
            search_seconds=run.seconds if run else None,
        )


def _unfinished(target: Path) -> Path:
    """Where a final training is kept until it is complete."""
    return target.with_name(f"{target.name}.unfinished")


def _begun(folder: Path) -> dict[str, Any] | None:
    """What an interrupted training depends on; `None` if there is none.

    Raises:
        UserError: The file is damaged.
    """
    path = folder / BEGUN
    if not path.exists():
        return None
    begun = read_json(path, remedy="Start over with --overwrite.")
    if not all(isinstance(begun.get(name), int) for name in ("epochs", "seed")):
        raise UserError(f"{path} is not one of our files. Start over with --overwrite.")
    return begun


def _put_in_place(unfinished: Path, target: Path) -> None:
    """Of a complete training. What it depends on goes last: until then, it is found complete."""
    with writing(target):
        shutil.rmtree(unfinished / RESUME, ignore_errors=True)
        if target.exists():
            shutil.rmtree(target)
        unfinished.replace(target)
        (target / BEGUN).unlink(missing_ok=True)
