"""Pieces of columns -> one Arrow array per column, once all of the load is known.

Which rows stay, which type a column has, and which columns are too many: nothing of it depends on
the order in which the activities arrived.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.filters import PATHS as FILTERED
from activitykit.flatten.decode import ARROW_TYPE, Decoded, Piece, Positions, Spots
from activitykit.flatten.derive import PATHS as DERIVED_FROM
from activitykit.flatten.documents import to_json
from activitykit.flatten.names import RAW, REST, TIMES
from activitykit.flatten.times import TIMESTAMP, read_times
from activitykit.schema import CORE

WIDEST: Final = 512
"""Columns beyond the core; in a wider load the rarest go to ``context_rest``."""

CORE_TYPE: Final = {
    column.name: TIMESTAMP if column.kind == "time" else ARROW_TYPE.get(column.kind, pa.int64())
    for column in CORE
}

_EXAMPLES: Final = 10
# more would hold more columns twice at a time, for little
_THREADS: Final = 2
# memory is given back whenever so much of the frame is made; doing it more often costs time
_RELEASED: Final = 32_000_000

Kinds = dict[str, list[Piece]]


def rows_to_keep(found: Decoded, notes: dict[str, Any]) -> Positions:
    """Give the rows of the frame in its order: activities, by id, the latest copy of each."""
    ids = _of_kind(found.columns, "id", "integer", found.rows).to_numpy()
    kept = np.flatnonzero(~_tasks(found)).astype(np.int32)
    notes["tasks_left_out"] = found.rows - len(kept)
    kept = kept[np.argsort(ids[kept], kind="stable")]
    if not (ids[kept][1:] == ids[kept][:-1]).any():
        return kept
    updated = _of_kind(found.columns, "updatedAt", "text", found.rows)
    moments = read_times(updated)[0].cast(pa.int64()).fill_null(-(2**63)).to_numpy()
    kept = kept[np.lexsort((moments[kept], ids[kept]))]
    same = ids[kept][1:] == ids[kept][:-1]
    tied = same & (moments[kept][1:] == moments[kept][:-1])
    kept = _order_ties(found, kept, tied)
    copies = ids[kept][:-1][same]
    notes["duplicates"] = {"n": len(copies), "example_ids": _examples(np.unique(copies))}
    latest: Positions = kept[np.append(~same, True)]
    return latest


def _tasks(found: Decoded) -> npt.NDArray[np.bool_]:
    """Tell tasks from activities; all False when there are only tasks."""
    has = {
        key: np.zeros(found.rows, dtype=bool)
        for key in ("queue", "enqueuedAt", "taskId", "createdAt")
    }
    for key, held in has.items():
        for pieces in found.columns.get(key, {}).values():
            for piece in pieces:
                held[piece.spots.rows[_is_valid(piece)]] = True
    tasks = (has["queue"] | has["enqueuedAt"]) & ~(has["taskId"] | has["createdAt"])
    return tasks & ~tasks.all()


def _is_valid(piece: Piece) -> npt.NDArray[np.bool_]:
    """Tell which rows of a piece hold a value."""
    valid: npt.NDArray[np.bool_] = piece.cells.is_valid().to_numpy(zero_copy_only=False)
    return valid[piece.spots.picks]


def _order_ties(found: Decoded, kept: Positions, tied: npt.NDArray[np.bool_]) -> Positions:
    """Order copies of the same moment by what they hold, so that arrival plays no part."""
    at = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
    columns = _placed(found.columns, kept[at], found.rows)
    held: list[list[str]] = [[] for _ in at]
    for name in sorted(columns):
        for kind, pieces in sorted(columns[name].items()):
            values = _gather(pieces, len(at), kind).to_pylist()
            for cells, value in zip(held, values, strict=True):
                if value is not None:
                    cells.append(f"{name} {kind} {value!r}")
    run = np.cumsum(~np.append(False, tied))[at]
    order = sorted(range(len(at)), key=lambda i: (run[i], held[i]))
    kept = kept.copy()
    kept[at] = kept[at][order]
    return kept


def _placed(columns: Mapping[str, Kinds], rows: Positions, n_rows: int) -> dict[str, Kinds]:
    """Give the pieces with the rows numbered as in the frame, without those that are not in it."""
    place = np.full(n_rows, -1, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)

    # the columns of an object share their spots
    @cache
    def placed(spots: Spots) -> Spots:
        at = place[spots.rows]
        here = at >= 0
        return Spots(at, spots.picks) if here.all() else Spots(at[here], spots.picks[here])

    return {
        name: {
            kind: [Piece(placed(spots), cells) for spots, cells in pieces]
            for kind, pieces in kinds.items()
        }
        for name, kinds in columns.items()
    }


def _gather(pieces: list[Piece], n: int, kind: str) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Put the values of one kind into the order of their rows."""
    if not pieces:
        return pa.nulls(n, ARROW_TYPE[kind])
    index = np.full(n, -1, np.int32)
    offset = 0
    for spots, cells in pieces:
        index[spots.rows] = spots.picks + np.int32(offset)
        offset += len(cells)
    cells = pa.concat_arrays([piece.cells for piece in pieces])
    return cells.take(pa.array(index, mask=index < 0))


