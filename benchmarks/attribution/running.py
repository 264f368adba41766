"""Runs a cell by its commands, and makes its line of what they leave. No TensorFlow in this process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from archsearch import runtime
from archsearch.errors import UserError
from archsearch.run import Run
from archsearch.run_folder import RunFolder, read_json, write_json
from benchmarks.attribution.cells import CELLS, PRODUCT, Budget, Job, series
from benchmarks.keeping import Line

ROOT = Path(__file__).resolve().parent.parent.parent


def machine_of(line: Line) -> str:
    """Where a line was measured, and in what precision: there the same time is worth the same.

    As far as the processor and the number of GPUs tell.
    """
    machine = line["machine"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return f"{machine['processor']}, {machine['cores']} cores, {gpus}, in {line['precision']}"


def of_machine(lines: Sequence[Line], machine: str) -> list[Line]:
    """Those that were measured there: on this machine, they alone are gone on with."""
    return [line for line in lines if machine_of(line) == machine]


def key(line: Line) -> tuple[str, str, int]:
    """Cell, budget and seed, of which there is one line on a machine."""
    return line["cell"], line["budget"], line["seed"]


RunCommand = Callable[[Sequence[str]], str]
"""Runs one of the commands of a job to its end, and gives what it printed on stdout."""


def run_command(arguments: Sequence[str]) -> str:
    """In a process of its own, in the project's folder; its progress goes to stderr.

    Raises:
        UserError: It failed.
    """
    command = [sys.executable, *arguments]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        raise UserError(f"{' '.join(arguments)} ended with status {ran.returncode}.")
    return ran.stdout


def this_machine(precision: str, run: RunCommand = run_command) -> Line:
    """As much of a line as tells its machine, of those that are measured now.

    Which GPUs there are, and what "auto" comes to, TensorFlow tells, in a process of its own.

    Args:
        precision: One of `runtime.PRECISIONS`.
        run: Runs a command; another one in tests.
    """
    told: Line = json.loads(run(["benchmarks/attribution.py", "--here", precision]).splitlines()[-1])
    return told


def facts(precision: str) -> Line:
    """What `this_machine` reads; this process gets TensorFlow."""
    return {"machine": runtime.machine(), "precision": runtime.set_precision(precision)}


def jobs(
    budget: Budget, *, cells: Sequence[str], seeds: Sequence[int], dataset: str, precision: str
) -> Iterator[Job]:
    """All that is asked for, in the order in which it is run: seed by seed.

    Args:
        budget: Of all of them.
        cells: Names; empty for those of the budget's series.
        seeds: Empty for those of the budget's series.
        dataset: A name or a path.
        precision: Of all of them: one of `runtime.PRECISIONS`.
    """
    usual = series(budget.name)
    for seed in seeds or usual.seeds:
        for cell in CELLS:
            if cell in (cells or usual.cells):
                yield Job(cell, budget, seed, dataset, precision)


def limits_of(job: Job, lines: Sequence[Line]) -> Any:
    """The plan of the product's search that a random one takes its limits from; `None` for other cells.

    Raises:
        UserError: That search was not run yet.
    """
    if not CELLS[job.cell].random:
        return None
    wanted = (PRODUCT, job.budget.name, job.seed)
    for line in lines:
        if key(line) == wanted:
            return line["plan"]
    raise UserError(
        f"{job.cell} takes its limits from the search of {PRODUCT} with the same budget and seed, "
        f"which is not in the results yet: run --only {PRODUCT} --budget {job.budget.name} first, in the "
        "same --precision."
    )


def measured(job: Job, *, logs: str, lines: Sequence[Line], run: RunCommand = run_command) -> dict[str, Any]:
    """Runs one job from its beginning; what its line holds.

    Args:
        job: What is run.
        logs: Folder of all runs, from the project's folder.
        lines: Of the jobs that are done on this machine.
        run: Runs a command; another one in tests.

    Raises:
        UserError: It cannot be run, or a command failed.
    """
    limits, folder = limits_of(job, lines), RunFolder(ROOT / logs / job.run)
    seconds, printed = [], ""
    for command in job.commands(logs, limits):
        start = time.perf_counter()
        printed = run(command)
        seconds.append(time.perf_counter() - start)
        if limits is not None and command[0] == "search.py":
            _admit(folder, limits["final_macs"])
    result = read_json(folder.final(job.final) / "result.json")
    history = read_json(folder.final(job.final) / "history.json")["epochs"]
    searched = CELLS[job.cell].values is None
    return {
        "cell": job.cell,
        "budget": job.budget.name,
        "seed": job.seed,
        "seconds": sum(seconds),
        "seconds_of_parts": seconds,
        "dataset": Path(job.dataset).name,
        "is_cifar10": result["published"] is not None,
        **{name: result[name] for name in RESULTS},
        "num_epochs": len(history),
        "recipe": CELLS[job.cell].recipe,
        **(_of_search(Run(folder)) if searched else json.loads(printed.splitlines()[-1])),
        "machine": result["machine"],
        "versions": result["versions"],
        "git_commit": runtime.git_commit(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _admit(folder: RunFolder, final_macs: int | None) -> None:
    """Lets the final training of a random search widen its network as far as that of the product may.

    `--max-macs`, by which its draws are limited like the product's, is a limit of the final training too.
    """
    stored = read_json(folder.settings)
    write_json(folder.settings, {**stored, "plan": {**stored["plan"], "final_macs": final_macs}})


RESULTS = (
    *("hyperparameters", "architecture", "params", "macs", "num_images_passed", "num_train", "precision"),
    *("test_accuracy", "test_accuracy_tta", "tta_views", "num_test", "train_accuracy"),
)
"""Of result.json, that a line holds."""


def _of_search(run: Run) -> dict[str, Any]:
    plan = run.plan
    return {
        "plan": {
            "max_epochs": plan.max_epochs,
            "factor": plan.factor,
            "iterations": plan.iterations,
            "images_per_epoch": plan.images_per_epoch,
            "max_macs": plan.max_macs,
            "final_macs": plan.final_macs,
            "baseline_width": plan.baseline_width,
        },
        "trials": dict(Counter(f"{each.role} {each.status}" for each in run.trials)),
        "found_in_trial": run.incumbent.trial_id if run.incumbent else None,
    }
