"""What other processes are given of the images, without one."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from archsearch.dataset import Images
from archsearch.sharing import stored
from archsearch.task import TrainingData


@pytest.mark.parametrize("validates", [True, False])
def test_all_that_trials_may_see_arrives(tmp_path: Path, validates: bool) -> None:
    def images(num: int) -> Images:
        x = np.arange(num * 64 * 3).reshape(num, 8, 8, 3) % 256
        return Images(x.astype(np.uint8), np.arange(num) % 3)

    data = TrainingData(
        images(6), images(3) if validates else None, 3, False, class_weights="balanced", class_measures=True
    )
    with stored(data, tmp_path) as way:
        opened = pickle.loads(pickle.dumps(way)).open()
        for part in ("train", "validation") if validates else ("train",):
            given, got = getattr(data, part), getattr(opened, part)
            assert isinstance(got.x, np.memmap)
            assert np.array_equal(got.x, given.x)
            assert np.array_equal(got.y, given.y)
        # Whatever else there is, and may be added.
        assert dataclasses.replace(opened, train=data.train, validation=data.validation) == data
        assert (opened.class_weights, opened.class_measures) == ("balanced", True)
        del opened, got
    assert list(tmp_path.iterdir()) == []
