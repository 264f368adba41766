"""The flags of the commands."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from archsearch.devices import DEVICES
from archsearch.errors import UserError
from archsearch.exporting.formats import FORMATS, parse_formats
from archsearch.nodes import check_ray
from archsearch.own_space import check_space
from archsearch.runtime import PRECISIONS
from archsearch.settings import (
    CLASS_WEIGHTS,
    OBJECTIVES,
    SearchSettings,
    parse_count,
    parse_time,
    size_text,
)

EPILOG_SEARCH = "Times are written 90s, 30m, 1.5h; numbers 8000000, 8M, 300k. Run it again to continue it."
EPILOG_FINAL = (
    "What is left is in LOGS/RUN/final/best/ (or documented/, trial-ID/): model.keras, model.py, "
    "result.json, history.json, pictures."
)


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A mistake in a flag's value is wrong usage: exit status 2."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _trial(text: str) -> str:
    """The id of a trial: the networks that have a flag of their own are kept under its name."""
    if text in ("best", "documented"):
        raise argparse.ArgumentTypeError(f"is the id of a trial, such as b1-r0-s0; give --{text} instead")
    return text


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


def search_parser(prog: str) -> argparse.ArgumentParser:
    count, time = _checked(parse_count), _checked(parse_time)
    parser = _parser(prog, "Hyperband over the structure of a VGG-style network.", EPILOG_SEARCH)
    add = parser.add_argument
    add("--overwrite", action="store_true", help="start over: remove an earlier search of this run")
    add("--dataset", metavar="DATA", help="a name, .npz, archive or folder of images (cifar10)")
    add("--flip", choices=("auto", "yes", "no"), help="mirror images left to right in training (auto)")
    add(
        "--image-size",
        type=_checked(size_text),
        metavar="HxW",
        help="what images are brought to (as they are; of a folder the median size, at most 64x64)",
    )
    add("--seed", type=_whole(0), metavar="N", help="of everything that is random (0)")
    add("--recipe", choices=("modern", "documented"), help="how every network is trained (modern)")
    add("--objective", choices=OBJECTIVES, help="what is optimised, on the validation part (val_accuracy)")
    add(
        "--class-weights", choices=CLASS_WEIGHTS, help="balanced: rare classes weigh as much as others (none)"
    )
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
    add(
        "--workers",
        type=_whole(0),
        metavar="N",
        help="trials at a time, each in a process of its own; 0: in this one (one per GPU, or per 8 cores)",
    )
    add(
        "--ray",
        type=_checked(check_ray),
        metavar="ADDRESS",
        help="train on a Ray cluster: auto (that of this machine) or HOST:PORT (none)",
    )
    _add_precision(parser, default="auto")
    add(
        "--space",
        type=_checked(check_space),
        metavar="MODULE:CLASS",
        help="a keras_tuner.HyperModel of your own, looked for in this folder first",
    )
    add(
        "--baseline",
        metavar="FILE",
        help="your network instead of the documented one: values in JSON, or .keras",
    )
    add(
        "--from",
        action="extend",
        nargs="+",
        metavar="RUN",
        dest="from_runs",
        help="begin with the best networks of earlier runs, and draw about half of the others near them",
    )
    add(
        "--starting-points",
        choices=("yes", "no"),
        help="whether to begin with networks known to train well, and to draw about half of the others near "
        "them (yes); no: without --from all are drawn from the whole space",
    )
    add("--plan", action="store_true", help="print what would be run, and end (not of a new --space)")
    add("--status", action="store_true", help="print how far the run is, and end")
    add("--json", action="store_true", help="print the plan or status as JSON")
    return parser


def final_parser(prog: str) -> argparse.ArgumentParser:
    parser = _parser(prog, "Trains one network in full, and tests it once.", EPILOG_FINAL)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--best", action="store_true", help="the incumbent of the run")
    which.add_argument("--trial", type=_trial, metavar="ID", help="the network of one trial")
    which.add_argument("--documented", action="store_true", help="the documented network; needs no run")
    add = parser.add_argument
    add(
        "--dataset",
        metavar="DATA",
        help="with --documented: a name, .npz, archive or folder (the run's, or cifar10)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=_whole(1), metavar="N", help="of one complete training (50 without a time)"
    )
    length.add_argument(
        "--max-time",
        type=_checked(parse_time),
        metavar="T",
        dest="max_seconds",
        help="as many epochs as fit into this wall-clock (the run's --final-time)",
    )
    add("--recipe", choices=("modern", "documented"), help="(the run's; documented with --documented)")
    # None where not given, which is not the same as no: an interrupted training goes on as it was begun.
    for flag, what in (
        ("--tta", "test also with the predictions of several views averaged"),
        ("--all-data", "train on the validation part too"),
    ):
        add(flag, action="store_true", default=None, help=what)
    _add_formats(parser, "--export")
    _add_precision(parser, default="the run's")
    add(
        "--devices",
        choices=DEVICES,
        help="all: every GPU of this machine takes a share of each batch, which grows with them (one)",
    )
    add("--seed", type=_whole(0), metavar="N", help="of everything that is random (the run's)")
    add(
        "--overwrite", action="store_true", help="replace an earlier, or interrupted, one of the same network"
    )
    return parser


def report_parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="Writes the report of a run.", allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", help="name of the run")
    parser.add_argument("--logs", default="logs", metavar="DIR", help="folder of all runs (logs)")
    parser.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard's files of the search again too"
    )
    return parser


def export_parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description="Exports what a final training left, and compares.", allow_abbrev=False
    )
    parser.add_argument("run", metavar="RUN", help="name of the run")
    _add_formats(parser, "--format", required=True)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--best", action="store_true", help="the incumbent of the run (the default)")
    which.add_argument("--trial", type=_trial, metavar="ID", help="the network of one trial")
    which.add_argument("--documented", action="store_true", help="the documented network")
    parser.add_argument("--dataset", metavar="DATA", help="where its images are now (where they were)")
    parser.add_argument("--logs", default="logs", metavar="DIR", help="folder of all runs (logs)")
    return parser


def predict_parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Names what is on pictures, which are fitted into the size that the network takes.",
        epilog="Exit status 1 if a picture could not be read; the others are named all the same.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="name of a run, a model.keras, or the folder of a final training")
    add("images", metavar="IMAGE", nargs="+", help="pictures, or folders of them")
    add("--top", type=_whole(1), default=2, metavar="K", help="classes to name for each picture (2)")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--logs", default="logs", metavar="DIR", help="folder of all runs (logs)")
    return parser


def _add_formats(parser: argparse.ArgumentParser, flag: str, *, required: bool = False) -> None:
    parser.add_argument(
        flag,
        type=_checked(parse_formats),
        default=(),
        required=required,
        metavar="FORMATS",
        help=f"some of {','.join(FORMATS)}",
    )


def _add_precision(parser: argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help=f"what networks compute in; auto: in half precision where that is fast ({default})",
    )


RENAMED = {"max_seconds": "--max-time", "final_seconds": "--final-time", "from_runs": "--from"}
"""Flags that are not called like their setting."""

SETTINGS = (
    *("dataset", "flip", "seed", "recipe", "max_seconds", "max_epochs"),
    *("factor", "iterations", "images_per_epoch", "max_params", "max_macs", "confirm"),
    *("final_seconds", "precision", "workers", "ray", "image_size", "objective", "class_weights"),
    *("space", "baseline", "from_runs", "starting_points"),
)


def settings_of(flags: argparse.Namespace) -> dict[str, Any]:
    """The settings that stand on the command line, by field name."""
    given = {name: value for name in SETTINGS if (value := getattr(flags, name)) is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def flags_of(settings: SearchSettings) -> list[str] | None:
    """The other way round: the command line of a search with these settings; defaults are left out.

    Returns:
        `None` where no command line gives them, but Python does.
    """
    default = SearchSettings()
    flags: list[str] = []
    for field in dataclasses.fields(settings):
        name, value = field.name, getattr(settings, field.name)
        # Epochs lift the time limit, so then even the usual one has to be given, and none need not be.
        usual = None if name == "max_seconds" and settings.max_epochs else getattr(default, name)
        if value == usual:
            continue
        known = isinstance(value, int | float | str | tuple)
        if name not in SETTINGS or not known or settings.dataset == "arrays":
            return None
        flag = RENAMED.get(name, "--" + name.replace("_", "-"))
        if isinstance(value, tuple):
            flags += [flag, *map(str, value)]
            continue
        text = time_text(float(value)) if name in RENAMED else str(value)
        flags += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return flags


def time_text(seconds: float) -> str:
    """As a flag takes it: no digit lost, and without an exponent."""
    return f"{Decimal(repr(seconds)):f}s".replace(".0s", "s")
