"""With what a search was made, and the commands that make it again."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archsearch.reporting.html.findings import Findings
from archsearch.reporting.html.hyperparameters import level_text
from archsearch.run import BUILT_IN
from archsearch.settings import SearchSettings

MAX_CLASSES = 20


def set_up(findings: Findings) -> dict[str, str]:
    """Data, recipe, machine and versions, as far as they are known."""
    data, recipe, machine = (findings.section(name) for name in ("dataset", "recipe", "machine"))
    classes = data.get("class_names")
    shape = findings.image_shape
    facts = {
        "data": data.get("name"),
        "images": " × ".join(str(size) for size in shape) + " pixels" if shape else None,
        "images for training, validation": _joined(data.get("num_train"), data.get("num_validation")),
        "classes": _classes(classes) if isinstance(classes, list) else None,
        "recipe": _pairs(recipe),
        "hypermodel": findings.stored.get("hypermodel"),
        "processor": _joined(machine.get("processor"), _cores(machine.get("cores"))),
        "GPUs": _joined(*machine["gpus"]) or "none" if isinstance(machine.get("gpus"), list) else None,
        "system": machine.get("system"),
        "environment": _pairs(machine.get("environment")),
        "versions": _pairs(findings.section("versions")),
        "git commit": findings.stored.get("git_commit"),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _cores(number: Any) -> str | None:
    return f"{number} cores" if number else None


def _joined(*parts: Any) -> str:
    return ", ".join(f"{part:,}" if isinstance(part, int) else str(part) for part in parts if part)


def _pairs(mapping: Any) -> str:
    if not isinstance(mapping, Mapping):
        return ""
    return ", ".join(
        f"{key} {level_text(value)}" if isinstance(value, bool | float) else f"{key} {value}"
        for key, value in mapping.items()
    )


def _classes(names: Sequence[Any]) -> str:
    shown = ", ".join(str(name) for name in names[:MAX_CLASSES])
    more = ", …" if len(names) > MAX_CLASSES else ""
    return f"{len(names)}: {shown}{more}"


def commands(findings: Findings) -> Iterator[tuple[str, str]]:
    """What each does, and how it is written."""
    name = shlex.quote(findings.name)
    logs = "" if findings.logs == "logs" else f" --logs {shlex.quote(findings.logs)}"
    run = ("" if findings.name == "default" else f" --run {name}") + logs
    settings = findings.section("settings")
    # What only Python can give, a hypermodel or arrays, has no flag.
    by_flags = findings.stored.get("hypermodel") == BUILT_IN or settings.get("space")
    if settings and by_flags and settings.get("dataset") != "arrays":
        again = f"python search.py --run {shlex.quote(f'{findings.name}-again')}{logs}{_flags(settings)}"
        yield "search the same again", again
    yield "train the incumbent in full", f"python final_train.py --best{run}"
    yield "see every curve", f"tensorboard --logdir {shlex.quote(f'{findings.logs}/{findings.name}')}"
    yield "write this report again", f"archsearch report {name}{logs}"


def _flags(settings: Mapping[str, Any]) -> str:
    """Settings that are not the defaults, as they are given on the command line."""
    defaults = {field.name: field.default for field in dataclasses.fields(SearchSettings)}
    flags = ""
    for name, value in settings.items():
        if name == "from_runs" and isinstance(value, list) and value:
            flags += f" --from {shlex.join(map(str, value))}"
        if value is None or value == defaults.get(name) or isinstance(value, list | dict):
            continue
        flag, text = name.replace("_", "-"), str(value)
        if name in ("max_seconds", "final_seconds") and isinstance(value, int | float):
            flag, text = name.replace("_seconds", "-time"), f"{value:g}s"
        flags += f" --{flag} {shlex.quote(text)}"
    return flags
