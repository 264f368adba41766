"""Plots of what accuracy costs, and of whether fewer epochs ranked the networks as more did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

from archsearch.class_measures import CLASS_OBJECTIVES
from archsearch.quantities import format_epochs
from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.plots import (
    Data,
    Plot,
    axis,
    better,
    label,
    log_axis,
    marker,
    names,
    plot,
    rung_styles,
    scatter,
    spread,
)
from archsearch.trials import Role, TrialRecord

Cost = Literal["macs", "params"]

TITLES: dict[Cost, tuple[str, str]] = {
    "macs": ("Accuracy against macs", "multiply-adds per image, log scale"),
    "params": ("Accuracy against weights", "weights, log scale"),
}


def cost_plots(findings: Findings) -> list[Plot]:
    """One for the macs and one for the weights, where they are known."""
    return [found for cost in TITLES if (found := _cost_plot(findings, cost)) is not None]


def _quality(findings: Findings) -> tuple[str, str, dict[str, float]]:
    """What stands for accuracy: its name, its direction, its value by trial."""
    accuracies = {record.trial_id: record.val_accuracy for record in findings.completed}
    known = {trial_id: value for trial_id, value in accuracies.items() if value is not None}
    if known and len(known) == len(accuracies) and findings.objective not in CLASS_OBJECTIVES:
        return "val_accuracy", "max", known
    scores = {record.trial_id: float(record.score or 0.0) for record in findings.completed}
    return findings.objective, findings.direction, scores


def _cost_plot(findings: Findings, cost: Cost) -> Plot | None:
    metric, direction, quality = _quality(findings)
    trials = [
        record for record in findings.completed if record.role is not Role.CONFIRM and getattr(record, cost)
    ]
    if not trials:
        return None
    highest = max(record.epochs for record in trials)
    data: list[Data] = []
    for epochs, style in rung_styles(findings.rungs).items():
        rung = [record for record in trials if record.epochs == epochs and record.role is Role.SEARCH]
        faint = {} if epochs == highest else {"opacity": 0.45}
        if rung:
            data.append(_points(rung, format_epochs(epochs), cost, quality, marker(style, **faint)))
    front = pareto_front([record for record in trials if record.epochs == highest], cost, quality, direction)
    widest = max(getattr(record, cost) for record in trials)
    data.append(_front(front, highest, cost, quality, widest))
    data += _leaders(findings, cost, quality)
    return plot(
        f"cost-{cost}",
        TITLES[cost][0],
        f"The line is the Pareto front at {format_epochs(highest)}: no trial does better at the same or a "
        "smaller cost. Trials of fewer epochs are pale, and not ranked with it.",
        data,
        {
            "xaxis": log_axis(TITLES[cost][1], [getattr(record, cost) for record in trials]),
            "yaxis": axis(f"{label(metric)}, {better(direction)}", **spread(list(quality.values()))),
        },
        height=430,
    )


def _leaders(findings: Findings, cost: Cost, quality: dict[str, float]) -> Iterator[Data]:
    """The baseline and the incumbent, larger than the others."""
    base, best = findings.baseline, findings.incumbent
    if base is not None and getattr(base, cost):
        line = {"width": 2.5, "color": "@ink"}
        style: Data = {"symbol": "diamond-open", "size": 15, "color": "@ink", "line": line}
        yield _points([base], "baseline", cost, quality, style)
    if best is not None and best is not base and getattr(best, cost):
        yield _points([best], "incumbent", cost, quality, marker(("@blue", "star"), 16))


def pareto_front(
    trials: Sequence[TrialRecord], cost: Cost, quality: dict[str, float], direction: str
) -> list[TrialRecord]:
    """The trials than which none is both better and no more costly, from the cheapest."""
    sign = 1 if direction == "max" else -1
    front: list[TrialRecord] = []
    for record in sorted(trials, key=lambda each: (getattr(each, cost), -sign * quality[each.trial_id])):
        if not front or sign * quality[record.trial_id] > sign * quality[front[-1].trial_id]:
            front.append(record)
    return front


def _front(
    front: Sequence[TrialRecord], epochs: int, cost: Cost, quality: dict[str, float], widest: int
) -> Data:
    """To the right edge, or a front of one trial would be no line."""
    best = [quality[record.trial_id] for record in front]
    return scatter(
        [*(getattr(record, cost) for record in front), widest],
        [*best, best[-1]],
        mode="lines",
        name=f"Pareto front at {format_epochs(epochs)}",
        line={"color": "@vermillion", "width": 2, "shape": "hv"},
        hoverinfo="skip",
    )


def _points(
    records: Sequence[TrialRecord], name: str, cost: Cost, quality: dict[str, float], style: Data
) -> Data:
    return scatter(
        [getattr(record, cost) for record in records],
        [quality[record.trial_id] for record in records],
        mode="markers",
        name=name,
        text=names(records),
        marker=style,
        hovertemplate=f"%{{text}}<br>%{{y:.4f}} at %{{x:.4s}} {cost if cost == 'macs' else 'weights'}",
    )


def rank_plots(findings: Findings) -> list[Plot]:
    """For each pair of neighbouring rungs the scores of the trials that were promoted."""
    trials = {record.trial_id: record for record in findings.completed}
    pairs: dict[tuple[int, int], list[tuple[TrialRecord, TrialRecord]]] = defaultdict(list)
    for record in findings.searched:
        parent = trials.get(record.parent_trial_id or "")
        if parent is not None:
            pairs[parent.epochs, record.epochs].append((parent, record))
    return [_rank_plot(findings, *rungs, pairs[rungs]) for rungs in sorted(pairs)]


def _rank_plot(
    findings: Findings, low: int, high: int, pairs: Sequence[tuple[TrialRecord, TrialRecord]]
) -> Plot:
    correlation = findings.rank_correlations.get((low, high))
    value = f"Spearman's ρ = {correlation.rho:+.2f}" if correlation else "too few trials for a correlation"
    below = [float(parent.score or 0.0) for parent, _ in pairs]
    above = [float(record.score or 0.0) for _, record in pairs]
    points = scatter(
        below,
        above,
        mode="markers",
        text=names(record for _, record in pairs),
        marker=marker(rung_styles(findings.rungs)[high]),
        hovertemplate="%{text}<br>%{x:.4f} then %{y:.4f}<extra></extra>",
    )
    objective = label(findings.objective)
    return plot(
        f"rank-{low}-{high}",
        f"{low} → {format_epochs(high)}",
        f"{value}, n\u00a0=\u00a0{len(pairs)}",
        [points],
        {
            "showlegend": False,
            "xaxis": axis(f"{objective}, {format_epochs(low)}", **spread(below)),
            "yaxis": axis(f"{objective}, {format_epochs(high)}", **spread(above)),
        },
        height=320,
    )
