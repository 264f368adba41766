"""Data sets by name: those that Keras downloads, and scikit-learn's digits, which need no network."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from functools import partial

import numpy as np

from archsearch import runtime
from archsearch.errors import UserError
from archsearch.readers.checks import brief, images_of
from archsearch.readers.source import Facts, Images, Shape, Source
from archsearch.readers.stratified import stratified_part


@dataclass(frozen=True)
class BuiltIn:
    """What is known of a data set before it is loaded."""

    class_counts: tuple[int, ...]
    """Training images of each class."""
    image_shape: Shape
    class_names: tuple[str, ...]
    flip: bool
    num_test: int


_DIGITS = tuple("0123456789")
_DIGITS_COUNTS = (142, 146, 142, 146, 145, 146, 145, 143, 139, 144)
_MNIST_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
    can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter
    palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
    rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower
    sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm"""
_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"

BUILT_IN = {
    "cifar10": BuiltIn((5000,) * 10, (32, 32, 3), tuple(_CIFAR10.split()), flip=True, num_test=10_000),
    "cifar100": BuiltIn((500,) * 100, (32, 32, 3), tuple(_CIFAR100.split()), flip=True, num_test=10_000),
    "mnist": BuiltIn(_MNIST_COUNTS, (28, 28, 1), _DIGITS, flip=False, num_test=10_000),
    "fashion_mnist": BuiltIn(
        (6000,) * 10, (28, 28, 1), tuple(_FASHION.split(",")), flip=True, num_test=10_000
    ),
    "digits": BuiltIn(_DIGITS_COUNTS, (32, 32, 1), _DIGITS, flip=False, num_test=359),
}


def read_built_in(name: str) -> Source:
    known = BUILT_IN[name]
    read = _read_digits if name == "digits" else partial(_read_keras, name)
    return Source(
        train=read(test=False),
        validation=None,
        class_names=known.class_names,
        read_test=partial(read, test=True),
        has_test=True,
        flip_default=known.flip,
        num_test=known.num_test,
    )


def built_in_facts(name: str) -> Facts:
    known = BUILT_IN[name]
    return Facts(known.class_counts, known.image_shape)


def _read_digits(*, test: bool) -> Images:
    """Scikit-learn's 1797 digits, of which a fifth, whatever the seed of the run, is the test part."""
    from sklearn.datasets import load_digits

    from archsearch.readers.pictures import resize

    digits = load_digits()
    y = digits.target.astype(np.int64)
    indices = stratified_part(y, fraction=0.2, seed=0)
    if not test:
        indices = np.setdiff1d(np.arange(len(y)), indices)
    x = np.rint(digits.images[indices] * (255 / 16)).astype(np.uint8)  # (n, 8, 8), 0 to 16 in the original
    return Images(resize(x[..., np.newaxis], 32, 32), y[indices])


def _read_keras(name: str, *, test: bool) -> Images:
    """One part of a data set that Keras keeps under ~/.keras and downloads on first use."""
    runtime.import_tensorflow()
    import keras

    try:
        with contextlib.redirect_stdout(sys.stderr):  # where Keras shows the progress of a download
            parts = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise UserError(
            f"The data set {name} could not be had: {brief(error)}; "
            "without a network this works: `python search.py --dataset digits`."
        ) from error
    x, y = parts[1 if test else 0]
    return images_of(x, y, scale=1, where=f"The data set {name}")
