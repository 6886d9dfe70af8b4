"""The only place that knows one engine from another: opening frames, times, small results.

Everything else is written once with narwhals and stays lazy on DuckDB and Spark. Three things are
not to be had from narwhals 2.29 there. A dot in a name means the field of a struct on Spark and a
table on DuckDB, so dots become underscores (`plain`). Spark frames have no difference of times,
and DuckDB's follows the calendar of the connection's time zone, an hour off across a clock change;
so each time comes with its whole microseconds since 1970, as ``_us_createdAt``.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import narwhals as nw
import pandas as pd

from activitykit.schema import CORE, require

# pandas rows are eager, so that they can be sorted once for several ordered windows (`arranged`)
Rows = nw.LazyFrame[Any] | nw.DataFrame[Any]

_TIMES: Final = frozenset(column.name for column in CORE if column.kind == "time")


def plain(name: str) -> str:
    """Give the name that a column has inside the statistics."""
    return name.replace(".", "_")


def keys_of(by: Sequence[str]) -> list[str]:
    """Give the names that the columns of `by` have inside the statistics."""
    return [f"_by{number}" for number, _ in enumerate(by)]


def scan(df: Any, needed: Sequence[str], what: str, by: Sequence[str] = ()) -> Rows:  # noqa: ANN401 - any engine's frame
    """Open a frame of any engine lazily, with the needed columns only, under their plain names.

    Raises
    ------
    SchemaError
        When a column is missing.
    """
    rows = nw.from_native(df)
    require(rows.collect_schema().names(), [*dict.fromkeys((*by, *needed))], what)
    wanted = {plain(name): name for name in needed} | dict(zip(keys_of(by), by, strict=True))
    opened: Rows = _with_plain(rows, wanted, needed, keep=False)
    return opened if opened.implementation.is_pandas() else opened.lazy()


def beside(df: Any, needed: Sequence[str], what: str) -> tuple[Any, list[str]]:  # noqa: ANN401 - any engine's frame
    """Open a whole frame, eager if it was, with plain twins of the needed columns.

    Returns
    -------
    tuple
        The narwhals frame, and the names to drop in the end.
    """
    rows = nw.from_native(df)
    before = rows.collect_schema().names()
    require(before, needed, what)
    wanted = {plain(name): name for name in needed if plain(name) != name}
    opened = _with_plain(rows, wanted, needed, keep=True)
    return opened, [name for name in opened.collect_schema().names() if name not in before]


def _with_plain(
    rows: Any,  # noqa: ANN401 - eager or lazy
    wanted: Mapping[str, str],
    needed: Sequence[str],
    *,
    keep: bool,
) -> Any:  # noqa: ANN401 - eager or lazy
    """Add (`keep`) or select columns under new names; on SQL engines the microseconds as well."""
    if not on_sql(rows):
        named = {name: nw.col(old) for name, old in wanted.items()}
        return rows.with_columns(**named) if keep else rows.select(**named)
    native, times = rows.to_native(), [name for name in needed if name in _TIMES]
    if rows.implementation.is_duckdb():
        # Parquet may hold nanoseconds, for which DuckDB has a type but few functions
        as_micro = {name: f'"{name}"::TIMESTAMPTZ' for name in times}
        new = {name: as_micro.get(old, _quoted(old, '"')) for name, old in wanted.items()}
        new |= {f"_us_{name}": f"epoch_us({text})" for name, text in as_micro.items()}
        listed = [f"{text} AS {name}" for name, text in new.items()]
        return nw.from_native(native.project(", ".join([*["*"] * keep, *listed])))
    from pyspark.sql import functions as sql

    columns = {name: sql.col(_quoted(old, "`")) for name, old in wanted.items()}
    columns |= {f"_us_{name}": sql.unix_micros(name) for name in times}
    if keep:
        return nw.from_native(native.withColumns(columns))
    return nw.from_native(native.select(*[c.alias(name) for name, c in columns.items()]))


def _quoted(name: str, mark: str) -> str:
    return mark + name.replace(mark, mark * 2) + mark


def on_sql(rows: Any) -> bool:  # noqa: ANN401 - eager or lazy
    """Tell whether the rows are DuckDB's or Spark's."""
    engine = rows.implementation
    return bool(engine.is_duckdb() or engine.is_pyspark() or engine.is_pyspark_connect())


def seconds(rows: Rows, start: str | pd.Timestamp, end: str | pd.Timestamp) -> nw.Expr:
    """Give the seconds between two times, columns or moments, exact to the engine's resolution."""
    if on_sql(rows):
        return (microseconds(rows, end) - microseconds(rows, start)) / 1e6
    first, last = (
        moment(rows, t) if isinstance(t, pd.Timestamp) else nw.col(t) for t in (start, end)
    )
    if rows.implementation.is_pandas():
        # total_nanoseconds goes through floating-point seconds there and loses the last one
        return (last - first) / timedelta(seconds=1)
    return (last - first).dt.total_nanoseconds() / 1e9


