"""The space on some images: what is built, from what, and what a network costs."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch import runtime
from archsearch.class_measures import CLASS_OBJECTIVES
from archsearch.dataset import Splits
from archsearch.errors import HyperModelError, UserError
from archsearch.final_task import WIDTH_STEP, widened
from archsearch.given_network import narrowed
from archsearch.image_statistics import ImageStatistics
from archsearch.measuring import Measured, admits, measure, narrowed_to
from archsearch.own_space import load_space
from archsearch.plan import Plan
from archsearch.population import Population, family_population
from archsearch.run import BUILT_IN
from archsearch.settings import SearchSettings
from space.recipe import RECIPES, Recipe
from space.starting_points import STARTING_POINTS

if TYPE_CHECKING:
    import keras_tuner

    from archsearch.task import TrainingData


@dataclass(frozen=True)
class Problem:
    """The space on these images: what is built, from what, and what it costs."""

    hypermodel: keras_tuner.HyperModel
    data: TrainingData
    statistics: ImageStatistics
    population: Population
    measure: Callable[[dict[str, Any]], Measured]
    recipe: dict[str, Any] | None
    baseline: dict[str, Any]
    """Values of trial 0 over the defaults, before it is narrowed."""
    own: bool
    """Whether the space is the user's own, whose mistakes show their traceback."""

    @property
    def users(self) -> keras_tuner.HyperModel | None:
        """The hypermodel if it is the user's own."""
        return self.hypermodel if self.own else None

    def fit(self, values: dict[str, Any], plan: Plan) -> dict[str, Any] | None:
        """A network within the limits of the plan, or `None`; those of the user's own are not narrowed."""

        def admitted(each: Mapping[str, Any]) -> bool:
            return admits(self.measure(dict(each)), plan)

        if self.own:
            return values if admitted(values) else None
        return narrowed_to(values, admitted)

    def cost(self, values: dict[str, Any]) -> float:
        """Macs of a network, by which trials are ordered; nothing is built to know them."""
        return (self.measure(values).macs or 0.0) if self.population.counted else 0.0

    def baseline_values(self, width: float) -> dict[str, Any]:
        """Of trial 0, narrowed; networks of the user's own are not."""
        return dict(self.baseline) if self.own else narrowed(self.baseline, width)

    def measured_network(self, limit: float | None) -> tuple[dict[str, Any], int]:
        """Values and macs of a network to measure the speed on: the widest baseline within the limit."""
        if self.measure(self.baseline).macs is None:
            return dict(self.baseline), 1
        width, macs = self.population.baseline(limit)
        return self.baseline_values(width), macs

    def final_network(self, limit: int) -> tuple[dict[str, Any], int]:
        """The same for a final training: a starting point, as those found are rarely as deep as the baseline.

        Deep and narrow networks are slower per mac than shallow and wide ones.
        """
        if self.own:
            return self.measured_network(limit)
        values = widened(self.hypermodel, {**STARTING_POINTS[0], "width": WIDTH_STEP}, limit)
        return values, self.measure(values).macs or 1

    def searched_macs(self, settings: SearchSettings) -> float | None:
        """About what the plan will come to: on a CPU a fraction of the documented network's macs.

        On a GPU that network takes milliseconds.
        """
        macs = self.measure(self.baseline).macs
        if macs is None:
            return None
        wanted = macs if runtime.import_tensorflow().config.list_physical_devices("GPU") else macs / 16
        return min(wanted, settings.max_macs or wanted)


