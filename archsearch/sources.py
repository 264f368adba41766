"""Where images come from: built-in names, arrays, `.npz` files and the official CIFAR-10 archive.

Folders of images are in `image_folder.py`. TensorFlow is imported only to read a name that Keras downloads.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from archsearch.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

Shape = tuple[int, int, int]
"""Height, width, channels."""

Array = NDArray[Any]
"""Given by a person: of any type and shape, until it was looked at."""

CHUNK = 2**22
"""Values looked at together where a conversion needs more than a byte for each."""


@dataclass(frozen=True, eq=False)
class Images:
    x: NDArray[np.uint8]  # (n, h, w, c), perhaps a memory map
    y: NDArray[np.int64]  # (n,) class numbers

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Source:
    """What was found, before a validation part is split off and anything is decided about flips."""

    train: Images
    validation: Images | None
    class_names: tuple[str, ...]
    read_test: Callable[[], Images]
    flip_default: bool | None
    """Whether flipped images are valid examples; None where nobody can know."""
    notes: tuple[str, ...] = ()


def chunks(x: NDArray[Any]) -> Iterator[slice]:
    """Slices that together go over all images, none of them large in memory."""
    size = max(1, CHUNK * len(x) // max(1, x.size))
    return (slice(start, start + size) for start in range(0, len(x), size))


def brief(error: BaseException) -> str:
    """The message of `error` on one line, for the end of a sentence."""
    return (" ".join(str(error).split())[:200] or type(error).__name__).rstrip(".")


def stratified_part(y: NDArray[np.int64], *, fraction: float, seed: int) -> NDArray[np.int64]:
    """Sorted indices of a part with `fraction` of each class, at least one image and never all of them.

    A class of one image gives none.
    """
    random = np.random.default_rng(seed)
    chosen = [np.empty(0, np.int64)]
    for number in np.unique(y):
        members = random.permutation(np.flatnonzero(y == number))
        size = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen.append(members[:size])
    return np.sort(np.concatenate(chosen))


def fit_picture(picture: Image.Image, height: int, width: int) -> Image.Image:
    """The picture as large as fits, in the middle of a black one of the size asked for."""
    from PIL import Image

    scale = min(height / picture.height, width / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    fitted = picture.resize(size, Image.Resampling.BILINEAR)
    if size == (width, height):
        return fitted
    canvas = Image.new(picture.mode, (width, height))
    canvas.paste(fitted, ((width - size[0]) // 2, (height - size[1]) // 2))
    return canvas


def resize(x: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Images of (n, h, w, c) at another size, each as `fit_picture` makes it."""
    from PIL import Image

    resized = np.empty((len(x), height, width, x.shape[3]), np.uint8)
    for position, pixels in enumerate(x):
        picture = Image.fromarray(pixels[:, :, 0] if x.shape[3] == 1 else pixels)
        resized[position] = np.asarray(fit_picture(picture, height, width)).reshape(height, width, -1)
    return resized


# Built-in names


@dataclass(frozen=True)
class BuiltIn:
    """What is known of a data set before it is loaded."""

    num_train: int
    image_shape: Shape
    class_names: tuple[str, ...]
    flip: bool


_DIGITS = tuple("0123456789")
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
    "cifar10": BuiltIn(50_000, (32, 32, 3), tuple(_CIFAR10.split()), flip=True),
    "cifar100": BuiltIn(50_000, (32, 32, 3), tuple(_CIFAR100.split()), flip=True),
    "mnist": BuiltIn(60_000, (28, 28, 1), _DIGITS, flip=False),
    "fashion_mnist": BuiltIn(60_000, (28, 28, 1), tuple(_FASHION.split(",")), flip=True),
    "digits": BuiltIn(1_438, (32, 32, 1), _DIGITS, flip=False),
}


