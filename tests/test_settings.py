"""What the user asked for: read, checked, and compared with what a run stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archsearch.errors import UserError
from archsearch.settings import SearchSettings, continued, given_settings, parse_count, parse_time, resolve

# Times and counts.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("30", 1800),
        ("0.5", 30),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        ("2d", 172_800),
        ("2D", 172_800),
        ("0.1s", 0.1),
        ("0h1s", 1),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "m", "-5m", "+5m", "5 m", " 5m", "5m\n", "5x", "1h30", "1.h", ".5h", "1,5h", "1e3", "inf"],
)
def test_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match=r"A time is written like 90s, 30m, 1\.5h or 1h30m, got "):
        parse_time(text)


@pytest.mark.parametrize("text", ["0", "0s", "0.0h", "0h0m"])
def test_refuses_no_time_at_all(text: str) -> None:
    with pytest.raises(UserError, match=f"A time must be above 0, got '{text}'"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("8000000", 8_000_000),
        ("8M", 8_000_000),
        ("2.5m", 2_500_000),
        ("300k", 300_000),
        ("1G", 10**9),
        ("0.5k", 500),
        ("4.35m", 4_350_000),
        ("0.001k", 1),
    ],
)
def test_counts(text: str, number: int) -> None:
    assert parse_count(text) == number
    assert isinstance(parse_count(text), int)


@pytest.mark.parametrize(
    "text", ["", "0", "0.9", "0.0001k", "-1", "+1", "1e6", "8 M", "8MB", "M", "1_000", "1,000", "inf", "nan"]
)
def test_refuses_what_is_no_count(text: str) -> None:
    with pytest.raises(UserError, match="A number is written like 8000000, 8M or 300k, and whole; got "):
        parse_count(text)


# Checks.


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"flip": "sometimes"}, "--flip must be one of auto, yes, no; got 'sometimes'"),
        ({"recipe": "old"}, "--recipe must be one of .*documented.*; got 'old'"),
        (
            {"objective": "accuracy"},
            "--objective must be one of val_accuracy, .*val_macro_f1; got 'accuracy'",
        ),
        ({"seed": -1}, "--seed must be a whole number, at least 0; got -1"),
        ({"confirm": -1}, "--confirm must be a whole number, at least 0; got -1"),
        ({"confirm": 1.5}, "--confirm must be a whole number, at least 0; got 1.5"),
        ({"factor": 1}, "--factor must be a whole number, at least 2; got 1"),
        ({"max_epochs": 0}, "--max-epochs must be a whole number, at least 1; got 0"),
        ({"max_epochs": 4.5}, "--max-epochs must be a whole number, at least 1; got 4.5"),
        ({"iterations": 0}, "--iterations must be a whole number, at least 1; got 0"),
        ({"images_per_epoch": 0}, "--images-per-epoch must be a whole number, at least 1; got 0"),
        ({"max_params": "8M"}, "--max-params must be a whole number, at least 1; got '8M'"),
        ({"max_macs": -5}, "--max-macs must be a whole number, at least 1; got -5"),
        ({"max_seconds": 0.0}, "--max-time must be above 0 seconds, got 0.0"),
        ({"max_seconds": -60.0}, "--max-time must be above 0 seconds, got -60.0"),
        ({"max_seconds": float("nan")}, "--max-time must be above 0 seconds, got nan"),
        ({"max_seconds": float("inf")}, "--max-time must be above 0 seconds, got inf"),
    ],
)
def test_refuses_what_is_out_of_range(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchSettings(**setting)


def test_seed_0_is_a_seed() -> None:
    assert SearchSettings(seed=0).seed == 0


@pytest.mark.parametrize(("objective", "direction"), [("val_accuracy", "max"), ("val_loss", "min")])
def test_directions(objective: str, direction: str) -> None:
    assert SearchSettings(objective=objective).direction == direction


# A new run.


def test_the_default_is_half_an_hour() -> None:
    assert resolve({}).max_seconds == 1800
    assert resolve({}) == SearchSettings()


def test_epochs_without_a_time_lift_the_time_limit() -> None:
    assert resolve({"max_epochs": 27}).max_seconds is None


def test_epochs_with_a_time_keep_it() -> None:
    assert resolve({"max_epochs": 27, "max_seconds": 60.0}).max_seconds == 60


def test_iterations_alone_leave_the_time_limit() -> None:
    assert resolve({"iterations": 2}).max_seconds == 1800


# A run that goes on.

STORED = SearchSettings(max_epochs=9, max_seconds=3600.0, iterations=2, dataset="digits").to_dict()
PLANNED = {"max_epochs": 9, "images_per_epoch": 1500, "max_macs": 2_000_000, "iterations": 2, "confirm": 2}
"""What the plan of that run says: images and macs were its own choice."""


def test_nothing_given_is_what_was_stored_even_through_json() -> None:
    assert continued(json.loads(json.dumps(STORED)), {}, PLANNED) == SearchSettings(**STORED)


def test_equal_values_are_no_difference() -> None:
    given = {"max_epochs": 9, "dataset": "digits", "factor": 3, "max_seconds": 3600, "confirm": 2}
    assert continued(STORED, given, PLANNED) == SearchSettings(**STORED)


@pytest.mark.parametrize(
    "more",
    [{"max_seconds": 3601.0}, {"max_seconds": None}, {"iterations": 3}, {"iterations": None}, {"confirm": 3}],
)
def test_more_is_welcome(more: dict[str, Any]) -> None:
    settings = continued(STORED, more, PLANNED)
    assert settings.to_dict() == STORED | more


def test_a_number_of_iterations_is_welcome_where_none_was_stored() -> None:
    assert continued(SearchSettings().to_dict(), {"iterations": 4}, {"iterations": 1}).iterations == 4


@pytest.mark.parametrize(
    "given",
    [{"images_per_epoch": 1500}, {"max_macs": 2_000_000}, {"images_per_epoch": 1500, "max_macs": 2_000_000}],
)
def test_what_the_plan_chose_by_itself_may_be_given(given: dict[str, Any]) -> None:
    assert continued(STORED, given, PLANNED) == SearchSettings(**STORED)


@pytest.mark.parametrize(
    ("given", "planned"),
    [
        ({"confirm": 1}, {"confirm": 1}),
        ({"max_epochs": 27}, {"max_epochs": 27}),
        ({"iterations": 5}, {"iterations": 5}),
    ],
)
def test_what_the_plan_made_of_the_settings_may_be_given(
    given: dict[str, Any], planned: dict[str, Any]
) -> None:
    """Two networks to confirm were asked for, and there was time for one."""
    stored = SearchSettings().to_dict()
    assert continued(stored, given, planned) == SearchSettings()


@pytest.mark.parametrize("workers", [0, 1, 7])
def test_any_number_of_workers_is_welcome(workers: int) -> None:
    """The trials are the same."""
    stored = STORED | {"workers": 2}
    assert continued(stored, {"workers": workers}, PLANNED).workers == workers
    assert continued(stored, {}, PLANNED).workers == 2


@pytest.mark.parametrize("ray", ["none", "auto", "10.0.0.1:6379"])
def test_any_cluster_is_welcome(ray: str) -> None:
    """The trials are the same."""
    stored = STORED | {"ray": "10.0.0.2:6379"}
    assert continued(stored, {"ray": ray}, PLANNED).ray == ray
    assert continued(stored, {}, PLANNED).ray == "10.0.0.2:6379"


def test_a_cluster_excludes_the_searching_process() -> None:
    with pytest.raises(UserError, match="--ray trains on a cluster, --workers 0 in this process"):
        SearchSettings(ray="auto", workers=0)


def test_fewer_workers_than_none_are_refused() -> None:
    with pytest.raises(UserError, match="--workers must be a whole number, at least 0; got -1"):
        SearchSettings(workers=-1)


def test_the_precision_that_was_chosen_may_be_given_and_no_other() -> None:
    stored = SearchSettings().to_dict()
    assert stored["precision"] == "auto"
    chosen = {"precision": "float32"}
    assert continued(stored, {"precision": "float32"}, chosen) == SearchSettings()
    with pytest.raises(UserError, match=r"\(precision: stored float32, given mixed_float16\)"):
        continued(stored, {"precision": "mixed_float16"}, chosen)
    with pytest.raises(UserError, match=r"\(precision: stored auto, given float32\)"):
        continued(stored, {"precision": "float32"}, {})


def test_another_place_of_the_images_is_let_through() -> None:
    """Their content tells whether they are the same."""
    assert continued(STORED, {"dataset": "elsewhere/digits.npz"}, PLANNED).dataset == "elsewhere/digits.npz"


@pytest.mark.parametrize(
    ("given", "difference"),
    [
        ({"max_seconds": 3599.0}, "max seconds: stored 3600.0, given 3599.0"),
        ({"iterations": 1}, "iterations: stored 2, given 1"),
        ({"max_epochs": 27}, "max epochs: stored 9, given 27"),
        ({"max_epochs": None}, "max epochs: stored 9, given None"),
        ({"seed": 1}, "seed: stored 0, given 1"),
        ({"factor": 2}, "factor: stored 3, given 2"),
        ({"confirm": 1}, "confirm: stored 2, given 1"),
        ({"max_macs": 10**6}, "max macs: stored 2000000, given 1000000"),
        ({"max_params": 10**6}, "max params: stored None, given 1000000"),
        ({"objective": "val_loss"}, "objective: stored val_accuracy, given val_loss"),
        ({"objective": "val_macro_f1"}, "objective: stored val_accuracy, given val_macro_f1"),
        ({"class_weights": "balanced"}, "class weights: stored none, given balanced"),
        ({"starting_points": "no"}, "starting points: stored yes, given no"),
        ({"image_size": "32x32"}, "image size: stored None, given 32x32"),
        ({"images_per_epoch": 100}, "images per epoch: stored 1500, given 100"),
        ({"recipe": "documented"}, "recipe: stored modern, given documented"),
    ],
)
def test_refuses_other_settings(given: dict[str, Any], difference: str) -> None:
    with pytest.raises(UserError, match=rf"other settings \({difference}\).*--overwrite"):
        continued(STORED, given, PLANNED)


def test_refusal_lists_every_difference_and_no_more() -> None:
    given = {"seed": 1, "factor": 2, "max_seconds": 7200.0, "dataset": "digits"}
    with pytest.raises(UserError, match=r"\(seed: stored 0, given 1; factor: stored 3, given 2\)"):
        continued(STORED, given, PLANNED)


def test_a_limit_on_time_is_not_more_than_none() -> None:
    stored = STORED | {"max_seconds": None}
    with pytest.raises(UserError, match="max seconds: stored None, given 3600"):
        continued(stored, {"max_seconds": 3600.0}, PLANNED)


# From Python.


@pytest.mark.parametrize(
    ("data", "name"), [("mnist", "mnist"), (Path("a/b.npz"), str(Path("a/b.npz"))), (((), ()), "arrays")]
)
def test_data_has_a_name(data: Any, name: str) -> None:
    assert given_settings(data=data, max_time=None, settings={}) == {"dataset": name}


def test_only_what_is_given_counts() -> None:
    assert given_settings(data=None, max_time="2m", settings={"seed": 3}) == {"max_seconds": 120, "seed": 3}


@pytest.mark.parametrize(("max_time", "seconds"), [("30", 1800), (30, 1800), (0.5, 30)])
def test_a_number_is_a_time_in_minutes_in_python_too(max_time: Any, seconds: float) -> None:
    assert given_settings(data=None, max_time=max_time, settings={}) == {"max_seconds": seconds}


@pytest.mark.parametrize("runs", ["old", ["old"], ("old",), Path("old"), [Path("old")]])
def test_earlier_runs_are_named_in_any_way(runs: Any) -> None:
    """And to continue with the same is no change."""
    given = given_settings(data=None, max_time=None, settings={"from_runs": runs})
    assert given == {"from_runs": ("old",)}
    stored = json.loads(json.dumps(resolve(given).to_dict()))
    assert continued(stored, given, PLANNED) == resolve(given)


def test_times_are_given_as_flags_write_them() -> None:
    given = given_settings(data=None, max_time="1h30m", final_time="90s", settings={})
    assert given == {"max_seconds": 5400, "final_seconds": 90}
    with pytest.raises(UserError, match=r"A time is written like 90s, .* got 'soon'"):
        given_settings(data=None, final_time="soon", settings={})


def test_refuses_a_setting_that_is_none() -> None:
    with pytest.raises(UserError, match=r"There is no setting epochs, max_epoch; there are .*max_epochs"):
        given_settings(data=None, max_time=None, settings={"max_epoch": 9, "epochs": 9, "seed": 0})


@pytest.mark.parametrize("size", ["16x24", "016X24", "16×24", (16, 24), [16, 24]])
def test_a_size_is_stored_in_one_way(size: Any) -> None:
    assert given_settings(data=None, max_time=None, settings={"image_size": size}) == {"image_size": "16x24"}
    assert SearchSettings(image_size="16x24").size == (16, 24)
    assert SearchSettings().size is None


@pytest.mark.parametrize("size", ["16", "16x", "x16", "16x16x3", "-8x16", "8.5x9", "", "1e2x32", " 16x16"])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(UserError, match="written HEIGHTxWIDTH, like 32x48; got"):
        SearchSettings(image_size=size)


@pytest.mark.parametrize("size", ["7x16", "16x7", "0x0"])
def test_a_size_below_that_of_the_space_is_refused(size: str) -> None:
    with pytest.raises(UserError, match="at least 8 pixels a side"):
        SearchSettings(image_size=size)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "objective",
            "--objective must be one of val_accuracy, val_loss, val_balanced_accuracy, val_macro_f1",
        ),
        ("class_weights", "--class-weights must be one of none, balanced"),
        ("starting_points", "--starting-points must be one of yes, no"),
    ],
)
def test_other_words_are_refused(name: str, sentence: str) -> None:
    settings: dict[str, Any] = {name: "balance"}
    with pytest.raises(UserError, match=f"{sentence}; got 'balance'"):
        SearchSettings(**settings)
