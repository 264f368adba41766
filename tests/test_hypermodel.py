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
    """Random values, uniform over the choices, with few channels for speed."""
    rng = random.Random(seed)
    return [
        {
            "num_blocks": (num_blocks := rng.randint(2, 5)),
            **{f"block_{block}/convs": rng.randint(1, 3) for block in range(num_blocks)},
            "filters": rng.choice([16, 24, 32]),
            "growth": rng.choice([1.0, 1.5, 2.0]),
            "max_filters": rng.choice([128, 256]),
            "hidden_units": rng.choice([128, 256]),
            "width": rng.choice([1.0, 0.5, 1.5]),
            "pool": rng.choice(["last", "first"]),
            "head": rng.choice(["flatten", "global_pool", "linear"]),
            "fast_start": rng.random() < 0.5,
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
    for values in draws(6, seed=sum(image_shape)):
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


@pytest.mark.parametrize("pool", ["last", "first"])
@pytest.mark.parametrize("head", ["flatten", "global_pool", "linear"])
@pytest.mark.parametrize("fast_start", [False, True])
def test_every_structure_is_counted_as_keras_counts_it(pool: str, head: str, fast_start: bool) -> None:
    values = {"filters": 16, "max_filters": 128, "pool": pool, "head": head, "fast_start": fast_start}
    one = hypermodel((33, 47, 3))
    architecture, model = one.architecture(hyperparameters(values)), one.build(hyperparameters(values))
    assert (architecture.pool, architecture.head, architecture.fast_start) == (pool, head, fast_start)
    assert architecture.params((33, 47, 3), NUM_CLASSES) == model.count_params()
    assert architecture.macs((33, 47, 3)) == keras_macs(model)


@pytest.mark.parametrize("pool", ["last", "first"])
@pytest.mark.parametrize("head", ["flatten", "linear"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_image_keeps_a_pixel_after_the_stem_and_all_blocks(
    pool: str, head: str, channels: int
) -> None:
    shape = (8, 8, channels)
    values = {"filters": 16, "max_filters": 128, "pool": pool, "head": head, "fast_start": True}
    model = build(shape, values)
    # 8 - 1 = 7, then 3 and 1.
    assert [pool.output.shape[1] for pool in of_type(model, "MaxPooling2D")] == [3, 1]
    probabilities = np.asarray(model(np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)))
    assert probabilities.sum(axis=1) == pytest.approx([1, 1])


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
    model = build((8, 8, 3), TINY | {"leaky_relu_slope": 0.02, "dropout": 0.25, "learning_rate": 0.04})
    assert {layer.negative_slope for layer in of_type(model, "LeakyReLU")} == {0.02}
    assert [layer.rate for layer in of_type(model, "Dropout")] == [0.25]
    assert float(model.optimizer.learning_rate) == pytest.approx(0.04)


def test_drawn_weight_decay_and_the_recipes_momentum_and_smoothing_reach_the_model() -> None:
    model = build((8, 8, 3), TINY | {"weight_decay": 0.01})
    optimizer = model.optimizer
    assert (optimizer.weight_decay, optimizer.momentum, optimizer.nesterov) == (0.01, 0.9, True)
    assert model.loss.get_config()["label_smoothing"] == 0.2
    assert {layer.momentum for layer in of_type(model, "BatchNormalization")} == {0.6}


def test_kinds_of_batch_normalisation_differ_in_how_it_is_computed_only() -> None:
    import keras

    from space.fused import FusedBatchNormalization

    networks = {kind: build((8, 8, 3), TINY, batch_norm=kind) for kind in ("plain", "fused", "synchronized")}
    norms = {
        kind: [each for each in model.layers if isinstance(each, keras.layers.BatchNormalization)]
        for kind, model in networks.items()
    }
    assert {type(each) for each in norms["plain"]} == {keras.layers.BatchNormalization}
    assert {type(each) for each in norms["fused"]} == {FusedBatchNormalization}
    assert [each.synchronized for kind in norms.values() for each in kind] == [False] * 6 + [True] * 3
    shapes = {tuple(tuple(each.shape) for each in model.weights) for model in networks.values()}
    assert len(shapes) == 1
    with pytest.raises(ValueError, match="`batch_norm` must be one of plain, fused, synchronized, got 'own'"):
        build((8, 8, 3), TINY, batch_norm="own")


def test_pixels_are_normalised_by_the_statistics_given() -> None:
    import keras

    from archsearch.image_statistics import ImageStatistics

    statistics = ImageStatistics((100.0, 50.0, 0.0), (50.0, 10.0, 1.0), patch_covariance=((0.0,) * 12,) * 12)
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
    "image_shape",
    [(7, 32, 3), (32, 7, 3), (1, 32, 3), (2, 2, 3), (32, 32, 0), (32, 32), (0, 0, 3)],
    ids=lambda shape: str(shape),
)
def test_image_shapes_that_do_not_fit_are_refused(image_shape: Any) -> None:
    with pytest.raises(ValueError, match="`image_shape` must be height, width, channels with sides of at"):
        hypermodel(image_shape)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ValueError, match="`num_classes` must be at least 2, got 1"):
        hypermodel((8, 8, 3), 1)


# The fast start

FAST = TINY | {"block_0/convs": 2, "pool": "first", "head": "linear", "fast_start": True}


def photographs(num_images: int, shape: ImageShape, *, grey: bool = False) -> Any:
    """Smooth noise of one shade or more, as training images with their statistics."""
    from archsearch.dataset import Images
    from archsearch.image_statistics import image_statistics

    rng = np.random.default_rng(0)
    height, width, channels = shape
    fine = rng.normal(size=(num_images, height + 1, width + 1, 1 if grey else channels))
    x = 120 + 30 * (fine[:, 1:, 1:] + fine[:, :-1, 1:] + 0.5 * fine[:, 1:, :-1])
    pixels = np.broadcast_to(np.clip(x, 0, 255), (num_images, *shape)).astype(np.uint8)
    images = Images(pixels, np.arange(num_images) % NUM_CLASSES)
    return images, image_statistics(images)


def test_layers_of_a_fast_start_stand_in_this_order() -> None:
    activation = ["BatchNormalization", "LeakyReLU"]
    model = build((8, 8, 3), FAST)
    assert [type(layer).__name__ for layer in model.layers] == [
        *("InputLayer", "Normalization", "Conv2D", *activation),
        *("Conv2D", "MaxPooling2D", *activation, "Conv2D", *activation),
        *("Conv2D", "MaxPooling2D", *activation),
        *("GlobalMaxPooling2D", "Rescaling", "Dense"),
    ]
    stem = of_type(model, "Conv2D")[0]
    assert (stem.kernel_size, stem.padding, stem.use_bias, stem.filters) == ((2, 2), "valid", False, 24)
    assert not any(layer.scale for layer in of_type(model, "BatchNormalization"))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_stem_whitens_the_training_images(channels: int) -> None:
    import keras

    images, statistics = photographs(300, (12, 12, channels))
    model = build((12, 12, channels), FAST, statistics=statistics)
    stem = keras.Model(model.input, model.get_layer("whitening").output)
    outputs = np.asarray(stem(images.x)).reshape(-1, 8 * channels)
    covariance = np.cov(outputs[:, : 4 * channels], rowvar=False)
    # The flattest direction has a variance of some 0.05, to which 0.0005 are added.
    assert np.allclose(covariance, np.eye(4 * channels), atol=0.02)
    assert np.allclose(outputs.mean(axis=0), 0, atol=0.05)
    assert np.allclose(outputs[:, 4 * channels :], -outputs[:, : 4 * channels], atol=1e-5)


@pytest.mark.parametrize("kind", ["constant", "grey"])
def test_images_that_vary_in_few_directions_train_without_nan(kind: str) -> None:
    from archsearch.dataset import Images
    from archsearch.image_statistics import image_statistics

    images, statistics = photographs(28, (8, 8, 3), grey=True)
    if kind == "constant":
        images = Images(np.full_like(images.x, 90), images.y)
        statistics = image_statistics(images)
    one = hypermodel((8, 8, 3), statistics=statistics)
    hp = hyperparameters(FAST)
    model = one.build(hp)
    history = one.fit(hp, model, images.x, np.eye(NUM_CLASSES)[images.y], batch_size=14, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.isfinite(np.asarray(weights)).all() for weights in model.weights)


def test_without_statistics_the_stem_takes_pixels_for_noise() -> None:
    model = build((8, 8, 3), FAST)
    kernel = np.asarray(model.get_layer("whitening").kernel).reshape(12, 24)
    assert np.abs(kernel).sum(axis=0) == pytest.approx(np.ones(24), rel=1e-3)


def test_convolutions_of_a_fast_start_begin_as_the_identity() -> None:
    import keras

    model = build((8, 8, 3), FAST)
    _, first, second, third = of_type(model, "Conv2D")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 24)).astype(np.float32)
    # 24 channels of the stem to 16, 16 to 16, 16 to 32.
    for layer, channels, passed in ((first, 24, 16), (second, 16, 16), (third, 16, 16)):
        convolution = keras.layers.Conv2D(layer.filters, 3, padding="same", use_bias=False)
        convolution.build((None, 8, 8, channels))
        convolution.set_weights(layer.get_weights())
        assert np.allclose(np.asarray(convolution(x[..., :channels]))[..., :passed], x[..., :passed])


