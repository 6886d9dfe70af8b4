"""Reading the archive: the rows of a filter, of any state, through any engine; and its care."""

import json

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

import activitykit as ak
from activitykit.archive import Archive, ledger, rows, sync, tables
from activitykit.demo.server import serve

NOW = pd.Timestamp("2026-11-01T06:00:00Z")


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    """Stop the clock at the end of the simulated time."""
    monkeypatch.setattr(sync, "clock", lambda: NOW)


@pytest.fixture(scope="module")
def items():
    """Activities of the last three days, and the published ones of years ago."""
    return list(ak.demo.simulate(300, seed=4, days=3, until=NOW))


def synced(path, *states):
    """Sync an archive with each of these states of one service, one after the other."""
    archive, port = Archive(path), 0
    for items in states:
        with serve(items, port=port) as service:
            port = int(service.base_url.rpartition(":")[2])
            about = {"client_id": service.client_id, "client_secret": service.client_secret}
            with ak.Client(service.base_url, **about) as client:
                archive.sync(client, progress=False)
    return archive


def pages_of(items):
    """Give the bodies that hold activities, a few on each."""
    return [json.dumps({"items": items[i : i + 7]}).encode() for i in range(0, len(items), 7)]


def same(found, expected):
    """Compare frames, and what was noted about their columns."""
    pd.testing.assert_frame_equal(found, expected)
    for key in ("json_columns", "conflicts", "unreadable_times", "rest_columns"):
        assert found.attrs["activitykit"][key] == expected.attrs["activitykit"][key]


ENTRY = dict.fromkeys(ledger.SCOPE, "x") | {
    "kind": ledger.SLICE, "since": NOW - pd.Timedelta(90, "D"), "until": NOW, "ended": True,
    "watermark": NOW, "fetched_at": NOW, "rows": 0, "changed": 0,
}  # fmt: skip
"""Says that three months were fetched whole."""


@pytest.fixture(scope="module")
def full(tmp_path_factory, simulated):
    """An archive with the activities of the frame `simulated`."""
    archive = Archive(tmp_path_factory.mktemp("full"))
    archive._tables.create()
    items = ak.unflatten(simulated)
    for start in range(0, len(items), 500):
        archive._tables.upsert(
            rows.to_rows(pages_of(items[start : start + 500]), None, "https://x")
        )
    archive._tables.note(ENTRY)
    return archive


def filters(df):
    """Give filters of all kinds that look at columns only."""
    middle = df["createdAt"].iloc[700]
    guid = df["resource.id"].dropna().iloc[100]
    yield ak.Filter(since=middle, until=middle + pd.Timedelta(3, "D"))
    yield ak.Filter(since=middle + pd.Timedelta(1, "ns"), on="updatedAt")
    yield ak.Filter(until=df["createdAt"].iloc[800], tenant=df["tenant.name"].iloc[700])
    yield ak.Filter(result=["error", "running"], type=df["type"].iloc[700])
    yield ak.Filter(resource=guid.swapcase(), policy="")
    begun = df[df["startedByUser"].notna()].iloc[50]
    yield ak.Filter(id=[int(begun["id"]), 1], started_by=f"{begun['startedByUser'][:4]}*")
    yield ak.Filter(state="nowhere")


def test_read_and_scan_find_what_a_filter_selects(full, simulated):
    """Read, and scan with any engine, give the rows that the filter selects from the frame."""
    for where in filters(simulated):
        expected = where.select(simulated)["id"].tolist()
        assert bool(expected) == (where.state == ())
        assert full.read(where)["id"].tolist() == expected
        assert sorted(full.scan(where, engine="arrow").to_table()["id"].to_pylist()) == expected
        found = full.scan(where, engine="polars").collect()
        assert sorted(found["id"].to_list()) == expected
        assert sorted(one for (one,) in full.scan(where).select("id").fetchall()) == expected


