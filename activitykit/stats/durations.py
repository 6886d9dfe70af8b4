"""How long activities take, with those still running counted in (right-censored)."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import narwhals as nw
import pandas as pd

from activitykit.filters import ENDED_SINCE
from activitykit.moments import Moment, is_span, to_timestamp
from activitykit.schema import note
from activitykit.stats import curves, engines, frames
from activitykit.stats.engines import Rows
from activitykit.stats.frames import By, Time

NEEDS = (*frames.STATE_NEEDS, *frames.LEGACY_NEEDS)


def durations(df: Any, *, as_of: Moment | None = None) -> Any:  # noqa: ANN401 - same engine out as in
    """Add the durations of each activity.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    as_of
        The moment the data describes; by default the latest ``updatedAt``, from which spans such as
        "1d" count back.

    Returns
    -------
    Same type as `df`
        A new frame with ``queue_s`` (startedAt - createdAt), ``duration_s`` (finished: completedAt
        - startedAt; running: `as_of` - startedAt, so only a lower bound; else missing), both in
        seconds, and the booleans ``finished`` (completed with a result code), ``running`` (started,
        not completed) and ``legacy`` (a log entry without a duration).

    Raises
    ------
    SchemaError
        When a needed column is missing.

    Notes
    -----
    Nothing is left out here: times that go backwards give negative durations, and legacy events
    keep their zero; `duration_stats` leaves both out. A mean over ``duration_s`` is too small
    whenever something is still running.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> longest = ak.durations(df).nlargest(3, "duration_s")
    >>> longest.columns[-5:].tolist()
    ['queue_s', 'duration_s', 'finished', 'running', 'legacy']
    """
    rows, twins = engines.beside(df, NEEDS, "durations")
    moment = frames.resolve(rows, as_of)
    result = rows.with_columns(**timings(rows, moment)).drop(twins).to_native()
    if isinstance(result, pd.DataFrame):
        flags = ["finished", "running", "legacy"]
        result = result.astype(dict.fromkeys(flags, "bool"))
        result.attrs = deepcopy(df.attrs)
    return result


def timings(rows: Rows, as_of: Time) -> dict[str, nw.Expr]:
    """Give the expressions of the columns that `durations` adds."""
    age = nw.lit(None, dtype=nw.Float64)
    if isinstance(as_of, pd.Timestamp):
        elapsed = engines.seconds(rows, "startedAt", as_of)
        age = nw.when(frames.running() & (elapsed >= 0).fill_null(False)).then(elapsed)
    took = engines.seconds(rows, "startedAt", "completedAt")
    return {
        "queue_s": engines.seconds(rows, "createdAt", "startedAt"),
        "duration_s": nw.when(frames.finished()).then(took).otherwise(age),
        "finished": frames.finished(),
        "running": frames.running(),
        "legacy": frames.legacy(),
    }


def duration_stats(
    df: Any,  # noqa: ANN401 - any engine's frame
    by: By = None,
    *,
    quantiles: Sequence[float] = (0.5, 0.9, 0.95),
    as_of: Moment | None = None,
    selected_since: Moment | None = None,
) -> pd.DataFrame:
    """Describe how long activities take, group by group.

    Parameters
    ----------
    df
        Activities: a pandas or Polars frame, a DuckDB relation or a Spark DataFrame.
    by
        Column or columns to group by; ``resource.id`` is compared without case.
    quantiles
        Between 0 and 1; each gives a column such as ``p95_s``.
    as_of
        The moment the data describes; by default the latest ``updatedAt``, from which spans such as
        "1d" count back.
    selected_since
        Set when the rows were selected by ``completedAt`` from this moment on (plus the running
        ones). Short runs that ended earlier are then missing, so a row counts only from the age it
        had at that moment (delayed entry). Loads and `Filter.select` note it on pandas frames,
        so that it need not be given. Spans count back from `as_of`.

    Returns
    -------
    pandas.DataFrame
        One row per group, sorted: ``n`` (rows), ``n_finished``, ``n_running``, ``n_legacy``, the
        quantiles in seconds (Kaplan-Meier: the smallest time at which the survival function is at
        most 1 - q; missing when not reached), ``max_s`` (longest finished), ``queue_p50_s``,
        ``queue_p95_s`` (rows still waiting count as censored), ``n_used`` (rows behind the
        quantiles), ``share_running`` (of those), ``note`` (why a number is missing).
        ``attrs["activitykit"]["left_out"]`` counts the rows outside the quantiles by reason:
        ``legacy``, ``not_started``, ``no_result`` (completed without a result code),
        ``no_times`` (finished without both times), ``backwards`` (completedAt before startedAt),
        ``after_as_of`` (running, started later), ``unseen`` (ended before `selected_since`).
        No rows give no rows, also without `by`.

    Raises
    ------
    SchemaError
        When a needed column or a column of `by` is missing.
    ValueError
        When a quantile is not between 0 and 1, or `by` names a column of the result.

    Notes
    -----
    Censoring is taken to be unrelated to the length: if slow jobs are the ones that lose their
    agent and hang, the upper quantiles are too high. Roots and children both count; group by
    ``type`` or filter to keep them apart.

    Examples
    --------
    >>> import activitykit as ak
    >>> df = ak.flatten(ak.demo.simulate(300, seed=0))
    >>> table = ak.duration_stats(df, by="type", quantiles=(0.5, 0.99))
    >>> table.columns[5:7].tolist()
    ['p50_s', 'p99_s']
    >>> table.attrs["activitykit"]["left_out"]["legacy"] == table["n_legacy"].sum()
    np.True_
    """
    for q in quantiles:
        frames.fraction("quantiles", q)
    by = frames.names(by, _columns(quantiles))
    rows = engines.scan(df, [*NEEDS, *frames.moment_needs(as_of)], "duration_stats", by)
    moment = frames.resolve(rows, as_of)
    since = selection_start(df, selected_since, moment)
    return duration_table(rows, by, moment, quantiles=quantiles, since=since)


def duration_table(
    rows: Rows,
    by: Sequence[str],
    as_of: Time,
    *,
    quantiles: Sequence[float],
    since: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Make the table of `duration_stats` from opened rows."""
    rows, keys = frames.keyed(rows, by)
    rows = rows.with_columns(**timings(rows, as_of), _entry=entry_age(rows, since))
    reasons = unusable()
    rows = rows.with_columns(_why=frames.why_not(reasons))
    table = _counts(rows, keys, reasons)
    used = rows.filter(nw.col("_why") == 0).select(
        *keys, "duration_s", "_entry", _event=frames.flag(nw.col("finished"))
    )
    asked = {quantile_name(q): q for q in quantiles}
    waits, waited = _queue(rows, keys, as_of), {"queue_p50_s": 0.5, "queue_p95_s": 0.95}
    per_group = table["n"].mean()
    for found in (
        curves.quantiles(used, keys, asked, delayed=since is not None, per_group=per_group),
        curves.quantiles(waits, keys, waited, per_group=per_group),
    ):
        table = table.merge(found, on=keys, how="left")
    counts = {reason: int(table[f"_{reason}"].sum()) for reason in reasons}
    table["share_running"] = table["_censored"] / table["n_used"].where(table["n_used"] > 0)
    table["note"] = _explain(table, list(asked))
    entry = {"selected_since": str(since)} if since is not None else {}
    return frames.tidy(table, _columns(quantiles), by=by, counts=counts, as_of=as_of, **entry)


