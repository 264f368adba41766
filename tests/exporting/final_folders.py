"""Folders as a final training leaves them, of small networks that were never trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

MEAN, STD = (120.5, 110.25, 100.0), (60.0, 61.5, 62.25)


def pixels(number: int, shape: tuple[int, int, int]) -> Any:
    return np.random.default_rng(5).integers(0, 256, (number, *shape), dtype=np.uint8)


def a_network(values: dict[str, Any], shape: tuple[int, int, int], num_classes: int = 3) -> tuple[Any, Any]:
    """The hypermodel and its network with these values, every weight drawn at random."""
    import keras
    import keras_tuner

    from archsearch.image_statistics import ImageStatistics
    from space.hypermodel import VGGHyperModel
    from space.recipe import MODERN

    channels = shape[2]
    covariance = tuple(map(tuple, 3600.0 * np.eye(4 * channels)))
    statistics = ImageStatistics(MEAN[:channels], STD[:channels], covariance)
    hypermodel = VGGHyperModel(shape, num_classes, recipe=MODERN, statistics=statistics)
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    keras.utils.set_random_seed(0)
    model = hypermodel.build(hp)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.dtype == "float32":  # not the state of a random generator
            # Variances have to be positive; kernels small enough that no class is certain.
            low, high = (-0.2, 0.2) if "kernel" in weight.path else (0.5, 1.5)
            weight.assign(rng.uniform(low, high, weight.shape))
    return hypermodel, model


def leave(
    folder: Path,
    values: dict[str, Any],
    shape: tuple[int, int, int] = (16, 12, 3),
    class_names: tuple[str, ...] = ("cat", "dog", "bird"),
    **changes: Any,
) -> Any:
    """Writes model.keras and result.json; the network."""
    import keras_tuner

    from archsearch.model_file import save_model

    hypermodel, model = a_network(values, shape, len(class_names))
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    architecture = hypermodel.architecture(hp)
    save_model(model, folder / "model.keras", class_names)
    result = {
        "architecture": architecture.to_dict(),
        "recipe": hypermodel.recipe.to_dict(),
        "params": model.count_params(),
        "macs": architecture.macs(shape),
        "test_accuracy": 0.5,
        "epochs": 3,
        "dataset": {
            "name": "arrays",
            "content_hash": "",
            "image_shape": list(shape),
            "class_names": list(class_names),
            "statistics": {"mean": list(MEAN[: shape[2]]), "std": list(STD[: shape[2]])},
        },
    }
    (folder / "result.json").write_text(json.dumps(result | changes))
    return model
