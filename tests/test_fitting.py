"""From the time given and the speed of the machine to a plan."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import pytest

from archsearch.errors import UserError
from archsearch.fitting import fit
from archsearch.plan import Cost, Plan, Speed
from archsearch.population import Population, family_population
from archsearch.run import BUILT_IN, baseline_name
from archsearch.settings import SearchSettings, resolve
from archsearch.time_fit import Length, Work, fit_length
from space.architecture import DOCUMENTED
from space.recipe import MODERN
from space.sampling import random_architectures

SHAPE = (32, 32, 3)
NUM_TRAIN, NUM_VALIDATION = 45_000, 5_000
SPEEDS = [10.0**power for power in range(9, 15)]
TIMES = [60.0, 300.0, 1800.0, 7200.0, 28_800.0, 86_400.0]
DOCUMENTED_MACS = 313_458_688
"""32x32 pixels: 1,728 + 36,864 weights x 1,024 places, and so on down to 512 x 512 in the dense layer."""
NARROWEST_MACS = 1_251_136
"""All layers 8 wide: 216 + 576 at 1,024 places, 1,152 at 256, 1,728 at 64, 16 and 4, and 64 at the end."""


@functools.cache
def population(max_macs: int | None = None, max_params: int | None = None) -> Population:
    settings = SearchSettings(max_macs=max_macs, max_params=max_params)
    return family_population(SHAPE, 10, settings=settings)


def fitted(macs_per_second: float, *, overhead_seconds: float = 2.0, **given: Any) -> Plan:
    settings = resolve(given)
    return fit(
        settings,
        population=population(settings.max_macs, settings.max_params),
        num_train=NUM_TRAIN,
        num_validation=NUM_VALIDATION,
        speed=Speed(macs_per_second, overhead_seconds, "measured"),
    )


def baseline_seconds(plan: Plan, macs: int) -> float:
    """By hand: three passes over a training image, one over a validation image."""
    images = 3 * plan.images_per_epoch + NUM_VALIDATION
    return plan.speed.overhead_seconds + plan.max_epochs * images * macs / plan.speed.macs_per_second


def smallest_seconds(speed: Speed) -> float:
    """Of the least search of 3 epochs and 9,000 images: 12 epochs and 7 trials, all of 1 M macs."""
    return 7 * speed.overhead_seconds + 15 * 1e6 * (3 * 9000 + NUM_VALIDATION) / speed.macs_per_second


def test_the_costs_that_this_file_counts_with() -> None:
    assert population().baseline(None) == (1.0, DOCUMENTED_MACS)
    assert population().baselines[-1] == (1 / 64, NARROWEST_MACS)


# Time.


@pytest.mark.parametrize("overhead", [0.1, 2.0, 8.0])
@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_plans_fit_nine_tenths_of_the_time(macs_per_second: float, overhead: float) -> None:
    for seconds in TIMES:
        plan = fitted(macs_per_second, overhead_seconds=overhead, max_seconds=seconds)
        # Where not even seven small trials fit, the smallest plan is all there is.
        if 3 * smallest_seconds(plan.speed) <= seconds:
            assert plan.seconds <= 0.9 * seconds * (1 + 1e-9)
        assert plan.max_seconds == seconds


@pytest.mark.parametrize("macs_per_second", SPEEDS[2:])
def test_plans_use_half_the_time_or_more(macs_per_second: float) -> None:
    for seconds in TIMES[1:]:
        assert fitted(macs_per_second, max_seconds=seconds).seconds >= 0.5 * seconds


def test_what_cannot_fit_is_the_smallest_plan() -> None:
    plan = fitted(1e6, max_seconds=60.0)
    assert (plan.max_epochs, plan.iterations, plan.images_per_epoch) == (3, 1, 9000)
    assert plan.baseline_width == 1 / 64


@pytest.mark.parametrize(("seconds", "macs_per_second"), [(1e-9, 1e14), (1.0, 1.0), (60.0, 1e-3)])
def test_hopeless_times_still_give_a_plan(seconds: float, macs_per_second: float) -> None:
    assert fitted(macs_per_second, overhead_seconds=1000.0, max_seconds=seconds).num_trials == 7


def test_more_speed_never_plans_less_fidelity() -> None:
    epochs = [fitted(speed, max_seconds=1800.0).max_epochs for speed in SPEEDS]
    assert epochs == sorted(epochs)
    assert (epochs[0], epochs[-1]) == (3, 81)


def test_iterations_that_are_given_are_kept() -> None:
    assert fitted(1e14, max_seconds=86_400.0, iterations=2).iterations == 2
    assert fitted(1e14, max_seconds=86_400.0).iterations > 2


# The baseline.


@pytest.mark.parametrize("overhead", [0.1, 8.0])
@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_the_baseline_takes_a_quarter_of_the_time_or_is_the_narrowest(
    macs_per_second: float, overhead: float
) -> None:
    for seconds in TIMES:
        plan = fitted(macs_per_second, overhead_seconds=overhead, max_seconds=seconds)
        macs = DOCUMENTED.scaled(plan.baseline_width).macs(SHAPE)
        assert plan.cost.baseline_macs == macs
        if baseline_seconds(plan, NARROWEST_MACS) <= seconds / 4:
            assert baseline_seconds(plan, macs) <= seconds / 4
        else:
            assert plan.baseline_width == 1 / 64


@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_no_wider_baseline_would_do(macs_per_second: float) -> None:
    for seconds in TIMES:
        plan = fitted(macs_per_second, max_seconds=seconds)
        if plan.baseline_width == 1.0:
            continue
        wider = DOCUMENTED.scaled(plan.baseline_width + 1 / 64).macs(SHAPE)
        too_slow = baseline_seconds(plan, wider) > seconds / 4 - macs_per_second**-1
        too_large = plan.max_macs is not None and wider > plan.max_macs
        # The next width may round to the same filters.
        assert too_slow or too_large or wider == plan.cost.baseline_macs


def test_a_narrower_baseline_is_named() -> None:
    plan = fitted(1e11, max_seconds=1800.0)
    assert plan.baseline_width < 1
    assert baseline_name(plan, BUILT_IN) == f"the documented network at width {plan.baseline_width:.2f}"
    wide = dataclasses.replace(plan, baseline_width=1.0)
    assert baseline_name(wide, BUILT_IN) == "the documented network"
    assert baseline_name(plan, "mine:Space") == "the defaults of the space"


# Confirmations.


def confirm_seconds(plan: Plan, confirm: int) -> float:
    """By hand: two seeds of the baseline, and of so many networks from the larger half."""
    macs = plan.cost.baseline_macs + confirm * plan.cost.promoted_macs
    images = 3 * plan.images_per_epoch + NUM_VALIDATION
    overhead = (1 + confirm) * plan.speed.overhead_seconds
    return 2 * (overhead + plan.max_epochs * images * macs / plan.speed.macs_per_second)


@pytest.mark.parametrize("confirm", [1, 2, 5])
@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_confirmations_take_a_quarter_of_the_time_at_most(macs_per_second: float, confirm: int) -> None:
    for seconds in TIMES:
        plan = fitted(macs_per_second, max_seconds=seconds, confirm=confirm)
        assert 0 <= plan.confirm <= confirm
        if plan.confirm:
            assert confirm_seconds(plan, plan.confirm) <= seconds / 4


@pytest.mark.parametrize("confirm", [2, 5])
@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_fewer_are_confirmed_before_anything_else_gets_smaller(macs_per_second: float, confirm: int) -> None:
    for seconds in TIMES:
        one = fitted(macs_per_second, max_seconds=seconds, confirm=1)
        more = fitted(macs_per_second, max_seconds=seconds, confirm=confirm)
        for name in ("max_epochs", "images_per_epoch", "max_macs", "baseline_width"):
            assert getattr(more, name) == getattr(one, name)
        assert (more.confirm == 0) is (one.confirm == 0)


@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_as_many_are_confirmed_as_fit(macs_per_second: float) -> None:
    for seconds in TIMES:
        plan = fitted(macs_per_second, max_seconds=seconds, confirm=5)
        if plan.confirm in (0, 5):
            continue
        others = dataclasses.replace(plan, confirm=0, iterations=1).seconds
        one_more = confirm_seconds(plan, plan.confirm + 1)
        assert one_more > seconds / 4 or others + one_more > 0.9 * (seconds - 12)


def test_short_times_confirm_one_network_and_long_ones_all() -> None:
    found = [fitted(1e14, max_seconds=seconds, confirm=5).confirm for seconds in (120.0, 86_400.0)]
    assert found == [1, 5]


TIGHTEST = 2_100_000
"""Slightly more than the tightest limit that a plan tries, which one random network in a hundred meets."""


def test_the_tightest_limit_that_this_file_counts_with() -> None:
    drawn = sorted(one.macs(SHAPE) for one in random_architectures(1000, seed=0, base=MODERN))
    assert 1_900_000 < drawn[10] < TIGHTEST


@pytest.mark.parametrize("overhead", [0.1, 2.0, 8.0])
@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_nothing_is_confirmed_only_where_no_search_would_fit(macs_per_second: float, overhead: float) -> None:
    """The smallest one with one confirmed network: 7 + 4 trials of 15 + 12 epochs of 9,000 images."""
    epoch = TIGHTEST * (3 * 9000 + NUM_VALIDATION) / macs_per_second
    for seconds in (*TIMES, 120.0, 600.0):
        smallest, confirmations = 11 * overhead + 27 * epoch, 4 * overhead + 12 * epoch
        if smallest <= 0.9 * (seconds - 12) and confirmations <= seconds / 4:
            assert fitted(macs_per_second, overhead_seconds=overhead, max_seconds=seconds).confirm >= 1


def test_where_nothing_fits_nothing_is_confirmed() -> None:
    assert fitted(1e6, max_seconds=60.0).confirm == 0


@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_confirming_can_be_switched_off(macs_per_second: float) -> None:
    for seconds in TIMES:
        assert fitted(macs_per_second, max_seconds=seconds, confirm=0).confirm == 0
    assert fitted(macs_per_second, max_epochs=9, confirm=0).confirm == 0


@pytest.mark.parametrize("confirm", [1, 2, 7])
def test_epochs_without_a_time_confirm_in_full(confirm: int) -> None:
    assert fitted(1e6, max_epochs=50, confirm=confirm).confirm == confirm


# Limits.


@pytest.mark.parametrize("macs_per_second", SPEEDS[::2])
@pytest.mark.parametrize(("max_macs", "max_params"), [(8_000_000, None), (None, 300_000), (10**8, 10**6)])
def test_limits_are_respected(macs_per_second: float, max_macs: int | None, max_params: int | None) -> None:
    for seconds in TIMES:
        plan = fitted(macs_per_second, max_seconds=seconds, max_macs=max_macs, max_params=max_params)
        base = DOCUMENTED.scaled(plan.baseline_width)
        assert plan.max_params == max_params
        if max_macs is not None:
            assert plan.max_macs is not None
            assert plan.max_macs <= max_macs
            assert base.macs(SHAPE) <= max_macs
            assert plan.cost.promoted_macs <= max_macs
        if max_params is not None:
            assert base.params(SHAPE, 10) <= max_params


def test_a_limit_of_the_plan_leaves_networks_to_draw() -> None:
    """At least one draw in a hundred is within it, so that a slot finds one in a thousand tries."""
    drawn = [one.macs(SHAPE) for one in random_architectures(1000, seed=5, base=MODERN)]
    for macs_per_second, seconds in itertools.product(SPEEDS, TIMES):
        plan = fitted(macs_per_second, max_seconds=seconds)
        assert plan.max_macs is None or sum(macs <= plan.max_macs for macs in drawn) >= 5


# The final training.

# 45,000 images in batches of 256: 175 steps, 44,800 images, an epoch, three passes each; 5,000 to validate.
# At the end 45,000 images again, and a test part taken for a quarter of them.
PASSES = 12 * (3 * 175 * 256 + 5000) + 45_000 + 11_250


@pytest.mark.parametrize("seconds", [600.0, 3600.0, 36_000.0])
def test_networks_are_limited_to_what_twelve_epochs_of_the_final_training_can_be_of(seconds: float) -> None:
    plan = fitted(1e11, max_epochs=9, final_seconds=seconds)
    # A hundredth of the time, 8 seconds to close and 2 of overhead are not training.
    assert PASSES == 1_729_050
    assert plan.final_macs == int((0.99 * seconds - 8 - 2) * 1e11 / 1_729_050)
    assert plan.max_macs == plan.final_macs
    assert plan.cost.promoted_macs <= plan.final_macs


def test_twelve_epochs_of_the_limit_fit_the_final_training() -> None:
    plan = fitted(1e11, max_epochs=9, final_seconds=3600.0)
    assert plan.max_macs is not None
    work = Work.final(num_train=NUM_TRAIN, num_validation=NUM_VALIDATION, batch_size=256)
    fits = fit_length(work, macs=plan.max_macs, seconds=3600.0, speed=plan.speed)
    assert fits in (Length(12, 175), Length(12, 174))
    assert fit_length(work, macs=plan.max_macs * 1.1, seconds=3600.0, speed=plan.speed).epochs == 11


@pytest.mark.parametrize(
    ("objective", "passes", "forward"),
    [("val_accuracy", 1, 1_729_050), ("val_balanced_accuracy", 2, 1_789_050), ("val_macro_f1", 2, 1_789_050)],
)
def test_measures_of_classes_take_a_second_pass_over_the_validation_images(
    objective: str, passes: int, forward: int
) -> None:
    """In each of 12 epochs 3 x 175 x 256 for training and 5,000 or 10,000 to validate; 56,250 to evaluate."""
    plan = fitted(1e11, max_epochs=9, final_seconds=3600.0, objective=objective)
    assert (plan.num_validation, plan.validation_passes) == (NUM_VALIDATION, passes)
    assert plan.final_macs == int(3554 * 1e11 / forward)


def test_the_final_training_is_sized_by_its_own_speed() -> None:
    """Wide networks are faster per mac; the search, whose networks are narrow, is planned as before."""
    plans = [
        fit(
            SearchSettings(max_epochs=9, final_seconds=3600.0),
            population=population(),
            num_train=NUM_TRAIN,
            num_validation=NUM_VALIDATION,
            speed=Speed(1e11, 2.0, "measured"),
            final_speed=final_speed,
        )
        for final_speed in (None, Speed(2e11, 2.0, "measured"))
    ]
    assert plans[1].final_macs == int(3554 * 2e11 / 1_729_050)
    assert plans[0].final_macs == int(3554 * 1e11 / 1_729_050)
    assert plans[1].speed == plans[0].speed


def test_a_tighter_limit_that_is_given_is_kept() -> None:
    plan = fitted(1e11, max_epochs=9, final_seconds=3600.0, max_macs=8_000_000)
    assert plan.max_macs == 8_000_000
    assert plan.final_macs == 8_000_000, "nor is a network widened beyond it"
    assert fitted(1e11, max_epochs=9, final_seconds=3600.0, max_macs=10**10).max_macs == int(
        3554 * 1e11 / 1_729_050
    )


def test_a_time_that_is_too_short_for_most_networks_leaves_some_to_draw() -> None:
    """The tenth smallest of a thousand; the smallest alone would be met by one draw in a thousand."""
    plan = fitted(1e9, max_epochs=9, final_seconds=60.0)
    assert plan.final_macs == int((59.4 - 8 - 2) * 1e9 / 1_729_050) == 28_570
    assert plan.max_macs == sorted(population().macs)[10]


def test_without_a_time_for_the_final_training_nothing_is_limited_by_it() -> None:
    plan = fitted(1e11, max_epochs=9)
    assert (plan.final_macs, plan.max_macs) == (None, None)


@pytest.mark.parametrize("macs_per_second", SPEEDS)
def test_a_search_with_a_time_stays_within_the_final_training_too(macs_per_second: float) -> None:
    plan = fitted(macs_per_second, max_seconds=1800.0, final_seconds=1800.0)
    assert plan.final_macs is not None
    assert plan.max_macs is not None
    assert plan.max_macs <= max(plan.final_macs, population().tightest)


def test_networks_of_unknown_macs_are_not_limited_by_the_final_training() -> None:
    """Each counts as 1, so nobody can say which would fit."""
    plan = fit(
        SearchSettings(max_epochs=3, final_seconds=60.0),
        population=Population(macs=(1,), baselines=((1.0, 1),)),
        num_train=1000,
        num_validation=100,
        speed=Speed(1e3, 0.5, "measured"),
    )
    assert (plan.final_macs, plan.max_macs) == (None, None)


def test_a_limit_that_admits_everything_narrows_nothing() -> None:
    plan = fitted(1e14, max_seconds=86_400.0, max_macs=10**10)
    assert plan.baseline_width == 1.0
    assert plan.max_macs == 10**10


@pytest.mark.parametrize("limit", [{"max_macs": 1000}, {"max_params": 100}, {"max_macs": 1, "max_params": 1}])
def test_limits_below_the_smallest_network_are_refused_by_its_size(limit: dict[str, int]) -> None:
    """Two blocks of one convolution of 8 filters, and a linear head.

    216 weights at 1,024 places and 576 at 256 are 221,184 + 147,456 macs; with 4 weights for each of the
    16 channels that are normalised, and 9 for each class, 946 weights.
    """
    with pytest.raises(
        UserError,
        match=r"the fewest macs has 368,640 macs and 946 weights, "
        r"the one with the fewest weights 368,640 macs and 946 weights\.",
    ):
        family_population(SHAPE, 10, settings=SearchSettings(**limit))


def test_limits_that_only_the_baseline_cannot_meet_say_so() -> None:
    """Between the smallest network, 1,032,192 macs, and the narrowest baseline, 1,251,136."""
    with pytest.raises(
        UserError, match=r"documented network at its narrowest has 1,251,136 macs .*--max-macs"
    ):
        family_population(SHAPE, 10, settings=SearchSettings(max_macs=1_200_000))


def test_the_narrowest_baseline_is_just_within_its_own_size() -> None:
    tight = family_population(SHAPE, 10, settings=SearchSettings(max_macs=NARROWEST_MACS))
    assert tight.baseline(NARROWEST_MACS) == (1 / 64, NARROWEST_MACS)


# What is given is kept.


def test_epochs_without_a_time_keep_everything() -> None:
    plan = fitted(1e9, max_epochs=50)
    assert (plan.max_epochs, plan.iterations, plan.images_per_epoch) == (50, 1, NUM_TRAIN)
    assert (plan.max_macs, plan.max_params, plan.max_seconds) == (None, None, None)
    assert plan.baseline_width == 1.0
    assert plan.num_trials == 91 + 6


def test_epochs_with_a_time_keep_the_epochs() -> None:
    for macs_per_second in SPEEDS:
        assert fitted(macs_per_second, max_epochs=5, max_seconds=600.0, factor=2).max_epochs == 5


def test_images_per_epoch_are_kept() -> None:
    for macs_per_second in SPEEDS:
        assert fitted(macs_per_second, max_seconds=600.0, images_per_epoch=1234).images_per_epoch == 1234


def test_all_images_are_admitted_and_one_more_is_refused() -> None:
    assert fitted(1e12, images_per_epoch=NUM_TRAIN).images_per_epoch == NUM_TRAIN
    with pytest.raises(UserError, match="--images-per-epoch 45001 is more than the 45000 training images"):
        fitted(1e12, images_per_epoch=NUM_TRAIN + 1)


@pytest.mark.parametrize("num_train", [1, 90, 1000, 1617, 4999])
def test_few_images_are_not_made_fewer_than_a_thousand(num_train: int) -> None:
    for seconds in (5.0, 60.0, 1800.0):
        plan = fit(
            SearchSettings(max_seconds=seconds),
            population=population(),
            num_train=num_train,
            num_validation=10,
            speed=Speed(1e9, 1.0, "measured"),
        )
        assert min(num_train, 1000) <= plan.images_per_epoch <= num_train


# Another space than the built-in one: all its networks count alike.

ONE = Population(macs=(500,), baselines=((1.0, 500),))


@pytest.mark.parametrize("seconds", [1.0, 60.0, 86_400.0])
def test_networks_that_count_alike_are_never_limited(seconds: float) -> None:
    plan = fit(
        SearchSettings(max_seconds=seconds),
        population=ONE,
        num_train=1000,
        num_validation=100,
        speed=Speed(1e6, 0.5, "measured"),
    )
    assert plan.max_macs is None
    assert plan.cost.first_rung_macs == plan.cost.promoted_macs == 500


def test_a_limit_given_for_such_networks_is_kept() -> None:
    assert list(ONE.limits(1000)) == [1000]
    assert list(ONE.limits(None)) == [None]


def test_networks_beyond_a_limit_cost_what_it_admits() -> None:
    """They are narrowed to it: of 2, 4, 30 and 80 macs those within it stay, the larger half is promoted."""
    cost = Population(macs=(2, 4, 30, 80), baselines=((1.0, 5),)).cost(10, 5)
    assert cost == Cost(baseline_macs=5, first_rung_macs=(2 + 4 + 10 + 10) / 4, promoted_macs=10)


@pytest.mark.parametrize(
    ("limit", "drawn", "promoted"), [(10, (6.5 + 10) / 2, 10), (None, (29 + 50) / 2, 55)]
)
def test_half_of_the_networks_cost_what_those_do_that_a_search_begins_with(
    limit: int | None, drawn: float, promoted: float
) -> None:
    """Of 20 and 80 macs: 10 within a limit of 10, else 50; those drawn at random are as above."""
    known = Population(macs=(2, 4, 30, 80), baselines=((1.0, 5),), known_macs=(20, 80))
    cost = known.cost(limit, 5)
    assert cost == Cost(baseline_macs=5, first_rung_macs=drawn, promoted_macs=promoted)


@pytest.mark.parametrize(
    ("given", "num"),
    [({}, 2), ({"starting_points": "no"}, 0), ({"starting_points": "no", "from_runs": ("earlier",)}, 2)],
)
def test_a_search_that_begins_with_known_networks_counts_with_them(given: dict[str, Any], num: int) -> None:
    settings = SearchSettings(max_macs=50_000_000, **given)
    known = family_population(SHAPE, 10, settings=settings).known_macs
    assert len(known) == num
    assert all(40_000_000 < macs <= 50_000_000 for macs in known)


def test_a_limit_that_is_given_narrows_the_networks_that_are_counted_with() -> None:
    free, limited = population().macs, population(max_macs=8_000_000).macs
    assert len(limited) == len(free) == 1000
    assert max(limited) <= 8_000_000 < free[500]
    # To the next step of a 64th, and of 8 or 16 filters: not far below it.
    assert limited[500] > 6_000_000


def test_limits_worth_trying_get_ever_tighter() -> None:
    limits = [limit for limit in population().limits(None) if limit is not None]
    assert limits == sorted(set(limits), reverse=True)
    assert next(iter(population().limits(None))) is None
    assert next(iter(population().limits(10**7))) == 10**7
    assert max(limit for limit in population().limits(10**7) if limit) == 10**7
