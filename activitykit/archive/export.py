"""Archived rows as one plain Parquet file, for programs that know nothing of an archive."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from activitykit.archive import rows
from activitykit.archive.conditions import beyond_core, candidates
from activitykit.archive.scan import batches
from activitykit.files import replacing
from activitykit.filters import Filter
from activitykit.flatten import flatten_pages

if TYPE_CHECKING:
    from deltalake import DeltaTable

_KEY: Final = b"activitykit.export"
_ROWS_PER_GROUP: Final = 100_000
_INNER: Final = {"month", rows.MISFIT}
COLUMNS: Final = [
    name for name in rows.FIELDS.names if name not in _INNER and not name.endswith(rows.BEYOND)
]
"""What an exported file holds."""


def write(table: "DeltaTable", path: Path, where: Filter | None, notes: Mapping[str, Any]) -> int:
    """Write the rows of a filter, as `Archive.export` says; give their number."""
    import pyarrow.parquet as pq

    about = {_KEY: json.dumps(dict(notes), sort_keys=True).encode()}
    schema = pa.schema([rows.FIELDS.field(name) for name in COLUMNS], metadata=about)
    found = batches(candidates(table, where), rows.FIELDS.names)
    chosen = found if where is None else (_selected(batch, where) for batch in found)
    written = 0
    # snappy is what every reader of Parquet knows
    with replacing(path) as file, pq.ParquetWriter(file, schema, compression="snappy") as writer:
        for part in _gathered(batch.select(COLUMNS) for batch in chosen):
            writer.write_table(part.cast(schema))
            written += len(part)
    return written


def _selected(batch: Any, where: Filter) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Keep the candidates that the filter selects; put together those for which it has to be."""
    doubtful = pa.array([True] * len(batch), pa.bool_())
    if not any(map(beyond_core, where.criteria())):
        doubtful = batch[rows.MISFIT]
    found = pc.invert(doubtful)
    # ids are those of a data centre
    for url in batch["base_url"].unique():
        here = pc.and_(doubtful, pc.equal(batch["base_url"], url))
        df = flatten_pages(rows.to_pages(pa.Table.from_batches([batch.filter(here)])))
        ids = pa.array(where.select(df)["id"].to_numpy())
        found = pc.or_(found, pc.and_(here, pc.is_in(batch["id"], ids)))
    return batch.filter(found)


def _gathered(found: Iterable[Any]) -> Iterator[Any]:
    """Join batches to tables of many rows, since each becomes a part of the file of its own."""
    waiting: list[Any] = []
    for batch in found:
        waiting += [batch] if len(batch) else []
        if sum(map(len, waiting)) >= _ROWS_PER_GROUP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)
