"""`render_report` and `write_report`: from a frame to one self-contained HTML file."""

import hashlib
import os
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from activitykit import plots, stats
from activitykit.errors import ConfigError
from activitykit.files import replacing
from activitykit.filters import Filter
from activitykit.moments import Moment, is_span, to_timestamp
from activitykit.palette import COLOUR, MARK
from activitykit.report import sections
from activitykit.report.figures import svg
from activitykit.report.period import PeriodText, read_period, read_zone
from activitykit.schema import CORE, require
from activitykit.wording import counted, duration_text, short

if TYPE_CHECKING:
    from jinja2 import Template

_NEEDED: Final = [
    *(column.name for column in CORE if not column.name.startswith("progress.")),
    "operation",
    "error_signature",
]


def render_report(
    df: pd.DataFrame,
    *,
    period: PeriodText = "7d",
    where: Filter | None = None,
    tz: str = "UTC",
    policy: stats.OutcomePolicy | None = None,
    as_of: Moment | None = None,
    title: str | None = None,
) -> str:
    """Write the periodic report as one HTML page without script and without network.

    The same arguments give the same text: nothing reads the clock.

    Parameters
    ----------
    df
        Activities with the core columns of `columns`, of the period and, for the comparison, of
        the one before.
    period
        A span such as "7d" or "24h" that ends at ``as_of``; "week" (Monday to Sunday) or "month",
        the last full one in ``tz``; or a pair of times, where text without a zone is UTC. An
        activity belongs to the period in which it started, the end excluded.
    where
        A selection within the frame.
    tz
        The time zone of days, weeks and all times that are shown, such as "Europe/Berlin".
    policy
        What counts as a failure; `OutcomePolicy` by default.
    as_of
        The moment that the data describes; by default the latest ``updatedAt``, from which spans
        such as "1d" count back.
    title
        The heading; by default "Activity report".

    Returns
    -------
    str
        An HTML document. Rates are over root runs that succeeded or failed, with 95 % intervals;
        they are withheld when the load was incomplete.

    Raises
    ------
    ConfigError
        For an unknown time zone, a period that cannot be read or begins after the data
        ends, an empty frame without ``as_of``, or when jinja2 or matplotlib is missing.
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
    require(df.columns, _NEEDED, "the report")
    scope = _scope(df, period, where, tz, policy or stats.OutcomePolicy(), as_of)
    now = scope.within(scope.period)
    page = _template().render(
        title=title or "Activity report",
        scope=scope,
        where=where,
        facts=sections.coverage(scope, now),
        manifest=_manifest(scope, now, where),
        **(_sections(scope, now) if len(now) else {}),
    )
    return page.strip() + "\n"


def write_report(
    df: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    period: PeriodText = "7d",
    where: Filter | None = None,
    tz: str = "UTC",
    policy: stats.OutcomePolicy | None = None,
    as_of: Moment | None = None,
    title: str | None = None,
) -> Path:
    """Write the report of `render_report`, which explains the arguments, to a file.

    The file appears whole or not at all; one that was there is replaced.

    Returns
    -------
    pathlib.Path
        Where the report is.

    Raises
    ------
    ConfigError
        When the file cannot be written, and whatever `render_report` raises it for.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=1))
    >>> ak.write_report(df, getfixture("tmp_path") / "report.html").name
    'report.html'
    """
    page = render_report(
        df, period=period, where=where, tz=tz, policy=policy, as_of=as_of, title=title
    )  # fmt: skip
    target = Path(path)
    try:
        with replacing(target) as file:
            file.write(page.encode())
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {target}: {error.strerror or error};"
            " choose a file in a folder that exists and that you may write to"
        ) from error
    return target


def _scope(
    df: pd.DataFrame,
    period: PeriodText,
    where: Filter | None,
    tz: str,
    policy: stats.OutcomePolicy,
    as_of: Moment | None,
) -> sections.Scope:
    zone = read_zone(tz)
    latest = df["updatedAt"].max()
    if pd.isna(latest) and (as_of is None or is_span(as_of)):
        raise ConfigError(
            "the frame holds no activities, so nothing says when the period ends: give as_of=…"
        )
    moment = latest if as_of is None else to_timestamp(as_of, now=latest)
    rows = df if where is None else where.select(df)
    present, before = read_period(period, moment, zone)
    return sections.Scope(
        data=df, rows=rows, period=present, before=before, as_of=moment, tz=tz, policy=policy
    )


def _sections(scope: sections.Scope, now: pd.DataFrame) -> dict[str, Any]:
    before = sections.compared(scope)
    running = sections.running(scope)
    tenants = sections.tenants(scope, now, before)
    failures = sections.failures(scope, now, before)
    durations = sections.durations(scope, now, before, running)
    return {
        "verdict": sections.verdict(scope, now, before, running),
        "compared": before is not None,
        "tenants": tenants,
        "failures": failures,
        "durations": durations,
        "quality": sections.quality(now),
        "figures": _figures(tenants, failures, durations),
    }


def _figures(
    tenants: dict[str, Any], failures: dict[str, Any], durations: dict[str, Any]
) -> dict[str, str]:
    shown, days, types = tenants["shown"], failures["days"], durations["shown"]
    return {
        "tenants": svg(
            plots.failure_stats, shown, name="tenants", height=_height(len(shown)),
            alt="Failure rate with its interval for each tenant; the table below has the numbers.",
        ),
        "days": svg(
            plots.trend, days, name="days", height=2.9,
            alt=f"Runs by outcome for each of {counted(len(days), 'time bucket')}:"
            f" {days['n_failed'].sum():,} failed, {days['n_success'].sum():,} succeeded.",
        ),
        "rates": svg(
            plots.failure_trend, days, name="rates", height=2.0,
            alt="Failure rate with its interval for the same time buckets.",
        ),
        "types": svg(
            plots.duration_stats, types, name="types", height=_height(len(types)),
            alt="Median, 90th and 95th percentile of the duration for each kind of run; the table"
            " below has the numbers.",
        ),
    }  # fmt: skip


def _height(rows: int) -> float:
    return 1.0 + 0.3 * max(rows, 1)


def _manifest(scope: sections.Scope, now: pd.DataFrame, where: Filter | None) -> dict[str, str]:
    # an activity is identified by its id and the time of its last change
    identity = pd.util.hash_pandas_object(now[["id", "updatedAt"]], index=False)
    digest = hashlib.sha256(identity.sort_values().to_numpy().tobytes()).hexdigest()
    return {
        "activitykit": version("activitykit"),
        "period": f"{scope.period.since.isoformat()} to {scope.period.until.isoformat()}",
        "data as of": scope.as_of.isoformat(),
        "time zone": scope.tz,
        "selection": repr(where or Filter()),
        "outcome policy": repr(scope.policy),
        "rows in the frame": f"{len(scope.data):,}",
        "rows selected": f"{len(scope.rows):,}",
        "rows in the period": f"{len(now):,}",
        "content hash": f"sha256:{digest}",
    }


@cache
def _template() -> "Template":
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise ConfigError("the report needs jinja2: pip install 'activitykit[report]'") from error
    here = files("activitykit.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "duration": duration_text, "short": short, "name": lambda text: short(text, 120),
        "percent": _percent, "points": _points, "when": _when, "counted": counted,
    }  # fmt: skip
    environment.globals |= {
        "COLOUR": COLOUR, "MARK": MARK, "css": Markup((here / "report.css").read_text("utf-8")),  # noqa: S704 - our own file
    }  # fmt: skip
    return environment.from_string((here / "report.html.jinja").read_text("utf-8"))


def _percent(fraction: float, digits: int = 1) -> str:
    return f"{100 * fraction:.{digits}f}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}".replace("-", "−")


def _when(moment: pd.Timestamp, tz: str, *, year: bool = True) -> str:
    local = moment.tz_convert(tz)
    day = f"{local.day} {local.month_name()[:3]}{f' {local.year}' if year else ''}"
    return f"{day}, {local:%H:%M}"
