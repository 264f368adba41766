"""Built-in names, arrays, .npz files and the CIFAR-10 archive, most of all the broken and the hostile."""

import io
import os
import pickle
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.sources import (
    BUILT_IN,
    npz_facts,
    read_arrays,
    read_built_in,
    read_cifar,
    read_npz,
    resize,
    stratified_part,
)

X = np.arange(4 * 8 * 9 * 3, dtype=np.uint64).reshape(4, 8, 9, 3).astype(np.uint8)
Y = np.array([0, 1, 0, 1])


def npz(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **({"x_train": X, "y_train": Y} | arrays))
    return path


def sentence_of(read, path):
    """What a person is told, or nothing if the file could be read."""
    try:
        read(path)
    except UserError as error:
        return str(error)
    return ""


# Parts and sizes


def test_a_part_has_its_share_of_each_class_and_never_all_of_one():
    y = np.repeat([0, 1, 2, 3], [20, 10, 2, 1])
    part = stratified_part(y, fraction=0.1, seed=0)
    assert np.bincount(y[part], minlength=4).tolist() == [2, 1, 1, 0]
    assert part.tolist() == sorted(set(part.tolist()))


def test_a_large_fraction_still_leaves_an_image_of_each_class():
    assert len(stratified_part(np.zeros(3, np.int64), fraction=1.0, seed=0)) == 2


def test_resizing_keeps_the_aspect_and_pads_with_black():
    resized = resize(np.full((1, 4, 8, 1), 200, np.uint8), 8, 8)
    assert resized[0, :, 0, 0].tolist() == [0, 0, 200, 200, 200, 200, 0, 0]


# Built-in names


def test_digits_are_1438_and_359_images_on_0_to_255():
    source = read_built_in("digits")
    test = source.read_test()
    assert (source.train.x.shape, test.x.shape) == ((1438, 32, 32, 1), (359, 32, 32, 1))
    assert (source.train.x.min(), source.train.x.max()) == (0, 255)
    # A fifth of 178, 182, 177, 183, 181, 182, 181, 179, 174 and 180.
    assert np.bincount(test.y).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert source.flip_default is False


def test_every_digit_is_in_one_part():
    from sklearn.datasets import load_digits

    source = read_built_in("digits")
    counts = np.bincount(source.train.y) + np.bincount(source.read_test().y)
    assert counts.tolist() == np.bincount(load_digits().target).tolist()


def test_built_in_class_names_are_as_many_as_the_classes():
    assert {name: len(known.class_names) for name, known in BUILT_IN.items()} == {
        "cifar10": 10,
        "cifar100": 100,
        "mnist": 10,
        "fashion_mnist": 10,
        "digits": 10,
    }


def pretend_keras(monkeypatch, load_data):
    datasets = SimpleNamespace(cifar10=SimpleNamespace(load_data=load_data))
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(datasets=datasets))


def test_a_failed_download_is_one_sentence_with_a_command_that_works(monkeypatch):
    def fail():
        raise Exception("URL fetch failure on https://host/cifar:\n None -- no route")

    pretend_keras(monkeypatch, fail)
    with pytest.raises(
        UserError, match=r"^The data set cifar10 .* no route; .*search.py --dataset digits`.$"
    ):
        read_built_in("cifar10")


def test_a_download_speaks_on_stderr_and_brings_both_parts(monkeypatch, capsys):
    def load_data():
        print("Downloading")
        return (X, Y[:, np.newaxis]), (X[:1], Y[:1, np.newaxis])

    pretend_keras(monkeypatch, load_data)
    source = read_built_in("cifar10")
    assert (len(source.train), len(source.read_test())) == (4, 1)
    assert source.train.y.tolist() == [0, 1, 0, 1]
    assert capsys.readouterr() == ("", "Downloading\nDownloading\n")


# Arrays


@pytest.mark.parametrize(
    "data", [X, (X, Y), ((X, Y),), ((X, Y), X), ((X,), None), None, 3, ((X, Y), (X, Y), 1)]
)
def test_arrays_in_another_nesting_are_refused(data):
    with pytest.raises(UserError, match=r"must be given as \(\(x, y\), \(x_test, y_test\)\)"):
        read_arrays(data)


