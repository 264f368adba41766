"""The CIFAR-10 archive and its folder, most of all the broken and the hostile."""

import gzip
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.readers.cifar10 import read_cifar10


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


@pytest.mark.parametrize("name", ["cifar.tar", "CIFAR.TAR"])
def test_an_archive_that_is_not_compressed_is_read_whatever_its_case(tmp_path, name):
    archive = archive_of(tmp_path, cifar_files())
    (tmp_path / name).write_bytes(gzip.decompress(archive.read_bytes()))
    assert read_cifar10(tmp_path / name).train.y.tolist() == list(range(10))


@pytest.mark.parametrize("make", [archive_of, folder_of])
def test_the_archive_and_its_folder_are_read_in_the_order_of_the_batches(tmp_path, make):
    source = read_cifar10(make(tmp_path, cifar_files()))
    assert source.class_names[:2] == ("plane", "car")
    assert source.train.y.tolist() == list(range(10))
    assert source.train.x.shape == (10, 32, 32, 3)
    assert source.train.x[3, 31, 0].tolist() == [3, 100, 200]
    assert source.has_test
    assert source.read_test().y.tolist() == [7]
    assert source.flip_default is True


@pytest.mark.parametrize("make", [archive_of, folder_of])
def test_a_missing_test_batch_is_known_before_it_is_read(tmp_path, make):
    files = cifar_files()
    del files["test_batch"]
    source = read_cifar10(make(tmp_path, files))
    assert not source.has_test
    with pytest.raises(UserError, match="it has no file test_batch"):
        source.read_test()


def test_a_batch_that_would_run_a_command_is_refused_by_name(tmp_path, evil):
    path = archive_of(tmp_path, cifar_files(data_batch_2=pickle.dumps({b"data": evil})))
    with pytest.raises(
        UserError, match=rf"data_batch_2 in .* is refused: contains {os.system.__module__}\.system"
    ):
        read_cifar10(path)
    assert not (tmp_path / "ran").exists()


def test_the_names_and_the_test_batch_are_unpickled_as_carefully(tmp_path, evil):
    content = pickle.dumps(evil)
    with pytest.raises(UserError, match=r"batches.meta in .* is refused: contains"):
        read_cifar10(archive_of(tmp_path, cifar_files(**{"batches.meta": content})))
    source = read_cifar10(archive_of(tmp_path, cifar_files(test_batch=content)))
    with pytest.raises(UserError, match=r"test_batch in .* is refused: contains"):
        source.read_test()
    assert not (tmp_path / "ran").exists()


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
        read_cifar10(archive_of(tmp_path, cifar_files(data_batch_1=content)))


def test_a_damaged_batch_is_read_or_refused_with_a_sentence(tmp_path, sentence_of):
    folder = folder_of(tmp_path, cifar_files())
    content = batch([0, 1])
    sentences = set()
    for position in (*range(0, 250), *range(len(content) - 60, len(content))):
        damaged = content[:position] + bytes([content[position] ^ 0x11]) + content[position + 1 :]
        (folder / "data_batch_1").write_bytes(damaged)
        sentences.add(sentence_of(read_cifar10, folder))
    assert len(sentences) > 20
    assert all("data_batch_1" in text or "training part" in text for text in sentences - {""})


def test_nothing_is_extracted_whatever_a_member_is_called(tmp_path, monkeypatch):
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    read_cifar10(archive_of(inner, cifar_files() | {"../../../escaped": b"x"}, prefix="../"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cifar-10-python.tar.gz", "inner"]


def test_a_link_in_the_archive_is_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(batch([0, 1]))
    files = cifar_files()
    del files["data_batch_1"]
    with pytest.raises(UserError, match="it has no file data_batch_1"):
        read_cifar10(archive_of(tmp_path, files, links=[("cifar-10-batches-py/data_batch_1", str(secret))]))


def test_a_member_larger_than_any_batch_is_refused_before_it_is_read(tmp_path):
    path = archive_of(tmp_path, cifar_files(data_batch_4=bytes(65 * 2**20)))
    with pytest.raises(UserError, match="data_batch_4 is refused: it has 68157440 bytes"):
        read_cifar10(path)


def test_an_archive_without_the_batches_is_not_the_official_one(tmp_path):
    with pytest.raises(
        UserError, match="is not the official CIFAR-10 archive: it has no file data_batch_1, "
    ):
        read_cifar10(archive_of(tmp_path, {"readme.html": b"hello"}))


@pytest.mark.parametrize("length", [0, 10, 300])
def test_a_cut_archive_is_refused(tmp_path, length):
    path = archive_of(tmp_path, cifar_files())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"tar.gz (cannot be read as a tar archive|is not the official)"):
        read_cifar10(path)


def test_two_classes_of_one_name_are_refused(tmp_path):
    meta = pickle.dumps({b"label_names": [b"cat", *NAMES[1:]]}, 2)
    with pytest.raises(UserError, match=r"batches\.meta in .*: the class name 'cat' stands there twice"):
        read_cifar10(folder_of(tmp_path, cifar_files(**{"batches.meta": meta})))


def test_without_its_list_of_names_the_known_ones_are_used(tmp_path):
    files = cifar_files()
    del files["batches.meta"]
    assert read_cifar10(folder_of(tmp_path, files)).class_names[0] == "airplane"
