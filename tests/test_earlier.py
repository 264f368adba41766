"""Networks of earlier runs: which, in what order, and what of them another space admits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archsearch.earlier import fitted_values, read_earlier
from archsearch.errors import UserError
from archsearch.measuring import narrowed_to
from archsearch.run_folder import RunFolder, write_json
from archsearch.settings import SearchSettings
from archsearch.starting import most
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


@pytest.mark.parametrize(("size", "number"), [(1, 1), (2, 1), (3, 1), (9, 4), (27, 13)])
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
    usual: dict[str, Any] = {"own": False, "fit": dict, "known": [], "num": 9}
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
            {"width": 0.0},
            {"width": "0.5"},
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

    @pytest.mark.parametrize("width", [0.28125, 1, 1.5])
    def test_a_network_keeps_the_width_it_had(self, space: list[Any], width: float) -> None:
        values, notes = fit(space, {"width": width})
        assert values == [DEFAULTS | {"width": width}]
        assert notes == ["The search begins with 1 network of earlier runs."]

    def test_in_a_space_of_ones_own_a_width_is_like_any_other_value(self, space: list[Any]) -> None:
        values, notes = fit(space, {"width": 0.5}, own=True)
        assert values == [DEFAULTS]
        assert notes[-1] == "Of these, width 0.5 is not in this space: the default is taken."

    def test_networks_that_are_too_wide_are_narrowed(self, space: list[Any]) -> None:
        """A network of 64 filters is as large as the limit at half its width, one of 16 at its own."""
        values, notes = fit(
            space,
            {"filters": 64},
            {"filters": 64, "width": 0.5},
            {"filters": 64, "width": 0.25},
            {"filters": 16},
            fit=lambda values: narrowed_to(values, lambda each: each["filters"] * each["width"] <= 32),
        )
        assert [(each["filters"], each["width"]) for each in values] == [(64, 0.5), (64, 0.25), (16, 1.0)]
        assert notes == ["The search begins with 3 networks of earlier runs."]

    def test_networks_that_no_width_brings_within_the_limits_are_left_out_and_counted(
        self, space: list[Any]
    ) -> None:
        def within(values: dict[str, Any]) -> dict[str, Any] | None:
            return values if values["filters"] < 64 else None

        values, notes = fit(space, {"filters": 64}, {"filters": 16}, fit=within)
        assert [each["filters"] for each in values] == [16]
        assert notes[-1] == "Networks of earlier runs that are beyond the limits are left out: 1."

    def test_the_baseline_is_known_at_any_width(self, space: list[Any]) -> None:
        """That of the earlier run was narrowed to other limits."""
        earlier = ({"width": 0.28125}, {"filters": 16, "width": 0.28125})
        values, _ = fit(space, *earlier, known=[DEFAULTS | {"width": 0.5}])
        assert values == [DEFAULTS | {"filters": 16, "width": 0.28125}]

    def test_if_nothing_but_the_baseline_is_left_that_is_said(self, space: list[Any]) -> None:
        values, (note,) = fit(space, {"filters": 48}, {"filters": 80}, known=[DEFAULTS])
        assert values == []
        assert note.startswith("Of the earlier runs nothing is left in this space but the baseline")

    @pytest.mark.parametrize(
        ("kind", "options", "of_space", "others"),
        [
            ("Int", {"min_value": 6, "max_value": 13, "step": 3}, [6, 9, 12], [7, 13, 15]),
            ("Int", {"min_value": 6, "max_value": 8}, [6, 7, 8], [6.5, 9]),
            ("Int", {"min_value": 2, "max_value": 40, "step": 2, "sampling": "log"}, [2, 4, 32], [6, 40]),
            ("Float", {"min_value": 0.1, "max_value": 0.9, "step": 0.1}, [0.1, 0.1 + 0.2, 0.9], [0.25, 1.0]),
            ("Float", {"min_value": 1e-4, "max_value": 1, "step": 10, "sampling": "log"}, [1e-3, 1], [0.5]),
            # 9 + 1 - 1 x 3^n
            ("Int", {"min_value": 1, "max_value": 9, "step": 3, "sampling": "reverse_log"}, [9, 7, 1], [3]),
        ],
    )
    def test_a_number_between_the_steps_is_none_of_the_space(
        self, kind: str, options: dict[str, Any], of_space: list[Any], others: list[Any]
    ) -> None:
        import keras_tuner

        hp = keras_tuner.HyperParameters()
        getattr(hp, kind)("n", default=of_space[0], **options)
        found, _ = fit(list(hp.space), *({"n": value} for value in of_space))
        assert [each["n"] for each in found] == of_space
        for value in others:
            assert fit(list(hp.space), {"n": value})[0] == [{"n": of_space[0]}]

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
