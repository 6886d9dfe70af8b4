"""Figures of how long activities take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from activitykit._axes import (
    ARROW,
    INK,
    axes,
    cap_note,
    duration_axis,
    group_labels,
    mark_legend,
    name_rows,
    percent_scale,
    say,
)
from activitykit.palette import COLOUR, NEUTRAL, SERIES
from activitykit.schema import require
from activitykit.wording import duration_text

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
    mark_legend(ax, [*marks, ("not reached yet", ARROW, COLOUR["running"])])
    ax.set_xlabel(f"Duration, logarithmic{cap_note(len(shown), len(stats), 'groups')}")
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
    ends = [reached[0], edge if missing else reached[-1]] if reached else []
    ax.plot(ends, [y] * len(ends), color=NEUTRAL, lw=7, alpha=0.35, solid_capstyle="butt")
    for value, shape in zip(reached, _SHAPES, strict=False):
        ax.plot([value], [y], shape, color=NEUTRAL, ms=7, mec=NEUTRAL)
    if missing:
        ax.plot([edge], [y], marker=ARROW, color=COLOUR["running"], ms=9, clip_on=False, ls="none")


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


_DASHES: Final = ("-", (0, (5, 1.5)), (0, (2, 1)), (0, (6, 1.5, 1, 1.5)))


def survival(curves: pd.DataFrame, *, top: int = 4, ax: "Axes | None" = None) -> "Axes":
    """Draw the share of runs that last longer than a time, a step curve for each group.

    Parameters
    ----------
    curves
        What `stats.survival` returned; seconds.
    top
        How many groups to draw, those with most runs first; the figure says how many there were.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Time since the start on a logarithmic axis. A curve that ends above 0 ends in an arrow: that
        share outlasts all that is known. The right margin counts runs, and those still running.
    """
    needed = ["duration_s", "survival", "ci_low", "ci_high", "n_finished", "n_running"]
    require(curves.columns, needed, "the figure of survival")
    groups = list(curves.columns[: list(curves.columns).index("duration_s")])
    ax = axes(ax, height=3.0)
    if curves.empty:
        return say(ax, "No durations: nothing in this selection has started.")
    number = pd.Series(0, curves.index)
    if groups:
        number = curves.groupby(groups, dropna=False, sort=False).ngroup()
    ends = curves.assign(_group=number).drop_duplicates("_group", keep="last")
    runs = ends["n_finished"] + ends["n_running"]
    shown = ends.loc[runs.sort_values(ascending=False, kind="stable").index[:top]]
    drawn = curves[number.isin(shown["_group"])]
    duration_axis(ax, drawn.loc[drawn["duration_s"] > 0, ["duration_s"]])
    for place, (name, end) in enumerate(
        zip(group_labels(shown, "duration_s"), shown.to_dict("records"), strict=True)
    ):
        rows = curves[number == end["_group"]]
        counts = {"n": end["n_finished"] + end["n_running"], "n_running": end["n_running"]}
        _curve(ax, rows, place, f"{name}\n{_n_text(counts)}")
    percent_scale(ax.yaxis, ax.set_ylim, 1)
    ax.set_ylabel("Still running, %")
    note = cap_note(len(shown), len(ends), "groups")
    ax.set_xlabel(f"Time since the start, logarithmic; band: confidence interval{note}")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9,
              labelcolor=INK, labelspacing=1.1)  # fmt: skip
    return ax


def _curve(ax: "Axes", rows: pd.DataFrame, place: int, label: str) -> None:
    """Draw one curve from 100 % at the left edge, with its interval."""
    colour, dash = SERIES[place % len(SERIES)], _DASHES[place % len(_DASHES)]
    times = [ax.get_xlim()[0], *rows["duration_s"]]
    ax.step(times, [1, *rows["survival"]], where="post", color=colour, ls=dash, lw=2, label=label)
    low, high = rows["ci_low"].ffill(), rows["ci_high"].ffill()
    ax.fill_between(rows["duration_s"], low, high, step="post", color=colour, alpha=0.2, lw=0)
    if rows["survival"].iloc[-1] > 0:
        ax.plot(times[-1:], rows["survival"].iloc[-1:], ls="none", marker=ARROW, ms=9,
                color=COLOUR["running"], clip_on=False)  # fmt: skip
