"""Sections 0 and 1: what the report rests on, and what it comes to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd

from activitykit.report.cells import moment_text, percent, points
from activitykit.report.content import WITHHELD, Banner, Change, Kpi
from activitykit.report.scope import EVERYTHING, Scope, by_scope
from activitykit.report.sections.act import ALARM, CLASSES, Jobs
from activitykit.report.sections.compare import FEW, Row, change, decided, range_text, rates
from activitykit.report.sections.freshness import Ages, reach_text
from activitykit.report.sections.method import exclusions
from activitykit.schema import note
from activitykit.wording import counted

_NAMED: Final = 5


class Totals(NamedTuple):
    """The failure rates of both periods, over the tenants whose data is whole.

    ``every`` counts all tenants; ``n_before`` the runs of all of them in the period before.
    """

    now: Row
    before: Row | None
    change: Change | None
    every: Row
    n_before: int | None


def totals(scope: Scope) -> Totals:
    """Count and rate all runs of both periods."""
    now, past = rates(scope.rated(scope.runs_both), scope)
    before = past if scope.compared else None
    every = now
    if scope.partial != frozenset():
        every, _ = rates(scope.runs_both, scope)
    n_before = None if scope.runs_past is None else len(scope.runs_past)
    return Totals(now, before, change(now, before), every=every, n_before=n_before)


def coverage(scope: Scope) -> str:
    """Say in one line what the report rests on, and what is left out of its rates."""
    since, until = (moment_text(edge, scope.tz, year=True) for edge in scope.period[:2])
    names = scope.now["tenant.name"].dropna().unique()
    tenants = scope.now["tenant.id"].nunique()
    of = str(names[0]) if tenants == 1 and len(names) else counted(tenants, "tenant")
    left = exclusions(scope.now, scope.policy) if len(scope.now) else {}
    words = {"children": "parts of other runs", "unfinished": "not finished",
             "cancelled": "cancelled", "unknown": "with an unknown result"}  # fmt: skip
    out = [f"{left[key]:,} {word}" for key, word in words.items() if left.get(key)]
    failure = ", ".join(scope.policy.failure)
    return (
        f"{since} to {until} ({scope.tz}). {counted(len(scope.now), 'activity record')} of"
        f" {of}; {_completeness(scope)}. The data describes"
        f" {moment_text(scope.as_of, scope.tz, year=True)} ({scope.tz})."
        f" Failed means {failure or 'nothing'}."
        + (f" In no rate: {', '.join(out)}." if out else "")
        + (f" Selection: {scope.where}." if scope.where is not None and not scope.plain else "")
    )


def _completeness(scope: Scope) -> str:
    if scope.partial is None:
        return "incomplete"
    if scope.partial:
        return f"complete but for {counted(len(scope.partial), 'tenant')}"
    return "complete" if note(scope.rows, "complete") else "nothing says whether they are complete"


def banners(scope: Scope) -> list[Banner]:
    """Say what the reader must know first."""
    found = []
    if scope.partial is None:
        found.append(Banner(
            "error", "Incomplete data.",
            "The load or the sync did not get to its end, so failure rates are withheld. Load again"
            " for a report that can be relied on.",
        ))  # fmt: skip
    elif scope.partial:
        named = scope.rows.drop_duplicates("tenant.id").set_index("tenant.id")["tenant.name"]
        names = sorted(str(named.get(tenant)) for tenant in scope.partial)
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        found.append(Banner(
            "error", f"Incomplete data of {counted(len(names), 'tenant')}.",
            f"{', '.join(names[:_NAMED])}{more}: a sync did not get to its end, so their failure"
            " rates are withheld, and they are in no rate of all tenants.",
        ))  # fmt: skip
    if scope.late_start and len(scope.now):
        first = moment_text(scope.now["startedAt"].min(), scope.tz)
        found.append(Banner(
            "warning", "The data may not cover the whole period.",
            f"The first run in it started {first} ({scope.tz}).",
        ))  # fmt: skip
    filters = {key[2] for key in by_scope(note(scope.rows, "coverage", ()))} - {EVERYTHING}
    if filters:
        # a filter may name other tenants
        told = "" if scope.plain else f"It was synced with {'; '.join(sorted(filters))}: "
        found.append(Banner(
            "warning", "The archive holds a selection only.",
            f"{told or 'So '}what else happened is not counted.",
        ))  # fmt: skip
    if scope.period.until > scope.as_of:
        found.append(Banner(
            "warning", "The period is not over.",
            f"The data ends at {moment_text(scope.as_of, scope.tz)} ({scope.tz}), so counts are"
            " lower than those of the whole period before.",
        ))  # fmt: skip
    return found


def headline(scope: Scope, found: Totals) -> str:
    """Give the verdict in a few words."""
    now, word = found.now, found.change.word if found.change else "few runs"
    if scope.partial is None:
        return "The data is incomplete: no verdict"
    if not decided(now):
        return "No run has succeeded or failed yet"
    if decided(now) < FEW:
        runs = counted(decided(now), "run")
        return f"{now['n_failed']:,} of {runs} failed: too few runs to judge"
    if not now["n_failed"]:
        return "No failures"
    return {
        "few runs": f"{percent(now['failure_rate'])}\u00a0% of runs failed",
        "lower": "Clearly fewer runs fail than before",
        "higher": "Clearly more runs fail than before",
        "no clear change": "About as many runs fail as before",
    }[word]


def sentences(scope: Scope, found: Totals, act: Jobs, running: pd.DataFrame) -> list[str]:
    """Say the verdict in sentences."""
    text = []
    if decided(found.now) and scope.partial is not None:
        text += _rate_text(scope, found)
    n_late = int(running["overdue"].sum())
    jobs = []
    if act.n_alarms:
        jobs.append(
            f"{counted(act.n_alarms, 'kind')} of run failed at least three times in a row on the"
            " same resource"
        )
    if n_late:
        has = "has" if n_late == 1 else "have"
        jobs.append(f"{counted(n_late, 'run')} {has} been going on for far too long")
    if jobs:
        text.append(f"To act on: {'; '.join(jobs)}.")
    else:
        text.append("Nothing has failed three times in a row, and nothing runs for too long.")
    return text


def _rate_text(scope: Scope, found: Totals) -> list[str]:
    now, before = found.now, found.before
    of = " of the tenants with complete data" if scope.partial else ""
    have = "has" if now["n_failed"] == 1 else "have"
    rate = f"{percent(now['failure_rate'])}\u00a0%"
    interval = f"95\u00a0% interval {range_text(now['ci_low'], now['ci_high'])}"
    runs = f"{counted(decided(now), 'run')}{of} that succeeded or failed"
    text = [f"{now['n_failed']:,} of {runs} {have} failed: {rate} ({interval})."]
    if decided(now) < FEW:
        text.append("So few runs say little: the interval is where the true rate may well lie.")
    if found.change is not None and before is not None:
        unclear = ", which is no clear change" if found.change.word == "no clear change" else ""
        text.append(
            f"In {scope.before.name} it was {percent(before['failure_rate'])}\u00a0% of"
            f" {counted(decided(before), 'run')}{unclear}."
        )
    elif not scope.compared:
        text.append(f"The data does not cover {scope.before.name}, so there is nothing to compare.")
    return text


def kpis(scope: Scope, found: Totals, act: Jobs, ages: Ages, running: pd.DataFrame) -> list[Kpi]:
    """Give the row of numbers."""
    everything = found.every
    n_late, n_stale = int(running["overdue"].sum()), len(ages.stale)
    plans = counted(len(ages.table), "plan")
    resources = counted(everything["n_resources"], "resource")
    runs = [] if found.n_before is None else [f"before: {found.n_before:,}"]
    runs.append(f"{everything['n_finished']:,} finished, on {resources}")
    return [
        Kpi(key="runs", label="Runs", value=int(everything["n"]), kind="count", lines=runs),
        _rate_kpi(scope, found),
        Kpi(
            key="alarms", label="Repeated failures", value=act.n_alarms, kind="count",
            mark="error" if act.n_alarms else "ok",
            lines=[
                "three or more in a row" if act.n_alarms else f"never {ALARM} in a row",
                *_before(act.n_alarms_before),
                f"of {counted(act.n_series, 'kind')} of run per resource and plan",
            ],
        ),
        Kpi(
            key="stale", label="No recent good backup", kind="count",
            value=n_stale if len(ages.table) else None,
            mark="" if ages.table.empty else "error" if n_stale else "ok",
            lines=["no backup plans in this selection"] if ages.table.empty else [
                "past their target" if n_stale else "all within their target",
                *_before(ages.n_stale_before),
                f"of {plans} on resources seen since {reach_text(scope)}",
            ],
        ),
        Kpi(
            key="overdue", label="Running too long", value=n_late, kind="count",
            mark="running" if n_late else "ok",
            lines=["overdue" if n_late else "none overdue", f"of {len(running):,} still running"],
        ),
    ]  # fmt: skip


def _rate_kpi(scope: Scope, found: Totals) -> Kpi:
    now, label = found.now, "Failure rate"
    if scope.partial is None:
        return Kpi(key="rate", label=label, value=WITHHELD, kind="rate")
    if not decided(now):
        return Kpi(key="rate", label=label, value=None, kind="rate")
    lines = [f"{range_text(now['ci_low'], now['ci_high'])} (95\u00a0% interval)"]
    if found.change is not None and found.before is not None:
        difference, low, high, _ = found.change
        lines.append(
            f"before: {percent(found.before['failure_rate'])}\u00a0%; {points(difference)} points"
            f" ({points(low)} to {points(high)})"
        )
    return Kpi(key="rate", label=label, value=now["failure_rate"], kind="rate", lines=lines)


def _before(number: int | None) -> Sequence[str]:
    return [] if number is None else [f"before: {number:,}"]


def summary(
    scope: Scope, found: Totals, act: Jobs, ages: Ages, running: pd.DataFrame
) -> Mapping[str, Any]:
    """Give the numbers of the verdict by fixed names, for programs."""
    now, before = found.now, found.before
    known = bool(decided(now)) and scope.partial is not None
    counts = ("n", "n_finished", "n_success", "n_failed")
    classes = {kind: sum(row["class"] == kind for row in act.rows) for kind in CLASSES}
    return {
        **{name: int(found.every[name]) for name in counts},
        **{
            name: float(now[name]) if known else None
            for name in ("failure_rate", "ci_low", "ci_high")
        },
        "complete": scope.partial is not None and not scope.partial,
        "compared": scope.compared,
        "n_act": len(act.rows),
        "n_new": classes["new"],
        "n_recurring": classes["recurring"],
        "n_chronic": classes["chronic"],
        "n_failing": classes["failing"],
        "n_late": classes["overdue"],
        "n_recovered": len(act.recovered),
        "n_alarms": act.n_alarms,
        "n_stale": len(ages.stale),
        "n_overdue": int(running["overdue"].sum()),
        "n_before": found.n_before,
        "failure_rate_before": float(before["failure_rate"])
        if before and decided(before) and known
        else None,
        "change": found.change._asdict() if found.change and known else None,
    }
