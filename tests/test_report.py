import json
import os
import re
import xml.etree.ElementTree as ET
from functools import cache
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import browser
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

import activitykit as ak
from activitykit._axes import INK
from activitykit.filters import Filter
from activitykit.report import render, render_report, write_report
from activitykit.report.again import gather_again, read_manifest, rebuild_report
from activitykit.report.as_json import to_json
from activitykit.report.build import build_report
from activitykit.report.period import day_starts, read_period
from activitykit.report.scope import read_scope
from activitykit.report.sections import act, compare, failures, load, method
from activitykit.report.sections.durations import still_running as act_running
from activitykit.report.sections.freshness import ages as act_ages
from activitykit.report.targets import target_seconds
from activitykit.report.write import save_report
from activitykit.schema import ATTRS
from activitykit.stats.quality import MEANING
from activitykit.wording import short

UTC = ZoneInfo("UTC")
VOID = {"meta", "br", "col", "hr", "wbr"}


@cache
def demo():
    """Simulate some weeks of a provider once for all tests."""
    return ak.flatten(ak.demo.simulate(4_000, seed=3))


@cache
def few():
    """Simulate a handful of activities for tests that need any page."""
    return ak.flatten(ak.demo.simulate(200, seed=3))


def scope_of(df, **arguments):
    """Read the scope of a report with the defaults of `render_report`."""
    given = {"period": "7d", "profile": "ops", "where": None, "tz": "UTC", "targets": None,
             "policy": ak.OutcomePolicy(), "as_of": None, "title": None}  # fmt: skip
    return read_scope(df, **given | arguments)


@cache
def report():
    """Compute the report of the last week of the demo data once."""
    return build_report(demo(), tz="Europe/Berlin")


def words_of(made):
    """Give what the sections and banners of a report say, beside their tables."""
    said = [made.coverage, made.headline, *made.text, *(" ".join(b) for b in made.banners)]
    for one in made.sections:
        said += [*one.text, *(table.caption for table in one.tables)]
    return " ".join(said)


def section(made, key):
    """Pick a section of a report."""
    return next(one for one in made.sections if one.key == key)


@cache
def page():
    """Render the report of the last week of the demo data."""
    return render_report(demo(), tz="Europe/Berlin")


def last_week(df, column="startedAt"):
    """Select the rows of the default period by plain pandas."""
    end = df["updatedAt"].max()
    return df[(df[column] >= end - pd.Timedelta(7, "D")) & (df[column] < end)]


class Reader(HTMLParser):
    """Tags, ids, text and, for each table row, its texts and machine-readable values."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.words, self.rows, self.open = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):  # noqa: D102 - as HTMLParser
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"} and self.rows:
            self.rows[-1].append(("", None))
        elif tag == "data" and "tr" in self.open:
            self.rows[-1][-1] = ("", float(attrs["value"]))

    def handle_endtag(self, tag):  # noqa: D102 - as HTMLParser
        assert self.open.pop() == tag

    def handle_data(self, data):  # noqa: D102 - as HTMLParser
        if not {"style", "svg"} & set(self.open):
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            text, value = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, value)

    @property
    def text(self):
        """Everything that is read, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def table(self, heading):
        """Give the rows of the table whose first header is this."""
        start = next(i for i, row in enumerate(self.rows) if row[0][0] == heading)
        width = len(self.rows[start])
        body = self.rows[start + 1 :]
        stop = next((i for i, row in enumerate(body) if len(row) != width), len(body))
        return body[:stop]


def test_same_input_same_bytes():
    """The page does not depend on the moment or on plot settings."""
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "x"}):
        assert render_report(demo(), tz="Europe/Berlin") == page()


def test_stands_alone():
    """There is no script, and nothing points outside the page."""
    found = Reader(page())
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in found.tags}
    assert not re.search(r"https?://|@import|url\((?!#)|javascript:", page())
    targets = [v for _, attrs in found.tags for k, v in attrs.items() if k in {"href", "src"}]
    assert targets
    assert {target.removeprefix("#") for target in targets} <= set(found.ids)


def test_ids_are_unique_and_tags_closed():
    """Several figures share the page without sharing ids, and every element is closed."""
    found = Reader(page())
    assert len(found.ids) == len(set(found.ids))
    assert found.open == []


def test_figures_are_well_formed_and_described():
    """Every figure is well-formed XML with a role and a text alternative."""
    figures = re.findall(r"<svg.*?</svg>", page(), re.DOTALL)
    assert len(figures) == 8
    for figure in map(ET.fromstring, figures):
        assert figure.get("role") == "img"
        assert len(figure.get("aria-label")) > 20


def test_figures_take_the_colours_of_the_page():
    """Text and axes have no colour of their own, so that they read in dark mode and in print."""
    assert "currentColor" in page()
    assert INK not in page()
    assert "prefers-color-scheme: dark" in page()


