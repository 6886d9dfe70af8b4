"""Statistics of activities: a frame in, a small tidy frame out.

Every function takes a pandas or Polars frame, a DuckDB relation or a Spark DataFrame with the
columns of `activitykit.schema`, and gives a pandas frame (`durations` gives the same kind back).
``result.attrs["activitykit"]["left_out"]`` says how many rows were left out, by reason. None reads
the clock, so that a span such as ``as_of="1d"`` counts back from the latest ``updatedAt``; none
changes its input. DuckDB takes most of the machine's memory unless its connection is told otherwise
before, such as by ``SET memory_limit = '2500MB'``; beyond that it works on disk.
"""

from activitykit.stats.concurrency import concurrency
from activitykit.stats.durations import duration_stats, durations
from activitykit.stats.failures import failure_reasons, failure_stats
from activitykit.stats.health import last_good, streaks
from activitykit.stats.overdue import overdue
from activitykit.stats.policy import OutcomePolicy
from activitykit.stats.quality import quality
from activitykit.stats.survival import survival
from activitykit.stats.trend import trend, weekly_load

__all__ = [
    "OutcomePolicy",
    "concurrency",
    "duration_stats",
    "durations",
    "failure_reasons",
    "failure_stats",
    "last_good",
    "overdue",
    "quality",
    "streaks",
    "survival",
    "trend",
    "weekly_load",
]
