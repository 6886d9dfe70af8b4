"""The query language of the emulated service: conditions, order and cursors over stored objects.

Written from the contract alone and without `activitykit.filters`, so that it can judge it.
"""

import base64
import bisect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import total_ordering
from typing import Any, Final

import numpy as np

Pairs = Sequence[tuple[str, str]]

STATES: Final = ("enqueued", "assigned", "started", "paused", "completed")
RESULTS: Final = ("ok", "error", "warning", "cancelled", "abandoned", "timedout")
PRIORITIES: Final = ("low", "belowNormal", "normal", "aboveNormal", "high")
LODS: Final = ("tiny", "short", "long", "full", "debug", "count")
OPERATORS: Final = frozenset(
    {"gt", "ge", "lt", "le", "like", "hlike", "tlike", "ne", "isnull", "notnull"}
)
_NULL_TIME: Final = np.iinfo(np.int64).min
_TIME_FORMATS: Final = (
    "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y",
)  # fmt: skip
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class QueryError(ValueError):
    """The service's words for a query that it refuses."""


@dataclass(frozen=True)
class Field:
    """A query parameter: where its value lies and how it compares."""

    path: str
    kind: str
    longest: int = 64


def _fields(**paths: str) -> dict[str, Field]:
    return {
        name: Field(path.split(":")[1], path.split(":")[0], 256 if path[0] == "n" else 64)
        for name, path in paths.items()
    }


_COMMON: Final = _fields(
    id="integer:id", uuid="uuid:uuid", type="text:type", startedBy="name:startedByUser",
    policyId="text:policy.id", policyName="name:policy.name", policyType="text:policy.type",
    resourceId="text:resource.id", resourceName="name:resource.name",
    resourceType="text:resource.type", workflowId="integer:workflowId", state="state:state",
    resultCode="result:result.code", startedAt="time:startedAt", updatedAt="time:updatedAt",
    completedAt="time:completedAt", tag="text:tags",
)  # fmt: skip
FIELDS: Final[Mapping[str, Mapping[str, Field]]] = {
    "activities": _COMMON | _fields(
        taskId="integer:taskId", parentActivityId="integer:parentActivityId",
        createdAt="time:createdAt", sustainable="boolean:sustainable",
    ),
    "tasks": _COMMON | _fields(
        executorId="text:executor.id", queue="text:queue", priority="priority:priority",
        enqueuedAt="time:enqueuedAt", assignedAt="time:assignedAt",
        affinityAgentId="text:affinity.agentId", affinityClusterId="text:affinity.clusterId",
    ),
}  # fmt: skip
ORDERED_BY: Final[Mapping[str, frozenset[str]]] = {
    "activities": frozenset(
        ("id", "uuid", "type", "startedByUser", "state", "createdAt", "startedAt", "updatedAt",
         "completedAt")
    ),
    "tasks": frozenset(
        ("id", "uuid", "type", "priority", "startedByUser", "state", "enqueuedAt", "assignedAt",
         "startedAt", "updatedAt", "completedAt")
    ),
}  # fmt: skip
_ENUMS: Final = {"state": STATES, "result": RESULTS, "priority": PRIORITIES}


