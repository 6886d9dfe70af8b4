"""Keep history in an archive, and ask what it holds."""

import sys
import warnings
from pathlib import Path
from typing import Final

import click

import activitykit as ak
from activitykit.cli.group import cli
from activitykit.cli.options import (
    filtered,
    json_option,
    log_requests,
    rows_option,
    usage,
    verbose_option,
)
from activitykit.cli.output import print_frame, show
from activitykit.wording import counted

_HISTORY: Final = ["version", "time", "operation", "added", "updated", "kind", "since", "until"]


@cli.command()
@click.argument("path")
@filtered
@json_option
@verbose_option
@click.option("--workers", default=4, show_default=True, help="Requests under way at a time.")
def sync(path: str, where: ak.Filter, as_json: bool, verbose: bool, workers: int) -> None:
    """Bring the archive in the folder PATH up to date with the service.

    The first time it fetches what the service still has, newest first; then what has changed since.
    It may be killed at any moment and run again. The statistics take PATH as their SOURCE.

    \b
    activitykit sync archive
    activitykit stats failure_stats archive --since 2026-01-01 --by tenant.name
    """
    log_requests(verbose)
    with ak.Client.from_env() as client:
        steps = ak.Archive(path).sync(client, where, workers=workers, progress=sys.stderr.isatty())
    print_frame(steps, f"{path}: {counted(len(steps), 'step')}", as_json=as_json)


@cli.group()
def archive() -> None:
    """Look after an archive, and ask what it holds."""


path_argument = click.argument("path")


@archive.command()
@path_argument
@filtered
@json_option
def coverage(path: str, where: ak.Filter, as_json: bool) -> None:
    """Say which time the archive in the folder PATH covers: complete, partial or unknown.

    \b
    activitykit archive coverage archive --since 2026-01-01
    """
    covered = ak.Archive(path).coverage(where)
    print_frame(covered, f"{path}: {counted(len(covered), 'interval')}", as_json=as_json)


@archive.command()
@path_argument
@rows_option
@json_option
def history(path: str, rows: int, as_json: bool) -> None:
    """List the newest states of the archive in PATH: when, and what they brought.

    \b
    activitykit archive history archive --rows 50
    """
    past = ak.Archive(path).history()
    if as_json:
        print_frame(past, "", as_json=True)
        return
    newest = past[_HISTORY].tail(rows)
    show(newest, f"{path}: {len(newest)} of {counted(len(past), 'version')}")


@archive.command()
@path_argument
@json_option
@click.pass_context
def verify(ctx: click.Context, path: str, as_json: bool) -> None:
    """Check the archive in PATH against itself, and leave with exit code 1 if something is wrong.

    \b
    activitykit archive verify archive
    """
    found = ak.Archive(path).verify()
    wrong = found["n"].where(found["check"] != "rows", 0).sum()
    title = f"{path}: {'all is well' if not wrong else 'something is wrong'}"
    print_frame(found, title, as_json=as_json)
    ctx.exit(1 if wrong else 0)


@archive.command()
@path_argument
def compact(path: str) -> None:
    """Join the small files of the archive in PATH into large ones, which are faster to read.

    \b
    activitykit archive compact archive
    """
    ak.Archive(path).compact()


@archive.command()
@path_argument
@click.option("--keep", default="7d", show_default=True, help="How far to be able to go back.")
def vacuum(path: str, keep: str) -> None:
    """Delete the files of earlier states of the archive in PATH; no current activity is in them.

    \b
    activitykit archive vacuum archive --keep 30d
    """
    with usage():
        deleted = ak.Archive(path).vacuum(keep=keep)
    click.echo(f"{counted(deleted, 'file')} deleted")


@archive.command()
@path_argument
@click.argument("out", type=click.Path(path_type=Path))
@filtered
def export(path: str, out: Path, where: ak.Filter) -> None:
    """Write activities of the archive in PATH to the plain Parquet file OUT.

    Excel (Power Query), Spark, DuckDB, Polars and pandas read it. Times are rounded down to
    microseconds; `activitykit snapshot OUT PATH` keeps them whole.

    \b
    activitykit archive export archive year.parquet --since 2026-01-01
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        written = ak.Archive(path).export(out, where)
    for one in said:
        click.echo(f"activitykit: {one.message}", err=True)
    click.echo(f"{written}, {written.stat().st_size:,} bytes")
