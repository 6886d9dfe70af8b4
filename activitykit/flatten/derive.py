"""Columns that we work out: what an activity did, and why it failed.

The cause is looked up in the order that users of the API have settled on: the deepest sentence of
the error chain, then ``debug.msg``, ``cause_str``, ``reason`` and ``code`` of the error; without an
error the same of the first warning, then of an error in the payload, then the payload's first
unresolved item, then what the agent wrote into the context.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.flatten.documents import read_any
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

_TEXT: Final = pa.large_string()
# a longer sentence groups no better, and hostile ones would take long
_LONGEST: Final = 1_000
_GUID: Final = GUID.pattern
_QUOTED: Final = r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|`[^`]*`"""
_QUOTED_OR_ID: Final = re.compile(f"(?P<name>{_QUOTED})|(?P<id>{_GUID})", re.IGNORECASE)
# the first that fits wins; error codes in hex say what failed, so they stay
PARTICULAR: Final = re.compile(
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
"""What is particular to one machine or one run in a sentence; groups name what it is."""


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
    texts = partial(_texts, columns, as_json)

    def names(at: Any) -> Iterator[tuple[str | None, ...]]:  # noqa: ANN401
        return zip(*(texts(name, at).to_pylist() for name in _NAMES), strict=True)

    operations = texts("type", None, _known)
    unknown = pc.indices_nonzero(operations.is_null())
    titles = [title and blank_names(title, about) for title, about in zip(
        texts("context.title", unknown).to_pylist(), names(unknown), strict=True
    )]  # fmt: skip
    wrong = _gone_wrong(columns)
    heads, causes = _reasons(texts, wrong)
    heads = pc.coalesce(heads, texts(_CODE, wrong), pa.scalar("error", _TEXT))
    signatures = map(signature, heads.to_pylist(), causes.to_pylist(), names(wrong))
    nothing = pa.nulls(len(operations), _TEXT)
    return {
        "operation": _put(
            operations, unknown, pc.coalesce(pa.array(titles, _TEXT), texts("type", unknown))
        ),
        "error_signature": _put(nothing, wrong, pa.array(list(signatures), _TEXT)),
        "error_cause": _put(nothing, wrong, causes),
    }


def _text(value: object) -> str | None:
    """Give a value that says something as text, None for any other."""
    if isinstance(value, str):
        # half a surrogate pair can be in JSON text, but not in a column of text
        text = value if value.isascii() else value.encode(errors="replace").decode()
        return text if text.strip() else None
    return str(value) if isinstance(value, int | float) else None


def _texts(
    columns: Mapping[str, Any], as_json: Collection[str], name: str, at: Any,  # noqa: ANN401
    read: Callable[[Any], str | None] = _text,
) -> Any:  # fmt: skip  # noqa: ANN401
    """Read a column at some rows, or all, as text; each distinct value is looked at once."""
    if name not in columns:
        return pa.nulls(len(at), _TEXT)
    cells = (columns[name] if at is None else columns[name].take(at)).dictionary_encode()
    values = cells.dictionary.to_pylist()
    if name in as_json:
        values = [read_any(value) for value in values]
    return pa.array([read(value) for value in values], _TEXT).take(cells.indices)


def _known(kind: object) -> str | None:
    text = _text(kind) or ""
    return KNOWN_TYPES.get(text) or KNOWN_TYPES.get(text.upper())


def _put(values: Any, at: Any, texts: Any) -> Any:  # noqa: ANN401
    """Put texts into some rows of a column."""
    mask = np.zeros(len(values), dtype=bool)
    mask[at.to_numpy()] = True
    return pc.replace_with_mask(values, pa.array(mask), texts)


def signature(head: str, cause: str | None, names: Iterable[str | None] = ()) -> str:
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


def blank_names(title: str, names: Iterable[str | None] = ()) -> str:
    """Blank what is quoted, ids, and the given names in the title of an activity.

    Examples
    --------
    >>> blank_names("Deleting plan 'Servers' from web-1", ["web-1"])
    'Deleting plan … from …'
    """
    return _unquoted(_without(title, names))


def _without(text: str, names: Iterable[str | None]) -> str:
    # very short ones may be plain words
    held = {name for name in names if name and len(name) > 2 and name in text}
    # the longest first, since one may be a part of another
    for name in sorted(held, key=lambda name: (-len(name), name)):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
    return text


@lru_cache(maxsize=10_000)
def _unquoted(text: str) -> str:
    return _tidy(_QUOTED_OR_ID.sub("…", text))


@lru_cache(maxsize=10_000)
def _general(text: str) -> str:
    return _tidy(PARTICULAR.sub(_placeholder, text))


def _placeholder(found: re.Match[str]) -> str:
    kind = found.lastgroup
    return {"keep": found[0], "name": "…"}.get(str(kind), f"<{kind}>")


def _tidy(text: str) -> str:
    return " ".join(re.sub(r"['\"]…['\"]", "…", text).split())


def _gone_wrong(columns: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Find the rows with a result other than ok, or with an error."""
    wrong = pc.fill_null(pc.not_equal(columns[_CODE].cast(pa.large_string()), "ok"), False)
    for name in (f"{_OWN}.domain", f"{_OWN}.code", *(n for n in _ERRORS if n.startswith(_OWN))):
        if name in columns:
            wrong = pc.or_(wrong, columns[name].is_valid())
    return pc.indices_nonzero(wrong)


def _reasons(texts: Callable[..., Any], at: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Give domain/code and the cause of what went wrong at some rows, as far as they are told."""

    def told(error: str, paths: Iterable[str], *causes: Any) -> tuple[Any, Any]:  # noqa: ANN401
        domain, code = (texts(f"{error}.{path}", at) for path in ("domain", "code"))
        both = pc.binary_join_element_wise(domain, code, pa.scalar("/", _TEXT))
        known = (texts(f"{error}.{path}", at) for path in paths)
        return pc.coalesce(both, domain, code), pc.coalesce(*causes, *known)

    found = (
        told(_OWN, _TOLD, texts(_CHAIN, at, _deepest)),
        (texts(_WARNINGS, at, _head_of_first), texts(_WARNINGS, at, _cause_of_first)),
        told(_PAYLOAD, _LOOK_UP),
    )
    heads = pa.nulls(len(at), _TEXT)
    causes = pc.coalesce(texts(_UNRESOLVED, at, _message_of_first), texts(_RESULT, at))
    # the first that tells anything counts, with both or one of the two
    for head, cause in reversed(found):
        here = pc.or_(head.is_valid(), cause.is_valid())
        heads, causes = pc.if_else(here, head, heads), pc.if_else(here, cause, causes)
    return heads, causes


def _head_of_first(errors: object) -> str | None:
    parts = map(_text, _told_in(_first_of(errors))[:2])
    return "/".join(filter(None, parts)) or None


def _cause_of_first(errors: object) -> str | None:
    return next(filter(None, map(_text, _told_in(_first_of(errors))[2:])), None)


def _message_of_first(items: object) -> str | None:
    return _text(_first_of(items).get("message"))


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
