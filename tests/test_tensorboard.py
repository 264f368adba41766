"""Event files, read back by the real TensorBoard server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from tensorboard.plugins.hparams import metadata

from archsearch.reporting.tensorboard import (
    ResultEvents,
    TrialEvents,
    write_hparams_config,
    write_trial_session,
)
from archsearch.trials import Role, Status, TrialRecord
from tests.records import trial
from tests.serving import (
    ALL_FIRST,
    events_in,
    get,
    metrics,
    picture,
    printed_address,
    rows,
    started,
    wait_until,
)


def record(trial_id: str, score: float | None, **changes: Any) -> TrialRecord:
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "status": Status.COMPLETED,
        "score": score,
        "epochs": 3,
        "params": 14_996_682,
        "macs": 313_196_544,
        "seconds": 41.5,
        "elapsed_seconds": 41.5,
        "worker": "local",
    }
    return trial(**(values | changes))


def write_run(run: Path) -> None:
    """A baseline and two trials of two and three blocks, one of them failed, and one that runs still."""
    hyperparameters: list[tuple[str, Any]] = [
        ("num_blocks", "float"),
        ("block_2/convs", "float"),
        ("head", "str"),
        ("dropout", "bool"),
    ]
    always = ["num_blocks", "head", "dropout"]
    write_hparams_config(run, hyperparameters, always=always)
    two = {"num_blocks": 2, "head": "dense", "dropout": True, "tuner/epochs": 3}
    three = {"num_blocks": 3, "block_2/convs": 2, "head": "pool", "dropout": False}
    records = [
        record("baseline", 0.75, role=Role.BASELINE, epochs=9, hyperparameters=three),
        record("b0-r0-s0", 0.5, hyperparameters=two),
        record("b0-r0-s1", None, status=Status.FAILED, message="out of memory", hyperparameters=three),
    ]
    for one in records:
        folder = run / "trials" / one.trial_id
        with TrialEvents(folder) as events:
            for epoch in range(1, one.epochs + 1):
                events.epoch(epoch, {"loss": 1 / epoch, "val_accuracy": epoch / 10, "learning_rate": 0.125})
        write_trial_session(folder, record(one.trial_id, None, status=Status.TIMED_OUT))
        write_trial_session(folder, one)  # run again with more time: only the later row counts
    write_hparams_config(run, hyperparameters, always=always)


def write_final(folder: Path) -> None:
    figure = Figure(figsize=(2, 1))
    with TrialEvents(folder) as events:
        events.epoch(1, {"loss": float("nan"), "val_loss": None, "accuracy": 0.5, "seconds": 12})
    for picture_of in (Figure(), figure):  # a process that was killed while it wrote them does so again
        with ResultEvents(folder) as results:
            results.image("learning curves", picture_of)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    write_run(logs / "default")
    write_final(logs / "default" / "final" / "best")
    return logs


@pytest.fixture(scope="module")
def servers(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The addresses of a server that has read all runs, and of one with TensorBoard's fast reader.

    They start at once, since both spend their time on imports.
    """
    folder = tmp_path_factory.mktemp("servers")
    output, fast_output = folder / "output.txt", folder / "fast_output.txt"
    with started(logs, output, *ALL_FIRST) as plain, started(logs, fast_output, "--load_fast=true") as fast:
        yield printed_address(plain, output), printed_address(fast, fast_output)


@pytest.fixture(scope="module")
def server(servers: tuple[str, str]) -> str:
    return servers[0]


def session_groups(server: str, **changes: Any) -> dict[str, Any]:
    """Rows of the HParams table of the run by trial, in the order they were given."""
    return rows(server, "default", **changes)


def test_the_table_lists_every_column_of_the_run_with_one_type(server: str) -> None:
    experiment = get(server, "hparams/experiment", request="{}")
    types = {info["name"]: info["type"] for info in experiment["hparamInfos"]}
    assert types == {
        "trial": "DATA_TYPE_STRING",
        "role": "DATA_TYPE_STRING",
        "status": "DATA_TYPE_STRING",
        "epochs": "DATA_TYPE_FLOAT64",
        "num_blocks": "DATA_TYPE_FLOAT64",
        "block_2/convs": "DATA_TYPE_FLOAT64",
        "head": "DATA_TYPE_STRING",
        "dropout": "DATA_TYPE_BOOL",
    }
    assert [info["displayName"] for info in experiment["metricInfos"]] == [
        "score",
        "macs",
        "params",
        "seconds",
    ]


def test_the_five_columns_that_are_shown_at_first_are_those_that_every_trial_fills(server: str) -> None:
    infos = get(server, "hparams/experiment", request="{}")["hparamInfos"]
    shown = {info["name"] for info in infos[:5]}  # TensorBoard's own number
    assert shown == {"epochs", "role", "num_blocks", "head", "dropout"}
    assert all(shown <= row["hparams"].keys() for row in session_groups(server).values())


