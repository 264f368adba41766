"""Images in a file instead of in memory: `.npy` files that are read as memory maps."""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from archsearch.errors import UserError, writing
from archsearch.readers.source import chunks, release
from archsearch.run_folder import own_temporary, remove_abandoned

_T = TypeVar("_T")


@functools.cache
def temporary_folder() -> Path:
    """Where decoded images go when nobody gave a place; removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="archsearch-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def write_array(
    target: Path,
    shape: tuple[int, ...],
    fill: Callable[[NDArray[np.uint8]], _T],
    named: Callable[[_T], Path] | None = None,
) -> _T:
    """A `.npy` file that is there whole or not at all; what `fill`, given the array to fill, returned.

    Args:
        target: The file.
        shape: Of the array.
        fill: Fills it.
        named: Another name for the file, in the same folder, from what `fill` returned.

    Raises:
        UserError: It cannot be written.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent, "*.npy")  # as large as all the images
        free = shutil.disk_usage(target.parent).free
    # A memory map that runs into a full disk kills the process without a word.
    if free < math.prod(shape):
        raise UserError(
            f"{target.parent} has no room for {math.prod(shape) / 2**20:.0f} MB of decoded images."
        )
    temporary = target.with_name(own_temporary(target))
    try:
        with writing(target):
            x = npy.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            _take_room(temporary)
            result = fill(x)
            x.flush()
            del x  # Windows replaces no file that is mapped
            temporary.replace(named(result) if named else target)
    finally:
        with contextlib.suppress(OSError):  # as on Windows, where the exception still holds the map
            temporary.unlink(missing_ok=True)
    return result


def _take_room(path: Path) -> None:
    """Gives a new file, which is full of holes, all the room on the disk that its length needs.

    Raises:
        OSError: There is none, which a page of a memory map could not say.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that cannot
                raise


def read_array(path: Path) -> NDArray[np.uint8]:
    """What `write_array` wrote, as a memory map.

    Raises:
        UserError: The file is damaged.
    """
    try:
        x: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path} cannot be read ({error}). Remove it: the images are read anew then."
        ) from error
    return x


def save_rows(x: NDArray[np.uint8], indices: NDArray[np.intp], target: Path) -> None:
    """Some of the images of a memory map in a file of their own, never all in memory."""
    write_array(target, (len(indices), *x.shape[1:]), partial(copy_rows, x, indices))


def copy_rows(x: NDArray[np.uint8], indices: NDArray[np.intp], rows: NDArray[np.uint8]) -> None:
    """`x[indices]` into `rows`, which may be the front of `x` itself if the indices are sorted."""
    for chunk in chunks(rows):
        rows[chunk] = x[indices[chunk]]
        release(x)
