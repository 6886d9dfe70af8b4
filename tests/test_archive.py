"""The archive against the emulated service: nothing lost, nothing twice, and honest about gaps."""

import json
import random
import sys
import threading
from itertools import pairwise

import pandas as pd
import pytest
import tenacity

import activitykit as ak
from activitykit.archive import Archive, ledger, rows, sync, tables
from activitykit.client import transport
from activitykit.demo.server import Faults, Variants, serve

NOW = pd.Timestamp("2026-11-01T06:00:00Z")


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    """Stop the clock at the end of the simulated time, and retry requests at once."""
    monkeypatch.setattr(transport, "_BACKOFF", tenacity.wait_none())
    at(monkeypatch, NOW)


def at(monkeypatch, moment):
    """Set the clock."""
    monkeypatch.setattr(sync, "clock", lambda: moment)


@pytest.fixture(scope="module")
def items():
    """Activities of the last three days, and the published ones of years ago."""
    return list(ak.demo.simulate(300, seed=4, days=3, until=NOW))


def client_of(service, **options):
    """Give a client of the emulated service."""
    return ak.Client(
        service.base_url,
        client_id=service.client_id,
        client_secret=service.client_secret,
        **options,
    )


def synced(archive, items, *args, port=0, **options):
    """Sync from a service with these activities; give its port, to be the same service again."""
    with serve(items, port=port, **options) as service, client_of(service) as client:
        archive.sync(client, *args, progress=False)
        return int(service.base_url.rpartition(":")[2])


def version(archive):
    """Count the commits of rows."""
    return archive._tables.open(tables.ACTIVITIES).version()


def pages_of(items):
    """Give the bodies that hold activities, a few on each."""
    return [json.dumps({"items": items[i : i + 7]}).encode() for i in range(0, len(items), 7)]


def same(found, expected):
    """Compare frames, and what was noted about their columns."""
    pd.testing.assert_frame_equal(found, expected)
    for key in ("json_columns", "conflicts", "unreadable_times", "rest_columns"):
        assert found.attrs["activitykit"][key] == expected.attrs["activitykit"][key]


# -- syncing ---------------------------------------------------------------------------------------


def test_first_sync_reads_as_a_load_would(tmp_path, items):
    """What is read is what the service would have given, to the nanosecond."""
    archive = Archive(tmp_path / "a")
    with serve(items) as service, client_of(service) as client:
        done = archive.sync(client, progress=False)
        expected = ak.load(client, progress=False)
    same(archive.read(), expected)
    assert done["rows"].sum() == done["changed"].sum() == len(items)
    assert archive.verify()["n"].tolist() == [len(items), 0, 0, 0, 0]
    assert ak.load(tmp_path / "a").equals(expected)


def test_selecting_by_the_end_is_noted(tmp_path, items):
    """Quantiles of what an archive reads make up for the short runs that ended before."""
    archive = Archive(tmp_path)
    synced(archive, items)
    where = ak.Filter(on="completedAt", since=NOW - pd.Timedelta(1, "D"))
    found = ak.duration_stats(archive.read(where), as_of=NOW)
    assert found.attrs["activitykit"]["selected_since"] == str(where.since)
    expected = ak.duration_stats(
        where.select(ak.flatten(items)), as_of=NOW, selected_since=where.since
    )
    pd.testing.assert_frame_equal(found, expected)


def test_first_sync_walks_back_in_adjoining_slices(tmp_path, items):
    """Slices begin at the newest and leave no gap; what is older than 90 days is only partial."""
    archive = Archive(tmp_path)
    with serve(items) as service, client_of(service) as client:
        done = archive.sync(client, progress=False)
    assert done["until"].iloc[0] == NOW
    assert all(later.since == earlier.until for later, earlier in pairwise(done.itertuples()))
    assert done["kind"].tolist() == ["slice"] * (len(done) - 1) + ["older"]
    covered = archive.coverage()
    assert covered["status"].tolist() == ["partial", "complete"]
    assert covered["since"].isna().tolist() == [True, False]
    assert covered["since"].iloc[1] == NOW - pd.Timedelta(90, "D")
    assert covered["rows"].sum() == len(items)


