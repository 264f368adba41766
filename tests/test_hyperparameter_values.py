"""Which values count as those of Keras Tuner's hyperparameters."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch.hyperparameter_values import is_number, is_value_of

NAN, INF = float("nan"), float("inf")

CASES: list[tuple[str, dict[str, Any], list[Any], list[Any]]] = [
    ("Boolean", {}, [True, False], [1, 0, 1.0, "True", None]),
    ("Choice", {"values": [1, 2, 4]}, [1, 2, 4, 4.0], [3, True, "1", None, NAN]),
    # Keras Tuner makes whole numbers of them.
    ("Choice", {"values": [True, False]}, [1, 0], [True, False, None]),
    ("Choice", {"values": ["max", "mean"]}, ["max"], ["Max", "", 0, None, ["max"]]),
    ("Choice", {"values": [0.0, 0.5]}, [0, 0.5], [False, 0.25, "0.5"]),
    ("Int", {"min_value": 2, "max_value": 10, "step": 4}, [2, 6, 10], [4, 14, -2, 6.0, True, "6", None]),
    ("Int", {"min_value": 0, "max_value": 1}, [0, 1], [False, True, 2]),
    # Each value is three times the one before.
    (
        "Int",
        {"min_value": 2, "max_value": 60, "step": 3, "sampling": "log"},
        [2, 6, 18, 54],
        [3, 5, 60, 162, 0, -2],
    ),
    # From the upper end, 102, values are 100 + 2 less 2, 4, 8, 16, 32, 64.
    (
        "Int",
        {"min_value": 2, "max_value": 100, "step": 2, "sampling": "reverse_log"},
        [100, 98, 94, 86, 70, 38],
        [99, 96, 2, 102],
    ),
    ("Float", {"min_value": 0.0, "max_value": 0.7, "step": 0.1}, [0, 0.0, 0.3, 0.7], [0.35, 0.8, -0.1]),
    ("Float", {"min_value": 0.0, "max_value": 0.7}, [0, 0.35, 0.7], [NAN, INF, -INF, 0.71, "0.3", False]),
    (
        "Float",
        {"min_value": 1e-4, "max_value": 1.0, "step": 10, "sampling": "log"},
        [1e-4, 0.001, 0.1, 1],
        [0.005, 10.0, 0.0],
    ),
    ("Fixed", {"value": 3}, [3], [4, "3", None]),
]


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("kind", "given", "values", "others"), CASES)
def test_the_values_of_a_hyperparameter(
    kind: str, given: dict[str, Any], values: list[Any], others: list[Any]
) -> None:
    import keras_tuner

    hp = getattr(keras_tuner.engine.hyperparameters, kind)(name="a", **given)
    assert [value for value in values if not is_value_of(hp, value)] == []
    assert [value for value in others if is_value_of(hp, value)] == []


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("kind", "given"), [(kind, given) for kind, given, _, _ in CASES])
def test_what_keras_tuner_draws_is_a_value(kind: str, given: dict[str, Any]) -> None:
    import keras_tuner

    hp = getattr(keras_tuner.engine.hyperparameters, kind)(name="a", **given)
    drawn = [hp.prob_to_value(number / 100) for number in range(100)]
    assert [value for value in drawn if not is_value_of(hp, value)] == []


def test_a_truth_value_is_no_number() -> None:
    assert all(map(is_number, (0, -1, 1.5, NAN)))
    assert not any(map(is_number, (True, False, "1", None, [1])))
