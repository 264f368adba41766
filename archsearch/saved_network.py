"""The structure of a saved Keras model as an `Architecture`, where it is one; else the sentence why not.

Read from the JSON inside the `.keras` file: no layer is made, so that no code in it can run. No TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from archsearch.errors import UserError
from archsearch.model_file import read_json_member
from space.architecture import STEM_SIDE, Architecture, ImageShape

AHEAD = ("Normalization", "Rescaling")
"""Layers ahead of the first convolution that are no part of the structure; those of augmentation neither."""

LARGEST = 64_000_000
"""Bytes of a description, far beyond that of any network."""

KEEPS_STRUCTURE = {"dilation_rate": 1, "groups": 1}


class Layer(NamedTuple):
    kind: str
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.config.get("name", self.kind))


class _Misfit(Exception):
    """What the family does not have."""


@dataclass
class _Row:
    """The layers in their order, taken one by one."""

    layers: list[Layer]
    position: int = 0

    @property
    def next(self) -> Layer | None:
        return self.layers[self.position] if self.position < len(self.layers) else None

    def next_is(self, *kinds: str) -> bool:
        return self.next is not None and self.next.kind in kinds

    def take(self, *kinds: str, after: str) -> Layer:
        layer = self.next
        if layer is None:
            raise _Misfit(f"it ends after {after}, where {_listed(kinds)} is needed")
        if layer.kind not in kinds:
            raise _Misfit(f"after {after} stands {layer.name} ({layer.kind}), not {_listed(kinds)}")
        self.position += 1
        return layer


def read_architecture(path: Path) -> Architecture:
    """The network in a `.keras` file.

    Raises:
        UserError: The file cannot be read, or is no network of the family: with the first thing that differs.
    """
    config = _read_config(path)
    try:
        image_shape, row = _chain(config)
        return _architecture(image_shape, row)
    except _Misfit as misfit:
        raise UserError(f"{path} is no network of the space: {misfit}.") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read: its description is not what Keras writes "
            f"({type(error).__name__}: {error})."
        ) from error


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = read_json_member(path, "config.json", largest=LARGEST)
    except FileNotFoundError:
        raise UserError(f"--baseline {path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is no .keras file ({error}): save the model with `model.save('NAME.keras')`."
        ) from error
    if not isinstance(config, dict):
        raise UserError(f"{path} is no .keras file: its description is no object.")
    return config


def _chain(config: Mapping[str, Any]) -> tuple[ImageShape, _Row]:
    """The layers after the input, which must follow each other without branches."""
    kind = config["class_name"]
    if kind not in ("Sequential", "Functional"):
        raise _Misfit(f"it is a {kind}, whose layers do not stand in its file; Sequential or Functional do")
    layers = [Layer(each["class_name"], each["config"]) for each in config["config"]["layers"]]
    if kind == "Functional":
        _check_chain(config["config"]["layers"])
    if not layers or layers[0].kind != "InputLayer":
        raise _Misfit("it has no input layer: build it on images before you save it")
    _, *sides = layers[0].config["batch_shape"]
    if len(sides) != 3 or not all(isinstance(side, int) for side in sides):
        raise _Misfit(f"its input is not of one size of images, but {sides}")
    height, width, channels = sides
    ahead = 1
    while ahead < len(layers) and (layers[ahead].kind in AHEAD or layers[ahead].kind.startswith("Random")):
        ahead += 1
    return (height, width, channels), _Row(layers[ahead:])


def _check_chain(layers: list[Mapping[str, Any]]) -> None:
    before = layers[0]["config"]["name"]
    for layer in layers[1:]:
        nodes = layer["inbound_nodes"]
        sources = [*_sources(nodes)]
        if len(nodes) != 1 or sources != [before]:
            name = layer["config"]["name"]
            raise _Misfit(f"it branches: {name} comes after {', '.join(sources) or 'nothing'}")
        before = layer["config"]["name"]


def _sources(node: Any) -> Iterator[str]:
    """Names of the layers that a node takes its tensors from."""
    if isinstance(node, Mapping):
        if "keras_history" in node:
            yield node["keras_history"][0]
        else:
            for value in node.values():
                yield from _sources(value)
    elif isinstance(node, list):
        for value in node:
            yield from _sources(value)


def _architecture(image_shape: ImageShape, row: _Row) -> Architecture:
    slopes: list[float] = []
    fast_start = row.next_is("Conv2D") and row.next is not None and _sides(row.next, "kernel_size") == [2, 2]
    if fast_start:
        _stem(row, image_shape, slopes)
    convolutions = []
    while row.next_is("Conv2D"):
        convolutions.append(_convolution(row, slopes))
    if not convolutions:
        found = "nothing" if row.next is None else f"{row.next.name} ({row.next.kind})"
        raise _Misfit(f"it begins with {found}, not with a convolution")
    head, hidden_units, dropout = _head(row, slopes)
    if len({round(slope, 6) for slope in slopes}) > 1:
        raise _Misfit(f"its activations have different slopes: {', '.join(f'{s:g}' for s in {*slopes})}")
    for pool, blocks in (("last", _until_pooled(convolutions)), ("first", _from_pooled(convolutions))):
        if not blocks or any(len({filters for filters, _ in block}) > 1 for block in blocks):
            continue
        network = Architecture(
            convs=tuple(len(block) for block in blocks),
            filters=tuple(block[0][0] for block in blocks),
            hidden_units=hidden_units,
            dropout=dropout,
            leaky_relu_slope=slopes[0],
            pool=pool,
            head=head,
            fast_start=fast_start,
        )
        if [(each.filters, each.pooled) for each in network.layers(image_shape)] == convolutions:
            return network
    shown = " ".join(f"{filters}{'P' if pooled else ''}" for filters, pooled in convolutions)
    raise _Misfit(
        "its convolutions make no blocks of one width with one pooling each, after the first or the last "
        f"convolution of every block: {shown} (P is a pooling)"
    )


Blocks = list[list[tuple[int, bool]]]


def _until_pooled(convolutions: list[tuple[int, bool]]) -> Blocks:
    """A pooling ends its block; where the images got too small for one, another width does."""
    blocks: Blocks = [[]]
    for filters, pooled in convolutions:
        last = blocks[-1]
        if last and (last[-1][1] or last[-1][0] != filters):
            blocks.append([])
        blocks[-1].append((filters, pooled))
    return blocks


def _from_pooled(convolutions: list[tuple[int, bool]]) -> Blocks:
    """A pooling follows the first convolution of its block."""
    blocks: Blocks = []
    for filters, pooled in convolutions:
        if not blocks or pooled or blocks[-1][-1][0] != filters:
            blocks.append([])
        blocks[-1].append((filters, pooled))
    return blocks


def _stem(row: _Row, image_shape: ImageShape, slopes: list[float]) -> None:
    layer = row.take("Conv2D", after="the input")
    filters = Architecture(fast_start=True).stem_filters(image_shape[2])
    if layer.config["padding"] != "valid" or layer.config["filters"] != filters:
        raise _Misfit(
            f"{layer.name} is a {STEM_SIDE}x{STEM_SIDE} convolution, but not the whitening one, of {filters} "
            "filters without padding"
        )
    _normalised(row, layer, slopes)


def _convolution(row: _Row, slopes: list[float]) -> tuple[int, bool]:
    """Its filters, and whether it is pooled: ahead of the activation, or after it."""
    layer = row.take("Conv2D", after="the input")
    config = layer.config
    if _sides(layer, "kernel_size") != [3, 3] or _sides(layer, "strides") != [1, 1]:
        raise _Misfit(
            f"{layer.name} is a convolution of {'x'.join(map(str, _sides(layer, 'kernel_size')))} with "
            f"strides {_sides(layer, 'strides')}, where the space has 3x3 without strides"
        )
    if config["padding"] != "same" or any(
        _sides(layer, name) != [usual] * 2 for name, usual in KEEPS_STRUCTURE.items()
    ):
        raise _Misfit(f"{layer.name} has other padding, dilation or groups than the space")
    early = _pooling(row)
    _normalised(row, layer, slopes)
    if early and row.next_is("MaxPooling2D"):
        raise _Misfit(f"{layer.name} is pooled twice")
    return config["filters"], early or _pooling(row)


def _pooling(row: _Row) -> bool:
    if not row.next_is("MaxPooling2D"):
        return False
    layer = row.take("MaxPooling2D", after="")
    if _sides(layer, "pool_size") != [2, 2] or _sides(layer, "strides") != [2, 2]:
        raise _Misfit(f"{layer.name} pools {_sides(layer, 'pool_size')}, where the space pools 2x2")
    return True


def _normalised(row: _Row, layer: Layer, slopes: list[float]) -> None:
    """Batch normalisation and activation, which follow every layer; a bias ahead of them has no effect."""
    if layer.config.get("activation", "linear") != "linear":
        raise _Misfit(
            f"{layer.name} has its activation inside, where the space has batch normalisation first"
        )
    row.take("BatchNormalization", after=layer.name)
    slopes.append(
        _slope(row.take("LeakyReLU", "ReLU", "Activation", after=f"the normalisation of {layer.name}"))
    )


def _slope(layer: Layer) -> float:
    if layer.kind == "Activation":
        kind = layer.config["activation"]
        if kind not in ("relu", "leaky_relu"):
            raise _Misfit(f"{layer.name} is {kind}, where the space has LeakyReLU")
        return 0.0 if kind == "relu" else 0.2  # Keras's own
    if layer.config.get("max_value") is not None or layer.config.get("threshold"):
        raise _Misfit(f"{layer.name} is a ReLU with bounds, where the space has LeakyReLU")
    return float(layer.config["negative_slope"])


def _head(row: _Row, slopes: list[float]) -> tuple[str, int, float]:
    """Its kind, hidden units and dropout."""
    if row.next_is("GlobalAveragePooling2D"):
        raise _Misfit("it pools globally by the mean, where the space takes the maximum")
    first = row.take("Flatten", "GlobalMaxPooling2D", after="the convolutions")
    kind, units, dropout = "flatten" if first.kind == "Flatten" else "global_pool", 0, 0.0
    scaled = row.next_is("Rescaling")
    row.position += scaled
    layer = row.take("Dense", after=first.name)
    if not scaled and row.next_is("BatchNormalization"):
        units = layer.config["units"]
        _normalised(row, layer, slopes)
        if row.next_is("Dropout"):
            dropout = float(row.take("Dropout", after="").config["rate"])
        layer = row.take("Dense", after="the hidden layer")
    elif kind == "flatten":
        raise _Misfit("no hidden layer with batch normalisation stands between Flatten and the output")
    else:
        kind = "linear"
    _check_output(row, layer)
    return kind, units, dropout


def _check_output(row: _Row, layer: Layer) -> None:
    kind = layer.config["activation"]
    if row.next_is("Softmax", "Activation") and row.next is not None and kind == "linear":
        kind = row.next.config.get("activation", "softmax")
        row.position += 1
    if kind != "softmax" or row.next is not None:
        after = f", then {row.next.name} ({row.next.kind})" if row.next is not None else ""
        raise _Misfit(f"it ends with {layer.name} ({kind}){after}, not with a softmax")


def _sides(layer: Layer, name: str) -> list[int]:
    value = layer.config.get(name, 1)
    value = layer.config["pool_size"] if value is None and name == "strides" else value
    return list(value) if isinstance(value, list | tuple) else [value] * 2


def _listed(kinds: tuple[str, ...]) -> str:
    return " or ".join(kinds)
