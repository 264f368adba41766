"""What the tests of several readers share."""

import os
from pathlib import Path

import pytest
from PIL import Image

from archsearch.errors import UserError


class Evil:
    """Makes a file when it is unpickled by anybody careless."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f'echo ran > "{self.target}"',)


@pytest.fixture
def evil(tmp_path):
    """Makes `tmp_path / "ran"` when it is unpickled."""
    return Evil(tmp_path / "ran")


@pytest.fixture
def sentence_of():
    """What a person is told when `read(path)` is called, or nothing if the file can be read."""

    def sentence_of(read, path):
        try:
            read(path)
        except UserError as error:
            return str(error)
        return ""

    return sentence_of


@pytest.fixture
def picture():
    """Saves a picture of one colour and returns its path."""

    def picture(path, height=8, width=8, colour=(200, 0, 0), **how):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height), colour).save(path, **how)
        return path

    return picture


@pytest.fixture
def classes(picture):
    """Saves `counts` images for each class; the red of an image is its number."""

    def classes(root, counts):
        for name, count in counts.items():
            for number in range(count):
                picture(root / name / f"{number:03}.png", colour=(number, 0, 0))
        return root

    return classes
