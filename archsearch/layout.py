"""How the trials of a search are laid out on the machine: worker processes, and what each of them gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from archsearch import runtime

CORES_PER_WORKER = 8
"""Of a CPU, before a second worker is started by default. An assumption: convolutions of a network on small
images keep so many cores busy. On two cores one and two workers are equally fast (two processes of one thread
each train as many images a second as one of two), so the second one would only take memory."""


@dataclass(frozen=True)
class Layout:
    """Who trains, with what."""

    workers: int
    """Processes; 0: the searching process itself."""
    threads: int
    """Of TensorFlow's operations, for each trial: scores are equal for equal threads."""
    gpus: tuple[str, ...] = ()
    """As `CUDA_VISIBLE_DEVICES` names them."""
    devices: int = 0
    """Of a cluster: its GPUs, or its machines where there are none; 0 on one machine."""

    @property
    def trials_at_a_time(self) -> int:
        return max(1, self.workers)

    @property
    def trials_per_device(self) -> float:
        """Trials that share a GPU, or the cores where there is none."""
        return max(1.0, self.trials_at_a_time / max(1, self.devices, len(self.gpus)))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the worker processes; the searching process is 0."""
        return tuple(str(number) for number in range(1, self.workers + 1))

    def environment(self, name: str) -> dict[str, str]:
        """What is set in a worker before it imports TensorFlow."""
        environment = {"TF_NUM_INTRAOP_THREADS": str(self.threads)}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[self.names.index(name) % len(self.gpus)]
        return environment


def layout(workers: int | None, *, num_gpus: int, num_cores: int, threads: int | None = None) -> Layout:
    """The rule: one worker process for each GPU; on a CPU one for every `CORES_PER_WORKER`, at least one.

    Args:
        workers: As asked for; `None` leaves it to the rule.
        num_gpus: That TensorFlow sees.
        num_cores: That this process may use.
        threads: Of each trial; the share of the cores by default.
    """
    if workers is None:
        workers = num_gpus or max(1, num_cores // CORES_PER_WORKER)
    gpus = _gpu_names(num_gpus, os.environ)
    return Layout(workers, threads or max(1, num_cores // max(1, workers)), gpus)


def layout_here(workers: int | None) -> Layout:
    """Of this machine, with the devices that TensorFlow finds."""
    gpus = runtime.import_tensorflow().config.list_physical_devices("GPU")
    given = runtime.given_threads()
    return layout(workers, num_gpus=len(gpus), num_cores=runtime.num_cores(), threads=given)


def _gpu_names(num_gpus: int, environment: Mapping[str, str]) -> tuple[str, ...]:
    visible = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = [name.strip() for name in visible if name.strip()] or list(map(str, range(num_gpus)))
    return tuple(names[:num_gpus])
