"""The Hyperband oracle: proposes trials slot by slot, and is rebuilt by replaying the log.

Against Keras Tuner's own: the baseline comes first, every rung trains afresh, a failed trial costs no
promotion, infeasible draws take no slot, a small space finishes, and draws depend on no score.

Which trials there are does not depend on how many run at a time; in which order they start does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from archsearch.assignment import BASELINE_ID, Assignment, best_networks, tuner_values
from archsearch.draws import Draws, Values
from archsearch.ladder import Ladder, Position
from archsearch.plan import CONFIRM_SEEDS, Bracket, plan_brackets
from archsearch.trials import Role, Status, TrialRecord

WAITING = 2
"""Trials that wait for each further worker until nothing else can start: cheap ones that lead to no other,
which fill the time of the last promotions."""


class HyperbandOracle(keras_tuner.Oracle):
    """Hyperband in which a trial is a slot, not a turn.

    Works in our tuner and, handed to a `keras_tuner.Hyperband` subclass, in stock Keras Tuner: values
    then hold `tuner/epochs` and its companions, with `tuner/initial_epoch` always 0.

    Args:
        objective: Name as in the training logs, or a `keras_tuner.Objective`.
        max_epochs: Fidelity of the top rung and of the baseline.
        factor: Reduction factor, at least 2.
        iterations: Passes over all brackets.
        seed: Of all draws and of the trials' own seeds; 0 is a seed like any other.
        baseline: Values of trial 0 over the space's defaults; `None` for no baseline.
        fit: From the values drawn to those of a network within the limits; where it is `None`, they take no
            slot.
        cost: What an epoch of a network takes, in whatever unit; by default all take the same.
        confirm: Networks that are trained again at the end, with fresh seeds, beside the baseline, whose turn
            comes earlier where a worker is idle.
        hyperparameters: The space, where it is known before a hypermodel is built.
    """

    def __init__(
        self,
        objective: Any = "val_accuracy",
        *,
        max_epochs: int,
        factor: int = 3,
        iterations: int = 1,
        seed: int = 0,
        baseline: Mapping[str, Any] | None = None,
        fit: Callable[[Values], Values | None] = lambda values: values,
        cost: Callable[[Values], float] = lambda values: 0.0,
        confirm: int = 0,
        hyperparameters: keras_tuner.HyperParameters | None = None,
    ) -> None:
        # Failures are our own business: Keras Tuner's limit of three in a row is switched off.
        super().__init__(
            objective=objective, hyperparameters=hyperparameters, max_consecutive_failed_trials=None
        )
        brackets = plan_brackets(max_epochs=max_epochs, factor=factor, iterations=iterations)
        self.ladders = tuple(Ladder(bracket, self.objective.direction) for bracket in brackets)
        self.max_epochs = max_epochs
        self.search_seed = seed
        self.confirm = confirm
        self.draws = Draws(
            brackets, space=lambda: self.hyperparameters.space, seed=seed, baseline=baseline, fit=fit
        )
        self.ongoing_trials: dict[str, Trial] = {}
        self.assignments: dict[str, Assignment] = {}
        self.dropped: set[str] = set()
        """Names of brackets of which nothing more is to be started."""
        self._finished: set[str] = set()
        """Names of brackets that need not be asked again."""
        self.searching_over = False
        """Whether no more trials of the search are to be started, so that confirmations come next."""
        self._baseline_done = baseline is None
        self._lineages: dict[tuple[str, int], tuple[str, Values]] = {}
        """Trial id and values of the draw that each slot's first rung completed with or runs."""
        self._cost = cost
        self._costs: dict[str, float] = {}
        """Of trials that waited."""
        self.verbose = 0

    # What Keras Tuner calls.

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        """The next trial, or one of status IDLE (the running ones decide) or STOPPED (nothing is left)."""
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        assignment = self._next_assignment()
        if assignment is None:
            status = TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED
            return Trial(self.get_space(), trial_id="", status=status)
        trial = self._register(assignment)
        self.ongoing_trials[tuner_id] = trial
        return trial

    def score_trial(self, trial: Trial) -> None:
        """The objective at the last epoch reported, not at the best: a rung is one complete schedule."""
        last = max(trial.metrics.get_history(self.objective.name), key=lambda observation: observation.step)
        trial.score = last.mean()
        trial.best_step = last.step

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        """Takes the trial's verdict; one that is RUNNING (it ran out of time) is open again."""
        if trial.status == TrialStatus.RUNNING:
            self._close(trial.trial_id, None, failed=False)
            del self.trials[trial.trial_id]
            self.start_order.remove(trial.trial_id)
        else:
            super().end_trial(trial)
            ended = self.trials[trial.trial_id]
            self._close(ended.trial_id, ended.score, failed=ended.status != TrialStatus.COMPLETED)
        self.ongoing_trials = {
            tuner_id: ongoing
            for tuner_id, ongoing in self.ongoing_trials.items()
            if ongoing.trial_id != trial.trial_id
        }

    def save(self) -> None:
        """Nothing: `trials.jsonl` is the only truth."""

    def reload(self) -> None:
        """Nothing: see `replay`."""

    def _save_trial(self, trial: Trial) -> None:
        """Nothing: as `save`."""

    # Continuing a search.

    def replay(self, records: Iterable[TrialRecord]) -> None:
        """Brings the oracle to where it was when the last of these records was written.

        A trial that ran out of time is open again.
        """
        for record in records:
            if record.status is not Status.TIMED_OUT:
                self._replay_one(record)

    def _replay_one(self, record: TrialRecord) -> None:
        bracket = position = None
        if record.place is not None:
            bracket = self._bracket(record.place.iteration, record.place.bracket)
            position = Position(record.place.rung, record.place.slot, record.attempt)
        assignment = Assignment(
            trial_id=record.trial_id,
            role=record.role,
            epochs=record.epochs,
            seed=record.seed,
            values=record.hyperparameters,
            attempt=record.attempt,
            parent_trial_id=record.parent_trial_id,
            bracket=bracket,
            position=position,
        )
        trial = self._register(assignment)
        trial.status = str(record.status)
        trial.message = record.message
        trial.score = record.score
        trial.best_step = record.epochs - 1
        self.end_order.append(trial.trial_id)
        self._close(trial.trial_id, record.score, failed=record.status is Status.FAILED)

    # For a search whose time runs out.

    @property
    def num_confirmed(self) -> int:
        """Confirmations that were started and will be needed however the search ends: the baseline's.

        The others are of networks that led in an earlier session.
        """
        return sum(
            each.role is Role.CONFIRM and each.parent_trial_id == BASELINE_ID
            for each in self.assignments.values()
        )

    def has_cheaper(self, assignment: Assignment) -> bool:
        """Whether another trial of its bracket may start that costs less; not where there are promotions."""
        bracket = assignment.bracket
        if bracket is None or len(bracket.rungs) > 1:
            return False
        others = self._all_of(self._ladder(bracket))
        return any(self._cost_of(other) < self._cost_of(assignment) for other in others)

    def is_first(self, assignment: Assignment) -> bool:
        """Whether it has the place of the first network that the search begins with."""
        place = self.draws.first_place
        if place is None or assignment.bracket is None or assignment.position is None:
            return False
        return (assignment.bracket.place, assignment.position.slot) == (place[0].place, place[1])

    def give_up(self, assignment: Assignment) -> None:
        """A trial of a bracket without promotions is left out, until the search is continued."""
        assert assignment.bracket is not None
        assert assignment.position is not None
        self._ladder(assignment.bracket).give_up(assignment.position.slot)

    # Where a trial comes from.

    def _next_assignment(self) -> Assignment | None:
        if not self._baseline_done and BASELINE_ID not in self.assignments:
            return self._baseline_assignment()
        return self._next_of_search() or self._next_confirmation()

    def _next_of_search(self) -> Assignment | None:
        """The first in the order of the plan, but for the trials that wait: the costliest of these last.

        With a single worker none waits. Ahead of all comes the first network that the search begins with.
        """
        if (first := self._first_begun()) is not None:
            return first
        waiting: list[Assignment] = []
        for ladder in self._open_ladders():
            if len(ladder.bracket.rungs) == 1:
                waiting += self._all_of(ladder)
                found = self._beyond_reserve(waiting)
            else:
                found = self._next_of(ladder)
            if found is not None:
                return found
            if ladder.finished:
                self._finished.add(ladder.bracket.name)
        return max(waiting, key=self._cost_of, default=None)

    def _first_begun(self) -> Assignment | None:
        place = self.draws.first_place
        if place is None:
            return None
        bracket, slot = place
        position = Position(0, slot, attempt=0)
        ladder = self._ladder(bracket)
        is_open = ladder in self._open_ladders() and position in ladder.open_positions()
        return self._assign(bracket, position) if is_open else None

    def _next_of(self, ladder: Ladder) -> Assignment | None:
        while (position := ladder.next()) is not None:
            assignment = self._assign(ladder.bracket, position)
            if assignment is not None:
                return assignment
            ladder.give_up(position.slot)
        return None

    def _all_of(self, ladder: Ladder) -> Iterator[Assignment]:
        """Of a bracket without promotions."""
        for position in ladder.open_positions():
            assignment = self._assign(ladder.bracket, position)
            if assignment is None:
                ladder.give_up(position.slot)
            else:
                yield assignment

    def _beyond_reserve(self, waiting: list[Assignment]) -> Assignment | None:
        """The first one in the plan that need not wait, for cheaper ones do."""
        num = len(waiting) - WAITING * len(self.ongoing_trials)
        costly = sorted(waiting, key=self._cost_of, reverse=True)[: max(0, num)]
        return min(costly, key=lambda each: each.plan_order, default=None)

    def _cost_of(self, assignment: Assignment) -> float:
        if assignment.trial_id not in self._costs:
            self._costs[assignment.trial_id] = self._cost(dict(assignment.values))
        return self._costs[assignment.trial_id]

    def _open_ladders(self) -> list[Ladder]:
        if self.searching_over:
            return []
        done = self.dropped | self._finished
        return [ladder for ladder in self.ladders if ladder.bracket.name not in done]

    def _next_confirmation(self) -> Assignment | None:
        """The baseline again, and the best networks; these only once every score of the search is known."""
        running = (self.assignments[trial.trial_id] for trial in self.ongoing_trials.values())
        searching = any(assignment.role is Role.SEARCH for assignment in running)
        for confirmed, trial_id in self._confirmations():
            if searching and confirmed.role is Role.SEARCH:
                return None
            if trial_id not in self.assignments:
                return Assignment(
                    trial_id=trial_id,
                    role=Role.CONFIRM,
                    epochs=self.max_epochs,
                    seed=self._seed(trial_id),
                    values=confirmed.values,
                    parent_trial_id=confirmed.trial_id,
                )
        return None

    def _confirmations(self) -> Iterator[tuple[Assignment, str]]:
        """What is to be confirmed, and by which trial, in their order."""
        completed = [
            (self.trials[trial_id].score, assignment)
            for trial_id, assignment in self.assignments.items()
            if self.trials[trial_id].status == TrialStatus.COMPLETED
        ]
        best = best_networks(completed, num=self.confirm, direction=self.objective.direction)
        base = [assignment for _, assignment in completed if assignment.role is Role.BASELINE]
        for confirmed in [*base, *best] if best else []:
            for number in range(1, CONFIRM_SEEDS + 1):
                yield confirmed, f"{confirmed.trial_id}-c{number}"

    def _baseline_assignment(self) -> Assignment:
        values = self.draws.baseline_values or {}
        return Assignment(BASELINE_ID, Role.BASELINE, self.max_epochs, self._seed(BASELINE_ID), values)

    def _assign(self, bracket: Bracket, position: Position) -> Assignment | None:
        """The trial of a position; `None` if no network is left to draw for it."""
        trial_id = f"{bracket.name}-r{position.rung}-s{position.slot}"
        if position.attempt:
            trial_id += f"-a{position.attempt}"
        parent = None
        if position.rung == 0:
            drawn = self.draws.of(bracket, slot=position.slot, attempt=position.attempt)
            if drawn is None:
                return None
            values = drawn
        else:
            parent, values = self._lineages[bracket.name, position.slot]
        return Assignment(
            trial_id=trial_id,
            role=Role.SEARCH,
            epochs=bracket.rungs[position.rung].epochs,
            seed=self._seed(trial_id),
            values=values,
            attempt=position.attempt,
            parent_trial_id=parent,
            bracket=bracket,
            position=position,
        )

    def _seed(self, trial_id: str) -> int:
        """31 bits from (search's seed, trial), the same on every machine and Python."""
        digest = hashlib.sha256(f"{self.search_seed}/{trial_id}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    # Book-keeping.

    def _register(self, assignment: Assignment) -> Trial:
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = {**assignment.values, **tuner_values(assignment)}
        trial = Trial(hyperparameters, trial_id=assignment.trial_id, status=TrialStatus.RUNNING)
        self.trials[trial.trial_id] = trial
        self.start_order.append(trial.trial_id)
        self.assignments[trial.trial_id] = assignment
        if assignment.bracket is not None and assignment.position is not None:
            self._ladder(assignment.bracket).start(assignment.position)
            if assignment.position.rung == 0:
                lineage = assignment.bracket.name, assignment.position.slot
                self._lineages[lineage] = (trial.trial_id, dict(assignment.values))
        return trial

    def _close(self, trial_id: str, score: float | None, *, failed: bool) -> None:
        """Tells the ladder; without a score and not failed, the place is open again."""
        assignment = self.assignments[trial_id]
        if score is None and not failed:
            del self.assignments[trial_id]
        if assignment.role is Role.BASELINE:
            self._baseline_done = failed or score is not None
        if assignment.bracket is None or assignment.position is None:
            return
        ladder = self._ladder(assignment.bracket)
        if failed:
            ladder.fail(assignment.position)
        elif score is None:
            ladder.release(assignment.position)
        else:
            ladder.complete(assignment.position, score)
            lineage = assignment.bracket.name, assignment.position.slot
            self._lineages[lineage] = (trial_id, dict(assignment.values))

    def _bracket(self, iteration: int, number: int) -> Bracket:
        brackets = (ladder.bracket for ladder in self.ladders)
        return next(each for each in brackets if each.place == (iteration, number))

    def _ladder(self, bracket: Bracket) -> Ladder:
        return next(ladder for ladder in self.ladders if ladder.bracket is bracket)
