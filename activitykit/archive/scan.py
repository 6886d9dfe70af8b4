"""Archived rows opened lazily, by the engine of one's choice."""

import glob
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, Final, Literal, get_args

from activitykit.archive.conditions import ARROW, Dialect, between, exactly
from activitykit.archive.rows import FIELDS
from activitykit.errors import ConfigError
from activitykit.filters import Filter

Engine = Literal["duckdb", "polars", "spark", "arrow"]

_SQL: Final = {
    "string": "STRING", "bool": "BOOLEAN", "int16": "SMALLINT", "int64": "BIGINT",
    "double": "DOUBLE", "timestamp[us, tz=UTC]": "TIMESTAMP",
}  # fmt: skip
_AT_ONCE: Final = 20_000
_MODULE: Final = {"spark": "pyspark"}
_WILDCARD: Final = re.compile(r"([\\*?{}\[\]])")


def opened(dataset: Any, folder: str, where: Filter | None, engine: Engine) -> Any:  # noqa: ANN401
    """Open the rows of a filter, as `Archive.scan` says.

    Parameters
    ----------
    dataset
        The rows of one state of the archive.
    folder
        Where their files are: a path, or the URL of an object store.
    where, engine
        As `Archive.scan` takes them.
    """
    if engine not in get_args(Engine):
        raise ConfigError(f"engine={engine!r}; choose {', '.join(get_args(Engine))}")
    try:
        if engine == "duckdb":
            return _duckdb(dataset, folder, where)
        if engine == "spark":
            return _spark(dataset, folder, where)
        for condition in [] if where is None else exactly(dataset, where, ARROW):
            dataset = dataset.filter(condition)
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


def _files(dataset: Any, folder: str, where: Filter | None) -> list[str]:  # noqa: ANN401
    """Give the files that may hold matching rows, by the bounds that the log keeps of each."""
    fragments = dataset.get_fragments(filter=None if where is None else between(where, ARROW))
    return sorted(f"{folder}/{fragment.path}" for fragment in fragments)


def _duckdb(dataset: Any, folder: str, where: Filter | None) -> Any:  # noqa: ANN401
    import duckdb

    files = _files(dataset, folder, where)
    connection = duckdb.connect()
    if not files:
        return connection.from_arrow(FIELDS.empty_table())
    if "://" in folder:
        # DuckDB would need an extension and credentials of its own
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
    conditions = [] if where is None else exactly(dataset, where, dialect)
    return reduce(lambda rows, condition: rows.filter(condition), conditions, relation)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _spark(dataset: Any, folder: str, where: Filter | None) -> Any:  # noqa: ANN401
    from pyspark.sql import SparkSession, functions

    session = SparkSession.getActiveSession() or (
        SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").getOrCreate()
    )
    schema = ", ".join(f"`{field.name}` {_SQL[str(field.type)]}" for field in FIELDS)
    files = [_WILDCARD.sub(r"\\\1", file) for file in _files(dataset, folder, where)]
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
    conditions = [] if where is None else exactly(dataset, where, dialect)
    return reduce(lambda rows, condition: rows.where(condition), conditions, rows)
