"""The table of columns and the reading of times."""

import pandas as pd
import pytest

import activitykit as ak
from activitykit.schema import CORE, DERIVED, KNOWN_TYPES, require


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
