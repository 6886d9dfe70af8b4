"""A filter as a condition on the columns of the archive, which decides what is read at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.archive.rows import BEYOND, FIELDS, MISFIT
from activitykit.errors import ConfigError
from activitykit.filters import Criterion, Filter
from activitykit.moments import format_time
from activitykit.schema import CORE

if TYPE_CHECKING:
    from deltalake import DeltaTable

_CORE_NAMES: Final = frozenset(column.name for column in CORE)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How an engine writes conditions, which it joins by ``&`` and ``|``.

    Attributes
    ----------
    column
        A column by its name.
    moment
        A time in microseconds.
    among
        Whether a column holds one of some values.
    missing
        Whether a column holds nothing.
    never
        What holds for no row.
    """

    column: Callable[[str], Any]
    moment: Callable[[pd.Timestamp], Any]
    among: Callable[[str, Sequence[Any]], Any]
    missing: Callable[[str], Any]
    never: Any


def scalar(moment: pd.Timestamp) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Give a moment for comparison with a column, rounded down to microseconds."""
    return pa.scalar(moment.floor("us").to_pydatetime(), pa.timestamp("us", "UTC"))


ARROW: Final = Dialect(
    column=pc.field,
    moment=scalar,
    among=lambda name, values: pc.field(name).isin(pa.array(values, FIELDS.field(name).type)),
    missing=lambda name: pc.field(name).is_null(),
    never=pc.scalar(False),
)


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """The values of a column that meet a condition, and whether a missing one does."""

    name: str
    among: Sequence[Any]
    missing: bool


def candidates(table: "DeltaTable", where: Filter | None) -> Any:  # noqa: ANN401
    """Open the archived rows that a filter may select as a dataset, reading little.

    There may be more: rows that have to be put together before it can be said.
    """
    dataset = table.to_pyarrow_dataset(file_pruning_predicate=file_bounds(where))
    if where is None:
        return dataset
    # a row with a core value that is not in its column has to be put together to know
    doubt = pc.field(MISFIT)
    dataset = _in_time(dataset, where, doubt)
    for criterion in where.criteria():
        if not beyond_core(criterion):
            dataset = dataset.filter(_met(_choices(criterion, dataset), ARROW) | doubt)
    return dataset


def exactly(table: "DeltaTable", where: Filter | None, dialect: Dialect) -> list[Any]:
    """Write a filter as conditions of an engine, which must all hold.

    Parameters
    ----------
    table
        The archived rows, to look up the values that there are.
    where
        The filter; none gives no conditions.
    dialect
        How the engine writes conditions.

    Raises
    ------
    ConfigError
        When the filter looks at more than the core columns.
    """
    if where is None:
        return []
    criteria = list(where.criteria())
    if beyond := sorted({name for criterion in criteria for name in beyond_core(criterion)}):
        raise ConfigError(
            f"scan cannot look at {', '.join(beyond)}, which are no columns of the archive; use"
            " read or export, or a filter without text, tag and sustainable"
        )
    timed = _between(where, dialect)
    conditions = [] if timed is None else [timed]
    if criteria:
        dataset = table.to_pyarrow_dataset(file_pruning_predicate=file_bounds(where))
        within = _in_time(dataset, where, ARROW.never)
        conditions += [_met(_choices(criterion, within), dialect) for criterion in criteria]
    return conditions


def _in_time(dataset: Any, where: Filter, doubt: Any) -> Any:  # noqa: ANN401
    """Narrow a dataset to the interval of a filter, and to rows in doubt that have no time."""
    timed = _between(where, ARROW)
    if timed is None:
        return dataset
    # asked of the null ones alone, so that files are left out by the bounds of their times
    return dataset.filter(timed | (doubt & ARROW.missing(where.on)))


def _between(where: Filter, say: Dialect) -> Any:  # noqa: ANN401
    """Give the condition for the interval of time, exact to the nanosecond; None without one."""
    micros, beyond = say.column(where.on), say.column(where.on + BEYOND)
    inside = None
    if isinstance(where.since, pd.Timestamp):
        edge, more = say.moment(where.since), where.since.nanosecond
        inside = (micros >= edge) & ((micros > edge) | (beyond >= more))
    if isinstance(where.until, pd.Timestamp):
        edge, more = say.moment(where.until), where.until.nanosecond
        before = (micros <= edge) & ((micros < edge) | (beyond < more))
        inside = before if inside is None else inside & before
    return inside


def file_bounds(where: Filter | None) -> str | None:
    """Write the interval of a filter so that the log of the table leaves out files by it.

    Building a dataset of all files first would take a second for a thousand of them.
    """
    if where is None:
        return None
    edges = [
        f"\"{where.on}\" {sign} '{format_time(edge.floor('us'))}'"
        for sign, edge in ((">=", where.since), ("<=", where.until))
        if isinstance(edge, pd.Timestamp)
    ]
    inside = " AND ".join(edges)
    return f'({inside}) OR ({MISFIT} = true AND "{where.on}" IS NULL)' if edges else None


def beyond_core(criterion: Criterion) -> set[str]:
    """Name what a criterion looks at that is no column of the archive."""
    return {path for path, _ in criterion} - _CORE_NAMES


def _choices(criterion: Criterion, dataset: Any) -> list[_Choice]:  # noqa: ANN401
    """Find the values that pass the tests of a criterion, of those there are."""
    found = []
    for path, test in criterion:
        values: set[Any] = set()
        for batch in dataset.to_batches(columns=[path]):
            values.update(batch.column(0).unique().to_pylist())
        passing = [value for value in values if value is not None and test(value)]
        found.append(_Choice(name=path, among=passing, missing=test(None)))
    return found


def _met(choices: Sequence[_Choice], say: Dialect) -> Any:  # noqa: ANN401
    among = [say.among(choice.name, choice.among) for choice in choices if choice.among]
    missing = [say.missing(choice.name) for choice in choices if choice.missing]
    return reduce(or_, [*among, *missing], say.never)
