"""Who leads a search, by how much, and whether fewer epochs ordered networks as more did."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch.standing import (
    Lift,
    RankCorrelation,
    baseline,
    baseline_label,
    confirmations,
    incumbent,
    lift,
    rank_correlations,
)
from archsearch.trials import Role, Status, TrialRecord
from tests.records import NOWHERE, trial


def record(
    trial_id: str = "b2-r0-s0", score: float | None = 0.5, epochs: int = 1, **changes: Any
) -> TrialRecord:
    """Its accuracy is its score."""
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "score": score,
        "epochs": epochs,
        "bracket": 2,
        "seed": 7,
        "seconds": 1.5,
        "elapsed_seconds": 20.0,
        "curve": ({"val_accuracy": 0.0}, {"val_accuracy": score}) if score is not None else (),
    }
    return trial(**(values | changes))


def baseline_record(score: float | None, epochs: int = 9, **changes: Any) -> TrialRecord:
    return record("baseline", score, epochs, role=Role.BASELINE, **NOWHERE, **changes)


def repeats(of: str, *scores: float | None, **changes: Any) -> list[TrialRecord]:
    """Confirmations of a trial, one a score; `None` failed."""
    changes = {"role": Role.CONFIRM, "parent_trial_id": of, **NOWHERE} | changes
    return [record(f"{of}-c{number}", score, 9, **changes) for number, score in enumerate(scores, start=1)]


def name_of(found: TrialRecord | None) -> str | None:
    return None if found is None else found.trial_id


# The incumbent before anything is confirmed.


def test_no_records_have_no_incumbent() -> None:
    assert incumbent([], "max") is None


def test_incumbent_ignores_a_better_score_on_a_lower_rung() -> None:
    low, high = record("low", 0.9, 3), record("high", 0.1, 9)
    assert incumbent([low, high], "max") is high
    assert incumbent([high, low], "max") is high


@pytest.mark.parametrize(("direction", "best"), [("max", "b"), ("min", "a")])
def test_incumbent_follows_the_direction(direction: str, best: str) -> None:
    assert name_of(incumbent([record("a", 0.1), record("b", 0.9), record("c", 0.5)], direction)) == best


@pytest.mark.parametrize("direction", ["max", "min"])
def test_of_equals_the_first_in_the_plan_is_the_incumbent(direction: str) -> None:
    """In whatever order they ended: b2 comes before b0, and the baseline before all."""
    base = baseline_record(0.5)
    aggressive = record("b2-r2-s4", 0.5, iteration=0, bracket=2, rung=2, slot=4)
    full = record("b0-r0-s0", 0.5, iteration=0, bracket=0, rung=0, slot=0)
    assert incumbent([full, aggressive], direction) is aggressive
    assert incumbent([aggressive, full], direction) is aggressive
    assert incumbent([full, base, aggressive], direction) is base


def test_the_baseline_can_be_the_incumbent() -> None:
    base = baseline_record(0.6)
    assert incumbent([base, record("a", 0.9, 3), record("b", 0.5, 9)], "max") is base


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMED_OUT])
def test_what_did_not_complete_is_never_the_incumbent(status: Status) -> None:
    unfinished = record("unfinished", None, 27, status=status, curve=({"val_accuracy": 0.99},))
    done = record("done", 0.1, 1)
    assert incumbent([unfinished], "max") is None
    assert incumbent([unfinished, done], "max") is done


def test_a_score_of_zero_counts() -> None:
    zero = record("zero", 0.0)
    assert incumbent([zero], "min") is zero
    assert incumbent([record("one", 1.0), zero], "min") is zero


def test_a_completed_record_without_a_score_hides_no_other() -> None:
    assert incumbent([record("none", None, 9, status=Status.COMPLETED), record("a", 0.5, 3)], "max")


def test_baseline_is_the_completed_one() -> None:
    base = baseline_record(0.6)
    assert baseline([record("a"), base]) is base
    assert baseline([record("a"), baseline_record(None)]) is None


def test_a_narrowed_baseline_says_so() -> None:
    wide, narrow = {"width": 1.0}, {"width": 0.25}
    built_in = {"architecture": {"convs": [1]}}
    assert baseline_label(baseline_record(0.5, hyperparameters=wide, **built_in)) == "baseline"
    assert baseline_label(baseline_record(0.5, hyperparameters=narrow, **built_in)) == (
        "baseline at width 0.25"
    )
    # In a space of one's own `width` is its own word.
    assert baseline_label(baseline_record(0.5, hyperparameters=narrow)) == "baseline"
    for width in (32, "narrow"):
        own = baseline_record(0.5, hyperparameters={"width": width}, architecture={"stages": [1]})
        assert baseline_label(own) == "baseline"


# Confirmations.

SEARCHED = [baseline_record(0.60), record("a", 0.80, 9), record("b", 0.75, 9), record("low", 0.9, 3)]
"""By the scores of the search, "a" leads."""


def test_the_incumbent_has_the_best_confirmed_mean() -> None:
    """0.72 for "a" on average, 0.74 for "b"."""
    confirmed = [*repeats("baseline", 0.6, 0.62), *repeats("a", 0.7, 0.74), *repeats("b", 0.75, 0.73)]
    assert name_of(incumbent(SEARCHED + confirmed, "max")) == "b"


@pytest.mark.parametrize(("direction", "best"), [("max", "a"), ("min", "b")])
def test_the_best_mean_follows_the_direction(direction: str, best: str) -> None:
    confirmed = [*repeats("baseline", 0.5, 0.5), *repeats("a", 0.9, 0.7), *repeats("b", 0.3, 0.1)]
    assert name_of(incumbent(SEARCHED + confirmed, direction)) == best


def test_a_confirmed_baseline_can_be_the_incumbent() -> None:
    confirmed = [*repeats("baseline", 0.7, 0.72), *repeats("a", 0.7, 0.7)]
    assert name_of(incumbent(SEARCHED + confirmed, "max")) == "baseline"


def test_of_equal_means_the_baselines_counts() -> None:
    confirmed = [*repeats("a", 0.7, 0.7), *repeats("baseline", 0.6, 0.8)]
    assert name_of(incumbent(SEARCHED + confirmed, "max")) == "baseline"


def test_of_equal_means_the_first_in_the_plan_wins_whatever_ended_first() -> None:
    searched = [baseline_record(0.5), record("a", 0.8, 9, slot=0), record("b", 0.8, 9, slot=1)]
    ended = [*repeats("baseline", 0.6, 0.6), *repeats("b", 0.7, 0.75), *repeats("a", 0.75, 0.7)]
    for confirmed in (ended, ended[::-1]):
        assert name_of(incumbent([*searched, *confirmed], "max")) == "a"
        names = [each.trial.trial_id for each in confirmations([*searched, *confirmed])]
        assert names == ["baseline", "a", "b"]


def test_a_confirmation_is_never_the_incumbent_itself() -> None:
    """Before both seeds of the baseline and of one network are there, the search's own scores rank."""
    assert name_of(incumbent([*SEARCHED, *repeats("baseline", 0.99, 0.99)], "max")) == "a"
    assert name_of(incumbent([*SEARCHED, *repeats("b", 0.99, 0.99)], "max")) == "a"


