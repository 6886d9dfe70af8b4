"""One message that holds all that the board shows: numbers and short texts, never markup.

Ids go as text, because a browser holds 53 bits of a number.
"""

import math
from typing import Any, Final

import pandas as pd

from activitykit.explorer import figures, measures, tree
from activitykit.explorer.conditions import conditions
from activitykit.explorer.cube import LEGACY, ROOT, Cube
from activitykit.explorer.facets import TREE
from activitykit.explorer.look import FACETS, Look, apart
from activitykit.explorer.measures import Headline
from activitykit.explorer.scope import KIND
from activitykit.explorer.selection import SPANS, Option, Selection, edges
from activitykit.explorer.svg import colour, mark
from activitykit.explorer.texts import cut, moment_text
from activitykit.moments import format_time
from activitykit.wording import duration_text

Json = dict[str, Any]

PAGE: Final = 25
DIMENSIONS: Final = ("operation", "tenant", "plan", "resource", "started_by", "type")


def about(cube: Cube) -> Json:
    """Give what stays the same while the frame does."""
    return {
        "columns": [str(name) for name in cube.df.columns],
        "facets": [
            [facet.name, facet.title] for facet in cube.facets.values() if apart(cube, facet)
        ],
        "dimensions": [[name, cube.facets[name].title] for name in DIMENSIONS],
        "spans": [*SPANS, "All"],
    }


def views(selection: Selection, look: Look) -> Json:
    """Give what depends on the filter: everything but the table and the details."""
    numbers = measures.headline(selection)
    return {
        **_top(selection),
        "cards": cards(selection, numbers),
        "facets": [_facet(selection, look, name) for name in look.facets],
        "time": figures.timeline(selection),
        "lengths": figures.histogram(selection, numbers),
        "ratesBy": figures.rates(selection, look.by["rates"]),
        "lengthsBy": figures.lengths(selection, look.by["lengths"]),
        "reasons": figures.reasons(selection),
        "week": figures.week(selection),
        "code": selection.code,
    }


def _top(selection: Selection) -> Json:
    where, zone = selection.filter, selection.scope.tz
    over = " – ".join(moment_text(edge, zone, seconds=False) for edge in selection.over or ())
    kinds = {kind: getattr(selection.scope, kind) for kind in ("roots", "children", "legacy")}
    return {
        "said": f"{selection.matching:,} of {selection.cube.n:,} activities",
        "over": f"{over} ({zone})" if over else "",
        "chips": [[cut(one.text), cut(one.full or one.text)] for one in conditions(selection)],
        "text": where.text,
        "span": selection.span_name,
        "edges": [_edge_texts(edge, zone) for edge in edges(where)],
        "zone": zone,
        "kinds": kinds,
        "kindCounts": _kind_counts(selection),
    }


def _kind_counts(selection: Selection) -> dict[str, int]:
    counted = selection.tally(selection.cube.flags, KIND)
    roots, legacy = (measures.flagged(counted, flag) for flag in (ROOT, LEGACY))
    return {"roots": roots, "children": int(counted.sum()) - roots, "legacy": legacy}


def _edge_texts(edge: pd.Timestamp | None, zone: str) -> tuple[str, str]:
    """Write an edge in the zone to the second, and in full."""
    return ("", "") if edge is None else (moment_text(edge, zone), format_time(edge))


def cards(selection: Selection, numbers: Headline) -> list[Json]:
    """Give the headline numbers: title, value, a note and a tone."""
    runs = f"roots on {numbers.n_resources:,} resources"
    failed = f"{numbers.n_failed:,} of {numbers.n_decided:,} that ended"
    if selection.filter.result:
        failed += ", any outcome"
    interval = f"{100 * numbers.ci_low:.1f}–\u2060{100 * numbers.ci_high:.1f}\u00a0%"
    rate = "–" if math.isnan(numbers.failure_rate) else f"{100 * numbers.failure_rate:.1f} %"
    counted = f"{numbers.n_timed:,} durations"
    return [
        _card("Runs", f"{numbers.runs:,}", runs),
        _card(
            "Failure rate",
            rate,
            failed if rate != "–" else "no run that ended",
            tone="error",
            hint="" if rate == "–" else f"95\u00a0% interval {interval}",
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
