"""Who leads a search, by how much, and whether its low fidelities could be trusted: from the records."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archsearch.class_measures import CLASS_OBJECTIVES, ERROR
from archsearch.plan import CONFIRM_SEEDS
from archsearch.trials import Role, Status, TrialRecord
from space.sampling import width_of

CONFIDENCE = 0.95

MEASURES = {
    "val_accuracy": "accuracy",
    "val_balanced_accuracy": "balanced accuracy",
    "val_macro_f1": "macro F1",
}
"""In which a lift is told, for a person."""

MIN_PAIRS = 3
"""Of trials in two rungs, before their order says anything: of two it is always the same or the opposite."""


def baseline(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The completed baseline, or `None`."""
    for record in records:
        if record.role is Role.BASELINE and record.status is Status.COMPLETED:
            return record
    return None


def baseline_label(record: TrialRecord) -> str:
    """What the baseline is called where there is little room; a narrowed one says so."""
    width = width_of(record.hyperparameters) if record.architecture is not None else None
    return "baseline" if width in (None, 1.0) else f"baseline at width {width:.2f}"


def incumbent(records: Sequence[TrialRecord], direction: str) -> TrialRecord | None:
    """The trial whose network is the best found, the baseline included; `None` if nothing completed.

    Once confirmed, that of the best confirmed mean. Before, the best completed trial of the highest fidelity
    reached: scores of different fidelities are never ranked together. Of equals the first in the plan wins.
    """
    ranked = [(each.mean, each.trial) for each in confirmations(records)]
    if not ranked:
        scored = [
            (record.score, record)
            for record in records
            if record.role is not Role.CONFIRM
            and record.status is Status.COMPLETED
            and record.score is not None
        ]
        highest = max((record.epochs for _, record in scored), default=0)
        ranked = [pair for pair in scored if pair[1].epochs == highest]
        ranked.sort(key=lambda pair: pair[1].plan_order)
    choose = max if direction == "max" else min  # both keep the first of equals
    return choose(ranked, key=lambda pair: pair[0])[1] if ranked else None


@dataclass(frozen=True)
class Confirmation:
    """One network, trained again with fresh seeds after the search."""

    trial: TrialRecord
    """That was confirmed: of the search, or the baseline."""
    repeats: tuple[TrialRecord, ...]
    """All completed."""

    @property
    def scores(self) -> tuple[float, ...]:
        return tuple(record.score for record in self.repeats if record.score is not None)

    @property
    def mean(self) -> float:
        """Of the scores."""
        return statistics.fmean(self.scores)


def confirmations(records: Sequence[TrialRecord]) -> list[Confirmation]:
    """The networks that were confirmed, once they can be compared; the baseline first, then as in the plan.

    That is when the baseline and one network of the search have been trained with all their seeds. A
    network that failed with one of its seeds is not confirmed; the baseline alone wins nothing.
    """
    trials = {record.trial_id: record for record in records}
    repeats: dict[str, list[TrialRecord]] = defaultdict(list)
    for record in records:
        if record.role is Role.CONFIRM and record.parent_trial_id in trials:
            repeats[record.parent_trial_id].append(record)
    ended = {
        trial_id: each
        for trial_id, each in repeats.items()
        if len(each) == CONFIRM_SEEDS and all(record.status is not Status.TIMED_OUT for record in each)
    }
    base = baseline(records)
    searched = [trial_id for trial_id in ended if trials[trial_id].role is Role.SEARCH]
    searched.sort(key=lambda trial_id: trials[trial_id].plan_order)  # not as they ended
    if not searched or (base is not None and base.trial_id not in ended):
        return []
    first = [] if base is None else [base.trial_id]
    found = [
        Confirmation(trials[trial_id], tuple(ended[trial_id]))
        for trial_id in (*first, *searched)
        if all(record.status is Status.COMPLETED for record in ended[trial_id])
    ]
    return found if any(each.trial.role is Role.SEARCH for each in found) else []


@dataclass(frozen=True)
class Lift:
    """How much better the incumbent classifies the validation split than the baseline does."""

    points: float
    """Difference of the accuracies in percentage points."""
    low: float
    high: float
    """Ends of the 95 % interval, in points."""
    num_images: int
    """Of the validation split."""
    num_seeds: int
    """Fresh ones, that each network was trained with; 0: not confirmed, only the scores of the search, by
    which the incumbent was chosen."""
    measure: str = "accuracy"
    """What the points are of: "accuracy", "balanced accuracy" or "macro F1"."""

    @property
    def found(self) -> bool:
        """Whether the interval is above zero, so that it is worth calling a difference."""
        return self.low > 0

    def __str__(self) -> str:
        seeds = f"{self.num_seeds} seeds" if self.num_seeds else "of the split alone; not confirmed"
        of = "" if self.measure == "accuracy" else f" of {self.measure}"
        detail = f"{self.points:+.1f} points{of} (95 % interval {self.low:.1f} to {self.high:.1f}, {seeds})"
        if self.high < 0:
            return f"worse: {detail}"
        return detail if self.found else f"no difference found: {detail}"


