"""Which files of a folder count, and as what."""

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
    picture(tmp_path / "test" / "unlabelled.png")
    assert len(list_folder(tmp_path).test.files) == 2


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


def test_a_folder_without_classes_is_refused_with_the_endings_that_count(tmp_path, picture):
    picture(tmp_path / "1.png")
    with pytest.raises(UserError, match=r"one sub-folder per class is needed, .* \.bmp, \.gif, \.jpeg"):
        list_folder(tmp_path)
