"""Losses and accuracies by hand; the pass over the images, with TensorFlow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from archsearch.batches import View
from archsearch.dataset import Images
from archsearch.evaluation import SMALLEST_PROBABILITY, Evaluation, averaged, describe_views, views

# Four images of three classes: right, wrong, right, wrong.
FOUR = Evaluation(
    true=np.array([0, 0, 1, 1]),
    probabilities=np.array(
        [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.125, 0.75, 0.125], [0.5, 0.25, 0.25]], np.float32
    ),
)


def test_predicted_is_the_most_probable_class() -> None:
    assert FOUR.predicted.tolist() == [0, 1, 1, 0]


def test_accuracy_is_the_share_of_right_images() -> None:
    assert FOUR.accuracy == 0.5


def test_loss_is_the_mean_of_minus_log_of_the_true_classs_probability() -> None:
    by_hand = (math.log(2) + math.log(4) + math.log(4 / 3) + math.log(4)) / 4
    assert FOUR.loss == pytest.approx(by_hand)


def test_loss_of_a_certain_and_wrong_image_is_finite() -> None:
    certain = Evaluation(np.array([1]), np.array([[1.0, 0.0]], np.float32))
    assert certain.loss == pytest.approx(7 * math.log(10))  # of a probability of 1e-7


def test_loss_of_certain_and_right_images_is_zero() -> None:
    assert Evaluation(np.array([0, 1]), np.eye(2, dtype=np.float32)).loss == 0


def test_accuracy_of_each_class_is_among_its_own_images() -> None:
    assert FOUR.per_class(["cat", "dog", "owl"]) == {"cat": 0.5, "dog": 0.5, "owl": None}


def test_a_class_of_wrong_images_only_has_accuracy_zero_not_none() -> None:
    wrong = Evaluation(np.array([1, 0]), np.array([[1, 0], [1, 0]], np.float32))
    assert wrong.per_class(["cat", "dog"]) == {"cat": 1.0, "dog": 0.0}


def test_numbers_are_plain_python_for_json() -> None:
    values = [FOUR.accuracy, FOUR.loss, FOUR.per_class(["cat", "dog", "owl"])["cat"]]
    assert [type(value) for value in values] == [float] * 3


def test_probabilities_of_views_are_averaged() -> None:
    """What one view takes for another class may be right in the mean."""
    one = Evaluation(np.array([0, 1]), np.array([[0.375, 0.625], [0.0, 1.0]], np.float32))
    other = Evaluation(np.array([0, 1]), np.array([[0.875, 0.125], [0.5, 0.5]], np.float32))
    both = averaged([one, other])
    assert both.probabilities.tolist() == [[0.625, 0.375], [0.25, 0.75]]
    assert (one.accuracy, both.accuracy) == (0.5, 1.0)
    assert averaged([one]).probabilities.tolist() == one.probabilities.tolist()


def test_six_views_where_mirrored_images_are_valid_and_three_elsewhere() -> None:
    plain = [View(shift=0), View(shift=-1), View(shift=1)]
    mirrored = [View(True, 0), View(True, -1), View(True, 1)]
    assert views(flip=False) == tuple(plain)
    assert views(flip=True) == (*plain, *mirrored)


def test_views_are_described_by_their_number_and_what_they_are() -> None:
    assert describe_views(views(flip=False)) == "3 views: plain and moved by one pixel both ways"
    mirrored = "6 views: plain and moved by one pixel both ways, each mirrored too"
    assert describe_views(views(flip=True)) == mirrored


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
class TestEvaluate:
    def model(self) -> Any:
        """The probability of each class is the share of its channel in the first pixel."""
        import keras

        pixels = keras.Input((8, 8, 3))
        first = keras.layers.Cropping2D(((0, 7), (0, 7)))(pixels)
        x = keras.layers.Flatten()(first)
        return keras.Model(pixels, keras.layers.UnitNormalization(axis=-1)(x))

    def test_every_image_is_judged_in_order(self) -> None:
        from archsearch.evaluation import evaluate

        # More than one batch of 500; class i has all its light in channel i, one image excepted.
        y = np.arange(1203) % 3
        x = np.zeros((1203, 8, 8, 3), np.uint8)
        x[np.arange(1203), :, :, y] = 255
        x[1200] = [0, 255, 0]
        evaluation = evaluate(self.model(), Images(x, y), num_classes=3)
        assert np.array_equal(evaluation.true, y)
        assert evaluation.probabilities.shape == (1203, 3)
        assert np.flatnonzero(evaluation.predicted != y).tolist() == [1200]
        assert evaluation.accuracy == pytest.approx(1202 / 1203)

    def test_images_are_judged_in_the_view_asked_for(self) -> None:
        from archsearch.evaluation import evaluate

        # Red in the upper left corner, green in the upper right one, blue one pixel inside the left one.
        x = np.zeros((501, 8, 8, 3), np.uint8)
        x[:, 0, 0, 0], x[:, 0, 7, 1], x[:, 1, 1, 2] = 255, 255, 255
        images = Images(x, np.zeros(501, np.int64))
        for view, colour in ((View(), 0), (View(mirrored=True), 1), (View(shift=-1), 2)):
            evaluation = evaluate(self.model(), images, num_classes=3, view=view)
            assert evaluation.probabilities == pytest.approx(np.tile(np.eye(3)[colour], (501, 1)))
        assert evaluate(self.model(), images, num_classes=3).accuracy == 1.0

    def test_loss_and_accuracy_are_those_of_keras_without_smoothing(self) -> None:
        """Of weights and images with no probability near 0, where Keras limits it in eager calls alone."""
        import keras
        import keras_tuner

        from archsearch.evaluation import evaluate
        from space.hypermodel import VGGHyperModel

        hp = keras_tuner.HyperParameters()
        hp.values = {"num_blocks": 2, "block_0/convs": 1, "block_1/convs": 1, "filters": 16}
        keras.utils.set_random_seed(0)
        model = VGGHyperModel((8, 8, 3), 3).build(hp)
        rng = np.random.default_rng(0)
        images = Images(rng.integers(0, 16, (60, 8, 8, 3), dtype=np.uint8), np.arange(60) % 3)
        model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        loss, accuracy = model.evaluate(images.x, images.y, verbose=0)
        evaluation = evaluate(model, images, num_classes=3)
        assert evaluation.probabilities.min() > SMALLEST_PROBABILITY
        assert evaluation.loss == pytest.approx(loss, rel=1e-5)
        assert evaluation.accuracy == pytest.approx(accuracy)
