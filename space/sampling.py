"""From hyperparameter values to a network and its recipe: every name, range and default of the space."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from space.architecture import HEADS, POOLS, Architecture
from space.recipe import Recipe

MIN_BLOCKS = 2
"""One pooling alone leaves a Flatten of 16x16 pixels: nearly all weights would sit in the dense layer."""
MAX_BLOCKS = 5
"""Five poolings take 32 pixels to 1."""
DEFAULT_CONVS = (2, 2, 3, 3, 3)
CONVS = (1, 2, 3)
"""Beyond about ten convolutions a plain VGG without skip connections gains nothing."""
FILTERS = (16, 24, 32, 48, 64, 96, 128)
"""Of the first block: from a quarter to twice the documented width. Multiples of 8 fill vector lanes."""
GROWTH = (1.0, 1.5, 2.0, 4.0)
"""Filters of a block over those of the one before: from constant width to a first block that is thin, where
the images are large."""
MAX_FILTERS = (128, 256, 384, 512)
"""The cap: the last blocks hold most weights and little of the work."""
HIDDEN_UNITS = (128, 256, 512, 1024)
"""From a quarter to twice the documented number."""
DROPOUT = (0.0, 0.7)
"""From none to well above the documented half."""
LEAKY_RELU_SLOPE = (0.01, 0.3)
"""From nearly ReLU to Keras 2's default; on a log scale, because its effect is on one."""
LEARNING_RATE = (0.25, 4.0)
"""Times the recipe's own: a short search has few draws to spend on rates that do not train."""
WEIGHT_DECAY = (0.25, 4.0)
"""Likewise, where the recipe has any."""
OF_RECIPE = ("learning_rate", "weight_decay")
"""Values that say how a network is trained: those of another recipe are left out."""


class HyperParameters(Protocol):
    """What is used of `keras_tuner.HyperParameters`, which importing would bring TensorFlow."""

    def Choice(self, name: str, values: Sequence[Any], default: Any = None) -> Any: ...

    def Float(
        self, name: str, min_value: float, max_value: float, sampling: str = "linear", default: Any = None
    ) -> Any: ...

    def Boolean(self, name: str, default: bool = False) -> bool: ...

    def Fixed(self, name: str, value: Any) -> Any: ...

    def conditional_scope(
        self, parent_name: str, parent_values: list[Any]
    ) -> contextlib.AbstractContextManager[Any]: ...


def sample(hp: HyperParameters, base: Recipe) -> tuple[Architecture, Recipe]:
    """Declares the space on `hp` and decodes its values.

    An empty `HyperParameters()` gives the documented network and `base` as it is.

    Args:
        hp: Holds the values; what it does not hold gets its default.
        base: All of the recipe but the learning rate and the weight decay.
    """
    num_blocks = hp.Choice("num_blocks", list(range(MIN_BLOCKS, MAX_BLOCKS + 1)), default=5)
    convs = _convs(hp, num_blocks)
    filters = hp.Choice("filters", FILTERS, default=64)
    growth = hp.Choice("growth", GROWTH, default=2.0)
    max_filters = hp.Choice("max_filters", MAX_FILTERS, default=512)
    pool = hp.Choice("pool", POOLS, default="last")
    head = hp.Choice("head", HEADS, default="flatten")
    with hp.conditional_scope("head", [kind for kind in HEADS if kind != "linear"]):
        hidden_units = hp.Choice("hidden_units", HIDDEN_UNITS, default=512)
        dropout = hp.Float("dropout", *DROPOUT, default=0.5)
    architecture = Architecture(
        convs=convs,
        filters=tuple(block_filters(block, filters, growth, max_filters) for block in range(num_blocks)),
        hidden_units=0 if head == "linear" else hidden_units,
        dropout=0.0 if head == "linear" else dropout,
        leaky_relu_slope=hp.Float("leaky_relu_slope", *LEAKY_RELU_SLOPE, sampling="log", default=0.3),
        pool=pool,
        head=head,
        fast_start=hp.Boolean("fast_start", default=False),
    )
    changes: dict[str, Any] = {
        "learning_rate": _around(hp, "learning_rate", base.learning_rate, LEARNING_RATE)
    }
    if base.weight_decay:
        changes["weight_decay"] = _around(hp, "weight_decay", base.weight_decay, WEIGHT_DECAY)
    # Never drawn: the baseline is narrowed by it where the documented width is out of reach.
    width = hp.Fixed("width", 1.0)
    return architecture.scaled(width), dataclasses.replace(base, **changes)


def _around(hp: HyperParameters, name: str, usual: float, factors: tuple[float, float]) -> float:
    """A number on a log scale around its usual value."""
    low, high = (usual * factor for factor in factors)
    value: float = hp.Float(name, low, high, sampling="log", default=usual)
    return value


def _convs(hp: HyperParameters, num_blocks: int) -> tuple[int, ...]:
    """Convolutions per block; those of a block that is not there are neither drawn nor compared."""
    convs = []
    for block in range(MAX_BLOCKS):
        # A block is there for every number of blocks above its own; the condition says so to the tuner.
        with hp.conditional_scope("num_blocks", list(range(max(block + 1, MIN_BLOCKS), MAX_BLOCKS + 1))):
            drawn = hp.Choice(f"block_{block}/convs", CONVS, default=DEFAULT_CONVS[block])
        if block < num_blocks:
            convs.append(drawn)
    return tuple(convs)


def block_filters(block: int, filters: int, growth: float, max_filters: int) -> int:
    """Filters of block `block` (from 0): `filters` times growth, capped, in multiples of 8."""
    return int(min(max_filters, 8 * round(filters * growth**block / 8)))


def width_of(values: Mapping[str, Any]) -> float | None:
    """The factor by which a network is narrowed or widened; `None` where `width` is a space's own word."""
    width = values.get("width", 1.0)
    return width if isinstance(width, float) else None


class RandomDraw:
    """Draws each hyperparameter as it is declared: what planning needs of Keras Tuner, without TensorFlow."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def Choice(self, name: str, values: Sequence[Any], default: Any = None) -> Any:
        return self.rng.choice(values)

    def Float(
        self, name: str, min_value: float, max_value: float, sampling: str = "linear", default: Any = None
    ) -> float:
        if sampling == "log":
            return math.exp(self.rng.uniform(math.log(min_value), math.log(max_value)))
        return self.rng.uniform(min_value, max_value)

    def Boolean(self, name: str, default: bool = False) -> bool:
        return self.rng.random() < 0.5

    def Fixed(self, name: str, value: Any) -> Any:
        return value

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: list[Any]) -> Iterator[None]:
        yield


def random_architectures(num: int, *, seed: int, base: Recipe) -> list[Architecture]:
    """Networks drawn as a search would draw them, limits aside: what a trial may be expected to cost."""
    rng = random.Random(seed)
    return [sample(RandomDraw(rng), base)[0] for _ in range(num)]