@pytest.mark.parametrize(
    "incomplete",
    [
        [],
        repeats("baseline", 0.6, 0.6),
        [*repeats("baseline", 0.6, 0.6), *repeats("a", 0.7)],
        [*repeats("baseline", 0.6), *repeats("a", 0.7, 0.7)],
        repeats("a", 0.7, 0.7),
    ],
    ids=["none", "baseline only", "one seed of the network", "one seed of the baseline", "network only"],
)
def test_nothing_is_confirmed_until_it_can_be_compared(incomplete: list[TrialRecord]) -> None:
    assert confirmations(SEARCHED + incomplete) == []


def test_a_confirmation_out_of_time_is_not_there_yet() -> None:
    out_of_time = repeats("a", None, status=Status.TIMED_OUT)
    again = [*repeats("baseline", 0.6, 0.6), *repeats("a", 0.7, 0.7)[1:], *out_of_time]
    assert confirmations(SEARCHED + again) == []


def test_confirmations_have_the_baseline_first_and_means_by_hand() -> None:
    confirmed = [*repeats("b", 0.5, 0.7), *repeats("a", 0.7, 0.75), *repeats("baseline", 0.6, 0.7)]
    found = confirmations(SEARCHED + confirmed)
    assert [each.trial.trial_id for each in found] == ["baseline", "b", "a"]
    assert [each.scores for each in found] == [(0.6, 0.7), (0.5, 0.7), (0.7, 0.75)]
    assert [each.mean for each in found] == pytest.approx([0.65, 0.6, 0.725])
    assert [[one.trial_id for one in each.repeats] for each in found][1] == ["b-c1", "b-c2"]


