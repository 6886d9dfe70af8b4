"""The figures of the board as numbers and short texts: places on an axis, never pixels."""

import math
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from activitykit.explorer import measures, rankings
from activitykit.explorer.measures import EDGES_S, Headline
from activitykit.explorer.selection import Selection
from activitykit.explorer.svg import colour, mark, stacking
from activitykit.explorer.texts import cut
from activitykit.wording import duration_text

Json = dict[str, Any]

_TICKS_S: Final = (0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 6_048_000)


def timeline(selection: Selection) -> Json | None:
    """Give rows per bucket by outcome, and failures; nothing without a time of creation."""
    line = measures.timeline(selection)
    if len(line.starts) < 2:
        return None
    edges_ns = tuple(line.starts.as_unit("ns").asi8.tolist())
    starts, ticks = _time_texts(edges_ns, line.width, selection.scope.tz)
    return {
        "width": duration_text(line.width.total_seconds()),
        "starts": starts,
        "ticks": ticks,
        "series": [
            {"label": label, "mark": mark(label), "colour": colour(label), "n": n.tolist()}
            for label, n in sorted(line.counts.items(), key=stacking)
            if n.any()
        ],
        "failed": line.n_failed.tolist(),
        "decided": line.n_decided.tolist(),
        "inside": [int(np.argmax(line.inside)), int(line.inside.sum())],
        "leftOut": sum(line.left_out),
    }


@lru_cache(maxsize=32)
def _time_texts(
    edges_ns: tuple[int, ...], width: pd.Timedelta, zone: str
) -> tuple[list[str], list[tuple[int, str]]]:
    """Name the edges of the buckets, and some of them for the axis."""
    local, n = pd.DatetimeIndex(edges_ns, tz="UTC").tz_convert(zone), len(edges_ns)
    day = pd.Timedelta(1, "D")
    starts = local.strftime("%Y-%m-%d" if width >= day else "%Y-%m-%d %H:%M").tolist()
    reach = (n - 1) * width
    shape = "%b %Y" if reach > 400 * day else "%-d %b" if reach > 2 * day else "%H:%M"
    found: dict[str, int] = {}
    for i in range(0, n - 1 - n // 20, max(1, round(n / 8))):
        found.setdefault(f"{local[i]:{shape}}", i)
    return starts, [(i, text) for text, i in found.items()]


def histogram(selection: Selection, numbers: Headline) -> Json:
    """Give durations on a log axis, with median and 95th percentile."""
    n = measures.histogram(selection)
    used = np.flatnonzero(n)
    if not len(used):
        return {"bins": [], "hints": [], "ticks": [], "marks": []}
    first, last = max(int(used[0]) - 2, 0), int(used[-1]) + 3
    n, shown = n[first:last], EDGES_S[first : last + 1]
    low, high = float(shown[0]), float(shown[len(n)])
    marks = {"p50": numbers.p50_s, "p95": numbers.p95_s}
    texts = _edge_texts()[first : last + 1]
    return {
        "bins": n.tolist(),
        "hints": [f"{a} – {b}" for a, b in pairwise(texts[: len(n) + 1])],
        "ticks": log_ticks(low, high),
        "marks": [
            [_place(at, low, high), f"{name} {duration_text(at)}"]
            for name, at in marks.items()
            if not math.isnan(at)
        ],
    }


@cache
def _edge_texts() -> list[str]:
    return [duration_text(edge) for edge in EDGES_S]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Place round durations on a log axis from `low` to `high`, as fractions of it."""
    placed = [(_place(at, low, high), duration_text(at)) for at in _TICKS_S]
    return [(at, text) for at, text in placed if 0.02 <= at <= 0.98]


def _place(at: float, low: float, high: float) -> float:
    span = math.log10(high) - math.log10(low)
    return round((math.log10(max(at, 1e-9)) - math.log10(low)) / span, 4) if span else 0.5


def rates(selection: Selection, by: str) -> Json:
    """Give failure rates side by side."""
    found = rankings.rates(selection, by)
    widest = max([0.01, *(one.ci_high for one in found)])
    return {
        "by": by,
        "ticks": [(0, "0 %"), (1, f"{100 * widest:.0f} %")],
        "rows": [
            _line(
                selection, by, one.number, f"{100 * one.failure_rate:.1f} %",
                f"{one.n_failed:,} of {one.n_decided:,} runs failed; 95 % interval"
                f" {100 * one.ci_low:.1f}–{100 * one.ci_high:.1f} %",
                0, one.failure_rate / widest, one.ci_low / widest, one.ci_high / widest,
            )
            for one in found
        ],
    }  # fmt: skip


def lengths(selection: Selection, by: str) -> Json:
    """Give durations side by side."""
    found = rankings.lengths(selection, by)
    reached = [at for one in found for at in (one.p50_s, one.p95_s) if not math.isnan(at)]
    low, high = max(min(reached, default=1), 0.1) / 1.5, max([*reached, 0.1]) * 1.5

    def place(seconds: float) -> float:
        return 1 if math.isnan(seconds) else _place(max(seconds, 0.1), low, high)

    return {
        "by": by,
        "ticks": log_ticks(low, high),
        "rows": [
            _line(
                selection, by, one.number, _reached(one.p50_s),
                f"p50 {_reached(one.p50_s)}, p95 {_reached(one.p95_s)} of {one.n:,} durations",
                place(one.p50_s), place(one.p50_s), place(one.p50_s), place(one.p95_s),
            )
            for one in found
        ],
    }  # fmt: skip


def _line(selection: Selection, by: str, number: int, said: str, hint: str, *ends: float) -> Json:
    """Give a group with the ends of its bar and of its range, as percent of the axis."""
    facet = selection.cube.facets[by]
    return {
        "number": number,
        "label": cut(facet.labels[number]),
        "on": number in selection.chosen(facet),
        "ends": [round(100 * end, 2) for end in ends],
        "said": said,
        "hint": hint,
    }


def _reached(seconds: float) -> str:
    return "not reached" if math.isnan(seconds) else duration_text(seconds)


def reasons(selection: Selection) -> list[Json]:
    """Give why runs failed."""
    return [
        {
            "label": cut(one.signature),
            "key": one.signature,
            "on": one.signature in selection.scope.reasons,
            "n": one.n,
            "resources": one.n_resources,
        }
        for one in rankings.reasons(selection, 8)
    ]


def week(selection: Selection) -> Json:
    """Give activities and failures by hour of the week."""
    counts = rankings.week(selection)
    return {
        "n": counts.n.tolist(),
        "failed": counts.n_failed.tolist(),
        "decided": counts.n_decided.tolist(),
        "on": list(selection.scope.hours),
    }
