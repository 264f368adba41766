"""The built models: layer by layer against the description, and counted by Keras against `Architecture`."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from space.architecture import DOCUMENTED, Architecture, ImageShape
from space.recipe import DOCUMENTED as DOCUMENTED_RECIPE
from space.recipe import MODERN, Recipe

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

NUM_CLASSES = 7
ODD_SHAPES: list[ImageShape] = [
    (28, 28, 1),
    (33, 47, 3),
    (8, 8, 3),
    (64, 16, 4),
    (9, 31, 2),
]
TINY = {"num_blocks": 2, "block_0/convs": 1, "block_1/convs": 1, "filters": 16, "hidden_units": 128}


def hyperparameters(values: dict[str, Any]) -> Any:
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


def hypermodel(image_shape: ImageShape, num_classes: int = NUM_CLASSES, **options: Any) -> Any:
    from space.hypermodel import VGGHyperModel

    return VGGHyperModel(image_shape, num_classes, **options)


def build(image_shape: ImageShape, values: dict[str, Any], **options: Any) -> Any:
    return hypermodel(image_shape, **options).build(hyperparameters(values))


def draws(num: int, *, seed: int) -> list[dict[str, Any]]:
    """Random values, uniform over the choices, with the fewer channels of `filters` for speed."""
    rng = random.Random(seed)
    return [
        {
            "num_blocks": (num_blocks := rng.randint(2, 5)),
            **{f"block_{block}/convs": rng.randint(1, 3) for block in range(num_blocks)},
            "filters": rng.choice([16, 24, 32]),
            "growth": rng.choice([1.0, 1.5, 2.0]),
            "max_filters": rng.choice([128, 256]),
            "hidden_units": rng.choice([128, 256]),
            "width": rng.choice([1.0, 0.5]),
        }
        for _ in range(num)
    ]


def keras_macs(model: Any) -> int:
    """Of all layers with a kernel but the last: kernel weights times the places they are applied at."""
    total = 0
    for layer in model.layers[:-1]:
        if type(layer).__name__ == "Conv2D":
            _, height, width, _ = layer.output.shape
            total += height * width * int(np.prod(layer.kernel.shape))
        elif type(layer).__name__ == "Dense":
            total += int(np.prod(layer.kernel.shape))
    return total


# Counts


@pytest.mark.parametrize("image_shape", ODD_SHAPES)
def test_architecture_counts_what_keras_counts(image_shape: ImageShape) -> None:
    for values in draws(5, seed=sum(image_shape)):
        one = hypermodel(image_shape)
        architecture = one.architecture(hyperparameters(values))
        model = one.build(hyperparameters(values))
        assert architecture.params(image_shape, NUM_CLASSES) == model.count_params(), values
        assert architecture.macs(image_shape) == keras_macs(model), values


@pytest.mark.parametrize("image_shape", [(32, 32, 3), (8, 8, 3)])
def test_documented_network_counts_what_keras_counts(image_shape: ImageShape) -> None:
    model = build(image_shape, {})
    assert DOCUMENTED.params(image_shape, NUM_CLASSES) == model.count_params()
    assert DOCUMENTED.macs(image_shape) == keras_macs(model)


@pytest.mark.parametrize(
    ("image_shape", "poolings"),
    [((32, 32, 3), 5), ((28, 28, 1), 4), ((8, 8, 3), 3), ((64, 16, 4), 4), ((33, 47, 3), 5)],
)
def test_poolings_that_do_not_fit_are_left_out(image_shape: ImageShape, poolings: int) -> None:
    model = build(image_shape, {"filters": 16, "max_filters": 128})
    names = [type(layer).__name__ for layer in model.layers]
    assert names.count("MaxPooling2D") == poolings
    assert names.count("Conv2D") == 13


# The documented network


@pytest.fixture(scope="module")
def documented(tensorflow: Any) -> Any:
    return build((32, 32, 3), {}, num_classes=10, recipe=DOCUMENTED_RECIPE)


def of_type(model: Any, name: str) -> list[Any]:
    return [layer for layer in model.layers if type(layer).__name__ == name]


def test_documented_layers_stand_in_the_documented_order(documented: Any) -> None:
    conv, pool = ["Conv2D", "BatchNormalization", "LeakyReLU"], ["MaxPooling2D"]
    expected = [
        "InputLayer",
        "Normalization",
        *(2 * conv + pool),
        *(2 * conv + pool),
        *(3 * conv + pool),
        *(3 * conv + pool),
        *(3 * conv + pool),
        "Flatten",
        "Dense",
        "BatchNormalization",
        "LeakyReLU",
        "Dropout",
        "Dense",
    ]
    assert [type(layer).__name__ for layer in documented.layers] == expected


def test_documented_convolutions_are_3x3_without_strides_or_bias(documented: Any) -> None:
    convs = of_type(documented, "Conv2D")
    assert [conv.filters for conv in convs] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    for conv in convs:
        assert (conv.kernel_size, conv.strides, conv.padding) == ((3, 3), (1, 1), "same")
        assert not conv.use_bias


def test_documented_poolings_halve_and_nothing_else_shrinks(documented: Any) -> None:
    pools = of_type(documented, "MaxPooling2D")
    assert [(pool.pool_size, pool.strides) for pool in pools] == [((2, 2), (2, 2))] * 5
    assert [pool.output.shape[1] for pool in pools] == [16, 8, 4, 2, 1]


def test_documented_head_is_one_dense_layer_with_the_only_dropout(documented: Any) -> None:
    hidden, output = of_type(documented, "Dense")
    assert (hidden.units, hidden.use_bias) == (512, False)
    assert (output.units, output.use_bias, output.activation.__name__) == (10, True, "softmax")
    assert [dropout.rate for dropout in of_type(documented, "Dropout")] == [0.5]


def test_documented_slope_and_momentum_are_keras_2s(documented: Any) -> None:
    assert {layer.negative_slope for layer in of_type(documented, "LeakyReLU")} == {0.3}
    assert {layer.momentum for layer in of_type(documented, "BatchNormalization")} == {0.99}


def test_documented_network_has_14_996_682_weights(documented: Any) -> None:
    assert documented.count_params() == 14_996_682


def test_documented_training_is_adam_on_plain_cross_entropy(documented: Any) -> None:
    assert type(documented.optimizer).__name__ == "Adam"
    assert float(documented.optimizer.learning_rate) == pytest.approx(0.001)
    assert type(documented.loss).__name__ == "CategoricalCrossentropy"
    assert documented.loss.get_config()["label_smoothing"] == 0


# Any network


def test_drawn_slope_dropout_and_rate_reach_the_model() -> None:
    model = build((8, 8, 3), TINY | {"leaky_relu_slope": 0.02, "dropout": 0.25, "learning_rate": 0.004})
    assert {layer.negative_slope for layer in of_type(model, "LeakyReLU")} == {0.02}
    assert [layer.rate for layer in of_type(model, "Dropout")] == [0.25]
    assert float(model.optimizer.learning_rate) == pytest.approx(0.004)


def test_pixels_are_normalised_by_the_statistics_given() -> None:
    import keras

    from archsearch.dataset import ImageStatistics

    statistics = ImageStatistics(mean=(100.0, 50.0, 0.0), std=(50.0, 10.0, 1.0))
    model = build((8, 8, 3), TINY, statistics=statistics)
    normalised = keras.Model(model.input, of_type(model, "Normalization")[0].output)
    pixels = np.full((1, 8, 8, 3), [200, 50, 255], np.uint8)
    assert np.asarray(normalised(pixels))[0, 0, 0].tolist() == pytest.approx([2, 0, 255])


def test_pixels_are_centred_without_statistics() -> None:
    import keras

    model = build((8, 8, 1), TINY)
    normalised = keras.Model(model.input, of_type(model, "Normalization")[0].output)
    pixels = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1) * np.ones((2, 8, 8, 1), np.uint8)
    assert np.asarray(normalised(pixels))[:, 0, 0, 0].tolist() == pytest.approx([-2, 2])


def test_output_is_a_float32_probability_of_each_class() -> None:
    model = build((8, 8, 3), TINY)
    probabilities = np.asarray(model(np.zeros((2, 8, 8, 3), np.uint8)))
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (2, NUM_CLASSES)
    assert probabilities.sum(axis=1) == pytest.approx([1, 1])


def test_architecture_is_what_build_builds_and_declares_the_same_space() -> None:
    one = hypermodel((8, 8, 3))
    decoded, built = hyperparameters({}), hyperparameters({})
    assert one.architecture(decoded) == DOCUMENTED
    one.build(built)
    assert decoded.values == built.values
    assert [hp.name for hp in decoded.space] == [hp.name for hp in built.space]


def test_building_draws_no_hidden_state_into_the_hypermodel() -> None:
    one = hypermodel((8, 8, 3))
    assert one.architecture(hyperparameters(TINY)).convs == (1, 1)
    assert one.architecture(hyperparameters({})) == Architecture()


@pytest.mark.parametrize(
    "image_shape", [(7, 32, 3), (32, 7, 3), (32, 32, 0), (32, 32), (0, 0, 3)], ids=lambda shape: str(shape)
)
def test_image_shapes_that_do_not_fit_are_refused(image_shape: Any) -> None:
    with pytest.raises(ValueError, match="`image_shape` must be height, width, channels with sides of at"):
        hypermodel(image_shape)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ValueError, match="`num_classes` must be at least 2, got 1"):
        hypermodel((8, 8, 3), 1)


# The schedule


def rate_keeper() -> Any:
    """A callback that keeps the rate that each step was taken with."""
    import keras

    class RateKeeper(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.rates: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.rates.append(float(np.asarray(self.model.optimizer.learning_rate)))

    return RateKeeper()


def fitted_rates(recipe: Recipe, *, num_images: int, **options: Any) -> list[float]:
    one = hypermodel((8, 8, 1), 2, recipe=recipe)
    hp = hyperparameters(TINY | {"learning_rate": 0.008})
    keeper = rate_keeper()
    x = np.zeros((num_images, 8, 8, 1), np.uint8)
    y = np.eye(2)[np.arange(num_images) % 2]
    one.fit(hp, one.build(hp), x, y, batch_size=4, verbose=0, callbacks=[keeper], **options)
    rates: list[float] = keeper.rates
    return rates


def test_fit_takes_every_step_at_the_rate_of_the_schedule() -> None:
    # 4 steps an epoch, the last of 2 images, and two epochs: 8 steps, of which round(0.8) = 1 warms up.
    rates = fitted_rates(MODERN, num_images=14, epochs=2)
    assert rates == pytest.approx(
        [0.008 * share for share in (1, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7)]
    )


def test_fit_goes_on_with_the_schedule_from_a_later_epoch() -> None:
    rates = fitted_rates(MODERN, num_images=16, epochs=2, initial_epoch=1)
    assert rates == pytest.approx([0.008 * share for share in (4 / 7, 3 / 7, 2 / 7, 1 / 7)])


def test_fit_leaves_the_rate_of_the_documented_recipe_alone() -> None:
    assert fitted_rates(DOCUMENTED_RECIPE, num_images=8, epochs=2) == pytest.approx([0.008] * 4)


def test_fit_without_a_known_number_of_steps_says_what_to_give() -> None:
    import tensorflow as tf

    one = hypermodel((8, 8, 1), 2)
    hp = hyperparameters(TINY)
    images = tf.data.Dataset.from_tensors((tf.zeros((4, 8, 8, 1)), tf.one_hot([0, 1, 0, 1], 2)))
    unknown = images.repeat(2).filter(lambda x, y: True)
    with pytest.raises(ValueError, match="give `steps_per_epoch` to `fit`"):
        one.fit(hp, one.build(hp), unknown, epochs=1, shuffle=False, verbose=0)
