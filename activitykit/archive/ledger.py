"""What an archive has fetched, when, and how far it got: the entries behind `Archive.coverage`.

One entry per step of a sync, written after the rows of the step. So an entry proves that its rows
are there, and rows without an entry are at worst fetched again. The entries are a table of their
own rather than notes in the commits of the rows: Delta Lake forgets old commits (after 30 days
by default), and what was covered must be known as long as the rows are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from activitykit.filters import Filter

RETENTION: Final = pd.Timedelta(90, "D")
"""How long the service keeps activities; it may forget earlier, never promises more."""

OVERLAP: Final = pd.Timedelta(6, "h")
"""How far before the watermark changes are asked for again: clocks differ, agents deliver late."""

BEGINNING: Final = pd.Timestamp("1678-01-01", tz="UTC")
"""Stands for an open start."""

SLICE, UPDATE, OLDER = "slice", "update", "older"
"""Kinds of steps: an interval of ``createdAt``; what changed since the last sync; what the service
may still hold from before `RETENTION`."""

_FIRST_SLICE: Final = pd.Timedelta(6, "h")
_FEW, _MANY = 10_000, 100_000

_MICROS: Final = pa.timestamp("us", "UTC")
FIELDS: Final = pa.schema([
    ("base_url", pa.string()), ("tenant", pa.string()), ("filter", pa.string()),
    ("kind", pa.string()), ("since", _MICROS), ("until", _MICROS), ("ended", pa.bool_()),
    ("watermark", _MICROS), ("fetched_at", _MICROS), ("rows", pa.int64()), ("changed", pa.int64()),
    ("version", pa.int64()),
])  # fmt: skip
"""The columns of an entry: the scope; the interval of ``createdAt``; whether the last page was
reached; up to when changes are known; when the step began; rows seen in the interval; rows that
were new or changed; a version of the rows that holds them."""

_COUNTS: Final = {"rows", "changed", "version"}
_SOME_COUNTS: Final = {"added", "updated"}

SCOPE: Final = ["base_url", "tenant", "filter"]
COVERAGE: Final = [*SCOPE, "since", "until", "status", "fetched_at", "rows"]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the entries of one scope tell a new sync.

    Attributes
    ----------
    watermark
        Changes up to then are in the archive.
    oldest, newest
        The interval of ``createdAt`` that needs no further slices.
    last
        The entry of the slice that came last; None when there were none.
    """

    watermark: pd.Timestamp
    oldest: pd.Timestamp
    newest: pd.Timestamp
    last: dict[str, Any] | None


def condition(where: Filter) -> str:
    """Write a filter without its interval of time, which the entries tell."""
    return repr(replace(where, since=None, until=None))


def known(entries: pd.DataFrame) -> Known | None:
    """Sum up the entries of one scope; None when no step has ended yet."""
    ended = entries[entries["ended"]]
    if ended.empty:
        return None
    updates = ended[ended["kind"] == UPDATE]
    # slices of one sync were fetched one after the other: the first one's moment holds for all
    mark = ended["watermark"].min() if updates.empty else updates["watermark"].max()
    slices = ended[ended["kind"] == SLICE].sort_values("since").to_dict("records")
    return Known(
        watermark=mark,
        oldest=ended["since"].min(),
        newest=ended["until"].max(),
        last={str(key): value for key, value in slices[0].items()} if slices else None,
    )


def next_slice(
    end: pd.Timestamp,
    wanted: pd.Timestamp,
    now: pd.Timestamp,
    last: tuple[pd.Timedelta, int] | None,
) -> tuple[pd.Timestamp, str]:
    """Say where the next slice before ``end`` begins, and which kind of step it is.

    Slices get longer or shorter so that each brings a good number of rows.

    Parameters
    ----------
    end, wanted
        What is still to be fetched.
    now
        The start of the sync.
    last
        Length and rows of the slice before, None for the first.
    """
    horizon = max(now - RETENTION, wanted)
    if end <= now - RETENTION:
        return wanted, OLDER
    length, rows = last or (_FIRST_SLICE, _FEW)
    length = length * 2 if rows < _FEW else length / 2 if rows > _MANY else length
    return max((end - length).floor("us"), horizon), SLICE


