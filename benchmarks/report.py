"""Seconds and size of the report, for made-up searches of 10 and of 1,000 trials.

python benchmarks/report.py --trials 10 1000 --json benchmarks/results/report.json
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from archsearch import runtime
from archsearch.plan import Bracket, Cost, Plan, Speed, plan_brackets
from archsearch.reporting.report import write_report
from archsearch.run_folder import RunFolder, write_json
from archsearch.settings import SearchSettings
from archsearch.trials import Role, Status, TrialRecord
from space.architecture import DOCUMENTED
from space.recipe import RECIPES
from space.sampling import RandomDraw, sample

IMAGE_SHAPE = (32, 32, 3)
NUM_CLASSES = 10
MAX_EPOCHS = 27
WORKERS = 2
EPOCH_SECONDS = 6.0


class Draw(RandomDraw):
    """Keeps the values it draws, and what the space says of them, as settings.json would."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.values: dict[str, Any] = {}
        self.space: dict[str, Any] = {}
        self.conditions: dict[str, tuple[str, list[Any]]] = {}

    def Choice(self, name: str, values: Any, default: Any = None) -> Any:
        self.space[name] = {"kind": "Choice", "values": list(values), "default": default}
        self.values[name] = super().Choice(name, values, default)
        return self.values[name]

    def Float(
        self, name: str, min_value: float, max_value: float, sampling: str = "linear", default: Any = None
    ) -> float:
        self.space[name] = {"kind": "Float", "sampling": sampling, "default": default}
        self.values[name] = super().Float(name, min_value, max_value, sampling, default)
        return float(self.values[name])

    def Boolean(self, name: str, default: bool = False) -> bool:
        self.space[name] = {"kind": "Boolean", "default": default}
        self.values[name] = super().Boolean(name, default)
        return bool(self.values[name])

    def Fixed(self, name: str, value: Any) -> Any:
        self.space[name] = {"kind": "Fixed", "value": value, "default": value}
        self.values[name] = super().Fixed(name, value)
        return self.values[name]

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: list[Any]) -> Iterator[None]:
        """What is declared inside counts for these values of the parent only, as in Keras Tuner."""
        before = set(self.space)
        with super().conditional_scope(parent_name, parent_values):
            yield
        for name in self.space.keys() - before:
            self.conditions[name] = (parent_name, parent_values)

    def active(self, values: dict[str, Any]) -> dict[str, Any]:
        """Without those that another value switches off."""
        return {
            name: value
            for name, value in values.items()
            if name not in self.conditions or values[self.conditions[name][0]] in self.conditions[name][1]
        }


def made_up_run(
    folder: Path, *, num_trials: int, seed: int = 0, objective: str = "val_accuracy"
) -> RunFolder:
    """A whole search that nobody ran: about every fifteenth trial failed, the best two are confirmed."""
    run = RunFolder(folder)
    made = MadeUp(random.Random(seed), objective)
    records = list(made.records(num_trials))
    folder.mkdir(parents=True, exist_ok=True)
    run.trials.write_text("".join(record.to_json() + "\n" for record in records))
    write_json(run.settings, made.settings())
    return run


