"""Section 10: what the report was made from, so that it can be made again."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from typing import Any

import pandas as pd

from activitykit.filters import Filter
from activitykit.moments import format_time
from activitykit.report.period import Period
from activitykit.report.scope import Scope
from activitykit.schema import SCHEMA_VERSION, note


def manifest(scope: Scope) -> dict[str, Any]:
    """Give everything that decides what the report says, as JSON can hold it.

    ``arguments`` are those of `render_report`, with the moment fixed: with the same rows and the
    same package they give the same report. That of a customer's report names no source, no filter
    and no other tenant; of what other scopes cover it keeps only what decides this report.
    """
    return {
        "activitykit": version("activitykit"),
        "schema_version": SCHEMA_VERSION,
        "arguments": arguments(scope),
        "period": _span(scope.period),
        "compared_with": _span(scope.before) if scope.compared else None,
        "data_as_of": format_time(scope.as_of),
        "data": {
            "source": note(scope.rows, "source"),
            "version": note(scope.rows, "version"),
            "loaded_with": note(scope.rows, "filter"),
            "loaded_whole": note(scope.rows, "complete"),
            "complete": _complete(scope),
            "coverage": note(scope.rows, "coverage", []),
        },
        "rows": {
            "frame": scope.n_frame,
            "selected": len(scope.rows),
            "period": len(scope.now),
            "before": None if scope.past is None else len(scope.past),
        },
        "content_hash": content_hash(scope.rows),
    }


def arguments(scope: Scope) -> dict[str, Any]:
    """Give the arguments that make the same report again, as JSON can hold them."""
    asked = scope.asked
    span = asked if isinstance(asked, str) else [format_time(edge) for edge in scope.period[:2]]
    return {
        "period": span,
        "profile": scope.profile,
        "where": None if scope.where is None else _conditions(scope.where),
        "tz": scope.tz,
        "targets": dict(scope.targets) if isinstance(scope.targets, Mapping) else scope.targets,
        "policy": {f.name: list(getattr(scope.policy, f.name)) for f in fields(scope.policy)},
        "as_of": format_time(scope.as_of),
        "title": scope.title,
    }


def content_hash(rows: pd.DataFrame) -> str:
    """Hash which activities there are, in which state: their ids and last changes."""
    identity = pd.util.hash_pandas_object(rows[["id", "updatedAt"]], index=False)
    digest = hashlib.sha256(identity.sort_values().to_numpy().tobytes()).hexdigest()
    return f"sha256:{digest}"


def _span(period: Period) -> list[str]:
    return [format_time(period.since), format_time(period.until)]


def _complete(scope: Scope) -> bool:
    return scope.partial is not None and not scope.partial


def _conditions(where: Filter) -> dict[str, Any]:
    """Give what a filter asks for; ``Filter(**…)`` makes it again."""
    asked = {f.name: getattr(where, f.name) for f in fields(where)}
    return {
        name: format_time(value) if isinstance(value, pd.Timestamp) else _listed(value)
        for name, value in asked.items()
        if value != getattr(Filter(), name)
    }


def _listed(value: Any) -> Any:  # noqa: ANN401 - a condition of any kind
    return list(value) if isinstance(value, tuple) else value
