"""The optimisers of the recipes that Keras does not have as they are needed."""

from __future__ import annotations

from typing import Any

import keras


class NesterovSGD(keras.optimizers.SGD):
    """Nesterov's momentum, decoupled weight decay, and another rate for batch normalisation's offsets.

    Args:
        learning_rate: Peak.
        momentum: In [0, 1).
        weight_decay: Times the rate, per step; kernels only.
        offset_rate: Times the rate, for the offsets.
    """

    def __init__(
        self, learning_rate: float, *, momentum: float, weight_decay: float, offset_rate: float = 1.0
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, nesterov=True, weight_decay=weight_decay)
        self.offset_rate = offset_rate

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """As in Keras; the offsets, which it names `beta`, take longer steps."""
        is_offset = variable.name.partition(":")[0].endswith("beta")
        super().update_step(gradient, variable, learning_rate * (self.offset_rate if is_offset else 1.0))
