"""The report's plots as pictures, for TensorBoard: the same data, drawn by Matplotlib."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator
from numpy.typing import NDArray

from archsearch.reporting.figures import BLUE, POINTS, VERMILLION
from archsearch.reporting.html.cost import cost_plots, rank_plots
from archsearch.reporting.html.course import history, timeline
from archsearch.reporting.html.curves import learning_curves
from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.hyperparameters import axes as hyperparameter_axes
from archsearch.reporting.html.importance import importances
from archsearch.reporting.html.plots import SYMBOLS, Data, Plot, View
from archsearch.reporting.html.values import SLICES_INTRO, importance_plot, slices

COLOURS = {
    "@ink": "black",
    "@card": "white",
    "@edge": "#30363d",
    "@faint": "#9aa5b1",
    "@blue": BLUE,
    "@vermillion": VERMILLION,
    "@orange": POINTS[1][0],
}
"""Of the style sheet's names, on white."""

MARKERS = {symbol: marker for marker, symbol in SYMBOLS.items()} | {
    "x": "X",
    "cross": "P",
    "star": "*",
    "diamond-open": "D",
    "x-thin": "x",
    "y-up": "1",
}
"""Matplotlib's names of plotly.js's symbols."""

DASHES = {"solid": "-", "dash": "--", "dot": ":"}
COLUMNS = 3
"""Of small plots in one picture."""

FONT_SIZE = 12
"""Points; TensorBoard shows a picture some 4 inches wide until it is clicked."""


def search_figures(findings: Findings) -> Iterator[tuple[str, str, Figure]]:
    """What TensorBoard shows of a search: a tag, how to read it, and the picture."""
    course = history(findings)
    if course is not None:
        yield "search/optimisation history", course.caption, draw(course)
    for plot in cost_plots(findings):
        yield f"search/{plot.title.lower()}", plot.caption, draw(plot)
    curves = learning_curves(findings)
    if curves is not None:
        for view in curves.views:
            rung = view.name.split(" (")[0]
            yield f"search/learning curves, {rung}", curves.caption, draw(curves, view)
    for plot in rank_plots(findings):
        yield f"search/rank correlation, {plot.title.replace('→', 'to')}", plot.caption, draw(plot)
    each = slices(findings)
    if each:
        yield "search/slices", SLICES_INTRO, draw_together(each, "Slices")
    found = importances(findings.searched, hyperparameter_axes(findings))
    if found is not None:  # where it says nothing its caption says so
        plot = importance_plot(found)
        yield "search/importance of the hyperparameters", plot.caption, draw(plot)
    by_worker = timeline(findings)
    if by_worker is not None:
        yield "search/timeline by worker", by_worker.caption, draw(by_worker)


def draw(plot: Plot, view: View | None = None) -> Figure:
    """One view of a plot; the first by default."""
    view = view or plot.views[0]
    bars = {name for trace in view.data if trace["type"] == "bar" for name in trace["y"]}
    figure = Figure(figsize=(6, 2.2 + 0.26 * len(bars) if bars else 4.4), layout="constrained")
    axes = figure.subplots()
    title = plot.title if not view.name else f"{plot.title}: {view.name}"
    if plot.name.startswith("rank-"):  # their captions are a number, not how to read it
        title = f"Ranks, {title}: {plot.caption}"
    _draw_into(axes, view, title)
    if view.layout.get("showlegend", True):
        _legend(figure, axes)
    return figure


def draw_together(plots: Sequence[Plot], title: str) -> Figure:
    """Small plots of one kind in one picture, with one legend for all."""
    rows = math.ceil(len(plots) / COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 0.9 + 3 * rows), layout="constrained")
    figure.suptitle(title)
    places = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for axes, plot in zip(places, plots, strict=False):
        _draw_into(axes, plot.views[0], f"{plot.title}\n{plot.caption}" if plot.caption else plot.title)
    for axes in places[len(plots) :]:
        axes.set_visible(False)
    _legend(figure, max(places, key=lambda axes: len(axes.get_legend_handles_labels()[0])))
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        style = {"frameon": False, "fontsize": FONT_SIZE - 1, "markerscale": 0.7}
        figure.legend(handles, labels, loc="outside lower center", ncols=2, **style)


