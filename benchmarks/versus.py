"""This project against the installed Keras Tuner, cell by cell; nothing is downloaded.

    python benchmarks/versus.py                        # all, 10 to 20 minutes on 2 idle cores
    python benchmarks/versus.py --only failures        # some rows, measured and printed
    python benchmarks/versus.py --only epochs-27/stock # one cell

Without `--only` the results are stored in benchmarks/results/versus.json, and the table in docs/versus.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.keeping import begin, between
from benchmarks.versus import cells, table
from benchmarks.versus.processes import import_everything, in_child

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "versus.json"
PAGE = ROOT / "docs" / "versus.md"
BEGIN = begin("versus.py")


def measured(names: list[str]) -> dict[str, Any]:
    """The cells by name, each from processes of its own; of a row with rounds, the sides begin in turn."""
    rounds: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(max(map(num_rounds, names))):
        for name in reversed(names) if number % 2 else names:
            if number < num_rounds(name):
                start = time.perf_counter()
                rounds[name].append(measured_one(name))
                print(f"{name}: {json.dumps(rounds[name][-1])}", flush=True)
                print(f"  {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return {name: {"rounds": each} if num_rounds(name) > 1 else each[0] for name, each in rounds.items()}


def num_rounds(name: str) -> int:
    return cells.ROUNDS.get(name.split("/")[0], 1)


def measured_one(name: str) -> dict[str, Any]:
    row = name.split("/")[0]
    if row in cells.TIMED:
        return in_fresh_process(name)
    if row in cells.ITS_OWN_PROCESSES:
        return cells.measure(name)
    return in_child(lambda: cells.measure(name))


def in_fresh_process(name: str) -> dict[str, Any]:
    """One cell in a Python of its own; what it prints besides is shown if it fails."""
    ran = subprocess.run([sys.executable, __file__, "--measure", name], capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{name} failed:\n{ran.stderr}")
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return result


def circumstances() -> dict[str, Any]:
    """What the results depend on."""
    import archsearch
    from archsearch import runtime

    return {
        "versions": {"archsearch": archsearch.__version__} | runtime.versions(),
        "machine": runtime.machine(),
    }


def store(results: dict[str, Any]) -> None:
    """All cells, into the file of results; and the table made of it."""
    RESULTS.write_text(json.dumps(in_child(circumstances) | {"cells": results}, indent=2) + "\n", "utf-8")
    page = PAGE.read_text(encoding="utf-8")
    lines = table.table(json.loads(RESULTS.read_text(encoding="utf-8")))
    PAGE.write_text(between(page, BEGIN, lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", metavar="CELL", nargs="+", default=[], help="measure and print these, and store nothing"
    )
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    try:
        names = cells.names(flags.only)
    except ValueError as error:
        parser.error(str(error))
    import_everything()
    if flags.measure:
        print(json.dumps(cells.measure(flags.measure)))
        return
    results = measured(names)
    if not flags.only:
        store(results)
        print(f"The table is in {PAGE.relative_to(ROOT)}, the figures in {RESULTS.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
