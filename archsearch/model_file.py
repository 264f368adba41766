"""`model.keras`: a Keras file with the class names inside."""

from __future__ import annotations

import contextlib
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        names = read_json_member(path, MEMBER, largest=LARGEST)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a model with class names: {error}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path} is not a model with class names: {MEMBER} is no list of names.")
    return tuple(names)


def read_json_member(path: Path, member: str, *, largest: int) -> Any:
    """What a file of JSON in an archive holds; the archive may be anybody's.

    Args:
        path: Of the archive.
        member: Its name in there.
        largest: Bytes, at most: more would only fill the memory.

    Raises:
        OSError: The archive cannot be read.
        ValueError: What is wrong with it.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            content = file.read(largest + 1)  # what it says of its own length may be a lie
        if len(content) > largest:
            raise ValueError(f"{member} has more than {largest:,} bytes")
        return json.loads(content)
    except (EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        # A RuntimeError: it is encrypted, nested too deep, or packed in a way that Python does not know.
        raise ValueError(str(error)) from error
