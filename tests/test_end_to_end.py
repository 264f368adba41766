"""Whole commands in processes of their own, as a person runs them, on a tiny data set."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.end_to_end

PLAN = ("--max-epochs", "2", "--factor", "2", "--max-macs", "1M", "--confirm", "1")
NUM_TRIALS = 10
"""Brackets of 2 x 1 -> 1 x 2 and of 2 x 2 epochs, the baseline, and two seeds of it and of the best."""


@dataclass(frozen=True)
class Workplace:
    """A folder with a data set, where commands are run."""

    folder: Path

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=environment(),
            **options,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            # Tests that a shell runs in the background inherit that Ctrl-C is ignored.
            preexec_fn=None if os.name == "nt" else heed_interrupts,
        )

    def read(self, *path: str) -> Any:
        return json.loads(self.folder.joinpath("logs", *path).read_text())

    def trials(self, run: str) -> list[dict[str, Any]]:
        lines = (self.folder / "logs" / run / "trials.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment() -> dict[str, str]:
    """Without this process's own settings of TensorFlow, which the commands are to make themselves."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    return ours | {"PYTHONPATH": str(ROOT)}


SEARCH = str(ROOT / "search.py")
FINAL_TRAIN = str(ROOT / "final_train.py")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """With `tiny.npz`: 120 images of 16x16, of two classes told apart by their brightness."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    y = np.arange(160) % 2
    x = (rng.integers(0, 128, (160, 16, 16, 3)) + 100 * y[:, None, None, None]).astype(np.uint8)
    np.savez(folder / "tiny.npz", x_train=x[:120], y_train=y[:120], x_test=x[120:], y_test=y[120:])
    return Workplace(folder)


@pytest.fixture(scope="module")
def searched(place: Workplace) -> subprocess.CompletedProcess[str]:
    """An undisturbed search, as run `default`."""
    return place.run(SEARCH, "--dataset", "tiny.npz", *PLAN, "--workers", "1")


def what_counts(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All of the records but times and workers, in the order of their ids."""
    differ = ("seconds", "elapsed_seconds", "curve", "worker")
    kept = [
        {name: value for name, value in trial.items() if name not in differ}
        | {"curve": [{**epoch, "seconds": None} for epoch in trial["curve"]]}
        for trial in trials
    ]
    return sorted(kept, key=lambda trial: trial["trial_id"])


def test_a_search_ends_with_the_incumbent_and_the_next_command(
    place: Workplace, searched: subprocess.CompletedProcess[str]
) -> None:
    assert searched.returncode == 0, searched.stderr
    out = searched.stdout.splitlines()
    assert out[0].startswith(f"{NUM_TRIALS} of {NUM_TRIALS} planned trials completed in ")
    assert out[1].startswith("incumbent: val_accuracy ")
    verdicts = [
        line for line in out if line.startswith(("lift over the documented", "No structure did better"))
    ]
    assert len(verdicts) == 1
    assert any("confirmed " in line for line in out)
    assert "the documented network at width " in searched.stdout
    assert out[-2] == "next: python final_train.py --best"
    assert re.fullmatch(r"      \(50 epochs, about .*; --max-time fits it to a time\)", out[-1])
    assert not any("Traceback" in line or "oneDNN" in line for line in searched.stderr.splitlines())


def test_progress_is_one_line_a_trial_where_stderr_is_no_terminal(
    searched: subprocess.CompletedProcess[str],
) -> None:
    lines = [line for line in searched.stderr.splitlines() if line.startswith("[")]
    assert [line.split()[0] for line in lines] == [
        f"[{number}/{NUM_TRIALS}]" for number in range(1, NUM_TRIALS + 1)
    ]
    assert lines[0].split()[1] == "baseline"


