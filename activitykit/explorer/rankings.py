"""Groups side by side: resources and reasons by failures, rates and durations by a facet, the week.

A group is counted under all other conditions, as in its facet, so that one can be chosen beside
another; rates leave the outcome filter out.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from activitykit.explorer.codes import failures
from activitykit.explorer.cube import DECIDED, FAILED, VERDICTS
from activitykit.explorer.facets import Array, Facet
from activitykit.explorer.measures import quantiles
from activitykit.explorer.scope import HOURS, REASONS
from activitykit.explorer.selection import Selection
from activitykit.stats.failures import rate_columns

HOURS_A_WEEK: Final = 7 * 24


class Reason(NamedTuple):
    """Why how many root activities failed, on how many resources."""

    signature: str
    domain: str | None
    code: str | None
    n: int
    n_resources: int


class Rate(NamedTuple):
    """The failure rate of a group, with its 95 % interval; all fractions."""

    number: int
    n_failed: int
    n_decided: int
    failure_rate: float
    ci_low: float
    ci_high: float


class Length(NamedTuple):
    """The durations of a group in seconds, nan when not reached, and of how many rows."""

    number: int
    n: int
    p50_s: float
    p95_s: float


class Week(NamedTuple):
    """Activities, and of root activities under any outcome failures and decided ones.

    168 numbers each, Monday 0:00 first.
    """

    n: Array
    n_failed: Array
    n_decided: Array


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


def reasons(selection: Selection, limit: int = 6) -> list[Reason]:
    """Rank why root activities failed, as `failure_reasons` does, by resources touched.

    The chosen reasons are left out of the filter, so that one can be chosen beside another.
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
    return [Reason._make((*cube.reasons[i], int(n[i]), int(n_resources[i]))) for i in there[:limit]]


def _last(*values: str | None) -> Iterator[tuple[bool, str]]:
    """Give keys that sort what is missing last."""
    return ((value is None, value or "") for value in values)


def rates(selection: Selection, by: str, limit: int = 8) -> list[Rate]:
    """Give the failure rates of the groups of a facet that failed most, as `failure_stats` does.

    The group with most failures comes first; groups without a decided run are left out.
    """
    cube, facet = selection.cube, selection.cube.facets[by]
    runs, size = cube.runs(by), len(facet.labels)
    counted = selection.tally(runs.codes, "result", facet.field)
    sums = failures(runs, counted, size)
    failed, decided = sums["n_failed"], sums["n_failed"] + sums["n_success"]
    top = _top(facet, np.lexsort((-decided, -failed)), decided, limit)
    found = []
    for i in top.tolist():
        row = {name: int(values[i]) for name, values in sums.items()}
        rate, low, high, *_ = rate_columns(row, 0.95, clustered=True)
        found.append(Rate(i, int(failed[i]), int(decided[i]), rate, low, high))
    return found


def lengths(selection: Selection, by: str, limit: int = 8) -> list[Length]:
    """Give the durations of the commonest groups of a facet, as `duration_stats` does."""
    cube, facet = selection.cube, selection.cube.facets[by]
    n = selection.tally(cube.timed_by(by), facet.field)[: len(facet.labels)]
    top = _top(facet, np.argsort(-n, kind="stable"), n, limit)
    shown = top.tolist()
    found = zip(shown, quantiles(selection, by, shown), strict=True)
    return [Length(i, int(n[i]), p50, p95) for i, (p50, p95) in found]


def _top(facet: Facet, order: Array, n: Array, limit: int) -> Array:
    """Give the first groups in an order that have any rows."""
    return order[n[order] > 0][: limit if len(facet.labels) > limit else None]


def week(selection: Selection) -> Week:
    """Count activities by the hour of the week of their creation, in the zone of the scope."""
    codes = selection.cube.week(selection.scope.tz)

    def counts(*without: str) -> Array:
        return selection.tally(codes, *without).reshape(-1, len(VERDICTS))[:HOURS_A_WEEK]

    verdicts = counts("result", HOURS)
    decided = verdicts[:, : DECIDED + 1].sum(axis=1)
    return Week(counts(HOURS).sum(axis=1), verdicts[:, FAILED], decided)
