"""The networks with which a search begins instead of drawn ones. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from archsearch.draws import Values, gets_neighbour, key_of
from archsearch.trials import TrialRecord


def most(first_rung: int) -> int:
    """How many networks need not be drawn: up to half as many as the first rung has, but one at least.

    The others are, for what is best may be another one on these images.
    """
    return max(1, first_rung // 2)


def starting_points(
    networks: Iterable[Mapping[str, Any]],
    *,
    fit: Callable[[Values], Values | None],
    known: Values | None,
    begun_with: Sequence[Values] = (),
    first_rung: int,
) -> list[Values]:
    """Those of the space within the limits, narrowed where they have to be, as many as may still be given.

    Args:
        networks: All values of each, the best first.
        fit: From a network to one within the limits; `None` if there is none.
        known: The baseline, which is not begun with a second time.
        begun_with: Networks of earlier runs, which come first; nor are these.
        first_rung: Slots of the first rung.
    """
    found: list[Values] = []
    taken = {key_of(values) for values in (*begun_with, *([] if known is None else [known]))}
    for values in networks:
        fitted = fit(dict(values))
        if fitted is not None and key_of(fitted) not in taken:
            found.append(fitted)
    return found[: max(0, most(first_rung) - len(begun_with))]


def origin(record: TrialRecord, stored: Mapping[str, Any]) -> str:
    """Which known network a trial of the search is of, or near to; empty for one of the whole space.

    Args:
        record: Of the trial.
        stored: settings.json of its run.
    """
    begun_with = stored.get("begin_with") or ()
    place = record.place
    if not begun_with or place is None:
        return ""
    num_from_runs = stored.get("num_from_runs", 0)
    keys = [key_of(each) for each in begun_with]
    key = key_of(record.hyperparameters)
    if key in keys:
        return "from an earlier run" if keys.index(key) < num_from_runs else "starting point"
    if not stored.get("neighbours", False) or not gets_neighbour(place.slot):
        return ""
    number, names = _nearest(record.hyperparameters, begun_with)
    if 2 * len(names) > len(record.hyperparameters):  # drawn from the whole space, where none near was left
        return ""
    return f"near {'one of an earlier run' if number < num_from_runs else 'a starting point'}"


def differing(values: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Names of the values that the network has not from the nearest one that the search began with.

    Its width, which follows from the limits, only where nothing else differs.
    """
    return _nearest(values, stored["begin_with"])[1] or ["width"]


def _nearest(values: Mapping[str, Any], networks: Sequence[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """The number of the network, and the names of what differs but for the width."""
    absent = object()
    different = [
        [
            name
            for name in dict.fromkeys([*values, *each])
            if name != "width" and values.get(name, absent) != each.get(name, absent)
        ]
        for each in networks
    ]
    number = min(range(len(networks)), key=lambda each: len(different[each]))
    return number, different[number]
