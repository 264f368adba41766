"""The oracle with trials that only pretend to train: what is drawn, promoted, and found again in the log."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from archsearch.trials import Role, Status, TrialRecord
from tests.records import NOWHERE, trial

if TYPE_CHECKING:
    from archsearch.assignment import Assignment
    from archsearch.oracle import HyperbandOracle

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

Judge = Callable[["Assignment"], float | None]
"""The score of a trial; `None` if it fails."""


def continuous() -> Any:
    """Two numbers: no two draws are the same."""
    import keras_tuner

    space = keras_tuner.HyperParameters()
    space.Float("x", 0.0, 1.0, default=0.5)
    space.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-2)
    return space


def choices(num: int) -> Any:
    """So many different networks."""
    import keras_tuner

    space = keras_tuner.HyperParameters()
    space.Choice("x", list(range(num)), default=0)
    return space


def conditional() -> Any:
    """`depth` means something else with convolutions, and only without them there is a `rate`."""
    import keras_tuner

    space = keras_tuner.HyperParameters()
    space.Choice("kind", ["conv", "dense"])
    with space.conditional_scope("kind", ["conv"]):
        space.Choice("depth", [1, 2, 3])
        space.Boolean("pool")
    with space.conditional_scope("kind", ["dense"]):
        space.Choice("depth", [10, 20])
        space.Float("rate", 0.0, 1.0)
    return space


def only(admits: Any) -> Any:
    """Networks beyond the limits are not narrowed."""
    return lambda values: values if admits(values) else None


def costs(values: dict[str, Any]) -> float:
    return float(values.get("x", 0.0))


def make(space: Any = None, **changes: Any) -> HyperbandOracle:
    from archsearch.oracle import HyperbandOracle

    space = continuous() if space is None else space
    arguments: dict[str, Any] = {"max_epochs": 9, "baseline": {}, "hyperparameters": space, "cost": costs}
    return HyperbandOracle("val_accuracy", **(arguments | changes))


def judged(assignment: Assignment) -> float | None:
    """Depends on values and epochs alone."""
    values = sorted(assignment.values.items())
    return random.Random(f"{values} {assignment.epochs}").random()


def a_fifth_fails(assignment: Assignment) -> float | None:
    return None if random.Random(assignment.trial_id).random() < 0.2 else judged(assignment)


def record_of(assignment: Assignment, score: float | None, status: Status) -> TrialRecord:
    bracket, position = assignment.bracket, assignment.position
    return trial(
        assignment.trial_id,
        score,
        role=assignment.role,
        status=status,
        epochs=assignment.epochs,
        iteration=bracket.iteration if bracket else None,
        bracket=bracket.number if bracket else None,
        rung=position.rung if position else None,
        slot=position.slot if position else None,
        parent_trial_id=assignment.parent_trial_id,
        attempt=assignment.attempt,
        seed=assignment.seed,
        hyperparameters=dict(assignment.values),
    )


def run(
    oracle: HyperbandOracle, judge: Judge = judged, *, workers: int = 1, order: int = 0
) -> list[tuple[Assignment, TrialRecord]]:
    """All trials as they end: the workers ask in turn, and which of them ends next is drawn from `order`."""
    rng = random.Random(order)
    ended: list[tuple[Assignment, TrialRecord]] = []
    running: dict[str, Any] = {}
    while True:
        for worker in map(str, range(workers)):
            if worker not in running:
                trial = oracle.create_trial(worker)
                if trial.status == "RUNNING":
                    running[worker] = trial
                else:
                    assert trial.status == ("IDLE" if running else "STOPPED")
        if not running:
            return ended
        trial = running.pop(rng.choice(sorted(running)))
        assignment = oracle.assignments[trial.trial_id]
        score = judge(assignment)
        if score is not None:
            oracle.update_trial(trial.trial_id, {"val_accuracy": score}, step=assignment.epochs - 1)
        status = Status.FAILED if score is None else Status.COMPLETED
        trial.status = str(status)
        oracle.end_trial(trial)
        ended.append((assignment, record_of(assignment, score, status)))


def assignments(ended: Iterable[tuple[Assignment, TrialRecord]]) -> list[Assignment]:
    return [assignment for assignment, _ in ended]


def by_id(ended: Iterable[tuple[Assignment, TrialRecord]]) -> dict[str, Any]:
    """Everything about every trial, whatever the order."""
    return {
        one.trial_id: (one.epochs, one.seed, dict(one.values), one.attempt, one.parent_trial_id)
        for one, _ in ended
    }


def first_draws(found: Iterable[Assignment]) -> list[tuple[Any, ...]]:
    return [
        tuple(sorted(one.values.items()))
        for one in found
        if one.position is not None and one.position.rung == 0 and one.attempt == 0
    ]


# The order of things.


def test_the_baseline_comes_first_at_full_fidelity() -> None:
    first = run(make(baseline={"x": 0.25}))[0][0]
    assert (first.trial_id, first.role, first.epochs) == ("baseline", Role.BASELINE, 9)
    assert first.values == {"x": 0.25, "rate": 1e-2}
    assert first.position is None


def test_no_baseline_is_none() -> None:
    assert {one.role for one in assignments(run(make(baseline=None)))} == {Role.SEARCH}


def test_the_plan_is_what_happens() -> None:
    """9 -> 3 -> 1, then 5 -> 2, then 3, by epochs and in brackets' order."""
    found = assignments(run(make()))
    brackets = [one.bracket.number for one in found if one.bracket is not None]
    assert brackets == [2] * 13 + [1] * 7 + [0] * 3
    assert Counter(one.trial_id.rsplit("-", 1)[0] for one in found[1:]) == {
        **{"b2-r0": 9, "b2-r1": 3, "b2-r2": 1},
        **{"b1-r0": 5, "b1-r1": 2, "b0-r0": 3},
    }
    assert sum(one.epochs for one in found[1:]) == 87


