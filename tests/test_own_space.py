"""Spaces found by name: in the current folder, with what they ask for; and every way to get it wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archsearch.errors import HyperModelError, UserError
from archsearch.own_space import check_space, load_space

SPACE = """
import keras_tuner

class Plain(keras_tuner.HyperModel):
    def build(self, hp):
        return None

class Told(keras_tuner.HyperModel):
    def __init__(self, num_classes, *, image_shape, depth=3):
        super().__init__()
        self.told = num_classes, image_shape, depth

class Asking(keras_tuner.HyperModel):
    def __init__(self, image_shape, num_layers, width):
        super().__init__()

class Raising(keras_tuner.HyperModel):
    def __init__(self):
        raise ZeroDivisionError("no")

class Other:
    pass
"""

SPLITS: Any = SimpleNamespace(image_shape=(8, 8, 3), num_classes=4)
STATISTICS: Any = SimpleNamespace(mean=(1.0,), std=(2.0,))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with `own.py` and `deep/inner.py`, from which commands are run."""
    (tmp_path / "own.py").write_text(SPACE)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "inner.py").write_text(SPACE)
    (tmp_path / "syntax.py").write_text("class")
    (tmp_path / "needs.py").write_text("import not_there_at_all")
    (tmp_path / "breaks.py").write_text("1 / 0")
    (tmp_path / "leaves.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        if name.split(".")[0] in ("own", "deep", "syntax", "needs", "breaks", "leaves"):
            del sys.modules[name]


@pytest.mark.parametrize("text", ["own:Plain", "a.b.c:D", "_x1:Y_2", "größe:Ä"])
def test_how_a_space_is_written(text: str) -> None:
    assert check_space(text) == text


@pytest.mark.parametrize(
    "text", ["", "own", ":A", "own:", "own:A:B", "own.:A", "1a:B", "../own:A", "own:A()"]
)
def test_what_is_no_space_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="written MODULE:CLASS, like my_space:MyHyperModel"):
        check_space(text)


@pytest.mark.parametrize(("text", "hint"), [("own.py:A", "Try own:A"), ("docs/own.py:A", "Try docs.own:A")])
def test_a_file_is_pointed_to_its_module(text: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        check_space(text)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow", "here")
class TestLoad:
    def load(self, text: str) -> Any:
        return load_space(text, SPLITS, STATISTICS)

    def test_is_found_in_the_current_folder_and_below(self) -> None:
        assert type(self.load("own:Plain")).__qualname__ == "Plain"
        assert type(self.load("deep.inner:Plain")).__module__ == "deep.inner"

    def test_is_told_of_the_images_what_it_asks_for(self) -> None:
        assert self.load("own:Told").told == (4, (8, 8, 3), 3)

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("nowhere:A", r"There is no module nowhere in .*run the command in the folder"),
            ("deep.nowhere:A", r"There is no module deep\.nowhere"),
            ("own:Missing", r"own\.py\) has no Missing; there is Plain, Told, Asking, Raising\."),
            ("own:Other", r"Other is no keras_tuner\.HyperModel; there is Plain"),
            ("own:keras_tuner", r"keras_tuner is no keras_tuner\.HyperModel"),
            ("own:Asking", "own:Asking asks for num_layers, width; a space may ask for image_shape, num_c"),
        ],
    )
    def test_says_what_is_missing(self, text: str, sentence: str) -> None:
        with pytest.raises(UserError, match=sentence):
            self.load(text)

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("syntax:A", "syntax:A cannot be imported: SyntaxError"),
            ("needs:A", "needs:A cannot be imported: No module named 'not_there_at_all'"),
            ("breaks:A", "breaks:A cannot be imported: ZeroDivisionError"),
            ("leaves:A", "leaves:A cannot be imported: SystemExit"),
            ("own:Raising", "own:Raising cannot be made: ZeroDivisionError: no"),
        ],
    )
    def test_shows_what_its_code_raises(self, text: str, sentence: str) -> None:
        with pytest.raises(HyperModelError, match=sentence) as caught:
            self.load(text)
        assert caught.value.__cause__ is not None


@pytest.mark.end_to_end
def test_the_shipped_space_is_searched_and_trained_by_its_name(tmp_path: Path) -> None:
    """As docs/own-network.md has it; the final training finds the class again from settings.json."""
    root = Path(__file__).resolve().parent.parent
    (tmp_path / "docs").mkdir()
    shutil.copy(root / "docs" / "residual_space.py", tmp_path / "docs")

    def run(script: str, *flags: str) -> str:
        done = subprocess.run(
            [sys.executable, str(root / script), "--run", "residual", *flags],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    data = ("--dataset", "digits", "--images-per-epoch", "256", "--max-epochs", "1", "--confirm", "0")
    out = run("search.py", "--space", "docs.residual_space:Residual", *data)
    assert "2 of 2 planned trials completed" in out
    assert "test accuracy" in run("final_train.py", "--best", "--epochs", "1")
    model = tmp_path / "logs" / "residual" / "final" / "best" / "model.keras"
    assert model.exists()
