"""The front door: activities from the service, a file or a list -> a frame."""

import gzip
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.filters import Filter
from activitykit.flatten import flatten, flatten_pages


def load(
    source: Any,
    where: Filter | None = None,
    *,
    workers: int = 4,
    partial: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Load activities from a client, a file or an iterable of dicts."""
    if isinstance(source, str | PathLike):
        path = Path(source)
        if not path.is_file():
            raise ConfigError(f"{path}: no such file")
        data = path.read_bytes()
        frame = flatten_pages([gzip.decompress(data) if path.suffix == ".gz" else data])
    elif hasattr(source, "pages"):
        frame = flatten_pages(source.pages(where, workers=workers, progress=progress))
    else:
        frame = flatten(source)
    return where.select(frame) if where else frame
