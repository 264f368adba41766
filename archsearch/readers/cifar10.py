"""The official CIFAR-10 archive, `cifar-10-python.tar.gz`, or its unpacked folder."""

from __future__ import annotations

import contextlib
import itertools
import tarfile
import zlib
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from archsearch.errors import UserError
from archsearch.readers.built_in import BUILT_IN
from archsearch.readers.careful_pickle import bytes_of, unpickle
from archsearch.readers.checks import brief, class_names_of, images_of, num_classes_of
from archsearch.readers.source import Images, Source

_TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST_BATCH = "test_batch"
_META = "batches.meta"
_LARGEST_BATCH = 64 * 2**20  # bytes; an official one has 31 million
_MOST_MEMBERS = (
    100  # looked at, so that a huge archive of something else is soon refused; the official one has 9
)


def is_cifar10_folder(path: Path) -> bool:
    return (path / _TRAIN_BATCHES[0]).is_file()


def read_cifar10(path: Path) -> Source:
    """Both in the order of the batches, which is that of Keras's `cifar10` too."""
    train = _read_part(path, _TRAIN_BATCHES)
    names = _class_names(path)
    num_classes_of(train.y, names, f"The training part of {path}")
    return Source(
        train=train,
        validation=None,
        class_names=names,
        read_test=partial(_read_part, path, (_TEST_BATCH,)),
        has_test=_has_file(path, _TEST_BATCH),
        flip_default=BUILT_IN["cifar10"].flip,
    )


def _read_part(path: Path, batches: tuple[str, ...]) -> Images:
    files = _files(path, batches)
    missing = [name for name in batches if name not in files]
    if missing:
        raise UserError(f"{path} is not the official CIFAR-10 archive: it has no file {', '.join(missing)}.")
    parts = [_batch_images(files[name], f"{name} in {path}") for name in batches]
    return Images(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def _batch_images(content: bytes, where: str) -> Images:
    batch = unpickle(content, where)
    try:
        y = np.array(batch["labels"])
        x = bytes_of(batch["data"]).reshape(len(y), 3, 32, 32).transpose(0, 2, 3, 1)  # (n, 32, 32, 3)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} is not a batch of (n, 3072) bytes and n labels: {brief(error)}.") from error
    return images_of(np.ascontiguousarray(x), y, scale=1, where=where)


def _class_names(path: Path) -> tuple[str, ...]:
    files = _files(path, (_META,))
    if not files:
        return BUILT_IN["cifar10"].class_names
    where = f"{_META} in {path}"
    names = unpickle(files[_META], where).get("label_names")
    if not isinstance(names, list):
        raise UserError(f"{where} has no list of label_names.")
    texts = (name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)
    return class_names_of(texts, where)


def _files(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Those of the wanted files that are there, in memory."""
    if not path.is_dir():
        return _members(path, wanted)
    files = [path / name for name in wanted if (path / name).is_file()]
    for file in files:
        _check_size(file.stat().st_size, file)
    return {file.name: file.read_bytes() for file in files}


def _has_file(path: Path, name: str) -> bool:
    if path.is_dir():
        return (path / name).is_file()
    with _opened(path) as archive:
        return any(member_name == name for member_name, _ in _regular_files(archive))


def _members(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """By base name. Nothing is extracted: a member's path can do no harm, and a link is not followed."""
    found = {}
    with _opened(path) as archive:
        for name, member in _regular_files(archive):
            content = archive.extractfile(member) if name in wanted else None
            if content:
                _check_size(member.size, path / name)
                found[name] = content.read()
    return found


def _regular_files(archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """By base name, in the order of the archive, as far as it is looked at."""
    for member in itertools.islice(archive, _MOST_MEMBERS):
        if member.isreg():
            yield PurePosixPath(member.name).name, member


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive; whatever is wrong with it inside the block becomes a sentence."""
    try:
        with tarfile.open(path, "r:" if path.suffix.lower() == ".tar" else "r:gz") as archive:
            yield archive
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} cannot be read as a tar archive: {brief(error)}.") from error


def _check_size(size: int, path: Path) -> None:
    if size > _LARGEST_BATCH:
        raise UserError(f"{path} is refused: it has {size} bytes, a CIFAR-10 batch at most {_LARGEST_BATCH}.")
