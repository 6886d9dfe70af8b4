"""The archive against the emulated service: nothing lost, nothing twice, and honest about gaps."""

import json
import random
import subprocess
import sys
import threading
from itertools import pairwise

import pandas as pd
import pytest
import tenacity
from hypothesis import given, settings
from hypothesis import strategies as st

import activitykit as ak
from activitykit.archive import Archive, ledger, rows, sync, tables
from activitykit.client import transport
from activitykit.demo.server import Faults, Variants, serve
from activitykit.flatten import flatten_pages
from activitykit.schema import CORE

NOW = pd.Timestamp("2026-11-01T06:00:00Z")
KILLS = 6


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


def there_and_back(items):
    """Make rows of activities, and a frame of the rows."""
    return flatten_pages(rows.to_pages(rows.to_rows(pages_of(items), None, "https://x")))


def same(found, expected):
    """Compare frames, and what was noted about their columns."""
    pd.testing.assert_frame_equal(found, expected)
    for key in ("json_columns", "conflicts", "unreadable_times", "rest_columns"):
        assert found.attrs["activitykit"][key] == expected.attrs["activitykit"][key]


# -- rows ------------------------------------------------------------------------------------------

ODD = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False, width=32), st.text(max_size=5),
        st.just("2026-03-01T10:00:00.5Z"),
        st.just("2026-03-01T10:00:00.50+02:00"), st.just("2026-02-30T10:00:00Z"),
    ),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["id", "name", "error", "a.b", "title", ""]), inner),
    max_leaves=6,
)  # fmt: skip
TOP = {column.name.split(".")[0] for column in CORE}
KEYS = [*sorted(TOP - {"id"}), "tenant.id", "tags", "x"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), ODD, max_size=6), min_size=1, max_size=6))
def test_rows_give_back_whatever_came(found):
    """Any JSON in any place comes back as the frame that it would have been at once."""
    items = [{"id": number, "createdAt": None} | one for number, one in enumerate(found)]
    same(there_and_back(items), ak.flatten(items))


def test_rows_hold_nothing_twice(items):
    """What has a column of its own stands neither in the context nor in the rest."""
    table = rows.to_rows(pages_of(items), None, "https://x").to_pandas()
    same(there_and_back(items), ak.flatten(items))
    assert not table["misfit"].any()
    for path in (column.name.split(".") for column in CORE):
        held = table["context" if path[0] == "context" else "rest"].dropna().map(json.loads)
        for key in path[1:] if path[0] == "context" else path:
            held = held.map(lambda value, key=key: value.get(key) if value else None)
        assert held.isna().all()


def test_rows_keep_the_nanoseconds_beside(items):
    """Microseconds and the nanoseconds beyond make up the time; durations are ready-made."""
    table = rows.to_rows(pages_of(items), None, "https://x").to_pandas()
    df = ak.durations(ak.flatten(items))
    for name in ("createdAt", "completedAt"):
        whole = table[name].astype("datetime64[ns, UTC]")
        beyond = pd.to_timedelta(table[f"{name}_ns"], unit="ns")
        pd.testing.assert_series_equal(whole + beyond, df[name], check_names=False)
    pd.testing.assert_series_equal(table["queue_s"], df["queue_s"], rtol=0, atol=1e-9)
    ended = df["duration_s"].where(df["finished"])
    pd.testing.assert_series_equal(table["duration_s"], ended, rtol=0, atol=1e-9)
    assert (table["month"] == df["createdAt"].dt.strftime("%Y-%m")).all()


def test_rows_take_the_latest_copy_that_matches():
    """Of several copies the one changed last counts, and it must match the filter."""
    old = {"id": 1, "state": "started", "updatedAt": "2026-03-01T00:00:00.1Z"}
    new = old | {"state": "completed", "updatedAt": "2026-03-01T00:00:00.15Z"}
    pages = pages_of([new, old, {"id": 2, "state": "completed"}])
    table = rows.to_rows(pages, ak.Filter(state="completed"), "https://x")
    assert table["id"].to_pylist() == [1, 2]
    assert len(rows.to_rows(pages, ak.Filter(state="started"), "https://x")) == 0
    with pytest.raises(ak.FlattenError, match="0"):
        rows.to_rows(pages_of([{"uuid": "no id"}]), None, "https://x")


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
    monkeypatch.setattr(tables, "_SPANS", 3)
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


