"""The layers of a Keras model as a graph for TensorBoard, which groups them by the size of their output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tensorboard.compat.proto import attr_value_pb2, graph_pb2, tensor_shape_pb2

VECTORS = "vectors"
"""Of the layers whose output has no height and width."""

SHOWN = ("filters", "kernel_size", "strides", "pool_size", "units", "rate", "negative_slope", "activation")
"""Settings of a layer that are worth reading beside its name."""


def layer_graph(model: Any) -> graph_pb2.GraphDef:
    """One node a layer, with its settings, its weights, and the shape of its output on the edges.

    Layers in a row whose output has the same height and width stand in one box, such as `1_32x32`.

    Args:
        model: Functional, or sequential and built.

    Raises:
        AttributeError: It is another kind of model.
    """
    operations = (getattr(model, "_functional", None) or model).operations
    names = dict(_names(operations))
    graph = graph_pb2.GraphDef()
    for operation in operations:
        inputs = [
            names[producer.name]
            for node in operation._inbound_nodes  # Keras has no public way to the layers before a layer
            for tensor in node.input_tensors
            if (producer := tensor._keras_history.operation).name in names
        ]
        kind = type(operation).__name__
        node = graph.node.add(name=names[operation.name], op=kind, input=dict.fromkeys(inputs))
        node.attr["weights"].i = operation.count_params() if hasattr(operation, "count_params") else 0
        for key, text in _settings(operation.get_config()):
            node.attr[key].s = text.encode()
        node.attr["_output_shapes"].list.CopyFrom(_output_shapes(operation))
    return graph


def _names(operations: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """By the layer's own name, the one with its box in front."""
    number, box = 0, ""
    for operation in operations:
        shape = _shapes(operation)[0]
        size = f"{shape[1]}x{shape[2]}" if len(shape) == 4 else VECTORS
        if size != box:
            number, box = number + 1, size
        yield operation.name, f"{number}_{box}/{operation.name}"


def _shapes(operation: Any) -> list[tuple[int | None, ...]]:
    """Of its outputs, of which most layers have one."""
    output = operation.output
    return [tuple(tensor.shape) for tensor in (output if isinstance(output, list | tuple) else [output])]


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in SHOWN:
        value = config.get(key)
        if isinstance(value, tuple | list):
            yield key, "x".join(map(str, value))
        elif isinstance(value, str | int | float):
            yield key, str(value)


def _output_shapes(operation: Any) -> attr_value_pb2.AttrValue.ListValue:
    """-1 for the size of a batch, and whatever else is not known."""
    dimension, shape = tensor_shape_pb2.TensorShapeProto.Dim, tensor_shape_pb2.TensorShapeProto
    sizes = [[-1 if size is None else int(size) for size in each] for each in _shapes(operation)]
    shapes = [shape(dim=[dimension(size=size) for size in each]) for each in sizes]
    return attr_value_pb2.AttrValue.ListValue(shape=shapes)
