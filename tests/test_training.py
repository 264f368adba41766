"""One trial as a pure function of its task, and everything that can go wrong in it."""

from __future__ import annotations

import dataclasses
import gc
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from archsearch.dataset import Images
from archsearch.errors import StorageError, UserError
from archsearch.trials import Status
from space.recipe import DOCUMENTED, MODERN, Recipe

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

TINY = {
    "num_blocks": 2,
    "block_0/convs": 1,
    "block_1/convs": 1,
    "filters": 16,
    "hidden_units": 128,
    "width": 0.5,
    "learning_rate": 0.008,
}
RECIPE = dataclasses.replace(MODERN, batch_size=8)


def images(num_images: int = 24, *, seed: int = 0) -> Images:
    """Two classes, dark and bright."""
    rng = np.random.default_rng(seed)
    y = np.arange(num_images) % 2
    x = rng.integers(0, 128, (num_images, 8, 8, 1)) + 127 * y[:, None, None, None]
    return Images(x.astype(np.uint8), y)


def vgg(recipe: Recipe = RECIPE, num_classes: int = 2) -> Any:
    from space.hypermodel import VGGHyperModel

    return VGGHyperModel((8, 8, 1), num_classes, recipe=recipe)


def perceptron(*, loss: Any = "categorical_crossentropy", recipe: Recipe | None = RECIPE) -> Any:
    """Another family than ours, traced in a second: nothing but what Keras Tuner asks for."""
    import keras
    import keras_tuner

    class Perceptron(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            pixels = keras.Input((8, 8, 1))
            x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
            x = keras.layers.Dropout(0.5)(keras.layers.Dense(8, activation="relu")(x))
            model = keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(x))
            rate = hp.Float("rate", 1e-4, 1e-1, default=1e-2)
            model.compile(optimizer=keras.optimizers.SGD(rate), loss=loss, metrics=["accuracy"])
            return model

    hypermodel = Perceptron()
    if recipe is not None:
        hypermodel.recipe = recipe
    return hypermodel


def task(*, hypermodel: Any = None, validation: bool = True, **changes: Any) -> Any:
    """24 images in three steps an epoch, two epochs."""
    from archsearch.task import TrainingData, TrialTask

    values: dict[str, Any] = {
        "trial_id": "trial",
        "values": {"rate": 0.05},
        "hypermodel": hypermodel or perceptron(),
        "dataset": TrainingData(images(), images(6, seed=1) if validation else None, 2, flip=True),
        "epochs": 2,
        "seed": 11,
    }
    return TrialTask(**(values | changes))


def run(on_epoch: Any = None, **changes: Any) -> Any:
    from archsearch.training import run_trial

    return run_trial(task(**changes), on_epoch)


def run_vgg(**changes: Any) -> Any:
    return run(**({"hypermodel": vgg(), "values": TINY} | changes))


def without_seconds(curve: tuple[dict[str, float], ...]) -> list[dict[str, float]]:
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in curve]


# A trial that goes well


@pytest.fixture(scope="module")
def completed(tensorflow: Any) -> Any:
    """Of the built-in space; eight epochs of three steps."""
    return run_vgg(epochs=8)


def test_completed_trial_has_one_entry_an_epoch_with_all_values(completed: Any) -> None:
    assert (completed.status, completed.message) == (Status.COMPLETED, None)
    names = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    assert [set(epoch) for epoch in completed.curve] == [names] * 8
    assert all(type(value) is float for epoch in completed.curve for value in epoch.values())


def test_seconds_of_the_epochs_are_part_of_the_trials(completed: Any) -> None:
    assert 0 < sum(epoch["seconds"] for epoch in completed.curve) <= completed.seconds


def test_peak_memory_is_that_of_a_process_with_tensorflow_in_bytes(completed: Any) -> None:
    assert 100e6 < completed.peak_memory < 1e12


def test_a_trial_learns_to_tell_dark_from_bright(completed: Any) -> None:
    assert completed.curve[-1]["val_accuracy"] == 1.0


def test_rates_in_the_curve_are_those_of_the_last_steps(completed: Any) -> None:
    # 24 steps, of which round(4.8) = 5 warm up: after step 5 the rate falls by 1/19 of the peak per step.
    rates = [epoch["learning_rate"] for epoch in completed.curve]
    shares = [3 / 5, *(left / 19 for left in (19, 16, 13, 10, 7, 4, 1))]
    assert rates == pytest.approx([0.008 * share for share in shares])