def test_the_best_are_promoted_with_their_values() -> None:
    ended = run(make())
    score = {one.trial_id: record.score for one, record in ended}
    values = {one.trial_id: one.values for one, _ in ended}
    rung_0 = sorted((name for name in score if name.startswith("b2-r0")), key=lambda name: -score[name])
    promoted = {one.parent_trial_id for one, _ in ended if one.trial_id.startswith("b2-r1")}
    assert promoted == set(rung_0[:3])
    for one, _ in ended:
        if one.parent_trial_id is not None:
            assert one.values == values[one.parent_trial_id]


def test_seeds_differ_from_trial_to_trial() -> None:
    seeds = [one.seed for one in assignments(run(make()))]
    assert len(set(seeds)) == 24
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_single_worker_takes_bracket_after_bracket_and_slot_after_slot() -> None:
    found = assignments(run(make(iterations=3)))[1:]
    places = [(one.plan_order[:2], one.plan_order[3]) for one in found if one.plan_order[2] == 0]
    assert places == sorted(places)
    assert [one.plan_order[:2] for one in found] == sorted(one.plan_order[:2] for one in found)


def test_the_cheapest_that_lead_to_no_promotion_wait_for_the_end() -> None:
    """Two workers, of which one trains the baseline to the end: two networks wait until no other is left."""
    oracle = make(max_epochs=1, iterations=6)
    oracle.draws.begin([{"x": cost, "rate": 0.1} for cost in (0.5, 0.1, 0.4, 0.2, 0.6, 0.3)])
    oracle.create_trial("a")
    found = []
    while (running := oracle.create_trial("b")).status == "RUNNING":
        found.append(oracle.assignments[running.trial_id].values["x"])
        oracle.update_trial(running.trial_id, {"val_accuracy": 0.5})
        running.status = "COMPLETED"
        oracle.end_trial(running)
    assert found == [0.5, 0.4, 0.6, 0.3, 0.2, 0.1]


