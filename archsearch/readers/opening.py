"""Which reader is for what a person gives: a name, a file, a folder or arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.readers.arrays import array_facts, read_arrays
from archsearch.readers.built_in import BUILT_IN, built_in_facts, read_built_in
from archsearch.readers.cifar10 import is_cifar10_folder, read_cifar10
from archsearch.readers.npz import npz_facts, read_npz
from archsearch.readers.source import Facts, Images, Source
from space.architecture import MIN_IMAGE_SIDE


def name_of(data: object) -> str:
    """A built-in name or the path given; "arrays" for arrays."""
    return str(data) if isinstance(data, (str, Path)) else "arrays"


def open_source(
    data: object,
    *,
    image_size: tuple[int, int] | None,
    cache: Path | None,
    on_images: Callable[[int, int], None] | None = None,
) -> Source:
    """What the reader found, at the size asked for. The test part is resized and checked when it is read.

    Its labels are checked by `prepare_test` too.
    """
    source = _resized(_read(data, image_size, cache, on_images), image_size)
    name, num_classes = name_of(data), len(source.class_names)
    _check_facts(source.facts, name)
    if source.validation is not None:
        _check_labels(source.validation.y, num_classes, f"{name}, validation part")
    prepare_test = source.prepare_test
    if source.read_test_labels is not None:
        prepare_test = partial(_check_test_labels, source.read_test_labels, num_classes, name)
    read_test = partial(_checked_test, source.read_test, num_classes, name)
    return replace(source, read_test=read_test, prepare_test=prepare_test)


def facts(data: object, image_size: tuple[int, int] | None = None) -> Facts:
    """What `dataset.load` would find, from names, headers and labels, without pixels where that can be."""
    found = _read_facts(data, image_size)
    if image_size is not None:
        found = replace(found, image_shape=(*image_size, found.image_shape[2]))
    _check_facts(found, name_of(data))
    return found


def is_built_in(data: object) -> bool:
    """Whether it names images that are the same everywhere.

    Raises:
        UserError: There are no such images.
    """
    return _kind(data) == "built-in"


def _kind(data: object) -> Literal["arrays", "built-in", "cifar10", "folder", "npz"]:
    if not isinstance(data, (str, Path)):
        return "arrays"
    path = Path(data)
    # A `Path` means a folder that happens to have such a name, where there is one.
    if str(data) in BUILT_IN and not (isinstance(data, Path) and path.exists()):
        return "built-in"
    if path.is_dir():
        return "cifar10" if is_cifar10_folder(path) else "folder"
    if path.is_file() and path.suffix.lower() == ".npz":
        return "npz"
    if path.is_file() and path.name.lower().endswith((".tar.gz", ".tgz", ".tar")):
        return "cifar10"
    problem = "is not a data set" if path.exists() else "is no built-in name and does not exist"
    raise UserError(
        f"{path} {problem}: give one of {', '.join(BUILT_IN)}, an .npz file with x_train, y_train, "
        "x_test and y_test, the archive cifar-10-python.tar.gz or its unpacked folder, or a folder with "
        "one sub-folder of images per class."
    )


def _read(
    data: object,
    image_size: tuple[int, int] | None,
    cache: Path | None,
    on_images: Callable[[int, int], None] | None,
) -> Source:
    path = Path(name_of(data))
    match _kind(data):
        case "arrays":
            return read_arrays(data)
        case "built-in":
            return read_built_in(path.name)
        case "npz":
            return read_npz(path)
        case "cifar10":
            return read_cifar10(path)
        case "folder":
            from archsearch.readers.image_folder import read_folder  # which imports PIL

            return read_folder(path, image_size=image_size, cache=cache, on_images=on_images)


def _read_facts(data: object, image_size: tuple[int, int] | None) -> Facts:
    path = Path(name_of(data))
    match _kind(data):
        case "arrays":
            return array_facts(data)
        case "built-in":
            return built_in_facts(path.name)
        case "npz":
            return npz_facts(path)
        case "cifar10":
            return read_cifar10(path).facts
        case "folder":
            from archsearch.readers.image_folder import folder_facts  # which imports PIL

            return folder_facts(path, image_size)


def _resized(source: Source, image_size: tuple[int, int] | None) -> Source:
    if image_size is None or source.train.image_shape[:2] == image_size:
        return source
    return replace(
        source,
        train=_resized_images(source.train, image_size),
        validation=None if source.validation is None else _resized_images(source.validation, image_size),
        read_test=partial(_resized_test, source.read_test, image_size),
    )


def _resized_images(images: Images, size: tuple[int, int]) -> Images:
    from archsearch.readers.pictures import resize  # which imports PIL

    return Images(resize(images.x, *size), images.y)


def _resized_test(read_test: Callable[[], Images], size: tuple[int, int]) -> Images:
    return _resized_images(read_test(), size)


def _checked_test(read_test: Callable[[], Images], num_classes: int, name: str) -> Images:
    images = read_test()
    _check_labels(images.y, num_classes, f"{name}, test part")
    return images


def _check_test_labels(read_labels: Callable[[], NDArray[np.int64]], num_classes: int, name: str) -> None:
    _check_labels(read_labels(), num_classes, f"{name}, test part")


def _check_facts(found: Facts, name: str) -> None:
    height, width, _ = found.image_shape
    if min(height, width) < MIN_IMAGE_SIDE:
        raise UserError(
            f"{name}: images must have at least {MIN_IMAGE_SIDE} pixels a side, got {height}x{width}."
        )
    if found.num_classes < 2:
        raise UserError(f"{name} has one class, at least two are needed.")
    if found.num_validation is None and max(found.class_counts) < 2:
        raise UserError(f"{name} has one training image of each class, so none can be kept for validation.")


def _check_labels(y: NDArray[np.int64], num_classes: int, where: str) -> None:
    lowest, highest = y.min(), y.max()
    if lowest < 0 or highest >= num_classes:
        raise UserError(
            f"{where}: classes are {lowest} to {highest}, but for training 0 to {num_classes - 1}."
        )
