"""Plots of how the search went: scores over time, and which worker trained what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from archsearch.quantities import format_epochs
from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.plots import (
    Data,
    Plot,
    axis,
    better,
    label,
    marker,
    names,
    plot,
    rung_styles,
    scatter,
    spread,
)
from archsearch.trials import Role, Status, TrialRecord

ENDS = ((Status.FAILED, "failed", "x-thin", "@vermillion"), (Status.TIMED_OUT, "out of time", "y-up", "@ink"))
MAX_EDGED = 60
"""Bars of one colour up to which they are set apart; an edge would hide the thinnest."""

CONFIRMED = ("@card", "circle")
"""Hollow: the colours belong to the rungs."""


def history(findings: Findings) -> Plot | None:
    """Every score over the time of the search."""
    if not findings.records:
        return None
    data = [*_scores(findings), *_best_so_far(findings), *_confirmations(findings), *_unscored(findings)]
    scores = [float(record.score or 0.0) for record in findings.completed]
    return plot(
        "history",
        "Optimisation history",
        "Every trial when it ended. The line follows the best score of the search at the highest fidelity; "
        "trials of fewer epochs are not ranked with it. Trials without a score stand at the bottom edge.",
        data,
        {
            "xaxis": axis("elapsed time (minutes)", rangemode="tozero"),
            "yaxis": axis(f"{label(findings.objective)}, {better(findings.direction)}", **spread(scores)),
            "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        },
        height=440,
    )


def _minutes(records: Sequence[TrialRecord]) -> list[float]:
    return [record.elapsed_seconds / 60 for record in records]


def _scores(findings: Findings) -> Iterator[Data]:
    base = findings.baseline
    for epochs, style in rung_styles(findings.rungs).items():
        rung = [record for record in findings.searched if record.epochs == epochs]
        if rung:
            yield scatter(
                _minutes(rung),
                [record.score for record in rung],
                mode="markers",
                name=format_epochs(epochs),
                text=names(rung),
                marker=marker(style),
                hovertemplate="%{text}<br>%{y:.4f} at %{x:.1f} min",
            )
    if base is not None:
        end = max(1e-3, findings.seconds / 60)
        yield scatter(
            [0.0, end],
            [base.score, base.score],
            mode="lines",
            name=f"baseline {base.score:.4f}",
            line={"color": "@ink", "dash": "dash", "width": 1.5},
            hovertemplate="baseline %{y:.4f}",
        )
        yield scatter(
            _minutes([base]),
            [base.score],
            mode="markers",
            name="baseline",
            showlegend=False,  # the line has an entry
            marker={
                "symbol": "diamond-open",
                "size": 12,
                "color": "@ink",
                "line": {"width": 2, "color": "@ink"},
            },
            hovertemplate="%{y:.4f} at %{x:.1f} min",
        )


def _best_so_far(findings: Findings) -> Iterator[Data]:
    top = [record for record in findings.completed if record.role is not Role.CONFIRM]
    highest = max((record.epochs for record in top), default=0)
    top = sorted(
        (record for record in top if record.epochs == highest), key=lambda record: record.elapsed_seconds
    )
    if top:
        choose: Callable[[float, float], float] = max if findings.direction == "max" else min
        best = list(accumulate((float(record.score or 0.0) for record in top), choose))
        yield scatter(
            [*_minutes(top), findings.seconds / 60],
            [*best, best[-1]],
            mode="lines",
            name=f"best so far at {format_epochs(highest)}",
            line={"color": "@blue", "width": 2, "shape": "hv"},
            hovertemplate="best so far %{y:.4f}",
        )


def _confirmations(findings: Findings) -> Iterator[Data]:
    again = [record for record in findings.completed if record.role is Role.CONFIRM]
    if again:
        yield scatter(
            _minutes(again),
            [record.score for record in again],
            mode="markers",
            name="trained again with a fresh seed",
            text=names(again),
            marker=marker(CONFIRMED, 9, line={"width": 2, "color": "@ink"}),
            hovertemplate="%{text}<br>%{y:.4f} at %{x:.1f} min",
        )


def _unscored(findings: Findings) -> Iterator[Data]:
    for status, name, symbol, colour in ENDS:
        ended = [record for record in findings.records if record.status is status]
        if ended:
            yield scatter(
                _minutes(ended),
                [0.03] * len(ended),
                yaxis="y2",
                mode="markers",
                name=name,
                text=names(ended),
                marker={"symbol": symbol, "size": 9, "line": {"width": 2, "color": colour}},
                hovertemplate=f"%{{text}} {name}<br>%{{x:.1f}} min",
            )


def timeline(findings: Findings) -> Plot | None:
    """Which worker trained what, when."""
    if not findings.records:
        return None
    styles = rung_styles(findings.rungs)
    groups: list[tuple[str, list[TrialRecord], Data]] = [
        (
            format_epochs(epochs),
            [record for record in findings.completed if record.epochs == epochs],
            {"color": colour},
        )
        for epochs, (colour, _) in styles.items()
    ]
    for status, name, _, colour in ENDS:
        ended = [record for record in findings.records if record.status is status]
        shade = {"color": "@card", "pattern": {"shape": "/", "fgcolor": colour}}
        groups.append((name, ended, shade))
    workers = sorted({record.worker for record in findings.records})
    data = [_bars(name, records, shade) for name, records, shade in groups if records]
    return plot(
        "timeline",
        "Timeline by worker",
        "Each bar is one trial, from its start to its end. In a gap the worker trained nothing.",
        data,
        {
            "barmode": "overlay",
            "xaxis": axis("elapsed time (minutes)", rangemode="tozero"),
            "yaxis": axis(
                "worker",
                type="category",
                categoryorder="array",
                categoryarray=[label(worker) for worker in reversed(workers)],
            ),
        },
        height=min(150 + 42 * len(workers), 900),
    )


def _bars(name: str, records: Sequence[TrialRecord], shade: Data) -> Data:
    starts = [max(0.0, (record.elapsed_seconds - record.seconds) / 60) for record in records]
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": [label(record.worker) for record in records],
        "base": [round(start, 3) for start in starts],
        "x": [
            round(record.elapsed_seconds / 60 - start, 3)
            for record, start in zip(records, starts, strict=True)
        ],
        "text": names(records),
        "textposition": "none",
        "width": 0.6,
        "marker": {**shade, "line": {"width": 0.6 if len(records) < MAX_EDGED else 0, "color": "@card"}},
        "hovertemplate": "%{text}<br>%{x:.2f} min from %{base:.1f} min",
    }
