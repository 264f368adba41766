"""Whole searches with trials that only pretend to train: plan, continuation, refusals, best.json."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from archsearch.assignment import structure_values
from archsearch.callbacks import Beginning, SearchCallback
from archsearch.errors import HyperModelError, UserError
from archsearch.plan import plan_brackets
from archsearch.planning import planned
from archsearch.reporting.summary import summary
from archsearch.run import Run
from archsearch.run_folder import RunFolder, read_json, write_json
from archsearch.searching import Search
from archsearch.starting import origin
from archsearch.trials import Role, Status, TrialRecord, read_records
from space.architecture import DOCUMENTED
from space.recipe import MODERN

if TYPE_CHECKING:
    from archsearch.task import TrialResult, TrialTask
    from archsearch.watch import OnEpoch

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

SHAPE = (8, 8, 1)
SMALL: dict[str, Any] = {"max_epochs": 3, "confirm": 0}
"""Seven trials: the baseline, 3 -> 1, and 2."""

CONFIRMED: dict[str, Any] = {"max_epochs": 3, "confirm": 1}
"""And four more: the best network and the baseline, twice each."""


NEAR = "About half of the networks drawn are near known ones: a quarter of their values is drawn anew."


def images(num: int = 40, seed: int = 0) -> tuple[Any, Any]:
    """Two classes of grey 8x8 noise; the second part is never read."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 256, (num, *SHAPE), dtype=np.uint8), np.arange(num) % 2
    return (x, y), (x[:4], y[:4])


def score_of(task: TrialTask) -> float:
    """Depends on values and epochs alone."""
    return random.Random(f"{sorted(task.values.items())} {task.epochs}").random()


class Stub:
    """A run_trial that counts: it may fail trials, or be interrupted at one."""

    def __init__(
        self, *, interrupted_at: int | None = None, fails: Callable[[TrialTask], bool] = lambda task: False
    ) -> None:
        self.interrupted_at = interrupted_at
        self.fails = fails
        self.tasks: list[TrialTask] = []

    def __call__(self, task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        from archsearch.task import TrialResult

        if len(self.tasks) == self.interrupted_at:
            raise KeyboardInterrupt
        self.tasks.append(task)
        if self.fails(task):
            return TrialResult(Status.FAILED, (), 0.0, 0, "ValueError: as asked")
        score = score_of(task)
        epoch = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1 - score, "val_accuracy": score}
        curve = tuple(epoch | {"learning_rate": 0.001, "seconds": 0.1} for _ in range(task.epochs))
        for number, values in enumerate(curve):
            if on_epoch is not None:
                on_epoch(number, values)
        return TrialResult(Status.COMPLETED, curve, 0.1 * task.epochs, 0)


def a_third_fails(task: TrialTask) -> bool:
    return task.trial_id != "baseline" and random.Random(task.trial_id).random() < 1 / 3


def own_space(*, depths: Sequence[int] = (1, 2, 3)) -> Any:
    """A space that builds nothing, for nothing here trains."""
    import keras_tuner

    class Space(keras_tuner.HyperModel):
        def build(self, hp: Any) -> None:
            hp.Float("x", 0.0, 1.0, default=0.5)
            if hp.Choice("kind", ["conv", "dense"]) == "conv":
                with hp.conditional_scope("kind", ["conv"]):
                    hp.Choice("depth", list(depths))

    return Space()


def search(path: Path, stub: Any = None, **options: Any) -> Run:
    """One session on the run in this folder; what is no option of `Search` is a setting given."""
    arguments: dict[str, Any] = {"data": images(), "overwrite": False, "callbacks": ()}
    arguments |= {name: options.pop(name) for name in (*arguments, "hypermodel") if name in options}
    if "hypermodel" not in arguments:
        arguments["hypermodel"] = own_space()
    return Search(
        folder=RunFolder(path), given=options, run_trial=Stub() if stub is None else stub, **arguments
    ).execute()


def log(path: Path) -> list[TrialRecord]:
    """Without what differs from one session to another."""
    records, _ = read_records(RunFolder(path).trials)
    return [dataclasses.replace(one, seconds=0.0, elapsed_seconds=0.0) for one in records]


def settings(path: Path) -> dict[str, Any]:
    return read_json(RunFolder(path).settings)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search to its end, never written to again."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    search(path, Stub(fails=a_third_fails), **SMALL)
    return path


# The plan is what happens.


@pytest.mark.parametrize(
    ("max_epochs", "factor", "iterations"), [(1, 3, 1), (3, 3, 2), (4, 2, 1), (5, 4, 1), (9, 3, 1)]
)
def test_what_runs_is_the_plan_trial_for_trial(
    tmp_path: Path, max_epochs: int, factor: int, iterations: int
) -> None:
    stub = Stub()
    given = {"max_epochs": max_epochs, "factor": factor, "iterations": iterations, "confirm": 1}
    run = search(tmp_path / "run", stub, **given)
    searched = [one for one in run.trials if one.role is Role.SEARCH]
    ran = Counter((one.iteration, one.bracket, one.rung, one.epochs) for one in searched)
    assert ran == {
        (bracket.iteration, bracket.number, number, rung.epochs): rung.size
        for bracket in plan_brackets(max_epochs=max_epochs, factor=factor, iterations=iterations)
        for number, rung in enumerate(bracket.rungs)
    }
    assert (run.trials[0].role, run.trials[0].epochs) == (Role.BASELINE, max_epochs)
    assert [(one.role, one.epochs) for one in run.trials[-4:]] == [(Role.CONFIRM, max_epochs)] * 4
    assert sum(task.epochs for task in stub.tasks) == run.plan.num_epochs
    assert len(stub.tasks) == run.plan.num_trials
    assert list(run.deviations()) == []
    assert run.finished
    assert 'id="state">The search is finished' in run.folder.report.read_text(encoding="utf-8")


