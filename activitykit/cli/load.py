"""Load activities, look at them, keep them in a file."""

import json
import os
from pathlib import Path
from typing import Final

import click

import activitykit as ak
from activitykit.cli.group import cli
from activitykit.cli.options import (
    filtered,
    json_option,
    load_source,
    rows_option,
    source_argument,
    verbose_option,
)
from activitykit.cli.output import show
from activitykit.client.auth import secret_in_keyring
from activitykit.wording import counted

_FIRST_LOOK: Final = ["createdAt", "operation", "result.code", "tenant.name", "resource.name"]


@cli.command()
@source_argument
@filtered
@json_option
@verbose_option
@rows_option
def load(source: str | None, where: ak.Filter, as_json: bool, verbose: bool, rows: int) -> None:
    """Load activities and look at the newest of them.

    \b
    activitykit load --since 24h --result error
    activitykit load export.ndjson.gz --tenant /1/66/
    activitykit load --since 7d --json > week.ndjson
    """
    df = load_source(source, where, verbose)
    if as_json:
        for item in ak.unflatten(df):
            click.echo(json.dumps(item, ensure_ascii=False))
        return
    show(df[_FIRST_LOOK].tail(rows), f"{min(rows, len(df)):,} of {counted(len(df), 'activity')}")


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@source_argument
@filtered
@verbose_option
@click.option("--mask", is_flag=True, help="Replace names, users, paths and ids, for sharing.")
def snapshot(path: Path, source: str | None, where: ak.Filter, verbose: bool, mask: bool) -> None:
    """Write activities to PATH as one Parquet file.

    The key for --mask comes from ACTIVITYKIT_MASK_KEY, or the system's keyring (service
    activitykit, user mask). The same key gives the same pseudonyms; without one it is random.

    \b
    activitykit snapshot november.parquet --since 2026-11-01 --until 2026-12-01
    activitykit snapshot export.parquet export.ndjson.gz
    activitykit snapshot --mask for-support.parquet --since 7d --result error
    """
    key = os.environ.get("ACTIVITYKIT_MASK_KEY") or secret_in_keyring("mask") if mask else None
    df = load_source(source, where, verbose)
    written = ak.write_snapshot(df, path, mask=key or mask)
    if mask and not key:
        click.echo("Masked with a random key: no other file will have the same names.", err=True)
    click.echo(f"{counted(len(df), 'activity')} in {written}, {written.stat().st_size:,} bytes")
