"""`Selection`: a frame and a filter in, every number of the dashboard out; no widget.

A facet counts under all *other* filters, so its number is what choosing the option would give. What
the figures and cards show is in `measures`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from activitykit.explorer.cube import Cube
from activitykit.explorer.facets import Array, Codes, Facet
from activitykit.explorer.scope import HOURS, KIND, REASONS, Scope
from activitykit.filters import ENDED_SINCE, Filter
from activitykit.query import GUID
from activitykit.schema import note

TIME: Final = "time"
"""Stands for ``since``, ``until`` and ``on`` together where fields are named."""

SPANS: Final = {
    "24 h": pd.Timedelta(24, "h"), "7 d": pd.Timedelta(7, "D"), "30 d": pd.Timedelta(30, "D")
}  # fmt: skip
_OPEN: Final = Filter()
_WHOLE: Final = Scope()


@dataclass(frozen=True)
class Option:
    """One line of a facet: its name, how many rows choosing it would give, and whether it is on."""

    number: int
    label: str
    terms: tuple[str, ...]
    n: int
    chosen: bool


class Selection:
    """The rows of a frame that match a filter, and the numbers that describe them.

    Parameters
    ----------
    source
        Activities, or a `Cube` made of them.
    where
        Which to look at.
    scope
        What a filter cannot say.
    before
        An earlier selection of the same cube, whose work is taken over where a field is the same.

    Attributes
    ----------
    asked
        What is asked of each field, and part of the scope, that narrows the rows.
    parts
        For each of these, which rows meet it.

    Raises
    ------
    SchemaError
        When the frame lacks a column of the explorer.
    """

    def __init__(
        self,
        source: pd.DataFrame | Cube,
        where: Filter = _OPEN,
        scope: Scope = _WHOLE,
        *,
        before: "Selection | None" = None,
    ) -> None:
        self.cube = source if isinstance(source, Cube) else Cube(source)
        self.filter, self.scope = where, scope
        self.parts: dict[str, Array] = {}
        self._inside: dict[frozenset[str], Array] = {}
        self._rows: dict[tuple[frozenset[str], bool], Array] = {}
        self._tallies: dict[tuple[Codes, frozenset[str]], Array] = {}
        self.asked: dict[str, object] = {name: _value(where, name) for name in _active(where)}
        self.asked |= scope.active()
        for name, value in self.asked.items():
            if before and before.asked.get(name) == value:
                self.parts[name] = before.parts[name]
            elif name in (KIND, REASONS, HOURS):
                self.parts[name] = scope.mask(self.cube, name)
            elif name == TIME:
                self.parts[name] = self.cube.between(where)
            else:
                found = self._by_facet(name, getattr(where, name))
                self.parts[name] = self.cube.mask(name, value) if found is None else found

    def _by_facet(self, field: str, wanted: object) -> Array | None:
        """Look the rows up by the codes of a facet, when options of it are all that is wanted.

        Quicker than testing many names; None where a name may mean more than its option.
        """
        for facet in self.cube.facets.values():
            if facet.field != field or facet.above is not None or not isinstance(wanted, tuple):
                continue
            on = self.chosen(facet)
            terms = [term for i in on for term in facet.terms[i]]
            if sorted(terms) == sorted(wanted) and on.isdisjoint(facet.odd):
                keep = np.zeros(len(facet.labels) + 1, dtype=bool)
                keep[list(on)] = True
                return keep[facet.codes]
        return None

    def where(self, where: Filter, scope: Scope | None = None) -> "Selection":
        """Give the selection of another filter, which takes over what stays the same."""
        return Selection(self.cube, where, self.scope if scope is None else scope, before=self)

    def inside(self, *without: str) -> Array:
        """Tell for each position, in the order of time, whether it matches but for some fields."""
        names = frozenset(self.parts.keys() - set(without))
        if names not in self._inside:
            masks = [self.parts[name] for name in names]
            every = np.logical_and.reduce(masks) if masks else np.ones(self.cube.n, dtype=bool)
            self._inside[names] = every
        return self._inside[names]

    def rows(self, *without: str) -> Array:
        """Give the positions of what matches but for some fields."""
        return self._positions(True, *without)

    def fewer(self, *without: str) -> tuple[Array, bool]:
        """Give the `rows`, or the others when those are fewer; and whether it is the others."""
        others = bool(2 * np.count_nonzero(self.inside(*without)) > self.cube.n)
        return self._positions(not others, *without), others

    def _positions(self, wanted: bool, *without: str) -> Array:  # noqa: FBT001 - which of two
        key = frozenset(self.parts.keys() - set(without)), wanted
        if key not in self._rows:
            inside = self.inside(*without)
            self._rows[key] = np.flatnonzero(inside if wanted else ~inside)
        return self._rows[key]

    def tally(self, codes: Codes, *without: str) -> Array:
        """Count the `rows` by their number; over the others when those are fewer."""
        key = codes, frozenset(self.parts.keys() - set(without))
        if key not in self._tallies:
            rows, others = self.fewer(*without)
            found = np.bincount(codes.of[rows], minlength=codes.size)
            self._tallies[key] = codes.total - found if others else found
        return self._tallies[key]

    @property
    def over(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """When the first and the last of the matching rows were created; None without any."""
        known = self.inside()[self.cube.unknown :]
        if not known.any():
            return None
        ends = [known.argmax(), len(known) - 1 - known[::-1].argmax()]
        first, last = pd.to_datetime(self.cube.created[self.cube.unknown :][ends], utc=True)
        return first, last

    @property
    def matching(self) -> int:
        """How many rows match."""
        return int(np.count_nonzero(self.inside()))

    @property
    def filtered(self) -> pd.DataFrame:
        """The matching rows, in the order of the frame: ``filter.select`` less the scope."""
        keep = np.zeros(self.cube.n, dtype=bool)
        keep[self.cube.order] = self.inside()
        return self.filter.noted(self.cube.df[keep])

    @property
    def delayed(self) -> bool:
        """Whether rows were chosen by their end, here or by the load: `duration_stats` knows."""
        return (self.filter.on == "completedAt" and self.filter.since is not None) or note(
            self.cube.df, ENDED_SINCE
        ) is not None

    # facets

    def options(
        self, name: str, *, search: str = "", limit: int | None = None
    ) -> tuple[list[Option], int]:
        """Count the options of a facet under all other filters.

        Parameters
        ----------
        name
            Of the facet.
        search
            Part of the label, without regard to case.
        limit
            How many to give; what is chosen is always among them.

        Returns
        -------
        tuple
            The options, and how many more there are.
        """
        facet = self.cube.facets[name]
        counts, on = self.counts(facet), self.chosen(facet)
        numbers = list(range(len(facet.labels)))
        if facet.ranked:
            numbers = np.argsort(-counts, kind="stable").tolist()
        if search:
            needle = search.casefold()
            numbers = [i for i in numbers if i in on or needle in facet.labels[i].casefold()]
        shown = numbers[:limit]
        shown += [i for i in numbers[len(shown) :] if i in on] if on else []
        return [self.option(facet, i, counts, on) for i in shown], len(numbers) - len(shown)

    def option(self, facet: Facet, i: int, counts: Array, on: Collection[int]) -> Option:
        """Give one option with its exact count."""
        return Option(i, facet.labels[i], facet.terms[i], self._exactly(facet, i, counts), i in on)

    def chosen(self, facet: Facet) -> frozenset[int]:
        """Give the numbers of the options that are on."""
        wanted = {key(value) for value in getattr(self.filter, facet.field)}
        if not wanted:
            return frozenset()
        also = facet.also or [()] * len(facet.terms)
        return frozenset(
            i
            for i, terms in enumerate(zip(facet.terms, also, strict=True))
            if any(key(term) in wanted for names in terms for term in names)
        )

    def counts(self, facet: Facet) -> Array:
        """Count the rows of each option under all other filters."""
        size, joint = len(facet.labels), self.cube.joint
        if facet.name in joint.options:
            n = self.tally(joint.codes, facet.field)
            sums = np.bincount(joint.options[facet.name], weights=n, minlength=size)
            found = sums[:size].astype(np.int64)
        else:
            found = self.tally(facet.coded, facet.field)[:size].copy()
        if facet.above is not None:
            # nodes come after those above them
            for node in range(size - 1, -1, -1):
                if facet.above[node] >= 0:
                    found[facet.above[node]] += found[node]
        return found

    def _exactly(self, facet: Facet, option: int, counts: Array) -> int:
        if option not in facet.odd:
            return int(counts[option])
        found = self.cube.mask(facet.field, facet.terms[option])
        return int(np.count_nonzero(found[self.rows(facet.field)]))

    def toggle(self, name: str, values: Sequence[str]) -> Filter:
        """Give the filter with an option added to those of its facet, or taken away again."""
        facet = self.cube.facets[name]
        field, now = facet.field, getattr(self.filter, facet.field)
        keys = {key(value) for value in values}
        for terms, also in zip(facet.terms, facet.also, strict=False):
            keys |= set(also) if terms == tuple(values) else set()
        kept = [value for value in now if key(value) not in keys]
        return altered(self.filter, field, kept if len(kept) < len(now) else [*now, *values])

    def span(self, name: str) -> Filter:
        """Give the filter for one of `SPANS` before the newest activity, or for all time."""
        if name not in SPANS or pd.isna(self.cube.newest):
            return replace(self.filter, since=None, until=None)
        since = self.cube.newest - SPANS[name]
        return replace(self.filter, since=since, until=None, on="createdAt")

    @property
    def span_name(self) -> str:
        """Which of `SPANS`, or "All", the filter's interval is; else nothing."""
        if self.filter.since is None and self.filter.until is None:
            return "All"
        return next((name for name in SPANS if self.span(name) == self.filter), "")

    @property
    def code(self) -> str:
        """Python that gives the same rows as ``rows`` and the shown statistics, without the widget.

        It takes the frame from the name ``df``.
        """
        timed = ["rows"]
        if not pd.isna(self.cube.as_of):
            timed.append('as_of=df["updatedAt"].max()')
        size = f"{self.matching:,} of {self.cube.n:,} activities"
        lines = [
            "import activitykit as ak",
            "",
            f"where = {self.filter!r}",
            "rows = where.select(df)",
            *self.scope.code(),
            f"durations = ak.duration_stats({', '.join(timed)})  # of {size}",
        ]
        if self.cube.running.any():
            lines += [
                "late = ak.overdue(df)",
                'late = late[late["overdue"] & late["id"].isin(rows["id"])]',
            ]
        if self.filter.result:
            lines += [
                "# the failure rate leaves the outcome filter out, else it would read 100 % or 0 %",
                "chosen = rows",
                f"rows = {replace(self.filter, result=())!r}.select(df)",
                *self.scope.code(),
                "failures = ak.failure_stats(rows)",
                "rows = chosen",
            ]
        else:
            lines.append("failures = ak.failure_stats(rows)")
        return "\n".join(lines) + "\n"


def altered(where: Filter, field: str, value: object) -> Filter:
    """Give a filter with one field set anew."""
    new: dict[str, Any] = {field: value}
    return replace(where, **new)


def edges(where: Filter) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Give ``since`` and ``until``, which a filter holds as timestamps whatever it was made of."""
    since, until = where.since, where.until
    return (
        since if isinstance(since, pd.Timestamp) else None,
        until if isinstance(until, pd.Timestamp) else None,
    )


def _active(where: Filter) -> Iterator[str]:
    """Name the fields that narrow the rows."""
    for field in fields(where):
        if field.name in ("since", "until", "on", "allow_deleted"):
            continue
        if getattr(where, field.name) != getattr(_OPEN, field.name):
            yield field.name
    if where.since is not None or where.until is not None:
        yield TIME


def _value(where: Filter, name: str) -> Any:  # noqa: ANN401 - any field of a filter
    return (where.since, where.until, where.on) if name == TIME else getattr(where, name)


def key(value: str) -> str:
    """Compare GUIDs without case, as the filter does."""
    return value.lower() if GUID.fullmatch(value) else value
