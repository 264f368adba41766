"""The table, in Markdown, from the file of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import mean, median
from typing import Any

from benchmarks.versus.kills import IN_TRAINING, IN_WRITING
from benchmarks.versus.sides import OURS, STOCK

Cell = Mapping[str, Any]


def epochs(cell: Cell) -> str:
    epochs, trials = cell["announced_epochs"], cell["announced_trials"]
    announced = f"about {epochs} epochs" if trials is None else f"{epochs} epochs, {trials} trials"
    return f"announced {announced}; run {cell['run_epochs']} epochs, {cell['run_trials']} trials"


def failures(cell: Cell) -> str:
    reached, planned = cell["top_rung_reached"], cell["top_rung_planned"]
    text = f"{mean(reached):.1f} of {planned}, in {cell['trials']:.0f} trials"
    if cell["aborted"]:
        without = mean(cell["top_rung_reached_without_abort"])
        text += f"; {cell['aborted']} of {len(reached)} searches aborted (abort switched off: {without:.1f})"
    return text


def kills(cell: Cell) -> str:
    opened = cell["kills"] - cell["not_opened"]
    parts = [
        f"opened again {opened} of {cell['kills']} times",
        f"{cell['finished_lost']} finished trials lost",
        f"{cell['finished_trained_again']} trained again",
    ]
    if cell["unrecorded_trained_again"]:
        parts.append(f"{cell['unrecorded_trained_again']} killed while being recorded, trained again")
    if not cell["ends_as_undisturbed"]:
        parts.append("ends otherwise than undisturbed")
    return "; ".join(parts)


def damage(cell: Cell) -> str:
    if "raises" not in cell:
        kept = f"{cell['kept']} of {cell['finished']} trials"
        return f"`{cell['file']}`: goes on with {kept}, trains the others again"
    named = "names the file" if cell["names_the_file"] else "names no file"
    return f"`{cell['file']}`: does not open; the `{cell['raises']}` {named}"


def changed(cell: Cell, then: Callable[[Mapping[str, int]], str]) -> str:
    """Refused, or what `then` makes of the trials that are in the search at its end."""
    if "raises" in cell:
        return f"refused, {'with' if cell['names_the_change'] else 'without'} the difference"
    return f"{'a warning' if cell['warnings'] else 'nothing is said'}; {then(cell['trials'])}"


def most_epochs(trials: Mapping[str, int]) -> str:
    return f"goes on with at most {max(map(int, trials))} epochs"


def mixed_scores(trials: Mapping[str, int]) -> str:
    return "one ranking of " + " and ".join(f"{number} {kind}" for kind, number in trials.items())


def drawn_from(trials: Mapping[str, int]) -> str:
    return " and ".join(f"{number} trials from the {kind} range" for kind, number in trials.items())


def other_seconds(cell: Cell) -> str:
    processor = of_rounds(cell, "other_processor_seconds_per_trial", 2)
    wall_clock = of_rounds(cell, "other_seconds_per_trial", 2)
    return f"{processor} s of processor time, {wall_clock} s of wall-clock"


def growth(cell: Cell) -> str:
    trials = cell["rounds"][0]["trials"]
    return f"{of_rounds(cell, 'growth_megabytes_per_trial', 1)} MB; {trials} trials"


def of_rounds(cell: Cell, name: str, digits: int) -> str:
    """Median, and the range of all."""
    values = [each[name] for each in cell["rounds"]]
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def worker_killed(cell: Cell) -> str:
    trained = f"{cell['trained']} trainings ended"
    if cell["still_running"]:
        return f"runs on after {cell['seconds']:.0f} s: {', '.join(cell['still_running'])}; {trained}"
    return f"ends after {cell['seconds']:.0f} s; {trained}"


LINES: tuple[tuple[str, str, Callable[[Cell], str]], ...] = (
    ("epochs-27", "epochs and trials of Hyperband, max_epochs 27", epochs),
    ("epochs-9", "the same, max_epochs 9", epochs),
    ("failures-0", "trials of the top rung, no network fails", failures),
    ("failures-10", "10 % of networks fail", failures),
    ("failures-30", "30 % of networks fail", failures),
    ("kills-training", f"{len(IN_TRAINING)} SIGKILLs during training", kills),
    (
        "kills-writing",
        f"{len(IN_WRITING[OURS])} SIGKILLs half-way through writing a state file",
        kills,
    ),
    ("damage-end", "last 30 bytes of the progress file missing", damage),
    ("damage-half", "progress file cut in half", damage),
    ("damage-trial", "one trial's record cut in half", damage),
    ("damage-settings", "another state file cut in half", damage),
    ("changed-max-epochs", "continued with max_epochs 27 in place of 9", partial(changed, then=most_epochs)),
    ("changed-objective", "continued with another objective", partial(changed, then=mixed_scores)),
    ("changed-range", "continued with another range of a hyperparameter", partial(changed, then=drawn_from)),
    ("worker-killed", "one of two workers killed in training: the search ends", worker_killed),
    ("overhead", "seconds per trial that are not training steps", other_seconds),
    ("overhead", "memory growth per trial", growth),
)
"""Row of results, its title, and how its cells are put into words."""


def table(results: Mapping[str, Any]) -> Iterator[str]:
    """The lines between the marks."""
    versions, machine = results["versions"], results["machine"]
    yield f"| cell | | Keras Tuner {versions['keras-tuner']} | archsearch {versions['archsearch']} |"
    yield "|---|---|---|---|"
    for row, title, words in LINES:
        cells = [results["cells"].get(f"{row}/{side}") for side in (STOCK, OURS)]
        if all(cell is not None for cell in cells):  # measured yet
            yield f"| `{row}` | {title} | {' | '.join(map(words, cells))} |"
    yield ""
    yield circumstances(versions, machine)


def circumstances(versions: Mapping[str, str], machine: Mapping[str, Any]) -> str:
    """In one sentence, what the figures depend on."""
    return (
        f"Keras {versions['keras']}, TensorFlow {versions['tensorflow']}, NumPy {versions['numpy']}, "
        f"Python {versions['python']}; {machine['processor']}, {machine['cores']} cores, "
        f"{'no GPU' if not machine['gpus'] else ', '.join(machine['gpus'])}, {machine['system']}."
    )
