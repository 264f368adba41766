"""Fused batch normalisation against Keras's own layer, and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


def stepped(kind: str, x: Any, *, precision: str = "float32", trainable: bool = True, **options: Any) -> Any:
    """Result, gradients of sum(weights * result) and moving statistics after a step of a compiled graph."""
    import keras
    import tensorflow as tf

    from space.fused import FusedBatchNormalization

    layer_class = FusedBatchNormalization if kind == "fused" else keras.layers.BatchNormalization
    layer = layer_class(momentum=0.6, dtype=precision, trainable=trainable, **options)
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    for variable in layer.weights:
        variable.assign(1 + rng.random(variable.shape))
    weights = tf.constant(rng.normal(size=x.shape), tf.float32)

    @tf.function
    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(tf.cast(x, layer.compute_dtype), training=True)
            total = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights)
        wanted = [x, *[variable.value for variable in layer.trainable_variables]]
        return outputs, tape.gradient(total, wanted)

    outputs, gradients = step(tf.constant(x, tf.float32))
    assert outputs.dtype == layer.compute_dtype
    moving = [layer.moving_mean, layer.moving_variance]
    return [np.asarray(tf.cast(each, tf.float32)) for each in (outputs, *gradients, *moving)]


def images(*shape: int) -> Any:
    return np.random.default_rng(0).normal(3.0, 2.0, size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(5, 4, 3, 24), (2, 3, 3, 64), (3, 1, 1, 1)])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"epsilon": 0.5}])
def test_a_step_is_that_of_keras(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    same_steps(images(*shape), **options)


@pytest.mark.parametrize("shape", [(7, 6), (2, 3, 16), (2, 2, 2, 2, 8)])
def test_what_are_no_images_is_left_to_keras(shape: tuple[int, ...]) -> None:
    same_steps(images(*shape))


@pytest.mark.parametrize(
    "options",
    [{"trainable": False}, {"axis": 1}, {"renorm": True}, {"synchronized": True}, {"precision": "float64"}],
)
def test_what_the_operation_does_not_do_is_left_to_keras(options: dict[str, Any]) -> None:
    same_steps(images(2, 3, 4, 5), **options)


def same_steps(x: Any, **options: Any) -> None:
    fused, plain = stepped("fused", x, **options), stepped("keras", x, **options)
    assert len(fused) == len(plain)
    for ours, theirs in zip(fused, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [24, 32, 48])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_step_in_half_precision_is_that_of_keras(channels: int, precision: str) -> None:
    x = images(16, 5, 5, channels)
    fused, plain = (stepped(kind, x, precision=precision) for kind in ("fused", "keras"))
    for ours, theirs in zip(fused, plain, strict=True):
        # bfloat16 has 8 bits of mantissa; the gradients of offset and scale are sums over 400 of such values.
        np.testing.assert_allclose(ours, theirs, rtol=0.02, atol=0.02 * np.abs(theirs).max())


def test_the_operation_is_fused_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 where channels are a multiple of 16; never where there is a GPU."""
    import tensorflow as tf

    from space import fused

    def operations(*, channels: int, training: bool) -> list[str]:
        layer = fused.FusedBatchNormalization(dtype="mixed_bfloat16")
        layer.build((None, 4, 4, channels))
        spec = tf.TensorSpec((None, 4, 4, channels), tf.bfloat16)
        graph = tf.function(lambda x: layer(x, training=training)).get_concrete_function(spec).graph
        return [each.get_attr("T").name for each in graph.get_operations() if each.type == "FusedBatchNormV3"]

    monkeypatch.setattr(fused, "_has_gpu", lambda tf: False)
    assert operations(channels=48, training=True) == ["bfloat16"]
    assert operations(channels=24, training=True) == ["float32"]
    assert operations(channels=48, training=False) == []
    monkeypatch.setattr(fused, "_has_gpu", lambda tf: True)
    assert operations(channels=48, training=True) == []


def test_masked_images_are_left_to_keras() -> None:
    """Of the two rows only the first counts: its mean is 2."""
    from space.fused import FusedBatchNormalization

    layer = FusedBatchNormalization(momentum=0.0)
    x = np.array([1, 3, 10, 20], np.float32).reshape(2, 2, 1, 1)
    layer(x, training=True, mask=np.array([[[1], [1]], [[0], [0]]], bool))
    assert float(layer.moving_mean[0]) == pytest.approx(2.0)


def test_by_hand() -> None:
    """1, 2, 3 and 6 have mean 3 and variance 3.5, of which 0.4 go into what was 0 and 1."""
    from space.fused import FusedBatchNormalization

    layer = FusedBatchNormalization(momentum=0.6, epsilon=0.5)
    outputs = layer(np.array([1, 2, 3, 6], np.float32).reshape(2, 2, 1, 1), training=True)
    assert np.asarray(outputs).ravel() == pytest.approx([-1, -0.5, 0, 1.5])
    assert float(layer.moving_mean[0]) == pytest.approx(1.2)
    assert float(layer.moving_variance[0]) == pytest.approx(2.0)


def test_the_last_smaller_batch_and_an_image_alone() -> None:
    from space.fused import FusedBatchNormalization

    layer = FusedBatchNormalization()
    for size in (4, 3, 1):
        outputs = np.asarray(layer(images(size, 1, 1, 16), training=True))
        assert outputs.shape == (size, 1, 1, 16)
        assert np.isfinite(outputs).all()
    assert np.asarray(outputs) == pytest.approx(0), "a value alone is its own mean"
    assert np.isfinite(np.asarray(layer.moving_variance)).all()
