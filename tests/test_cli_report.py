"""The report command: what a schedule asks of it, and what an archive has to give."""

import dataclasses
import email
import json
import socket
import sys
from email.policy import default
from pathlib import Path

import pandas as pd
import pytest
from aiosmtpd.controller import Controller

import activitykit as ak
from activitykit import cli
from activitykit.archive import Archive, ledger, rows
from activitykit.cli import making
from activitykit.cli.making import file_name
from activitykit.cli.report import CONDITIONS
from activitykit.report.again import read_manifest
from activitykit.report.build import build_report
from activitykit.report.sources import narrowed, needed_since
from activitykit.report.write import save_report

NOW = pd.Timestamp("2026-11-01T06:00:00Z")
ENTRY = dict.fromkeys(ledger.SCOPE, "x") | {
    "kind": ledger.SLICE, "since": NOW - pd.Timedelta(90, "D"), "until": NOW, "ended": True,
    "watermark": NOW, "fetched_at": NOW, "rows": 0, "changed": 0,
}  # fmt: skip


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `activitykit report` in an empty folder; give its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT", "USER", "PASSWORD", "SECURITY"):
        monkeypatch.delenv(f"ACTIVITYKIT_SMTP_{name}", raising=False)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["activitykit", "report", *map(str, words)])
        return cli.run(), *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def items():
    """Activities of 30 days until NOW."""
    return list(ak.demo.simulate(400, seed=5, until=NOW))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory, items):
    """Keep them in a file."""
    return ak.write_snapshot(ak.flatten(items), tmp_path_factory.mktemp("kept") / "a.parquet")


@pytest.fixture
def archive(tmp_path, items):
    """Keep them in an archive."""
    archive = Archive(tmp_path / "archive")
    archive._tables.create()
    add(archive, items)
    return archive


def add(archive, items, **entry):
    """Put activities into an archive, and note that they were fetched."""
    page = json.dumps({"items": items}).encode()
    archive._tables.upsert(rows.to_rows([page], None, "https://x"))
    archive._tables.note(ENTRY | entry)


@pytest.fixture(scope="module")
def told(snapshot):
    """Build the report of the snapshot once for all tests."""
    return build_report(ak.load(snapshot))


@pytest.fixture
def quick(told, monkeypatch):
    """Take that report for whatever is asked, where a test is about what is done with it."""
    monkeypatch.setattr(making, "build_report", lambda *_, **__: told)


def test_the_file_is_what_python_writes(command, snapshot, tmp_path):
    """The command and the function write the same bytes."""
    assert command(snapshot, "-o", "a.html", "--tz", "Europe/Berlin") == (0, "a.html\n", "")
    expected = ak.write_report(ak.load(snapshot), tmp_path / "b.html", tz="Europe/Berlin")
    assert (tmp_path / "a.html").read_bytes() == expected.read_bytes()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("name", "start"), [("a.htm", "<!doctype"), ("a.md", "# "), ("a.json", "{")]
)
def test_the_name_says_the_format(command, snapshot, tmp_path, name, start):
    """The ending of the file decides what is written."""
    assert command(snapshot, "-o", name) == (0, f"{name}\n", "")
    assert (tmp_path / name).read_text("utf-8").startswith(start)


@pytest.mark.usefixtures("quick")
def test_the_format_wins_over_the_name(command, snapshot, tmp_path):
    """--format decides for any name, and names the file where there is none."""
    assert command(snapshot, "--format", "json", "-o", "week")[0] == 0
    assert command(snapshot, "--format", "json")[:2] == (0, "report.json\n")
    assert (tmp_path / "week").read_bytes() == (tmp_path / "report.json").read_bytes()
    code, _, error = command(snapshot, "-o", "week.docx")
    assert (code, "html, md, json, pdf" in error) == (1, True)


