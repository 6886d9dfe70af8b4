"""JSON bytes -> columns of single values, before anything is decided about their types.

Objects at one path are decoded together, by a msgspec struct that learns their keys as they come,
and equal objects (tenants, plans, results) once. A column is a path; what was found there is kept
apart by kind (text, integer, number, boolean, JSON text), so nothing is converted, and nothing
depends on the order of arrival, until all is known.

`walk` says in a few lines what must come out. It does the work where msgspec cannot (lone
surrogates, numbers beyond 64-bit floats, odd or very many keys), and the tests hold the fast way
against it.
"""

import gc
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from activitykit.errors import FlattenError
from activitykit.names import SURROGATE, name_of

DEEPEST: Final = 6
"""Objects this many levels below the activity become columns, deeper ones stay as JSON text."""

ARROW_TYPE: Final = {
    "text": pa.large_string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "json": pa.large_string(),
}

# how much JSON is decoded together: enough to be fast, little enough to be small in memory
_BATCH_BYTES: Final = 8_000_000
# beyond these, a struct, or one for each type of activity, would cost more than it saves
_MAX_KEYS, _MAX_SHAPES = 400, 1_000
_INT64: Final = range(-(2**63), 2**63)
_NONE: Final = type(None)
# a kind, and what values have to be for it; Arrow itself refuses what is no text
_STRICT_KINDS: Final = (
    ("text", None),
    ("integer", {int, _NONE}),
    ("number", {float, _NONE}),
    ("boolean", {bool, _NONE}),
)
_SCALAR: Final = str | int | float | bool | None
_OPENING: Final = (b"{", b"[")

_Path = tuple[str, ...]
_Text = bytes | msgspec.Raw
_Indices = npt.NDArray[np.int64]


class Spots(NamedTuple):
    """Where things belong: row ``rows[i]`` of the load holds thing number ``picks[i]``."""

    rows: _Indices
    picks: _Indices


class Piece(NamedTuple):
    """Values of one kind in one column, for some of the rows."""

    spots: Spots
    values: Any


@dataclass(slots=True)
class Decoded:
    """What the chunks held: pieces by column and kind, and how much there was."""

    columns: dict[str, dict[str, list[Piece]]] = field(default_factory=dict)
    rows: int = 0
    pages: int = 0
    refused: list[str] = field(default_factory=list)
    unlike: set[_Path] = field(default_factory=set)
    shapes: "dict[tuple[_Path, object], _Shape]" = field(default_factory=dict)

    def add(self, name: str, kind: str, values: Sequence[Any], spots: Spots) -> None:
        """Add values of one kind, None where there is none."""
        array = pa.array(values, ARROW_TYPE[kind])
        if array.null_count < len(array):
            self.columns.setdefault(name, {}).setdefault(kind, []).append(Piece(spots, array))

    def add_scalars(self, name: str, values: Sequence[Any], spots: Spots) -> None:
        """Add values of any kinds, None where there is none."""
        for kind, of in _STRICT_KINDS:
            # most columns are text, and Arrow takes nothing else for it
            try:
                if of is None or set(map(type, values)) <= of:
                    self.add(name, kind, values, spots)
                    return
            except (TypeError, OverflowError, pa.ArrowInvalid):
                continue
        self.add_cells(name, [None if v is None else _classify(v) for v in values], spots)

    def add_cells(self, name: str, cells: Sequence[tuple[str, Any] | None], spots: Spots) -> None:
        """Add values with their kinds."""
        by_kind: dict[str, list[Any]] = {}
        for i, cell in enumerate(cells):
            if cell is not None:
                by_kind.setdefault(cell[0], [None] * len(cells))[i] = cell[1]
        for kind, values in by_kind.items():
            self.add(name, kind, values, spots)

    def shape(self, path: _Path, group: object) -> "_Shape":
        """Give what is known of the objects at a path; each group of them has its own."""
        key = (path, group if len(self.shapes) < _MAX_SHAPES else None)
        if key not in self.shapes:
            self.shapes[key] = _Shape(path)
        return self.shapes[key]


