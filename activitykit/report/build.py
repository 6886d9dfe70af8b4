"""`build_report`: from a frame to everything that its report says."""

from typing import Final

import pandas as pd

from activitykit import stats
from activitykit.filters import Filter
from activitykit.moments import Moment
from activitykit.report.content import Profile, Report
from activitykit.report.period import PeriodText
from activitykit.report.scope import Scope, read_scope
from activitykit.report.sections import (
    act,
    calendar,
    durations,
    failures,
    freshness,
    load,
    manifest,
    method,
    tenants,
    verdict,
)
from activitykit.report.targets import Targets


def build_report(
    df: pd.DataFrame,
    *,
    period: PeriodText = "7d",
    profile: Profile = "ops",
    where: Filter | None = None,
    tz: str = "UTC",
    targets: Targets = None,
    policy: stats.OutcomePolicy | None = None,
    as_of: Moment | None = None,
    title: str | None = None,
) -> Report:
    """Compute a report, from which every format is written; `render_report` explains the rest.

    Reads no clock. The frame should hold both periods; whatever lies further back makes streaks and
    the ages of last good runs longer, and plays no other part.
    """
    scope = read_scope(
        df, period=period, profile=profile, where=where, tz=tz, targets=targets,
        policy=policy or stats.OutcomePolicy(), as_of=as_of, title=title,
    )  # fmt: skip
    return _nothing(scope) if scope.now.empty else _everything(scope)


def _everything(scope: Scope) -> Report:
    running = durations.still_running(scope)
    ages = freshness.ages(scope)
    jobs = act.jobs(scope, ages, running)
    found = verdict.totals(scope)
    return Report(
        title=scope.title, profile=scope.profile, tz=scope.tz, period=scope.period,
        before=scope.before, as_of=scope.as_of,
        coverage=verdict.coverage(scope),
        banners=verdict.banners(scope),
        headline=verdict.headline(scope, found),
        text=verdict.sentences(scope, found, jobs, running),
        kpis=verdict.kpis(scope, found, jobs, ages, running),
        summary=verdict.summary(scope, found, jobs, ages, running),
        sections=[
            act.act(scope, jobs),
            tenants.tenants(scope, ages),
            freshness.freshness(scope, ages),
            failures.failures(scope),
            durations.durations(scope, running),
            load.load(scope),
            calendar.calendar(scope),
            method.quality(scope),
            method.method(scope),
        ],
        manifest=manifest.manifest(scope),
    )  # fmt: skip


def _nothing(scope: Scope) -> Report:
    """Say that nothing started, which is news as well; a backup may still be too old."""
    running, ages = durations.still_running(scope), freshness.ages(scope)
    jobs, found = act.jobs(scope, ages, running), verdict.totals(scope)
    return Report(
        title=scope.title, profile=scope.profile, tz=scope.tz, period=scope.period,
        before=scope.before, as_of=scope.as_of,
        coverage=verdict.coverage(scope),
        banners=verdict.banners(scope),
        headline="No activities in this period",
        text=[_NOTHING],
        kpis=[],
        summary=verdict.summary(scope, found, jobs, ages, running),
        sections=[*([act.act(scope, jobs)] if jobs.rows else []), method.method(scope)],
        manifest=manifest.manifest(scope),
    )  # fmt: skip


_NOTHING: Final = (
    "Nothing of this selection started in it. That may mean that nothing ran, or that the data was"
    " not loaded: check the period and the selection."
)
