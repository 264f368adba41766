"""The report: its answer, its tables and plots, what it makes of little or hostile data, and a browser."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from archsearch.callbacks import Beginning
from archsearch.cli import main
from archsearch.errors import UserError
from archsearch.exporting.records import Exported
from archsearch.exporting.records import record as record_export
from archsearch.flags import SETTINGS, final_parser, search_parser, settings_of
from archsearch.reporting.html.answer import answer, state, tiles
from archsearch.reporting.html.blocks import Diagram, diagrams
from archsearch.reporting.html.cost import pareto_front, rank_plots
from archsearch.reporting.html.final_tables import final_details, final_rows
from archsearch.reporting.html.findings import Final, Findings, read_findings
from archsearch.reporting.html.hyperparameters import axes
from archsearch.reporting.html.importance import importances
from archsearch.reporting.html.page import as_json, plot_sections, render
from archsearch.reporting.html.plots import count_text, label, plot, scatter
from archsearch.reporting.html.set_up import commands
from archsearch.reporting.html.tables import failures, rung_tables
from archsearch.reporting.report import ReportWriter, trials_csv, write_report
from archsearch.run_folder import RunFolder, own_temporary
from archsearch.settings import SearchSettings, resolve
from archsearch.trials import Role, Status, TrialRecord
from space.architecture import DOCUMENTED, Architecture
from tests.records import NOWHERE, a_plan, trial

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
HOSTILE = "</script><script>document.title='taken'</script><b>&amp;{{ 7 * 7 }}"


def record(trial_id: str, score: float | None = 0.5, epochs: int = 1, **changes: Any) -> TrialRecord:
    """Of the search; its accuracy is its score, and without a score it failed."""
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "score": score,
        "epochs": epochs,
        "seed": 7,
        "seconds": 30.0,
        "elapsed_seconds": 60.0,
        "curve": ({"val_accuracy": 0.1}, {"val_accuracy": score}) if score is not None else (),
    }
    return trial(**(values | changes))


def baseline(score: float | None = 0.6, epochs: int = 9, **changes: Any) -> TrialRecord:
    return record("baseline", score, epochs, role=Role.BASELINE, **NOWHERE, **changes)


def repeats(of: str, *scores: float) -> list[TrialRecord]:
    return [
        record(f"{of}-c{number}", score, 9, role=Role.CONFIRM, **{**NOWHERE, "parent_trial_id": of})
        for number, score in enumerate(scores, start=1)
    ]


def findings(*records: TrialRecord, num_validation: int | None = 5000, **stored: Any) -> Findings:
    if num_validation is not None:
        stored["dataset"] = {"num_validation": num_validation} | stored.get("dataset", {})
    return Findings("mine", records, stored)


def write_run(folder: Path, *records: TrialRecord, settings: str | None = None) -> RunFolder:
    run = RunFolder(folder)
    folder.mkdir()
    run.trials.write_text("".join(each.to_json() + "\n" for each in records))
    if settings is not None:
        run.settings.write_text(settings)
    return run


@pytest.fixture(scope="module")
def made_up_run() -> Callable[..., RunFolder]:
    """Of the benchmark, so that what is measured is what is looked at."""
    spec = spec_from_file_location("benchmark_report", ROOT / "benchmarks" / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    made: Callable[..., RunFolder] = module.made_up_run
    return made


# The answer.


@pytest.mark.parametrize(
    ("records", "beginning"),
    [
        ([], "No trial has ended yet."),
        ([record("a", None)], "No trial has succeeded yet."),
        ([baseline()], "So far only the baseline has been trained."),
        ([baseline(), record("a", 0.9, 3)], "No structure can be compared with the baseline yet."),
        ([baseline(), record("a", 0.5, 9)], "No structure did better than the baseline."),
        ([record("a", 0.7, 9)], "The best network found reaches val_accuracy 0.7000; there is no baseline"),
        (
            [baseline(epochs=3), record("a", 0.7, 9)],
            "The best network found reaches val_accuracy 0.7000; it cannot be compared",
        ),
    ],
)
def test_without_a_comparison_the_answer_says_why(records: list[TrialRecord], beginning: str) -> None:
    found = answer(findings(*records))
    assert found.sentence.startswith(beginning)
    assert not found.found


def test_answer_gives_a_lift_with_its_interval() -> None:
    # The standard error of the difference is sqrt((0.6 * 0.4 + 0.7 * 0.3) / 5000) = 0.95 points.
    found = answer(findings(baseline(0.6), record("a", 0.7, 9)))
    assert found.found
    assert found.sentence == (
        "Another structure does better than the baseline: +10.0 percentage points of validation accuracy "
        "(95\u00a0% interval 8.1 to 11.9)."
    )
    assert found.worth.startswith("Not confirmed")


def test_a_lift_within_chance_is_called_no_difference() -> None:
    found = answer(findings(baseline(0.6), record("a", 0.61, 9)))
    assert not found.found
    assert found.sentence.startswith("No difference found: +1.0 percentage points")
    assert "interval −0.9 to 2.9" in found.sentence


def test_confirmed_means_stand_beside_the_scores_of_the_search() -> None:
    records = [baseline(0.6), record("a", 0.9, 9), *repeats("baseline", 0.6, 0.6), *repeats("a", 0.8, 0.8)]
    known = findings(*records)
    assert answer(known).worth.startswith("Confirmed: each network was trained again with 2 fresh seeds")
    assert "+20.0 percentage points" in answer(known).sentence  # not the 30 by which it was chosen
    rows = {row.trial: row for table in rung_tables(known) for row in table.rows}
    assert (rows["a"].score, rows["a"].confirmed) == ("0.9000", "0.8000 (0.8000, 0.8000)")


def test_trials_on_and_near_known_networks_are_marked_so() -> None:
    stored = {"begin_with": [{"a": 1, "b": 2}], "num_from_runs": 0, "neighbours": True}
    records = [
        record(name, 0.5, 9, slot=slot, hyperparameters={"a": 1, "b": b})
        for name, slot, b in (("known", 0, 2), ("even", 2, 3), ("odd", 3, 4))
    ]
    base = baseline(0.6, hyperparameters={"a": 1, "b": 5})
    rows = {row.trial: row for table in rung_tables(findings(base, *records, **stored)) for row in table.rows}
    marks = {name: row.mark for name, row in rows.items()}
    assert (marks["known"], marks["even"], marks["odd"]) == ("starting point", "near a starting point", "")
    assert "near" not in marks["baseline"]


def test_without_the_number_of_images_there_is_no_interval() -> None:
    found = answer(findings(baseline(0.6), record("a", 0.7, 9), num_validation=None))
    assert found.sentence == "The best network found reaches val_accuracy 0.7000, the baseline 0.6000."
    assert found.worth == "Without an interval: the number of validation images is not known."


def test_tiles_compare_the_costs_with_those_of_the_baseline() -> None:
    cheap = record("a", 0.7, 9, params=250_000, macs=2_000_000)
    shown = {tile.title: tile for tile in tiles(findings(baseline(params=500_000, macs=8_000_000), cheap))}
    assert (shown["weights"].value, shown["weights"].note) == ("250 k", "incumbent; 0.5 × the baseline's")
    assert shown["macs per image"].note == "incumbent; 0.25 × the baseline's"


@pytest.mark.parametrize(
    ("finished", "sentence"), [(False, "No trial has succeeded yet."), (True, "No trial succeeded.")]
)
def test_where_nothing_succeeded_there_is_nothing_to_train(finished: bool, sentence: str) -> None:
    known = findings(record("a", None), finished=finished)
    assert answer(known).sentence == sentence
    assert "train the incumbent in full" not in dict(commands(known))
    assert "train the incumbent in full" in dict(commands(findings(record("a", 0.5))))


# Tables.


def test_rungs_are_never_ranked_together_and_the_baseline_is_always_there() -> None:
    top = [record(f"top-{number}", 0.7 + number / 100, 9) for number in range(12)]
    low = [record(f"low-{number}", 0.9, 3) for number in range(7)]
    first, second = rung_tables(findings(baseline(0.1), *low, *top))
    assert (first.epochs, first.num_trials) == ("9 epochs", 13)
    assert [row.trial for row in first.rows] == [f"top-{number}" for number in range(11, 1, -1)] + [
        "baseline"
    ]
    assert [row.rank for row in first.rows] == [*range(1, 11), 13]
    assert first.rows[0].mark == "incumbent"
    assert (second.epochs, len(second.rows)) == ("3 epochs", 5)


def test_the_lowest_loss_ranks_first() -> None:
    losses = [record("a", 2.0, 9), record("b", 1.0, 9)]
    (table,) = rung_tables(findings(*losses, settings={"objective": "val_loss"}))
    assert [row.trial for row in table.rows] == ["b", "a"]


def test_failures_are_grouped_by_their_reason() -> None:
    out = {"status": Status.TIMED_OUT, "score": None}
    records = [
        record("a", None, message="no memory"),
        record("b", None, message="no memory"),
        record("c", **out),
    ]
    many, one = failures(findings(*records))
    assert (many.count, many.status, many.reason, many.trials) == (2, "failed", "no memory", "a, b")
    assert (one.count, one.status, one.reason) == (1, "out of time", "no reason was recorded")


def test_final_trainings_stand_above_what_was_published() -> None:
    published = {"test_accuracy": 0.8748, "epochs": 50}
    result = {"test_accuracy": 0.8, "test_accuracy_tta": 0.81, "trial_id": "a", "published": published}
    known = Findings("mine", [], {}, finals=[Final("best", result, ())])
    mine, theirs = final_rows(known)
    assert (mine.name, mine.test_accuracy) == ("best (trial a)", "0.8000")
    assert mine.several_views == "0.8100 with several views"
    assert (theirs.name, theirs.test_accuracy) == ("documented network, as published", "0.8748")


def test_the_epochs_of_a_training_to_a_time_are_told_in_passes_too() -> None:
    result = {"epochs": 8, "max_seconds": 600.0, "num_images_passed": 90_000, "num_train": 45_000}
    known = Findings("mine", [], {}, finals=[Final("best", result, ())])
    assert [row.epochs for row in final_rows(known)] == ["8, 2.0 passes"]


@pytest.mark.parametrize(
    ("trial_id", "note"),
    [("b", ""), (None, ""), ("a", " of a, not of the incumbent")],
)
def test_a_final_training_of_what_led_before_is_not_taken_for_the_incumbents(
    trial_id: str | None, note: str
) -> None:
    final = Final("best", {"test_accuracy": 0.8, "trial_id": trial_id}, ())
    known = Findings("mine", [record("a", 0.7, 9), record("b", 0.75, 9)], {}, finals=[final])
    shown = {tile.title: tile for tile in tiles(known)}
    assert shown["test accuracy, best"].note == f"after the final training{note}"


def test_commands_repeat_only_what_was_not_the_default() -> None:
    settings = {"seed": 3, "recipe": "modern", "max_seconds": 90.0, "max_macs": 8_000_000, "factor": 3}
    known = findings(hypermodel="space.hypermodel:VGGHyperModel", settings=settings)
    assert dict(commands(known))["search the same again"] == (
        "python search.py --run mine-again --seed 3 --max-time 90s --max-macs 8000000"
    )


BUILT_IN = {"hypermodel": "space.hypermodel:VGGHyperModel"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"max_epochs": 9},
        {"max_epochs": 9, "max_seconds": 1800.0},
        {"max_epochs": 9, "max_seconds": 90.0},
        {"max_seconds": 5400.0},
        {"max_seconds": 1234567.8, "final_seconds": 3600.0},
        {"max_seconds": 0.0001, "final_seconds": 1e7},
        {"final_seconds": 61.25, "confirm": 0},
        {"dataset": "my data/a b.npz", "flip": "no", "seed": 3, "recipe": "documented"},
        {"dataset": "-odd"},
        {
            "factor": 4,
            "iterations": 2,
            "images_per_epoch": 1000,
            "max_params": 300_000,
            "max_macs": 8_000_000,
        },
        {"precision": "mixed_float16"},
    ],
)
def test_the_command_that_searches_again_gives_the_same_settings(given: dict[str, Any]) -> None:
    wanted = resolve(given)
    command = dict(commands(findings(**BUILT_IN, settings=wanted.to_dict())))["search the same again"]
    program, *arguments = shlex.split(command.removeprefix("python "))
    assert program == "search.py"
    flags = search_parser(program).parse_args(arguments)
    assert flags.run == "mine-again"
    assert resolve(settings_of(flags)) == wanted


@pytest.mark.parametrize(
    ("stored", "said"),
    [("mixed_bfloat16", "--precision mixed_bfloat16"), ("float32", "--precision float32"), ([], "")],
)
def test_the_same_again_is_in_the_precision_that_auto_was(stored: Any, said: str) -> None:
    found = findings(**BUILT_IN, settings=resolve({"seed": 3}).to_dict(), precision=stored)
    command = dict(commands(found))["search the same again"]
    assert command == f"python search.py --run mine-again --seed 3 {said}".rstrip()


@pytest.mark.parametrize(
    "settings",
    [{"max_seconds": None}, {"dataset": "arrays"}, {"later": 1}, {"seed": "x"}],
)
def test_a_search_that_no_command_line_gives_has_no_command(settings: dict[str, Any]) -> None:
    assert "search the same again" not in dict(commands(findings(**BUILT_IN, settings=settings)))


def test_every_setting_but_the_objective_has_a_flag() -> None:
    names = {field.name for field in dataclasses.fields(SearchSettings)}
    assert names - set(SETTINGS) <= {"objective"}


def test_the_table_of_all_trials_has_one_row_each() -> None:
    values = {"learning_rate": 0.1, "seconds": "hyper", "dropout": 0.5}
    curve = ({"val_accuracy": 0.1, "learning_rate": 0.02}, {"val_accuracy": 0.7, "learning_rate": 0.01})
    records = [
        record("a", 0.7, hyperparameters=values, curve=curve),
        record("b", None, message='one, "two"\n'),
    ]
    first, second = csv.DictReader(io.StringIO(trials_csv(records)))
    assert (first["trial_id"], first["score"], first["val_accuracy"]) == ("a", "0.7", "0.7")
    assert (first["learning_rate"], first["last/learning_rate"]) == ("0.1", "0.01")
    assert (first["seconds"], first["hp/seconds"]) == ("30.0", "hyper")
    assert (second["score"], second["dropout"], second["message"]) == ("", "", 'one, "two"\n')


# Hyperparameters.


def trials(name: str, *values: Any) -> list[TrialRecord]:
    return [
        record(f"t{number}", 0.1 * number, hyperparameters={} if value is None else {name: value})
        for number, value in enumerate(values)
    ]


def test_a_hyperparameter_with_one_value_has_no_axis() -> None:
    assert axes(findings(*trials("width", 1.0, 1.0, None))) == []


def test_levels_come_in_the_order_of_the_space_and_true_is_not_one() -> None:
    space = {"kind": {"kind": "Choice", "values": ["small", "large"], "default": "small"}}
    (axis,) = axes(findings(*trials("kind", "large", "small"), space=space))
    assert axis.levels == ("small", "large")
    assert axis.place_in({"kind": "large"}) == 1.0
    assert axis.place_in({}) is None
    (switch,) = axes(findings(*trials("switch", True, False)))
    assert switch.place(1) is None
    assert switch.place(True) == 1.0


def test_a_continuous_value_stands_at_its_logarithm_where_the_space_says_so() -> None:
    values = [10.0**-number for number in range(1, 5)]
    space = {"rate": {"kind": "Float", "sampling": "log"}}
    (axis,) = axes(findings(*trials("rate", *values), space=space))
    assert axis.levels is None
    assert axis.place(0.001) == pytest.approx(-3)
    assert axis.place("text") is None
    (linear,) = axes(findings(*trials("rate", *values), space={"rate": {"sampling": "linear"}}))
    assert linear.place(0.001) == 0.001


def test_importance_finds_the_one_hyperparameter_that_matters() -> None:
    records = [
        record(f"t{n}", 0.5 + 0.1 * (n % 2), 3, hyperparameters={"idle": n // 2 % 3, "matters": n % 2})
        for n in range(36)
    ]
    lower = [record("other", 0.9, 9, hyperparameters={"idle": 1, "matters": 0})]
    found = importances([*records, *lower], axes(findings(*records)))
    assert found is not None
    assert (found.epochs, found.num_trials) == (3, 36)
    assert next(iter(found.means)) == "matters"
    assert found.explained > 0.9
    assert found.means["matters"] > 1
    assert abs(found.means["idle"]) < 0.05


@pytest.mark.parametrize(("num", "step"), [(11, 0.01), (20, 0.0)])
def test_importance_needs_twelve_trials_and_different_scores(num: int, step: float) -> None:
    records = [record(f"t{n}", 0.5 + step * n, hyperparameters={"x": n}) for n in range(num)]
    assert importances(records, axes(findings(*records))) is None


# Plots.


@pytest.mark.parametrize(
    ("direction", "front"), [("max", ["cheap", "middle", "dear"]), ("min", ["cheap", "bad"])]
)
def test_pareto_front_holds_what_nothing_cheaper_beats(direction: str, front: list[str]) -> None:
    quality = {"cheap": 0.5, "bad": 0.4, "middle": 0.6, "alike": 0.6, "dear": 0.7}
    macs = {"cheap": 1, "bad": 2, "middle": 3, "alike": 4, "dear": 5}
    records = [
        record(name, quality[name], 9, macs=macs[name])
        for name in ("dear", "alike", "middle", "bad", "cheap")
    ]
    assert [each.trial_id for each in pareto_front(records, "macs", quality, direction)] == front


def test_rank_plots_pair_each_promoted_trial_with_the_rung_below() -> None:
    low = [record(f"low-{n}", score, 3) for n, score in enumerate((0.1, 0.2, 0.3))]
    high = [
        record(f"high-{n}", score, 9, parent_trial_id=f"low-{n}") for n, score in enumerate((0.4, 0.6, 0.5))
    ]
    (found,) = rank_plots(findings(*low, *high))
    assert found.title == "3 → 9 epochs"
    # Ranks 1, 2, 3 against 1, 3, 2: rho = 1 - 6 * 2 / (3 * 8) = 0.5.
    assert found.caption == "Spearman's ρ = +0.50, n\u00a0=\u00a03"
    assert (found.views[0].data[0]["x"], found.views[0].data[0]["y"]) == ([0.1, 0.2, 0.3], [0.4, 0.6, 0.5])


@pytest.mark.parametrize("objective", ["val_accuracy", "val_loss"])
def test_every_plot_is_what_plotly_understands_and_has_named_axes(
    made_up_run: Callable[..., RunFolder], tmp_path: Path, objective: str
) -> None:
    from plotly import graph_objects

    known = read_findings(made_up_run(tmp_path / "run", num_trials=60, objective=objective))
    sections = plot_sections(known)
    names = [each.name for section in sections for each in section.plots]
    expected = {
        "history",
        "curves",
        "leaders",
        "timeline",
        "cost-macs",
        "cost-params",
        "parallel",
        "importance",
    }
    assert expected <= set(names)
    assert len(names) == len(set(names))
    assert {"slice-0", "rank-1-3", "rank-3-9"} <= set(names)
    for each in (each for section in sections for each in section.plots):
        assert each.title
        for view in each.views:
            whole = json.dumps({"data": view.data, "layout": view.layout})
            painted = json.loads(re.sub(r'"@\w+"', '"#000"', whole))  # as the page paints them
            graph_objects.Figure(painted)  # refuses what it does not know
            if view.data[0]["type"] != "parcoords":
                assert view.layout["xaxis"]["title"]["text"]
                assert view.layout["yaxis"]["title"]["text"]


def test_texts_cannot_become_markup() -> None:
    assert label("<b>a</b>\nb & c") == "&lt;b&gt;a&lt;/b&gt; b &amp; c"
    text = as_json([plot("p", HOSTILE, "", [scatter([1.0], [float("nan")], text=[HOSTILE])], {})])
    assert "<" not in text
    (read,) = json.loads(text)
    assert read["title"] == HOSTILE
    assert read["views"][0]["data"][0]["y"] == [None]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.5, "0.5"), (820, "820"), (27_400, "27.4 k"), (3_506_176, "3.51 M"), (1.2e10, "12 G")],
)
def test_counts_are_written_short(number: float, text: str) -> None:
    assert count_text(number) == text


# Block diagrams.


def drawn(architecture: Mapping[str, Any], shape: tuple[int, int, int] | None = (32, 32, 3)) -> Diagram:
    (diagram,) = diagrams([("title", "", architecture)], image_shape=shape, num_classes=10)
    return diagram


def kinds(diagram: Diagram) -> list[str]:
    return [bar.kind for bar in diagram.bars]


def test_the_documented_network_is_drawn_layer_for_layer() -> None:
    diagram = drawn(DOCUMENTED.to_dict())
    blocks = [kind for convs in (2, 2, 3, 3, 3) for kind in ["conv"] * convs + ["pool"]]
    assert kinds(diagram) == ["input", *blocks, "dense", "output"]
    assert [text.text for text in diagram.texts][1] == "2 × conv 3×3, 64 filters"
    assert [text.note for text in diagram.texts][:6] == [
        "32 × 32 × 3",
        "32 × 32",
        "16 × 16",
        "8 × 8",
        "4 × 4",
        "2 × 2",
    ]


def test_a_pooling_that_does_not_fit_is_not_drawn() -> None:
    assert kinds(drawn(DOCUMENTED.to_dict(), (28, 28, 1))).count("pool") == 4
    assert kinds(drawn(DOCUMENTED.to_dict(), None)).count("pool") == 5


def test_a_whitened_network_with_early_pooling_and_a_linear_head_is_drawn_as_it_is() -> None:
    head: dict[str, Any] = {"hidden_units": 0, "dropout": 0.0, "head": "linear"}
    network = Architecture(convs=(2, 1), filters=(16, 32), pool="first", fast_start=True, **head)
    diagram = drawn(network.to_dict())
    assert kinds(diagram) == ["input", "conv", "conv", "pool", "conv", "conv", "pool", "output"]
    assert [text.text for text in diagram.texts] == [
        "input",
        "whitening 2×2, 24 filters",
        "2 × conv 3×3, 16 filters",
        "1 × conv 3×3, 32 filters",
        "softmax, 10 classes",
    ]
    # The whitening takes one pixel off each side.
    assert [text.note for text in diagram.texts][2:4] == ["31 × 31", "15 × 15"]
    assert diagram.texts[-1].note == "after global pooling"
    assert diagram.subtitle == "LeakyReLU slope 0.3"


def test_no_text_of_a_diagram_is_wider_than_the_drawing() -> None:
    """A character of 13 px takes some 6.8, one of 12 px some 6.2; the texts begin at 222 of 440."""
    heads = (("linear", 0), ("global_pool", 1024), ("flatten", 1024))
    for head, hidden_units in heads:
        network = Architecture(
            convs=(3,), filters=(512,), fast_start=True, head=head, hidden_units=hidden_units, dropout=0.5
        )
        for text in drawn(network.to_dict(), (64, 64, 3)).texts:
            assert max(6.8 * len(text.text), 6.2 * len(text.note)) <= 440 - 222, text


def test_a_name_that_is_no_text_is_shown_as_escapes(tmp_path: Path) -> None:
    """A Latin-1 path on a system of UTF-8, in the folder's name and in the settings."""
    stored = json.dumps({"settings": {"dataset": "ph\udcf6tos"}})
    run = write_run(tmp_path / "l\udcf6gs", baseline(0.6), record("a", 0.7, 9), settings=stored)
    assert "\\udcf6gs" in write_report(run).read_text(encoding="utf-8")