def test_many_workers_begin_later_promotions_before_what_leads_to_none() -> None:
    """3 networks -> 1, then 2 that are trained in full at once; two times."""
    oracle = make(max_epochs=3, iterations=2)
    found = [oracle.create_trial(str(worker)).trial_id.partition("-s")[0] for worker in range(11)]
    assert found == ["baseline", *["b1-r0"] * 3, *["i1-b1-r0"] * 3, *found[7:]]
    assert sorted(found[7:]) == ["b0-r0", "b0-r0", "i1-b0-r0", "i1-b0-r0"]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_first_network_begun_with_is_trained_in_full_before_few_epochs_could_throw_it_out(
    workers: int,
) -> None:
    begun_with = [{"x": 0.5, "rate": 0.1}, {"x": 0.4, "rate": 0.1}]
    oracle = make()
    oracle.draws.begin(begun_with)
    trials = {one.trial_id: one for one in assignments(run(oracle, workers=workers))}
    assert oracle.start_order[:3] == ["baseline", "b0-r0-s0", "b2-r0-s0"]
    assert (trials["b0-r0-s0"].values, trials["b0-r0-s0"].epochs) == (begun_with[0], 9)
    assert trials["b2-r0-s0"].values == begun_with[1]
    plain = {one.trial_id: one for one in assignments(run(make()))}
    of_slots = [name for name, one in plain.items() if one.position and one.position.rung == 0]
    changed = {name for name in of_slots if trials[name].values != plain[name].values}
    assert changed == {name for name in of_slots if int(name[-1]) % 2 == 0}, "the others are near them"
    assert not {name for name in of_slots if trials[name].epochs != plain[name].epochs}


@pytest.mark.parametrize("num_done", [1, 2, 3, 20, 24])
@pytest.mark.parametrize("iterations", [1, 2])
def test_what_a_search_begins_with_stays_when_it_goes_on_and_when_it_is_extended(
    num_done: int, iterations: int
) -> None:
    def begun(**changes: Any) -> HyperbandOracle:
        oracle = make(**changes)
        oracle.draws.begin([{"x": 0.5, "rate": 0.1}, {"x": 0.4, "rate": 0.1}])
        return oracle

    before, whole = run(begun()), run(begun(iterations=iterations))
    oracle = begun(iterations=iterations)
    oracle.replay([record for _, record in before[:num_done]])
    assert by_id([*before[:num_done], *run(oracle)]) == by_id(whole)


def test_when_the_first_network_begun_with_fails_its_slot_waits_for_its_turn() -> None:
    oracle = make(max_epochs=3)
    oracle.draws.begin([{"x": 0.5, "rate": 0.1}])
    found = assignments(run(oracle, lambda one: None if one.values.get("x") == 0.5 else 0.5))
    assert [one.trial_id for one in found][:3] == ["baseline", "b0-r0-s0", "b1-r0-s0"]
    assert "b0-r0-s0-a1" in [one.trial_id for one in found][3:]


# Draws.


@pytest.mark.parametrize("space", [continuous, conditional, lambda: choices(40)], ids=["numbers", "if", "40"])
@pytest.mark.parametrize("workers", [2, 8])
def test_trials_are_the_same_for_any_number_of_workers(space: Callable[[], Any], workers: int) -> None:
    alone = by_id(run(make(space(), iterations=2), a_fifth_fails))
    for order in range(3):
        found = run(make(space(), iterations=2), a_fifth_fails, workers=workers, order=order)
        assert by_id(found) == alone


def test_draws_do_not_depend_on_scores() -> None:
    one = first_draws(assignments(run(make())))
    other = first_draws(assignments(run(make(), lambda assignment: -(judged(assignment) or 0))))
    assert one == other


def test_draws_of_an_iteration_do_not_depend_on_how_many_follow() -> None:
    one, three = by_id(run(make(), a_fifth_fails)), by_id(run(make(iterations=3), a_fifth_fails))
    assert {name: three[name] for name in one} == one
    assert len(three) > 3 * 23


