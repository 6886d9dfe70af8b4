"""Statistics on a Parquet file through DuckDB, beside SQL written by hand for the same numbers.

2,000,000 rows; with ``LONG=1`` 20,000,000, or what ``ROWS`` says. A simulated month is repeated
inside DuckDB: for ten months and as many fleets as needed, each with tenants, resources and
policies of its own, and no two durations alike.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pandas as pd
from bench import Figure, costs

import activitykit as ak

SIMULATED, MONTHS = 200_000, 10
ROWS = int(os.environ.get("ROWS") or (20_000_000 if os.environ.get("LONG") else 2_000_000))
# of the 4 GiB that the process may take; Python and what DuckDB does not count need room as well
MEMORY = "2500MB"

REPEAT = """
COPY (
    WITH copies AS (SELECT k // $fleets AS month, k % $fleets AS fleet FROM range($range) AS r(k)),
    moved AS (
        SELECT *, to_days(30 * month::INTEGER) AS back,
               0.8 + 0.2 * (hash(m.id, month, fleet) / 2::DOUBLE ** 64) AS stretch
        FROM copies, read_parquet($month) AS m
        WHERE month = 0 OR m."completedAt" IS NOT NULL
    )
    SELECT id - month * 10_000_000_000_000_000 + fleet AS id, type, state, "result.code",
           coalesce("startedAt"::TIMESTAMPTZ - to_microseconds((stretch * (
               epoch_us("startedAt"::TIMESTAMPTZ) - epoch_us("createdAt"::TIMESTAMPTZ)
           ))::BIGINT), "createdAt"::TIMESTAMPTZ) - back AS "createdAt",
           "startedAt"::TIMESTAMPTZ - back
               - to_microseconds(if("completedAt" IS NULL, 1e9 * stretch, 0)::BIGINT)
               AS "startedAt",
           "updatedAt"::TIMESTAMPTZ - back AS "updatedAt",
           "startedAt"::TIMESTAMPTZ - back + to_microseconds((stretch * (
               epoch_us("completedAt"::TIMESTAMPTZ) - epoch_us("startedAt"::TIMESTAMPTZ)
           ))::BIGINT) AS "completedAt",
           fleet || '-' || "tenant.id" AS "tenant.id",
           fleet || '-' || "tenant.uuid" AS "tenant.uuid",
           fleet || '-' || "tenant.name" AS "tenant.name",
           fleet || '-' || "resource.id" AS "resource.id", "resource.name",
           fleet || '-' || "policy.id" AS "policy.id", "policy.name", "executor.id",
           "parentActivityId", "result.error.domain", "result.error.code", "context.isLegacy",
           "context.title", error_signature
    FROM moved
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""

# the rows with a duration, as the notes of `activitykit.duration_stats` define them
TIMED = """
WITH moment AS (SELECT max(epoch_us("updatedAt")) AS as_of FROM activities),
told AS (
    SELECT *, epoch_us("startedAt") AS begun, epoch_us("completedAt") AS ended,
           coalesce(state = 'completed', false) AS completed,
           completed AND "result.code" IS NOT NULL AS done,
           NOT completed AND "startedAt" IS NOT NULL AS running,
           coalesce("context.isLegacy", false) OR coalesce(
               "createdAt" = "startedAt" AND "startedAt" = "completedAt"
               AND coalesce("executor.id", '') = '', false) AS legacy,
           CASE WHEN done THEN ended WHEN running THEN as_of END AS until,
           (until - begun) / 1e6 AS seconds
    FROM activities, moment
),
timed AS (SELECT * FROM told WHERE NOT legacy AND seconds >= 0)
"""

# a Kaplan-Meier curve of `source`, with the columns {key}, seconds and event; in doubles, because
# windows over integers add up in 128 bits, which takes twice as long
CURVE = """
times AS (
    SELECT {key}, seconds, sum(event)::DOUBLE AS events, count(*)::DOUBLE AS n
    FROM {source} GROUP BY ALL
),
risk AS (
    SELECT *, sum(n) OVER (PARTITION BY {key} ORDER BY seconds DESC) AS at_risk FROM times
),
curve AS (
    SELECT *, sum(ln(greatest(at_risk - events, 1e-300) / at_risk)) OVER (
        PARTITION BY {key} ORDER BY seconds) AS log_s
    FROM risk
)
"""

# how the 0.5 and the 0.95 quantile are read off it
READ = """
SELECT {key}, {p50}, min(seconds) FILTER (log_s <= ln(1 - 0.95) + 1e-9) AS p95_s
FROM curve GROUP BY ALL ORDER BY ALL
"""
P50 = "min(seconds) FILTER (log_s <= ln(1 - 0.5) + 1e-9) AS p50_s"
P90 = "min(seconds) FILTER (log_s <= ln(1 - 0.9) + 1e-9) AS p90_s"

COUNTED = f"""{TIMED}
SELECT type, count(*) AS n, sum(done::INT) AS n_finished, sum(running::INT) AS n_running,
       sum(legacy::INT) AS n_legacy,
       max(seconds) FILTER (done AND NOT legacy AND seconds >= 0) AS max_s
FROM told GROUP BY ALL ORDER BY ALL
"""
DURATIONS = f"""{TIMED}, source AS (SELECT type, seconds, done::INT AS event FROM timed),
{CURVE.format(key="type", source="source")} {READ.format(key="type", p50=f"{P50}, {P90}")}
"""
QUEUES = f"""{TIMED}, waits AS (
    SELECT type, ((CASE WHEN begun IS NULL AND NOT completed THEN as_of ELSE begun END)
                  - epoch_us("createdAt")) / 1e6 AS seconds, (begun IS NOT NULL)::INT AS event
    FROM told WHERE NOT legacy
), source AS (SELECT * FROM waits WHERE seconds >= 0),
{CURVE.format(key="type", source="source")} {READ.format(key="type", p50=P50)}
"""

OUTCOMES = """
SELECT *, coalesce(state = 'completed', false) AND "result.code" IS NOT NULL AS done,
       done AND "result.code" = 'error'
           AND coalesce("result.error.code" = 'OperationCanceledByUser', false) AS stopped,
       done AND "result.code" IN ('ok', 'warning') AS good,
       done AND NOT stopped AND "result.code" IN ('error', 'abandoned', 'timedout') AS bad
FROM activities WHERE "parentActivityId" IS NULL OR "parentActivityId" = 0
"""
RATES = """
machines AS (
    SELECT {key}, lower("resource.id") AS machine, count(*) AS n, sum(done::INT) AS n_finished,
           sum(good::INT) AS g, sum(bad::INT) AS f, f + g AS m,
           sum((done AND (stopped OR "result.code" = 'cancelled'))::INT) AS c
    FROM outcomes GROUP BY ALL
)
SELECT {key}, sum(n) AS n, sum(n_finished) AS n_finished, sum(g) AS n_success,
       sum(f) AS n_failed, sum(c) AS n_cancelled, count(machine) AS n_resources,
       sum(f * f) AS ff, sum(f * m) AS fm, sum(m * m) AS mm,
       sum(f) / nullif(sum(m), 0) AS failure_rate
FROM machines GROUP BY {key} ORDER BY {key}
"""
FAILURES = f"""WITH outcomes AS ({OUTCOMES}), {RATES.format(key='"tenant.name"')}"""
DAYS = f"""
WITH outcomes AS (
    SELECT *, date_trunc('day', "startedAt" AT TIME ZONE 'Europe/Berlin') AS bucket
    FROM ({OUTCOMES}) WHERE "startedAt" IS NOT NULL
), {RATES.format(key="bucket")}
"""
DAILY = f"""{TIMED}, source AS (
    SELECT date_trunc('day', "startedAt" AT TIME ZONE 'Europe/Berlin') AS bucket, seconds,
           done::INT AS event
    FROM timed WHERE "parentActivityId" IS NULL OR "parentActivityId" = 0
), {CURVE.format(key="bucket", source="source")} {READ.format(key="bucket", p50=P50)}
"""

# the latest run and the failures since the last success, found by maxima instead of sorting
STREAKS = f"""
WITH runs AS (
    SELECT coalesce("tenant.uuid", "tenant.id") AS tenant, lower("resource.id") AS resource,
           "policy.id" AS policy, type, coalesce("completedAt", "updatedAt") AS seen, good, bad, id,
           "result.code", "tenant.id", "tenant.name", "resource.name", "policy.name"
    FROM ({OUTCOMES}) WHERE done AND seen <= (SELECT max("updatedAt") FROM activities)
),
marked AS (
    SELECT *, max(seen) FILTER (good) OVER (PARTITION BY tenant, resource, policy, type) AS healed
    FROM runs
)
SELECT tenant, resource, policy, type, count(*) AS n,
       count(*) FILTER (bad AND (healed IS NULL OR seen > healed)) AS streak,
       max(seen) AS last_run_at, max(healed) AS last_success_at,
       last(id ORDER BY seen, id) AS last_id,
       last("result.code" ORDER BY seen, id) AS last_code,
       last("tenant.id" ORDER BY seen, id) AS "tenant.id",
       last("tenant.name" ORDER BY seen, id) AS "tenant.name",
       last("resource.name" ORDER BY seen, id) AS "resource.name",
       last("policy.name" ORDER BY seen, id) AS "policy.name"
FROM marked GROUP BY tenant, resource, policy, type ORDER BY ALL
"""
LAST_GOOD = f"""
WITH runs AS (
    SELECT *, coalesce("tenant.uuid", "tenant.id") AS tenant, lower("resource.id") AS resource,
           "policy.id" AS policy
    FROM ({OUTCOMES})
    WHERE coalesce("completedAt", "startedAt", "updatedAt")
          <= (SELECT max("updatedAt") FROM activities)
)
SELECT tenant, resource, policy, count(*) AS n, count(*) FILTER (bad) AS n_failed,
       max(coalesce("completedAt", "updatedAt")) FILTER (good) AS last_success_at,
       last("tenant.id" ORDER BY id) AS "tenant.id",
       last("tenant.name" ORDER BY id) AS "tenant.name",
       last("resource.name" ORDER BY id) AS "resource.name",
       last("policy.name" ORDER BY id) AS "policy.name"
FROM runs GROUP BY tenant, resource, policy ORDER BY ALL
"""

# how long the like of each running row last, in the groups {key}
OUTLOOK = """
{name}_rows AS (
    SELECT {key}, seconds, done::INT AS event FROM compared AS c
    WHERE EXISTS (SELECT 1 FROM open WHERE {same})
),
{curve},
{name}_groups AS (
    SELECT {key}, sum(events) AS n_reference,
           min(seconds) FILTER (log_s <= ln(0.5) + 1e-9) AS typical_s,
           min(seconds) FILTER (log_s <= ln(0.05) + 1e-9) AS limit_s
    FROM {name}_curve GROUP BY ALL
),
{name}_now AS (
    SELECT o.*, g.* EXCLUDE ({key}), c.log_s, exp(c.log_s) AS survival
    FROM open AS o JOIN {name}_curve AS c ON {joined} AND o.seconds = c.seconds
    JOIN {name}_groups AS g ON {grouped}
),
{name} AS (
    SELECT o.*, c.seconds - o.seconds AS remaining_p50_s
    FROM {name}_now AS o ASOF LEFT JOIN (FROM {name}_curve WHERE events > 0) AS c
      ON {joined} AND o.log_s - ln(2) + 1e-9 >= c.log_s
)
"""


def _outlook(name: str, keys: list[str]) -> str:
    def equal(other: str) -> str:
        # a missing resource forms a group of its own
        return " AND ".join(f"coalesce(o.{key}, '') = coalesce({other}.{key}, '')" for key in keys)

    key = ", ".join(keys)
    curve = CURVE.format(key=key, source=f"{name}_rows")
    for part in ("times", "risk", "curve"):
        curve = curve.replace(f"{part} AS", f"{name}_{part} AS")
        curve = curve.replace(f"FROM {part}\n", f"FROM {name}_{part}\n")
    return OUTLOOK.format(
        name=name, key=key, curve=curve, same=equal("c").replace("o.", "open."),
        joined=equal("c"), grouped=equal("g"),
    )  # fmt: skip


OVERDUE = f"""{TIMED}, compared AS (
    SELECT id, type, lower("resource.id") AS resource, seconds, done, running FROM timed
),
open AS (SELECT * FROM compared WHERE running),
{_outlook("narrow", ["type", "resource"])}, {_outlook("wide", ["type"])}
SELECT id, if(n.n_reference >= 20, n, w) AS found
FROM wide AS w LEFT JOIN narrow AS n USING (id) ORDER BY id
"""

# begins and ends in order, and every full hour between them
CONCURRENCY = f"""{TIMED}, steps AS (
    SELECT begun AS t, 1 AS step FROM timed
    UNION ALL SELECT until, -1 FROM timed
    UNION ALL SELECT unnest(range(
        (SELECT min(begun) // 3_600_000_000 * 3_600_000_000 FROM timed),
        (SELECT max(until) FROM timed), 3_600_000_000)), 0
),
levels AS (
    SELECT t, sum(step) OVER sweep AS level, lead(t) OVER sweep - t AS lasted
    FROM steps WINDOW sweep AS (ORDER BY t, step ROWS UNBOUNDED PRECEDING)
)
SELECT t // 3_600_000_000 AS bucket, max(level) AS max, sum(level * lasted) / 3.6e9 AS mean
FROM levels GROUP BY bucket ORDER BY bucket
"""

REASONS = f"""
SELECT coalesce(error_signature, "result.code" || ' without an error text') AS signature,
       "result.error.domain", "result.error.code", count(*) AS n,
       count(DISTINCT lower("resource.id")) AS n_resources,
       count(DISTINCT coalesce("tenant.uuid", "tenant.id")) AS n_tenants,
       min(coalesce("completedAt", "updatedAt")) AS first_seen,
       max(coalesce("completedAt", "updatedAt")) AS last_seen, max(id) AS example_id
FROM ({OUTCOMES}) WHERE bad GROUP BY ALL ORDER BY n_resources DESC, n DESC, signature
"""

HAND: dict[str, tuple[str, ...]] = {
    "duration_stats": (COUNTED, DURATIONS, QUEUES),
    "failure_stats": (FAILURES,),
    "failure_reasons": (REASONS,),
    "streaks": (STREAKS,),
    "last_good": (LAST_GOOD,),
    "overdue": (OVERDUE,),
    "trend": (DAYS, DAILY),
    "concurrency": (CONCURRENCY,),
}
OURS: dict[str, Callable[[Any], pd.DataFrame]] = {
    "duration_stats": lambda rows: ak.duration_stats(rows, by="type"),
    "failure_stats": lambda rows: ak.failure_stats(rows, by="tenant.name"),
    "failure_reasons": ak.failure_reasons,
    "streaks": ak.streaks,
    "last_good": ak.last_good,
    "overdue": ak.overdue,
    "trend": lambda rows: ak.trend(rows, tz="Europe/Berlin"),
    "concurrency": ak.concurrency,
}


def connect() -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the limit that the README names; no order of rows is kept."""
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def ours(name: str, path: str) -> pd.DataFrame:
    """Use the library."""
    return OURS[name](connect().read_parquet(path))


def hand(name: str, path: str) -> list[pd.DataFrame]:
    """Run the SQL."""
    connection = connect()
    connection.execute(f"CREATE VIEW activities AS FROM read_parquet('{path}')")
    return [connection.sql(query).df() for query in HAND[name]]


def write_rows(path: Path, rows: int) -> None:
    """Repeat a simulated month until there are enough rows."""
    month = path.with_name("month.parquet")
    copies = rows // SIMULATED
    ak.flatten(ak.demo.simulate(SIMULATED, seed=1)).to_parquet(month)
    given = {"month": str(month), "range": copies, "fleets": -(-copies // MONTHS)}
    connect().execute(REPEAT.format(path=path), given)


def figures() -> Iterator[Figure]:
    """Measure each statistic in a process of its own, and the SQL likewise."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "activities.parquet"
        write_rows(path, ROWS)
        for name in OURS:
            cost = costs(
                {"ours": ours, "hand": hand}, name, str(path), rounds=1 if ROWS > 5_000_000 else 3
            )
            mine = cost["ours"]
            yield Figure(
                f"{name}: time over hand-written SQL, {ROWS:,} rows",
                mine.seconds / cost["hand"].seconds, 1.5, at_least=False,
                detail=f"{mine.seconds:.1f} s",
            )  # fmt: skip
            yield Figure(f"{name}: peak in GiB", mine.peak_mib / 1024, 4, at_least=False, detail="")
