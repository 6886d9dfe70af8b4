"""Failures and durations over time, in buckets of a named time zone."""

from collections.abc import Sequence
from typing import Any, Final

import narwhals as nw
import pandas as pd

from activitykit.moments import Moment
from activitykit.stats import curves, engines, failures, frames
from activitykit.stats.buckets import SECOND, Buckets, buckets
from activitykit.stats.durations import NEEDS as DURATION_NEEDS
from activitykit.stats.durations import timings, unusable
from activitykit.stats.engines import Rows
from activitykit.stats.frames import By, Time
from activitykit.stats.policy import DEFAULT_POLICY, OutcomePolicy

NEEDS: Final = tuple(dict.fromkeys((*failures.NEEDS, *DURATION_NEEDS)))


def trend(
    df: Any,  # noqa: ANN401 - any engine's frame
    freq: str = "1d",
    *,
    tz: str = "UTC",
    by: By = None,
    as_of: Moment | None = None,
    confidence: float = 0.95,
    policy: OutcomePolicy = DEFAULT_POLICY,
    cluster: str | None = "resource.id",
    roots: bool = True,
) -> pd.DataFrame:
    """Give failures and durations per time bucket of ``startedAt``.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    freq
        Length of a bucket: minutes or hours that divide a day ("15m", "6h"), days or weeks
        ("1d", "1w", from Monday). Days begin at midnight in `tz`, so the days of a clock change
        have 23 or 25 hours.
    tz
        Name of a time zone, such as "Europe/Berlin".
    by
        Column or columns to group by; ``resource.id`` is compared without case.
    as_of
        The moment the data describes; by default the latest ``updatedAt``.
    confidence, policy, cluster, roots
        As for `failure_stats`. Durations are those of the same rows.

    Returns
    -------
    pandas.DataFrame
        The columns of `by`, ``bucket`` (its begin, in `tz`), the columns of `failure_stats`,
        ``p50_s``, ``p95_s`` (as in `duration_stats`). Sorted by group and bucket; a bucket in which
        nothing started has no row.
        ``attrs["activitykit"]["left_out"]`` counts ``not_started`` besides what `failure_stats`
        counts.

    Raises
    ------
    SchemaError
        When a needed column, a column of `by` or `cluster` is missing.
    ValueError
        When `freq` or `tz` cannot be read, `confidence` is not between 0 and 1, or `by` names a
        column of the result.

    Notes
    -----
    A run belongs to the bucket in which it started, also when it fails the next day, so the latest
    buckets still change. Whether a missing bucket means no run or no data, the coverage knows.
    Of rows selected by ``completedAt``, the buckets before the selection hold only the runs that
    lasted into it: their counts and quantiles say nothing. The later ones are whole, so that no
    delayed entry is needed there.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> weeks = ak.trend(df, "1w", tz="Europe/Berlin")
    >>> weeks["bucket"].dt.day_name().unique().tolist()
    ['Monday']
    """
    columns = ["bucket", *failures.COLUMNS, "p50_s", "p95_s"]
    by = frames.names(by, columns)
    clusters = [cluster] if cluster else []
    needed = [*NEEDS, *clusters, *frames.moment_needs(as_of)]
    rows = engines.scan(df, needed, "trend", by)
    moment = frames.resolve(rows, as_of)
    rows, counts = frames.left_out(rows, {"not_started": nw.col("startedAt").is_null()})
    calendar, span = _span(rows, freq, tz)
    keys = [*by, "bucket"]
    rows = calendar.place(rows, engines.microseconds(rows, "startedAt"))
    rows = rows.rename({"_bucket": engines.keys_of(keys)[-1]})
    table = failures.failure_table(
        rows, keys, confidence=confidence, policy=policy, cluster=cluster, roots=roots
    )
    notes = table.attrs["activitykit"]
    lengths = _lengths(
        rows.filter(frames.root()) if roots else rows, keys, moment, table["n"].mean()
    )
    table = table.merge(lengths, on=keys, how="left")
    table["bucket"] = pd.to_datetime(table["bucket"].map(span), unit="s", utc=True).dt.tz_convert(
        tz
    )
    return frames.tidy(
        table, columns, by=by, counts={**counts, **notes["left_out"]}, as_of=moment, tz=tz,
        freq=freq, policy=repr(policy), confidence=confidence,
    )  # fmt: skip


