"""The networks with which a search begins instead of drawn ones. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from archsearch.draws import Values, key_of

SHARE = 0.5
"""Of the first rung, that starting points may take."""


def starting_points(
    networks: Iterable[Mapping[str, Any]],
    *,
    fit: Callable[[Values], Values | None],
    known: Values | None,
    first_rung: int,
) -> list[Values]:
    """Those of the space that the limits admit, narrowed where they have to be.

    Args:
        networks: All values of each, the best first.
        fit: From a network to one within the limits; `None` if there is none.
        known: The baseline, which is not begun with a second time.
        first_rung: Slots of the first rung.
    """
    found: list[Values] = []
    for values in networks:
        fitted = fit(dict(values))
        if fitted is not None and (known is None or key_of(fitted) != key_of(known)):
            found.append(fitted)
    return found[: max(1, int(SHARE * first_rung))]


def origin(values: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """Where a network comes from that was not drawn; empty for one that was.

    Args:
        values: Of a trial.
        stored: settings.json of its run.
    """
    if key_of(values) not in map(key_of, stored.get("begin_with") or ()):
        return ""
    settings = stored.get("settings") or {}
    return "from an earlier run" if settings.get("from_runs") else "starting point"
