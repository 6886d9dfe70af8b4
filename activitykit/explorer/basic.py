"""`Basic`: the dashboard with core ipywidgets and nothing to load, where a `Board` cannot.

Only wiring: every number comes from `measures`, every picture from `render`. A change of the filter
sends the views as one message, and those controls that look different afterwards.
"""

from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets

from activitykit.explorer import render
from activitykit.explorer.conditions import Condition, conditions
from activitykit.explorer.facets import TREE
from activitykit.explorer.look import FACETS
from activitykit.explorer.rows import PAGE
from activitykit.explorer.selection import SPANS, Option, Selection, altered, edges
from activitykit.explorer.svg import mark
from activitykit.explorer.texts import cut
from activitykit.filters import Filter
from activitykit.moments import format_time
from activitykit.wording import short

if TYPE_CHECKING:
    from activitykit.explorer.widget import Explorer

_ROOM: Final = 25  # characters in a line of a facet
_SORTS: Final = {
    "newest first": ("createdAt", True),
    "oldest first": ("createdAt", False),
    "longest first": ("duration_s", True),
    "shortest first": ("duration_s", False),
    "by outcome": ("outcome", False),
    "by operation": ("operation", False),
    "by tenant": ("tenant", False),
    "by resource": ("resource", False),
}
_HINT: Final = "UTC, such as 2026-01-31 22:00 or 36h; empty: no limit"


