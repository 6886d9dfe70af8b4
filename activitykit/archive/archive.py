"""`Archive`: what users see of the archive."""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from activitykit.archive import care, centres, export, ledger, narrow, rows, sync
from activitykit.archive.conditions import candidates
from activitykit.archive.scan import Engine, opened
from activitykit.archive.tables import ACTIVITIES, LEDGER, Tables
from activitykit.errors import ArchiveError, ConfigError
from activitykit.filters import Filter
from activitykit.flatten import flatten_pages
from activitykit.moments import Moment, format_time
from activitykit.progress import bar
from activitykit.schema import ATTRS, require

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from activitykit.client import Client


# deltalake 1.6 panics over them
_UNWRITABLE: Final = frozenset("[]^|\\")


class Archive:
    """Activities kept for good, in a folder or an object store.

    Parameters
    ----------
    path
        A folder, created by the first sync; or the URL of one in an object store, such as
        ``s3://bucket/acronis``.
    storage_options
        Settings and credentials of the object store, as the ``deltalake`` package takes them. Never
        shown.

    Raises
    ------
    ConfigError
        When the package ``deltalake`` is not installed.
    ArchiveError
        When the folder holds something else.

    Examples
    --------
    >>> Archive("history")
    Archive('history')
    """

    def __init__(
        self, path: str | os.PathLike[str], *, storage_options: dict[str, str] | None = None
    ) -> None:
        try:
            import deltalake  # noqa: F401 - said at once rather than at the first sync
        except ImportError as error:
            raise ConfigError(
                "an archive needs deltalake: pip install 'activitykit[archive]'"
            ) from error
        root = os.fspath(path).rstrip("/")
        self._tables = Tables(root=root, options=dict(storage_options or {}))
        if "://" not in self._tables.folder:
            _refuse_other(Path(self._tables.folder))

    def __repr__(self) -> str:
        return f"Archive({self._tables.shown!r})"

    # -- syncing -----------------------------------------------------------------------------------

    def sync(
        self,
        client: "Client",
        where: Filter | None = None,
        *,
        workers: int = 4,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Bring the archive up to date with the service.

        The first sync walks back over ``createdAt``, the newest first, in slices that are each kept
        as soon as they are fetched. Later ones ask for what changed since the last, and for all
        that was not finished then, and go on with slices that are still missing. Run it as often
        as you like, at least every 90 days: nothing is stored twice. It may be killed at any moment
        and run again: at most one slice is fetched again. Reads the clock.

        Parameters
        ----------
        client
            Access to the service. Several tenants and data centres can share an archive; ids are
            told apart by the client's base URL, so keep to one for each data centre.
        where
            Keep only these activities. Its interval must be one of ``createdAt``; what matched once
            is followed until it is finished.
        workers
            How many requests may be under way at a time.
        progress
            Show a bar when it takes longer than a second.

        Returns
        -------
        pandas.DataFrame
            What was done, one row per step: ``kind`` (slice, update, or older: what the service
            still held from more than 90 days ago), ``since``, ``until`` (the interval of
            ``createdAt`` that is now covered), ``rows`` (activities seen in it), ``changed``
            (activities that were new or had changed), ``fetched_at``.

        Raises
        ------
        ApiError
            When the service failed. What had arrived is kept, and noted as partial.
        ArchiveError
            When the archive cannot be written, or other syncs kept committing at the same time.
        """
        where = where or Filter()
        if where.on != "createdAt" and (where.since is not None or where.until is not None):
            raise ConfigError(f"an archive is synced over createdAt, not {where.on}")
        scope = (client.base_url, client.own_tenant(), ledger.condition(where))
        self._tables.create()
        with bar("archive", unit=" rows", shown=progress) as so_far:
            run = sync.Run(
                tables=self._tables, client=client, where=where, scope=scope,
                workers=workers, bar=so_far, now=sync.clock(),
            )  # fmt: skip
            done = list(sync.steps(run))
        return ledger.table(done, ["kind", "since", "until", "rows", "changed", "fetched_at"])

    # -- reading -----------------------------------------------------------------------------------

    def coverage(
        self,
        where: Filter | None = None,
        *,
        version: int | None = None,
        at: Moment | None = None,
    ) -> pd.DataFrame:
        """Tell which time is covered, from which tenant.

        Parameters
        ----------
        where
            Cut to its interval of ``createdAt``; its other conditions play no part.
        version, at
            As it was known of an earlier state, see `read`.

        Returns
        -------
        pandas.DataFrame
            One row per scope and stretch of ``createdAt``: ``base_url``, ``tenant`` (UUID of the
            tenant that the API client saw), ``filter`` (what was asked for, as Python text),
            ``since`` (missing: the beginning), ``until``, ``status``, ``fetched_at`` (start of the
            latest fetch), ``rows`` (seen by the fetches that begin in the stretch). Status is
            ``complete`` (fetched to the last page), ``partial`` (a fetch broke off, or the time
            lies further back than the 90 days that the service keeps) or ``unknown`` (nobody
            asked: a gap). Time after the last ``until`` is unknown as well.

        Raises
        ------
        ArchiveError
            When there is no archive.
        """
        return ledger.coverage(self._tables.state(version, at)[1], where)

    def history(self) -> pd.DataFrame:
        """List the states of the archive, which `read` can go back to.

        Returns
        -------
        pandas.DataFrame
            One row per commit of rows, the oldest first: ``version``, ``time``, ``operation``
            (create, sync, compact, vacuum), ``added`` and ``updated`` (activities that were new,
            and that had changed), and of the step of the sync that they came with: ``base_url``,
            ``tenant``, ``filter``, ``kind``, ``since``, ``until`` (see `sync`). What does not
            apply is missing. Commits of more than a year ago are forgotten.

        Raises
        ------
        ArchiveError
            When there is no archive, or it cannot be read.

        Notes
        -----
        A step is committed month by month, so within a sync a state may hold a part of a step. The
        coverage of `read` tells what each state is known to hold.
        """
        return self._tables.history()

    def read(
        self,
        where: Filter | None = None,
        *,
        columns: Iterable[str] | None = None,
        version: int | None = None,
        at: Moment | None = None,
    ) -> pd.DataFrame:
        """Read activities into a frame, as `load` would have given them.

        Only the months, files and rows that may match are read.

        Parameters
        ----------
        where
            Which activities; all by default.
        columns
            Which columns, in this order; all by default. Core and derived columns alone are read
            many times faster, and in a fraction of the memory.
        version
            Read an earlier state, one that `history` lists, as long as `vacuum` left its files.
        at
            Read the state of that time, and the coverage as it was known then. Spans such as "7d"
            count back from the clock.

        Returns
        -------
        pandas.DataFrame
            As `flatten` describes it, exact to the nanosecond; where activities of different data
            centres have the same id, all of them are there. The notes in
            ``df.attrs["activitykit"]`` also have ``version``, the state that was read, which reads
            the same rows again; ``coverage``, the lines of `coverage` in the interval of ``where``
            as known of that state; and ``complete``, False when one of them has a gap.

        Raises
        ------
        ConfigError
            When both ``version`` and ``at`` are given.
        ArchiveError
            When there is no archive, no such state any more, or it cannot be read.
        SchemaError
            When a wanted column is not there.
        """
        table, notes = self._opened(where, version, at)
        names = None if columns is None else list(columns)
        with self._tables.told("read"):
            dataset = candidates(table, where)
            df: pd.DataFrame | None = None
            if centres.may_meet(table) and centres.do_meet(dataset):
                df = centres.flattened(dataset.to_table())
            elif names is not None:
                df = narrow.read_stored(dataset, names, where)
            if df is None:
                df = flatten_pages(rows.to_pages(dataset.to_table()))
        df.attrs[ATTRS] |= notes
        chosen = df if where is None else where.select(df).reset_index(drop=True)
        if names is None:
            return chosen
        require(chosen.columns, names, "this selection of columns")
        return chosen[names]

    def scan(
        self,
        where: Filter | None = None,
        *,
        engine: Engine = "duckdb",
        version: int | None = None,
        at: Moment | None = None,
    ) -> Any:  # noqa: ANN401 - a frame of any engine
        """Open activities lazily, for more than fits into memory.

        Parameters
        ----------
        where
            Conditions on core columns and on time.
        engine
            duckdb, polars, spark or arrow. Spark's active session is used, or a local one started.
        version, at
            Open an earlier state, see `read`.

        Returns
        -------
        DuckDB relation, Polars LazyFrame, Spark DataFrame or Arrow dataset
            With the core columns of the schema, times in microseconds (``createdAt_ns`` and so on
            hold the nanoseconds beyond), the derived columns, ``queue_s`` and ``duration_s`` in
            seconds (finished activities only), and the rest of each activity as JSON text in
            ``context`` and ``rest``. The statistics of activitykit take it as they take a frame.

        Raises
        ------
        ConfigError
            When the engine is not known or not installed, or a condition looks at something else
            than core columns: `read` takes those.

        Warns
        -----
        UserWarning
            When the interval of ``where`` has a gap, see `coverage`: unlike the frame of `read`, a
            lazy one carries no notes.

        Notes
        -----
        Selected by ``completedAt`` from a moment on, rows lack the short runs that ended before;
        give `duration_stats` that moment as ``selected_since``.
        """
        table, notes = self._opened(where, version, at)
        if not notes["complete"]:
            warnings.warn(ledger.gaps(notes), stacklevel=2)
        with self._tables.told("read"):
            folder = f"{self._tables.folder}/{ACTIVITIES}"
            return opened(table, folder, where, engine)

    def export(self, path: str | os.PathLike[str], where: Filter | None = None) -> Path:
        """Write activities to one plain Parquet file, for Excel, Spark, Polars and others.

        The file appears complete or not at all, and is written in little memory, however large.

        Parameters
        ----------
        path
            Where to write; an existing file is replaced.
        where
            Which activities, as `read` takes it; all by default.

        Returns
        -------
        pathlib.Path
            Where the file is. It holds what `scan` gives, but with times rounded down to
            microseconds, as Spark and Power Query need them; `write_snapshot` of what `read` gives
            is exact. What the notes of `read` say stands as JSON in the metadata, under
            ``activitykit.export``.

        Raises
        ------
        ArchiveError
            When there is no archive, it cannot be read, or the file cannot be written.

        Warns
        -----
        UserWarning
            When the interval of ``where`` has a gap, see `coverage`.
        """
        table, notes = self._opened(where, None, None)
        if not notes["complete"]:
            warnings.warn(ledger.gaps(notes), stacklevel=2)
        with self._tables.told("export"):
            export.write(table, Path(path), where, notes)
        return Path(path)

    def _opened(
        self, where: Filter | None, version: int | None, at: Moment | None
    ) -> tuple["DeltaTable", dict[str, Any]]:
        """Open a state of the rows, with the notes for what is read of it."""
        table, entries = self._tables.state(version, at)
        covered = ledger.coverage(entries, where)
        return table, {
            "source": self._tables.shown, "filter": None if where is None else repr(where),
            "version": table.version(), "complete": ledger.is_complete(covered),
            "coverage": _as_json(covered),
        }  # fmt: skip

    # -- care --------------------------------------------------------------------------------------

    def verify(self) -> pd.DataFrame:
        """Check the archive against itself, reading all of it.

        Takes little memory: 16 bytes for each activity.

        Returns
        -------
        pandas.DataFrame
            One row per check: ``check``, ``n`` (0 where all is well, but for ``rows``),
            ``meaning``.

        Raises
        ------
        ArchiveError
            When there is no archive, or a file is missing or damaged.
        """
        return care.verify(self._tables)

    def compact(self) -> None:
        """Join small files into large ones, which are faster to read; no row changes.

        The small ones stay, for earlier states, until `vacuum` deletes them.

        Raises
        ------
        ArchiveError
            When there is no archive, or a sync committed at the same time; run it again.
        """
        care.compact(self._tables)

    def vacuum(self, *, keep: str = "7d", force: bool = False) -> int:
        """Delete files that no current row is in any more, and what killed syncs left behind.

        Earlier states cannot be read any more when their files are gone.

        Parameters
        ----------
        keep
            Files that were needed more recently than this span ago stay, for readers that still
            use them and for syncs that have not committed them yet.
        force
            Take a ``keep`` of less than 12 hours, when nothing else uses the archive.

        Returns
        -------
        int
            Number of files deleted.

        Raises
        ------
        ConfigError
            When ``keep`` is too short.
        ArchiveError
            When there is no archive, or its files cannot be deleted.
        """
        return care.vacuum(self._tables, keep, force=force)


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Tell whether a local folder is an archive, and take a URL for one."""
    return "://" in str(path) or (Path(path) / ACTIVITIES / "_delta_log").is_dir()


def _refuse_other(path: Path) -> None:
    if found := _UNWRITABLE.intersection(path.absolute().as_posix()):
        raise ArchiveError(
            f"{path}: the Delta Lake library cannot write to a folder with {min(found)} in its"
            " path; choose another"
        )
    if path.exists() and not path.is_dir():
        raise ArchiveError(f"{path} is a file; an archive is a folder")
    if path.is_dir() and not is_archive(path):
        other = {entry.name for entry in path.iterdir()} - {ACTIVITIES, LEDGER}
        if other:
            raise ArchiveError(
                f"{path} is no archive, it holds {min(other)}; give a new or empty folder"
            )


def _as_json(covered: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the lines of a table as plain JSON, for the notes of a frame."""
    return [
        {str(key): _plain(value) for key, value in line.items()}
        for line in covered.astype(object).to_dict("records")
    ]


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell of any type
    if isinstance(value, pd.Timestamp):
        return format_time(value.as_unit("ns"))
    return None if pd.isna(value) else value
