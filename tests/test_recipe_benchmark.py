"""The ablation of the recipe: what its table says, and that the page is made from its lines."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.keeping import between, read

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "recipe.py"))


def lines(**accuracies: tuple[float, ...]) -> list[dict[str, Any]]:
    """As much of the lines as the table reads; accuracies in percent, by cell."""
    return [
        {
            "cell": cell.replace("_", "-"),
            "seed": seed,
            "val_accuracy": accuracy / 100,
            "seconds": 60.0 * (seed + 1),
            "epochs": 6,
            "num_images": 45_000,
            "num_validation": 5000,
            "machine": {"processor": "a processor", "cores": 2},
            "versions": {"tensorflow": "2.21.0", "keras": "3.15.1"},
        }
        for cell, each in accuracies.items()
        for seed, accuracy in enumerate(each)
    ]


def test_differences_have_students_interval_with_the_deviation_pooled_over_all_cells(script: Any) -> None:
    """Variances 0.02, 0.02 and 0.02, three degrees of freedom, two differences: 4.177 x sqrt(0.02) = 0.59."""
    told = list(script["table"](lines(full=(87.1, 86.9), no_shift=(84.1, 83.9), random_flip=(86.9, 86.7))))
    assert told[2] == "| the modern recipe, fast start | 87.00 % | 2 | | |"
    assert told[3] == "| no shift | 84.00 % | 2 | -3.00 (-3.59 to -2.41) | worse |"
    assert (
        told[4] == "| flip drawn anew in each epoch | 86.80 % | 2 | -0.20 (-0.79 to +0.39) | within noise |"
    )
    assert "Deviation between seeds 0.14 points, pooled over all rows whose rate decays." in told


def test_seeds_that_a_constant_rate_drives_apart_do_not_widen_the_other_intervals(script: Any) -> None:
    told = list(script["table"](lines(full=(87.1, 86.9), no_shift=(84.1, 83.9), constant=(50.0, 70.0))))
    assert "Deviation between seeds 0.14 points, pooled over all rows whose rate decays." in told
    assert "| constant rate | 60.00 % | 2 | -27.00 | seeds 20.0 points apart |" in told


def test_what_is_missing_and_the_circumstances_are_told(script: Any) -> None:
    told = list(script["table"](lines(full=(87.1, 86.9), no_shift=(84.1,))))
    (missing,) = [line for line in told if line.startswith("Not run yet with every seed: ")]
    assert "no-shift" in missing
    assert "full" not in missing.replace("Not run yet", "")
    assert told[-1] == (
        "45,000 training and 5,000 validation images, 6 epochs; a processor, 2 cores; TensorFlow 2.21.0, "
        "Keras 3.15.1. The longest run took 2.0 minutes."
    )


def test_the_page_is_made_from_the_lines(script: Any) -> None:
    page = script["PAGE"].read_text(encoding="utf-8")
    assert between(page, script["BEGIN"], script["table"](read(script["RESULTS"]))) == page


def test_what_the_page_says_of_the_table(script: Any) -> None:
    rows = [line.split(" | ") for line in script["table"](read(script["RESULTS"])) if " | 2 | " in line]
    verdicts = {row[0].removeprefix("| "): row[-1].removesuffix(" |") for row in rows[1:]}
    noise = {name for name, verdict in verdicts.items() if verdict == "within noise"}
    assert noise == {
        *("no warm-up", "no shift", "no flip", "flip drawn anew in each epoch", "no label smoothing"),
        *("AdamW 0.006, weight decay 0.05", "computed in bfloat16", "a fifth of the weight decay"),
    }
    differences = {row[0].removeprefix("| "): float(row[3].split()[0]) for row in rows[1:]}
    assert max(differences.values()) < 0, "nothing did better"
    others = {name: value for name, value in differences.items() if name not in noise}
    assert max(others.values()) < -1.0, "a point or more"
    told = " ".join(script["PAGE"].read_text(encoding="utf-8").split())
    assert "Nothing that was left out or put in its place did better than the recipe." in told
