"""Arrays in files: whole or not at all, and never all in memory."""

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.readers.memory_map import copy_rows, save_rows, write_array


def many_images():
    """More than are looked at together."""
    return np.random.default_rng(0).integers(0, 256, (3000, 40, 40, 1), np.uint8)


def test_an_array_is_there_with_what_it_was_filled_with(tmp_path):
    target = tmp_path / "new" / "x.npy"
    assert write_array(target, (2, 3), lambda x: x.fill(7) or "done") == "done"
    assert np.load(target).tolist() == [[7] * 3] * 2


def test_what_fails_half_way_leaves_nothing(tmp_path):
    def fill(x):
        x[0] = 1
        raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        write_array(tmp_path / "x.npy", (2, 3), fill)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="has no room for 5722046 MB"):
        write_array(tmp_path / "x.npy", (2, 1_000_000, 1_000_000, 3), lambda x: None)
    assert list(tmp_path.iterdir()) == []


def test_saved_rows_are_those_asked_for(tmp_path):
    x, indices = many_images(), np.array([*range(2900, 100, -1), 5])
    save_rows(x, indices, tmp_path / "x.npy")
    assert np.array_equal(np.load(tmp_path / "x.npy"), x[indices])


def test_rows_may_close_up_in_place():
    x = many_images()
    kept = np.delete(np.arange(3000), [0, 1500, 2999])
    expected = x[kept]
    copy_rows(x, kept, x[:2997])
    assert np.array_equal(x[:2997], expected)
