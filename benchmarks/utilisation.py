"""How busy 1 to 64 workers are: a simulated search, with the durations of a real one.

python benchmarks/utilisation.py --max-epochs 27 --iterations 60

The oracle is the real one; only the training and the clock are made up. Every network drawn is given the
seconds an epoch, the seconds besides, and the macs of one trial of the log; its scores come from a hash. Each
worker takes the next trial as soon as it has none. The same numbers on every machine.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import itertools
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from archsearch import runtime
from archsearch.assignment import BASELINE_ID
from archsearch.trials import Role, Status, TrialRecord, read_records

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "docs" / "results" / "killed" / "trials.jsonl"
WORKERS = (1, 2, 4, 8, 16, 32, 64)
CONFIRMATION = re.compile(r"-c\d+$")
"""Ends the names of trials that confirm."""

GOAL = 0.9
"""Of the bound, and of the workers' time."""


@dataclass(frozen=True)
class Duration:
    """Of the trials of one network."""

    seconds_per_epoch: float
    other_seconds: float
    """Building, tracing."""
    macs: int
    """All that the oracle is told of it."""

    def of(self, epochs: int) -> float:
        return self.other_seconds + epochs * self.seconds_per_epoch


@dataclass
class Simulated:
    """What one search came to."""

    num_workers: int
    trials: dict[str, float] = field(default_factory=dict)
    """Seconds by trial."""
    scores: dict[str, float] = field(default_factory=dict)
    parents: dict[str, str | None] = field(default_factory=dict)
    makespan: float = 0.0

    @property
    def work(self) -> float:
        return sum(self.trials.values())

    @property
    def bound(self) -> float:
        """The least any schedule takes: the work shared out evenly, or the longest chain."""
        return max(self.work / self.num_workers, self.chain)

    @property
    def chain(self) -> float:
        """The longest of trials that wait for each other: promotions, and after them all a confirmation.

        The baseline's confirmations wait for the baseline alone.
        """
        base = {name for name in self.trials if BASELINE_ID in (name, self.parents[name])}
        confirmed = {name for name in self.trials.keys() - base if CONFIRMATION.search(name)}
        searched = max(self._up_to(name) for name in self.trials.keys() - base - confirmed)
        last = max((self.trials[name] for name in confirmed), default=0.0)
        return max(searched + last, *(self._up_to(name) for name in base))

    def _up_to(self, name: str) -> float:
        parent = self.parents[name]
        return self.trials[name] + (self._up_to(parent) if parent is not None else 0.0)

    @property
    def utilisation(self) -> float:
        return self.work / (self.num_workers * self.makespan)


def durations(records: Sequence[TrialRecord]) -> tuple[Duration, list[Duration]]:
    """Of the baseline, and of the networks drawn."""
    found = {}
    for record in records:
        if record.status is Status.COMPLETED and record.role is not Role.CONFIRM:
            epochs = [epoch["seconds"] for epoch in record.curve]
            found[record.trial_id] = Duration(
                sum(epochs) / len(epochs), max(0.0, record.seconds - sum(epochs)), record.macs or 0
            )
    return found["baseline"], [each for name, each in found.items() if name != "baseline"]


def drawn(text: str) -> float:
    """From 0 to 1, the same everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def simulate(
    records: Sequence[TrialRecord], *, max_epochs: int, iterations: int, confirm: int, num_workers: int
) -> Simulated:
    """One search, by the oracle that searches."""
    import keras_tuner

    from archsearch.oracle import HyperbandOracle

    base, networks = durations(records)

    def network_of(values: Mapping[str, Any]) -> Duration:
        number = drawn(f"network {values['x']!r}") * len(networks)
        return networks[int(number)]

    space = keras_tuner.HyperParameters()
    space.Float("x", 0.0, 1.0, default=0.5)
    oracle = HyperbandOracle(
        "val_accuracy",
        max_epochs=max_epochs,
        iterations=iterations,
        baseline={},
        cost=lambda values: network_of(values).macs,
        confirm=confirm,
        hyperparameters=space,
    )
    ended = Simulated(num_workers)
    running: list[tuple[float, int, Any]] = []
    numbers = itertools.count()
    now = 0.0
    while True:
        while len(running) < num_workers:
            number = next(numbers)
            trial = oracle.create_trial(f"{number}")
            if trial.status != "RUNNING":
                break
            assignment = oracle.assignments[trial.trial_id]
            x = repr(assignment.values["x"])
            is_base = BASELINE_ID in (assignment.trial_id, assignment.parent_trial_id)
            network = base if is_base else network_of(assignment.values)
            seconds = network.of(assignment.epochs)
            ended.trials[trial.trial_id] = seconds
            ended.scores[trial.trial_id] = drawn(f"{x}/{trial.trial_id}")
            ended.parents[trial.trial_id] = assignment.parent_trial_id
            heapq.heappush(running, (now + seconds, number, trial))
        if not running:
            ended.makespan = now
            return ended
        now, _, trial = heapq.heappop(running)
        oracle.update_trial(trial.trial_id, {"val_accuracy": ended.scores[trial.trial_id]}, step=0)
        trial.status = "COMPLETED"
        oracle.end_trial(trial)


def rows(searches: Sequence[Simulated]) -> Iterator[dict[str, Any]]:
    """What is reported of each."""
    alone = searches[0]
    for each in searches:
        yield {
            "workers": each.num_workers,
            "makespan_minutes": round(each.makespan / 60, 1),
            "bound_minutes": round(each.bound / 60, 1),
            "of_the_bound": round(each.bound / each.makespan, 3),
            "utilisation": round(each.utilisation, 3),
            "times_as_fast": round(alone.makespan / each.makespan, 1),
            "same_trials": each.scores == alone.scores,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=Path, default=RECORDS, metavar="FILE", help="a trials.jsonl")
    parser.add_argument("--max-epochs", type=int, default=27, metavar="N")
    parser.add_argument("--iterations", type=int, default=60, metavar="N")
    parser.add_argument("--confirm", type=int, default=2, metavar="K")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers are written")
    flags = parser.parse_args()
    runtime.import_tensorflow()  # Keras Tuner needs it
    records, _ = read_records(flags.records)
    searches = [
        simulate(
            records,
            max_epochs=flags.max_epochs,
            iterations=flags.iterations,
            confirm=flags.confirm,
            num_workers=num_workers,
        )
        for num_workers in sorted({1, *flags.workers})
    ]
    reported = list(rows(searches))
    print(f"{len(searches[0].trials)} trials, goal {GOAL:.0%} of the bound")
    for row in reported:
        print(json.dumps(row))
    if flags.json is not None:
        settings = {name: getattr(flags, name) for name in ("max_epochs", "iterations", "confirm")}
        flags.json.write_text(json.dumps({"settings": settings, "rows": reported}, indent=2) + "\n")


if __name__ == "__main__":
    main()
