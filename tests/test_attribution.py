"""The attribution: which cells are run, what is kept of them, and what the table says."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_rel

from archsearch import runtime
from archsearch.errors import UserError
from archsearch.flags import final_parser, search_parser
from archsearch.plan import Cost, Plan, Rung, Speed, plan_brackets
from archsearch.run import Run
from archsearch.run_folder import RunFolder, read_json
from benchmarks.attribution import running, table
from benchmarks.attribution.cells import CELLS, Budget, Job
from benchmarks.keeping import append, between, read

ROOT = Path(__file__).resolve().parent.parent
MACHINE = {"processor": "one of two, AVX-512", "cores": 2, "gpus": []}
PRECISION = "mixed_bfloat16"
ELSEWHERE = MACHINE | {"processor": "another one, AVX-512"}
HERE = {"machine": MACHINE, "precision": PRECISION}
VERSIONS = {"tensorflow": "2.21.0", "keras": "3.15.1"}


@pytest.fixture(scope="module")
def script() -> Any:
    """The script, which the package beside it hides from an import."""
    return runpy.run_path(str(ROOT / "benchmarks" / "attribution.py"))


def line(cell: str, accuracy: float, *, seed: int = 0, budget: str = "12m", seconds: float = 720) -> Any:
    """As much of a line as the table reads; the accuracy in percent."""
    share = accuracy / 100
    return {
        "cell": cell,
        "budget": budget,
        "seed": seed,
        "seconds": seconds,
        "test_accuracy": share,
        "test_accuracy_tta": share,
        "macs": 20_000_000,
        "num_epochs": 12,
        "hyperparameters": {"width": 0.25},
        "epochs_at_width_1": 0.9,
        "precision": PRECISION,
        "machine": MACHINE,
        "versions": VERSIONS,
        "git_commit": "0123456789abcdef",
    }


def group(cell: str, *accuracies: float) -> list[Any]:
    return [line(cell, accuracy, seed=seed) for seed, accuracy in enumerate(accuracies)]


class Runner:
    """Leaves what the commands would leave, and notes them."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, arguments: Sequence[str]) -> str:
        if "--here" in arguments:
            return f"something printed\n{json.dumps(HERE)}\n"
        self.commands.append(list(arguments))
        if "--train" in arguments:
            request = json.loads(arguments[-1])
            leave_final(Path(request["folder"]) / "final" / "fixed")
            return 'something printed\n{"epochs_at_width_1": 0.9}\n'
        folder = Path(arguments[arguments.index("--logs") + 1]) / arguments[arguments.index("--run") + 1]
        if arguments[0] == "search.py":
            leave_search(folder)
        else:
            leave_final(folder / "final" / "best")
        return ""


def leave_final(folder: Path) -> None:
    folder.mkdir(parents=True)
    result = dict.fromkeys(running.RESULTS, 1) | {"test_accuracy": 0.9, "test_accuracy_tta": 0.91}
    result |= {"published": None, "machine": MACHINE, "precision": PRECISION, "versions": VERSIONS}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "history.json").write_text(json.dumps({"epochs": [{"accuracy": 0.5}, {"accuracy": 0.8}]}))


def leave_search(folder: Path) -> None:
    folder.mkdir(parents=True)
    plan = Plan(
        max_epochs=9,
        factor=3,
        iterations=1,
        images_per_epoch=9000,
        num_validation=5000,
        confirm=1,
        baseline_width=0.25,
        max_macs=20_000_000,
        max_params=None,
        max_seconds=240,
        cost=Cost(1.0, 1.0, 1.0),
        speed=Speed(1e10, 8.0, "measured"),
        final_macs=22_000_000,
    )
    stored = {
        "settings": {},
        "plan": plan.to_dict(),
        "recipe": {"name": "modern", "optimizer": "sgd"},
        "hypermodel": "",
        "dataset": {"content_hash": ""},
        "versions": {},
        "machine": {},
        "finished": True,
    }
    (folder / "settings.json").write_text(json.dumps(stored))
    (folder / "trials.jsonl").write_text("")


