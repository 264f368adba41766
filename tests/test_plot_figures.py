"""The report's plots, drawn by Matplotlib: the same data, legible, nothing said by an unknown colour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba

from archsearch.reporting.figures import BLUE, VERMILLION, png
from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.importance import MIN_TRIALS
from archsearch.reporting.html.plots import axis, marker, plot, rung_styles, scatter
from archsearch.reporting.plot_figures import COLOURS, MARKERS, draw, search_figures
from archsearch.trials import Role, Status
from tests.records import NOWHERE, trial

STYLE_SHEET = Path(__file__).parent.parent / "archsearch" / "reporting" / "html" / "page.css"


def findings(num: int = 0, **changes: Any) -> Findings:
    """A baseline, a trial that was promoted, one that failed, one out of time, a confirmation, and more."""
    curve = ({"val_accuracy": 0.3}, {"val_accuracy": 0.4})
    base = {"params": 1000, "macs": 1_000_000, "hyperparameters": {"filters": 16}}
    records = [
        trial("baseline", 0.6, epochs=2, role=Role.BASELINE, curve=curve, **base, **NOWHERE),
        trial("a", 0.4, elapsed_seconds=120.0, curve=curve[:1], **base),
        trial("a1", 0.7, epochs=2, parent_trial_id="a", elapsed_seconds=180.0, curve=curve, **base),
        trial("b", None, elapsed_seconds=240.0),
        trial("c", None, status=Status.TIMED_OUT, elapsed_seconds=300.0),
        trial("a1-c1", 0.65, epochs=2, role=Role.CONFIRM, elapsed_seconds=360.0, curve=curve, **NOWHERE),
    ]
    records += [
        trial(f"d{n}", n / 100, elapsed_seconds=400.0 + n, hyperparameters={"filters": n, "x": n % 3})
        for n in range(num)
    ]
    return Findings("mine", records, {"settings": {"objective": "val_accuracy"}}, **changes)


def test_every_plot_there_is_data_for_is_drawn() -> None:
    figures = {tag: (text, figure) for tag, text, figure in search_figures(findings())}
    assert list(figures) == [
        "search/optimisation history",
        "search/accuracy against macs",
        "search/accuracy against weights",
        "search/learning curves, 2 epochs",
        "search/rank correlation, 1 to 2 epochs",
        "search/timeline by worker",
    ]
    for text, figure in figures.values():
        assert text
        assert png(figure, 50).startswith(b"\x89PNG")


def test_a_search_without_a_trial_has_no_plots() -> None:
    assert list(search_figures(Findings("mine", [], {}))) == []


def test_the_history_says_what_the_reports_does() -> None:
    _, _, figure = next(search_figures(findings()))
    (axes,) = figure.axes
    assert axes.get_xlabel() == "elapsed time (minutes)"
    assert axes.get_ylabel() == "val_accuracy, higher is better"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "1 epoch",
        "2 epochs",
        "baseline 0.6000",
        "best so far at 2 epochs",
        "trained again with a fresh seed",
        "failed",
        "out of time",
    ]
    (best,) = [line for line in axes.lines if line.get_label() == "best so far at 2 epochs"]
    assert to_hex(best.get_color()).upper() == BLUE
    np.testing.assert_allclose(np.asarray(best.get_ydata(), float), [0.6, 0.7, 0.7])


def test_the_baseline_is_a_point_of_the_history_like_every_trial() -> None:
    first = findings().records[:1]
    _, _, figure = next(search_figures(Findings("mine", first, {})))
    (axes,) = figure.axes
    (point,) = axes.collections
    np.testing.assert_allclose(point.get_offsets(), [[first[0].elapsed_seconds / 60, 0.6]], rtol=1e-4)
    low, high = axes.get_ylim()
    assert 0.5 < low < 0.6 < high < 0.7, "a single score is not drawn from below 0 to above 1"


def test_trials_without_a_score_stand_at_the_bottom_edge() -> None:
    _, _, figure = next(search_figures(findings()))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (failed,) = [mark for mark in axes.collections if mark.get_label() == "failed"]
    ((x, y),) = np.asarray(failed.get_offsets())
    assert x == 4
    _, pixels = failed.get_offset_transform().transform((x, y))
    assert 0 < pixels - axes.get_window_extent().y0 < 0.05 * axes.get_window_extent().height


def test_a_front_of_one_network_is_a_line_to_the_right_edge() -> None:
    more = findings(3)
    records = [*more.records, trial("wide", 0.1, epochs=2, macs=9_000_000, params=9000)]
    _, _, figure = list(search_figures(Findings("mine", records, more.stored)))[1]
    (front,) = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("Pareto front")]
    assert list(np.asarray(front.get_xdata())) == [1_000_000, 9_000_000]
    np.testing.assert_allclose(np.asarray(front.get_ydata(), float), [0.7, 0.7])
    assert to_hex(front.get_color()).upper() == VERMILLION


def test_importance_is_drawn_with_what_it_is_worth() -> None:
    texts = {tag: text for tag, text, _ in search_figures(findings(3 * MIN_TRIALS))}
    assert "The forest " in texts["search/importance of the hyperparameters"]


def test_slices_stand_in_one_picture_with_one_legend() -> None:
    figures = {tag: figure for tag, _, figure in search_figures(findings(9))}
    figure = figures["search/slices"]
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title().splitlines()[0] for axes in shown] == ["filters", "x"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1 epoch", "2 epochs"]
    png(figure, 50)


def test_the_timeline_shows_each_trial_from_its_start_to_its_end() -> None:
    figure = {tag: figure for tag, _, figure in search_figures(findings())}["search/timeline by worker"]
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0"]
    bars = {str(each.get_label()): each.patches for each in axes.containers}
    (first, *_) = bars["failed"]
    assert (first.get_x() + first.get_width()) == pytest.approx(4.0)  # minutes
    assert first.get_width() == pytest.approx(1 / 60, rel=0.05)
    assert first.get_hatch()
    png(figure, 50)


def test_gaps_escaped_texts_and_given_ticks_are_drawn_as_meant() -> None:
    ticks = axis("size &lt; 9", type="log", tickvals=[1, 10], ticktext=["1", "ten &amp; more"])
    data = [scatter([1, 5, 10], [1.0, None, 2.0], mode="lines", name="a &amp; $b$")]
    figure = draw(plot("name", "A &lt; B", "", data, {"xaxis": ticks, "yaxis": axis("y", range=[0, 3])}))
    (axes,) = figure.axes
    assert axes.get_title() == "A < B"
    assert axes.get_xlabel() == "size < 9"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "ten & more"]
    assert axes.get_xscale() == "log"
    assert axes.get_ylim() == (0, 3)
    np.testing.assert_equal(np.asarray(axes.lines[0].get_ydata(), float), [1, np.nan, 2])
    png(figure, 50)


@pytest.mark.parametrize("number", range(7))
def test_every_rung_has_its_own_marker(number: int) -> None:
    styles = list(rung_styles(range(7)).values())
    assert len({MARKERS[symbol] for _, symbol in styles}) == 7
    data = [scatter([1.0], [1.0], mode="markers", name="rung", marker=marker(styles[number]))]
    png(draw(plot("name", "Title", "", data, {})), 50)


def test_every_colour_has_a_value_here_and_in_the_style_sheet() -> None:
    in_style_sheet = set(re.findall(r"--(\w+):", STYLE_SHEET.read_text(encoding="utf-8")))
    named = {
        name
        for path in STYLE_SHEET.parent.glob("*.py")
        for name in re.findall(r'"@(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert named <= in_style_sheet
    assert {name.removeprefix("@") for name in COLOURS} <= in_style_sheet
    assert all(to_rgba(colour) for colour in COLOURS.values())
