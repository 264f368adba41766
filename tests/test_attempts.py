"""Starts, deaths and orderly ends of a trial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archsearch.attempts import Attempts, end_those_of, spent_seconds
from archsearch.errors import UserError
from archsearch.run_folder import RunFolder
from archsearch.trials import Status, TrialRecord
from tests.records import trial


def started(folder: Path, times: int) -> Attempts:
    """A new process each time, of which each but the last died."""
    for _ in range(times):
        attempts = Attempts.read(folder)
        attempts.begin(1.0)
    return attempts


def record(trial_id: str, status: Status = Status.COMPLETED, elapsed_seconds: float = 5.0) -> TrialRecord:
    score = 0.5 if status is Status.COMPLETED else None
    return trial(trial_id, score, status=status, elapsed_seconds=elapsed_seconds)


def test_a_new_trial_has_no_attempts(tmp_path: Path) -> None:
    fresh = Attempts.read(tmp_path / "trial")
    assert (fresh.starts, fresh.epochs, fresh.elapsed_seconds, fresh.verdict) == (0, 0, 0.0, None)
    assert not (tmp_path / "trial").exists()


def test_a_start_is_written_at_once(tmp_path: Path) -> None:
    Attempts.read(tmp_path / "trial").begin(12.5)
    stored = json.loads((tmp_path / "trial" / "attempts.json").read_text())
    assert stored == {"starts": 1, "epochs": 0, "elapsed_seconds": 12.5}


@pytest.mark.parametrize("deaths", [0, 1, 2])
def test_fewer_than_three_deaths_are_no_verdict(deaths: int, tmp_path: Path) -> None:
    if deaths:
        started(tmp_path, deaths)
    assert Attempts.read(tmp_path).verdict is None


def test_three_deaths_in_a_row_are_one(tmp_path: Path) -> None:
    started(tmp_path, 3)
    assert Attempts.read(tmp_path).verdict == (
        "The process died 3 times in a row in this trial before it had completed epoch 1; running out of "
        "memory is the usual cause."
    )


def test_a_further_epoch_begins_the_count_anew(tmp_path: Path) -> None:
    """Twice dead in epoch 1; then two epochs, and the death of this process is the first in epoch 3."""
    attempts = started(tmp_path, 3)
    attempts.epoch(1, 10.0)
    attempts.epoch(2, 20.0)
    assert Attempts.read(tmp_path) == Attempts(tmp_path, starts=1, epochs=2, elapsed_seconds=20.0)
    started(tmp_path, 1)
    assert Attempts.read(tmp_path).verdict is None
    started(tmp_path, 1)
    verdict = Attempts.read(tmp_path).verdict
    assert verdict is not None
    assert "3 times in a row" in verdict
    assert "completed epoch 3;" in verdict


def test_epochs_completed_before_are_no_progress(tmp_path: Path) -> None:
    """Each process trains two epochs again, or reports them from its checkpoint, and dies in the third."""
    for number in range(4):
        attempts = Attempts.read(tmp_path)
        assert (attempts.verdict is None) is (number < 3)
        attempts.begin(0.0)
        attempts.epoch(1, 0.0)
        attempts.epoch(2, 0.0)


def test_only_a_further_epoch_is_written(tmp_path: Path) -> None:
    attempts = started(tmp_path, 1)
    attempts.epoch(2, 30.0)
    attempts.epoch(1, 40.0)
    attempts.epoch(2, 50.0)
    assert Attempts.read(tmp_path).elapsed_seconds == 30.0


def test_leaving_in_an_orderly_way_is_no_death(tmp_path: Path) -> None:
    for number in range(10):
        attempts = Attempts.read(tmp_path)
        attempts.begin(float(number))
        attempts.leave(number + 0.5)
    assert Attempts.read(tmp_path) == Attempts(tmp_path, starts=0, epochs=0, elapsed_seconds=9.5)


def test_an_orderly_end_between_deaths_takes_none_of_them_back(tmp_path: Path) -> None:
    started(tmp_path, 2)
    started(tmp_path, 1).leave(1.0)
    assert Attempts.read(tmp_path).verdict is None
    started(tmp_path, 1)
    assert Attempts.read(tmp_path).verdict is not None


def test_the_end_of_a_trial_removes_attempts_and_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    attempts = started(tmp_path, 1)
    attempts.resume_folder.mkdir()
    (attempts.resume_folder / "state.npz").touch()
    (tmp_path / "events").touch()
    attempts.end()
    assert [path.name for path in tmp_path.iterdir()] == ["events"]
    attempts.end()  # a process killed in the middle of this ends it again


@pytest.mark.parametrize(
    "content", ["{}", '{"starts": 1}', '{"starts": "x", "epochs": 0, "elapsed_seconds": 1}', "[1]", "{", ""]
)
def test_a_damaged_file_is_refused_by_name(content: str, tmp_path: Path) -> None:
    path = tmp_path / "attempts.json"
    path.write_text(content)
    with pytest.raises(UserError, match=str(path)):
        Attempts.read(tmp_path)


# Of a whole search.


def test_what_a_kill_left_beside_trials_in_the_log_is_removed(tmp_path: Path) -> None:
    """But of one out of time, which goes on when there is more, and of those that are not in the log."""
    folder = RunFolder(tmp_path)
    for name in ("done", "failed", "late", "running"):
        started(folder.trial(name), 1)
        Attempts.read(folder.trial(name)).resume_folder.mkdir()
    late = record("late", Status.TIMED_OUT)
    end_those_of(folder, [record("done"), record("failed", Status.FAILED), late, record("never-begun")])
    left = {path.relative_to(tmp_path / "trials").as_posix() for path in tmp_path.glob("trials/*/*")}
    assert left == {"late/attempts.json", "late/resume", "running/attempts.json", "running/resume"}


def test_time_spent_is_that_of_the_last_trial_or_epoch(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert spent_seconds(folder, []) == 0
    records = [record("a", elapsed_seconds=40.0), record("b", elapsed_seconds=30.0)]
    assert spent_seconds(folder, records) == 40
    Attempts(folder.trial("c")).begin(35.0)
    assert spent_seconds(folder, records) == 40
    Attempts.read(folder.trial("c")).epoch(1, 55.0)
    assert spent_seconds(folder, records) == 55
    assert spent_seconds(folder, []) == 55