def run_all(script: Any, tmp_path: Path, runner: Runner, *flags: str) -> list[dict[str, Any]]:
    results = tmp_path / "results.jsonl"
    arguments = ["--results", str(results), "--logs", str(tmp_path / "logs"), *flags]
    script["run_all"](script["parse"](arguments), run=runner)
    return read(results)


# What is run.


def test_a_third_of_the_budget_searches() -> None:
    assert (Budget("12m").search_seconds, Budget("12m").final_seconds) == (240, 480)
    assert (Budget("90m").search_seconds, Budget("90m").final_seconds) == (1800, 3600)


def test_twelve_minutes_run_every_cell_three_times_and_ninety_three_cells_once(
    script: Any, tmp_path: Path
) -> None:
    flags = script["parse"](["--results", str(tmp_path / "none")])
    asked = [job.key for job, _, done in script["asked"](flags, HERE) if not done]
    short = {(cell, "12m", seed) for cell in CELLS for seed in (0, 1, 2)}
    long = {(cell, "90m", 0) for cell in ("found-modern", "no-search", "random-search")}
    assert len(asked) == 21
    assert set(asked) == short | long


def test_every_cell_is_told_the_precision_that_auto_comes_to(script: Any, tmp_path: Path) -> None:
    run_all(script, tmp_path, runner := Runner(), "--budget", "12m", "--seeds", "1")
    searches = [command for command in runner.commands if command[0] == "search.py"]
    given = [search[search.index("--precision") + 1] for search in searches]
    trained = [json.loads(command[-1])["precision"] for command in runner.commands if "--train" in command]
    assert (len(given), len(trained)) == (3, 3)
    assert {*given, *trained} == {PRECISION}


def test_a_budget_is_the_same_however_it_is_written(script: Any) -> None:
    assert script["parse"](["--budget", "720s", "1.5h", "12m"]).budget == [
        Budget("12m"),
        Budget("90m"),
        Budget("12m"),
    ]


@pytest.mark.parametrize("cell", [name for name, cell in CELLS.items() if cell.values is None])
def test_the_commands_of_a_searched_network_are_the_products_own(cell: str) -> None:
    limits = {"max_epochs": 9, "images_per_epoch": 9000, "max_macs": 20_000_000}
    search, final = Job(cell, Budget("12m"), 2, "cifar10").commands("logs", limits)
    searched = search_parser("search.py").parse_args(search[1:])
    trained = final_parser("final_train.py").parse_args(final[1:])
    assert (search[0], final[0]) == ("search.py", "final_train.py")
    assert (searched.max_seconds, searched.final_seconds, searched.seed) == (240, 480, 2)
    assert searched.recipe == ("documented" if cell == "found-documented" else "modern")
    assert (trained.best, trained.max_seconds, trained.tta, trained.all_data) == (True, 480, True, True)
    assert searched.run == trained.run == f"attribution-12m-{cell}-2"


def test_random_search_promotes_nothing_and_keeps_to_the_limits_of_the_product() -> None:
    limits = {"max_epochs": 9, "images_per_epoch": 9000, "max_macs": 20_000_000}
    search, _ = Job("random-search", Budget("12m"), 0, "cifar10").commands("logs", limits)
    flags = search_parser("search.py").parse_args(search[1:])
    assert (flags.images_per_epoch, flags.max_macs, flags.confirm) == (9000, 20_000_000, 0)
    assert flags.starting_points == "no"
    brackets = plan_brackets(max_epochs=flags.max_epochs, factor=flags.factor)
    assert [bracket.rungs for bracket in brackets] == [(Rung(epochs=9, size=2),)]


def test_random_search_without_a_limit_on_macs_gets_none() -> None:
    limits = {"max_epochs": 3, "images_per_epoch": 9000, "max_macs": None}
    search, _ = Job("random-search", Budget("90m"), 0, "cifar10").commands("logs", limits)
    assert "--max-macs" not in search


