"""Figures of what runs at the same time, and when."""

from typing import TYPE_CHECKING, Final

import pandas as pd

from activitykit._axes import (
    INK,
    axes,
    bucket_axis,
    cap_note,
    check_one_series,
    clock_axis,
    count_scale,
    date_numbers,
    duration_scale,
    group_labels,
    legend,
    name_rows,
    say,
)
from activitykit.palette import COLOUR, NEUTRAL
from activitykit.schema import note, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def concurrency(buckets: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Draw how many runs were going on at once: the mean of each bucket, and its maximum.

    Parameters
    ----------
    buckets
        What `stats.concurrency` returned.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Runs at once; the dotted line counts those that were still running at the end of the data.
    """
    require(buckets.columns, ["bucket", "mean", "max"], "the figure of concurrency")
    ax = axes(ax, height=2.4)
    if buckets.empty:
        return say(ax, "No runs in this selection.")
    start, width = bucket_axis(ax, buckets["bucket"], "Time")
    edges = [*start, start[-1] + width]
    ax.stairs(buckets["max"], edges, color=NEUTRAL, lw=1, label="maximum")
    ax.stairs(buckets["mean"], edges, color=COLOUR["running"], fill=True, alpha=0.45, label="mean")
    ax.stairs(buckets["mean"], edges, color=COLOUR["running"], lw=1.8)
    if "n_open" in buckets and buckets["n_open"].sum():
        ax.stairs(buckets["n_open"], edges, color=COLOUR["cancelled"], lw=1.6, ls=":",
                  label="still running at the end")  # fmt: skip
    count_scale(ax.yaxis)
    ax.set_ylim(0)
    ax.set_ylabel("Runs at once")
    legend(ax)
    return ax


_HEAT: Final = {
    # column: label, colour
    "n": ("Runs started", NEUTRAL),
    "queue_p50_s": ("Queue time, median", COLOUR["running"]),
    "queue_p95_s": ("Queue time, 95th percentile", COLOUR["running"]),
    "ci_low": ("Failed, at least", COLOUR["error"]),
}
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def weekly_load(hours: pd.DataFrame, value: str = "n", *, ax: "Axes | None" = None) -> "Axes":
    """Draw a number for each hour of the week as a heat map.

    Parameters
    ----------
    hours
        What `stats.weekly_load` returned without ``by``.
    value
        Column to draw: ``n``, ``queue_p50_s``, ``queue_p95_s``, or ``ci_low``: the failure rate
        that an hour has at least, because one failure out of one run is no hot spot.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Weekdays from above, hours of the time zone's clocks from the left; the stronger, the more.
        A dot where there is no number, mostly because nothing started.

    Raises
    ------
    ValueError
        When `hours` is split by groups, or `value` is another column.
    """
    require(hours.columns, ["weekday", "hour", value], "the figure of the week")
    check_one_series(hours, "weekday", "weekly_load")
    if value not in _HEAT:
        raise ValueError(f"value={value!r}; give one of {', '.join(_HEAT)}")
    ax = axes(ax, height=2.8)
    if hours[value].isna().all():
        return say(ax, "No runs in this selection." if hours.empty else "No numbers to draw.")
    grid = hours.set_index(["weekday", "hour"])[value].unstack("hour")  # noqa: PD010 - no aggregate
    grid = grid.reindex(index=range(7), columns=range(24))
    _heat(ax, grid, value)
    days, clock = grid.isna().to_numpy().nonzero()
    ax.plot(clock, days, ".", color=INK, ms=3)
    ax.set_xticks(range(0, 24, 3), [f"{hour:02}:00" for hour in range(0, 24, 3)])
    name_rows(ax, _WEEKDAYS, [""] * 7, room=0.5)
    ax.grid(visible=False)
    zone = note(hours, "tz")
    ax.set_xlabel(f"Hour of the start{f' ({zone})' if zone else ''}; dot: none")
    return ax


def _heat(ax: "Axes", grid: pd.DataFrame, value: str) -> None:
    """Shade the cells; from nearly transparent, so that little is little on any background."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba
    from matplotlib.ticker import PercentFormatter

    label, colour = _HEAT[value]
    # a scale of 50 shades and more would be drawn as an image of pixels
    ends = [to_rgba(colour, 0.08), to_rgba(colour, 1)]
    shades = LinearSegmentedColormap.from_list(label, ends, N=32)
    highest = max(grid.to_numpy()[grid.notna().to_numpy()].max(), 1e-9)
    mesh = ax.pcolormesh(range(24), range(7), grid, cmap=shades, vmin=0, vmax=highest,
                         edgecolors="none", shading="nearest")  # fmt: skip
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=12)
    bar.outline.set_visible(False)
    if bar.solids is not None:  # or the page shines through between two shades
        bar.solids.set_edgecolor("face")
    bar.ax.patch.set_alpha(0)
    bar.ax.tick_params(colors=INK, labelsize=9, length=0)
    bar.set_label(label, color=INK, fontsize=9)
    if value.endswith("_s"):
        duration_scale(bar.ax.yaxis, highest)
    elif value == "ci_low":
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=int(highest < 0.1)))
    else:
        count_scale(bar.ax.yaxis)


