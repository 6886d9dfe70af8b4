"""A filter as a condition on the columns of the archive, which decides what is read at all."""

from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.archive.rows import BEYOND, FIELDS, MISFIT
from activitykit.errors import ConfigError
from activitykit.filters import Criterion, Filter
from activitykit.schema import CORE

_CORE_NAMES: Final = frozenset(column.name for column in CORE)


def matching(dataset: Any, where: Filter | None, *, exact: bool) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Narrow a dataset of archived rows to a filter, without reading more than it has to.

    Parameters
    ----------
    dataset
        With the columns of `FIELDS`.
    where
        The filter.
    exact
        Whether exactly the matching rows are wanted. Otherwise there may be more: those that have
        to be put together before it can be said.

    Raises
    ------
    ConfigError
        When the exact answer needs more than the core columns.
    """
    if where is None:
        return dataset
    # a row with a core value that is not in its column has to be put together to know
    doubt = pc.scalar(False) if exact else pc.field(MISFIT)
    timed = _in_time(where)
    if timed is not None:
        # asked of the null ones alone, so that files are left out by the bounds of their times
        dataset = dataset.filter(timed | (doubt & pc.field(where.on).is_null()))
    for criterion in where.criteria():
        beyond = sorted({path for path, _ in criterion} - _CORE_NAMES)
        if not beyond:
            dataset = dataset.filter(_meeting(criterion, dataset) | doubt)
        elif exact:
            raise ConfigError(
                f"scan cannot look at {', '.join(beyond)}, which are no columns of the archive; use"
                " read, or a filter without text, tag and sustainable"
            )
    return dataset


def _in_time(where: Filter) -> Any:  # noqa: ANN401
    """Give the condition for the interval of time, exact to the nanosecond; None without one."""
    micros, beyond = pc.field(where.on), pc.field(where.on + BEYOND)
    inside = None
    if isinstance(where.since, pd.Timestamp):
        edge, more = scalar(where.since), where.since.nanosecond
        inside = (micros >= edge) & ((micros > edge) | (beyond >= more))
    if isinstance(where.until, pd.Timestamp):
        edge, more = scalar(where.until), where.until.nanosecond
        before = (micros <= edge) & ((micros < edge) | (beyond < more))
        inside = before if inside is None else inside & before
    return inside


def _meeting(criterion: Criterion, dataset: Any) -> Any:  # noqa: ANN401
    """Give the condition for one criterion: the values that pass its tests, of those there are."""
    meets = pc.scalar(False)
    for path, test in criterion:
        values: set[Any] = set()
        for batch in dataset.to_batches(columns=[path]):
            values.update(batch.column(0).unique().to_pylist())
        passing = [value for value in values if value is not None and test(value)]
        meets |= pc.field(path).isin(pa.array(passing, FIELDS.field(path).type))
        if test(None):
            meets |= pc.field(path).is_null()
    return meets


def scalar(moment: pd.Timestamp) -> Any:  # noqa: ANN401
    """Give a moment for comparison with a column, rounded down to microseconds."""
    return pa.scalar(moment.floor("us").to_pydatetime(), pa.timestamp("us", "UTC"))
