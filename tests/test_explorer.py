"""The basic view's wiring and its pictures, without a browser."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import ipywidgets as widgets
import pandas as pd
import pytest

import activitykit as ak
from activitykit.explorer import render
from activitykit.explorer.selection import Selection

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"


def item(number, **changes):
    """Make one finished run."""
    minute = f"2026-10-20T00:{number % 60:02d}"
    return {
        "id": number, "type": "t", "state": "completed", "createdAt": f"{minute}:00Z",
        "startedAt": f"{minute}:01Z", "completedAt": f"{minute}:31Z", "updatedAt": f"{minute}:31Z",
        "result": {"code": "ok"}, "tenant": {"id": "1", "name": "Acme"},
        "resource": {"id": f"r{number % 3}", "name": f"srv-{number % 3}"}, "executor": {"id": "a"},
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def df():
    """Give simulated activities."""
    return ak.flatten(ak.demo.simulate(600, seed=5))


@pytest.fixture
def board(df):
    """Open the basic view over them."""
    return ak.explore(df, basic=True)


def option(board, facet, word):
    """Find the button of an option."""
    buttons = board.view.facets[facet].options.children
    return next(button for button in buttons if word in button.description.replace("\u2005", " "))


def number(button):
    """Read the count off a button."""
    return int(button.description.split()[-1].replace(",", ""))


class Tags(HTMLParser):
    """Collect tags and attributes, as a browser would see them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open = set(), set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Note a tag, and what is to be closed."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("br", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):  # noqa: ARG002 - as HTMLParser has it
        """Note a tag without an end."""
        self.tags.add(tag)

    def handle_endtag(self, tag):
        """Check that tags close in order."""
        assert self.open.pop() == tag


def test_a_click_filters_every_view(board):
    """Pressing an option changes filter, rows, words, figures, table and the other counts."""
    before = board.view._views.value, board.view._table.value
    button = option(board, "outcome", "Error")
    count = number(button)
    button.value = True
    assert board.filter == ak.Filter(result="error")
    assert len(board.filtered) == count
    assert f"{count:,} of 600" in board.view._said.value
    assert board.view._views.value != before[0]
    assert board.view._table.value != before[1]
    assert number(option(board, "outcome", "OK")) > count  # its alternatives stay counted
    assert sum(map(number, board.view.facets["state"].options.children)) == count


def test_several_options_are_alternatives(board):
    """Options of one facet add up, and pressing one again takes it off."""
    error, running = option(board, "outcome", "Error"), option(board, "outcome", "Running")
    total = number(error) + number(running)
    error.value = running.value = True
    assert len(board.filtered) == total
    error.value = False
    assert board.filter == ak.Filter(result="running")


def test_the_filter_is_set_and_observed_from_python(board, df):
    """A filter from Python shows on the controls, and watchers hear of clicks."""
    heard = []
    board.observe(lambda change: heard.append(change["new"]), "filter")
    tenant = df["tenant.name"].value_counts().index[0]
    board.filter = ak.Filter(tenant=tenant, text="backup", since="2026-10-10T12:00:00Z")
    assert next(b.value for b in board.view.facets["tenant"].options.children)
    assert board.view._text.value == "backup"
    assert board.view._since.value == "2026-10-10T12:00:00Z"
    pd.testing.assert_frame_equal(board.filtered, board.filter.select(df))
    board.view.facets["tenant"]._clear.click()
    assert heard[-1] == ak.Filter(text="backup", since="2026-10-10T12:00:00Z")


def test_a_filter_that_matches_nothing(board):
    """A filter for things that are not there says so, shows zeros and can be taken off."""
    board.filter = ak.Filter(tenant="nobody", type="no-such-type")
    assert "No activity matches" in board.view._views.value
    assert board.view._where.value == "0 of 0"
    assert {number(b) for b in board.view.facets["outcome"].options.children} == {0}
    assert [chip.description for chip in board.view._chips.children] == [
        "Operation: no-such-type ×", "Tenant: nobody ×",
    ]  # fmt: skip
    board.view._chips.children[1].click()
    assert board.filter == ak.Filter(type="no-such-type")


def test_time_controls(board, df):
    """Spans count back from the newest row; edges take times and spans; reset shows everything."""
    board.view._span.value = "7 d"
    newest = df["createdAt"].max()
    assert board.filter == ak.Filter(since=newest - pd.Timedelta(7, "D"))
    board.view._since.value = "36h"
    assert board.filter.since == newest - pd.Timedelta(36, "h")
    assert board.view._span.value is None
    board.view._until.value = "2026-10-31 12:00"
    assert board.filter.until == pd.Timestamp("2026-10-31T12:00Z")
    board.view._top.children[-1].click()
    assert board.filter == ak.Filter()
    assert board.view._span.value == "All"


def test_mistakes_are_told_and_leave_the_filter(board):
    """An unreadable time is said in words, and goes away with the next good one."""
    board.view._since.value = "last tuesday"
    assert "cannot read &#x27;last tuesday&#x27;" in board.view._alert.value
    assert 'role="alert"' in board.view._alert.value
    assert board.filter == ak.Filter()
    board.view._since.value = "2026-10-10"
    assert board.view._alert.value == ""


def test_faults_in_callbacks_are_shown(board, monkeypatch):
    """An unforeseen error in a callback stands on the dashboard with its traceback."""
    monkeypatch.setattr(render, "views", lambda _: 1 / 0)
    option(board, "outcome", "OK").value = True
    assert "ZeroDivisionError" in board.view._alert.value
    assert "Traceback" in board.view._alert.value


