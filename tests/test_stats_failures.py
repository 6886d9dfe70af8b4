import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

import activitykit as ak
from activitykit.stats.failures import _t_quantile, wilson


def outcomes(make_frame, failed, **columns):
    """One finished root per entry of `failed`."""
    failed = np.asarray(failed, dtype=bool)
    codes = np.where(failed, "error", "ok")
    return make_frame(
        np.arange(len(failed)) / 60, 60.0 + 0 * failed, **{"result.code": codes}, **columns
    )


@pytest.mark.parametrize(("failed", "n"), [(0, 7), (7, 7), (1, 9), (40, 200), (3, 10_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_statsmodels(failed, n, confidence):
    """The plain interval is the textbook's."""
    want = proportion_confint(failed, n, alpha=1 - confidence, method="wilson")
    np.testing.assert_allclose(wilson(failed, n, confidence=confidence), want, atol=1e-12)


def test_without_clusters_the_table_holds_plain_wilson(make_frame):
    """`cluster=None` takes all runs as independent."""
    df = outcomes(make_frame, np.arange(60) % 7 == 0)
    row = ak.failure_stats(df, cluster=None).iloc[0]
    want = proportion_confint(9, 60, method="wilson")
    np.testing.assert_allclose([row["ci_low"], row["ci_high"]], want, atol=1e-12)
    assert (row["n_failed"], row["failure_rate"], row["design_effect"]) == (9, 0.15, 1)


GROUPED = [
    (ak.duration_stats, "p95_s"), (ak.survival, "survival"), (ak.failure_stats, "note"),
    (ak.failure_reasons, "domain"), (ak.trend, "bucket"), (ak.weekly_load, "hour"),
]  # fmt: skip


@pytest.mark.parametrize(("statistic", "taken"), GROUPED)
def test_groups_that_cannot_be_are_refused(simulated, statistic, taken):
    """A group named like a column of the result, or no name at all, is one clear error."""
    with pytest.raises(ValueError, match=f"by='{taken}'.*rename"):
        statistic(simulated.assign(**{taken: "x"}), by=["type", taken])
    for by in (5, [None]):
        with pytest.raises(ValueError, match="give the name of a column"):
            statistic(simulated, by=by)
    assert statistic(simulated, by=pd.Index(["type"])).columns[0] == "type"


@pytest.mark.parametrize("value", [0, 1, -0.1, 2, float("nan"), "95%", None])
@pytest.mark.parametrize(
    ("statistic", "name"),
    [
        (ak.failure_stats, "confidence"),
        (ak.trend, "confidence"),
        (ak.weekly_load, "confidence"),
        (ak.survival, "confidence"),
        (ak.overdue, "longest_share"),
    ],
)
def test_fractions_lie_between_0_and_1(simulated, statistic, name, value):
    """Anything else is refused by the name of the parameter."""
    with pytest.raises(ValueError, match=f"{name}={value!r}.*between 0 and 1"):
        statistic(simulated, **{name: value})


def test_student_quantiles_agree_with_scipy():
    """The expansion is good to 0.2 % from four degrees of freedom on."""
    for level in (0.8, 0.9, 0.95, 0.98):
        z = scipy_stats.norm.ppf((1 + level) / 2)
        for freedom in (4, 7, 30, 1000):
            want = scipy_stats.t.ppf((1 + level) / 2, freedom)
            assert _t_quantile(z, freedom) == pytest.approx(want, rel=2e-3)


def test_the_design_effect_agrees_with_cluster_robust_regression(make_frame):
    """The variance between resources equals the sandwich estimator of a mean."""
    rng = np.random.default_rng(2)
    machine = rng.integers(0, 25, 600)
    failed = rng.random(600) < rng.beta(1, 6, 25)[machine]
    df = outcomes(make_frame, failed, **{"resource.id": [f"M{m:02d}" for m in machine]})
    df["resource.id"] = df["resource.id"].where(df.index % 2 == 0, df["resource.id"].str.lower())
    fit = sm.OLS(failed.astype(float), np.ones(600)).fit(
        cov_type="cluster", cov_kwds={"groups": machine, "use_correction": False}
    )
    rate = failed.mean()
    want = fit.cov_params()[0, 0] * 25 / 24 / (rate * (1 - rate) / 600)
    row = ak.failure_stats(df).iloc[0]
    assert row["design_effect"] == pytest.approx(want, rel=1e-9)
    assert row["n_resources"] == 25


@pytest.mark.parametrize("correlation", [0, 0.05, 0.1, 0.3])
def test_the_interval_covers_the_truth(correlation):
    """In 1,500 simulations it holds the true rate 93 to 97 % of the time; plain Wilson does not."""
    from activitykit.stats.failures import _design_effect

    rng = np.random.default_rng(40)
    truth, machines, hits, plain = 0.2, 60, 0, 0
    spread = (1 - correlation) / max(correlation, 1e-9)
    for _ in range(1500):
        runs = rng.integers(15, 45, machines)
        rates = rng.beta(truth * spread, (1 - truth) * spread, machines) if correlation else truth
        bad = rng.binomial(runs, rates)
        row = {
            "n_failed": bad.sum(), "n_success": (runs - bad).sum(), "units": machines, "loose": 0,
            "loose_failed": 0, "ff": (bad**2).sum(), "fm": (bad * runs).sum(),
            "mm": (runs**2).sum(),
        }  # fmt: skip
        effect, units = _design_effect(row)
        low, high = wilson(bad.sum(), runs.sum(), design_effect=effect, units=units)
        hits += low <= truth <= high
        low, high = wilson(bad.sum(), runs.sum())
        plain += low <= truth <= high
    assert 0.93 <= hits / 1500 <= 0.97
    assert correlation == 0 or plain / 1500 < 0.85


def test_children_do_not_count_twice(make_frame):
    """A failed child repeats its root's failure."""
    df = outcomes(make_frame, [True, True, False])
    df.loc[1, "parentActivityId"] = df.loc[0, "id"]
    df.loc[2, "parentActivityId"] = 0
    found = ak.failure_stats(df)
    assert found[["n", "n_failed"]].to_numpy().tolist() == [[2, 1]]
    assert found.attrs["activitykit"]["left_out"] == {"children": 1}
    assert ak.failure_stats(df, roots=False)["n"].tolist() == [3]


def test_all_failed_and_none_finished(make_frame):
    """The ends of the scale have an interval, and no runs have a reason instead of a rate."""
    df = make_frame([0, 1, 2, 3], [60, 60, None, 60], type=["a", "a", "b", "c"])
    df["result.code"] = pd.Series(["error", "timedout", None, "cancelled"], dtype="str")
    found = ak.failure_stats(df, "type").set_index("type")
    assert found.loc["a", "failure_rate"] == 1
    assert found.loc["a", "ci_low"] == pytest.approx(0.342, abs=1e-3)
    assert found["note"].tolist()[1:] == ["no finished run that counts"] * 2
    assert found.attrs["activitykit"]["left_out"] == {"unfinished": 1, "cancelled": 1}


def test_another_cluster_counts_resources_all_the_same(make_frame):
    """Widening by tenant does not change what n_resources counts."""
    df = outcomes(
        make_frame,
        [True, False] * 20,
        **{"tenant.name": ["x", "y"] * 20, "resource.id": [f"r{i % 5}" for i in range(40)]},
    )
    row = ak.failure_stats(df, cluster="tenant.name").iloc[0]
    assert row["n_resources"] == 5
    assert row["design_effect"] > 10


def test_a_run_without_a_resource_is_its_own_cluster(make_frame):
    """Forty runs without a resource are no single cluster."""
    df = outcomes(make_frame, [True, False] * 20, **{"resource.id": None})
    row = ak.failure_stats(df).iloc[0]
    assert row["n_resources"] == 0
    assert row["design_effect"] == pytest.approx(40 / 39)


def test_reasons_rank_by_resources_then_by_count(make_frame):
    """One looping machine does not own the list."""
    df = outcomes(
        make_frame,
        [True] * 7 + [False],
        error_signature=["loop"] * 4 + ["wide", "wide", None, None],
        **{"resource.id": [*"aAaabcde"], "tenant.uuid": [*"tttttutt"]},
    )  # fmt: skip
    found = ak.failure_reasons(df)
    assert found["signature"].tolist() == ["wide", "loop", "error without an error text"]
    assert found[["n", "n_resources", "n_tenants"]].to_numpy().tolist() == [
        [2, 2, 2],
        [4, 1, 1],
        [1, 1, 1],
    ]
    assert found["example_id"].tolist() == [df.loc[5, "id"], df.loc[3, "id"], df.loc[6, "id"]]
    assert found.loc[1, "first_seen"] == df.loc[0, "completedAt"]


def test_reasons_agree_with_a_loop(simulated):
    """Counts per signature equal those of a plain loop over the rows."""
    found = ak.failure_reasons(simulated)
    bad = simulated["result.code"].isin(["error", "abandoned", "timedout"])
    bad &= simulated["result.error.code"] != "OperationCanceledByUser"
    bad &= simulated["parentActivityId"].isna()
    assert found["n"].sum() == bad.sum()
    named = simulated[bad].groupby("error_signature")["id"].agg(["size", "max"])
    ours = found.set_index("signature").loc[named.index]
    assert ours["n"].tolist() == named["size"].tolist()
    assert ours["example_id"].tolist() == named["max"].tolist()


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_is_a_fraction(make_frame, confidence):
    """95 for .95 is refused."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        ak.failure_stats(make_frame([0], [60]), confidence=confidence)
