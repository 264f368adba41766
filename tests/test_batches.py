"""An epoch is a pure function of (seed, epoch): images, labels, order and transforms."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from archsearch.dataset import Images
from space.recipe import MODERN, Recipe

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

Batch = tuple[NDArray[Any], NDArray[Any]]

STILL = dataclasses.replace(MODERN, rotation_degrees=0.0, shift=0.0, flip=False, batch_size=4)
MOVING = dataclasses.replace(MODERN, rotation_degrees=15.0, shift=0.2, flip=True, batch_size=4)


def numbered(num_images: int, *, num_classes: int = 3) -> Images:
    """Image i is filled with the value i and belongs to class i modulo the classes."""
    numbers = np.arange(num_images)
    x = np.broadcast_to(numbers.astype(np.uint8)[:, None, None, None], (num_images, 8, 8, 1)).copy()
    return Images(x, numbers % num_classes)


def noise(num_images: int) -> Images:
    rng = np.random.default_rng(0)
    return Images(rng.integers(0, 256, (num_images, 8, 8, 3), dtype=np.uint8), np.arange(num_images) % 3)


def batches(images: Images, recipe: Recipe = STILL, *, seed: int = 5, **options: int) -> list[Batch]:
    from archsearch.batches import training_batches

    options = {"num_classes": 3, "epochs": 1} | options
    return [(x.numpy(), y.numpy()) for x, y in training_batches(images, recipe=recipe, seed=seed, **options)]


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(x, other_x) and np.array_equal(y, other_y)
        for (x, y), (other_x, other_y) in zip(one, other, strict=True)
    )


def numbers(some: list[Batch]) -> list[int]:
    """Which images of `numbered` these are."""
    return [int(number) for x, _ in some for number in x[:, 0, 0, 0]]


# Training


@pytest.mark.parametrize(
    ("num_images", "batch_size", "steps"), [(12, 4, 3), (15, 4, 3), (4, 4, 1), (3, 4, 1), (1, 4, 1)]
)
def test_steps_are_whole_batches_and_at_least_one(num_images: int, batch_size: int, steps: int) -> None:
    from archsearch.batches import steps_per_epoch

    assert steps_per_epoch(num_images, batch_size) == steps


def test_an_epoch_shows_every_image_once() -> None:
    assert sorted(numbers(batches(numbered(12)))) == list(range(12))


def test_images_left_over_differ_from_epoch_to_epoch() -> None:
    all_batches = batches(numbered(6), epochs=8)
    assert len(all_batches) == 8
    assert len({frozenset(numbers([batch])) for batch in all_batches}) > 1
    assert set(numbers(all_batches)) == set(range(6))


def test_labels_are_one_hot_and_belong_to_their_images() -> None:
    for x, y in batches(numbered(12), epochs=2):
        assert y.dtype == np.float32
        assert y.tolist() == np.eye(3)[x[:, 0, 0, 0] % 3].tolist()


@pytest.mark.parametrize("recipe", [STILL, MOVING])
def test_batches_are_raw_pixels_of_a_known_shape(recipe: Recipe) -> None:
    from archsearch.batches import training_batches

    dataset = training_batches(noise(12), recipe=recipe, num_classes=3, seed=0, epochs=1)
    x, y = dataset.element_spec
    assert (x.shape.as_list(), x.dtype.name) == ([4, 8, 8, 3], "uint8")
    assert (y.shape.as_list(), y.dtype.name) == ([4, 3], "float32")
    assert int(dataset.cardinality()) == 3


@pytest.mark.parametrize("recipe", [STILL, MOVING])
def test_a_later_epoch_is_the_same_wherever_one_begins(recipe: Recipe) -> None:
    whole = batches(noise(12), recipe, epochs=3)
    assert same(batches(noise(12), recipe, epochs=3, initial_epoch=1), whole[3:])
    assert same(batches(noise(12), recipe, epochs=2, initial_epoch=1), whole[3:6])


def test_the_same_seed_gives_the_same_batches() -> None:
    assert same(batches(noise(12), MOVING, epochs=2), batches(noise(12), MOVING, epochs=2))


def test_another_seed_gives_another_order() -> None:
    assert numbers(batches(numbered(12), seed=1)) != numbers(batches(numbered(12), seed=2))


def test_epochs_differ_in_order() -> None:
    both = batches(numbered(12), epochs=2)
    assert numbers(both[:3]) != numbers(both[3:])


def test_epochs_differ_in_augmentation_and_images_within_a_batch_do() -> None:
    one_image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    images = Images(np.stack([one_image] * 4), np.zeros(4, np.int64))
    [(first, _), (second, _)] = batches(images, MOVING, epochs=2)
    assert len({image.tobytes() for image in [*first, *second]}) == 8


@pytest.mark.parametrize("kind", ["training", "validation"])
def test_no_pipeline_tunes_itself_for_its_thread_would_hold_up_whoever_leaves_it(kind: str) -> None:
    from archsearch.batches import training_batches, validation_batches

    data = Images(np.zeros((8, 6, 6, 3), np.uint8), np.arange(8) % 3)
    if kind == "training":
        dataset = training_batches(data, recipe=MODERN, num_classes=3, seed=0, epochs=1)
    else:
        dataset = validation_batches(data, num_classes=3)
    assert dataset.options().autotune.enabled is False


def test_a_dataset_can_be_read_twice() -> None:
    from archsearch.batches import training_batches

    dataset = training_batches(noise(12), recipe=MOVING, num_classes=3, seed=0, epochs=2)
    once, twice = ([(x.numpy(), y.numpy()) for x, y in dataset] for _ in range(2))
    assert same(once, twice)


def test_readers_at_the_same_time_do_not_disturb_each_other() -> None:
    from archsearch.batches import training_batches

    dataset = training_batches(
        noise(64), recipe=dataclasses.replace(MOVING, batch_size=32), num_classes=3, seed=0, epochs=100
    )
    expected = [(x.numpy(), y.numpy()) for x, y in dataset]
    agreed = []

    def read() -> None:
        agreed.append(same([(x.numpy(), y.numpy()) for x, y in dataset], expected))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert agreed == [True] * 4


def test_fewer_images_than_a_batch_make_one_batch_of_them_all() -> None:
    [batch] = batches(numbered(3), dataclasses.replace(STILL, batch_size=128))
    assert sorted(numbers([batch])) == [0, 1, 2]


def test_a_single_image_is_enough() -> None:
    [(x, y)] = batches(numbered(1))
    assert x.shape == (1, 8, 8, 1)
    assert y.tolist() == [[1, 0, 0]]


def test_memory_mapped_images_give_the_same_batches(tmp_path: Path) -> None:
    images = noise(12)
    np.save(tmp_path / "x.npy", images.x)
    mapped = Images(np.load(tmp_path / "x.npy", mmap_mode="r"), images.y)
    assert same(batches(mapped, MOVING, epochs=2), batches(images, MOVING, epochs=2))


def test_augmentation_leaves_the_images_themselves_alone() -> None:
    images = noise(12)
    before = images.x.copy()
    batches(images, MOVING)
    assert np.array_equal(images.x, before)


# Mirrored images, and epochs of fewer steps


def two_sided(num_images: int) -> Images:
    """Image i has i in its left half and 100 + i in its right one."""
    images = numbered(num_images)
    images.x[:, :, 4:] += 100
    return images


def seen_mirrored(some: list[Batch]) -> dict[int, bool]:
    """Of each image of `two_sided`, whether its right half stood on the left."""
    lefts, rights = ([int(v) for x, _ in some for v in x[:, 0, side, 0]] for side in (0, 7))
    assert all(abs(left - right) == 100 for left, right in zip(lefts, rights, strict=True))
    return {left % 100: left >= 100 for left in lefts}


def test_two_alternating_epochs_show_every_image_once_each_way() -> None:
    recipe = dataclasses.replace(STILL, flip=True, alternating=True)
    every = batches(two_sided(48), recipe, epochs=4)
    epochs = [seen_mirrored(every[12 * epoch : 12 * epoch + 12]) for epoch in range(4)]
    assert [len(epoch) for epoch in epochs] == [48] * 4
    for one, next_one in itertools.pairwise(epochs):
        assert all(one[number] != next_one[number] for number in range(48))
    # Of 48 fair draws; the standard deviation is 3.5.
    assert 10 <= sum(epochs[0].values()) <= 38


def test_alternation_is_the_same_wherever_one_begins() -> None:
    recipe = dataclasses.replace(STILL, flip=True, alternating=True)
    whole = batches(two_sided(12), recipe, epochs=3)
    assert same(batches(two_sided(12), recipe, epochs=3, initial_epoch=2), whole[6:])


def test_epochs_of_fewer_steps_are_the_beginnings_of_whole_ones() -> None:
    whole, short = (batches(noise(12), MOVING, epochs=3, **steps) for steps in ({}, {"steps": 2}))
    assert len(short) == 6
    assert same(short, [*whole[0:2], *whole[3:5], *whole[6:8]])


def test_epochs_of_fewer_steps_go_on_in_a_later_epoch() -> None:
    whole = batches(noise(12), MOVING, epochs=3)
    assert same(batches(noise(12), MOVING, epochs=3, initial_epoch=1, steps=2), [*whole[3:5], *whole[6:8]])


def test_an_epoch_of_more_steps_than_a_pass_shows_some_images_twice() -> None:
    """Otherwise moved, but mirrored alike: it is one epoch."""
    whole, longer = (batches(numbered(12), epochs=2, **steps) for steps in ({}, {"steps": 4}))
    assert len(longer) == 8
    for epoch in (longer[:4], longer[4:]):
        assert sorted(numbers(epoch[:3])) == list(range(12))
        assert len(set(numbers(epoch[3:]))) == 4
    assert numbers(longer[:3]) == numbers(whole[:3])
    assert numbers(longer[3:4]) != numbers(longer[:1])
    recipe = dataclasses.replace(STILL, flip=True, alternating=True)
    one, again = seen_mirrored(batches(two_sided(12), recipe)), batches(two_sided(12), recipe, steps=4)[3:]
    assert seen_mirrored(again).items() <= one.items()


# Views

NINE = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({}, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ({"mirrored": True}, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ({"shift": 1}, [[1, 1, 2], [1, 1, 2], [4, 4, 5]]),
        ({"shift": -1}, [[5, 6, 6], [8, 9, 9], [8, 9, 9]]),
        ({"shift": 2}, [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
        ({"mirrored": True, "shift": 1}, [[3, 3, 2], [3, 3, 2], [6, 6, 5]]),
        ({"mirrored": True, "shift": -1}, [[5, 4, 4], [8, 7, 7], [8, 7, 7]]),
    ],
)
def test_views_by_hand(view: dict[str, Any], expected: list[list[int]]) -> None:
    from archsearch.batches import View

    images = np.stack([NINE[..., None], 10 * NINE[..., None]])
    seen = View(**view).of(images)
    assert seen.dtype == np.uint8
    assert seen[..., 0].tolist() == [expected, (10 * np.array(expected)).tolist()]


def test_views_move_oblong_images_on_both_axes() -> None:
    from archsearch.batches import View

    image = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.uint8)[None, ..., None]
    assert View(shift=1).of(image)[0, ..., 0].tolist() == [[1, 1, 2, 3], [1, 1, 2, 3]]


def test_views_leave_the_images_themselves_alone() -> None:
    from archsearch.batches import View

    images = noise(3)
    before = images.x.copy()
    View(True, 1).of(images.x)[:] = 0
    View().of(images.x)
    assert np.array_equal(images.x, before)


# Validation


@pytest.mark.parametrize("num_images", [3, 501])
def test_validation_shows_all_images_in_the_view_asked_for(num_images: int) -> None:
    from archsearch.batches import View, validation_batches

    images = noise(num_images)
    dataset = validation_batches(images, num_classes=3, view=View(mirrored=True))
    seen = np.concatenate([x.numpy() for x, _ in dataset])
    assert np.array_equal(seen, images.x[:, :, ::-1])


@pytest.mark.parametrize("num_images", [1, 499, 500, 501, 1001])
def test_validation_shows_all_images_once_in_order(num_images: int) -> None:
    from archsearch.batches import validation_batches

    images = noise(num_images)
    dataset = validation_batches(images, num_classes=3)
    read = [(x.numpy(), y.numpy()) for x, y in dataset]
    assert int(dataset.cardinality()) == len(read) == -(-num_images // 500)
    assert np.array_equal(np.concatenate([x for x, _ in read]), images.x)
    assert np.array_equal(np.concatenate([y for _, y in read]), np.eye(3)[images.y])


def test_validation_reads_memory_mapped_images(tmp_path: Path) -> None:
    from archsearch.batches import validation_batches

    images = noise(20)
    np.save(tmp_path / "x.npy", images.x)
    mapped = Images(np.load(tmp_path / "x.npy", mmap_mode="r"), images.y)
    [(x, _)] = validation_batches(mapped, num_classes=3)
    assert np.array_equal(x.numpy(), images.x)
