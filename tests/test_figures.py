"""What stands on the figures, and that they render."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from archsearch.reporting.figures import (
    BLUE,
    VERMILLION,
    confusion_matrix,
    learning_curves,
    predicted_samples,
    save,
    search_history,
)
from archsearch.trials import Role, Status, TrialRecord
from tests.records import trial


def record(score: float | None, *, minutes: float, epochs: int = 3, **changes: Any) -> TrialRecord:
    values: dict[str, Any] = {
        "trial_id": f"at-{minutes}",
        "status": Status.COMPLETED,
        "seconds": 30.0,
        "worker": "local",
    }
    values |= {"score": score, "epochs": epochs, "elapsed_seconds": 60 * minutes}
    return trial(**(values | changes))


def rendered(figure: Figure, folder: Path) -> tuple[int, int]:
    """Saves the figure; its height and width in pixels."""
    save(figure, folder / "figure.png")
    height, width = imread(folder / "figure.png").shape[:2]
    return height, width


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def line(figure: Figure, label: str) -> tuple[list[float], list[float]]:
    (found,) = [line for line in figure.axes[0].lines if line.get_label() == label]
    return list(np.asarray(found.get_xdata())), list(np.asarray(found.get_ydata()))


def test_a_figure_is_saved_at_150_dots_per_inch_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "final" / "best"
    assert rendered(Figure(figsize=(4, 2)), folder) == (300, 600)
    assert [path.name for path in folder.iterdir()] == ["figure.png"]


def test_a_figure_that_cannot_be_drawn_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(b"earlier")
    broken = Figure()
    broken.text(0.5, 0.5, "$\\frac$")
    with pytest.raises(ValueError, match="frac"):
        save(broken, path)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_learning_curves_run_over_epochs_from_one_with_accuracy_in_percent(tmp_path: Path) -> None:
    history = [
        {"loss": 2.0, "accuracy": 0.25, "val_loss": 2.5, "val_accuracy": 0.2},
        {"loss": 1.0, "accuracy": 0.75, "val_loss": 1.5, "val_accuracy": 0.6},
    ]
    figure = learning_curves(history, title="Final training")
    loss, accuracy = figure.axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("Epoch", "Loss")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("Epoch", "Accuracy (%)")
    assert line(figure, "validation") == ([1, 2], [2.5, 1.5])
    assert list(np.asarray(accuracy.lines[0].get_ydata())) == [25, 75]
    assert legend(figure) == ["training", "validation"]
    assert rendered(figure, tmp_path) == (660, 1500)


def test_missing_and_infinite_values_are_gaps_in_the_curves(tmp_path: Path) -> None:
    history: list[dict[str, float | None]] = [
        {"loss": 2.0, "val_loss": 2.5},
        {"loss": float("inf"), "val_loss": None},
        {"val_loss": float("nan")},
        {"loss": 1.0, "val_loss": 1.5},
    ]
    figure = learning_curves(history, title="Gaps")
    np.testing.assert_equal(line(figure, "training")[1], [2.0, np.nan, np.nan, 1.0])
    np.testing.assert_equal(line(figure, "validation")[1], [2.5, np.nan, np.nan, 1.5])
    rendered(figure, tmp_path)


def test_a_training_without_validation_has_no_validation_curve(tmp_path: Path) -> None:
    figure = learning_curves([{"loss": 1.0, "accuracy": 0.5}] * 3, title="On all data")
    assert legend(figure) == ["training"]
    rendered(figure, tmp_path)


def test_a_single_epoch_is_a_visible_point_at_a_whole_number(tmp_path: Path) -> None:
    figure = learning_curves([{"loss": 1.0, "accuracy": 0.5}], title="One epoch")
    rendered(figure, tmp_path)
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert axes.lines[0].get_marker() == "o"
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_learning_curves_of_no_epoch_are_refused() -> None:
    with pytest.raises(ValueError, match="`history` must hold at least one epoch"):
        learning_curves([], title="Nothing")


def test_a_confusion_matrix_counts_true_classes_in_rows_and_colours_their_shares(tmp_path: Path) -> None:
    # Class 0 four times, once taken for 1; class 1 once, right; class 2 never seen, and never predicted.
    figure = confusion_matrix([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], ["cat", "dog", "frog"])
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted class", "True class")
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "0", "1", "0", "0", "0", "0"]
    shares: np.ndarray[Any, np.dtype[np.float64]] = np.ma.filled(
        np.ma.asarray(axes.images[0].get_array()), np.nan
    )
    np.testing.assert_equal(shares, [[75, 25, 0], [0, 100, 0], [np.nan] * 3])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "frog"]
    rendered(figure, tmp_path)


@pytest.mark.parametrize(("num_classes", "num_counts"), [(20, 400), (21, 0)])
def test_a_confusion_matrix_has_counts_up_to_twenty_classes(num_classes: int, num_counts: int) -> None:
    names = [str(index) for index in range(num_classes)]
    figure = confusion_matrix(range(num_classes), range(num_classes), names)
    assert len(figure.axes[0].texts) == num_counts


def test_the_names_of_a_hundred_classes_do_not_meet(tmp_path: Path) -> None:
    names = [f"a rather long class name, number {index}" for index in range(100)]
    figure = confusion_matrix(range(100), range(100), names)
    assert max(rendered(figure, tmp_path)) <= 3200
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(boxes) == 100
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))


def test_confusion_of_lists_of_different_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`true` has shape \(2,\), but `predicted` has shape \(1,\)"):
        confusion_matrix([0, 1], [0], ["cat", "dog"])


def samples(num: int, *, channels: int = 3, **changes: Any) -> Figure:
    images = np.zeros((num, 32, 32, channels), dtype=np.uint8)
    classes = np.zeros(num, dtype=int)
    values: dict[str, Any] = {"true": classes, "predicted": classes, "class_names": ["cat", "dog"]}
    return predicted_samples(images, probabilities=np.full(num, 0.87), **(values | changes))


def test_a_wrong_prediction_has_a_cross_and_another_colour(tmp_path: Path) -> None:
    figure = samples(2, true=[0, 1], predicted=[0, 0])
    assert titles(figure) == ["cat → cat\n87 %", "✗ dog → cat\n87 %"]
    assert [to_hex(axes.title.get_color()).upper() for axes in figure.axes] == [BLUE, VERMILLION]
    assert "1 of 2 correct" in figure.get_suptitle()
    rendered(figure, tmp_path)


@pytest.mark.parametrize(
    ("num", "panels", "captions"), [(3, 3, 3), (8, 8, 8), (11, 16, 11), (32, 32, 32), (50, 32, 32)]
)
def test_the_grid_of_samples_fits_their_number(num: int, panels: int, captions: int) -> None:
    figure = samples(num)
    assert len(figure.axes) == panels
    assert sum(bool(title) for title in titles(figure)) == captions


def test_grey_images_are_shown_on_the_whole_scale(tmp_path: Path) -> None:
    figure = samples(1, channels=1)
    assert figure.axes[0].images[0].get_clim() == (0, 255)
    rendered(figure, tmp_path)


def test_captions_of_long_class_names_do_not_meet() -> None:
    names = ["greater flamingo", "mountain $gorilla$ of $100"]
    figure = samples(16, true=[0, 1] * 8, predicted=[1, 0] * 8, class_names=names)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes[:8]]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_samples_without_an_image_are_refused() -> None:
    with pytest.raises(ValueError, match="`images` must hold at least one image"):
        samples(0)


@pytest.mark.parametrize(
    ("direction", "best"), [("max", [0.5, 0.5, 0.7, 0.7]), ("min", [0.5, 0.4, 0.4, 0.4])]
)
def test_the_line_is_the_best_so_far_at_the_highest_fidelity(
    direction: str, best: list[float], tmp_path: Path
) -> None:
    records = [
        record(0.5, minutes=2, epochs=9),
        record(0.9, minutes=1),  # fewer epochs: not ranked
        record(0.1, minutes=7),
        record(0.7, minutes=5, epochs=9),
        record(0.4, minutes=4, epochs=9),
    ]
    figure = search_history(records, baseline=None, direction=direction, objective="val_accuracy")
    assert line(figure, "best so far at 9 epochs") == ([2, 4, 5, 7], best)
    assert legend(figure) == ["3 epochs", "9 epochs", "best so far at 9 epochs"]
    rendered(figure, tmp_path)


def test_the_course_of_a_search_has_units_and_says_which_way_is_better(tmp_path: Path) -> None:
    figure = search_history([record(0.5, minutes=1)], baseline=None, direction="min", objective="val_loss")
    axes = figure.axes[0]
    assert axes.get_xlabel() == "Elapsed time (minutes)"
    assert axes.get_ylabel() == "val_loss (lower is better)"
    assert rendered(figure, tmp_path) == (750, 1350)


def test_the_baseline_is_a_dashed_line_at_its_score(tmp_path: Path) -> None:
    baseline = record(0.6402, minutes=1, role=Role.BASELINE)
    figure = search_history([baseline], baseline=baseline, direction="max", objective="val_accuracy")
    (dashed,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert dashed.get_label() == "baseline 0.6402"
    assert list(np.asarray(dashed.get_ydata())) == [0.6402, 0.6402]
    rendered(figure, tmp_path)


def test_trials_without_a_score_stand_at_the_bottom_edge(tmp_path: Path) -> None:
    records = [
        record(0.5, minutes=1),
        record(None, minutes=2, status=Status.FAILED),
        record(None, minutes=3, status=Status.TIMED_OUT),
    ]
    figure = search_history(records, baseline=None, direction="max", objective="val_accuracy")
    rendered(figure, tmp_path)
    axes = figure.axes[0]
    marks = {mark.get_label(): mark for mark in axes.collections}
    for label, minutes in (("failed", 2), ("out of time", 3)):
        ((x, y),) = np.asarray(marks[label].get_offsets())
        assert x == minutes
        _, pixels = marks[label].get_offset_transform().transform((x, y))
        assert 0 < pixels - axes.get_window_extent().y0 < 0.05 * axes.get_window_extent().height


@pytest.mark.parametrize("records", [[], [record(None, minutes=1, status=Status.FAILED)]])
def test_a_search_without_success_says_so(records: list[TrialRecord], tmp_path: Path) -> None:
    figure = search_history(records, baseline=None, direction="max", objective="val_accuracy")
    assert [text.get_text() for text in figure.axes[0].texts] == ["no trial completed"]
    rendered(figure, tmp_path)


def test_a_diverged_loss_does_not_flatten_the_others(tmp_path: Path) -> None:
    records = [record(loss, minutes=1) for loss in (1.0, 1.2, 5000.0)]
    figure = search_history(records, baseline=None, direction="min", objective="val_loss")
    assert figure.axes[0].get_yscale() == "log"
    rendered(figure, tmp_path)


def test_confirmations_are_shown_apart_and_do_not_lead() -> None:
    records = [
        record(0.6, minutes=1),
        record(0.9, minutes=2, role=Role.CONFIRM, trial_id="at-1-c1"),
        record(0.5, minutes=3),
    ]
    (axes,) = search_history(records, baseline=None, direction="max", objective="val_accuracy").axes
    labels = axes.get_legend_handles_labels()[1]
    assert labels.count("fresh seeds") == 1
    (line,) = (each for each in axes.lines if str(each.get_label()).startswith("best so far"))
    assert list(line.get_ydata()) == [0.6, 0.6, 0.6]
