"""The benchmarks compare what they say they compare."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

THROUGHPUT = Path(__file__).resolve().parent.parent / "benchmarks" / "throughput.py"


@pytest.mark.tensorflow
def test_the_plain_side_does_not_inherit_our_settings_of_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    module: dict[str, Any] = runpy.run_path(str(THROUGHPUT))
    environments = {}

    def measure(side: str, steps: int, environment: dict[str, str]) -> float:
        environments[side] = environment
        return 1.0

    main = module["main"]
    main.__globals__["measure"] = measure
    monkeypatch.setattr(sys, "argv", ["throughput.py", "--rounds", "1"])
    main()
    assert environments.keys() == {"project", "plain"}
    assert not any(name.startswith("TF_ENABLE") for name in environments["plain"])
    assert environments["plain"] == environments["project"]