def test_a_network_that_failed_with_a_fresh_seed_is_not_confirmed() -> None:
    confirmed = [*repeats("baseline", 0.6, 0.6), *repeats("a", 0.9, None), *repeats("b", 0.7, 0.7)]
    found = confirmations(SEARCHED + confirmed)
    assert [each.trial.trial_id for each in found] == ["baseline", "b"]
    assert name_of(incumbent(SEARCHED + confirmed, "max")) == "b"


def test_where_only_the_baseline_kept_its_score_nothing_is_confirmed() -> None:
    """It has won against nothing: the scores of the search rank, and are called what they are."""
    confirmed = [*repeats("baseline", 0.6, 0.6), *repeats("a", 0.9, None)]
    assert confirmations(SEARCHED + confirmed) == []
    assert name_of(incumbent(SEARCHED + confirmed, "max")) == "a"
    found = lift(SEARCHED + confirmed, "max", 100)
    assert found is not None
    assert found.num_seeds == 0


def test_without_a_completed_baseline_networks_are_confirmed_alone() -> None:
    records = [baseline_record(None), *SEARCHED[1:], *repeats("a", 0.7, 0.7), *repeats("b", 0.8, 0.8)]
    assert [each.trial.trial_id for each in confirmations(records)] == ["a", "b"]
    assert name_of(incumbent(records, "max")) == "b"
    assert lift(records, "max", 100) is None


# Lift that is not confirmed.


def unconfirmed(p: float, q: float, num_images: int, **changes: Any) -> Lift | None:
    return lift([baseline_record(q), record("a", p, 9, **changes)], "max", num_images)


def test_unconfirmed_lift_by_hand() -> None:
    """0.9 against 0.8 on 1,000 images: sqrt((0.09 + 0.16) / 1000) = 0.015811, times 1.959964 = 0.030990."""
    found = unconfirmed(0.9, 0.8, 1000)
    assert found is not None
    assert found.points == pytest.approx(10)
    assert (found.low, found.high) == pytest.approx((6.901, 13.099), abs=1e-3)
    assert (found.num_images, found.num_seeds) == (1000, 0)
    assert found.found
    assert str(found) == "+10.0 points (95 % interval 6.9 to 13.1, of the split alone; not confirmed)"


@pytest.mark.parametrize(
    ("low", "found"), [(0.001, True), (0.0, False), (-0.001, False), (-5.0, False), (3.0, True)]
)
def test_an_interval_above_zero_makes_a_difference(low: float, found: bool) -> None:
    one = Lift(points=4.0, low=low, high=8.0, num_images=100, num_seeds=2)
    assert one.found is found
    assert str(one).startswith("no difference found: +4.0 points (95 % interval ") is not found
    assert str(one).endswith("2 seeds)")


def test_an_interval_below_zero_is_worse_and_not_called_no_difference() -> None:
    """As the network of the best loss may classify fewer images correctly."""
    one = Lift(points=-3.0, low=-4.0, high=-2.0, num_images=100, num_seeds=2)
    assert str(one) == "worse: -3.0 points (95 % interval -4.0 to -2.0, 2 seeds)"
    touching = Lift(points=-2.0, low=-4.0, high=0.0, num_images=100, num_seeds=2)
    assert str(touching).startswith("no difference found: ")


