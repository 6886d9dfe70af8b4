"""Section 2: who needs somebody now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import pandas as pd

from activitykit import stats
from activitykit.report.cells import missing
from activitykit.report.content import Column, Section, Table
from activitykit.report.scope import Scope
from activitykit.report.sections.compare import Row, cap_text
from activitykit.report.sections.freshness import Ages, pair_key
from activitykit.report.sections.runs import PAIR, finished_runs
from activitykit.wording import counted, duration_text

ROWS, RECOVERED, STRIP, ALARM = 15, 15, 14, 3
_LAST: Final = 5  # runs of each period that decide whether a failure is chronic
_MANY: Final = 3
CLASSES: Final = ("chronic", "recurring", "new", "failing", "overdue")


class Jobs(NamedTuple):
    """What there is to do, ranked, before the cap; what recovered; and how many alarms."""

    rows: list[Row]
    recovered: list[Row]
    n_series: int
    n_alarms: int
    n_alarms_before: int | None


@dataclass
class History:
    """How the runs of a series ended, oldest first, and which of them belong to which period."""

    outcomes: list[str] = field(default_factory=list)
    now: list[bool] = field(default_factory=list)
    past: list[bool] = field(default_factory=list)
    last_failed: Row = field(default_factory=dict)

    @property
    def cells(self) -> Row:
        """Give what every table may show of it."""
        failed = self.last_failed
        return {
            "strip": self.outcomes[-STRIP:], "n_failed": sum(self.now),
            "n_failed_before": sum(self.past), "reason": failed.get("reason"),
            "cause": failed.get("cause"), "example_id": failed.get("id"),
        }  # fmt: skip


def jobs(scope: Scope, ages: Ages, running: pd.DataFrame) -> Jobs:
    """Find who needs somebody: what fails, what runs too long, and what stopped succeeding."""
    streaks = stats.streaks(scope.runs, as_of=scope.end, policy=scope.policy)
    runs = finished_runs(scope)
    late = running[running["overdue"].astype(bool)]
    histories = _histories(scope, runs, streaks)
    stale = {pair_key(row): row for row in _records(ages.stale)}
    series = runs.set_index("id")["series"].reindex(streaks["last_id"]).tolist()
    known = list(zip(series, streaks.to_dict("records"), strict=True))
    hung = {_series_key(row): row for row in _records(late.sort_values("elapsed_s"))}
    failing = [
        _failing(
            row, histories[number], stale.get(pair_key(row)), hung.get(_series_key(row)), scope
        )
        for number, row in known
        if row["streak"] and _matters(row, histories[number], stale)
    ]
    by_series = {_series_key(row): (number, row) for number, row in known}
    joined = {_series_key(row) for row in failing}
    too_long = [
        _too_long(row, stale.get(pair_key(row)), by_series, histories, scope)
        for row in _records(late)
        if _series_key(row) not in joined
    ]
    told = {pair_key(row) for row in (*failing, *too_long)}
    quiet = ages.stale.loc[[key not in told for key in map(pair_key, _records(ages.stale))]]
    silent = _silent(quiet, runs, scope)
    recovered = [
        row | histories[number].cells
        for number, row in known
        if row["last_outcome"] == "success" and number in histories and any(histories[number].past)
    ]
    recovered.sort(key=lambda row: (-row["n_failed_before"], str(row["resource.name"])))
    ranked = sorted([*failing, *too_long, *silent], key=lambda row: row["rank"])
    kinds = dict(zip(scope.runs["type"], scope.runs["operation"], strict=True))
    return Jobs(
        rows=[row | {"plan": _plan(row, kinds)} for row in ranked],
        recovered=[row | {"plan": _plan(row, kinds)} for row in recovered],
        n_series=len(streaks),
        n_alarms=int((streaks["streak"] >= ALARM).sum()),
        n_alarms_before=_alarms(scope) if scope.compared else None,
    )


def _series_key(row: Row) -> tuple[Any, ...]:
    return (*pair_key(row), row["type"])


def _plan(row: Row, kinds: Mapping[Any, Any]) -> Any:  # noqa: ANN401 - a name, or nothing
    """Name the plan, or what was done without one."""
    kind = kinds.get(row.get("type"))
    return (
        row["policy.name"] if missing(kind) or not missing(row["policy.id"]) else f"{kind}, no plan"
    )


def _matters(row: Row, history: History, stale: Mapping[Any, Row]) -> bool:
    """Tell a failure of this period, or one that lasts, from a single run that failed long ago."""
    return any(history.now) or row["streak"] >= ALARM or pair_key(row) in stale


def _alarms(scope: Scope) -> int:
    before = stats.streaks(scope.runs, as_of=scope.before.until, policy=scope.policy)
    return int((before["streak"] >= ALARM).sum())


def _histories(scope: Scope, runs: pd.DataFrame, streaks: pd.DataFrame) -> dict[Any, History]:
    """Describe the series that failed in either period, or whose last run failed."""
    started, failed = runs["startedAt"], runs["outcome"] == "failed"
    now = (started >= scope.period.since) & (started < scope.period.until)
    past = (started >= scope.before.since) & (started < scope.before.until) & scope.compared
    open_ids = streaks.loc[streaks["streak"] > 0, "last_id"]
    wanted = runs["series"].isin(runs.loc[failed & (now | past), "series"])
    wanted |= runs["series"].isin(runs.loc[runs["id"].isin(open_ids), "series"])
    reason = runs["error_signature"].fillna(runs["result.code"] + " without an error text")
    told = runs.assign(now=now, past=past, reason=reason, cause=runs["error_cause"])[wanted]
    found: dict[Any, History] = {}
    names = ["series", "outcome", "now", "past", "id", "reason", "cause"]
    for series, outcome, in_now, in_past, *last in zip(*(told[n] for n in names), strict=True):
        history = found.setdefault(series, History())
        history.outcomes.append(outcome)
        if in_now:
            history.now.append(outcome == "failed")
        if in_past:
            history.past.append(outcome == "failed")
        if outcome == "failed":
            history.last_failed = dict(zip(names[4:], last, strict=True))
    return found


def class_of(history: History, *, compared: bool) -> str:
    """Name what kind of failure it is, against the period before.

    New: failed now, and not before. Chronic: at least three of the last five runs failed, in both.
    Recurring: anything between. Failing: the period before is not known.
    """
    if not compared:
        return "failing"
    if min(sum(history.now[-_LAST:]), sum(history.past[-_LAST:])) >= _MANY:
        return "chronic"
    return "new" if any(history.now) and not any(history.past) else "recurring"


def _failing(row: Row, history: History, stale: Row | None, hung: Row | None, scope: Scope) -> Row:
    """Describe a series whose last run failed, and the next of which may be running too long."""
    kind = class_of(history, compared=scope.compared)
    why = [_stale_text(stale)] if stale else []
    why += [f"{counted(row['streak'], 'failure')} in a row"]
    if kind == "chronic":
        failed, n = sum(history.now[-_LAST:]), len(history.now[-_LAST:])
        before, m = sum(history.past[-_LAST:]), len(history.past[-_LAST:])
        why.append(f"{failed} of the last {n} runs failed, and {before} of the last {m} before")
    cells = history.cells
    if hung:
        why.append(_elapsed_text(hung))
        cells["strip"] = [*history.outcomes, "running"][-STRIP:]
    return _job(row, kind, why, cells, streak=row["streak"], stale=stale, scope=scope)


def _too_long(
    row: Row, stale: Row | None, known: Mapping[Any, Any], histories: Mapping[Any, History],
    scope: Scope,
) -> Row:  # fmt: skip
    number, series = known.get(_series_key(row), (None, None))
    past = histories[number].outcomes if number in histories else []
    reason = _elapsed_text(row)
    cells: Row = {"strip": [*past, "running"][-STRIP:], "reason": reason, "cause": reason}
    cells |= {"n_failed": 0, "n_failed_before": 0, "example_id": row["id"]}
    merged = {**(series or {"last_success_at": pd.NaT}), **row}
    why = [_stale_text(stale)] if stale else []
    why.append(f"no sign of life for {duration_text(row['updated_age_s'])}")
    return _job(merged, "overdue", why, cells, streak=0, stale=stale, scope=scope)


def _elapsed_text(row: Row) -> str:
    return (
        f"running for {duration_text(row['elapsed_s'])};"
        f" 95\u00a0% of its kind end within {duration_text(row['limit_s'])}"
    )


def _silent(stale: pd.DataFrame, runs: pd.DataFrame, scope: Scope) -> list[Row]:
    """Describe the pairs that are past their target although their last run did not fail."""
    known = runs[[*PAIR, "at", "outcome"]].merge(stale[PAIR], on=PAIR)
    ended = {
        pair_key(dict(part.iloc[0])): part
        for _, part in known.groupby(PAIR, dropna=False, sort=False, observed=True)
    }
    found = []
    for row in _records(stale):
        mine = ended.get(pair_key(row))
        if mine is None:
            last, strip = "no run has ended", []
        else:
            ago = (scope.end - mine["at"].max()).total_seconds()
            last = f"no run has ended for {duration_text(ago)}"
            strip = mine["outcome"].tail(STRIP).tolist()
        cells: Row = {"strip": strip, "reason": last, "cause": last}
        cells |= {"n_failed": 0, "n_failed_before": 0, "example_id": None}
        why = [_stale_text(row)]
        found.append(_job(row, "overdue", why, cells, streak=0, stale=row, scope=scope))
    return found


def _records(table: pd.DataFrame) -> list[Row]:
    return [dict(row) for row in table.to_dict("records")]


def _stale_text(stale: Row) -> str:
    limit = f"target {duration_text(stale['target_s'])}"
    if stale["never"]:
        return f"never a good run in the data ({limit})"
    return f"no good run for {duration_text(stale['age_s'])} ({limit})"


def _job(
    row: Row, kind: str, why: Sequence[str], cells: Row, *, streak: int, stale: Row | None,
    scope: Scope,
) -> Row:  # fmt: skip
    """Put a row together; it ranks by the target, the alarm, the class, the streak, the age."""
    good = row["last_success_at"]
    age: float = float("inf") if missing(good) else (scope.end - good).total_seconds()
    alarm = streak >= ALARM
    rank = (not stale, not alarm, CLASSES.index(kind), -streak, -age, str(row["resource.name"]))
    shown = {
        name: row.get(name)
        for name in (*PAIR, "type", "tenant.id", "tenant.name", "resource.name", "policy.name")
    }
    return {
        **shown, **cells, "class": kind, "streak": streak, "why": "; ".join(why), "rank": rank,
        "last_good": "never" if missing(good) else good,
        "last_good_age_s": None if missing(good) else age,
    }  # fmt: skip


def act(scope: Scope, found: Jobs) -> Section:
    """Show what to do first, and what has recovered."""
    title = "What needs attention" if scope.plain else "Act on this"
    if not found.rows:
        nothing = "Nothing fails, nothing runs too long, and no backup is past its target."
        return Section(
            key="act", title=title, text=[nothing], tables=_recovered(scope, found.recovered)
        )
    shown = [{k: v for k, v in row.items() if k != "rank"} for row in found.rows[:ROWS]]
    counts = [
        f"{number:,} {kind}"
        for kind in CLASSES
        if (number := sum(row["class"] == kind for row in found.rows))
    ]
    return Section(
        key="act", title=title,
        text=[f"{counted(len(found.rows), 'kind')} of run on a resource: {', '.join(counts)}."],
        tables=[_table(scope, shown, len(found.rows)), *_recovered(scope, found.recovered)],
    )  # fmt: skip


def _table(scope: Scope, rows: Sequence[Row], total: int) -> Table:
    tenant = [] if scope.plain else [Column("tenant.name", "Tenant")]
    reason = Column("cause" if scope.plain else "reason", "Reason")
    return Table(
        name="act",
        caption=f"{cap_text(len(rows), total, 'rows')}First what is past the target for its last"
        f" good run, then {ALARM} or more failures in a row, then chronic before recurring before"
        f" new. Last runs: the latest {STRIP}, the newest on the right. Times in {scope.tz}.",
        columns=[
            Column("resource.name", "Resource"), *tenant, Column("plan", "Plan"),
            Column("class", "Class", "tag"), Column("why", "Why it ranks here", "prose"),
            Column("last_good", "Last good run", "time"), Column("strip", "Last runs", "strip"),
            reason,
        ],
        rows=rows, total=total,
    )  # fmt: skip


def _recovered(scope: Scope, rows: Sequence[Row]) -> list[Table]:
    if not rows:
        return []
    tenant = [] if scope.plain else [Column("tenant.name", "Tenant")]
    return [
        Table(
            name="recovered", title="Recovered",
            caption=f"{cap_text(min(len(rows), RECOVERED), len(rows), 'rows')}Failed in"
            f" {scope.before.name}; the last run was good.",
            columns=[
                Column("resource.name", "Resource"), *tenant, Column("plan", "Plan"),
                Column("n_failed_before", "Failed before", "count"),
                Column("n_failed", "Failed now", "count"),
                Column("last_success_at", "Last good run", "time"),
                Column("strip", "Last runs", "strip"),
            ],
            rows=rows[:RECOVERED], total=len(rows),
        )
    ]  # fmt: skip
