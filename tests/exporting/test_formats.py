"""Names of formats, and what is said where a package is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import archsearch
from archsearch import cli
from archsearch.errors import UserError
from archsearch.exporting.formats import FORMATS, parse_formats, require


def test_formats_come_once_each_and_in_their_order() -> None:
    assert parse_formats("litert, onnx,litert") == ("onnx", "litert")
    assert parse_formats(["litert", "onnx", "litert"]) == ("onnx", "litert")


@pytest.mark.parametrize(("text", "given"), [("torch", "torch"), ("", "none"), ("onnx,tflite", "tflite")])
def test_an_unknown_format_is_refused_with_the_list(text: str, given: str) -> None:
    with pytest.raises(UserError, match=rf"keras, savedmodel, onnx, litert, litert-int8, .*; got {given}\."):
        parse_formats(text)


@pytest.mark.parametrize("export", ["x", ("onnx", "x"), ["x"]])
def test_an_unknown_format_is_refused_from_python_too(tmp_path: Path, export: Any) -> None:
    with pytest.raises(UserError, match=r"litert-int8, .*; got x\."):
        archsearch.final_train(logs=tmp_path, export=export)


def test_an_unknown_format_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (cli.export, cli.final_train):
        flags = ["mine", "--format", "x"] if command is cli.export else ["--best", "--export", "x"]
        with pytest.raises(SystemExit, match="2"):
            command(flags, "archsearch")
        assert "got x." in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_spec(name: str, *_: Any) -> object | None:
        return None if name in ("tf2onnx", "onnxruntime") else object()

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(UserError, match=r"^The format onnx needs .*: pip install tf2onnx onnxruntime$"):
        require(["keras", "onnx"])
    require(["keras", "litert"])


def test_every_format_has_a_file_of_its_own() -> None:
    assert len({each.file for each in FORMATS.values()}) == len(FORMATS)