def test_another_kind_of_architecture_is_left_out() -> None:
    assert diagrams([("title", "", {"cells": [1, 2]})], image_shape=None, num_classes=None) == []


# The whole file.


@pytest.mark.parametrize(
    "settings", [None, "not JSON", "[]", '{"settings": 3, "plan": [], "dataset": {"image_shape": 1}}']
)
def test_report_comes_from_the_log_alone(tmp_path: Path, settings: str | None) -> None:
    run = write_run(tmp_path / "mine", baseline(0.6), record("a", 0.7, 9), settings=settings)
    text = write_report(run).read_text(encoding="utf-8")
    assert "The best network found reaches val_accuracy 0.7000, the baseline 0.6000." in text
    assert run.table.read_text().count("\n") == 3


def test_names_and_messages_are_shown_as_they_are(tmp_path: Path) -> None:
    stored = {"dataset": {"name": HOSTILE, "class_names": [HOSTILE]}, "machine": {"processor": HOSTILE}}
    bad = record("a", 0.7, 9, hyperparameters={HOSTILE: HOSTILE}, worker=HOSTILE)
    run = write_run(tmp_path / "mine", bad, record("b", None, message=HOSTILE), settings=json.dumps(stored))
    text = write_report(run).read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "<script>document.title" not in text
    assert "&lt;/script&gt;&lt;script&gt;document.title" in text