def test_ragged_lists_are_refused():
    with pytest.raises(UserError, match="make no arrays"):
        read_arrays((([[[1, 2], [3]]], [0]), None))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 1, 254, 255], np.int64), [0, 1, 254, 255]),
        (np.array([0, 1, 254, 255], np.float32), [0, 1, 254, 255]),
        (np.array([0, 0.2, 0.5, 1], np.float32), [0, 51, 128, 255]),
        (np.array([0, 1, 0, 1], np.float16), [0, 255, 0, 255]),
        (np.array([False, True, False, True]), [0, 255, 0, 255]),
    ],
)
def test_pixels_of_other_types_become_uint8_with_a_note(values, expected):
    x = np.broadcast_to(values[:, None, None], (4, 8, 8))
    source = read_arrays(((x, Y), None))
    assert source.train.x.dtype == np.uint8
    assert source.train.x[:, 0, 0, 0].tolist() == expected
    assert source.notes[0].startswith(f"Pixels were converted from {values.dtype}")


@pytest.mark.parametrize("worst", [-0.5, 256.0, 0.5 + 100, np.inf])
def test_pixels_that_are_neither_whole_nor_fractions_are_refused(worst):
    x = np.zeros((4, 8, 8))
    x[3, 0, 0], x[0, 0, 0] = worst, 100
    with pytest.raises(UserError, match="whole numbers from 0 to 255 or fractions from 0 to 1"):
        read_arrays(((x, Y), None))


def test_nan_is_refused():
    x = np.zeros((4, 8, 8))
    x[2, 1, 1] = np.nan
    with pytest.raises(UserError, match="some are NaN"):
        read_arrays(((x, Y), None))


@pytest.mark.parametrize("x", [X.astype(complex), X.astype(str), X.astype(object)])
def test_pixels_that_are_no_numbers_are_refused(x):
    with pytest.raises(UserError, match="pixels must be numbers"):
        read_arrays(((x, Y), None))


def test_a_dark_test_part_is_scaled_as_the_training_part():
    source = read_arrays(((X.astype(np.float32), Y), (np.ones((1, 8, 9, 3), np.float32), [0])))
    assert source.read_test().x.max() == 1


@pytest.mark.parametrize("shape", [(4,), (4, 64), (4, 8, 8, 4), (4, 8, 8, 2), (4, 3, 8, 8), (4, 1, 8, 8, 3)])
def test_shapes_that_are_no_images_are_refused(shape):
    with pytest.raises(UserError, match="with 1 or 3 channels, got"):
        read_arrays(((np.zeros(shape, np.uint8), Y), None))


@pytest.mark.parametrize("shape", [(0, 8, 8), (4, 0, 8), (4, 8, 0, 3)])
def test_empty_arrays_are_refused(shape):
    with pytest.raises(UserError, match="has no images"):
        read_arrays(((np.zeros(shape, np.uint8), Y), None))


@pytest.mark.parametrize("y", [Y[:3], np.zeros(5, int), np.int64(1), np.zeros((0,), int)])
def test_other_numbers_of_labels_than_images_are_refused(y):
    with pytest.raises(UserError, match="has 4 images but"):
        read_arrays(((X, y), None))


@pytest.mark.parametrize(
    "y", [np.eye(2)[Y], Y.astype(float), Y.astype(str), Y.astype(bool), Y.astype(object)]
)
def test_labels_that_are_no_class_numbers_are_refused(y):
    with pytest.raises(UserError, match="one whole class number an image"):
        read_arrays(((X, y), None))


@pytest.mark.parametrize(
    ("y", "missing"), [([1, 2, 1, 2], 0), ([0, 2, 0, 2], 1), ([0, 1, 10**15, 0], 2), ([0, 1, 3, 4], 2)]
)
def test_a_gap_in_the_class_numbers_is_named(y, missing):
    with pytest.raises(UserError, match=f"no image has {missing}"):
        read_arrays(((X, y), None))


