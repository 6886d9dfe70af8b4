"""The report: of 1,000,000 activities from a snapshot to the finished page, and from an archive.

The archive holds 2,000,000 activities of two years, or 50,000,000 with LONG=1 in the environment;
the page is that of its last week, with the week before that such a report reads.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from bench import Figure, costs

import activitykit as ak

SIMULATED, ROWS = 50_000, 1_000_000
MONTHS, AT_ONCE = 24, 10
ARCHIVED = 50_000_000 if os.environ.get("LONG") else 2_000_000
UNTIL = pd.Timestamp("2026-11-01T06:00:00Z")
MONTH = pd.Timedelta(30, "D")
TIMES = ("createdAt", "startedAt", "updatedAt", "completedAt")
OWN = ("tenant.id", "tenant.uuid", "tenant.name", "resource.id", "policy.id")


def write_snapshot(path: Path) -> None:
    """Repeat a simulated month until there are enough rows, with machines of its own each time."""
    month = ak.flatten(ak.demo.simulate(SIMULATED, seed=1, until=UNTIL))
    copies = (
        month.assign(id=month["id"] + n, **{name: f"{n}-" + month[name] for name in OWN})
        for n in range(ROWS // SIMULATED)
    )
    df = pd.concat(copies, ignore_index=True).sort_values("id", ignore_index=True)
    df.attrs = month.attrs
    ak.write_snapshot(df, path)


def write_archive(path: Path) -> None:
    """Repeat a simulated month for two years, with machines of their own within a month.

    Written as syncs write, but for the context of each activity, which a report does not read.
    """
    from deltalake import WriterProperties, write_deltalake

    from activitykit.archive import ledger, rows
    from activitykit.archive.tables import ACTIVITIES

    archive = ak.Archive(path)
    archive._tables.create()
    settings = WriterProperties(compression="ZSTD", compression_level=6)
    items = ak.demo.simulate(SIMULATED, seed=1, until=UNTIL)
    page = b'{"items":[' + b",".join(map(orjson.dumps, items)) + b"]}"
    plain = rows.to_rows([page], None, "https://bench")
    for month in range(MONTHS):
        left, fleet = ARCHIVED // MONTHS, 0
        while left > 0:
            fleets = range(fleet, fleet + min(AT_ONCE, -(-left // SIMULATED)))
            moved = pa.concat_tables(_moved(plain, month, one) for one in fleets)[:left]
            write_deltalake(
                archive._tables.open(ACTIVITIES), moved.sort_by("id"), mode="append",
                writer_properties=settings,
            )  # fmt: skip
            left, fleet = left - len(moved), fleets.stop
    archive._tables.note(
        dict.fromkeys(ledger.SCOPE, "x")
        | {"kind": ledger.SLICE, "since": UNTIL - MONTHS * MONTH, "until": UNTIL, "ended": True,
           "watermark": UNTIL, "fetched_at": UNTIL, "rows": 0, "changed": 0}
    )  # fmt: skip


def _moved(table: pa.Table, months: int, fleet: int) -> pa.Table:
    """Put rows some months back, with ids and machines of their own."""
    from activitykit.archive import rows

    back = pa.scalar(months * MONTH.to_pytimedelta(), pa.duration("us"))
    own = {name: pc.subtract(table[name], back) for name in TIMES}
    own["id"] = pc.add(table["id"], fleet - months * 10**15)
    head = pa.scalar(f"{fleet}-")
    own |= {name: pc.binary_join_element_wise(head, table[name], "") for name in OWN}
    own["month"] = rows.months(own["createdAt"])
    nothing = pa.nulls(len(table), pa.string())
    own |= {"context": nothing, "rest": nothing}
    for name, values in own.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table.cast(rows.FIELDS)


def from_snapshot(path: Path) -> None:
    """Run the command on a snapshot."""
    _run("report", path, "-o", path.with_suffix(".html"))


def from_archive(path: Path) -> None:
    """Run the command on an archive."""
    _run("report", path, "--period", "7d", "-o", path.with_suffix(".html"))


def _run(*words: object) -> None:
    from activitykit.cli import cli

    cli.main([*map(str, words)], standalone_mode=False)


def figures() -> Iterator[Figure]:
    """Measure both, once each: a run is long, and no other way is compared with it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "activities.parquet"
        write_snapshot(path)
        yield from _figures(f"{ROWS:,} from a snapshot", from_snapshot, path)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "archive"
        write_archive(path)
        yield from _figures(f"a week of {ARCHIVED:,} from an archive", from_archive, path)


def _figures(name: str, way: object, path: Path) -> Iterator[Figure]:
    cost = costs({"report": way}, path, rounds=1)["report"]
    size = path.with_suffix(".html").stat().st_size
    yield Figure(
        f"{name}: seconds to the page", cost.seconds, 20, at_least=False, detail=f"{size:,} bytes"
    )
    yield Figure(f"{name}: GiB at the peak", cost.peak_mib / 1024, 2.5, at_least=False, detail="")
