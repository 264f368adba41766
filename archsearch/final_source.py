"""Where a final training gets its network and its images from: a run, or the documented network alone."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from archsearch.class_measures import CLASS_OBJECTIVES
from archsearch.dataset import Splits, load
from archsearch.errors import UserError
from archsearch.final_task import widened
from archsearch.measuring import measure
from archsearch.own_space import load_space
from archsearch.problem import built_in_hypermodel, hypermodel_name
from archsearch.reporting.progress import DecodingProgress
from archsearch.run import BUILT_IN, Run, open_run
from archsearch.run_folder import RunFolder
from archsearch.task import TrainingData, recipe_of
from archsearch.trials import TrialRecord
from space.recipe import DOCUMENTED, RECIPES, Recipe
from space.sampling import OF_RECIPE

DOCUMENTED_NETWORK = "documented"
"""In place of a trial: the documented network, which needs no search."""

BEST = "best"
"""In place of a trial's id: the incumbent."""


@dataclass(frozen=True)
class FinalSource:
    """What is trained, and the search behind it."""

    what: str
    """`BEST`, `DOCUMENTED_NETWORK`, or the id of a trial."""
    folder: RunFolder
    run: Run | None
    """`None`: the documented network without a search."""
    record: TrialRecord | None
    """The trial whose network it is; `None` for the documented one."""

    @classmethod
    def of(cls, what: str, folder: RunFolder, *, own_images: bool) -> FinalSource:
        """Reads the run.

        Args:
            what: As above.
            folder: Of the run.
            own_images: Whether others are trained on than the run's; the documented network then needs none.

        Raises:
            UserError: There is no such run or trial, or none has completed.
        """
        if what == DOCUMENTED_NETWORK and (own_images or not folder.exists()):
            return cls(what, folder, None, None)
        run = open_run(folder.path)
        return cls(what, folder, run, None if what == DOCUMENTED_NETWORK else _record(run, what))

    @property
    def seed(self) -> int:
        """Of the run; 0 without one."""
        return self.run.settings.seed if self.run is not None else 0

    @property
    def final_seconds(self) -> float | None:
        """Wall-clock of the final training that the search aimed at with the networks it found."""
        return self.run.settings.final_seconds if self.run is not None and self.record is not None else None

    @property
    def precision(self) -> str:
        """As asked for in the search."""
        return self.run.settings.precision if self.run is not None else "auto"

    @property
    def space(self) -> str:
        """`module:Class` of the space that the network is of."""
        return self.run.stored["hypermodel"] if self.run is not None and self.record is not None else BUILT_IN

    def load(self, data: Any, *, seed: int, verbose: bool) -> Splits:
        """The images of the run, with its validation split.

        Args:
            data: Instead of what the run was searched on; `None`: that.
            seed: Of the validation split where there is no run.
            verbose: Whether progress is shown on stderr.

        Raises:
            UserError: They cannot be read, are not those of the run, or have no test part.
        """
        run = self.run
        if data is None:
            data = "cifar10" if run is None else run.settings.dataset
        if run is not None and isinstance(data, str) and data == "arrays":
            raise UserError(
                "This run was searched on arrays: call archsearch.final_train(data=...) with them."
            )
        flip, size = ("auto", None) if run is None else (run.settings.flip, run.settings.size)
        with ExitStack() as stack:
            decoding = stack.enter_context(DecodingProgress()) if verbose else None
            splits = load(
                data,
                seed=seed if run is None else run.settings.seed,
                flip=flip,
                image_size=size,
                cache=self.folder.cache,
                on_images=decoding.update if decoding else None,
            )
            if run is not None and splits.content_hash != run.stored["dataset"]["content_hash"]:
                raise UserError(
                    f"The images of {splits.name} are not those that {self.folder.path} was searched on."
                )
            if splits.prepare_test is not None:  # too many broken files are better found before than after
                splits.prepare_test()
        if not splits.has_test:
            raise UserError(f"{splits.name} has no test part, on which a final training ends.")
        return splits

    def hypermodel(self, given: Any, recipe: str | None, splits: Splits) -> Any:
        """The family of the network, with the recipe that trains it.

        Args:
            given: The one that is handed in; needed where the run searched one of a program's own.
            recipe: Name; `None`: the run's, or the documented one for the documented network.
            splits: Whose images it is for.

        Raises:
            UserError: It is not the one that was searched, or brings a recipe besides the one asked for.
        """
        run, stored = self.run, self.space
        if given is not None:
            if recipe is not None:
                raise UserError("A hypermodel that is handed in brings its own recipe; leave `recipe` out.")
            if hypermodel_name(given) != stored:
                raise UserError(f"This run searched {stored}, not {hypermodel_name(given)}.")
            return given
        if run is not None and stored != BUILT_IN and run.settings.space is not None:
            if recipe is not None:
                raise UserError("A space of your own brings its own recipe; leave --recipe out.")
            return load_space(run.settings.space, splits, splits.statistics)
        if stored != BUILT_IN:
            raise UserError(
                f"This run searched {stored}: call archsearch.final_train(hypermodel=...) with it."
            )
        if recipe is not None:
            trained_by = RECIPES[recipe]
        elif run is None or self.record is None:
            trained_by = DOCUMENTED
        else:  # as it was then, whatever a later version means by its name
            trained_by = Recipe.from_dict(run.stored["recipe"])
        return built_in_hypermodel(splits, trained_by, splits.statistics)

    def notes(self, hypermodel: Any) -> list[str]:
        """What is not as it was in the search."""
        if not self._is_by_another_recipe(hypermodel):
            return []
        recipe = recipe_of(hypermodel, flip=True).name
        return [f"the search trained by another recipe: learning rate and weight decay are those of {recipe}"]

    def _is_by_another_recipe(self, hypermodel: Any) -> bool:
        if self.run is None or self.record is None or self.space != BUILT_IN:
            return False
        return recipe_of(hypermodel, flip=True).name != self.run.stored["recipe"]["name"]

    def values(self, hypermodel: Any) -> dict[str, Any]:
        """Of the network as it is trained: the one found, widened to what the search aimed at.

        By another recipe than the search's it is trained at that one's own rate and weight decay.

        Raises:
            UserError: They give another network than the one that was searched.
        """
        if self.run is None or self.record is None:
            return {}
        values, searched = self.record.hyperparameters, self.record.architecture
        now = measure(hypermodel, values).architecture if searched is not None else None
        built = json.loads(json.dumps(now.to_dict())) if now is not None else {}  # as it is stored
        if searched is not None and now is not None and built != {**built, **searched}:
            raise UserError(
                f"With the values of {self.record.trial_id} this version builds another network than the one "
                f"that was searched. Search again, or use the version of {self.folder.settings}."
            )
        if self._is_by_another_recipe(hypermodel):
            values = {name: value for name, value in values.items() if name not in OF_RECIPE}
        plan = self.run.plan
        return widened(hypermodel, values, plan.final_macs, max_params=plan.max_params)

    def training_data(self, splits: Splits, *, all_data: bool) -> TrainingData:
        """The images that are trained on, weighed and judged as in the search.

        Args:
            splits: All images.
            all_data: Whether the validation part is trained on too; there is none to validate on then.
        """
        run = self.run
        return TrainingData(
            splits.read_both() if all_data else splits.train,
            None if all_data else splits.validation,
            splits.num_classes,
            splits.flip,
            class_weights=run.settings.class_weights if run is not None else "none",
            class_measures=run is not None and run.settings.objective in CLASS_OBJECTIVES,
        )


def _record(run: Run, what: str) -> TrialRecord:
    if what == BEST:
        if run.incumbent is None:
            raise UserError(
                f"No trial of {run.folder.path} has completed yet, so there is no best network. "
                "Continue the search, or train --documented."
            )
        return run.incumbent
    for record in run.trials:
        if record.trial_id == what:
            return record
    known = ", ".join(record.trial_id for record in run.trials[:5])
    raise UserError(f"There is no trial {what!r} in {run.folder.path}; there are {known}, ...")