def test_read_takes_filters_beyond_the_columns(full, simulated):
    """Texts and tags are found by read; scan says that it cannot, and what can."""
    where = ak.Filter(text="backup failed", result="error")
    pd.testing.assert_series_equal(
        full.read(where)["id"], where.select(simulated)["id"].reset_index(drop=True)
    )
    with pytest.raises(ak.ConfigError, match="read"):
        full.scan(where)
    with pytest.raises(ak.ConfigError, match="duckdb"):
        full.scan(engine="abacus")


def test_read_finds_values_that_are_not_in_their_columns(tmp_path):
    """A filter reads rows whose core values are of another kind, or whose time is unreadable."""
    archive = Archive(tmp_path)
    odd = [
        {"id": 1, "createdAt": "2026-03-01T02:00:00+02:00", "tenant": {"name": ["a", "b"]}},
        {"id": 2, "createdAt": 17, "tenant": {"name": "a"}},
        {"id": 3, "createdAt": "2026-03-01T00:00:00Z", "tenant": {"id": 66}},
    ]
    archive._tables.create()
    archive._tables.upsert(rows.to_rows(pages_of(odd), None, "https://x"))
    same(archive.read(), ak.flatten(odd))
    for where in (ak.Filter(tenant="a"), ak.Filter(since="2026-03-01", until="2026-03-02")):
        assert archive.read(where)["id"].tolist() == [i["id"] for i in odd if where.matches(i)]


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_statistics_agree_with_pandas(full, simulated, engine):
    """Three statistics over a scan give the numbers that they give over the frame."""
    scanned = full.scan(engine=engine)
    for statistic in (ak.duration_stats, ak.failure_stats, ak.trend):
        by = {} if statistic is ak.trend else {"by": "operation"}
        expected = statistic(simulated, **by)
        pd.testing.assert_frame_equal(statistic(scanned, **by), expected, rtol=1e-5, atol=2e-6)


def test_care_changes_no_row(tmp_path, items):
    """Compacting and vacuuming leave fewer files and the same activities."""
    archive = synced(tmp_path, items)
    before = archive.read()
    many = len(list(tmp_path.rglob("*.parquet")))
    archive.compact()
    assert archive.vacuum() == 0
    assert archive.vacuum(keep="0s", force=True) > 0
    assert len(list(tmp_path.rglob("*.parquet"))) < many
    same(archive.read(), before)
    assert archive.verify()["n"].tolist()[1:] == [0, 0, 0, 0]


def test_verify_finds_what_is_wrong(tmp_path, items):
    """Rows stored twice, rows that are gone and files that are gone are all told."""
    from deltalake import write_deltalake

    archive = synced(tmp_path, items)
    table = archive._tables.open(tables.ACTIVITIES)
    some = table.to_pyarrow_table().slice(5, 3)
    write_deltalake(table, some, mode="append")
    assert archive.verify().set_index("check")["n"]["repeated"] == 3
    archive._tables.open(tables.ACTIVITIES).delete(f"id = {some['id'][0].as_py()}")
    found = archive.verify().set_index("check")["n"]
    assert (found["repeated"], found["missing"]) == (2, 1)
    archive._tables.open(tables.ACTIVITIES).delete("month <> 'unknown'")
    assert archive.verify().set_index("check")["n"]["missing"] == len(items)


