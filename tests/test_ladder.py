"""Which trial of a bracket starts next, whoever finishes first and whatever fails."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.ladder import MAX_ATTEMPTS, Ladder, Position
from archsearch.plan import Bracket, Rung, plan_brackets

Score = Callable[[Position], float]
Fails = Callable[[Position], bool]

NINE = plan_brackets(max_epochs=9, factor=3)[0]
"""9 -> 3 -> 1."""
LARGE = plan_brackets(max_epochs=27, factor=3)[0]
"""27 -> 9 -> 3 -> 1."""


def bracket(*sizes: int) -> Bracket:
    return Bracket(0, len(sizes) - 1, tuple(Rung(epochs, size) for epochs, size in enumerate(sizes, start=1)))


def score_of(*key: object, distinct: int = 1000) -> float:
    """A score that depends on the key alone; few distinct ones make ties."""
    return random.Random(str(key)).randrange(distinct) / distinct


def run(
    ladder: Ladder, score: Score, fails: Fails = lambda _: False, *, workers: int = 1, order: int = 0
) -> list[Position]:
    """All trials in the order they start; of the running ones, which ends next is drawn from `order`."""
    rng = random.Random(order)
    started: list[Position] = []
    running: list[Position] = []
    while True:
        while len(running) < workers and (position := ladder.next()) is not None:
            ladder.start(position)
            running.append(position)
            started.append(position)
        if not running:
            return started
        ended = running.pop(rng.randrange(len(running)))
        if fails(ended):
            ladder.fail(ended)
        else:
            ladder.complete(ended, score(ended))


def expected(bracket: Bracket, score: Score, fails: Fails, *, best: str = "max") -> set[Position]:
    """The same from the definition, rung after rung: draws, then the best below until a rung is full."""
    trials: set[Position] = set()
    alive: list[Position] = []
    for slot in range(bracket.rungs[0].size):
        for attempt in range(3):
            trials.add(trial := Position(0, slot, attempt))
            if not fails(trial):
                alive.append(trial)
                break
    for number, rung in enumerate(bracket.rungs[1:], start=1):
        sign = -1 if best == "max" else 1
        alive.sort(key=lambda trial: (sign * score(trial), trial.slot))
        above: list[Position] = []
        for below in alive:
            if len(above) == rung.size:
                break
            trials.add(trial := Position(number, below.slot, below.attempt))
            if not fails(trial):
                above.append(trial)
        alive = above
    return trials


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    workers=st.integers(1, 8),
    order=st.integers(0, 10**6),
    failing=st.sampled_from([0.0, 0.1, 0.3, 0.8, 1.0]),
    distinct=st.sampled_from([1, 2, 5, 1000]),
    direction=st.sampled_from(["max", "min"]),
    world=st.integers(0, 10**6),
)
def test_trials_are_the_same_in_any_order_with_any_number_of_workers(
    sizes: list[int], workers: int, order: int, failing: float, distinct: int, direction: str, world: int
) -> None:
    one = bracket(*sorted(sizes, reverse=True))

    def score(trial: Position) -> float:
        return score_of(world, trial, distinct=distinct)

    def fails(trial: Position) -> bool:
        return score_of(world, trial, "fails") < failing

    started = run(Ladder(one, direction), score, fails, workers=workers, order=order)
    assert len(started) == len(set(started)), "a trial ran twice"
    assert set(started) == expected(one, score, fails, best=direction)


@pytest.mark.parametrize("failing", [0.1, 0.3])
@pytest.mark.parametrize("world", range(30))
def test_failures_cost_no_promotion(failing: float, world: int) -> None:
    """Every rung is full, or everything that completed below was tried."""

    def fails(trial: Position) -> bool:
        return score_of(world, trial, "fails") < failing

    started = run(Ladder(LARGE, "max"), lambda trial: score_of(world, trial), fails, workers=3, order=world)
    completed = [{trial.slot for trial in started if trial.rung == n and not fails(trial)} for n in range(4)]
    tried = [{trial.slot for trial in started if trial.rung == n} for n in range(4)]
    for number in range(1, 4):
        assert len(completed[number]) == LARGE.rungs[number].size or tried[number] == completed[number - 1]
        assert len(completed[number]) <= LARGE.rungs[number].size


def test_one_failure_in_the_first_rung_leaves_the_counts_of_the_plan() -> None:
    """Keras Tuner loses the 27-epoch trial here: 27, 9, 3, 0."""
    started = run(Ladder(LARGE, "max"), lambda trial: trial.slot, lambda trial: trial == Position(0, 4, 0))
    assert [sum(trial.rung == number for trial in started) for number in range(4)] == [28, 9, 3, 1]


def test_a_failed_slot_is_drawn_three_times_and_given_up() -> None:
    ladder = Ladder(bracket(2, 1), "max")
    started = run(ladder, lambda trial: 0.5, lambda trial: trial.slot == 0)
    assert MAX_ATTEMPTS == 3
    assert started == [Position(0, 0, n) for n in range(3)] + [Position(0, 1, 0), Position(1, 1, 0)]
    assert ladder.finished


def test_a_lineage_keeps_the_attempt_of_its_draw() -> None:
    started = run(Ladder(bracket(1, 1, 1), "max"), lambda trial: 0.5, lambda trial: trial.attempt < 2)
    assert started[-2:] == [Position(1, 0, 2), Position(2, 0, 2)]


def test_the_next_best_takes_the_place_of_a_failed_promotion() -> None:
    """Slots score 0 to 8, so 8, 7 and 6 are promoted; 7 fails, 5 steps in; the top fails twice."""
    failed = {Position(1, 7, 0), Position(2, 8, 0), Position(2, 6, 0)}
    started = run(Ladder(NINE, "max"), lambda trial: trial.slot, lambda trial: trial in failed)
    assert {trial.slot for trial in started if trial.rung == 1} == {8, 7, 6, 5}
    assert [trial.slot for trial in started if trial.rung == 2] == [8, 6, 5]


def test_all_failing_ends_with_three_draws_a_slot() -> None:
    ladder = Ladder(NINE, "max")
    started = run(ladder, lambda trial: 0.0, lambda trial: True, workers=4)
    assert len(started) == 9 * 3
    assert ladder.finished


def test_all_promotions_failing_ends() -> None:
    """Every network of rung 0 is tried once in rung 1."""
    started = run(Ladder(NINE, "max"), lambda trial: 0.0, lambda trial: trial.rung == 1)
    assert sorted(trial.slot for trial in started if trial.rung == 1) == list(range(9))
    assert not any(trial.rung == 2 for trial in started)


def test_equal_scores_are_promoted_by_slot() -> None:
    started = run(Ladder(NINE, "max"), lambda trial: 0.5)
    assert {trial.slot for trial in started if trial.rung == 1} == {0, 1, 2}
    assert started[-1].slot == 0


def test_smaller_is_better_when_the_direction_is_min() -> None:
    started = run(Ladder(NINE, "min"), lambda trial: trial.slot)
    assert {trial.slot for trial in started if trial.rung == 1} == {0, 1, 2}


def test_infinite_scores_are_ranked_last() -> None:
    started = run(Ladder(NINE, "min"), lambda trial: float("inf") if trial.slot < 6 else trial.slot)
    assert {trial.slot for trial in started if trial.rung == 1} == {6, 7, 8}


def test_a_promotion_is_made_as_soon_as_it_is_certain_and_not_before() -> None:
    """Of 9, three go on: with two unfinished those may take two places, so only the best one is certain."""
    ladder = Ladder(NINE, "max")
    for slot in range(6):
        ladder.start(Position(0, slot, 0))
        ladder.complete(Position(0, slot, 0), slot)
    assert ladder.next() == Position(0, 6, 0)
    ladder.start(Position(0, 6, 0))
    ladder.start(Position(0, 7, 0))
    ladder.start(Position(0, 8, 0))
    assert ladder.next() is None
    assert not ladder.finished
    ladder.complete(Position(0, 6, 0), 2.5)
    assert ladder.next() == Position(1, 5, 0)
    ladder.start(Position(1, 5, 0))
    assert ladder.next() is None
    ladder.complete(Position(0, 7, 0), -1)
    assert ladder.next() == Position(1, 4, 0)


def test_a_failed_draw_is_still_unfinished() -> None:
    """Its slot is drawn again, and the new network may be the best."""
    ladder = Ladder(bracket(2, 1), "max")
    for slot in range(2):
        ladder.start(Position(0, slot, 0))
    ladder.complete(Position(0, 0, 0), 0.9)
    ladder.fail(Position(0, 1, 0))
    assert ladder.next() == Position(0, 1, 1)


def test_a_slot_without_a_network_counts_as_ended() -> None:
    """A small space: two networks for nine slots, and both are promoted."""
    ladder = Ladder(NINE, "max")
    for slot in range(2):
        ladder.start(Position(0, slot, 0))
        ladder.complete(Position(0, slot, 0), slot)
    assert ladder.next() == Position(0, 2, 0)
    for slot in range(2, 9):
        ladder.give_up(slot)
    started = run(ladder, lambda trial: trial.slot)
    assert [(trial.rung, trial.slot) for trial in started] == [(1, 1), (1, 0), (2, 1)]


def test_a_released_trial_starts_again_in_its_place() -> None:
    ladder = Ladder(NINE, "max")
    position = ladder.next()
    assert position is not None
    ladder.start(position)
    ladder.release(position)
    assert ladder.next() == position


@pytest.mark.parametrize("rung", [1, 2])
def test_a_released_promotion_starts_again(rung: int) -> None:
    """As when time ran out in it: nothing else takes its place."""
    ladder = Ladder(bracket(3, 2, 1), "max")
    while (position := ladder.next()) is not None and position.rung < rung:
        ladder.start(position)
        ladder.complete(position, position.slot)
    assert position is not None
    assert position.rung == rung
    ladder.start(position)
    assert ladder.next() != position
    ladder.release(position)
    assert ladder.next() == position


def test_a_new_ladder_is_not_finished() -> None:
    ladder = Ladder(NINE, "max")
    assert not ladder.finished
    ladder.start(Position(0, 0, 0))
    assert not ladder.finished
