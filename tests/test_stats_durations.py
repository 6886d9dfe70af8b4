import lifelines
import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from statsmodels.duration.survfunc import SurvfuncRight

import activitykit as ak

AS_OF = "2026-03-11"


def censored(make_frame, rng, n, *, groups=("a", "b", "c"), days=10.0):
    """Activities with exact microseconds, started over ten days, cut off at `AS_OF`."""
    start = np.sort(rng.uniform(0, days * 24, n)).round(4)
    seconds = rng.lognormal(9.5, 1.1, n).round(3)
    running = start * 3600 + seconds > days * 86_400
    kind = rng.choice(groups, n)
    return make_frame(start, np.where(running, np.nan, seconds), type=kind), seconds


def spans(df):
    """The age or duration of each row, and whether it ended, by plain pandas."""
    end = df["completedAt"].fillna(pd.Timestamp(AS_OF, tz="UTC"))
    return (end - df["startedAt"]).dt.total_seconds(), df["completedAt"].notna()


def first_time(fitter, share):
    """The first time at which a lifelines curve is at or below a share."""
    curve = fitter.survival_function_.iloc[:, 0]
    return curve.index[curve <= share + 1e-12][0]


def test_durations_by_state(make_frame):
    """Finished rows have their length, running ones their age, waiting ones none."""
    df = make_frame([0, 1, 2], [90, None, None])
    df.loc[2, ["state", "startedAt"]] = ["enqueued", pd.NaT]
    found = ak.durations(df, as_of="2026-03-01T02:00:00")
    assert found["duration_s"].fillna(-1).tolist() == [90, 3600, -1]
    assert found["finished"].tolist() == [True, False, False]
    assert found["running"].tolist() == [False, True, False]
    assert found["queue_s"].fillna(-1).tolist() == [0, 0, -1]


@pytest.mark.parametrize(
    "statistic",
    [ak.duration_stats, ak.survival, ak.trend, ak.concurrency, ak.overdue, ak.streaks, ak.quality],
)
def test_spans_count_back_from_the_data(make_frame, statistic):
    """A span as `as_of` has nothing to do with the clock: it ends at the latest update."""
    df = make_frame([0, 1, 30], [60, None, 600])
    latest = df["updatedAt"].max()
    found, expected = (statistic(df, as_of=at) for at in ("1h", latest - pd.Timedelta(1, "h")))
    pd.testing.assert_frame_equal(found, expected)
    assert found.attrs == expected.attrs
    assert statistic(df.iloc[:0], as_of="1h").empty


def test_a_span_of_the_selection_counts_back_from_the_data(make_frame):
    """`selected_since` counts from `as_of`, where `durations` counts as well."""
    df = make_frame([0, 1, 30], [60, None, 600])
    told = ak.duration_stats(df, as_of="2026-03-02", selected_since="1d").attrs["activitykit"]
    assert told["selected_since"] == "2026-03-01 00:00:00+00:00"
    age = ak.durations(df, as_of="5m")["duration_s"][1]
    assert age == (29 * 60 + 5) * 60
    with pytest.raises(ValueError, match="selected_since='1d'"):
        ak.duration_stats(df.iloc[:0], selected_since="1d")


def test_durations_shares_no_notes():
    """What is noted on the result does not show on the input."""
    df = ak.flatten([{"id": 1}])
    ak.durations(df).attrs["activitykit"]["complete"] = False
    assert df.attrs["activitykit"]["complete"] is True


def test_durations_changes_nothing_else(simulated):
    """The input stays as it is, and the result keeps columns, order, and what the load noted."""
    before = simulated.copy()
    found = ak.durations(simulated)
    pd.testing.assert_frame_equal(simulated, before)
    pd.testing.assert_frame_equal(found[simulated.columns], before)
    assert found.attrs == simulated.attrs
    length = (simulated["completedAt"] - simulated["startedAt"]).dt.total_seconds()
    done = found["finished"]
    np.testing.assert_allclose(found.loc[done, "duration_s"], length[done], rtol=1e-15)


def test_quantiles_agree_with_lifelines_scipy_and_statsmodels(make_frame):
    """Three independent Kaplan-Meier estimators give the same quantiles in each group."""
    df, _ = censored(make_frame, np.random.default_rng(5), 900)
    ours = ak.duration_stats(df, "type", as_of=AS_OF, quantiles=(0.25, 0.5, 0.9)).set_index("type")
    for kind, rows in df.groupby("type"):
        length, ended = spans(rows)
        fitter = lifelines.KaplanMeierFitter().fit(length, ended)
        right = SurvfuncRight(length.to_numpy(), ended.astype(int).to_numpy())
        sample = scipy_stats.CensoredData(uncensored=length[ended], right=length[~ended])
        curve = scipy_stats.ecdf(sample).sf
        for q, name in ((0.25, "p25_s"), (0.5, "p50_s"), (0.9, "p90_s")):
            found = ours.loc[kind, name]
            assert found == first_time(fitter, 1 - q)
            assert found == pytest.approx(right.quantile(q), rel=1e-12)
            assert found == curve.quantiles[curve.probabilities <= 1 - q + 1e-12][0]