def problem_of(
    settings: SearchSettings,
    splits: Splits,
    hypermodel: keras_tuner.HyperModel | None,
    baseline: dict[str, Any],
) -> Problem:
    """What a search with these settings has to do with these images.

    Args:
        settings: Of the search.
        splits: The images.
        hypermodel: Of the user's own; `None`: that of the settings, else the built-in one.
        baseline: Values of trial 0 over the defaults.
    """
    from archsearch.task import TrainingData, recipe_of

    data = TrainingData(
        splits.train,
        splits.validation,
        splits.num_classes,
        splits.flip,
        class_weights=settings.class_weights,
        class_measures=settings.objective in CLASS_OBJECTIVES,
    )
    statistics = splits.statistics
    if hypermodel is None and settings.space is not None:
        hypermodel = load_space(settings.space, splits, statistics)
    if hypermodel is not None:
        count_params = settings.max_params is not None
        with built_by_the_user(hypermodel):
            macs = measure(hypermodel, baseline, count_params=count_params).macs or 1
        if settings.max_macs is not None and not hasattr(hypermodel, "architecture"):
            raise UserError(
                "--max-macs needs a space that knows its networks' macs; this one has no `architecture`."
            )
        population = Population(macs=(macs,), baselines=((1.0, macs),))
        recipe = recipe_of(hypermodel, flip=splits.flip).to_dict()
        return Problem(
            hypermodel,
            data,
            statistics,
            population,
            lambda values: _measured_if_built(hypermodel, values, count_params=count_params),
            recipe,
            baseline,
            own=True,
        )
    built_in = built_in_hypermodel(splits, RECIPES[settings.recipe], statistics)
    return Problem(
        hypermodel=built_in,
        data=data,
        statistics=statistics,
        population=family_population(
            splits.image_shape, splits.num_classes, settings=settings, baseline=baseline
        ),
        measure=lambda values: measure(built_in, values),
        recipe=recipe_of(built_in, flip=splits.flip).to_dict(),
        baseline=baseline,
        own=False,
    )


def _measured_if_built(
    hypermodel: keras_tuner.HyperModel, values: dict[str, Any], *, count_params: bool
) -> Measured:
    """Nothing is known of a network of the user's own that cannot be built: its trial fails, and says why."""
    try:
        return measure(hypermodel, values, count_params=count_params)
    except Exception:
        return Measured(None, None, None)


def built_in_hypermodel(splits: Splits, recipe: Recipe, statistics: ImageStatistics) -> Any:
    """The VGG space for these images, as it is trained."""
    from space.hypermodel import VGGHyperModel

    return VGGHyperModel(
        splits.image_shape, splits.num_classes, recipe=recipe, statistics=statistics, batch_norm="fused"
    )


@contextlib.contextmanager
def built_by_the_user(
    hypermodel: keras_tuner.HyperModel | None,
    failed: str = "cannot be built",
    others: Sequence[BaseException] = (),
) -> Iterator[None]:
    """What the user's own hypermodel raises inside, with the values that caused it.

    Args:
        hypermodel: `None`: it is not the user's own, and nothing is changed.
        failed: What is said of it.
        others: Exceptions that are not its fault.

    Raises:
        HyperModelError: Its cause is the exception.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if hypermodel is None or any(error is other for other in others):
            raise
        name, values = hypermodel_name(hypermodel), _values_at(error)
        raise HyperModelError(f"{name} {failed} with {values}: {type(error).__name__}: {error}") from error


def _values_at(error: BaseException) -> dict[str, Any]:
    """The values that were being built: those of the last `hp` on the way to the exception."""
    import keras_tuner

    # Those before it are Keras Tuner's, which may not know these values.
    frames = reversed([frame for frame, _ in traceback.walk_tb(error.__traceback__)])
    found = (frame.f_locals.get("hp") for frame in frames)
    return next((dict(hp.values) for hp in found if isinstance(hp, keras_tuner.HyperParameters)), {})


def hypermodel_name(hypermodel: keras_tuner.HyperModel | None) -> str:
    """`module:Class`; the built-in space's for `None`."""
    if hypermodel is None:
        return BUILT_IN
    return f"{type(hypermodel).__module__}:{type(hypermodel).__qualname__}"


def describe_dataset(splits: Splits, statistics: ImageStatistics) -> dict[str, Any]:
    """What settings.json and result.json say of the images."""
    return {
        "name": splits.name,
        "content_hash": splits.content_hash,
        "image_shape": list(splits.image_shape),
        "class_names": list(splits.class_names),
        "num_train": len(splits.train),
        "num_validation": len(splits.validation),
        "flip": splits.flip,
        "statistics": statistics.to_json(),
    }
