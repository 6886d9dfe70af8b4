import pandas as pd
import pytest

import activitykit as ak
from activitykit.schema import CORE

TEXT = [column.name for column in CORE if column.kind == "text"]


def test_a_clean_frame_finds_nothing(make_frame):
    """Every check is listed with 0 rows."""
    df = make_frame([0, 1], [60, 60], type="Download")
    df["createdAt"] = df["startedAt"] = df["completedAt"] = _inserted(df)
    df["updatedAt"] = df["completedAt"]
    found = ak.quality(df)
    assert found["n"].sum() == 0
    assert found["check"].is_unique
    assert found["meaning"].str.len().gt(20).all()


def _inserted(df):
    """The time inside the ids, exactly as documented."""
    return pd.to_datetime(((df["id"].to_numpy() >> 22) + 1288834974287) << 20, utc=True)


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("legacy", {"context.isLegacy": True}),
        (
            "legacy_with_duration",
            {"context.isLegacy": True, "completedAt": pd.Timestamp("2100-01-01", tz="UTC")},
        ),
        ("missing_started", {"startedAt": pd.NaT}),
        ("missing_completed", {"completedAt": pd.NaT}),
        ("missing_result", {"result.code": None}),
        ("backwards", {"completedAt": pd.Timestamp("2020-01-01", tz="UTC")}),
        ("queue_backwards", {"startedAt": pd.Timestamp("2020-01-01", tz="UTC")}),
        ("unknown_state", {"state": "dreaming"}),
        ("unknown_result", {"result.code": "meh"}),
        ("unknown_outcome", {"result.code": "meh"}),
        ("unknown_type", {"type": "SomethingNew"}),
        ("mixed_case_ids", {"resource.id": "ABC"}),
        ("missing_tenant_uuid", {"tenant.uuid": None}),
        ("missing_resource", {"resource.id": None}),
        ("clock_skew", {"createdAt": pd.Timestamp("2020-01-01", tz="UTC")}),
    ],
)
def test_each_check_finds_its_row(make_frame, check, change):
    """One odd row, one finding, with its id."""
    df = make_frame([0, 1], [60, 60], type="Download")
    df["createdAt"] = df["startedAt"] = df["completedAt"] = _inserted(df)
    for name, value in change.items():
        df.loc[1, name] = value
    row = ak.quality(df, as_of="2100-01-01").set_index("check").loc[check]
    assert (row["n"], row["share"], row["example_ids"]) == (1, 0.5, [df.loc[1, "id"]])


@pytest.mark.parametrize("odd", [7, True])
@pytest.mark.parametrize("name", TEXT)
def test_text_columns_may_hold_anything(name, odd):
    """A column that is a number or a boolean throughout, with gaps, is no reason to fail."""
    part, _, key = name.partition(".")
    items = [{"id": 2**60, "type": "x", part: {key: odd} if key else odd}, {"id": 2**60 + 1}]
    found = ak.quality(ak.flatten(items)).set_index("check")
    assert found.loc["missing_resource", "n"] == 2 - (name == "resource.id")
    assert found.loc["mixed_case_ids", "n"] <= (name == "resource.id")


def test_stuck_and_future_rows_depend_on_as_of(make_frame):
    """A run without a sign of life for a day is stuck; one that has not begun has no age."""
    df = make_frame([0, 48], [None, None])
    found = ak.quality(df, as_of="2026-03-02T01:00:00").set_index("check")["n"]
    assert (found["stuck"], found["after_as_of"]) == (1, 1)


def test_what_the_load_noted_is_shown():
    """Duplicates and unreadable times are counted with examples."""
    item = {"id": 2**60, "type": "agent.add", "startedAt": "soon"}
    df = ak.flatten([item, dict(item, updatedAt="2026-01-01T00:00:00Z"), dict(item, id=2**60 + 1)])
    found = ak.quality(df).set_index("check")
    assert found.loc["duplicates", "n"] == 1
    assert found.loc["unreadable_times", "n"] == 2
    df.attrs["activitykit"]["complete"] = False
    assert ak.quality(df).set_index("check").loc["incomplete", "share"] == 1


def test_an_id_twice_in_the_frame_is_found(make_frame):
    """Two frames put together count twice."""
    df = make_frame([0, 1], [60, 60])
    row = ak.quality(pd.concat([df, df[:1]])).set_index("check").loc["repeated_ids"]
    assert (row["n"], row["example_ids"]) == (1, [df.loc[0, "id"]])