@pytest.mark.parametrize("trial_id", ["../../outside", "/outside", "a/b", "..", ".hidden", "", HOSTILE])
def test_an_id_that_leads_out_of_the_folder_is_a_damaged_line(tmp_path: Path, trial_id: str) -> None:
    run = write_run(tmp_path / "mine", baseline(), record(trial_id))
    with pytest.raises(UserError, match=r"is damaged in line 2 \(.* is no id of a trial\)"):
        write_report(run)
    with pytest.raises(UserError, match="is no id of a trial"):
        run.final(trial_id)


def test_there_is_no_report_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "absent", "--logs", str(tmp_path)]) == 1
    assert "There is no search in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_where_the_report_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "mine", baseline())
    assert main(["report", "mine", "--logs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine' / 'report.html'}\n"


def test_a_final_training_completes_the_report(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", baseline())
    final = run.final("best")
    final.mkdir(parents=True)
    result = {"test_accuracy": 0.8215, "dataset": {"num_validation": 5000}}
    (final / "result.json").write_text(json.dumps(result))
    (final / "history.json").write_text('{"epochs": [{"accuracy": 0.5, "val_accuracy": 0.4}]}')
    known = read_findings(run)
    assert known.num_validation == 5000
    assert [section.name for section in plot_sections(known)][-1] == "finals"
    assert "0.8215" in render(known)


def write_final(run: RunFolder, name: str = "best", **result: Any) -> Path:
    folder = run.final(name)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"test_accuracy": 0.8215, **result}))
    return folder


