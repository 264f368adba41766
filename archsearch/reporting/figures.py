"""Learning curves, confusion matrix, predicted samples and the course of a search, as figures.

Figures are made without pyplot: no global state, no display, safe in any thread. Colours are those
of Okabe and Ito (2008) and matplotlib's cividis, told apart with any colour vision; nothing is said
by colour alone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from archsearch.run_folder import write_atomically
from archsearch.standing import baseline_label
from archsearch.trials import Role, Status, TrialRecord

BLUE, VERMILLION = "#0072B2", "#D55E00"
POINTS = (("#56B4E9", "o"), ("#E69F00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#F0E442", "v"))
"""Colour and marker of the fidelities, from the lowest."""
MAX_CLASSES_WITH_COUNTS = 20


def png(figure: Figure, dots_per_inch: int = 150) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Writes `png(figure)`, whole or not at all."""
    write_atomically(path, png(figure))


def learning_curves(history: Sequence[Mapping[str, float | None]], *, title: str) -> Figure:
    """Loss and accuracy side by side, training and validation over the epochs.

    Args:
        history: One mapping per epoch with `loss`, `accuracy`, `val_loss`, `val_accuracy`. A value that is
            missing, `None` or not finite leaves a gap; a series without any value is left out.
        title: Stands above both.
    """
    if not history:
        raise ValueError("`history` must hold at least one epoch, got none.")
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    figure.suptitle(title, parse_math=False)
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    _curves(loss_axes, history, metric="loss", scale=1.0)
    loss_axes.set_ylabel("Loss")
    _curves(accuracy_axes, history, metric="accuracy", scale=100.0)
    accuracy_axes.set_ylabel("Accuracy (%)")
    handles = {line.get_label(): line for axes in figure.axes for line in axes.lines}
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _curves(axes: Axes, history: Sequence[Mapping[str, float | None]], *, metric: str, scale: float) -> None:
    epochs = np.arange(1, len(history) + 1)
    series = ((metric, "training", BLUE, "-", "o"), (f"val_{metric}", "validation", VERMILLION, "--", "s"))
    for key, label, colour, line_style, marker in series:
        values = np.array([epoch.get(key) for epoch in history], dtype=float)  # None becomes NaN
        values[~np.isfinite(values)] = np.nan
        if np.isnan(values).all():
            continue
        line = f"{marker}{line_style}"
        axes.plot(epochs, scale * values, line, color=colour, markersize=3.5, label=label)
    axes.set_xlabel("Epoch")
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _quiet(axes)