class Basic(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """The views of an `Explorer`, drawn with core widgets."""

    def __init__(self, explorer: "Explorer") -> None:
        self._explorer = explorer
        self._quiet = False
        self._page = 0
        self._make_top()
        self.facets = {name: _FacetBox(self, name) for name in FACETS if name != TREE}
        self._views, self._style, self._table = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._code = widgets.HTML()
        left = widgets.VBox([box.box for box in self.facets.values()]).add_class("ak-left")
        right = widgets.VBox([self._said, self._chips, self._views, self._make_pager(), self._code])
        super().__init__(
            [
                self._style,
                self._top,
                self._alert,
                widgets.HBox([left, right.add_class("ak-right")]),
            ]
        )
        self.add_class("ak-explorer").add_class("ak")
        self.show()

    @property
    def selection(self) -> Selection:
        """What is shown."""
        return self._explorer.selection

    @property
    def filter(self) -> Filter:
        """What is chosen."""
        return self._explorer.filter

    def begin(self) -> None:
        """Show a new frame."""
        self.changed()

    def changed(self) -> None:
        """Show another selection, from its first page."""
        self._page = 0
        self.show()

    def judged(self) -> None:
        """Show nothing new: here are no overdue ones."""

    def say(self, text: str, details: str = "") -> None:
        """Say what went wrong; with nothing, take it back."""
        self._alert.value = render.alert(text, details) if text else ""

    def choose(self, made: Callable[[], Filter]) -> None:
        """Set the filter that a control asks for; what goes wrong is said on the dashboard."""
        with self._explorer.told():
            self._explorer.filter = made()

    # controls

    def _make_top(self) -> None:
        self._text = widgets.Text(
            description="Search",
            placeholder="Search names, types, titles, errors (Enter)",
            continuous_update=False,
            tooltip="Found anywhere in type, names, title or error texts, without regard to case",
        ).add_class("ak-search")
        self._span = widgets.ToggleButtons(
            options=[*SPANS, "All"],
            tooltips=[
                *(f"The last {name} before the newest activity" for name in SPANS),
                "All time",
            ],
        ).add_class("ak-span")
        self._since = widgets.Text(
            description="From", placeholder="UTC", continuous_update=False, tooltip=_HINT
        ).add_class("ak-time")
        self._until = widgets.Text(
            description="To", placeholder="UTC", continuous_update=False, tooltip=_HINT
        ).add_class("ak-time")
        reset = widgets.Button(description="Reset", tooltip="Show everything again").add_class(
            "ak-plain"
        )
        self._top = widgets.HBox(
            [self._text, self._span, self._since, self._until, reset]
        ).add_class("ak-top")
        self._alert, self._said = widgets.HTML(), widgets.HTML()
        self._chips = widgets.HBox().add_class("ak-chips")
        self._on(self._text, lambda text: replace(self.filter, text=text.strip()))
        self._on(self._span, lambda name: self.selection.span(name) if name else self.filter)
        self._on(self._since, lambda text: self._edge("since", text))
        self._on(self._until, lambda text: self._edge("until", text))
        reset.on_click(lambda _: self._explorer.reset())

    def _edge(self, name: str, text: str) -> Filter:
        return altered(self.filter, name, self._explorer.moment(text))

    def _make_pager(self) -> widgets.VBox:
        self._where = widgets.HTML()
        self._sort = widgets.Dropdown(
            options=list(_SORTS), description="Sort", tooltip="Order of the table"
        )
        turns = [
            ("«", "First page", lambda _: 0),
            ("‹", "Page before", lambda _: max(self._page - 1, 0)),
            ("›", "Next page", lambda last: min(self._page + 1, last)),
            ("»", "Last page", lambda last: last),
        ]
        self._turns = []
        for sign, tip, to in turns:
            button = widgets.Button(description=sign, tooltip=tip).add_class("ak-turn")
            button.on_click(lambda _, to=to: self._turn(to))
            self._turns.append(button)
        self._sort.observe(lambda _: self._turn(lambda _: 0), "value")
        head = widgets.HBox([
            widgets.HTML("<b>Matching activities</b>"), self._where, *self._turns, self._sort,
        ]).add_class("ak-pager")  # fmt: skip
        return widgets.VBox([head, self._table]).add_class("ak-box")

    def _turn(self, to: Callable[[int], int]) -> None:
        with self._explorer.told():
            self._page = to(max(self.selection.matching - 1, 0) // PAGE)
            self._show_table()

    def _on(self, control: widgets.Widget, made: Callable[[Any], Filter]) -> None:
        def changed(change: dict[str, Any]) -> None:
            if not self._quiet:
                self.choose(lambda: made(change["new"]))

        control.observe(changed, "value")

    # views

    def show(self) -> None:
        """Bring everything up to date."""
        self._show_controls()
        self._said.value = render.status(self.selection)
        self._views.value = render.views(self.selection)
        self._code.value = render.code(self.selection)
        self._show_table()

    def refresh(self) -> None:
        """Bring the controls up to date, after a search within a facet."""
        with self._explorer.told():
            self._show_controls()

    def _show_controls(self) -> None:
        self._show_top(self.filter)
        bars = "".join(box.show(self.selection) for box in self.facets.values())
        self._style.value = f"{render.style()}<style>{bars}</style>"
        self._chips.children = tuple(self._chip(one) for one in conditions(self.selection))

    def _show_top(self, where: Filter) -> None:
        self._quiet = True
        try:
            self._text.value = where.text
            self._span.value = self.selection.span_name or None
            for field, moment in zip((self._since, self._until), edges(where), strict=True):
                field.value = "" if moment is None else format_time(moment)
        finally:
            self._quiet = False

    def _chip(self, one: Condition) -> widgets.Button:
        tip = f"Take off: {one.text}"
        chip = widgets.Button(description=f"{cut(one.text)} ×", tooltip=tip)
        chip.on_click(lambda _: self._explorer.choose(one.without, one.scope))
        return chip.add_class("ak-chip")

    def _show_table(self) -> None:
        sort, descending = _SORTS[self._sort.value]
        last = max(self.selection.matching - 1, 0) // PAGE
        self._where.value = render.span(self.selection, self._page)
        for button, dead in zip(
            self._turns, (self._page == 0,) * 2 + (self._page == last,) * 2, strict=True
        ):
            button.disabled = dead
        self._table.value = render.table(
            self.selection, self._page, sort=sort, descending=descending
        )


class _FacetBox:
    """The options of a facet as buttons that stay pressed, with a search when there are many."""

    def __init__(self, explorer: Basic, name: str) -> None:
        self._explorer, self._name, self._quiet = explorer, name, False
        facet = explorer.selection.cube.facets[name]
        heading, title = widgets.HTML(f"<b>{escape(facet.title)}</b>"), facet.title.lower()
        self._terms: list[tuple[str, ...]] = []
        self._buttons: list[widgets.ToggleButton] = []
        self._clear = widgets.Button(
            description="clear", tooltip=f"Take off what is chosen under {title}"
        ).add_class("ak-clear")
        self._clear.on_click(
            lambda _: explorer.choose(lambda: altered(explorer.filter, facet.field, ()))
        )
        self.search = widgets.Text(
            description=f"Search {title}",
            placeholder=f"Search {len(facet.labels):,}",
            continuous_update=False,
            tooltip=f"Part of the name under {title}; press Enter",
        ).add_class("ak-find")
        self.search.observe(lambda _: explorer.refresh(), "value")
        self.search.layout.display = None if len(facet.labels) > FACETS[name] else "none"
        self.options = widgets.VBox().add_class("ak-facet").add_class(f"ak-facet-{name}")
        self._more = widgets.HTML().add_class("ak-more")
        head = widgets.HBox([heading, self._clear, self.search]).add_class("ak-facet-head")
        self.box = widgets.VBox([head, self.options, self._more]).add_class("ak-facet-box")

    def show(self, selection: Selection) -> str:
        """Show the counts of a selection, and give the style rules for the bars behind them."""
        options, more = selection.options(
            self._name, search=self.search.value.strip(), limit=FACETS[self._name]
        )
        while len(self._buttons) < len(options):
            self._buttons.append(self._button(len(self._buttons)))
        self._terms = [option.terms for option in options]
        self._quiet = True
        try:
            for button, option in zip(self._buttons, options, strict=False):
                self._dress(button, option)
        finally:
            self._quiet = False
        if len(self.options.children) != len(options):
            self.options.children = tuple(self._buttons[: len(options)])
        self._clear.layout.display = None if any(o.chosen for o in options) else "none"
        self._more.value = f"+ {more:,} more – use search" if more else ""
        return render.option_bars(self._name, options)

    def _button(self, place: int) -> widgets.ToggleButton:
        button = widgets.ToggleButton()

        def pressed(_: object) -> None:
            if not self._quiet:
                now = self._explorer.selection
                self._explorer.choose(lambda: now.toggle(self._name, self._terms[place]))

        button.observe(pressed, "value")
        return button

    def _dress(self, button: widgets.ToggleButton, option: Option) -> None:
        sign = f"{mark(option.label)} " if self._name == "outcome" else ""
        number = f"{option.n:,}"
        # fixed spaces do not grow, so that only the number moves to the right edge
        label = "\u2005".join(f"{sign}{short(option.label, _ROOM - len(number))}".split())
        with button.hold_sync():
            # isolated, because a name from right to left would take the number along
            button.description = f"\u2068{label}\u2069 {number}"
            button.tooltip = f"{cut(option.label)}: {option.n:,}" + (
                ", chosen; press to take off" if option.chosen else ""
            )
            button.value = option.chosen
