"""What the cards, figures and table of the dashboard show, from a `Selection`.

The failure rate and its series leave the outcome filter out, else they read 100 % or 0 %. The time
chart leaves its own interval out, and tells what lies inside. All agrees with `activitykit.stats`:
failures over root activities, durations by Kaplan and Meier with the running ones counted in.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from activitykit.explorer.cube import BINS_PER_DECADE, N_BINS, SHORTEST_S, VERDICTS
from activitykit.explorer.facets import Array
from activitykit.explorer.selection import TIME, Selection, edges
from activitykit.stats import duration_stats
from activitykit.stats.durations import TOLERANCE
from activitykit.stats.failures import rate_columns

FAILED, CHILD = VERDICTS.index("failed"), VERDICTS.index("child")
DECIDED: Final = VERDICTS.index("success")
"""The greatest verdict that counts in a failure rate."""
_WIDTHS: Final = tuple(
    pd.Timedelta(*width)
    for width in (
        (1, "min"), (5, "min"), (15, "min"), (1, "h"), (3, "h"), (6, "h"), (12, "h"), (1, "D"),
        (7, "D"), (28, "D"), (91, "D"), (364, "D"), (3640, "D"),
    )
)  # fmt: skip
_MOST_BUCKETS: Final = 120
_MONDAY: Final = pd.Timestamp("1970-01-05").value  # for the weeks


@dataclass(frozen=True)
class Headline:
    """The numbers of the cards; times in seconds, rates from 0 to 1, missing as nan.

    ``runs`` to ``ci_high`` are root activities without the outcome filter, as `failure_stats`
    counts them; ``p50_s`` and ``p95_s`` are those of `duration_stats` over the ``matching`` rows.
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


@dataclass(frozen=True)
class Timeline:
    """Rows per bucket of ``createdAt``.

    Attributes
    ----------
    starts
        Beginning of each bucket, UTC; the last value ends the last bucket.
    counts
        By label of the outcome, in the order of the facet.
    n_failed, n_decided
        Failures, and failures and successes, of root activities without the outcome filter.
    inside
        Whether the bucket overlaps the chosen interval.
    left_out
        Matching rows before, and after, the buckets.
    """

    starts: pd.DatetimeIndex
    counts: dict[str, Array]
    n_failed: Array
    n_decided: Array
    inside: Array
    left_out: tuple[int, int]


def headline(selection: Selection) -> Headline:
    """Work out the numbers of the cards."""
    cube, here, rows = selection.cube, selection.rows(), selection.rows("result")
    verdict = np.bincount(cube.verdict[rows], minlength=len(VERDICTS))
    sums = _by_resource(selection, rows)
    rate, low, high, *_ = rate_columns(sums, 0.95, clustered=True)
    p50, p95 = quantiles(selection)
    return Headline(
        matching=len(here),
        total=cube.n,
        runs=len(rows) - int(verdict[CHILD]),
        n_failed=sums["n_failed"],
        n_decided=sums["n_failed"] + sums["n_success"],
        n_resources=sums["n_resources"],
        failure_rate=rate,
        ci_low=low,
        ci_high=high,
        p50_s=p50,
        p95_s=p95,
        n_timed=int(np.count_nonzero(cube.timed[here])),
        n_running=int(np.count_nonzero(cube.running[here])),
    )


def _by_resource(selection: Selection, rows: Array) -> dict[str, int]:
    """Count failures by resource, and the sums from which `failure_stats` takes their spread."""
    cube, size = selection.cube, len(selection.cube.resources)
    verdict, unit = cube.verdict[rows], cube.resource[rows]
    failed = np.bincount(unit[verdict == FAILED], minlength=size + 1)
    decided = np.bincount(unit[verdict <= DECIDED], minlength=size + 1)
    runs = np.bincount(unit[verdict != CHILD], minlength=size + 1)
    return {**spread(failed, decided), "n_resources": int(np.count_nonzero(runs[:size]))}


def spread(failed: Array, decided: Array) -> dict[str, int]:
    """Add up failures and decided runs of each resource as `rate_columns` needs them.

    The last element of both holds the runs without a resource.
    """
    f, m = failed[:-1], decided[:-1]
    return {
        "n_failed": int(failed.sum()),
        "n_success": int(decided.sum() - failed.sum()),
        "units": int(np.count_nonzero(m)),
        "ff": int(f @ f),
        "fm": int(f @ m),
        "mm": int(m @ m),
        "loose_failed": int(failed[-1]),
        "loose": int(decided[-1]),
    }


def quantiles(selection: Selection) -> tuple[float, float]:
    """Give median and 95th percentile of the durations, as `duration_stats` does; seconds."""
    cube = selection.cube
    if selection.delayed:
        # rare enough to leave the way with delayed entry to the statistic itself
        as_of = None if pd.isna(cube.as_of) else cube.as_of
        table = duration_stats(selection.filtered, as_of=as_of)
        found = table[["p50_s", "p95_s"]].to_numpy(dtype=float, na_value=math.nan)
        return tuple(found[0]) if len(found) else (math.nan, math.nan)
    inside = np.zeros(cube.n, dtype=bool)
    inside[selection.rows()] = True
    used = cube.by_length[inside[cube.by_length]]
    ended, seconds = cube.finished[used], cube.seconds[used]
    done, going = seconds[ended], seconds[~ended]
    return survival_quantile(done, going, 0.5), survival_quantile(done, going, 0.95)


