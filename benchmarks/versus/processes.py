"""Every cell is measured in a process of its own, forked from one that has only imported TensorFlow."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

FAILED = 1
MAX_SHOWN = 5000
"""Characters of what a child printed before it failed."""


def import_everything() -> None:
    """What both sides need; no operation is run, for the processes forked from this one use it too."""
    from archsearch import runtime

    runtime.configure()
    import keras_tuner
    import tensorflow

    import archsearch.tuner  # noqa: F401

    tensorflow.get_logger().setLevel("ERROR")
    assert keras_tuner.__name__


def fork(work: Callable[[], None]) -> int:
    """Runs `work` in a child and waits for it; gives its exit code, or minus the signal that ended it.

    What it prints is shown only if it fails: Keras Tuner prints much, and so does TensorFlow.
    """
    with tempfile.TemporaryFile() as printed:
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: of forking with threads
            child = os.fork()
        if child == 0:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            _run_and_exit(work)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == FAILED:
            printed.seek(0)
            sys.stderr.write(printed.read().decode(errors="replace")[-MAX_SHOWN:])
    return code


def _run_and_exit(work: Callable[[], None]) -> NoReturn:
    code = FAILED
    try:
        work()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` returns in a process of its own: plain data."""
    with tempfile.TemporaryFile("w+") as file:

        def write() -> None:
            file.write(json.dumps(work()))
            file.flush()

        code = fork(write)
        if code:
            raise RuntimeError(f"A measuring process ended with status {code}.")
        file.seek(0)
        result: dict[str, Any] = json.load(file)
        return result
