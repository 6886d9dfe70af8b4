"""`Cube`: a frame made ready for filtering at the speed of a click.

Each column that a filter looks at is turned once into small integer codes, in the order of
``createdAt``. A filter then tests the few distinct values and looks the answers up by code, and a
facet is counted by `numpy.bincount`.
"""

from collections.abc import Sequence
from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.explorer.codes import JOINT, Ranks, Runs, joint, ranks, runs
from activitykit.explorer.facets import Array, Codes, facets, folded, small
from activitykit.filters import Filter, encode
from activitykit.schema import note, require
from activitykit.stats import durations, overdue, policy
from activitykit.stats.durations import NEEDS as DURATION_NEEDS
from activitykit.stats.failures import REASON_NEEDS

NEEDS: Final = tuple(
    dict.fromkeys(
        (
            *DURATION_NEEDS, *REASON_NEEDS, "type", "tenant.name", "tenant.locator",
            "resource.name", "policy.id", "policy.name", "startedByUser",
        )
    )
)  # fmt: skip
"""Columns that the explorer cannot do without."""

VERDICTS: Final = (
    policy.FAILED, policy.SUCCESS, policy.CANCELLED, policy.UNKNOWN, "unfinished", "child",
)  # fmt: skip
"""What a row means for the failure rate; `Cube.verdict` holds positions in this list."""

FAILED, CHILD = VERDICTS.index("failed"), VERDICTS.index("child")
DECIDED: Final = VERDICTS.index("success")
"""The greatest verdict that counts in a failure rate."""

ROOT, LEGACY, TIMED, RUNNING = 1, 2, 4, 8
"""The flags that `Cube.flags` adds up."""

_QUARTER: Final = 15 * 60 * 10**9
_LAST_QUARTER: Final = 2**63 // _QUARTER - 7 * 96

