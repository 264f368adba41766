"""The final training: its refusals, and what becomes of an earlier result."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import archsearch
from archsearch import UserError
from archsearch.errors import HyperModelError
from archsearch.final_source import FinalSource
from archsearch.lineage import is_of
from archsearch.run_folder import RunFolder
from archsearch.trials import Status
from space.recipe import DOCUMENTED, MODERN


def data(*, test: bool = True) -> Any:
    """20 images of 8x8 in two classes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    y = np.arange(20) % 2
    return (x, y), (x[:4], y[:4]) if test else None


def final_train(logs: Path, *, test: bool = True, **options: Any) -> Any:
    return archsearch.final_train("documented", data=data(test=test), logs=logs, verbose=False, **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "--epochs must be at least 1, got 0"),
        ({"recipe": "best"}, "--recipe must be one of modern, documented; got 'best'"),
        ({"seed": -1}, "--seed must be at least 0, got -1|must be a whole number, at least 0; got -1"),
        ({"seed": 2**32}, "--seed must be below 4294967296, got 4294967296"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        final_train(tmp_path, **options)


def test_data_without_a_test_part_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no test part, on which a final training ends"):
        final_train(tmp_path, test=False)
    assert list(tmp_path.iterdir()) == []


def test_broken_files_of_the_test_part_are_found_before_anything_is_trained(tmp_path: Path) -> None:
    for place in ("train/a", "train/b", "test/a", "test/b"):
        folder = tmp_path / "photos" / place
        folder.mkdir(parents=True)
        for number in range(2 if place.startswith("train") else 1):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
        if place.startswith("test"):
            (folder / "broken.png").write_bytes(b"no")
    source = FinalSource.of("documented", RunFolder(tmp_path / "run"), own_images=True)
    photos = str(tmp_path / "photos")
    with pytest.raises(UserError, match=r"2 of 4 images cannot be read, .*test/a/broken.png \(no image\)"):
        source.load(photos, seed=0, verbose=False)
    (tmp_path / "photos" / "test" / "a" / "broken.png").unlink()
    splits = source.load(photos, seed=0, verbose=False)
    assert len([*splits.cache.glob("images-*.npy")]) == 2  # type: ignore[union-attr]


@pytest.mark.tensorflow
def test_an_earlier_result_stays_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import runtime

    runtime.import_tensorflow()
    from archsearch import training, watch

    folder = tmp_path / "default" / "final" / "documented"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"test_accuracy": 0.5}))

    def diverge(*args: Any) -> None:
        raise watch.Diverged("the loss was nan")

    monkeypatch.setattr(training.Training, "run", diverge)
    with pytest.raises(UserError, match=r"The final training failed: the loss was nan\."):
        final_train(tmp_path, overwrite=True)
    assert json.loads((folder / "result.json").read_text()) == {"test_accuracy": 0.5}
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["documented"]


