"""`model.py`: the network as a short Keras script, for a reader who does not have this project."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from space.architecture import LINEAR_SCALE, Architecture, ImageShape, Layer
from space.recipe import Recipe

SCRIPT = "model.py"
"""Its name; `model.keras` stands beside it."""

WIDEST_LINE = 110


@dataclass(frozen=True)
class Block:
    """The convolutions between two poolings, as lines of the script."""

    height: int
    width: int
    lines: Sequence[str]


def script(result: Mapping[str, Any]) -> str:
    """The text of `model.py`, which is run: nothing comes into it but numbers, and strings as literals.

    Args:
        result: `architecture`, `recipe`, `params`, `macs`, `test_accuracy`, `epochs` and `dataset` (with
            `image_shape`, `class_names` and the `mean` and `std` in `statistics`), as JSON holds them; also
            `learning_rate` and `hyperparameters`, which have the values that were drawn, and of a training to
            a time (`max_seconds`) `num_images_passed` and `num_train`.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: It is not the description of one of our networks.
    """
    import jinja2

    architecture = Architecture.from_dict(result["architecture"])
    _check_same_kinds(architecture, Architecture())
    recipe = Recipe.from_dict({**result["recipe"], **_drawn(result)})
    _check_same_kinds(recipe, Recipe("", "adam"))
    dataset = result["dataset"]
    height, width, channels = shape = _three(dataset["image_shape"])
    mean, std = (_numbers(dataset["statistics"][name], channels) for name in ("mean", "std"))
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return environment.from_string(_template()).render(
        network=str(architecture),
        params=_whole(result["params"]),
        macs=None if result["macs"] is None else _whole(result["macs"]),
        test_accuracy=_number(result["test_accuracy"]),
        length=_length(result),
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
        mean=mean,
        variance=[value**2 for value in std],
        blocks=list(_blocks(architecture, shape)),
        head=list(_head(architecture)),
    )


# What is read from a file.


def _check_same_kinds(given: Architecture | Recipe, usual: Architecture | Recipe) -> None:
    """That every field holds what the same field of another one holds."""
    for field in dataclasses.fields(given):
        value, expected = getattr(given, field.name), getattr(usual, field.name)
        if isinstance(expected, bool | str):
            if type(value) is not type(expected):
                raise TypeError(f"`{field.name}` is {value!r}")
        elif isinstance(expected, tuple):
            for each in value:
                _whole(each)
        elif isinstance(expected, int):
            _whole(value)
        else:
            _number(value)


def _whole(value: object) -> int:
    if type(value) is not int:  # true is an int too
        raise TypeError(f"{value!r} is no whole number")
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise TypeError(f"{value!r} is no finite number")
    return float(value)  # type: ignore[arg-type]


def _three(values: Sequence[object]) -> ImageShape:
    height, width, channels = (_whole(value) for value in values)
    if min(height, width, channels) < 1:
        raise ValueError(f"{values} is no shape of an image")
    return height, width, channels


def _numbers(values: Sequence[object], length: int) -> list[float]:
    numbers = [_number(value) for value in values]
    if len(numbers) != length:
        raise ValueError(f"{len(numbers)} numbers for {length} channels")
    return numbers


def _drawn(result: Mapping[str, Any]) -> dict[str, float]:
    """What the recipe had another value of for this network."""
    values = result.get("hyperparameters", {})
    # Another recipe may have no weight decay.
    names = ("learning_rate", *(("weight_decay",) if result["recipe"]["weight_decay"] else ()))
    drawn = {name: _number(values[name]) for name in names if name in values}
    used = result.get("learning_rate")  # on several devices a multiple of the one drawn
    return drawn if used is None else {**drawn, "learning_rate": _number(used)}


def _length(result: Mapping[str, Any]) -> str:
    """To a time, an epoch may be a part of a pass."""
    epochs = _whole(result["epochs"])
    if result.get("max_seconds") is None or "num_images_passed" not in result:
        return f"{epochs} epochs"
    passed, num_train = (_whole(result[name]) for name in ("num_images_passed", "num_train"))
    return f"{passed / max(1, num_train):.1f} passes over the images"


# The text.


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


def _listed(names: Sequence[object]) -> str:
    """A list of strings as it stands in Python."""
    literals = [_literal(name) for name in names]
    line = f"[{', '.join(literals)}]"
    if len("CLASS_NAMES = ") + len(line) <= WIDEST_LINE:
        return line
    return "[\n" + "".join(f"    {literal},\n" for literal in literals) + "]"


def _literal(name: object) -> str:
    """What JSON makes of a string is one in Python too."""
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no string")
    if any("\ud800" <= character <= "\udfff" for character in name):  # no file could hold it as it is
        return ascii(name)
    return json.dumps(name, ensure_ascii=False)
