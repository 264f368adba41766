"""Networks with which a search begins: known to train well in few passes, where random draws are few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _three_blocks(*, growth: float, max_filters: int) -> Mapping[str, Any]:
    """Two convolutions a block, pooled first, whitened, with a linear head."""
    return {
        "num_blocks": 3,
        **{f"block_{block}/convs": 2 for block in range(3)},
        "filters": 64,
        "growth": growth,
        "max_filters": max_filters,
        "pool": "first",
        "head": "linear",
        "leaky_relu_slope": 0.1,
        "fast_start": True,
    }


STARTING_POINTS: tuple[Mapping[str, Any], ...] = (
    _three_blocks(growth=4.0, max_filters=256),
    _three_blocks(growth=2.0, max_filters=128),
)
"""Values over the defaults, the best first: 64-256-256 and 64-128-128 filters, whose proportions and fast
start are those of Jordan, arXiv 2404.00498 (2024). A search narrows them to its limits."""
