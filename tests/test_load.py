"""Any source in, the same frame out; and one clear line where there is none."""

import gzip
import json
import sys

import pandas as pd
import pyarrow as pa
import pytest

import activitykit as ak
from activitykit.demo import simulate
from activitykit.schema import ATTRS

# the package's name `load` is the function
front_door = sys.modules["activitykit.load"]
ITEMS = list(simulate(400, seed=5))
EXPECTED = ak.flatten(ITEMS)
PAGE = json.dumps({"items": ITEMS, "size": len(ITEMS), "paging": {"cursors": {}}})
LINES = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in ITEMS)
PAGES = "".join(json.dumps({"items": ITEMS[i : i + 150]}) + "\n" for i in range(0, 400, 150))


class Service:
    """Hands out pages as a client does, and breaks off where it is told to."""

    base_url = "https://example.test"

    def __init__(self, breaks_after=None):
        self.breaks_after = breaks_after

    def pages(self, _where, *, workers, progress):
        """Yield pages of 100."""
        assert workers == 2
        assert progress is False
        for i in range(0, 400, 100):
            if i == self.breaks_after:
                raise ak.IncompleteError("page 3 never came", attempts=5)
            yield json.dumps({"items": ITEMS[i : i + 100]}).encode()


TEXTS = [PAGE, json.dumps(ITEMS, indent=1), LINES, PAGES, LINES.replace("\n", "\r\n\r\n")]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["a.json", "a.ndjson.gz", "a.jsonl.zst"])
def test_files_give_the_same_frame(tmp_path, monkeypatch, text, name):
    """Pages, lists and lines, plain or compressed, whole or in small blocks."""
    monkeypatch.setattr(front_door, "_BLOCK", 20_000)
    path = tmp_path / name
    data = text.encode()
    with pa.output_stream(path, compression="detect") as file:
        file.write(data)
    pd.testing.assert_frame_equal(ak.load(path, progress=False), EXPECTED)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_of_windows_powershell_are_read(tmp_path, encoding):
    """Byte order marks and UTF-16 are understood."""
    path = tmp_path / "a.json"
    path.write_text('[{"id": 1, "type": "Prüfung"}]', encoding=encoding)
    assert ak.load(str(path))["type"].tolist() == ["Prüfung"]


@pytest.mark.parametrize("name", ["A.JSON.GZ", "A.Json.Zst", "A.NDJSON", "A.PARQUET"])
def test_endings_count_in_any_case(tmp_path, name):
    """Windows and its programs write them as they like."""
    path = tmp_path / name
    if name == "A.PARQUET":
        ak.write_snapshot(EXPECTED, path)
    else:
        with pa.output_stream(tmp_path / name.lower(), compression="detect") as file:
            file.write(LINES.encode())
        (tmp_path / name.lower()).replace(path)
    assert ak.load(path, progress=False)["id"].tolist() == EXPECTED["id"].tolist()


def test_an_open_file_is_refused_by_name(tmp_path):
    """Its lines would be taken for activities; the message says what to give."""
    path = tmp_path / "a.ndjson"
    path.write_text(LINES, encoding="utf-8")
    with path.open("rb") as file, pytest.raises(ak.ConfigError, match="give the path"):
        ak.load(file)


@pytest.mark.parametrize("source", [EXPECTED, EXPECTED["id"].dtype, 5, None, b"[]"])
def test_what_is_no_source_is_refused(source):
    """One line says what it was, and what to give."""
    with pytest.raises(ak.ConfigError, match="takes a client, the path") as caught:
        ak.load(source)
    assert type(source).__name__ in str(caught.value)


@pytest.mark.parametrize("compress", [gzip.compress, lambda data: data])
@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json.zst"])
def test_the_first_bytes_tell_what_is_compressed(tmp_path, name, compress):
    """Downloads and unpackers leave names behind that say something else."""
    path = tmp_path / name
    path.write_bytes(compress(b'[{"id": 1}]'))
    assert ak.load(path)["id"].tolist() == [1]


def test_joined_gzip_files_are_read_to_the_end(tmp_path):
    """Appending to a compressed export is common; all members count."""
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"id": 1}\n') + gzip.compress(b'{"id": 2}\n'))
    assert ak.load(path)["id"].tolist() == [1, 2]


@pytest.mark.parametrize("source", ["items", "file", "snapshot", "service"])
def test_the_same_filter_gives_the_same_rows_everywhere(tmp_path, source):
    """The exact cut is made after loading, whatever the source could do; no cell differs."""
    where = ak.Filter(result=["error", "warning"], since="2026-01-01")
    path = tmp_path / "a.ndjson"
    path.write_text(LINES, encoding="utf-8")
    sources = {"items": iter(ITEMS), "file": path, "service": Service(),
               "snapshot": ak.write_snapshot(EXPECTED, tmp_path / "a.parquet")}  # fmt: skip
    df = ak.load(sources[source], where, workers=2, progress=False)
    expected = EXPECTED[[where.matches(item) for item in ITEMS]]
    assert 0 < len(expected) < len(EXPECTED)
    pd.testing.assert_frame_equal(df, expected.reset_index(drop=True))


