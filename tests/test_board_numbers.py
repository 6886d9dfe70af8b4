"""The numbers of the board against plain pandas, over random filters; faults would show."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import activitykit as ak
from activitykit.explorer import measures, rankings, rows, state, tree
from activitykit.explorer.cube import NEEDS, Cube
from activitykit.explorer.facets import TREE
from activitykit.explorer.look import Look
from activitykit.explorer.scope import HOURS, KIND, REASONS, Scope
from activitykit.explorer.selection import Selection

FIELDS = {
    "state": "state", "tenant": "tenant.name", "plan": "policy.name", "type": "type",
    "resource": "resource.name", "started_by": "startedByUser",
}  # fmt: skip
PLAIN = {}
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata"]


@pytest.fixture(scope="module")
def df():
    """Give simulated activities, with what the plain way needs worked out once, row by row."""
    searched = ["operation", "uuid", "context.title", "result.error.reason"]
    frame = ak.flatten(ak.demo.simulate(700, seed=11))[[*NEEDS, *searched]]
    fates = ak.failure_stats(frame, by="id").set_index("id")[["n_failed", "n_success"]]
    timed = ak.durations(frame)
    frame = frame.join(fates, on="id").assign(**timed[["duration_s", "finished", "running"]])
    frame["legacy_"] = timed["legacy"]
    frame["late_"] = frame["id"].isin(ak.overdue(frame).query("overdue")["id"])
    frame[["n_failed", "n_success"]] = frame[["n_failed", "n_success"]].fillna(0)
    return frame


@pytest.fixture(scope="module")
def cube(df):
    """Encode the frame once."""
    made = Cube(df)
    made.judge()
    return made


def random_choice(df, rng):
    """Draw a filter of up to three fields, and now and then a scope, from what the frame holds."""

    def some(column, most=3):
        values = [value for value in pd.unique(df[column].dropna()) if value]
        return [str(value) for value in rng.choice(values, rng.integers(1, most + 1))]

    at = df["createdAt"].iloc[rng.integers(0, len(df), 2)].sort_values()
    words = ["ok", "error", "warning", "running", "queued", "none", "cancelled", "nonsense"]
    made = {
        "result": lambda: rng.choice(words, rng.integers(1, 4), replace=False).tolist(),
        "state": lambda: some("state"), "type": lambda: some("type", 6),
        "tenant": lambda: some(rng.choice(["tenant.name", "tenant.locator"])),
        "policy": lambda: [*some("policy.name"), ""], "resource": lambda: some("resource.name", 9),
        "started_by": lambda: rng.choice([*some("startedByUser"), "", "BY_*"], 2).tolist(),
        "text": lambda: str(rng.choice(["backup", "SRV", "4", "no such text"])),
        "since": lambda: at.iloc[0], "until": lambda: at.iloc[1],
    }  # fmt: skip
    fields = rng.choice(list(made), rng.integers(0, 4), replace=False)
    where = ak.Filter(**{field: made[field]() for field in fields})
    if rng.random() < 0.5:
        return where, Scope(tz=str(rng.choice(ZONES)))
    return where, Scope(
        roots=bool(rng.random() < 0.8), children=bool(rng.random() < 0.6),
        legacy=bool(rng.random() < 0.5), tz=str(rng.choice(ZONES)),
        reasons=tuple(some("error_signature")) if rng.random() < 0.2 else (),
        hours=tuple(rng.choice(168, 60, replace=False).tolist()) if rng.random() < 0.4 else (),
    )  # fmt: skip


def cases(df, n):
    """Give n filters with their scopes, the same every time."""
    rng = np.random.default_rng(5)
    return [random_choice(df, rng) for _ in range(n)]


def plain(df, where, scope, *without):
    """Select by the filter's own `select` and by plain pandas, without some conditions."""
    key = repr(where), scope, frozenset(without)
    if key not in PLAIN:
        PLAIN[key] = plainly(df, where, scope, *without)
    return PLAIN[key]


def plainly(df, where, scope, *without):
    """Do the work of `plain`, which keeps what it found."""
    off = {"since": None, "until": None} if "time" in without else {}
    off |= {name: () for name in without if name in ("result", "type", "tenant", "state", "policy",
                                                     "resource", "started_by")}  # fmt: skip
    rows = replace(where, **off).select(df)
    if KIND not in without:
        child = rows["parentActivityId"].fillna(0) != 0
        rows = rows[(child & scope.children) | (~child & scope.roots)]
        rows = rows if scope.legacy else rows[~rows["legacy_"]]
    if scope.reasons and REASONS not in without:
        rows = rows[rows["error_signature"].isin(scope.reasons)]
    if scope.hours and HOURS not in without:
        rows = rows[hours(rows, scope.tz).isin(scope.hours)]
    return rows