def test_structure_is_accessible():
    """The page has a language, headings without gaps, and headers that say what they head."""
    found = Reader(page())
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert found.tags[0] == ("html", {"lang": "en"})
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all("scope" in attrs for tag, attrs in found.tags if tag == "th")


def test_template_text_in_names_stays_text():
    """Names that look like HTML or like a template are shown as they are."""
    df = demo().copy()
    wild = "<script>alert(1)</script>{{ 7 * 191 }}{% raise %}"
    df[["tenant.name", "resource.name", "error_signature", "operation"]] = wild
    made = render_report(df, title=wild, where=Filter(tenant=wild))
    assert "script" not in {tag for tag, _ in Reader(made).tags}
    assert "1337" not in made
    assert wild in Reader(made).text


@given(st.text(st.characters(codec="utf-8")))
def test_long_words_break_and_keep_their_letters(name):
    """Lines may break in any name, which stays what it is, and a long one is told in full."""
    cell = Reader(f"<table><tr><td>{render._name(name)}</td></tr></table>")
    assert "".join(cell.words) == short(name, 48)
    titles = [attrs["title"] for _, attrs in cell.tags if "title" in attrs]
    assert titles == ([name] if len(name) > 48 else [])


def test_words_break_where_their_parts_meet():
    """Joints come first, so that no column is wider than a part, or breaks amid one."""
    shown = render._breakable("PolicyManager/BackupDidNotStart: Tagessicherung " + "9" * 50)
    *parts, rest = shown.split("<wbr>")
    assert parts[:5] == ["Policy", "Manager/", "Backup", "Did", "Not"]
    assert parts[5] == f"Start: Tagessicherung {'9' * 18}"
    assert max(map(len, [*parts[6:], rest])) <= 20


def test_what_had_no_plan_is_named_by_what_was_done():
    """Runs without a plan are told apart by their kind, in words."""
    df = days_of(["error"] * 3).assign(**{"policy.id": None, "policy.name": None})
    df["operation"] = "Malware scan"
    [row] = section(build_report(df, period="3d"), "act").tables[0].rows
    assert row["plan"] == "Malware scan, no plan"


def test_totals_are_those_of_the_statistics():
    """Runs and failure rate of the verdict equal failure_stats over the rows of the period."""
    expected = ak.failure_stats(last_week(demo())).iloc[0]
    values = [attrs["value"] for tag, attrs in Reader(page()).tags if tag == "data"]
    assert values[0] == str(expected["n"])
    assert float(values[1]) == expected["failure_rate"]
    assert f"{expected['n_failed']:,} of " in Reader(page()).text


def test_tenants_are_those_of_the_statistics():
    """Each row of the table of tenants has the numbers that failure_stats gives for it."""
    expected = ak.failure_stats(last_week(demo()), by="tenant.name").set_index("tenant.name")
    rows = Reader(page()).table("Tenant")
    assert len(rows) == min(15, len(expected))
    for (name, _), (_, n), _, (_, failed), (_, rate), *_ in rows:
        stats = expected.loc[name]
        assert (n, failed) == (stats["n"], stats["n_failed"])
        assert rate is None or rate == stats["failure_rate"]


def test_durations_are_those_of_the_statistics():
    """Each row of the table of durations has the quantiles that duration_stats gives for it."""
    df = demo()
    expected = ak.duration_stats(last_week(df), by="operation", as_of=df["updatedAt"].max())
    expected = expected.assign(operation=expected["operation"].fillna("(none)"))
    expected = expected.set_index("operation")
    for (name, _), (_, n), _, (text, median), *_ in Reader(page()).table("Kind of run"):
        assert n == expected.loc[name, "n"]
        assert (median == expected.loc[name, "p50_s"]) or text in {"not reached", "–"}


def test_reasons_are_those_of_the_statistics():
    """The table of reasons keeps order and counts of failure_reasons, and marks the new."""
    expected = ak.failure_reasons(last_week(demo()))
    rows = Reader(page()).table("Reason")
    assert [row[2][1] for row in rows] == expected["n_resources"].head(15).tolist()
    end = demo()["updatedAt"].max()
    week = pd.Timedelta(7, "D")
    past = ak.failure_reasons(
        Filter(since=end - 2 * week, until=end - week, on="startedAt").select(demo())
    )
    fresh = ~expected["signature"].head(15).isin(past["signature"])
    assert [row[1][0] == "new" for row in rows] == fresh.tolist()


def test_incomplete_data_withholds_rates():
    """After a load that broke off there is a banner, and no failure rate is shown."""
    df = few().copy()
    df.attrs[ATTRS] = {**df.attrs.get(ATTRS, {}), "complete": False}
    made = build_report(df)
    assert made.banners[0].title == "Incomplete data."
    assert {row["failure_rate"] for row in section(made, "tenants").tables[0].rows} == {"withheld"}
    assert (made.kpis[1].value, made.summary["failure_rate"]) == ("withheld", None)
    assert "interval" not in " ".join(made.text)


