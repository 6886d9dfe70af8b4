"""JSON bytes -> columns of single values, before anything is decided about their types.

Activities are decoded many at a time by structs that learn their keys as they come: one for the
activity, and one for the context of each type of activity. A column is a path; what was found there
is kept apart by kind (text, integer, number, boolean, JSON text), so nothing is converted, and
nothing depends on the order of arrival, until all is known.

`walk` says in a few lines what must come out. It does the work where msgspec cannot (lone
surrogates, numbers beyond 64-bit floats, odd or very many keys), and the tests hold the fast way
against it.
"""

import gc
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from activitykit.documents import Text, compact, items_in, loads, opens, to_json
from activitykit.errors import FlattenError
from activitykit.names import SURROGATE, name_of
from activitykit.shapes import CONTEXT, DEEPEST, Path, Shape

ARROW_TYPE: Final = {
    "text": pa.large_string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "json": pa.large_string(),
}

# how much JSON is decoded together: enough to be fast, little enough to be small in memory
_BATCH_BYTES: Final = 8_000_000
# for more types of activity than that, they share a struct
_MAX_SHAPES: Final = 1_000
_INT64: Final = range(-(2**63), 2**63)
_NONE: Final = type(None)
# a kind, and what values have to be for it; Arrow itself refuses what is no text
_STRICT_KINDS: Final = (
    ("text", None),
    ("integer", {int, _NONE}),
    ("number", {float, _NONE}),
    ("boolean", {bool, _NONE}),
)

Positions = npt.NDArray[np.int64]


class Spots(NamedTuple):
    """Where things belong: row ``rows[i]`` of the load holds thing number ``picks[i]``."""

    rows: Positions
    picks: Positions


class Piece(NamedTuple):
    """Values of one kind in one column, for some of the rows."""

    spots: Spots
    cells: Any


@dataclass(slots=True)
class Decoded:
    """What the chunks held: pieces by column and kind, and how much there was."""

    columns: dict[str, dict[str, list[Piece]]] = field(default_factory=dict)
    rows: int = 0
    pages: int = 0
    refused: list[str] = field(default_factory=list)
    shapes: "dict[tuple[Path, object], Shape]" = field(default_factory=dict)

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

    def shape(self, path: Path, group: object) -> "Shape":
        """Give what is known of the objects at a path; each group of them has its own."""
        key = (path, group if len(self.shapes) < _MAX_SHAPES else None)
        if key not in self.shapes:
            self.shapes[key] = Shape(path)
        return self.shapes[key]


def decode(chunks: Iterable[bytes]) -> Decoded:
    """Decode chunks of JSON: pages, lists of activities, single activities, or lines of those.

    Raises
    ------
    FlattenError
        When a chunk is no JSON, or holds something that is no activity.
    """
    found = Decoded()
    batch: list[Text] = []
    size = lines = 0
    for chunk in chunks:
        found.pages += 1
        batch += items_in(chunk, lines)
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


def walk(item: dict[str, Any], path: Path = ()) -> Iterator[tuple[str, str, Any]]:
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


def _add_batch(found: Decoded, texts: list[Text]) -> None:
    if not texts:
        return
    first = found.rows
    found.rows += len(texts)
    # thousands of small objects are made and dropped here, none of them in a cycle
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        everywhere = Spots(np.arange(first, found.rows), np.arange(len(texts)))
        root = found.shape((), None)
        objects = root.read(texts)
        if objects is not None:
            _add_objects(found, root, objects, everywhere)
        elif all(opens(text, b"{") for text in texts):
            _add_walked(found, (), texts, everywhere)
        if not _all_have_ids(found, first):
            found.refused += _refusals(texts, first)
    except (ValueError, RecursionError):
        for position, text in enumerate(texts, start=first):
            loads(bytes(text), f"item {position}")
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
        and last.cells.null_count == 0
    )


def _refusals(texts: list[Text], first: int) -> Iterator[str]:
    for position, text in enumerate(texts, start=first):
        item = json.loads(bytes(text))
        if not isinstance(item, dict):
            yield f"{position} ({type(item).__name__})"
        elif _classify(item.get("id"))[0] != "integer":
            # never the values: they may be secrets; but what the service calls an error is shown
            about = {key: item[key] for key in ("id", "domain", "code", "reason") if key in item}
            yield f"{position} ({to_json(about)}, keys {', '.join(map(repr, item))[:120]})"


