"""The dashboard's numbers, against plain pandas and against the statistics."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

import activitykit as ak
from activitykit.explorer import measures, rankings, table
from activitykit.explorer.conditions import conditions
from activitykit.explorer.cube import NEEDS, Cube
from activitykit.explorer.scope import Scope
from activitykit.explorer.selection import Selection

FACETS = {
    "state": ("state", "state"),
    "tenant": ("tenant", "tenant.name"),
    "plan": ("policy", "policy.name"),
    "resource": ("resource", "resource.name"),
    "started_by": ("started_by", "startedByUser"),
}
ODD = [
    {"id": 9_001, "type": "odd", "state": "started", "startedAt": "2026-10-20T00:00:00Z"},
    {"id": 9_002, "state": "completed", "createdAt": "2026-10-20T00:00:00Z"},
    {"id": 9_003, "state": "melting", "result": {"code": "purple"}, "tenant": {"name": "67"}},
    {"id": 9_004, "state": "enqueued", "tenant": {"id": "67", "name": "x"},
     "createdAt": "2026-10-21T00:00:00.123456789Z", "policy": {"name": "7_Tage_*"}},
    {"id": 9_005, "state": "completed", "result": {"code": "error"}, "policy": {"name": "7_Tage_1"},
     "createdAt": "2026-10-21T00:00:00.12345679Z", "startedAt": "2026-10-21T00:00:01Z",
     "completedAt": "2026-10-21T00:00:00Z", "resource": {"id": "AbC", "name": ""}},
    *[{"id": 9_010 + i, "type": "instant", "state": "completed", "result": {"code": "ok"},
       "createdAt": "2026-10-21T00:00:00Z", "startedAt": "2026-10-21T00:00:01Z",
       "completedAt": "2026-10-21T00:00:01Z"} for i in range(3)],
    {"id": 9_006, "state": "completed", "result": {"code": "ok"}, "resource": {"id": "aBc"}},
]  # fmt: skip


@pytest.fixture(scope="module")
def df():
    """Give simulated activities with a few that break every habit."""
    frame = ak.flatten([*ak.demo.simulate(800, seed=3), *ODD])
    return frame[[*NEEDS, "operation", "uuid", "context.title", "result.error.reason"]]


@pytest.fixture(scope="module")
def cube(df):
    """Encode the frame once."""
    return Cube(df)


def random_filter(df, rng):
    """Draw a filter of one to four fields from what the frame holds."""

    def some(values, most=3):
        values = [v for v in pd.unique(values.dropna()) if v]
        return [str(v) for v in rng.choice(values, rng.integers(1, most + 1))]

    at = df["createdAt"].dropna().iloc[rng.integers(0, len(df) - 10, 2)].sort_values()
    made = {
        "result": lambda: rng.choice(
            [*LABELS, "purple", "nonsense"], rng.integers(1, 4), replace=False
        ).tolist(),
        "state": lambda: some(df["state"]),
        "type": lambda: some(df["type"]),
        "tenant": lambda: some(df[rng.choice(["tenant.name", "tenant.id", "tenant.locator"])]),
        "policy": lambda: rng.choice([*some(df["policy.name"]), "", "7_Tage_*"], 2).tolist(),
        "resource": lambda: some(df["resource.name"], 8),
        "started_by": lambda: [*some(df["startedByUser"]), *rng.choice(["", "BY_*"], 1)],
        "text": lambda: str(rng.choice(["backup", "SRV", "ü", "no such text"])),
        "since": lambda: at.iloc[0],
        "until": lambda: at.iloc[1],
    }  # fmt: skip
    fields = rng.choice(list(made), rng.integers(1, 4), replace=False)
    return ak.Filter(**{field: made[field]() for field in fields})


def cases(df, n):
    """Give n random filters, the same every time."""
    rng = np.random.default_rng(7)
    return [random_filter(df, rng) for _ in range(n)]


def changed(where, **fields):
    """Give the filter with other fields."""
    return dataclasses.replace(where, **fields)


def outcome(df):
    """Name the outcome of each row by the plainest pandas."""
    waiting = df["state"].isin(["enqueued", "assigned"]).map({True: "queued", False: None})
    open_ = waiting.mask(df["state"].isin(["started", "paused"]), "running").fillna("none")
    return df["result.code"].astype(object).where(df["result.code"].notna(), open_)


def expected_counts(df, where, name):
    """Count the values of a facet under all other filters."""
    if name == "outcome":
        rows = changed(where, result=()).select(df)
        return outcome(rows).value_counts().to_dict()
    field, path = FACETS[name]
    rows = changed(where, **{field: ()}).select(df)
    return (
        rows[path].astype(object).where(rows[path] != "").fillna("(none)").value_counts().to_dict()
    )


LABELS = {"ok": "OK", "warning": "Warning", "error": "Error", "cancelled": "Cancelled",
          "abandoned": "Abandoned", "timedout": "Timed out", "running": "Running",
          "queued": "Queued", "none": "No result"}  # fmt: skip


def test_counts_agree_with_pandas(df, cube):
    """Options show what choosing them gives under the other filters, over 60 random ones."""
    checked = 0
    base = Selection(cube)
    for where in cases(df, 60):
        selection = base.where(where)
        for name in ["outcome", *FACETS]:
            facet = cube.facets[name]
            plain = expected_counts(df, where, name)
            plain = (
                {LABELS.get(key, key): n for key, n in plain.items()}
                if name == "outcome"
                else plain
            )
            shown, more = selection.options(name)
            counts = {option.label: option.n for option in shown}
            odd = {facet.labels[i] for i in facet.odd}
            expected = {label: plain.get(label, 0) for label in facet.labels}
            assert more == 0
            assert {k: n for k, n in counts.items() if k not in odd} == {
                k: n for k, n in expected.items() if k not in odd
            }
            checked += sum(n > 0 for n in counts.values())
    assert checked > 1_200  # else the filters would match next to nothing


def test_choosing_gives_the_count(df, cube):
    """Choosing an option of any facet, odd names too, gives as many rows as it showed."""
    rng = np.random.default_rng(0)
    for where in cases(df, 40):
        for name, facet in cube.facets.items():
            selection = Selection(cube, changed(where, **{facet.field: ()}))
            options, _ = selection.options(name)
            picked = [options[rng.integers(len(options))]]
            picked += [o for i, o in enumerate(options) if o.label in ("67", "7_Tage_*", "(none)")]
            for option in picked:
                chosen = selection.toggle(name, option.terms)
                assert len(chosen.select(df)) == option.n


def test_rows_code_and_filter_agree(df, cube):
    """The filter, the rows and the executed code give the same frame and the shown numbers."""
    sizes = []
    for where in [ak.Filter(type="instant"), *cases(df, 40)]:
        selection = Selection(cube, where)
        scope = {"df": df}
        exec(selection.code, scope)  # noqa: S102 - the code that users copy
        pd.testing.assert_frame_equal(scope["rows"], selection.filtered)
        pd.testing.assert_frame_equal(where.select(df), selection.filtered)
        sizes.append(selection.matching)
        shown = measures.headline(selection)
        assert shown.matching == len(scope["rows"])
        if len(scope["durations"]):
            told = scope["durations"].iloc[0][["p50_s", "p95_s"]].astype(float)
            np.testing.assert_allclose([shown.p50_s, shown.p95_s], told)
        if len(scope["failures"]):
            failures = scope["failures"].iloc[0]
            assert [shown.runs, shown.n_failed] == failures[["n", "n_failed"]].tolist()
            rates = failures[["failure_rate", "ci_low", "ci_high"]].astype(float)
            np.testing.assert_allclose([shown.failure_rate, shown.ci_low, shown.ci_high], rates)
            assert shown.n_resources == failures["n_resources"]
    assert len(set(sizes)) > 15
    assert sum(size > 20 for size in sizes) > 10


def test_unchanged_conditions_are_taken_over(df, cube):
    """Going from filter to filter gives the same as starting anew."""
    selection = Selection(cube)
    for where in cases(df, 40):
        selection = selection.where(where)
        assert selection.rows().tolist() == Selection(cube, where).rows().tolist()


def test_the_test_would_notice(df, cube):
    """A filter that is wrong by one condition or one nanosecond gives other numbers."""
    at = df["createdAt"].dropna().iloc[500]
    exact, late = ak.Filter(since=at), ak.Filter(since=at + pd.Timedelta(1, "ns"))
    assert Selection(cube, exact).matching == Selection(cube, late).matching + 1
    assert Selection(cube, ak.Filter(result="none")).matching == 1
    assert Selection(cube, ak.Filter(result=["none", "purple"])).matching == 2


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=9),
    st.sampled_from([0.1, 0.25, 0.4, 0.5, 0.75, 0.95]),
)
@settings(max_examples=150, deadline=None)
def test_quantiles_agree_with_lifelines(rows, q):
    """The short way to a Kaplan-Meier quantile gives what lifelines gives."""
    seconds = np.array([length for length, _ in rows], dtype=float)
    done = np.array([finished for _, finished in rows])
    curve = KaplanMeierFitter().fit(seconds, done).survival_function_.iloc[:, 0]
    reached = curve.index[(curve <= 1 - q + 1e-9) & (curve.index.isin(seconds[done]))]
    ended, ages = np.sort(seconds[done]), np.sort(seconds[~done])
    ended_by = np.searchsorted(ended, ages, side="right")
    found = measures.survival_quantile(len(ended), ended.__getitem__, ages, ended_by, q)
    assert found == reached.min() if len(reached) else np.isnan(found)


def test_rankings_agree_with_the_statistics(df, cube):
    """Top resources and reasons are the first lines of failure_stats and failure_reasons."""
    for where in [ak.Filter(), *cases(df, 15)]:
        selection = Selection(cube, where)
        told = ak.failure_reasons(selection.filtered).head(6)
        shown = pd.DataFrame(rankings.reasons(selection), columns=rankings.Reason._fields)
        assert (
            shown[["n", "n_resources"]].to_numpy().tolist()
            == told[["n", "n_resources"]].to_numpy().tolist()
        )
        by = ak.failure_stats(selection.filtered, by="resource.id")
        most = by.loc[by["n_failed"] > 0, "n_failed"].sort_values(ascending=False).head(6)
        top = rankings.top_resources(selection)
        assert top["n_failed"].tolist()[: len(most)] == most.tolist()


def test_ties_among_reasons_are_ordered(make_frame):
    """Reasons that differ in their domain alone have one order, whatever that of the rows."""
    domains = ["d", "b", "a", "c"]
    df = make_frame([0, 1, 2, 3], [60] * 4, **{
        "result.code": "error", "error_signature": "same", "result.error.code": "E",
        "result.error.domain": domains,
    })  # fmt: skip
    for rows in (df, df[::-1], df.sample(frac=1, random_state=1)):
        assert ak.failure_reasons(rows)["domain"].tolist() == sorted(domains)
        assert [one.domain for one in rankings.reasons(Selection(rows))] == sorted(domains)


def test_the_timeline_counts_every_row_once(df, cube):
    """Bars and the rows said to be left out add up to the rows without the time filter."""
    for where in [ak.Filter(), *cases(df, 60)]:
        selection = Selection(cube, where)
        line = measures.timeline(selection)
        created = changed(where, since=None, until=None).select(df)["createdAt"].dropna()
        drawn = sum(count.sum() for count in line.counts.values())
        assert drawn + sum(line.left_out) == len(created)
        bins = pd.cut(created, line.starts, right=False).value_counts(sort=False)
        assert bins.tolist() == sum(line.counts.values()).tolist()
        assert len(line.starts) <= 125


@pytest.mark.parametrize(
    "where",
    [
        {"since": "1700-01-01"}, {"until": "2260-01-01"}, {"until": "1700-01-01"},
        {"since": "1700-01-01", "until": "2260-01-01"}, {"since": "2260-01-01"},
        {"since": "2026-10-30", "until": "2026-10-01"},
    ],
)  # fmt: skip
def test_the_timeline_stays_with_the_data(cube, where):
    """However far away an interval is, the buckets hold the data next to it."""
    found = measures.timeline(Selection(cube, ak.Filter(**where)))
    created = cube.df["createdAt"]
    assert found.starts[1] > created.min()
    assert found.starts[-2] <= created.max()
    assert sum(map(sum, found.counts.values())) + sum(found.left_out) == created.count()


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe",
                                "America/Havana", "America/Sao_Paulo"])  # fmt: skip
@pytest.mark.parametrize(("at", "reach", "freq"), [
    ("2017-10-14T12:00Z", "80min", "1m"), ("2026-10-24T20:10Z", "3D", "1h"),
    ("2026-10-31T20:10Z", "3D", "1h"), ("2017-10-10T01:10Z", "14D", "3h"),
    ("2026-03-20T01:10Z", "50D", "12h"), ("2017-02-01T01:10Z", "100D", "1d"),
    ("2026-01-01T01:10Z", "500D", "1w"),
])  # fmt: skip
def test_the_timeline_is_cut_as_trend_cuts(tz, at, reach, freq):
    """Buckets begin where those of `trend` do, in any zone, also where its clocks change."""
    created = pd.date_range(at, pd.Timestamp(at) + pd.Timedelta(reach), 400).as_unit("ns")
    both = [dict.fromkeys(["createdAt", "startedAt"], moment.isoformat()) for moment in created]
    df = ak.flatten([{"id": i, "state": "started", **times} for i, times in enumerate(both, 1)])
    line = measures.timeline(Selection(df, scope=Scope(tz=tz)))
    told = ak.trend(df, freq=freq, tz=tz)
    assert line.starts[:-1].tolist() == told["bucket"].tolist()
    assert sum(map(sum, line.counts.values())) == len(df)


def test_failure_series_agree_with_the_statistics(df, cube):
    """Each bucket's failures are those of failure_stats over the rows created in it."""
    where = ak.Filter(result="ok", since="2026-10-20")
    line = measures.timeline(Selection(cube, where))
    for i in range(0, len(line.starts) - 1, 7):
        rows = ak.Filter(since=line.starts[i], until=line.starts[i + 1]).select(df)
        told = ak.failure_stats(rows)
        expected = told[["n_failed", "n_success"]].sum()
        assert line.n_failed[i] == expected["n_failed"]
        assert line.n_decided[i] == expected.sum()


