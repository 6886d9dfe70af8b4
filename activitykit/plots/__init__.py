"""One figure per statistic: a function draws what the function of its name in `stats` returned.

Figures take the small tidy frame (`gantt` the rows of a night) and compute nothing but positions:

======================  ==========================================================================
`duration_stats`        strips from p50 to p95 per group, with the runs still going
`survival`              the share of runs that last longer than a time, as step curves
`failure_stats`         failure rates as points with intervals, those that surely fail most first
`trend`                 outcomes per time bucket, stacked
`failure_trend`         the failure rate of the same buckets, with its interval
`failure_reasons`       Pareto of failure signatures
`concurrency`           how many runs were going on at once, mean and maximum
`weekly_load`           starts, queue times or failures by weekday and hour, as a heat map
`gantt`                 the runs of one night as bars by resource; from rows of `durations`
`overdue`               running activities: time so far against what their kind still needs
`calendar`              how each group's runs ended, bucket by bucket; from `trend` with ``by``
`last_good`             ages of the last good runs, as a cumulative curve
======================  ==========================================================================

With ``ax=None`` a figure of its own is made through pyplot, as pandas and seaborn do, so that a
notebook shows it; given an ``ax``, pyplot is not touched. Backgrounds are transparent and all ink
is a mid-grey with about 4.3 : 1 against both, so that a figure reads on white and on dark alike.
Colours come from `palette` and never stand alone: a shape, a hatch or a word goes with each.
"""

from activitykit.plots.durations import duration_stats, overdue, survival
from activitykit.plots.failures import failure_reasons, failure_stats, failure_trend
from activitykit.plots.load import concurrency, gantt, weekly_load
from activitykit.plots.outcomes import calendar, last_good, trend

__all__ = [
    "calendar",
    "concurrency",
    "duration_stats",
    "failure_reasons",
    "failure_stats",
    "failure_trend",
    "gantt",
    "last_good",
    "overdue",
    "survival",
    "trend",
    "weekly_load",
]
