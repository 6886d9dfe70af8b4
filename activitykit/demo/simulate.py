"""`simulate`: activities as the service would send them, realistic, and the same for a seed."""

import gzip
import json
import random
from collections.abc import Iterator
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, Final

from activitykit.demo import runs, wire
from activitykit.demo.runs import Group, Job
from activitykit.demo.world import DAY, DOCUMENTED_HOST, Resource, Window, resource, stream
from activitykit.filters import Moment, to_timestamp

UNTIL: Final = "2026-11-01T06:00:00Z"
"""End of the simulated time, fixed so that the same call gives the same data on any day."""
_SAMPLE_SIZE: Final = 600
# with fewer activities than these, documented examples would be most of what there is
_ENOUGH_FOR_EXAMPLES: Final = 50
# a resource has about 80 activities in 30 days; a small sample shall show a dozen resources
_ROWS_OF_A_DOZEN_PER_DAY: Final = 32
_SLOWEST: Final = 8
_HOURLY_DAYS_PER_ROW: Final = 1 / 300


def simulate(
    n: int, *, seed: int = 0, until: Moment = UNTIL, days: float = 30
) -> Iterator[dict[str, Any]]:
    """Simulate the activities of a service provider's tenants.

    Backups with children, retries and slow growth, scans, updates, cloud-to-cloud backups and
    management events of a tree of tenants, with the failures, oddities and open runs that real
    data has. From 50 activities on, the published examples are among them, word for word and with
    their own dates in 2020 and 2025.

    Parameters
    ----------
    n
        How many activities.
    seed
        The same seed gives the same activities on every platform.
    until, days
        The simulated time: so many days of 24 hours before `until`. A span such as "1d" counts
        back from the clock.

    Returns
    -------
    iterator of dict
        Raw activities in order of id, which is the order of arrival at the service. Sizes are
        bytes, times RFC 3339 text in UTC.

    Raises
    ------
    ValueError
        When `n` is negative, `days` is not positive, or `until` cannot be read.

    Examples
    --------
    >>> items = list(simulate(200, seed=7))
    >>> len(items), items[-1]["state"]
    (200, 'enqueued')
    """
    if n < 0:
        raise ValueError(f"n={n}; give the number of activities, 0 or more")
    if not days > 0:
        raise ValueError(f"days={days}; give a positive number of days")
    end = to_timestamp(until).value
    return _written(n, seed, Window(end - int(days * DAY), end))


def write_sample(path: str | Path, *, n: int = _SAMPLE_SIZE, seed: int = 0) -> Path:
    """Write simulated activities as gzipped NDJSON, without a time stamp in the file.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    lines = (json.dumps(item, ensure_ascii=False) + "\n" for item in simulate(n, seed=seed))
    packed = gzip.compress("".join(lines).encode(), compresslevel=9, mtime=0)
    path = Path(path)
    path.write_bytes(packed)
    return path


def _written(n: int, seed: int, window: Window) -> Iterator[dict[str, Any]]:
    """Number the jobs, then write them one by one, the published examples in their places."""
    *examples, failed = _examples() if n >= _ENOUGH_FOR_EXAMPLES else [{}]
    groups = _documented(seed, window, failed["result"]) if failed else []
    room = n - len(examples) - sum(map(len, groups))
    jobs = [job for group in [*groups, *_planned(room, seed, window)] for job in group]
    _number(jobs, stream(seed, "numbers"))
    rng = stream(seed, "wire")
    entries: list[tuple[int, Job | dict[str, Any]]] = [(job.id, job) for job in jobs]
    entries += [(example["id"], example) for example in examples]
    for _, entry in sorted(entries, key=lambda pair: pair[0]):
        yield wire.activity(entry, window, rng) if isinstance(entry, Job) else entry


def _planned(n: int, seed: int, window: Window) -> list[Group]:
    """Add resource after resource until there are n activities.

    The last resource joined late: only its newest groups of activities count.
    """
    days = (window.until - window.since) / DAY
    pace = min(_SLOWEST, 1 + int(_ROWS_OF_A_DOZEN_PER_DAY * days) // max(n, 1))
    hourly = int(n * _HOURLY_DAYS_PER_ROW * DAY)
    planned: list[Group] = []
    for index in count():
        if n == 0:
            break
        machine, rng = resource(seed, index), stream(seed, "runs", index)
        groups = runs.groups_of(machine, window, rng, pace=pace, hourly=hourly)
        fitting = _newest(groups, n)
        planned += fitting
        n -= sum(map(len, fitting))
        if len(fitting) < len(groups):
            return planned + runs.single_events(machine, window, rng, n)
    return planned


def _newest(groups: list[Group], n: int) -> list[Group]:
    """Give the newest groups that together have no more than n activities."""
    fitting: list[Group] = []
    for group in reversed(groups):
        n -= len(group)
        if n < 0:
            break
        fitting.append(group)
    return fitting


def _number(jobs: list[Job], rng: random.Random) -> None:
    """Give every job an id of its own, those of parents first."""
    for job in jobs:
        wire.number(job, rng)
    jobs.sort(key=lambda job: job.id)
    for before, job in zip(jobs, jobs[1:], strict=False):
        if job.id <= before.id:
            job.id = before.id + 1


def _documented(seed: int, window: Window, result: dict[str, Any]) -> list[Group]:
    host: Resource = resource(seed, DOCUMENTED_HOST)
    return [runs.documented_failure(host, window, stream(seed, "documented"), result)]


def _examples() -> list[dict[str, Any]]:
    """Read the published activities; the last one is a result without its activity."""
    text = files("activitykit.demo").joinpath("examples.ndjson").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]
