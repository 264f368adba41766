"""What `load`, `facts` and `subset` promise, whatever the data come from."""

import dataclasses
import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.dataset import Images, facts, load, num_identical, subset
from archsearch.errors import UserError
from archsearch.image_statistics import image_statistics
from archsearch.run_folder import own_temporary


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


def test_broken_files_of_the_test_part_can_be_removed_without_a_change_to_the_others(tmp_path):
    root = image_folder(tmp_path / "data", [60, 60])
    before = load(root, seed=0, cache=tmp_path / "cache")
    test = before.read_test().names
    for name in test[:2]:
        (root / name).write_bytes(b"no")
    with pytest.raises(UserError, match=f"2 of {len(test)} images cannot be read"):
        load(root, seed=0, cache=tmp_path / "cache").prepare_test()
    for name in test[:2]:
        (root / name).unlink()
    after = load(root, seed=0, cache=tmp_path / "cache")
    after.prepare_test()
    assert after.read_test().names == test[2:]
    assert after.content_hash == before.content_hash
    assert np.array_equal(after.validation.x, before.validation.x)


def test_a_file_that_is_removed_moves_at_most_one_other_to_the_validation_part(tmp_path):
    root = tmp_path / "data"
    image_folder(root / "train", [40, 40])
    image_folder(root / "test", [1, 1])
    before = {x.tobytes() for x in load(root, seed=0, cache=tmp_path / "cache").validation.x}
    other = {x.tobytes() for x in load(root, seed=1, cache=tmp_path / "cache").validation.x}
    (root / "train" / "class0" / "0007.png").unlink()
    after = {x.tobytes() for x in load(root, seed=0, cache=tmp_path / "cache").validation.x}
    assert len(before - after) <= 1
    assert len(before - other) > 1


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


def test_without_a_validation_part_the_hash_is_the_one_that_runs_have_stored():
    x = np.arange(256).astype(np.uint8).reshape(4, 8, 8)
    assert load(((x, [0, 1, 0, 1]), None), seed=0).content_hash == "878ac87e39e278b8c9ce9e7f228eefb7"


def test_a_validation_part_of_the_data_is_in_the_hash(tmp_path):
    (x, y), (x_val, y_val) = arrays([6, 6]), arrays([1, 2])
    pixel, label = x_val.copy(), y_val.copy()
    pixel[1, 2, 3] ^= 1
    label[0] = 1
    hashes = {load(((x, y), None), seed=0).content_hash}
    for name, pair in {"a": (x_val, y_val), "b": (pixel, y_val), "c": (x_val, label)}.items():
        np.savez(tmp_path / f"{name}.npz", x_train=x, y_train=y, x_val=pair[0], y_val=pair[1])
        hashes.add(load(tmp_path / f"{name}.npz", seed=0).content_hash)
    assert len(hashes) == 4


def test_whether_there_is_a_test_part_is_known_without_reading_it(tmp_path):
    pair = arrays([5, 5])
    with_test, without = load((pair, arrays([1, 1])), seed=0), load((pair, None), seed=0)
    assert (with_test.has_test, with_test.num_test) == (True, 2)
    assert (without.has_test, without.num_test) == (False, None)
    image_folder(tmp_path / "train", [20, 30])
    kept = load(tmp_path, seed=0, image_size=(16, 16), cache=tmp_path / ".cache")
    assert len(list((tmp_path / ".cache").glob("images-*.npy"))) == 1  # the training part alone
    assert (kept.has_test, kept.num_test) == (True, len(kept.read_test()))


def test_the_statistics_of_the_training_part_are_computed_once(monkeypatch):
    from archsearch import dataset

    seen = []

    def computed(images):
        seen.append(images)
        return image_statistics(images)

    monkeypatch.setattr(dataset, "image_statistics", computed)
    splits = load((arrays([20, 20]), None), seed=0)
    assert seen == []
    assert splits.statistics == splits.statistics == image_statistics(splits.train)
    assert seen == [splits.train]


@pytest.mark.parametrize("counts", [[40, 20, 9, 2, 1], [15, 25, 35], [100, 14, 16, 5]])
def test_the_split_sizes_of_the_facts_are_those_of_the_load(tmp_path, counts):
    x, y = arrays(counts)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y)
    image_folder(tmp_path / "folder", counts)
    for data in (((x, y), None), tmp_path / "d.npz", tmp_path / "folder"):
        splits = load(data, seed=0)
        assert facts(data).split_sizes() == (len(splits.train), len(splits.validation))