@pytest.mark.tensorflow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_what_is_delivered_and_tested_is_of_keras_alone_and_in_single_precision(
    precision: str, tensorflow: Any, tmp_path: Path
) -> None:
    import keras

    result = final_train(tmp_path, epochs=1, precision=precision)
    assert result["precision"] == precision
    model = keras.saving.load_model(tmp_path / "default" / "final" / "documented" / "model.keras")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    (_, _), (x, y) = data()
    assert np.mean(np.asarray(model(x)).argmax(axis=1) == y) == result["test_accuracy"]
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("own", "expected"), [(False, "mixed_bfloat16"), (True, "float32")])
def test_auto_leaves_a_space_of_ones_own_in_single_precision(
    own: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import runtime
    from space.hypermodel import VGGHyperModel

    class Own(VGGHyperModel):
        pass

    monkeypatch.setattr(runtime, "fast_precision", lambda num_devices=1: "mixed_bfloat16")
    given = {"hypermodel": Own((8, 8, 1), 2)} if own else {"max_macs": 400_000}
    pretended_search(tmp_path, **given)
    result = best_of(tmp_path, epochs=1, hypermodel=given.get("hypermodel"))
    assert result["precision"] == expected


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(
    ("raised", "kind", "sentence"),
    [
        (None, UserError, r"The final training failed: `fit` told of no epoch: pass `callbacks` on to"),
        (
            ZeroDivisionError("no"),
            HyperModelError,
            r"Own cannot be trained with \{'units': .*\}: Zero.*: no$",
        ),
    ],
)
def test_a_mistake_in_a_space_of_ones_own_is_one_sentence(
    tmp_path: Path, raised: Exception | None, kind: type[UserError], sentence: str
) -> None:
    import keras_tuner

    class Own(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return pixels_to_two_classes(hp.Int("units", 1, 8))

        def fit(self, hp: Any, model: Any, *args: Any, callbacks: Any, **kwargs: Any) -> Any:
            if raised is not None:
                raise raised
            return model.fit(*args, **kwargs)

    pretended_search(tmp_path, hypermodel=Own())
    with pytest.raises(UserError, match=sentence) as caught:
        best_of(tmp_path, hypermodel=Own(), epochs=1)
    assert type(caught.value) is kind


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_what_goes_wrong_in_telling_is_not_blamed_on_a_space_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras_tuner

    from archsearch.reporting.tensorboard import TrialEvents

    class Own(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return pixels_to_two_classes(hp.Int("units", 1, 8))

    def fail(self: TrialEvents, epoch: int, values: Any) -> None:
        raise ZeroDivisionError(f"in epoch {epoch}")

    pretended_search(tmp_path, hypermodel=Own())
    monkeypatch.setattr(TrialEvents, "epoch", fail)
    with pytest.raises(ZeroDivisionError, match=r"^in epoch 1$"):
        best_of(tmp_path, hypermodel=Own(), epochs=1)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_a_model_that_is_a_class_of_its_own_is_trained_tested_and_left(tmp_path: Path) -> None:
    """Keras knows neither its layers in a row nor the shape of its output."""
    import keras
    import keras_tuner

    class Net(keras.Model):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.units = units
            self.layers_in_a_row = [keras.layers.Flatten(), keras.layers.Dense(units)]
            self.last = keras.layers.Dense(2, "softmax")

        def call(self, x: Any) -> Any:
            for layer in self.layers_in_a_row:
                x = layer(x)
            return self.last(x)

        def get_config(self) -> dict[str, Any]:
            return {"units": self.units}

    class Own(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            model = Net(hp.Int("units", 1, 8))
            model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
            return model

    pretended_search(tmp_path, hypermodel=Own())
    result = best_of(tmp_path, hypermodel=Own(), epochs=1, tta=True)
    units = result["hyperparameters"]["units"]
    assert result["params"] == (64 + 1) * units + (units + 1) * 2
    assert (tmp_path / "default" / "final" / "best" / "model.keras").exists()


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_what_keeps_a_network_from_being_saved_is_named(tmp_path: Path) -> None:
    """A model, or a layer, whose arguments Keras cannot write down."""
    import keras

    from archsearch.model_file import save_model

    class Net(keras.Model):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.last = keras.layers.Dense(units)

        def call(self, x: Any) -> Any:
            return self.last(x)

    class Scaled(keras.layers.Layer):
        def __init__(self, scale: Any) -> None:
            super().__init__()
            self.scale = scale

        def call(self, x: Any) -> Any:
            return self.scale(x)

    net = Net(2)
    net(np.zeros((1, 3)))
    in_a_row = keras.Sequential([keras.Input((3,)), Scaled(lambda x: 2 * x)])
    for name, model in (("Net", net), ("Scaled", in_a_row)):
        sentence = (
            rf"^The network cannot be saved: \w+ {name} .*get_config.* Then run the same command again\.$"
        )
        with pytest.raises(UserError, match=sentence):
            save_model(model, tmp_path / "model.keras", ("a", "b"))
        assert list(tmp_path.iterdir()) == []


def pixels_to_two_classes(units: int) -> Any:
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(units), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_networks_of_the_built_in_space_are_trained_with_fused_batch_normalisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is delivered has Keras's own, of which another test tells."""
    from archsearch.training import Training

    trained: list[Any] = []
    train = Training.run

    def run(training: Training) -> Any:
        trained.append(train(training))
        return trained[0]

    monkeypatch.setattr(Training, "run", run)
    final_train(tmp_path, epochs=1, precision="float32")
    kinds = {type(layer).__name__ for layer in trained[0].layers if "Batch" in type(layer).__name__}
    assert kinds == {"FusedBatchNormalization"}


# Going on with an interrupted one.


def best_of(logs: Path, **options: Any) -> Any:
    return archsearch.final_train("best", data=data(), logs=logs, verbose=False, **options)


@pytest.fixture(scope="module")
def searched(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of a search for networks of at most 400,000 macs, whose trials only pretend to train."""
    logs = tmp_path_factory.mktemp("logs")
    assert pretended_search(logs, max_macs=400_000) == "b0-r0-s0"
    return logs


def pretended_search(logs: Path, hypermodel: Any = None, **settings: Any) -> str:
    """The incumbent of a search of two trials."""
    from archsearch.searching import Search
    from archsearch.task import TrialResult

    def pretend(task: Any, on_epoch: Any = None) -> TrialResult:
        curve = ({"val_accuracy": 0.25 if task.trial_id == "baseline" else 0.5},)
        return TrialResult(Status.COMPLETED, curve, 1.0, 0)

    given = {"max_epochs": 1, "confirm": 0, "seed": 3, **settings}
    run = Search(
        data=data(),
        folder=RunFolder(logs / "default"),
        overwrite=False,
        hypermodel=hypermodel,
        callbacks=(),
        given=given,
        run_trial=pretend,
    ).execute()
    assert run.incumbent is not None
    return run.incumbent.trial_id


@pytest.fixture
def logs(searched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(searched, tmp_path / "logs"))


@pytest.fixture
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch is worth a file, however short."""
    from archsearch import checkpoints

    monkeypatch.setattr(checkpoints, "WORTH_SAVING", 0.0)
    monkeypatch.setattr(checkpoints, "MAX_SHARE", float("inf"))


class Killed(BaseException):
    """Instead of a kill."""


def interrupt(logs: Path, *, after: int, **options: Any) -> list[dict[str, float]]:
    """A final training that ends after so many epochs; what these gave."""
    from archsearch.reporting.tensorboard import TrialEvents

    seen: list[dict[str, float]] = []

    def epoch(self: TrialEvents, epoch: int, values: dict[str, float]) -> None:
        seen.append(dict(values))
        if epoch == after:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrialEvents, "epoch", epoch)
        with pytest.raises(Killed):
            best_of(logs, **options)
    return seen


def weights(folder: Path) -> list[bytes]:
    import keras

    model = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    return [np.asarray(each).tobytes() for each in model.weights]


def history(folder: Path) -> list[dict[str, float]]:
    epochs: list[dict[str, float]] = json.loads((folder / "history.json").read_text())["epochs"]
    return epochs


def without_seconds(epochs: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in epochs]


@pytest.mark.tensorflow
@pytest.mark.usefixtures("every_epoch")
def test_an_interrupted_final_training_goes_on_bit_for_bit_with_its_epochs_and_seed(
    logs: Path, searched: Path, tmp_path: Path
) -> None:
    """What is not given again is what was given then."""
    other = Path(shutil.copytree(searched, tmp_path / "other"))
    best_of(other, epochs=3, seed=8)
    before = interrupt(logs, after=2, epochs=3, seed=8)
    folder = logs / "default" / "final"
    assert not (folder / "best").exists()
    result = best_of(logs)
    assert (result["epochs"], result["planned_epochs"], result["seed"]) == (3, 3, 8)
    assert result["num_images_passed"] == 3 * 18
    assert history(folder / "best")[:2] == before, "with their seconds: they were not trained again"
    assert result["seconds"] >= sum(epoch["seconds"] for epoch in history(folder / "best"))
    undisturbed = other / "default" / "final" / "best"
    assert without_seconds(history(folder / "best")) == without_seconds(history(undisturbed))
    assert weights(folder / "best") == weights(undisturbed)
    names = {path.name for path in undisturbed.iterdir() if "tfevents" not in path.name}
    assert {path.name for path in (folder / "best").iterdir() if "tfevents" not in path.name} == names
    assert {"begun.json", "resume"}.isdisjoint(names)
    assert not (folder / "best.unfinished").exists()


@pytest.mark.tensorflow
@pytest.mark.usefixtures("every_epoch")
def test_another_final_training_than_the_interrupted_one_is_refused_with_the_differences(
    logs: Path,
) -> None:
    interrupt(logs, after=1, epochs=3, seed=8)
    folder = logs / "default" / "final" / "best.unfinished"
    state = (folder / "resume" / "state.npz").read_bytes()
    with pytest.raises(UserError, match=r"\(epochs: stored 3, now 5; seed: stored 8, now 9\)") as refusal:
        best_of(logs, epochs=5, seed=9)
    assert str(folder) in str(refusal.value)
    assert "--overwrite to start over" in str(refusal.value)
    # The searched values of a recipe are not those of another one.
    values = [rf"values {name}: stored [\d.]+, now None; " for name in ("learning_rate", "weight_decay")]
    recipe = "recipe name: stored modern, now documented; "
    with pytest.raises(UserError, match=rf"\({''.join(values)}{recipe}"):
        best_of(logs, recipe="documented")
    assert (folder / "resume" / "state.npz").read_bytes() == state


@pytest.mark.tensorflow
def test_by_another_recipe_than_the_searchs_a_network_is_trained_at_that_ones_own_rate(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rates of SGD are some 300 times those of Adam."""
    run = archsearch.open_run(logs / "default")
    assert run.incumbent is not None
    assert run.incumbent.hyperparameters["learning_rate"] >= MODERN.learning_rate / 4
    best = archsearch.final_train("best", data=data(), logs=logs, epochs=1, recipe="documented")
    told = " ".join(capsys.readouterr().err.split())
    assert "learning rate and weight decay are those of documented" in told
    assert best["recipe"]["name"] == "documented"
    assert best["learning_rate"] == pytest.approx(DOCUMENTED.learning_rate)
    assert run.incumbent.hyperparameters == {
        **best["hyperparameters"],
        **{name: run.incumbent.hyperparameters[name] for name in ("learning_rate", "weight_decay", "width")},
    }
    assert is_of(best, run.trials, run.stored)


@pytest.mark.tensorflow
def test_test_images_are_looked_for_in_the_training_and_in_the_validation_part(tmp_path: Path) -> None:
    """Of 20 images the validation part is the test part, as in a file where it was stored as both."""
    (x, y), _ = data()
    parts = {"train": slice(4, None), "val": slice(0, 4), "test": slice(0, 5)}
    arrays = {f"{name}_{part}": z[rows] for part, rows in parts.items() for name, z in (("x", x), ("y", y))}
    np.savez(tmp_path / "d.npz", **arrays)
    result = archsearch.final_train(
        "documented", data=str(tmp_path / "d.npz"), logs=tmp_path, epochs=1, verbose=False
    )
    assert (result["num_test_in_training"], result["num_test_in_validation"]) == (1, 4)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("every_epoch")
def test_the_images_of_an_interrupted_final_training_have_to_be_the_same(tmp_path: Path) -> None:
    """Without a search, which would have refused them already."""
    begun = tmp_path / "default" / "final" / "documented.unfinished" / "begun.json"
    begun.parent.mkdir(parents=True)
    options = {"epochs": 3, "steps_per_epoch": None, "seed": 0, "max_seconds": None, "precision": "float32"}
    begun.write_text(json.dumps({"images": "others", "all_data": False, "tta": False, **options}))
    with pytest.raises(UserError, match=r"was another one \(images: stored others, now \w+; "):
        final_train(tmp_path)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("every_epoch")
def test_overwrite_starts_an_interrupted_final_training_over(logs: Path) -> None:
    before = interrupt(logs, after=1, epochs=3, seed=8)
    result = best_of(logs, epochs=2, overwrite=True)
    assert (result["epochs"], result["seed"]) == (2, 3), "the run's seed, not that of the interrupted one"
    epochs = history(logs / "default" / "final" / "best")
    assert len(epochs) == 2
    assert epochs[0] != before[0]
    assert not (logs / "default" / "final" / "best.unfinished").exists()


@pytest.mark.tensorflow
def test_an_interrupted_one_of_short_epochs_begins_anew_with_its_epochs(logs: Path) -> None:
    """Nothing was worth a file, but what it was to be is known."""
    before = interrupt(logs, after=2, epochs=2)
    result = best_of(logs)
    epochs = history(logs / "default" / "final" / "best")
    assert result["epochs"] == 2
    assert without_seconds(epochs) == without_seconds(before)
    assert epochs != before


@pytest.mark.tensorflow
def test_a_damaged_note_of_an_interrupted_one_is_refused_by_name(logs: Path) -> None:
    interrupt(logs, after=1, epochs=2)
    begun = logs / "default" / "final" / "best.unfinished" / "begun.json"
    begun.write_text("{")
    with pytest.raises(UserError, match=rf"{begun} cannot be read .*--overwrite"):
        best_of(logs)
    assert best_of(logs, epochs=1, overwrite=True)["epochs"] == 1


# To a time; in several views; on all data.


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine on which some three epochs fit into 10,000 seconds, beside which a test takes no time.

    In half precision its test takes twice as long.

    Returns:
        The macs it was measured with, one entry a measurement.
    """
    from archsearch import final_task
    from archsearch.plan import Speed

    asked: list[int] = []

    def speed(task: Any, macs: int) -> Speed:
        asked.append(macs)
        # An epoch of 18 images, 3 passes each, and of 2 to validate: 56 passes. Evaluation: 18 and 4. What
        # is left of the time is 9,891 s.
        return Speed((3.5 * 56 + 22) / 9891 * macs, 1.0, "measured")

    monkeypatch.setattr(final_task, "_measured_speed", speed)
    monkeypatch.setattr(final_task, "_test_seconds", lambda task: 2 * 9891 / (3.5 * 56 + 22))
    return asked


def test_epochs_and_a_time_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--epochs and --max-time exclude each other"):
        final_train(tmp_path, epochs=3, max_seconds=60.0)
    with pytest.raises(UserError, match="--epochs and --max-time exclude each other"):
        final_train(tmp_path, epochs=3, max_time="1m")


def test_a_time_is_given_as_a_flag_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"A time is written like 90s, 30m, 1.5h or 1h30m, got 'soon'"):
        final_train(tmp_path, max_time="soon")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_no_time_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(UserError, match="--max-time must be above 0 seconds"):
        final_train(tmp_path, max_seconds=seconds)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_time_says_how_many_epochs_and_is_measured_once(
    logs: Path, measured: list[int], precision: str
) -> None:
    before = interrupt(logs, after=1, max_seconds=10_000.0, precision=precision)
    path = logs / "default" / "final" / "best.unfinished" / "begun.json"
    begun = json.loads(path.read_text())
    assert begun["test_slowdown"] == pytest.approx(1 if precision == "float32" else 2)
    result = best_of(logs)
    assert (result["epochs"], result["max_seconds"]) == (3, 10_000.0)
    assert measured == [result["macs"]], "what goes on keeps the epochs it was begun with"
    epochs = history(logs / "default" / "final" / "best")
    assert epochs[:1] == before
    assert [epoch["steps"] for epoch in epochs] == [1, 1, 1]
    assert result["num_images_passed"] == 3 * 18
    assert "steps_per_epoch" not in result, "of a training whose steps may change"


@pytest.mark.tensorflow
@pytest.mark.usefixtures("every_epoch")
def test_the_seconds_of_an_interrupted_one_are_counted(logs: Path) -> None:
    """With what it lost: whatever it spent before is on record, not in the epochs it saved."""
    interrupt(logs, after=1, epochs=2)
    begun = logs / "default" / "final" / "best.unfinished" / "begun.json"
    noted = json.loads(begun.read_text())
    assert noted["elapsed_seconds"] > 0
    begun.write_text(json.dumps({**noted, "elapsed_seconds": 5000.0}))
    result = best_of(logs)
    assert 5000 < result["seconds"] < 5300  # a test takes 300 at most


@pytest.mark.tensorflow
@pytest.mark.usefixtures("every_epoch", "measured")
def test_the_time_that_an_interrupted_one_spent_is_taken_from_what_is_left(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import final_training

    starts: list[float] = []
    kept_on_time = final_training.kept_on_time

    def noted(final: Any, *, start: float) -> Any:
        starts.append(start)
        return kept_on_time(final, start=start)

    monkeypatch.setattr(final_training, "kept_on_time", noted)
    interrupt(logs, after=1, max_seconds=10_000.0)
    begun = logs / "default" / "final" / "best.unfinished" / "begun.json"
    begun.write_text(json.dumps({**json.loads(begun.read_text()), "elapsed_seconds": 4000.0}))
    best_of(logs)
    first, second = starts
    assert 3400 < first - second < 4000, "as if both had followed at once"


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_images_that_were_passed_are_counted_by_the_steps_of_each_epoch() -> None:
    """40 images in batches of 8: 5 steps, 3 steps, and where nothing is said all 5."""
    from archsearch.final_result import num_images_passed

    task: Any = SimpleNamespace(
        dataset=SimpleNamespace(train=range(40), flip=True),
        hypermodel=SimpleNamespace(recipe=dataclasses.replace(MODERN, batch_size=8)),
    )
    assert num_images_passed(task, [{"steps": 5}, {"steps": 3}, {}]) == 8 * (5 + 3 + 5)


RESULT: dict[str, Any] = {
    **{"test_accuracy": 0.9, "test_loss": 0.3, "num_test": 10, "train_accuracy": 0.95, "train_loss": 0.2},
    **{"accuracy_gap": 0.05, "params": 1, "macs": None, "num_test_in_training": 0, "published": None},
    **{"num_train": 45_000, "all_data": False, "seconds": 90.0},
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"epochs": 50, "max_seconds": None, "num_images_passed": 50 * 44_800},
            "50 epochs on 45,000 images, in 1.5 min",
        ),
        (
            {"epochs": 8, "max_seconds": 90.0, "num_images_passed": 112_500, "all_data": True},
            "8 epochs of 14,062 images on average, 2.5 passes over 45,000 images, validation part included, "
            "in 1.5 min",
        ),
        ({"epochs": 3, "max_seconds": 90.0}, "3 epochs on 45,000 images, in 1.5 min"),
    ],
)
def test_the_summary_says_how_much_was_trained(changes: dict[str, Any], line: str) -> None:
    """The last one is of an earlier version."""
    from archsearch.final_result import summary

    assert line in [*summary({**RESULT, **changes})]


@pytest.mark.tensorflow
@pytest.mark.usefixtures("every_epoch", "measured")
def test_an_interrupted_one_goes_on_in_its_own_time_only(logs: Path) -> None:
    interrupt(logs, after=1, max_seconds=10_000.0)
    with pytest.raises(UserError, match=r"\(max_seconds: stored 10000\.0, now 200\.0\)"):
        best_of(logs, max_seconds=200.0)
    with pytest.raises(UserError, match=r"\(all_data: stored False, now True; num_images: stored 18, now 20"):
        best_of(logs, all_data=True)


def test_test_images_that_a_search_chose_by_are_told() -> None:
    from archsearch.final_result import summary

    changes = {"epochs": 1, "max_seconds": None, "num_test_in_validation": 4}
    said = "4 test images are also in the validation part, by which a search chooses"
    assert said in [*summary({**RESULT, **changes})]


@pytest.mark.tensorflow
def test_all_data_leaves_nothing_to_validate_on(logs: Path) -> None:
    result = best_of(logs, epochs=1, all_data=True)
    assert (result["num_train"], result["all_data"]) == (20, True)
    assert (result["num_test_in_training"], result["num_test_in_validation"]) == (4, 0)
    assert set(history(logs / "default" / "final" / "best")[0]) == {
        *("loss", "accuracy", "learning_rate", "seconds")
    }
    assert best_of(logs, epochs=1, overwrite=True)["num_train"] == 18


@pytest.mark.tensorflow
def test_averaged_views_stand_beside_the_single_one(logs: Path) -> None:
    single = best_of(logs, epochs=1)
    assert "test_accuracy_tta" not in single
    both = best_of(logs, epochs=1, tta=True, overwrite=True)
    assert both["test_accuracy"] == single["test_accuracy"]
    assert both["test_loss"] == pytest.approx(single["test_loss"])
    assert 0 <= both["test_accuracy_tta"] <= 1
    assert both["tta_views"] == "6 views: plain and moved by one pixel both ways, each mirrored too"


# What is left to be taken away.


@pytest.mark.tensorflow
def test_the_network_found_is_left_as_a_script_and_in_the_formats_asked_for(logs: Path) -> None:
    from archsearch.exporting.records import read_exports

    result = best_of(logs, epochs=1, export=("keras", "litert", "litert-int8"))
    folder = logs / "default" / "final" / "best"
    assert "def build():" in (folder / "model.py").read_text(encoding="utf-8")
    assert json.loads((folder / "result.json").read_text()) == result, "exports have a file of their own"
    exports = read_exports(folder)
    assert [each.format for each in exports] == ["keras", "litert", "litert-int8"]
    assert {each.images for each in exports} == {"the 4 test images of arrays"}
    assert exports[0].accuracy == result["test_accuracy"]
    assert [path.name for path in folder.iterdir() if "unfinished" in path.name] == []


@pytest.mark.tensorflow
def test_an_export_that_fails_does_not_undo_the_training(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archsearch.exporting import convert
    from archsearch.exporting.records import read_exports

    def fail(*_: Any) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setitem(convert._WRITERS, "litert", fail)
    result = best_of(logs, epochs=1, export=("litert",))
    folder = logs / "default" / "final" / "best"
    assert json.loads((folder / "result.json").read_text()) == result
    assert [each.problem for each in read_exports(folder)] == ["RuntimeError: no memory"]


@pytest.mark.tensorflow
def test_an_interrupted_export_names_the_command_that_goes_on(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch.exporting import convert

    def interrupt_it(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(convert._WRITERS, "litert", interrupt_it)
    command = f"archsearch export default --logs {logs} --format litert"
    with pytest.raises(KeyboardInterrupt, match=f"^the training is complete. Continue: {command}$"):
        best_of(logs, epochs=1, export=("litert",))
    assert (logs / "default" / "final" / "best" / "result.json").exists()


def test_a_missing_package_is_noticed_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install tf2onnx onnx onnxruntime"):
        final_train(tmp_path, export=("onnx",))
    assert list(tmp_path.iterdir()) == []