def hours(rows, tz):
    """Number the hours of the week."""
    local = rows["createdAt"].dt.tz_convert(tz)
    return 24 * local.dt.day_of_week + local.dt.hour


def kaplan_meier(rows, q):
    """Give the quantile by the textbook: the product of the shares that outlive each time."""
    rows = rows[~rows["legacy_"] & (rows["finished"] | rows["running"]) & (rows["duration_s"] >= 0)]
    seconds, ended = rows["duration_s"].to_numpy(), rows["finished"].to_numpy(dtype=bool)
    times = np.unique(seconds[ended])
    at_risk = len(seconds) - np.searchsorted(np.sort(seconds), times)
    ends = np.unique(seconds[ended], return_counts=True)[1]
    reached = times[np.cumprod(1 - ends / at_risk) <= 1 - q + 1e-12]
    return reached.min() if len(reached) else np.nan


def near(shown, told):
    """Tell whether numbers are the same, and missing where the others are."""
    return np.allclose(
        np.array(shown, dtype=float), np.array(told, dtype=float), equal_nan=True, rtol=1e-9
    )


def named(values):
    """Count values as facets do."""
    return values.astype(object).where(values != "").fillna("(none)").value_counts().to_dict()


def disagreements(df, cube, where, scope, before=None):
    """Name the numbers of the board that plain pandas does not give."""
    selection = Selection(cube, where, scope, before=before)
    rows = plain(df, where, scope)
    rated = plain(df, where, scope, "result")
    numbers = measures.headline(selection)
    found = {
        "filtered": selection.filtered["id"].tolist() == rows["id"].tolist(),
        "failures": [numbers.n_failed, numbers.n_decided - numbers.n_failed]
        == rated[["n_failed", "n_success"]].sum().tolist(),
        "overdue": numbers.n_overdue == rows["late_"].sum(),
        "running": numbers.n_running == rows["running"].sum(),
        "p50": near(numbers.p50_s, kaplan_meier(rows, 0.5)),
        "p95": near(numbers.p95_s, kaplan_meier(rows, 0.95)),
        "facets": facets_agree(df, selection),
        "series": series_agree(df, selection),
        "rankings": rankings_agree(df, selection),
        "week": week_agrees(df, selection),
        "code": code_agrees(df, selection),
    }
    return [name for name, agrees in found.items() if not agrees]


def facets_agree(df, selection):
    """Compare the count of every option under all other filters."""
    for name, column in FIELDS.items():
        facet = selection.cube.facets[name]
        told = named(plain(df, selection.filter, selection.scope, facet.field)[column])
        options, _ = selection.options(name)
        if any(one.n != told.get(one.label, 0) for one in options if one.number not in facet.odd):
            return False
    below = plain(df, selection.filter, selection.scope, "tenant")["tenant.locator"].fillna("")
    nodes, _ = selection.options(TREE)
    return all(one.n == below.str.startswith(one.terms[0]).sum() for one in nodes)


def series_agree(df, selection):
    """Compare each bucket of time with the rows cut at its edges."""
    where, scope, line = selection.filter, selection.scope, measures.timeline(selection)

    def cut(rows, values):
        bins = pd.cut(rows["createdAt"], line.starts.tz_convert("UTC"), right=False)
        return values.groupby(bins, observed=False).sum().tolist()

    shown = plain(df, where, scope, "time")
    rated = plain(df, where, scope, "time", "result")
    ok = shown["result.code"].eq("ok").astype(int)
    return (
        sum(line.counts.values()).tolist() == cut(shown, shown["id"] * 0 + 1)
        and line.counts["OK"].tolist() == cut(shown, ok)
        and line.n_failed.tolist() == cut(rated, rated["n_failed"])
        and line.n_decided.tolist() == cut(rated, rated["n_failed"] + rated["n_success"])
    )


def rankings_agree(df, selection):
    """Compare the top lists with groups of the rows."""
    where, scope, facets = selection.filter, selection.scope, selection.cube.facets
    for by, column in (("tenant", "tenant.name"), ("resource", "resource.name")):
        labels, field = facets[by].labels, facets[by].field
        rated = plain(df, where, scope, "result", field)
        sums = rated.groupby(rated[column].fillna("(none)"))[["n_failed", "n_success"]].sum()
        shown = rankings.rates(selection, by)
        most = sums[sums.sum(axis=1) > 0]["n_failed"].sort_values(ascending=False)
        if [one.n_failed for one in shown] != most.head(len(shown)).tolist():
            return False
        if any(one.n_failed != sums.loc[labels[one.number], "n_failed"] for one in shown):
            return False
        rows = plain(df, where, scope, field)
        for one in rankings.lengths(selection, by, 2)[:2]:
            group = rows[rows[column].fillna("(none)") == labels[one.number]]
            if not near([one.p50_s, one.p95_s], [kaplan_meier(group, q) for q in (0.5, 0.95)]):
                return False
    rows = plain(df, where, scope, REASONS)
    told = rows[rows["n_failed"] > 0].groupby("error_signature")["resource.id"].nunique()
    shown = [one.n_resources for one in rankings.reasons(selection, 1000)]
    return shown == sorted(told, reverse=True)


