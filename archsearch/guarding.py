"""What a command leaves on a terminal however it ends: one sentence, and an exit status."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from archsearch.errors import HyperModelError, UserError

EXIT_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken like Ctrl-C."""


def guarded(
    command: Callable[[], int], interrupted: Callable[[], str] = str, advice: Callable[[], str] = str
) -> int:
    """Runs a command; errors we foresaw become one line, interruptions their exit status.

    Args:
        command: Returns the exit status.
        interrupted: What an interruption leaves, as a sentence; asked when there was one.
        advice: A sentence for a line of its own after an error, likewise.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":  # a path need be no text
        sys.stdout.reconfigure(errors="backslashreplace")
    # What a shell makes its background commands ignore stays ignored.
    heeded = [number for number in EXIT_STATUS if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, _interrupt) for number in heeded}
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(_warn, otherwise=warnings.showwarning)
            status = command()
        if sys.stdout is not None:
            sys.stdout.flush()  # what fails then would fail when the interpreter ends
        return status
    except UserError as error:
        if isinstance(error, HyperModelError):
            traceback.print_exception(error.__cause__)
        print(f"error: {error}\n{advice()}".rstrip("\n"), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of stdout left, as `| head` does; the interpreter would complain when it flushes.
        sys.stdout = None
        return 1
    except OSError as error:
        if error.errno is None:  # not the system's, but a library's
            raise
        # What the system refused, and no other sentence names. Without a file: stdout, on a full disk.
        if error.filename is None:
            sys.stdout = None
        print(f"error: {error.filename or 'standard output'}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        left = str(interrupt) or interrupted()  # what was interrupted may know better what is left
        print(f"\ninterrupted; {left}".removesuffix("; "), file=sys.stderr)
        return EXIT_STATUS[signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT]
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _warn(
    message: Warning | str, category: type[Warning], *where: Any, otherwise: Callable[..., None], **more: Any
) -> None:
    """What a person is to know is shown as a sentence, without the place in the code."""
    if category is UserWarning and sys.stderr is not None:
        print(message, file=sys.stderr)
    else:
        otherwise(message, category, *where, **more)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """The first signal ends the command in an orderly way; a second one at once, for every file is whole."""
    for each in EXIT_STATUS:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, _leave)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _leave(number: int, _frame: FrameType | None) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, b"\x1b[?25h")  # the live display hides the cursor
    os._exit(EXIT_STATUS[signal.Signals(number)])
