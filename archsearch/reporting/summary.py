"""What a search came to, in the words of its end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from archsearch.class_measures import validation_passes
from archsearch.quantities import format_epochs, format_macs, format_seconds
from archsearch.run import Run, baseline_name
from archsearch.standing import Confirmation
from archsearch.starting import differing, origin
from archsearch.time_fit import DEFAULT_EPOCHS, Length, Work
from archsearch.trials import Role, Status, TrialRecord
from space.sampling import width_of


def summary(run: Run) -> Iterator[str]:
    """The answer, in the words of the run's end: what was found, what it is worth, what comes next."""
    done = sum(record.status is Status.COMPLETED for record in run.trials)
    best, base = run.incumbent, run.baseline
    name = baseline_name(run.plan, run.stored["hypermodel"], run.settings.baseline)
    yield f"{done} of {run.plan.num_trials} planned trials completed in {run.seconds / 60:.1f} min."
    busy = run.utilisation
    if busy is not None and busy.num_workers > 1:
        # Trials that shared a device took longer for it: what one alone would have taken is not known.
        alone = run.plan.trials_per_device == 1
        saved = f" and saved {format_seconds(busy.saved_seconds)} against one" if alone else ""
        yield f"{busy.num_workers} workers were busy {100 * busy.share:.0f} % of the time{saved}."
    if run.finished:
        for deviation in run.deviations():
            yield f"  not as planned: {deviation}"
    if best is None:
        yield "No trial succeeded." if run.finished else "No trial has completed yet."
        return
    means = {each.trial.trial_id: each for each in run.confirmations}
    yield from _lines("incumbent", best, run.settings.objective, means.get(best.trial_id))
    yield from _origin(run, best)
    if base is not None and base is not best:
        yield from _lines("baseline", base, run.settings.objective, means.get(base.trial_id))
        yield f"           {name}"
    for correlation in run.rank_correlations:
        yield str(correlation)
    yield from _verdict(run, best, name)


def _origin(run: Run, best: TrialRecord) -> Iterator[str]:
    """Which known network the incumbent is, or by what it differs from one; within 80 columns."""
    known = origin(best, run.stored)
    if known.startswith("near"):
        known += f", but for {', '.join(differing(best.hyperparameters, run.stored))}"
    elif known:
        known += ", not drawn"
    indent = 11 * " "
    yield from textwrap.wrap(known, 80, initial_indent=indent, subsequent_indent=indent)


def final_training(run: Run) -> str:
    """What the final training of the incumbent comes to, in words that follow the command."""
    best, aim, macs = run.incumbent, run.settings.final_seconds, run.plan.final_macs
    if aim is not None and macs is not None and (best is None or _is_widened(best, macs)):
        at_most = "" if run.plan.max_params is None else "at most "  # more weights may not be admitted
        return f"in {format_seconds(aim)}, widened to {at_most}{format_macs(macs)}"
    if aim is not None:
        return f"in {format_seconds(aim)}"
    if best is None or best.macs is None:
        return f"{DEFAULT_EPOCHS} epochs"
    dataset = run.stored["dataset"]
    work = Work.final(
        num_train=dataset["num_train"],
        num_validation=validation_passes(run.settings.objective) * dataset["num_validation"],
        batch_size=run.stored["recipe"]["batch_size"],
    )
    length = Length(DEFAULT_EPOCHS, work.full_steps)
    seconds = work.seconds(length, macs=best.macs, speed=run.plan.speed)
    return f"{DEFAULT_EPOCHS} epochs, about {format_seconds(seconds)}; --max-time fits it to a time"


def _is_widened(best: TrialRecord, macs: int) -> bool:
    """A network is never narrowed: one that is larger stays as it was found."""
    return width_of(best.hyperparameters) is not None and (best.macs is None or best.macs < macs)


def _lines(
    title: str, record: TrialRecord, objective: str, confirmation: Confirmation | None
) -> Iterator[str]:
    """Within 80 columns, the further lines aligned with the first."""
    trial = "" if record.trial_id == title else f", trial {record.trial_id}"
    yield f"{title + ':':10} {objective} {record.score:.4f} after {format_epochs(record.epochs)}{trial}"
    if confirmation is not None:
        scores = ", ".join(f"{score:.4f}" for score in confirmation.scores)
        yield f"           confirmed {confirmation.mean:.4f}, the mean of {scores}"
    if record.macs is not None and record.params is not None:
        yield f"           {record.macs / 1e6:.1f} M macs, {record.params / 1e6:.2f} M weights"
    if record.network_text:
        yield f"           {record.network_text}"


def _verdict(run: Run, best: TrialRecord, name: str) -> Iterator[str]:
    """The answer; the last line within 80 columns."""
    if best.role is Role.BASELINE:
        yield f"No structure did better than {name}."
    elif run.lift is None:
        yield f"The incumbent cannot be compared with {name}: {_why_not(run, best)}."
    else:
        yield f"lift over {name}:"
        yield f"           {run.lift}"


def _why_not(run: Run, best: TrialRecord) -> str:
    """What there is no lift for."""
    base = run.baseline
    if base is None:
        return "it did not complete"
    if any(each.trial is best for each in run.confirmations):
        failed = all(each.trial is not base for each in run.confirmations)
        return "it failed with a fresh seed" if failed else "accuracy was not measured"
    return "accuracy was not measured" if best.epochs == base.epochs else "it had another number of epochs"
