"""Progress on a terminal and in a file."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from archsearch.reporting.progress import SearchProgress, TrainingProgress
from archsearch.trials import Role, TrialRecord
from tests.records import trial

CLOCK_START = 1000.0
LONG_TEXT = "5 blocks 64-128-256-512-512, 13 convolutions, 15.0 M weights, 313 M macs"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = CLOCK_START

    def __call__(self) -> float:
        return self.now


def record(trial_id: str, score: float | None, **changes: Any) -> TrialRecord:
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "score": score,
        "epochs": 3,
        "bracket": 2,
        "seconds": 41.0,
        "elapsed_seconds": 41.0,
        "worker": "local",
    }
    return trial(**(values | changes))


def search_progress(stream: io.StringIO | Console, **changes: Any) -> SearchProgress:
    values: dict[str, Any] = {
        "total_trials": 24,
        "total_epochs": 100,
        "objective": "val_accuracy",
        "direction": "max",
        "deadline_seconds": 1800.0,
    }
    return SearchProgress(stream=stream, **(values | changes))


def terminal(width: int = 80) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, color_system="truecolor", legacy_windows=False
    )


def written(console: Console) -> str:
    """What a terminal got, without colours and cursor movements."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "\n")


def test_a_file_gets_one_line_for_a_finished_trial() -> None:
    stream, clock = io.StringIO(), Clock()
    with search_progress(stream, clock=clock, done_trials=11, done_epochs=30) as progress:
        progress.trial_started("b2-r0-s3", 3, "5 blocks 64-128")
        clock.now += 12 * 60 + 40
        best, baseline = record("b2-r1-s1", 0.654), record("baseline", 0.6402)
        progress.trial_ended(record("b2-r0-s3", 0.6123), best, baseline)
    assert stream.getvalue() == (
        "[12/24] b2-r0-s3  3 epochs  val_accuracy 0.6123  best 0.6540 (b2-r1-s1)  baseline 0.6402"
        "  0:41  17 min left  5 blocks 64-128\n"
    )


def test_confirmed_means_stand_where_the_scores_stood() -> None:
    stream = io.StringIO()
    place = {"role": Role.CONFIRM, "iteration": None, "bracket": None, "rung": None, "slot": None}
    with search_progress(stream, done_trials=26) as progress:
        best, baseline = record("b2-r1-s1", 0.654), record("baseline", 0.6402)
        means = {"b2-r1-s1": 0.64049, "baseline": 0.65}
        progress.trial_ended(record("b2-r1-s1-c1", 0.65, **place), best, baseline)
        progress.trial_ended(record("b2-r1-s1-c2", 0.631, **place), best, baseline, means)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("[27/27] b2-r1-s1-c1  3 epochs  val_accuracy 0.6500  best 0.6540 (b2-r1-s1)  ")
    assert second.startswith(
        "[28/28] b2-r1-s1-c2  3 epochs  val_accuracy 0.6310  best 0.6405 confirmed (b2-r1-s1)  "
        "baseline 0.6500 confirmed  "
    )


def test_a_line_in_a_file_is_never_wrapped() -> None:
    stream = io.StringIO()
    with search_progress(stream) as progress:
        progress.trial_started("b2-r0-s3", 3, LONG_TEXT * 5)
        progress.trial_ended(record("b2-r0-s3", 0.6123), None, None)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith(f"{LONG_TEXT}\n")


def test_a_failed_trial_says_why_in_the_first_line_of_its_message() -> None:
    stream = io.StringIO()
    with search_progress(stream) as progress:
        progress.trial_started("b2-r0-s3", 3, "")
        progress.trial_ended(record("b2-r0-s3", None, message="out of memory [2 GB]\nTraceback"), None, None)
    assert "b2-r0-s3  3 epochs  FAILED: out of memory [2 GB]  0:41" in stream.getvalue()
    assert "Traceback" not in stream.getvalue()


def test_a_short_trial_prints_no_epochs_in_a_file() -> None:
    stream, clock = io.StringIO(), Clock()
    with search_progress(stream, clock=clock) as progress:
        progress.trial_started("b2-r0-s3", 27, "")
        for epoch in range(1, 28):
            clock.now += 1
            progress.epoch("b2-r0-s3", epoch, 27, {"val_accuracy": 0.5})
    assert stream.getvalue() == ""


