"""The same report as Markdown, JSON, PDF and mail: what a reader of each finds in it."""

import json
import re
import shutil
import sys
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import activitykit as ak
from activitykit.moments import to_timestamp
from activitykit.report import as_json, markdown, summary
from activitykit.report.cells import cell_text
from activitykit.report.content import Banner, Change, Column, Figure, Kpi, Report, Section, Table
from activitykit.report.pdf import to_pdf
from activitykit.report.period import Period
from activitykit.report.sources import needed_since
from activitykit.report.spreadsheet import write_csv

WILD = '=cmd|`<b>*[x](https://evil.example)*_y_ {{ 7 * 191 }}\\ & #1 ~~z~~ $a$ www.evil.example "'
AT = pd.Timestamp("2026-03-01T12:00:00.123456789", tz="UTC")
CELLS = {
    "name": ("text", WILD), "class": ("tag", "chronic"), "id": ("id", 2**60 + 1),
    "runs": ("count", 1234), "rate": ("rate", 0.125), "ci": ("interval", (0.1, 0.2)),
    "change": ("change", Change(0.05, -0.01, 0.11, "no clear change")),
    "p50": ("duration", 4800.5), "last": ("time", AT),
    "strip": ("strip", ["success", "failed", "running"]), "spark": ("spark", [0, 1.5, None]),
    "why": ("prose", "long " * 40),
}  # fmt: skip
NUMBERS = {
    "n": 1234, "n_finished": 1200, "n_success": 1000, "n_failed": 150, "failure_rate": 0.13,
    "ci_low": 0.1, "ci_high": 0.2, "complete": True, "n_act": 1, "n_new": 0, "n_recurring": 0,
    "n_chronic": 1, "n_late": 0, "n_recovered": 2, "n_stale": 3, "n_overdue": 0, "n_before": None,
    "failure_rate_before": float("nan"), "change": None,
}  # fmt: skip


def make(name=WILD):
    """Make a report with a cell of every kind, and one name wherever names can stand."""
    columns = [Column(key, f"The {key}", kind) for key, (kind, _) in CELLS.items()]
    row = {key: value for key, (_, value) in CELLS.items()} | {"name": name, "example_id": 2**61}
    nothing = dict.fromkeys(CELLS) | {"name": "withheld", "rate": "withheld"}
    act = Table(name="act", caption=f"2 of 7 rows, with {name}.", columns=columns,
                rows=[row, nothing], total=7)  # fmt: skip
    days = pd.DataFrame({"bucket": [AT], "n": [3], "failure_rate": [float("nan")]})
    figure = Figure(name="days", caption="Runs.", alt="One day.", draw=print, frame=days, height=2)
    week = Period(AT - pd.Timedelta(7, "D"), AT, "this week", "the week")
    return Report(
        title=f"Report of {name}", profile="ops", tz="Europe/Berlin", period=week, before=week,
        as_of=AT, coverage=f"What is covered: {name}", headline="About as many runs fail as before",
        banners=[Banner("error", "Incomplete data.", f"Missing: {name}")],
        text=[f"{name} failed.", "1. is no list."], summary=NUMBERS,
        kpis=[Kpi(key="rate", label="Failure rate", value=0.125, kind="rate", mark="error",
                  lines=["of 1,200", name])],
        sections=[
            Section(key="act", title="Act on this", text=[name], tables=[act]),
            Section(key="failures", title=f"Failures of {name}", figures=[figure]),
        ],
        manifest={"period": ["a", "b"], "title": name},
    )  # fmt: skip


@cache
def schema():
    """Read the schema that is documented."""
    text = (files("activitykit.report") / "report.schema.json").read_text("utf-8")
    return json.loads(text)


def plain(text):
    """Put text on one line, without signs that cannot be printed."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def shown(text):
    """Read Markdown as a ticket system does; give its blocks as (kind, text), and its links."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    found = [
        (before.type.removesuffix("_open"), "".join(part.content for part in token.children))
        for before, token in pairwise(tokens)
        if token.type == "inline"
    ]
    marks = {part.type for token in tokens for part in token.children or ()}
    return found, marks


