"""The state of a training on disk: saved when it is due, found again, and never another's."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch import checkpoints
from archsearch.checkpoints import Checkpoints
from archsearch.errors import UserError

TRAINING = {"values": {"x": 1, "shape": (3, 3)}, "seed": 7, "epochs": 9}
CURVE = ({"loss": 1.5, "val_accuracy": 0.25}, {"loss": 0.1 + 0.2, "val_accuracy": 1 / 3})


def arrays() -> dict[str, Any]:
    return {
        "model_0": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
        "model_1": np.array(5, np.int64),
        "optimizer_0": np.array([1, 2**31], np.uint32),
    }


class Clock:
    """Instead of the module `time`."""

    def __init__(self) -> None:
        self.now = 500.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(checkpoints, "time", clock)
    return clock


def saved(folder: Path, clock: Clock, seconds: float = 10.0, training: Any = TRAINING) -> Path:
    """A checkpoint after so many seconds."""
    one = Checkpoints(folder, training)
    clock.now += seconds
    one.save_if_due(arrays, CURVE)
    return one.path


def test_no_file_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "resume", TRAINING).load() is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path, clock: Clock) -> None:
    saved(tmp_path / "resume", clock, 12.5)
    found = Checkpoints(tmp_path / "resume", TRAINING).load()
    assert found is not None
    assert found.curve == CURVE
    assert found.seconds == 12.5
    assert found.arrays.keys() == arrays().keys()
    for name, array in arrays().items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes()


def test_seconds_add_up_over_processes(tmp_path: Path, clock: Clock) -> None:
    saved(tmp_path, clock, 12.5)
    clock.now += 1000  # nothing ran
    again = Checkpoints(tmp_path, TRAINING)
    assert again.load() is not None
    clock.now += 20
    again.save_if_due(arrays, CURVE)
    found = Checkpoints(tmp_path, TRAINING).load()
    assert found is not None
    assert found.seconds == 32.5


@pytest.mark.parametrize("change", [{"seed": 8}, {"epochs": 27}, {"values": {"x": 2}}, {"more": 1}])
def test_the_state_of_another_training_is_not_taken(
    change: dict[str, Any], tmp_path: Path, clock: Clock
) -> None:
    path = saved(tmp_path, clock)
    other = Checkpoints(tmp_path, TRAINING | change)
    assert other.load() is None
    assert path.exists()
    # Nor are its seconds.
    clock.now += 15
    other.save_if_due(arrays, CURVE)
    found = Checkpoints(tmp_path, TRAINING | change).load()
    assert found is not None
    assert found.seconds == 15


# Due.


@pytest.mark.parametrize(("seconds", "due"), [(9.9, False), (10.0, True)])
def test_ten_seconds_of_training_are_worth_a_file(
    seconds: float, due: bool, tmp_path: Path, clock: Clock
) -> None:
    path = saved(tmp_path / "resume", clock, seconds)
    assert path.exists() is due
    assert (tmp_path / "resume").exists() is due


def test_the_state_is_asked_for_only_when_it_is_saved(tmp_path: Path, clock: Clock) -> None:
    def never() -> dict[str, Any]:
        raise AssertionError

    Checkpoints(tmp_path, TRAINING).save_if_due(never, CURVE)


def test_ten_seconds_count_from_the_last_file(tmp_path: Path, clock: Clock) -> None:
    asked = []

    def state() -> dict[str, Any]:
        asked.append(clock.now - 500)
        return arrays()

    one = Checkpoints(tmp_path, TRAINING)
    for _ in range(10):
        clock.now += 4
        one.save_if_due(state, CURVE)
    assert asked == [12, 24, 36]


def test_saving_takes_a_twentieth_of_the_time_at_most(tmp_path: Path, clock: Clock) -> None:
    """A file that takes 3 seconds is due after 60 more."""
    asked = []

    def state() -> dict[str, Any]:
        asked.append(clock.now - 500)
        clock.now += 3
        return arrays()

    one = Checkpoints(tmp_path, TRAINING)
    for _ in range(10):
        clock.now += 11
        one.save_if_due(state, CURVE)
    assert asked == [11, 11 + 3 + 66]


# Damage.


def without(member: str, path: Path) -> bytes:
    """The same file, one member left out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            if name != member:
                new.writestr(name, old.read(name))
    return buffer.getvalue()


