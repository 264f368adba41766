"""A folder with one sub-folder of images per class: decoded once, then read from a memory map.

Each file is read once, for its content and its pixels together. In the cache, `images-KEY.npy` holds the
pixels, KEY made from the contents; `folder-KEY.json`, KEY made from names and stamps of the files, says which
of them holds this folder. It is written last: where it is, the images are complete.
"""

from __future__ import annotations

import hashlib
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError, reading
from archsearch.readers.folder_listing import (
    MAX_NAMED,
    FolderListing,
    Listing,
    list_folder,
    printable_name,
    some_names,
)
from archsearch.readers.memory_map import copy_rows, read_array, temporary_folder, write_array
from archsearch.readers.pictures import OnImages, decode, map_quietly, upright_size, why_broken
from archsearch.readers.source import Facts, Images, Source, class_counts, release
from archsearch.run_folder import read_json, write_atomically, write_json
from archsearch.typed import from_plain

LARGEST_DEFAULT = 64
"""Pixels a side, where no image size is asked for."""
BROKEN_ALLOWED = 0.01
"""The share of a part's images that may be unreadable, and one always: they are left out with a note."""
DECODING = 2
"""Part of the names in the cache; to be raised when the same images come out differently."""

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Decoded:
    """What became of the files of one part."""

    images: str
    """Name of the array, in the cache."""
    height: int
    width: int
    broken: dict[str, str]
    """By its position, why a file could not be decoded."""


def read_folder(
    root: Path, *, image_size: Size | None, cache: Path | None, on_images: OnImages | None = None
) -> Source:
    folder = list_folder(root)
    place = cache or temporary_folder()
    train, size, broken = _read_part(folder, folder.train, image_size, place, on_images)
    _check_every_class(train.y, folder, broken, place)
    validation = None
    if folder.validation.files:
        validation, _, more_broken = _read_part(folder, folder.validation, size, place, on_images)
        broken += more_broken
    return Source(
        train=train,
        validation=validation,
        class_names=folder.class_names,
        read_test=partial(_read_test, folder, size, place, on_images),
        has_test=bool(folder.test.files),
        prepare_test=partial(_prepare_test, folder, size, place, on_images),
        flip_default=None,
        notes=(*folder.notes, *_broken_note(broken, place)),
        num_test=len(folder.test.files),
    )


def folder_facts(root: Path, image_size: Size | None) -> Facts:
    """From names and headers; broken images are counted in."""
    folder = list_folder(root)
    size = image_size or median_size(folder.train.files)
    return Facts(
        class_counts=class_counts(np.array(folder.train.labels, np.int64), len(folder.class_names)),
        image_shape=(*size, 3),
        num_validation=len(folder.validation.files) or None,
    )


def median_size(files: Sequence[Path]) -> Size:
    """The median height and the median width, each at most 64; only the headers are read."""
    sizes = [size for size in map_quietly(upright_size, files) if size]
    if not sizes:
        raise UserError(f"None of the {len(files)} images can be read, {files[0]} for one.")
    height, width = (min(LARGEST_DEFAULT, statistics.median_low(side)) for side in zip(*sizes, strict=True))
    return height, width


def _read_test(folder: FolderListing, size: Size, cache: Path, on_images: OnImages | None) -> Images:
    if not folder.test.files:
        raise UserError(f"{folder.root} has no test part, and no class has images to spare for one.")
    images, _, broken = _read_part(folder, folder.test, size, cache, on_images)
    for note in _broken_note(broken, cache):
        warnings.warn(f"Test part of {folder.root}: {note}", stacklevel=2)
    return images


def _prepare_test(folder: FolderListing, size: Size, cache: Path, on_images: OnImages | None) -> None:
    """So that files that cannot be decoded are found; of the pixels nothing is looked at."""
    if folder.test.files:
        _read_part(folder, folder.test, size, cache, on_images)


def _read_part(
    folder: FolderListing, listing: Listing, size: Size | None, cache: Path, on_images: OnImages | None
) -> tuple[Images, Size, tuple[str, ...]]:
    """The images of one part as a memory map, their size, and the broken ones, which are left out."""
    names = tuple(printable_name(file.relative_to(folder.root).as_posix()) for file in listing.files)
    note = cache / f"folder-{_key_of_files(folder.root, listing, size)}.json"
    decoded = _found(note, cache, len(names))
    if decoded is None:
        decoded = _decode_all(listing, size or median_size(listing.files), cache, names, on_images)
        write_json(note, asdict(decoded))
    positions = sorted(int(position) for position in decoded.broken)
    labels = np.delete(np.array(listing.labels, np.int64), positions)
    left_out = {*positions}
    x = read_array(cache / decoded.images)
    images = Images(
        x if len(x) == len(labels) else x[: len(labels)],  # a whole map is shared as the file it is
        labels,
        tuple(name for position, name in enumerate(names) if position not in left_out),
    )
    broken = tuple(f"{names[position]} ({decoded.broken[str(position)]})" for position in positions)
    return images, (decoded.height, decoded.width), broken


