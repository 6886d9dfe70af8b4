"""Write reports, on a schedule as well: one or one per tenant, into files and by mail."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, get_args

import click

import activitykit as ak
from activitykit.cli import mail
from activitykit.cli.group import cli
from activitykit.cli.last import read_last, write_last
from activitykit.cli.making import Made, make, make_again
from activitykit.cli.options import log_requests, selected, source_argument, usage, verbose_option
from activitykit.filters import ENDED_SINCE
from activitykit.report.content import Profile
from activitykit.report.period import NothingYetError, PeriodText
from activitykit.report.spreadsheet import write_csv
from activitykit.report.summary import summary_html, summary_text
from activitykit.report.write import Format, read_format, save_report
from activitykit.schema import ATTRS
from activitykit.wording import counted

TO_ACT_ON: Final = 10
"""The exit code when a condition of ``--fail-on`` holds."""

CONDITIONS: Final[dict[str, Callable[[Any], bool]]] = {
    "act": lambda summary: summary["n_act"] > 0,
    "new": lambda summary: summary["n_new"] > 0,
    "recurring": lambda summary: summary["n_recurring"] > 0,
    "chronic": lambda summary: summary["n_chronic"] > 0,
    "late": lambda summary: summary["n_stale"] > 0,
    "overdue": lambda summary: summary["n_overdue"] > 0,
    "failed": lambda summary: summary["n_failed"] > 0,
    "worse": lambda summary: (summary["change"] or {}).get("word") == "higher",
    "incomplete": lambda summary: not summary["complete"],
    "silent": lambda summary: summary["n"] == 0,
}
"""What may be told to a scheduler, by the numbers of `Report.summary`."""

_LAST: Final = "last"
# what may stand beside --from-manifest: where to read and write, and what to do then
_WITH_MANIFEST: Final = {
    "manifest", "source", "out", "form", "attach", "fail_on", "email_to", "email_from", "verbose",
}  # fmt: skip

# the notes that the attached rows need to be read and told rightly
_ROWS_OWN: Final = {"schema_version", "json_columns", "rest_columns", "complete", ENDED_SINCE}


def _conditions(_: click.Context, __: click.Parameter, text: str | None) -> list[str]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if unknown := [name for name in names if name not in CONDITIONS]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(CONDITIONS)}")
    return names


def _targets(_: click.Context, __: click.Parameter, given: Sequence[str]) -> Any:  # noqa: ANN401
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    pairs = [text.rpartition("=") for text in given]
    if not all(pattern and span for pattern, _, span in pairs):
        raise click.BadParameter("give one span such as 36h, or PLAN=SPAN for each kind of plan")
    return {pattern: span for pattern, _, span in pairs} or None


@cli.command()
@source_argument
@click.option("-o", "--out", type=click.Path(path_type=Path), help="File to write (report.html).")
@click.option(
    "--format", "form", type=click.Choice(get_args(Format)), help="By default what --out ends in."
)
@click.option("--period", default="7d", show_default=True, help="A span, week or month.")
@click.option(
    "--since", help="Instead of --period: a time, or last for where the last report ended."
)
@click.option("--until", help="With --since: the end; by default the latest moment of the data.")
@click.option("--profile", type=click.Choice(get_args(Profile)), default="ops", show_default=True)
@click.option("--tz", default="UTC", show_default=True, help="Time zone of days and times.")
@click.option("--title", help="Heading of the report.")
@click.option(
    "--target", "targets", multiple=True, callback=_targets, metavar="[PLAN=]SPAN",
    help="How old a last good run may be: 36h, or '*weekly*=8d' for plans of that name; repeat.",
)  # fmt: skip
@click.option("--per", type=click.Choice(["tenant"]), help="One file for each tenant.")
@click.option("--attach", is_flag=True, help="Write the activities beside it: Parquet and CSV.")
@click.option(
    "--fail-on", callback=_conditions, metavar="CONDITION[,…]",
    help=f"Exit with code {TO_ACT_ON} when one holds: {', '.join(CONDITIONS)}.",
)  # fmt: skip
@click.option("--email-to", multiple=True, help="Send it there as well; repeat.")
@click.option("--email-from", help="Sender; by default ACTIVITYKIT_SMTP_USER.")
@click.option(
    "--from-manifest", "manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Make the report in this file (.html, .md or .json) again, from SOURCE.",
)  # fmt: skip
@selected
@verbose_option
@click.pass_context
def report(
    context: click.Context, *, source: str | None, out: Path | None, form: Format | None,
    period: str, since: str | None, until: str | None, profile: Profile, tz: str,
    title: str | None, targets: Any, per: str | None, attach: bool, fail_on: list[str],  # noqa: ANN401
    email_to: tuple[str, ...], email_from: str | None, manifest: Path | None, where: ak.Filter,
    verbose: bool,
) -> None:  # fmt: skip
    """Write the report: HTML, Markdown, JSON or PDF, as the name of the file ends.

    Of an archive or the service only what the report needs is read. Mail goes through the server in
    ACTIVITYKIT_SMTP_HOST (_PORT, _USER, _PASSWORD, _SECURITY: starttls, tls or none), the summary
    as its text and the file attached.

    \b
    activitykit report archive --period week --tz Europe/Berlin -o week.html
    activitykit report archive --since last --fail-on act,incomplete -o today.html
    activitykit report archive --period month --profile customer --per tenant -o month.pdf
    activitykit report archive --email-to ops@example.com --email-from backup@example.com
    activitykit report archive --from-manifest week.html -o again.html
    """
    log_requests(verbose)
    target = out or Path(f"report.{form or 'html'}")
    kind, sender = read_format(target, form), _sender(email_to, email_from)
    what = {"profile": profile, "selection": repr(where), "per": per or "", "source": source or "",
            "format": kind}  # fmt: skip
    if manifest is not None:
        _check_again(context, manifest, source, target)
        found = list(make_again(manifest, source or "", target, whole=attach))
    else:
        asked = {
            "period": _period(context, period, since, until, target.parent, what),
            "profile": profile, "where": None if where == ak.Filter() else where, "tz": tz,
            "targets": targets, "as_of": None, "title": title,
        }  # fmt: skip
        with _news(context, since, asked["period"], fail_on):
            found = list(make(source, asked, target, per=per, whole=attach, verbose=verbose))
    for one in found:
        click.echo(save_report(one.report, one.path, kind))
        if attach:
            _attach(one)
    for one in found if email_to else ():
        _send(one, sender, email_to)
    if since == _LAST and found:
        write_last(target.parent, what, found[0].report.period.until)
    _leave(context, found, fail_on)


def _check_again(context: click.Context, manifest: Path, source: str | None, target: Path) -> None:
    """Refuse what contradicts the manifest, which says what was asked for."""
    for option in context.command.params:
        origin = context.get_parameter_source(option.name or "")
        if origin is click.core.ParameterSource.COMMANDLINE and option.name not in _WITH_MANIFEST:
            raise click.UsageError(f"the manifest says that already; leave out {option.opts[-1]}")
    if source is None:
        raise click.UsageError("--from-manifest needs the SOURCE that the report was made from")
    if target.resolve() == manifest.resolve():
        raise click.UsageError("choose another --out: this would overwrite the report itself")


def _period(
    context: click.Context, period: str, since: str | None, until: str | None, folder: Path,
    what: dict[str, str],
) -> PeriodText:  # fmt: skip
    """Read the options of time: a period, or its edges, of which the last report may give one."""
    if since is None:
        if until is not None:
            raise click.UsageError("--until needs --since")
        return period
    # "0s" before the moment that the data describes
    end = until or "0s"
    if since != _LAST:
        if context.get_parameter_source("period") is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError("give --period or --since, not both")
        return since, end
    last = read_last(folder, what)
    if last is None:
        click.echo(f"No report of this kind in {folder} yet: this one covers {period}.", err=True)
        return period
    return last, end


@contextmanager
def _news(
    context: click.Context, since: str | None, period: PeriodText, fail_on: Sequence[str]
) -> Iterator[None]:
    """Say it plainly when nothing is known of the time since the last report."""
    try:
        yield
    except NothingYetError as error:
        if since != _LAST:
            raise
        told = f"nothing new since the last report ({period[0]}): has the sync run?"
        holding = [name for name in fail_on if name in {"incomplete", "silent"}]
        if not holding:
            raise ak.ConfigError(told) from error
        click.echo(f"{told} {', '.join(holding)}", err=True)
        context.exit(TO_ACT_ON)


def _attach(made: Made) -> None:
    """Write the activities of the period beside the report, and say how many there are."""
    since, until = made.report.period[:2]
    started = ak.Filter(since=since, until=until, on="startedAt")
    rows = started.select((made.where or ak.Filter()).select(made.df)).reset_index(drop=True)
    # what was noted of the whole load names other tenants, ids and paths
    kept = {key: value for key, value in rows.attrs.get(ATTRS, {}).items() if key in _ROWS_OWN}
    rows.attrs = {ATTRS: kept}
    beside = made.path.with_name(f"{made.path.stem}.activities")
    for file in (ak.write_snapshot(rows, f"{beside}.parquet"), write_csv(rows, f"{beside}.csv")):
        click.echo(f"{file}: {counted(len(rows), 'activity')}")


def _sender(recipients: Sequence[str], given: str | None) -> str:
    """Check what is said about mail before anything is done."""
    if not recipients:
        if given:
            raise click.UsageError("--email-from needs --email-to")
        return ""
    sender = given or os.environ.get(f"{mail.PREFIX}USER", "")
    if not sender:
        raise click.UsageError("--email-to needs a sender: set --email-from")
    with usage():
        for address in (sender, *recipients):
            mail.read_address(address)
    mail.read_server()
    return sender


def _send(made: Made, sender: str, recipients: Sequence[str]) -> None:
    told = made.report
    message = mail.compose(
        sender=sender, recipients=recipients, subject=f"{told.title}: {told.headline}",
        text=summary_text(told), html=summary_html(told), file=made.path,
    )  # fmt: skip
    mail.send(message)
    click.echo(f"{made.path}: sent to {', '.join(recipients)}", err=True)


def _leave(context: click.Context, found: Sequence[Made], fail_on: Sequence[str]) -> None:
    """Say which conditions hold, and exit so that a scheduler notices."""
    holding = {
        one.path: names
        for one in found
        if (names := [name for name in fail_on if CONDITIONS[name](one.report.summary)])
    }
    for path, names in holding.items():
        click.echo(f"{path}: {', '.join(names)}", err=True)
    if holding:
        context.exit(TO_ACT_ON)
