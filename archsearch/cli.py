"""The command line: flags in, one call, the result on stdout, the exit status out.

Exit status: 0 done; 1 an error we foresaw; 2 wrong usage; 3 no trial succeeded; 130 and 143
interrupted, with every finished trial saved.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

import archsearch
from archsearch.errors import HyperModelError, UserError
from archsearch.runtime import PRECISIONS
from archsearch.settings import parse_count, parse_time

if TYPE_CHECKING:
    from archsearch.run import Run

EPILOG_SEARCH = "Times are written 90s, 30m, 1.5h; numbers 8000000, 8M, 300k. Run it again to continue it."
EPILOG_FINAL = "What is left is in LOGS/RUN/final/: model.keras, result.json, history.json, pictures."


EXIT_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken like Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """The console command `archsearch`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[Sequence[str], str], int]] = {"search": search, "final-train": final_train}
    parser = argparse.ArgumentParser(prog="archsearch", description=archsearch.__doc__)
    parser.add_argument("--version", action="version", version=archsearch.__version__)
    parser.add_argument("command", choices=commands, help="what to do; each has its own --help")
    parser.add_argument("flags", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments[:1])
    return commands[chosen.command](arguments[1:], f"archsearch {chosen.command}")


def search(argv: Sequence[str], prog: str) -> int:
    """`python search.py`: searches, continues, or tells of a search."""
    flags = _search_parser(prog).parse_args(argv)
    if flags.json and not (flags.plan or flags.status):
        _search_parser(prog).error("--json goes with --plan or --status")
    if flags.plan:
        return _guarded(lambda: _print_plan(flags))
    if flags.status:
        return _guarded(lambda: _print_status(flags))
    return _guarded(lambda: _search(flags, prog), interrupted=f"every finished trial {_kept(prog, argv)}")


def final_train(argv: Sequence[str], prog: str) -> int:
    """`python final_train.py`: trains one network in full."""
    parser = _final_parser(prog)
    flags = parser.parse_args(argv)
    if flags.dataset is not None and not flags.documented:
        parser.error("--dataset goes with --documented; the others take the run's")
    return _guarded(lambda: _final_train(flags), interrupted=f"every long epoch {_kept(prog, argv)}")


def _kept(prog: str, argv: Sequence[str]) -> str:
    """What an interruption leaves, and the command that goes on from there."""
    again = shlex.join(argument for argument in argv if argument != "--overwrite")
    return f"is saved. Continue: {prog} {again}".rstrip()


# Flags.


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A mistake in a flag's value is wrong usage: exit status 2."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _whole(lowest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if number < lowest:
            raise argparse.ArgumentTypeError(f"must be a whole number, at least {lowest}; got {text!r}")
        return number

    return parse


def _parser(prog: str, description: str, epilog: str) -> argparse.ArgumentParser:
    # A prefix of a flag would change its meaning when another flag is added.
    parser = argparse.ArgumentParser(prog=prog, description=description, epilog=epilog, allow_abbrev=False)
    parser.add_argument("--run", default="default", metavar="NAME", help="name of the run (default)")
    parser.add_argument("--logs", default="logs", metavar="DIR", help="folder of all runs (logs)")
    return parser


def _search_parser(prog: str) -> argparse.ArgumentParser:
    count, time = _checked(parse_count), _checked(parse_time)
    parser = _parser(prog, "Hyperband over the structure of a VGG-style network.", EPILOG_SEARCH)
    add = parser.add_argument
    add("--overwrite", action="store_true", help="start over: remove an earlier search of this run")
    add("--dataset", metavar="DATA", help="a name, .npz, archive or folder of images (cifar10)")
    add("--flip", choices=("auto", "yes", "no"), help="mirror images left to right in training (auto)")
    add("--seed", type=_whole(0), metavar="N", help="of everything that is random (0)")
    add("--recipe", choices=("modern", "documented"), help="how every network is trained (modern)")
    add("--max-time", type=time, metavar="T", dest="max_seconds", help="wall-clock of the whole search (30m)")
    add("--max-epochs", type=_whole(1), metavar="N", help="epochs of the top rung; lifts the time limit")
    add("--factor", type=_whole(2), metavar="N", help="reduction factor between rungs (3)")
    add(
        "--iterations",
        type=_whole(1),
        metavar="N",
        help="passes over all brackets (1, or what the time admits)",
    )
    add("--images-per-epoch", type=count, metavar="N", help="train on a fixed subset of the images")
    add("--max-params", type=count, metavar="N", help="most weights of a network")
    add("--max-macs", type=count, metavar="N", help="most multiply-adds of a network per image")
    add(
        "--confirm",
        type=_whole(0),
        metavar="K",
        help="train the best K and the baseline again with fresh seeds (2)",
    )
    add(
        "--final-time",
        type=time,
        metavar="T",
        dest="final_seconds",
        help="aim at a final training of this wall-clock, for which the network found is widened",
    )
    _add_precision(parser)
    add("--plan", action="store_true", help="print what would be run, and end")
    add("--status", action="store_true", help="print how far the run is, and end")
    add("--json", action="store_true", help="print the plan or status as JSON")
    return parser


