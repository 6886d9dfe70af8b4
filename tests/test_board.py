"""The board without a browser: what it says and how it answers, on any frame."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import activitykit as ak
from activitykit.explorer import events, measures
from activitykit.explorer.hands import Hands
from activitykit.explorer.scope import Scope

HERE = Path(ak.__file__).parent / "explorer"
EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def df():
    """Give simulated activities."""
    return ak.flatten(ak.demo.simulate(600, seed=5))


@pytest.fixture
def board(df):
    """Open a dashboard over them."""
    return ak.explore(df)


def do(board, kind, **event):
    """Do what the script of the board does, and give what it is then told."""
    shown = board.view.shown
    board.view._heard(board.view, {"kind": kind, "seq": shown["seq"] + 1, **event}, [])
    assert board.view.shown["seq"] == shown["seq"] + 1
    assert json.loads(board.view.state) == json.loads(json.dumps(board.view.shown))
    return board.view.shown


def facet(shown, name):
    """Find a facet."""
    return next(one for one in shown["facets"] if one["name"] == name)


def number(shown, name, label):
    """Find the number of an option."""
    return next(one["number"] for one in facet(shown, name)["options"] if one["label"] == label)


def test_a_click_filters_every_view(board):
    """Pressing an option changes filter, rows, cards, table and the other counts."""
    error = number(board.view.shown, "outcome", "Error")
    shown = do(board, "toggle", facet="outcome", number=error)
    assert board.filter == ak.Filter(result="error")
    assert shown["said"] == f"{len(board.filtered)} of 600 activities"
    assert shown["table"]["said"].endswith(f"of {len(board.filtered)}")
    assert sum(one["n"] for one in facet(shown, "state")["options"]) == len(board.filtered)
    assert [one["label"] for one in shown["time"]["series"]] == ["Error"]
    assert do(board, "toggle", facet="outcome", number=error)["chips"] == []


def test_only_and_clear(board):
    """Only takes the others off, clear takes all of a facet off."""
    ok, error = (number(board.view.shown, "outcome", label) for label in ("OK", "Error"))
    do(board, "toggle", facet="outcome", number=ok)
    do(board, "toggle", facet="outcome", number=error, only=True)
    assert board.filter == ak.Filter(result="error")
    do(board, "clear", facet="outcome")
    assert board.filter == ak.Filter()


def test_a_reason_and_an_hour_filter(board, df):
    """What no filter can say is in the scope: reasons, hours of the week, kinds of rows."""
    reason = board.view.shown["reasons"][0]
    shown = do(board, "reason", key=reason["key"])
    assert board.scope.reasons == (reason["key"],)
    assert board.filtered["error_signature"].unique().tolist() == [reason["key"]]
    assert len(shown["reasons"]) > 1  # its alternatives stay in sight
    do(board, "takeOff", number=0)
    do(board, "hour", hour=24 + 2)
    assert set(board.filtered["createdAt"].dt.day_name()) <= {"Tuesday"}
    do(board, "reset")
    do(board, "kinds", name="children")
    assert board.filtered["parentActivityId"].fillna(0).eq(0).all()
    assert len(board.filtered) < len(df)


def test_spans_edges_and_zone(board, df):
    """Buckets of the chart, quick spans and exact edges choose time, in the zone that is set."""
    newest = df["createdAt"].max()
    assert do(board, "span", name="7 d")["span"] == "7 d"
    assert board.filter.since == newest - pd.Timedelta(7, "D")
    starts = measures.timeline(board.selection).starts
    shown = do(board, "span", first=3, last=5)
    assert (board.filter.since, board.filter.until) == (starts[3], starts[6])
    shown = do(board, "zone", zone="Europe/Berlin")
    assert shown["zone"] == "Europe/Berlin"
    do(board, "edge", name="since", text="2026-10-10 12:00")
    assert board.filter.since == pd.Timestamp("2026-10-10T10:00Z")
    shown = do(board, "edge", name="since", text=board.view.shown["edges"][0][0])
    assert board.filter.since == pd.Timestamp("2026-10-10T10:00Z")
    assert do(board, "edge", name="since", text="36h")["error"] is None
    assert board.filter.since == newest - pd.Timedelta(36, "h")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"kind": "edge", "name": "since", "text": "last tuesday"}, "cannot read 'last tuesday'"),
        ({"kind": "zone", "zone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"kind": "act", "name": "save", "path": "/no/such/folder/a.parquet"}, "/no/such/folder"),
        ({"kind": "no such thing"}, "fault of the dashboard, KeyError"),
    ],
)
def test_mistakes_are_told_and_leave_the_filter(board, event, said):
    """What goes wrong is said on the board, is answered, and is gone with the next good event."""
    assert said in do(board, **event)["error"]["text"]
    assert board.filter == ak.Filter()
    assert do(board, "page", page=1)["error"] is None


def test_the_filter_is_set_and_observed_from_python(board, df):
    """A filter or scope set in Python shows on the board, and watchers hear of clicks."""
    heard = []
    board.observe(lambda change: heard.append(change["name"]), ["filter", "scope"])
    board.filter = ak.Filter(tenant="nobody", text="backup")
    assert board.view.shown["said"].startswith("0 of 600")
    assert [text for text, _ in board.view.shown["chips"]] == ["Tenant: nobody", "text: backup"]
    board.scope = Scope(children=False)
    do(board, "reset")
    assert heard == ["filter", "scope", "filter", "scope"]
    pd.testing.assert_frame_equal(board.filtered, df)


def test_one_change_is_one_message(board):
    """Resetting filter and scope works the numbers out once."""
    board.choose(ak.Filter(result="error"), Scope(legacy=False))
    heard = []
    board.view.observe(lambda _: heard.append(1), "state")
    board.reset()
    assert heard == [1]


def test_the_look_changes_alone(board):
    """Searches, room, order, pages, columns and dimensions change what is seen, not the rows."""
    some = facet(board.view.shown, "started_by")
    found = facet(do(board, "find", facet="resource", text="FILE"), "resource")["options"]
    assert found
    assert all("file" in one["label"].lower() for one in found)
    assert len(
        facet(do(board, "room", facet="started_by", room=99), "started_by")["options"]
    ) > len(some["options"])
    shown = do(board, "by", view="rates", name="tenant")
    assert shown["ratesBy"]["by"] == "tenant"
    shown = do(board, "columns", names=["createdAt", "uuid", "duration_s"])
    assert [len(row["cells"]) for row in shown["table"]["rows"]] == [3] * 25
    lasting = do(board, "order", name="duration_s")["table"]
    assert (lasting["sort"], lasting["descending"]) == ("duration_s", True)
    assert do(board, "order", name="uuid")["table"]["rows"][0]["cells"][1].startswith("0")
    assert do(board, "page", page=99)["table"]["said"] == "576–600 of 600"
    shown = do(board, "facets", names=["type", "outcome"])
    assert [one["name"] for one in shown["facets"]] == ["type", "outcome"]
    assert len(board.filtered) == 600


def test_details_tell_everything(board, df):
    """All that is known of an activity: properties, parents, children, neighbours, error chain."""
    child = df[df["result.error.context.cause_str"].notna() & df["parentActivityId"].notna()]
    child = child.iloc[0]
    shown = do(board, "details", id=str(child["id"]))["details"]
    told = dict(shown["values"])
    assert set(told) == set(child.dropna().index)
    assert told["id"] == str(child["id"])
    assert shown["parents"][0]["id"] == str(child["parentActivityId"])
    assert shown["chain"][-1][1] == child["error_cause"]
    parent = do(board, "details", id=shown["parents"][0]["id"])["details"]
    assert str(child["id"]) in [one["id"] for one in parent["children"]]
    assert do(board, "details", id="")["details"] is None


def test_neighbours_are_of_the_same_resource(board, df):
    """Before and after an activity come those of its resource that are next in time."""
    row = df[df["resource.id"].notna()].iloc[200]
    shown = do(board, "details", id=str(row["id"]))["details"]
    near = df[df["id"].astype(str).isin([one["id"] for one in shown["neighbours"]])]
    assert set(near["resource.id"].str.lower()) <= {row["resource.id"].lower()}
    assert len(near) > 0


def test_rows_and_report_are_saved(board, tmp_path):
    """The buttons write the matching rows and their report where they are told."""
    do(board, "search", text="backup")
    shown = do(board, "act", name="save", path=str(tmp_path / "rows.parquet"))
    assert f"Saved {len(board.filtered)} activities" in shown["note"]
    kept = ak.read_snapshot(tmp_path / "rows.parquet")
    assert kept["id"].tolist() == board.filtered["id"].tolist()
    do(board, "act", name="report", path=str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert board.view.about["can"] == ["report", "save"]


def test_refresh_shows_the_frame_anew(df):
    """A refresh takes the new frame under the same filter, and says how much came."""
    board = ak.explorer.open_board(
        df[:400], ak.Filter(result="ok"), hands=Hands(fetch=lambda _: df)
    )
    shown = do(board, "act", name="refresh")
    assert shown["note"] == "Refreshed: 600 activities, +200"
    assert len(board.filtered) == df["result.code"].eq("ok").sum()


def test_a_failed_refresh_keeps_what_there_is(df):
    """An error of the service is said on the board, which goes on with what it has."""

    def fails(_):
        raise ak.ApiError("GET /activities failed with 503")

    board = ak.explorer.open_board(df, hands=Hands(fetch=fails))
    assert "failed with 503" in do(board, "act", name="refresh")["error"]["text"]
    assert len(board.filtered) == 600


def test_without_a_source_there_is_no_refresh(board):
    """What cannot be fetched again says so."""
    with pytest.raises(ak.ConfigError, match="on a client or a file"):
        board.refresh()


@pytest.mark.parametrize("name", [EVIL, "x" * 300, "شركة الواحة", "a\nb\t$c$", "&amp;", "*", "/1/"])
def test_names_are_text_and_can_be_chosen(name):
    """Hostile, long and right-to-left names travel as text and filter as they are counted."""
    odd = {"id": 1, "state": "completed", "result": {"code": "error"}, "type": name,
           "createdAt": "2026-10-20T00:00:00Z", "startedAt": "2026-10-20T00:00:00Z",
           "tenant": {"id": "9", "name": name, "locator": "/1/9/"}, "startedByUser": name,
           "resource": {"id": "r", "name": name}, "policy": {"id": "p", "name": name}}  # fmt: skip
    board = ak.explore([odd, {"id": 2, "tenant": {"id": "8", "locator": "/1/8/"}}])
    for kind in ("tenants", "resource", "plan", "started_by", "operation"):
        [one] = [one for one in facet(do(board, "reset"), kind)["options"] if one["label"] == name]
        do(board, "toggle", facet=kind, number=one["number"])
        assert len(board.filtered) == one["n"] >= 1
    assert do(board, "details", id="1")["details"]["facets"][0][3] == name


def test_ten_thousand_tenants():
    """Ten thousand tenants in a tree show a few, and are found by part of the name."""
    items = [
        {"id": i, "state": "completed", "createdAt": "2026-10-20T00:00:00Z",
         "tenant": {"id": str(i), "name": f"Tenant {i}", "locator": f"/1/{i % 97}/{i}/"}}
        for i in range(1000, 11_000)
    ]  # fmt: skip
    board = ak.explore(items)
    tenants = facet(board.view.shown, "tenants")
    assert (len(tenants["options"]), tenants["more"]) == (8, 89)
    [found] = facet(do(board, "find", facet="tenants", text="tenant 10999"), "tenants")["options"]
    do(board, "toggle", facet="tenants", number=found["number"])
    assert board.filter == ak.Filter(tenant=f"/1/{10_999 % 97}/10999/")
    assert board.view.shown["chips"] == [["Tenant: Tenant 10999"] * 2]
    assert len(board.filtered) == 1


@pytest.mark.parametrize("items", [[], [{"id": 1}], [{"id": 1, "state": "started"}]])
def test_tiny_frames_open(items):
    """No rows, one row, hardly any values: every event is answered without an error."""
    board = ak.explore(items)
    assert board.view.shown["said"] == f"{len(items)} of {len(items)} activities"
    for kind, event in {
        "span": {"name": "7 d"}, "zone": {"zone": "Asia/Tokyo"}, "hour": {"hour": 3},
        "kinds": {"name": "roots"}, "order": {"name": "tenant"}, "details": {"id": "1"},
        "search": {"text": "x"},
    }.items():  # fmt: skip
        assert do(board, kind, **event)["error"] is None
    exec(board.code, {"df": board.selection.cube.df})  # noqa: S102 - what users copy


def test_what_is_overdue_comes_later_in_a_kernel(df):
    """Where an event loop runs, opening does not wait for the slowest of the numbers."""

    def card(board):
        return next(c["value"] for c in board.view.shown["cards"] if c["title"] == "Overdue")

    async def opened():
        board = ak.explore(df)
        before = card(board)
        known = asyncio.Event()
        board.view.observe(lambda _: known.set(), "state")
        await known.wait()
        return before, card(board)

    before, after = asyncio.run(opened())
    assert before == "…"
    assert int(after) == ak.overdue(df)["overdue"].sum()


def test_the_board_is_small_and_asks_for_nothing():
    """Script and style stay below 50 kB and name no other place."""
    texts = [(HERE / name).read_text("utf-8") for name in ("board.js", "board.css", "explorer.css")]
    assert sum(len(text.encode()) for text in texts) <= 50_000
    script, *styles = texts
    assert "http" not in script.replace("http://www.w3.org/2000/svg", "")
    assert not any("url(" in style or "@import" in style for style in styles)
    assert "innerHTML" not in script


def test_every_event_of_the_script_is_answered():
    """The script sends no event that Python does not know, and Python knows none in vain."""
    import re

    sent = set(re.findall(r'send\("(\w+)"', (HERE / "board.js").read_text("utf-8")))
    assert sent == set(events._ANSWERS)


def test_without_anywidget_the_basic_view_opens():
    """Where anywidget is missing, core widgets show the same numbers."""
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "import activitykit as ak\n"
        "print(type(ak.explore([{'id': 1}]).view).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Basic"


def test_the_basic_view_is_one_button_away(board):
    """Where the board does not load, a button beside it puts the basic view in its place."""
    board.filter = ak.Filter(result="error")
    way_out, _ = board.children
    way_out.children[1].click()
    assert board.children == (board.view,)
    assert type(board.view).__name__ == "Basic"
    assert f"{len(board.filtered)} of 600" in board.view._said.value
