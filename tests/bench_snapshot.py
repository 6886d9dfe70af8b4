"""What a snapshot costs against the Parquet file that pandas writes by itself.

200,000 simulated activities; with ``LONG=1`` in the environment ten times as many.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from bench import Figure, costs

import activitykit as ak

ROWS, MANY = 200_000, 2_000_000


def figures() -> Iterator[Figure]:
    """Write the same frame in both ways, and read each in turns."""
    with tempfile.TemporaryDirectory() as name:
        plain, ours = Path(name, "plain.parquet"), Path(name, "ours.parquet")
        write(plain, ours, MANY if os.environ.get("LONG") else ROWS)
        sizes = [path.stat().st_size for path in (plain, ours)]
        yield Figure(
            "snapshot: share of the size of to_parquet", sizes[1] / sizes[0], 0.6, at_least=False,
            detail=f"{sizes[0] / 1e6:.1f} MB, activitykit {sizes[1] / 1e6:.1f} MB",
        )  # fmt: skip
        ways = {"plain": read_plain, "ours": read_ours}
        taken = costs(ways, Path(name), rounds=5)
        plain_s, ours_s = taken["plain"].seconds, taken["ours"].seconds
        yield Figure(
            "snapshot: times the time of read_parquet", ours_s / plain_s, 1, at_least=False,
            detail=f"{plain_s:.2f} s, activitykit {ours_s:.2f} s",
        )  # fmt: skip


def read_plain(folder: Path) -> object:
    """Read what pandas wrote."""
    return pd.read_parquet(folder / "plain.parquet")


def read_ours(folder: Path) -> object:
    """Read what activitykit wrote, checked."""
    return ak.read_snapshot(folder / "ours.parquet")


def write(plain: Path, ours: Path, n: int) -> None:
    """Write the same activities in both ways."""
    df = ak.flatten(ak.demo.simulate(n, seed=0))
    df.to_parquet(plain)
    ak.write_snapshot(df, ours)