def test_the_table_turns_pages(board):
    """Pages follow each other, say where they are, and start anew with another filter."""
    assert board.view._where.value == "1–25 of 600"
    first, back, forth, last = board.view._turns
    assert first.disabled
    forth.click()
    assert board.view._where.value == "26–50 of 600"
    last.click()
    assert board.view._where.value == "576–600 of 600"
    assert forth.disabled
    back.click()
    board.view._sort.value = "longest first"
    assert board.view._where.value == "1–25 of 600"


def test_every_control_says_what_it_does(board):
    """Each button has a name and a tooltip, each field a tooltip and a label or a hint."""

    def walk(widget):
        for child in getattr(widget, "children", ()):
            yield child
            yield from walk(child)

    kinds = (
        widgets.Text,
        widgets.ToggleButton,
        widgets.ToggleButtons,
        widgets.Button,
        widgets.Dropdown,
    )
    controls = [widget for widget in walk(board) if isinstance(widget, kinds)]
    assert len(controls) > 30
    for control in controls:
        assert getattr(control, "tooltips", None) or control.tooltip
        named = [getattr(control, name, "") for name in ("description", "placeholder", "options")]
        assert any(named)


def test_long_facets_can_be_searched():
    """Thousands of tenants show a few, say how many more, and are found by part of the name."""
    items = [item(i, tenant={"id": str(i), "name": f"Tenant {i}"}) for i in range(3000)]
    board = ak.explore(ak.flatten(items), basic=True)
    box = board.view.facets["tenant"]
    assert len(box.options.children) == 8
    assert box._more.value == "+ 2,992 more – use search"
    box.search.value = "tenant 2999"
    [found] = box.options.children
    found.value = True
    assert board.filter == ak.Filter(tenant="Tenant 2999")
    box.search.value = "no such name"
    assert number(box.options.children[0]) == 1  # what is chosen stays in sight


@pytest.mark.parametrize("name", [EVIL, "x" * 300, "شركة الواحة", "a\nb\t$c$", "&amp;", "*", "/1/"])
def test_names_are_never_markup(name):
    """Hostile, long and right-to-left names are shown as text, whole or cut, and can be chosen."""
    odd = item(1, tenant={"id": "9", "name": name}, resource={"id": "r", "name": name}, type=name,
               startedByUser=name, policy={"id": "p", "name": name},
               result={"code": "error", "error": {"domain": name, "code": name}})  # fmt: skip
    board = ak.explore(ak.flatten([odd, item(2)]), ak.Filter(text=name), basic=True)
    parts = [
        board.view._views,
        board.view._table,
        board.view._said,
        board.view._style,
        board.view._code,
        board.view._alert,
    ]
    for html in [part.value for part in parts] + [board._repr_mimebundle_()["text/html"]]:
        seen = Tags(html)
        assert not seen.tags & {"script", "img", "iframe", "object", "link"}
        assert not [name for name in seen.attributes if name.startswith("on")]
        assert not seen.open
    board.filter = ak.Filter()
    for facet in ("tenant", "resource", "plan", "started_by", "operation"):
        options, _ = board.selection.options(facet)
        chosen = next(
            one
            for one in options
            if one.label != "(none)" and not one.label.startswith(("Acme", "srv", "t"))
        )
        assert (
            len(board.selection.toggle(facet, chosen.terms).select(board.selection.cube.df))
            == chosen.n
        )


def test_the_static_summary_stands_alone(board):
    """Without a kernel the numbers, figures and rows stand in text/html, with nothing to load."""
    board.filter = ak.Filter(result=["error", "warning"])
    bundle = board._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    html = bundle["text/html"]
    assert f"{len(board.filtered):,} of 600" in html
    assert "Outcome: Error" in html
    assert html.count("<svg") >= 2
    assert html.count("<tr>") == 11
    assert not re.search(r"https?://|url\(|@import|<script", html)
    assert len(html) < 80_000
    assert str(board).startswith(f"<Explorer: {len(board.filtered)} of 600 activities, ak.Filter(")


def test_the_same_selection_is_the_same_picture(df):
    """The static summary depends on frame and filter only, byte for byte."""
    where = ak.Filter(result="error")
    assert render.summary(Selection(df, where)) == render.summary(Selection(df.copy(), where))


@pytest.mark.parametrize("items", [[], [{"id": 1}], [item(1)], [item(1, tenant={})]])
def test_tiny_frames_open(items):
    """No rows, one row, hardly any values: the dashboard opens and says what there is."""
    board = ak.explore(ak.flatten(items), basic=True)
    assert f"{len(items)} of {len(items)}" in board.view._said.value
    assert ("The frame has no activities" in board.view._views.value) == (not items)
    assert board.view._span.value == "All"
    board.view._span.value = "7 d"
    assert board.view._alert.value == ""


def test_missing_columns_are_named():
    """A frame from elsewhere is refused with the columns that it lacks."""
    with pytest.raises(ak.SchemaError, match=r"explore needs the column.*state"):
        ak.explore(pd.DataFrame({"id": [1]}))


def test_without_ipywidgets_the_extra_is_named():
    """Without ipywidgets one clear error says what to install."""
    code = (
        "import sys; sys.modules['ipywidgets'] = None\n"
        "import activitykit as ak\n"
        "try: ak.explore(ak.flatten([]))\n"
        "except ak.ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'activitykit[widgets]'" in done.stdout


def test_the_frame_is_left_alone(df):
    """The dashboard changes neither the frame nor its notes."""
    before, notes = df.copy(), dict(df.attrs)
    board = ak.explore(df, basic=True)
    option(board, "outcome", "Error").value = True
    pd.testing.assert_frame_equal(df, before)
    assert df.attrs == notes