def test_seed_and_only_seed_decides_what_is_drawn(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        search(tmp_path / name, seed=seed, **SMALL)
    assert log(tmp_path / "a") == log(tmp_path / "b")
    first, other = ([one.hyperparameters for one in log(tmp_path / name)] for name in "ac")
    assert first[0] == other[0], "the baseline"
    assert not any(one in other for one in first[1:])


def test_trials_get_the_training_part_alone(tmp_path: Path) -> None:
    """Of 40 images 10 % are for validation; 12 an epoch are the same 12 for all."""
    stub = Stub()
    search(tmp_path / "run", stub, images_per_epoch=12, **SMALL)
    data = [task.dataset for task in stub.tasks]
    assert {(len(one.train), len(one.validation)) for one in data} == {(12, 4)}
    assert all(np.array_equal(one.train.x, data[0].train.x) for one in data)


def test_a_loss_as_the_objective(tmp_path: Path) -> None:
    run = search(tmp_path / "run", objective="val_loss", **SMALL)
    assert run.incumbent is not None
    assert run.incumbent.score == min(one.score for one in run.trials if one.epochs == 3)


# best.json.


def test_best_is_the_incumbent_at_every_moment(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")

    class Compare(SearchCallback):
        def on_trial_end(self, record: TrialRecord) -> None:
            best = Run(folder).incumbent
            assert best is not None
            assert read_json(folder.best)["trial_id"] == best.trial_id

    run = search(folder.path, callbacks=(Compare(),), **SMALL)
    best = read_json(folder.best)
    assert run.incumbent is not None
    assert best["record"] == run.incumbent.to_dict()
    assert best["hyperparameters"] == run.incumbent.hyperparameters


def test_nothing_but_failures_leaves_no_incumbent(tmp_path: Path) -> None:
    """Five slots of three draws, and the baseline."""
    run = search(tmp_path / "run", Stub(fails=lambda task: True), **SMALL)
    assert run.incumbent is run.baseline is run.lift is None
    assert len(run.trials) == 16
    assert not run.folder.best.exists()
    assert run.finished


def test_a_failed_baseline_leaves_an_incumbent_without_a_lift(tmp_path: Path) -> None:
    run = search(tmp_path / "run", Stub(fails=lambda task: task.trial_id == "baseline"), **SMALL)
    assert run.incumbent is not None
    assert run.baseline is run.lift is None
    assert len(run.trials) == 7


# Continuing.


def test_interrupted_at_every_trial_it_ends_as_if_undisturbed(tmp_path: Path, undisturbed: Path) -> None:
    whole = log(undisturbed)
    for number in range(len(whole)):
        path = tmp_path / str(number)
        with pytest.raises(KeyboardInterrupt):
            search(path, Stub(interrupted_at=number, fails=a_third_fails), **SMALL)
        assert log(path) == whole[:number]
        assert not Run(RunFolder(path)).finished
        assert "The search was interrupted" in RunFolder(path).report.read_text(encoding="utf-8")
        search(path, Stub(fails=a_third_fails))
        assert log(path) == whole
        assert (
            read_json(RunFolder(path).best)["trial_id"] == read_json(RunFolder(undisturbed).best)["trial_id"]
        )


def test_interrupted_again_and_again_it_ends_as_if_undisturbed(tmp_path: Path, undisturbed: Path) -> None:
    """One trial a session."""
    for _ in log(undisturbed)[1:]:
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "run", Stub(interrupted_at=1, fails=a_third_fails), **SMALL)
    search(tmp_path / "run", Stub(fails=a_third_fails))
    assert log(tmp_path / "run") == log(undisturbed)


def test_a_torn_last_line_is_run_again(tmp_path: Path, undisturbed: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search(path, Stub(interrupted_at=4, fails=a_third_fails), **SMALL)
    file = RunFolder(path).trials
    file.write_bytes(file.read_bytes()[:-30])
    stub = Stub(fails=a_third_fails)
    search(path, stub)
    assert stub.tasks[0].trial_id == log(undisturbed)[3].trial_id
    assert log(path) == log(undisturbed)


def test_a_damaged_line_is_refused_by_file_and_number(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", Stub(interrupted_at=4), **SMALL)
    file = RunFolder(tmp_path / "run").trials
    lines = file.read_bytes().splitlines(keepends=True)
    damaged = b"".join([lines[0], lines[1][:20] + b"\n", *lines[2:]])
    file.write_bytes(damaged)
    with pytest.raises(UserError, match=rf"{file} is damaged in line 2"):
        search(tmp_path / "run")
    assert file.read_bytes() == damaged


def test_time_of_earlier_sessions_is_counted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", Stub(interrupted_at=2), **SMALL)
    before = Run(RunFolder(tmp_path / "run")).seconds
    run = search(tmp_path / "run")
    assert run.trials[2].elapsed_seconds > before > 0


def test_a_finished_search_answers_without_training(tmp_path: Path, undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*") if path.name != "lock"}
    stub = Stub()
    run = search(undisturbed, stub, **SMALL)
    assert stub.tasks == []
    assert run.finished
    assert len(run.trials) == len(log(undisturbed))
    assert {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*") if path.name != "lock"} == before


def interrupted_or_finished(path: Path, finished: bool) -> None:
    if finished:
        search(path, **SMALL)
    else:
        with pytest.raises(KeyboardInterrupt):
            search(path, Stub(interrupted_at=2), **SMALL)


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_refused_with_the_list(tmp_path: Path, finished: bool) -> None:
    path = tmp_path / "run"
    interrupted_or_finished(path, finished)
    stub, before = Stub(), log(path)
    differences = r"max epochs: stored 3, given 9; seed: stored 0, given 5\)"
    with pytest.raises(UserError, match=differences):
        search(path, stub, max_epochs=9, seed=5, factor=3)
    assert stub.tasks == []
    assert log(path) == before


@pytest.mark.parametrize("finished", [True, False])
def test_other_images_are_refused(tmp_path: Path, finished: bool) -> None:
    interrupted_or_finished(tmp_path / "run", finished)
    with pytest.raises(UserError, match=r"another search \(the images or labels are not the same\)"):
        search(tmp_path / "run", data=images(seed=1))


@pytest.mark.parametrize("finished", [True, False])
def test_another_space_is_refused(tmp_path: Path, finished: bool) -> None:
    interrupted_or_finished(tmp_path / "run", finished)
    with pytest.raises(
        UserError, match=r"\(hypermodel: stored .*Space, now space\.hypermodel:VGGHyperModel; space x: "
    ):
        search(tmp_path / "run", hypermodel=None)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("given", [{}, SMALL])
def test_a_space_that_was_changed_under_its_name_is_refused(
    tmp_path: Path, given: dict[str, Any], finished: bool
) -> None:
    path = tmp_path / "run"
    interrupted_or_finished(path, finished)
    before = settings(path)
    stub = Stub()
    with pytest.raises(UserError, match=r"\(space depth values: stored \[1, 2, 3\], now \[1, 2\]\)"):
        search(path, stub, hypermodel=own_space(depths=(1, 2)), **given)
    assert stub.tasks == []
    assert settings(path) == before


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    """Of the user's own; that of the built-in space is a setting."""
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search(path, Stub(interrupted_at=2), **SMALL)
    other = own_space()
    other.recipe = dataclasses.replace(MODERN, batch_size=64)
    with pytest.raises(UserError, match=r"\(recipe batch_size: stored 256, now 64\)"):
        search(path, hypermodel=other)


def test_the_same_images_may_lie_elsewhere(tmp_path: Path) -> None:
    (x, y), (x_test, y_test) = images()
    path, places = tmp_path / "run", [tmp_path / name for name in ("a.npz", "b.npz")]
    for place in places:
        np.savez(place, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    first, second = ({"data": str(place), "dataset": str(place)} for place in places)
    with pytest.raises(KeyboardInterrupt):
        search(path, Stub(interrupted_at=2), **first, **SMALL)
    run = search(path, **second)
    assert run.finished
    assert len(run.trials) == 7
    assert run.settings.dataset == str(places[1])
    np.savez(places[0], x_train=x, y_train=1 - y, x_test=x_test, y_test=y_test)
    with pytest.raises(UserError, match="the images or labels are not the same"):
        search(path, **first)


def test_what_the_plan_chose_may_be_given(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search(path, Stub(interrupted_at=2), max_seconds=3600.0, iterations=1, max_epochs=3)
    stored = settings(path)
    chosen = {name: stored["plan"][name] for name in ("max_epochs", "images_per_epoch", "confirm")}
    assert stored["settings"]["images_per_epoch"] is None
    run = search(path, **chosen)
    assert run.plan.to_dict() == stored["plan"]
    assert run.settings.to_dict() == stored["settings"]
    assert run.finished
    with pytest.raises(UserError, match=r"images per epoch: stored 36, given 12\)"):
        search(path, images_per_epoch=12)


def test_fewer_confirmations_that_the_plan_came_to_may_be_given(tmp_path: Path) -> None:
    """Two networks were asked for, and there was time for one."""
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        search(folder.path, Stub(interrupted_at=2), max_epochs=3)
    stored = settings(folder.path)
    write_json(folder.settings, stored | {"plan": stored["plan"] | {"confirm": 1}})
    for given, confirm in (({}, 1), ({"confirm": 1}, 1), ({"confirm": 2}, 2), ({"confirm": 3}, 3)):
        assert planned(None, folder=folder, overwrite=False, given=given).confirm == confirm
    with pytest.raises(UserError, match="confirm: stored 2, given 0"):
        planned(None, folder=folder, overwrite=False, given={"confirm": 0})


def test_a_search_goes_on_in_the_precision_it_began_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where "auto" is another one by then, on a machine with a GPU say, scores would not be comparable."""
    from archsearch import runtime

    path = tmp_path / "run"
    monkeypatch.setattr(runtime, "fast_precision", lambda num_devices=1: "float32")
    with pytest.raises(KeyboardInterrupt):
        search(path, Stub(interrupted_at=2), hypermodel=None, **SMALL)
    assert (settings(path)["settings"]["precision"], settings(path)["precision"]) == ("auto", "float32")
    monkeypatch.setattr(runtime, "fast_precision", lambda num_devices=1: "mixed_bfloat16")
    with pytest.raises(UserError, match=r"\(precision: stored float32, given mixed_bfloat16\)"):
        search(path, hypermodel=None, precision="mixed_bfloat16")
    run = search(path, hypermodel=None, precision="float32")
    assert run.finished
    assert settings(path)["precision"] == "float32"


def test_a_space_of_ones_own_is_not_in_half_precision_unless_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import runtime

    def told(name: str, **options: Any) -> tuple[str, list[str]]:
        heard = Listener()
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / name, Stub(interrupted_at=1), callbacks=(heard,), **SMALL, **options)
        notes = [note for note in heard.notes if "--precision" in note]
        return settings(tmp_path / name)["precision"], notes

    monkeypatch.setattr(runtime, "fast_precision", lambda num_devices=1: "mixed_bfloat16")
    assert told("own") == (
        "float32",
        [
            "Networks of a space of your own compute in float32; if their layers can do with less, "
            "--precision mixed_bfloat16 may be faster here."
        ],
    )
    assert told("asked", precision="mixed_bfloat16") == ("mixed_bfloat16", [])
    assert told("built-in", hypermodel=None) == ("mixed_bfloat16", [])
    monkeypatch.setattr(runtime, "fast_precision", lambda num_devices=1: "float32")
    assert told("slow") == ("float32", [])


def test_other_versions_are_pointed_out_and_go_on(tmp_path: Path) -> None:
    class Listens(SearchCallback):
        notes: Sequence[str] = ()

        def on_search_begin(self, beginning: Beginning) -> None:
            self.notes = beginning.notes

    folder, listens = RunFolder(tmp_path / "run"), Listens()
    with pytest.raises(KeyboardInterrupt):
        search(folder.path, Stub(interrupted_at=2), callbacks=(listens,), **SMALL)
    assert not any("So far this run had" in note for note in listens.notes)
    stored = settings(folder.path)
    assert stored["changed_on_the_way"] == []
    keras_now = stored["versions"]["keras"]
    write_json(folder.settings, stored | {"versions": stored["versions"] | {"keras": "3.0.0"}})
    changes = [f"keras 3.0.0, after 2 trials {keras_now}"]
    with pytest.raises(KeyboardInterrupt):
        search(folder.path, Stub(interrupted_at=1), callbacks=(listens,))
    assert f"So far this run had keras 3.0.0, now it is {keras_now}: scores may differ a little." in (
        listens.notes
    )
    assert settings(folder.path)["changed_on_the_way"] == changes
    run = search(folder.path, callbacks=(listens,))
    assert not any("So far this run had" in note for note in listens.notes)
    assert (run.finished, run.stored["changed_on_the_way"]) == (True, changes)
    assert changes[0] in (folder.path / "report.html").read_text(encoding="utf-8")


# Confirmations.


def test_confirmed_means_stand_in_best(tmp_path: Path) -> None:
    run = search(tmp_path / "run", **CONFIRMED)
    best, scores = read_json(run.folder.best), {one.trial_id: one.score for one in run.trials}
    top = max(
        (one for one in run.trials if one.role is Role.SEARCH and one.epochs == 3),
        key=lambda one: one.score or 0.0,
    )
    assert best["confirmed"] == {
        name: {
            "score": scores[name],
            "mean": pytest.approx((scores[f"{name}-c1"] + scores[f"{name}-c2"]) / 2),
            "scores": [scores[f"{name}-c1"], scores[f"{name}-c2"]],
        }
        for name in ("baseline", top.trial_id)
    }
    assert best["rank_correlations"] == []  # of one promotion nothing can be told
    assert [one.trial_id for one in run.trials[7:]] == [
        *("baseline-c1", "baseline-c2", f"{top.trial_id}-c1", f"{top.trial_id}-c2")
    ]


def test_confirmations_get_seeds_of_their_own(tmp_path: Path) -> None:
    stub = Stub()
    search(tmp_path / "run", stub, **CONFIRMED)
    assert len({task.seed for task in stub.tasks}) == 11
    assert stub.tasks[7].values == stub.tasks[0].values


def test_more_confirmations_go_on_with_a_finished_search(tmp_path: Path) -> None:
    path = tmp_path / "run"
    before = [one.trial_id for one in search(path, **CONFIRMED).trials]
    stub = Stub()
    run = search(path, stub, confirm=2)
    assert [one.trial_id for one in run.trials][: len(before)] == before
    assert [task.trial_id[-3:] for task in stub.tasks] == ["-c1", "-c2"]
    assert (run.plan.confirm, run.settings.confirm, run.finished) == (2, 2, True)
    assert list(run.deviations()) == []
    with pytest.raises(UserError, match="confirm: stored 2, given 1"):
        search(path, confirm=1)


def test_interrupted_in_the_confirmations_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    search(tmp_path / "whole", **CONFIRMED)
    for number in (7, 8, 10):
        path = tmp_path / str(number)
        with pytest.raises(KeyboardInterrupt):
            search(path, Stub(interrupted_at=number), **CONFIRMED)
        search(path)
        assert log(path) == log(tmp_path / "whole")


# A space of the user's own that cannot be built.


@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit])
def test_what_a_space_raises_is_told_with_the_values_and_leaves_nothing_behind(
    kind: type[BaseException], tmp_path: Path
) -> None:
    """Keras Tuner builds it to learn its hyperparameters, before any trial: with the default, then with what
    its conditions ask for."""
    import keras_tuner

    class Exploding(keras_tuner.HyperModel):
        def build(self, hp: Any) -> None:
            hp.Int("units", 8, 64, default=16)
            if hp.Choice("kind", ["conv", "dense"]) == "dense":
                with hp.conditional_scope("kind", ["dense"]):
                    raise kind("no units")
            with hp.conditional_scope("kind", ["dense"]):
                hp.Choice("depth", [2])

    with pytest.raises(HyperModelError) as raised:
        search(tmp_path / "logs" / "run", hypermodel=Exploding(), **SMALL)
    values = {"units": 16, "kind": "dense", "depth": 2}
    assert str(raised.value).endswith(f"Exploding cannot be built with {values}: {kind.__name__}: no units")
    assert isinstance(raised.value.__cause__, kind)
    assert list(tmp_path.iterdir()) == []


def test_more_iterations_append_brackets(tmp_path: Path) -> None:
    path = tmp_path / "run"
    search(path, **SMALL)
    before = log(path)
    stub = Stub()
    run = search(path, stub, iterations=3)
    assert log(path)[: len(before)] == before
    assert {task.trial_id.split("-")[0] for task in stub.tasks} == {"i1", "i2"}
    assert len(stub.tasks) == 2 * 6
    assert list(run.deviations()) == []
    assert run.plan.iterations == run.settings.iterations == 3
    search(tmp_path / "at once", iterations=3, **SMALL)
    assert {one.trial_id: one for one in log(path)} == {
        one.trial_id: one for one in log(tmp_path / "at once")
    }


def test_more_time_appends_brackets(tmp_path: Path) -> None:
    """However fast the machine, a plan for a tenth of the time has fewer iterations."""
    path = tmp_path / "run"
    run = search(path, max_seconds=120.0, **SMALL)
    before, iterations = log(path), run.plan.iterations
    longer = search(path, max_seconds=1200.0)
    assert longer.plan.iterations > iterations
    assert longer.plan.seconds <= 0.9 * 1200
    assert longer.plan.max_seconds == longer.settings.max_seconds == 1200
    assert log(path)[: len(before)] == before
    assert len(longer.trials) == longer.plan.num_trials


def test_more_time_brings_the_confirmations_that_were_asked_for(tmp_path: Path) -> None:
    """The first time had no room for them."""
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        search(folder.path, Stub(interrupted_at=2), max_seconds=120.0, max_epochs=3, iterations=1)
    stored = settings(folder.path)
    assert stored["settings"]["confirm"] == 2
    write_json(folder.settings, stored | {"plan": stored["plan"] | {"confirm": 0}})
    for given, confirm in (
        ({}, 0),
        ({"max_seconds": 120.0}, 0),
        ({"max_seconds": 86_400.0}, 2),
        ({"max_seconds": 86_400.0, "confirm": 1}, 1),
    ):
        plan = planned(None, folder=folder, overwrite=False, given=given)
        assert (plan.confirm, plan.iterations) == (confirm, 1)


def test_less_time_is_refused(tmp_path: Path) -> None:
    search(tmp_path / "run", max_seconds=600.0, iterations=1, **SMALL)
    with pytest.raises(UserError, match=r"max seconds: stored 600\.0, given 60\.0"):
        search(tmp_path / "run", max_seconds=60.0)


def test_overwrite_starts_over_with_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "run"
    search(path, **SMALL)
    (path / "final").mkdir()
    (path / "final" / "model.keras").touch()
    run = search(path, overwrite=True, max_epochs=1, seed=4, confirm=0)
    assert [one.epochs for one in run.trials] == [1, 1]
    assert {one.name for one in (path / "trials").iterdir()} == {"baseline", "b0-r0-s0"}
    assert (path / "final" / "model.keras").exists()


def test_a_log_without_its_settings_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "run"
    search(path, **SMALL)
    before = log(path)
    RunFolder(path).settings.unlink()
    with pytest.raises(UserError, match=r"There is no .*settings\.json for the trials in .*--overwrite"):
        search(path, **SMALL)
    assert log(path) == before
    search(path, overwrite=True, **SMALL)
    assert log(path) == before


def test_damaged_settings_are_refused_by_name(tmp_path: Path) -> None:
    search(tmp_path / "run", **SMALL)
    file = RunFolder(tmp_path / "run").settings
    file.write_text(file.read_text()[:100])
    with pytest.raises(UserError, match=rf"{file} cannot be read"):
        search(tmp_path / "run")


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="is not the folder of a run"):
        search(tmp_path, overwrite=True, **SMALL)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("wrong", [{"images_per_epoch": 37}, {"max_epochs": 0}, {"recipe": "old"}])
def test_a_mistake_leaves_no_folder_behind(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """36 of 40 images are for training."""
    with pytest.raises(UserError, match="--"):
        search(tmp_path / "logs" / "run", **(SMALL | wrong))
    assert list(tmp_path.iterdir()) == []


# Callbacks.


def test_the_end_is_told_whatever_the_reason(tmp_path: Path) -> None:
    class Ends(SearchCallback):
        num = 0

        def on_search_end(self) -> None:
            self.num += 1

    ends = Ends()
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", Stub(interrupted_at=1), callbacks=(ends,), **SMALL)
    assert ends.num == 1
    search(tmp_path / "run", callbacks=(ends,))
    assert ends.num == 2


# The built-in space.


def test_the_built_in_space_with_a_limit(tmp_path: Path) -> None:
    """The documented network has 25.1 M macs on 8x8 grey pixels; 5 M narrow it, and all draws beyond them."""
    stub = Stub()
    run = search(tmp_path / "run", stub, hypermodel=None, max_macs=5_000_000, **SMALL)
    assert len(run.trials) == 7
    assert all(one.macs is not None and one.macs <= 5_000_000 for one in run.trials)
    width = run.plan.baseline_width
    assert 0 < width < 1
    assert run.trials[0].hyperparameters["width"] == width
    assert run.trials[0].macs == DOCUMENTED.scaled(width).macs(SHAPE)
    assert DOCUMENTED.scaled(width + 1 / 64).macs(SHAPE) > 5_000_000
    assert {one.hyperparameters["width"] <= 1.0 for one in run.trials[1:]} == {True}
    stored = settings(tmp_path / "run")
    assert stored["hypermodel"] == "space.hypermodel:VGGHyperModel"
    assert stored["dataset"]["image_shape"] == list(SHAPE)


def test_limits_that_nothing_meets_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No network meets these limits\. The one with the fewest macs has "):
        search(tmp_path / "run", hypermodel=None, max_macs=10, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_space_of_ones_own_with_architectures_counts_their_macs(tmp_path: Path) -> None:
    """Otherwise its trials would seem millions of times slower than the plan, and none be started."""
    from space.hypermodel import VGGHyperModel

    class Own(VGGHyperModel):
        pass

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        search(
            path, Stub(interrupted_at=1), hypermodel=Own(SHAPE, 2), max_seconds=3600.0, iterations=1, **SMALL
        )
    assert settings(path)["plan"]["cost"]["baseline_macs"] == DOCUMENTED.macs(SHAPE)
    assert settings(path)["plan"]["max_macs"] is None
    run = search(path, hypermodel=Own(SHAPE, 2))
    assert len(run.trials) == 7


@dataclasses.dataclass(frozen=True)
class Stages:
    """A structure that the built-in space does not have."""

    stages: tuple[int, ...]

    def macs(self, image_shape: Sequence[int]) -> int:
        return 1000 * sum(self.stages)

    def params(self, image_shape: Sequence[int], num_classes: int) -> int:
        return 10 * sum(self.stages)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def test_architectures_of_another_kind_are_stored_read_back_and_trained(tmp_path: Path) -> None:
    import keras_tuner

    from archsearch.final_source import FinalSource

    class Own(keras_tuner.HyperModel):
        image_shape, num_classes = SHAPE, 2

        def architecture(self, hp: Any) -> Stages:
            return Stages((1, hp.Choice("width", [16, 32, 64]), hp.Int("depth", 1, 9)))

        def build(self, hp: Any) -> None:
            self.architecture(hp)

    folder = RunFolder(tmp_path / "run")
    run = search(folder.path, hypermodel=Own(), final_seconds=3600.0, **SMALL)
    assert run.finished
    assert run.baseline is not None
    assert run.baseline.architecture == {"stages": [1, 16, 1]}
    assert not any("damaged" in line for line in summary(run))
    assert folder.report.exists()
    best = FinalSource.of("best", folder, own_images=True)
    assert run.incumbent is not None
    assert best.values(Own()) == run.incumbent.hyperparameters


# Plans without a search.


def test_the_plan_told_before_is_the_plan_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    told = planned(images(), folder=folder, overwrite=False, given=SMALL)
    assert not folder.path.exists()
    run = search(folder.path, hypermodel=None, **SMALL)
    assert run.plan.brackets == told.brackets
    assert (run.plan.num_trials, run.plan.images_per_epoch) == (told.num_trials, told.images_per_epoch)
    assert planned(images(), folder=folder, overwrite=False, given={}) == run.plan


def test_the_plan_of_a_stored_run_with_more_iterations(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    run = search(folder.path, **SMALL)
    more = planned(None, folder=folder, overwrite=False, given={"iterations": 2})
    assert more == dataclasses.replace(run.plan, iterations=2)
    with pytest.raises(UserError, match="max epochs: stored 3, given 9"):
        planned(None, folder=folder, overwrite=False, given={"max_epochs": 9})
    assert planned(images(), folder=folder, overwrite=True, given={"max_epochs": 9}).max_epochs == 9


def test_the_plan_of_a_stored_run_is_not_told_for_other_images(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    search(folder.path, **SMALL)
    sentence = (
        r"digits \(32x32x1, 10 classes\) are not those that this run was searched on \(8x8x1, 2 classes"
    )
    with pytest.raises(UserError, match=sentence):
        planned(None, folder=folder, overwrite=False, given={"dataset": "digits"})
    with pytest.raises(UserError, match="nowhere"):
        planned(None, folder=folder, overwrite=False, given={"dataset": str(tmp_path / "nowhere")})


def test_settings_hold_all_that_is_needed_to_do_it_again(undisturbed: Path) -> None:
    stored = settings(undisturbed)
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert {"settings", "plan", "hypermodel", "recipe", "dataset", "versions", "machine"} <= stored.keys()
    assert stored["settings"]["max_epochs"] == 3
    assert stored["dataset"]["num_train"] == 36


# Another baseline, networks of earlier runs, a space by its name


def test_trial_0_is_the_network_given_and_goes_on_without_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    write_json(file, {"hyperparameters": {"x": 0.25, "kind": "dense"}})
    run = search(tmp_path / "run", Stub(), **SMALL, baseline=str(file))
    assert run.baseline is not None
    assert run.baseline.hyperparameters == {"x": 0.25, "kind": "dense"}
    file.unlink()
    longer = search(tmp_path / "run", Stub(), iterations=2, baseline=str(file))
    assert len(longer.trials) == 6 + len(run.trials)
    assert [each.trial_id for each in longer.trials].count("baseline") == 1
    with pytest.raises(UserError, match=r"baseline: stored .*mine\.json, given documented"):
        search(tmp_path / "run", Stub(), baseline="documented")


def test_a_baseline_that_was_changed_is_said_and_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    write_json(file, {"x": 0.25, "kind": "dense"})
    path = tmp_path / "run"
    search(path, **SMALL, baseline=str(file))

    def notes(iterations: int) -> list[str]:
        heard = Listener()
        run = search(path, iterations=iterations, baseline=str(file), callbacks=(heard,))
        assert run.baseline is not None
        assert run.baseline.hyperparameters == {"x": 0.25, "kind": "dense"}
        return [note for note in heard.notes if "mine.json" in note]

    write_json(file, {"hyperparameters": {"kind": "dense", "x": 0.25}})
    assert notes(2) == []
    goes_on = "this run goes on with the baseline that it began with."
    write_json(file, {"x": 0.5, "kind": "dense"})
    assert notes(3) == [f"{file} has other values now: {goes_on}"]
    file.write_text("{", encoding="utf-8")
    [note] = notes(4)
    assert note.startswith(f"{file} has changed (--baseline {file} cannot be read: ")
    assert note.endswith(goes_on)
    file.unlink()
    assert notes(5) == []


def test_a_baseline_of_the_built_in_space_is_narrowed_like_the_documented_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    write_json(file, {"num_blocks": 2, "block_0/convs": 1, "block_1/convs": 1, "hidden_units": 128})
    run = search(tmp_path / "run", Stub(), **SMALL, hypermodel=None, baseline=str(file), max_macs=300_000)
    assert run.baseline is not None
    values, network = run.baseline.hyperparameters, run.baseline.architecture
    assert values["num_blocks"] == 2
    assert "block_2/convs" not in values
    assert values["width"] < 1
    assert network is not None
    assert network["convs"] == [1, 1]
    assert run.baseline.macs is not None
    assert run.baseline.macs <= 300_000
    said = f"the network of mine.json at width {values['width']:.2f}"
    assert any(said in line for line in summary(run))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"y": 0.25}, "values that the space has not: y; it has x, kind, depth"),
        ({"x": "much"}, "x must be of the kind of 0.5, the default of the space, got 'much'"),
        ({"x": 1, "depth": 1.5}, "depth must be of the kind of 1, the default of the space, got 1.5"),
        ({"depth": True}, "depth must be of the kind of 1, the default of the space, got True"),
    ],
)
def test_a_baseline_that_is_not_of_the_space_is_refused_before_anything_is_written(
    values: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    write_json(file, values)
    with pytest.raises(UserError, match=sentence):
        search(tmp_path / "run", **SMALL, baseline=str(file))
    assert not (tmp_path / "run" / "settings.json").exists()


def test_a_search_begins_with_the_best_of_an_earlier_one(undisturbed: Path, tmp_path: Path) -> None:
    """One of three slots at most, for the best that is not the baseline; it is trained in full at once."""
    earlier = [each for each in log(undisturbed) if each.role is Role.SEARCH and each.score is not None]
    highest = max(each.epochs for each in earlier)
    best = max((each for each in earlier if each.epochs == highest), key=lambda each: each.score or 0.0)
    stub = Stub()
    heard = Listener()
    run = search(tmp_path / "run", stub, **SMALL, seed=5, from_runs=(str(undisturbed),), callbacks=(heard,))
    trials = {each.trial_id: each for each in run.trials}
    assert [each.trial_id for each in run.trials][:2] == ["baseline", "b0-r0-s0"]
    assert trials["b0-r0-s0"].hyperparameters == best.hyperparameters
    assert settings(tmp_path / "run")["begin_with"][0] == best.hyperparameters
    assert "The search begins with 1 network of earlier runs." in heard.notes
    plain = search(tmp_path / "plain", Stub(), **SMALL, seed=5)
    others = {each.trial_id: each for each in plain.trials}
    assert others["b0-r0-s0"].hyperparameters != best.hyperparameters
    assert others["b1-r0-s1"].hyperparameters == trials["b1-r0-s1"].hyperparameters
    assert others["b1-r0-s2"].hyperparameters != trials["b1-r0-s2"].hyperparameters, "a neighbour"


class BaselineWins(Stub):
    def __call__(self, task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
        result = super().__call__(task, on_epoch)
        if task.trial_id != "baseline":
            return result
        last = {**result.curve[-1], "val_accuracy": 1.0}
        return dataclasses.replace(result, curve=(*result.curve[:-1], last))


def test_networks_of_an_earlier_search_are_as_wide_as_they_were(tmp_path: Path) -> None:
    """All under one limit; the baseline, which is the best there, is that of the new search anyway."""
    given: dict[str, Any] = {**SMALL, "hypermodel": None, "max_macs": 500_000}
    earlier = search(tmp_path / "earlier", BaselineWins(), **given)
    searched = [each for each in earlier.trials if each.role is Role.SEARCH and each.epochs == 3]
    best = max(searched, key=lambda each: each.score or 0.0)
    assert best.hyperparameters["width"] < 1
    heard = Listener()
    run = search(tmp_path / "run", **given, seed=5, from_runs=("earlier",), callbacks=(heard,))
    trials = {each.trial_id: each for each in run.trials}
    assert trials["b0-r0-s0"].hyperparameters == best.hyperparameters
    assert trials["b0-r0-s0"].macs == best.macs
    # Behind that on flips.
    assert heard.notes[1:] == ["The search begins with 1 network of earlier runs.", NEAR]
    stored = settings(tmp_path / "run")
    assert stored["num_from_runs"] == len(stored["begin_with"]) == 1


def test_networks_of_an_earlier_search_are_narrowed_to_a_lower_limit(tmp_path: Path) -> None:
    given: dict[str, Any] = {**SMALL, "hypermodel": None}
    search(tmp_path / "earlier", max_macs=2_000_000, **given)
    run = search(tmp_path / "run", **given, max_macs=500_000, from_runs=("earlier",))
    assert settings(tmp_path / "run")["num_from_runs"] == 1
    assert all(each.macs is not None and each.macs <= 500_000 for each in run.trials)


def test_starting_points_take_the_slots_that_an_earlier_search_leaves(tmp_path: Path) -> None:
    """They may take four of nine slots; one network of the earlier search leaves three for two of them."""
    given: dict[str, Any] = {"confirm": 0, "hypermodel": None, "max_macs": 500_000}
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "earlier", Stub(interrupted_at=2), **given, max_epochs=3, starting_points="no")
    _, one = log(tmp_path / "earlier")
    heard = Listener()
    options = {**given, "max_epochs": 9, "from_runs": ("earlier",)}
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", Stub(interrupted_at=1), **options, callbacks=(heard,))
    stored = settings(tmp_path / "run")
    first, *others = stored["begin_with"]
    assert first == one.hyperparameters
    assert [each["growth"] for each in others] == [4.0, 2.0]
    assert stored["num_from_runs"] == 1
    _, earlier, started, others_too = heard.notes  # the first one on flips
    assert earlier == "The search begins with 1 network of earlier runs."
    assert started.startswith("The next networks are starting points of the space, not drawn: ")
    assert others_too == NEAR
    run = search(tmp_path / "run", hypermodel=None)
    assert settings(tmp_path / "run")["num_from_runs"] == 1, "when it goes on, too"
    trials = {str(each.hyperparameters): each for each in run.trials if each.role is Role.SEARCH}
    assert [origin(trials[str(each)], run.stored) for each in (first, *others)] == [
        "from an earlier run",
        *["starting point"] * 2,
    ]
    plain = search(tmp_path / "plain", **options, starting_points="no")
    assert plain.stored["begin_with"] == [first]


def test_a_search_of_the_built_in_space_begins_with_its_starting_points(tmp_path: Path) -> None:
    """One of three slots at most, trained in full at once, and as wide as the limit admits."""
    heard = Listener()
    given = {**SMALL, "max_macs": 2_000_000, "seed": 5}
    run = search(tmp_path / "run", Stub(), hypermodel=None, **given, callbacks=(heard,))
    trials = {each.trial_id: each for each in run.trials}
    first = trials["b0-r0-s0"]
    assert first.epochs == 3, "at once"
    assert first.hyperparameters["growth"] == 4.0
    assert 0 < first.hyperparameters["width"] < 1
    assert first.macs is not None
    assert 1_000_000 < first.macs <= 2_000_000
    assert settings(tmp_path / "run")["begin_with"] == [first.hyperparameters]
    [said] = [note for note in heard.notes if "starting points" in note]
    assert said.endswith("M macs.")
    assert "pool first | linear" in said

    plain = search(tmp_path / "plain", Stub(), hypermodel=None, **given, starting_points="no")
    others = {each.trial_id: each for each in plain.trials}
    assert settings(tmp_path / "plain")["begin_with"] is None
    assert others["b0-r0-s0"].hyperparameters["growth"] != 4.0
    assert others["b1-r0-s1"].hyperparameters == trials["b1-r0-s1"].hyperparameters


def test_half_of_a_search_that_begins_with_known_networks_is_drawn_near_them(tmp_path: Path) -> None:
    """A neighbour keeps three quarters of a dozen values on average, of which some are drawn as they were."""
    given = {**SMALL, "max_epochs": 9, "max_macs": 5_000_000}
    run = search(tmp_path / "run", Stub(), hypermodel=None, **given)
    plain = search(tmp_path / "plain", Stub(), hypermodel=None, **given, starting_points="no")
    begun_with = run.stored["begin_with"]
    others = {each.trial_id: each.hyperparameters for each in plain.trials}
    near = 0
    for each in run.trials:
        if each.place is None or each.place.rung > 0 or each.hyperparameters in begun_with:
            continue
        if each.place.slot % 2:
            assert each.hyperparameters == others[each.trial_id]
        else:
            near += 1
            values = structure_values(each.hyperparameters)
            shared = max(sum(values.get(name) == known[name] for name in known) for known in begun_with)
            assert 4 <= shared < len(values)
            assert each.macs is not None
            assert each.macs <= 5_000_000
    assert near == 4 + 3 + 1
    assert run.stored["neighbours"] is True
    assert plain.stored["neighbours"] is False


def test_a_search_of_an_earlier_version_keeps_its_first_network_in_the_first_rung(tmp_path: Path) -> None:
    """It did not write where that one is, and had all of them there; nor did it draw any neighbours."""
    given = {**SMALL, "max_macs": 2_000_000}
    plain = search(tmp_path / "plain", Stub(), hypermodel=None, **given, starting_points="no")
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", Stub(interrupted_at=1), hypermodel=None, **given)
    path = tmp_path / "run" / "settings.json"
    stored = settings(tmp_path / "run")
    assert stored.pop("begin_at_top") is stored.pop("neighbours") is True
    path.write_text(json.dumps(stored))
    run = search(tmp_path / "run", Stub(), hypermodel=None)
    assert [each.trial_id for each in run.trials][:2] == ["baseline", "b1-r0-s0"]
    assert run.trials[1].hyperparameters == stored["begin_with"][0]
    assert run.trials[1].epochs == 1
    assert run.stored["begin_at_top"] is False
    values = [each.hyperparameters for each in run.trials if each.place is not None and each.place.rung == 0]
    assert values.count(stored["begin_with"][0]) == 1
    drawn = [each.hyperparameters for each in plain.trials if each.place is not None and each.place.rung == 0]
    assert values[1:] == drawn[1:]


def test_drawn_networks_beyond_the_limit_are_narrowed_to_it(tmp_path: Path) -> None:
    """Not drawn anew: that would leave only structures that are small at their full width."""
    given = {**SMALL, "max_macs": 500_000, "starting_points": "no"}
    run = search(tmp_path / "run", Stub(), hypermodel=None, **given)
    drawn = [each for each in run.trials if each.role is Role.SEARCH]
    assert all(each.macs is not None and each.macs <= 500_000 for each in drawn)
    free = search(tmp_path / "free", Stub(), hypermodel=None, **SMALL, starting_points="no")
    others = {each.trial_id: each for each in free.trials}
    for each in drawn:
        if each.rung == 0:  # other networks may be promoted
            other = others[each.trial_id]
            assert {**each.hyperparameters, "width": 1.0} == other.hyperparameters
            assert (each.hyperparameters["width"] < 1.0) == (other.macs is not None and other.macs > 500_000)
    assert any(each.hyperparameters["width"] < 1.0 for each in drawn)


def test_a_winner_that_was_not_drawn_is_called_so(tmp_path: Path) -> None:
    class FirstWins(Stub):
        def __call__(self, task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
            result = super().__call__(task, on_epoch)
            score = 1.0 if task.trial_id == "b0-r0-s0" else 0.0
            last = {**result.curve[-1], "val_accuracy": score}
            return dataclasses.replace(result, curve=(*result.curve[:-1], last))

    run = search(tmp_path / "run", FirstWins(), hypermodel=None, **SMALL, max_macs=2_000_000)
    assert "           starting point, not drawn" in list(summary(run))


def test_a_winner_near_a_starting_point_is_told_by_what_differs(tmp_path: Path) -> None:
    class NeighbourWins(Stub):
        def __call__(self, task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
            result = super().__call__(task, on_epoch)
            score = 1.0 if task.trial_id.startswith("b2-") and task.trial_id.endswith("-s2") else 0.0
            last = {**result.curve[-1], "val_accuracy": score}
            return dataclasses.replace(result, curve=(*result.curve[:-1], last))

    given = {"max_epochs": 9, "max_macs": 5_000_000, "confirm": 0}
    run = search(tmp_path / "run", NeighbourWins(), hypermodel=None, **given)
    best = run.incumbent
    assert best is not None
    assert best.trial_id == "b2-r2-s2"
    values, lines = best.hyperparameters, list(summary(run))
    [number] = [n for n, line in enumerate(lines) if line.startswith("           near a starting point, but")]
    told = lines[number : lines.index("baseline:  val_accuracy 0.0000 after 9 epochs")]
    said = " ".join(line.strip() for line in told)
    named = said.removeprefix("near a starting point, but for ").split(", ")
    others = [
        {name for name in {*values, *known} - {"width"} if values.get(name) != known.get(name)}
        for known in run.stored["begin_with"]
    ]
    assert set(named) == min(others, key=len) != set()
    assert all(len(line) <= 80 for line in told)


def test_what_it_begins_with_is_kept_when_it_is_interrupted(undisturbed: Path, tmp_path: Path) -> None:
    import shutil

    earlier = tmp_path / "earlier"
    shutil.copytree(undisturbed, earlier)
    given = {**SMALL, "from_runs": ("earlier",)}
    whole = search(tmp_path / "whole", Stub(), **given)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "parts", Stub(interrupted_at=1), **given)
    shutil.rmtree(earlier)
    search(tmp_path / "parts", Stub())
    assert log(tmp_path / "parts") == log(whole.folder.path)


class Listener(SearchCallback):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_search_begin(self, beginning: Beginning) -> None:
        self.notes = list(beginning.notes)


def test_a_space_by_its_name_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "found_by_name.py").write_text(
        "import keras_tuner\n\nclass Mine(keras_tuner.HyperModel):\n    def build(self, hp):\n"
        "        hp.Float('x', 0.0, 1.0, default=0.5)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    options: dict[str, Any] = {"hypermodel": None, "space": "found_by_name:Mine"}
    run = search(tmp_path / "run", Stub(), **SMALL, **options)
    assert run.stored["hypermodel"] == "found_by_name:Mine"
    assert run.baseline is not None
    assert run.baseline.hyperparameters == {"x": 0.5}
    assert len(search(tmp_path / "run", Stub(), hypermodel=None, iterations=2).trials) == 13
    with pytest.raises(UserError, match="space: stored found_by_name:Mine, given other:One"):
        search(tmp_path / "run", Stub(), hypermodel=None, space="other:One")
    with pytest.raises(UserError, match="`hypermodel` and `space` exclude each other"):
        search(tmp_path / "other", Stub(), **SMALL, space="found_by_name:Mine")


def test_a_plan_of_a_space_of_ones_own_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--plan cannot tell what networks of --space cost"):
        planned(images(), folder=RunFolder(tmp_path / "run"), overwrite=False, given={"space": "a:B"})


def test_a_saved_model_is_no_baseline_of_a_space_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--baseline takes a \.keras file with the built-in space only"):
        search(tmp_path / "run", **SMALL, hypermodel=None, space="a:B", baseline="m.keras")
