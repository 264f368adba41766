"""Whether a run that goes on is the search it was: what its scores depend on, beside the settings given.

The settings have their own comparison (`settings.continued`), for only what is given explicitly can differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from archsearch.errors import UserError

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
    differences = [line for name in PARTS for line in differences(name, before[name], now[name])]
    if differences:
        raise UserError(
            f"This run is of another search ({'; '.join(differences)}). Choose another --run, or start over "
            "with --overwrite."
        )


def changed_surroundings(stored: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every version, and part of the machine, that may move the scores to come a little."""
    before, now = (
        {**each["versions"], **{name: each["machine"][name] for name in ("processor", "cores", "gpus")}}
        for each in (stored, current)
    )
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield (
                f"This run began with {name} {before.get(name)}, now it is {now.get(name)}: "
                "scores may differ a little."
            )


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
