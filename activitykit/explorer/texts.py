"""Values of cells and names as short texts."""

from typing import Any, Final

import pandas as pd

_LONGEST: Final = 300


def value_text(value: Any, zone: str, *, seconds: bool = False) -> str:  # noqa: ANN401 - any cell
    """Write a value of a cell; times in the zone, to the second or in full."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:  # noqa: PLR0124 - nan
        return "–"
    if isinstance(value, pd.Timestamp):
        return moment_text(value, zone) if seconds else str(value.tz_convert(zone))
    return str(value)


def moment_text(moment: pd.Timestamp, zone: str, *, seconds: bool = True) -> str:
    """Write a moment in a zone, to the second or to the minute."""
    return moment.tz_convert(zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def cut(text: str) -> str:
    """Cut a very long name."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
