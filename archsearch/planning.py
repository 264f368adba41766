"""The plan of a search: of one that is stored, of a new one, and before either is run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from archsearch import fitting, runtime
from archsearch.continuing import check_images, chosen, continued_plan, stored_settings, stored_speed
from archsearch.dataset import facts
from archsearch.errors import UserError
from archsearch.given_network import read_baseline
from archsearch.layout import Layout, layout
from archsearch.nodes import connected
from archsearch.plan import Plan, Speed
from archsearch.population import family_population
from archsearch.problem import Problem
from archsearch.run_folder import RunFolder
from archsearch.settings import SearchSettings, continued, resolve
from archsearch.speed import estimate_speed


def planned(data: Any, *, folder: RunFolder, overwrite: bool, given: Mapping[str, Any]) -> Plan:
    """What `search` would do, without TensorFlow: nothing is measured, written or downloaded.

    The speed is the stored one of this run where there is one, else an estimate.
    """
    stored = stored_settings(folder, overwrite)
    if stored is not None:
        settings = continued(stored["settings"], given, chosen(stored))
        if data is None and settings.dataset != stored["settings"]["dataset"]:
            check_images(stored, facts(settings.dataset, settings.size), settings.dataset)
        return continued_plan(stored, settings, given)
    settings = resolve(given)
    if settings.space is not None:
        raise UserError(
            "--plan cannot tell what networks of --space cost: the search measures that when it starts, and "
            "prints its plan before it trains."
        )
    baseline, _ = read_baseline(settings)
    known = facts(data if data is not None else settings.dataset, settings.size)
    num_train, num_validation = known.split_sizes()
    with connected(settings.ray) as cluster:
        if cluster is not None:
            laid_out = cluster.layout(settings.workers, threads=runtime.given_threads())
        else:  # what GPUs there are only TensorFlow knows
            laid_out = layout(settings.workers, num_gpus=0, num_cores=runtime.num_cores())
    return fitting.fit(
        settings,
        workers=laid_out.trials_at_a_time,
        trials_per_device=laid_out.trials_per_device,
        population=family_population(
            known.image_shape, known.num_classes, settings=settings, baseline=baseline
        ),
        num_train=num_train,
        num_validation=num_validation,
        speed=stored_speed(folder) or estimate_speed(),
    )


def new_plan(
    settings: SearchSettings, problem: Problem, *, laid_out: Layout, start: float, measured: bool
) -> tuple[Plan, list[str]]:
    """Of a search that is not stored yet; sentences on what was not as it should be.

    Args:
        start: When the search began, as `time.time()`.
        measured: Whether training steps tell the speed, else it is estimated.
    """
    notes: list[str] = []
    if problem.measure(problem.baseline).macs is None:  # then no network can be widened to a time
        settings = dataclasses.replace(settings, final_seconds=None)
    costs: dict[str, Any] = {
        "population": problem.population,
        "num_train": len(problem.data.train),
        "num_validation": len(problem.data.validation or ()),
    }
    speed, final_speed = estimate_speed(), None
    if measured:
        try:
            speed = _measured_speed(problem, problem.measured_network(problem.searched_macs(settings)))
            final_macs = fitting.final_macs_of(settings, **costs, speed=speed)
            if final_macs is not None:
                final_speed = _measured_speed(problem, problem.final_network(final_macs))
        except Exception as error:  # the same network as a trial would be a FAILED one, not the end
            notes.append(f"The speed is estimated, for measuring it failed: {type(error).__name__}: {error}")
    plan = fitting.fit(
        settings,
        **costs,
        speed=speed,
        final_speed=final_speed,
        spent_seconds=time.time() - start,
        workers=laid_out.trials_at_a_time,
        trials_per_device=laid_out.trials_per_device,
    )
    return plan, notes


def _measured_speed(problem: Problem, network: tuple[dict[str, Any], int]) -> Speed:
    """Of a network with these values and macs."""
    from archsearch.speed import measure_speed

    values, macs = network
    return measure_speed(problem.hypermodel, values, macs=macs, data=problem.data)
