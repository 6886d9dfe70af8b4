"""Options that several commands share, and the source that they load."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import wraps
from typing import Any, Final, get_args

import click
import pandas as pd

import activitykit as ak
from activitykit.filters import NO_RESULT, UNFINISHED, TimeField
from activitykit.schema import RESULT_CODES, STATES

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
_INTERVAL: Final = ("since", "until", "on")
_WORDS: Final = {
    "state": STATES,
    "result": (*RESULT_CODES, *UNFINISHED, NO_RESULT),
    "on": get_args(TimeField),
}

source_argument = click.argument("source", required=False)
rows_option = click.option(
    "--rows", default=20, show_default=True, type=click.IntRange(min=0), help="Rows to print."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show each request.")


@contextmanager
def usage() -> Iterator[None]:
    """Tell values that cannot be meant from failures: exit code 2 instead of 1."""
    try:
        yield
    except ak.ActivityKitError:
        raise
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def filtered(command: Command) -> Command:
    """Add an option for each condition, and hand them over as one filter."""
    return _with_filter(command, tuple(_CONDITIONS))


def selected(command: Command) -> Command:
    """Do so without the interval of time, for commands that have a meaning of their own for it."""
    return _with_filter(command, tuple(name for name in _CONDITIONS if name not in _INTERVAL))


def _with_filter(command: Command, names: Sequence[str]) -> Command:
    @wraps(command)
    def with_filter(**options: Any) -> Any:  # noqa: ANN401 - click passes its options by name
        given = {name: options.pop(name) for name in names}
        with usage():
            where = ak.Filter(**{name: value for name, value in given.items() if value})
        since, until = where.since, where.until
        stamps = isinstance(since, pd.Timestamp) and isinstance(until, pd.Timestamp)
        if stamps and since >= until:  # type: ignore[operator]
            raise click.UsageError(f"nothing lies between --since and --until: {where}")
        return command(where=where, **options)

    wrapped: Command = with_filter
    many = {field.name for field in fields(ak.Filter) if field.default == ()}
    for name in reversed(names):
        words = click.Choice(_WORDS[name]) if name in _WORDS else None
        option = click.option(
            f"--{name}", multiple=name in many, help=_CONDITIONS[name], type=words,
            show_choices=False,
        )  # fmt: skip
        wrapped = option(wrapped)
    return wrapped


def load_source(source: str | None, where: ak.Filter, verbose: bool) -> pd.DataFrame:
    """Load from the source, or from the service without one; say when nothing matches."""
    log_requests(verbose)
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


def log_requests(verbose: bool) -> None:
    """Show each request on stderr, if wanted."""
    if verbose:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("activitykit").setLevel(logging.DEBUG)
