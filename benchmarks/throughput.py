"""Images per second in training: this project against Keras as it comes, PyTorch, and the machine itself.

    python benchmarks/throughput.py            # some minutes on 2 idle cores
    pip install torch                          # first, for the rows of PyTorch

Two networks of the space, the documented one and one of 63 M macs, are trained on random images by each side
with the same batch and the same kind of optimiser, without augmentation on any side. Each measurement runs in
a process of its own, all of them in turn, so that a machine whose speed drifts treats all alike; what counts
is the median, over the rounds, of the ratio within a round. A ratio above 1 says that this project is faster.

The machine's own rate is that of matrix products of 2048 rows and columns in single precision, the faster of
NumPy's and TensorFlow's; a training's rate is 6 operations per mac and image. (A network of which nothing
below the first convolution learns does a little less than that, which is not taken off.)

All sides compute in single precision. Where the processor multiplies in bfloat16, this project and PyTorch
are measured in mixed precision too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from archsearch.runtime import multiplies_in_bfloat16
from benchmarks.throughput import matmul, sides
from benchmarks.throughput.networks import FLOP_PER_MAC, NETWORKS

ROOT = Path(__file__).resolve().parent.parent
TORCH, BFLOAT16 = "pytorch", "-bfloat16"
NO_TORCH = "not measured: PyTorch is not installed; `pip install torch` brings it"
NO_BFLOAT16 = "not measured: this processor does not multiply in bfloat16"

Round = Mapping[str, float]
"""Images per second of every network and side, and GFLOP/s of matrix products, by name."""


def name_of(network: str, side: str) -> str:
    """As results call it: a side alone trains the documented network."""
    return side if network == "documented" else f"{network}/{side}"


def measurements(*, has_torch: bool, has_bfloat16: bool) -> list[str]:
    """The names of all, in the order of a round."""
    measured = [
        side
        for side in sides.SIDES
        if (has_torch or not side.startswith(TORCH)) and (has_bfloat16 or not side.endswith(BFLOAT16))
    ]
    trained = [name_of(network, side) for network in NETWORKS for side in measured]
    return [*trained, *(f"matmul/{library}" for library in matmul.LIBRARIES)]


def measure_here(name: str, steps: int | None) -> float:
    """One measurement in this process."""
    first, _, second = name.rpartition("/")
    if first == "matmul":
        return matmul.LIBRARIES[second]()
    network = NETWORKS[first or "documented"]
    return sides.SIDES[second](network, steps or network.steps)


def measure(name: str, steps: int | None, environment: dict[str, str]) -> float:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", name]
    command += [] if steps is None else ["--steps", str(steps)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{name} failed:\n{ran.stderr}")
    return float(ran.stdout.splitlines()[-1])


def ratios(rounds: Sequence[Round]) -> dict[str, float]:
    """This project's rate over each other one, by that one's name; "matmul" is the machine.

    Each is the median over the rounds of the ratio within a round. That over PyTorch in bfloat16 is of this
    project in bfloat16, all others are of this project in single precision.
    """
    found = {}
    for network in NETWORKS:
        project = name_of(network, "project")
        for side in sides.SIDES:
            one = project + BFLOAT16 if side == TORCH + BFLOAT16 else project
            other = name_of(network, side)
            if other != one and other in rounds[0]:
                found[other] = statistics.median(each[one] / each[other] for each in rounds)
        found[name_of(network, "matmul")] = statistics.median(
            gflops(network, each[project]) / machine_rate(each) for each in rounds
        )
    return found


def gflops(network: str, images_per_second: float) -> float:
    return FLOP_PER_MAC * NETWORKS[network].macs * images_per_second / 1e9


def machine_rate(measured: Round) -> float:
    """GFLOP/s."""
    return max(rate for name, rate in measured.items() if name.startswith("matmul/"))


def table(rounds: Sequence[Round]) -> Iterator[str]:
    """In Markdown: medians over the rounds, and how many times as fast this project is."""
    found = ratios(rounds)
    rates = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    yield "| network | side | images/s | GFLOP/s | this project's rate over it |"
    yield "|---|---|---|---|---|"
    for network in NETWORKS:
        for side in sides.SIDES:
            name = name_of(network, side)
            if name not in rates:
                no_bfloat16 = side.endswith(BFLOAT16) and name_of(network, "project" + BFLOAT16) not in rates
                yield f"| {network} | {side} | {NO_BFLOAT16 if no_bfloat16 else NO_TORCH} | | |"
                continue
            ratio = f"{found[name]:.2f}" if name in found else ""
            yield f"| {network} | {side} | {rates[name]:.1f} | {gflops(network, rates[name]):.0f} | {ratio} |"
        machine = statistics.median(map(machine_rate, rounds))
        ratio = f"{found[name_of(network, 'matmul')]:.2f}"
        yield f"| {network} | matrix products | | {machine:.0f} | {ratio} |"
    yield ""
    for network, each in NETWORKS.items():
        yield (
            f"{network}: {each.architecture}; {each.macs / 1e6:.1f} M macs, {each.recipe.optimizer}, "
            f"batch {each.recipe.batch_size}"
        )


def circumstances() -> dict[str, Any]:
    """What the results depend on; imports TensorFlow."""
    from importlib.metadata import version

    from archsearch import runtime

    torch = {"torch": version("torch")} if importlib.util.find_spec("torch") else {}
    return {"machine": runtime.machine(), "versions": runtime.versions() | torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (3)")
    default = ", ".join(f"{each.steps} of {each.recipe.batch_size} images" for each in NETWORKS.values())
    parser.add_argument("--steps", type=int, help=f"steps, {sides.WARM_UP} not counted ({default})")
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.measure:
        print(measure_here(flags.measure, flags.steps))
        return
    # Taken before this process sets TensorFlow up, or the other sides would inherit our settings.
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    has_torch = importlib.util.find_spec("torch") is not None
    names = measurements(has_torch=has_torch, has_bfloat16=multiplies_in_bfloat16())
    rounds = []
    for number in range(1, flags.rounds + 1):
        rounds.append({name: measure(name, flags.steps, environment) for name in names})
        told = ", ".join(f"{name} {rate:.1f}" for name, rate in rounds[-1].items())
        print(f"round {number}: {told}", file=sys.stderr, flush=True)
    for line in table(rounds):
        print(line)
    if flags.json:
        found = ratios(rounds)
        result = {
            "rounds": rounds,
            "ratio": found["plain"],
            "ratios": found,
            "networks": {
                name: {
                    "macs": network.macs,
                    "params": network.params,
                    "values": dict(network.values),
                    "batch_size": network.recipe.batch_size,
                    "optimizer": network.recipe.optimizer,
                }
                for name, network in NETWORKS.items()
            },
            **circumstances(),
        }
        flags.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
