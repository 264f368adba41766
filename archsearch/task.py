"""What a trial is to whoever trains it, and what comes back: plain data. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.trials import Status
from space.recipe import MODERN, Recipe

if TYPE_CHECKING:
    import keras_tuner

    from archsearch.dataset import Images


@dataclass(frozen=True)
class TrainingData:
    """What a trial may see of the data: never the test part."""

    train: Images
    validation: Images | None
    num_classes: int
    flip: bool
    """Whether a mirrored image is a valid one."""
    class_weights: str = "none"
    """"balanced": all images of a class together weigh as much as those of any other."""
    class_measures: bool = False
    """Whether every epoch reports the measures in which every class counts alike."""


@dataclass(frozen=True)
class TrialTask:
    """Everything `run_trial` depends on."""

    trial_id: str
    values: Mapping[str, Any]
    hypermodel: keras_tuner.HyperModel
    dataset: TrainingData
    epochs: int
    seed: int
    deadline: float | None = None
    """Seconds since the epoch, as `time.time()`; the trial stops there as TIMED_OUT."""
    resume_folder: Path | None = None
    """Where the state of long trainings is kept, and looked for; `None` to keep none."""

    @property
    def identity(self) -> dict[str, Any]:
        """What the state of a training depends on, in plain data."""
        return {
            "values": dict(self.values),
            "epochs": self.epochs,
            "seed": self.seed,
            "num_images": len(self.dataset.train),
            "class_weights": self.dataset.class_weights,
            "recipe": recipe_of(self.hypermodel, flip=self.dataset.flip).to_dict(),
        }


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended."""

    status: Status
    curve: tuple[dict[str, float], ...]
    seconds: float
    peak_memory: int
    """Bytes, of the whole process so far."""
    message: str | None = None
    traceback: str | None = None
    """Of the exception that the trial FAILED with, where it may be a mistake in the hypermodel."""
    out_of_memory: bool = False
    """Whether it FAILED for want of memory, which another process may have."""


def recipe_of(hypermodel: keras_tuner.HyperModel, *, flip: bool) -> Recipe:
    """The hypermodel's own recipe; the modern one's batches and augmentation where it has none.

    Args:
        hypermodel: Of any family.
        flip: Whether a mirrored image is a valid one; without it no recipe mirrors.
    """
    recipe = getattr(hypermodel, "recipe", MODERN)
    recipe = recipe if isinstance(recipe, Recipe) else MODERN
    return recipe if flip else dataclasses.replace(recipe, flip=False)
