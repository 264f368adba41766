"""The search as a run of its own in TensorBoard, and a run's events from its log alone."""

from __future__ import annotations

import json
import os
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins.hparams import metadata

from archsearch.reporting.html.findings import Findings, read_findings
from archsearch.reporting.search_events import (
    BY_EPOCHS,
    BY_SECONDS,
    CONFIRMED,
    SearchEvents,
    course,
    write_run_events,
)
from archsearch.run_folder import RunFolder
from archsearch.trials import Role, Status, TrialRecord
from tests.records import NOWHERE, trial
from tests.serving import (
    ALL_FIRST,
    curve,
    events_in,
    get,
    metrics,
    picture,
    printed_address,
    rows,
    started,
    wait_until,
)

PICTURES = {
    "search/optimisation history",
    "search/accuracy against macs",
    "search/accuracy against weights",
    "search/learning curves, 3 epochs",
    "search/rank correlation, 1 to 3 epochs",
}


def record(
    trial_id: str, score: float | None, minute: int, *, epochs: int = 1, **changes: Any
) -> TrialRecord:
    """Ended in this minute, after 30 seconds; its accuracy rises evenly to the score."""
    parts = [(number + 1) / epochs for number in range(epochs)]
    values: dict[str, Any] = {
        "epochs": epochs,
        "seconds": 30.0,
        "elapsed_seconds": 60.0 * minute,
        "params": 1000 * minute,
        "macs": 10_000 * minute,
        "hyperparameters": {"num_blocks": 2, "head": "linear"},
        "curve": tuple({"val_accuracy": (score or 0.1) * part, "seconds": 10.0} for part in parts),
    }
    return trial(trial_id, score, **(values | changes))


def a_search() -> list[TrialRecord]:
    """Baseline, two rungs with a failure, and two confirmations each of the best and the baseline."""
    deep = {"num_blocks": 3, "head": "dense", "dropout": 0.5, "tuner/epochs": 3}
    baseline = record("baseline", 0.6, 1, epochs=3, role=Role.BASELINE, hyperparameters=deep, **NOWHERE)
    again = {"role": Role.CONFIRM, "epochs": 3, **NOWHERE}
    return [
        baseline,
        record("a", 0.5, 2),
        record("b", 0.9, 3),  # of fewer epochs: does not lead
        record("c", None, 4, status=Status.FAILED, message="out of memory"),
        record("a1", 0.7, 5, epochs=3, rung=1, parent_trial_id="a"),
        record("b1", 0.8, 6, epochs=3, rung=1, parent_trial_id="b", hyperparameters=deep),
        record("b1-c1", 0.7, 7, parent_trial_id="b1", **again),
        record("b1-c2", 0.8, 8, parent_trial_id="b1", **again),
        record("baseline-c1", 0.5, 9, parent_trial_id="baseline", **again),
        record("baseline-c2", 0.6, 10, parent_trial_id="baseline", **again),
    ]


def write_log(path: Path, records: Sequence[TrialRecord]) -> RunFolder:
    folder = RunFolder(path)
    path.mkdir(parents=True)
    folder.trials.write_text("".join(f"{each.to_json()}\n" for each in records))
    folder.settings.write_text(json.dumps({"settings": {"objective": "val_accuracy"}}))
    os.utime(folder.trials, (1_000_600, 1_000_600))  # the search began 10 minutes before
    return folder


# The course.


def test_the_incumbent_leads_by_the_best_score_of_the_highest_fidelity() -> None:
    points = list(course(a_search(), "max"))
    assert [point.scores["incumbent"] for point in points[:6]] == [0.6, 0.6, 0.6, 0.6, 0.7, 0.8]
    assert {point.scores["incumbent"] for point in points[6:]} == {0.8}, "confirmations choose nothing here"
    assert {point.scores["baseline"] for point in points} == {0.6}


def test_a_loss_leads_by_being_low() -> None:
    records = [record("a", 0.5, 1), record("b", 0.4, 2), record("c", 0.6, 3)]
    assert [point.scores["incumbent"] for point in course(records, "min")] == [0.5, 0.4, 0.4]


def test_a_higher_fidelity_leads_even_with_a_worse_score() -> None:
    records = [record("a", 0.9, 1), record("b", 0.4, 2, epochs=3)]
    assert [point.scores["incumbent"] for point in course(records, "max")] == [0.9, 0.4]


def test_epochs_count_what_was_trained_of_failed_trials_too() -> None:
    failed = record("c", None, 4, epochs=9, curve=({"val_accuracy": 0.1},) * 2)
    points = list(course([record("a", 0.5, 1, epochs=3), failed], "max"))
    assert [point.epochs for point in points] == [3, 5]
    assert [point.seconds for point in points] == [60.0, 240.0]


def test_the_confirmed_means_stand_apart_once_all_seeds_are_trained() -> None:
    points = list(course(a_search(), "max"))
    assert [point.confirmed for point in points[:-1]] == [{}] * 9
    assert points[-1].confirmed == {"incumbent": pytest.approx(0.75), "baseline": pytest.approx(0.55)}


