"""Every figure of the README stands in a file of results: recomputed here."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from archsearch.plan import plan_brackets
from archsearch.standing import incumbent, lift
from archsearch.trials import Role, read_records
from space.architecture import DOCUMENTED, Architecture

ROOT = Path(__file__).resolve().parent.parent
FIRST = ROOT / "docs" / "results" / "first"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def result() -> Any:
    return read(FIRST / "result.json")


@pytest.fixture(scope="module")
def settings() -> Any:
    return read(FIRST / "settings.json")


def test_the_table_of_results(result: Any) -> None:
    throughput = read(ROOT / "benchmarks" / "results" / "throughput.json")
    rate = sorted(each["project"] for each in throughput["rounds"])[len(throughput["rounds"]) // 2]
    documented_hours = 50 * 45_000 / rate / 3600
    published, machine = result["published"], result["machine"]
    minutes = (result["search_seconds"] / 60, result["seconds"] / 60)
    rows = [
        "| | documented network, published | incumbent of this search |",
        f"| test accuracy | {published['test_accuracy']:.4f} | **{result['test_accuracy']:.4f}** |",
        f"| training accuracy | {published['train_accuracy']:.4f} | {result['train_accuracy']:.4f} |",
        f"| weights | {DOCUMENTED.params((32, 32, 3), 10) / 1e6:.2f} M | {result['params'] / 1e6:.2f} M |",
        f"| macs | {DOCUMENTED.macs((32, 32, 3)) / 1e6:.1f} M | {result['macs'] / 1e6:.1f} M |",
        f"| epochs | {published['epochs']} | {result['epochs']} |",
        f"| time on {machine['cores']} cores, no GPU | {documented_hours:.0f} h, at the measured {rate:.0f} "
        f"images/s | search {minutes[0]:.0f} min, training {minutes[1]:.0f} min |",
    ]
    for row in rows:
        assert row in README


def test_the_figures_of_result_json_are_those_of_the_search(result: Any) -> None:
    """From the log: the incumbent is its trial, with its values, and its macs are those of its structure."""
    records, torn = read_records(FIRST / "trials.jsonl")
    best = incumbent(records, "max")
    assert not torn
    assert best is not None
    assert best.trial_id == result["trial_id"] == read(FIRST / "best.json")["trial_id"]
    assert dict(best.hyperparameters) == result["hyperparameters"]
    architecture = Architecture.from_dict(result["architecture"])
    assert architecture.macs((32, 32, 3)) == result["macs"] == best.macs
    assert architecture.params((32, 32, 3), 10) == result["params"] == best.params
    assert len(read(FIRST / "history.json")["epochs"]) == result["epochs"]


def test_the_search_kept_its_limits_and_its_time(settings: Any) -> None:
    records, _ = read_records(FIRST / "trials.jsonl")
    assert settings["settings"]["max_macs"] == 8_000_000
    assert all(record.macs is not None and record.macs <= 8_000_000 for record in records)
    assert max(record.elapsed_seconds for record in records) <= 1.1 * settings["settings"]["max_seconds"]
    planned = plan_brackets(
        max_epochs=settings["plan"]["max_epochs"],
        factor=settings["plan"]["factor"],
        iterations=settings["plan"]["iterations"],
    )
    ran = Counter((record.bracket, record.epochs) for record in records if record.role is Role.SEARCH)
    started = [bracket for bracket in planned if any(number == bracket.number for number, _ in ran)]
    # Each bracket that was started was run to its end.
    assert ran == {(each.number, rung.epochs): rung.size for each in started for rung in each.rungs}
    num_planned = 1 + sum(bracket.num_trials for bracket in planned)
    assert f"{len(records)} of the {num_planned} planned trials" in " ".join(README.split())


def test_the_lift_the_readme_tells(settings: Any) -> None:
    """The difference of the two accuracies on the validation split, and its binomial standard error.

    Nothing was confirmed in that search, so the interval is 1.96 standard errors to either side.
    """
    records, _ = read_records(FIRST / "trials.jsonl")
    best = incumbent(records, "max")
    base = next(record for record in records if record.role is Role.BASELINE)
    assert best is not None
    assert best.score is not None
    assert base.score is not None
    num_validation = settings["dataset"]["num_validation"]
    error = math.sqrt(sum(p * (1 - p) / num_validation for p in (best.score, base.score)))
    told = lift(records, "max", num_validation)
    assert told is not None
    assert told.points == pytest.approx(100 * (best.score - base.score))
    assert told.num_seeds == 0
    assert (told.points - told.low, told.high - told.points) == pytest.approx((196 * error,) * 2, rel=1e-4)
    width = f"{settings['plan']['baseline_width']:.2f}"
    sentence = (
        f"{best.score:.4f} against {base.score:.4f} for the documented network at width {width}: "
        f"{100 * (best.score - base.score):+.1f} points, standard error {100 * error:.1f}"
    )
    assert sentence in " ".join(README.split())


def test_the_figures_of_speed() -> None:
    throughput = read(ROOT / "benchmarks" / "results" / "throughput.json")
    ratios = sorted(each["project"] / each["plain"] for each in throughput["rounds"])
    assert throughput["ratio"] == pytest.approx(ratios[len(ratios) // 2])
    project, plain = (
        sorted(each[side] for each in throughput["rounds"])[len(ratios) // 2] for side in ("project", "plain")
    )
    told = f"{project:.1f} images per second against {plain:.1f}, {throughput['ratio']:.1f} times as many"
    assert told in " ".join(README.split())
    shares = read(ROOT / "benchmarks" / "results" / "augmentation.json")["share"]
    assert f"at most {100 * max(shares.values()):.1f} % of a training step" in " ".join(README.split())


def test_the_comparison_with_keras_tuner() -> None:
    measured = read(ROOT / "benchmarks" / "results" / "versus.json")
    cells, sides = measured["cells"], ("stock", "archsearch")

    def both(cell: str, name: str) -> list[Any]:
        return [cells[f"{cell}/{side}"].get(name) for side in sides]

    def reached(side: str) -> str:
        each = [cells[f"failures-{share}/{side}"]["top_rung_reached"] for share in (0, 10, 30)]
        return ", ".join(f"{sum(numbers) / len(numbers):.1f}" for numbers in each)

    def lost(side: str) -> str:
        cell = cells[f"kills-training/{side}"]
        return f"{cell['finished_lost']}, {cell['finished_trained_again']}"

    announced, run = both("epochs-27", "announced_epochs"), both("epochs-27", "run_epochs")
    kills, refused = both("kills-writing", "kills"), both("kills-writing", "not_opened")
    opened = [kills[side] - refused[side] for side in (0, 1)]
    kept = cells["damage-half/archsearch"]
    # Between the third trial and the last, as the benchmark says.
    memory = both("overhead", "memory_megabytes")
    growth = [f"{(each[-1] - each[2]) / (len(each) - 3):.1f} MB" for each in memory]
    assert both("damage-half", "raises") == ["JSONDecodeError", None]
    for row in (
        f"| Hyperband, max_epochs 27: announced, then run | about {announced[0]}, then {run[0]} epochs "
        f"| {announced[1]}, then {run[1]} epochs |",
        f"of 9 | {' | '.join(reached(side) for side in sides)} |",
        f"finished trials lost, repeated | {' | '.join(lost(side) for side in sides)} |",
        f"half-way through a state file: opens again | {opened[0]} times | {opened[1]} times |",
        f"does not open | goes on with {kept['kept']} of {kept['finished']} trials |",
        f"| memory growth per trial | {growth[0]} | {growth[1]} |",
    ):
        assert row in README


def test_the_search_that_was_killed_twice() -> None:
    """The interval by hand: two seeds of two networks, so 2 degrees of freedom, and t at 97.5 % is 4.303."""
    killed, readme = ROOT / "docs" / "results" / "killed", " ".join(README.split())
    records, torn = read_records(killed / "trials.jsonl")
    log = (killed / "search.log").read_text(encoding="utf-8")
    assert not torn
    assert log.count("$ python search.py") == 3
    assert log.count("[killed with SIGKILL") == 2
    assert log.endswith("[exit status 0]\n")
    ids = [record.trial_id for record in records]
    assert len(set(ids)) == len(ids)
    planned = read(killed / "settings.json")["plan"]
    brackets = plan_brackets(**{name: planned[name] for name in ("max_epochs", "factor", "iterations")})
    num_planned = 1 + sum(bracket.num_trials for bracket in brackets) + 2 * (planned["confirm"] + 1)
    minutes = max(record.elapsed_seconds for record in records) / 60
    assert f"{len(records)} of its {num_planned} planned trials in {minutes:.1f} minutes" in readme
    best = incumbent(records, "max")
    assert best is not None
    fresh = {
        parent: [record.score or 0.0 for record in records if record.parent_trial_id == parent][-2:]
        for parent in (best.trial_id, "baseline")
    }
    p, q = (sum(scores) / 2 for scores in fresh.values())
    deviation = math.sqrt(sum((scores[0] - scores[1]) ** 2 / 2 for scores in fresh.values()) / 2)
    half = 4.303 * deviation
    assert half > 1.96 * math.sqrt((p * (1 - p) + q * (1 - q)) / planned["num_validation"])
    assert (
        f"a confirmed mean of {p:.4f} against {q:.4f} for the documented network at width "
        f"{planned['baseline_width']:.2f}: {100 * (p - q):+.1f} points (95 % interval "
        f"{100 * (p - q - half):.1f} to {100 * (p - q + half):.1f}, 2 seeds)"
    ) in readme
