"""The report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import archsearch
from archsearch.reporting.exports import HEADINGS as EXPORT_HEADINGS
from archsearch.reporting.html.answer import answer, score_text, state, tiles
from archsearch.reporting.html.blocks import WIDTH, Diagram, diagrams
from archsearch.reporting.html.cost import cost_plots, rank_plots
from archsearch.reporting.html.course import history, timeline
from archsearch.reporting.html.curves import learning_curves, two_curves
from archsearch.reporting.html.final_tables import export_tables, final_details, final_rows
from archsearch.reporting.html.findings import Final, Findings
from archsearch.reporting.html.hyperparameters import axes
from archsearch.reporting.html.importance import MIN_TRIALS, importances
from archsearch.reporting.html.plots import Plot, count_text, rung_styles
from archsearch.reporting.html.set_up import commands, set_up
from archsearch.reporting.html.tables import failures, rung_tables
from archsearch.reporting.html.values import SLICES_INTRO, importance_plot, parallel_coordinates, slices
from archsearch.standing import baseline_label
from archsearch.trials import TrialRecord

RANKS_INTRO = (
    "Each point is a network that was promoted: its score on the lower rung against that on the next. Near "
    "ρ\u00a0=\u00a01 the lower rung ordered them as the higher one did. Only the best of the lower rung are "
    "promoted, and their order is the hardest to tell."
)


@dataclass(frozen=True)
class Section:
    """A heading with its plots."""

    name: str
    title: str
    plots: Sequence[Plot]
    columns: int = 1
    """Beside each other where there is room."""
    intro: str = ""
    rungs: bool = False
    """Whether the colours of the rungs are explained above, once for all its plots."""


def render(findings: Findings) -> str:
    """The whole file."""
    import jinja2  # only who draws waits for these
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    sections = plot_sections(findings)
    tables = list(rung_tables(findings))
    return environment.from_string(_file("page.html")).render(
        findings=findings,
        answer=answer(findings),
        state=state(findings),
        tiles=list(tiles(findings)),
        tables=tables,
        has_networks=any(row.network for table in tables for row in table.rows),
        has_confirmed=any(row.confirmed for table in tables for row in table.rows),
        diagrams=_diagrams(findings),
        diagram_width=WIDTH,
        finals=list(final_rows(findings)),
        final_details=list(final_details(findings)),
        exports=list(export_tables(findings)),
        export_headings=EXPORT_HEADINGS,
        sections=sections,
        rungs=rung_styles(findings.rungs),
        failures=failures(findings),
        set_up=set_up(findings),
        commands=list(commands(findings)),
        version=archsearch.__version__,
        written=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=_file("page.css"),
        script=_file("page.js"),
        plotly=get_plotlyjs(),
        plots=as_json([plot for section in sections for plot in section.plots]),
    )


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def as_json(plots: Sequence[Plot]) -> str:
    """Of all plots, for a script element: without `<`, by which a name could end it."""
    plain = [
        {
            "name": plot.name,
            "title": plot.title,
            "height": plot.height,
            "views": [{"data": view.data, "layout": view.layout} for view in plot.views],
        }
        for plot in plots
    ]
    return json.dumps(plain, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def plot_sections(findings: Findings) -> list[Section]:
    """All plots there is data for."""
    values, note = _values_plots(findings)
    course = [history(findings), learning_curves(findings), _leaders(findings), timeline(findings)]
    sections = [
        Section("cost", "What accuracy costs", cost_plots(findings), columns=2),
        Section("course", "Course of the search", [plot for plot in course if plot is not None]),
        Section("values", "Hyperparameters", values, intro=note),
        Section(
            "slices",
            "Slices",
            slices(findings),
            3,
            SLICES_INTRO,
            rungs=True,
        ),
        Section(
            "ranks",
            "Could fewer epochs be trusted?",
            rank_plots(findings),
            3,
            RANKS_INTRO,
        ),
        Section("finals", "Course of the final training", _finals(findings)),
    ]
    return [section for section in sections if section.plots]


def _values_plots(findings: Findings) -> tuple[list[Plot], str]:
    parallel, found = parallel_coordinates(findings), importances(findings.searched, axes(findings))
    plots = [importance_plot(found)] if found is not None else []
    note = (
        "" if plots else f"Importance needs {MIN_TRIALS} completed trials with different scores on one rung."
    )
    return plots + ([parallel] if parallel is not None else []), note


def _leaders(findings: Findings) -> Plot | None:
    """The incumbent's and the baseline's curves."""
    pair = {"incumbent": findings.incumbent, "baseline": findings.baseline}
    if findings.incumbent is findings.baseline:
        pair.pop("incumbent")
    return two_curves(
        "leaders",
        "Training and validation",
        "Of the incumbent and the baseline, as trained in the search. Training is measured with dropout and "
        "augmentation on, so it can be below validation.",
        {name: record.curve for name, record in pair.items() if record is not None},  # type: ignore[misc]
    )


def _finals(findings: Findings) -> list[Plot]:
    plots = [
        two_curves(
            f"final-{number}",
            f"Learning curves of the final training: {final.name}",
            _curve_caption(final),
            {final.name: final.curve},  # type: ignore[dict-item]
        )
        for number, final in enumerate(findings.finals)
    ]
    return [plot for plot in plots if plot is not None]


def _curve_caption(final: Final) -> str:
    after = "the test images are read once, after it."
    if final.result.get("all_data"):
        return f"Over the whole final training. The validation part was trained on too; {after}"
    return f"Training and validation over the whole final training; {after}"


def _diagrams(findings: Findings) -> list[Diagram]:
    best, base = findings.incumbent, findings.baseline
    shown: list[tuple[str, TrialRecord]] = []
    if base is not None:
        shown.append((baseline_label(base), base))
    if best is not None and best is not base:
        shown.append((f"incumbent, {best.trial_id}", best))
    classes = findings.section("dataset").get("class_names")
    networks: list[tuple[str, str, Mapping[str, Any]]] = [
        (title, _figures(findings, record), record.architecture)
        for title, record in shown
        if record.architecture is not None
    ]
    return diagrams(
        networks,
        image_shape=findings.image_shape,
        num_classes=len(classes) if isinstance(classes, list) else None,
    )


def _figures(findings: Findings, record: TrialRecord) -> str:
    parts = [f"{findings.objective} {score_text(record.score)}"]
    for value, unit in ((record.params, "weights"), (record.macs, "macs")):
        if value is not None:
            parts.append(f"{count_text(value)} {unit}")
    return ", ".join(parts)