def test_a_run_leaves_its_files(place: Workplace, searched: subprocess.CompletedProcess[str]) -> None:
    assert searched.returncode == 0
    settings, best = place.read("default", "settings.json"), place.read("default", "best.json")
    trials = place.trials("default")
    assert settings["settings"]["max_epochs"] == 2
    assert settings["machine"]["environment"]["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert len(trials) == NUM_TRIALS
    assert [trial["status"] for trial in trials] == ["COMPLETED"] * NUM_TRIALS
    assert all(len(trial["curve"]) == trial["epochs"] for trial in trials)
    assert all(trial["macs"] <= 1_000_000 for trial in trials)
    means = {
        name: sum(
            trial["score"]
            for trial in trials
            if trial["parent_trial_id"] == name and trial["role"] == "confirm"
        )
        / 2
        for name in best["confirmed"]
    }
    assert "baseline" in means
    assert len(means) == 2
    assert means[best["trial_id"]] == max(means.values())
    folder = place.folder / "logs" / "default"
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (folder / "trials").iterdir()} == {trial["trial_id"] for trial in trials}


def test_a_finished_search_says_so_and_trains_nothing(
    place: Workplace, searched: subprocess.CompletedProcess[str]
) -> None:
    before = (place.folder / "logs" / "default" / "trials.jsonl").read_bytes()
    again = place.run(SEARCH)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("The search in logs/default is finished.")
    assert again.stdout.splitlines()[-2] == "next: python final_train.py --best"
    assert (place.folder / "logs" / "default" / "trials.jsonl").read_bytes() == before


def test_other_settings_are_refused_with_the_differences(
    place: Workplace, searched: subprocess.CompletedProcess[str]
) -> None:
    refused = place.run(SEARCH, "--factor", "3", "--seed", "0", "--recipe", "documented")
    assert refused.returncode == 1
    assert "(recipe: stored modern, given documented; factor: stored 2, given 3)" in refused.stderr


def test_the_status_is_told_in_words_and_as_json(
    place: Workplace, searched: subprocess.CompletedProcess[str]
) -> None:
    words = place.run(SEARCH, "--status")
    assert words.stdout.startswith("logs/default: finished\n")
    status = json.loads(place.run(SEARCH, "--status", "--json").stdout)
    assert status["trials"] == {"planned": NUM_TRIALS, "COMPLETED": NUM_TRIALS, "FAILED": 0, "TIMED_OUT": 0}
    assert status["incumbent"]["trial_id"] == place.read("default", "best.json")["trial_id"]


def test_a_reader_that_leaves_is_no_error_of_ours(place: Workplace) -> None:
    """It left before anything was written: what is written to it then is refused."""
    command = f"{sys.executable} {SEARCH} --plan --dataset tiny.npz | true"
    ran = subprocess.run(
        command, shell=True, cwd=place.folder, capture_output=True, text=True, env=environment()
    )
    assert ran.stdout == ""
    assert "Error" not in ran.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "status", "workers"),
    [
        (signal.SIGINT, 130, ("--workers", "1")),
        (signal.SIGTERM, 143, ("--workers", "0")),
        (signal.SIGKILL, -signal.SIGKILL, ("--workers", "0")),
    ],
)
def test_an_interrupted_search_continues_to_the_same_trials(
    number: signal.Signals,
    status: int,
    workers: tuple[str, str],
    place: Workplace,
    searched: subprocess.CompletedProcess[str],
) -> None:
    run = f"stopped-{number.name}"
    flags = ("--dataset", "tiny.npz", *PLAN)
    process = place.start(SEARCH, *flags, *workers, "--run", run)
    assert process.stderr is not None
    # The line of the second trial is printed when it stands in the log.
    for line in process.stderr:
        if line.startswith(f"[2/{NUM_TRIALS}]"):
            break
    process.send_signal(number)
    _, rest = process.communicate()
    assert process.returncode == status
    if status > 0:
        assert f"Continue: python search.py {' '.join((*flags, *workers))} --run {run}" in rest
    assert 2 <= len(place.trials(run)) < NUM_TRIALS
    assert place.read(run, "settings.json")["finished"] is False
    continued = place.run(SEARCH, "--run", run, *workers)  # the other flags are those of the run
    assert continued.returncode == 0, continued.stderr
    assert what_counts(place.trials(run)) == what_counts(place.trials("default"))


