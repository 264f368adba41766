"""What each element of the modern recipe is worth: one removed, or another put in its place, at a time.

    python benchmarks/recipe.py                 # the cells that are missing
    python benchmarks/recipe.py --table         # what there is; --store puts it in docs/recipe.md

Every cell trains the same network for the same epochs on CIFAR-10's training part, and is judged on the
validation part only; the test part is never read. One line of benchmarks/results/recipe.jsonl a run, so that
a stopped benchmark goes on with the next cell. Needs CIFAR-10: downloaded, or given with --dataset.

Nothing is timed, so what else the machine computes changes no result, and two seeds can run at once:

    taskset -c 0 python benchmarks/recipe.py --seeds 0 & taskset -c 1 python benchmarks/recipe.py --seeds 1
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from archsearch import runtime
from benchmarks.keeping import append, begin, between, read
from space.recipe import DOCUMENTED, MODERN

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "recipe.jsonl"
PAGE = ROOT / "docs" / "recipe.md"
BEGIN = begin("recipe.py")
EPOCHS = 6
SEEDS = (0, 1)
NETWORK: dict[str, Any] = {
    "num_blocks": 3,
    **{f"block_{block}/convs": 2 for block in range(3)},
    "filters": 32,
    "growth": 2.0,
    "max_filters": 128,
    "pool": "first",
    "head": "linear",
    "leaky_relu_slope": 0.1,
    "fast_start": True,
}
"""20 M macs: six epochs of 45,000 images are 1.6e13 multiply-adds, 3.3e13 FLOP."""


class Cell(NamedTuple):
    """One change of the recipe, or of how the network begins."""

    title: str
    recipe: Mapping[str, Any] = {}
    values: Mapping[str, Any] = {}
    averaged: bool = False
    precision: str = "float32"


CELLS = {
    "full": Cell("the modern recipe, fast start"),
    "bfloat16": Cell("computed in bfloat16", precision="mixed_bfloat16"),
    "adamw": Cell(
        "AdamW 0.006, weight decay 0.05",
        {"optimizer": "adamw", "learning_rate": 0.006, "weight_decay": 0.05},
    ),
    "averaged": Cell("weights averaged", averaged=True),
    "no-fast-start": Cell("no fast start", values={"fast_start": False}),
    "constant": Cell("constant rate", {"decay": "constant"}),
    "no-warmup": Cell("no warm-up", {"warmup": 0.0}),
    "rotation": Cell("rotation by 15 degrees", {"rotation_degrees": 15.0}),
    "no-shift": Cell("no shift", {"shift": 0.0}),
    "no-flip": Cell("no flip", {"flip": False, "alternating": False}),
    "random-flip": Cell("flip drawn anew in each epoch", {"alternating": False}),
    "no-smoothing": Cell("no label smoothing", {"label_smoothing": 0.0}),
    "no-weight-decay": Cell("no weight decay", {"weight_decay": 0.0}),
    "less-weight-decay": Cell("a fifth of the weight decay", {"weight_decay": 0.002}),
    "moving-statistics": Cell("batch-norm momentum 0.99", {"batch_norm_momentum": 0.99}),
    "lower-rate": Cell("a third of the rate", {"learning_rate": 0.1}),
    "higher-rate": Cell("three times the rate", {"learning_rate": 0.9}),
    "larger-batch": Cell(
        "batches of 1024, twice the rate and weight decay",
        {"batch_size": 1024, "learning_rate": 0.6, "weight_decay": 0.02},
    ),
    "adam": Cell(
        "Adam 0.003, no weight decay",
        {"optimizer": "adam", "learning_rate": 0.003, "weight_decay": 0.0},
    ),
    "documented": Cell("the documented recipe", dataclasses.asdict(DOCUMENTED)),
}
"""By name; the first is what the others are compared with."""

AVERAGE_MOMENTUM, AVERAGE_STEPS = 0.9, 5
"""Of "averaged": the weights' moving mean, put in their place every few steps."""