@pytest.mark.parametrize(
    ("cell", "recipe", "max_width"),
    [
        ("documented-documented", "documented", 1.0),
        ("documented-modern", "modern", 1.0),
        ("no-search", "modern", None),
    ],
)
def test_a_given_network_is_trained_for_all_of_the_budget(
    cell: str, recipe: str, max_width: float | None
) -> None:
    (command,) = Job(cell, Budget("12m"), 0, "cifar10").commands("logs", None)
    request = json.loads(command[-1])
    assert (request["seconds"], request["recipe"], request["max_width"]) == (720, recipe, max_width)
    assert (request["values"] == {}) is cell.startswith("documented")


# What is kept.


def test_every_cell_leaves_one_line_and_a_second_call_runs_nothing(script: Any, tmp_path: Path) -> None:
    runner = Runner()
    lines = run_all(script, tmp_path, runner, "--budget", "12m", "--seeds", "1")
    assert [each["cell"] for each in lines] == list(CELLS)
    assert {each["seed"] for each in lines} == {1}
    assert len(runner.commands) == 3 * 2 + 3
    assert run_all(script, tmp_path, again := Runner(), "--budget", "12m", "--seeds", "1") == lines
    assert again.commands == []


def test_a_line_holds_the_accuracies_and_what_the_search_was(script: Any, tmp_path: Path) -> None:
    (found,) = run_all(
        script, tmp_path, Runner(), "--only", "found-modern", "--budget", "12m", "--seeds", "0"
    )
    assert (found["test_accuracy"], found["test_accuracy_tta"], found["num_epochs"]) == (0.9, 0.91, 2)
    assert found["plan"]["max_macs"] == 20_000_000
    assert found["seconds"] == pytest.approx(sum(found["seconds_of_parts"]))
    assert str(tmp_path) not in json.dumps(found)


def test_a_torn_last_line_is_run_again_and_the_others_stay(script: Any, tmp_path: Path) -> None:
    append(tmp_path / "results.jsonl", line("documented-modern", 90.0))
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"cell": "no-search", "budget": "12')
    cells = ("documented-modern", "no-search")
    runner = Runner()
    lines = run_all(script, tmp_path, runner, "--only", *cells, "--budget", "12m", "--seeds", "0")
    assert len(runner.commands) == 1
    assert [each["cell"] for each in lines] == list(cells)
    assert lines[0] == line("documented-modern", 90.0)


def test_a_cell_that_fails_leaves_no_line(script: Any, tmp_path: Path) -> None:
    class Failing(Runner):
        def __call__(self, arguments: Sequence[str]) -> str:
            if arguments[0] == "final_train.py":
                raise UserError("final_train.py ended with status 1.")
            return super().__call__(arguments)

    with pytest.raises(UserError, match="status 1"):
        run_all(script, tmp_path, Failing(), "--only", "found-modern", "--budget", "12m")
    assert read(tmp_path / "results.jsonl") == []


def test_the_network_of_a_random_search_may_be_widened_as_far_as_that_of_the_product(
    script: Any, tmp_path: Path
) -> None:
    """Its own search, limited by a flag, would leave it at 22 M macs."""
    only = ("--budget", "12m", "--seeds", "0", "--only")
    (product,) = run_all(script, tmp_path, Runner(), *only, "found-modern")
    product["plan"]["final_macs"] = 62_000_000
    (tmp_path / "results.jsonl").write_text(json.dumps(product) + "\n")
    _, line = run_all(script, tmp_path, Runner(), *only, "random-search")
    assert line["plan"]["final_macs"] == 62_000_000
    folder = RunFolder(tmp_path / "logs" / "attribution-12m-random-search-0")
    assert Run(folder).plan.final_macs == 62_000_000
    assert read_json(folder.settings)["finished"] is True