def test_a_search_without_a_baseline_has_one_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    events = SearchEvents(folder, "max", begin=0.0)
    events.rebuild([record("a", 0.5, 1)])
    events.close()
    assert scalars(folder, "baseline") == []
    assert scalars(folder, "incumbent") == [(BY_SECONDS, 60), (BY_EPOCHS, 1)]


# Its files, over several sessions.


def scalars(folder: RunFolder, line: str) -> list[tuple[str, int]]:
    """Tags and steps in the order they stand in the files."""
    events = events_in(folder.search / line)
    return [(value.tag, event.step) for event in events for value in event.summary.value]


@pytest.mark.parametrize("killed_after", [0, 1, 4, 7, 10])
def test_a_search_that_goes_on_tells_nothing_twice_or_backwards(tmp_path: Path, killed_after: int) -> None:
    records = a_search()
    folders = [RunFolder(tmp_path / name) for name in ("whole", "killed")]
    for folder, sessions in zip(folders, ([0], [0, killed_after]), strict=True):
        for number, first in enumerate(sessions):
            events = SearchEvents(folder, "max", begin=0.0)
            events.rebuild(records[:first])
            # The first session gets further than its log: it was killed with events that count no more.
            last = first + 3 if number < len(sessions) - 1 else len(records)
            for each in records[first : max(last, killed_after)]:
                events.add(each)
            events.close()
    for line in ("incumbent", "baseline"):
        whole, killed = (scalars(folder, line) for folder in folders)
        assert killed == whole
        assert len(set(whole)) == len(whole)
        for tag in (BY_SECONDS, BY_EPOCHS):
            steps = [step for name, step in whole if name == tag]
            assert steps == sorted(steps)
            assert len(steps) == len(records)


def test_a_trial_that_is_run_again_with_more_time_counts_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    out = record("a", None, 2, epochs=9, status=Status.TIMED_OUT, curve=({"val_accuracy": 0.1},) * 4)
    events = SearchEvents(folder, "max", begin=0.0)
    events.rebuild([record("baseline", 0.6, 1, epochs=9, role=Role.BASELINE), out])
    events.add(record("a", 0.7, 5, epochs=9))
    events.close()
    assert scalars(folder, "incumbent") == [
        (BY_SECONDS, 60),
        (BY_EPOCHS, 9),
        (BY_SECONDS, 300),
        (BY_EPOCHS, 18),
    ]


def test_starting_over_removes_the_events(tmp_path: Path) -> None:
    folder = write_log(tmp_path / "mine", a_search())
    write_run_events(folder)
    folder.clear()
    assert list(folder.path.iterdir()) == []


# All events of a run from its log alone, read back by the real server.


