"""With what a search was made, and the commands that make it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archsearch.errors import UserError
from archsearch.flags import flags_of, time_text
from archsearch.reporting.html.findings import Final, Findings
from archsearch.reporting.html.plots import value_text
from archsearch.run import BUILT_IN
from archsearch.runtime import PRECISIONS
from archsearch.settings import SearchSettings
from space.recipe import RECIPES

MAX_CLASSES = 20


def set_up(findings: Findings) -> dict[str, str]:
    """Data, recipe, machine and versions, as far as they are known."""
    data, recipe = (findings.section(name) for name in ("dataset", "recipe"))
    classes = data.get("class_names")
    shape = findings.image_shape
    changes = findings.stored.get("changed_on_the_way")
    facts = {
        "data": data.get("name"),
        "images": " × ".join(str(size) for size in shape) + " pixels" if shape else None,
        "images for training, validation": _joined(data.get("num_train"), data.get("num_validation")),
        "classes": _classes(classes) if isinstance(classes, list) else None,
        "recipe": _pairs(recipe),
        "hypermodel": findings.stored.get("hypermodel"),
        "precision": findings.stored.get("precision"),
        **machine_facts(findings.stored),
        "changed on the way": "; ".join(map(str, changes)) if isinstance(changes, list) else None,
        "git commit": findings.stored.get("git_commit"),
    }
    return {name: str(value) for name, value in facts.items() if value}


def machine_facts(stored: Mapping[str, Any]) -> dict[str, str]:
    """On what a search, or a final training, was run; what its file does not say is left out."""
    machine = stored.get("machine")
    machine = machine if isinstance(machine, Mapping) else {}
    facts = {
        "processor": _joined(machine.get("processor"), _cores(machine.get("cores"))),
        "GPUs": _joined(*machine["gpus"]) or "none" if isinstance(machine.get("gpus"), list) else None,
        "system": machine.get("system"),
        "environment": _pairs(machine.get("environment")),
        "versions": _pairs(stored.get("versions")),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _cores(number: Any) -> str | None:
    return f"{number} cores" if number else None


def _joined(*parts: Any) -> str:
    return ", ".join(f"{part:,}" if isinstance(part, int) else str(part) for part in parts if part)


def _pairs(mapping: Any) -> str:
    if not isinstance(mapping, Mapping):
        return ""
    return ", ".join(f"{key} {value_text(value)}" for key, value in mapping.items())


def _classes(names: Sequence[Any]) -> str:
    shown = ", ".join(str(name) for name in names[:MAX_CLASSES])
    more = ", …" if len(names) > MAX_CLASSES else ""
    return f"{len(names)}: {shown}{more}"


def commands(findings: Findings) -> Iterator[tuple[str, str]]:
    """What each does, and how it is written."""
    name = shlex.quote(findings.name)
    logs = _logs(findings)
    flags = _search_flags(findings)
    if flags is not None:
        again = shlex.join(["--run", f"{findings.name}-again"])
        yield "search the same again", f"python search.py {again}{logs}{flags}"
    if findings.incumbent is not None:
        yield "train the incumbent in full", f"python final_train.py --best{_where(findings)}"
    yield "see every curve", f"tensorboard --logdir {shlex.quote(f'{findings.logs}/{findings.name}')}"
    yield "write this report again", f"archsearch report {name}{logs}"


def _search_flags(findings: Findings) -> str | None:
    """Of the same search; `None` where it is not known, or could only be started from Python.

    In the precision that "auto" was there: it may be another one where the report is read.
    """
    settings = dict(findings.section("settings"))
    if findings.stored.get("precision") in PRECISIONS:
        settings["precision"] = findings.stored["precision"]
    by_flags = findings.stored.get("hypermodel") == BUILT_IN or settings.get("space")
    if not settings or not by_flags:
        return None
    try:
        flags = flags_of(SearchSettings(**settings))
    except (TypeError, UserError):  # of another version, or damaged
        return None
    return None if flags is None else f" {shlex.join(flags)}".rstrip()


def final_command(findings: Findings, final: Final) -> str | None:
    """That trains the same again, with every option it had; `None` if result.json does not say."""
    result, what = final.result, final.name
    which = (
        f"--trial {shlex.quote(what.removeprefix('trial-'))}" if what.startswith("trial-") else f"--{what}"
    )
    try:
        # A callback may have ended it before its schedule did.
        seconds, epochs = result["max_seconds"], int(result.get("planned_epochs", result["epochs"]))
        length = ["--epochs", str(epochs)] if seconds is None else ["--max-time", time_text(float(seconds))]
        options = [*length, "--seed", str(int(result["seed"])), "--precision", str(result["precision"])]
        options += [flag for flag, name in (("--tta", "tta"), ("--all-data", "all_data")) if result[name]]
        options += ["--devices", "all"] if int(result.get("devices", 1)) > 1 else []
        recipe = result["recipe"]["name"]
    except (KeyError, TypeError, ValueError):
        return None
    usual = "documented" if what == "documented" else findings.section("recipe").get("name")
    options += ["--recipe", recipe] if recipe != usual and recipe in list(RECIPES) else []
    return f"python final_train.py {which}{_where(findings)} {shlex.join(options)}"


def _where(findings: Findings) -> str:
    """The flags that name the run, where they are not the defaults."""
    run = "" if findings.name == "default" else f" --run {shlex.quote(findings.name)}"
    return run + _logs(findings)


def _logs(findings: Findings) -> str:
    return "" if findings.logs == "logs" else f" --logs {shlex.quote(findings.logs)}"
