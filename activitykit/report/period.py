"""Which span of time a report covers, and which one it is compared with."""

from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.moments import Moment, is_span, to_timestamp

PeriodText = str | tuple[Moment, Moment]


class NothingYetError(ConfigError):
    """The period begins where the data ends, or later."""


class Period(NamedTuple):
    """A half-open span [since, until) of starting times, in UTC, with words for a sentence."""

    since: pd.Timestamp
    until: pd.Timestamp
    name: str
    length: str


def read_zone(tz: str) -> ZoneInfo:
    """Read the name of a time zone, with one clear error for an unknown one."""
    try:
        return ZoneInfo(tz)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ConfigError(
            f"unknown time zone {tz!r}; give a name such as 'UTC' or 'Europe/Berlin'"
        ) from error


def read_period(period: PeriodText, as_of: pd.Timestamp, zone: ZoneInfo) -> tuple[Period, Period]:
    """Work out the period of a report and the one before it.

    Parameters
    ----------
    period
        A span such as "7d" back from ``as_of``; "week" (Monday to Sunday) or "month", the last full
        one in ``zone``; or a pair of times, where text without a zone is UTC.
    as_of
        The moment that the data describes.
    zone
        Where calendar weeks and months begin and end.

    Raises
    ------
    ConfigError
        When the period cannot be read, is empty, or begins after the data ends.
    """
    if period in ("week", "month"):
        return _calendar(str(period), as_of, zone)
    since, until = _edges(period, as_of)
    # a span that is empty is wrong, and a time that nothing is known after may only be early
    if since >= as_of and not is_span(period):
        raise NothingYetError(
            f"the period begins at {since}, and the data ends at {as_of}: choose an earlier"
            " period or load newer activities"
        )
    if since >= until:
        raise ConfigError(f"the period ends before it begins: {since} to {until}")
    start, end = (edge.tz_convert(zone).tz_localize(None) for edge in (since, until))
    whole = not is_span(period) and not (end - start) % pd.Timedelta(1, "D")
    text = _length_text(end - start if whole else until - since)
    earlier = since - (until - since)
    if whole:
        # from midnight to midnight also where the clocks change in between
        earlier = moment_at(start - (end - start), zone)
    return (
        Period(since, until, "this period", text),
        Period(earlier, since, f"the {text} before", text),
    )


def moment_at(wall: pd.Timestamp, zone: ZoneInfo) -> pd.Timestamp:
    """Give the moment at which the clocks of a zone show a time."""
    # midnight may not exist or exist twice on the day that the clocks change
    there = wall.tz_localize(zone, nonexistent="shift_forward", ambiguous=True)
    return there.tz_convert("UTC")


def _edges(period: PeriodText, as_of: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
    edges: Any = (period, as_of) if is_span(period) else period
    try:
        since, until = (to_timestamp(edge, now=as_of) for edge in edges)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"cannot read the period {period!r}; give a span such as '7d' or '36h', 'week',"
            " 'month', or a pair of times (since, until)"
        ) from error
    return since, until


def _length_text(length: pd.Timedelta) -> str:
    days, rest = divmod(length, pd.Timedelta(1, "D"))
    if rest:
        return f"{length / pd.Timedelta(1, 'h'):.3g} hours"
    return "24 hours" if days == 1 else f"{days} days"


def _calendar(unit: str, as_of: pd.Timestamp, zone: ZoneInfo) -> tuple[Period, Period]:
    today = as_of.tz_convert(zone).tz_localize(None).normalize()
    if unit == "week":
        end, step = today - pd.Timedelta(today.weekday(), "D"), pd.DateOffset(weeks=1)
    else:
        end, step = today.replace(day=1), pd.DateOffset(months=1)
    until, since, earlier = (moment_at(end - step * back, zone) for back in range(3))
    return (
        Period(since, until, f"this {unit}", f"the {unit}"),
        Period(earlier, since, f"the {unit} before", f"the {unit}"),
    )


def bucket_length(period: Period) -> str:
    """Give the length of the bars of a period: hours up to two days, days beyond."""
    return "1h" if period.until - period.since <= pd.Timedelta(2, "D") else "1d"


def day_starts(period: Period, tz: str, freq: str = "1d", *, cut: bool = True) -> pd.DatetimeIndex:
    """Give the beginnings, in UTC, of the days (or hours) of a zone that a period touches.

    Parameters
    ----------
    freq
        "1d" or "1h".
    cut
        Begin with the period itself instead of the day that it begins in.
    """
    first, last = (edge.tz_convert(tz).tz_localize(None) for edge in (period.since, period.until))
    if freq == "1d":
        wall = pd.date_range(first.normalize(), last, freq="D")
        # midnight may not exist or exist twice on the day that the clocks change
        starts = wall.tz_localize(tz, nonexistent="shift_forward", ambiguous=True).tz_convert("UTC")
    else:
        # where clocks are half an hour off, so are their full hours
        hour = period.since - (first - first.floor("h"))
        starts = pd.date_range(hour, period.until, freq="h")
    starts = starts[starts < period.until]
    return starts.where(starts >= period.since, period.since) if cut else starts
