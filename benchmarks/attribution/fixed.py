"""The training of one given network for all of the time, as the final training trains a found one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.attribution.cells import FIXED

if TYPE_CHECKING:
    from archsearch.plan import Speed
    from archsearch.task import TrainingData
    from archsearch.time_fit import Work


def train(
    *,
    folder: str,
    values: dict[str, Any],
    max_width: float | None,
    recipe: str,
    seconds: float,
    seed: int,
    dataset: str,
    precision: str,
) -> dict[str, Any]:
    """Trains, tests once, and leaves what a final training leaves.

    The network is widened, or narrowed, as the product does it with a found one: to the macs of which
    `FINAL_EPOCHS` passes over the training part fit into the time, the validation part left out.

    Args:
        folder: Of the run.
        values: Of the network.
        max_width: The most that it is widened to; `None`: what the time admits.
        recipe: Name.
        seconds: Wall-clock of all of it, from the start of this process.
        seed: Of the validation split and of everything that is random.
        dataset: A name or a path.
        precision: One of `runtime.PRECISIONS`.

    Returns:
        Passes over the images that the network would have got in this time at width 1.
    """
    import psutil

    from archsearch import runtime
    from archsearch.dataset import load
    from archsearch.delivery import delivered
    from archsearch.final_result import Trained, leave
    from archsearch.final_task import FinalTask, Options, fitted, kept_on_time
    from archsearch.measuring import measure
    from archsearch.problem import problem_of
    from archsearch.run_folder import RunFolder
    from archsearch.settings import resolve
    from archsearch.time_fit import DEFAULT_EPOCHS, Work, fit_length
    from space.recipe import RECIPES

    start = psutil.Process().create_time()
    precision = runtime.set_precision(precision)
    from archsearch.task import TrainingData, TrialTask
    from archsearch.training import Training

    place = RunFolder(Path(folder))
    settings = resolve({"dataset": dataset, "seed": seed, "recipe": recipe})
    splits = load(dataset, seed=seed, cache=place.cache)
    problem = problem_of(settings, splits, None, {})
    data = TrainingData(splits.read_both(), None, splits.num_classes, splits.flip)
    work = Work.final(
        num_train=len(splits.train),
        num_validation=len(splits.validation),
        batch_size=RECIPES[recipe].batch_size,
    )
    small = problem.measured_network(problem.searched_macs(settings))
    began = time.time()
    width, speed = sized(problem.hypermodel, values, small, work=work, data=data, end=start + seconds)
    options = Options(
        epochs=DEFAULT_EPOCHS,
        steps_per_epoch=None,
        seed=seed,
        max_seconds=seconds,
        all_data=True,
        tta=True,
        precision=precision,
    )
    task = TrialTask(
        trial_id=FIXED,
        values={**values, "width": min(width, max_width or width)},
        hypermodel=problem.hypermodel,
        dataset=data,
        epochs=DEFAULT_EPOCHS,
        seed=seed,
    )
    given = FinalTask(task, options, on_time=None, notes=(), num_test=splits.num_test)
    final = kept_on_time(fitted(given, start=start), start=start)
    history: list[dict[str, float]] = []
    training = Training(final.task, lambda _epoch, epoch_values: history.append(epoch_values), final.on_time)
    model = training.run()
    trained = Trained(
        final=final,
        record=None,
        splits=splits,
        model=delivered(model, final.task),
        history=history,
        start=start,
        search_seconds=None,
    )
    leave(trained, place.final(FIXED))
    macs = measure(problem.hypermodel, values).macs or 1
    all_of_it = Work.final(num_train=len(data.train), num_validation=0, batch_size=work.batch_size)
    as_it_is = fit_length(all_of_it, macs=macs, seconds=start + seconds - began, speed=speed)
    images = as_it_is.epochs * as_it_is.steps_per_epoch * all_of_it.batch_size
    return {"epochs_at_width_1": images / all_of_it.num_train}


def sized(
    hypermodel: Any,
    values: dict[str, Any],
    small: tuple[dict[str, Any], int],
    *,
    work: Work,
    data: TrainingData,
    end: float,
) -> tuple[float, Speed]:
    """The width at which `FINAL_EPOCHS` passes fit, and the speed there.

    Measured twice, as the product does it: on a small network, and on this one as wide as that admits.

    Args:
        hypermodel: Builds it.
        values: Of the network.
        small: Values and macs of the small one.
        work: Of the training.
        data: Some of whose images are trained on.
        end: Of the training, as `time.time()`.
    """
    from archsearch.final_task import WIDTH_STEP, widened
    from archsearch.measuring import measure
    from archsearch.plan import FINAL_EPOCHS
    from archsearch.speed import measure_speed

    network, macs = small
    for _ in range(2):
        speed = measure_speed(hypermodel, network, macs=macs, data=data)
        admitted = int(work.macs_for(FINAL_EPOCHS, end - time.time(), speed))
        network = widened(hypermodel, {**values, "width": WIDTH_STEP}, admitted)
        macs = measure(hypermodel, network).macs or 1
    return network["width"], speed
