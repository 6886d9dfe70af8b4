import lifelines
import numpy as np
import pandas as pd
import pytest

import activitykit as ak

AS_OF = "2026-03-11"


def censored(make_frame, rng, n, digits=1):
    """Activities started over ten days and cut off at `AS_OF`, with ties in their minutes."""
    start = np.sort(rng.uniform(0, 240, n)).round(digits)
    seconds = rng.lognormal(9.5, 1.1, n).round(-2)
    kind = rng.choice(["a", "b"], n)
    running = start * 3600 + seconds > 864_000
    return make_frame(start, np.where(running, np.nan, seconds), type=kind)


def spans(df):
    """The age or duration of each row, and whether it ended, by plain pandas."""
    end = df["completedAt"].fillna(pd.Timestamp(AS_OF, tz="UTC"))
    return (end - df["startedAt"]).dt.total_seconds(), df["completedAt"].notna()


def agree(ours, fitter):
    """Compare a curve at its own times with what lifelines says of them."""
    times = ours["duration_s"]
    np.testing.assert_allclose(ours["survival"], fitter.predict(times), atol=1e-12)
    table = fitter.event_table.loc[times]
    assert ours["n_at_risk"].tolist() == table["at_risk"].tolist()
    bounds = fitter.confidence_interval_survival_function_.loc[times].to_numpy()
    inside = ours["survival"].between(0, 1, inclusive="neither").to_numpy()
    np.testing.assert_allclose(ours[["ci_low", "ci_high"]][inside], bounds[inside], rtol=1e-9)
    assert ours[["ci_low", "ci_high"]][~inside].isna().all(axis=None)


def test_curves_agree_with_lifelines(make_frame):
    """Survival, interval and rows at risk, with ties and running rows, in each group."""
    df = censored(make_frame, np.random.default_rng(5), 450)
    ours = ak.survival(df, "type", as_of=AS_OF, confidence=0.9)
    for kind, rows in df.groupby("type"):
        length, ended = spans(rows)
        curve = ours[ours["type"] == kind]
        agree(curve, lifelines.KaplanMeierFitter(alpha=0.1).fit(length, ended))
        falls = set(length[ended]) | {length.max()}
        assert set(curve["duration_s"]) == falls
        assert curve[["n_finished", "n_running"]].iloc[-1].tolist() == [ended.sum(), (~ended).sum()]


def test_delayed_entry_agrees_with_lifelines(make_frame):
    """Rows selected by completedAt join the risk set at the age at which they could be seen."""
    df = censored(make_frame, np.random.default_rng(6), 400, digits=4)
    since = pd.Timestamp("2026-03-05T12:00:00", tz="UTC")
    df = df[df["completedAt"].isna() | (df["completedAt"] > since)]
    length, ended = spans(df)
    entry = (since - df["startedAt"]).dt.total_seconds().clip(lower=0)
    fitter = lifelines.KaplanMeierFitter().fit(length, ended, entry=entry)
    ours = ak.survival(df, as_of=AS_OF, selected_since=since)
    at_risk = [((entry < t) & (length >= t)).sum() for t in ours["duration_s"]]
    assert ours["n_at_risk"].tolist() == at_risk
    np.testing.assert_allclose(ours["survival"], fitter.predict(ours["duration_s"]), atol=1e-12)


def test_quantiles_can_be_read_off_the_curve(simulated):
    """The first time at or below one half is the median of duration_stats."""
    curve = ak.survival(simulated, "type")
    below = curve[curve["survival"] <= 0.5 + 1e-9].groupby("type")["duration_s"].min()
    stats = ak.duration_stats(simulated, "type").set_index("type")["p50_s"].dropna()
    assert below.to_dict() == stats.to_dict()
    left_out = ak.duration_stats(simulated).attrs["activitykit"]["left_out"]
    assert curve.attrs["activitykit"]["left_out"] == left_out


def test_the_interval_covers_the_truth(make_frame):
    """At one time, 95 % intervals hold the true share in 93 to 97 % of 800 groups of 60 runs."""
    rng, groups, each = np.random.default_rng(9), 800, 60
    start = rng.uniform(0, 2, groups * each)
    seconds = rng.exponential(3600, groups * each)
    running = start * 3600 + seconds > 7200
    kind = np.repeat(np.arange(groups).astype(str), each)
    df = make_frame(start, np.where(running, np.nan, seconds), type=kind)
    curve = ak.survival(df, "type", as_of="2026-03-01T02:00:00")
    at = curve[curve["duration_s"] <= 2400].groupby("type").last()
    covered = (at["ci_low"] <= np.exp(-2400 / 3600)) & (at["ci_high"] >= np.exp(-2400 / 3600))
    assert len(at) == groups
    assert 0.93 <= covered.mean() <= 0.97


def test_many_runs_give_a_small_curve(make_frame):
    """No row strays from the full curve, and none of its falls is skipped by more than 1/500."""
    seconds = np.random.default_rng(7).lognormal(8, 1, 5000).round(6)
    ours = ak.survival(make_frame(np.zeros(5000), seconds), as_of=AS_OF)
    assert len(ours) <= 502
    truth = [(seconds > t + 1e-7).mean() for t in ours["duration_s"]]
    np.testing.assert_allclose(ours["survival"], truth, atol=1e-9)
    assert np.diff(ours["survival"], prepend=1).min() >= -1 / 500 - 1e-9


def test_what_never_ended_stays_at_one(make_frame):
    """With nothing finished the curve is one row at the greatest age, without an interval."""
    row = ak.survival(make_frame([0, 1], [None, None]), as_of="2026-03-01T03:00:00").iloc[0]
    assert row[["duration_s", "survival", "n_at_risk", "n_running"]].tolist() == [10_800, 1, 1, 2]
    assert np.isnan(row["ci_low"])


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_is_a_fraction(make_frame, confidence):
    """95 for .95 is refused."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        ak.survival(make_frame([0], [60]), confidence=confidence)
