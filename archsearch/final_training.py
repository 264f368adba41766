"""The final training: one network afresh, in full, tested once, and left to be taken away."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsearch import runtime
from archsearch.dataset import Splits, image_statistics, load, num_identical
from archsearch.errors import UserError
from archsearch.model_file import save_model
from archsearch.reporting import figures
from archsearch.reporting.progress import TrainingProgress
from archsearch.reporting.tensorboard import TrialEvents
from archsearch.run import BUILT_IN, Run, open_run
from archsearch.run_folder import RunFolder, locked, write_json
from archsearch.searching import built_in_hypermodel, describe_dataset, hypermodel_name, measure
from archsearch.trials import TrialRecord

if TYPE_CHECKING:
    import keras
    import keras_tuner
    from matplotlib.figure import Figure

    from archsearch.evaluation import Evaluation

Epoch = dict[str, float]

PUBLISHED = {
    "dataset": "CIFAR-10",
    "epochs": 50,
    "train_loss": 0.1177,
    "train_accuracy": 0.9587,
    "test_loss": 0.5049,
    "test_accuracy": 0.8748,
}
"""What the documented network reached in the exercise that published it."""

CIFAR10_MEAN = (125.3, 123.0, 113.9)
"""Channel means of CIFAR-10's training images, by which it is known whatever its file is called."""

NUM_SAMPLES = 32
RESULT = "result.json"


@dataclass(frozen=True)
class FinalTraining:
    """One call of `archsearch.final_train`.

    Args:
        what: "best", "documented", or the id of a trial.
        data: Instead of what the run was searched on; needed where that were arrays.
        folder: Of the run; with "documented" it need not hold a search.
        epochs: Of one complete schedule.
        recipe: Name; `None`: the run's, or the documented one for "documented".
        seed: `None`: the run's, or 0.
        overwrite: Whether an earlier final training of the same network is replaced.
        hypermodel: Needed where the run searched another space than the built-in one.
        verbose: Whether progress is shown on stderr.
    """

    what: str
    data: Any
    folder: RunFolder
    epochs: int = 50
    recipe: str | None = None
    seed: int | None = None
    overwrite: bool = False
    hypermodel: keras_tuner.HyperModel | None = None
    verbose: bool = True

    def execute(self) -> dict[str, Any]:
        """Trains, tests, writes; returns what result.json holds."""
        if self.epochs < 1:
            raise UserError(f"--epochs must be at least 1, got {self.epochs}.")
        run = self._run()
        record = None if run is None or self.what == "documented" else self._record(run)
        target = self._target()
        with locked(target.with_name(f"{target.name}.lock"), target):
            runtime.import_tensorflow()
            splits = self._load(run)
            hypermodel = self._hypermodel(run, splits)
            if target.exists():
                shutil.rmtree(target)
            trained = self._train(hypermodel, record, splits, target, self._seed(run))
            return self._leave(target, run, record, splits, hypermodel, trained)

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
                    "Continue the search with `python search.py`, or train --documented."
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
        if (target / RESULT).exists() and not self.overwrite:
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
            if hypermodel_name(self.hypermodel) != stored:
                raise UserError(f"This run searched {stored}, not {hypermodel_name(self.hypermodel)}.")
            return self.hypermodel
        if stored != BUILT_IN:
            raise UserError(
                f"This run searched {stored}: call archsearch.final_train(hypermodel=...) with it."
            )
        if self.what == "documented":
            recipe = self.recipe or "documented"
        else:
            recipe = self.recipe or (run.settings.recipe if run else "modern")
        return built_in_hypermodel(splits, recipe, image_statistics(splits.train))

    # The training.

    def _train(
        self, hypermodel: Any, record: TrialRecord | None, splits: Splits, target: Path, seed: int
    ) -> Trained:
        from archsearch.training import Diverged, TrainingData, TrialTask, train

        task = TrialTask(
            trial_id=self.what,
            values=record.hyperparameters if record else {},
            hypermodel=hypermodel,
            dataset=TrainingData(splits.train, splits.validation, splits.num_classes),
            epochs=self.epochs,
            seed=seed,
        )
        history: list[Epoch] = []
        start = time.perf_counter()
        with ExitStack() as stack:
            events = stack.enter_context(TrialEvents(target))
            progress = stack.enter_context(TrainingProgress("final training")) if self.verbose else None

            def on_epoch(epoch: int, values: Epoch) -> None:
                history.append(values)
                events.epoch(epoch + 1, values)
                if progress is not None:
                    progress.epoch(epoch + 1, self.epochs, values)

            try:
                model = train(task, on_epoch)
            except Diverged as error:
                raise UserError(f"The final training failed: {error}.") from error
        return Trained(model, history, seed, time.perf_counter() - start)

    # After.

    def _leave(
        self,
        target: Path,
        run: Run | None,
        record: TrialRecord | None,
        splits: Splits,
        hypermodel: Any,
        trained: Trained,
    ) -> dict[str, Any]:
        """Saves, evaluates and draws; result.json comes last, so where it is, everything is."""
        from archsearch.evaluation import evaluate
        from archsearch.training import recipe_of

        save_model(trained.model, target / "model.keras", splits.class_names)
        write_json(target / "history.json", {"epochs": trained.history})
        training = evaluate(trained.model, splits.train)
        test_images = splits.read_test()  # the one reading of the test part
        test = evaluate(trained.model, test_images)
        pictures = _pictures(trained.history, test, test_images.x, splits.class_names)
        with TrialEvents(target, resume=True) as events:
            for name, figure in pictures.items():
                figures.save(figure, target / f"{name}.png")
                events.image(name.replace("_", " "), figure)
        measured = measure(hypermodel, record.hyperparameters if record else {})
        result = {
            "what": self.what,
            "trial_id": record.trial_id if record else None,
            "hyperparameters": dict(record.hyperparameters) if record else {},
            "architecture": measured.architecture.to_dict() if measured.architecture else None,
            "params": trained.model.count_params(),
            "macs": measured.macs,
            "recipe": recipe_of(hypermodel).to_dict(),
            "dataset": describe_dataset(splits, image_statistics(splits.train)),
            "num_test": len(test_images),
            "num_test_in_training": num_identical(test_images, splits.train),
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "train_loss": training.loss,
            "train_accuracy": training.accuracy,
            "accuracy_gap": training.accuracy - test.accuracy,
            "per_class": test.per_class(splits.class_names),
            "epochs": self.epochs,
            "seed": trained.seed,
            "seconds": trained.seconds,
            "search_seconds": run.seconds if run else None,
            "published": PUBLISHED if _is_cifar10(splits) else None,
            "machine": runtime.machine(),
            "versions": runtime.versions(),
        }
        write_json(target / RESULT, result)
        return result


