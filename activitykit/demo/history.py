"""What happens to a resource over the simulated time: its schedule, its luck and its incidents."""

import random
from collections.abc import Iterator
from typing import Final, Literal

from activitykit.demo.faults import BACKING_UP, faults, usual_fault
from activitykit.demo.runs import (
    ADD_AGENT,
    EDIT_PLAN,
    GOOD,
    REVOKE_PLAN,
    Ending,
    Group,
    Job,
    backup,
    cloud_backup,
    duration,
    event,
    restore,
    single,
)
from activitykit.demo.world import DAY, HOUR, MINUTE, SECOND, Plan, Resource, Window

Incident = Literal[
    "running", "overdue", "stuck", "paused", "enqueued", "assigned",
    "late", "cancelled", "called off", "timedout", "abandoned", "warning", "restore",
    "failed restore", "none",
]  # fmt: skip
# the first resources have one each, so that small samples show every state and outcome
_INCIDENTS: Final[tuple[Incident, ...]] = (
    "running", "late", "stuck", "warning", "cancelled", "enqueued", "overdue", "called off",
    "paused", "abandoned", "timedout", "assigned", "restore", "failed restore",
)  # fmt: skip
# how long ago runs began that are still open
_AGES: Final[dict[Incident, int]] = {
    "running": 40 * MINUTE,
    "overdue": 9 * HOUR,
    "stuck": 6 * DAY,
    "paused": 5 * HOUR,
    "enqueued": 20 * MINUTE,
    "assigned": 2 * MINUTE,
}
_SCANS: Final = {"WinScan": 150, "TpScan": 200, "NGMP_FullScan": 5400}
_UPDATES: Final = ("Download", "AddFeatures", "AutoUpdateStandby")
_FAILED: Final = frozenset(("error", "timedout", "abandoned"))


def history(
    resource: Resource, window: Window, rng: random.Random, *, pace: int, hourly: int
) -> list[Group]:
    """Give all that happened on a resource within the window, oldest first.

    Parameters
    ----------
    pace
        Only every so many-th turn of a schedule counts, for small samples.
    hourly
        How many nanoseconds before the end an hourly plan came into force.
    """
    incident = _incident(resource, rng)
    groups = [*_events(resource, window, rng), *_care(resource, window, rng, pace=pace)]
    since = window.back(hourly) if resource.plan.cadence == "hourly" else window.since
    until = window.until
    if incident in _AGES:
        groups.append(_open_run(incident, resource, window, rng))
        # while a run is open the next ones do not start
        until = groups[-1][0].created - 6 * HOUR
    elif incident != "none":
        groups.append(_closed_run(incident, resource, window, rng))
    for at in _turns(resource.plan, since, until, pace):
        groups.extend(_scheduled(resource, at + rng.randrange(30 * SECOND), window, rng))
    # the records of a last second would be written after the window
    begun = (group for group in groups if group[0].created < window.until - SECOND)
    return sorted((_cut(group, window, rng) for group in begun), key=lambda group: group[0].created)


def edits(resource: Resource, window: Window, rng: random.Random, n: int) -> list[Group]:
    """Give any number of edits of a resource's plan, by its tenant or by the partner above."""
    moments = (_some_time(window, rng) for _ in range(n))
    return [[event(resource, at, EDIT_PLAN, at_partner=rng.random() < 0.5)] for at in moments]


def _some_time(window: Window, rng: random.Random) -> int:
    return window.since + int((window.until - window.since) * 0.999 * rng.random())


def _incident(resource: Resource, rng: random.Random) -> Incident:
    if resource.index < len(_INCIDENTS):
        return _INCIDENTS[resource.index]
    return rng.choice(_INCIDENTS) if rng.random() < 0.15 else "none"


