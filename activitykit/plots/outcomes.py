"""Figures of how runs ended, over time and up to now."""

from typing import TYPE_CHECKING, Final

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
    name_rows,
    observed,
    percent_scale,
    say,
)
from activitykit.palette import COLOUR
from activitykit.schema import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        What `stats.trend` returned without ``by``; ``bucket`` in the time zone that is drawn. With
        a column ``part`` (share of the bucket that was observed, 0 to 1) and ``offset`` (where in
        the bucket that begins), bars are as narrow as their part.
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
    left, wide = observed(buckets, start, width)
    order = sorted(_STACK, key=lambda part: part[1] != "error")
    for column, key, word, hatch in order:
        if column in buckets and buckets[column].sum():
            count = buckets[column].fillna(0).astype(int)
            # the hatch is cut out in white, which is enough on both backgrounds
            ax.bar(left, count, wide, base, align="edge", color=COLOUR[key],
                   hatch=hatch, edgecolor="white", lw=0, label=word)  # fmt: skip
            base = base + count
    count_scale(ax.yaxis)
    ax.set_ylabel("Runs")
    ax.set_ylim(0, max(float(base.max()) * 1.05, 1))
    legend(ax)
    return ax


_CELLS: Final = (
    # word, colour, marker, face
    ("failed", "error", "X", "full"),
    ("failed in part", "error", "D", "none"),
    ("succeeded", "ok", "s", "full"),
    ("cancelled", "cancelled", "_", "full"),
    ("unknown code", "warning", "v", "full"),
    ("not finished", "running", ">", "full"),
    ("no data", "no data", "s", "none"),
)


def calendar(buckets: pd.DataFrame, *, top: int = 50, ax: "Axes | None" = None) -> "Axes":
    """Mark how the runs of each group ended, bucket by bucket, the worst groups first.

    Parameters
    ----------
    buckets
        What `stats.trend` returned with ``by``, such as ``by=["resource.name", "policy.name"]``.
        Rows with a true ``no_data`` stand for buckets of which nothing is known, others of which
        ``n`` is 0 for buckets without a run.
    top
        How many groups to draw; the figure says how many there were.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A row per group and a mark per bucket; a dot where nothing started, which without
        ``no_data`` may also mean that nothing was loaded.
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
    if "n" in cells:
        unknown = cells["no_data"].astype(bool) if "no_data" in cells else False
        cells = cells[(cells["n"] > 0) | unknown]
    words = _cell_words(cells)
    done = set(zip(cells["bucket"], cells["_y"], strict=True))
    idle = [(x, y) for day, x in middle.items() for y in range(len(rows)) if (day, y) not in done]
    for word, key, marker, face in _CELLS:
        chosen = cells[words == word]
        if len(chosen):
            colour, edge = (COLOUR[key], 1.6) if key in COLOUR else (INK, 0.7)
            ax.plot(chosen["bucket"].map(middle), chosen["_y"], marker, color=colour, ms=8,
                    fillstyle=face, mew=edge, label=word)  # fmt: skip
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
    found = pd.Series(words[5], cells.index).case_when(list(zip(conditions, words, strict=False)))
    return found.mask(cells["no_data"].astype(bool), words[6]) if "no_data" in cells else found


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
