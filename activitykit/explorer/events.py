"""What people do on the board, by the kind of the event: each changes what is chosen, or the look.

An event is a dict; what it holds beside its kind is named where it is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from activitykit.explorer import measures
from activitykit.explorer.conditions import conditions
from activitykit.explorer.look import Look
from activitykit.explorer.selection import altered
from activitykit.moments import to_timestamp

if TYPE_CHECKING:
    from activitykit.explorer.widget import Explorer

Event = Mapping[str, Any]

_GREATEST_FIRST: Final = frozenset({"createdAt", "duration_s"})


def answer(explorer: "Explorer", look: Look, event: Event) -> None:
    """Do what an event asks for."""
    _ANSWERS[event["kind"]](explorer, look, event)


def _toggle(explorer: "Explorer", _: Look, event: Event) -> None:
    now = explorer.selection
    facet = now.cube.facets[event["facet"]]
    terms = facet.terms[event["number"]]
    if event.get("only"):
        explorer.filter = altered(now.filter, facet.field, terms)
    else:
        explorer.filter = now.toggle(facet.name, terms)


def _clear(explorer: "Explorer", _: Look, event: Event) -> None:
    field = explorer.selection.cube.facets[event["facet"]].field
    explorer.filter = altered(explorer.filter, field, ())


def _search(explorer: "Explorer", _: Look, event: Event) -> None:
    explorer.filter = replace(explorer.filter, text=event["text"].strip())


def _span(explorer: "Explorer", _: Look, event: Event) -> None:
    """Choose a quick span by name, or buckets of the time chart by their numbers."""
    if "name" in event:
        explorer.filter = explorer.selection.span(event["name"])
        return
    starts = measures.timeline(explorer.selection).starts
    since, until = starts[[event["first"], event["last"] + 1]]
    explorer.filter = replace(explorer.filter, on="createdAt", since=since, until=until)


def _edge(explorer: "Explorer", _: Look, event: Event) -> None:
    moment = explorer.moment(event["text"])
    explorer.filter = altered(explorer.filter, event["name"], moment)


def _zone(explorer: "Explorer", _: Look, event: Event) -> None:
    to_timestamp("2026-01-01").tz_convert(event["zone"])
    explorer.scope = replace(explorer.scope, tz=event["zone"])


def _kinds(explorer: "Explorer", _: Look, event: Event) -> None:
    flag: dict[str, Any] = {event["name"]: not getattr(explorer.scope, event["name"])}
    explorer.scope = replace(explorer.scope, **flag)


def _reason(explorer: "Explorer", _: Look, event: Event) -> None:
    scope = explorer.scope
    explorer.scope = replace(scope, reasons=_toggled(scope.reasons, event["key"]))


def _hour(explorer: "Explorer", _: Look, event: Event) -> None:
    scope = explorer.scope
    explorer.scope = replace(scope, hours=_toggled(scope.hours, int(event["hour"])))


def _take_off(explorer: "Explorer", _: Look, event: Event) -> None:
    condition = list(conditions(explorer.selection))[event["number"]]
    explorer.choose(condition.without, condition.scope)


def _reset(explorer: "Explorer", _: Look, __: Event) -> None:
    explorer.reset()


def _act(explorer: "Explorer", _: Look, event: Event) -> None:
    explorer.act(event["name"], event.get("path", ""))


# the look alone


def _find(_: "Explorer", look: Look, event: Event) -> None:
    look.find[event["facet"]] = event["text"]


def _room(_: "Explorer", look: Look, event: Event) -> None:
    look.room[event["facet"]] = int(event["room"])


def _fold(_: "Explorer", look: Look, event: Event) -> None:
    look.unfolded ^= {int(event["number"])}


def _by(_: "Explorer", look: Look, event: Event) -> None:
    look.by[event["view"]] = event["name"]


def _facets(_: "Explorer", look: Look, event: Event) -> None:
    look.facets = list(event["names"])


def _columns(_: "Explorer", look: Look, event: Event) -> None:
    look.columns = list(event["names"])


def _order(_: "Explorer", look: Look, event: Event) -> None:
    name = event["name"]
    look.descending = not look.descending if look.sort == name else name in _GREATEST_FIRST
    look.sort, look.page = name, 0


def _page(_: "Explorer", look: Look, event: Event) -> None:
    look.page = int(event["page"])


def _details(_: "Explorer", look: Look, event: Event) -> None:
    look.ident = int(event["id"]) if event["id"] else None


_ANSWERS: Final[Mapping[str, Callable[["Explorer", Look, Event], None]]] = {
    "toggle": _toggle, "clear": _clear, "search": _search, "span": _span, "edge": _edge,
    "zone": _zone, "kinds": _kinds, "reason": _reason, "hour": _hour, "takeOff": _take_off,
    "reset": _reset, "act": _act, "find": _find, "room": _room, "fold": _fold, "by": _by,
    "facets": _facets, "columns": _columns, "order": _order, "page": _page, "details": _details,
}  # fmt: skip


def _toggled(values: tuple[Any, ...], value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of one kind
    left = tuple(one for one in values if one != value)
    return left if len(left) < len(values) else (*values, value)
