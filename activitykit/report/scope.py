"""What a report is about: the rows of both periods, and for which tenants they are all there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Final

import pandas as pd

from activitykit import stats
from activitykit.errors import ConfigError
from activitykit.filters import Filter
from activitykit.moments import Moment, format_time, is_span, to_timestamp
from activitykit.report.content import Profile
from activitykit.report.period import Period, PeriodText, bucket_length, read_period, read_zone
from activitykit.report.targets import Targets, check_targets
from activitykit.schema import ATTRS, CORE, note, require

NEEDED: Final = [
    *(column.name for column in CORE if not column.name.startswith("progress.")),
    "operation",
    "error_signature",
    "error_cause",
]
TITLES: Final[Mapping[Profile, str]] = {
    "ops": "Activity report",
    "customer": "Your backup report",
}
# an archive is behind by what arrived while it was synced
_SLACK: Final = pd.Timedelta(1, "h")
_BEGINNING: Final = pd.Timestamp("1678-01-01", tz="UTC")
EVERYTHING: Final = repr(Filter())
"""How coverage writes that a sync asked for all there is."""


Hole = tuple[pd.Timestamp, pd.Timestamp]
Line = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The selected rows, both periods, and how to read them.

    Attributes
    ----------
    rows
        The selected activities with the needed columns only; the notes of the frame in its attrs.
    n_frame
        How many rows the frame had before the selection; for a customer those selected.
    partial
        ``tenant.id`` of those whose activities of the period are not all there; None means all.
    holes
        Stretches of the period for which the data of those tenants is missing.
    late_start
        Nothing says what the data covers, and it seems to begin inside the period.
    compared
        Whether the data covers the period before.
    """

    rows: pd.DataFrame
    n_frame: int
    asked: PeriodText
    period: Period
    before: Period
    as_of: pd.Timestamp
    tz: str
    profile: Profile
    policy: stats.OutcomePolicy
    targets: Targets
    where: Filter | None
    title: str
    partial: frozenset[str] | None
    holes: Sequence[Hole]
    late_start: bool
    compared: bool

    @property
    def plain(self) -> bool:
        """Tell whether it is for a customer, in plain words."""
        return self.profile == "customer"

    @property
    def freq(self) -> str:
        """Give the length of the bars of the period."""
        return bucket_length(self.period)

    @property
    def end(self) -> pd.Timestamp:
        """Give the end of the period, or of the data if that comes first."""
        return min(self.period.until, self.as_of)

    @cached_property
    def now(self) -> pd.DataFrame:
        """Give the activities that started in the period."""
        return within(self.rows, self.period)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Give all runs: activities that no other one started, whenever they did."""
        return roots(self.rows)

    @cached_property
    def runs_now(self) -> pd.DataFrame:
        """Give the runs that started in the period."""
        return roots(self.now)

    @cached_property
    def runs_past(self) -> pd.DataFrame | None:
        """Give those of the period before, or None when the data does not cover it."""
        return None if self.past is None else roots(self.past)

    @cached_property
    def past(self) -> pd.DataFrame | None:
        """Give those of the period before, or None when the data does not cover it."""
        return within(self.rows, self.before) if self.compared else None

    @cached_property
    def runs_both(self) -> pd.DataFrame:
        """Give the runs of both periods, told apart by the column ``now``."""
        past = self.rows.iloc[:0] if self.runs_past is None else self.runs_past
        both = pd.concat([self.runs_now.assign(now=True), past.assign(now=False)])
        both.attrs = self.rows.attrs
        return both

    def rated(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Keep the rows of tenants whose data is whole: rates of others would be guesses."""
        if self.partial is None:
            return rows.iloc[:0]
        return rows[~rows["tenant.id"].isin(self.partial)] if self.partial else rows

    @cached_property
    def dark(self) -> list[Hole]:
        """Give the stretches of the period of which nothing is known for any tenant."""
        ahead = [(self.end, self.period.until)] if self.end < self.period.until else []
        first = self.now["startedAt"].min()
        before = [(self.period.since, first)] if self.late_start and not pd.isna(first) else []
        return [*before, *ahead]

    def seen(self, tenant: object, since: pd.Timestamp, until: pd.Timestamp) -> bool:
        """Tell whether the data of a tenant covers a stretch of the period."""
        holes = [*self.dark, *(self.holes if self.is_partial(tenant) else ())]
        return not any(start < until and since < end for start, end in holes)

    def is_partial(self, tenant: object) -> bool:
        """Tell whether a tenant's rates are withheld."""
        return self.partial is None or tenant in self.partial


