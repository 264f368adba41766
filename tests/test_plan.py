"""Brackets, rungs, trials, epochs and seconds of a search."""

from __future__ import annotations

import dataclasses
import json

import pytest

from archsearch.plan import (
    Bracket,
    Cost,
    Plan,
    Rung,
    Speed,
    plan_brackets,
)
from tests.records import a_plan as a_plain_plan

SPEED = Speed(macs_per_second=1e9, overhead_seconds=10.0, source="measured")


def a_plan(**changes: object) -> Plan:
    """Nine epochs of 1,000 images, validated on 200; networks of 1 M macs, promoted ones of 2 M."""
    plan = Plan(
        max_epochs=9,
        factor=3,
        iterations=1,
        images_per_epoch=1000,
        num_validation=200,
        confirm=0,
        baseline_width=1.0,
        max_macs=None,
        max_params=None,
        max_seconds=None,
        cost=Cost(baseline_macs=4e6, first_rung_macs=1e6, promoted_macs=2e6),
        speed=SPEED,
    )
    return dataclasses.replace(plan, **changes)  # type: ignore[arg-type]


def ladder(bracket: Bracket) -> list[tuple[int, int]]:
    return [(rung.size, rung.epochs) for rung in bracket.rungs]


# Brackets.


@pytest.mark.parametrize(
    ("max_epochs", "trials", "epochs"), [(1, 1, 1), (3, 6, 12), (9, 23, 87), (27, 70, 450), (50, 90, 1119)]
)
def test_trials_and_epochs_at_factor_3(max_epochs: int, trials: int, epochs: int) -> None:
    """Trials as Keras Tuner counts them; epochs are more, because every rung trains afresh."""
    brackets = plan_brackets(max_epochs=max_epochs, factor=3)
    assert sum(bracket.num_trials for bracket in brackets) == trials
    assert sum(bracket.num_epochs for bracket in brackets) == epochs


def test_81_epochs_are_211_trials() -> None:
    assert sum(bracket.num_trials for bracket in plan_brackets(max_epochs=81, factor=3)) == 211


def test_nine_epochs_by_hand() -> None:
    """Bracket 0 has three trials; a rung of the others ceil(3 / (number + 1) * 3 ** rungs above it)."""
    brackets = plan_brackets(max_epochs=9, factor=3)
    assert [ladder(bracket) for bracket in brackets] == [
        [(9, 1), (3, 3), (1, 9)],
        [(5, 3), (2, 9)],
        [(3, 9)],
    ]


def test_one_epoch_is_one_trial() -> None:
    assert plan_brackets(max_epochs=1, factor=3) == (Bracket(0, 0, (Rung(epochs=1, size=1),)),)


def test_a_factor_above_max_epochs_leaves_random_search() -> None:
    """ceil(log(4, 5)) is 1, so two trials."""
    assert [ladder(bracket) for bracket in plan_brackets(max_epochs=4, factor=5)] == [[(2, 4)]]


@pytest.mark.parametrize(
    ("max_epochs", "factor", "num_brackets"),
    [(243, 3, 6), (242, 3, 5), (244, 3, 6), (125, 5, 4), (124, 5, 3), (1000, 10, 4), (2**29, 2, 30)],
)
def test_powers_of_the_factor_are_counted_in_whole_numbers(
    max_epochs: int, factor: int, num_brackets: int
) -> None:
    brackets = plan_brackets(max_epochs=max_epochs, factor=factor)
    assert len(brackets) == num_brackets
    assert all(bracket.rungs[-1].epochs == max_epochs for bracket in brackets)


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
@pytest.mark.parametrize("max_epochs", [1, 2, 3, 10, 27, 50, 100])
def test_rungs_get_smaller_and_longer_on_the_way_up(max_epochs: int, factor: int) -> None:
    for bracket in plan_brackets(max_epochs=max_epochs, factor=factor):
        sizes = [rung.size for rung in bracket.rungs]
        epochs = [rung.epochs for rung in bracket.rungs]
        assert sizes == sorted(sizes, reverse=True)
        assert epochs == sorted(set(epochs))
        assert min(sizes) >= 1
        assert min(epochs) >= 1


def test_a_bracket_is_named_by_iteration_and_number() -> None:
    places = [bracket.place for bracket in plan_brackets(max_epochs=3, factor=3, iterations=2)]
    assert places == [(0, 1), (0, 0), (1, 1), (1, 0)]


