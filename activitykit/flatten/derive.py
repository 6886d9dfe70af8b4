"""Columns that we work out: what an activity did, and why it failed.

The cause is looked up in the order that users of the API have settled on: the deepest sentence of
the error chain, then ``debug.msg``, ``cause_str``, ``reason`` and ``code`` of the error; without an
error the same of the first warning, then of an error in the payload, then the payload's first
unresolved item, then what the agent wrote into the context.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.query import GUID
from activitykit.schema import KNOWN_TYPES

_LOOK_UP: Final = ("debug.msg", "context.cause_str", "reason", "code")
# the fourth link of the chain and all below it are JSON text in one column
_LINKS: Final = tuple("context._src" + ".suberror" * depth for depth in range(4))
_TOLD: Final = (*(f"{link}.text" for link in reversed(_LINKS[:-1])), *_LOOK_UP)
_OWN, _PAYLOAD = "result.error", "result.payload.error"
_CHAIN: Final = f"{_OWN}.{_LINKS[-1]}"
_WARNINGS, _UNRESOLVED = "result.warnings", "result.payload.UnresolvedItemsWarning"
_CODE, _RESULT = "result.code", "context.Result"
_ERRORS: Final = (
    *(f"{_OWN}.{path}" for path in ("domain", *_TOLD)), _CHAIN,
    *(f"{_PAYLOAD}.{path}" for path in ("domain", *_LOOK_UP)), _WARNINGS, _UNRESOLVED, _RESULT,
)  # fmt: skip
_NAMES: Final = ("resource.name", "policy.name", "tenant.name", "context.MachineName")

PATHS: Final = frozenset({*_ERRORS, *_NAMES})
"""Columns that are looked at."""

# a longer sentence groups no better, and hostile ones would take long
_LONGEST: Final = 1_000
_GUID: Final = GUID.pattern
_QUOTED: Final = r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|`[^`]*`"""
_QUOTED_OR_ID: Final = re.compile(f"(?P<name>{_QUOTED})|(?P<id>{_GUID})", re.IGNORECASE)
# the first that fits wins; error codes in hex say what failed, so they stay
_PARTICULAR: Final = re.compile(
    rf"""
    (?P<keep> \b0x[0-9a-f]{{8}}\b )
  | (?P<id>   \{{?\b{_GUID}[\w-]*\}}? )
  | (?P<name> {_QUOTED} )
  | (?P<path> \b[a-z][a-z0-9+.-]+://[^\s,;]+ | \\\\[^\s,;]+ | \b[a-z]:[\\/][^\s,;]*
            | (?<![\w.])/[\w.~-]+/[^\s,;]* )
  | (?P<user> \b[\w.+-]+@[\w-]+(?:\.[\w-]+)+ )
  | (?P<ip>   \b\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?::\d+)?\b
            | \b[0-9a-f]{{1,4}}(?:::?[0-9a-f]{{1,4}}){{3,7}}\b )
  | (?P<host> \b[a-z0-9-]+(?:\.[a-z0-9-]+)*
              \.(?:com|net|org|local|lan|cloud|internal|corp|example|test|de|eu|fr|uk|io)
              (?::\d+)?\b )
  | (?P<n>    \b\d+(?:[.,:]\d+)*\b | \b(?=[a-z_-]*\d)[\w-]+\b )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def derive(columns: Mapping[str, Any], as_json: Collection[str]) -> dict[str, Any]:
    """Work out ``operation``, ``error_signature`` and ``error_cause``.

    Parameters
    ----------
    columns
        Arrow arrays of equal length by column name, the core among them.
    as_json
        Columns that hold JSON text.

    Returns
    -------
    dict
        The three columns as Arrow text. Cause and signature are null where nothing went wrong; a
        failure that gives no reason has its result code as signature, such as "timedout".
    """

    def cells(name: str, at: Any) -> list[Any]:  # noqa: ANN401 - Arrow is untyped
        distinct = columns[name].take(at).dictionary_encode()
        values = [*distinct.dictionary.to_pylist(), None]
        if name in as_json:
            values = [v and json.loads(v) for v in values]
        return [values[i] for i in distinct.indices.fill_null(-1).to_numpy()]

    def rows(at: Any, *names: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401
        here = [name for name in names if name in columns]
        for values in zip(*(cells(name, at) for name in here), strict=True):
            yield dict(zip(here, values, strict=True))

    operations, unknown = _known(columns["type"], as_json="type" in as_json)
    titles = [
        blank_names(title, _names(row))
        if (title := _text(row["context.title"]))
        else _text(row["type"])
        for row in rows(unknown, "type", "context.title", *_NAMES)
    ]
    wrong = _gone_wrong(columns)
    causes, signatures = [], []
    for row in rows(wrong, _CODE, *_ERRORS, *_NAMES):
        head, cause = _reason(row)
        causes.append(cause)
        signatures.append(signature(head or _text(row[_CODE]) or "error", cause, _names(row)))
    nothing = pa.nulls(len(operations), pa.large_string())
    return {
        "operation": _put(operations, unknown, titles),
        "error_signature": _put(nothing, wrong, signatures),
        "error_cause": _put(nothing, wrong, causes),
    }


def _known(kinds: Any, *, as_json: bool) -> tuple[Any, Any]:  # noqa: ANN401
    """Name the operations in the table of known types, and the rows of the others."""
    distinct = kinds.dictionary_encode()
    types = [v and json.loads(v) if as_json else v for v in distinct.dictionary.to_pylist()]
    names = [KNOWN_TYPES.get(t) or KNOWN_TYPES.get(t.upper()) for t in map(str, map(_text, types))]
    operations = pa.array(names, pa.large_string()).take(distinct.indices)
    return operations, pc.indices_nonzero(operations.is_null())


def _put(values: Any, at: Any, texts: Sequence[str | None]) -> Any:  # noqa: ANN401
    """Put texts into some rows of a column."""
    mask = np.zeros(len(values), dtype=bool)
    mask[at.to_numpy()] = True
    return pc.replace_with_mask(values, pa.array(mask), pa.array(texts, pa.large_string()))


def signature(head: str, cause: str | None, names: Iterable[str] = ()) -> str:
    """Give the same text for the same failure, whichever machine it happened on.

    Parameters
    ----------
    head
        Domain and code of the error.
    cause
        What went wrong, in the words of the agent.
    names
        What the activity is about, such as the name of the machine.

    Returns
    -------
    str
        Head and cause, with ``…`` for names and quoted text, and ``<id>``, ``<path>``, ``<user>``,
        ``<ip>``, ``<host>`` and ``<n>`` (numbers, and words with digits) for the rest. Error codes
        such as 0x80070032 stay.

    Examples
    --------
    >>> signature("Common/InternalError", "Cannot reach 'web-1' (10.0.0.7) after 3 attempts.")
    'Common/InternalError: Cannot reach … (<ip>) after <n> attempts.'
    """
    if cause is None or cause in head.split("/"):
        return head
    return f"{head}: {_general(_without(cause, names)[:_LONGEST])}"


def blank_names(title: str, names: Iterable[str] = ()) -> str:
    """Blank what is quoted, ids, and the given names in the title of an activity.

    Examples
    --------
    >>> blank_names("Deleting plan 'Servers' from web-1", ["web-1"])
    'Deleting plan … from …'
    """
    return _unquoted(_without(title, names))


def _without(text: str, names: Iterable[str]) -> str:
    for name in names:
        if name in text:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
    return text


def _names(row: Mapping[str, Any]) -> list[str]:
    # the longest first, since one may be a part of another; very short ones may be plain words
    names = {name for path in _NAMES if (name := _text(row.get(path))) and len(name) > 2}
    return sorted(names, key=lambda name: (-len(name), name))


@lru_cache(maxsize=10_000)
def _unquoted(text: str) -> str:
    return _tidy(_QUOTED_OR_ID.sub("…", text))


@lru_cache(maxsize=10_000)
def _general(text: str) -> str:
    return _tidy(_PARTICULAR.sub(_placeholder, text))


def _placeholder(found: re.Match[str]) -> str:
    kind = found.lastgroup
    return {"keep": found[0], "name": "…"}.get(str(kind), f"<{kind}>")


def _tidy(text: str) -> str:
    return " ".join(re.sub(r"['\"]…['\"]", "…", text).split())


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value if value.strip() else None
    return str(value) if isinstance(value, int | float) else None


def _gone_wrong(columns: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Find the rows with a result other than ok, or with an error."""
    wrong = pc.fill_null(pc.not_equal(columns[_CODE].cast(pa.large_string()), "ok"), False)
    for name in (f"{_OWN}.domain", f"{_OWN}.code", *(n for n in _ERRORS if n.startswith(_OWN))):
        if name in columns:
            wrong = pc.or_(wrong, columns[name].is_valid())
    return pc.indices_nonzero(wrong)


def _reason(row: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Give domain/code and the cause of what went wrong, as far as they are told."""
    own = [row.get(f"{_OWN}.{path}") for path in ("domain", "code", *_TOLD)]
    own.insert(2, _deepest(row.get(_CHAIN)))
    payload = [row.get(f"{_PAYLOAD}.{path}") for path in ("domain", "code", *_LOOK_UP)]
    for found in (own, _told_in(_first_of(row.get(_WARNINGS))), payload):
        head = "/".join(filter(None, map(_text, found[:2]))) or None
        cause = next(filter(None, map(_text, found[2:])), None)
        if head or cause:
            return head, cause
    unresolved = _first_of(row.get(_UNRESOLVED))
    return None, _text(unresolved.get("message")) or _text(row.get(_RESULT))


def _told_in(error: Mapping[str, Any]) -> list[Any]:
    """Give domain, code and what is told of an error that did not become columns."""
    context, debug = (
        inner if isinstance(inner := error.get(key), dict) else {} for key in ("context", "debug")
    )
    return [
        error.get("domain"), error.get("code"), _deepest(context.get("_src")), debug.get("msg"),
        context.get("cause_str"), error.get("reason"), error.get("code"),
    ]  # fmt: skip


def _first_of(value: object) -> dict[str, Any]:
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}


def _deepest(link: object) -> str | None:
    """Find the last sentence in a chain of errors."""
    found = None
    while isinstance(link, dict):
        found = _text(link.get("text")) or found
        link = link.get("suberror")
    return found
