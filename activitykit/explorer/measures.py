"""What the cards, figures and table of the dashboard show, from a `Selection`.

The failure rate and its series leave the outcome filter out, else they read 100 % or 0 %. The time
chart leaves its own interval out, and tells what lies inside. All agrees with `activitykit.stats`:
failures over root activities, durations by Kaplan and Meier with the running ones counted in.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from activitykit.explorer.codes import Ranks, failures
from activitykit.explorer.cube import (
    BINS_PER_DECADE,
    DECIDED,
    FAILED,
    N_BINS,
    RUNNING,
    SHORTEST_S,
    TIMED,
    VERDICTS,
)  # fmt: skip
from activitykit.explorer.facets import Array
from activitykit.explorer.selection import TIME, Selection, edges
from activitykit.stats import duration_stats
from activitykit.stats.curves import TOLERANCE
from activitykit.stats.failures import rate_columns

_WIDTHS: Final = tuple(
    pd.Timedelta(*width)
    for width in (
        (1, "min"), (5, "min"), (15, "min"), (1, "h"), (3, "h"), (6, "h"), (12, "h"), (1, "D"),
        (7, "D"), (28, "D"), (91, "D"), (364, "D"), (3640, "D"),
    )
)  # fmt: skip
EDGES_S: Final = SHORTEST_S * 10 ** (np.arange(N_BINS + 1) / BINS_PER_DECADE)
"""Edges of the histogram of durations, in seconds, evenly spaced on a log axis."""

_MOST_BUCKETS: Final = 120
_HOUR: Final = pd.Timedelta(1, "h").value
_MONDAY: Final = pd.Timestamp("1970-01-05").value  # for the weeks


@dataclass(frozen=True)
class Headline:
    """The numbers of the cards; times in seconds, rates from 0 to 1, missing as nan.

    ``runs`` to ``ci_high`` are root activities without the outcome filter, as `failure_stats`
    counts them; ``p50_s`` and ``p95_s`` are those of `duration_stats` over the ``matching`` rows.
    ``n_overdue`` is None while `Cube.judge` has not judged yet.
    """

    matching: int
    total: int
    runs: int
    n_failed: int
    n_decided: int
    n_resources: int
    failure_rate: float
    ci_low: float
    ci_high: float
    p50_s: float
    p95_s: float
    n_timed: int
    n_running: int
    n_overdue: int | None


@dataclass(frozen=True)
class Timeline:
    """Rows per bucket of ``createdAt``.

    Attributes
    ----------
    width
        Of a bucket in wall-clock time; where the clocks change it is longer or shorter.
    starts
        Beginning of each bucket, in the zone of the scope; the last value ends the last bucket.
    counts
        By label of the outcome, in the order of the facet.
    n_failed, n_decided
        Failures, and failures and successes, of root activities without the outcome filter.
    inside
        Whether the bucket overlaps the chosen interval.
    left_out
        Matching rows before, and after, the buckets.
    """

    width: pd.Timedelta
    starts: pd.DatetimeIndex
    counts: dict[str, Array]
    n_failed: Array
    n_decided: Array
    inside: Array
    left_out: tuple[int, int]


def headline(selection: Selection) -> Headline:
    """Work out the numbers of the cards."""
    cube = selection.cube
    runs = cube.runs()
    sums = failures(runs, selection.tally(runs.codes, "result"), 1)
    row = {name: int(values[0]) for name, values in sums.items()}
    rate, low, high, *_ = rate_columns(row, 0.95, clustered=True)
    flags = selection.tally(cube.flags)
    [(p50, p95)] = quantiles(selection)
    return Headline(
        matching=selection.matching,
        total=cube.n,
        runs=row["n"],
        n_failed=row["n_failed"],
        n_decided=row["n_failed"] + row["n_success"],
        n_resources=row["n_resources"],
        failure_rate=rate,
        ci_low=low,
        ci_high=high,
        p50_s=p50,
        p95_s=p95,
        n_timed=flagged(flags, TIMED),
        n_running=flagged(flags, RUNNING),
        n_overdue=None if cube.late is None else int(selection.inside()[cube.late].sum()),
    )


def flagged(counted: Array, flag: int) -> int:
    """Add up the counts of `Cube.flags` with one of the flags."""
    return int(counted[(np.arange(len(counted)) & flag) > 0].sum())


def quantiles(
    selection: Selection, by: str = "", groups: Sequence[int] = (0,)
) -> list[tuple[float, float]]:
    """Give median and 95th percentile of the durations, as `duration_stats` does; seconds.

    Parameters
    ----------
    by
        The facet to group by, whose own condition is left out; by default everything is one group.
    groups
        Which of its options.
    """
    cube, field = selection.cube, selection.cube.facets[by].field if by else ""
    if selection.delayed:
        return _delayed(selection, by, groups)
    ranks = cube.ranks(by)
    found = _ranked(selection, ranks, field)
    inside = selection.inside(field)[ranks.going]
    given = []
    for group in groups:
        first, last = np.searchsorted(found, ranks.starts[group : group + 2])
        going = slice(*ranks.going_starts[group : group + 2])
        there = inside[going]
        ages = cube.seconds[ranks.going[going][there]]
        done = found[first:last]
        ended_by = np.searchsorted(done, ranks.ended_by[going][there])
        order = ranks.order

        def length(k: int, done: Array = done, order: Array = order) -> float:
            return float(cube.seconds[order[done[k]]])

        p50, p95 = (survival_quantile(len(done), length, ages, ended_by, q) for q in (0.5, 0.95))
        given.append((p50, p95))
    return given


def _ranked(selection: Selection, ranks: Ranks, field: str) -> Array:
    """Give the ranks of the finished rows that match, ascending."""
    rows, others = selection.fewer(field)
    size = len(ranks.order)
    if not others and len(rows) < size // 16:
        found = np.sort(ranks.rank[rows])
        return found[: np.searchsorted(found, size)]
    flags = np.full(size + 1, others)
    flags[ranks.rank[rows]] = not others
    return np.flatnonzero(flags[:-1])


def _delayed(selection: Selection, by: str, groups: Sequence[int]) -> list[tuple[float, float]]:
    """Leave the way with delayed entry, which is rare, to the statistic itself."""
    cube = selection.cube
    codes, _ = cube.groups(by)
    rows = selection.rows(cube.facets[by].field if by else "")
    frame = selection.filter.noted(cube.df.iloc[cube.order[rows]].assign(_group=codes[rows]))
    as_of = None if pd.isna(cube.as_of) else cube.as_of
    table = duration_stats(frame, by="_group", as_of=as_of).set_index("_group")
    found = (
        table[["p50_s", "p95_s"]].reindex(np.array(groups)).to_numpy(dtype=float, na_value=math.nan)
    )
    return [(float(p50), float(p95)) for p50, p95 in found]


def survival_quantile(
    n_done: int, length: Callable[[int], float], ages: Array, ended_by: Array, q: float
) -> float:
    """Give the Kaplan-Meier quantile: the smallest time at which S(t) is at most 1 - q, or nan.

    Parameters
    ----------
    n_done, length
        How many finished rows there are, and how long the k-th shortest took.
    ages, ended_by
        Of the running rows, ascending, and how many finished ones took no longer than each.
    q
        Between 0 and 1.

    Notes
    -----
    Between two running rows S falls in proportion to the rows at risk, so only the running ones,
    which are few, need a factor each: r / (r - 1), where r were at risk.
    """
    n = n_done + len(ages)
    at_risk = n - ended_by - np.arange(len(ages))
    with np.errstate(divide="ignore"):
        gained = np.concatenate([[0.0], np.cumsum(-np.log1p(-1.0 / at_risk))])

    def reached(k: int) -> bool:
        before = int(np.searchsorted(ages, length(k), side="left")) if len(ages) else 0
        left = n - (k + 1) - before
        if left <= 0:
            return True
        return math.log(left / n) + float(gained[before]) <= math.log1p(-q) + TOLERANCE

    k = bisect_left(range(n_done), True, key=reached)
    return length(k) if k < n_done else math.nan


def timeline(selection: Selection) -> Timeline:
    """Count rows per bucket of time, and failures among root activities."""
    cube, where = selection.cube, selection.filter
    own = (TIME,) if where.on == "createdAt" else ()
    width, starts = _buckets(selection)
    cuts = np.searchsorted(cube.created, starts.as_unit("ns").asi8)
    n_verdicts = len(VERDICTS)
    shape = len(cuts) - 1, cube.fate.size // n_verdicts, n_verdicts
    fates = rated = _per_bucket(selection, cuts, *own).reshape(shape)
    if "result" in selection.parts:
        rated = _per_bucket(selection, cuts, "result", *own).reshape(shape)
    outcomes, verdicts = fates.sum(axis=2), rated.sum(axis=1)
    facet = cube.facets["outcome"]
    shown = selection.inside(*own)
    since, until = edges(where) if own else (None, None)
    inside = np.ones(len(starts) - 1, dtype=bool)
    if since is not None:
        inside &= np.asarray(starts[1:] > since)
    if until is not None:
        inside &= np.asarray(starts[:-1] < until)
    return Timeline(
        width=width,
        starts=starts,
        counts={label: outcomes[:, i] for i, label in enumerate(facet.labels)},
        n_failed=verdicts[:, FAILED],
        n_decided=verdicts[:, : DECIDED + 1].sum(axis=1),
        inside=inside,
        left_out=(
            int(np.count_nonzero(shown[cube.unknown : cuts[0]])),
            int(np.count_nonzero(shown[cuts[-1] :])),
        ),
    )


def _per_bucket(selection: Selection, cuts: Array, *without: str) -> Array:
    """Count what became of the rows between each two cuts."""
    fate = selection.cube.fate
    rows, others = selection.fewer(*without)
    at = np.searchsorted(rows, cuts)
    found = [np.bincount(fate.of[rows[a:b]], minlength=fate.size) for a, b in pairwise(at)]
    counts = np.array(found, dtype=np.int64).reshape(-1, fate.size)
    if not others:
        return counts
    every = [np.bincount(fate.of[a:b], minlength=fate.size) for a, b in pairwise(cuts)]
    return np.array(every, dtype=np.int64).reshape(-1, fate.size) - counts


def _buckets(selection: Selection) -> tuple[pd.Timedelta, pd.DatetimeIndex]:
    """Give the width and the edges of the buckets: the span chosen, and as much on either side.

    They stay with the data, however far beyond it the span reaches.
    Without a span they reach from the newest activity back to the oldest, or, when the oldest
    hundredth is scattered over a long time, to the rest.
    """
    where, created, tz = selection.filter, selection.cube.created, selection.scope.tz
    known = created[selection.cube.unknown :]
    if not len(known):
        return _WIDTHS[0], pd.DatetimeIndex([pd.Timestamp(0, tz=tz)])
    # as integers, because a Timedelta ends at 292 years
    first, most, last = (int(known[place]) for place in (0, len(known) // 100, -1))
    low, high = first if last - first <= 2 * (last - most) else most, last
    since, until = edges(where) if where.on == "createdAt" else (None, None)
    if since is not None or until is not None:
        begin = first if since is None else min(max(since.value, first), last)
        end = last if until is None else min(max(until.value, first), last)
        pad = max(end - begin, 0)
        low, high = max(first, begin - pad), min(last, max(begin, end) + pad)
    fits = [width for width in _WIDTHS if (high - low) / width.value < _MOST_BUCKETS]
    width = fits[0] if fits else _WIDTHS[-1]
    return width, _cuts(low, high, width.value, tz)


def _cuts(low: int, high: int, width: int, tz: str) -> pd.DatetimeIndex:
    """Cut the wall-clock time of a zone as `trend` does: at whole hours, at midnight, on Mondays.

    Of at most an hour, both times that a clock change repeats have buckets of their own.
    """
    if width > _HOUR:
        ends = pd.DatetimeIndex([low, high], tz="UTC").tz_convert(tz).tz_localize(None)
        first, last = ends.as_unit("ns").asi8.tolist()
        start = _MONDAY + (first - _MONDAY) // width * width
        walls = pd.DatetimeIndex(np.arange(start, last + width + 1, width).view("datetime64[ns]"))
        # a midnight that is left out begins with the next moment, of two it is the first
        twice = np.ones(len(walls), dtype=bool)
        return walls.tz_localize(tz, ambiguous=twice, nonexistent="shift_forward").unique()
    # clocks change by quarters of an hour
    step = math.gcd(width, _HOUR // 4)
    grid = np.arange(low // step * step - width, high + 2 * width, step)
    moments = pd.DatetimeIndex(grid.view("datetime64[ns]"), tz="UTC").tz_convert(tz)
    wall = moments.tz_localize(None).as_unit("ns").asi8
    begins = np.flatnonzero(np.diff(wall // width * width - (wall - grid))) + 1
    begin = int(np.searchsorted(grid[begins], low, side="right")) - 1
    end = int(np.searchsorted(grid[begins], high, side="right"))
    return moments[begins[begin : end + 1]]


def histogram(selection: Selection) -> Array:
    """Count finished durations between each two of `EDGES_S`."""
    return selection.tally(selection.cube.bins)[:N_BINS]
