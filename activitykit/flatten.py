"""Activities as JSON -> one flat frame, and back.

What a load noted is in ``df.attrs["activitykit"]``, plain JSON throughout:

``schema_version``
    Of the columns, see `activitykit.schema`.
``source``, ``filter``
    Where the activities came from, and the filter as Python text; set by `load`.
``complete``
    False when the load broke off.
``pages``, ``rows``
    JSON documents or blocks of a file read, and activities found in them.
``duplicates``
    ``{"n": …, "example_ids": […]}``: further copies of activities, left out.
``tasks_left_out``
    Number of tasks found among activities.
``conflicts``
    One ``{"column", "kinds", "example_ids"}`` per column with mixed kinds, kept as JSON text;
    ``kinds`` counts the rows of each kind.
``unreadable_times``
    One ``{"column", "n", "example_ids"}`` per time column with something that is no time.
``json_columns``
    Columns whose values are JSON text.
``rest_columns``
    Names of the columns that went to ``context_rest``.
"""

import json
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.decode import ARROW_TYPE, Decoded, Piece, decode, to_json
from activitykit.derive import PATHS as DERIVED_FROM
from activitykit.derive import derive
from activitykit.errors import FlattenError
from activitykit.filters import PATHS as FILTERED
from activitykit.names import RAW, RESERVED, REST, TIMES, path_of
from activitykit.schema import ATTRS, CORE, DERIVED, SCHEMA_VERSION, note
from activitykit.times import TIMESTAMP, read_times, write_times

WIDEST: Final = 512
"""Columns beyond the core; in a wider load the rarest go to ``context_rest``."""

_ITEMS_AT_ONCE: Final = 1_000
_EXAMPLES: Final = 10
_TEXT: Final = pd.StringDtype(storage="pyarrow", na_value=np.nan)
_CORE_TYPE: Final = {
    column.name: TIMESTAMP if column.kind == "time" else ARROW_TYPE.get(column.kind, pa.int64())
    for column in CORE
}
_FIRST: Final = (*_CORE_TYPE, *(column.name for column in DERIVED))

_Positions = npt.NDArray[np.int64]
_Kinds = dict[str, list[Piece]]


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
    rows = _rows_to_keep(found, notes)
    place = np.full(found.rows, -1)
    place[rows] = np.arange(len(rows))
    arrays = _resolve_all(found.columns, place, len(rows), notes)
    notes["json_columns"].sort()
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


# -- which rows stay -------------------------------------------------------------------------------


def _rows_to_keep(found: Decoded, notes: dict[str, Any]) -> _Positions:
    """Give the rows of the frame in its order: activities, by id, the latest copy of each."""
    everywhere = np.arange(found.rows)
    ids = _gather(found.columns.get("id", {}).get("integer", []), everywhere, found.rows, "integer")
    ids = ids.to_numpy(zero_copy_only=False)
    kept = everywhere[~_tasks(found)] if found.rows else everywhere
    notes["tasks_left_out"] = found.rows - len(kept)
    updated = _gather(
        found.columns.get("updatedAt", {}).get("text", []), everywhere, found.rows, "text"
    )
    moments = read_times(updated)[0].cast(pa.int64()).fill_null(-(2**63)).to_numpy()
    kept = kept[np.lexsort((moments[kept], ids[kept]))]
    same = ids[kept][1:] == ids[kept][:-1]
    if not same.any():
        return kept
    tied = same & (moments[kept][1:] == moments[kept][:-1])
    kept = _order_ties(found, kept, tied)
    copies = ids[kept][:-1][same]
    notes["duplicates"] = {"n": len(copies), "example_ids": _examples(np.unique(copies))}
    return kept[np.append(~same, True)]


