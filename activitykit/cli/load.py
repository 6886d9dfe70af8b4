"""Load activities, look at them, keep them in a file."""

import json
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
def snapshot(path: Path, source: str | None, where: ak.Filter, verbose: bool) -> None:
    """Write activities to PATH as one Parquet file.

    \b
    activitykit snapshot november.parquet --since 2026-11-01 --until 2026-12-01
    activitykit snapshot export.parquet export.ndjson.gz
    """
    df = load_source(source, where, verbose)
    written = ak.write_snapshot(df, path)
    click.echo(f"{counted(len(df), 'activity')} in {written}, {written.stat().st_size:,} bytes")
