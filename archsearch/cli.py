"""The command line: flags in, one call, the result on stdout, the exit status out.

Exit status: 0 done; 1 an error we foresaw; 2 wrong usage; 3 no trial succeeded; 130 and 143
interrupted, with every finished trial saved.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archsearch
from archsearch.flags import (
    export_parser,
    final_parser,
    predict_parser,
    report_parser,
    search_parser,
    settings_of,
)
from archsearch.guarding import guarded
from archsearch.way_on import WayOn

if TYPE_CHECKING:
    from archsearch.run import Run


def main(argv: Sequence[str] | None = None) -> int:
    """The console command `archsearch`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[Sequence[str], str], int]] = {
        "search": search,
        "final-train": final_train,
        "report": report,
        "export": export,
        "predict": predict,
    }
    parser = argparse.ArgumentParser(prog="archsearch", description=archsearch.__doc__)
    parser.add_argument("--version", action="version", version=archsearch.__version__)
    parser.add_argument("command", choices=commands, help="what to do; each has its own --help")
    parser.add_argument("flags", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments[:1])
    return commands[chosen.command](arguments[1:], f"archsearch {chosen.command}")


def search(argv: Sequence[str], prog: str) -> int:
    """`python search.py`: searches, continues, or tells of a search."""
    flags = search_parser(prog).parse_args(argv)
    if flags.json and not (flags.plan or flags.status):
        search_parser(prog).error("--json goes with --plan or --status")
    if flags.plan:
        return guarded(lambda: _print_plan(flags))
    if flags.status:
        return guarded(lambda: _print_status(flags))
    way_on = WayOn(prog, argv, saved="every finished trial", places=lambda: [_folder(flags).settings])
    return guarded(lambda: _search(flags, prog), way_on.interrupted, way_on.advice)


def final_train(argv: Sequence[str], prog: str) -> int:
    """`python final_train.py`: trains one network in full."""
    parser = final_parser(prog)
    flags = parser.parse_args(argv)
    if flags.dataset is not None and not flags.documented:
        parser.error("--dataset goes with --documented; the others take the run's")
    way_on = WayOn(prog, argv, saved="every long epoch", places=lambda: _final_folders(flags))
    return guarded(lambda: _final_train(flags), way_on.interrupted, way_on.advice)


def report(argv: Sequence[str], prog: str) -> int:
    """`archsearch report RUN`: writes again what a search leaves beside its log."""
    flags = report_parser(prog).parse_args(argv)
    return guarded(lambda: _report(flags))


def export(argv: Sequence[str], prog: str) -> int:
    """`archsearch export RUN --format FORMATS`: a trained network in other formats."""
    flags = export_parser(prog).parse_args(argv)
    again = shlex.join([prog, *argv])
    return guarded(lambda: _export(flags), lambda: f"what was exported is whole. Continue: {again}")


def predict(argv: Sequence[str], prog: str) -> int:
    """`archsearch predict MODEL IMAGE...`: what is on pictures."""
    flags = predict_parser(prog).parse_args(argv)
    return guarded(lambda: _predict(flags))


# Commands.


def _search(flags: argparse.Namespace, prog: str) -> int:
    from archsearch.reporting.summary import final_training, summary

    folder = _folder(flags)
    ended_before = folder.exists() and not flags.overwrite and archsearch.open_run(folder.path).finished
    num_before = len(archsearch.open_run(folder.path).trials) if ended_before else 0
    run = archsearch.search(run=flags.run, logs=flags.logs, overwrite=flags.overwrite, **settings_of(flags))
    if ended_before and len(run.trials) == num_before:
        print(f"The search in {folder.path} is finished. {how_to_extend(run)}")
    for line in summary(run):
        print(line)
    if run.incumbent is None:
        return 3
    if folder.report.exists():  # else a note has said why not
        print(f"report: {folder.report}")
    print(f"next: {_final_command(prog)} --best{_where(flags)}")
    print(f"      ({final_training(run)})")
    return 0


def _print_plan(flags: argparse.Namespace) -> int:
    from archsearch.planning import planned
    from archsearch.reporting.plan_text import describe

    plan = planned(None, folder=_folder(flags), overwrite=flags.overwrite, given=settings_of(flags))
    if flags.json:
        brackets = [{"name": bracket.name, **vars(bracket)} for bracket in plan.brackets]
        totals = {"num_trials": plan.num_trials, "num_epochs": plan.num_epochs, "seconds": plan.seconds}
        print(json.dumps({**plan.to_dict(), **totals, "brackets": brackets}, indent=2, default=vars))
    else:
        for line in describe(plan):
            print(line)
    return 0


