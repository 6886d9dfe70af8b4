"""`render_report`: one self-contained HTML file."""

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from activitykit import stats
from activitykit.filters import Filter
from activitykit.moments import Moment
from activitykit.report.build import build_report
from activitykit.report.cells import cell_text, missing, moment_text
from activitykit.report.content import STRIP, Kind, Profile, Report
from activitykit.report.figures import svg
from activitykit.report.period import PeriodText
from activitykit.report.sources import Archived, gather
from activitykit.report.targets import Targets
from activitykit.report.templates import new_environment, text_of
from activitykit.wording import short

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

_LONGEST_NAME: Final = 48
# where the parts of a long word meet, and a stretch of it in which none do
_JOINTS: Final = re.compile(r"(?<=[/\\:_@.,;=])(?=[^\W\d_])|(?<=[a-z]{2})(?=[A-Z][a-z])")
_STRETCH: Final = re.compile(r"([^\s\u200b-]{18})(?=[^\s\u200b-]{3})")


def render_report(
    source: pd.DataFrame | Archived,
    *,
    period: PeriodText = "7d",
    profile: Profile = "ops",
    where: Filter | None = None,
    tz: str = "UTC",
    targets: Targets = None,
    policy: stats.OutcomePolicy | None = None,
    as_of: Moment | None = None,
    title: str | None = None,
) -> str:
    """Write the periodic report as one HTML page without script and without network.

    The same arguments give the same text: nothing reads the clock.

    Parameters
    ----------
    source
        Activities with the core columns of `columns`, of the period and, for the comparison, of
        the one before; or an archive, of which as much is read as the report needs.
    period
        A span such as "7d" or "24h" that ends at ``as_of``; "week" (Monday to Sunday) or "month",
        the last full one in ``tz``; or a pair of times, where text without a zone is UTC. An
        activity belongs to the period in which it started, the end excluded.
    profile
        "ops": all tenants, what to act on first. "customer": one tenant, the same numbers in plain
        words.
    where
        A selection within the source.
    tz
        The time zone of days, weeks and all times that are shown, such as "Europe/Berlin".
    targets
        How old the last good run of a resource under a backup plan may be: a span such as "36h"
        for all, or spans by patterns of plan names, of which the first that fits counts, such as
        ``{"*weekly*": "8d", "*": "36h"}``; a plan that none fits has no target. By default 3 days,
        or twice the usual time between two runs where that is longer.
    policy
        What counts as a failure; `OutcomePolicy` by default.
    as_of
        The moment that the data describes; by default the latest ``updatedAt``, for an archive the
        end of its last fetch, from which spans such as "1d" count back.
    title
        The heading; by default one that fits the profile.

    Returns
    -------
    str
        An HTML document. Rates are over root runs that succeeded or failed, with 95 % intervals;
        they are withheld for tenants whose data is incomplete.

    Raises
    ------
    ConfigError
        For an unknown time zone, profile or target, a period that cannot be read or begins after
        the data ends, an empty frame without ``as_of``, several tenants in a report for a customer,
        or when jinja2 or matplotlib is missing.
    SchemaError
        When the frame lacks core columns.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=1))
    >>> page = ak.render_report(df, period="7d", tz="Europe/Berlin")
    >>> page[:15]
    '<!doctype html>'
    """
    df = gather(source, period=period, where=where, tz=tz, targets=targets, as_of=as_of)
    report = build_report(
        df, period=period, profile=profile, where=where, tz=tz, targets=targets, policy=policy,
        as_of=as_of, title=title,
    )  # fmt: skip
    return to_html(report)


def to_html(report: Report) -> str:
    """Write a report that is already computed as an HTML page; the same report, the same bytes."""
    drawn = {
        figure.name: svg(
            figure.draw, figure.frame, name=figure.name, alt=figure.alt, height=figure.height
        )
        for section in report.sections
        for figure in section.figures
    }
    page = _template().render(
        report=report,
        drawn=drawn,
        manifest=json.dumps(report.manifest, ensure_ascii=False, indent=1),
        words=_strip_words,
    )
    return page.strip() + "\n"


_NUMBERS: Final = ("count", "rate", "duration")


def raw(value: Any, kind: Kind) -> Any:  # noqa: ANN401 - a cell as its kind says
    """Give what a program reads in a cell of a number; None where there is no number."""
    plain = kind in _NUMBERS and not isinstance(value, str) and not missing(value)
    return value if plain else None


def _name(text: str) -> "Markup":
    """Write a name that a table has room for; the whole of a longer one shows on pointing at it."""
    from markupsafe import Markup

    shown = _breakable(short(text, _LONGEST_NAME))
    whole = "" if len(text) <= _LONGEST_NAME else text
    return Markup('<span title="{}">{}</span>').format(whole, shown) if whole else shown


def _breakable(text: str) -> "Markup":
    """Write text so that a narrow column breaks it where its parts meet, not somewhere."""
    from markupsafe import Markup, escape

    marked = _STRETCH.sub("\\1\u200b", _JOINTS.sub("\u200b", text))
    return escape(marked).replace("\u200b", Markup("<wbr>"))


def _strip_words(outcomes: list[str]) -> str:
    """Say a strip in words, for those who do not see it."""
    number = len(outcomes)
    said = [f"{outcomes.count(word)} {word}" for word in STRIP if word in outcomes]
    return f"{number} runs, the newest last: {', '.join(said)}" if said else "no runs"


@cache
def _template() -> "Template":
    environment = new_environment()
    from markupsafe import Markup

    environment.filters |= {
        "cell": cell_text,
        "raw": raw,
        "when": moment_text,
        "breakable": _breakable,
        "name": _name,
    }
    environment.globals |= {
        "STRIP": STRIP,
        "css": Markup(text_of("report.css")),  # noqa: S704 - our own file
    }  # fmt: skip
    return environment.from_string(text_of("report.html.jinja"))
