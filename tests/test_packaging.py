"""What `pip install` would put where, and what `make` makes of the Pythons it finds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from email.message import Message
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parent.parent
MAKE = shutil.which("make")
needs_make = pytest.mark.skipif(MAKE is None, reason="make is not installed")


# --- The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the tree in which a run has left Python files under logs/."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "logs", "build", "dist", "__pycache__", "*.egg-info")
    tree = shutil.copytree(ROOT, folder / "tree", ignore=left_out)
    (tree / "logs" / "default").mkdir(parents=True)
    (tree / "logs" / "default" / "__init__.py").touch()

    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), "."]
    if Version(version("setuptools")) >= Version("77.0.3"):  # pyproject.toml; no network needed then
        command.insert(-1, "--no-build-isolation")
    subprocess.run(command, cwd=tree, check=True, stdin=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def requirements(metadata: Message) -> list[Requirement]:
    """Everything asked for, the extras included."""
    return [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]


def test_wheel_holds_every_module_of_both_packages(wheel_names: set[str]) -> None:
    modules = {
        path.relative_to(ROOT).as_posix()
        for room in ("space", "archsearch")
        for path in (ROOT / room).rglob("*.py")
    }
    assert {"space/__init__.py", "archsearch/__init__.py", "archsearch/reporting/__init__.py"} <= modules
    assert modules <= wheel_names


def test_wheel_holds_the_two_scripts_and_the_type_markers(wheel_names: set[str]) -> None:
    assert {"search.py", "final_train.py", "space/py.typed", "archsearch/py.typed"} <= wheel_names


def test_wheel_holds_nothing_else(wheel_names: set[str]) -> None:
    top_level = {name.split("/")[0] for name in wheel_names}
    dist_info = next(name for name in top_level if name.endswith(".dist-info"))
    assert top_level == {"space", "archsearch", "search.py", "final_train.py", dist_info}


def test_wheel_holds_the_template_of_the_script(wheel_names: set[str]) -> None:
    assert "space/model.py.jinja" in wheel_names


def test_console_command_is_the_main_of_the_command_line(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        text = archive.read(name).decode()
    assert re.findall(r"^(\S+) = (\S+)$", text, re.MULTILINE) == [("archsearch", "archsearch.cli:main")]


def test_metadata_names_the_pythons_the_version_and_the_licence(metadata: Message) -> None:
    source = (ROOT / "archsearch" / "__init__.py").read_text(encoding="utf-8")
    assert set(metadata["Requires-Python"].split(",")) == {">=3.11", "<3.14"}
    assert f'__version__ = "{metadata["Version"]}"' in source
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("Provides-Extra") == ["pandas", "onnx", "litert", "ray", "dev"]


def test_every_requirement_is_bounded_above(requirements: list[Requirement]) -> None:
    unbounded = [
        requirement.name
        for requirement in requirements
        if not any(specifier.operator in {"<", "<="} for specifier in requirement.specifier)
    ]
    assert len(requirements) > 12
    assert unbounded == []


def test_the_tested_set_pins_each_package_once() -> None:
    assert len(constraints()) == len(constraint_lines())


def test_the_tested_set_lies_within_every_requirement(requirements: list[Requirement]) -> None:
    pins = constraints()
    outside = [
        str(requirement)
        for requirement in requirements
        if pins[canonicalize_name(requirement.name)] not in requirement.specifier
    ]
    assert outside == []


def constraint_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def constraints() -> dict[str, str]:
    """Version by normalised name; a line that is not `name==version` is an error."""
    matches = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in constraint_lines()]
    return {canonicalize_name(match[1]): match[2] for match in matches if match is not None}


# --- The interpreter that make chooses


def write_python(
    folder: Path, name: str, *, version: str = "3.12.1", runs: bool = True, has_venv: bool = True
) -> None:
    """A stand-in for an interpreter: it answers the Makefile's questions, makes environments of itself and
    notes in `installs` whenever it is asked to install; it fails at that while a file `offline` exists."""
    script = f"""#!/bin/sh
        [ {int(runs)} = 1 ] || exit 127
        case "$*" in
            *_base_executable*) echo "$0" ;;
            *'print('*) echo {version} ;;
            *ensurepip*) [ {int(has_venv)} = 1 ] ;;
            '-m venv '*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
            '-m pip install '*) echo "$*" >> installs; [ ! -e offline ] ;;
        esac
    """
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def make(
    *arguments: str, path: Path | str, folder: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs make with nothing but these in its environment."""
    environment: Mapping[str, str] = {"PATH": str(path), **variables}
    return subprocess.run(
        [str(MAKE), "-f", str(ROOT / "Makefile"), *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@needs_make
def test_make_passes_over_pythons_that_fail_are_too_old_or_make_no_environments(tmp_path: Path) -> None:
    write_python(tmp_path, "python3", runs=False)
    write_python(tmp_path, "python3.13", version="3.13.0", has_venv=False)
    write_python(tmp_path, "python3.12", version="3.9.18")
    write_python(tmp_path, "python3.11", version="3.11.7")
    assert make("python", path=tmp_path).stdout == "python3.11\n"


@needs_make
@pytest.mark.parametrize("version", ["3.11.0", "3.12.1", "3.13.9"])
def test_make_takes_the_first_python_that_fits(tmp_path: Path, version: str) -> None:
    write_python(tmp_path, "python3", version=version)
    write_python(tmp_path, "python3.13", version="3.13.0")
    assert make("python", path=tmp_path).stdout == "python3\n"


@needs_make
@pytest.mark.parametrize("version", ["2.7.18", "3.1.1", "3.10.13", "3.14.0"])
def test_make_names_the_pythons_it_found_when_none_fits(tmp_path: Path, version: str) -> None:
    write_python(tmp_path, "python3", version=version)
    write_python(tmp_path, "python", runs=False)
    done = make("python", path=tmp_path)
    sentence, *_ = done.stderr.splitlines()
    assert done.returncode != 0
    assert done.stdout == ""
    assert sentence == (
        f"archsearch needs Python 3.11, 3.12 or 3.13; found: python3 ({version}), python (does not run)."
    )


@needs_make
def test_make_without_any_python_says_so(tmp_path: Path) -> None:
    done = make("python", path=tmp_path)
    assert done.returncode != 0
    assert done.stderr.startswith("archsearch needs Python 3.11, 3.12 or 3.13; found: none.\n")


@needs_make
def test_make_names_the_debian_package_when_only_venv_is_missing(tmp_path: Path) -> None:
    write_python(tmp_path, "python3", version="3.11.2", has_venv=False)
    done = make("python", path=tmp_path)
    assert done.returncode != 0
    assert done.stderr.startswith(
        "archsearch needs the modules venv and ensurepip, which python3 (Python 3.11.2) lacks; "
        "on Debian and Ubuntu: apt install python3-venv\n"
    )


@needs_make
def test_make_asks_a_real_python_the_right_questions() -> None:
    assert make("python", path="/usr/bin:/bin", PYTHON=sys.executable).stdout == f"{sys.executable}\n"


@needs_make
def test_make_takes_no_other_python_than_the_one_asked_for(tmp_path: Path) -> None:
    write_python(tmp_path, "python3")
    write_python(tmp_path, "old", version="3.9.18")
    assert "found: old (3.9.18)." in make("python", "PYTHON=old", path=tmp_path).stderr
    assert "found: absent (not there)." in make("python", "PYTHON=absent", path=tmp_path).stderr


# --- The environment that make builds


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout, as far as the set-up reads it, whose only Python is a stand-in."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("Makefile", "setup.py", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, tree)
        os.utime(tree / name, (1e9, 1e9))
    write_python(tmp_path / "bin", "python3")
    return tree


def make_install(tree: Path, *arguments: str) -> int:
    path = f"{tree.parent / 'bin'}:/usr/bin:/bin"
    return make("-f", "Makefile", "install", *arguments, path=path, folder=tree).returncode


def num_installs(tree: Path) -> int:
    """Times the project, and not only its build tool, was installed."""
    return (tree / "installs").read_text().count("-e .[dev]")


@needs_make
def test_a_second_make_installs_nothing(tree: Path) -> None:
    assert make_install(tree) == 0
    assert make_install(tree) == 0
    assert num_installs(tree) == 1


@needs_make
@pytest.mark.parametrize("name", ["Makefile", "setup.py", "pyproject.toml", "constraints.txt"])
def test_a_changed_file_is_installed_into_the_same_environment(tree: Path, name: str) -> None:
    make_install(tree)
    (tree / ".venv" / "mine").touch()
    os.utime(tree / ".venv" / ".installed", (2e9 - 1, 2e9 - 1))
    os.utime(tree / name, (2e9, 2e9))
    assert make_install(tree) == 0
    assert num_installs(tree) == 2
    assert (tree / ".venv" / "mine").exists()


@needs_make
def test_an_installation_cut_short_is_made_again_from_nothing(tree: Path) -> None:
    (tree / "offline").touch()
    assert make_install(tree) != 0
    (tree / ".venv" / "half of a package").touch()
    (tree / "offline").unlink()
    assert make_install(tree) == 0
    assert not (tree / ".venv" / "half of a package").exists()
    assert make_install(tree) == 0
    assert num_installs(tree) == 1


@needs_make
def test_an_environment_whose_python_is_gone_is_made_again(tree: Path) -> None:
    make_install(tree)
    (tree / ".venv" / "bin" / "python").unlink()
    (tree / "setup.py").touch()
    os.utime(tree / "setup.py", (2e9, 2e9))
    assert make_install(tree) == 0
    assert num_installs(tree) == 2


@needs_make
def test_asking_for_another_python_makes_the_environment_anew(tree: Path) -> None:
    write_python(tree.parent / "bin", "python3.13", version="3.13.0")
    make_install(tree)
    assert make_install(tree, "PYTHON=python3.13") == 0
    assert "echo 3.13.0" in (tree / ".venv" / "bin" / "python").read_text()
    assert make_install(tree, "PYTHON=python3.13") == 0
    assert num_installs(tree) == 2
