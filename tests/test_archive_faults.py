"""The archive under fire: kills, full disks, failing services, processes side by side."""

import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import tenacity

import activitykit as ak
from activitykit.archive import Archive, sync, tables
from activitykit.client import transport
from activitykit.demo.server import Faults, Variants, serve

NOW = pd.Timestamp("2026-11-01T06:00:00Z")
BEFORE = NOW - pd.Timedelta(2, "h")
WHERE = ak.Filter(since=NOW - pd.Timedelta(2, "D"))
SOUND = [0, 0, 0, 0]
KILLS, FEW = 57, 40
posix = pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signals")


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    """Stop the clock at the end of the simulated time, and retry requests at once."""
    monkeypatch.setattr(transport, "_BACKOFF", tenacity.wait_none())
    monkeypatch.setattr(sync, "clock", lambda: NOW)


@pytest.fixture(scope="module")
def items():
    """Activities of two days."""
    return list(filter(WHERE.matches, ak.demo.simulate(120, seed=4, days=2, until=NOW)))


def client_of(service, **options):
    """Give a client of the emulated service."""
    return ak.Client(
        service.base_url,
        client_id=service.client_id,
        client_secret=service.client_secret,
        **options,
    )


def synced(path, items, port=0):
    """Sync from a service with these activities; give its port, to be the same service again."""
    with serve(items, port=port) as service, client_of(service) as client:
        Archive(path).sync(client, WHERE, progress=False)
        return int(service.base_url.rpartition(":")[2])


def is_whole(archive, expected):
    """Hold an archive to the truth."""
    df = archive.read()
    # to say where they differ takes longer than to see that they do not
    if not (df.equals(expected) and df.dtypes.equals(expected.dtypes)):
        pd.testing.assert_frame_equal(df, expected)
    assert archive.verify()["n"].tolist() == [len(expected), *SOUND]
    assert archive.coverage()["status"].tolist() == ["complete"]


# -- kill -9 ---------------------------------------------------------------------------------------

PRELUDE = """
import os, random, signal, sys, threading
import deltalake, pyarrow.dataset
import pandas as pd
import activitykit as ak
from activitykit.archive import Archive, rows, sync, tables

url, client_id, secret, root, now, *numbers = sys.argv[1:]
sync.clock = lambda: pd.Timestamp(now)
where = ak.Filter(since=pd.Timestamp(now) - pd.Timedelta(2, "D"))

def work(path):
    with ak.Client(url, client_id=client_id, client_secret=secret) as client:
        Archive(path).sync(client, where, workers=1, progress=False)
"""

KILLED = (
    PRELUDE
    + """
# these modules are around the commits; elsewhere a sync makes most of its calls
CLOSE = "activitykit.archive.tables", "deltalake.table", "deltalake.writer.w"
phase = "start"

def marked(owner, name, told):
    plain = getattr(owner, name)
    def call(*args, **options):
        global phase
        outer, phase = phase, told
        try:
            return plain(*args, **options)
        finally:
            phase = outer
    setattr(owner, name, call)

marked(tables.Tables, "create", "creating")
marked(sync, "_carry_out", "fetching")
marked(rows, "to_rows", "making rows")
marked(tables, "_commit", "committing rows")
marked(tables.Tables, "note", "noting")
marked(Archive, "compact", "compacting")

def run(path, moment, delay):
    calls = 0
    log = os.open(path + ".phase", os.O_WRONLY | os.O_CREAT)
    def kill():
        os.pwrite(log, phase.encode(), 0)
        os.kill(os.getpid(), signal.SIGKILL)
    def count(frame, *_):
        nonlocal calls
        calls += frame.f_globals.get("__name__", "").startswith(CLOSE)
        if calls == moment:
            # a little later, so that it also falls into the library's own work
            threading.Timer(delay, kill).start() if delay else kill()
    sys.setprofile(count)
    if path.endswith("c"):
        Archive(path).compact()
    else:
        work(path)
    os._exit(0)

for number in numbers:
    chance = random.Random(number)
    moment = chance.randrange(1, 70 if number.endswith("c") else 600)
    delay = chance.choice((0, chance.random() / 50))
    if not (child := os.fork()):
        run(f"{root}/{number}", moment, delay)
    os.waitpid(child, 0)
    print(number, flush=True)
"""
)


def changed(items):
    """Change some activities, end one without a word in updatedAt, and add one with an old date."""
    chance = random.Random(2)
    news = [dict(item) for item in items]
    for item in chance.sample(news, 9):
        item |= {"policy": {"id": "p", "name": "renamed"}, "updatedAt": "2026-11-01T05:59:59.5Z"}
    open_ = next(item for item in news if item["state"] == "started")
    open_ |= {"state": "completed", "result": {"code": "ok"}}
    created = f"{NOW - pd.Timedelta(40, 'h'):%Y-%m-%dT%H:%M:%SZ}"
    late = {"id": 2**60, "createdAt": created, "updatedAt": "2026-11-01T05:30:00Z"}
    return [*news, late]


