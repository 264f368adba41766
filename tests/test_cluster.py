"""A Ray cluster of two nodes on this machine, one of which is lost; most trials only pretend to train."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch import cli, cluster
from archsearch.attempts import Attempts
from archsearch.cluster import ClusterExecutor, pickled
from archsearch.errors import UserError
from archsearch.executors import InlineExecutor, WorkerDied
from archsearch.layout import Layout
from archsearch.nodes import Cluster, Node, check_ray, compare, connected
from archsearch.planning import planned
from archsearch.run_folder import RunFolder
from archsearch.task import TrialResult, TrialTask
from archsearch.trials import Status
from tests.pretending import PlainSpace, Pretender, starts
from tests.test_tuner import START, Clock, Notes, log, make
from tests.test_workers import is_running, silent, task, wait_until
from tests.test_workers_search import COMMAND, trials

ROOT = Path(__file__).resolve().parent.parent


# Without a cluster.


@pytest.mark.parametrize("text", ["auto", "none", "10.0.0.1:6379", "head.example.org:6379", "[::1]:6379"])
def test_an_address_is_taken_as_it_is(text: str) -> None:
    assert check_ray(text) == text


@pytest.mark.parametrize("text", [None, "", "local", "10.0.0.1", "ray://10.0.0.1:10001", "10.0.0.1:port"])
def test_what_is_no_address_is_refused(text: str | None) -> None:
    with pytest.raises(UserError, match=r"--ray must be auto, none or HOST:PORT, like .*; got"):
        check_ray(text)


def test_without_ray_it_is_said_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r'pip install "ray>=2\.40,<3"'), connected("auto"):
        pass


def test_none_is_no_cluster_and_needs_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with connected("none") as none:
        assert none is None


@pytest.mark.parametrize(
    ("nodes", "workers", "threads", "expected"),
    [
        ([Node(2), Node(2)], None, None, Layout(2, 2, devices=2)),
        ([Node(16), Node(16)], None, None, Layout(4, 8, devices=2)),
        ([Node(4), Node(12)], None, None, Layout(4, 4, devices=2)),
        ([Node(0), Node(4)], None, None, Layout(1, 4, devices=1)),
        ([Node(4), Node(12)], 2, None, Layout(2, 4, devices=2)),
        ([Node(4), Node(12)], None, 2, Layout(8, 2, devices=2)),
        ([Node(16), Node(8, 4), Node(8, 1)], None, None, Layout(5, 2, devices=5)),
        ([], 3, None, Layout(3, 1)),
    ],
)
def test_there_are_as_many_trials_as_nodes_have_room_for(
    nodes: list[Node], workers: int | None, threads: int | None, expected: Layout
) -> None:
    assert Cluster(tuple(nodes)).layout(workers, threads=threads) == expected


def test_a_cluster_without_room_is_refused() -> None:
    with pytest.raises(UserError, match="No node of the Ray cluster has the 3 CPUs of a trial"):
        Cluster((Node(2), Node(0))).layout(None, threads=3)


HERE = {"archsearch": "0.1.0", "keras": "3.15.1"}


def test_other_versions_of_what_trains_are_pointed_out() -> None:
    assert list(compare(HERE, [("a", HERE), ("b", HERE | {"keras": "3.14.0"})])) == [
        "The node b has keras 3.14.0, this machine 3.15.1: scores may differ a little."
    ]


@pytest.mark.parametrize(
    ("there", "problem"),
    [
        (HERE | {"archsearch": "0.2.0"}, "it has 0.2.0"),
        ("No module named 'archsearch'", "No module named 'archsearch'"),
    ],
)
def test_a_node_with_another_archsearch_or_none_is_refused(there: Any, problem: str) -> None:
    with pytest.raises(
        UserError, match=rf"The node b .* needs archsearch 0\.1\.0 \({problem}\)\. Install it"
    ):
        list(compare(HERE, [("a", HERE), ("b", there)]))


def test_the_module_of_a_hypermodel_is_sent_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sent_along.py").write_text("def two():\n    return 2\n\nclass Mine:\n    value = two\n")
    monkeypatch.syspath_prepend(tmp_path)
    import sent_along  # type: ignore[import-not-found]

    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).__class__.value())"
    ran = subprocess.run(
        [sys.executable, "-c", code], input=pickled(sent_along.Mine()), cwd=ROOT, capture_output=True
    )
    assert ran.stdout == b"2\n", ran.stderr
    assert pickle.loads(pickle.dumps(sent_along.Mine())).__class__ is sent_along.Mine


def test_what_cannot_be_sent_is_refused_in_one_sentence() -> None:
    with pytest.raises(UserError, match=r"PlainSpace cannot be sent to other machines .*--ray none"):
        pickled(PlainSpace(threading.Lock()))


def test_an_address_without_a_cluster_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    flags = ["--ray", "127.0.0.1:1", "--plan", "--dataset", "digits", "--logs", str(tmp_path)]
    assert cli.search(flags, "search.py") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --ray 127.0.0.1:1 leads to no Ray cluster (ConnectionRefusedError: ")
    assert "Start one with `ray start --head`" in line


# With two nodes.


@pytest.fixture(scope="module")
def head() -> Iterator[Any]:
    """A cluster of one node with one CPU, whose processes find this checkout."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Machines

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))))
        patch.setenv("TF_NUM_INTEROP_THREADS", "1")
        patch.delenv("RAY_ADDRESS", raising=False)
        machines = Machines(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        yield machines
        machines.shutdown()


@pytest.fixture
def second(head: Any) -> Iterator[Any]:
    """Another node with one CPU, which may be gone when the test ends."""
    node = head.add_node(num_cpus=1)
    yield node
    if node in head.worker_nodes:
        head.remove_node(node)


@pytest.fixture
def executor(head: Any) -> Iterator[Callable[[int], ClusterExecutor]]:
    """Makes executors without data on the nodes that there are."""
    with ExitStack() as ends:

        def start(num_trials: int) -> ClusterExecutor:
            nodes = ends.enter_context(connected(head.address))
            assert nodes is not None
            assert nodes.layout(None) == Layout(num_trials, 1, devices=num_trials)
            assert nodes.notes == ()
            return ends.enter_context(
                ClusterExecutor(PlainSpace("a space"), None, nodes.layout(None), precision=None)
            )

        yield start


def test_a_connection_of_the_callers_is_known_by_the_name_of_its_host_too(
    head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _, port = head.address.rpartition(":")

    def number_of(name: str) -> str:
        known = {"head-of-the-cluster": host, host: host}
        if name not in known:
            raise OSError("unknown")
        return known[name]

    with connected(head.address):
        monkeypatch.setattr(socket, "gethostbyname", number_of)
        with connected(f"head-of-the-cluster:{port}") as nodes:
            assert nodes == Cluster((Node(1),))
        with (
            pytest.raises(UserError, match=r"another-head:.* is not the Ray cluster"),
            connected(f"another-head:{port}"),
        ):
            pass


def test_a_connection_of_the_callers_is_taken_if_it_is_the_one_asked_for(head: Any) -> None:
    import ray

    with connected(head.address):
        for address in ("auto", head.address):
            with connected(address) as nodes:
                assert nodes == Cluster((Node(1),))
            assert ray.is_initialized()
        with (
            pytest.raises(
                UserError, match=rf"--ray 10\.0\.0\.1:6379 .* connected with, {head.address}\. Give"
            ),
            connected("10.0.0.1:6379"),
        ):
            pass


def test_a_connection_through_rays_client_is_refused(head: Any) -> None:
    import ray

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    flags = ["--address", head.address, "--host", "127.0.0.1", "--port", port, "--mode", "legacy"]
    server = subprocess.Popen(
        [sys.executable, "-m", "ray.util.client.server", *flags], stderr=subprocess.DEVNULL
    )
    try:
        ray.init(f"ray://127.0.0.1:{port}", logging_level=logging.CRITICAL)
        with pytest.raises(UserError, match=r"through Ray's client \(ray://\)"), connected("auto"):
            pass
    finally:
        ray.shutdown()
        server.kill()
        server.wait()


def test_the_plan_knows_the_cluster(tmp_path: Path, head: Any, second: Any) -> None:
    given = {"dataset": "digits", "ray": head.address, "max_epochs": 1}
    plan = planned(None, folder=RunFolder(tmp_path), overwrite=False, given=given)
    assert (plan.workers, plan.trials_per_device) == (2, 1.0)
    assert plan.speed.source == "estimated"


needs_keras_tuner = pytest.mark.usefixtures("tensorflow")


@pytest.mark.tensorflow
@needs_keras_tuner
def test_trials_and_scores_are_those_of_one_process(
    tmp_path: Path, second: Any, executor: Callable[[int], ClusterExecutor]
) -> None:
    alone, together = (tmp_path / name for name in ("alone", "together"))
    for path in (alone, together):
        path.mkdir()
    make(alone, Pretender(alone)).search(InlineExecutor())
    make(together, Pretender(together)).search(executor(2), num_workers=2)
    assert trials(together) == trials(alone)
    assert {record.worker for record in log(together)} == {"1", "2"}


@dataclass(frozen=True)
class HeldOn:
    """Pretends, but on one node waits after the first epoch of whatever trial comes there."""

    pretender: Pretender
    node_id: str

    def __call__(self, task: TrialTask, on_epoch: Callable[..., None]) -> TrialResult:
        import ray

        assert task.resume_folder is None

        def held(epoch: int, values: dict[str, float]) -> None:
            on_epoch(epoch, values)
            if ray.get_runtime_context().get_node_id() == self.node_id:
                (self.pretender.folder / "held").touch()
                time.sleep(600)

        return self.pretender(task, held)


@pytest.mark.tensorflow
@needs_keras_tuner
def test_a_node_that_is_lost_costs_its_trial_one_try_and_changes_nothing(
    tmp_path: Path, head: Any, second: Any, executor: Callable[[int], ClusterExecutor]
) -> None:
    alone, together = (tmp_path / name for name in ("alone", "together"))
    for path in (alone, together):
        path.mkdir()
    make(alone, Pretender(alone)).search(InlineExecutor())
    notes = Notes()
    tuner = make(together, HeldOn(Pretender(together), second.node_id), callbacks=[notes])
    trains = executor(2)

    def lose() -> None:
        wait_until((together / "held").exists)
        head.remove_node(second, allow_graceful=False)

    with ThreadPoolExecutor(1) as threads:
        lost = threads.submit(lose)
        tuner.search(trains, num_workers=2)
        lost.result()
    assert trials(together) == trials(alone)
    [note] = [note for note in notes.notes if note.endswith("is tried again.")]
    assert "died (" in note
    assert sorted(map(len, starts(together).values()))[-2:] == [1, 2]


def test_a_process_that_is_killed_or_starves_is_a_death(
    tmp_path: Path, executor: Callable[[int], ClusterExecutor]
) -> None:
    trains = executor(1)
    pretender = Pretender(tmp_path, {"a": (("kill", 1), ("starve", 3))})
    for message in (r"Worker 1 died \(WorkerCrashedError\)", "Worker 1 (ran out of memory|died)"):
        with pytest.raises(WorkerDied, match=message):
            trains.submit(pretender, task("a"), silent).result()
    assert trains.submit(pretender, task("a"), silent).result().status is Status.COMPLETED
    assert len(set(starts(tmp_path)["a"])) == 3


def test_a_process_with_other_threads_is_not_used_again(head: Any) -> None:
    def seen(trial: TrialTask, on_epoch: Any) -> TrialResult:
        threads = os.environ["TF_NUM_INTRAOP_THREADS"]
        return TrialResult(Status.COMPLETED, (), 0.0, 0, message=f"{os.getpid()} {threads}")

    processes = []
    with connected(head.address):
        for threads in (1, 0):  # 0, as many as TensorFlow likes, has room on this node, too
            with ClusterExecutor(PlainSpace(), None, Layout(1, threads), precision=None) as trains:
                for _ in range(2):
                    result = trains.submit(seen, task("a"), silent).result()
                    process, given = str(result.message).split()
                    assert given == str(threads)
                    processes.append(process)
    assert len(set(processes)) == 2


class SteadyClock(Clock):
    """Moves when it is told to."""

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("trouble", ["stop", "wait"])
def test_a_trial_that_goes_on_after_its_deadline_is_canceled(
    trouble: str, tmp_path: Path, executor: Callable[[int], ClusterExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteadyClock()
    monkeypatch.setattr(cluster, "time", clock)
    trains = executor(1)
    late = dataclasses.replace(task("a"), deadline=START)
    future = trains.submit(Pretender(tmp_path, {"a": ((trouble, 0),)}), late, silent)
    wait_until(lambda: (tmp_path / "starts" / "a").exists())
    clock.now += 60
    with pytest.raises(WorkerDied, match=r"^Worker 1 had no result 60 s after the deadline$"):
        future.result()
    # Its process is gone: else there were no room for another one.
    assert trains.submit(Pretender(tmp_path), task("b"), silent).result().status is Status.COMPLETED


@pytest.mark.tensorflow
@needs_keras_tuner
def test_a_search_without_room_for_its_trials_ends_with_its_time(
    tmp_path: Path, head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch import time_left, tuner

    clock = SteadyClock()
    for module in (cluster, time_left, tuner):
        monkeypatch.setattr(module, "time", clock)

    class Late(Notes):
        def on_trial_placed(self, assignment: Any, worker: str) -> None:
            clock.now += 100 + 60

    pretender = Pretender(tmp_path)
    with (
        connected(head.address),
        ClusterExecutor(PlainSpace(), None, Layout(1, 99), precision=None) as waits,
    ):
        make(tmp_path, pretender, seconds=100, callbacks=[Late()]).search(waits)
    [record] = log(tmp_path)
    assert (record.trial_id, record.status) == ("baseline", Status.TIMED_OUT)
    assert record.message == "Worker 1 had no result 60 s after the deadline, and the time was used up."
    assert Attempts.read(RunFolder(tmp_path).trial("baseline")).starts == 0


def test_what_a_trial_raises_comes_back(executor: Callable[[int], ClusterExecutor]) -> None:
    def broken(trial: TrialTask, on_epoch: Any) -> TrialResult:
        raise UserError(f"{trial.hypermodel} is at fault")  # type: ignore[str-bytes-safe]

    with pytest.raises(UserError, match=r"^PlainSpace\(value='a space'\) is at fault$"):
        executor(1).submit(broken, task("a"), silent).result()


def test_a_search_that_ends_ends_its_tasks(
    tmp_path: Path, executor: Callable[[int], ClusterExecutor]
) -> None:
    trains = executor(1)
    future = trains.submit(Pretender(tmp_path, {"a": (("wait", 0),)}), task("a"), silent)
    wait_until(lambda: (tmp_path / "starts").exists() and bool(starts(tmp_path)["a"]))
    trains.shutdown()
    wait_until(lambda: not is_running(starts(tmp_path)["a"][0]))
    assert not future.done()


def test_tasks_that_do_not_end_are_waited_for_together(
    executor: Callable[[int], ClusterExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, waited = SteadyClock(), []

    class Unreachable(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            assert timeout is not None
            waited.append(timeout)
            clock.now += timeout

    monkeypatch.setattr(cluster, "time", clock)
    trains = executor(1)
    items = trains._ray.remote(lambda: None).remote()
    trains._running |= {Unreachable(): items for _ in range(3)}
    trains.shutdown()
    assert waited == [cluster.CANCEL_SECONDS, 0, 0]


@pytest.mark.end_to_end
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_tasks_and_is_no_death(
    number: signal.Signals, tmp_path: Path, head: Any
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 16, 16, 1), dtype=np.uint8), np.arange(60) % 2
    np.savez(tmp_path / "tiny.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    command = COMMAND.replace('Path("pretended")', 'Path.cwd() / "pretended"')
    flags = ("--max-epochs", "2", "--factor", "2", "--confirm", "0", "--ray", head.address)
    # What TensorFlow was set up with here would be taken for the user's wish.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    process = subprocess.Popen(
        [sys.executable, "-c", command, "waits", *flags],
        cwd=tmp_path,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    trial = RunFolder(tmp_path / "logs" / "run").trial("baseline")
    try:
        wait_until(
            lambda: (trial / "attempts.json").exists() and Attempts.read(trial).epochs == 1, seconds=150
        )
        os.killpg(process.pid, number)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], errors
    assert "Traceback" not in errors
    assert "Continue: search.py" in errors
    assert out == ""
    [trains] = starts(tmp_path / "pretended")["baseline"]
    wait_until(lambda: not is_running(trains))
    assert Attempts.read(trial).starts == 0


SCRIPT = """
import dataclasses
import os
import sys
from pathlib import Path

import numpy as np

import archsearch
from archsearch import runtime

runtime.import_tensorflow()
import keras
import keras_tuner

from space.recipe import MODERN


class Tiny(keras_tuner.HyperModel):
    recipe = dataclasses.replace(MODERN, batch_size=16)

    def build(self, hp):
        layers = [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(hp.Int("filters", 2, 8), 3),
            keras.layers.Flatten(),
            keras.layers.Dropout(hp.Float("dropout", 0.1, 0.5)),
            keras.layers.Dense(2, activation="softmax"),
        ]
        model = keras.Sequential(layers)
        model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        return model


rng = np.random.default_rng(0)
x, y = rng.integers(0, 256, (80, 8, 8, 1), dtype=np.uint8), np.arange(80) % 2
data = (x, y), (x[:4], y[:4])
for run, where in (("here", {"workers": 0}), ("there", {"ray": sys.argv[2]})):
    archsearch.search(
        data, hypermodel=Tiny(), run=run, logs=sys.argv[1], max_epochs=2, factor=2, confirm=0, **where
    )
"""


@pytest.mark.end_to_end
def test_a_cluster_trains_what_one_process_trains(tmp_path: Path, head: Any, second: Any) -> None:
    """To the last bit, for every trial has one thread in both."""
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-", str(tmp_path), head.address],
        input=SCRIPT,
        cwd=tmp_path,
        env=os.environ | threads,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr

    def curves(run: str) -> dict[str, Any]:
        lines = (tmp_path / run / "trials.jsonl").read_text().splitlines()
        kept = ("score", "hyperparameters", "epochs", "status", "message")
        return {each["trial_id"]: [each[name] for name in kept] for each in map(json.loads, lines)}

    assert len(curves("here")) == 6
    assert curves("there") == curves("here")
    settings = json.loads((tmp_path / "there" / "settings.json").read_text())
    assert settings["settings"]["ray"] == head.address
    assert (settings["plan"]["workers"], settings["machine"]["threads_per_trial"]) == (2, 1)
