"""Every figure of the README stands in a file of results: recomputed here."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from archsearch.plan import plan_brackets
from archsearch.standing import incumbent
from archsearch.starting import origin
from archsearch.trials import Role, TrialRecord, read_records
from benchmarks.attribution.cells import NO_SEARCH
from benchmarks.attribution.running import machine_of
from benchmarks.attribution.table import compared, pair
from space.architecture import DOCUMENTED, Architecture

ROOT = Path(__file__).resolve().parent.parent
HEADLINE = ROOT / "docs" / "results" / "cifar10-90min"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def result() -> Any:
    return read(HEADLINE / "result.json")


@pytest.fixture(scope="module")
def settings() -> Any:
    return read(HEADLINE / "settings.json")


def test_the_table_of_results(result: Any) -> None:
    throughput = read(ROOT / "benchmarks" / "results" / "throughput.json")
    rate = sorted(each["project"] for each in throughput["rounds"])[len(throughput["rounds"]) // 2]
    documented_hours = 50 * 45_000 / rate / 3600
    published, machine = result["published"], result["machine"]
    minutes = (result["search_seconds"] / 60, result["seconds"] / 60)
    rows = [
        "| | documented network, published | found and trained in 90 minutes |",
        f"| test accuracy | {published['test_accuracy']:.4f} | **{result['test_accuracy']:.4f}** |",
        f"| test accuracy, mean of 6 views | | {result['test_accuracy_tta']:.4f} |",
        f"| training accuracy | {published['train_accuracy']:.4f} | {result['train_accuracy']:.4f} |",
        f"| weights | {DOCUMENTED.params((32, 32, 3), 10) / 1e6:.2f} M | {result['params'] / 1e6:.2f} M |",
        f"| macs | {DOCUMENTED.macs((32, 32, 3)) / 1e6:.1f} M | {result['macs'] / 1e6:.1f} M |",
        f"| epochs | {published['epochs']} | {result['epochs']} |",
        f"| time on {machine['cores']} cores, no GPU | {documented_hours:.1f} h for 45,000 images an epoch, "
        f"at the measured {rate:.0f} images/s | search {minutes[0]:.0f} min, training {minutes[1]:.0f} min |",
    ]
    for row in rows:
        assert row in README
    assert result["tta_views"].startswith("6 views")
    assert result["num_test"] == 10_000


def test_the_network_of_result_json_is_that_of_the_search_widened(result: Any, settings: Any) -> None:
    """From the log: the incumbent is its trial, with its values but for the width."""
    records, torn = read_records(HEADLINE / "trials.jsonl")
    best = incumbent(records, "max")
    assert not torn
    assert best is not None
    assert best.trial_id == result["trial_id"] == read(HEADLINE / "best.json")["trial_id"]
    assert {**best.hyperparameters, "width": result["hyperparameters"]["width"]} == result["hyperparameters"]
    assert best.macs == result["found_macs"] < result["macs"] <= settings["plan"]["final_macs"]
    architecture = Architecture.from_dict(result["architecture"])
    assert architecture.macs((32, 32, 3)) == result["macs"]
    assert architecture.params((32, 32, 3), 10) == result["params"]
    assert len(read(HEADLINE / "history.json")["epochs"]) == result["epochs"]
    assert result["num_train"] == 50_000


def test_search_and_training_kept_their_times(settings: Any, result: Any) -> None:
    records, _ = read_records(HEADLINE / "trials.jsonl")
    assert settings["settings"]["max_seconds"] == 1800
    assert max(record.elapsed_seconds for record in records) <= 1800
    assert result["max_seconds"] == settings["settings"]["final_seconds"] == 3600
    assert 0.95 * 3600 <= result["seconds"] <= 1.05 * 3600
    plan = settings["plan"]
    brackets = plan_brackets(**{name: plan[name] for name in ("max_epochs", "factor", "iterations")})
    planned = Counter(
        {(each.iteration, each.number, rung.epochs): rung.size for each in brackets for rung in each.rungs}
    )
    ran = Counter(
        (record.iteration, record.bracket, record.epochs)
        for record in records
        if record.role is Role.SEARCH and record.attempt == 0
    )
    assert ran == planned


def test_the_lift_the_readme_tells(settings: Any) -> None:
    """The interval by hand: two seeds of two networks, so 2 degrees of freedom, and t at 97.5 % is 4.303."""
    records, _ = read_records(HEADLINE / "trials.jsonl")
    best = incumbent(records, "max")
    assert best is not None
    begun_with = settings["begin_with"]
    assert dict(best.hyperparameters) in begun_with, "the README says that it was not drawn"
    searched = {repr(record.hyperparameters) for record in records if record.role is Role.SEARCH}
    assert len(searched) - len(begun_with) == 15
    told = " ".join(README.split())
    assert "fifteen drawn networks did not beat it" in told
    drawn = [
        each
        for each in records
        if each.role is Role.SEARCH and each.epochs == best.epochs and each.hyperparameters not in begun_with
    ]
    near = [each.score or 0.0 for each in drawn if origin(each, settings) == "near a starting point"]
    far = [each.score or 0.0 for each in drawn if origin(each, settings) == ""]
    assert (len(near), len(far)) == (4, 1)
    assert f"Where it had come to {best.score:.4f}, the best of four drawn near the starting points" in told
    assert f"came to {max(near):.4f}, and the only one from the whole space to {far[0]:.4f}" in told
    assert f"networks of at most {settings['plan']['max_macs'] / 1e6:.1f} M macs" in told
    assert told_lift(records, best.trial_id, settings["plan"]) in told


def test_the_run_on_a_slower_machine() -> None:
    folder, told = ROOT / "docs" / "results" / "cifar10-90min-avx2", " ".join(README.split())
    result, settings = read(folder / "result.json"), read(folder / "settings.json")
    assert (
        f"{result['test_accuracy']:.4f}, and {result['test_accuracy_tta']:.4f} as the mean of 6 views, with "
        f"{result['macs'] / 1e6:.1f} M macs" in told
    )
    records, _ = read_records(folder / "trials.jsonl")
    (best,) = [record for record in records if record.trial_id == result["trial_id"]]
    assert origin(best, settings).startswith("near a starting point")
    (start,) = [record for record in records if origin(record, settings).startswith("starting point")]
    assert f"led with {best.score:.4f} against {start.score:.4f}; only the leader was confirmed" in told
    assert told_lift(records, best.trial_id, settings["plan"]) in told


def told_lift(records: list[TrialRecord], best: str, plan: Any) -> str:
    """In the words of the README, from the trials with fresh seeds."""
    fresh = {
        parent: [record.score or 0.0 for record in records if record.parent_trial_id == parent][-2:]
        for parent in (best, "baseline")
    }
    p, q = (sum(scores) / 2 for scores in fresh.values())
    deviation = math.sqrt(sum((scores[0] - scores[1]) ** 2 / 2 for scores in fresh.values()) / 2)
    # Never narrower than the binomial error of the split.
    half = max(4.303 * deviation, 1.96 * math.sqrt((p * (1 - p) + q * (1 - q)) / plan["num_validation"]))
    return (
        f"a confirmed mean of {p:.4f} against {q:.4f} for the documented network at width "
        f"{plan['baseline_width']:.2f}: {100 * (p - q):+.1f} points (95 % interval "
        f"{100 * (p - q - half):.1f} to {100 * (p - q + half):.1f}, 2 seeds)"
    )


def median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(each[name] for each in rounds)


def test_the_figures_of_speed() -> None:
    results, told = ROOT / "benchmarks" / "results", " ".join(README.split())
    slower, newer = read(results / "throughput-avx2.json"), read(results / "throughput.json")
    project, plain = (median(slower["rounds"], side) for side in ("project", "plain"))
    documented, smaller = (
        {other: slower["ratios"][f"{name}{other}"] for other in ("plain", "pytorch", "matmul")}
        for name in ("", "60m/")
    )
    assert documented["plain"] == pytest.approx(
        statistics.median(each["project"] / each["plain"] for each in slower["rounds"])
    )
    assert (
        f"{project:.1f} images per second against {plain:.1f}, {documented['plain']:.1f} times as many"
    ) in told
    assert f"That is {documented['pytorch']:.2f} times as fast as PyTorch, " in told
    assert f"and {documented['matmul']:.2f} of the rate at which that machine multiplies matrices" in told
    assert (
        f"it is {smaller['plain']:.1f} times, {smaller['pytorch']:.2f} and {smaller['matmul']:.2f}." in told
    )
    rounds = newer["rounds"]
    for row, network in (
        ("documented network, 313.5 M macs", ""),
        ("three blocks, fast start, 62.8 M macs", "60m/"),
    ):
        sides = ("project", "plain", "pytorch", "project-bfloat16", "pytorch-bfloat16")
        rates = (f"{median(rounds, network + side):.1f}" for side in sides)
        assert f"| {row} | {' | '.join(rates)} |" in README
    for said, one, other in (
        ("{:.2f} and {:.2f} times as fast as PyTorch, ", "project", "pytorch"),
        ("{:.2f} and {:.2f} times as fast as plain Keras", "project", "plain"),
        ("{:.2f} and {:.2f} times as fast as in single precision", "project-bfloat16", "project"),
        ("but {:.2f} and {:.2f} times as fast as PyTorch", "project-bfloat16", "pytorch-bfloat16"),
    ):
        both = [
            sorted(each[f"{name}{one}"] / each[f"{name}{other}"] for each in rounds)[1]
            for name in ("", "60m/")
        ]
        assert said.format(*both) in told
    times = median(rounds, "project-bfloat16") / project
    assert f"in single precision {times:.1f} times as slowly as those in bfloat16" in told
    one, two = (
        read(results / "workers.json")["searches"]["archsearch"][workers]["trials_per_hour"]
        for workers in "12"
    )
    assert f"finished {two / one:.1f} times as many tiny trials an hour as one" in told
    of_machine = [newer["ratios"][name] for name in ("matmul", "60m/matmul")]
    assert f"{of_machine[0]:.2f} and {of_machine[1]:.2f} of the rate" in told
    augmented = read(ROOT / "benchmarks" / "results" / "augmentation.json")
    share, macs = 100 * max(augmented["share"].values()), augmented["macs"] / 1e6
    assert f"at most {share:.1f} % of a training step of a {macs:.0f} M-mac network" in told


def test_what_the_accuracy_comes_from() -> None:
    path = ROOT / "benchmarks" / "results" / "attribution.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    short = [line for line in lines if line["budget"] == "12m"]
    told = " ".join(README.split())

    def better(cell: str, reference: str) -> str:
        comparison = compared(short, cell, reference)
        assert comparison is not None
        half = comparison.half_width
        assert half is not None
        points, seeds = comparison.difference, len(comparison.differences)
        interval = f"95 % interval {points - half:.1f} to {points + half:.1f}, {seeds} seeds"
        return f"{points:.1f} points better ({interval})"

    assert {line["seed"] for line in short} == {0, 1, 2, 3}
    assert len({machine_of(line) for line in short}) == 3
    assert "with four seeds on three machines" in told
    structure = better("found-modern", "documented-modern")
    assert f"The network found is {structure} than the documented one under the modern recipe" in told
    recipe = better("documented-modern", "documented-documented")
    assert f"the modern recipe {recipe} than the documented one on the documented network" in told
    old = compared(short, "found-documented", "documented-documented")
    assert old is not None
    assert (len(old.differences), old.is_noise) == (3, True)
    by_search = [line["found_in_trial"] for line in short if line["cell"] == "found-documented"]
    assert (len(by_search), by_search.count("baseline")) == (3, 1)
    assert (
        "Under the documented recipe, where one search of three ended with the documented network itself, "
        "three seeds do not tell found and documented apart." in told
    )
    narrowed = [line for line in short if line["cell"].startswith("documented-")]
    widths = sorted(line["hyperparameters"]["width"] for line in narrowed)
    fitting = sorted(line["epochs_at_width_1"] for line in narrowed)
    assert (
        f"the documented network is narrowed, to {widths[0]:.2f} to {widths[-1]:.2f} of its width: at its "
        f"own, the time would have been over after {fitting[0]:.1f} to {fitting[-1]:.1f} epochs." in told
    )
    assert f"The product is {better('found-modern', 'random-search')} than random search." in told
    fixed = better("no-search", "found-modern")
    assert f"trained for all 12 minutes, did {fixed} than 4 minutes of search and 8 of training" in told
    searching = compared(short, "found-modern", "no-search")
    assert searching is not None
    assert searching.difference < 0
    assert searching.is_noise is ("four seeds do not tell that from noise" in told)
    assert "searching did not pay" in told

    found = [line["hyperparameters"] for line in short if line["cell"] == "found-modern"]
    different = [{name for name, value in NO_SEARCH.items() if each[name] != value} for each in found]
    drawn = {"block_0/convs", "filters"}
    assert different == [drawn, set(), set(), {"block_2/convs"}, drawn]
    searched = [line["seed"] for line in short if line["cell"] == "found-modern"]
    assert sorted(searched) == [0, 0, 1, 2, 3]
    assert (
        "In two of the five searches (seed 0 was run on two machines) the network found was a starting "
        "point, in three it was drawn near it." in told
    )

    products = [line for line in lines if (line["cell"], line["budget"]) == ("found-modern", "90m")]
    xeons = {line["precision"]: line for line in products if "Xeon" in line["machine"]["processor"]}
    for precision, said in (
        ("mixed_bfloat16", "a Xeon that multiplies in bfloat16, in one more run, the same commands came to "),
        ("float32", "an older Xeon, in single precision, they came to "),
    ):
        xeon = xeons[precision]
        shown = [f"{xeon[name]:.4f}" for name in ("test_accuracy", "test_accuracy_tta")]
        cost = f"with {xeon['macs'] / 1e6:.1f} M macs, in {xeon['seconds'] / 60:.0f} minutes"
        assert f"On 2 cores of {said}{shown[0]}, and {shown[1]} as the mean of 6 views, {cost}." in told

    (drawn_long,) = [line for line in lines if (line["cell"], line["budget"]) == ("random-search", "90m")]
    (product,) = [line for line in products if pair(line) == pair(drawn_long)]
    assert machine_of(product).startswith("AMD EPYC, AVX2, 2 cores")
    both = [
        f"{100 * line['test_accuracy']:.1f} % (six views {100 * line['test_accuracy_tta']:.1f} %)"
        for line in (product, drawn_long)
    ]
    minutes = [f"{line['seconds'] / 60:.0f}" for line in (product, drawn_long)]
    assert (
        f"In one run each of 90 minutes (of which they took {minutes[0]} and {minutes[1]}), on 2 cores with "
        f"AVX2 only, it came to {both[0]} and random search to {both[1]}." in told
    )

    (long,) = [line for line in lines if (line["cell"], line["budget"]) == ("no-search", "90m")]
    one, six = (100 * long[name] for name in ("test_accuracy", "test_accuracy_tta"))
    told_long = f"trained for all of them, that starting point came to {one:.1f} % (six views {six:.1f} %)"
    assert f"in 90 minutes: {told_long}" in told


def test_the_memory_of_a_large_folder() -> None:
    found = read(ROOT / "benchmarks" / "results" / "folder.json")
    told = " ".join((ROOT / "docs" / "limits.md").read_text(encoding="utf-8").split())
    peak, anonymous = (
        max(found[run][name] for run in ("first", "again")) for name in ("peak_gib", "anonymous_gib")
    )
    assert found["gigabytes"] >= 20
    assert f"On 20 GB of PNG files ({found['files']:,})" in told
    assert f"at most {peak:.1f} GiB, pages of both counted twice, {anonymous:.1f} GiB of it" in told


def test_the_figures_of_the_report() -> None:
    (long,) = [
        each
        for each in read(ROOT / "benchmarks" / "results" / "report.json")["reports"]
        if each["trials"] == 1000
    ]
    told = f"takes {long['seconds']:.1f} seconds to write and has {long['megabytes']:.1f} MB"
    assert told in (ROOT / "docs" / "report.md").read_text(encoding="utf-8")


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
    growth = [
        f"{statistics.median(each['growth_megabytes_per_trial'] for each in rounds):.1f} MB"
        for rounds in both("overhead", "rounds")
    ]
    assert both("damage-half", "raises") == ["JSONDecodeError", None]
    hung, ended = both("worker-killed", "still_running")
    assert hung
    assert not ended
    assert f"hangs (ended after {both('worker-killed', 'seconds')[0]:.0f} s)" in README
    for row in (
        f"| Hyperband, max_epochs 27: announced, then run | about {announced[0]}, then {run[0]} epochs "
        f"| {announced[1]}, then {run[1]} epochs |",
        f"of 9 | {' | '.join(reached(side) for side in sides)} |",
        f"finished trials lost, repeated | {' | '.join(lost(side) for side in sides)} |",
        f"half-way through a state file: opens again | {opened[0]} times | {opened[1]} times |",
        f"does not open | goes on with {kept['kept']} of {kept['finished']} trials |",
        f"| memory growth per trial, in one process | {growth[0]} | {growth[1]} |",
    ):
        assert row in README


def test_the_search_that_was_killed_twice() -> None:
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
    assert told_lift(records, best.trial_id, planned) in readme
