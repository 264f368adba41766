"""Architecture search for Keras image classifiers.

Light to import: TensorFlow comes with the first search.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.errors import UserError

if TYPE_CHECKING:
    import keras_tuner

    from archsearch.callbacks import SearchCallback
    from archsearch.run import Run

__version__ = "0.1.0"
__all__ = ["UserError", "__version__", "final_train", "open_run", "search"]


def search(
    data: Any = None,
    *,
    run: str = "default",
    logs: str | Path = "logs",
    overwrite: bool = False,
    hypermodel: keras_tuner.HyperModel | None = None,
    callbacks: Sequence[SearchCallback] = (),
    verbose: bool = True,
    max_time: str | float | None = None,
    final_time: str | float | None = None,
    **settings: Any,
) -> Run:
    """Searches, or continues the search stored under this name, and returns it.

    Args:
        data: A built-in name, a path, or arrays `((x, y), (x_test, y_test))`; by default what the run was
            searched on, of a new one "cifar10".
        run: Name of the run.
        logs: Folder of all runs.
        overwrite: Removes an earlier search of this name.
        hypermodel: Another space than the built-in one: its models take raw pixels and one-hot labels.
        callbacks: Told of every trial.
        verbose: Whether plan and progress are printed on stderr.
        max_time: Such as "30m", or a number of minutes; of the whole search, over all its sessions. By
            default that of the run, of a new one 30 minutes, or no limit where `max_epochs` is given.
        final_time: Likewise, of the final training that the search aims at.
        **settings: Any other field of `archsearch.settings.SearchSettings`, such as `max_epochs=9`. What
            is not given is the default, or what the run stored.

    Raises:
        UserError: With one sentence that says what to do.
    """
    from archsearch.callbacks import SearchCallback
    from archsearch.reporting.console import ConsoleReporter
    from archsearch.run_folder import RunFolder
    from archsearch.searching import Search
    from archsearch.settings import given_settings

    callbacks = tuple(callbacks) if isinstance(callbacks, Iterable) else (callbacks,)
    for callback in callbacks:
        if not isinstance(callback, SearchCallback):
            raise UserError(
                "`callbacks` takes instances of classes derived from archsearch.callbacks.SearchCallback, "
                f"got {callback!r}."
            )
    if isinstance(hypermodel, type) or not (hypermodel is None or hasattr(hypermodel, "build")):
        raise UserError(f"`hypermodel` must be an instance of a keras_tuner.HyperModel, got {hypermodel!r}.")
    return Search(
        data=data,
        folder=RunFolder.named(run, logs),
        overwrite=overwrite,
        hypermodel=hypermodel,
        callbacks=(*((ConsoleReporter(),) if verbose else ()), *callbacks),
        given=given_settings(data=data, max_time=max_time, final_time=final_time, settings=settings),
    ).execute()


def final_train(
    what: str = "best",
    *,
    data: Any = None,
    run: str = "default",
    logs: str | Path = "logs",
    max_time: str | float | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Trains one network in full, tests it once, and leaves it in `logs/<run>/final/`.

    Args:
        what: "best" (the incumbent), "documented", or the id of a trial. The folder is called `best`,
            `documented` or `trial-<id>`.
        data: As for `search`; what the run was searched on by default.
        run: Name of the run; with "documented" it need not exist.
        logs: Folder of all runs.
        max_time: Such as "60m", or a number of minutes; what the search aimed at, unless `epochs` are given.
        **options: Any other field of `archsearch.final_training.FinalTraining`: `epochs` (50 without a
            time), `all_data=True` to train on the validation part too, `tta=True` to test also with several
            views averaged, `precision`, `recipe`, `devices` ("all" to share every batch among all GPUs),
            `seed`, `export` (formats, such as `"onnx,litert"`), `overwrite`, `hypermodel`, `verbose`.

    Returns:
        What result.json holds.

    Raises:
        UserError: With one sentence that says what to do.
    """
    from archsearch.exporting.formats import parse_formats
    from archsearch.final_training import FinalTraining
    from archsearch.run_folder import RunFolder
    from archsearch.settings import parse_time

    if max_time is not None:
        options["max_seconds"] = parse_time(str(max_time))
    if options.get("export"):
        options["export"] = parse_formats(options["export"])
    return FinalTraining(what=what, data=data, folder=RunFolder.named(run, logs), **options).execute()


def open_run(path: str | Path) -> Run:
    """A stored search.

    Args:
        path: `logs/<run>`.

    Raises:
        UserError: There is none.
    """
    from archsearch.run import open_run as open_stored

    return open_stored(path)
