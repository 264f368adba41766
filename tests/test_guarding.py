"""How a command ends: errors, warnings and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archsearch.errors import HyperModelError, UserError
from archsearch.guarding import guarded

ROOT = Path(__file__).resolve().parent.parent


def failing(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.fixture
def heeded() -> Iterator[dict[signal.Signals, object]]:
    """As in a terminal: tests that a shell runs in the background inherit that Ctrl-C is ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours: dict[signal.Signals, object] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    for number, handler in ours.items():
        signal.signal(number, handler)  # type: ignore[arg-type]
    yield ours
    for number, previous in before.items():
        signal.signal(number, previous)


def test_an_error_that_was_foreseen_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(failing(UserError("Do this instead."))) == 1
    assert capsys.readouterr().err == "error: Do this instead.\n"
    assert guarded(failing(UserError("Do this.")), advice=lambda: "But not so.") == 1
    assert capsys.readouterr().err == "error: Do this.\nBut not so.\n"


def test_a_path_that_is_no_text_is_written_as_escapes() -> None:
    """A Latin-1 name on a system of UTF-8."""
    command = "from archsearch.guarding import guarded; guarded(lambda: print('l\\udcf6gs') or 0)"
    for errors, shown in (("strict", b"l\\udcf6gs\n"), ("surrogateescape", b"l\xf6gs\n")):
        environment = {**os.environ, "PYTHONIOENCODING": f"utf-8:{errors}"}
        ended = subprocess.run(
            [sys.executable, "-c", command], cwd=ROOT, capture_output=True, env=environment
        )
        assert (ended.stdout, ended.stderr) == (shown, b"")


def test_what_is_left_out_of_the_test_part_is_said_without_a_place_in_the_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("Images that cannot be read are left out (1): a.png.", stacklevel=1)
        return 0

    assert guarded(command) == 0
    assert capsys.readouterr().err == "Images that cannot be read are left out (1): a.png.\n"


def test_an_error_in_the_users_space_shows_its_traceback_once(capsys: pytest.CaptureFixture[str]) -> None:
    def build() -> None:
        raise ZeroDivisionError("no units")

    def command() -> int:
        try:
            build()
        except ZeroDivisionError as error:
            raise HyperModelError("mine:Space cannot be built.") from error
        return 0

    assert guarded(command) == 1
    shown = capsys.readouterr().err
    assert shown.count("Traceback (most recent call last)") == 1
    assert shown.count("ZeroDivisionError: no units") == 1
    assert "in build\n" in shown
    assert "HyperModelError" not in shown
    assert shown.endswith("error: mine:Space cannot be built.\n")


def test_an_error_that_was_not_foreseen_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        guarded(failing(ZeroDivisionError("a bug")))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_in_an_orderly_way(
    number: signal.Signals,
    status: int,
    heeded: dict[signal.Signals, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = []

    def command() -> int:
        try:
            signal.raise_signal(number)
        finally:
            ended.append(True)
        return 0

    assert guarded(command, lambda: "all is saved. Continue: python search.py") == status
    assert ended == [True]
    assert capsys.readouterr().err == "\ninterrupted; all is saved. Continue: python search.py\n"
    assert {number: signal.getsignal(number) for number in heeded} == heeded


TWO_SIGNALS = """
import signal, sys
from archsearch.guarding import guarded
signal.signal(signal.SIGINT, signal.default_int_handler)
first, second = (getattr(signal, name) for name in sys.argv[1:])
def command():
    try:
        signal.raise_signal(first)
    finally:
        print("first", flush=True)
        signal.raise_signal(second)
        print("second", flush=True)
sys.exit(guarded(command, lambda: "all is saved"))
"""


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(("second", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_second_signal_ends_it_at_once(first: str, second: str, status: int) -> None:
    command = [sys.executable, "-c", TWO_SIGNALS, first, second]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "first\n", "")


def test_a_signal_that_is_ignored_stays_ignored(heeded: dict[signal.Signals, object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def command() -> int:
        signal.raise_signal(signal.SIGINT)
        return 7

    assert guarded(command) == 7
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_signal_that_is_ignored_stays_so_after_one_that_is_not(
    heeded: dict[signal.Signals, object],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = []

    def command() -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            ended.append(True)
        return 0

    assert guarded(command) == 143
    assert ended == [True]
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