def week_agrees(df, selection):
    """Compare each hour of the week."""
    where, scope, week = selection.filter, selection.scope, rankings.week(selection)
    shown = plain(df, where, scope, HOURS)
    rated = plain(df, where, scope, HOURS, "result")
    n = np.bincount(hours(shown, scope.tz), minlength=168)
    failed = np.bincount(hours(rated, scope.tz), weights=rated["n_failed"], minlength=168)
    return week.n.tolist() == n.tolist() and week.n_failed.tolist() == failed.tolist()


def code_agrees(df, selection):
    """Compare the rows that the Python for users gives; its statistics are tested elsewhere."""
    scope = {"df": df}
    exec(selection.code.partition("durations =")[0], scope)  # noqa: S102 - what users copy
    return scope["rows"].equals(selection.filtered)


def test_the_board_agrees_with_plain_pandas(df, cube):
    """Counts, series, quantiles, top lists and code are right over 200 random filters."""
    before, sizes = None, []
    for where, scope in cases(df, 200):
        assert disagreements(df, cube, where, scope, before) == []
        before = Selection(cube, where, scope, before=before)
        sizes.append(before.matching)
    assert len(set(sizes)) > 60
    assert sum(size > 20 for size in sizes) > 80


def late_end(between):
    """Let intervals end a nanosecond later."""
    later = pd.Timedelta(1, "ns")
    return lambda cube, where: between(
        cube, replace(where, until=where.until + later) if where.until else where
    )


FAULTS = {
    "counts forget to leave a filter out": (Selection, "fewer", lambda old: lambda s, *_: old(s)),
    "the others are not taken off": (
        Selection, "fewer", lambda old: lambda s, *without: (old(s, *without)[0], False)
    ),
    "an interval ends with its last moment": (Cube, "between", late_end),
    "hours are those of UTC": (Cube, "hours", lambda old: lambda cube, _: old(cube, "UTC")),
    "running rows are left out": (
        measures, "survival_quantile",
        lambda old: lambda n, length, ages, by, q: old(n, length, ages[:0], by[:0], q),
    ),
    "nothing is overdue": (
        measures, "headline", lambda old: lambda s: replace(old(s), n_overdue=0)
    ),
    "code forgets the scope": (Scope, "code", lambda _: lambda _: iter(())),
    "reasons count runs": (
        rankings, "reasons",
        lambda old: lambda *args: [one._replace(n_resources=one.n) for one in old(*args)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_would_show(df, monkeypatch, fault):
    """Each of these mistakes is found by the comparison above."""
    home, name, wrong = FAULTS[fault]
    monkeypatch.setattr(home, name, wrong(getattr(home, name)))
    cube = Cube(df)
    cube.judge()
    assert any(disagreements(df, cube, *case) for case in cases(df, 60))


def test_the_tree_shows_what_is_below(df, cube):
    """Parents add up what lies below them, unfold, and stay in sight around what is chosen."""
    selection = Selection(cube)
    shown, more = tree.lines(selection, unfolded=(), search="", limit=3)
    assert [depth for _, depth, _ in shown] == [0, 0, 0]
    assert more > 0
    parent = next(option for option, _, open_ in shown if open_ is False)
    unfolded, _ = tree.lines(selection, unfolded={parent.number}, search="", limit=3)
    inner = [option for option, depth, _ in unfolded if depth == 1]
    own = (df["tenant.locator"] == parent.terms[0]).sum()
    assert sum(option.n for option in inner) + own == parent.n
    chosen = selection.where(selection.toggle(TREE, inner[-1].terms))
    assert any(one.chosen for one, *_ in tree.lines(chosen, unfolded=(), search="", limit=1)[0])


def test_a_tenant_chosen_by_name_is_on_in_the_tree(df, cube):
    """The name stands for the tenant; pressing its node takes the name off again."""
    name = df["tenant.name"].mode()[0]
    selection = Selection(cube, ak.Filter(tenant=name))
    [on] = [one for one in selection.options(TREE)[0] if one.chosen]
    assert on.label == name
    assert selection.toggle(TREE, on.terms) == ak.Filter()


def test_the_message_is_small_plain_json(cube):
    """What goes to the browser is strict JSON of some 25 kB, ids as text."""
    look = Look()
    look.begin(cube)
    for where in (ak.Filter(), ak.Filter(result="error"), ak.Filter(tenant="nobody")):
        selection = Selection(cube, where)
        message = {**state.views(selection, look), "table": rows.page(selection, look)}
        assert len(json.dumps(message, allow_nan=False)) < 30_000
        assert all(isinstance(row["id"], str) for row in message["table"]["rows"])
