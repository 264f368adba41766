"""How much of the accuracy comes from structure, from training and from searching, at equal wall-clock.

    python benchmarks/attribution.py             # what is missing, of 18 x 12 and 3 x 90 minutes
    python benchmarks/attribution.py --budget 12m --only no-search --seeds 0
    python benchmarks/attribution.py --list      # what is done and what is missing
    python benchmarks/attribution.py --table     # what there is; --store puts it in docs/attribution.md

Every cell gets the same budget B, from the start of its first process to the end of its last one. What is
spent on a search is not spent on training:

- documented network, documented or modern recipe: all of B trains it. It has the width of which twelve passes
  over the images fit into B, at most the documented one, as a network found gets its width. At 12 minutes the
  documented width would get two or three passes, which would say little about its structure.
- found network, documented or modern recipe: a third of B is a search under that recipe (`search.py
  --max-time B/3 --final-time 2B/3`), two thirds train what it found (`final_train.py --best --max-time 2B/3
  --tta --all-data`). With the modern recipe this is the product.
- no search: all of B trains one network of the space that was written down before anything was run
  (`NO_SEARCH` in attribution/cells.py), its width by the same rule.
- random search: as the product, but the search trains every draw alike, with the highest fidelity of the
  product's search of the same seed and within its limits, and promotes nothing. Like the product's it begins
  with the baseline; it confirms nothing, so that all of its time is draws. The best on the validation part is
  trained, widened as far as the product's may be.

No choice sees the test part: each training ends with its one reading, in one view and in several averaged.
What is trained at the end is trained on the validation part too, in every cell.
One line of benchmarks/results/attribution.jsonl a finished cell; one that stands there is skipped, one that
was killed starts over. On another machine, or in another precision, equal time is other computation: there
all cells are missing, and only cells of one machine and one seed are taken from each other.
Needs CIFAR-10: downloaded, or given with --dataset.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from archsearch.errors import UserError
from archsearch.runtime import PRECISIONS
from archsearch.settings import parse_time
from benchmarks.attribution import table
from benchmarks.attribution.cells import CELLS, SERIES, Budget, Job
from benchmarks.attribution.running import (
    RunCommand,
    facts,
    jobs,
    key,
    machine_of,
    measured,
    of_machine,
    run_command,
    this_machine,
)
from benchmarks.keeping import Line, append, begin, between, read

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "attribution.jsonl"
PAGE = ROOT / "docs" / "attribution.md"
BEGIN = begin("attribution.py")


def budget(text: str) -> Budget:
    """By minutes, however it is written, for it is a part of every line's name."""
    try:
        return Budget(f"{parse_time(text) / 60:g}m")
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add(
        "--budget",
        type=budget,
        nargs="+",
        default=[Budget(name) for name in SERIES],
        metavar="T",
        help=f"wall-clock of every cell ({' and '.join(SERIES)})",
    )
    add("--only", nargs="+", choices=CELLS, default=[], metavar="CELL", help=", ".join(CELLS))
    add("--seeds", nargs="+", type=int, default=[], metavar="N", help="(0 1 2 at 12m, 0 at 90m)")
    add("--dataset", default="cifar10", metavar="DATA", help="a name, or the file of CIFAR-10 (cifar10)")
    add("--precision", choices=PRECISIONS, default="auto", help="that all cells are trained in (auto)")
    add(
        "--results", type=Path, default=RESULTS, metavar="FILE", help="(benchmarks/results/attribution.jsonl)"
    )
    add("--logs", default="logs", metavar="DIR", help="folder of all runs (logs)")
    add("--list", action="store_true", help="print what is done and what is missing here, and end")
    add("--table", action="store_true", help="print the table of what there is, and end")
    add("--store", action="store_true", help="put it in docs/attribution.md, and end")
    add("--train", help=argparse.SUPPRESS)
    add("--here", choices=PRECISIONS, help=argparse.SUPPRESS)
    flags = parser.parse_args(argv)
    if Path(flags.dataset).exists():  # the cells run in the project's folder, whatever this one is
        flags.dataset = str(Path(flags.dataset).resolve())
    return flags


def asked(flags: argparse.Namespace, here: Line) -> Iterator[tuple[Job, list[Line], bool]]:
    """Every job that is asked for, what was measured on this machine before it, and whether it is done.

    Args:
        flags: Of the command line.
        here: Of `this_machine`.
    """
    for each in flags.budget:
        which = {"cells": flags.only, "seeds": flags.seeds, "dataset": flags.dataset}
        for job in jobs(each, **which, precision=here["precision"]):
            lines = of_machine(read(flags.results), machine_of(here))
            yield job, lines, any(key(line) == job.key for line in lines)


def run_all(flags: argparse.Namespace, run: RunCommand = run_command) -> None:
    """The jobs that are not done, one line each.

    Raises:
        UserError: One cannot be run, or its images are not CIFAR-10.
    """
    for job, lines, done in asked(flags, this_machine(flags.precision, run)):
        if done:
            continue
        print(f"{job.run} ...", file=sys.stderr, flush=True)
        line = measured(job, logs=flags.logs, lines=lines, run=run)
        if flags.results == RESULTS and not line["is_cifar10"]:
            raise UserError("These images are not CIFAR-10: write to another file, with --results.")
        append(flags.results, line)
        print(
            f"{job.run}: test accuracy {line['test_accuracy']:.4f}, {line['test_accuracy_tta']:.4f} averaged "
            f"over several views; {line['seconds']:.0f} s",
            flush=True,
        )


def main(argv: list[str]) -> None:
    flags = parse(argv)
    if flags.train:
        from benchmarks.attribution.fixed import train

        print(json.dumps(train(**json.loads(flags.train))))
    elif flags.here:
        print(json.dumps(facts(flags.here)))
    elif flags.list:
        for job, _, done in asked(flags, this_machine(flags.precision)):
            print(f"{'done' if done else 'missing':8}{job.budget.name:>5}  seed {job.seed}  {job.cell}")
    elif flags.table:
        print("\n".join(table.table(read(flags.results))))
    elif flags.store:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(between(page, BEGIN, table.table(read(flags.results))), encoding="utf-8")
    else:
        # So that the process of a cell ends with this one.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        run_all(flags)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
