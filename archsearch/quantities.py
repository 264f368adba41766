"""Numbers of epochs, macs and seconds in words."""

from __future__ import annotations


def format_epochs(num: int) -> str:
    """Such as 1 epoch, 9 epochs."""
    return f"{num} epoch" if num == 1 else f"{num} epochs"


def format_macs(macs: int) -> str:
    """Such as 28,570 macs, 2.1 M macs, 118 M macs."""
    if macs < 100_000:
        return f"{macs:,} macs"
    return f"{macs / 1e6:.1f} M macs" if macs < 9_950_000 else f"{macs / 1e6:.0f} M macs"


def format_seconds(seconds: float) -> str:
    """Such as 48 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
