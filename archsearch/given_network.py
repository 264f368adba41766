"""A network that a person has, as values of the space: from a JSON file, or from the layers of a saved model.

No TensorFlow: of a `.keras` file only the JSON inside is read, so that nothing in it can run.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from archsearch.assignment import structure_values
from archsearch.errors import UserError
from archsearch.saved_network import read_architecture
from archsearch.settings import SearchSettings
from space.architecture import Architecture
from space.recipe import RECIPES, Recipe
from space.sampling import (
    FILTERS,
    GROWTH,
    MAX_BLOCKS,
    MAX_FILTERS,
    MIN_BLOCKS,
    OF_RECIPE,
    block_filters,
    sample,
)

WIDTHS = tuple(step / 64 for step in range(64, 0, -1))
"""To which networks are narrowed."""

WIDENED = tuple(step / 64 for step in range(65, 257))
"""Final trainings widen what was found in steps of a 32nd; a saved network is looked for up to here."""

RANGES: Mapping[str, tuple[float, float]] = {
    "num_blocks": (MIN_BLOCKS, MAX_BLOCKS),
    "convs": (1, 100),
    "growth": (0, 64),
    "width": (1e-4, 16),
}
"""Of numbers that a person may give, by the last part of their names; wider than what is drawn."""

RANGE = (0, 16_384)
"""Of all others."""


class Given:
    """Stands for Keras Tuner's `HyperParameters`: gives the values given, else the defaults."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.ranges: dict[str, tuple[float, float] | None] = {}
        """Of every name that was asked for; `None` where it is no number of a range."""
        self.defaults: dict[str, Any] = {}
        """Likewise."""

    def Choice(self, name: str, values: Sequence[Any], default: Any = None) -> Any:
        return self._value(name, values[0] if default is None else default)

    def Float(
        self, name: str, min_value: float, max_value: float, sampling: str = "linear", default: Any = None
    ) -> Any:
        value = self._value(name, min_value if default is None else default)
        self.ranges[name] = (min_value, max_value)
        return value

    def Boolean(self, name: str, default: bool = False) -> bool:
        return bool(self._value(name, default))

    def Fixed(self, name: str, value: Any) -> Any:
        return self._value(name, value)

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: list[Any]) -> Iterator[None]:
        yield

    def _value(self, name: str, default: Any) -> Any:
        self.ranges[name] = None
        self.defaults[name] = default
        return self.values.get(name, default)


def architecture_of(values: Mapping[str, Any], recipe: Recipe) -> Architecture:
    """The network of the built-in space that these values, over the defaults, stand for."""
    return sample(Given(values), recipe)[0]


def widest(admits: Callable[[float], bool]) -> float | None:
    """The largest of `WIDTHS` that is admitted, as then all smaller ones are; `None` if none is."""
    first = bisect.bisect_left(WIDTHS, True, key=admits)
    return WIDTHS[first] if first < len(WIDTHS) else None


def narrowed(values: Mapping[str, Any], width: float) -> dict[str, Any]:
    """The same network with its widths times `width`, over a width of its own."""
    return {**values, "width": width * values.get("width", 1.0)}


def read_baseline(settings: SearchSettings) -> tuple[dict[str, Any], list[str]]:
    """Values of trial 0 over the defaults of the space, and sentences on what was left out of them.

    Raises:
        UserError: The file cannot be read, or holds no network of the space.
    """
    if settings.baseline == "documented":
        return {}, []
    if settings.space is None:
        return read_network(settings.baseline, RECIPES[settings.recipe])
    if settings.baseline.lower().endswith(".keras"):
        raise UserError(
            "--baseline takes a .keras file with the built-in space only: what its layers are as values of "
            "--space nobody but its author knows. Give the values as JSON."
        )
    return read_values(Path(settings.baseline)), []


def check_values(baseline: Mapping[str, Any], space: Iterable[Any], settings: SearchSettings) -> None:
    """Refuses a baseline with values that the space does not ask for, or of another kind than its own.

    Most likely their names are misspelled.
    """
    known = {hp.name: hp for hp in space}
    unknown = [name for name in baseline if name not in known]
    if unknown:
        raise UserError(
            f"--baseline {settings.baseline} has values that the space has not: {', '.join(unknown)}; it has "
            f"{', '.join(known)}."
        )
    for name, value in baseline.items():
        default = known[name].default
        any_number = isinstance(default, float) or type(known[name]).__name__ == "Float"
        # Not by `isinstance`: for that True is a whole number.
        if type(value) not in ((int, float) if any_number else (type(default),)):
            raise UserError(
                f"--baseline {settings.baseline}: {name} must be of the kind of {default!r}, the default of "
                f"the space, got {value!r}."
            )


