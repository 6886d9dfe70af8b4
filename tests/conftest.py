"""Frames that several test modules share: small, seeded, made once."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

import activitykit as ak

# how long an example takes says more about the machine than about the code
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def simulated() -> pd.DataFrame:
    """Simulated activities of a month; never changed by a test."""
    return ak.flatten(ak.demo.simulate(1500, seed=3))


@pytest.fixture(scope="session")
def make_frame() -> Callable[..., pd.DataFrame]:
    """Build a frame from columns: ``make_frame(start=[...], seconds=[...], code=[...])``.

    ``start`` are hours after 2026-03-01 00:00 UTC, ``seconds`` durations; None runs on.
    """

    def build(start: Any, seconds: Any, **columns: Any) -> pd.DataFrame:
        start = np.atleast_1d(np.asarray(start, dtype=float))
        n = len(start)
        begin = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(start * 3600, unit="s")
        length = pd.Series(seconds, dtype="float64").to_numpy()
        end = begin + pd.to_timedelta(length, unit="s")
        done = ~np.isnan(length)
        plain = {
            "id": np.arange(1, n + 1) * 2**22 + 2**60,
            "type": "backup",
            "state": np.where(done, "completed", "started"),
            "result.code": np.where(done, "ok", None),
            "createdAt": begin,
            "startedAt": begin,
            "updatedAt": end.where(done, begin),
            "completedAt": end,
            "tenant.uuid": "tenant",
            "resource.id": "machine",
            "policy.id": "plan",
            "executor.id": "agent",
        }
        frame = ak.flatten([{"id": 1}]).iloc[:0].reindex(range(n))
        dtypes = ak.columns().set_index("name")["dtype"]
        for name, value in (plain | columns).items():
            frame[name] = pd.Series(value, index=frame.index).astype(dtypes[name])
        return frame.astype({"id": "int64"})

    return build


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a disk of so many bytes, or give one other options: ``small_disk("4m,ro", folder)``."""
    if os.name != "posix" or os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root may mount a disk of its own")
    mounted: list[Path] = []

    def disk(options: str, folder: Path | None = None) -> Path:
        again = "remount," if folder else ""
        if folder is None:
            folder = tmp_path / f"disk{len(mounted)}"
            folder.mkdir()
        how = ["mount", "-t", "tmpfs", "-o", f"{again}size={options}", "tmpfs", str(folder)]
        if subprocess.run(how, capture_output=True, check=False).returncode:
            pytest.skip("no disk may be mounted here")
        if not again:
            mounted.append(folder)
        return folder

    yield disk
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Start a local Spark session, and stop it in the end."""
    if not shutil.which("java"):
        pytest.skip("Spark needs Java: install a JRE, such as Debian's default-jre-headless")
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "America/New_York",
        # for speed: the frames are tiny
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.adaptive.enabled": "false",
    }
    session = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
