"""Section 9: what is odd about the data, and what the words of the report mean."""

from typing import Final

import pandas as pd

from activitykit import stats
from activitykit.report.content import Column, Section, Table
from activitykit.report.scope import Scope
from activitykit.report.sections.compare import Row
from activitykit.report.sections.freshness import target_text
from activitykit.wording import counted


def quality(scope: Scope) -> Section:
    """List the checks of `stats.quality` that found something."""
    title = "About the data" if scope.plain else "Data quality"
    now = scope.now
    if scope.where is not None:
        # what the load noted is about all of its rows, other tenants' as well
        now = now.copy(deep=False)
        now.attrs = {}
    found = stats.quality(now, as_of=scope.as_of, policy=scope.policy)
    odd = found[found["n"] > 0]
    if odd.empty:
        return Section(key="quality", title=title, text=["No check found anything odd."])
    rows = [row | _words(row, scope) for row in odd.to_dict("records")]
    return Section(
        key="quality", title=title,
        tables=[
            Table(
                name="quality",
                caption=f"Checks that found something among the"
                f" {counted(len(scope.now), 'activity record')} of the period.",
                columns=[
                    Column("what", "Check"), Column("n", "Records", "count"),
                    Column("share", "Share", "rate"), Column("meaning", "What it means", "prose"),
                ],
                rows=rows, total=len(rows),
            )
        ],
    )  # fmt: skip


def _words(row: Row, scope: Scope) -> Row:
    """Name a check, for a customer without the names of columns."""
    check = str(row["check"])
    what, meaning = CHECKS.get(check, (check.replace("_", " "), row["meaning"]))
    return {"what": what, "meaning": meaning} if scope.plain else {"what": check.replace("_", " ")}


def method(scope: Scope) -> Section:
    """Say what the words mean and how the intervals are made."""
    meant = _PLAIN if scope.plain else _EXACT
    policy = scope.policy
    neither = ", ".join((*policy.neither, *policy.cancelled_errors))
    told = {
        **meant,
        "Target": f"How old the last good run may be: {target_text(scope)}. Backup plans only, as"
        " far as the data reaches.",
        "Outcomes": f"Success: {', '.join(policy.success)}. Failure: {', '.join(policy.failure)}."
        f" Neither, and in no rate: {neither}.",
    }
    rows: list[Row] = [{"term": term, "meaning": meaning} for term, meaning in told.items()]
    title = "What the words mean" if scope.plain else "Definitions and method"
    return Section(
        key="method", title=title,
        tables=[
            Table(
                name="method", caption="", rows=rows, total=len(rows),
                columns=[Column("term", "Word"), Column("meaning", "Meaning", "prose")],
            )
        ],
    )  # fmt: skip


