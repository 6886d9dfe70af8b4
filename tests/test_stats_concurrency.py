import numpy as np
import pandas as pd
import pytest

import activitykit as ak


def seconds(times):
    """Seconds since 1970, as floats."""
    return (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy()


def brute_force(df, found, as_of, freq):
    """Mean and maximum per bucket, by looking at every interval and every begin."""
    begin, end = seconds(df["startedAt"]), seconds(df["completedAt"].fillna(as_of))
    low = seconds(found["bucket"].dt.tz_convert("UTC"))
    lengths = {"1h": {"hours": 1}, "15m": {"minutes": 15}, "1d": {"days": 1}}
    high = seconds((found["bucket"] + pd.DateOffset(**lengths[freq])).dt.tz_convert("UTC"))
    for a, b in zip(low, high, strict=True):
        overlap = np.minimum(end, b) - np.maximum(begin, a)
        moments = [a, *begin[(begin > a) & (begin < b)]]
        top = max(((begin <= t) & (end > t)).sum() for t in moments)
        yield overlap[overlap > 0].sum() / (b - a), top


@pytest.mark.parametrize(("freq", "tz"), [("1h", "UTC"), ("1d", "Europe/Berlin"), ("15m", "UTC")])
def test_the_sweep_agrees_with_brute_force(make_frame, freq, tz):
    """Over a clock change, with ties, with running rows, with ends on the full hour."""
    rng = np.random.default_rng(3)
    start = 26 * 24 + np.round(rng.uniform(0, 72, 150) * 4) / 4
    seconds = np.round(rng.lognormal(8, 1, 150) / 900) * 900.0
    seconds[::20] = np.nan
    df = make_frame(start, seconds)
    as_of = pd.Timestamp("2026-03-30T06:20:00", tz="UTC")
    found = ak.concurrency(df, freq, tz=tz, as_of=as_of)
    want = np.array(list(brute_force(df, found, as_of, freq)))
    np.testing.assert_allclose(found[["mean", "max"]], want, atol=1e-9)


def test_a_short_peak_between_full_hours_is_seen(make_frame):
    """Sampling on the hour would miss it."""
    df = make_frame([0.2, 0.3, 0.35], [600, 600, 60])
    found = ak.concurrency(df)
    assert found[["mean", "max"]].to_numpy().tolist() == [[pytest.approx(0.35), 3]]


def test_a_run_that_starts_as_another_ends_does_not_overlap(make_frame):
    """Intervals are open at their end."""
    found = ak.concurrency(make_frame([0, 1], [3600, 3600]))
    assert found[["mean", "max"]].to_numpy().tolist() == [[1, 1], [1, 1]]


def test_running_rows_end_at_as_of_and_are_marked(make_frame):
    """The level before as_of is counted; how much of the last bucket was seen is told."""
    found = ak.concurrency(make_frame([0, 0.5], [1800, None]), as_of="2026-03-01T02:15:00")
    assert found["n_open"].tolist() == [1, 1, 1]
    assert found["mean"].tolist() == [1, 1, 0.25]
    assert found["observed_s"].tolist() == [3600, 3600, 900]


def test_time_in_all_buckets_is_the_time_of_all_runs(simulated):
    """Nothing is lost between buckets: the areas add up to the durations."""
    recent = simulated[simulated["createdAt"] > "2026-01-01"]
    found = ak.concurrency(recent)
    lengths = ak.durations(recent)
    used = ~lengths["legacy"] & (lengths["duration_s"] > 0)
    assert (found["mean"] * 3600).sum() == pytest.approx(lengths["duration_s"][used].sum())
    assert found["bucket"].diff().dropna().eq(pd.Timedelta("1h")).all()