def test_options_arrive(command, snapshot):
    """Profile, targets, title, selection and interval are those of the manifest."""
    words = ["--profile", "ops", "--target", "*weekly*=8d", "--target", "*=36h", "--title", "Ours",
             "--since", "2026-10-20", "--until", "2026-10-27", "--result", "error"]  # fmt: skip
    assert command(snapshot, "-o", "r.json", *words)[0] == 0
    asked = json.loads(Path("r.json").read_text("utf-8"))["manifest"]["arguments"]
    assert asked["targets"] == {"*weekly*": "8d", "*": "36h"}
    assert asked["period"] == ["2026-10-20T00:00:00Z", "2026-10-27T00:00:00Z"]
    assert (asked["where"], asked["title"]) == ({"result": ["error"]}, "Ours")


def test_each_tenant_gets_a_file(command, snapshot, tmp_path):
    """One file per tenant, each with its own rows alone, in the words for customers."""
    df = ak.load(snapshot)
    df = df[df["tenant.name"].isin(["Acme, Inc.", "Bäckerei Öztürk"])]
    words = ["--per", "tenant", "--profile", "customer", "-o", "m.json"]
    words += ["--tenant", "Acme, Inc.", "--tenant", "Bäckerei Öztürk"]
    assert command(snapshot, *words)[0] == 0
    found = [json.loads(path.read_text("utf-8")) for path in sorted(tmp_path.glob("m-*.json"))]
    assert len(found) == df["tenant.id"].nunique() == 2
    sizes = [one["manifest"]["rows"]["selected"] for one in found]
    assert sorted(sizes) == sorted(df["tenant.id"].value_counts())
    names = set(df["tenant.name"].dropna())
    assert {one["title"].removeprefix("Your backup report: ") for one in found} <= names


@pytest.mark.parametrize("name", ["../../etc/passwd", "con", "", "日本", "a" * 300, "x\x00/y: *?"])
def test_file_names_are_safe(name):
    """A name is letters, digits and dashes, and no two tenants share one."""
    found = file_name(name, "7")
    assert found.endswith("7")
    assert found.replace("-", "").isalnum()
    assert found.isascii()
    assert len(found) < 60
    assert len({file_name(name, tenant) for tenant in ("7", "8", "/1/7/", "A", "a")}) == 5


def test_since_last_goes_on_where_the_last_ended(command, items, tmp_path):
    """Each report covers what came since the one before; without news there is none."""
    words = ["a.parquet", "--since", "last", "-o", "r.json"]
    ak.write_snapshot(ak.flatten(items[:300]), tmp_path / "a.parquet")
    assert "No report of this kind in . yet: this one covers 7d." in command(*words)[2]
    first = json.loads((tmp_path / "r.json").read_text("utf-8"))["period"]
    code, _, error = command(*words)
    assert (code, "nothing new since the last report (2026-" in error) == (1, True)
    code, _, error = command(*words, "--fail-on", "act,silent")
    assert (code, error.endswith("has the sync run? silent\n")) == (10, True)
    ak.write_snapshot(ak.flatten(items), tmp_path / "a.parquet")
    assert command(*words) == (0, "r.json\n", "")
    second = json.loads((tmp_path / "r.json").read_text("utf-8"))["period"]
    assert second["since"] == first["until"] < second["until"]


@pytest.mark.usefixtures("quick")
def test_each_kind_of_report_has_its_own_last(command, snapshot, tmp_path):
    """A report of another selection or profile does not move where this one goes on."""
    for words in ([], ["--result", "error"], ["--per", "tenant"], ["--profile", "customer"], []):
        assert command(snapshot, "--since", "last", "-o", "r.json", *words)[0] == 0
    assert len(list(tmp_path.glob(".activitykit-last-*.json"))) == 4
    assert command(snapshot, "--since", "last", "-o", "r.md")[0] == 0
    assert len(list(tmp_path.glob(".activitykit-last-*.json"))) == 5


@pytest.mark.usefixtures("quick")
def test_a_damaged_state_is_one_clear_error(command, snapshot, tmp_path):
    """What cannot be read is named, with the way out."""
    command(snapshot, "--since", "last", "-o", "r.json")
    [kept] = tmp_path.glob(".activitykit-last-*.json")
    kept.write_text("{", encoding="utf-8")
    code, _, error = command(snapshot, "--since", "last", "-o", "r.json")
    assert (code, len(error.splitlines()), "delete it" in error) == (1, 1, True)


