"""Folders of images as a whole: parts, sizes, broken files, and the decoded copy on disk."""

import os

import numpy as np
import pytest
from PIL import Image

from archsearch.errors import UserError
from archsearch.readers.image_folder import folder_facts, median_size, read_folder
from archsearch.readers.source import Facts


def read(root, image_size=None, cache=None):
    return read_folder(root, image_size=image_size, cache=cache)


# Parts


def test_sub_folders_are_classes_in_the_order_of_their_names(tmp_path, classes):
    source = read(classes(tmp_path / "data", {"dog": 3, "cat": 2, "Ant": 1}))
    assert source.class_names == ("Ant", "cat", "dog")
    # A tenth, at least one, of each class that has two is the test part.
    assert source.train.y.tolist() == [0, 1, 2, 2]
    assert source.read_test().y.tolist() == [1, 2]
    assert source.flip_default is None


def test_without_a_test_folder_the_same_tenth_is_kept_for_it_and_said(tmp_path, classes):
    root = classes(tmp_path / "data", {"a": 20, "b": 30})
    source, again = read(root), read(root, cache=tmp_path / "other")
    assert source.notes[0].startswith("There is no test part: 5 images")
    assert np.bincount(source.read_test().y).tolist() == [2, 3]
    assert np.array_equal(source.read_test().x, again.read_test().x)
    seen = {
        (y, x[0, 0, 0])
        for part in (source.train, source.read_test())
        for x, y in zip(part.x, part.y, strict=True)
    }
    assert len(seen) == 50


@pytest.mark.parametrize("name", ["val", "validation", "valid"])
def test_parts_in_folders_of_their_own_are_used_as_they_are(tmp_path, name, classes):
    classes(tmp_path / "train", {"a": 3, "b": 2})
    classes(tmp_path / name, {"b": 1})
    classes(tmp_path / "test", {"a": 1, "b": 2})
    source = read(tmp_path, cache=tmp_path / ".cache")
    assert source.train.y.tolist() == [0, 0, 0, 1, 1]
    assert source.validation is not None
    assert source.validation.y.tolist() == [1]
    assert (source.has_test, source.num_test) == (True, 3)
    assert source.read_test().y.tolist() == [0, 1, 1]
    assert folder_facts(tmp_path, None) == source.facts == Facts((3, 2), (8, 8, 3), num_validation=1)
    assert source.notes == ()


def test_a_test_part_that_cannot_be_had_is_refused_when_read(tmp_path, classes):
    source = read(classes(tmp_path, {"a": 1, "b": 1}), cache=tmp_path / ".cache")
    assert not source.has_test
    with pytest.raises(UserError, match="has no test part"):
        source.read_test()


# Sizes


def test_the_size_is_the_median_of_heights_and_of_widths(tmp_path, picture):
    sizes = [(10, 50), (20, 40), (30, 10)]
    assert median_size([picture(tmp_path / f"{h}.png", h, w) for h, w in sizes]) == (20, 40)


def test_the_size_is_at_most_64_unless_asked_for(tmp_path, picture):
    root = tmp_path / "data"
    picture(root / "a" / "1.png", 100, 60)
    picture(root / "b" / "1.png", 100, 60)
    assert read(root).train.x.shape == (2, 64, 60, 3)
    assert read(root, image_size=(80, 96)).train.x.shape == (2, 80, 96, 3)


