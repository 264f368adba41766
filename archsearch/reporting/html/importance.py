"""How much each hyperparameter matters for the score: scikit-learn's permutation importance."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.reporting.html.hyperparameters import Axis
from archsearch.trials import TrialRecord

MIN_TRIALS = 12
"""Below this a forest has nothing to learn from."""

FOLDS = 3
REPEATS = 3
TREES = 30
MAX_TRIALS = 2000
"""The first ones; more make it slow, not better."""


@dataclass(frozen=True)
class Importances:
    """Of all hyperparameters, on one rung."""

    epochs: int
    """Of the rung."""
    num_trials: int
    explained: float
    """Share of the variance of the ranks that the forest predicts for trials it has not seen; at most 1."""
    means: dict[str, float]
    """By hyperparameter, the largest first: how much of that share is lost when its values are shuffled."""
    deviations: dict[str, float]


def importances(trials: Sequence[TrialRecord], axes: Sequence[Axis]) -> Importances | None:
    """On the most populated rung; `None` if that has fewer than 12 trials, or all its scores are equal.

    A random forest predicts the rank of the score (a loss that diverged has a rank like any other), and is
    judged on the third of the trials that it has not seen. An inactive value counts as its default, so that
    a hyperparameter is not credited with what switches it off.

    Args:
        trials: Completed ones of the search.
        axes: Of the hyperparameters.
    """
    populations = {record.epochs: 0 for record in trials}
    for record in trials:
        populations[record.epochs] += 1
    epochs = max(populations, key=lambda rung: (populations[rung], rung), default=0)
    rung = [record for record in trials if record.epochs == epochs][:MAX_TRIALS]
    scores = [record.score for record in rung if record.score is not None]
    if len(rung) < MIN_TRIALS or len(set(scores)) < 2 or not axes:
        return None
    columns = [_column(rung, axis) for axis in axes]
    explained, drops = _permuted(columns, scores)
    means = {axis.name: statistics.fmean(each) for axis, each in zip(axes, drops, strict=True)}
    deviations = {axis.name: statistics.stdev(each) for axis, each in zip(axes, drops, strict=True)}
    order = sorted(means, key=lambda name: -means[name])
    return Importances(epochs, len(rung), explained, {name: means[name] for name in order}, deviations)


def _column(rung: Sequence[TrialRecord], axis: Axis) -> list[float]:
    places = [axis.place_in(record.hyperparameters) for record in rung]
    default = axis.place(axis.default)
    if default is None:
        default = statistics.median_low([place for place in places if place is not None] or [0.0])
    return [default if place is None else place for place in places]


def _permuted(columns: Sequence[Sequence[float]], scores: Sequence[float]) -> tuple[float, list[list[float]]]:
    """The mean score on unseen trials, and by column its drops over all folds and repeats."""
    import numpy as np  # scikit-learn takes two seconds to load
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    x, y = np.array(columns).T, rankdata(scores)
    explained: list[float] = []
    drops: list[list[float]] = [[] for _ in columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fold whose scores are all equal has no share to explain
        for seen, unseen in KFold(FOLDS, shuffle=True, random_state=0).split(x):
            forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0, n_jobs=1)
            forest.fit(x[seen], y[seen])
            explained.append(float(forest.score(x[unseen], y[unseen])))
            result = permutation_importance(
                forest, x[unseen], y[unseen], n_repeats=REPEATS, random_state=0, n_jobs=1
            )
            for column, values in zip(drops, result.importances, strict=True):
                column.extend(float(value) for value in values)
    return statistics.fmean(explained), drops
