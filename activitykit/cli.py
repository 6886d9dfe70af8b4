"""The command line: it parses, calls one function of the package, and prints.

Exit codes: 0 done, 1 an error that one line on stderr explains, 2 wrong usage.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, Final, get_args

import click
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

import activitykit as ak
from activitykit.filters import NO_RESULT, UNFINISHED, TimeField
from activitykit.schema import RESULT_CODES, STATES, require
from activitykit.wording import counted, duration_text, short

Command = Callable[..., Any]

_CONDITIONS: Final = {
    "since": "From this moment on: ISO text, or a span back from now such as 7d or 36h.",
    "until": "Before this moment.",
    "on": "Time field for --since and --until (createdAt).",
    "state": "enqueued, assigned, started, paused or completed.",
    "result": "ok, warning, error, cancelled, abandoned, timedout, running, queued or none.",
    "type": "Type as the service names it, or readable name such as Backup.",
    "tenant": "Name, id, UUID, or a locator such as /1/66/ for its sub-tree.",
    "resource": "Name (* for any text) or GUID.",
    "policy": "Plan by name (* for any text) or GUID.",
    "text": "Text in names, titles and errors.",
}
_WORDS: Final = {
    "state": STATES,
    "result": (*RESULT_CODES, *UNFINISHED, NO_RESULT),
    "on": get_args(TimeField),
}
_NAMES: Final = ("tenant.name", "resource.name", "policy.name")
# what a terminal has room for beside the columns of --by; --json has everything
_SHOWN: Final = {
    "duration_stats": ("n", "n_running", "p50_s", "p90_s", "p95_s"),
    "failure_stats": ("n_finished", "n_failed", "failure_rate", "ci_low", "ci_high"),
    "failure_reasons": ("signature", "n", "n_resources", "n_tenants", "last_seen"),
    "streaks": (*_NAMES, "streak", "last_success_at"),
    "last_good": (*_NAMES, "last_success_at", "age_s"),
    "overdue": (*_NAMES[:2], "elapsed_s", "typical_s", "overdue"),
    "trend": ("bucket", "n", "failure_rate", "ci_low", "ci_high", "p95_s"),
    "concurrency": ("bucket", "mean", "max", "n_open"),
    "quality": ("check", "n", "share", "meaning"),
}
_WORST_FIRST: Final = {
    "duration_stats": "n", "failure_stats": "n_failed", "streaks": "streak", "last_good": "age_s",
    "overdue": "elapsed_s",
}  # fmt: skip
_SENTENCES: Final = {"signature", "meaning", "filter", "id"}
_FRACTIONS: Final = {"failure_rate", "ci_low", "ci_high", "share", "survival"}
_GROUPED: Final = {"duration_stats", "failure_stats", "trend"}
_FIRST_LOOK: Final = ["createdAt", "operation", "result.code", "tenant.name", "resource.name"]

_source = click.argument("source", required=False)
_rows = click.option(
    "--rows", default=20, show_default=True, type=click.IntRange(min=0), help="Rows to print."
)
_count = click.option(
    "-n", "count", default=20_000, show_default=True, type=click.IntRange(min=0),
    help="Activities to simulate.",
)  # fmt: skip
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_verbose = click.option("-v", "--verbose", is_flag=True, help="Show each request.")


@contextmanager
def _usage() -> Iterator[None]:
    """Tell values that cannot be meant from failures: exit code 2 instead of 1."""
    try:
        yield
    except ak.ActivityKitError:
        raise
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _filtered(command: Command) -> Command:
    """Add an option for each condition, and hand them over as one filter."""

    @wraps(command)
    def with_filter(**options: Any) -> Any:  # noqa: ANN401 - click passes its options by name
        given = {name: options.pop(name) for name in _CONDITIONS}
        with _usage():
            where = ak.Filter(**{name: value for name, value in given.items() if value})
        since, until = where.since, where.until
        stamps = isinstance(since, pd.Timestamp) and isinstance(until, pd.Timestamp)
        if stamps and since >= until:  # type: ignore[operator]
            raise click.UsageError(f"nothing lies between --since and --until: {where}")
        return command(where=where, **options)

    wrapped: Command = with_filter
    many = {field.name for field in fields(ak.Filter) if field.default == ()}
    for name, text in reversed(_CONDITIONS.items()):
        words = click.Choice(_WORDS[name]) if name in _WORDS else None
        option = click.option(
            f"--{name}", multiple=name in many, help=text, type=words, show_choices=False
        )
        wrapped = option(wrapped)
    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="activitykit")
def cli() -> None:
    """Analyse the activities of Acronis Cyber Protect Cloud.

    SOURCE is a file (.json, .ndjson, .jsonl, also compressed, or .parquet) or the folder of an
    archive. Without one, the service is asked, with the account in ACRONIS_BASE_URL,
    ACRONIS_CLIENT_ID, ACRONIS_CLIENT_SECRET and, for one customer, ACRONIS_TENANT.
    """


@cli.command()
@_source
@_filtered
@_as_json
@_verbose
@_rows
def load(source: str | None, where: ak.Filter, as_json: bool, verbose: bool, rows: int) -> None:
    """Load activities and look at the newest of them.

    \b
    activitykit load --since 24h --result error
    activitykit load export.ndjson.gz --tenant /1/66/
    activitykit load --since 7d --json > week.ndjson
    """
    df = _load(source, where, verbose)
    if as_json:
        for item in ak.unflatten(df):
            click.echo(json.dumps(item, ensure_ascii=False))
        return
    _show(df[_FIRST_LOOK].tail(rows), f"{min(rows, len(df)):,} of {counted(len(df), 'activity')}")


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@_source
@_filtered
@_verbose
def snapshot(path: Path, source: str | None, where: ak.Filter, verbose: bool) -> None:
    """Write activities to PATH as one Parquet file.

    \b
    activitykit snapshot november.parquet --since 2026-11-01 --until 2026-12-01
    activitykit snapshot export.parquet export.ndjson.gz
    """
    df = _load(source, where, verbose)
    written = ak.write_snapshot(df, path)
    click.echo(f"{counted(len(df), 'activity')} in {written}, {written.stat().st_size:,} bytes")


@cli.command()
@click.argument("statistic", type=click.Choice(list(_SHOWN)))
@_source
@click.option("--by", multiple=True, help="Column to group by; repeat for several.")
@click.option("--sort", help="Column to sort by, greatest first; else what matters most.")
@_rows
@_filtered
@_as_json
@_verbose
def stats(
    statistic: str, source: str | None, by: tuple[str, ...], sort: str | None, rows: int,
    where: ak.Filter, as_json: bool, verbose: bool,
) -> None:  # fmt: skip
    """Print one statistic.

    \b
    activitykit stats failure_stats --since 7d --by tenant.name --sort failure_rate
    activitykit stats duration_stats export.ndjson --by operation
    activitykit stats overdue --since 3d --json
    """
    if by and statistic not in _GROUPED:
        raise click.UsageError(f"{statistic} has groups of its own; leave out --by")
    df = _load(source, where, verbose)
    options = {"by": list(by)} if by else {}
    result = getattr(ak, statistic)(df, **options)
    if as_json:
        _print(result, "", as_json=True)
        return
    if order := sort or _WORST_FIRST.get(statistic):
        require(result.columns, [order], "--sort")
        result = result.sort_values(order, ascending=False, kind="stable")
    shown = result[[*by, *_SHOWN[statistic]]].head(rows)
    _show(shown, f"{statistic}: {len(shown)} of {counted(len(result), 'row')}")


@cli.command()
@_source
@click.option(
    "-o", "--out", default="report.html", show_default=True, type=click.Path(path_type=Path)
)
@click.option("--period", default="7d", show_default=True, help="A span, week or month.")
@click.option("--tz", default="UTC", show_default=True, help="Time zone of days and times.")
@click.option("--title", help="Heading of the report.")
@_filtered
@_verbose
def report(
    source: str | None, out: Path, period: str, tz: str, title: str | None, where: ak.Filter,
    verbose: bool,
) -> None:  # fmt: skip
    """Write the report as one HTML file.

    Load twice the period, so that it can be compared with the one before.

    \b
    activitykit report --since 14d --period 7d --tz Europe/Berlin -o week.html
    activitykit report november.parquet --period month
    """
    df = _load(source, where, verbose)
    # without a row nothing else says when "now" is, and silence is worth a report as well
    as_of = pd.Timestamp.now("UTC") if df.empty else None
    click.echo(ak.write_report(df, out, period=period, tz=tz, title=title, as_of=as_of))


@cli.command()
@click.argument("path")
@_filtered
@_as_json
@_verbose
@click.option("--workers", default=4, show_default=True, help="Requests under way at a time.")
def sync(path: str, where: ak.Filter, as_json: bool, verbose: bool, workers: int) -> None:
    """Bring the archive in the folder PATH up to date with the service.

    The first time it fetches what the service still has, newest first; then what has changed since.
    It may be killed at any moment and run again. The statistics take PATH as their SOURCE.

    \b
    activitykit sync archive
    activitykit stats failure_stats archive --since 2026-01-01 --by tenant.name
    """
    _log_requests(verbose)
    with ak.Client.from_env() as client:
        steps = ak.Archive(path).sync(client, where, workers=workers, progress=sys.stderr.isatty())
    _print(steps, f"{path}: {counted(len(steps), 'step')}", as_json=as_json)


@cli.command()
@click.argument("path")
@_filtered
@_as_json
def coverage(path: str, where: ak.Filter, as_json: bool) -> None:
    """Say which time the archive in the folder PATH covers: complete, partial or unknown.

    \b
    activitykit coverage archive --since 2026-01-01
    """
    covered = ak.Archive(path).coverage(where)
    _print(covered, f"{path}: {counted(len(covered), 'interval')}", as_json=as_json)


@cli.command()
@click.argument("n", type=click.IntRange(min=0))
@click.option("--seed", default=0, show_default=True)
@click.option("--until", default="2026-11-01T06:00:00Z", show_default=True, help="Newest moment.")
def simulate(n: int, seed: int, until: str) -> None:
    """Print N simulated activities as NDJSON: the same seed and moment give the same bytes.

    \b
    activitykit simulate 1000 --seed 7 > activities.ndjson
    """
    with _usage():
        items = ak.demo.simulate(n, seed=seed, until=until)
    for item in items:
        click.echo(json.dumps(item, ensure_ascii=False, separators=(",", ":")))


@cli.command()
@_source
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@_count
@click.option("--delay", default=0.0, show_default=True, help="Seconds before each page.")
@click.option("--faults", default="", help="Faults and their rates, such as 429=0.1,reset=0.02.")
@click.option("--variants", default="", help="Open facts of the contract, such as cursors=top.")
def serve(
    source: str | None, port: int, count: int, delay: float, faults: str, variants: str
) -> None:
    """Run the emulated service on this machine until Ctrl-C.

    It serves SOURCE, or simulated activities of the last 30 days, and prints the settings that a
    client needs.

    \b
    activitykit serve --port 8480
    activitykit serve --faults 429=0.1,truncate=0.05 --variants cursors=top,interval=false
    """
    items = ak.unflatten(ak.load(source)) if source else ak.demo.simulate(count, until="0s")
    with _usage():
        rates = {name: float(rate) for name, rate in _pairs(faults)}
        misbehaviour = ak.demo.Faults(rates=rates, delay_s=delay)
        behaviour = ak.demo.Variants(**{name: _literal(value) for name, value in _pairs(variants)})
    with ak.demo.serve(items, port=port, variants=behaviour, faults=misbehaviour) as service:
        for name, value in _settings(service).items():
            click.echo(f"export {name}={value}")
        click.echo("Serving until Ctrl-C. Paste the lines above into another terminal.", err=True)
        while True:
            time.sleep(3600)


@cli.command()
@click.option("-o", "--out", default="out", show_default=True, type=click.Path(path_type=Path))
@_count
def demo(out: Path, count: int) -> None:
    """Show the main job: fetch, look, measure, keep, report.

    Everything runs against the emulated service, over HTTP, by the commands that you would use with
    your own account.
    """
    out.mkdir(parents=True, exist_ok=True)
    kept, page = out / "activities.parquet", out / "report.html"
    click.echo(f"Starting an emulated Acronis service with {count:,} simulated activities …")
    items = ak.demo.simulate(count, until="0s")
    slowly = ak.demo.Faults(delay_s=0.1)
    with ak.demo.serve(items, faults=slowly) as service, _environment(_settings(service)):
        _tell("snapshot", kept, "--since", "30d")
    _tell("load", kept, "--rows", 8)
    _tell("stats", "duration_stats", kept, "--by", "operation")
    _tell("stats", "failure_stats", kept, "--by", "tenant.name")
    _tell("report", kept, "--period", "7d", "-o", page)
    click.echo(
        f"\nOpen {page.resolve()} in a browser; {kept} holds the data.\n"
        "With your own account: create an API client in the management portal (Settings > API\n"
        "clients), set ACRONIS_BASE_URL, ACRONIS_CLIENT_ID and ACRONIS_CLIENT_SECRET, and run the\n"
        "same commands. For notebooks: make lab."
    )


def run() -> int:
    """Run the command line and turn our errors into one line."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("activitykit: interrupted", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ak.ActivityKitError, OSError) as error:
        click.echo(f"activitykit: {error}", err=True)
        return 1
    return 0


