"""The benchmarks compare what they say they compare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.end_to_end
def test_the_plain_side_does_not_inherit_our_settings_of_tensorflow() -> None:
    program = (
        "import runpy, sys\n"
        "module = runpy.run_path('benchmarks/throughput.py')\n"
        "environments = {}\n"
        "def measure(side, steps, environment):\n"
        "    environments[side] = environment\n"
        "    return 1.0\n"
        "main = module['main']\n"
        "main.__globals__['measure'] = measure\n"
        "sys.argv = ['throughput.py', '--rounds', '1']\n"
        "main()\n"
        "assert environments.keys() == {'project', 'plain'}\n"
        "assert environments['plain'] == environments['project']\n"
        "assert not any(name.startswith('TF_') for name in environments['plain'])\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=clean, check=True, capture_output=True)