def _draw_into(axes: Axes, view: View, title: str) -> None:
    for name in view.layout.get("yaxis", {}).get("categoryarray", ()):
        axes.barh([_text(name)], [0.0])  # Matplotlib orders categories as they come
    for trace in view.data:
        _bars(axes, trace) if trace["type"] == "bar" else _scatter(axes, trace)
    axes.set_title(_text(title), fontsize=FONT_SIZE + 1, parse_math=False, wrap=True)
    _axis(axes.xaxis, "x", axes, view.layout.get("xaxis", {}))
    _axis(axes.yaxis, "y", axes, view.layout.get("yaxis", {}))
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _scatter(axes: Axes, trace: Data) -> None:
    x, y = _numbers(trace["x"]), _numbers(trace["y"])
    place: dict[str, Any] = {"transform": axes.get_xaxis_transform()} if trace.get("yaxis") == "y2" else {}
    label = _text(trace["name"]) if "name" in trace and trace.get("showlegend", True) else "_none"
    line, mark = trace.get("line", {}), trace.get("marker", {})
    if "lines" in trace["mode"]:
        axes.plot(
            x,
            y,
            color=_colour(line.get("color", "@ink")),
            linestyle=DASHES[line.get("dash", "solid")],
            linewidth=line.get("width", 2),
            drawstyle="steps-post" if line.get("shape") == "hv" else "default",
            label=label,
            **place,
        )
    else:
        axes.scatter(x, y, s=1.3 * mark.get("size", 8) ** 2, zorder=3, label=label, **_marker(mark), **place)


def _marker(mark: Data) -> Mapping[str, Any]:
    symbol = mark["symbol"]
    edge, colour = mark.get("line", {}), _colour(mark.get("color", "@ink"))
    style = {"marker": MARKERS[symbol], "alpha": mark.get("opacity"), "linewidth": edge.get("width", 0.8)}
    if symbol in ("x-thin", "y-up"):  # lines without a face
        return {**style, "color": _colour(edge["color"])}
    face = "none" if symbol.endswith("-open") else colour
    return {**style, "facecolor": face, "edgecolor": _colour(edge.get("color", "@edge"))}


def _bars(axes: Axes, trace: Data) -> None:
    errors = _numbers(trace["error_x"]["array"]) if "error_x" in trace else None
    names = [_text(name) for name in trace["y"]]
    mark = trace["marker"]
    edge = mark.get("line", {"width": 0, "color": "@card"})
    style: dict[str, Any] = {"color": _colour(mark["color"])}
    style |= {"edgecolor": _colour(edge["color"]), "linewidth": edge["width"]}
    if "pattern" in mark:
        style |= {"hatch": 3 * mark["pattern"]["shape"], "edgecolor": _colour(mark["pattern"]["fgcolor"])}
    axes.barh(
        names,
        _numbers(trace["x"]),
        left=_numbers(trace["base"]) if "base" in trace else 0.0,
        xerr=errors,
        height=0.7,
        capsize=3,
        label=_text(trace.get("name", "_none")),
        **style,
    )


def _axis(axis: Any, which: str, axes: Axes, layout: Data) -> None:
    title = layout.get("title", {}).get("text", "")
    axis.set_label_text(_text(title), fontsize=FONT_SIZE, parse_math=False)
    if layout.get("type") == "log":
        axes.set(**{f"{which}scale": "log"})
    if "tickvals" in layout:
        axis.set_ticks(layout["tickvals"], [_text(text) for text in layout["ticktext"]])
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    if layout.get("range") is not None:
        axes.set(**{f"{which}lim": layout["range"]})
    elif layout.get("rangemode") == "tozero":
        axes.set(**{f"{which}lim": (0, None)})
    if layout.get("dtick") is not None:
        low, high = axis.get_view_interval()
        axis.set_ticks(np.arange(np.ceil(low), high + 1e-9, layout["dtick"]))


def _numbers(values: Any) -> NDArray[np.float64]:
    """None becomes NaN: a gap."""
    return np.array(values, dtype=float)


def _colour(name: str) -> str:
    return COLOURS.get(name, name)


def _text(text: str) -> str:
    """As it is meant: the report's texts are safe for HTML."""
    return html.unescape(text)
