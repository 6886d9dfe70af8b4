"""The command line: parses, calls, prints, and fails in one line."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import tenacity
from rich.console import Console

import activitykit as ak
from activitykit import cli
from activitykit.cli import stats

ACCOUNT = ("ACRONIS_BASE_URL", "ACRONIS_CLIENT_ID", "ACRONIS_CLIENT_SECRET", "ACRONIS_TENANT")


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command line in this process; give its exit code, output and errors."""
    for name in ACCOUNT:
        monkeypatch.delenv(name, raising=False)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["activitykit", *map(str, words)])
        code = cli.run()
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Write 300 simulated activities as a user's export."""
    path = tmp_path_factory.mktemp("export") / "export.ndjson"
    lines = (json.dumps(item) for item in ak.demo.simulate(300, seed=1))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_load_prints_what_python_loads(command, export):
    """The activities that come out as JSON are those that the same filter loads in Python."""
    code, out, _ = command("load", export, "--result", "error", "--json")
    printed = [json.loads(line) for line in out.splitlines()]
    assert (code, printed) == (0, ak.unflatten(ak.load(export, ak.Filter(result="error"))))


def test_load_shows_names_as_they_are(command, tmp_path):
    """The table says how many there are, and what looks like markup in a name stays text."""
    item = {"id": 1, "tenant": {"name": "[bold]Ops[/bold]"}, "resource": {"name": "[red]"}}
    (tmp_path / "one.json").write_text(json.dumps(item), encoding="utf-8")
    code, out, _ = command("load", tmp_path / "one.json")
    assert (code, "1 of 1 activity" in out) == (0, True)
    assert "[bold]Ops[/bold]" in out
    assert "[red]" in out


def test_snapshot_reads_back(command, export, tmp_path):
    """The file that is written gives the frame that was loaded."""
    code, out, _ = command("snapshot", tmp_path / "kept.parquet", export)
    assert (code, "300 activities" in out) == (0, True)
    pd.testing.assert_frame_equal(ak.load(tmp_path / "kept.parquet"), ak.load(export))


@pytest.mark.parametrize("statistic", list(stats.SHOWN))
def test_every_statistic_prints(command, export, statistic):
    """Each statistic is reachable, as a table and as JSON with the numbers of the function."""
    code, out, _ = command("stats", statistic, export, "--json")
    result = getattr(ak, statistic)(ak.load(export))
    counts = [name for name in result if name.startswith(("n", "streak", "max"))]
    counts = [name for name in counts if pd.api.types.is_integer_dtype(result[name])]
    printed = pd.DataFrame(json.loads(out))[counts].to_numpy().tolist()
    assert (code, printed) == (0, result[counts].to_numpy().tolist())
    assert command("stats", statistic, export)[0] == 0


@pytest.mark.parametrize("statistic", ["duration_stats", "failure_stats", "overdue", "trend"])
def test_tables_fit_80_columns(command, export, statistic, monkeypatch):
    """In the narrowest usual terminal no line is cut and no number loses its unit."""
    monkeypatch.setattr("activitykit.cli.output.Console", lambda **_: Console(width=80))
    by = ["--by", "tenant.name"] if statistic in {"duration_stats", "failure_stats"} else []
    out = command("stats", statistic, export, *by)[1].splitlines()
    heading = " ".join(out[2].split())
    shown = " ".join([*by[1:], *stats.SHOWN[statistic]])
    assert heading.replace(" (UTC)", "") == shown
    assert max(map(len, out)) <= 80


def test_an_empty_selection_is_said(command, export, tmp_path):
    """Nothing found is said in words, and gets its report: silence may be what is wrong."""
    _, out, err = command("load", export, "--type", "nosuch", "--json")
    assert (out, err) == ("", "No activity matches ak.Filter(type='nosuch')\n")
    assert command("report", export, "--type", "nosuch", "-o", tmp_path / "r.html")[0] == 0
    assert (tmp_path / "r.html").stat().st_size > 0


def test_groups_are_passed_on(command, export):
    """--by may be repeated and groups by both columns."""
    _, out, _ = command(
        "stats", "failure_stats", export, "--by", "tenant.name", "--by", "type", "--json"
    )
    assert list(json.loads(out)[0])[:2] == ["tenant.name", "type"]