def _quiet(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def confusion_matrix(true: ArrayLike, predicted: ArrayLike, class_names: Sequence[str]) -> Figure:
    """Which class is taken for which: colour is the share of the row, numbers are counts of images.

    Above 20 classes there are no numbers. The row of a class without images is grey.

    Args:
        true, predicted: Class indices, shape (n,).
        class_names: Names by index.
    """
    num_classes = len(class_names)
    counts = _counts(np.asarray(true), np.asarray(predicted), num_classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100.0 * counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    side = min(max(4.0, 2.0 + 0.55 * num_classes), 20.0)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["cividis"].with_extremes(bad="lightgrey")
    # On a linear scale a mistake made in 5 % of a class looks like one never made.
    image = axes.imshow(shares, cmap=colours, norm=PowerNorm(0.5, vmin=0, vmax=100))
    figure.colorbar(image, ax=axes, label="Share of the true class (%)", fraction=0.046, pad=0.02)
    axes.set(xlabel="Predicted class", ylabel="True class", title="Confusion matrix")
    _class_ticks(axes, class_names)
    if num_classes <= MAX_CLASSES_WITH_COUNTS:
        _write_counts(axes, counts, shares)
    return figure


def _counts(true: NDArray[np.int_], predicted: NDArray[np.int_], num_classes: int) -> NDArray[np.int_]:
    """Images by true class (row) and predicted class (column), shape (num_classes, num_classes)."""
    if true.shape != predicted.shape:
        raise ValueError(f"`true` has shape {true.shape}, but `predicted` has shape {predicted.shape}.")
    counts = np.zeros((num_classes, num_classes), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    return counts


def _class_ticks(axes: Axes, class_names: Sequence[str]) -> None:
    names = [_shortened(name, 24) for name in class_names]
    many = len(names) > MAX_CLASSES_WITH_COUNTS
    style: dict[str, Any] = {"fontsize": 7 if many else 9, "parse_math": False}
    axes.set_yticks(range(len(names)), names, **style)
    if many:
        style |= {"rotation": 90}
    elif max(map(len, names)) > 3:
        style |= {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(names)), names, **style)


def _write_counts(axes: Axes, counts: NDArray[np.int_], shares: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(counts):
        # The colours are dark up to their middle, 25 % on the scale's square root; grey (NaN) is light.
        colour = "white" if shares[row, column] < 25 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def predicted_samples(
    images: NDArray[np.uint8],
    true: Sequence[int] | NDArray[np.int_],
    predicted: Sequence[int] | NDArray[np.int_],
    probabilities: Sequence[float] | NDArray[np.floating],
    class_names: Sequence[str],
    *,
    rows: int = 4,
    columns: int = 8,
) -> Figure:
    """A grid of the first images with their true and predicted classes; wrong ones carry a cross.

    Args:
        images: uint8, shape (n, height, width, channels), 1 channel for grey or 3.
        true, predicted: Class indices, shape (n,).
        probabilities: Of the predicted class, 0..1, shape (n,).
        class_names: Names by index.
        rows, columns: The largest grid; fewer images make a smaller one.
    """
    shown = min(len(images), rows * columns)
    if shown == 0:
        raise ValueError("`images` must hold at least one image, got none.")
    columns = min(columns, shown)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(max(1.65 * columns, 4.5), 1.95 * rows + 0.6), layout="constrained")
    correct = sum(int(true[index] == predicted[index]) for index in range(shown))
    summary = f"{correct} of {shown} correct, ✗ marks the wrong"
    figure.suptitle(f"True class → predicted class and its probability\n{summary}", fontsize=10)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[shown:]:
        axes.set_axis_off()
    for index, axes in enumerate(grid[:shown]):
        right = bool(true[index] == predicted[index])
        was, said = (_shortened(class_names[labels[index]], 10) for labels in (true, predicted))
        caption = f"{'' if right else '✗ '}{was} → {said}\n{100 * probabilities[index]:.0f} %"
        _sample(axes, images[index], caption, colour=BLUE if right else VERMILLION)
    return figure


def _sample(axes: Axes, image: NDArray[np.uint8], caption: str, *, colour: str) -> None:
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(caption, fontsize=7, color=colour, parse_math=False)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2)


def search_history(
    records: Sequence[TrialRecord], *, baseline: TrialRecord | None, direction: str, objective: str
) -> Figure:
    """The score of every completed trial over the time of the search, by fidelity.

    The line is the best score so far at the highest fidelity; trials of fewer epochs, and those that
    confirm, are not ranked with it. Trials without a score stand at the bottom edge.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    end = max((record.elapsed_seconds / 60 for record in records), default=1.0)
    _scores(axes, records, direction=direction, end=end)
    if baseline is not None and baseline.score is not None:
        axes.axhline(
            baseline.score,
            color="black",
            linestyle="--",
            label=f"{baseline_label(baseline)} {baseline.score:.4f}",
        )
    axes.margins(y=0.12)
    _unscored(axes, records)
    better = "higher" if direction == "max" else "lower"
    axes.set(title="Course of the search", xlabel="Elapsed time (minutes)", xlim=(0, 1.03 * end))
    axes.set_ylabel(f"{objective} ({better} is better)")
    _quiet(axes)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", frameon=False)
    return figure


def _scores(axes: Axes, records: Sequence[TrialRecord], *, direction: str, end: float) -> None:
    scored = [record for record in records if record.status is Status.COMPLETED and record.score is not None]
    done = [record for record in scored if record.role is not Role.CONFIRM]
    if not done:
        axes.text(0.5, 0.5, "no trial completed", ha="center", transform=axes.transAxes)
        axes.set_yticks([])
        return
    done.sort(key=lambda record: record.elapsed_seconds)
    minutes = np.array([record.elapsed_seconds / 60 for record in done])
    scores = np.array([record.score for record in done], dtype=float)
    epochs = np.array([record.epochs for record in done])
    for fidelity, (colour, marker) in zip(np.unique(epochs), cycle(POINTS), strict=False):
        at = epochs == fidelity
        style: dict[str, Any] = {"color": colour, "marker": marker, "edgecolor": "black", "s": 45}
        axes.scatter(minutes[at], scores[at], label=_epochs(fidelity), zorder=3, **style)
    again = [record for record in scored if record.role is Role.CONFIRM]
    if again:  # they judge what was found, and are never ranked with it
        times = [record.elapsed_seconds / 60 for record in again]
        hollow: dict[str, Any] = {"facecolor": "none", "edgecolor": "black", "marker": "D", "s": 45}
        axes.scatter(
            times, [float(record.score or 0.0) for record in again], label="fresh seeds", zorder=3, **hollow
        )
    top = epochs == epochs.max()
    best = (np.maximum if direction == "max" else np.minimum).accumulate(scores[top])
    label = f"best so far at {_epochs(epochs.max())}"
    axes.step([*minutes[top], end], [*best, best[-1]], where="post", color=BLUE, linewidth=1.8, label=label)
    if scores.min() > 0 and scores.max() > 100 * scores.min():
        axes.set_yscale("log")  # or a loss that diverged would press all others onto one line


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{number} epochs"


def _unscored(axes: Axes, records: Iterable[TrialRecord]) -> None:
    marks = ((Status.FAILED, "x", VERMILLION, "failed"), (Status.TIMED_OUT, "1", "black", "out of time"))
    for status, marker, colour, label in marks:
        minutes = [record.elapsed_seconds / 60 for record in records if record.status is status]
        if minutes:
            style: dict[str, Any] = {"marker": marker, "color": colour, "s": 60}
            heights = [0.03] * len(minutes)  # of the axes, not of the scores
            axes.scatter(minutes, heights, transform=axes.get_xaxis_transform(), label=label, **style)
