"""`model.py` where this project cannot be imported: the same layers, the same predictions."""

from __future__ import annotations

import ast
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from space.architecture import Architecture
from space.recipe import DOCUMENTED, MODERN
from space.script import script
from tests.exporting import final_folders

ROOT = Path(__file__).resolve().parents[1]

SMALL = {"num_blocks": 2, "block_0/convs": 2, "block_1/convs": 1, "filters": 16}


NETWORKS = [
    {**SMALL, "pool": pool, "head": head, "fast_start": fast_start, "leaky_relu_slope": 0.123}
    for pool, head, fast_start in itertools.product(
        ("last", "first"), ("flatten", "global_pool", "linear"), (False, True)
    )
]


def name_of(values: dict[str, Any]) -> str:
    return f"{values['pool']}-{values['head']}-{'fast' if values['fast_start'] else 'plain'}"


NAMES = [name_of(values) for values in NETWORKS]

# Run isolated (-I), with everything that could find the project taken away and its names refused.
ELSEWHERE = """
import importlib, importlib.util, os, pathlib, runpy, sys
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
project, *folders = sys.argv[1:]

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("archsearch", "space"):
            raise ImportError(f"{name} is not to be had")

sys.path = [each for each in sys.path if each != project]
sys.meta_path = [Refuse(), *(each for each in sys.meta_path if "editable" not in repr(each))]
import keras, numpy
for folder in map(pathlib.Path, folders):
    names = runpy.run_path(str(folder / "model.py"), run_name="elsewhere")
    model = names["load"]()
    numpy.save(folder / "y.npy", model.predict(numpy.load(folder / "x.npy"), verbose=0))
    kept = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    for one, other in zip(model.layers, kept.layers, strict=True):
        assert type(one) is type(other), (one, other)
        configs = [each.get_config() for each in (one, other)]
        for config in configs:
            del config["name"]
            config["dtype"] = str(config["dtype"])  # a policy
        assert str(configs[0]) == str(configs[1]), configs
assert "archsearch" not in sys.modules and "space" not in sys.modules
sys.argv = ["model.py", str(folders[0] + "/picture.png")]
runpy.run_path(str(folders[0] + "/model.py"), run_name="__main__")
sys.argv = ["model.py"]
runpy.run_path(str(folders[0] + "/model.py"), run_name="__main__")
"""


