"""What to say of a command that did not come to its end."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from archsearch.errors import UserError
from archsearch.way_on import WayOn


def way_on(flags: str, *places: Path) -> WayOn:
    return WayOn("python search.py", shlex.split(flags), saved="every trial", places=lambda: places)


def test_the_same_command_goes_on(tmp_path: Path) -> None:
    one = way_on("--run 'my run'", tmp_path / "settings.json")
    assert one.interrupted() == "every trial is saved. Continue: python search.py --run 'my run'"
    assert one.advice() == ""


@pytest.mark.parametrize("earlier", [True, False])
def test_one_that_has_overwritten_goes_on_without_that(earlier: bool, tmp_path: Path) -> None:
    place = tmp_path / "settings.json"
    if earlier:
        place.write_text("earlier")
    one = way_on("--overwrite --run mine", tmp_path / "other", place)
    place.unlink(missing_ok=True)
    (tmp_path / "another").write_text("takes the number that the file had")
    place.write_text("of this one")
    assert one.interrupted() == "every trial is saved. Continue: python search.py --run mine"
    assert one.advice() == "Next time without --overwrite, which would start over."


def test_after_an_error_of_one_that_is_complete_nothing_is_advised(tmp_path: Path) -> None:
    """A final training whose export failed: without the flag it would be refused."""
    complete, unfinished = tmp_path / "best", tmp_path / "best.unfinished"
    one = way_on("--overwrite", complete, unfinished)
    unfinished.mkdir()
    assert one.advice() != ""
    unfinished.rename(complete)
    assert one.advice() == ""


def test_one_that_has_removed_what_was_there_has_begun(tmp_path: Path) -> None:
    place = tmp_path / "settings.json"
    place.write_text("earlier")
    one = way_on("--overwrite", place)
    place.unlink()
    assert one.interrupted() == "every trial is saved. Continue: python search.py"


@pytest.mark.parametrize("earlier", [True, False])
def test_one_that_has_overwritten_nothing_yet_is_given_again(earlier: bool, tmp_path: Path) -> None:
    """Without the flag it would go on with the earlier search, which was to be removed."""
    place = tmp_path / "settings.json"
    if earlier:
        place.write_text("earlier")
    one = way_on("--overwrite --run mine", place)
    assert one.interrupted() == "nothing was overwritten yet. Again: python search.py --overwrite --run mine"
    assert one.advice() == ""


def test_places_that_cannot_be_named_are_none() -> None:
    def places() -> list[Path]:
        raise UserError("No such name.")

    one = WayOn("python search.py", ["--overwrite"], saved="every trial", places=places)
    assert one.advice() == ""
    assert way_on("--overwrite", Path("\0")).advice() == ""
