"""The front door: activities from the service, a file or a list -> a frame."""

import codecs
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import pyarrow as pa

from activitykit.errors import ArchiveError, ConfigError, FlattenError, IncompleteError
from activitykit.filters import Filter
from activitykit.flatten import flatten, flatten_pages
from activitykit.progress import bar
from activitykit.schema import ATTRS

if TYPE_CHECKING:
    import pandas as pd

    from activitykit.client import Client

_COMPRESSION: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BLOCK: Final = 8_000_000
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_read_one = msgspec.json.Decoder(msgspec.Raw).decode


def load(
    source: "Client | str | PathLike[str] | Iterable[Mapping[str, Any]]",
    where: Filter | None = None,
    *,
    workers: int = 4,
    partial: bool = False,
    progress: bool = True,
) -> "pd.DataFrame":
    """Load activities into a frame, wherever they are.

    Parameters
    ----------
    source
        A client; a file of JSON, plain or compressed by gzip or zstd whatever its name, or with
        the ending .parquet for a snapshot; the folder of an archive, or its URL in an object
        store; or activities as dicts. A JSON file may hold pages, lists, activities, or one of
        those per line.
    where
        Which activities; all by default. The same filter gives the same rows from every source.
    workers
        How many requests to the service may be under way at a time.
    partial
        Return what has been fetched when the service breaks off, with a warning and
        ``complete: False`` in the notes, instead of raising.
    progress
        Show a bar when it takes longer than a second.

    Returns
    -------
    pandas.DataFrame
        As `flatten` describes it.

    Raises
    ------
    IncompleteError
        When the walk over the pages broke off; its ``partial`` is the frame so far.
    FlattenError
        When a file is empty, damaged, no JSON, or holds something that is no activity.
    ConfigError, SnapshotError, ArchiveError
        When there is no such file, it cannot be read, or the source is something else, such as an
        open file or a frame.

    Warns
    -----
    UserWarning
        When ``partial`` is set and the load is incomplete.

    Examples
    --------
    >>> load([{"id": 7, "type": "Download"}, {"id": 8}], Filter(type="Download"))["id"].tolist()
    [7]
    """
    if isinstance(source, str | PathLike):
        return _load_path(source, where, progress=progress)
    if hasattr(source, "pages"):
        return _load_service(
            cast("Client", source), where, workers=workers, partial=partial, progress=progress
        )
    # iterating over an open file would give its lines, over a frame the names of its columns
    no_items = hasattr(source, "read") or hasattr(source, "columns") or isinstance(source, bytes)
    if no_items or not isinstance(source, Iterable):
        raise ConfigError(
            f"cannot load from {type(source).__name__}; load takes a client, the path of a file or"
            " of an archive (give the path instead of the open file), or activities as dicts."
            " A frame is loaded already: use Filter.select on it"
        )
    return _finish(flatten([source] if isinstance(source, Mapping) else source), "items", where)


def _finish(frame: "pd.DataFrame", source: str, where: Filter | None) -> "pd.DataFrame":
    frame.attrs[ATTRS] |= {"source": source, "filter": None if where is None else repr(where)}
    return frame if where is None else where.select(frame).reset_index(drop=True)


def _load_service(
    client: "Client", where: Filter | None, *, workers: int, partial: bool, progress: bool
) -> "pd.DataFrame":
    broken: list[IncompleteError] = []

    def pages() -> Generator[bytes, None, None]:
        try:
            yield from client.pages(where, workers=workers, progress=progress)
        except IncompleteError as error:
            broken.append(error)

    # closed at once when Ctrl-C comes here, or the workers would go on in the background
    with closing(pages()) as source:
        frame = _finish(flatten_pages(source), client.base_url, where)
    if not broken:
        return frame
    [error] = broken
    frame.attrs[ATTRS]["complete"] = False
    if not partial:
        error.partial = frame
        raise error
    warnings.warn(f"this load is incomplete: {error}", stacklevel=3)
    return frame


def _load_path(
    source: "str | PathLike[str]", where: Filter | None, *, progress: bool
) -> "pd.DataFrame":
    from activitykit.archive import Archive, is_archive

    if is_archive(source):
        return Archive(source).read(where)
    path = Path(source)
    if path.is_dir():
        raise ArchiveError(f"{path} is a folder, but no archive; give a file, or sync an archive")
    if not path.exists():
        raise ConfigError(f"there is no file {path}; check the name")
    if path.suffix.lower() == ".parquet":
        from activitykit.snapshot import read_snapshot

        return read_snapshot(path, where=where)
    try:
        return _finish(flatten_pages(_chunks(path, progress=progress)), path.name, where)
    except FlattenError as error:
        raise FlattenError(f"{path}: {error}") from error
    except OSError as error:
        raise FlattenError(f"{path} cannot be read: {error}. Fetch or export it again.") from error


def _chunks(path: Path, *, progress: bool) -> Iterator[bytes]:
    """Read a file block by block; whole where it is not one JSON document per line."""
    with pa.OSFile(str(path)) as file:
        # the first bytes know better than the name
        start = file.read(4)
        file.seek(0)
        compression = next(
            (of for magic, of in _COMPRESSION.items() if start.startswith(magic)), None
        )
        stream = pa.CompressedInputStream(file, compression) if compression else file
        with bar(path.name, unit="B", total=file.size(), shown=progress) as so_far:
            block = stream.read(_BLOCK)
            if not block.strip():
                raise FlattenError("the file is empty")
            if not _starts_with_a_line(block):
                yield _utf8(block + stream.read())
                return
            while block:
                so_far.update(file.tell() - so_far.n)
                more = stream.read(_BLOCK)
                cut = block.rfind(b"\n") + 1 if more else len(block)
                if cut:
                    yield block[:cut]
                block = block[cut:] + more


def _starts_with_a_line(block: bytes) -> bool:
    line, newline, _ = block.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")
    try:
        _read_one(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return bool(newline)


def _utf8(text: bytes) -> bytes:
    # Windows PowerShell writes UTF-16
    return text.decode("utf-16").encode() if text.startswith(_UTF16) else text
