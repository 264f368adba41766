"""Searches that are continued with a damaged file, or with other settings."""

from __future__ import annotations

import collections
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.versus.sides import OURS, PROJECT, SEARCHES, STOCK, Training, space

FINISHED = 10
"""Trials before the user presses Ctrl-C."""

MAX_EPOCHS = 9


def halved(data: bytes) -> bytes:
    """The first half of a file."""
    return data[: len(data) // 2]


def without_its_end(data: bytes) -> bytes:
    """A file of which the last 30 bytes were not written."""
    return data[:-30]


def third_line_halved(data: bytes) -> bytes:
    """A file with a damaged line that is not the last one."""
    lines = data.splitlines(keepends=True)
    lines[2] = halved(lines[2]) + b"\n"
    return b"".join(lines)


DAMAGES: Mapping[str, Mapping[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "end": {STOCK: ("oracle.json", without_its_end), OURS: ("trials.jsonl", without_its_end)},
    "half": {STOCK: ("oracle.json", halved), OURS: ("trials.jsonl", halved)},
    "trial": {STOCK: ("trial_0002/trial.json", halved), OURS: ("trials.jsonl", third_line_halved)},
    "settings": {STOCK: ("tuner0.json", halved), OURS: ("settings.json", halved)},
}
"""What is damaged -> side -> the file, and what is left of it."""


def damage(side: str, *, what: str) -> dict[str, Any]:
    """A search is interrupted, one of its files is damaged, and it is continued."""
    name, cut = DAMAGES[what][side]
    with tempfile.TemporaryDirectory() as folder:
        finished = _interrupted(side, Path(folder))
        file = Path(folder) / PROJECT / name
        file.write_bytes(cut(file.read_bytes()))
        training = Training()
        try:
            SEARCHES[side](Path(folder), training, max_epochs=MAX_EPOCHS)
        except Exception as error:
            return _report(file, finished, 0) | {
                "raises": type(error).__name__,
                "names_the_file": file.name in str(error),
            }
    return _report(file, finished, len(finished - set(training.started)))


def _report(file: Path, finished: set[str], kept: int) -> dict[str, Any]:
    return {"file": file.name, "finished": len(finished), "kept": kept}


def _interrupted(side: str, folder: Path, **options: Any) -> set[str]:
    """A search with its first trials finished; gives their ids."""
    reported: set[str] = set()
    training = Training(
        stop_at=FINISHED, tell=lambda what, name: reported.add(name) if what == "reported" else None
    )
    try:
        SEARCHES[side](folder, training, **{"max_epochs": MAX_EPOCHS} | options)
    except KeyboardInterrupt:
        return reported
    raise RuntimeError(f"The search of {side} ended before its trial {FINISHED}.")


CHANGES: Mapping[str, Callable[[], tuple[dict[str, Any], dict[str, Any], tuple[str, str]]]] = {
    "max-epochs": lambda: ({"max_epochs": 9}, {"max_epochs": 27}, ("9", "27")),
    "objective": lambda: ({"objective": "val_accuracy"}, {"objective": "val_loss"}, ("accuracy", "loss")),
    "range": lambda: ({"hypermodel": space()}, {"hypermodel": space(lowest=5.0)}, ("0.0", "5.0")),
}
"""What is changed -> the options before and after, and what a message on it has to name."""


def change(side: str, *, what: str) -> dict[str, Any]:
    """A search is interrupted and continued with one thing changed: is it told, and what is then in it?"""
    before, after, values = CHANGES[what]()
    with tempfile.TemporaryDirectory() as folder:
        _interrupted(side, Path(folder), **before)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = SEARCHES[side](Path(folder), Training(), **{"max_epochs": MAX_EPOCHS} | after)
            except Exception as error:
                named = all(value in str(error) for value in values)
                return {"raises": type(error).__name__, "names_the_change": named}
        told = [each for each in caught if not issubclass(each.category, DeprecationWarning)]
        return {"warnings": len(told), "trials": CONTENTS[what](side, result)}


def _longest(side: str, result: Any) -> dict[str, int]:
    """Trials by their epochs."""
    if side == OURS:
        return _count(record.epochs for record in result.trials)
    return _count(trial.hyperparameters.values["tuner/epochs"] for trial in result.oracle.trials.values())


def _objectives(side: str, result: Any) -> dict[str, int]:
    """Trials by what their score is; a loss is above 10 here, an accuracy below."""
    trials = result.trials if side == OURS else result.oracle.trials.values()
    return _count("val_loss" if trial.score > 10 else "val_accuracy" for trial in trials)


def _ranges(side: str, result: Any) -> dict[str, int]:
    """Trials by the range their `x` is from."""
    if side == OURS:
        values = [record.hyperparameters for record in result.trials]
    else:
        values = [trial.hyperparameters.values for trial in result.oracle.trials.values()]
    return _count("old" if each["x"] <= 1 else "new" for each in values)


def _count(kinds: Any) -> dict[str, int]:
    return {str(kind): num for kind, num in sorted(collections.Counter(kinds).items())}


CONTENTS: Mapping[str, Callable[[str, Any], dict[str, int]]] = {
    "max-epochs": _longest,
    "objective": _objectives,
    "range": _ranges,
}
