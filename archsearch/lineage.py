"""Whether a final training is of the search in whose folder it lies. No TensorFlow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from archsearch.trials import TrialRecord
from space.sampling import OF_RECIPE


def is_of(result: Mapping[str, Any], records: Sequence[TrialRecord], stored: Mapping[str, Any]) -> bool:
    """Whether it trained on the images of this search, and a network with the values of its trial.

    A search that is started over leaves the final training of the earlier one in place.

    Args:
        result: result.json of the final training.
        records: Of the search.
        stored: settings.json of the search; empty if it cannot be read.
    """
    hashes = [_at(each, "dataset", "content_hash") for each in (result, stored)]
    if None not in hashes and hashes[0] != hashes[1]:
        return False
    values = result.get("hyperparameters")
    if result.get("trial_id") is None or not isinstance(values, Mapping):
        return True
    trial = next((record for record in records if record.trial_id == result["trial_id"]), None)
    if trial is None:
        return False
    left_out = {"width"}  # by which a final training widens the network found
    recipes = [_at(each, "recipe", "name") for each in (result, stored)]
    if recipes[0] != recipes[1]:  # it leaves out what another recipe sets
        left_out |= {name for name in OF_RECIPE if name not in values}
    return _but(left_out, values) == _but(left_out, trial.hyperparameters)


def _at(mapping: Mapping[str, Any], *names: str) -> Any:
    part: Any = mapping
    for name in names:
        part = part.get(name) if isinstance(part, Mapping) else None
    return part


def _but(names: Collection[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
