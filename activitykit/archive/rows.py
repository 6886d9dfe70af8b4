"""Activities as the service sends them -> rows of the archive, and back.

A core value that is of the kind that `schema` promises stands in its typed column, a time as
microseconds with the nanoseconds beyond them beside it. All else of the activity is kept as the
JSON text that came: what is left of ``context`` in one column, the rest in another. So nothing is
stored twice, and nothing is lost. The few values that had to stay in the rest although they belong
to a core column (a number where text should be, a time in another spelling) are told by ``misfit``.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.filters import Filter
from activitykit.flatten import flatten_pages
from activitykit.flatten.times import TIMESTAMP, read_times, write_times
from activitykit.moments import parse_time
from activitykit.schema import CORE, DERIVED, Kind

UNKNOWN_MONTH: Final = "unknown"
MISFIT: Final = "misfit"
BEYOND: Final = "_ns"
"""Ends the name of the column with the nanoseconds beyond the microseconds of a time."""

_MICROS: Final = pa.timestamp("us", "UTC")
_TEXT: Final = pa.large_string()
_ARROW: Final[Mapping[Kind, Any]] = {
    "id": pa.int64(), "text": pa.string(), "integer": pa.int64(), "boolean": pa.bool_(),
    "time": _MICROS,
}  # fmt: skip
_INT64: Final = range(-(2**63), 2**63)
_TIMES: Final = [column.name for column in CORE if column.kind == "time"]
_AT_ONCE: Final = 20_000

FIELDS: Final = pa.schema([
    ("base_url", pa.string()), ("month", pa.string()),
    *((column.name, _ARROW[column.kind]) for column in CORE),
    *((name + BEYOND, pa.int16()) for name in _TIMES),
    *((column.name, pa.string()) for column in DERIVED),
    ("queue_s", pa.float64()), ("duration_s", pa.float64()), (MISFIT, pa.bool_()),
    ("context", pa.string()), ("rest", pa.string()),
])  # fmt: skip
"""The columns of an archived row."""

_Tree = dict[str, Any]
_Left = dict[str, msgspec.Raw]


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]


class _Head(msgspec.Struct):
    id: Any = None
    updatedAt: Any = None  # noqa: N815 - the service's name


_read_page = msgspec.json.Decoder(_Page).decode
_read_head = msgspec.json.Decoder(_Head).decode
_read_object = msgspec.json.Decoder(_Left).decode
_read_text = msgspec.json.Decoder(str).decode
_write = msgspec.json.Encoder().encode


def _core_tree() -> _Tree:
    tree: _Tree = {}
    for column in CORE:
        *path, last = column.name.split(".")
        reduce(lambda at, key: at.setdefault(key, {}), path, tree)[last] = column.kind
    return tree


_TREE: Final = _core_tree()


# -- into the archive ------------------------------------------------------------------------------


def to_rows(pages: Iterable[bytes], where: Filter | None, base_url: str) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Make rows of pages of the service.

    Parameters
    ----------
    pages
        Bodies with ``items``.
    where
        Which of the activities; all by default.
    base_url
        Where they come from, noted in every row.

    Returns
    -------
    pyarrow.Table
        With the columns of `FIELDS`, sorted by id, each activity once.

    Raises
    ------
    FlattenError
        When something is no activity.
    """
    latest = _latest(raw for page in pages for raw in _read_page(page).items)
    if not latest:
        return FIELDS.empty_table()
    df = flatten_pages([b"[" + b",".join(latest.values()) + b"]"])
    df = where.select(df) if where else df
    cells: dict[str, list[Any]] = {column.name: [] for column in CORE}
    left, misfit = [], []
    for number in df["id"].tolist():
        taken: dict[str, Any] = {}
        rest, odd = _take(latest[number], _TREE, "", taken)
        left.append(rest)
        misfit.append(odd)
        for name, values in cells.items():
            values.append(taken.get(name))
    columns = {name: pa.array(cells[name], FIELDS.field(name).type) for name in _plain_names()}
    columns |= _times(cells, left, misfit)
    columns |= _text_columns(left)
    columns |= {
        column.name: pa.array(df[column.name], pa.string(), from_pandas=True) for column in DERIVED
    }
    columns["base_url"] = pa.array([base_url] * len(df), pa.string())
    columns[MISFIT] = pa.array(misfit, pa.bool_())
    columns["month"] = months(columns["createdAt"])
    columns |= _ready_made(columns)
    return pa.table([columns[name] for name in FIELDS.names], schema=FIELDS)


