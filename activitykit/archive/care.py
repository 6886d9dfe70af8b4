"""What keeps an archive sound and small: looking it over, joining its files, deleting old ones."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.archive import rows
from activitykit.archive.scan import batches
from activitykit.archive.tables import ACTIVITIES, LEDGER, Tables, writing
from activitykit.errors import ConfigError
from activitykit.moments import Moment, is_span, to_timestamp

_LOOKED_AT: Final = ["base_url", "id", "month", "createdAt", "context", "rest"]
_HOUR: Final = pd.Timedelta(1, "h")
_SHORTEST: Final = 12 * _HOUR


def verify(tables: Tables) -> pd.DataFrame:
    """Check the rows against themselves and the ledger, as `Archive.verify` says."""
    # the ledger first: what it claims is in any later state of the rows
    entries = tables.entries().to_dict("records")
    ids, created = defaultdict[str, list[Any]](list), defaultdict[str, list[Any]](list)
    n = wrong_month = unreadable = 0
    with tables.told("verify"):
        for batch in batches(tables.dataset(), _LOOKED_AT):
            n += len(batch)
            wrong_month += _count(pc.not_equal(rows.months(batch["createdAt"]), batch["month"]))
            unreadable += _unreadable(batch)
            for url in batch["base_url"].unique().to_pylist():
                mine = batch.filter(pc.equal(batch["base_url"], url))
                ids[url].append(mine["id"].to_numpy())
                created[url].append(mine["createdAt"].drop_null().cast(pa.int64()).to_numpy())
    times = {url: np.sort(np.concatenate(parts)) for url, parts in created.items()}
    found = {
        "rows": (n, "Activities in the archive."),
        "repeated": (
            sum(map(_repeated, ids.values())),
            "Further rows of the same activity: counts are too high.",
        ),
        "wrong_month": (wrong_month, "Rows outside of the month of their createdAt."),
        "unreadable": (unreadable, "Rows whose JSON text cannot be read."),
        "missing": (
            sum(_missing(entry, times) for entry in entries),
            "Rows that the ledger has seen, and that are gone.",
        ),
    }
    lines = [(check, number, meaning) for check, (number, meaning) in found.items()]
    return pd.DataFrame(lines, columns=["check", "n", "meaning"])


def _count(flags: Any) -> int:  # noqa: ANN401 - Arrow is untyped
    return int(pc.sum(flags).as_py() or 0)


def _unreadable(batch: Any) -> int:  # noqa: ANN401
    texts = zip(batch["context"].to_pylist(), batch["rest"].to_pylist(), strict=True)
    return sum(1 for pair in texts if not all(map(rows.is_json, pair)))


def _repeated(parts: list[Any]) -> int:
    ids = np.sort(np.concatenate(parts))
    return int(np.count_nonzero(ids[1:] == ids[:-1]))


def _missing(entry: Mapping[Hashable, Any], times: dict[str, Any]) -> int:
    """Say how many of the rows that an entry has seen are not there."""
    here = times.get(entry["base_url"], np.empty(0, dtype=np.int64))
    edges = [entry[name].value // 1000 for name in ("since", "until")]
    first, last = np.searchsorted(here, edges)
    return max(0, int(entry["rows"]) - int(last - first))


def compact(tables: Tables) -> None:
    """Join small files into large ones."""
    with tables.told("compact"):
        for name in (ACTIVITIES, LEDGER):
            # one file at a time, for memory's sake
            tables.open(name).optimize.compact(max_concurrent_tasks=1, writer_properties=writing())


def vacuum(tables: Tables, keep: Moment, *, force: bool) -> int:
    """Delete files of earlier states, and what killed syncs left behind; give their number."""
    now = pd.Timestamp(0, tz="UTC")
    if not is_span(keep):
        raise ConfigError(f"keep={keep!r} is no span of time such as 30d or 12h")
    kept = now - to_timestamp(keep, now=now)
    if kept < _SHORTEST and not force:
        raise ConfigError(
            f"keep={keep!r} could delete what a sync is about to commit or a reader still uses;"
            " give 12 hours or more, or force=True when nothing else uses the archive"
        )
    how: dict[str, Any] = {
        "retention_hours": -(-kept // _HOUR), "dry_run": False, "full": True,
        "enforce_retention_duration": False,
    }  # fmt: skip
    with tables.told("vacuum"):
        deleted = [tables.open(name).vacuum(**how) for name in (ACTIVITIES, LEDGER)]
    return sum(map(len, deleted))
