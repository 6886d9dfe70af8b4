"""Analyse the activities of Acronis Cyber Protect Cloud: load, measure, filter, report.

``import activitykit as ak`` costs little more than ``import pandas``: what needs other libraries is
brought in when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from activitykit.errors import (
    ActivityKitError,
    ApiError,
    ArchiveError,
    AuthError,
    BadQueryError,
    ConfigError,
    FlattenError,
    IncompleteError,
    RateLimitError,
    SchemaError,
    SnapshotError,
)
from activitykit.filters import Filter

# imported at once because the modules carry the names of their functions
from activitykit.flatten import flatten, unflatten
from activitykit.load import load
from activitykit.schema import columns

if TYPE_CHECKING:
    from activitykit import demo, plots
    from activitykit.archive import Archive
    from activitykit.client import Client
    from activitykit.front import explore
    from activitykit.report import render_report, write_report
    from activitykit.snapshot import read_snapshot, write_snapshot
    from activitykit.stats import (
        OutcomePolicy,
        concurrency,
        duration_stats,
        durations,
        failure_reasons,
        failure_stats,
        last_good,
        overdue,
        quality,
        streaks,
        survival,
        trend,
        weekly_load,
    )

    __version__: str

_HOME: Final = {
    "Archive": "archive",
    "Client": "client",
    "explore": "front",
    "render_report": "report",
    "write_report": "report",
    "read_snapshot": "snapshot",
    "write_snapshot": "snapshot",
    "OutcomePolicy": "stats",
    "concurrency": "stats",
    "duration_stats": "stats",
    "durations": "stats",
    "failure_reasons": "stats",
    "failure_stats": "stats",
    "last_good": "stats",
    "overdue": "stats",
    "quality": "stats",
    "streaks": "stats",
    "survival": "stats",
    "trend": "stats",
    "weekly_load": "stats",
}

__all__ = [
    "ActivityKitError",
    "ApiError",
    "Archive",
    "ArchiveError",
    "AuthError",
    "BadQueryError",
    "Client",
    "ConfigError",
    "Filter",
    "FlattenError",
    "IncompleteError",
    "OutcomePolicy",
    "RateLimitError",
    "SchemaError",
    "SnapshotError",
    "columns",
    "concurrency",
    "demo",
    "duration_stats",
    "durations",
    "explore",
    "failure_reasons",
    "failure_stats",
    "flatten",
    "last_good",
    "load",
    "overdue",
    "plots",
    "quality",
    "read_snapshot",
    "render_report",
    "streaks",
    "survival",
    "trend",
    "unflatten",
    "weekly_load",
    "write_report",
    "write_snapshot",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("activitykit")
        if name in ("demo", "plots"):
            return import_module(f"activitykit.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'activitykit' has no attribute {name!r}")
        value = getattr(import_module(f"activitykit.{_HOME[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