def test_seed_0_is_a_seed_and_others_differ() -> None:
    draws = [tuple(first_draws(assignments(run(make(seed=seed))))) for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def test_no_two_first_draws_are_the_same_nor_that_of_the_baseline() -> None:
    """18 networks for 17 slots and the baseline."""
    found = assignments(run(make(choices(18))))
    draws = first_draws(found)
    assert sorted(draws) == [(("x", number),) for number in range(1, 18)]


def test_redraws_differ_from_all_first_draws_and_from_the_baseline() -> None:
    """Of 24 networks the baseline takes one and the slots 17; where half of all draws fail, six are left."""

    def half_fails(assignment: Assignment) -> float | None:
        return None if random.Random(assignment.trial_id).random() < 0.5 else judged(assignment)

    found = [one for one in assignments(run(make(choices(24)), half_fails)) if one.position is not None]
    first = {one.values["x"] for one in found if one.attempt == 0}
    redraws = [one for one in found if one.attempt > 0]
    assert len(first) == 17
    assert redraws
    assert {one.values["x"] for one in redraws}.isdisjoint(first | {0})
    for slot in {(one.bracket, one.position.slot) for one in redraws if one.position is not None}:
        own = [
            one.values["x"]
            for one in redraws
            if one.position is not None and (one.bracket, one.position.slot, one.position.rung) == (*slot, 0)
        ]
        assert len(own) == len(set(own))


def test_only_active_hyperparameters_are_drawn() -> None:
    for one in assignments(run(make(conditional()))):
        if one.values["kind"] == "conv":
            assert set(one.values) == {"kind", "depth", "pool"}
            assert one.values["depth"] in (1, 2, 3)
        else:
            assert set(one.values) == {"kind", "depth", "rate"}
            assert one.values["depth"] in (10, 20)


def test_values_that_are_not_active_make_no_network_another() -> None:
    """With a pool or without, and then of two kinds: three networks, one of them the baseline's."""
    import keras_tuner

    space = keras_tuner.HyperParameters()
    space.Boolean("pool")
    with space.conditional_scope("pool", [True]):
        space.Choice("kind", ["max", "average"])
    found = assignments(run(make(space, max_epochs=3)))
    assert sorted(first_draws(found)) == [
        (("kind", "average"), ("pool", True)),
        (("kind", "max"), ("pool", True)),
    ]


# Limits.


def test_networks_beyond_the_limits_take_no_slot() -> None:
    found = assignments(run(make(fit=only(lambda values: values["x"] < 0.1))))
    assert len(found) == 24
    assert all(one.values["x"] < 0.1 for one in found[1:])


def test_redraws_keep_the_limits() -> None:
    found = assignments(run(make(fit=only(lambda values: values["x"] > 0.9)), lambda assignment: None))
    assert len(found) == 1 + 17 * 3
    assert all(one.values["x"] > 0.9 for one in found[1:])


def test_where_nothing_is_admitted_only_the_baseline_runs() -> None:
    found = assignments(run(make(choices(3), max_epochs=3, fit=only(lambda values: False))))
    assert [one.trial_id for one in found] == ["baseline"]


# Small spaces.


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("networks", "rungs"), [(1, [0, 0, 0]), (2, [1, 1, 1]), (3, [2, 2, 1]), (5, [4, 3, 1]), (10, [9, 3, 1])]
)
def test_a_small_space_finishes_with_its_promotions(networks: int, rungs: list[int], workers: int) -> None:
    """The baseline has one of the networks; all others go to the first bracket."""
    found = assignments(run(make(choices(networks)), workers=workers))
    assert [sum(one.trial_id.startswith(f"b2-r{rung}") for one in found) for rung in range(3)] == rungs
    assert len(found) == 1 + sum(rungs)


def test_the_last_brackets_of_a_small_space_promote_too() -> None:
    """13 networks: the baseline's, nine for bracket 2, three of five for bracket 1, none for bracket 0."""
    found = [one.trial_id for one in assignments(run(make(choices(13))))]
    assert sum(name.startswith("b1-r0") for name in found) == 3
    assert sum(name.startswith("b1-r1") for name in found) == 2
    assert not any(name.startswith("b0") for name in found)


