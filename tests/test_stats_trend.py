import numpy as np
import pandas as pd
import pytest

import activitykit as ak
from activitykit.stats.buckets import buckets


@pytest.fixture(scope="module")
def around(make_frame):
    """A run every 20 minutes over a year, so over both clock changes, durations random."""
    rng = np.random.default_rng(8)
    n = 365 * 72
    codes = np.where(rng.random(n) < 0.1, "error", "ok")
    return make_frame(np.arange(n) / 3, rng.lognormal(5, 1, n).round(3), **{"result.code": codes})


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_days_are_those_of_pandas(around, tz):
    """Each run falls on its calendar day, also on the days of 23 and 25 hours."""
    local = around["startedAt"].dt.tz_convert(tz)
    want = local.groupby(local.dt.normalize()).size()
    found = ak.trend(around, tz=tz)
    assert found["bucket"].tolist() == want.index.tolist()
    assert found["n"].tolist() == want.tolist()
    assert str(found["bucket"].dt.tz) == tz
    if tz == "Europe/Berlin":
        assert sorted(set(found["n"][1:-1])) == [69, 72, 75]


def test_the_repeated_hour_is_two_buckets(around):
    """On the night in which clocks go back, 02:00 comes twice, an hour apart."""
    found = ak.trend(around, "1h", tz="Europe/Berlin").set_index("bucket")
    night = found[(found.index.date == pd.Timestamp("2026-10-25").date()) & (found.index.hour < 4)]
    night = night[night.index.hour > 0]
    assert [str(t)[11:] for t in night.index] == [
        "01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00",
    ]  # fmt: skip
    assert night["n"].tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("freq", "rule"), [("6h", "6h"), ("15m", "15min"), ("1w", "W-MON"), ("h", "1h")]
)
def test_other_lengths_agree_with_pandas_in_utc(around, freq, rule):
    """Weeks begin on Monday, hours at midnight."""
    sample = around[:5000]
    want = sample.resample(rule, on="startedAt", label="left", closed="left")["id"].count()
    found = ak.trend(sample, freq)
    assert dict(zip(found["bucket"], found["n"], strict=True)) == want[want > 0].to_dict()


def test_rates_and_quantiles_are_those_of_the_single_statistics(around):
    """A bucket says what failure_stats and duration_stats say of its rows."""
    day = around[around["startedAt"].dt.strftime("%Y-%m-%d") == "2026-05-17"]
    row = ak.trend(around).set_index("bucket").loc["2026-05-17"]
    failures = ak.failure_stats(day).iloc[0]
    lengths = ak.duration_stats(day, as_of=around["updatedAt"].max()).iloc[0]
    pd.testing.assert_series_equal(
        row[failures.index].astype(object), failures.astype(object), check_names=False
    )
    assert row[["p50_s", "p95_s"]].tolist() == lengths[["p50_s", "p95_s"]].tolist()


def test_groups_come_before_the_bucket(simulated):
    """Sorted by group, then time; what has not started is counted."""
    found = ak.trend(simulated, "1w", by=["tenant.name", "type"])
    assert found.columns[:4].tolist() == ["tenant.name", "type", "bucket", "n"]
    assert found.equals(found.sort_values(["tenant.name", "type", "bucket"]))
    roots = simulated["parentActivityId"].isna()
    waiting = simulated["startedAt"].isna()
    assert found["n"].sum() == (roots & ~waiting).sum()
    assert found.attrs["activitykit"]["left_out"]["not_started"] == waiting.sum()


@pytest.mark.parametrize("freq", ["", "7m", "5h", "36h", "month", "1y", "0d", "-1d"])
def test_lengths_that_do_not_fit_a_day_are_refused(simulated, freq):
    """The message shows what fits."""
    with pytest.raises(ValueError, match='"15m" or "6h"'):
        ak.trend(simulated, freq)


def test_an_unknown_zone_is_refused(simulated):
    """The message shows a name that works."""
    with pytest.raises(ValueError, match="Europe/Berlin"):
        ak.trend(simulated, tz="Middle/Earth")


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_hours_of_the_week_are_those_of_the_clock(around, tz):
    """A year over both clock changes gives the weekdays and hours that pandas reads off."""
    local = around["startedAt"].dt.tz_convert(tz).dt
    want = around.groupby([local.day_of_week.rename("weekday"), local.hour.rename("hour")])["id"]
    found = ak.weekly_load(around, tz=tz)
    assert found.set_index(["weekday", "hour"])["n"].to_dict() == want.count().to_dict()


def test_an_hour_says_what_the_single_statistics_say(simulated):
    """Rates are failure_stats' of the same rows, queue times duration_stats'."""
    local = simulated["startedAt"].dt.tz_convert("Europe/Berlin").dt
    found = ak.weekly_load(simulated, tz="Europe/Berlin")
    row = found.loc[found["n"].idxmax()]
    chosen = (local.day_of_week == row["weekday"]) & (local.hour == row["hour"])
    rows = simulated[chosen & simulated["parentActivityId"].isna()]
    rates = ak.failure_stats(rows)[["n", "n_failed", "failure_rate", "ci_low", "ci_high"]].iloc[0]
    waits = ak.duration_stats(rows)[["queue_p50_s", "queue_p95_s"]].iloc[0]
    pd.testing.assert_series_equal(
        row[rates.index].astype(float), rates.astype(float), check_names=False
    )
    assert row[waits.index].tolist() == waits.tolist()


def test_bucket_bounds_hold_their_span():
    """The bounds given for a span begin at or before it and end after it, without a hole."""
    first, last = pd.Timestamp("2026-03-28", tz="UTC"), pd.Timestamp("2026-03-30", tz="UTC")
    calendar = buckets("1d", "Europe/Berlin", first, last)
    bounds = calendar.starts(int(first.timestamp()), int(last.timestamp()))
    assert (np.diff(bounds) / 3600).tolist() == [24, 23, 24]