@pytest.mark.parametrize("source", ["items", "file", "snapshot", "selected", "service"])
def test_selecting_by_the_end_is_made_up_for_everywhere(tmp_path, source):
    """Short runs that ended earlier are missing, and quantiles know it, whatever the source."""
    since = EXPECTED["completedAt"].quantile(0.6)
    earlier = ak.Filter(on="completedAt", since=since - pd.Timedelta(1, "D"))
    where = ak.Filter(on="completedAt", since=since)
    path = tmp_path / "a.ndjson"
    path.write_text(LINES, encoding="utf-8")
    selected = ak.write_snapshot(earlier.select(EXPECTED), tmp_path / "b.parquet")
    sources = {"items": ITEMS, "file": path, "service": Service(), "selected": selected,
               "snapshot": ak.write_snapshot(EXPECTED, tmp_path / "a.parquet")}  # fmt: skip
    df = ak.load(sources[source], where, workers=2, progress=False)
    moment = EXPECTED["updatedAt"].max()
    expected = ak.duration_stats(df, as_of=moment, selected_since=since)
    pd.testing.assert_frame_equal(ak.duration_stats(df, as_of=moment), expected)
    pd.testing.assert_frame_equal(ak.duration_stats(where.select(EXPECTED), as_of=moment), expected)


def test_the_notes_say_where_it_came_from(tmp_path):
    """Source and filter are noted; of a path the name only."""
    path = tmp_path / "a.json"
    path.write_text(PAGE, encoding="utf-8")
    notes = ak.load(path, ak.Filter(state="completed")).attrs[ATTRS]
    assert (notes["source"], notes["filter"]) == ("a.json", "ak.Filter(state='completed')")
    notes = ak.load(Service(), workers=2, progress=False).attrs[ATTRS]
    assert (notes["source"], notes["pages"], notes["complete"]) == (Service.base_url, 4, True)


def test_nothing_is_lost_between_the_service_and_the_frame():
    """Odd keys, mixed kinds, huge numbers and odd times survive HTTP, pages and flattening."""
    odd = [2**63, 0.1, "é\U0001f600", [None, {}], {}, {"a.b": {"": -0.0, "\\": [1]}}, True, "2025"]
    items = [
        {"id": 2**60 + i, "createdAt": "2026-03-01T00:00:00.123456789Z", "startedAt": "soon",
         "type": f"t{i % 3}", "x.y": value, "context": {"operation": value, f"k{i}": {"z": value}}}
        for i, value in enumerate(odd)
    ]  # fmt: skip
    with ak.demo.serve(items) as service:
        client = ak.Client(
            service.base_url, client_id=service.client_id, client_secret=service.client_secret
        )
        df = ak.load(client, workers=2, progress=False)
        fetched = list(client.activities())
    back = {item["id"]: item for item in ak.unflatten(df)}
    assert back == {item["id"]: item for item in fetched}
    assert [back[item["id"]] | item for item in items] == [back[item["id"]] for item in items]


def test_a_broken_walk_is_never_returned_as_if_it_were_whole():
    """The error carries what was fetched so far."""
    with pytest.raises(ak.IncompleteError, match="page 3") as caught:
        ak.load(Service(breaks_after=200), workers=2, progress=False)
    assert len(caught.value.partial) == 200
    assert caught.value.partial.attrs[ATTRS]["complete"] is False


def test_a_part_is_returned_on_request():
    """With `partial` there is a warning and a note instead of an error."""
    with pytest.warns(UserWarning, match="incomplete.*page 3") as caught:
        df = ak.load(Service(breaks_after=200), workers=2, progress=False, partial=True)
    assert len(df) == 200
    assert df.attrs[ATTRS]["complete"] is False
    assert caught[0].filename == __file__


def test_one_activity_may_stand_alone():
    """A single dict is an activity or a page."""
    assert ak.load({"id": 1})["id"].tolist() == [1]
    assert ak.load({"items": [{"id": 2}]})["id"].tolist() == [2]


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("no.json", None, ak.ConfigError, "there is no file"),
        ("", None, ak.ArchiveError, "no archive"),
        ("a.json", b"", ak.FlattenError, "is empty"),
        ("a.json", b" \n", ak.FlattenError, "is empty"),
        ("a.json", b"hello", ak.FlattenError, "not JSON: .* line 1 column 1"),
        ("a.json", b'{"items": [{"id": 1},\n{"id": }]}', ak.FlattenError, "line 2 column 8"),
        ("a.ndjson", b'{"id": 1}\n{"id": 2}\n{"id": 3', ak.FlattenError, "line 3"),
        ("a.json", b'{"domain": "Access", "code": "Denied"}', ak.FlattenError, "Denied"),
        ("a.json.gz", gzip.compress(PAGE.encode())[:-900], ak.FlattenError, "cannot be read"),
        ("a.json.gz", b"no gzip at all, just text", ak.FlattenError, "not JSON"),
        ("a.json", gzip.compress(PAGE.encode())[:-900], ak.FlattenError, "cannot be read"),
        ("a.json", b'{"items": null}', ak.FlattenError, "no list"),
        ("a.json", b'{"error": {"code": "Gone"}}', ak.FlattenError, "Gone"),
        ("a.parquet", b"no parquet", ak.SnapshotError, "cannot be read"),
    ],
)
def test_bad_files_give_one_clear_line(tmp_path, name, data, error, message):
    """The message names the file and what is wrong with it."""
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(error, match=message) as caught:
        ak.load(path, progress=False)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lines_are_counted_over_the_whole_file(tmp_path, monkeypatch):
    """A broken line far down is named by its number."""
    monkeypatch.setattr(front_door, "_BLOCK", 100)
    path = tmp_path / "a.ndjson"
    path.write_text('{"id": 1, "type": "Download"}\n' * 50 + "{broken\n", encoding="utf-8")
    with pytest.raises(ak.FlattenError, match="line 51"):
        ak.load(path)
