"""Which resources need somebody now: failures in a row, and the age of the last success."""

from collections.abc import Sequence
from typing import Any, Final

import narwhals as nw
import pandas as pd

from activitykit.moments import Moment
from activitykit.stats import engines, frames
from activitykit.stats.engines import Rows
from activitykit.stats.frames import Time
from activitykit.stats.policy import DEFAULT_POLICY, FAILED, SUCCESS, OutcomePolicy

SERIES: Final = ("tenant.uuid", "resource.id", "policy.id", "type")
NAMES: Final = ("tenant.id", "tenant.name", "resource.name", "policy.name")
_NAMED: Final = tuple(map(engines.plain, NAMES))
NEEDS: Final = (
    "id", "state", "result.code", "result.error.code", "startedAt", "completedAt", "updatedAt",
    "parentActivityId", *SERIES, *NAMES,
)  # fmt: skip


def streaks(
    df: Any,  # noqa: ANN401 - any engine's frame
    *,
    as_of: Moment | None = None,
    policy: OutcomePolicy = DEFAULT_POLICY,
) -> pd.DataFrame:
    """Count the failures in a row of each tenant, resource, policy and type.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    as_of
        Later completions are ignored; by default the latest ``updatedAt``.
    policy
        Which result codes are failures.

    Returns
    -------
    pandas.DataFrame
        One row per series with a finished root activity, sorted: ``tenant.uuid`` (the numeric id
        where there is no UUID), ``resource.id`` (lower case), ``policy.id``, ``type``; ``streak``
        (failures that ended after the last success, 0 if the last was good), ``last_outcome``
        (success, failed, cancelled or unknown), ``last_run_at`` and ``last_success_at``
        (completion, UTC), ``tenant.id`` and the names of the last run, ``last_id``, ``n`` (finished
        runs).
        ``attrs["activitykit"]["left_out"]`` counts ``children``, ``unfinished``, ``no_time``
        (finished without a time) and ``after_as_of``.

    Raises
    ------
    SchemaError
        When a needed column is missing.

    Notes
    -----
    Cancelled and unknown runs neither lengthen nor end a streak. A streak cannot reach back beyond
    the first row of the frame. Two in a row happen by chance (in 153 of 2,000 healthy series);
    alarm from three.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> alarms = ak.streaks(df).query("streak >= 3")
    >>> alarms["last_outcome"].isin(["failed", "cancelled", "unknown"]).all()
    np.True_
    """
    rows = engines.scan(df, NEEDS, "streaks")
    moment = frames.resolve(rows, as_of)
    rows = rows.with_columns(_at=nw.coalesce("completedAt", "updatedAt"))
    rows, counts = frames.left_out(
        rows,
        {
            "children": ~frames.root(),
            "unfinished": ~frames.finished(),
            "no_time": nw.col("_at").is_null(),
            **_later(rows, moment),
        },
    )
    rows, keys = _series(rows, SERIES)
    told = rows.select(*keys, *_NAMED, "_at", "id", last_outcome=policy.expr())
    last = _latest(told, keys, "_at").rename(columns={"_at": "last_run_at", "id": "last_id"})
    table = _runs(rows, keys, policy).merge(last, on=keys)
    columns = [
        "streak", "last_outcome", "last_run_at", "last_success_at", *NAMES, "last_id", "n",
    ]  # fmt: skip
    return frames.tidy(table, columns, by=SERIES, counts=counts, as_of=moment, policy=repr(policy))


def _later(rows: Rows, as_of: Time) -> dict[str, nw.Expr]:
    if not isinstance(as_of, pd.Timestamp):
        return {}
    return {"after_as_of": nw.col("_at") > engines.moment(rows, as_of)}


def _series(rows: Rows, keys: Sequence[str]) -> tuple[Rows, list[str]]:
    tenant = nw.coalesce("tenant_uuid", "tenant_id").alias("tenant_uuid")
    rows = rows.with_columns(tenant, frames.folded("resource_id"))
    plain = [engines.plain(key) for key in keys]
    return engines.categories(rows, plain), plain


