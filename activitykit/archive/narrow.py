"""A few columns of many archived rows, taken as they are stored instead of put together."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.archive.rows import BEYOND, FIELDS, MISFIT, to_pages
from activitykit.filters import Filter
from activitykit.flatten import flatten_pages
from activitykit.flatten.times import TIMESTAMP
from activitykit.schema import ATTRS, CORE, DERIVED

STORED: Final = frozenset(column.name for column in (*CORE, *DERIVED))
_TIMES: Final = frozenset(column.name for column in CORE if column.kind == "time")


def read_stored(
    dataset: Any,  # noqa: ANN401 - Arrow is untyped
    columns: Sequence[str],
    where: Filter | None,
) -> pd.DataFrame | None:
    """Read stored columns of a dataset into a frame as `flatten` would give them.

    Rows with a core value that is not in its column are put together like any other, which are few.

    Parameters
    ----------
    dataset
        Archived rows that ``where`` may select.
    columns
        Names of core and derived columns.
    where
        What else will be looked at.

    Returns
    -------
    pandas.DataFrame or None
        With the columns, and those that the filter looks at; None when stored columns are not
        enough, or would be of other types than those of the frame put together.
    """
    paths = set() if where is None else {path for found in where.criteria() for path, _ in found}
    names = list(dict.fromkeys([*columns, *sorted(paths), "id", "updatedAt"]))
    if where is not None and where.on not in names:
        names.append(where.on)
    if not STORED.issuperset(names):
        return None
    odd = flatten_pages(to_pages(dataset.filter(pc.field(MISFIT)).to_table(columns=FIELDS.names)))
    usual = flatten_pages([]).dtypes[names]
    # the type of a column is decided over all of its values, so a few odd ones change it
    if odd.dtypes[names].ne(usual).any() or not STORED.isdisjoint(odd.attrs[ATTRS]["json_columns"]):
        return None
    beyond = [name + BEYOND for name in names if name in _TIMES]
    table = dataset.filter(~pc.field(MISFIT)).to_table(columns=names + beyond)
    plain = pd.DataFrame({name: _cells(table, name, usual[name]) for name in names}, copy=False)
    df = pd.concat([plain, odd[names]], ignore_index=True) if len(odd) else plain
    if not (df["id"].is_monotonic_increasing and df["id"].is_unique):
        df = df.sort_values(["id", "updatedAt"], na_position="first", ignore_index=True)
    repeated = df["id"].duplicated(keep="last")
    df = df[~repeated].reset_index(drop=True) if repeated.any() else df
    df.attrs = {ATTRS: odd.attrs[ATTRS] | {"pages": 0, "rows": len(df)}}
    return df


def _cells(table: Any, name: str, dtype: Any) -> Any:  # noqa: ANN401
    values = table[name]
    if name in _TIMES:
        nanos = pc.add(pc.multiply(values.cast(pa.int64()), 1000), table[name + BEYOND])
        return nanos.cast(TIMESTAMP).to_pandas()
    if isinstance(dtype, np.dtype):
        return values.to_pandas()
    return dtype.__from_arrow__(values)