def test_convolutions_of_other_networks_begin_at_random() -> None:
    kernel = np.asarray(of_type(build((8, 8, 3), TINY), "Conv2D")[1].kernel)
    assert (kernel != 0).all()


def test_training_leaves_the_stem_as_it_was() -> None:
    images, statistics = photographs(14, (8, 8, 3))
    one = hypermodel((8, 8, 3), statistics=statistics)
    hp = hyperparameters(FAST)
    model = one.build(hp)
    before = np.asarray(model.get_layer("whitening").kernel).copy()
    other = np.asarray(of_type(model, "Conv2D")[1].kernel).copy()
    one.fit(hp, model, images.x, np.eye(NUM_CLASSES)[images.y], batch_size=7, verbose=0)
    assert np.array_equal(np.asarray(model.get_layer("whitening").kernel), before)
    assert not np.array_equal(np.asarray(of_type(model, "Conv2D")[1].kernel), other)


@pytest.mark.parametrize(("fast_start", "factor"), [(True, 64), (False, 1)])
def test_the_first_step_moves_offsets_64_times_as_far_only_in_a_fast_start(
    fast_start: bool, factor: int
) -> None:
    """1.9 rate g from standstill, and rate x decay of a kernel's weights besides."""
    import tensorflow as tf

    images, statistics = photographs(14, (8, 8, 3))
    one = hypermodel((8, 8, 3), statistics=statistics)
    hp = hyperparameters(FAST | {"fast_start": fast_start, "learning_rate": 0.001, "weight_decay": 0.02})
    model = one.build(hp)
    y = np.eye(NUM_CLASSES)[images.y]
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=y, y_pred=model(images.x, training=True))
    gradients = [np.asarray(g) for g in tape.gradient(loss, [v.value for v in variables])]
    before = [np.asarray(v).copy() for v in variables]
    model.fit(images.x, y, batch_size=14, shuffle=False, verbose=0)
    for variable, was, gradient in zip(variables, before, gradients, strict=True):
        rate = 0.001 * (factor if variable.name == "beta" else 1)
        decay = 0.001 * 0.02 * was if variable.name == "kernel" else 0
        expected = -1.9 * rate * gradient - decay
        assert np.allclose(np.asarray(variable) - was, expected, atol=2e-6, rtol=1e-2), variable.path


