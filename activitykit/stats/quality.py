"""What is odd about the data itself: noted by the load, or visible in the frame."""

from collections.abc import Mapping
from typing import Any, Final

import narwhals as nw
import pandas as pd

from activitykit.moments import Moment
from activitykit.schema import KNOWN_TYPES, RESULT_CODES, STATES, note
from activitykit.stats import engines, frames
from activitykit.stats.durations import NEEDS as DURATION_NEEDS
from activitykit.stats.engines import Rows
from activitykit.stats.frames import Time
from activitykit.stats.policy import DEFAULT_POLICY, UNKNOWN, OutcomePolicy

NEEDS: Final = (
    *DURATION_NEEDS, "id", "type", "updatedAt", "tenant.uuid", "resource.id", "parentActivityId",
    "result.error.code", "context.title",
)  # fmt: skip
COLUMNS: Final = ("check", "n", "share", "example_ids", "meaning")
EXAMPLES: Final = 3
# the layout of ids: units of 2^20 ns since 2012-10-28, above 22 bits of node and sequence
_ID_UNITS, _ID_ZERO, _ID_UNIT_US = 2**22, 1_288_834_974_287, 1048.576
# ids below decode to the first years after the layout's zero, before the service existed
_FIRST_ID: Final = 2**57
SKEW_S: Final = 300
STUCK_S: Final = 86_400

MEANING: Final[Mapping[str, str]] = {
    "duplicates": "Further copies of an activity; the load kept the latest.",
    "conflicts": "A column holds values of different kinds and was kept as JSON text.",
    "unreadable_times": "A time that cannot be read: missing in its column, kept in *_raw.",
    "tasks_left_out": "Tasks among the activities, left out.",
    "incomplete": "The load broke off: rates may be wrong, and missing runs are no proof.",
    "repeated_ids": "The same id more than once in the frame: every count is too high.",
    "legacy": "Log entries without a duration; left out of durations.",
    "legacy_with_duration": "Legacy, yet it took time; left out of durations all the same.",
    "missing_started": "Completed without startedAt: no duration.",
    "missing_completed": "Completed without completedAt: no duration.",
    "missing_result": "Completed without a result code: in no rate.",
    "backwards": "completedAt before startedAt: left out of durations.",
    "queue_backwards": "startedAt before createdAt: left out of queue times.",
    "after_as_of": "Started after as_of: no age can be given.",
    "stuck": f"Running, and no sign of life for {STUCK_S // 3600} hours before as_of: the executor"
    " may be gone.",
    "unknown_state": "A state that the API reference does not list.",
    "unknown_result": "A result code that the API reference does not list.",
    "unknown_outcome": "A result code that the outcome policy does not list: in no rate.",
    "unknown_type": "A type without a readable name and without a title.",
    "mixed_case_ids": "resource.id in upper case; compared without case everywhere.",
    "missing_tenant_uuid": "No tenant.uuid, as in old records; the numeric id stands in.",
    "missing_resource": "A root activity without a resource: in no count of resources.",
    "clock_skew": "createdAt and the server's time inside the id differ by more than"
    f" {SKEW_S // 60} minutes: delivered late, or the agent's clock is wrong.",
}


def quality(
    df: Any,  # noqa: ANN401 - any engine's frame
    *,
    as_of: Moment | None = None,
    policy: OutcomePolicy = DEFAULT_POLICY,
) -> pd.DataFrame:
    """List what is odd about the data.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame. What the load
        noted is known for pandas frames only.
    as_of
        The moment the data describes; by default the latest ``updatedAt``.
    policy
        Which result codes have a meaning.

    Returns
    -------
    pandas.DataFrame
        One row per check, also where nothing was found: ``check``, ``n`` (rows concerned),
        ``share`` (of all rows, 0 to 1; can pass 1 for ``duplicates``), ``example_ids`` (up to
        three, the smallest), ``meaning``. An empty frame gives no rows.

    Raises
    ------
    SchemaError
        When a needed column is missing.

    Notes
    -----
    ``clock_skew`` reads the server's time out of the id, a layout that fits all ids seen but is not
    documented; ids below 2^57 are not read. A check of 0 says only that this oddity is absent.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> ak.quality(df).columns.tolist()
    ['check', 'n', 'share', 'example_ids', 'meaning']
    """
    rows = engines.scan(df, NEEDS, "quality")
    moment = frames.resolve(rows, as_of)
    checks = _checks(rows, moment, policy)
    marked = rows.select("id", **{name: frames.flag(found) for name, found in checks.items()})
    sums = marked.select(nw.len().alias("n"), *[nw.col(name).sum() for name in checks])
    counted = engines.collect(sums).iloc[0]
    total = int(counted["n"])
    found = {name: int(counted[name]) for name in checks if total}
    examples = _examples(marked, [name for name, n in found.items() if n])
    made = [
        *_noted(df),
        *_repeated(rows, total),
        *((c, n, examples.get(c, [])) for c, n in found.items()),
    ]
    table = pd.DataFrame(made if total else [], columns=["check", "n", "example_ids"])
    table["share"] = table["n"] / total if total else table["n"].astype("float64")
    table["meaning"] = table["check"].map(MEANING)
    return frames.tidy(table, COLUMNS, by=[], counts={}, as_of=moment)


