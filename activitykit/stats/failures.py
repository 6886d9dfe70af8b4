"""How often activities fail, how sure that is, and why they fail.

Rates carry Wilson's score interval (J. Am. Stat. Assoc. 22, 1927). Runs of one resource resemble
each other, so n is first divided by the design effect (Kish, Survey Sampling, 1965): the variance
of the rate between resources, over the variance that independent runs would have.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Final

import narwhals as nw
import pandas as pd

from activitykit.stats import engines, frames
from activitykit.stats.engines import Rows
from activitykit.stats.frames import By
from activitykit.stats.policy import CANCELLED, DEFAULT_POLICY, FAILED, SUCCESS, OutcomePolicy

NEEDS: Final = (
    "state", "result.code", "result.error.code", "startedAt", "resource.id", "parentActivityId",
)  # fmt: skip
COLUMNS: Final = (
    "n", "n_finished", "n_success", "n_failed", "n_cancelled", "n_unknown", "n_resources",
    "failure_rate", "ci_low", "ci_high", "design_effect", "note",
)  # fmt: skip


def failure_stats(
    df: Any,  # noqa: ANN401 - any engine's frame
    by: By = None,
    *,
    confidence: float = 0.95,
    policy: OutcomePolicy = DEFAULT_POLICY,
    cluster: str | None = "resource.id",
    roots: bool = True,
) -> pd.DataFrame:
    """Give failure rates with their intervals, group by group.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    by
        Column or columns to group by; ``resource.id`` is compared without case.
    confidence
        Of the interval, between 0 and 1.
    policy
        Which result codes are failures.
    cluster
        Column, compared without case, whose runs resemble each other; None takes all runs as
        independent and gives the plain Wilson interval.
    roots
        Count root activities only; children repeat the failure of their root.

    Returns
    -------
    pandas.DataFrame
        One row per group, sorted: ``n`` (rows that count), ``n_finished``, ``n_success``,
        ``n_failed``, ``n_cancelled``, ``n_unknown`` (finished, by outcome), ``n_resources``,
        ``failure_rate`` (failed / (success + failed)), ``ci_low``, ``ci_high``,
        ``design_effect`` (by which n was divided), ``note`` (why a number is missing or weak).
        ``attrs["activitykit"]["left_out"]`` counts ``children`` (not in ``n``) and, of the rows in
        ``n``, those in no rate: ``unfinished``, ``cancelled``, ``unknown``. No rows give no rows,
        also without `by`.

    Raises
    ------
    SchemaError
        When a needed column, a column of `by` or `cluster` is missing.
    ValueError
        When `confidence` is not between 0 and 1, or `by` names a column of the result.

    Notes
    -----
    A rate says nothing about runs that never started: look at ``n`` first. The interval covers
    chance, not a change of the mix of resources.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> rates = ak.failure_stats(df, by="tenant.name")
    >>> bool((rates["ci_low"] <= rates["failure_rate"]).all())
    True
    """
    by = frames.names(by, COLUMNS)
    clusters = [cluster] if cluster else []
    rows = engines.scan(df, [*NEEDS, *clusters], "failure_stats", by)
    return failure_table(
        rows, by, confidence=confidence, policy=policy, cluster=cluster, roots=roots
    )


def failure_table(
    rows: Rows,
    by: Sequence[str],
    *,
    confidence: float,
    policy: OutcomePolicy,
    cluster: str | None,
    roots: bool,
) -> pd.DataFrame:
    """Make the table of `failure_stats` from opened rows."""
    frames.fraction("confidence", confidence)
    rows, counts = frames.left_out(rows, {"children": ~frames.root()} if roots else {})
    unit = engines.plain(cluster or "resource.id")
    rows = rows.with_columns(_unit=frames.folded(unit), _resource=frames.folded("resource_id"))
    rows, keys = frames.keyed(engines.categories(rows, ["_unit", "_resource"]), by)
    table = engines.collect(_per_group(_per_unit(rows, keys, policy), keys))
    if unit != "resource_id":
        resources = _resources(rows, keys)
        table = table.drop(columns="n_resources").merge(resources, on=keys, how="left")
    table["n_unknown"] = table["n_finished"] - table[["n_success", "n_failed", "n_cancelled"]].sum(
        axis="columns"
    )
    counts |= {
        "unfinished": int((table["n"] - table["n_finished"]).sum()),
        "cancelled": int(table["n_cancelled"].sum()),
        "unknown": int(table["n_unknown"].sum()),
    }
    rated = [
        rate_columns(row, confidence, clustered=bool(cluster)) for row in table.to_dict("records")
    ]
    rates = pd.DataFrame(rated, columns=list(COLUMNS[-5:]))
    table = table.join(rates.astype(dict.fromkeys(COLUMNS[-5:-1], "float64")))
    return frames.tidy(
        table, COLUMNS, by=by, counts=counts, policy=repr(policy), confidence=confidence
    )


def _per_unit(rows: Rows, keys: Sequence[str], policy: OutcomePolicy) -> Rows:
    """Count the outcomes of each group and unit: a resource, or another cluster if asked for."""
    done = frames.finished()
    flags = {"n_finished": done} | {
        f"n_{outcome}": done & policy.test(outcome) for outcome in (SUCCESS, FAILED, CANCELLED)
    }
    marked = rows.select(*keys, "_unit", **{name: frames.flag(f) for name, f in flags.items()})
    sums = [nw.col(name).sum() for name in flags]
    return marked.group_by(*keys, "_unit").agg(nw.len().alias("n"), *sums)


def _per_group(units: Rows, keys: Sequence[str]) -> Rows:
    """Add up the units of each group, with the sums that the variance between them needs."""
    decided = nw.col("n_failed") + nw.col("n_success")
    named = ~nw.col("_unit").is_null()
    units = units.with_columns(
        n_resources=frames.flag(named),
        units=frames.flag(named & (decided > 0)),
        ff=frames.flag(named) * nw.col("n_failed") * nw.col("n_failed"),
        fm=frames.flag(named) * nw.col("n_failed") * decided,
        mm=frames.flag(named) * decided * decided,
        loose_failed=frames.flag(~named) * nw.col("n_failed"),
        loose=frames.flag(~named) * decided,
    )
    summed = [name for name in units.collect_schema().names() if name not in (*keys, "_unit")]
    return units.group_by(*keys).agg(*[nw.col(name).sum() for name in summed])


def _resources(rows: Rows, keys: Sequence[str]) -> pd.DataFrame:
    pairs = rows.group_by(*keys, "_resource").agg(nw.len().alias("n"))
    named = pairs.with_columns(n_resources=frames.flag(~nw.col("_resource").is_null()))
    return engines.collect(named.group_by(*keys).agg(nw.col("n_resources").sum()))


def rate_columns(row: dict[Any, Any], confidence: float, *, clustered: bool) -> tuple[Any, ...]:
    """Give the last five columns of a row: rate, interval (two), design effect, note.

    The row holds ``n_failed`` and ``n_success``; if `clustered`, also the sums of `_per_group`.
    """
    failed, n = row["n_failed"], row["n_failed"] + row["n_success"]
    if not n:
        return math.nan, math.nan, math.nan, math.nan, "no finished run that counts"
    effect, units = _design_effect(row) if clustered else (1.0, math.inf)
    low, high = wilson(failed, n, confidence=confidence, design_effect=effect, units=units)
    note = "one resource: chance within it only" if units == 1 else ""
    return failed / n, low, high, effect, note


def _design_effect(row: dict[Any, Any]) -> tuple[float, float]:
    """Give the design effect of a rate, at least 1, and the number of units behind it.

    The variance between units is that of a ratio estimator (Cochran, Sampling Techniques,
    section 2.11). Runs without a unit count as units of their own.
    """
    n, failed = row["n_failed"] + row["n_success"], row["n_failed"]
    units, rate = row["units"] + row["loose"], failed / n
    if units < 2 or failed in (0, n):
        return 1.0, units
    squares = row["ff"] - 2 * rate * row["fm"] + rate**2 * row["mm"]
    squares += (
        row["loose_failed"] * (1 - rate) ** 2 + (row["loose"] - row["loose_failed"]) * rate**2
    )
    between = units / (units - 1) * squares / n**2
    return max(1.0, between / (rate * (1 - rate) / n)), units


def wilson(
    failed: float,
    n: float,
    *,
    confidence: float = 0.95,
    design_effect: float = 1.0,
    units: float = math.inf,
) -> tuple[float, float]:
    """Give Wilson's score interval of a rate.

    Parameters
    ----------
    failed, n
        Failures out of n runs, n > 0.
    confidence
        Between 0 and 1.
    design_effect
        By which n is divided.
    units
        How many units the design effect was estimated from. The fewer, the less is known about it,
        so n shrinks further by (z / t)^2 (Korn and Graubard, Survey Methodology 24, 1998).

    Examples
    --------
    >>> low, high = wilson(0, 7)
    >>> f"{low:.0%} to {high:.0%}"
    '0% to 35%'
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    n, rate = n / design_effect, failed / n
    if design_effect > 1:
        n *= (z / _t_quantile(z, units - 1)) ** 2
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _t_quantile(z: float, freedom: float) -> float:
    """Turn a normal quantile into Student's (Abramowitz and Stegun, 26.7.5).

    Within 0.2 % of the truth from 4 degrees of freedom on, for the usual levels of confidence.
    """
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