def test_a_small_selection_keeps_its_comparison():
    """Whether the data covers a period shows in the whole frame, not in a few selected rows."""
    rows = last_week(demo())
    where = ak.Filter(id=int(rows["id"][rows["startedAt"].idxmax()]))
    text = words_of(build_report(demo(), where=where))
    assert f"1 activity record of {rows['tenant.name'][rows['startedAt'].idxmax()]}" in text
    assert "may not cover" not in text
    assert "does not cover the 7 days" not in text


@pytest.mark.parametrize(("since", "covers"), [(None, True), (14, True), (13, False), (5, False)])
def test_an_archive_knows_what_it_covers(since, covers):
    """What an archive noted decides, also where runs are rare; each of its scopes must cover."""
    df = demo().iloc[:1]
    end = df["updatedAt"].max()
    edge = None if since is None else (end - pd.Timedelta(since, "D")).isoformat()
    line = {"base_url": "u", "filter": "", "status": "complete", "until": end.isoformat()}
    lines = [line | {"tenant": "a", "since": None}, line | {"tenant": "b", "since": edge}]
    df.attrs[ATTRS] = {**df.attrs[ATTRS], "coverage": lines}
    scope = scope_of(df)
    assert scope.compared == covers
    assert (scope.partial is None) == (since == 5)
    df.attrs[ATTRS]["coverage"] = [one | {"status": "partial"} for one in lines]
    assert scope_of(df).partial is None


def test_without_earlier_data_nothing_is_compared():
    """Data that begins with the period gives no change and no “new”, and says so."""
    text = words_of(build_report(last_week(demo())))
    assert "The data does not cover the 7 days before" in text
    assert "Which are new is not known" in text


def test_empty_period_says_so():
    """A period without activities gives a page that says so, without sections or numbers."""
    early = demo()["createdAt"].min() - pd.Timedelta(30, "D")
    found = Reader(render_report(demo(), period=(early, early + pd.Timedelta(7, "D"))))
    assert "No activities in this period" in found.text
    assert "data" not in {tag for tag, _ in found.tags}


def test_empty_frame_needs_a_moment():
    """Without activities nothing says when the period ends; given that, there is a page."""
    empty = demo().iloc[:0]
    for as_of in (None, "1d"):
        with pytest.raises(ak.ConfigError, match="give as_of"):
            render_report(empty, as_of=as_of)
    assert "No activities" in render_report(empty, as_of="2026-10-01")


def test_children_alone_make_a_page():
    """A selection without root activities has no rate, and the page says so."""
    children = demo()[demo()["parentActivityId"].notna()]
    assert build_report(children).headline == "No run has succeeded or failed yet"


def test_selection_narrows_the_report():
    """Only the selected rows count, and the page says which selection that is."""
    name = demo()["tenant.name"].value_counts().index[0]
    rows = section(build_report(demo(), where=Filter(tenant=name)), "tenants").tables[0].rows
    assert {row["tenant.name"] for row in rows} == {name}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tz": "Mars/Olympus"}, "unknown time zone 'Mars/Olympus'"),
        ({"tz": "../etc"}, "unknown time zone"),
        ({"period": ("2100-01-01", "2100-02-01")}, "choose an earlier period"),
        ({"period": ("2026-02-01", "2026-01-01")}, "ends before it begins"),
        ({"period": "fortnight"}, "cannot read the period 'fortnight'"),
        ({"period": "2026-01-01"}, "cannot read the period"),
        ({"period": "0d"}, "ends before it begins"),
        ({"period": 7}, "cannot read the period 7"),
    ],
)
def test_bad_arguments_give_one_clear_error(arguments, message):
    """Each wrong argument is named, with what to give instead."""
    with pytest.raises(ak.ConfigError, match=re.escape(message)):
        build_report(few(), **arguments)


def test_missing_columns_are_named():
    """A frame from elsewhere is refused before anything is drawn."""
    with pytest.raises(ak.SchemaError, match=r"the report needs the column\(s\) updatedAt"):
        render_report(demo().drop(columns="updatedAt"))


def test_frame_stays_as_it_was():
    """Rendering does not change the frame."""
    before = few().copy(deep=True)
    build_report(few())
    pd.testing.assert_frame_equal(few(), before)


def test_file_is_the_page(tmp_path):
    """The file holds what render_report gives, and replaces an older one."""
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    assert write_report(demo(), path, tz="Europe/Berlin") == path
    assert path.read_text(encoding="utf-8") == page()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """When the disk fills up, the old report stays whole and nothing else is left."""
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ak.ConfigError, match="No space left on device; choose"):
        save_report(report(), path, "md")
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]


def test_missing_folder_is_named(tmp_path):
    """A folder that does not exist gives one clear error and is not made."""
    with pytest.raises(ak.ConfigError, match=r"cannot write the report to .*No such file"):
        save_report(report(), tmp_path / "none" / "report.md", "md")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_file_has_the_permissions_of_any_file(tmp_path):
    """The report can be read by whom the umask lets read new files."""
    plain = tmp_path / "plain"
    plain.touch()
    made = save_report(report(), tmp_path / "report.md", "md")
    assert made.stat().st_mode == plain.stat().st_mode


