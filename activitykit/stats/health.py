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
        (failures since the last success, 0 if the last was good), ``last_outcome`` (success,
        failed, cancelled or unknown), ``last_run_at`` and ``last_success_at`` (completion, UTC),
        ``tenant.id`` and the names of the last run, ``last_id``, ``n`` (finished runs).
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
    table = engines.collect(_runs_since(rows, keys, policy))
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


def _runs_since(rows: Rows, keys: Sequence[str], policy: OutcomePolicy) -> Rows:
    """Give the newest run of each series, with what the runs before it say."""
    rows = rows.with_columns(
        _good=frames.flag(policy.test(SUCCESS)), _bad=frames.flag(policy.test(FAILED))
    )
    # counted from the newest run backwards
    rows, order = engines.arranged(rows, "_at", "id"), ("_at", "id")
    good, run = nw.col("_good").cum_sum(reverse=True), nw.col("_good").cum_count(reverse=True)
    rows = rows.with_columns(
        _good_since=engines.along(rows, good, keys, *order),
        _runs_since=engines.along(rows, run, keys, *order),
    )
    rows = rows.with_columns(
        _in_streak=nw.col("_bad") * frames.flag(nw.col("_good_since") == 0),
        _good_at=nw.when(nw.col("_good") == 1).then(nw.col("_at")),
    )
    rows = rows.with_columns(
        streak=nw.col("_in_streak").sum().over(*keys),
        last_success_at=nw.col("_good_at").max().over(*keys),
        n=nw.len().over(*keys),
    )
    return rows.filter(nw.col("_runs_since") == 1).select(
        *keys, "streak", "last_success_at", "n", *_NAMED,
        last_outcome=policy.expr(), last_run_at=nw.col("_at"), last_id=nw.col("id"),
    )  # fmt: skip


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
    rows = engines.arranged(rows, "id")
    newest = engines.along(rows, nw.col("n_failed").cum_count(reverse=True), keys, "id")
    rows = rows.with_columns(_newest=newest)
    summed = rows.group_by(*keys).agg(
        nw.len().alias("n"), nw.col("n_failed").sum(), nw.col("_good_at").max()
    )
    named = rows.filter(nw.col("_newest") == 1).select(*keys, *_NAMED)
    table = engines.collect(summed).merge(engines.collect(named), on=keys)
    table = table.rename(columns={"_good_at": "last_success_at"})
    table["never"] = table["last_success_at"].isna()
    table["age_s"] = frames.ages(moment, table["last_success_at"])
    columns = ["last_success_at", "age_s", "never", *NAMES, "n", "n_failed"]
    return frames.tidy(
        table, columns, by=SERIES[:3], counts=counts, as_of=moment, policy=repr(policy)
    )
