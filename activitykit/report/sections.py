"""What the sections of a report say: both periods through the same statistics."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pandas as pd

from activitykit import stats
from activitykit.filters import Filter
from activitykit.moments import to_timestamp
from activitykit.report.period import Period
from activitykit.schema import note

Row = dict[Hashable, Any]

ALARM_STREAK: Final = 3
TENANTS_SHOWN, REASONS_SHOWN, TYPES_SHOWN, OVERDUE_SHOWN = 15, 15, 20, 15
_TENANT: Final = ["tenant.name", "tenant.id"]
_RATES: Final = ("failure_rate", "ci_low", "ci_high")
_LEFT_OUT: Final = {
    "legacy": "log entries without a duration",
    "no_result": "completed without a result",
    "no_times": "without both times",
    "backwards": "with times going backwards",
}
_FEW: Final = 20  # decided runs below which there is no verdict
_TOO_FEW: Final = 5  # … below which no change is called clear, whatever its interval


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a report is about: the data, its selected rows, both periods, and how to read them."""

    data: pd.DataFrame
    rows: pd.DataFrame
    period: Period
    before: Period
    as_of: pd.Timestamp
    tz: str
    policy: stats.OutcomePolicy

    def within(self, period: Period) -> pd.DataFrame:
        """Select the activities that started in a period."""
        return Filter(since=period.since, until=period.until, on="startedAt").select(self.rows)


class Change(NamedTuple):
    """The difference of two failure rates, as fractions, with its interval and a word."""

    difference: float
    low: float
    high: float
    word: str


def change(now: Row, before: Row | None) -> Change | None:
    """Compare two failure rates by their intervals.

    Newcombe's hybrid score interval of a difference (Newcombe 1998, method 10), from the two
    intervals that `stats.failure_stats` gave, and so with their design effect.
    """
    if before is None or _unknown(now["failure_rate"]) or _unknown(before["failure_rate"]):
        return None
    p, low, high = now["failure_rate"], now["ci_low"], now["ci_high"]
    q, q_low, q_high = before["failure_rate"], before["ci_low"], before["ci_high"]
    least = p - q - math.hypot(p - low, q_high - q)
    most = p - q + math.hypot(high - p, q - q_low)
    word = "lower" if most < 0 else "higher" if least > 0 else "no clear change"
    runs = min(row["n_success"] + row["n_failed"] for row in (now, before))
    return Change(p - q, least, most, word if runs >= _TOO_FEW else "few runs")


def coverage(scope: Scope, now: pd.DataFrame) -> dict[str, Any]:
    """Say what the report rests on, and what is missing (section 0)."""
    return {
        "tenants": int(now["tenant.id"].nunique()),
        "activities": len(now),
        "first": now["startedAt"].min(),
        "partial": note(scope.rows, "complete", default=True) is False,
        "unfinished": scope.period.until > scope.as_of,
        "late_start": _begins_late(scope, scope.period),
    }


def _begins_late(scope: Scope, period: Period) -> bool:
    """Tell whether the data seems to begin inside a period.

    An archive has noted what it covers; elsewhere nothing starts in the first tenth of the period.
    """
    tenth = period.since + (period.until - period.since) / 10
    if lines := note(scope.data, "coverage"):
        return not _covered(lines, tenth)
    return Filter(since=period.since, until=tenth, on="startedAt").select(scope.data).empty


def _covered(lines: Sequence[Mapping[str, Any]], moment: pd.Timestamp) -> bool:
    """Tell whether each scope of an archive has all activities around a moment."""
    scopes = {(line["base_url"], line["tenant"], line["filter"]): False for line in lines}
    for line in lines:
        begun = line["since"] is None or to_timestamp(line["since"]) <= moment
        if line["status"] == "complete" and begun and moment < to_timestamp(line["until"]):
            scopes[line["base_url"], line["tenant"], line["filter"]] = True
    return all(scopes.values())


def compared(scope: Scope) -> pd.DataFrame | None:
    """Give the activities of the period before, or None when the data does not cover it."""
    if _begins_late(scope, scope.before):
        return None
    return scope.within(scope.before)


def running(scope: Scope) -> pd.DataFrame:
    """Judge the root runs that are still going; children would list each of them twice."""
    roots = scope.rows[scope.rows["parentActivityId"].fillna(0) == 0]
    return stats.overdue(roots, as_of=scope.as_of)