@pytest.mark.usefixtures("quick")
def test_the_exit_code_tells_a_scheduler(command, snapshot, told):
    """Each condition holds exactly when its number says so: code 10 and its name, or 0."""
    holding = [name for name, holds in CONDITIONS.items() if holds(told.summary)]
    assert "act" in holding
    code, _, error = command(snapshot, "-o", "r.json", "--fail-on", ",".join(CONDITIONS))
    assert (code, error) == (10, f"r.json: {', '.join(holding)}\n")
    silent = ",".join(set(CONDITIONS) - set(holding))
    assert command(snapshot, "-o", "r.json", "--fail-on", silent) == (0, "r.json\n", "")
    assert command(snapshot, "-o", "r.json")[0] == 0


def test_conditions_are_numbers_of_every_summary(snapshot):
    """Also without a run, each condition can be told."""
    summary = build_report(ak.load(snapshot), where=ak.Filter(type="nosuch")).summary
    held = {name: holds(summary) for name, holds in CONDITIONS.items()}
    assert held["silent"]
    assert not any(held[name] for name in ("failed", "new", "worse"))


def test_activities_lie_beside_the_report(command, snapshot, tmp_path):
    """Parquet and CSV hold the selected activities that started in the period, and say how many."""
    code, out, _ = command(snapshot, "-o", "r.json", "--attach", "--result", "error")
    manifest = json.loads((tmp_path / "r.json").read_text("utf-8"))["manifest"]
    kept = ak.load(tmp_path / "r.activities.parquet")
    assert (code, len(kept)) == (0, manifest["rows"]["period"])
    assert len(pd.read_csv(tmp_path / "r.activities.csv")) == len(kept)
    assert out.count(f"{len(kept):,} activities") == 2
    assert set(kept["result.code"]) == {"error"}
    assert "context.title" in kept
    assert len(kept.columns) > len(ak.columns())


def test_attached_activities_carry_no_notes_of_the_whole_load(command, snapshot, tmp_path):
    """Address, coverage and ids of other tenants stay out of the file for one of them."""
    df = ak.load(snapshot)
    others = df.loc[df["tenant.name"] != "Acme, Inc.", "id"].head(3).tolist()
    df.attrs["activitykit"] |= {
        "source": "https://secret.example", "filter": "ak.Filter(tenant=['Secret'])",
        "coverage": [], "conflicts": [{"column": "x", "kinds": {}, "example_ids": others}],
        "duplicates": {"n": 3, "example_ids": others}, "complete": True,
    }  # fmt: skip
    ak.write_snapshot(df, tmp_path / "all.parquet")
    assert command("all.parquet", "-o", "r.json", "--tenant", "Acme, Inc.", "--attach")[0] == 0
    content = (tmp_path / "r.activities.parquet").read_bytes().lower()
    assert not [word for word in (b"secret", *(str(i).encode() for i in others)) if word in content]
    notes = ak.load(tmp_path / "r.activities.parquet").attrs["activitykit"]
    assert notes["complete"]
    assert not {"conflicts", "duplicates", "coverage"} & {key for key in notes if notes[key]}


@pytest.mark.usefixtures("archive")
def test_an_archive_is_read_in_part(command, monkeypatch):
    """Only what the period and its comparison need is asked of the archive."""
    asked, read = [], Archive.read

    def noted(self, where=None, **options):
        asked.append((where, options["columns"]))
        return read(self, where, **options)

    monkeypatch.setattr(Archive, "read", noted)
    assert command("archive", "-o", "r.json", "--period", "month", "--tenant", "Acme, Inc.")[0] == 0
    [(where, columns)] = asked
    assert (where.on, where.since) == ("updatedAt", pd.Timestamp("2026-09-01", tz="UTC"))
    assert "progress.total" not in columns


