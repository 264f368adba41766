"""Hyperparameters as axes: every value of every kind gets a place on a line of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.plots import label, value_text
from archsearch.trials import Role

MAX_LEVELS = 12
"""Different numbers up to which a hyperparameter is drawn in steps; above, as a continuous one."""

MAX_LEVEL_TEXT = 18
"""Characters; longer ones leave a small plot no room."""

LOG_RATIO = 50
"""Of largest to smallest value, from which a scale is logarithmic if settings.json does not say."""


@dataclass(frozen=True)
class Axis:
    """One hyperparameter that took at least two values."""

    name: str
    levels: tuple[Any, ...] | None
    """Its values in their order, if it has few; `None` if it is continuous."""
    log: bool
    default: Any

    def place(self, value: Any) -> float | None:
        """Where a value stands: its index among the levels, or itself, or its decimal logarithm.

        `None` for one that has no place: inactive, or of the wrong kind.
        """
        if self.levels is not None:
            keys = [_key(level) for level in self.levels]
            return float(keys.index(_key(value))) if _key(value) in keys else None
        if not _is_number(value) or (self.log and value <= 0):
            return None
        return math.log10(value) if self.log else float(value)

    def place_in(self, hyperparameters: Mapping[str, Any]) -> float | None:
        """Of a trial; `None` if the hyperparameter is inactive there."""
        return self.place(hyperparameters[self.name]) if self.name in hyperparameters else None

    def ticks(self, places: Sequence[float]) -> Iterator[tuple[float, str]]:
        """Places and what is written there, over the range of these places."""
        if self.levels is not None:
            yield from enumerate(level_text(level) for level in self.levels)
            return
        low, high = min(places), max(places)
        for number in range(5):
            place = low + (high - low) * number / 4
            yield place, f"{10**place if self.log else place:.3g}"


def axes(findings: Findings) -> list[Axis]:
    """Of every hyperparameter that took at least two values, in the order of the space."""
    trials = [record.hyperparameters for record in findings.records if record.role is Role.SEARCH]
    space = findings.section("space")
    names = dict.fromkeys([*space, *(name for values in trials for name in values)])
    found = []
    for name in names:
        values = {_key(trial[name]): trial[name] for trial in trials if name in trial}
        if len(values) >= 2:
            described = space.get(name)
            described = described if isinstance(described, Mapping) else {}
            num_trials = sum(name in trial for trial in trials)
            found.append(_axis(name, list(values.values()), described, num_trials))
    return found


def _axis(name: str, values: list[Any], described: Mapping[str, Any], num_trials: int) -> Axis:
    """From the values it took: where the space does not list them, a few that come again are all."""
    declared = described.get("values")
    numbers = all(_is_number(value) for value in values)
    default = described.get("default")
    if isinstance(declared, list) and {_key(value) for value in values} <= {
        _key(value) for value in declared
    }:
        return Axis(name, tuple(declared), log=False, default=default)
    if not numbers or (len(values) <= MAX_LEVELS and 2 * len(values) <= num_trials):
        ordered = sorted(values, key=(lambda value: value) if numbers else _key)
        return Axis(name, tuple(ordered), log=False, default=default)
    log = described.get("sampling") == "log" if described else max(values) > LOG_RATIO * min(values) > 0
    return Axis(name, None, log=log and min(values) > 0, default=default)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _key(value: Any) -> tuple[str, float, str]:
    """Equal for values that mean the same: 1 and 1.0, but not 1 and true."""
    if isinstance(value, bool):
        return ("bool", float(value), "")
    return ("number", float(value), "") if _is_number(value) else ("text", 0.0, str(value))


def level_text(value: Any) -> str:
    """A value in few characters; safe in a plot."""
    return value_text(value) if isinstance(value, bool | float) else label(value, MAX_LEVEL_TEXT)
