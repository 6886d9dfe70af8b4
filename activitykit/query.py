"""How the values of a filter are asked for: never so that the service could misread them."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

OneOrMore = str | Iterable[str]

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
# characters that the query language may read as its own, so they never stand in what is sent
_QUERY_SYNTAX = re.compile(r"[()*%_\\]")
_MAX_NAME, _MAX_ID = 256, 64


def spellings(values: Iterable[Any]) -> list[Any]:
    """Add the lower- and upper-case forms of GUIDs, which producers spell as they like."""
    forms = (
        (value, value.lower(), value.upper())
        if isinstance(value, str) and GUID.fullmatch(value)
        else (value,)
        for value in values
    )
    return list(dict.fromkeys(form for group in forms for form in group))


def guids_and_names(values: OneOrMore) -> tuple[list[str], list[str]]:
    """Tell ids from names by their form."""
    guids = [value for value in values if GUID.fullmatch(value)]
    return guids, [value for value in values if not GUID.fullmatch(value)]


def exact(
    param: str, values: OneOrMore, *, known: Sequence[str] = (), longest: int = _MAX_ID
) -> list[tuple[str, str]]:
    """Send alternatives as they are, or nothing when the service might misread one of them."""
    forms = spellings(values)
    if all(_is_plain(form, longest) and (not known or form in known) for form in forms):
        return [(param, form) for form in forms]
    return []


def _is_plain(value: str, longest: int) -> bool:
    return 0 < len(value) <= longest and not _QUERY_SYNTAX.search(value)


def named(param: str, values: OneOrMore) -> list[tuple[str, str]]:
    """Send names as they are; a single one with wildcards or brackets by its longest plain part."""
    sent, names = exact(param, values, longest=_MAX_NAME), list(values)
    if sent or len(names) != 1:
        return sent
    longest = max(_QUERY_SYNTAX.split(names[0]), key=len)
    return [(param, f"like({longest})")] if _is_plain(longest, _MAX_NAME) else []


def id_or_name(what: str, values: OneOrMore) -> list[tuple[str, str]]:
    """Send GUIDs as ids, or names as names; nothing when there are both."""
    guids, names = guids_and_names(values)
    if guids and names:
        return []  # the service joins different fields by "and", never by "or"
    return exact(f"{what}Id", guids) if guids else named(f"{what}Name", names)
