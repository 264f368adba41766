"""A folder with one sub-folder of images per class: decoded once, then read from a memory map."""

from __future__ import annotations

import hashlib
import statistics
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.readers.checks import num_classes_of
from archsearch.readers.folder_listing import FolderListing, Listing, list_folder
from archsearch.readers.memory_map import copy_rows, read_array, temporary_folder, write_array
from archsearch.readers.pictures import decode, map_quietly, upright_size
from archsearch.readers.source import Facts, Images, Source, class_counts
from archsearch.run_folder import read_json, write_json

LARGEST_DEFAULT = 64
"""Pixels a side, where no image size is asked for."""
BROKEN_ALLOWED = 0.01
"""The share of unreadable images that is left out with a note instead of refused."""
DECODING = 1
"""Part of the name of a decoded file; to be raised when the same images come out differently."""


def read_folder(root: Path, *, image_size: tuple[int, int] | None, cache: Path | None) -> Source:
    folder = list_folder(root)
    size = image_size or median_size(folder.train.files)
    train, broken = _read_part(folder, folder.train, size=size, cache=cache)
    num_classes_of(train.y, folder.class_names, f"The training part of {root}")
    validation = None
    if folder.validation.files:
        validation, more_broken = _read_part(folder, folder.validation, size=size, cache=cache)
        broken += more_broken
    return Source(
        train=train,
        validation=validation,
        class_names=folder.class_names,
        read_test=partial(_read_test, folder, size, cache),
        has_test=bool(folder.test.files),
        flip_default=None,
        notes=(*folder.notes, *_broken_note(broken)),
        num_test=len(folder.test.files),
    )


def folder_facts(root: Path, image_size: tuple[int, int] | None) -> Facts:
    """From names and headers; broken images are counted in."""
    folder = list_folder(root)
    size = image_size or median_size(folder.train.files)
    return Facts(
        class_counts=class_counts(np.array(folder.train.labels, np.int64), len(folder.class_names)),
        image_shape=(*size, 3),
        num_validation=len(folder.validation.files) or None,
    )


def median_size(files: Sequence[Path]) -> tuple[int, int]:
    """The median height and the median width, each at most 64."""
    sizes = [size for size in map_quietly(upright_size, files) if size]
    if not sizes:
        raise UserError(f"None of the {len(files)} images can be read, {files[0]} for one.")
    height, width = (min(LARGEST_DEFAULT, statistics.median_low(side)) for side in zip(*sizes, strict=True))
    return height, width


def _read_test(folder: FolderListing, size: tuple[int, int], cache: Path | None) -> Images:
    if not folder.test.files:
        raise UserError(f"{folder.root} has no test part, and no class has images to spare for one.")
    images, broken = _read_part(folder, folder.test, size=size, cache=cache)
    for note in _broken_note(broken):
        warnings.warn(f"Test part of {folder.root}: {note}", stacklevel=2)
    return images


def _read_part(
    folder: FolderListing, listing: Listing, *, size: tuple[int, int], cache: Path | None
) -> tuple[Images, tuple[str, ...]]:
    """The images of one part as a memory map, and the names of the broken ones, which are left out."""
    target = (cache or temporary_folder()) / f"images-{_key(folder.root, listing, size)}.npy"
    decoded = target.with_suffix(".json")  # written last: where it is, the images are complete
    if not (decoded.exists() and target.exists()):
        write_json(decoded, {"broken": _decode_all(listing, size, target)})
    broken = _broken_positions(decoded)
    labels = np.delete(np.array(listing.labels, np.int64), broken)
    names = tuple(listing.files[position].relative_to(folder.root).as_posix() for position in broken)
    return Images(read_array(target)[: len(labels)], labels), names


def _broken_positions(decoded: Path) -> list[int]:
    remedy = "Remove it: the images are decoded anew then."
    stored = read_json(decoded, remedy=remedy).get("broken")
    if not isinstance(stored, list) or not all(isinstance(position, int) for position in stored):
        raise UserError(f"{decoded} is not one of our files. {remedy}")
    return stored


def _key(root: Path, listing: Listing, size: tuple[int, int]) -> str:
    """The same for the same names, sizes and times of files, wherever the folder lies."""
    digest = hashlib.blake2b(f"{DECODING} {size}".encode(), digest_size=16)
    for file, label in zip(listing.files, listing.labels, strict=True):
        status = file.stat()
        line = f"{file.relative_to(root).as_posix()}\0{label}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _decode_all(listing: Listing, size: tuple[int, int], target: Path) -> list[int]:
    """Writes the images that can be read, one after the other; the positions of those that cannot.

    As many images as are broken are left over at the end of the file.
    """
    count = len(listing.files)

    def fill(x: NDArray[np.uint8]) -> list[int]:
        good = map_quietly(partial(_decode_into, x, listing.files), range(count))
        broken = [position for position in range(count) if not good[position]]
        _check_broken(broken, listing.files)
        if broken:
            kept = np.flatnonzero(good)
            copy_rows(x, kept, x[: len(kept)])
        return broken

    return write_array(target, (count, *size, 3), fill)


def _decode_into(x: NDArray[np.uint8], files: Sequence[Path], position: int) -> bool:
    try:
        x[position] = decode(files[position], x.shape[1], x.shape[2])
    except Exception:  # PIL's decoders raise almost anything on damaged bytes
        return False
    return True


def _check_broken(broken: Sequence[int], files: Sequence[Path]) -> None:
    if len(broken) > BROKEN_ALLOWED * len(files):
        names = _some_names([str(files[position]) for position in broken])
        raise UserError(
            f"{len(broken)} of {len(files)} images cannot be read, more than one in a hundred: {names}."
        )


def _broken_note(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"Images that cannot be read are left out ({len(names)}): {_some_names(names)}.",)


def _some_names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
