"""`archsearch predict`: which pictures, how they are read, and how the answer looks."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from archsearch import cli, run
from archsearch.errors import UserError
from archsearch.predicting import Broken, Found, Prediction, find_model, list_pictures, named, read_picture
from archsearch.reporting.predictions import as_json, prediction_lines

CLASSES = ("left", "right", "none")


@pytest.fixture(scope="module")
def model(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 8x8 pictures: the class is the half that is bright."""
    import keras

    from archsearch.model_file import save_model

    pixels = keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()(pixels)
    network = keras.Model(pixels, keras.layers.Dense(3, activation="softmax", name="probabilities")(flat))
    kernel = np.zeros((8, 8, 3, 3), np.float32)
    kernel[:, :4, :, 0] = kernel[:, 4:, :, 1] = 1e-4
    network.get_layer("probabilities").set_weights([kernel.reshape(-1, 3), np.array([0, 0, 0.5], np.float32)])
    network.compile(loss="categorical_crossentropy")
    path = tmp_path_factory.mktemp("model") / "model.keras"
    save_model(network, path, CLASSES)
    return path


def save(path: Path, *, bright: str, **options: Any) -> Path:
    """A picture of 20x20 with one bright half."""
    x = np.zeros((20, 20, 3), np.uint8)
    half = {"left": np.s_[:, :10], "right": np.s_[:, 10:], "top": np.s_[:10], "none": np.s_[:0]}[bright]
    x[half] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(x).save(path, **options)
    return path


def predict(*flags: object) -> int:
    return cli.predict([str(flag) for flag in flags], "archsearch predict")


# Which model.


def test_a_model_is_found_by_its_file_its_folder_or_its_run(tmp_path: Path) -> None:
    path = tmp_path / "run" / "final" / "best" / "model.keras"
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / "run" / "final" / "documented").mkdir()
    (tmp_path / "run" / "final" / "documented" / "model.keras").touch()
    for where in (path, path.parent, tmp_path / "run"):
        assert find_model(where) == path


def test_the_only_final_training_of_a_run_is_taken(tmp_path: Path) -> None:
    for name in ("documented", "best.unfinished"):
        (tmp_path / "final" / name).mkdir(parents=True)
        (tmp_path / "final" / name / "model.keras").touch()
    assert find_model(tmp_path) == tmp_path / "final" / "documented" / "model.keras"
    (tmp_path / "final" / "trial-a").mkdir()
    (tmp_path / "final" / "trial-a" / "model.keras").touch()
    with pytest.raises(UserError, match=r"There are several models in .*: give one, as in .*documented"):
        find_model(tmp_path)


def test_a_run_is_given_by_its_name_as_in_the_other_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs" / "default").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    assert named("default", "logs") == Path("logs/default")
    assert named("default", str(tmp_path / "logs")) == tmp_path / "logs" / "default"
    # As a path: what is no run, and what says so.
    assert named("other", "logs") == Path("other")
    (tmp_path / "default").mkdir()
    assert named("default", "logs") == Path("logs/default")
    assert named("./default", "logs") == Path("default")
    with pytest.raises(UserError, match="There is no run gone in logs, nor a file or folder gone"):
        named("gone", "logs")


@pytest.mark.tensorflow
def test_the_command_of_the_readme_names_a_run_and_a_picture(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    final = tmp_path / "logs" / "default" / "final" / "best"
    final.mkdir(parents=True)
    (final / "model.keras").write_bytes(model.read_bytes())
    save(tmp_path / "photo.png", bright="right")
    monkeypatch.chdir(tmp_path)
    assert predict("default", "photo.png") == 0
    output = capsys.readouterr()
    assert "right" in output.out
    assert "warning" not in output.err
    monkeypatch.setattr(run, "doubt", lambda folder: f"{folder.path} has another one.")
    assert predict("default", "photo.png", "--logs", tmp_path / "logs") == 0
    assert f"warning: {tmp_path / 'logs' / 'default'} has another one." in capsys.readouterr().err


def test_without_a_final_training_the_next_command_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tmp_path, "x.png") == 1
    assert "Run `python final_train.py --best` first." in capsys.readouterr().err
    assert predict(tmp_path / "gone", "x.png") == 1
    assert f"There is no {tmp_path / 'gone'}: give a model.keras" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.keras").write_text("nothing")
    assert predict(tmp_path / "model.keras", "x.png") == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'model.keras'} is not a model with class")


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("shape", "units", "sentence"),
    [
        ((8, 8, 2), 3, "takes no pictures of one size, in grey or colour"),
        ((8,), 3, "takes no pictures of one size"),
        ((8, 8, 3), 4, "holds 3 class names, but its output has the shape (None, 4)"),
    ],
)
def test_a_model_of_something_else_than_pictures_is_refused(
    tensorflow: Any,
    tmp_path: Path,
    shape: tuple[int, ...],
    units: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import keras

    from archsearch.model_file import save_model

    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(units)]
    network = keras.Sequential(layers)
    network.compile(loss="categorical_crossentropy")
    save_model(network, tmp_path / "model.keras", CLASSES)
    assert predict(tmp_path / "model.keras", "x.png") == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.tensorflow