def _final_parser(prog: str) -> argparse.ArgumentParser:
    parser = _parser(prog, "Trains one network in full, and tests it once.", EPILOG_FINAL)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--best", action="store_true", help="the incumbent of the run")
    which.add_argument("--trial", metavar="ID", help="the network of one trial")
    which.add_argument("--documented", action="store_true", help="the documented network; needs no run")
    add = parser.add_argument
    add(
        "--dataset",
        metavar="DATA",
        help="with --documented: a name, .npz, archive or folder (the run's, or cifar10)",
    )
    add("--epochs", type=_whole(1), metavar="N", help="of one complete training (50)")
    add("--recipe", choices=("modern", "documented"), help="(the run's; documented with --documented)")
    add(
        "--max-time",
        type=_checked(parse_time),
        metavar="T",
        dest="max_seconds",
        help="as many epochs as fit into this wall-clock (the run's --final-time)",
    )
    add("--tta", action="store_true", help="test also with the predictions of several views averaged")
    add("--all-data", action="store_true", help="train on the validation part too")
    _add_precision(parser)
    add("--seed", type=_whole(0), metavar="N", help="of everything that is random (the run's)")
    add(
        "--overwrite", action="store_true", help="replace an earlier, or interrupted, one of the same network"
    )
    return parser


def _add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="what networks compute in (auto: half where that is fast)"
    )


SETTINGS = (
    *("dataset", "flip", "seed", "recipe", "max_seconds", "max_epochs"),
    *("factor", "iterations", "images_per_epoch", "max_params", "max_macs", "confirm"),
    *("final_seconds", "precision"),
)


def _given(flags: argparse.Namespace) -> dict[str, Any]:
    """The settings that stand on the command line, by field name."""
    return {name: value for name in SETTINGS if (value := getattr(flags, name)) is not None}


# Commands.


def _guarded(command: Callable[[], int], interrupted: str = "") -> int:
    """Runs a command; errors we foresaw become one line, interruptions their exit status.

    Args:
        command: Returns the exit status.
        interrupted: What an interruption leaves, as a sentence.
    """
    # What a shell makes its background commands ignore stays ignored.
    heeded = [number for number in EXIT_STATUS if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, _interrupt) for number in heeded}
    try:
        return command()
    except UserError as error:
        if isinstance(error, HyperModelError):
            traceback.print_exception(error.__cause__)
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of stdout left, as `| head` does; the interpreter would complain when it flushes.
        sys.stdout = None
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"\ninterrupted; {interrupted}".removesuffix("; "), file=sys.stderr)
        return EXIT_STATUS[signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT]
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """The first signal ends the command in an orderly way; a second one at once, for every file is whole."""
    for each in EXIT_STATUS:
        signal.signal(each, _leave)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _leave(number: int, _frame: FrameType | None) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, b"\x1b[?25h")  # the live display hides the cursor
    os._exit(EXIT_STATUS[signal.Signals(number)])


def _search(flags: argparse.Namespace, prog: str) -> int:
    from archsearch.run import summary

    folder = _folder(flags)
    ended_before = folder.exists() and not flags.overwrite and archsearch.open_run(folder.path).finished
    num_before = len(archsearch.open_run(folder.path).trials) if ended_before else 0
    run = archsearch.search(run=flags.run, logs=flags.logs, overwrite=flags.overwrite, **_given(flags))
    if ended_before and len(run.trials) == num_before:
        print(f"The search in {folder.path} is finished. {_how_to_extend(run)}")
    for line in summary(run):
        print(line)
    if run.incumbent is None:
        return 3
    print(f"next: {_final_command(prog)} --best{_where(flags)}")
    return 0


def _print_plan(flags: argparse.Namespace) -> int:
    from archsearch.plan import describe
    from archsearch.searching import planned

    plan = planned(None, folder=_folder(flags), overwrite=flags.overwrite, given=_given(flags))
    if flags.json:
        brackets = [{"name": bracket.name, **vars(bracket)} for bracket in plan.brackets]
        totals = {"num_trials": plan.num_trials, "num_epochs": plan.num_epochs, "seconds": plan.seconds}
        print(json.dumps({**plan.to_dict(), **totals, "brackets": brackets}, indent=2, default=vars))
    else:
        for line in describe(plan):
            print(line)
    return 0


def _print_status(flags: argparse.Namespace) -> int:
    from archsearch.run import summary

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
        recipe=flags.recipe,
        seed=flags.seed,
        overwrite=flags.overwrite,
        max_seconds=flags.max_seconds,
        tta=flags.tta,
        all_data=flags.all_data,
        precision=flags.precision,
    )
    for line in summary(result):
        print(line)
    return 0


def _folder(flags: argparse.Namespace) -> Any:
    from archsearch.run_folder import RunFolder

    return RunFolder.named(flags.run, flags.logs)


def _how_to_extend(run: Run) -> str:
    """The flag that gives the search something more to do."""
    if run.plan.max_seconds is None:
        return f"--iterations {run.plan.iterations + 1} extends it."
    return f"--max-time {math.ceil(run.seconds_for_another_iteration / 60)}m extends it."


def _final_command(prog: str) -> str:
    return "archsearch final-train" if prog.startswith("archsearch") else "python final_train.py"


def _where(flags: argparse.Namespace) -> str:
    """The flags that name the run, where they are not the defaults."""
    run = "" if flags.run == "default" else f" --run {shlex.quote(flags.run)}"
    return run + ("" if flags.logs == "logs" else f" --logs {shlex.quote(flags.logs)}")
