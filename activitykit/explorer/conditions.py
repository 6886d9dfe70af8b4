"""What is on, one by one: in words for the chips, and how to take each off again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from activitykit.explorer.facets import Facet
from activitykit.explorer.scope import HOURS, KIND, REASONS, Scope, hour_text
from activitykit.explorer.selection import TIME, Selection, altered, edges, key
from activitykit.explorer.texts import moment_text
from activitykit.filters import Filter
from activitykit.moments import format_time


@dataclass(frozen=True)
class Condition:
    """One thing that is on, in words, and filter and scope without it.

    ``full`` says it to the nanosecond, where ``text`` is shorter.
    """

    text: str
    without: Filter
    scope: Scope
    full: str = ""


def conditions(selection: Selection) -> Iterator[Condition]:
    """Say what is on."""
    where, scope = selection.filter, selection.scope
    by_field: dict[str, list[Facet]] = {}
    for facet in selection.cube.facets.values():
        by_field.setdefault(facet.field, []).append(facet)
    for name in selection.parts:
        if name in by_field:
            yield from _chosen(selection, by_field[name])
        elif name in (KIND, REASONS, HOURS):
            yield from _scoped(where, scope, name)
        elif name == TIME:
            yield _timed(where, scope)
        else:
            value = getattr(where, name)
            shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            without = altered(where, name, getattr(Filter(), name))
            yield Condition(f"{name.replace('_', ' ')}: {shown}", without, scope)


def _chosen(selection: Selection, facets: list[Facet]) -> Iterator[Condition]:
    """Name what is chosen of one field by its first facet that knows it."""
    label = {
        key(term): (text, facet.name, terms)
        for facet in reversed(facets)
        for text, terms in zip(facet.labels, facet.terms, strict=True)
        for term in terms
    }
    first = facets[0]
    wanted = getattr(selection.filter, first.field)
    shown = dict.fromkeys(label.get(key(one), (one, first.name, (one,))) for one in wanted)
    for text, name, terms in shown:
        without = selection.toggle(name, terms)
        yield Condition(f"{first.title}: {text}", without, selection.scope)


def _scoped(where: Filter, scope: Scope, part: str) -> Iterator[Condition]:
    if part == KIND:
        hidden = [kind for kind in ("roots", "children", "legacy") if not getattr(scope, kind)]
        without = replace(scope, roots=True, children=True, legacy=True)
        yield Condition(f"without {', '.join(hidden)}", where, without)
    elif part == REASONS:
        for one in scope.reasons:
            left = tuple(reason for reason in scope.reasons if reason != one)
            yield Condition(f"Reason: {one}", where, replace(scope, reasons=left))
    else:
        named = ", ".join(map(hour_text, scope.hours[:3]))
        more = f" and {len(scope.hours) - 3} more" if len(scope.hours) > 3 else ""
        text = f"Hour of the week: {named}{more} ({scope.tz})"
        yield Condition(text, where, replace(scope, hours=()))


def _timed(where: Filter, scope: Scope) -> Condition:
    """Name the interval: to the second in the zone, and in full."""
    words = [
        (word, edge)
        for word, edge in zip(("from", "before"), edges(where), strict=True)
        if edge is not None
    ]
    short = " ".join(f"{word} {moment_text(edge, scope.tz)}" for word, edge in words)
    full = " ".join(f"{word} {format_time(edge)}" for word, edge in words)
    without = replace(where, since=None, until=None)
    return Condition(f"{where.on} {short}", without, scope, f"{where.on} {full}")