def test_week_and_month_are_the_last_full_ones():
    """Calendar periods end at the last midnight that closed one, in the report's zone."""
    zone = ZoneInfo("Europe/Berlin")
    moment = pd.Timestamp("2026-03-31T23:30", tz="UTC")  # 1 April in Berlin
    week, before = read_period("week", moment, zone)
    assert [str(edge.tz_convert(zone)) for edge in week[:2]] == [
        "2026-03-23 00:00:00+01:00",
        "2026-03-30 00:00:00+02:00",
    ]
    assert before.until == week.since
    month, before = read_period("month", moment, zone)
    assert str(month.since.tz_convert(zone)) == "2026-03-01 00:00:00+01:00"
    assert str(before.since.tz_convert(zone)) == "2026-02-01 00:00:00+01:00"


@settings(max_examples=60)
@given(
    moment=st.datetimes(pd.Timestamp(1990, 1, 1), pd.Timestamp(2035, 1, 1)),
    name=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Beirut", "America/Havana", "Pacific/Apia"]),
    unit=st.sampled_from(["week", "month"]),
)
def test_calendar_periods_follow_each_other(moment, name, unit):
    """Both periods are over, adjoin, and begin on a Monday or a first, wherever clocks change."""
    zone, moment = ZoneInfo(name), pd.Timestamp(moment, tz="UTC")
    present, before = read_period(unit, moment, zone)
    starts = [edge.tz_convert(zone) for edge in (before.since, present.since, present.until)]
    assert (
        before.until
        == present.since
        < present.until
        <= moment
        < present.until + pd.Timedelta(32, "D")
    )
    assert all((s.weekday() == 0) if unit == "week" else (s.day == 1) for s in starts)


def test_spans_count_back_from_the_data():
    """A span ends at as_of, and is compared with the same length before."""
    moment = pd.Timestamp("2026-10-22T03:17:22.123456789", tz="UTC")
    present, before = read_period("36h", moment, UTC)
    assert (present.until, present.until - present.since) == (moment, pd.Timedelta(36, "h"))
    assert (before.until, before.until - before.since) == (present.since, pd.Timedelta(36, "h"))
    assert before.name == "the 36 hours before"


def test_as_of_counts_back_from_the_data_as_well():
    """A span as `as_of` means so long before the latest update, not before now."""
    moment = few()["updatedAt"].max() - pd.Timedelta(1, "D")
    assert scope_of(few(), as_of="1d").period == scope_of(few(), as_of=moment).period


def test_few_runs_make_no_clear_change():
    """One failed run after three good ones is called few runs, not a rise."""
    once = {"n_failed": 1, "n_success": 0, "failure_rate": 1.0, "ci_low": 0.21, "ci_high": 1.0}
    never = {"n_failed": 0, "n_success": 3, "failure_rate": 0.0, "ci_low": 0.0, "ci_high": 0.56}
    assert compare.change(once, never).word == "few runs"
    assert compare.change(never, None) is None


@pytest.mark.parametrize(("x", "n", "y", "m"), [(56, 70, 48, 80), (9, 10, 3, 10), (0, 10, 0, 20)])
def test_change_is_newcombes_interval(x, n, y, m):
    """From plain Wilson intervals the change has Newcombe's interval, as in statsmodels."""
    from activitykit.stats.failures import wilson

    rates = [
        {"n_failed": a, "n_success": b - a, "failure_rate": a / b}
        | dict(zip(("ci_low", "ci_high"), wilson(a, b), strict=True))
        for a, b in ((x, n), (y, m))
    ]
    found = compare.change(*rates)
    assert found[1:3] == pytest.approx(confint_proportions_2indep(x, n, y, m, method="newcomb"))
    assert found.word == ("higher" if x in {56, 9} else "no clear change")


RUNS = """
    CREATE VIEW runs AS
        WITH latest AS (SELECT max("updatedAt")::TIMESTAMPTZ AS moment FROM activities)
        SELECT *, CASE
            WHEN "result.error.code" = 'OperationCanceledByUser' AND "result.code" = 'error'
                THEN NULL
            WHEN "result.code" IN ('ok', 'warning') THEN 'good'
            WHEN "result.code" IN ('error', 'abandoned', 'timedout') THEN 'failed' END AS outcome,
            "startedAt"::TIMESTAMPTZ AS started
        FROM activities, latest
        WHERE "parentActivityId" IS NULL AND state = 'completed'
            AND started >= moment - INTERVAL 168 HOUR AND started < moment"""
