"""Parts with the classes in proportion."""

import numpy as np
import pytest

from archsearch.readers import stratified
from archsearch.readers.stratified import draw, named_part, part_size, stratified_part, stratified_sample


def test_a_part_has_its_share_of_each_class_and_never_all_of_one():
    y = np.repeat([0, 1, 2, 3], [20, 10, 2, 1])
    part = stratified_part(y, fraction=0.1, seed=0)
    assert np.bincount(y[part], minlength=4).tolist() == [2, 1, 1, 0]
    assert part.tolist() == sorted(set(part.tolist()))


def test_a_large_fraction_still_leaves_an_image_of_each_class():
    assert len(stratified_part(np.zeros(3, np.int64), fraction=1.0, seed=0)) == 2


@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 0), (2, 1), (14, 1), (16, 2), (100, 10)])
def test_a_tenth_of_a_class_is_rounded_and_leaves_one(count, size):
    assert part_size(count, fraction=0.1) == size


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([50, 30, 20], 1, [1, 0, 0]),
        ([98, 1, 1], 3, [1, 1, 1]),
        ([98, 1, 1], 10, [8, 1, 1]),
        ([5, 5, 5], 7, [3, 2, 2]),
        ([4, 0, 4], 2, [1, 0, 1]),
    ],
)
def test_a_sample_has_the_proportions_of_the_whole_and_the_size_asked_for(counts, size, expected):
    y = np.repeat([0, 1, 2], counts)
    sample = stratified_sample(y, size=size, seed=0)
    assert np.bincount(y[sample], minlength=3).tolist() == expected


# By names


@pytest.fixture
def names_are_draws(monkeypatch):
    monkeypatch.setattr(stratified, "draw", lambda name, seed=None: float(name))


def test_with_names_a_part_are_the_smallest_draws_of_each_class(names_are_draws):
    names = [f"{(20 - i) / 100}" for i in range(20)] + ["0.5", "0.4", "0.01"]
    part = stratified_part(np.repeat([0, 1, 2], [20, 2, 1]), fraction=0.1, seed=0, names=names)
    assert part.tolist() == [18, 19, 21]


@pytest.mark.parametrize(
    ("below", "count", "size"),
    [(3, 30, 3), (5, 30, 5), (0, 30, 2), (9, 30, 6), (0, 2, 1), (2, 2, 1), (0, 1, 0), (1, 1, 0), (3, 10, 2)],
)
def test_what_is_below_the_fraction_is_the_part_from_half_to_double_its_size(
    names_are_draws, below, count, size
):
    """A tenth of 30 is 3, so 2 to 6; of 10 and 2 it is 1."""
    names = [f"{0.2 + i / 1000}" for i in range(count - below)] + [f"0.0{i + 1}" for i in range(below)]
    part = named_part(names, np.zeros(count, np.int64), fraction=0.1)
    in_order = sorted(range(count), key=lambda i: float(names[i]))
    assert part.tolist() == sorted(in_order[:size])


def test_a_draw_is_the_same_on_every_system_and_another_by_seed():
    """The umlaut of a Mac is of two characters, elsewhere of one."""
    # From `printf %s a/1.png | b2sum -l 64` and `printf %s "7 a/1.png" | b2sum -l 64`.
    assert draw("a/1.png") == 0x8005F3E28D65D436 / 2**64
    assert draw("a/1.png", 7) == 0xFE77A221F2C805DB / 2**64
    assert draw("B\u00e4r/1.png") == draw("Ba\u0308r/1.png")