def value_at(item: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Look up a dotted path; None when it is absent."""
    value: Any = item
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def read_moment(text: str, name: str) -> int:
    """Read a time of a query, in any of the six documented forms, as nanoseconds since 1970."""
    if re.fullmatch(r"\d+", text, re.ASCII):
        return int(text) * 10**9
    if re.fullmatch(r"\d+ns", text, re.ASCII):
        return int(text[:-2])
    moment = stored_moment(text)
    for form in _TIME_FORMATS if moment is None else ():
        try:
            seconds = datetime.strptime(text, form).replace(tzinfo=UTC) - _EPOCH
            moment = seconds // timedelta(seconds=1) * 10**9
        except ValueError:
            continue
    if moment is None:
        raise QueryError(
            "incorrect time format, must be one of (UNIX-TIMESTAMP-NANO, UNIX-TIMESTAMP, RFC3339,"
            f" RFC1123, RFC850, ANSI-C) on field '{name}'"
        )
    return moment


def stored_moment(text: object) -> int | None:
    """Read a time of an object; None when it is none."""
    found = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day} {clock}{zone.upper().replace('Z', '+00:00')}")
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1) * 10**9 + int(f"{fraction or 0:0<9}")


@total_ordering
@dataclass(frozen=True)
class _Falling:
    """Sorts the other way round."""

    value: Any

    def __lt__(self, other: "_Falling") -> bool:
        return bool(other.value < self.value)


class Table:
    """Objects of one kind, sorted by id, with columns made when a query needs them."""

    def __init__(self, kind: str, items: Iterable[Mapping[str, Any]]) -> None:
        self.kind = kind
        self.items = sorted((dict(item) for item in items), key=lambda item: int(item["id"]))
        self.ids = [item["id"] for item in self.items]
        self._columns: dict[str, Any] = {}
        self._below: dict[str, Any] = {}
        self._orders: dict[tuple[str, ...], Any] = {}

    def select(self, pairs: Pairs, operators: frozenset[str] = OPERATORS) -> Any:  # noqa: ANN401
        """Give the mask of the rows that meet all conditions."""
        mask = np.ones(len(self.items), dtype=bool)
        for name in dict.fromkeys(name for name, _ in pairs):
            field = FIELDS[self.kind].get(name)
            if field is None:
                raise QueryError(f"bad condition field '{name}'")
            texts = [text for key, text in pairs if key == name]
            mask &= self._meets(name, field, texts, operators)
        return mask

    def _meets(
        self, name: str, field: Field, texts: Sequence[str], operators: frozenset[str]
    ) -> Any:  # noqa: ANN401
        calls = [_parse(name, field, text, operators) for text in texts]
        plain = {value for operator, value in calls if operator == ""}
        unwanted = {value for operator, value in calls if operator == "ne"}
        if plain & unwanted:
            raise QueryError(f"contradicting conditions on field '{name}'")
        if field.kind == "time":
            return self._meets_time(field.path, calls)
        tests: list[Callable[[Any], bool]] = []
        if plain:
            tests.append(lambda value: value in plain)
        if unwanted:
            tests.append(lambda value: value is not None and value not in unwanted)
        likes = [call for call in calls if call[0] in _LIKES]
        if likes:
            tests.append(
                lambda value: value is not None and any(_LIKES[o](value, v) for o, v in likes)
            )
        tests += [_ORDERS[o](v) for o, v in calls if o in _ORDERS]
        return self._passing(field, lambda value: all(test(value) for test in tests))

    def _passing(self, field: Field, test: Callable[[Any], bool]) -> Any:  # noqa: ANN401
        codes, distinct = self._coded(field)
        answers = [
            any(map(test, value)) if isinstance(value, tuple) else test(value) for value in distinct
        ]
        return np.array(answers, dtype=bool)[codes]

    def _coded(self, field: Field) -> Any:  # noqa: ANN401
        if field.path not in self._columns:
            numbers: dict[Any, int] = {}
            codes = [
                numbers.setdefault(
                    _comparable(field.kind, value_at(item, field.path)), len(numbers)
                )
                for item in self.items
            ]
            self._columns[field.path] = np.array(codes, dtype=np.int64), list(numbers)
        return self._columns[field.path]

    def _meets_time(self, path: str, calls: Sequence[tuple[str, Any]]) -> Any:  # noqa: ANN401
        moments = self._moments(path)
        known = moments != _NULL_TIME
        plain = [value for operator, value in calls if operator == ""]
        mask = np.isin(moments, plain) if plain else np.ones(len(moments), dtype=bool)
        for operator, value in calls:
            if operator == "isnull":
                mask &= ~known
            elif operator == "notnull":
                mask &= known
            elif operator in _NUMPY_ORDERS:
                bound = max(min(value, 2**63 - 1), -(2**63) + 1)
                mask &= known & _NUMPY_ORDERS[operator](moments, bound)
        return mask

    def _moments(self, path: str) -> Any:  # noqa: ANN401
        if path not in self._columns:
            found = (stored_moment(item.get(path)) for item in self.items)
            clipped = [
                _NULL_TIME if ns is None else max(min(ns, 2**63 - 1), -(2**63) + 1) for ns in found
            ]
            self._columns[path] = np.array(clipped, dtype=np.int64)
        return self._columns[path]

    def page(
        self,
        mask: Any,  # noqa: ANN401
        order: Sequence[str],
        limit: int,
        after: Any = None,  # noqa: ANN401
    ) -> tuple[list[int], Any]:
        """Give the first rows after a key, in order, and the key of the last of them."""
        keys, rows = self._sorted(tuple(order))
        start = 0 if after is None else bisect.bisect_right(keys, self._key_of(order, after))
        found: list[int] = rows[start:][mask[rows[start:]]][:limit].tolist()
        last = self._values(order, self.items[found[-1]]) if found else after
        return found, last

    def key_at(self, order: Sequence[str], row: int) -> list[Any]:
        """Give the key of a row in an order."""
        return self._values(order, self.items[row])

    def below(self, locator: str) -> Any:  # noqa: ANN401 - a mask
        """Give the mask of the objects whose tenant lies in a sub-tree."""
        if locator not in self._below:
            self._below[locator] = self._passing(
                Field("tenant.locator", "text"),
                lambda value: not locator or (isinstance(value, str) and value.startswith(locator)),
            )
        return self._below[locator]

    def _sorted(self, order: tuple[str, ...]) -> Any:  # noqa: ANN401
        if order not in self._orders:
            keys = [self._key_of(order, self._values(order, item)) for item in self.items]
            rows = sorted(range(len(keys)), key=keys.__getitem__)
            self._orders[order] = [keys[row] for row in rows], np.array(rows, dtype=np.int64)
        return self._orders[order]

    def _values(self, order: Sequence[str], item: Mapping[str, Any]) -> list[Any]:
        return [_order_value(name, item.get(name)) for name, _ in map(_split_order, order)]

    def _key_of(self, order: Sequence[str], values: Sequence[Any]) -> Any:  # noqa: ANN401
        # nulls come first when rising, last when falling
        keys = [(value is not None, value if value is not None else 0) for value in values]
        falling = [direction == "desc" for _, direction in map(_split_order, order)]
        return [_Falling(key) if fall else key for key, fall in zip(keys, falling, strict=True)]

    def checked_order(self, texts: Sequence[str]) -> list[str]:
        """Check the order of a query and make it unique by the id."""
        for text in texts:
            name, direction = _split_order(text)
            if direction not in ("asc", "desc"):
                raise QueryError(f"bad order function '{direction}'")
            if not name:
                raise QueryError("empty order field")
            if name not in ORDERED_BY[self.kind]:
                raise QueryError(f"bad order field '{name}'")
        if any(_split_order(text)[0] == "id" for text in texts):
            return list(texts)
        falling = sum(text.startswith("desc") for text in texts) * 2 > len(texts)
        return [*texts, "desc(id)" if falling else "asc(id)"]

    def put(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Add objects, or replace those of the same id."""
        held = {item["id"]: item for item in self.items} | {
            item["id"]: dict(item) for item in items
        }
        self.__init__(self.kind, held.values())  # type: ignore[misc]


def _order_value(name: str, value: Any) -> Any:  # noqa: ANN401
    if name.endswith("At"):
        return stored_moment(value)
    return _comparable(name, value)


def _comparable(kind: str, value: Any) -> Any:  # noqa: ANN401
    """Give a stored value as it compares: enums by position, lists as tuples."""
    if isinstance(value, list):
        return tuple(value)
    if kind in _ENUMS:
        return _ENUMS[kind].index(value) if value in _ENUMS[kind] else None
    if kind == "boolean":
        return bool(value)
    if kind == "uuid" and isinstance(value, str):
        return value.lower()
    return value


def _split_order(text: str) -> tuple[str, str]:
    direction, _, rest = text.partition("(")
    return rest.removesuffix(")"), direction


_LIKES: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "like": lambda value, part: part in value,
    "hlike": lambda value, part: value.startswith(part),
    "tlike": lambda value, part: value.endswith(part),
}
_NUMPY_ORDERS: Final[Mapping[str, Callable[[Any, int], Any]]] = {
    "gt": np.greater, "ge": np.greater_equal, "lt": np.less, "le": np.less_equal,
}  # fmt: skip
_ORDERS: Final[Mapping[str, Callable[[Any], Callable[[Any], bool]]]] = {
    "gt": lambda bound: lambda value: value is not None and value > bound,
    "ge": lambda bound: lambda value: value is not None and value >= bound,
    "lt": lambda bound: lambda value: value is not None and value < bound,
    "le": lambda bound: lambda value: value is not None and value <= bound,
    "isnull": lambda _: lambda value: value is None,
    "notnull": lambda _: lambda value: value is not None,
}


