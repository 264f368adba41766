"""The structure in a saved model: of every kind the space has, and of what it has not, the sentence."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from archsearch import saved_network
from archsearch.errors import UserError
from archsearch.given_network import architecture_of, read_network
from archsearch.saved_network import read_architecture
from space.architecture import Architecture
from space.recipe import MODERN

NETWORKS = [
    Architecture(convs=(1, 2), filters=(16, 32), hidden_units=64, dropout=0.25, leaky_relu_slope=0.1),
    Architecture(convs=(2, 1, 1), filters=(8, 8, 8), hidden_units=16, dropout=0.0),
    Architecture(convs=(1, 1, 1, 2, 1), filters=(8, 16, 32, 32, 32), hidden_units=16),
    Architecture(convs=(2, 3), filters=(16, 24), hidden_units=32, pool="first", head="global_pool"),
    Architecture((2, 2, 2), (16, 64, 64), 0, 0.0, 0.1, pool="first", head="linear", fast_start=True),
]


def saved(network: Architecture, path: Path, image_shape: tuple[int, int, int] = (16, 16, 3)) -> Path:
    """As the final training leaves it, with augmentation, optimiser and weights aside."""
    from space.hypermodel import VGGHyperModel

    hypermodel = VGGHyperModel(image_shape, 3)
    model = hypermodel._assemble(network, 0.9)
    model.save(path)
    return path


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_saved_network_of_the_space_is_read_back(tmp_path: Path, network: Architecture) -> None:
    path = saved(network, tmp_path / "model.keras")
    assert read_architecture(path) == network
    values, notes = read_network(str(path), MODERN)
    assert architecture_of(values, MODERN) == network
    assert notes == []


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_poolings_that_did_not_fit_are_understood(tmp_path: Path) -> None:
    """Five blocks on 8x8 pixels are pooled three times; blocks four and five differ in nothing but that."""
    network = Architecture(convs=(1, 1, 1, 1), filters=(8, 8, 8, 16), hidden_units=16)
    assert read_architecture(saved(network, tmp_path / "model.keras", (8, 8, 1))) == network


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_a_model_written_by_hand_is_read_with_bias_relu_and_a_softmax_of_its_own(tmp_path: Path) -> None:
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((16, 16, 3)), layers.RandomFlip(), layers.Rescaling(1 / 255)])
    for filters in (16, 32):
        for _ in range(2):
            model.add(layers.Conv2D(filters, (3, 3), padding="same"))
            model.add(layers.BatchNormalization())
            model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(64))
    model.add(layers.BatchNormalization())
    model.add(layers.ReLU())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(4))
    model.add(layers.Softmax())
    model.save(tmp_path / "mine.keras")
    assert read_architecture(tmp_path / "mine.keras") == Architecture((2, 2), (16, 32), 64, 0.3, 0.0)


# What does not fit


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


def conv(filters: int = 16, **changes: Any) -> list[dict[str, Any]]:
    usual: dict[str, Any] = {
        "kernel_size": [3, 3],
        "strides": [1, 1],
        "padding": "same",
        "dilation_rate": [1, 1],
        "groups": 1,
    }
    return [
        layer("Conv2D", **(usual | {"filters": filters, "activation": "linear"} | changes)),
        layer("BatchNormalization"),
        layer("LeakyReLU", negative_slope=0.1),
    ]


POOL = [layer("MaxPooling2D", pool_size=[2, 2], strides=[2, 2])]
INPUT = [layer("InputLayer", batch_shape=[None, 16, 16, 3])]
HIDDEN = [
    layer("Dense", units=32, activation="linear"),
    layer("BatchNormalization"),
    layer("LeakyReLU", negative_slope=0.1),
    layer("Dropout", rate=0.5),
]
OUTPUT = [layer("Dense", units=3, activation="softmax")]
BODY = [*conv(16), *POOL, *conv(32), *POOL]
HEAD = [layer("Flatten"), *HIDDEN, *OUTPUT]


def written(path: Path, layers: Any, kind: str = "Sequential") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps({"class_name": kind, "config": {"layers": layers}}))
    return path


def test_the_network_that_the_misfits_change_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "m.keras", [*INPUT, *BODY, *HEAD])
    assert read_architecture(path) == Architecture((1, 1), (16, 32), 32, 0.5, 0.1)


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([*BODY, *HEAD], "it has no input layer"),
        ([layer("InputLayer", batch_shape=[None, None, None, 3]), *BODY, *HEAD], "not of one size of images"),
        ([*INPUT, *HEAD], r"it begins with flatten \(Flatten\), not with a convolution"),
        ([*INPUT], "it begins with nothing"),
        ([*INPUT, *BODY], "it ends after the convolutions, where Flatten or GlobalMaxPooling2D is needed"),
        ([*INPUT, *conv(kernel_size=[5, 5]), *POOL, *HEAD], r"convolution of 5x5 with strides \[1, 1\]"),
        ([*INPUT, *conv(strides=[2, 2]), *HEAD], r"3x3 with strides \[2, 2\]"),
        ([*INPUT, *conv(padding="valid"), *POOL, *HEAD], "other padding, dilation or groups"),
        ([*INPUT, *conv(dilation_rate=[2, 2]), *POOL, *HEAD], "other padding, dilation or groups"),
        ([*INPUT, *conv(groups=4), *POOL, *HEAD], "other padding, dilation or groups"),
        (
            [*INPUT, *conv(kernel_size=[2, 2], padding="valid"), *BODY, *HEAD],
            "but not the whitening one, of 24",
        ),
        ([*INPUT, *conv()[:1], *POOL, *POOL, *HEAD], r"stands maxpooling2d \(MaxPooling2D\), not BatchNorm"),
        ([*INPUT, *conv()[:2], *POOL, *HEAD], "not LeakyReLU or ReLU or Activation"),
        ([*INPUT, *conv(activation="relu"), *POOL, *HEAD], "has its activation inside"),
        ([*INPUT, *conv()[:2], layer("Activation", activation="tanh"), *POOL, *HEAD], "activation is tanh"),
        (
            [*INPUT, *conv()[:2], layer("ReLU", negative_slope=0.1, max_value=6.0), *POOL, *HEAD],
            "ReLU with bounds",
        ),
        (
            [*INPUT, *conv()[:2], layer("LeakyReLU", negative_slope=0.3), *POOL, *HEAD],
            "different slopes: 0.[13], 0.[13]",
        ),
        (
            [*INPUT, *conv(), layer("MaxPooling2D", pool_size=[3, 3], strides=[2, 2]), *HEAD],
            r"pools \[3, 3\]",
        ),
        ([*INPUT, *conv(16), *conv(32), *POOL, *HEAD], "make no blocks of one width .*: 16 32P"),
        ([*INPUT, *conv(), *POOL, layer("Dropout", rate=0.1), *HEAD], r"stands dropout \(Dropout\)"),
        ([*INPUT, *BODY, layer("GlobalAveragePooling2D"), *OUTPUT], "pools globally by the mean"),
        ([*INPUT, *BODY, layer("Flatten"), *OUTPUT], "no hidden layer with batch normalisation"),
        (
            [*INPUT, *BODY, layer("Flatten"), *HIDDEN, *HIDDEN, *OUTPUT],
            r"it ends with dense \(linear\), then",
        ),
        ([*INPUT, *BODY, *HEAD[:-1], layer("Dense", units=1, activation="sigmoid")], r"dense \(sigmoid\)"),
    ],
)
def test_what_the_space_has_not_is_said(tmp_path: Path, layers: Any, why: str) -> None:
    path = written(tmp_path / "m.keras", layers)
    with pytest.raises(UserError, match=rf"m\.keras is no network of the space: .*{why}"):
        read_architecture(path)


def test_a_network_that_branches_is_named_at_the_place(tmp_path: Path) -> None:
    def after(one: dict[str, Any], *names: str) -> dict[str, Any]:
        tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [n, 0, 0]}} for n in names]
        return one | {"inbound_nodes": [{"args": [tensors], "kwargs": {}}]}

    layers = [INPUT[0], after(conv()[0], "inputlayer"), after(layer("Add"), "conv2d", "inputlayer")]
    with pytest.raises(UserError, match="it branches: add comes after conv2d, inputlayer"):
        read_architecture(written(tmp_path / "m.keras", layers, "Functional"))


@pytest.mark.parametrize("kind", ["MyModel", "Model"])
def test_a_class_of_its_own_does_not_tell_its_layers(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match=f"it is a {kind}, whose layers do not stand in its file"):
        read_architecture(written(tmp_path / "m.keras", [], kind))


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with pytest.raises(UserError, match="does not exist"):
        read_architecture(path)
    for content in (b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04 half"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"is no \.keras file .*model\.save"):
            read_architecture(path)
    for config in ("[]", "{", '{"class_name": "Sequential"}', '{"class_name": "Sequential", "config": 3}'):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("config.json", config)
        with pytest.raises(UserError, match=r"m\.keras"):
            read_architecture(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("other.json", "{}")
    with pytest.raises(UserError, match=r"is no \.keras file"):
        read_architecture(path)


@pytest.mark.parametrize(
    ("place", "byte", "error"),
    [
        (41, 0xFF, "Error -3"),  # the first one behind the header and the name: no kind of block
        (29, 0xFF, ""),  # the length of what follows the name: beyond the end of the file
    ],
)
def test_a_damaged_file_is_refused_like_any_other(tmp_path: Path, place: int, byte: int, error: str) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", json.dumps([*range(1000)]))
    data = bytearray(path.read_bytes())
    data[place] = byte
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"is no \.keras file \(.*{error}.*\): save the model with"):
        read_architecture(path)


def test_a_description_that_would_fill_the_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_network, "LARGEST", 20_000)
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", " " * 20_001)
    with pytest.raises(UserError, match=r"is no \.keras file \(config\.json has more than 20,000 bytes\)"):
        read_architecture(path)


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    """A Lambda is a layer like any other that the space has not; nothing in it is looked at."""
    lambda_layer = layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}})
    path = written(tmp_path / "m.keras", [*INPUT, lambda_layer, *BODY, *HEAD])
    with pytest.raises(UserError, match=r"it begins with lambda \(Lambda\)"):
        read_architecture(path)
