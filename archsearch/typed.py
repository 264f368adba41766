"""Dataclasses from JSON, every value checked: a person may have edited it, or it is another program's."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


def from_plain(cls: type[_T], data: Any) -> _T:
    """An instance whose fields are what their annotations say, as far as that can be seen at a glance.

    Of mappings the items are not looked at, nor of a tuple the number of its items.

    Args:
        cls: A dataclass.
        data: By field name.

    Raises:
        TypeError: A field is missing, unknown, or of another type.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"{cls.__name__} is no object")
    instance = cls(**data)
    for name, kind in _kinds(cast(Any, cls)).items():
        value = getattr(instance, name)
        if not _fits(value, kind):
            raise TypeError(f"{name} is {value!r}")
    return instance


@functools.cache
def _kinds(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _fits(value: Any, kind: Any) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(value, origin or kind)
