"""`model.py`: the network as a short Keras script, for a reader who does not have this project."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from archsearch.errors import UserError
from space.architecture import Architecture, ImageShape, Layer
from space.recipe import Recipe

SCRIPT = "model.py"

WIDEST_LINE = 110

LINEAR_SCALE = 1 / 9
"""As in `space.blocks`, which brings TensorFlow; a test holds both together."""


@dataclass(frozen=True)
class Block:
    """The convolutions between two poolings, as lines of the script."""

    height: int
    width: int
    lines: Sequence[str]


def script(result: Mapping[str, Any]) -> str:
    """The text of `model.py`.

    Args:
        result: result.json of the final training.

    Raises:
        UserError: The network is none of the built-in space.
    """
    import jinja2

    try:
        architecture = Architecture.from_dict(result["architecture"])
        recipe = Recipe.from_dict(result["recipe"])
    except (TypeError, ValueError, AttributeError):  # of another hypermodel, or another version
        raise UserError(
            "There is no model.py: only networks of the built-in space are written as a script, and this "
            "is none, or of another version."
        ) from None
    dataset = result["dataset"]
    height, width, channels = shape = tuple(dataset["image_shape"])
    std = dataset["statistics"]["std"]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return environment.from_string(_template()).render(
        network=str(architecture),
        params=int(result["params"]),
        macs=result["macs"],
        test_accuracy=float(result["test_accuracy"]),
        epochs=int(result["epochs"]),
        recipe=_recipe_text(recipe),
        pictures=channels in (1, 3),
        shape=[height, width, channels],
        class_names=_listed(dataset["class_names"]),
        momentum=float(recipe.batch_norm_momentum),
        slope=float(architecture.leaky_relu_slope),
        fast_start=architecture.fast_start,
        pool_first=architecture.pool == "first",
        stem_filters=architecture.stem_filters(channels),
        hidden_units=architecture.hidden_units,
        mean=[float(value) for value in dataset["statistics"]["mean"]],
        variance=[float(value) ** 2 for value in std],
        blocks=list(_blocks(architecture, shape)),
        head=list(_head(architecture)),
    )


def _template() -> str:
    return files(__package__).joinpath("model.py.jinja").read_text(encoding="utf-8")


def _blocks(architecture: Architecture, shape: ImageShape) -> Iterator[Block]:
    layers = architecture.layers(shape)
    for convs in architecture.convs:
        block = list(itertools.islice(layers, convs))
        lines = [line for layer in block for line in _convolution(layer, architecture.pool)]
        yield Block(block[0].height, block[0].width, lines)


def _convolution(layer: Layer, pool: str) -> Iterator[str]:
    if layer.pooled and pool == "first":
        yield f"x = conv(x, {layer.filters}, pool=True)"
        return
    yield f"x = conv(x, {layer.filters})"
    if layer.pooled:
        yield "x = layers.MaxPooling2D()(x)"


def _head(architecture: Architecture) -> Iterator[str]:
    pooling = "Flatten" if architecture.head == "flatten" else "GlobalMaxPooling2D"
    yield f"x = layers.{pooling}()(x)"
    if not architecture.hidden_units:
        yield f"x = layers.Rescaling({LINEAR_SCALE!r})(x)"
        return
    units = architecture.hidden_units
    yield f'x = layers.Dense({units}, use_bias=False, kernel_initializer="he_normal")(x)'
    yield "x = activate(x)"
    yield f"x = layers.Dropout({float(architecture.dropout)!r})(x)"


def _recipe_text(recipe: Recipe) -> str:
    momentum = f" with Nesterov momentum {recipe.momentum:g}" if recipe.optimizer == "sgd" else ""
    decay = f", weight decay {recipe.weight_decay:.3g}" if recipe.weight_decay else ""
    smoothing = f", label smoothing {recipe.label_smoothing:g}" if recipe.label_smoothing else ""
    return (
        f"{recipe.optimizer}{momentum}, {recipe.decay} rate from {recipe.learning_rate:.3g}{decay},\n"
        f"batches of {recipe.batch_size:d}{smoothing}"
    )


def _listed(names: Sequence[str]) -> str:
    """A list of strings as it stands in Python: what JSON makes of a string is one there too."""
    literals = [json.dumps(name, ensure_ascii=False) for name in names]
    line = f"[{', '.join(literals)}]"
    if len("CLASS_NAMES = ") + len(line) <= WIDEST_LINE:
        return line
    return "[\n" + "".join(f"    {literal},\n" for literal in literals) + "]"
