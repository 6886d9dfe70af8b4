"""`build_report`: from a frame to everything that its report says."""

from collections.abc import Mapping

import pandas as pd

from activitykit import stats
from activitykit.filters import Filter
from activitykit.moments import Moment
from activitykit.report.content import Profile, Report
from activitykit.report.period import PeriodText

Targets = str | Mapping[str, str] | None
"""How old a last good run may be: a span for all, or spans by patterns of plan names."""


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
    raise NotImplementedError
