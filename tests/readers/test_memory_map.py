"""Arrays in files: whole or not at all, and never all in memory."""

import errno
import os

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.readers import source
from archsearch.readers.memory_map import copy_rows, save_rows, write_array
from archsearch.readers.source import chunks


def many_images():
    """More than are looked at together."""
    return np.random.default_rng(0).integers(0, 256, (3000, 40, 40, 1), np.uint8)


def test_an_array_is_there_with_what_it_was_filled_with(tmp_path):
    target = tmp_path / "new" / "x.npy"
    assert write_array(target, (2, 3), lambda x: x.fill(7) or "done") == "done"
    assert np.load(target).tolist() == [[7] * 3] * 2


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no room for a file")
def test_a_disk_that_fills_up_is_told_before_a_memory_map_runs_into_it(tmp_path, monkeypatch):
    """As where two searches decode at once, or of a quota: the room that is free was seen to be enough."""

    def fallocate(file, offset, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    with pytest.raises(UserError, match=r"x\.npy cannot be written: No space left on device\."):
        write_array(tmp_path / "x.npy", (2, 3), lambda x: x.fill(7))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no room for a file")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_reserve_room_is_written_to_as_it_is(tmp_path, monkeypatch, number):
    def fallocate(file, offset, length):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    write_array(tmp_path / "x.npy", (2, 3), lambda x: x.fill(7))
    assert np.load(tmp_path / "x.npy").tolist() == [[7] * 3] * 2


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no room for a file")
def test_a_file_has_all_its_room_before_it_is_filled(tmp_path, monkeypatch):
    given = []

    def fallocate(file, offset, length):
        given.append((offset, length, os.fstat(file).st_size))

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    [(offset, length, size)] = write_array(tmp_path / "x.npy", (2, 3), lambda x: list(given))
    assert (offset, length) == (0, size)
    assert size == (tmp_path / "x.npy").stat().st_size


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


def test_what_was_written_into_a_private_copy_is_not_given_back(tmp_path, monkeypatch):
    """`np.load(mmap_mode="c")`: the changes are in the memory alone, and reading must not lose them."""
    monkeypatch.setattr(source, "KEPT", 0)
    np.save(tmp_path / "x.npy", many_images())
    mine = np.load(tmp_path / "x.npy", mmap_mode="c")
    mine[:] = 9
    assert len(list(chunks(mine))) > 1
    assert (mine == 9).all()