def test_the_final_training_leaves_a_model_that_loads_without_this_project(
    place: Workplace, searched: subprocess.CompletedProcess[str]
) -> None:
    ran = place.run(FINAL_TRAIN, "--best", "--epochs", "2")
    assert ran.returncode == 0, ran.stderr
    result = place.read("default", "final", "best", "result.json")
    assert ran.stdout.startswith(
        f"test accuracy {result['test_accuracy']:.4f}, loss {result['test_loss']:.4f} on 40"
    )
    assert result["trial_id"] == place.read("default", "best.json")["trial_id"]
    assert len(place.read("default", "final", "best", "history.json")["epochs"]) == 2
    folder = place.folder / "logs" / "default" / "final" / "best"
    assert {path.name for path in folder.iterdir() if path.suffix == ".png"} == {
        "learning_curves.png",
        "confusion_matrix.png",
        "samples.png",
    }
    program = (
        "import sys, keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1], safe_mode=True)\n"
        "data = np.load(sys.argv[2])\n"
        "right = model.predict(data['x_test'], verbose=0).argmax(axis=1) == data['y_test']\n"
        "assert not {'archsearch', 'space'} & sys.modules.keys()\n"
        "print(right.mean())\n"
    )
    alone = subprocess.run(
        [sys.executable, "-I", "-c", program, str(folder / "model.keras"), str(place.folder / "tiny.npz")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(alone.stdout) == result["test_accuracy"]


def test_an_earlier_final_training_is_not_replaced_unasked(
    place: Workplace, searched: subprocess.CompletedProcess[str]
) -> None:
    """Runs after the training above, or makes its own."""
    place.run(FINAL_TRAIN, "--best", "--epochs", "1")
    refused = place.run(FINAL_TRAIN, "--best", "--epochs", "1")
    assert refused.returncode == 1
    assert "Add --overwrite to replace it;" in refused.stderr


def test_an_unknown_trial_is_one_sentence(
    place: Workplace, searched: subprocess.CompletedProcess[str]
) -> None:
    refused = place.run(FINAL_TRAIN, "--trial", "b9-r9-s9")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: There is no trial 'b9-r9-s9' in ")


def test_the_documented_network_trains_without_a_run(place: Workplace) -> None:
    flags = ("--documented", "--dataset", "tiny.npz", "--epochs", "1", "--run", "documented")
    ran = place.run(FINAL_TRAIN, *flags)
    assert ran.returncode == 0, ran.stderr
    result = place.read("documented", "final", "documented", "result.json")
    # At 16x16 and 2 classes: the fifth pooling does not fit, Flatten gives 512 as at 32x32, and the
    # output layer has 2 x 513 weights instead of 10 x 513.
    assert result["params"] == 14_996_682 - 8 * 513
    assert result["recipe"]["name"] == "documented"
    assert result["search_seconds"] is None


def test_without_a_network_the_error_names_the_command_that_works(place: Workplace, tmp_path: Path) -> None:
    nowhere = environment() | {"HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, SEARCH, "--run", "offline"]
    ran = subprocess.run(command, cwd=place.folder, capture_output=True, text=True, env=nowhere)
    assert ran.returncode == 1
    assert "python search.py --dataset digits" in ran.stderr
    assert not (place.folder / "logs" / "offline").exists()


def test_if_nothing_succeeds_the_status_is_3(place: Workplace) -> None:
    program = (
        "import sys, space.hypermodel as space\n"
        "from archsearch import cli\n"
        "def fit(self, *args, **kwargs): raise MemoryError('no memory for this network')\n"
        "import archsearch.speed as speed\n"
        "speed.measure_speed = lambda *args, **kwargs: speed.estimate_speed()\n"
        "space.VGGHyperModel.fit = fit\n"
        "sys.exit(cli.search(sys.argv[1:], 'search.py'))\n"
    )
    ran = place.run("-c", program, "--dataset", "tiny.npz", *PLAN, "--run", "failing", "--workers", "0")
    assert ran.returncode == 3, ran.stderr
    assert "No trial succeeded." in ran.stdout
    assert "MemoryError: no memory for this network" in ran.stdout
    # The baseline, and three draws for each of the 2 + 2 slots of the first rungs.
    assert len(place.trials("failing")) == 1 + 3 * 4
