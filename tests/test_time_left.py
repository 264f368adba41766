"""Whether what comes next fits into the time, by a clock that is set by hand."""

from __future__ import annotations

import dataclasses

import pytest

from archsearch import time_left
from archsearch.plan import Plan
from archsearch.time_left import TimeLeft
from tests.records import a_plan

START = 1_000_000.0

PLAN = a_plan(confirm=2, max_seconds=400.0)
"""Networks of 1 mac: an epoch takes one second, and nothing else any. Bracket 2 takes 27 seconds, the six
confirmations 54."""


class Clock:
    """Instead of the module `time`."""

    def __init__(self) -> None:
        self.now = START

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time_left, "time", clock)
    return clock


def left(seconds: float | None, plan: Plan = PLAN) -> TimeLeft:
    return TimeLeft(plan, None if seconds is None else START + seconds)


def refused(time: TimeLeft, epochs: int, *, macs: int | None = 1, confirms: bool = False) -> str | None:
    return time.refuses_trial("t", macs=macs, epochs=epochs, confirms=confirms)


def test_without_a_deadline_nothing_is_refused(clock: Clock) -> None:
    unlimited = left(None)
    assert unlimited.seconds == float("inf")
    assert refused(unlimited, 10**6) is None
    assert refused(unlimited, 10**6, confirms=True) is None
    assert unlimited.refuses_bracket(PLAN.brackets[0]) is None


def test_time_passes(clock: Clock) -> None:
    time = left(100.0)
    clock.now += 30
    assert time.seconds == 70


# Without confirmations: a trial may be expected to take half as long again as is left.

ALONE = dataclasses.replace(PLAN, confirm=0)


@pytest.mark.parametrize(("seconds", "starts"), [(6.0, True), (5.99, False), (100.0, True), (0.1, False)])
def test_a_trial_of_nine_seconds(seconds: float, starts: bool, clock: Clock) -> None:
    assert (refused(left(seconds, ALONE), 9) is None) is starts


def test_a_refusal_names_what_is_expected_and_what_is_left(clock: Clock) -> None:
    assert refused(left(5.0, ALONE), 9) == "Trial t is not started: about 9 s, and 5 s are left."


@pytest.mark.parametrize(("seconds", "starts"), [(18.0, True), (17.9, False)])
def test_a_bracket_of_27_seconds(seconds: float, starts: bool, clock: Clock) -> None:
    verdict = left(seconds, ALONE).refuses_bracket(ALONE.brackets[0])
    assert verdict == (None if starts else "Bracket b2 is left out: about 27 s, and 18 s are left.")


@pytest.mark.parametrize("seconds", [0.0, -5.0])
@pytest.mark.parametrize("confirms", [False, True])
def test_when_the_time_is_used_up_nothing_starts(seconds: float, confirms: bool, clock: Clock) -> None:
    time = left(seconds)
    assert refused(time, 1, confirms=confirms) == "The time is used up."
    assert time.refuses_bracket(PLAN.brackets[0]) == "The time is used up."


def test_large_networks_take_longer(clock: Clock) -> None:
    time = left(10.0, ALONE)
    assert refused(time, 1, macs=15) is None
    assert refused(time, 1, macs=16) == "Trial t is not started: about 16 s, and 10 s are left."


def test_networks_whose_macs_are_not_known_count_as_one(clock: Clock) -> None:
    time = left(10.0, ALONE)
    assert refused(time, 15, macs=None) is None
    assert refused(time, 16, macs=None) is not None


# Pace.


def test_pace_is_what_trials_took_over_what_was_expected(clock: Clock) -> None:
    """Two trials of 3 and 9 s took 36: three times as long, so 9 s become 27."""
    time = left(17.0, ALONE)
    time.learn(1, 3, 10.0)
    time.learn(None, 9, 26.0)
    assert refused(time, 9) == "Trial t is not started: about 27 s, and 17 s are left."
    assert refused(time, 8) is None
    assert time.refuses_bracket(ALONE.brackets[0]) == "Bracket b2 is left out: about 81 s, and 17 s are left."


def test_a_faster_machine_starts_more(clock: Clock) -> None:
    time = left(1.0, ALONE)
    assert refused(time, 9) is not None
    time.learn(1, 9, 0.9)
    assert refused(time, 9) is None


# What is kept for the confirmations.


def test_the_search_leaves_the_time_of_the_confirmations(clock: Clock) -> None:
    """54 of 100 seconds are theirs, so 46 are left: three halves are 69."""
    time = left(100.0)
    assert refused(time, 69) is None
    assert refused(time, 70) == "Trial t is not started: about 70 s, and 46 s are left."
    assert left(71.0).refuses_bracket(PLAN.brackets[0]) == (
        "Bracket b2 is left out: about 27 s, and 17 s are left."
    )


def test_nothing_is_kept_for_confirmations_that_have_begun(clock: Clock) -> None:
    """Of 6 that take 54 s, 2 have: 36 of 100 s are kept, so 64 are left, three halves of which are 96."""
    time = left(100.0)
    time.num_confirmed = 2
    assert refused(time, 96) is None
    assert refused(time, 97) == "Trial t is not started: about 97 s, and 64 s are left."


def test_confirmations_have_all_that_is_left(clock: Clock) -> None:
    time = left(50.0)
    assert refused(time, 9, confirms=True) is None
    assert refused(time, 9) == "Trial t is not started: about 9 s, and 0 s are left."


def test_what_is_kept_follows_the_pace_up_to_a_quarter_of_the_whole_time(clock: Clock) -> None:
    """At half the pace 27 s are kept; at ten times 540, of which a quarter of 400 s is."""
    fast, slow = left(47.0), left(120.0)
    fast.learn(1, 10, 5.0)
    slow.learn(1, 10, 100.0)
    assert refused(fast, 60) is None  # 30 s of 20
    assert refused(fast, 61) is not None
    assert refused(slow, 3) is None  # 30 s of 20
    assert refused(slow, 4) == "Trial t is not started: about 40 s, and 20 s are left."


def test_a_plan_without_confirmations_keeps_nothing(clock: Clock) -> None:
    assert refused(left(10.0, ALONE), 15) is None
