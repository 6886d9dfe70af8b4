"""What a report says, before anything is drawn: words, plain numbers and small tables.

`build.build_report` fills a `Report`; HTML, Markdown, JSON and mail are written from it and compute
nothing. All text is plain text, never markup, and may hold whatever a name in the data holds.

A cell holds, by the ``kind`` of its column:

==========  ==================================  ====================================================
kind        value                               written as
==========  ==================================  ====================================================
text        str                                 as it is; names over 120 signs are cut
prose       str                                 as it is, however long
tag         str                                 a word that stands out, such as "new" or "chronic"
id          int (exact, up to 2^63)             digits without separators
count       int                                 1,234
rate        float, a fraction from 0 to 1       3.4 %
interval    (low, high), fractions              1.2-9.8 %
change      `Change`, fractions                 higher +2.1 (percentage points)
duration    float, seconds                      1 h 20 min
time        pandas.Timestamp in UTC             31 Jan, 22:00 in ``Report.tz``
strip       list of outcomes, oldest first      ✓✓✕✓ (see `STRIP`)
spark       list of numbers, one per bucket     ▁▃▇ ; None is a gap: no data
==========  ==================================  ====================================================

None in a cell of any kind means that there is nothing to say (a dash). Text in a cell of any kind
stands for the value and is written as it is: "withheld", "not reached", "never". `cells.cell_text`
writes any cell as plain text.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import pandas as pd

from activitykit.report.period import Period

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Profile = Literal["ops", "customer"]
Kind = Literal[
    "text", "prose", "tag", "id", "count", "rate", "interval", "change", "duration", "time",
    "strip", "spark",
]  # fmt: skip
Cells = Mapping[Hashable, Any]

STRIP: Final = {
    # outcome: (name of its colour and symbol in `palette`, letter where there are no symbols)
    "success": ("ok", "o"),
    "failed": ("error", "x"),
    "cancelled": ("cancelled", "-"),
    "unknown": ("warning", "?"),
    "running": ("running", ">"),
}
"""Outcomes in a strip."""

WITHHELD: Final = "withheld"


class Change(NamedTuple):
    """The difference of two failure rates, as fractions, with its 95 % interval and a word.

    The word is "higher" or "lower" (the interval excludes zero), "no clear change", or "few runs".
    """

    difference: float
    low: float
    high: float
    word: str


class Column(NamedTuple):
    """A column of a table: the key of its cells, its heading, and the kind of its cells."""

    key: str
    label: str
    kind: Kind = "text"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: the first column names the row.

    ``total`` counts the rows before the cap, and ``caption`` says so when some are not shown. Rows
    may hold more keys than there are columns: JSON writes them all.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Cells]
    total: int
    title: str = ""
    """A heading of its own below that of the section; empty when it needs none."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of `plots`, not drawn yet; ``alt`` says in words what it shows."""

    name: str
    caption: str
    alt: str
    draw: "Callable[..., Axes]"
    frame: pd.DataFrame
    height: float
    """Inches, at a width of 9."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section: sentences, then figures, then tables. One without data has a sentence only."""

    key: str
    title: str
    text: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


class Banner(NamedTuple):
    """What the reader must know first: ``kind`` is "error" or "warning"."""

    kind: Literal["error", "warning"]
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Kpi:
    """One number of the verdict; ``mark`` names its colour and symbol in `palette`, or is empty."""

    key: str
    label: str
    value: Any
    kind: Kind
    mark: str = ""
    lines: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a report says.

    Attributes
    ----------
    title, profile, tz
        Heading; "ops" or "customer"; the zone of all times.
    period, before, as_of
        What it covers, what it is compared with, and the moment that the data describes.
    coverage
        One line (section 0): what the report rests on.
    banners
        Before everything else: partial data, a period that is not over.
    headline, text, kpis
        The verdict (section 1): a few words, sentences, and a row of numbers.
    summary
        The numbers of the verdict by fixed names, for programs: ``n``, ``n_finished``,
        ``n_success``, ``n_failed``, ``failure_rate``, ``ci_low``, ``ci_high`` (None when withheld
        or unknown), ``complete`` (bool), ``n_act`` (rows to act on, before the cap), ``n_new``,
        ``n_recurring``, ``n_chronic``, ``n_late`` (of those, by class), ``n_recovered``,
        ``n_stale`` (last good past the target or never), ``n_overdue`` (running too long),
        ``n_before``, ``failure_rate_before``, ``change`` (a `Change` as a mapping, or None).
    sections
        2 to 9, in order: ``act``, ``tenants``, ``freshness``, ``failures``, ``durations``,
        ``load``, ``calendar``, ``quality``, ``method``; a profile may leave some out, and without
        activities there are fewer.
    manifest
        Section 10, values that JSON can hold; the same manifest makes the same report.
    """

    title: str
    profile: Profile
    tz: str
    period: Period
    before: Period
    as_of: pd.Timestamp
    coverage: str
    banners: Sequence[Banner]
    headline: str
    text: Sequence[str]
    kpis: Sequence[Kpi]
    summary: Mapping[str, Any]
    sections: Sequence[Section]
    manifest: Mapping[str, Any] = field(default_factory=dict)
