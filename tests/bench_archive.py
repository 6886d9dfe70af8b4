"""What an archive costs: on disk, to bring up to date, and to read one day of.

A tenth of the full size; with ``LONG=1`` in the environment 5,000,000 rows are brought up to date
and 50,000,000 read from, which takes 8 GB of disk. Large archives are made of one simulated span,
repeated with later times and ids, by the archive's own writer; of the 50,000,000 rows, those of
months that no figure reads lack the context, which takes most of the time to write.
"""

import gzip
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from bench import Figure, costs

from activitykit import Archive, Filter
from activitykit.archive import rows, tables
from activitykit.demo import simulate

BASE, TENTH, FULL, VAST = 50_000, 500_000, 5_000_000, 50_000_000
NEAR = 10
URL = "https://x"
TIMES = ("createdAt", "startedAt", "updatedAt", "completedAt")


def figures() -> Iterator[Figure]:
    """Make archives, and measure each way in a fresh process."""
    long = bool(os.environ.get("LONG"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = simulated(folder / "base")
        yield on_disk(folder / "base")
        n = FULL if long else TENTH
        repeat(base, folder / "large", n)
        [update] = costs(
            {"update": bring_up_to_date}, folder / "large", n // 100, rounds=1, prepare=changes
        ).values()
        yield Figure(
            f"archive: seconds for {n // 100:,} changes in {n:,} rows", update.seconds,
            15 if long else 1.5, at_least=False, detail=f"peak {update.peak_mib:.0f} MiB",
        )  # fmt: skip
        yield Figure(
            "archive: GiB of memory for that", update.peak_mib / 1024, 2, at_least=False, detail=""
        )  # fmt: skip
        if long:
            repeat(base, folder / "large", VAST - FULL, first=FULL // BASE)
        n = VAST if long else TENTH
        [read] = costs({"read": read_a_day}, folder / "large", rounds=3).values()
        yield Figure(
            f"archive: seconds to read a day of {n:,} rows", read.seconds, 2, at_least=False,
            detail=f"peak {read.peak_mib:.0f} MiB",
        )  # fmt: skip


def simulated(path: Path) -> Any:
    """Archive simulated activities as a sync would; give the recent rows."""
    store = tables.Tables(root=str(path), options={})
    store.create()
    items = list(simulate(BASE, seed=0))
    with gzip.open(path.with_suffix(".ndjson.gz"), "wt", encoding="utf-8") as file:
        file.writelines(
            json.dumps(item, ensure_ascii=False, separators=(",", ":")) + "\n" for item in items
        )
    page = json.dumps({"items": items}, ensure_ascii=False).encode()
    found = rows.to_rows([page], None, URL)
    store.upsert(found)
    return found.filter(pc.field("month") >= "2026")


def on_disk(path: Path) -> Figure:
    """Compare the files of an archive to the lines of the same activities."""
    ours = sum(file.stat().st_size for file in path.rglob("*.parquet"))
    lines = path.with_suffix(".ndjson.gz").stat().st_size
    return Figure(
        "archive: share of the size of gzipped NDJSON", ours / lines, 0.75, at_least=False,
        detail=f"{lines / 1e6:.1f} MB, activitykit {ours / 1e6:.1f} MB for {BASE:,} activities",
    )  # fmt: skip


def repeat(base: Any, path: Path, n: int, first: int = 0) -> None:
    """Append the rows again and again, each time later and with higher ids."""
    from deltalake import write_deltalake

    store = tables.Tables(root=str(path), options={})
    store.create()
    middle = (VAST // BASE) // 2
    bare = without_context(base)
    for number in range(first, first + n // BASE):
        whole = n <= FULL or abs(number - middle) < NEAR
        write_deltalake(
            store.open(tables.ACTIVITIES), later(base if whole else bare, number), mode="append",
            writer_properties=tables.writing(),
        )  # fmt: skip


def without_context(table: Any) -> Any:
    """Leave out the long texts of rows that are never read."""
    for name in ("context", "rest"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema[at], pa.nulls(len(table), pa.string()))
    return table


def later(base: Any, times: int) -> Any:
    """Move rows by so many times the span that they cover."""
    created = base["createdAt"].cast(pa.int64())
    span = (pc.max(created).as_py() - pc.min(created).as_py() + 1) * times
    ids = (pc.max(base["id"]).as_py() - pc.min(base["id"]).as_py() + 1) * times
    moved = {name: pc.add(base[name].cast(pa.int64()), span) for name in TIMES}
    moved = {name: values.cast(base.schema.field(name).type) for name, values in moved.items()}
    moved["id"] = pc.add(base["id"], ids)
    moved["month"] = rows.months(moved["createdAt"].combine_chunks())
    columns = [moved.get(name, base[name]) for name in base.schema.names]
    return pa.table(columns, schema=base.schema)


def changes(path: Path, n: int) -> Any:
    """Change the newest rows, and a tenth of them as many of the weeks before."""
    store = tables.Tables(root=str(path), options={})
    months = sorted({one["month"] for one in store.open(tables.ACTIVITIES).partitions()})[-2:]
    recent = store.dataset().to_table(filter=pc.field("month").isin(months)).sort_by("id")
    newest = recent.slice(len(recent) - (n - n // 10))
    step = (len(recent) - n) // (n // 10)
    scattered = recent.take([number * step for number in range(n // 10)])
    changed = pa.concat_tables([scattered, newest])
    at = changed.schema.get_field_index("updatedAt")
    updated = pc.add(changed["updatedAt"].cast(pa.int64()), pa.scalar(60_000_000))
    return store, changed.set_column(at, changed.schema[at], updated.cast(changed.schema[at].type))


def bring_up_to_date(given: Any) -> object:
    """Upsert what changed."""
    store, changed = given
    return store.upsert(changed)


def read_a_day(path: Path) -> object:
    """Read one day from the middle, by month and files."""
    archive = Archive(path)
    months = sorted({one["month"] for one in archive._tables.open("activities").partitions()})
    day = f"{months[len(months) // 2]}-10"
    return archive.read(Filter(since=day, until=f"{day}T23:59:59"))
