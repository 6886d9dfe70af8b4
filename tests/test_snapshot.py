"""One Parquet file: all or nothing, exact, and honest about where it came from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import activitykit as ak
from activitykit import snapshot
from activitykit.demo import simulate
from activitykit.schema import ATTRS, SCHEMA_VERSION

KILLS = 40
GOLDEN = Path(__file__).parent / "golden"
DF = ak.flatten([
    *simulate(300, seed=8),
    {"id": 1, "createdAt": "2025-01-01T00:00:00.123456789Z", "startedAt": "soon",
     "context": {"a.b": 1, "": 0.5, "\\": True, "x": [1], "mixed": "1"}, "a": {"b": 2}},
    {"id": 2, "context": {"mixed": 1}},
])  # fmt: skip


@pytest.fixture
def path(tmp_path):
    """Write the frame of this module."""
    return ak.write_snapshot(DF, tmp_path / "a.parquet")


def test_the_frame_comes_back_exactly(path):
    """Values, types, column order and notes survive; the raw activities too."""
    assert DF["taskIdString"].isna().any()
    df = ak.read_snapshot(path)
    pd.testing.assert_frame_equal(df, DF)
    assert df.attrs == DF.attrs
    assert ak.unflatten(df) == ak.unflatten(DF)
    assert df["createdAt"][0].nanosecond == 789


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=3),
            st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.booleans()),
            max_size=4,
        ),
        max_size=4,
    )
)
def test_any_frame_survives(tmp_path_factory, bodies):
    """Odd column names and values make no difference."""
    df = ak.flatten([body | {"id": i} for i, body in enumerate(bodies)])
    path = ak.write_snapshot(df, tmp_path_factory.mktemp("any") / "a.parquet")
    pd.testing.assert_frame_equal(ak.read_snapshot(path), df)


def test_equal_frames_give_equal_bytes(tmp_path, path):
    """How a frame was put together, its order, chunks and the order of its notes do not show."""
    parts = pd.concat([DF.iloc[100:].sample(frac=1, random_state=1), DF.iloc[:100]])
    parts.attrs = {ATTRS: dict(reversed(DF.attrs[ATTRS].items()))}
    again = ak.write_snapshot(parts, tmp_path / "b.parquet")
    assert again.read_bytes() == path.read_bytes()


def test_other_frames_give_another_hash(tmp_path, path):
    """The content hash changes with a single nanosecond."""
    other = DF.copy()
    other.loc[0, "createdAt"] += pd.Timedelta(1, "ns")
    again = ak.write_snapshot(other, tmp_path / "b.parquet")
    hashes = [provenance(one)["content_hash"] for one in (path, again)]
    assert hashes[0] != hashes[1]


def provenance(path):
    """Read what the file says about itself."""
    return json.loads(pq.read_metadata(path).metadata[b"activitykit"])


def test_the_metadata_tells_the_provenance(path):
    """Versions, row count and completeness can be read by any Parquet tool."""
    about = provenance(path)
    assert about["rows"] == len(DF)
    assert about["schema_version"] == SCHEMA_VERSION
    assert about["package_version"] == ak.__version__
    assert about["complete"] is True


@pytest.mark.parametrize(
    "where",
    [
        ak.Filter(result="error"),
        ak.Filter(since="2026-01-05", until="2026-01-08T12:00", tenant="/1/"),
        ak.Filter(since="2026-01-05", on="completedAt", text="backup"),
        ak.Filter(until="2025-01-01T00:00:00.123456790Z"),
    ],
)
def test_rows_are_those_that_the_filter_selects(path, where):
    """Reading with a filter equals filtering what was read, with and without few columns."""
    expected = where.select(DF).reset_index(drop=True)
    pd.testing.assert_frame_equal(ak.read_snapshot(path, where=where), expected)
    few = ["type", "id", "context.a\\.b", "context.", "context.\\\\"]
    part = ak.read_snapshot(path, where=where, columns=few)
    pd.testing.assert_frame_equal(part, expected[few])
    assert part.attrs == expected.attrs


def test_pandas_polars_and_duckdb_can_read_the_file(path):
    """A snapshot is plain Parquet; texts that repeat a number are not in it."""
    duckdb = pytest.importorskip("duckdb")
    polars = pytest.importorskip("polars")
    repeated = ["taskIdString", "parentActivityIdString"]
    pd.testing.assert_frame_equal(pd.read_parquet(path), DF.drop(columns=repeated))
    ids = polars.read_parquet(path)["uuid"].to_list()
    assert ids == DF["uuid"].astype(object).where(DF["uuid"].notna(), None).tolist()
    told = duckdb.read_parquet(str(path)).aggregate("sum(id), count(distinct createdAt)")
    assert told.fetchall() == [(sum(DF["id"].tolist()), DF["createdAt"].nunique())]


def test_numbers_as_text_come_back_as_they_were(tmp_path):
    """A text that differs from its number anywhere is kept as it is, also when read alone."""
    odd = pd.concat([DF.tail(2), DF.tail(1)], ignore_index=True)
    odd.loc[2, "idString"] = "007"
    for number, df in enumerate((DF, odd)):
        path = ak.write_snapshot(df, tmp_path / f"{number}.parquet")
        assert ak.read_snapshot(path, columns=["idString"]).equals(df[["idString"]])


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    """A crash at any moment before the end leaves the old file, and no rubbish."""
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    for where, name in ((snapshot, "_write"), (os, "fsync"), (os, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fail)
            with pytest.raises(ak.SnapshotError, match="No space left"):
                ak.write_snapshot(DF.head(3), path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]


KILLED = """
import os, random, signal, sys, threading
import pyarrow.parquet
import activitykit as ak

