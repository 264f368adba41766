"""What the user asked for, checked once; and how it meets what a run already stored."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from archsearch.errors import UserError
from archsearch.nodes import check_ray
from archsearch.runtime import PRECISIONS
from space.architecture import MIN_IMAGE_SIDE
from space.recipe import RECIPES

OBJECTIVES = {
    "val_accuracy": "max",
    "val_loss": "min",
    "val_balanced_accuracy": "max",
    "val_macro_f1": "max",
}
"""Objective -> direction."""

CLASS_WEIGHTS = ("none", "balanced")

DEFAULT_SECONDS = 30 * 60.0

WHERE = ("workers", "ray")
"""Settings that only say where trials run."""

FREE = ("dataset", *WHERE)
"""Settings that may change from one session of a run to the next."""

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def parse_time(text: str) -> float:
    """Seconds of `90s`, `30m`, `1.5h`, `1h30m`, `2d`; a bare number is minutes.

    Raises:
        UserError: The text is none of these, or 0.
    """
    bare = re.fullmatch(r"\d+(\.\d+)?", text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text.lower())
    if bare:
        seconds = 60 * float(text)
    elif parts and "".join(number + unit for number, unit in parts) == text.lower():
        seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
    else:
        raise UserError(f"A time is written like 90s, 30m, 1.5h or 1h30m, got {text!r}.")
    if seconds <= 0:
        raise UserError(f"A time must be above 0, got {text!r}.")
    return seconds


def parse_count(text: str) -> int:
    """A whole number of `8000000`, `8M`, `2.5m`, `300k`, `1G`.

    Raises:
        UserError: The text is none of these, or below 1.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)", text.lower())
    # Exactly: in floating point 4.1 times a million is no whole number.
    number = Decimal(match[1]) * COUNTS[match[2]] if match else Decimal(0)
    if number < 1 or number != int(number):
        raise UserError(f"A number is written like 8000000, 8M or 300k, and whole; got {text!r}.")
    return int(number)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of `32x48`.

    Raises:
        UserError: The text is no size, or a side is below 8 pixels.
    """
    match = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if match is None:
        raise UserError(f"An image size is written HEIGHTxWIDTH, like 32x48; got {text!r}.")
    height, width = int(match[1]), int(match[2])
    if min(height, width) < MIN_IMAGE_SIDE:
        raise UserError(f"Images must have at least {MIN_IMAGE_SIDE} pixels a side, got {text!r}.")
    return height, width


def size_text(text: str) -> str:
    """The one way in which a size is stored."""
    return "{}x{}".format(*parse_size(text))


@dataclass(frozen=True)
class SearchSettings:
    """Everything a search is asked for; `None` leaves the choice to the plan."""

    dataset: str = "cifar10"
    flip: str = "auto"
    seed: int = 0
    recipe: str = "modern"
    objective: str = "val_accuracy"
    max_seconds: float | None = DEFAULT_SECONDS
    """Wall-clock of the whole search, over all its sessions; `None`: no limit. What a session spent after the
    last trial it finished is not counted."""
    max_epochs: int | None = None
    factor: int = 3
    iterations: int | None = None
    """`None`: 1, or as many as the time admits."""
    images_per_epoch: int | None = None
    max_params: int | None = None
    max_macs: int | None = None
    final_seconds: float | None = None
    """Wall-clock of the final training that the search aims at; `None`: it does not."""
    precision: str = "auto"
    workers: int | None = None
    """Processes that train, each one trial at a time; 0: the searching process itself; `None`: as many as
    suit the machine (`layout.py`). The trials are the same."""
    ray: str = "none"
    """HOST:PORT of a Ray cluster whose machines train, `workers` trials at a time; "auto": the one that this
    machine is part of."""
    confirm: int = 2
    """Best networks that are trained again with fresh seeds at the end; fewer where the time is short."""
    image_size: str | None = None
    """`HEIGHTxWIDTH`; `None`: the data's own, for a folder of images the median, at most 64x64."""
    class_weights: str = "none"
    """"balanced": in training, all images of a class together weigh as much as those of any other."""
    space: str | None = None
    """`MODULE:CLASS` of a space of the user's own; `None`: the built-in one."""
    baseline: str = "documented"
    """A file with another network as trial 0: JSON with its values, or a saved `.keras` model."""
    from_runs: tuple[str, ...] = ()
    """Earlier runs, with whose best networks the search begins."""
    starting_points: str = "yes"
    """Whether the search begins with networks that are known to train well, after those of earlier runs."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "from_runs", tuple(self.from_runs))  # of JSON a list
        _one_of("--flip", self.flip, ("auto", "yes", "no"))
        _one_of("--starting-points", self.starting_points, ("yes", "no"))
        _one_of("--recipe", self.recipe, RECIPES)
        check_precision(self.precision)
        _one_of("--objective", self.objective, OBJECTIVES)
        _one_of("--class-weights", self.class_weights, CLASS_WEIGHTS)
        _at_least("--seed", self.seed, 0)
        check_seed(self.seed)
        _at_least("--factor", self.factor, 2)
        _at_least("--confirm", self.confirm, 0)
        if self.workers is not None:
            _at_least("--workers", self.workers, 0)
        if check_ray(self.ray) != "none" and self.workers == 0:
            raise UserError("--ray trains on a cluster, --workers 0 in this process: leave out one of them.")
        for flag in ("max_epochs", "iterations", "images_per_epoch", "max_params", "max_macs"):
            if getattr(self, flag) is not None:
                _at_least("--" + flag.replace("_", "-"), getattr(self, flag), 1)
        check_seconds("--max-time", self.max_seconds)
        check_seconds("--final-time", self.final_seconds)
        if self.image_size is not None:
            parse_size(self.image_size)

    @property
    def direction(self) -> str:
        """ "max" or "min"."""
        return OBJECTIVES[self.objective]

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width that images are brought to; `None`: see `image_size`."""
        return None if self.image_size is None else parse_size(self.image_size)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold."""
        return {**dataclasses.asdict(self), "from_runs": list(self.from_runs)}


def _one_of(flag: str, value: str, allowed: Any) -> None:
    if value not in allowed:
        raise UserError(f"{flag} must be one of {', '.join(allowed)}; got {value!r}.")


def _at_least(flag: str, value: object, lowest: int) -> None:
    if not isinstance(value, int) or value < lowest:
        raise UserError(f"{flag} must be a whole number, at least {lowest}; got {value!r}.")


def check_seed(seed: int | None) -> None:
    """Refuses what is no seed for NumPy and Keras.

    Raises:
        UserError: It is negative, or has more than 32 bits.
    """
    if seed is None:
        return
    _at_least("--seed", seed, 0)
    if seed >= 2**32:
        raise UserError(f"--seed must be below {2**32}, got {seed}.")


def check_precision(precision: str) -> None:
    """Refuses what is no precision.

    Raises:
        UserError: It is none of `runtime.PRECISIONS`.
    """
    _one_of("--precision", precision, PRECISIONS)


def check_seconds(flag: str, seconds: float | None) -> None:
    """Refuses what is no time.

    Raises:
        UserError: It is not above 0, or has no end.
    """
    if seconds is not None and not 0 < seconds < float("inf"):
        raise UserError(f"{flag} must be above 0 seconds, got {seconds}.")


def resolve(given: Mapping[str, Any]) -> SearchSettings:
    """Settings of a new run: what is given, over the defaults.

    Epochs without a time lift the time limit: who names the fidelity means the whole plan.

    Args:
        given: Only what the user gave, by field name.
    """
    given = dict(given)
    if given.get("max_epochs") is not None and given.get("max_seconds") is None:
        given["max_seconds"] = None
    return SearchSettings(**given)


def continued(
    stored: Mapping[str, Any], given: Mapping[str, Any], planned: Mapping[str, Any]
) -> SearchSettings:
    """Settings of a run that goes on: the stored ones, with the changes that are welcome.

    More time, iterations and confirmations are, any number of workers on any machines, and another place of
    the same images, which their content will tell. Anything else that is given and differs would mix two
    searches in one log.

    Args:
        stored: From the run's settings.json.
        given: Only what the user gave, by field name.
        planned: What was chosen where the settings left the choice, likewise.

    Raises:
        UserError: With the list of differences.
    """
    settings = SearchSettings(**stored)
    changes = {name: value for name, value in given.items() if value != getattr(settings, name)}
    # To give what was chosen anyway changes nothing.
    changes = {
        name: value for name, value in changes.items() if name not in planned or planned[name] != value
    }
    differences = [
        f"{name.replace('_', ' ')}: stored {_in_force(settings, planned, name)}, given {value}"
        for name, value in changes.items()
        if name not in FREE and not _is_more(name, settings, planned, value)
    ]
    if differences:
        raise UserError(
            f"This run was searched with other settings ({'; '.join(differences)}). Leave these flags out to "
            "continue it, choose another --run, or start over with --overwrite."
        )
    return dataclasses.replace(settings, **changes)


def _in_force(settings: SearchSettings, planned: Mapping[str, Any], name: str) -> Any:
    value = getattr(settings, name)
    return planned.get(name, value) if value in (None, "auto") else value


def _is_more(name: str, settings: SearchSettings, planned: Mapping[str, Any], given: Any) -> bool:
    stored: Any = getattr(settings, name)
    if name == "confirm":  # the plan may have come to fewer than were asked for
        return given is None or given > planned.get(name, stored)
    if name not in ("max_seconds", "iterations"):
        return False
    return (
        given is None or (stored is not None and given > stored) or (name == "iterations" and stored is None)
    )


def given_settings(
    *,
    data: Any,
    max_time: str | float | None = None,
    final_time: str | float | None = None,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """What a caller in Python gave, by field name.

    Raises:
        UserError: A name is no setting.
    """
    names = {field.name for field in dataclasses.fields(SearchSettings)}
    unknown = sorted(settings.keys() - names)
    if unknown:
        raise UserError(f"There is no setting {', '.join(unknown)}; there are {', '.join(sorted(names))}.")
    given = dict(settings)
    if data is not None:
        given["dataset"] = str(data) if isinstance(data, str | Path) else "arrays"
    for name, text in (("max_seconds", max_time), ("final_seconds", final_time)):
        if text is not None:
            given[name] = parse_time(str(text))
    if "from_runs" in given:
        runs = given["from_runs"]
        given["from_runs"] = tuple(map(str, [runs] if isinstance(runs, str | Path) else runs))
    if isinstance(given.get("baseline"), Path):
        given["baseline"] = str(given["baseline"])
    size = given.get("image_size")
    if size is not None:
        given["image_size"] = size_text("x".join(map(str, size)) if isinstance(size, tuple | list) else size)
    return given