KILLED = """
import os, random, signal, sys, threading
import deltalake, pyarrow.dataset
import pandas as pd
import activitykit as ak
from activitykit.archive import Archive, sync

# most calls of a sync are made elsewhere; these are around the commits
modules = "activitykit.archive.tables", "deltalake.table", "deltalake.writer.w"
url, client_id, secret, root, now, kills = sys.argv[1:]
sync.clock = lambda: pd.Timestamp(now)

def run(path, moment, delay):
    calls = 0
    def count(frame, *_):
        nonlocal calls
        module = frame.f_globals.get("__name__", "")
        calls += module.startswith(modules)
        if calls == moment:
            # a little later, so that it also falls into the library's own work
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
    sys.setprofile(count)
    with ak.Client(url, client_id=client_id, client_secret=secret) as client:
        Archive(path).sync(client, ak.Filter(since=pd.Timestamp(now) - pd.Timedelta(3, "D")),
                           workers=1, progress=False)
    os._exit(0)

chance = random.Random(1)
for number in range(int(kills)):
    moment = chance.randrange(1, 700), chance.random() / 50
    child = os.fork()
    if child == 0:
        run(f"{root}/{number}", *moment)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signals")
def test_a_kill_at_any_moment_loses_nothing(tmp_path, items):
    """After kill -9 the ledger claims only what is there, and the next sync completes it."""
    where = ak.Filter(since=NOW - pd.Timedelta(3, "D"))
    expected = ak.flatten(filter(where.matches, items))
    with serve(items) as service, client_of(service) as client:
        about = [service.base_url, service.client_id, service.client_secret]
        command = [sys.executable, "-c", KILLED, *about, tmp_path, str(NOW), str(KILLS)]
        ended = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        for number in range(KILLS):
            archive = Archive(tmp_path / str(number))
            if (tmp_path / str(number) / "ledger" / "_delta_log").exists():
                assert archive.verify()["n"].tolist()[1:] == [0, 0, 0, 0]
            done = archive.sync(client, where, progress=False)
            assert sum(done["changed"] < done["rows"]) <= 1  # what is fetched once more
            same(archive.read(), expected)
            assert archive.verify()["n"].tolist() == [len(expected), 0, 0, 0, 0]
            assert archive.coverage()["status"].tolist() == ["complete"]
    assert ended.count("-9") >= KILLS // 2


# -- reading ---------------------------------------------------------------------------------------


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
    archive = Archive(tmp_path)
    synced(archive, items)
    before = archive.read()
    many = len(list(tmp_path.rglob("*.parquet")))
    archive.compact()
    assert archive.vacuum() == 0
    assert archive.vacuum(keep="0s") > 0
    assert len(list(tmp_path.rglob("*.parquet"))) < many
    same(archive.read(), before)
    assert archive.verify()["n"].tolist()[1:] == [0, 0, 0, 0]


def test_verify_finds_what_is_wrong(tmp_path, items):
    """Rows stored twice, rows that are gone and files that are gone are all told."""
    from deltalake import write_deltalake

    archive = Archive(tmp_path)
    synced(archive, items)
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
    archive = Archive(tmp_path)
    synced(archive, items)
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


# -- what is refused -------------------------------------------------------------------------------


def test_a_folder_with_something_else_is_refused(tmp_path):
    """An archive is never put among other files, nor in the place of one."""
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ak.ArchiveError, match=r"thesis\.txt"):
        Archive(tmp_path)
    with pytest.raises(ak.ArchiveError, match="is a file"):
        Archive(tmp_path / "thesis.txt")


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


# -- the ledger ------------------------------------------------------------------------------------

HOURS = st.integers(0, 9)
ENTRIES = st.lists(
    st.tuples(
        HOURS, HOURS, st.booleans(), st.sampled_from([ledger.SLICE, ledger.UPDATE, ledger.OLDER])
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(ENTRIES, HOURS, HOURS)
def test_coverage_says_of_each_hour_what_the_entries_say(found, since, until):
    """Looked at hour by hour, the joined lines say what the entries say; they do not overlap."""
    hour = [NOW + pd.Timedelta(n, "h") for n in range(10)]
    found = [(min(a, b), max(a, b), ended, kind) for a, b, ended, kind in found]
    entries = pd.DataFrame(
        [
            ("u", "t", "f", kind, hour[a], hour[b], ended, NOW, NOW, 1, 1)
            for a, b, ended, kind in found
        ],
        columns=ledger.FIELDS.names,
    )
    first, last = min(a for a, *_ in found), max(b for _, b, *_ in found)
    where = ak.Filter(since=hour[since], until=hour[until])
    for lines, span in (
        (ledger.coverage(entries), (first, last)),
        (ledger.coverage(entries, where), (since, until)),
    ):
        for n in range(9):
            over = [ended and kind != ledger.OLDER for a, b, ended, kind in found if a <= n < b]
            status = "complete" if any(over) else "partial" if over else "unknown"
            here = lines[(lines["since"] <= hour[n]) & (hour[n] < lines["until"])]
            assert here["status"].tolist() == ([status] if span[0] <= n < span[1] else [])


def test_slices_grow_and_shrink_with_what_they_bring():
    """Slices that bring little are followed by longer ones, large ones by shorter ones."""
    chance, end, last = random.Random(3), NOW, None
    while end > NOW - ledger.RETENTION:
        since, kind = ledger.next_slice(end, ledger.BEGINNING, NOW, last)
        assert kind == ledger.SLICE
        assert NOW - ledger.RETENTION <= since < end
        if last and since > NOW - ledger.RETENTION:
            factor = 2 if last[1] < 10_000 else 0.5 if last[1] > 100_000 else 1
            assert abs((end - since) - last[0] * factor) < pd.Timedelta(10, "us")
        last, end = (end - since, chance.choice([0, 50_000, 10**6])), since
        last = last if last[0] > pd.Timedelta(1, "h") else (last[0], 0)
    assert ledger.next_slice(end, ledger.BEGINNING, NOW, last) == (ledger.BEGINNING, ledger.OLDER)