def within(rows: pd.DataFrame, period: Period) -> pd.DataFrame:
    """Select the activities that started in a period."""
    return Filter(since=period.since, until=period.until, on="startedAt").select(rows)


def roots(rows: pd.DataFrame) -> pd.DataFrame:
    """Select the runs: activities that no other one started."""
    return rows[rows["parentActivityId"].fillna(0) == 0]


def read_scope(
    df: pd.DataFrame,
    *,
    period: PeriodText,
    profile: Profile,
    where: Filter | None,
    tz: str,
    targets: Targets,
    policy: stats.OutcomePolicy,
    as_of: Moment | None,
    title: str | None,
) -> Scope:
    """Read the arguments of a report, with one clear error for each that cannot be meant."""
    require(df.columns, NEEDED, "the report")
    if profile not in ("ops", "customer"):
        raise ConfigError(f"profile={profile!r}; choose ops or customer")
    check_targets(targets)
    zone = read_zone(tz)
    moment = _moment(df, as_of)
    present, before = read_period(period, moment, zone)
    chosen = df if where is None else df[where.mask(df)]
    rows = (chosen if where is None else where.noted(chosen))[NEEDED]
    if profile == "customer":
        _refuse_several(rows, where)
        rows.attrs = _own_notes(rows)
    lines = note(rows, "coverage", ())
    # whether the data covers a period shows in the whole frame, not in a few selected rows
    starts = df["startedAt"]
    return Scope(
        rows=rows, n_frame=len(rows if profile == "customer" else df), asked=period,
        period=present, before=before, as_of=moment, tz=tz, profile=profile, policy=policy,
        targets=targets, where=where,
        title=title or TITLES[profile],
        partial=_partial(df, rows, lines, present, moment),
        holes=_holes(lines, present, moment),
        late_start=not lines and _silent(starts, present),
        compared=_whole(lines, before, moment) if lines else not _silent(starts, before),
    )  # fmt: skip


def _moment(df: pd.DataFrame, as_of: Moment | None) -> pd.Timestamp:
    """Give the moment that the data describes."""
    latest = df["updatedAt"].max()
    # an archive knows up to when it was fetched, and silence after the last change is news too
    ends = [to_timestamp(line["until"]) for line in note(df, "coverage", ())]
    if ends:
        latest = max(ends)
    if pd.isna(latest) and (as_of is None or is_span(as_of)):
        raise ConfigError(
            "the frame holds no activities, so nothing says when the period ends: give as_of=…"
        )
    return latest if as_of is None else to_timestamp(as_of, now=latest)


def _refuse_several(rows: pd.DataFrame, where: Filter | None) -> None:
    tenants = rows["tenant.id"].nunique()
    if tenants > 1 and len(tuple((where or Filter()).tenant)) != 1:
        raise ConfigError(
            f"the customer profile is for one tenant, and the selection has {tenants}: choose one"
            " with where=ak.Filter(tenant=…)"
        )


def _own_notes(rows: pd.DataFrame) -> dict[Any, Any]:
    """Keep of the notes what a customer may read: no other tenant, path, address or filter.

    What is cut away again stays the same, so the report can be made again from its manifest.
    """
    notes = {**rows.attrs.get(ATTRS, {})} | dict.fromkeys(("source", "filter"))
    if lines := notes.get("coverage"):
        notes["coverage"] = _own_lines(lines, frozenset(rows["tenant.uuid"].dropna()))
    return {**rows.attrs, ATTRS: notes}


def _own_lines(lines: Sequence[Line], own: frozenset[str]) -> list[Line]:
    """Keep the scopes of these tenants, and of all others together what each of them covers.

    `_partial` reads no more from the others: whatever one of them lacks may be the customer's.
    """
    scopes = by_scope(lines)
    found: list[Line] = []
    for number, key in enumerate(key for key in scopes if key[1] in own):
        shown = {"tenant": key[1], "filter": _hidden({key[2]}, number)}
        found += [_line(one, **shown) for one in scopes[key]]
    others = [key for key in scopes if key[1] not in own]
    if not others:
        return found
    shown = {"tenant": "", "filter": _hidden({key[2] for key in others})}
    common = set(_complete(scopes[others[0]]))
    for key in others[1:]:
        both = [
            (max(one[0], two[0]), min(one[1], two[1]))
            for one, two in product(common, _complete(scopes[key]))
        ]
        common = {(since, until) for since, until in both if since < until}
    whole = [
        {"since": None if since == _BEGINNING else format_time(since),
         "until": format_time(until), "status": "complete"}
        for since, until in sorted(common)
    ]  # fmt: skip
    last = max(to_timestamp(line["until"]) for key in others for line in scopes[key])
    none = {"since": None, "until": format_time(last), "status": "partial"}
    return [*found, *(_line(one, **shown) for one in whole or [none])]


