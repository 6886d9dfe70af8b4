"""What a report is made from: a frame, or the part of an archive that it needs."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol, runtime_checkable

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.filters import Filter
from activitykit.moments import Moment, to_timestamp
from activitykit.report.period import PeriodText, read_period, read_zone
from activitykit.report.scope import NEEDED
from activitykit.report.targets import Targets, check_targets
from activitykit.schema import ATTRS, note

_HISTORY: Final = pd.Timedelta(14, "D")
"""So much is read at least: what tells a chronic failure from a new one lies further back than a
day's report and the day before. Longer targets read as far as they go."""


@runtime_checkable
class Archived(Protocol):
    """What a report asks of an archive (the report does not know the input lane)."""

    def read(
        self,
        where: Filter | None = None,
        *,
        columns: Iterable[str] | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        """Read some columns of activities into a frame, from an earlier state if wanted."""

    def coverage(self, where: Filter | None = None, *, version: int | None = None) -> pd.DataFrame:
        """Tell which time is covered."""


def gather(
    source: pd.DataFrame | Archived,
    *,
    period: PeriodText = "7d",
    where: Filter | None = None,
    tz: str = "UTC",
    targets: Targets = None,
    as_of: Moment | None = None,
    version: int | None = None,
    whole: bool = False,
) -> pd.DataFrame:
    """Give the activities that a report needs.

    Parameters
    ----------
    source
        A frame, which comes back as it is; or an archive, of which a part is read: what was
        updated since the beginning of the period before, of the longest target or of 14 days,
        whichever is earliest.
    version
        The state of the archive to read; the latest by default.
    whole
        Read all columns, and not only those that a report looks at.

    Raises
    ------
    ConfigError
        When the source is something else, such as the name of a file.
    """
    if isinstance(source, pd.DataFrame):
        return source
    _refuse_other(source)
    moment = archive_moment(source, as_of, version=version)
    since = needed_since(period, as_of=moment, tz=tz, targets=targets)
    columns = None if whole else needed_columns(where)
    df = source.read(narrowed(where, since), columns=columns, version=version)
    _, before = read_period(period, moment, read_zone(tz))
    lines = [one for one in note(df, "coverage", ()) if to_timestamp(one["until"]) > before.since]
    # a gap of long ago is no matter for this report
    whole_since = bool(lines) and all(one["status"] == "complete" for one in lines)
    df.attrs[ATTRS] = {**df.attrs[ATTRS], "complete": whole_since}
    return df


def _refuse_other(source: object) -> None:
    if not isinstance(source, Archived):
        shown = repr(os.fspath(source)) if isinstance(source, str | os.PathLike) else "…"
        raise ConfigError(
            f"a report is made of a frame or an archive, not of {type(source).__name__}; load it"
            f" first: ak.load({shown})"
        )


def archive_moment(
    archive: Archived, as_of: Moment | None = None, *, version: int | None = None
) -> pd.Timestamp:
    """Give the moment that an archive describes: that of its last fetch, unless one is given.

    Raises
    ------
    ConfigError
        When nothing was fetched yet.
    """
    latest = archive.coverage(version=version)["until"].max()
    if pd.isna(latest):
        raise ConfigError("the archive holds no fetch that has ended; sync it first")
    return to_timestamp(latest if as_of is None else as_of, now=latest)


def needed_columns(where: Filter | None) -> list[str] | None:
    """Name the columns that a report looks at; None when the selection looks at others."""
    paths = {path for found in (where or Filter()).criteria() for path, _ in found}
    return NEEDED if paths.issubset(NEEDED) else None


def needed_since(
    period: PeriodText, *, as_of: pd.Timestamp, tz: str = "UTC", targets: Targets = None
) -> pd.Timestamp:
    """Say from when on a report needs what was updated."""
    check_targets(targets)
    present, before = read_period(period, as_of, read_zone(tz))
    spans: list[Any] = list(targets.values()) if isinstance(targets, Mapping) else [targets]
    end = min(present.until, as_of)
    limits = (to_timestamp(span, now=end) for span in spans if span is not None)
    return min(before.since, end - _HISTORY, *limits)


def narrowed(where: Filter | None, since: pd.Timestamp) -> Filter:
    """Narrow a selection to what was updated from a moment on; one with times stays as it is.

    What ran in the time since was updated in it, and so was what still runs and gives signs of it.
    """
    where = where or Filter()
    if where.since is not None or where.until is not None:
        return where
    return replace(where, on="updatedAt", since=since)
