"""Transforms by hand: the numbers drawn, without TensorFlow, and the images they make, with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from space.augmentation import draw_mirrored, draw_transforms
from space.recipe import DOCUMENTED, MODERN, Recipe

STILL = dataclasses.replace(MODERN, rotation_degrees=0.0, shift=0.0, flip=False)
NO_OP = [1, 0, 0, 0, 1, 0, 0, 0]


def draw(recipe: Recipe, num_images: int, image_shape: tuple[int, int, int], seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    mirrored = draw_mirrored(recipe, num_images=num_images, seed=seed, epoch=0)
    return draw_transforms(recipe, image_shape=image_shape, rng=rng, mirrored=mirrored)


def mirrored_in(recipe: Recipe, epoch: int, *, num_images: int = 1000, seed: int = 0) -> NDArray[Any]:
    return draw_mirrored(recipe, num_images=num_images, seed=seed, epoch=epoch)


# The numbers


def test_nothing_to_do_is_the_identity() -> None:
    assert draw(STILL, 3, (5, 4, 1)).tolist() == [NO_OP] * 3


def test_transforms_are_float32_rows_of_eight() -> None:
    transforms = draw(MODERN, 7, (32, 48, 3))
    assert transforms.shape == (7, 8)
    assert transforms.dtype == np.float32


def test_flips_take_x_from_the_other_side_and_half_of_the_images() -> None:
    transforms = draw(dataclasses.replace(STILL, flip=True), 1000, (5, 4, 1))
    mirrored = [-1, 0, 3, 0, 1, 0, 0, 0]  # x from 3 - x
    rows = transforms.tolist()
    assert all(row in (NO_OP, mirrored) for row in rows)
    # Of 1000 fair draws; the standard deviation is 16.
    assert 420 <= rows.count(mirrored) <= 580


def test_shifts_are_whole_pixels_up_to_the_fraction_of_each_side_both_ways() -> None:
    transforms = draw(dataclasses.replace(STILL, shift=0.1), 1000, (45, 20, 3))
    # A tenth of 20 pixels in x, of 45 in y, rounded down.
    assert set(transforms[:, 2].tolist()) == {-2, -1, 0, 1, 2}
    assert set(transforms[:, 5].tolist()) == {-4, -3, -2, -1, 0, 1, 2, 3, 4}
    assert {tuple(row) for row in transforms[:, [0, 1, 3, 4, 6, 7]].tolist()} == {(1, 0, 0, 1, 0, 0)}


def test_shifts_of_less_than_a_pixel_do_nothing() -> None:
    assert draw(dataclasses.replace(STILL, shift=0.1), 50, (9, 9, 3)).tolist() == [NO_OP] * 50


def test_flipped_images_are_shifted_as_far_as_others() -> None:
    transforms = draw(dataclasses.replace(STILL, shift=0.1, flip=True), 1000, (20, 20, 3))
    flipped = transforms[transforms[:, 0] == -1]
    assert set(flipped[:, 2].tolist()) == {17, 18, 19, 20, 21}


def test_rotation_stays_within_the_angle_and_keeps_the_centre() -> None:
    transforms = draw(dataclasses.replace(STILL, rotation_degrees=15.0), 1000, (11, 21, 3)).astype(np.float64)
    a0, a1, a2, b0, b1, b2 = transforms[:, :6].T
    angles = np.degrees(np.arctan2(b0, a0))
    assert -15 <= angles.min() < -14
    assert 14 < angles.max() <= 15
    # Both rows and both columns have length 1, so nothing is stretched.
    assert np.allclose(a0**2 + a1**2, 1)
    assert np.allclose(a0 * b0 + a1 * b1, 0, atol=1e-6)
    # The middle of 21x11 pixels is (10, 5).
    assert np.allclose(a0 * 10 + a1 * 5 + a2, 10, atol=1e-5)
    assert np.allclose(b0 * 10 + b1 * 5 + b2, 5, atol=1e-5)


def test_every_image_has_its_own_draw() -> None:
    transforms = draw(dataclasses.replace(MODERN, rotation_degrees=15.0), 100, (32, 32, 3))
    assert len(np.unique(transforms, axis=0)) == 100


def test_the_same_generator_draws_the_same() -> None:
    one, same, other = (draw(MODERN, 10, (32, 32, 3), seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_flipped_image_is_mirrored_before_it_is_moved() -> None:
    # Drawn: one pixel in x, so that the output x takes its value from 3 - x + 1.
    class OnePixel:
        def uniform(self, low: float, high: float, size: int) -> NDArray[Any]:
            return np.zeros(size)

        def integers(self, low: int, high: int, size: int, *, endpoint: bool) -> NDArray[Any]:
            return np.full(size, 1)

    [row] = draw_transforms(
        dataclasses.replace(STILL, shift=0.25),
        image_shape=(4, 4, 1),
        rng=OnePixel(),  # type: ignore[arg-type]
        mirrored=np.array([True]),
    ).tolist()
    assert row == [-1, 0, 4, 0, 1, 1, 0, 0]


# Which images are mirrored

RANDOM = dataclasses.replace(MODERN, flip=True, alternating=False)
ALTERNATING = dataclasses.replace(MODERN, flip=True, alternating=True)


def test_the_modern_recipe_alternates_and_the_documented_one_does_not() -> None:
    assert MODERN.alternating
    assert not DOCUMENTED.alternating


@pytest.mark.parametrize("alternating", [False, True])
def test_without_flips_no_image_is_mirrored(alternating: bool) -> None:
    recipe = dataclasses.replace(MODERN, flip=False, alternating=alternating)
    assert not mirrored_in(recipe, 0).any()
    assert not mirrored_in(recipe, 1).any()


@pytest.mark.parametrize("epoch", [0, 1, 2, 7])
def test_two_alternating_epochs_show_every_image_each_way(epoch: int) -> None:
    one, next_one = mirrored_in(ALTERNATING, epoch), mirrored_in(ALTERNATING, epoch + 1)
    assert np.array_equal(one, ~next_one)
    assert np.array_equal(one, mirrored_in(ALTERNATING, epoch + 2))


@pytest.mark.parametrize("recipe", [RANDOM, ALTERNATING])
def test_half_of_the_images_are_mirrored(recipe: Recipe) -> None:
    # Of 1000 fair draws; the standard deviation is 16.
    for epoch in range(3):
        assert 420 <= mirrored_in(recipe, epoch).sum() <= 580


def test_epochs_draw_anew_where_they_do_not_alternate() -> None:
    drawn = [mirrored_in(RANDOM, epoch).tobytes() for epoch in range(10)]
    assert len(set(drawn)) == 10


@pytest.mark.parametrize("recipe", [RANDOM, ALTERNATING])
def test_the_seed_decides_who_is_mirrored(recipe: Recipe) -> None:
    assert np.array_equal(mirrored_in(recipe, 3, seed=5), mirrored_in(recipe, 3, seed=5))
    assert not np.array_equal(mirrored_in(recipe, 3, seed=5), mirrored_in(recipe, 3, seed=6))


@pytest.mark.parametrize("recipe", [RANDOM, ALTERNATING])
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_who_is_mirrored_has_nothing_to_do_with_order_and_shifts(recipe: Recipe, seed: int) -> None:
    """Those of an epoch are drawn from the generator of (seed, epoch)."""
    others = [np.random.default_rng((seed, epoch)).random(1000) < 0.5 for epoch in range(20)]
    for epoch in range(2):
        mirrored = mirrored_in(recipe, epoch, seed=seed)
        # Equal in 500 of 1000 by chance, with a standard deviation of 16.
        assert all(420 <= int((mirrored == other).sum()) <= 580 for other in others)


# The images

IMAGE = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)  # 2 high, 3 wide


def transformed(
    rows: list[list[float]], *, image: NDArray[Any] = IMAGE, interpolate: bool = False
) -> list[Any]:
    """The image once per row of a transform, channel dimension added and taken off."""
    import tensorflow as tf

    from space.augmentation import transform

    images = np.stack([image[..., None]] * len(rows))
    moved = transform(tf.constant(images), tf.constant(rows, tf.float32), interpolate=interpolate)
    assert moved.dtype == image.dtype
    assert moved.shape == images.shape
    result: list[Any] = moved[..., 0].numpy().tolist()
    return result


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
class TestImages:
    @pytest.mark.parametrize("interpolate", [False, True])
    def test_identity_changes_no_pixel(self, interpolate: bool) -> None:
        assert transformed([NO_OP], interpolate=interpolate) == [[[1, 2, 3], [4, 5, 6]]]

    @pytest.mark.parametrize("interpolate", [False, True])
    def test_flip_mirrors_left_to_right(self, interpolate: bool) -> None:
        flip = [-1, 0, 2, 0, 1, 0, 0, 0]
        assert transformed([flip], interpolate=interpolate) == [[[3, 2, 1], [6, 5, 4]]]

    @pytest.mark.parametrize("interpolate", [False, True])
    def test_shift_repeats_the_edge(self, interpolate: bool) -> None:
        left, down = [1, 0, 1, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, -1, 0, 0]
        assert transformed([left, down], interpolate=interpolate) == [
            [[2, 3, 3], [5, 6, 6]],
            [[1, 2, 3], [1, 2, 3]],
        ]

    def test_each_image_gets_its_own_transform(self) -> None:
        flip = [-1, 0, 2, 0, 1, 0, 0, 0]
        assert transformed([NO_OP, flip]) == [[[1, 2, 3], [4, 5, 6]], [[3, 2, 1], [6, 5, 4]]]

    def test_a_drawn_quarter_turn_turns_the_image(self) -> None:
        image = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)

        class QuarterTurn:
            """Draws the end of every range."""

            def uniform(self, low: float, high: float, size: int) -> NDArray[Any]:
                return np.full(size, high)

        recipe = dataclasses.replace(STILL, rotation_degrees=90.0)
        turn = draw_transforms(
            recipe,
            image_shape=(3, 3, 1),
            rng=QuarterTurn(),  # type: ignore[arg-type]
            mirrored=np.zeros(1, bool),
        )
        # (x, y) comes from (2 - y, x): the right column becomes the top row.
        [turned] = transformed(turn.tolist(), image=image, interpolate=True)
        assert turned == [[3, 6, 9], [2, 5, 8], [1, 4, 7]]
        assert np.array_equal(turned, np.rot90(image))

    def test_half_a_pixel_averages_neighbours_and_rounds(self) -> None:
        image = np.array([[10, 20, 31]], np.uint8)
        # 15; 25.5, to the even 26; the edge.
        assert transformed([[1, 0, 0.5, 0, 1, 0, 0, 0]], image=image, interpolate=True) == [[[15, 26, 31]]]

    @pytest.mark.parametrize("value", [1, 77, 200, 255])
    def test_turning_an_even_image_leaves_it_as_bright(self, value: int) -> None:
        recipe = dataclasses.replace(MODERN, rotation_degrees=15.0)
        image = np.full((32, 32), value, np.uint8)
        moved = transformed(draw(recipe, 32, (32, 32, 1)).tolist(), image=image, interpolate=True)
        assert np.unique(moved).tolist() == [value]

    def test_turning_noise_keeps_its_mean(self) -> None:
        import tensorflow as tf

        from space.augmentation import transform

        recipe = dataclasses.replace(STILL, rotation_degrees=15.0)
        noise = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
        transforms = tf.constant(draw(recipe, 64, (32, 32, 3)))
        exact = transform(tf.constant(noise, tf.float32), transforms, interpolate=True).numpy()
        rounded = transform(tf.constant(noise), transforms, interpolate=True).numpy()
        assert abs((rounded - exact).mean()) < 0.01
