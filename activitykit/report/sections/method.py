"""Section 9: what is odd about the data, and what the words of the report mean."""

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
    rows = [row | {"what": str(row["check"]).replace("_", " ")} for row in odd.to_dict("records")]
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


def exclusions(rows: pd.DataFrame) -> dict[str, int]:
    """Count the records that no rate counts, by reason."""
    table = stats.failure_stats(rows)
    left = table.attrs["activitykit"]["left_out"]
    return {str(reason): int(n) for reason, n in left.items()}
