"""Searches with several worker processes, each side's own way: tiny networks really trained.

Keras Tuner's way are its chief and its tuners, which the user starts, each with KERASTUNER_TUNER_ID,
KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT; this project's is `--workers`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.versus.overhead import BATCH, MEGABYTE, PLAIN, images, small_network, stock_data
from benchmarks.versus.processes import MAX_SHOWN
from benchmarks.versus.sides import OURS, PROJECT, SEED, STOCK, given_settings

ROOT = Path(__file__).resolve().parent.parent.parent

JOURNAL = "journal"
"""What the workers write of their trainings, a line each; neither search knows of it."""

CHIEF = "chief"


@dataclass(frozen=True)
class Plan:
    """Of a Hyperband search, the same on both sides."""

    workers: int
    max_epochs: int
    factor: int
    iterations: int
    kill: int | None = None
    """The training (from 0) in which its worker kills itself, once; `None` for none."""


@dataclass(frozen=True)
class Ran:
    """What a search came to."""

    journal: tuple[Mapping[str, Any], ...]
    """Of the trainings that ended, in the order of their ends: `pid`, `time`, `megabytes`."""
    running: tuple[str, ...]
    """Processes that had to be ended."""
    seconds: float


KILL_PLAN = Plan(workers=2, max_epochs=3, factor=3, iterations=2, kill=2)
PATIENCE = 180.0
"""Seconds that a search is waited for. An undisturbed one of this plan takes less than one."""


def killed(side: str, plan: Plan = KILL_PLAN, patience: float = PATIENCE) -> dict[str, Any]:
    """A search one of whose workers is killed: whether it ends."""
    ran = run(side, plan, patience=patience)
    return {
        "workers": plan.workers,
        "trained": len(ran.journal),
        "still_running": list(ran.running),
        "seconds": ran.seconds,
    }


def run(side: str, plan: Plan, *, patience: float | None = None) -> Ran:
    """One search in processes of its own.

    Args:
        side: Whose.
        plan: What it searches.
        patience: Seconds until what still runs is ended; `None`: any number.

    Raises:
        RuntimeError: A process failed.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = {
            process: _start(side, plan, folder, process, environment)
            for process, environment in _processes(side, plan).items()
        }
        running = []
        try:
            for process, popen in processes.items():
                left = None if patience is None else max(0.0, start + patience - time.monotonic())
                try:
                    code = popen.wait(left)
                except subprocess.TimeoutExpired:
                    running.append(process)
                    continue
                if code and (plan.kill is None or code != -signal.SIGKILL):
                    printed = (folder / f"{process}.txt").read_text(errors="replace")[-MAX_SHOWN:]
                    raise RuntimeError(f"{process} of {side} ended with {code}:\n{printed}")
        finally:
            for popen in processes.values():
                _end(popen)
        seconds = time.monotonic() - start
        return Ran(tuple(each for each in _read(folder) if each["what"] == "end"), tuple(running), seconds)


def _processes(side: str, plan: Plan) -> dict[str, dict[str, str]]:
    """Those that the user starts, by name, and the environment of each; the chief, which waits, last."""
    if side == OURS:
        return {"search": {}}
    from archsearch.runtime import num_cores

    common = {
        "KERASTUNER_ORACLE_IP": "127.0.0.1",
        "KERASTUNER_ORACLE_PORT": str(_free_port()),
        "TF_NUM_INTRAOP_THREADS": str(max(1, num_cores() // plan.workers)),  # as ours share the cores out
    }
    names = [*(f"tuner{number}" for number in range(plan.workers)), CHIEF]
    return {name: common | {"KERASTUNER_TUNER_ID": name} for name in names}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _start(
    side: str, plan: Plan, folder: Path, name: str, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.versus.workers", side, str(folder)]
    clean = {each: value for each, value in os.environ.items() if not each.startswith("TF_")}
    with (folder / f"{name}.txt").open("wb") as printed:
        return subprocess.Popen(
            [*command, json.dumps(dataclasses.asdict(plan))],
            cwd=ROOT,
            env=clean | environment,
            stdout=printed,
            stderr=printed,
            start_new_session=True,
        )


def _end(popen: subprocess.Popen[bytes]) -> None:
    """Kills what is left of a process and of those it started."""
    if popen.poll() is None:
        os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


# In these processes.


def _note(folder: Path, what: str) -> None:
    import psutil

    megabytes = psutil.Process().memory_full_info().uss / MEGABYTE
    line = {"what": what, "pid": os.getpid(), "time": time.time(), "megabytes": megabytes}
    with (folder / JOURNAL).open("ab", buffering=0) as file:  # one write, which others cannot tear
        file.write(json.dumps(line).encode() + b"\n")


def _read(folder: Path) -> list[dict[str, Any]]:
    path = folder / JOURNAL
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _kill_once(folder: Path) -> None:
    try:
        (folder / "killed").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _networks(folder: Path, plan: Plan) -> Any:
    """They note their trainings; not those that measure the machine before a search of ours."""
    import keras_tuner

    searching = os.getpid() if "KERASTUNER_TUNER_ID" not in os.environ else None

    class Noted(keras_tuner.HyperModel):
        recipe = PLAIN

        def build(self, hp: Any) -> Any:
            return small_network(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            if os.getpid() == searching:
                return model.fit(*args, **kwargs)
            _note(folder, "start")
            starts = sum(each["what"] == "start" for each in _read(folder))
            if plan.kill is not None and starts > plan.kill:
                _kill_once(folder)
            history = model.fit(*args, **kwargs)
            _note(folder, "end")
            return history

    return Noted()


def _search_stock(folder: Path, plan: Plan) -> None:
    import keras_tuner

    tuner = keras_tuner.Hyperband(
        _networks(folder, plan),
        objective="val_accuracy",
        max_epochs=plan.max_epochs,
        factor=plan.factor,
        hyperband_iterations=plan.iterations,
        seed=SEED,
        directory=str(folder),
        project_name=PROJECT,
    )
    cache = folder / os.environ["KERASTUNER_TUNER_ID"]
    tuner.search(**stock_data(cache), batch_size=BATCH, verbose=0)


def _search_ours(folder: Path, plan: Plan) -> None:
    from archsearch.run_folder import RunFolder
    from archsearch.searching import Search

    given = {name: getattr(plan, name) for name in ("workers", "max_epochs", "factor", "iterations")}
    Search(
        data=images(),
        folder=RunFolder(folder / PROJECT),
        overwrite=False,
        hypermodel=_networks(folder, plan),
        callbacks=(),
        given=given_settings(given),
    ).execute()


SEARCHES = {STOCK: _search_stock, OURS: _search_ours}


def main(arguments: Sequence[str]) -> None:
    """One process of a search."""
    from archsearch import runtime

    side, folder, plan = arguments
    runtime.import_tensorflow()
    SEARCHES[side](Path(folder), Plan(**json.loads(plan)))


if __name__ == "__main__":
    main(sys.argv[1:])