def test_the_same_task_gives_the_same_curve_whatever_ran_before(completed: Any) -> None:
    run(seed=12)
    assert without_seconds(run_vgg(epochs=8).curve) == without_seconds(completed.curve)


@pytest.fixture(scope="module")
def quick(tensorflow: Any) -> Any:
    """Of the perceptron; two epochs."""
    return run()


def test_another_seed_gives_another_curve(quick: Any) -> None:
    assert without_seconds(run(seed=12).curve) != without_seconds(quick.curve)


def test_documented_recipe_stays_at_its_rate() -> None:
    recipe = dataclasses.replace(DOCUMENTED, batch_size=8)
    rates = [epoch["learning_rate"] for epoch in run_vgg(hypermodel=vgg(recipe)).curve]
    assert rates == pytest.approx([0.008, 0.008])


def test_each_epoch_is_reported_as_it_ends_counted_from_zero() -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    result = run(on_epoch=lambda epoch, values: seen.append((epoch, dict(values))))
    assert seen == list(enumerate(result.curve))


def test_without_validation_images_the_curve_has_no_validation() -> None:
    result = run(validation=False)
    assert set(result.curve[0]) == {"loss", "accuracy", "learning_rate", "seconds"}


def test_fewer_images_than_a_batch_train() -> None:
    result = run(hypermodel=perceptron(recipe=dataclasses.replace(MODERN, batch_size=128)))
    assert result.status is Status.COMPLETED


def test_values_of_the_task_are_not_changed() -> None:
    values = {"rate": 0.05}
    run(values=values)
    assert values == {"rate": 0.05}


def test_a_hypermodel_without_a_recipe_trains() -> None:
    result = run(hypermodel=perceptron(recipe=None))
    assert (result.status, result.message) == (Status.COMPLETED, None)
    assert [epoch["learning_rate"] for epoch in result.curve] == pytest.approx([0.05, 0.05])


def test_recipe_is_the_hypermodels_or_the_modern_one() -> None:
    from archsearch.task import recipe_of

    other = perceptron(recipe=None)
    assert recipe_of(other, flip=True) is MODERN
    other.recipe = "a user's own idea of a recipe"
    assert recipe_of(other, flip=True) is MODERN
    assert recipe_of(vgg(DOCUMENTED), flip=True) is DOCUMENTED
    assert not recipe_of(vgg(DOCUMENTED), flip=False).flip


def test_a_training_returns_the_model_it_trained() -> None:
    from archsearch.training import Training

    curve: list[Mapping[str, float]] = []
    model = Training(task(), lambda epoch, values: curve.append(values)).run()
    x = images(6, seed=1)
    loss, accuracy = model.evaluate(x.x, np.eye(2)[x.y], verbose=0)
    assert accuracy == pytest.approx(curve[-1]["val_accuracy"])
    assert loss == pytest.approx(curve[-1]["val_loss"], rel=1e-5)


# Epochs of another length


def shorter_after(epochs: int, asked: list[int] | None = None) -> Any:
    """Five steps in each of so many epochs, and then three; takes note of the epochs it was asked before."""

    def steps(curve: Any) -> int:
        if asked is not None:
            asked.append(len(curve))
        return 5 if len(curve) < epochs else 3

    return steps


def forty() -> Any:
    """40 images, five batches."""
    from archsearch.task import TrainingData

    return TrainingData(images(40), images(6, seed=1), 2, flip=True)


def trained_in_steps(steps: Any, **changes: Any) -> tuple[list[dict[str, float]], Any]:
    """Curve and model."""
    from archsearch.training import Training

    curve: list[dict[str, float]] = []
    arguments: dict[str, Any] = {"dataset": forty(), "epochs": 4} | changes
    model = Training(task(**arguments), lambda epoch, values: curve.append(dict(values)), steps).run()
    return curve, model


