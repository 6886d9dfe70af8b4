"""The two Delta Lake tables of an archive, and the one kind of commit to each.

A commit of rows replaces those of a month that changed, and adds those that are new. It succeeds
only when nothing else was committed since they were compared, and is tried again on the new state
otherwise. So syncs may run side by side, or be killed: a commit is there or not.

(The library's own merge would do, but what it writes, Arrow cannot filter by text.)
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from activitykit.archive import ledger, rows
from activitykit.errors import ActivityKitError, ArchiveError, ConfigError
from activitykit.moments import Moment, format_time, to_timestamp

if TYPE_CHECKING:
    from deltalake import DeltaTable, WriterProperties

VERSION: Final = 1
"""Raised when the tables change so that older releases cannot read them."""

ACTIVITIES, LEDGER = "activities", "ledger"

_NAME: Final = "activitykit"
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_FIELDS: Final = {ACTIVITIES: (rows.FIELDS, ["month"]), LEDGER: (ledger.FIELDS, None)}
# Delta Lake forgets old states sooner by default; only `Archive.vacuum` shall decide
_REMEMBERED: Final = {
    "delta.logRetentionDuration": "interval 365 days",
    "delta.deletedFileRetentionDuration": "interval 365 days",
    # a commit names the rows that it replaces, so there is much to read between checkpoints
    "delta.checkpointInterval": "10",
}
_OPERATIONS: Final = {
    "CREATE TABLE": "create", "WRITE": "sync", "OPTIMIZE": "compact",
    "VACUUM START": "vacuum", "VACUUM END": "vacuum",
}  # fmt: skip
HISTORY: Final = ["version", "time", "operation", "added", "updated", *ledger.SCOPE, "kind",
                  "since", "until"]  # fmt: skip
# more would make the commit slower
_SPANS: Final = 32
_LONG, _LISTED = 100, 1000
# what is read at once at least: more would need more memory, and leave out less
_ROWS_PER_GROUP: Final = 100_000
_GROWING: Final = ("id", "taskId", "createdAt", "startedAt", "updatedAt", "completedAt")
_DISTINCT: Final = ("uuid", "duration_s")
_ATTEMPTS, _PATIENCE_S, _LONGEST_WAIT_S = 20, 300.0, 5.0

Span = tuple[int, int]
"""First and last id of a run."""


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Where the tables are, and how to get there."""

    root: str
    options: dict[str, str] = field(repr=False)

    @property
    def shown(self) -> str:
        """The place without what may be a secret in its URL."""
        parts = urlsplit(self.root)
        if "://" not in self.root or not (parts.username or parts.query):
            return self.root
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()

    @property
    def folder(self) -> str:
        """The place as a path, or as the URL of an object store."""
        parts = urlsplit(self.root)
        return Path(url2pathname(parts.path)).as_posix() if parts.scheme == "file" else self.root

    def create(self) -> None:
        """Create what is not there yet."""
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError

        with self.told("create"):
            if "://" not in self.folder:
                Path(self.folder).mkdir(parents=True, exist_ok=True)
            elif other := self._held() - {ACTIVITIES, LEDGER}:
                # a local folder is looked at before anything is asked of it
                raise ArchiveError(
                    f"{self.shown} is no archive, it holds {min(other)}; give a new or empty folder"
                )
            for name, (fields, by) in _FIELDS.items():
                if not DeltaTable.is_deltatable(f"{self.root}/{name}", self.options):
                    # of several first syncs at once, one is the first
                    with suppress(CommitFailedError):
                        DeltaTable.create(
                            f"{self.root}/{name}", fields, mode="ignore", partition_by=by,
                            name=_NAME, description=f"{name}, version {VERSION}",
                            configuration=_REMEMBERED, storage_options=self.options,
                        )  # fmt: skip

    def _held(self) -> set[str]:
        """Name what an object store holds at this place, unless there are tables already."""
        from deltalake import DeltaTable
        from deltalake.fs import DeltaStorageHandler
        from pyarrow import fs

        if DeltaTable.is_deltatable(f"{self.root}/{ACTIVITIES}", self.options):
            return set()
        store = fs.PyFileSystem(DeltaStorageHandler(self.root, self.options))
        here = fs.FileSelector("", recursive=False, allow_not_found=True)
        return {info.base_name for info in store.get_file_info(here)}

    def open(self, name: str, version: int | None = None) -> "DeltaTable":
        """Open a table in its latest state, or in an earlier one.

        Raises
        ------
        ArchiveError
            When it is not there, is none of ours, or of a newer release.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        with self.told("open"):
            try:
                table = DeltaTable(
                    f"{self.root}/{name}", version=version, storage_options=self.options
                )
            except TableNotFoundError as error:
                raise ArchiveError(
                    f"there is no archive at {self.shown}; the first sync creates it"
                ) from error
            about = table.metadata()
        if about.name != _NAME:
            raise ArchiveError(f"{name} in {self.shown} is a table, but not of an archive")
        if int((about.description or "0").rpartition(" ")[2]) > VERSION:
            raise ArchiveError(f"{self.shown} is of a newer release; upgrade activitykit")
        return table

    def dataset(self) -> Any:  # noqa: ANN401 - Arrow is untyped
        """Open the archived rows as an Arrow dataset."""
        with self.told("open"):
            return self.open(ACTIVITIES).to_pyarrow_dataset()

    def state(
        self, version: int | None = None, at: Moment | None = None
    ) -> tuple["DeltaTable", pd.DataFrame]:
        """Open the rows as they were, the latest by default, with what was known about them.

        An entry of the ledger holds for the version that it was written after, and all later ones.

        Raises
        ------
        ConfigError
            When both are given.
        ArchiveError
            When there is no such version, or none at that time, any more.
        """
        if version is not None and at is not None:
            raise ConfigError("give a version or a time, not both")
        moment = None if at is None else to_timestamp(at)
        if version is not None or moment is not None:
            version = self._kept(version, moment)
        # the rows first: entries that are added after this are of later versions
        table, entries = self.open(ACTIVITIES, version), self.entries()
        known = entries["version"] <= table.version()
        if moment is not None:
            known &= entries["fetched_at"] <= moment
        return table, entries[known]

    def _kept(self, version: int | None, moment: pd.Timestamp | None) -> int:
        past = self.history()
        found = past[past["version"] == version] if moment is None else past[past["time"] <= moment]
        if found.empty:
            asked = f"version {version}" if moment is None else f"state of {format_time(moment)}"
            raise ArchiveError(
                f"{self.shown} has no {asked}; it goes back to version {past['version'].min()} of"
                f" {format_time(past['time'].min())}, as history() lists"
            )
        return int(found["version"].max())

    def history(self) -> pd.DataFrame:
        """Give the commits to the rows, as `Archive.history` says."""
        table = self.open(ACTIVITIES)
        with self.told("read"):
            commits = [
                json.loads(commit.get(_NAME, "{}"))
                | {
                    "version": commit["version"],
                    "time": pd.Timestamp(commit["timestamp"], unit="ms", tz="UTC"),
                    "operation": _OPERATIONS.get(commit["operation"], commit["operation"].lower()),
                }
                for commit in reversed(table.history())
            ]
        return ledger.table(commits, HISTORY)

    def entries(self, scope: Sequence[str] | None = None) -> pd.DataFrame:
        """Give the ledger, or its entries of one scope."""
        with self.told("read"):
            found: pd.DataFrame = self.open(LEDGER).to_pyarrow_table().to_pandas()
        if scope is not None:
            found = found[(found[ledger.SCOPE] == list(scope)).all(axis=1)]
        return found

    def note(self, entry: dict[str, Any]) -> None:
        """Add an entry to the ledger."""
        from deltalake import write_deltalake

        with self.told("sync"):
            entry = entry | {"version": self.open(ACTIVITIES).version()}
            line = pa.Table.from_pylist([entry], schema=ledger.FIELDS)
            write_deltalake(self.open(LEDGER), line, mode="append")

    def upsert(self, fresh: Any, about: Mapping[str, Any] | None = None) -> int:  # noqa: ANN401
        """Commit the rows that are new, or newer than what is stored; give their number.

        One commit for each month at least, so that no more than a part of a month is in memory.
        What is said about them goes into the history.
        """
        months = sorted(fresh["month"].unique().to_pylist())
        return sum(
            self._upsert(month, fresh.filter(pc.field("month") == month), about or {})
            for month in months
        )

    def _upsert(self, month: str, fresh: Any, about: Mapping[str, Any]) -> int:  # noqa: ANN401
        from deltalake.exceptions import CommitFailedError

        with self.told("sync"):
            again = Retrying(
                retry=retry_if_exception_type(CommitFailedError),
                stop=stop_after_attempt(_ATTEMPTS) | stop_after_delay(_PATIENCE_S),
                wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_WAIT_S),
                reraise=True,
            )
            committed, more = 0, True
            while more:
                n, more = again(lambda: _commit(self.open(ACTIVITIES), month, fresh, about))
                committed += n
        return committed

    @contextmanager
    def told(self, verb: str) -> Iterator[None]:
        """Say where it happened; never show what the options hold."""
        from deltalake.exceptions import CommitFailedError, DeltaError

        try:
            yield
        except ActivityKitError:
            raise
        except CommitFailedError as error:
            raise ArchiveError(
                f"cannot {verb} {self.shown}: other syncs kept committing at the same time; nothing"
                " is lost, run it again"
            ) from error
        except (DeltaError, OSError, pa.ArrowException) as error:
            # the library tells a story of several lines, in colours
            why = " ".join(_COLOUR.sub("", str(error)).split()).replace(self.root, self.shown)
            for secret in self.options.values():
                why = why.replace(secret, "***") if len(secret) > 3 else why
            if isinstance(error, FileNotFoundError):
                why += "; vacuum deletes the files of earlier states, and nothing else does"
            raise ArchiveError(f"cannot {verb} {self.shown}: {why}") from None


def writing() -> "WriterProperties":
    """Say how files are written: small ones, of which little has to be read.

    Where nearly every value differs, a dictionary would only add to them; ids and times are stored
    as differences, which every reader of Parquet knows.
    """
    from deltalake import ColumnProperties, WriterProperties

    differences = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
    plain = ColumnProperties(dictionary_enabled=False)
    return WriterProperties(
        compression="ZSTD", compression_level=6, max_row_group_size=_ROWS_PER_GROUP,
        column_properties={
            **dict.fromkeys(_GROWING, differences), **dict.fromkeys(_DISTINCT, plain),
        },
    )  # fmt: skip


def _commit(
    table: "DeltaTable",
    month: str,
    fresh: Any,  # noqa: ANN401
    about: Mapping[str, Any],
) -> tuple[int, bool]:
    """Commit news of a month; give their number, and whether there are more than one commit takes.

    The library rewrites the files in which rows are replaced, row by row; only what replaces them
    and what it is compared to is in memory here.
    """
    from deltalake import CommitProperties, write_deltalake

    dataset = table.to_pyarrow_dataset(file_pruning_predicate=f"month = '{month}'")
    url = fresh["base_url"][0].as_py()
    same = (pc.field("month") == month) & (pc.field("base_url") == url)
    listed = pc.field("id").isin(fresh["id"].combine_chunks())
    stored = dataset.to_table(filter=same & _within(_spans(fresh)) & listed)
    news, more, which = _news(fresh, stored).sort_by("id"), False, ""
    if not len(news):
        return 0, False
    if len(stored):
        ids = dataset.to_table(["id"], filter=same)["id"].to_numpy()
        n, which = _named(news["id"].to_numpy(), ids)
        news, more = news.slice(0, n), n < len(news)
    updated = pc.sum(pc.is_in(news["id"], stored["id"].combine_chunks())).as_py()
    told = {**about, "added": len(news) - updated, "updated": updated}
    # without the library's own retries, any other commit in between makes this one fail
    strictly = CommitProperties(
        max_commit_retries=0, custom_metadata={_NAME: json.dumps(told, default=str)}
    )
    if updated:
        mine = url.replace("'", "''")
        which = f"month = '{month}' AND base_url = '{mine}' AND {which}"
        write_deltalake(
            table, news, mode="overwrite", predicate=which,
            commit_properties=strictly, writer_properties=writing(),
        )  # fmt: skip
    else:
        write_deltalake(
            table, news, mode="append", commit_properties=strictly, writer_properties=writing()
        )
    return len(news), more


def _named(ids: Any, stored: Any) -> tuple[int, str]:  # noqa: ANN401 - arrays of numpy
    """Name sorted ids in SQL, but no other stored ones; give how many of them, the first ones.

    Long runs are named by their ends, others id by id: too many names would overflow the stack of
    the library, and make its log long.
    """
    run = np.searchsorted(np.setdiff1d(stored, ids), ids)
    _, first, lengths = np.unique(run, return_index=True, return_counts=True)
    long = lengths >= _LONG
    alone = np.repeat(~long, lengths)
    share = np.where(alone, 1 / _LISTED, 0.0)
    share[first[long]] = 1 / _SPANS
    n = int(np.searchsorted(np.cumsum(share), 1 + 1e-9))
    runs = long & (first < n)
    starts, ends = ids[first[runs]], ids[(first + lengths - 1)[runs]]
    names = [f"id BETWEEN {a} AND {b}" for a, b in zip(starts, ends, strict=True)]
    if singles := ids[:n][alone[:n]].tolist():
        names.append(f"id IN ({', '.join(map(str, singles))})")
    # the ends of all leave out files
    return n, f"id BETWEEN {ids[0]} AND {ids[n - 1]} AND ({' OR '.join(names)})"


def _spans(table: Any) -> list[Span]:  # noqa: ANN401
    """Give a few runs of ids, cut where the gaps between them are widest."""
    ids = np.sort(table["id"].to_numpy())
    cuts = np.sort(np.argsort(np.diff(ids))[1 - _SPANS :]) + 1
    return [(int(part[0]), int(part[-1])) for part in np.split(ids, cuts)]


def _within(spans: Sequence[Span]) -> Any:  # noqa: ANN401
    inside, number = pc.scalar(False), pc.field("id")
    for first, last in spans:
        inside |= (number >= first) & (number <= last)
    return inside


def _news(fresh: Any, stored: Any) -> Any:  # noqa: ANN401
    """Give the rows that are not stored, or stored in an older or another state."""
    at = pc.index_in(fresh["id"], stored["id"])
    before = stored.take(at)
    changed = pa.array(np.zeros(len(fresh), dtype=bool))
    for name in fresh.schema.names:
        new, old = fresh[name], before[name]
        unlike = pc.fill_null(pc.not_equal(new, old), pc.xor(new.is_null(), old.is_null()))
        changed = pc.or_(changed, unlike)
    latest = pc.greater_equal(_moments(fresh), _moments(before))
    return fresh.filter(pc.or_(at.is_null(), pc.and_(changed, latest)))


def _moments(table: Any) -> Any:  # noqa: ANN401
    """Give ``updatedAt`` in nanoseconds; what has none is older than all else."""
    micros = pc.multiply(table["updatedAt"].cast(pa.int64()), 1000)
    return pc.fill_null(pc.add(micros, table["updatedAt" + rows.BEYOND]), -(2**63))