def test_random_search_before_the_product_is_refused(script: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run --only found-modern --budget 12m first"):
        run_all(script, tmp_path, Runner(), "--only", "random-search", "--budget", "12m")


@pytest.mark.parametrize(
    "other",
    [
        {"machine": ELSEWHERE},
        {"machine": MACHINE | {"cores": 3}},
        {"machine": MACHINE | {"gpus": ["/physical_device:GPU:0"]}},
        {"precision": "float32"},
    ],
)
def test_a_cell_of_another_machine_is_not_one_of_this(
    script: Any, tmp_path: Path, other: dict[str, Any]
) -> None:
    """Runs of equal time on it are no runs of equal computation."""
    there = [line(cell, 90.0) | other for cell in ("no-search", "found-modern")]
    for each in there:
        append(tmp_path / "results.jsonl", each)
    only = ("--budget", "12m", "--seeds", "0", "--only")
    with pytest.raises(UserError, match="run --only found-modern --budget 12m first"):
        run_all(script, tmp_path, Runner(), *only, "random-search")
    lines = run_all(script, tmp_path, Runner(), *only, "no-search")
    assert lines[:2] == there
    assert [(each["machine"], each["precision"]) for each in lines[2:]] == [(MACHINE, PRECISION)]
    assert run_all(script, tmp_path, again := Runner(), *only, "no-search") == lines
    assert again.commands == []


def test_the_committed_results_are_of_cifar10_only(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = read(script["RESULTS"])
    assert lines
    assert all(each["is_cifar10"] for each in lines)
    monkeypatch.setitem(script["run_all"].__globals__, "RESULTS", tmp_path / "results.jsonl")
    with pytest.raises(UserError, match="not CIFAR-10"):
        run_all(script, tmp_path, Runner(), "--only", "no-search", "--budget", "12m")
    assert read(tmp_path / "results.jsonl") == []


def test_a_command_that_fails_is_named() -> None:
    with pytest.raises(UserError, match=r"search\.py --no-such-flag ended with status 2"):
        running.run_command(["search.py", "--no-such-flag"])


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("asked", ["auto", "float32"])
def test_where_a_line_will_be_measured_is_asked_of_tensorflow(asked: str) -> None:
    here: dict[str, Any] = {"machine": runtime.machine()}
    here["precision"] = runtime.fast_precision() if asked == "auto" else asked
    assert running.machine_of(running.this_machine(asked)) == running.machine_of(here)


@pytest.mark.end_to_end
def test_a_given_network_is_trained_and_tested_by_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/attribution.py", "--only", "documented-modern", "--budget", "20s"]
    command += ["--dataset", "digits", "--logs", str(tmp_path), "--results", str(tmp_path / "results.jsonl")]
    command += ["--precision", "mixed_bfloat16"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (kept,) = read(tmp_path / "results.jsonl")
    assert kept["hyperparameters"].keys() == {"width"}
    assert kept["hyperparameters"]["width"] <= 1
    assert kept["recipe"] == "modern"
    assert 0 < kept["test_accuracy"] < 1
    assert kept["is_cifar10"] is False
    assert str(tmp_path) not in json.dumps(kept)
    (model,) = tmp_path.glob("*/final/fixed/model.keras")
    with zipfile.ZipFile(model) as archive:  # tested in single precision, like what the product trains
        assert b"bfloat16" not in archive.read("config.json")
    assert kept["precision"] == "mixed_bfloat16"


# What the table says.


def test_a_difference_has_students_interval_of_its_seeds() -> None:
    """Differences 4, 4 and 5: their deviation is sqrt(1/3), t of two degrees 4.3027; 4.3027 / 3 = 1.434."""
    lines = [*group("found-modern", 94, 95, 97), *group("documented-modern", 90, 91, 92)]
    comparison = table.compared(lines, "found-modern", "documented-modern")
    assert comparison is not None
    assert comparison.differences == pytest.approx((4, 4, 5))
    assert comparison.half_width == pytest.approx(1.434, abs=1e-3)
    assert str(comparison) == "+4.33 points (95 % interval +2.90 to +5.77; by seed +4.00, +4.00, +5.00)"
    scipys = ttest_rel([94, 95, 97], [90, 91, 92]).confidence_interval(0.95)
    assert comparison.half_width == pytest.approx((scipys.high - scipys.low) / 2)


def test_what_a_machine_is_worth_does_not_blur_a_difference() -> None:
    """Ten points between the machines, none of them in the differences."""
    here = [line("found-modern", 94), line("no-search", 93), line("no-search", 80, seed=1)]
    there = [
        line("found-modern", 84, seed=3),
        line("no-search", 83, seed=3),
        line("found-modern", 99, seed=2),
    ]
    comparison = table.compared(
        [*here, *({**each, "machine": ELSEWHERE} for each in there)], "found-modern", "no-search"
    )
    assert comparison is not None
    assert comparison.differences == pytest.approx((1, 1))
    assert comparison.half_width == pytest.approx(0, abs=1e-9)


def test_a_seed_on_two_machines_counts_once() -> None:
    """It draws the same networks on both: 94 - 93 and 85 - 83, so 1.5; another seed 97 - 93."""
    here = [*group("found-modern", 94, 97), *group("no-search", 93, 93)]
    there = [line("found-modern", 85), line("no-search", 83)]
    lines = [*here, *({**each, "machine": ELSEWHERE} for each in there)]
    comparison = table.compared(lines, "found-modern", "no-search")
    assert comparison is not None
    assert comparison.differences == pytest.approx((1.5, 4))


def test_runs_without_a_partner_are_no_difference() -> None:
    lines = [line("found-modern", 94), line("no-search", 90, seed=1)]
    assert table.compared(lines, "found-modern", "no-search") is None
    elsewhere = line("no-search", 90) | {"machine": ELSEWHERE}
    assert table.compared([line("found-modern", 94), elsewhere], "found-modern", "no-search") is None
    assert not list(table.effects(lines))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((94, 95, 96), ": the network found does better than the documented one."),
        ((86, 87, 88), ": the network found does worse than the documented one."),
        (
            (93, 91, 92),
            ": the network found does better than the documented one, but within noise, so not shown.",
        ),
        (
            (87, 91, 92),
            ": the network found does worse than the documented one, but within noise, so not shown.",
        ),
        ((90, 91, 92), ": no difference."),
    ],
)
def test_structure_is_said_in_each_direction(found: tuple[float, ...], said: str) -> None:
    lines = [*group("found-modern", *found), *group("documented-modern", 90, 91, 92)]
    (sentence,) = [each for each in table.effects(lines) if each.startswith("Structure")]
    assert sentence.startswith("Structure, under the modern recipe")
    assert sentence.endswith(said)


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ((98, 99, 100), ": **no search wins**."),
        ((99, 95, 96), ": **no search wins**, but within noise, so not shown."),
        ((90, 91, 92), ": the search is worth its time."),
    ],
)
def test_the_table_says_whether_no_search_wins(fixed: tuple[float, ...], said: str) -> None:
    lines = [*group("found-modern", 94, 95, 96), *group("no-search", *fixed)]
    (sentence,) = [each for each in table.effects(lines) if each.startswith("Searching")]
    assert sentence.endswith(said)


