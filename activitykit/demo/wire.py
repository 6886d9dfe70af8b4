"""How a simulated job looks as JSON: the documented fields, ids, times and quirks."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from activitykit.demo.faults import BACKING_UP, domain_error
from activitykit.demo.runs import (
    ADD_AGENT,
    EDIT_PLAN,
    PRE_COMMAND,
    REPLICATION,
    RESOLVING,
    RETENTION,
    VALIDATION,
    Job,
)
from activitykit.demo.world import DAY, SECOND, Window, new_uuid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID_ZERO: Final = 1288834974287
_SEQUENCES: Final = 4096
_WITHOUT_RESOURCE: Final = frozenset((*ADD_AGENT, EDIT_PLAN))
_TITLES: Final = {
    BACKING_UP: "Backing up",
    RESOLVING: "Resolving items to back up",
    PRE_COMMAND: "Pre-backup command",
    RETENTION: "Applying retention rules",
    REPLICATION: "Replicating backups",
    VALIDATION: "Validating backups",
}


def id_at(moment: int, node: int, sequence: int) -> int:
    """Make an id: 2^20 ns units since 2012-10-28, ten bits of node, twelve of sequence."""
    return ((moment >> 20) - _ID_ZERO) << 22 | node << 12 | sequence


def number(job: Job, rng: random.Random) -> None:
    """Give a job its identity, at the moment when the service would have stored it."""
    node = job.resource.tenant.node
    if job.family == "event":
        # written after the fact, so the record is a little younger than what it tells
        job.touched = job.created + rng.randrange(4_000_000, 45_000_000)
        stored = job.touched - rng.randrange(100_000, 1_300_000)
    elif job.arrival is not None:
        job.touched = job.arrival + rng.randrange(100_000, 1_300_000)
        stored = job.arrival
    else:
        stored = job.created - rng.randrange(2_000_000, 7_000_000)
    job.id = id_at(stored, node, rng.randrange(1, _SEQUENCES))
    job.uuid = new_uuid(rng)
    if job.family == "event":
        job.task = job.id
    elif job.parent is not None:
        job.task = job.parent.task
    else:
        ahead = rng.randrange(100_000_000, 92 * SECOND)
        job.task = id_at(stored - ahead, node, rng.randrange(1, _SEQUENCES))


def activity(job: Job, window: Window, rng: random.Random) -> dict[str, Any]:
    """Write a job as the service sends it."""
    item: dict[str, Any] = {"uuid": job.uuid, "type": job.type, "taskId": job.task}
    if job.parent is not None:
        item["parentActivityId"] = job.parent.id
        item["parentActivityIdString"] = str(job.parent.id)
    elif job.family == "cloud":
        item["parentActivityId"] = None
    if progress := _progress(job, rng):
        item["progress"] = progress
    if job.type not in _WITHOUT_RESOURCE:
        item["resource"] = _resource(job)
    item["state"] = job.state or ("started" if job.ended is None else "completed")
    item["context"] = _context(job, rng)
    item |= {"id": job.id, "idString": str(job.id), "taskIdString": str(job.task)}
    if job.plan is not None and job.type not in ADD_AGENT:
        kind = "policy.protection.total" if job.family == "event" else "backup"
        item["policy"] = {"id": job.plan.id, "type": kind, "name": job.plan.name}
    if user := _user(job):
        item["startedByUser"] = user
    item |= _times(job)
    item["tenant"] = _tenant(job, window)
    item["executor"] = _executor(job)
    if job.resource.tags and job.family == "backup":
        item["tags"] = list(job.resource.tags)
    if job.state in {"enqueued", "assigned"}:
        item["sustainable"] = True
    if job.ended is not None:
        item["result"] = job.result or _result(job, rng)
    return item


def _text(moment: int) -> str:
    """Write a time with up to nine digits, trailing zeros dropped as the service does."""
    seconds, rest = divmod(moment, SECOND)
    clock = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    fraction = f"{rest:09d}".rstrip("0")
    return f"{clock}.{fraction}Z" if fraction else f"{clock}Z"


def _times(job: Job) -> dict[str, str | None]:
    moments = {
        "createdAt": job.created,
        "startedAt": job.started,
        "updatedAt": job.touched or job.ended or job.created,
        "completedAt": job.ended,
    }
    # cloud services write null where agents leave a field out
    return {
        name: None if moment is None else _text(moment)
        for name, moment in moments.items()
        if moment is not None or job.family == "cloud"
    }


def _tenant(job: Job, window: Window) -> dict[str, str]:
    tenant = job.resource.partner if job.at_partner else job.resource.tenant
    written = {"id": tenant.id, "name": tenant.name, "locator": tenant.locator}
    if tenant.drops_uuid and job.created < window.since + 2 * DAY:
        return written
    return {"uuid": tenant.uuid, **written}


def _resource(job: Job) -> dict[str, str]:
    resource = job.resource
    # agents spell ids in capitals, plans and cloud services in small letters
    shouted = job.family in {"update", "scan"}
    return {
        "id": resource.id.upper() if shouted else resource.id,
        "type": resource.wire_type,
        "name": resource.name,
    }


def _executor(job: Job) -> dict[str, str]:
    idle = job.family == "event" or job.state == "enqueued"
    return {"id": "" if idle else job.resource.agent, "clusterId": ""}


def _user(job: Job) -> str | None:
    if job.family == "cloud":
        return "BY_SCHEDULE"
    if job.type in ADD_AGENT:
        return f"{job.resource.name}\\AMS User"
    if job.family == "event" or job.manual or job.resource.index % 3 == 0:
        return job.resource.tenant.login
    return None


def _progress(job: Job, rng: random.Random) -> dict[str, Any] | None:
    if job.family == "event" or job.state in {"enqueued", "assigned"}:
        return None
    whole = 100 if job.family != "cloud" else 1000
    share = job.share
    progress: dict[str, Any] = {"current": int(whole * share), "total": whole}
    if job.done and job.type == BACKING_UP:
        progress["bytesProcessed"] = job.done
        progress["bytesSaved"] = int(job.done * 0.6)
    if job.ended is None and job.started is not None and job.touched is not None:
        elapsed = job.touched - job.started
        progress["leftTime"] = _left(int(elapsed * (1 - share) / max(share, 0.01)))
        source = rng.randint(0, 60)
        progress["bottleneck"] = {
            "source": source, "destination": 100 - source - 15, "processing": 15,
        }  # fmt: skip
        progress["processingSpeed"] = job.resource.speed
    return progress


def _left(span: int) -> str:
    """Write a span as the service does, such as 1h25m43s."""
    minutes, seconds = divmod(span // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s"


def _result(job: Job, rng: random.Random) -> dict[str, Any]:
    ending = job.ending
    result: dict[str, Any] = {"code": ending.outcome}
    if ending.outcome == "ok":
        return result | _payload(job, rng)
    if ending.fault is not None:
        written = domain_error(ending.fault, ending.levels, job.resource)
        if ending.outcome == "error":
            result["error"] = written
        else:
            result["warnings"] = [written]
            result["payload"] = {"UnresolvedItemsWarning": [{"message": ending.levels[-1].text}]}
    return result


def _payload(job: Job, rng: random.Random) -> dict[str, Any]:
    if job.type == ADD_AGENT[1]:
        return {"payload": "MachineManagement::AddAgentResponse"}
    if job.type == "NGMP_FullScan":
        return {"payload": {"Infected": rng.choice((0, 0, 0, 0, 1, 3))}}
    if job.family == "scan":
        return {"payload": {"vCountTotal": rng.randrange(40), "pCountTotal": rng.randrange(25)}}
    if job.family == "backup" and job.parent is None:
        number = len(job.resource.machines) or 1
        return {"payload": rng.choice((None, {"BackupActivitiesNumber": number}))}
    return {}


def _context(job: Job, rng: random.Random) -> dict[str, Any]:
    """Give the context in the manner of the family of the activity."""
    if job.family == "event":
        return _event_context(job)
    if job.family == "cloud" or (job.family == "restore" and job.resource.in_cloud):
        return _cloud_context(job)
    if job.family == "update":
        argument = {"add_components": [], "remove_components": ["agentForAmp"], "AMSPort": 0}
        return (
            {"_runtime": {}, "argument": argument} if rng.random() < 0.5 else {"argument": argument}
        )
    if job.family == "scan":
        return {"MachineName": job.resource.name, "runMode": _run_mode(job)}
    return _backup_context(job, rng)


def _event_context(job: Job) -> dict[str, Any]:
    context: dict[str, Any] = {"IsProcessRoot": True, "Specific": "Business", "isLegacy": True}
    name, plan = job.resource.name, job.plan
    if job.type in ADD_AGENT:
        context["Persistent"] = {
            "AgentType": "agent", "ID": job.resource.agent, "Name": name,
            "OwnerID": job.resource.tenant.id,
        }  # fmt: skip
        context["UserName"] = f"{name}\\AMS User"
        context["title"] = f"Adding agent '{name}' to the management server"
    elif plan is not None:
        context["Persistent"] = {"PlanID": plan.id, "PlanName": plan.name}
        context["PlanName"] = plan.name
        context["title"] = _plan_title(job, plan.name, plan.id)
    return context


def _plan_title(job: Job, plan: str, plan_id: str) -> str:
    if job.type in _WITHOUT_RESOURCE:
        return f"Editing plan '{plan}' with ID '{plan_id}'"
    verb, link = ("Applying", "to") if job.type == "policy.apply" else ("Revoking", "from")
    where = f"resource '{job.resource.name}' with ID '{job.resource.id}'"
    return f"{verb} plan '{plan}' with ID '{plan_id}' {link} {where}"


def _cloud_context(job: Job) -> dict[str, Any]:
    resource = job.resource
    google = job.type.startswith("GS")
    context: dict[str, Any] = {
        "IsProcessRoot": True,
        "activityType": "restore" if job.family == "restore" else "backup",
        "archiveName": f"{resource.name}-{resource.index}",
        "archiveDisplayName": resource.name,
        "resourceId": resource.id,
        "resourceKind": resource.wire_type,
        "resourceSubtype": "user" if resource.kind == "mailbox" else "",
        "resourceName": resource.name,
        "suite": ("gworkspace" if resource.index % 2 else "google") if google else "o365",
        "phase": "done" if job.ended is not None else "copy",
        "_runtime": {"bytesProcessed": job.done, "bytesSaved": int(job.done * 0.8)},
    }
    if job.plan is not None:
        context |= {"policyId": job.plan.id, "policyName": job.plan.name}
    return context


def _run_mode(job: Job) -> str:
    word = "manual" if job.manual else "scheduled"
    return word.capitalize() if job.resource.tenant.node == 839 else word


def _backup_context(job: Job, rng: random.Random) -> dict[str, Any]:
    resource, plan = job.resource, job.plan
    context: dict[str, Any] = {
        "CommandID": job.type,
        "IsProcessRoot": job.parent is None,
        "MachineName": resource.name,
        "ProcessID": rng.randrange(300, 65_000),
        "Specific": "Business",
        "UserName": resource.tenant.login,
        "runMode": _run_mode(job),
        "title": _TITLES.get(job.type, "Recovering"),
    }
    if plan is not None:
        context |= {
            "ArchiveName": f"{resource.name}-{plan.id[:8].upper()}A",
            "ArchiveLocation": f"avfs:/online?account={resource.tenant.id}",
            "BackupPlanID": plan.id,
            "BackupPlanName": plan.name,
            "BackupType": 1 if job.full else 2,
            "ProtectionPlanID": plan.id,
        }
    if job.parent is not None:
        return context | {"HasChildren": False, "parentUUID": job.parent.uuid}
    if plan is not None:
        context["title"] = f"Backup plan '{plan.name}'"
    item = {"ItemKey": {"ItemType": 1, "LocalID": resource.id}, "ItemPath": resource.name}
    return context | {
        "HasChildren": plan is not None,
        "ExecutionQueue": "default",
        "MessageID": "",
        "Persistent": {"Sources": [{"BackupType": 1 if job.full else 2, **item}]},
        "_runtime": {"bytesProcessed": job.done, "bytesSaved": int(job.done * 0.6)},
    }
