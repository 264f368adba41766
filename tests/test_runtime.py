"""What is set before TensorFlow is imported, in processes where that has not happened yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from archsearch import runtime
from archsearch.errors import UserError

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """None of the variables set, and TensorFlow, as far as anyone can see, not imported."""
    for name in (*runtime.RECORDED_VARIABLES, "TF_CPP_MIN_LOG_LEVEL"):
        # Set first, so that what `configure` sets is taken back after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(runtime, "_set_here", set())
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    return monkeypatch


def test_onednn_threads_and_memory_are_set(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(runtime, "num_cores", lambda: 5)
    runtime.configure()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "5"
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TF_ENABLE_ONEDNN_OPTS", "0"),
        ("TF_NUM_INTRAOP_THREADS", "3"),
        ("TF_FORCE_GPU_ALLOW_GROWTH", "false"),
        ("TF_CPP_MIN_LOG_LEVEL", "0"),
    ],
)
def test_variables_that_are_set_stay(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    runtime.configure()
    assert os.environ[name] == value


def test_another_backend_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match=r"trains with TensorFlow, but KERAS_BACKEND is 'jax'\. Unset it"):
        runtime.configure()


def test_too_late_is_said_once(environment: pytest.MonkeyPatch) -> None:
    environment.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    with pytest.warns(UserWarning, match="TensorFlow was imported before") as caught:
        runtime.configure()
    assert [warning.filename for warning in caught] == [__file__]
    runtime.configure()  # a second warning would be an error


def test_too_late_is_fine_where_onednn_was_decided(environment: pytest.MonkeyPatch) -> None:
    environment.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    environment.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    runtime.configure()  # warnings are errors


def test_cores_are_those_of_this_process() -> None:
    assert 1 <= runtime.num_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_cores_follow_the_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert runtime.num_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_versions_name_what_results_depend_on() -> None:
    versions = runtime.versions()
    assert list(versions) == ["python", "tensorflow", "keras", "keras-tuner", "numpy"]
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))


# Processes of their own


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Python code in the project's folder, with none of our variables but these."""
    names = (*runtime.RECORDED_VARIABLES, "TF_CPP_MIN_LOG_LEVEL")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=inherited | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_archsearch_and_runtime_imports_no_tensorflow() -> None:
    done = run(
        "import sys, archsearch.runtime; print([n for n in ('tensorflow', 'keras') if n in sys.modules])"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_a_failing_import_prints_is_shown() -> None:
    done = run(
        "import os, sys\n"
        "from archsearch import runtime\n"
        "with runtime.quiet_stderr():\n"
        "    os.write(2, b'from the loader\\n')\n"
        "    raise ImportError('no TensorFlow here')"
    )
    assert "from the loader" in done.stderr
    assert "ImportError: no TensorFlow here" in done.stderr


def test_importing_works_without_a_standard_error() -> None:
    done = run(
        "import os, sys; os.close(2); sys.stderr = None\n"
        "from archsearch import runtime\n"
        "with runtime.quiet_stderr():\n"
        "    print('imported')"
    )
    assert done.stdout == "imported\n"


def test_importing_works_where_nothing_can_be_held_back() -> None:
    """On a full disk, which is told by what has to be written."""
    done = run(
        "import os, tempfile\n"
        "def full(*_, **__): raise OSError(28, 'No space left on device')\n"
        "tempfile.TemporaryFile = full\n"
        "from archsearch import runtime\n"
        "with runtime.quiet_stderr():\n"
        "    os.write(2, b'from the loader\\n')\n"
        "    print('imported')"
    )
    assert done.stdout == "imported\n"
    assert "from the loader" in done.stderr


TwoCores = Callable[[str], None]
"""Makes this machine's processor one with these flags."""


@pytest.fixture
def two_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoCores:
    def set_flags(flags: str) -> None:
        core = f"processor\t: 0\nmodel name\t: A model\nflags\t\t: {flags}\npower management:\n\n"
        (tmp_path / "cpuinfo").write_text(2 * core)

    monkeypatch.setattr(runtime, "CPUINFO", tmp_path / "cpuinfo")
    return set_flags


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("fpu avx avx2 avx512f", "A model, AVX-512"),
        ("fpu avx avx2 avx512", "A model, AVX2"),
        ("fpu avx", "A model"),
    ],
)
def test_the_processor_is_told_with_its_widest_vectors(two_cores: TwoCores, flags: str, told: str) -> None:
    two_cores(flags)
    assert runtime.processor() == told


