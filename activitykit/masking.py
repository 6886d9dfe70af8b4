"""A frame for sharing: whom and what it tells of is replaced by consistent pseudonyms.

The whole path of a text decides. What is known to be a word of the service stays (`_STAYS`),
sentences have what is particular in them replaced (`_SENTENCE`), and everything else is replaced as
a whole, since nobody knows what a new key will hold. A text that was replaced as a whole is looked
for in sentences and in keys, and names of tenants, machines, plans and users in what stays, too.

A pseudonym is a function of the text and the secret alone. So it is the same in every column and
every file that was masked with the same secret.
"""

import hmac
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, Final, Literal
from uuid import UUID

import pandas as pd

from activitykit.errors import ConfigError, SnapshotError
from activitykit.flatten.derive import PARTICULAR, PATHS
from activitykit.flatten.names import RESERVED, REST, name_of, path_of
from activitykit.moments import parse_time
from activitykit.query import GUID
from activitykit.schema import ATTRS, CORE, KNOWN_TYPES, RESULT_CODES, STATES

# Keys from the root on, in lower case and without underscores. Nothing goes by its last key alone:
# `result.error.domain` is a word of the service, `context.Domain` may be a customer's.
_ERROR: Final = r"result\.(?:error|warnings|payload\.error)"
_LINK: Final = rf"{_ERROR}\.context\.src(?:\.suberror)*"
_STAYS: Final = re.compile(
    rf"""
    type | state | priority | queue | (?:id|taskid|parentactivityid|workflowid)string
  | resource\.type | policy\.type | progress\.lefttime | result\.code
  | context\.(?:executionqueue | activitytype | resourcetype | resourcekind | resourcesubtype
      | phase | suite | runmode | specific | persistent\.agenttype
      | argument\.(?:add|remove)components | persistent\.sources\.itemkey\.itemtype)
  | {_ERROR}\.(?:domain | code | context\.(?:\$module | oserrorcode)
      | kblink\.(?:linetag | sercode | build | os | product | version))
  | {_LINK}\.(?:code | src\.(?:file | func | tag) | fields\.(?:\$module | code))
    """,
    re.VERBOSE,
)
_SENTENCE: Final = re.compile(
    rf"""
    operation | errorcause | context\.(?:title | result)
  | {_ERROR}\.(?:reason | message | debug\.msg | context\.(?:cause|effect)str) | {_LINK}\.text
  | result\.payload\.unresolveditemswarning\.message
    """,
    re.VERBOSE,
)
# whoever is called so, the words tell nothing
_WORDS: Final = frozenset({
    *KNOWN_TYPES, *STATES, *RESULT_CODES, "backup", "policy.protection.total", "machine", "MAILBOX",
    "DRIVE", "SITE", "Common", "Licensing", "Access", "PolicyManager", "VaultManager",
    "environment", "InternalError", "default", "Windows", "Linux", "cloud",
})  # fmt: skip
# what stands here names somebody, even if a word of the service reads the same
_NAMING: Final = frozenset({"tenant", "resource", "policy", "executor", "issuer", "startedByUser"})
# keys that code of ours looks up, and that the service's own objects are made of
_KEYS: Final = frozenset({
    "_src", "suberror", "fields", "types", "src", "text", "file", "func", "tag", "line", "kbLink",
    "$module", "UserName", "account", "argument", "Persistent", "Sources", "_runtime",
    *(key for name in PATHS for key in path_of(name)),
    *(key for column in CORE for key in path_of(column.name)),
})  # fmt: skip
# numbers that are ids of tenants
_TENANTS: Final = frozenset({"ownerid", "tenantid", "tenantname", "account", "accountid"})
_NOTES: Final = (
    "schema_version", "complete", "pages", "rows", "duplicates", "conflicts", "unreadable_times",
    "tasks_left_out", "json_columns", "rest_columns", "ended_since",
)  # fmt: skip
_COLUMNS: Final = frozenset({*RESERVED, *(column.name for column in CORE)})

_LEAST_KEY: Final = 16
_WORD: Final = re.compile(r"[^\W_]+")
# accounts such as DOMAIN\user, and any name with dots
_LOOSE: Final = re.compile(r"[\w.-]+\\[\w.$-]+|\b[\w-]+(?:\.[\w-]+)*\.[^\W\d_][\w-]+")
_IN_BRACES: Final = re.compile(rf"\{{?{GUID.pattern}\}}?", re.IGNORECASE)

Path = tuple[str, ...]
_Rule = Literal["stays", "sentence", "signature", "locator", "whole"]


