"""Section 4: how old the last good run of each resource under each plan is."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pandas as pd

from activitykit import plots, stats
from activitykit.filters import Filter
from activitykit.report.cells import missing, moment_text
from activitykit.report.content import Column, Figure, Section, Table
from activitykit.report.scope import Scope
from activitykit.report.sections.compare import cap_text
from activitykit.report.sections.runs import PAIR, keyed
from activitykit.report.targets import DEFAULT, target_seconds
from activitykit.wording import counted, duration_text

SHOWN: Final = 25
DORMANT: Final = pd.Timedelta(14, "D")
"""After so long without any run, and none in either period, a plan is taken as removed."""


class Ages(NamedTuple):
    """`stats.last_good` of the backups, with ``target_s`` and ``stale`` (past it).

    ``n_stale_before`` counts the stale ones at the end of the period before; None when unknown.
    ``n_dormant`` counts those that are left out, since nothing has run for long.
    """

    table: pd.DataFrame
    n_dormant: int
    n_stale_before: int | None

    @property
    def stale(self) -> pd.DataFrame:
        """Give the rows past their target, those without a good run first, then the oldest."""
        late = self.table[self.table["stale"]]
        return late.sort_values(
            ["never", "age_s", *PAIR], ascending=[False, False, True, True, True], kind="stable"
        )


def ages(scope: Scope) -> Ages:
    """Measure the last good runs against their targets."""
    # applying a plan succeeds also where its backups fail
    backups = Filter(policy_type="backup").select(scope.runs)
    rhythm = _rhythm(backups, scope.end)
    now = _against_targets(backups, rhythm, scope, scope.end)
    since = min(scope.before.since, scope.end - DORMANT)
    dormant = now["last_at"] < since
    before = None
    if scope.compared:
        earlier = _against_targets(backups, rhythm, scope, scope.before.until)
        earlier = earlier[earlier["last_at"] >= since - (scope.period.until - scope.period.since)]
        before = int(earlier["stale"].sum())
    return Ages(now[~dormant].reset_index(drop=True), int(dormant.sum()), before)


def _rhythm(backups: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    """Give for each pair its first and last start, and the usual seconds between two starts."""
    started = backups.loc[backups["startedAt"] <= end, [*PAIR, "tenant.id", "startedAt"]]
    runs = keyed(started.sort_values("startedAt"))
    pair = runs.groupby(PAIR, dropna=False, sort=False, observed=True).ngroup()
    gap = runs["startedAt"].groupby(pair).diff().dt.total_seconds()
    names = runs[PAIR].groupby(pair).head(1).set_axis(pair.drop_duplicates())
    starts = runs["startedAt"].groupby(pair)
    return names.assign(
        usual_s=gap.groupby(pair).median(), first_at=starts.min(), last_at=starts.max()
    )


def _against_targets(
    backups: pd.DataFrame, rhythm: pd.DataFrame, scope: Scope, end: pd.Timestamp
) -> pd.DataFrame:
    good = stats.last_good(backups, as_of=end, policy=scope.policy)
    table = good.merge(rhythm, on=PAIR, how="left")
    table["target_s"] = target_seconds(table, table["usual_s"], scope.targets)
    # a resource whose first backup is still to come is not late yet
    waited = (end - table["first_at"]).dt.total_seconds() > table["target_s"]
    never = table["never"] & (waited | (table["n_failed"] > 0)) & table["target_s"].notna()
    table["stale"] = (table["age_s"] > table["target_s"]) | never
    return table


def target_text(scope: Scope) -> str:
    """Say in words what the targets are."""
    if scope.targets is None:
        return DEFAULT
    if isinstance(scope.targets, Mapping):
        return "; ".join(f"{span} for plans like “{name}”" for name, span in scope.targets.items())
    return scope.targets


def freshness(scope: Scope, found: Ages) -> Section:
    """Show the ages as a curve, and list what is past its target."""
    title = "How old is the last good backup?" if scope.plain else "Freshness"
    table, stale = found.table, found.stale
    if table.empty:
        return Section(key="freshness", title=title, text=["No backup plan in this selection."])
    never = int(table["never"].sum())
    what = "resource with its plan" if len(table) == 1 else "resources with their plans"
    end = "period" if scope.end == scope.period.until else "data"
    dormant = (
        f" {found.n_dormant:,} more have not run at all for over {DORMANT.days} days and in neither"
        " period: their plans are taken as removed."
        if found.n_dormant
        else ""
    )
    text = [
        f"{len(table) - len(stale):,} of {len(table):,} {what} had a good run within the target"
        f" before the end of the {end}."
        f"{_before_text(found, len(stale), scope)}"
        + (f" {never:,} never had one as far as the data reaches." if never else "")
        + dormant
        + f" The data read begins on {reach_text(scope)}: what last ran before is not known here,"
        " and not counted.",
        f"Target: {target_text(scope)}.",
    ]
    return Section(
        key="freshness", title=title, text=text,
        figures=[_figure(table, len(stale))],
        tables=[_breaches(scope, stale)] if len(stale) else [],
    )  # fmt: skip


def reach_text(scope: Scope) -> str:
    """Say on which day the runs begin that are known: older ones cannot be late."""
    return moment_text(scope.runs["updatedAt"].min(), scope.tz).partition(",")[0]


def _before_text(found: Ages, n_stale: int, scope: Scope) -> str:
    if found.n_stale_before is None:
        return ""
    now = "None is" if not n_stale else "1 is" if n_stale == 1 else f"{n_stale:,} are"
    return f" {now} past it; at the end of {scope.before.name} it was {found.n_stale_before:,}."


def _figure(table: pd.DataFrame, n_stale: int) -> Figure:
    known = table["age_s"].dropna()
    middle = f" half of them are at most {duration_text(known.median())} old." if len(known) else ""
    return Figure(
        name="ages", draw=plots.last_good, frame=table[["age_s", "never"]], height=2.6,
        caption="For each age, the share of resources with their plans whose last good run is at"
        " most so old.",
        alt=f"Ages of the last good runs of {counted(len(table), 'resource')} with their plans;"
        f"{middle} {n_stale:,} are past their target, as the table below lists.",
    )  # fmt: skip


def _breaches(scope: Scope, stale: pd.DataFrame) -> Table:
    rows = [
        {
            **row,
            "last_good": "never" if row["never"] else row["last_success_at"],
            "age": "never" if row["never"] else row["age_s"],
        }
        for row in stale.head(SHOWN).to_dict("records")
    ]
    names = [] if scope.plain else [Column("tenant.name", "Tenant")]
    return Table(
        name="breaches",
        title="Without a recent backup" if scope.plain else "Past the target",
        caption=f"{cap_text(len(rows), len(stale), 'resources and plans')}Those without any good"
        f" run in the data first, then the oldest. Times in {scope.tz}.",
        columns=[
            Column("resource.name", "Resource"), *names, Column("policy.name", "Plan"),
            Column("last_good", "Last good run", "time"), Column("age", "Age", "duration"),
            Column("target_s", "Target", "duration"), Column("n", "Runs seen", "count"),
            Column("n_failed", "Failed", "count"),
        ],
        rows=rows, total=len(stale),
    )  # fmt: skip


def pair_key(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Give the key of a row by resource and plan, in which missing values equal each other."""
    return tuple(None if missing(row[name]) else row[name] for name in PAIR)
