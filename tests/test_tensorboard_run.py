"""A search that was interrupted and went on, and a final training, as TensorBoard serves them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archsearch.run_folder import RunFolder
from archsearch.trials import TrialRecord, read_records
from tests.serving import ALL_FIRST, curve, fetch, get, metrics, picture, printed_address, rows, started
from tests.test_searching import CONFIRMED, Stub, a_third_fails, images, search

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

BY_EPOCHS = "search/best score by epochs"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory, tensorflow: Any) -> Path:
    """A search whose trials pretend to train, and the documented network, trained for two epochs."""
    import archsearch

    logs = tmp_path_factory.mktemp("logs")
    for interrupted_at in (2, 3, None):
        stub = Stub(fails=a_third_fails, interrupted_at=interrupted_at)
        if interrupted_at is None:
            search(logs / "mine", stub, **CONFIRMED)
        else:
            with pytest.raises(KeyboardInterrupt):
                search(logs / "mine", stub, **CONFIRMED)
    archsearch.final_train("documented", data=images(), run="mine", logs=logs, epochs=2, verbose=False)
    return logs


@pytest.fixture(scope="module")
def server(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    output = tmp_path_factory.mktemp("server") / "output.txt"
    with started(logs, output, *ALL_FIRST) as process:
        yield printed_address(process, output)


@pytest.fixture(scope="module")
def records(logs: Path) -> list[TrialRecord]:
    return read_records(RunFolder(logs / "mine").trials)[0]


def test_every_trial_has_its_row_and_its_curves(server: str, records: list[TrialRecord]) -> None:
    table = rows(server, "mine")
    tags = get(server, "scalars/tags")
    assert {str(record.role) for record in records} == {"baseline", "search", "confirm"}
    assert {str(record.status) for record in records} == {"COMPLETED", "FAILED"}
    assert table.keys() == {record.trial_id for record in records}
    for record in records:
        row = table[record.trial_id]
        own = {"trial": record.trial_id, "role": str(record.role), "status": str(record.status)}
        assert row["hparams"] == own | {"epochs": float(record.epochs)} | record.hyperparameters
        assert metrics(row).get("score") == pytest.approx(record.score)
        assert ("accuracy/validation" in tags[f"mine/trials/{record.trial_id}"]) == bool(record.curve)


def test_the_course_has_each_trial_once_and_goes_forward(server: str, records: list[TrialRecord]) -> None:
    for line in ("incumbent", "baseline"):
        steps = [step for step, _ in curve(server, f"mine/search/{line}", BY_EPOCHS)]
        total = 0
        expected = []
        for record in records:
            total += len(record.curve)
            expected.append(total)
        assert steps == expected, "one point a trial, none of an earlier session"


def test_the_plots_of_the_search_are_there(server: str) -> None:
    tags = get(server, "images/tags")["mine/search"]
    assert {"search/optimisation history", "search/learning curves, 3 epochs"} <= tags.keys()


def test_the_final_training_has_curves_and_pictures(server: str) -> None:
    assert [step for step, _ in curve(server, "mine/final/documented", "accuracy/validation")] == [1, 2]
    tags = get(server, "images/tags")["mine/final/documented"]
    assert tags.keys() == {"pictures/learning curves", "pictures/confusion matrix", "pictures/samples"}
    assert picture(server, "mine/final/documented", "pictures/samples").ndim == 3


def graph(server: str, **query: str) -> str:
    return fetch(server, "graphs/graph", run="mine/final/documented", **query).decode()


def test_the_graph_shows_the_layers_with_their_sizes(server: str) -> None:
    info = get(server, "graphs/info")["mine/final/documented"]
    assert info["run_graph"]
    text = graph(server, conceptual="false")
    names = re.findall(r'^  name: "(.*)"', text, flags=re.MULTILINE)
    # Images of 8x8 pixels take three of the five poolings.
    assert list(dict.fromkeys(name.split("/")[0] for name in names)) == [
        "1_8x8",
        "2_4x4",
        "3_2x2",
        "4_1x1",
        "5_vectors",
    ]
    assert len(re.findall(r'op: "Conv2D"', text)) == 13
    assert len(re.findall(r'op: "MaxPooling2D"', text)) == 3
    # One path from the pixels to the probabilities: every layer but the first has one input.
    assert len(re.findall(r'^  input: "', text, flags=re.MULTILINE)) == len(names) - 1


def test_keras_own_description_of_the_layers_is_there_too(server: str) -> None:
    tag = get(server, "graphs/info")["mine/final/documented"]["tags"]["keras"]
    assert tag["conceptual_graph"]
    text = graph(server, tag="keras", conceptual="true")
    assert text.count('s: "Conv2D"') == 13
