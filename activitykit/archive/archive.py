"""`Archive`: what users see of the archive."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow.compute as pc

from activitykit.archive import ledger, rows, sync
from activitykit.archive.conditions import matching
from activitykit.archive.tables import ACTIVITIES, LEDGER, Tables
from activitykit.errors import ArchiveError, ConfigError
from activitykit.filters import Filter
from activitykit.flatten import flatten_pages
from activitykit.moments import format_time, to_timestamp
from activitykit.progress import bar
from activitykit.schema import ATTRS

if TYPE_CHECKING:
    from activitykit.client import Client

Engine = Literal["duckdb", "polars", "arrow"]


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
        if "://" not in root:
            _refuse_other(Path(root))

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
            Access to the service. Several tenants and data centres can share an archive.
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

    def coverage(self, where: Filter | None = None) -> pd.DataFrame:
        """Tell which time is covered, from which tenant.

        Parameters
        ----------
        where
            Cut to its interval of ``createdAt``; its other conditions play no part.

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
        return ledger.coverage(self._tables.entries(), where)

    def read(self, where: Filter | None = None) -> pd.DataFrame:
        """Read activities into a frame, as `load` would have given them.

        Only the months, files and rows that may match are read.

        Returns
        -------
        pandas.DataFrame
            As `flatten` describes it, exact to the nanosecond. The notes in
            ``df.attrs["activitykit"]`` also have ``coverage``, the lines of `coverage` in the
            interval of ``where``; ``complete`` is False when one of them has a gap.

        Raises
        ------
        ArchiveError
            When there is no archive, or it cannot be read.
        """
        with self._tables.told("read"):
            found = matching(self._tables.dataset(), where, exact=False).to_table()
        df = flatten_pages(rows.to_pages(found))
        covered = self.coverage(where)
        df.attrs[ATTRS] |= {
            "source": self._tables.shown, "filter": None if where is None else repr(where),
            # before the beginning of all fetches nothing is claimed
            "complete": bool((covered["status"][covered["since"].notna()] == "complete").all()),
            "coverage": _as_json(covered),
        }  # fmt: skip
        return df if where is None else where.select(df).reset_index(drop=True)

    def scan(self, where: Filter | None = None, *, engine: Engine = "duckdb") -> Any:  # noqa: ANN401
        """Open activities lazily, for more than fits into memory.

        Parameters
        ----------
        where
            Conditions on core columns and on time.
        engine
            duckdb, polars or arrow.

        Returns
        -------
        DuckDB relation, Polars LazyFrame or Arrow dataset
            With the core columns of the schema, times in microseconds (``createdAt_ns`` and so on
            hold the nanoseconds beyond), the derived columns, ``queue_s`` and ``duration_s`` in
            seconds (finished activities only), and the rest of each activity as JSON text in
            ``context`` and ``rest``. The statistics of activitykit take it as they take a frame.

        Raises
        ------
        ConfigError
            When the engine is not known or not installed, or a condition looks at something else
            than core columns: `read` takes those.
        """
        if engine not in ("duckdb", "polars", "arrow"):
            raise ConfigError(f"engine={engine!r}; choose duckdb, polars or arrow")
        dataset = matching(self._tables.dataset(), where, exact=True)
        if engine == "arrow":
            return dataset
        try:
            if engine == "polars":
                import polars as pl

                return pl.scan_pyarrow_dataset(dataset)
            import duckdb

            return duckdb.connect().from_arrow(dataset)
        except ImportError as error:
            raise ConfigError(f"{engine} is not installed: pip install {engine}") from error

    # -- care --------------------------------------------------------------------------------------

    def verify(self) -> pd.DataFrame:
        """Check the archive against itself.

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
        with self._tables.told("verify"):
            columns = ["base_url", "id", "month", "createdAt", "context", "rest"]
            table = self._tables.dataset().to_table(columns=columns)
        repeated = len(table) - len(table.group_by(["base_url", "id"]).aggregate([]))
        wrong_month = pc.sum(pc.not_equal(rows.months(table["createdAt"]), table["month"])).as_py()
        unreadable = sum(
            not rows.is_json(text)
            for name in ("context", "rest")
            for text in table[name].to_pylist()
        )
        found = {
            "rows": (len(table), "Activities in the archive."),
            "repeated": (repeated, "Further rows of the same activity: counts are too high."),
            "wrong_month": (wrong_month or 0, "Rows outside of the month of their createdAt."),
            "unreadable": (unreadable, "Rows whose JSON text cannot be read."),
            "missing": (self._missing(table), "Rows that the ledger has seen, and that are gone."),
        }
        return pd.DataFrame(
            [(check, int(n), meaning) for check, (n, meaning) in found.items()],
            columns=["check", "n", "meaning"],
        )

    def _missing(self, table: Any) -> int:  # noqa: ANN401
        missing = 0
        for entry in self._tables.entries().to_dict("records"):
            mine = table.filter(pc.field("base_url") == entry["base_url"])
            here = sync.ids_within(mine, entry["since"], entry["until"])
            missing += max(0, entry["rows"] - len(here))
        return missing

    def compact(self) -> None:
        """Join small files into large ones, which are faster to read; no row changes."""
        with self._tables.told("compact"):
            for name in (ACTIVITIES, LEDGER):
                self._tables.open(name).optimize.compact()

    def vacuum(self, *, keep: str = "7d") -> int:
        """Delete files that no current row is in any more.

        Parameters
        ----------
        keep
            Files younger than so long stay, for readers that still use them and for syncs that have
            not committed them yet; a span such as "7d" or "36h", longer than any sync takes.

        Returns
        -------
        int
            Number of files deleted.
        """
        now = pd.Timestamp(0, tz="UTC")
        hours = (now - to_timestamp(keep, now=now)) // pd.Timedelta(1, "h")
        with self._tables.told("vacuum"):
            return sum(
                len(
                    self._tables.open(name).vacuum(
                        retention_hours=hours, dry_run=False, enforce_retention_duration=False
                    )
                )
                for name in (ACTIVITIES, LEDGER)
            )


def is_archive(path: Path) -> bool:
    """Tell whether a local folder is an archive."""
    return (path / ACTIVITIES / "_delta_log").is_dir()


def _refuse_other(path: Path) -> None:
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
