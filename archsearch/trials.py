"""What one finished trial leaves behind, and the log of all of them.

`trials.jsonl` is the only truth about a search: everything else (the oracle, the standing, the
reports) is computed from the records read here.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from archsearch.errors import UserError, reading
from archsearch.typed import from_plain
from space.architecture import Architecture

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of runs and trials, which are folders: none leads out of the one it is in. Windows reserves a few
more, such as NUL."""


class Status(StrEnum):
    """How a trial ended."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"


class Role(StrEnum):
    """Why a trial was run."""

    BASELINE = "baseline"
    SEARCH = "search"
    CONFIRM = "confirm"


NESTED = ("hyperparameters", "architecture", "curve")
"""Fields that a table cannot hold as they are."""


class Place(NamedTuple):
    """Where in the plan a trial of the search stands."""

    iteration: int
    bracket: int
    rung: int
    slot: int


def plan_order(place: Place, attempt: int) -> tuple[int, ...]:
    """Ascending in the order in which the plan lists the trials of the search."""
    return place.iteration, -place.bracket, place.rung, place.slot, attempt


@dataclass(frozen=True)
class TrialRecord:
    """One line of `trials.jsonl`."""

    trial_id: str
    role: Role
    status: Status
    score: float | None
    """The objective at the last epoch of the rung; `None` unless the trial completed."""
    epochs: int
    """The fidelity asked for: epochs of one complete training."""
    bracket: int | None
    rung: int | None
    slot: int | None
    iteration: int | None
    """Which pass over all brackets; like bracket, rung and slot `None` for the baseline."""
    parent_trial_id: str | None
    """With the same values: the trial one rung below; of a confirmation the trial that is confirmed."""
    attempt: int
    """0 for the first try of a slot; a failed slot is tried again with other values."""
    seed: int
    hyperparameters: Mapping[str, Any]
    architecture: Mapping[str, Any] | None
    """The decoded network; `None` for a hypermodel that has no `Architecture`."""
    params: int | None
    """Weights, moving statistics included."""
    macs: int | None
    """Multiply-adds of one forward pass on one image."""
    seconds: float
    """Wall-clock of the trial: building, tracing, training and validation."""
    elapsed_seconds: float
    """Wall-clock the whole search had spent when this trial ended, over all its sessions."""
    curve: tuple[Mapping[str, float], ...]
    """Per epoch: loss, accuracy, val_loss, val_accuracy, learning_rate, seconds."""
    worker: str
    message: str | None
    """Why the trial failed, in words."""

    @property
    def place(self) -> Place | None:
        """`None` for the baseline and for confirmations."""
        place = (self.iteration, self.bracket, self.rung, self.slot)
        if any(number is None for number in place):
            return None
        return Place(*(int(number or 0) for number in place))

    @property
    def plan_order(self) -> tuple[int, ...]:
        """Ascending in the order of the plan; that of the baseline is the first."""
        return () if self.place is None else plan_order(self.place, self.attempt)

    @property
    def val_accuracy(self) -> float | None:
        """Of the last epoch; `None` where a hypermodel of the user's own does not measure it."""
        return self.curve[-1].get("val_accuracy") if self.curve else None

    @property
    def network_text(self) -> str:
        """The structure in one line; empty for what is no `Architecture`, but of a space of one's own."""
        try:
            return str(Architecture.from_dict(self.architecture)) if self.architecture else ""
        except (TypeError, ValueError):
            return ""

    @classmethod
    def from_json(cls, line: str) -> TrialRecord:
        """Reads one line; keys that a later version added are ignored.

        Raises:
            ValueError, TypeError: The line is not JSON, a field is missing or of another type, or an id could
                lead out of the folder.
        """
        data = json.loads(line)
        if not isinstance(data, dict):
            raise ValueError("not a JSON object")
        names = {field.name for field in dataclasses.fields(cls)}
        missing = sorted(names - data.keys())
        if missing:
            raise ValueError(f"without {', '.join(missing)}")
        data = {name: data[name] for name in names}
        data["role"] = Role(data["role"])
        data["status"] = Status(data["status"])
        data["curve"] = tuple(data["curve"])
        record = from_plain(cls, data)
        for trial_id in (record.trial_id, record.parent_trial_id or record.trial_id):
            if not NAME_PATTERN.fullmatch(trial_id):
                raise ValueError(f"{trial_id!r} is no id of a trial")
        if record.status is Status.COMPLETED and record.score is None:
            raise ValueError("completed without a score")
        return record

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold; a value that is not finite becomes `None`."""
        plain: dict[str, Any] = finite(dataclasses.asdict(self))
        return plain

    def to_row(self) -> dict[str, Any]:
        """One row of a table: the fields, the hyperparameters, and the metrics of the last epoch.

        A hyperparameter, or a metric, that is called like another column has its kind before its name.
        """
        row = {name: value for name, value in vars(self).items() if name not in NESTED}
        last = self.curve[-1] if self.curve else {}
        for kind, values in (("hp", self.hyperparameters), ("last", last)):
            row |= {f"{kind}/{name}" if name in row else name: value for name, value in values.items()}
        return row

    def to_json(self) -> str:
        """One line of JSON, without the line end."""
        return json.dumps(self.to_dict(), allow_nan=False)


def finite(value: Any) -> Any:
    """The same data with NaN and infinities as `None`, so that the file stays JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def read_records(path: Path) -> tuple[list[TrialRecord], bool]:
    """The records of a log in the order they ended, and whether a torn last line was left out.

    A process killed while it appended leaves half a line at the end: that trial is not finished and
    will be run again. Anything unreadable before the last line is not our doing and is refused.
    Of two lines with one `trial_id` (a trial that ran out of time, and was run again when more time
    was given) the later counts.

    Raises:
        UserError: The file or a line other than the last is unreadable.
    """
    if not path.exists():
        return [], False
    with reading(path):
        text = path.read_bytes().decode("utf-8", errors="replace")
    lines = text.split("\n")
    records: dict[str, TrialRecord] = {}
    torn = False
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        if not line:
            continue
        if last:  # every whole line ends with a line end, so what follows the last one is torn
            torn = True
            continue
        try:
            record = TrialRecord.from_json(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path} is damaged in line {number} ({error}). Remove that line to lose only its trial, "
                "or start over with --overwrite."
            ) from error
        records.pop(record.trial_id, None)
        records[record.trial_id] = record
    return list(records.values()), torn
