"""Which files of a folder count, and as what."""

import os
import unicodedata
from pathlib import Path

import pytest

from archsearch.errors import UserError
from archsearch.readers.folder_listing import list_folder


def test_a_class_may_be_called_train_or_test(tmp_path, classes):
    assert list_folder(classes(tmp_path, {"bus": 2, "train": 2, "test": 2})).class_names == (
        "bus",
        "test",
        "train",
    )


def test_a_test_folder_without_classes_counts_as_none(tmp_path, picture, classes):
    classes(tmp_path / "train", {"a": 10, "b": 10})
    for part in ("test", "val"):
        picture(tmp_path / part / "unlabelled.png")
    folder = list_folder(tmp_path)
    assert (len(folder.test.files), len(folder.validation.files)) == (2, 0)
    assert folder.notes[0] == "Images beside the folders of the classes are left out: 2."


def test_two_folders_for_the_same_part_are_refused(tmp_path, picture, classes):
    classes(tmp_path / "train", {"a": 10, "b": 10})
    classes(tmp_path / "validation", {"a": 2, "b": 2})
    picture(tmp_path / "val" / "unlabelled.png")
    with pytest.raises(UserError, match="val"):
        list_folder(tmp_path)


def test_a_test_folder_without_a_train_folder_is_refused(tmp_path, classes):
    classes(tmp_path / "test", {"a": 2, "b": 2})
    with pytest.raises(UserError, match="has a folder test with sub-folders, but no folder train"):
        list_folder(tmp_path)


def test_classes_that_only_other_parts_have_are_refused(tmp_path, classes):
    classes(tmp_path / "train", {"a": 2, "b": 2})
    classes(tmp_path / "test", {"a": 2, "z": 2})
    with pytest.raises(UserError, match="test has the classes z, which the training part does not have"):
        list_folder(tmp_path)


def test_hidden_files_and_folders_and_other_files_are_ignored(tmp_path, picture, classes):
    classes(tmp_path, {"a": 4, "b": 4, ".ipynb_checkpoints": 3, "a/.thumbnails": 3})
    picture(tmp_path / "a" / "._000.png")
    (tmp_path / "a" / "notes.txt").write_text("hello")
    folder = list_folder(tmp_path)
    assert folder.class_names == ("a", "b")
    assert len(folder.train.files) + len(folder.test.files) == 8


def test_images_deeper_in_a_class_belong_to_it_and_endings_may_be_large(tmp_path, picture):
    picture(tmp_path / "a" / "monday" / "1.PNG")
    picture(tmp_path / "b" / "2.JPEG")
    assert list_folder(tmp_path).train.labels == (0, 1)


def test_a_folder_without_images_is_left_out_and_named(tmp_path, classes):
    (tmp_path / "empty").mkdir()
    folder = list_folder(classes(tmp_path, {"a": 2, "b": 2}))
    assert folder.class_names == ("a", "b")
    assert folder.notes[0] == "Folders without images are left out: empty."


def test_files_that_are_not_used_are_counted(tmp_path, picture, classes):
    classes(tmp_path / "train", {"a": 2, "b": 2})
    classes(tmp_path / "test", {"a": 1})
    for name in ("train/a/1.heic", "train/b/2.HEIC", "test/a/3.heic", "train/a/notes.txt", "train/b/README"):
        (tmp_path / name).write_text("x")
    picture(tmp_path / "train" / "loose.png")
    assert list_folder(tmp_path).notes == (
        "Images beside the folders of the classes are left out: 1.",
        "Files that do not end like an image are left out: 3 .heic, 1 .txt, 1 without ending.",
    )


@pytest.mark.parametrize("root", [".", "train"])
def test_a_file_that_is_removed_leaves_all_others_in_their_parts(tmp_path, root):
    """Of 200 images about 20 are far from 10 and from 40: each file is by its name alone."""
    for name in "ab":
        (tmp_path / root / name).mkdir(parents=True)
        for number in range(200):
            (tmp_path / root / name / f"{number}.png").touch()
    before = list_folder(tmp_path)
    assert 20 < len(before.test.files) < 80
    for gone in (*before.test.files[::6], *before.train.files[::60]):
        gone.unlink()
        after = list_folder(tmp_path)
        assert {*after.train.files} == {*before.train.files} - {gone}
        assert {*after.test.files} == {*before.test.files} - {gone}
        gone.touch()


# What lies beside the parts


def test_classes_beside_one_called_train_with_sub_folders_are_not_left_out(tmp_path, classes):
    classes(tmp_path, {"bus": 2, "car": 2, "train/steam": 2, "train/diesel": 2})
    with pytest.raises(
        UserError,
        match=r"has a training part, train, and beside it folders with images that would not be used: "
        r"bus, car\. .* if all are classes, rename train,",
    ):
        list_folder(tmp_path)


def test_parts_under_other_names_are_not_left_out(tmp_path, classes):
    for part in ("train", "testing", "evaluation"):
        classes(tmp_path / part, {"a": 2, "b": 2})
    with pytest.raises(
        UserError, match=r"evaluation, testing\. If they are parts, rename them to val and test"
    ):
        list_folder(tmp_path)


