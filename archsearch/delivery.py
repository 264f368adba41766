"""The trained network as every machine can use it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from archsearch import runtime
from archsearch.devices import is_ours

if TYPE_CHECKING:
    import keras

    from archsearch.task import TrialTask


def is_deliverable(task: TrialTask, *, num_devices: int, precision: str) -> bool:
    """Whether the network can be given away as it was trained.

    Args:
        task: What it was trained for.
        num_devices: It was trained on.
        precision: It was trained in, a Keras policy.
    """
    fused = is_ours(task.hypermodel) and task.hypermodel.batch_norm == "fused"
    return num_devices == 1 and precision == "float32" and not fused


def delivered(model: keras.Model, task: TrialTask) -> keras.Model:
    """The same weights in a network of one device that computes in float32, to be tested, saved and exported.

    Args:
        model: Trained, on any number of devices and in any precision.
        task: What it was trained for.
    """
    alone = as_delivered(task)
    alone.set_weights(model.get_weights())
    return alone


def as_delivered(task: TrialTask) -> keras.Model:
    """The network to be delivered, before it has its weights.

    A network keeps the precision it is built in, and half precision is slow where there are no units for it.
    Of the built-in space it has Keras's own layers only, and so can be loaded without this project.

    Args:
        task: What it is trained for.
    """
    import keras_tuner

    hypermodel = copy.deepcopy(task.hypermodel)
    if is_ours(hypermodel):
        hypermodel.batch_norm = "plain"
    hp = keras_tuner.HyperParameters()
    hp.values = dict(task.values)
    with runtime.own_precision():
        runtime.set_precision("float32")
        network = hypermodel.build(hp)
        if not network.built:
            network(task.dataset.train.x[:1])
    return network
