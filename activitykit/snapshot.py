"""A frame as one Parquet file, written all or nothing, with its provenance; and back."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import pyarrow as pa

from activitykit.errors import ConfigError, SnapshotError
from activitykit.files import replacing
from activitykit.filters import PATHS, Filter
from activitykit.flatten.times import TIMESTAMP
from activitykit.moments import to_timestamp
from activitykit.schema import ATTRS, CORE, SCHEMA_VERSION, require

if TYPE_CHECKING:
    import pandas as pd

_KEY: Final = b"activitykit"
_BLOCK: Final = 2**22
_ROWS_PER_GROUP: Final = 100_000
_SAMPLE: Final = 20_000
_PLAIN: Final = {
    pa.int64(): "BYTE_STREAM_SPLIT", TIMESTAMP: "BYTE_STREAM_SPLIT",
    pa.large_string(): "DELTA_LENGTH_BYTE_ARRAY",
}  # fmt: skip


def write_snapshot(
    df: "pd.DataFrame", path: str | PathLike[str], *, mask: bool | str | bytes = False
) -> Path:
    """Write a frame to one Parquet file that holds everything, its notes and types included.

    The file appears complete or not at all: a crash leaves the old one. Equal frames give equal
    files with the same versions of the libraries. Rows are sorted by ``id``, which is nearly the
    order of time, so that reading an interval leaves out most of it. The index is not kept. A text
    that only repeats a number, as ``idString`` does ``id``, is not in the file, and there again
    when it is read.

    Parameters
    ----------
    df
        Activities.
    path
        Where to write; an existing file is replaced.
    mask
        Replace names, hosts, users, paths, and the ids of tenants, resources, plans and agents by
        pseudonyms, for sharing: in their columns and wherever they occur in titles, errors and the
        context. A key (text or bytes, at least 16) gives the same pseudonyms in every file masked
        with it; keep it secret, since who has it can test guesses. It is never stored. True takes a
        random key, which nobody knows afterwards. Types, states, results, error codes, times, sizes
        and the numbers of activities and tasks stay, so statistics give the same numbers. A name
        that stands in a sentence only, without quotes, and looks like any other word, cannot be
        known for one: look at the texts before you share them.

    Returns
    -------
    pathlib.Path
        Where the file is.

    Raises
    ------
    ConfigError
        When the name does not end in .parquet, or the key for masking is too short.
    SnapshotError
        When the folder is missing or cannot be written, or a column cannot be stored or masked.

    Examples
    --------
    >>> import activitykit as ak, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ak.write_snapshot(ak.flatten([{"id": 7}]), pathlib.Path(folder) / "a.parquet")
    ...     ak.read_snapshot(path)["id"].tolist()
    [7]
    """
    path = Path(path)
    if path.suffix.lower() != ".parquet":
        raise ConfigError(f"a snapshot is a Parquet file: let {path.name} end in .parquet")
    if mask is not False:
        from activitykit.masking import masked

        df = masked(df, None if mask is True else mask)
    try:
        with replacing(path) as file:
            _write(df, file)
    except (OSError, pa.ArrowException, TypeError, ValueError) as error:
        raise SnapshotError(f"the snapshot {path} cannot be written: {error}") from error
    return path


def read_snapshot(
    path: str | PathLike[str],
    *,
    columns: Iterable[str] | None = None,
    where: Filter | None = None,
) -> "pd.DataFrame":
    """Read a snapshot: the same frame that was written, sorted by ``id``.

    Parameters
    ----------
    path
        A file of `write_snapshot`.
    columns
        Which columns, in this order; all by default.
    where
        Which rows; all by default. Parts of the file that cannot hold any are not read.

    Returns
    -------
    pandas.DataFrame
        With the types and the notes (``df.attrs``) of the frame that was written.

    Raises
    ------
    SnapshotError
        When the file is missing, damaged, no snapshot, or written by a newer activitykit.
    SchemaError
        When a wanted column is not in the file.
    """
    import pyarrow.parquet as pq

    path = Path(path)
    try:
        with path.open("rb") as file:
            meta = pq.read_metadata(file)
            about = _provenance(path, meta.metadata or {})
            order, repeats = _columns(meta.schema.to_arrow_schema()), about["repeats"]
            names = _needed(order, columns, where)
            whole = len(names) == len(order) and where is None
            if whole and _hash_of(file) != about["content_hash"]:
                raise SnapshotError(f"the snapshot {path} is damaged; write or fetch it again")
            file.seek(0)
            table = pq.read_table(
                file, columns=list(dict.fromkeys(repeats.get(name, name) for name in names)),
                filters=_bounds(where), page_checksum_verification=not whole,
            )  # fmt: skip
        for name in repeats.keys() & set(names):
            table = table.append_column(name, table[repeats[name]].cast(pa.large_string()))
    except FileNotFoundError as error:
        raise SnapshotError(f"there is no snapshot {path}") from error
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, SnapshotError):
            raise
        raise SnapshotError(f"the snapshot {path} cannot be read: {error}") from error
    df: pd.DataFrame = table.select(names).to_pandas()
    if len(df) != about["rows"] and where is None:
        raise SnapshotError(
            f"the snapshot {path} is damaged: it lacks rows; write or fetch it again"
        )
    if where is not None:
        df = where.select(df).reset_index(drop=True)
    return df if columns is None else df[list(columns)]


class _Hashed:
    """A file to write to that keeps a hash of what went through."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()

    def tell(self) -> int:
        return self.file.tell()