def test_a_repeated_sync_adds_nothing(tmp_path, items, monkeypatch):
    """Where nothing changed, nothing is committed, and the coverage reaches further."""
    archive = Archive(tmp_path)
    port = synced(archive, items)
    before = version(archive)
    at(monkeypatch, NOW + pd.Timedelta(1, "h"))
    synced(archive, items, port=port)
    assert version(archive) == before
    assert archive.coverage()["until"].max() == NOW + pd.Timedelta(1, "h")
    same(archive.read(), ak.flatten(items))


def test_changes_and_late_arrivals_are_found(tmp_path, items, monkeypatch):
    """Later syncs bring what changed, what comes late with an old date, and what got finished."""
    archive = Archive(tmp_path)
    port = synced(archive, items)
    at(monkeypatch, NOW + pd.Timedelta(2, "h"))
    stamp = "2026-11-01T07:00:00.123456789Z"
    open_ = next(i for i, one in enumerate(items) if one["state"] == "started")
    changed = [dict(one) for one in items]
    changed[40] |= {"policy": {"id": "p", "name": "renamed"}, "updatedAt": stamp}
    # finished without a word about it in updatedAt
    changed[open_] |= {"state": "completed", "result": {"code": "ok"}}
    late = {"id": items[-1]["id"] + 1, "createdAt": "2026-09-02T00:00:00Z", "updatedAt": stamp}
    undated = {"id": items[-1]["id"] + 2, "type": "agent.add", "updatedAt": stamp}
    synced(archive, [*changed, late, undated], port=port)
    same(archive.read(), ak.flatten([*changed, late, undated]))
    assert archive.verify()["n"].tolist() == [len(items) + 2, 0, 0, 0, 0]


def test_rows_that_change_during_a_sync_are_right_after_the_next(tmp_path, monkeypatch):
    """Changes while pages are fetched are found by the next sync at the latest."""
    at(monkeypatch, pd.Timestamp.now("UTC").floor("us"))
    items = list(ak.demo.simulate(300, seed=5, days=3, until="0s"))
    archive = Archive(tmp_path.as_uri())
    moving = Faults(rates={"mutate": 0.5}, most=12, seed=2)
    small = Variants(max_limit=20)
    with serve(items, variants=small, faults=moving) as service, client_of(service) as client:
        archive.sync(client, progress=False)
        archive.sync(client, progress=False)
        expected = ak.load(client, progress=False)
    assert not expected.equals(ak.flatten(items))
    same(archive.read(), expected)


def test_an_older_state_never_replaces_a_newer_one(tmp_path):
    """The greatest updatedAt wins, by the nanosecond; another data centre keeps its own rows."""
    store = tables.Tables(root=str(tmp_path), options={})
    store.create()
    one = {
        "id": 5,
        "createdAt": "2026-03-01T00:00:00Z",
        "updatedAt": "2026-03-01T00:00:00.000000002Z",
    }
    older = one | {"type": "older", "updatedAt": "2026-03-01T00:00:00.000000001Z"}
    newer = one | {"type": "newer", "updatedAt": "2026-03-01T00:00:00.000000003Z"}
    written = [
        store.upsert(rows.to_rows(pages_of([item]), None, url))
        for item, url in ((one, "a"), (older, "a"), (one, "a"), (newer, "a"), (older, "b"))
    ]
    assert written == [1, 0, 0, 1, 1]
    kept = store.dataset().to_table().to_pandas().sort_values("base_url")
    assert kept["type"].tolist() == ["newer", "older"]


