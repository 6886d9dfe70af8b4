"""Where the report before this one ended, for ``--since last``: a small file beside the output."""

import hashlib
import json
from pathlib import Path
from typing import Final

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.files import replacing
from activitykit.moments import format_time, to_timestamp

_HEAD: Final = ".activitykit-last-"


def last_file(folder: Path, what: dict[str, str]) -> Path:
    """Name the file for reports of one kind: each kind in a folder goes on where its last ended."""
    kind = json.dumps(what, sort_keys=True).encode()
    return folder / f"{_HEAD}{hashlib.sha256(kind).hexdigest()[:12]}.json"


def read_last(folder: Path, what: dict[str, str]) -> pd.Timestamp | None:
    """Read up to when the last report of this kind went; None before the first.

    Raises
    ------
    ConfigError
        When the file is damaged.
    """
    path = last_file(folder, what)
    try:
        return to_timestamp(json.loads(path.read_text("utf-8"))["until"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} does not tell when the last report ended ({error}); delete it, and give"
            " --since for this one"
        ) from error


def write_last(folder: Path, what: dict[str, str], until: pd.Timestamp) -> None:
    """Keep up to when this report goes, all or nothing.

    Raises
    ------
    ConfigError
        When the folder cannot be written.
    """
    text = json.dumps({"until": format_time(until), "what": what}, indent=1, sort_keys=True)
    try:
        with replacing(last_file(folder, what)) as file:
            file.write(f"{text}\n".encode())
    except OSError as error:
        raise ConfigError(
            f"the reports are written, but {folder} cannot keep where they end: {error}"
        ) from error