def _parse(name: str, field: Field, text: str, operators: frozenset[str]) -> tuple[str, Any]:
    """Read ``value`` or ``function(value)``."""
    opening, closing = text.find("("), text.find(")")
    if opening < 0 and closing < 0:
        return "", _value(name, field, text)
    function = text[: max(opening, 0)]
    if closing < 0:
        raise QueryError(f"bad function '{text}', no closing bracket")
    if opening < 0:
        raise QueryError(f"bad function '{text}', no opening bracket")
    if closing < opening:
        raise QueryError(f"bad function '{text}', closing bracket placed before opening bracket")
    inner = text[opening + 1 : text.rfind(")")]
    if function in _LIKES and field.kind != "name":
        raise QueryError(f"like functions are unsupported on field '{name}'")
    ordered = field.kind in {"time", "integer", *_ENUMS}
    if function not in operators or (function in _NUMPY_ORDERS and not ordered):
        raise QueryError(f"unsupported function '{function}' on field '{name}'")
    return function, None if function in ("isnull", "notnull") else _value(name, field, inner)


def _value(name: str, field: Field, text: str) -> Any:  # noqa: ANN401
    if not text:
        raise QueryError("empty condition field")
    if field.kind == "time":
        return read_moment(text, name)
    if len(text) > field.longest:
        raise QueryError(f"field '{name}' value is too long, max length is {field.longest}")
    if field.kind == "integer" and not re.fullmatch(r"-?\d+", text, re.ASCII):
        raise QueryError(f"bad integer '{text}' on field '{name}'")
    if field.kind == "uuid" and not re.fullmatch(
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text
    ):
        raise QueryError(f"bad uuid format: {text}")
    if field.kind in _ENUMS and text not in _ENUMS[field.kind]:
        raise QueryError(f"bad value '{text}' on field '{name}'")
    if field.kind == "boolean" and text not in ("true", "false"):
        raise QueryError(f"bad boolean '{text}' on field '{name}'")
    if field.kind == "integer":
        return int(text)
    return text == "true" if field.kind == "boolean" else _comparable(field.kind, text)


def make_cursor(pairs: Pairs, order: Sequence[str], last: Any) -> str:  # noqa: ANN401
    """Write a query and the last key as an opaque token, with all that base64 has: ``+ / =``."""
    text = json.dumps([list(map(list, pairs)), list(order), last]).encode()
    # these three bytes become "+/++"; the blanks leave a "=" at the end
    return base64.b64encode(b"\xfb\xff\xbe" + text + b" " * (1 + (-len(text) - 2) % 3)).decode()


def read_cursor(token: str) -> tuple[list[tuple[str, str]], list[str], Any]:
    """Read such a token."""
    try:
        pairs, order, last = json.loads(base64.b64decode(token, validate=True)[3:])
        return [(key, value) for key, value in pairs], order, last
    except ValueError:
        raise QueryError("bad page token") from None
