"""A folder with one sub-folder of images per class: listed, decoded once, then read from a memory map."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import math
import os
import shutil
import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image, ImageOps

from archsearch.errors import UserError
from archsearch.run_folder import read_json, write_json
from archsearch.sources import Images, Shape, Source, chunks, fit_picture, num_classes_of, stratified_part

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
LARGEST_DEFAULT = 64
"""Pixels a side, where no image size is asked for."""
BROKEN_ALLOWED = 0.01
"""The share of unreadable images that is left out with a note instead of refused."""
DECODING = 1
"""Part of the name of a decoded file; to be raised when the same images come out differently."""
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 lie on their side
_T = TypeVar("_T")


@dataclass(frozen=True)
class Listing:
    """The files of one part and the class number of each."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Listing:
        return Listing(tuple(self.files[i] for i in indices), tuple(self.labels[i] for i in indices))


@dataclass(frozen=True)
class ImageFolder:
    """What lies where; nothing is decoded yet."""

    root: Path
    class_names: tuple[str, ...]
    train: Listing
    validation: Listing
    test: Listing
    notes: tuple[str, ...]


# Listing


def _visible_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images_below(folder: Path) -> list[Path]:
    """Sorted by their path inside the folder, so that the order is the same on every system."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return [
        path
        for name, path in sorted(found.items())
        if path.suffix.lower() in SUFFIXES and path.is_file() and "/." not in f"/{name}"
    ]


def _by_class(folder: Path) -> dict[str, list[Path]]:
    return {entry.name: _images_below(entry) for entry in _visible_folders(folder)}


def _listing(by_class: dict[str, list[Path]], class_names: tuple[str, ...], where: Path) -> Listing:
    unknown = sorted(name for name, files in by_class.items() if files and name not in class_names)
    if unknown:
        raise UserError(
            f"{where} has the classes {', '.join(unknown)}, which the training part does not have."
        )
    pairs = [(file, number) for number, name in enumerate(class_names) for file in by_class.get(name, [])]
    return Listing(tuple(file for file, _ in pairs), tuple(number for _, number in pairs))


def _parts(root: Path) -> tuple[Path, Path | None, Path | None]:
    """The folders of training, validation and test part; only those count that have sub-folders.

    So that a class may be called "test".
    """
    names = {entry.name for entry in _visible_folders(root) if _visible_folders(entry)}
    validation = next((root / name for name in ("val", "validation", "valid") if name in names), None)
    test = root / "test" if "test" in names else None
    if "train" in names:
        return root / "train", validation, test
    if validation or test:
        other = (validation or root / "test").name
        raise UserError(f"{root} has a folder {other} with sub-folders, but no folder train with some.")
    return root, None, None


def list_folder(root: Path) -> ImageFolder:
    train_folder, validation_folder, test_folder = _parts(root)
    by_class = _by_class(train_folder)
    class_names = tuple(name for name, files in by_class.items() if files)
    if not class_names:
        raise UserError(
            f"{train_folder} has no sub-folders with images in them; one sub-folder per class is needed, "
            f"with files that end in {', '.join(sorted(SUFFIXES))}."
        )
    empty = [name for name, files in by_class.items() if not files]
    notes = [f"Folders without images are left out: {', '.join(empty)}."] if empty else []
    train = _listing(by_class, class_names, train_folder)
    validation, test = (
        _listing(_by_class(folder), class_names, folder) if folder else Listing((), ())
        for folder in (validation_folder, test_folder)
    )
    if not test.files:
        train, test = _without_a_tenth(train)
        notes.append(
            f"There is no test part: {len(test.files)} images, a tenth of each class, are kept for the test, "
            "the same whatever the seed."
        )
    return ImageFolder(root, class_names, train, validation, test, tuple(notes))


def _without_a_tenth(listing: Listing) -> tuple[Listing, Listing]:
    chosen = stratified_part(np.array(listing.labels, np.int64), fraction=0.1, seed=0)
    rest = np.setdiff1d(np.arange(len(listing.files)), chosen)
    return listing.take(rest), listing.take(chosen)


# Sizes


def _map_quietly(function: Callable[[int], _T], count: int) -> list[_T]:
    """The function of 0, 1, 2, ... in threads: PIL decodes without holding Python's lock.

    Its warnings about odd files are dropped, except that of a picture too large to be meant, which becomes an
    error.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return list(pool.map(function, range(count)))


def _upright_size(file: Path) -> tuple[int, int] | None:
    """Height and width from the header, as the picture is meant to be seen; None if it is broken."""
    try:
        with Image.open(file) as picture:
            lies = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return picture.size if lies else (picture.height, picture.width)
    except Exception:  # PIL's readers raise almost anything on damaged bytes
        return None


def median_size(files: Sequence[Path]) -> tuple[int, int]:
    """The median height and the median width, each at most 64."""
    sizes = [size for size in _map_quietly(lambda i: _upright_size(files[i]), len(files)) if size]
    if not sizes:
        raise UserError(f"None of the {len(files)} images can be read, {files[0]} for one.")
    height, width = (min(LARGEST_DEFAULT, statistics.median_low(side)) for side in zip(*sizes, strict=True))
    return height, width


# Decoding


