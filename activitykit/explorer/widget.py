"""`Explorer`: what `explore` gives; a selection, a view of it, and what users take away.

Only wiring: numbers come from `measures`, `rankings` and `table`; pictures from the `Board`, or
where the browser cannot load that, from `Basic`.
"""

import asyncio
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd
import traitlets

from activitykit.errors import ActivityKitError, ConfigError
from activitykit.explorer import render
from activitykit.explorer.hands import Hands
from activitykit.explorer.scope import Scope
from activitykit.explorer.selection import Selection
from activitykit.filters import Filter
from activitykit.moments import to_timestamp

_WAY_OUT_STYLE: Final = (
    "<style>.ak-way-out { visibility: hidden; height: 0; animation: ak-late 0s 8s forwards }"
    " @keyframes ak-late { to { visibility: visible; height: auto } }"
    " .ak-host:has(.ak-board) .ak-way-out { display: none }</style>"
)


class Explorer(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """The dashboard over a frame; made by `explore`.

    Attributes
    ----------
    filter
        What is chosen. Set it, or observe it as any trait.
    scope
        What else is chosen, and no `Filter` can say: kinds of rows, failures, hours of the week.
    """

    filter = traitlets.Instance(Filter)
    scope = traitlets.Instance(Scope)

    def __init__(
        self, df: pd.DataFrame, where: Filter, scope: Scope, hands: Hands, *, basic: bool
    ) -> None:
        self.selection = Selection(df, where, scope)
        self.hands, self.note = hands, ""
        super().__init__(filter=where, scope=scope)
        self.add_class("ak-host")
        self.view = self._basic() if basic else self._board()
        self.observe(self._changed, ["filter", "scope"])
        self._judge()

    def _basic(self) -> Any:  # noqa: ANN401 - one of two widgets without types
        from activitykit.explorer.basic import Basic

        self.children = [view := Basic(self)]
        return view

    def _board(self) -> Any:  # noqa: ANN401
        try:
            from activitykit.explorer.board import Board
        except ModuleNotFoundError as error:
            if error.name != "anywidget":
                raise
            return self._basic()
        self.children = [self._way_out(), view := Board(self)]
        return view

    def _way_out(self) -> widgets.HBox:
        """Offer the basic view where the browser does not bring the board up within seconds."""
        said = widgets.HTML(f"{_WAY_OUT_STYLE}The dashboard does not load here.")
        button = widgets.Button(description="Show the basic view")

        def pressed(_: object) -> None:
            self.view = self._basic()

        button.on_click(pressed)
        return widgets.HBox([said, button]).add_class("ak-way-out")

    @property
    def filtered(self) -> pd.DataFrame:
        """The matching rows, as a new frame in the order of the given one."""
        return self.selection.filtered

    @property
    def code(self) -> str:
        """Python that gives the same rows and statistics from a frame named ``df``."""
        return self.selection.code

    def __repr__(self) -> str:
        now = self.selection
        return f"<Explorer: {now.matching:,} of {now.cube.n:,} activities, {self.filter!r}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:  # noqa: ANN401 - as ipywidgets has it
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**data, "text/html": render.summary(self.selection)}

    def _ipython_display_(self) -> None:
        """Show the widget, and a picture of the moment that hides wherever the widget is there.

        With both in one output, nbconvert and a saved notebook that is opened again would choose
        the widget, and show nothing of it.
        """
        from IPython.display import display

        bundle, live = self._repr_mimebundle_(), f"ak-{self.model_id}"
        picture = bundle.pop("text/html")
        self.add_class(live)
        hiding = f"<style>:root:has(.{live}) .{live}-picture {{ display: none }}</style>"
        html = f'{hiding}<div class="{live}-picture">{picture}</div>'
        for output in (bundle, {"text/html": html}):
            display(output, raw=True)  # type: ignore[no-untyped-call] # IPython has no types

    def _judge(self) -> None:
        """Find what is overdue: beside a kernel's other work, since it may take seconds."""
        cube = self.selection.cube

        def judged(done: "asyncio.Future[None] | None" = None) -> None:
            with self.told():
                if done is None:
                    cube.judge()
                else:
                    done.result()
                self.view.judged()

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            judged()
        else:
            loop.run_in_executor(None, cube.judge).add_done_callback(judged)

    # choosing

    def choose(self, where: Filter, scope: Scope) -> None:
        """Set filter and scope at once, so that the numbers are worked out once."""
        with self.hold_trait_notifications():
            self.filter, self.scope = where, scope

    def reset(self) -> None:
        """Show everything again."""
        self.choose(Filter(), Scope(tz=self.scope.tz))

    def moment(self, text: str) -> pd.Timestamp | None:
        """Read an edge: text without a zone is in that of the dashboard; spans end at the data."""
        if not text.strip():
            return None
        newest = self.selection.cube.newest
        moment = to_timestamp(text, now=None if pd.isna(newest) else newest)
        if self.scope.tz == "UTC" or (local := _without_zone(text)) is None:
            return moment
        return local.tz_localize(self.scope.tz).tz_convert("UTC")

    def _changed(self, _: object) -> None:
        if (self.filter, self.scope) == (self.selection.filter, self.selection.scope):
            return
        with self.told():
            self.selection = self.selection.where(self.filter, self.scope)
            self.note = ""
            self.view.changed()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say on the dashboard what goes wrong, because a callback has nobody to raise to."""
        self.view.say("")
        try:
            yield
        except (ActivityKitError, ValueError) as error:
            self.view.say(str(error))
        except Exception as error:  # noqa: BLE001
            self.view.say(
                f"This is a fault of the dashboard, {type(error).__name__}: {error}",
                traceback.format_exc(),
            )

    # handing over

    def can(self) -> list[str]:
        """Name what can be done with the selection here."""
        there = {"save": self.hands.save, "refresh": self.hands.fetch}
        return ["report", *(name for name, done in there.items() if done)]

    def act(self, name: str, path: str) -> None:
        """Do what a button asks for."""
        if name == "save":
            self.note = f"Saved {self.selection.matching:,} activities as {self.save(path)}"
        elif name == "report":
            self.note = f"Wrote the report {self.report(path)}"
        elif name == "refresh":
            self.refresh()

    def save(self, path: str) -> Path:
        """Write the matching rows as a snapshot.

        Raises
        ------
        ConfigError
            When the dashboard was opened without a way to write one.
        SnapshotError
            When it cannot be written.
        """
        if self.hands.save is None:
            raise ConfigError("open the dashboard with activitykit.explore to save snapshots")
        written: Path = self.hands.save(self.filtered, path)
        return written

    def report(self, path: str) -> Path:
        """Write the report of the matching rows, over the time that they span.

        Raises
        ------
        ConfigError
            When nothing matches, or what the report needs is not installed.
        """
        from activitykit.report import write_report

        over = self.selection.over
        if over is None:
            raise ConfigError("nothing matches, so there is nothing to report")
        period = (over[0], over[1] + pd.Timedelta(1, "ns"))
        return write_report(self.filtered, path, period=period, tz=self.scope.tz)

    def refresh(self) -> None:
        """Fetch what has changed, and show it under the same filter.

        Raises
        ------
        ConfigError
            When the dashboard was not opened on a source that can be asked again.
        """
        if self.hands.fetch is None:
            raise ConfigError("open the dashboard on a client or a file to refresh it")
        before = self.selection.cube.df
        df = self.hands.fetch(before)
        self.selection = Selection(df, self.filter, self.scope)
        self.note = f"Refreshed: {len(df):,} activities, {len(df) - len(before):+,}"
        self.view.begin()
        self._judge()


def _without_zone(text: str) -> pd.Timestamp | None:
    try:
        stamp = pd.Timestamp(text.strip())
    except ValueError:
        return None  # a span
    return stamp if stamp.tzinfo is None else None