def test_upserts_agree_with_a_dict(tmp_path, monkeypatch):
    """Whatever comes in whichever order, the table holds what a dict by id would hold."""
    for name in ("_SPANS", "_LONG", "_LISTED"):
        monkeypatch.setattr(tables, name, 2)
    chance, store, truth = random.Random(8), tables.Tables(root=str(tmp_path), options={}), {}
    store.create()
    for _ in range(8):
        batch = {chance.randrange(60): chance.randrange(5) for _ in range(chance.randrange(1, 20))}
        news = {k: age for k, age in batch.items() if age > truth.get(k, -1)}
        truth |= news
        items = [
            {"id": k, "createdAt": f"2026-0{k % 3 + 1}-09T00:00:00Z"}
            | {"updatedAt": f"2026-06-0{age + 1}T00:00:00Z"}
            for k, age in batch.items()
        ]
        assert store.upsert(rows.to_rows(pages_of(items), None, "https://x")) == len(news)
        table = store.dataset().to_table().to_pandas()
        assert len(table) == len(truth)
        assert dict(zip(table["id"], table["updatedAt"].dt.day - 1, strict=True)) == truth


def test_what_arrived_before_a_failure_is_kept_as_partial(tmp_path, items):
    """When the service breaks off mid-slice, its rows stay, marked, and the next sync goes on."""
    archive = Archive(tmp_path)
    small, broken = Variants(max_limit=20), Faults(script=["", "", "", "no-items"])
    with serve(items, variants=small, faults=broken) as service, client_of(service) as client:
        with pytest.raises(ak.IncompleteError):
            archive.sync(client, workers=1, progress=False)
        kept = archive.read()
        assert 0 < len(kept) < len(items)
        assert archive.coverage()["status"].tolist() == ["partial", "complete"]
        assert not kept.attrs["activitykit"]["complete"]
        archive.sync(client, progress=False)
    same(archive.read(), ak.flatten(items))
    assert archive.coverage()["status"].tolist() == ["partial", "complete"]


def test_a_filter_keeps_a_part(tmp_path, items, monkeypatch):
    """Only what matches is kept; what matched once is followed until it is finished."""
    archive = Archive(tmp_path)
    where = ak.Filter(since=NOW - pd.Timedelta(1, "D"), state="started")
    port = synced(archive, items, where)
    wanted = [one for one in items if where.matches(one)]
    same(archive.read(), ak.flatten(wanted))
    assert archive.coverage()["since"].tolist() == [where.since]
    ended = [one | {"state": "completed"} if one in wanted else one for one in items]
    at(monkeypatch, NOW + pd.Timedelta(1, "h"))
    synced(archive, ended, where, port=port)
    assert archive.read()["state"].tolist() == ["completed"] * len(wanted)
    assert list(Archive(tmp_path).coverage()["rows"]) == [len(wanted)]
    with pytest.raises(ak.ConfigError, match="createdAt"):
        archive.sync(None, ak.Filter(since="1d", on="updatedAt"))


def test_a_later_end_brings_what_was_cut_off(tmp_path, items, monkeypatch):
    """What a first sync left out for its end is fetched when a later one reaches further."""
    archive = Archive(tmp_path)
    port = synced(archive, items, ak.Filter(until=NOW - pd.Timedelta(1, "D")))
    assert len(archive.read()) < len(items)
    at(monkeypatch, NOW + pd.Timedelta(9, "h"))
    synced(archive, items, port=port)
    same(archive.read(), ak.flatten(items))


def test_a_sync_of_the_future_does_nothing(tmp_path, items):
    """An interval that has not begun gives an empty table with the promised types."""
    with serve(items) as service, client_of(service) as client:
        where = ak.Filter(since=NOW + pd.Timedelta(1, "D"))
        done = Archive(tmp_path).sync(client, where, progress=False)
    assert len(done) == 0
    assert str(done["since"].dtype) == "datetime64[us, UTC]"
    assert Archive(tmp_path).read().equals(ak.flatten([]))


def test_scopes_live_side_by_side(tmp_path, items):
    """A part of the tenants and all of them share rows, and have coverage of their own."""
    archive = Archive(tmp_path)
    with serve(items) as service:
        with client_of(service) as everything:
            tenant = everything.tenants()[-1]["id"]
            archive.sync(everything, progress=False)
        before = version(archive)
        with client_of(service, tenant=tenant) as one:
            done = archive.sync(one, ak.Filter(since=NOW - pd.Timedelta(3, "D")), progress=False)
    assert version(archive) == before
    assert done["changed"].sum() == 0
    covered = archive.coverage()
    assert covered.groupby("tenant").size().sort_values().tolist() == [1, 2]
    assert tenant in set(covered["tenant"])


