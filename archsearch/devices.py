"""One training on all devices of this machine: each takes an equal share of every batch, all step alike."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from archsearch import runtime
from archsearch.dataset import Images
from archsearch.errors import UserError
from archsearch.task import recipe_of

if TYPE_CHECKING:
    from archsearch.task import TrialTask

DEVICES = ("one", "all")


def device_names() -> list[str]:
    """Of the GPUs; without any, of the CPU, which is one however many cores it has."""
    config = runtime.import_tensorflow().config
    return [each.name for each in config.list_logical_devices("GPU") or config.list_logical_devices("CPU")]


def strategy_for(num_devices: int) -> Any:
    """A `tf.distribute.MirroredStrategy` on the first devices; `None` for one, which needs none.

    Raises:
        UserError: This machine has fewer.
    """
    if num_devices == 1:
        return None
    names = device_names()
    if len(names) < num_devices:
        raise UserError(
            f"This final training was begun on {num_devices} devices, and this machine has {len(names)}. "
            "Continue it where it was begun, or give --overwrite to start over."
        )
    return runtime.import_tensorflow().distribute.MirroredStrategy(names[:num_devices])


def scope(strategy: Any) -> contextlib.AbstractContextManager[Any]:
    """In which a network is built and trained."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def shared(task: TrialTask, num_devices: int) -> TrialTask:
    """The same training with a batch of the usual size for each device, and a rate that grew by as much.

    Linear scaling, as Goyal et al., arXiv 1706.02677 (2017): fewer steps, each as much longer. Few images
    make a smaller batch. The rate of a network of the user's own is set by its `build`.

    All devices have equal shares: Keras 3.15 cannot build a network from unequal ones, and oneDNN fails on
    empty ones. So the validation part is cut to a multiple of the devices.
    """
    if num_devices == 1:
        return task
    num_images = len(task.dataset.train)
    recipe = recipe_of(task.hypermodel, flip=True)
    usual = min(recipe.batch_size, num_images)
    batch_size = min(num_devices * recipe.batch_size, num_images // num_devices * num_devices)
    validation = _cut(task.dataset.validation, num_devices)
    if not batch_size or (validation is not None and not len(validation)):
        raise UserError(f"There are fewer images than the {num_devices} devices: give --devices one.")
    factor = batch_size / usual
    hypermodel, values = copy.deepcopy(task.hypermodel), dict(task.values)
    hypermodel.recipe = dataclasses.replace(recipe, batch_size=batch_size)
    if is_ours(hypermodel):
        hypermodel.batch_norm = "synchronized"
        hypermodel.recipe = dataclasses.replace(
            hypermodel.recipe, learning_rate=factor * recipe.learning_rate
        )
        if "learning_rate" in values:
            values["learning_rate"] *= factor
    dataset = dataclasses.replace(task.dataset, validation=validation)
    return dataclasses.replace(task, hypermodel=hypermodel, values=values, dataset=dataset)


def _cut(images: Images | None, num_devices: int) -> Images | None:
    if images is None:
        return None
    kept = len(images) // num_devices * num_devices
    return Images(images.x[:kept], images.y[:kept])


def is_ours(hypermodel: Any) -> bool:
    """Whether its batch normalisation and its learning rate are ours to set."""
    from space.hypermodel import VGGHyperModel

    return isinstance(hypermodel, VGGHyperModel)


def notes(task: TrialTask, num_devices: int, *, num_validation: int) -> Iterator[str]:
    """For the person who asked for all devices.

    Args:
        task: As it is shared.
        num_devices: That share it.
        num_validation: Images to validate on, before they are shared.
    """
    if num_devices == 1:
        yield "this machine has one device, on which the training is the usual one"
        return
    batch_size = recipe_of(task.hypermodel, flip=True).batch_size
    yield f"{num_devices} devices share batches of {batch_size} images"
    if is_ours(task.hypermodel):
        yield "the learning rate grows with the batch; batch normalisation sees all of it"
    else:
        yield (
            "learning rate and batch normalisation of your own network are as its `build` has them, which "
            "can ask tf.distribute.get_strategy().num_replicas_in_sync for the number of devices"
        )
    left_out = num_validation - len(task.dataset.validation or ())
    if left_out:
        yield f"not validated on, for the devices have equal shares: {left_out} of {num_validation} images"
