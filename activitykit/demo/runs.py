"""Single runs of the simulation: each activity as a `Job`, before it is written down.

A group is a root and its children, in the order of their creation. Times are nanoseconds since
1970 in UTC.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from activitykit.demo.faults import (
    BACKING_UP,
    PLAN_RUN,
    Fault,
    Level,
    command_failed,
    faults,
    levels_of,
    summary,
)
from activitykit.demo.world import DAY, HOUR, SECOND, Kind, Plan, Resource, lognormal

Family = Literal["backup", "cloud", "event", "update", "scan", "restore"]

RESOLVING: Final = "FD79C554-B363-4DB2-97BC-1E5A94094A94"
PRE_COMMAND: Final = "73417128-5DAC-4263-83CD-4332EF280E7B"
RETENTION: Final = "45D64182-5DF4-4AE0-9D42-55E1C3DB942B"
REPLICATION: Final = "FFBC7082-9C55-47D1-A6D2-1744EC8D7481"
# no type for validation is published; one that no table knows is what users have to live with
VALIDATION: Final = "6E2B7C51-0D94-4B3A-8F60-D1A7C94E5B28"
EDIT_PLAN: Final = "F5CD89C9-3CD1-4DBC-97F3-82BF93687B46"
ADD_AGENT: Final = ("agent.add", "A59E8BF2-39C3-42C4-B667-CB672381A214")
REVOKE_PLAN: Final = ("policy.revoke", "44328016-20D7-4799-A357-CF152C904ED0")
_RESTORE_VM, _RESTORE_MACHINE = (
    "08FF37D8-FB90-49A3-828B-B9A8CDA417B3",
    "6F80C46F-90AC-4F6F-9578-3CAEF754A637",
)
_CLOUD_TYPES: Final[dict[Kind, tuple[str, ...]]] = {
    "mailbox": ("UserMailboxBackup", "GSBackupGMail", "0016750A-EE56-49E6-BF59-7C768C9869AC"),
    "site": ("SPBackup", "019CF690-803B-451F-9E4B-B76C478BC05F"),
    "drive": ("ODBackup", "GSBackupGDrive"),
}
_CLOUD_RESTORES: Final = {
    "UserMailboxBackup": "UserMailboxRestore",
    "SPBackup": "SPRestore",
    "ODBackup": "ODRestore",
    "GSBackupGMail": "GSRestoreGMail",
    "GSBackupGDrive": "GSRestoreGDrive",
}
_TIME_LIMIT: Final = 8 * HOUR


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends: the result code and, for errors and warnings, the reason."""

    outcome: str = "ok"
    fault: Fault | None = None
    levels: tuple[Level, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether all the work was done."""
        return self.outcome in {"ok", "warning"}


GOOD: Final = Ending()


@dataclass(slots=True)
class Job:
    """One activity to be.

    Attributes
    ----------
    started, ended
        None while it waits, or runs.
    result
        The result word for word, in place of what `ending` would give.
    touched
        Last change of the record, where that is not its end.
    arrival
        When a late record reached the server.
    done, share
        Bytes read, and how much of the work has been done.
    at_partner
        Whether it belongs to the partner above the resource's tenant.
    """

    family: Family
    type: str
    resource: Resource
    created: int
    started: int | None
    ended: int | None
    plan: Plan | None = None
    parent: "Job | None" = None
    ending: Ending = GOOD
    result: dict[str, Any] | None = None
    state: str | None = None
    touched: int | None = None
    arrival: int | None = None
    full: bool = False
    manual: bool = False
    at_partner: bool = False
    done: int = 0
    share: float = 1.0
    id: int = 0
    task: int = 0
    uuid: str = ""


Group = list[Job]


def duration(rng: random.Random, median: float, sigma: float) -> int:
    """Draw a log-normal time span in nanoseconds, its median given in seconds."""
    return int(lognormal(rng, median, sigma) * SECOND) + rng.randrange(1000)


def backup(
    resource: Resource, at: int, ending: Ending, rng: random.Random, *, wait: int, grown: float
) -> Group:
    """Run a plan on a machine, or on the machines of a host: a root and its children.

    Parameters
    ----------
    wait
        Nanoseconds in the queue.
    grown
        Factor by which the data has grown since the start of the simulation.
    """
    root = Job("backup", PLAN_RUN, resource, at, at + wait, None, resource.plan)
    root.full = resource.plan.cadence == "weekly" or (at // DAY + resource.index) % 7 == 2
    root.manual = rng.random() < 0.04
    group = [root]
    if resource.machines or rng.random() < 0.1:
        _step(group, RESOLVING if resource.machines else PRE_COMMAND, rng, median=15)
    for machine, end in _endings(resource, ending, rng):
        _back_up(group, machine, end, grown, rng)
    if ending.whole:
        _aftercare(group, resource.plan, rng)
    root.ended = _next_start(group, rng) + rng.randrange(SECOND, 5 * SECOND)
    root.done = sum(child.done for child in group if child.type == BACKING_UP)
    root.share = min(child.share for child in group)
    root.ending = _sum_up(resource.plan, group, ending)
    return group


def _endings(
    resource: Resource, ending: Ending, rng: random.Random
) -> Iterator[tuple[Resource, Ending]]:
    """Give each machine of a run its ending: one of many is spared, and a break ends the run."""
    machines = resource.machines or (resource,)
    spared = rng.randrange(len(machines)) if len(machines) > 2 else None
    for number, machine in enumerate(machines):
        yield machine, GOOD if number == spared else ending
        if number != spared and not (ending.whole or ending.outcome == "error"):
            return


def _sum_up(plan: Plan, group: Group, ending: Ending) -> Ending:
    """Give the ending of a root: it displays one of its failed children."""
    failed = [job.ending for job in group[1:] if job.ending.outcome == ending.outcome]
    if ending.outcome == "error":
        return Ending("error", ending.fault, summary(plan.name, len(failed), failed[0].levels))
    return failed[0] if ending.outcome == "warning" else ending


def _next_start(group: Group, rng: random.Random) -> int:
    """Give the moment at which the next step of a run may begin."""
    last = group[-1]
    ended = last.created if last.ended is None else last.ended
    if last.parent is None:
        return (last.started or ended) + rng.randrange(2 * SECOND, 9 * SECOND)
    return ended + rng.randrange(40_000_000, 900_000_000)


def _back_up(
    group: Group, machine: Resource, ending: Ending, grown: float, rng: random.Random
) -> None:
    """Add the backup of one machine; its length follows the amount of data."""
    root, at = group[0], _next_start(group, rng)
    share = 1.0 if ending.whole else 0.02 + 0.7 * rng.random()
    size = machine.size * grown * share
    if not root.full:
        size *= min(0.9, lognormal(rng, 0.02, 0.9))
    length = duration(rng, 45, 0.5) + duration(rng, size / machine.speed, 0.25)
    if ending.outcome == "timedout":
        length = _TIME_LIMIT + rng.randrange(SECOND)
    job = Job("backup", BACKING_UP, machine, at, at, at + length, root.plan, root)
    job.ending = told(ending, machine, rng, under=rng.randint(1, 2))
    job.full, job.manual, job.share, job.done = root.full, root.manual, share, int(size)
    group.append(job)


def told(ending: Ending, resource: Resource, rng: random.Random, *, under: int = 0) -> Ending:
    """Add what an error or warning says, below so many levels of the command framework."""
    if ending.fault is None:
        return ending
    above = command_failed(BACKING_UP, "Backing up")
    levels = levels_of(ending.fault, resource, rng)
    return Ending(ending.outcome, ending.fault, (above,) * under + levels)


def _aftercare(group: Group, plan: Plan, rng: random.Random) -> None:
    if rng.random() < 0.6:
        _step(group, RETENTION, rng, median=20)
    if plan.replicates and rng.random() < 0.7:
        _step(group, REPLICATION, rng, median=240)
    if plan.validates and rng.random() < 0.6:
        _step(group, VALIDATION, rng, median=400)


def _step(group: Group, kind: str, rng: random.Random, *, median: float) -> None:
    root, at = group[0], _next_start(group, rng)
    ended = at + duration(rng, median, 0.8)
    group.append(Job("backup", kind, root.resource, at, at, ended, root.plan, root))


def cloud_backup(
    resource: Resource, at: int, ending: Ending, rng: random.Random, *, wait: int, grown: float
) -> Job:
    """Back up a mailbox, site or drive: one activity without children."""
    share = 1.0 if ending.whole else 0.5 * rng.random()
    size = resource.size * grown * share * min(0.9, lognormal(rng, 0.03, 1.1))
    length = duration(rng, 30 + size / resource.speed, 0.5)
    if ending.outcome == "timedout":
        length = _TIME_LIMIT + rng.randrange(SECOND)
    started = at + wait
    job = Job("cloud", _cloud_type(resource), resource, at, started, started + length)
    job.plan, job.ending = resource.plan, told(ending, resource, rng)
    job.share, job.done = share, int(size)
    if rng.random() < 0.05:
        job.started = None
    return job


def _cloud_type(resource: Resource) -> str:
    types = _CLOUD_TYPES[resource.kind]
    return types[(resource.index // 4 + resource.index // 16) % len(types)]


def restore(resource: Resource, at: int, ending: Ending, rng: random.Random) -> Job:
    """Recover a machine or cloud items, started by hand."""
    if resource.in_cloud:
        kind = _CLOUD_RESTORES.get(_cloud_type(resource), "UserMailboxRestore")
    else:
        kind = _RESTORE_VM if resource.machines else _RESTORE_MACHINE
    job = single("restore", kind, resource, at, ending, rng, median=1500)
    job.manual, job.done = True, int(resource.size * 0.3 * rng.random())
    return job


def single(
    family: Family, kind: str, resource: Resource, at: int, ending: Ending, rng: random.Random,
    *, median: float,
) -> Job:  # fmt: skip
    """Run something without children, of about so many seconds."""
    job = Job(family, kind, resource, at, at, at + duration(rng, median, 1.0))
    job.ending, job.share = told(ending, resource, rng), 1.0 if ending.whole else 0.4
    return job


def event(resource: Resource, at: int, kind: str, *, at_partner: bool = False) -> Job:
    """Log a change of management: it has no duration."""
    return Job("event", kind, resource, at, at, at, resource.plan, at_partner=at_partner)


def documented_failure(
    resource: Resource, at: int, result: dict[str, Any], rng: random.Random
) -> Group:
    """Give the failed run of a virtualization host that carries the published result."""
    group = backup(resource, at, Ending("error", faults("vm")[0]), rng, wait=0, grown=1.0)
    group[0].result = result
    return group
