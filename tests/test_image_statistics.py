"""Means, deviations and covariances, by hand and beside NumPy's over all images at once."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from archsearch.dataset import Images, load
from archsearch.image_statistics import ImageStatistics, image_statistics


def random_images(*shape):
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


def test_mean_and_deviation_by_hand():
    x = np.zeros((2, 8, 8, 3), np.uint8)
    x[1, ..., 0] = 10  # half 0, half 10: mean 5, deviation 5
    x[:, :4, :, 1], x[:, 4:, :, 1] = 255, 253  # mean 254, deviation 1
    x[..., 2] = 77  # constant
    statistics = image_statistics(Images(x, np.zeros(2, np.int64)))
    assert statistics.mean == (5.0, 254.0, 77.0)
    assert statistics.std == (5.0, 1.0, 1.0)


def test_statistics_over_many_chunks_are_those_of_all_at_once():
    x = random_images(4000, 32, 32, 3)
    statistics = image_statistics(Images(x, np.zeros(4000, np.int64)))
    assert statistics.mean == pytest.approx(x.mean(axis=(0, 1, 2)), rel=1e-12)
    assert statistics.std == pytest.approx(x.std(axis=(0, 1, 2)), rel=1e-9)


def test_statistics_are_lists_in_json():
    statistics = ImageStatistics(mean=(1.5,), std=(0.1,), patch_covariance=((1.0,) * 4,) * 4)
    assert statistics.to_json() == {"mean": [1.5], "std": [0.1]}


def covariance(x):
    return np.array(image_statistics(Images(x, np.zeros(len(x), np.int64))).patch_covariance)


def test_covariance_of_two_patches_by_hand():
    x = np.array([[0, 2, 4], [0, 0, 6]], np.uint8).reshape(1, 2, 3, 1)
    # The patches 0 2 0 0 and 2 4 0 6 lie 1 1 0 3 either side of their mean.
    assert covariance(x).tolist() == [[1, 1, 0, 3], [1, 1, 0, 3], [0, 0, 0, 0], [3, 3, 0, 9]]


def test_patches_are_in_the_order_row_column_channel():
    x = np.zeros((2, 2, 2, 2), np.uint8)
    x[1] = 2 * np.arange(8).reshape(2, 2, 2)
    assert covariance(x).tolist() == np.outer(np.arange(8), np.arange(8)).tolist()


def test_covariance_is_that_of_numpy_over_all_windows():
    x = random_images(30, 9, 12, 3)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(1, 2))  # (30, 8, 11, c, row, column)
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 12).astype(float)
    assert np.allclose(covariance(x), np.cov(patches, rowvar=False, bias=True), rtol=1e-9)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_covariance_of_constant_images_is_zero(value):
    assert not covariance(np.full((3, 8, 8, 3), value, np.uint8)).any()


def test_covariance_of_more_images_is_of_some_of_the_first_and_of_the_last():
    x = np.zeros((5000, 8, 8, 1), np.uint8)
    x[2500:] = 10  # half 0, half 10: variance 25, and the same covariance
    assert covariance(x) == pytest.approx(np.full((4, 4), 25.0), rel=1e-5)


def test_covariance_takes_little_memory_whatever_the_size_of_the_images():
    x = random_images(60, 128, 128, 3)
    tracemalloc.start()
    covariance(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All patches as numbers of 8 bytes would be 60 x 127 x 127 x 12 x 8: 93 MB.
    assert peak < 40e6


def test_covariance_reads_memory_mapped_images(tmp_path):
    x = random_images(20, 8, 8, 3)
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(covariance(np.load(tmp_path / "x.npy", mmap_mode="r")), covariance(x))


@pytest.mark.skipif("ARCHSEARCH_CIFAR10" not in os.environ, reason="the whole of CIFAR-10 is not at hand")
def test_the_whole_of_cifar10_has_its_published_statistics():
    """Mean and deviation of all 50,000 images, as shares of 255, as they are used everywhere."""
    cifar10 = load(Path(os.environ["ARCHSEARCH_CIFAR10"]), seed=0)
    assert np.bincount(cifar10.train.y).tolist() == 10 * [4500]
    assert np.bincount(cifar10.validation.y).tolist() == 10 * [500]
    statistics = image_statistics(cifar10.read_both())
    assert np.array(statistics.mean) / 255 == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
    assert np.array(statistics.std) / 255 == pytest.approx([0.2470, 0.2435, 0.2616], abs=5e-5)
