"""The two figures as SVG text: widths in percent, so that they fill any host without a script."""

import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
import pandas as pd

from activitykit.explorer.cube import Array
from activitykit.explorer.measures import Headline, Timeline
from activitykit.palette import COLOUR, MARK, NEUTRAL
from activitykit.wording import counted, duration_text

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
        f'<span><i class="ak-swatch" style="background:{fill}"></i>{sign} {escape(", ".join(names))}</span>'
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
    name = f"{counted(int(total.sum()), 'activity').replace('activitys', 'activities')} over time by outcome; below, the failure rate"
    parts = [
        f'<svg height="{height}" role="img" aria-label="{name}">',
        *_scale([(0, "0"), (top / 2, f"{top / 2:,.0f}"), (top, f"{top:,}")], top, _BARS, 0),
        *_stack(line, top),
        f'<text x="0" y="{middle - 6}">Failure rate of root activities</text>',
        *_scale([(0, "0 %"), (highest, f"{highest:.0%}".replace("%", " %"))], highest, _RATE, middle),
        f'<g fill="{COLOUR["error"]}">',
        *_columns(np.nan_to_num(rate) / highest * _RATE, np.full(n, middle + _RATE)),
        "</g>",
        *_outside(line.inside, middle + _RATE),
        *_time_axis(edges, height),
        *_hovers(line, total, rate, middle + _RATE),
        "</svg>",
    ]
    return "".join(parts)


def _stack(line: Timeline, top: float) -> Iterator[str]:
    # failures at the bottom, where their height can be read
    order = sorted(line.counts, key=lambda label: (_FAMILY.get(label) != "error", label == "OK"))
    base = np.full(len(line.starts) - 1, float(_BARS))
    for label in order:
        heights = line.counts[label] / top * _BARS
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
    shown = "%Y-%m-%d" if _step(line.starts) >= pd.Timedelta(1, "D") else "%Y-%m-%d %H:%M"
    for i in np.flatnonzero(total > 0):
        said = [f"{label} {count[i]:,}" for label, count in line.counts.items() if count[i]]
        if not math.isnan(rate[i]):
            said.append(f"failure rate {rate[i]:.1%} of {line.n_decided[i]:,}")
        text = f"{line.starts[i].strftime(shown)} UTC: {', '.join(said)}"
        yield (
            f'<rect x="{100 * i / n:.2f}%" width="{100 / n:.2f}%" height="{height}" fill="transparent">'
            f"<title>{escape(text)}</title></rect>"
        )


def _time_axis(edges: pd.DatetimeIndex, height: float) -> Iterator[str]:
    n = len(edges) - 1
    long = edges[-1] - edges[0] > pd.Timedelta(2, "D")
    years = edges[-1] - edges[0] > pd.Timedelta(400, "D")
    shown = "%b %Y" if years else "%-d %b" if long else "%H:%M"
    last = ""
    for i in range(n):
        text = edges[i].strftime(shown)
        spaced = i % max(1, round(n / 8)) == 0 and i < n - n / 20
        if spaced and text != last:
            yield f'<text x="{100 * i / n:.2f}%" y="{height - 4}" text-anchor="middle">{text}</text>'
            last = text


def _step(edges: pd.DatetimeIndex) -> pd.Timedelta:
    return edges[1] - edges[0]


def histogram_svg(bins: pd.DataFrame, numbers: Headline, height: int = 128) -> str:
    """Draw durations on a log axis with median and 95th percentile."""
    used = np.flatnonzero(bins["n"] > 0)
    low, high = max(used[0] - 2, 0), min(used[-1] + 3, len(bins))
    bins = bins.iloc[low:high]
    left, right = math.log10(bins["low_s"].iloc[0]), math.log10(bins["high_s"].iloc[-1])
    top = _round_up(int(bins["n"].max()))
    plot = height - _AXIS - 18

    def place(seconds: float) -> float:
        return 100 * (math.log10(max(seconds, 1e-9)) - left) / (right - left)

    said = f"Durations: median {duration_text(numbers.p50_s)}, 95th percentile {duration_text(numbers.p95_s)}"
    parts = [
        f'<svg height="{height}" role="img" aria-label="{said}"><svg y="18" height="{plot + _AXIS}">',
        *_scale([(0, "0"), (top / 2, f"{top / 2:,.0f}"), (top, f"{top:,}")], top, plot, 0),
        f'<g fill="{NEUTRAL}">',
        *_columns(bins["n"].to_numpy() / top * plot, np.full(len(bins), float(plot))),
        "</g>",
    ]
    for seconds in _TICKS_S:
        if 2 <= place(seconds) <= 98:
            parts.append(
                f'<text x="{place(seconds):.1f}%" y="{plot + 15}" text-anchor="middle">'
                f"{duration_text(seconds)}</text>"
            )
    parts.append("</svg>")
    for seconds, text, anchor in ((numbers.p50_s, "median", "end"), (numbers.p95_s, "p95", "start")):
        if not math.isnan(seconds) and 0 <= place(seconds) <= 100:
            x = f"{place(seconds):.1f}%"
            shift = -4 if anchor == "end" else 4
            parts.append(
                f'<line class="axis" x1="{x}" x2="{x}" y1="2" y2="{plot + 18}" stroke-dasharray="3 2"/>'
                f'<text x="{x}" dx="{shift}" y="10" text-anchor="{anchor}">{text} {duration_text(seconds)}</text>'
            )
    return "".join([*parts, "</svg>"])


def _round_up(value: float) -> int:
    """Give an even number, at least as great, that halves into a number easy to read."""
    power = 10 ** math.floor(math.log10(max(value, 1)))
    steps = [round(step * power / 10) for step in (10, 12, 16, 20, 24, 30, 40, 60, 80, 100, 200)]
    return next((step for step in steps if step >= max(value, 2) and step % 2 == 0), 2)