_BARS: Final = (
    # word, result codes, colour, marker at the end, hatch
    ("ok", ("ok",), "ok", "s", ""),
    ("warning", ("warning",), "warning", "^", ""),
    ("error, abandoned, timed out", ("error", "abandoned", "timedout"), "error", "X", "////"),
    ("cancelled", ("cancelled",), "cancelled", "_", "----"),
    ("other result", (), "queued", "v", "xxxx"),
    ("still running", (), "running", ">", ""),
)


def gantt(
    runs: pd.DataFrame, *, tz: str = "UTC", top: int = 30, ax: "Axes | None" = None
) -> "Axes":
    """Draw the runs of a night as bars, a row for each resource, the earliest start on top.

    Parameters
    ----------
    runs
        Rows of what `stats.durations` returned, such as the root activities that started in one
        night. Legacy events, and rows without a duration, are not drawn.
    tz
        Name of the time zone of the axis, such as "Europe/Berlin".
    top
        How many resources to draw, those that were busy longest; the figure says how many there
        were.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A bar from start to end, coloured, hatched and marked at its end by its result code, which
        is not yet an outcome: a run that a user stopped may say error. Runs that overlap share the
        height of their row; those still running end in an arrow.
    """
    require(runs.columns, ["startedAt", "duration_s", "running", "legacy", "result.code",
                           "resource.name"], "the figure of a night")  # fmt: skip
    timed = runs[(runs["duration_s"] >= 0) & ~runs["legacy"]].sort_values("startedAt")
    names = [name for name in ("tenant.name", "resource.name") if name in timed]
    shown, lanes, total = _lanes(timed, names, top)
    ax = axes(ax, rows=len(lanes))
    if shown.empty:
        return say(ax, "Nothing ran in this selection.")
    _bars(ax, shown)
    telling = [name for name in names if (lanes[name] != lanes[name].iloc[0]).any()]
    labels = lanes[[*(telling or names), "_y"]]
    name_rows(ax, group_labels(labels, "_y"), [""] * len(lanes))
    clock_axis(ax, shown["startedAt"].min(), shown["_end"].max(), tz)
    legend(ax)
    ax.set_xlabel(f"{ax.get_xlabel()}{cap_note(len(lanes), total, 'resources')}")
    return ax


def _lanes(
    runs: pd.DataFrame, names: list[str], top: int
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Place the runs of the busiest resources; give them, one run of each row, and all rows."""
    lane = runs.groupby(names, dropna=False, sort=False).ngroup()
    busy = runs["duration_s"].groupby(lane).sum().nlargest(top)
    shown = runs[lane.isin(busy.index)]
    row = {number: y for y, number in enumerate(lane[lane.isin(busy.index)].unique())}
    end = shown["startedAt"] + pd.to_timedelta(shown["duration_s"], unit="s")
    shown = shown.assign(_y=lane.map(row), _end=end, _word=_words(shown))
    return shown, shown.drop_duplicates("_y"), lane.nunique()


def _words(runs: pd.DataFrame) -> "pd.Series[str]":
    word = {code: word for word, codes, *_ in _BARS for code in codes}
    named = runs["result.code"].map(word).fillna("other result")
    return named.mask(runs["running"].astype(bool), "still running")


def _bars(ax: "Axes", runs: pd.DataFrame) -> None:
    """Draw the bars class by class; those that overlap in a row get a track each."""
    tracks = [track for _, lane in runs.groupby("_y") for track in _tracks(lane)]
    runs = runs.sort_values("_y", kind="stable").assign(_track=tracks)
    height = 0.8 / (runs.groupby("_y")["_track"].transform("max") + 1)
    middle = runs["_y"] - 0.4 + height * (runs["_track"] + 0.5)
    start, end = date_numbers(runs["startedAt"]), date_numbers(runs["_end"])
    for word, _, key, shape, hatch in _BARS:
        these = (runs["_word"] == word).to_numpy()
        if these.any():
            y, colour = middle[these], COLOUR[key]
            ax.barh(y, (end - start)[these], height[these] * 0.9, start[these], color=colour,
                    hatch=hatch, edgecolor="white", lw=0, alpha=0.75)  # fmt: skip
            ax.plot(end[these], y, shape, color=colour, ms=6, mew=1.6, label=word, clip_on=False)


def _tracks(lane: pd.DataFrame) -> list[int]:
    """Give each run of a row, in the order of their starts, the first track that is free."""
    free: list[pd.Timestamp] = []
    given = []
    for start, end in zip(lane["startedAt"], lane["_end"], strict=True):
        track = next((n for n, until in enumerate(free) if until <= start), len(free))
        free[track : track + 1] = [end]
        given.append(track)
    return given