def test_an_archive_gives_the_report_of_its_frame(archive, tmp_path):
    """Period, numbers and tables are those of the frame with the same history and all columns."""
    history = narrowed(None, needed_since("week", as_of=NOW))
    pages = [ak.write_report(source, tmp_path / f"{name}.json", period="week")
             for name, source in (("a", archive), ("b", archive.read(history)))]  # fmt: skip
    first, second = (json.loads(page.read_text("utf-8")) for page in pages)
    assert first["summary"] == second["summary"]
    both = [
        [part for part in page["sections"] if part["key"] != "quality"] for page in (first, second)
    ]
    assert both[0] == both[1]
    assert first["manifest"]["data"]["version"] == archive.history()["version"].max()


def test_a_manifest_makes_its_report_again(command, archive, items, tmp_path):
    """After later syncs the archive still gives the very bytes, and so it does elsewhere."""
    words = ["--period", "week", "--tz", "Europe/Berlin", "--target", "36h", "--title", "Ours",
             "--tenant", "Acme, Inc.", "--tenant", "/1/"]  # fmt: skip
    assert command("archive", "-o", "first.json", *words)[0] == 0
    later = {"until": NOW + pd.Timedelta(1, "D"), "fetched_at": NOW + pd.Timedelta(1, "D")}
    archive._tables.note(ENTRY | later)  # a fetch that found no change
    changed = [{**item, "updatedAt": "2026-11-01T12:00:00Z", "result": {"code": "error"}}
               for item in items]  # fmt: skip
    add(archive, [*changed, {**items[0], "id": 2**62}], **later)
    (tmp_path / "archive").rename(tmp_path / "moved")
    said = command("moved", "--from-manifest", "first.json", "-o", "again.json")
    assert said == (0, "again.json\n", "")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "first.json").read_bytes()
    assert command("moved", "-o", "new.json", *words)[0] == 0
    assert (tmp_path / "new.json").read_bytes() != (tmp_path / "first.json").read_bytes()


def test_each_format_carries_its_manifest(told, tmp_path):
    """HTML, Markdown and JSON hold the same manifest, also with names that look like markup."""
    wild = '</pre>```\n<pre id="manifest-json">{}&amp;'
    wanted = {**told.manifest, "arguments": {**told.manifest["arguments"], "title": wild}}
    report = dataclasses.replace(told, manifest=wanted, title=wild)
    for form in ("html", "md", "json"):
        for name in (f"r.{form}", "r.txt", "r.markdown"):
            assert read_manifest(save_report(report, tmp_path / name, form)) == wanted


