"""What a search says on stderr."""

from __future__ import annotations

import io
from typing import Any

from archsearch.callbacks import Beginning
from archsearch.reporting.console import ConsoleReporter
from archsearch.settings import SearchSettings
from archsearch.trials import Role, Status, TrialRecord
from tests.records import NOWHERE, a_plan, trial

PLAN = a_plan(confirm=1, num_validation=100)
"""9 x 1 -> 3 x 3 -> 1 x 9, 5 x 3 -> 2 x 9, 3 x 9, the baseline, and four confirmations: 28 trials."""


def record(trial_id: str, score: float | None, **changes: Any) -> TrialRecord:
    """Of bracket 2, by its id; `None` ran out of time."""
    rung, slot = (int(part[1:]) for part in trial_id.split("-")[1:3])
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "status": Status.COMPLETED if score is not None else Status.TIMED_OUT,
        "score": score,
        "epochs": 3**rung,
        "bracket": 2,
        "rung": rung,
        "slot": slot,
        "parent_trial_id": f"b2-r{rung - 1}-s{slot}" if rung else None,
    }
    return trial(**(values | changes))


def outside(trial_id: str, role: Role, score: float | None, parent: str | None = None) -> TrialRecord:
    status = Status.COMPLETED if score is not None else Status.TIMED_OUT
    changes = {"role": role, "epochs": 9, "status": status, **NOWHERE, "parent_trial_id": parent}
    return trial(trial_id, score, **changes)


def told(before: list[TrialRecord], after: list[TrialRecord]) -> list[str]:
    """The lines of a session that finds the first records, and runs the others."""
    stream = io.StringIO()
    reporter = ConsoleReporter(stream)
    settings = SearchSettings(max_epochs=9, max_seconds=None, confirm=1)
    reporter.on_search_begin(Beginning(settings, PLAN, before, notes=["A note."], spent_seconds=60.0))
    for each in after:
        reporter.on_trial_end(each)
    reporter.on_search_end()
    return stream.getvalue().splitlines()


LOWEST = [record(f"b2-r0-s{slot}", slot / 10) for slot in range(9)]
PROMOTED = [record(f"b2-r1-s{slot}", score) for slot, score in ((6, 0.3), (7, 0.5), (8, 0.4))]
BASELINE = outside("baseline", Role.BASELINE, 0.4)


def test_notes_and_plan_come_first_then_what_was_done_before() -> None:
    lines = told([BASELINE], [])
    assert lines[0] == "A note."
    assert lines[1].startswith("28 trials, 132 epochs of 1,000 images, about ")
    assert lines[-1] == "continued: 1 trials done, 1.0 min spent"


def correlations(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("rank correlation")]


def test_a_rung_that_is_complete_tells_its_rank_correlation() -> None:
    """Ranks 1 2 3 below and 1 3 2 above: 1 - 6 x 2 / 24. It follows the line of the last promotion."""
    lines = told([BASELINE, *LOWEST], PROMOTED)
    assert correlations(lines) == ["rank correlation between 1 and 3 epochs: +0.50 over 3 trials"]
    assert lines.index(correlations(lines)[0]) == len(lines) - 1
    assert correlations(told([BASELINE, *LOWEST], PROMOTED[:2])) == []


def test_a_trial_out_of_time_in_an_earlier_session_counts_no_more() -> None:
    """The promotion into slot 8 stands in the log, and is run again: the rung is complete with it."""
    late = record("b2-r1-s8", None)
    lines = told([BASELINE, *LOWEST, PROMOTED[0], late], [PROMOTED[2], PROMOTED[1]])
    assert correlations(lines[:-1]) == []
    assert len(correlations(lines)) == 1


def test_confirmed_means_are_shown_once_they_can_be_compared() -> None:
    """Also where one of them ran out of time in an earlier session."""
    top = record("b2-r2-s7", 0.9)
    before = [BASELINE, *LOWEST, *PROMOTED, top]
    confirmed = [
        outside(f"{of}-c{number}", Role.CONFIRM, score, of)
        for of, number, score in (
            ("baseline", 1, 0.5),
            ("baseline", 2, 0.6),
            ("b2-r2-s7", 1, 0.7),
            ("b2-r2-s7", 2, 0.8),
        )
    ]
    late = outside("b2-r2-s7-c2", Role.CONFIRM, None, "b2-r2-s7")
    lines = told([*before, late], confirmed)
    assert "best 0.9000 (b2-r2-s7)  baseline 0.4000" in lines[-2]
    assert "best 0.7500 confirmed (b2-r2-s7)  baseline 0.5500 confirmed" in lines[-1]