def test_a_small_space_where_everything_fails_ends() -> None:
    """Three networks, two for slots; a failed slot finds none left to draw."""
    found = assignments(run(make(choices(3)), lambda assignment: None))
    assert [one.trial_id for one in found] == ["baseline", "b2-r0-s0", "b2-r0-s1"]


# Scores and failures.


def test_a_failed_baseline_is_not_tried_again() -> None:
    ended = run(make(), lambda one: None if one.role is Role.BASELINE else judged(one))
    assert [one.trial_id for one in assignments(ended)].count("baseline") == 1
    assert len(ended) == 24


def test_ten_failures_in_a_row_end_nothing() -> None:
    """Keras Tuner gives up after three."""
    ended = run(make(), lambda one: None if one.attempt == 0 and one.position is not None else judged(one))
    completed = [record for _, record in ended if record.status is Status.COMPLETED]
    assert len(completed) == 24


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")  # Keras Tuner looks for the best of one NaN
def test_a_score_that_is_no_number_is_a_failure() -> None:
    oracle = make()
    ended = run(oracle, lambda one: float("nan") if one.trial_id == "b2-r0-s4" else judged(one))
    assert oracle.trials["b2-r0-s4"].status == "FAILED"
    assert "b2-r0-s4-a1" in [one.trial_id for one in assignments(ended)]
    assert "b2-r1-s4" not in [one.trial_id for one in assignments(ended)]


def test_the_score_is_that_of_the_last_epoch_not_of_the_best() -> None:
    oracle = make()
    trial = oracle.create_trial("0")
    for step, value in enumerate([0.1, 0.9, 0.4]):
        oracle.update_trial(trial.trial_id, {"val_accuracy": value}, step=step)
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    assert (oracle.trials["baseline"].score, oracle.trials["baseline"].best_step) == (0.4, 2)


def test_a_loss_is_better_when_it_is_smaller() -> None:
    import keras_tuner

    from archsearch.oracle import HyperbandOracle

    def losses(assignment: Assignment) -> float:
        return float(assignment.position.slot if assignment.position else 9)

    objective = keras_tuner.Objective("val_accuracy", "min")
    oracle = HyperbandOracle(objective, max_epochs=9, hyperparameters=continuous())
    found = [one.trial_id for one in assignments(run(oracle, losses))]
    assert {"b2-r1-s0", "b2-r1-s1", "b2-r1-s2", "b2-r2-s0"} <= set(found)


def test_a_worker_that_asks_again_gets_its_trial_again() -> None:
    oracle = make()
    assert oracle.create_trial("a").trial_id == oracle.create_trial("a").trial_id == "baseline"
    assert oracle.create_trial("b").trial_id == "b2-r0-s0"


def test_a_trial_that_ran_out_of_time_is_open_again() -> None:
    oracle = make()
    for name in ("baseline", "b2-r0-s0"):
        for _ in range(2):
            trial = oracle.create_trial("0")
            assert trial.trial_id == name
            oracle.end_trial(trial)
            assert oracle.trials.keys().isdisjoint({name})
        trial = oracle.create_trial("0")
        oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert oracle.create_trial("0").trial_id == "b2-r0-s1"


def test_a_dropped_bracket_changes_no_other() -> None:
    oracle = make()
    oracle.dropped.add("b2")
    whole = by_id(run(make()))
    assert by_id(run(oracle)) == {name: one for name, one in whole.items() if not name.startswith("b2")}


def test_keras_tuner_reads_the_fidelity_from_the_values() -> None:
    oracle = make()
    run(oracle)
    for each in oracle.trials.values():
        assignment = oracle.assignments[each.trial_id]
        assert each.hyperparameters.get("tuner/epochs") == assignment.epochs
        assert each.hyperparameters.get("tuner/initial_epoch") == 0


