"""Which files of a folder are images of which class and part; nothing is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.readers.stratified import stratified_part

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Listing:
    """The files of one part and the class number of each."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Listing:
        return Listing(tuple(self.files[i] for i in indices), tuple(self.labels[i] for i in indices))


@dataclass(frozen=True)
class FolderListing:
    root: Path
    class_names: tuple[str, ...]
    train: Listing
    validation: Listing
    test: Listing
    notes: tuple[str, ...]


def list_folder(root: Path) -> FolderListing:
    """The classes are the sub-folders, of `root` or of its folder `train`, in the order of their names.

    Raises:
        UserError: There are no classes, or another part has classes that the training part has not.
    """
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
    return FolderListing(root, class_names, train, validation, test, tuple(notes))


def _parts(root: Path) -> tuple[Path, Path | None, Path | None]:
    """The folders of training, validation and test part; only those count that have sub-folders.

    So that a class may be called "test".
    """
    names = {entry.name for entry in _visible_folders(root) if _visible_folders(entry)}
    validation = next((root / name for name in ("val", "validation", "valid") if name in names), None)
    test = root / "test" if "test" in names else None
    if "train" in names:
        return root / "train", validation, test
    other = validation or test
    if other:
        raise UserError(f"{root} has a folder {other.name} with sub-folders, but no folder train with some.")
    return root, None, None


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _by_class(folder: Path) -> dict[str, list[Path]]:
    return {entry.name: _images_below(entry) for entry in _visible_folders(folder)}


def _images_below(folder: Path) -> list[Path]:
    """Sorted by their path inside the folder, so that the order is the same on every system."""
    found = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*"))
    return [
        path
        for name, path in found
        if path.suffix.lower() in SUFFIXES and path.is_file() and "/." not in f"/{name}"
    ]


def _listing(by_class: dict[str, list[Path]], class_names: tuple[str, ...], where: Path) -> Listing:
    unknown = sorted(name for name, files in by_class.items() if files and name not in class_names)
    if unknown:
        raise UserError(
            f"{where} has the classes {', '.join(unknown)}, which the training part does not have."
        )
    pairs = [(file, number) for number, name in enumerate(class_names) for file in by_class.get(name, [])]
    return Listing(tuple(file for file, _ in pairs), tuple(number for _, number in pairs))


def _without_a_tenth(listing: Listing) -> tuple[Listing, Listing]:
    chosen = stratified_part(np.array(listing.labels, np.int64), fraction=0.1, seed=0)
    rest = np.setdiff1d(np.arange(len(listing.files)), chosen)
    return listing.take(rest), listing.take(chosen)
