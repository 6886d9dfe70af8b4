"""From what the options ask for to the reports themselves, each with its file."""

import hashlib
import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import pandas as pd

import activitykit as ak
from activitykit.archive import is_archive
from activitykit.cli.options import load_source
from activitykit.report.again import arguments_of, gather_again, read_manifest, rebuild_report
from activitykit.report.build import build_report
from activitykit.report.content import Report
from activitykit.report.scope import TITLES
from activitykit.report.sources import gather, narrowed, needed_columns, needed_since

_OTHER_SIGNS: Final = re.compile(r"[^a-z0-9]+")


class Made(NamedTuple):
    """A report, the frame and the selection that it was made from, and the file for it."""

    df: pd.DataFrame
    where: ak.Filter | None
    report: Report
    path: Path


def make(
    source: str | None,
    asked: dict[str, Any],
    target: Path,
    *,
    per: str | None,
    whole: bool,
    verbose: bool,
) -> Iterator[Made]:
    """Make the report that is asked for, or one for each tenant.

    Parameters
    ----------
    source
        A file or an archive; without one the service is asked.
    asked
        The arguments of `build_report`.
    whole
        Read all columns, and not only those that a report looks at.
    """
    df, asked = _read(source, asked, whole=whole, verbose=verbose)
    for part, path in _parts(df, asked, target) if per else [(asked, target)]:
        yield Made(df, part["where"], build_report(df, **part), path)


def make_again(manifest: Path, source: str, target: Path, *, whole: bool) -> Iterator[Made]:
    """Make the report of a manifest again."""
    told = read_manifest(manifest)
    if told["activitykit"] != ak.__version__:
        click.echo(
            f"{manifest} was made by activitykit {told['activitykit']}, this is {ak.__version__}:"
            " numbers may be worked out in another way",
            err=True,
        )
    where = arguments_of(told)["where"]
    if is_archive(source):
        kept: pd.DataFrame | ak.Archive = ak.Archive(source)
    else:
        kept = _load_file(source, whole=whole or needed_columns(where) is None)
    df = gather_again(kept, told, whole=whole)
    yield Made(df, where, rebuild_report(df, told), target)


def _read(
    source: str | None, asked: dict[str, Any], *, whole: bool, verbose: bool
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read what the report needs, and no more where that is possible."""
    needs = {name: asked[name] for name in ("period", "tz", "targets", "as_of")}
    where, now = asked["where"], pd.Timestamp.now("UTC")
    if source is None:
        # what has just been asked for describes now, also when nothing has happened
        since = needed_since(**needs | {"as_of": now})
        return load_source(None, narrowed(where, since), verbose), {**asked, "as_of": now}
    if is_archive(source):
        return gather(ak.Archive(source), where=where, **needs, whole=whole), asked
    df = _load_file(source, whole=whole or needed_columns(where) is None)
    if df.empty:
        click.echo(f"{source} holds no activities", err=True)
    return df, {**asked, "as_of": now} if df.empty else asked


def _load_file(source: str, *, whole: bool) -> pd.DataFrame:
    """Load all rows of a file; of a snapshot only the columns of a report, if they are enough."""
    if not whole and Path(source).suffix.lower() == ".parquet":
        return ak.read_snapshot(source, columns=needed_columns(None))
    return ak.load(source, progress=sys.stderr.isatty())


def _parts(
    df: pd.DataFrame, asked: dict[str, Any], target: Path
) -> Iterator[tuple[dict[str, Any], Path]]:
    """Give the arguments and the file of the report of each tenant."""
    where, heading = asked["where"] or ak.Filter(), asked["title"] or TITLES[asked["profile"]]
    rows = where.select(df)[["tenant.id", "tenant.name"]].dropna(subset="tenant.id")
    if rows.empty:
        click.echo(f"No activity of a tenant matches {where}: there is nothing to write", err=True)
    tenants = rows.drop_duplicates("tenant.id", keep="last").sort_values("tenant.id")
    for tenant, name in tenants.itertuples(index=False):
        shown = tenant if pd.isna(name) else name
        part = {**asked, "where": replace(where, tenant=(tenant,)), "title": f"{heading}: {shown}"}
        yield part, target.with_name(f"{target.stem}-{file_name(shown, tenant)}{target.suffix}")


def file_name(name: str, tenant: str) -> str:
    """Make a part of a file name that every system takes, and that no other tenant gets.

    Examples
    --------
    >>> file_name("Bäckerei Öztürk / ../etc", "2104")
    'backerei-ozturk-etc-2104'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = _OTHER_SIGNS.sub("-", plain)[:40].strip("-")
    plain_id = re.fullmatch(r"[0-9]{1,20}", tenant)
    mark = tenant if plain_id else hashlib.sha256(tenant.encode()).hexdigest()[:12]
    return f"{words}-{mark}" if words else mark
