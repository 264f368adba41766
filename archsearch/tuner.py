"""Asks the oracle, runs trials, records them: a loop over futures.

Only the executor knows where a trial runs; this process owns all state on disk.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus

from archsearch.callbacks import SearchCallback
from archsearch.oracle import Assignment, HyperbandOracle, structure_values
from archsearch.plan import Bracket, Plan
from archsearch.run_folder import RunFolder
from archsearch.training import OnEpoch, TrainingData, TrialResult, TrialTask
from archsearch.trials import Role, Status, TrialRecord
from space.architecture import Architecture

WORKER = "0"
"""The one worker: trials run in this process."""

HOPELESS = 1.5
"""A trial expected to take this many times the time that is left is not started."""

RunTrial = Callable[[TrialTask, OnEpoch | None], TrialResult]


class InlineExecutor(Executor):
    """Runs what is submitted at once, in this process; `submit` returns when it is done."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class Measured:
    """What a network costs, and its plain form where it has one."""

    architecture: Architecture | None
    macs: int | None
    params: int | None

    @property
    def text(self) -> str:
        if self.architecture is None or self.macs is None:
            return ""
        return f"{self.architecture} | {self.macs / 1e6:.1f} M macs"


class HyperbandTuner(BaseTuner):
    """Runs the oracle's trials within the time given.

    Args:
        oracle: Replayed to where the log ends.
        hypermodel: Builds and fits the networks.
        folder: Where the log is appended.
        plan: For what trials are expected to take.
        data: Training subset and validation part.
        measure: From a trial's values to what the network costs.
        deadline: As `time.time()`; `None` for no limit.
        spent_seconds: By earlier sessions of this search.
        callbacks: Told of every trial.
        run: Trains one trial.
    """

    def __init__(
        self,
        oracle: HyperbandOracle,
        hypermodel: keras_tuner.HyperModel,
        *,
        folder: RunFolder,
        plan: Plan,
        data: TrainingData,
        measure: Callable[[dict[str, Any]], Measured],
        deadline: float | None = None,
        spent_seconds: float = 0.0,
        callbacks: Iterable[SearchCallback] = (),
        run: RunTrial,
    ) -> None:
        # Keras Tuner only makes sure that this folder exists; it writes nothing (see the oracle's `save`).
        super().__init__(oracle, hypermodel, directory=str(folder.path.parent), project_name=folder.path.name)
        self.folder = folder
        self.plan = plan
        self.data = data
        self.measure = measure
        self.deadline = deadline
        self.callbacks: Sequence[SearchCallback] = tuple(callbacks)
        self._run = run
        self._begin = time.time() - spent_seconds
        self._requests = itertools.count()
        self._expected_seconds = 0.0
        self._actual_seconds = 0.0

    def save(self) -> None:
        """Nothing: `trials.jsonl` is the only truth."""

    def search(self, executor: Executor | None = None, *, num_workers: int = 1) -> None:
        """Runs trials until the oracle has none left or the time is used up.

        Args:
            executor: Where trials run; in this process, one after the other, by default.
            num_workers: Trials it runs at a time.
        """
        executor = executor or InlineExecutor()
        running: dict[Future[TrialResult], Trial] = {}
        while True:
            while len(running) < num_workers and (trial := self._next_trial()) is not None:
                running[executor.submit(self._run, self._task(trial), self._on_epoch(trial))] = trial
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                self._record(running.pop(future), future.result())

    # Before a trial.

    def _next_trial(self) -> Trial | None:
        """The next trial that is worth starting; brackets for which time is too short are dropped first."""
        while True:
            # Keras Tuner gives a tuner that asks again its running trial: each asks under another name.
            trial = self.oracle.create_trial(f"{self.tuner_id}-{next(self._requests)}")
            if trial.status != TrialStatus.RUNNING:
                return None
            assignment = self.oracle.assignments[trial.trial_id]
            verdict = self._worth_starting(assignment)
            if verdict is None:
                return trial
            self.oracle.end_trial(trial)  # still RUNNING: its place is open again
            if not self._drop(assignment):
                self._note(verdict)
                return None
            self._note(verdict)

    def _worth_starting(self, assignment: Assignment) -> str | None:
        """`None`, or why the time left is too short."""
        if self.deadline is None:
            return None
        left = self.deadline - time.time()
        if left <= 0:
            return "The time is used up."
        bracket = assignment.bracket
        if bracket is None:
            return None
        # Half of a ladder is of no use; of a bracket without promotions every trial is.
        whole = len(bracket.rungs) > 1 and not self._is_last_chance(bracket)
        if whole and not self._is_started(assignment):
            expected = self._pace * self.plan.bracket_seconds(bracket)
            if expected > HOPELESS * left:
                return (
                    f"Bracket {bracket.name} is left out: about {expected:.0f} s, and {left:.0f} s are left."
                )
        macs = self.measure(dict(assignment.values)).macs or 1
        expected = self._pace * self.plan.trial_seconds(macs, assignment.epochs)
        if expected > HOPELESS * left:
            name = assignment.trial_id
            return f"Trial {name} is not started: about {expected:.0f} s, and {left:.0f} s are left."
        return None

    def _is_started(self, assignment: Assignment) -> bool:
        """Whether the bracket has a trial in the log."""
        bracket = assignment.bracket
        others = (other for other in self.oracle.assignments.values() if other is not assignment)
        return any(other.bracket is bracket for other in others)

    def _is_last_chance(self, bracket: Bracket) -> bool:
        """Whether no other bracket was or could be started: then some of its trials are better than none."""
        others = (ladder.bracket for ladder in self.oracle.ladders if ladder.bracket is not bracket)
        return all(other.name in self.oracle.dropped for other in others)

    def _drop(self, assignment: Assignment) -> bool:
        """Leaves the bracket out if nothing of it was run; False if it was, so that the search ends here."""
        if assignment.bracket is None or self._is_started(assignment) or self._time_left <= 0:
            return False
        self.oracle.dropped.add(assignment.bracket.name)
        return True

    @property
    def _time_left(self) -> float:
        return float("inf") if self.deadline is None else self.deadline - time.time()

    @property
    def _pace(self) -> float:
        """Seconds that trials took over seconds that were expected, in this session."""
        return self._actual_seconds / self._expected_seconds if self._expected_seconds else 1.0

    # A trial.

    def _task(self, trial: Trial) -> TrialTask:
        """What the trial is to a worker; the callbacks are told that it starts."""
        assignment = self.oracle.assignments[trial.trial_id]
        text = self.measure(dict(assignment.values)).text
        for callback in self.callbacks:
            callback.on_trial_begin(assignment, text)
        return TrialTask(
            trial_id=assignment.trial_id,
            values=structure_values(assignment.values),
            hypermodel=self.hypermodel,
            dataset=self.data,
            epochs=assignment.epochs,
            seed=assignment.seed,
            deadline=self.deadline,
        )

    def _on_epoch(self, trial: Trial) -> OnEpoch:
        assignment = self.oracle.assignments[trial.trial_id]

        def on_epoch(epoch: int, values: dict[str, float]) -> None:
            for callback in self.callbacks:
                callback.on_epoch_end(assignment, epoch + 1, values)

        return on_epoch

    # After a trial.

    def _record(self, trial: Trial, result: TrialResult) -> None:
        assignment = self.oracle.assignments[trial.trial_id]
        record = self._record_of(assignment, result)
        self.folder.append(record)
        if record.status is Status.COMPLETED and record.score is not None:
            self.oracle.update_trial(
                trial.trial_id, {self.oracle.objective.name: record.score}, step=record.epochs - 1
            )
            trial.status = TrialStatus.COMPLETED
            self._expected_seconds += self.plan.trial_seconds(record.macs or 1, record.epochs)
            self._actual_seconds += record.seconds
        elif record.status is Status.FAILED:
            trial.status, trial.message = TrialStatus.FAILED, record.message
        self.oracle.end_trial(trial)
        for callback in self.callbacks:
            callback.on_trial_end(record)

    def _record_of(self, assignment: Assignment, result: TrialResult) -> TrialRecord:
        measured = self.measure(dict(assignment.values))
        status, score, message = result.status, None, result.message
        if status is Status.COMPLETED:
            score = result.curve[-1].get(self.oracle.objective.name)
            if score is None or not math.isfinite(score):
                status, score = Status.FAILED, None
                message = f"The last epoch reported no finite {self.oracle.objective.name}."
        bracket, position = assignment.bracket, assignment.position
        return TrialRecord(
            trial_id=assignment.trial_id,
            role=Role(assignment.role),
            status=status,
            score=score,
            epochs=assignment.epochs,
            iteration=bracket.iteration if bracket else None,
            bracket=bracket.number if bracket else None,
            rung=position.rung if position else None,
            slot=position.slot if position else None,
            parent_trial_id=assignment.parent_trial_id,
            attempt=assignment.attempt,
            seed=assignment.seed,
            hyperparameters=structure_values(assignment.values),
            architecture=measured.architecture.to_dict() if measured.architecture else None,
            params=measured.params,
            macs=measured.macs,
            seconds=result.seconds,
            elapsed_seconds=time.time() - self._begin,
            curve=result.curve,
            worker=WORKER,
            message=message,
        )

    def _note(self, text: str) -> None:
        for callback in self.callbacks:
            callback.on_note(text)
