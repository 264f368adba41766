"""What a final training leaves: the model, its test, its pictures, and result.json."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsearch import runtime
from archsearch.batches import steps_per_epoch
from archsearch.class_measures import balanced_accuracy, macro_f1
from archsearch.dataset import Splits, num_identical
from archsearch.measuring import measure
from archsearch.model_file import save_model
from archsearch.problem import describe_dataset
from archsearch.reporting import figures
from archsearch.reporting.tensorboard import ResultEvents
from archsearch.run_folder import write_json
from archsearch.task import recipe_of
from archsearch.trials import TrialRecord

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from archsearch.evaluation import Evaluation
    from archsearch.final_task import FinalTask
    from archsearch.task import TrialTask

Epoch = dict[str, float]

RESULT = "result.json"

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


@dataclass(frozen=True)
class Trained:
    """A final training that is over."""

    final: FinalTask
    record: TrialRecord | None
    """The trial whose network it is; `None` for the documented one."""
    splits: Splits
    model: keras.Model
    history: list[Epoch]
    start: float
    """When it began, as `time.time()`, as if all its processes had followed at once."""
    search_seconds: float | None
    learning_rate: float | None = None
    """That it was compiled with."""


def leave(trained: Trained, target: Path) -> dict[str, Any]:
    """Saves, tests and draws; result.json comes last, so where it is, everything is.

    Args:
        trained: Its model is tested here, on the one reading of the test part.
        target: Folder of this final training.

    Returns:
        What result.json holds.
    """
    from archsearch.evaluation import averaged, describe_views, evaluate

    splits, model, final = trained.splits, trained.model, trained.final
    train, validation = final.task.dataset.train, None if final.options.all_data else splits.validation
    save_model(model, target / "model.keras", splits.class_names)
    write_json(target / "history.json", {"epochs": trained.history})
    num_classes = splits.num_classes
    training = evaluate(model, train, num_classes=num_classes)
    test_images = splits.read_test()
    each = [evaluate(model, test_images, num_classes=num_classes, view=view) for view in final.views]
    test, seen = each[0], averaged(each)
    averages = {
        "tta_views": describe_views(final.views),
        "test_loss_tta": seen.loss,
        "test_accuracy_tta": seen.accuracy,
    }
    pictures = _pictures(trained.history, test, test_images.x, splits.class_names)
    with ResultEvents(target) as events:
        for name, figure in pictures.items():
            figures.save(figure, target / f"{name}.png")
            events.image(name.replace("_", " "), figure)
        events.network(model)
    result = {
        **_network(trained),
        "dataset": describe_dataset(splits, splits.statistics),
        "num_test": len(test_images),
        "num_test_in_training": num_identical(test_images, train),
        "num_test_in_validation": num_identical(test_images, validation) if validation else 0,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "test_balanced_accuracy": balanced_accuracy(test.counts),
        "test_macro_f1": macro_f1(test.counts),
        **(averages if final.options.tta else {}),
        "train_loss": training.loss,
        "train_accuracy": training.accuracy,
        "accuracy_gap": training.accuracy - test.accuracy,
        "per_class": test.per_class(splits.class_names),
        "num_train": len(train),
        **_options(trained),
        "batch_size": min(recipe_of(final.task.hypermodel, flip=True).batch_size, len(train)),
        "learning_rate": trained.learning_rate,
        "seconds": time.time() - trained.start,
        "search_seconds": trained.search_seconds,
        "published": PUBLISHED if _is_cifar10(splits) else None,
        "machine": runtime.machine(),
        "versions": runtime.versions(),
    }
    write_json(target / RESULT, result)
    return result


def _network(trained: Trained) -> dict[str, Any]:
    task = trained.final.task
    measured = measure(task.hypermodel, task.values)
    found = trained.record.hyperparameters if trained.record else {}
    # As found: on several devices the rate grows with the batch, which "learning_rate" and "devices" say.
    both = found.keys() & task.values.keys()
    rate = {"learning_rate": found["learning_rate"]} if "learning_rate" in both else {}
    return {
        "what": task.trial_id,
        "trial_id": trained.record.trial_id if trained.record else None,
        "hyperparameters": {**task.values, **rate},
        "architecture": measured.architecture.to_dict() if measured.architecture else None,
        "params": trained.model.count_params(),
        "macs": measured.macs,
        "found_macs": trained.record.macs if trained.record else None,
        "recipe": recipe_of(task.hypermodel, flip=trained.splits.flip).to_dict(),
    }


def _options(trained: Trained) -> dict[str, Any]:
    """What was asked for, and what was trained of it: to a time, epochs change their length."""
    options = dataclasses.asdict(trained.final.options)
    del options["steps_per_epoch"], options["test_slowdown"]
    return {
        **options,
        "epochs": len(trained.history),
        "planned_epochs": options["epochs"],
        "num_images_passed": num_images_passed(trained.final.task, trained.history),
    }


def num_images_passed(task: TrialTask, history: Sequence[Epoch]) -> int:
    """Training images that the gradient steps of these epochs took, every time counted."""
    num_train = len(task.dataset.train)
    batch_size = min(recipe_of(task.hypermodel, flip=task.dataset.flip).batch_size, num_train)
    full = steps_per_epoch(num_train, batch_size)
    return batch_size * sum(int(epoch.get("steps", full)) for epoch in history)


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
    mean = splits.statistics.mean
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
    balanced, f1 = (result.get(name) for name in ("test_balanced_accuracy", "test_macro_f1"))
    # Equal where the classes are; not there in what an earlier version left.
    if balanced is not None and f1 is not None and abs(balanced - result["test_accuracy"]) > 0.00005:
        yield f"  every class counted alike: balanced accuracy {balanced:.4f}, macro F1 {f1:.4f}"
    if "test_accuracy_tta" in result:
        yield (
            f"  with test-time augmentation {result['test_accuracy_tta']:.4f}, loss "
            f"{result['test_loss_tta']:.4f} ({result['tta_views']})"
        )
    yield (
        f"training accuracy {result['train_accuracy']:.4f}, loss {result['train_loss']:.4f}; "
        f"gap {100 * result['accuracy_gap']:.1f} points"
    )
    if result["macs"] is not None:
        found = result["found_macs"]
        widened = (
            f", widened from the {found / 1e6:.1f} M found" if found not in (None, result["macs"]) else ""
        )
        yield f"{result['params'] / 1e6:.2f} M weights, {result['macs'] / 1e6:.1f} M macs{widened}"
    yield f"{_length(result)}, in {result['seconds'] / 60:.1f} min"
    if result.get("devices", 1) > 1:  # earlier versions had one
        yield (
            f"{result['devices']} devices, batches of {result['batch_size']} images, learning rate up to "
            f"{result['learning_rate']:.3g}"
        )
    if result["num_test_in_training"]:
        yield f"{result['num_test_in_training']} test images are also in the training part, pixel for pixel"
    if result.get("num_test_in_validation"):  # earlier versions did not look
        number = result["num_test_in_validation"]
        yield f"{number} test images are also in the validation part, by which a search chooses"
    published = result["published"]
    if published is not None:
        yield (
            f"published for the documented network after {published['epochs']} epochs: test accuracy "
            f"{published['test_accuracy']:.4f}, training {published['train_accuracy']:.4f}"
        )


def _length(result: Mapping[str, Any]) -> str:
    epochs, num_train, passed = result["epochs"], result["num_train"], result.get("num_images_passed")
    all_data = ", validation part included" if result["all_data"] else ""
    if passed is None or result["max_seconds"] is None:
        return f"{epochs} epochs on {num_train:,} images{all_data}"
    each = f"{epochs} epochs of {passed // epochs:,} images on average"
    return f"{each}, {passed / num_train:.1f} passes over {num_train:,} images{all_data}"