@pytest.mark.parametrize(
    ("flags", "onednn", "expected"),
    [
        ("avx2 avx512f avx512_bf16 avx512vl", None, True),
        ("avx2 avx512f avx512_bf16 avx512vl", "1", True),
        ("avx2 avx512f avx512_bf16 avx512vl", "0", False),
        ("avx2 avx512f avx512_bf16 avx512vl", "False", False),
        ("avx2 avx512f avx512vl", "1", False),
        ("", "1", False),
    ],
)
def test_bfloat16_is_multiplied_in_by_some_processors_through_onednn(
    two_cores: TwoCores, monkeypatch: pytest.MonkeyPatch, flags: str, onednn: str | None, expected: bool
) -> None:
    two_cores(flags)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if onednn is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    assert runtime.multiplies_in_bfloat16() is expected


def test_where_linux_does_not_tell_the_processor_nothing_is_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "CPUINFO", tmp_path / "none")
    assert not runtime.multiplies_in_bfloat16()
    assert runtime.processor()


@pytest.mark.tensorflow
class TestImported:
    def test_import_prints_nothing_and_has_onednn_threads_and_the_machine(self) -> None:
        done = run(
            "import json, os\n"
            "from archsearch import runtime\n"
            "tensorflow = runtime.import_tensorflow()\n"
            "assert runtime.import_tensorflow() is tensorflow\n"
            "from tensorflow.python.util import _pywrap_util_port as port\n"
            "import keras\n"
            "print(json.dumps([port.IsMklEnabled(), keras.backend.backend(), runtime.machine()]))",
            TF_NUM_INTRAOP_THREADS="1",
        )
        assert done.stderr == ""
        onednn, backend, machine = json.loads(done.stdout)
        assert (onednn, backend) == (True, "tensorflow")
        assert set(machine) == {"system", "processor", "cores", "gpus", "environment"}
        assert machine["environment"]["TF_ENABLE_ONEDNN_OPTS"] == "1"
        assert machine["environment"]["TF_NUM_INTRAOP_THREADS"] == "1"

    def test_onednn_can_be_switched_off(self) -> None:
        done = run(
            "from archsearch import runtime; runtime.import_tensorflow()\n"
            "from tensorflow.python.util import _pywrap_util_port as port\n"
            "print(port.IsMklEnabled())",
            TF_ENABLE_ONEDNN_OPTS="0",
        )
        assert (done.stdout, done.stderr) == ("False\n", "")

    @pytest.mark.parametrize(
        ("capabilities", "expected", "on_several"),
        [
            ([(7, 0)], "mixed_float16", "float32"),
            ([(7, 5), (8, 0)], "mixed_float16", "float32"),
            ([(8, 6), (9, 0)], "mixed_float16", "mixed_bfloat16"),
            ([(8, 6), (6, 1)], "float32", "float32"),
            ([None], "float32", "float32"),
        ],
    )
    def test_half_precision_on_gpus_only_where_every_one_is_fast_at_it(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capabilities: list[tuple[int, int] | None],
        expected: str,
        on_several: str,
    ) -> None:
        """From compute capability 7.0 on; a device that tells none, of another maker, is not relied on.

        Where several share every batch only bfloat16 will do, from 8.0 on.
        """
        tensorflow = runtime.import_tensorflow()
        import keras

        gpus = dict(enumerate(capabilities))
        monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: list(gpus))
        monkeypatch.setattr(
            tensorflow.config.experimental,
            "get_device_details",
            lambda gpu: {} if gpus[gpu] is None else {"compute_capability": gpus[gpu]},
        )
        before = keras.config.dtype_policy()
        try:
            assert runtime.set_precision("auto") == expected
            assert keras.config.dtype_policy().name == expected
            assert runtime.set_precision("mixed_bfloat16") == "mixed_bfloat16"
            assert runtime.set_precision("auto", num_devices=2) == on_several
            with pytest.raises(UserError, match="cannot train in mixed_float16 on several devices: give"):
                runtime.set_precision("mixed_float16", num_devices=2)
            assert keras.config.dtype_policy().name == on_several
        finally:
            keras.config.set_dtype_policy(before)

    @pytest.mark.parametrize(
        ("flags", "expected"), [("avx512f avx512_bf16", "mixed_bfloat16"), ("avx512f", "float32")]
    )
    def test_half_precision_on_a_processor_only_where_it_multiplies_in_it(
        self, two_cores: TwoCores, monkeypatch: pytest.MonkeyPatch, flags: str, expected: str
    ) -> None:
        two_cores(flags)
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
        config = runtime.import_tensorflow().config
        monkeypatch.setattr(config, "list_physical_devices", lambda kind: [])
        assert runtime.fast_precision() == expected
