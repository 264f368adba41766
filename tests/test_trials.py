"""Records, and the log that holds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archsearch.errors import UserError
from archsearch.trials import Role, Status, TrialRecord, read_records
from space.architecture import Architecture
from tests.records import trial

NAN, INFINITY = float("nan"), float("inf")


def record(
    trial_id: str = "b2-r0-s0", score: float | None = 0.5, epochs: int = 1, **changes: Any
) -> TrialRecord:
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "score": score,
        "epochs": epochs,
        "bracket": 2,
        "seed": 7,
        "hyperparameters": {"num_blocks": 3, "dropout": 0.25, "head": "dense", "wide": True},
        "architecture": {"convs": [1, 2], "filters": [16, 32]},
        "params": 100,
        "macs": 200,
        "seconds": 1.5,
        "elapsed_seconds": 20.0,
        "curve": ({"val_accuracy": 0.5, "val_loss": 1.25},),
    }
    return trial(**(values | changes))


def baseline_record(score: float | None, epochs: int = 9, **changes: Any) -> TrialRecord:
    place = {"role": Role.BASELINE, "iteration": None, "bracket": None, "rung": None, "slot": None}
    return record("baseline", score, epochs, **place, **changes)


def confirmation_record(trial_id: str, score: float) -> TrialRecord:
    place = {"iteration": None, "bracket": None, "rung": None, "slot": None}
    parent = trial_id.rpartition("-")[0]
    return record(trial_id, score, 9, role=Role.CONFIRM, parent_trial_id=parent, **place)


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
        confirmation_record("b2-r0-s0-c1", 0.25),
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


def test_accuracy_is_that_of_the_last_epoch() -> None:
    assert record(curve=({"val_accuracy": 0.9}, {"val_accuracy": 0.25})).val_accuracy == 0.25
    assert record(curve=({"val_loss": 0.9},)).val_accuracy is None
    assert record(curve=()).val_accuracy is None


def test_the_structure_is_text_only_where_it_is_one_of_the_built_in_space() -> None:
    head = "flatten 512 | dropout 0.50 slope 0.30"
    known = Architecture(convs=(1, 2), filters=(16, 32), hidden_units=512, dropout=0.5)
    assert record(architecture=known.to_dict()).network_text == f"1x16 2x32 | {head}"
    for other in (
        None,
        {},
        {"stages": [1, 2]},
        {"convs": 3, "filters": 4},
        {"convs": [1], "filters": [1, 2]},
    ):
        one = record(architecture=other)
        assert TrialRecord.from_json(one.to_json()) == one
        assert one.network_text == ""


def test_place_is_none_outside_the_brackets() -> None:
    assert baseline_record(0.5).place is None
    assert confirmation_record("b2-r0-s0-c1", 0.5).place is None
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