def _columns(quantiles: Sequence[float]) -> list[str]:
    return [
        "n", "n_finished", "n_running", "n_legacy", *dict.fromkeys(map(quantile_name, quantiles)),
        "max_s", "queue_p50_s", "queue_p95_s", "n_used", "share_running", "note",
    ]  # fmt: skip


def quantile_name(q: float) -> str:
    """Name the column of a quantile: ``p95_s``, ``p99.9_s``."""
    return f"p{round(100 * q, 6):g}_s"


def selection_start(
    df: Any,  # noqa: ANN401 - any engine's frame
    given: Moment | None,
    as_of: Time,
) -> pd.Timestamp | None:
    """Find out from when on rows were selected by ``completedAt``, or None if they were not."""
    if given is None and isinstance(df, pd.DataFrame):
        given = note(df, ENDED_SINCE)
    now = as_of if isinstance(as_of, pd.Timestamp) else None
    if is_span(given) and now is None:
        raise ValueError(f"selected_since={given!r} counts back from as_of: give as_of=…")
    return None if given is None else to_timestamp(given, now=now)


def entry_age(rows: Rows, since: pd.Timestamp | None) -> nw.Expr:
    """Give the age in seconds from which a row could be seen; 0 without a `since`."""
    if since is None:
        return nw.lit(0.0)
    age = engines.seconds(rows, "startedAt", since)
    return nw.when((age > 0).fill_null(False)).then(age).otherwise(nw.lit(0.0))