class _Shape:
    """The keys seen in the objects at one path, and a struct that reads such objects."""

    def __init__(self, path: _Path) -> None:
        self.path = path
        self.is_nested: dict[str, bool] = {}
        self.names: list[str] = []
        self._read: Callable[[bytes], list[Any]] | None = None

    def read(self, texts: Sequence[_Text]) -> list[tuple[Any, ...]] | None:
        """Give each object's values in the order of the keys, nested ones as raw JSON.

        None when there is something that is no object, holds nothing, or that msgspec cannot read.
        """
        joined = _join(texts)
        if joined[1:2] != b"{":
            return None
        # a few objects mostly show all keys; if not, all of them do
        for lesson in (None, texts[:100], texts):
            try:
                if lesson is not None:
                    self._learn(lesson)
                if self._read is not None:
                    rows = [*map(msgspec.structs.astuple, self._read(joined))]
                    return None if self._any_void(rows, joined) else rows
            except msgspec.ValidationError:
                continue
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                break
        return None

    def _any_void(self, rows: list[tuple[Any, ...]], joined: bytes) -> bool:
        if b"null" not in joined:
            return (None,) * len(self.is_nested) in rows
        nested = sum(self.is_nested.values())
        return any(
            row.count(None) + nested >= len(row)
            and all(v is None or (type(v) is msgspec.Raw and bytes(v) == b"null") for v in row)
            for row in rows
        )

    def _learn(self, texts: Sequence[_Text]) -> None:
        for item in _read_raw_objects(_join(texts)):
            for key, raw in item.items():
                nested = self.is_nested.get(key, False) or bytes(raw)[:1] in _OPENING
                self.is_nested[key] = nested
        self.names = [name_of((*self.path, key)) for key in self.is_nested]
        fields = [
            (f"f{i}", msgspec.Raw if nested else _SCALAR, None)
            for i, nested in enumerate(self.is_nested.values())
        ]
        rename = {f"f{i}": key for i, key in enumerate(self.is_nested)}
        try:
            struct = msgspec.defstruct(
                "_", fields, rename=rename, forbid_unknown_fields=True, gc=False
            )
        except ValueError:
            self._read = None  # msgspec takes no quotes, backslashes or control characters in keys
        else:
            few = len(fields) <= _MAX_KEYS
            self._read = msgspec.json.Decoder(list[struct]).decode if few else None  # type: ignore[valid-type]


def _join(texts: Sequence[_Text]) -> bytes:
    return b"[%b]" % b",".join(texts)


class _Page(msgspec.Struct):
    id: Any = None
    items: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET


_split_documents = msgspec.json.Decoder(msgspec.Raw).decode_lines
_split_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_page = msgspec.json.Decoder(_Page).decode
_read_raw_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_read_any = msgspec.json.Decoder().decode