def masked(df: pd.DataFrame, key: str | bytes | None = None) -> pd.DataFrame:
    """Replace names, hosts, users, paths and ids of tenants and resources by pseudonyms.

    Parameters
    ----------
    df
        Activities.
    key
        The secret; a random one by default, that nobody knows afterwards.

    Returns
    -------
    pandas.DataFrame
        With the same rows, columns and types, and of the notes only what is harmless. Types,
        states, results, error codes, times, counts and the numbers of activities and tasks stay.

    Raises
    ------
    ConfigError
        When the key is too short to be a secret.
    SnapshotError
        When a column holds neither text nor numbers nor times.

    Notes
    -----
    Not recognised, so look at the texts before you share them:

    - a name in a sentence, without quotes, that stands alone nowhere else, or is spelled otherwise
      or part of a longer word there;
    - a name that stands only where the service has words of its own, such as an error code (one
      without blanks also if it is under unknown keys, too), or only as a key of plain letters;
    - names of one or two characters in sentences and keys;
    - names that read like a time, or like a known type, state or result;
    - numbers that are no ids of tenants.

    Examples
    --------
    >>> from activitykit import flatten
    >>> df = flatten([{"id": 7, "resource": {"name": "web-1"}, "context": {"title": "On web-1"}}])
    >>> masked(df, "correct horse battery")[["resource.name", "context.title"]].values.tolist()
    [['name-1b1a10f9a14e', 'On name-1b1a10f9a14e']]
    """
    if key is not None and len(key) < _LEAST_KEY:
        raise ConfigError(f"a key for masking needs at least {_LEAST_KEY} characters")
    secret = key.encode() if isinstance(key, str) else key or secrets.token_bytes(32)
    as_json = frozenset(df.attrs.get(ATTRS, {}).get("json_columns", ()))
    cells = {name: _distinct(df[name], name, as_json) for name in df.columns}
    mask = _Mask(secret, cells)
    names = {name: mask.column(name) for name in df.columns}
    columns = [
        _put(df[name], codes, [mask.value(path_of(name), one) for one in values], name in as_json)
        for name, (codes, values) in cells.items()
    ]
    found = pd.concat(columns, axis=1) if columns else df.copy()
    found.columns = pd.Index([names[name] for name in df.columns], dtype=df.columns.dtype)
    notes = df.attrs.get(ATTRS, {})
    kept = {name: _renamed(notes[name], names) for name in _NOTES if name in notes}
    found.attrs = {ATTRS: {**kept, "source": None, "filter": None, "masked": True}}
    return found