def _write(df: "pd.DataFrame", file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    # the order of notes must not change the bytes
    notes = json.loads(json.dumps(df.attrs, sort_keys=True))
    if "id" in df.columns and not df["id"].is_monotonic_increasing:
        df = df.sort_values("id", kind="stable")
    df = df.copy(deep=False)
    df.attrs = notes
    # one chunk per column, since the cuts between chunks would show in the file
    table = pa.Table.from_pandas(df, preserve_index=False).combine_chunks()
    repeats = _repeats(table)
    table = table.drop_columns(list(repeats))
    sink = _Hashed(file)
    with pq.ParquetWriter(
        sink, table.schema, version="2.6", write_page_checksum=True, compression="zstd",
        **_encodings(table),
    ) as writer:  # fmt: skip
        writer.write_table(table, row_group_size=_ROWS_PER_GROUP)
        about = {
            "package_version": version("activitykit"),
            "schema_version": SCHEMA_VERSION,
            "rows": len(df),
            "columns": len(df.columns),
            "repeats": repeats,
            "content_hash": sink.hash.hexdigest(),
            **{
                key: notes.get(ATTRS, {}).get(key)
                for key in ("source", "filter", "complete", "coverage", "masked")
            },
        }
        writer.add_key_value_metadata({_KEY: json.dumps(about, sort_keys=True)})


def _repeats(table: Any) -> dict[str, str]:  # noqa: ANN401 - Arrow is untyped
    """Find the columns of text that repeat a column of numbers: text -> number."""
    found = {}
    for field in table.schema:
        number = field.name.removesuffix("String")
        if (
            number != field.name and number in table.schema.names
            and pa.types.is_large_string(field.type)
            and pa.types.is_int64(table.schema.field(number).type)
            and table[number].cast(pa.large_string()).equals(table[field.name])
        ):  # fmt: skip
            found[field.name] = number
    return found


def _encodings(table: Any) -> dict[str, Any]:  # noqa: ANN401
    """Choose how each column is written: by dictionary, unless most of its values differ.

    What differs compresses best when the bytes of numbers stand place by place, and texts without
    their lengths between them; a higher level would find nothing more to repeat there.
    """
    import pyarrow.compute as pc

    sample, plain = table.slice(0, _SAMPLE), {}
    for field in table.schema:
        there = len(sample) - sample[field.name].null_count
        distinct = pc.count_distinct(sample[field.name], mode="only_valid").as_py()
        if field.type in _PLAIN and distinct > there / 4:
            plain[field.name] = _PLAIN[field.type]
    return {
        "use_dictionary": [name for name in table.schema.names if name not in plain],
        "column_encoding": plain,
        "compression_level": {name: 1 if name in plain else 6 for name in table.schema.names},
    }


def _hash_of(file: IO[bytes]) -> str:
    """Hash what stands before the footer, as the writer did."""
    size = file.seek(-8, os.SEEK_END)
    footer = int.from_bytes(file.read(4), "little")
    file.seek(0)
    found, left = hashlib.sha256(), size - footer
    while block := file.read(min(left, _BLOCK)):
        found.update(block)
        left -= len(block)
    return found.hexdigest()


def _provenance(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise SnapshotError(
            f"{path} is a Parquet file, but no snapshot of activitykit; read it with"
            " pandas.read_parquet"
        )
    try:
        about: dict[str, Any] = json.loads(metadata[_KEY])
        complete = about.keys() >= {"schema_version", "rows", "repeats", "content_hash"}
    except (ValueError, AttributeError):
        complete = False
    if not complete:
        raise SnapshotError(
            f"the snapshot {path} is damaged: it does not say what it holds; fetch it again"
        )
    if about["schema_version"] > SCHEMA_VERSION:
        raise SnapshotError(
            f"{path} was written by activitykit {about['package_version']} with version"
            f" {about['schema_version']} of the columns, newer than version {SCHEMA_VERSION} of"
            " this installation; upgrade with: pip install --upgrade activitykit"
        )
    return about


def _columns(schema: Any) -> list[str]:  # noqa: ANN401
    """Name the columns of the frame, in its order; the file may lack some."""
    return [column["name"] for column in json.loads(schema.metadata[b"pandas"])["columns"]]


def _needed(available: list[str], columns: Iterable[str] | None, where: Filter | None) -> list[str]:
    """Name the columns to read: the wanted ones, and those that the filter looks at."""
    if columns is None:
        return available
    wanted = list(columns)
    require(available, wanted, "this selection of columns")
    looked_at = PATHS | {column.name for column in CORE} if where is not None else frozenset()
    return [name for name in available if name in wanted or name in looked_at]


def _bounds(where: Filter | None) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Give the interval of time as an expression, by which Arrow leaves out parts of the file."""
    import pyarrow.compute as pc

    if where is None:
        return None
    # as Arrow scalars, because a Timestamp would lose its nanoseconds on the way
    since, until = (
        moment and pa.scalar(to_timestamp(moment).value, TIMESTAMP)
        for moment in (where.since, where.until)
    )
    at = pc.field(where.on)
    if since is not None and until is not None:
        return (at >= since) & (at < until)
    if since is not None:
        return at >= since
    return None if until is None else at < until
