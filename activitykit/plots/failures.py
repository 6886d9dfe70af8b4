"""Figures of how often activities fail, and why."""

from typing import TYPE_CHECKING, Final

import pandas as pd

from activitykit._axes import (
    INK,
    axes,
    bucket_axis,
    cap_note,
    check_one_series,
    count_scale,
    group_labels,
    name_rows,
    observed,
    percent_scale,
    say,
)
from activitykit.palette import COLOUR, NEUTRAL
from activitykit.schema import require
from activitykit.wording import counted, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_RATE: Final = ("failure_rate", "ci_low", "ci_high")


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
    require(stats.columns, ["n_success", "n_failed", *_RATE], "the figure of failure rates")
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
    name_rows(ax, group_labels(shown, "n"), counts)
    percent_scale(ax.xaxis, ax.set_xlim, shown["ci_high"].max())
    note = cap_note(len(shown), len(stats), "groups")
    ax.set_xlabel(f"Failed, % of runs that succeeded or failed; line: confidence interval{note}")
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
    require(buckets.columns, ["bucket", *_RATE], "the figure of failure rates")
    check_one_series(buckets)
    known = buckets[buckets["failure_rate"].notna()]
    ax = axes(ax, height=1.9)
    if known.empty:
        return say(ax, "No failure rates: no run of this selection has succeeded or failed.")
    start, width = bucket_axis(ax, buckets["bucket"])
    left, wide = observed(buckets, start, width)
    middle = (left + wide / 2)[buckets["failure_rate"].notna().to_numpy()]
    ax.vlines(middle, known["ci_low"], known["ci_high"], color=NEUTRAL, lw=2.5, alpha=0.8)
    for at, rate in zip(middle, known["failure_rate"], strict=True):
        key, shape, face = ("error", "D", None) if rate else ("ok", "o", "none")
        ax.plot([at], [rate], shape, ms=5, color=COLOUR[key], mfc=face, clip_on=False)
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
    ax.set_xlabel(f"Resources touched{cap_note(len(shown), len(reasons), 'signatures')}")
    return ax