SETTINGS_OF_IMAGES = json.dumps({"dataset": {"content_hash": "1"}})


@pytest.mark.parametrize(
    ("result", "is_of_it"),
    [
        ({}, True),  # of an earlier version
        ({"trial_id": "a", "hyperparameters": {"x": 1, "width": 2.0}}, True),  # widened
        ({"trial_id": "a", "hyperparameters": {"x": 2, "width": 1.0}}, False),
        ({"trial_id": "a", "hyperparameters": {"x": 1, "learning_rate": 0.2}}, False),
        # By another recipe than this search's: a rate among the values is that of another search.
        ({"trial_id": "a", "hyperparameters": {"x": 1}, "recipe": {"name": "other"}}, True),
        ({"trial_id": "a", "hyperparameters": {"x": 1, "learning_rate": 1}, "recipe": {"name": "b"}}, False),
        ({"trial_id": "a", "hyperparameters": {"x": 2}, "recipe": {"name": "other"}}, False),
        ({"trial_id": "gone", "hyperparameters": {"x": 1}}, False),
        ({"trial_id": None, "hyperparameters": {}}, True),  # the documented network
        ({"dataset": {"content_hash": "1"}}, True),
        ({"dataset": {"content_hash": "2"}}, False),
    ],
)
def test_a_final_training_of_an_earlier_search_is_left_out(
    tmp_path: Path, result: dict[str, Any], is_of_it: bool
) -> None:
    trained = record("a", 0.7, 9, hyperparameters={"x": 1, "width": 1.0})
    run = write_run(tmp_path / "mine", baseline(), trained, settings=SETTINGS_OF_IMAGES)
    write_final(run, **result)
    known = read_findings(run)
    assert ([final.name for final in known.finals], list(known.other_finals)) == (
        (["best"], []) if is_of_it else ([], ["best"])
    )
    page = render(known)
    assert ("0.8215" in page) == is_of_it
    assert ("final/best is left out" in page) != is_of_it