def test_a_negative_class_number_is_refused():
    with pytest.raises(UserError, match="must be 0 or more, got -1"):
        read_arrays(((X, [-1, 0, 1, 2]), None))


def test_a_test_part_of_another_shape_is_refused_before_anything_trains():
    with pytest.raises(UserError, match=r"\(9, 8, 3\), but the training part has \(8, 9, 3\)"):
        read_arrays(((X, Y), (X.transpose(0, 2, 1, 3), Y)))


def test_without_a_test_part_only_the_reading_of_it_fails():
    source = read_arrays(((X, Y), None))
    with pytest.raises(UserError, match="has no test part"):
        source.read_test()


# .npz


def test_an_npz_comes_back_as_it_was_stored(tmp_path):
    names = np.array(["cat", "dog"])
    path = npz(tmp_path, x_test=X[:2], y_test=Y[:2], x_val=X[2:], y_val=Y[2:, None], class_names=names)
    source = read_npz(path)
    assert source.class_names == ("cat", "dog")
    assert np.array_equal(source.train.x, X)
    assert source.validation is not None
    assert source.validation.y.tolist() == [0, 1]
    assert np.array_equal(source.read_test().x, X[:2])
    assert source.notes == ()


def test_the_facts_of_an_npz_do_not_read_its_pixels(tmp_path):
    path = npz(tmp_path, x_train=np.tile(X, (50, 1, 1, 1)), y_train=np.tile(Y, 50))
    content = bytearray(path.read_bytes())
    content[content.rfind(X.tobytes())] ^= 0xFF  # the checksum is wrong now, as whoever reads on will find
    path.write_bytes(content)
    assert npz_facts(path) == (200, (8, 9, 3), 2)
    with pytest.raises(UserError, match=r"data.npz cannot be read: Bad CRC-32"):
        read_npz(path)


def test_the_test_part_of_an_npz_is_read_when_called(tmp_path):
    path = npz(tmp_path, x_test=X, y_test=Y)
    source = read_npz(path)
    path.unlink()
    with pytest.raises(UserError, match=r"is no .npz file"):
        source.read_test()


def test_python_objects_in_an_npz_are_refused_and_never_run(tmp_path):
    path = npz(tmp_path, y_train=np.array([Evil(tmp_path / "ran")] * 4, object))
    for read in (read_npz, npz_facts):
        with pytest.raises(UserError, match=r"can run any code|allow_pickle=False"):
            read(path)
    assert not (tmp_path / "ran").exists()


def test_python_objects_as_class_names_are_refused(tmp_path):
    with pytest.raises(UserError, match="class_names holds Python objects"):
        read_npz(npz(tmp_path, class_names=np.array(["a", "b"], object)))


@pytest.mark.parametrize("names", [["cat"], ["cat", "dog", "ox"]])
def test_class_names_must_be_as_many_as_classes(tmp_path, names):
    with pytest.raises(UserError, match=r"2 classes, but 1 class names|no image has 2 \('ox'\)"):
        read_npz(npz(tmp_path, class_names=np.array(names)))


def test_wrong_keys_are_answered_with_those_found(tmp_path):
    np.savez(tmp_path / "data.npz", images=X, labels=Y)
    with pytest.raises(UserError, match=r"data.npz has no x_train and no y_train: .* found images, labels\."):
        read_npz(tmp_path / "data.npz")


@pytest.mark.parametrize("key", ["x_test", "y_test", "x_val", "y_val"])
def test_half_a_part_is_refused(tmp_path, key):
    with pytest.raises(UserError, match=r"has no [xy]_(test|val): "):
        read_npz(npz(tmp_path, **{key: Y}))


def test_a_test_part_of_another_shape_is_seen_in_its_header(tmp_path):
    with pytest.raises(
        UserError, match=r"The test part of .* \(8, 8, 1\), but the training part has \(8, 9, 3\)"
    ):
        read_npz(npz(tmp_path, x_test=np.zeros((2, 8, 8)), y_test=[0, 1]))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_zip_is_refused(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"data.npz is no .npz file"):
        read_npz(tmp_path / "data.npz")


