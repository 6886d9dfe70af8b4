"""The frame: put together from decoded columns, and taken apart again."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from activitykit.errors import FlattenError
from activitykit.flatten.decode import collector_paused, decode
from activitykit.flatten.derive import derive
from activitykit.flatten.names import RAW, RESERVED, REST, TIMES, path_of
from activitykit.flatten.resolve import CORE_TYPE, resolve, rows_to_keep
from activitykit.flatten.times import TIMESTAMP, write_times
from activitykit.schema import ATTRS, DERIVED, SCHEMA_VERSION, note

_ITEMS_AT_ONCE: Final = 1_000
_FIRST: Final = (*CORE_TYPE, *(column.name for column in DERIVED))
_PANDAS: Final[dict[Any, Any]] = {
    pa.large_string(): pd.StringDtype(storage="pyarrow", na_value=np.nan),
    pa.int64(): pd.Int64Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def flatten(items: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a frame of raw activities: one row each, columns named by JSON path.

    Parameters
    ----------
    items
        Activities as the service gives them. A page with ``items`` counts as what is in it.

    Returns
    -------
    pandas.DataFrame
        Sorted by ``id``, with the columns of `columns()` first and in that order, then all others
        sorted by name. Ids and counts are exact integers, times are UTC with nanoseconds, text is
        pandas ``str``: repeated names are not categorical, because joins, concatenation, new
        values and grouping of categories surprise; snapshots store them dictionary-encoded. Lists,
        empty objects, objects more than six levels down, and columns of mixed kinds hold JSON
        text. A time in another spelling than the service's, or none at all, is kept beside it in
        ``<column>_raw``. Of several copies of an activity, the one with the greatest ``updatedAt``
        stays. Tasks among activities are left out; tasks alone are kept. What was odd is noted in
        ``df.attrs["activitykit"]``.

    Raises
    ------
    FlattenError
        When an item is no JSON object with an integer ``id``.

    Warns
    -----
    UserWarning
        When there are so many columns that the rarest go to ``context_rest``, as JSON text.

    Examples
    --------
    >>> df = flatten([{"id": 7, "type": "agent.add", "context": {"Name": "web-1"}}])
    >>> df[["id", "operation", "context.Name"]].to_dict("records")
    [{'id': 7, 'operation': 'Adding agent', 'context.Name': 'web-1'}]
    """
    return flatten_pages(_encode(items))


@contextmanager
def _returning_memory() -> Iterator[None]:
    """Free memory at once; Arrow's own allocator keeps it for a while, a fifth more at the peak."""
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)


@_returning_memory()
def flatten_pages(chunks: Iterable[bytes]) -> pd.DataFrame:
    """Make a frame of JSON as it arrives; `flatten` describes the frame.

    Parameters
    ----------
    chunks
        Each a page of the service, a list of activities, one activity, or lines of those. Where
        they are cut makes no difference to the frame.

    Raises
    ------
    FlattenError
        When a chunk is no JSON, or holds something that is no activity.
    """
    found = decode(chunks)
    notes: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION, "source": None, "filter": None, "complete": True,
        "pages": found.pages, "rows": found.rows, "duplicates": {"n": 0, "example_ids": []},
        "tasks_left_out": 0, "conflicts": [], "unreadable_times": [], "json_columns": [],
        "rest_columns": [],
    }  # fmt: skip
    arrays = resolve(found, rows_to_keep(found, notes), notes)
    notes["json_columns"].sort()
    with collector_paused():
        arrays.update(derive(arrays, frozenset(notes["json_columns"])))
    names = [*_FIRST, *sorted(arrays.keys() - set(_FIRST))]
    # popping lets go of each Arrow column once pandas has it
    df = pd.DataFrame({name: _to_pandas(name, arrays.pop(name)) for name in names}, copy=False)
    df.attrs[ATTRS] = notes
    return df


def _encode(items: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Write items as JSON, so that there is one way in."""
    source, position = iter(items), 0
    while batch := list(islice(source, _ITEMS_AT_ONCE)):
        try:
            yield json.dumps(batch, default=_plain).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise FlattenError(
                f"an item from position {position} to {position + len(batch) - 1} cannot be"
                f" written as JSON: {error}. Give activities as the service sends them."
            ) from error
        position += len(batch)


def _plain(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _to_pandas(name: str, values: Any) -> Any:  # noqa: ANN401
    if name == "id" or values.type == TIMESTAMP:
        return values.to_pandas()
    return _PANDAS[values.type].__from_arrow__(values)


def unflatten(df: pd.DataFrame) -> list[dict[str, Any]]:
    """Give back the raw activities of a frame; undoes `flatten`, but for nulls and further copies.

    Parameters
    ----------
    df
        A frame of `flatten`, `load` or `read_snapshot`, or some of its rows and columns. Columns
        that `flatten` derived are left out.

    Returns
    -------
    list of dict
        In the order of the rows; keys in the order of the columns.

    Examples
    --------
    >>> unflatten(flatten([{"id": 7, "context": {"Name": None, "Size": 3}}]))
    [{'id': 7, 'context': {'Size': 3}}]
    """
    as_json = frozenset(note(df, "json_columns", ()))
    items: list[dict[str, Any]] = [{} for _ in range(len(df))]
    for name in df.columns:
        if name not in RESERVED:
            values = _values(df, name, as_json)
            if name in TIMES and name + RAW in df.columns:
                kept = _values(df, name + RAW, as_json)
                values = [v if k is None else k for v, k in zip(values, kept, strict=True)]
            path = path_of(name)
            for item, value in zip(items, values, strict=True):
                if value is not None:
                    _put(item, path, value)
    if REST in df.columns:
        for item, rest in zip(items, _values(df, REST, {REST}), strict=True):
            for name, value in (rest or {}).items():
                _put(item, path_of(name), value)
    return items


def _values(df: pd.DataFrame, name: str, as_json: Collection[str]) -> list[Any]:
    """Give the JSON values of a column, None where there is none."""
    array = pa.array(df[name], from_pandas=True)
    if pa.types.is_timestamp(array.type):
        array = write_times(array.cast(TIMESTAMP))
    values: list[Any] = array.to_pylist()
    if name in as_json:
        return [None if value is None else json.loads(value) for value in values]
    return values


def _put(item: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for key in path[:-1]:
        item = item.setdefault(key, {})
    item[path[-1]] = value
