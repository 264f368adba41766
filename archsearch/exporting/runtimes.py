"""Exported files read back, each by the program that is made for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch import runtime
from archsearch.errors import UserError
from archsearch.exporting.convert import read_model
from archsearch.exporting.formats import KERAS, LITERT, LITERT_INT8, ONNX, SAVED_MODEL, Format

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Pixels (b, h, w, c) to probabilities (b, classes)."""


def load(kind: Format, path: Path) -> tuple[str, Predict]:
    """The name and version of the runtime, and its predictions."""
    return _LOADERS[kind.name](path)


def of_keras(model: Any) -> Predict:
    """Of a model that is in memory."""
    return lambda x: np.asarray(model.predict_on_batch(x.astype(np.float32)))


def _keras(path: Path) -> tuple[str, Predict]:
    return f"Keras {version('keras')}", of_keras(read_model(path))


def _saved_model(path: Path) -> tuple[str, Predict]:
    tensorflow = runtime.import_tensorflow()
    module = tensorflow.saved_model.load(str(path))

    def predict(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = module.serve(x.astype(np.float32)).numpy()
        return probabilities

    return f"TensorFlow {tensorflow.__version__}", predict


def _onnx(path: Path) -> tuple[str, Predict]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.num_cores()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return (
        f"ONNX Runtime {onnxruntime.__version__}",
        lambda x: session.run(None, {name: x.astype(np.float32)})[0],
    )


def _litert(path: Path) -> tuple[str, Predict]:
    name, interpreter_class = _litert_interpreter()
    with runtime.quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own says that it will go one day
        interpreter = interpreter_class(model_path=str(path), num_threads=runtime.num_cores())
        interpreter.allocate_tensors()
    given, probabilities = (
        details[0]["index"] for details in (interpreter.get_input_details(), interpreter.get_output_details())
    )

    def predict(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        if tuple(interpreter.get_input_details()[0]["shape"]) != x.shape:
            interpreter.resize_tensor_input(given, x.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(given, x.astype(np.float32))
        interpreter.invoke()
        return np.array(interpreter.get_tensor(probabilities))

    return name, predict


def _litert_interpreter() -> tuple[str, Any]:
    """That of the package `ai-edge-litert`, which goes on; else the one TensorFlow still brings.

    Raises:
        UserError: There is neither.
    """
    tensorflow = runtime.import_tensorflow()
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        if not hasattr(tensorflow.lite, "Interpreter"):
            raise UserError("Reading LiteRT files needs ai-edge-litert: pip install ai-edge-litert") from None
        return f"TensorFlow {tensorflow.__version__}", tensorflow.lite.Interpreter
    return f"LiteRT {version('ai-edge-litert')}", Interpreter


_LOADERS: dict[str, Callable[[Path], tuple[str, Predict]]] = {
    KERAS.name: _keras,
    SAVED_MODEL.name: _saved_model,
    ONNX.name: _onnx,
    LITERT.name: _litert,
    LITERT_INT8.name: _litert,
}
