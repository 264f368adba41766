"""The one exception that is shown to a person as a sentence instead of a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something we foresaw: what was given, what is allowed, what to do.

    The command line prints it as one line on stderr and exits with status 1.
    """
