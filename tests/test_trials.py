"""Records, the log that holds them, the incumbent and its lift."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from archsearch import trials
from archsearch.errors import UserError
from archsearch.trials import Lift, Role, Status, TrialRecord, lift, read_records

NAN, INFINITY = float("nan"), float("inf")


def record(
    trial_id: str = "b2-r0-s0", score: float | None = 0.5, epochs: int = 1, **changes: Any
) -> TrialRecord:
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "role": Role.SEARCH,
        "status": Status.COMPLETED if score is not None else Status.FAILED,
        "score": score,
        "epochs": epochs,
        "bracket": 2,
        "rung": 0,
        "slot": 0,
        "iteration": 0,
        "parent_trial_id": None,
        "attempt": 0,
        "seed": 7,
        "hyperparameters": {"num_blocks": 3, "dropout": 0.25, "head": "dense", "wide": True},
        "architecture": {"convs": [1, 2], "filters": [16, 32]},
        "params": 100,
        "macs": 200,
        "seconds": 1.5,
        "elapsed_seconds": 20.0,
        "curve": ({"val_accuracy": 0.5, "val_loss": 1.25},),
        "worker": "0",
        "message": None,
    }
    return TrialRecord(**(values | changes))


def baseline_record(score: float | None, epochs: int = 9, **changes: Any) -> TrialRecord:
    place = {"role": Role.BASELINE, "iteration": None, "bracket": None, "rung": None, "slot": None}
    return record("baseline", score, epochs, **place, **changes)


def write(path: Path, *records: TrialRecord, tail: bytes = b"") -> Path:
    path.write_bytes("".join(one.to_json() + "\n" for one in records).encode() + tail)
    return path


# One line.


@pytest.mark.parametrize(
    "one",
    [
        record(),
        record(score=None, message="Out of memory: größer als 2 GB,\nsays \x00 \u2028 \U0001f600"),
        record(status=Status.TIMED_OUT, score=None, curve=()),
        record("b2-r1-s0-a2", 0.1, 3, rung=1, parent_trial_id="b2-r0-s0-a2", attempt=2),
        baseline_record(0.75),
    ],
)
def test_a_record_comes_back_the_same(one: TrialRecord) -> None:
    line = one.to_json()
    assert "\n" not in line
    assert TrialRecord.from_json(line) == one


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
def test_what_is_not_finite_is_null_in_the_file(value: float) -> None:
    one = record(curve=({"val_accuracy": 0.5, "loss": value}, {"loss": 2.0}), hyperparameters={"a": [value]})
    read = TrialRecord.from_json(one.to_json())
    assert read.curve == ({"val_accuracy": 0.5, "loss": None}, {"loss": 2.0})
    assert read.hyperparameters == {"a": [None]}


def test_keys_of_a_later_version_are_ignored() -> None:
    line = json.dumps(record().to_dict() | {"mood": "good"})
    assert TrialRecord.from_json(line) == record()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "without architecture, attempt, bracket, "),
        (json.dumps(record().to_dict() | {"status": "FINE"}), "'FINE' is not a valid Status"),
        (json.dumps(record().to_dict() | {"role": "friend"}), "'friend' is not a valid Role"),
        ('{"trial_id": "b2', "Unterminated string"),
    ],
)
def test_refuses_a_line_that_is_no_record(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrialRecord.from_json(line)


def test_place_is_none_outside_the_brackets() -> None:
    assert baseline_record(0.5).place is None
    assert record().place == (0, 2, 0, 0)


# The log.


def test_no_file_is_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "trials.jsonl") == ([], False)


def test_an_empty_file_is_no_records(tmp_path: Path) -> None:
    assert read_records(write(tmp_path / "log")) == ([], False)


def test_records_come_in_the_order_they_ended(tmp_path: Path) -> None:
    records = [record("c"), record("a"), record("b", None)]
    assert read_records(write(tmp_path / "log", *records)) == (records, False)


def test_the_last_line_of_a_trial_counts_and_takes_its_place_in_the_order(tmp_path: Path) -> None:
    timed_out = record("a", None, status=Status.TIMED_OUT)
    again = record("a", 0.75)
    path = write(tmp_path / "log", timed_out, record("b"), again)
    assert read_records(path) == ([record("b"), again], False)


def test_a_line_torn_anywhere_is_left_out(tmp_path: Path) -> None:
    """Whole, but without its line end, is torn too: the next line would be appended to it."""
    line = record("b").to_json().encode()
    for length in range(1, len(line) + 1):
        path = write(tmp_path / "log", record("a"), tail=line[:length])
        assert read_records(path) == ([record("a")], True)


@pytest.mark.parametrize("tail", [b"\x00\x00\x00", b"\xff\xfe", "größer".encode()[:3]])
def test_bytes_that_are_no_text_at_the_end_are_left_out(tmp_path: Path, tail: bytes) -> None:
    assert read_records(write(tmp_path / "log", record("a"), tail=tail)) == ([record("a")], True)


@pytest.mark.parametrize(
    "bad", ["{", "\x00\x00", "{}", '{"trial_id": 1}', "[]", "NaN", record("b").to_json()[:-1], " "]
)
def test_a_damaged_line_before_the_last_is_refused_by_file_and_number(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "log"
    path.write_text(f"{record('a').to_json()}\n{bad}\n{record('c').to_json()}\n")
    with pytest.raises(UserError, match=rf"{path} is damaged in line 2 .*--overwrite"):
        read_records(path)


def test_a_damaged_whole_last_line_is_refused(tmp_path: Path) -> None:
    """It ends with a line end, so it was not torn by a kill."""
    with pytest.raises(UserError, match="damaged in line 2"):
        read_records(write(tmp_path / "log", record("a"), tail=b"{\n"))


def test_line_ends_of_windows_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(record("a").to_json().encode() + b"\r\n")
    assert read_records(path) == ([record("a")], False)


# The incumbent.


def test_no_records_have_no_incumbent() -> None:
    assert trials.incumbent([], "max") is None


def test_incumbent_ignores_a_better_score_on_a_lower_rung() -> None:
    low, high = record("low", 0.9, 3), record("high", 0.1, 9)
    assert trials.incumbent([low, high], "max") is high
    assert trials.incumbent([high, low], "max") is high


@pytest.mark.parametrize(("direction", "best"), [("max", "b"), ("min", "a")])
def test_incumbent_follows_the_direction(direction: str, best: str) -> None:
    found = trials.incumbent([record("a", 0.1), record("b", 0.9), record("c", 0.5)], direction)
    assert found is not None
    assert found.trial_id == best


@pytest.mark.parametrize("direction", ["max", "min"])
def test_of_equals_the_earlier_is_the_incumbent(direction: str) -> None:
    first = record("first", 0.5)
    assert trials.incumbent([first, record("second", 0.5)], direction) is first


def test_the_baseline_can_be_the_incumbent() -> None:
    base = baseline_record(0.6)
    assert trials.incumbent([base, record("a", 0.9, 3), record("b", 0.5, 9)], "max") is base


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMED_OUT])
def test_what_did_not_complete_is_never_the_incumbent(status: Status) -> None:
    unfinished = record("unfinished", None, 27, status=status, curve=({"val_accuracy": 0.99},))
    done = record("done", 0.1, 1)
    assert trials.incumbent([unfinished], "max") is None
    assert trials.incumbent([unfinished, done], "max") is done


def test_a_score_of_zero_counts() -> None:
    zero = record("zero", 0.0)
    assert trials.incumbent([zero], "min") is zero
    assert trials.incumbent([record("one", 1.0), zero], "min") is zero


def test_a_completed_record_without_a_score_hides_no_other() -> None:
    assert trials.incumbent([record("none", None, 9, status=Status.COMPLETED), record("a", 0.5, 3)], "max")


def test_baseline_is_the_completed_one() -> None:
    base = baseline_record(0.6)
    assert trials.baseline([record("a"), base]) is base
    assert trials.baseline([record("a"), baseline_record(None)]) is None


# Lift.


def at(accuracy: float, epochs: int = 9) -> TrialRecord:
    return record("a", accuracy, epochs, curve=({"val_accuracy": 0.0}, {"val_accuracy": accuracy}))


def test_lift_by_hand() -> None:
    """0.9 against 0.8 on 1,000 images: sqrt((0.09 + 0.16) / 1000) = 0.0158."""
    found = lift(at(0.9), at(0.8), 1000)
    assert found is not None
    assert found.points == pytest.approx(10)
    assert found.standard_error == pytest.approx(1.5811, abs=1e-4)
    assert found.found
    assert str(found) == "+10.0 points, standard error 1.6 on 1000 images"


@pytest.mark.parametrize(
    ("points", "error", "found"),
    [(2.0, 1.0, True), (1.99, 1.0, False), (-5.0, 1.0, False), (0.0, 0.0, False), (0.1, 0.0, True)],
)
def test_two_standard_errors_make_a_difference(points: float, error: float, found: bool) -> None:
    one = Lift(points, error, 100)
    assert one.found is found
    assert str(one).startswith("no difference found") is not found


def test_lift_counts_accuracy_whatever_the_objective() -> None:
    best = record("a", 0.2, 9, curve=({"val_accuracy": 0.75, "val_loss": 0.2},))
    base = record("b", 0.4, 9, curve=({"val_accuracy": 0.5, "val_loss": 0.4},))
    found = lift(best, base, 100)
    assert found is not None
    assert found.points == pytest.approx(25)


def test_nothing_to_compare_is_no_lift() -> None:
    assert lift(None, at(0.5), 10) is None
    assert lift(at(0.5), None, 10) is None
    assert lift(at(0.5, 9), at(0.5, 3), 10) is None


def test_the_lift_of_the_baseline_over_itself_is_nothing() -> None:
    found = lift(at(0.8), at(0.8), 100)
    assert found is not None
    assert found.points == 0
    assert math.isfinite(found.standard_error)
    assert not found.found
