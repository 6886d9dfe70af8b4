from itertools import takewhile

import numpy as np
import pandas as pd
import pytest

import activitykit as ak

SERIES = ["tenant.uuid", "resource.id", "policy.id", "type"]


def history(make_frame, codes, **columns):
    """One series with a run an hour."""
    return make_frame(range(len(codes)), [60.0] * len(codes), **{"result.code": codes}, **columns)


@pytest.mark.parametrize(
    ("codes", "streak", "last"),
    [
        (["error", "ok"], 0, "success"),
        (["ok", "error", "timedout"], 2, "failed"),
        (["error", "error"], 2, "failed"),
        (["ok", "error", "cancelled"], 1, "cancelled"),
        (["error", "new-code", "error"], 2, "failed"),
    ],
)
def test_a_streak_counts_failures_since_the_last_success(make_frame, codes, streak, last):
    """Cancelled and unknown runs neither lengthen nor end it."""
    row = ak.streaks(history(make_frame, codes)).iloc[0]
    assert (row["streak"], row["last_outcome"], row["n"]) == (streak, last, len(codes))


def test_streaks_agree_with_a_loop(simulated):
    """A plain loop over each series gives the same streaks and last successes."""
    found = ak.streaks(simulated).set_index(SERIES)
    good = {"ok", "warning"}
    done = simulated[simulated["result.code"].notna() & simulated["parentActivityId"].isna()]
    done = done[(done["state"] == "completed") & (done["result.code"] != "cancelled")]
    done = done[done["result.error.code"] != "OperationCanceledByUser"]
    keys = [done["tenant.uuid"].fillna(done["tenant.id"]), done["resource.id"].str.lower()]
    for key, rows in done.groupby([*keys, "policy.id", "type"]):
        codes = rows.sort_values(["completedAt", "id"], ascending=False)["result.code"]
        assert found.loc[key, "streak"] == len(list(takewhile(lambda c: c not in good, codes)))
        last = rows.loc[rows["result.code"].isin(good), "completedAt"].max()
        assert (
            found.loc[key, "last_success_at"] is last or found.loc[key, "last_success_at"] == last
        )


def test_streaks_look_back_from_as_of(make_frame):
    """What came later is not known yet."""
    df = history(make_frame, ["error", "error", "ok"])
    found = ak.streaks(df, as_of="2026-03-01T01:30:00")
    assert found["streak"].tolist() == [2]
    assert found.attrs["activitykit"]["left_out"] == {"after_as_of": 1}
    assert len(ak.streaks(df, as_of="2020-01-01")) == 0


def test_healthy_series_raise_few_alarms(make_frame):
    """With a failure rate of 5 %, under 1 alarm (three in a row) per 100 resources and month."""
    rng = np.random.default_rng(9)
    machines, nights, alarms = 400, 30, 0
    codes = np.where(rng.random((nights, machines)) < 0.05, "error", "ok")
    names = [f"m{i:03d}" for i in range(machines)] * nights
    start = np.repeat(np.arange(nights) * 24.0, machines)
    df = make_frame(
        start, [60.0] * len(names), **{"result.code": codes.ravel(), "resource.id": names}
    )
    raised = set()
    for night in range(nights):
        found = ak.streaks(df[: machines * (night + 1)])
        raised |= set(found.loc[found["streak"] >= 3, "resource.id"])
    alarms = len(raised)
    assert alarms / machines * 100 < 1


def test_the_failing_second_plan_shows(make_frame):
    """The age is per resource and policy: one good plan does not hide the other."""
    df = history(
        make_frame,
        ["ok", "error", "ok", "error"],
        **{"policy.id": ["p", "q", "p", "q"], "resource.id": ["M", "m", "m", "M"]},
    )
    found = ak.last_good(df, as_of="2026-03-02")
    assert found["policy.id"].tolist() == ["p", "q"]
    assert found["never"].tolist() == [False, True]
    assert found.loc[0, "age_s"] == 24 * 3600 - 2 * 3600 - 60
    assert pd.isna(found.loc[1, "age_s"])


def test_last_good_ignores_what_came_after_as_of(make_frame):
    """Seen from before its end, a success has not happened."""
    df = history(make_frame, ["error", "ok"])
    assert ak.last_good(df, as_of="2026-03-01T00:30:00")["never"].tolist() == [True]


def test_an_old_record_without_a_tenant_uuid_goes_by_its_number(make_frame):
    """The numeric id stands in for the missing UUID."""
    df = history(make_frame, ["ok"], **{"tenant.uuid": None, "tenant.id": "66"})
    assert ak.streaks(df)["tenant.uuid"].tolist() == ["66"]
