"""`model.keras` where this project cannot be imported, and files that are none."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch import model_file
from archsearch.errors import UserError
from archsearch.model_file import read_class_names, save_model

NAMES = ("Katze", "été", "犬")

# Run in an empty folder, isolated (-I): neither the current folder nor PYTHONPATH is searched.
ELSEWHERE = """
import importlib.util, os, sys
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
sys.path = [folder for folder in sys.path if folder not in sys.argv[4:]]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
for name in ("archsearch", "space"):
    assert importlib.util.find_spec(name) is None, name
import keras, numpy
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
numpy.save(sys.argv[3], model.predict(numpy.load(sys.argv[2]), verbose=0))
assert "archsearch" not in sys.modules and "space" not in sys.modules
"""


DOCUMENTED = {"num_blocks": 2, "block_0/convs": 1, "block_1/convs": 1, "filters": 16}
FAST = {**DOCUMENTED, "block_0/convs": 2, "pool": "first", "head": "linear", "fast_start": True}


@pytest.fixture(scope="module", params=[DOCUMENTED, FAST], ids=["documented", "fast"])
def trained(request: pytest.FixtureRequest, tensorflow: Any) -> Any:
    """A network of the space after two steps, so that no weight is where it began."""
    import keras
    import keras_tuner

    from archsearch.dataset import Images
    from archsearch.image_statistics import image_statistics
    from space.hypermodel import VGGHyperModel

    keras.utils.set_random_seed(0)
    statistics = image_statistics(Images(pixels(), np.arange(8) % 3))
    hypermodel = VGGHyperModel((9, 8, 3), 3, statistics=statistics)
    hp = keras_tuner.HyperParameters()
    hp.values = dict(request.param)
    model = hypermodel.build(hp)
    hypermodel.fit(hp, model, pixels(), np.eye(3)[np.arange(8) % 3], batch_size=4, verbose=0)
    return model


def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (8, 9, 8, 3), dtype=np.uint8)


@pytest.mark.tensorflow
class TestSaved:
    def test_loads_safely_where_the_project_cannot_be_imported_and_predicts_the_same(
        self, trained: Any, tmp_path: Path
    ) -> None:
        save_model(trained, tmp_path / "model.keras", NAMES)
        np.save(tmp_path / "x.npy", pixels())
        project = str(Path(__file__).parents[1])

        subprocess.run(
            [sys.executable, "-I", "-c", ELSEWHERE, "model.keras", "x.npy", "y.npy", project],
            cwd=tmp_path,
            check=True,
        )

        predicted = np.load(tmp_path / "y.npy")
        assert np.array_equal(predicted, trained.predict(pixels(), verbose=0))

    def test_holds_the_network_without_its_optimiser(self, trained: Any, tmp_path: Path) -> None:
        """Whose class, of this project, nobody else could load; and whose momenta are as large as weights."""
        save_model(trained, tmp_path / "model.keras", NAMES)
        with zipfile.ZipFile(tmp_path / "model.keras") as file:
            config = file.read("config.json").decode()
            assert "NesterovSGD" not in config
            assert not json.loads(config)["compile_config"]
            weights = len(file.read("model.weights.h5"))
        assert weights < 1.5 * 4 * trained.count_params() + 100_000

    def test_the_model_itself_can_be_trained_on(self, trained: Any, tmp_path: Path) -> None:
        optimizer = trained.optimizer
        save_model(trained, tmp_path / "model.keras", NAMES)
        assert trained.optimizer is optimizer
        trained.fit(pixels(), np.eye(3)[np.arange(8) % 3], batch_size=4, verbose=0)

    def test_a_model_that_was_never_compiled_is_saved_too(self, tensorflow: Any, tmp_path: Path) -> None:
        import keras

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        save_model(model, tmp_path / "model.keras", NAMES)
        x = np.ones((1, 2), np.float32)
        loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        assert np.array_equal(np.asarray(loaded(x)), np.asarray(model(x)))

    def test_class_names_come_back_in_order(self, trained: Any, tmp_path: Path) -> None:
        save_model(trained, tmp_path / "model.keras", NAMES)
        assert read_class_names(tmp_path / "model.keras") == NAMES

    def test_missing_folders_are_made_and_nothing_else_is_left(self, trained: Any, tmp_path: Path) -> None:
        save_model(trained, tmp_path / "new" / "folder" / "model.keras", NAMES)
        assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["model.keras"]

    def test_an_earlier_file_is_replaced(self, trained: Any, tmp_path: Path) -> None:
        path = tmp_path / "model.keras"
        path.write_bytes(b"older")
        save_model(trained, path, NAMES)
        assert read_class_names(path) == NAMES

    def test_a_failure_leaves_the_earlier_file_and_no_rest(self, trained: Any, tmp_path: Path) -> None:
        path = tmp_path / "model.keras"
        path.write_bytes(b"older")
        with pytest.raises(TypeError, match="not JSON serializable"):
            save_model(trained, path, [object()])  # type: ignore[list-item]
        assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("model.keras", b"older")]

    def test_layers_are_kerass_own(self, trained: Any, tmp_path: Path) -> None:
        save_model(trained, tmp_path / "model.keras", NAMES)
        with zipfile.ZipFile(tmp_path / "model.keras") as file:
            layers = json.loads(file.read("config.json"))["config"]["layers"]
        assert {layer["module"] for layer in layers} == {"keras.layers"}
        assert {layer["registered_name"] for layer in layers} == {None}
        assert "Lambda" not in {layer["class_name"] for layer in layers}


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("not an archive")
    with pytest.raises(UserError, match=r"model\.keras is not a model with class names: File is not a zip"):
        read_class_names(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.keras is not a model with class names: .*No such file"):
        read_class_names(tmp_path / "gone.keras")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 100_000, "recursion"),
        ("[" + 500 * '"a", ' + '"a"]', r"class_names\.json has more than 1,000 bytes"),
    ],
)
def test_a_crafted_file_is_refused_with_a_sentence(
    content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "LARGEST", 1000 if "a" in content else 10**6)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(model_file.MEMBER, content)
    with pytest.raises(UserError, match=rf"model\.keras is not a model with class names: .*{said}"):
        read_class_names(path)


def test_damaged_bytes_are_refused_with_a_sentence(tmp_path: Path) -> None:
    """Of a member that does not inflate, and of one that is marked as encrypted."""
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(model_file.MEMBER, '["one", "two", "three"]')
    whole = path.read_bytes()
    start = 30 + len(model_file.MEMBER)  # of a local header before the name, by the ZIP format
    assert whole[26:28] == len(model_file.MEMBER).to_bytes(2, "little")
    path.write_bytes(whole[:start] + b"\xff" * 8 + whole[start + 8 :])
    with pytest.raises(UserError, match="is not a model with class names: Error -3"):
        read_class_names(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr(model_file.MEMBER, '["one", "two", "three"]')
    other = path.read_bytes()
    path.write_bytes(other[: start + 9] + b"\xff" * 8 + other[start + 17 :])  # after the coder's settings
    with pytest.raises(UserError, match=r"is not a model with class names: "):
        read_class_names(path)
    entry = whole.index(b"PK\x01\x02")
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[entry + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(UserError, match=r"is not a model with class names: .*encrypted"):
        read_class_names(path)


def test_an_archive_without_class_names_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(UserError, match=r"is not a model with class names: .*class_names\.json"):
        read_class_names(tmp_path / "model.keras")


@pytest.mark.parametrize("content", ["3", "null", '{"a": 1}', '["a", 1]', '"cat"', "[", b"\xff"])
def test_class_names_that_are_no_list_of_names_are_refused(tmp_path: Path, content: str | bytes) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
        file.writestr("class_names.json", content)
    with pytest.raises(UserError, match="is not a model with class names"):
        read_class_names(tmp_path / "model.keras")
