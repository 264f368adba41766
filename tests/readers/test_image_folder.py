"""Folders of images as a whole: parts, sizes, broken files, and the decoded copy on disk."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFile

from archsearch.errors import UserError
from archsearch.readers import image_folder, pictures
from archsearch.readers.image_folder import folder_facts, median_size, read_folder
from archsearch.readers.source import Facts
from archsearch.sharing import _file_of


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
    for ending in ("jpg", "png", "webp", "tif"):
        assert median_size([picture(tmp_path / f"1.{ending}", 10, 30, exif=exif)]) == (30, 10), ending


def test_sizes_come_from_the_headers(tmp_path, monkeypatch, picture):
    def decoding(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoding)
    for ending in ("jpg", "png", "gif", "bmp", "tif"):
        assert median_size([picture(tmp_path / f"1.{ending}", 10, 30)]) == (10, 30), ending


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
    assert source.notes == ("Images that cannot be read are left out (1): train/b/broken0.png (no image).",)
    assert len(source.train.x) == len(source.train) == 99
    # Each image still stands beside its own label: the red of the last of class b is 49.
    assert (source.train.x[98, 0, 0, 0], source.train.y[98], source.train.y[48]) == (49, 1, 0)
    assert read(tmp_path, cache=tmp_path / ".cache").notes == source.notes


def test_more_than_one_broken_image_in_a_hundred_is_refused(tmp_path, with_broken):
    with_broken(tmp_path / "train", 96, 4)
    with pytest.raises(UserError, match=r"4 of 100 images cannot be read, .*b/broken3.png \(no image\)\.$"):
        read(tmp_path, cache=tmp_path / ".cache")
    assert not list((tmp_path / ".cache").iterdir())


ALL = ["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"]


def test_of_many_broken_images_ten_are_named_and_all_are_in_a_file(tmp_path, with_broken):
    with_broken(tmp_path / "train", 88, 12)
    with pytest.raises(
        UserError, match=r"broken7.png \(no image\) and 2 more; all of them are in "
    ) as caught:
        read(tmp_path, cache=tmp_path / ".cache")
    path = Path(str(caught.value).rpartition(" in ")[2].removesuffix("."))
    assert path.read_text().splitlines() == [f"train/b/broken{number}.png (no image)" for number in ALL]
    assert [*(tmp_path / ".cache").iterdir()] == [path]


def test_the_note_of_what_is_left_out_says_where_all_are_named(tmp_path, monkeypatch, with_broken):
    monkeypatch.setattr(image_folder, "BROKEN_ALLOWED", 0.2)
    with_broken(tmp_path / "train", 88, 12)
    (note,) = read(tmp_path, cache=tmp_path / ".cache").notes
    assert note.startswith("Images that cannot be read are left out (12): train/b/broken0.png (no image), ")
    path = Path(note.rpartition(" and 2 more; all of them are in ")[2].removesuffix("."))
    assert len(path.read_text().splitlines()) == 12
    assert read(tmp_path, cache=tmp_path / ".cache").notes == (note,)
    assert len([*(tmp_path / ".cache").glob("broken-*.txt")]) == 1


def test_one_broken_image_is_left_out_however_few_there_are(tmp_path, with_broken):
    with_broken(tmp_path / "train", 3, 1)
    assert len(read(tmp_path, image_size=(8, 8), cache=tmp_path / ".cache").train) == 3
    with_broken(tmp_path / "train", 3, 2)
    with pytest.raises(UserError, match="2 of 5 images cannot be read"):
        read(tmp_path, image_size=(8, 8), cache=tmp_path / ".cache")


def test_a_part_of_which_nothing_is_left_is_refused(tmp_path, classes):
    classes(tmp_path / "train", {"a": 2, "b": 2})
    (tmp_path / "test" / "a").mkdir(parents=True)
    (tmp_path / "test" / "a" / "1.png").write_bytes(b"no")
    source = read(tmp_path, cache=tmp_path / ".cache")
    with pytest.raises(UserError, match=r"1 of 1 images cannot be read, .*test/a/1.png \(no image\)"):
        source.prepare_test()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(5, "Input/output error"), "a/001.png cannot be read: Input/output error"),
        (MemoryError("full"), "full"),
    ],
)
def test_what_may_pass_is_no_broken_image(tmp_path, monkeypatch, classes, error, sentence):
    root, cache = classes(tmp_path / "data", {"a": 90, "b": 90}), tmp_path / "cache"
    read_bytes = Path.read_bytes

    def failing(self):
        if self == root / "a" / "001.png":
            raise error
        return read_bytes(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing)
        with pytest.raises((UserError, MemoryError), match=sentence):
            read(root, cache=cache)
    assert [*cache.iterdir()] == []
    assert read(root, cache=cache).notes[1:] == ()


def test_no_memory_to_decode_is_no_broken_image(tmp_path, monkeypatch, classes):
    def starved(content, height, width):
        raise MemoryError

    monkeypatch.setattr(image_folder, "decode", starved)
    with pytest.raises(MemoryError):
        read(classes(tmp_path / "data", {"a": 2, "b": 2}), cache=tmp_path / "cache")


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), PermissionError(13, "Not allowed")])
def test_a_file_that_may_not_be_read_is_left_out_and_named(tmp_path, monkeypatch, with_broken, error):
    with_broken(tmp_path / "train", 100, 0)
    read_bytes = Path.read_bytes

    def refusing(self):
        if self.name == "001.png" and self.parent.name == "a":
            raise error
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    (note,) = read(tmp_path, cache=tmp_path / ".cache").notes
    assert note == f"Images that cannot be read are left out (1): train/a/001.png ({error.strerror})."


def test_a_folder_that_may_be_listed_but_not_entered_loses_no_image_without_a_word(
    tmp_path, monkeypatch, classes
):
    """As its owner may have it: names are told, but neither sizes nor contents."""
    root = classes(tmp_path / "data", {"a": 90, "b": 2})
    stat, read_bytes = Path.stat, Path.read_bytes

    def refusing(of):
        def refuse(self, **how):
            if self.parent == root / "b":
                raise PermissionError(13, "Permission denied", str(self))
            return of(self, **how)

        return refuse

    monkeypatch.setattr(Path, "stat", refusing(stat))
    monkeypatch.setattr(Path, "read_bytes", refusing(read_bytes))
    with pytest.raises(UserError, match=r"No training image of the class b .*Permission denied"):
        read(root, cache=tmp_path / "cache")


def test_a_whole_part_is_the_file_that_it_lies_in(tmp_path, with_broken):
    """So that several processes map it as it is; broken images leave a rest at its end."""
    with_broken(tmp_path / "train", 99, 0)
    x = read(tmp_path, cache=tmp_path / ".cache").train.x
    assert _file_of(x) == Path(x.filename) == next((tmp_path / ".cache").glob("images-*.npy"))
    with_broken(tmp_path / "train", 99, 1)
    assert _file_of(read(tmp_path, cache=tmp_path / ".cache").train.x) is None


def test_a_folder_of_broken_images_is_refused(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match="None of the 2 images can be read"):
        read(tmp_path, cache=tmp_path / ".cache")


def test_a_picture_cut_in_the_middle_is_broken(tmp_path, with_broken):
    with_broken(tmp_path / "train", 99, 0)
    path = tmp_path / "train" / "a" / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    assert "cut.png (image file is truncated" in read(tmp_path, cache=tmp_path / ".cache").notes[0]


@pytest.mark.parametrize("side", [10, 13])
def test_a_picture_too_large_to_be_meant_is_broken(tmp_path, monkeypatch, side, picture, with_broken):
    """PIL warns of more pixels than the limit and raises at more than twice as many."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70)
    with_broken(tmp_path / "train", 99, 0)
    picture(tmp_path / "train" / "a" / "bomb.png", side, side)
    assert "bomb.png (more than 70 pixels)" in read(tmp_path, cache=tmp_path / ".cache").notes[0]


