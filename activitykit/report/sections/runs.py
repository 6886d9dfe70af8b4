"""Runs with their outcomes, and the keys by which runs of a resource belong together."""

from typing import Any, Final

import narwhals as nw
import pandas as pd

from activitykit import stats
from activitykit.report.scope import Scope

PAIR: Final = ["tenant.uuid", "resource.id", "policy.id"]
"""A resource under a plan, as `stats.last_good` keys it."""


_NEEDED: Final = [
    "id", "tenant.id", *PAIR, "type", "startedAt", "completedAt", "updatedAt", "result.code",
    "result.error.code", "error_signature", "error_cause",
]  # fmt: skip


def keyed(rows: pd.DataFrame) -> pd.DataFrame:
    """Spell the keys as `stats` does: a tenant without UUID by its id, resources in lower case."""
    return rows.assign(
        **{
            "tenant.uuid": rows["tenant.uuid"].fillna(rows["tenant.id"]),
            "resource.id": rows["resource.id"].astype("str").str.lower(),
        }
    )


def finished(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Tell which rows are completed and have a result, as `stats` counts them finished."""
    return (rows["state"] == "completed") & rows["result.code"].notna()


def finished_runs(scope: Scope) -> pd.DataFrame:
    """Give the runs that finished by the end of the period, in the order of their ends.

    Adds ``at`` (end, or last change), ``outcome``, and ``series``, a number for each tenant,
    resource, plan and type.
    """
    rows = scope.runs
    done = rows.loc[finished(rows), _NEEDED]
    at = done["completedAt"].fillna(done["updatedAt"])
    runs = keyed(done.assign(at=at)[at <= scope.end])
    series = runs.groupby([*PAIR, "type"], dropna=False, sort=False, observed=True).ngroup()
    runs = runs.assign(series=series, outcome=outcomes(runs, scope.policy))
    return runs.sort_values(["at", "id"])


def outcomes(runs: pd.DataFrame, policy: stats.OutcomePolicy) -> "pd.Series[Any]":
    """Give the outcome of finished rows under a policy."""
    codes = ["result.code", "result.error.code"]
    known = runs[codes].drop_duplicates()
    plain = nw.from_native(known.set_axis(["result_code", "result_error_code"], axis="columns"))
    words = plain.select(outcome=policy.expr()).to_native()["outcome"]
    table = known.assign(outcome=words.to_numpy())
    return runs[codes].merge(table, on=codes, how="left").set_axis(runs.index)["outcome"]
