"""Paths of a run, whole files, and one search at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archsearch.errors import StorageError, UserError
from archsearch.run_folder import RunFolder, locked, read_json, write_atomically, write_json
from archsearch.trials import read_records
from tests.records import trial


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


# Names.


@pytest.mark.parametrize("name", ["default", "a", "0", "run_2.b-3", "A..b"])
def test_names_of_runs(name: str) -> None:
    assert RunFolder.named(name, "logs").path == Path("logs") / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/tmp", "a\\b", ".hidden", "-x", "_x", "a b", "a\n", "ä", "a\x00"]
)
def test_refuses_names_that_could_leave_the_folder_of_all_runs(name: str) -> None:
    with pytest.raises(UserError, match="--run must be a name of letters, digits"):
        RunFolder.named(name, "logs")


# Whole files.


def test_json_comes_back_the_same(tmp_path: Path) -> None:
    data: dict[str, Any] = {"a": [1, 2.5, None, True], "b": {"c": "größer"}}
    write_json(tmp_path / "deep" / "er" / "file.json", data)
    assert read_json(tmp_path / "deep" / "er" / "file.json") == data
    assert files(tmp_path) == {"deep/er/file.json"}


def test_a_value_that_is_not_finite_is_written_as_null(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"a": [float("nan"), float("inf"), 1.5]})
    assert read_json(tmp_path / "file.json") == {"a": [None, None, 1.5]}


@pytest.mark.parametrize("bad", [{"a": {1, 2}}, {"a": b"bytes"}])
def test_data_that_json_cannot_hold_leaves_the_old_file(tmp_path: Path, bad: dict[str, Any]) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"old": 1})
    with pytest.raises((TypeError, ValueError), match="JSON"):
        write_json(path, bad)
    assert read_json(path) == {"old": 1}
    assert files(tmp_path) == {"file.json"}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_that_the_next_would_not_take(
    tmp_path: Path,
) -> None:
    """A string where bytes belong fails in the middle, when the new file is already there."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError, match="bytes-like"):
        write_atomically(path, "new")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert files(tmp_path) == {"file"}


def test_a_replacement_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """What is to be replaced is a folder."""
    (tmp_path / "file").mkdir()
    with pytest.raises(StorageError, match=f"{tmp_path / 'file'} cannot be written: Is a directory"):
        write_atomically(tmp_path / "file", b"new")
    assert files(tmp_path) == set()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="cannot be written: Permission denied"):
            write_atomically(path, b"new")
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == b"old"


def test_refuses_to_read_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no .*settings\.json\. Run `python search\.py` first"):
        read_json(tmp_path / "settings.json")


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"\x00" * 10])
def test_refuses_a_damaged_file_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path} cannot be read .*--overwrite"):
        read_json(path)


def test_refuses_to_read_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path)