def _load(source: str | None, where: ak.Filter, verbose: bool) -> pd.DataFrame:
    _log_requests(verbose)
    # a bar is for people; in a pipe or a schedule it would bury the one line that an error gets
    progress = sys.stderr.isatty()
    if source:
        df = ak.load(source, where, progress=progress)
    else:
        with ak.Client.from_env() as client:
            df = ak.load(client, where, progress=progress)
    if df.empty:
        click.echo(f"No activity matches {where}", err=True)
    return df


def _log_requests(verbose: bool) -> None:
    if verbose:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("activitykit").setLevel(logging.DEBUG)


def _tell(*words: object) -> None:
    """Show a command as one would type it, and run it."""
    args = [str(word) for word in words]
    click.secho(f"\n$ activitykit {' '.join(args)}", bold=True)
    cli.main(args, standalone_mode=False)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Read ``a=1,b=2``."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    if any(not (name and value) for name, _, value in pairs):
        raise click.UsageError(f"{text!r} is not of the form name=value,name=value")
    return [(name, value) for name, _, value in pairs]


def _literal(value: str) -> Any:  # noqa: ANN401 - text, number or truth value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _settings(service: Any) -> dict[str, str]:  # noqa: ANN401
    return {
        "ACRONIS_BASE_URL": service.base_url,
        "ACRONIS_CLIENT_ID": service.client_id,
        "ACRONIS_CLIENT_SECRET": service.client_secret,
    }


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _print(df: pd.DataFrame, title: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            df.to_json(orient="records", date_format="iso", date_unit="ns", double_precision=15)
        )
    else:
        _show(df, title)