def test_the_oracle_writes_no_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(make(choices(3)))
    assert list(tmp_path.iterdir()) == []


# Continuing.


def continued(records: Sequence[TrialRecord], space: Any, judge: Judge, **changes: Any) -> dict[str, Any]:
    """Trials of a new oracle that finds these records."""
    oracle = make(space, **changes)
    oracle.replay(records)
    return by_id(run(oracle, judge))


@pytest.mark.parametrize(
    ("space", "workers"),
    [(continuous, 1), (continuous, 8), (conditional, 4), (lambda: choices(5), 2), (lambda: choices(30), 4)],
    ids=["numbers", "numbers, 8 workers", "if", "5", "30"],
)
def test_every_prefix_of_the_log_continues_to_the_same_trials(space: Callable[[], Any], workers: int) -> None:
    ended = run(make(space()), a_fifth_fails, workers=workers, order=1)
    whole = by_id(ended)
    for length in range(len(ended) + 1):
        before, records = by_id(ended[:length]), [record for _, record in ended[:length]]
        after = continued(records, space(), a_fifth_fails)
        assert before.keys().isdisjoint(after), "a finished trial ran again"
        assert before | after == whole


def test_every_prefix_continues_where_the_next_trial_ran_out_of_time() -> None:
    ended = run(make(), a_fifth_fails)
    whole = by_id(ended)
    for length in range(len(ended)):
        records = [record for _, record in ended[:length]]
        records.append(record_of(ended[length][0], None, Status.TIMED_OUT))
        after = continued(records, continuous(), a_fifth_fails)
        assert by_id(ended[:length]) | after == whole
        assert after.keys().isdisjoint(by_id(ended[:length]))


def test_a_finished_log_leaves_nothing_and_more_iterations_go_on() -> None:
    ended = run(make(), a_fifth_fails)
    records = [record for _, record in ended]
    assert continued(records, continuous(), a_fifth_fails) == {}
    after = continued(records, continuous(), a_fifth_fails, iterations=2)
    assert by_id(ended) | after == by_id(run(make(iterations=2), a_fifth_fails))
    assert all(name.startswith("i1-") for name in after)


def test_replay_knows_trials_scores_and_their_order() -> None:
    ended = run(make(), a_fifth_fails)
    oracle = make()
    oracle.replay(record for _, record in ended)
    assert list(oracle.end_order) == [one.trial_id for one, _ in ended]
    best = max((record.score, one.trial_id) for one, record in ended if record.score is not None)
    assert oracle.get_best_trials()[0].trial_id == best[1]


def test_confirmations_in_the_log_take_no_part_in_the_search() -> None:
    """They stand there before the end where time was short once, and there is more now."""
    ended = run(make())
    records = [record for _, record in ended[:5]]
    confirmation = trial(
        **(vars(records[1]) | NOWHERE | {"trial_id": f"{records[1].trial_id}-c1", "role": Role.CONFIRM})
    )
    assert continued([*records, confirmation], continuous(), judged) == (
        continued(records, continuous(), judged)
    )


# Confirmations.


def ordered(assignment: Assignment) -> float:
    """Bracket 2 is better than 1 and that than 0; in each, the lower slot is."""
    if assignment.bracket is None or assignment.position is None:
        return 0.4
    return assignment.bracket.number / 10 - assignment.position.slot / 1000


CONFIRMED = [
    *("baseline-c1", "baseline-c2"),
    *("b2-r2-s0-c1", "b2-r2-s0-c2"),
    *("b1-r1-s0-c1", "b1-r1-s0-c2"),
]


def ids(ended: Iterable[tuple[Assignment, TrialRecord]]) -> list[str]:
    return [assignment.trial_id for assignment, _ in ended]


def test_the_best_and_the_baseline_are_confirmed_after_the_last_bracket() -> None:
    ended = run(make(confirm=2), ordered)
    assert ids(ended)[24:] == CONFIRMED
    assert ids(ended)[:24] == ids(run(make(), ordered))