def microseconds(rows: Rows, time: str | pd.Timestamp) -> nw.Expr:
    """Give the whole microseconds since 1970 of a column or a moment."""
    if isinstance(time, pd.Timestamp):
        return nw.lit(-(-time.value // 1000), dtype=nw.Int64)
    return nw.col(f"_us_{time}") if on_sql(rows) else nw.col(time).dt.timestamp("us")


def moment(rows: Rows, time: pd.Timestamp) -> nw.Expr:
    """Give a moment to compare with; rounded up to microseconds where there is nothing finer."""
    return nw.lit(time if rows.implementation.is_pandas() else time.ceil("us").to_pydatetime())


def one_of(column: str, values: Collection[Any]) -> nw.Expr:
    """Condition: the column holds one of the values; never null."""
    # SQL has no empty IN list, and NULL IN (...) is NULL
    return nw.col(column).is_in(list(values)).fill_null(False) if values else nw.lit(False)


def categories(rows: Rows, columns: Sequence[str]) -> Rows:
    """Encode text columns once where that makes later grouping faster (pandas: about twice)."""
    if not rows.implementation.is_pandas():
        return rows
    schema = rows.collect_schema()
    text = [name for name in columns if schema[name] in (nw.String, nw.Object)]
    return rows.with_columns(nw.col(*text).cast(nw.Categorical)) if text else rows


def arranged(rows: Rows, *order: str) -> Rows:
    """Prepare for `along` with this order, which need not be unique."""
    return rows.sort(*order) if rows.implementation.is_pandas() else rows


def along(rows: Rows, running: nw.Expr, keys: Sequence[str], *order: str) -> nw.Expr:
    """Let a running sum or minimum go along `order` within each group of `arranged` rows."""
    if rows.implementation.is_pandas():
        return running.over(*keys) if keys else running
    return running.over(*keys, order_by=order)


def parts(rows: Rows, keys: Sequence[str]) -> list[str]:
    """Give the keys by which to divide a sweep over all rows: Spark spreads it over machines.

    Elsewhere there are none, because one sort of everything takes less than half of the time.
    """
    engine = rows.implementation
    return list(keys) if engine.is_pyspark() or engine.is_pyspark_connect() else []


def stacked(*parts: Any) -> Rows:  # noqa: ANN401 - all eager or all lazy
    """Put rows with the same columns below each other."""
    whole: Rows = nw.concat(parts)
    return whole


def folded(rows: Any, columns: Mapping[str, Sequence[str]]) -> Rows:  # noqa: ANN401 - eager or lazy
    """Make several rows out of each without working it out again, as stacking would on SQL engines.

    `columns` names the columns that a new one is made of: the first row takes the first of each.
    """
    taken = {column for old in columns.values() for column in old}
    native, rest = rows.to_native(), [c for c in rows.collect_schema().names() if c not in taken]
    if rows.implementation.is_duckdb():
        quoted = {name: ", ".join(_quoted(c, '"') for c in old) for name, old in columns.items()}
        listed = [f"unnest([{old}]) AS {name}" for name, old in quoted.items()]
        unfolded: Rows = nw.from_native(native.project(", ".join([*rest, *listed])))
        return unfolded
    turns = [dict(zip(columns, old, strict=True)) for old in zip(*columns.values(), strict=True)]
    if on_sql(rows):
        from pyspark.sql import functions as sql

        made = [sql.struct(*[sql.col(c).alias(name) for name, c in turn.items()]) for turn in turns]
        exploded: Rows = nw.from_native(native.select(*rest, sql.inline(sql.array(*made))))
        return exploded
    return stacked(*[rows.select(*rest, **{n: nw.col(c) for n, c in t.items()}) for t in turns])


def collect(rows: Rows) -> pd.DataFrame:
    """Bring a small result to pandas: times in UTC, text as ``str``, nothing categorical."""
    found = rows.lazy().collect()
    # DuckDB sums integers into decimals
    sums = [name for name, dtype in found.schema.items() if dtype == nw.Decimal]
    frame = found.with_columns(*[nw.col(name).cast(nw.Int64) for name in sums]).to_pandas()
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.DatetimeTZDtype):
            frame[name] = frame[name].dt.tz_convert("UTC").astype("datetime64[ns, UTC]")
        elif isinstance(dtype, pd.CategoricalDtype):
            frame[name] = frame[name].astype(dtype.categories.dtype)
    return frame.reset_index(drop=True)
