"""The layers of a fast start: what their kernels do to images, by arithmetic of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


def patches(x: NDArray[Any]) -> NDArray[np.float64]:
    """Every 2x2 patch of images (b, h, w, c), (n, 4 c), in the order row, column, channel."""
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (2, 2), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 4 * x.shape[3])


def smooth(num_images: int, channels: int) -> NDArray[np.float64]:
    """Noise of deviation 1 whose neighbours and channels are alike, as in photographs."""
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(num_images, 17, 17, channels))
    x = fine[:, :-1, :-1] + 0.5 * (fine[:, 1:, :-1] + fine[:, :-1, 1:]) + 0.3 * fine[:, :-1, :-1, :1]
    return (x - x.mean(axis=(0, 1, 2))) / x.std(axis=(0, 1, 2))


def whitened(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the stem's convolution makes of them, (n, 8 c)."""
    from space.blocks import whitening_kernel

    kernel = whitening_kernel(np.cov(patches(x), rowvar=False, bias=True))
    return patches(x) @ kernel.reshape(-1, kernel.shape[3])


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_patches_have_variance_1_and_nothing_in_common(channels: int) -> None:
    outputs = whitened(smooth(200, channels))[:, : 4 * channels]
    covariance = np.cov(outputs, rowvar=False, bias=True)
    # A direction of variance v is divided by the root of v + 0.0005; the flattest ones here have about 0.03.
    assert np.allclose(covariance, np.eye(4 * channels), atol=0.03)
    assert np.allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-4)


def test_the_second_half_of_the_stem_is_the_opposite_of_the_first() -> None:
    outputs = whitened(smooth(5, 3))
    assert np.array_equal(outputs[:, 12:], -outputs[:, :12])


def test_the_stem_by_hand_on_one_channel() -> None:
    """Four pixels that vary on their own, by 1, 4, 9 and 16: each is an output, divided by 1, 2, 3, 4."""
    from space.blocks import whitening_kernel

    kernel = whitening_kernel(np.diag([16.0, 1.0, 9.0, 4.0]))
    assert kernel.shape == (2, 2, 1, 8)
    assert kernel.dtype == np.float32
    # In the order of the variances: the upper right, the lower right, the lower left, the upper left pixel.
    expected = np.zeros((4, 4))
    expected[1, 0], expected[3, 1], expected[2, 2], expected[0, 3] = 1, 1 / 2, 1 / 3, 1 / 4
    assert kernel.reshape(4, 8)[:, :4] == pytest.approx(expected, rel=6e-4)
    assert kernel.reshape(4, 8)[:, 4:] == pytest.approx(-expected, rel=6e-4)


def test_the_sign_of_a_direction_is_not_left_to_the_library() -> None:
    from space.blocks import whitening_kernel

    kernel = whitening_kernel(np.cov(patches(smooth(20, 3)), rowvar=False)).reshape(12, 24)[:, :12]
    largest = kernel[np.abs(kernel).argmax(axis=0), np.arange(12)]
    assert (largest > 0).all()


@pytest.mark.parametrize("rank", [0, 1, 4])
def test_a_singular_covariance_gives_finite_kernels(rank: int) -> None:
    """0: constant images. 4: grey images stored as RGB, whose 12 values are 4, each three times."""
    from space.blocks import whitening_kernel

    grey = patches(smooth(20, 1))[:, :rank]
    values = np.repeat(grey, 3, axis=1) if rank else np.zeros((10, 12))
    values = np.pad(values, ((0, 0), (0, 12 - values.shape[1])))
    kernel = whitening_kernel(np.cov(values, rowvar=False, bias=True))
    assert np.isfinite(kernel).all()
    # No direction is amplified by more than the root of 1 / 0.0005.
    assert np.abs(kernel).max() <= 44.73
    outputs = values @ kernel.reshape(12, 24)
    assert np.isfinite(outputs).all()
    assert sorted(np.round(outputs[:, :12].var(axis=0), 1).tolist()) == [0.0] * (12 - rank) + [1.0] * rank


def test_eigenvalues_that_rounding_made_negative_do_no_harm() -> None:
    from space.blocks import whitening_kernel

    assert np.isfinite(whitening_kernel(np.diag([1.0, 1.0, 1.0, -1e-3]))).all()