def _hidden(filters: set[str], number: int = 0) -> str:
    """Say that a sync asked for a selection, not for which."""
    return EVERYTHING if filters == {EVERYTHING} else f"selection {number}"


def _line(line: Line, *, tenant: str, filter: str) -> Line:  # noqa: A002 - the key's name
    kept = {name: line[name] for name in ("since", "until", "status")}
    return {"base_url": "", "tenant": tenant, "filter": filter, **kept}


def _silent(starts: "pd.Series[Any]", period: Period) -> bool:
    """Tell whether nothing starts in the first tenth of a period: the data may begin inside it."""
    tenth = period.since + (period.until - period.since) / 10
    return not bool(((starts >= period.since) & (starts < tenth)).any())


def _partial(
    df: pd.DataFrame,
    rows: pd.DataFrame,
    lines: Sequence[Line],
    period: Period,
    as_of: pd.Timestamp,
) -> frozenset[str] | None:
    """Name the tenants whose activities of a period are not all there; None means all of them.

    What an archive noted tells one scope from another: a scope holds the tenant that its API client
    saw and all below it. Where that is not known, the scope may hold any tenant.
    """
    if not lines:
        return frozenset() if note(df, "complete", default=True) is not False else None
    whole = {scope: _covers(own, period, as_of) for scope, own in by_scope(lines).items()}
    if all(whole.values()):
        return frozenset()
    if not any(whole.values()):
        return None
    places = rows[["tenant.id", "tenant.uuid", "tenant.locator"]].drop_duplicates()
    above = {
        scope: places.loc[places["tenant.uuid"] == scope[1], "tenant.locator"].dropna().tolist()
        for scope in whole
    }
    tenants = places["tenant.id"].astype("str").tolist()
    partial = frozenset(
        tenant
        for tenant, locator in zip(tenants, places["tenant.locator"].astype("str"), strict=True)
        if not _is_whole(locator, whole, above)
    )
    return None if partial == frozenset(tenants) else partial


def _is_whole(locator: str, whole: Mapping[Any, bool], above: Mapping[Any, Sequence[str]]) -> bool:
    """Tell whether a complete scope surely holds a tenant, or no incomplete one may hold it."""
    surely = {scope: locator.startswith(tuple(found)) for scope, found in above.items()}
    if any(surely[scope] and complete for scope, complete in whole.items()):
        return True
    return all(complete for scope, complete in whole.items() if surely[scope] or not above[scope])


def by_scope(lines: Sequence[Line]) -> dict[tuple[str, str, str], list[Line]]:
    """Group the lines of coverage by what was asked of whom."""
    scopes: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        scopes.setdefault((line["base_url"], line["tenant"], line["filter"]), []).append(line)
    return scopes


def gaps(lines: Sequence[Line], period: Period, as_of: pd.Timestamp) -> list[Hole]:
    """Give the stretches of a period that the lines of one scope do not cover completely."""
    at, end = period.since, min(period.until, as_of)
    found = []
    for since, until in sorted(_complete(lines)):
        if since > at and at < end:
            found.append((at, min(since, end)))
        at = max(at, until)
    if at < end - _SLACK:
        found.append((at, end))
    return found


def _holes(lines: Sequence[Line], period: Period, as_of: pd.Timestamp) -> list[Hole]:
    """Give the stretches that some scope does not cover; all, where nothing tells them apart."""
    if not lines:
        return [(period.since, min(period.until, as_of))]
    return [hole for own in by_scope(lines).values() for hole in gaps(own, period, as_of)]


def _complete(lines: Sequence[Line]) -> list[Hole]:
    return [
        (_BEGINNING if line["since"] is None else to_timestamp(line["since"]),
         to_timestamp(line["until"]))
        for line in lines
        if line["status"] == "complete"
    ]  # fmt: skip


def _covers(lines: Sequence[Line], period: Period, as_of: pd.Timestamp) -> bool:
    return not gaps(lines, period, as_of)


def _whole(lines: Sequence[Line], period: Period, as_of: pd.Timestamp) -> bool:
    return all(_covers(own, period, as_of) for own in by_scope(lines).values())
