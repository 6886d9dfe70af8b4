"""Activities as JSON -> one flat frame, and back.

What a load noted is in ``df.attrs["activitykit"]``, plain JSON throughout:

``schema_version``
    Of the columns, see `activitykit.schema`.
``source``, ``filter``
    Where the activities came from, and the filter as Python text; set by `load`.
``complete``
    False when the load broke off.
``pages``, ``rows``
    Chunks read, and rows made.
``duplicates``
    ``{"n": …, "example_ids": […]}``: further copies of activities, left out.
``tasks_left_out``
    Number of tasks found among activities.
``conflicts``
    One ``{"column", "kinds", "example_ids"}`` per column with mixed kinds, kept as JSON text;
    ``kinds`` counts the rows of each kind.
``unreadable_times``
    One ``{"column", "n", "example_ids"}`` per time column with text that is no time.
``json_columns``
    Columns whose values are JSON text.
``rest_columns``
    Names of the columns that went to ``context_rest``.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.decode import ARROW_TYPE, Decoded, Piece, decode, to_json
from activitykit.names import RESERVED, TIMES, path_of
from activitykit.errors import FlattenError
from activitykit.filters import format_time
from activitykit.schema import ATTRS, CORE, DERIVED, SCHEMA_VERSION, note, parse_time

_TEXT: Final = pd.StringDtype(storage="pyarrow", na_value=np.nan)
_EXAMPLES: Final = 10


def flatten(items: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a frame of raw activities: one row each, columns named by JSON path.

    Examples
    --------
    >>> df = flatten([{"id": 7, "type": "agent.add", "context": {"Name": "web-1"}}])
    >>> df[["id", "type", "context.Name"]].to_dict("records")
    [{'id': 7, 'type': 'agent.add', 'context.Name': 'web-1'}]
    """
    return flatten_pages(json.dumps(list(items)).encode() for _ in [0])


def flatten_pages(chunks: Iterable[bytes]) -> pd.DataFrame:
    """Make a frame of JSON documents as they arrive: pages, arrays, activities, or lines of them."""
    return _assemble(decode(chunks))


def _assemble(found: Decoded) -> pd.DataFrame:
    notes: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION, "source": None, "filter": None, "complete": True,
        "pages": found.pages, "rows": 0, "duplicates": {"n": 0, "example_ids": []},
        "tasks_left_out": 0, "conflicts": [], "unreadable_times": [], "json_columns": [],
        "rest_columns": [],
    }  # fmt: skip
    ids = _gather(
        found.columns.get("id", {}).get("integer", []), np.arange(found.rows), found.rows, "integer"
    )
    order = np.argsort(ids.to_numpy(zero_copy_only=False), kind="stable")
    place = np.empty(found.rows, dtype=np.int64)
    place[order] = np.arange(found.rows)
    n = found.rows
    made: dict[str, Any] = {}
    for name, kinds in found.columns.items():
        arrays = {kind: _gather(pieces, place, n, kind) for kind, pieces in kinds.items()}
        if name in TIMES:
            values, raw = _times(arrays)
            made[name] = values
            if raw:
                made[f"{name}_raw"] = _resolve(f"{name}_raw", raw, notes)
        else:
            made[name] = _resolve(name, arrays, notes)
    for column in CORE:
        if column.name not in made:
            kind = {"id": "integer", "time": "time"}.get(column.kind, column.kind)
            made[column.name] = pa.nulls(
                n, pa.timestamp("ns", "UTC") if kind == "time" else ARROW_TYPE[kind]
            )
    for column in DERIVED:
        made[column.name] = pa.nulls(n, pa.large_string())
    first = [column.name for column in (*CORE, *DERIVED)]
    names = [*first, *sorted(made.keys() - set(first))]
    df = pd.DataFrame({name: _pandas(name, made[name]) for name in names}, copy=False)
    notes["rows"] = n
    df.attrs[ATTRS] = notes
    return df


def _gather(pieces: list[Piece], place: Any, n: int, kind: str) -> Any:
    index = np.full(n, -1, dtype=np.int64)
    offset = 0
    for (rows, picks), values in pieces:
        at = place[rows]
        kept = at >= 0
        index[at[kept]] = picks[kept] + offset
        offset += len(values)
    if not pieces:
        return pa.nulls(n, ARROW_TYPE[kind])
    values = pa.concat_arrays([piece.values for piece in pieces])
    return values.take(pa.array(index, mask=index < 0))


def _resolve(name: str, arrays: dict[str, Any], notes: dict[str, Any]) -> Any:
    if len(arrays) == 1:
        [(kind, values)] = arrays.items()
        if kind == "json":
            notes["json_columns"].append(name)
        return values
    if set(arrays) == {"integer", "number"}:
        try:
            return pc.coalesce(arrays["number"], arrays["integer"].cast(pa.float64()))
        except pa.ArrowInvalid:
            pass
    notes["json_columns"].append(name)
    notes["conflicts"].append(
        {
            "column": name,
            "kinds": {k: len(a) - a.null_count for k, a in sorted(arrays.items())},
            "example_ids": [],
        }
    )
    texts = [
        values
        if kind == "json"
        else pa.array(
            [None if v is None else to_json(v) for v in values.to_pylist()], pa.large_string()
        )
        for kind, values in arrays.items()
    ]
    return pc.coalesce(*texts)


def _times(arrays: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    texts = arrays.get("text")
    n = len(next(iter(arrays.values())))
    raw = {kind: values for kind, values in arrays.items() if kind != "text"}
    moments: list[int | None] = [None] * n
    if texts is not None:
        kept: list[str | None] = [None] * n
        for row, text in enumerate(texts.to_pylist()):
            moments[row] = moment = parse_time(text)
            if text is not None and (
                moment is None or format_time(pd.Timestamp(moment, tz="UTC")) != text
            ):
                kept[row] = text
        if any(text is not None for text in kept):
            raw["text"] = pa.array(kept, pa.large_string())
    return pa.array(moments, pa.int64()).cast(pa.timestamp("ns", "UTC")), raw


def _pandas(name: str, values: Any) -> Any:
    if pa.types.is_timestamp(values.type):
        return values.to_pandas()
    if name == "id":
        return values.to_numpy(zero_copy_only=False).astype("int64")
    dtype = {
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    return dtype.get(values.type, _TEXT).__from_arrow__(values)


def unflatten(df: pd.DataFrame) -> list[dict[str, Any]]:
    """Give back the raw activities of a frame, without nulls.

    Examples
    --------
    >>> unflatten(flatten([{"id": 7, "context": {"Name": None, "Size": 3}}]))
    [{'id': 7, 'context': {'Size': 3}}]
    """
    as_json = frozenset(note(df, "json_columns", ()))
    items: list[dict[str, Any]] = [{} for _ in range(len(df))]
    derived = {column.name for column in DERIVED}
    for name in df.columns:
        if name in derived or (name in RESERVED and name.removesuffix("_raw") in TIMES):
            continue
        path = path_of(name)
        values = df[name]
        kept = df.get(f"{name}_raw") if name in TIMES else None
        for row, value in enumerate(values.array):
            if kept is not None and not pd.isna(kept.array[row]):
                raw = kept.array[row]
                found = json.loads(raw) if f"{name}_raw" in as_json else raw
            elif pd.isna(value):
                continue
            elif name in TIMES:
                found = format_time(value)
            elif name in as_json:
                found = json.loads(value)
            else:
                found = value.item() if isinstance(value, np.generic) else value
            if isinstance(found, np.generic):
                found = found.item()
            target = items[row]
            for key in path[:-1]:
                target = target.setdefault(key, {})
            target[path[-1]] = found
    return items
