"""A final training that is not complete: what it is continued with, and what it has cost. On a fake clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archsearch import unfinished
from archsearch.errors import UserError
from archsearch.unfinished import Unfinished, put_in_place

DESCRIPTION: dict[str, Any] = {
    "epochs": 3,
    "steps_per_epoch": None,
    "seed": 0,
    "max_seconds": 60.0,
    "all_data": False,
    "tta": False,
    "precision": "float32",
    "devices": 1,
    "test_slowdown": 1.0,
    "images": "abc",
}


class Clock:
    """In place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(unfinished, "time", fake)
    return fake


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "final" / "best"


def opened(target: Path, clock: Clock, *, overwrite: bool = False) -> Unfinished:
    """By a process that starts now."""
    return Unfinished.of(target, start=clock.now, overwrite=overwrite)


def begun(target: Path, clock: Clock) -> Unfinished:
    """One that was just begun."""
    training = opened(target, clock)
    training.begin(DESCRIPTION)
    return training


def test_where_nothing_was_begun_nothing_goes_on(target: Path, clock: Clock) -> None:
    training = opened(target, clock)
    assert (training.begun, training.start) == (None, 1000.0)
    assert training.folder == target.with_name("best.unfinished")
    assert not Unfinished.exists(target)
    assert not training.folder.exists()


def test_what_was_begun_is_what_goes_on(target: Path, clock: Clock) -> None:
    begun(target, clock)
    assert Unfinished.exists(target)
    assert opened(target, clock).begun == DESCRIPTION, "without its time, which is no part of what it is"


def test_begun_anew_it_stands_in_a_folder_of_its_own(target: Path, clock: Clock) -> None:
    training = begun(target, clock)
    (training.folder / "resume").mkdir()
    again = opened(target, clock, overwrite=True)
    assert again.begun is None
    again.begin({**DESCRIPTION, "seed": 1})
    assert [path.name for path in again.folder.iterdir()] == ["begun.json"]


def test_another_training_is_refused_with_the_differences_and_changes_nothing(
    target: Path, clock: Clock
) -> None:
    training = begun(target, clock)
    before = (training.folder / "begun.json").read_bytes()
    again = opened(target, clock)
    with pytest.raises(
        UserError, match=r"was another one \(seed: stored 0, now 1\)\. Give the same .*--overwrite"
    ):
        again.begin({**DESCRIPTION, "seed": 1})
    again.begin(DESCRIPTION)
    assert (training.folder / "begun.json").read_bytes() == before


@pytest.mark.parametrize("damage", [{"seed": "x"}, {"elapsed_seconds": "x"}, {"elapsed_seconds": None}])
def test_a_file_that_is_not_ours_is_refused_by_name(
    damage: dict[str, Any], target: Path, clock: Clock
) -> None:
    path = begun(target, clock).folder / "begun.json"
    path.write_text(json.dumps({**DESCRIPTION, **damage}))
    with pytest.raises(UserError, match=r"begun\.json is not one of our files .*--overwrite"):
        opened(target, clock)


def test_what_an_earlier_version_began_has_no_time_on_record(target: Path, clock: Clock) -> None:
    path = begun(target, clock).folder / "begun.json"
    path.write_text(json.dumps(DESCRIPTION))
    assert opened(target, clock).start == clock.now


def test_what_an_earlier_version_began_was_on_one_device_and_did_not_measure_the_test(
    target: Path, clock: Clock
) -> None:
    path = begun(target, clock).folder / "begun.json"
    later = ("devices", "test_slowdown")
    path.write_text(json.dumps({name: value for name, value in DESCRIPTION.items() if name not in later}))
    again = opened(target, clock)
    assert again.begun == DESCRIPTION
    again.begin(DESCRIPTION)


# Its wall-clock.


def test_the_time_of_all_processes_is_counted_and_none_between_them(target: Path, clock: Clock) -> None:
    """5 seconds until it is begun, 20 until an epoch ends, 7 until a kill; an hour later 30; then 40."""
    first = opened(target, clock)
    clock.now += 5
    first.begin(DESCRIPTION)
    clock.now += 20
    first.note_time()
    clock.now += 7
    clock.now += 3600
    second = opened(target, clock)
    assert clock.now - second.start == 25, "what was after the last epoch is lost"
    clock.now += 30
    second.begin(DESCRIPTION)
    second.note_time()
    clock.now += 3600
    third = opened(target, clock)
    clock.now += 40
    assert clock.now - third.start == 25 + 30 + 40


def test_an_interruption_loses_no_time(target: Path, clock: Clock) -> None:
    training = begun(target, clock)

    def interrupted() -> None:
        with training.timed():
            clock.now += 7
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    clock.now += 3600
    assert clock.now - opened(target, clock).start == 7


def test_an_error_leaves_what_was_noted(target: Path, clock: Clock) -> None:
    """Its folder may be gone by then."""
    training = begun(target, clock)

    def diverged() -> None:
        with training.timed():
            training.remove()
            raise UserError("diverged")

    with pytest.raises(UserError, match="diverged"):
        diverged()
    assert not training.folder.exists()


def test_a_complete_one_takes_the_place_of_the_earlier_one(target: Path, clock: Clock) -> None:
    target.mkdir(parents=True)
    (target / "old").touch()
    training = begun(target, clock)
    (training.folder / "resume").mkdir()
    (training.folder / "result.json").touch()
    put_in_place(training.folder, target)
    assert [path.name for path in target.iterdir()] == ["result.json"]
    assert not training.folder.exists()