# Half precision


@pytest.fixture
def half_precision(tensorflow: Any) -> Any:
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("values", [TINY, FAST], ids=["documented", "fast"])
def test_half_precision_computes_in_it_and_ends_in_float32(half_precision: Any, values: Any) -> None:
    images, statistics = photographs(8, (8, 8, 3))
    one = hypermodel((8, 8, 3), statistics=statistics)
    hp = hyperparameters(values)
    model = one.build(hp)
    assert {layer.compute_dtype for layer in of_type(model, "Conv2D")} == {"float16"}
    assert {layer.compute_dtype for layer in of_type(model, "Normalization")} == {"float32"}
    assert {weights.dtype for weights in model.trainable_variables} == {"float32"}
    probabilities = np.asarray(model(images.x))
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-5)


def test_half_precision_trains_at_the_rates_of_the_schedule(half_precision: Any) -> None:
    # Keras wraps the optimiser in one that scales the loss. 4 steps, of which round(0.8) = 1 warms up.
    rates = fitted_rates(MODERN, num_images=16, epochs=1)
    assert rates == pytest.approx([0.008 * share for share in (1, 1, 2 / 3, 1 / 3)])


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
    # 4 steps an epoch, the last of 2 images, and two epochs: 8 steps, of which round(1.6) = 2 warm up.
    rates = fitted_rates(MODERN, num_images=14, epochs=2)
    assert rates == pytest.approx(
        [0.008 * share for share in (1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6)]
    )


def test_fit_goes_on_with_the_schedule_from_a_later_epoch() -> None:
    rates = fitted_rates(MODERN, num_images=16, epochs=2, initial_epoch=1)
    assert rates == pytest.approx([0.008 * share for share in (4 / 6, 3 / 6, 2 / 6, 1 / 6)])


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
