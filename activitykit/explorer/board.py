"""`Board`: the dashboard as one anywidget; a message with all numbers out, numbered events in.

The script in ``board.js`` draws what `state` says and sends what people do. Every event is
answered, a failed one with what went wrong, and the answer carries the event's number.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from activitykit.explorer import measures, state
from activitykit.explorer.selection import SPANS, Selection, altered
from activitykit.explorer.state import Json, Look
from activitykit.filters import Filter
from activitykit.moments import to_timestamp

if TYPE_CHECKING:
    from activitykit.explorer.widget import Explorer

_HERE: Final = Path(__file__).parent


class Board(anywidget.AnyWidget):  # type: ignore[misc] # anywidget's traits have no types
    """The views of an `Explorer`, drawn by the browser.

    Attributes
    ----------
    state
        All that is shown, and the number of the event that it answers.
    about
        What stays the same while the frame does.
    """

    _esm = (_HERE / "board.js").read_text("utf-8")
    _css = (_HERE / "explorer.css").read_text("utf-8") + (_HERE / "board.css").read_text("utf-8")
    state = traitlets.Dict().tag(sync=True)
    about = traitlets.Dict().tag(sync=True)

    def __init__(self, explorer: "Explorer") -> None:
        self._explorer = explorer
        self._look, self._seq = Look(), 0
        self._error: Json | None = None
        self._seen: tuple[Selection, Json] | None = None
        super().__init__()
        self.begin()
        self.on_msg(self._heard)

    def begin(self) -> None:
        """Show a new frame."""
        about = state.about(self._explorer.selection.cube)
        self.about = {**about, "can": self._explorer.can()}
        self.show()

    def show(self) -> None:
        """Send what the board shows now."""
        selection = self._explorer.selection
        if self._seen is None or self._seen[0] is not selection:
            self._seen = selection, state.views(selection, self._look)
        self.state = state.plain(
            {
                **self._seen[1],
                "table": state.rows(selection, self._look),
                "details": state.details(selection, self._look),
                "note": self._explorer.note,
                "error": self._error,
                "seq": self._seq,
            }
        )

    def changed(self) -> None:
        """Show another selection, from its first page."""
        self._look.page = 0
        self.show()

    def say(self, text: str, details: str = "") -> None:
        """Say what went wrong; with nothing, take it back."""
        self._error = {"text": text, "details": details} if text else None

    def _heard(self, _: object, event: Mapping[str, Any], __: object) -> None:
        self._seq = int(event["seq"])
        with self._explorer.told():
            _EVENTS[event["kind"]](self, event)
        self.show()

    # what people do

    def _choose(self, where: Filter) -> None:
        self._explorer.filter = where

    def _field(self, event: Mapping[str, Any]) -> str:
        return self._explorer.selection.cube.facets[event["facet"]].field

    def _toggle(self, event: Mapping[str, Any]) -> None:
        now = self._explorer.selection
        terms = now.cube.facets[event["facet"]].terms[event["number"]]
        if event.get("only"):
            self._choose(altered(now.filter, self._field(event), terms))
        else:
            self._choose(now.toggle(event["facet"], terms))

    def _clear(self, event: Mapping[str, Any]) -> None:
        self._choose(altered(self._explorer.filter, self._field(event), ()))

    def _search(self, event: Mapping[str, Any]) -> None:
        self._choose(replace(self._explorer.filter, text=event["text"].strip()))

    def _span(self, event: Mapping[str, Any]) -> None:
        if "first" in event:
            starts = measures.timeline(self._explorer.selection).starts
            since, until = starts[event["first"]], starts[event["last"] + 1]
            where = self._explorer.filter
            self._choose(replace(where, on="createdAt", since=since, until=until))
        elif event["name"] in (*SPANS, "All"):
            self._choose(self._explorer.selection.span(event["name"]))

    def _edge(self, event: Mapping[str, Any]) -> None:
        moment = self._explorer.moment(event["text"])
        self._choose(altered(self._explorer.filter, event["name"], moment))

    def _zone(self, event: Mapping[str, Any]) -> None:
        to_timestamp("2026-01-01").tz_convert(event["zone"])
        self._explorer.scope = replace(self._explorer.scope, tz=event["zone"])

    def _kinds(self, event: Mapping[str, Any]) -> None:
        scope, kind = self._explorer.scope, event["name"]
        flags = {name: getattr(scope, name) for name in ("roots", "children", "legacy")}
        flags[kind] = not flags[kind]
        self._explorer.scope = replace(scope, **flags)

    def _reason(self, event: Mapping[str, Any]) -> None:
        scope = self._explorer.scope
        self._explorer.scope = replace(scope, reasons=_toggled(scope.reasons, event["key"]))

    def _hour(self, event: Mapping[str, Any]) -> None:
        scope = self._explorer.scope
        self._explorer.scope = replace(scope, hours=_toggled(scope.hours, int(event["hour"])))

    def _take_off(self, event: Mapping[str, Any]) -> None:
        condition = self._explorer.selection.conditions()[event["number"]]
        self._explorer.choose(condition.without, condition.scope)

    def _reset(self, _: Mapping[str, Any]) -> None:
        self._explorer.reset()

    # how it is shown

    def _view(self, event: Mapping[str, Any]) -> None:
        """Change the view alone: which facets and columns, searches in them, by what, how long."""
        look, name, value = self._look, event["name"], event.get("value")
        if name in ("find", "room"):
            getattr(look, name)[event["facet"]] = value
        else:
            setattr(look, name, value)
        self._seen = None

    def _order(self, event: Mapping[str, Any]) -> None:
        look, name = self._look, event["name"]
        look.descending = not look.descending if look.sort == name else name in _GREATEST_FIRST
        look.sort, look.page = name, 0

    def _page(self, event: Mapping[str, Any]) -> None:
        self._look.page = int(event["page"])

    def _details(self, event: Mapping[str, Any]) -> None:
        self._look.ident = int(event["id"]) if event["id"] else None

    # what is done with it

    def _act(self, event: Mapping[str, Any]) -> None:
        self._explorer.act(event["name"], event.get("path", ""))


_GREATEST_FIRST: Final = frozenset({"createdAt", "duration_s"})
_EVENTS: Final[Mapping[str, Callable[[Board, Mapping[str, Any]], None]]] = {
    "toggle": Board._toggle, "clear": Board._clear, "search": Board._search, "span": Board._span,
    "edge": Board._edge, "zone": Board._zone, "kinds": Board._kinds, "reason": Board._reason,
    "hour": Board._hour, "takeOff": Board._take_off, "reset": Board._reset, "view": Board._view,
    "order": Board._order, "page": Board._page, "details": Board._details, "act": Board._act,
}  # fmt: skip


def _toggled(values: tuple[Any, ...], value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of one kind
    left = tuple(one for one in values if one != value)
    return left if len(left) < len(values) else (*values, value)
