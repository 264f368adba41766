"""What earlier searches found, to begin another one with. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from archsearch.assignment import structure_values
from archsearch.draws import Values, key_of
from archsearch.errors import UserError
from archsearch.hyperparameter_values import is_number, is_value_of
from archsearch.run import Run
from archsearch.run_folder import RunFolder
from archsearch.standing import confirmations
from archsearch.trials import Role, Status, TrialRecord


def read_earlier(names: Sequence[str], folder: RunFolder) -> list[Values]:
    """Values of the networks of earlier runs, the best first; of several runs their best in turn.

    Args:
        names: Of runs beside this one, or paths of their folders.
        folder: Of the run that is to begin.

    Raises:
        UserError: There is no such run, it is this one, or none of its trials completed.
    """
    ranked = [_best_values(_open(name, folder)) for name in names]
    different: dict[str, Values] = {}
    for row in zip_longest(*ranked):
        for values in row:
            if values is not None:
                different.setdefault(key_of(values), values)
    return list(different.values())


def _open(name: str, folder: RunFolder) -> Run:
    beside, path = folder.path.parent / name, Path(name)
    run = Run(RunFolder(beside if (beside / "settings.json").exists() else path))
    if not run.folder.exists():
        raise UserError(f"--from {name}: there is no search in {beside}, nor in {path}.")
    if run.folder.path.resolve() == folder.path.resolve():
        raise UserError(f"--from {name} is the run that is to begin; give it another --run.")
    return run


def _best_values(run: Run) -> list[Values]:
    """Confirmed networks by their means, then trials by their scores, the highest fidelity first."""
    sign = -1.0 if run.settings.direction == "max" else 1.0
    confirmed = sorted(confirmations(run.trials), key=lambda each: sign * each.mean)
    completed = [
        (record, record.score)
        for record in run.trials
        if record.status is Status.COMPLETED and record.score is not None and record.role is not Role.CONFIRM
    ]
    if not completed:
        raise UserError(f"No trial of {run.folder.path} has completed, so there is nothing to begin with.")
    others = sorted(completed, key=lambda pair: (-pair[0].epochs, sign * pair[1]))
    records: list[TrialRecord] = [each.trial for each in confirmed] + [record for record, _ in others]
    return [structure_values(record.hyperparameters) for record in records]


def fitted_values(
    earlier: Iterable[Mapping[str, Any]],
    space: Sequence[Any],
    *,
    own: bool,
    fit: Callable[[Values], Values | None],
    known: Iterable[Values],
    num: int,
) -> tuple[list[Values], list[str]]:
    """The first networks that this search may draw, and sentences on what had to be left out.

    A value that the space does not have gives way to the default; a network that no width brings within the
    limits, or one that is known already, is passed over.

    Args:
        earlier: Values, the best first.
        space: Hyperparameters, each after those that its conditions name.
        own: Whether the space is the user's own; networks of the built-in one keep the width they had.
        fit: From a network to one within the limits; `None` if there is none.
        known: Networks that are trained anyway; those of the built-in space at any width.
        num: At most.
    """

    def structure(values: Values) -> str:
        return key_of({name: value for name, value in values.items() if own or name != "width"})

    found: dict[str, Values] = {}
    dropped: dict[str, set[str]] = {}
    taken = {structure(values) for values in known}
    beyond = 0
    for values in earlier:
        if len(found) == num:
            break
        as_given, left_out = _fitted(values, space, own=own)
        if structure(as_given) in taken:
            continue
        fitted = fit(as_given)
        if fitted is None:
            beyond += 1
            continue
        if key_of(fitted) in found:
            continue
        found[key_of(fitted)] = fitted
        for name, value in left_out.items():
            dropped.setdefault(name, set()).add(str(value))
    return list(found.values()), [*_notes(len(found), dropped, beyond)]


def _notes(num: int, dropped: Mapping[str, set[str]], beyond: int) -> Iterable[str]:
    if not num and not beyond:
        yield (
            "Of the earlier runs nothing is left in this space but the baseline of this search, which is "
            "trained anyway."
        )
        return
    networks = "1 network" if num == 1 else f"{num} networks"
    yield f"The search begins with {networks} of earlier runs."
    for name, values in dropped.items():
        yield f"Of these, {name} {', '.join(sorted(values))} is not in this space: the default is taken."
    if beyond:
        yield f"Networks of earlier runs that are beyond the limits are left out: {beyond}."


def _fitted(values: Mapping[str, Any], space: Sequence[Any], *, own: bool) -> tuple[Values, Values]:
    """All values of the space, those given where it admits them; and those of the given it does not."""
    fitted: Values = {}
    for hp in space:
        if all(condition.is_active(fitted) for condition in hp.conditions):
            given = values.get(hp.name)
            of_space = _is_width(given) if hp.name == "width" and not own else is_value_of(hp, given)
            fitted[hp.name] = given if hp.name in values and of_space else hp.default
    names = {hp.name for hp in space}
    left_out = {
        name: value
        for name, value in values.items()
        if name not in names or (name in fitted and fitted[name] != value)
    }
    return fitted, left_out


def _is_width(value: Any) -> bool:
    return is_number(value) and value > 0