def _latest(items: Iterable[msgspec.Raw]) -> dict[Any, bytes]:
    """Keep one copy of each activity, the one with the greatest ``updatedAt``."""
    found: dict[Any, bytes] = {}
    for item in items:
        text = bytes(item)
        # what is no activity stays, for `flatten_pages` to refuse it by name
        number = _read_head(text).id if text.startswith(b"{") else None
        number = number if type(number) is int else text
        found[number] = max(found[number], text, key=_age) if number in found else text
    return found


def _age(text: bytes) -> tuple[int, bytes]:
    moment = parse_time(_read_head(text).updatedAt)
    return -(2**63) if moment is None else moment, text


def _take(text: bytes, tree: _Tree, prefix: str, taken: dict[str, Any]) -> tuple[_Left, bool]:
    """Take out of an object what fits its column; give what is left, and whether any did not."""
    left, misfit = _read_object(text), False
    for key, below in tree.items():
        raw = left.pop(key, None)
        if raw is None or (value := bytes(raw)) == b"null":
            continue
        if isinstance(below, dict) and value.startswith(b"{"):
            before = len(taken)
            inner, odd = _take(value, below, f"{prefix}{key}.", taken)
            misfit |= odd
            # an object that was empty from the start is told apart from a missing one
            if inner or len(taken) == before:
                left[key] = msgspec.Raw(_write(inner))
            continue
        fitting = None if isinstance(below, dict) else _fitting(value, below)
        if fitting is None:
            left[key], misfit = raw, True
        else:
            taken[prefix + key] = fitting
    return left, misfit


def _fitting(value: bytes, kind: Kind) -> Any:  # noqa: ANN401 - a JSON value
    """Read a value of a kind; None when it is of another."""
    if kind == "boolean":
        return {b"true": True, b"false": False}.get(value)
    if kind in ("text", "time"):
        return _read_text(value) if value.startswith(b'"') else None
    if not value.removeprefix(b"-").isdigit():
        return None
    number = int(value)
    return number if number in _INT64 else None


def _plain_names() -> list[str]:
    return [column.name for column in CORE if column.kind != "time"]


def _times(cells: Mapping[str, list[Any]], left: list[_Left], misfit: list[bool]) -> dict[str, Any]:
    """Read the times; those in a spelling that they would not give back go to the rest as well."""
    columns = {}
    for name in _TIMES:
        times, odd = read_times(pa.array(cells[name], _TEXT))
        for row in pc.indices_nonzero(odd.is_valid()).to_pylist():
            left[row][name] = msgspec.Raw(_write(odd[row].as_py()))
            misfit[row] = True
        missing = times.is_null().to_numpy(zero_copy_only=False)
        micros, beyond = np.divmod(times.cast(pa.int64()).fill_null(0).to_numpy(), 1000)
        columns[name] = pa.array(micros, pa.int64(), mask=missing).cast(_MICROS)
        columns[name + BEYOND] = pa.array(beyond.astype(np.int16), pa.int16(), mask=missing)
    return columns


def _text_columns(left: list[_Left]) -> dict[str, Any]:
    contexts: list[str | None] = []
    for rest in left:
        context = bytes(rest.get("context", b""))
        is_object = context.startswith(b"{")
        contexts.append(context.decode() if is_object else None)
        if is_object:
            del rest["context"]
    rests = [_write(rest).decode() if rest else None for rest in left]
    return {"context": pa.array(contexts, pa.string()), "rest": pa.array(rests, pa.string())}


def months(times: Any) -> Any:  # noqa: ANN401
    """Give the month of each time as text such as "2026-11", in UTC."""
    missing = times.is_null().to_numpy(zero_copy_only=False)
    micros = times.cast(pa.int64()).fill_null(0).to_numpy()
    names = micros.astype("datetime64[us]").astype("datetime64[M]").astype(str)
    return pa.array(np.where(missing, UNKNOWN_MONTH, names), pa.string())