def test_single_runs_get_a_direction_but_no_interval() -> None:
    lines = [line("found-modern", 94.0, budget="90m"), line("no-search", 94.5, budget="90m")]
    (said,) = table.effects(lines)
    assert said.endswith(": -0.50 points: **no search wins**, without an interval.")


def test_training_is_said_of_both_networks() -> None:
    lines = [
        *group("documented-documented", 80, 81, 82),
        *group("documented-modern", 90, 91, 92),
        *group("found-documented", 85, 86, 87),
        *group("found-modern", 80, 81, 82),
    ]
    said = [each for each in table.effects(lines) if each.startswith("Training")]
    assert [each.split(":")[0] for each in said] == [
        "Training, of the documented network",
        "Training, of what each search found",
    ]
    assert said[0].endswith(": the modern recipe does better than the documented one.")
    assert said[1].endswith(": the modern recipe does worse than the documented one.")


def test_a_row_shows_mean_and_deviation_and_never_the_best() -> None:
    rows = list(table.rows(group("no-search", 90, 91, 95)))
    accuracy = "92.00 ± 2.65"  # squares 4, 1, 9; 14 / 2 = 7
    assert rows[2:] == [
        f"| no search: a fixed network, modern recipe | {accuracy} | {accuracy} | 0, 1, 2 "
        "| 20 ± 0 | 12 ± 0 | 12.0 ± 0.0 |"
    ]
    assert "95" not in rows[2]


