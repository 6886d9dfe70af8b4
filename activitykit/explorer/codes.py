"""Rows as small numbers, fused from what is counted together, so that one count answers much."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from activitykit.explorer.facets import Array, Codes, Facet, small

if TYPE_CHECKING:
    from activitykit.explorer.cube import Cube

JOINT: Final = ("outcome", "state", "operation", "plan", "type")
"""Facets of few options, which are counted as one."""

_OTHER, _SUCCESS, _FAILED = range(3)


@dataclass(frozen=True, eq=False)
class Joint:
    """The combinations of the facets of few options, and the option of each in every facet."""

    codes: Codes
    options: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Runs:
    """Root activities by group and resource, with what became of them.

    Attributes
    ----------
    codes
        Three numbers for each pair of group and resource: other, success, failed; and one more for
        the rows that are no roots.
    group
        Of each pair.
    named
        Whether the pair has a resource.
    """

    codes: Codes
    group: Array
    named: Array


@dataclass(frozen=True, eq=False)
class Ranks:
    """Finished rows ordered by group, then by duration; and the running ones among them.

    Attributes
    ----------
    order
        Positions of the finished rows.
    rank
        For each row its place in `order`; as many as there are, for the others.
    starts
        Where each group begins, and the last ends.
    going, going_starts
        Positions of the running rows in the same order, and where each group begins.
    ended_by
        For each of these the end, in `order`, of those of its group that took no longer.
    """

    order: Array
    rank: Array
    starts: Array
    going: Array
    going_starts: Array
    ended_by: Array


def joint(facets: Sequence[Facet]) -> Joint:
    """Fuse facets into one number for each combination that occurs."""
    fused = np.zeros(len(facets[0].codes), dtype=np.int64)
    for facet in facets:
        fused = fused * (len(facet.labels) + 1) + facet.codes
    codes, distinct = pd.factorize(fused)
    options = {}
    for facet in reversed(facets):
        distinct, options[facet.name] = np.divmod(distinct, len(facet.labels) + 1)
    size = len(options[facets[0].name])
    return Joint(Codes(small(codes, size), size), options)


def runs(cube: "Cube", groups: Array, *, failed: int, decided: int, child: int) -> Runs:
    """Fuse the groups with the resources of root activities, and what became of them."""
    units = len(cube.resources) + 1
    pairs, distinct = pd.factorize(groups.astype(np.int64) * units + cube.resource)
    kind = np.full(child + 1, _OTHER)
    kind[: decided + 1] = _SUCCESS
    kind[failed] = _FAILED
    size = 3 * len(distinct)
    codes = np.where(cube.verdict == child, size, 3 * pairs + kind[cube.verdict])
    group, resource = np.divmod(distinct, units)
    return Runs(Codes(small(codes, size), size + 1), group, resource < units - 1)


def ranks(cube: "Cube", groups: Array, n: int) -> Ranks:
    """Order the rows that count in durations by group and duration."""
    by_length = cube.by_length
    ordered = by_length[np.argsort(groups[by_length], kind="stable")]
    done = cube.finished[ordered]
    order, going = ordered[done], ordered[~done]
    rank = np.full(cube.n, len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    edges = np.arange(n + 2)
    starts = np.searchsorted(groups[order], edges)
    going_starts = np.searchsorted(groups[going], edges)
    # of a running row and finished ones of equal length, the order may be either
    seconds = cube.seconds[order]
    ended_by = np.empty(len(going), dtype=np.int64)
    for g in np.unique(groups[going]):
        a, b = going_starts[g : g + 2]
        part = seconds[starts[g] : starts[g + 1]]
        ended_by[a:b] = starts[g] + np.searchsorted(part, cube.seconds[going[a:b]], side="right")
    return Ranks(order, rank, starts, going, going_starts, ended_by)


def failures(runs: Runs, counted: Array, n: int) -> dict[str, Array]:
    """Add up what `rate_columns` needs, for each of n groups."""
    other, success, failed = counted[:-1].reshape(-1, 3).T
    decided, named = success + failed, runs.named

    def summed(values: Any) -> Array:  # noqa: ANN401 - numbers or flags, one for each pair
        sums = np.bincount(runs.group, weights=values, minlength=n)[:n]
        return sums.astype(np.int64)

    return {
        "n": summed(other + decided),
        "n_failed": summed(failed),
        "n_success": summed(success),
        "n_resources": summed(named & (other + decided > 0)),
        "units": summed(named & (decided > 0)),
        "ff": summed(named * failed * failed),
        "fm": summed(named * failed * decided),
        "mm": summed(named * decided * decided),
        "loose_failed": summed(~named * failed),
        "loose": summed(~named * decided),
    }
