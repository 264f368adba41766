"""The machines of a Ray cluster: how a search is connected with them, and what they have for trials."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.errors import UserError
from archsearch.layout import Layout, layout

ANSWER_SECONDS = 120.0
"""After which a node that does not say what is installed there counts as unfit; Ray's default for a process
to start is 60."""

KNOCK_SECONDS = 10.0
"""For the machine of an address to answer."""


@dataclass(frozen=True)
class Node:
    """What Ray may use of one machine."""

    cpus: int
    gpus: int = 0


@dataclass(frozen=True)
class Cluster:
    """What a cluster has for trials."""

    nodes: tuple[Node, ...]
    notes: tuple[str, ...] = ()
    """Sentences on what may move scores."""

    @property
    def num_gpus(self) -> int:
        return sum(node.gpus for node in self.nodes)

    @property
    def gpus_per_trial(self) -> int:
        return min(1, self.num_gpus)

    def layout(self, workers: int | None, *, threads: int | None = None) -> Layout:
        """The rule of one machine, and equal threads for all, as equal scores need: the least share on any.

        Args:
            workers: Trials at a time, as asked for; by default as many as there is room for.
            threads: CPUs of each trial; by default those of a worker on one machine.

        Raises:
            UserError: There is room for none.
        """
        fit = [node for node in self.nodes if node.cpus > 0 and node.gpus >= self.gpus_per_trial]
        if threads is None:
            shares = [layout(None, num_gpus=node.gpus, num_cores=node.cpus).threads for node in fit]
            threads = min(shares, default=1)
        most = [node.gpus if self.num_gpus else node.cpus for node in fit]
        room = sum(min(node.cpus // threads, num) for node, num in zip(fit, most, strict=True))
        if not workers and not room:
            raise UserError(
                f"No node of the Ray cluster has the {threads} CPUs of a trial. Start one that has, set "
                "TF_NUM_INTRAOP_THREADS to fewer, or give --workers where nodes are started on demand."
            )
        return Layout(workers or room, threads, devices=self.num_gpus or len(fit))


def check_ray(text: object) -> str:
    """Refuses what says of no cluster where it is.

    Raises:
        UserError: With how it is written.
    """
    # Ray would take "local" for the wish to start a cluster, and its client (ray://) streams no epochs.
    if isinstance(text, str) and re.fullmatch(r"none|auto|[^\s/]+:\d+", text):
        return text
    raise UserError(f"--ray must be auto, none or HOST:PORT, like 10.0.0.1:6379; got {text!r}.")


def import_ray() -> Any:
    """Ray.

    Raises:
        UserError: It is not installed.
    """
    # What dies the search tells by itself, and stdout, where Ray would, is for results.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed|has been marked dead")
    try:
        import ray
    except ImportError:
        raise UserError('--ray needs Ray, on every machine: pip install "ray>=2.40,<3"') from None
    return ray


@contextlib.contextmanager
def connected(address: str) -> Iterator[Cluster | None]:
    """A Ray cluster, as long as the block lasts; `None` where none is asked for.

    Args:
        address: "none", HOST:PORT, or "auto": the cluster that this process is connected with already, else
            the one that this machine is part of.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached or cannot run trials, or this process
            is connected with another one.
    """
    if address == "none":
        yield None
        return
    ray = import_ray()
    if ray.is_initialized():  # by the caller, as in a notebook: it stays
        _check_connection(ray, address)
        yield _look_at(ray)
        return
    with _own_signals(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of Ray, on Ray to come
        try:
            _knock(os.environ.get("RAY_ADDRESS", "") if address == "auto" else address)
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:  # of a kind that Ray does not document
            raise UserError(
                f"--ray {address} leads to no Ray cluster ({first_line(error)}). Start one with `ray start "
                "--head`, or have this machine join it with `ray start --address=HOST:PORT`."
            ) from error
    try:
        yield _look_at(ray)
    finally:
        ray.shutdown()


def _check_connection(ray: Any, address: str) -> None:
    """Refuses a connection of the caller's that is not the one that was asked for."""
    from ray.util.client import ray as client

    if client.is_connected():
        raise UserError(
            "This process is connected through Ray's client (ray://), which streams no epochs. Search on one "
            "of the machines of the cluster, or call ray.shutdown() first."
        )
    there = ray.get_runtime_context().gcs_address
    if address != "auto" and _resolved(address) != _resolved(there):
        raise UserError(
            f"--ray {address} is not the Ray cluster that this process is connected with, {there}. Give "
            "--ray auto to search there, or call ray.shutdown() first."
        )


def _resolved(address: str) -> str:
    """With the host by its number, as far as that is known."""
    host, _, port = address.rpartition(":")
    try:
        return f"{socket.gethostbyname(host)}:{port}"
    except OSError:
        return address


def _knock(address: str) -> None:
    """Raises where nobody listens: Ray would go on trying for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Takes back the handler of SIGTERM that Ray sets when it connects."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _look_at(ray: Any) -> Cluster:
    """The nodes that are alive, each of which is asked what is installed there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def installed() -> dict[str, str] | str:  # a function in a function is sent by value
        try:
            import archsearch
            from archsearch import runtime

            return {"archsearch": archsearch.__version__, **runtime.versions()}
        except ImportError as error:
            return str(error)

    ask = ray.remote(num_cpus=0, max_retries=0)(installed)
    asked = [
        (
            node,
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], False)).remote(),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    nodes, found = [], []
    for node, answer in asked:
        name, resources = node["NodeManagerHostname"], node["Resources"]
        try:
            found.append((name, ray.get(answer, timeout=ANSWER_SECONDS)))
        except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
            continue  # it is gone, of which Ray learns late
        except ray.exceptions.RayError as error:
            raise UserError(
                f"The node {name} of the Ray cluster does not say what is installed there "
                f"({first_line(error)}). Start it anew, or stop it."
            ) from error
        nodes.append(Node(int(resources.get("CPU", 0)), int(resources.get("GPU", 0))))
    here = installed()
    assert isinstance(here, dict)
    return Cluster(tuple(nodes), tuple(compare(here, found)))


def compare(here: Mapping[str, str], found: Iterable[tuple[str, Mapping[str, str] | str]]) -> Iterator[str]:
    """Sentences on what is installed elsewhere in another version, so that scores may differ a little.

    Args:
        here: Version by package.
        found: Machines, each with the same of there, or with why it cannot be said.

    Raises:
        UserError: A machine has no archsearch, or another one.
    """
    for name, there in found:
        if isinstance(there, str) or there["archsearch"] != here["archsearch"]:
            problem = there if isinstance(there, str) else f"it has {there['archsearch']}"
            raise UserError(
                f"The node {name} of the Ray cluster needs archsearch {here['archsearch']} ({problem}). "
                "Install it there, for the Python that runs Ray."
            )
        for package, version in here.items():
            if there[package] != version:
                yield (
                    f"The node {name} has {package} {there[package]}, this machine {version}: scores may "
                    "differ a little."
                )


def first_line(error: Exception) -> str:
    """Of what Ray says, which goes on for pages."""
    line = next(iter(str(error).strip().splitlines()), "").strip().rstrip(".")
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
