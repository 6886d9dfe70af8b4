"""Archived rows opened lazily, by the engine of one's choice."""

import glob
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from activitykit.archive.conditions import ARROW, Dialect, exactly, file_bounds
from activitykit.archive.rows import FIELDS
from activitykit.errors import ConfigError
from activitykit.filters import Filter

if TYPE_CHECKING:
    from deltalake import DeltaTable

Engine = Literal["duckdb", "polars", "spark", "arrow"]

_SQL: Final = {
    "string": "STRING", "bool": "BOOLEAN", "int16": "SMALLINT", "int64": "BIGINT",
    "double": "DOUBLE", "timestamp[us, tz=UTC]": "TIMESTAMP",
}  # fmt: skip
_AT_ONCE: Final = 20_000
_MODULE: Final = {"spark": "pyspark"}
_WILDCARD: Final = re.compile(r"([\\*?{}\[\]])")


def opened(table: "DeltaTable", folder: str, where: Filter | None, engine: Engine) -> Any:  # noqa: ANN401
    """Open the rows of a filter, as `Archive.scan` says.

    Parameters
    ----------
    table
        The rows in one state.
    folder
        Where their files are: a path, or the URL of an object store.
    where, engine
        As `Archive.scan` takes them.
    """
    if engine not in get_args(Engine):
        raise ConfigError(f"engine={engine!r}; choose {', '.join(get_args(Engine))}")
    try:
        if engine == "duckdb":
            return _duckdb(table, folder, where)
        if engine == "spark":
            return _spark(table, folder, where)
        dataset = table.to_pyarrow_dataset(file_pruning_predicate=file_bounds(where))
        dataset = reduce(lambda rows, one: rows.filter(one), exactly(table, where, ARROW), dataset)
        if engine == "polars":
            import polars as pl

            return pl.scan_pyarrow_dataset(dataset)
    except ModuleNotFoundError as error:
        name = _MODULE.get(engine, engine)
        raise ConfigError(f"{name} is not installed: pip install {name}") from error
    return dataset


def batches(dataset: Any, columns: Sequence[str]) -> Iterator[Any]:  # noqa: ANN401
    """Give all rows bit by bit, in the order of their months, in little memory."""
    yield from dataset.to_batches(
        columns=list(columns), batch_size=_AT_ONCE, batch_readahead=1, fragment_readahead=1
    )


def _files(table: "DeltaTable", folder: str, where: Filter | None) -> list[str]:
    """Give the files that may hold matching rows, by the bounds that the log keeps of each."""
    found = table.file_uris(file_pruning_predicate=file_bounds(where))
    # the library writes the folder with escapes, which are none to other readers
    return ["/".join([folder, *uri.split("/")[-2:]]) for uri in found]


def _duckdb(table: "DeltaTable", folder: str, where: Filter | None) -> Any:  # noqa: ANN401
    import duckdb

    files = _files(table, folder, where)
    connection = duckdb.connect()
    if not files:
        return connection.from_arrow(FIELDS.empty_table())
    if "://" in folder:
        # DuckDB would need an extension and credentials of its own
        dataset = table.to_pyarrow_dataset(file_pruning_predicate=file_bounds(where))
        relation = connection.from_arrow(dataset)
    else:
        listed = ", ".join(_text(glob.escape(file)) for file in files)
        relation = connection.sql(
            f"FROM read_parquet([{listed}], hive_types = {{month: VARCHAR}})"
        ).project(", ".join(f'"{name}"' for name in FIELDS.names))
    constant, column = duckdb.ConstantExpression, duckdb.ColumnExpression
    dialect = Dialect(
        column=column,
        moment=lambda moment: constant(moment.floor("us").to_pydatetime()),
        among=lambda name, values: column(name).isin(*map(constant, values)),
        missing=lambda name: column(name).isnull(),
        never=constant(False),
    )
    return reduce(lambda rows, one: rows.filter(one), exactly(table, where, dialect), relation)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _spark(table: "DeltaTable", folder: str, where: Filter | None) -> Any:  # noqa: ANN401
    from pyspark.sql import SparkSession, functions

    session = SparkSession.getActiveSession() or (
        SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").getOrCreate()
    )
    schema = ", ".join(f"`{field.name}` {_SQL[str(field.type)]}" for field in FIELDS)
    files = [_WILDCARD.sub(r"\\\1", file) for file in _files(table, folder, where)]
    if not files:
        return session.createDataFrame([], schema)

    def column(name: str) -> Any:  # noqa: ANN401
        # without the marks a dot would lead into a struct
        return functions.col(f"`{name}`")

    # the months stand in the names of folders, and would be read as dates without a schema
    reader = session.read.schema(schema).option("basePath", folder)
    rows = reader.parquet(*files).select(*map(column, FIELDS.names))
    dialect = Dialect(
        column=column,
        moment=lambda moment: functions.lit(moment.floor("us").to_pydatetime()),
        among=lambda name, values: column(name).isin(list(values)),
        missing=lambda name: column(name).isNull(),
        never=functions.lit(False),
    )
    return reduce(lambda rows, one: rows.where(one), exactly(table, where, dialect), rows)
