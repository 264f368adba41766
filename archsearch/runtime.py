"""How TensorFlow is set up on this machine. `configure()` runs before its first import.

Only variables that are not set already are set, so the usual ones override. What was in force is
recorded in a run's settings.json.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archsearch.errors import UserError

RECORDED_VARIABLES = (
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_XLA_FLAGS",
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
)


def num_cores() -> int:
    """Cores this process may use: under `taskset`, or the CPU limit of a container, fewer than there are.

    At most `LOKY_MAX_CPU_COUNT`, if that variable is set.
    """
    from loky import cpu_count

    number: int = cpu_count()
    return number


def configure() -> None:
    """Sets the environment for TensorFlow; one warning if TensorFlow is loaded already.

    - oneDNN on: off by default on CPUs without VNNI or the like, where it is worth a factor of 2 to 4.
    - Threads to the cores of this process, not to those of the machine.
    - On a GPU, memory is taken as needed, so that two processes can share it.

    XLA needs nothing here: Keras's `jit_compile="auto"` leaves it off on a CPU, where it is slower, and
    on where it helps.

    Raises:
        UserError: `KERAS_BACKEND` asks for something else than TensorFlow.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise UserError(
            f"archsearch trains with TensorFlow, but KERAS_BACKEND is {backend!r}. Unset it and try again."
        )
    wanted = {
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "TF_NUM_INTRAOP_THREADS": str(num_cores()),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    missing = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(missing)
    _set_here.update(missing)
    if "tensorflow" in sys.modules and "TF_ENABLE_ONEDNN_OPTS" in missing:
        warnings.warn(
            "TensorFlow was imported before archsearch.runtime.configure(), so training on a CPU may be "
            "2 to 4 times slower. Call it first.",
            stacklevel=2,
        )


_set_here: set[str] = set()
"""Variables that nobody had set before this process."""


def given_threads() -> int | None:
    """What the user wants as TensorFlow's threads; `None` where it is left to us."""
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(threads) if threads.isdecimal() and "TF_NUM_INTRAOP_THREADS" not in _set_here else None


def import_tensorflow() -> Any:
    """TensorFlow, configured, its devices found, without the lines its C++ code prints while it loads."""
    configure()
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    with quiet_stderr():
        import tensorflow

        # Every trial is another network: that it is traced anew is no mistake to warn of.
        tensorflow.get_logger().setLevel("ERROR")
        tensorflow.config.list_physical_devices()
        tensorflow.zeros(1)
    return tensorflow


PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")

FAST_HALF_PRECISION = (7, 0)
"""Compute capability of the first NVIDIA GPUs with tensor cores."""

FAST_BFLOAT16 = "avx512_bf16"
"""Linux's name for x86 instructions that multiply in bfloat16: Zen 4 and 5, and Xeon from Sapphire Rapids on.
On Zen 5 training with them was 1.4 to 1.5 times as fast as in float32 (`benchmarks/throughput.py`)."""

FAST_BFLOAT16_GPU = (8, 0)
"""Compute capability of the first NVIDIA GPUs whose tensor cores multiply in bfloat16."""


def set_precision(precision: str, *, own_space: bool = False, num_devices: int = 1) -> str:
    """Sets what networks compute in; their weights are float32 in any case.

    Args:
        precision: One of `PRECISIONS`; "auto": half precision where this machine is fast at it.
        own_space: Whether the networks are of another space than the built-in one. Their layers may not be
            made for half precision, so "auto" leaves them in float32.
        num_devices: That share every batch.

    Returns:
        The Keras policy that is in force.

    Raises:
        UserError: It cannot be had on several devices.
    """
    import_tensorflow()
    import keras

    if precision == "auto":
        precision = "float32" if own_space else fast_precision(num_devices)
    if precision == "mixed_float16" and num_devices > 1:
        # Keras 3.15 asks the first device alone whether its gradients are finite, and applies the sum of all.
        raise UserError(
            "Keras cannot train in mixed_float16 on several devices: give --precision mixed_bfloat16 or "
            "float32, and --overwrite if this goes on with an interrupted training."
        )
    keras.config.set_dtype_policy(precision)
    return precision


def fast_precision(num_devices: int = 1) -> str:
    """The Keras policy in which this machine trains fastest.

    Half precision on NVIDIA GPUs from compute capability 7.0 on, which have units for it, and on a CPU that
    multiplies in bfloat16. Other CPUs are far slower in it than in single precision.

    Args:
        num_devices: That share every batch; for several only bfloat16 will do, which needs no scaled loss.
    """
    config = import_tensorflow().config
    gpus = config.list_physical_devices("GPU")
    if not gpus:
        return "mixed_bfloat16" if multiplies_in_bfloat16() else "float32"
    details = [config.experimental.get_device_details(gpu) for gpu in gpus]
    half, needed = "mixed_float16", FAST_HALF_PRECISION
    if num_devices > 1:
        half, needed = "mixed_bfloat16", FAST_BFLOAT16_GPU
    capable = all(each.get("compute_capability", (0, 0)) >= needed for each in details)
    return half if capable else "float32"


def multiplies_in_bfloat16() -> bool:
    """Whether the CPU has instructions for it, and oneDNN, which uses them, was not switched off."""
    flags = _processor_facts().get("flags", "").split()
    switched_off = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() in ("0", "false")
    return FAST_BFLOAT16 in flags and not switched_off


def forget_networks() -> None:
    """Clears what earlier networks left in Keras's global state, and would grow from one to the next.

    The precision stands there too, and stays.
    """
    import keras

    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def own_precision() -> Iterator[None]:
    """What the block sets with `set_precision` ends with it: the caller's own networks go on as before."""
    import_tensorflow()
    import keras

    policy = keras.config.dtype_policy()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def full_single_precision() -> Iterator[None]:
    """No TF32 inside: NVIDIA's GPUs from Ampere on multiply float32 with ten bits of mantissa by default."""
    config = import_tensorflow().config.experimental
    before = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(before)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back what is written to file descriptor 2; shows it if the block raises.

    TensorFlow's loader writes there before any log level is in force.
    """
    with contextlib.ExitStack() as ends:
        held = None
        if sys.stderr is not None:  # as in a process without a console
            with contextlib.suppress(OSError):  # on a full disk it is shown
                held = ends.enter_context(tempfile.TemporaryFile())
        if sys.stderr is None or held is None:
            yield
            return
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def machine() -> dict[str, Any]:
    """This machine in plain data, for the run's records."""
    return {
        "system": platform.platform(),
        "processor": processor(),
        "cores": num_cores(),
        "gpus": [device.name for device in import_tensorflow().config.list_physical_devices("GPU")],
        "environment": {name: os.environ[name] for name in RECORDED_VARIABLES if name in os.environ},
    }


VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}
"""By Linux's names, the widest first: on x86 it is they that speed depends on, and model names hide them."""


def processor() -> str:
    """The model name, which `platform.processor` leaves empty on Linux, and its vector instructions."""
    facts = _processor_facts()
    model = facts.get("model name") or platform.processor() or platform.machine()
    flags = facts.get("flags", "").split()
    return ", ".join([model, *[told for flag, told in VECTORS.items() if flag in flags][:1]])


CPUINFO = Path("/proc/cpuinfo")


def _processor_facts() -> dict[str, str]:
    """What Linux tells of the last core, by its names; empty elsewhere."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def versions() -> dict[str, str]:
    """What the results depend on."""
    from importlib.metadata import version

    packages = ("tensorflow", "keras", "keras-tuner", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def git_commit() -> str | None:
    """The commit this package is checked out at; `None` where it is installed otherwise."""
    checkout = Path(__file__).parent.parent
    if not (checkout / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
