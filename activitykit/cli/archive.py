"""Keep history in an archive, and ask what it holds."""

import sys

import click

import activitykit as ak
from activitykit.cli.group import cli
from activitykit.cli.options import filtered, json_option, log_requests, verbose_option
from activitykit.cli.output import print_frame
from activitykit.wording import counted


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


@cli.command()
@click.argument("path")
@filtered
@json_option
def coverage(path: str, where: ak.Filter, as_json: bool) -> None:
    """Say which time the archive in the folder PATH covers: complete, partial or unknown.

    \b
    activitykit coverage archive --since 2026-01-01
    """
    covered = ak.Archive(path).coverage(where)
    print_frame(covered, f"{path}: {counted(len(covered), 'interval')}", as_json=as_json)