def _turns(plan: Plan, since: int, until: int, pace: int) -> Iterator[int]:
    """Give the moments at which a schedule is due."""
    for day in range(since // DAY, until // DAY + 1):
        weekday = (day + 3) % 7  # 1970 began on a Thursday
        if plan.cadence == "weekly":
            due = weekday == 5 and day // 7 % pace == 0
        else:
            due = day % pace == 0 and (weekday < 5 or plan.cadence != "weekdays")
        hours = range(6, 20) if plan.cadence == "hourly" else (0,)
        moments = (day * DAY + plan.minute * MINUTE + hour * HOUR for hour in hours if due)
        yield from (at for at in moments if since <= at < until)


def _risk(resource: Resource, share: float) -> float:
    """Give the probability that a run fails, at a share of the window."""
    turned = share >= resource.turn
    return {
        "healthy": 0.008 * resource.tenant.care,
        "flaky": 0.08,
        "chronic": 0.6,
        "recovered": 0.7 if share > 0.5 and not turned else 0.01,
        "failing": 0.9 if turned else 0.01,
        "never": 1.0,
    }[resource.story]


def _ending(resource: Resource, risk: float, rng: random.Random) -> Ending:
    """Draw how a run ends."""
    if rng.random() < risk:
        outcome = rng.choices(("error", "timedout", "abandoned"), (92, 4, 4))[0]
    else:
        outcome = rng.choices(("ok", "warning", "cancelled", "called off"), (960, 32, 5, 3))[0]
    return _explained(outcome, resource, rng)


def _explained(outcome: str, resource: Resource, rng: random.Random) -> Ending:
    """Give an outcome its reason; a run that was called off may arrive as an error."""
    if outcome == "called off":
        return Ending("error", faults("cancel")[0])
    if outcome == "error":
        return Ending("error", usual_fault(resource, rng))
    if outcome == "warning":
        return Ending("warning", faults("warning")[0])
    return Ending(outcome)


def _scheduled(resource: Resource, at: int, window: Window, rng: random.Random) -> Iterator[Group]:
    """Run a plan, and once more a little later when it has failed."""
    risk = _risk(resource, window.share(at))
    group = _run(resource, at, _ending(resource, risk, rng), window, rng, wait=_wait(at, rng))
    if resource.kind == "workstation" and rng.random() < 0.04:
        _deliver_late(group, window, rng)
    yield group
    root = group[0]
    if root.ending.outcome in _FAILED and root.ended is not None and rng.random() < 0.35:
        again = root.ended + rng.randrange(10 * MINUTE, 40 * MINUTE)
        yield _run(resource, again, _ending(resource, risk * risk, rng), window, rng)


def _wait(at: int, rng: random.Random) -> int:
    """Draw the time in the queue: none for half, minutes around midnight when all want to run."""
    if rng.random() < 0.5:
        return 0
    by_day = at % DAY in range(2 * HOUR, 20 * HOUR)
    return duration(rng, 15 if by_day else 240, 1.0)


def _run(
    resource: Resource, at: int, ending: Ending, window: Window, rng: random.Random,
    *, wait: int = 0,
) -> Group:  # fmt: skip
    grown = 1 + resource.drift * window.share(at)
    if resource.in_cloud:
        return [cloud_backup(resource, at, ending, rng, wait=wait, grown=grown)]
    return backup(resource, at, ending, rng, wait=wait, grown=grown)


def _events(resource: Resource, window: Window, rng: random.Random) -> Iterator[Group]:
    """Give the management events: new agents, plans applied, revoked and edited."""
    if rng.random() < 0.3:
        at = _some_time(window, rng)
        yield [event(resource, at, rng.choice(ADD_AGENT))]
        yield [event(resource, at + rng.randrange(20 * MINUTE), "policy.apply")]
    if rng.random() < 0.2:
        yield [event(resource, _some_time(window, rng), rng.choice(REVOKE_PLAN))]
    if rng.random() < 0.2:
        yield from edits(resource, window, rng, 1)


def _care(resource: Resource, window: Window, rng: random.Random, *, pace: int) -> Iterator[Group]:
    """Give restores, component updates of the agent, and scans of the machine."""
    if rng.random() < 0.1:
        yield [restore(resource, _some_time(window, rng), GOOD, rng)]
    if resource.in_cloud:
        return
    for _ in range(rng.randint(0, 4) // min(pace, 2)):
        kind, at = rng.choice(_UPDATES), _some_time(window, rng)
        ending = _ending(resource, 0.02, rng)
        yield [single("update", kind, resource, at, ending, rng, median=8)]
    scan = list(_SCANS)[resource.index % len(_SCANS)]
    for at in range(window.since + rng.randrange(7 * DAY), window.until, 7 * DAY * pace):
        ending = _ending(resource, 0.01, rng)
        yield [single("scan", scan, resource, at, ending, rng, median=_SCANS[scan])]


def _closed_run(
    incident: Incident, resource: Resource, window: Window, rng: random.Random
) -> Group:
    """Give a run of the last days that ended in an unusual way, or a restore."""
    at = window.back(rng.randrange(24 * HOUR, 60 * HOUR))
    if incident == "restore":
        return [restore(resource, at, GOOD, rng)]
    if incident == "failed restore":
        return [restore(resource, at, Ending("error", faults("restore")[0]), rng)]
    if incident != "late":
        return _run(resource, at, _explained(incident, resource, rng), window, rng)
    group = _run(resource, at, GOOD, window, rng)
    _deliver_late(group, window, rng)
    return group


def _open_run(incident: Incident, resource: Resource, window: Window, rng: random.Random) -> Group:
    """Give a run that waits or runs at the end of the window."""
    at = window.back(duration(rng, _AGES[incident] / SECOND, 0.1))
    root, *children = _run(resource, at, GOOD, window, rng)
    if incident in {"enqueued", "assigned"}:
        root.started, root.ended, root.state, root.done = None, None, incident, 0
        return [root]
    # a host stays at its first machine
    running = next((n for n, job in enumerate(children, 1) if job.type == BACKING_UP), 0)
    group = [root, *children[:running]]
    for job in {0: root, running: group[running]}.values():
        job.started, job.ended = job.created, None
        job.share = round(0.1 + 0.8 * rng.random(), 3)
        job.done = int(job.done * job.share)
        if incident == "paused":
            job.state = "paused"
        if incident == "stuck":
            job.touched = min(job.created + rng.randrange(HOUR), window.until)
    return group


def _deliver_late(group: Group, window: Window, rng: random.Random) -> None:
    """Let a finished run reach the server hours after it happened, as from a laptop."""
    ended = max(job.ended or window.until for job in group)
    arrival = ended + duration(rng, 9 * 3600, 0.8)
    if arrival + SECOND < window.until:
        for number, job in enumerate(group):
            job.arrival = arrival + number * 20_000_000


def _cut(group: Group, window: Window, rng: random.Random) -> Group:
    """Drop what begins after the window, and leave open what ends after it."""
    kept = [job for job in group if job.created < window.until]
    for job in kept:
        if job.started is not None and job.started >= window.until:
            job.started, job.ended, job.state, job.done = None, None, "enqueued", 0
        elif job.ended is not None and job.ended > window.until:
            _leave_open(job, window)
        if job.started is not None and job.ended is None and job.touched is None:
            job.touched = max(job.started, window.until - rng.randrange(4 * MINUTE))
    return kept


def _leave_open(job: Job, window: Window) -> None:
    started = job.created if job.started is None else job.started
    ended = window.until if job.ended is None else job.ended
    job.share = round((window.until - started) / (ended - started), 3)
    job.done = int(job.done * job.share)
    job.started, job.ended = started, None