def test_the_lowest_loss_is_confirmed() -> None:
    import keras_tuner

    from archsearch.oracle import HyperbandOracle

    objective = keras_tuner.Objective("val_accuracy", "min")
    oracle = HyperbandOracle(objective, max_epochs=9, confirm=1, hyperparameters=continuous())
    assert ids(run(oracle, ordered))[-2:] == ["b0-r0-s2-c1", "b0-r0-s2-c2"]


def test_a_confirmation_trains_the_same_values_in_full_with_a_fresh_seed() -> None:
    ended = run(make(confirm=2), ordered)
    by_name = {assignment.trial_id: assignment for assignment, _ in ended}
    for name in CONFIRMED:
        confirmation, parent = by_name[name], by_name[name.rpartition("-")[0]]
        assert confirmation.role is Role.CONFIRM
        assert confirmation.values == parent.values
        assert confirmation.parent_trial_id == parent.trial_id
        assert confirmation.epochs == 9
        assert (confirmation.bracket, confirmation.position, confirmation.attempt) == (None, None, 0)
    assert len({assignment.seed for assignment in by_name.values()}) == 30


def test_seeds_of_confirmations_depend_on_the_seed_of_the_search() -> None:
    seeds = [
        [one.seed for one in assignments(run(make(confirm=1, seed=seed), ordered))[24:]] for seed in (0, 0, 1)
    ]
    assert seeds[0] == seeds[1]
    assert set(seeds[0]).isdisjoint(seeds[2])


def test_no_network_to_confirm_is_no_confirmation() -> None:
    assert len(run(make(confirm=0))) == 24
    only_the_baseline = run(make(confirm=2), lambda one: 0.5 if one.role is Role.BASELINE else None)
    assert {one.role for one in assignments(only_the_baseline)} == {Role.BASELINE, Role.SEARCH}


def test_without_a_baseline_the_best_are_confirmed_alone() -> None:
    def baseline_fails(assignment: Assignment) -> float | None:
        return None if assignment.role is Role.BASELINE else ordered(assignment)

    assert ids(run(make(confirm=2), baseline_fails))[24:] == CONFIRMED[2:]
    assert ids(run(make(confirm=2, baseline=None), ordered))[23:] == CONFIRMED[2:]


def test_a_failed_confirmation_is_not_tried_again() -> None:
    def seed_fails(assignment: Assignment) -> float | None:
        return None if assignment.trial_id.endswith("c1") else ordered(assignment)

    assert ids(run(make(confirm=2), seed_fails))[24:] == CONFIRMED


def test_fewer_networks_than_are_to_be_confirmed() -> None:
    """Three networks, two of them for slots of bracket 2; one of them is promoted twice, and confirmed."""
    ended = run(make(choices(3), confirm=5))
    names = [name for name in ids(ended) if "-c" in name]
    assert len(names) == 4
    assert names[:2] == ["baseline-c1", "baseline-c2"]


@pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning")  # Keras Tuner looks for the best of one NaN
def test_a_score_that_is_no_number_is_not_confirmed() -> None:
    def judge(assignment: Assignment) -> float | None:
        return float("nan") if assignment.trial_id == "b2-r2-s0" else ordered(assignment)

    names = ids(run(make(confirm=1), judge))
    assert "b2-r2-s1" in names
    assert names[-2:] == ["b2-r2-s1-c1", "b2-r2-s1-c2"]


def test_confirmations_wait_for_the_last_score_of_the_search() -> None:
    oracle = make(max_epochs=1, confirm=1)
    baseline, only = oracle.create_trial("a"), oracle.create_trial("b")
    assert (baseline.trial_id, only.trial_id) == ("baseline", "b0-r0-s0")
    oracle.update_trial("baseline", {"val_accuracy": 0.5})
    baseline.status = "COMPLETED"
    oracle.end_trial(baseline)
    assert oracle.create_trial("a").status == "IDLE"
    oracle.update_trial("b0-r0-s0", {"val_accuracy": 0.5})
    only.status = "COMPLETED"
    oracle.end_trial(only)
    assert [oracle.create_trial(name).trial_id for name in "abcd"] == [
        *("baseline-c1", "baseline-c2", "b0-r0-s0-c1", "b0-r0-s0-c2")
    ]
    assert oracle.create_trial("e").status == "IDLE"


