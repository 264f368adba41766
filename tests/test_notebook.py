"""From a notebook: what progress shows, and docs/notebook.ipynb from its first cell to its last."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import archsearch
from archsearch.callbacks import SearchCallback
from archsearch.reporting.notebook import FIRST, LAST, CellStream, default_stream, in_notebook
from archsearch.reporting.progress import TrainingProgress

ROOT = Path(__file__).resolve().parent.parent


class Handle:
    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, lines: Any) -> None:
        self.shown.append(repr(lines))


def test_outside_of_a_notebook_progress_goes_to_stderr() -> None:
    assert not in_notebook()
    assert default_stream() is sys.stderr


def test_a_kernel_is_a_notebook_also_where_its_shell_is_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    jupyter = type("ZMQInteractiveShell", (), {})
    derived, terminal = type("Shell", (jupyter,), {}), type("TerminalInteractiveShell", (), {})
    for shell, expected in ((jupyter(), True), (derived(), True), (terminal(), False), (None, False)):
        ipython = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert in_notebook() is expected


def test_a_cell_shows_whole_lines() -> None:
    handle = Handle()
    stream = CellStream(handle)
    stream.write("one")
    assert handle.shown == []
    stream.write(" and two\nthree\nfo")
    assert handle.shown == ["one and two\nthree"]


def test_a_cell_keeps_the_first_and_the_last_lines_and_counts_the_others() -> None:
    handle = Handle()
    stream = CellStream(handle)
    for number in range(FIRST + LAST):
        print(number, file=stream)
    assert handle.shown[-1].split("\n") == [str(number) for number in range(FIRST + LAST)]
    for number in range(3):
        print(f"more {number}", file=stream)
    lines = handle.shown[-1].split("\n")
    assert lines[FIRST - 1 : FIRST + 2] == [str(FIRST - 1), "... 3 lines", str(FIRST + 3)]
    assert lines[-1] == "more 2"
    assert len(lines) == FIRST + 1 + LAST


def test_progress_writes_plain_lines_into_a_cell() -> None:
    handle = Handle()
    with TrainingProgress("training", stream=CellStream(handle), clock=lambda: 0.0) as progress:
        progress.epoch(1, 2, {"loss": 0.5, "seconds": 1.0})
        progress.epoch(2, 2, {"loss": 0.25, "seconds": 1.0})
    assert len(handle.shown) == 2
    assert "\x1b" not in handle.shown[-1]
    assert handle.shown[-1].splitlines()[1].startswith("training  epoch 2/2  loss 0.2500")


def test_a_stream_is_no_terminal() -> None:
    assert not CellStream(Handle()).isatty()
    assert isinstance(CellStream(Handle()), io.TextIOBase)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"callbacks": [SearchCallback]}, r"`callbacks` takes instances of .*SearchCallback, got <class"),
        ({"callbacks": [object()]}, r"`callbacks` takes instances of .*SearchCallback, got <object"),
        ({"hypermodel": SearchCallback}, r"`hypermodel` must be an instance of .*HyperModel, got <class"),
        ({"hypermodel": 3}, r"`hypermodel` must be an instance of .*HyperModel, got 3\."),
    ],
)
def test_what_is_no_callback_or_hypermodel_is_refused_before_anything_is_done(
    given: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(archsearch.UserError, match=sentence):
        archsearch.search("digits", logs=tmp_path / "logs", **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.end_to_end
@pytest.mark.timeout(900)  # a minute and a half where nothing else computes
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """Offline, in a folder of its own; every cell ends without an error, and without a red block."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        nbclient.NotebookClient(
            notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    streams = "".join(output.text for output in outputs if output.output_type == "stream")
    data = [output.data for output in outputs if "data" in output]
    assert "ended:" in streams  # of the callback
    assert any("planned" in each["text/plain"] or "trials," in each["text/plain"] for each in data)
    assert any("image/png" in each for each in data)
    assert any("text/html" in each for each in data)  # of the table
    assert (tmp_path / "logs" / "notebook" / "final" / "best" / "model.keras").exists()