def _ready_made(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Give the durations that SQL engines, without nanoseconds, could not work out exactly."""
    finished = pc.and_(
        pc.fill_null(pc.equal(columns["state"], "completed"), False),
        columns["result.code"].is_valid(),
    )
    lasted = _seconds(columns, "startedAt", "completedAt")
    return {
        "queue_s": _seconds(columns, "createdAt", "startedAt"),
        "duration_s": pc.if_else(finished, lasted, pa.scalar(None, pa.float64())),
    }


def _seconds(columns: Mapping[str, Any], start: str, end: str) -> Any:  # noqa: ANN401
    micros = pc.subtract(columns[end].cast(pa.int64()), columns[start].cast(pa.int64()))
    beyond = pc.subtract(columns[end + BEYOND], columns[start + BEYOND])
    nanos = pc.add(pc.multiply(micros.cast(pa.float64()), 1e3), beyond.cast(pa.float64()))
    return pc.divide(nanos, 1e9)


def is_json(text: str | None) -> bool:
    """Tell whether a text can be read as a JSON object; so can none at all."""
    try:
        _read_object(text or "{}")
    except msgspec.DecodeError:
        return False
    return True


# -- out of the archive ----------------------------------------------------------------------------


def to_pages(table: Any) -> Iterator[bytes]:  # noqa: ANN401
    """Put the activities of a table with the columns of `FIELDS` together again, as JSON lists."""
    for batch in table.to_batches(max_chunksize=_AT_ONCE):
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        rest = columns["rest"].to_pylist()
        left = [
            _with_context(*texts)
            for texts in zip(rest, columns["context"].to_pylist(), strict=True)
        ]
        cells = {column.name: _json(columns, column.name, column.kind) for column in CORE}
        cells |= _without_misspelt(cells, columns[MISFIT], rest)
        yield b"[" + ",".join(_objects(_TREE, "", cells, left).to_pylist()).encode() + b"]"


def _with_context(rest: str | None, context: str | None) -> str | None:
    if context is None:
        return rest
    return f'{{"context":{context}{"," + rest[1:] if rest else "}"}'


def _json(columns: Mapping[str, Any], name: str, kind: Kind) -> Any:  # noqa: ANN401
    """Write each value of a column as JSON, null where there is none."""
    values = columns[name]
    if kind == "text":
        encoded = values.dictionary_encode()
        distinct = [_write(text).decode() for text in encoded.dictionary.to_pylist()]
        return pa.array(distinct, _TEXT).take(encoded.indices)
    if kind == "time":
        exact = pc.add(pc.multiply(values.cast(pa.int64()), 1000), columns[name + BEYOND])
        quote, nothing = (pa.scalar(text, _TEXT) for text in ('"', ""))
        texts = write_times(exact.cast(TIMESTAMP))
        return pc.binary_join_element_wise(quote, texts, quote, nothing)
    return values.cast(_TEXT)


def _without_misspelt(
    cells: Mapping[str, Any],
    misfit: Any,  # noqa: ANN401
    rest: list[str | None],
) -> dict[str, Any]:
    """Leave out the times that the rest holds in their own spelling."""
    hidden: dict[str, list[int]] = {}
    for row in pc.indices_nonzero(misfit).to_pylist():
        for name in _read_object(rest[row] or "{}").keys() & set(_TIMES):
            hidden.setdefault(name, []).append(row)
    shown = {}
    for name, rows in hidden.items():
        mask = np.zeros(len(misfit), dtype=bool)
        mask[rows] = True
        shown[name] = pc.if_else(pa.array(mask), pa.scalar(None, _TEXT), cells[name])
    return shown


def _objects(tree: _Tree, prefix: str, cells: Mapping[str, Any], left: list[str | None]) -> Any:  # noqa: ANN401
    """Write the objects at one path: their core values, and what was left of them."""
    below: dict[str, list[str | None]] = {
        key: [None] * len(left) for key, kind in tree.items() if isinstance(kind, dict)
    }
    inner = [text and _split(text, below, row) for row, text in enumerate(left)]
    comma, nothing = (pa.scalar(text, _TEXT) for text in (",", ""))
    parts = [pa.array([text and f"{text}," for text in inner], _TEXT)]
    for key in tree:
        name, head = f"{prefix}{key}", pa.scalar(f'"{key}":', _TEXT)
        values = _objects(tree[key], f"{name}.", cells, below[key]) if key in below else cells[name]
        parts.append(pc.binary_join_element_wise(head, values, comma, nothing))
    body = pc.binary_join_element_wise(
        *parts, nothing, null_handling="replace", null_replacement=""
    )
    body = pc.utf8_rtrim(body, ",")
    brackets = (pa.scalar(text, _TEXT) for text in "{}")
    whole = pc.binary_join_element_wise(next(brackets), body, next(brackets), nothing)
    there = pc.or_(
        pc.not_equal(body, nothing), pa.array([text is not None for text in left], pa.bool_())
    )
    return pc.if_else(there, whole, pa.scalar(None, _TEXT))


def _split(text: str, below: Mapping[str, list[str | None]], row: int) -> str:
    """Give what stands between the brackets, but for the objects that have columns below them."""
    if not any(f'"{key}"' in text for key in below):
        return text[1:-1]
    left = _read_object(text)
    for key, texts in below.items():
        value = bytes(left.get(key, b""))
        if value.startswith(b"{"):
            texts[row] = value.decode()
            del left[key]
    return _write(left)[1:-1].decode()
