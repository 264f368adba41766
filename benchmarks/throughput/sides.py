"""One training of a network as this project, a plain Keras script and a PyTorch script do it.

Each function runs in a process of its own and gives images per second, the first step left out.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.throughput.networks import IMAGE_SHAPE, NUM_CLASSES, Network

WARM_UP = 1
"""Steps that are not counted: the first one traces the graph."""


def images_per_second(ends: list[float], batch_size: int) -> float:
    """From the times at which the steps ended, the first ones left out."""
    counted = ends[WARM_UP - 1 :]
    return batch_size * (len(counted) - 1) / (counted[-1] - counted[0])


def random_images(count: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, *IMAGE_SHAPE), dtype=np.uint8)
    return x, rng.integers(0, NUM_CLASSES, count)


def step_timer() -> Any:
    """A Keras callback that notes when each step ended."""
    import keras

    class Timer(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.ends.append(time.perf_counter())

    return Timer()


def project(network: Network, steps: int, precision: str = "float32") -> float:
    """As a trial trains: its batches, which are drawn and moved although by nothing, its schedule."""
    from archsearch import runtime

    runtime.set_precision(precision)
    import keras_tuner

    from archsearch.batches import training_batches
    from archsearch.dataset import Images
    from space.hypermodel import VGGHyperModel

    recipe = dataclasses.replace(
        network.recipe, rotation_degrees=0.0, shift=0.0, flip=False, alternating=False
    )
    images = Images(*random_images(recipe.batch_size * steps))
    batches = training_batches(images, recipe=recipe, num_classes=NUM_CLASSES, seed=0, epochs=1)
    hypermodel = VGGHyperModel(IMAGE_SHAPE, NUM_CLASSES, recipe=recipe, batch_norm="fused")
    hp, timer = keras_tuner.HyperParameters(), step_timer()
    hp.values = dict(network.values)
    hypermodel.fit(
        hp,
        hypermodel.build(hp),
        batches,
        epochs=1,
        steps_per_epoch=steps,
        shuffle=False,
        callbacks=[timer],
        verbose=0,
    )
    return images_per_second(timer.ends, recipe.batch_size)


def plain(network: Network, steps: int) -> float:
    """As a Keras script has it: `compile` and `fit` on arrays, TensorFlow as it comes."""
    import keras

    recipe = network.recipe
    x, y = random_images(recipe.batch_size * steps)
    model, timer = plain_network(network), step_timer()
    model.fit(
        x,
        keras.utils.to_categorical(y, NUM_CLASSES),
        batch_size=recipe.batch_size,
        callbacks=[timer],
        verbose=0,
    )
    return images_per_second(timer.ends, recipe.batch_size)


def plain_network(network: Network) -> Any:
    """Compiled, for pixels of shape (b, 32, 32, 3)."""
    import keras
    from keras import layers

    architecture, recipe = network.architecture, network.recipe
    scale = not architecture.fast_start

    def activation() -> list[Any]:
        return [
            layers.BatchNormalization(scale=scale),
            layers.LeakyReLU(negative_slope=architecture.leaky_relu_slope),
        ]

    parts = [keras.Input(IMAGE_SHAPE), layers.Rescaling(1 / 255)]
    if architecture.fast_start:
        filters = architecture.stem_filters(IMAGE_SHAPE[2])
        parts += [layers.Conv2D(filters, 2, use_bias=False, trainable=False), *activation()]
    for layer in architecture.layers(IMAGE_SHAPE):
        pool = [layers.MaxPooling2D()] if layer.pooled else []
        first, last = (pool, []) if architecture.pool == "first" else ([], pool)
        parts += [layers.Conv2D(layer.filters, 3, padding="same", use_bias=False)]
        parts += [*first, *activation(), *last]
    parts.append(layers.Flatten() if architecture.head == "flatten" else layers.GlobalMaxPooling2D())
    if architecture.hidden_units:
        parts += [layers.Dense(architecture.hidden_units, use_bias=False), *activation()]
        parts.append(layers.Dropout(architecture.dropout))
    parts.append(layers.Dense(NUM_CLASSES, activation="softmax"))
    model = keras.Sequential(parts)
    optimizer = "adam"
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            recipe.learning_rate, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.weight_decay
        )
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def pytorch(network: Network, steps: int, *, half: bool = False) -> float:
    """As a PyTorch script has it that heeds the advice for CPUs: channels last, one thread a core.

    Args:
        network: What is trained.
        steps: Of it.
        half: Whether it computes in bfloat16 where PyTorch's own mixed precision does.
    """
    import torch

    from archsearch.runtime import num_cores

    torch.set_num_threads(num_cores())
    torch.manual_seed(0)
    recipe = network.recipe
    x, y = random_images(recipe.batch_size * steps)
    model = pytorch_network(network).to(memory_format=torch.channels_last)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer: torch.optim.Optimizer = torch.optim.Adam(trained, recipe.learning_rate)
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            trained,
            recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=True,
            weight_decay=recipe.weight_decay,
        )
    loss_of = torch.nn.CrossEntropyLoss()
    ends = []
    for step in range(steps):
        rows = slice(step * recipe.batch_size, (step + 1) * recipe.batch_size)
        # The images lie in memory with channels last: only the order in which the axes are named changes.
        pixels = torch.from_numpy(x[rows]).permute(0, 3, 1, 2)  # (b, 3, 32, 32)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            numbers = model(pixels.float() / 255)
        loss = loss_of(numbers.float(), torch.from_numpy(y[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        ends.append(time.perf_counter())
    return images_per_second(ends, recipe.batch_size)


def pytorch_network(network: Network) -> Any:
    """For pixels of shape (b, 3, 32, 32); gives the numbers that a softmax takes."""
    from torch import nn

    architecture = network.architecture

    def activation(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> list[nn.Module]:
        if architecture.fast_start:
            norm.register_parameter("weight", None)  # without scale
        return [norm, nn.LeakyReLU(architecture.leaky_relu_slope, inplace=True)]

    parts: list[nn.Module] = []
    if architecture.fast_start:
        filters = architecture.stem_filters(IMAGE_SHAPE[2])
        stem = nn.Conv2d(IMAGE_SHAPE[2], filters, 2, bias=False).requires_grad_(False)
        parts += [stem, *activation(nn.BatchNorm2d(filters))]
    for layer in architecture.layers(IMAGE_SHAPE):
        pool = [nn.MaxPool2d(2)] if layer.pooled else []
        first, last = (pool, []) if architecture.pool == "first" else ([], pool)
        parts += [nn.Conv2d(layer.channels, layer.filters, 3, padding=1, bias=False)]
        parts += [*first, *activation(nn.BatchNorm2d(layer.filters)), *last]
    features = architecture.features(IMAGE_SHAPE)
    parts += [] if architecture.head == "flatten" else [nn.AdaptiveMaxPool2d(1)]
    parts.append(nn.Flatten())
    if architecture.hidden_units:
        units = architecture.hidden_units
        parts += [nn.Linear(features, units, bias=False), *activation(nn.BatchNorm1d(units))]
        parts += [nn.Dropout(architecture.dropout)]
    parts.append(nn.Linear(architecture.hidden_units or features, NUM_CLASSES))
    return nn.Sequential(*parts)


SIDES: dict[str, Callable[[Network, int], float]] = {
    "project": project,
    "plain": plain,
    "pytorch": pytorch,
    "project-bfloat16": partial(project, precision="mixed_bfloat16"),
    "pytorch-bfloat16": partial(pytorch, half=True),
}
"""In single precision, and those that mix bfloat16 in."""
