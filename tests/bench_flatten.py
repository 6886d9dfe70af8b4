"""What it costs to make a frame of pages, against what a user would otherwise write.

200,000 simulated activities, about 300 MB of JSON, as pages of 1,000 in memory. With ``LONG=1`` in
the environment also ten times as many, which takes some minutes and 8 GB.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bench import Cost, Figure, costs

from activitykit.demo import simulate
from activitykit.flatten import flatten_pages
from activitykit.flatten.names import TIMES

ROWS, FEW, MANY = 200_000, 10_000, 2_000_000
PAGE = 1_000


def figures() -> Iterator[Figure]:
    """Compare time and memory, in fresh processes, in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pages(folder, MANY if os.environ.get("LONG") else ROWS)
        known = {"json_normalize": by_json_normalize, "orjson": by_orjson, "ours": by_activitykit}
        others = {"polars": by_polars, "duckdb": by_duckdb}
        taken = costs(known, folder, ROWS // PAGE, rounds=2, prepare=read_pages)
        taken |= costs(others, folder, ROWS // PAGE, rounds=1, prepare=read_pages)
        yield from compare(taken)
        few = costs({"ours": by_activitykit}, folder, FEW // PAGE, rounds=5, prepare=read_pages)
        yield linear(few["ours"], FEW, taken["ours"], ROWS)
        if os.environ.get("LONG"):
            many = costs(
                {"ours": by_activitykit}, folder, MANY // PAGE, rounds=1, prepare=read_pages
            )
            yield linear(few["ours"], FEW, many["ours"], MANY)


def compare(taken: dict[str, Cost]) -> Iterator[Figure]:
    """Give the ratios to every other way."""
    base, orjson, ours = (taken[way] for way in ("json_normalize", "orjson", "ours"))
    yield Figure(
        "flatten: times faster than json_normalize", base.seconds / ours.seconds, 8, at_least=True,
        detail=f"{base.seconds:.1f} s, activitykit {ours.seconds:.1f} s",
    )  # fmt: skip
    yield Figure(
        "flatten: share of the memory of json_normalize", ours.peak_mib / base.peak_mib, 0.25,
        at_least=False, detail=f"{base.peak_mib:.0f} MiB, activitykit {ours.peak_mib:.0f} MiB",
    )  # fmt: skip
    yield Figure(
        "flatten: times the time of orjson.loads", ours.seconds / orjson.seconds, 2.5,
        at_least=False, detail=f"{orjson.seconds:.1f} s, its dicts kept",
    )  # fmt: skip
    for way, loses in (("polars", "mixed kinds"), ("duckdb", "keys by case")):
        yield Figure(
            f"flatten: times faster than {way}", taken[way].seconds / ours.seconds, 1,
            at_least=True,
            detail=f"{taken[way].seconds:.1f} s, {taken[way].peak_mib:.0f} MiB; loses {loses}",
        )  # fmt: skip


def linear(few: Cost, n_few: int, many: Cost, n_many: int) -> Figure:
    """Give the time per row of many rows over that of few."""
    return Figure(
        f"flatten: time per row, {n_many:,} over {n_few:,} rows",
        (many.seconds / n_many) / (few.seconds / n_few), 1.3, at_least=False,
        detail=f"{n_many / many.seconds:,.0f} rows/s, peak {many.peak_mib:.0f} MiB",
    )  # fmt: skip


def write_pages(folder: Path, n: int) -> None:
    """Write pages as the service sends them."""
    items = iter(simulate(n, seed=0))
    number = 0
    while part := list(islice(items, PAGE)):
        page = {"items": part, "size": len(part), "paging": {"cursors": {"after": "abc"}}}
        text = json.dumps(page, ensure_ascii=False, separators=(",", ":"))
        (folder / f"{number:05d}.json").write_text(text, encoding="utf-8")
        number += 1


def read_pages(folder: Path, n: int) -> list[bytes]:
    """Read the first pages."""
    return [path.read_bytes() for path in sorted(folder.iterdir())[:n]]


def by_json_normalize(pages: list[bytes]) -> Any:
    """Do what a user writes."""
    import pandas as pd

    df = pd.json_normalize([item for page in pages for item in json.loads(page)["items"]])
    for name in df.columns.intersection(TIMES):
        df[name] = pd.to_datetime(df[name], format="ISO8601")
    return df


def by_orjson(pages: list[bytes]) -> Any:
    """Parse, and nothing else."""
    import orjson

    return [orjson.loads(page) for page in pages]


def by_polars(pages: list[bytes]) -> Any:
    """Infer the types of all, and take the objects apart."""
    import polars as pl

    df = pl.read_ndjson(b"\n".join(pages), infer_schema_length=None)
    df = df.select("items").explode("items").unnest("items")
    while nested := [name for name, kind in df.schema.items() if isinstance(kind, pl.Struct)]:
        for name in nested:
            df = df.with_columns(pl.col(name).name.prefix_fields(f"{name}.")).unnest(name)
    times = [name for name in TIMES if name in df.columns]
    return df.with_columns(pl.col(times).str.to_datetime(time_unit="ns", time_zone="UTC"))


def by_duckdb(pages: list[bytes]) -> Any:
    """Likewise; DuckDB reads files only, so the pages go through one."""
    import duckdb

    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        file.writelines(page + b"\n" for page in pages)
        file.flush()
        return duckdb.sql(
            f"select unnest(items, recursive := true) from read_json('{file.name}',"
            " format='newline_delimited', sample_size=-1, maximum_object_size=100000000,"
            " ignore_errors=true)"
        ).to_arrow_table()


def by_activitykit(pages: list[bytes]) -> Any:
    """Do it in one call."""
    return flatten_pages(pages)
