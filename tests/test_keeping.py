"""What benchmarks keep: lines that survive a kill, and tables between marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.keeping import END, append, begin, between, read

BEGIN = begin("some.py")


def test_a_torn_line_gives_way_to_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "results" / "some.jsonl"
    assert read(path) == []
    append(path, {"cell": "a"})
    with path.open("a") as file:
        file.write('{"cell": "b", "sec')
    assert read(path) == [{"cell": "a"}]
    append(path, {"cell": "c"})
    assert read(path) == [{"cell": "a"}, {"cell": "c"}]


def test_lines_stand_between_the_marks_and_the_rest_of_the_page_stays() -> None:
    page = f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n"
    assert between(page, BEGIN, ["new", "lines"]) == f"# Title\n\n{BEGIN}\n\nnew\nlines\n\n{END}\n\nafter\n"


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{BEGIN} {END} {END}", f"{BEGIN} {BEGIN} {END}"])
def test_a_page_without_one_pair_of_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match=r"one line <!-- benchmarks/some\.py writes from here -->"):
        between(page, BEGIN, [])
