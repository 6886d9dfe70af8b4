"""`Board`: the dashboard as one anywidget; a message with all numbers out, numbered events in.

The script in ``board.js`` draws what `state` says and sends what people do. Every event is
answered, a failed one with what went wrong, and the answer carries the event's number.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anywidget
import traitlets

from activitykit.explorer import events, rows, state
from activitykit.explorer.events import Event
from activitykit.explorer.look import Look
from activitykit.explorer.selection import Selection
from activitykit.explorer.state import Json

if TYPE_CHECKING:
    from activitykit.explorer.widget import Explorer

_HERE: Final = Path(__file__).parent
_TABLE_ALONE: Final = frozenset({"columns", "order", "page", "details"})
"""Events that leave everything but the table as it is."""


class Board(anywidget.AnyWidget):
    """The views of an `Explorer`, drawn by the browser.

    Attributes
    ----------
    state
        All that is shown, and the number of the event that it answers; as JSON.
    about
        What stays the same while the frame does.
    """

    _esm = (_HERE / "board.js").read_text("utf-8")
    _css = "".join((_HERE / name).read_text("utf-8") for name in ("explorer.css", "board.css"))
    state = traitlets.Unicode().tag(sync=True)
    about = traitlets.Dict().tag(sync=True)

    def __init__(self, explorer: "Explorer") -> None:
        self._explorer = explorer
        self._look, self._seq = Look(), 0
        self._error: Json | None = None
        self._answering = False
        self._views: tuple[Selection, Json] | None = None
        super().__init__()
        self.begin()
        self.on_msg(self._heard)

    def begin(self) -> None:
        """Show a new frame."""
        cube = self._explorer.selection.cube
        self._look.begin(cube)
        self.about = state.about(cube) | {"can": self._explorer.can()}
        self.show()

    def changed(self) -> None:
        """Show another selection, from its first page."""
        self._look.page = 0
        if not self._answering:
            self.show()

    def judged(self) -> None:
        """Show what is overdue, now that it is known."""
        self._views = None
        self.show()

    def say(self, text: str, details: str = "") -> None:
        """Say what went wrong; with nothing, take it back."""
        self._error = {"text": text, "details": details} if text else None

    def show(self) -> None:
        """Send what is to be seen now."""
        selection, look = self._explorer.selection, self._look
        if self._views is None or self._views[0] is not selection:
            self._views = selection, state.views(selection, look)
        self._tell(
            {
                **self._views[1],
                "table": rows.page(selection, look),
                "details": rows.details(selection, look),
            }
        )

    def _tell(self, shown: Json) -> None:
        self.shown = {
            **shown, "note": self._explorer.note, "error": self._error, "seq": self._seq
        }  # fmt: skip
        # as text, because ipywidgets looks for buffers in every element of anything else
        self.state = json.dumps(self.shown, ensure_ascii=False, allow_nan=False)

    def _heard(self, _: object, event: Event, __: object) -> None:
        self._seq, self._answering = int(event["seq"]), True
        with self._explorer.told():
            if event["kind"] not in _TABLE_ALONE:
                self._views = None
            events.answer(self._explorer, self._look, event)
            self.show()
        self._answering = False
        if self._error:
            self._tell(self.shown)