def _tasks(found: Decoded) -> npt.NDArray[np.bool_]:
    """Tell tasks from activities; all False when there are only tasks."""
    has = {
        key: np.zeros(found.rows, dtype=bool)
        for key in ("queue", "enqueuedAt", "taskId", "createdAt")
    }
    for key, held in has.items():
        for pieces in found.columns.get(key, {}).values():
            for piece in pieces:
                rows, picks = piece.spots
                held[rows[piece.values.is_valid().to_numpy(zero_copy_only=False)[picks]]] = True
    tasks = (has["queue"] | has["enqueuedAt"]) & ~(has["taskId"] | has["createdAt"])
    return tasks & ~tasks.all()


def _order_ties(found: Decoded, kept: _Positions, tied: npt.NDArray[np.bool_]) -> _Positions:
    """Order copies of the same moment by what they hold, so that arrival plays no part."""
    at = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
    place = np.full(found.rows, -1)
    place[kept[at]] = np.arange(len(at))
    held: list[list[str]] = [[] for _ in at]
    for name in sorted(found.columns):
        for kind, pieces in sorted(found.columns[name].items()):
            for cells, value in zip(
                held, _gather(pieces, place, len(at), kind).to_pylist(), strict=True
            ):
                if value is not None:
                    cells.append(f"{name} {kind} {value!r}")
    run = np.cumsum(~np.append(False, tied))[at]
    order = sorted(range(len(at)), key=lambda i: (run[i], held[i]))
    kept = kept.copy()
    kept[at] = kept[at][order]
    return kept


# -- which type a column has -----------------------------------------------------------------------