@pytest.fixture(scope="module")
def written(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.py, what it is to predict, and what it predicted elsewhere, for each network."""
    root = tmp_path_factory.mktemp("final")
    for name, values in zip(NAMES, NETWORKS, strict=True):
        folder = root / name
        model = final_folders.leave(folder, values)
        text = script(json.loads((folder / "result.json").read_text()))
        (folder / "model.py").write_text(text, encoding="utf-8")
        x = final_folders.pixels(8, (16, 12, 3))
        np.save(folder / "x.npy", x)
        np.save(folder / "expected.npy", model.predict(x, verbose=0))
    Image.fromarray(final_folders.pixels(1, (40, 25, 3))[0]).save(root / NAMES[0] / "picture.png")
    folders = [str(root / name) for name in NAMES]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, str(ROOT), *folders],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    (root / "stdout.txt").write_text(done.stdout, encoding="utf-8")
    return root


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_network_predicts_the_same_bit_for_bit(written: Path, name: str) -> None:
    expected, predicted = (np.load(written / name / file) for file in ("expected.npy", "y.npy"))
    assert np.array_equal(predicted, expected)
    assert len(np.unique(expected)) > 8, "not the same whatever the picture"


@pytest.mark.tensorflow
def test_on_the_command_line_it_names_the_class_of_a_picture_or_shows_its_layers(written: Path) -> None:
    from keras.saving import load_model

    from archsearch.readers.pictures import decode

    folder = written / NAMES[0]
    pixels = decode((folder / "picture.png").read_bytes(), 16, 12)
    probabilities = load_model(folder / "model.keras").predict(pixels[None], verbose=0)[0]
    best = int(probabilities.argmax())
    first, *summary = (written / "stdout.txt").read_text(encoding="utf-8").splitlines()
    assert first == f"{folder / 'picture.png'}: {('cat', 'dog', 'bird')[best]} ({probabilities[best]:.1%})"
    assert "Conv2D" in "\n".join(summary)


@pytest.mark.tensorflow
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_reads_a_picture_as_this_project_does(
    tensorflow: Any, tmp_path: Path, mode: str, channels: int
) -> None:
    from archsearch.predicting import read_picture

    result = json.loads(made(tmp_path, shape=(16, 12, channels)))
    namespace: dict[str, Any] = {"__name__": "model"}
    exec(script(result), namespace)
    picture = Image.fromarray(final_folders.pixels(1, (37, 90, 4))[0], "RGBA")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    picture.save(path)
    assert np.array_equal(namespace["read_picture"](path), read_picture(path, (16, 12, channels)))


def made(folder: Path, **changes: Any) -> str:
    final_folders.leave(folder, NETWORKS[0], **changes)
    return (folder / "result.json").read_text(encoding="utf-8")


def ruff(*arguments: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = [sys.executable, "-m", "ruff", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.tensorflow
def test_it_is_formatted_and_clean_by_the_rules_of_this_project(written: Path) -> None:
    files = [str(written / name / "model.py") for name in NAMES]
    rules = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for command in (["check", "--ignore", "T20"], ["format", "--check"]):
        done = ruff(*command, *rules, *files)
        assert done.returncode == 0, done.stdout


HOSTILE = ('"""', "a\nb", "\\", "{{ x }}", "日本", "'", "x" * 200)


@pytest.mark.tensorflow
def test_class_names_come_through_whatever_they_are(tensorflow: Any, tmp_path: Path) -> None:
    result = json.loads(made(tmp_path, class_names=HOSTILE))
    namespace: dict[str, Any] = {"__name__": "model"}
    exec(script(result), namespace)
    assert namespace["CLASS_NAMES"] == list(HOSTILE)


@pytest.mark.tensorflow
def test_a_network_on_other_than_grey_or_colour_reads_no_pictures(tensorflow: Any, tmp_path: Path) -> None:
    result = json.loads(made(tmp_path, shape=(16, 12, 2)))
    text = script(result)
    assert "PIL" not in text
    assert "__main__" not in text
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    config = ("--config", str(ROOT / "pyproject.toml"), "--no-cache")
    assert ruff("check", *config, str(tmp_path / "model.py")).returncode == 0


@pytest.mark.parametrize("architecture", [None, {"layers": 3}, "text"])
def test_of_another_space_there_is_none(architecture: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        script({"architecture": architecture, "recipe": {}})


# Values that are no numbers: the script is run, so none may come into it.

CODE = "8); raise SystemExit('taken'); ("


TO_A_TIME = {"max_seconds": 60.0, "num_images_passed": 22_500, "num_train": 10_000}


def described(**changes: Any) -> dict[str, Any]:
    """A result.json; names with a dot stand inside."""
    result: dict[str, Any] = {
        "architecture": Architecture(convs=(1,), filters=(8,)).to_dict(),
        "recipe": MODERN.to_dict(),
        "params": 10,
        "macs": 10,
        "test_accuracy": 0.5,
        "epochs": 3,
        "hyperparameters": {},
        "dataset": {
            "image_shape": [8, 8, 1],
            "class_names": ["a", "b"],
            "statistics": {"mean": [1.0], "std": [2.0]},
        },
    }
    for name, value in changes.items():
        *parents, last = name.split(".")
        part = result
        for parent in parents:
            part = part[parent]
        part[last] = value
    return result


def test_a_described_network_is_a_script_whose_macs_may_be_unknown() -> None:
    compile(script(described(macs=None)), "model.py", "exec")


def test_the_recipe_told_is_the_one_that_trained_it() -> None:
    """The modern one has a rate of 0.3 and a weight decay of 0.01; drawn were 0.15 and 0.02."""
    usual = "linear rate from 0.3, weight decay 0.01"
    assert f"Trained for 3 epochs:\nsgd with Nesterov momentum 0.9, {usual}" in script(described())
    drawn = {"learning_rate": 0.15, "weight_decay": 0.02, "filters": 16}
    assert "linear rate from 0.15, weight decay 0.02" in script(described(hyperparameters=drawn))
    on_two_devices = described(hyperparameters=drawn, learning_rate=0.3)
    assert "linear rate from 0.3, weight decay 0.02" in script(on_two_devices)
    by_another = described(hyperparameters=drawn, recipe=DOCUMENTED.to_dict())
    assert "adam, constant rate from 0.15,\nbatches of 128" in script(by_another)


def test_of_a_training_to_a_time_the_passes_are_told() -> None:
    passed = {"num_images_passed": 22_500, "num_train": 10_000}
    assert "Trained for 2.2 passes over the images:" in script(described(max_seconds=60.0, **passed))
    assert "Trained for 3 epochs:" in script(described(max_seconds=None, **passed))


def test_a_name_that_no_file_could_hold_is_escaped() -> None:
    names = ["\ud800\U0001f600", "b"]
    text = script(described(**{"dataset.class_names": names}))
    text.encode()
    (line,) = [line for line in text.splitlines() if line.startswith("CLASS_NAMES = ")]
    assert ast.literal_eval(line.removeprefix("CLASS_NAMES = ")) == names


@pytest.mark.parametrize("value", [CODE, [CODE], {CODE: CODE}, None, True, float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name",
    [
        *("params", "test_accuracy", "epochs", "dataset.image_shape"),
        *("dataset.statistics.mean", "dataset.statistics.std", "architecture.convs", "architecture.filters"),
        *("architecture.hidden_units", "architecture.dropout", "architecture.leaky_relu_slope"),
        *("architecture.pool", "architecture.head", "recipe.batch_norm_momentum", "recipe.momentum"),
        *("recipe.optimizer", "recipe.decay", "recipe.learning_rate", "recipe.weight_decay"),
        *("recipe.label_smoothing", "recipe.batch_size"),
        *("hyperparameters.learning_rate", "hyperparameters.weight_decay", "num_images_passed", "num_train"),
    ],
)
def test_what_should_be_a_number_and_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        script(described(**{**TO_A_TIME, name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("macs", CODE),
        ("dataset.image_shape", [8, 8]),
        ("dataset.image_shape", [8, 8, CODE]),
        ("dataset.image_shape", [8, 8, True]),
        ("dataset.image_shape", [8, 8, 0]),
        ("dataset.image_shape", [8.0, 8.0, 1.0]),
        ("dataset.statistics.mean", [CODE]),
        ("dataset.statistics.mean", [1.0, 2.0]),
        ("dataset.class_names", ["a", 3]),
        ("architecture.filters", [CODE]),
        ("architecture.filters", [8.0]),
        ("architecture.fast_start", CODE),
        ("architecture.fast_start", 1),
    ],
)
def test_what_is_nearly_right_is_refused_too(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        script(described(**{name: value}))