def test_a_picture_that_lies_on_its_side_counts_as_it_is_seen(tmp_path, picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert median_size([picture(tmp_path / "1.jpg", 10, 30, exif=exif)]) == (30, 10)


def test_the_facts_are_those_of_the_load(tmp_path, classes):
    root = tmp_path / "data"
    classes(root, {"a": 20, "b": 11})
    source = read(root)
    assert folder_facts(root, None) == source.facts == Facts((18, 10), (8, 8, 3))
    assert folder_facts(root, (16, 12)).image_shape == (16, 12, 3)


# Broken images


@pytest.fixture
def with_broken(picture, classes):
    """A training part of two classes, some images of the second broken, and a test part."""

    def with_broken(root, good, broken):
        classes(root, {"a": good // 2, "b": good - good // 2})
        for number in range(broken):
            (root / "b" / f"broken{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        picture(root.parent / "test" / "a" / "1.png")
        return root

    return with_broken


def test_one_broken_image_in_a_hundred_is_left_out_and_named(tmp_path, with_broken):
    with_broken(tmp_path / "train", 99, 1)
    source = read(tmp_path, cache=tmp_path / ".cache")
    assert source.notes == ("Images that cannot be read are left out (1): train/b/broken0.png.",)
    assert len(source.train.x) == len(source.train) == 99
    # Each image still stands beside its own label: the red of the last of class b is 49.
    assert (source.train.x[98, 0, 0, 0], source.train.y[98], source.train.y[48]) == (49, 1, 0)
    assert read(tmp_path, cache=tmp_path / ".cache").notes == source.notes


def test_more_than_one_broken_image_in_a_hundred_is_refused(tmp_path, with_broken):
    with_broken(tmp_path / "train", 96, 4)
    with pytest.raises(UserError, match=r"4 of 100 images cannot be read, .*broken2.png and 1 more"):
        read(tmp_path, cache=tmp_path / ".cache")
    assert not list((tmp_path / ".cache").iterdir())


def test_a_folder_of_broken_images_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match="None of the 1 images can be read"):
        read(tmp_path, cache=tmp_path / ".cache")


def test_a_picture_cut_in_the_middle_is_broken(tmp_path, with_broken):
    with_broken(tmp_path / "train", 99, 0)
    path = tmp_path / "train" / "a" / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    assert "cut.png" in read(tmp_path, cache=tmp_path / ".cache").notes[0]


@pytest.mark.parametrize("side", [10, 13])
def test_a_picture_too_large_to_be_meant_is_broken(tmp_path, monkeypatch, side, picture, with_broken):
    """PIL warns of more pixels than the limit and raises at more than twice as many."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70)
    with_broken(tmp_path / "train", 99, 0)
    picture(tmp_path / "train" / "a" / "bomb.png", side, side)
    assert "bomb.png" in read(tmp_path, cache=tmp_path / ".cache").notes[0]


def test_a_class_whose_only_image_is_broken_is_named(tmp_path, with_broken):
    with_broken(tmp_path / "train", 99, 0)
    (tmp_path / "train" / "c").mkdir()
    (tmp_path / "train" / "c" / "1.png").write_bytes(b"no")
    with pytest.raises(UserError, match=r"no image has 2 \('c'\)"):
        read(tmp_path, cache=tmp_path / ".cache")


def test_a_broken_image_of_the_test_part_is_told_when_it_is_read(tmp_path, classes):
    classes(tmp_path / "train", {"a": 2, "b": 2})
    classes(tmp_path / "test", {"a": 50, "b": 49})
    (tmp_path / "test" / "b" / "broken.png").write_bytes(b"no")
    source = read(tmp_path, cache=tmp_path / ".cache")
    with pytest.warns(UserWarning, match=r"Test part of .* left out \(1\): test/b/broken.png"):
        assert len(source.read_test()) == 99


# The decoded copy


def test_a_second_load_does_not_decode_again(tmp_path, classes):
    root, cache = classes(tmp_path / "data", {"a": 4, "b": 4}), tmp_path / "cache"
    first = read(root, cache=cache)
    assert isinstance(first.train.x, np.memmap)
    for path in root.rglob("*.png"):
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = read(root, image_size=(8, 8), cache=cache)
    assert np.array_equal(first.train.x, second.train.x)


def test_a_changed_image_is_decoded_anew(tmp_path, picture, classes):
    root, cache = classes(tmp_path / "data", {"a": 1, "b": 1}), tmp_path / "cache"
    assert read(root, cache=cache).train.x[0, 0, 0, 0] == 0
    picture(root / "a" / "000.png", colour=(99, 100, 101))
    assert read(root, cache=cache).train.x[0, 0, 0].tolist() == [99, 100, 101]


def test_the_copy_is_found_after_the_folder_has_moved(tmp_path, classes):
    root, cache = classes(tmp_path / "data", {"a": 1, "b": 1}), tmp_path / "cache"
    read(root, cache=cache)
    before = sorted(cache.iterdir())
    root.rename(tmp_path / "moved")
    read(tmp_path / "moved", cache=cache)
    assert sorted(cache.iterdir()) == before


def test_the_test_part_is_not_decoded_before_it_is_read(tmp_path, classes):
    root, cache = classes(tmp_path / "data", {"a": 2, "b": 2}), tmp_path / "cache"
    source = read(root, cache=cache)
    assert len(list(cache.glob("*.npy"))) == 1
    source.read_test()
    assert len(list(cache.glob("*.npy"))) == 2


def test_a_copy_that_was_not_finished_is_made_again(tmp_path, classes):
    root, cache = classes(tmp_path / "data", {"a": 1, "b": 1}), tmp_path / "cache"
    read(root, cache=cache)
    next(cache.glob("*.json")).unlink()
    next(cache.glob("*.npy")).write_bytes(b"half")
    assert len(read(root, cache=cache).train) == 2
