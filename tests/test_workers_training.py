"""Real trainings in worker processes, begun as a notebook begins them: by a main module that has no file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="Limits the memory of a process"),
]

NOTEBOOK = """
import dataclasses
import os
import signal
import sys
import zlib
from pathlib import Path

import numpy as np

import archsearch
from archsearch import runtime

runtime.import_tensorflow()
import keras
import keras_tuner

from space.recipe import MODERN

FOLDER = Path(sys.argv[1])
SEARCHES = os.getpid()


class Tiny(keras_tuner.HyperModel):
    recipe = dataclasses.replace(MODERN, batch_size=16)

    def build(self, hp):
        filters, dropout = hp.Int("filters", 2, 8), hp.Float("dropout", 0.1, 0.5)
        if os.getpid() != SEARCHES:
            come_to_grief(f"{filters} {dropout}")
        layers = [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(filters, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(2, activation="softmax"),
        ]
        model = keras.Sequential(layers)
        model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        return model


def come_to_grief(values):
    "Once in a trial of some values, whoever trains it: of the five, two are killed and one is starved."
    kind, built = zlib.crc32(values.encode()) % 3, FOLDER / f"built {values}"
    if built.exists():
        return
    built.touch()
    if kind == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == 0:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2**20, resource.RLIM_INFINITY))
        np.ones(2**26)


rng = np.random.default_rng(0)
x, y = rng.integers(0, 256, (80, 8, 8, 1), dtype=np.uint8), np.arange(80) % 2
data = (x, y), (x[:4], y[:4])
for workers in (0, 2):
    archsearch.search(
        data,
        hypermodel=Tiny(),
        run=f"workers-{workers}",
        logs=FOLDER,
        workers=workers,
        max_epochs=2,
        factor=2,
        confirm=1,
        verbose=bool(workers),
    )
"""


def trials(folder: Path) -> dict[str, Any]:
    """All that does not depend on the time and on who trained."""
    records = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    for record in records:
        for name in ("seconds", "elapsed_seconds", "worker"):
            del record[name]
        record["curve"] = [
            {name: value for name, value in epoch.items() if name != "seconds"} for epoch in record["curve"]
        ]
    return {record["trial_id"]: record for record in records}


def test_two_workers_that_are_killed_and_starved_train_what_one_process_trains(tmp_path: Path) -> None:
    """To the last bit, for every trial has one thread in both."""
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-", str(tmp_path)],
        input=NOTEBOOK,
        cwd=tmp_path,
        env=os.environ | threads | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    alone, together = (trials(tmp_path / f"workers-{workers}") for workers in (0, 2))
    assert len(alone) == 10
    assert together == alone
    assert ran.stderr.count("died (SIGKILL(-9)): ") == 2
    assert ran.stderr.count(" is tried again.") == 3
    settings = json.loads((tmp_path / "workers-2" / "settings.json").read_text())
    assert settings["machine"]["threads_per_trial"] == 1
    assert not list((tmp_path / "workers-2" / "cache").glob(".*"))


SCRIPT = """
import archsearch
archsearch.search("tiny.npz", workers=1, max_epochs=1, confirm=0, max_macs=10**6)
print("searched")
"""


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """Other ways to start processes run the script again in each of them."""
    import numpy as np

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8), np.arange(60) % 2
    np.savez(tmp_path / "tiny.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    (tmp_path / "script.py").write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "searched\n"
    records = trials(tmp_path / "logs" / "default")
    assert {record["status"] for record in records.values()} == {"COMPLETED"}