_RUN = (
    "A root activity, without those that it started itself. It belongs to the period in which it"
    " started; the end of the period is excluded."
)
_EXACT = {
    "Run": _RUN,
    "Failure rate": "Failed runs of those that succeeded or failed; cancelled runs and unknown"
    " result codes stay outside. Wilson interval at 95\u00a0%, widened because runs of one resource"
    " resemble each other (design effect).",
    "Change": "Difference of the two rates with Newcombe’s interval at 95\u00a0%. “Higher” and"
    " “lower” mean that the interval excludes zero; below 5 runs there is no word. Medians are"
    " called longer or shorter where their 95\u00a0% intervals (Brookmeyer and Crowley) lie apart.",
    "Duration": "From start to end, without waiting. Quantiles by Kaplan–Meier, so that runs that"
    " have not ended are counted with the time so far instead of being left out. “Not reached”: too"
    " many of them are still going.",
    "New": "Failed in this period, and not in the one before.",
    "Chronic": "At least three of the last five runs failed, in both periods.",
    "Recurring": "Fails, and is neither new nor chronic. Without the period before: “failing”.",
    "Recovered": "Failed in the period before, and the last run was good.",
    "Overdue": "A run that is still going, although 95\u00a0% of its kind (type and resource, or"
    " type where the resource has fewer than 20) ended at least 15 minutes sooner; or a resource"
    " past its target whose last run did not fail.",
    "In a row": "Failures since the last success at the end of the period, of one type of run on"
    " one resource under one plan. Two in a row happen by chance; three seldom do.",
    "No data": "The load or the archive does not cover the time, so that nothing is known. “No"
    " run” means that it is covered, and nothing started.",
}  # fmt: skip
_PLAIN = {
    "Run": "One piece of work on one machine, mailbox or site, such as a backup or a scan. It"
    " counts on the day on which it started.",
    "Failure rate": "Of 100 runs that ended well or badly, how many ended badly. Runs that somebody"
    " cancelled do not count. The interval says how sure that is: with few runs it is wide.",
    "Change": "How much the failure rate differs from the period before, in percentage points."
    " “Unclear” means that chance alone may explain it.",
    "New, recurring, chronic": "New: did not fail in the period before. Chronic: most runs failed"
    " in both periods. Recurring: anything between.",
    "Overdue": "A run that takes much longer than its like; or a machine whose last good backup is"
    " too old, although none has failed.",
    "Half end within": "The middle: half of the runs were faster, half slower. Runs that have not"
    " ended are counted with the time so far.",
    "No data": "Nothing is known about that time. “No run” means that nothing started.",
}  # fmt: skip


_NO_DURATION: Final = "They are in no duration."
CHECKS: Final = {
    "duplicates": ("Sent twice", "The same record came more than once; the latest one counts."),
    "conflicts": ("Mixed values", "A detail was sent in different forms and is kept as text."),
    "unreadable_times": ("Unreadable times", "A time could not be read and counts as unknown."),
    "tasks_left_out": ("Other records", "Records of another kind were left out."),
    "incomplete": ("Incomplete", "Not everything was loaded: numbers may be too low."),
    "repeated_ids": ("Counted twice", "A record is there more than once: counts are too high."),
    "legacy": ("Log entries", f"Records that only note that something happened. {_NO_DURATION}"),
    "legacy_with_duration": ("Log entries that took time", f"Odd, but harmless. {_NO_DURATION}"),
    "missing_started": ("No start", f"Ended without a known start. {_NO_DURATION}"),
    "missing_completed": ("No end", f"Ended at an unknown time. {_NO_DURATION}"),
    "missing_result": ("No result", "Ended without saying how. They are in no failure rate."),
    "backwards": ("End before start", f"A clock was probably wrong. {_NO_DURATION}"),
    "queue_backwards": ("Start before creation", "A clock was probably wrong. In no wait."),
    "after_as_of": ("In the future", "Started later than the data reaches: a clock was wrong."),
    "stuck": ("No sign of life", "Running, but not heard of for a day: it may have broken off."),
    "unknown_state": ("Unknown state", "A state that is not documented."),
    "unknown_result": ("Unknown result", "A result that is not documented."),
    "unknown_outcome": ("Neither good nor bad", "A result of unknown meaning: in no failure rate."),
    "unknown_type": ("Unknown kind", "Work of a kind that has no readable name."),
    "mixed_case_ids": ("Spelling", "A machine was named in capitals, which makes no difference."),
    "missing_tenant_uuid": ("Old records", "They name the customer in an older way."),
    "missing_resource": ("No machine", "Work that belongs to no machine, mailbox or site."),
    "clock_skew": ("Wrong clock or late", "A clock was minutes off, or the record arrived late."),
}  # fmt: skip
"""The checks of `stats.quality` in plain words."""


def exclusions(rows: pd.DataFrame, policy: stats.OutcomePolicy) -> dict[str, int]:
    """Count the records that no rate counts, by reason."""
    table = stats.failure_stats(rows, policy=policy)
    left = table.attrs["activitykit"]["left_out"]
    return {str(reason): int(n) for reason, n in left.items()}
