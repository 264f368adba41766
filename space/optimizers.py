"""The optimisers of the recipes that Keras does not have as they are needed."""

from __future__ import annotations

import re
from typing import Any

import keras

REPLICA = re.compile(r"/replica_\d+$")
"""Ends the names of variables on the second device and those that follow."""


class NesterovSGD(keras.optimizers.SGD):
    """Nesterov's momentum, decoupled weight decay, and another rate for batch normalisation's offsets.

    Args:
        learning_rate: Peak.
        momentum: In [0, 1).
        weight_decay: Times the rate, per step.
        offset_rate: Times the rate, for the offsets.
        options: As of `keras.optimizers.SGD`.
    """

    def __init__(
        self,
        learning_rate: float,
        *,
        momentum: float,
        weight_decay: float | None = None,
        offset_rate: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(
            learning_rate, momentum=momentum, nesterov=True, weight_decay=weight_decay, **options
        )
        self.offset_rate = offset_rate

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """As in Keras; the offsets, which it names `beta`, take longer steps."""
        # TensorFlow's own variable comes here, whose name is `beta:0`, behind those of scopes; on further
        # devices of a strategy `beta/replica_1:0`.
        name = REPLICA.sub("", variable.name.partition(":")[0]).rpartition("/")[2]
        factor = self.offset_rate if name == "beta" else 1.0
        super().update_step(gradient, variable, learning_rate * factor)

    def get_config(self) -> dict[str, Any]:
        """From which `from_config` makes the same one."""
        config: dict[str, Any] = super().get_config() | {"offset_rate": self.offset_rate}
        del config["nesterov"]  # always
        return config