def test_pages_cover_the_selection(cube):
    """The pages of any order hold every matching row once, in that order."""
    selection = Selection(cube, ak.Filter(result=["ok", "error"]))
    for sort in ["createdAt", "duration_s", *cube.facets]:
        for descending in (True, False):
            pages = [
                table.page(selection, i, size=500, sort=sort, descending=descending)
                for i in range(5)
            ]
            ids = [row["id"] for page in pages for row in page]
            assert sorted(ids) == sorted(selection.filtered["id"])
    lengths = [row["duration_s"] for row in table.page(selection, 0, sort="duration_s")]
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("rows", [[], ODD[:1], [{"id": 1}]])
def test_tiny_frames(rows):
    """Frames of no or one row give numbers, however little the row says."""
    selection = Selection(ak.flatten(rows))
    assert measures.headline(selection).matching == len(rows)
    assert len(selection.options("tenant")[0]) == len(rows)
    assert len(table.page(selection)) == len(rows)
    measures.timeline(selection)
    exec(selection.code, {"df": ak.flatten(rows)})  # noqa: S102


@pytest.mark.parametrize("loaded", [None, "2026-10-27", "2026-10-29"])
def test_selection_by_completion(df, loaded):
    """Durations of rows selected by their end make up for the short ones that are missing."""
    loaded = loaded and ak.Filter(on="completedAt", since=loaded)
    df = loaded.select(df) if loaded else df
    for where in (ak.Filter(on="completedAt", since="2026-10-28"), ak.Filter()):
        selection, scope = Selection(df, where), {"df": df}
        exec(selection.code, scope)  # noqa: S102
        assert measures.headline(selection).p50_s == scope["durations"]["p50_s"][0]
        since = max([one.since for one in (where, loaded) if one and one.since], default=None)
        told = ak.duration_stats(
            where.select(df), as_of=df["updatedAt"].max(), selected_since=since
        )
        assert told["p50_s"][0] == scope["durations"]["p50_s"][0]


