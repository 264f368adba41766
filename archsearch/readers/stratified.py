"""Parts of a data set with the classes in the same proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def part_size(num_images: int, *, fraction: float) -> int:
    """How many images of a class are set aside: `fraction` of them, at least one, never all of them."""
    return max(0, min(max(1, round(fraction * num_images)), num_images - 1))


def stratified_part(y: NDArray[np.int64], *, fraction: float, seed: int) -> NDArray[np.int64]:
    """Sorted indices of a part to set aside: `part_size` images of each class; a class of one gives none."""
    random = np.random.default_rng(seed)
    chosen = [np.empty(0, np.int64)]
    for number in np.unique(y):
        members = random.permutation(np.flatnonzero(y == number))
        chosen.append(members[: part_size(len(members), fraction=fraction)])
    return np.sort(np.concatenate(chosen))


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
