"""A search as a run of its own in TensorBoard, and all events of a run from its log alone.

`trials.jsonl` is the only truth: every session begins with writing these files anew, so that a search
which was killed and goes on tells nothing twice and nothing backwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tensorboard.compat.proto import event_pb2

from archsearch import standing
from archsearch.reporting.event_file import EventFile, event, files_of, image, replace_file, scalar
from archsearch.reporting.html.findings import Findings, read_findings
from archsearch.reporting.tensorboard import (
    Kind,
    write_hparams_config,
    write_trial_curves,
    write_trial_session,
)
from archsearch.run_folder import RunFolder
from archsearch.trials import Role, Status, TrialRecord

LINES = ("incumbent", "baseline")
"""Runs of equal tags, so that TensorBoard draws them into one chart."""

BY_SECONDS = "search/best score by seconds"
BY_EPOCHS = "search/best score by epochs"
CONFIRMED = "search/confirmed mean by seconds"


@dataclass(frozen=True)
class Point:
    """How a search stood when a trial had ended."""

    seconds: float
    """Of the search."""
    epochs: int
    """Trained so far, those of trials without a score too."""
    scores: dict[str, float]
    """Of the incumbent and the baseline, once there are any."""
    confirmed: dict[str, float]
    """Their means over fresh seeds, once they are confirmed."""


def course(records: Sequence[TrialRecord], direction: str) -> Iterator[Point]:
    """One point a trial, in the order they ended.

    The incumbent's score is the best of the highest fidelity reached, as in the report's optimisation
    history; the means of the confirmation stand apart, for they are not biased by the choice.
    """
    epochs, highest, scores = 0, 0, dict[str, float]()
    better = max if direction == "max" else min
    for number, record in enumerate(records, start=1):
        epochs += len(record.curve)
        known: dict[str, float] = {}
        if record.role is Role.CONFIRM:
            known = _confirmed(records[:number], direction)
        elif record.status is Status.COMPLETED and record.score is not None:
            if record.epochs >= highest:
                best = scores.get("incumbent") if record.epochs == highest else None
                scores["incumbent"] = record.score if best is None else better(best, record.score)
                highest = record.epochs
            if record.role is Role.BASELINE:
                scores["baseline"] = record.score
        yield Point(record.elapsed_seconds, epochs, dict(scores), known)


def _confirmed(records: Sequence[TrialRecord], direction: str) -> dict[str, float]:
    best, base = standing.incumbent(records, direction), standing.baseline(records)
    means = {each.trial.trial_id: each.mean for each in standing.confirmations(records)}
    found = zip(LINES, (best, base), strict=True)
    return {
        name: means[record.trial_id]
        for name, record in found
        if record is not None and record.trial_id in means
    }


class SearchEvents:
    """The lines of the incumbent and the baseline, over the seconds and the epochs of the search.

    Args:
        folder: Of the run.
        direction: "max" or "min".
        begin: When the search began, as `time.time()`.
    """

    def __init__(self, folder: RunFolder, direction: str, begin: float) -> None:
        self.folder = folder
        self.direction = direction
        self.begin = begin
        self._records: list[TrialRecord] = []
        self._files: dict[str, EventFile] = {}

    def rebuild(self, records: Sequence[TrialRecord]) -> None:
        """Writes all anew; `add` goes on from there."""
        self.close()
        self._records = list(records)
        points = list(course(self._records, self.direction))
        for name in LINES:
            events = [each for point in points for each in self._events(point, name)]
            path = replace_file(self.folder.search / name, "curves", events, restart=True)
            self._files[name] = EventFile(path)

    def add(self, record: TrialRecord) -> None:
        """A trial that ended."""
        if any(earlier.trial_id == record.trial_id for earlier in self._records):  # run again with more time
            others = [earlier for earlier in self._records if earlier.trial_id != record.trial_id]
            self.rebuild([*others, record])
            return
        self._records.append(record)
        *_, point = course(self._records, self.direction)
        for name, file in self._files.items():
            file.append(*self._events(point, name))

    def _events(self, point: Point, name: str) -> Iterator[event_pb2.Event]:
        when = self.begin + point.seconds
        if name in point.scores:
            yield event(scalar(BY_SECONDS, point.scores[name]), step=round(point.seconds), wall_time=when)
            yield event(scalar(BY_EPOCHS, point.scores[name]), step=point.epochs, wall_time=when)
        if name in point.confirmed:
            yield event(scalar(CONFIRMED, point.confirmed[name]), step=round(point.seconds), wall_time=when)

    def close(self) -> None:
        """Everything written is on disk already."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def write_search_figures(folder: RunFolder) -> None:
    """The report's plots as pictures, in place of earlier ones. Some seconds."""
    from archsearch.reporting.figures import png
    from archsearch.reporting.plot_figures import search_figures

    findings = read_findings(folder)
    events = [
        event(image(tag, png(figure, dots_per_inch=140), description=text), step=len(findings.records))
        for tag, text, figure in search_figures(findings)
    ]
    replace_file(folder.search, "figures", events, restart=True)


def write_run_events(folder: RunFolder) -> None:
    """All events of a search anew from its log, such as where only that was kept; the final training's stay.

    Raises:
        UserError: There is no search, or its log is damaged, or a file cannot be written.
    """
    findings = read_findings(folder)
    begin = begin_of(folder, findings)
    write_columns(folder, findings)
    for record in findings.records:
        write_trial_curves(folder.trial(record.trial_id), record, begin=begin)
        write_trial_session(folder.trial(record.trial_id), record, begin=begin)
    events = SearchEvents(folder, findings.direction, begin)
    events.rebuild(findings.records)
    events.close()
    write_search_figures(folder)


def write_missing_events(folder: RunFolder, records: Sequence[TrialRecord], begin: float) -> None:
    """Of the trials in the log: a process killed between the log and the events leaves one without."""
    for record in records:
        trial = folder.trial(record.trial_id)
        if not files_of(trial, "curves"):
            write_trial_curves(trial, record, begin=begin)
        if not files_of(trial, "hparams"):
            write_trial_session(trial, record, begin=begin)


def begin_of(folder: RunFolder, findings: Findings) -> float:
    """When a stored search began, as if all its sessions had followed at once.

    Its log was written last when its last trial ended.
    """
    return folder.trials.stat().st_mtime - findings.seconds if findings.records else 0.0


def write_columns(folder: RunFolder, findings: Findings) -> None:
    """The HParams table's, from the space in settings.json; without one from the values that were tried."""
    space = {name: each for name, each in findings.section("space").items() if isinstance(each, Mapping)}
    tried: dict[str, object] = {}
    for record in findings.records:
        tried |= record.hyperparameters
    kinds = {name: _kind(each.get("default", each.get("value"))) for name, each in space.items()}
    for name, value in tried.items():
        if name not in kinds and not name.startswith("tuner/"):
            kinds[name] = _kind(value)
    fixed = {name for name, each in space.items() if each.get("kind") == "Fixed"}
    always = [
        name
        for name in kinds
        if name not in fixed and all(name in record.hyperparameters for record in findings.records)
    ]
    if space:
        always = [name for name in space if name in always and not space[name].get("conditions")]
    write_hparams_config(folder.path, list(kinds.items()), always=always)


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return "bool"
    return "str" if isinstance(value, str) else "float"
