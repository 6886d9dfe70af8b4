"""One message that holds all that the board shows: numbers and short texts, never markup.

Ids go as text, because a browser holds 53 bits of a number.
"""

import math
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from activitykit.explorer import measures, rankings, table, tree
from activitykit.explorer.cube import LEGACY, ROOT, Cube
from activitykit.explorer.facets import TREE, Facet
from activitykit.explorer.measures import EDGES_S, Headline
from activitykit.explorer.scope import KIND
from activitykit.explorer.selection import SPANS, Option, Selection, edges
from activitykit.explorer.svg import colour, mark, stacking
from activitykit.moments import format_time
from activitykit.wording import duration_text

Json = dict[str, Any]

PAGE: Final = 25
FACETS: Final = {
    "outcome": 12, "operation": 8, "tenants": 8, "tenant": 8, "plan": 6, "resource": 6, "state": 8,
    "started_by": 4,
}  # fmt: skip
"""The facets that are shown at first, and how many options each shows."""
DIMENSIONS: Final = ("operation", "tenant", "plan", "resource", "started_by", "type")
COLUMNS: Final = ("createdAt", "outcome", "operation", "tenant", "resource", "duration_s")
TITLES: Final = {"createdAt": "Created", "duration_s": "Duration"}
_MORE: Final = 20
_LONGEST: Final = 300
_LONGEST_VALUE: Final = 4_000


@dataclass
class Look:
    """What the board shows of a selection: the view, not the rows."""

    page: int = 0
    sort: str = "createdAt"
    descending: bool = True
    columns: list[str] = field(default_factory=lambda: list(COLUMNS))
    by: dict[str, str] = field(
        default_factory=lambda: {"rates": "resource", "lengths": "operation"}
    )
    facets: list[str] = field(default_factory=list)
    unfolded: set[int] = field(default_factory=set)
    find: dict[str, str] = field(default_factory=dict)
    room: dict[str, int] = field(default_factory=dict)
    ident: int | None = None

    def begin(self, cube: Cube) -> None:
        """Look at a new frame: what lies at its numbers and names may be another."""
        self.facets = [name for name in self.facets if name in cube.facets] or first_facets(cube)
        self.columns = [name for name in self.columns if name in COLUMNS or name in cube.df.columns]
        self.unfolded.clear()


def about(cube: Cube) -> Json:
    """Give what stays the same while the frame does."""
    return {
        "columns": [str(name) for name in cube.df.columns],
        "facets": [
            [facet.name, facet.title] for facet in cube.facets.values() if _apart(cube, facet)
        ],
        "dimensions": [[name, cube.facets[name].title] for name in DIMENSIONS],
        "spans": [*SPANS, "All"],
    }


def first_facets(cube: Cube) -> list[str]:
    """Name the facets that are shown at first."""
    return [name for name in FACETS if name in cube.facets and _apart(cube, cube.facets[name])]


def _apart(cube: Cube, facet: Facet) -> bool:
    """Tell whether a facet is offered: the plain tenants are not beside their tree."""
    return not (facet.name == "tenant" and TREE in cube.facets)


def views(selection: Selection, look: Look) -> Json:
    """Give what depends on the filter: everything but the table and the details."""
    numbers = measures.headline(selection)
    return {
        **_top(selection),
        "cards": cards(selection, numbers),
        "facets": [_facet(selection, look, name) for name in look.facets],
        "time": _time(selection),
        "lengths": _histogram(selection, numbers),
        "ratesBy": _rates(selection, look.by["rates"]),
        "lengthsBy": _lengths(selection, look.by["lengths"]),
        "reasons": _reasons(selection),
        "week": _week(selection),
        "code": selection.code,
    }


def _top(selection: Selection) -> Json:
    where, zone = selection.filter, selection.scope.tz
    over = " – ".join(moment_text(edge, zone, seconds=False) for edge in selection.over or ())
    kinds = {kind: getattr(selection.scope, kind) for kind in ("roots", "children", "legacy")}
    return {
        "said": f"{selection.matching:,} of {selection.cube.n:,} activities",
        "over": f"{over} ({zone})" if over else "",
        "chips": [cut(one.text) for one in selection.conditions()],
        "text": where.text,
        "span": selection.span_name,
        "edges": [_edge_text(edge, zone) for edge in edges(where)],
        "zone": zone,
        "kinds": kinds,
        "kindCounts": _kind_counts(selection),
    }