def _add_objects(found: Decoded, shape: Shape, objects: Sequence[Any], spots: Spots) -> None:
    """Add the objects at one path: their single values, then what is nested in them."""
    rows = [*map(msgspec.structs.astuple, objects)]
    columns = list(zip(*rows, strict=True))
    types = _by_type(shape, columns) if shape.path == () else None
    for (key, known), name, values in zip(shape.fields.items(), shape.names, columns, strict=True):
        if isinstance(known, Shape):
            chosen = [i for i, value in enumerate(values) if value is not None]
            if not chosen:
                continue
            inner = [values[i] for i in chosen]
            _add_objects(found, known, inner, _below(spots, chosen, len(rows)))
        elif known != "raw":
            found.add_scalars(name, values, spots)
        elif (path := (*shape.path, key)) == CONTEXT and types:
            _add_contexts(found, values, types, spots)
        else:
            _add_raws(found, path, values, spots)
    if shape.path and (void := _void_rows(shape, rows, columns)):
        found.add(name_of(shape.path), "json", ["{}"] * len(void), _below(spots, void, len(rows)))


def _by_type(shape: Shape, columns: Sequence[Sequence[Any]]) -> Sequence[Any] | None:
    at = list(shape.fields).index("type") if shape.fields.get("type") == "scalar" else None
    return None if at is None else columns[at]


def _void_rows(
    shape: Shape, rows: Sequence[tuple[Any, ...]], columns: Sequence[Sequence[Any]]
) -> list[int]:
    """Find the objects that hold nothing, or only nulls."""
    for known, values in zip(shape.fields.values(), columns, strict=True):
        if known != "raw" and None not in values:
            return []  # by far the most usual case, and quickly seen
    return [
        i
        for i, row in enumerate(rows)
        if all(v is None or (isinstance(v, msgspec.Raw) and bytes(v) == b"null") for v in row)
    ]


def _add_contexts(
    found: Decoded, raws: Sequence[msgspec.Raw | None], types: Sequence[Any], spots: Spots
) -> None:
    members: dict[Any, list[int]] = {}
    for i, (kind, raw) in enumerate(zip(types, raws, strict=True)):
        if raw is not None:
            members.setdefault(kind, []).append(i)
    for kind, chosen in members.items():
        part = [raw for i in chosen if (raw := raws[i]) is not None]
        shape = found.shape(CONTEXT, kind)
        below = _below(spots, chosen, len(raws))
        objects = shape.read(part)
        if objects is None:
            _add_raws(found, CONTEXT, part, below)
        else:
            _add_objects(found, shape, objects, below)


def _add_raws(found: Decoded, path: Path, raws: Sequence[Text | None], spots: Spots) -> None:
    """Add values of any kinds at one path, every distinct text once."""
    texts = [b"null" if raw is None else bytes(raw) for raw in raws]
    numbers = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    codes = np.array([numbers[text] for text in texts])
    spots = Spots(spots.rows, codes[spots.picks])
    chosen = [
        i
        for i, text in enumerate(numbers)
        if text[:1] == b"{" and len(path) <= DEEPEST and not _is_void(text)
    ]
    distinct = [*numbers]
    if chosen:
        part = [distinct[i] for i in chosen]
        _add_walked(found, path, part, _below(spots, chosen, len(distinct)))
    cells = [None if text == b"null" else _classify_text(text, path) for text in distinct]
    for i in chosen:
        cells[i] = None
    found.add_cells(name_of(path), cells, spots)


def _add_walked(found: Decoded, path: Path, texts: Sequence[Text], spots: Spots) -> None:
    cells: dict[tuple[str, str], tuple[list[int], list[Any]]] = {}
    objects = [list(walk(json.loads(bytes(text)), path)) for text in texts]
    for row, pick in zip(spots.rows.tolist(), spots.picks.tolist(), strict=True):
        for name, kind, value in objects[pick]:
            rows, values = cells.setdefault((name, kind), ([], []))
            rows.append(row)
            values.append(value)
    for (name, kind), (rows, values) in cells.items():
        found.add(name, kind, values, Spots(np.array(rows), np.arange(len(rows))))


def _below(spots: Spots, chosen: Sequence[int], n: int) -> Spots:
    """Find the rows of what is in some of ``n`` objects; the chosen ones are numbered anew."""
    if len(chosen) == n:
        return spots
    number = np.full(n, -1)
    number[chosen] = np.arange(len(chosen))
    picks = number[spots.picks]
    here = picks >= 0
    return Spots(spots.rows[here], picks[here])


def _is_void(text: bytes) -> bool:
    if b'"' in text and b"null" not in text:
        return False
    return all(value is None for value in json.loads(text).values())


def _classify_text(text: bytes, path: Path) -> tuple[str, Any]:
    if text[:1] == b"{":
        return "json", compact(text) if len(path) > DEEPEST else "{}"
    if text[:1] == b"[":
        return "json", compact(text)
    return _classify(json.loads(text))
