"""A killed search or final training ends as an undisturbed one does. What is run stands in killing.py."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.compat.proto import event_pb2

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.timeout(900),  # seconds; the first test of a group runs all of it
    pytest.mark.skipif(sys.platform != "linux", reason="Kills forked processes, and reads /proc"),
]

# Two processes of about the same length, for two cores.
STUBBED = (("saved",), ("failing", "overwriting", "repeating", "decoding", "random"))
TRAINED = (("tensorflow",), ("final",))
COMMANDS = (("dying", "getting-on", "interrupted"),)

SEARCHES = ("saved", "failing", "overwriting", "repeating", "decoding", "random", "tensorflow")
EVERYWHERE = ("saved", "failing")

TIMES = ("seconds", "elapsed_seconds", "seconds per epoch", "trial/seconds")
NEVER_EQUAL = (*TIMES, "search_seconds", "speed", "git_commit")


def run_all(groups: tuple[tuple[str, ...], ...], folder: Path) -> Path:
    """Runs every group in a process of its own."""

    def run(names: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        # Bit for bit the same whatever else the machine does: one thread a process.
        threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        environment = os.environ | threads | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(ROOT / "tests" / "killing.py"), str(folder), *names]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    with ThreadPoolExecutor(len(groups)) as executor:
        for ran in executor.map(run, groups):
            assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def stubbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_all(STUBBED, tmp_path_factory.mktemp("stubbed"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_all(TRAINED, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_all(COMMANDS, tmp_path_factory.mktemp("commands"))


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Path:
    """The folder of the scenario that a test is parametrized with, run where it was not yet."""
    group = "trained" if request.param in ("tensorflow", "final") else "stubbed"
    folder: Path = request.getfixturevalue(group) / request.param
    return folder


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scenario", names, indirect=True)


def killed(scenario: Path) -> list[Path]:
    """Folders of the searches that were killed and came to their end."""
    return sorted(scenario.glob("killed-*"))


def journal(folder: Path) -> list[dict[str, Any]]:
    path = folder / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kills(*scenarios: Path) -> list[str]:
    return [
        entry["kill"]
        for scenario in scenarios
        for folder in killed(scenario)
        for entry in journal(folder)
        if "kill" in entry
    ]


def timeless(value: Any) -> Any:
    """Without what differs from one run to another."""
    if isinstance(value, Mapping):
        return {name: timeless(item) for name, item in value.items() if name not in NEVER_EQUAL}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def read(*path: Any) -> Any:
    return timeless(json.loads(Path(*path).read_text()))


def trials(folder: Path) -> list[Any]:
    return [timeless(json.loads(line)) for line in (folder / "run" / "trials.jsonl").read_text().splitlines()]


def files(folder: Path) -> list[str]:
    """In a folder, without the time and process in the names of event files."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(re.sub(r"events\.out\..*\.(\w+)$", r"events.\1", name) for name in found)


def events(folder: Path) -> list[tuple[Any, ...]]:
    """All that TensorBoard shows of a folder, without times."""
    shown = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in event_records(path.read_bytes()):
            for value in event.summary.value:
                if value.tag not in TIMES:
                    shown.append((path.suffix, value.tag, event.step, tuple(value.tensor.float_val)))
    return sorted(shown)