USABLE: Final = ("startedAt", "duration_s", "finished", "running", "legacy", "_entry")
"""The columns that `unusable` looks at."""


def unusable() -> Mapping[str, nw.Expr]:
    """Give the reasons for which a row has no duration that counts, in order."""
    unknown = nw.col("duration_s").is_null()
    return {
        "legacy": nw.col("legacy"),
        "not_started": nw.col("startedAt").is_null() & ~nw.col("finished"),
        "no_result": ~nw.col("finished") & ~nw.col("running"),
        "no_times": nw.col("finished") & unknown,
        "after_as_of": nw.col("running") & unknown,
        "backwards": nw.col("duration_s") < 0,
        "unseen": (nw.col("_entry") > 0) & (nw.col("duration_s") <= nw.col("_entry")),
    }


def _counts(rows: Rows, keys: Sequence[str], reasons: Mapping[str, nw.Expr]) -> pd.DataFrame:
    used = nw.col("_why") == 0
    flags = {
        "n_finished": nw.col("finished"),
        "n_running": nw.col("running"),
        "n_legacy": nw.col("legacy"),
        "n_used": used,
        "_censored": used & nw.col("running"),
        **{f"_{reason}": nw.col("_why") == number for number, reason in enumerate(reasons, 1)},
    }
    marked = rows.select(
        *keys,
        **{name: frames.flag(condition) for name, condition in flags.items()},
        max_s=nw.when(used & nw.col("finished")).then(nw.col("duration_s")),
    )
    counted = marked.group_by(*keys).agg(
        nw.len().alias("n"), *[nw.col(name).sum() for name in flags], nw.col("max_s").max()
    )
    return engines.collect(counted)


def _queue(rows: Rows, keys: Sequence[str], as_of: Time) -> Rows:
    """Give the waiting times; rows still waiting are censored at `as_of`."""
    waited = nw.col("queue_s")
    if isinstance(as_of, pd.Timestamp):
        so_far = engines.seconds(rows, "createdAt", as_of)
        waiting = nw.col("startedAt").is_null() & ~frames.completed()
        waited = nw.when(waiting).then(so_far).otherwise(waited)
    rows = rows.filter(~nw.col("legacy")).select(
        *keys, duration_s=waited, _event=frames.flag(~nw.col("startedAt").is_null())
    )
    return rows.filter((nw.col("duration_s") >= 0).fill_null(False))


def _explain(table: pd.DataFrame, asked: Sequence[str]) -> list[str]:
    """Say in words why numbers are missing."""
    notes = []
    for row in table.to_dict("records"):
        missing = [name.removesuffix("_s") for name in asked if pd.isna(row[name])]
        if not row["n_used"]:
            notes.append("no row with a duration")
        elif missing:
            running = f"{row['share_running']:.0%} still running"
            notes.append(f"{', '.join(missing)} not reached: {running}")
        else:
            notes.append("")
    return notes
