"""Exported files: each read back by its runtime, compared, measured; and what is said when one is wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from archsearch import cli
from archsearch.errors import StorageError, UserError
from archsearch.exporting.checking import predictions
from archsearch.exporting.formats import FORMATS
from archsearch.exporting.records import Exported, forget, read_exports, record
from tests.exporting import final_folders

HAS_ONNX = all(importlib.util.find_spec(name) for name in FORMATS["onnx"].packages)

# Both orders of pooling, the stem, and a flatten whose size a converter has to know.
VALUES = {"num_blocks": 2, "block_0/convs": 2, "block_1/convs": 1, "filters": 16}
NETWORKS = {
    "plain": {**VALUES, "pool": "last", "head": "flatten", "fast_start": False},
    "fast": {**VALUES, "pool": "first", "head": "linear", "fast_start": True},
}
SHAPE = (16, 12, 3)


def save_data(path: Path) -> Path:
    """Images in three classes, of which the last has none in the test part."""
    arrays = {}
    for part, number in (("train", 60), ("test", 70)):
        arrays[f"x_{part}"] = final_folders.pixels(number, SHAPE)
        arrays[f"y_{part}"] = np.arange(number) % 3
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_data(tmp_path_factory.mktemp("data") / "data.npz")


def described(data: Path, model: Any) -> dict[str, Any]:
    """What result.json says of the images and the test."""
    from archsearch.dataset import load

    splits = load(str(data), seed=0)
    test = splits.read_test()
    predicted = model.predict(test.x, verbose=0).argmax(axis=1)
    return {"hash": splits.content_hash, "accuracy": float(np.mean(predicted == test.y))}


@pytest.fixture(scope="module")
def logs(tensorflow: Any, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for each of `NETWORKS`, with its final training."""
    logs = tmp_path_factory.mktemp("logs")
    for name, values in NETWORKS.items():
        folder = logs / name / "final" / "best"
        model = final_folders.leave(folder, values, SHAPE)
        result = json.loads((folder / "result.json").read_text())
        known = described(data, model)
        result["test_accuracy"] = known["accuracy"]
        result["dataset"] |= {"name": str(data), "content_hash": known["hash"]}
        (folder / "result.json").write_text(json.dumps(result))
    return logs


def export(logs: Path, run: str, formats: str, *flags: str) -> int:
    return cli.export([run, "--format", formats, "--logs", str(logs), *flags], "archsearch export")


@pytest.fixture
def copied(logs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(logs, tmp_path / "logs"))