STALE = """
    WITH latest AS (SELECT max("updatedAt")::TIMESTAMPTZ AS moment FROM activities), pairs AS (
        SELECT any_value(moment) AS moment, max("startedAt")::TIMESTAMPTZ AS last_start,
            min("startedAt")::TIMESTAMPTZ AS first_start,
            (max("completedAt") FILTER (WHERE "result.code" IN ('ok', 'warning')))::TIMESTAMPTZ
                AS good,
            count(*) FILTER (WHERE "result.code" IN ('error', 'abandoned', 'timedout')
                AND coalesce("result.error.code", '') <> 'OperationCanceledByUser') AS bad
        FROM activities, latest WHERE "parentActivityId" IS NULL AND "policy.type" = 'backup'
        GROUP BY coalesce("tenant.uuid", "tenant.id"), lower("resource.id"), "policy.id")
    SELECT count(*) FROM pairs WHERE last_start >= moment - INTERVAL 336 HOUR AND (
        moment - good > INTERVAL 36 HOUR OR (good IS NULL AND (bad > 0
            OR moment - first_start > INTERVAL 36 HOUR)))"""


@pytest.fixture
def sql(tmp_path):
    """Ask a snapshot of the demo data by plain SQL, as the view ``activities``."""
    import duckdb

    with duckdb.connect() as connection:
        path = ak.write_snapshot(demo(), tmp_path / "demo.parquet")
        connection.read_parquet(str(path)).create_view("activities")
        connection.execute(RUNS)
        yield lambda text: connection.sql(text).fetchall()


def test_verdict_and_tenants_are_those_of_hand_written_sql(sql):
    """Runs, failures and rates equal what plain SQL counts on a snapshot of the same frame."""
    [(failed, decided)] = sql("""SELECT count(*) FILTER (WHERE outcome = 'failed'),
        count(outcome) FROM runs""")
    summary = report().summary
    assert (summary["n_failed"], summary["n_failed"] + summary["n_success"]) == (failed, decided)
    assert summary["failure_rate"] == failed / decided
    found = sql("""SELECT "tenant.id", count(*) FILTER (WHERE outcome = 'failed'), count(outcome)
        FROM runs GROUP BY 1""")
    counts = {tenant: numbers for tenant, *numbers in found}
    for row in section(report(), "tenants").tables[0].rows:
        bad, n = counts.get(row["tenant.id"], [0, 0])
        assert (row["n_failed"], row["failure_rate"]) == (bad, bad / n if n else None)


def test_reasons_are_those_of_hand_written_sql(sql):
    """The resources that each reason touched equal what plain SQL counts."""
    touched = sql("""SELECT count(DISTINCT lower("resource.id")) FROM runs
        WHERE outcome = 'failed' GROUP BY coalesce("error_signature", "result.code"),
        "result.error.domain", "result.error.code" ORDER BY 1 DESC LIMIT 15""")
    rows = section(report(), "failures").tables[0].rows
    assert [(row["n_resources"],) for row in rows] == touched


def test_last_good_runs_are_those_of_hand_written_sql(sql):
    """What is past its target equals what plain SQL finds with one target for all."""
    made = build_report(demo(), targets="36h")
    [(found,)] = sql(STALE)
    assert made.summary["n_stale"] == section(made, "freshness").tables[0].total == found


FIRST, MINUTES = pd.Timestamp("2026-03-01T06:00", tz="UTC"), pd.Timedelta(10, "min")


def days_of(codes, name="one", tenant="1"):
    """Make the daily backups of one resource, with these results from `FIRST` on."""
    items = [
        {
            "id": 2**60 + hash_of(name) * 1000 + day, "type": "backup", "state": "completed",
            "tenant": {"id": tenant, "uuid": f"uuid-{tenant}", "name": f"Tenant {tenant}",
                       "locator": f"/1/{tenant}/"},
            "resource": {"id": name, "name": name}, "executor": {"id": "agent"},
            "policy": {"id": "p", "name": "Nightly", "type": "backup"}, "result": {"code": code},
            **dict.fromkeys(("createdAt", "startedAt"), at.isoformat()),
            **dict.fromkeys(("completedAt", "updatedAt"), (at + MINUTES).isoformat()),
        }
        for day, code in enumerate(codes)
        for at in [FIRST + pd.Timedelta(day, "D")]
    ]  # fmt: skip
    return ak.flatten(items)


def hash_of(name):
    """Give every name its own ids, the same on every day."""
    return sum(ord(sign) * 31**place for place, sign in enumerate(name))


CASES = {
    # fourteen days of results: the kind of job that they make on the last day
    "new": ["ok"] * 11 + ["error"] * 3,
    "recurring": ["ok"] * 5 + ["error"] + ["ok"] * 6 + ["error"] * 2,
    "chronic": ["error"] * 14,
    "recovered": ["ok"] * 4 + ["error"] * 2 + ["ok"] * 8,
    "fine": ["ok"] * 14,
}


@pytest.mark.parametrize("kind", CASES)
def test_failures_are_classed_against_the_period_before(kind):
    """New, recurring, chronic and recovered follow from the runs of both periods."""
    df = days_of(CASES[kind])
    scope = scope_of(df, as_of=FIRST + pd.Timedelta(14, "D"), targets="100d")
    found = act.jobs(scope, act_ages(scope), act_running(scope))
    classes = [row["class"] for row in found.rows]
    assert classes == ([kind] if kind in {"new", "recurring", "chronic"} else [])
    assert len(found.recovered) == (kind == "recovered")


