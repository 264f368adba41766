"""What a search will do, before anything trains: brackets, rungs, trials, epochs, seconds. No TensorFlow.

Hyperband after Li et al. (JMLR 18, 2018), with the bracket sizes of Keras Tuner. Every rung trains
afresh for its full number of epochs, so a bracket costs the sum over its rungs of trials times epochs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.typed import from_plain

MIN_EPOCHS = 1
"""Fidelity below which no bracket starts."""

FINAL_EPOCHS = 12
"""Passes over the images that a final training should have: a choice, which nothing here measured. It comes
from three trainings on CIFAR-10: 54 M macs for 11 epochs reach 0.930, 118 M for 9.9 epochs 0.940, 302 M for
15 epochs 0.950 (Jordan, arXiv 2404.00498, 2024; averaged over 6 views). They differ in network and, nearly
eight times, in work; so they show that 10 to 15 passes can be enough for a wide network, not that these are
best for a given time, nor anything of other images."""

CONFIRM_SEEDS = 2
"""Fresh seeds with which a network is trained again at the end."""


@dataclass(frozen=True)
class Rung:
    """One level of a bracket: so many trials, each trained for so many epochs."""

    epochs: int
    size: int


@dataclass(frozen=True)
class Bracket:
    """One ladder: the best of each rung are promoted to the next."""

    iteration: int
    number: int
    """How many promotions it holds; the highest number is the most aggressive and comes first."""
    rungs: tuple[Rung, ...]

    @property
    def place(self) -> tuple[int, int]:
        """Iteration and number, by which records name it."""
        return self.iteration, self.number

    @property
    def name(self) -> str:
        """Short and unique within a run: `b2`, in later iterations `i1-b2`."""
        return f"b{self.number}" if self.iteration == 0 else f"i{self.iteration}-b{self.number}"

    @property
    def num_trials(self) -> int:
        return sum(rung.size for rung in self.rungs)

    @property
    def num_epochs(self) -> int:
        return sum(rung.size * rung.epochs for rung in self.rungs)


def plan_brackets(*, max_epochs: int, factor: int, iterations: int = 1) -> tuple[Bracket, ...]:
    """All brackets in their order, the most aggressive of each iteration first.

    Args:
        max_epochs: Fidelity of the top rung, at least 1.
        factor: Reduction factor between rungs, at least 2.
        iterations: Passes over all brackets, at least 1.

    Raises:
        ValueError: An argument is out of range.
    """
    if max_epochs < 1:
        raise ValueError(f"`max_epochs` must be at least 1, got {max_epochs}.")
    if factor < 2:
        raise ValueError(f"`factor` must be at least 2, got {factor}.")
    if iterations < 1:
        raise ValueError(f"`iterations` must be at least 1, got {iterations}.")
    # In whole numbers: floor(log(243, 3)) is 4 in floating point, not 5.
    largest = 0
    while factor ** (largest + 1) * MIN_EPOCHS <= max_epochs:
        largest += 1
    return tuple(
        Bracket(
            iteration=iteration, number=number, rungs=_rungs(number, max_epochs=max_epochs, factor=factor)
        )
        for iteration in range(iterations)
        for number in range(largest, -1, -1)
    )


def _rungs(number: int, *, max_epochs: int, factor: int) -> tuple[Rung, ...]:
    """The rungs of one bracket; all brackets of an iteration cost about the same."""
    ceil_log = 0
    while factor**ceil_log < max_epochs:
        ceil_log += 1
    ends = ceil_log + 1  # trials of the top rung in bracket 0
    return tuple(
        Rung(
            epochs=_ceil_div(max_epochs, factor ** (number - rung)),
            size=_ceil_div(ends * factor ** (number - rung), number + 1),
        )
        for rung in range(number + 1)
    )


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True)
class Speed:
    """How fast this machine trains, and what a trial costs besides."""

    macs_per_second: float
    """Multiply-adds; training an image takes 3 times its forward `macs` (forward, and twice backward)."""
    overhead_seconds: float
    """Building and tracing one trial."""
    source: str
    """"measured" by real training steps, or "estimated" from matrix products."""

    def shared(self, trials: float) -> Speed:
        """Of each of so many trials at a time on one device; tracing takes one core."""
        return dataclasses.replace(self, macs_per_second=self.macs_per_second / trials)

    def trial_seconds(self, macs: float, *, epochs: int, num_images: int, num_validation: int) -> float:
        """What one trial is expected to take."""
        return (
            self.overhead_seconds + epochs * macs * (3 * num_images + num_validation) / self.macs_per_second
        )


@dataclass(frozen=True)
class Cost:
    """Expected macs of the trials of a search: what the plan's seconds are computed from."""

    baseline_macs: float
    first_rung_macs: float
    """Mean over the networks drawn within the limits."""
    promoted_macs: float
    """Mean over the larger half of them, or over those near known networks where these are larger, for such
    tend to win promotions."""


