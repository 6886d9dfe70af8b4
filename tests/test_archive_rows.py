"""Rows of the archive: whatever came is given back, and nothing is stored twice."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import activitykit as ak
from activitykit.archive import rows
from activitykit.flatten import flatten_pages
from activitykit.schema import CORE


@pytest.fixture(scope="module")
def items():
    """Activities of three days, and the published ones of years ago."""
    return list(ak.demo.simulate(300, seed=4, days=3))


def pages_of(items):
    """Give the bodies that hold activities, a few on each."""
    return [json.dumps({"items": items[i : i + 7]}).encode() for i in range(0, len(items), 7)]


def there_and_back(items):
    """Make rows of activities, and a frame of the rows."""
    return flatten_pages(rows.to_pages(rows.to_rows(pages_of(items), None, "https://x")))


def same(found, expected):
    """Compare frames, and what was noted about their columns."""
    pd.testing.assert_frame_equal(found, expected)
    for key in ("json_columns", "conflicts", "unreadable_times", "rest_columns"):
        assert found.attrs["activitykit"][key] == expected.attrs["activitykit"][key]


ODD = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False, width=32), st.text(max_size=5),
        st.just("2026-03-01T10:00:00.5Z"),
        st.just("2026-03-01T10:00:00.50+02:00"), st.just("2026-02-30T10:00:00Z"),
    ),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["id", "name", "error", "a.b", "title", ""]), inner),
    max_leaves=6,
)  # fmt: skip
TOP = {column.name.split(".")[0] for column in CORE}
KEYS = [*sorted(TOP - {"id"}), "tenant.id", "tags", "x"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), ODD, max_size=6), min_size=1, max_size=6))
def test_rows_give_back_whatever_came(found):
    """Any JSON in any place comes back as the frame that it would have been at once."""
    items = [{"id": number, "createdAt": None} | one for number, one in enumerate(found)]
    same(there_and_back(items), ak.flatten(items))


def test_rows_hold_nothing_twice(items):
    """What has a column of its own stands neither in the context nor in the rest."""
    table = rows.to_rows(pages_of(items), None, "https://x").to_pandas()
    same(there_and_back(items), ak.flatten(items))
    assert not table["misfit"].any()
    for path in (column.name.split(".") for column in CORE):
        held = table["context" if path[0] == "context" else "rest"].dropna().map(json.loads)
        for key in path[1:] if path[0] == "context" else path:
            held = held.map(lambda value, key=key: value.get(key) if value else None)
        assert held.isna().all()


def test_rows_keep_the_nanoseconds_beside(items):
    """Microseconds and the nanoseconds beyond make up the time; durations are ready-made."""
    table = rows.to_rows(pages_of(items), None, "https://x").to_pandas()
    df = ak.durations(ak.flatten(items))
    for name in ("createdAt", "completedAt"):
        whole = table[name].astype("datetime64[ns, UTC]")
        beyond = pd.to_timedelta(table[f"{name}_ns"], unit="ns")
        pd.testing.assert_series_equal(whole + beyond, df[name], check_names=False)
    pd.testing.assert_series_equal(table["queue_s"], df["queue_s"], rtol=0, atol=1e-9)
    ended = df["duration_s"].where(df["finished"])
    pd.testing.assert_series_equal(table["duration_s"], ended, rtol=0, atol=1e-9)
    assert (table["month"] == df["createdAt"].dt.strftime("%Y-%m")).all()


def test_rows_take_the_latest_copy_that_matches():
    """Of several copies the one changed last counts, and it must match the filter."""
    old = {"id": 1, "state": "started", "updatedAt": "2026-03-01T00:00:00.1Z"}
    new = old | {"state": "completed", "updatedAt": "2026-03-01T00:00:00.15Z"}
    pages = pages_of([new, old, {"id": 2, "state": "completed"}])
    table = rows.to_rows(pages, ak.Filter(state="completed"), "https://x")
    assert table["id"].to_pylist() == [1, 2]
    assert len(rows.to_rows(pages, ak.Filter(state="started"), "https://x")) == 0
    with pytest.raises(ak.FlattenError, match="0"):
        rows.to_rows(pages_of([{"uuid": "no id"}]), None, "https://x")
