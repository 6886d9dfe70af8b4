"""Numbers and names as people read them, in figures and reports alike."""

from itertools import pairwise
from typing import Final

import pandas as pd

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def duration_text(seconds: float | None) -> str:
    """Write a duration for people, in its two greatest units.

    Examples
    --------
    >>> [duration_text(s) for s in (0.25, 45, 360, 4_800, 187_200)]
    ['0.25 s', '45 s', '6 min', '1 h 20 min', '2 d 4 h']
    """
    if seconds is None or pd.isna(seconds):
        return "–"
    if abs(seconds) < 9.95:
        return f"{seconds:.2g} s"
    left, sign = abs(round(seconds)), "−" if seconds < 0 else ""
    for (unit, name), (smaller, small_name) in pairwise(_UNITS):
        if left >= unit:
            whole, rest = divmod(round(left / smaller), unit // smaller)
            # beside ten hours the minutes are noise
            tail = f" {rest} {small_name}" if rest and whole < 10 else ""
            return f"{sign}{whole} {name}{tail}"
    return f"{sign}{left} s"


def counted(number: int, what: str) -> str:
    """Write a number of things, with separators and the right plural.

    Examples
    --------
    >>> counted(1, "run"), counted(12_345, "run"), counted(2, "activity")
    ('1 run', '12,345 runs', '2 activities')
    """
    many = f"{what[:-1]}ies" if what.endswith("ty") else f"{what}s"
    return f"{number:,} {what if number == 1 else many}"


def short(name: str | float | None, longest: int = 34) -> str:
    """Shorten a name in its middle, where names that belong together differ least.

    Examples
    --------
    >>> short("Northwind Traders (production) file server 00017", 24)
    'Northwind Tr…erver 00017'
    """
    text = "(none)" if pd.isna(name) else str(name)
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    head = longest // 2
    return text if len(text) <= longest else f"{text[:head]}…{text[head + 1 - longest :]}"
