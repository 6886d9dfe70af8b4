"""How many activities run at the same time: a sweep over their begins and ends."""

from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd

from activitykit.moments import Moment
from activitykit.stats import engines, frames
from activitykit.stats.buckets import SECOND, Buckets, buckets
from activitykit.stats.durations import NEEDS, timings, unusable
from activitykit.stats.engines import Rows
from activitykit.stats.frames import Time

_BEGIN: Final = 2
_TIMES: Final = ("startedAt", "completedAt")
COLUMNS: Final = ("bucket", "mean", "max", "n_open", "observed_s")


def concurrency(
    df: Any,  # noqa: ANN401 - any engine's frame
    freq: str = "1h",
    *,
    tz: str = "UTC",
    as_of: Moment | None = None,
) -> pd.DataFrame:
    """Count how many activities were running, per time bucket.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    freq
        Length of a bucket, as for `trend`.
    tz
        Name of a time zone, such as "Europe/Berlin".
    as_of
        Where running activities end; by default the latest ``updatedAt``.

    Returns
    -------
    pandas.DataFrame
        One row per bucket from the first begin to the last end, without gaps: ``bucket`` (its
        begin, in `tz`), ``mean`` (time-weighted over the whole bucket), ``max`` (highest number at
        any one time, also for a moment between two full hours), ``n_open`` (of those, still running
        at `as_of`), ``observed_s`` (seconds of the bucket that lie before `as_of`: in the last
        bucket the mean counts the rest as idle).
        ``attrs["activitykit"]["left_out"]`` counts the rows without an interval, as
        `duration_stats` does.

    Raises
    ------
    SchemaError
        When a needed column is missing.
    ValueError
        When `freq` or `tz` cannot be read.

    Notes
    -----
    An interval is closed at its begin and open at its end, so a run that starts as another ends
    does not overlap it. Roots and children both count: filter to look at one level. Of rows
    selected by ``completedAt``, the buckets before the selection lack all runs that ended earlier,
    and are far too low; the later ones are whole.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> hours = ak.concurrency(df)
    >>> (hours["mean"] <= hours["max"]).all()
    np.True_
    """
    rows = engines.scan(df, [*NEEDS, *frames.moment_needs(as_of)], "concurrency")
    moment = frames.resolve(rows, as_of)
    rows = rows.with_columns(**timings(rows, moment), _entry=nw.lit(0.0))
    rows, counts = frames.left_out(rows, unusable())
    begun, ended = (engines.microseconds(rows, c) for c in _TIMES)
    now = engines.microseconds(rows, moment) if isinstance(moment, pd.Timestamp) else begun
    until = nw.when(nw.col("finished")).then(ended).otherwise(now).cast(nw.Int64)
    # each change as one number, the only column to be sorted: its time, ends before begins
    spans = rows.select(
        begin=begun.cast(nw.Int64) * 4 + _BEGIN + frames.flag(nw.col("running")), end=until * 4
    )
    ends = engines.collect(spans.select(first=nw.col("begin").min(), last=nw.col("end").max()))
    if not len(ends) or ends["first"].isna().all():
        buckets(freq, tz, pd.Timestamp(0, tz="UTC"), pd.Timestamp(0, tz="UTC"))
        return frames.tidy(
            _empty(tz), COLUMNS, by=[], counts=counts, as_of=moment, tz=tz, freq=freq
        )
    first, last = (
        pd.Timestamp(int(ends[c].iloc[0]) // 4, unit="us", tz="UTC") for c in ("first", "last")
    )
    calendar = buckets(freq, tz, first, last)
    starts = calendar.starts(int(first.timestamp()), int(last.timestamp()))
    table = _levels(_per_bucket(spans, calendar), starts, calendar, moment)
    table["bucket"] = pd.to_datetime(table["bucket"], unit="s", utc=True).dt.tz_convert(tz)
    return frames.tidy(table, COLUMNS, by=[], counts=counts, as_of=moment, tz=tz, freq=freq)


def _per_bucket(spans: Rows, calendar: Buckets) -> pd.DataFrame:
    """Sum up the begins (+1) and ends (-1) of each bucket.

    The integral of the level over a bucket needs no order: it is the level at its begin, and each
    change times the part of the bucket that is left. Only the maximum needs the sweep.
    """
    changes = engines.folded(spans, {"_order": ["begin", "end"]})
    changes = changes.with_columns(_kind=nw.col("_order") % 4)
    changes = changes.with_columns(
        # exact: doubles hold every multiple of four of this size
        t=((nw.col("_order") - nw.col("_kind")) / 4).cast(nw.Int64),
        change=frames.flag(nw.col("_kind") >= _BEGIN) * 2 - 1,
        opened=frames.flag(nw.col("_kind") == _BEGIN + 1),
    )
    changes = calendar.place(changes, nw.col("t")).rename({"_bucket": "key"})
    changes = changes.with_columns(at_edge=frames.flag(nw.col("_since") == 0))
    parts = engines.parts(changes, ["key"])
    changes = engines.arranged(changes, "_order")
    level = engines.along(changes, nw.col("change").cum_sum(), parts, "_order")
    changes = changes.with_columns(level=level)
    changes = changes.with_columns(
        peak=nw.when(nw.col("at_edge") == 0).then(nw.col("level")),
        at_edge=nw.col("at_edge") * nw.col("change"),
        moment=(nw.col("t") - calendar.anchor(nw.col("key"))) * nw.col("change"),
    )
    summed = nw.col("change", "moment", "at_edge", "opened").sum()
    found = engines.collect(changes.group_by("key").agg(summed, nw.col("peak").max()))
    found = found.set_index("key").sort_index()
    if parts:
        found["peak"] += found["change"].cumsum() - found["change"]
    return found


def _levels(
    changes: pd.DataFrame, starts: "pd.Series[int]", calendar: Buckets, as_of: Time
) -> pd.DataFrame:
    """Carry the level from bucket to bucket."""
    begin, end = starts.to_numpy()[:-1], starts.to_numpy()[1:]
    keys = starts.index[:-1]
    changes = changes.reindex(keys)
    peak = changes.pop("peak")
    changes = changes.fillna(0)
    before = changes["change"].cumsum() - changes["change"]
    moments = (changes["moment"] + changes["change"] * calendar.anchor(keys.to_numpy())) / SECOND
    area = before * (end - begin) + changes["change"] * end - moments
    top = np.fmax(before + changes["at_edge"], peak)
    observed = np.clip(as_of.timestamp() - begin, 0, end - begin) if not pd.isna(as_of) else np.nan
    table = pd.DataFrame(
        {
            "bucket": begin,
            "mean": (area / (end - begin)).clip(lower=0),
            "max": top.astype("int64"),
            "n_open": changes["opened"].cumsum(),
            "observed_s": observed,
        }
    )
    # an end exactly on the edge opens no bucket of its own
    return table.iloc[:-1] if len(table) > 1 and not table["max"].iloc[-1] else table


def _empty(tz: str) -> pd.DataFrame:
    empty = pd.DataFrame({name: pd.Series(dtype="float64") for name in COLUMNS})
    empty["bucket"] = pd.to_datetime(empty["bucket"], unit="s", utc=True).dt.tz_convert(tz)
    return empty.astype({"max": "int64"})
