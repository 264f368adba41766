"""The exceptions that are shown to a person as a sentence instead of a traceback."""

from __future__ import annotations

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
        super().__init__(
            f"{path} cannot be written: {error.strerror or error}. What was finished before is saved; "
            "mend this and run the same command again."
        )


class HyperModelError(UserError):
    """The user's own hypermodel raised: its traceback, the exception's cause, is shown with the sentence."""
