"""Speed, measured: every figure as a ratio against what a user would otherwise do.

``make bench`` prints one table; ``make bench ONLY=flatten`` one part of it. Each way runs in a
process of its own, in turns, and the median counts; read the ratios, not the seconds. Tests never
look at a clock; this program asserts nothing.
"""

import gc
import importlib
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

PARTS = ("imports", "flatten", "fetch", "archive", "snapshot", "stats", "sql", "explorer")
LIBRARIES = (
    "activitykit",
    "pandas",
    "pyarrow",
    "msgspec",
    "narwhals",
    "polars",
    "duckdb",
    "orjson",
)


class Cost(NamedTuple):
    """What one way costs: median seconds, and the memory it needs on top of its input."""

    seconds: float
    peak_mib: float


class Figure(NamedTuple):
    """One line of the table: a ratio, the target it should reach, and whether it does."""

    name: str
    value: float
    target: float
    at_least: bool
    detail: str

    @property
    def holds(self) -> bool:
        """Tell whether the figure is on the good side of its target."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def costs(
    ways: Mapping[str, Callable[..., object]], *args: object, rounds: int = 3,
    prepare: Callable[..., object] | None = None,
) -> dict[str, Cost]:  # fmt: skip
    """Run each way in turns, each time in a fresh process, and give the medians.

    The ways take what `prepare(*args)` returns, or the arguments themselves; preparing is not
    counted.
    """
    runs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            runs[name].append(_in_fresh_process(way, prepare, args))
    return {
        name: Cost(*(statistics.median(column) for column in zip(*taken, strict=True)))
        for name, taken in runs.items()
    }


def _in_fresh_process(way: Any, prepare: Any, args: Sequence[object]) -> Cost:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (way, prepare, args))


def _measured(way: Any, prepare: Any, args: Sequence[object]) -> Cost:
    given = (prepare(*args),) if prepare else args
    gc.collect()
    _reset_peak()
    before = _peak_mib()
    start = time.perf_counter()
    kept = way(*given)
    seconds = time.perf_counter() - start
    cost = Cost(seconds, _peak_mib() - before)
    del kept
    return cost


def _reset_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")
    except OSError:
        pass  # not on Linux: the peak then includes the preparation


def _peak_mib() -> float:
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(parts: Sequence[str]) -> None:
    """Run the parts and print the table."""
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(", ".join(f"{name} {_version(name)}" for name in LIBRARIES))
    print(f"\n{'figure':<58}{'value':>9}{'target':>10}  holds  detail")
    for part in parts:
        for figure in importlib.import_module(f"bench_{part}").figures():
            sign = "≥" if figure.at_least else "≤"
            print(
                f"{figure.name:<58}{figure.value:>9.2f}{sign + format(figure.target, 'g'):>10}"
                f"  {'yes' if figure.holds else 'NO':<5}  {figure.detail}",
                flush=True,
            )


def _version(name: str) -> str:
    try:
        return version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


if __name__ == "__main__":
    main(sys.argv[1:] or PARTS)
