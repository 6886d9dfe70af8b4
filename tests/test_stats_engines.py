"""The same numbers on pandas, Polars, DuckDB and Spark, and the same answers to bad input."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import activitykit as ak

CASES = {
    "duration_stats": lambda df: ak.duration_stats(df, ["tenant.name", "type"]),
    "delayed entry": lambda df: ak.duration_stats(df, selected_since="2026-10-20"),
    "survival": lambda df: ak.survival(df, "type"),
    "survival with delayed entry": lambda df: ak.survival(df, selected_since="2026-10-20"),
    "failure_stats": lambda df: ak.failure_stats(df, "resource.id", cluster="policy.name"),
    "failure_reasons": lambda df: ak.failure_reasons(df, "tenant.name"),
    "streaks": ak.streaks,
    "last_good": ak.last_good,
    "overdue": ak.overdue,
    "trend": lambda df: ak.trend(df, "1d", tz="Europe/Berlin", by="type"),
    "weekly_load": lambda df: ak.weekly_load(df, tz="Europe/Berlin", by="tenant.name"),
    "concurrency": lambda df: ak.concurrency(df, "6h", tz="Europe/Berlin"),
    "quality": ak.quality,
}


@pytest.fixture(scope="module")
def micro(simulated):
    """The core and derived columns at the resolution that SQL engines have."""
    df = simulated[ak.columns()["name"].tolist()]
    times = [name for name, dtype in df.dtypes.items() if dtype == "datetime64[ns, UTC]"]
    return df.astype(dict.fromkeys(times, "datetime64[us, UTC]"))


@pytest.fixture(scope="module")
def table(micro):
    """The same as Arrow, with the string type that every engine reads."""
    schema = pa.Schema.from_pandas(micro, preserve_index=False)
    plain = [
        pa.field(f.name, pa.string()) if pa.types.is_large_string(f.type) else f for f in schema
    ]
    return pa.Table.from_pandas(micro, preserve_index=False).cast(pa.schema(plain))


@pytest.fixture(scope="module")
def spark_frame(spark, table):
    """The same in a local Spark session."""
    return spark.createDataFrame(table).repartition(1).cache()


def check(got, want):
    """Compare two results; what the load noted is known to pandas frames only."""
    if "check" in want:
        want = want[want["check"].isin(got["check"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(got, want, rtol=1e-9, atol=1e-6)
    assert got.attrs == want.attrs


@pytest.mark.parametrize(
    "statistic",
    [
        *CASES.values(),
        ak.duration_stats,
        ak.failure_stats,
        ak.failure_reasons,
        ak.survival,
        ak.trend,
    ],
)
def test_an_empty_frame_gives_no_rows(micro, statistic):
    """Columns and types are those of any other frame."""
    found, full = statistic(micro.iloc[:0]), statistic(micro)
    assert found.empty
    assert found.dtypes.to_dict() == full.dtypes.to_dict()


@pytest.mark.parametrize("case", CASES)
def test_polars_agrees(micro, table, case):
    """Eager and lazy Polars frames."""
    want = CASES[case](micro)
    check(CASES[case](pl.from_arrow(table)), want)
    check(CASES[case](pl.from_arrow(table).lazy()), want)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("case", CASES)
def test_duckdb_agrees(micro, table, case, zone):
    """Whatever the time zone of the connection."""
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{zone}'")
    check(CASES[case](connection.from_arrow(table)), CASES[case](micro))


def test_duckdb_reads_parquet_with_nanoseconds(simulated, tmp_path):
    """Nine digits in a file are cut to six."""
    columns = simulated[ak.columns()["name"].tolist()]
    columns.to_parquet(tmp_path / "ns.parquet")
    relation = duckdb.connect().read_parquet(str(tmp_path / "ns.parquet"))
    for statistic in (ak.duration_stats, ak.concurrency):
        got, want = statistic(relation), statistic(columns)
        pd.testing.assert_frame_equal(got, want, rtol=1e-6, atol=2e-6)
    assert "duration_s" in ak.durations(relation).columns


@pytest.mark.spark
@pytest.mark.parametrize("case", CASES)
def test_spark_agrees(micro, spark_frame, case):
    """A local session with real Java."""
    check(CASES[case](spark_frame), CASES[case](micro))


@pytest.mark.parametrize("convert", [pl.from_arrow, duckdb.from_arrow], ids=["polars", "duckdb"])
def test_durations_gives_the_same_kind_of_frame_back(micro, table, convert):
    """A Polars frame gives a Polars frame, a relation a relation, with all columns."""
    source = convert(table)
    found = ak.durations(source)
    assert type(found) is type(source)
    want = ak.durations(micro)
    assert list(found.columns) == list(want.columns)
    back = found.arrow() if hasattr(found, "arrow") else found.to_arrow()
    back = back.read_all() if hasattr(back, "read_all") else back
    length = back["duration_s"].to_pandas()
    np.testing.assert_allclose(length, want["duration_s"], atol=1e-6, rtol=0)


@pytest.mark.spark
def test_durations_on_spark(micro, spark_frame):
    """A Spark frame stays one."""
    found = ak.durations(spark_frame).select("id", "duration_s", "legacy").toArrow().to_pandas()
    want = ak.durations(micro)
    np.testing.assert_allclose(found["duration_s"], want["duration_s"], atol=1e-6)
    assert found["legacy"].tolist() == want["legacy"].tolist()


@pytest.mark.parametrize("case", [*CASES, "durations"])
@pytest.mark.parametrize("missing", ["state", "result.code"])
def test_a_missing_column_is_named(simulated, case, missing):
    """SchemaError says what is missing and what is there."""
    with pytest.raises(ak.SchemaError, match=missing) as caught:
        (CASES | {"durations": ak.durations})[case](simulated.drop(columns=missing))
    assert caught.value.missing == (missing,)
    assert "type" in caught.value.available


@pytest.mark.parametrize("by", ["nope", ["type", "nope"]])
@pytest.mark.parametrize(
    "statistic",
    [
        ak.duration_stats,
        ak.failure_stats,
        ak.failure_reasons,
        ak.survival,
        ak.trend,
        ak.weekly_load,
    ],
)
def test_a_group_that_does_not_exist_is_named(simulated, statistic, by):
    """The message names the column."""
    with pytest.raises(ak.SchemaError, match="nope"):
        statistic(simulated, by=by)


ODD = {
    "one row": ([0], [60]),
    "one running row": ([0], [None]),
    "all running": ([0, 1], [None, None]),
    "all failed": ([0, 1, 2], [60, 60, 90], "error"),
    "all backwards": ([5, 6, 7], [-60, -3600, -0.5]),
}


@pytest.fixture(params=ODD)
def odd(request, make_frame):
    """A frame in which something never happens, or time goes backwards."""
    start, seconds, *code = ODD[request.param]
    return make_frame(start, seconds, **({"result.code": code[0]} if code else {}))


@pytest.mark.parametrize("case", CASES)
def test_an_odd_frame_is_no_error(odd, case):
    """No row goes missing, no time is negative, no rate outside of 0 to 1."""
    found = CASES[case](odd)
    if "n" in found and case != "quality":
        assert found["n"].sum() in (0, len(odd))
        assert len(found) or found.attrs["activitykit"]["left_out"]
    assert not (found.filter(regex="_s$") < 0).any(axis=None)
    shares = found.filter(regex="rate|ci_|survival")
    assert not ((shares < 0) | (shares > 1)).any(axis=None)


def test_durations_keep_what_is_odd(odd):
    """One row each, also with a negative time."""
    found = ak.durations(odd)
    took = (odd["completedAt"] - odd["startedAt"]).dt.total_seconds()
    assert found.loc[found["finished"], "duration_s"].tolist() == took.dropna().tolist()
    assert (found["finished"] ^ found["running"]).all()


@pytest.mark.parametrize(
    "statistic", [ak.duration_stats, ak.survival, ak.overdue, ak.concurrency, ak.quality]
)
def test_backwards_times_are_told(make_frame, statistic):
    """They are in no duration, and the reason says how many."""
    found = statistic(make_frame(*ODD["all backwards"]))
    if statistic is ak.quality:
        assert found.set_index("check").loc["backwards", "n"] == 3
    else:
        assert found.attrs["activitykit"]["left_out"] == {"backwards": 3}


def test_all_failed_is_a_rate_of_one(make_frame):
    """And three failures in a row, for one reason, without a last success."""
    df = make_frame([0, 1, 2], [60, 60, 90], **{"result.code": "error"})
    for statistic in (ak.failure_stats, ak.trend, ak.weekly_load):
        assert (statistic(df)["failure_rate"] == 1).all()
    assert ak.failure_reasons(df)["n"].tolist() == [3]
    assert ak.streaks(df)["streak"].tolist() == [3]
    assert ak.last_good(df)["never"].all()


@pytest.mark.parametrize("statistic", [ak.duration_stats, ak.streaks, ak.last_good, ak.overdue,
                                       ak.survival, ak.trend, ak.concurrency,
                                       ak.quality])  # fmt: skip
def test_as_of_before_the_data(simulated, statistic):
    """Nothing has a negative age; running rows are left out with a reason."""
    found = statistic(simulated, as_of="2001-01-01")
    ages = found.filter(regex="_s$").drop(columns="observed_s", errors="ignore")
    assert not (ages < 0).any(axis=None)
    assert found.attrs["activitykit"]["as_of"] == "2001-01-01T00:00:00Z"


def test_durations_as_of_before_the_data(simulated):
    """Finished rows keep their duration, running ones have no age."""
    found = ak.durations(simulated, as_of="2001-01-01")
    assert found.loc[found["running"], "duration_s"].isna().all()
    now = ak.durations(simulated)
    pd.testing.assert_frame_equal(found[found["finished"]], now[now["finished"]])


@pytest.mark.parametrize("case", CASES)
def test_no_statistic_changes_its_input(simulated, case):
    """Values, order and notes stay."""
    before = simulated.copy()
    CASES[case](simulated)
    pd.testing.assert_frame_equal(simulated, before)
    assert simulated.attrs == before.attrs