def weekly_load(
    df: Any,  # noqa: ANN401 - any engine's frame
    *,
    tz: str = "UTC",
    by: By = None,
    confidence: float = 0.95,
    policy: OutcomePolicy = DEFAULT_POLICY,
    cluster: str | None = "resource.id",
    roots: bool = True,
) -> pd.DataFrame:
    """Give starts, queue times and failures by weekday and hour of ``startedAt``.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    tz
        Name of the time zone whose clocks count, such as "Europe/Berlin".
    by
        Column or columns to group by; ``resource.id`` is compared without case.
    confidence, policy, cluster, roots
        As for `failure_stats`. Queue times are those of the same rows.

    Returns
    -------
    pandas.DataFrame
        The columns of `by`, ``weekday`` (0 is Monday), ``hour`` (0 to 23), the columns of
        `failure_stats`, ``queue_p50_s``, ``queue_p95_s`` (startedAt - createdAt in seconds, without
        legacy events and negative times). Sorted by group, weekday and hour; an hour in which
        nothing started has no row.
        ``attrs["activitykit"]["left_out"]`` counts ``not_started`` besides what `failure_stats`
        counts.

    Raises
    ------
    SchemaError
        When a needed column, a column of `by` or `cluster` is missing.
    ValueError
        When `tz` cannot be read, `confidence` is not between 0 and 1, or `by` names a column of
        the result.

    Notes
    -----
    Load whole weeks: in ten days three weekdays occur twice. The hour that a clock change repeats
    counts twice, the one that it skips never. What still waits to start is in no hour, so look at
    ``queue_p95_s`` of `duration_stats` as well; and a full hour may be full because of one tenant.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> hours = ak.weekly_load(df, tz="Europe/Berlin")
    >>> bool(hours["hour"].between(0, 23).all())
    True
    """
    columns = ["weekday", "hour", *failures.COLUMNS, "queue_p50_s", "queue_p95_s"]
    by = frames.names(by, columns)
    clusters = [cluster] if cluster else []
    rows = engines.scan(df, [*NEEDS, *clusters], "weekly_load", by)
    rows, counts = frames.left_out(rows, {"not_started": nw.col("startedAt").is_null()})
    keys = [*by, "weekday", "hour"]
    rows = _on_the_clock(rows, tz, engines.keys_of(keys)[-2:])
    table = failures.failure_table(
        rows, keys, confidence=confidence, policy=policy, cluster=cluster, roots=roots
    )
    left = table.attrs["activitykit"]["left_out"]
    waits = _waits(rows.filter(frames.root()) if roots else rows, keys, table["n"].mean())
    table = table.merge(waits, on=keys, how="left").astype({"weekday": "int64", "hour": "int64"})
    return frames.tidy(
        table, columns, by=by, counts={**counts, **left}, tz=tz, policy=repr(policy),
        confidence=confidence,
    )  # fmt: skip


def _on_the_clock(rows: Rows, tz: str, names: Sequence[str]) -> Rows:
    """Add the weekday and the hour that the clocks of `tz` show at ``startedAt``."""
    week, _ = _span(rows, "1w", tz)
    rows = week.place(rows, engines.microseconds(rows, "startedAt"))
    since = nw.col("_since")
    day, hour = 86_400 * SECOND, 3_600 * SECOND
    parts = (since // day, since % day // hour)
    rows = rows.with_columns(
        **{name: part.cast(nw.Int64) for name, part in zip(names, parts, strict=True)}
    )
    return rows.drop("_bucket", "_since")


def _waits(rows: Rows, by: Sequence[str], per_group: float) -> pd.DataFrame:
    rows = rows.filter(~frames.legacy())
    rows = rows.with_columns(duration_s=engines.seconds(rows, "createdAt", "startedAt"))
    rows, keys = frames.keyed(rows.filter((nw.col("duration_s") >= 0).fill_null(False)), by)
    rows = rows.select(*keys, "duration_s", _event=frames.whole(1))
    asked = {"queue_p50_s": 0.5, "queue_p95_s": 0.95}
    found = curves.quantiles(rows, keys, asked, per_group=per_group)
    return found.rename(columns=dict(zip(keys, by, strict=True)))


def _lengths(rows: Rows, by: Sequence[str], as_of: Time, per_group: float) -> pd.DataFrame:
    timed = rows.with_columns(**timings(rows, as_of), _entry=nw.lit(0.0))
    used, keys = frames.keyed(timed.filter(frames.why_not(unusable()) == 0), by)
    used = used.select(*keys, "duration_s", _event=frames.flag(nw.col("finished")))
    asked = {"p50_s": 0.5, "p95_s": 0.95}
    found = curves.quantiles(used, keys, asked, per_group=per_group)
    return found.rename(columns=dict(zip(keys, by, strict=True)))


def _span(rows: Rows, freq: str, tz: str) -> tuple[Buckets, "pd.Series[int]"]:
    started = nw.col("startedAt")
    ends = engines.collect(rows.select(first=started.min(), last=started.max()))
    if not len(ends) or ends["first"].isna().all():
        now = pd.Timestamp(0, tz="UTC")
        return buckets(freq, tz, now, now), pd.Series(dtype="int64")
    first, last = ends["first"].iloc[0], ends["last"].iloc[0]
    calendar = buckets(freq, tz, first, last)
    return calendar, calendar.starts(int(first.timestamp()), int(last.timestamp())).iloc[:-1]