def read_network(file: str, recipe: Recipe) -> tuple[dict[str, Any], list[str]]:
    """A network of the built-in space, as values over the defaults, and sentences on what was left out.

    Args:
        file: A JSON file with values, alone or as in best.json, or a saved `.keras` model.
        recipe: Of the search.

    Raises:
        UserError: It cannot be read, or is no network of the space: with what does not fit.
    """
    path = Path(file)
    if path.suffix.lower() == ".keras":
        return _values_of(read_architecture(path), path, recipe), []
    values = read_values(path)
    asked = Given({})
    sample(asked, recipe)
    notes = []
    for name in OF_RECIPE:
        if name in values and not _in_range(values[name], asked.ranges.get(name)):
            notes.append(
                f"The {name.replace('_', ' ')} {values.pop(name)} of {path} is not one of the recipe "
                f"{recipe.name}, whose own is taken."
            )
    unknown = [name for name in values if name not in asked.ranges]
    if unknown:
        raise UserError(
            f"{path} has values that the space has not: {', '.join(unknown)}; it has "
            f"{', '.join(asked.ranges)}."
        )
    for name, value in values.items():
        needed = _needed(name, value, asked.defaults[name])
        if needed:
            raise UserError(f"{path} is no network of the space: {name} must be {needed}, got {value!r}.")
    try:
        architecture_of(values, recipe)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is no network of the space: {error}") from error
    return values, notes


def _needed(name: str, value: Any, default: Any) -> str:
    """What stands there by default, if this is of another kind or no size that could be trained."""
    if isinstance(default, str):
        return ""  # the network itself says which words there are
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    low, high = limits = RANGES.get(name.rpartition("/")[2], RANGE)
    whole = isinstance(default, int)
    if _in_range(value, limits) and (isinstance(value, int) or not whole):
        return ""
    return f"a {'whole ' if whole else ''}number from {low:,} to {high:,}"


def read_values(path: Path) -> dict[str, Any]:
    """Values by name of a JSON file, alone or as in best.json and result.json.

    Raises:
        UserError: It cannot be read, or holds none.
    """
    try:
        stored = json.loads(path.read_bytes())  # in any UTF, with the mark that Windows puts first or without
    except OSError as error:
        raise UserError(f"--baseline {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"--baseline {path} cannot be read: {str(error).rstrip('.')}. It takes values in JSON; for the "
            "built-in space also a model saved with `model.save('NAME.keras')`."
        ) from error
    values = stored.get("hyperparameters", stored) if isinstance(stored, dict) else None
    if not isinstance(values, dict) or not all(
        isinstance(value, str | int | float | bool) for value in values.values()
    ):
        raise UserError(
            f"--baseline {path} holds no values of a network: give an object of names and values, or the "
            "best.json of a run."
        )
    return structure_values(values)


def _in_range(value: Any, limits: tuple[float, float] | None) -> bool:
    if limits is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = limits
    return low * (1 - 1e-9) <= value <= high * (1 + 1e-9)


def _values_of(network: Architecture, path: Path, recipe: Recipe) -> dict[str, Any]:
    num_blocks = len(network.convs)
    if not MIN_BLOCKS <= num_blocks <= MAX_BLOCKS:
        raise UserError(
            f"{path} is no network of the space: it has {num_blocks} blocks, of {MIN_BLOCKS} to {MAX_BLOCKS}."
        )
    values: dict[str, Any] = {
        "num_blocks": num_blocks,
        **{f"block_{number}/convs": convs for number, convs in enumerate(network.convs)},
        "pool": network.pool,
        "head": network.head,
        "leaky_relu_slope": network.leaky_relu_slope,
        "fast_start": network.fast_start,
    }
    if network.head != "linear":
        values |= {"hidden_units": network.hidden_units, "dropout": network.dropout}
    values |= _growth(network, path)
    assert architecture_of(values, recipe) == network, values
    return values


def _growth(network: Architecture, path: Path) -> dict[str, Any]:
    """The first block's filters, their growth and their cap, of which the space makes all the others.

    Of a network that was narrowed or widened those before, the hidden units too, and the width.
    """
    filters = network.filters
    ratios = [after / before for before, after in pairwise(filters)]
    for growth in (*GROWTH, *ratios):
        for most in (*MAX_FILTERS, max(filters)):
            if _blocks(len(filters), filters[0], growth, most) == filters:
                return {"filters": filters[0], "growth": growth, "max_filters": most}
    bases = [(_blocks(len(filters), *values), values) for values in product(FILTERS, GROWTH, MAX_FILTERS)]
    for width in (*WIDTHS, *WIDENED):
        hidden_units = round(network.hidden_units / width)
        for made, (first, growth, most) in bases:
            # Rounding moves it by 8 at most.
            if abs(width * first - filters[0]) > 8:
                continue
            before = dataclasses.replace(network, filters=made, hidden_units=hidden_units)
            if before.scaled(width) == network:
                units = {"hidden_units": hidden_units} if hidden_units else {}
                return {"filters": first, "growth": growth, "max_filters": most, "width": width, **units}
    raise UserError(
        f"{path} is no network of the space: there the filters grow from block to block by one factor, to a "
        f"cap, in multiples of 8, and all of them may be widened or narrowed; here they are "
        f"{', '.join(map(str, filters))}."
    )


def _blocks(num: int, filters: int, growth: float, most: int) -> tuple[int, ...]:
    return tuple(block_filters(block, filters, growth, most) for block in range(num))
