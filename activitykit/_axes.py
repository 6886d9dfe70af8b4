"""The furniture of every figure: transparent axes, grey ink, readable time and duration scales."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.wording import duration_text, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#797979"
"""Text and axes: about 4.3 : 1 against white and against JupyterLab's dark background."""

_ROW, _WIDTH = 0.34, 8.0  # inches
BAR = 0.84  # of the bucket that a bar fills
ARROW: Final = 9  # matplotlib's marker that points to the right from its place
_TICKS: Final = (
    0.001, 0.01, 0.1, 1, 5, 15, 60, 300, 900, 3_600, 4 * 3_600, 12 * 3_600, 86_400, 3 * 86_400,
    7 * 86_400, 30 * 86_400, 90 * 86_400,
)  # fmt: skip


def axes(ax: "Axes | None", *, rows: float | None = None, height: float = 2.4) -> "Axes":
    if ax is None:
        ax = _new_axes(height if rows is None else max(rows, 1) * _ROW + 1.0)
    ax.patch.set_alpha(0)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    ax.tick_params(colors=INK, labelsize=9)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(9)
    ax.grid(axis="x" if rows is not None else "y", color=INK, alpha=0.25, lw=0.6)
    ax.set_axisbelow(True)
    return ax


def _new_axes(height: float) -> "Axes":
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ConfigError("figures need matplotlib: pip install 'activitykit[report]'") from error
    figure, ax = plt.subplots(figsize=(_WIDTH, height), layout="constrained")
    figure.patch.set_alpha(0)
    return ax


def say(ax: "Axes", text: str) -> "Axes":
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, color=INK, ha="center", va="center", transform=ax.transAxes)
    return ax


def name_rows(
    ax: "Axes", labels: Sequence[str], texts: Sequence[str], *, room: float = 0.6
) -> None:
    # names may hold dollar signs, which are no formulas
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.tick_params(axis="y", length=0, pad=9)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(len(labels) - 1 + room, -room)
    for y, text in enumerate(texts):
        ax.annotate(text, (1, y), (12, 0), ax.get_yaxis_transform(), "offset points", color=INK,
                    va="center", fontsize=9, annotation_clip=False)  # fmt: skip


def bucket_axis(
    ax: "Axes", buckets: "pd.Series[Any]", what: str = "Start of the run"
) -> "tuple[Any, float]":
    """Set up a time axis in the zone of the buckets; give their starts and width in days."""
    zone = buckets.dt.tz
    start = date_numbers(buckets)
    step = pd.Timedelta(buckets.diff().median() if len(buckets) > 1 else "1D")
    width = step / pd.Timedelta(1, "D")
    if width >= 1:
        # days are named below their middle, as many as fit
        every = -(-len(buckets) // 14)
        names = [
            _day_text(day, weekday=every == 1, year=len(buckets) * width > 300)
            for day in buckets[::every]
        ]
        ax.set_xticks(start[::every] + width * BAR / 2, names)
    else:
        _moments(ax, zone)
    ax.set_xlim(start[0], start[-1] + width)
    ax.set_xlabel(f"{what}, per {_step_text(step)} ({zone})")
    return start, width


def observed(buckets: pd.DataFrame, start: Any, width: float) -> tuple[Any, Any]:  # noqa: ANN401
    """Give the left edges and widths of bars, narrow where only a part of a bucket was observed."""
    if "part" not in buckets:
        return start, width * BAR
    return start + buckets["offset"] * width * BAR, buckets["part"] * width * BAR


def date_numbers(times: "pd.Series[Any]") -> Any:  # noqa: ANN401 - an array
    """Turn times with a zone into matplotlib's days."""
    mdates: Any = import_module("matplotlib.dates")  # its functions carry no types
    return mdates.date2num(times.dt.tz_convert("UTC").dt.tz_localize(None))


def clock_axis(ax: "Axes", first: pd.Timestamp, last: pd.Timestamp, tz: str) -> None:
    """Set up a time axis for a span, in a named time zone."""
    begin, end = date_numbers(pd.Series([first, last]))
    pad = max((end - begin) * 0.02, 1 / 86_400)
    ax.set_xlim(begin - pad, end + pad)
    _moments(ax, tz)
    ax.set_xlabel(f"Time, from {first.tz_convert(tz):%Y-%m-%d %H:%M} ({tz})")


def _moments(ax: "Axes", zone: Any) -> None:  # noqa: ANN401 - a zone or its name
    from matplotlib.ticker import FuncFormatter

    mdates: Any = import_module("matplotlib.dates")
    ax.xaxis.set_major_locator(mdates.AutoDateLocator(tz=zone, minticks=3, maxticks=9))
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda at, _: _moment_text(pd.Timestamp(mdates.num2date(at, zone))))
    )


