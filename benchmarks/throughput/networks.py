"""The networks that every side trains. No TensorFlow, for the other sides are to have it as it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from space.architecture import DOCUMENTED, Architecture, ImageShape
from space.recipe import DOCUMENTED as DOCUMENTED_RECIPE
from space.recipe import MODERN, Recipe

IMAGE_SHAPE: ImageShape = (32, 32, 3)
NUM_CLASSES = 10
FLOP_PER_MAC = 6
"""Of a training step: forward and twice backward, a multiplication and an addition each."""


@dataclass(frozen=True)
class Network:
    architecture: Architecture
    values: Mapping[str, Any]
    """That give this architecture in the space."""
    recipe: Recipe
    """Batch size and optimiser of every side. Nothing is augmented, on any side."""
    steps: int
    """Some ten seconds of them on 2 cores, the first one included."""

    @property
    def macs(self) -> int:
        return self.architecture.macs(IMAGE_SHAPE)

    @property
    def params(self) -> int:
        return self.architecture.params(IMAGE_SHAPE, NUM_CLASSES)


NETWORKS = {
    "documented": Network(DOCUMENTED, {}, DOCUMENTED_RECIPE, steps=5),
    "60m": Network(
        Architecture(
            convs=(2, 3, 3),
            filters=(64, 128, 128),
            hidden_units=0,
            dropout=0.0,
            leaky_relu_slope=0.1,
            pool="first",
            head="linear",
            fast_start=True,
        ),
        {
            "num_blocks": 3,
            "block_0/convs": 2,
            "block_1/convs": 3,
            "block_2/convs": 3,
            "filters": 64,
            "growth": 2.0,
            "max_filters": 128,
            "leaky_relu_slope": 0.1,
            "pool": "first",
            "head": "linear",
            "fast_start": True,
        },
        MODERN,
        steps=12,
    ),
}
"""The documented network with its Adam, 313.5 M macs; and one as a search with half an hour for the final
training comes to, 62.8 M macs, with Nesterov's momentum: whitened stem, three blocks, pooled first."""
