"""What importing activitykit costs on top of importing pandas."""

import statistics
import subprocess
import sys
from collections.abc import Iterator

from bench import Figure

TIMED = "import time; s = time.perf_counter(); import {}; print(time.perf_counter() - s)"


def figures() -> Iterator[Figure]:
    """Compare the two imports in fresh interpreters, in turns."""
    taken: dict[str, list[float]] = {"pandas": [], "activitykit": []}
    for _ in range(7):
        for module, times in taken.items():
            done = subprocess.run(
                [sys.executable, "-c", TIMED.format(module)], capture_output=True, check=True
            )
            times.append(float(done.stdout) * 1000)
    pandas, ours = (statistics.median(times) for times in taken.values())
    yield Figure(
        "import: milliseconds over `import pandas`", ours - pandas, 100, at_least=False,
        detail=f"pandas {pandas:.0f} ms, activitykit {ours:.0f} ms",
    )  # fmt: skip
