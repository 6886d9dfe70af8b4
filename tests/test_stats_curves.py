"""The curve against lifelines, and curves on cells against curves time by time."""

import lifelines
import narwhals as nw
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitykit.stats import curves

ASKED = {"p10_s": 0.1, "p50_s": 0.5, "p95_s": 0.95}


def spans(n, seed, *, late=0.0, running=0.3, digits=0):
    """Durations with ties in two groups, some censored, some seen only from an age on."""
    rng = np.random.default_rng(seed)
    entry = np.where(rng.random(n) < late, rng.lognormal(5, 1, n), 0).round(digits)
    length = entry + rng.lognormal(6, 1, n).round(digits) + 1
    event = (rng.random(n) >= running).astype("int64")
    return pd.DataFrame(
        {"group": rng.choice(["a", "b"], n), "duration_s": length, "_event": event, "_entry": entry}
    )


def by_group(found):
    """Quantiles of each group, in order."""
    return found.sort_values("group")[[*ASKED]].to_numpy()


@pytest.mark.parametrize("late", [0.0, 0.5])
def test_the_curve_agrees_with_lifelines(late):
    """Rows at risk and S at each time, with ties, censored rows and delayed entry."""
    rows = spans(300, 1, late=late).assign(group="a")
    found = curves.changes(nw.from_native(rows), ["group"], delayed=bool(late))
    ours = curves.curve(found, ["group"]).to_native().set_index("duration_s").sort_index()
    ours = ours[ours["_event"] > 0]
    fitter = lifelines.KaplanMeierFitter()
    fitter.fit(rows["duration_s"], rows["_event"], entry=rows["_entry"] if late else None)
    at_risk = [
        ((rows["_entry"] < t) & (rows["duration_s"] >= t)).sum() for t in ours.index
    ]  # lifelines counts rows that join at a time as at risk there already
    assert ours["_at_risk"].tolist() == at_risk
    if not late:
        assert ours["_at_risk"].tolist() == fitter.event_table.loc[ours.index, "at_risk"].tolist()
    np.testing.assert_allclose(np.exp(ours["_log_s"]), fitter.predict(ours.index), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 120),
    seed=st.integers(0, 10_000),
    late=st.sampled_from([0.0, 0.4]),
    running=st.sampled_from([0.0, 0.1, 0.9]),
    digits=st.sampled_from([-2, 0, 4]),
)
def test_cells_give_what_single_times_give(n, seed, late, running, digits):
    """Exactly, however many rows are censored, late, tied or close together."""
    rows = nw.from_native(spans(n, seed, late=late, running=running, digits=digits))
    direct, celled = (
        curves.quantiles(rows, ["group"], ASKED, delayed=late > 0, per_group=per_group)
        for per_group in (1, np.inf)
    )
    np.testing.assert_array_equal(by_group(celled), by_group(direct))


@pytest.mark.parametrize("per_group", [1, np.inf])
@pytest.mark.parametrize("n", [1, 2, 10, 19, 20, 21, 200])
def test_without_censored_rows_a_quantile_is_a_rank(n, per_group):
    """The ⌈qn⌉-th smallest duration, also where q n is a whole number."""
    rows = spans(n, n, running=0.0).assign(group="a")
    found = curves.quantiles(nw.from_native(rows), ["group"], ASKED, per_group=per_group)
    ranked = np.sort(rows["duration_s"])
    ranks = [int(np.ceil(round(q * n, 9))) for q in ASKED.values()]
    assert by_group(found)[0].tolist() == [ranked[rank - 1] for rank in ranks]


def test_rows_of_zero_seconds_count():
    """A run of no length lies in the first cell."""
    rows = pd.DataFrame({"group": "a", "duration_s": [0.0, 0.0, 5.0], "_event": 1})
    found = curves.quantiles(nw.from_native(rows), ["group"], ASKED)
    assert by_group(found)[0].tolist() == [0, 0, 5]


def test_what_is_not_reached_is_missing():
    """With most rows running no median can be told."""
    rows = pd.DataFrame({"group": "a", "duration_s": [1.0, 2.0, 3.0], "_event": [1, 0, 0]})
    found = by_group(curves.quantiles(nw.from_native(rows), ["group"], ASKED))[0]
    assert found[0] == 1
    assert np.isnan(found[1:]).all()
