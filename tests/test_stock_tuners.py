"""Both ends are native Keras Tuner: our hypermodel in its tuners, and our oracle in its Hyperband."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from space.recipe import MODERN

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

IMAGE_SHAPE = (16, 16, 3)
NUM_IMAGES = 16


def hypermodel() -> Any:
    from space.hypermodel import VGGHyperModel

    return VGGHyperModel(IMAGE_SHAPE, 2, recipe=MODERN)


def tiny_space() -> Any:
    """What a user passes to a stock tuner to hold values fixed; the rest of the space is tuned."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.Fixed("num_blocks", 2)
    for block in range(2):
        with hp.conditional_scope("num_blocks", [2, 3, 4, 5]):
            hp.Fixed(f"block_{block}/convs", 1)
    hp.Fixed("filters", 16)
    hp.Fixed("growth", 1.0)
    hp.Fixed("head", "global_pool")
    with hp.conditional_scope("head", ["flatten", "global_pool"]):
        hp.Fixed("hidden_units", 128)
    return hp


def data() -> dict[str, Any]:
    x = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *IMAGE_SHAPE), dtype=np.uint8)
    y = np.eye(2, dtype=np.float32)[np.arange(NUM_IMAGES) % 2]
    return {"x": x, "y": y, "validation_data": (x[:8], y[:8]), "batch_size": 8, "verbose": 0}


def options(folder: Path) -> dict[str, Any]:
    return {
        "objective": "val_accuracy",
        "hyperparameters": tiny_space(),
        "seed": 1,
        "directory": str(folder),
        "project_name": "stock",
    }


def assert_completed(tuner: Any, num_trials: int) -> None:
    trials = tuner.oracle.trials.values()
    assert [trial.status for trial in trials] == ["COMPLETED"] * num_trials
    for trial in trials:
        assert trial.hyperparameters.values["num_blocks"] == 2
        assert trial.hyperparameters.values["hidden_units"] == 128
        assert "block_2/convs" not in trial.hyperparameters.values
        assert 0 <= trial.score <= 1


def test_hypermodel_works_in_random_search_and_its_best_network_can_be_rebuilt(tmp_path: Path) -> None:
    import keras_tuner

    tuner = keras_tuner.RandomSearch(hypermodel(), max_trials=2, **options(tmp_path))
    tuner.search(epochs=1, **data())
    assert_completed(tuner, 2)
    rates = {trial.hyperparameters.values["learning_rate"] for trial in tuner.oracle.trials.values()}
    assert len(rates) == 2
    [best] = tuner.get_best_hyperparameters(1)
    architecture = hypermodel().architecture(best)
    assert (architecture.convs, architecture.filters) == ((1, 1), (16, 16))
    assert tuner.hypermodel.build(best).count_params() == architecture.params(IMAGE_SHAPE, 2)


def test_hypermodel_works_in_bayesian_optimization(tmp_path: Path) -> None:
    import keras_tuner

    # One random trial, then one that its Gaussian process proposes.
    tuner = keras_tuner.BayesianOptimization(
        hypermodel(), max_trials=2, num_initial_points=1, **options(tmp_path)
    )
    tuner.search(epochs=1, **data())
    assert_completed(tuner, 2)


# Keras Tuner loads the parent's weights without the state of its optimiser, and Keras says so.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
def test_hypermodel_works_in_hyperband_with_a_promotion(tmp_path: Path) -> None:
    import keras_tuner

    tuner = keras_tuner.Hyperband(hypermodel(), max_epochs=2, factor=2, **options(tmp_path))
    tuner.search(**data())
    values = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
    assert_completed(tuner, len(values))
    assert {each["tuner/epochs"] for each in values} == {1, 2}
    # Of two trials of one epoch the better one goes on from its weights.
    [promoted] = [each for each in values if "tuner/trial_id" in each]
    assert (promoted["tuner/initial_epoch"], promoted["tuner/epochs"]) == (1, 2)


def hyperband_with_our_oracle(folder: Path, **oracle_options: Any) -> Any:
    """`keras_tuner.Hyperband` builds an oracle of its own; this subclass is handed ours."""
    import keras_tuner

    from archsearch.oracle import HyperbandOracle

    class Hyperband(keras_tuner.Hyperband):
        def __init__(self, oracle: Any, hypermodel: Any, **kwargs: Any) -> None:
            keras_tuner.Tuner.__init__(self, oracle, hypermodel, **kwargs)

    oracle = HyperbandOracle(
        max_epochs=2, factor=2, hyperparameters=tiny_space(), **({"seed": 0} | oracle_options)
    )
    return Hyperband(oracle, hypermodel(), directory=str(folder), project_name="ours")


@pytest.fixture(scope="module")
def ours(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    tuner = hyperband_with_our_oracle(tmp_path_factory.mktemp("ours"), baseline={"width": 0.5})
    tuner.search(**data())
    return tuner


def test_our_oracle_runs_its_plan_in_stock_hyperband(ours: Any) -> None:
    epochs = [trial.hyperparameters.values["tuner/epochs"] for trial in ours.oracle.trials.values()]
    # The baseline; two trials of 1 epoch, the better one again in 2; two trials of 2.
    assert epochs == [2, 1, 1, 2, 2, 2]
    assert_completed(ours, 6)


def test_baseline_comes_first_with_the_defaults_of_the_space(ours: Any) -> None:
    first, *others = ours.oracle.trials.values()
    values = first.hyperparameters.values
    assert (values["width"], values["dropout"], values["learning_rate"]) == (0.5, 0.5, 0.3)
    assert {trial.hyperparameters.values["width"] for trial in others} == {1.0}


def test_promoted_trial_of_our_oracle_trains_afresh_with_the_same_values(ours: Any) -> None:
    by_id = dict(ours.oracle.trials)
    [(name, assignment)] = [
        (name, each) for name, each in ours.oracle.assignments.items() if each.parent_trial_id
    ]
    values = by_id[name].hyperparameters.values
    assert (values["tuner/epochs"], values["tuner/initial_epoch"]) == (2, 0)
    parent = by_id[assignment.parent_trial_id].hyperparameters.values
    assert (parent["tuner/epochs"], parent["tuner/round"], values["tuner/round"]) == (1, 0, 1)
    own = {name for name in values if name.startswith("tuner/")}
    assert {k: v for k, v in values.items() if k not in own} == {
        k: v for k, v in parent.items() if k not in own
    }
    siblings = [trial.score for trial in by_id.values() if trial.hyperparameters.values["tuner/epochs"] == 1]
    assert by_id[assignment.parent_trial_id].score == max(siblings)