def _of_kind(columns: Mapping[str, Kinds], name: str, kind: str, n: int) -> Any:  # noqa: ANN401
    return _gather(columns.get(name, {}).get(kind, []), n, kind)


def _gathered(columns: dict[str, Kinds], n: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Take the columns by name, in order, their values by kind."""

    def gather(name: str) -> dict[str, Any]:
        # popped, so that no column is in memory twice for long
        values = {kind: _gather(p, n, kind) for kind, p in sorted(columns.pop(name).items())}
        return {kind: array for kind, array in values.items() if array.null_count < n}

    names, size = sorted(columns), 0
    # Arrow copies without holding the interpreter's lock
    with ThreadPoolExecutor(_THREADS) as pool:
        for name, values in zip(names, pool.map(gather, names), strict=True):
            yield name, values
            size += sum(array.nbytes for array in values.values())
            if size > _RELEASED:
                # else small pieces that lie between others would stay with us till the end
                pa.default_memory_pool().release_unused()
                size = 0


def resolve(found: Decoded, rows: Positions, notes: dict[str, Any]) -> dict[str, Any]:
    """Give every column one Arrow array, with the types that the whole load allows."""
    arrays: dict[str, Any] = {}
    columns, n = _placed(found.columns, rows, found.rows), len(rows)
    found.columns.clear()
    if rare := _rarest(columns):
        arrays[REST] = _rest({name: columns.pop(name) for name in rare}, n)
        notes["rest_columns"] = sorted(rare)
        notes["json_columns"].append(REST)
    ids = _of_kind(columns, "id", "integer", n)
    for name, values in _gathered(columns, n):
        if name in TIMES and values:
            arrays[name], raw = _split_times(name, values, ids, notes)
            if raw:
                arrays[name + RAW] = _one_kind(name + RAW, raw, ids, notes)
        elif values:
            arrays[name] = _one_kind(name, values, ids, notes)
    return {name: pa.nulls(n, of) for name, of in CORE_TYPE.items()} | arrays


def _split_times(
    name: str,
    found: dict[str, Any],
    ids: Any,  # noqa: ANN401
    notes: dict[str, Any],
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


def _rarest(columns: Mapping[str, Kinds]) -> list[str]:
    """Name the columns that are too many, sparing those that a filter looks at."""
    beyond = [name for name in columns if name not in CORE_TYPE]
    if len(beyond) <= WIDEST:
        return []
    counts = {name: _count(columns[name]) for name in beyond}
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


def _count(kinds: Kinds) -> int:
    return sum(int(_is_valid(piece).sum()) for pieces in kinds.values() for piece in pieces)


def _rest(columns: Mapping[str, Kinds], n: int) -> Any:  # noqa: ANN401
    """Write columns as one JSON object per row: column name -> value."""
    cells: list[list[str]] = [[] for _ in range(n)]
    for name in sorted(columns):
        for kind, pieces in columns[name].items():
            for spots, values in pieces:
                held = _as_json(kind, values).to_pylist()
                for row, pick in zip(spots.rows.tolist(), spots.picks.tolist(), strict=True):
                    if held[pick] is not None:
                        cells[row].append(f"{to_json(name)}:{held[pick]}")
    texts = [f"{{{','.join(row)}}}" if row else None for row in cells]
    return pa.array(texts, pa.large_string())