def _found(note: Path, cache: Path, count: int) -> Decoded | None:
    """What an earlier load made of the same files; `None` if it is not there as a whole."""
    if not note.exists():
        return None
    remedy = "Remove it: the images are decoded anew then."
    stored = read_json(note, remedy=remedy)
    try:
        decoded = from_plain(Decoded, stored)
        positions = {int(position) for position in decoded.broken}
        if not positions <= {*range(count)} or Path(decoded.images).name != decoded.images:
            raise TypeError("of other files")
    except (TypeError, ValueError) as error:
        raise UserError(f"{note} is not one of our files ({error}). {remedy}") from error
    array = cache / decoded.images
    if not array.exists() or read_array(array).shape != (count, decoded.height, decoded.width, 3):
        return None
    return decoded


def _key_of_files(root: Path, listing: Listing, size: Size | None) -> str:
    """The same for the same names and stamps of files, wherever the folder lies."""
    digest = hashlib.blake2b(f"{DECODING} {size}".encode(), digest_size=16)
    for file, label, stamp in zip(listing.files, listing.labels, listing.stamps, strict=True):
        name = file.relative_to(root).as_posix()
        digest.update(f"{name}\0{label}\0{tuple(stamp)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _decode_all(
    listing: Listing, size: Size, cache: Path, names: Sequence[str], on_images: OnImages | None
) -> Decoded:
    """Writes the images that can be read, one after the other.

    As many images as are broken are left over at the end of the file.
    """
    count = len(names)

    def array_of(filled: tuple[str, dict[str, str]]) -> Path:
        return cache / f"images-{filled[0]}.npy"

    def fill(x: NDArray[np.uint8]) -> tuple[str, dict[str, str]]:
        def told(done: int, total: int) -> None:
            release(x)
            if on_images is not None:
                on_images(done, total)

        each = map_quietly(partial(_decode_into, x, listing.files), range(count), told)
        broken = {position: why for position, (_, why) in enumerate(each) if why is not None}
        _check_broken([f"{names[position]} ({why})" for position, why in broken.items()], count, cache)
        if broken:
            kept = np.array([position for position in range(count) if position not in broken], np.intp)
            copy_rows(x, kept, x[: len(kept)])
        key = hashlib.blake2b(f"{DECODING} {size}".encode(), digest_size=16)
        for content, _ in each:
            key.update(content)
        return key.hexdigest(), {str(position): why for position, why in broken.items()}

    filled = write_array(cache / "images.npy", (count, *size, 3), fill, array_of)
    return Decoded(array_of(filled).name, *size, filled[1])


def _decode_into(x: NDArray[np.uint8], files: Sequence[Path], position: int) -> tuple[bytes, str | None]:
    """Digest of the file's content; why it is broken, if it is.

    Raises:
        UserError: The system cannot read the file now.
        MemoryError: Of a picture nothing is known then.
    """
    try:
        with reading(files[position]):
            content = files[position].read_bytes()
    except UserError as error:
        # Anything else may be a matter of the moment, like a drive that is not there, and is not to be kept.
        if isinstance(error.__cause__, FileNotFoundError | PermissionError):
            return _digest(b""), why_broken(error.__cause__)
        raise
    try:
        x[position] = decode(content, x.shape[1], x.shape[2])
    except MemoryError:
        raise
    except Exception as error:  # PIL's decoders raise almost anything on damaged bytes
        return _digest(content), why_broken(error)
    return _digest(content), None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _check_broken(broken: Sequence[str], count: int, cache: Path) -> None:
    if len(broken) > max(1, BROKEN_ALLOWED * count) or len(broken) == count:
        raise UserError(
            f"{len(broken)} of {count} images cannot be read, more than one in a hundred: "
            f"{_named(broken, cache)}."
        )


def _check_every_class(
    labels: NDArray[np.int64], folder: FolderListing, broken: Sequence[str], cache: Path
) -> None:
    """Refuses a training part in which broken images are all that a class has."""
    counts = class_counts(labels, len(folder.class_names))
    lost = [name for name, count in zip(folder.class_names, counts, strict=True) if not count]
    if lost:
        raise UserError(
            f"No training image of the class {some_names(lost)} in {folder.root} can be read: "
            f"{_named(broken, cache)}. Repair them, or remove the folder of the class."
        )


def _broken_note(broken: Sequence[str], cache: Path) -> tuple[str, ...]:
    if not broken:
        return ()
    return (f"Images that cannot be read are left out ({len(broken)}): {_named(broken, cache)}.",)


def _named(broken: Sequence[str], cache: Path) -> str:
    """The first few, for a sentence; if there are more, they all are in a file that it names."""
    if len(broken) <= MAX_NAMED:
        return some_names(broken)
    content = "".join(f"{each}\n" for each in broken).encode()
    path = cache / f"broken-{_digest(content).hex()}.txt"
    write_atomically(path, content)
    return f"{some_names(broken)}; all of them are in {path}"