class _Mask:
    """Pseudonyms, and the texts of a frame that must not stand anywhere in it."""

    def __init__(self, secret: bytes, cells: dict[str, Any]) -> None:
        self.secret = secret
        self.originals: dict[str, str] = {}  # by pseudonym
        leaves = [
            leaf
            for name, (_, values) in cells.items()
            for value in values
            for leaf in _leaves(path_of(name), value)
        ]
        kinds = (t.upper() for path, t in leaves if path == ("type",) and GUID.fullmatch(t))
        self.types = {*KNOWN_TYPES, *kinds}
        self.harmless = {text for path, text in leaves if _rule(path) == "stays"}
        whole = [(path, text) for path, text in leaves if _rule(path) == "whole"]
        names = {text: _names_somebody(path, text) for path, text in sorted(whole, key=_certainty)}
        names = {name: sure for name, sure in names.items() if len(name) > 2 and not _is_time(name)}
        self.by_word = _by_rarest_word(
            {name for name, sure in names.items() if sure or name not in _WORDS}
        )
        self.sure = _by_rarest_word({name for name, sure in names.items() if sure})

    def column(self, name: str) -> str:
        """Give the name of a column; keys of the service's own stay."""
        return name if name in _COLUMNS else name_of(map(self.key, path_of(name)))

    def key(self, key: str) -> str:
        """Mask a key of a JSON object that holds a name, or that the service would not write."""
        if key in _KEYS:
            return key
        usual = re.fullmatch(r"[\w$-]*", key, re.ASCII) and not GUID.search(key)
        # the words of acmeServer01 are those of acme_Server_01
        apart = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Za-z])(?=\d)", "_", key)
        known = _names_in(key, self.by_word) or _names_in(apart, self.by_word)
        return key if usual and not known else self.whole(key)

    def value(self, path: Path, value: Any) -> Any:  # noqa: ANN401 - a JSON value
        """Mask a value, and all below it."""
        if isinstance(value, dict):
            key = self.column if path == (REST,) else self.key
            return {key(name): self.value(_below(path, name), one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.value(path, one) for one in value]
        if isinstance(value, str):
            return self.leaf(path, value)
        if isinstance(value, int) and not isinstance(value, bool) and _plain(path) in _TENANTS:
            return int(self.whole(str(value)))
        return value

    def leaf(self, path: Path, text: str) -> str:
        """Mask a text as its key demands."""
        below = _as_json(text)
        if below is not None:
            return _to_json(self.value(path, below))
        rule = _rule(path)
        if rule == "stays":
            return self._word(path, text)
        if rule == "sentence":
            known = path == ("operation",) and text in KNOWN_TYPES.values()
            return text if known or self._is_harmless(text) else self.text(text)
        if rule == "locator":
            return "/".join(map(self.whole, text.split("/")))
        return self._signature(text) if rule == "signature" else self.whole(text)

    def text(self, text: str) -> str:
        """Mask what is particular in a sentence."""
        text = self._without(text, self.by_word)
        text = GUID.sub(lambda found: self.whole(found[0]), text)
        text = PARTICULAR.sub(self._particular, text)
        return _LOOSE.sub(lambda found: self.whole(found[0]), text)

    def whole(self, text: str) -> str:
        """Give the pseudonym of a text, of its form: a GUID, a number, or else a name."""
        if len(text) < 2 or text in self.originals or text.upper() in self.types or _is_time(text):
            return text
        # part of it may have been replaced already, but not in another file
        text = _PSEUDONYM.sub(lambda found: self.originals.get(found[0], found[0]), text)
        is_guid = GUID.fullmatch(text)
        plain = (text.lower() if is_guid else text).encode("utf-8", "surrogatepass")
        digest = hmac.digest(self.secret, plain, "sha256")
        if is_guid:
            pseudonym = str(UUID(bytes=digest[:16], version=4))
            pseudonym = pseudonym.upper() if text.isupper() else pseudonym
        elif text.isascii() and text.isdigit():
            pseudonym = str(10**11 + int.from_bytes(digest) % (9 * 10**11))
        else:
            pseudonym = f"name-{digest.hex()[:12]}"
        self.originals[pseudonym] = text
        return pseudonym

    def _particular(self, found: re.Match[str]) -> str:
        text, kind = found[0], found.lastgroup
        if kind == "name":
            return f"{text[0]}{self._quoted(text[1:-1])}{text[-1]}"
        stays = kind == "keep" or (kind == "id" and _IN_BRACES.fullmatch(text))
        harmless = kind == "n" and not re.search(r"[^\W\d_]", text)
        return text if stays or harmless else self.whole(text)

    def _signature(self, text: str) -> str:
        """Mask domain and code as words of the service, and the cause as a sentence."""
        head, colon, cause = text.partition(": ")
        words = head.split("/")
        if not {*words} <= {*self.harmless, "error"}:
            return self.text(text)
        masks = [self._word(("result", "error", "code"), word) for word in words]
        return f"{'/'.join(masks)}{colon}{self.text(cause)}"

    def _quoted(self, text: str) -> str:
        return text if self._is_harmless(text) or not text.strip("… ") else self.whole(text)

    def _is_harmless(self, text: str) -> bool:
        return text in self.harmless and not _names_in(text, self.by_word)

    def _word(self, path: Path, text: str) -> str:
        """Mask names of people and machines in a word of the service."""
        is_number = text.isdigit() and _plain(path).endswith("string")
        stays = text in _WORDS or is_number or (path == ("type",) and GUID.fullmatch(text))
        return text if stays else self._without(text, self.sure)

    def _without(self, text: str, by_word: dict[str, list[str]]) -> str:
        """Replace the names that stand in a text."""
        known = _names_in(text, by_word)
        if not known:
            return text
        same = {name.casefold(): name for name in sorted(known)}
        return _any_of(frozenset(known)).sub(
            lambda found: self.whole(
                found[0] if found[0] in known else same.get(found[0].casefold(), found[0])
            ),
            text,
        )


_PSEUDONYM: Final = re.compile(rf"name-[0-9a-f]{{12}}|{GUID.pattern}|\b\d{{12}}\b", re.IGNORECASE)


def _plain(path: Path) -> str:
    return path[-1].replace("_", "").lower()


@lru_cache(maxsize=10_000)
def _rule(path: Path) -> _Rule:
    if path == ("error_signature",):
        return "signature"
    # a key with a dot must not read as two
    known = ".".join(key.replace(".", " ").replace("_", "").lower() for key in path)
    if _STAYS.fullmatch(known):
        return "stays"
    if known == "tenant.locator":
        return "locator"
    return "sentence" if _SENTENCE.fullmatch(known) else "whole"


def _names_somebody(path: Path, text: str) -> bool:
    """Tell whether a text is a name for certain: by its place, or since no code has blanks."""
    return path[0] in _NAMING or _plain(path).endswith(("name", "user", "account")) or " " in text


def _certainty(leaf: tuple[Path, str]) -> bool:
    return _names_somebody(*leaf)


def _below(path: Path, key: str) -> Path:
    """Give the path of a key of an object; that of rare paths has names of columns as keys."""
    return path_of(key) if path == (REST,) else (*path, key)


def _is_time(text: str) -> bool:
    return parse_time(text) is not None


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, str]]:  # noqa: ANN401
    """Give all texts at or below a path, with their paths."""
    if isinstance(value, dict):
        yield from chain.from_iterable(
            _leaves(_below(path, key), one) for key, one in value.items()
        )
    elif isinstance(value, list):
        yield from chain.from_iterable(_leaves(path, one) for one in value)
    elif isinstance(value, str):
        below = _as_json(value)
        yield from [(path, value)] if below is None else _leaves(path, below)


