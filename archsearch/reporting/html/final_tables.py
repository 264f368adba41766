"""The tables of the final trainings: what each reached, how it was trained, and the files it left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.quantities import format_seconds
from archsearch.reporting.exports import cells
from archsearch.reporting.html.answer import score_text
from archsearch.reporting.html.findings import Final, Findings
from archsearch.reporting.html.plots import count_text
from archsearch.reporting.html.set_up import final_command, machine_facts


@dataclass(frozen=True)
class FinalRow:
    """One final training, or what was published."""

    name: str
    test_accuracy: str
    several_views: str
    """The same with several views; empty if they were not asked for."""
    test_loss: str
    train_accuracy: str
    params: str
    macs: str
    epochs: str
    seconds: str


def final_rows(findings: Findings) -> Iterator[FinalRow]:
    """What was trained in full and tested; last what was published, where that is known."""
    published: Any = None
    for final in findings.finals:
        result = final.result
        tta = result.get("test_accuracy_tta")
        views = f"{_decimals(tta)} with several views" if tta else ""
        trial = f" (trial {result['trial_id']})" if result.get("trial_id") else ""
        yield _final_row(f"{final.name}{trial}", result, views)
        published = published or result.get("published")
    if isinstance(published, Mapping):
        yield _final_row("documented network, as published", published, "")


def _final_row(name: str, result: Mapping[str, Any], views: str) -> FinalRow:
    params, macs, seconds = (result.get(key) for key in ("params", "macs", "seconds"))
    return FinalRow(
        name=name,
        test_accuracy=_decimals(result.get("test_accuracy")),
        several_views=views,
        test_loss=_decimals(result.get("test_loss")),
        train_accuracy=_decimals(result.get("train_accuracy")),
        params=count_text(params) if isinstance(params, int) else "",
        macs=count_text(macs) if isinstance(macs, int) else "",
        epochs=_epochs(result),
        seconds=format_seconds(seconds) if isinstance(seconds, int | float) else "",
    )


def _epochs(result: Mapping[str, Any]) -> str:
    """To a time they may be parts of a pass, or more than one."""
    epochs = str(result.get("epochs", ""))
    passed, num_train = (result.get(name) for name in ("num_images_passed", "num_train"))
    if result.get("max_seconds") is None or not isinstance(passed, int) or not isinstance(num_train, int):
        return epochs
    return f"{epochs}, {passed / max(1, num_train):.1f} passes"


def _decimals(value: Any) -> str:
    return score_text(float(value)) if isinstance(value, int | float) else ""


@dataclass(frozen=True)
class FinalDetail:
    """How one final training came about."""

    name: str
    facts: Mapping[str, str]
    classes: Sequence[tuple[str, str]]
    """Accuracy of each class on the test images, the lowest first."""


def final_details(findings: Findings) -> Iterator[FinalDetail]:
    """Of each; what result.json does not say is left out."""
    for final in findings.finals:
        facts = {**_facts(final.result), **machine_facts(final.result)}
        command = final_command(findings, final)
        facts |= {"command": command} if command else {}
        yield FinalDetail(final.name, {k: v for k, v in facts.items() if v}, _classes(final))


def _facts(result: Mapping[str, Any]) -> dict[str, str]:
    tta = ""
    if "test_accuracy_tta" in result:
        accuracy, loss = (_decimals(result.get(f"test_{name}_tta")) for name in ("accuracy", "loss"))
        tta = f"test accuracy {accuracy}, loss {loss}; the mean of {result.get('tta_views')}"
    recipe = result.get("recipe")
    return {
        "several views": tta,
        "trained on": _images(result),
        "test images also in the training part": _twins(result, "training"),
        "test images also in the validation part": _twins(result, "validation"),
        "widened from": _widened(result),
        "recipe": str(recipe.get("name", "")) if isinstance(recipe, Mapping) else "",
        "precision": str(result.get("precision", "")),
        "seed": str(result.get("seed", "")),
    }


def _images(result: Mapping[str, Any]) -> str:
    number = result.get("num_train")
    images = f"{number:,} images" if isinstance(number, int) else ""
    part = "the validation part included" if result.get("all_data") else ""
    return ", ".join(text for text in (images, part) if text)


def _twins(result: Mapping[str, Any], part: str) -> str:
    """Stated also where there are none: it is what makes a test worth something."""
    twins, of = (result.get(name) for name in (f"num_test_in_{part}", "num_test"))
    return f"{twins:,} of {of:,}" if isinstance(twins, int) and isinstance(of, int) else ""


def _widened(result: Mapping[str, Any]) -> str:
    found = result.get("found_macs")
    if not isinstance(found, int) or found == result.get("macs"):
        return ""
    return f"{count_text(found)} macs, which is the network found"


def _classes(final: Final) -> list[tuple[str, str]]:
    stored = final.result.get("per_class")
    accuracies = stored.items() if isinstance(stored, Mapping) else ()
    known = [(str(name), value) for name, value in accuracies if isinstance(value, int | float)]
    return [(name, _decimals(value)) for name, value in sorted(known, key=lambda each: each[1])]


@dataclass(frozen=True)
class ExportTable:
    """The exported files of one final training."""

    name: str
    rows: Sequence[Sequence[str]]
    """Cells as in `exports.HEADINGS`, then the file, the runtime, and what is wrong with the file."""
    notes: Sequence[str]


def export_tables(findings: Findings) -> Iterator[ExportTable]:
    """Of each final training that was exported."""
    for final in findings.finals:
        if final.exports:
            # Of two calls on different images, or machines, each is named.
            measured = [each for each in final.exports if each.runtime]
            notes = dict.fromkeys(
                f"Compared on {each.images}; times are medians, of a batch of {each.batch_size} images, on "
                f"{each.processor}."
                for each in measured
            )
            rows = [(*cells(each), each.file, each.runtime, each.problem) for each in final.exports]
            yield ExportTable(f"final/{final.name}", rows, list(notes))