def test_delayed_entry_agrees_with_lifelines(make_frame):
    """Rows selected by completedAt enter the risk set at the age at which they could be seen."""
    df, _ = censored(make_frame, np.random.default_rng(6), 700, groups=("a",))
    since = pd.Timestamp("2026-03-05T12:00:00", tz="UTC")
    df = df[df["completedAt"].isna() | (df["completedAt"] > since)]
    length, ended = spans(df)
    entry = (since - df["startedAt"]).dt.total_seconds().clip(lower=0)
    fitter = lifelines.KaplanMeierFitter().fit(length, ended, entry=entry)
    ours = ak.duration_stats(df, as_of=AS_OF, selected_since=since).iloc[0]
    for q, name in ((0.5, "p50_s"), (0.9, "p90_s"), (0.95, "p95_s")):
        assert ours[name] == first_time(fitter, 1 - q)
    df.attrs["activitykit"] = {"ended_since": since.isoformat()}
    noted = ak.duration_stats(df, as_of=AS_OF)
    pd.testing.assert_frame_equal(noted, ours.to_frame().T.astype(noted.dtypes), check_like=True)


def test_censoring_removes_the_bias_of_the_finished(make_frame):
    """Where the finished rows alone are 20 % too low, the censored p95 is within 5 %."""
    rng = np.random.default_rng(11)
    n, window = 20_000, 36.0
    start = rng.uniform(0, window, n).round(4)
    seconds = rng.lognormal(9.2, 1.0, n).round(3)
    truth = np.exp(9.2 + 1.0 * scipy_stats.norm.ppf(0.95))
    running = start * 3600 + seconds > window * 3600
    df = make_frame(start, np.where(running, np.nan, seconds))
    ours = ak.duration_stats(df, as_of="2026-03-02T12:00:00").iloc[0]
    assert abs(ours["p95_s"] / truth - 1) < 0.05
    assert np.quantile(seconds[~running], 0.95) / truth < 0.8


def test_delayed_entry_removes_the_bias_of_selecting_by_completion(make_frame):
    """Without entry the p95 is over 10 % too high, with entry within 5 %."""
    rng = np.random.default_rng(12)
    start = rng.uniform(-240, 48, 60_000).round(4)
    seconds = rng.lognormal(9.2, 1.0, 60_000).round(3)
    end = start * 3600 + seconds
    kept = end > 0
    running = end > 48 * 3600
    df = make_frame(start[kept], np.where(running, np.nan, seconds)[kept])
    truth = np.exp(9.2 + 1.0 * scipy_stats.norm.ppf(0.95))
    naive = ak.duration_stats(df, as_of="2026-03-03").iloc[0]["p95_s"]
    ours = ak.duration_stats(df, as_of="2026-03-03", selected_since="2026-03-01").iloc[0]["p95_s"]
    assert naive / truth > 1.1
    assert abs(ours / truth - 1) < 0.05


def test_a_quantile_that_is_not_reached_says_so(make_frame):
    """With most jobs still running there is no p95, and the note gives the reason."""
    df = make_frame(range(10), [100] * 4 + [None] * 6)
    row = ak.duration_stats(df, as_of="2026-03-02").iloc[0]
    assert np.isnan(row["p95_s"])
    assert row["note"] == "p50, p90, p95 not reached: 60% still running"
    assert (row["n_running"], row["share_running"]) == (6, 0.6)


def test_every_row_left_out_has_a_reason(make_frame):
    """Legacy events, waiting rows, clocks that run backwards: none disappears silently."""
    df = make_frame([0, 1, 2, 3, 4, 5], [60, -5, 60, None, 60, None])
    df.loc[2, "context.isLegacy"] = True
    df.loc[3, "startedAt"] = pd.NaT
    df.loc[4, "completedAt"] = pd.NaT
    found = ak.duration_stats(df, as_of="2026-03-01T04:30:00")
    assert found.attrs["activitykit"]["left_out"] == {
        "legacy": 1, "not_started": 1, "no_times": 1, "after_as_of": 1, "backwards": 1,
    }  # fmt: skip
    row = found.iloc[0]
    assert (row["n"], row["n_used"], row["n_legacy"], row["p50_s"]) == (6, 1, 1, 60)


def test_three_equal_times_without_an_executor_are_legacy(make_frame):
    """A log entry is recognised without its flag; an agent's very short run is not one."""
    df = make_frame([0, 1], [0, 0], **{"executor.id": ["", "agent"]})
    assert ak.durations(df)["legacy"].tolist() == [True, False]


def test_queue_times_count_those_still_waiting(make_frame):
    """Rows not yet started are censored, so a blocked queue shows."""
    df = make_frame(range(5), [60, 60, None, None, None])
    df["createdAt"] = df["startedAt"] - pd.to_timedelta([10, 20, 0, 0, 0], unit="s")
    df.loc[2:, "startedAt"] = pd.NaT
    row = ak.duration_stats(df, as_of="2026-03-02").iloc[0]
    assert np.isnan(row["queue_p50_s"])
    assert ak.duration_stats(df[:2], as_of="2026-03-02").iloc[0]["queue_p50_s"] == 10


def test_resource_ids_are_grouped_without_case(make_frame):
    """The same machine in two spellings is one group."""
    df = make_frame([0, 1], [60, 80], **{"resource.id": ["ABC-1", "abc-1"]})
    assert ak.duration_stats(df, "resource.id")[["resource.id", "n"]].to_numpy().tolist() == [
        ["abc-1", 2]
    ]


def test_missing_group_values_are_a_group(make_frame):
    """Rows without a policy are shown, last."""
    df = make_frame([0, 1], [60, 80], **{"policy.name": [None, "Nightly"]})
    found = ak.duration_stats(df, ["policy.name", "type"])
    assert found["policy.name"].fillna("?").tolist() == ["Nightly", "?"]


@pytest.mark.parametrize("q", [0, 1, 95])
def test_quantiles_are_fractions(make_frame, q):
    """95 for .95 is refused."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        ak.duration_stats(make_frame([0], [60]), quantiles=[q])
