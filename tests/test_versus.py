"""The comparison with Keras Tuner: its figures are those of this code, its page is made from them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.keeping import begin, between
from benchmarks.versus import cells, kills, table

ROOT = Path(__file__).resolve().parent.parent
RESULTS: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / "versus.json").read_text("utf-8"))
ROWS = [row for row in cells.ROWS if row not in cells.TIMED]


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """All cells that are the same everywhere, measured now."""
    command = [sys.executable, "benchmarks/versus.py", "--only", *ROWS]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    lines = (line.partition(": ") for line in ran.stdout.splitlines())
    return {name: json.loads(result) for name, _, result in lines}


@pytest.mark.end_to_end
@pytest.mark.timeout(900)  # the first one measures all cells: a minute on 2 idle cores
@pytest.mark.parametrize("cell", cells.names(ROWS))
def test_the_stored_figures_are_measured_again(measured: dict[str, Any], cell: str) -> None:
    assert measured[cell] == RESULTS["cells"][cell]


def test_every_cell_has_its_figures_and_no_others() -> None:
    """But for what is waited for, which is measured where nothing else runs."""
    waited_for = cells.names(["worker-killed"])
    stored = list(RESULTS["cells"])
    assert stored in (cells.names(), [name for name in cells.names() if name not in waited_for])


def test_the_page_is_made_from_the_figures() -> None:
    page = (ROOT / "docs" / "versus.md").read_text("utf-8")
    assert between(page, begin("versus.py"), table.table(RESULTS)) == page
    rows = {name.split("/")[0] for name in RESULTS["cells"]}
    assert all((f"| `{row}` |" in page) is (row in rows) for row in cells.ROWS)


def test_every_row_can_be_measured_again_by_a_command_on_the_page() -> None:
    page = (ROOT / "docs" / "versus.md").read_text("utf-8")
    commands = [
        line.split("--only ")[1] for line in page.splitlines() if "--only " in line and "#" not in line
    ]
    assert cells.names(commands) == cells.names()


def test_an_unknown_cell_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"There is no cell epoch; there are epochs-27/stock, "):
        cells.names(["epochs-9", "epoch"])


@pytest.mark.parametrize("side", ["stock", "archsearch"])
def test_twenty_kills_in_all_and_the_same_number_in_writing_on_both_sides(side: str) -> None:
    assert len(kills.IN_TRAINING) + len(kills.IN_WRITING[side]) == 20
    stored = [RESULTS["cells"][f"{row}/{side}"]["kills"] for row in ("kills-training", "kills-writing")]
    assert stored == [len(kills.IN_TRAINING), len(kills.IN_WRITING[side])]


@pytest.mark.parametrize(("max_epochs", "formula"), [(27, 27 * 3**2), (9, 9 * 2**2)])
def test_the_epochs_keras_tuner_announces_are_those_of_its_documentation(
    max_epochs: int, formula: int
) -> None:
    """Logarithms of 27 and 9 to the base 3."""
    assert RESULTS["cells"][f"epochs-{max_epochs}/stock"]["announced_epochs"] == formula


def test_figures_per_trial_follow_from_the_measured_ones() -> None:
    for side in ("stock", "archsearch"):
        rounds = RESULTS["cells"][f"overhead/{side}"]["rounds"]
        assert len(rounds) == 3
        for cell in rounds:
            memory = cell["memory_megabytes"]
            assert len(memory) == cell["trials"]
            first, last = memory[2:7], memory[-5:]  # quarters of the 22 or 23 from the third trial on
            assert cell["growth_megabytes_per_trial"] == pytest.approx(
                (sum(last) - sum(first)) / 5 / (len(memory) - 2 - 5)
            )
            for kind in ("seconds", "processor_seconds"):
                other = cell[kind] - cell[f"training_{kind}"]
                assert cell[f"other_{kind}_per_trial"] == pytest.approx(other / cell["trials"])