def test_an_interval_leaves_files_unopened(tmp_path, items):
    """A read of the last day does not even open the files of years ago."""
    archive = synced(tmp_path, items)
    where = ak.Filter(since=NOW - pd.Timedelta(1, "D"), state="completed")
    old = [
        path
        for path in tmp_path.glob("activities/month=*/*.parquet")
        if path.parent.name < "month=2026"
    ]
    assert old
    for path in old:
        path.unlink()
    wanted = {item["id"] for item in items if where.matches(item)}
    assert wanted
    assert set(archive.read(where)["id"]) == wanted


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_spark_finds_what_a_filter_selects(full, simulated):
    """A Spark DataFrame has the rows, columns and types of a DuckDB relation."""
    for where in filters(simulated):
        found = full.scan(where, engine="spark").select("id").toArrow()["id"].to_pylist()
        assert sorted(found) == where.select(simulated)["id"].tolist()
    frame = full.scan(engine="spark")
    assert frame.columns == full.scan().columns == rows.FIELDS.names
    assert dict(frame.dtypes)["createdAt"] == "timestamp"
    assert dict(frame.dtypes)["month"] == "string"


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_a_statistic_on_spark_agrees_with_duckdb(full):
    """The same line gives the same numbers on both engines."""
    found, want = (ak.failure_stats(full.scan(engine=one)) for one in ("spark", "duckdb"))
    pd.testing.assert_frame_equal(found, want, rtol=1e-9)


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def test_any_folder_and_no_row_can_be_scanned(tmp_path, engine, request):
    """Names that look like wildcards are names, and an archive without rows has its columns."""
    if engine == "spark":
        request.getfixturevalue("spark")
    odd = tmp_path / "it's {a} *?"
    archive = Archive(odd.as_uri() if engine == "duckdb" else odd)
    archive._tables.create()
    archive._tables.note(ENTRY)
    assert list(archive.scan(engine=engine).columns) == rows.FIELDS.names
    archive._tables.upsert(rows.to_rows(pages_of([{"id": 7, "state": "a'b\\"}]), None, "x"))
    found = archive.scan(ak.Filter(state="a'b\\"), engine=engine).select("id")
    found = found.fetchall() if engine == "duckdb" else found.collect()
    assert [number for (number,) in found] == [7]


def test_a_lazy_frame_of_a_gap_warns(tmp_path, full):
    """A lazy frame carries no notes, so what is missing from its interval is said at once."""
    where = ak.Filter(since=NOW - pd.Timedelta(95, "D"), until=NOW)
    with pytest.warns(UserWarning, match=r"2026-07-29T06:00:00Z to 2026-08-03T06:00:00Z"):
        full.scan(where)
    with pytest.warns(UserWarning, match="not complete"):
        full.export(tmp_path / "gap.parquet", where)
    full.scan(ak.Filter(since=NOW - pd.Timedelta(9, "D"), until=NOW))


# -- export ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["pandas", "polars", "duckdb", "spark"])
def test_an_export_is_plain_parquet(full, simulated, tmp_path, by, request):
    """Every reader finds the rows, and times rounded down to microseconds."""
    path = full.export(tmp_path / "all.parquet")
    if by == "pandas":
        found = pd.read_parquet(path)
    elif by == "spark":
        session = request.getfixturevalue("spark")
        frame = session.read.parquet(str(path)).selectExpr("id", "unix_micros(createdAt) createdAt")
        found = frame.toArrow().to_pandas()
    else:
        read = pl.read_parquet(path) if by == "polars" else duckdb.read_parquet(str(path)).pl()
        found = read.to_pandas()
    found = found.sort_values("id", ignore_index=True)
    assert found["id"].tolist() == simulated["id"].tolist()
    micros = simulated["createdAt"].astype("int64") // 1000
    if by != "spark":
        found["createdAt"] = found["createdAt"].astype("datetime64[us, UTC]").astype("int64")
    assert found["createdAt"].tolist() == micros.tolist()


def test_an_export_holds_what_a_read_gives(full, simulated, tmp_path, monkeypatch):
    """The rows are those of read, whatever the filter looks at; the notes say where from."""
    monkeypatch.setattr("activitykit.archive.export._ROWS_PER_GROUP", 40)
    everything = ak.Filter(text="backup failed", result="error")
    for where in (None, everything, *filters(simulated)):
        path = full.export(tmp_path / "some.parquet", where)
        expected = full.read(where)
        found = pd.read_parquet(path).sort_values("id", ignore_index=True)
        assert found["id"].tolist() == expected["id"].tolist()
        text = found["operation"].astype("str")
        pd.testing.assert_series_equal(text, expected["operation"])
        about = json.loads(pq.read_metadata(path).metadata[b"activitykit.export"])
        assert about == {key: notes(expected)[key] for key in about}


