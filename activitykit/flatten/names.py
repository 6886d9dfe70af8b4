r"""Column names: JSON paths joined with dots, and back.

A dot or backslash in a key gets a backslash in front, so no two paths have the same name. So does a
top-level key that would take the name of a column of ours. Half a surrogate pair, which no file can
hold, is written as ``\ud800``.
"""

import re
from collections.abc import Iterable
from typing import Final

from activitykit.schema import CORE, DERIVED

TIMES: Final = tuple(column.name for column in CORE if column.kind == "time")
REST: Final = "context_rest"
"""Column of JSON text that takes the rarest paths of a very wide load."""

RAW: Final = "_raw"
"""Ends the name of the column that keeps what is no time, or one in another spelling."""

RESERVED: Final = frozenset(
    {REST, *(name + RAW for name in TIMES), *(column.name for column in DERIVED)}
)
"""Names of columns that are no JSON paths."""

_TO_ESCAPE = re.compile(r"[\\.]")
SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r"\\u(d[89a-f][0-9a-f]{2})|\\(.)|\.", re.DOTALL)


def name_of(path: Iterable[str]) -> str:
    r"""Write a JSON path as a column name.

    Examples
    --------
    >>> print(name_of(["context", "a.b"]), name_of(["operation"]))
    context.a\.b \operation
    """
    name = ".".join(_TO_ESCAPE.sub(r"\\\g<0>", key) for key in path)
    if not name.isascii():
        name = SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", name)
    return f"\\{name}" if name in RESERVED else name


def path_of(name: str) -> tuple[str, ...]:
    r"""Read a column name as a JSON path; undoes `name_of`.

    Examples
    --------
    >>> path_of(r"context.a\.b")
    ('context', 'a.b')
    """
    path, start = [""], 0
    for token in _TOKEN.finditer(name):
        path[-1] += name[start : token.start()]
        start = token.end()
        half, escaped = token.groups()
        if half:
            path[-1] += chr(int(half, 16))
        elif escaped:
            path[-1] += escaped
        else:
            path.append("")
    path[-1] += name[start:]
    return tuple(path)
