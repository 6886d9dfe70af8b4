"""Groups side by side: resources and reasons by failures, rates and durations by a facet, the week.

A group is counted under all other conditions, as in its facet, so that one can be chosen beside
another; rates leave the outcome filter out.
"""

import math

import numpy as np
import pandas as pd

from activitykit.explorer.cube import VERDICTS
from activitykit.explorer.facets import Array, Facet
from activitykit.explorer.measures import DECIDED, FAILED, spread, survival_quantile
from activitykit.explorer.scope import HOURS, REASONS
from activitykit.explorer.selection import Selection
from activitykit.stats import duration_stats
from activitykit.stats.failures import rate_columns

HOURS_A_WEEK = 7 * 24


def top_resources(selection: Selection, limit: int = 6) -> pd.DataFrame:
    """Rank resources by failures: ``resource``, ``tenant``, ``n_failed``, ``n_decided``.

    Root activities, as `failure_stats` by ``resource.id`` counts them: ids that differ in case only
    are one resource, named by its latest row. ``n_decided`` leaves the outcome filter out.
    """
    cube, size = selection.cube, len(selection.cube.resources) + 1
    rows, rated = selection.rows(), selection.rows("result")
    unit = cube.resource[rows]
    failed = np.bincount(unit[cube.verdict[rows] == FAILED], minlength=size)
    decided = np.bincount(cube.resource[rated[cube.verdict[rated] <= DECIDED]], minlength=size)
    top = np.argsort(-failed, kind="stable")[:limit]
    top = top[failed[top] > 0]
    latest = np.full(size, -1)
    latest[unit] = rows  # of several rows the last one stays
    # by code, because picking rows from a chunked frame takes ten times as long
    names = [
        np.array([*values, None], dtype=object)[codes[latest[top]]]
        for codes, values in map(cube.column, ("resource.name", "resource.id", "tenant.name"))
    ]
    return pd.DataFrame(
        {
            "resource": [name or ident for name, ident in zip(*names[:2], strict=True)],
            "tenant": names[2],
            "n_failed": failed[top],
            "n_decided": decided[top],
        }
    )


def reasons(selection: Selection, limit: int = 6) -> pd.DataFrame:
    """Rank why root activities failed, as `failure_reasons` does, by resources touched.

    The chosen reasons are left out of the filter, so that one can be chosen beside another.

    Returns
    -------
    pandas.DataFrame
        ``signature``, ``domain``, ``code``, ``n``, ``n_resources``.
    """
    cube, rows = selection.cube, selection.rows(REASONS)
    failed = rows[cube.verdict[rows] == FAILED]
    parts = {"signature": cube.signature, "domain": cube.column("result.error.domain"),
             "code": cube.column("result.error.code")}  # fmt: skip
    coded = pd.DataFrame({name: codes[failed] for name, (codes, _) in parts.items()})
    coded["resource"] = cube.resource[failed]
    pairs = coded.groupby([*parts, "resource"], as_index=False).size()
    pairs["named"] = pairs["resource"] < len(cube.resources)
    table = pairs.groupby(list(parts), as_index=False).agg(
        n=("size", "sum"), n_resources=("named", "sum")
    )
    for name, (_, values) in parts.items():
        table[name] = np.array([*values, None], dtype=object)[table[name]]
    table = table.sort_values(
        ["n_resources", "n", "signature", "code", "domain"],
        ascending=[False, False, True, True, True],
    )
    return table.head(limit).reset_index(drop=True)


def rates(selection: Selection, by: str, limit: int = 8) -> pd.DataFrame:
    """Give the failure rates of the groups of a facet that failed most, as `failure_stats` does.

    Returns
    -------
    pandas.DataFrame
        ``number`` (of the option), ``n_failed``, ``n_decided``, ``failure_rate``, ``ci_low``,
        ``ci_high`` (fractions), the group with most failures first; groups without a decided run
        are left out.
    """
    cube, facet = selection.cube, selection.cube.facets[by]
    rows = selection.rows("result", facet.field)
    verdict, size = cube.verdict[rows], len(facet.labels)
    failed_rows, decided_rows = rows[verdict == FAILED], rows[verdict <= DECIDED]
    failed = np.bincount(facet.codes[failed_rows], minlength=size + 1)[:size]
    decided = np.bincount(facet.codes[decided_rows], minlength=size + 1)[:size]
    top = _top(facet, np.lexsort((-decided, -failed)), decided, limit)
    units = len(cube.resources) + 1

    def by_unit(rows: Array) -> Array:
        place = _place(top, size)[facet.codes[rows]]
        rows, place = rows[place < len(top)], place[place < len(top)]
        counts = np.bincount(place * units + cube.resource[rows], minlength=len(top) * units)
        return counts.reshape(len(top), units)

    pairs = zip(by_unit(failed_rows), by_unit(decided_rows), strict=True)
    told = [rate_columns(spread(f, m), 0.95, clustered=True)[:3] for f, m in pairs]
    table = pd.DataFrame(told, columns=["failure_rate", "ci_low", "ci_high"])
    counts = {"number": top, "n_failed": failed[top], "n_decided": decided[top]}
    return pd.DataFrame(counts).join(table)


