"""What an earlier session of a search left, and how it meets what is given now. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from archsearch.errors import UserError
from archsearch.fitting import CONFIRM_SHARE, RESERVE
from archsearch.layout import Layout
from archsearch.plan import Plan, Speed
from archsearch.readers.source import Facts
from archsearch.run import read_stored
from archsearch.run_folder import RunFolder, read_json
from archsearch.settings import SearchSettings
from archsearch.typed import from_plain


def stored_speed(folder: RunFolder) -> Speed | None:
    """As measured by an earlier search of this name.

    Raises:
        UserError: The file is damaged.
    """
    if not folder.speed.exists():
        return None
    remedy = "Remove it: the speed is measured again."
    stored = read_json(folder.speed, remedy=remedy)
    try:
        return from_plain(Speed, stored)
    except TypeError as error:
        raise UserError(f"{folder.speed} is not one of our files ({error}). {remedy}") from error


def stored_settings(folder: RunFolder, overwrite: bool) -> dict[str, Any] | None:
    """What an earlier session wrote in settings.json; `None` if the search begins anew."""
    if overwrite:
        return None
    if not folder.exists() and folder.trials.exists() and not folder.overwritten.exists():
        raise UserError(
            f"There is no {folder.settings} for the trials in {folder.trials}. Restore it, choose another "
            "--run, or start over with --overwrite."
        )
    return read_stored(folder) if folder.exists() else None


def check_images(stored: Mapping[str, Any], given: Facts, name: str) -> None:
    """Refuses images that cannot be those of the run, which their content would tell once it is read.

    Raises:
        UserError: Their size or the number of their classes differs.
    """
    before = stored["dataset"]["image_shape"], len(stored["dataset"]["class_names"])
    now = list(given.image_shape), given.num_classes
    if now != before:
        texts = [f"{'x'.join(map(str, shape))}, {classes} classes" for shape, classes in (now, before)]
        raise UserError(
            f"The images of {name} ({texts[0]}) are not those that this run was searched on ({texts[1]}). "
            "Choose another --run, or start over with --overwrite."
        )


def continued_plan(
    stored: Mapping[str, Any],
    settings: SearchSettings,
    given: Mapping[str, Any],
    laid_out: Layout | None = None,
) -> Plan:
    """The stored plan with what is given now.

    Args:
        laid_out: The workers there are now; those of the stored plan by default.
    """
    plan = Plan.from_dict(stored["plan"])
    if laid_out is not None:
        at_a_time, per_device = laid_out.trials_at_a_time, laid_out.trials_per_device
        plan = dataclasses.replace(plan, workers=at_a_time, trials_per_device=per_device)
    if settings.iterations is not None:
        plan = dataclasses.replace(plan, iterations=max(plan.iterations, settings.iterations))
    confirmed_seconds = plan.confirm_seconds if stored["finished"] else 0.0
    if "confirm" in given:
        plan = dataclasses.replace(plan, confirm=max(plan.confirm, given["confirm"]))
    if "max_seconds" in given and settings.max_seconds != plan.max_seconds:
        if settings.max_seconds is not None:
            # Of a finished one what leads then is to be confirmed, as what led before was.
            planned_seconds = settings.max_seconds * (1 - RESERVE) - confirmed_seconds
            plan = _longer(plan, settings, planned_seconds, confirm=given.get("confirm", settings.confirm))
        plan = dataclasses.replace(plan, max_seconds=settings.max_seconds)
    return plan


def _longer(plan: Plan, settings: SearchSettings, planned_seconds: float, *, confirm: int) -> Plan:
    """With the iterations that fit, unless they are given.

    And with confirmations for which a shorter time had no room; an iteration more goes before them.

    Args:
        confirm: Networks to confirm, at most.
    """
    assert settings.max_seconds is not None
    for number in range(confirm, plan.confirm, -1):
        more = dataclasses.replace(plan, confirm=number)
        if settings.iterations is None:
            more = more.with_more_time(planned_seconds)
            if more.iterations == plan.iterations:
                continue
        if more.seconds <= planned_seconds and more.confirm_seconds <= CONFIRM_SHARE * settings.max_seconds:
            return more
    return plan.with_more_time(planned_seconds) if settings.iterations is None else plan


def workers_changed(stored: Mapping[str, Any], plan: Plan) -> bool:
    """Whether not all sessions of a run that goes on with this plan had as many workers."""
    before = Plan.from_dict(stored["plan"]).workers
    return bool(stored.get("workers_changed", False)) or before != plan.workers


def chosen(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen where the settings left it the choice, by the settings' names."""
    names = ("max_epochs", "images_per_epoch", "max_macs", "iterations", "confirm")
    precision = {"precision": stored["precision"]} if "precision" in stored else {}
    return {**{name: stored["plan"][name] for name in names}, **precision}
