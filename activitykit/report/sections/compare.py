"""Both periods side by side: differences with their intervals, and a word for them."""

import math
from collections.abc import Hashable
from typing import Any, Final

import pandas as pd

from activitykit import stats
from activitykit.report.cells import missing, percent
from activitykit.report.content import WITHHELD, Change
from activitykit.report.scope import Scope

Row = dict[Any, Any]

FEW: Final = 20  # decided runs below which there is no verdict
_TOO_FEW: Final = 5  # … below which no change is called clear, whatever its interval
_RATES: Final = ("failure_rate", "ci_low", "ci_high")


def change(now: Row, before: Row | None) -> Change | None:
    """Compare two failure rates by their intervals.

    Newcombe's hybrid score interval of a difference (Newcombe 1998, method 10), from the two
    intervals that `stats.failure_stats` gave, and so with their design effect.
    """
    if before is None or missing(now["failure_rate"]) or missing(before["failure_rate"]):
        return None
    p, low, high = now["failure_rate"], now["ci_low"], now["ci_high"]
    q, q_low, q_high = before["failure_rate"], before["ci_low"], before["ci_high"]
    least = p - q - math.hypot(p - low, q_high - q)
    most = p - q + math.hypot(high - p, q - q_low)
    word = "lower" if most < 0 else "higher" if least > 0 else "no clear change"
    few = min(decided(now), decided(before)) < _TOO_FEW
    return Change(p - q, least, most, "few runs" if few else word)


def decided(row: Row) -> int:
    """Count the runs that succeeded or failed."""
    return int(row["n_success"] + row["n_failed"])


def rates(rows: pd.DataFrame, scope: Scope) -> tuple[Row, Row]:
    """Give `stats.failure_stats` of `Scope.runs_both`, or a part of it, as one row per period."""
    table = stats.failure_stats(rows, by="now", policy=scope.policy)
    found = {row["now"]: dict(row) for row in table.to_dict("records")}
    # children only, whose roots are not in the selection
    nothing: Row = {name: math.nan if name in _RATES else 0 for name in table.columns}
    return found.get(True, nothing), found.get(False, nothing)


def rate_cells(row: Row, before: Row | None, *, withheld: bool) -> Row:
    """Give the cells of a row about a failure rate, its interval, and the period before."""
    if withheld:
        said = dict.fromkeys(("failure_rate", "interval"), WITHHELD)
        return {**said, "before_rate": None, "change": None}
    known = not missing(row["failure_rate"])
    return {
        "failure_rate": row["failure_rate"] if known else None,
        "interval": (row["ci_low"], row["ci_high"]) if known else None,
        "before_rate": before["failure_rate"] if before else None,
        "change": change(row, before),
    }


def medians(rows: pd.DataFrame, as_of: pd.Timestamp) -> dict[Hashable, tuple[float, float]]:
    """Give the 95 % interval of the median duration by ``now`` and operation, in seconds.

    The median may be wherever the interval of the survival curve holds one half (Brookmeyer and
    Crowley, Biometrics 38, 1982); infinite where too many runs are still going.
    """
    curves = stats.survival(rows, by=["now", "operation"], as_of=as_of)
    found: dict[Hashable, tuple[float, float]] = {}
    for key, curve in curves.groupby(["now", "operation"], dropna=False):
        low, high = (
            curve.loc[curve[name].fillna(curve["survival"]) <= 0.5, "duration_s"].min()
            for name in ("ci_low", "ci_high")
        )
        found[key] = (low, math.inf if pd.isna(high) else high)
    return found


def median_change(now: Row, before: Row | None) -> str | None:
    """Say how a median changed: a word only where the two intervals lie apart."""
    if before is None or missing(now["p50_s"]) or missing(before["p50_s"]):
        return None
    if min(now["n_used"], before["n_used"]) < _TOO_FEW:
        return "few runs"
    (low, high), (low_before, high_before) = now["p50_interval"], before["p50_interval"]
    word = "longer" if low > high_before else "shorter" if high < low_before else "unclear"
    if word == "unclear" or not before["p50_s"]:
        return word
    return f"{word} ({100 * (now['p50_s'] / before['p50_s'] - 1):+.0f}\u00a0%)".replace("-", "−")


def range_text(low: float, high: float) -> str:
    """Write an interval of fractions for a sentence."""
    return f"{percent(low)} to {percent(high)}\u00a0%"


def cap_text(shown: int, total: int, what: str) -> str:
    """Say how many rows of a table are not shown; nothing where all are."""
    return f"{shown:,} of {total:,} {what} shown. " if shown < total else ""
