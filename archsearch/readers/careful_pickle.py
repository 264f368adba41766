"""A stranger's pickle: NumPy arrays of bytes and plain containers come back, anything else is refused.

NumPy's own classes are not safe in the hands of a stranger's pickle: `numpy.ndarray` called with a buffer and
the dtype object reads addresses from the file. So stand-ins take their places, which only keep what they are
given; `bytes_of` makes a real array of one.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.readers.checks import brief


def unpickle(content: bytes, where: str) -> dict[str, Any]:
    """The dictionary that was pickled, its keys as text.

    Raises:
        UserError: It is damaged, is no dictionary or holds anything but arrays and plain containers.
    """
    try:
        values = _Unpickler(BytesIO(content), encoding="bytes").load()
        return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in values.items()}
    except _NotPlain as error:
        raise UserError(
            f"{where} is refused: contains {error}, where only arrays and plain containers belong."
        ) from error
    except Exception as error:  # unpickling damaged bytes raises almost anything
        raise UserError(f"{where} cannot be read: {brief(error)}.") from error


def bytes_of(array: object) -> NDArray[np.uint8]:
    """The bytes that a stand-in kept, in the shape it was given.

    Raises:
        ValueError, TypeError: It is no array of uint8.
    """
    if not isinstance(array, _Array):
        raise ValueError("data is no array")
    _, shape, dtype, fortran, content = array.state
    if not isinstance(dtype, _Dtype) or dtype.code not in ("u1", b"u1"):
        raise ValueError("data is not of uint8")
    order: Any = "F" if fortran else "C"
    return np.frombuffer(cast(bytes, content), np.uint8).reshape(cast(Any, shape), order=order)


class _NotPlain(Exception):
    """Names a class or function that no batch needs."""


class _Array:
    """Takes the place of NumPy's array; its state is version, shape, dtype, column first, bytes."""

    def __init__(self, *arguments: object) -> None:
        self.state = arguments

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.state = state


class _Dtype:
    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Drops byte order and the like, which do not matter for single bytes."""


def _from_buffer(buffer: object, dtype: object, shape: object, order: object) -> _Array:
    return _Array(1, shape, dtype, order == "F", buffer)


def _encode(text: str, *_: object) -> bytes:
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise _NotPlain(f"{module}.{name}")
        return _STAND_INS[module, name]
