"""An `.npz` file with x_train and y_train, and perhaps x_val, y_val, x_test, y_test and class_names."""

from __future__ import annotations

import contextlib
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from archsearch.errors import UserError, reading
from archsearch.readers.checks import (
    brief,
    check_labels,
    check_pixels,
    check_same_shape,
    class_names_of,
    conversion_note,
    image_shape_of,
    images_of,
    labels_of,
    num_classes_of,
    numbered,
    pixel_scale,
)
from archsearch.readers.source import Facts, Images, Shape, Source, class_counts, no_test_part

_PAIRS = tuple((f"x_{part}", f"y_{part}") for part in ("train", "val", "test"))
_NAMES = "class_names"

_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    LookupError,
    RuntimeError,
    MemoryError,  # a header that claims too much
    tokenize.TokenError,  # a header whose brackets do not close
    zipfile.BadZipFile,
    zlib.error,
)
"""What zipfile, zlib and NumPy raise on damaged bytes."""


class _Header(NamedTuple):
    """What an array is, without its values."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_npz(path: Path) -> Source:
    where = f"The training part of {path}"
    with _open(path) as archive:
        headers = _headers(archive, path)
        _image_shape(headers, path)
        x = archive["x_train"]
        scale = pixel_scale(x)
        train = images_of(x, archive["y_train"], scale=scale, where=where)
        names = _class_names(archive, path)
    num_classes = num_classes_of(train.y, names, where)
    validation = _read_part(path, "val", scale) if "x_val" in headers else None
    read_test, read_test_labels = partial(no_test_part, str(path)), None
    has_test = "x_test" in headers
    if has_test:
        read_test = partial(_read_part, path, "test", scale)
        read_test_labels = partial(_read_labels, path, "test", headers["x_test"].shape[0])
    return Source(
        train=train,
        validation=validation,
        class_names=names or numbered(num_classes),
        read_test=read_test,
        has_test=has_test,
        flip_default=None,
        notes=conversion_note(x, scale),
        num_test=headers["x_test"].shape[0] if has_test else None,
        read_test_labels=read_test_labels,
    )


def npz_facts(path: Path) -> Facts:
    """Of the arrays only y_train and the class names are read."""
    where = f"The training part of {path}"
    with _open(path) as archive:
        headers = _headers(archive, path)
        image_shape = _image_shape(headers, path)
        labels = labels_of(archive["y_train"], num_images=headers["x_train"].shape[0], where=where)
        num_classes = num_classes_of(labels, _class_names(archive, path), where)
    num_validation = headers["x_val"].shape[0] if "x_val" in headers else None
    return Facts(class_counts(labels, num_classes), image_shape, num_validation)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The file as an `NpzFile`; whatever is wrong with it inside the block becomes a sentence."""
    with reading(path), path.open("rb") as file:
        is_whole = zipfile.is_zipfile(file)
    if not is_whole:
        raise UserError(f"{path} is no .npz file: it is not a complete zip archive.")
    try:
        # NumPy forgets to close a file that it opened itself and found damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except _DAMAGED as error:
        raise UserError(f"{path} cannot be read: {brief(error)}.") from error


def _image_shape(headers: dict[str, _Header], path: Path) -> Shape:
    """That of the training part; the other parts are refused if their headers tell that they do not fit."""
    image_shape = image_shape_of(headers["x_train"].shape, f"The training part of {path}")
    for part in ("val", "test"):
        if f"x_{part}" in headers:
            where, x, y = f"The {part} part of {path}", headers[f"x_{part}"], headers[f"y_{part}"]
            check_same_shape(x.shape, image_shape, where)
            check_labels(*y, num_images=x.shape[0], where=where)
            check_pixels(x.dtype, where)
    return image_shape


def _headers(archive: Any, path: Path) -> dict[str, _Header]:
    """Those of the arrays that count, by name; no array is read."""
    keys = archive.files
    # A part is there if one of its two arrays is; the training part must be.
    expected = [key for x, y in _PAIRS if x == "x_train" or {x, y} & {*keys} for key in (x, y)]
    missing = [key for key in expected if key not in keys]
    if missing:
        raise UserError(
            f"{path} has no {' and no '.join(missing)}: x_train, y_train, x_test and y_test are needed, "
            f"found {', '.join(sorted(keys)) or 'nothing'}."
        )
    return {key: _header(archive, key, path) for key in (*expected, _NAMES) if key in keys}


def _header(archive: Any, key: str, path: Path) -> _Header:
    with archive.zip.open(f"{key}.npy") as member:
        version = npy.read_magic(member)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(member)
    if dtype.hasobject:
        raise UserError(f"{path} is refused: {key} holds Python objects, and loading those can run any code.")
    return _Header(tuple(shape), dtype)


def _class_names(archive: Any, path: Path) -> tuple[str, ...]:
    if _NAMES not in archive.files:
        return ()
    return class_names_of(map(str, archive[_NAMES].astype(str).ravel()), str(path))


def _read_part(path: Path, part: str, scale: float) -> Images:
    with _open(path) as archive:
        x, y = archive[f"x_{part}"], archive[f"y_{part}"]
        return images_of(x, y, scale=scale, where=f"The {part} part of {path}")


def _read_labels(path: Path, part: str, num_images: int) -> NDArray[np.int64]:
    with _open(path) as archive:
        return labels_of(archive[f"y_{part}"], num_images=num_images, where=f"The {part} part of {path}")
