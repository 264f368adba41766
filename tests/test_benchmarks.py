"""The benchmarks compare what they say they compare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.throughput import sides
from benchmarks.throughput.networks import IMAGE_SHAPE, NETWORKS, NUM_CLASSES

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def throughput() -> Any:
    """The script, which the package beside it hides from an import."""
    import runpy

    return runpy.run_path(str(ROOT / "benchmarks" / "throughput.py"))


@pytest.mark.end_to_end
def test_the_other_sides_do_not_inherit_our_settings_of_tensorflow() -> None:
    program = (
        "import runpy, sys\n"
        "module = runpy.run_path('benchmarks/throughput.py')\n"
        "environments = {}\n"
        "def measure(name, steps, environment):\n"
        "    environments[name] = environment\n"
        "    return 1.0\n"
        "main = module['main']\n"
        "main.__globals__['measure'] = measure\n"
        "sys.argv = ['throughput.py', '--rounds', '1']\n"
        "main()\n"
        "assert {'project', 'plain', '60m/project', '60m/plain', 'matmul/numpy'} <= environments.keys()\n"
        "assert all(each == environments['project'] for each in environments.values())\n"
        "assert not any(name.startswith('TF_') for name in environments['plain'])\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=clean, check=True, capture_output=True)


@pytest.mark.parametrize("has_torch", [True, False])
@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_every_side_trains_both_networks(throughput: Any, has_torch: bool, has_bfloat16: bool) -> None:
    sides = {"project", "plain"}
    sides |= {"pytorch"} if has_torch else set()
    sides |= {"project-bfloat16"} if has_bfloat16 else set()
    sides |= {"pytorch-bfloat16"} if has_torch and has_bfloat16 else set()
    names = throughput["measurements"](has_torch=has_torch, has_bfloat16=has_bfloat16)
    assert set(names) == sides | {f"60m/{side}" for side in sides} | {"matmul/numpy", "matmul/tensorflow"}


def test_a_side_in_bfloat16_is_compared_in_bfloat16(throughput: Any) -> None:
    """And this project's own with what it does in single precision."""
    each = dict.fromkeys(throughput["measurements"](has_torch=True, has_bfloat16=True), 40.0)
    each |= {"project": 20.0, "project-bfloat16": 80.0}
    found = throughput["ratios"]([each])
    assert found["pytorch"] == 0.5
    assert found["pytorch-bfloat16"] == 2.0
    assert found["project-bfloat16"] == 0.25


def test_the_rows_in_bfloat16_say_so_where_the_processor_cannot(throughput: Any) -> None:
    each = dict.fromkeys(throughput["measurements"](has_torch=True, has_bfloat16=False), 40.0)
    rows = [line for line in throughput["table"]([each]) if "-bfloat16 |" in line]
    assert len(rows) == 4
    assert all("this processor does not multiply in bfloat16" in row for row in rows)


def test_a_ratio_is_the_median_of_the_ratios_within_the_rounds(throughput: Any) -> None:
    """Ratios 2, 4 and 3 although the median rates, 30 and 15, have ratio 2."""
    rounds = [
        {"project": 30.0, "plain": 15.0, "60m/project": 1.0, "matmul/numpy": 50.0, "matmul/tensorflow": 90.0},
        {"project": 20.0, "plain": 5.0, "60m/project": 1.0, "matmul/numpy": 80.0, "matmul/tensorflow": 10.0},
        {"project": 60.0, "plain": 20.0, "60m/project": 1.0, "matmul/numpy": 10.0, "matmul/tensorflow": 60.0},
    ]
    found = throughput["ratios"](rounds)
    assert found["plain"] == 3.0
    assert "pytorch" not in found
    # 6 x 313,458,688 operations an image: 1.8808 GFLOP; over 90, 80 and 60 GFLOP/s.
    assert found["matmul"] == pytest.approx(1.880752 * 30 / 90)


@pytest.mark.parametrize("measured", [True, False])
def test_the_row_of_pytorch_says_what_installs_it_where_it_is_missing(
    throughput: Any, measured: bool
) -> None:
    each = dict.fromkeys(throughput["measurements"](has_torch=measured, has_bfloat16=True), 40.0)
    rows = [line for line in throughput["table"]([each]) if "| pytorch" in line]
    assert len(rows) == 4
    assert all(("`pip install torch`" in row) is not measured for row in rows)
    if measured:
        assert rows[0] == "| documented | pytorch | 40.0 | 75 | 1.00 |"


def test_the_smaller_network_has_about_60_million_macs() -> None:
    """Its layers by hand: stem and eight convolutions on 31, 15, 7 and 3 pixels."""
    stem = 31 * 31 * 4 * 3 * 24
    first = 9 * (31 * 31 * 24 * 64 + 15 * 15 * 64 * 64)
    second = 9 * (15 * 15 * 64 * 128 + 2 * 7 * 7 * 128 * 128)
    third = 9 * (7 * 7 * 128 * 128 + 2 * 3 * 3 * 128 * 128)
    assert NETWORKS["60m"].macs == stem + first + second + third == 62_775_072


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_values_of_a_network_give_its_architecture(name: str) -> None:
    import keras_tuner

    from space.hypermodel import VGGHyperModel

    network = NETWORKS[name]
    hp = keras_tuner.HyperParameters()
    hp.values = dict(network.values)
    family = VGGHyperModel(IMAGE_SHAPE, NUM_CLASSES, recipe=network.recipe)
    assert family.architecture(hp) == network.architecture


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_plain_network_has_as_many_weights(name: str) -> None:
    assert sides.plain_network(NETWORKS[name]).count_params() == NETWORKS[name].params


@pytest.mark.parametrize("name", NETWORKS)
def test_the_pytorch_network_has_as_many_weights(name: str) -> None:
    """Moving statistics included, as Keras counts them; PyTorch's counters of batches left out."""
    pytest.importorskip("torch")
    network = sides.pytorch_network(NETWORKS[name])
    state = network.state_dict()
    weights = sum(each.numel() for part, each in state.items() if not part.endswith("num_batches_tracked"))
    assert weights == NETWORKS[name].params


def test_the_pytorch_network_trains_all_weights_but_the_whitening() -> None:
    torch = pytest.importorskip("torch")
    network = sides.pytorch_network(NETWORKS["60m"])
    pixels = torch.rand(4, 3, 32, 32).to(memory_format=torch.channels_last)
    out = network(pixels)
    assert out.shape == (4, NUM_CLASSES)
    out.sum().backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert without == ["0.weight"]