REASON_NEEDS: Final = (
    *NEEDS, "id", "error_signature", "result.error.domain", "tenant.uuid", "tenant.id",
    "completedAt", "updatedAt",
)  # fmt: skip
REASON_COLUMNS: Final = (
    "signature", "domain", "code", "n", "n_resources", "n_tenants", "first_seen", "last_seen",
    "example_id",
)  # fmt: skip


def failure_reasons(
    df: Any,  # noqa: ANN401 - any engine's frame
    by: By = None,
    *,
    policy: OutcomePolicy = DEFAULT_POLICY,
    roots: bool = True,
) -> pd.DataFrame:
    """Rank why activities failed: by resources touched, then by count.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    by
        Column or columns to group by; ``resource.id`` is compared without case.
    policy
        Which result codes are failures.
    roots
        Count root activities only; children repeat the failure of their root.

    Returns
    -------
    pandas.DataFrame
        One row per group and signature: ``signature``, ``domain``, ``code`` (of the error; for a
        failure without one the signature says so), ``n`` (failed rows), ``n_resources``,
        ``n_tenants``, ``first_seen``, ``last_seen`` (completion, UTC), ``example_id`` (the latest).
        ``attrs["activitykit"]["left_out"]`` counts ``children`` and ``not_failed``.

    Raises
    ------
    SchemaError
        When a needed column or a column of `by` is missing.
    ValueError
        When `by` names a column of the result.

    Notes
    -----
    One cause may wear two signatures (another agent version, another language), and an error code
    such as InternalError may cover many causes.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> ak.failure_reasons(df).columns[:4].tolist()
    ['signature', 'domain', 'code', 'n']
    """
    by = frames.names(by, REASON_COLUMNS)
    rows = engines.scan(df, REASON_NEEDS, "failure_reasons", by)
    failed = frames.finished() & policy.test(FAILED)
    reasons = {"children": ~frames.root()} if roots else {}
    rows, counts = frames.left_out(rows, {**reasons, "not_failed": ~failed})
    said = nw.concat_str(nw.col("result_code"), nw.lit(" without an error text"))
    rows, keys = frames.keyed(rows, by)
    rows = rows.with_columns(
        signature=nw.coalesce("error_signature", said),
        domain=nw.col("result_error_domain"),
        code=nw.col("result_error_code"),
        resource=frames.folded("resource_id"),
        tenant=nw.coalesce("tenant_uuid", "tenant_id"),
        seen=nw.coalesce("completedAt", "updatedAt"),
    )
    rows = rows.with_columns(
        no_resource=frames.flag(nw.col("resource").is_null()),
        no_tenant=frames.flag(nw.col("tenant").is_null()),
    )
    found = rows.group_by(*keys, "signature", "domain", "code").agg(
        nw.len().alias("n"),
        nw.col("resource").n_unique().alias("n_resources"),
        nw.col("tenant").n_unique().alias("n_tenants"),
        nw.col("no_resource", "no_tenant").max(),
        nw.col("seen").min().alias("first_seen"),
        nw.col("seen").max().alias("last_seen"),
        nw.col("id").max().alias("example_id"),
    )
    table = engines.collect(found)
    # n_unique counts a missing value as one more
    table["n_resources"] -= table["no_resource"]
    table["n_tenants"] -= table["no_tenant"]
    table = table.sort_values(
        ["n_resources", "n", "signature", "code", "domain"],
        ascending=[False, False, True, True, True],
    )
    return frames.tidy(table, REASON_COLUMNS, by=by, counts=counts, policy=repr(policy))
