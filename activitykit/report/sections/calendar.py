"""Section 8: how each resource did, day by day."""

from typing import Any, Final

import numpy as np
import pandas as pd

from activitykit import plots
from activitykit.report.content import Column, Figure, Section, Table
from activitykit.report.period import day_starts
from activitykit.report.scope import Scope
from activitykit.report.sections.compare import Row
from activitykit.report.sections.runs import finished, keyed, outcomes
from activitykit.wording import counted

SHOWN: Final = 50
_KEY: Final = ["tenant.uuid", "resource.id"]
_COUNTS: Final = ("n_failed", "n_success", "n_cancelled", "n_unknown")
WORDS: Final = {
    "failed": "Failed", "part": "Failed in part", "good": "Succeeded", "other": "Other",
    "idle": "No run", "unseen": "No data",
}  # fmt: skip


def calendar(scope: Scope) -> Section:
    """Map resources and days, the worst first; what has no data is no day without a run."""
    title = "Day by day" if scope.plain else "Calendar"
    runs = scope.runs_now
    runs = runs[runs["resource.id"].notna()]
    if runs.empty:
        return Section(
            key="calendar", title=title, text=["No run of this period belongs to a resource."]
        )
    cells, resources = _cells(scope, runs)
    worst = resources.head(SHOWN)
    return Section(
        key="calendar", title=title, figures=[_figure(scope, cells, worst, len(resources))],
        tables=[_table(cells, resources)],
    )  # fmt: skip


def _cells(scope: Scope, runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every cell (resource, day) with its counts and word, and the resources ranked."""
    starts = day_starts(scope.period, scope.tz, cut=False)
    runs = keyed(runs)
    number = runs.groupby(_KEY, dropna=False, sort=False, observed=True).ngroup()
    place = starts.searchsorted(runs["startedAt"], side="right") - 1
    done = finished(runs).to_numpy()
    outcome = outcomes(runs, scope.policy).to_numpy()
    flags = {f"n_{word}": done & (outcome == word) for word in
             ("failed", "success", "cancelled", "unknown")}  # fmt: skip
    counts = pd.DataFrame({"number": number.to_numpy(), "day": place, "n": 1, **flags})
    counts = counts.groupby(["number", "day"]).sum()
    every = pd.MultiIndex.from_product([range(number.max() + 1), range(len(starts))],
                                       names=["number", "day"])  # fmt: skip
    cells = counts.reindex(every, fill_value=0).astype("int64").reset_index()
    names = runs.groupby(number, sort=True)[["tenant.id", "tenant.name", "resource.name"]].last()
    cells["no_data"] = _unseen(scope, starts, names)[cells["number"], cells["day"]] & (
        cells["n"] == 0
    )
    cells["word"] = _words(cells)
    bad = cells["n_failed"] > 0
    ranked = names.assign(
        days=bad.groupby(cells["number"]).sum(), failed=cells.groupby("number")["n_failed"].sum()
    ).sort_values(
        ["days", "failed", "tenant.name", "resource.name"], ascending=[False, False, True, True],
        kind="stable",
    )  # fmt: skip
    cells["bucket"] = starts[cells["day"]].tz_convert(scope.tz)
    return cells, ranked


def _unseen(scope: Scope, starts: pd.DatetimeIndex, names: pd.DataFrame) -> Any:  # noqa: ANN401 - an array
    """Tell for each resource and day whether the data leaves out a part of it."""
    ends = [*starts[1:], scope.period.until]
    days = list(
        zip(starts.where(starts >= scope.period.since, scope.period.since), ends, strict=True)
    )
    tenants = names["tenant.id"].unique()
    known = {t: [not scope.seen(t, since, until) for since, until in days] for t in tenants}
    return np.array([known[tenant] for tenant in names["tenant.id"]])


def _words(cells: pd.DataFrame) -> "pd.Series[str]":
    failed, good = cells["n_failed"] > 0, cells["n_success"] > 0
    words = np.select(
        [failed & ~good, failed, good, cells["n"] > 0, cells["no_data"]],
        ["failed", "part", "good", "other", "unseen"],
        "idle",
    )
    return pd.Series(words, cells.index)


def _figure(scope: Scope, cells: pd.DataFrame, worst: pd.DataFrame, total: int) -> Figure:
    rank = {number: at for at, number in enumerate(worst.index)}
    shown = cells[cells["number"].isin(worst.index)]
    shown = shown.assign(rank=shown["number"].map(rank)).sort_values(["rank", "day"])
    shown = shown.join(_told_apart(worst), on="number")
    columns = [*([] if scope.plain else ["tenant.name"]), "resource.name"]
    frame = shown[[*columns, "bucket", "n", *_COUNTS, "no_data"]].reset_index(drop=True)
    what = "resource" if scope.plain else "resource of a tenant"
    cap = f"The {len(worst):,} worst of {total:,} resources. " if total > len(worst) else ""
    return Figure(
        name="calendar", draw=plots.calendar, frame=frame, height=1.1 + 0.24 * len(worst),
        caption=f"{cap}A row is a {what}, a column a day ({scope.tz}); those with most failed days"
        " on top. A dot is a day without a run; an empty square is a day without data, of which"
        f" nothing is known.{_cut(scope)}",
        alt=f"Outcomes by day of {counted(len(worst), 'resource')}; the table below sums them up.",
    )  # fmt: skip


def _cut(scope: Scope) -> str:
    """Say when the period leaves out a part of its first or last day."""
    edges = [edge.tz_convert(scope.tz) for edge in scope.period[:2]]
    if all(edge.tz_localize(None) == edge.tz_localize(None).normalize() for edge in edges):
        return ""
    first, last = (f"{edge:%H:%M}" for edge in edges)
    return f" The first day counts from {first} on, the last one until {last}."


def _told_apart(resources: pd.DataFrame) -> pd.DataFrame:
    """Add numbers to equal names of a tenant's resources, because the figure goes by names."""
    names = resources[["tenant.name", "resource.name"]].fillna("(none)").astype("str")
    again = names.groupby(["tenant.name", "resource.name"]).cumcount()
    number = ("\u00a0(" + (again + 1).astype("str") + ")").where(again > 0, "")
    return names.assign(**{"resource.name": names["resource.name"] + number})


def _table(cells: pd.DataFrame, resources: pd.DataFrame) -> Table:
    worst = cells["number"].isin(resources.index[:SHOWN])
    parts = {"Above": cells[worst], "All others": cells[~worst]}
    rows: list[Row] = [
        {"what": f"{name}: {counted(part['number'].nunique(), 'resource')}"}
        | {word: int(part["word"].eq(word).sum()) for word in WORDS}
        for name, part in parts.items()
        if len(part)
    ]
    return Table(
        name="calendar",
        caption="Days of resources, summed up. “In part” is a day with failed and with good runs;"
        " “other” with cancelled, unfinished or unknown ones only.",
        columns=[
            Column("what", "Resources"),
            *(Column(word, label, "count") for word, label in WORDS.items()),
        ],
        rows=rows, total=len(rows),
    )  # fmt: skip
