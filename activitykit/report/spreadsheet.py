"""Activities as a CSV file that a spreadsheet can open without harm."""

import csv
import os
import re
from pathlib import Path
from typing import Any, Final

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.files import replacing
from activitykit.schema import CORE

# a spreadsheet may split at signs that are no separator in the file
_FORMULA: Final = re.compile(r"(?:^|(?<=[;,\t\r\n]))(?=[=+\-@\t\r＝＋－＠])")


def write_csv(df: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write the core columns of activities as CSV, all or nothing.

    Text that a spreadsheet would take for a formula gets an apostrophe before it: names come from
    the machines of customers. The file is UTF-8 with a mark, so that Excel reads all scripts; times
    are in UTC. Excel rounds ids to 15 digits; ``uuid`` is the same identity as text.

    Raises
    ------
    ConfigError
        When the file cannot be written.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten([{"id": 7, "resource": {"name": "=1+1"}}])
    >>> path = write_csv(df, getfixture("tmp_path") / "a.csv")
    >>> pd.read_csv(path)["resource.name"].tolist()
    ["'=1+1"]
    """
    target = Path(path)
    table = df[[column.name for column in CORE if column.name in df]]
    texts = [name for name in table if pd.api.types.is_string_dtype(table[name])]
    safe = table.assign(**{str(name): _harmless(table[name]) for name in texts})
    try:
        with replacing(target) as file:
            safe.to_csv(file, index=False, encoding="utf-8-sig", quoting=csv.QUOTE_NONNUMERIC)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _harmless(texts: "pd.Series[Any]") -> "pd.Series[Any]":
    risky = {text: _FORMULA.sub("'", text) for text in texts.unique() if _is_risky(text)}
    return texts.replace(risky) if risky else texts


def _is_risky(text: object) -> bool:
    return isinstance(text, str) and _FORMULA.search(text) is not None
