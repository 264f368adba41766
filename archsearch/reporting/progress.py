"""How far a search or a training is: a live display on a terminal, plain lines elsewhere, on stderr.

A file or a pipe gets whole lines that can be searched; a terminal gets a few lines that are redrawn
and cut, never wrapped, at its width. `NO_COLOR` is respected by rich.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archsearch.reporting.notebook import default_stream
from archsearch.standing import baseline_label
from archsearch.trials import Status, TrialRecord

SECONDS_BETWEEN_LINES = 30.0
"""Of one long trial, where every line stays."""

MAX_TRIALS_SHOWN = 4


class _Display:
    """A stream that is either redrawn or appended to; used as a context manager."""

    def __init__(self, *, stream: TextIO | Console | None, clock: Callable[[], float], keep: bool) -> None:
        self._console = stream if isinstance(stream, Console) else _console(stream or default_stream())
        self._on_terminal = self._console.is_terminal and not self._console.is_dumb_terminal
        self._clock = clock
        self._start = clock()
        self._keep = keep
        self._live: Live | None = None

    def _elapsed(self) -> float:
        return self._clock() - self._start

    def _picture(self) -> RenderableType:
        raise NotImplementedError

    def _line(self, text: str) -> None:
        if self._on_terminal:
            self._console.print(Text(text), no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(Text(text), soft_wrap=True)

    def __enter__(self) -> Self:
        self._start = self._clock()
        if self._on_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._picture,
                transient=not self._keep,
                redirect_stdout=False,  # results go there, and perhaps into a file
            )
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()


def _console(stream: TextIO) -> Console:
    """Told what the stream is: rich takes FORCE_COLOR for a terminal, and a notebook for its own display."""
    return Console(file=stream, force_terminal=stream.isatty(), force_jupyter=False, highlight=False)


@dataclass
class _Running:
    """A trial under way."""

    epochs: int
    text: str
    last_line: float
    worker: str = ""
    epoch: int = 0
    values: Mapping[str, float] = field(default_factory=dict)


class SearchProgress(_Display):
    """Trial by trial, how far a search is.

    Args:
        total_trials: Planned, those already done included.
        total_epochs: Planned, of all these trials.
        objective: Name of the value shown of each epoch, as in "val_accuracy".
        direction: "max" or "min"; said with the objective where lower is better.
        deadline_seconds: What the search may still spend, counted from entering; `None` shows epochs left.
        num_workers: Trials at a time; if more than one, it is said which of them trains what.
        stream: Default: stderr.
        done_trials, done_epochs: Of an earlier session, when a search is continued.
    """

    def __init__(
        self,
        *,
        total_trials: int,
        total_epochs: int,
        objective: str,
        direction: str,
        deadline_seconds: float | None,
        num_workers: int = 1,
        stream: TextIO | Console | None = None,
        done_trials: int = 0,
        done_epochs: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream=stream, clock=clock, keep=False)
        self._total_trials, self._total_epochs = total_trials, total_epochs
        self._done_trials, self._done_epochs = done_trials, done_epochs
        self._objective, self._deadline_seconds = objective, deadline_seconds
        self._num_workers = num_workers
        self._goal = f"{objective}, lower is better" if direction == "min" else ""
        self._running: dict[str, _Running] = {}
        self._ended: dict[tuple[object, ...], int] = {}  # epochs by place in the plan
        self._standing = ""

    def trial_started(self, trial_id: str, epochs: int, text: str) -> None:
        """Takes note of a trial; `text` describes its network."""
        self._running[trial_id] = _Running(epochs=epochs, text=text, last_line=self._clock())

    def trial_placed(self, trial_id: str, worker: str) -> None:
        """Takes note of who trains a trial."""
        if self._num_workers > 1:
            self._running[trial_id].worker = f"worker {worker}"

    def epoch(self, trial_id: str, epoch: int, epochs: int, values: Mapping[str, float]) -> None:
        """Shows one epoch, counted from 1; in a file only those of a long trial."""
        trial = self._running[trial_id]
        trial.epoch, trial.epochs, trial.values = epoch, epochs, values
        due = self._clock() - trial.last_line >= SECONDS_BETWEEN_LINES
        if due and epoch < epochs and not self._on_terminal:  # after the last one comes the trial's line
            trial.last_line = self._clock()
            value = self._value(values)
            self._line(_joined(trial_id, f"epoch {epoch}/{epochs}", value, trial.worker, self._left()))

    def trial_ended(
        self,
        record: TrialRecord,
        best: TrialRecord | None,
        baseline: TrialRecord | None,
        means: Mapping[str, float] | None = None,
    ) -> None:
        """Prints the line of a finished trial; `best` and `baseline` are those known by now.

        Args:
            means: Confirmed ones by trial, shown instead of the search's scores.
        """
        running = self._running.pop(record.trial_id, None)
        self._ended[_place(record)] = record.epochs
        label = baseline_label(baseline) if baseline else ""
        self._standing = _joined(_scored("best", best, means or {}), _scored(label, baseline, means or {}))
        number = self._done_trials + len(self._ended)
        start = f"[{number}/{max(number, self._total_trials)}] {record.trial_id}"
        result = _joined(start, _epochs(record.epochs), self._outcome(record))
        duration, text = _duration(record.seconds), running.text if running else ""
        if self._num_workers > 1:
            duration += f" on worker {record.worker}"
        if self._on_terminal:  # the rest stands in the display below
            self._line(_joined(result, duration, text))
        else:
            self._line(_joined(result, self._standing, duration, self._left(), text))

    def note(self, text: str) -> None:
        """Prints a sentence between the lines of the trials, in full."""
        self._console.print(Text(text), soft_wrap=not self._on_terminal)

    def _outcome(self, record: TrialRecord) -> str:
        if record.status is Status.COMPLETED and record.score is not None:
            return f"{self._objective} {record.score:.4f}"
        reason = (record.message or "").strip().partition("\n")[0]
        return f"{record.status}: {reason}" if reason else str(record.status)

    def _value(self, values: Mapping[str, float]) -> str:
        value = values.get(self._objective)
        return "" if value is None else f"{self._objective} {value:.4f}"

    def _epochs_done(self) -> int:
        # Of copies: the display is redrawn by a thread of its own.
        running = sum(trial.epoch for trial in list(self._running.values()))
        return self._done_epochs + sum(list(self._ended.values())) + running

    def _left(self) -> str:
        if self._deadline_seconds is not None:
            return _time_left(self._deadline_seconds - self._elapsed())
        return f"{_epochs(max(0, self._total_epochs - self._epochs_done()))} left"

    def _picture(self) -> RenderableType:
        running = list(self._running.items())
        number = self._done_trials + len(self._ended) + len(running)
        label = f"trial {number} of {max(number, self._total_trials)}"
        bar = ProgressBar(total=max(1, self._total_epochs), completed=self._epochs_done(), width=24)
        lines = [_joined(self._standing, self._goal)]
        for trial_id, trial in running[:MAX_TRIALS_SHOWN]:
            epoch = f"epoch {trial.epoch}/{trial.epochs}"
            lines.append(_joined(trial_id, epoch, self._value(trial.values), trial.worker, trial.text))
        if len(running) > MAX_TRIALS_SHOWN:
            lines.append(f"and {len(running) - MAX_TRIALS_SHOWN} more")
        times = _joined(_duration(self._elapsed()), self._left())
        return Group(_bar_line(label, bar, times), *(_cut(line) for line in lines if line))


class TrainingProgress(_Display):
    """Epoch by epoch, how far one training is; on a terminal its last state stays.

    Args:
        title: Stands before the epoch, as in "final training".
        stream: Default: stderr.
    """

    def __init__(
        self,
        title: str,
        *,
        stream: TextIO | Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream=stream, clock=clock, keep=True)
        self._title = title
        self._seconds = 0.0  # of all epochs seen; those of an earlier process are among them
        self._epoch, self._epochs = 0, 0
        self._values = ""

    def note(self, text: str) -> None:
        """Shows a sentence that stays."""
        self._line(_joined(self._title, text))

    def epoch(self, epoch: int, epochs: int, values: Mapping[str, float]) -> None:
        """Shows one epoch, counted from 1, of which `seconds` tells how long it took."""
        self._epoch, self._epochs = epoch, epochs
        self._seconds += values.get("seconds", 0.0)
        shown = ("loss", "accuracy", "val_loss", "val_accuracy")
        self._values = _joined(*(f"{name} {values[name]:.4f}" for name in shown if name in values))
        if not self._on_terminal:
            times = _joined(_duration(self._elapsed()), self._left())
            self._line(_joined(self._title, f"epoch {epoch}/{epochs}", self._values, times))

    def _left(self) -> str:
        if self._epoch in (0, self._epochs):
            return ""
        return _time_left(self._seconds / self._epoch * (self._epochs - self._epoch))

    def _picture(self) -> RenderableType:
        label = _joined(self._title, f"epoch {self._epoch} of {self._epochs}" if self._epochs else "")
        bar = ProgressBar(total=max(1, self._epochs), completed=self._epoch, width=24)
        line = _bar_line(label, bar, _joined(_duration(self._elapsed()), self._left()))
        return Group(line, _cut(self._values)) if self._values else line


class DecodingProgress(_Display):
    """How many files of a folder are decoded: a display or lines only if it takes a while.

    Args:
        stream: Default: stderr.
    """

    def __init__(
        self, *, stream: TextIO | Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(stream=stream, clock=clock, keep=False)
        self._done, self._total = 0, 0
        self._begin: float | None = None
        self._last_line = 0.0

    def update(self, done: int, total: int) -> None:
        """Of a part; after its last file the next part may follow."""
        now = self._clock()
        if self._begin is None:
            self._begin = self._last_line = now
        self._done, self._total = done, total
        if done == total:
            if self._last_line > self._begin:
                self._line(self._text())
            self._begin = None
        elif not self._on_terminal and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._line(_joined(self._text(), self._left()))

    def _text(self) -> str:
        return f"decoding images: {self._done:,} of {self._total:,}"

    def _left(self) -> str:
        if self._begin is None or not self._done:
            return ""
        return _time_left((self._clock() - self._begin) / self._done * (self._total - self._done))

    def _picture(self) -> RenderableType:
        if self._begin is None:
            return Text("")
        bar = ProgressBar(total=max(1, self._total), completed=self._done, width=24)
        return _bar_line(self._text(), bar, self._left())


def _place(record: TrialRecord) -> tuple[object, ...]:
    """Where a trial stands in the plan: a slot drawn again after a failure counts once."""
    return record.place or (record.trial_id,)


def _bar_line(label: str, bar: ProgressBar, times: str) -> Table:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_row(_cut(label), bar, _cut(times))
    return line


def _cut(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _scored(word: str, record: TrialRecord | None, means: Mapping[str, float]) -> str:
    if record is None or record.score is None:
        return ""
    name = f" ({record.trial_id})" if word == "best" else ""
    mean = means.get(record.trial_id)
    return f"{word} {record.score:.4f}{name}" if mean is None else f"{word} {mean:.4f} confirmed{name}"


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{number} epochs"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _time_left(seconds: float) -> str:
    if seconds <= 0:
        return "time is up"
    if seconds < 90:
        return f"{round(seconds)} s left"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min left" if hours >= 2 else f"{60 * hours + minutes} min left"
