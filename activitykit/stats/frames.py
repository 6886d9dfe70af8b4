"""What all statistics share: which rows count and why not, groups, times, and the tidy result.

Conditions are narwhals expressions over the plain names of `engines`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import narwhals as nw
import pandas as pd
from pandas.api.typing import NaTType

from activitykit.moments import Moment, format_time, is_span, to_timestamp
from activitykit.schema import ATTRS, require
from activitykit.stats.engines import Rows, categories, collect, keys_of, plain
from activitykit.wording import short

By = str | Sequence[str] | None

LEGACY_NEEDS: Final = ("context.isLegacy", "createdAt", "startedAt", "completedAt", "executor.id")
STATE_NEEDS: Final = ("state", "result.code", "startedAt")
Time = pd.Timestamp | NaTType
ALL: Final = "_all"


def names(by: By, taken: Collection[str]) -> list[str]:
    """Give the columns of ``by`` as a list without repeats.

    Raises
    ------
    ValueError
        When one is no name, or is taken by a column of the result.
    """
    if by is None:
        return []
    found = [by] if isinstance(by, str) or not isinstance(by, Iterable) else list(by)
    if not all(isinstance(name, str) for name in found):
        raise ValueError(f"by={short(repr(by))}; give the name of a column, or a list of names")
    if clash := [name for name in found if name in taken]:
        raise ValueError(
            f"by={clash[0]!r} is a column of the result as well; rename yours before, such as"
            f" df.rename(columns={{{clash[0]!r}: {'my_' + clash[0]!r}}})"
        )
    return list(dict.fromkeys(found))


def fraction(name: str, value: object) -> None:
    """Check a parameter that lies between 0 and 1, both excluded.

    Raises
    ------
    ValueError
        When it does not.
    """
    if not (isinstance(value, int | float) and 0 < value < 1):
        raise ValueError(f"{name}={value!r}; give a number between 0 and 1, such as 0.95")


def keyed(rows: Rows, by: Sequence[str]) -> tuple[Rows, list[str]]:
    """Prepare group columns: one constant group when there are none, resource ids in lower case."""
    if not by:
        return rows.with_columns(whole(0).alias(ALL)), [ALL]
    keys = keys_of(by)
    lower = [folded(key) for key, name in zip(keys, by, strict=True) if name == "resource.id"]
    return categories(rows.with_columns(*lower) if lower else rows, keys), keys


def folded(column: str) -> nw.Expr:
    """Lower case: producers spell the same GUID in upper and in lower case."""
    return nw.col(column).cast(nw.String).str.to_lowercase()


def flag(condition: nw.Expr) -> nw.Expr:
    """Turn a condition into 0 or 1, because SQL engines cannot sum booleans."""
    return condition.fill_null(False).cast(nw.Int64)


def whole(number: int) -> nw.Expr:
    """Give a 64-bit literal: engines take the narrowest type otherwise, which does not stack."""
    return nw.lit(number, dtype=nw.Int64)


def completed() -> nw.Expr:
    """Condition: the state is ``completed``; never null."""
    return (nw.col("state") == "completed").fill_null(False)


def finished() -> nw.Expr:
    """Condition: completed with a result code."""
    return completed() & ~nw.col("result_code").is_null()


def running() -> nw.Expr:
    """Condition: started and not completed."""
    return ~completed() & ~nw.col("startedAt").is_null()


def legacy() -> nw.Expr:
    """Condition: a log entry without a duration (flagged, or three equal times and no executor)."""
    equal = (nw.col("createdAt") == nw.col("startedAt")) & (
        nw.col("startedAt") == nw.col("completedAt")
    )
    no_executor = nw.col("executor_id").is_null() | (nw.col("executor_id") == "")
    flagged = (nw.col("context_isLegacy") == nw.lit(True)).fill_null(False)
    return flagged | (equal.fill_null(False) & no_executor.fill_null(False))


def root() -> nw.Expr:
    """Condition: the activity has no parent."""
    return nw.col("parentActivityId").is_null() | (nw.col("parentActivityId") == 0).fill_null(False)


def moment_needs(as_of: Moment | None) -> list[str]:
    """Name the column that `resolve` looks at, if any."""
    return ["updatedAt"] if as_of is None or is_span(as_of) else []


def resolve(rows: Rows, as_of: Moment | None) -> Time:
    """Give the moment the data describes: as asked, else the latest ``updatedAt``, else NaT.

    Spans count back from the latest ``updatedAt``, because statistics do not read the clock.
    """
    if as_of is not None and not is_span(as_of):
        return to_timestamp(as_of)
    require(rows.collect_schema().names(), ["updatedAt"], f"as_of={as_of!r}")
    latest = collect(rows.select(nw.col("updatedAt").max()))["updatedAt"].max()
    if pd.isna(latest):
        return pd.NaT
    return latest if as_of is None else to_timestamp(as_of, now=latest)


def why_not(reasons: Mapping[str, nw.Expr]) -> nw.Expr:
    """Give the number, from 1, of the first reason that holds for a row; 0 when none does."""
    number = nw.lit(0)
    for position, condition in reversed(list(enumerate(reasons.values(), 1))):
        number = nw.when(condition.fill_null(False)).then(nw.lit(position)).otherwise(number)
    return number


def left_out(rows: Rows, reasons: Mapping[str, nw.Expr]) -> tuple[Rows, dict[str, int]]:
    """Keep the rows for which no reason holds, and count the others by their first reason."""
    if not reasons:
        return rows, {}
    marked = rows.with_columns(why_not(reasons).alias("_why"))
    counted = collect(marked.group_by("_why").agg(nw.len().alias("n")))
    counts = dict(zip(counted["_why"], counted["n"], strict=True))
    return marked.filter(nw.col("_why") == 0).drop("_why"), {
        reason: int(counts[number]) for number, reason in enumerate(reasons, 1) if number in counts
    }


def ages(as_of: Time, times: "pd.Series[Any]") -> "pd.Series[Any]":
    """Give the seconds from each time to `as_of`."""
    now = pd.Series(as_of, index=times.index, dtype="datetime64[ns, UTC]")
    return (now - times).dt.total_seconds()


def tidy(
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    by: Sequence[str],
    counts: Mapping[str, int],
    as_of: Time | None = None,
    **notes: Any,  # noqa: ANN401 - JSON of any shape
) -> pd.DataFrame:
    """Order rows by group and columns as promised; note what was left out in the attrs."""
    names_back = dict(zip(keys_of(by), by, strict=True)) | {plain(c): c for c in (*by, *columns)}
    table = table.rename(columns=names_back)
    table = table.sort_values(list(by), kind="stable") if by else table
    table = table[[*by, *columns]].reset_index(drop=True)
    integers = [name for name in columns if name.startswith("n_") or name in {"n", "streak"}]
    # without rows there is nothing to tell the types of text from
    text = [name for name in ("note", "check") if name in columns]
    table = table.astype(dict.fromkeys(integers, "int64") | dict.fromkeys(text, "str"))
    time = {} if as_of is None or pd.isna(as_of) else {"as_of": format_time(as_of)}
    kept = {reason: int(n) for reason, n in counts.items() if n}
    table.attrs = {ATTRS: {"left_out": kept, **time, **notes}}
    return table
