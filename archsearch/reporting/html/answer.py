"""The answer in one sentence, what it is worth, and the figures that go with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archsearch.quantities import format_epochs, format_seconds
from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.plots import count_text
from archsearch.standing import Lift
from archsearch.trials import Role, TrialRecord


@dataclass(frozen=True)
class Answer:
    """What stands at the top of the report."""

    sentence: str
    worth: str
    """On what it rests."""
    found: bool
    """Whether another structure did better, beyond doubt."""


@dataclass(frozen=True)
class Tile:
    """One figure, with what it is and what it compares with."""

    title: str
    value: str
    note: str


def answer(findings: Findings) -> Answer:
    """Of a search in any state."""
    best, base = findings.incumbent, findings.baseline
    if best is None:
        ended = len(findings.records)
        sentence = "No trial has succeeded yet." if ended else "No trial has ended yet."
        if ended and findings.finished:
            sentence = "No trial succeeded."
        return Answer(sentence, f"{_trials(ended)} ended without a score." if ended else "", found=False)
    if best is base:
        return Answer(*_baseline_leads(findings), found=False)
    what = f"The best network found reaches {findings.objective} {score_text(best.score)}"
    if base is None:
        return Answer(f"{what}; there is no baseline to compare it with yet.", "", found=False)
    if findings.lift is None:
        return Answer(*_not_comparable(findings, what, best, base), found=False)
    lift = findings.lift
    return Answer(_lift_sentence(findings, lift), _worth(lift), found=lift.found)


def state(findings: Findings) -> str:
    """Whether more is to come; empty where that is not known."""
    ended = f"{_trials(len(findings.records))} ended"
    if findings.num_planned:  # failed trials are drawn again, so more can end than were planned
        ended = f"{len(findings.completed)} of {findings.num_planned} planned trials completed"
    if findings.running:
        return f"The search is running; {ended} when this was written. Load it again later."
    if findings.finished is None:
        return ""
    if findings.finished:
        return f"The search is finished: {ended}."
    return f"The search was interrupted: {ended}; the same command, without --overwrite, continues it."


def _baseline_leads(findings: Findings) -> tuple[str, str]:
    others = [record for record in findings.completed if record.role is Role.SEARCH]
    if not others:
        return f"So far only {findings.baseline_name} has been trained.", ""
    if findings.confirmations:
        return f"No structure did better than {findings.baseline_name}.", "Confirmed with fresh seeds."
    highest = max(record.epochs for record in others)
    if findings.baseline is not None and highest < findings.baseline.epochs:
        missing = f"No other trial has completed {format_epochs(findings.baseline.epochs)} yet."
        return f"No structure can be compared with {findings.baseline_name} yet.", missing
    return (
        f"No structure did better than {findings.baseline_name}.",
        "By the scores of the search; not confirmed.",
    )


def _not_comparable(findings: Findings, what: str, best: TrialRecord, base: TrialRecord) -> tuple[str, str]:
    if best.epochs != base.epochs and not findings.confirmations:
        why = f"They were trained for {format_epochs(best.epochs)} and {format_epochs(base.epochs)}."
        return f"{what}; it cannot be compared with {findings.baseline_name}.", why
    scores = {
        record.trial_id: findings.confirmations[record.trial_id].mean
        if record.trial_id in findings.confirmations
        else record.score
        for record in (best, base)
    }
    sentence = (
        f"The best network found reaches {findings.objective} {score_text(scores[best.trial_id])}, "
        f"{findings.baseline_name} {score_text(scores[base.trial_id])}."
    )
    why = (
        "accuracy was not measured"
        if findings.num_validation
        else "the number of validation images is not known"
    )
    return sentence, f"Without an interval: {why}."


def _lift_sentence(findings: Findings, lift: Lift) -> str:
    interval = f"95\u00a0% interval {minus(f'{lift.low:.1f}')} to {minus(f'{lift.high:.1f}')}"
    points = f"{minus(f'{lift.points:+.1f}')} percentage points of validation {lift.measure}"
    if lift.found:
        return f"Another structure does better than {findings.baseline_name}: {points} ({interval})."
    if lift.high < 0:
        what = f"The incumbent by {findings.objective}"
        worse = "is less accurate than" if lift.measure == "accuracy" else "does worse than"
        return f"{what} {worse} {findings.baseline_name}: {points} ({interval})."
    return f"No difference found: {points} over {findings.baseline_name} ({interval})."


def _worth(lift: Lift) -> str:
    images = f"{lift.num_images:,} validation images"
    if lift.num_seeds:
        seeds = f"{lift.num_seeds} fresh seeds"
        return f"Confirmed: each network was trained again with {seeds}, and judged on {images}."
    return (
        f"Not confirmed: these are the scores by which the incumbent was chosen, on {images}, so the "
        "difference is likely to be smaller."
    )


def tiles(findings: Findings) -> Iterator[Tile]:
    """The few figures of the first screen."""
    best, base = findings.incumbent, findings.baseline
    if best is not None:
        yield _score_tile("incumbent" if best is not base else "incumbent: the baseline", findings, best)
    if base is not None and base is not best:
        yield _score_tile("baseline", findings, base)
    for final in findings.finals:
        accuracy = final.result.get("test_accuracy")
        if isinstance(accuracy, float):
            trial = final.result.get("trial_id")
            other = best is not None and trial not in (None, best.trial_id)
            note = f" of {trial}, not of the incumbent" if other else ""
            yield Tile(f"test accuracy, {final.name}", f"{accuracy:.4f}", f"after the final training{note}")
    if best is not None:
        for title, name in (("weights", "params"), ("macs per image", "macs")):
            value = getattr(best, name)
            if value:
                yield Tile(title, count_text(value), _ratio(value, base, name, best))
    completed = len(findings.completed)
    failed = len(findings.records) - completed
    planned = f"of {findings.num_planned} planned; " if findings.num_planned else ""
    yield Tile("trials completed", str(completed), f"{planned}{failed or 'none'} ended without a score")
    if findings.records:
        yield Tile("time of the search", format_seconds(findings.seconds), "to the end of the last trial")


def _score_tile(title: str, findings: Findings, record: TrialRecord) -> Tile:
    confirmation = findings.confirmations.get(record.trial_id)
    if confirmation is None:
        note = f"{findings.objective} of the search, {format_epochs(record.epochs)}"
        return Tile(title, score_text(record.score), note)
    seeds = f"mean of {len(confirmation.scores)} fresh seeds"
    note = f"{findings.objective}, {seeds}; in the search {score_text(record.score)}"
    return Tile(title, score_text(confirmation.mean), note)


def _ratio(value: float, base: TrialRecord | None, name: str, best: TrialRecord) -> str:
    of_base = getattr(base, name) if base is not None and base is not best else None
    return f"incumbent; {value / of_base:.2g} × the baseline's" if of_base else "incumbent"


# Figures as text.


def _trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number} trials"


def minus(number: str) -> str:
    """With a true minus sign."""
    return number.replace("-", "−")


def score_text(score: float | None) -> str:
    """At four decimals, as everywhere."""
    if score is None:
        return ""
    return f"{score:.4f}" if abs(score) < 1e4 else f"{score:.3g}"