@dataclass(frozen=True)
class Plan:
    """What will be run, trial for trial and epoch for epoch, unless something fails or time runs out."""

    max_epochs: int
    factor: int
    iterations: int
    images_per_epoch: int
    """Images a training epoch passes over; fewer than all: the same stratified subset in every trial."""
    num_validation: int
    confirm: int
    """Networks that are trained again with fresh seeds at the end, beside the baseline; 0: none are."""
    baseline_width: float
    """1.0 is the documented width."""
    max_macs: int | None
    max_params: int | None
    max_seconds: float | None
    cost: Cost
    speed: Speed
    workers: int = 1
    """Trials at a time."""
    trials_per_device: float = 1.0
    """That share a GPU, or the cores: each is so many times slower than `speed`."""
    validation_passes: int = 1
    """Over the validation images in an epoch."""
    final_macs: int | None = None
    """Of the network in the final training that the search aims at; `None`: it aims at none."""

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        return plan_brackets(max_epochs=self.max_epochs, factor=self.factor, iterations=self.iterations)

    @property
    def num_trials(self) -> int:
        """The baseline and the confirmations included."""
        return 1 + sum(bracket.num_trials for bracket in self.brackets) + self.num_confirmations

    @property
    def num_confirmations(self) -> int:
        """Trials after the last bracket; the baseline is one more network."""
        return CONFIRM_SEEDS * (self.confirm + 1) if self.confirm else 0

    @property
    def num_epochs(self) -> int:
        """Of all these trials."""
        single = self.max_epochs * (1 + self.num_confirmations)
        return single + sum(bracket.num_epochs for bracket in self.brackets)

    @property
    def seconds(self) -> float:
        """Expected duration of the whole search."""
        work = self.baseline_seconds + sum(self._work_seconds(bracket) for bracket in self.brackets)
        chain = max(self.baseline_seconds, *(self._chain_seconds(bracket) for bracket in self.brackets))
        # What is confirmed is known only when all the rest has ended.
        return self._makespan(work, chain) + self.confirm_seconds

    @property
    def confirm_seconds(self) -> float:
        """Expected duration of all confirmations."""
        if not self.confirm:
            return 0.0
        found = self.trial_seconds(self.cost.promoted_macs, self.max_epochs)
        work = CONFIRM_SEEDS * (self.baseline_seconds + self.confirm * found)
        return self._makespan(work, max(self.baseline_seconds, found))

    @property
    def baseline_seconds(self) -> float:
        return self.trial_seconds(self.cost.baseline_macs, self.max_epochs)

    def bracket_seconds(self, bracket: Bracket) -> float:
        """Expected duration of one bracket, if nothing else runs."""
        return self._makespan(self._work_seconds(bracket), self._chain_seconds(bracket))

    def _work_seconds(self, bracket: Bracket) -> float:
        """Of all its trials, one after the other."""
        return sum(
            rung.size * self.trial_seconds(self.rung_macs(number), rung.epochs)
            for number, rung in enumerate(bracket.rungs)
        )

    def _chain_seconds(self, bracket: Bracket) -> float:
        """From its first rung to its last: a network waits for its own promotions."""
        return sum(
            self.trial_seconds(self.rung_macs(number), rung.epochs)
            for number, rung in enumerate(bracket.rungs)
        )

    def _makespan(self, work_seconds: float, chain_seconds: float) -> float:
        """The least that work takes which is shared out among the workers."""
        return max(work_seconds / self.workers, chain_seconds)

    def rung_macs(self, rung: int) -> float:
        return self.cost.first_rung_macs if rung == 0 else self.cost.promoted_macs

    @property
    def trial_speed(self) -> Speed:
        """Of one trial among others that share its device."""
        return self.speed.shared(self.trials_per_device)

    def trial_seconds(self, macs: float, epochs: int) -> float:
        """Expected duration of one trial."""
        return self.trial_speed.trial_seconds(
            macs,
            epochs=epochs,
            num_images=self.images_per_epoch,
            num_validation=self.validation_passes * self.num_validation,
        )

    def with_more_time(self, max_seconds: float | None) -> Plan:
        """The same plan with as many iterations as the time admits, never fewer than now."""
        if max_seconds is None:
            return dataclasses.replace(self, max_seconds=None)
        once = sum(self._work_seconds(bracket) for bracket in self.brackets) / self.iterations
        work = (max_seconds - self.confirm_seconds) * self.workers - self.baseline_seconds
        affordable = int(work / once)
        return dataclasses.replace(self, iterations=max(self.iterations, affordable), max_seconds=max_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: A value is missing, or not what it may be.
        """
        parts = {"cost": from_plain(Cost, data["cost"]), "speed": from_plain(Speed, data["speed"])}
        plan = from_plain(cls, {**data, **parts})
        plan_brackets(max_epochs=plan.max_epochs, factor=plan.factor, iterations=plan.iterations)
        return plan
