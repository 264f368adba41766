"""The table, in Markdown, and what it says in words: means and deviations, never the best."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archsearch.quantities import format_seconds
from benchmarks.attribution.cells import CELLS, PRODUCT, Budget, series
from benchmarks.keeping import Line

EQUAL = 0.05
"""By which the seconds of a run may differ from the budget, to count as equal."""

RANDOM, FIXED = "random-search", "no-search"


class Effect(NamedTuple):
    """A difference between two cells that differ in one thing."""

    of: str
    where: str
    cell: str
    reference: str
    better: str
    worse: str


EFFECTS = (
    *(
        Effect(
            "Structure",
            f"under the {recipe} recipe",
            f"found-{recipe}",
            f"documented-{recipe}",
            "the network found does better than the documented one",
            "the network found does worse than the documented one",
        )
        for recipe in ("documented", "modern")
    ),
    *(
        Effect(
            "Training",
            f"of the {network} network",
            f"{network}-modern",
            f"{network}-documented",
            "the modern recipe does better than the documented one",
            "the modern recipe does worse than the documented one",
        )
        for network in ("documented", "found")
    ),
    Effect(
        "Searching",
        "instead of training a fixed network for all of the time",
        PRODUCT,
        FIXED,
        "the search is worth its time",
        "**no search wins**",
    ),
    Effect(
        "Hyperband, starting points, draws near them and confirmation",
        "instead of random draws alone",
        PRODUCT,
        RANDOM,
        "the product does better than random search",
        "random search does better than the product",
    ),
)
"""The test accuracy of one view is what is compared."""


@dataclass(frozen=True)
class Comparison:
    """Of two cells, in points."""

    difference: float
    half_width: float | None
    """Of the 95 % interval; `None` where one of the cells was not run twice."""

    @property
    def is_noise(self) -> bool:
        """Whether the interval holds 0."""
        return self.half_width is not None and abs(self.difference) <= self.half_width

    def __str__(self) -> str:
        if self.half_width is None:
            return f"{self.difference:+.2f} points"
        low, high = self.difference - self.half_width, self.difference + self.half_width
        return f"{self.difference:+.2f} points (95 % interval {low:+.2f} to {high:+.2f})"


def points(lines: Sequence[Line], cell: str, name: str = "test_accuracy") -> list[float]:
    """Of every run of a cell, in percent."""
    return [100 * line[name] for line in lines if line["cell"] == cell]


def compared(lines: Sequence[Line], cell: str, reference: str) -> Comparison | None:
    """The means of two cells, with Welch's interval; `None` if one was not run.

    Nothing is pooled: a constant rate moves the accuracy far more from run to run than one that decays.

    Args:
        lines: Of one budget.
        cell: What is looked at.
        reference: What is taken off.
    """
    one, other = points(lines, cell), points(lines, reference)
    if not one or not other:
        return None
    difference = statistics.mean(one) - statistics.mean(other)
    if min(len(one), len(other)) < 2:
        return Comparison(difference, None)
    from scipy.special import stdtrit

    parts = [(statistics.variance(each) / len(each), len(each) - 1) for each in (one, other)]
    square = sum(part for part, _ in parts)
    if square == 0:
        return Comparison(difference, 0.0)
    freedom = square**2 / sum(part**2 / degrees for part, degrees in parts)
    return Comparison(difference, float(stdtrit(freedom, 0.975)) * square**0.5)


def sentence(lines: Sequence[Line], effect: Effect) -> str | None:
    """What one effect comes to; `None` if one of its cells was not run."""
    comparison = compared(lines, effect.cell, effect.reference)
    if comparison is None:
        return None
    if comparison.difference == 0:
        return f"{effect.of}, {effect.where}: no difference."
    said = effect.better if comparison.difference > 0 else effect.worse
    if comparison.half_width is None:
        said += ", without an interval"
    elif comparison.is_noise:
        said += ", but within noise, so not shown"
    return f"{effect.of}, {effect.where}: {comparison}: {said}."


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and, of several runs, deviation."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def rows(lines: Sequence[Line]) -> Iterator[str]:
    """Of one budget."""
    yield (
        "| cell | test accuracy, one view, % | several views averaged, % | runs | M macs | epochs | minutes |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, cell in CELLS.items():
        group = [line for line in lines if line["cell"] == name]
        if not group:
            continue
        accuracies = (spread(points(group, name, which)) for which in ("test_accuracy", "test_accuracy_tta"))
        sizes = (
            spread([line["macs"] / 1e6 for line in group], 0),
            spread([line["num_epochs"] for line in group], 0),
            spread([line["seconds"] / 60 for line in group], 1),
        )
        yield f"| {cell.title} | {' | '.join([*accuracies, str(len(group)), *sizes])} |"


def remarks(lines: Sequence[Line]) -> Iterator[str]:
    """Of one budget: what each thing is worth, and whether the comparison is fair."""
    budget = Budget(lines[0]["budget"])
    missing = [name for name in series(budget.name).cells if not points(lines, name)]
    if missing:
        yield f"Not run yet: {', '.join(missing)}."
    for effect in EFFECTS:
        said = sentence(lines, effect)
        if said is not None:
            yield said
    compared_cells = [compared(lines, effect.cell, effect.reference) for effect in EFFECTS]
    if any(each is not None and each.half_width is not None for each in compared_cells):
        yield "The intervals are Welch's, from the runs of the two cells alone."
    else:
        yield "Where a cell was run once, there is no interval."
    for name in ("documented-documented", "documented-modern"):
        group = [line for line in lines if line["cell"] == name]
        if group:
            width = spread([line["hyperparameters"]["width"] for line in group])
            epochs = statistics.mean(line["epochs_at_width_1"] for line in group)
            yield f"{CELLS[name].title}: at width {width}; at width 1, {epochs:.1f} epochs would have fitted."
    in_each = {
        precision: [f"{line['cell']} {line['seed']}" for line in lines if line["precision"] == precision]
        for precision in dict.fromkeys(line["precision"] for line in lines)
    }
    if len(in_each) > 1:
        told = "; ".join(f"{', '.join(runs)} in {precision}" for precision, runs in in_each.items())
        yield f"Not of one precision, so not of one speed, by cell and seed: {told}."
    off = [
        f"{line['cell']} with seed {line['seed']} took {format_seconds(line['seconds'])}"
        for line in lines
        if abs(line["seconds"] / budget.seconds - 1) > EQUAL
    ]
    if off:
        yield f"Not of equal time, by more than {100 * EQUAL:.0f} %: {'; '.join(off)}."
    else:
        yield f"Every run took {format_seconds(budget.seconds)}, within {100 * EQUAL:.0f} %."


def circumstances(lines: Sequence[Line]) -> str:
    """Machines, precisions, versions and commits of all lines."""
    found = [
        dict.fromkeys(
            f"{line['machine']['processor']}, {line['machine']['cores']} cores, "
            f"{', '.join(line['machine']['gpus']) or 'no GPU'}"
            for line in lines
        ),
        dict.fromkeys(f"trained in {line['precision']}" for line in lines),
        dict.fromkeys(
            f"TensorFlow {line['versions']['tensorflow']}, Keras {line['versions']['keras']}"
            for line in lines
        ),
        dict.fromkeys(f"commit {str(line['git_commit'])[:7]}" for line in lines),
    ]
    return "; ".join(" and ".join(each) for each in found) + "."


def table(lines: Sequence[Line]) -> Iterator[str]:
    """All budgets, the shortest first."""
    if not lines:
        yield "Nothing was run yet."
        return
    budgets = sorted({line["budget"] for line in lines}, key=lambda name: Budget(name).seconds)
    for number, budget in enumerate(budgets):
        if number:
            yield ""
        group = [line for line in lines if line["budget"] == budget]
        yield f"### {format_seconds(Budget(budget).seconds)} for every cell"
        yield ""
        yield from rows(group)
        yield ""
        yield from (f"- {remark}" for remark in remarks(group))
        yield ""
        yield circumstances(group)
