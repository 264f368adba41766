"""Learning curves: of all trials of a rung, and of single networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archsearch.quantities import format_epochs
from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.plots import Data, Plot, View, axis, label, names, scatter, spread
from archsearch.trials import Role, TrialRecord

MAX_CURVES = 300
"""Of one rung; beyond, those that ended first."""


def learning_curves(findings: Findings) -> Plot | None:
    """The objective over the epochs, a view for each rung; one epoch has no curve."""
    metric = _metric(findings)
    rungs = [epochs for epochs in reversed(findings.rungs) if epochs > 1]
    views = [view for epochs in rungs if (view := _rung_curves(findings, epochs, metric)) is not None]
    if not views:
        return None
    return Plot(
        "curves",
        "Learning curves by rung",
        "One line a trial, each under its own complete learning-rate schedule. The thick line is the "
        "incumbent, or on a lower rung the trial of the same values.",
        views,
        height=440,
    )


def _metric(findings: Findings) -> str:
    """That the curves show: the objective, if the epochs hold it."""
    held = {name for record in findings.completed for name in (record.curve or ({},))[-1]}
    known = [name for name in (findings.objective, "val_accuracy", "val_loss") if name in held]
    return next(iter([*known, *sorted(held)]), findings.objective)


def _rung_curves(findings: Findings, epochs: int, metric: str) -> View | None:
    rung = [record for record in findings.completed if record.epochs == epochs and record.curve]
    others = [record for record in rung if record.role is Role.SEARCH]
    again = [record for record in rung if record.role is Role.CONFIRM]
    leading = [record for record in rung if record.trial_id in findings.incumbent_line]
    groups: tuple[tuple[str, list[TrialRecord], Data], ...] = (
        ("trials", others[:MAX_CURVES], {"color": "@faint", "width": 1}),
        ("trained again", again, {"color": "@orange", "width": 1.5, "dash": "dot"}),
        (
            "baseline",
            [record for record in rung if record is findings.baseline],
            {"color": "@ink", "width": 2.5, "dash": "dash"},
        ),
        (
            "incumbent",
            [record for record in leading if record is not findings.baseline],
            {"color": "@blue", "width": 3.5},
        ),
    )
    data = [_lines(name, records, line, metric) for name, records, line in groups if records]
    values = [value for trace in data for value in trace["y"] if value is not None]
    if not values:
        return None
    left_out = f", {MAX_CURVES} drawn" if len(others) > MAX_CURVES else ""
    layout = {
        "xaxis": _epochs(epochs),
        "yaxis": axis(label(metric), **spread(values)),
    }
    return View(f"{format_epochs(epochs)} (n = {len(rung)}{left_out})", data, layout)


def _lines(name: str, records: Sequence[TrialRecord], line: Data, metric: str) -> Data:
    """Many curves as one trace, apart by gaps: far quicker to draw than a trace each."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for record, shown in zip(records, names(records), strict=True):
        x += [*range(1, len(record.curve) + 1), None]
        y += [*(epoch.get(metric) for epoch in record.curve), None]
        text += [shown] * (len(record.curve) + 1)
    return scatter(
        x,
        y,
        mode="lines",
        name=name,
        text=text,
        line=line,
        hovertemplate=f"{name} %{{text}}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
    )


def _epochs(number: int) -> Data:
    """The axis: no parts of an epoch, and room at both ends."""
    room = 0.2 if number <= 10 else 0.02 * number
    return axis("epoch", dtick=1 if number <= 10 else None, range=[1 - room, number + room])


def two_curves(name: str, title: str, caption: str, curves: Mapping[str, Sequence[Data]]) -> Plot | None:
    """Training and validation, loss and accuracy, of one or two networks.

    Args:
        name, title, caption: Of the plot.
        curves: By the network's name, epoch for epoch.
    """
    views = []
    for metric in ("accuracy", "loss"):
        data = [
            scatter(
                list(range(1, len(curve) + 1)),
                [epoch.get(f"{part}{metric}") for epoch in curve],
                mode="lines+markers",
                name=f"{label(network)}, {'validation' if part else 'training'}",
                line={"color": colour, "dash": "solid" if part else "dot", "width": 2.5 if part else 2},
                marker={"size": 4},
                hovertemplate="epoch %{x}: %{y:.4f}",
            )
            for (network, curve), colour in zip(curves.items(), ("@blue", "@ink"), strict=False)
            for part in ("val_", "")
            if any(epoch.get(f"{part}{metric}") is not None for epoch in curve)
        ]
        if data:
            longest = max(len(curve) for curve in curves.values())
            layout = {"xaxis": _epochs(longest), "yaxis": axis(metric)}
            views.append(View(metric, data, layout))
    return Plot(name, title, caption, views) if views else None
