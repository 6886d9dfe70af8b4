"""`Cube`: a frame made ready for filtering at the speed of a click.

Each column that a filter looks at is turned once into small integer codes, in the order of
``createdAt``. A filter then tests the few distinct values and looks the answers up by code, and a
facet is counted by `numpy.bincount`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd

from activitykit.filters import NO_RESULT, UNFINISHED, Filter, encode
from activitykit.query import GUID
from activitykit.schema import KNOWN_TYPES, RESULT_CODES, STATES, note, require
from activitykit.stats import durations
from activitykit.stats.durations import NEEDS as DURATION_NEEDS
from activitykit.stats.failures import REASON_NEEDS
from activitykit.stats.policy import CANCELLED, DEFAULT_POLICY, FAILED, SUCCESS, UNKNOWN

Array = np.ndarray[Any, Any]

NEEDS: Final = tuple(
    dict.fromkeys(
        (
            *DURATION_NEEDS, *REASON_NEEDS, "type", "tenant.name", "tenant.locator",
            "resource.name", "policy.id", "policy.name", "startedByUser",
        )
    )
)  # fmt: skip
"""Columns that the explorer cannot do without."""

VERDICTS: Final = (FAILED, SUCCESS, CANCELLED, UNKNOWN, "unfinished", "child")
"""What a row means for the failure rate; `Cube.verdict` holds positions in this list."""

_QUARTER: Final = 15 * 60 * 10**9

BINS_PER_DECADE: Final = 10
SHORTEST_S, DECADES = 0.1, 8
N_BINS: Final = BINS_PER_DECADE * DECADES + 1

NONE: Final = "(none)"
"""Stands for a missing value among the options of a facet."""

_WORDS: Final = (*RESULT_CODES, *UNFINISHED, NO_RESULT)
_LABELS: Final = {
    "ok": "OK", "warning": "Warning", "error": "Error", "cancelled": "Cancelled",
    "abandoned": "Abandoned", "timedout": "Timed out", "running": "Running", "queued": "Queued",
    NO_RESULT: "No result",
}  # fmt: skip


@dataclass(frozen=True)
class Facet:
    """One way to group the rows, whose groups a field of `Filter` can ask for.

    Attributes
    ----------
    name, title
        Of the facet.
    field
        Of `Filter`.
    labels
        What people read, one per option.
    terms
        What the field of the filter holds when the option is chosen.
    codes
        For each row the position of its option; ``len(labels)`` for a row that no filter reaches.
    odd
        Options whose name `Filter` reads as a pattern or an id, so that choosing one may give other
        rows than the group's.
    ranked
        Whether the greatest options come first; else they keep their order.
    """

    name: str
    title: str
    field: str
    labels: list[str]
    terms: list[tuple[str, ...]]
    codes: Array
    odd: frozenset[int] = frozenset()
    ranked: bool = True


class Cube:
    """The rows of a frame in the order of ``createdAt``, as codes.

    Parameters
    ----------
    df
        Activities.

    Raises
    ------
    SchemaError
        When a column of `NEEDS` is missing.
    """

    def __init__(self, df: pd.DataFrame) -> None:
        require(df.columns, NEEDS, "explore")
        self.df = df
        self.n = len(df)
        self._json = frozenset(note(df, "json_columns", ()))
        created = _nanoseconds(df["createdAt"])
        self.order = np.argsort(created, kind="stable").astype(np.int32)
        self.created = created[self.order]
        self.unknown = int(np.searchsorted(self.created, np.iinfo(np.int64).min, side="right"))
        self._columns: dict[str, tuple[Array, list[Any]]] = {}
        self._times = {"createdAt": self.created}
        self._sorted: dict[tuple[str, bool], Array] = {}
        self._hours: dict[str, Array] = {}
        self.as_of = df["updatedAt"].max()
        self.newest = df["createdAt"].max()
        self._time_it()
        self.verdict = self._verdicts()
        self.resource, self.resources = folded(*self.column("resource.id"))
        self.signature = self._signatures()
        self.facets = {facet.name: facet for facet in self._facets()}

    def column(self, path: str) -> tuple[Array, list[Any]]:
        """Give the codes of a column and its distinct values; a missing value has the last code."""
        if path not in self._columns:
            codes, values = encode(self.df[path], as_json=path in self._json)
            codes = np.where(codes < 0, len(values), codes)
            self._columns[path] = _small(codes[self.order], len(values)), values
        return self._columns[path]

    def mask(self, field: str, value: Any) -> Array:  # noqa: ANN401 - any field of a filter
        """Tell for each row whether it meets one field of a filter."""
        keep = np.ones(self.n, dtype=bool)
        for criterion in Filter(**{field: value}).criteria():
            hit = np.zeros(self.n, dtype=bool)
            for path, test in criterion:
                if path in self.df.columns:
                    codes, values = self.column(path)
                    hit |= np.array([*map(test, values), test(None)], dtype=bool)[codes]
                elif test(None):
                    hit[:] = True
            keep &= hit
        return keep

    def between(self, where: Filter) -> Array:
        """Tell for each row whether it lies in the filter's interval of time."""
        if where.on not in self._times:
            self._times[where.on] = _nanoseconds(self.df[where.on])[self.order]
        times = self._times[where.on]
        keep: Array = times != np.iinfo(np.int64).min  # a missing time lies nowhere
        if isinstance(where.since, pd.Timestamp):
            keep &= times >= where.since.value
        if isinstance(where.until, pd.Timestamp):
            keep &= times < where.until.value
        return keep

    def sorted_by(self, name: str, *, descending: bool) -> Array:
        """Sort all positions by ``createdAt``, ``duration_s`` or a facet, then newest first."""
        if (name, descending) not in self._sorted:
            newest = np.arange(self.n - 1, -1, -1, dtype=np.int32)
            if name == "createdAt":
                order = newest if descending else newest[::-1]
            else:
                key = self._sort_key(name)
                order = newest[
                    np.argsort(-key[newest] if descending else key[newest], kind="stable")
                ]
            self._sorted[name, descending] = order
        return self._sorted[name, descending]

    def _sort_key(self, name: str) -> Array:
        if name == "duration_s":
            return self.seconds
        if name in self.facets:
            return self.facets[name].codes.astype(int)
        codes, values = self.column(name)
        if not all(isinstance(value, int | float) for value in values):
            values = [str(value) for value in values]
        places = np.empty(len(values) + 1, dtype=int)
        places[sorted(range(len(values)), key=values.__getitem__)] = np.arange(len(values))
        places[-1] = len(values)
        return places[codes]

    def hours(self, tz: str) -> Array:
        """Give the hour of the week in which each row was created, 168 when it does not say."""
        if tz not in self._hours:
            # no zone is off by less than a quarter of an hour, and there are few of those
            quarter, at = np.unique(self.created // _QUARTER, return_inverse=True)
            local = pd.DatetimeIndex(quarter * _QUARTER, tz="UTC").tz_convert(tz)
            hour = np.asarray(24 * local.dayofweek + local.hour, dtype=np.uint8)
            hour[quarter == np.iinfo(np.int64).min // _QUARTER] = 7 * 24
            self._hours[tz] = hour[at]
        return self._hours[tz]

    def _signatures(self) -> tuple[Array, list[str]]:
        """Give the reason of each row as `failure_reasons` names it."""
        codes, signatures = self.column("error_signature")
        results, names = self.column("result.code")
        number = np.where(codes < len(signatures), codes, len(signatures) + results.astype(int))
        return number, [*signatures, *(f"{name} without an error text" for name in names)]

    def _time_it(self) -> None:
        # without a moment nothing runs, so that any moment will do
        as_of = pd.Timestamp(0) if pd.isna(self.as_of) else self.as_of
        timed = durations(self.df[list(dict.fromkeys(DURATION_NEEDS))], as_of=as_of)
        seconds = timed["duration_s"].to_numpy(dtype=float, na_value=np.nan)[self.order]
        finished = timed["finished"].to_numpy(dtype=bool)[self.order]
        running = timed["running"].to_numpy(dtype=bool)[self.order]
        self.legacy = legacy = timed["legacy"].to_numpy(dtype=bool)[self.order]
        self.seconds, self.running = seconds, running
        # the rows that duration_stats counts
        self.timed = ~legacy & (finished | running) & (seconds >= 0)
        self.finished = finished
        place = np.log10(np.maximum(seconds, SHORTEST_S) / SHORTEST_S) * BINS_PER_DECADE
        bins = np.minimum(np.where(self.timed & finished, place, N_BINS), N_BINS)
        self.bin = bins.astype(np.uint8)
        usable = np.flatnonzero(self.timed)
        self.by_length = usable[np.argsort(seconds[usable], kind="stable")].astype(np.int32)

    def _verdicts(self) -> Array:
        """Judge each row as `failure_stats` does: the policy looks at each pair of codes once."""
        codes, names = self.column("result.code")
        errors, causes = self.column("result.error.code")
        position, pairs = pd.factorize(codes.astype(np.int64) * (len(causes) + 1) + errors)
        read = {
            "result_code": _texts(names)[pairs // (len(causes) + 1)],
            "result_error_code": _texts(causes)[pairs % (len(causes) + 1)],
        }
        told = nw.from_native(pd.DataFrame(read, dtype="str")).select(word=DEFAULT_POLICY.expr())
        outcome = np.array([VERDICTS.index(word) for word in told["word"]], dtype=np.uint8)
        parents, ids = self.column("parentActivityId")
        self.root = root = np.array([*(value == 0 for value in ids), True], dtype=bool)[parents]
        return np.select(
            [~root, ~self.finished],
            [np.uint8(VERDICTS.index("child")), np.uint8(VERDICTS.index("unfinished"))],
            default=outcome[position],
        )

    def _facets(self) -> Sequence[Facet]:
        tenants = {*self.column("tenant.id")[1], *self.column("tenant.uuid")[1]}

        spelled = Counter(str(kind).lower() for kind in self.column("type")[1])

        def wild(name: str) -> bool:
            return "*" in name or GUID.fullmatch(name) is not None

        def shared(name: str) -> bool:
            return name in KNOWN_TYPES.values() or spelled[name.lower()] > 1

        return [
            self._outcomes(),
            self._named("state", "State", "state", "state", order=STATES),
            self._operations(),
            self._named(
                "tenant", "Tenant", "tenant", "tenant.name",
                odd=lambda name: name in tenants or name.startswith("/") or wild(name),
            ),
            self._named("plan", "Plan", "policy", "policy.name", odd=wild),
            self._named("resource", "Resource", "resource", "resource.name", odd=wild),
            self._named("started_by", "Started by", "started_by", "startedByUser", odd=wild),
            self._named("type", "Type", "type", "type", odd=shared),
        ]  # fmt: skip

    def _named(
        self,
        name: str,
        title: str,
        field: str,
        path: str,
        *,
        odd: Callable[[str], bool] = lambda _: False,
        order: Sequence[str] = (),
    ) -> Facet:
        codes, values = self.column(path)
        keys = [value if isinstance(value, str) else None for value in values] + [""]
        known = [*order, *sorted({key for key in keys if key}.difference(order)), ""]
        codes, used = _group(codes, keys, known)
        labels = [key or NONE for key in used]
        strange = frozenset(i for i, key in enumerate(used) if odd(key))
        return Facet(
            name, title, field, labels, [(key,) for key in used], codes, strange, ranked=not order
        )

    def _operations(self) -> Facet:
        """Group the types by the name of their operation; a type counts under its commonest one."""
        codes, types = self.column("type")
        names = _commonest(self, codes, types)
        groups: dict[str, list[str]] = {}
        for label, value in zip(names, types, strict=True):
            if label:
                groups.setdefault(label, []).append(value)
        known = sorted(groups)
        keys = [*names, ""]
        codes, used = _group(codes, keys, [*known, ""])
        labels = [key or NONE for key in used]
        values = [tuple(sorted(groups.get(key, [""]))) for key in used]
        return Facet("operation", "Operation", "type", labels, values, codes)

    def _outcomes(self) -> Facet:
        results, codes = self.column("result.code")
        states, words = self.column("state")
        pairs = results.astype(np.int64) * (len(words) + 1) + states
        distinct, position = np.unique(pairs, return_inverse=True)
        keys = [
            _outcome(
                [*codes, None][pair // (len(words) + 1)], [*words, None][pair % (len(words) + 1)]
            )
            for pair in distinct
        ]
        others = sorted({key for key in keys if key and key not in _WORDS})
        grouped, used = _group(position, keys, [*_WORDS, *others])
        labels = [_LABELS.get(key, key) for key in used]
        values: list[tuple[str, ...]] = [(key,) for key in used]
        return Facet("outcome", "Outcome", "result", labels, values, grouped, ranked=False)


def _texts(values: Sequence[Any]) -> Array:
    """Give the values by code, None for what is missing or no text."""
    found = [value if isinstance(value, str) else None for value in values]
    return np.array([*found, None], dtype=object)


def _outcome(result: object, state: object) -> str | None:
    """Give the word of `Filter.result` for a row; None when there is no word for it."""
    if isinstance(result, str) and result:
        return result if result not in (*UNFINISHED, NO_RESULT) else None
    if result not in (None, ""):
        return None
    open_ = {name: word for word, names in UNFINISHED.items() for name in names}
    return open_.get(state, NO_RESULT) if isinstance(state, str) else NO_RESULT


def _commonest(cube: Cube, codes: Array, types: Sequence[Any]) -> list[str | None]:
    """Find for each type the name of operation that most of its rows have, else the type itself."""
    if "operation" not in cube.df.columns:
        return [value if isinstance(value, str) else None for value in types]
    named, names = cube.column("operation")
    width = len(names) + 1
    pairs, counts = np.unique(codes.astype(np.int64) * width + named, return_counts=True)
    best: dict[str, str] = {}
    spelling: dict[int, str] = {
        i: value.upper() if GUID.fullmatch(value) else value
        for i, value in enumerate(types)
        if isinstance(value, str)
    }
    for pair in pairs[np.argsort(counts, kind="stable")]:
        number, name = divmod(int(pair), width)
        if number in spelling and name < len(names) and names[name]:
            best[spelling[number]] = names[name]
    found = [spelling.get(i) for i in range(len(types))]
    return [best.get(value, value) if value else None for value in found]


def _group(
    codes: Array, keys: Sequence[str | None], order: Sequence[str]
) -> tuple[Array, list[str]]:
    """Renumber codes by the key of each, in the given order, leaving out keys that no row has.

    A row whose key is None gets the number after the last.
    """
    present = np.bincount(codes, minlength=len(keys)) > 0
    have = {key for key, there in zip(keys, present, strict=True) if there and key is not None}
    used = [key for key in order if key in have]
    number = {key: i for i, key in enumerate(used)}
    new = np.array([number.get(key, len(used)) if key is not None else len(used) for key in keys])
    return _small(new.astype(np.int64)[codes], len(used)), used


def folded(codes: Array, values: Sequence[Any]) -> tuple[Array, list[str]]:
    """Unite the codes of ids that differ in case only; a missing id keeps the last code."""
    lower = [str(value).lower() for value in values]
    number = {name: i for i, name in enumerate(dict.fromkeys(lower))}
    new = np.array([*(number[name] for name in lower), len(number)], dtype=np.int64)
    return _small(new[codes], len(number)), list(number)


def _small(codes: Array, greatest: int) -> Array:
    return codes.astype(np.min_scalar_type(greatest))


def _nanoseconds(times: "pd.Series[Any]") -> Array:
    found: Array = times.to_numpy(dtype="datetime64[ns]").view(np.int64)
    return found
