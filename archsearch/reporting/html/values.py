"""Plots of the hyperparameters: parallel coordinates, a slice for each, and how much each matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from archsearch.quantities import format_epochs
from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.hyperparameters import Axis, axes
from archsearch.reporting.html.importance import Importances
from archsearch.reporting.html.plots import (
    Data,
    Plot,
    View,
    axis,
    label,
    log_axis,
    marker,
    names,
    number,
    plot,
    rounded,
    rung_styles,
    scatter,
    spread,
)
from archsearch.trials import TrialRecord

WORST_TO_BEST = ("@low", "@middle", "@high")
"""Of the lines; the best stand out from the page, light or dark."""

INACTIVE = "inactive"
SLICES_INTRO = "The score over each hyperparameter, all others varying."

JITTER = (-0.24, -0.08, 0.08, 0.24, -0.16, 0.0, 0.16)
"""Of points that stand on one level, in steps of it."""


def parallel_coordinates(findings: Findings) -> Plot | None:
    """One line a trial through all its values to its score; a view for each rung."""
    found = axes(findings)
    population = {epochs: _rung(findings, epochs) for epochs in findings.rungs}
    rungs = sorted(population, key=lambda epochs: (-len(population[epochs]), -epochs))
    views = [
        View(
            f"{format_epochs(epochs)} (n = {len(population[epochs])})",
            [_parallel(findings, epochs, found)],
            {},
        )
        for epochs in rungs
        if len(population[epochs]) >= 2
    ]
    if not found or not views:
        return None
    return Plot(
        "parallel",
        "Parallel coordinates",
        "One line a trial, from value to value to its score, one rung at a time. Drag along an axis to keep "
        "only the trials in that range; drag its name to move the axis.",
        views,
        height=470,
        min_width=110 + 52 * (len(found) + 1),
    )


def _rung(findings: Findings, epochs: int) -> list[TrialRecord]:
    return [record for record in findings.searched if record.epochs == epochs]


def _parallel(findings: Findings, epochs: int, found: Sequence[Axis]) -> Data:
    rung = sorted(
        _rung(findings, epochs), key=lambda record: record.score or 0.0, reverse=findings.direction == "min"
    )
    scores = rounded(record.score for record in rung)
    colours = WORST_TO_BEST if findings.direction == "max" else WORST_TO_BEST[::-1]
    return {
        "type": "parcoords",
        "dimensions": [
            *(_dimension(each, rung) for each in found),
            {"label": label(findings.objective), "values": scores},
        ],
        "line": {
            "color": scores,
            "colorscale": [[place, colour] for place, colour in zip((0, 0.5, 1), colours, strict=True)],
        },
        "unselected": {"line": {"color": "@grid", "opacity": 0.25}},
        "labelangle": -18,
        "labelside": "top",
    }


def _dimension(axis: Axis, rung: Sequence[TrialRecord]) -> Data:
    """Inactive values stand below all others."""
    places = [axis.place_in(record.hyperparameters) for record in rung]
    if axis.levels is not None:  # or all lines between two levels would be one
        places = [_apart(place, index) for index, place in enumerate(places)]
    known = [place for place in places if place is not None] or [0.0]
    ticks = list(axis.ticks(known))
    low = min([*known, *(place for place, _ in ticks)])
    high = max([*known, *(place for place, _ in ticks)])
    if None in places:
        below = low - (0.15 * (high - low) or 1.0)
        ticks = [(below, INACTIVE), *ticks]
        places = [below if place is None else place for place in places]
        low = below
    return {
        "label": label(axis.name),
        "values": rounded(places),
        "range": rounded([low, high if high > low else low + 1.0]),
        "tickvals": rounded(float(place) for place, _ in ticks),
        "ticktext": [text for _, text in ticks],
    }


def slices(findings: Findings) -> list[Plot]:
    """The score over the values of each hyperparameter, coloured by rung."""
    scores = [float(record.score or 0.0) for record in findings.searched]
    return [
        plot(
            f"slice-{index}",
            each.name,
            _inactive(findings, each),
            [
                trace
                for epochs, style in rung_styles(findings.rungs).items()
                if (trace := _slice(_rung(findings, epochs), each, epochs, style)) is not None
            ],
            {
                "showlegend": False,
                "margin": {"t": 6, "r": 10},
                "xaxis": _value_axis(findings, each),
                "yaxis": {**axis(label(findings.objective)), **_shared_range(scores)},
            },
            height=260,
        )
        for index, each in enumerate(axes(findings))
        if scores
    ]


def _shared_range(scores: Sequence[float]) -> Data:
    """So that the slices can be compared by eye."""
    margin = 0.05 * (max(scores) - min(scores)) or 0.05
    return spread(scores) or {"range": rounded([min(scores) - margin, max(scores) + margin])}


def _slice(rung: Sequence[TrialRecord], axis: Axis, epochs: int, style: tuple[str, str]) -> Data | None:
    points = [
        (place, record) for record in rung if (place := axis.place_in(record.hyperparameters)) is not None
    ]
    if not points:
        return None
    if axis.levels is not None:
        x = [_apart(place, index) for index, (place, _) in enumerate(points)]
    else:
        x = [10**place if axis.log else place for place, _ in points]
    return scatter(
        x,
        [record.score for _, record in points],
        mode="markers",
        name=format_epochs(epochs),
        text=names(record for _, record in points),
        marker=marker(style, 6, opacity=0.8),
        hovertemplate=f"%{{text}}, {format_epochs(epochs)}<br>%{{y:.4f}}<extra></extra>",
    )


@overload
def _apart(place: float, index: int) -> float: ...
@overload
def _apart(place: float | None, index: int) -> float | None: ...
def _apart(place: float | None, index: int) -> float | None:
    """Beside the others on the same level."""
    return None if place is None else place + JITTER[index % len(JITTER)]


def _value_axis(findings: Findings, each: Axis) -> Data:
    if each.levels is not None:
        ticks = list(each.ticks(()))
        places = {"tickvals": [place for place, _ in ticks], "ticktext": [text for _, text in ticks]}
        return axis("value", **places, range=[-0.6, len(ticks) - 0.4], zeroline=False)
    if not each.log:
        return axis("value")
    places_of = [each.place_in(record.hyperparameters) for record in findings.searched]
    return log_axis("value, log scale", [10**place for place in places_of if place is not None] or [1.0])


def _inactive(findings: Findings, each: Axis) -> str:
    """In how many trials it is."""
    inactive = sum(each.name not in record.hyperparameters for record in findings.searched)
    return f"inactive in {inactive} of {len(findings.searched)} trials" if inactive else ""


def importance_plot(found: Importances) -> Plot:
    """Bars with their deviation, the most important on top."""
    shown = list(found.means)[::-1]
    trusted = (
        f"The forest explains {100 * found.explained:.0f} % of the variance among trials it has not seen."
        if found.explained > 0
        else "The forest does not predict trials it has not seen: these bars say nothing."
    )
    trace: Data = {
        "type": "bar",
        "orientation": "h",
        "y": [label(name) for name in shown],
        "x": [number(found.means[name]) for name in shown],
        "error_x": {
            "type": "data",
            "array": [number(found.deviations[name]) for name in shown],
            "color": "@ink",
            "thickness": 1.2,
            "width": 3,
        },
        "marker": {"color": "@blue"},
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }
    return plot(
        "importance",
        f"Importance of the hyperparameters, {format_epochs(found.epochs)}, n = {found.num_trials}",
        "How much worse a random forest predicts the rank of a trial's score when the values of one "
        "hyperparameter are shuffled (scikit-learn's permutation importance, on the most populated rung). "
        f"{trusted} Whiskers: one standard deviation over folds and shuffles.",
        [trace],
        {
            "showlegend": False,
            "xaxis": axis("loss of explained variance (share)"),
            "yaxis": axis("hyperparameter", type="category"),
        },
        height=130 + 26 * len(shown),
    )
