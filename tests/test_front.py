"""The dashboard over any source: opened, saved, and fetched again."""

import pytest

import activitykit as ak
from activitykit.demo import Faults
from activitykit.front import _changed, _merged


def run(number, **changes):
    """Make one activity."""
    at = f"2026-10-20T00:{number:02d}:00Z"
    done = {"state": "completed", "result": {"code": "ok"}, "updatedAt": at}
    return {"id": number, "type": "t", "createdAt": at} | done | changes


def test_a_file_opens_and_is_read_again(tmp_path):
    """A path opens as `load` reads it, and a refresh shows what the file holds by then."""
    path = ak.write_snapshot(ak.flatten([run(1), run(2)]), tmp_path / "a.parquet")
    board = ak.explore(path, ak.Filter(type="t"))
    ak.write_snapshot(ak.flatten([run(1), run(2), run(3), run(4, type="other")]), path)
    board.refresh()
    assert board.filtered["id"].tolist() == [1, 2, 3]


def test_a_missing_file_is_one_clear_error(tmp_path):
    """A path without a file says so."""
    with pytest.raises(ak.ConfigError, match="there is no file"):
        ak.explore(tmp_path / "none.parquet")


def test_a_client_is_asked_for_what_changed():
    """A refresh asks for later updates, replaces rows, adds new ones and drops what left."""
    items = [run(1), run(2, state="started", result={}), run(3, state="started", result={})]
    with ak.demo.serve(items) as served:
        before = ak.load(items)
        client = ak.Client(
            served.base_url, client_id=served.client_id, client_secret=served.client_secret
        )
        where = ak.Filter(state="started")
        board = ak.explore(client, where)
        assert board.filtered["id"].tolist() == [2, 3]
    later = [run(2, updatedAt="2026-10-20T01:00:00Z"), run(9, state="started", result={})]
    with ak.demo.serve([*items[:1], items[2], *later]) as served:
        client = ak.Client(
            served.base_url, client_id=served.client_id, client_secret=served.client_secret
        )
        merged = _changed(client, where, where.select(before))
    assert merged["id"].tolist() == [3, 9]


def test_merging_equals_one_load():
    """What is put together from two loads is the frame of one, new columns and types included."""
    old, new = [run(1), run(2)], [run(2, context={"a": 1}), run(3, context={"a": "x", "b": True})]
    merged = _merged(ak.flatten(old), ak.flatten(new))
    whole = ak.flatten([old[0], *new])
    assert ak.unflatten(merged) == ak.unflatten(whole)
    mixed = _merged(ak.flatten([run(1, context={"a": 1})]), ak.flatten(new[1:]))
    assert list(ak.unflatten(mixed)) == [run(1, context={"a": 1}), new[1]]


def pressed(board):
    """Press Refresh as the script of the board does, and give what it is then told."""
    shown = board.view.shown
    board.view._heard(board.view, {"kind": "act", "name": "refresh", "seq": shown["seq"] + 1}, [])
    assert board.view.shown["seq"] == shown["seq"] + 1
    return board.view.shown


def test_the_board_on_a_live_service():
    """A refused refresh is said and leaves the rows; the next brings new and changed ones."""
    items = [run(1), run(2, state="started", result={})]
    later = {"updatedAt": "2026-10-20T01:00:00Z"}
    late = [run(2, result={"code": "error"}, **later), run(3, **later)]
    faults = Faults(script=["", "403", "late", "late"], late=late)
    with ak.demo.serve(items, faults=faults) as served, ak.Client(
        served.base_url, client_id=served.client_id, client_secret=served.client_secret
    ) as client:  # fmt: skip
        board = ak.explore(client)
        board.filter = ak.Filter(result=["error", "running"])
        shown = pressed(board)
        assert "403" in shown["error"]["text"]
        assert board.filtered["id"].tolist() == [2]
        for _ in late:
            assert pressed(board)["error"] is None
        shown = pressed(board)
    assert board.selection.cube.df["id"].tolist() == [1, 2, 3]
    assert board.filtered["result.code"].tolist() == ["error"]
    assert shown["note"].startswith("Refreshed: 3 activities")


def test_a_client_that_is_refused_raises_in_the_cell():
    """Without data there is no dashboard to say it on: the cell that opens it raises."""
    with ak.demo.serve([run(1)]) as served:
        client = ak.Client(served.base_url, client_id=served.client_id, client_secret="wrong")
        with pytest.raises(ak.AuthError):
            ak.explore(client)


def test_a_refresh_keeps_the_notes_of_what_it_put_together():
    """A column that has become mixed is written back as what it was, saved or not."""
    before = [run(1, context={"x": "t"}), run(2, context={"x": "t"})]
    later = [before[0], run(2, updatedAt="2026-10-20T01:00:00Z", context={"x": 3})]
    with ak.demo.serve(later) as served:
        client = ak.Client(
            served.base_url, client_id=served.client_id, client_secret=served.client_secret
        )
        merged = _changed(client, ak.Filter(), ak.load(before))
    assert ak.unflatten(merged) == later
