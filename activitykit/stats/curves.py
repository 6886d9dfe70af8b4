"""The survival curve, worked out where the rows are, on few points instead of all rows.

The estimator is Kaplan and Meier's (J. Am. Stat. Assoc. 53, 1958): S(t) falls at a time at which d
of the n rows at risk finish by the factor 1 - d/n. Rows still running leave the risk set at their
age without a fall. With delayed entry a row joins the risk set only at the age at which it could
first have been seen (Klein and Moeschberger, Survival Analysis, section 4.6).

While rows only finish, the factors of any stretch of time multiply to one factor, so a cell of time
stands for its rows without any loss. Cells are a thousandth wide, and are split into their single
times only where a row leaves unfinished or joins late, and where an answer lies.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import narwhals as nw
import pandas as pd

from activitykit.stats import engines, frames
from activitykit.stats.engines import Rows

# log S is a sum of up to millions of terms: its rounding stays far below this
TOLERANCE: Final = 1e-9
_CELLS: Final = 1000
# a group of this many rows has more of them than cells
_WORTH_CELLS: Final = 20_000
# the last row at risk takes S to zero; this keeps its logarithm finite and changes no other
_NOTHING: Final = 1e-300
Read = Callable[[Rows, str], pd.DataFrame]


def changes(rows: Rows, keys: Sequence[str], *, delayed: bool = False) -> Rows:
    """List when rows leave the risk set, and when late ones join it.

    Rows hold the keys, ``duration_s``, ``_event`` (1 finished, 0 censored) and, if `delayed`,
    ``_entry``.
    """
    found = rows.select(
        *keys, "duration_s", "_event", _cut=1 - nw.col("_event"), _leave=frames.whole(1)
    )
    if delayed:
        none, joined = frames.whole(0), frames.whole(-1)
        late = rows.filter(nw.col("_entry") > 0)
        joining = late.select(*keys, duration_s="_entry", _event=none, _cut=none, _leave=joined)
        found = engines.stacked(found, joining)
    return found.with_columns(_time=time_of("duration_s"))


def time_of(seconds: str) -> nw.Expr:
    """Give the whole nanoseconds of a column of seconds, by which a curve knows its times."""
    return (nw.col(seconds) * 1e9).round().cast(nw.Int64)


def curve(changes: Rows, keys: Sequence[str], point: Sequence[str] = ("_time",)) -> Rows:
    """Add up the changes of each time, or of each other `point` on the curve, in order.

    Returns
    -------
    narwhals.LazyFrame
        Per key and point: ``duration_s`` (the last of its times), ``_event`` and ``_cut`` (rows
        that finished, and that were censored), ``_at_risk`` (rows just before), and ``_log_s``, the
        logarithm of S just after.
    """
    points = changes.group_by(*keys, *point)
    summed = points.agg(nw.col("_event", "_cut", "_leave").sum(), nw.col("duration_s").max())
    # DuckDB sums integers in 128 bits, with which windows are slow; doubles count as exactly
    summed = summed.with_columns(nw.col("_event", "_cut", "_leave").cast(nw.Float64))
    summed = engines.arranged(summed, *point)
    at_risk = engines.along(summed, nw.col("_leave").cum_sum(reverse=True), keys, *point)
    summed = summed.with_columns(_at_risk=at_risk)
    fall = ((nw.col("_at_risk") - nw.col("_event") + _NOTHING) / nw.col("_at_risk")).log()
    summed = summed.with_columns(
        _fall=nw.when(nw.col("_event") > 0).then(fall).otherwise(nw.lit(0.0))
    )
    log_s = engines.along(summed, nw.col("_fall").cum_sum(), keys, *point)
    return summed.with_columns(_log_s=log_s)


def read_exactly(
    changes: Rows, keys: Sequence[str], read: Read, names: Sequence[str]
) -> pd.DataFrame:
    """Read answers off the curve: first in which cells they lie, then at which times.

    `read` gives a collected table of a curve, its columns `names` in terms of the column it is
    told: ``_cell`` or ``duration_s``.
    """
    cell = (nw.col("duration_s") + 1e-3).log() * _CELLS
    changes = changes.with_columns(_cell=cell.floor().cast(nw.Int64))
    unsteady = changes.filter(nw.col("_event") == 0).select("_cell").unique()
    split = {*engines.collect(unsteady)["_cell"]}
    rough = read(_on_cells(changes, keys, split), "_cell")
    split |= {int(cell) for name in names for cell in rough[name].dropna().unique()}
    return read(_on_cells(changes, keys, split), "duration_s")


def _on_cells(changes: Rows, keys: Sequence[str], split: Collection[int]) -> Rows:
    """Give the curve on cells, and on the single times of those to be `split`."""
    inside = engines.one_of("_cell", split)
    time = nw.when(inside).then(nw.col("_time")).otherwise(frames.whole(-1))
    return curve(changes.with_columns(_time=time), keys, ("_cell", "_time"))


def quantiles(
    rows: Rows,
    keys: Sequence[str],
    asked: Mapping[str, float],
    *,
    delayed: bool = False,
    per_group: float = math.inf,
) -> pd.DataFrame:
    """Give for each group the smallest times at which S(t) is at most 1 - q.

    `per_group` is the mean number of rows; where it is small, cells would save nothing.
    """

    def lowest(curve: Rows, what: str) -> pd.DataFrame:
        reached = {name: first_below(math.log1p(-q), what) for name, q in asked.items()}
        reduced = curve.select(*keys, **reached).group_by(*keys)
        return engines.collect(reduced.agg(*[nw.col(name).min() for name in asked]))

    found = changes(rows, keys, delayed=delayed)
    if per_group < _WORTH_CELLS:
        return lowest(curve(found, keys), "duration_s")
    return read_exactly(found, keys, lowest, [*asked])


def first_below(log_s: float, what: str) -> nw.Expr:
    """Give the column `what` where the curve is at most this high; its minimum is a quantile."""
    return nw.when(nw.col("_log_s") <= log_s + TOLERANCE).then(nw.col(what))