def test_an_idle_worker_confirms_the_baseline_while_the_search_goes_on() -> None:
    """One network has completed, so that there will be one to compare with; which one is not known yet."""
    oracle = make(max_epochs=1, iterations=2, confirm=1)
    running = [oracle.create_trial(name) for name in "abc"]
    for ended in running[:2]:
        oracle.update_trial(ended.trial_id, {"val_accuracy": 0.5})
        ended.status = "COMPLETED"
        oracle.end_trial(ended)
    early = [oracle.create_trial(name) for name in "abd"]
    assert [each.trial_id for each in early[:2]] == ["baseline-c1", "baseline-c2"]
    assert early[2].status == "IDLE"
    oracle.update_trial(running[2].trial_id, {"val_accuracy": 0.6})
    running[2].status = "COMPLETED"
    oracle.end_trial(running[2])
    assert [oracle.create_trial(name).trial_id for name in "cd"] == [
        f"{running[2].trial_id}-c1",
        f"{running[2].trial_id}-c2",
    ]
    assert oracle.num_confirmed == 2, "another network may lead when the search is extended"


def test_confirmations_come_next_when_the_search_is_over() -> None:
    oracle = make(confirm=2)
    ended = run(make(confirm=2), ordered)[:14]  # to the end of bracket 2
    oracle.replay(record for _, record in ended)
    oracle.searching_over = True
    assert ids(run(oracle, ordered)) == CONFIRMED[:4]
    oracle.searching_over = False
    assert ids(run(oracle, ordered))[-2:] == CONFIRMED[4:]


def test_where_time_was_short_the_highest_rung_reached_is_confirmed_in_full() -> None:
    oracle = make(confirm=1)
    oracle.replay(record for _, record in run(make(), ordered)[:10])
    oracle.searching_over = True
    confirmations = assignments(run(oracle, ordered))
    assert [one.trial_id for one in confirmations][2:] == ["b2-r1-s0-c1", "b2-r1-s0-c2"]
    assert {one.epochs for one in confirmations} == {9}


@pytest.mark.parametrize("workers", [2, 8])
def test_the_same_networks_are_confirmed_for_any_number_of_workers(workers: int) -> None:
    alone = by_id(run(make(confirm=3), a_fifth_fails))
    for order in range(3):
        assert by_id(run(make(confirm=3), a_fifth_fails, workers=workers, order=order)) == alone


def test_of_equal_scores_the_same_are_confirmed_whatever_ended_first() -> None:
    alone = by_id(run(make(confirm=2), lambda one: 0.5))
    for order in range(5):
        assert by_id(run(make(confirm=2), lambda one: 0.5, workers=4, order=order)) == alone


@pytest.mark.parametrize("workers", [1, 4])
def test_every_prefix_of_a_log_with_confirmations_continues_to_the_same_trials(workers: int) -> None:
    ended = run(make(confirm=2), a_fifth_fails, workers=workers, order=1)
    whole = by_id(ended)
    for length in range(len(ended) + 1):
        records = [record for _, record in ended[:length]]
        after = continued(records, continuous(), a_fifth_fails, confirm=2)
        assert by_id(ended[:length]).keys().isdisjoint(after)
        assert by_id(ended[:length]) | after == whole
        if length < len(ended):
            records.append(record_of(ended[length][0], None, Status.TIMED_OUT))
            after = continued(records, continuous(), a_fifth_fails, confirm=2)
            assert by_id(ended[:length]) | after == whole


def test_more_confirmations_go_on_where_the_log_ends() -> None:
    records = [record for _, record in run(make(confirm=1), ordered)]
    assert list(continued(records, continuous(), ordered, confirm=2)) == CONFIRMED[4:]
