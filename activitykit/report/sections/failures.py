"""Section 5: when runs failed, and why."""

from typing import Any, Final

import pandas as pd

from activitykit import plots, stats
from activitykit.report.cells import missing
from activitykit.report.content import Column, Figure, Section, Table
from activitykit.report.period import day_starts, moment_at, read_zone
from activitykit.report.scope import Scope
from activitykit.report.sections.compare import Row, cap_text

SHOWN: Final = 15


def failures(scope: Scope) -> Section:
    """Show failures over time, and the reasons by the resources that they touched."""
    title = "What failed, and why" if scope.plain else "Failures"
    days = buckets(scope, scope.runs_now)
    if days.empty:
        return Section(key="failures", title=title, text=["No run started in this period."])
    reasons = stats.failure_reasons(scope.runs_now, policy=scope.policy)
    if reasons.empty:
        return Section(
            key="failures", title=title, text=["No run of this period failed."],
            figures=_figures(scope, days)[:1],
        )  # fmt: skip
    return Section(
        key="failures", title=title, figures=_figures(scope, days),
        tables=[_table(scope, _rows(scope, reasons), len(reasons))],
    )  # fmt: skip


def buckets(scope: Scope, rows: pd.DataFrame) -> pd.DataFrame:
    """Give `stats.trend` of the period, with ``part``: how much of each bucket lies in it."""
    days = stats.trend(rows, freq=scope.freq, tz=scope.tz, policy=scope.policy, as_of=scope.as_of)
    whole = day_starts(scope.period, scope.tz, scope.freq, cut=False)
    edges = pd.Series([*whole, _next(whole[-1], scope)])
    length = edges.diff().shift(-1).iloc[:-1].set_axis(whole)
    since = pd.Series([max(edge, scope.period.since) for edge in edges[:-1]], whole)
    until = pd.Series([min(edge, scope.end) for edge in edges[1:]], whole)
    part = ((until - since) / length).clip(0, 1)
    offset = (since - pd.Series(whole, whole)) / length
    utc = days["bucket"].dt.tz_convert("UTC")
    return days.assign(part=utc.map(part).fillna(1.0), offset=utc.map(offset).fillna(0.0))


def _next(start: pd.Timestamp, scope: Scope) -> pd.Timestamp:
    """Say when the bucket after this one starts: days have 23 or 25 hours where clocks change."""
    if scope.freq == "1h":
        return start + pd.Timedelta(1, "h")
    day = start.tz_convert(scope.tz).tz_localize(None).normalize()
    return moment_at(day + pd.Timedelta(1, "D"), read_zone(scope.tz))


def _figures(scope: Scope, days: pd.DataFrame) -> list[Figure]:
    each = "day" if scope.freq == "1d" else "hour"
    cut = (
        f" A narrow bar covers only a part of its {each}: the period begins or ends within it."
        if (days["part"] < 1).any()
        else ""
    )
    counts = Figure(
        name="days", draw=plots.trend, frame=days, height=2.9,
        caption=f"Runs by the {each} in which they started ({scope.tz}), and how they ended.{cut}",
        alt=f"Runs by outcome for each of {len(days):,} {each}s: {days['n_failed'].sum():,}"
        f" failed, {days['n_success'].sum():,} succeeded.",
    )  # fmt: skip
    rates = Figure(
        name="rates",
        draw=plots.failure_trend,
        frame=days,
        height=2.0,
        caption="Failure rate of the same bars with its 95 % interval.",
        alt="Failure rate with its interval for the same time buckets.",
    )
    partial = scope.partial is None or bool(scope.partial)
    return [counts] if partial or scope.plain else [counts, rates]


def _rows(scope: Scope, reasons: pd.DataFrame) -> list[Row]:
    shown = reasons.head(SHOWN)
    before: dict[Any, int] = {}
    if scope.runs_past is not None:
        past = stats.failure_reasons(scope.runs_past, policy=scope.policy)
        before = past.groupby("signature")["n"].sum().to_dict()
    causes = scope.runs_now.set_index("id")["error_cause"].reindex(shown["example_id"])
    return [
        {
            **row,
            "cause": row["signature"] if missing(cause) else cause,
            "n_before": before.get(row["signature"], 0) if scope.compared else None,
            "new": "new" if scope.compared and row["signature"] not in before else "",
        }
        for row, cause in zip(shown.to_dict("records"), causes, strict=True)
    ]


def _table(scope: Scope, rows: list[Row], total: int) -> Table:
    told = (
        f"“New” did not occur in {scope.before.name}, “before”."
        if scope.compared
        else f"Which are new is not known: the data does not cover {scope.before.name}."
    )
    technical = [] if scope.plain else [
        Column("n_tenants", "Tenants", "count"),
    ]  # fmt: skip
    return Table(
        name="reasons", title="Reasons",
        caption=f"{cap_text(len(rows), total, 'reasons')}Ranked by the resources that they"
        f" touched. {told} Times in {scope.tz}.",
        columns=[
            Column("cause" if scope.plain else "signature", "Reason"), Column("new", "New", "tag"),
            Column("n_resources", "Resources", "count"), *technical,
            Column("n", "Runs", "count"), Column("n_before", "Before", "count"),
            Column("first_seen", "First seen", "time"), Column("last_seen", "Last seen", "time"),
            *([] if scope.plain else [Column("example_id", "Example id", "id")]),
        ],
        rows=rows, total=total,
    )  # fmt: skip
