"""Which running activities take longer than their like, and how much longer they will run."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd

from activitykit.moments import Moment
from activitykit.stats import curves, engines, frames
from activitykit.stats.durations import NEEDS as DURATION_NEEDS
from activitykit.stats.durations import USABLE, timings, unusable
from activitykit.stats.engines import Rows

SHOWN: Final = (
    "type", "tenant.uuid", "tenant.name", "resource.id", "resource.name", "policy.id",
    "policy.name", "startedAt",
)  # fmt: skip
NEEDS: Final = tuple(dict.fromkeys(("id", *SHOWN, "updatedAt", *DURATION_NEEDS)))
COLUMNS: Final = (
    "elapsed_s", "survival", "remaining_p50_s", "n_reference", "updated_age_s", "overdue",
    "reference", "typical_s", "limit_s", "note",
)  # fmt: skip
LEVELS: Final[Mapping[str, Sequence[str]]] = {
    "type and resource": ("type", "_resource"), "type": ("type",),
}  # fmt: skip
# stands for "never" among times
_NEVER: Final = 1e18


def overdue(
    df: Any,  # noqa: ANN401 - any engine's frame
    *,
    as_of: Moment | None = None,
    longest_share: float = 0.05,
    min_excess_s: float = 900.0,
    min_reference: int = 20,
) -> pd.DataFrame:
    """Judge each running activity by how long its like have taken, and how much is left.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    as_of
        The moment the data describes; by default the latest ``updatedAt``.
    longest_share
        A run is overdue when at most this share of its group takes longer ...
    min_excess_s
        ... and it has run so many seconds longer than the time at which that share begins.
    min_reference
        Finished runs that a group needs: type and resource, else type alone, else no verdict.

    Returns
    -------
    pandas.DataFrame
        One row per running activity, the longest first: ``id``, ``type`` and the names and ids of
        tenant, resource and policy, ``startedAt``, ``elapsed_s``, ``survival`` (share of the
        group's runs that last longer; Kaplan-Meier), ``remaining_p50_s`` (median of the seconds
        left, given the time so far), ``n_reference`` (finished runs of the group), ``reference``
        (the columns that form the group), ``typical_s`` and ``limit_s`` (median of the group, and
        the time at which its longest share begins), ``updated_age_s`` (seconds since the last sign
        of life), ``overdue``, ``note`` (why a number is missing).
        ``attrs["activitykit"]["left_out"]`` counts the rows that are no sound reference, as
        `duration_stats` does.

    Raises
    ------
    SchemaError
        When a needed column is missing.
    ValueError
        When `longest_share` is not between 0 and 1.

    Notes
    -----
    Not "median minus elapsed", which turns negative: the survivors of a long wait are long runs. A
    large ``updated_age_s`` says that the executor may be gone, whatever the survival says. The
    ages of running activities are no sample of durations: long ones are over-represented.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> running = ak.overdue(df)
    >>> running["survival"].dropna().between(0, 1).all()
    np.True_
    """
    frames.fraction("longest_share", longest_share)
    rows = engines.scan(df, NEEDS, "overdue")
    moment = frames.resolve(rows, as_of)
    rows = rows.with_columns(
        **timings(rows, moment), _entry=nw.lit(0.0), _resource=frames.folded("resource_id")
    )
    rows = rows.with_columns(_event=frames.flag(nw.col("finished")))
    known, counts = frames.left_out(rows.select("type", "_resource", "_event", *USABLE), unusable())
    shown = rows.filter(nw.col("running") & (nw.col("duration_s") >= 0) & ~nw.col("legacy"))
    shown = shown.with_columns(_time=curves.time_of("duration_s"))
    table = engines.collect(
        shown.select(
            "id", "duration_s", "updatedAt", "_resource", "_time", *map(engines.plain, SHOWN)
        )
    )
    table = table.rename(columns={"duration_s": "elapsed_s"})
    table["updated_age_s"] = frames.ages(moment, table.pop("updatedAt"))
    table = table.join(_best_outlook(known, table, longest_share, min_reference))
    table["remaining_p50_s"] = table.pop("median_s") - table["elapsed_s"]
    late = table["elapsed_s"] - table["limit_s"] >= min_excess_s
    table["overdue"] = (late & (table["survival"] <= longest_share)).astype(bool)
    table["note"] = _notes(table, min_reference)
    table = table.sort_values(["elapsed_s", "id"], ascending=[False, True])
    return frames.tidy(table, ["id", *SHOWN, *COLUMNS], by=[], counts=counts, as_of=moment)


def _best_outlook(
    rows: Rows, running: pd.DataFrame, longest_share: float, min_reference: int
) -> pd.DataFrame:
    """Give for each running row what the narrowest group with enough finished runs says."""
    rows = rows.select("type", "_resource", "duration_s", "_event")
    near = rows.filter(_like(running))
    narrow, wide = (
        running[[*keys, "_time"]]
        .merge(_outlook(engines.categories(of, keys), keys, longest_share, few=few), how="left")
        .assign(reference=name)
        for (name, keys), of, few in zip(LEVELS.items(), (near, rows), (True, False), strict=True)
    )
    best = narrow.where(narrow["n_reference"] >= min_reference, wide)
    told = best["n_reference"] >= min_reference
    best.loc[~told, ["survival", "median_s", "typical_s", "limit_s"]] = math.nan
    return best.drop(columns=["type", "_resource", "_time"])


def _like(running: pd.DataFrame) -> nw.Expr:
    """Condition: type and resource of a running row."""
    alike = [nw.col("_event") < 0]
    for kind, resources in running.groupby("type", dropna=False)["_resource"]:
        same = engines.one_of("_resource", resources.dropna().unique().tolist())
        if resources.isna().any():
            same = same | nw.col("_resource").is_null()
        named = nw.col("type") == kind if isinstance(kind, str) else nw.col("type").is_null()
        alike.append(same & named)
    return nw.any_horizontal(*alike, ignore_nulls=True)


def _outlook(rows: Rows, keys: Sequence[str], longest_share: float, *, few: bool) -> pd.DataFrame:
    """Read the survival curve of each group at the ages of its running rows, and beyond.

    The median of the survivors is the first time at which S is half of what it is now. Running
    rows are put among the points of the curve at that height, so that the next point below is the
    answer: one more ordered window instead of a join of every row with every curve.
    """
    shares = {"typical_s": 0.5, "limit_s": longest_share}

    def ahead(curve: Rows, what: str) -> pd.DataFrame:
        lowest = {name: curves.first_below(math.log(share), what) for name, share in shares.items()}
        points = curve.with_columns(**lowest).with_columns(
            nw.col(*shares).min().over(*keys), n_reference=nw.col("_event").sum().over(*keys)
        )
        depth, here = -nw.col("_log_s"), nw.col(what).cast(nw.Float64)
        points = points.with_columns(
            _known=nw.when(nw.col("_event") > 0).then(depth),
            _asked=nw.when(nw.col("_cut") > 0).then(depth + math.log(2) - curves.TOLERANCE),
            _here=here,
            _never=nw.lit(_NEVER),
            _no=nw.lit(0.0),
        )
        both = {"_depth": ["_known", "_asked"], "median_s": ["_here", "_never"],
                "_running": ["_no", "_cut"]}  # fmt: skip
        points = engines.folded(points, both).filter(~nw.col("_depth").is_null())
        points = engines.arranged(points, "_depth")
        below = engines.along(points, nw.col("median_s").cum_min(reverse=True), keys, "_depth")
        asked = points.with_columns(median_s=below).filter(nw.col("_running") > 0)
        table = engines.collect(
            asked.select(*keys, "_time", "n_reference", *shares, "median_s", "_log_s")
        )
        return table.assign(median_s=table["median_s"].where(table["median_s"] < _NEVER))

    found = curves.changes(rows, keys)
    sought = [*shares, "median_s"]
    table = (
        ahead(curves.curve(found, keys), "duration_s")
        if few
        else curves.read_exactly(found, keys, ahead, sought)
    )
    table["survival"] = np.exp(table.pop("_log_s"))
    return table


def _notes(table: pd.DataFrame, min_reference: int) -> "pd.Series[str]":
    few = table["n_reference"] < min_reference
    endless = table["remaining_p50_s"].isna()
    return pd.Series(
        np.select(
            [few, endless],
            [
                f"fewer than {min_reference} finished runs to compare with",
                "longer than most known runs",
            ],
            "",
        ),
        index=table.index,
        dtype="str",
    )