def test_a_long_trial_prints_an_epoch_at_most_every_thirty_seconds_in_a_file() -> None:
    stream, clock = io.StringIO(), Clock()
    with search_progress(stream, clock=clock) as progress:
        progress.trial_started("b2-r0-s3", 9, "")
        for epoch in range(1, 10):
            clock.now += 12
            progress.epoch("b2-r0-s3", epoch, 9, {"val_accuracy": epoch / 10})
    # Epochs end after 12, 24, 36, ... 108 seconds: the third is the first past 30, the sixth the next; the
    # ninth is the last, and the line of the trial will follow it.
    assert stream.getvalue().splitlines() == [
        "b2-r0-s3  epoch 3/9  val_accuracy 0.3000  29 min left",
        "b2-r0-s3  epoch 6/9  val_accuracy 0.6000  29 min left",
    ]


def test_without_a_deadline_the_planned_epochs_left_are_shown() -> None:
    stream = io.StringIO()
    with search_progress(stream, deadline_seconds=None, done_epochs=10) as progress:
        progress.trial_started("b2-r0-s4", 9, "")
        progress.epoch("b2-r0-s4", 2, 9, {})
        progress.trial_ended(record("b2-r0-s3", 0.6), None, None)
    assert "85 epochs left" in stream.getvalue()  # 100 - 10 - 2 - 3


def test_a_slot_drawn_again_counts_once() -> None:
    stream = io.StringIO()
    with search_progress(stream) as progress:
        progress.trial_ended(record("b2-r0-s0", None), None, None)
        progress.trial_ended(record("b2-r0-s0-a1", 0.6, attempt=1), None, None)
        progress.trial_ended(record("b2-r0-s1", 0.6, slot=1), None, None)
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["[1/24]", "[1/24]", "[2/24]"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3 * 3600 + 300, "3 h 05 min left"),
        (3600 + 300, "65 min left"),
        (90, "2 min left"),
        (89, "89 s left"),
        (-1, "time is up"),
    ],
)
def test_time_left_is_in_the_unit_a_person_would_use(seconds: float, text: str) -> None:
    stream = io.StringIO()
    with search_progress(stream, deadline_seconds=seconds, clock=Clock()) as progress:
        progress.trial_ended(record("b2-r0-s0", 0.6), None, None)
    assert text in stream.getvalue()


def test_a_terminal_shows_trial_epoch_score_best_and_baseline() -> None:
    console = terminal()
    with search_progress(console, clock=Clock()) as progress:
        best, baseline = record("b2-r1-s1", 0.654), record("baseline", 0.6402)
        progress.trial_ended(record("b2-r0-s2", 0.6), best, baseline)
        progress.trial_started("b2-r0-s3", 3, LONG_TEXT)
        progress.epoch("b2-r0-s3", 2, 3, {"val_accuracy": 0.5912})
    last = written(console).splitlines()[-4:]
    assert re.fullmatch(r"trial 2 of 24  \S+  0:00  30 min left *", last[0])
    assert last[1] == "best 0.6540 (b2-r1-s1)  baseline 0.6402"
    assert last[2].startswith("b2-r0-s3  epoch 2/3  val_accuracy 0.5912  5 blocks 64-128")
    assert last[2].endswith("…")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    console = terminal(width)
    with search_progress(console, direction="min", objective="val_balanced_accuracy") as progress:
        for number in range(7):
            progress.trial_started(f"b2-r0-s{number}", 3, LONG_TEXT * 2)
            progress.epoch(f"b2-r0-s{number}", 2, 3, {"val_balanced_accuracy": 0.5912})
        progress.trial_ended(record("b2-r0-s0", 0.6123), record("b2-r1-s1", 0.65), record("baseline", 0.64))
    lines = written(console).splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("[1/24]") for line in lines) == 1
    assert any("and 2 more" in line for line in lines)


def test_a_terminal_keeps_a_note_in_full() -> None:
    console = terminal()
    with search_progress(console) as progress:
        progress.note(f"[{LONG_TEXT}] :cat: end of the note")
    text = " ".join(line.strip() for line in written(console).splitlines())
    assert f"[{LONG_TEXT}] :cat: end of the note" in text