def test_a_class_whose_only_image_is_broken_is_named(tmp_path, with_broken):
    with_broken(tmp_path / "train", 99, 0)
    (tmp_path / "train" / "c").mkdir()
    (tmp_path / "train" / "c" / "1.png").write_bytes(b"no")
    with pytest.raises(UserError, match=r"image of the class c in .*: train/c/1.png \(no image\)\. Rep"):
        read(tmp_path, cache=tmp_path / ".cache")


def test_a_broken_image_of_the_test_part_is_told_when_it_is_read(tmp_path, classes):
    classes(tmp_path / "train", {"a": 2, "b": 2})
    classes(tmp_path / "test", {"a": 50, "b": 49})
    (tmp_path / "test" / "b" / "broken.png").write_bytes(b"no")
    source = read(tmp_path, cache=tmp_path / ".cache")
    with pytest.warns(UserWarning, match=r"Test part of .* left out \(1\): test/b/broken.png \(no image\)"):
        assert len(source.read_test()) == 99


# The decoded copy


@pytest.fixture
def opened(monkeypatch):
    """Names of the files whose content was read, and of those whose header was."""
    contents, headers = [], []
    read_bytes, upright_size = Path.read_bytes, pictures.upright_size
    monkeypatch.setattr(Path, "read_bytes", lambda self: contents.append(self.name) or read_bytes(self))
    monkeypatch.setattr(
        image_folder, "upright_size", lambda file: headers.append(file.name) or upright_size(file)
    )
    return SimpleNamespace(contents=contents, headers=headers)


