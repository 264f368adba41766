"""The networks with which a search begins instead of drawn ones. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from archsearch.draws import Values, key_of


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


def origin(values: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """Where a network comes from that was not drawn; empty for one that was.

    Args:
        values: Of a trial.
        stored: settings.json of its run.
    """
    begun_with = [key_of(each) for each in stored.get("begin_with") or ()]
    if key_of(values) not in begun_with:
        return ""
    earlier = begun_with.index(key_of(values)) < stored.get("num_from_runs", 0)
    return "from an earlier run" if earlier else "starting point"