def _day_text(day: pd.Timestamp, *, weekday: bool, year: bool = False) -> str:
    name = f"{day.day} {day.month_name()[:3]}{f' {day.year}' if year else ''}"
    return f"{day.day_name()[:3]}\n{name}" if weekday else name


def _moment_text(moment: pd.Timestamp) -> str:
    midnight = moment.hour == moment.minute == 0
    return _day_text(moment, weekday=False) if midnight else f"{moment:%H:%M}"


def _step_text(step: pd.Timedelta) -> str:
    hours = round(step.total_seconds() / 3_600)
    named = {1: "hour", 24: "day", 168: "week"}
    return named.get(hours) or (
        "month" if 660 < hours < 750 else duration_text(step.total_seconds())
    )


def duration_axis(ax: "Axes", values: pd.DataFrame) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    low = max(float(values.min().min()), 0.001) / 1.4
    high = max(float(values.max().max()), 0.001) * 1.4
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    while len(ticks) > 9:
        ticks = ticks[::2]
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(FixedLocator(ticks or [low * 1.4]))
    ax.xaxis.set_major_formatter(
        FixedFormatter([duration_text(tick) for tick in ticks or [low * 1.4]])
    )
    ax.xaxis.set_minor_locator(NullLocator())


def duration_scale(axis: Any, highest: float) -> None:  # noqa: ANN401 - either axis
    """Set ticks at full minutes, hours or days, from 0."""
    step = next((tick for tick in _TICKS if tick >= highest / 5), _TICKS[-1])
    ticks = [number * step for number in range(int(highest / step) + 1)]
    axis.set_ticks(ticks, labels=[duration_text(tick) for tick in ticks])


def percent_scale(axis: Any, set_limits: Any, highest: float) -> None:  # noqa: ANN401 - either axis
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1))
    set_limits(0, min(max(highest * 1.08, 0.01), 1.02))


def count_scale(axis: Any) -> None:  # noqa: ANN401 - either axis
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def mark_legend(ax: "Axes", marks: Sequence[tuple[str, Any, str]]) -> None:
    """Explain marks by their label, shape and colour."""
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], ls="none", marker=shape, color=colour, ms=7, label=label)
        for label, shape, colour in marks
    ]
    legend(ax, keys)


def legend(ax: "Axes", keys: "Sequence[Any] | None" = None) -> None:
    handles = keys if keys is not None else ax.get_legend_handles_labels()[0]
    ax.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(handles),
              frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.5)  # fmt: skip


def group_labels(frame: pd.DataFrame, first: str) -> list[str]:
    """Name each row by its group columns, which stand before the numbers."""
    groups = list(frame.columns[: list(frame.columns).index(first)])
    if not groups:
        return ["all"] * len(frame)
    return [
        " · ".join(short(part, 34 // min(len(groups), 2)) for part in row)
        for row in frame[groups].itertuples(index=False, name=None)
    ]


def cap_note(shown: int, total: int, what: str) -> str:
    return "" if shown == total else f"\n{shown:,} of {total:,} {what} shown"


def check_one_series(table: pd.DataFrame, first: str = "bucket", made_by: str = "trend") -> None:
    if table.columns[0] != first:
        groups = ", ".join(map(str, table.columns[: list(table.columns).index(first)]))
        raise ValueError(
            f"the figure shows one series, and this {made_by} is split by {groups};"
            f" select the rows of one group and drop the column(s), or call {made_by}() without by"
        )
