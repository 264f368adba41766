"""Whether a value is one that a hyperparameter has. No Keras Tuner: it is known by the name of its class."""

from __future__ import annotations

import math
from typing import Any


def is_number(value: Any) -> bool:
    """A truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_value_of(hp: Any, value: Any) -> bool:
    """Whether it is a value of this hyperparameter, by its class in Keras Tuner."""
    match type(hp).__name__:
        case "Boolean":
            return isinstance(value, bool)
        case "Choice":
            return any(
                value == each and isinstance(value, bool) == isinstance(each, bool) for each in hp.values
            )
        case "Int":
            return is_number(value) and isinstance(value, int) and _in_steps(hp, value)
        case "Float":
            return is_number(value) and _in_steps(hp, value)
        case _:
            return bool(value == hp.default)


def _in_steps(hp: Any, value: float) -> bool:
    """Whether it is in the range of a number, a whole number of steps from its end; between logarithms."""
    if not hp.min_value <= value <= hp.max_value:
        return False
    if hp.step is None:
        return True
    if hp.sampling == "linear":
        steps = (value - hp.min_value) / hp.step
    else:
        from_end = value if hp.sampling == "log" else hp.max_value + hp.min_value - value
        steps = math.log(from_end / hp.min_value, hp.step)
    return abs(steps - round(steps)) < 1e-6