def test_equal_ids_of_two_data_centres_are_two_activities(tmp_path):
    """Whichever way they are read, neither hides the other, and each keeps what it holds."""
    archive, store = Archive(tmp_path), tables.Tables(root=str(tmp_path), options={})
    store.create()
    one = {"id": 5, "type": "backup", "createdAt": "2026-03-01T00:00:00Z", "context": {"a": 1}}
    other = one | {"type": "scan", "context": {"a": 0.5}, "tags": ["x"]}
    more = [one | {"id": 4}, one | {"id": 6, "startedAt": "soon"}]
    for url, items in (("https://eu", [one, *more]), ("https://us", [other])):
        store.upsert(rows.to_rows(pages_of(items), None, url))
    df = archive.read()
    assert df["id"].tolist() == [4, 5, 5, 6]
    assert df["type"].tolist() == ["backup", "backup", "scan", "backup"]
    assert df["context.a"].tolist() == [1, 1, 0.5, 1]
    assert sorted(ak.unflatten(df), key=str) == sorted([*more, one, other], key=str)
    pd.testing.assert_frame_equal(archive.read(columns=["type", "id"]), df[["type", "id"]])
    assert archive.read(ak.Filter(id=5, type="scan"))["type"].tolist() == ["scan"]
    with pytest.warns(UserWarning, match="not complete"):
        assert archive.scan().aggregate("count(*)").fetchall() == [(4,)]
    with pytest.warns(UserWarning, match="not complete"):
        exported = archive.export(tmp_path / "x.parquet", ak.Filter(tag="x"))
    assert pd.read_parquet(exported)["base_url"].tolist() == ["https://us"]
    assert archive.verify()["n"].tolist() == [4, 0, 0, 0, 0]


def test_time_in_which_nobody_synced_is_a_gap(tmp_path, items, monkeypatch):
    """What the service forgot in between is unknown, and a read of it is not called complete."""
    archive = Archive(tmp_path)
    port = synced(archive, items)
    later = NOW + pd.Timedelta(120, "D")
    at(monkeypatch, later)
    synced(archive, items, port=port)
    covered = archive.coverage()
    assert covered["status"].tolist() == ["partial", "complete", "unknown", "complete"]
    assert covered["until"].tolist()[1:3] == [NOW, later - pd.Timedelta(90, "D")]

    def complete(*span):
        since, until = (NOW + pd.Timedelta(days, "D") for days in span)
        return archive.read(ak.Filter(since=since, until=until)).attrs["activitykit"]["complete"]

    assert [complete(-9, -1), complete(-9, 1), complete(31, 99)] == [True, False, True]
    assert [complete(99, 130), complete(130, 140), complete(-99, -1)] == [False] * 3


def test_two_syncs_at_once_store_nothing_twice(tmp_path, items):
    """Commits that meet are made again on the new state."""
    with serve(items) as service:

        def work():
            with client_of(service) as client:
                Archive(tmp_path).sync(client, progress=False)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    archive = Archive(tmp_path)
    same(archive.read(), ak.flatten(items))
    assert archive.verify()["n"].tolist() == [len(items), 0, 0, 0, 0]
    assert archive.coverage()["status"].tolist() == ["partial", "complete"]


def test_an_archive_that_another_sync_created_meanwhile_is_taken(tmp_path, monkeypatch):
    """Between the look whether there are tables and their first commit, another may come first."""
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    create = DeltaTable.create

    def overtaken(*args, **options):
        create(*args, **options)
        raise CommitFailedError("Protocol changed since last commit: protocol changed")

    monkeypatch.setattr(DeltaTable, "create", overtaken)
    store = tables.Tables(root=str(tmp_path), options={})
    store.create()
    assert store.upsert(rows.to_rows(pages_of([{"id": 1}]), None, "https://x")) == 1