def test_a_selection_by_other_columns_is_made_again(command, snapshot, tmp_path):
    """A report selected by what a report does not show is made again from a snapshot."""
    assert command(snapshot, "-o", "a.json", "--text", "backup")[0] == 0
    assert command(snapshot, "--from-manifest", "a.json", "-o", "b.json") == (0, "b.json\n", "")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_file_makes_its_report_again(command, snapshot, items, tmp_path):
    """So does a snapshot; one with other rows is refused, with what is different."""
    assert command(snapshot, "-o", "a.json")[0] == 0
    assert command(snapshot, "--from-manifest", "a.json", "-o", "b.json")[0] == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    ak.write_snapshot(ak.flatten(items[1:]), tmp_path / "other.parquet")
    code, _, error = command("other.parquet", "--from-manifest", "a.json", "-o", "c.json")
    assert (code, "other activities" in error) == (1, True)
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"manifest": 7}', '{"manifest": {"rows": 1}}'])
def test_what_is_no_report_has_no_manifest(command, snapshot, tmp_path, text):
    """Another file, or a damaged one, is one clear error in each format."""
    for name in ("x.html", "x.md", "x.json", "x.pdf"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        code, _, error = command(snapshot, "--from-manifest", name, "-o", "c.html")
        assert (code, len(error.splitlines()), "holds no manifest" in error) == (1, 1, True)


@pytest.mark.parametrize(
    "words",
    [["--fail-on", "weather"], ["--since", "7d", "--period", "7d"], ["--until", "2026-10-01"],
     ["--target", "=8d"], ["--target", "8d", "--target", "9d"], ["--per", "resource"],
     ["--email-from", "a@example.com"], ["--email-to", "nobody"], ["--format", "docx"],
     ["--from-manifest", "r.html", "--tz", "UTC"], ["--from-manifest", "r.html", "-o", "r.html"],
     ["--email-to", "a@example.com"], ["--on", "createdAt"]],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(command, snapshot, tmp_path, words):
    """What cannot be meant is refused before anything is read or written."""
    (tmp_path / "r.html").touch()
    assert command(snapshot, *words)[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_mail_without_a_sender_says_which_option_to_set(command, snapshot):
    """The way out is named."""
    code, _, error = command(snapshot, "--email-to", "a@example.com")
    assert (code, "set --email-from" in error) == (2, True)


@pytest.mark.parametrize(
    "words",
    [["--target", "soon"], ["--tz", "Mars"], ["--since", "2100-01-01"], ["--profile", "customer"],
     ["--email-to", "a@b.example", "--email-from", "c@d.example"]],
)  # fmt: skip
def test_our_errors_leave_nothing_behind(command, snapshot, tmp_path, words):
    """One line says what is wrong, and no file is left, whole or half."""
    code, out, error = command(snapshot, "-o", "r.html", *words)
    assert (code, out, len(error.splitlines())) == (1, "", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("words", [[], ["--attach"], ["--per", "tenant"], ["--since", "last"]])
def test_a_folder_that_is_not_there_stays_so(command, snapshot, tmp_path, words):
    """Nothing is half-written where the reports cannot be."""
    code, out, error = command(snapshot, "-o", "none/r.html", *words)
    assert (code, out, "cannot write the report to" in error) == (1, "", True)
    assert list(tmp_path.iterdir()) == []


class Inbox:
    """Take every message."""

    def __init__(self):
        self.messages = []

    async def handle_DATA(self, server, session, envelope):  # noqa: ARG002, D102, N802
        self.messages.append(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@pytest.fixture
def inbox(command, monkeypatch):  # noqa: ARG001 - the command clears the settings first
    """Run a mail server on this machine."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    found = Inbox()
    server = Controller(found, hostname="127.0.0.1", port=port, ready_timeout=60)
    server.start()
    monkeypatch.setenv("ACTIVITYKIT_SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("ACTIVITYKIT_SMTP_PORT", str(port))
    yield found
    server.stop()


@pytest.mark.usefixtures("quick")
def test_the_report_is_sent(command, inbox, snapshot, told, tmp_path):
    """The summary is the body, the file is attached, and each report is a message of its own."""
    words = ["--email-to", "ops@example.com", "--email-to", "b@example.org", "--email-from",
             "Reports <r@example.com>", "-o", "week.html", "--fail-on", "act"]  # fmt: skip
    code, _, error = command(snapshot, *words)
    [message] = inbox.messages
    [attached] = message.iter_attachments()
    assert (code, "sent to ops@example.com, b@example.org" in error) == (10, True)
    assert message["Subject"] == f"{told.title}: {told.headline}"
    assert told.headline in message.get_body(("plain",)).get_content()
    assert attached.get_payload(decode=True) == (tmp_path / "week.html").read_bytes()


@pytest.mark.usefixtures("quick")
def test_a_report_that_was_not_sent_is_told_again(command, snapshot, tmp_path, monkeypatch):
    """When the server is away, the next report since the last covers the same time."""
    monkeypatch.setenv("ACTIVITYKIT_SMTP_HOST", "localhost")
    monkeypatch.setenv("ACTIVITYKIT_SMTP_PORT", "1")
    words = ["--email-to", "a@b.example", "--email-from", "c@d.example", "--since", "last"]
    code, _, error = command(snapshot, "-o", "r.html", *words)
    assert (code, "cannot send the report by localhost:1" in error) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
