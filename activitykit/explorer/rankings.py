"""Groups side by side: resources and reasons by failures, rates and durations by a facet, the week.

A group is counted under all other conditions, as in its facet, so that one can be chosen beside
another; rates leave the outcome filter out.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from activitykit.explorer.codes import failures
from activitykit.explorer.cube import DECIDED, FAILED, VERDICTS
from activitykit.explorer.facets import Array, Facet
from activitykit.explorer.measures import quantiles
from activitykit.explorer.scope import HOURS, REASONS
from activitykit.explorer.selection import Selection
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
    cube, units = selection.cube, len(selection.cube.resources) + 1
    here = selection.inside(REASONS)[cube.failed]
    reason, resource = cube.reason[here], cube.resource[cube.failed[here]]
    n = np.bincount(reason, minlength=len(cube.reasons))
    pairs = pd.unique(reason * units + resource)
    touched = pairs[pairs % units < units - 1] // units
    n_resources = np.bincount(touched, minlength=len(cube.reasons))
    there = np.flatnonzero(n).tolist()
    # a missing code or domain comes last, as pandas sorts
    there.sort(key=lambda i: (
        -n_resources[i], -n[i], cube.reasons[i][0], *_last(cube.reasons[i][2], cube.reasons[i][1]),
    ))  # fmt: skip
    top = there[:limit]
    told = pd.DataFrame([cube.reasons[i] for i in top], columns=["signature", "domain", "code"])
    return told.assign(n=n[top], n_resources=n_resources[top])


def _last(*values: str | None) -> Iterator[tuple[bool, str]]:
    """Give keys that sort what is missing last."""
    return ((value is None, value or "") for value in values)


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
    runs, size = cube.runs(by), len(facet.labels)
    counted = selection.tally(runs.codes, "result", facet.field)
    sums = failures(runs, counted, size)
    failed, decided = sums["n_failed"], sums["n_failed"] + sums["n_success"]
    top = _top(facet, np.lexsort((-decided, -failed)), decided, limit)
    told = [
        rate_columns({name: int(values[i]) for name, values in sums.items()}, 0.95, clustered=True)
        for i in top
    ]
    columns = ["failure_rate", "ci_low", "ci_high"]
    table = pd.DataFrame([rate[:3] for rate in told], columns=columns, dtype=float)
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
    n = selection.tally(cube.timed_by(by), facet.field)[: len(facet.labels)]
    top = _top(facet, np.argsort(-n, kind="stable"), n, limit)
    table = pd.DataFrame(
        quantiles(selection, by, top.tolist()), columns=["p50_s", "p95_s"], dtype=float
    )
    return pd.DataFrame({"number": top, "n": n[top]}).join(table)


def _top(facet: Facet, order: Array, n: Array, limit: int) -> Array:
    """Give the first groups in an order that have any rows."""
    return order[n[order] > 0][: limit if len(facet.labels) > limit else None]


def week(selection: Selection) -> pd.DataFrame:
    """Count activities by the hour of the week of their creation, Monday 0:00 first.

    Returns
    -------
    pandas.DataFrame
        ``n``, and of root activities under any outcome ``n_failed``, ``n_decided``; 168 rows, in
        the zone of the scope.
    """
    codes = selection.cube.week(selection.scope.tz)

    def counts(*without: str) -> Array:
        return selection.tally(codes, *without).reshape(-1, len(VERDICTS))[:HOURS_A_WEEK]

    verdicts = counts("result", HOURS)
    return pd.DataFrame(
        {
            "n": counts(HOURS).sum(axis=1),
            "n_failed": verdicts[:, FAILED],
            "n_decided": verdicts[:, : DECIDED + 1].sum(axis=1),
        }
    )