def convolved(x: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """A 3x3 convolution with zeros around, written out."""
    height, width = x.shape[1:3]
    around = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result = np.zeros((*x.shape[:3], kernel.shape[3]), np.float32)
    for row in range(3):
        for column in range(3):
            result += around[:, row : row + height, column : column + width] @ kernel[row, column]
    return result


@pytest.mark.parametrize(("channels", "filters", "passed"), [(3, 5, 3), (4, 4, 4), (6, 2, 2)])
def test_identity_passes_channels_on_and_leaves_the_other_filters(
    channels: int, filters: int, passed: int
) -> None:
    from space.blocks import begin_as_identity

    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(3, 3, channels, filters)).astype(np.float32)
    before = drawn.copy()
    kernel = begin_as_identity(drawn)
    x = rng.normal(size=(2, 5, 4, channels)).astype(np.float32)
    assert np.array_equal(convolved(x, kernel)[..., :passed], x[..., :passed])
    assert np.array_equal(kernel[..., passed:], drawn[..., passed:])
    assert np.array_equal(drawn, before)


@pytest.mark.parametrize("early", [False, True])
def test_a_pooled_convolution_halves_height_and_width_on_either_side_of_the_activation(early: bool) -> None:
    import keras

    from space.blocks import Activation, convolution

    pixels = keras.Input((9, 6, 2))
    x = convolution(pixels, filters=4, pooled=True, pool_early=early, activation=Activation(0.1, 0.9))
    assert x.shape == (None, 4, 3, 4)
    names = [type(layer).__name__ for layer in keras.Model(pixels, x).layers[1:]]
    activation = ["BatchNormalization", "LeakyReLU"]
    order = ["MaxPooling2D", *activation] if early else [*activation, "MaxPooling2D"]
    assert names == ["Conv2D", *order]


def test_pooling_before_or_after_an_activation_without_a_scale_is_the_same() -> None:
    """Both the normalisation, whose factor is positive, and LeakyReLU only rise."""
    import keras

    from space.blocks import Activation, convolution

    def model(early: bool) -> Any:
        pixels = keras.Input((8, 8, 2))
        activation = Activation(0.1, 0.9, scale=False)
        x = convolution(pixels, filters=4, pooled=True, pool_early=early, activation=activation)
        return keras.Model(pixels, x)

    early, late = model(True), model(False)
    late.layers[1].set_weights(early.layers[1].get_weights())
    for one, number in ((early, 3), (late, 2)):
        offset, mean, variance = ([0.5, -1, 2, 0], [1.0, 2, 0, -1], [1.0, 4, 0.1, 2])
        one.layers[number].set_weights([np.array(each, np.float32) for each in (offset, mean, variance)])
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
    assert np.allclose(np.asarray(early(x)), np.asarray(late(x)), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "units", "names"),
    [
        ("flatten", 16, ["Flatten", "Dense", "BatchNormalization", "LeakyReLU", "Dropout", "Dense"]),
        (
            "global_pool",
            16,
            ["GlobalMaxPooling2D", "Dense", "BatchNormalization", "LeakyReLU", "Dropout", "Dense"],
        ),
        ("linear", 0, ["GlobalMaxPooling2D", "Rescaling", "Dense"]),
    ],
)
def test_heads_are_of_these_layers(kind: str, units: int, names: list[str]) -> None:
    import keras

    from space.blocks import Activation, head

    features = keras.Input((3, 2, 8))
    x = head(features, kind=kind, units=units, dropout=0.5, num_classes=5, activation=Activation(0.1, 0.9))
    assert [type(layer).__name__ for layer in keras.Model(features, x).layers[1:]] == names
    assert x.shape == (None, 5)


def test_a_linear_head_classifies_a_ninth_of_the_maxima() -> None:
    import keras

    from space.blocks import Activation, head

    features = keras.Input((2, 1, 2))
    x = head(features, kind="linear", units=0, dropout=0.0, num_classes=2, activation=Activation(0.1, 0.9))
    model = keras.Model(features, x)
    model.layers[-1].set_weights([np.eye(2, dtype=np.float32), np.zeros(2, np.float32)])
    [probabilities] = np.asarray(model(np.array([[[[9.0, 0]], [[-9, 18]]]], np.float32)))
    # Maxima 9 and 18, so 1 and 2: e and e squared.
    assert probabilities == pytest.approx([1 / (1 + np.e), np.e / (1 + np.e)])
