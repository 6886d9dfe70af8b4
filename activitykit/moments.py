"""Moments: what people and the service write, as exact times in UTC, and back."""

import re
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
import pandas as pd

Moment = str | date | datetime | pd.Timestamp
"""What is taken for a time everywhere; text without a zone is UTC."""

_SPAN = re.compile(r"(\d+)\s*([smhdw])", re.ASCII)
_UNIT: Final = {
    "s": pd.Timedelta(1, "s"),
    "m": pd.Timedelta(1, "min"),
    "h": pd.Timedelta(1, "h"),
    "d": pd.Timedelta(1, "D"),
    "w": pd.Timedelta(7, "D"),
}
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:]+(\.\d{1,9})?\s*(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_INT64 = range(-(2**63) + 1, 2**63)


def to_timestamp(moment: Moment, *, now: datetime | None = None) -> pd.Timestamp:
    """Read a moment: a datetime, a date, ISO text, or a span such as "7d" that lies back from now.

    Parameters
    ----------
    moment
        Without a zone it is UTC. Spans count in ``s``, ``m``, ``h``, ``d`` (24 hours) and ``w``.
    now
        What spans count back from; the clock by default.

    Returns
    -------
    pandas.Timestamp
        In UTC, exact to the nanosecond.

    Raises
    ------
    ValueError
        When the text is no time, has more than nine fractional digits, or lies outside 1677-2262.

    Examples
    --------
    >>> to_timestamp("2026-01-31T23:59:59.123456789")
    Timestamp('2026-01-31 23:59:59.123456789+0000', tz='UTC')
    """
    try:
        stamp = _read_moment(moment, now)
        if pd.isna(stamp):
            raise ValueError("no time at all")  # noqa: TRY301 - told like the other misreadings
        utc = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
        return utc.as_unit("ns")
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError(
            f"cannot read {moment!r} as a time ({error}); use ISO text such as"
            ' "2026-01-31T22:00:00Z", a datetime, or a span such as "7d" or "36h"'
        ) from error


def is_span(moment: object) -> bool:
    """Tell whether a moment is a span such as "7d", which needs something to count back from."""
    return isinstance(moment, str) and _SPAN.fullmatch(moment.strip()) is not None


def _read_moment(moment: Moment, now: datetime | None) -> pd.Timestamp:
    if not isinstance(moment, str):
        if not isinstance(moment, date | np.datetime64):
            raise TypeError("a number says neither unit nor zone")
        return pd.Timestamp(moment)
    if span := _SPAN.fullmatch(moment.strip()):
        return pd.Timestamp(now or datetime.now(UTC)) - int(span[1]) * _UNIT[span[2]]
    if not _ISO.fullmatch(moment.strip()):
        raise ValueError("not ISO text with at most nine fractional digits")
    return pd.Timestamp(moment)


def format_time(moment: pd.Timestamp, digits: int | None = None) -> str:
    """Write a time in UTC as the service does, by default without trailing zeros of the fraction.

    Examples
    --------
    >>> format_time(pd.Timestamp("2026-01-31T22:00:00.5", tz="UTC"))
    '2026-01-31T22:00:00.5Z'
    """
    fraction = f"{moment.value % 1_000_000_000:09d}"
    fraction = fraction.rstrip("0") if digits is None else fraction[:digits]
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}Z"


def parse_time(text: object) -> int | None:
    """Read an RFC 3339 time exactly.

    Returns
    -------
    int or None
        Nanoseconds since 1970 in UTC; None for anything else, such as a number, a leap second or
        a year outside 1677-2262, which 64-bit nanoseconds cannot hold.

    Examples
    --------
    >>> parse_time("2025-10-10T17:22:10.33Z")
    1760116930330000000
    >>> parse_time("yesterday") is None
    True
    """
    match = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return None
    since_epoch = moment - _EPOCH
    seconds = since_epoch.days * 86_400 + since_epoch.seconds
    nanoseconds = seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
    return nanoseconds if nanoseconds in _INT64 else None