def verdict(
    scope: Scope, now: pd.DataFrame, before: pd.DataFrame | None, running: pd.DataFrame
) -> dict[str, Any]:
    """Sum the period up in a few numbers (section 1)."""
    rates = _only(stats.failure_stats(now, policy=scope.policy))
    rates_before = None
    if before is not None:
        rates_before = _only(stats.failure_stats(before, policy=scope.policy))
    end = min(scope.period.until, scope.as_of)
    streaks = stats.streaks(scope.rows, as_of=end, policy=scope.policy)
    # applying a plan succeeds also where its backups fail
    backups = Filter(policy_type="backup").select(scope.rows)
    good = stats.last_good(backups, as_of=end, policy=scope.policy)
    length = (scope.period.until - scope.period.since).total_seconds()
    return {
        "now": rates,
        "before": rates_before,
        "change": change(rates, rates_before),
        "few": rates["n_success"] + rates["n_failed"] < _FEW,
        "n_streaks": int((streaks["streak"] >= ALARM_STREAK).sum()),
        "n_series": len(streaks),
        "n_stale": int((good["never"] | (good["age_s"] > length)).sum()),
        "n_plans": len(good),
        "n_overdue": int(running["overdue"].sum()),
        "n_running": len(running),
    }


def tenants(scope: Scope, now: pd.DataFrame, before: pd.DataFrame | None) -> dict[str, Any]:
    """Compare the tenants, those that surely fail most first (section 3)."""
    table = stats.failure_stats(now, by=_TENANT, policy=scope.policy)
    past: dict[Hashable, Row] = {}
    if before is not None:
        rates = stats.failure_stats(before, by=_TENANT, policy=scope.policy)
        past = {row["tenant.id"]: row for row in rates.to_dict("records")}
    ordered = table.sort_values(
        ["ci_low", "failure_rate"], ascending=False, na_position="last", kind="stable"
    )
    shown = ordered.head(TENANTS_SHOWN)
    rows = [
        {**row, "before": earlier, "change": change(row, earlier)}
        for row in shown.to_dict("records")
        for earlier in [past.get(row["tenant.id"])]
    ]
    return {"rows": rows, "shown": shown.drop(columns="tenant.id"), "total": len(table)}


def failures(scope: Scope, now: pd.DataFrame, before: pd.DataFrame | None) -> dict[str, Any]:
    """Show when and why runs failed, and which reasons are new (section 5)."""
    reasons = stats.failure_reasons(now, policy=scope.policy)
    seen = None
    if before is not None:
        seen = set(stats.failure_reasons(before, policy=scope.policy)["signature"])
    rows = [
        {**row, "new": seen is not None and row["signature"] not in seen}
        for row in reasons.head(REASONS_SHOWN).to_dict("records")
    ]
    length = scope.period.until - scope.period.since
    freq = "1h" if length <= pd.Timedelta(2, "D") else "1d"
    days = stats.trend(now, freq=freq, tz=scope.tz, policy=scope.policy)
    return {"rows": rows, "days": days, "total": len(reasons)}


def durations(
    scope: Scope, now: pd.DataFrame, before: pd.DataFrame | None, running: pd.DataFrame
) -> dict[str, Any]:
    """Show how long each kind of run takes, and what runs for too long now (section 6)."""
    table = stats.duration_stats(now, by="operation", as_of=scope.as_of)
    past: dict[Hashable, Row] = {}
    if before is not None:
        earlier = stats.duration_stats(before, by="operation", as_of=scope.as_of)
        past = {row["operation"]: row for row in earlier.to_dict("records")}
    frequent = table.sort_values("n", ascending=False, kind="stable").head(TYPES_SHOWN)
    slowest = frequent.sort_values("p50_s", ascending=False, na_position="first", kind="stable")
    timed = slowest["n_used"] > 0
    shown = pd.concat([slowest[timed], slowest[~timed]])
    late = running[running["overdue"].astype(bool)]
    operation = scope.rows[["id", "operation"]]
    return {
        "rows": [{**row, "before": past.get(row["operation"])} for row in shown.to_dict("records")],
        "shown": slowest[timed],
        "total": len(table),
        "left_out": [
            f"{n:,} {_LEFT_OUT.get(reason, reason.replace('_', ' '))}"
            for reason, n in note(table, "left_out", {}).items()
        ],
        "n_running": len(running),
        "late": late.head(OVERDUE_SHOWN).merge(operation, on="id").to_dict("records"),
        "n_late": len(late),
    }


def quality(now: pd.DataFrame) -> list[Row]:
    """List what is odd about the data (section 9); checks that found nothing are left out."""
    found = stats.quality(now)
    return found[found["n"] > 0].to_dict("records")


def _only(table: pd.DataFrame) -> Row:
    if table.empty:  # children only, whose roots are not in the selection
        return {name: math.nan if name in _RATES else 0 for name in table.columns}
    return table.to_dict("records")[0]


def _unknown(value: object) -> bool:
    return value is None or pd.isna(value)  # type: ignore[call-overload]