def lift(
    records: Sequence[TrialRecord], direction: str, num_images: int, objective: str = "val_accuracy"
) -> Lift | None:
    """The incumbent's lift over the baseline, in what is optimised; in accuracy where that is a loss.

    `None` if one of the two is missing, if they are the same, were trained to different fidelities, or were
    not measured so.

    Args:
        records: Of the whole search.
        direction: "max" or "min".
        num_images: Of the validation split.
        objective: Of the search.
    """
    measure = objective if objective in CLASS_OBJECTIVES else "val_accuracy"
    best, base = incumbent(records, direction), baseline(records)
    if best is None or base is None or best is base:
        return None
    confirmed = confirmations(records)
    if confirmed:
        return _confirmed_lift(confirmed, best, base, num_images, measure)
    if best.epochs != base.epochs:
        return None
    (p, p_error), (q, q_error) = (_measured([record], measure, num_images) for record in (best, base))
    if p is None or q is None:
        return None
    half = _normal_quantile(num_comparisons=1) * math.hypot(p_error, q_error)
    return _lift(p - q, half, num_images=num_images, num_seeds=0, measure=measure)


def _confirmed_lift(
    confirmed: Sequence[Confirmation],
    best: TrialRecord,
    base: TrialRecord,
    num_images: int,
    measure: str,
) -> Lift | None:
    """From the confirmations alone: the scores of the search chose, so they are biased upwards.

    The deviation between seeds is pooled over all confirmed networks. The interval is widened after
    Bonferroni for the number of networks of which the confirmed mean chose one, and is never narrower than
    the sampling error of the split, on which all are judged: of accuracy the binomial one.
    """
    values = {each.trial.trial_id: [_value(record, measure) for record in each.repeats] for each in confirmed}
    known = {
        trial_id: [value for value in values if value is not None] for trial_id, values in values.items()
    }
    if known != values or base.trial_id not in known:
        return None
    repeats = {each.trial.trial_id: each.repeats for each in confirmed}
    (p, p_error), (q, q_error) = (
        _measured(repeats[record.trial_id], measure, num_images) for record in (best, base)
    )
    if p is None or q is None:
        return None
    comparisons = len(known) - 1
    freedom = sum(len(values) - 1 for values in known.values())
    squares = sum(statistics.variance(values) * (len(values) - 1) for values in known.values())
    deviation = math.sqrt(squares / freedom)
    error = deviation * math.sqrt(sum(1 / len(known[record.trial_id]) for record in (best, base)))
    half = max(
        _t_quantile(comparisons, freedom) * error,
        _normal_quantile(comparisons) * math.hypot(p_error, q_error),
    )
    return _lift(p - q, half, num_images=num_images, num_seeds=CONFIRM_SEEDS, measure=measure)


def _lift(difference: float, half: float, *, num_images: int, num_seeds: int, measure: str) -> Lift:
    return Lift(
        points=100 * difference,
        low=100 * (difference - half),
        high=100 * (difference + half),
        num_images=num_images,
        num_seeds=num_seeds,
        measure=MEASURES[measure],
    )


def _value(record: TrialRecord, measure: str) -> float | None:
    """Of the last epoch."""
    return record.curve[-1].get(measure) if record.curve else None


def _measured(records: Sequence[TrialRecord], measure: str, num_images: int) -> tuple[float | None, float]:
    """The mean of one network's trainings, and its standard error over the drawing of the validation images.

    All are judged on the same images, so that the mean's error is that of one. Two networks are as well: to
    take their errors as independent is a little too careful.
    """
    values = [value for record in records if (value := _value(record, measure)) is not None]
    if len(values) < len(records):
        return None, 0.0
    mean = statistics.fmean(values)
    if measure == "val_accuracy":
        return mean, math.sqrt(mean * (1 - mean) / num_images)
    errors = [error for record in records if (error := _value(record, measure + ERROR)) is not None]
    if len(errors) < len(records):
        return None, 0.0
    return mean, math.sqrt(statistics.fmean(error**2 for error in errors))


def _two_sided(num_comparisons: int) -> float:
    return 1 - (1 - CONFIDENCE) / (2 * num_comparisons)


def _normal_quantile(num_comparisons: int) -> float:
    return statistics.NormalDist().inv_cdf(_two_sided(num_comparisons))


def _t_quantile(num_comparisons: int, freedom: int) -> float:
    from scipy.special import stdtrit  # a third of a second, which most callers do not need

    return float(stdtrit(freedom, _two_sided(num_comparisons)))


@dataclass(frozen=True)
class RankCorrelation:
    """Whether a rung ordered its trials as the next one did."""

    epochs: int
    """Of the lower rung."""
    next_epochs: int
    num_trials: int
    """That completed in both; they are the best of the lower one, so their order is the harder to tell."""
    rho: float
    """Spearman's, -1 to 1: near 1 the fewer epochs could be trusted."""

    def __str__(self) -> str:
        return (
            f"rank correlation between {self.epochs} and {self.next_epochs} epochs: {self.rho:+.2f} "
            f"over {self.num_trials} trials"
        )


def rank_correlations(records: Sequence[TrialRecord]) -> list[RankCorrelation]:
    """Between neighbouring rungs, over all brackets; none where fewer than 3 trials are in both."""
    trials = {record.trial_id: record for record in records}
    pairs: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for record in records:
        parent = trials.get(record.parent_trial_id or "")
        if record.role is Role.SEARCH and parent is not None and None not in (parent.score, record.score):
            scores = float(parent.score or 0.0), float(record.score or 0.0)
            pairs[parent.epochs, record.epochs].append(scores)
    return [
        RankCorrelation(*rungs, len(scores), rho)
        for rungs, scores in sorted(pairs.items())
        if len(scores) >= MIN_PAIRS and (rho := _spearman(scores)) is not None
    ]


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """`None` where all of one side are equal."""
    from scipy.stats import spearmanr  # a second, likewise

    below, above = zip(*pairs, strict=True)
    if len(set(below)) == 1 or len(set(above)) == 1:
        return None
    return float(spearmanr(below, above).statistic)
