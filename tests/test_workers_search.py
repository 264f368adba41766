"""Whole searches in worker processes: whatever happens to those, the trials and scores are the same."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from archsearch import runtime
from archsearch.attempts import Attempts
from archsearch.executors import InlineExecutor
from archsearch.run_folder import RunFolder
from archsearch.trials import Status, TrialRecord
from tests.pretending import HardToOpen, PlainSpace, Pretender, Trouble, starts
from tests.test_tuner import PLAN, Notes, log, make
from tests.test_workers import SHORT, is_running, wait_until

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.tensorflow,  # Keras Tuner imports it; the workers do not
    pytest.mark.usefixtures("tensorflow"),
    pytest.mark.skipif(sys.platform != "linux", reason="Stops processes and reads /proc"),
]

NUM_KILLS = 20


def trials(path: Path) -> dict[str, Any]:
    """All that does not depend on the time and on who trained."""
    records: list[TrialRecord] = log(path)
    assert len({record.trial_id for record in records}) == len(records)
    return {
        record.trial_id: dataclasses.replace(record, seconds=0.0, elapsed_seconds=0.0, worker="")
        for record in records
    }


Search = Callable[..., Path]


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Search]:
    """Runs a search with worker processes; where its log is."""
    from archsearch.workers import WorkerExecutor, setup_of

    with ExitStack() as stack:

        def run(
            name: str,
            num_workers: int,
            troubles: Mapping[str, tuple[Trouble, ...]] | None = None,
            *,
            seconds: float = 0.0,
            space: Any = None,
            notes: Notes | None = None,
            **changes: Any,
        ) -> Path:
            path = tmp_path / name
            path.mkdir()
            tuner = make(
                path, Pretender(path, troubles or {}, seconds), callbacks=[notes] if notes else (), **changes
            )
            executor: Any = InlineExecutor()
            if num_workers:
                setup = setup_of(space or PlainSpace(), None, precision=None)
                workers = {str(number): {} for number in range(1, num_workers + 1)}
                executor = stack.enter_context(WorkerExecutor(setup, workers, hang_seconds=SHORT))
            tuner.search(executor, num_workers=max(1, num_workers))
            return path

        yield run


@pytest.fixture
def undisturbed(search: Search) -> dict[str, Any]:
    """In this process."""
    return trials(search("undisturbed", 0))


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_the_trials_are_the_same_for_any_number_of_workers(
    num_workers: int, search: Search, undisturbed: dict[str, Any]
) -> None:
    """Of different durations, so that they end in another order than they begin."""
    path = search("workers", num_workers, seconds=0.05)
    assert trials(path) == undisturbed
    assert {record.worker for record in log(path)} == {str(n) for n in range(1, num_workers + 1)}


def numbered_points(undisturbed: dict[str, Any]) -> list[tuple[str, int]]:
    """All of a search: trial and point; two an epoch, and one at the end."""
    return [
        (trial_id, point)
        for trial_id, trial in sorted(undisturbed.items())
        for point in range(2 * trial.epochs + 1)
    ]


def test_twenty_kills_at_numbered_points_change_nothing(search: Search, undisturbed: dict[str, Any]) -> None:
    points = numbered_points(undisturbed)
    assert len(points) == 2 * PLAN.num_epochs + PLAN.num_trials
    chosen = points[:: len(points) // NUM_KILLS][:NUM_KILLS]
    troubles: dict[str, tuple[Trouble, ...]] = {}
    for name, point in chosen:
        troubles[name] = (*troubles.get(name, ()), ("kill", point))
    notes = Notes()
    path = search("killed", 2, troubles, notes=notes)
    assert trials(path) == undisturbed
    deaths = [note for note in notes.notes if "died (SIGKILL(-9))" in note]
    assert len(deaths) == NUM_KILLS
    assert sum(len(processes) - 1 for processes in starts(path).values()) == NUM_KILLS
    assert not list(path.glob("trials/*/*")), "nothing is left beside trials that died"


@pytest.mark.parametrize("kind", ["stop", "starve", "exit"])
def test_a_worker_that_freezes_starves_or_leaves_changes_nothing(
    kind: str, search: Search, undisturbed: dict[str, Any]
) -> None:
    troubles = {"b2-r0-s1": ((kind, 1),), "b1-r0-s0": ((kind, 0), (kind, 6))}
    notes = Notes()
    path = search(kind, 2, troubles, notes=notes)
    assert trials(path) == undisturbed
    tried_again = [note for note in notes.notes if note.endswith("is tried again.")]
    assert len(tried_again) == 3
    assert {len(starts(path)[name]) for name in troubles} == {2, 3}


def test_workers_that_are_killed_when_they_start_cost_one_try_each(
    search: Search, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    path = search("hard", 1, space=HardToOpen(tmp_path, times=2))
    assert trials(path) == undisturbed


def test_a_third_death_in_a_row_fails_the_trial_and_another_is_drawn(search: Search) -> None:
    notes = Notes()
    path = search("dying", 2, {"b2-r0-s0": (("kill", 0),) * 3}, notes=notes)
    failed = trials(path)["b2-r0-s0"]
    assert failed.status is Status.FAILED
    assert failed.message.startswith("The process died 3 times in a row in this trial before")
    assert trials(path)["b2-r0-s0-a1"].status is Status.COMPLETED
    verdicts = [note.partition(": b2-r0-s0 is ")[2] for note in notes.notes]
    assert verdicts == ["tried again.", "tried again.", "not tried again."]


def test_a_trial_that_gets_further_is_never_failed(search: Search, undisturbed: dict[str, Any]) -> None:
    """Two deaths in each of three epochs."""
    troubles = {"baseline": tuple(("kill", 2 * epoch) for epoch in range(1, 4) for _ in range(2))}
    assert trials(search("further", 1, troubles)) == undisturbed


def test_every_trial_is_told_with_its_worker(search: Search) -> None:
    class Placed(Notes):
        def on_trial_placed(self, assignment: Any, worker: str) -> None:
            self.told.append(("placed", assignment.trial_id, worker))

    notes = Placed()
    path = search("told", 2, {"b2-r0-s0": (("kill", 0),)}, notes=notes)
    placed = [(name, *worker) for kind, name, *worker in notes.told if kind == "placed"]
    assert len(placed) == len(trials(path)) + 1
    assert {record.trial_id: record.worker for record in log(path)}.items() <= set(placed)


# Commands.

COMMAND = """
import signal, sys, threading
from pathlib import Path
from archsearch import cli, searching, workers
from tests.pretending import Pretender
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell makes its background jobs ignore
original = searching.Search
troubles = {"baseline": (("wait", 3),)} if sys.argv[1] in ("waits", "lingers") else {}
def stubbed(**options):
    return original(**{**options, "run_trial": Pretender(Path("pretended"), troubles)})
