"""The cells: what is trained in each, and by which commands. No TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archsearch.settings import parse_time
from space.starting_points import STARTING_POINTS

FIXED = "fixed"
"""Of a fixed network's training: where the run's folder keeps it."""


@dataclass(frozen=True)
class Budget:
    """Wall-clock of every cell: a third for the search, two thirds for the final training."""

    name: str

    @property
    def seconds(self) -> float:
        return parse_time(self.name)

    @property
    def search_seconds(self) -> float:
        return self.seconds / 3

    @property
    def final_seconds(self) -> float:
        return self.seconds - self.search_seconds


@dataclass(frozen=True)
class Cell:
    """One way to spend the budget."""

    title: str
    recipe: str
    values: Mapping[str, Any] | None = None
    """Of the one network that is trained; `None`: one that is searched for."""
    max_width: float | None = None
    """The most by which the network is widened; `None`: what the time admits."""
    random: bool = False
    """Whether the search is one of random draws, without Hyperband."""


NO_SEARCH: Mapping[str, Any] = STARTING_POINTS[0]
"""The fixed network: the one with which every search begins. It was written down before any cell was run,
from what is published: Jordan, arXiv 2404.00498 (2024)."""

CELLS: dict[str, Cell] = {
    "documented-documented": Cell("documented network, documented recipe", "documented", {}, 1.0),
    "documented-modern": Cell("documented network, modern recipe", "modern", {}, 1.0),
    "found-documented": Cell("found network, documented recipe", "documented"),
    "found-modern": Cell("found network, modern recipe: the product", "modern"),
    "no-search": Cell("no search: a fixed network, modern recipe", "modern", NO_SEARCH),
    "random-search": Cell("random search, modern recipe", "modern", random=True),
}
"""By name, in the order they are run: random search takes its limits from the product's search."""

PRODUCT = "found-modern"


@dataclass(frozen=True)
class Series:
    """What is run at one budget."""

    seeds: tuple[int, ...]
    cells: tuple[str, ...] = field(default=tuple(CELLS))


SERIES = {
    "12m": Series(seeds=(0, 1, 2)),
    "90m": Series(seeds=(0,), cells=(PRODUCT, "no-search", "random-search")),
}
"""By budget; of another one, every cell is run once."""


def series(budget: str) -> Series:
    return SERIES.get(budget, Series(seeds=(0,)))


@dataclass(frozen=True)
class Job:
    """One cell, once."""

    cell: str
    budget: Budget
    seed: int
    dataset: str
    precision: str = "auto"
    """That networks are trained in: all cells of a budget in one."""

    @property
    def key(self) -> tuple[str, str, int]:
        """By which a line of results is known."""
        return self.cell, self.budget.name, self.seed

    @property
    def run(self) -> str:
        """Name of its run's folder."""
        return f"attribution-{self.budget.name}-{self.cell}-{self.seed}"

    @property
    def final(self) -> str:
        """Where in that folder the trained network is."""
        return "best" if CELLS[self.cell].values is None else FIXED

    def commands(self, logs: str, limits: Mapping[str, Any] | None) -> list[list[str]]:
        """What is run one after the other from the project's folder, each without the interpreter.

        Args:
            logs: Folder of all runs.
            limits: The plan of the product's search with this budget and seed, for a random one.
        """
        cell = CELLS[self.cell]
        if cell.values is not None:
            return [["benchmarks/attribution.py", "--train", json.dumps(self.fixed(logs))]]
        where = ["--run", self.run, "--logs", logs, "--overwrite"]
        final_time = f"{self.budget.final_seconds:g}s"
        search = ["search.py", *where, "--dataset", self.dataset, "--seed", str(self.seed)]
        search += ["--max-time", f"{self.budget.search_seconds:g}s", "--final-time", final_time]
        search += [
            "--precision",
            self.precision,
            "--recipe",
            cell.recipe,
            *(random_flags(limits or {}) if cell.random else ()),
        ]
        final = ["final_train.py", "--best", *where, "--max-time", final_time, "--tta", "--all-data"]
        return [search, final]

    def fixed(self, logs: str) -> dict[str, Any]:
        """What `benchmarks.attribution.fixed.train` needs."""
        cell = CELLS[self.cell]
        return {
            "folder": f"{logs}/{self.run}",
            "values": dict(cell.values or {}),
            "max_width": cell.max_width,
            "recipe": cell.recipe,
            "seconds": self.budget.seconds,
            "seed": self.seed,
            "dataset": self.dataset,
            "precision": self.precision,
        }


def random_flags(limits: Mapping[str, Any]) -> list[str]:
    """Of a search that trains every draw with the full fidelity of the product's search, within its limits.

    A factor above the fidelity leaves Hyperband one bracket of one rung: nothing is promoted. Without
    starting points every network but the baseline is drawn.
    """
    flags = ["--max-epochs", str(limits["max_epochs"]), "--factor", str(limits["max_epochs"] + 1)]
    flags += ["--images-per-epoch", str(limits["images_per_epoch"]), "--confirm", "0"]
    flags += ["--starting-points", "no"]
    return flags if limits["max_macs"] is None else [*flags, "--max-macs", str(limits["max_macs"])]