def run(name: str, seed: int, *, dataset: str, epochs: int, num_images: int | None) -> dict[str, Any]:
    """Trains one cell; what its line holds.

    Raises:
        RuntimeError: The training failed.
    """
    from archsearch.dataset import load, subset
    from archsearch.image_statistics import image_statistics
    from archsearch.task import TrainingData, TrialTask
    from archsearch.training import run_trial
    from archsearch.trials import Status
    from space.hypermodel import VGGHyperModel

    class Averaged(VGGHyperModel):
        def build(self, hp: Any) -> Any:
            model = super().build(hp)
            model.optimizer.use_ema = True
            model.optimizer.ema_momentum = AVERAGE_MOMENTUM
            model.optimizer.ema_overwrite_frequency = AVERAGE_STEPS
            return model

    cell = CELLS[name]
    runtime.set_precision(cell.precision)
    splits = load(dataset, seed=0)
    train = splits.train if num_images is None else subset(splits.train, num_images, 0)
    recipe = dataclasses.replace(MODERN, **cell.recipe)
    family = Averaged if cell.averaged else VGGHyperModel
    task = TrialTask(
        trial_id=name,
        values={**NETWORK, **cell.values},
        hypermodel=family(
            splits.image_shape, splits.num_classes, recipe=recipe, statistics=image_statistics(train)
        ),
        dataset=TrainingData(train, splits.validation, splits.num_classes, splits.flip),
        epochs=epochs,
        seed=seed,
    )
    result = run_trial(task, on_epoch=lambda epoch, values: print(name, seed, epoch + 1, values, flush=True))
    if result.status is not Status.COMPLETED:
        raise RuntimeError(f"{name} ended {result.status}: {result.message}")
    return {
        "cell": name,
        "seed": seed,
        "val_accuracy": result.curve[-1]["val_accuracy"],
        "seconds": result.seconds,
        "epochs": epochs,
        "num_images": len(train),
        "num_validation": len(splits.validation or ()),
        "recipe": recipe.to_dict(),
        "precision": cell.precision,
        "values": dict(task.values),
        "curve": result.curve,
        "machine": runtime.machine(),
        "versions": runtime.versions(),
        "git_commit": runtime.git_commit(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def is_done(lines: list[dict[str, Any]], name: str, seed: int, *, epochs: int) -> bool:
    """Whether the cell stands there; with other epochs, another recipe or precision, it would be another one.

    Raises:
        SystemExit: It stands there, and is another one.
    """
    cell = CELLS[name]
    wanted = {
        "epochs": epochs,
        "recipe": dataclasses.replace(MODERN, **cell.recipe).to_dict(),
        "precision": cell.precision,
        "values": {**NETWORK, **cell.values},
    }
    for line in lines:
        if (line["cell"], line["seed"]) == (name, seed):
            if {part: line[part] for part in wanted} != wanted:
                raise SystemExit(f"{name}, seed {seed}, was measured otherwise: give other --results.")
            return True
    return False


def table(lines: list[dict[str, Any]]) -> Iterator[str]:
    """In Markdown: each cell's mean, and its difference from the first with an interval.

    The intervals hold together at 95 %: after Bonferroni each is widened for the number of cells, for of many
    one would else be called worse or better by chance.

    The deviation between seeds is pooled over all cells whose rate decays, for two seeds say little about
    one. At a constant rate the last epoch's score jumps by much more: there is no interval then.
    """
    if not lines:
        yield "Nothing was run yet."
        return
    scores = {name: [100 * line["val_accuracy"] for line in lines if line["cell"] == name] for name in CELLS}
    scores = {name: each for name, each in scores.items() if each}
    pool = {name: each for name, each in scores.items() if _decays(name)}
    freedom = sum(len(each) - 1 for each in pool.values())
    squares = sum((len(each) - 1) * statistics.variance(each) for each in pool.values() if len(each) > 1)
    yield "| recipe | validation accuracy | seeds | beside the full recipe, points | verdict |"
    yield "|---|---|---|---|---|"
    reference = scores.get(next(iter(CELLS)), [])
    for name, each in scores.items():
        begin = f"| {CELLS[name].title} | {statistics.mean(each):.2f} % | {len(each)} |"
        if each is reference or not reference or freedom == 0:
            yield f"{begin} | |"
            continue
        difference = statistics.mean(each) - statistics.mean(reference)
        if name not in pool:
            spread = max(each) - min(each)
            yield f"{begin} {difference:+.2f} | seeds {spread:.1f} points apart |"
            continue
        error = (squares / freedom * (1 / len(each) + 1 / len(reference))) ** 0.5
        half = float(stdtrit(freedom, 1 - 0.025 / (len(pool) - 1))) * error
        verdict = "within noise" if abs(difference) <= half else "worse" if difference < 0 else "better"
        interval = f"{difference - half:+.2f} to {difference + half:+.2f}"
        yield f"{begin} {difference:+.2f} ({interval}) | {verdict} |"
    yield ""
    missing = [name for name in CELLS if len(scores.get(name, ())) < len(SEEDS)]
    if missing:
        yield f"Not run yet with every seed: {', '.join(missing)}."
        yield ""
    if freedom:
        deviation = (squares / freedom) ** 0.5
        yield f"Deviation between seeds {deviation:.2f} points, pooled over all rows whose rate decays."
        yield ""
    yield _circumstances(lines)


def _circumstances(lines: list[dict[str, Any]]) -> str:
    told = dict.fromkeys(
        f"{line['num_images']:,} training and {line['num_validation']:,} validation images, {line['epochs']} "
        f"epochs; {line['machine']['processor']}, {_cores(line['machine']['cores'])}; TensorFlow "
        f"{line['versions']['tensorflow']}, Keras {line['versions']['keras']}"
        for line in lines
    )
    longest = max(line["seconds"] for line in lines)
    return f"{' and '.join(told)}. The longest run took {longest / 60:.1f} minutes."


def _decays(name: str) -> bool:
    return dataclasses.replace(MODERN, **CELLS[name].recipe).decay != "constant"


def _cores(number: int) -> str:
    return f"{number} core{'' if number == 1 else 's'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="cifar10", help="a name, or a file")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--images", type=int, help="train on a part of the images (all)")
    parser.add_argument("--only", nargs="+", choices=CELLS, default=list(CELLS), metavar="CELL")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="N")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print what there is, and end")
    parser.add_argument("--store", action="store_true", help="put it in docs/recipe.md, and end")
    flags = parser.parse_args()
    if flags.table:
        print("\n".join(table(read(flags.results))))
        return
    if flags.store:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(between(page, BEGIN, table(read(flags.results))), encoding="utf-8")
        return
    runtime.import_tensorflow()
    for seed in flags.seeds:
        for name in flags.only:
            if is_done(read(flags.results), name, seed, epochs=flags.epochs):
                continue
            if CELLS[name].precision != "float32" and not runtime.multiplies_in_bfloat16():
                print(f"{name}: left out, for this processor has no instructions for it", flush=True)
                continue
            line = run(name, seed, dataset=flags.dataset, epochs=flags.epochs, num_images=flags.images)
            append(flags.results, line)


if __name__ == "__main__":
    main()
