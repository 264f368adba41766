"""The table, in Markdown, and what it says in words: means and deviations, never the best."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archsearch.quantities import format_seconds
from benchmarks.attribution.cells import CELLS, PRODUCT, Budget, series
from benchmarks.attribution.running import machine_of
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
            of,
            f"{network}-modern",
            f"{network}-documented",
            "the modern recipe does better than the documented one",
            "the modern recipe does worse than the documented one",
        )
        for network, of in (
            ("documented", "of the documented network"),
            ("found", "of what each search found"),
        )
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
    """Of two cells, in points.

    Args:
        differences: One of each seed.
    """

    differences: tuple[float, ...]

    @property
    def difference(self) -> float:
        return statistics.mean(self.differences)

    @property
    def half_width(self) -> float | None:
        """Of the 95 % interval, Student's of the differences; `None` of a single seed."""
        seeds = len(self.differences)
        if seeds < 2:
            return None
        from scipy.special import stdtrit

        return float(stdtrit(seeds - 1, 0.975)) * statistics.stdev(self.differences) / seeds**0.5

    @property
    def is_noise(self) -> bool:
        """Whether the interval holds 0."""
        return self.half_width is not None and abs(self.difference) <= self.half_width

    def __str__(self) -> str:
        if self.half_width is None:
            return f"{self.difference:+.2f} points"
        low, high = self.difference - self.half_width, self.difference + self.half_width
        each = ", ".join(f"{one:+.2f}" for one in self.differences)
        return f"{self.difference:+.2f} points (95 % interval {low:+.2f} to {high:+.2f}; by seed {each})"


def points(lines: Sequence[Line], cell: str, name: str = "test_accuracy") -> list[float]:
    """Of every run of a cell, in percent."""
    return [100 * line[name] for line in lines if line["cell"] == cell]


def compared(lines: Sequence[Line], cell: str, reference: str) -> Comparison | None:
    """Two cells, seed by seed; `None` if no machine ran both with one seed.

    The same time is worth another accuracy on another machine, so that only runs of one machine are taken
    from each other. One seed on several machines counts once, by its mean: it has the same validation part
    and the same draws there.

    Args:
        lines: Of one budget, in the order in which the seeds are told.
        cell: What is looked at.
        reference: What is taken off.
    """
    of_reference = {pair(line): 100 * line["test_accuracy"] for line in lines if line["cell"] == reference}
    by_seed: dict[int, list[float]] = defaultdict(list)
    for line in lines:
        if line["cell"] == cell and pair(line) in of_reference:
            by_seed[line["seed"]].append(100 * line["test_accuracy"] - of_reference[pair(line)])
    return Comparison(tuple(map(statistics.mean, by_seed.values()))) if by_seed else None


def pair(line: Line) -> tuple[str, int]:
    """Machine and seed."""
    return machine_of(line), line["seed"]


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
    """Of one budget on one machine."""
    accuracies = "test accuracy, one view, % | several views averaged, %"
    yield f"| cell | {accuracies} | seeds | M macs | epochs | minutes |"
    yield "|---|---|---|---|---|---|---|"
    for name, cell in CELLS.items():
        group = [line for line in lines if line["cell"] == name]
        if not group:
            continue
        shown = [spread(points(group, name, which)) for which in ("test_accuracy", "test_accuracy_tta")]
        seeds = ", ".join(str(line["seed"]) for line in group)
        sizes = (
            spread([line["macs"] / 1e6 for line in group], 0),
            spread([line["num_epochs"] for line in group], 0),
            spread([line["seconds"] / 60 for line in group], 1),
        )
        yield f"| {cell.title} | {' | '.join([*shown, seeds, *sizes])} |"


def effects(lines: Sequence[Line]) -> Iterator[str]:
    """Of one budget on all machines: what each thing is worth."""
    for effect in EFFECTS:
        said = sentence(lines, effect)
        if said is not None:
            yield said


def remarks(lines: Sequence[Line]) -> Iterator[str]:
    """Of one budget on one machine: what is missing, what was narrowed, and whether the cells are equal."""
    budget = Budget(lines[0]["budget"])
    missing = [name for name in series(budget.name).cells if not points(lines, name)]
    if missing:
        yield f"Not run: {', '.join(missing)}."
    for name in ("documented-documented", "documented-modern"):
        group = [line for line in lines if line["cell"] == name]
        if group:
            width = spread([line["hyperparameters"]["width"] for line in group])
            epochs = statistics.mean(line["epochs_at_width_1"] for line in group)
            yield f"{CELLS[name].title}: at width {width}; at width 1, {epochs:.1f} epochs would have fitted."
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
    """Versions and commits of all lines of one machine."""
    found = [
        dict.fromkeys(
            f"TensorFlow {line['versions']['tensorflow']}, Keras {line['versions']['keras']}"
            for line in lines
        ),
        dict.fromkeys(f"commit {str(line['git_commit'])[:7]}" for line in lines),
    ]
    return "; ".join(" and ".join(each) for each in found)


def table(lines: Sequence[Line]) -> Iterator[str]:
    """All budgets, the shortest first; of each all machines, and then what they say together."""
    if not lines:
        yield "Nothing was run yet."
        return
    budgets = sorted({line["budget"] for line in lines}, key=lambda name: Budget(name).seconds)
    for number, budget in enumerate(budgets):
        if number:
            yield ""
        group = sorted((line for line in lines if line["budget"] == budget), key=lambda line: line["seed"])
        yield f"### {format_seconds(Budget(budget).seconds)} for every cell"
        for machine in dict.fromkeys(machine_of(line) for line in group):
            here = [line for line in group if machine_of(line) == machine]
            yield ""
            yield f"On {machine} ({circumstances(here)}):"
            yield ""
            yield from rows(here)
            yield ""
            yield from (f"- {remark}" for remark in remarks(here))
        said = list(effects(group))
        if said:
            yield ""
            yield (
                "What each thing is worth, from runs with the same seed on the same machine, by seed the "
                "mean of all machines:"
            )
            yield ""
            yield from (f"- {each}" for each in said)
