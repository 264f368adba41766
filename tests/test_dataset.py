"""What `load`, `facts`, `subset` and `image_statistics` promise, whatever the data come from."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.dataset import (
    Images,
    ImageStatistics,
    facts,
    image_statistics,
    load,
    num_identical,
    subset,
)
from archsearch.errors import UserError


def arrays(counts, shape=(8, 8, 3)):
    """Random images, so that no two are alike; classes one after the other."""
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.random.default_rng(7).integers(0, 256, (len(y), *shape), np.uint8)
    return x, y


def counts_of(images, num_classes):
    return np.bincount(images.y, minlength=num_classes).tolist()


def image_folder(root, counts, side=8):
    x, y = arrays(counts, (side, side, 3))
    for number, (pixels, label) in enumerate(zip(x, y, strict=True)):
        folder = root / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return root


# The split


def test_a_tenth_of_each_class_and_at_least_one_image_validates():
    splits = load((arrays([40, 20, 9, 2, 1]), None), seed=0)
    assert counts_of(splits.validation, 5) == [4, 2, 1, 1, 0]
    assert counts_of(splits.train, 5) == [36, 18, 8, 1, 1]


def test_training_and_validation_are_all_images_once_with_their_labels():
    x, y = arrays([30, 20])
    splits = load(((x, y), None), seed=3)
    label = {pixels.tobytes(): number for pixels, number in zip(x, y, strict=True)}
    parts = [
        (pixels.tobytes(), number)
        for part in (splits.train, splits.validation)
        for pixels, number in zip(part.x, part.y, strict=True)
    ]
    assert dict(parts) == label
    assert len(parts) == 50


def test_the_same_seed_gives_the_same_split_and_another_gives_another():
    data = (arrays([50, 50]), None)
    first, again, other = (load(data, seed=seed).validation.x for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_validation_part_of_the_data_is_used_as_it_is(tmp_path):
    (x, y), (x_val, y_val) = arrays([5, 5]), arrays([1, 2])
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_val=x_val, y_val=y_val)
    splits = load(tmp_path / "d.npz", seed=0)
    assert np.array_equal(splits.train.x, x)
    assert splits.validation.y.tolist() == [0, 1, 1]


def test_a_folder_is_split_into_memory_maps_that_hold_the_same_images(tmp_path):
    image_folder(tmp_path / "train", [20, 10])
    x, y = arrays([20, 10])
    splits = load(tmp_path, seed=5, cache=tmp_path / ".cache")
    # The folder gave three images to the test part; the split has its share of the rest.
    assert (counts_of(splits.train, 2), counts_of(splits.validation, 2)) == ([16, 8], [2, 1])
    assert isinstance(splits.train.x, np.memmap)
    label = {pixels.tobytes(): number for pixels, number in zip(x, y, strict=True)}
    for part in (splits.train, splits.validation, splits.read_test()):
        assert all(label[p.tobytes()] == n for p, n in zip(part.x, part.y, strict=True))
    assert num_identical(splits.validation, splits.train) == 0


def test_a_second_load_of_a_folder_writes_nothing(tmp_path):
    image_folder(tmp_path / "train", [6, 6])
    for _ in range(2):
        load(tmp_path, seed=0, cache=tmp_path / ".cache")
        files = {file: file.stat().st_mtime_ns for file in (tmp_path / ".cache").iterdir()}
        assert len(files) == 4
    load(tmp_path, seed=0, cache=tmp_path / ".cache")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / ".cache").iterdir()} == files


def test_a_memory_map_of_the_user_gets_no_files_beside_it(tmp_path):
    x, y = arrays([5, 5])
    np.save(tmp_path / "x.npy", x)
    load(((np.load(tmp_path / "x.npy", mmap_mode="r"), y), None), seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_the_same_data_have_the_same_hash_in_a_file_and_as_arrays(tmp_path):
    x, y = arrays([6, 6], (8, 8))
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y[:, None])
    hashes = {
        load(((x, y), None), seed=0).content_hash,
        load(((x[..., None].tolist(), y.astype(np.uint8)), None), seed=1).content_hash,
        load(tmp_path / "d.npz", seed=2).content_hash,
    }
    assert len(hashes) == 1
    assert len(hashes.pop()) == 32


def test_one_pixel_one_label_or_the_shape_changes_the_hash():
    x, y = arrays([6, 6], (8, 16))
    pixel, label = x.copy(), y.copy()
    pixel[3, 4, 5] ^= 1
    label[0] = 1
    data = [(x, y), (pixel, y), (x, label), (x.reshape(12, 16, 8), y)]
    assert len({load((pair, None), seed=0).content_hash for pair in data}) == 4


def test_splits_can_be_sent_to_another_process():
    splits = pickle.loads(pickle.dumps(load((arrays([5, 5]), arrays([1, 1])), seed=0)))
    assert splits.read_test().y.tolist() == [0, 1]


# What else is decided


@pytest.mark.parametrize(
    ("data", "asked", "flip"), [("digits", "auto", False), ("digits", "yes", True), ("digits", "no", False)]
)
def test_digits_are_flipped_only_when_asked(data, asked, flip):
    splits = load(data, seed=0, flip=asked)
    assert splits.flip is flip
    assert splits.notes == ()


@pytest.mark.parametrize(("asked", "flip", "notes"), [("auto", True, 1), ("yes", True, 0), ("no", False, 0)])
def test_other_data_are_flipped_with_a_note_that_says_how_not_to(asked, flip, notes):
    splits = load((arrays([5, 5]), None), seed=0, flip=asked)
    assert splits.flip is flip
    assert len(splits.notes) == notes
    assert all("`--flip no`" in note for note in splits.notes)


@pytest.mark.parametrize("flip", ["", "Yes", "true"])
def test_other_words_for_flip_are_refused(flip):
    with pytest.raises(UserError, match="--flip must be auto, yes or no, got"):
        load("digits", seed=0, flip=flip)


@pytest.mark.parametrize(("largest", "noted"), [(25, False), (26, True)])
def test_more_than_five_to_one_is_noted(largest, noted):
    notes = load((arrays([5, largest, 10]), None), seed=0, flip="no").notes
    expected = (
        f"The classes are far from equal: '1' has {largest} training images, '0' has 5 training images."
    )
    assert [note.startswith(expected) for note in notes] == [True] * noted


def test_identical_images_on_both_sides_of_the_split_are_counted():
    x, y = arrays([20, 20])
    x[:] = x[0]
    notes = load(((x, y), None), seed=0, flip="no").notes
    assert notes[0].startswith("4 of 4 validation images are also in the training part")


def test_identical_images_are_counted_once_for_each_of_the_first():
    x = np.zeros((3, 8, 8, 1), np.uint8)
    x[2] = 1
    images, others = Images(x, np.zeros(3, np.int64)), Images(x[:1], np.zeros(1, np.int64))
    assert (num_identical(images, others), num_identical(others, images)) == (2, 1)


def test_images_can_be_had_in_another_size():
    splits = load((arrays([5, 5]), arrays([1, 1])), seed=0, image_size=(16, 8))
    assert splits.image_shape == (16, 8, 3)
    assert splits.read_test().x.shape == (2, 16, 8, 3)
    assert splits.train.x[:, :4].max() == 0  # above a square picture in an upright frame


def test_names_and_numbers_of_a_data_set():
    splits = load("digits", seed=0)
    assert (splits.name, splits.num_classes, splits.image_shape) == ("digits", 10, (32, 32, 1))
    assert (len(splits.train) + len(splits.validation), len(splits.read_test())) == (1438, 359)
    assert load((arrays([3, 3]), None), seed=0).name == "arrays"


# Refusals


def test_one_class_is_too_few(tmp_path):
    with pytest.raises(UserError, match="has one class, at least two are needed"):
        load((arrays([9]), None), seed=0)
    with pytest.raises(UserError, match="has one class, at least two are needed"):
        load(image_folder(tmp_path, [4]), seed=0)


@pytest.mark.parametrize("shape", [(7, 8, 3), (8, 7, 1), (1, 64, 3)])
def test_images_under_8_pixels_a_side_are_refused(shape):
    with pytest.raises(UserError, match=f"at least 8 pixels a side, got {shape[0]}x{shape[1]}"):
        load((arrays([5, 5], shape), None), seed=0)


def test_small_pictures_are_welcome_at_a_larger_size(tmp_path):
    image_folder(tmp_path, [3, 3], side=4)
    with pytest.raises(UserError, match="got 4x4; --image-size makes them larger"):
        load(tmp_path, seed=0)
    assert load(tmp_path, seed=0, image_size=(8, 8)).image_shape == (8, 8, 3)


def test_one_image_a_class_leaves_none_to_validate():
    with pytest.raises(UserError, match="one training image of each class"):
        load((arrays([1, 1, 1]), None), seed=0)


def test_labels_that_only_the_test_part_has_are_refused_when_it_is_read():
    splits = load((arrays([5, 5]), arrays([1, 1, 1])), seed=0)
    with pytest.raises(UserError, match="test part: classes are 0 to 2, but for training 0 to 1"):
        splits.read_test()


def test_labels_that_only_the_validation_part_has_are_refused(tmp_path):
    (x, y), (x_val, _) = arrays([5, 5]), arrays([1, 1])
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_val=x_val, y_val=[-1, 0])
    with pytest.raises(UserError, match="validation part: classes are -1 to 0"):
        load(tmp_path / "d.npz", seed=0)


@pytest.mark.parametrize("read", [facts, lambda data: load(data, seed=0)])
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
        load(tmp_path / "data.csv", seed=0)


def test_a_folder_with_the_name_of_a_data_set_is_meant_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image_folder(Path("digits"), [5, 5])
    assert load("digits", seed=0).num_classes == 10
    assert load("./digits", seed=0).num_classes == 2
    assert load(Path("digits"), seed=0).num_classes == 2


# Statistics


def test_mean_and_deviation_by_hand():
    x = np.zeros((2, 8, 8, 3), np.uint8)
    x[1, ..., 0] = 10  # half 0, half 10: mean 5, deviation 5
    x[:, :4, :, 1], x[:, 4:, :, 1] = 255, 253  # mean 254, deviation 1
    x[..., 2] = 77  # constant
    statistics = image_statistics(Images(x, np.zeros(2, np.int64)))
    assert statistics == ImageStatistics(mean=(5.0, 254.0, 77.0), std=(5.0, 1.0, 1.0))


def test_statistics_over_many_chunks_are_those_of_all_at_once():
    x, y = arrays([4000], (32, 32, 3))
    statistics = image_statistics(Images(x, y))
    assert statistics.mean == pytest.approx(x.mean(axis=(0, 1, 2)), rel=1e-12)
    assert statistics.std == pytest.approx(x.std(axis=(0, 1, 2)), rel=1e-9)


def test_statistics_survive_json():
    statistics = ImageStatistics(mean=(1.5,), std=(0.1,))
    assert ImageStatistics.from_json(statistics.to_json()) == statistics
    assert statistics.to_json() == {"mean": [1.5], "std": [0.1]}


# Subsets


@pytest.mark.parametrize(
    ("counts", "num_images", "expected"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([50, 30, 20], 1, [1, 0, 0]),
        ([98, 1, 1], 3, [1, 1, 1]),
        ([98, 1, 1], 10, [8, 1, 1]),
        ([5, 5, 5], 7, [3, 2, 2]),
        ([4, 0, 4], 2, [1, 0, 1]),
    ],
)
def test_a_subset_has_the_proportions_of_the_whole(counts, num_images, expected):
    images = Images(*arrays(counts))
    assert counts_of(subset(images, num_images, seed=0), 3) == expected


def test_a_subset_is_fixed_by_its_seed_and_keeps_the_order():
    images = Images(*arrays([60, 40]))
    first, again, other = (subset(images, 20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)
    positions = [int(np.flatnonzero((images.x == pixels).all(axis=(1, 2, 3)))[0]) for pixels in first.x]
    assert positions == sorted(set(positions))


def test_a_subset_as_large_as_the_whole_is_the_whole():
    images = Images(*arrays([3, 3]))
    assert subset(images, 6, seed=0) is images
    assert subset(images, 99, seed=0) is images


def test_a_subset_of_nothing_is_refused():
    with pytest.raises(UserError, match="at least 1 image, got 0"):
        subset(Images(*arrays([3, 3])), 0, seed=0)


# Facts


def test_facts_of_digits_are_those_of_the_load():
    splits, known = load("digits", seed=0), facts("digits")
    assert known.num_train == len(splits.train) + len(splits.validation)
    assert (known.image_shape, known.num_classes, known.flip) == (splits.image_shape, 10, splits.flip)


def test_facts_of_other_data_are_those_of_the_load(tmp_path):
    x, y = arrays([12, 5, 3], (8, 9, 1))
    np.savez(tmp_path / "d.npz", x_train=x[..., 0], y_train=y)
    image_folder(tmp_path / "folder", [12, 5, 3])
    for data in ((((x, y), None)), tmp_path / "d.npz", str(tmp_path / "folder")):
        splits, known = load(data, seed=0), facts(data)
        assert known.num_train == len(splits.train) + len(splits.validation)
        assert (known.image_shape, known.num_classes) == (splits.image_shape, splits.num_classes)
        assert known.flip is splits.flip is True
        assert facts(data, image_size=(16, 24)).image_shape[:2] == (16, 24)


def test_the_cifar_folder_is_told_from_a_folder_of_classes(tmp_path):
    for number in range(1, 6):
        values = {b"data": np.full((20, 3072), number, np.uint8), b"labels": [*range(10)] * 2}
        (tmp_path / f"data_batch_{number}").write_bytes(pickle.dumps(values, 2))
    splits, known = load(tmp_path, seed=0), facts(tmp_path)
    assert splits.class_names[9] == "truck"
    assert (counts_of(splits.train, 10), counts_of(splits.validation, 10)) == ([9] * 10, [1] * 10)
    assert (known.num_train, known.image_shape, known.num_classes, known.flip) == (100, (32, 32, 3), 10, True)


def test_facts_refuse_what_the_load_would():
    with pytest.raises(UserError, match="at least 8 pixels a side"):
        facts((arrays([5, 5], (4, 4)), None))
    with pytest.raises(UserError, match="has one class"):
        facts((arrays([5]), None))


def test_facts_and_the_digits_need_no_tensorflow_and_the_module_is_light():
    code = """
import sys
from archsearch.dataset import facts, load
assert not {"PIL", "sklearn"} & set(sys.modules)
print([facts(name).image_shape for name in ("cifar10", "cifar100", "mnist", "fashion_mnist", "digits")])
load("digits", seed=0)
assert not {"keras", "tensorflow"} & set(sys.modules)
"""
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    shapes = "[(32, 32, 3), (32, 32, 3), (28, 28, 1), (28, 28, 1), (32, 32, 1)]\n"
    assert (done.stdout, done.stderr) == (shapes, "")