@pytest.mark.parametrize("content", ["[]", "1", "null"])
def test_refuses_json_that_is_no_object(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    with pytest.raises(UserError, match="it holds no JSON object"):
        read_json(path)


# The log.


def test_records_are_appended_line_by_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append(trial("a"))
    folder.append(trial("b"))
    assert read_records(folder.trials) == ([trial("a"), trial("b")], False)


@pytest.mark.parametrize("whole", [0, 1, 2])
def test_a_torn_line_is_cut_so_that_the_next_begins_on_its_own(tmp_path: Path, whole: int) -> None:
    folder = RunFolder(tmp_path)
    for number in range(whole):
        folder.append(trial(str(number)))
    with folder.trials.open("ab") as file:
        file.write(trial("torn").to_json().encode()[:50])
    folder.drop_torn_line()
    folder.append(trial("next"))
    records, torn = read_records(folder.trials)
    assert [one.trial_id for one in records] == [*map(str, range(whole)), "next"]
    assert not torn


# One search at a time.

HOLD = """
import sys
from pathlib import Path
from archsearch.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_first_ends_however_it_ends(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    arguments = [sys.executable, "-c", HOLD, str(folder.path)]
    checkout = Path(__file__).parent.parent
    with subprocess.Popen(
        arguments, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match=f"working on {folder.path}"),
            folder.locked(),
        ):
            pass
        other.kill()
        other.wait()
    with folder.locked():
        pass


def test_the_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(RuntimeError, match="inside"), folder.locked():
        raise RuntimeError("inside")
    with folder.locked():
        pass


def test_a_folder_where_nothing_was_begun_is_removed_again_with_all_that_was_made_for_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match="nothing yet"), RunFolder(tmp_path / "a" / "logs" / "run").locked():
        raise UserError("nothing yet")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_there_before_stay(tmp_path: Path) -> None:
    """An empty folder given with --logs is the user's."""
    (tmp_path / "logs").mkdir()
    with RunFolder(tmp_path / "logs" / "run").locked():
        pass
    assert list(tmp_path.rglob("*")) == [tmp_path / "logs"]


def test_the_current_folder_may_hold_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RunFolder.named("run", ".").locked():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_something_was_begun_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        folder.append(trial("a"))
    assert "trials.jsonl" in files(folder.path)


def test_other_runs_beside_it_stay(tmp_path: Path) -> None:
    touch(tmp_path, "logs/other/settings.json")
    with RunFolder(tmp_path / "logs" / "run").locked():
        pass
    assert list((tmp_path / "logs").iterdir()) == [tmp_path / "logs" / "other"]


def test_refuses_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    touch(tmp_path, "logs")
    with pytest.raises(UserError, match="cannot be written"), RunFolder(tmp_path / "logs" / "run").locked():
        pass


def test_a_lock_file_can_stand_anywhere(tmp_path: Path) -> None:
    """The final training's stands beside what it makes."""
    with locked(tmp_path / "final" / "best.lock", tmp_path / "final" / "best"):
        touch(tmp_path, "final/best/model.keras")
    assert "final/best/model.keras" in files(tmp_path)


# Starting over.

WRITTEN = ("settings.json", "trials.jsonl", "best.json", "search.png", "events.out.tfevents.1", "trials/a/x")
KEPT = ("lock", "cache/speed.json", "final/best/model.keras")


def test_clear_removes_what_a_search_wrote_and_keeps_images_and_models(tmp_path: Path) -> None:
    touch(tmp_path, *WRITTEN, *KEPT, "notes.txt")
    RunFolder(tmp_path).clear()
    assert files(tmp_path) == {*KEPT, "notes.txt"}


@pytest.mark.parametrize("ours", ["settings.json", "trials.jsonl"])
def test_clear_knows_a_run_by_its_settings_or_its_log(tmp_path: Path, ours: str) -> None:
    touch(tmp_path, ours, "trials/a/x")
    RunFolder(tmp_path).clear()
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    "foreign", ["thesis.tex", "best.json", "trials/a/x", "search.png", "events.out.tfevents.1"]
)
def test_clear_refuses_a_foreign_folder(tmp_path: Path, foreign: str) -> None:
    touch(tmp_path, foreign, "lock")
    with pytest.raises(UserError, match=f"{tmp_path} is not the folder of a run"):
        RunFolder(tmp_path).clear()
    assert (tmp_path / foreign).exists()


def test_clear_of_nothing_is_nothing(tmp_path: Path) -> None:
    RunFolder(tmp_path / "absent").clear()
    touch(tmp_path, *KEPT)
    RunFolder(tmp_path).clear()
    assert len(files(tmp_path)) == 3


def test_what_a_process_killed_while_it_wrote_left_is_ours(tmp_path: Path) -> None:
    """The very first file of a run is settings.json, under another name until it is whole."""
    touch(tmp_path, ".settings.json.unfinished", "lock")
    RunFolder(tmp_path).clear()
    assert files(tmp_path) == {"lock"}


def test_a_run_exists_with_its_settings(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not folder.exists()
    write_json(folder.settings, {})
    assert folder.exists()
    assert json.loads(folder.settings.read_text()) == {}
