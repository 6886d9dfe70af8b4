"""`Filter`: one selection of activities, for the service, a raw activity and a frame alike.

What the service can filter is sent (`Filter.params`), and never narrower than what is wanted; the
exact cut is made here (`Filter.matches` for a raw activity, `Filter.select` for a frame), by one
list of criteria. So the same filter gives the same rows wherever they come from.
"""

import json
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd

from activitykit.moments import Moment, format_time, parse_time, to_timestamp
from activitykit.query import GUID, OneOrMore, exact, guids_and_names, id_or_name, named, spellings
from activitykit.schema import ATTRS, CORE, KNOWN_TYPES, RESULT_CODES, STATES, note, require

TimeField = Literal["createdAt", "startedAt", "updatedAt", "completedAt"]

_SEARCHED: Final = (
    "type", "uuid", "tenant.name", "resource.name", "policy.name", "startedByUser",
    "context.title", "result.error.code", "result.error.reason", "result.error.debug.msg",
    "result.error.context.cause_str", "result.error.context.effect_str",
)  # fmt: skip
_CORE_NAMES: Final = frozenset(column.name for column in CORE)

UNFINISHED: Final = {"queued": ("enqueued", "assigned"), "running": ("started", "paused")}
"""What `Filter.result` calls activities without a result code, and the states that it means."""

ENDED_SINCE: Final = "ended_since"
"""The note of a frame that holds the moment from which on ``completedAt`` chose its rows."""

NO_RESULT: Final = "none"
"""What `Filter.result` calls those without a result code that neither wait nor run."""


