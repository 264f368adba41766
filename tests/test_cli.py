"""Flags, refusals and exit statuses; nothing here trains."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import archsearch
from archsearch import cli
from archsearch.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


def search(*flags: str) -> int:
    return cli.search(flags, "python search.py")


def final_train(*flags: str) -> int:
    return cli.final_train(flags, "python final_train.py")


def save_npz(path: Path, **changes: object) -> Path:
    """A data set of 40 images in two classes."""
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "x_train": rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8),
        "y_train": np.arange(40) % 2,
        "x_test": rng.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8),
        "y_test": np.arange(10) % 2,
    }
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--max-time", "soon"], "A time is written like 90s"),
        (["--max-time", "0"], "A time must be above 0"),
        (["--max-macs=-5"], "A number is written like"),
        (["--max-macs", "lots"], "A number is written like"),
        (["--factor", "1"], "must be a whole number, at least 2"),
        (["--max-epochs", "0"], "must be a whole number, at least 1"),
        (["--iterations", "2.5"], "must be a whole number, at least 1"),
        (["--confirm", "-1"], "must be a whole number, at least 0"),
        (["--seed", "-1"], "must be a whole number, at least 0"),
        (["--recipe", "best"], "invalid choice"),
        (["--flip", "maybe"], "invalid choice"),
        (["--max-epoch", "9"], "unrecognized arguments"),
        (["--json"], "--json goes with --plan or --status"),
        (["cifar10"], "unrecognized arguments"),
    ],
)
def test_a_wrong_flag_of_the_search_is_wrong_usage(
    flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        search(*flags)
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ([], "one of the arguments --best --trial --documented is required"),
        (["--best", "--documented"], "not allowed with argument"),
        (["--best", "--dataset", "digits"], "--dataset goes with --documented"),
        (["--best", "--epochs", "0"], "must be a whole number, at least 1"),
        (["--trial", "best"], "is the id of a trial, such as b1-r0-s0; give --best instead"),
        (["--trial", "documented"], "give --documented instead"),
    ],
)
def test_a_wrong_flag_of_the_final_training_is_wrong_usage(
    flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        final_train(*flags)
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["dance"]])
def test_the_console_command_needs_one_of_its_commands(argv: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(argv)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"y_train": np.zeros(40, int)}, "one class"),
        (
            {"x_train": np.zeros((40, 4, 4, 3), np.uint8), "x_test": np.zeros((10, 4, 4, 3), np.uint8)},
            "at least 8 pixels",
        ),
        ({"x_train": np.zeros((40, 16), np.uint8)}, "got (40, 16)"),
        ({"y_train": np.arange(39) % 2}, "39 labels"),
        ({"x_train": None}, "x_train"),
    ],
)
def test_an_unusable_file_is_one_sentence_and_leaves_nothing_behind(
    changes: dict[str, object], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_npz(tmp_path / "data.npz", **changes)
    assert search("--dataset", str(path), "--logs", str(tmp_path / "logs")) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    assert sentence in error
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 torn"])
def test_an_unreadable_file_is_one_sentence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    assert search("--dataset", str(path), "--logs", str(tmp_path / "logs")) == 1
    assert "broken.npz" in capsys.readouterr().err


def test_an_unknown_dataset_names_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search("--dataset", "cifar11", "--logs", str(tmp_path)) == 1
    error = capsys.readouterr().err
    assert "cifar11" in error
    assert "cifar10" in error
    assert "digits" in error


@pytest.mark.parametrize("name", ["../elsewhere", "", ".hidden", "a/b"])
def test_a_run_cannot_leave_the_logs(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search("--run", name, "--logs", str(tmp_path), "--dataset", "digits") == 1
    assert "--run must be a name" in capsys.readouterr().err


def test_the_final_training_needs_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert final_train("--best", "--logs", str(tmp_path)) == 1
    assert "There is no search in" in capsys.readouterr().err


def test_the_status_needs_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search("--status", "--logs", str(tmp_path)) == 1
    assert "There is no search in" in capsys.readouterr().err


def test_limits_that_no_network_meets_name_the_smallest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search("--plan", "--dataset", "digits", "--max-macs", "1k", "--logs", str(tmp_path)) == 1
    assert "No network meets these limits. The one with the fewest macs has" in capsys.readouterr().err


def test_the_plan_is_told_in_whole_trials_and_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search("--plan", "--dataset", "cifar10", "--max-epochs", "9", "--logs", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    # Keras Tuner's 23 trials, the baseline, and two seeds of it and of the best two; 27 + 33 + 27 epochs of
    # the brackets, 9 of the baseline and 6 x 9 of the confirmations.
    assert lines[0].startswith("30 trials, 150 epochs of 45,000 images, about ")
    assert lines[2].startswith("  b2: 9 x 1 epoch -> 3 x 3 epochs -> 1 x 9 epochs, about ")
    assert lines[3].startswith("  b1: 5 x 3 epochs -> 2 x 9 epochs, about ")
    assert lines[4].startswith("  b0: 3 x 9 epochs, about ")
    assert lines[5].startswith("  confirm: best 2 and baseline, 2 seeds each: 6 x 9 epochs, about ")


def test_confirming_can_be_switched_off_in_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--plan", "--dataset", "cifar10", "--max-epochs", "9", "--confirm", "0", "--logs", str(tmp_path))
    assert search(*flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("24 trials, 96 epochs of 45,000 images, about ")
    assert not any("confirm" in line for line in lines)


def test_the_plan_as_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--plan", "--json", "--dataset", "digits", "--max-epochs", "3", "--logs", str(tmp_path))
    assert search(*flags) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["num_trials"], plan["num_epochs"], plan["confirm"]) == (7 + 6, 15 + 18, 2)
    assert [bracket["name"] for bracket in plan["brackets"]] == ["b1", "b0"]
    assert plan["brackets"][0]["rungs"] == [{"epochs": 1, "size": 3}, {"epochs": 3, "size": 1}]


@pytest.mark.parametrize(
    "arguments",
    [
        ["search.py", "--help"],
        ["final_train.py", "--help"],
        ["search.py", "--plan", "--dataset", "cifar10"],
        ["search.py", "--plan", "--dataset", "digits", "--max-time", "5m"],
    ],
)
def test_help_and_plan_need_no_tensorflow(arguments: list[str]) -> None:
    program = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "loaded = {'tensorflow', 'keras', 'keras_tuner', 'matplotlib'} & sys.modules.keys()\n"
        "assert not loaded, loaded\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def test_a_search_that_overwrote_is_not_continued_by_starting_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin(**_: object) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "settings.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(archsearch, "search", begin)
    assert search("--run", "mine", "--overwrite", "--logs", str(tmp_path)) == 130
    assert capsys.readouterr().err == (
        "\ninterrupted; every finished trial is saved. "
        f"Continue: python search.py --run mine --logs {tmp_path}\n"
    )


def test_a_search_that_was_to_overwrite_is_given_again_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def decode(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archsearch, "search", decode)
    assert search("--overwrite", "--logs", str(tmp_path)) == 130
    assert capsys.readouterr().err == (
        f"\ninterrupted; nothing was overwritten yet. Again: python search.py --overwrite --logs {tmp_path}\n"
    )


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--best", "best.unfinished"),
        ("--trial=a", "trial-a.unfinished"),
        ("--documented", "documented.unfinished"),
    ],
)
def test_an_error_of_a_final_training_that_overwrote_says_how_to_go_on(
    flag: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def begin(*_: object, **__: object) -> None:
        (tmp_path / "default" / "final" / name).mkdir(parents=True)
        raise UserError("The disk is full: run the same command again.")

    monkeypatch.setattr(archsearch, "final_train", begin)
    assert final_train(flag, "--overwrite", "--logs", str(tmp_path)) == 1
    assert capsys.readouterr().err == (
        "error: The disk is full: run the same command again.\n"
        "Next time without --overwrite, which would start over.\n"
    )
