"""A report as JSON: all numbers, with all digits.

``report.schema.json`` beside this file says what is where, and every document holds to it.
"""

import json
import math
import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from activitykit.moments import format_time
from activitykit.report.content import Change, Figure, Kind, Report, Section, Table
from activitykit.report.period import Period

_ID: Final = re.compile(r"(^|[._])ids?$")

VERSION: Final = 1
"""Raised when a reader of earlier documents would misread a new one."""


def to_json(report: Report) -> str:
    """Write a report as JSON; the same report gives the same text.

    Times are RFC 3339 in UTC, durations seconds, rates fractions. Ids are text: numbers of their
    size lose their last digits in JavaScript and jq. What is missing is null.
    """
    document = {
        "version": VERSION,
        "title": report.title,
        "profile": report.profile,
        "tz": report.tz,
        "period": _period(report.period),
        "before": _period(report.before),
        "as_of": format_time(report.as_of),
        "coverage": report.coverage,
        "banners": [banner._asdict() for banner in report.banners],
        "headline": report.headline,
        "text": list(report.text),
        "kpis": [
            {
                "key": kpi.key, "label": kpi.label, "kind": kpi.kind,
                "value": _value(kpi.value, kpi.kind), "lines": list(kpi.lines),
            }
            for kpi in report.kpis
        ],
        "summary": {str(key): _value(value) for key, value in report.summary.items()},
        "sections": [_section(section) for section in report.sections],
        "manifest": dict(report.manifest),
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _period(period: Period) -> dict[str, str]:
    return {
        "since": format_time(period.since), "until": format_time(period.until),
        "name": period.name, "length": period.length,
    }  # fmt: skip


def _section(section: Section) -> dict[str, Any]:
    return {
        "key": section.key,
        "title": section.title,
        "text": list(section.text),
        "figures": [_figure(figure) for figure in section.figures],
        "tables": [_table(table) for table in section.tables],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    """Give what a figure shows: the rows that it is drawn from."""
    return {
        "name": figure.name, "caption": figure.caption, "alt": figure.alt,
        "rows": [_row(row, {}) for row in figure.frame.to_dict("records")],
    }  # fmt: skip


def _table(table: Table) -> dict[str, Any]:
    kinds = {column.key: column.kind for column in table.columns}
    return {
        "name": table.name, "title": table.title, "caption": table.caption, "total": table.total,
        "columns": [column._asdict() for column in table.columns],
        "rows": [_row(row, kinds) for row in table.rows],
    }  # fmt: skip


def _row(row: Mapping[Hashable, Any], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    return {
        name: _value(value, kinds.get(name, "id" if _ID.search(name) else "text"))
        for name, value in zip(map(str, row), row.values(), strict=True)
    }


def _value(value: Any, kind: Kind = "text") -> Any:  # noqa: ANN401, PLR0911 - any cell, to any JSON
    if isinstance(value, Change):
        return {name: _value(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return _row(value, {})
    if isinstance(value, list | tuple | np.ndarray):
        return [_value(one, kind) for one in value]
    if value is None or pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return format_time(value)
    if isinstance(value, pd.Timedelta):
        return value.total_seconds()
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and math.isinf(plain):
        return None
    return str(plain) if kind == "id" else plain