def test_an_unfinished_final_training_is_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", baseline())
    write_final(run, "best.unfinished")
    assert read_findings(run).finals == []


def a_result() -> dict[str, Any]:
    """result.json of a final training with everything asked for."""
    return {
        "trial_id": None,
        "hyperparameters": {},
        "num_test": 1000,
        "num_test_in_training": 3,
        "num_test_in_validation": 0,
        "test_accuracy": 0.8215,
        "test_loss": 0.5,
        "test_accuracy_tta": 0.83,
        "test_loss_tta": 0.45,
        "tta_views": "6 views: plain and moved by one pixel both ways, each mirrored too",
        "train_accuracy": 0.9,
        "per_class": {"cat": 0.9, "dog": 0.7, "bird": None},
        "num_train": 50_000,
        "epochs": 12,
        "steps_per_epoch": None,
        "seed": 7,
        "max_seconds": 90.5,
        "all_data": True,
        "tta": True,
        "precision": "float32",
        "recipe": {"name": "documented"},
        "params": 1000,
        "macs": 8_000_000,
        "found_macs": 2_000_000,
        "seconds": 90.0,
        "machine": {"processor": "a processor", "cores": 2, "gpus": []},
        "versions": {"keras": "3.15.1"},
    }


def test_a_final_training_is_told_in_full() -> None:
    known = Findings("mine", [], {"recipe": {"name": "modern"}}, [Final("trial-a", a_result(), ())], logs="l")
    (detail,) = final_details(known)
    command = detail.facts.pop("command")
    assert detail.facts == {
        "several views": "test accuracy 0.8300, loss 0.4500; the mean of 6 views: plain and moved by one "
        "pixel both ways, each mirrored too",
        "trained on": "50,000 images, the validation part included",
        "test images also in the training part": "3 of 1,000",
        "test images also in the validation part": "0 of 1,000",
        "widened from": "2 M macs, which is the network found",
        "recipe": "documented",
        "precision": "float32",
        "seed": "7",
        "processor": "a processor, 2 cores",
        "GPUs": "none",
        "versions": "keras 3.15.1",
    }
    assert detail.classes == [("dog", "0.7000"), ("cat", "0.9000")]
    program, *arguments = shlex.split(command.removeprefix("python "))
    flags = final_parser(program).parse_args(arguments)
    assert (flags.trial, flags.run, flags.logs, flags.seed, flags.max_seconds) == ("a", "mine", "l", 7, 90.5)
    assert (flags.tta, flags.all_data, flags.precision, flags.recipe) == (True, True, "float32", "documented")
    assert flags.epochs is None


