"""Statistics on 1,000,000 activities, beside pandas written by hand for the same numbers.

The hand-written ways leave out what costs nothing to compute but much to know: reasons, checks of
the input, notes, other engines.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from bench import Figure, costs

import activitykit as ak

ROWS, SIMULATED = 1_000_000, 50_000
GOOD, BAD = ["ok", "warning"], ["error", "abandoned", "timedout"]


def write_frame(path: Path) -> None:
    """Repeat a simulated month until there are enough rows, each time with ids of its own."""
    month = ak.flatten(ak.demo.simulate(SIMULATED, seed=1))[[*ak.columns()["name"]]]
    copies = (month.assign(id=month["id"] + n) for n in range(ROWS // SIMULATED))
    pd.concat(copies, ignore_index=True).to_parquet(path)


def lengths(df: pd.DataFrame) -> pd.DataFrame:
    """Work out the rows that have a duration, by hand."""
    done = (df["state"] == "completed") & df["result.code"].notna()
    running = (df["state"] != "completed") & df["startedAt"].notna()
    moment = (df["createdAt"] == df["startedAt"]) & (df["startedAt"] == df["completedAt"])
    no_executor = df["executor.id"].isna() | (df["executor.id"] == "")
    legacy = df["context.isLegacy"].fillna(value=False).astype(bool) | (moment & no_executor)
    end = df["completedAt"].where(done, df["updatedAt"].max())
    seconds = (end - df["startedAt"]).dt.total_seconds()
    used = (done | running) & ~legacy & (seconds >= 0)
    return df.assign(seconds=seconds, event=done.astype(int))[used]


def kaplan_meier(x: pd.DataFrame, by: str, quantiles: tuple[float, ...]) -> list[pd.Series]:
    """Give the times at which the curve of each group falls to 1 - q."""
    x = x.sort_values(["seconds", "event"], ascending=[True, False])
    groups = x.groupby(by, dropna=False)
    at_risk = groups["seconds"].transform("size") - groups.cumcount()
    x = x.assign(log=np.log((at_risk - 1 + 1e-300) / at_risk) * x["event"])
    x["log"] = x.groupby(by, dropna=False)["log"].cumsum()
    reached = (x[x["log"] <= np.log(1 - q) + 1e-9] for q in quantiles)
    return [rows.groupby(by, dropna=False)["seconds"].min() for rows in reached]


def hand_durations(df: pd.DataFrame) -> object:
    """Quantiles by type; the queue's quantiles need the same once more."""
    x = lengths(df)[["type", "seconds", "event", "createdAt", "startedAt"]]
    queue = x.assign(seconds=(x["startedAt"] - x["createdAt"]).dt.total_seconds(), event=1)
    counts = x.groupby("type").agg(n=("event", "size"), done=("event", "sum"))
    return (
        counts,
        kaplan_meier(x, "type", (0.5, 0.9, 0.95)),
        kaplan_meier(queue, "type", (0.5, 0.95)),
    )


def outcomes(df: pd.DataFrame, by: "pd.Series[object]") -> pd.DataFrame:
    """Count by group and machine, with the sums that a design effect needs."""
    stopped = df["result.error.code"] == "OperationCanceledByUser"
    counts = pd.DataFrame({
        "by": by, "machine": df["resource.id"].str.lower(),
        "failed": df["result.code"].isin(BAD) & ~stopped, "good": df["result.code"].isin(GOOD),
    }).groupby(["by", "machine"], dropna=False).sum().reset_index()  # fmt: skip
    m, f = counts["failed"] + counts["good"], counts["failed"]
    counts = counts.assign(m=m, ff=f * f, fm=f * m, mm=m * m)
    return counts.groupby("by").sum(numeric_only=True)


def hand_failures(df: pd.DataFrame) -> object:
    """Count outcomes by tenant."""
    roots = df[df["parentActivityId"].isna()]
    return outcomes(roots, roots["tenant.name"])


def hand_trend(df: pd.DataFrame) -> object:
    """Count outcomes and take quantiles by local day."""
    roots = df[df["parentActivityId"].isna() & df["startedAt"].notna()]
    day = roots["startedAt"].dt.tz_convert("Europe/Berlin").dt.normalize()
    x = lengths(roots.assign(day=day))
    return outcomes(roots, day), kaplan_meier(x, "day", (0.5, 0.95))


def hand_streaks(df: pd.DataFrame) -> object:
    """Count failures since the last success."""
    keys = ["tenant.uuid", "resource.id", "policy.id", "type"]
    x = df[df["parentActivityId"].isna() & df["result.code"].notna()]
    x = x[[*keys, "completedAt", "result.code", "tenant.name"]].assign(
        **{"resource.id": x["resource.id"].str.lower()}
    )
    x = x.sort_values("completedAt", ascending=False)
    x["good"] = x["result.code"].isin(GOOD)
    later = x.groupby(keys, dropna=False)["good"].cumsum()
    x["since"] = x["result.code"].isin(BAD) & (later == 0)
    groups = x.groupby(keys, dropna=False)
    return groups.agg(streak=("since", "sum"), last=("completedAt", "max")), groups.head(1)


def hand_concurrency(df: pd.DataFrame) -> object:
    """Sweep over starts and ends."""
    x = lengths(df)
    end = x["completedAt"].fillna(df["updatedAt"].max())
    steps = pd.concat([
        pd.DataFrame({"time": x["startedAt"], "step": 1}), pd.DataFrame({"time": end, "step": -1}),
    ]).sort_values(["time", "step"])  # fmt: skip
    steps["level"] = steps["step"].cumsum()
    lasted = (steps["time"].shift(-1) - steps["time"]).dt.total_seconds()
    steps = steps.assign(bucket=steps["time"].dt.floor("1h"), area=steps["level"] * lasted)
    return steps.groupby("bucket").agg(max=("level", "max"), area=("area", "sum"))


def durations_by_type(df: pd.DataFrame) -> object:
    """Use the library."""
    return ak.duration_stats(df, by="type")


def failures_by_tenant(df: pd.DataFrame) -> object:
    """Use the library."""
    return ak.failure_stats(df, by="tenant.name")


def trend_in_berlin(df: pd.DataFrame) -> object:
    """Use the library."""
    return ak.trend(df, tz="Europe/Berlin")


PAIRS: dict[str, tuple[Callable[..., object], Callable[..., object]]] = {
    "duration_stats": (durations_by_type, hand_durations),
    "failure_stats": (failures_by_tenant, hand_failures),
    "trend": (trend_in_berlin, hand_trend),
    "streaks": (ak.streaks, hand_streaks),
    "concurrency": (ak.concurrency, hand_concurrency),
}
ALONE = {name: getattr(ak, name) for name in ("failure_reasons", "last_good", "overdue", "quality")}


def figures() -> Iterator[Figure]:
    """Measure each statistic, and its hand-written twin where there is one."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "activities.parquet"
        write_frame(path)
        for name, (ours, hand) in PAIRS.items():
            cost = costs({"ours": ours, "hand": hand}, path, prepare=pd.read_parquet)
            seconds = cost["ours"].seconds
            yield Figure(
                f"{name}: time over hand-written pandas, 1,000,000 rows",
                seconds / cost["hand"].seconds, 1.5, at_least=False, detail=f"{seconds:.2f} s",
            )  # fmt: skip
            yield Figure(f"{name}: seconds", seconds, 3, at_least=False, detail="")
        for name, ours in ALONE.items():
            cost = costs({"ours": ours}, path, prepare=pd.read_parquet)
            yield Figure(f"{name}: seconds", cost["ours"].seconds, 3, at_least=False, detail="")
