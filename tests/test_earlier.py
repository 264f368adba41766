"""Networks of earlier runs: which, in what order, and what of them another space admits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archsearch.earlier import fitted_values, most, read_earlier
from archsearch.errors import UserError
from archsearch.run_folder import RunFolder, write_json
from archsearch.settings import SearchSettings
from archsearch.trials import Role, Status, TrialRecord
from space.recipe import MODERN
from tests.records import NOWHERE, a_plan, trial


def found(trial_id: str, score: float | None, filters: int, epochs: int = 9, **changes: Any) -> TrialRecord:
    values: dict[str, Any] = {"epochs": epochs, "hyperparameters": {"filters": filters}}
    return trial(trial_id, score, **(values | changes))


def stored(path: Path, *records: TrialRecord, objective: str = "val_accuracy") -> RunFolder:
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    settings = {
        "settings": SearchSettings(objective=objective).to_dict(),
        "plan": a_plan().to_dict(),
        "hypermodel": "space.hypermodel:VGGHyperModel",
        "recipe": MODERN.to_dict(),
        "dataset": {"content_hash": "0"},
        "versions": {},
        "machine": {},
        "finished": True,
    }
    write_json(folder.settings, settings)
    for record in records:
        folder.append(record)
    return folder


def filters_of(values: list[dict[str, Any]]) -> list[int]:
    return [each["filters"] for each in values]


@pytest.fixture
def new(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "new")


# Which, in what order


def test_the_best_of_the_highest_fidelity_come_first(tmp_path: Path, new: RunFolder) -> None:
    stored(
        tmp_path / "old",
        found("a", 0.5, 16),
        found("b", 0.9, 24, epochs=3),
        found("c", 0.7, 32),
        found("d", 0.95, 48, epochs=1),
        found("e", None, 64),
        found("f", None, 96, status=Status.TIMED_OUT),
    )
    assert filters_of(read_earlier(["old"], new)) == [32, 16, 24, 48]


def test_of_a_loss_the_smallest_is_the_best(tmp_path: Path, new: RunFolder) -> None:
    stored(tmp_path / "old", found("a", 0.5, 16), found("b", 0.3, 24), objective="val_loss")
    assert filters_of(read_earlier(["old"], new)) == [24, 16]


def test_confirmed_networks_lead_by_their_means(tmp_path: Path, new: RunFolder) -> None:
    """The best score was lucky: with fresh seeds the second network does better."""

    def again(of: str, filters: int, *scores: float) -> list[TrialRecord]:
        return [
            found(f"{of}-c{n}", score, filters, role=Role.CONFIRM, parent_trial_id=of, **NOWHERE)
            for n, score in enumerate(scores, start=1)
        ]

    stored(
        tmp_path / "old",
        found("baseline", 0.4, 64, role=Role.BASELINE, **NOWHERE),
        found("a", 0.9, 16),
        found("b", 0.8, 24),
        found("c", 0.85, 32),
        *again("baseline", 64, 0.4, 0.5),
        *again("a", 16, 0.6, 0.7),
        *again("b", 24, 0.75, 0.8),
    )
    assert filters_of(read_earlier(["old"], new)) == [24, 16, 64, 32]


def test_several_runs_take_turns_and_no_network_comes_twice(tmp_path: Path, new: RunFolder) -> None:
    stored(tmp_path / "one", found("a", 0.9, 16), found("b", 0.8, 24), found("c", 0.7, 32))
    stored(tmp_path / "elsewhere" / "two", found("a", 0.2, 24), found("b", 0.1, 48))
    names = ["one", str(tmp_path / "elsewhere" / "two")]
    assert filters_of(read_earlier(names, new)) == [16, 24, 48, 32]


def test_runs_that_cannot_be_begun_with_are_named(tmp_path: Path, new: RunFolder) -> None:
    with pytest.raises(UserError, match=r"--from old: there is no search in .*old, nor in old"):
        read_earlier(["old"], new)
    stored(tmp_path / "old", found("a", None, 16))
    with pytest.raises(
        UserError, match=r"No trial of .*old has completed, so there is nothing to begin with"
    ):
        read_earlier(["old"], new)
    stored(new.path, found("a", 0.5, 16))
    with pytest.raises(UserError, match="--from new is the run that is to begin"):
        read_earlier(["new"], new)


@pytest.mark.parametrize(("size", "number"), [(1, 1), (2, 1), (3, 2), (9, 5), (27, 14)])
def test_they_take_half_of_the_first_rung(size: int, number: int) -> None:
    assert most(size) == number


# What another space admits


@pytest.fixture
def space(tensorflow: Any) -> list[Any]:
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.Choice("filters", [16, 32, 64], default=32)
    hp.Float("rate", 0.1, 1.0, default=0.5)
    hp.Boolean("fast", default=False)
    hp.Fixed("width", 1.0)
    hp.Choice("kind", ["wide", "deep"], default="wide")
    with hp.conditional_scope("kind", ["deep"]):
        hp.Int("depth", 2, 5, default=3)
    return list(hp.space)


DEFAULTS = {"filters": 32, "rate": 0.5, "fast": False, "width": 1.0, "kind": "wide"}


def fit(space: list[Any], *earlier: dict[str, Any], **options: Any) -> tuple[Any, list[str]]:
    usual: dict[str, Any] = {"admits": lambda values: True, "known": [], "num": 9}
    return fitted_values(earlier, space, **(usual | options))


@pytest.mark.tensorflow
class TestFitted:
    def test_values_of_the_space_are_kept_and_others_get_the_default(self, space: list[Any]) -> None:
        values = {"filters": 64, "rate": 1, "fast": True, "kind": "deep", "depth": 5}
        assert fit(space, values)[0] == [values | {"width": 1.0}]

    @pytest.mark.parametrize(
        "value",
        [
            {"filters": 48},
            {"filters": True},
            {"filters": "32"},
            {"rate": 1.01},
            {"rate": 0.0},
            {"rate": "fast"},
            {"rate": True},
            {"fast": 1},
            {"width": 0.5},
            {"kind": "narrow"},
            {"depth": 9},
            {"unknown": 3},
            {"rate": None},
        ],
    )
    def test_a_value_that_is_none_of_the_space_is_left_out_and_said(
        self, space: list[Any], value: dict[str, Any]
    ) -> None:
        (values,), notes = fit(space, value)
        assert values == DEFAULTS
        ((name, given),) = value.items()
        said = f"Of these, {name} {given} is not in this space: the default is taken."
        # Of a value that no condition asks for nothing is said: it has no effect.
        inactive = name == "depth"
        assert notes == ["The search begins with 1 network of earlier runs.", *([] if inactive else [said])]

    def test_values_that_no_condition_asks_for_are_left_out(self, space: list[Any]) -> None:
        assert fit(space, {"kind": "wide", "depth": 4})[0] == [DEFAULTS]
        assert fit(space, {"kind": "deep", "depth": 9})[0] == [DEFAULTS | {"kind": "deep", "depth": 3}]

    def test_networks_beyond_the_limits_are_left_out_and_counted(self, space: list[Any]) -> None:
        values, notes = fit(
            space, {"filters": 64}, {"filters": 16}, admits=lambda values: values["filters"] < 64
        )
        assert [each["filters"] for each in values] == [16]
        assert notes[-1] == "Networks of earlier runs that are beyond the limits are left out: 1."

    def test_no_more_than_asked_none_twice_and_none_that_is_known(self, space: list[Any]) -> None:
        earlier = (
            {"filters": 32},
            {"filters": 64},
            {"filters": 64, "other": 1},
            {"filters": 16},
            {"rate": 1.0},
        )
        values, notes = fit(space, *earlier, known=[DEFAULTS], num=2)
        assert [each["filters"] for each in values] == [64, 16]
        assert notes == ["The search begins with 2 networks of earlier runs."]
