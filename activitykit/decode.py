"""JSON bytes -> columns of single values, before anything is decided about their types.

A column is a path; what was found there is kept apart by kind (text, integer, number, boolean, JSON
text), so nothing is converted, and nothing depends on the order of arrival, until all is known.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from activitykit.errors import FlattenError
from activitykit.schema import CORE, DERIVED

DEEPEST: Final = 6
"""Objects this many levels below the activity become columns, deeper ones stay as JSON text."""

TIMES: Final = tuple(column.name for column in CORE if column.kind == "time")
REST: Final = "context_rest"
RESERVED: Final = frozenset(
    {REST, *(f"{name}_raw" for name in TIMES), *(column.name for column in DERIVED)}
)
"""Names of columns that are no JSON paths; such a top-level key gets a backslash in front."""

ARROW_TYPE: Final = {
    "text": pa.large_string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "json": pa.large_string(),
}

_INT64 = range(-(2**63), 2**63)
_TO_ESCAPE = re.compile(r"[\\.]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r"\\u(d[89a-f][0-9a-f]{2})|\\(.)|(\.)", re.DOTALL)


class Piece(NamedTuple):
    """Values of one kind at one path: row ``rows[i]`` of the load holds ``values[picks[i]]``."""

    rows: "np.ndarray[Any, Any]"
    picks: "np.ndarray[Any, Any]"
    values: Any


@dataclass(slots=True)
class Decoded:
    """What the chunks held."""

    columns: dict[str, dict[str, list[Piece]]] = field(default_factory=dict)
    rows: int = 0
    pages: int = 0


def escape(key: str) -> str:
    """Write one JSON key so that it can stand between dots in a column name."""
    key = _TO_ESCAPE.sub(r"\\\g<0>", key)
    return key if key.isascii() else _SURROGATE.sub(lambda c: f"\\u{ord(c[0]):04x}", key)


def name_of(path: Iterable[str]) -> str:
    r"""Write a JSON path as a column name.

    Examples
    --------
    >>> print(name_of(["context", "a.b"]))
    context.a\.b
    """
    name = ".".join(map(escape, path))
    return f"\\{name}" if name in RESERVED else name


def path_of(name: str) -> tuple[str, ...]:
    r"""Read a column name as a JSON path; undoes `name_of`.

    Examples
    --------
    >>> path_of(r"context.a\.b")
    ('context', 'a.b')
    """
    path, start = [""], 0
    for token in _TOKEN.finditer(name):
        path[-1] += name[start : token.start()]
        start = token.end()
        surrogate, escaped, _ = token.groups()
        if surrogate:
            path[-1] += chr(int(surrogate, 16))
        elif escaped:
            path[-1] += escaped
        else:
            path.append("")
    path[-1] += name[start:]
    return tuple(path)


def to_json(value: object) -> str:
    """Write a value as compact JSON text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if _is_utf8(text) else json.dumps(value, separators=(",", ":"))


def decode(chunks: Iterable[bytes]) -> Decoded:
    """Decode chunks of JSON: pages, arrays, single activities, or lines of those."""
    found = Decoded()
    refused: list[str] = []
    for chunk in chunks:
        found.pages += 1
        cells: dict[tuple[str, str], tuple[list[int], list[Any]]] = {}
        for item in _items(chunk):
            if why := _refusal(item):
                refused.append(f"{found.rows + len(refused)} ({why})")
                continue
            for name, kind, value in walk(item):
                rows, values = cells.setdefault((name, kind), ([], []))
                rows.append(found.rows)
                values.append(value)
            found.rows += 1
        for (name, kind), (rows, values) in cells.items():
            piece = Piece(np.array(rows), np.arange(len(rows)), pa.array(values, ARROW_TYPE[kind]))
            found.columns.setdefault(name, {}).setdefault(kind, []).append(piece)
    if refused:
        raise FlattenError(
            f"{len(refused)} item(s) are no activities; the first, by position from 0:"
            f" {', '.join(refused[:10])}. An activity is a JSON object with an integer `id`."
        )
    return found


def walk(item: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Any]]:
    """Give column, kind and value of everything in an activity."""
    for key, value in item.items():
        path = (*prefix, key)
        if value is None:
            continue
        if isinstance(value, dict) and len(path) <= DEEPEST:
            if any(inner is not None for inner in value.values()):
                yield from walk(value, path)
            else:
                yield name_of(path), "json", "{}"
        else:
            yield name_of(path), *_classify(value)


def _classify(value: object) -> tuple[str, Any]:
    match value:
        case bool():
            return "boolean", value
        case int() if value in _INT64:
            return "integer", value
        case float() if np.isfinite(value):
            return "number", value
        case str() if _is_utf8(value):
            return "text", value
    return "json", to_json(value)


def _is_utf8(text: str) -> bool:
    return text.isascii() or not _SURROGATE.search(text)


def _refusal(item: object) -> str:
    if not isinstance(item, dict):
        return f"not an object but {to_json(item)[:40]}"
    identity = item.get("id")
    if isinstance(identity, bool) or not isinstance(identity, int) or identity not in _INT64:
        return f"id is {to_json(identity)[:40]}"
    return ""


def _items(chunk: bytes) -> Iterator[Any]:
    try:
        documents = [json.loads(chunk)]
    except ValueError:
        try:
            documents = [json.loads(line) for line in chunk.splitlines() if line.strip()]
        except ValueError as error:
            raise FlattenError(f"this is not JSON: {error}") from error
    for document in documents:
        if isinstance(document, dict) and "id" not in document:
            if "items" not in document:
                raise FlattenError(
                    "neither a page with `items` nor an activity with an `id`:"
                    f" {to_json(document)[:200]}"
                )
            yield from document["items"] or ()
        elif isinstance(document, list):
            yield from document
        else:
            yield document
