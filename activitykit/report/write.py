"""A finished report as a file: HTML, Markdown, JSON or PDF."""

import os
from pathlib import Path
from typing import Final, Literal, get_args

import pandas as pd

from activitykit import stats
from activitykit.errors import ConfigError
from activitykit.files import replacing
from activitykit.filters import Filter
from activitykit.moments import Moment
from activitykit.report.as_json import to_json
from activitykit.report.build import build_report
from activitykit.report.content import Profile, Report
from activitykit.report.markdown import to_markdown
from activitykit.report.pdf import to_pdf
from activitykit.report.period import PeriodText
from activitykit.report.render import to_html
from activitykit.report.sources import Archived, gather
from activitykit.report.targets import Targets

Format = Literal["html", "md", "json", "pdf"]
_SUFFIXES: Final[dict[str, Format]] = {
    ".html": "html", ".htm": "html", ".md": "md", ".markdown": "md", ".json": "json",
    ".pdf": "pdf",
}  # fmt: skip


def write_report(
    source: pd.DataFrame | Archived,
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,  # noqa: A002 - as pandas and matplotlib call it
    period: PeriodText = "7d",
    profile: Profile = "ops",
    where: Filter | None = None,
    tz: str = "UTC",
    targets: Targets = None,
    policy: stats.OutcomePolicy | None = None,
    as_of: Moment | None = None,
    title: str | None = None,
) -> Path:
    """Write the report of `render_report`, which explains the other arguments, to a file.

    The file appears whole or not at all; one that was there is replaced. The same arguments give
    the same bytes; a PDF those of the same browser.

    Parameters
    ----------
    source
        A frame or an archive.
    path
        Where to write. Its ending says what: ``.html``; ``.md``, words and tables for chats and
        tickets; ``.json``, all numbers for programs, as ``report.schema.json`` in
        ``activitykit/report`` describes them; or ``.pdf``, printed by Chromium, Chrome or Edge.
    format
        ``html``, ``md``, ``json`` or ``pdf``, whatever the ending is.

    Returns
    -------
    pathlib.Path
        Where the report is.

    Raises
    ------
    ConfigError
        When neither ending nor ``format`` says what to write, the file cannot be written, there is
        no browser for a PDF, and whatever `render_report` raises it for.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=1))
    >>> ak.write_report(df, getfixture("tmp_path") / "report.html").name
    'report.html'
    """
    form = read_format(path, format)
    df = gather(source, period=period, where=where, tz=tz, targets=targets, as_of=as_of)
    report = build_report(
        df, period=period, profile=profile, where=where, tz=tz, targets=targets, policy=policy,
        as_of=as_of, title=title,
    )  # fmt: skip
    return save_report(report, path, form)


def read_format(path: str | os.PathLike[str], given: Format | None = None) -> Format:
    """Say what to write: what is given, or what the ending says.

    Raises
    ------
    ConfigError
        When neither is one of the formats.
    """
    suffix = Path(path).suffix.lower()
    found = given or _SUFFIXES.get(suffix)
    if found is None or found not in get_args(Format):
        raise ConfigError(
            f"cannot tell the format from {given or suffix or os.fspath(path)!r}; choose"
            f" {', '.join(get_args(Format))}"
        )
    return found


def save_report(report: Report, path: str | os.PathLike[str], form: Format) -> Path:
    """Write a report that is already computed, all or nothing.

    Raises
    ------
    ConfigError
        When the file cannot be written, or there is no browser for a PDF.
    """
    target = Path(path)
    content = _encode(report, form)
    try:
        with replacing(target) as file:
            file.write(content)
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {target}: {error.strerror or error};"
            " choose a file in a folder that exists and that you may write to"
        ) from error
    return target


def _encode(report: Report, form: Format) -> bytes:
    if form == "md":
        return to_markdown(report).encode()
    if form == "json":
        return to_json(report).encode()
    page = to_html(report)
    return to_pdf(page, made=report.as_of) if form == "pdf" else page.encode()