class MadeUp:
    """Trials whose scores follow from their values, with noise."""

    def __init__(self, rng: random.Random, objective: str) -> None:
        self.rng = rng
        self.objective = objective
        self.free = [0.0] * WORKERS
        self.space: dict[str, Any] = {}
        self.iterations = 1

    def records(self, num: int) -> Iterator[TrialRecord]:
        base = self._trial("baseline", self._values(documented=True), MAX_EPOCHS, role=Role.BASELINE)
        search = [base]
        confirmations = min(6, num // 3)
        for iteration in range(10_000):
            self.iterations = iteration + 1
            for bracket in plan_brackets(max_epochs=MAX_EPOCHS, factor=3):
                search += self._bracket(dataclasses.replace(bracket, iteration=iteration))
                if len(search) >= num - confirmations:
                    return self._confirmed(search[: num - confirmations], confirmations)
        raise AssertionError

    def _bracket(self, bracket: Bracket) -> Iterator[TrialRecord]:
        """Every rung but the first with the best of the one below."""
        below: list[TrialRecord] = []
        for number, rung in enumerate(bracket.rungs):
            here: list[TrialRecord] = []
            for slot in range(rung.size):
                if number and slot >= len(below):
                    break
                parent = below[slot] if number else None
                values = dict(parent.hyperparameters) if parent else self._values()
                place = {
                    "iteration": bracket.iteration,
                    "bracket": bracket.number,
                    "rung": number,
                    "slot": slot,
                }
                name = f"{bracket.name}-r{number}-s{slot}"
                parent_id = parent.trial_id if parent else None
                here.append(self._trial(name, values, rung.epochs, parent_trial_id=parent_id, **place))
            yield from here
            completed = [record for record in here if record.score is not None]
            below = sorted(completed, key=lambda record: -(record.val_accuracy or 0.0))

    def _confirmed(self, search: list[TrialRecord], num: int) -> Iterator[TrialRecord]:
        yield from search
        top = max(record.epochs for record in search[1:])
        best = [record for record in search[1:] if record.epochs == top and record.score is not None]
        best.sort(key=lambda record: -(record.val_accuracy or 0.0))
        for record in [search[0], *best[:2]]:
            for number in (1, 2):
                if num:
                    name, values = f"{record.trial_id}-c{number}", dict(record.hyperparameters)
                    role, parent = Role.CONFIRM, record.trial_id
                    yield self._trial(name, values, MAX_EPOCHS, role=role, parent_trial_id=parent, sure=True)
                    num -= 1

    def _values(self, *, documented: bool = False) -> dict[str, Any]:
        draw = Draw(self.rng)
        sample(draw, RECIPES["modern"])
        self.space = draw.space
        values = {name: each["default"] for name, each in draw.space.items()} if documented else draw.values
        return draw.active(values)

    def _trial(
        self, trial_id: str, values: dict[str, Any], epochs: int, *, sure: bool = False, **fields: Any
    ) -> TrialRecord:
        architecture = DOCUMENTED
        if trial_id.split("-")[0] != "baseline":
            architecture = sample(Fixed(values), RECIPES["modern"])[0]
        macs = architecture.macs(IMAGE_SHAPE)
        ended = Status.COMPLETED
        if fields.get("role") is not Role.BASELINE and not sure and self.rng.random() < 1 / 15:
            ended = self.rng.choice((Status.FAILED, Status.TIMED_OUT))
        curve = self._curve(values, macs, epochs) if ended is Status.COMPLETED else ()
        seconds = epochs * EPOCH_SECONDS * (0.3 + macs / 3e8) * self.rng.uniform(0.8, 1.2)
        worker = self.free.index(min(self.free))
        self.free[worker] += seconds + self.rng.uniform(0.0, 3.0)
        messages = {
            Status.FAILED: "ResourceExhaustedError: out of memory when allocating a tensor",
            Status.TIMED_OUT: "the time of the search was over",
        }
        place = {"bracket": None, "rung": None, "slot": None, "iteration": None, "parent_trial_id": None}
        return TrialRecord(
            trial_id=trial_id,
            status=ended,
            score=curve[-1][self.objective] if curve else None,
            epochs=epochs,
            attempt=0,
            seed=self.rng.getrandbits(32),
            hyperparameters=values,
            architecture=architecture.to_dict(),
            params=architecture.params(IMAGE_SHAPE, NUM_CLASSES),
            macs=macs,
            seconds=seconds,
            elapsed_seconds=self.free[worker],
            curve=tuple(curve),
            worker=str(worker),
            message=messages.get(ended),
            **{"role": Role.SEARCH, **place, **fields},
        )

    def _curve(self, values: dict[str, Any], macs: int, epochs: int) -> list[dict[str, float]]:
        rate = math.log10(values["learning_rate"]) + 2.7
        top = 0.42 + 0.08 * math.log10(macs / 1e6) - 0.12 * rate**2 - 0.05 * values.get("dropout", 0.0) ** 2
        top += self.rng.gauss(0.0, 0.008)
        curve = []
        for epoch in range(1, epochs + 1):
            gain = 0.25 * math.log(epoch + 1) / math.log(MAX_EPOCHS + 1)
            accuracy = min(0.99, max(0.1, top + gain + self.rng.gauss(0.0, 0.004)))
            curve.append(
                {
                    "loss": 2.2 * (1.02 - accuracy),
                    "accuracy": min(0.999, accuracy + 0.02 * epoch / MAX_EPOCHS),
                    "val_loss": 2.4 * (1.04 - accuracy),
                    "val_accuracy": accuracy,
                    "learning_rate": values["learning_rate"] * (1 - epoch / epochs),
                    "seconds": EPOCH_SECONDS,
                }
            )
        return curve

    def settings(self) -> dict[str, Any]:
        """What settings.json would say."""
        settings = SearchSettings(max_epochs=MAX_EPOCHS, max_seconds=None, objective=self.objective)
        plan = Plan(
            max_epochs=MAX_EPOCHS,
            factor=3,
            iterations=self.iterations,
            images_per_epoch=45_000,
            num_validation=5_000,
            confirm=2,
            baseline_width=1.0,
            max_macs=None,
            max_params=None,
            max_seconds=None,
            cost=Cost(313e6, 100e6, 150e6),
            speed=Speed(4e10, 3.0, "measured"),
        )
        return {
            "settings": settings.to_dict(),
            "plan": plan.to_dict(),
            "hypermodel": "space.hypermodel:VGGHyperModel",
            "space": self.space,
            "recipe": RECIPES["modern"].to_dict(),
            "dataset": {
                "name": "cifar10",
                "image_shape": list(IMAGE_SHAPE),
                "class_names": [str(number) for number in range(NUM_CLASSES)],
                "num_train": 45_000,
                "num_validation": 5_000,
                "content_hash": "0",
            },
            "versions": {"python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.1"},
            "git_commit": "0" * 40,
            "machine": {"system": "Linux", "processor": "made up", "cores": 2, "gpus": [], "environment": {}},
            "finished": True,
        }


class Fixed(RandomDraw):
    """Takes every value from a trial."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(random.Random(0))
        self.fixed = values

    def Choice(self, name: str, values: Any, default: Any = None) -> Any:
        return self.fixed.get(name, default)

    def Float(
        self, name: str, min_value: float, max_value: float, sampling: str = "linear", default: Any = None
    ) -> float:
        return float(self.fixed.get(name, default))

    def Boolean(self, name: str, default: bool = False) -> bool:
        return bool(self.fixed.get(name, default))

    def Fixed(self, name: str, value: Any) -> Any:
        return self.fixed.get(name, value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 1000], metavar="N")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder in which the reports stay")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results are kept")
    flags = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        for num in flags.trials:
            run = made_up_run((flags.keep or Path(temporary)) / f"trials-{num}", num_trials=num)
            start = time.perf_counter()
            report = write_report(run)
            seconds = time.perf_counter() - start
            result = {
                "trials": num,
                "seconds": round(seconds, 2),
                "megabytes": round(report.stat().st_size / 1e6, 2),
            }
            print(json.dumps(result))
            results.append(result)
    if flags.json is not None:
        surroundings = {"machine": runtime.machine(), "versions": runtime.versions()}
        write_json(flags.json, {"reports": results, **surroundings})


if __name__ == "__main__":
    main()