@pytest.mark.parametrize("damage", ["empty", "text", "half", "no state", "no JSON", "state without curve"])
def test_a_damaged_file_is_refused_by_name(damage: str, tmp_path: Path, clock: Clock) -> None:
    path = saved(tmp_path, clock)
    if damage == "no JSON":
        np.savez(path, state=np.array("{"))
    elif damage == "state without curve":
        np.savez(path, state=np.array(json.dumps({"training": {}, "seconds": 1})))
    else:
        data = path.read_bytes()
        path.write_bytes(
            {
                "empty": b"",
                "text": b"not a zip",
                "half": data[: len(data) // 2],
                "no state": without("state.npy", path),
            }[damage]
        )
    with pytest.raises(
        UserError, match=rf"{path} cannot be read .*Remove it: its training then starts afresh"
    ):
        Checkpoints(tmp_path, TRAINING).load()


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, clock: Clock) -> None:
    path = saved(tmp_path, clock)
    np.savez(path, state=np.array([{}], object), allow_pickle=True)
    with pytest.raises(UserError, match=r"state\.npz cannot be read"):
        Checkpoints(tmp_path, TRAINING).load()


# Kills.


class Killed(BaseException):
    """Instead of a kill, from which nothing is caught either."""


def test_a_kill_while_it_is_saved_leaves_the_state_before(tmp_path: Path, clock: Clock) -> None:
    path = saved(tmp_path, clock)
    before = path.read_bytes()
    one = Checkpoints(tmp_path, TRAINING)
    assert one.load() is not None
    clock.now += 10

    def half() -> dict[str, Any]:
        raise Killed

    with pytest.raises(Killed):
        one.save_if_due(half, CURVE)
    assert path.read_bytes() == before
    clock.now += 10
    one.save_if_due(arrays, CURVE[:1])
    found = Checkpoints(tmp_path, TRAINING).load()
    assert found is not None
    assert found.curve == CURVE[:1]
    assert [each.name for each in tmp_path.iterdir()] == ["state.npz"]


def test_what_a_kill_left_of_a_new_file_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / ".state.npz.unfinished").write_bytes(b"PK half")
    assert Checkpoints(tmp_path, TRAINING).load() is None


# Keras.


def model(units: int = 3, *, seed: int = 0) -> Any:
    """Weights, moving statistics, dropout's state, and an optimiser with two slots a weight."""
    import keras

    keras.utils.set_random_seed(seed)
    pixels = keras.Input((4,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(units)(pixels))
    x = keras.layers.Dropout(0.5)(x)
    made = keras.Model(pixels, keras.layers.Dense(2)(x))
    made.compile(optimizer=keras.optimizers.AdamW(0.01), loss="mse")
    return made


def step(made: Any, number: int = 0) -> None:
    rng = np.random.default_rng(number)
    made.train_on_batch(rng.normal(size=(8, 4)).astype(np.float32), rng.normal(size=(8, 2)))


def weights(made: Any) -> list[bytes]:
    return [np.asarray(each).tobytes() for each in (*made.variables, *made.optimizer.variables)]


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_all_variables_of_a_model_and_its_optimiser_are_taken() -> None:
    """Two dense layers of 2, a normalisation of 4, dropout's state; the optimiser's steps and rate, and two
    moments of each of the 6 that are trained."""
    from archsearch.checkpoints import variables_of

    made = model()
    step(made)
    names = set(variables_of(made))
    assert {name for name in names if name.startswith("model_")} == {f"model_{n}" for n in range(9)}
    assert {name for name in names if name.startswith("optimizer_")} == {
        f"optimizer_{n}" for n in range(2 + 2 * 6)
    }


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_a_restored_model_goes_on_as_the_first_did() -> None:
    from archsearch.checkpoints import restore, variables_of

    first, second = model(), model(seed=1)
    step(first)
    state = variables_of(first)
    assert restore(second, state)
    assert weights(second) == weights(first)
    step(first, 1)
    step(second, 1)
    assert weights(second) == weights(first)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_taken_variables_do_not_change_with_the_model() -> None:
    from archsearch.checkpoints import variables_of

    made = model()
    state = variables_of(made)
    before = {name: array.tobytes() for name, array in state.items()}
    step(made)
    assert {name: array.tobytes() for name, array in state.items()} == before


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("change", ["units", "one less", "one more", "shape"])
def test_arrays_that_do_not_fit_change_nothing(change: str) -> None:
    from archsearch.checkpoints import restore, variables_of

    made = model()
    state = variables_of(model(5 if change == "units" else 3, seed=1))
    if change == "one less":
        del state["optimizer_13"]
    elif change == "one more":
        state["optimizer_14"] = np.zeros(3)
    elif change == "shape":
        state["model_0"] = state["model_0"].T
    before = weights(made)
    assert not restore(made, state)
    assert weights(made)[: len(made.variables)] == before[: len(made.variables)]


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_the_state_of_a_model_comes_back_through_the_file(tmp_path: Path, clock: Clock) -> None:
    from archsearch.checkpoints import restore, variables_of

    made = model()
    step(made)
    one = Checkpoints(tmp_path, TRAINING)
    clock.now += 10
    one.save_if_due(lambda: variables_of(made), CURVE)
    found = Checkpoints(tmp_path, TRAINING).load()
    assert found is not None
    again = model(seed=1)
    assert restore(again, found.arrays)
    assert weights(again) == weights(made)
