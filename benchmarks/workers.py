"""What worker processes bring and cost, beside Keras Tuner's chief and tuners; nothing is downloaded.

    python benchmarks/workers.py            # some 10 minutes on 2 idle cores
    python benchmarks/workers.py --quick    # a few trials of each, printed and not stored: some 5 minutes

The results are stored in benchmarks/results/workers.json, and the table in docs/workers.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.keeping import begin, between
from benchmarks.versus import table as versus_table
from benchmarks.versus import workers as searches
from benchmarks.versus.overhead import growth
from benchmarks.versus.sides import OURS, SIDES, STOCK

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "workers.json"
PAGE = ROOT / "docs" / "workers.md"
BEGIN = begin("workers.py")

WORKERS = (1, 2)
EPOCHS = 3
TRIALS_OF_ITERATION = 2
"""Of a bracket without promotions, whose factor is larger than its epochs."""


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    trials: int
    """Of each search, all of `EPOCHS` epochs; Keras Tuner's several tuners run more."""
    empty_trials: int
    """Trials that do nothing."""
    patience: float
    """Seconds that a search with a killed worker is waited for."""


FULL = Scale(trials=100, empty_trials=200, patience=searches.PATIENCE)
QUICK = Scale(trials=4, empty_trials=10, patience=60.0)


def trials_per_hour(journal: Sequence[Mapping[str, Any]], workers: int) -> float:
    """From when every worker has ended a trial, so that starting them is not counted.

    Args:
        journal: Of the trials, in the order of their ends: `pid`, `time` in seconds.
        workers: That share them.
    """
    started: set[int] = set()
    for number, each in enumerate(journal, start=1):
        started.add(each["pid"])
        if len(started) == workers and number < len(journal):
            return 3600 * (len(journal) - number) / (journal[-1]["time"] - each["time"])
    raise RuntimeError(f"Of {workers} workers {len(started)} ended a trial, and no other trial came after.")


def search(side: str, workers: int, trials: int) -> dict[str, Any]:
    """A search without promotions, in which all trials have all epochs."""
    iterations = trials // TRIALS_OF_ITERATION
    plan = searches.Plan(workers=workers, max_epochs=EPOCHS, factor=EPOCHS + 1, iterations=iterations)
    ran = searches.run(side, plan)
    by_process: dict[int, list[float]] = {}
    for each in ran.journal:
        by_process.setdefault(each["pid"], []).append(each["megabytes"])
    return {
        "trials": len(ran.journal),
        "seconds": ran.seconds,
        "trials_per_hour": trials_per_hour(ran.journal, workers),
        "memory_megabytes": list(by_process.values()),
        "growth_megabytes_per_trial": statistics.mean(
            growth(megabytes) for megabytes in by_process.values() if len(megabytes) > 1
        ),
    }


def isolation(num_trials: int) -> dict[str, float]:
    """Seconds of a trial that does nothing, in this process and in a worker, and of starting the worker."""
    from archsearch.executors import InlineExecutor
    from archsearch.task import TrialTask
    from archsearch.workers import WorkerExecutor, setup_of

    anything: Any = None
    task = TrialTask("nothing", {}, anything, anything, epochs=1, seed=0)

    def seconds(executor: Any, number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            executor.submit(nothing, task, ignore).result()
        return (time.perf_counter() - start) / number

    inline = seconds(InlineExecutor(), num_trials)
    with WorkerExecutor(setup_of(None, None, precision="float32"), {"1": {}}) as worker:
        started = seconds(worker, 1)
        return {"inline": inline, "worker": seconds(worker, num_trials), "start": started}


def nothing(_task: Any, on_epoch: Any) -> Any:
    """A trial that only tells of one epoch."""
    from archsearch.task import TrialResult
    from archsearch.trials import Status

    on_epoch(0, {"val_accuracy": 0.5})
    return TrialResult(Status.COMPLETED, (), 0.0, 0)


def ignore(epoch: int, values: Mapping[str, float]) -> None:
    """Of an epoch."""


def measured(scale: Scale) -> dict[str, Any]:
    """Everything; each search in processes of its own, the sides in turn."""
    found: dict[str, Any] = {"trials": scale.trials, "searches": {side: {} for side in SIDES}}
    for workers in WORKERS:
        for side in SIDES:
            found["searches"][side][str(workers)] = told(
                f"{workers} workers, {side}", partial(search, side, workers, scale.trials)
            )
    for side in SIDES:
        killed = partial(searches.killed, side, patience=scale.patience)
        found.setdefault("killed", {})[side] = told(f"worker killed, {side}", killed)
    found["isolation"] = told("trials that do nothing", partial(isolation, scale.empty_trials))
    return found


def told(what: str, measure: Any) -> Any:
    start = time.perf_counter()
    result = measure()
    print(f"{what}: {json.dumps(result)}", flush=True)
    print(f"  {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return result


def table(results: Mapping[str, Any]) -> Iterator[str]:
    """In Markdown."""
    versions, machine, rates = results["versions"], results["machine"], {}
    yield f"| | Keras Tuner {versions['keras-tuner']} | archsearch {versions['archsearch']} | ratio |"
    yield "|---|---|---|---|"
    for workers in map(str, WORKERS):
        rates[workers] = [results["searches"][side][workers]["trials_per_hour"] for side in (STOCK, OURS)]
        stock, ours = rates[workers]
        many = "s" if workers != "1" else ""
        yield f"| trials an hour, {workers} worker{many} | {stock:.0f} | {ours:.0f} | {ours / stock:.2f} |"
    gain = [two / one for one, two in zip(rates["1"], rates["2"], strict=True)]
    yield f"| two workers over one | {gain[0]:.2f} | {gain[1]:.2f} | |"
    memory = [_memory(results["searches"][side]["1"]) for side in (STOCK, OURS)]
    yield f"| memory of one worker, growth per trial | {memory[0]} | {memory[1]} | |"
    cells = [versus_table.worker_killed(results["killed"][side]) for side in (STOCK, OURS)]
    yield f"| one of two workers killed | {cells[0]} | {cells[1]} | |"
    yield ""
    alone = results["isolation"]
    yield (
        f"A trial that does nothing takes {1000 * alone['worker']:.1f} ms in a worker and "
        f"{1000 * alone['inline']:.3f} ms in the searching process; a worker starts in "
        f"{alone['start']:.1f} s."
    )
    yield ""
    yield versus_table.circumstances(versions, machine)


def _memory(found: Mapping[str, Any]) -> str:
    megabytes = found["memory_megabytes"][0]
    return (
        f"{found['growth_megabytes_per_trial']:.2f} MB ({megabytes[0]:.0f} to {megabytes[-1]:.0f} MB over "
        f"{len(megabytes)} trials)"
    )


def circumstances() -> dict[str, Any]:
    """What the results depend on."""
    import archsearch
    from archsearch import runtime

    return {
        "versions": {"archsearch": archsearch.__version__} | runtime.versions(),
        "machine": runtime.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a few trials of each, and store nothing")
    flags = parser.parse_args()
    found = measured(QUICK if flags.quick else FULL)
    results = circumstances() | found
    print("\n".join(table(results)))
    if flags.quick:
        return
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(between(page, BEGIN, table(results)), encoding="utf-8")
    print(f"The table is in {PAGE.relative_to(ROOT)}, the figures in {RESULTS.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
