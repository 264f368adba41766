"""Which files of a folder are images of which class and part; nothing is opened."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.readers.checks import printable
from archsearch.readers.stratified import named_part

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}

VALIDATION = ("val", "validation", "valid")
"""Names of the folder of that part, the first that is there."""
PARTS = {"train", "test", *VALIDATION}

MAX_NAMED = 10
"""Of things that are named in one sentence."""


class Stamp(NamedTuple):
    """By which a changed file is noticed without reading it; nobody sets the time of the change by hand."""

    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class Listing:
    """The files of one part, the class number of each, and its stamp."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    stamps: tuple[Stamp, ...]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Listing:
        return Listing(
            *(tuple(each[i] for i in indices) for each in (self.files, self.labels, self.stamps))  # type: ignore[arg-type]
        )


NOTHING = Listing((), (), ())


@dataclass(frozen=True)
class FolderListing:
    root: Path
    class_names: tuple[str, ...]
    train: Listing
    validation: Listing
    test: Listing
    notes: tuple[str, ...]


@dataclass
class _Found:
    """Images by class, and what else lies beside them."""

    by_class: dict[str, list[tuple[Path, Stamp]]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    """Files that are no images, by their endings."""
    loose: int = 0
    """Images that lie beside the folders of the classes."""


def list_folder(root: Path) -> FolderListing:
    """The classes are the sub-folders, of `root` or of its folder `train`, in the order of their names.

    Raises:
        UserError: There are no classes, another part has classes that the training part has not, or a folder
            cannot be read.
    """
    train_folder, validation_folder, test_folder = _parts(root)
    found = _find(train_folder)
    class_names = tuple(name for name, files in found.by_class.items() if files)
    _check_classes(class_names, train_folder)
    train = _listing(found, class_names, train_folder)
    others = [_find(folder) if folder else _Found() for folder in (validation_folder, test_folder)]
    validation, test = (
        _listing(part, class_names, folder) if folder else NOTHING
        for part, folder in zip(others, (validation_folder, test_folder), strict=True)
    )
    notes = list(_left_out([found, *others]))
    if not test.files:
        train, test = _without_a_tenth(train, train_folder)
        notes.append(
            f"There is no test part: {len(test.files)} images, about a tenth of each class, are kept for the "
            "test by their names, the same whatever the seed."
        )
    return FolderListing(root, class_names, train, validation, test, tuple(notes))


def printable_name(name: str) -> str:
    """Of a file or folder, as it can be written anywhere: a byte that is no text becomes an escape too."""
    return printable(os.fsencode(name).decode("utf-8", "backslashreplace"))


def some_names(names: Sequence[str], most: int = MAX_NAMED) -> str:
    """The first few, for a sentence."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _parts(root: Path) -> tuple[Path, Path | None, Path | None]:
    """The folders of training, validation and test part; only those count that have sub-folders.

    So that a class may be called "test".

    Raises:
        UserError: There is no training part, or images lie in folders beside the parts.
    """
    visible = _visible_folders(root)
    folders = {entry.name: entry for entry in visible if _visible_folders(entry)}
    lower = {name.lower(): folder for name, folder in folders.items()} | folders
    train, test = lower.get("train"), lower.get("test")
    validation = _validation(lower)
    if train is not None:
        # Of one without sub-folders no image is used, which is said.
        flat = {each.name.lower(): each for each in visible if each.name not in folders}
        validation, test = validation or _validation(flat), test or flat.get("test")
        _check_beside(root, {each for each in visible if each not in (train, validation, test)}, train)
        return train, validation, test
    other = validation or test
    if other:
        raise UserError(f"{root} has a folder {other.name} with sub-folders, but no folder train with some.")
    return root, None, None


def _validation(folders: Mapping[str, Path]) -> Path | None:
    return next((folders[name] for name in VALIDATION if name in folders), None)


def _check_beside(root: Path, others: Set[Path], train: Path) -> None:
    """Refuses images in folders that look like classes or parts under other names."""
    names = sorted(
        printable_name(folder.name)
        for folder in others
        if any(file.suffix.lower() in SUFFIXES for _, file in files_below(folder))
    )
    if names:
        raise UserError(
            f"{root} has a training part, {train.name}, and beside it folders with images that would not be "
            f"used: {some_names(names)}. If they are parts, rename them to val and test; if all are classes, "
            f"rename {train.name}, whose sub-folders are taken for classes; else move them elsewhere."
        )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Of the folder, those not hidden, by name.

    Raises:
        UserError: It cannot be read: silently left out, its images would change what is searched.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
            )
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror or error}.") from error


def _visible_folders(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Links are followed; one that leads round in a circle is no folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _find(folder: Path) -> _Found:
    found = _Found()
    for entry in _entries(folder):
        path = folder / entry.name
        if not _is_folder(entry):
            found.loose += path.suffix.lower() in SUFFIXES
            continue
        files = []
        for name, each in sorted(files_below(path)):
            stamp = _stamp(each)
            if stamp is None:  # a pipe, a device, or a link to nowhere
                continue
            if each.suffix.lower() in SUFFIXES:
                files.append((name, each, stamp))
            else:
                found.others[each.suffix.lower()] += 1
        # A Mac writes umlauts as two characters, other systems as one.
        class_name = printable_name(unicodedata.normalize("NFC", entry.name))
        found.by_class.setdefault(class_name, []).extend((each, stamp) for _, each, stamp in files)
    found.by_class = dict(sorted(found.by_class.items()))
    return found


def files_below(
    top: Path, unreadable: Callable[[Path, UserError], None] | None = None
) -> Iterator[tuple[str, Path]]:
    """With the path inside `top`, by which they are sorted: the order is the same on every system.

    Args:
        top: A folder in another one, whose path names both.
        unreadable: Told of a folder that cannot be read, and why; without it that is raised.

    Raises:
        UserError: A folder cannot be read.
    """
    # With the folders above each, to which a link may not lead back.
    waiting = [(top, {_identity(folder) for folder in top.parent.resolve().parents})]
    waiting[0][1].add(_identity(top.parent))
    while waiting:
        folder, above = waiting.pop()
        try:
            here, entries = _identity(folder), []
            if here not in above:
                entries = _entries(folder)
        except UserError as error:
            if unreadable is None:
                raise
            unreadable(folder, error)
            continue
        for entry in entries:
            path = folder / entry.name
            if _is_folder(entry):
                waiting.append((path, above | {here}))
            else:
                yield path.relative_to(top).as_posix(), path


def _identity(folder: Path) -> tuple[int, int]:
    """The same by whatever path it is reached."""
    try:
        status = folder.stat()
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror or error}.") from error
    return status.st_dev, status.st_ino


def _stamp(path: Path) -> Stamp | None:
    """`None` for what is no file."""
    try:
        status = path.stat()
    except PermissionError:  # that it may not be read is found, named and counted when it is decoded
        return Stamp(0, 0, 0)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _check_classes(class_names: tuple[str, ...], folder: Path) -> None:
    if not class_names:
        raise UserError(
            f"{folder} has no sub-folders with images in them; one sub-folder per class is needed, "
            f"with files that end in {', '.join(sorted(SUFFIXES))}."
        )
    if len(class_names) == 1:
        inner = folder / class_names[0]
        deeper = inner.is_dir() and len(_visible_folders(inner)) > 1
        hint = f" Are the classes in {inner}? Then give that." if deeper else ""
        raise UserError(f"{folder} has one class, at least two are needed: {class_names[0]}.{hint}")


def _left_out(parts: Sequence[_Found]) -> Iterator[str]:
    """A sentence for everything that lies there and is not used."""
    empty = [name for name, files in parts[0].by_class.items() if not files]
    if empty:
        yield f"Folders without images are left out: {some_names(empty)}."
    loose = sum(part.loose for part in parts)
    if loose:
        yield f"Images beside the folders of the classes are left out: {loose}."
    others = sum((part.others for part in parts), Counter[str]())
    if others:
        kinds = [f"{count} {ending or 'without ending'}" for ending, count in others.most_common()]
        yield f"Files that do not end like an image are left out: {some_names(kinds)}."


def _listing(found: _Found, class_names: tuple[str, ...], where: Path) -> Listing:
    unknown = sorted(name for name, files in found.by_class.items() if files and name not in class_names)
    if unknown:
        raise UserError(
            f"{where} has the classes {some_names(unknown)}, which the training part does not have."
        )
    rows = [
        (file, number, stamp)
        for number, name in enumerate(class_names)
        for file, stamp in found.by_class.get(name, [])
    ]
    return Listing(*zip(*rows, strict=True)) if rows else NOTHING


def _without_a_tenth(listing: Listing, folder: Path) -> tuple[Listing, Listing]:
    """By names in the folder of the classes: a file that is removed leaves all others where they are."""
    names = [file.relative_to(folder).as_posix() for file in listing.files]
    chosen = named_part(names, np.array(listing.labels, np.int64), fraction=0.1)
    rest = np.setdiff1d(np.arange(len(listing.files)), chosen)
    return listing.take(rest), listing.take(chosen)