def _show(df: pd.DataFrame, title: str) -> None:
    """Print a frame as a table: durations, rates and times as people read them."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in df.columns:
        zone = getattr(df[name].dtype, "tz", None)
        number = pd.api.types.is_numeric_dtype(df[name])
        heading = f"{name} ({zone})" if zone else str(name)
        # text may be folded, numbers and times never
        fixed = number or zone is not None
        justify: JustifyMethod = "right" if number else "left"
        table.add_column(
            heading, justify=justify, overflow="fold", no_wrap=fixed, min_width=0 if fixed else 12
        )
    for row in df.itertuples(index=False):
        # Text, because a name may hold what rich takes for markup
        cells = (_cell(name, value) for name, value in zip(df.columns, row, strict=True))
        table.add_row(*map(Text, cells))
    # a pipe has no width of its own; do not fold columns for it
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _cell(name: str, value: Any) -> str:  # noqa: ANN401 - a cell of any type
    if pd.isna(value):
        text = "–"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, pd.Timestamp):
        text = f"{value:%Y-%m-%d %H:%M}"
    elif name.endswith("_s"):
        text = duration_text(float(value))
    elif name in _FRACTIONS:
        text = f"{value:.1%}"
    else:
        text = f"{value:,.4g}" if isinstance(value, float) else str(value)
        text = text if name in _SENTENCES else short(text)
    return text