def test_every_file_is_read_once_and_by_a_second_load_not_at_all(tmp_path, classes, opened):
    root, cache = classes(tmp_path / "data", {"a": 4, "b": 5}), tmp_path / "cache"
    first = read(root, cache=cache)
    assert isinstance(first.train.x, np.memmap)
    names = ["000.png", "001.png", "002.png", "003.png", "004.png"]
    # One of each class is kept for the test, and stays unread.
    assert len(opened.contents) == 7
    assert sorted(opened.headers) == sorted(opened.contents)
    assert {*opened.contents} <= {*names}
    opened.contents.clear()
    opened.headers.clear()
    second = read(root, cache=cache)
    assert np.array_equal(first.train.x, second.train.x)
    assert opened.contents == opened.headers == []


def test_with_a_size_given_no_header_is_read_beforehand(tmp_path, classes, opened):
    read(classes(tmp_path / "data", {"a": 4, "b": 4}), image_size=(8, 8))
    assert opened.headers == []


def test_a_file_changed_behind_its_size_and_time_is_noticed(tmp_path, picture, classes):
    """As by a program that sets the time back; bitmaps of equal sides have equal sizes."""
    root, cache = tmp_path / "data", tmp_path / "cache"
    for name in "ab":
        picture(root / name / "1.bmp", colour=(1, 2, 3))
    assert read(root, cache=cache).train.x[0, 0, 0].tolist() == [1, 2, 3]
    path = root / "a" / "1.bmp"
    before = path.stat()
    picture(path, colour=(9, 8, 7))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert read(root, cache=cache).train.x[0, 0, 0].tolist() == [9, 8, 7]


def test_the_same_contents_share_one_copy_however_often_they_are_touched(tmp_path, classes):
    root, cache = classes(tmp_path / "data", {"a": 1, "b": 1}), tmp_path / "cache"
    read(root, cache=cache)
    os.utime(root / "a" / "000.png", ns=(0, 0))
    read(root, cache=cache)
    assert len(list(cache.glob("folder-*.json"))) == 2
    assert len(list(cache.glob("*.npy"))) == 1


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "moved to another class"])
def test_a_changed_folder_is_noticed(tmp_path, picture, classes, change):
    root, cache = classes(tmp_path / "data", {"a": 9, "b": 9}), tmp_path / "cache"
    before = read(root, cache=cache).train
    match change:
        case "added":
            picture(root / "b" / "009.png", colour=(50, 0, 0))
        case "removed":
            (root / "a" / "003.png").unlink()
        case "renamed":
            (root / "a" / "000.png").rename(root / "a" / "zzz.png")
        case "moved to another class":
            (root / "a" / "003.png").rename(root / "b" / "moved.png")
    after = read(root, cache=cache).train
    fresh = read(root, cache=tmp_path / "other").train
    assert np.array_equal(after.x, fresh.x)
    assert np.array_equal(after.y, fresh.y)
    assert not (np.array_equal(before.x, after.x) and np.array_equal(before.y, after.y))


