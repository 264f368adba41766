"""Steps of our optimiser, by hand and beside Keras's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

GRADIENTS = (1.0, -0.5, 2.0)
RATES = (0.1, 0.2, 0.05)
"""Another one at each step, as a schedule sets them."""


def variables(*names: str, value: float = 1.0) -> list[Any]:
    import keras

    return [keras.Variable(np.full(2, value, np.float32), name=name) for name in names]


def steps(optimizer: Any, some: list[Any]) -> list[list[float]]:
    """Values after each step of `GRADIENTS`, one number for each variable."""
    after = []
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([np.full(2, gradient, np.float32) for _ in some], some)
        after.append([float(np.asarray(variable)[0]) for variable in some])
    return after


def ours(**options: Any) -> Any:
    from space.optimizers import NesterovSGD

    return NesterovSGD(0.1, **({"momentum": 0.9} | options))


def nesterov_by_hand(value: float, *, rate_factor: float = 1.0, decay: float = 0.0) -> list[float]:
    """Sutskever et al. (2013): v <- 0.9 v - rate g, and the weight moves by 0.9 v - rate g."""
    velocity, values = 0.0, []
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        value -= decay * rate * value  # decoupled: by the rate alone, and not by the momentum
        velocity = 0.9 * velocity - rate_factor * rate * gradient
        value += 0.9 * velocity - rate_factor * rate * gradient
        values.append(value)
    return values


def test_the_first_steps_in_numbers() -> None:
    # v: -0.1; -0.09 + 0.1 = 0.01; 0.009 - 0.1 = -0.091.
    # w: 1 - 0.09 - 0.1; then + 0.009 + 0.1; then - 0.0819 - 0.1.
    assert nesterov_by_hand(1.0) == pytest.approx([0.81, 0.919, 0.7371])
    [kernel] = zip(*steps(ours(), variables("kernel")), strict=True)
    assert kernel == pytest.approx([0.81, 0.919, 0.7371])


def test_kernels_take_the_steps_of_kerass_nesterov_sgd() -> None:
    import keras

    keras_own = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.5)
    one = steps(ours(weight_decay=0.5, offset_rate=64.0), variables("kernel", "gamma", "bias"))
    assert one == steps(keras_own, variables("kernel", "gamma", "bias"))


def test_offsets_take_steps_64_times_as_long() -> None:
    [kernel, offset] = zip(*steps(ours(offset_rate=64.0), variables("kernel", "beta")), strict=True)
    assert kernel == pytest.approx(nesterov_by_hand(1.0))
    assert offset == pytest.approx(nesterov_by_hand(1.0, rate_factor=64.0), rel=1e-5)
    # From 0 these are 64 times the kernel's moves: -0.19, then 0.109, then -0.1819.
    moves = np.diff([1.0, *offset])
    assert moves == pytest.approx([64 * -0.19, 64 * 0.109, 64 * -0.1819], rel=1e-4)


def test_without_another_rate_offsets_are_as_kernels() -> None:
    [kernel, offset] = zip(*steps(ours(), variables("kernel", "beta")), strict=True)
    assert kernel == offset


def test_decay_is_by_the_rate_and_not_amplified_by_momentum() -> None:
    [kernel] = zip(*steps(ours(weight_decay=0.5), variables("kernel")), strict=True)
    assert kernel == pytest.approx(nesterov_by_hand(1.0, decay=0.5))


def test_a_decay_of_zero_is_none() -> None:
    with_zero, without = (
        steps(ours(weight_decay=decay), variables("kernel", "beta")) for decay in (0.0, None)
    )
    assert with_zero == without


@pytest.mark.parametrize("name", ["beta_kernel", "alphabeta", "kernel"])
def test_only_a_variable_named_beta_is_an_offset(name: str) -> None:
    [values] = zip(*steps(ours(offset_rate=64.0), variables(name)), strict=True)
    assert values == pytest.approx(nesterov_by_hand(1.0))


def test_keras_names_the_offset_of_its_batch_normalisation_beta() -> None:
    import keras

    layer = keras.layers.BatchNormalization()
    layer.build((None, 3))
    assert [variable.name for variable in layer.trainable_variables] == ["gamma", "beta"]


def test_a_copy_from_its_configuration_takes_the_same_steps() -> None:
    original = ours(offset_rate=64.0, weight_decay=0.5)
    copy = type(original).from_config(original.get_config())
    assert steps(copy, variables("kernel", "beta")) == steps(original, variables("kernel", "beta"))


def test_a_compiled_step_is_the_step_taken_eagerly() -> None:
    import tensorflow as tf

    eager, compiled = ours(offset_rate=64.0), ours(offset_rate=64.0)
    one, other = variables("kernel", "beta"), variables("kernel", "beta")
    compiled.build(other)

    @tf.function
    def step(gradient: Any) -> None:
        compiled.apply([gradient, gradient], other)

    for gradient in GRADIENTS:
        eager.apply([np.full(2, gradient, np.float32)] * 2, one)
        step(tf.fill([2], gradient))
    for variable, same in zip(one, other, strict=True):
        assert np.asarray(variable) == pytest.approx(np.asarray(same), rel=1e-6)