def _runs(rows: Rows, keys: Sequence[str], policy: OutcomePolicy) -> pd.DataFrame:
    """Count for each series the failures that ended after its last success."""
    bad, good = frames.flag(policy.test(FAILED)), policy.test(SUCCESS)
    marked = rows.select(*keys, "_at", _bad=bad, _good_at=nw.when(good).then(nw.col("_at")))
    marked = marked.with_columns(last_success_at=nw.col("_good_at").max().over(*keys))
    since = nw.col("last_success_at").is_null() | (nw.col("_at") > nw.col("last_success_at"))
    marked = marked.with_columns(streak=nw.col("_bad") * frames.flag(since))
    counted = marked.group_by(*keys).agg(
        nw.len().alias("n"), nw.col("streak").sum(), nw.col("last_success_at").max()
    )
    return engines.collect(counted)


def _latest(rows: Rows, keys: Sequence[str], time: str) -> pd.DataFrame:
    """Give the latest row of each series; rows of the same moment are told apart by ``id``."""
    # a maximum is found without sorting, which an ordered window would need
    rows = rows.with_columns(_latest=nw.col(time).max().over(*keys))
    latest = engines.collect(rows.filter(nw.col(time) == nw.col("_latest")).drop("_latest"))
    return latest.sort_values("id").drop_duplicates([*keys], keep="last")


def last_good(
    df: Any,  # noqa: ANN401 - any engine's frame
    *,
    as_of: Moment | None = None,
    policy: OutcomePolicy = DEFAULT_POLICY,
) -> pd.DataFrame:
    """Tell how long ago each tenant, resource and policy last succeeded.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    as_of
        Ages count up to here and later activities are ignored; by default the latest
        ``updatedAt``.
    policy
        Which result codes are successes.

    Returns
    -------
    pandas.DataFrame
        One row per tenant, resource and policy with a root activity, sorted: ``tenant.uuid`` (the
        numeric id where there is no UUID), ``resource.id`` (lower case), ``policy.id``;
        ``last_success_at`` (completion, UTC), ``age_s`` (seconds, missing when never), ``never``,
        ``tenant.id``, ``tenant.name``, ``resource.name``, ``policy.name`` (of the latest activity),
        ``n`` (root activities), ``n_failed``.
        ``attrs["activitykit"]["left_out"]`` counts ``children`` and ``after_as_of``.

    Raises
    ------
    SchemaError
        When a needed column is missing.

    Notes
    -----
    "Never" means never within the frame. Every type of activity counts: select the backups first
    (``ak.Filter(policy_type="backup")``), or the success of applying a plan hides that its
    backups fail. A resource without any activity does not appear.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> backups = ak.Filter(policy_type="backup").select(df)
    >>> ak.last_good(backups).columns[:5].tolist()
    ['tenant.uuid', 'resource.id', 'policy.id', 'last_success_at', 'age_s']
    """
    rows = engines.scan(df, [name for name in NEEDS if name != "type"], "last_good")
    moment = frames.resolve(rows, as_of)
    rows = rows.with_columns(_at=nw.coalesce("completedAt", "startedAt", "updatedAt"))
    rows, counts = frames.left_out(rows, {"children": ~frames.root(), **_later(rows, moment)})
    rows, keys = _series(rows, SERIES[:3])
    good = frames.finished() & policy.test(SUCCESS)
    rows = rows.with_columns(
        _good_at=nw.when(good).then(nw.coalesce("completedAt", "updatedAt")),
        n_failed=frames.flag(frames.finished() & policy.test(FAILED)),
    )
    summed = rows.group_by(*keys).agg(
        nw.len().alias("n"), nw.col("n_failed").sum(), nw.col("_good_at").max()
    )
    named = _latest(rows.select(*keys, *_NAMED, "id"), keys, "id")
    table = engines.collect(summed).merge(named.drop(columns="id"), on=keys)
    table = table.rename(columns={"_good_at": "last_success_at"})
    table["never"] = table["last_success_at"].isna()
    table["age_s"] = frames.ages(moment, table["last_success_at"])
    columns = ["last_success_at", "age_s", "never", *NAMES, "n", "n_failed"]
    return frames.tidy(
        table, columns, by=SERIES[:3], counts=counts, as_of=moment, policy=repr(policy)
    )
