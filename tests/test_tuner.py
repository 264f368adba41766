"""The loop over trials, with trials that only pretend to train and a clock that moves when they do."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from archsearch import standing
from archsearch.attempts import Attempts
from archsearch.callbacks import SearchCallback
from archsearch.errors import StorageError, UserError
from archsearch.plan import Plan
from archsearch.run_folder import RunFolder
from archsearch.trials import Role, Status, TrialRecord, read_records
from tests.records import a_plan

if TYPE_CHECKING:
    from archsearch.task import TrialResult, TrialTask
    from archsearch.watch import OnEpoch

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

START = 1_000_000.0

PLAN = a_plan()
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
        from archsearch.task import TrialResult

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
    from archsearch import time_left, tuner

    clock = Clock()
    monkeypatch.setattr(tuner, "time", clock)
    monkeypatch.setattr(time_left, "time", clock)
    return clock


def make(
    path: Path,
    run: Any,
    *,
    seconds: float | None = None,
    plan: Plan = PLAN,
    callbacks: Sequence[SearchCallback] = (),
    **changes: Any,
) -> Any:
    """A tuner at the end of the log in this folder, with so many seconds from the start of the clock."""
    import keras_tuner

    from archsearch.measuring import Measured
    from archsearch.oracle import HyperbandOracle
    from archsearch.tuner import HyperbandTuner

    class Space(keras_tuner.HyperModel):
        def build(self, hp: Any) -> None:
            hp.Float("x", 0.0, 1.0, default=0.5)

    path.mkdir(exist_ok=True)
    folder = RunFolder(path)
    arguments: dict[str, Any] = {"measure": lambda values: Measured(None, 1, 2), "data": None, "begin": START}
    arguments |= changes
    oracle = HyperbandOracle(
        "val_accuracy",
        max_epochs=plan.max_epochs,
        factor=plan.factor,
        iterations=plan.iterations,
        baseline={},
        cost=lambda values: arguments["measure"](values).macs,
        confirm=plan.confirm,
    )
    tuner = HyperbandTuner(
        oracle,
        Space(),
        folder=folder,
        plan=plan,
        deadline=None if seconds is None else START + seconds,
        run=run,
        **arguments,
    )
    oracle.replay(read_records(folder.trials)[0])
    tuner.search = partial(tuner.search, callbacks=callbacks)
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
    make(tmp_path, trainer, begin=START - 100).search()
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
    make(tmp_path, Trainer(clock), begin=START - 100).search()
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
    assert standing.baseline(records) is None
    assert standing.incumbent(records, "max") is not None


def test_nothing_but_failures_ends_without_an_incumbent(tmp_path: Path, clock: Clock) -> None:
    """17 slots are drawn three times."""
    make(tmp_path, Trainer(clock, fails=lambda task: True)).search()
    assert len(log(tmp_path)) == 1 + 17 * 3
    assert standing.incumbent(log(tmp_path), "max") is None


@pytest.mark.parametrize("score", ["no epoch", None, float("nan"), float("inf"), float("-inf")])
def test_a_trial_without_a_finite_score_failed(tmp_path: Path, clock: Clock, score: Any) -> None:
    """JSON has no infinity: such a score would be lost in the log, and with it that the trial is done."""
    trainer = Trainer(clock)

    def run(task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        result = trainer(task, on_epoch)
        if task.trial_id != "b2-r0-s0":
            return result
        curve = ({"val_accuracy": score} if score is not None else {"val_loss": 1.0},)
        return dataclasses.replace(result, curve=() if score == "no epoch" else curve)

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
    assert all(path.is_dir() for path in tmp_path.glob("run/trials/*"))


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
@pytest.mark.parametrize("begins", [False, True])
def test_whatever_the_time_the_search_keeps_it(
    tmp_path: Path, clock: Clock, seconds: float, pace: float, begins: bool
) -> None:
    tuner = make(tmp_path, Trainer(clock, pace), seconds=seconds)
    if begins:
        tuner.oracle.draws.begin([{"x": 0.3}, {"x": 0.4}])
    tuner.search()
    records = log(tmp_path)
    assert clock.now <= START + seconds
    assert sum(record.status is Status.TIMED_OUT for record in records) <= 1
    if any(record.status is Status.COMPLETED for record in records):
        best = standing.incumbent(records, "max")
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
    best = standing.incumbent(log(tmp_path), "max")
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
    from archsearch.measuring import Measured

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


@pytest.mark.parametrize("begin_with", [[], [{"x": 0.3}, {"x": 0.4}]])
def test_what_was_left_out_is_made_up_for_with_more_time(
    tmp_path: Path, clock: Clock, begin_with: list[dict[str, float]]
) -> None:
    """From any deadline on to the same trials as without one, and the one out of time has its place."""

    def search(path: Path, seconds: float | None = None) -> None:
        clock.now = START
        tuner = make(path, Trainer(clock), seconds=seconds)
        tuner.oracle.draws.begin(begin_with)
        tuner.search()

    search(tmp_path / "whole")
    whole = {one.trial_id: (one.score, one.epochs) for one in log(tmp_path / "whole")}
    assert log(tmp_path / "whole")[1].trial_id == ("b0-r0-s0" if begin_with else "b2-r0-s0")
    for seconds in (0.5, 5.0, 20.0, 30.0, 33.5, 60.0, 90.0):
        path = tmp_path / f"{seconds}"
        search(path, seconds)
        search(path)
        assert {one.trial_id: (one.score, one.epochs) for one in log(path)} == whole


# Confirmations.


def confirmed(path: Path) -> list[str]:
    return [record.trial_id for record in log(path) if record.role is Role.CONFIRM]


def with_confirmations(seconds: float, *, iterations: int = 1) -> Plan:
    """Of one network: four trials of nine seconds, which are kept from the search."""
    return dataclasses.replace(PLAN, confirm=1, iterations=iterations, max_seconds=seconds)


def test_the_plan_with_confirmations_is_what_runs(tmp_path: Path, clock: Clock) -> None:
    plan = dataclasses.replace(PLAN, confirm=2)
    make(tmp_path, Trainer(clock), plan=plan).search()
    assert len(log(tmp_path)) == plan.num_trials == 30
    assert confirmed(tmp_path) == ids(tmp_path)[24:]
    best = confirmed(tmp_path)[2].removesuffix("-c1")
    assert confirmed(tmp_path)[:4] == ["baseline-c1", "baseline-c2", f"{best}-c1", f"{best}-c2"]
    assert clock.now == START + 96 + 54


def test_a_confirmation_is_recorded_outside_the_brackets(tmp_path: Path, clock: Clock) -> None:
    trainer = Trainer(clock)
    make(tmp_path, trainer, plan=dataclasses.replace(PLAN, confirm=1)).search()
    record, task = log(tmp_path)[-1], trainer.tasks[-1]
    parent = next(one for one in log(tmp_path) if one.trial_id == record.parent_trial_id)
    assert record.trial_id == f"{parent.trial_id}-c2" == task.trial_id
    assert record.place is None
    assert record.hyperparameters == parent.hyperparameters == task.values
    assert (record.epochs, record.seed) == (9, task.seed)
    assert record.seed != parent.seed


def test_enough_time_confirms_in_full(tmp_path: Path, clock: Clock) -> None:
    """9 + 27 + 33 + 27 + 36 seconds; of 132, a quarter is kept."""
    notes = Notes()
    make(tmp_path, Trainer(clock), seconds=132.0, plan=with_confirmations(132.0), callbacks=[notes]).search()
    assert len(log(tmp_path)) == 28
    assert notes.notes == []
    assert clock.now == START + 132


def test_a_search_for_which_time_is_short_leaves_it_to_the_confirmations(
    tmp_path: Path, clock: Clock
) -> None:
    """After the first iteration's 96 s, and 18 of the 27 s that the next bracket takes, the 36 s of the
    confirmations are left: its last trial is not started."""
    plan, notes, trainer = with_confirmations(150.0, iterations=2), Notes(), Trainer(clock)
    tuner = make(tmp_path, trainer, seconds=150.0, plan=plan, callbacks=[notes])
    tuner.search()
    assert tuner.oracle.searching_over
    [note] = notes.notes
    assert note.startswith("Trial i1-b2-r2-s")
    assert note.endswith(" is not started: about 9 s, and 0 s are left.")
    assert len(confirmed(tmp_path)) == 4
    assert ids(tmp_path)[-4:] == confirmed(tmp_path)
    assert [one.status for one in log(tmp_path)] == [Status.COMPLETED] * (24 + 12 + 4)
    assert clock.now == START + 150


def test_brackets_are_left_out_for_the_confirmations(tmp_path: Path, clock: Clock) -> None:
    """50 s are left after the first iteration, 14 of them for the search: one trial of a bracket of one rung
    is begun, and after it 5 s are too few for another."""
    plan, notes = with_confirmations(146.0, iterations=2), Notes()
    make(tmp_path, Trainer(clock), seconds=146.0, plan=plan, callbacks=[notes]).search()
    assert notes.notes == [
        "Bracket i1-b2 is left out: about 27 s, and 14 s are left.",
        "Bracket i1-b1 is left out: about 33 s, and 14 s are left.",
        "Trial i1-b0-r0-s1 is not started: about 9 s, and 5 s are left.",
    ]
    assert ids(tmp_path)[24] == "i1-b0-r0-s0"
    assert ids(tmp_path)[25:] == confirmed(tmp_path)
    assert len(confirmed(tmp_path)) == 4


def test_a_search_that_was_over_goes_on_with_more_time(tmp_path: Path, clock: Clock) -> None:
    plan = with_confirmations(150.0, iterations=2)
    make(tmp_path, Trainer(clock), seconds=150.0, plan=plan).search()
    before = ids(tmp_path)
    plan = dataclasses.replace(plan, max_seconds=None)
    make(tmp_path, Trainer(clock), plan=plan).search()
    whole = tmp_path / "whole"
    make(whole, Trainer(clock), plan=plan).search()
    assert ids(tmp_path)[: len(before)] == before
    assert set(ids(whole)) <= set(ids(tmp_path))


def test_what_the_last_confirmation_is_too_long_for_ends_the_search(tmp_path: Path, clock: Clock) -> None:
    """Half a second an epoch more than planned: 96 s take 144, and of 157 s there is time for one of 13.5 s,
    of which the next would be twice too long."""
    notes = Notes()
    plan = dataclasses.replace(with_confirmations(157.0), max_seconds=None)
    make(tmp_path, Trainer(clock, 1.5), seconds=160.0, plan=plan, callbacks=[notes]).search()
    assert confirmed(tmp_path) == ["baseline-c1"]
    assert notes.notes == ["Trial baseline-c2 is not started: about 14 s, and 2 s are left."]


# Several trials at a time.


class Simultaneous(Executor):
    """Runs trials side by side on the clock: the next one ends when the tuner waits for what happens."""

    def __init__(self, clock: Clock, pace: float = 1.0) -> None:
        self.clock = clock
        self.pace = pace
        self.begun: list[str] = []
        self.running: list[tuple[float, int, Future[Any], Any]] = []
        self.happened: list[Callable[[], None]] = []
        self.put = self.happened.append

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        [task, _] = args
        alone, future = Clock(self.clock.now), Future[Any]()
        result = Trainer(alone, self.pace)(task)
        heappush(self.running, (alone.now, len(self.begun), future, result))
        self.begun.append(task.trial_id)
        return future

    def get(self) -> Callable[[], None]:
        if not self.happened:
            self.clock.now, _, future, result = heappop(self.running)
            future.set_result(result)
        return self.happened.pop(0)


def search_at_once(tuner: Any, workers: int, clock: Clock, pace: float = 1.0) -> Simultaneous:
    executor = Simultaneous(clock, pace)
    tuner._happened = executor
    tuner.search(executor, num_workers=workers)
    return executor


@pytest.mark.parametrize("workers", [2, 16])
@pytest.mark.parametrize("pace", [0.7, 1.6])
@pytest.mark.parametrize("seconds", [40.0, 150.0])
def test_whatever_the_time_many_workers_keep_it_and_leave_a_whole_search(
    tmp_path: Path, clock: Clock, seconds: float, pace: float, workers: int
) -> None:
    """The top rung is reached, each worker has at most one trial cut off, and no sentence is told twice."""
    notes = Notes()
    plan = dataclasses.replace(with_confirmations(seconds, iterations=5), workers=workers)
    tuner = make(tmp_path, None, seconds=seconds, plan=plan, callbacks=[notes])
    search_at_once(tuner, workers, clock, pace)
    records = log(tmp_path)
    assert clock.now <= START + seconds
    best = standing.incumbent(records, "max")
    assert best is not None
    assert best.epochs == 9
    assert len(notes.notes) == len(set(notes.notes))
    unfinished = sum(record.status is Status.TIMED_OUT for record in records)
    assert unfinished <= workers


def test_what_is_too_long_does_not_end_a_search_in_which_others_run(tmp_path: Path, clock: Clock) -> None:
    """3 networks -> 1, then 2 at once, two times; the two of b0 are expected to take 12 s each, all others a
    second an epoch. When the second of them is refused, i1-b1 has yet to promote its best."""
    from archsearch.measuring import Measured

    def measure(values: dict[str, Any]) -> Measured:
        return Measured(None, 4 if values["x"] > 0.8 else 1, 2)

    notes = Notes()
    plan = a_plan(max_epochs=3, iterations=2, workers=4)
    tuner = make(tmp_path, None, seconds=10.0, plan=plan, callbacks=[notes], measure=measure)
    slots = [0.1, 0.2, 0.3, 0.85, 0.9, 0.4, 0.45, 0.55, 0.6, 0.7]
    tuner.oracle.draws.begin([{"x": value} for value in slots], at_top=False)
    search_at_once(tuner, 4, clock)
    assert notes.notes == ["Trial b0-r0-s1 is not started: about 12 s, and 7 s are left."]
    assert "i1-b1-r1-s2" in ids(tmp_path)
    assert len(log(tmp_path)) == plan.num_trials - 1


def test_a_bracket_of_which_only_the_first_network_ran_is_left_out_alone(
    tmp_path: Path, clock: Clock
) -> None:
    """The baseline, the first network, b2 and b1 take 78 s. The two others of b0 are expected to take 36 s
    each, for which the 20 that are left are too few; i1-b2, of 27 s, is worth a try."""
    from archsearch.measuring import Measured

    def measure(values: dict[str, Any]) -> Measured:
        return Measured(None, 4 if values["x"] > 0.8 else 1, 2)

    notes = Notes()
    plan = dataclasses.replace(PLAN, iterations=2)
    tuner = make(tmp_path, Trainer(clock), seconds=98.0, plan=plan, callbacks=[notes], measure=measure)
    slots = [0.5, *(0.01 * number for number in range(14)), 0.9, 0.95]
    tuner.oracle.draws.begin([{"x": value} for value in slots])
    tuner.search()
    assert [trial for trial in ids(tmp_path) if trial.startswith("b0")] == ["b0-r0-s0"]
    assert sum(trial.startswith("i1-b2-r0") for trial in ids(tmp_path)) == 9
    assert not any(trial.startswith("i1-b0") for trial in ids(tmp_path))
    assert notes.notes[0] == "Trial b0-r0-s1 is not started: about 36 s, and 20 s are left."


def test_what_is_too_long_leaves_the_cheaper_trials_beside_it(tmp_path: Path, clock: Clock) -> None:
    """The baseline, b2 and b1 take 69 s: 14 are left for the first of b0, which is expected to take 36."""
    from archsearch.measuring import Measured

    def measure(values: dict[str, Any]) -> Measured:
        return Measured(None, 4 if values["x"] > 0.8 else 1, 2)

    notes = Notes()
    tuner = make(tmp_path, Trainer(clock), seconds=83.0, callbacks=[notes], measure=measure)
    slots = [*(0.01 * number for number in range(14)), 0.9, 0.6, 0.7]
    tuner.oracle.draws.begin([{"x": value} for value in slots], at_top=False)
    tuner.search()
    assert [trial for trial in ids(tmp_path) if trial.startswith("b0")] == ["b0-r0-s1"]
    assert notes.notes == [
        "Trial b0-r0-s0 is not started: about 36 s, and 14 s are left.",
        "Trial b0-r0-s2 is not started: about 9 s, and 5 s are left.",
    ]


# Deaths of the process.


def test_a_full_disk_counts_against_none_of_the_trials_that_ran(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three are running when a file cannot be written any more; so it is when the first of them is left."""
    from archsearch import attempts

    class Full(Simultaneous):
        def get(self) -> Callable[[], None]:
            def refuse(path: Path, data: Any) -> None:
                raise StorageError(path, OSError(errno.ENOSPC, "No space left on device"))

            monkeypatch.setattr(attempts, "write_json", refuse)
            raise StorageError(tmp_path, OSError(errno.ENOSPC, "No space left on device"))

    tuner = make(tmp_path, None, plan=dataclasses.replace(PLAN, workers=3))
    tuner._happened = executor = Full(clock)
    with pytest.raises(StorageError):
        tuner.search(executor, num_workers=3)
    assert len(executor.begun) == 3
    assert [Attempts.read(RunFolder(tmp_path).trial(name)).starts for name in executor.begun] == [0, 0, 0]