def _gather(pieces: list[Piece], place: _Positions, n: int, kind: str) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Put the values of one kind into the order of the frame."""
    if not pieces:
        return pa.nulls(n, ARROW_TYPE[kind])
    index = np.full(n, -1)
    offset = 0
    for (rows, picks), values in pieces:
        at = place[rows]
        here = at >= 0
        index[at[here]] = picks[here] + offset
        offset += len(values)
    values = pa.concat_arrays([piece.values for piece in pieces])
    return values.take(pa.array(index, mask=index < 0))


def _resolve_all(
    columns: dict[str, _Kinds], place: _Positions, n: int, notes: dict[str, Any]
) -> dict[str, Any]:
    """Give every column one Arrow array, with the types that the whole load allows."""
    arrays: dict[str, Any] = {}
    if rare := _rarest(columns, place):
        arrays[REST] = _rest({name: columns.pop(name) for name in rare}, place, n)
        notes["rest_columns"] = sorted(rare)
        notes["json_columns"].append(REST)
    ids = _gather(columns.get("id", {}).get("integer", []), place, n, "integer")
    for name in sorted(columns):
        kinds = columns.pop(name)
        found = {kind: _gather(pieces, place, n, kind) for kind, pieces in sorted(kinds.items())}
        found = {kind: values for kind, values in found.items() if values.null_count < n}
        if name in TIMES and found:
            arrays[name], found = _split_times(name, found, ids, notes)
            name += RAW
        if found:
            arrays[name] = _one_kind(name, found, ids, notes)
    return {name: pa.nulls(n, of) for name, of in _CORE_TYPE.items()} | arrays


def _split_times(
    name: str,
    found: dict[str, Any],
    ids: Any,
    notes: dict[str, Any],  # noqa: ANN401
) -> tuple[Any, dict[str, Any]]:
    """Read what are times, and keep beside them what they do not give back."""
    texts = found.pop("text", None)
    times, raw = read_times(pa.nulls(len(ids), pa.large_string()) if texts is None else texts)
    if raw.null_count < len(raw):
        found["text"] = raw
    unread = pc.and_(times.is_null(), _any_valid(found.values(), len(ids)))
    if n := pc.sum(unread).as_py():
        examples = _examples(ids.filter(unread))
        notes["unreadable_times"].append({"column": name, "n": n, "example_ids": examples})
    return times, found


def _any_valid(arrays: Iterable[Any], n: int) -> Any:  # noqa: ANN401
    valid = pa.array(np.zeros(n, dtype=bool))
    for values in arrays:
        valid = pc.or_(valid, values.is_valid())
    return valid


def _one_kind(name: str, found: dict[str, Any], ids: Any, notes: dict[str, Any]) -> Any:  # noqa: ANN401
    """Make one array of the kinds found in a column, as JSON text where they do not go together."""
    if found.keys() == {"integer", "number"}:
        try:
            return pc.coalesce(found["number"], found["integer"].cast(pa.float64()))
        except pa.ArrowInvalid:
            pass  # an integer that a float cannot hold
    if len(found) == 1 and "json" not in found:
        return next(iter(found.values()))
    notes["json_columns"].append(name)
    if len(found) > 1:
        counts = {kind: len(values) - values.null_count for kind, values in found.items()}
        commonest = max(counts, key=lambda kind: counts[kind])
        others = _any_valid([v for kind, v in found.items() if kind != commonest], len(ids))
        examples = _examples(ids.filter(others))
        notes["conflicts"].append({"column": name, "kinds": counts, "example_ids": examples})
    return pc.coalesce(*(_as_json(kind, values) for kind, values in found.items()))


def _as_json(kind: str, values: Any) -> Any:  # noqa: ANN401
    if kind == "json":
        return values
    texts = [None if value is None else to_json(value) for value in values.to_pylist()]
    return pa.array(texts, pa.large_string())


def _examples(ids: Iterable[Any]) -> list[int]:
    return [int(one) for one in pa.array(ids)[:_EXAMPLES].to_pylist()]


# -- very wide loads -------------------------------------------------------------------------------


def _rarest(columns: Mapping[str, _Kinds], place: _Positions) -> list[str]:
    """Name the columns that are too many, sparing those that a filter looks at."""
    beyond = [name for name in columns if name not in _CORE_TYPE]
    if len(beyond) <= WIDEST:
        return []
    counts = {name: _count(columns[name], place) for name in beyond}
    present = [name for name in beyond if counts[name]]
    if len(present) <= WIDEST:
        return []
    ranked = sorted(
        present, key=lambda name: (name not in FILTERED | DERIVED_FROM, -counts[name], name)
    )
    warnings.warn(
        f"the activities have {len(present)} columns beyond the core; the rarest"
        f" {len(present) - WIDEST} are in `{REST}`, as JSON text",
        stacklevel=2,
    )
    return ranked[WIDEST:]


def _count(kinds: _Kinds, place: _Positions) -> int:
    return sum(
        int(piece.values.is_valid().to_numpy(zero_copy_only=False)[picks[place[rows] >= 0]].sum())
        for pieces in kinds.values()
        for piece in pieces
        for rows, picks in [piece.spots]
    )


def _rest(columns: Mapping[str, _Kinds], place: _Positions, n: int) -> Any:  # noqa: ANN401
    """Write columns as one JSON object per row: column name -> value."""
    cells: list[list[str]] = [[] for _ in range(n)]
    for name in sorted(columns):
        for kind, pieces in columns[name].items():
            for (rows, picks), values in pieces:
                held = _as_json(kind, values).to_pylist()
                for at, pick in zip(place[rows].tolist(), picks.tolist(), strict=True):
                    if at >= 0 and held[pick] is not None:
                        cells[at].append(f"{to_json(name)}:{held[pick]}")
    texts = [f"{{{','.join(row)}}}" if row else None for row in cells]
    return pa.array(texts, pa.large_string())


# -- Arrow to pandas, and back ---------------------------------------------------------------------


def _to_pandas(name: str, values: Any) -> Any:  # noqa: ANN401
    if name == "id" or values.type == TIMESTAMP:
        return values.to_pandas()
    masked = {
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    return masked.get(values.type, _TEXT).__from_arrow__(values)


def unflatten(df: pd.DataFrame) -> list[dict[str, Any]]:
    """Give back the raw activities of a frame; undoes `flatten`, but for nulls and further copies.

    Parameters
    ----------
    df
        A frame of `flatten`, `load` or `read_snapshot`, or some of its rows and columns. Columns that
        `flatten` derived are left out.

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