def test_a_second_validation_part_is_not_left_out(tmp_path, classes):
    for part in ("train", "val", "valid"):
        classes(tmp_path / part, {"a": 2, "b": 2})
    with pytest.raises(UserError, match="would not be used: valid"):
        list_folder(tmp_path)


def test_what_holds_no_images_may_lie_beside_the_parts(tmp_path, classes):
    classes(tmp_path / "train", {"a": 2, "b": 2})
    classes(tmp_path / ".cache", {"a": 2})
    (tmp_path / "docs" / "more").mkdir(parents=True)
    (tmp_path / "docs" / "more" / "read.txt").touch()
    assert list_folder(tmp_path).class_names == ("a", "b")


# Names


def test_names_with_spaces_umlauts_and_quotes_stay_as_they_are(tmp_path, classes):
    names = ("Bär & Co", "c'est ça", 'say "a"', "über $5", "日本")
    folder = list_folder(classes(tmp_path, dict.fromkeys(names, 2)))
    assert folder.class_names == tuple(sorted(names))


def test_an_umlaut_of_two_characters_is_the_one_of_one(tmp_path, classes):
    """As a folder from a Mac beside one that was not."""
    classes(tmp_path / "train", {unicodedata.normalize("NFD", "Bär"): 2, "z": 1})
    classes(tmp_path / "test", {unicodedata.normalize("NFC", "Bär"): 1})
    folder = list_folder(tmp_path)
    assert folder.class_names == (unicodedata.normalize("NFC", "Bär"), "z")
    assert (folder.train.labels, folder.test.labels) == ((0, 0, 1), (0,))


def test_a_name_that_is_no_text_can_be_written_everywhere(tmp_path, classes):
    classes(tmp_path, {os.fsdecode(b"caf\xe9"): 2, "line\nbreak": 2})
    names = list_folder(tmp_path).class_names
    assert names == ("caf\\xe9", "line\\nbreak")
    assert all(name.encode().decode() == name for name in names)


@pytest.mark.parametrize("name", ["Train", "TRAIN", "train"])
def test_parts_may_begin_with_a_capital(tmp_path, classes, name):
    classes(tmp_path / name, {"a": 2, "b": 2})
    classes(tmp_path / "Val", {"a": 1})
    classes(tmp_path / "TEST", {"b": 1})
    folder = list_folder(tmp_path)
    assert (folder.train.labels, folder.validation.labels, folder.test.labels) == ((0, 0, 1, 1), (0,), (1,))


def test_one_class_is_refused_and_the_folder_inside_is_pointed_at(tmp_path, classes):
    classes(tmp_path / "dataset", {"a": 2, "b": 2})
    with pytest.raises(
        UserError, match=r"has one class, at least two are needed: dataset\. Are the classes in"
    ):
        list_folder(tmp_path)
    classes(tmp_path / "other", {"only": 2})
    with pytest.raises(UserError, match=r"needed: only\.$"):
        list_folder(tmp_path / "other")


# Links, and what is no file


def test_links_to_classes_folders_and_files_are_followed(tmp_path, picture, classes):
    elsewhere = classes(tmp_path / "elsewhere", {"cats": 3, "more": 2})
    root = classes(tmp_path / "data", {"dog": 2})
    (root / "cat").symlink_to(elsewhere / "cats")
    (root / "dog" / "more").symlink_to(elsewhere / "more")
    (root / "dog" / "one.png").symlink_to(picture(tmp_path / "1.png"))
    folder = list_folder(root)
    assert folder.class_names == ("cat", "dog")
    assert len(folder.train.files) + len(folder.test.files) == 3 + 2 + 2 + 1


@pytest.mark.parametrize("to", [".", "..", "../..", "../a/deep", "loop"])
def test_links_that_lead_round_in_a_circle_end(tmp_path, picture, classes, to):
    root = classes(tmp_path / "data", {"a": 2, "b": 2})
    picture(root / "a" / "deep" / "1.png")
    (root / "a" / "loop").symlink_to(to)
    (root / "a" / "deep" / "up").symlink_to("..")
    files = list_folder(root).train.files + list_folder(root).test.files
    # Through `../a/deep` one image is there twice.
    assert len(files) == 5 + (to == "../a/deep")


def test_pipes_and_links_to_nowhere_are_no_images(tmp_path, classes):
    classes(tmp_path, {"a": 2, "b": 2})
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "a" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "b" / "folder.png").mkdir()
    folder = list_folder(tmp_path)
    assert len(folder.train.files) + len(folder.test.files) == 4


def test_a_folder_that_cannot_be_read_is_named(tmp_path, classes, monkeypatch):
    """Whatever the user: root may read everything, so that the system's refusal is played here."""
    classes(tmp_path, {"a": 2, "b": 2, "b/locked": 2})
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match=r"b/locked cannot be read: Permission denied"):
        list_folder(tmp_path)