def _read_digits(*, test: bool) -> Images:
    """Scikit-learn's 1797 digits, of which a fifth, whatever the seed of the run, is the test part."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    y = digits.target.astype(np.int64)
    indices = stratified_part(y, fraction=0.2, seed=0)
    if not test:
        indices = np.setdiff1d(np.arange(len(y)), indices)
    x = np.rint(digits.images[indices] * (255 / 16)).astype(np.uint8)  # (n, 8, 8), 0 to 16 in the original
    return Images(resize(x[..., np.newaxis], 32, 32), y[indices])


def _read_keras(name: str, *, test: bool) -> Images:
    """One part of a data set that Keras keeps under ~/.keras and downloads on first use."""
    import keras

    try:
        with contextlib.redirect_stdout(sys.stderr):  # where Keras shows the progress of a download
            parts = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise UserError(
            f"The data set {name} could not be had: {brief(error)}; "
            "without a network this works: `python search.py --dataset digits`."
        ) from error
    return _images(*parts[1 if test else 0], where=f"The data set {name}")


def read_built_in(name: str) -> Source:
    known = BUILT_IN[name]
    read = _read_digits if name == "digits" else partial(_read_keras, name)
    return Source(read(test=False), None, known.class_names, partial(read, test=True), known.flip)


# Arrays: what may be called images and labels


@dataclass(frozen=True)
class _Form:
    """What the training part fixes for the other parts."""

    image_shape: Shape
    scale: float


def image_shape_of(shape: tuple[int, ...], where: str) -> Shape:
    """Height, width and channels of an array of images, refused unless they can be images."""
    channels = shape[3] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or channels not in (1, 3):
        raise UserError(
            f"{where}: images must have the shape (n, height, width) or (n, height, width, channels) "
            f"with 1 or 3 channels, got {shape}."
        )
    if 0 in shape:
        raise UserError(f"{where} has no images: the shape is {shape}.")
    return shape[1], shape[2], channels


def num_classes_of(y: NDArray[np.int64], class_names: tuple[str, ...], where: str) -> int:
    """How many classes `y` has, refused unless they are 0, 1, 2, ... and as many as the names, if any."""
    found = np.unique(y)
    if found[0] < 0:
        raise UserError(f"{where}: class numbers must be 0 or more, got {found[0]}.")
    gaps = np.flatnonzero(found != np.arange(len(found)))
    missing = gaps[0] if len(gaps) else len(found)
    if len(gaps) or len(found) < len(class_names):
        name = f" ('{class_names[missing]}')" if missing < len(class_names) else ""
        raise UserError(f"{where}: classes must be 0, 1, 2, ... with no gap; no image has {missing}{name}.")
    if class_names and len(found) > len(class_names):
        raise UserError(f"{where}: there are {len(found)} classes, but {len(class_names)} class names.")
    return len(found)


def labels_of(y: Array, where: str) -> NDArray[np.int64]:
    """Labels of (n,) or (n, 1) whole numbers as (n,) int64."""
    column = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if column.ndim != 1 or column.dtype.kind not in "iu":
        raise UserError(
            f"{where}: labels must be one whole class number an image, got the shape {y.shape} of {y.dtype}; "
            "one-hot labels become numbers with `y.argmax(axis=1)`."
        )
    return column.astype(np.int64)


def _pixel_scale(x: Array) -> float:
    fractions = x.dtype.kind == "b" or (x.dtype.kind == "f" and x.max() <= 1)
    return 255.0 if fractions else 1.0


def _to_uint8(x: Array, *, scale: float, where: str) -> NDArray[np.uint8]:
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind not in "buif":
        raise UserError(f"{where}: pixels must be numbers, got {x.dtype}.")
    pixels = np.empty(x.shape, np.uint8)
    for chunk in chunks(x):
        values = x[chunk].astype(np.float64) * scale
        low, high = values.min(), values.max()
        if np.isnan(low):
            raise UserError(f"{where}: pixels must be numbers, but some are NaN.")
        whole = np.rint(values)
        if low < 0 or high > 255 or (scale == 1 and (whole != values).any()):
            raise UserError(
                f"{where}: pixels must be whole numbers from 0 to 255 or fractions from 0 to 1, "
                f"the same in every part, got {x.dtype} from {low / scale:g} to {high / scale:g}."
            )
        pixels[chunk] = whole
    return pixels


def _images(x: Array, y: Array, *, where: str, scale: float | None = None) -> Images:
    shape = image_shape_of(x.shape, where)
    if len(x) != len(np.atleast_1d(y)):
        raise UserError(f"{where} has {len(x)} images but {len(np.atleast_1d(y))} labels.")
    labels = labels_of(y, where)
    pixels = _to_uint8(x, scale=_pixel_scale(x) if scale is None else scale, where=where)
    return Images(pixels.reshape(len(x), *shape), labels)


def _same_shape(shape: tuple[int, ...], form: _Form, where: str) -> None:
    image_shape = image_shape_of(shape, where)
    if image_shape != form.image_shape:
        raise UserError(f"{where} has images of {image_shape}, but the training part has {form.image_shape}.")


def _matching_images(x: Array, y: Array, *, where: str, form: _Form) -> Images:
    _same_shape(x.shape, form, where)
    return _images(x, y, where=where, scale=form.scale)


def _conversion_note(x: Array) -> tuple[str, ...]:
    if x.dtype == np.uint8:
        return ()
    highest = 1 if _pixel_scale(x) == 255 else 255
    return (f"Pixels were converted from {x.dtype} on 0 to {highest} to uint8 on 0 to 255.",)


def _numbered(num_classes: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(num_classes))


def _no_test_part(name: str) -> Images:
    raise UserError(f"{name} has no test part, so nothing can be measured on it: add x_test and y_test.")


def array_pairs(data: object) -> tuple[tuple[Array, Array], tuple[Array, Array] | None]:
    """`((x, y), (x_test, y_test))` or `((x, y), None)` as NumPy arrays."""
    parts = list(data) if isinstance(data, (tuple, list)) else []
    pairs = [part for part in parts if isinstance(part, (tuple, list)) and len(part) == 2]
    if len(parts) != 2 or len(pairs) + (parts[1] is None) != 2:
        raise UserError("Arrays must be given as ((x, y), (x_test, y_test)) or as ((x, y), None).")
    try:
        (x, y), *test = [(np.asanyarray(x), np.asanyarray(y)) for x, y in pairs]
    except ValueError as error:
        raise UserError(f"The images and labels given make no arrays: {brief(error)}.") from error
    return (x, y), test[0] if test else None


def read_arrays(data: object) -> Source:
    (x, y), test = array_pairs(data)
    where = "The training part"
    train = _images(x, y, where=where)
    class_names = _numbered(num_classes_of(train.y, (), where))
    read_test = partial(_no_test_part, "This data set")
    if test is not None:
        form = _Form(image_shape_of(x.shape, where), _pixel_scale(x))
        _same_shape(test[0].shape, form, "The test part")
        read_test = partial(_matching_images, *test, where="The test part", form=form)
    return Source(train, None, class_names, read_test, None, _conversion_note(x))


# .npz files


# What zipfile, zlib and NumPy raise on damaged bytes; a header that claims too much is a MemoryError.
_DAMAGED = (
    *(OSError, ValueError, EOFError, LookupError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


@contextlib.contextmanager
def _open_npz(path: Path) -> Iterator[Any]:
    """The file as an `NpzFile`; whatever is wrong with it inside the block becomes a sentence."""
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is no .npz file: it is not a complete zip archive.")
    try:
        # NumPy forgets to close a file that it opened itself and found damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except UserError:
        raise
    except _DAMAGED as error:
        raise UserError(f"{path} cannot be read: {brief(error)}.") from error


def _check_keys(keys: list[str], path: Path) -> None:
    pairs = [(f"x_{part}", f"y_{part}") for part in ("train", "val", "test")]
    missing = [key for key in pairs[0] if key not in keys]
    missing += [key for pair in pairs[1:] if any(k in keys for k in pair) for key in pair if key not in keys]
    if missing:
        raise UserError(
            f"{path} has no {' and no '.join(missing)}: x_train, y_train, x_test and y_test are needed, "
            f"found {', '.join(sorted(keys)) or 'nothing'}."
        )


def _npz_shape(archive: Any, key: str, path: Path) -> tuple[int, ...]:
    """The shape in the header of one array, without reading the array."""
    with archive.zip.open(f"{key}.npy") as member:
        version = npy.read_magic(member)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(member)
    if dtype.hasobject:
        raise UserError(f"{path} is refused: {key} holds Python objects, and loading those can run any code.")
    return tuple(shape)


def _npz_class_names(archive: Any, path: Path) -> tuple[str, ...]:
    if "class_names" not in archive.files:
        return ()
    _npz_shape(archive, "class_names", path)
    return tuple(str(name) for name in archive["class_names"].astype(str).ravel())


def _read_npz_part(path: Path, part: str, form: _Form) -> Images:
    with _open_npz(path) as archive:
        where = f"The {part} part of {path}"
        return _matching_images(archive[f"x_{part}"], archive[f"y_{part}"], where=where, form=form)


def read_npz(path: Path) -> Source:
    where = f"The training part of {path}"
    with _open_npz(path) as archive:
        keys = archive.files
        _check_keys(keys, path)
        shapes = {key: _npz_shape(archive, key, path) for key in keys if key.startswith(("x_", "y_"))}
        x, names = archive["x_train"], _npz_class_names(archive, path)
        train = _images(x, archive["y_train"], where=where)
    num_classes = num_classes_of(train.y, names, where)
    form = _Form(image_shape_of(x.shape, where), _pixel_scale(x))
    read_test = partial(_no_test_part, str(path))
    if "x_test" in keys:
        _same_shape(shapes["x_test"], form, f"The test part of {path}")
        read_test = partial(_read_npz_part, path, "test", form)
    validation = _read_npz_part(path, "val", form) if "x_val" in keys else None
    return Source(train, validation, names or _numbered(num_classes), read_test, None, _conversion_note(x))


def npz_facts(path: Path) -> tuple[int, Shape, int]:
    """Training images, image shape and classes; of the arrays only y_train is read."""
    with _open_npz(path) as archive:
        _check_keys(archive.files, path)
        where = f"The training part of {path}"
        shape = _npz_shape(archive, "x_train", path)
        image_shape = image_shape_of(shape, where)
        labels = labels_of(archive["y_train"], where)
        if len(labels) != shape[0]:
            raise UserError(f"{where} has {shape[0]} images but {len(labels)} labels.")
        return shape[0], image_shape, num_classes_of(labels, _npz_class_names(archive, path), where)


# The official CIFAR-10 archive

_TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_META = "batches.meta"
_LARGEST_BATCH = 64 * 2**20  # bytes; an official one has 31 million
_MOST_MEMBERS = 100  # the official archive has 9


class _PickledArray:
    """Takes the place of NumPy's array when a batch is unpickled, and keeps bytes.

    NumPy's own classes are not safe in the hands of a stranger's pickle: `numpy.ndarray` called with a buffer
    and the dtype object reads addresses from the file.
    """

    def __init__(self, *arguments: object) -> None:
        self.state = arguments

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.state = state


class _PickledDtype:
    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Drops byte order and the like, which do not matter for single bytes."""