def test_a_final_training_that_a_callback_ended_is_repeated_with_its_whole_schedule() -> None:
    result = a_result() | {"max_seconds": None, "epochs": 7, "planned_epochs": 50}
    (detail,) = final_details(Findings("mine", [], {}, [Final("best", result, ())]))
    assert "--epochs 50" in detail.facts["command"]


@pytest.mark.parametrize(("devices", "flag"), [(1, None), (4, "all")])
def test_a_final_training_on_several_devices_is_repeated_on_all(devices: int, flag: str | None) -> None:
    (detail,) = final_details(
        Findings("mine", [], {}, [Final("best", a_result() | {"devices": devices}, ())])
    )
    program, *arguments = shlex.split(detail.facts["command"].removeprefix("python "))
    assert final_parser(program).parse_args(arguments).devices == flag


@pytest.mark.parametrize("damage", [{}, {"per_class": 3, "machine": [], "recipe": "x", "found_macs": "y"}])
def test_a_final_training_that_says_little_is_shown_as_far_as_it_goes(damage: dict[str, Any]) -> None:
    known = Findings("mine", [], {}, [Final("best", {"test_accuracy": 0.5, **damage}, ())])
    (detail,) = final_details(known)
    assert detail.classes == []
    assert "0.5000" in render(known)