@pytest.mark.tensorflow
@pytest.mark.parametrize("run", NETWORKS)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name == "onnx" and not HAS_ONNX, reason="tf2onnx, onnx, onnxruntime: pip install '.[onnx]'"
            ),
        )
        for name in FORMATS
    ],
)
def test_each_format_predicts_as_keras_does_for_any_number_of_images(
    logs: Path, run: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = logs / run / "final" / "best"
    status = export(logs, run, name)
    output = capsys.readouterr()
    (exported,) = (each for each in read_exports(folder) if each.format == name)
    result = json.loads((folder / "result.json").read_text())
    assert (status, exported.problem) == (0, ""), output.err
    assert exported.max_difference is not None
    assert exported.num_images == 70, "one batch of 64, and one of 6"
    assert exported.images.startswith("the 70 test images of ")
    if name == "litert-int8":
        assert exported.max_difference > 0, "rounded weights"
    else:
        assert exported.max_difference < 1e-5
        assert exported.same_class == 1
        assert exported.accuracy == result["test_accuracy"]
    path = folder / exported.file
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    assert exported.size == sum(each.stat().st_size for each in files)
    assert min(exported.single_seconds or 0, exported.batch_seconds or 0) > 0
    assert f"{name} " in output.out
    assert exported.runtime in output.out
    assert max(len(line) for line in output.out.splitlines() if line.startswith(name)) <= 80


@pytest.mark.tensorflow
def test_networks_are_compared_in_full_single_precision(tensorflow: Any) -> None:
    """A GPU that computes in TF32, its default, differs from other runtimes by more than they are allowed."""
    enabled = tensorflow.config.experimental.tensor_float_32_execution_enabled
    inside = []

    def predict(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        inside.append(enabled())
        return np.zeros((len(x), 2), np.float32)

    assert enabled()
    assert predictions(predict, np.zeros((70, *SHAPE), np.uint8)).shape == (70, 2)
    assert (inside, enabled()) == ([False, False], True)
    with pytest.raises(ValueError, match="need at least one array"):
        predictions(predict, np.zeros((0, *SHAPE), np.uint8))
    assert enabled()


@pytest.mark.tensorflow
def test_int8_is_small(logs: Path) -> None:
    assert export(logs, "plain", "litert,litert-int8") == 0
    sizes = {each.format: each.size for each in read_exports(logs / "plain" / "final" / "best")}
    assert sizes["litert-int8"] < sizes["litert"] / 2


@pytest.mark.tensorflow
def test_the_script_is_written_beside_the_files(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is exported is named if it is not the incumbent's network."""
    monkeypatch.setattr("archsearch.exporting.export.doubt", lambda run: f"{run.path.name} has another one.")
    assert export(copied, "fast", "keras") == 0
    assert "fast has another one." in capsys.readouterr().err
    assert "whitening" in (copied / "fast" / "final" / "best" / "model.py").read_text()


@pytest.mark.tensorflow
def test_a_second_export_replaces_the_first_and_keeps_the_others(copied: Path) -> None:
    folder = copied / "plain" / "final" / "best"
    shutil.rmtree(folder / "savedmodel", ignore_errors=True)
    (folder / "export.json").unlink(missing_ok=True)
    assert export(copied, "plain", "keras,savedmodel") == 0
    (folder / "savedmodel" / "stray").touch()
    first = read_exports(folder)
    assert export(copied, "plain", "savedmodel") == 0
    second = read_exports(folder)
    assert [each.format for each in second] == ["keras", "savedmodel"]
    assert second[0] == first[0]
    assert not (folder / "savedmodel" / "stray").exists()
    assert [path.name for path in folder.iterdir() if "unfinished" in path.name] == []


@pytest.mark.tensorflow
def test_a_file_that_differs_fails_and_says_by_how_much(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from archsearch.exporting import checking

    def strange(*arguments: Any) -> Any:
        runtime, predict = load(*arguments)
        return runtime, lambda x: predict(x) + np.float32(0.25)

    load = checking.load
    monkeypatch.setattr(checking, "load", strange)
    assert export(copied, "plain", "savedmodel") == 1
    assert "error: savedmodel: a probability differs from Keras's by 0.25, more than 0.0001." in (
        capsys.readouterr().err
    )
    (exported,) = (
        each for each in read_exports(copied / "plain" / "final" / "best") if each.format == "savedmodel"
    )
    assert exported.problem


@pytest.mark.tensorflow
def test_a_converter_that_fails_keeps_none_of_the_others_from_working(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from archsearch.exporting import convert

    def fail(*_: Any) -> None:
        raise RuntimeError("no such\n operation")

    folder = copied / "plain" / "final" / "best"
    monkeypatch.setitem(convert._WRITERS, "savedmodel", fail)
    (folder / "savedmodel").mkdir(exist_ok=True)
    (folder / "savedmodel" / "earlier").touch()
    assert export(copied, "plain", "savedmodel,litert") == 1
    output = capsys.readouterr()
    assert "error: savedmodel: RuntimeError: no such operation." in output.err
    assert "litert " in output.out
    assert (folder / "savedmodel" / "earlier").exists()


@pytest.mark.tensorflow
def test_a_model_that_is_not_the_one_tested_is_found_out(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "plain" / "final" / "best" / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"test_accuracy": result["test_accuracy"] + 0.1}))
    assert export(copied, "plain", "keras") == 1
    assert "in result.json." in capsys.readouterr().err


@pytest.mark.tensorflow
def test_without_its_images_random_ones_are_compared_and_that_is_said(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "plain" / "final" / "best" / "result.json"
    result = json.loads(path.read_text())
    result["dataset"]["name"] = "arrays"
    path.write_text(json.dumps(result))
    assert export(copied, "plain", "litert,litert-int8") == 1
    output = capsys.readouterr()
    assert "256 images of random pixels, for there are no others: it was trained on arrays" in output.out
    assert "error: litert-int8: int8 needs training images" in output.err
    exported = read_exports(path.parent)
    (litert,) = (each for each in exported if each.format == "litert")
    assert (litert.accuracy, litert.problem, litert.num_images) == (None, "", 256)


@pytest.mark.tensorflow
def test_other_images_are_refused_where_they_are_named(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.npz"
    np.savez(
        other,
        x_train=final_folders.pixels(61, SHAPE),
        y_train=np.arange(61) % 3,
        x_test=final_folders.pixels(9, SHAPE),
        y_test=np.arange(9) % 3,
    )
    assert export(copied, "plain", "keras", "--dataset", str(other)) == 1
    assert "other.npz are not those that it was trained on" in capsys.readouterr().err


@pytest.mark.tensorflow
def test_half_precision_is_exported_in_full(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a GPU trained with mixed precision; CPUs are slow at it, not wrong."""
    import keras

    from archsearch.model_file import save_model

    folder = copied / "plain" / "final" / "best"
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        _, model = final_folders.a_network(NETWORKS["plain"], SHAPE)
        save_model(model, folder / "model.keras", ("cat", "dog", "bird"))
        assert export(copied, "plain", "litert") == 0, capsys.readouterr().err
    finally:
        keras.config.set_dtype_policy("float32")
    assert (folder / "model.py").exists()
    (litert,) = (each for each in read_exports(folder) if each.format == "litert")
    assert litert.max_difference is not None
    assert litert.max_difference < 1e-5


@pytest.mark.tensorflow
def test_there_is_no_script_of_a_network_that_is_not_as_described(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hypermodel of the user's own may hand out an `Architecture` and build something else."""
    folder = copied / "plain" / "final" / "best"
    result = json.loads((folder / "result.json").read_text())
    result["architecture"]["leaky_relu_slope"] = 0.01
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "model.py").write_text("of an earlier version")
    assert export(copied, "plain", "keras") == 0
    assert "There is no model.py: what the built-in space would make" in capsys.readouterr().err
    assert not (folder / "model.py").exists()


@pytest.mark.tensorflow
def test_a_damaged_model_is_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "plain" / "final" / "best" / "model.keras"
    path.write_bytes(path.read_bytes()[:1000])
    assert export(copied, "plain", "keras") == 1
    assert f"error: {path} cannot be loaded as a Keras model: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "command"),
    [
        ((), "python final_train.py --best --run mine --logs {logs}"),
        (("--trial", "b0-r0-s1"), "python final_train.py --run mine --trial b0-r0-s1 --logs {logs}"),
        (("--documented",), "python final_train.py --run mine --documented --logs {logs}"),
    ],
)
def test_before_a_final_training_the_command_that_makes_one_is_named(
    tmp_path: Path, flags: tuple[str, ...], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path, "mine", "keras", *flags) == 1
    assert f"Run `{command.format(logs=tmp_path)}` first." in capsys.readouterr().err


# export.json


def exported(name: str, **changes: Any) -> Exported:
    return dataclasses.replace(Exported(name, FORMATS[name].file), **changes)


def test_records_come_back_in_the_order_of_the_formats(tmp_path: Path) -> None:
    for name in ("litert", "keras", "onnx"):
        record(tmp_path, exported(name, size=5, accuracy=0.5))
    record(tmp_path, exported("keras", size=6))
    assert [(each.format, each.size) for each in read_exports(tmp_path)] == [
        ("keras", 6),
        ("onnx", 5),
        ("litert", 5),
    ]


def test_a_forgotten_record_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    for name in ("keras", "onnx"):
        record(tmp_path, exported(name, size=5))
    forget(tmp_path, "onnx")
    assert [each.format for each in read_exports(tmp_path)] == ["keras"]


@pytest.mark.tensorflow
def test_a_kill_while_a_file_is_replaced_leaves_no_record_of_the_old_one(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch.exporting import export as module

    folder = copied / "plain" / "final" / "best"
    record(folder, exported("litert", size=5))

    def killed(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(module, "write", killed)
    with pytest.raises(SystemExit):
        export(copied, "plain", "litert")
    assert "litert" not in {each.format for each in read_exports(folder)}


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "interrupt", [KeyboardInterrupt, StorageError(Path("model.py"), OSError(28, "full"))]
)
def test_whatever_ends_an_export_the_training_is_complete_and_the_command_goes_on_from_there(
    copied: Path, interrupt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch.exporting import export as module

    def fail(*_: Any) -> None:
        raise interrupt

    monkeypatch.setattr(module, "write_script", fail)
    expected = KeyboardInterrupt if interrupt is KeyboardInterrupt else UserError
    with pytest.raises(expected) as raised:
        module.take_away(copied / "plain" / "final" / "best", ("onnx",), None, verbose=False)  # type: ignore[arg-type]
    told = f"he training is complete. Continue: archsearch export plain --logs {copied} --format onnx"
    assert told in str(raised.value)
    assert "same command" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_shape", "8); raise SystemExit('taken'); ("),
        ("image_shape", [16, 12, "3"]),
        ("image_shape", None),
        ("name", 3),
        ("content_hash", None),
    ],
)
def test_a_result_that_is_none_of_ours_is_one_sentence(
    tmp_path: Path, name: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine" / "final" / "best"
    folder.mkdir(parents=True)
    dataset = {"image_shape": [16, 12, 3], "name": "arrays", "content_hash": ""} | {name: value}
    (folder / "result.json").write_text(json.dumps({"dataset": dataset, "test_accuracy": 0.5}))
    assert export(tmp_path, "mine", "keras") == 1
    assert "result.json is not one of our files" in capsys.readouterr().err


@pytest.mark.tensorflow
def test_values_that_are_code_are_not_run(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copied / "plain" / "final" / "best"
    result = json.loads((folder / "result.json").read_text())
    result["architecture"]["filters"] = ["16); raise SystemExit('taken'); ("] * 2
    (folder / "result.json").write_text(json.dumps(result))
    assert export(copied, "plain", "keras") == 0
    assert "There is no model.py: only networks of the built-in space" in capsys.readouterr().err
    assert not (folder / "model.py").exists()


@pytest.mark.parametrize("trial_id", ["../../elsewhere", "a/b"])
def test_a_trial_id_does_not_lead_out_of_the_run(
    tmp_path: Path, trial_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path, "mine", "keras", "--trial", trial_id) == 1
    captured = capsys.readouterr().err
    assert "is no id of a trial" in captured


@pytest.mark.parametrize("text", ["", "{}", '{"exports": [{"format": 3}]}', '{"exports": 3}', "[]"])
def test_a_damaged_record_counts_as_none_and_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "export.json").write_text(text)
    assert read_exports(tmp_path) == []
    record(tmp_path, exported("onnx"))
    assert read_exports(tmp_path) == [exported("onnx")]


# What is a problem.


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("name", "difference", "accuracy", "half_precision", "problem"),
    [
        ("onnx", 1e-4, 0.5, False, ""),
        ("onnx", 2e-4, 0.5, False, "a probability differs from Keras's by 0.0002, more than 0.0001"),
        ("onnx", float("nan"), 0.5, False, "a probability differs from Keras's by nan, more than 0.0001"),
        ("keras", 0.01, 0.5, True, ""),
        ("onnx", 0.01, 0.5, True, "a probability differs from Keras's by 0.01, more than 0.0001"),
        ("litert-int8", 0.4, 0.46, False, ""),
        ("litert-int8", 0.0, 0.44, False, "it loses 6.0 points of accuracy, more than 5"),
    ],
)
def test_a_problem_is_what_goes_beyond_the_tolerance(
    tensorflow: Any, name: str, difference: float, accuracy: float, half_precision: bool, problem: str
) -> None:
    from archsearch.exporting.checking import Reference, problem_of
    from archsearch.exporting.images import Comparison

    right = np.eye(2, dtype=np.float32)[[0] * 50 + [1] * 50]
    y = np.zeros(100, np.int64)  # half of them right
    comparison = Comparison(np.zeros((100, 8, 8, 3), np.uint8), y, "", None)
    reference = Reference(comparison, right, half_precision, tested=0.5)
    assert problem_of(FORMATS[name], reference, difference, 1.0, accuracy) == problem


@pytest.mark.tensorflow
@pytest.mark.parametrize("accuracy", [0.5, None])
def test_int8_has_to_give_most_images_the_same_class(tensorflow: Any, accuracy: float | None) -> None:
    from archsearch.exporting.checking import Reference, problem_of
    from archsearch.exporting.images import Comparison

    y = np.zeros(2, np.int64)
    comparison = Comparison(np.zeros((2, 8, 8, 3), np.uint8), None if accuracy is None else y, "", None)
    reference = Reference(comparison, np.eye(2, dtype=np.float32), False, tested=0.5)
    assert problem_of(FORMATS["litert-int8"], reference, 0.4, 0.8, accuracy) == ""
    sentence = "only 79.0% of the images get the class that Keras gives them"
    assert problem_of(FORMATS["litert-int8"], reference, 0.4, 0.79, accuracy) == sentence
