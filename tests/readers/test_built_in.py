"""Names: what is known of them, the digits, and what Keras downloads (with a stand-in for Keras)."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.readers.built_in import BUILT_IN, built_in_facts, read_built_in

X = np.arange(4 * 8 * 9 * 3, dtype=np.uint64).reshape(4, 8, 9, 3).astype(np.uint8)
Y = np.array([0, 1, 0, 1])


def test_digits_are_1438_and_359_images_on_0_to_255():
    source = read_built_in("digits")
    assert (source.has_test, source.num_test) == (True, 359)
    test = source.read_test()
    assert (source.train.x.shape, test.x.shape) == ((1438, 32, 32, 1), (359, 32, 32, 1))
    assert (source.train.x.min(), source.train.x.max()) == (0, 255)
    # A fifth of 178, 182, 177, 183, 181, 182, 181, 179, 174 and 180.
    assert np.bincount(test.y).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert source.flip_default is False


def test_what_is_known_of_the_digits_is_what_is_read():
    assert read_built_in("digits").facts == built_in_facts("digits")


def test_what_is_known_of_the_others_adds_up_to_their_sizes():
    counts = {name: (sum(known.class_counts), known.num_test) for name, known in BUILT_IN.items()}
    assert counts == {
        "cifar10": (50_000, 10_000),
        "cifar100": (50_000, 10_000),
        "mnist": (60_000, 10_000),
        "fashion_mnist": (60_000, 10_000),
        "digits": (1438, 359),
    }
    assert all(len(known.class_counts) == len(known.class_names) for known in BUILT_IN.values())


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
    monkeypatch.setattr("archsearch.runtime.import_tensorflow", lambda: None)  # comes with Keras


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