@dataclass(frozen=True)
class Trained:
    """What the training gave."""

    model: keras.Model
    history: list[Epoch]
    seed: int
    seconds: float


def _pictures(
    history: list[Epoch], test: Evaluation, images: NDArray[np.uint8], class_names: Sequence[str]
) -> dict[str, Figure]:
    """By file name without its ending. The samples are spread evenly over the test part."""
    shown = np.linspace(0, len(images) - 1, min(NUM_SAMPLES, len(images))).astype(int)
    return {
        "learning_curves": figures.learning_curves(history, title="Final training"),
        "confusion_matrix": figures.confusion_matrix(test.true, test.predicted, class_names),
        "samples": figures.predicted_samples(
            images[shown],
            test.true[shown],
            test.predicted[shown],
            test.probabilities[shown].max(axis=1),
            class_names,
        ),
    }


def _is_cifar10(splits: Splits) -> bool:
    """Whether these are CIFAR-10, under whatever name, so that the published figures compare."""
    mean = image_statistics(splits.train).mean
    return (
        splits.image_shape == (32, 32, 3)
        and splits.num_classes == 10
        and all(abs(a - b) < 0.5 for a, b in zip(mean, CIFAR10_MEAN, strict=True))
    )


def summary(result: Mapping[str, Any]) -> Iterator[str]:
    """The result in the words of the training's end."""
    yield (
        f"test accuracy {result['test_accuracy']:.4f}, loss {result['test_loss']:.4f} "
        f"on {result['num_test']} images"
    )
    yield (
        f"training accuracy {result['train_accuracy']:.4f}, loss {result['train_loss']:.4f}; "
        f"gap {100 * result['accuracy_gap']:.1f} points"
    )
    if result["macs"] is not None:
        yield f"{result['params'] / 1e6:.2f} M weights, {result['macs'] / 1e6:.1f} M macs"
    yield f"{result['epochs']} epochs in {result['seconds'] / 60:.1f} min"
    if result["num_test_in_training"]:
        yield f"{result['num_test_in_training']} test images are also in the training part, pixel for pixel"
    published = result["published"]
    if published is not None:
        yield (
            f"published for the documented network after {published['epochs']} epochs: test accuracy "
            f"{published['test_accuracy']:.4f}, training {published['train_accuracy']:.4f}"
        )
