"""How much memory a search takes on a folder of images that is larger than memory should be.

    python benchmarks/folder.py --json benchmarks/results/folder.json    # 20 GB of PNG files, made first
    python benchmarks/folder.py --gigabytes 1

Makes the folder, searches it for two trials, and prints the largest resident memory of the search and its
worker together (pages that both map count twice), and of a second search that finds the pixels decoded. Only
on Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from archsearch import runtime
from archsearch.run_folder import write_json

ROOT = Path(__file__).resolve().parent.parent

SIDE = 256
"""Pixels a side of a file; noise, stored as it is, so that a file is some 200 kB."""

DIFFERENT = 500
"""Pictures drawn; the files are these, each with another number in its first pixels."""

SEARCH = ("--max-epochs", "1", "--confirm", "0", "--max-macs", "8M", "--images-per-epoch", "5000")


def make(folder: Path, gigabytes: float) -> int:
    """Two classes of noise, dark and bright; the bytes written."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 128, (DIFFERENT, SIDE, SIDE, 3), np.uint8)
    written = number = 0
    while written < gigabytes * 1e9:
        label = number % 2
        pixels = drawn[rng.integers(DIFFERENT)] + np.uint8(127 * label)
        pixels[:64, :64] = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        path = folder / "train" / "ab"[label] / f"{number // 1000:04}" / f"{number:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=0)
        written += path.stat().st_size
        number += 1
    return written


def searched(folder: Path, logs: Path, *flags: str) -> dict[str, float]:
    """Seconds, and the largest resident memory in GiB: all of it, and what no file stands behind."""
    command = [sys.executable, str(ROOT / "search.py"), "--dataset", str(folder), "--logs", str(logs)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--image-size", "64x64", *SEARCH, *flags])
    peak = anonymous = 0.0
    while process.poll() is None:
        statuses = list(_statuses(process.pid))
        peak = max(peak, sum(_of(status, "VmRSS") for status in statuses))
        anonymous = max(anonymous, sum(_of(status, "RssAnon") for status in statuses))
        time.sleep(0.2)
    if process.wait():
        sys.exit(process.returncode)
    return {"seconds": time.perf_counter() - start, "peak_gib": peak, "anonymous_gib": anonymous}


def _statuses(pid: int) -> Iterator[str]:
    """Of the process and of its workers, which do the training."""
    with contextlib.suppress(psutil.Error):
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with contextlib.suppress(OSError):  # it has ended
                yield Path(f"/proc/{process.pid}/status").read_text()


def _of(status: str, name: str) -> float:
    lines = (line.split() for line in status.splitlines())
    return next((int(line[1]) / 2**20 for line in lines if line and line[0] == f"{name}:"), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to make it; needs 1.5 times the room"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the result is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        place = Path(name)
        written = make(place / "images", arguments.gigabytes)
        first = searched(place / "images", place / "logs")
        second = searched(place / "images", place / "logs", "--run", "default", "--iterations", "2")
        cache = sum(file.stat().st_size for file in (place / "logs" / "default" / "cache").iterdir())
        files = sum(len(names) for _, _, names in os.walk(place / "images"))
    result = {
        "files": files,
        "gigabytes": written / 1e9,
        "cache_gigabytes": cache / 1e9,
        "first": first,
        "again": second,
        "versions": runtime.versions(),
        "machine": runtime.machine(),
    }
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        write_json(arguments.json, result)


if __name__ == "__main__":
    main()
