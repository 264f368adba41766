"""The formats a trained network is exported in: their files, and what they need. No TensorFlow."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.errors import UserError


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        name: On the command line.
        file: In the folder of the final training.
        packages: That it needs beside what the project brings; they are imported by these names too.
        tolerance: The largest difference of a probability from Keras's that is no error; `None` where the
            weights are rounded, and accuracy decides.
    """

    name: str
    file: str
    packages: tuple[str, ...] = ()
    tolerance: float | None = 1e-4
    """Another order of the sums moves a probability by some 1e-6; a wrong constant moves it by 1e-2."""


KERAS, SAVED_MODEL, ONNX, LITERT, LITERT_INT8 = (
    Format("keras", "model.keras"),
    Format("savedmodel", "savedmodel"),
    Format("onnx", "model.onnx", packages=("tf2onnx", "onnx", "onnxruntime")),
    Format("litert", "model.tflite"),
    Format("litert-int8", "model-int8.tflite", tolerance=None),
)

FORMATS = {each.name: each for each in (KERAS, SAVED_MODEL, ONNX, LITERT, LITERT_INT8)}


def parse_formats(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names as in "onnx,litert", or several of them, each once, in the order of `FORMATS`.

    Raises:
        UserError: One is unknown, or there is none.
    """
    text = given if isinstance(given, str) else ",".join(given)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        given = ", ".join(unknown) or "none"
        raise UserError(f"Formats are {', '.join(FORMATS)}, with commas between them; got {given}.")
    return tuple(name for name in FORMATS if name in names)


def require(names: Sequence[str]) -> None:
    """That everything is installed, before hours are spent on what could not be exported then.

    Raises:
        UserError: With the command that installs it.
    """
    for name in names:
        missing = [package for package in FORMATS[name].packages if not importlib.util.find_spec(package)]
        if missing:
            packages = " ".join(missing)
            raise UserError(
                f"The format {name} needs {', '.join(missing)}, not installed here: pip install {packages}"
            )