def test_lift_counts_accuracy_whatever_the_objective() -> None:
    best = record("a", 0.2, 9, curve=({"val_accuracy": 0.75, "val_loss": 0.2},))
    base = baseline_record(0.4, curve=({"val_accuracy": 0.5, "val_loss": 0.4},))
    found = lift([base, best], "min", 100)
    assert found is not None
    assert found.points == pytest.approx(25)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [baseline_record(0.5)],
        [record("a", 0.5, 9)],
        [baseline_record(0.9), record("a", 0.5, 9)],
        [baseline_record(0.5, 3), record("a", 0.9, 9)],
        [baseline_record(0.5), record("a", 0.9, 9, curve=({"val_loss": 1.0},))],
        [baseline_record(0.5, curve=()), record("a", 0.9, 9)],
    ],
    ids=["nothing", "baseline", "no baseline", "the same", "fidelities", "no accuracy", "nor here"],
)
def test_what_cannot_be_compared_has_no_lift(records: list[TrialRecord]) -> None:
    assert lift(records, "max", 100) is None


# Lift from confirmations. Quantiles of t from a table of Bonferroni's (two-sided, 5 % over K comparisons):
# 2 degrees of freedom, K = 1: 4.303; 3 degrees, K = 2: 4.177; 4 degrees, K = 3: 3.961.


def test_the_lift_of_one_confirmed_network_by_hand() -> None:
    """Means 0.92 and 0.81. Variances 0.0008 and 0.0002, pooled 0.0005 with 2 degrees of freedom; so the error
    of the difference of two means of two is sqrt(0.0005), and 4.303 times that is 0.09622."""
    confirmed = [*repeats("baseline", 0.80, 0.82), *repeats("a", 0.90, 0.94)]
    found = lift(SEARCHED + confirmed, "max", 10_000)
    assert found is not None
    assert found.points == pytest.approx(11)
    assert (found.low, found.high) == pytest.approx((11 - 9.622, 11 + 9.622), abs=2e-3)
    assert (found.num_images, found.num_seeds) == (10_000, 2)
    assert str(found) == "+11.0 points (95 % interval 1.4 to 20.6, 2 seeds)"