def _kind_counts(selection: Selection) -> dict[str, int]:
    counted = selection.tally(selection.cube.flags, KIND)
    roots, legacy = (measures.flagged(counted, flag) for flag in (ROOT, LEGACY))
    return {"roots": roots, "children": int(counted.sum()) - roots, "legacy": legacy}


def _edge_text(edge: pd.Timestamp | None, zone: str) -> str:
    """Write an edge so that reading it gives the same moment, to the nanosecond."""
    if edge is None:
        return ""
    return format_time(edge) if zone == "UTC" else str(edge.tz_convert(zone))


def cards(selection: Selection, numbers: Headline) -> list[Json]:
    """Give the headline numbers: title, value, a note and a tone."""
    runs = f"roots on {numbers.n_resources:,} resources"
    failed = f"{numbers.n_failed:,} of {numbers.n_decided:,} that ended"
    if selection.filter.result:
        failed += ", any outcome"
    interval = f"{100 * numbers.ci_low:.1f}–{100 * numbers.ci_high:.1f} %"
    rate = "–" if math.isnan(numbers.failure_rate) else f"{100 * numbers.failure_rate:.1f} %"
    counted = f"{numbers.n_timed:,} durations"
    return [
        _card("Runs", f"{numbers.runs:,}", runs),
        _card(
            "Failure rate",
            rate,
            failed if rate != "–" else "no run that ended",
            tone="error",
            hint="" if rate == "–" else f"95 % interval {interval}",
        ),
        _card("Median duration", _length(numbers, numbers.p50_s), counted, tone="running"),
        _card("95th percentile", _length(numbers, numbers.p95_s), counted, tone="running"),
        _card("Running", f"{numbers.n_running:,}", "counted in the durations", tone="running"),
        _card("Overdue", _late(numbers), "running longer than their like", tone="late"),
    ]


def _card(title: str, value: str, note: str, *, tone: str = "", hint: str = "") -> Json:
    return {"title": title, "value": value, "note": note, "tone": tone, "hint": hint}


def _late(numbers: Headline) -> str:
    return "…" if numbers.n_overdue is None else f"{numbers.n_overdue:,}"


def _length(numbers: Headline, seconds: float) -> str:
    if math.isnan(seconds):
        return "not reached" if numbers.n_timed else "–"
    return duration_text(seconds)


def _facet(selection: Selection, look: Look, name: str) -> Json:
    facet = selection.cube.facets[name]
    room, find = look.room.get(name, FACETS.get(name, 6)), look.find.get(name, "")
    if name == TREE:
        found, more = tree.lines(selection, unfolded=look.unfolded, search=find, limit=room)
        options = [
            _option(name, one) | {"depth": depth, "open": open_} for one, depth, open_ in found
        ]
    else:
        plain_, more = selection.options(name, search=find, limit=room)
        options = [_option(name, one) for one in plain_]
    return {
        "name": name,
        "title": facet.title,
        "find": find if len(facet.labels) > FACETS.get(name, 6) else None,
        "size": len(facet.labels),
        "more": more,
        "options": options,
    }


def _option(name: str, one: Option) -> Json:
    shown: Json = {"number": one.number, "label": cut(one.label), "n": one.n, "on": one.chosen}
    if name == "outcome":
        shown |= {"mark": mark(one.label), "colour": colour(one.label)}
    return shown


def _time(selection: Selection) -> Json | None:
    line = measures.timeline(selection)
    if len(line.starts) < 2:
        return None
    step = int((line.starts[1] - line.starts[0]).value)
    starts, ticks = _time_texts(
        int(line.starts[0].value), step, len(line.starts), selection.scope.tz
    )
    return {
        "width": duration_text(step / 1e9),
        "starts": starts,
        "ticks": ticks,
        "series": [
            {"label": label, "mark": mark(label), "colour": colour(label), "n": n.tolist()}
            for label, n in sorted(line.counts.items(), key=stacking)
            if n.any()
        ],
        "failed": line.n_failed.tolist(),
        "decided": line.n_decided.tolist(),
        "inside": [int(np.argmax(line.inside)), int(line.inside.sum())],
        "leftOut": sum(line.left_out),
    }