def lengths(selection: Selection, by: str, limit: int = 8) -> pd.DataFrame:
    """Give the durations of the commonest groups of a facet, as `duration_stats` does.

    Returns
    -------
    pandas.DataFrame
        ``number`` (of the option), ``n`` (rows behind the quantiles), ``p50_s``, ``p95_s``
        (seconds, missing when not reached), the commonest group first.
    """
    cube, facet = selection.cube, selection.cube.facets[by]
    size = len(facet.labels)
    inside = np.zeros(cube.n, dtype=bool)
    inside[selection.rows(facet.field)] = True
    used = cube.by_length[inside[cube.by_length]]
    n = np.bincount(facet.codes[used], minlength=size + 1)[:size]
    top = _top(facet, np.argsort(-n, kind="stable"), n, limit)
    place = _place(top, size)[facet.codes[used]]
    quantiles = []
    for i in range(len(top)):
        group = used[place == i]
        ended, seconds = cube.finished[group], cube.seconds[group]
        quantiles.append(
            [survival_quantile(seconds[ended], seconds[~ended], q) for q in (0.5, 0.95)]
        )
    if selection.delayed:
        quantiles = _delayed(selection, facet, top)
    table = pd.DataFrame(quantiles, columns=["p50_s", "p95_s"], dtype=float)
    return pd.DataFrame({"number": top, "n": n[top]}).join(table)


def _delayed(selection: Selection, facet: Facet, top: Array) -> list[list[float]]:
    """Leave the way with delayed entry, which is rare, to the statistic itself."""
    cube, rows = selection.cube, selection.rows(facet.field)
    frame = selection.filter.noted(cube.df.iloc[cube.order[rows]])
    frame["group"] = facet.codes[rows]
    as_of = None if pd.isna(cube.as_of) else cube.as_of
    table = duration_stats(frame, by="group", as_of=as_of).set_index("group")
    found = table[["p50_s", "p95_s"]].reindex(top)
    return found.to_numpy(dtype=float, na_value=math.nan).tolist()


def _top(facet: Facet, order: Array, n: Array, limit: int) -> Array:
    """Give the first groups in an order that have any rows."""
    return order[n[order] > 0][: limit if len(facet.labels) > limit else None]


def _place(top: Array, size: int) -> Array:
    """Give for each code its place among the top, and one more for all others."""
    place = np.full(size + 1, len(top))
    place[top] = np.arange(len(top))
    return place


def week(selection: Selection) -> pd.DataFrame:
    """Count activities by the hour of the week of their creation, Monday 0:00 first.

    Returns
    -------
    pandas.DataFrame
        ``n``, and of root activities under any outcome ``n_failed``, ``n_decided``; 168 rows, in
        the zone of the scope.
    """
    cube = selection.cube
    hours = cube.hours(selection.scope.tz)
    rows, rated = selection.rows(HOURS), selection.rows("result", HOURS)
    n = np.bincount(hours[rows], minlength=HOURS_A_WEEK + 1)[:HOURS_A_WEEK]
    pairs = hours[rated] * np.uint16(len(VERDICTS)) + cube.verdict[rated]
    size = (HOURS_A_WEEK + 1) * len(VERDICTS)
    verdicts = np.bincount(pairs, minlength=size).reshape(-1, len(VERDICTS))[:HOURS_A_WEEK]
    decided = verdicts[:, : DECIDED + 1].sum(axis=1)
    return pd.DataFrame({"n": n, "n_failed": verdicts[:, FAILED], "n_decided": decided})
