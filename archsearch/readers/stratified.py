"""Parts of a data set with the classes in the same proportions."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def part_size(num_images: int, *, fraction: float) -> int:
    """How many images of a class are set aside: `fraction` of them, at least one, never all of them."""
    return max(0, min(max(1, round(fraction * num_images)), num_images - 1))


def stratified_part(
    y: NDArray[np.int64], *, fraction: float, seed: int, names: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Sorted indices of a part to set aside: `part_size` images of each class; a class of one gives none.

    Args:
        y: Class numbers.
        fraction: Of each class.
        seed: Another one gives another part.
        names: Of the images, by which they are chosen if they have some: where one comes or goes, at most
            one other changes sides.
    """
    random = np.random.default_rng(seed)
    draws = np.array([draw(name, seed) for name in names])
    chosen = [np.empty(0, np.int64)]
    for members in _classes(y):
        order = np.argsort(draws[members], kind="stable") if names else random.permutation(len(members))
        chosen.append(members[order[: part_size(len(members), fraction=fraction)]])
    return np.sort(np.concatenate(chosen))


def named_part(names: Sequence[str], y: NDArray[np.int64], *, fraction: float) -> NDArray[np.int64]:
    """Sorted indices of a part about as large, in which each image is by its name alone, whatever others are.

    The part of a class has at least half and at most double of `part_size`, for which the draws that are next
    to `fraction` change sides.
    """
    draws = np.array([draw(name) for name in names])
    chosen = [np.empty(0, np.int64)]
    for members in _classes(y):
        size = part_size(len(members), fraction=fraction)
        below = int(np.count_nonzero(draws[members] < fraction))
        size = min(max(below, -(-size // 2)), 2 * size, len(members) - 1)
        chosen.append(members[np.argsort(draws[members], kind="stable")[:size]])
    return np.sort(np.concatenate(chosen))


def draw(name: str, seed: int | None = None) -> float:
    """From 0 to 1, by the name of a file, on every system the same."""
    text = unicodedata.normalize("NFC", name if seed is None else f"{seed} {name}")
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _classes(y: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """The positions of the images of each class."""
    for number in np.unique(y):
        yield np.flatnonzero(y == number)


def stratified_sample(y: NDArray[np.int64], *, size: int, seed: int) -> NDArray[np.int64]:
    """Sorted indices of exactly `size` images, at least one of each class if `size` reaches for that."""
    random = np.random.default_rng(seed)
    counts = _counts(np.bincount(y), size)
    chosen = [random.permutation(np.flatnonzero(y == number))[:count] for number, count in enumerate(counts)]
    return np.sort(np.concatenate(chosen))


def _counts(available: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """How many of each class: proportions rounded so that the sum is right."""
    share = available * (size / available.sum())
    least = np.minimum(available, 1 if size >= np.count_nonzero(available) else 0)
    counts: NDArray[np.intp] = np.maximum(np.floor(share).astype(np.intp), least)
    while counts.sum() > size:
        counts[np.argmax(np.where(counts > least, counts - share, -np.inf))] -= 1
    while counts.sum() < size:
        counts[np.argmax(share - counts)] += 1
    return counts
