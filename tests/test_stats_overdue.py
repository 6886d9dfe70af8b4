import lifelines
import numpy as np
import pandas as pd
import pytest

import activitykit as ak


def reference(make_frame, n=200, running=(2.0,), seed=4, **columns):
    """Finished runs with a median of 10,000 s, and some running for so many hours."""
    lengths = np.random.default_rng(seed).lognormal(np.log(10_000), 0.8, n).round(3)
    start = [*np.linspace(0, 400, n).round(3), *(500 - np.asarray(running))]
    return make_frame(start, [*lengths, *[np.nan] * len(running)], **columns)


AS_OF = pd.Timestamp("2026-03-01", tz="UTC") + pd.Timedelta(500, "h")


def test_survival_and_the_time_left_agree_with_lifelines(make_frame):
    """S(elapsed), and the conditional median as the first time at half of it."""
    df = reference(make_frame, running=(1.0, 3.0, 6.0, 12.0))
    found = ak.overdue(df, as_of=AS_OF).set_index("elapsed_s")
    end = df["completedAt"].fillna(AS_OF)
    fitter = lifelines.KaplanMeierFitter()
    fitter.fit((end - df["startedAt"]).dt.total_seconds(), df["completedAt"].notna())
    curve = fitter.survival_function_.iloc[:, 0]
    for elapsed, row in found.iterrows():
        share = curve[curve.index <= elapsed].iloc[-1]
        assert row["survival"] == pytest.approx(share, abs=1e-9)
        left = curve.index[curve <= share / 2 + 1e-12][0] - elapsed
        assert row["remaining_p50_s"] == pytest.approx(left, rel=1e-9)
    assert (found["n_reference"] == 200).all()


def test_the_time_left_is_never_negative(make_frame):
    """Long past the median, "median minus elapsed" would be."""
    row = ak.overdue(reference(make_frame, running=(5.0,)), as_of=AS_OF).iloc[0]
    assert row["elapsed_s"] > row["typical_s"]
    assert row["remaining_p50_s"] > 0


def test_overdue_needs_a_rare_age_and_an_excess(make_frame):
    """Longer than 95 % of its like, and by a quarter of an hour at least."""
    df = reference(make_frame, running=(1.0, 24.0))
    found = ak.overdue(df, as_of=AS_OF)
    assert found["overdue"].tolist() == [True, False]
    assert not ak.overdue(df, as_of=AS_OF, min_excess_s=1e6)["overdue"].any()


def test_a_resource_with_few_runs_is_measured_by_its_type(make_frame):
    """Twenty finished runs of its own are needed, else the type speaks, else nobody."""
    df = reference(make_frame, n=60, running=(2.0, 2.5))
    names = ["big"] * 40 + ["small"] * 20 + ["big", "tiny"]
    df["resource.id"] = pd.Series(names, dtype="str")
    found = ak.overdue(df, as_of=AS_OF).set_index("resource.id")
    assert found.loc["big", ["reference", "n_reference"]].tolist() == ["type and resource", 40]
    assert found.loc["tiny", ["reference", "n_reference"]].tolist() == ["type", 60]
    alone = ak.overdue(df[50:], as_of=AS_OF)
    assert alone["survival"].isna().all()
    assert set(alone["note"]) == {"fewer than 20 finished runs to compare with"}
    assert not alone["overdue"].any()


def test_a_run_beyond_all_others_has_no_median_left(make_frame):
    """Nothing is known about how long such a run still takes, and the note says so."""
    row = ak.overdue(reference(make_frame, running=(90.0,)), as_of=AS_OF).iloc[0]
    assert np.isnan(row["remaining_p50_s"])
    assert row["note"] == "longer than most known runs"
    assert row["overdue"]


def test_nothing_running_gives_no_rows(make_frame):
    """The columns stay."""
    assert len(ak.overdue(reference(make_frame, running=()), as_of=AS_OF)) == 0
