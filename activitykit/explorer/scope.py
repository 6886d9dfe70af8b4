"""`Scope`: what the dashboard can choose and a `Filter` cannot say, as a mask and as Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from activitykit.explorer.cube import Cube
from activitykit.explorer.facets import Array

KIND: Final = "kind"
REASONS: Final = "reasons"
HOURS: Final = "hours"
"""Stand for the parts of a scope where fields of a filter are named."""

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Rows by their kind, their failure and their hour of the week.

    Attributes
    ----------
    roots, children
        Whether activities without, and with, a parent are in.
    legacy
        Whether log entries without a duration are in.
    reasons
        Error signatures, as `failure_reasons` names them; any by default.
    hours
        Hours of the week in which activities were created, ``24 * weekday + hour`` from Monday 0:00
        (0) to Sunday 23:00 (167); any by default.
    tz
        The time zone of `hours`, and of all times that are shown.
    """

    roots: bool = True
    children: bool = True
    legacy: bool = True
    reasons: tuple[str, ...] = ()
    hours: tuple[int, ...] = ()
    tz: str = "UTC"

    def active(self) -> Iterator[tuple[str, object]]:
        """Name the parts that leave rows out, with what they depend on."""
        kinds = (self.roots, self.children, self.legacy)
        if not all(kinds):
            yield KIND, kinds
        if self.reasons:
            yield REASONS, self.reasons
        if self.hours:
            yield HOURS, (self.hours, self.tz)

    def mask(self, cube: Cube, part: str) -> Array:
        """Tell for each row of a cube whether it meets one part."""
        if part == REASONS:
            codes, names = cube.signature
            return np.array([*(name in self.reasons for name in names), False])[codes]
        if part == HOURS:
            wanted = np.zeros(7 * 24 + 1, dtype=bool)
            wanted[list(self.hours)] = True
            return wanted[cube.hours(self.tz)]
        keep = np.where(cube.root, self.roots, self.children)
        return keep if self.legacy else keep & ~cube.legacy

    def code(self) -> Iterator[str]:
        """Give Python that leaves the other rows of a frame named ``rows`` out."""
        if not (self.roots and self.children):
            sign = {(True, False): "==", (False, True): "!="}.get((self.roots, self.children))
            test = f'[rows["parentActivityId"].fillna(0) {sign} 0]' if sign else ".iloc[:0]"
            yield f"rows = rows{test}"
        if not self.legacy:
            yield 'rows = rows[~ak.durations(rows)["legacy"]]'
        if self.reasons:
            yield 'said = rows["result.code"] + " without an error text"'
            yield f'rows = rows[rows["error_signature"].fillna(said).isin({list(self.reasons)!r})]'
        if self.hours:
            yield f'created = rows["createdAt"].dt.tz_convert({self.tz!r})'
            hour = "24 * created.dt.day_of_week + created.dt.hour"
            yield f"rows = rows[({hour}).isin({list(self.hours)!r})]"


def hour_text(hour: int) -> str:
    """Name an hour of the week, such as "Mon 03:00"."""
    return f"{WEEKDAYS[hour // 24]} {hour % 24:02d}:00"
