"""The right reader for each kind of data, and what is refused whatever the kind."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.errors import UserError
from archsearch.readers.opening import facts, open_source
from archsearch.readers.source import Facts


def arrays(counts, shape=(8, 8, 3)):
    """Random images, so that no two are alike; classes one after the other."""
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.random.default_rng(7).integers(0, 256, (len(y), *shape), np.uint8)
    return x, y


def image_folder(root, counts, side=8):
    x, y = arrays(counts, (side, side, 3))
    for number, (pixels, label) in enumerate(zip(x, y, strict=True)):
        folder = root / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return root


def opened(data, image_size=None):
    return open_source(data, image_size=image_size, cache=None)


def test_images_can_be_had_in_another_size():
    source = opened((arrays([5, 5]), arrays([1, 1])), image_size=(16, 8))
    assert source.train.x.shape == (10, 16, 8, 3)
    assert source.read_test().x.shape == (2, 16, 8, 3)
    assert source.train.x[:, :4].max() == 0  # above a square picture in an upright frame


def test_a_validation_part_is_resized_with_the_others(tmp_path):
    (x, y), (x_val, y_val) = arrays([5, 5]), arrays([1, 1])
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_val=x_val, y_val=y_val)
    source = opened(tmp_path / "d.npz", image_size=(16, 8))
    assert source.validation is not None
    assert source.validation.x.shape == (2, 16, 8, 3)


def test_one_class_is_too_few(tmp_path):
    with pytest.raises(UserError, match="has one class, at least two are needed"):
        opened((arrays([9]), None))
    with pytest.raises(UserError, match="has one class, at least two are needed"):
        opened(image_folder(tmp_path, [4]))


@pytest.mark.parametrize("shape", [(7, 8, 3), (8, 7, 1), (1, 64, 3)])
def test_images_under_8_pixels_a_side_are_refused(shape):
    with pytest.raises(UserError, match=f"at least 8 pixels a side, got {shape[0]}x{shape[1]}"):
        opened((arrays([5, 5], shape), None))


def test_small_pictures_are_welcome_at_a_larger_size(tmp_path):
    image_folder(tmp_path, [3, 3], side=4)
    with pytest.raises(UserError, match=r"got 4x4\.$"):
        opened(tmp_path)
    assert opened(tmp_path, image_size=(8, 8)).train.image_shape == (8, 8, 3)


def test_one_image_a_class_leaves_none_to_validate():
    with pytest.raises(UserError, match="one training image of each class"):
        opened((arrays([1, 1, 1]), None))


def test_labels_that_only_the_test_part_has_are_refused_before_it_is_read(tmp_path):
    train, test = arrays([5, 5]), arrays([1, 1, 1])
    parts = {"x_train": train[0], "y_train": train[1], "x_test": test[0], "y_test": test[1]}
    np.savez(tmp_path / "d.npz", **parts)
    for data in ((train, test), tmp_path / "d.npz"):
        source = opened(data)  # a search never looks
        for read in (source.prepare_test, source.read_test):
            with pytest.raises(UserError, match="test part: classes are 0 to 2, but for training 0 to 1"):
                read()


def test_labels_are_checked_without_the_images(tmp_path, monkeypatch):
    x, y = arrays([5, 5])
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    source = opened(tmp_path / "d.npz")
    read = []
    load = np.lib.npyio.NpzFile.__getitem__
    monkeypatch.setattr(
        np.lib.npyio.NpzFile, "__getitem__", lambda file, name: read.append(name) or load(file, name)
    )
    source.prepare_test()
    assert read == ["y_test"]


def test_labels_that_only_the_validation_part_has_are_refused(tmp_path):
    (x, y), (x_val, _) = arrays([5, 5]), arrays([1, 1])
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_val=x_val, y_val=[-1, 0])
    with pytest.raises(UserError, match="validation part: classes are -1 to 0"):
        opened(tmp_path / "d.npz")


@pytest.mark.parametrize("read", [facts, opened])
@pytest.mark.parametrize("data", ["cifar11", "no/such/folder", Path("digits2"), "data.npz"])
def test_an_unknown_name_is_answered_with_what_is_known(read, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"cifar10, cifar100, mnist, fashion_mnist, digits.*\.npz.*sub-folder"
    ):
        read(data)


def test_a_file_of_another_kind_is_answered_the_same(tmp_path):
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(UserError, match=r"data\.csv is not a data set: give one of cifar10"):
        opened(tmp_path / "data.csv")


def test_a_folder_with_the_name_of_a_data_set_is_meant_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image_folder(Path("digits"), [5, 5])
    assert len(opened("digits").class_names) == 10
    assert len(opened("./digits").class_names) == 2
    assert len(opened(Path("digits")).class_names) == 2


def test_facts_of_digits_are_those_of_the_source():
    known = facts("digits")
    assert known == opened("digits").facts
    assert (known.num_train, known.image_shape, known.num_classes) == (1438, (32, 32, 1), 10)


def test_facts_of_other_data_are_those_of_the_source(tmp_path):
    x, y = arrays([12, 5, 3], (8, 9, 1))
    np.savez(tmp_path / "d.npz", x_train=x[..., 0], y_train=y)
    image_folder(tmp_path / "folder", [12, 5, 3])
    for data in ((((x, y), None)), tmp_path / "d.npz", str(tmp_path / "folder")):
        assert facts(data) == opened(data).facts
        assert facts(data, image_size=(16, 24)) == opened(data, image_size=(16, 24)).facts


def test_the_cifar_folder_is_told_from_a_folder_of_classes(tmp_path):
    for number in range(1, 6):
        values = {b"data": np.full((20, 3072), number, np.uint8), b"labels": [*range(10)] * 2}
        (tmp_path / f"data_batch_{number}").write_bytes(pickle.dumps(values, 2))
    assert opened(tmp_path).class_names[9] == "truck"
    assert facts(tmp_path) == Facts((10,) * 10, (32, 32, 3))


def test_facts_refuse_what_the_load_would():
    with pytest.raises(UserError, match="at least 8 pixels a side"):
        facts((arrays([5, 5], (4, 4)), None))
    with pytest.raises(UserError, match="has one class"):
        facts((arrays([5]), None))
    with pytest.raises(UserError, match="one training image of each class"):
        facts((arrays([1, 1]), None))