def test_a_training_whose_steps_change_goes_on_in_its_schedule() -> None:
    """By the share of the epochs that are over, so that the rate ends where it always does.

    Of 4 epochs of 5 steps, 20, round(4.0) = 4 warm up: steps 5 and 10 have 16/16 and 11/16 of the peak. Of
    4 epochs of 3 steps, 12, round(2.4) = 2 do: steps 9 and 12 have 4/10 and 1/10.
    """
    curve, model = trained_in_steps(shorter_after(2), hypermodel=vgg(), values=TINY)
    assert [epoch["steps"] for epoch in curve] == [5, 5, 3, 3]
    rates = [epoch["learning_rate"] for epoch in curve]
    assert rates == pytest.approx([0.008 * share for share in (1, 11 / 16, 4 / 10, 1 / 10)])
    assert int(model.optimizer.iterations) == 5 + 5 + 3 + 3


def test_the_epochs_before_a_change_are_those_of_a_training_without_one() -> None:
    changing, _ = trained_in_steps(shorter_after(2))
    steady, _ = trained_in_steps(lambda curve: 5)
    assert without_seconds(tuple(changing[:2])) == without_seconds(tuple(steady[:2]))
    assert changing[2] != steady[2]


def test_steps_are_not_asked_for_after_the_last_epoch() -> None:
    asked: list[int] = []
    trained_in_steps(shorter_after(2, asked))
    assert set(asked) == {0, 1, 2, 3}


def test_steps_that_do_not_change_are_not_in_the_curve(quick: Any) -> None:
    assert all("steps" not in epoch for epoch in quick.curve)


@pytest.mark.usefixtures("every_epoch")
def test_a_training_whose_steps_change_goes_on_bit_for_bit_after_a_kill(tmp_path: Path) -> None:
    from archsearch.training import Training

    whole, model = trained_in_steps(shorter_after(2))
    for epochs in (1, 2, 3):
        arguments = {"dataset": forty(), "epochs": 4, "resume_folder": tmp_path}
        with pytest.raises(Killed):
            Training(task(**arguments), killed_after(epochs), shorter_after(2)).run()
    curve, resumed = trained_in_steps(shorter_after(2), resume_folder=tmp_path)
    assert without_seconds(tuple(curve)) == without_seconds(tuple(whole))
    for one, other in zip(model.weights, resumed.weights, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))