def test_report_is_what_python_writes(command, export, tmp_path):
    """The command writes the same bytes as the function."""
    assert command("report", export, "-o", tmp_path / "a.html", "--period", "7d")[0] == 0
    ak.write_report(ak.load(export), tmp_path / "b.html", period="7d")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_service_is_asked_with_the_account_of_the_environment(command, monkeypatch):
    """Without a source, the account in the environment is used, and its secret never shown."""
    items = list(ak.demo.simulate(50, seed=2))
    with ak.demo.serve(items) as service:
        monkeypatch.setenv("ACRONIS_BASE_URL", service.base_url)
        monkeypatch.setenv("ACRONIS_CLIENT_ID", service.client_id)
        monkeypatch.setenv("ACRONIS_CLIENT_SECRET", service.client_secret)
        code, out, err = command("load", "--json", "-v")
    assert (code, len(out.splitlines())) == (0, 50)
    assert service.client_secret not in out + err


def test_an_archive_is_synced_and_read(command, monkeypatch, tmp_path):
    """`sync` keeps what the service has, coverage says since when, and statistics read it."""
    items = list(ak.demo.simulate(50, seed=2, until="0s"))
    with ak.demo.serve(items) as service:
        monkeypatch.setenv("ACRONIS_BASE_URL", service.base_url)
        monkeypatch.setenv("ACRONIS_CLIENT_ID", service.client_id)
        monkeypatch.setenv("ACRONIS_CLIENT_SECRET", service.client_secret)
        code, out, err = command("sync", tmp_path / "archive", "--json")
    assert (code, err, sum(step["rows"] for step in json.loads(out))) == (0, "", 50)
    covered = json.loads(command("archive", "coverage", tmp_path / "archive", "--json")[1])
    assert {interval["status"] for interval in covered} == {"complete", "partial"}
    assert len(command("load", tmp_path / "archive", "--json")[1].splitlines()) == 50


def test_a_failing_service_gets_one_line(command, monkeypatch):
    """No progress bar buries the error where nobody watches."""
    monkeypatch.setenv("ACRONIS_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ACRONIS_CLIENT_ID", "nobody")
    monkeypatch.setenv("ACRONIS_CLIENT_SECRET", "secret-of-nobody")
    monkeypatch.setattr("activitykit.client.transport._BACKOFF", tenacity.wait_none())
    code, out, err = command("load", "--since", "7d")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "127.0.0.1:9" in err
    assert "secret-of-nobody" not in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["load"], "ACRONIS_BASE_URL"),
        (["load", "missing.ndjson"], "missing.ndjson"),
        (["stats", "quality", "{empty}"], "empty"),
        (["snapshot", "kept.parquet", "{html}"], "page.html"),
        (["report", "{export}", "--tz", "Mars/Olympus"], "Mars/Olympus"),
        (["stats", "failure_stats", "{export}", "--by", "tenant"], "tenant"),
        (["serve", "--variants", "cursors=left"], "cursors='left'"),
        (["serve", "--faults", "999=1"], "999"),
    ],
)
def test_our_errors_are_one_line(command, export, tmp_path, monkeypatch, words, says):
    """What the user can mend is said in one line on stderr, with exit code 1."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").write_text("<html>Sign in</html>", encoding="utf-8")
    (tmp_path / "empty").touch()
    names = {"export": export, "html": tmp_path / "page.html", "empty": tmp_path / "empty"}
    code, out, err = command(*(word.format(**names) for word in words))
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert says in err


@pytest.mark.parametrize(
    "words",
    [["laod"], ["load", "--sicne", "7d"], ["load", "--since", "tomorrow"],
     ["stats", "streaks", "x", "--by", "type"], ["stats", "mean"], ["load", "--on", "noon"],
     ["simulate", "5", "--until", "noon"], ["serve", "-n", "-3"], ["load", "--rows", "-1"],
     ["load", "--state", "running"], ["load", "--result", "failed"],
     ["load", "--since", "7d", "--until", "8d"], ["serve", "--variants", "cursor=top"],
     ["serve", "--faults", "429"]],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(command, words):
    """A command line that cannot be meant is refused before anything happens."""
    assert command(*words)[0] == 2


def test_a_missing_extra_is_one_line(tmp_path):
    """Without the cli extra the command says what to install."""
    missing = "raise ModuleNotFoundError('no click', name='click')"
    (tmp_path / "click.py").write_text(missing, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "activitykit"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'activitykit[cli]'" in done.stderr