def coverage(entries: pd.DataFrame, where: Filter | None = None) -> pd.DataFrame:
    """Join the entries to one line per scope and stretch of time, as `Archive.coverage` says."""
    since, until = _window(where)
    lines = [
        dict(zip(SCOPE, scope, strict=True)) | line
        for scope, rows in entries.groupby(SCOPE, sort=True)
        for line in _timeline(rows, since, until)
    ]
    return table(lines, COVERAGE)


def is_complete(covered: pd.DataFrame) -> bool:
    """Tell whether there is no gap in the lines of `coverage`, from the first claim on."""
    # before the beginning of all fetches nothing is claimed
    claimed = covered["status"][covered["since"].notna()]
    return len(claimed) > 0 and bool((claimed == "complete").all())


def gaps(notes: Mapping[str, Any]) -> str:
    """Say that what was read has gaps, and name the first ones."""
    named = [
        f"{line['since']} to {line['until']}"
        for line in notes["coverage"]
        if line["since"] and line["status"] != "complete"
    ]
    shown = ", ".join(named[:3]) + (", …" if len(named) > 3 else "") or "any interval"
    return f"{notes['source']} is not complete in {shown}; its coverage() tells more"


def table(lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Make a frame for people: an open start is missing, types do not depend on what is there."""
    found = pd.DataFrame(list(lines), columns=list(columns))
    for name in columns:
        if name in ("since", "until", "fetched_at", "time"):
            moments = pd.to_datetime(found[name], utc=True, format="ISO8601")
            found[name] = moments.astype("datetime64[us, UTC]")
        elif name in _SOME_COUNTS:
            found[name] = found[name].astype("Int64")
        else:
            found[name] = found[name].astype("int64" if name in _COUNTS else "str")
    return found.assign(since=found["since"].mask(found["since"] <= BEGINNING))


def _window(where: Filter | None) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    moments = (where.since, where.until) if where and where.on == "createdAt" else (None, None)
    since, until = (m.floor("us") if isinstance(m, pd.Timestamp) else None for m in moments)
    return since, until


def _timeline(
    rows: pd.DataFrame, since: pd.Timestamp | None, until: pd.Timestamp | None
) -> Iterator[dict[str, Any]]:
    entries = list(rows.itertuples())
    edges = sorted({*rows["since"], *rows["until"], *({since, until} - {None})})
    stretches = [
        (start, *_state(entries, start, end), end)
        for start, end in pairwise(edges)
        if (since is None or since <= start) and (until is None or end <= until)
    ]
    for status, joined in groupby(stretches, key=lambda stretch: stretch[1]):
        parts = list(joined)
        start, end = parts[0][0], parts[-1][-1]
        begun = [e for e in entries if start <= e.since < end and _status(e) == status]
        yield {
            "since": start, "until": end, "status": status,
            "fetched_at": max((part[2] for part in parts if part[2] is not None), default=pd.NaT),
            "rows": sum(entry.rows for entry in begun),
        }  # fmt: skip


def _state(
    entries: Sequence[Any], start: pd.Timestamp, end: pd.Timestamp
) -> tuple[str, pd.Timestamp | None]:
    """Say how well a stretch that no entry begins or ends within is covered, and since when."""
    over = [entry for entry in entries if entry.since <= start and end <= entry.until]
    for status in ("complete", "partial"):
        fetched = [entry.fetched_at for entry in over if _status(entry) == status]
        if fetched:
            return status, max(fetched)
    return "unknown", None


def _status(entry: Any) -> str:  # noqa: ANN401 - a row of the entries
    # what is older than the service promises to keep may be gone already
    return "complete" if entry.ended and entry.kind != OLDER else "partial"