def test_the_lift_of_the_best_of_two_by_hand() -> None:
    """Squares 0.0002, 0.0008 and 0.0005 of three networks are pooled: 0.0015 / 3 = 0.0005 again, with three
    degrees of freedom; of two networks one was chosen, so 4.177 times sqrt(0.0005) = 0.09340."""
    third = repeats("b", 0.80, 0.80 + 0.001**0.5)
    confirmed = [*repeats("baseline", 0.80, 0.82), *repeats("a", 0.90, 0.94), *third]
    found = lift(SEARCHED + confirmed, "max", 10_000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((11 - 9.340, 11 + 9.340), abs=2e-3)


def test_the_lift_of_the_best_of_three_by_hand() -> None:
    """Pooled 0.0020 / 4 = 0.0005, four degrees of freedom, K = 3: 3.961 times sqrt(0.0005) = 0.08857."""
    others = [*repeats("b", 0.80, 0.80 + 0.001**0.5), *repeats("c", 0.70, 0.70 + 0.001**0.5)]
    records = [*SEARCHED, record("c", 0.7, 9), *others]
    records += [*repeats("baseline", 0.80, 0.82), *repeats("a", 0.90, 0.94)]
    found = lift(records, "max", 10_000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((11 - 8.857, 11 + 8.857), abs=2e-3)


@pytest.mark.parametrize(("networks", "quantile"), [("a", 1.959964), ("ab", 2.241403)])
def test_seeds_that_agree_leave_the_error_of_the_split(networks: str, quantile: float) -> None:
    """Normal quantiles of 97.5 % and 98.75 % times sqrt((0.09 + 0.16) / 1000) = 0.0158114."""
    confirmed = [*repeats("baseline", 0.8, 0.8), *repeats("a", 0.9, 0.9)]
    confirmed += repeats("b", 0.7, 0.7) if "b" in networks else []
    found = lift(SEARCHED + confirmed, "max", 1000)
    assert found is not None
    half = 100 * quantile * 0.0158114
    assert (found.low, found.high) == pytest.approx((10 - half, 10 + half), abs=1e-3)


def test_the_scores_of_the_search_take_no_part_in_a_confirmed_lift() -> None:
    confirmed = [*repeats("baseline", 0.80, 0.82), *repeats("a", 0.90, 0.94)]
    others = [baseline_record(0.1), record("a", 0.99, 9)]
    assert lift(others + confirmed, "max", 500) == lift(SEARCHED + confirmed, "max", 500)


def test_a_confirmed_baseline_in_the_lead_has_no_lift_over_itself() -> None:
    confirmed = [*repeats("baseline", 0.9, 0.9), *repeats("a", 0.8, 0.8)]
    assert lift(SEARCHED + confirmed, "max", 100) is None


def test_a_baseline_that_failed_with_a_fresh_seed_leaves_no_lift() -> None:
    confirmed = [*repeats("baseline", 0.8, None), *repeats("a", 0.9, 0.9)]
    assert lift(SEARCHED + confirmed, "max", 100) is None


def test_confirmations_without_accuracy_have_no_lift() -> None:
    losses = {"curve": ({"val_loss": 0.5},)}
    confirmed = [*repeats("baseline", 0.8, 0.8), *repeats("a", 0.9, 0.9, **losses)]
    assert lift(SEARCHED + confirmed, "max", 100) is None


def test_the_lift_of_a_loss_is_of_the_network_with_the_best_confirmed_loss() -> None:
    def losses(of: str, loss: float, accuracy: float) -> list[TrialRecord]:
        return repeats(of, loss, loss, curve=({"val_accuracy": accuracy, "val_loss": loss},))

    confirmed = [*losses("baseline", 0.5, 0.8), *losses("a", 0.4, 0.9), *losses("b", 0.3, 0.85)]
    found = lift(SEARCHED + confirmed, "min", 100)
    assert found is not None
    assert found.points == pytest.approx(5)


# Of measures in which every class counts alike.


def counted(value: float, error: float, **others: float) -> dict[str, Any]:
    """A curve whose balanced accuracy and its error are these."""
    measures = {"val_balanced_accuracy": value, "val_balanced_accuracy_error": error, "val_accuracy": 0.9}
    return {"curve": (measures | others,)}


def test_the_lift_of_balanced_accuracy_has_the_error_that_its_epochs_reported() -> None:
    """0.03 and 0.04 make 0.05; 1.959964 times that is 9.8 points."""
    records = [baseline_record(0.6, **counted(0.6, 0.03)), record("a", 0.8, 9, **counted(0.8, 0.04))]
    found = lift(records, "max", 100, "val_balanced_accuracy")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((20 - 9.79982, 20 + 9.79982), abs=1e-4)
    assert str(found) == (
        "+20.0 points of balanced accuracy (95 % interval 10.2 to 29.8, of the split alone; not confirmed)"
    )


def test_the_lift_of_macro_f1_is_told_as_such() -> None:
    def f1(value: float) -> dict[str, Any]:
        return {"curve": ({"val_macro_f1": value, "val_macro_f1_error": 0.01, "val_accuracy": 0.5},)}

    found = lift([baseline_record(0.6, **f1(0.6)), record("a", 0.7, 9, **f1(0.7))], "max", 9, "val_macro_f1")
    assert found is not None
    assert found.points == pytest.approx(10)
    assert "points of macro F1" in str(found)


def test_confirmed_networks_that_agree_leave_the_error_that_their_epochs_reported() -> None:
    """Mean squares of 0.03 and 0.05, and of 0.01 and 0.02: sqrt(0.0017 + 0.00025) = 0.0441588."""
    pairs = {"baseline": (0.6, 0.03, 0.05), "a": (0.8, 0.01, 0.02)}
    confirmed = [
        record(
            f"{of}-c{n}", value, 9, role=Role.CONFIRM, parent_trial_id=of, **NOWHERE, **counted(value, error)
        )
        for of, (value, *errors) in pairs.items()
        for n, error in enumerate(errors, start=1)
    ]
    found = lift(SEARCHED + confirmed, "max", 10_000, "val_balanced_accuracy")
    assert found is not None
    half = 100 * 1.959964 * 0.0441588
    assert (found.low, found.high) == pytest.approx((20 - half, 20 + half), abs=1e-3)


def test_without_its_error_a_measure_has_no_lift() -> None:
    bare = {"curve": ({"val_balanced_accuracy": 0.7},)}
    records = [baseline_record(0.6, **counted(0.6, 0.1)), record("a", 0.7, 9, **bare)]
    assert lift(records, "max", 100, "val_balanced_accuracy") is None


# Rank correlations.


def promoted(
    *scores: tuple[float | None, float | None], rungs: tuple[int, int] = (1, 3)
) -> list[TrialRecord]:
    """Pairs of a trial and the one above it with the same values."""
    records = []
    for number, (below, above) in enumerate(scores):
        lower, upper = (f"{rungs}-{number}-{rung}" for rung in (0, 1))
        records.append(record(lower, below, rungs[0]))
        records.append(record(upper, above, rungs[1], rung=1, parent_trial_id=lower))
    return records


def test_rank_correlation_by_hand() -> None:
    """Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 x 4 / (4 x 15) = 0.6."""
    pairs = promoted((0.1, 0.6), (0.2, 0.5), (0.3, 0.8), (0.4, 0.7))
    [found] = rank_correlations(pairs)
    assert (found.epochs, found.next_epochs, found.num_trials) == (1, 3, 4)
    assert found.rho == pytest.approx(0.6)


def test_ties_share_their_rank() -> None:
    """Ranks 1 2.5 2.5 4 against 1 2 3 4: products add up to 4.5, squares to 4.5 and 5; 4.5 / sqrt(22.5)."""
    [found] = rank_correlations(promoted((0.1, 0.1), (0.2, 0.2), (0.2, 0.3), (0.4, 0.4)))
    assert found.rho == pytest.approx(0.948683, abs=1e-6)


@pytest.mark.parametrize(
    ("pairs", "rho"),
    [
        ([(1, 10), (2, 11), (5, 30)], 1.0),
        ([(1, 30), (2, 11), (5, 10)], -1.0),
        ([(1, 2), (2, 1), (3, 3)], 0.5),
    ],
)
def test_three_trials_are_enough(pairs: list[tuple[float, float]], rho: float) -> None:
    """For 1 2 3 against 2 1 3: 1 - 6 x 2 / (3 x 8) = 0.5."""
    [found] = rank_correlations(promoted(*pairs))
    assert found.rho == pytest.approx(rho)


def test_two_trials_say_nothing() -> None:
    assert rank_correlations(promoted((0.1, 0.2), (0.2, 0.3))) == []


@pytest.mark.parametrize(
    "pairs", [[(0.5, 0.1), (0.5, 0.2), (0.5, 0.3)], [(0.1, 0.5), (0.2, 0.5), (0.3, 0.5)]]
)
def test_scores_that_are_all_equal_have_no_order(pairs: list[tuple[float, float]]) -> None:
    assert rank_correlations(promoted(*pairs)) == []


def test_what_did_not_complete_in_both_rungs_is_left_out() -> None:
    pairs = promoted((0.1, 0.1), (0.2, 0.2), (0.3, None), (0.4, 0.4), (0.5, 0.3))
    [found] = rank_correlations(pairs)
    assert found.num_trials == 4
    assert found.rho == pytest.approx(0.8)  # 1 2 3 4 against 1 2 4 3: 1 - 6 x 2 / 60


def test_rungs_are_told_apart_and_brackets_are_pooled() -> None:
    """The upper trials of one pair of rungs may be the lower ones of the next."""
    low = promoted((1, 1), (2, 2), (3, 3))
    high = promoted((3, 1), (2, 2), (1, 3), rungs=(3, 9))
    other_bracket = [
        record(each.trial_id + "x", each.score, each.epochs, bracket=1, rung=each.rung,
               parent_trial_id=each.parent_trial_id and each.parent_trial_id + "x")
        for each in promoted((4, 4), rungs=(3, 9))
    ]  # fmt: skip
    found = rank_correlations([*high, *low, *other_bracket])
    assert [(each.epochs, each.next_epochs, each.num_trials) for each in found] == [(1, 3, 3), (3, 9, 4)]
    assert found[0].rho == pytest.approx(1)
    assert found[1].rho == pytest.approx(0.2)  # 3 2 1 4 against 1 2 3 4: 1 - 6 x 8 / 60


def test_confirmations_are_no_rung() -> None:
    records = [*SEARCHED, *repeats("a", 0.1, 0.2), *repeats("b", 0.3, 0.4), *repeats("baseline", 0.1, 0.5)]
    assert rank_correlations(records) == []


def test_a_rank_correlation_in_words() -> None:
    assert str(RankCorrelation(epochs=3, next_epochs=9, num_trials=5, rho=-0.125)) == (
        "rank correlation between 3 and 9 epochs: -0.12 over 5 trials"
    )
