"""One figure per statistic: a function draws what the function of its name in `stats` returned.

Figures take the small tidy frame and never the activities, and compute nothing but positions:

======================  ==========================================================================
`duration_stats`        strips from p50 to p95 per group, with the runs still going
`failure_stats`         failure rates as points with intervals, those that surely fail most first
`trend`                 outcomes per time bucket, stacked
`failure_trend`         the failure rate of the same buckets, with its interval
`failure_reasons`       Pareto of failure signatures
`concurrency`           how many runs were going on at once, mean and maximum
`overdue`               running activities: time so far against what their kind still needs
`last_good`             ages of the last good runs, as a cumulative curve
======================  ==========================================================================

With ``ax=None`` a figure of its own is made through pyplot, as pandas and seaborn do, so that a
notebook shows it; given an ``ax``, pyplot is not touched. Backgrounds are transparent and all ink
is a mid-grey with about 4.3 : 1 against both, so that a figure reads on white and on dark alike.
Colours come from `palette` and never stand alone: a shape, a hatch or a word goes with each.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from activitykit._axes import (
    BAR,
    INK,
    axes,
    bucket_axis,
    count_scale,
    duration_axis,
    legend,
    name_rows,
    percent_scale,
    say,
)
from activitykit.palette import COLOUR, NEUTRAL
from activitykit.schema import require
from activitykit.wording import counted, duration_text, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def duration_stats(stats: pd.DataFrame, *, top: int = 20, ax: "Axes | None" = None) -> "Axes":
    """Draw a strip from the median to the 95th percentile for each group, longest median first.

    Parameters
    ----------
    stats
        What `stats.duration_stats` returned; seconds.
    top
        How many groups to draw; the figure says how many there were.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Durations on a logarithmic axis. A quantile that is not reached, because too many runs are
        still going, ends in an arrow. The right margin counts runs, and those still running.
    """
    quantiles = [name for name in stats.columns if _is_quantile(name)]
    require(stats.columns, ["n", "n_running"], "the figure of durations")
    if not quantiles:
        require(stats.columns, ["p50_s"], "the figure of durations")
    ordered = stats.sort_values(quantiles[0], ascending=False, na_position="last", kind="stable")
    shown = ordered[ordered[quantiles[0]].notna()].head(top)
    ax = axes(ax, rows=len(shown))
    if shown.empty:
        return say(ax, "No durations: nothing in this selection has finished.")
    duration_axis(ax, shown[quantiles])
    edge = ax.get_xlim()[1]
    for y, row in enumerate(shown.to_dict("records")):
        _strip(ax, y, [row[name] for name in quantiles], edge)
    counts = [_n_text(row) for row in shown.to_dict("records")]
    name_rows(ax, _labels(shown, "n"), counts)
    _quantile_legend(ax, quantiles)
    ax.set_xlabel(f"Duration, logarithmic{_cap(len(shown), len(stats), 'groups')}")
    return ax


def _is_quantile(name: str) -> bool:
    return name.startswith("p") and name.endswith("_s") and name[1:-2].replace(".", "").isdigit()


def _n_text(row: "dict[Any, Any]") -> str:
    running = f", {row['n_running']:,} still running" if row["n_running"] else ""
    return f"n = {row['n']:,}{running}"


_SHAPES: Final = ("o", "D", ">", "s", "^")


def _strip(ax: "Axes", y: int, values: Sequence[float], edge: float) -> None:
    reached = [max(value, 0.001) for value in pd.Series(values).dropna()]
    missing = len(reached) < len(values)
    end = edge if missing else reached[-1]
    ax.plot([reached[0], end], [y, y], color=NEUTRAL, lw=7, alpha=0.35, solid_capstyle="butt")
    for value, shape in zip(reached, _SHAPES, strict=False):
        ax.plot([value], [y], shape, color=NEUTRAL, ms=7, mec=NEUTRAL)
    if missing:
        ax.plot([edge], [y], marker=9, color=COLOUR["running"], ms=9, clip_on=False, ls="none")


def _quantile_legend(ax: "Axes", quantiles: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], ls="none", marker=shape, color=NEUTRAL, ms=7, label=name.removesuffix("_s"))
        for name, shape in zip(quantiles, _SHAPES, strict=False)
    ]
    arrow = Line2D(
        [], [], ls="none", marker=9, color=COLOUR["running"], ms=9, label="not reached yet"
    )
    legend(ax, [*keys, arrow])


def failure_stats(stats: pd.DataFrame, *, top: int = 20, ax: "Axes | None" = None) -> "Axes":
    """Draw failure rates as points with their intervals, those that surely fail most first.

    Parameters
    ----------
    stats
        What `stats.failure_stats` returned.
    top
        How many groups to draw; the figure says how many there were.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Rates in percent, sorted by the lower end of the interval; a filled diamond where something
        failed, an open circle where nothing did. The right margin says how many of how many.
    """
    require(
        stats.columns, ["n_success", "n_failed", "failure_rate", "ci_low", "ci_high"], "the figure"
    )
    known = stats[stats["failure_rate"].notna()]
    shown = known.sort_values(
        ["ci_low", "failure_rate"], ascending=False, kind="stable"
    ).head(top)  # fmt: skip
    ax = axes(ax, rows=len(shown))
    if shown.empty:
        return say(ax, "No failure rates: no run of this selection has succeeded or failed.")
    for y, row in enumerate(shown.to_dict("records")):
        ax.plot([row["ci_low"], row["ci_high"]], [y, y], color=NEUTRAL, lw=2.5, alpha=0.8)
        failed = row["n_failed"] > 0
        colour = COLOUR["error" if failed else "ok"]
        face = colour if failed else "none"
        ax.plot([row["failure_rate"]], [y], "D" if failed else "o", ms=7, color=colour, mfc=face,
                clip_on=False)  # fmt: skip
    decided = shown["n_failed"] + shown["n_success"]
    counts = [f"{f:,} of {n:,} failed" for f, n in zip(shown["n_failed"], decided, strict=True)]
    name_rows(ax, _labels(shown, "n"), counts)
    percent_scale(ax.xaxis, ax.set_xlim, shown["ci_high"].max())
    note = _cap(len(shown), len(stats), "groups")
    ax.set_xlabel(f"Failed, % of runs that succeeded or failed; line: confidence interval{note}")
    return ax


_STACK: Final = (
    # column, colour, word, hatch
    ("n_success", "ok", "succeeded", ""),
    ("n_failed", "error", "failed", "////"),
    ("n_cancelled", "cancelled", "cancelled", "----"),
    ("n_unknown", "warning", "unknown code", "xxxx"),
)


def trend(buckets: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Stack the outcomes of each time bucket, failures at the bottom where they line up.

    Parameters
    ----------
    buckets
        What `stats.trend` returned without ``by``; ``bucket`` in the time zone that is drawn.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Numbers of runs by the time that they started.
    """
    require(buckets.columns, ["bucket", "n_success", "n_failed"], "the figure of outcomes")
    _one_series(buckets)
    ax = axes(ax, height=2.8)
    if buckets.empty:
        return say(ax, "No runs in this selection.")
    start, width = bucket_axis(ax, buckets["bucket"])
    base = pd.Series(0, index=buckets.index)
    order = sorted(_STACK, key=lambda part: part[1] != "error")
    for column, key, word, hatch in order:
        if column in buckets and buckets[column].sum():
            count = buckets[column].fillna(0).astype(int)
            # the hatch is cut out in white, which is enough on both backgrounds
            ax.bar(start, count, width * BAR, base, align="edge", color=COLOUR[key],
                   hatch=hatch, edgecolor="white", lw=0, label=word)  # fmt: skip
            base = base + count
    count_scale(ax.yaxis)
    ax.set_ylabel("Runs")
    ax.set_ylim(0, max(float(base.max()) * 1.05, 1))
    legend(ax)
    return ax


