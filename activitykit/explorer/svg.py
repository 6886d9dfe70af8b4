"""The two figures as SVG text: widths in percent, so that they fill any host without a script."""

import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
import pandas as pd

from activitykit.explorer.facets import Array
from activitykit.explorer.measures import EDGES_S, Headline, Timeline
from activitykit.palette import COLOUR, MARK, NEUTRAL
from activitykit.wording import duration_text

_BARS, _RATE, _AXIS = 130, 46, 20
_FAMILY = {
    "OK": "ok", "Warning": "warning", "Error": "error", "Abandoned": "error", "Timed out": "error",
    "Cancelled": "cancelled", "Running": "running", "Queued": "queued",
}  # fmt: skip
_TICKS_S = (0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 6_048_000)


def colour(outcome: str) -> str:
    """Give the colour of an outcome by its label; grey for codes that are not known."""
    return COLOUR.get(_FAMILY.get(outcome, ""), NEUTRAL)


def mark(outcome: str) -> str:
    """Give the symbol of an outcome by its label."""
    return MARK.get(_FAMILY.get(outcome, ""), "?")


def legend(outcomes: Sequence[str]) -> str:
    """Explain the colours; outcomes of one colour share an entry."""
    groups: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        groups.setdefault((colour(outcome), mark(outcome)), []).append(outcome)
    return "".join(
        f'<span><i class="ak-swatch" style="background:{fill}"></i>'
        f"{sign} {escape(', '.join(names))}</span>"
        for (fill, sign), names in groups.items()
    )


def timeline_svg(line: Timeline) -> str:
    """Draw stacked outcomes per bucket, and the failure rate of root activities below."""
    edges = line.starts
    n = len(edges) - 1
    total = sum(line.counts.values(), np.zeros(n, dtype=np.int64))
    top = _round_up(int(total.max(initial=0)))
    rate = np.divide(
        line.n_failed, line.n_decided, out=np.full(n, np.nan), where=line.n_decided > 0
    )
    highest = min(1.0, _round_up(100 * float(np.nanmax(rate, initial=0.0))) / 100) or 1.0
    middle = _BARS + 20
    height = middle + _RATE + _AXIS
    name = f"Activities over time by outcome, {int(total.sum()):,}; below, the failure rate"
    parts = [
        f'<svg height="{height}" role="img" aria-label="{name}">',
        *_scale([(0, "0"), (top / 2, f"{top / 2:,.0f}"), (top, f"{top:,}")], top, _BARS, 0),
        *_stack(line, top),
        f'<text x="0" y="{middle - 6}">Failure rate of root activities</text>',
        *_scale(
            [(0, "0 %"), (highest, f"{highest:.0%}".replace("%", " %"))], highest, _RATE, middle
        ),
        f'<g fill="{COLOUR["error"]}">',
        *_columns(np.nan_to_num(rate) / highest * _RATE, np.full(n, middle + _RATE)),
        "</g>",
        *_outside(line.inside, middle + _RATE),
        *_time_axis(edges, height),
        *_hovers(line, total, rate, middle + _RATE),
        "</svg>",
    ]
    return "".join(parts)


def stacking(series: tuple[str, Array]) -> tuple[bool, bool]:
    """Sort outcomes with failures at the bottom, where their height can be read."""
    return _FAMILY.get(series[0]) != "error", series[0] == "OK"


def _stack(line: Timeline, top: float) -> Iterator[str]:
    base = np.full(len(line.starts) - 1, float(_BARS))
    for label, count in sorted(line.counts.items(), key=stacking):
        heights = count / top * _BARS
        yield f'<g fill="{colour(label)}">'
        yield from _columns(heights, base)
        yield "</g>"
        base = base - heights


def _columns(heights: Array, base: Array) -> Iterator[str]:
    n = len(heights)
    width = 100 / max(n, 1)
    for i in np.flatnonzero(heights > 0):
        high = max(float(heights[i]), 0.7)
        yield (
            f'<rect x="{i * width + 0.08 * width:.2f}%" y="{base[i] - high:.1f}"'
            f' width="{0.84 * width:.2f}%" height="{high:.1f}"/>'
        )


def _scale(
    ticks: Sequence[tuple[float, str]], top: float, height: float, offset: float
) -> Iterator[str]:
    for value, text in ticks:
        y = offset + height * (1 - value / top)
        yield f'<line class="grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{text}</text>'


