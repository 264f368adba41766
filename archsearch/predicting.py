"""What a trained network makes of pictures in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsearch import runtime
from archsearch.errors import UserError
from archsearch.model_file import read_class_names
from archsearch.readers.folder_listing import SUFFIXES, files_below
from archsearch.run_folder import RunFolder
from archsearch.trials import NAME_PATTERN

if TYPE_CHECKING:
    import keras

MODEL = "model.keras"

BATCH = 64
"""Pictures that are decoded, and classified, at once."""


@dataclass(frozen=True)
class Prediction:
    """Of one picture.

    Args:
        file: As it was given, or found in a folder that was.
        probabilities: (classes,), in the order of the class names.
    """

    file: Path
    probabilities: NDArray[np.float32]

    def best(self, number: int) -> list[int]:
        """The most probable class numbers, the best first."""
        return [int(each) for each in np.argsort(-self.probabilities, kind="stable")[:number]]


@dataclass(frozen=True)
class Broken:
    """A picture that could not be read."""

    file: Path
    reason: str


@dataclass(frozen=True)
class Found:
    """What a network made of some pictures."""

    model: Path
    class_names: tuple[str, ...]
    predictions: Sequence[Prediction]
    broken: Sequence[Broken]


def predict_pictures(where: Path, images: Sequence[Path]) -> Found:
    """Classifies pictures, each fitted into the size that the network takes, with black beside it.

    Args:
        where: A `.keras` file with class names inside; the folder of a final training; or that of a run.
        images: Files, and folders of them, in which everything is looked for that ends like a picture.

    Raises:
        UserError: There is no such model, or it takes no pictures.
    """
    path = find_model(where)
    class_names = read_class_names(path)
    runtime.configure()
    from archsearch.exporting.convert import read_model

    model = read_model(path)
    read = partial(_read, shape=_picture_shape(model, path, len(class_names)))
    files, broken = list_pictures(images)
    predictions: list[Prediction] = []
    for first in range(0, len(files), BATCH):
        pixels = _read_all(read, files[first : first + BATCH], broken)
        if pixels:
            # float32, as in training: the network normalises raw pixels itself.
            x = np.stack([each for _, each in pixels]).astype(np.float32)
            probabilities = np.asarray(model.predict_on_batch(x))
            predictions += [
                Prediction(file, row) for (file, _), row in zip(pixels, probabilities, strict=True)
            ]
    return Found(path, class_names, predictions, broken)


def find_model(where: Path) -> Path:
    """The file itself, or `model.keras` in the folder of a final training or a run.

    Raises:
        UserError: There is none, or there are several to choose from.
    """
    if where.is_file():
        return where
    if not where.exists():
        raise UserError(f"There is no {where}: give a {MODEL}, or the folder of a run or a final training.")
    run = RunFolder(where)
    for path in (where / MODEL, run.final("best") / MODEL):
        if path.is_file():
            return path
    others = [path / MODEL for path in run.finals() if (path / MODEL).is_file()]
    if len(others) == 1:
        return others[0]
    if others:
        raise UserError(f"There are several models in {where / 'final'}: give one, as in {others[0]}.")
    raise UserError(
        f"There is no {MODEL} in {where}, nor a final training. Run `python final_train.py --best` first."
    )


def named(model: str, logs: str) -> Path:
    """Where a model is that is given as the name of a run, as in the other commands, or as a path.

    A run goes before a file or folder of the same name, which is meant by `./NAME`.
    """
    if NAME_PATTERN.fullmatch(model) and (Path(logs) / model).is_dir():
        return Path(logs) / model
    if NAME_PATTERN.fullmatch(model) and not Path(model).exists():
        raise UserError(
            f"There is no run {model} in {logs}, nor a file or folder {model}: give the name of a run, "
            f"a {MODEL}, or the folder of a run or a final training."
        )
    return Path(model)


def _picture_shape(model: keras.Model, path: Path, num_classes: int) -> tuple[int, int, int]:
    """Height, width, channels."""
    given, result = model.input_shape, model.output_shape
    if not (isinstance(given, tuple) and len(given) == 4 and all(given[1:]) and given[3] in (1, 3)):
        raise UserError(
            f"{path} takes no pictures of one size, in grey or colour: its input has the shape {given}."
        )
    if not (isinstance(result, tuple) and result[1:] == (num_classes,)):
        raise UserError(f"{path} holds {num_classes} class names, but its output has the shape {result}.")
    return given[1], given[2], given[3]


def list_pictures(images: Sequence[Path]) -> tuple[list[Path], list[Broken]]:
    """The files in the order given, those of a folder by their names; and what is none."""
    files: list[Path] = []
    broken: list[Broken] = []
    for image in images:
        if not image.exists():
            broken.append(Broken(image, "there is no such file"))
        elif not image.is_dir():
            files.append(image)
        else:
            found, unreadable = _in_folder(image)
            files += found
            broken += unreadable
            if not found and not unreadable:
                broken.append(Broken(image, f"no file in it ends in {', '.join(sorted(SUFFIXES))}"))
    return files, broken


def _in_folder(folder: Path) -> tuple[list[Path], list[Broken]]:
    """As a folder of the training is read: links are followed, and what is hidden is left out."""
    top = folder.resolve()  # of "." the folder above could not be told
    unreadable: list[Broken] = []

    def note(below: Path, error: UserError) -> None:
        reason = getattr(error.__cause__, "strerror", None) or error
        unreadable.append(Broken(folder / below.relative_to(top), f"it cannot be read: {reason}"))

    files = [
        folder / name
        for name, path in files_below(top, note)
        if path.suffix.lower() in SUFFIXES and _may_be_picture(path)
    ]
    return sorted(files), unreadable


def _may_be_picture(path: Path) -> bool:
    """Not a pipe, a device, or a link to nowhere."""
    try:
        return path.is_file()
    except OSError:  # reading it says why
        return True


def _read_all(
    read: Callable[[Path], NDArray[np.uint8] | str], files: Sequence[Path], broken: list[Broken]
) -> list[tuple[Path, NDArray[np.uint8]]]:
    """Those that can be read, with their pixels; the others are added to `broken`."""
    from archsearch.readers.pictures import map_quietly

    good = []
    for file, pixels in zip(files, map_quietly(read, files), strict=True):
        if isinstance(pixels, str):
            broken.append(Broken(file, pixels))
        else:
            good.append((file, pixels))
    return good


def _read(file: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8] | str:
    """Its pixels, or the reason why there are none."""
    from PIL import UnidentifiedImageError

    try:
        return read_picture(file, shape)
    except UnidentifiedImageError:
        return "it is no picture of a kind that Pillow knows"
    except Exception as error:  # PIL's decoders raise almost anything on damaged bytes
        return " ".join(str(error).split()) or type(error).__name__


def read_picture(file: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Pixels (h, w, c) as a folder of pictures is read for the training; grey ones where the network is."""
    from PIL import Image

    from archsearch.readers.pictures import decode

    height, width, channels = shape
    pixels = decode(file.read_bytes(), height, width)
    if channels == 1:
        return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, np.newaxis]
    return pixels
