"""The benchmark of worker processes: its arithmetic, its table, and a trial that does nothing."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.keeping import between
from benchmarks.versus import table as versus_table
from benchmarks.versus import workers

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def benchmark() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "workers.py"))


def test_trials_an_hour_leave_out_the_start(benchmark: dict[str, Any]) -> None:
    """Five trials end within ten seconds after the first: one every two seconds."""
    times = (100.0, 102.0, 104.0, 106.0, 108.0, 110.0)
    assert benchmark["trials_per_hour"]([{"pid": 1, "time": time} for time in times], 1) == 1800
    # Of two workers, from the second one's first end, which is the third of all: three in six seconds.
    ends = [{"pid": pid, "time": time} for pid, time in zip((1, 1, 2, 1, 2, 1), times, strict=True)]
    assert benchmark["trials_per_hour"](ends, 2) == 1800
    with pytest.raises(RuntimeError, match="Of 2 workers 1 ended a trial"):
        benchmark["trials_per_hour"](ends[:2], 2)


@pytest.mark.parametrize("number", [4, 7, 100])
def test_memory_that_grows_by_two_megabytes_a_trial_is_seen_to(
    benchmark: dict[str, Any], number: int
) -> None:
    assert benchmark["growth"]([300 + 2.0 * trial for trial in range(number)]) == pytest.approx(2.0)


def test_flat_memory_does_not_grow(benchmark: dict[str, Any]) -> None:
    assert benchmark["growth"]([300.0, 302.0, 301.0, 299.0] * 24) == 0.0


def cell(rate: float, *, trials: int = 100) -> dict[str, Any]:
    return {
        "trials": trials,
        "trials_per_hour": rate,
        "memory_megabytes": [[300.0, 301.0, 302.0]],
        "growth_megabytes_per_trial": 1.0,
    }


HANGS = {"workers": 2, "trained": 5, "still_running": ["chief", "tuner0"], "seconds": 180.4}
ENDS = {"workers": 2, "trained": 7, "still_running": [], "seconds": 41.2}

RESULTS: dict[str, Any] = {
    "versions": dict.fromkeys(
        ("keras", "tensorflow", "numpy", "python", "keras-tuner", "archsearch"), "3.15"
    ),
    "machine": {"processor": "a processor", "cores": 2, "gpus": [], "system": "Linux"},
    "searches": {
        "stock": {"1": cell(1000.0), "2": cell(1500.0)},
        "archsearch": {"1": cell(1200.0), "2": cell(2400.0)},
    },
    "killed": {"stock": HANGS, "archsearch": ENDS},
    "isolation": {"inline": 0.0001, "worker": 0.002, "start": 4.0},
}


def test_the_table_sets_both_sides_beside_each_other(benchmark: dict[str, Any]) -> None:
    lines = list(benchmark["table"](RESULTS))
    assert "| trials an hour, 1 worker | 1000 | 1200 | 1.20 |" in lines
    assert "| trials an hour, 2 workers | 1500 | 2400 | 1.60 |" in lines
    assert "| two workers over one | 1.50 | 2.00 | |" in lines
    assert lines[5].startswith(
        "| memory of one worker, growth per trial | 1.00 MB (300 to 302 MB over 3 trials)"
    )
    hangs = "runs on after 180 s: chief, tuner0; 5 trainings ended"
    assert f"| one of two workers killed | {hangs} | ends after 41 s; 7 trainings ended | |" in lines
    assert any("takes 2.0 ms in a worker and 0.100 ms in the searching process" in line for line in lines)


def test_the_page_is_made_from_the_figures_where_there_are_any(benchmark: dict[str, Any]) -> None:
    page, stored = benchmark["PAGE"].read_text("utf-8"), benchmark["RESULTS"]
    lines = benchmark["table"](json.loads(stored.read_text("utf-8"))) if stored.exists() else ()
    assert between(page, benchmark["BEGIN"], lines) == page


@pytest.mark.parametrize("measured", [True, False])
def test_the_row_of_a_killed_worker_stands_in_the_comparison_once_it_is_measured(measured: bool) -> None:
    stored = json.loads((ROOT / "benchmarks" / "results" / "versus.json").read_text("utf-8"))
    cells = {name: found for name, found in stored["cells"].items() if not name.startswith("worker-killed/")}
    if measured:
        cells |= {"worker-killed/stock": HANGS, "worker-killed/archsearch": ENDS}
    rows = [line for line in versus_table.table(stored | {"cells": cells}) if "`worker-killed`" in line]
    assert len(rows) == int(measured)


def test_keras_tuners_processes_are_a_chief_and_its_tuners_on_one_port() -> None:
    plan = workers.Plan(workers=2, max_epochs=3, factor=3, iterations=1)
    processes = workers._processes("stock", plan)
    assert [each["KERASTUNER_TUNER_ID"] for each in processes.values()] == ["tuner0", "tuner1", "chief"]
    assert len({each["KERASTUNER_ORACLE_PORT"] for each in processes.values()}) == 1


@pytest.mark.end_to_end
def test_a_trial_that_does_nothing_is_timed_in_both_places(benchmark: dict[str, Any]) -> None:
    found = benchmark["isolation"](3)
    assert set(found) == {"inline", "worker", "start"}
    assert 0 < found["inline"] < found["start"]


@pytest.mark.end_to_end
def test_a_tiny_search_notes_every_training_of_its_worker() -> None:
    """The baseline and one network, of one epoch each."""
    ran = workers.run("archsearch", workers.Plan(workers=1, max_epochs=1, factor=2, iterations=1))
    assert len(ran.journal) == 2
    assert len({each["pid"] for each in ran.journal}) == 1
    assert ran.running == ()
