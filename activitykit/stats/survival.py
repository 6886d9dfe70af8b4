"""The share of runs that last longer than a given time: the curve behind `duration_stats`."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd

from activitykit.moments import Moment
from activitykit.stats import curves, engines, frames
from activitykit.stats.durations import (
    NEEDS,
    entry_age,
    selection_start,
    timings,
    unusable,
)
from activitykit.stats.engines import Rows
from activitykit.stats.frames import By

COLUMNS: Final = (
    "duration_s", "survival", "ci_low", "ci_high", "n_at_risk", "n_finished", "n_running",
)  # fmt: skip
LEVELS: Final = 500


def survival(
    df: Any,  # noqa: ANN401 - any engine's frame
    by: By = None,
    *,
    confidence: float = 0.95,
    as_of: Moment | None = None,
    selected_since: Moment | None = None,
) -> pd.DataFrame:
    """Give the share of runs that last longer than a time, as a step curve for each group.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    by
        Column or columns to group by; ``resource.id`` is compared without case.
    confidence
        Of the interval, between 0 and 1.
    as_of, selected_since
        As for `duration_stats`.

    Returns
    -------
    pandas.DataFrame
        The columns of `by`, then ``duration_s`` (seconds at which the curve falls, ascending),
        ``survival`` (from there on; 1 before the first row), ``ci_low``, ``ci_high`` (pointwise;
        missing where the curve is 1 or 0), ``n_at_risk`` (rows that were seen to get so far),
        ``n_finished`` and ``n_running`` (rows that ended, or were last seen, up to there). The last
        row of a group stands at the longest duration seen; where it is above 0, that share outlasts
        all that is known. A group without a row that counts has none here.
        ``attrs["activitykit"]["left_out"]`` counts rows by reason, as `duration_stats` does.

    Raises
    ------
    SchemaError
        When a needed column or a column of `by` is missing.
    ValueError
        When `confidence` is not between 0 and 1, or `by` names a column of the result.

    Notes
    -----
    Kaplan-Meier, with Greenwood's variance on the scale of log(-log S) (Kalbfleisch and Prentice,
    The Statistical Analysis of Failure Time Data, section 1.4), so that the interval stays within 0
    and 1. Each row is exact; of the steps between two 500ths only the first is listed, so that
    millions of runs give a small frame. Two curves whose intervals overlap at one time may still
    differ, and runs of one resource resemble each other, which the interval does not know.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> curve = ak.survival(df)
    >>> curve["survival"].is_monotonic_decreasing
    True
    """
    frames.fraction("confidence", confidence)
    by = frames.names(by, COLUMNS)
    rows = engines.scan(df, [*NEEDS, *frames.moment_needs(as_of)], "survival", by)
    moment = frames.resolve(rows, as_of)
    since = selection_start(df, selected_since, moment)
    rows = rows.with_columns(**timings(rows, moment), _entry=entry_age(rows, since))
    rows, counts = frames.left_out(rows, unusable())
    rows, keys = frames.keyed(rows, by)
    used = rows.select(*keys, "duration_s", "_entry", _event=frames.flag(nw.col("finished")))
    table = engines.collect(_thinned(_steps(used, keys, delayed=since is not None), keys))
    table = table.sort_values([*keys, "duration_s"], ignore_index=True)
    table["survival"] = np.exp(table["_log_s"]).where(table["_log_s"] > -600, 0.0)
    table[["ci_low", "ci_high"]] = _interval(table, confidence)
    told = {"selected_since": str(since)} if since is not None else {}
    return frames.tidy(
        table, COLUMNS, by=by, counts=counts, as_of=moment, confidence=confidence, **told
    )


def _steps(rows: Rows, keys: Sequence[str], *, delayed: bool) -> Rows:
    """Give the curve time by time, with Greenwood's sum of d / (n (n - d))."""
    steps = curves.curve(curves.changes(rows, keys, delayed=delayed), keys)
    events, at_risk = nw.col("_event"), nw.col("_at_risk")
    term = nw.when((events > 0) & (at_risk > events)).then(events / ((at_risk - events) * at_risk))
    steps = steps.with_columns(_term=term.otherwise(nw.lit(0.0)))
    sums = {"_variance": "_term", "n_finished": "_event", "n_running": "_cut"}
    steps = steps.with_columns(
        **{
            name: engines.along(steps, nw.col(of).cum_sum(), keys, "_time")
            for name, of in sums.items()
        }
    )
    left = steps.filter((events > 0) | (nw.col("_cut") > 0))
    return left.rename({"_at_risk": "n_at_risk"})


def _thinned(steps: Rows, keys: Sequence[str]) -> Rows:
    """Keep the first fall below each level, and the last time seen."""
    level = (nw.col("_log_s").exp() * LEVELS - curves.TOLERANCE).ceil().cast(nw.Int64)
    fallen = nw.when(nw.col("_event") > 0).then(nw.col("duration_s"))
    steps = steps.with_columns(_level=level, _fallen=fallen)
    steps = steps.with_columns(
        _first=nw.col("_fallen").min().over(*keys, "_level"),
        _last=nw.col("duration_s").max().over(*keys),
    )
    first = (nw.col("duration_s") == nw.col("_first")).fill_null(False)
    return steps.filter(first | (nw.col("duration_s") == nw.col("_last")))


def _interval(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    inside = (table["n_finished"] > 0) & (table["survival"] > 0)
    log_s = table["_log_s"].where(inside)
    spread = NormalDist().inv_cdf((1 + confidence) / 2) * np.sqrt(table["_variance"]) / -log_s
    low, high = (np.exp(log_s * np.exp(sign * spread)) for sign in (1, -1))
    return pd.DataFrame({"ci_low": low, "ci_high": high})
