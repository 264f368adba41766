"""A final training's network in other formats, each written, read back, compared and measured."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archsearch import runtime
from archsearch.dataset import Splits
from archsearch.errors import StorageError, UserError
from archsearch.exporting.checking import Reference, check, predictions
from archsearch.exporting.convert import (
    computing_in_float32,
    exportable,
    in_half_precision,
    read_model,
    write,
)
from archsearch.exporting.formats import FORMATS, KERAS, require
from archsearch.exporting.images import Comparison, of_result, of_test_part, random_images
from archsearch.exporting.records import Exported, forget, record
from archsearch.exporting.runtimes import of_keras
from archsearch.final_result import RESULT
from archsearch.reporting.report import refresh_report
from archsearch.run import doubt
from archsearch.run_folder import RunFolder, locked, read_json, write_atomically
from space.script import SCRIPT, script

Say = Callable[[str], None]

OTHER_NETWORK = (
    "There is no model.py: what the built-in space would make of this network's description is not what was "
    "trained."
)


def take_away(folder: Path, formats: Sequence[str], splits: Splits, *, verbose: bool = True) -> None:
    """What a final training leaves besides its result: model.py, and the formats asked for.

    A file that cannot be made, or differs from Keras, does not undo the training: export.json says so.

    Args:
        folder: Of the final training, complete.
        formats: By name.
        splits: Its images.
        verbose: Whether stderr is told what is being done.
    """
    say = _teller(verbose)
    later = f". Continue: {export_command(folder, formats)}" if formats else ""
    try:
        result = read_json(folder / RESULT)
        write_script(folder, result, say)
        if formats:
            export(folder, result, formats, of_test_part(splits), say)
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)(f"the training is complete{later}") from None
    except UserError as error:  # the same command again would train again
        what = error.what if isinstance(error, StorageError) else str(error)
        raise UserError(f"{what} The training is complete{later or '.'}") from error


def export_run(
    run: RunFolder, what: str, formats: Sequence[str], *, data: Any = None, verbose: bool = True
) -> list[Exported]:
    """The same, of a final training that is over.

    Args:
        run: Its folder.
        what: "best", "documented", or "trial-ID".
        formats: By name.
        data: Where its images are now, if that has changed; arrays have to be given.
        verbose: Whether stderr is told what is being done.

    Returns:
        What was asked for; export.json holds the earlier ones too.

    Raises:
        UserError: There is no such final training, or a package is missing.
    """
    folder = run.final(what)
    if not (folder / RESULT).exists():
        which = " --best" if what == "best" else ""
        name = "" if run.path.name == "default" else f" --run {shlex.quote(run.path.name)}"
        command = f"python final_train.py{which}{name}{_flags(folder)}"
        raise UserError(f"There is no final training in {folder}. Run `{command}` first.")
    require(formats)
    say = _teller(verbose)
    with locked(folder.with_name(f"{folder.name}.lock"), folder):
        result = _read_result(folder)
        if what == "best" and (doubtful := doubt(run)):
            say(doubtful)
        runtime.configure()
        comparison = of_result(result, data=data, cache=run.cache)
        write_script(folder, result, say)
        try:
            return export(folder, result, formats, comparison, say)
        finally:  # of an interrupted one too
            if run.exists():
                refresh_report(run)


def _read_result(folder: Path) -> dict[str, Any]:
    """result.json, in which everything that an export needs is what it should be.

    Raises:
        UserError: It is not.
    """
    remedy = "Train it again with --overwrite."
    result = read_json(folder / RESULT, remedy=remedy)
    try:
        dataset = result["dataset"]
        sizes = [size for size in dataset["image_shape"] if type(size) is int and size > 0]
        texts = [dataset[name] for name in ("name", "content_hash")]
        if (
            len(sizes) != 3
            or len(dataset["image_shape"]) != 3
            or not all(isinstance(text, str) for text in texts)
        ):
            raise ValueError("of the images")
        float(result["test_accuracy"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / RESULT} is not one of our files ({error}). {remedy}") from error
    return result


def export_command(folder: Path, formats: Sequence[str]) -> str:
    """That exports the network of this final training."""
    run = shlex.quote(folder.parent.parent.name)
    return f"archsearch export {run}{_flags(folder)} --format {','.join(formats)}"


def _flags(folder: Path) -> str:
    what, logs = folder.name, folder.parent.parent.parent.as_posix()
    which = f" --trial {what.removeprefix('trial-')}" if what.startswith("trial-") else ""
    which = " --documented" if what == "documented" else which
    return which + ("" if logs == "logs" else f" --logs {shlex.quote(logs)}")


def export(
    folder: Path, result: Mapping[str, Any], formats: Sequence[str], comparison: Comparison, say: Say
) -> list[Exported]:
    """Writes each format, reads it back and compares; export.json is written after each.

    Args:
        folder: Of the final training.
        result: Its result.json.
        formats: By name.
        comparison: The images.
        say: Is told what is being done.
    """
    processor = runtime.machine()["processor"]
    model = exportable(folder / KERAS.file)
    probabilities = predictions(of_keras(model), comparison.x)
    half_precision = in_half_precision(read_model(folder / KERAS.file))
    reference = Reference(comparison, probabilities, half_precision, float(result["test_accuracy"]))
    exports = []
    for name in formats:
        say(f"exporting {name} ({FORMATS[name].file})")
        forget(folder, name)
        exported = _export_one(name, folder, model, reference, processor)
        record(folder, exported)
        exports.append(exported)
    return exports


def _export_one(name: str, folder: Path, model: Any, reference: Reference, processor: str) -> Exported:
    kind = FORMATS[name]
    path = folder / kind.file
    try:
        if kind is not KERAS:
            write(kind, model, path, reference.comparison.representative)
        return check(kind, path, reference, processor=processor)
    except StorageError:
        raise
    except Exception as error:  # converters and runtimes raise almost anything; the others may work
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return Exported(name, kind.file, problem=" ".join(reason.split())[:300].rstrip("."))


def write_script(folder: Path, result: Mapping[str, Any], say: Say) -> None:
    """Writes `model.py`, if it predicts what `model.keras` does; else says why there is none."""
    path = folder / SCRIPT
    try:
        text = _script(result)
        _check_script(text, path)
        write_atomically(path, text.encode())
    except StorageError:
        raise
    except UserError as error:
        path.unlink(missing_ok=True)
        say(str(error))


def _script(result: Mapping[str, Any]) -> str:
    try:
        return script(result)
    except Exception as error:  # of another hypermodel or version, or damaged: it is a file on a disk
        raise UserError(
            "There is no model.py: only networks of the built-in space are written as a script, and this "
            "is none, or of another version."
        ) from error


def _check_script(text: str, path: Path) -> None:
    """Runs it as it would be imported. `script` lets nothing into it that could do more than build layers.

    Raises:
        UserError: It is another network than that of `model.keras`.
    """
    model = exportable(path.with_name(KERAS.file))
    namespace: dict[str, Any] = {"__name__": "model", "__file__": str(path)}
    try:
        x = random_images(model.input_shape[1:], why="").x[:8].astype(np.float32)
        with computing_in_float32():
            exec(compile(text, str(path), "exec"), namespace)
            loaded = namespace["load"]()
        same = np.allclose(np.asarray(loaded(x)), np.asarray(model(x)), rtol=0, atol=1e-5)
    except Exception as error:  # weights that do not fit raise almost anything
        raise UserError(OTHER_NETWORK) from error
    if not same:
        raise UserError(OTHER_NETWORK)


def _teller(verbose: bool) -> Say:
    from archsearch.reporting.exports import say

    return say if verbose else lambda _: None