def die(path: Path, trial_id: str, times: int) -> None:
    """What processes leave that are killed in this trial."""
    for number in range(times):
        Attempts.read(RunFolder(path).trial(trial_id)).begin(float(number))


def attempts_file(path: Path, trial_id: str) -> Path:
    return RunFolder(path).trial(trial_id) / "attempts.json"


def test_while_a_trial_runs_its_start_stands_beside_it(tmp_path: Path, clock: Clock) -> None:
    trainer, seen = Trainer(clock), []

    def run(task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        attempts = Attempts.read(RunFolder(tmp_path).trial(task.trial_id))
        seen.append((attempts.starts, attempts.epochs, attempts.elapsed_seconds))
        assert task.resume_folder == RunFolder(tmp_path).trial(task.trial_id) / "resume"
        result = trainer(task, on_epoch)
        attempts = Attempts.read(RunFolder(tmp_path).trial(task.trial_id))
        seen.append((attempts.starts, attempts.epochs, attempts.elapsed_seconds))
        return result

    make(tmp_path, run).search()
    assert seen[:4] == [(1, 0, 0.0), (1, 9, 9.0), (1, 0, 9.0), (1, 1, 10.0)]
    assert list(tmp_path.glob("trials/*/*")) == []


@pytest.mark.parametrize("deaths", [1, 2])
def test_two_deaths_are_forgotten_when_the_trial_completes(deaths: int, tmp_path: Path, clock: Clock) -> None:
    for name in ("baseline", "b2-r0-s0"):
        die(tmp_path, name, deaths)
    make(tmp_path, Trainer(clock)).search()
    assert [one.status for one in log(tmp_path)] == [Status.COMPLETED] * 24
    assert not attempts_file(tmp_path, "b2-r0-s0").exists()


def test_after_the_third_death_the_trial_failed_and_its_slot_is_drawn_again(
    tmp_path: Path, clock: Clock
) -> None:
    die(tmp_path, "b2-r0-s0", 3)
    trainer, notes = Trainer(clock), Notes()
    make(tmp_path, trainer, callbacks=[notes]).search()
    failed = next(one for one in log(tmp_path) if one.trial_id == "b2-r0-s0")
    assert (failed.status, failed.score, failed.seconds, failed.curve) == (Status.FAILED, None, 0.0, ())
    assert failed.message == (
        "The process died 3 times in a row in this trial before it had completed epoch 1; running out of "
        "memory is the usual cause."
    )
    assert "b2-r0-s0" not in {task.trial_id for task in trainer.tasks}
    assert "b2-r0-s0-a1" in {task.trial_id for task in trainer.tasks}
    assert len(log(tmp_path)) == 25
    assert notes.told[11:13] == [("begin", "b2-r0-s0", ""), ("end", "b2-r0-s0", Status.FAILED)]
    assert not attempts_file(tmp_path, "b2-r0-s0").exists()


def test_the_third_death_of_a_promoted_trial_promotes_the_next_best(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path / "whole", Trainer(clock)).search()
    [promoted] = [name for name in ids(tmp_path / "whole") if name.startswith("b2-r2")]
    die(tmp_path / "run", promoted, 3)
    make(tmp_path / "run", Trainer(clock)).search()
    top = [one for one in log(tmp_path / "run") if one.trial_id.startswith("b2-r2")]
    assert [(one.trial_id == promoted, one.status) for one in top] == [
        (True, Status.FAILED),
        (False, Status.COMPLETED),
    ]


def test_a_baseline_in_which_the_process_died_three_times_stops_nothing(tmp_path: Path, clock: Clock) -> None:
    die(tmp_path, "baseline", 3)
    make(tmp_path, Trainer(clock)).search()
    assert log(tmp_path)[0].status is Status.FAILED
    assert [one.status for one in log(tmp_path)[1:]] == [Status.COMPLETED] * 23


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_the_search_in_an_orderly_way_is_no_death(
    interruption: type[BaseException], tmp_path: Path, clock: Clock
) -> None:
    trainer = Trainer(clock)

    def run(task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        if task.trial_id == "b2-r0-s1":
            clock.now += 0.5
            raise interruption
        return trainer(task, on_epoch)

    for _ in range(5):
        with pytest.raises(interruption):
            make(tmp_path, run).search()
        left = Attempts.read(RunFolder(tmp_path).trial("b2-r0-s1"))
        assert (left.starts, left.elapsed_seconds) == (0, clock.now - START)
    assert ids(tmp_path) == ["baseline", "b2-r0-s0"]
    make(tmp_path, trainer).search()
    assert len(log(tmp_path)) == 24


def test_a_trial_out_of_time_keeps_its_state_and_is_no_death(tmp_path: Path, clock: Clock) -> None:
    for _ in range(5):
        clock.now = START
        make(tmp_path, Trainer(clock), seconds=5.0).search()
        assert Attempts.read(RunFolder(tmp_path).trial("baseline")).starts == 0
        RunFolder(tmp_path).trial("baseline").joinpath("resume").mkdir(exist_ok=True)
    assert [one.status for one in log(tmp_path)] == [Status.TIMED_OUT]
    trainer = Trainer(clock)
    make(tmp_path, trainer).search()
    assert trainer.tasks[0].resume_folder == RunFolder(tmp_path).trial("baseline") / "resume"
    assert log(tmp_path)[0].status is Status.COMPLETED
    assert list(tmp_path.glob("trials/baseline/*")) == []


def test_a_damaged_file_of_attempts_is_refused_by_name(tmp_path: Path, clock: Clock) -> None:
    die(tmp_path, "baseline", 1)
    attempts_file(tmp_path, "baseline").write_text("{")
    with pytest.raises(UserError, match=r"attempts\.json cannot be read"):
        make(tmp_path, Trainer(clock)).search()


# Deaths of workers.


class Lossy(Executor):
    """Loses the first trials that it is given, each after ten seconds, and runs the others."""

    def __init__(self, clock: Clock, num_lost: int) -> None:
        self.clock = clock
        self.num_lost = num_lost

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        from archsearch.executors import TrialFuture, WorkerDied

        future = TrialFuture("7")
        if self.num_lost == 0:
            future.set_result(fn(*args))
        else:
            self.num_lost -= 1
            self.clock.now += 10
            future.set_exception(WorkerDied("Worker 7 died"))
        return future


def test_a_trial_whose_worker_died_is_tried_again(tmp_path: Path, clock: Clock) -> None:
    notes, trainer = Notes(), Trainer(clock)
    make(tmp_path, trainer, callbacks=[notes]).search(Lossy(clock, 2))
    assert notes.notes == ["Worker 7 died: baseline is tried again."] * 2
    assert [record.status for record in log(tmp_path)] == [Status.COMPLETED] * 24
    assert {record.worker for record in log(tmp_path)} == {"7"}
    assert list(tmp_path.glob("trials/*/*")) == []


def test_a_trial_whose_workers_died_three_times_has_failed(tmp_path: Path, clock: Clock) -> None:
    notes = Notes()
    make(tmp_path, Trainer(clock), callbacks=[notes]).search(Lossy(clock, 3))
    *again, last = notes.notes
    assert again == ["Worker 7 died: baseline is tried again."] * 2
    assert last == "Worker 7 died: baseline is not tried again."
    assert notes.told.count(("begin", "baseline", "")) == 3
    baseline = log(tmp_path)[0]
    assert (baseline.trial_id, baseline.status, baseline.worker) == ("baseline", Status.FAILED, "7")
    assert str(baseline.message).startswith("The process died 3 times in a row in this trial")


def test_a_trial_whose_worker_died_when_time_was_up_is_out_of_time(tmp_path: Path, clock: Clock) -> None:
    make(tmp_path, Trainer(clock), seconds=9.5).search(Lossy(clock, 1))
    [record] = log(tmp_path)
    assert (record.status, record.worker) == (Status.TIMED_OUT, "7")
    assert record.message == "Worker 7 died, and the time was used up."
    assert Attempts.read(RunFolder(tmp_path).trial("baseline")).starts == 0


# Tracebacks.


def trace(line: int, message: str) -> str:
    return (
        f'Traceback (most recent call last):\n  File "space.py", line {line}, in build\n    explode()\n'
        f"ValueError: {message}\n"
    )


def test_a_traceback_is_shown_once_for_each_place_with_the_values(tmp_path: Path, clock: Clock) -> None:
    """Three trials fail in two places, each with a message of its own."""
    lines = {"b2-r0-s0": 7, "b2-r0-s1": 7, "b2-r0-s2": 9}
    trainer, notes = Trainer(clock), Notes()

    def run(task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        result = trainer(task, on_epoch)
        if task.trial_id not in lines:
            return result
        shown = trace(lines[task.trial_id], task.trial_id)
        return dataclasses.replace(
            result, status=Status.FAILED, message=f"ValueError: {task.trial_id}", traceback=shown
        )

    make(tmp_path, run, callbacks=[notes]).search()
    values = {one.trial_id: one.hyperparameters for one in log(tmp_path)}
    assert notes.notes == [
        f"{name} failed with {values[name]}\n{trace(line, name).rstrip()}"
        for name, line in (("b2-r0-s0", 7), ("b2-r0-s2", 9))
    ]
    told = [one for one in notes.told if one[0] != "epoch"]
    assert told[3:5] == [("end", "b2-r0-s0", Status.FAILED), ("note", notes.notes[0])]


def test_a_failure_that_is_foreseen_shows_no_traceback(tmp_path: Path, clock: Clock) -> None:
    notes = Notes()
    make(tmp_path, Trainer(clock, fails=lambda task: task.trial_id == "b2-r0-s3"), callbacks=[notes]).search()
    assert notes.notes == []
