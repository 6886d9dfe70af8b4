"""What happens in the simulated world: every activity as a `Job`, before it is written down.

A group of jobs is a root and its children in the order of their creation. Times are nanoseconds
since 1970 in UTC. A job that ends after the window is still running.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from activitykit.demo import faults
from activitykit.demo.faults import BACKING_UP, PLAN_RUN, Fault, Level
from activitykit.demo.world import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Plan,
    Resource,
    Window,
    lognormal,
)

Family = Literal["backup", "cloud", "event", "update", "scan", "restore"]

RETENTION: Final = "45D64182-5DF4-4AE0-9D42-55E1C3DB942B"
REPLICATION: Final = "FFBC7082-9C55-47D1-A6D2-1744EC8D7481"
RESOLVING: Final = "FD79C554-B363-4DB2-97BC-1E5A94094A94"
PRE_COMMAND: Final = "73417128-5DAC-4263-83CD-4332EF280E7B"
# no type for validation is published; one that no table knows is what a toolkit must live with
VALIDATION: Final = "6E2B7C51-0D94-4B3A-8F60-D1A7C94E5B28"
_EDIT_PLAN = "F5CD89C9-3CD1-4DBC-97F3-82BF93687B46"
_RESTORE_VM = "08FF37D8-FB90-49A3-828B-B9A8CDA417B3"
_RESTORE_FILES = "F30407D6-601F-11E0-9C67-FF46DFD72085"
TITLES: Final = {
    BACKING_UP: "Backing up",
    RESOLVING: "Resolving items to back up",
    PRE_COMMAND: "Pre-backup command",
    RETENTION: "Applying retention rules",
    REPLICATION: "Replicating backups",
    VALIDATION: "Validating backups",
}


@dataclass(slots=True)
class Job:
    """One activity to be; what is None is not known yet, or never will be.

    Attributes
    ----------
    started, ended
        `ended` of a job that still runs is None.
    touched
        Last change of the record when that is neither the end nor the moment of delivery.
    arrival
        When a late record reached the server.
    outcome
        The result code.
    done
        Bytes read; `share` of the work is done when it runs or broke off.
    """

    family: Family
    type: str
    resource: Resource
    created: int
    started: int | None
    ended: int | None
    plan: Plan | None = None
    parent: "Job | None" = None
    outcome: str = "ok"
    fault: Fault | None = None
    levels: tuple[Level, ...] = ()
    result: dict[str, Any] | None = None
    state: str | None = None
    touched: int | None = None
    arrival: int | None = None
    full: bool = False
    manual: bool = False
    done: int = 0
    share: float = 1.0
    id: int = 0
    task: int = 0
    uuid: str = ""


Group = list[Job]
Incident = Literal[
    "running", "overdue", "stuck", "paused", "enqueued", "assigned", "cancelled", "timedout",
    "abandoned", "warning", "called off", "late", "restore", "failed restore", "none",
]  # fmt: skip
_INCIDENTS: Final[tuple[Incident, ...]] = (
    "running", "late", "stuck", "warning", "cancelled", "enqueued", "overdue", "called off",
    "paused", "abandoned", "timedout", "assigned", "restore", "failed restore",
)  # fmt: skip
_OPEN: Final[tuple[Incident, ...]] = (
    "running", "overdue", "stuck", "paused", "enqueued", "assigned"
)  # fmt: skip
_TIME_LIMIT: Final = 8 * HOUR


def groups_of(
    resource: Resource, window: Window, rng: random.Random, *, pace: int, hourly: int
) -> list[Group]:
    """Give all that happened on a resource within the window, oldest first.

    Parameters
    ----------
    pace
        Only every so many-th turn of a schedule, for small samples.
    hourly
        How many nanoseconds before the end an hourly plan came into force.
    """
    incident = _incident(resource, rng)
    groups = [*_events(resource, window, rng), *_care(resource, window, rng, pace=pace)]
    stop = window.until
    if incident in _OPEN:
        groups.append(_open_run(incident, resource, window, rng))
        stop = groups[-1][0].created - 6 * HOUR
    since = window.back(hourly) if resource.plan.cadence == "hourly" else window.since
    for at in _turns(resource.plan, since, stop, pace):
        groups.extend(_scheduled(resource, at, window, rng))
    if incident not in (*_OPEN, "none"):
        groups.append(_closed_run(incident, resource, window, rng))
    cut = [[job for job in group if job.created < window.until] for group in groups]
    for group in cut:
        _leave_open(group, window, rng)
    return sorted((group for group in cut if group), key=lambda group: group[0].created)


def documented_failure(
    resource: Resource, window: Window, rng: random.Random, result: dict[str, Any]
) -> Group:
    """Give the failed run of a virtualization host that carries the published result."""
    at = window.since + (window.until - window.since) // 2 + rng.randrange(SECOND)
    root, *children = _backup(resource, at, at, rng, "error", faults.ACCESS_DENIED, 1.0)
    root.result = result
    return [root, *children]


def single_events(resource: Resource, window: Window, rng: random.Random, n: int) -> list[Group]:
    """Give any number of single records, each a group of its own."""
    span = window.until - window.since
    moments = (window.since + int(rng.random() * 0.999 * span) for _ in range(n))
    return [[_event(resource, at, rng.choice(("policy.apply", _EDIT_PLAN)))] for at in moments]


def _incident(resource: Resource, rng: random.Random) -> Incident:
    """Give each of the first resources another incident, and the later ones few."""
    if resource.index < len(_INCIDENTS):
        return _INCIDENTS[resource.index]
    return rng.choice(_INCIDENTS) if rng.random() < 0.15 else "none"


def _turns(plan: Plan, since: int, until: int, pace: int) -> Iterator[int]:
    """Give the moments at which a schedule is due."""
    day = since // DAY
    while (midnight := day * DAY) < until:
        weekday = (day + 3) % 7
        due = {"weekdays": weekday < 5, "weekly": weekday == 5}.get(plan.cadence, True)
        if due and (plan.cadence == "weekly" or day % pace == 0):
            hours = range(5, 21) if plan.cadence == "hourly" else (0,)
            moments = (midnight + plan.minute * MINUTE + hour * HOUR for hour in hours)
            yield from (at for at in moments if since <= at < until)
        day += 1


def _risk(resource: Resource, share: float) -> float:
    """Give the probability that a run fails, at a share of the window."""
    turned = share >= resource.turn
    return {
        "healthy": 0.008 * resource.tenant.care,
        "flaky": 0.08,
        "chronic": 0.75,
        "recovered": 0.01 if turned else 0.7,
        "failing": 0.9 if turned else 0.01,
        "never": 1.0,
    }[resource.story]


def _outcome(resource: Resource, risk: float, rng: random.Random) -> str:
    if rng.random() < risk:
        return rng.choices(("error", "timedout", "abandoned"), (90, 4, 6))[0]
    if resource.story == "never":
        return "error"
    return rng.choices(("ok", "warning", "cancelled", "called off"), (960, 32, 5, 3))[0]


def _scheduled(resource: Resource, at: int, window: Window, rng: random.Random) -> Iterator[Group]:
    """Run a plan once, and again a little later when it has failed."""
    at += rng.randrange(30 * SECOND)
    risk = _risk(resource, window.share(at))
    outcome, wait = _outcome(resource, risk, rng), _queue_delay(at, rng)
    group = _run(resource, at, window, rng, outcome, wait=wait)
    if resource.kind == "workstation" and rng.random() < 0.04:
        _deliver_late(group, window, rng)
    yield group
    failed = group[0].outcome in {"error", "timedout", "abandoned"}
    if failed and group[0].ended is not None and rng.random() < 0.5:
        again = group[0].ended + rng.randrange(10 * MINUTE, 40 * MINUTE)
        yield _run(resource, again, window, rng, _outcome(resource, 0.6 * risk, rng))


def _run(
    resource: Resource, at: int, window: Window, rng: random.Random, outcome: str, *, wait: int = 0
) -> Group:
    fault = faults.usual_fault(resource, rng) if outcome == "error" else None
    if outcome == "called off":
        outcome, fault = "error", faults.CANCELLED
    grown = 1 + resource.drift * window.share(at)
    if resource.in_cloud:
        return [_cloud(resource, at, at + wait, rng, outcome, fault, grown)]
    return _backup(resource, at, at + wait, rng, outcome, fault, grown)


def _queue_delay(at: int, rng: random.Random) -> int:
    """Give the wait before the start: none for most, minutes around midnight when all want to."""
    if rng.random() < 0.5:
        return 0
    busy = 240 if at % DAY > 20 * HOUR or at % DAY < 2 * HOUR else 15
    return int(lognormal(rng, busy, 1.0) * SECOND)


def _backup(
    resource: Resource, at: int, started: int, rng: random.Random,
    outcome: str, fault: Fault | None, grown: float,
) -> Group:  # fmt: skip
    """Run a plan on a machine, or on the machines of a host: a root and its children."""
    plan = resource.plan
    full = plan.cadence == "weekly" or (at // DAY + resource.index) % 7 == 2
    root = Job("backup", PLAN_RUN, resource, at, started, None, plan, full=full)
    root.manual = rng.random() < 0.04
    children: Group = []
    cursor = started + rng.randrange(2 * SECOND, 9 * SECOND)
    if resource.machines or rng.random() < 0.1:
        cursor = _step(children, root, RESOLVING if resource.machines else PRE_COMMAND, cursor, rng)
    machines = resource.machines or (resource,)
    spared = rng.randrange(len(machines)) if outcome != "ok" and len(machines) > 2 else -1
    for number, machine in enumerate(machines):
        hit = outcome if number != spared else "ok"
        cursor = _back_up(children, root, machine, cursor, rng, hit, fault, grown)
    if outcome in {"ok", "warning"}:
        cursor = _aftercare(children, root, cursor, rng)
    root.ended = cursor + rng.randrange(SECOND, 5 * SECOND)
    root.done = sum(child.done for child in children if child.type == BACKING_UP)
    _sum_up(root, children, outcome, fault)
    return [root, *children]


def _sum_up(root: Job, children: Group, outcome: str, fault: Fault | None) -> None:
    root.outcome, root.fault = outcome, fault
    failed = [child for child in children if child.outcome == outcome != "ok"]
    if outcome == "error" and root.plan is not None:
        root.levels = faults.summary(root.plan.name, len(failed), failed[0].levels)
    elif outcome == "warning":
        root.fault, root.levels = failed[0].fault, failed[0].levels


def _back_up(
    children: Group, root: Job, machine: Resource, at: int, rng: random.Random,
    outcome: str, fault: Fault | None, grown: float,
) -> int:  # fmt: skip
    """Add the backup of one machine; give the moment at which the next step may begin."""
    size = machine.size * grown
    if not root.full:
        size *= min(0.9, lognormal(rng, 0.02, 0.9))
    share = 1.0 if outcome in {"ok", "warning"} else 0.02 + 0.7 * rng.random()
    effort = lognormal(rng, 1.0, 0.25)
    seconds = lognormal(rng, 45, 0.5) + share * size / machine.speed * effort
    length = _TIME_LIMIT if outcome == "timedout" else int(seconds * 1000) * 1_000_000
    job = Job("backup", BACKING_UP, machine, at, at, at + length, root.plan, root, outcome, fault)
    job.full, job.manual, job.share, job.done = root.full, root.manual, share, int(size * share)
    if outcome == "warning":
        job.fault = faults.LOCKED_ITEM
    if outcome in {"error", "warning"} and job.fault:
        told = faults.levels_of(job.fault, machine, rng)
        top = faults.command_failed(BACKING_UP, "Backing up")
        job.levels = told if outcome == "warning" else (top,) * rng.randint(1, 2) + told
    children.append(job)
    job.ended = at + length + rng.randrange(SECOND)
    return job.ended + rng.randrange(40_000_000, 900_000_000)


def _aftercare(children: Group, root: Job, at: int, rng: random.Random) -> int:
    plan = root.plan
    if rng.random() < 0.6:
        at = _step(children, root, RETENTION, at, rng)
    if plan is not None and plan.replicates and rng.random() < 0.7:
        at = _step(children, root, REPLICATION, at, rng, median=240)
    if plan is not None and plan.validates and rng.random() < 0.6:
        at = _step(children, root, VALIDATION, at, rng, median=400)
    return at


def _step(
    children: Group, root: Job, kind: str, at: int, rng: random.Random, *, median: float = 20
) -> int:
    ended = at + int(lognormal(rng, median, 0.8) * 1000) * 1_000_000 + rng.randrange(SECOND)
    children.append(Job("backup", kind, root.resource, at, at, ended, root.plan, root))
    return ended + rng.randrange(40_000_000, 900_000_000)


_CLOUD_TYPES: Final = {
    "mailbox": ("UserMailboxBackup", "GSBackupGMail", "0016750A-EE56-49E6-BF59-7C768C9869AC"),
    "site": ("SPBackup", "019CF690-803B-451F-9E4B-B76C478BC05F"),
    "drive": ("ODBackup", "GSBackupGDrive"),
}
_CLOUD_RESTORES: Final = {
    "UserMailboxBackup": "UserMailboxRestore", "GSBackupGMail": "GSRestoreGMail",
    "SPBackup": "SPRestore", "ODBackup": "ODRestore", "GSBackupGDrive": "GSRestoreGDrive",
}  # fmt: skip


def _cloud_type(resource: Resource) -> str:
    types = _CLOUD_TYPES[resource.kind]
    return types[resource.index // 4 % len(types)]


def _cloud(
    resource: Resource, at: int, started: int, rng: random.Random,
    outcome: str, fault: Fault | None, grown: float,
) -> Job:  # fmt: skip
    """Back up a mailbox, site or drive: one activity without children."""
    size = resource.size * grown * min(0.9, lognormal(rng, 0.03, 1.1))
    share = 1.0 if outcome in {"ok", "warning"} else 0.5 * rng.random()
    seconds = lognormal(rng, 30, 0.7) + size * share / resource.speed
    length = _TIME_LIMIT if outcome == "timedout" else int(seconds * 1000) * 1_000_000
    ended = started + length + rng.randrange(SECOND)
    job = Job("cloud", _cloud_type(resource), resource, at, started, ended, resource.plan)
    job.outcome, job.share, job.done = outcome, share, int(size * share)
    job.fault = faults.LOCKED_ITEM if outcome == "warning" else fault
    if outcome in {"error", "warning"} and job.fault:
        job.levels = faults.levels_of(job.fault, resource, rng)
    if rng.random() < 0.05:
        job.started = None
    return job


def _event(resource: Resource, at: int, kind: str) -> Job:
    """Log a change of management: it has no duration."""
    return Job("event", kind, resource, at, at, at, resource.plan)


def _events(resource: Resource, window: Window, rng: random.Random) -> Iterator[Group]:
    """Give the management events: a new agent and its plan, and edits of plans."""
    span = window.until - window.since
    if rng.random() < 0.3:
        at = window.since + int(span * 0.9 * rng.random())
        kinds = ("agent.add", "A59E8BF2-39C3-42C4-B667-CB672381A214")
        yield [_event(resource, at, rng.choice(kinds))]
        yield [_event(resource, min(at + rng.randrange(HOUR), window.until - 1), "policy.apply")]
    if rng.random() < 0.3:
        kinds = ("policy.revoke", "44328016-20D7-4799-A357-CF152C904ED0", _EDIT_PLAN)
        yield [_event(resource, window.since + int(span * rng.random()), rng.choice(kinds))]


def _care(resource: Resource, window: Window, rng: random.Random, *, pace: int) -> Iterator[Group]:
    """Give the component updates of an agent and the scans of its machine."""
    if resource.in_cloud:
        return
    span = window.until - window.since
    for _ in range(rng.randint(0, 4) // min(pace, 2)):
        at = window.since + int(span * rng.random())
        kind = rng.choice(("Download", "AddFeatures", "AutoUpdateStandby"))
        failed = rng.random() < 0.03
        ended = at + int(lognormal(rng, 8, 2.0) * 1000) * 1_000_000 + rng.randrange(SECOND)
        yield [_simple("update", kind, resource, at, ended, rng, failed=failed)]
    scans = ("WinScan", "TpScan", "NGMP_FullScan")
    for day in range(rng.randrange(7), int(span // DAY), 7 * pace):
        at = window.since + day * DAY + int(lognormal(rng, 10 * 3600, 0.2) * SECOND)
        kind = scans[resource.index % 3]
        median = 5400 if kind == "NGMP_FullScan" else 150
        ended = at + int(lognormal(rng, median, 0.6) * SECOND)
        yield [_simple("scan", kind, resource, at, ended, rng, failed=rng.random() < 0.01)]


def _simple(
    family: Family, kind: str, resource: Resource, at: int, ended: int, rng: random.Random,
    *, failed: bool,
) -> Job:  # fmt: skip
    job = Job(family, kind, resource, at, at, ended)
    if failed:
        job.outcome, job.fault = "error", faults.usual_fault(resource, rng)
        job.levels = faults.levels_of(job.fault, resource, rng)
    return job


def _restore(resource: Resource, at: int, rng: random.Random, *, failed: bool) -> Job:
    if resource.in_cloud:
        kind = _CLOUD_RESTORES.get(_cloud_type(resource), "UserMailboxRestore")
    else:
        kind = _RESTORE_VM if resource.machines else _RESTORE_FILES
    ended = at + int(lognormal(rng, 1500, 1.0) * SECOND)
    job = Job("restore", kind, resource, at, at, ended, manual=True)
    job.done = int(resource.size * 0.3 * rng.random())
    if failed:
        job.outcome, job.fault, job.share = "error", faults.NO_SPACE, 0.4
        job.levels = faults.levels_of(faults.NO_SPACE, resource, rng)
    return job


def _closed_run(
    incident: Incident, resource: Resource, window: Window, rng: random.Random
) -> Group:
    """Give a run of the last days that ended in an unusual way."""
    at = window.back(rng.randrange(12 * HOUR, 60 * HOUR))
    if incident in {"restore", "failed restore"}:
        return [_restore(resource, at, rng, failed=incident == "failed restore")]
    if incident == "late":
        group = _run(resource, at, window, rng, "ok")
        _deliver_late(group, window, rng)
        return group
    return _run(resource, at, window, rng, incident)


def _open_run(incident: Incident, resource: Resource, window: Window, rng: random.Random) -> Group:
    """Give a run that is waiting or running at the end of the window."""
    ages = {
        "running": 40 * MINUTE, "overdue": 9 * HOUR, "stuck": 6 * DAY, "paused": 5 * HOUR,
        "enqueued": 20 * MINUTE, "assigned": 2 * MINUTE,
    }  # fmt: skip
    at = window.back(int(lognormal(rng, ages[incident], 0.1)))
    group = _run(resource, at, window, rng, "ok")
    root = group[0]
    root.started = at
    if incident in {"enqueued", "assigned"}:
        root.started, root.ended, root.state = None, None, incident
        return [root]
    keep = next((number for number, job in enumerate(group) if job.type == BACKING_UP), 0)
    for job in group[: keep + 1]:
        if job is root or job is group[keep]:
            job.ended, job.share = None, round(0.1 + 0.8 * rng.random(), 3)
            if incident == "paused":
                job.state = "paused"
            if incident == "stuck":
                job.touched = min(job.created + rng.randrange(HOUR), window.until)
    return group[: keep + 1]


def _deliver_late(group: Group, window: Window, rng: random.Random) -> None:
    """Let a finished group reach the server hours after it happened, as from a laptop."""
    ended = max(job.ended or window.until for job in group)
    arrival = ended + int(lognormal(rng, 9 * 3600, 0.8) * SECOND)
    if arrival + SECOND < window.until:
        for number, job in enumerate(group):
            job.arrival = arrival + number * 20_000_000


def _leave_open(group: Group, window: Window, rng: random.Random) -> None:
    """Mark what has not ended by the end of the window."""
    for job in group:
        if job.started is not None and job.started > window.until:
            job.started, job.ended, job.state = None, None, "enqueued"
        elif job.ended is not None and job.ended > window.until:
            length = job.ended - (job.started or job.created)
            job.share = round((window.until - (job.started or job.created)) / length, 3)
            job.ended = None
        if job.ended is None and job.touched is None:
            latest = max(job.started or job.created, window.until - rng.randrange(4 * MINUTE))
            job.touched = min(latest, window.until)
