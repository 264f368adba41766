"""Whether a run that goes on is the search it was: what its scores depend on, beside the settings given.

The settings have their own comparison (`settings.continued`), for only what is given explicitly can differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from archsearch.errors import UserError
from archsearch.plan import Plan
from archsearch.trials import Place, TrialRecord

PARTS = ("hypermodel", "space", "recipe", "content_hash")
"""Class of the hypermodel; its hyperparameters; the recipe; the images and their labels."""


def describe_space(hyperparameters: Any) -> dict[str, Any]:
    """Every hyperparameter of a space with its kind, range, default and conditions, in plain data.

    Args:
        hyperparameters: A `keras_tuner.HyperParameters`.
    """
    described: dict[str, Any] = {}
    for hp in hyperparameters.space:
        config = {name: value for name, value in hp.get_config().items() if name != "name"}
        config["conditions"] = [repr(condition.get_config()) for condition in hp.conditions]
        described[hp.name] = {"kind": type(hp).__name__, **config}
    plain: dict[str, Any] = json.loads(json.dumps(described, default=repr))
    return plain


def check_same(stored: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Refuses to mix two searches in one log.

    Args:
        stored: settings.json of the run.
        current: What would be written there now.

    Raises:
        UserError: With the list of differences.
    """
    before, now = _parts(stored), _parts(current)
    changes = [line for name in PARTS for line in differences(name, before[name], now[name])]
    if changes:
        raise UserError(
            f"This run is of another search ({'; '.join(changes)}). Choose another --run, or start over "
            "with --overwrite."
        )


def check_log(path: Path, plan: Plan, records: Iterable[TrialRecord]) -> None:
    """Refuses the log of another search.

    Args:
        path: Of the log.
        plan: Of the search.
        records: Of the log.

    Raises:
        UserError: A trial stands where the plan has none.
    """
    planned = {
        Place(*bracket.place, number, slot): rung.epochs
        for bracket in plan.brackets
        for number, rung in enumerate(bracket.rungs)
        for slot in range(bracket.rungs[0].size)
    }
    for record in records:
        if record.epochs != (planned.get(record.place) if record.place else plan.max_epochs):
            raise UserError(
                f"{path} is not the log of this search, which has no trial {record.trial_id} of "
                f"{record.epochs} epochs. Restore it, or start over with --overwrite."
            )


def changed_surroundings(stored: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every version, and part of the machine, that may move the scores to come a little."""
    for name, before, now in _changes(stored, current):
        yield f"So far this run had {name} {before}, now it is {now}: scores may differ a little."


def changed_on_the_way(
    stored: Mapping[str, Any], current: Mapping[str, Any], *, num_trials: int
) -> list[str]:
    """The same of all sessions, to be kept: beside it stand the values of the last one only.

    Args:
        stored: settings.json of the run, as the session before left it.
        current: What will be written there now.
        num_trials: That were finished before this session.
    """
    changes = [
        f"{name} {before}, after {num_trials} trials {now}" for name, before, now in _changes(stored, current)
    ]
    return [*stored.get("changed_on_the_way", []), *changes]


def _changes(stored: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, value before and value now."""
    before, now = ({**each["versions"], **_machine(each["machine"])} for each in (stored, current))
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield name, before.get(name), now.get(name)


def _machine(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What of it scores depend on."""
    threads = machine.get("threads_per_trial") or machine.get("environment", {}).get("TF_NUM_INTRAOP_THREADS")
    return {
        **{name: machine.get(name) for name in ("processor", "cores", "gpus")},
        "threads per trial": None if threads is None else int(threads),
    }


def _parts(description: Mapping[str, Any]) -> dict[str, Any]:
    content_hash = description["dataset"]["content_hash"]
    return {name: description.get(name) for name in PARTS} | {"content_hash": content_hash}


def differences(name: str, before: Any, now: Any) -> Iterator[str]:
    """One entry for every value that differs, however deep it stands."""
    if before == now:
        return
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in (*before, *(key for key in now if key not in before)):
            yield from differences(f"{name} {key}".lstrip(), before.get(key), now.get(key))
    elif name == "content_hash":
        yield "the images or labels are not the same"
    else:
        yield f"{name}: stored {before}, now {now}"
