"""How a network is trained, apart from its structure: optimiser, schedule, regularisation, augmentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

DECAYS = ("constant", "linear")
OPTIMIZERS = ("adam", "adamw", "sgd")


@dataclass(frozen=True)
class Recipe:
    """Plain data; `learning_rate` is the peak, and the search replaces it by the drawn one."""

    name: str
    optimizer: str
    """"adam"; "adamw", or "sgd" with Nesterov's momentum (both with decoupled weight decay)."""
    learning_rate: float = 0.001
    warmup: float = 0.0
    """Fraction of all steps over which the rate rises linearly to its peak."""
    decay: str = "constant"
    """"constant", or "linear": from the peak to about 0 at the last step."""
    weight_decay: float = 0.0
    """Decoupled, times the rate, per step; kernels only. 0 with "adam"."""
    momentum: float = 0.9
    """Of "sgd", in [0, 1)."""
    label_smoothing: float = 0.0
    batch_size: int = 128
    """Images per gradient step."""
    batch_norm_momentum: float = 0.99
    """Of the moving statistics: 0.9 follows the weights within some 20 steps, 0.99 needs 200."""
    rotation_degrees: float = 0.0
    """Each image is turned by up to this angle either way."""
    shift: float = 0.1
    """Each image is moved by up to this fraction of its side, both ways, on both axes."""
    flip: bool = True
    """Half of the images are mirrored left to right."""
    alternating: bool = False
    """Which half is drawn once; from then on every image is mirrored in every other epoch, so that two epochs
    show each image both ways. After Jordan, arXiv 2404.00498 (2024)."""

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"`optimizer` must be one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}.")
        if self.decay not in DECAYS:
            raise ValueError(f"`decay` must be one of {', '.join(DECAYS)}, got {self.decay!r}.")
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError("`weight_decay` needs the optimizer adamw or sgd.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1), got {self.momentum}.")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be above 0, got {self.learning_rate}.")

    def rate(self, step: int, total_steps: int) -> float:
        """The learning rate of one gradient step.

        Args:
            step: From 0.
            total_steps: Of the whole training, so that the decay ends where the training ends.
        """
        warmup_steps = round(self.warmup * total_steps)
        if step < warmup_steps:
            return self.learning_rate * (step + 1) / warmup_steps
        if self.decay == "constant":
            return self.learning_rate
        # The last step still learns a little: (total - step) is 1 there, not 0.
        return self.learning_rate * max(0, total_steps - step) / (total_steps - warmup_steps)

    def make_optimizer(self, offset_rate: float = 1.0) -> keras.optimizers.Optimizer:
        """A new Keras optimiser at the peak rate.

        Args:
            offset_rate: Of batch normalisation's offsets, times the rate; of "sgd" only, for the steps of the
                others do not depend on the size of a gradient.
        """
        import keras

        if self.optimizer == "adam":
            return keras.optimizers.Adam(self.learning_rate)
        if self.optimizer == "adamw":
            optimizer = keras.optimizers.AdamW(self.learning_rate, weight_decay=self.weight_decay)
        else:
            from space.optimizers import NesterovSGD

            optimizer = NesterovSGD(
                self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                offset_rate=offset_rate,
            )
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return optimizer

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_dict`."""
        return cls(**data)


DOCUMENTED = Recipe(name="documented", optimizer="adam", rotation_degrees=15.0)
"""The published exercise: Adam at a constant 0.001, rotation, shifts and flip; the rest as Keras has it."""

MODERN = Recipe(
    name="modern",
    optimizer="sgd",
    learning_rate=0.3,
    warmup=0.2,
    decay="linear",
    weight_decay=0.01,
    label_smoothing=0.2,
    batch_size=256,
    batch_norm_momentum=0.6,
    shift=0.07,
    alternating=True,
)
"""The default. Rotation is left out: at small budgets it costs accuracy. Rate and weight decay come to about
what Jordan (arXiv 2404.00498, 2024) has for batches of 1024. `benchmarks/recipe.py` measures what each
element is worth."""

RECIPES = {recipe.name: recipe for recipe in (MODERN, DOCUMENTED)}