def test_markdown_shows_names_as_they_are():
    """A name is no link, no emphasis and no cell of its own, wherever it stands."""
    blocks, marks = shown(markdown.to_markdown(make()))
    name = " ".join(WILD.split())
    assert ("heading", f"Report of {name}") in blocks
    assert ("td", name) in blocks
    assert ("paragraph", f"Incomplete data. Missing: {name}") in blocks
    assert ("heading", f"Failures of {name}") in blocks
    assert marks <= {"text", "text_special", "strong_open", "strong_close"}


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_markdown_shows_any_name(name):
    """Any text in a cell is read back as `cell_text` writes it, and the table keeps its shape."""
    blocks, marks = shown(markdown.to_markdown(make(name)))
    cells = [text for kind, text in blocks if kind == "td"]
    assert len(cells) == 2 * len(CELLS)
    assert cells[0] == plain(cell_text(name, "text", "UTC"))
    assert marks <= {"text", "text_special", "strong_open", "strong_close", "softbreak"}


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_a_sentence_stays_a_sentence(text):
    """Whatever a sentence begins with, it makes no heading, list, rule or quotation."""
    line = plain(text)
    blocks, _ = shown(markdown.paragraph(text))
    assert blocks == ([("paragraph", line)] if line else [])


def test_markdown_says_everything_but_figures():
    """Coverage, banner, verdict, numbers and tables are there, and the manifest as JSON."""
    text = markdown.to_markdown(make("Ops"))
    for part in ("What is covered", "Incomplete data", "About as many", "12.5", "Act on this",
                 "chronic", "✓✕▶", "1,234", "1 Mar, 13:00", "withheld"):  # fmt: skip
        assert part in text
    [block] = re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)
    assert json.loads(block) == {"period": ["a", "b"], "title": "Ops"}


def test_json_holds_to_its_schema():
    """A document with every kind of cell is valid, and the schema itself is."""
    jsonschema.Draft202012Validator.check_schema(schema())
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    document = json.loads(as_json.to_json(make()))
    jsonschema.Draft202012Validator(schema(), format_checker=checker).validate(document)


def test_the_schema_refuses_others():
    """A key that nobody documented, or a rate in percent, is no valid document."""
    validator = jsonschema.Draft202012Validator(schema())
    document = json.loads(as_json.to_json(make()))
    assert not validator.is_valid({**document, "news": 1})
    percent = {**document["summary"], "failure_rate": 13}
    assert not validator.is_valid({**document, "summary": percent})


def test_json_has_all_digits():
    """Numbers are exact, times have nanoseconds, ids are text, and what is missing is null."""
    document = json.loads(as_json.to_json(make()))
    row, nothing = document["sections"][0]["tables"][0]["rows"]
    assert (row["id"], row["example_id"]) == (str(2**60 + 1), str(2**61))
    assert (row["p50"], row["ci"], row["spark"]) == (4800.5, [0.1, 0.2], [0, 1.5, None])
    assert row["last"] == document["as_of"] == "2026-03-01T12:00:00.123456789Z"
    assert row["change"]["word"] == "no clear change"
    assert (nothing["rate"], nothing["runs"]) == ("withheld", None)
    assert document["summary"]["failure_rate_before"] is None
    assert document["sections"][1]["figures"][0]["rows"][0]["failure_rate"] is None


def test_mail_has_the_verdict_and_what_to_act_on():
    """Both bodies hold the summary, not the other sections, and say that the report is attached."""
    for body in (summary.summary_text(make("Ops")), summary.summary_html(make("Ops"))):
        for part in ("Report of Ops", "Incomplete data.", "About as many", "Act on this", "chronic",
                     "✓✕▶", "1 h 20 min", "attached"):  # fmt: skip
            assert part in body
        assert "Failures of" not in body


def test_mail_uses_what_mail_programs_know():
    """The HTML has no script, style sheet, image or outside address, and names stay text."""
    page = summary.summary_html(make())
    assert not re.search(r"<(script|style|link|img|svg)\b|class=|\bsrc=|href=", page)
    assert "<b>*" not in page
    assert "&lt;b&gt;*" in page
    assert "{{ 7 * 191 }}" in page


def test_mail_text_keeps_to_lines():
    """No line of the text is longer than mail allows, unless a word is."""
    lines = summary.summary_text(make("Ops")).splitlines()
    assert max(map(len, lines)) <= 78


