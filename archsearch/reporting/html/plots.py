"""What all plots share: their form, their colours, numbers and texts that are safe in them.

A plot is plain data for plotly.js. Colours such as "@ink" are names of the style sheet, so that one plot is
drawn light, dark and printed.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from archsearch.reporting.figures import BLUE, POINTS, VERMILLION
from archsearch.trials import TrialRecord

Data = dict[str, Any]

SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down"}
"""plotly.js's names of Matplotlib's markers."""

MAX_LABEL = 48
MAX_TICKS = 6


@dataclass(frozen=True)
class View:
    """One state of a plot."""

    name: str
    data: Sequence[Data]
    layout: Mapping[str, Any]


@dataclass(frozen=True)
class Plot:
    """A figure of the report."""

    name: str
    """Unique in the page."""
    title: str
    caption: str
    """What is seen, and how to read it."""
    views: Sequence[View]
    """One, or several to choose from; the first is shown."""
    height: int = 400
    """Pixels."""
    min_width: int = 0
    """Pixels, below which it is scrolled sideways."""


def plot(name: str, title: str, caption: str, data: Sequence[Data], layout: Data, **options: Any) -> Plot:
    """A plot with one view."""
    return Plot(name, title, caption, [View("", data, layout)], **options)


def rung_styles(rungs: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Colour and symbol of each fidelity, the same in every plot."""
    styles = [(colour, SYMBOLS[marker]) for colour, marker in POINTS]
    styles += [(VERMILLION, "x"), (BLUE, "cross")]
    return dict(zip(rungs, cycle(styles), strict=False))


def scatter(x: Sequence[Any], y: Sequence[Any], **options: Any) -> Data:
    """A trace of points or lines."""
    return {"type": "scatter", "x": rounded(x), "y": rounded(y), **options}


def marker(style: tuple[str, str], size: float = 8, **options: Any) -> Data:
    """With an edge, for the lightest colours are hard to see without."""
    colour, symbol = style
    return {
        "color": colour,
        "symbol": symbol,
        "size": size,
        "line": {"width": 0.8, "color": "@edge"},
        **options,
    }


def rounded(values: Iterable[Any]) -> list[Any]:
    """Numbers at five digits, which is more than can be seen; what is not finite is left out as `None`."""
    return [number(value) if isinstance(value, float) else value for value in values]


def number(value: float) -> float | None:
    """At five digits."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def label(text: object, length: int = MAX_LABEL) -> str:
    """One short line, which plotly.js shows as it is: it would take `<b>` for a tag."""
    line = " ".join(str(text).split())
    line = line if len(line) <= length else line[: length - 1] + "…"
    return html.escape(line, quote=False)


def names(records: Iterable[TrialRecord]) -> list[str]:
    """Of trials, for what is shown under the pointer."""
    return [label(record.trial_id) for record in records]


def axis(title: str, **options: Any) -> Data:
    return {"title": {"text": title, "standoff": 10}, **options}


def log_axis(title: str, values: Sequence[float]) -> Data:
    """With ticks at 1, 2 and 5 of each decade; where these are many, at 1 alone."""
    low, high = min(values), max(values)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [(step, step * 10.0**decade) for decade in decades for step in (1, 2, 5)]
    ticks = [(step, tick) for step, tick in ticks if low / 1.5 <= tick <= high * 1.5]
    shown = [tick for step, tick in ticks if step == 1 or len(ticks) <= MAX_TICKS]
    texts = [count_text(tick) for tick in shown]
    return axis(title, type="log", tickvals=shown, ticktext=texts)


def count_text(number: float) -> str:
    """Such as 820, 27.4 k, 3.51 M, 12 G."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}" if number < 1000 * size else f"{number / size:,.0f}{unit}"
    return f"{number:g}"


def value_text(value: object) -> str:
    """Of a hyperparameter, for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def spread(values: Sequence[float]) -> Data:
    """A logarithmic axis where a loss that diverged would press all others onto one line.

    Where all are equal a narrow one: by itself it would reach one below and above, whatever that means.
    """
    low, high = min(values, default=0.0), max(values, default=0.0)
    if values and low == high:
        return {"range": rounded([low - 0.05 * abs(low), low + 0.05 * abs(low)])} if low else {}
    return {"type": "log"} if 0 < 100 * low < high else {}


def better(direction: str) -> str:
    return "higher is better" if direction == "max" else "lower is better"
