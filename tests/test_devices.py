"""A final training on several devices: what it changes, and that it comes to what one device comes to."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from archsearch import devices
from archsearch.dataset import Images
from archsearch.errors import UserError
from archsearch.final_result import _network, summary
from archsearch.lineage import is_of
from archsearch.task import TrainingData, TrialTask
from space.recipe import MODERN
from tests.records import trial

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

ROOT = Path(__file__).resolve().parent.parent


def a_task(hypermodel: Any, *, num_train: int, num_validation: int = 10, **values: Any) -> TrialTask:
    def images(number: int) -> Images:
        return Images(np.zeros((number, 8, 8, 1), np.uint8), np.zeros(number, np.int64))

    validation = images(num_validation) if num_validation else None
    data = TrainingData(images(num_train), validation, 10, flip=True)
    return TrialTask("best", values, hypermodel, data, epochs=50, seed=0)


def built_in() -> Any:
    from space.hypermodel import VGGHyperModel

    return VGGHyperModel((8, 8, 1), 10, recipe=MODERN, batch_norm="fused")


# MODERN has batches of 256 at a rate of 0.3.


def test_batch_and_learning_rate_grow_with_the_devices() -> None:
    task = a_task(built_in(), num_train=5000, learning_rate=0.2)
    shared = devices.shared(task, 4)
    recipe = shared.hypermodel.recipe
    assert recipe == dataclasses.replace(MODERN, batch_size=1024, learning_rate=1.2)
    assert shared.values == {"learning_rate": pytest.approx(0.8)}
    assert shared.hypermodel.batch_norm == "synchronized"
    kept = task.hypermodel
    assert (kept.recipe, kept.batch_norm) == (MODERN, "fused"), "which others hold, too"


def test_the_result_has_the_values_that_were_found() -> None:
    """By them the report knows of which search it is; the rate that was trained at stands beside them."""
    found = trial("x", hyperparameters={"learning_rate": 0.2, "width": 1.0})
    shared = devices.shared(a_task(built_in(), num_train=5000, learning_rate=0.2, width=2.0), 4)
    trained: Any = SimpleNamespace(
        final=SimpleNamespace(task=shared),
        record=found,
        splits=SimpleNamespace(flip=True),
        model=SimpleNamespace(count_params=lambda: 10),
    )
    result = _network(trained)
    assert result["hyperparameters"] == {"learning_rate": 0.2, "width": 2.0}
    assert is_of(result, [found], {})


def test_one_device_is_the_usual_training() -> None:
    task = a_task(built_in(), num_train=5000, learning_rate=0.2)
    assert devices.shared(task, 1) is task
    assert devices.strategy_for(1) is None
    [note] = devices.notes(task, 1, num_validation=10)
    assert "one device" in note


def test_few_images_make_a_smaller_batch_that_divides_evenly() -> None:
    shared = devices.shared(a_task(built_in(), num_train=1002, num_validation=11), 4)
    assert shared.hypermodel.recipe.batch_size == 1000
    assert shared.hypermodel.recipe.learning_rate == pytest.approx(0.3 * 1000 / 256)
    assert len(shared.dataset.validation or ()) == 8
    *_, last = devices.notes(shared, 4, num_validation=11)
    assert last == "not validated on, for the devices have equal shares: 3 of 11 images"
    assert len(shared.dataset.train) == 1002


def test_all_data_leaves_no_validation_to_share() -> None:
    assert devices.shared(a_task(built_in(), num_train=1002, num_validation=0), 4).dataset.validation is None


@pytest.mark.parametrize(("num_train", "num_validation"), [(3, 10), (10, 3)])
def test_fewer_images_than_devices_are_refused(num_train: int, num_validation: int) -> None:
    task = a_task(built_in(), num_train=num_train, num_validation=num_validation)
    with pytest.raises(UserError, match="fewer images than the 4 devices: give --devices one"):
        devices.shared(task, 4)


def test_a_network_of_the_users_own_keeps_its_rate_and_is_told_so() -> None:
    own = SimpleNamespace(batch_norm=False, synchronized="no")
    task = a_task(own, num_train=5000, learning_rate=0.2)
    shared = devices.shared(task, 2)
    assert shared.hypermodel.recipe.batch_size == 512
    assert shared.values == {"learning_rate": 0.2}
    assert (shared.hypermodel.batch_norm, shared.hypermodel.synchronized) == (False, "no")
    first, second = devices.notes(shared, 2, num_validation=10)
    assert first == "2 devices share batches of 512 images"
    assert "your own network" in second


def test_a_machine_with_fewer_devices_than_it_was_begun_on_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "device_names", lambda: ["GPU:0"])
    with pytest.raises(UserError, match=r"begun on 2 devices, and this machine has 1\. Continue it where"):
        devices.strategy_for(2)


def test_an_unknown_choice_of_devices_is_refused(tmp_path: Path) -> None:
    import archsearch

    with pytest.raises(UserError, match="--devices must be one of one, all; got 'two'"):
        archsearch.final_train("documented", logs=tmp_path, devices="two")


# On two devices into which TensorFlow splits the processor.


def on_two_devices(what: str, folder: Path) -> Any:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.on_two_devices", what, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def equality(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return on_two_devices("equality", tmp_path_factory.mktemp("equality"))


@pytest.mark.end_to_end
def test_two_devices_come_to_the_weights_of_one_with_the_same_batches(equality: Any) -> None:
    """Six steps with weight decay, class weights and long steps of the offsets. Sums in another order differ
    in the last bits of float32: measured 2e-6."""
    assert equality["weights_differ"] < 1e-4 < equality["largest_weight"]


@pytest.mark.end_to_end
def test_every_device_has_the_same_variables(equality: Any) -> None:
    assert equality["devices_differ"] == 0.0


@pytest.mark.end_to_end
def test_two_devices_report_what_one_reports(equality: Any) -> None:
    two, one = equality["curves"]
    assert len(two) == len(one) == 3
    for ours, theirs in zip(two, one, strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-4), name
        assert ours["val_balanced_accuracy"] == pytest.approx(ours["val_accuracy"])


@pytest.mark.end_to_end
def test_every_device_drops_other_units_and_the_first_those_of_a_single_one(equality: Any) -> None:
    (first, second), (single,) = equality["seeds"]
    assert first == single
    assert second != first


@pytest.fixture(scope="module")
def final(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return on_two_devices("final", tmp_path_factory.mktemp("final"))


@pytest.mark.end_to_end
def test_the_result_says_on_what_it_was_trained(final: Any) -> None:
    """36 training images, of which each device takes 18 at a time."""
    result = final["continued"]
    told = {name: result[name] for name in ("devices", "batch_size", "precision", "epochs")}
    assert told == {"devices": 2, "batch_size": 36, "precision": "mixed_bfloat16", "epochs": 3}
    assert result["learning_rate"] == pytest.approx(0.001), "Adam's, as the network has it"
    assert "test_accuracy_tta" in result
    assert "2 devices, batches of 36 images, learning rate up to 0.001" in summary(result)


@pytest.mark.end_to_end
def test_an_interrupted_one_goes_on_on_its_devices_bit_for_bit(final: Any) -> None:
    assert max(final["weights_differ"]) == 0.0
    assert final["continued"]["test_loss"] == final["undisturbed"]["test_loss"]


@pytest.mark.end_to_end
def test_an_interrupted_one_is_not_continued_on_other_devices(final: Any) -> None:
    on_one, elsewhere = final["refusals"]
    assert "devices: stored 2, now 1" in on_one
    assert "begun on 2 devices, and this machine has 1" in elsewhere


@pytest.mark.end_to_end
def test_two_devices_keep_to_a_time_and_take_all_data(final: Any) -> None:
    timed = final["timed"]
    assert (timed["devices"], timed["max_seconds"], timed["all_data"]) == (2, 9.0, True)
    assert (timed["num_train"], timed["batch_size"]) == (40, 40)
