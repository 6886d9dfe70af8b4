"""Section 3: the tenants side by side."""

from collections.abc import Hashable
from typing import Any, Final

import pandas as pd

from activitykit import plots, stats
from activitykit.report.content import Column, Figure, Section, Table
from activitykit.report.period import day_starts
from activitykit.report.scope import Scope
from activitykit.report.sections.compare import Row, cap_text, rate_cells
from activitykit.report.sections.freshness import Ages
from activitykit.report.sections.runs import finished, outcomes

SHOWN: Final = 15
_TENANT: Final = ["tenant.name", "tenant.id"]


def tenants(scope: Scope, ages: Ages) -> Section:
    """Compare the tenants, those that surely fail most first."""
    both = stats.failure_stats(scope.runs_both, by=["now", *_TENANT], policy=scope.policy)
    during = both["now"].astype(bool)
    table = both[during].drop(columns="now").reset_index(drop=True)
    past: dict[Hashable, Row] = {row["tenant.id"]: row for row in both[~during].to_dict("records")}
    withheld = table["tenant.id"].map(scope.is_partial).astype(bool)
    ordered = table.assign(ci_low=table["ci_low"].mask(withheld)).sort_values(
        ["ci_low", "failure_rate"], ascending=False, na_position="last", kind="stable"
    )
    shown = table.loc[ordered.index[:SHOWN]]
    sparks = _failed_by_day(scope, shown["tenant.id"])
    worst = _worst(ages.table)
    rows = [
        {
            **row,
            **rate_cells(row, past.get(row["tenant.id"]), withheld=withheld[at]),
            "n_before": past[row["tenant.id"]]["n"] if row["tenant.id"] in past else None,
            "worst": worst.get(row["tenant.id"]),
            "days": sparks.get(row["tenant.id"]),
        }
        for at, row in zip(shown.index, shown.to_dict("records"), strict=True)
    ]
    drawn = shown[~withheld.loc[shown.index]].drop(columns="tenant.id")
    return Section(
        key="tenants", title="In numbers" if scope.plain else "Tenants",
        figures=[_figure(drawn)] if len(drawn) > 1 else [],
        tables=[_table(scope, rows, len(table))],
    )  # fmt: skip


def _figure(drawn: pd.DataFrame) -> Figure:
    return Figure(
        name="tenants", draw=plots.failure_stats, frame=drawn, height=1.0 + 0.3 * len(drawn),
        caption="Failure rates with their 95 % intervals. A wide line means few runs or few"
        " resources.",
        alt="Failure rate with its interval for each tenant; the table below has the numbers.",
    )  # fmt: skip


def _table(scope: Scope, rows: list[Row], total: int) -> Table:
    order = "" if scope.plain else (
        "First those that surely fail most: sorted by the lower end of the interval. "
    )  # fmt: skip
    before = (
        f"“Before” is {scope.before.name}; change in percentage points, “unclear” where its"
        " interval includes zero, “few runs” below 5."
        if scope.compared
        else f"The data does not cover {scope.before.name}."
    )
    each = "day" if scope.freq == "1d" else "hour"
    return Table(
        name="tenants",
        caption=f"{cap_text(len(rows), total, 'tenants')}{order}{before} Failed by {each}: the"
        f" highest bar is the tenant’s worst {each}, a dot means no data.",
        columns=[
            Column("tenant.name", "Tenant"), Column("n", "Runs", "count"),
            Column("n_before", "Runs before", "count"), Column("n_failed", "Failed", "count"),
            Column("failure_rate", "Failure rate", "rate"),
            Column("interval", "95\u00a0% interval", "interval"),
            Column("before_rate", "Rate before", "rate"), Column("change", "Change", "change"),
            Column("n_resources", "Resources", "count"),
            Column("worst", "Oldest last good run", "duration"),
            Column("days", f"Failed by {each}", "spark"),
        ],
        rows=rows, total=total,
    )  # fmt: skip


def _worst(ages: pd.DataFrame) -> dict[Any, Any]:
    """Give the age of the oldest last good run of each tenant; "never" where one has none."""
    found = ages.groupby("tenant.id").agg(age=("age_s", "max"), never=("never", "any"))
    return {
        tenant: "never" if row["never"] else row["age"]
        for tenant, row in found.to_dict("index").items()
    }


def _failed_by_day(scope: Scope, wanted: "pd.Series[str]") -> dict[Any, list[int | None]]:
    """Count the failed runs of each tenant by the time that they started, None without data."""
    starts = day_starts(scope.period, scope.tz, scope.freq)
    runs = scope.runs_now[scope.runs_now["tenant.id"].isin(wanted)]
    done = runs[finished(runs)]
    failed = done[outcomes(done, scope.policy) == "failed"]
    place = starts.searchsorted(failed["startedAt"], side="right") - 1
    counts = failed.groupby(["tenant.id", place]).size()
    ends = [*starts[1:], scope.period.until]
    return {
        tenant: [
            int(n) if (n := counts.get((tenant, at), 0)) or scope.seen(tenant, *edges) else None
            for at, edges in enumerate(zip(starts, ends, strict=True))
        ]
        for tenant in wanted
    }
