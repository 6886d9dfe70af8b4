"""Print one statistic."""

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
from activitykit.cli.output import print_frame, show
from activitykit.schema import require
from activitykit.wording import counted

_NAMES: Final = ("tenant.name", "resource.name", "policy.name")
# what a terminal has room for beside the columns of --by; --json has everything
SHOWN: Final = {
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
_GROUPED: Final = {"duration_stats", "failure_stats", "trend"}


@cli.command()
@click.argument("statistic", type=click.Choice(list(SHOWN)))
@source_argument
@click.option(
    "--by", multiple=True,
    help=f"Column to group by; repeat for several. For {', '.join(sorted(_GROUPED))}.",
)  # fmt: skip
@click.option("--sort", help="Column to sort by, greatest first; else what matters most.")
@rows_option
@filtered
@json_option
@verbose_option
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
    df = load_source(source, where, verbose)
    options = {"by": list(by)} if by else {}
    result = getattr(ak, statistic)(df, **options)
    if as_json:
        print_frame(result, "", as_json=True)
        return
    if order := sort or _WORST_FIRST.get(statistic):
        require(result.columns, [order], "--sort")
        result = result.sort_values(order, ascending=False, kind="stable")
    shown = result[[*by, *SHOWN[statistic]]]
    # of a course of time, the end is news
    shown = shown.tail(rows) if "bucket" in shown and not sort else shown.head(rows)
    show(shown, f"{statistic}: {len(shown)} of {counted(len(result), 'row')}")
