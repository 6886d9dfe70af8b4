"""Frames on a terminal: tables for people, JSON for programs."""

import sys
from typing import Any, Final

import click
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from activitykit.wording import duration_text, short

_SENTENCES: Final = {"signature", "meaning", "filter", "id"}
_FRACTIONS: Final = {"failure_rate", "ci_low", "ci_high", "share", "survival"}


def print_frame(df: pd.DataFrame, title: str, *, as_json: bool) -> None:
    """Print a frame as JSON, with all digits, or as a table."""
    if as_json:
        click.echo(
            df.to_json(orient="records", date_format="iso", date_unit="ns", double_precision=15)
        )
    else:
        show(df, title)


def show(df: pd.DataFrame, title: str) -> None:
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