def test_progress_is_told_to_the_last_file(tmp_path, classes):
    classes(tmp_path / "train", {"a": 72, "b": 72})
    classes(tmp_path / "test", {"a": 1, "b": 1})
    told = []
    read_folder(tmp_path, image_size=None, cache=None, on_images=lambda *each: told.append(each))
    assert told == [(64, 144), (128, 144), (144, 144)]


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
    source.prepare_test()
    assert len(list(cache.glob("*.npy"))) == 2
    times = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert source.read_test().y.tolist() == [0, 1]
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == times


@pytest.mark.parametrize("left", ["half", "nothing", "zeros of another shape"])
def test_a_copy_that_was_not_finished_is_made_again(tmp_path, classes, left):
    """However far the pixels came: only the note beside them says that they are whole."""
    root, cache = classes(tmp_path / "data", {"a": 1, "b": 1}), tmp_path / "cache"
    read(root, cache=cache)
    next(cache.glob("folder-*.json")).unlink()
    array = next(cache.glob("*.npy"))
    match left:
        case "half":
            array.write_bytes(array.read_bytes()[:200])
        case "nothing":
            array.unlink()
        case "zeros of another shape":
            np.save(array, np.zeros((1, 8, 8, 3), np.uint8))
    again = read(root, cache=cache)
    assert again.train.x[:, 0, 0].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert len(again.train) == 2


def test_a_note_without_its_pixels_is_not_believed(tmp_path, classes):
    root, cache = classes(tmp_path / "data", {"a": 2, "b": 2}), tmp_path / "cache"
    pixels = read(root, cache=cache).train.x.copy()
    array = next(cache.glob("*.npy"))
    array.unlink()
    assert np.array_equal(read(root, cache=cache).train.x, pixels)
    np.save(array, np.zeros((7, 8, 8, 3), np.uint8))  # of another folder
    assert np.array_equal(read(root, cache=cache).train.x, pixels)


def test_pixels_cut_short_behind_a_whole_note_are_named(tmp_path, classes):
    root, cache = classes(tmp_path / "data", {"a": 2, "b": 2}), tmp_path / "cache"
    read(root, cache=cache)
    array = next(cache.glob("*.npy"))
    array.write_bytes(array.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"images-.*npy cannot be read .* Remove it"):
        read(root, cache=cache)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"images": "../../secret.npy", "height": 8, "width": 8, "broken": {}}',
        '{"images": "images-0.npy", "height": 8, "width": 8, "broken": {"99": "no"}}',
        '{"images": "images-0.npy", "height": 8, "width": 8, "broken": {"a": "no"}}',
        '{"images": "images-0.npy", "height": "8", "width": 8, "broken": {}}',
    ],
)
def test_a_damaged_note_is_named(tmp_path, classes, content):
    root, cache = classes(tmp_path / "data", {"a": 2, "b": 2}), tmp_path / "cache"
    read(root, cache=cache)
    next(cache.glob("folder-*.json")).write_text(content)
    with pytest.raises(UserError, match=r"folder-.*json .* Remove it"):
        read(root, cache=cache)


def test_an_interruption_leaves_nothing_that_counts(tmp_path, classes):
    root, cache = tmp_path / "data", tmp_path / "cache"
    classes(root / "train", {"a": 81, "b": 81})
    classes(root / "test", {"a": 9, "b": 9})

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_folder(root, image_size=None, cache=cache, on_images=interrupt)
    assert list(cache.iterdir()) == []
    assert len(read(root, cache=cache).train) == 162
