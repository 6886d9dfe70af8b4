"""Write the report."""

from pathlib import Path

import click
import pandas as pd

import activitykit as ak
from activitykit.cli.group import cli
from activitykit.cli.options import filtered, load_source, source_argument, verbose_option


@cli.command()
@source_argument
@click.option(
    "-o", "--out", default="report.html", show_default=True, type=click.Path(path_type=Path)
)
@click.option("--period", default="7d", show_default=True, help="A span, week or month.")
@click.option("--tz", default="UTC", show_default=True, help="Time zone of days and times.")
@click.option("--title", help="Heading of the report.")
@filtered
@verbose_option
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
    df = load_source(source, where, verbose)
    # without a row nothing else says when "now" is, and silence is worth a report as well
    as_of = pd.Timestamp.now("UTC") if df.empty else None
    click.echo(ak.write_report(df, out, period=period, tz=tz, title=title, as_of=as_of))
