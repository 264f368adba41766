"""The structure of two networks as block diagrams, on one scale."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from space.architecture import Architecture, ImageShape

BAR = 13
"""Height of one convolution, in the units of the drawing."""
GAP = 3
SPACE = 13
"""Between blocks."""
LINES = 40
"""At least from one group to the next, for what is written beside them."""
WIDEST = 200
NARROWEST = 10
WIDTH = 440


@dataclass(frozen=True)
class Bar:
    """One layer: the wider, the more filters or units."""

    kind: str
    """ "input", "conv", "pool", "dense" or "output"."""
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Text:
    """Beside the bars."""

    y: float
    text: str
    note: str


@dataclass(frozen=True)
class Diagram:
    """A drawing, `WIDTH` wide."""

    title: str
    subtitle: str
    height: float
    bars: Sequence[Bar]
    texts: Sequence[Text]


@dataclass(frozen=True)
class _Layer:
    kind: str
    size: int
    """Filters or units; 0 draws the full width."""


@dataclass(frozen=True)
class _Group:
    """Layers that stand together, with what is written beside them."""

    layers: Sequence[_Layer]
    text: str
    note: str = ""


def diagrams(
    networks: Sequence[tuple[str, str, Mapping[str, Any]]],
    *,
    image_shape: ImageShape | None,
    num_classes: int | None,
) -> list[Diagram]:
    """Of each network that is one of ours.

    Args:
        networks: Title, subtitle, and `architecture` of a record.
        image_shape: Height, width, channels; `None` leaves sizes out.
        num_classes: `None` leaves it out.
    """
    drawn = []
    for title, subtitle, architecture in networks:
        try:
            drawn.append((title, subtitle, list(_groups(architecture, image_shape, num_classes))))
        except (KeyError, TypeError, ValueError):
            continue  # of a hypermodel with another kind of architecture
    widest = {"conv": 1, "dense": 1, "output": 1}
    for layer in (layer for _, _, groups in drawn for group in groups for layer in group.layers):
        kind = "conv" if layer.kind == "conv" else "dense"
        widest[kind] = max(widest[kind], layer.size)
    widest["output"] = widest["dense"]
    return [_drawn(title, subtitle, groups, widest) for title, subtitle, groups in drawn]


def _groups(
    architecture: Mapping[str, Any], image_shape: ImageShape | None, num_classes: int | None
) -> Iterator[_Group]:
    network = Architecture.from_dict(architecture)
    yield _Group([_Layer("input", 0)], "input", _size_text(image_shape))
    # Of images of unknown size every pooling is taken to fit.
    shape = image_shape or (2 ** (len(network.convs) + 1), 2 ** (len(network.convs) + 1), 1)
    stem = network.stem_filters(shape[2])
    if stem:
        text = f"whitening 2×2, {stem} filters" if image_shape else "whitening 2×2"
        yield _Group([_Layer("conv", stem)], text, "frozen")
    convolutions = network.layers(shape)
    for convs, filters in zip(network.convs, network.filters, strict=True):
        block = list(itertools.islice(convolutions, convs))
        layers = [
            layer for conv in block for layer in [_Layer("conv", filters)] + [_Layer("pool", 0)] * conv.pooled
        ]
        size = (block[0].height, block[0].width) if image_shape else None
        yield _Group(layers, f"{convs} × conv 3×3, {filters} filters", _size_text(size))
    features = "after flatten" if network.head == "flatten" else "after global pooling"
    if network.hidden_units:
        note = f"dropout {network.dropout:.2f}, {features}"
        yield _Group([_Layer("dense", network.hidden_units)], f"dense, {network.hidden_units} units", note)
    classes = f"{num_classes} classes" if num_classes else "one unit a class"
    slope = f"LeakyReLU slope {network.leaky_relu_slope:.2g} throughout"
    note = slope if network.hidden_units else f"{features}; {slope}"
    yield _Group([_Layer("output", num_classes or 1)], f"softmax, {classes}", note)


def _size_text(size: Sequence[int] | None) -> str:
    return " × ".join(str(number) for number in size or ())


def _drawn(title: str, subtitle: str, groups: Sequence[_Group], widest: Mapping[str, int]) -> Diagram:
    bars: list[Bar] = []
    texts: list[Text] = []
    y = 12.0
    for group in groups:
        top = y
        for layer in group.layers:
            height = 5.0 if layer.kind == "pool" else float(BAR)
            width = 90.0 if layer.size == 0 else max(NARROWEST, WIDEST * layer.size / widest[layer.kind])
            bars.append(Bar(layer.kind, round((WIDEST - width) / 2 + 4, 1), y, round(width, 1), height))
            y += height + GAP
        texts.append(Text(round((top + y - GAP) / 2, 1), group.text, group.note))
        y = max(y + SPACE, top + LINES)
    return Diagram(title, subtitle, y + 4, bars, texts)
