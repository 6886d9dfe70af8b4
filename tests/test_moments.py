"""The reading and writing of times."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activitykit.moments import format_time, parse_time, to_timestamp


@given(
    st.datetimes(datetime(1678, 1, 1), datetime(2262, 1, 1)),  # noqa: DTZ001 - the zone is drawn
    st.integers(-14 * 60, 14 * 60),
    st.integers(0, 9),
)
def test_times_are_read_as_the_standard_library_does(moment, offset_minutes, digits):
    """Any RFC 3339 time gives the nanoseconds that exact arithmetic gives."""
    sign, minutes = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    fraction = f"{moment.microsecond:06d}789"[:digits]
    text = f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if digits else ''}{fraction}"
    text += f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    whole = moment.replace(microsecond=0, tzinfo=UTC) - timedelta(minutes=offset_minutes)
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (since.days * 86_400 + since.seconds) * 10**9 + int(fraction.ljust(9, "0"))
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "odd",
    ["", "now", "2026-13-01T00:00:00Z", "2016-12-31T23:59:60Z", "0001-01-01T00:00:00Z",
     "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00.0123456789Z", 1700000000, None],
)  # fmt: skip
def test_what_is_no_time_is_none(odd):
    """Text that is no RFC 3339 time, or one that 64 bits cannot hold, is not guessed at."""
    assert parse_time(odd) is None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        ("2026-03-01T10:00:00.000000001+02:00", "2026-03-01T08:00:00.000000001Z"),
        (date(2026, 3, 1), "2026-03-01T00:00:00Z"),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00Z"),
        (pd.Timestamp("2026-03-01 12:00", tz="Europe/Berlin"), "2026-03-01T11:00:00Z"),
        ("36h", "2026-02-27T12:00:00Z"),
        ("90m", "2026-02-28T22:30:00Z"),
        ("4w", "2026-02-01T00:00:00Z"),
    ],
)
def test_moments(moment, expected):
    """Datetimes, dates, ISO text and spans are read; what has no zone is UTC."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert format_time(to_timestamp(moment, now=now)) == expected


@given(st.integers(-(2**62), 2**62))
def test_written_times_read_back(ns):
    """A time survives writing and reading to the nanosecond."""
    moment = pd.Timestamp(ns, tz="UTC")
    assert to_timestamp(format_time(moment)) == moment