def test_a_selection_before_an_end_needs_no_making_up(cube):
    """Rows that ended before a moment lack no short runs."""
    assert not Selection(cube, ak.Filter(on="completedAt", until="2026-10-28")).delayed


def test_running_rows_are_as_old_as_the_frame():
    """A running row's age counts to the newest update of the frame, not of the selection."""
    day = "2026-10-20T0"
    kept = {"type": "a", "createdAt": f"{day}0:00:00Z", "startedAt": f"{day}0:00:00Z"}
    done = {"state": "completed", "result": {"code": "ok"}, "completedAt": f"{day}0:02:00Z"}
    items = [
        {"id": 1, **kept, **done, "updatedAt": f"{day}0:02:00Z"},
        {"id": 2, **kept, "state": "started", "startedAt": f"{day}0:01:30Z"},
        {"id": 3, "type": "b", "state": "enqueued", "updatedAt": f"{day}9:00:00Z"},
    ]
    df = ak.flatten(items)
    selection, scope = Selection(df, ak.Filter(type="a")), {"df": df}
    exec(selection.code, scope)  # noqa: S102
    assert np.isnan(measures.headline(selection).p95_s)
    assert np.isnan(scope["durations"]["p95_s"][0])


def test_long_facets_are_searched(cube):
    """A limit keeps the greatest options and what is chosen; a search looks at all."""
    everything, _ = Selection(cube).options("resource")
    last = everything[-1]
    selection = Selection(cube, ak.Filter(resource=last.label))
    options, more = selection.options("resource", limit=3)
    assert last.label in [option.label for option in options if option.chosen]
    assert more == len(everything) - len(options)
    found, _ = Selection(cube).options("resource", search=last.label[2:].upper())
    assert last.label in [option.label for option in found]


