"""Section 6: how long each kind of run takes, and what takes too long now."""

from collections.abc import Hashable, Mapping
from typing import Any, Final

import pandas as pd

from activitykit import plots, stats
from activitykit.report.cells import missing
from activitykit.report.content import Column, Figure, Section, Table
from activitykit.report.scope import Scope
from activitykit.report.sections.compare import Row, cap_text, median_change, medians
from activitykit.wording import counted

SHOWN, LATE = 20, 15
_QUANTILES: Final = ("p50_s", "p90_s", "p95_s")


def still_running(scope: Scope) -> pd.DataFrame:
    """Judge the runs that are still going; children would list each of them twice."""
    return stats.overdue(scope.runs, as_of=scope.as_of)


def durations(scope: Scope, running: pd.DataFrame) -> Section:
    """Show the quantiles of each kind of run, against the period before, and the overdue runs."""
    title = "How long it takes" if scope.plain else "Durations"
    both = _both(scope)
    found = stats.duration_stats(both, by=["now", "operation"], as_of=scope.as_of)
    during = found["now"].astype(bool)
    table = found[during].reset_index(drop=True)
    if not table["n_used"].sum():
        return Section(key="durations", title=title, text=["No run of this period has a duration."])
    frequent = table.sort_values("n", ascending=False, kind="stable").head(SHOWN)
    slowest = frequent.sort_values("p50_s", ascending=False, na_position="first", kind="stable")
    timed = slowest["n_used"] > 0
    shown = pd.concat([slowest[timed], slowest[~timed]])
    intervals = medians(both[both["operation"].isin(shown["operation"])], scope.as_of)
    before = _by_kind(found[~during], intervals)
    rows = [_cells(row, before.get(kind)) for kind, row in _by_kind(shown, intervals).items()]
    return Section(
        key="durations", title=title, text=_late_text(running),
        figures=[_figure(slowest[timed].drop(columns="now"))],
        tables=[_table(scope, table, rows), *_late_table(scope, running)],
    )  # fmt: skip


def _both(scope: Scope) -> pd.DataFrame:
    """Give the activities of both periods, told apart by the column ``now``."""
    past = scope.rows.iloc[:0] if scope.past is None else scope.past
    both = pd.concat([scope.now.assign(now=True), past.assign(now=False)])
    both.attrs = scope.rows.attrs
    return both


def _by_kind(table: pd.DataFrame, intervals: Mapping[Hashable, Any]) -> dict[Hashable, Row]:
    """Give rows of `stats.duration_stats` by operation, each median with its interval."""
    unknown = (float("nan"), float("nan"))
    return {
        row["operation"]: row
        | {"p50_interval": intervals.get((row["now"], row["operation"]), unknown)}
        for row in table.to_dict("records")
    }


def _cells(row: Row, before: Row | None) -> Row:
    unreached = "not reached" if row["n_used"] else None
    quantiles = {name: unreached if missing(row[name]) else row[name] for name in _QUANTILES}
    past: dict[str, Any] = {"p50_before_s": None, "p95_before_s": None, "n_before": None}
    if before is not None:
        past = {f"{name}_before_s": before[f"{name}_s"] for name in ("p50", "p95")}
        past["n_before"] = before["n"]
    told = {name: value for name, value in row.items() if name != "now"}
    return {**told, **quantiles, **past, "change": median_change(row, before)}


def _figure(slowest: pd.DataFrame) -> Figure:
    return Figure(
        name="types", draw=plots.duration_stats, frame=slowest, height=1.0 + 0.3 * len(slowest),
        caption="From the median (circle) over the 90th (diamond) to the 95th percentile"
        " (triangle); a blue arrow means that too many runs are still going to know it.",
        alt="Median, 90th and 95th percentile of the duration for each kind of run; the table"
        " below has the numbers.",
    )  # fmt: skip


def _table(scope: Scope, table: pd.DataFrame, rows: list[Row]) -> Table:
    legacy = int(table["n_legacy"].sum())
    others = int((table["n"] - table["n_used"] - table["n_legacy"]).sum())
    words = {
        "log entries without a duration": legacy,
        "without a result or without usable times": others,
    }
    left = [f"{n:,} {word}" for word, n in words.items() if n]
    without = f" Left out: {', '.join(left)}." if left else ""
    technical = [Column("queue_p95_s", "95\u00a0% start within", "duration")]
    return Table(
        name="durations",
        caption=f"{cap_text(len(rows), len(table), 'kinds of run')}The slowest first; parts of"
        f" runs count as well. Runs that are still going count with the time so far.{without}"
        " Change of the median: a word only where the two 95\u00a0% intervals lie apart.",
        columns=[
            Column("operation", "Kind of run"), Column("n", "Number", "count"),
            Column("n_running", "Still running", "count"),
            Column("p50_s", "Half end within", "duration"),
            Column("p50_before_s", "Half before", "duration"), Column("change", "Change", "prose"),
            Column("p90_s", "90\u00a0% end within", "duration"),
            Column("p95_s", "95\u00a0% end within", "duration"),
            Column("p95_before_s", "95\u00a0% before", "duration"),
            Column("max_s", "Longest", "duration"), *([] if scope.plain else technical),
        ],
        rows=rows, total=len(table),
    )  # fmt: skip


def _late_text(running: pd.DataFrame) -> list[str]:
    if running["overdue"].any():
        return []
    if running.empty:
        return ["Nothing is running."]
    return [f"{counted(len(running), 'run')} still going; none takes unusually long."]


def _late_table(scope: Scope, running: pd.DataFrame) -> list[Table]:
    late = running[running["overdue"].astype(bool)]
    if late.empty:
        return []
    names = scope.rows[["id", "operation"]]
    rows = late.head(LATE).merge(names, on="id").to_dict("records")
    tenant = [] if scope.plain else [Column("tenant.name", "Tenant")]
    return [
        Table(
            name="overdue", title="Overdue now",
            caption=f"{cap_text(len(rows), len(late), 'overdue runs')}Longest first. “Usual time"
            " left” is the median of runs of the kind that had lasted as long; not known where"
            " none of them has ended.",
            columns=[
                Column("resource.name", "Resource"), *tenant, Column("operation", "Kind of run"),
                Column("elapsed_s", "Running for", "duration"),
                Column("typical_s", "Usually takes", "duration"),
                Column("limit_s", "95\u00a0% end within", "duration"),
                Column("remaining_p50_s", "Usual time left", "duration"),
                Column("updated_age_s", "Last sign of life, ago", "duration"),
            ],
            rows=[row | _known(row) for row in rows], total=len(late),
        )
    ]  # fmt: skip


def _known(row: Row) -> Row:
    return {"remaining_p50_s": "not known"} if missing(row["remaining_p50_s"]) else {}
