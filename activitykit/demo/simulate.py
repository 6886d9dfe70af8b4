"""`simulate`: activities as the service would send them, realistic, and the same for a seed."""

import gzip
import json
import random
from collections.abc import Iterator
from importlib.resources import files
from itertools import accumulate, pairwise
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

from activitykit.demo import wire
from activitykit.demo.history import edits, history
from activitykit.demo.runs import Group, Job, documented_failure
from activitykit.demo.world import DAY, DOCUMENTED_HOST, Window, resource, stream
from activitykit.moments import Moment, to_timestamp

UNTIL: Final = "2026-11-01T06:00:00Z"
"""End of the simulated time, fixed so that the same call gives the same data on any day."""
_FIRST: Final = "2013-01-01T00:00:00Z"
_SAMPLE_SIZE: Final = 600
# with fewer activities than these, documented examples would be most of what there is
_ENOUGH_FOR_EXAMPLES: Final = 50
# a resource has about 80 activities in 30 days; a small sample shall show a dozen resources
_ROWS_OF_A_DOZEN_PER_DAY: Final = 32
_SLOWEST: Final = 8
# in a small sample an hourly plan is new, or there would be little else
_ROWS_PER_HOURLY_DAY: Final = 300


def simulate(
    n: int, *, seed: int = 0, until: Moment = UNTIL, days: float = 30
) -> Iterator[dict[str, Any]]:
    """Simulate the activities of a service provider's tenants.

    Backups with children, retries and slow growth, scans, updates, cloud-to-cloud backups and
    management events of a tree of tenants, with the failures, oddities and open runs that real
    data has. From 50 activities on, the six published examples are among them, word for word and
    with their own dates in 2020 and 2025; within a day or more, a published failure is as well.

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
        When `n` is negative, `until` cannot be read, `days` is not positive, or the simulated time
        begins before 2013, when the ids of the service begin.

    Examples
    --------
    >>> items = list(simulate(200, seed=7))
    >>> len(items), items[0]["createdAt"]
    (200, '2020-04-22T11:34:03.290396913Z')
    """
    if n < 0:
        raise ValueError(f"n={n}; give the number of activities, 0 or more")
    end = to_timestamp(until).value
    if not 0 < days * DAY <= end - to_timestamp(_FIRST).value:
        raise ValueError(f"days={days}; give more than 0, but do not begin before {_FIRST}")
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
    """Write the jobs in order of id, the published examples in their places."""
    examples: list[dict[str, Any]] = []
    groups: list[Group] = []
    if n >= _ENOUGH_FOR_EXAMPLES:
        *examples, failed = _published()
        if window.until - window.since >= DAY:
            groups.append(_documented(seed, window, failed["result"]))
    groups += _planned(n - len(examples) - sum(map(len, groups)), seed, window)
    jobs = _numbered([job for group in groups for job in group], stream(seed, "numbers"))
    rng = stream(seed, "wire")
    entries = [(job.id, job) for job in jobs] + [(item["id"], item) for item in examples]
    for _, entry in sorted(entries, key=itemgetter(0)):
        yield wire.activity(entry, window, rng) if isinstance(entry, Job) else entry


def _planned(n: int, seed: int, window: Window) -> list[Group]:
    """Add resource after resource until there are n activities.

    Of the last one only the newest runs count, as if it had joined late.
    """
    days = (window.until - window.since) / DAY
    pace = min(_SLOWEST, 1 + int(_ROWS_OF_A_DOZEN_PER_DAY * days) // max(n, 1))
    hourly = n * DAY // _ROWS_PER_HOURLY_DAY
    planned: list[Group] = []
    index = 0
    while True:
        one, rng = resource(seed, index), stream(seed, "history", index)
        groups = history(one, window, rng, pace=pace, hourly=hourly)
        fitting = _newest(groups, n)
        planned += fitting
        n -= sum(map(len, fitting))
        if n == 0 or len(fitting) < len(groups):
            return planned + edits(one, window, rng, n)
        index += 1


def _newest(groups: list[Group], n: int) -> list[Group]:
    """Give the newest groups that together have no more than n activities."""
    sizes = accumulate(len(group) for group in reversed(groups))
    return groups[len(groups) - sum(size <= n for size in sizes) :]


def _numbered(jobs: list[Job], rng: random.Random) -> list[Job]:
    """Give every job an id of its own, a parent's below its children's."""
    for job in jobs:
        wire.number(job, rng)
    jobs = sorted(jobs, key=attrgetter("id"))
    for before, job in pairwise(jobs):
        job.id = max(job.id, before.id + 1)
    return jobs


def _documented(seed: int, window: Window, result: dict[str, Any]) -> Group:
    at = (window.since + window.until) // 2
    return documented_failure(
        resource(seed, DOCUMENTED_HOST), at, result, stream(seed, "documented")
    )


def _published() -> list[dict[str, Any]]:
    """Read the published objects; the last one is a result without its activity."""
    text = files("activitykit.demo").joinpath("examples.ndjson").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]