def _checks(rows: Rows, as_of: Time, policy: OutcomePolicy) -> dict[str, nw.Expr]:
    col = nw.col
    checks = {
        "legacy": frames.legacy(),
        "legacy_with_duration": frames.legacy() & (col("completedAt") > col("startedAt")),
        "missing_started": frames.finished() & col("startedAt").is_null(),
        "missing_completed": frames.finished() & col("completedAt").is_null(),
        "missing_result": frames.completed() & col("result_code").is_null(),
        "backwards": col("completedAt") < col("startedAt"),
        "queue_backwards": col("startedAt") < col("createdAt"),
        "unknown_state": ~col("state").is_in(STATES).fill_null(False),
        "unknown_result": ~(col("result_code").is_in(RESULT_CODES) | col("result_code").is_null()),
        "unknown_outcome": frames.finished() & policy.test(UNKNOWN),
        "unknown_type": _unknown_type(),
        # cast, because ids may be numbers; where one is missing pandas finds NaN unlike NaN
        "mixed_case_ids": ~col("resource_id").is_null()
        & (col("resource_id").cast(nw.String) != frames.folded("resource_id")).fill_null(False),
        "missing_tenant_uuid": col("tenant_uuid").is_null(),
        "missing_resource": frames.root() & col("resource_id").is_null(),
        "clock_skew": _skewed(rows),
    }
    if isinstance(as_of, pd.Timestamp):
        now = engines.moment(rows, as_of)
        silent = engines.seconds(rows, "updatedAt", as_of) > STUCK_S
        checks["after_as_of"] = frames.running() & (col("startedAt") > now).fill_null(False)
        checks["stuck"] = frames.running() & silent.fill_null(False)
    return checks


def _unknown_type() -> nw.Expr:
    kind = nw.col("type").cast(nw.String)
    known = kind.is_in(list(KNOWN_TYPES)) | kind.str.to_uppercase().is_in(list(KNOWN_TYPES))
    return ~known.fill_null(False) & nw.col("context_title").is_null()


def _skewed(rows: Rows) -> nw.Expr:
    """Compare ``createdAt`` with the time inside the id, both in microseconds."""
    inserted = (nw.col("id") // _ID_UNITS + _ID_ZERO).cast(nw.Float64) * _ID_UNIT_US
    created = engines.microseconds(rows, "createdAt").cast(nw.Float64)
    return ((created - inserted).abs() > SKEW_S * 1e6) & (nw.col("id") >= _FIRST_ID)


def _examples(marked: Rows, names: list[str]) -> dict[str, list[int]]:
    if not names:
        return {}
    few = [
        marked.filter(nw.col(name) == 1).select("id", check=nw.lit(name)).sort("id").head(EXAMPLES)
        for name in names
    ]
    found = engines.collect(engines.stacked(*few))
    return {str(check): ids.tolist() for check, ids in found.groupby("check")["id"]}


def _repeated(rows: Rows, total: int) -> list[tuple[str, int, list[int]]]:
    twice = rows.group_by("id").agg(nw.len().alias("copies")).filter(nw.col("copies") > 1)
    found = engines.collect(twice.sort("id"))
    more = int((found["copies"] - 1).sum())
    return [("repeated_ids", more, found["id"].head(EXAMPLES).tolist())] if total else []


def _noted(df: Any) -> list[tuple[str, int, list[int]]]:  # noqa: ANN401 - any engine's frame
    """Read what the load noted; see `activitykit.flatten`."""
    if not isinstance(df, pd.DataFrame):
        return []
    noted = {
        "duplicates": [note(df, "duplicates", {})],
        "conflicts": [
            {"n": sum(sorted(one["kinds"].values())[:-1]), **one}
            for one in note(df, "conflicts", [])
        ],
        "unreadable_times": note(df, "unreadable_times", []),
        "tasks_left_out": [{"n": note(df, "tasks_left_out", 0)}],
        "incomplete": [{"n": 0 if note(df, "complete", True) else len(df)}],
    }
    return [
        (
            check,
            sum(one.get("n", 0) for one in found),
            [i for one in found for i in one.get("example_ids", [])][:EXAMPLES],
        )
        for check, found in noted.items()
    ]