def test_code_inside_a_model_is_not_run(
    tensorflow: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    from archsearch.model_file import save_model

    layers = [keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]
    layers.append(keras.layers.Dense(3))
    network = keras.Sequential(layers)
    network.compile(loss="categorical_crossentropy")
    save_model(network, tmp_path / "model.keras", CLASSES)
    assert predict(tmp_path / "model.keras", save(tmp_path / "x.png", bright="left")) == 1
    assert "cannot be loaded as a Keras model: " in capsys.readouterr().err


# Which pictures.


def test_a_folder_gives_its_pictures_by_name_whatever_their_case_and_no_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/c.webp", ".hidden.png", ".cache/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files, broken = list_pictures([tmp_path / "notes.txt", tmp_path])
    names = [file.relative_to(tmp_path).as_posix() for file in files]
    assert names == ["notes.txt", "a.JPG", "b.png", "deep/c.webp"], "a file that is named is tried"
    assert broken == []


def test_what_is_not_there_is_told_apart_from_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, broken = list_pictures([tmp_path / "gone.png", tmp_path / "empty"])
    assert [each.reason.partition(" ends")[0] for each in broken] == [
        "there is no such file",
        "no file in it",
    ]


def test_links_are_followed_and_what_may_not_be_read_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a training: a picture that is left out silently would be taken for one that was looked at."""
    elsewhere, photos = tmp_path / "elsewhere", tmp_path / "photos"
    for folder in (elsewhere, photos, photos / "locked"):
        folder.mkdir()
        (folder / "a.png").touch()
    (photos / "more").symlink_to(elsewhere, target_is_directory=True)
    (photos / "round").symlink_to(photos, target_is_directory=True)
    files, broken = list_pictures([photos])
    names = [file.relative_to(photos).as_posix() for file in files]
    assert (names, broken) == (["a.png", "locked/a.png", "more/a.png"], [])
    monkeypatch.chdir(photos)
    for here in (Path(), Path("locked", "..")):
        assert list_pictures([here]) == ([here / name for name in names], [])
    monkeypatch.chdir(photos / "locked")
    assert list_pictures([Path("..")]) == ([Path("..", name) for name in names], [])

    scan = os.scandir

    def refuse(folder: Any) -> Any:
        if Path(folder).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    files, broken = list_pictures([photos, photos / "locked"])
    assert files == [photos / "a.png", photos / "more" / "a.png"]
    assert broken == 2 * [Broken(photos / "locked", "it cannot be read: Permission denied")]


def test_a_picture_that_cannot_be_looked_at_is_named_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that may be listed, but not entered."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if path.name == "b.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    assert list_pictures([tmp_path]) == ([tmp_path / "a.png", tmp_path / "b.png"], [])


# How they are read.


def test_a_picture_lies_as_large_as_fits_in_the_middle_of_black(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "white").save(tmp_path / "wide.png")
    pixels = read_picture(tmp_path / "wide.png", (8, 8, 3))
    assert pixels[:, 0, 0].tolist() == [0, 0, 255, 255, 255, 255, 0, 0]


def test_a_grey_network_sees_grey(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    pixels = read_picture(tmp_path / "red.png", (8, 8, 1))
    assert pixels.shape == (8, 8, 1)
    assert np.unique(pixels).tolist() == [76], "0.299 of the brightness is red's"


@pytest.mark.tensorflow
def test_kinds_of_files_that_show_the_same_get_the_same_class(model: Path, tmp_path: Path) -> None:
    from archsearch.predicting import predict_pictures

    folder = tmp_path / "pictures"
    for suffix in ("png", "jpg", "bmp", "gif", "webp", "tiff"):
        save(folder / f"left.{suffix}", bright="left")
    turned = Image.Exif()
    turned[0x0112] = 8  # stored turned by 90 degrees: its top is the left side
    save(folder / "turned.jpg", bright="top", exif=turned)
    Image.open(folder / "left.png").convert("P").save(folder / "palette.png")
    clear = np.zeros((20, 20, 4), np.uint8)
    clear[:, 10:, 3] = 255  # black on the right; what cannot be seen on the left is shown on white
    Image.fromarray(clear).save(folder / "clear.png")
    found = predict_pictures(model, [folder])
    assert found.broken == []
    assert len(found.predictions) == 9
    assert {found.class_names[each.best(1)[0]] for each in found.predictions} == {"left"}


# What is said.


@pytest.mark.tensorflow
def test_a_broken_picture_is_one_line_and_the_others_go_on(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "c.png", bright="right")
    save(tmp_path / "a.png", bright="left")
    whole = save(tmp_path / "whole.bmp", bright="left").read_bytes()
    (tmp_path / "whole.bmp").unlink()
    (tmp_path / "b.png").write_bytes(b"nothing")
    (tmp_path / "d.bmp").write_bytes(whole[:300])
    assert predict(model, tmp_path) == 1
    output = capsys.readouterr()
    rows = [line.split()[:2] for line in output.out.splitlines()]
    assert rows == [["file", "class"], [f"{tmp_path}/a.png", "left"], [f"{tmp_path}/c.png", "right"]]
    errors = output.err.splitlines()
    assert errors[0] == f"error: {tmp_path}/b.png: it is no picture of a kind that Pillow knows"
    assert errors[1].startswith(f"error: {tmp_path}/d.bmp: ")
    assert len(errors) == 2


@pytest.mark.tensorflow
def test_json_has_every_probability_asked_for(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.png"
    x = np.zeros((8, 8, 3), np.uint8)
    x[:, :4] = 255
    Image.fromarray(x).save(file)
    assert predict(model, file, "--json", "--top", 9) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == str(model)
    assert answer["broken"] == []
    (prediction,) = answer["predictions"]
    # 96 values of 255 at 1e-4 against a bias of 0.5 and nothing: e^2.448, e^0.5, e^0.
    expected = np.exp([2.448, 0.5, 0.0]) / np.exp([2.448, 0.5, 0.0]).sum()
    assert (prediction["file"], prediction["class"]) == (str(file), "left")
    assert [each["class"] for each in prediction["top"]] == ["left", "none", "right"]
    assert [each["probability"] for each in prediction["top"]] == pytest.approx(expected, abs=1e-5)


@pytest.mark.tensorflow
def test_more_pictures_than_are_read_at_once_come_in_their_order(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import predicting

    monkeypatch.setattr(predicting, "BATCH", 2)
    halves = ["left", "right", "none", "right", "left"]
    for number, bright in enumerate(halves):
        save(tmp_path / f"{number}.png", bright=bright)
    found = predicting.predict_pictures(model, [tmp_path])
    assert [found.class_names[each.best(1)[0]] for each in found.predictions] == halves


def found(*names: str) -> Found:
    rows = [np.array([0.125, 0.75, 0.125], np.float32)] * len(names)
    predictions = [Prediction(Path(name), row) for name, row in zip(names, rows, strict=True)]
    return Found(Path("m"), ("cat", "犬", "x\x1b[2J"), predictions, [Broken(Path("z"), "why")])


def test_columns_stand_under_each_other_and_fit_the_terminal() -> None:
    lines = list(prediction_lines(found("a.png", f"{'folder/' * 20}b.png"), top=3, width=80))
    # 犬 is two columns wide.
    assert [line.index("%") for line in lines[1:]] == [len(lines[0].partition("ility")[0]) + 3] * 2
    assert lines[1].startswith("a.png ")
    assert lines[2].startswith("…")
    assert "folder/b.png  犬" in lines[2]
    assert max(map(len, lines)) <= 80


def test_into_a_pipe_long_names_go_whole() -> None:
    name = f"{'folder/' * 20}b.png"
    assert list(prediction_lines(found(name), top=1))[1].split() == [name, "犬", "75.0%"]


def test_a_name_cannot_steer_the_terminal() -> None:
    lines = list(prediction_lines(found("a\nb\x1b[31m.png"), top=3))
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_equal_probabilities_come_in_the_order_of_the_classes() -> None:
    assert found("a").predictions[0].best(3) == [1, 0, 2]


def test_json_names_what_could_not_be_read() -> None:
    assert json.loads(as_json(found(), 1))["broken"] == [{"file": "z", "reason": "why"}]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["m"], "the following arguments are required: IMAGE"),
        (["m", "i", "--top", "0"], "must be a whole number, at least 1"),
        (["m", "i", "--jso"], "unrecognized arguments"),
    ],
)
def test_a_wrong_flag_is_wrong_usage(
    flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        predict(*flags)
    assert complaint in capsys.readouterr().err