def _array_from_buffer(buffer: object, dtype: object, shape: object, order: object) -> _PickledArray:
    return _PickledArray(1, shape, dtype, order == "F", buffer)


def _bytes_of(text: str, *_: object) -> bytes:
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _PickledArray,
    ("numpy", "dtype"): _PickledDtype,
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy.core.numeric", "_frombuffer"): _array_from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _array_from_buffer,
    ("_codecs", "encode"): _bytes_of,
}


class _BatchUnpickler(pickle.Unpickler):
    """Knows NumPy arrays and plain containers; meets anything else with a refusal."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise UserError(f"refused: contains {module}.{name}")
        return _STAND_INS[module, name]


def _unpickle(content: bytes, where: str) -> dict[str, Any]:
    try:
        values = _BatchUnpickler(BytesIO(content), encoding="bytes").load()
        return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in values.items()}
    except UserError as error:
        raise UserError(f"{where} is {error}, where only arrays and plain containers belong.") from error
    except Exception as error:  # unpickling damaged bytes raises almost anything
        raise UserError(f"{where} cannot be read: {brief(error)}.") from error


def _members(path: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """The wanted files by base name, in memory. Nothing is extracted: a member's path can do no harm."""
    found: dict[str, bytes] = {}
    if path.is_dir():
        files = [path / name for name in wanted if (path / name).is_file()]
        return {file.name: file.read_bytes() for file in files if _allowed(file.stat().st_size, file)}
    try:
        with tarfile.open(path, "r:" if path.suffix == ".tar" else "r:gz") as archive:
            for member in itertools.islice(archive, _MOST_MEMBERS):
                name = PurePosixPath(member.name).name
                content = archive.extractfile(member) if member.isreg() and name in wanted else None
                if content and name not in found and _allowed(member.size, path / name):
                    found[name] = content.read()
    except UserError:
        raise
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} cannot be read as a tar archive: {brief(error)}.") from error
    return found