path, source, kills = sys.argv[1], sys.argv[2], int(sys.argv[3])
df = ak.read_snapshot(source)
counted = 0

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def write(moment, delay):
    def count(*_):
        global counted
        counted += 1
        if counted == moment:
            # a little later, so that it also falls into the library's own work
            threading.Timer(delay, kill).start() if delay else kill()
    sys.setprofile(count)
    ak.write_snapshot(df, path)
    sys.setprofile(None)

write(0, 0)  # imports
counted = 0
write(0, 0)
calls = counted
print("ready", flush=True)
for number in range(kills):
    sys.stdin.readline()
    chance = random.Random(number)
    # the file takes its place in the last calls
    moment = calls - chance.randrange(60) if number % 2 else chance.randrange(1, calls)
    delay = chance.choice((0, chance.random() / 50))
    if not (child := os.fork()):
        counted = 0
        write(moment, delay)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signals")
def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new(tmp_path, path):
    """After kill -9 the file is whole, nothing beside it looks like one, and it can be replaced."""
    old = ak.write_snapshot(DF.head(100), tmp_path / "old.parquet").read_bytes()
    new = path.read_bytes()
    target = tmp_path / "kept" / "b.parquet"
    target.parent.mkdir()
    command = [sys.executable, "-c", KILLED, target, path, str(KILLS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    found = []
    with subprocess.Popen(command, text=True, bufsize=1, **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        for _ in range(KILLS):
            target.write_bytes(old)
            process.stdin.write("\n")
            code = int(process.stdout.readline())
            assert target.read_bytes() in (old, new)
            found.append((code, target.read_bytes() == new))
    beside = [each for each in target.parent.iterdir() if each != target]
    assert all(each.name.startswith(".activitykit-") for each in beside)
    assert {each.suffix for each in beside} == {".part"}
    assert {(-9, False), (-9, True)} <= set(found)
    assert sum(code == -9 for code, _ in found) >= KILLS * 3 // 4


def test_a_full_disk_and_a_locked_one_leave_the_old_file(small_disk):
    """The error says why, nothing is left beside the file, and with space it can be replaced."""
    folder = small_disk("8m")
    path = ak.write_snapshot(DF.head(9), folder / "a.parquet")
    before = path.read_bytes()
    space = path.stat().st_size // 1024 + 40
    for options, why in ((f"{space}k", "No space left"), ("8m,ro", "Read-only file system")):
        small_disk(options, folder)
        with pytest.raises(ak.SnapshotError, match=rf"a\.parquet cannot be written: .*{why}"):
            ak.write_snapshot(DF, path)
        assert path.read_bytes() == before
        assert list(folder.iterdir()) == [path]
    small_disk("8m,rw", folder)
    pd.testing.assert_frame_equal(ak.read_snapshot(ak.write_snapshot(DF, path)), DF)


def test_a_missing_folder_is_named(tmp_path):
    """Nothing is created on the way."""
    with pytest.raises(ak.SnapshotError, match="nowhere"):
        ak.write_snapshot(DF, tmp_path / "nowhere" / "a.parquet")
    assert not (tmp_path / "nowhere").exists()


def test_columns_that_no_file_can_hold_are_refused(tmp_path):
    """Python objects are an error, and leave no file."""
    with pytest.raises(ak.SnapshotError, match="thing"):
        ak.write_snapshot(DF.assign(thing=[object()] * len(DF)), tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_a_newer_schema_is_refused_by_name(tmp_path, monkeypatch):
    """Files of a later release say which, and how to read them."""
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        path = ak.write_snapshot(DF, tmp_path / "a.parquet")
    with pytest.raises(ak.SnapshotError, match=f"version {SCHEMA_VERSION + 1} .* upgrade"):
        ak.read_snapshot(path)


def test_other_parquet_files_are_no_snapshots(tmp_path):
    """A foreign file is named as such, with the way to read it."""
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ak.SnapshotError, match=r"no snapshot .* pandas.read_parquet"):
        ak.read_snapshot(tmp_path / "a.parquet")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99, 0.9999])
def test_damage_is_found(path, share):
    """One flipped bit anywhere, in data or footer, is no quiet error."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 4
    path.write_bytes(data)
    try:
        df = ak.read_snapshot(path)
    except ak.SnapshotError:
        return
    pd.testing.assert_frame_equal(df, DF)


@pytest.mark.parametrize("size", [0, 3, 1000, -1])
def test_a_cut_file_is_an_error(path, size):
    """A download that broke off cannot be read by mistake."""
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ak.SnapshotError, match="cannot be read"):
        ak.read_snapshot(path)


def test_missing_files_and_columns_are_named(tmp_path, path):
    """The message says which."""
    with pytest.raises(ak.SnapshotError, match=r"there is no snapshot .*b\.parquet"):
        ak.read_snapshot(tmp_path / "b.parquet")
    with pytest.raises(ak.SchemaError, match="nonsense"):
        ak.read_snapshot(path, columns=["id", "nonsense"])


def test_a_snapshot_is_smaller_than_plain_parquet(tmp_path, path):
    """It costs less than what pandas writes by itself."""
    DF.to_parquet(tmp_path / "plain.parquet")
    assert path.stat().st_size < (tmp_path / "plain.parquet").stat().st_size


def without_nulls(value):
    """Leave out nulls of objects, which are the same as nothing."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return value


def test_files_of_the_first_release_stay_readable():
    """A snapshot of release 0.1.0 gives the activities that were kept beside it as JSON."""
    path = GOLDEN / "snapshot-1.parquet"
    lines = path.with_suffix(".ndjson").read_text("utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    df = ak.read_snapshot(path)
    assert ak.unflatten(df) == [without_nulls(item) for item in items]
    assert provenance(path)["package_version"] == "0.1.0"
    where = ak.Filter(result="error")
    assert ak.read_snapshot(path, columns=["idString"], where=where)["idString"].tolist() == [
        item["idString"] for item in items if item.get("result", {}).get("code") == "error"
    ]
    # the number of nanoseconds is also what another reader finds in the file
    polars = pytest.importorskip("polars")
    nanos = polars.read_parquet(path)["createdAt"].cast(polars.Int64).to_list()
    assert nanos == df["createdAt"].astype("int64").tolist()
    assert nanos[0] % 1_000_000_000 == 123_456_789


@pytest.mark.parametrize("note", ["", "[]", "null", "7", "{}", '{"schema_version": 1}'])
def test_a_footer_that_tells_too_little_is_damage(tmp_path, note):
    """Whatever a foreign footer holds under our name, the error is ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": [1]}).replace_schema_metadata({"activitykit": note})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ak.SnapshotError, match="damaged"):
        ak.read_snapshot(tmp_path / "a.parquet")


def test_a_snapshot_says_by_its_name_what_it_is(tmp_path):
    """A Parquet file under the name of another kind would mislead whatever opens it."""
    with pytest.raises(ak.ConfigError, match=r"end in \.parquet"):
        ak.write_snapshot(ak.flatten([{"id": 1}]), tmp_path / "a.csv")
