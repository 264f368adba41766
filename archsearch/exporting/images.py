"""The images on which exported files are compared with Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.dataset import Splits, load
from archsearch.errors import UserError

NUM_RANDOM = 256
NUM_REPRESENTATIVE = 200
"""Training images, by which the ranges of int8 are set: a hundred or more is what LiteRT advises."""


@dataclass(frozen=True)
class Comparison:
    """What predictions are compared on.

    Args:
        x: Pixels (n, h, w, c), uint8.
        y: Class numbers (n,); `None` of random images.
        what: They are, in words.
        representative: Training images; `None` where there are none at hand.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64] | None
    what: str
    representative: NDArray[np.uint8] | None


def of_test_part(splits: Splits) -> Comparison:
    """The test images, which the final training reads too; nothing is chosen by them here."""
    test = splits.read_test()
    chosen = np.linspace(0, len(splits.train) - 1, min(NUM_REPRESENTATIVE, len(splits.train))).astype(int)
    return Comparison(
        x=test.x,
        y=test.y,
        what=f"the {len(test):,} test images of {splits.name}",
        representative=splits.train.x[chosen],
    )


def of_result(result: Mapping[str, Any], *, data: Any = None, cache: Path | None = None) -> Comparison:
    """The test images of a final training that is over; random ones where its images cannot be had.

    Args:
        result: Its result.json.
        data: Where the images are now; where they were by default.
        cache: Where decoded images are kept.

    Raises:
        UserError: `data` is given, and those are other images.
    """
    dataset = result["dataset"]
    height, width, _ = dataset["image_shape"]
    try:
        if data is None and dataset["name"] == "arrays":
            raise UserError("it was trained on arrays")
        name = dataset["name"] if data is None else data
        splits = load(name, seed=0, flip="no", image_size=(height, width), cache=cache)
        if splits.content_hash != dataset["content_hash"]:
            raise UserError(f"the images of {splits.name} are not those that it was trained on")
        return of_test_part(splits)
    except UserError as error:
        if data is not None:
            raise
        return random_images(dataset["image_shape"], why=str(error).rstrip("."))


def random_images(shape: tuple[int, int, int], *, why: str) -> Comparison:
    """Random pixels: enough to tell whether two files compute the same, not whether a network is good."""
    x = np.random.default_rng(0).integers(0, 256, (NUM_RANDOM, *shape), dtype=np.uint8)
    return Comparison(x, None, f"{NUM_RANDOM} images of random pixels, for there are no others: {why}", None)