def spied(*, stops_after: int | None = None, first: bool = False) -> tuple[Any, list[str]]:
    """A perceptron with a callback of its own, which may end the training, and what that was told.

    Args:
        stops_after: Number of an epoch, from 1.
        first: Whether it comes before those that are handed in.
    """
    import keras

    told: list[str] = []

    class Spy(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            told.append("begin")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            told.append(f"epoch {epoch + 1}")
            if epoch + 1 == stops_after:
                self.model.stop_training = True

        def on_train_end(self, logs: Any = None) -> None:
            told.append("end")

    hypermodel = perceptron()
    plain_fit = hypermodel.fit

    def fit(*args: Any, callbacks: Any, **kwargs: Any) -> Any:
        both = [Spy(), *callbacks] if first else [*callbacks, Spy()]
        return plain_fit(*args, callbacks=both, **kwargs)

    hypermodel.fit = fit
    return hypermodel, told


def test_a_callback_of_the_hypermodels_own_begins_anew_with_other_steps_and_ends_once() -> None:
    hypermodel, told = spied()
    trained_in_steps(shorter_after(2), hypermodel=hypermodel)
    assert told == ["begin", "epoch 1", "epoch 2", "begin", "epoch 3", "epoch 4", "end"]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("stops_after", [1, 2, 3])
def test_a_callback_that_ends_the_training_is_heeded_also_where_the_steps_change(
    stops_after: int, first: bool
) -> None:
    hypermodel, told = spied(stops_after=stops_after, first=first)
    curve, _ = trained_in_steps(shorter_after(2), hypermodel=hypermodel)
    assert len(curve) == stops_after
    assert told[-2:] == [f"epoch {stops_after}", "end"]


# A trial that does not


def test_deadline_in_the_past_is_timed_out() -> None:
    result = run(deadline=time.time() - 1)
    assert (result.status, result.curve) == (Status.TIMED_OUT, ())
    assert result.message == "The time of the search was used up."


def test_deadline_that_passes_after_an_epoch_keeps_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    from archsearch import watch

    clock = type("Clock", (), {"time": staticmethod(lambda: now[0]), "perf_counter": time.perf_counter})
    now = [100.0]
    monkeypatch.setattr(watch, "time", clock)
    result = run(on_epoch=lambda epoch, values: now.__setitem__(0, 300.0), deadline=200.0)
    assert result.status is Status.TIMED_OUT
    assert len(result.curve) == 1


def test_deadline_far_away_changes_nothing(quick: Any) -> None:
    result = run(deadline=time.time() + 1e6)
    assert result.status is Status.COMPLETED
    assert without_seconds(result.curve) == without_seconds(quick.curve)


def test_a_network_that_cannot_be_built_fails_with_its_reason() -> None:
    import keras_tuner

    class Exploding(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            raise RuntimeError("no such layer")

    result = run(hypermodel=Exploding())
    assert (result.status, result.curve) == (Status.FAILED, ())
    assert result.message == "RuntimeError: no such layer"
    assert result.traceback.startswith("Traceback (most recent call last):\n")
    assert f'File "{__file__}"' in result.traceback
    assert result.traceback.endswith("RuntimeError: no such layer\n")


def test_a_network_that_cannot_be_trained_fails_with_its_reason() -> None:
    import keras_tuner

    class Stubborn(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return perceptron().build(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            raise ValueError("no fit\nmore of it\n" + "x" * 1000)

    result = run(hypermodel=Stubborn())
    assert (result.status, result.message) == (Status.FAILED, "ValueError: no fit")
    assert "more of it" in result.traceback


def raising(error: BaseException) -> Any:
    """A space whose networks cannot be built."""
    import keras_tuner

    class Raising(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            raise error

    return Raising()


@pytest.mark.parametrize("text", ["x" * 1000, "\n \n" + "x" * 1000 + "\ny"])
def test_the_reason_is_one_line_of_300_characters(text: str) -> None:
    assert run(hypermodel=raising(ValueError(text))).message == "ValueError: " + "x" * 300


def test_an_exception_without_words_is_named() -> None:
    assert run(hypermodel=raising(ZeroDivisionError())).message == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("leaving", "reason"), [(SystemExit(), "SystemExit"), (SystemExit(0), "SystemExit: 0")]
)
def test_a_network_that_leaves_python_fails_with_its_place(leaving: SystemExit, reason: str) -> None:
    result = run(hypermodel=raising(leaving))
    assert (result.status, result.message) == (Status.FAILED, reason)
    assert f'File "{__file__}"' in result.traceback


@pytest.mark.parametrize("kind", ["memory of the machine", "memory of the device"])
def test_a_network_too_large_is_foreseen_and_shows_no_traceback(kind: str) -> None:
    import tensorflow as tf

    error = MemoryError("no room")
    if kind == "memory of the device":
        error = tf.errors.ResourceExhaustedError(None, None, "no room")
    result = run(hypermodel=raising(error))
    assert (result.status, result.traceback) == (Status.FAILED, None)
    assert result.message == f"{type(error).__name__}: no room"


def test_a_file_that_cannot_be_written_is_not_the_networks_fault(tmp_path: Path) -> None:
    full = StorageError(tmp_path / "file", OSError(28, "No space left on device"))
    with pytest.raises(StorageError, match="No space left on device"):
        run(hypermodel=raising(full))


def test_an_error_in_the_graph_fails_the_trial() -> None:
    import tensorflow as tf

    def loss(true: Any, predicted: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_less(predicted, 0.0, message="not below zero")]):
            return tf.reduce_mean(predicted, axis=-1)

    result = run(hypermodel=perceptron(loss=loss))
    assert result.status is Status.FAILED
    assert result.message.startswith("InvalidArgumentError: assertion failed: [not below zero]")
    assert "\n" not in result.message
    assert "in loss" in result.traceback


def test_labels_of_another_width_than_the_network_fail_the_trial() -> None:
    result = run_vgg(hypermodel=vgg(num_classes=3))
    assert result.status is Status.FAILED
    assert result.message.startswith("ValueError: ")


def test_a_loss_that_is_no_number_fails_within_its_epoch() -> None:
    import keras

    nothing = perceptron(loss=lambda true, predicted: keras.ops.mean(predicted, axis=-1) * float("nan"))
    result = run(hypermodel=nothing)
    assert result.status is Status.FAILED
    assert result.message == "Diverged: the loss was nan in epoch 1; a smaller learning rate may help"
    assert result.traceback is None
    assert result.curve == ()


def test_an_infinite_loss_fails() -> None:
    import keras

    # Without a gradient: the weights stay as they are.
    endless = perceptron(loss=lambda true, predicted: keras.ops.mean(0 * predicted, axis=-1) + float("inf"))
    result = run(hypermodel=endless)
    assert result.status is Status.FAILED
    assert "the loss was inf" in result.message


def test_a_training_raises_what_run_trial_turns_into_a_result() -> None:
    from archsearch.training import Training
    from archsearch.watch import DeadlinePassed

    with pytest.raises(DeadlinePassed):
        Training(task(deadline=0.0), lambda epoch, values: None).run()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_interruption_passes_through(interruption: type[BaseException]) -> None:
    def interrupt(epoch: int, values: Any) -> None:
        raise interruption

    with pytest.raises(interruption):
        run(on_epoch=interrupt)


def leave(*_: Any) -> None:
    raise SystemExit(3)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no such signal")
def test_what_the_callers_handler_of_a_signal_raises_passes_through() -> None:
    hypermodel = perceptron()
    hypermodel.fit = lambda *args, **kwargs: signal.raise_signal(signal.SIGUSR1)
    before = signal.signal(signal.SIGUSR1, leave)
    try:
        with pytest.raises(SystemExit):
            run(hypermodel=hypermodel)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_error_of_the_caller_is_not_the_networks() -> None:
    def report(epoch: int, values: Any) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run(on_epoch=report)


def test_a_failed_trial_leaves_no_trace_in_the_next(quick: Any) -> None:
    import keras

    run(hypermodel=perceptron(loss=lambda true, predicted: keras.ops.sum(predicted) * float("nan")))
    assert without_seconds(run().curve) == without_seconds(quick.curve)


def graphs_alive() -> int:
    """Traced functions that this process still holds."""
    import keras

    keras.backend.clear_session()
    gc.collect()
    return sum(type(each).__name__ == "FuncGraph" for each in gc.get_objects())


def test_trials_leave_no_graphs_behind_however_they_end() -> None:
    import keras

    before = graphs_alive()
    assert run().status is Status.COMPLETED
    assert run(deadline=0.0).status is Status.TIMED_OUT
    broken = perceptron(loss=lambda true, predicted: keras.ops.sum(predicted) * float("nan"))
    assert run(hypermodel=broken).status is Status.FAILED
    assert graphs_alive() <= before


def test_every_epoch_of_a_trial_begins_with_its_own_dropout_state() -> None:
    import keras

    states: list[list[int]] = []

    class Spy(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            [state] = [v for v in self.model.variables if "seed_generator_state" in v.path]
            states.append(np.asarray(state).tolist())

    spied = perceptron()
    plain_fit = spied.fit
    spied.fit = lambda *args, callbacks, **kwargs: plain_fit(*args, callbacks=[*callbacks, Spy()], **kwargs)
    for _ in range(2):
        run(hypermodel=spied, epochs=3)
    assert states[:3] == states[3:]
    assert len({tuple(state) for state in states}) == 3


# Going on where an earlier process was killed


@pytest.fixture
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch is worth a file, however short."""
    from archsearch import checkpoints

    monkeypatch.setattr(checkpoints, "WORTH_SAVING", 0.0)
    monkeypatch.setattr(checkpoints, "MAX_SHARE", float("inf"))


class Killed(BaseException):
    """Instead of a kill."""


def killed_after(epochs: int, seen: list[dict[str, float]] | None = None) -> Any:
    """An `on_epoch` that ends the process when so many epochs are completed, and takes note of them."""

    def on_epoch(epoch: int, values: Any) -> None:
        if seen is not None:
            seen.append(dict(values))
        if epoch + 1 == epochs:
            raise Killed

    return on_epoch


def trained(**changes: Any) -> tuple[list[dict[str, float]], list[bytes], Any]:
    """Curve and weights of a training, its optimiser's state included."""
    from archsearch.training import Training

    curve: list[dict[str, float]] = []
    model = Training(task(**changes), lambda epoch, values: curve.append(dict(values))).run()
    variables = (*model.variables, *model.optimizer.variables)
    return without_seconds(tuple(curve)), [np.asarray(each).tobytes() for each in variables], curve


VGG: dict[str, Any] = {"values": TINY, "epochs": 4}
"""With dropout, AdamW, warm-up and decay of the rate, shifts and mirror images."""


@pytest.fixture(scope="module")
def undisturbed(tensorflow: Any) -> Any:
    return trained(hypermodel=vgg(), **VGG)


def test_the_training_that_is_interrupted_below_is_as_random_as_any() -> None:
    assert TINY.get("dropout", 0.5) > 0
    assert (RECIPE.optimizer, RECIPE.momentum > 0) == ("sgd", True)
    assert RECIPE.flip
    assert RECIPE.shift > 0


@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize("epochs", [1, 3])
def test_a_killed_training_goes_on_bit_for_bit(epochs: int, undisturbed: Any, tmp_path: Path) -> None:
    before: list[dict[str, float]] = []
    with pytest.raises(Killed):
        run(on_epoch=killed_after(epochs, before), hypermodel=vgg(), resume_folder=tmp_path, **VGG)
    curve, weights, whole = trained(hypermodel=vgg(), resume_folder=tmp_path, **VGG)
    assert curve == undisturbed[0]
    assert weights == undisturbed[1]
    assert whole[:epochs] == before, "with the seconds they took then: they were not trained again"


@pytest.mark.usefixtures("every_epoch")
def test_killed_at_every_epoch_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    undisturbed = trained(epochs=4)
    for epochs in (1, 2, 3):
        with pytest.raises(Killed):
            run(on_epoch=killed_after(epochs), epochs=4, resume_folder=tmp_path)
    assert trained(epochs=4, resume_folder=tmp_path)[:2] == undisturbed[:2]


@pytest.mark.usefixtures("every_epoch")
def test_epochs_of_an_earlier_process_are_reported_and_not_trained(tmp_path: Path) -> None:
    seen: list[tuple[int, dict[str, float]]] = []

    def on_epoch(epoch: int, values: dict[str, float]) -> None:
        seen.append((epoch, dict(values)))
        if len(seen) == 2:
            raise Killed

    with pytest.raises(Killed):
        run(on_epoch=on_epoch, epochs=4, resume_folder=tmp_path)
    first = list(seen)
    result = run(on_epoch=on_epoch, epochs=4, resume_folder=tmp_path)
    assert seen[2:4] == first, "with the seconds that they took"
    assert [epoch for epoch, _ in seen[2:]] == [0, 1, 2, 3]
    assert result.curve == tuple(values for _, values in seen[2:])
    assert result.seconds >= sum(epoch["seconds"] for epoch in result.curve)


@pytest.mark.usefixtures("every_epoch")
def test_a_training_killed_after_its_last_epoch_trains_nothing_more(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(on_epoch=killed_after(2), resume_folder=tmp_path)
    spied = perceptron()
    spied.fit = None  # to call it would fail
    result = run(hypermodel=spied, resume_folder=tmp_path)
    assert result.status is Status.COMPLETED
    assert without_seconds(result.curve) == without_seconds(run().curve)


@pytest.mark.usefixtures("every_epoch")
def test_the_state_of_another_trial_is_not_taken(quick: Any, tmp_path: Path) -> None:
    for change in ({"seed": 12}, {"values": {"rate": 0.01}}, {"epochs": 3}):
        with pytest.raises(Killed):
            run(on_epoch=killed_after(1), resume_folder=tmp_path, **change)
        assert without_seconds(run(resume_folder=tmp_path).curve) == without_seconds(quick.curve)


@pytest.mark.usefixtures("every_epoch")
def test_a_trial_out_of_time_goes_on_when_there_is_more(quick: Any, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(on_epoch=killed_after(1), resume_folder=tmp_path)
    late = run(deadline=0.0, resume_folder=tmp_path)
    assert (late.status, len(late.curve)) == (Status.TIMED_OUT, 1)
    assert without_seconds(run(resume_folder=tmp_path).curve) == without_seconds(quick.curve)


@pytest.mark.usefixtures("every_epoch")
def test_a_damaged_state_is_refused_by_name_and_costs_no_trial(tmp_path: Path) -> None:
    (tmp_path / "state.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"state\.npz cannot be read .*Remove it"):
        run(resume_folder=tmp_path)


def test_a_training_of_seconds_leaves_no_file(quick: Any, tmp_path: Path) -> None:
    result = run(resume_folder=tmp_path / "resume")
    assert without_seconds(result.curve) == without_seconds(quick.curve)
    assert list(tmp_path.iterdir()) == []


def test_the_identity_of_a_training_is_plain_data() -> None:
    identity = task().identity
    assert json.loads(json.dumps(identity)) == identity
    assert identity["values"] == {"rate": 0.05}
    assert (identity["epochs"], identity["seed"], identity["num_images"]) == (2, 11, 24)
    assert identity["recipe"] == RECIPE.to_dict()


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_networks_compute_in_the_precision_that_was_set(precision: str) -> None:
    """What is cleared between two trials does not take it along; an interrupted one goes on in it."""
    from archsearch import runtime
    from archsearch.training import Training

    with runtime.own_precision():
        runtime.set_precision(precision)
        for _ in range(2):
            training = Training(task(hypermodel=vgg(), **VGG), lambda epoch, values: None)
            model = training.run()
            computed = {layer.compute_dtype for layer in model.layers if "conv" in layer.name}
            assert computed == {precision.removeprefix("mixed_")}


# Classes that weigh alike


def unequal(num_images: int, *, seed: int = 0) -> Images:
    """A quarter of the images is of the second class."""
    one = images(2 * num_images, seed=seed)
    chosen = [
        *np.flatnonzero(one.y == 0)[: 3 * num_images // 4],
        *np.flatnonzero(one.y == 1)[: num_images // 4],
    ]
    return Images(one.x[chosen], one.y[chosen])


def data(**changes: Any) -> Any:
    from archsearch.task import TrainingData

    return TrainingData(unequal(32), unequal(16, seed=1), 2, **{"flip": True, **changes})


@pytest.mark.parametrize("hypermodel", [perceptron, vgg])
def test_the_measures_of_an_epoch_are_those_of_all_predictions_at_once(
    tensorflow: Any, hypermodel: Any
) -> None:
    """From the network's own predictions after the last epoch; the accuracy that Keras reports agrees."""
    from sklearn.metrics import balanced_accuracy_score, f1_score

    from archsearch.training import Training

    curve: list[Any] = []
    values = TINY if hypermodel is vgg else {"rate": 0.05}
    given = task(hypermodel=hypermodel(), values=values, dataset=data(class_measures=True))
    model = Training(given, lambda _, epoch: curve.append(epoch)).run()
    true = given.dataset.validation.y
    predicted = model.predict(given.dataset.validation.x, verbose=0).argmax(axis=1)
    last = curve[-1]
    assert last["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, predicted))
    assert last["val_macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    assert last["val_accuracy"] == pytest.approx((true == predicted).mean())
    assert {*last} >= {"val_balanced_accuracy_error", "val_macro_f1_error", "val_loss", "seconds"}
    assert len(curve) == 2


def test_they_are_left_out_where_nobody_asks_or_nothing_validates(tensorflow: Any) -> None:
    assert "val_macro_f1" not in run(dataset=data()).curve[-1]
    without = dataclasses.replace(data(class_measures=True), validation=None)
    assert "val_macro_f1" not in run(dataset=without).curve[-1]


def test_they_change_nothing_of_the_training(tensorflow: Any) -> None:
    """The further pass over the validation part draws nothing and moves no statistics."""
    plain = run_vgg(dataset=data())
    measured = run_vgg(dataset=data(class_measures=True))
    names = plain.curve[0].keys() - {"seconds"}
    assert [{name: epoch[name] for name in names} for epoch in plain.curve] == [
        {name: epoch[name] for name in names} for epoch in measured.curve
    ]


def test_a_callback_of_the_hypermodel_may_follow_them(tensorflow: Any) -> None:
    import keras

    seen: list[float] = []

    def fit(hp: Any, model: Any, *args: Any, callbacks: Any, **kwargs: Any) -> Any:
        keep = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(logs["val_macro_f1"])
        )
        return model.fit(*args, callbacks=[*callbacks, keep], **kwargs)

    hypermodel = perceptron()
    hypermodel.fit = fit
    result = run(hypermodel=hypermodel, dataset=data(class_measures=True))
    assert seen == [epoch["val_macro_f1"] for epoch in result.curve]


def test_balanced_weights_move_the_loss_and_not_what_is_reported_of_the_validation(tensorflow: Any) -> None:
    """With a rate of next to nothing both train, and validate, the same network."""
    epochs = {
        kind: run(values={"rate": 1e-12}, dataset=data(class_weights=kind), epochs=1).curve[0]
        for kind in ("none", "balanced")
    }
    plain, balanced = epochs["none"], epochs["balanced"]
    assert plain["val_loss"] == pytest.approx(balanced["val_loss"], rel=1e-5)
    assert (plain["accuracy"], plain["val_accuracy"]) == (balanced["accuracy"], balanced["val_accuracy"])
    assert plain["loss"] != pytest.approx(balanced["loss"], rel=1e-3)


def test_with_balanced_weights_a_rare_class_is_no_longer_passed_over(tensorflow: Any) -> None:
    """Where images cannot be told apart, counting says the large class, and balanced weights say neither."""
    import keras
    import keras_tuner

    class Constant(keras_tuner.HyperModel):
        """One probability for all images, learned."""

        recipe = RECIPE

        def build(self, hp: Any) -> Any:
            pixels = keras.Input((8, 8, 1))
            zeros = keras.layers.Rescaling(0.0)(keras.layers.Flatten()(pixels))
            model = keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(zeros))
            model.compile(optimizer=keras.optimizers.SGD(0.5), loss="categorical_crossentropy")
            return model

    shares = {}
    for kind in ("none", "balanced"):
        from archsearch.training import Training

        given = task(hypermodel=Constant(), values={}, dataset=data(class_weights=kind), epochs=60)
        model = Training(given, lambda _, epoch: None).run()
        shares[kind] = float(model.predict(given.dataset.validation.x[:1], verbose=0)[0, 1])
    # The minimum of cross-entropy is the share of the class: by images a quarter, by weight a half.
    assert shares["none"] == pytest.approx(0.25, abs=0.1)
    assert shares["balanced"] == pytest.approx(0.5, abs=0.1)


def test_a_saved_state_of_other_weights_is_not_taken(tensorflow: Any) -> None:
    assert task(dataset=data()).identity != task(dataset=data(class_weights="balanced")).identity


# A `fit` that forgets to pass something on


def forgetful() -> Any:
    """Its `fit` leaves out the callbacks."""

    def fit(hp: Any, model: Any, *args: Any, callbacks: Any, **kwargs: Any) -> Any:
        return model.fit(*args, **kwargs)

    hypermodel = perceptron()
    hypermodel.fit = fit
    return hypermodel


def test_a_fit_that_ignores_callbacks_fails_and_is_told_what_to_do(tensorflow: Any) -> None:
    result = run(hypermodel=forgetful())
    assert (result.status, result.curve) == (Status.FAILED, ())
    assert result.message == "WrongHyperModel: `fit` told of no epoch: pass `callbacks` on to `model.fit`."


def test_nor_is_the_speed_measured_without_them(tensorflow: Any) -> None:
    from archsearch.speed import measure_speed

    with pytest.raises(TypeError, match="`fit` told of no step: pass `callbacks`"):
        measure_speed(forgetful(), {"rate": 0.05}, macs=1, data=data())


# While a network predicts


def test_the_pass_for_the_measures_of_classes_gives_signs_of_life(
    tensorflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 images are one batch: once more in each of two epochs."""
    from archsearch import watch

    counts = []
    for class_measures in (False, True):
        signs: list[None] = []
        monkeypatch.setattr(watch, "signs_of_life", [lambda signs=signs: signs.append(None)])
        run(dataset=data(class_measures=class_measures))
        counts.append(len(signs))
    assert counts == [counts[0], counts[0] + 2]


def test_the_deadline_ends_that_pass_too(tensorflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from archsearch import watch

    clock = SimpleNamespace(now=1.0, perf_counter=time.perf_counter)
    clock.time = lambda: clock.now
    monkeypatch.setattr(watch, "time", clock)

    # Keras's own validation looks at no clock; the pass that follows does.
    monkeypatch.setattr(watch.Watch, "on_test_batch_end", lambda *_, **__: setattr(clock, "now", 3.0))
    result = run(dataset=data(class_measures=True), deadline=2.0)
    assert (result.status, result.curve) == (Status.TIMED_OUT, ())
