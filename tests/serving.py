"""A TensorBoard server for the tests, asked by its data routes, and event files read as they are."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.image import imread
from tensorboard.compat.proto import event_pb2

SECONDS_TO_START = 120.0
ALL_STATUSES = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
ALL_FIRST = ("--load_fast=false", "--reload_task=blocking", "--reload_interval=0")
"""The server has read all when it answers."""


@contextmanager
def started(logs: Path, output: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), *options]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    with output.open("w") as stream:
        process = subprocess.Popen(
            [*command, "--host=127.0.0.1", "--port=0"], stdout=stream, stderr=stream, env=environment
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)


def printed_address(process: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+/", output.read_text())
        if found:
            return found.group()
        time.sleep(0.1)
    raise AssertionError(f"TensorBoard did not start: {output.read_text()}")


def wait_until(is_so: Callable[[], bool]) -> None:
    """Asks again and again; fails if it never becomes so."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_so():
        assert time.monotonic() < deadline, "the server never said so"
        time.sleep(0.1)


def fetch(server: str, path: str, **query: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{server}data/plugin/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        content: bytes = answer.read()
    return content


def get(server: str, path: str, **query: str) -> Any:
    return json.loads(fetch(server, path, **query))


def rows(server: str, run: str, **changes: Any) -> dict[str, Any]:
    """Of the HParams table of a run by trial, in the order they were given."""
    request = {"allowedStatuses": ALL_STATUSES, "startIndex": 0, "sliceSize": 1000} | changes
    groups = get(server, "hparams/session_groups", request=json.dumps(request))["sessionGroups"]
    prefix = f"{run}/trials/"
    return {group["name"].removeprefix(prefix): group for group in groups if group["name"].startswith(prefix)}


def metrics(row: dict[str, Any]) -> dict[str, float]:
    """By name, without their group."""
    return {value["name"]["tag"].split("/")[-1]: value["value"] for value in row["metricValues"]}


def picture(server: str, run: str, tag: str) -> Any:
    """The pixels of the only picture of a tag."""
    (sample,) = get(server, "images/images", run=run, tag=tag, sample="0")
    png = fetch(server, "images/individualImage", **dict(urllib.parse.parse_qsl(sample["query"])))
    return imread(io.BytesIO(png))


def curve(server: str, run: str, tag: str) -> list[tuple[int, float]]:
    """Steps and values."""
    points = get(server, "scalars/scalars", run=run, tag=tag)
    return [(step, value) for _, step, value in points]


def events_in(folder: Path) -> list[event_pb2.Event]:
    """Those with values. A record is its length in 8 bytes, 4 of a checksum, the event, 4 of a checksum."""
    events = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            events.append(event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return [event for event in events if event.summary.value]
