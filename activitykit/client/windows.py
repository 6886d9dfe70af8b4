"""How a long load is cut into windows of time that take about equally long to fetch."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from math import ceil
from typing import Final, NamedTuple

import msgspec
import pandas as pd

from activitykit.client.transport import Params
from activitykit.client.walk import Listing, side_by_side
from activitykit.errors import ApiError
from activitykit.filters import Filter
from activitykit.schema import parse_time

Bounds = tuple[int | None, int | None]
"""Half-open interval in nanoseconds since 1970; None where it is open-ended."""

_ROUNDS: Final = 5
_NARROWEST_NS: Final = 1_000


class _Created(msgspec.Struct):
    created_at: str | None = msgspec.field(name="createdAt", default=None)


class Window(NamedTuple):
    """A half-open interval of time, and about how many rows lie in it."""

    bounds: Bounds
    rows: float


class _Part(NamedTuple):
    start: int
    end: int
    rows: float


def window_queries(
    listing: Listing, where: Filter, params: Params, first: Sequence[msgspec.Raw], workers: int
) -> tuple[list[Params], int]:
    """Give queries that together bring the rows of one, largest first, and how many there are.

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

    total = untimed = 0
    if bounds == (None, None):
        total, untimed = _counts(listing, [others, without_time], workers)
    windows = plan_windows(count, bounds, span, workers=workers, page_size=listing.page_size)
    rows = round(sum(window.rows for window in windows)) + untimed
    if total > rows or len(windows) <= 2:
        return [], rows
    queries: list[Params] = [[*others, *_within(window.bounds)] for window in windows]
    return ([*queries, without_time] if untimed else queries), rows


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
) -> list[Window]:
    """Cut an interval into adjoining windows, the largest first.

    Parameters
    ----------
    count
        Tells how many rows the service has in each of the given intervals.
    bounds
        The interval, which the windows cover without a gap.
    span
        Where in it the rows are believed to be; only the quality of the cut depends on it.
    workers
        How many windows are fetched at a time; there are about two for each worker.
    page_size
        Rows that one request brings; windows are not made smaller than that.
    """
    edges = {span[0]: bounds[0], span[1]: bounds[1]}

    def counted(parts: Sequence[_Part]) -> list[_Part]:
        rows = count([(edges.get(p.start, p.start), edges.get(p.end, p.end)) for p in parts])
        return [p._replace(rows=n) for p, n in zip(parts, rows, strict=True)]

    parts = counted(_cut(_Part(*span, 0), workers))
    for _ in range(_ROUNDS):
        share = sum(part.rows for part in parts) / workers
        heavy = [p for p in parts if p.rows > 1.5 * max(share, page_size) and _can_be_cut(p)]
        if not heavy:
            break
        pieces = [piece for p in heavy for piece in _cut(p, ceil(2 * p.rows / share))]
        parts = sorted([p for p in parts if p not in heavy] + counted(pieces))
    # two for each worker even out the work; more would have more half-empty last pages
    fair = max(page_size, share / 2)
    even = [piece for p in parts for piece in _cut(p, max(1, round(p.rows / fair)))]
    by_size = sorted(_merged(even, 1.2 * fair), key=lambda p: -p.rows)
    return [Window((edges.get(p.start, p.start), edges.get(p.end, p.end)), p.rows) for p in by_size]


def _can_be_cut(part: _Part) -> bool:
    return part.end - part.start > _NARROWEST_NS


def _cut(part: _Part, pieces: int) -> list[_Part]:
    """Cut into pieces of the same length, believed to hold the same number of rows."""
    length = part.end - part.start
    edges = sorted({part.start + length * n // pieces for n in range(pieces + 1)})
    rows = part.rows / (len(edges) - 1)
    return [_Part(a, b, rows) for a, b in pairwise(edges)]


def _merged(parts: Sequence[_Part], most: float) -> list[_Part]:
    """Join neighbours that are small together; an empty part is kept, rows may still arrive."""
    joined = [parts[0]]
    for part in parts[1:]:
        last = joined[-1]
        if last.rows + part.rows <= most:
            joined[-1] = _Part(last.start, part.end, last.rows + part.rows)
        else:
            joined.append(part)
    return joined