searching.Search = stubbed
def linger(*args, **options):
    print("ending", flush=True)
    threading.Event().wait()
if sys.argv[1] == "lingers":
    workers.WorkerExecutor.shutdown = linger
status = cli.search(["--dataset", "tiny.npz", "--run", "run", *sys.argv[2:]], "search.py")
sys.exit(status)
"""


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    import numpy as np

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 16, 16, 1), dtype=np.uint8), np.arange(60) % 2
    np.savez(tmp_path / "tiny.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])

    # What TensorFlow was set up with here would be taken for the user's wish.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=tmp_path,
            env=clean | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.mark.end_to_end
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_workers_and_is_no_death(
    number: signal.Signals, tmp_path: Path, command: Callable[..., subprocess.Popen[str]]
) -> None:
    """As Ctrl-C: the signal goes to all processes of the group."""
    flags = ("--max-epochs", "2", "--factor", "2", "--confirm", "0")
    process = command("waits", *flags, "--workers", "2")
    trial = RunFolder(tmp_path / "logs" / "run").trial("baseline")
    try:
        wait_until(
            lambda: (trial / "attempts.json").exists() and Attempts.read(trial).epochs == 1, seconds=150
        )
        workers = [each.pid for each in psutil.Process(process.pid).children(recursive=True)]
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], errors
    assert "Traceback" not in errors
    assert "Continue: search.py" in errors
    wait_until(lambda: not any(is_running(each) for each in workers))
    assert Attempts.read(trial).starts == 0
    again = command("goes on", "--workers", "1")
    out, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert out.startswith("6 of 6 planned trials completed")
    settings = json.loads((tmp_path / "logs" / "run" / "settings.json").read_text())
    assert settings["finished"]
    assert settings["plan"]["workers"] == 1
    assert settings["machine"]["threads_per_trial"] == runtime.num_cores()
    assert "threads per trial" in errors or runtime.num_cores() == 1


@pytest.mark.end_to_end
def test_a_second_interruption_ends_at_once_and_leaves_no_process_behind(
    tmp_path: Path, command: Callable[..., subprocess.Popen[str]]
) -> None:
    """It comes when the first one is being heeded, and no worker has been ended yet."""
    process = command("lingers", "--max-epochs", "2", "--factor", "2", "--confirm", "0", "--workers", "2")
    trial = RunFolder(tmp_path / "logs" / "run").trial("baseline")
    try:
        wait_until(
            lambda: (trial / "attempts.json").exists() and Attempts.read(trial).epochs == 1, seconds=150
        )
        started = [each.pid for each in psutil.Process(process.pid).children(recursive=True)]
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "ending\n"
        assert sum(is_running(each) for each in started) >= 2
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    wait_until(lambda: not any(is_running(each) for each in started))
