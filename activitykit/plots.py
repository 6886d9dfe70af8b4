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
`calendar`              how each group's runs ended, bucket by bucket; from `trend` with ``by``
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
    cap_note,
    check_one_series,
    count_scale,
    duration_axis,
    group_labels,
    legend,
    mark_legend,
    name_rows,
    percent_scale,
    say,
)
from activitykit.palette import COLOUR, NEUTRAL
from activitykit.schema import require
from activitykit.wording import counted, duration_text, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_RATE: Final = ("failure_rate", "ci_low", "ci_high")


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
    require(stats.columns, ["n", "n_running", *(quantiles or ["p50_s"])], "the figure of durations")
    ordered = stats.sort_values(quantiles[0], ascending=False, na_position="first", kind="stable")
    shown = ordered[ordered[quantiles[0]].notna() | (ordered["n_running"] > 0)].head(top)
    ax = axes(ax, rows=len(shown))
    if shown[quantiles].isna().all(axis=None):
        return say(ax, "No durations: nothing in this selection has finished.")
    duration_axis(ax, shown[quantiles])
    edge = ax.get_xlim()[1]
    records = shown.to_dict("records")
    for y, row in enumerate(records):
        _strip(ax, y, [row[name] for name in quantiles], edge)
    name_rows(ax, group_labels(shown, "n"), [_n_text(row) for row in records])
    pairs = zip(quantiles, _SHAPES, strict=False)
    marks = [(name.removesuffix("_s"), shape, NEUTRAL) for name, shape in pairs]
    mark_legend(ax, [*marks, ("not reached yet", _ARROW, COLOUR["running"])])
    ax.set_xlabel(f"Duration, logarithmic{cap_note(len(shown), len(stats), 'groups')}")
    return ax


def _is_quantile(name: str) -> bool:
    return name.startswith("p") and name.endswith("_s") and name[1:-2].replace(".", "").isdigit()


def _n_text(row: "dict[Any, Any]") -> str:
    running = f", {row['n_running']:,} still running" if row["n_running"] else ""
    return f"n = {row['n']:,}{running}"


_SHAPES: Final = ("o", "D", ">", "s", "^")
_ARROW: Final = 9  # matplotlib's marker that points to the right from its place


def _strip(ax: "Axes", y: int, values: Sequence[float], edge: float) -> None:
    reached = [max(value, 0.001) for value in pd.Series(values).dropna()]
    missing = len(reached) < len(values)
    ends = [reached[0], edge if missing else reached[-1]] if reached else []
    ax.plot(ends, [y] * len(ends), color=NEUTRAL, lw=7, alpha=0.35, solid_capstyle="butt")
    for value, shape in zip(reached, _SHAPES, strict=False):
        ax.plot([value], [y], shape, color=NEUTRAL, ms=7, mec=NEUTRAL)
    if missing:
        ax.plot([edge], [y], marker=_ARROW, color=COLOUR["running"], ms=9, clip_on=False, ls="none")


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
    check_one_series(buckets)
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
    require(buckets.columns, ["bucket", *_RATE], "the figure of failure rates")
    check_one_series(buckets)
    known = buckets[buckets["failure_rate"].notna()]
    ax = axes(ax, height=1.9)
    if known.empty:
        return say(ax, "No failure rates: no run of this selection has succeeded or failed.")
    start, width = bucket_axis(ax, buckets["bucket"])
    middle = (start + width * BAR / 2)[buckets["failure_rate"].notna().to_numpy()]
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
    names = [name for name in ("tenant.name", "resource.name") if name in shown]
    name_rows(ax, group_labels(shown[[*names, "elapsed_s"]], "elapsed_s"), texts)
    note = cap_note(len(shown), len(late), "overdue runs")
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


_CELLS: Final = (
    # word, colour, marker, face
    ("failed", "error", "X", "full"),
    ("failed in part", "error", "D", "none"),
    ("succeeded", "ok", "s", "full"),
    ("cancelled", "cancelled", "_", "full"),
    ("unknown code", "warning", "v", "full"),
    ("not finished", "running", ">", "full"),
)


def calendar(buckets: pd.DataFrame, *, top: int = 50, ax: "Axes | None" = None) -> "Axes":
    """Mark how the runs of each group ended, bucket by bucket, the worst groups first.

    Parameters
    ----------
    buckets
        What `stats.trend` returned with ``by``, such as ``by=["resource.name", "policy.name"]``.
    top
        How many groups to draw; the figure says how many there were.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A row per group and a mark per bucket; a dot where nothing started, which may also mean
        that nothing was loaded.
    """
    require(
        buckets.columns,
        ["bucket", "n_success", "n_failed", "n_cancelled", "n_unknown"],
        "the figure",
    )
    groups = list(buckets.columns[: list(buckets.columns).index("bucket")])
    if not groups:
        raise ValueError("the calendar shows groups: call trend() with by")
    number = buckets.groupby(groups, dropna=False, sort=False).ngroup()
    worst = (
        (buckets["n_failed"] > 0).groupby(number).sum().sort_values(ascending=False, kind="stable")
    )
    place = pd.Series(range(len(worst)), index=worst.index).reindex(number).to_numpy()
    cells = buckets.assign(_y=place)[place < top]
    rows = cells.drop_duplicates("_y").sort_values("_y")
    ax = axes(ax, rows=len(rows))
    if cells.empty:
        return say(ax, "No runs in this selection.")
    days = cells["bucket"].drop_duplicates().sort_values(ignore_index=True)
    start, width = bucket_axis(ax, days)
    middle = dict(zip(days, start + width * BAR / 2, strict=True))
    words = _cell_words(cells)
    done = set(zip(cells["bucket"], cells["_y"], strict=True))
    idle = [(x, y) for day, x in middle.items() for y in range(len(rows)) if (day, y) not in done]
    for word, key, marker, face in _CELLS:
        chosen = cells[words == word]
        if len(chosen):
            ax.plot(chosen["bucket"].map(middle), chosen["_y"], marker, color=COLOUR[key], ms=8,
                    fillstyle=face, mew=1.6, label=word)  # fmt: skip
    if idle:
        ax.plot(*zip(*idle, strict=True), ".", color=INK, ms=3, label="no run")
    name_rows(ax, group_labels(rows, "bucket"), [""] * len(rows))
    legend(ax)
    note = cap_note(len(rows), len(worst), "groups")
    ax.set_xlabel(f"{ax.get_xlabel()}{note}")
    return ax


def _cell_words(cells: pd.DataFrame) -> "pd.Series[str]":
    conditions = [
        (cells["n_failed"] > 0) & (cells["n_success"] == 0),
        cells["n_failed"] > 0,
        cells["n_success"] > 0,
        cells["n_cancelled"] > 0,
        cells["n_unknown"] > 0,
    ]
    words = [word for word, *_ in _CELLS]
    return pd.Series(words[-1], cells.index).case_when(list(zip(conditions, words, strict=False)))