def _as_json(text: str) -> Any:  # noqa: ANN401
    """Read a text that is a JSON object or list; None for any other."""
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _to_json(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _by_rarest_word(names: set[str]) -> dict[str, list[str]]:
    """Index names by the word that the fewest of them hold."""
    words = {name: set(_WORD.findall(name.casefold())) for name in names}
    count = Counter(chain.from_iterable(words.values()))
    found: dict[str, list[str]] = {}
    for name, held in words.items():
        if held:
            found.setdefault(min(held, key=lambda word: (count[word], word)), []).append(name)
    return found


def _names_in(text: str, by_word: dict[str, list[str]]) -> set[str]:
    """Find the names that stand in a text, in upper or lower case, and not within a word."""
    folded = text.casefold()
    known = {
        name
        for word in set(_WORD.findall(folded))
        for name in by_word.get(word, ())
        if name.casefold() in folded
    }
    return known if known and _any_of(frozenset(known)).search(text) else set()


@lru_cache(maxsize=1_000)
def _any_of(names: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile("|".join(map(_bounded, longest_first)), re.IGNORECASE)


def _bounded(name: str) -> str:
    """Write a pattern for a name that is no part of a longer word."""
    before = r"(?<![^\W_])" if _WORD.match(name) else ""
    after = r"(?![^\W_])" if _WORD.fullmatch(name[-1]) else ""
    return f"{before}{re.escape(name)}{after}"


# -- cells of a frame ------------------------------------------------------------------------------


def _distinct(values: "pd.Series[Any]", name: str, as_json: frozenset[str]) -> Any:  # noqa: ANN401
    """Give the codes and the distinct values of a column; none for one that is no text."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    api = pd.api.types
    if api.is_bool_dtype(values) or api.is_float_dtype(values) or values.dtype.kind in "mM":
        return None, []
    if api.is_integer_dtype(values) and _plain(path_of(name)) not in _TENANTS:
        return None, []
    try:
        codes, found = pd.factorize(values)
        distinct: list[Any] = [value if isinstance(value, str) else int(value) for value in found]
    except (TypeError, ValueError) as error:
        raise SnapshotError(
            f"the column {name} holds neither text nor numbers nor times, so it cannot be masked;"
            " leave it out"
        ) from error
    return codes, [json.loads(one) for one in distinct] if name in as_json else distinct


def _put(values: "pd.Series[Any]", codes: Any, masks: list[Any], as_json: bool) -> Any:  # noqa: ANN401, FBT001
    """Put the masked values in the place of the distinct ones."""
    if codes is None:
        return values
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    write: Callable[[Any], Any] = _to_json if as_json else lambda value: value
    array = pd.Series([write(one) for one in masks], dtype=dtype).array
    taken = pd.api.extensions.take(array, codes, allow_fill=True)
    return pd.Series(taken, index=values.index, name=values.name, dtype=dtype)


def _renamed(note: Any, names: dict[str, str]) -> Any:  # noqa: ANN401
    """Let a note tell of the columns by their new names."""
    if isinstance(note, dict):
        return {key: _renamed(one, names) for key, one in note.items()}
    if isinstance(note, list):
        return [_renamed(one, names) for one in note]
    return names.get(note, note) if isinstance(note, str) else note
