"""Measures that count every class alike: by hand, against scikit-learn, and their errors against drawing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from archsearch.class_measures import (
    CLASS_OBJECTIVES,
    balanced_accuracy,
    balanced_accuracy_error,
    balanced_weights,
    confusion,
    macro_f1,
    macro_f1_error,
    validation_measures,
)
from archsearch.settings import OBJECTIVES

# Ten images: of six of class 0 five are right, of three of class 1 one, of one of class 2 none.
TRUE = np.array([0] * 6 + [1] * 3 + [2])
PREDICTED = np.array([0, 0, 0, 0, 0, 1, 1, 0, 2, 0])
COUNTS = np.array([[5, 1, 0], [1, 1, 1], [1, 0, 0]])


def test_the_confusion_by_hand() -> None:
    assert confusion(TRUE, PREDICTED, 3).tolist() == COUNTS.tolist()
    assert confusion(TRUE, PREDICTED, 4).sum() == 10


def test_balanced_accuracy_by_hand() -> None:
    assert balanced_accuracy(COUNTS) == pytest.approx((5 / 6 + 1 / 3 + 0) / 3)


def test_macro_f1_by_hand() -> None:
    """2 hits over images plus predictions: 10 / (6 + 7), 2 / (3 + 2), 0 / (1 + 1)."""
    assert macro_f1(COUNTS) == pytest.approx((10 / 13 + 2 / 5 + 0) / 3)


def test_with_equal_classes_balanced_accuracy_is_accuracy() -> None:
    counts = np.array([[7, 3], [1, 9]])
    assert balanced_accuracy(counts) == pytest.approx(16 / 20)
    # With one more of each class that is right, and one wrong: 8 of 12, 10 of 12.
    shares = 2 / 3, 5 / 6
    assert balanced_accuracy_error(counts) == pytest.approx(sum(p * (1 - p) / 10 for p in shares) ** 0.5 / 2)


def test_a_classifier_of_the_large_class_alone_is_seen_through() -> None:
    counts = confusion(np.array([0] * 99 + [1]), np.zeros(100, np.int64), 2)
    assert balanced_accuracy(counts) == 0.5
    assert macro_f1(counts) == pytest.approx((2 * 99 / 199 + 0) / 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("present", [5, 3])
def test_both_are_scikit_learns(seed: int, present: int) -> None:
    """Also where some of the five classes have no images, of which some are predicted all the same."""
    from sklearn.metrics import balanced_accuracy_score, f1_score

    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, present, 60), rng.integers(0, 4, 60)
    counts = confusion(true, predicted, 5)
    f1 = f1_score(true, predicted, average="macro", zero_division=0)
    assert macro_f1(counts) == pytest.approx(f1)
    # Scikit-learn warns where a class was predicted that has no images.
    with (
        pytest.warns(UserWarning, match="classes not in y_true") if present == 3 else contextlib.nullcontext()
    ):
        recalls = balanced_accuracy_score(true, predicted)
    assert balanced_accuracy(counts) == pytest.approx(recalls)


def drawn(counts: NDArray[np.int64], measure: Callable[[NDArray[np.int64]], float]) -> float:
    """Deviation of a measure over many validation parts, the images of each class drawn anew.

    By the shares of two images more in each class: one that is right, and one that is wrong.
    """
    rng = np.random.default_rng(0)
    images, right = counts.sum(axis=1), np.eye(len(counts))
    shares = (counts + right + (1 - right) / (len(counts) - 1)) / (images[:, None] + 2)
    rows = [rng.multinomial(n, row, size=20_000) for n, row in zip(images, shares, strict=True)]
    return float(np.std([measure(each) for each in np.stack(rows, axis=1)]))


@pytest.mark.parametrize(
    "counts",
    [
        [[80, 20], [10, 30]],
        [[500, 30, 70], [20, 60, 20], [5, 5, 40]],
        [[300, 40, 10, 50], [10, 80, 10, 0], [20, 20, 160, 0], [30, 0, 10, 60]],
    ],
)
def test_the_errors_are_the_deviations_of_drawing(counts: list[list[int]]) -> None:
    """That of balanced accuracy is exact; that of F1 is of first order, here within 3 %."""
    array = np.array(counts)
    assert balanced_accuracy_error(array) == pytest.approx(drawn(array, balanced_accuracy), rel=0.02)
    assert macro_f1_error(array) == pytest.approx(drawn(array, macro_f1), rel=0.03)


def test_few_images_that_all_are_right_leave_a_doubt() -> None:
    """Shares of 6 / 7 and 8 / 9; F1 has slopes of 1 / 10 and -1 / 14 in one row and the other, over 2."""
    counts = np.array([[5, 0], [0, 7]])
    assert balanced_accuracy_error(counts) == pytest.approx((6 / 49 / 5 + 8 / 81 / 7) ** 0.5 / 2)
    assert balanced_accuracy_error(counts[::-1]) == pytest.approx(balanced_accuracy_error(counts))
    assert balanced_accuracy_error(np.array([[5, 0], [0, 0]])) == pytest.approx((6 / 49 / 5) ** 0.5)
    between = (1 / 10 + 1 / 14) / 2
    assert macro_f1_error(counts) == pytest.approx(between * (5 * 6 / 49 + 7 * 8 / 81) ** 0.5)


def test_fifty_classes_of_one_image_each_tell_little() -> None:
    """Each has a share of 2 / 3 or 1 / 3, so that they alone make it sqrt(50 x 2 / 9) / 60 = 5.6 points."""
    right = np.arange(60) % 2 == 0
    images = np.diag([100] * 10 + [1] * 50)
    counts = images * right + np.roll(images * ~right, 1, axis=1)
    assert counts.sum() == 1050
    assert balanced_accuracy_error(counts) == pytest.approx(0.0556, abs=2e-4)
    assert macro_f1_error(counts) > 0.05


def test_a_single_class_cannot_be_taken_for_another() -> None:
    assert (balanced_accuracy_error(np.array([[5]])), macro_f1_error(np.array([[5]]))) == (0, 0)


def test_an_epoch_reports_every_measure_with_its_error() -> None:
    measures = validation_measures(COUNTS)
    assert measures["val_balanced_accuracy"] == pytest.approx(7 / 18)
    assert {*CLASS_OBJECTIVES} <= {*measures}
    assert {*CLASS_OBJECTIVES} <= {*OBJECTIVES}
    assert {name + "_error" for name in CLASS_OBJECTIVES} == {*measures} - {*CLASS_OBJECTIVES}
    assert all(type(value) is float for value in measures.values())


def test_balanced_weights_by_hand() -> None:
    """Of 10 images in 3 classes each class shall weigh 10 / 3."""
    weights = balanced_weights(TRUE, 3)
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert weights[TRUE].mean() == pytest.approx(1)


def test_a_class_without_images_has_no_weight_and_takes_none() -> None:
    assert balanced_weights(np.array([0, 0, 2]), 3).tolist() == pytest.approx([0.75, 0, 1.5])