def test_taking_conditions_off(cube):
    """Each condition names itself and leads to the filter without it."""
    since = "2026-10-01T00:00:00.000000009Z"
    where = ak.Filter(tenant=["Acme, Inc.", "nobody"], result="running", text="x", since=since)
    found = {one.text: one.without for one in conditions(Selection(cube, where))}
    full = [one.full for one in conditions(Selection(cube, where))]
    assert found["Tenant: nobody"] == changed(where, tenant="Acme, Inc.")
    assert found["Outcome: Running"] == changed(where, result=())
    assert found["createdAt from 2026-10-01 00:00:00"] == changed(where, since=None)
    assert found["text: x"] == changed(where, text="")
    assert f"createdAt from {since}" in full


def test_spans_end_with_the_newest_row(df, cube):
    """A quick span counts back from the newest row, not from the clock."""
    where = Selection(cube).span("7 d")
    assert where.since == df["createdAt"].max() - pd.Timedelta(7, "D")
    assert Selection(cube, where).matching == (df["createdAt"] >= where.since).sum()


def test_missing_columns_are_named(df):
    """A frame without the needed columns is one SchemaError that names them."""
    with pytest.raises(ak.SchemaError, match="explore needs the column"):
        Selection(df.drop(columns=["tenant.name", "state"]))


words = st.sampled_from(["ok", "error", "running", "queued", "none", "", "odd"])


@given(
    st.lists(words, max_size=3),
    st.lists(st.fixed_dictionaries(
        {"id": st.integers(1, 20)},
        optional={"state": st.sampled_from(["started", "enqueued", "completed", "odd"]),
                  "result": st.fixed_dictionaries({"code": words}),
                  "policy": st.fixed_dictionaries({}, optional={"name": words})},
    ), max_size=4, unique_by=lambda one: one["id"]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_words_for_unfinished_mean_the_same_everywhere(results, items):
    """Result words and empty text select the same raw activities and rows."""
    for where in (ak.Filter(result=results), ak.Filter(policy=results)):
        expected = sorted(one["id"] for one in items if where.matches(one))
        assert where.select(ak.flatten(items))["id"].tolist() == expected


def test_unfinished_are_asked_for_by_state():
    """The service is asked for the states when only unfinished activities are wanted."""
    assert ak.Filter(result="running").params() == [("state", "started"), ("state", "paused")]
    assert ak.Filter(result=["running", "ok"]).params() == []
    assert ak.Filter(result="running", state="paused").params() == [("state", "paused")]