def test_the_table_shows_each_trial_with_its_active_hyperparameters_only(server: str) -> None:
    table = session_groups(server)
    assert table.keys() == {"baseline", "b0-r0-s0", "b0-r0-s1"}
    own = {"trial": "b0-r0-s0", "role": "search", "status": "COMPLETED", "epochs": 3.0}
    assert table["b0-r0-s0"]["hparams"] == own | {"num_blocks": 2.0, "head": "dense", "dropout": True}
    assert table["baseline"]["hparams"] == {
        "trial": "baseline",
        "role": "baseline",
        "status": "COMPLETED",
        "epochs": 9.0,
        "num_blocks": 3.0,
        "block_2/convs": 2.0,
        "head": "pool",
        "dropout": False,
    }


def test_the_table_shows_score_and_costs_exactly(server: str) -> None:
    costs = {"macs": 313_196_544.0, "params": 14_996_682.0, "seconds": 41.5}
    table = session_groups(server)
    assert metrics(table["baseline"]) == {"score": 0.75} | costs
    assert metrics(table["b0-r0-s1"]) == costs


def test_a_failed_trial_is_shown_as_failed_even_if_it_first_ran_out_of_time(server: str) -> None:
    table = session_groups(server)
    statuses = {name: row["sessions"][0]["status"] for name, row in table.items()}
    assert statuses == {
        "baseline": "STATUS_SUCCESS",
        "b0-r0-s0": "STATUS_SUCCESS",
        "b0-r0-s1": "STATUS_FAILURE",
    }
    assert table["b0-r0-s1"]["hparams"]["status"] == "FAILED"


def test_the_table_sorts_by_score(server: str) -> None:
    order = {"metric": {"tag": "trial/score"}, "order": "ORDER_DESC", "missingValuesFirst": False}
    table = session_groups(server, colParams=[order])
    assert list(table)[:2] == ["baseline", "b0-r0-s0"]


def test_the_table_keeps_trials_of_one_fidelity(server: str) -> None:
    full = {
        "hparam": "epochs",
        "filterInterval": {"minValue": 9, "maxValue": 9},
        "excludeMissingValues": True,
    }
    assert list(session_groups(server, colParams=[full])) == ["baseline"]


def test_curves_stand_under_readable_names(server: str) -> None:
    tags = get(server, "scalars/tags")
    summary = {"trial/macs", "trial/params", "trial/seconds"}
    curves = {"loss/train", "accuracy/validation", "learning_rate"}
    assert tags["default/trials/b0-r0-s0"].keys() == curves | summary | {"trial/score"}
    assert tags["default/trials/b0-r0-s1"].keys() == curves | summary


def test_values_that_are_not_finite_are_left_out(server: str) -> None:
    tags = get(server, "scalars/tags")
    assert tags["default/final/best"].keys() == {"accuracy/train", "seconds per epoch"}


def test_a_figure_arrives_as_a_picture_of_its_size(server: str) -> None:
    tags = get(server, "images/tags")
    assert tags["default/final/best"].keys() == {"pictures/learning curves"}
    pixels = picture(server, "default/final/best", "pictures/learning curves")
    assert pixels.shape[:2] == (150, 300)  # 1 x 2 inches at 150 dots per inch


def test_the_fast_reader_sees_the_same_table(servers: tuple[str, str]) -> None:
    expected = session_groups(servers[0])
    wait_until(lambda: session_groups(servers[1]) == expected)


def epochs_in(folder: Path) -> list[int]:
    return [event.step for event in events_in(folder)]


def test_each_epoch_is_on_disk_before_the_next(tmp_path: Path) -> None:
    with TrialEvents(tmp_path) as events:
        for epoch in (1, 2):
            events.epoch(epoch, {"loss": 0.5})
            assert epochs_in(tmp_path)[-1] == epoch


def test_a_training_that_starts_over_removes_its_earlier_curves(tmp_path: Path) -> None:
    for epochs in ((1, 2), (1, 2, 3)):
        with TrialEvents(tmp_path) as events:
            for epoch in epochs:
                events.epoch(epoch, {"loss": 0.5})
    assert epochs_in(tmp_path) == [1, 2, 3]


def test_a_hyperparameter_named_like_a_column_of_ours_is_the_users(tmp_path: Path) -> None:
    write_hparams_config(tmp_path, [("epochs", "str")])
    (event,) = events_in(tmp_path)
    content = event.summary.value[0].metadata.plugin_data.content
    names = [info.name for info in metadata.parse_experiment_plugin_data(content).hparam_infos]
    assert names == ["trial", "role", "status", "epochs"]


def test_events_are_written_without_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from archsearch.reporting.tensorboard import TrialEvents, write_hparams_config\n"
        "folder = Path(sys.argv[1])\n"
        "TrialEvents(folder).epoch(1, {'loss': 0.5})\n"
        "write_hparams_config(folder, [('num_blocks', 'float')])\n"
        "assert list(folder.iterdir())\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, check=True)
