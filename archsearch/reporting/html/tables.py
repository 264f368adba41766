"""The tables of a search: the best trials of each rung, and failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archsearch.quantities import format_epochs, format_seconds
from archsearch.reporting.html.answer import score_text
from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.plots import count_text, value_text
from archsearch.standing import baseline_label
from archsearch.starting import origin
from archsearch.trials import Role, Status, TrialRecord

TOP = 10
LOWER = 5
"""Trials shown of every rung but the highest."""

MAX_MESSAGE = 600
MAX_NAMED = 5


@dataclass(frozen=True)
class Row:
    """One trial of a table."""

    rank: int
    trial: str
    mark: str
    """ "incumbent", "baseline", which known network it is or is near to; any of them, or nothing."""
    score: str
    confirmed: str
    """Mean of the fresh seeds and their scores; empty if it was not confirmed."""
    params: str
    macs: str
    seconds: str
    network: str
    """Empty if the hypermodel has no `Architecture`."""
    values: str


@dataclass(frozen=True)
class RungTable:
    """The best trials of one fidelity: those of different ones are never ranked together."""

    epochs: str
    num_trials: int
    rows: Sequence[Row]


def rung_tables(findings: Findings) -> Iterator[RungTable]:
    """From the highest rung; the baseline's row is always there."""
    for epochs in reversed(findings.rungs):
        rung = [
            record
            for record in findings.completed
            if record.epochs == epochs and record.role is not Role.CONFIRM
        ]
        rung.sort(key=lambda record: record.score or 0.0, reverse=findings.direction == "max")
        num = TOP if epochs == findings.rungs[-1] else LOWER
        kept = (findings.baseline, findings.incumbent)
        rows = [
            _row(findings, rank, record)
            for rank, record in enumerate(rung, start=1)
            if rank <= num or record in kept
        ]
        if rows:
            yield RungTable(format_epochs(epochs), len(rung), rows)


def _row(findings: Findings, rank: int, record: TrialRecord) -> Row:
    confirmation = findings.confirmations.get(record.trial_id)
    marks = []
    if record is findings.incumbent:
        marks.append("incumbent")
    if record is findings.baseline:
        marks.append(baseline_label(record))
    elif known := origin(record, findings.stored):
        marks.append(known)
    confirmed = ""
    if confirmation is not None:
        scores = ", ".join(score_text(score) for score in confirmation.scores)
        confirmed = f"{score_text(confirmation.mean)} ({scores})"
    return Row(
        rank=rank,
        trial=record.trial_id,
        mark=", ".join(marks),
        score=score_text(record.score),
        confirmed=confirmed,
        params=count_text(record.params) if record.params is not None else "",
        macs=count_text(record.macs) if record.macs is not None else "",
        seconds=format_seconds(record.seconds),
        network=record.network_text,
        values=", ".join(f"{name} {value_text(value)}" for name, value in record.hyperparameters.items()),
    )


@dataclass(frozen=True)
class Failure:
    """Trials that ended without a score for the same reason."""

    status: str
    count: int
    reason: str
    trials: str


def failures(findings: Findings) -> list[Failure]:
    """The most frequent reason first."""
    groups: dict[tuple[Status, str], list[str]] = {}
    for record in findings.records:
        if record.status is not Status.COMPLETED:
            reason = (record.message or "no reason was recorded")[:MAX_MESSAGE]
            groups.setdefault((record.status, reason), []).append(record.trial_id)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [
        Failure(
            "failed" if status is Status.FAILED else "out of time",
            len(trials),
            reason,
            ", ".join(trials[:MAX_NAMED]) + (", …" if len(trials) > MAX_NAMED else ""),
        )
        for (status, reason), trials in ordered
    ]
