"""What a sync asks of the service, step by step: first what changed, then what is still missing.

Each step commits its rows and then its ledger entry, so a step that was killed is done again, and
finds its rows unchanged.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow.compute as pc

from activitykit.archive import ledger, rows
from activitykit.archive.conditions import scalar
from activitykit.archive.ledger import BEGINNING, OVERLAP, RETENTION, SCOPE, UPDATE, Known
from activitykit.archive.tables import Tables
from activitykit.errors import ApiError
from activitykit.filters import Filter

if TYPE_CHECKING:
    from tqdm import tqdm

    from activitykit.client import Client

_BATCH_BYTES: Final = 64_000_000
_IDS_AT_ONCE: Final = 100

Query = tuple[Filter, Filter | None]
"""What is asked, and which of the answer is kept."""


def clock() -> pd.Timestamp:
    """Give the moment, in the microseconds that the tables have."""
    return pd.Timestamp.now("UTC").floor("us")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One sync under way.

    Attributes
    ----------
    tables, client, where, workers, bar
        From and to where, and how.
    scope
        What the entries of this sync are filed under.
    now
        When it began.
    """

    tables: Tables
    client: "Client"
    where: Filter
    scope: tuple[str, str, str]
    workers: int
    bar: "tqdm[Any]"
    now: pd.Timestamp


@dataclass(frozen=True, kw_only=True)
class _Step:
    kind: str
    since: pd.Timestamp
    until: pd.Timestamp
    queries: Sequence[Query]
    watermark: pd.Timestamp
    """Changes up to then will be known, unless the newest change that comes along is older."""


def steps(run: Run) -> Iterator[dict[str, Any]]:
    """Do all that is to be done; yield the ledger entry of each step once it is committed.

    Raises
    ------
    ApiError
        When the service failed, after what had arrived was committed and noted.
    """
    known = ledger.known(run.tables.entries(run.scope))
    since, until = run.where.since, run.where.until
    end = min(run.now, until.ceil("us")) if isinstance(until, pd.Timestamp) else run.now
    wanted = since.floor("us") if isinstance(since, pd.Timestamp) else BEGINNING
    if known:
        yield _carry_out(run, _update(run, known, end))
        yield from _slices(run, known.oldest, wanted, end, known.last)
    elif end > wanted:
        # what is created while the sync runs belongs to the newest slice
        newest = _slice(run, end, wanted, None, end, open_ended=True)
        entry = _carry_out(run, newest)
        yield entry
        yield from _slices(run, newest.since, wanted, entry["watermark"], entry)


def _slices(
    run: Run,
    end: pd.Timestamp,
    wanted: pd.Timestamp,
    watermark: pd.Timestamp,
    last: dict[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    while end > wanted:
        step = _slice(run, end, wanted, last, watermark)
        last = _carry_out(run, step, own_watermark=False)
        yield last
        end = step.since


def _slice(
    run: Run,
    end: pd.Timestamp,
    wanted: pd.Timestamp,
    last: dict[str, Any] | None,
    watermark: pd.Timestamp,
    *,
    open_ended: bool = False,
) -> _Step:
    before = (last["until"] - last["since"], last["rows"]) if last else None
    since, kind = ledger.next_slice(end, wanted, run.now, before)
    asked = replace(
        run.where,
        since=run.where.since if since <= wanted else since,
        until=run.where.until if open_ended else end,
    )
    return _Step(
        kind=kind, since=since, until=end, queries=[(asked, asked)], watermark=watermark
    )  # fmt: skip


def _update(run: Run, known: Known, end: pd.Timestamp) -> _Step:
    """Ask for what changed since the last sync, and for all that was not finished then."""
    always = replace(run.where, since=None, until=None)
    changed = replace(always, on="updatedAt", since=known.watermark - OVERLAP)
    oldest = None if known.oldest == BEGINNING else known.oldest
    kept = replace(always, since=oldest, until=run.where.until)
    ids = _unfinished(run)
    chunks = [ids[i : i + _IDS_AT_ONCE] for i in range(0, len(ids), _IDS_AT_ONCE)]
    # what was created and forgotten while nobody synced is a gap
    since = max(known.newest, run.now - RETENTION)
    return _Step(
        kind=UPDATE, since=since, until=max(since, end), watermark=end,
        queries=[(changed, kept), *((Filter(id=chunk), None) for chunk in chunks)],
    )  # fmt: skip


def _unfinished(run: Run) -> list[int]:
    """Give the ids of what was not finished yet, as far as the service may still hold it."""
    created, state = pc.field("createdAt"), pc.field("state")
    held = created.is_null() | (created >= scalar(run.now - RETENTION))
    unfinished = state.is_null() | (state != "completed")
    mine = pc.field("base_url") == run.scope[0]
    with run.tables.told("read"):
        found = run.tables.dataset().to_table(["id"], filter=mine & held & unfinished)
    ids: list[int] = found["id"].to_pylist()
    return ids


def _carry_out(run: Run, step: _Step, *, own_watermark: bool = True) -> dict[str, Any]:
    """Fetch, commit, and note; what arrived before a failure is kept as well."""
    begun = clock()
    about = dict(zip(SCOPE, run.scope, strict=True)) | {
        "kind": step.kind, "since": step.since, "until": step.until,
    }  # fmt: skip
    run.bar.set_description(f"{step.kind} until {step.until:%Y-%m-%d %H:%M}", refresh=False)
    seen: set[int] = set()
    newest: list[datetime | None] = []
    changed, broken = 0, list[ApiError]()
    for asked, kept in step.queries:
        if broken:
            break
        # closed at once when something else fails here, or the workers would go on fetching
        with closing(_batches(run.client.pages(asked, workers=run.workers), broken)) as batches:
            for pages in batches:
                table = rows.to_rows(pages, kept, run.scope[0])
                changed += run.tables.upsert(table, about)
                seen.update(ids_within(table, step.since, step.until))
                newest.append(pc.max(table["updatedAt"]).as_py())
                run.bar.update(len(table))
    watermark = step.watermark
    if own_watermark and any(newest):
        # the service's own clock counts where it lags behind ours
        watermark = min(watermark, pd.Timestamp(max(filter(None, newest))))
    entry = about | {
        "ended": not broken,
        "watermark": watermark,
        "fetched_at": begun,
        "rows": len(seen),
        "changed": changed,
    }
    if seen or not broken:
        run.tables.note(entry)
    if broken:
        raise broken[0]
    return entry


def ids_within(table: Any, since: pd.Timestamp, until: pd.Timestamp) -> list[int]:  # noqa: ANN401 - Arrow is untyped
    """Give the ids of the rows that were created in an interval."""
    created = pc.field("createdAt")
    here = table.filter((created >= scalar(since)) & (created < scalar(until)))
    ids: list[int] = here["id"].to_pylist()
    return ids


def _batches(pages: Iterable[bytes], broken: list[ApiError]) -> Generator[list[bytes], None, None]:
    """Gather pages into batches of bounded size; note a failure after what had arrived."""
    batch: list[bytes] = []
    size = 0
    try:
        for page in pages:
            batch.append(page)
            size += len(page)
            if size > _BATCH_BYTES:
                yield batch
                batch, size = [], 0
    except ApiError as error:
        broken.append(error)
    if batch:
        yield batch
