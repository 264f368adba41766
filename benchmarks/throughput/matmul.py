"""The machine's own matrix-multiply rate: the most that a training could reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

SIDE = 2048
SECONDS = 3.0
"""Of products after the first one, at least three."""


def gflop_per_second(multiply: Callable[[], Any]) -> float:
    """The median over products of two matrices of `SIDE` rows and columns.

    Args:
        multiply: Returns when the product is there.
    """
    multiply()
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < SECONDS:
        start = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / float(np.median(seconds)) / 1e9


def matrices() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.random((SIDE, SIDE), np.float32), rng.random((SIDE, SIDE), np.float32)


def numpy() -> float:
    a, b = matrices()
    return gflop_per_second(lambda: a @ b)


def tensorflow() -> float:
    """Under this project's settings, which switch oneDNN on."""
    from archsearch import runtime

    tf = runtime.import_tensorflow()
    a, b = (tf.constant(matrix) for matrix in matrices())
    return gflop_per_second(lambda: tf.linalg.matmul(a, b).numpy())


LIBRARIES = {"numpy": numpy, "tensorflow": tensorflow}
