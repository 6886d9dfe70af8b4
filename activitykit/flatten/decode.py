"""JSON bytes -> columns of single values, before anything is decided about their types.

Activities are decoded many at a time by a struct that learns their keys as they come. Objects in
them (tenant, resource, result, …) repeat a lot: they stay raw text at first, and each distinct text
is read once, in the same way, level by level. Contexts are read by type of activity, as these have
their keys in common. A column is a path; what was found there is kept apart by kind (text, integer,
number, boolean, JSON text), so nothing is converted, and nothing depends on the order of arrival,
until all is known.

`walk` says in a few lines what must come out. It does the work where msgspec cannot (lone
surrogates, numbers beyond 64-bit floats, odd or very many keys), and the tests hold the fast way
against it.
"""

import contextlib
import gc
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from activitykit.errors import FlattenError
from activitykit.flatten.documents import Text, compact, items_in, loads, to_json
from activitykit.flatten.names import SURROGATE, name_of
from activitykit.flatten.shapes import CONTEXT, DEEPEST, Columns, Path, Shape

ARROW_TYPE: Final = {
    "text": pa.large_string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "json": pa.large_string(),
}

# how much JSON is decoded together: many objects at a time, but no more than the processor's cache
# holds while they become columns
_BATCH_BYTES: Final = 1_000_000
# longer pages are cut up, so that little of them is in memory as objects
_LARGEST_PAGE: Final = 16 * _BATCH_BYTES
# how much text of all paths and types together may wait to be read
_MOST_ASIDE: Final = 32 * _BATCH_BYTES
# for more types of activity than that, they share a struct
_MAX_SHAPES: Final = 1_000
_INT64: Final = range(-(2**63), 2**63)
_NONE: Final = type(None)
_TOLD: Final = ("id", "domain", "code", "reason", "message")
# a kind, and what values have to be for it; Arrow itself refuses what is no text
_STRICT_KINDS: Final = (
    ("text", None),
    ("integer", {int, _NONE}),
    ("number", {float, _NONE}),
    ("boolean", {bool, _NONE}),
)

Positions = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """Where things belong: row ``rows[i]`` of the load holds thing number ``picks[i]``."""

    rows: Positions
    picks: Positions


class Piece(NamedTuple):
    """Values of one kind in one column, for some of the rows."""

    spots: Spots
    cells: Any


@dataclass(slots=True)
class Aside:
    """Values at one path, put aside as JSON text, and where they stood."""

    texts: list[bytes] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=lambda: defaultdict(count().__next__))
    spots: list[Spots] = field(default_factory=list)
    size: int = 0

    def add(self, values: Iterable[msgspec.Raw], spots: Spots) -> None:
        """Add texts that hardly repeat."""
        known = len(self.texts)
        self.texts += map(bytes, values)
        self._add(self.texts[known:], Spots(spots.rows, spots.picks + np.int32(known)))

    def add_repeated(self, values: Iterable[msgspec.Raw], spots: Spots) -> None:
        """Add texts, of which every distinct one is kept once."""
        known = len(self.numbers)
        # no JSON text holds a zero byte, and cutting is faster than one `bytes` each
        each = b"\0".join(values).split(b"\0")
        codes = np.fromiter(map(self.numbers.__getitem__, each), np.int32, len(each))
        new = islice(reversed(self.numbers), len(self.numbers) - known)
        self._add(new, Spots(spots.rows, codes[spots.picks]))

    def _add(self, new: Iterable[bytes], spots: Spots) -> None:
        self.size += sum(map(len, new))
        self.spots.append(spots)


@dataclass(slots=True)
class Decoded:
    """What the chunks held: pieces by column and kind, and how much there was."""

    columns: dict[str, dict[str, list[Piece]]] = field(default_factory=dict)
    rows: int = 0
    pages: int = 0
    lines: int = 0
    refused: list[str] = field(default_factory=list)
    shapes: dict[tuple[Path, object], Shape] = field(default_factory=dict)
    aside: dict[tuple[Path, object], Aside] = field(default_factory=dict)

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

    def shape(self, path: Path, group: object) -> Shape:
        """Give what is known of the objects at a path; each group of them has its own."""
        key = (path, group if len(self.shapes) < _MAX_SHAPES else None)
        if key not in self.shapes:
            self.shapes[key] = Shape(path)
        return self.shapes[key]

    def put_aside(
        self, path: Path, group: object, values: Iterable[msgspec.Raw], spots: Spots
    ) -> None:
        """Keep values at one path as JSON text, to be read together with others."""
        aside = self.aside.setdefault((path, group), Aside())
        (aside.add if path == CONTEXT else aside.add_repeated)(values, spots)
        if aside.size >= _BATCH_BYTES:
            _add_aside(self, path, group)


