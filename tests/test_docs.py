"""The pages in docs/: every command and every link in them."""

from __future__ import annotations

import dataclasses
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import pytest

from archsearch.flags import final_parser, search_parser
from archsearch.given_network import architecture_of
from archsearch.own_space import check_space
from archsearch.run import Run
from space.recipe import MODERN

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = ("own-images", "own-network", "troubleshooting", "limits", "cluster", "flags")
TEXTS = {page: (DOCS / f"{page}.md").read_text(encoding="utf-8") for page in PAGES}


def commands(text: str) -> list[list[str]]:
    """Of the indented lines, without the comments behind them."""
    lines = re.findall(r"^    python (\S+\.py.*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


ALL = [(page, command) for page, text in TEXTS.items() for command in commands(text)]


@pytest.mark.parametrize(
    ("page", "command"), ALL, ids=lambda each: " ".join(each) if isinstance(each, list) else each
)
def test_every_command_is_one(page: str, command: list[str]) -> None:
    script, *flags = command
    parser = {"search.py": search_parser, "final_train.py": final_parser}[script]
    parsed = parser(script).parse_args(flags)
    assert parsed.logs == "logs"


def test_there_are_commands_to_check() -> None:
    assert len(ALL) >= 11


TEXT_FILES = [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md"]


@pytest.mark.parametrize("page", TEXT_FILES, ids=lambda each: each.stem)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\((?!https://)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_the_flags_in_the_sentences_are_there() -> None:
    known = {
        flag for parser in (search_parser("s"), final_parser("f")) for flag in parser._option_string_actions
    }
    for text in TEXTS.values():
        assert {*re.findall(r"`(--[a-z-]+)", text)} <= known


PARSERS = [("search.py", search_parser), ("final_train.py", final_parser)]


@pytest.mark.parametrize(("script", "parser"), PARSERS)
def test_every_flag_has_its_row(script: str, parser: Callable[[str], ArgumentParser]) -> None:
    section = TEXTS["flags"].split(f"## `{script}`\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `--")]
    told = [flag for row in rows for flag in re.findall(r"`(--[a-z-]+)`", row)]
    assert sorted(told) == sorted({*parser("a")._option_string_actions} - {"-h", "--help"})


def test_what_is_said_of_a_run_in_python_is_there() -> None:
    names = set(re.findall(r"`run\.(\w+)", TEXTS["flags"]))
    assert {"incumbent", "lift", "trials", "best_model"} <= names
    attributes = {*dir(Run), *(field.name for field in dataclasses.fields(Run))}
    assert names <= attributes


def test_the_network_of_the_example_can_be_made() -> None:
    import json

    (example,) = re.findall(r"^    (\{.*\})$", TEXTS["own-network"], re.MULTILINE)
    network = architecture_of(json.loads(example), MODERN)
    assert (network.convs, network.filters) == ((1, 2, 2), (40, 64, 88))  # 7.5 eights: rounded to even


def test_the_example_of_a_space_has_less_than_a_hundred_lines() -> None:
    assert len((DOCS / "residual_space.py").read_text(encoding="utf-8").splitlines()) < 100
    assert check_space("docs.residual_space:Residual")