def test_the_split_sizes_of_a_validation_part_of_the_data_are_its_own(tmp_path):
    (x, y), (x_val, y_val) = arrays([6, 6]), arrays([1, 2])
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_val=x_val, y_val=y_val)
    image_folder(tmp_path / "folder" / "train", [8, 5])
    image_folder(tmp_path / "folder" / "val", [2, 2])
    image_folder(tmp_path / "folder" / "test", [1, 1])
    assert facts(tmp_path / "d.npz").split_sizes() == (12, 3)
    assert facts(tmp_path / "folder").split_sizes() == (13, 4)


def test_the_split_sizes_of_names_are_known_beforehand():
    splits = load("digits", seed=0)
    assert facts("digits").split_sizes() == (len(splits.train), len(splits.validation))
    assert facts("cifar10").split_sizes() == (45_000, 5_000)
    assert facts("cifar100").split_sizes() == (45_000, 5_000)
    # A tenth of 5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851 and 5949, each rounded.
    assert sum([592, 674, 596, 613, 584, 542, 592, 626, 585, 595]) == 5999
    assert facts("mnist").split_sizes() == (54_001, 5_999)


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


def coloured(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


def test_identical_files_across_the_parts_of_a_folder_are_named(tmp_path):
    for number in range(3):
        coloured(tmp_path / "train" / "a" / f"{number}.png", (number, 0, 0))
        coloured(tmp_path / "train" / "b" / f"{number}.png", (number, 9, 9))
    coloured(tmp_path / "val" / "a" / "same.bmp", (2, 0, 0))  # of another kind, with the same pixels
    coloured(tmp_path / "val" / "b" / "wrong.png", (1, 0, 0))
    coloured(tmp_path / "val" / "b" / "new.png", (77, 0, 0))
    coloured(tmp_path / "test" / "a" / "old.png", (0, 9, 9))
    coloured(tmp_path / "test" / "a" / "seen.png", (77, 0, 0))
    coloured(tmp_path / "test" / "b" / "unseen.png", (5, 5, 5))
    splits = load(tmp_path, seed=0, flip="no", cache=tmp_path / ".cache")
    assert splits.notes == (
        "2 of 3 validation images are also in the training part, pixel for pixel, 1 of them under another "
        "class: val/a/same.bmp = train/a/2.png, val/b/wrong.png = train/a/1.png.",
    )
    with pytest.warns(UserWarning, match="also among those that the search had") as caught:
        assert len(splits.read_test()) == 3
    assert [str(each.message) for each in caught] == [
        "1 of 3 test images are also among those that the search had, pixel for pixel, 1 of them under "
        "another class: test/a/old.png = train/b/0.png.",
        "1 of 3 test images are also among those that the search had, pixel for pixel, 1 of them under "
        "another class: test/a/seen.png = val/b/new.png.",
    ]


def test_identical_files_that_the_split_parts_are_named(tmp_path):
    """Ten copies of one image: nine train, one validates."""
    for number in range(12):
        coloured(tmp_path / "train" / "a" / f"{number:02}.png", (1, 1, 1))
        coloured(tmp_path / "train" / "b" / f"{number:02}.png", (number, 9, 9))
    coloured(tmp_path / "test" / "a" / "0.png", (200, 0, 0))
    splits = load(tmp_path, seed=0, flip="no", cache=tmp_path / ".cache")
    (note,) = splits.notes
    assert note.startswith(
        "1 of 2 validation images are also in the training part, pixel for pixel: train/a/"
    )
    one, _, other = note.removesuffix(".").rpartition(": ")[2].partition(" = ")
    assert one != other
    assert {Path(one).parent, Path(other).parent} == {Path("train/a")}


RESIDENT = """
import sys
from pathlib import Path
import archsearch.readers.source as source
from archsearch.batches import _Epochs
from archsearch.dataset import load, subset
from archsearch.image_statistics import image_statistics
from archsearch.readers import image_folder  # with PIL, before anything is measured
from space.recipe import MODERN

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

source.KEPT = int(sys.argv[2])
root, before = Path(sys.argv[1]), peak()
splits = load(root, seed=0, flip="no", image_size=(128, 128), cache=root / ".cache")
image_statistics(splits.train)
part = subset(splits.train, len(splits.train) - 10, seed=0, cache=root / ".cache")
epochs = _Epochs(part, MODERN, batch_size=16, seed=0, steps=len(part) // 16)
for step in range(2 * (len(part) // 16)):
    epochs.batch(step)
splits.read_test()
print(peak() - before, sum(file.stat().st_size for file in (root / ".cache").iterdir()) / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_folder_larger_than_memory_takes_little_of_it(tmp_path):
    """In small: some 100 MB of pixels, decoded, hashed, split, counted and gone over twice.

    The program gives back maps above 256 MB; here above 1 MB.
    """
    image_folder(tmp_path / "train", [900, 900], side=16)
    image_folder(tmp_path / "test", [30, 30], side=16)
    grown, cached = {}, {}
    for kept in (2**20, 2**40):
        output = subprocess.run(
            [sys.executable, "-c", RESIDENT, str(tmp_path), str(kept)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        grown[kept], cached[kept] = map(float, output.stdout.split())
    # 1860 images decoded, 1800 of them split, 1610 of these once more: 5270 of 48 KB, 247 MB.
    assert cached[2**20] > 240
    assert grown[2**20] < 60
    assert grown[2**40] > 150  # the same without giving back, so that the measure measures


def test_identical_images_are_counted_once_for_each_of_the_first():
    x = np.zeros((3, 8, 8, 1), np.uint8)
    x[2] = 1
    images, others = Images(x, np.zeros(3, np.int64)), Images(x[:1], np.zeros(1, np.int64))
    assert (num_identical(images, others), num_identical(others, images)) == (2, 1)


def test_names_and_numbers_of_a_data_set():
    splits = load("digits", seed=0)
    assert (splits.name, splits.num_classes, splits.image_shape) == ("digits", 10, (32, 32, 1))
    assert (len(splits.train) + len(splits.validation), len(splits.read_test())) == (1438, 359)
    assert load((arrays([3, 3]), None), seed=0).name == "arrays"


# Both parts


def test_both_parts_are_all_images_with_their_labels():
    x, y = arrays([20, 30])
    splits = load(((x, y), None), seed=0)
    both = splits.read_both()
    label = {pixels.tobytes(): number for pixels, number in zip(x, y, strict=True)}
    assert len(both) == len(label) == 50
    assert {pixels.tobytes(): number for pixels, number in zip(both.x, both.y, strict=True)} == label
    assert np.array_equal(both.x[: len(splits.train)], splits.train.x)


def test_both_parts_of_memory_maps_are_another_one(tmp_path):
    def mapped(images, name):
        np.save(tmp_path / name, images.x)
        return Images(np.load(tmp_path / name, mmap_mode="r"), images.y)

    plain = load((arrays([20, 30]), None), seed=0)
    splits = dataclasses.replace(
        plain,
        train=mapped(plain.train, "train.npy"),
        validation=mapped(plain.validation, "validation.npy"),
        cache=tmp_path / "cache",
    )
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "cache").mkdir()
    left = own_temporary(Path("both-left.npy"))  # by a process that was killed
    (tmp_path / "cache" / left.replace(f"-{os.getpid()}", f"-{ended.pid}")).touch()
    both, in_memory = splits.read_both(), plain.read_both()
    assert isinstance(both.x, np.memmap)
    assert not isinstance(in_memory.x, np.memmap)
    assert np.array_equal(both.x, in_memory.x)
    assert np.array_equal(both.y, in_memory.y)
    assert [path.resolve() for path in (tmp_path / "cache").iterdir()] == [Path(both.x.filename)]
    del both
    gc.collect()
    assert [*(tmp_path / "cache").iterdir()] == []


# Subsets


def test_a_subset_has_the_proportions_of_the_whole_with_the_labels_of_its_images():
    images = Images(*arrays([50, 30, 20]))
    part = subset(images, 10, seed=0)
    assert counts_of(part, 3) == [5, 3, 2]
    label = {pixels.tobytes(): number for pixels, number in zip(images.x, images.y, strict=True)}
    assert [label[pixels.tobytes()] for pixels in part.x] == part.y.tolist()


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


def test_a_subset_of_a_memory_map_is_another_one_with_the_same_images(tmp_path):
    x, y = arrays([60, 40])
    np.save(tmp_path / "x.npy", x)
    images = Images(np.load(tmp_path / "x.npy", mmap_mode="r"), y)
    in_memory = subset(Images(x, y), 20, seed=1)
    for cache in (tmp_path / "cache", tmp_path / "cache", None):
        part = subset(images, 20, seed=1, cache=cache)
        assert isinstance(part.x, np.memmap)
        assert np.array_equal(part.x, in_memory.x)
        assert np.array_equal(part.y, in_memory.y)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert not isinstance(in_memory.x, np.memmap)


def test_subsets_of_other_memory_maps_are_kept_apart(tmp_path):
    x, y = arrays([6, 4])
    for number in (0, 1):
        np.save(tmp_path / "x.npy", x ^ number)
        images = Images(np.load(tmp_path / "x.npy", mmap_mode="r"), y)
        subset(images, 5, seed=1, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_subset_of_nothing_is_refused():
    with pytest.raises(UserError, match="at least 1 image, got 0"):
        subset(Images(*arrays([3, 3])), 0, seed=0)


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
