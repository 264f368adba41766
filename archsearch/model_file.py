"""`model.keras`: a Keras file with the class names inside."""

from __future__ import annotations

import contextlib
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.errors import UserError, writing

if TYPE_CHECKING:
    import keras

MEMBER = "class_names.json"
"""Keras reads its own members of the file and leaves others alone."""

LARGEST = 16_000_000
"""Bytes of that member; a hundred thousand names have two million."""


def save_model(model: keras.Model, path: Path, class_names: Sequence[str]) -> None:
    """Writes the file whole or not at all: layers and weights, without optimiser and loss.

    Raises:
        StorageError: It cannot be written.
        UserError: The model, or a layer of it, does not tell how it is made.
    """
    # Keras knows the format by the ending. The name is the same for every process, so that what a killed one
    # leaves is replaced.
    temporary = path.with_name(f".unfinished.{path.name}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _only_the_network(model):
                model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as file:
                file.writestr(MEMBER, json.dumps(list(class_names)))
            temporary.replace(path)
    except NotImplementedError as error:  # a layer or model of the user's own, which Keras names
        said = " ".join(str(error).partition("Example:")[0].split())
        raise UserError(f"The network cannot be saved: {said} Then run the same command again.") from error
    finally:
        with contextlib.suppress(OSError):  # what made the writing fail may forbid this too
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _only_the_network(model: keras.Model) -> Iterator[None]:
    """Inside, the model has no optimiser: its class may be ours, and its state is as large as the weights.

    Keras looks for the class when it loads the file, and fails where it cannot be imported.
    """
    if not model.compiled:
        yield
        return
    optimizer = model.optimizer
    model.optimizer, model.compiled = None, False
    try:
        yield
    finally:
        model.optimizer, model.compiled = optimizer, True


def read_class_names(path: Path) -> tuple[str, ...]:
    """The class names of a model that `save_model` wrote, in the order of its outputs.

    Raises:
        UserError: The file is none of these.
    """
    try:
        with zipfile.ZipFile(path) as file:
            with file.open(MEMBER) as member:
                content = member.read(LARGEST + 1)  # what it says of its own length may be a lie
            if len(content) > LARGEST:
                raise ValueError(f"{MEMBER} has more than {LARGEST:,} bytes")
            names = json.loads(content)
    except (
        *(OSError, EOFError, KeyError, ValueError, RecursionError, RuntimeError),
        *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    ) as error:
        raise UserError(f"{path} is not a model with class names: {error}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path} is not a model with class names: {MEMBER} is no list of names.")
    return tuple(names)
