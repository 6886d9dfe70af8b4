"""Section 7: how much runs at once, and how long starts wait."""

from typing import Any, Final

import numpy as np
import pandas as pd

from activitykit import plots, stats
from activitykit.report.cells import missing, moment_text
from activitykit.report.content import Column, Figure, Section, Table
from activitykit.report.period import Period
from activitykit.report.scope import Scope
from activitykit.report.sections.compare import Row, cap_text
from activitykit.wording import duration_text

SHOWN: Final = 12


def load(scope: Scope) -> Section:
    """Show runs at once over time, starts by weekday and hour, and how long starts wait."""
    title = "When it runs" if scope.plain else "Window and load"
    hours = stats.weekly_load(scope.runs_now, tz=scope.tz, policy=scope.policy)
    if hours.empty:
        return Section(key="load", title=title, text=["No run started in this period."])
    levels = _at_once(scope, scope.period)
    waits = _waits(scope, scope.runs_now)
    past: dict[Any, Row] = {}
    if scope.runs_past is not None:
        past = {row["hour"]: row for row in _waits(scope, scope.runs_past)}
    busiest = sorted(waits, key=lambda row: (-row["n"], row["hour"]))[:SHOWN]
    rows = [
        row
        | {
            "clock": f"{row['hour']:02}:00–{row['hour']:02}:59",
            "n_before": past[row["hour"]]["n"] if row["hour"] in past else None,
            "p95_before_s": past[row["hour"]]["queue_p95_s"] if row["hour"] in past else None,
        }
        for row in sorted(busiest, key=lambda row: row["hour"])
    ]
    return Section(
        key="load", title=title, text=_text(scope, levels), figures=_figures(scope, levels, hours),
        tables=[_table(scope, rows, len(waits))],
    )  # fmt: skip


def _at_once(scope: Scope, period: Period) -> pd.DataFrame:
    """Count the runs at once within a period, those that began before it included."""
    rows = scope.runs
    open_then = rows["completedAt"].isna() | (rows["completedAt"] > period.since)
    going = rows[(rows["startedAt"] < period.until) & open_then]
    days = (period.until - period.since) / pd.Timedelta(1, "D")
    freq = "15m" if days <= 2 else "1h" if days <= 10 else "6h"
    levels = stats.concurrency(going, freq, tz=scope.tz, as_of=scope.as_of)
    inside = (levels["bucket"] > period.since - pd.Timedelta(freq.replace("m", "min"))) & (
        levels["bucket"] < min(period.until, scope.as_of)
    )
    return levels[inside].reset_index(drop=True)


def _text(scope: Scope, levels: pd.DataFrame) -> list[str]:
    if levels.empty:
        return ["Nothing ran in this period."]
    peak = levels.iloc[int(levels["max"].argmax())]
    text = (
        f"At most {peak['max']:,} ran at once, from {moment_text(peak['bucket'], scope.tz)} on"
        f" ({scope.tz}); on average {levels['mean'].mean():.1f}."
    )
    if scope.compared:
        before = _at_once(scope, scope.before)
        if not before.empty:
            text += (
                f" In {scope.before.name} it was at most {before['max'].max():,},"
                f" on average {before['mean'].mean():.1f}."
            )
    return [text]


def _figures(scope: Scope, levels: pd.DataFrame, hours: pd.DataFrame) -> list[Figure]:
    week = Figure(
        name="week", draw=plots.weekly_load, frame=hours, height=2.8,
        caption=f"Runs started, by weekday and hour of the clocks of {scope.tz}; a dot where none"
        " did.",
        alt=f"Starts by weekday and hour: {hours['n'].sum():,} in all, at most"
        f" {hours['n'].max():,} in one hour of the week.",
    )  # fmt: skip
    if levels.empty:
        return [week]
    at_once = Figure(
        name="load", draw=plots.concurrency, frame=levels, height=2.5,
        caption="Runs at once: the mean and the maximum of each stretch of time, with those that"
        " began before the period.",
        alt=f"Runs at once over the period, at most {levels['max'].max():,}.",
    )  # fmt: skip
    return [at_once, week]


def _waits(scope: Scope, runs: pd.DataFrame) -> list[Row]:
    """Give starts and queue times by the hour of the start, as `stats.weekly_load` does."""
    timed = stats.durations(runs, as_of=scope.as_of)
    hour = timed["startedAt"].dt.tz_convert(scope.tz).dt.hour.astype("int64")
    waited = timed["queue_s"].mask(timed["legacy"] | (timed["queue_s"] < 0))
    return [
        {"hour": at, "n": len(part), **_quantiles(part.dropna().to_numpy())}
        for at, part in waited.groupby(hour)
    ]


def _quantiles(waits: Any) -> Row:  # noqa: ANN401 - an array
    asked = {"queue_p50_s": 0.5, "queue_p95_s": 0.95}
    if not len(waits):
        return dict.fromkeys(asked)
    return {name: float(np.quantile(waits, q, method="inverted_cdf")) for name, q in asked.items()}


def _table(scope: Scope, rows: list[dict[Any, Any]], total: int) -> Table:
    slowest = max(rows, key=lambda row: -1 if missing(row["queue_p95_s"]) else row["queue_p95_s"])
    told = (
        f" The longest wait is from {slowest['clock']}: 95\u00a0% start within"
        f" {duration_text(slowest['queue_p95_s'])}."
        if not missing(slowest["queue_p95_s"])
        else ""
    )
    before = f" “Before” is {scope.before.name}." if scope.compared else ""
    return Table(
        name="hours", title="How long starts wait",
        caption=f"{cap_text(len(rows), total, 'hours')}The busiest hours of the day ({scope.tz}),"
        f" all days together; the wait is from creation to start.{told}{before}",
        columns=[
            Column("clock", "Hour"), Column("n", "Started", "count"),
            Column("n_before", "Before", "count"),
            Column("queue_p50_s", "Half wait at most", "duration"),
            Column("queue_p95_s", "95\u00a0% wait at most", "duration"),
            Column("p95_before_s", "95\u00a0% before", "duration"),
        ],
        rows=rows, total=total,
    )  # fmt: skip
