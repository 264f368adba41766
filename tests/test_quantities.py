"""Numbers in words."""

from __future__ import annotations

import pytest

from archsearch.quantities import format_epochs, format_macs, format_seconds


@pytest.mark.parametrize(("num", "text"), [(0, "0 epochs"), (1, "1 epoch"), (9, "9 epochs")])
def test_epochs_in_words(num: int, text: str) -> None:
    assert format_epochs(num) == text


@pytest.mark.parametrize(
    ("macs", "text"),
    [
        (28_570, "28,570 macs"),
        (99_999, "99,999 macs"),
        (100_000, "0.1 M macs"),
        (9_949_999, "9.9 M macs"),
        (9_950_000, "10 M macs"),
        (118_144_800, "118 M macs"),
    ],
)
def test_macs_in_words(macs: int, text: str) -> None:
    assert format_macs(macs) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (48, "48 s"), (99.4, "99 s"), (720, "12 min"), (5900, "98 min"), (12_600, "3.5 h")],
)
def test_seconds_in_words(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