def decode(file: Path, height: int, width: int) -> NDArray[np.uint8]:
    """One picture as (height, width, 3): turned as its EXIF data say, in RGB, padded with black.

    Transparency is laid on white, as a viewer shows it: a drawing in black ink would vanish on black.
    """
    with Image.open(file) as opened:
        # Lets a large JPEG be decoded at an eighth, a quarter or half its size, never below twice ours.
        opened.draft(None, (2 * max(height, width), 2 * max(height, width)))
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith(("I", "F")):
        picture = _to_eight_bits(picture)
    if picture.has_transparency_data:
        transparent = picture.convert("RGBA")
        white = Image.new("RGBA", transparent.size, "white")
        picture = Image.alpha_composite(white, transparent)
    return np.asarray(fit_picture(picture.convert("RGB"), height, width))


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels are neither of 8 nor of 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _decode_into(x: NDArray[np.uint8], files: Sequence[Path], position: int) -> bool:
    try:
        x[position] = decode(files[position], x.shape[1], x.shape[2])
    except Exception:  # PIL's decoders raise almost anything on damaged bytes
        return False
    return True


def _decode_all(listing: Listing, size: tuple[int, int], target: Path) -> list[int]:
    """Writes the images that can be read; the positions of the others."""
    count = len(listing.files)
    everything = target.with_suffix(f".{os.getpid()}.npy")
    try:
        good = _write_array(
            everything,
            (count, *size, 3),
            lambda x: _map_quietly(partial(_decode_into, x, listing.files), count),
        )
        broken = [position for position in range(count) if not good[position]]
        if len(broken) > BROKEN_ALLOWED * count:
            names = _some_names([str(listing.files[position]) for position in broken])
            raise UserError(
                f"{len(broken)} of {count} images cannot be read, more than one in a hundred: {names}."
            )
        if broken:
            save_rows(np.load(everything, mmap_mode="r"), np.flatnonzero(good), target)
        else:
            everything.replace(target)
    finally:
        everything.unlink(missing_ok=True)
    return broken


def _some_names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# Files


@functools.cache
def temporary_folder() -> Path:
    """Where decoded images go when nobody gave a place; removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="archsearch-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _write_array(target: Path, shape: tuple[int, ...], fill: Callable[[NDArray[np.uint8]], _T]) -> _T:
    """A .npy file that is there whole or not at all; what `fill` returned."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # A memory map that runs into a full disk kills the process without a word.
    if shutil.disk_usage(target.parent).free < math.prod(shape):
        raise UserError(
            f"{target.parent} has no room for {math.prod(shape) / 2**20:.0f} MB of decoded images."
        )
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        x = npy.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        result = fill(x)
        x.flush()
        del x  # Windows replaces no file that is mapped
        temporary.replace(target)
    finally:
        with contextlib.suppress(PermissionError):  # on Windows, where the exception still holds the map
            temporary.unlink(missing_ok=True)
    return result


def save_rows(x: NDArray[np.uint8], indices: NDArray[np.intp], target: Path) -> None:
    """Some of the images of a memory map in a file of their own, never all in memory."""

    def fill(rows: NDArray[np.uint8]) -> None:
        for chunk in chunks(rows):
            rows[chunk] = x[indices[chunk]]

    _write_array(target, (len(indices), *x.shape[1:]), fill)


def _key(root: Path, listing: Listing, size: tuple[int, int]) -> str:
    """The same for the same names, sizes and times of files, wherever the folder lies."""
    digest = hashlib.blake2b(f"{DECODING} {size}".encode(), digest_size=16)
    for file, label in zip(listing.files, listing.labels, strict=True):
        status = file.stat()
        line = f"{file.relative_to(root).as_posix()}\0{label}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


# Reading


def _read_part(
    folder: ImageFolder, listing: Listing, *, size: tuple[int, int], cache: Path | None
) -> tuple[Images, tuple[str, ...]]:
    """The images of one part as a memory map, and the names of the broken ones, which are left out."""
    target = (cache or temporary_folder()) / f"images-{_key(folder.root, listing, size)}.npy"
    decoded = target.with_suffix(".json")  # written last: where it is, the images are complete
    if not (decoded.exists() and target.exists()):
        write_json(decoded, {"broken": _decode_all(listing, size, target)})
    broken = read_json(decoded)["broken"]
    labels = np.delete(np.array(listing.labels, np.int64), broken)
    names = tuple(listing.files[position].relative_to(folder.root).as_posix() for position in broken)
    return Images(np.load(target, mmap_mode="r"), labels), names


def _broken_note(names: Sequence[str]) -> tuple[str, ...]:
    return (
        (f"Images that cannot be read are left out ({len(names)}): {_some_names(names)}.",) if names else ()
    )


def _read_test(folder: ImageFolder, size: tuple[int, int], cache: Path | None) -> Images:
    if not folder.test.files:
        raise UserError(f"{folder.root} has no test part, and no class has images to spare for one.")
    images, broken = _read_part(folder, folder.test, size=size, cache=cache)
    for note in _broken_note(broken):
        warnings.warn(f"Test part of {folder.root}: {note}", stacklevel=2)
    return images


def read_folder(root: Path, *, image_size: tuple[int, int] | None, cache: Path | None) -> Source:
    folder = list_folder(root)
    size = image_size or median_size(folder.train.files)
    train, broken = _read_part(folder, folder.train, size=size, cache=cache)
    num_classes_of(train.y, folder.class_names, f"The training part of {root}")
    validation = None
    if folder.validation.files:
        validation, more_broken = _read_part(folder, folder.validation, size=size, cache=cache)
        broken += more_broken
    notes = (*folder.notes, *_broken_note(broken))
    return Source(
        train, validation, folder.class_names, partial(_read_test, folder, size, cache), None, notes
    )


def folder_facts(root: Path, image_size: tuple[int, int] | None) -> tuple[int, Shape, int]:
    """Training images, image shape and classes, from names and headers; broken images are counted in."""
    folder = list_folder(root)
    size = image_size or median_size(folder.train.files)
    return len(folder.train.files), (*size, 3), len(folder.class_names)
