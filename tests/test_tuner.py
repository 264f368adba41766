"""The loop over trials, with trials that only pretend to train and a clock that moves when they do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from archsearch import trials as trial_log
from archsearch.callbacks import SearchCallback
from archsearch.plan import Cost, Plan, Speed
from archsearch.run_folder import RunFolder
from archsearch.trials import Role, Status, TrialRecord, read_records

if TYPE_CHECKING:
    from archsearch.training import OnEpoch, TrialResult, TrialTask

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

START = 1_000_000.0

PLAN = Plan(
    max_epochs=9,
    factor=3,
    iterations=1,
    images_per_epoch=1000,
    num_validation=1000,
    baseline_width=1.0,
    max_macs=None,
    max_params=None,
    max_seconds=None,
    cost=Cost(1.0, 1.0, 1.0),
    speed=Speed(macs_per_second=4000.0, overhead_seconds=0.0, source="measured"),
)
"""Networks of 1 mac and 1,000 + 1,000 images: an epoch takes one second, and nothing else any.

So the baseline takes 9 seconds; bracket 2 takes 9 + 9 + 9 = 27, bracket 1 15 + 18 = 33, bracket 0 27.
"""


@dataclass
class Clock:
    """Instead of the module `time`."""

    now: float = START

    def time(self) -> float:
        return self.now


@dataclass
class Trainer:
    """A run_trial: `pace` seconds an epoch, stopped at the deadline; the score grows with x."""

    clock: Clock
    pace: float = 1.0
    fails: Callable[[TrialTask], bool] = lambda task: False
    tasks: list[TrialTask] = field(default_factory=list)

    def __call__(self, task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        from archsearch.training import TrialResult

        self.tasks.append(task)
        start, curve = self.clock.now, []
        status, message = Status.COMPLETED, None
        for epoch in range(task.epochs):
            if self.fails(task):
                status, message = Status.FAILED, "ValueError: as asked"
                break
            if task.deadline is not None and self.clock.now + self.pace > task.deadline:
                self.clock.now = task.deadline
                status, message = Status.TIMED_OUT, "The time of the search was used up."
                break
            self.clock.now += self.pace
            curve.append({"val_accuracy": task.values["x"] * (epoch + 1) / task.epochs})
            if on_epoch is not None:
                on_epoch(epoch, curve[-1])
        return TrialResult(status, tuple(curve), self.clock.now - start, 0, message)


class Notes(SearchCallback):
    """Everything that was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_trial_begin(self, assignment: Any, text: str) -> None:
        self.told.append(("begin", assignment.trial_id, text))

    def on_epoch_end(self, assignment: Any, epoch: int, values: Mapping[str, float]) -> None:
        self.told.append(("epoch", assignment.trial_id, epoch))

    def on_trial_end(self, record: TrialRecord) -> None:
        self.told.append(("end", record.trial_id, record.status))

    def on_note(self, text: str) -> None:
        self.told.append(("note", text))

    @property
    def notes(self) -> list[str]:
        return [one[1] for one in self.told if one[0] == "note"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    from archsearch import tuner

    clock = Clock()
    monkeypatch.setattr(tuner, "time", clock)
    return clock


def make(path: Path, run: Any, *, seconds: float | None = None, plan: Plan = PLAN, **changes: Any) -> Any:
    """A tuner at the end of the log in this folder, with so many seconds from the start of the clock."""
    import keras_tuner

    from archsearch.oracle import HyperbandOracle
    from archsearch.tuner import HyperbandTuner, Measured

    class Space(keras_tuner.HyperModel):
        def build(self, hp: Any) -> None:
            hp.Float("x", 0.0, 1.0, default=0.5)

    path.mkdir(exist_ok=True)
    folder = RunFolder(path)
    oracle = HyperbandOracle(
        "val_accuracy",
        max_epochs=plan.max_epochs,
        factor=plan.factor,
        iterations=plan.iterations,
        baseline={},
    )
    arguments: dict[str, Any] = {"measure": lambda values: Measured(None, 1, 2), "data": None}
    tuner = HyperbandTuner(
        oracle,
        Space(),
        folder=folder,
        plan=plan,
        deadline=None if seconds is None else START + seconds,
        run=run,
        **(arguments | changes),
    )
    oracle.replay(read_records(folder.trials)[0])
    return tuner


def log(path: Path) -> list[TrialRecord]:
    return read_records(RunFolder(path).trials)[0]


def ids(path: Path) -> list[str]:
    return [record.trial_id for record in log(path)]


def brackets(path: Path) -> set[int | None]:
    return {record.bracket for record in log(path) if record.role is Role.SEARCH}


# Without a limit on time.


def test_what_runs_is_the_plan(tmp_path: Path, clock: Clock) -> None:
    trainer = Trainer(clock)
    make(tmp_path, trainer).search()
    records = log(tmp_path)
    assert len(records) == len(trainer.tasks) == PLAN.num_trials == 24
    assert sum(task.epochs for task in trainer.tasks) == PLAN.num_epochs == 96
    for bracket in PLAN.brackets:
        for number, rung in enumerate(bracket.rungs):
            ran = [one for one in records if (one.bracket, one.rung) == (bracket.number, number)]
            assert [one.epochs for one in ran] == [rung.epochs] * rung.size
            assert all(one.status is Status.COMPLETED for one in ran)


def test_a_record_tells_what_the_trial_was(tmp_path: Path, clock: Clock) -> None:
    trainer = Trainer(clock)
    make(tmp_path, trainer, spent_seconds=100.0).search()
    tasks = {task.trial_id: task for task in trainer.tasks}
    record = next(one for one in log(tmp_path) if one.rung == 1 and one.bracket == 2)
    task = tasks[record.trial_id]
    assert (record.seed, record.epochs) == (task.seed, 3)
    assert record.hyperparameters == task.values
    assert record.parent_trial_id == f"b2-r0-s{record.slot}"
    assert tasks[record.parent_trial_id].values == task.values
    assert record.score == task.values["x"]
    assert [epoch["val_accuracy"] for epoch in record.curve][-1] == record.score
    assert (record.macs, record.params, record.worker, record.seconds) == (1, 2, "0", 3.0)


def test_elapsed_seconds_count_earlier_sessions(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path, Trainer(clock), spent_seconds=100.0).search()
    assert [one.elapsed_seconds for one in log(tmp_path)][:2] == [109.0, 110.0]


def test_no_value_of_keras_tuner_reaches_a_trial_or_the_log(tmp_path: Path, clock: Clock) -> None:
    trainer = Trainer(clock)
    make(tmp_path, trainer).search()
    assert {name for task in trainer.tasks for name in task.values} == {"x"}
    assert {name for record in log(tmp_path) for name in record.hyperparameters} == {"x"}


def test_a_failed_trial_is_recorded_with_its_reason_and_drawn_again(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path, Trainer(clock, fails=lambda task: task.trial_id == "b2-r0-s3")).search()
    failed = next(record for record in log(tmp_path) if record.status is Status.FAILED)
    assert (failed.trial_id, failed.score, failed.message) == ("b2-r0-s3", None, "ValueError: as asked")
    assert "b2-r0-s3-a1" in ids(tmp_path)
    assert len(ids(tmp_path)) == 25


def test_a_failed_baseline_stops_nothing(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path, Trainer(clock, fails=lambda task: task.trial_id == "baseline")).search()
    records = log(tmp_path)
    assert len(records) == 24
    assert trial_log.baseline(records) is None
    assert trial_log.incumbent(records, "max") is not None


def test_nothing_but_failures_ends_without_an_incumbent(tmp_path: Path, clock: Clock) -> None:
    """17 slots are drawn three times."""
    make(tmp_path, Trainer(clock, fails=lambda task: True)).search()
    assert len(log(tmp_path)) == 1 + 17 * 3
    assert trial_log.incumbent(log(tmp_path), "max") is None


@pytest.mark.parametrize("score", [None, float("nan"), float("inf"), float("-inf")])
def test_a_trial_without_a_finite_score_failed(tmp_path: Path, clock: Clock, score: float | None) -> None:
    """JSON has no infinity: such a score would be lost in the log, and with it that the trial is done."""
    trainer = Trainer(clock)

    def run(task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        result = trainer(task, on_epoch)
        if task.trial_id != "b2-r0-s0":
            return result
        curve = ({"val_accuracy": score} if score is not None else {"val_loss": 1.0},)
        return dataclasses.replace(result, curve=curve)

    make(tmp_path, run).search()
    record = log(tmp_path)[1]
    assert (record.trial_id, record.status, record.score) == ("b2-r0-s0", Status.FAILED, None)
    assert record.message == "The last epoch reported no finite val_accuracy."
    before = (tmp_path / "trials.jsonl").read_bytes()
    make(tmp_path, run).search()
    assert (tmp_path / "trials.jsonl").read_bytes() == before


def test_a_log_that_is_complete_leaves_nothing_to_do(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path, Trainer(clock)).search()
    trainer = Trainer(clock)
    make(tmp_path, trainer).search()
    assert trainer.tasks == []


def test_the_tuner_leaves_only_the_log(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path / "run", Trainer(clock)).search()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")] == ["run/trials.jsonl"]


def test_another_executor_runs_the_same_trials(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path / "a", Trainer(clock)).search()
    with ThreadPoolExecutor(1) as executor:
        make(tmp_path / "b", Trainer(clock)).search(executor)
    assert ids(tmp_path / "a") == ids(tmp_path / "b")


def test_an_error_in_our_own_code_ends_the_search_and_the_log_stays(tmp_path: Path, clock: Clock) -> None:
    trainer = Trainer(clock)

    def run(task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        if len(trainer.tasks) == 3:
            raise RuntimeError("a bug")
        return trainer(task, on_epoch)

    with pytest.raises(RuntimeError, match="a bug"):
        make(tmp_path, run).search()
    assert len(log(tmp_path)) == 3


# What callbacks are told.


def test_callbacks_hear_of_every_trial_and_epoch_in_order(tmp_path: Path, clock: Clock) -> None:
    notes = Notes()
    plan = dataclasses.replace(PLAN, max_epochs=2, factor=2)
    make(tmp_path, Trainer(clock), plan=plan, callbacks=[notes]).search()
    assert notes.told[:7] == [
        ("begin", "baseline", ""),
        ("epoch", "baseline", 1),
        ("epoch", "baseline", 2),
        ("end", "baseline", Status.COMPLETED),
        ("begin", "b1-r0-s0", ""),
        ("epoch", "b1-r0-s0", 1),
        ("end", "b1-r0-s0", Status.COMPLETED),
    ]
    assert notes.notes == []


def test_a_trial_stands_in_the_log_before_callbacks_hear_of_it(tmp_path: Path, clock: Clock) -> None:
    class Breaks(SearchCallback):
        def on_trial_end(self, record: TrialRecord) -> None:
            raise RuntimeError(f"after {record.trial_id}")

    with pytest.raises(RuntimeError, match="after baseline"):
        make(tmp_path, Trainer(clock), callbacks=[Breaks()]).search()
    assert ids(tmp_path) == ["baseline"]


# Time.


def test_enough_time_leaves_nothing_out(tmp_path: Path, clock: Clock) -> None:
    notes = Notes()
    make(tmp_path, Trainer(clock), seconds=96.0, callbacks=[notes]).search()
    assert len(log(tmp_path)) == 24
    assert notes.notes == []
    assert clock.now == START + 96


def test_no_time_at_all_runs_nothing(tmp_path: Path, clock: Clock) -> None:
    notes, trainer = Notes(), Trainer(clock)
    make(tmp_path, trainer, seconds=0.0, callbacks=[notes]).search()
    assert trainer.tasks == []
    assert notes.notes == ["The time is used up."]


def test_brackets_for_which_time_is_too_short_are_left_out(tmp_path: Path, clock: Clock) -> None:
    """After the baseline 16 seconds are left: too few for 27 or 33, three halves of them being 24.
    Of the last bracket, which promotes nothing, one trial of 9 fits, and the next meets the deadline."""
    notes = Notes()
    make(tmp_path, Trainer(clock), seconds=25.0, callbacks=[notes]).search()
    assert {one.trial_id: str(one.status) for one in log(tmp_path)} == {
        "baseline": "COMPLETED",
        "b0-r0-s0": "COMPLETED",
        "b0-r0-s1": "TIMED_OUT",
    }
    assert [note.split(":")[0] for note in notes.notes][:2] == [
        "Bracket b2 is left out",
        "Bracket b1 is left out",
    ]
    assert notes.notes[0] == "Bracket b2 is left out: about 27 s, and 16 s are left."


def test_a_bracket_that_nearly_fits_is_begun(tmp_path: Path, clock: Clock) -> None:
    """20 seconds are left after the baseline, and 18 are enough for all but the last trial of 27 seconds."""
    make(tmp_path, Trainer(clock), seconds=29.0).search()
    assert [one.rung for one in log(tmp_path)].count(0) == 9
    assert [one.rung for one in log(tmp_path)].count(1) == 3
    assert brackets(tmp_path) == {2}
    assert clock.now == START + 27


@pytest.mark.parametrize("seconds", [*range(1, 100, 7), 17.5])
@pytest.mark.parametrize("pace", [0.25, 1.0, 3.0, 20.0])
def test_whatever_the_time_the_search_keeps_it(
    tmp_path: Path, clock: Clock, seconds: float, pace: float
) -> None:
    make(tmp_path, Trainer(clock, pace), seconds=seconds).search()
    records = log(tmp_path)
    assert clock.now <= START + seconds
    assert sum(record.status is Status.TIMED_OUT for record in records) <= 1
    if any(record.status is Status.COMPLETED for record in records):
        best = trial_log.incumbent(records, "max")
        assert best is not None
        assert best.status is Status.COMPLETED
    else:
        assert seconds < 9 * pace, "not even the baseline"


def test_a_trial_out_of_time_is_recorded_without_a_score_and_never_ranked(
    tmp_path: Path, clock: Clock
) -> None:
    """6.5 seconds are left for nine epochs of one: worth a try, for they may turn out to be quicker."""
    make(tmp_path, Trainer(clock), seconds=33.5).search()
    last = log(tmp_path)[-1]
    assert (last.status, last.score, last.epochs) == (Status.TIMED_OUT, None, 9)
    assert len(last.curve) == 6
    best = trial_log.incumbent(log(tmp_path), "max")
    assert best is not None
    assert best.trial_id == "baseline"


def test_a_baseline_out_of_time_leaves_no_incumbent(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path, Trainer(clock), seconds=5.0).search()
    assert [(one.trial_id, one.status) for one in log(tmp_path)] == [("baseline", Status.TIMED_OUT)]


def test_a_trial_for_which_time_is_too_short_is_not_started(tmp_path: Path, clock: Clock) -> None:
    """All of bracket 2 but its last trial: 27 of 30 seconds are gone, and nine epochs need nine."""
    notes = Notes()
    make(tmp_path, Trainer(clock), seconds=30.0, callbacks=[notes]).search()
    assert len(ids(tmp_path)) == 13
    assert notes.notes[0].endswith("is not started: about 9 s, and 3 s are left.")
    assert len(notes.notes) == 1


def test_a_large_network_is_expected_to_take_longer(tmp_path: Path, clock: Clock) -> None:
    """A network of 100 macs instead of 1 is not begun when 40 seconds are left."""
    from archsearch.tuner import Measured

    def measure(values: dict[str, Any]) -> Measured:
        return Measured(None, 1 if values["x"] == 0.5 else 100, 2)

    notes = Notes()
    make(tmp_path, Trainer(clock), seconds=49.0, callbacks=[notes], measure=measure).search()
    assert ids(tmp_path) == ["baseline"]
    assert "Trial b2-r0-s0 is not started: about 100 s, and 40 s are left." in notes.notes


def test_a_machine_slower_than_measured_leaves_brackets_out(tmp_path: Path, clock: Clock) -> None:
    """Three times as slow: bracket 2 takes 81 of the 73 seconds after the baseline, bracket 1 is hopeless."""
    notes = Notes()
    make(tmp_path, Trainer(clock, 3.0), seconds=100.0, callbacks=[notes]).search()
    assert brackets(tmp_path) == {2}
    assert len(notes.notes) >= 1


def test_a_faster_machine_runs_everything(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path, Trainer(clock, 0.1), seconds=15.0).search()
    assert len(log(tmp_path)) == 24


def test_what_was_left_out_is_made_up_for_with_more_time(tmp_path: Path, clock: Clock) -> None:
    """From any deadline on to the same trials as without one, and the one out of time has its place."""
    make(tmp_path / "whole", Trainer(clock)).search()
    whole = {one.trial_id: (one.score, one.epochs) for one in log(tmp_path / "whole")}
    for seconds in (0.5, 5.0, 20.0, 30.0, 33.5, 60.0, 90.0):
        path = tmp_path / f"{seconds}"
        clock.now = START
        make(path, Trainer(clock), seconds=seconds).search()
        clock.now = START
        make(path, Trainer(clock)).search()
        assert {one.trial_id: (one.score, one.epochs) for one in log(path)} == whole