def test_an_npz_cut_anywhere_is_refused_with_a_sentence(tmp_path):
    path = npz(tmp_path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"data.npz"):
            read_npz(path)


def test_an_npz_damaged_anywhere_is_read_or_refused_with_a_sentence(tmp_path):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x_train=X, y_train=Y, x_test=X, y_test=Y)
    content = path.read_bytes()
    sentences = set()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        sentences |= {sentence_of(read_npz, path), sentence_of(npz_facts, path)}
    assert len(sentences) > 5
    assert all("data.npz" in text for text in sentences - {""})


def test_other_files_in_a_zip_are_no_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("x_train", b"text")
        archive.writestr("y_train.npy", b"text")
    with pytest.raises(UserError, match=r"data.npz cannot be read"):
        read_npz(tmp_path / "data.npz")


# The CIFAR-10 archive


class Evil:
    """Makes a file when it is unpickled by anybody careless."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f'echo ran > "{self.target}"',)


def batch(numbers, protocol=2):
    """One image per class number, all of whose red is the number, green 100 and blue 200."""
    data = np.repeat(np.array([[number, 100, 200] for number in numbers], np.uint8), 1024, axis=1)
    return pickle.dumps({b"data": data, b"labels": list(numbers), b"batch_label": b"one"}, protocol)


def cifar_files(**replaced):
    files = {f"data_batch_{n}": batch([2 * n - 2, 2 * n - 1]) for n in range(1, 6)}
    files |= {"test_batch": batch([7]), "batches.meta": pickle.dumps({b"label_names": list(NAMES)}, 2)}
    return files | replaced


NAMES = (b"plane", b"car", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck")


def archive_of(tmp_path, files, prefix="cifar-10-batches-py/", links=()):
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, target in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def folder_of(tmp_path, files):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("make", [archive_of, folder_of])
def test_the_archive_and_its_folder_are_read_in_the_order_of_the_batches(tmp_path, make):
    source = read_cifar(make(tmp_path, cifar_files()))
    assert source.class_names[:2] == ("plane", "car")
    assert source.train.y.tolist() == list(range(10))
    assert source.train.x.shape == (10, 32, 32, 3)
    assert source.train.x[3, 31, 0].tolist() == [3, 100, 200]
    assert source.read_test().y.tolist() == [7]
    assert source.flip_default is True


@pytest.mark.parametrize("protocol", range(6))
def test_batches_of_every_pickle_protocol_are_read(tmp_path, protocol):
    source = read_cifar(archive_of(tmp_path, cifar_files(data_batch_3=batch([4, 5], protocol))))
    assert source.train.x[4, 0, 0].tolist() == [4, 100, 200]


def test_rows_stored_column_first_are_read_as_rows(tmp_path):
    data = np.asfortranarray(np.repeat(np.array([[8, 1, 2], [9, 3, 4]], np.uint8), 1024, axis=1))
    content = pickle.dumps({b"data": data, b"labels": [8, 9]}, 2)
    source = read_cifar(archive_of(tmp_path, cifar_files(data_batch_5=content)))
    assert source.train.x[9, 5, 5].tolist() == [9, 3, 4]


def test_a_batch_that_would_run_a_command_is_refused_by_name(tmp_path):
    path = archive_of(tmp_path, cifar_files(data_batch_2=pickle.dumps({b"data": Evil(tmp_path / "ran")})))
    with pytest.raises(
        UserError, match=rf"data_batch_2 in .* is refused: contains {os.system.__module__}\.system"
    ):
        read_cifar(path)
    assert not (tmp_path / "ran").exists()


def test_the_names_and_the_test_batch_are_unpickled_as_carefully(tmp_path):
    evil = pickle.dumps(Evil(tmp_path / "ran"))
    with pytest.raises(UserError, match=r"batches.meta in .* is refused: contains"):
        read_cifar(archive_of(tmp_path, cifar_files(**{"batches.meta": evil})))
    source = read_cifar(archive_of(tmp_path, cifar_files(test_batch=evil)))
    with pytest.raises(UserError, match=r"test_batch in .* is refused: contains"):
        source.read_test()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "call",
    [b"cbuiltins\neval\n", b"cnumpy\nload\n", b"cnumpy\nndarray.tofile\n", b"ccopyreg\n_reconstructor\n"],
)
def test_functions_next_to_those_needed_are_refused(tmp_path, call):
    with pytest.raises(UserError, match="is refused: contains"):
        read_cifar(archive_of(tmp_path, cifar_files(data_batch_1=call + b"(V1\ntR.")))


def test_an_array_of_addresses_from_the_file_is_never_made(tmp_path):
    addresses = b"(dVdata\ncnumpy\nndarray\n((I1\ntcnumpy\ndtype\n(VO\ntRC\x08AAAAAAAAtRsVlabels\n(lI1\nas."
    with pytest.raises(UserError, match="is not a batch"):
        read_cifar(archive_of(tmp_path, cifar_files(data_batch_1=addresses)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        batch([0, 1])[:500],
        pickle.dumps([1, 2]),
        pickle.dumps({b"labels": [0]}),
        pickle.dumps({b"data": [1], b"labels": [0]}),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}),
        pickle.dumps({b"data": np.zeros((1, 3072), np.int16), b"labels": [0]}),
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": ["cat"]}),
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": {}}),
    ],
)
def test_a_batch_of_something_else_is_named(tmp_path, content):
    with pytest.raises(
        UserError, match=r"data_batch_1 in .*(cannot be read|is not a batch|whole class number)"
    ):
        read_cifar(archive_of(tmp_path, cifar_files(data_batch_1=content)))


def test_a_damaged_batch_is_read_or_refused_with_a_sentence(tmp_path):
    folder = folder_of(tmp_path, cifar_files())
    content = batch([0, 1])
    sentences = set()
    for position in (*range(0, 250), *range(len(content) - 60, len(content))):
        damaged = content[:position] + bytes([content[position] ^ 0x11]) + content[position + 1 :]
        (folder / "data_batch_1").write_bytes(damaged)
        sentences.add(sentence_of(read_cifar, folder))
    assert len(sentences) > 20
    assert all("data_batch_1" in text or "training part" in text for text in sentences - {""})


def test_nothing_is_extracted_whatever_a_member_is_called(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    read_cifar(archive_of(inner, cifar_files() | {"../../../escaped": b"x"}, prefix="../"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cifar-10-python.tar.gz", "inner"]


def test_a_link_in_the_archive_is_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(batch([0, 1]))
    files = cifar_files()
    del files["data_batch_1"]
    with pytest.raises(UserError, match="it has no file data_batch_1"):
        read_cifar(archive_of(tmp_path, files, links=[("cifar-10-batches-py/data_batch_1", str(secret))]))


def test_a_member_larger_than_any_batch_is_refused_before_it_is_read(tmp_path):
    path = archive_of(tmp_path, cifar_files(data_batch_4=bytes(65 * 2**20)))
    with pytest.raises(UserError, match="data_batch_4 is refused: it has 68157440 bytes"):
        read_cifar(path)


def test_an_archive_without_the_batches_is_not_the_official_one(tmp_path):
    with pytest.raises(
        UserError, match="is not the official CIFAR-10 archive: it has no file data_batch_1, "
    ):
        read_cifar(archive_of(tmp_path, {"readme.html": b"hello"}))


@pytest.mark.parametrize("length", [0, 10, 300])
def test_a_cut_archive_is_refused(tmp_path, length):
    path = archive_of(tmp_path, cifar_files())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"tar.gz (cannot be read as a tar archive|is not the official)"):
        read_cifar(path)


def test_without_its_list_of_names_the_known_ones_are_used(tmp_path):
    files = cifar_files()
    del files["batches.meta"]
    assert read_cifar(folder_of(tmp_path, files)).class_names[0] == "airplane"
