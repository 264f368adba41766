"""How busy workers were, in searches and in the benchmark that simulates them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from archsearch.trials import read_records
from archsearch.utilisation import utilisation
from tests.records import trial

ROOT = Path(__file__).resolve().parent.parent


def test_two_workers_busy_for_nine_of_ten_seconds_each() -> None:
    records = [trial("a", seconds=9.0), trial("b", seconds=5.0), trial("c", seconds=4.0)]
    found = utilisation(records, num_workers=2, seconds=10.0)
    assert (found.share, found.work_seconds, found.saved_seconds) == (0.9, 18.0, 8.0)


def test_one_worker_saves_nothing() -> None:
    found = utilisation([trial("a", seconds=9.0)], num_workers=1, seconds=10.0)
    assert (found.share, found.saved_seconds) == (0.9, 0.0)


def test_no_time_is_no_use() -> None:
    assert utilisation([], num_workers=2, seconds=0.0).share == 0.0


@pytest.fixture(scope="module")
def benchmark() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "utilisation.py"))


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_the_simulated_search_is_the_same_for_any_number_of_workers(benchmark: dict[str, Any]) -> None:
    records, _ = read_records(benchmark["RECORDS"])
    alone, few, many = (
        benchmark["simulate"](records, max_epochs=9, iterations=2, confirm=1, num_workers=num)
        for num in (1, 3, 64)
    )
    assert alone.makespan == pytest.approx(alone.work) == pytest.approx(few.work)
    assert alone.scores == few.scores == many.scores
    assert len(alone.trials) == 1 + 2 * 23 + 4
    assert alone.makespan > few.makespan > many.makespan
    assert all(each.makespan >= each.bound * (1 - 1e-9) for each in (alone, few, many))


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_many_workers_are_busy_nine_tenths_of_the_simulated_search(benchmark: dict[str, Any]) -> None:
    records, _ = read_records(benchmark["RECORDS"])
    found = benchmark["simulate"](records, max_epochs=9, iterations=20, confirm=2, num_workers=16)
    assert found.utilisation >= benchmark["GOAL"]
