"""A plan in words."""

from __future__ import annotations

import pytest

from archsearch.reporting.plan_text import describe
from tests.records import a_plan as a_plain_plan
from tests.test_plan import a_plan


def test_description_by_hand() -> None:
    plan = a_plan(max_epochs=3, max_macs=8_000_000, max_params=1_500_000)
    # Bracket 1: 3 x 13.2 + 29.2 = 68.8 s. Bracket 0: 2 x 19.6 = 39.2 s. Baseline: 38.4 + 10 = 48.4 s.
    assert list(describe(plan)) == [
        "7 trials, 15 epochs of 1,000 images, about 3 min (speed measured: 2 GFLOP/s)",
        "  baseline: 1 x 3 epochs, about 48 s",
        "  b1: 3 x 1 epoch -> 1 x 3 epochs, about 69 s",
        "  b0: 2 x 3 epochs, about 39 s",
        "  limits: macs at most 8.0 M, weights at most 1.5 M",
    ]


def test_description_of_confirmations_by_hand() -> None:
    """156.4 s as above; 2 x 48.4 s for the baseline, 2 x 29.2 s for the best network."""
    lines = list(describe(a_plan(max_epochs=3, confirm=1)))
    assert lines[0].startswith("11 trials, 27 epochs of 1,000 images, about 5 min ")
    assert lines[-1] == "  confirm: best 1 and baseline, 2 seeds each: 4 x 3 epochs, about 3 min"


def test_description_of_a_search_for_a_final_training_names_its_size() -> None:
    lines = list(describe(a_plan(final_macs=118_144_800)))
    assert lines[-1] == (
        "  final training: 12 epochs of 118 M macs fit its time; the network found is widened to that"
    )
    limited = list(describe(a_plan(final_macs=118_144_800, max_params=1_500_000)))
    assert limited[-1] == f"{lines[-1]}, as far as --max-params admits"
    assert not any("final training" in line for line in describe(a_plan()))


@pytest.mark.parametrize("final_macs", [0, 28_570, 1_999_999])
def test_a_time_too_short_for_the_networks_searched_is_said_with_what_to_do(final_macs: int) -> None:
    """Not that so many epochs of 0 M macs fit."""
    *_, line = describe(a_plan(final_macs=final_macs, max_macs=2_000_000))
    assert line == (
        "  final training: its time is too short for 12 epochs of the networks that are searched, so it will "
        "have fewer; a longer --final-time gives it more"
    )


def test_small_networks_are_described_by_more_digits() -> None:
    assert "12 epochs of 2.0 M macs fit" in [*describe(a_plan(final_macs=2_000_000, max_macs=2_000_000))][-1]


def test_description_without_limits_names_none() -> None:
    assert not any("limits" in line for line in describe(a_plan()))


def test_a_description_says_how_many_at_a_time() -> None:
    assert next(describe(a_plain_plan(workers=3))).endswith("), 3 at a time")
    assert "at a time" not in next(describe(a_plain_plan()))


def test_a_description_tells_no_speed_of_networks_whose_macs_are_not_known() -> None:
    """Then all count as one."""
    assert next(describe(a_plain_plan())).endswith("(speed measured)")