def test_a_failed_export_leaves_the_old_file(full, tmp_path, monkeypatch):
    """A file appears whole or not at all."""
    path = tmp_path / "kept.parquet"
    path.write_text("old", encoding="utf-8")

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full_disk)
    with pytest.raises(ak.ArchiveError, match="No space left"):
        full.export(path)
    assert [(p.name, p.read_text(encoding="utf-8")) for p in tmp_path.iterdir()] == [
        ("kept.parquet", "old")
    ]
    with pytest.raises(ak.ArchiveError, match="nowhere"):
        full.export(tmp_path / "nowhere" / "a.parquet")


# -- earlier states --------------------------------------------------------------------------------


def notes(df):
    """Give what was noted about a frame."""
    return df.attrs["activitykit"]


@pytest.fixture
def twice(tmp_path, items, monkeypatch):
    """Sync, read, change an activity and add one, and sync an hour later: the frame of before."""
    archive = synced(tmp_path, items)
    before = archive.read()
    stamp = "2026-11-01T06:30:00.5Z"
    changed = items[50] | {"policy": {"name": "renamed"}, "updatedAt": stamp}
    late = {"id": items[-1]["id"] + 1, "createdAt": stamp, "updatedAt": stamp}
    port = int(notes(before)["coverage"][0]["base_url"].rpartition(":")[2])
    monkeypatch.setattr(sync, "clock", lambda: NOW + pd.Timedelta(1, "h"))
    with serve([*items[:50], changed, *items[51:], late], port=port) as service:
        about = {"client_id": service.client_id, "client_secret": service.client_secret}
        with ak.Client(service.base_url, **about) as client:
            archive.sync(client, progress=False)
    return archive, before


def test_an_earlier_state_reads_as_it_was(twice):
    """A version gives the frame of then, down to its notes, whatever came since."""
    archive, before = twice
    again = archive.read(version=notes(before)["version"])
    pd.testing.assert_frame_equal(again, before)
    assert notes(again) == notes(before)
    now = archive.read()
    assert len(now) == len(before) + 1
    assert notes(now)["coverage"][-1]["until"] == "2026-11-01T07:00:00Z"
    assert notes(now)["version"] > notes(before)["version"]


def test_a_time_leads_to_the_state_of_then(twice):
    """The state at a time is the last one committed until then, with what was known by then."""
    archive, before = twice
    past = archive.history()
    committed = past.set_index("version")["time"]
    at = committed[notes(before)["version"]]
    # the clock of the syncs was stopped, that of the commits was not
    pd.testing.assert_frame_equal(archive.read(at=at), before)
    assert archive.coverage(at=at)["until"].max() == NOW
    assert len(archive.read(at=committed.max())) == len(before) + 1
    with pytest.raises(ak.ArchiveError, match="goes back to version 0"):
        archive.read(at="2020-01-01")
    with pytest.raises(ak.ArchiveError, match="no version 99"):
        archive.scan(version=99)
    with pytest.raises(ak.ConfigError, match="not both"):
        archive.read(version=1, at="1d")


def test_history_tells_what_each_commit_brought(twice):
    """Added and updated add up to the rows; the step of the sync stands beside."""
    archive, before = twice
    archive.compact()
    past = archive.history()
    assert past["version"].tolist() == list(range(len(past)))
    assert past["operation"].iloc[[0, 1, -1]].tolist() == ["create", "sync", "compact"]
    assert past["added"].sum() == len(before) + 1
    assert past["updated"].sum() == 1
    later = past[past["kind"] == "update"]
    assert (later["added"].sum(), later["since"].unique().tolist()) == (1, [NOW])
    assert past["time"].is_monotonic_increasing


def test_a_state_that_was_vacuumed_says_so(twice):
    """When the files of a state are gone, the error names the archive, and the present reads on."""
    archive, before = twice
    archive.compact()
    archive.vacuum(keep="0s", force=True)
    with pytest.raises(ak.ArchiveError, match="vacuum"):
        archive.read(version=notes(before)["version"])
    assert len(archive.read()) == len(before) + 1
