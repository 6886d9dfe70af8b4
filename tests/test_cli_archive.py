"""The commands around the archive: what they print, and the codes that they leave with."""

import json
import sys

import pandas as pd
import pytest

import activitykit as ak
from activitykit import cli


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command of the archive in this process; give its exit code, output and errors."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["activitykit", "archive", *map(str, words)])
        return cli.run(), *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Sync 50 activities of the last days into a new archive."""
    folder = tmp_path_factory.mktemp("kept") / "archive"
    with ak.demo.serve(ak.demo.simulate(50, seed=2, days=3, until="0s")) as service:
        about = {"client_id": service.client_id, "client_secret": service.client_secret}
        with ak.Client(service.base_url, **about) as client:
            ak.Archive(folder).sync(client, progress=False)
    return folder


def test_history_lists_the_newest_states(command, path):
    """As many rows as asked, or all of them as JSON with the columns of the function."""
    code, out, err = command("history", path, "--rows", "2")
    known = ak.Archive(path).history()
    assert (code, err, f"2 of {len(known)} versions" in out) == (0, "", True)
    printed = json.loads(command("history", path, "--json")[1])
    assert [one["version"] for one in printed] == known["version"].tolist()
    assert list(printed[0]) == list(known)


def test_coverage_is_cut_to_the_interval(command, path):
    """The last day is complete, and begins where it was asked to."""
    [one] = json.loads(command("coverage", path, "--since", "1d", "--json")[1])
    assert one["status"] == "complete"


def test_verify_leaves_with_1_when_something_is_wrong(command, path, tmp_path):
    """A sound archive gives 0; rows that are gone give 1, and the table says how many."""
    assert command("verify", path)[0] == 0
    broken = ak.Archive(tmp_path / "broken")
    broken._tables.create()
    past = pd.Timestamp("2026-11-01", tz="UTC")
    broken._tables.note(
        dict.fromkeys(("base_url", "tenant", "filter", "kind"), "x")
        | dict.fromkeys(("since", "until", "watermark", "fetched_at"), past)
        | {"ended": True, "rows": 3, "changed": 3}
    )
    code, out, err = command("verify", tmp_path / "broken", "--json")
    assert (code, err) == (1, "")
    assert {one["check"]: one["n"] for one in json.loads(out)}["missing"] == 3


def test_care_prints_little(command, path):
    """Compacting is silent, vacuuming counts, and a span that is too short is wrong usage."""
    assert command("compact", path) == (0, "", "")
    assert command("vacuum", path) == (0, "0 files deleted\n", "")
    code, _, err = command("vacuum", path, "--keep", "1h")
    assert (code, "12 hours" in err) == (1, True)
    code, _, err = command("vacuum", path, "--keep", "soon")
    assert (code, "no span of time" in err) == (1, True)


def test_export_writes_what_matches(command, path, tmp_path):
    """The file holds the rows of the filter; a gap in its interval is one line on stderr."""
    out = tmp_path / "some.parquet"
    code, said, err = command("export", path, out, "--result", "ok", "--since", "2d")
    assert (code, said.startswith(str(out)), err) == (0, True, "")
    expected = ak.load(path, ak.Filter(result="ok", since="2d"))
    assert sorted(pd.read_parquet(out)["id"]) == expected["id"].tolist()
    code, _, err = command("export", path, out, "--since", "95d")
    assert (code, len(err.splitlines()), "not complete" in err) == (0, 1, True)


def test_an_archive_that_is_none_is_one_line(command, tmp_path):
    """Each command says that there is nothing yet, with exit code 1."""
    for words in (["verify"], ["compact"], ["coverage"], ["history"], ["vacuum"]):
        code, out, err = command(*words, tmp_path / "none")
        assert (code, out, err.count("\n"), "first sync" in err) == (1, "", 1, True)