_Test = Callable[[Any], bool]
Criterion = tuple[tuple[str, _Test], ...]
"""One condition: met when any of these paths holds a value that passes its test."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Filter:
    """A selection of activities. Conditions on different fields must all hold; values of one field
    are alternatives.

    Attributes
    ----------
    since, until
        Half-open interval [since, until) on the time field ``on``, exact to the nanosecond. Spans
        such as "7d" count back from the moment the filter is made. Text without a zone is UTC.
        Activities without a readable time do not match.
    on
        ``createdAt``, ``startedAt``, ``updatedAt`` or ``completedAt``.
    state, policy_type, resource_type, tag
        Exact values.
    type
        Exact values, or names of the table of known types, such as "Backup" (see `operation`).
    result
        Result codes; ``queued`` and ``running`` stand for activities that have none yet, ``none``
        for those that ended, or are in an unknown state, without one.
    tenant
        Name, numeric id, UUID, or a locator such as "/1/66/" that stands for its whole sub-tree.
    resource, policy
        A GUID is an id, anything else a name; ``*`` in a name stands for any text.
    started_by
        Login; ``*`` stands for any text.
    text
        Found anywhere in type, names, title or error texts, without regard to case.
    id, task, workflow, parent
        Numeric ids of activities, tasks, workflows and parent activities.
    uuid
        UUIDs of activities.
    sustainable
        Whether the activity survives the loss of its executor.
    allow_deleted
        Ask the service for deleted activities as well; says nothing about the rows of a frame.

    Raises
    ------
    ValueError
        When a value is of the wrong kind, a time cannot be read, or ``on`` is none of the four.

    Notes
    -----
    GUIDs are found as given, in lower and in upper case, because producers differ. Empty text
    stands for a missing value: ``policy=""`` finds the activities without the name of a plan.

    Examples
    --------
    >>> where = Filter(since="2026-01-01", result=["error", "warning"])
    >>> where
    ak.Filter(since='2026-01-01T00:00:00Z', result=['error', 'warning'])
    >>> where.params()[-1]
    ('createdAt', 'gt(2025-12-31T23:59:59.999999999Z)')
    """  # noqa: D205 - the summary needs the second line

    since: Moment | None = None
    until: Moment | None = None
    on: TimeField = "createdAt"
    state: OneOrMore = ()
    result: OneOrMore = ()
    type: OneOrMore = ()
    tenant: OneOrMore = ()
    resource: OneOrMore = ()
    policy: OneOrMore = ()
    policy_type: OneOrMore = ()
    resource_type: OneOrMore = ()
    started_by: OneOrMore = ()
    text: str = ""
    id: int | Iterable[int] = ()
    uuid: OneOrMore = ()
    task: int | Iterable[int] = ()
    workflow: int | Iterable[int] = ()
    parent: int | Iterable[int] = ()
    tag: OneOrMore = ()
    sustainable: bool | None = None
    allow_deleted: bool | None = None

    def __post_init__(self) -> None:
        if self.on not in get_args(TimeField):
            raise ValueError(f"on={self.on!r}; choose one of {', '.join(get_args(TimeField))}")
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, to_timestamp(moment))
        if not isinstance(self.text, str):
            raise ValueError(f"text={self.text!r}; give text")  # noqa: TRY004 - as for other fields
        for name in ("sustainable", "allow_deleted"):
            if not isinstance(getattr(self, name), bool | None):
                raise ValueError(  # noqa: TRY004 - as for other fields
                    f"{name}={getattr(self, name)!r}; give True, False or None"
                )
        for name, of in _LISTS.items():
            object.__setattr__(self, name, _as_tuple(name, getattr(self, name), of))

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={_literal(getattr(self, field.name))}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        )
        return f"ak.Filter({', '.join(shown)})"

    def params(self) -> list[tuple[str, str]]:
        """Give the query parameters of the service that narrow the answer as far as is safe.

        The answer may hold more than is wanted, never less: `matches` or `select` makes the cut.
        """
        return [*self._value_params(), *self._time_params()]

    def _value_params(self) -> Iterator[tuple[str, str]]:
        yield from exact("state", self.state or _states_of(self.result), known=STATES)
        yield from exact("resultCode", self.result, known=RESULT_CODES)
        yield from exact("type", _types_of(self.type))
        yield from id_or_name("resource", self.resource)
        yield from id_or_name("policy", self.policy)
        yield from exact("policyType", self.policy_type)
        yield from exact("resourceType", self.resource_type)
        yield from named("startedBy", self.started_by)
        if all(map(GUID.fullmatch, self.uuid)):
            yield from exact("uuid", self.uuid)
        yield from exact("tag", self.tag)
        for param, field in _INTEGERS.items():
            yield from ((param, str(value)) for value in getattr(self, field))
        for flag in ("sustainable", "allow_deleted"):
            if getattr(self, flag) is not None:
                yield flag, str(getattr(self, flag)).lower()

    def sent_whole(self) -> bool:
        """Tell whether the service can apply every condition by itself, and so count the rows."""
        # a state, which is what is sent for these words, leaves open whether there is a result
        if not _WORDS.isdisjoint(self.result):
            return False
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default and field.name not in ("since", "until", "on"):
                sent = Filter(**{field.name: value}).params()
                if not sent or any(text.startswith("like(") for _, text in sent):
                    return False
        return True

    def _time_params(self) -> Iterator[tuple[str, str]]:
        # `gt` is the one documented comparison; a nanosecond earlier it means "from since on"
        if isinstance(self.since, pd.Timestamp):
            yield self.on, f"gt({format_time(self.since - pd.Timedelta(1, 'ns'), digits=9)})"
        if isinstance(self.until, pd.Timestamp):
            yield self.on, f"lt({format_time(self.until, digits=9)})"

    def matches(self, item: Mapping[str, Any]) -> bool:
        """Tell whether a raw activity belongs to the selection."""
        return self._in_time(item.get(self.on)) and all(
            any(test(_value_at(item, path)) for path, test in criterion)
            for criterion in self.criteria()
        )

    def _in_time(self, text: object) -> bool:
        if self.since is None and self.until is None:
            return True
        moment = parse_time(text)
        return moment is not None and (
            (not isinstance(self.since, pd.Timestamp) or moment >= self.since.value)
            and (not isinstance(self.until, pd.Timestamp) or moment < self.until.value)
        )

    def mask(self, df: pd.DataFrame) -> "pd.Series[bool]":
        """Tell for each row of a frame whether it belongs to the selection.

        Raises
        ------
        SchemaError
            When the frame lacks a core column that a condition needs.
        """
        criteria = list(self.criteria())
        timed = [self.on] if self.since is not None or self.until is not None else []
        needed = {path for criterion in criteria for path, _ in criterion} & _CORE_NAMES
        require(df.columns, [*timed, *sorted(needed)], "the filter")
        keep = np.ones(len(df), dtype=bool)
        if self.since is not None:
            keep &= (df[self.on] >= self.since).to_numpy()
        if self.until is not None:
            keep &= (df[self.on] < self.until).to_numpy()
        as_json = frozenset(note(df, "json_columns", ()))
        for criterion in criteria:
            hit = np.zeros(len(df), dtype=bool)
            for path, test in criterion:
                if path in df.columns:
                    hit |= _passing(df[path], test, as_json=path in as_json)
                else:
                    hit |= test(None)
            keep &= hit
        return pd.Series(keep, index=df.index, dtype=bool)

    def select(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the matching rows of a frame, in their order, as a new frame.

        Rows chosen by ``completedAt`` from a moment on lack the short runs that ended before. The
        notes in ``df.attrs`` keep that moment, so that `duration_stats` makes up for it.

        Raises
        ------
        SchemaError
            When the frame lacks a core column that a condition needs.
        """
        mask = self.mask(df)
        return self.noted(df.copy(deep=False) if mask.all() else df[mask])

    def noted(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Write into the notes of selected rows from when on their end chose them; give them back.

        For `select`, and for engines that find the rows in another way.
        """
        if self.on == "completedAt" and isinstance(self.since, pd.Timestamp):
            notes = rows.attrs.get(ATTRS, {})
            before = notes.get(ENDED_SINCE)
            since = self.since if before is None else max(self.since, to_timestamp(before))
            rows.attrs = {**rows.attrs, ATTRS: {**notes, ENDED_SINCE: format_time(since)}}
        return rows

    def criteria(self) -> Iterator[Criterion]:
        """Give the conditions that must all hold, but for the interval of time.

        For engines that keep the distinct values of a column at hand (see `encode`).
        """
        for path, field in _EXACT_PATHS.items():
            if wanted := getattr(self, field):
                forms = _types_of(wanted) if field == "type" else wanted
                yield ((path, _equals_any(forms)),)
        yield from _result_criteria(self.result)
        for what, wanted in (("resource", self.resource), ("policy", self.policy)):
            if wanted:
                guids, names = guids_and_names(wanted)
                yield (f"{what}.id", _equals_any(guids)), (f"{what}.name", _like_any(names))
        if self.tenant:
            ids = _equals_any([value for value in self.tenant if value])
            yield (
                ("tenant.id", ids),
                ("tenant.uuid", ids),
                ("tenant.name", _equals_any(self.tenant)),
                ("tenant.locator", _below_any(self.tenant)),
            )
        if self.started_by:
            yield (("startedByUser", _like_any(self.started_by)),)
        if self.sustainable is not None:
            # the service leaves the field out when it is false
            yield (("sustainable", lambda value: (value is True) == self.sustainable),)
        if self.text:
            yield tuple((path, _contains(self.text)) for path in _SEARCHED)


_EXACT_PATHS: Final = {
    "state": "state", "type": "type", "policy.type": "policy_type",
    "resource.type": "resource_type", "uuid": "uuid", "tags": "tag", "id": "id", "taskId": "task",
    "workflowId": "workflow", "parentActivityId": "parent",
}  # fmt: skip
PATHS: Final = frozenset({*_EXACT_PATHS, *_SEARCHED, "sustainable"})
"""Columns that a filter may look at; those beyond the core stay columns in the widest load."""
_INTEGERS: Final = {
    "id": "id", "taskId": "task", "workflowId": "workflow", "parentActivityId": "parent",
}  # fmt: skip
_LISTS: Final[Mapping[str, type]] = {
    **dict.fromkeys(_INTEGERS.values(), int),
    **dict.fromkeys(
        ("state", "result", "type", "tenant", "resource", "policy", "policy_type",
         "resource_type", "started_by", "uuid", "tag"), str,
    ),
}  # fmt: skip


def _as_tuple(name: str, value: Any, of: type) -> tuple[Any, ...]:  # noqa: ANN401 - checks what it is
    kind, what = (
        (Integral, "a whole number") if of is int else (str, 'text ("" for a missing value)')
    )
    single = isinstance(value, str | bytes) or not isinstance(value, Iterable)
    values = [value] if single else list(value)
    odd = [one for one in values if isinstance(one, bool) or not isinstance(one, kind)]
    if odd:
        shown = reprlib.repr(odd[0])
        raise ValueError(f"{name}: cannot use {shown}; give {what} or a list of them")
    # plain values only: numpy's text would show as np.str_('…') in the Python that `repr` gives
    plain = [of(one) for one in values]
    return tuple(sorted(plain) if isinstance(value, AbstractSet) else plain)


def _literal(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return repr(format_time(value))
    if isinstance(value, tuple):
        return repr(value[0]) if len(value) == 1 else repr(list(value))
    return repr(value)


def _types_of(wanted: OneOrMore) -> list[str]:
    """Add the types that a readable name such as "Backup" stands for."""
    named = (kind for kind, name in KNOWN_TYPES.items() if name in wanted)
    return list(dict.fromkeys([*wanted, *named]))


def _states_of(results: OneOrMore) -> list[str]:
    """Give the states that can be asked for instead, when only unfinished activities are wanted."""
    if all(result in UNFINISHED for result in results):
        return [state for result in results for state in UNFINISHED[result]]
    return []


def _result_criteria(wanted: OneOrMore) -> Iterator[Criterion]:
    """Tell codes from words: "error or running" is (error or no code) and (error or started)."""
    codes = [value for value in wanted if value not in _WORDS]
    states = _states_of([value for value in wanted if value in UNFINISHED])
    ended = NO_RESULT in wanted
    if not _WORDS.isdisjoint(wanted):
        yield (("result.code", _equals_any([*codes, ""])),)
        yield ("result.code", _equals_any(codes)), ("state", _in_states(states, ended=ended))
    elif wanted:
        yield (("result.code", _equals_any(codes)),)


_WORDS: Final = frozenset({*UNFINISHED, NO_RESULT})
_OPEN: Final = tuple(state for states in UNFINISHED.values() for state in states)


def _in_states(states: Sequence[str], *, ended: bool) -> _Test:
    # a list compares equal to no state and, unlike a set, a tuple never hashes it
    return lambda value: value in states or (ended and value not in _OPEN)


def _value_at(item: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    value: Any = item
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _passing(values: "pd.Series[Any]", test: _Test, *, as_json: bool) -> "np.ndarray[Any, Any]":
    """Test each distinct value once and map the answers back to the rows."""
    codes, distinct = encode(values, as_json=as_json)
    answers = np.array([*map(test, distinct), test(None)], dtype=bool)
    return np.take(answers, codes)  # -1, for a missing value, is the last one


def encode(
    values: "pd.Series[Any]", *, as_json: bool = False
) -> tuple["np.ndarray[Any, Any]", list[Any]]:
    """Give every distinct value of a column a number, for the tests of `Filter.criteria`.

    Returns
    -------
    tuple
        For each row the position of its value, -1 when it is missing; and the distinct values.
    """
    codes, distinct = pd.factorize(values, use_na_sentinel=True)
    read = json.loads if as_json else _plain
    return codes, [read(value) for value in distinct]


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell of any type
    return value.item() if isinstance(value, np.generic) else value


def _equals_any(wanted: Iterable[Any]) -> _Test:
    forms = frozenset(spellings(wanted))
    missing = "" in forms

    def test(value: Any) -> bool:  # noqa: ANN401
        if isinstance(value, list):
            return any(test(one) for one in value)
        if value is None:
            return missing
        return isinstance(value, str | int) and not isinstance(value, bool) and value in forms

    return test


def _like_any(wanted: Iterable[str]) -> _Test:
    patterns = [
        re.compile(".*".join(map(re.escape, form.split("*"))), re.DOTALL)
        for form in spellings(wanted)
    ]
    missing = "" in wanted
    return lambda value: (
        missing
        if value is None
        else isinstance(value, str) and any(p.fullmatch(value) for p in patterns)
    )


def _below_any(wanted: Iterable[str]) -> _Test:
    roots = tuple(
        value if value.endswith("/") else f"{value}/" for value in wanted if value.startswith("/")
    )
    return lambda value: isinstance(value, str) and f"{value.rstrip('/')}/".startswith(roots)


def _contains(text: str) -> _Test:
    needle = text.casefold()
    return lambda value: isinstance(value, str) and needle in value.casefold()
