"""Asks the oracle, runs trials, records them: a loop over futures.

Only the executor knows where a trial runs; this process owns all state on disk.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus

from archsearch.assignment import Assignment, structure_values
from archsearch.attempts import Attempts
from archsearch.callbacks import SearchCallback
from archsearch.errors import UserError
from archsearch.executors import THIS_PROCESS, InlineExecutor, TrialFuture, WorkerDied
from archsearch.measuring import Measured
from archsearch.oracle import HyperbandOracle
from archsearch.plan import Bracket, Plan
from archsearch.run_folder import RunFolder
from archsearch.task import TrainingData, TrialResult, TrialTask
from archsearch.time_left import TimeLeft
from archsearch.trials import Role, Status, TrialRecord
from archsearch.watch import OnEpoch

RunTrial = Callable[[TrialTask, OnEpoch | None], TrialResult]


class HyperbandTuner(BaseTuner):
    """Runs the oracle's trials within the time given.

    Args:
        oracle: To be replayed to where the log ends.
        hypermodel: Builds and fits the networks.
        folder: Where the log is appended.
        plan: For what trials are expected to take.
        data: Training subset and validation part.
        measure: From a trial's values to what the network costs.
        begin: When the search began, as `time.time()`, as if all its sessions had followed at once.
        deadline: Likewise; `None` for no limit.
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
        begin: float,
        deadline: float | None = None,
        run: RunTrial,
    ) -> None:
        # Keras Tuner only makes sure that this folder exists; it writes nothing (see the oracle's `save`).
        super().__init__(oracle, hypermodel, directory=str(folder.path.parent), project_name=folder.path.name)
        self.folder = folder
        self.plan = plan
        self.data = data
        self.measure = measure
        self.deadline = deadline
        self.time_left = TimeLeft(plan, deadline)
        self.callbacks: Sequence[SearchCallback] = ()
        self._run = run
        self._begin = begin
        self._requests = itertools.count()
        self._attempts: dict[str, Attempts] = {}
        """Of the running trials."""
        self._running: dict[Future[TrialResult], Trial] = {}
        self._happened: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        """What other threads tell, to be dealt with by the one that searches."""
        self._thread = threading.get_ident()
        self._refused: set[str] = set()
        """Trials of which it was told that the time is too short."""
        self._shown: set[str] = set()
        """Where exceptions that were shown came from."""

    def save(self) -> None:
        """Nothing: `trials.jsonl` is the only truth."""

    def search(
        self,
        executor: Executor | None = None,
        *,
        num_workers: int = 1,
        callbacks: Iterable[SearchCallback] = (),
    ) -> None:
        """Runs trials until the oracle has none left or the time is used up.

        Args:
            executor: Where trials run; in this process, one after the other, by default.
            num_workers: Trials it runs at a time.
            callbacks: Told of every trial.
        """
        self.callbacks = tuple(callbacks)
        executor = executor or InlineExecutor()
        try:
            self._loop(executor, num_workers)
        except BaseException:
            # A trial that is left in an orderly way did not die. What ended the search may forbid to say so.
            for attempts in self._attempts.values():
                with contextlib.suppress(UserError):
                    attempts.leave(self.elapsed_seconds)
            raise

    def _loop(self, executor: Executor, num_workers: int) -> None:
        self._thread = threading.get_ident()
        while True:
            while len(self._running) < num_workers and (trial := self._next_trial()) is not None:
                self._start(executor, trial)
            if not self._running:
                return
            num_running = len(self._running)
            while len(self._running) == num_running:
                self._happened.get()()

    # Before a trial.

    def _next_trial(self) -> Trial | None:
        """The next trial that is worth starting; what the time is too short for is left out first."""
        while True:
            # Keras Tuner gives a tuner that asks again its running trial: each asks under another name.
            trial = self.oracle.create_trial(f"{self.tuner_id}-{next(self._requests)}")
            if trial.status != TrialStatus.RUNNING:
                return None
            assignment = self.oracle.assignments[trial.trial_id]
            verdict = self._refusal(assignment)
            if verdict is None:
                return trial
            self.oracle.end_trial(trial)  # still RUNNING: its place is open again
            if trial.trial_id not in self._refused:  # it may come again whenever another one ends
                self._refused.add(trial.trial_id)
                self._note(verdict)
            if not self._leave_out(assignment):
                return None

    def _refusal(self, assignment: Assignment) -> str | None:
        """`None`, or why the time left is too short."""
        if assignment.role is Role.BASELINE:
            return "The time is used up." if self.time_left.seconds <= 0 else None
        self.time_left.num_confirmed = self.oracle.num_confirmed
        bracket = assignment.bracket
        # Half of a ladder is of no use; of a bracket without promotions every trial is.
        whole = bracket is not None and len(bracket.rungs) > 1 and not self._is_last_chance(bracket)
        if bracket is not None and whole and not self._is_started(assignment):
            verdict = self.time_left.refuses_bracket(bracket)
            if verdict is not None:
                return verdict
        return self.time_left.refuses_trial(
            assignment.trial_id,
            macs=self.measure(dict(assignment.values)).macs,
            epochs=assignment.epochs,
            confirms=assignment.role is Role.CONFIRM,
        )

    def _is_started(self, assignment: Assignment) -> bool:
        """Whether the bracket has a trial in the log, but for the network that the search begins with."""
        bracket = assignment.bracket
        others = (other for other in self.oracle.assignments.values() if other is not assignment)
        return any(other.bracket is bracket and not self.oracle.is_first(other) for other in others)

    def _is_last_chance(self, bracket: Bracket) -> bool:
        """Whether no other bracket was or could be started: then some of its trials are better than none."""
        begun = (each.bracket.name for each in self.oracle.assignments.values() if each.bracket is not None)
        left_out = self.oracle.dropped.difference(begun)
        others = (ladder.bracket for ladder in self.oracle.ladders if ladder.bracket is not bracket)
        return all(other.name in left_out for other in others)

    def _leave_out(self, assignment: Assignment) -> bool:
        """Leaves out what was refused; False if then nothing is left to do.

        Of a bracket without promotions one trial, while a cheaper one may fit. A bracket of which nothing was
        run is dropped; if it has begun, what is left of the search is, so that the confirmations come. But
        while other trials run, of a bracket without promotions only the rest is: cheaper networks may yet be
        promoted.
        """
        bracket = assignment.bracket
        if self.time_left.seconds <= 0 or bracket is None:
            return False
        if self.oracle.has_cheaper(assignment):
            self.oracle.give_up(assignment)
        elif not self._is_started(assignment) or (len(bracket.rungs) == 1 and self._running):
            self.oracle.dropped.add(bracket.name)
        else:
            self.oracle.searching_over = True
        return True

    # A trial.

    def _start(self, executor: Executor, trial: Trial) -> None:
        """Gives the trial to a worker; one whose process died too often has failed."""
        assignment = self.oracle.assignments[trial.trial_id]
        text = self.measure(dict(assignment.values)).text
        for callback in self.callbacks:
            callback.on_trial_begin(assignment, text)
        attempts = Attempts.read(self.folder.trial(assignment.trial_id))
        if attempts.verdict is not None:
            future: Future[TrialResult] = Future()
            future.set_result(_failed(attempts.verdict))
        else:
            attempts.begin(self.elapsed_seconds)
            self._attempts[assignment.trial_id] = attempts
            future = executor.submit(self._run, self._task(assignment), self._on_epoch(assignment, attempts))
        self._running[future] = trial
        if isinstance(future, TrialFuture):
            for callback in self.callbacks:
                callback.on_trial_placed(assignment, future.worker)
        future.add_done_callback(lambda ended: self._happened.put(partial(self._end, executor, ended)))

    def _end(self, executor: Executor, future: Future[TrialResult]) -> None:
        """Records a trial, or tries it again if it was its worker that came to an end."""
        trial = self._running.pop(future)
        worker = future.worker if isinstance(future, TrialFuture) else THIS_PROCESS
        try:
            result = future.result()
        except WorkerDied as death:
            verdict = self._attempts[trial.trial_id].verdict
            if self.time_left.seconds <= 0:
                result = TrialResult(Status.TIMED_OUT, (), 0.0, 0, f"{death}, and the time was used up.")
            elif verdict is not None:
                self._note(f"{death}: {trial.trial_id} is not tried again.")
                result = _failed(verdict)
            else:
                self._note(f"{death}: {trial.trial_id} is tried again.")
                self._start(executor, trial)
                return
        self._record(trial, result, worker)

    def _task(self, assignment: Assignment) -> TrialTask:
        """What the trial is to a worker."""
        return TrialTask(
            trial_id=assignment.trial_id,
            values=structure_values(assignment.values),
            hypermodel=self.hypermodel,
            dataset=self.data,
            epochs=assignment.epochs,
            seed=assignment.seed,
            deadline=self.deadline,
            resume_folder=Attempts(self.folder.trial(assignment.trial_id)).resume_folder,
        )

    def _on_epoch(self, assignment: Assignment, attempts: Attempts) -> OnEpoch:
        def take(epoch: int, values: dict[str, float]) -> None:
            if self._attempts.get(assignment.trial_id) is attempts:  # else it came too late
                attempts.epoch(epoch + 1, self.elapsed_seconds)
                for callback in self.callbacks:
                    callback.on_epoch_end(assignment, epoch + 1, values)

        def on_epoch(epoch: int, values: dict[str, float]) -> None:
            if threading.get_ident() == self._thread:
                take(epoch, values)
            else:
                self._happened.put(partial(take, epoch, values))

        return on_epoch

    @property
    def elapsed_seconds(self) -> float:
        """Wall-clock of the whole search, over all its sessions."""
        return time.time() - self._begin

    # After a trial.

    def _record(self, trial: Trial, result: TrialResult, worker: str) -> None:
        assignment = self.oracle.assignments[trial.trial_id]
        record = self._record_of(assignment, result, worker)
        self.folder.append(record)
        attempts = self._attempts.pop(assignment.trial_id, Attempts(self.folder.trial(assignment.trial_id)))
        if record.status is Status.TIMED_OUT:
            attempts.leave(self.elapsed_seconds)  # with more time it goes on
        else:
            attempts.end()
        if record.status is Status.COMPLETED and record.score is not None:
            self.oracle.update_trial(
                trial.trial_id, {self.oracle.objective.name: record.score}, step=record.epochs - 1
            )
            trial.status = TrialStatus.COMPLETED
            self.time_left.learn(record.macs, record.epochs, record.seconds)
        elif record.status is Status.FAILED:
            trial.status, trial.message = TrialStatus.FAILED, record.message
        self.oracle.end_trial(trial)
        for callback in self.callbacks:
            callback.on_trial_end(record)
        if result.traceback is not None:
            self._show(record, result.traceback)

    def _show(self, record: TrialRecord, trace: str) -> None:
        """An exception with its traceback and the values that caused it, once for each place in the code."""
        place = "\n".join(line for line in trace.splitlines() if line.lstrip().startswith("File "))
        if place not in self._shown:
            self._shown.add(place)
            self._note(f"{record.trial_id} failed with {dict(record.hyperparameters)}\n{trace.rstrip()}")

    def _record_of(self, assignment: Assignment, result: TrialResult, worker: str) -> TrialRecord:
        measured = self.measure(dict(assignment.values))
        status, score, message = result.status, None, result.message
        if status is Status.COMPLETED:
            score = result.curve[-1].get(self.oracle.objective.name) if result.curve else None
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
            elapsed_seconds=self.elapsed_seconds,
            curve=result.curve,
            worker=worker,
            message=message,
        )

    def _note(self, text: str) -> None:
        for callback in self.callbacks:
            callback.on_note(text)


def _failed(verdict: str) -> TrialResult:
    """Of a trial that is not tried again."""
    return TrialResult(Status.FAILED, (), 0.0, 0, verdict)
