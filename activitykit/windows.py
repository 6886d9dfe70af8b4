"""How a long load is cut into windows of time that take about equally long to fetch."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Final, NamedTuple

Bounds = tuple[int | None, int | None]
"""Half-open interval in nanoseconds since 1970; None where it is open-ended."""

_ROUNDS: Final = 5
_NARROWEST_NS: Final = 1_000


class Window(NamedTuple):
    """A half-open interval of time, and about how many rows lie in it."""

    bounds: Bounds
    rows: float


class _Part(NamedTuple):
    start: int
    end: int
    rows: float


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
        fair = max(page_size, sum(p.rows for p in parts) / (2 * workers))
        heavy = [p for p in parts if p.rows > 3 * fair and p.end - p.start > _NARROWEST_NS]
        if not heavy:
            break
        finer = counted([piece for p in heavy for piece in _cut(p, ceil(p.rows / fair))])
        parts = sorted([p for p in parts if p not in heavy] + finer)
    even = [piece for p in parts for piece in _cut(p, max(1, round(p.rows / fair)))]
    by_size = sorted(_merged(even, 1.2 * fair), key=lambda p: -p.rows)
    return [Window((edges.get(p.start, p.start), edges.get(p.end, p.end)), p.rows) for p in by_size]


def _cut(part: _Part, pieces: int) -> list[_Part]:
    """Cut into pieces of the same length, believed to hold the same number of rows."""
    length = part.end - part.start
    edges = sorted({part.start + length * n // pieces for n in range(pieces + 1)})
    rows = part.rows / (len(edges) - 1)
    return [_Part(a, b, rows) for a, b in zip(edges, edges[1:], strict=False)]


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
