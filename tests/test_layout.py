"""How many workers there are, and what each of them gets."""

from __future__ import annotations

import pytest

from archsearch.layout import Layout, layout


@pytest.mark.parametrize(
    ("asked", "gpus", "cores", "workers", "threads"),
    [
        (None, 0, 1, 1, 1),
        (None, 0, 2, 1, 2),
        (None, 0, 15, 1, 15),
        (None, 0, 64, 8, 8),
        (None, 1, 16, 1, 16),
        (None, 4, 32, 4, 8),
        (0, 0, 2, 0, 2),
        (2, 0, 2, 2, 1),
        (3, 0, 2, 3, 1),
        (1, 2, 8, 1, 8),
    ],
)
def test_one_worker_per_gpu_or_per_eight_cores(
    asked: int | None, gpus: int, cores: int, workers: int, threads: int
) -> None:
    found = layout(asked, num_gpus=gpus, num_cores=cores)
    assert (found.workers, found.threads) == (workers, threads)


def test_threads_that_are_given_are_kept() -> None:
    assert layout(4, num_gpus=0, num_cores=8, threads=3).threads == 3


@pytest.mark.parametrize(
    ("found", "per_device"),
    [
        (Layout(0, 2), 1.0),
        (Layout(1, 2), 1.0),
        (Layout(2, 1), 2.0),
        (Layout(2, 1, ("0", "1")), 1.0),
        (Layout(4, 1, ("0", "1")), 2.0),
        (Layout(1, 1, ("0", "1")), 1.0),
    ],
)
def test_workers_share_the_cores_or_the_gpus(found: Layout, per_device: float) -> None:
    assert found.trials_per_device == per_device


def test_the_searching_process_is_one_worker() -> None:
    assert (Layout(0, 2).trials_at_a_time, Layout(0, 2).names) == (1, ())
    assert (Layout(2, 1).trials_at_a_time, Layout(2, 1).names) == (2, ("1", "2"))


def test_each_worker_sees_its_own_gpu_and_two_share_one_if_there_are_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = layout(3, num_gpus=2, num_cores=6)
    environments = [found.environment(name) for name in found.names]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in environments] == ["0", "1", "0"]
    assert {each["TF_NUM_INTRAOP_THREADS"] for each in environments} == {"2"}


def test_the_gpus_given_to_the_search_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5f")
    found = layout(None, num_gpus=2, num_cores=6)
    assert [found.environment(name)["CUDA_VISIBLE_DEVICES"] for name in found.names] == ["3", "GPU-5f"]


def test_without_a_gpu_none_is_named() -> None:
    assert layout(2, num_gpus=0, num_cores=2).environment("1") == {"TF_NUM_INTRAOP_THREADS": "1"}