def test_a_file_that_was_not_written_has_no_size(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", baseline())
    record_export(write_final(run), Exported("onnx", "model.onnx", problem="no such operation"))
    page = render(read_findings(run))
    assert "0 kB" not in page
    assert "<code>model.onnx</code>" in page
    assert '<a href="#exports">' in page
    assert '<a href="#final-results">' in page


def test_exported_files_stand_in_a_table_with_what_is_wrong_with_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", baseline())
    final = run.final("best")
    final.mkdir(parents=True)
    (final / "result.json").write_text('{"test_accuracy": 0.8215}')
    assert "Files to take away" not in render(read_findings(run))
    good = Exported(
        *("onnx", "model.onnx", "ONNX Runtime 1.32"),
        size=1_234_567,
        images="the 70 test images of mine",
        max_difference=1.5e-6,
        same_class=1.0,
        accuracy=0.8215,
        single_seconds=0.00123,
        batch_seconds=0.0456,
        batch_size=64,
        processor="a processor",
    )
    record_export(final, good)
    record_export(final, Exported("litert", "model.tflite", problem="<b>no such operation</b>"))
    page = render(read_findings(run))
    for text in ("1.23 MB", "1.5e-06", "100.0 %", "1.23 ms", "45.6 ms", "ONNX Runtime 1.32"):
        assert f">{text}<" in page
    assert "Not to be used: &lt;b&gt;no such operation&lt;/b&gt;." in page
    assert "Compared on the 70 test images of mine; times are medians, of a batch of 64 images" in page


def test_drawing_needs_no_heavy_library_before_it_begins() -> None:
    program = (
        "import sys, archsearch.cli, archsearch.searching, archsearch.reporting.report\n"
        "heavy = {'plotly', 'jinja2', 'sklearn'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_every_file_of_the_page_is_packaged() -> None:
    folder = ROOT / "archsearch" / "reporting" / "html"
    others = {path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".py"}
    assert others == {"page.html", "page.css", "page.js"}
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"archsearch.reporting.html": ["page.html", "page.css", "page.js"]' in setup


# While a search runs.


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_first_report_comes_at_once_and_the_others_take_a_hundredth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, written = Clock(), []

    def refresh(folder: RunFolder, note: Callable[[str], None], *, running: bool) -> None:
        assert running
        written.append(clock.seconds)
        clock.seconds += 2.0  # what each costs

    monkeypatch.setattr("archsearch.reporting.report.refresh_report", refresh)
    writer = ReportWriter(RunFolder(tmp_path), clock=clock)
    writer.on_search_begin(Beginning(SearchSettings(), a_plan(), [], [], 0.0))
    while clock.seconds < 1000:
        writer.on_trial_end(record("a"))
        clock.seconds += 10.0
    # Of the 2 s that each took so far, and the 2 s of the next one, 100 times must have passed.
    expected = [0.0, pytest.approx(402, abs=10), pytest.approx(604, abs=10), pytest.approx(806, abs=10)]
    assert written == expected


def test_the_header_says_whether_the_search_is_running_interrupted_or_finished(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", baseline(), settings='{"finished": false}')
    with run.locked():
        assert state(read_findings(run)).startswith("The search is running; 1 trial ended")
        assert 'id="state">The search is running' in write_report(run).read_text(encoding="utf-8")
    assert state(read_findings(run)).startswith("The search was interrupted: 1 trial ended;")
    run.settings.write_text('{"finished": true}')
    assert state(read_findings(run)) == "The search is finished: 1 trial ended."
    run.settings.unlink()
    assert state(read_findings(run)) == ""


def test_a_failed_trial_that_was_drawn_again_is_none_of_the_planned(
    made_up_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = made_up_run(tmp_path / "mine", num_trials=10)
    known = read_findings(run)
    num, planned = len(known.completed), known.num_planned
    more = dataclasses.replace(known, records=[*known.records, record("again-a0", None)])
    assert f"{num} of {planned} planned trials completed" in state(more)
    shown = {tile.title: tile for tile in tiles(more)}["trials completed"]
    failed = len(more.records) - num
    assert (shown.value, shown.note) == (str(num), f"of {planned} planned; {failed} ended without a score")


@pytest.mark.parametrize("finished", [True, False])
def test_what_was_not_done_is_told_of_a_finished_search_only(
    made_up_run: Callable[..., RunFolder], tmp_path: Path, finished: bool
) -> None:
    run = made_up_run(tmp_path / "mine", num_trials=10)
    stored = json.loads(run.settings.read_text())
    run.settings.write_text(json.dumps({**stored, "finished": finished}))
    assert any("was not started" in line for line in read_findings(run).not_done) == finished


def test_two_processes_that_write_a_report_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for number in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda number=number: number)
        names.append(own_temporary(tmp_path / "report.html"))
    assert len(set(names)) == 2
    (tmp_path / "settings.json").write_text("{}")
    for name in names:  # of processes that were killed
        (tmp_path / name).touch()
    RunFolder(tmp_path).clear()
    assert list(tmp_path.iterdir()) == []


def test_a_trial_that_is_run_again_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archsearch.reporting import events

    drawn: list[list[str]] = []
    monkeypatch.setattr(
        events, "search_history", lambda records, **_: drawn.append([each.trial_id for each in records])
    )
    monkeypatch.setattr(events, "save", lambda *_: None)
    writer = events.FigureWriter(RunFolder(tmp_path))
    out = record("a", None, status=Status.TIMED_OUT)
    writer.on_search_begin(Beginning(SearchSettings(), a_plan(), [out, baseline()], [], 0.0))
    writer.on_trial_end(record("a", 0.7))
    writer.on_search_end()
    assert drawn == [["baseline", "a"]]


def test_a_report_that_cannot_be_drawn_is_noted_and_ends_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", baseline())
    run.report.mkdir()  # so that it cannot be replaced by a file
    notes: list[str] = []
    ReportWriter(run, note=notes.append).on_search_begin(Beginning(SearchSettings(), a_plan(), [], [], 0.0))
    (note,) = notes
    assert note.startswith("The report could not be written: StorageError: ")


def test_starting_over_removes_the_report(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", baseline(), settings="{}")
    write_report(run)
    run.clear()
    assert not run.report.exists()
    assert not run.table.exists()


# In a browser, without a network.


def browse(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """What it prints, and what stands on the console, notices of the driver aside."""
    command = [str(BROWSER), "--headless", "--enable-logging=stderr", "--enable-unsafe-swiftshader"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=60000"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--no-first-run", "--disable-background-networking"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*command, *flags, page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
        encoding="utf-8",
    )
    return done.stdout, [
        line for line in done.stderr.splitlines() if "CONSOLE" in line and "WebGL" not in line
    ]


def opened(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """The document after its scripts ran, without their text, and the console."""
    document, console = browse(page, profile, "--dump-dom", *(flags or ("--window-size=1280,900",)))
    return re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL), console


LOOKING = """<script>
(() => {
  const root = document.documentElement;
  const waiting = setInterval(async () => {
    const [done, all] = (root.dataset.drawn || "").split(" of ");
    if (!done || done !== all) return;
    clearInterval(waiting);
    const seen = { width: innerWidth, scrolled: root.scrollWidth, clicks: {} };
    seen.dark = matchMedia("(prefers-color-scheme: dark)").matches;
    seen.ink = getComputedStyle(document.body).color;
    seen.axis = getComputedStyle(document.querySelector("#plot-parallel .axis .domain")).stroke;
    const boxes = [...document.querySelectorAll("figure .scroll")];
    const cut = boxes.filter((box) => box.scrollWidth > box.clientWidth);
    seen.cut = cut.map((box) => box.firstElementChild.id);
    for (const button of document.querySelectorAll(".choice button")) {
      const plot = document.getElementById("plot-" + button.dataset.plot);
      button.click();
      await new Promise((resolve) => setTimeout(resolve, 300));
      const clicks = (seen.clicks[button.dataset.plot] ??= []);
      clicks.push({ pressed: button.getAttribute("aria-pressed"), data: JSON.stringify(plot.data) });
    }
    root.dataset.seen = JSON.stringify(seen);
    parent.postMessage(root.dataset.seen, "*");
  }, 50);
})();
</script>
"""
"""At the end of a page: what a person would look at, and what changes when each view is chosen."""


FRAME = """<!doctype html><html><body><iframe src="watched.html" width="{width}" height="844"></iframe>
<script>addEventListener("message", (event) => document.documentElement.dataset.seen = event.data);</script>
</body></html>"""
"""As narrow as a phone, which no window of a browser on a desktop is."""


def looked_at(page: Path, profile: Path, *flags: str, width: int | None = None) -> dict[str, Any]:
    """What the script above finds, in a frame of this width where one is given."""
    watched = page.with_name("watched.html")
    text = page.read_text(encoding="utf-8")
    watched.write_text(text.replace("</body>", f"{LOOKING}</body>"), encoding="utf-8")
    shown = watched
    if width is not None:
        shown = page.with_name("frame.html")
        shown.write_text(FRAME.format(width=width), encoding="utf-8")
    document, console = opened(shown, profile, *flags)
    assert console == []
    assert "data-errors" not in document.split(">", 2)[1]
    found = re.search(r'data-seen="([^"]*)"', document)
    assert found is not None
    seen: dict[str, Any] = json.loads(html.unescape(found[1]))
    return seen


def assert_drawn(page: Path, profile: Path) -> str:
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 10_000_000
    names = re.findall(r'<div class="plot" id="plot-([\w-]+)"', text)
    document, console = opened(page, profile)
    assert console == []
    assert "data-errors" not in document.split(">", 2)[1]
    assert f'data-drawn="{len(names)} of {len(names)}"' in document
    drawn_ones = re.findall(
        r'<div class="plot js-plotly-plot" id="plot-([\w-]+)"[^>]*data-drawn="yes"', document
    )
    assert drawn_ones == names
    assert document.count('class="main-svg"') >= len(names)
    return document


needs_browser = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed")


@pytest.mark.end_to_end
@needs_browser
@pytest.mark.parametrize("num_trials", [10, 1000])
def test_every_plot_is_drawn_offline(
    made_up_run: Callable[..., RunFolder], tmp_path: Path, num_trials: int
) -> None:
    run = made_up_run(tmp_path / "run", num_trials=num_trials)
    document = assert_drawn(write_report(run), tmp_path / "profile")
    assert document.count('class="point"') > num_trials / 2  # in the history alone
    assert re.search(r'<canvas class="gl-canvas', document), "of the parallel coordinates"
    assert "no-webgl" not in document


@pytest.mark.end_to_end
@needs_browser
def test_every_view_of_a_plot_can_be_chosen(made_up_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", num_trials=60)
    clicks = looked_at(write_report(run), tmp_path / "profile")["clicks"]
    assert {"curves", "parallel"} <= clicks.keys()
    for views in clicks.values():
        assert [view["pressed"] for view in views] == ["true"] * len(views)
        assert len({view["data"] for view in views}) == len(views) > 1, "each view shows something else"


def finish(run: RunFolder) -> RunFolder:
    """With a final training and its exports, as if they had been made."""
    folder = write_final(run, **a_result())
    epochs = [
        {"loss": 2 - n / 10, "accuracy": n / 20, "val_loss": 2.0, "val_accuracy": 0.3} for n in range(9)
    ]
    (folder / "history.json").write_text(json.dumps({"epochs": epochs}))
    for kind in ("onnx", "litert"):
        record_export(folder, Exported(kind, f"model.{kind}", "a runtime", 1_234_567, "its images", 70, 1e-6))
    return run


@pytest.mark.end_to_end
@needs_browser
def test_a_page_with_a_final_training_and_exports_is_sound(
    made_up_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = finish(made_up_run(tmp_path / "run", num_trials=10))
    document = assert_drawn(write_report(run), tmp_path / "profile")
    for text in ('id="plot-final-0"', "0.8215", "<code>model.onnx</code>", "python final_train.py --best"):
        assert text in document


@pytest.mark.end_to_end
@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(
    made_up_run: Callable[..., RunFolder], tmp_path: Path, width: int
) -> None:
    run = finish(made_up_run(tmp_path / "run", num_trials=60))
    seen = looked_at(write_report(run), tmp_path / "profile", width=width)
    assert seen["width"] == width
    assert seen["scrolled"] <= width
    # The axes of the parallel coordinates would be too close on a phone.
    assert seen["cut"] == (["plot-parallel"] if width == 390 else [])


@pytest.mark.end_to_end
@needs_browser
@pytest.mark.parametrize(
    ("scheme", "ink", "axis"),
    [(0, "rgb(236, 239, 243)", "rgb(201, 209, 218)"), (1, "rgb(22, 25, 29)", "rgb(48, 54, 61)")],
)
def test_the_page_follows_the_colours_that_are_preferred(
    made_up_run: Callable[..., RunFolder], tmp_path: Path, scheme: int, ink: str, axis: str
) -> None:
    run = made_up_run(tmp_path / "run", num_trials=10)
    flag = f"--blink-settings=preferredColorScheme={scheme}"
    seen = looked_at(write_report(run), tmp_path / "profile", flag)
    assert (seen["dark"], seen["ink"], seen["axis"]) == (scheme == 0, ink, axis)


@pytest.mark.end_to_end
@needs_browser
def test_it_can_be_printed(made_up_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", num_trials=10)
    _, console = browse(write_report(run), tmp_path / "profile", f"--print-to-pdf={tmp_path / 'report.pdf'}")
    assert console == []
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")


LITTLE: dict[str, list[TrialRecord]] = {
    "nothing": [],
    "one trial": [baseline(macs=5, params=7)],
    "all failed": [baseline(None), record("a", None, message="no memory")],
    "no baseline": [record("a", 0.5, 3), record("b", 0.5, 3, hyperparameters={"x": 1})],
    "no curves": [baseline(curve=()), record("a", 0.7, 9, curve=())],
    "hostile": [
        record(
            f"t{n}",
            0.1 * n,
            3,
            hyperparameters={HOSTILE: f"{n}{HOSTILE}", "@ink": f"@card{n}"},
            worker="@blue",
            macs=n + 1,
        )
        for n in range(3)
    ],
    "diverged": [record(f"t{n}", 10.0**n, 3, hyperparameters={"x": 0.5 * n}) for n in range(6)],
}


@pytest.mark.end_to_end
@needs_browser
@pytest.mark.parametrize("name", LITTLE)
def test_little_or_strange_data_makes_a_sound_page(tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / "mine", *LITTLE[name])
    document = assert_drawn(write_report(run), tmp_path / "profile")
    assert "<title>mine: architecture search</title>" in document


@pytest.mark.end_to_end
@needs_browser
def test_a_text_that_is_called_like_a_colour_stays_a_text(tmp_path: Path) -> None:
    records = [record(f"t{n}", 0.1 * n, 3, hyperparameters={"x": f"@ink{n}"}, worker="@blue") for n in (1, 2)]
    document = assert_drawn(write_report(write_run(tmp_path / "mine", *records)), tmp_path / "profile")
    assert ">@blue<" in document