def decode(chunks: Iterable[bytes]) -> Decoded:
    """Decode chunks of JSON: pages, lists of activities, single activities, or lines of those.

    Raises
    ------
    FlattenError
        When a chunk is no JSON, or holds something that is no activity.
    """
    found = Decoded()
    batch: list[_Text] = []
    size = lines = 0
    for chunk in chunks:
        found.pages += 1
        batch += _items(chunk, lines)
        size += len(chunk)
        lines += chunk.count(b"\n") if b"\n" in chunk else 0
        while size >= _BATCH_BYTES:
            cut = max(1, len(batch) * _BATCH_BYTES // size)
            _add_batch(found, batch[:cut])
            batch, size = batch[cut:], size - _BATCH_BYTES
    _add_batch(found, batch)
    if found.refused:
        raise FlattenError(
            f"{len(found.refused)} item(s) are no activities, by position from 0:"
            f" {'; '.join(found.refused[:10])}."
            " An activity is a JSON object whose `id` is a 64-bit integer."
        )
    return found


def walk(item: dict[str, Any], path: _Path = ()) -> Iterator[tuple[str, str, Any]]:
    """Give column, kind and value of everything below an object, without nulls."""
    for key, value in item.items():
        below = (*path, key)
        if isinstance(value, dict) and len(below) <= DEEPEST:
            if any(inner is not None for inner in value.values()):
                yield from walk(value, below)
            else:
                yield name_of(below), "json", "{}"
        elif value is not None:
            yield name_of(below), *_classify(value)


def to_json(value: object) -> str:
    """Write a value as compact JSON text, the same for equal values."""
    return _compact(json.dumps(value).encode())


def _compact(text: bytes) -> str:
    try:
        return msgspec.json.encode(_read_any(text)).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return json.dumps(json.loads(text), separators=(",", ":"))


def _classify(value: object) -> tuple[str, Any]:
    match value:
        case bool():
            return "boolean", value
        case int() if value in _INT64:
            return "integer", value
        case float() if math.isfinite(value):
            return "number", value
        case str() if value.isascii() or not SURROGATE.search(value):
            return "text", value
    return "json", to_json(value)


def _items(chunk: bytes, lines: int) -> list[_Text]:
    """Cut a chunk into the texts of its activities."""
    try:
        documents = _split_documents(chunk)
        lists = [_split_list(doc) if memoryview(doc)[:1] == b"[" else [doc] for doc in documents]
        items = [raw for raws in lists for raw in raws]
        # looking for the word first spares the activities from being read twice
        if b'"items"' in chunk:
            items = [raw for text in items for raw in _page_items(text)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        documents = _read_by_python(chunk, lines)
        return [json.dumps(item).encode() for document in documents for item in _unpack(document)]
    return items


def _page_items(text: msgspec.Raw) -> list[msgspec.Raw]:
    if memoryview(text)[:1] == b"{":
        page = _read_page(text)
        if page.id is None and page.items is not msgspec.UNSET:
            return page.items or []
    return [text]


def _unpack(document: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    for item in document if isinstance(document, list) else [document]:
        if isinstance(item, dict) and item.get("id") is None and "items" in item:
            if not isinstance(item["items"], list | None):
                raise FlattenError(f"the `items` of a page are no list: {to_json(item)[:80]}")
            yield from item["items"] or ()
        else:
            yield item


def _read_by_python(chunk: bytes, lines: int) -> list[Any]:
    """Read what msgspec does not, or say where it is no JSON."""
    rows = [(i, row) for i, row in enumerate(chunk.splitlines(), lines + 1) if row.strip()]
    try:
        return [_loads(chunk, f"line {lines + 1} and below")]
    except FlattenError:
        # one document that is broken, or lines of which one is broken?
        try:
            json.loads(rows[0][1] if len(rows) > 1 else b"")
        except (ValueError, RecursionError):
            only_lines = False
        else:
            only_lines = True
        if not only_lines:
            raise
        return [_loads(row, f"line {i}") for i, row in rows]


def _loads(text: bytes, where: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FlattenError(f"this is not JSON: {error} ({where})") from error


def _add_batch(found: Decoded, texts: list[_Text]) -> None:
    if not texts:
        return
    first = found.rows
    found.rows += len(texts)
    # thousands of small objects are made and dropped here, none of them in a cycle
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        everywhere = Spots(np.arange(first, found.rows), np.arange(len(texts)))
        _add_level(found, (), texts, everywhere) or _add_walked(found, (), texts, everywhere)
        if not _all_have_ids(found, first):
            found.refused += _refusals(texts, first)
    except (ValueError, RecursionError):
        for position, text in enumerate(texts, start=first):
            _loads(bytes(text), f"item {position}")
        raise
    finally:
        if was_enabled:
            gc.enable()


def _all_have_ids(found: Decoded, first: int) -> bool:
    pieces = found.columns.get("id", {}).get("integer", [])
    last = pieces[-1] if pieces else None
    return (
        last is not None
        and last.spots.rows[0] == first
        and len(last.spots.rows) == found.rows - first
        and last.values.null_count == 0
    )


def _refusals(texts: list[_Text], first: int) -> Iterator[str]:
    for position, text in enumerate(texts, start=first):
        item = json.loads(bytes(text))
        if not isinstance(item, dict):
            yield f"{position} ({type(item).__name__})"
        elif _classify(item.get("id"))[0] != "integer":
            # never the values: they may be secrets; but what the service calls an error is shown
            about = {key: item[key] for key in ("id", "domain", "code", "reason") if key in item}
            yield f"{position} ({to_json(about)}, keys {', '.join(map(repr, item))[:120]})"


def _add_level(
    found: Decoded, path: _Path, texts: Sequence[_Text], spots: Spots, group: object = None
) -> bool:
    """Add the objects at one path: their single values, then what is nested in them.

    False, and nothing is added, when they have to be looked at one by one.
    """
    shape = found.shape(path, group)
    rows = shape.read(texts) if len(path) <= DEEPEST else None
    if rows is None:
        return False
    columns = list(zip(*rows, strict=True))
    # activities of one type have the same keys in their context
    types = dict(zip(shape.is_nested, columns, strict=True)).get("type")
    for key, name, values in zip(shape.is_nested, shape.names, columns, strict=True):
        if shape.is_nested[key]:
            groups = types if path == () and key == "context" else None
            _add_nested(found, (*path, key), values, spots, groups)
        else:
            found.add_scalars(name, values, spots)
    return True


def _add_nested(
    found: Decoded,
    path: _Path,
    raws: Sequence[_Text | None],
    spots: Spots,
    groups: Sequence[object] | None,
) -> None:
    """Add what is nested at one path, the same text only once where that pays."""
    if path in found.unlike:
        texts, codes = raws, np.arange(len(raws))
    else:
        all_texts = [None if raw is None else bytes(raw) for raw in raws]
        numbers = {text: i for i, text in enumerate(dict.fromkeys(all_texts))}
        texts, codes = list(numbers), np.fromiter(map(numbers.get, all_texts), np.int64, len(raws))
        if len(texts) > max(100, len(raws) // 2):
            found.unlike.add(path)
        groups = groups and [*dict(zip(all_texts, groups, strict=True)).values()]
    members: dict[object, list[int]] = {}
    for i, (text, group) in enumerate(zip(texts, groups or repeat(None))):
        if text is not None:
            members.setdefault(group, []).append(i)
    for group, chosen in members.items():
        part = [texts[i] for i in chosen]
        below = _below(spots, codes, chosen, len(texts))
        _add_level(found, path, part, below, group) or _add_singly(found, path, part, below, group)


def _add_singly(
    found: Decoded, path: _Path, texts: Sequence[_Text], spots: Spots, group: object
) -> None:
    """Add what is nested at one path when not all of it are objects with something in them."""
    objects: list[int] = []
    others: list[int] = []
    texts = [*map(bytes, texts)]
    for i, text in enumerate(texts):
        if text[:1] == b"{" and len(path) <= DEEPEST and not _is_void(text):
            objects.append(i)
        elif text != b"null":
            others.append(i)
    everything = np.arange(len(texts))
    if objects:
        part = [texts[i] for i in objects]
        below = _below(spots, everything, objects, len(texts))
        _add_level(found, path, part, below, group) or _add_walked(found, path, part, below)
    if others:
        cells = [_classify_text(texts[i], path) for i in others]
        found.add_cells(name_of(path), cells, _below(spots, everything, others, len(texts)))


def _add_walked(found: Decoded, path: _Path, texts: Sequence[_Text], spots: Spots) -> None:
    cells: dict[tuple[str, str], tuple[list[int], list[Any]]] = {}
    objects = [list(walk(json.loads(bytes(text)), path)) for text in texts]
    for row, pick in zip(spots.rows.tolist(), spots.picks.tolist(), strict=True):
        for name, kind, value in objects[pick]:
            rows, values = cells.setdefault((name, kind), ([], []))
            rows.append(row)
            values.append(value)
    for (name, kind), (rows, values) in cells.items():
        found.add(name, kind, values, Spots(np.array(rows), np.arange(len(rows))))


def _below(spots: Spots, codes: _Indices, chosen: Sequence[int], n: int) -> Spots:
    """Find the rows of some of ``n`` texts, given the rows of the objects that they stand in.

    Object ``i`` holds text ``codes[i]``; the chosen texts are numbered anew.
    """
    number = np.full(n, -1)
    number[chosen] = np.arange(len(chosen))
    picks = number[codes[spots.picks]]
    here = picks >= 0
    return Spots(spots.rows[here], picks[here])


def _is_void(text: bytes) -> bool:
    if b'"' in text and b"null" not in text:
        return False
    return all(value is None for value in json.loads(text).values())


def _classify_text(text: bytes, path: _Path) -> tuple[str, Any]:
    if text[:1] == b"{":
        return "json", _compact(text) if len(path) > DEEPEST else "{}"
    if text[:1] == b"[":
        return "json", _compact(text)
    return _classify(json.loads(text))