def _outside(inside: Array, height: float) -> Iterator[str]:
    """Shade what lies outside the chosen interval."""
    width = 100 / max(len(inside), 1)
    for i in np.flatnonzero(~inside):
        yield (
            f'<rect x="{i * width:.2f}%" y="0" width="{width:.2f}%" height="{height}"'
            ' fill="var(--ak-bg, #fff)" opacity=".6"/>'
        )


def _hovers(line: Timeline, total: Array, rate: Array, height: float) -> Iterator[str]:
    """Lay an invisible column over each bucket that tells its numbers."""
    n = len(total)
    shown = "%Y-%m-%d" if line.width >= pd.Timedelta(1, "D") else "%Y-%m-%d %H:%M"
    for i in np.flatnonzero(total > 0).tolist():
        said = [f"{label} {count[i]:,}" for label, count in line.counts.items() if count[i]]
        if not math.isnan(rate[i]):
            said.append(f"failure rate {rate[i]:.1%} of {line.n_decided[i]:,}")
        text = f"{line.starts[i].strftime(shown)} {line.starts.tz}: {', '.join(said)}"
        yield (
            f'<rect x="{100 * i / n:.2f}%" width="{100 / n:.2f}%" height="{height}"'
            f' fill="transparent"><title>{escape(text)}</title></rect>'
        )


def _time_axis(edges: pd.DatetimeIndex, height: float) -> Iterator[str]:
    n = len(edges) - 1
    reach = edges[-1] - edges[0]
    last = ""
    for i in range(0, n - n // 20, max(1, round(n / 8))):
        edge = edges[i]
        if reach > pd.Timedelta(400, "D"):
            text = f"{edge:%b %Y}"
        else:
            text = f"{edge.day} {edge:%b}" if reach > pd.Timedelta(2, "D") else f"{edge:%H:%M}"
        if text != last:
            yield f'<text x="{100 * i / n:.2f}%" y="{height - 4}" text-anchor="middle">'
            yield f"{text}</text>"
            last = text


def histogram_svg(n: Array, numbers: Headline, height: int = 128) -> str:
    """Draw durations on a log axis with median and 95th percentile."""
    used = np.flatnonzero(n)
    first, last = max(used[0] - 2, 0), used[-1] + 3
    n, shown = n[first:last], EDGES_S[first : last + 1]
    left, right = math.log10(shown[0]), math.log10(shown[-1])
    top = _round_up(int(n.max()))
    plot = height - _AXIS - 18

    def place(seconds: float) -> float:
        return 100 * (math.log10(max(seconds, 1e-9)) - left) / (right - left)

    name = f"Durations: median {duration_text(numbers.p50_s)}, p95 {duration_text(numbers.p95_s)}"
    ticks = [(place(seconds), duration_text(seconds)) for seconds in _TICKS_S]
    lines = ((place(numbers.p50_s), "p50", "end", -4), (place(numbers.p95_s), "p95", "start", 4))
    parts = [
        f'<svg height="{height}" role="img" aria-label="{name}">',
        f'<svg y="18" height="{plot + _AXIS}">',
        *_scale([(0, "0"), (top / 2, f"{top / 2:,.0f}"), (top, f"{top:,}")], top, plot, 0),
        f'<g fill="{NEUTRAL}">',
        *_columns(n / top * plot, np.full(len(n), float(plot))),
        "</g>",
        *(
            f'<text x="{x:.1f}%" y="{plot + 15}" text-anchor="middle">{text}</text>'
            for x, text in ticks
            if 2 <= x <= 98
        ),
        "</svg>",
        *(
            f'<line class="axis" x1="{x:.1f}%" x2="{x:.1f}%" y1="2" y2="{plot + 18}"'
            f' stroke-dasharray="3 2"/>'
            f'<text x="{x:.1f}%" dx="{dx}" y="10" text-anchor="{anchor}">{text}</text>'
            for x, text, anchor, dx in lines
            if 0 <= x <= 100
        ),
        "</svg>",
    ]
    return "".join(parts)


def _round_up(value: float) -> int:
    """Give an even number, at least as great, that halves into a number easy to read."""
    power = 10 ** math.floor(math.log10(max(value, 1)))
    steps = [round(step * power / 10) for step in (10, 12, 16, 20, 24, 30, 40, 60, 80, 100, 200)]
    return next((step for step in steps if step >= max(value, 2) and step % 2 == 0), 2)
