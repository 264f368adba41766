"""The layers of a model as a graph for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archsearch.reporting.network_graph import layer_graph
from archsearch.reporting.tensorboard import ResultEvents, TrialEvents
from tests.serving import events_in

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


def nodes(model: Any) -> dict[str, Any]:
    return {node.name: node for node in layer_graph(model).node}


def edges(model: Any) -> dict[str, list[str]]:
    return {name: list(node.input) for name, node in nodes(model).items()}


def test_layers_stand_in_boxes_by_the_size_of_their_output() -> None:
    import keras

    x = pixels = keras.Input((8, 6, 3), name="pixels")
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(x)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(pixels, keras.layers.Dense(2, name="dense")(x))
    assert edges(model) == {
        "1_8x6/pixels": [],
        "1_8x6/conv": ["1_8x6/pixels"],
        "2_4x3/pool": ["1_8x6/conv"],
        "3_vectors/flatten": ["2_4x3/pool"],
        "3_vectors/dense": ["3_vectors/flatten"],
    }


def test_a_layer_tells_its_kind_settings_weights_and_output() -> None:
    import keras

    model = keras.Sequential([keras.Input((8, 6, 3)), keras.layers.Conv2D(4, 3, name="conv")])
    node = nodes(model)["2_6x4/conv"]
    assert node.op == "Conv2D"
    assert node.attr["filters"].s == b"4"
    assert node.attr["kernel_size"].s == b"3x3"
    assert node.attr["weights"].i == 3 * 3 * 3 * 4 + 4
    (shape,) = node.attr["_output_shapes"].list.shape
    assert [each.size for each in shape.dim] == [-1, 6, 4, 4]


def test_branches_and_models_inside_a_model_are_connected() -> None:
    import keras

    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    x = z = keras.Input((4,), name="inside")
    inner = keras.Model(x, [keras.layers.Dense(3)(z), keras.layers.Dense(3)(z)], name="inner")
    left, right = inner(first)
    both = keras.layers.Add(name="add")([left, right, keras.layers.Dense(3, name="dense")(second)])
    found = edges(keras.Model([first, second], both))
    assert set(found["1_vectors/add"]) == {"1_vectors/inner", "1_vectors/dense"}
    assert found["1_vectors/inner"] == ["1_vectors/first"]


def test_a_model_that_is_no_graph_of_layers_is_left_out_and_the_reason_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with ResultEvents(tmp_path) as events:
        events.network(Own())
    assert capsys.readouterr().err.startswith(
        "TensorBoard's graph of the network was left out: AttributeError"
    )
    with TrialEvents(tmp_path) as events:
        events.epoch(1, {"loss": 0.5})
    assert [value.tag for event in events_in(tmp_path) for value in event.summary.value] == ["loss/train"]
