"""What networks of a space cost on the images of a search. No TensorFlow."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean as mean
from typing import Any

from archsearch.errors import UserError
from archsearch.given_network import WIDTHS, architecture_of, narrowed, widest
from archsearch.plan import Cost
from archsearch.settings import SearchSettings
from space.architecture import Architecture, ImageShape
from space.recipe import RECIPES
from space.sampling import RandomDraw, random_architectures, sample
from space.starting_points import STARTING_POINTS

POPULATION = 1000
"""Random networks drawn to learn what a trial may cost."""


@dataclass(frozen=True)
class Population:
    """What networks of the space cost on these images.

    Of another space than the built-in one every network counts like its default one: as its macs, or
    as 1 mac where it has no `Architecture`.
    """

    macs: tuple[int, ...]
    """Of random networks, narrowed to the limits that are given, ascending."""
    baselines: tuple[tuple[float, int], ...]
    """Width and macs of those within the limit on weights, the widest first; at least one."""
    known_macs: tuple[int, ...] = ()
    """Of networks that the search begins with, narrowed likewise; half of what it draws is near them."""

    def baseline(self, limit: float | None) -> tuple[float, int]:
        """The widest one within a limit on macs, else the narrowest."""
        within = (each for each in self.baselines if limit is None or each[1] <= limit)
        return next(within, self.baselines[-1])

    def cost(self, limit: float | None, baseline_macs: float) -> Cost:
        """What the trials of a search are expected to cost, whose networks are narrowed to this limit."""
        within = [macs if limit is None else min(macs, limit) for macs in self.macs]
        drawn, promoted = mean(within), mean(within[len(within) // 2 :])
        if self.known_macs:
            near = mean(macs if limit is None else min(macs, limit) for macs in self.known_macs)
            drawn, promoted = (drawn + near) / 2, max(promoted, near)
        return Cost(baseline_macs=baseline_macs, first_rung_macs=drawn, promoted_macs=promoted)

    @property
    def counted(self) -> bool:
        """Whether these are macs, not the 1 that stands for what nobody can know."""
        return self.macs != (1,)

    @property
    def tightest(self) -> int:
        """A limit on macs that one network in a hundred meets at its full width.

        The tightest that a plan sets by itself: under it, nearly all would have a handful of filters.
        """
        return self.macs[len(self.macs) // 100]

    def limits(self, largest: int | None) -> Iterator[int | None]:
        """Limits on macs worth trying, the loosest first: `None` or the one given, then ever smaller."""
        yield largest
        tighter = self.macs[-1] if largest is None else min(largest, self.macs[-1])
        for percent in (*range(95, 0, -5), 1):
            limit = self.macs[len(self.macs) * percent // 100]
            if limit < tighter:
                yield limit


def family_population(
    image_shape: ImageShape,
    num_classes: int,
    *,
    settings: SearchSettings,
    baseline: Mapping[str, Any] | None = None,
) -> Population:
    """Of the built-in space.

    Args:
        image_shape: Height, width, channels.
        num_classes: Of the images.
        settings: Their limits.
        baseline: Values of another network than the documented one, over the defaults.

    Raises:
        UserError: No network, or not even the narrowest documented one, is within the limits.
    """

    def within(architecture: Architecture, limit: float | None) -> bool:
        return (limit is None or architecture.macs(image_shape) <= limit) and (
            settings.max_params is None
            or architecture.params(image_shape, num_classes) <= settings.max_params
        )

    def narrowed_macs(architecture: Architecture) -> int | None:
        """Of the widest version within the limits."""
        width = widest(lambda width: within(architecture.scaled(width), settings.max_macs))
        return None if width is None else architecture.scaled(width).macs(image_shape)

    base = RECIPES[settings.recipe]
    drawn = random_architectures(POPULATION, seed=0, base=base)
    corners = [architecture.scaled(WIDTHS[-1]) for architecture in _corners(settings)]
    admitted = [macs for architecture in drawn if (macs := narrowed_macs(architecture)) is not None]
    # Corners are no fair sample; they only tell what there is where random draws hardly meet the limits.
    admitted = admitted or [
        architecture.macs(image_shape) for architecture in corners if within(architecture, settings.max_macs)
    ]
    if not admitted:
        raise UserError(_nothing_fits(corners, image_shape, num_classes))

    baselines = [(width, architecture_of(narrowed(baseline or {}, width), base)) for width in WIDTHS]
    narrowest = baselines[-1][1]
    if not within(narrowest, settings.max_macs):
        what = "network given" if baseline else "documented network"
        raise UserError(
            f"The baseline cannot meet these limits: the {what} at its narrowest has "
            f"{_size(narrowest, image_shape, num_classes)}. Raise --max-macs or --max-params."
        )
    # Those that earlier searches found are not known yet; these stand for them, as they often won.
    begun_with = STARTING_POINTS if settings.starting_points == "yes" or settings.from_runs else ()
    known = (narrowed_macs(architecture_of(values, base)) for values in begun_with)
    return Population(
        macs=tuple(sorted(admitted)),
        baselines=tuple(
            (width, network.macs(image_shape)) for width, network in baselines if within(network, None)
        ),
        known_macs=tuple(macs for macs in known if macs is not None),
    )


def _corners(settings: SearchSettings) -> list[Architecture]:
    """Networks at the ends of all ranges: the smallest and the largest of the space are among them."""
    rng = random.Random(0)

    class Ends(RandomDraw):
        def Choice(self, name: str, values: Sequence[Any], default: Any = None) -> Any:
            return rng.choice((values[0], values[-1]))

    return [sample(Ends(rng), RECIPES[settings.recipe])[0] for _ in range(POPULATION)]


def _nothing_fits(drawn: Sequence[Architecture], image_shape: ImageShape, num_classes: int) -> str:
    fewest_macs = min(drawn, key=lambda architecture: architecture.macs(image_shape))
    fewest_params = min(drawn, key=lambda architecture: architecture.params(image_shape, num_classes))
    return (
        f"No network meets these limits. The one with the fewest macs has "
        f"{_size(fewest_macs, image_shape, num_classes)}, the one with the fewest weights "
        f"{_size(fewest_params, image_shape, num_classes)}."
    )


def _size(architecture: Architecture, image_shape: ImageShape, num_classes: int) -> str:
    macs, params = architecture.macs(image_shape), architecture.params(image_shape, num_classes)
    return f"{macs:,} macs and {params:,} weights"
