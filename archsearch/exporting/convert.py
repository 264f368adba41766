"""A Keras model into the files of other runtimes, each whole or not at all.

All take raw pixels 0..255 as float32, any number of images at once, and give probabilities as float32.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsearch import runtime
from archsearch.errors import UserError, writing
from archsearch.exporting.formats import LITERT, LITERT_INT8, ONNX, SAVED_MODEL, Format

if TYPE_CHECKING:
    import keras


def read_model(path: Path) -> keras.Model:
    """A `.keras` file, which may not bring code of its own.

    Raises:
        UserError: It is none, or cannot be loaded so.
    """
    runtime.import_tensorflow()
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of a damaged file almost anything is raised
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{path} cannot be loaded as a Keras model: {reason}") from error


def exportable(path: Path) -> keras.Model:
    """The model of a `.keras` file as the converters take it: in float32, its constants plain."""
    model = _in_float32(read_model(path))
    _hold_plain_constants(model)
    return model


@contextlib.contextmanager
def computing_in_float32() -> Iterator[None]:
    """Inside, layers are made as they are where no precision is set, whatever the training computed in."""
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def in_half_precision(model: keras.Model) -> bool:
    """Whether any layer computes in less than float32."""
    return any(layer.compute_dtype != "float32" for layer in model.layers)


def _in_float32(model: keras.Model) -> keras.Model:
    import keras

    if not in_half_precision(model):
        return model

    def copy(layer: Any) -> Any:
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})

    copied = keras.models.clone_model(model, clone_function=copy)
    copied.set_weights(model.get_weights())
    return copied


def _hold_plain_constants(model: keras.Model) -> None:
    """Of `Normalization`: as tensors, Keras 3.15 hands them to tf2onnx as further inputs of the model."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)


def write(kind: Format, model: keras.Model, path: Path, representative: NDArray[np.uint8] | None) -> None:
    """One file, or folder, in place of an earlier one.

    Args:
        kind: Any but Keras's own.
        model: From `exportable`.
        path: Of the file.
        representative: Training images, by which the ranges of int8 are set; for that only.

    Raises:
        StorageError: It cannot be written.
    """
    # The converters know a format by the ending.
    temporary = path.with_name(f".unfinished.{path.name}")
    try:
        with writing(path), _quiet():
            _remove(temporary)
            _WRITERS[kind.name](model, temporary, representative)
            _remove(path)
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # what made the writing fail may forbid this too
            _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of the converters about themselves; an exception shows them."""
    with runtime.quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _saved_model(model: keras.Model, path: Path, _: Any) -> None:
    model.export(path, format="tf_saved_model", verbose=False)


def _onnx(model: keras.Model, path: Path, _: Any) -> None:
    model.export(path, format="onnx", verbose=False)


def _litert(model: keras.Model, path: Path, _: Any) -> None:
    model.export(path, format="litert", verbose=False)


def _litert_int8(model: keras.Model, path: Path, representative: NDArray[np.uint8] | None) -> None:
    """Weights and sums in whole numbers throughout; input and output stay float32, as in the other files."""
    import tensorflow as tf

    if representative is None:
        raise UserError("int8 needs training images, by which the ranges of the whole numbers are set.")

    def images() -> Iterator[list[NDArray[np.float32]]]:
        for image in representative:
            yield [image[np.newaxis].astype(np.float32)]

    model.export(
        path,
        format="litert",
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=images,
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
    )


_WRITERS: dict[str, Callable[[Any, Path, Any], None]] = {
    SAVED_MODEL.name: _saved_model,
    ONNX.name: _onnx,
    LITERT.name: _litert,
    LITERT_INT8.name: _litert_int8,
}