def test_the_report_command_writes_them_where_only_the_log_was_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from archsearch.cli import main

    folder = write_log(tmp_path / "copied", a_search())
    assert main(["report", "copied", "--logs", str(tmp_path)]) == 0
    assert not folder.search.exists()
    assert main(["report", "copied", "--logs", str(tmp_path), "--tensorboard"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(folder.search)
    assert [step for _, step in scalars(folder, "incumbent")] != []
    assert {each.name for each in folder.path.glob("trials/*")} == {each.trial_id for each in a_search()}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    write_run_events(write_log(logs / "mine", a_search()))
    return logs


@pytest.fixture(scope="module")
def server(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    output = tmp_path_factory.mktemp("server") / "output.txt"
    with started(logs, output, *ALL_FIRST) as process:
        yield printed_address(process, output)


def test_the_incumbent_and_the_baseline_share_their_charts(server: str) -> None:
    tags = get(server, "scalars/tags")
    for line in ("incumbent", "baseline"):
        assert tags[f"mine/search/{line}"].keys() == {BY_SECONDS, BY_EPOCHS, CONFIRMED}
    best = curve(server, "mine/search/incumbent", BY_SECONDS)
    assert [step for step, _ in best] == [60 * minute for minute in range(1, 11)]
    assert [value for _, value in best] == pytest.approx([0.6] * 4 + [0.7] + [0.8] * 5)
    by_epochs = curve(server, "mine/search/baseline", BY_EPOCHS)
    assert [step for step, _ in by_epochs] == [3, 4, 5, 6, 9, 12, 15, 18, 21, 24]
    assert [value for _, value in by_epochs] == pytest.approx([0.6] * 10)
    assert curve(server, "mine/search/incumbent", CONFIRMED) == [(600, pytest.approx(0.75))]


def test_times_are_those_of_the_search(server: str) -> None:
    points = get(server, "scalars/scalars", run="mine/trials/b1", tag="accuracy/validation")
    # The trial ran from 5.5 to 6 minutes after the beginning, with 10 seconds an epoch.
    assert [round(when - 1_000_000) for when, _, _ in points] == [340, 350, 360]


def test_every_trial_is_in_the_table_with_what_it_cost(server: str) -> None:
    table = rows(server, "mine")
    assert table.keys() == {each.trial_id for each in a_search()}
    assert {name: row["hparams"]["role"] for name, row in table.items() if name != "baseline"} == {
        name: "confirm" if "-c" in name else "search" for name in table if name != "baseline"
    }
    costs = {"macs": 40_000.0, "params": 4000.0, "seconds": 30.0}
    assert metrics(table["c"]) == costs, "a failed trial has no score"
    assert table["c"]["hparams"]["epochs"] == 1.0
    assert metrics(table["b1-c1"]).keys() == {"score", *costs}


def test_an_inactive_hyperparameter_is_blank(server: str) -> None:
    table = rows(server, "mine")
    assert table["b1"]["hparams"]["dropout"] == 0.5
    assert "dropout" not in table["a"]["hparams"]
    infos = get(server, "hparams/experiment", request="{}")["hparamInfos"]
    types = {info["name"]: info["type"] for info in infos}
    assert types["dropout"] == "DATA_TYPE_FLOAT64"
    assert types["head"] == "DATA_TYPE_STRING"


@pytest.mark.parametrize("order", ["ORDER_DESC", "ORDER_ASC"])
@pytest.mark.parametrize("column", ["macs", "score"])
def test_the_table_sorts_by_a_number(server: str, column: str, order: str) -> None:
    sorting = {"metric": {"tag": f"trial/{column}"}, "order": order, "missingValuesFirst": False}
    values = [metrics(row).get(column) for row in rows(server, "mine", colParams=[sorting]).values()]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=order == "ORDER_DESC")
    assert values[len(known) :] == [None] * (len(values) - len(known))


def test_the_plots_of_the_report_are_pictures(server: str) -> None:
    assert get(server, "images/tags")["mine/search"].keys() == PICTURES
    for tag in PICTURES:
        height, width = picture(server, "mine/search", tag).shape[:2]
        assert (height, width) == (616, 840)  # 4.4 x 6 inches at 140 dots per inch


# A server that is running while the search is killed and goes on.


def steps_served(server: str) -> list[int]:
    try:
        return [step for step, _ in curve(server, "mine/search/incumbent", BY_EPOCHS)]
    except urllib.error.HTTPError:  # it has not found the run yet
        return []


@pytest.mark.parametrize("fast", ["true", "false"])
def test_a_running_server_forgets_what_a_killed_session_told(tmp_path: Path, fast: str) -> None:
    logs, records = tmp_path / "logs", a_search()
    events = SearchEvents(RunFolder(logs / "mine"), "max", begin=0.0)
    events.rebuild(records[:6])
    options = (f"--load_fast={fast}", "--reload_interval=1")
    with started(logs, tmp_path / "output.txt", *options) as process:
        server = printed_address(process, tmp_path / "output.txt")
        wait_until(lambda: steps_served(server) == [3, 4, 5, 6, 9, 12])
        events.rebuild(records[:4])
        wait_until(lambda: steps_served(server) == [3, 4, 5, 6])
        for each in records[4:]:
            events.add(each)
        wait_until(lambda: steps_served(server) == [3, 4, 5, 6, 9, 12, 15, 18, 21, 24])
    events.close()


# The columns of the table.


def declared(folder: RunFolder) -> dict[str, Any]:
    (event,) = events_in(folder.path)
    content = event.summary.value[0].metadata.plugin_data.content
    infos = metadata.parse_experiment_plugin_data(content).hparam_infos
    return {info.name: info for info in infos}


def test_columns_come_from_the_space_that_was_searched(tmp_path: Path) -> None:
    folder = write_log(tmp_path / "mine", [record("a", 0.5, 1)])
    space = {
        "num_blocks": {"kind": "Choice", "default": 5, "conditions": []},
        "dropout": {"kind": "Float", "default": 0.5, "conditions": ["{'name': 'head'}"]},
        "fast_start": {"kind": "Boolean", "default": False, "conditions": []},
        "head": {"kind": "Choice", "default": "linear", "conditions": []},
        "width": {"kind": "Fixed", "value": 1.0, "conditions": []},
    }
    folder.settings.write_text(json.dumps({"space": space}))
    write_run_events(folder)
    columns = declared(folder)
    assert set(space) <= set(columns), "also those that no trial has had yet"
    first = [name for name, info in columns.items() if info.differs]
    # What is fixed, conditional, or missing in a trial would empty the parallel coordinates.
    assert sorted(first) == ["epochs", "head", "num_blocks", "role"]


def test_findings_without_settings_are_enough(tmp_path: Path) -> None:
    folder = write_log(tmp_path / "mine", a_search())
    folder.settings.unlink()
    write_run_events(folder)
    assert isinstance(read_findings(folder), Findings)
    assert {"num_blocks", "head", "dropout"} <= declared(folder).keys()
    assert "tuner/epochs" not in declared(folder)