def test_a_commit_that_is_overtaken_is_made_again_on_the_new_state(tmp_path, monkeypatch):
    """What another sync commits between reading and writing is neither lost nor there twice."""
    store, written = tables.Tables(root=str(tmp_path), options={}), []
    store.create()
    theirs, ours = ([{"id": k} for k in ids] for ids in ((1, 2), (2, 3)))
    writing = tables.writing

    def overtaken():
        monkeypatch.setattr(tables, "writing", writing)
        written.append(store.upsert(rows.to_rows(pages_of(theirs), None, "https://x")))
        return writing()

    monkeypatch.setattr(tables, "writing", overtaken)
    written.append(store.upsert(rows.to_rows(pages_of(ours), None, "https://x")))
    assert written == [2, 1]
    assert sorted(store.dataset().to_table()["id"].to_pylist()) == [1, 2, 3]


def test_a_commit_that_keeps_being_overtaken_says_so(tmp_path, monkeypatch):
    """After many attempts the error says that it was others, and what to do."""
    from deltalake.exceptions import CommitFailedError

    store = tables.Tables(root=str(tmp_path), options={})
    store.create()

    def overtaken(*_):
        raise CommitFailedError("0")

    monkeypatch.setattr(tables, "_commit", overtaken)
    monkeypatch.setattr(tables, "_ATTEMPTS", 2)
    monkeypatch.setattr(tables, "_LONGEST_WAIT_S", 0)
    with pytest.raises(ak.ArchiveError, match="run it again"):
        store.upsert(rows.to_rows(pages_of([{"id": 1}]), None, "https://x"))


# -- what is refused -------------------------------------------------------------------------------


def test_a_folder_with_something_else_is_refused(tmp_path):
    """An archive is never put among other files, nor in the place of one."""
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ak.ArchiveError, match=r"thesis\.txt"):
        Archive(tmp_path)
    with pytest.raises(ak.ArchiveError, match="is a file"):
        Archive(tmp_path / "thesis.txt")
    with pytest.raises(ak.ArchiveError, match=r"with \["):
        Archive(tmp_path / "[a]" / "b")


def test_reading_before_the_first_sync_says_so(tmp_path):
    """Without an archive there is nothing to read, and nothing is created."""
    archive = Archive(tmp_path / "none")
    for ask in (archive.read, archive.coverage, archive.scan, archive.verify, archive.compact):
        with pytest.raises(ak.ArchiveError, match="first sync"):
            ask()
    assert not (tmp_path / "none").exists()


def test_tables_of_others_and_of_the_future_are_refused(tmp_path, monkeypatch):
    """A Delta table of another program, or of a newer release, is left alone."""
    from deltalake import DeltaTable

    monkeypatch.setattr(tables, "VERSION", 2)
    tables.Tables(root=str(tmp_path / "new"), options={}).create()
    monkeypatch.setattr(tables, "VERSION", 1)
    with pytest.raises(ak.ArchiveError, match="upgrade"):
        Archive(tmp_path / "new").read()
    DeltaTable.create(f"{tmp_path}/other/activities", ledger.FIELDS)
    with pytest.raises(ak.ArchiveError, match="not of an archive"):
        Archive(tmp_path / "other").read()


def test_a_missing_library_names_the_extra(monkeypatch):
    """Without deltalake the error says what to install."""
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ak.ConfigError, match=r"activitykit\[archive\]"):
        Archive("anywhere")


def test_no_secret_is_shown(tmp_path):
    """Neither the repr nor an error shows credentials of the store."""
    options = {"AWS_SECRET_ACCESS_KEY": "hush-hush"}
    archive = Archive("s3://user:hush@bucket/path?sig=hush-hush", storage_options=options)
    assert repr(archive) == "Archive('s3://bucket/path')"
    store = tables.Tables(root=str(tmp_path), options=options)
    with pytest.raises(ak.ArchiveError) as caught, store.told("read"):
        raise OSError("denied for hush-hush")
    assert "hush" not in f"{caught.value!r} {store!r}"


def test_damaged_files_are_told(tmp_path, items):
    """A missing data file is an error that names the archive."""
    archive = Archive(tmp_path)
    synced(archive, items)
    for file in (tmp_path / tables.ACTIVITIES).rglob("*.parquet"):
        file.unlink()
    with pytest.raises(ak.ArchiveError, match="read"):
        archive.read()
