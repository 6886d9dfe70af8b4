"""A report as Markdown, for chats and tickets: words and tables, no figures.

Tables are those of GitHub's dialect, which ticket systems and chats read. Whatever a name holds is
shown as it is: it makes no link, no emphasis and no cell of its own.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from activitykit.report.cells import cell_text
from activitykit.report.content import Column, Report, Section, Table

_SIGNS: Final = re.compile(r"[\\`*_\[\]<>&|~$#]|(?<=[A-Za-z]):(?=//)|(?<=www)\.", re.IGNORECASE)
# what would make a list, a heading or a rule at the beginning of a line
_OPENING: Final = re.compile(r"^(?=[+=-])|^(?P<number>\d+)(?=[.)](\s|$))")
_RIGHT: Final = frozenset({"count", "rate", "interval", "change", "duration"})


def to_markdown(report: Report) -> str:
    """Write a report as Markdown; the same report gives the same text."""
    return "\n\n".join(_blocks(report)) + "\n"


def _blocks(report: Report) -> Iterator[str]:
    yield f"# {_inline(report.title)}"
    yield paragraph(report.coverage)
    for banner in report.banners:
        yield f"> **{_inline(banner.title)}** {_inline(banner.text)}"
    yield f"## {_inline(report.headline)}"
    yield from map(paragraph, report.text)
    numbers = [
        f"- **{_inline(kpi.label)}:** {_inline(cell_text(kpi.value, kpi.kind, report.tz))}"
        + (f" ({_inline('; '.join(kpi.lines))})" if kpi.lines else "")
        for kpi in report.kpis
    ]
    if numbers:
        yield "\n".join(numbers)
    for section in report.sections:
        yield from _section(section, report.tz)
    manifest = json.dumps(report.manifest, ensure_ascii=False, indent=1)
    yield f"## Manifest\n\n```json\n{manifest}\n```"


def _section(section: Section, tz: str) -> Iterator[str]:
    yield f"## {_inline(section.title)}"
    yield from map(paragraph, section.text)
    for table in section.tables:
        if table.title:
            yield f"### {_inline(table.title)}"
        if table.caption:
            yield paragraph(table.caption)
        yield _table(table, tz)


def _table(table: Table, tz: str) -> str:
    lines = [
        [_inline(column.label) or " " for column in table.columns],
        [_rule(column) for column in table.columns],
        *(
            [_inline(cell_text(row.get(key), kind, tz)) for key, _, kind in table.columns]
            for row in table.rows
        ),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rule(column: Column) -> str:
    return "---:" if column.kind in _RIGHT else "---"


def paragraph(text: str) -> str:
    """Write a sentence so that it stays one, whatever it begins with."""
    return _OPENING.sub(lambda found: f"{found['number'] or ''}\\", _inline(text), count=1)


def _inline(text: str) -> str:
    """Write text on one line that shows as it is."""
    printed = "".join(sign if sign.isprintable() else " " for sign in text)
    return _SIGNS.sub(lambda sign: f"\\{sign[0]}", " ".join(printed.split()))
