"""The cells of a report as people read them, in plain text; HTML adds its markup to these words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from activitykit.palette import MARK
from activitykit.report.content import STRIP, Change, Kind
from activitykit.wording import duration_text, short

NOTHING: Final = "–"
_LONGEST: Final = 120
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_GAP: Final = "·"


def cell_text(value: Any, kind: Kind, tz: str) -> str:  # noqa: ANN401 - as the kind says
    """Write a cell as plain text, without line breaks and at most 120 signs of a name.

    Parameters
    ----------
    value, kind
        As the table in `content` lists them.
    tz
        The zone of times; the text does not repeat it.

    Examples
    --------
    >>> cell_text(1_234, "count", "UTC"), cell_text(4_800, "duration", "UTC")
    ('1,234', '1 h 20 min')
    >>> cell_text("withheld", "rate", "UTC")
    'withheld'
    """
    if isinstance(value, str):
        return value if kind == "prose" else short(value, _LONGEST)
    if kind == "text":
        return "(none)" if missing(value) else short(value, _LONGEST)
    return NOTHING if missing(value) else _WRITERS[kind](value, tz)


def missing(value: object) -> bool:
    """Tell whether a cell holds nothing."""
    return not isinstance(value, tuple | list) and bool(pd.isna(value))  # type: ignore[call-overload]


def percent(fraction: float) -> str:
    """Write a fraction as a percentage without its sign."""
    return f"{100 * fraction:.1f}"


def points(fraction: float) -> str:
    """Write a difference of fractions in percentage points, with its sign."""
    return f"{100 * fraction:+.1f}".replace("-", "−")


def moment_text(moment: pd.Timestamp, tz: str, *, year: bool = False) -> str:
    """Write a time in a zone, which the text does not name."""
    local = moment.tz_convert(tz)
    day = f"{local.day} {local.month_name()[:3]}{f' {local.year}' if year else ''}"
    return f"{day}, {local:%H:%M}"


def spark_text(values: Sequence[float | None]) -> str:
    """Write numbers as small bars, the highest one full; a dot where there is no data.

    Examples
    --------
    >>> spark_text([0, 1, None, 4])
    '▁▃·█'
    """
    highest = max((value for value in values if value is not None), default=0) or 1
    top = len(_BLOCKS) - 1
    return "".join(
        _GAP if value is None else _BLOCKS[-int(-value * top // highest)] for value in values
    )


def _change(change: Change, _: str) -> str:
    word = "unclear" if change.word == "no clear change" else change.word
    return f"{word} {points(change.difference)}"


_WRITERS: Final[Mapping[Kind, Callable[[Any, str], str]]] = {
    "prose": lambda value, _: str(value),
    "tag": lambda value, _: str(value),
    "id": lambda value, _: str(value),
    "count": lambda value, _: f"{value:,}",
    "rate": lambda value, _: f"{percent(value)}\u00a0%",
    "interval": lambda ends, _: f"{percent(ends[0])}–{percent(ends[1])}\u00a0%",
    "change": _change,
    "duration": lambda value, _: duration_text(value),
    "time": moment_text,
    "strip": lambda outcomes, _: "".join(MARK[STRIP[outcome][0]] for outcome in outcomes),
    "spark": lambda values, _: spark_text(values),
}
