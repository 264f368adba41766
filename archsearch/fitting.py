"""From the time given and the speed of this machine to a plan. No TensorFlow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from archsearch.class_measures import validation_passes
from archsearch.errors import UserError
from archsearch.plan import FINAL_EPOCHS, Plan, Speed
from archsearch.population import Population
from archsearch.settings import SearchSettings
from archsearch.time_fit import Work
from space.recipe import RECIPES

AMBITIONS: tuple[tuple[int, float, float], ...] = (
    (81, 1.0, 1.0),
    (27, 1.0, 1 / 2),
    (27, 0.5, 1 / 4),
    (9, 1.0, 1 / 4),
    (9, 0.5, 1 / 8),
    (9, 0.2, 1 / 16),
    (3, 0.5, 1 / 16),
    (3, 0.2, 1 / 32),
)
"""What a search should afford, the best first: max_epochs; the least share of the training images in an
epoch; the least limit on macs, as a share of the documented network's. Powers of the usual factor 3 make
every rung a whole number of epochs. Nine epochs of a fifth of the images at a quarter of the width come
before three epochs of all: more structures are tried, on a ladder of three rungs."""

SHARES = tuple(step / 20 for step in range(20, 3, -1))
"""Of the training images, that an epoch of the search may pass over."""

MIN_IMAGES = 1000
"""An epoch on fewer is not made smaller."""

RESERVE = 0.1
"""Share of the time that is not planned: files, and networks that are slower than expected."""

START_UP = 12.0
"""Seconds from the command to the plan: loading TensorFlow, and measuring. What `--plan` assumes."""

BASELINE_SHARE = 0.25
"""Of the time, that the baseline may take at most."""

CONFIRM_SHARE = 0.25
"""Of the time, that the confirmations may take at most."""


def fit(
    settings: SearchSettings,
    *,
    population: Population,
    num_train: int,
    num_validation: int,
    speed: Speed,
    final_speed: Speed | None = None,
    spent_seconds: float = START_UP,
    workers: int = 1,
    trials_per_device: float = 1.0,
) -> Plan:
    """The first of the ambitions that fits, with as many images, macs and iterations as the time admits.

    Without a time limit the plan is what the settings say, with the speed only telling how long it takes.

    Args:
        settings: What is given is kept.
        population: Costs of the networks to choose from.
        num_train: Training images, the validation split taken off.
        num_validation: Validation images.
        speed: Of this machine, in a search.
        final_speed: Of a network as large as the one in the final training; `None`: like `speed`.
        spent_seconds: Of the time given, before the first trial.
        workers: Trials at a time.
        trials_per_device: That share a GPU, or the cores.

    Returns:
        A plan whose expected seconds are within nine tenths of the time that is left, if there is any;
        otherwise the smallest one, whose last brackets will not be started.
    """
    if settings.images_per_epoch is not None and settings.images_per_epoch > num_train:
        raise UserError(
            f"--images-per-epoch {settings.images_per_epoch} is more than the {num_train} training images."
        )
    final_macs = final_macs_of(
        settings,
        population=population,
        num_train=num_train,
        num_validation=num_validation,
        speed=final_speed or speed,
    )
    if final_macs is not None:
        limits = (settings.max_macs, max(final_macs, population.tightest))
        settings = dataclasses.replace(settings, max_macs=min(each for each in limits if each is not None))
    choice = _Choice(
        settings,
        population,
        num_train,
        num_validation,
        speed,
        spent_seconds,
        final_macs,
        workers,
        trials_per_device,
    )
    if settings.max_seconds is None:
        max_epochs = settings.max_epochs or AMBITIONS[0][0]
        return choice.plan(max_epochs, choice.images()[0], settings.max_macs, confirm=settings.confirm)
    # One confirmed network says more than two networks twice as large that are not.
    few = min(settings.confirm, 1)
    return choice.filled(choice.best(confirm=few) or choice.best(confirm=0) or choice.smallest())


def final_macs_of(
    settings: SearchSettings,
    *,
    population: Population,
    num_train: int,
    num_validation: int,
    speed: Speed,
) -> int | None:
    """Of the largest network for whose final training its time is enough; `None` without such a time."""
    if settings.final_seconds is None or not population.counted:
        return None
    batch_size = RECIPES[settings.recipe].batch_size
    validated = validation_passes(settings.objective) * num_validation
    work = Work.final(num_train=num_train, num_validation=validated, batch_size=batch_size)
    macs = int(work.macs_for(FINAL_EPOCHS, settings.final_seconds, speed))
    return macs if settings.max_macs is None else min(macs, settings.max_macs)


@dataclass(frozen=True)
class _Choice:
    """What is fixed while `fit` tries fidelities, images and limits."""

    settings: SearchSettings
    population: Population
    num_train: int
    num_validation: int
    speed: Speed
    spent_seconds: float
    final_macs: int | None
    workers: int
    trials_per_device: float

    @property
    def seconds(self) -> float:
        """What may be planned."""
        assert self.settings.max_seconds is not None
        return max(0.0, self.settings.max_seconds - self.spent_seconds) * (1 - RESERVE)

    def images(self) -> list[int]:
        """Images per epoch worth trying, the most first."""
        if self.settings.images_per_epoch is not None:
            return [self.settings.images_per_epoch]
        fewest = min(MIN_IMAGES, self.num_train)
        return sorted({max(fewest, round(share * self.num_train)) for share in SHARES}, reverse=True)

    def plan(self, max_epochs: int, images: int, limit: int | None, *, confirm: int) -> Plan:
        """The plan of these choices, whatever it costs; the baseline as wide as its share admits."""
        width, macs = self._baseline(max_epochs, images, limit)
        return Plan(
            max_epochs=max_epochs,
            factor=self.settings.factor,
            iterations=self.settings.iterations or 1,
            images_per_epoch=self.settings.images_per_epoch or images,
            num_validation=self.num_validation,
            validation_passes=validation_passes(self.settings.objective),
            confirm=confirm,
            baseline_width=width,
            max_macs=limit,
            max_params=self.settings.max_params,
            workers=self.workers,
            trials_per_device=self.trials_per_device,
            final_macs=self.final_macs,
            max_seconds=self.settings.max_seconds,
            cost=self.population.cost(limit, macs),
            speed=self.speed,
        )

    def _baseline(self, max_epochs: int, images: int, limit: int | None) -> tuple[float, int]:
        affordable = limit
        if self.settings.max_seconds is not None:
            speed = self.speed.shared(self.trials_per_device)
            seconds = BASELINE_SHARE * self.settings.max_seconds - speed.overhead_seconds
            validated = validation_passes(self.settings.objective) * self.num_validation
            per_mac = max_epochs * (3 * images + validated) / speed.macs_per_second
            affordable = int(seconds / per_mac) if limit is None else min(int(seconds / per_mac), limit)
        return self.population.baseline(affordable)

    def loosest(self, max_epochs: int, images: int, *, confirm: int) -> Plan | None:
        """The plan with the loosest limit on macs that fits the time."""
        for limit in self.population.limits(self.settings.max_macs):
            plan = self.plan(max_epochs, images, limit, confirm=confirm)
            if self.fits(plan):
                return plan
        return None

    def fits(self, plan: Plan) -> bool:
        """Whether all of it is within the time, and the confirmations within their share."""
        assert self.settings.max_seconds is not None
        return (
            plan.seconds <= self.seconds and plan.confirm_seconds <= CONFIRM_SHARE * self.settings.max_seconds
        )

    def filled(self, plan: Plan) -> Plan:
        """The plan with as many confirmations as asked for, else fewer, and the iterations that still fit."""
        for confirm in range(self.settings.confirm if plan.confirm else 0, plan.confirm, -1):
            more = self._iterated(dataclasses.replace(plan, confirm=confirm))
            if self.fits(more):
                return more
        return self._iterated(plan)

    def _iterated(self, plan: Plan) -> Plan:
        if self.settings.iterations is not None:
            return plan
        more = plan.with_more_time(self.seconds)
        return dataclasses.replace(more, max_seconds=self.settings.max_seconds)

    @property
    def ambitions(self) -> tuple[tuple[int, float, float], ...]:
        """At the fidelity given, if one is."""
        given = self.settings.max_epochs
        return tuple((given or max_epochs, images, macs) for max_epochs, images, macs in AMBITIONS)

    def smallest(self) -> Plan:
        """What takes the least time."""
        tightest = list(self.population.limits(self.settings.max_macs))[-1]
        return self.plan(self.ambitions[-1][0], self.images()[-1], tightest, confirm=0)

    def best(self, *, confirm: int) -> Plan | None:
        """The first ambition that fits, else what fits with the largest networks."""
        fitting = []
        for max_epochs, images_share, macs_share in self.ambitions:
            for images in self.images():
                if images < round(images_share * self.num_train) and self.settings.images_per_epoch is None:
                    continue
                plan = self.loosest(max_epochs, images, confirm=confirm)
                if plan is not None and self._reaches(plan, macs_share):
                    return plan
                fitting += [plan] if plan is not None else []
        return max(fitting, key=lambda plan: plan.max_macs or 0, default=None)

    def _reaches(self, plan: Plan, share: float) -> bool:
        """Whether networks may be as large as wanted, or as large as the user, or the space, lets them be."""
        if plan.max_macs == self.settings.max_macs:
            return True
        _, widest_macs = self.population.baseline(None)
        return plan.max_macs is not None and plan.max_macs >= share * widest_macs