BINS_PER_DECADE: Final = 10
SHORTEST_S, DECADES = 0.1, 8
N_BINS: Final = BINS_PER_DECADE * DECADES + 1


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
        self.ids = df["id"].to_numpy()
        self.late: Array | None = None
        self._json = frozenset(note(df, "json_columns", ()))
        created = _nanoseconds(df["createdAt"])
        self.order = np.argsort(created, kind="stable").astype(np.int32)
        self.created = created[self.order]
        self.unknown = int(np.searchsorted(self.created, np.iinfo(np.int64).min, side="right"))
        self._columns: dict[str, tuple[Array, list[Any]]] = {}
        self._times = {"createdAt": self.created}
        self._sorted: dict[tuple[str, bool], Array] = {}
        self._hours: dict[str, Array] = {}
        self._uuids: Any = None
        self._letters = frozenset[int]()
        self._runs: dict[str, Runs] = {}
        self._ranks: dict[str, Ranks] = {}
        self._weeks: dict[str, Codes] = {}
        self._timed: dict[str, Codes] = {}
        self.as_of = df["updatedAt"].max()
        self.newest = df["createdAt"].max()
        self._time_it()
        self.verdict = self._verdicts()
        self.resource, self.resources = folded(*self.column("resource.id"))
        self.signature = self._signatures()
        self.facets = {facet.name: facet for facet in facets(self)}
        self._fuse()

    def judge(self) -> None:
        """Find the running rows that are `overdue`, which takes longer than all else."""
        late = frozenset[int]()
        if self.running.any():
            table = overdue(self.df, as_of=self.as_of)
            late = frozenset(table.loc[table["overdue"], "id"].tolist())
        here = np.flatnonzero(self.running)
        self.late = here[[ident in late for ident in self.ids[self.order[here]].tolist()]]

    def column(self, path: str) -> tuple[Array, list[Any]]:
        """Give the codes of a column and its distinct values; a missing value has the last code."""
        if path not in self._columns:
            codes, values = encode(self.df[path], as_json=path in self._json)
            codes = np.where(codes < 0, len(values), codes)
            self._columns[path] = small(codes[self.order], len(values)), values
        return self._columns[path]

    def mask(self, field: str, value: Any) -> Array:  # noqa: ANN401 - any field of a filter
        """Tell for each row whether it meets one field of a filter."""
        keep = np.ones(self.n, dtype=bool)
        for criterion in Filter(**{field: value}).criteria():
            hit = np.zeros(self.n, dtype=bool)
            for path, test in criterion:
                if (
                    path == "uuid"
                    and field == "text"
                    and (found := self._in_uuid(value)) is not None
                ):
                    hit |= found
                elif path in self.df.columns:
                    codes, values = self.column(path)
                    hit |= np.array([*map(test, values), test(None)], dtype=bool)[codes]
                elif test(None):
                    hit[:] = True
            keep &= hit
        return keep

    def _in_uuid(self, text: str) -> Array | None:
        """Search the UUIDs at once, since all differ; None when they are not what they should."""
        if self._uuids is None:
            texts = pa.array(self.df["uuid"], pa.large_string()) if "uuid" in self.df else None
            plain = texts is not None and pc.all(pc.string_is_ascii(texts)).as_py()
            self._uuids = pc.ascii_lower(texts) if plain else False
            self._letters = _letters(self._uuids) if plain else frozenset()
        if self._uuids is False:
            return None
        # most words have a letter that is in no UUID
        if not self._letters.issuperset(text.casefold().encode()):
            return np.zeros(self.n, dtype=bool)
        found: Array = (
            pc.match_substring(self._uuids, text.casefold())
            .fill_null(False)
            .to_numpy(zero_copy_only=False)
        )
        return found[self.order]

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
                if descending:  # which -key is not of codes, that have no sign
                    key = -key if key.dtype.kind == "f" else key.max(initial=0) - key
                order = newest[np.argsort(key[::-1], kind="stable")]
            self._sorted[name, descending] = order
        return self._sorted[name, descending]

    def _sort_key(self, name: str) -> Array:
        if name == "duration_s":
            seconds: Array = self.seconds
            return seconds
        if name in self.facets:
            return self.facets[name].codes  # narrow numbers, which numpy sorts fastest
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
            quarters = self.created // _QUARTER
            new = np.diff(quarters, prepend=quarters[:1] - 1) != 0
            quarter, at = quarters[new], np.cumsum(new, dtype=np.int32) - 1
            # days away from where 64-bit nanoseconds end, so that no zone leads beyond
            whole = (quarter.clip(-_LAST_QUARTER, _LAST_QUARTER) * _QUARTER).view("datetime64[ns]")
            local = pd.DatetimeIndex(whole, tz="UTC").tz_convert(tz)
            hour = np.array(24 * local.day_of_week + local.hour, dtype=np.uint8)
            hour[quarter == np.iinfo(np.int64).min // _QUARTER] = 7 * 24
            self._hours[tz] = hour[at]
        return self._hours[tz]

    def week(self, tz: str) -> Codes:
        """Give hour of the week and verdict of each row as one number."""
        if tz not in self._weeks:
            fused = self.hours(tz) * np.uint16(len(VERDICTS)) + self.verdict
            self._weeks[tz] = Codes(fused, (7 * 24 + 1) * len(VERDICTS))
        return self._weeks[tz]

    def groups(self, by: str) -> tuple[Array, int]:
        """Give the options of a facet and their number; of ``""``, one group of everything."""
        if by:
            return self.facets[by].codes, len(self.facets[by].labels)
        return np.zeros(self.n, dtype=np.uint8), 1

    def runs(self, by: str = "") -> Runs:
        """Give root activities by the options of a facet, resource and verdict."""
        if by not in self._runs:
            groups, _ = self.groups(by)
            self._runs[by] = runs(self, groups, failed=FAILED, decided=DECIDED, child=CHILD)
        return self._runs[by]

    def ranks(self, by: str = "") -> Ranks:
        """Give finished rows by the options of a facet and their duration."""
        if by not in self._ranks:
            self._ranks[by] = ranks(self, *self.groups(by))
        return self._ranks[by]

    def timed_by(self, by: str) -> Codes:
        """Give the option of each row that counts in durations, and one more for the others."""
        if by not in self._timed:
            groups, n = self.groups(by)
            self._timed[by] = Codes(np.where(self.timed, groups, groups.dtype.type(n)), n + 1)
        return self._timed[by]

    def _fuse(self) -> None:
        """Fuse what is always counted together."""
        outcome = self.facets["outcome"]
        self.joint = joint([self.facets[name] for name in JOINT])
        self.fate = Codes(
            outcome.codes * np.uint16(len(VERDICTS)) + self.verdict,
            (len(outcome.labels) + 1) * len(VERDICTS),
        )
        flags = (self.root, self.legacy, self.timed, self.running)
        self.flags = Codes(sum(flag * np.uint8(1 << i) for i, flag in enumerate(flags)), 16)
        self.bins = Codes(self.bin, N_BINS + 1)
        self.failed = np.flatnonzero(self.verdict == FAILED)
        names = ("result.error.domain", "result.error.code")
        parts = [self.signature, *map(self.column, names)]
        frame = pd.DataFrame({i: codes[self.failed] for i, (codes, _) in enumerate(parts)})
        grouped = frame.groupby([0, 1, 2], sort=False)
        self.reason = grouped.ngroup().to_numpy()
        self.reasons: list[tuple[Any, ...]] = [
            tuple([*values, None][code] for code, (_, values) in zip(codes, parts, strict=True))
            for codes in frame.drop_duplicates().itertuples(index=False)
        ]

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
        told = nw.from_native(pd.DataFrame(read, dtype="str")).select(
            word=policy.DEFAULT_POLICY.expr()
        )
        outcome = np.array([VERDICTS.index(word) for word in told["word"]], dtype=np.uint8)
        parents, ids = self.column("parentActivityId")
        self.root = root = np.array([*(value == 0 for value in ids), True], dtype=bool)[parents]
        return np.select(
            [~root, ~self.finished],
            [np.uint8(VERDICTS.index("child")), np.uint8(VERDICTS.index("unfinished"))],
            default=outcome[position],
        )


def _letters(texts: Any) -> frozenset[int]:  # noqa: ANN401 - pyarrow has no types
    """Give the bytes that occur in lower-case texts, and those of any UUID."""
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    buffers = [chunk.buffers()[2] for chunk in chunks]
    usual = b"0123456789abcdef-"
    others = (bytes(one).translate(None, usual) for one in buffers if one is not None)
    return frozenset(usual).union(*others)


def _texts(values: Sequence[Any]) -> Array:
    """Give the values by code, None for what is missing or no text."""
    found = [value if isinstance(value, str) else None for value in values]
    return np.array([*found, None], dtype=object)


def _nanoseconds(times: "pd.Series[Any]") -> Array:
    found: Array = times.to_numpy(dtype="datetime64[ns]").view(np.int64)
    return found