def found(path):
    """Say what a killed sync has left."""
    if not (path / tables.LEDGER / "_delta_log").exists():
        return "no archive yet"
    store = tables.Tables(root=str(path), options={})
    rows, entries = store.open(tables.ACTIVITIES), store.open(tables.LEDGER)
    assert Archive(path).verify()["n"].tolist()[1:] == SOUND
    if rows.history(1)[0]["operation"] == "OPTIMIZE":
        return "compacted"
    last = [table.history(1)[0]["timestamp"] for table in (rows, entries)]
    if rows.version() and last[0] > last[1]:
        return "rows without their entry"
    return "rows with their entry" if entries.version() else "an empty archive"


@posix
def test_a_kill_at_any_moment_loses_nothing(tmp_path, items, monkeypatch):
    """After kill -9 the ledger claims only what is there, and the next sync completes it."""
    letters = "auc"  # a first sync, an update, and joining files
    names = [f"{n}{letters[n % 3]}" for n in range(KILLS)]
    items = items[-FEW:]
    news = changed(items)
    expected = ak.flatten(news)
    monkeypatch.setattr(sync, "clock", lambda: BEFORE)
    old = [item for item in items if item["createdAt"] < f"{BEFORE:%Y-%m-%dT%H:%M:%SZ}"]
    port = synced(tmp_path / "base", old)
    monkeypatch.setattr(sync, "clock", lambda: NOW)
    for name in names:
        if not name.endswith("a"):
            shutil.copytree(tmp_path / "base", tmp_path / name)
    told = Counter()
    with serve(news, port=port) as service, client_of(service) as client:
        about = [service.base_url, service.client_id, service.client_secret, tmp_path, str(NOW)]
        command = [sys.executable, "-c", KILLED, *about, *names]
        # one process is killed while what another left is looked at
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for name in map(str.strip, process.stdout):
                phase = Path(f"{tmp_path / name}.phase").read_text("utf-8") or "after the end"
                told[phase, found(tmp_path / name)] += 1
                done = Archive(tmp_path / name).sync(client, WHERE, progress=False)
                # what is fetched once more
                assert name[-1] != "a" or sum(done["changed"] < done["rows"]) <= 1
                is_whole(Archive(tmp_path / name), expected)
                shutil.rmtree(tmp_path / name)
    assert process.returncode == 0
    assert told.total() == KILLS
    # pytest -rP shows the table
    table = pd.Series(told).rename_axis(["killed while", "found"]).sort_index().to_string()
    sys.stdout.write(f"{table}\n")
    killed = told.total() - sum(n for (phase, _), n in told.items() if phase == "after the end")
    assert killed >= 50
    assert len({phase for phase, _ in told}) >= 6


@posix
def test_two_processes_store_nothing_twice(tmp_path, items):
    """Two syncs in processes of their own either both succeed or one says to run it again."""
    expected = ak.flatten(items)
    with serve(items) as service, client_of(service) as client:
        about = [service.base_url, service.client_id, service.client_secret, tmp_path, str(NOW)]
        command = [sys.executable, "-c", f"{PRELUDE}\nwork(root + '/a')", *about]
        pair = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate()[1] for process in pair]
        assert all(not text or "run it again" in text for text in said), said
        assert any(not text for text in said)
        Archive(tmp_path / "a").sync(client, WHERE, progress=False)
    is_whole(Archive(tmp_path / "a"), expected)


# -- disks -----------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_loses_nothing(small_disk, items):
    """However little space is left, a sync says so; with more of it the next completes it."""
    expected = ak.flatten(items)
    with serve(items) as service, client_of(service) as client:
        for kilobytes in (40, 80, 160):
            folder = small_disk(f"{kilobytes}k")
            archive = Archive(folder / "a")
            with pytest.raises(ak.ArchiveError, match="space"):
                archive.sync(client, WHERE, progress=False)
            small_disk("8m", folder)
            archive.sync(client, WHERE, progress=False)
            is_whole(archive, expected)


def test_a_read_only_folder_is_told_and_stays_readable(small_disk, items):
    """A sync into a read-only archive fails, says where, and changes nothing."""
    folder = small_disk("8m")
    port = synced(folder / "a", items[:-5])
    before = Archive(folder / "a").read()
    small_disk("8m,ro", folder)
    with pytest.raises(ak.ArchiveError, match=r"/a: .*[Rr]ead-only"):
        synced(folder / "a", items, port)
    with pytest.raises(ak.ArchiveError, match=r"[Rr]ead-only"):
        synced(folder / "b", items, port)
    pd.testing.assert_frame_equal(Archive(folder / "a").read(), before)
    small_disk("8m,rw", folder)
    synced(folder / "a", items, port)
    is_whole(Archive(folder / "a"), ak.flatten(items))


# -- the service -----------------------------------------------------------------------------------


def test_a_service_that_fails_at_any_page_loses_nothing(tmp_path, items):
    """Wherever a walk breaks off, the rows so far stay, as partial, and the next sync goes on."""
    expected, small = ak.flatten(items), Variants(max_limit=30)
    for page in range(5):
        archive = Archive(tmp_path / str(page))
        broken = Faults(script=[*[""] * page, "no-items"])
        with serve(items, variants=small, faults=broken) as service, client_of(service) as client:
            with pytest.raises(ak.ApiError):
                archive.sync(client, WHERE, workers=1, progress=False)
            assert archive.verify()["n"].tolist()[1:] == SOUND
            assert not archive.read(WHERE).attrs["activitykit"]["complete"]
            archive.sync(client, WHERE, progress=False)
        is_whole(archive, expected)
