"""The exceptions that are shown to a person as a sentence instead of a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


class UserError(Exception):
    """Something we foresaw: what was given, what is allowed, what to do.

    The command line prints it as one line on stderr and exits with status 1.
    """


class StorageError(UserError):
    """A file of ours cannot be written: a full disk, a folder that may not be written.

    Never counted against the trial that met it.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.error = error
        self.what = f"{path} cannot be written: {error.strerror or error}."
        super().__init__(
            f"{self.what} What was finished before is saved; mend this and run the same command again."
        )

    def __reduce__(self) -> tuple[type[StorageError], tuple[Path, OSError]]:
        # By default an exception is made again from its sentence alone.
        return type(self), (self.path, self.error)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses inside, as a sentence about this file.

    Raises:
        StorageError: Its cause is an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(path, error) from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Likewise, of a file that is to be read.

    Raises:
        UserError: Its cause is an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}. Mend this and run the same command again."
        ) from error


class HyperModelError(UserError):
    """The user's own hypermodel raised: its traceback, the exception's cause, is shown with the sentence."""