def test_the_list_ranks_by_target_then_streak_then_class():
    """Past the target comes first, then three in a row, then a single failure."""
    parts = {"old": ["ok"] + ["error"] * 13, "alarm": ["ok"] * 11 + ["error"] * 3,
             "once": ["ok"] * 13 + ["error"]}  # fmt: skip
    df = pd.concat([days_of(codes, name) for name, codes in parts.items()], ignore_index=True)
    scope = scope_of(df, as_of=FIRST + pd.Timedelta(14, "D"), targets="10d")
    found = act.jobs(scope, act_ages(scope), act_running(scope))
    assert [row["resource.name"] for row in found.rows] == ["old", "alarm", "once"]
    assert found.rows[0]["why"].startswith("no good run for 14 d (target 10 d); 13 failures")
    assert found.rows[1]["streak"] == 3


def test_what_the_policy_counts_is_in_a_rate():
    """Cancelled runs are named as left out only where the policy leaves them out."""
    df = days_of(["ok"] * 12 + ["cancelled"] * 2)
    counted = ak.OutcomePolicy(failure=("error", "cancelled"), neither=())
    assert "In no rate: 2 cancelled." in build_report(df).coverage
    assert "In no rate" not in build_report(df, policy=counted).coverage


def test_the_day_on_which_clocks_change_is_whole():
    """As the last day of a period, one of 23 or 25 hours is a whole one."""
    for day in ("2026-03-29", "2026-10-25"):
        end = pd.Timestamp(day, tz="Europe/Berlin") + pd.DateOffset(days=1)
        scope = scope_of(demo(), period=(end - pd.DateOffset(days=7), end), tz="Europe/Berlin",
                         as_of=end + pd.Timedelta(1, "D"))  # fmt: skip
        started = (end - pd.Timedelta(1, "h")).tz_convert("UTC")
        runs = demo().head(3).assign(startedAt=started, parentActivityId=None)
        assert set(failures.buckets(scope, runs)["part"]) == {1.0}


def hang(df, name):
    """Let the last run of a resource go on until the end of the fourteen days."""
    last = df.index[df["resource.name"] == name][-1]
    df.loc[last, "state"] = "running"
    df.loc[last, ["result.code", "completedAt"]] = [None, pd.NaT]
    return df


@pytest.mark.parametrize(("code", "kind"), [("ok", "overdue"), ("error", "new")])
def test_a_run_that_hangs_past_the_target_is_one_row_at_the_top(code, kind):
    """A hanging run ranks by its target as well, and joins the failures of its series."""
    codes = ["ok"] * 9 + [code] + ["ok"]
    df = pd.concat([hang(days_of(codes, "stuck"), "stuck"), days_of(["error"] * 14, "bad"),
                    days_of(["ok"] * 14, "fine")], ignore_index=True)  # fmt: skip
    scope = scope_of(df, as_of=FIRST + pd.Timedelta(14, "D"), targets={"*": "100d"})
    ranked = scope_of(df, as_of=scope.as_of, targets="2d", where=Filter(resource=("stuck", "fine")))
    everything = act.jobs(scope, act_ages(scope), act_running(scope)).rows
    assert [row["resource.name"] for row in everything].count("stuck") == 1
    [first] = act.jobs(ranked, act_ages(ranked), act_running(ranked)).rows
    assert (first["class"], first["strip"][-1], first["rank"][0]) == (kind, "running", False)
    assert first["why"].startswith("no good run for")
    assert ("running for 4 d" in first["why"]) == (code == "error")


def test_a_backup_that_stopped_is_listed_without_a_failure():
    """Past its target although nothing failed, a resource is overdue, and the list says why."""
    df = pd.concat([days_of(["ok"] * 8, "stopped"), days_of(["ok"] * 14, "fine")])
    scope = scope_of(df, as_of=FIRST + pd.Timedelta(14, "D"))
    [job] = act.jobs(scope, act_ages(scope), act_running(scope)).rows
    assert (job["resource.name"], job["class"]) == ("stopped", "overdue")
    assert "no run has ended for 7 d" in job["reason"]


def test_targets_follow_names_and_rhythm():
    """The first pattern that fits a plan's name counts; without targets its rhythm does."""
    table = pd.DataFrame({"policy.name": ["Weekly full", "Nightly", None]})
    usual = pd.Series([7 * 86_400.0, 86_400.0, float("nan")])
    named = target_seconds(table, usual, {"*WEEKLY*": "8d", "Night*": "36h"})
    assert named[:2] == [8 * 86_400, 36 * 3_600]
    assert pd.isna(named[2])
    assert target_seconds(table, usual, "2d") == [2 * 86_400] * 3
    assert target_seconds(table, usual, None) == [14 * 86_400, 3 * 86_400, 3 * 86_400]