def failure_trend(buckets: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the failure rate of each time bucket with its confidence interval.

    Parameters
    ----------
    buckets
        What `stats.trend` returned without ``by``.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Rates in percent: a diamond where something failed, an open circle where nothing did.
        Buckets in which no run succeeded or failed stay empty.
    """
    require(buckets.columns, ["bucket", "failure_rate", "ci_low", "ci_high"], "the figure of rates")
    _one_series(buckets)
    known = buckets[buckets["failure_rate"].notna()]
    ax = axes(ax, height=1.9)
    if known.empty:
        return say(ax, "No failure rates: no run of this selection has succeeded or failed.")
    start, width = bucket_axis(ax, buckets["bucket"])
    middle = (start + width * BAR / 2)[buckets["failure_rate"].notna().to_numpy()]
    ax.vlines(middle, known["ci_low"], known["ci_high"], color=NEUTRAL, lw=2.5, alpha=0.8)
    failed = known["failure_rate"] > 0
    ax.plot(middle[failed], known["failure_rate"][failed], "D", ms=5, color=COLOUR["error"])
    ax.plot(middle[~failed], known["failure_rate"][~failed], "o", ms=5, color=COLOUR["ok"],
            mfc="none", clip_on=False)  # fmt: skip
    percent_scale(ax.yaxis, ax.set_ylim, known["ci_high"].max())
    ax.set_ylabel("Failed, %")
    return ax


def failure_reasons(reasons: pd.DataFrame, *, top: int = 10, ax: "Axes | None" = None) -> "Axes":
    """Draw a Pareto of failure signatures, in the order of the frame.

    Parameters
    ----------
    reasons
        What `stats.failure_reasons` returned: ranked by resources touched.
    top
        How many signatures to draw; the figure says how many there were.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A bar per signature counts the resources that it touched; the text beside counts the runs.
    """
    require(reasons.columns, ["signature", "n", "n_resources"], "the figure of reasons")
    shown = reasons.head(top)
    ax = axes(ax, rows=len(shown) * 1.5)
    if shown.empty:
        return say(ax, "No failures in this selection.")
    ax.barh(range(len(shown)), shown["n_resources"], 0.34, color=COLOUR["error"], hatch="////",
            edgecolor="white", lw=0)  # fmt: skip
    for y, row in enumerate(shown.to_dict("records")):
        ax.text(0, y - 0.26, short(row["signature"], 92), color=INK, va="bottom",
                parse_math=False, clip_on=False, fontsize=9)  # fmt: skip
    counts = [
        f"{counted(resources, 'resource')}, {counted(runs, 'run')}"
        for resources, runs in zip(shown["n_resources"], shown["n"], strict=True)
    ]
    name_rows(ax, [""] * len(shown), counts, room=0.75)
    ax.set_xlim(0)
    count_scale(ax.xaxis)
    ax.set_xlabel(f"Resources touched{_cap(len(shown), len(reasons), 'signatures')}")
    return ax


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
                  label="never ended so far")  # fmt: skip
    count_scale(ax.yaxis)
    ax.set_ylim(0)
    ax.set_ylabel("Runs at once")
    legend(ax)
    return ax


def overdue(running: pd.DataFrame, *, top: int = 15, ax: "Axes | None" = None) -> "Axes":
    """Draw how long running activities have taken and how long such runs still need.

    Parameters
    ----------
    running
        What `stats.overdue` returned; rows that are not overdue are left out.
    top
        How many activities to draw; the figure says how many there were.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Time since the start on a logarithmic axis; a thin line adds the conditional median of the
        time left.
    """
    require(running.columns, ["elapsed_s", "remaining_p50_s", "overdue"], "the figure")
    late = running[running["overdue"].fillna(value=False).astype(bool)]
    shown = late.sort_values("elapsed_s", ascending=False, kind="stable").head(top)
    ax = axes(ax, rows=len(shown))
    if shown.empty:
        return say(ax, "Nothing is overdue.")
    duration_axis(ax, shown[["elapsed_s"]])
    for y, row in enumerate(shown.to_dict("records")):
        so_far = row["elapsed_s"]
        ax.plot([ax.get_xlim()[0], so_far], [y, y], color=COLOUR["running"], lw=7)
        if not pd.isna(row["remaining_p50_s"]):
            ax.plot([so_far, so_far + row["remaining_p50_s"]], [y, y], color=NEUTRAL, lw=2)
        ax.plot([so_far], [y], ">", color=COLOUR["running"], ms=9)
    texts = [duration_text(seconds) for seconds in shown["elapsed_s"]]
    name_rows(ax, _labels(shown, "elapsed_s", leave_out=("id", "type")), texts)
    note = _cap(len(shown), len(late), "overdue runs")
    ax.set_xlabel(f"Running for, logarithmic; thin line: usual time left{note}")
    return ax


def last_good(ages: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the ages of the last good runs as a cumulative curve.

    Parameters
    ----------
    ages
        What `stats.last_good` returned: one row per resource and plan.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        For each age the share of resources and plans whose last good run is at most so old. Those
        that never had one keep the curve below 100 %; a sentence counts them.
    """
    require(ages.columns, ["age_s", "never"], "the figure of last good runs")
    known = ages["age_s"].dropna().clip(lower=1).sort_values()
    ax = axes(ax, height=2.4)
    if known.empty:
        return say(ax, "No resource of this selection has had a good run.")
    duration_axis(ax, known.to_frame())
    share = [rank / len(ages) for rank in range(len(known) + 1)]
    ax.step([ax.get_xlim()[0], *known], share, where="post", color=COLOUR["ok"], lw=2)
    never = int(ages["never"].sum())
    percent_scale(ax.yaxis, ax.set_ylim, 1)
    ax.set_ylabel("Resources and plans, %")
    ax.set_xlabel(f"Age of the last good run, logarithmic; {never:,} never had one")
    return ax


def _labels(frame: pd.DataFrame, first: str, *, leave_out: Sequence[str] = ()) -> list[str]:
    """Name each row by its group columns, which stand before the numbers."""
    groups = [
        name for name in frame.columns[: list(frame.columns).index(first)] if name not in leave_out
    ]
    if not groups:
        return ["all"] * len(frame)
    return [
        " · ".join(short(part, 34 // min(len(groups), 2)) for part in row)
        for row in frame[groups].itertuples(index=False, name=None)
    ]


def _cap(shown: int, total: int, what: str) -> str:
    return "" if shown == total else f"\n{shown:,} of {total:,} {what} shown"


def _one_series(buckets: pd.DataFrame) -> None:
    if buckets.columns[0] != "bucket":
        groups = ", ".join(map(str, buckets.columns[: list(buckets.columns).index("bucket")]))
        raise ValueError(
            f"the figure shows one series, and this trend is split by {groups};"
            " select the rows of one group and drop the column(s), or call trend() without by"
        )