def _allowed(size: int, path: Path) -> bool:
    if size > _LARGEST_BATCH:
        raise UserError(f"{path} is refused: it has {size} bytes, a CIFAR-10 batch at most {_LARGEST_BATCH}.")
    return True


def _rows(array: object) -> NDArray[np.uint8]:
    """The bytes that a stand-in kept, in the shape it was given."""
    if not isinstance(array, _PickledArray):
        raise ValueError("data is no array")
    _, shape, dtype, fortran, content = array.state
    if not isinstance(dtype, _PickledDtype) or dtype.code not in ("u1", b"u1"):
        raise ValueError("data is not of uint8")
    order: Any = "F" if fortran else "C"
    return np.frombuffer(cast(bytes, content), np.uint8).reshape(cast(Any, shape), order=order)


def _batch_images(content: bytes, where: str) -> Images:
    batch = _unpickle(content, where)
    try:
        y = labels_of(np.array(batch["labels"]), where)
        x = _rows(batch["data"]).reshape(len(y), 3, 32, 32).transpose(0, 2, 3, 1)  # (n, 32, 32, 3)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} is not a batch of (n, 3072) bytes and n labels: {brief(error)}.") from error
    return Images(np.ascontiguousarray(x), y)


def _cifar_part(path: Path, batches: tuple[str, ...]) -> Images:
    members = _members(path, batches)
    missing = [name for name in batches if name not in members]
    if missing:
        raise UserError(f"{path} is not the official CIFAR-10 archive: it has no file {', '.join(missing)}.")
    parts = [_batch_images(members[name], f"{name} in {path}") for name in batches]
    return Images(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def is_cifar_folder(path: Path) -> bool:
    return (path / _TRAIN_BATCHES[0]).is_file()


def _cifar_class_names(path: Path) -> tuple[str, ...]:
    members = _members(path, (_META,))
    where = f"{_META} in {path}"
    if not members:
        return BUILT_IN["cifar10"].class_names
    names = _unpickle(members[_META], where).get("label_names")
    if not isinstance(names, list):
        raise UserError(f"{where} has no list of label_names.")
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)


def read_cifar(path: Path) -> Source:
    """The archive or its unpacked folder; in the order of its batches, as `cifar10` has it too."""
    train = _cifar_part(path, _TRAIN_BATCHES)
    names = _cifar_class_names(path)
    num_classes_of(train.y, names, f"The training part of {path}")
    return Source(train, None, names, partial(_cifar_part, path, ("test_batch",)), True)
