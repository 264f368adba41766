"""What a network costs, known before it is trained, and how wide it may be within the limits of the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.draws import Values
from archsearch.given_network import narrowed, widest
from archsearch.plan import Plan
from space.architecture import Architecture


@dataclass(frozen=True)
class Measured:
    """What a network costs, and its plain form where it has one."""

    architecture: Architecture | None
    macs: int | None
    params: int | None

    @property
    def text(self) -> str:
        if self.architecture is None or self.macs is None:
            return ""
        return f"{self.architecture} | {self.macs / 1e6:.1f} M macs"


def measure(hypermodel: Any, values: Mapping[str, Any], *, count_params: bool = False) -> Measured:
    """What the network with these values costs.

    Args:
        hypermodel: One with a method `architecture` is asked, and nothing is built.
        values: Of the network.
        count_params: Without `architecture` a model is built, counted and discarded; otherwise nothing
            is known of it.
    """
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    if not hasattr(hypermodel, "architecture"):
        return Measured(None, None, _count_params(hypermodel, hp) if count_params else None)
    architecture = hypermodel.architecture(hp)
    return Measured(
        architecture=architecture,
        macs=architecture.macs(hypermodel.image_shape),
        params=architecture.params(hypermodel.image_shape, hypermodel.num_classes),
    )


def _count_params(hypermodel: Any, hp: Any) -> int:
    from archsearch.runtime import forget_networks

    params = int(hypermodel.build(hp).count_params())
    forget_networks()
    return params


def admits(measured: Measured, plan: Plan) -> bool:
    """Whether a network is within the limits of the plan."""
    return not (
        (plan.max_macs is not None and measured.macs is not None and measured.macs > plan.max_macs)
        or (plan.max_params is not None and measured.params is not None and measured.params > plan.max_params)
    )


def narrowed_to(values: Mapping[str, Any], admits: Callable[[Mapping[str, Any]], bool]) -> Values | None:
    """A network of the built-in space, narrowed where it has to be; `None` if the narrowest is too large.

    So structures are compared at a similar cost. To draw others instead would leave those that are shallow
    or thin by nature.

    Args:
        values: Of the network.
        admits: Whether a network with these values is within the limits.
    """
    if admits(values):
        return dict(values)
    width = widest(lambda width: admits(narrowed(values, width)))
    return None if width is None else narrowed(values, width)