def event_records(data: bytes) -> Iterator[Any]:
    """Each is its length (8 bytes), a checksum (4), the event, and another checksum (4)."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        assert position + length + 16 <= len(data), "the file ends in the middle of a record"
        yield event_pb2.Event.FromString(data[position + 12 : position + 12 + length])
        position += length + 16


# How much was tried.


def test_a_thousand_kills_of_searches_whose_training_only_pretends(stubbed: Path) -> None:
    assert len(kills(*stubbed.iterdir())) >= 1000
    assert all(kills(scenario) for scenario in stubbed.iterdir())


def test_thirty_kills_of_a_search_that_trains(trained: Path) -> None:
    assert len(kills(trained / "tensorflow")) >= 30


@of(*EVERYWHERE)
def test_every_point_of_an_undisturbed_search_was_killed_at(scenario: Path) -> None:
    points = json.loads((scenario / "undisturbed" / "points.json").read_text())
    assert set(points) <= set(kills(scenario))


@of(*SEARCHES)
def test_no_trial_died_three_times_in_a_row_without_completing_a_further_epoch(scenario: Path) -> None:
    for folder in killed(scenario):
        deaths: Counter[str] = Counter()
        completed: Counter[str] = Counter()
        for entry in journal(folder):
            trial = entry["trial"]
            if entry.get("completed", 0) > completed[trial]:
                completed[trial], deaths[trial] = entry["completed"], 0
            if "kill" in entry and trial is not None:
                deaths[trial] += 1
                assert deaths[trial] <= 2


# How searches ended.


@of(*SEARCHES)
def test_the_trials_and_scores_are_those_of_the_undisturbed_search(scenario: Path) -> None:
    expected = trials(scenario / "undisturbed")
    assert len({trial["trial_id"] for trial in expected}) == len(expected)
    for folder in killed(scenario):
        assert trials(folder) == expected, folder


def test_failures_and_redraws_were_among_them(stubbed: Path) -> None:
    for name in ("failing", "random"):
        ended = trials(stubbed / name / "undisturbed")
        assert any(trial["status"] == "FAILED" for trial in ended)
        assert any(trial["attempt"] > 0 for trial in ended)
        assert any(trial["rung"] == 1 for trial in ended)
    assert any(trial["role"] == "confirm" for trial in ended)


@of(*SEARCHES)
def test_best_and_settings_are_those_of_the_undisturbed_search(scenario: Path) -> None:
    for folder in killed(scenario):
        for name in ("best.json", "settings.json"):
            assert read(folder, "run", name) == read(scenario, "undisturbed", "run", name), folder
        assert read(folder, "run", "settings.json")["finished"] is True


@of(*SEARCHES)
def test_no_other_files_are_left(scenario: Path) -> None:
    expected = files(scenario / "undisturbed" / "run")
    assert not any("attempts" in name or "resume" in name or "unfinished" in name for name in expected)
    for folder in killed(scenario):
        assert files(folder / "run") == expected, folder


@of(*SEARCHES)
def test_tensorboard_shows_the_same(scenario: Path) -> None:
    names = [trial["trial_id"] for trial in trials(scenario / "undisturbed")]
    for trial_id in names:
        expected = events(scenario / "undisturbed" / "run" / "trials" / trial_id)
        assert {kind for kind, *_ in expected} == {".curves", ".hparams"}
        for folder in killed(scenario):
            assert events(folder / "run" / "trials" / trial_id) == expected, folder


def course(folder: Path, line: str) -> list[tuple[Any, ...]]:
    """Of the search as TensorBoard shows it, over the epochs: seconds differ."""
    shown = events(folder / "run" / "search" / line)
    return [event for event in shown if event[1].endswith("by epochs")]


@of(*SEARCHES)
@pytest.mark.parametrize("line", ["incumbent", "baseline"])
def test_tensorboard_shows_the_same_course_of_the_search_and_nothing_twice(scenario: Path, line: str) -> None:
    expected = course(scenario / "undisturbed", line)
    assert expected
    for folder in killed(scenario):
        assert course(folder, line) == expected, folder


@of("saved", "random", "tensorflow", "final")
def test_no_epoch_that_was_saved_is_trained_again(scenario: Path) -> None:
    for folder in killed(scenario):
        saved: Counter[str] = Counter()
        for entry in journal(folder):
            saved[entry["trial"]] = max(saved[entry["trial"]], entry.get("saved", 0))
            assert entry.get("begun", sys.maxsize) > saved[entry["trial"]], folder


@of("failing")
def test_what_is_not_worth_saving_is_trained_again(scenario: Path) -> None:
    begun = Counter(
        (folder.name, entry["trial"], entry["begun"])
        for folder in killed(scenario)
        for entry in journal(folder)
        if "begun" in entry
    )
    assert max(begun.values()) > 1


# How final trainings ended.


@of("final")
def test_the_final_training_ends_with_the_result_of_the_undisturbed_one(scenario: Path) -> None:
    finals = [folder / "run" / "final" / "best" for folder in (scenario / "undisturbed", *killed(scenario))]
    assert len(kills(scenario)) >= 20
    expected, *others = finals
    assert len(read(expected, "history.json")["epochs"]) == read(expected, "result.json")["epochs"] == 3
    for final in others:
        for name in ("result.json", "history.json"):
            assert read(final, name) == read(expected, name)
        assert weights(final / "model.keras") == weights(expected / "model.keras")
        assert {*files(final)} - {"begun.json"} == {*files(expected)}
        assert events(final) == events(expected), "TensorBoard is told the same, and nothing twice"


def weights(path: Path) -> dict[str, bytes]:
    """Of a model, to the last bit."""
    import h5py

    found: dict[str, bytes] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item).tobytes()

    with zipfile.ZipFile(path) as archive:
        data = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(take)
    assert found
    return found


# Deaths that count, and interruptions that do not.


def statuses(folder: Path) -> Any:
    return json.loads((folder / "statuses.json").read_text())


def by_id(folder: Path) -> dict[str, Any]:
    path = folder / "logs" / "run" / "trials.jsonl"
    return {trial["trial_id"]: trial for trial in map(json.loads, path.read_text().splitlines())}


def test_a_third_death_in_a_row_fails_the_trial_and_another_is_drawn(commands: Path) -> None:
    folder = commands / "dying"
    assert statuses(folder) == [-9, -9, -9, 0]
    trials = by_id(folder)
    failed = trials.pop("b0-r0-s1")
    assert failed["status"] == "FAILED"
    assert failed["message"] == (
        "The process died 3 times in a row in this trial before it had completed epoch 2; running out of "
        "memory is the usual cause."
    )
    assert {trial["status"] for trial in trials.values()} == {"COMPLETED"}
    assert trials["b0-r0-s1-a1"]["hyperparameters"] != failed["hyperparameters"]
    out = (folder / "stdout-3").read_text()
    assert out.startswith("6 of 6 planned trials completed in ")
    assert f"not as planned: b0-r0-s1 FAILED: {failed['message']}" in out


def test_a_trial_that_gets_further_is_never_failed(commands: Path) -> None:
    """Two deaths in each of its four epochs."""
    folder = commands / "getting-on"
    assert statuses(folder) == [-9] * 8 + [0]
    assert {trial["status"] for trial in by_id(folder).values()} == {"COMPLETED"}


def test_interruptions_are_no_deaths(commands: Path) -> None:
    """Eight in an epoch in which the process had died twice."""
    folder = commands / "interrupted"
    assert statuses(folder) == [-9, -9, *[130, 143] * 4, 0]
    assert {trial["status"] for trial in by_id(folder).values()} == {"COMPLETED"}
    assert "Continue: search.py --dataset tiny.npz --run run" in (folder / "stderr-9").read_text()


@pytest.mark.parametrize("name", ["dying", "getting-on", "interrupted"])
def test_nothing_is_left_beside_trials_that_died(name: str, commands: Path) -> None:
    left = files(commands / name / "logs" / "run")
    assert not any("attempts" in file or "resume" in file or "unfinished" in file for file in left)