def test_no_run_is_not_no_data():
    """A day without a run is “no run” where data covers it, and “no data” where it does not."""
    df = days_of(["ok"] * 8)
    end = FIRST + pd.Timedelta(14, "D")
    covered = section(build_report(df, as_of=end), "calendar").tables[0].rows[0]
    assert (covered["idle"], covered["unseen"]) == (7, 0)
    beyond = (FIRST + pd.Timedelta(7, "D"), end + pd.Timedelta(3, "D"))
    ahead = section(build_report(df, as_of=end, period=beyond), "calendar").tables[0].rows[0]
    assert (ahead["idle"], ahead["unseen"]) == (6, 4)
    df.attrs[ATTRS] = {"complete": False}
    broken = section(build_report(df, as_of=end), "calendar").tables[0].rows[0]
    assert (broken["idle"], broken["unseen"]) == (0, 7)


def test_partial_tenants_are_withheld_and_the_others_are_not():
    """Of two tenants in an archive, only the one with a gap loses its rates, in no rate of all."""
    whole, gap = days_of(["ok"] * 14, "a", tenant="1"), days_of(["error"] * 14, "b", tenant="2")
    df = pd.concat([whole, gap], ignore_index=True)
    end = FIRST + pd.Timedelta(14, "D")
    line = {"base_url": "u", "filter": "ak.Filter()", "since": None, "until": end.isoformat()}
    df.attrs[ATTRS] = {"coverage": [
        line | {"tenant": "uuid-1", "status": "complete"},
        line | {"tenant": "uuid-2", "status": "partial"},
    ]}  # fmt: skip
    made = build_report(df)
    rates = {
        row["tenant.id"]: row["failure_rate"] for row in section(made, "tenants").tables[0].rows
    }
    assert rates == {"1": 0.0, "2": "withheld"}
    assert (made.summary["failure_rate"], made.summary["complete"]) == (0.0, False)
    assert made.banners[0].title == "Incomplete data of 1 tenant."


def test_a_customer_gets_one_tenant_in_plain_words():
    """The customer's report has the numbers of the tenant, other words, and no other tenant."""
    name = demo()["tenant.name"].value_counts().index[0]
    made = build_report(demo(), profile="customer", where=Filter(tenant=name))
    same = build_report(demo(), where=Filter(tenant=name))
    assert made.summary == same.summary
    assert [one.key for one in made.sections] == [one.key for one in same.sections]
    assert section(made, "act").title == "What needs attention"
    with pytest.raises(ak.ConfigError, match="is for one tenant, and the selection has"):
        build_report(demo(), profile="customer")


def test_a_customer_reads_of_no_other_tenant(tmp_path):
    """No format names another tenant, its filter, a path or all rows, and it is made again."""
    df = pd.concat([days_of(["ok"] * 14, "a", tenant="1"), days_of(["ok"] * 14, "b", tenant="2")])
    line = {"since": None, "until": (FIRST + pd.Timedelta(14, "D")).isoformat(), "rows": 4711}
    line |= {"status": "complete", "base_url": "https://secret.example", "fetched_at": "x"}
    asked = "ak.Filter(tenant=['Tenant 1'])", "ak.Filter(tenant=['Tenant 2'])"
    df.attrs[ATTRS] = {"source": "/srv/secret", "filter": asked[1], "version": 3, "coverage": [
        line | {"tenant": "uuid-secret", "filter": one} for one in asked] + [
        line | {"tenant": "uuid-2", "filter": "ak.Filter()"},
        line | {"tenant": "uuid-1", "filter": asked[0]},
    ]}  # fmt: skip
    made = build_report(df, profile="customer", where=Filter(tenant="Tenant 1"))
    for form in ("html", "md", "json"):
        path = save_report(made, tmp_path / f"r.{form}", form)
        text = path.read_text("utf-8")
        assert not [word for word in ("Tenant 2", "uuid-2", "secret", "4711") if word in text]
        told = read_manifest(path)
        assert to_json(rebuild_report(gather_again(df, told), told)) == to_json(made)
    assert (made.manifest["rows"]["frame"], made.summary["complete"]) == (14, True)
    assert made.banners[0].text == "So what else happened is not counted."


