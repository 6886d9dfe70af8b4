"""How a long load is cut into windows of time that take about equally long to fetch."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, pairwise, starmap
from math import ceil
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from activitykit.client.transport import Params
from activitykit.client.walk import Listing, side_by_side
from activitykit.errors import ApiError
from activitykit.filters import Filter
from activitykit.moments import parse_time

Bounds = tuple[int | None, int | None]
"""Half-open interval in nanoseconds since 1970; None where it is open-ended."""

_ROUNDS: Final = 5
_UNEVEN: Final = 1.1  # how much larger than believed a window often is
_NARROWEST_NS: Final = 1_000


class _Created(msgspec.Struct):
    created_at: str | None = msgspec.field(name="createdAt", default=None)


class Plan(NamedTuple):
    """Windows, how many rows there are in all, and how many of these are in no window."""

    windows: list[Bounds]
    rows: int
    outside: int


class _Part(NamedTuple):
    start: int
    end: int
    rows: int


def window_queries(
    listing: Listing, where: Filter, params: Params, first: Sequence[msgspec.Raw], workers: int
) -> tuple[list[Params], int]:
    """Give queries that together bring the rows of one, and how many there are.

    Only ``createdAt`` never changes, so windows are cut over it whatever field is filtered.

    Parameters
    ----------
    listing, params
        Where, and the query to be cut.
    where
        The filter from which the query was made.
    first
        The items of its first page.
    workers
        How many requests are under way at a time.

    Returns
    -------
    tuple
        No queries when some rows are in no window, or when there is little to gain.

    Raises
    ------
    ApiError
        When the service does not count, or not within bounds.
    """
    others = [(key, value) for key, value in params if key != "createdAt"]
    without_time = [*others, ("createdAt", "isnull()")]
    bounds = _bounds(where)
    span = _likely_span(first, bounds)
    if span[0] >= span[1]:
        return [], 0

    def count(intervals: Sequence[Bounds]) -> list[int]:
        return _counts(listing, [[*others, *_within(one)] for one in intervals], workers)

    plan = plan_windows(count, bounds, span, workers=workers, page_size=listing.page_size)
    queries: list[Params] = [[*others, *_within(window)] for window in plan.windows]
    if len(queries) <= 2:
        return [], plan.rows
    if bounds != (None, None) or plan.outside <= 0:
        return queries, plan.rows
    # there are rows without a time, or some came while counting; new ones only add to this count
    untimed, *timed = _counts(listing, [without_time, *queries], workers)
    if plan.rows > untimed + sum(timed):
        return [], plan.rows
    return ([*queries, without_time] if untimed else queries), untimed + sum(timed)


def _counts(listing: Listing, queries: Sequence[Params], workers: int) -> list[int]:
    def job(number: int, stop: threading.Event) -> Iterator[tuple[int, int]]:
        rows = listing.count(queries[number], stop)
        if rows is None:
            raise ApiError("the service does not count")
        yield number, rows

    jobs = [partial(job, number) for number in range(len(queries))]
    found = dict(side_by_side(jobs, workers, listing.transport.abort))
    return [found[number] for number in range(len(queries))]


def _bounds(where: Filter) -> Bounds:
    """Give the interval of createdAt that a filter asks for, in nanoseconds."""
    moments = (where.since, where.until) if where.on == "createdAt" else (None, None)
    since, until = (m.value if isinstance(m, pd.Timestamp) else None for m in moments)
    return since, until


def _within(bounds: Bounds) -> Params:
    since, until = (None if ns is None else pd.Timestamp(ns, tz="UTC") for ns in bounds)
    return Filter(since=since, until=until).params()


def _likely_span(first: Sequence[msgspec.Raw], bounds: Bounds) -> tuple[int, int]:
    """Guess from the first page, which has the oldest rows, since when there are rows."""
    now = time.time_ns()
    created = (msgspec.json.decode(item, type=_Created).created_at for item in first)
    times = sorted(moment for moment in map(parse_time, created) if moment is not None)
    # the middle one, because a single odd time would stretch the span
    oldest = times[len(times) // 2] if times else now
    return max(oldest, bounds[0] or oldest), min(now, bounds[1] or now)


def plan_windows(
    count: Callable[[Sequence[Bounds]], Sequence[int]],
    bounds: Bounds,
    span: tuple[int, int],
    *,
    workers: int,
    page_size: int,
) -> Plan:
    """Cut an interval into adjoining windows that are believed to hold equally many rows.

    Parameters
    ----------
    count
        Tells how many rows the service has in each of the given intervals.
    bounds
        The interval, which the windows cover without a gap.
    span
        Where in it the rows are believed to be; only the quality of the cut depends on it.
    workers
        How many windows are fetched at a time.
    page_size
        Rows that one request brings.
    """
    outer = {span[0]: bounds[0], span[1]: bounds[1]}

    def bounds_of(start: int, end: int) -> Bounds:
        return outer.get(start, start), outer.get(end, end)

    def counted(parts: Sequence[_Part]) -> list[_Part]:
        rows = count([bounds_of(part.start, part.end) for part in parts])
        return [part._replace(rows=n) for part, n in zip(parts, rows, strict=True)]

    # together with the whole there are as many counts as workers, so this takes one round trip
    whole, *parts = counted([_Part(*span, 0), *_cut(_Part(*span, 0), max(2, workers - 1))])
    for _ in range(_ROUNDS):
        share = sum(part.rows for part in parts) / workers
        heavy = [p for p in parts if p.rows > 1.5 * max(share, page_size) and _can_be_cut(p)]
        if not heavy:
            break
        pieces = [piece for p in heavy for piece in _cut(p, ceil(2 * p.rows / share))]
        parts = sorted([p for p in parts if p not in heavy] + counted(pieces))
    inside = sum(part.rows for part in parts)
    edges = _even_edges(parts, _how_many(inside, workers, page_size))
    return Plan(list(starmap(bounds_of, pairwise(edges))), whole.rows, whole.rows - inside)


def _can_be_cut(part: _Part) -> bool:
    return part.end - part.start > _NARROWEST_NS


def _cut(part: _Part, pieces: int) -> list[_Part]:
    """Cut into pieces of the same length."""
    length = part.end - part.start
    edges = sorted({part.start + length * n // pieces for n in range(pieces + 1)})
    return [_Part(a, b, 0) for a, b in pairwise(edges)]


def _how_many(rows: int, workers: int, page_size: int) -> int:
    """Choose one or two windows a worker, whichever takes fewer round trips; two are more even."""

    def round_trips(windows: int) -> int:
        return windows // workers * (int(_UNEVEN * rows / windows / page_size) + 1)

    best = min(2 * workers, workers, key=round_trips)
    # smaller windows than half a page would be many requests for little
    return max(1, min(best, ceil(2 * rows / page_size)))


def _even_edges(parts: Sequence[_Part], windows: int) -> list[int]:
    """Cut where equally many rows lie between, were they evenly spread over each part."""
    start, end = parts[0].start, parts[-1].end
    rows = [0, *accumulate(part.rows for part in parts)]
    shares = [rows[-1] * n / windows for n in range(1, windows)]
    cuts = np.interp(shares, rows, [0, *(part.end - start for part in parts)])
    return sorted({start, *(start + int(cut) for cut in cuts), end})
