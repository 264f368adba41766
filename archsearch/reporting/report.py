"""Writes `report.html` and `trials.csv`: during a search, after it, and whenever asked."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from archsearch.callbacks import Beginning, SearchCallback
from archsearch.reporting.ration import Ration
from archsearch.run_folder import RunFolder, own_temporary, remove_abandoned, write_atomically
from archsearch.trials import TrialRecord


def write_report(folder: RunFolder, *, running: bool | None = None) -> Path:
    """Draws the report from what lies in the folder.

    Args:
        folder: Of the run.
        running: Whether a search is at it; by default its lock says.

    Returns:
        Where it is.

    Raises:
        UserError: There is no search, its log is damaged, or a file cannot be written.
    """
    from archsearch.reporting.html.findings import read_findings
    from archsearch.reporting.html.page import render

    findings = read_findings(folder, running=running)
    # A search, a final training and `archsearch report` may write these at once.
    for path, text in ((folder.table, trials_csv(findings.records)), (folder.report, render(findings))):
        remove_abandoned(path.parent, path.name)
        write_atomically(path, text.encode(errors="backslashreplace"), temporary=own_temporary(path))
    return folder.report


def refresh_report(
    folder: RunFolder, note: Callable[[str], None] | None = None, *, running: bool | None = None
) -> None:
    """`write_report`, where a report that cannot be drawn must not end what made it worth drawing.

    Args:
        folder: Of the run.
        note: Told why there is no report; by default stderr.
        running: Whether a search is at it; by default its lock says.
    """
    try:
        write_report(folder, running=running)
    except Exception as error:
        (note or _say)(f"The report could not be written: {type(error).__name__}: {error}")


def trials_csv(records: Sequence[TrialRecord]) -> str:
    """One row a trial in the order they ended."""
    rows = [record.to_row() for record in records]
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class ReportWriter(SearchCallback):
    """Keeps the report up to date while a search runs: at its beginning, then in a hundredth of the time.

    The last one is not written here, for whether the search is finished is known only after its end.

    Args:
        folder: Of the run.
        note: Told why there is no report; by default stderr.
        clock: Seconds.
    """

    def __init__(
        self,
        folder: RunFolder,
        note: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._ration = Ration(
            lambda: refresh_report(folder, note, running=True), first_seconds=0.0, clock=clock
        )

    def on_search_begin(self, beginning: Beginning) -> None:
        self._ration.begin()
        self._ration.run()

    def on_trial_end(self, record: TrialRecord) -> None:
        self._ration.run_if_due()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