@given(
    spans=st.lists(
        st.lists(st.tuples(st.integers(0, 12), st.integers(1, 14)), min_size=1, max_size=3),
        min_size=1, max_size=3,
    )
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_what_a_customer_may_not_read_decides_as_before(spans):
    """What other scopes cover decides the same, told apart by name or told together."""
    df = days_of(["ok"] * 14, "a", tenant="1")
    line = {"base_url": "u", "filter": "ak.Filter()", "status": "complete"}
    df.attrs[ATTRS] = {"coverage": [
        line | {"tenant": f"uuid-{number}", "since": (FIRST + pd.Timedelta(a, "D")).isoformat(),
                "until": (FIRST + pd.Timedelta(max(b, a + 1), "D")).isoformat()}
        for number, own in enumerate(spans, start=1) for a, b in own
    ]}  # fmt: skip
    end = FIRST + pd.Timedelta(14, "D")
    ours, theirs = (scope_of(df, profile=name, as_of=end) for name in ("customer", "ops"))
    assert (ours.partial, ours.compared) == (theirs.partial, theirs.compared)
    days = [end - pd.Timedelta(back, "D") for back in range(8)]
    for until, since in pairwise(days):
        assert ours.seen("1", since, until) == theirs.seen("1", since, until)


def test_a_customer_reads_no_names_of_columns():
    """Each check of the data is told in plain words, without a name of a column or in code."""
    names = {name for name in ak.columns()["name"] if name.lower() != name or "." in name}
    assert set(method.CHECKS) == set(MEANING)
    for words in method.CHECKS.values():
        assert not [name for name in names if name in " ".join(words)]
        assert "_" not in " ".join(words)


def test_waits_by_hour_are_those_of_the_statistics():
    """Waits by the hour of the start equal what duration_stats gives for each hour."""
    scope = scope_of(demo())
    runs = scope.runs_now.assign(hour=scope.runs_now["startedAt"].dt.hour.astype("int64"))
    names = ["hour", "n", "queue_p50_s", "queue_p95_s"]
    expected = ak.duration_stats(runs, by="hour", as_of=scope.as_of)[names]
    found = pd.DataFrame(load._waits(scope, scope.runs_now))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_every_cap_and_section_is_there():
    """Sections 2 to 9 come in order, and each table that is cut says of how many rows."""
    keys = "act tenants freshness failures durations load calendar quality method"
    assert " ".join(one.key for one in report().sections) == keys
    for one in report().sections:
        assert one.text or one.tables
        for table in one.tables:
            cut = len(table.rows) < table.total
            assert (f"{len(table.rows):,} of {table.total:,}" in table.caption) == cut


def test_manifest_rebuilds_the_report():
    """The arguments in the manifest make the same report again, and its hash knows the rows."""
    given = report().manifest["arguments"]
    again = given | {"policy": ak.OutcomePolicy(**given["policy"])}
    assert to_json(build_report(demo(), **again)) == to_json(report())
    fewer = build_report(demo().iloc[1:], **again).manifest
    assert fewer["content_hash"] != report().manifest["content_hash"]
    text = re.search(r'<pre id="manifest-json">(.*?)</pre>', page(), re.DOTALL)[1]
    assert json.loads(unescape(text)) == report().manifest


@given(
    moment=st.datetimes(pd.Timestamp(1990, 1, 1), pd.Timestamp(2035, 1, 1)),
    name=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Beirut", "Asia/Kolkata", "Pacific/Apia"]),
    span=st.sampled_from(["24h", "7d", "31d"]),
)
@settings(max_examples=60)
def test_days_of_a_period_follow_each_other(moment, name, span):
    """The days begin with the period, at midnights from then on, and end before its end."""
    zone = ZoneInfo(name)
    period, _ = read_period(span, pd.Timestamp(moment, tz="UTC"), zone)
    starts = day_starts(period, name)
    assert starts[0] == period.since
    assert starts.is_monotonic_increasing
    assert starts[-1] < period.until
    walls = [at.tz_convert(zone) for at in starts[1:]]
    assert all(wall.hour <= 1 and not wall.minute for wall in walls)


@pytest.mark.parametrize("targets", ["soon", {"*": "1x"}, {"*": "0d"}])
def test_bad_targets_give_one_clear_error(targets):
    """A target that is no span is named, with what to give instead."""
    with pytest.raises(ak.ConfigError, match="cannot read the target"):
        build_report(few(), targets=targets)


def test_page_of_much_data_stays_small():
    """The caps keep the page small however many tenants and resources there are."""
    df = demo().copy()
    df["tenant.id"] = (df["id"] % 997).astype("str")
    df["resource.id"] = df["resource.id"] + (df["id"] % 31).astype("str")
    assert len(render_report(df, period="21d").encode()) < 1_500_000


@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "all is here")
@pytest.mark.skipif(not browser.AXE.exists(), reason="there is no axe-core: run make test")
def test_axe_finds_nothing_serious(tmp_path):
    """axe-core has nothing serious to say of either profile: light, dark, and on a phone."""
    where = Filter(tenant=few()["tenant.name"].value_counts().index[0])
    mine = render_report(few(), profile="customer", where=where)
    wide, phone = (1200, 900), (390, 844)
    looks = [(page(), "light", wide), (page(), "dark", phone), (mine, "dark", wide)]
    path = tmp_path / "report.html"
    with browser.chromium() as opened:
        for made, scheme, size in looks:
            path.write_text(made, encoding="utf-8")
            shown = browser.page_in(opened, size=size, color_scheme=scheme, bypass_csp=True)
            shown.goto(path.as_uri())
            assert (browser.serious(shown, "html"), shown.complaints) == ([], [])