def _print_status(flags: argparse.Namespace) -> int:
    from archsearch.reporting.summary import summary

    run = archsearch.open_run(_folder(flags).path)
    if flags.json:
        print(json.dumps(run.to_status(), indent=2))
        return 0
    print(f"{run.folder.path}: {'finished' if run.finished else 'not finished'}")
    for line in summary(run):
        print(line)
    return 0


def _final_train(flags: argparse.Namespace) -> int:
    from archsearch.final_result import summary

    what = "best" if flags.best else "documented" if flags.documented else flags.trial
    result = archsearch.final_train(
        what,
        data=flags.dataset,
        run=flags.run,
        logs=flags.logs,
        epochs=flags.epochs,
        max_seconds=flags.max_seconds,
        tta=flags.tta,
        all_data=flags.all_data,
        precision=flags.precision,
        devices=flags.devices,
        recipe=flags.recipe,
        seed=flags.seed,
        overwrite=flags.overwrite,
        export=flags.export,
    )
    for line in summary(result):
        print(line)
    return _print_exports(_final_folder(flags), flags.export)


def _export(flags: argparse.Namespace) -> int:
    from archsearch.exporting.export import export_run

    target = _final_folder(flags)
    export_run(_folder(flags), target.name, flags.format, data=flags.dataset)
    return _print_exports(target, flags.format)


def _print_exports(folder: Path, formats: Sequence[str]) -> int:
    """What export.json says of these; the exit status."""
    from archsearch.exporting.records import read_exports
    from archsearch.reporting.exports import export_lines, problems

    exports = [each for each in read_exports(folder) if each.format in formats]
    for line in export_lines(exports, folder):
        print(line)
    for problem in problems(exports):
        print(f"error: {problem}", file=sys.stderr)
    return int(any(each.problem for each in exports))


def _final_folder(flags: argparse.Namespace) -> Path:
    what = "documented" if flags.documented else f"trial-{flags.trial}" if flags.trial else "best"
    return Path(_folder(flags).final(what))


def _final_folders(flags: argparse.Namespace) -> list[Path]:
    """Of a final training: where it stands when it is complete, and until then."""
    from archsearch.run_folder import unfinished_of

    target = _final_folder(flags)
    return [target, unfinished_of(target)]


def _predict(flags: argparse.Namespace) -> int:
    from archsearch.predicting import named, predict_pictures
    from archsearch.reporting.predictions import as_json, prediction_lines, say_broken
    from archsearch.run import doubt
    from archsearch.run_folder import RunFolder

    where = named(flags.model, flags.logs)
    found = predict_pictures(where, [Path(image) for image in flags.images])
    if doubtful := doubt(RunFolder(where)):
        print(f"warning: {doubtful}", file=sys.stderr)
    if flags.json:
        print(as_json(found, flags.top))
    else:
        for line in prediction_lines(found, flags.top):
            print(line)
    say_broken(found)
    return int(bool(found.broken))


def _report(flags: argparse.Namespace) -> int:
    from archsearch.reporting.report import write_report

    folder = _folder(flags)
    print(write_report(folder))
    if flags.tensorboard:
        from archsearch.reporting.search_events import write_run_events

        write_run_events(folder)
        print(folder.search)
    return 0


def _folder(flags: argparse.Namespace) -> Any:
    from archsearch.run_folder import RunFolder

    return RunFolder.named(flags.run, flags.logs)


def how_to_extend(run: Run) -> str:
    """The flag that gives the search something more to do."""
    iterations = f"--iterations {run.plan.iterations + 1}"
    if run.plan.max_seconds is None:
        return f"{iterations} extends it."
    limit, needed = run.plan.max_seconds, run.seconds_for_another_iteration
    time = f"--max-time {max(math.ceil(needed / 60), int(limit / 60) + 1)}m"  # less would be refused
    if run.settings.iterations is None or run.brackets_left_out:
        return f"{time} extends it."
    return f"{iterations} {time} extends it." if needed > limit else f"{iterations} extends it."


def _final_command(prog: str) -> str:
    return "archsearch final-train" if prog.startswith("archsearch") else "python final_train.py"


def _where(flags: argparse.Namespace) -> str:
    """The flags that name the run, where they are not the defaults."""
    run = "" if flags.run == "default" else f" --run {shlex.quote(flags.run)}"
    return run + ("" if flags.logs == "logs" else f" --logs {shlex.quote(flags.logs)}")
