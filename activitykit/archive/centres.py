"""Several data centres in one archive: each counts its activities by itself, so ids may meet."""

from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa

from activitykit.archive.rows import to_pages
from activitykit.flatten import flatten_pages

if TYPE_CHECKING:
    from deltalake import DeltaTable

_KEY: Final = ["id", "base_url"]


def may_meet(table: "DeltaTable") -> bool:
    """Tell whether rows are of more than one data centre, by the bounds that the log keeps."""
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    bounds = {file.get(f"{edge}.base_url") for file in files for edge in ("min", "max")}
    return len(bounds) > 1


def do_meet(dataset: Any) -> bool:  # noqa: ANN401 - Arrow is untyped
    """Tell whether activities of different data centres have the same id."""
    keys = dataset.to_table(columns=_KEY).to_pandas().drop_duplicates()
    return bool(keys["id"].duplicated().any())


def flattened(table: Any) -> pd.DataFrame:  # noqa: ANN401
    """Make a frame of rows, as `flatten` does, but take equal ids for equal only within a centre.

    The types of columns are decided over all rows, so the centres cannot be taken one by one.
    """
    keys = table.select(_KEY).to_pandas()
    # a number of its own for each activity, in the order of the ids
    own = keys.groupby(_KEY).ngroup().to_numpy()
    at, ids = table.schema.get_field_index("id"), table.schema.field("id")
    df = flatten_pages(to_pages(table.set_column(at, ids, pa.array(own, pa.int64()))))
    df["id"] = keys.drop_duplicates()["id"].sort_values().to_numpy()
    return df
