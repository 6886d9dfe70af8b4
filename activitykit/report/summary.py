"""The summary of a report for the body of a mail: the verdict and what to act on."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from textwrap import fill
from typing import TYPE_CHECKING, Final

from activitykit.palette import MARK
from activitykit.report.cells import NOTHING, cell_text
from activitykit.report.content import Cells, Report, Section, Table
from activitykit.report.templates import new_environment, text_of

if TYPE_CHECKING:
    from jinja2 import Template

_SHOWN: Final = "act"
_CLOSING: Final = "The whole report is attached."


def summary_text(report: Report) -> str:
    """Write the summary as plain text in lines of mail's usual length."""
    return "\n\n".join(_paragraphs(report)) + "\n"


def summary_html(report: Report) -> str:
    """Write the summary as HTML that mail programs show: tables and inline styles.

    Raises
    ------
    ConfigError
        When jinja2 is missing.
    """
    page = _template().render(
        report=report, sections=_sections(report), closing=_CLOSING,
        cell=partial(cell_text, tz=report.tz), head=partial(_head, tz=report.tz),
        facts=partial(_facts, tz=report.tz),
    )  # fmt: skip
    return page.strip() + "\n"


def _sections(report: Report) -> list[Section]:
    """Give what to act on, and leave the rest to the file."""
    return [
        replace(section, tables=[table for table in section.tables if table.name == _SHOWN])
        for section in report.sections
        if section.key == _SHOWN
    ]


def _paragraphs(report: Report) -> Iterator[str]:
    yield _underlined(report.title, "=")
    yield _wrapped(report.coverage)
    for banner in report.banners:
        yield _wrapped(f"{MARK[banner.kind]} {banner.title} {banner.text}")
    yield _underlined(report.headline, "-")
    yield from map(_wrapped, report.text)
    numbers = [
        _wrapped(
            f"- {kpi.label}: {cell_text(kpi.value, kpi.kind, report.tz)}"
            + (f" ({'; '.join(kpi.lines)})" if kpi.lines else ""),
            indent="  ",
        )
        for kpi in report.kpis
    ]
    if numbers:
        yield "\n".join(numbers)
    for section in _sections(report):
        yield _underlined(section.title, "-")
        yield from map(_wrapped, section.text)
        for table in section.tables:
            yield from filter(None, [_wrapped(table.caption)])
            for number, row in enumerate(table.rows, 1):
                facts = "; ".join(_facts(row, table, report.tz))
                head = f"{number}. {_head(row, table, report.tz)}"
                yield "\n".join([head, _wrapped(f"   {facts}", indent="   ")])
    yield _CLOSING


def _head(row: Cells, table: Table, tz: str) -> str:
    first = table.columns[0]
    return cell_text(row.get(first.key), first.kind, tz)


def _facts(row: Cells, table: Table, tz: str) -> list[str]:
    """Say what the other cells of a row hold, since a mail has no room for a table of many."""
    told = ((label, cell_text(row.get(key), kind, tz)) for key, label, kind in table.columns[1:])
    return [f"{label}: {text}" for label, text in told if text != NOTHING]


def _wrapped(text: str, *, indent: str = "") -> str:
    return fill(text, 78, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _underlined(text: str, sign: str) -> str:
    line = " ".join(text.split())
    return f"{line}\n{sign * min(len(line), 78)}"


@cache
def _template() -> "Template":
    return new_environment().from_string(text_of("summary.html.jinja"))