def test_iterations_repeat_the_brackets_under_other_names() -> None:
    brackets = plan_brackets(max_epochs=9, factor=3, iterations=3)
    assert [bracket.name for bracket in brackets] == [
        *("b2", "b1", "b0"),
        *("i1-b2", "i1-b1", "i1-b0"),
        *("i2-b2", "i2-b1", "i2-b0"),
    ]
    assert [bracket.rungs for bracket in brackets[:3]] == [bracket.rungs for bracket in brackets[6:]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_epochs": 0, "factor": 3}, "`max_epochs` must be at least 1, got 0"),
        ({"max_epochs": -9, "factor": 3}, "`max_epochs` must be at least 1, got -9"),
        ({"max_epochs": 9, "factor": 1}, "`factor` must be at least 2, got 1"),
        ({"max_epochs": 9, "factor": 3, "iterations": 0}, "`iterations` must be at least 1, got 0"),
    ],
)
def test_refuses_what_is_out_of_range(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_brackets(**arguments)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("factor", [2, 3, 4, 5, 6, 10])
def test_brackets_are_those_of_keras_tuner(factor: int) -> None:
    """Its formulas are in floating point, and right up to 15,624 epochs for these factors."""
    from keras_tuner.src.tuners.hyperband import HyperbandOracle

    for max_epochs in (*range(1, 101), 125, 216, 243, 256, 625, 729, 1000, 1024):
        theirs = HyperbandOracle("val_loss", max_epochs=max_epochs, factor=factor)
        ours = plan_brackets(max_epochs=max_epochs, factor=factor)
        assert len(ours) == theirs._get_num_brackets()
        for bracket in ours:
            assert ladder(bracket) == [
                (theirs._get_size(bracket.number, rung), theirs._get_epochs(bracket.number, rung))
                for rung in range(bracket.number + 1)
            ]


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_where_floating_point_leads_keras_tuner_astray_the_whole_numbers_hold() -> None:
    """5 ** 6 epochs: 1 + 6 trials end bracket 0, but log(15625, 5) is 6.000000000000001, so it says 8."""
    from keras_tuner.src.tuners.hyperband import HyperbandOracle

    assert HyperbandOracle("val_loss", max_epochs=5**6, factor=5)._get_size(0, 0) == 8
    assert ladder(plan_brackets(max_epochs=5**6, factor=5)[-1]) == [(7, 5**6)]


# Seconds.


def test_a_trial_costs_three_passes_per_training_image_and_one_per_validation_image() -> None:
    """2 epochs x 1 M macs x (3 x 1,000 + 200) images / 1e9 macs a second = 6.4 s, and 10 s to build."""
    seconds = SPEED.trial_seconds(1e6, epochs=2, num_images=1000, num_validation=200)
    assert seconds == pytest.approx(16.4)


def test_a_second_pass_over_the_validation_images_is_counted() -> None:
    """9 epochs x 1 M macs x (3 x 1,000 + 2 x 200) images / 1e9 macs a second = 30.6 s, and 10 s to build."""
    assert a_plan(validation_passes=2).trial_seconds(1e6, 9) == pytest.approx(40.6)
    assert a_plan().trial_seconds(1e6, 9) == pytest.approx(38.8)


def test_totals_include_the_baseline() -> None:
    plan = a_plan()
    assert plan.num_trials == 1 + 23
    assert plan.num_epochs == 9 + 87


def test_seconds_by_hand() -> None:
    """An epoch of 1 M macs is 3.2 s, and every trial 10 s besides.

    Baseline: 9 epochs of 4 M: 115.2 + 10. First rungs, 9 x 1 + 5 x 3 + 3 x 9 = 51 epochs of 1 M: 163.2.
    Promoted, 3 x 3 + 1 x 9 + 2 x 9 = 36 epochs of 2 M: 230.4. 23 trials: 230.
    """
    plan = a_plan()
    assert plan.baseline_seconds == pytest.approx(125.2)
    assert plan.seconds == pytest.approx(125.2 + 163.2 + 230.4 + 230)
    assert sum(map(plan.bracket_seconds, plan.brackets)) == pytest.approx(plan.seconds - 125.2)


# Confirmations.


def test_confirmations_are_two_seeds_of_each_network_and_of_the_baseline() -> None:
    """2 x (2 + 1) trials of 9 epochs. Two baselines of 125.2 s; four networks of 9 x 6.4 + 10 = 67.6 s."""
    plan = a_plan(confirm=2)
    assert plan.num_confirmations == 6
    assert plan.num_trials == 24 + 6
    assert plan.num_epochs == 96 + 54
    assert plan.confirm_seconds == pytest.approx(250.4 + 270.4)
    assert plan.seconds == pytest.approx(a_plan().seconds + 520.8)


def test_without_networks_to_confirm_the_baseline_is_not_confirmed_either() -> None:
    assert (a_plan().num_confirmations, a_plan().confirm_seconds) == (0, 0.0)


# More time. One iteration of the plan above takes 623.6 s, the baseline 125.2 s.


@pytest.mark.parametrize(
    ("max_seconds", "iterations"),
    [(1.0, 1), (748.7, 1), (1372.3, 1), (1372.5, 2), (1996.1, 3), (62_485.1, 99), (62_485.3, 100)],
)
def test_more_time_is_as_many_iterations_as_fit_and_never_fewer(max_seconds: float, iterations: int) -> None:
    longer = a_plan().with_more_time(max_seconds)
    assert longer.iterations == iterations
    assert longer.max_seconds == max_seconds


def test_more_time_takes_no_iteration_away() -> None:
    assert a_plan(iterations=5).with_more_time(750.0).iterations == 5


@pytest.mark.parametrize(("max_seconds", "iterations"), [(1893.1, 1), (1893.3, 2)])
def test_more_time_repeats_neither_baseline_nor_confirmations(max_seconds: float, iterations: int) -> None:
    """125.2 s and 520.8 s once, and twice 623.6 s."""
    assert a_plan(confirm=2).with_more_time(max_seconds).iterations == iterations


def test_no_time_limit_adds_nothing() -> None:
    assert a_plan(max_seconds=900.0).with_more_time(None) == a_plan()


def test_thousands_of_iterations_are_counted_at_once() -> None:
    """An iteration takes 23 x 0.1 s and a little: a loop over plans that each add theirs up takes minutes."""
    quick = a_plan(speed=Speed(macs_per_second=1e15, overhead_seconds=0.1, source="measured"))
    assert quick.with_more_time(86_400.0).iterations == 37_558


# Plain data, and words.


@pytest.mark.parametrize(
    "plan", [a_plan(), a_plan(iterations=2, confirm=3, max_macs=10**6, max_params=5, max_seconds=90.5)]
)
def test_comes_back_from_json_the_same(plan: Plan) -> None:
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_plan_of_an_earlier_version_aims_at_no_final_training() -> None:
    stored = {name: value for name, value in a_plan().to_dict().items() if name != "final_macs"}
    assert Plan.from_dict(stored) == a_plan()


# Workers.


@pytest.mark.parametrize(
    ("workers", "seconds", "confirm_seconds"), [(1, 96 + 36, 36), (2, 48 + 18, 18), (64, 13 + 9, 9)]
)
def test_workers_share_the_work_out_up_to_the_longest_chain(
    workers: int, seconds: float, confirm_seconds: float
) -> None:
    """96 seconds of work, and 36 of confirming; a network of bracket 2 takes 1 + 3 + 9 seconds to the top."""
    plan = a_plain_plan(workers=workers, confirm=1)
    assert (plan.seconds, plan.confirm_seconds) == (seconds, confirm_seconds)


@pytest.mark.parametrize(("workers", "seconds"), [(1, 27.0), (2, 13.5), (3, 13.0)])
def test_a_bracket_lasts_as_long_as_its_chain_at_least(workers: int, seconds: float) -> None:
    plan = a_plain_plan(workers=workers)
    assert plan.bracket_seconds(plan.brackets[0]) == seconds


def test_two_trials_that_share_a_device_take_twice_as_long_and_the_search_as_long_as_one_by_one() -> None:
    plan = a_plain_plan(workers=2, trials_per_device=2.0)
    assert plan.baseline_seconds == 18
    assert plan.seconds == 96


def test_two_trials_at_a_time_trace_at_a_time() -> None:
    """A trial traces for one second, and trains for one at full speed."""
    speed = Speed(macs_per_second=4000.0, overhead_seconds=1.0, source="measured")
    plan = a_plain_plan(workers=2, trials_per_device=2.0, speed=speed)
    assert plan.trial_seconds(1, 1) == 3


@pytest.mark.parametrize(
    ("max_seconds", "iterations"), [(200.0, 4), (96.0, 2), (91.5, 2), (91.0, 1), (1.0, 1)]
)
def test_more_time_is_more_iterations_for_two_workers(max_seconds: float, iterations: int) -> None:
    """An iteration is 87 seconds of work, and the baseline 9."""
    assert a_plain_plan(workers=2).with_more_time(max_seconds).iterations == iterations
