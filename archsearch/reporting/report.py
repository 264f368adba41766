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
from archsearch.run_folder import RunFolder, write_atomically
from archsearch.trials import TrialRecord

FIRST_SECONDS = 4.0
"""What the first report is taken to cost, with the libraries it loads."""


def write_report(folder: RunFolder) -> Path:
    """Draws the report from what lies in the folder.

    Returns:
        Where it is.

    Raises:
        UserError: There is no search, its log is damaged, or a file cannot be written.
    """
    from archsearch.reporting.html.findings import read_findings
    from archsearch.reporting.html.page import render

    findings = read_findings(folder)
    write_atomically(folder.table, trials_csv(findings.records).encode())
    write_atomically(folder.report, render(findings).encode())
    return folder.report


def refresh_report(folder: RunFolder, note: Callable[[str], None] | None = None) -> None:
    """`write_report`, where a report that cannot be drawn must not end what made it worth drawing.

    Args:
        folder: Of the run.
        note: Told why there is no report; by default stderr.
    """
    try:
        write_report(folder)
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
    """Keeps the report up to date while a search runs, at no more than a hundredth of the time.

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
        self._ration = Ration(lambda: refresh_report(folder, note), first_seconds=FIRST_SECONDS, clock=clock)

    def on_search_begin(self, beginning: Beginning) -> None:
        self._ration.begin()

    def on_trial_end(self, record: TrialRecord) -> None:
        self._ration.run_if_due()

    def on_search_end(self) -> None:
        self._ration.run()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
