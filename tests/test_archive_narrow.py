"""Reading a few columns of the archive gives what reading all of them does."""

import json

import pandas as pd
import pytest

import activitykit as ak
from activitykit.archive import Archive, ledger, rows

NOW = pd.Timestamp("2026-11-01T06:00:00Z")
ENTRY = dict.fromkeys(ledger.SCOPE, "x") | {
    "kind": ledger.SLICE, "since": NOW - pd.Timedelta(90, "D"), "until": NOW, "ended": True,
    "watermark": NOW, "fetched_at": NOW, "rows": 0, "changed": 0,
}  # fmt: skip
STORED = ak.columns()["name"].tolist()
ODD = {
    "state": {"state": 7},
    "time": {"createdAt": "2026-10-31T22:00:00+02:00"},
    "unreadable": {"updatedAt": "yesterday"},
    "none": {},
}


def archive_of(path, items, base_url="https://x"):
    """Make an archive that holds the items."""
    archive = Archive(path)
    archive._tables.create()
    page = json.dumps({"items": items}).encode()
    archive._tables.upsert(rows.to_rows([page], None, base_url))
    archive._tables.note(ENTRY)
    return archive


def filters(df):
    """Give filters of several kinds, one of which looks beyond the stored columns."""
    middle = df["createdAt"].iloc[150]
    yield ak.Filter(since=middle, until=middle + pd.Timedelta(3, "D"), on="updatedAt")
    yield ak.Filter(since=middle, on="completedAt")
    yield ak.Filter(result=["error", "running"], tenant=df["tenant.name"].iloc[150])
    yield ak.Filter(text="failed")
    yield None


def test_columns_are_those_of_the_whole_frame(tmp_path):
    """The same rows, types and notes come back, in the order that was asked for."""
    archive = archive_of(tmp_path, list(ak.demo.simulate(300, seed=3)))
    for where in filters(archive.read()):
        whole = archive.read(where)
        for columns in (STORED, ["tenant.name", "id"], ["operation"], ["type", whole.columns[-1]]):
            found = archive.read(where, columns=columns)
            pd.testing.assert_frame_equal(found, whole[columns])
            keys = ("coverage", "complete", "version", "source", "ended_since")
            notes = [frame.attrs["activitykit"] for frame in (found, whole)]
            assert [notes[0].get(key) for key in keys] == [notes[1].get(key) for key in keys]
    with pytest.raises(ak.SchemaError, match="nowhere"):
        archive.read(columns=["id", "nowhere"])


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_values_of_other_kinds_are_read_as_ever(tmp_path, odd):
    """A number where text should be, a time in another spelling, and none at all are no matter."""
    items = [*ak.demo.simulate(20, seed=4), {"id": 7, "type": "x", **odd}]
    archive = archive_of(tmp_path, items)
    columns = ["id", "state", "createdAt", "updatedAt", "operation"]
    pd.testing.assert_frame_equal(archive.read(columns=columns), archive.read()[columns])
    assert 7 in archive.read(ak.Filter(type="x"), columns=columns)["id"].tolist()


def test_an_activity_of_two_data_centres_counts_once(tmp_path):
    """The later state of an id stays, wherever it came from."""
    late = {"id": 7, "state": "completed", "updatedAt": "2026-10-31T22:00:00Z"}
    archive = archive_of(tmp_path, [late])
    early = {"id": 7, "state": "started", "updatedAt": "2026-10-31T21:00:00Z"}
    page = json.dumps({"items": [early, {"id": 8}]}).encode()
    archive._tables.upsert(rows.to_rows([page], None, "https://y"))
    found = archive.read(columns=["id", "state"])
    pd.testing.assert_frame_equal(found, archive.read()[["id", "state"]])
    assert found["state"].tolist()[0] == "completed"


def test_an_empty_archive_has_typed_columns(tmp_path):
    """Nothing found has the types of anything found."""
    archive = archive_of(tmp_path, [{"id": 7}])
    where = ak.Filter(type="nothing")
    pd.testing.assert_frame_equal(archive.read(where, columns=STORED), archive.read(where)[STORED])
