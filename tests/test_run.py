"""A stored search, read back without TensorFlow."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from archsearch import UserError, open_run
from archsearch.attempts import Attempts
from archsearch.cli import how_to_extend
from archsearch.continuing import chosen, continued_plan, workers_changed
from archsearch.fitting import RESERVE
from archsearch.plan import Cost, Speed
from archsearch.reporting.summary import final_training, summary
from archsearch.run import BUILT_IN, Run, doubt
from archsearch.run_folder import RunFolder, write_json
from archsearch.settings import SearchSettings, continued, parse_time
from archsearch.trials import Role, Status, TrialRecord
from space.architecture import DOCUMENTED
from space.recipe import MODERN
from tests.records import a_plan, trial

PLAN = a_plan(
    max_epochs=3,
    images_per_epoch=900,
    num_validation=100,
    cost=Cost(1e6, 1e6, 1e6),
    speed=Speed(1e9, 1.0, "measured"),
)
"""Bracket 1: 3 trials of 1 epoch, 1 of 3. Bracket 0: 2 of 3 epochs. With the baseline 7 trials."""


def record(trial_id: str, score: float | None = 0.5, **changes: Any) -> TrialRecord:
    """A trial by its id, such as b1-r0-s2; the baseline by any other."""
    place: dict[str, Any] = {"bracket": None, "rung": None, "slot": None, "iteration": None}
    role, epochs = Role.BASELINE, 3
    if trial_id.startswith("b") and trial_id != "baseline":
        bracket, rung, slot = (int(part[1:]) for part in trial_id.split("-")[:3])
        place = {"bracket": bracket, "rung": rung, "slot": slot, "iteration": 0}
        role, epochs = Role.SEARCH, 3 if bracket == 0 or rung == 1 else 1
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "role": role,
        "score": score,
        "epochs": epochs,
        **place,
        "hyperparameters": {"filters": 16},
        "params": 1_500_000,
        "macs": 2_500_000,
        "seconds": 10.0,
        "elapsed_seconds": 60.0,
        "curve": ({"val_accuracy": score},) if score is not None else (),
        "message": None if score is not None else "ValueError: no",
    }
    return trial(**(values | changes))


ALL = (
    record("baseline", 0.6),
    record("b1-r0-s0", 0.9),
    record("b1-r0-s1", 0.3),
    record("b1-r0-s2", 0.4),
    record("b1-r1-s0", 0.8, parent_trial_id="b1-r0-s0"),
    record("b0-r0-s0", 0.5, hyperparameters={"filters": 16, "head": "dense"}),
    record("b0-r0-s1", 0.7, elapsed_seconds=120.0),
)


def stored(path: Path, *records: TrialRecord, finished: bool = True, **changes: Any) -> Run:
    folder = RunFolder(path)
    settings = SearchSettings(max_epochs=3, max_seconds=None).to_dict() | changes.pop("settings", {})
    description = {
        "settings": settings,
        "plan": PLAN.to_dict(),
        "hypermodel": BUILT_IN,
        "recipe": MODERN.to_dict(),
        "dataset": {"content_hash": "0"},
        "versions": {},
        "machine": {},
        "finished": finished,
    }
    write_json(folder.settings, description | changes)
    for one in records:
        folder.append(one)
    return open_run(path)


def confirmation(of: str, number: int, score: float | None, **changes: Any) -> TrialRecord:
    values = {"role": Role.CONFIRM, "epochs": 3, "parent_trial_id": of, "elapsed_seconds": 150.0}
    place = {"bracket": None, "rung": None, "slot": None, "iteration": None}
    one = record("confirmation", score, **(place | values | changes))
    return dataclasses.replace(one, trial_id=f"{of}-c{number}")


CONFIRMED = (
    confirmation("baseline", 1, 0.60),
    confirmation("baseline", 2, 0.62),
    confirmation("b1-r1-s0", 1, 0.70),
    confirmation("b1-r1-s0", 2, 0.72),
    confirmation("b0-r0-s1", 1, 0.74),
    confirmation("b0-r0-s1", 2, 0.76),
)
"""The second best of the search has the best mean."""

WITH_CONFIRMATIONS = {"plan": dataclasses.replace(PLAN, confirm=2).to_dict()}


def test_no_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"There is no search in {tmp_path}\. Start one with"):
        open_run(tmp_path)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    stored(tmp_path)
    assert open_run(str(tmp_path)).finished


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    run = stored(tmp_path, *ALL)
    assert run.plan == PLAN
    assert run.settings == SearchSettings(max_epochs=3, max_seconds=None)
    assert run.trials == list(ALL)
    assert run.seconds == 120


@pytest.mark.parametrize("precision", ["half", None, ["float32"]])
def test_a_precision_that_there_is_not_is_refused(tmp_path: Path, precision: Any) -> None:
    with pytest.raises(
        UserError, match=r"settings\.json is not what a search .* \(--precision must be one of"
    ):
        _ = stored(tmp_path, precision=precision).stored


def test_a_run_without_trials(tmp_path: Path) -> None:
    run = stored(tmp_path, finished=False)
    assert (run.trials, run.incumbent, run.baseline, run.lift, run.seconds) == ([], None, None, None, 0)
    assert list(summary(run)) == [
        "0 of 7 planned trials completed in 0.0 min.",
        "No trial has completed yet.",
    ]


def test_incumbent_and_lift_are_of_the_top_rung(tmp_path: Path) -> None:
    """0.9 after one epoch does not count; 0.8 against 0.6 on 100 images is 20 points, and 1.96 times
    sqrt((0.16 + 0.24) / 100) is 12.4."""
    run = stored(tmp_path, *ALL)
    assert run.incumbent == ALL[4]
    assert run.baseline == ALL[0]
    assert run.lift is not None
    assert run.lift.points == pytest.approx(20)
    assert (run.lift.low, run.lift.high) == pytest.approx((20 - 12.396, 20 + 12.396), abs=1e-3)
    assert run.lift.num_seeds == 0


def test_a_loss_is_better_when_it_is_smaller(tmp_path: Path) -> None:
    run = stored(tmp_path, *ALL, settings={"objective": "val_loss"})
    assert run.incumbent == ALL[5]


# Confirmations.


def test_incumbent_and_lift_are_those_that_were_confirmed(tmp_path: Path) -> None:
    """0.75 against 0.61: 14 points. The seeds of each differ by 0.02, variance 0.0002, which 4.177 (t of 3
    degrees of freedom, best of two) makes 5.9 points; the split of 100 images, sqrt((0.1875 + 0.2379) / 100)
    times 2.2414, 14.6."""
    run = stored(tmp_path, *ALL, *CONFIRMED, **WITH_CONFIRMATIONS)
    assert run.incumbent == ALL[6]
    assert [each.trial.trial_id for each in run.confirmations] == ["baseline", "b1-r1-s0", "b0-r0-s1"]
    assert run.lift is not None
    assert run.lift.points == pytest.approx(14)
    assert (run.lift.low, run.lift.high) == pytest.approx((14 - 14.619, 14 + 14.619), abs=1e-2)
    assert (run.lift.num_seeds, run.lift.found) == (2, False)


def test_summary_tells_confirmed_means_and_their_scores(tmp_path: Path) -> None:
    lines = list(summary(stored(tmp_path, *ALL, *CONFIRMED, **WITH_CONFIRMATIONS)))
    assert lines == [
        "13 of 13 planned trials completed in 2.5 min.",
        "incumbent: val_accuracy 0.7000 after 3 epochs, trial b0-r0-s1",
        "           confirmed 0.7500, the mean of 0.7400, 0.7600",
        "           2.5 M macs, 1.50 M weights",
        "baseline:  val_accuracy 0.6000 after 3 epochs",
        "           confirmed 0.6100, the mean of 0.6000, 0.6200",
        "           2.5 M macs, 1.50 M weights",
        "           the documented network",
        "lift over the documented network:",
        "           no difference found: +14.0 points (95 % interval -0.6 to 28.6, 2 seeds)",
    ]


def test_summary_tells_rank_correlations(tmp_path: Path) -> None:
    """Of three pairs 1 2 3 against 2 1 3."""
    pairs = [
        record(f"b1-r1-s{slot}", score, parent_trial_id=f"b1-r0-s{slot}")
        for slot, score in ((0, 0.8), (1, 0.7), (2, 0.6))
    ]
    run = stored(tmp_path, *ALL[:4], *pairs)
    [correlation] = run.rank_correlations
    # 0.9, 0.3, 0.4 are the ranks 3 1 2, and 0.8, 0.7, 0.6 are 3 2 1: 1 - 6 x 2 / 24.
    assert correlation.rho == pytest.approx(0.5)
    assert "rank correlation between 1 and 3 epochs: +0.50 over 3 trials" in summary(run)
    assert run.to_status()["rank_correlations"] == [
        {"epochs": 1, "next_epochs": 3, "num_trials": 3, "rho": pytest.approx(0.5)}
    ]


def test_status_of_a_confirmed_run_is_plain_data(tmp_path: Path) -> None:
    status = stored(tmp_path, *ALL, *CONFIRMED, **WITH_CONFIRMATIONS).to_status()
    assert json.loads(json.dumps(status, allow_nan=False, default=list))["confirmed"] == {
        "baseline": {"mean": pytest.approx(0.61), "scores": [0.6, 0.62]},
        "b1-r1-s0": {"mean": pytest.approx(0.71), "scores": [0.7, 0.72]},
        "b0-r0-s1": {"mean": pytest.approx(0.75), "scores": [0.74, 0.76]},
    }
    assert status["trials"]["planned"] == 13


def test_confirmations_that_are_missing_are_a_deviation(tmp_path: Path) -> None:
    failed = confirmation("b0-r0-s1", 2, None)
    run = stored(tmp_path, *ALL, *CONFIRMED[:5], failed, **WITH_CONFIRMATIONS)
    assert list(run.deviations()) == [
        "confirmation: 5 of 6 trials completed",
        "b0-r0-s1-c2 FAILED: ValueError: no",
    ]
    assert run.incumbent == ALL[4]


def test_confirmations_that_were_kept_are_no_deviation(tmp_path: Path) -> None:
    assert list(stored(tmp_path, *ALL, *CONFIRMED, **WITH_CONFIRMATIONS).deviations()) == []


def test_seconds_of_a_trial_under_way_count(tmp_path: Path) -> None:
    """Up to its last epoch."""
    run = stored(tmp_path, *ALL, finished=False)
    assert run.seconds == 120
    attempts = Attempts(run.folder.trial("b0-r0-s2"))
    attempts.begin(125.0)
    attempts.epoch(1, 140.0)
    assert run.seconds == 140


# Deviations.


@pytest.mark.parametrize(
    ("at_top", "expected"),
    [
        # Its time so far, 60 s, and one more pass over both brackets: a trial takes 1 s, an epoch 2.8.
        (False, (60.0 + 3 * 3.8 + 9.4 + 18.8) / (1 - RESERVE)),
        # And the bracket of which only what the search begins with was run.
        (True, 60.0 + 18.8 / (1 - RESERVE)),
    ],
)
def test_the_time_that_extends_a_search_is_that_of_brackets_left_out(
    at_top: bool, expected: float, tmp_path: Path
) -> None:
    run = stored(tmp_path, *ALL[:6], begin_at_top=at_top)
    assert run.seconds_for_another_iteration == pytest.approx(expected)


@pytest.mark.parametrize("spent", [20.0, 70.0, 500.0])
@pytest.mark.parametrize(("confirm", "workers"), [(0, 1), (2, 1), (2, 3)])
def test_the_time_that_is_said_to_extend_a_search_does(
    spent: float, confirm: int, workers: int, tmp_path: Path
) -> None:
    plan = dataclasses.replace(PLAN, confirm=confirm, workers=workers, max_seconds=90.0)
    ended = [dataclasses.replace(each, elapsed_seconds=spent) for each in ALL]
    given = {"settings": {"max_seconds": 90.0, "max_epochs": None}, "plan": plan.to_dict()}
    run = stored(tmp_path, *ended, **given)
    told = how_to_extend(run)
    flag, time, *rest = told.split()
    assert (flag, rest) == ("--max-time", ["extends", "it."])
    more = {"max_seconds": parse_time(time)}
    settings = continued(run.stored["settings"], more, chosen(run.stored))
    assert continued_plan(run.stored, settings, more).iterations > plan.iterations
    assert more["max_seconds"] * (1 - RESERVE) >= spent, "and it is not over before it goes on"


def test_more_time_brings_an_iteration_and_then_the_confirmations_that_were_asked_for(tmp_path: Path) -> None:
    """9.4 s for the baseline, 39.6 s an iteration; to confirm one network 4 x 9.4 = 37.6 s, at most a quarter
    of the time: 151 s."""
    plan = dataclasses.replace(PLAN, confirm=0, max_seconds=90.0)
    given = {"settings": {"max_seconds": 90.0, "max_epochs": None}, "plan": plan.to_dict()}
    run = stored(tmp_path, *ALL, **given)

    def longer(seconds: float, **more: Any) -> tuple[int, int]:
        now = {"max_seconds": seconds / (1 - RESERVE), **more}
        settings = continued(run.stored["settings"], now, chosen(run.stored))
        found = continued_plan(run.stored, settings, now)
        assert found.seconds <= seconds
        return found.iterations, found.confirm

    assert longer(9.4 + 2 * 39.6 + 0.1) == (2, 0)
    assert longer(9.4 + 2 * 39.6 + 37.7) == (2, 0)
    assert longer(0.9 * 151) == (2, 1)
    assert longer(9.4 + 20 * 39.6 + 6 * 9.4 + 0.1) == (20, 2)
    assert longer(9.4 + 20 * 39.6 + 4 * 9.4 + 0.1, confirm=1) == (20, 1)
    write_json(run.folder.settings, {**run.stored, "plan": {**run.stored["plan"], "confirm": 1}})
    run = open_run(tmp_path)
    assert longer(9.4 + 200 * 39.6, confirm=1)[1] == 1, "as given, though two were asked for at first"


def test_where_the_iterations_were_given_another_one_has_to_be_too(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, max_seconds=90.0)
    given = {"settings": {"max_seconds": 90.0, "max_epochs": None, "iterations": 1}, "plan": plan.to_dict()}
    told = how_to_extend(stored(tmp_path / "all", *ALL, **given))
    assert told == "--iterations 2 --max-time 3m extends it."  # (120 + 39.6) / 0.9 = 177.3 s
    given["settings"]["max_seconds"] = 900.0
    given["plan"]["max_seconds"] = 900.0
    assert how_to_extend(stored(tmp_path / "early", *ALL, **given)) == "--iterations 2 extends it."
    assert how_to_extend(stored(tmp_path / "some", *ALL[:5], **given)) == "--max-time 16m extends it."
    assert how_to_extend(stored(tmp_path / "epochs", *ALL)) == "--iterations 2 extends it."


def test_a_plan_that_was_kept_has_no_deviations(tmp_path: Path) -> None:
    assert list(stored(tmp_path, *ALL).deviations()) == []


def test_a_failure_that_was_drawn_again_is_the_only_deviation(tmp_path: Path) -> None:
    failed = record("b1-r0-s1", None)
    again = record("b1-r0-s1-a1", 0.2, attempt=1)
    run = stored(tmp_path, *ALL[:2], failed, again, *ALL[3:])
    assert list(run.deviations()) == ["b1-r0-s1 FAILED: ValueError: no"]


def test_brackets_left_out_and_rungs_not_filled_are_named(tmp_path: Path) -> None:
    timed_out = record("b1-r0-s2", None, status=Status.TIMED_OUT, message="The time is up.")
    run = stored(tmp_path, *ALL[:3], timed_out)
    assert list(run.deviations()) == [
        "bracket b1, 1 epoch: 2 of 3 trials completed",
        "bracket b1, 3 epochs: 0 of 1 trials completed",
        "bracket b0 was not started",
        "b1-r0-s2 TIMED_OUT: The time is up.",
    ]


def test_iterations_are_told_apart(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, iterations=2).to_dict()
    run = stored(tmp_path, *ALL, plan=plan)
    assert list(run.deviations()) == ["bracket i1-b1 was not started", "bracket i1-b0 was not started"]


def test_a_failed_baseline_is_a_deviation(tmp_path: Path) -> None:
    run = stored(tmp_path, record("baseline", None), *ALL[1:])
    assert list(run.deviations()) == ["baseline FAILED: ValueError: no"]
    assert run.lift is None


# In words, and in plain data.


def test_summary_names_incumbent_baseline_and_lift(tmp_path: Path) -> None:
    assert list(summary(stored(tmp_path, *ALL))) == [
        "7 of 7 planned trials completed in 2.0 min.",
        "incumbent: val_accuracy 0.8000 after 3 epochs, trial b1-r1-s0",
        "           2.5 M macs, 1.50 M weights",
        "baseline:  val_accuracy 0.6000 after 3 epochs",
        "           2.5 M macs, 1.50 M weights",
        "           the documented network",
        "lift over the documented network:",
        "           +20.0 points (95 % interval 7.6 to 32.4, of the split alone; not confirmed)",
    ]


def test_summary_tells_how_busy_several_workers_were(tmp_path: Path) -> None:
    """Seven trials of 10 seconds in two minutes."""
    run = stored(tmp_path, *ALL, plan=dataclasses.replace(PLAN, workers=2).to_dict())
    assert list(summary(run))[1] == "2 workers were busy 29 % of the time and saved 0 s against one."


def test_how_busy_workers_were_is_not_told_where_their_number_changed(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, workers=2).to_dict()
    run = stored(tmp_path, *ALL, plan=plan, workers_changed=True)
    assert not any("workers" in line for line in summary(run))
    assert (run.to_status()["workers"], run.to_status()["utilisation"]) == (2, None)


def test_a_number_of_workers_that_changed_once_is_remembered() -> None:
    one, two = PLAN, dataclasses.replace(PLAN, workers=2)
    begun = {"plan": one.to_dict()}
    assert not workers_changed(begun, one)
    assert workers_changed(begun, two)
    assert workers_changed({"plan": two.to_dict(), "workers_changed": True}, two)


def test_summary_draws_the_structure_of_the_incumbent(tmp_path: Path) -> None:
    architecture = DOCUMENTED.to_dict()
    lines = list(summary(stored(tmp_path, record("b0-r0-s0", 0.9, architecture=architecture))))
    assert lines[-2] == "           2x64 2x128 3x256 3x512 3x512 | flatten 512 | dropout 0.50 slope 0.30"
    assert max(len(line) for line in lines[1:-1]) <= 80


@pytest.mark.parametrize(
    ("final_macs", "text"),
    [
        (118_144_800, "in 60 min, widened to 118 M macs"),
        (3_000_000, "in 60 min, widened to 3.0 M macs"),
        (2_000_000, "in 60 min"),
        (0, "in 60 min"),
        (None, "in 60 min"),
    ],
)
def test_the_next_step_says_that_a_network_is_widened_only_where_it_is(
    tmp_path: Path, final_macs: int | None, text: str
) -> None:
    """The one that was found has two million macs."""
    plan = dataclasses.replace(PLAN, final_macs=final_macs).to_dict()
    best = record("b1-r1-s0", 0.8, macs=2_000_000)
    assert final_training(stored(tmp_path, best, plan=plan, settings={"final_seconds": 3600.0})) == text


def test_a_network_whose_weights_are_limited_may_not_be_widened_as_far(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, final_macs=118_144_800, max_params=1_000_000).to_dict()
    run = stored(
        tmp_path, record("b1-r1-s0", 0.8, macs=2_000_000), plan=plan, settings={"final_seconds": 3600.0}
    )
    assert final_training(run) == "in 60 min, widened to at most 118 M macs"


def test_a_network_with_a_width_of_its_own_is_not_said_to_be_widened(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, final_macs=118_144_800).to_dict()
    best = record("b1-r1-s0", 0.8, macs=2_000_000, hyperparameters={"width": 32})
    assert (
        final_training(stored(tmp_path, best, plan=plan, settings={"final_seconds": 3600.0})) == "in 60 min"
    )


def test_summary_names_a_narrowed_baseline(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, baseline_width=0.25).to_dict()
    lines = list(summary(stored(tmp_path, *ALL, plan=plan)))
    assert lines[5] == "           the documented network at width 0.25"


def test_summary_of_a_search_under_way_lists_no_deviations(tmp_path: Path) -> None:
    lines = list(summary(stored(tmp_path, *ALL[:2], finished=False)))
    assert not any("not as planned" in line for line in lines)


@pytest.mark.parametrize(
    "missing", ["settings", "plan", "hypermodel", "recipe", "dataset", "versions", "machine", "finished"]
)
def test_a_file_of_another_version_is_refused_by_name(missing: str, tmp_path: Path) -> None:
    run = stored(tmp_path)
    description = json.loads(run.folder.settings.read_text())
    del description[missing]
    write_json(run.folder.settings, description)
    with pytest.raises(UserError, match=r"settings\.json is not what a search of this version writes"):
        _ = open_run(tmp_path).finished


def test_summary_when_no_structure_did_better(tmp_path: Path) -> None:
    run = stored(tmp_path, record("baseline", 0.95), *ALL[1:])
    assert list(summary(run))[-1] == "No structure did better than the documented network."


def test_summary_of_a_failed_baseline_compares_nothing(tmp_path: Path) -> None:
    run = stored(tmp_path, record("baseline", None), *ALL[1:])
    assert list(summary(run))[-1].startswith("The incumbent cannot be compared with the documented network")


def test_summary_of_nothing_but_failures(tmp_path: Path) -> None:
    run = stored(tmp_path, record("baseline", None), record("b1-r0-s0", None))
    lines = list(summary(run))
    assert lines[0].startswith("0 of 7 planned trials completed")
    assert lines[-1] == "No trial succeeded."


def test_status_is_plain_data(tmp_path: Path) -> None:
    status = stored(tmp_path, *ALL).to_status()
    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert status["trials"] == {"planned": 7, "COMPLETED": 7, "FAILED": 0, "TIMED_OUT": 0}
    assert status["incumbent"]["trial_id"] == "b1-r1-s0"
    assert status["lift_points"] == pytest.approx(20)
    assert status["lift_interval"] == pytest.approx([7.604, 32.396], abs=1e-3)
    assert (status["confirmed"], status["rank_correlations"]) == ({}, [])
    assert status["finished"] is True


def test_status_of_a_run_that_has_just_begun_is_plain_data(tmp_path: Path) -> None:
    status = stored(tmp_path, finished=False).to_status()
    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert status["incumbent"] is status["baseline"] is status["lift_points"] is None
    assert status["lift_interval"] is None


def test_dataframe_has_a_row_a_trial_and_a_column_a_hyperparameter(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    table = stored(tmp_path, *ALL).to_dataframe()
    assert list(table["trial_id"]) == [one.trial_id for one in ALL]
    assert list(table["filters"]) == [16] * 7
    assert table["head"].notna().sum() == 1
    assert table.loc[5, "head"] == "dense"
    assert {"curve", "hyperparameters", "architecture"}.isdisjoint(table.columns)
    assert list(table["epochs"]) == [3, 1, 1, 1, 3, 3, 3]


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, ""),
        ({"settings": {"dataset": "arrays"}, "hypermodel": "mine:Own"}, r", data=\.\.\., hypermodel=\.\.\."),
        ({"settings": {"space": "mine:Own"}, "hypermodel": "mine:Own"}, ""),
    ],
)
def test_without_a_final_training_the_call_that_trains_is_told_in_full(
    changes: dict[str, Any], more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=rf"'best', run='mine', logs='{tmp_path}'{more}\)\.$"):
        stored(tmp_path / "mine", **changes).best_model()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"'best', run='mine'{more}\)\.$"):
        stored(Path("logs/mine"), **changes).best_model()


@pytest.mark.parametrize(
    ("result", "what"),
    [
        ({"trial_id": "b0-r0-s1"}, "of b0-r0-s1, not of the incumbent"),
        ({"trial_id": "b1-r1-s0", "hyperparameters": {"filters": 32}}, "of an earlier search"),
        ({"trial_id": "b1-r1-s0", "dataset": {"content_hash": "1"}}, "of an earlier search"),
    ],
)
def test_a_final_training_of_another_network_is_not_the_best_model(
    result: dict[str, Any], what: str, tmp_path: Path
) -> None:
    run = stored(tmp_path, *ALL)
    folder = run.folder.final("best")
    folder.mkdir(parents=True)
    (folder / "model.keras").touch()
    write_json(folder / "result.json", {"hyperparameters": {"filters": 16}, **result})
    with pytest.raises(UserError, match=rf"is {what}: train the incumbent, with .*, overwrite=True\)\.$"):
        run.best_model()
    assert f"model.keras is {what}: --best --overwrite trains the incumbent." in doubt(run.folder)


def test_a_model_of_the_incumbent_is_not_doubted(tmp_path: Path) -> None:
    run = stored(tmp_path, *ALL)
    assert doubt(run.folder) == "", "no final training"
    model = run.folder.final("best") / "model.keras"
    model.parent.mkdir(parents=True)
    model.touch()
    assert doubt(run.folder) == "", "put there by hand"
    result = {"trial_id": "b1-r1-s0", "hyperparameters": {"filters": 16}}
    write_json(model.with_name("result.json"), result)
    assert run.incumbent is not None
    assert run.incumbent.trial_id == result["trial_id"]
    assert doubt(run.folder) == ""
    model.with_name("result.json").write_text("[")
    assert doubt(run.folder).startswith(f"{model.with_name('result.json')} ")


def test_a_torn_last_line_is_not_a_trial_yet(tmp_path: Path) -> None:
    stored(tmp_path, *ALL[:2])
    with RunFolder(tmp_path).trials.open("ab") as file:
        file.write(b'{"trial_id": "b1-r0')
    assert open_run(tmp_path).trials == list(ALL[:2])


def test_a_damaged_log_is_refused_by_name(tmp_path: Path) -> None:
    run = stored(tmp_path, ALL[0])
    run.folder.trials.write_text("nonsense\n")
    with pytest.raises(UserError, match=rf"{run.folder.trials} is damaged in line 1"):
        _ = open_run(tmp_path).trials
