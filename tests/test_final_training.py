"""The final training: its refusals, and what becomes of an earlier result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archsearch
from archsearch import UserError


def data(*, test: bool = True) -> Any:
    """20 images of 8x8 in two classes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    y = np.arange(20) % 2
    return (x, y), (x[:4], y[:4]) if test else None


def final_train(logs: Path, *, test: bool = True, **options: Any) -> Any:
    return archsearch.final_train("documented", data=data(test=test), logs=logs, verbose=False, **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "--epochs must be at least 1, got 0"),
        ({"recipe": "best"}, "--recipe must be one of modern, documented; got 'best'"),
        ({"seed": -1}, "--seed must be at least 0, got -1|must be a whole number, at least 0; got -1"),
        ({"seed": 2**32}, "--seed must be below 4294967296, got 4294967296"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        final_train(tmp_path, **options)


def test_data_without_a_test_part_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no test part, on which a final training ends"):
        final_train(tmp_path, test=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.tensorflow
def test_an_earlier_result_stays_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import runtime

    runtime.import_tensorflow()
    from archsearch import training

    folder = tmp_path / "default" / "final" / "documented"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"test_accuracy": 0.5}))

    def diverge(*args: Any) -> None:
        raise training.Diverged("the loss was nan")

    monkeypatch.setattr(training, "train", diverge)
    with pytest.raises(UserError, match=r"The final training failed: the loss was nan\."):
        final_train(tmp_path, overwrite=True)
    assert json.loads((folder / "result.json").read_text()) == {"test_accuracy": 0.5}