@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "＝1+1",
        "a;=1+1",
        "a,@b",
        'x\n=HYPERLINK("y")',
    ],
)
def test_no_text_is_a_formula(tmp_path, name):
    """However a spreadsheet splits the file, no cell begins with what it would compute."""
    df = ak.flatten([{"id": 7, "tenant": {"name": name}, "resource": {"name": "a - b = c"}}])
    path = write_csv(df, tmp_path / "a.csv")
    text = path.read_text(encoding="utf-8-sig").partition("\n")[2]
    assert not re.search(r"""(^|[;,\t\r\n"])[=+\-@\t＝]""", text)
    assert pd.read_csv(path)["resource.name"].tolist() == ["a - b = c"]


def test_csv_holds_the_activities(tmp_path):
    """Every row, ids with all digits, times and names are read back by pandas."""
    df = ak.flatten(ak.demo.simulate(300, seed=3))
    back = pd.read_csv(write_csv(df, tmp_path / "a.csv"), dtype={"tenant.name": "str"})
    assert back["id"].tolist() == df["id"].tolist()
    assert pd.to_datetime(back["createdAt"], format="ISO8601").tolist() == df["createdAt"].tolist()
    assert back["tenant.name"].fillna("").tolist() == df["tenant.name"].fillna("").tolist()


def test_csv_without_a_folder_is_one_error(tmp_path):
    """Nothing is left behind where the file cannot be."""
    with pytest.raises(ak.ConfigError, match="cannot write"):
        write_csv(ak.flatten([{"id": 7}]), tmp_path / "none" / "a.csv")
    assert list(tmp_path.iterdir()) == []


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no browser of the Chromium family")
def test_pdf_is_the_printed_page(monkeypatch):
    """It has the title of the page and the date of the data; the same page, the same bytes."""
    monkeypatch.setenv("ACTIVITYKIT_BROWSER", CHROMIUM)
    page = "<!doctype html><title>Ours</title><h1>Failures</h1>"
    first, second = to_pdf(page, made=AT), to_pdf(page, made=AT)
    assert first == second
    assert first.startswith(b"%PDF-")
    assert b"(D:20260301120000+00'00')" in first
    assert b"Ours" in first


@pytest.mark.parametrize(
    ("program", "says"),
    [(None, "none of them is installed"), ("no-such-program", "no such program"),
     ("false", "printed no PDF"), (sys.executable, "printed no PDF: ")],
)  # fmt: skip
def test_without_a_browser_there_is_one_clear_error(monkeypatch, program, says):
    """What is missing or does not print is named, with what to do."""
    monkeypatch.delenv("ACTIVITYKIT_BROWSER", raising=False)
    if program is None:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    else:
        monkeypatch.setenv("ACTIVITYKIT_BROWSER", program)
    with pytest.raises(ak.ConfigError, match=says):
        to_pdf("<p>", made=AT)


def test_a_file_is_no_source(tmp_path):
    """The name of a file gives one error that shows how to load it."""
    for source in ("a.parquet", Path("a.parquet")):
        with pytest.raises(ak.ConfigError, match=r"load it first: ak\.load\('a\.parquet'\)"):
            ak.write_report(source, tmp_path / "r.html")
    with pytest.raises(ak.ConfigError, match="not of list"):
        ak.render_report([{"id": 7}])


def test_an_unknown_ending_is_refused_before_anything(tmp_path):
    """When neither ending nor format says what to write, nothing is computed."""
    for name in ("report", "report.docx"):
        with pytest.raises(ak.ConfigError, match="choose html, md, json, pdf"):
            ak.write_report(None, tmp_path / name)


@pytest.mark.parametrize(
    ("asked", "since"),
    [({"period": "7d"}, "14d"), ({"period": "month"}, "2026-01-01"), ({"period": "24h"}, "14d"),
     ({"targets": {"*": "60d", "a": "1d"}}, "60d"),
     ({"period": ("2025-12-01", "0s")}, "2025-09-02")],
)  # fmt: skip
def test_what_a_report_needs_of_an_archive(asked, since):
    """It needs both periods, as much as the longest target, and at least two weeks."""
    moment = pd.Timestamp("2026-03-01T00:00Z")
    needed = needed_since(**{"period": "7d", **asked}, as_of=moment)
    assert needed == to_timestamp(since, now=moment)