@lru_cache(maxsize=32)
def _time_texts(
    first: int, step: int, n: int, zone: str
) -> tuple[list[str], list[tuple[int, str]]]:
    """Name the edges of the buckets, and some of them for the axis; times in nanoseconds."""
    edges_ns = first + step * np.arange(n)
    local = pd.DatetimeIndex(edges_ns.view("datetime64[ns]"), tz="UTC").tz_convert(zone)
    day = 24 * 3600 * 10**9
    starts = local.strftime("%Y-%m-%d" if step >= day else "%Y-%m-%d %H:%M").tolist()
    reach = step * (n - 1)
    shape = "%b %Y" if reach > 400 * day else "%-d %b" if reach > 2 * day else "%H:%M"
    found: dict[str, int] = {}
    for i in range(0, n - 1 - n // 20, max(1, round(n / 8))):
        found.setdefault(f"{local[i]:{shape}}", i)
    return starts, [(i, text) for text, i in found.items()]


def _histogram(selection: Selection, numbers: Headline) -> Json:
    n = measures.histogram(selection)
    used = np.flatnonzero(n)
    if not len(used):
        return {"bins": [], "hints": [], "ticks": [], "marks": []}
    first, last = max(int(used[0]) - 2, 0), int(used[-1]) + 3
    n, shown = n[first:last], EDGES_S[first : last + 1]
    low, high = float(shown[0]), float(shown[len(n)])
    marks = {"p50": numbers.p50_s, "p95": numbers.p95_s}
    texts = _edge_texts()[first : last + 1]
    return {
        "bins": n.tolist(),
        "hints": [f"{a} – {b}" for a, b in pairwise(texts[: len(n) + 1])],
        "ticks": log_ticks(low, high),
        "marks": [
            [_place(at, low, high), f"{name} {duration_text(at)}"]
            for name, at in marks.items()
            if not math.isnan(at)
        ],
    }


@cache
def _edge_texts() -> list[str]:
    return [duration_text(edge) for edge in EDGES_S]


_TICKS_S: Final = (0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 6_048_000)


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Place round durations on a log axis from `low` to `high`, as fractions of it."""
    placed = [(_place(at, low, high), duration_text(at)) for at in _TICKS_S]
    return [(at, text) for at, text in placed if 0.02 <= at <= 0.98]


def _place(at: float, low: float, high: float) -> float:
    span = math.log10(high) - math.log10(low)
    return round((math.log10(max(at, 1e-9)) - math.log10(low)) / span, 4) if span else 0.5


def _rates(selection: Selection, by: str) -> Json:
    found = rankings.rates(selection, by)
    widest = max([0.01, *(one.ci_high for one in found)])
    return {
        "by": by,
        "ticks": [(0, "0 %"), (1, f"{100 * widest:.0f} %")],
        "rows": [
            _line(
                selection, by, one.number, f"{100 * one.failure_rate:.1f} %",
                f"{one.n_failed:,} of {one.n_decided:,} runs failed; 95 % interval"
                f" {100 * one.ci_low:.1f}–{100 * one.ci_high:.1f} %",
                0, one.failure_rate / widest, one.ci_low / widest, one.ci_high / widest,
            )
            for one in found
        ],
    }  # fmt: skip


def _lengths(selection: Selection, by: str) -> Json:
    found = rankings.lengths(selection, by)
    reached = [at for one in found for at in (one.p50_s, one.p95_s) if not math.isnan(at)]
    low, high = max(min(reached, default=1), 0.1) / 1.5, max([*reached, 0.1]) * 1.5

    def place(seconds: float) -> float:
        return 1 if math.isnan(seconds) else _place(max(seconds, 0.1), low, high)

    return {
        "by": by,
        "ticks": log_ticks(low, high),
        "rows": [
            _line(
                selection, by, one.number, _reached(one.p50_s),
                f"p50 {_reached(one.p50_s)}, p95 {_reached(one.p95_s)} of {one.n:,} durations",
                place(one.p50_s), place(one.p50_s), place(one.p50_s), place(one.p95_s),
            )
            for one in found
        ],
    }  # fmt: skip


def _line(selection: Selection, by: str, number: int, said: str, hint: str, *ends: float) -> Json:
    """Give a group with the ends of its bar and of its range, as percent of the axis."""
    facet = selection.cube.facets[by]
    return {
        "number": number,
        "label": cut(facet.labels[number]),
        "on": number in selection.chosen(facet),
        "ends": [round(100 * end, 2) for end in ends],
        "said": said,
        "hint": hint,
    }


def _reached(seconds: float) -> str:
    return "not reached" if math.isnan(seconds) else duration_text(seconds)


def _reasons(selection: Selection) -> list[Json]:
    return [
        {
            "label": cut(one.signature),
            "key": one.signature,
            "on": one.signature in selection.scope.reasons,
            "n": one.n,
            "resources": one.n_resources,
        }
        for one in rankings.reasons(selection, 8)
    ]


def _week(selection: Selection) -> Json:
    counts = rankings.week(selection)
    return {
        "n": counts.n.tolist(),
        "failed": counts.n_failed.tolist(),
        "decided": counts.n_decided.tolist(),
        "on": list(selection.scope.hours),
    }


def rows(selection: Selection, look: Look) -> Json:
    """Give one page of the table."""
    last = max(selection.matching - 1, 0) // PAGE
    look.page = min(max(look.page, 0), last)
    extra = [name for name in look.columns if name in selection.cube.df.columns]
    found = table.page(
        selection, look.page, size=PAGE, sort=look.sort, descending=look.descending, columns=extra
    )
    first, end = look.page * PAGE + 1, min((look.page + 1) * PAGE, selection.matching)
    zone = selection.scope.tz
    return {
        "columns": [[name, _title(selection.cube, name)] for name in look.columns],
        "sort": look.sort,
        "descending": look.descending,
        "page": look.page,
        "last": last,
        "said": f"{first:,}–{end:,} of {selection.matching:,}" if selection.matching else "none",
        "rows": [
            {
                "id": str(row["id"]),
                "mark": mark(row["outcome"]),
                "colour": colour(row["outcome"]),
                "cells": [cell(row, name, zone) for name in look.columns],
            }
            for row in found
        ],
    }


def _title(cube: Cube, name: str) -> str:
    return TITLES.get(name) or (cube.facets[name].title if name in table.NAMED else name)


def cell(row: Json, name: str, zone: str) -> str:
    """Write one cell of the table."""
    value = row[name]
    if name == "duration_s":
        return f"≥ {duration_text(value)}" if row["running"] else duration_text(value)
    return cut(value_text(value, zone, seconds=True))


def value_text(value: Any, zone: str, *, seconds: bool = False) -> str:  # noqa: ANN401 - any cell
    """Write a value of a cell; times in the zone, to the second or in full."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:  # noqa: PLR0124 - nan
        return "–"
    if isinstance(value, pd.Timestamp):
        return moment_text(value, zone) if seconds else str(value.tz_convert(zone))
    return str(value)


def moment_text(moment: pd.Timestamp, zone: str, *, seconds: bool = True) -> str:
    """Write a moment in a zone, to the second or to the minute."""
    return moment.tz_convert(zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def details(selection: Selection, look: Look) -> Json | None:
    """Give everything about the chosen activity."""
    cube, zone = selection.cube, selection.scope.tz
    found = None if look.ident is None else table.details(cube, look.ident)
    if found is None:
        return None
    outcome = _label(cube, "outcome", found.row)
    return {
        "id": str(look.ident),
        "mark": mark(outcome),
        "colour": colour(outcome),
        "outcome": outcome,
        "operation": _label(cube, "operation", found.row),
        "facets": [
            [name, cube.facets[name].title, int(cube.facets[name].codes[found.row]),
             cut(_label(cube, name, found.row))]
            for name in ("tenant", "resource", "plan", "operation")
        ],
        "chain": [[code, text[:_LONGEST_VALUE]] for code, text in found.chain],
        "values": [
            [name, value_text(value, zone)[:_LONGEST_VALUE]]
            for name, value in found.cells.items()
        ],
        "parents": _brief(cube, found.parents, zone),
        "children": _brief(cube, found.children, zone),
        "neighbours": _brief(cube, found.neighbours, zone),
    }  # fmt: skip


def _label(cube: Cube, name: str, row: int) -> str:
    facet = cube.facets[name]
    code = int(facet.codes[row])
    return facet.labels[code] if code < len(facet.labels) else "?"


def _brief(cube: Cube, rows: list[int], zone: str) -> list[Json]:
    raw = cube.df[["id", "createdAt"]].iloc[cube.order[rows]]
    return [
        {
            "id": str(ident),
            "label": f"{value_text(created, zone, seconds=True)}  {_label(cube, 'operation', row)}",
            "mark": mark(_label(cube, "outcome", row)),
            "colour": colour(_label(cube, "outcome", row)),
            "outcome": _label(cube, "outcome", row),
        }
        for row, ident, created in zip(rows, raw["id"], raw["createdAt"], strict=True)
    ]


def cut(text: str) -> str:
    """Cut a very long name."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