@pytest.mark.parametrize(("seconds", "equal"), [(720 * 1.04, True), (720 * 0.96, True), (720 * 1.06, False)])
def test_runs_that_are_not_of_equal_time_are_named(seconds: float, equal: bool) -> None:
    said = list(table.remarks([line("no-search", 90.0, seconds=seconds)]))
    assert any(each.startswith("Every run took 12 min") for each in said) is equal
    assert ("Not of equal time, by more than 5 %: no-search with seed 0 took 13 min." in said) is not equal


def test_what_was_not_run_is_named_and_nothing_is_said_of_it() -> None:
    said = list(table.remarks([line("found-modern", 94.0, budget="90m")]))
    assert said[0] == "Not run: no-search, random-search."
    assert not list(table.effects([line("found-modern", 94.0, budget="90m")]))


def test_a_narrowed_documented_network_says_how_many_epochs_its_own_width_would_have_had() -> None:
    said = list(table.remarks(group("documented-modern", 90, 91, 92)))
    assert any(
        each.startswith("documented network, modern recipe: at width 0.25 ± 0.00; at width 1, 0.9 epochs")
        for each in said
    )


def test_every_budget_and_machine_has_its_rows_and_circumstances() -> None:
    lines = [
        *group("found-modern", 94, 95),
        *group("no-search", 93, 94),
        line("no-search", 97, seed=2) | {"precision": "float32"},
        line("found-modern", 99, seed=2) | {"precision": "float32"},
        line("no-search", 94.0, budget="90m") | {"machine": ELSEWHERE | {"gpus": ["GPU:0", "GPU:1"]}},
    ]
    told = list(table.table(lines))
    assert [each for each in told if each.startswith("###")] == [
        "### 12 min for every cell",
        "### 90 min for every cell",
    ]
    assert [each.partition(" (")[0] for each in told if each.startswith("On ")] == [
        "On one of two, AVX-512, 2 cores, no GPU, in mixed_bfloat16",
        "On one of two, AVX-512, 2 cores, no GPU, in float32",
        "On another one, AVX-512, 2 cores, GPU:0, GPU:1, in mixed_bfloat16",
    ]
    assert sum(each.endswith(" (TensorFlow 2.21.0, Keras 3.15.1; commit 0123456):") for each in told) == 3
    assert sum(each.startswith("| no search: a fixed network") for each in told) == 3
    (searching,) = [each for each in told if each.startswith("- Searching")]
    assert "; by seed +1.00, +1.00, +2.00)" in searching
    assert told.index(searching) == told.index("### 90 min for every cell") - 2


def test_what_is_said_of_another_machine(script: Any) -> None:
    slow = [each for each in read(script["RESULTS"]) if each["machine"]["processor"].endswith("AVX2")]
    page = " ".join((ROOT / "docs" / "attribution.md").read_text(encoding="utf-8").split())
    assert [(each["cell"], each["budget"]) for each in slow] == [
        ("found-modern", "90m"),
        ("random-search", "90m"),
    ]
    product, drawn = (
        [f"{100 * each[name]:.2f} %" for name in ("test_accuracy", "test_accuracy_tta")] for each in slow
    )
    assert f"the product came to {product[0]}, six views {product[1]}" in page
    assert f"random search to {drawn[0]}, six views {drawn[1]}" in page


def test_the_page_is_made_from_the_results(script: Any) -> None:
    page = script["PAGE"].read_text(encoding="utf-8")
    assert between(page, script["BEGIN"], table.table(read(script["RESULTS"]))) == page
