"""The plan of a search in words. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator

from archsearch.plan import CONFIRM_SEEDS, FINAL_EPOCHS, Plan
from archsearch.quantities import format_epochs, format_macs, format_seconds


def describe(plan: Plan) -> Iterator[str]:
    """The plan as lines for a person: what is spent, and on what."""
    yield (
        f"{plan.num_trials} trials, {plan.num_epochs} epochs of {plan.images_per_epoch:,} images, "
        f"about {format_seconds(plan.seconds)} (speed {plan.speed.source}{_rate(plan)})"
        + (f", {plan.workers} at a time" if plan.workers > 1 else "")
    )
    width = "" if plan.baseline_width == 1.0 else f" at width {plan.baseline_width:.2f}"
    seconds = format_seconds(plan.baseline_seconds)
    yield f"  baseline{width}: 1 x {format_epochs(plan.max_epochs)}, about {seconds}"
    for bracket in plan.brackets:
        ladder = " -> ".join(f"{rung.size} x {format_epochs(rung.epochs)}" for rung in bracket.rungs)
        yield f"  {bracket.name}: {ladder}, about {format_seconds(plan.bracket_seconds(bracket))}"
    if plan.confirm:
        yield (
            f"  confirm: best {plan.confirm} and baseline, {CONFIRM_SEEDS} seeds each: "
            f"{plan.num_confirmations} x {format_epochs(plan.max_epochs)}, "
            f"about {format_seconds(plan.confirm_seconds)}"
        )
    limits = [
        f"{name} at most {value / 1e6:.1f} M"
        for name, value in (("macs", plan.max_macs), ("weights", plan.max_params))
        if value is not None
    ]
    if limits:
        yield f"  limits: {', '.join(limits)}"
    if plan.final_macs is not None:
        yield f"  final training: {_describe_final(plan, plan.final_macs)}"


def _rate(plan: Plan) -> str:
    """Nothing where networks do not know their macs: then all count as one."""
    return "" if plan.cost.baseline_macs <= 1 else f": {2 * plan.speed.macs_per_second / 1e9:.0f} GFLOP/s"


def _describe_final(plan: Plan, final_macs: int) -> str:
    # The limit is above what its time admits only where nearly all networks would be narrowed to little.
    if plan.max_macs is not None and plan.max_macs > final_macs:
        return (
            f"its time is too short for {FINAL_EPOCHS} epochs of the networks that are searched, so it will "
            "have fewer; a longer --final-time gives it more"
        )
    epochs = f"{FINAL_EPOCHS} epochs of {format_macs(final_macs)}"
    widened = (
        "widened to that" if plan.max_params is None else "widened to that, as far as --max-params admits"
    )
    return f"{epochs} fit its time; the network found is {widened}"
