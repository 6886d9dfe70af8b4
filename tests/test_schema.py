"""The table of columns and the reading of times."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import activitykit as ak
from activitykit.schema import CORE, DERIVED, KNOWN_TYPES, parse_time, require


def test_every_column_is_explained():
    """Each column has a name of its own, a meaning and a source; times say their zone."""
    table = ak.columns()
    assert table["name"].is_unique
    assert (table[["meaning", "source"]] != "").all(axis=None)
    assert set(table.loc[table["dtype"].str.startswith("datetime"), "unit"]) == {"UTC"}


def test_derived_columns_cannot_collide_with_paths():
    """Columns that we work out are told apart from the JSON by their names."""
    assert not {column.name for column in CORE} & {column.name for column in DERIVED}


def test_known_guids_are_upper_case():
    """GUIDs are looked up in upper case, so the table holds them so."""
    guids = [name for name in KNOWN_TYPES if name.count("-") == 4]
    assert guids
    assert all(guid == guid.upper() for guid in guids)


@given(
    st.datetimes(datetime(1678, 1, 1), datetime(2262, 1, 1)),  # noqa: DTZ001 - the zone is drawn
    st.integers(-14 * 60, 14 * 60),
    st.integers(0, 9),
)
def test_times_are_read_as_the_standard_library_does(moment, offset_minutes, digits):
    """Any RFC 3339 time gives the nanoseconds that exact arithmetic gives."""
    sign, minutes = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    fraction = f"{moment.microsecond:06d}789"[:digits]
    text = f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if digits else ''}{fraction}"
    text += f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    whole = moment.replace(microsecond=0, tzinfo=UTC) - timedelta(minutes=offset_minutes)
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (since.days * 86_400 + since.seconds) * 10**9 + int(fraction.ljust(9, "0"))
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "odd",
    ["", "now", "2026-13-01T00:00:00Z", "2016-12-31T23:59:60Z", "0001-01-01T00:00:00Z",
     "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00.0123456789Z", 1700000000, None],
)  # fmt: skip
def test_what_is_no_time_is_none(odd):
    """Text that is no RFC 3339 time, or one that 64 bits cannot hold, is not guessed at."""
    assert parse_time(odd) is None


def test_all_missing_columns_are_named():
    """One error lists everything that is missing and what is there."""
    with pytest.raises(ak.SchemaError) as caught:
        require(["a", "b"], ["b", "c", "d"], "this statistic")
    assert caught.value.missing == ("c", "d")
    assert str(caught.value).startswith("this statistic needs the column(s) c, d")


def test_columns_of_an_empty_frame_have_the_types_of_the_table():
    """Core columns are there with their types even when nothing was loaded."""
    df = ak.flatten([])
    expected = ak.columns().set_index("name")["dtype"].to_dict()
    assert {name: str(df[name].dtype) for name in expected} == expected
    assert isinstance(df.index, pd.RangeIndex)