def survival_quantile(done: Array, going: Array, q: float) -> float:
    """Give the Kaplan-Meier quantile: the smallest time at which S(t) is at most 1 - q, or nan.

    Parameters
    ----------
    done, going
        Durations of finished rows, and ages of running ones, both ascending.
    q
        Between 0 and 1.

    Notes
    -----
    Between two running rows S falls in proportion to the rows at risk, so only the running ones,
    which are few, need a factor each: r / (r - 1), where r were at risk.
    """
    n = len(done) + len(going)
    at_risk = n - np.searchsorted(done, going, side="right") - np.arange(len(going))
    with np.errstate(divide="ignore"):
        gained = np.concatenate([[0.0], np.cumsum(-np.log1p(-1.0 / at_risk))])

    def reached(k: int) -> bool:
        before = int(np.searchsorted(going, done[k], side="left"))
        left = n - (k + 1) - before
        if left <= 0:
            return True
        return math.log(left / n) + float(gained[before]) <= math.log1p(-q) + TOLERANCE

    k = bisect_left(range(len(done)), True, key=reached)
    return float(done[k]) if k < len(done) else math.nan


def timeline(selection: Selection) -> Timeline:
    """Count rows per bucket of time, and failures among root activities."""
    cube, where = selection.cube, selection.filter
    own = (TIME,) if where.on == "createdAt" else ()
    starts = _buckets(selection)
    cuts = np.searchsorted(cube.created, starts.as_unit("ns").asi8)
    shown, rated = selection.rows(*own), selection.rows("result", *own)
    facet = cube.facets["outcome"]
    outcomes = _per_bucket(facet.codes, shown, cuts, len(facet.labels) + 1)
    verdicts = _per_bucket(cube.verdict, rated, cuts, len(VERDICTS))
    since, until = edges(where) if own else (None, None)
    inside = np.ones(len(starts) - 1, dtype=bool)
    if since is not None:
        inside &= np.asarray(starts[1:] > since)
    if until is not None:
        inside &= np.asarray(starts[:-1] < until)
    return Timeline(
        starts=starts,
        counts={label: outcomes[:, i] for i, label in enumerate(facet.labels)},
        n_failed=verdicts[:, FAILED],
        n_decided=verdicts[:, : DECIDED + 1].sum(axis=1),
        inside=inside,
        left_out=(
            int(np.count_nonzero((shown >= cube.unknown) & (shown < cuts[0]))),
            int(np.count_nonzero(shown >= cuts[-1])),
        ),
    )


def _per_bucket(codes: Array, rows: Array, cuts: Array, size: int) -> Array:
    cuts = np.searchsorted(rows, cuts)
    return np.array(
        [np.bincount(codes[rows[a:b]], minlength=size) for a, b in pairwise(cuts)],
        dtype=np.int64,
    ).reshape(-1, size)


def _buckets(selection: Selection) -> pd.DatetimeIndex:
    """Give the edges of the buckets: the span chosen and as much again on either side.

    They stay with the data, however far beyond it the span reaches.
    Without a span they reach from the newest activity back to the oldest, or, when the oldest
    hundredth is scattered over a long time, to the rest.
    """
    where, created = selection.filter, selection.cube.created
    known = created[selection.cube.unknown :]
    if not len(known):
        return pd.DatetimeIndex([pd.Timestamp(0, tz="UTC")])
    # as integers, because a Timedelta ends at 292 years
    first, most, last = (int(known[place]) for place in (0, len(known) // 100, -1))
    low, high = first if last - first <= 2 * (last - most) else most, last
    since, until = edges(where) if where.on == "createdAt" else (None, None)
    if since is not None or until is not None:
        begin = first if since is None else min(max(since.value, first), last)
        end = last if until is None else min(max(until.value, first), last)
        pad = max(end - begin, 0)
        low, high = max(first, begin - pad), min(last, max(begin, end) + pad)
    fits = [width.value for width in _WIDTHS if (high - low) / width.value < _MOST_BUCKETS]
    width = fits[0] if fits else _WIDTHS[-1].value
    start = _MONDAY + (low - _MONDAY) // width * width
    starts = np.arange(start, high + width + 1, width).view("datetime64[ns]")
    return pd.DatetimeIndex(starts).tz_localize("UTC")


def histogram(selection: Selection) -> pd.DataFrame:
    """Count finished durations on a log scale: ``low_s``, ``high_s`` (seconds) and ``n``."""
    n = np.bincount(selection.cube.bin[selection.rows()], minlength=N_BINS + 1)[:N_BINS]
    at = SHORTEST_S * 10 ** (np.arange(N_BINS + 1) / BINS_PER_DECADE)
    return pd.DataFrame({"low_s": at[:-1], "high_s": at[1:], "n": n})
