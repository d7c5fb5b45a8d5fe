"""How long after the close of each exchange calendar the closing auction still prints."""

from __future__ import annotations

from typing import Final

_MINUTE_NS: Final = 60_000_000_000

# Whole minutes after the close that exchange_calendars gives, long enough that the 1-minute bar of the closing auction
# has ended: an auction that prints at 16:35:20 is in the bar of 16:35, known at 16:36, so 6 minutes after 16:30.
# Extensions after a price jump and trading at the closing price are left out. Sources: the trading hours that the
# exchanges publish (as read in 2025), named per line. A calendar that is not listed gets 0: continuous markets (24/7,
# CMES, IEPA), and exchanges whose auction ends before their close or is not known to us.
_GRACE_MINUTES: Final[dict[str, int]] = {
    # NYSE and Nasdaq: the closing cross runs at 16:00 and prints in the seconds after it.
    "XNYS": 1,
    # TSX: market on close is matched at 16:00.
    "XTSE": 1,
    # London, SETS: call 16:30 to 16:35, random end of up to 30 s.
    "XLON": 6,
    # Euronext (Paris, Amsterdam, Brussels, Lisbon, Milan): call 17:30 to 17:35 CET, matched at 17:35.
    "XPAR": 6,
    "XAMS": 6,
    "XBRU": 6,
    "XLIS": 6,
    "XMIL": 6,
    # Euronext Oslo: call 16:20 to 16:25.
    "XOSL": 6,
    # Euronext Dublin: call 16:28 to 16:30.
    "XDUB": 3,
    # Xetra: call from 17:30, price from 17:35, random end of up to 30 s.
    "XETR": 6,
    # BME, Madrid: call 17:30 to 17:35, random end of up to 30 s.
    "XMAD": 6,
    # Budapest: call 17:00 to 17:05, random end of up to 30 s.
    "XBUD": 6,
    # Nasdaq Nordic (Stockholm, Helsinki, Copenhagen): the call is the last five minutes, matched at the close.
    "XSTO": 1,
    "XHEL": 1,
    "XCSE": 1,
    # Tokyo: the closing auction is matched at the close (15:00, since 2024-11-05 15:30).
    "XTKS": 1,
    # Hong Kong: closing auction session from 16:00, random close between 16:08 and 16:10 (half days: 12:08, 12:10).
    "XHKG": 11,
    # ASX: single price auction between 16:10 and 16:11.
    "XASX": 12,
    # SGX: closing routine 17:00 to 17:06.
    "XSES": 7,
}


def grace_ns_of(name: str) -> int:
    """Return the grace after the close in nanoseconds for a calendar's own name (no alias), 0 when none is known."""
    return _GRACE_MINUTES.get(name, 0) * _MINUTE_NS
