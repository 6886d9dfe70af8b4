"""Time buckets in a named time zone, the same on every engine.

Neither DuckDB nor Spark converts time zones through narwhals. A zone is therefore turned into
arithmetic here: its offset at the first row, and the changes of the offset up to the last row,
which are a handful. The driver runs the same expression over a grid of the whole span to learn
where each bucket begins, so that days of 23 or 25 hours come out right.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import narwhals as nw
import numpy as np
import pandas as pd

from activitykit.stats import engines, frames
from activitykit.stats.engines import Rows

_FREQ = re.compile(r"(\d*)\s*([mhdw])", re.ASCII | re.IGNORECASE)
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_QUARTER = 900
SECOND: Final = 1_000_000
# 1970-01-01 was a Thursday; weeks begin on Monday
_MONDAY = 3 * 86_400


@dataclass(frozen=True)
class Buckets:
    """Buckets of ``width`` seconds of wall-clock time in ``tz``, and the zone's offsets."""

    width: int
    tz: str
    offset: int
    changes: tuple[tuple[int, int], ...]

    def place(self, rows: Rows, time: nw.Expr) -> Rows:
        """Say where whole microseconds since 1970 belong.

        Returns
        -------
        narwhals.LazyFrame
            With ``_bucket``, the number that all moments of a bucket share, and ``_since``, the
            microseconds of wall-clock time since the bucket began.
        """
        # column by column: one large expression makes SQL engines plan for seconds; and by
        # remainders, because narwhals writes a rounded division as a dozen operations there
        rows = rows.with_columns(_time=time)
        changes = [
            (nw.col("_time") >= at * SECOND).cast(nw.Int64) * (change * SECOND)
            for at, change in self.changes
        ]
        offset = nw.sum_horizontal(frames.whole(self.offset * SECOND), *changes)
        rows = rows.with_columns(_offset=offset if changes else frames.whole(self.offset * SECOND))
        rows = rows.with_columns(_wall=nw.col("_time") + nw.col("_offset") + self._shift)
        rows = rows.with_columns(_since=nw.col("_wall") % (self.width * SECOND))
        bucket = nw.col("_wall") - nw.col("_since")
        if self.width <= 3600:
            # the hour that a clock change repeats is two buckets
            bucket = bucket - nw.col("_offset")
        return rows.with_columns(_bucket=bucket).drop("_time", "_offset", "_wall")

    def anchor(self, key: Any) -> Any:  # noqa: ANN401 - an expression or a number
        """Give a moment within hours of the bucket's begin, as plain arithmetic on its number."""
        return key - self._shift

    @property
    def _shift(self) -> int:
        return _MONDAY * SECOND if self.width >= 86_400 else 0

    def starts(self, first: int, last: int) -> pd.Series:
        """List the buckets from the one at `first` to the one at `last` (seconds since 1970).

        Returns
        -------
        pandas.Series
            The begin of each bucket in seconds since 1970, by key, and one more for the end.
        """
        step = math.gcd(self.width, _QUARTER)
        margin = max(2 * self.width, 2 * 86_400)
        grid = np.arange((first - margin) // step * step, last + margin, step, dtype="int64")
        rows = nw.from_native(pd.DataFrame({"t": grid}))
        placed = engines.collect(self.place(rows, nw.col("t") * SECOND))
        begins = placed.groupby("_bucket")["t"].min().sort_values()
        inside = begins.searchsorted(first, "right") - 1, begins.searchsorted(last, "right") + 1
        return begins.iloc[inside[0] : inside[1]]


def buckets(freq: str, tz: str, first: pd.Timestamp, last: pd.Timestamp) -> Buckets:
    """Prepare the buckets of a span of time.

    Raises
    ------
    ValueError
        When `freq` or `tz` cannot be read.
    """
    match = _FREQ.fullmatch(freq)
    width = int(match[1] or 1) * _SECONDS[match[2].lower()] if match else 0
    day = 86_400
    if not width or (width < day and day % width) or (width > day and width % day):
        raise ValueError(
            f'freq={freq!r}; give minutes or hours that divide a day, such as "15m" or "6h",'
            ' or days or weeks, such as "1d" or "1w"'
        )
    try:
        ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f'tz={tz!r} is no time zone; give a name such as "Europe/Berlin"'
        ) from error
    margin = pd.Timedelta(max(3 * width, 9 * day), "s")
    return Buckets(width, tz, *_offsets(tz, first - margin, last + margin))


def _offsets(
    tz: str, first: pd.Timestamp, last: pd.Timestamp
) -> tuple[int, tuple[tuple[int, int], ...]]:
    # zones change their offset on a quarter of an hour
    grid = pd.date_range(first.floor("15min"), last, freq="15min")
    wall = grid.tz_convert(tz).tz_localize(None) - grid.tz_localize(None)
    offsets = wall.total_seconds().to_numpy().astype("int64")
    moves = np.flatnonzero(np.diff(offsets)) + 1
    at = (grid.as_unit("s").asi8)[moves]
    change = offsets[moves] - offsets[moves - 1]
    return int(offsets[0]), tuple(zip(at.tolist(), change.tolist(), strict=True))