def test_force_color_does_not_make_a_file_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    with search_progress(stream) as progress:
        progress.note("a sentence")
    assert stream.getvalue() == "a sentence\n"


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_takes_the_colours_from_a_terminal(no_color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    console = terminal()
    with search_progress(console) as progress:
        progress.trial_started("b2-r0-s3", 3, "")
    assert isinstance(console.file, io.StringIO)
    coloured = "\x1b[38;" in console.file.getvalue()
    assert coloured is not bool(no_color)


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress("final training") as progress:
        progress.epoch(1, 1, {"loss": 0.5})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "final training  epoch 1/1  loss 0.5000  0:00\n"


def test_a_training_prints_one_line_an_epoch_with_the_time_left_in_a_file() -> None:
    stream, clock = io.StringIO(), Clock()
    values = {"loss": 1.25, "accuracy": 0.5, "val_loss": 1.5, "val_accuracy": 0.4, "seconds": 60.0}
    with TrainingProgress("final training", stream=stream, clock=clock) as progress:
        clock.now += 60
        progress.epoch(1, 4, values)
        clock.now += 90
        progress.epoch(2, 4, values | {"seconds": 90.0})
    numbers = "loss 1.2500  accuracy 0.5000  val_loss 1.5000  val_accuracy 0.4000"
    assert stream.getvalue().splitlines() == [
        f"final training  epoch 1/4  {numbers}  1:00  3 min left",
        f"final training  epoch 2/4  {numbers}  2:30  2 min left",  # two of 75 seconds, rounded to even
    ]


def test_the_time_left_of_a_continued_training_counts_what_its_earlier_epochs_took() -> None:
    """Two epochs of 100 s are reported at once by the process that goes on; the clock has not moved."""
    stream, clock = io.StringIO(), Clock()
    with TrainingProgress("final training", stream=stream, clock=clock) as progress:
        for epoch in (1, 2):
            progress.epoch(epoch, 4, {"loss": 1.0, "seconds": 100.0})
        clock.now += 160
        progress.epoch(3, 4, {"loss": 1.0, "seconds": 160.0})
    assert [line.split("  ")[-2:] for line in stream.getvalue().splitlines()] == [
        ["0:00", "5 min left"],
        ["0:00", "3 min left"],
        ["2:40", "2 min left"],  # one epoch of 360 / 3 = 120 s
    ]


def test_the_last_state_of_a_training_stays_on_a_terminal() -> None:
    console = terminal()
    with TrainingProgress("final training", stream=console, clock=Clock()) as progress:
        progress.epoch(50, 50, {"val_accuracy": 0.9})
    last = written(console).rstrip("\n").splitlines()[-2:]
    assert last[0].startswith("final training  epoch 50 of 50  ")
    assert last[1] == "val_accuracy 0.9000"


# Workers.


def test_several_workers_are_told_apart() -> None:
    console = terminal()
    with search_progress(console, num_workers=2) as progress:
        progress.trial_started("b2-r0-s0", 3, "a network")
        progress.trial_placed("b2-r0-s0", "2")
        progress.epoch("b2-r0-s0", 1, 3, {"val_accuracy": 0.5})
    assert "b2-r0-s0  epoch 1/3  val_accuracy 0.5000  worker 2  a network" in written(console)


def test_a_line_in_a_file_names_the_worker() -> None:
    stream = io.StringIO()
    with search_progress(stream, num_workers=2) as progress:
        progress.trial_started("b2-r0-s0", 3, "a network")
        progress.trial_ended(record("b2-r0-s0", 0.5, worker="2"), None, None)
    assert "0:41 on worker 2" in stream.getvalue()


def test_the_one_worker_is_not_named() -> None:
    stream = io.StringIO()
    with search_progress(stream) as progress:
        progress.trial_started("b2-r0-s0", 3, "a network")
        progress.trial_placed("b2-r0-s0", "1")
        progress.trial_ended(record("b2-r0-s0", 0.5, worker="1"), None, None)
    assert "worker" not in stream.getvalue()