def decode(chunks: Iterable[bytes]) -> Decoded:
    """Decode chunks of JSON: pages, lists of activities, single activities, or lines of those.

    Raises
    ------
    FlattenError
        When a chunk is no JSON, or holds something that is no activity.
    """
    found = Decoded()
    batch: list[bytes] = []
    size = 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= _BATCH_BYTES:
            _add_chunks(found, batch)
            batch, size = [], 0
            if sum(aside.size for aside in found.aside.values()) > _MOST_ASIDE:
                _add_all_aside(found)
    _add_chunks(found, batch)
    _add_all_aside(found)
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


def _add_chunks(found: Decoded, chunks: Sequence[bytes]) -> None:
    """Add what is in chunks: all pages, as the service sends them, or anything."""
    found.pages += len(chunks)
    root = found.shape((), None)
    with collector_paused():
        is_small = sum(map(len, chunks)) <= _LARGEST_PAGE
        columns = root.read_chunks(chunks) if is_small else None
        if columns is not None and _are_ids(ids := root.of("id", columns)):
            _add_columns(found, root, columns, None, _next_rows(found, len(ids)))
            found.lines += sum(map(_count_lines, chunks))
            return
        for chunk in chunks:
            texts = items_in(chunk, found.lines)
            found.lines += _count_lines(chunk)
            step = max(1, len(texts) * _BATCH_BYTES // (len(chunk) + 1))
            for start in range(0, len(texts), step):
                _add_activities(found, texts[start : start + step])


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python from looking for cycles of garbage meanwhile."""
    # thousands of small objects are made and dropped, none of them in a cycle
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _next_rows(found: Decoded, n: int) -> Spots:
    found.rows += n
    return Spots(np.arange(found.rows - n, found.rows, dtype=np.int32), _numbers(n))


def _numbers(n: int) -> Positions:
    return np.arange(n, dtype=np.int32)


def _count_lines(chunk: bytes) -> int:
    # most pages are one line, and looking for one is faster than counting
    return chunk.count(b"\n") if b"\n" in chunk else 0


def _are_ids(values: Sequence[Any]) -> bool:
    return {*map(type, values)} == {int} and min(values) in _INT64 and max(values) in _INT64


def _add_activities(found: Decoded, texts: Sequence[Text]) -> None:
    root = found.shape((), None)
    spots = _next_rows(found, len(texts))
    columns = root.read(texts)
    if columns is not None and _are_ids(root.of("id", columns)):
        _add_columns(found, root, columns, None, spots)
    elif refused := [*_refusals(texts, int(spots.rows[0]))]:
        found.refused += refused
    else:
        _add_walked(found, (), texts, spots)


def _refusals(texts: Sequence[Text], first: int) -> Iterator[str]:
    for position, text in enumerate(texts, start=first):
        item = loads(bytes(text), f"item {position}")
        if not isinstance(item, dict):
            yield f"{position} ({type(item).__name__})"
        elif _classify(item.get("id"))[0] != "integer":
            # never the values: they may be secrets; but what the service calls an error is shown
            told = inner if isinstance(inner := item.get("error"), dict) else item
            about = {key: told[key] for key in _TOLD if key in told}
            yield f"{position} ({to_json(about)}, keys {', '.join(map(repr, item))[:120]})"


def _add_columns(
    found: Decoded, shape: Shape, columns: Columns, group: object, spots: Spots
) -> None:
    """Add single values, and put what is nested aside."""
    for (key, nested), name, values in zip(shape.nested.items(), shape.names, columns, strict=True):
        path = (*shape.path, key)
        if not nested:
            found.add_scalars(name, values, spots)
        elif path == CONTEXT:
            for kind, chosen in _by_type(shape, columns, len(values)).items():
                part = [values[i] for i in chosen]
                found.put_aside(path, kind, part, Spots(spots.rows[chosen], _numbers(len(chosen))))
        else:
            found.put_aside(path, group, values, spots)


def _by_type(root: Shape, columns: Columns, n: int) -> dict[object, list[int]]:
    members: dict[object, list[int]] = {}
    for i, kind in enumerate([None] * n if root.nested.get("type") else root.of("type", columns)):
        members.setdefault(kind, []).append(i)
    return members


def _add_all_aside(found: Decoded) -> None:
    with collector_paused():
        while found.aside:
            _add_aside(found, *next(iter(found.aside)))


def _add_aside(found: Decoded, path: Path, group: object) -> None:
    """Read what was put aside, which may put aside what is nested in it in turn."""
    aside = found.aside.pop((path, group))
    texts = aside.texts or [*aside.numbers]
    rows = np.concatenate([spots.rows for spots in aside.spots])
    picks = np.concatenate([spots.picks for spots in aside.spots])
    try:
        _add_texts(found, path, group, texts, Spots(rows, picks))
    except (ValueError, RecursionError):
        for i, text in enumerate(texts):
            loads(text, f"item {rows[picks == i].min()}")
        raise


def _add_texts(
    found: Decoded, path: Path, group: object, texts: Sequence[bytes], spots: Spots
) -> None:
    """Add values of any kinds at one path."""
    chosen: Sequence[int] = range(len(texts))
    # mostly all are objects
    if len(path) > DEEPEST or {*map(itemgetter(0), texts)} != {ord("{")}:
        chosen = [i for i in chosen if texts[i][:1] == b"{" and len(path) <= DEEPEST]
    if chosen:
        part = texts if len(chosen) == len(texts) else [texts[i] for i in chosen]
        _add_objects(found, path, group, part, _below(spots, chosen, len(texts)))
    if len(chosen) < len(texts):
        others = sorted({*range(len(texts))} - {*chosen})
        cells = [_classify_text(texts[i]) for i in others]
        found.add_cells(name_of(path), cells, _below(spots, others, len(texts)))


def _add_objects(
    found: Decoded, path: Path, group: object, texts: Sequence[bytes], spots: Spots
) -> None:
    shape = found.shape(path, group)
    columns = shape.read(texts)
    void = _void_rows(shape, columns, texts)
    if void:
        found.add(name_of(path), "json", ["{}"] * len(void), _below(spots, void, len(texts)))
    if columns is None:
        _add_walked(found, path, texts, spots)
    else:
        _add_columns(found, shape, columns, group, spots)


def _void_rows(shape: Shape, columns: Columns | None, texts: Sequence[bytes]) -> list[int]:
    """Find the objects that hold nothing, or only nulls."""
    if columns is not None:
        for nested, values in zip(shape.nested.values(), columns, strict=True):
            if not nested and None not in values:
                return []  # by far the most usual case, and quickly seen
    return [i for i, text in enumerate(texts) if _is_void(text)]


def _is_void(text: bytes) -> bool:
    if b'"' in text and b"null" not in text:
        return False
    return all(value is None for value in json.loads(text).values())


def _add_walked(found: Decoded, path: Path, texts: Sequence[Text], spots: Spots) -> None:
    cells: dict[tuple[str, str], tuple[list[int], list[Any]]] = {}
    objects = [list(walk(json.loads(bytes(text)), path)) for text in texts]
    for row, pick in zip(spots.rows.tolist(), spots.picks.tolist(), strict=True):
        for name, kind, value in objects[pick]:
            rows, values = cells.setdefault((name, kind), ([], []))
            rows.append(row)
            values.append(value)
    for (name, kind), (rows, values) in cells.items():
        found.add(name, kind, values, Spots(np.array(rows, np.int32), _numbers(len(rows))))


def _below(spots: Spots, chosen: Sequence[int], n: int) -> Spots:
    """Find the rows of what is in some of ``n`` objects; the chosen ones are numbered anew."""
    if len(chosen) == n:
        return spots
    number = np.full(n, -1, np.int32)
    number[chosen] = _numbers(len(chosen))
    picks = number[spots.picks]
    here = picks >= 0
    return Spots(spots.rows[here], picks[here])


def _classify_text(text: bytes) -> tuple[str, Any] | None:
    if text == b"null":
        return None
    if text[:1] in (b"{", b"["):
        return "json", compact(text)
    return _classify(json.loads(text))
