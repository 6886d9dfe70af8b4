"""What goes wrong in the simulation, and the nested error that the service reports for it.

Error codes are those seen in published data; texts, files and numbers of the chains are made up in
their manner.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any, Final

from activitykit.demo.world import Resource, new_uuid

PLAN_RUN: Final = "D332948D-A7A9-4E07-B76C-253DCF6E17FB"
BACKING_UP: Final = "8F01AC13-F59E-4851-9204-DE1FD77E36B4"
_OLD_BUILD: Final = 20227


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the ``_src`` chain: a place in the vendor's source, and what it says.

    Attributes
    ----------
    fields
        Facts that the level adds, such as the command or an operating-system code.
    """

    code: int
    file: str
    func: str
    line: int
    text: str
    fields: tuple[tuple[str, str | int], ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A reason for failures; `levels` hold templates, top first, the root cause last."""

    domain: str
    code: str
    weight: int
    levels: tuple[Level, ...]


_TOL = "enterprise/common/tol/command/command.cpp"
_GTOB = "enterprise/managers/gtob/"
_DISK = "enterprise/disk_manager/"
_WARE = "enterprise/virtualware/raw/vmware/vixdisklib/vixdisklib.cpp"
_FILES = "enterprise/file_protector/impl/"
_NET = "enterprise/network/impl/"

_BACKUP_FAILED = Level(
    21561347,
    _GTOB + "util/impl/convert_batch_result.cpp",
    "ConvertBatchResult",
    58,
    "Backup has failed.",
)
_OPERATION = Level(
    66596,
    _DISK + "daapi1/virt_op.cpp",
    "Execute",
    1056,
    "Failed to perform the requested operation.",
)

ACCESS_DENIED: Final = Fault(
    "Common", "InternalError", 5,
    (
        Level(7503931, _GTOB + "backupers/vm_instance_backuper.cpp", "Execute", 485, "Backup of virtual machines has failed."),
        Level(7503950, _GTOB + "backupers/vm_instance_backuper.cpp", "BackupMachines", 552, "Not all virtual machines have been backed up."),
        Level(7503949, _GTOB + "backupers/vm_instance_backuper.cpp", "BackupMachine", 620, "Failed to back up virtual machine '{resource}'."),
        Level(7503890, "enterprise/migration/impl/manager_vmbackup.cpp", "Backup", 2613, "Failed to prepare for backup."),
        Level(10551548, "enterprise/mms/managers/archive/utils/uri_utils.cpp", "AddStreamName", 633, "Stream name: '{resource}-{guid}A.tibx'."),
        _BACKUP_FAILED,
        _OPERATION,
        Level(9764877, _DISK + "daapi1/virt_op.cpp", "OpenVm", 1350, "Failed to prepare for backup."),
        Level(7503875, "enterprise/migration/impl/computer_browser.cpp", "OpenDisks", 119, "Failed to open virtual disk file '[datastore{digit}] {resource}/{resource}.vmdk'."),
        Level(13, _WARE, "Open", 497, "You do not have access rights to this file"),
    ),
)  # fmt: skip
CANCELLED: Final = Fault(
    "Common", "OperationCanceledByUser", 0,
    (Level(20250634, _TOL, "CheckCancel", 211, "The operation was cancelled by user '{user}'."),),
)  # fmt: skip
NO_SPACE: Final = Fault(
    "Common", "FailedRecoveryNoSpacePath", 0,
    (
        Level(5832711, "enterprise/recovery/impl/file_restorer.cpp", "RestoreItems", 302, "Failed to recover the selected items."),
        Level(5832704, "enterprise/recovery/impl/space_check.cpp", "Require", 88, "Not enough free space on '{path}': {size} bytes are needed.", (("code", 0x80070070),)),
    ),
)  # fmt: skip
ON_MACHINES: Final = (
    Fault("environment", "MemoVssProviderDoesNotSupportVolume", 9, (
        _BACKUP_FAILED,
        Level(1114212, _DISK + "snapshot/vss_snapshot.cpp", "CreateSnapshotSet", 417, "Failed to create a volume snapshot."),
        Level(1114183, _DISK + "snapshot/vss_snapshot.cpp", "AddVolume", 1203, "The VSS provider does not support volume '\\\\?\\Volume{{{guid}}}'.", (("code", 0x8004230C),)),
    )),
    Fault("Common", "CannotConnectToMachineWithNetworkShare", 8, (
        _BACKUP_FAILED,
        Level(4456489, _FILES + "share_access.cpp", "Connect", 96, "Failed to open the location '\\\\{host}\\backup'."),
        Level(4456453, _NET + "smb_client.cpp", "TreeConnect", 718, "The network path '\\\\{host}\\backup' was not found.", (("code", 0x80070035),)),
    )),
    Fault("VaultManager", "CloudStorageUnavailable", 10, (
        _BACKUP_FAILED,
        Level(3014672, _NET + "online_storage.cpp", "OpenArchive", 512, "Failed to open the archive '{resource}-{guid}'."),
        Level(3014665, _NET + "online_storage.cpp", "Connect", 233, "The cloud storage '{host}:44445' is not available. Attempt {digit} of 5."),
    )),
    Fault("Common", "StorageOiNotAvailable", 6, (
        _BACKUP_FAILED,
        Level(3014699, _NET + "oi_session.cpp", "Open", 164, "Connection with {address}:44445 was closed after {size} bytes.", (("code", 0x80072746),)),
    )),
    Fault("Licensing", "ResourceQuotaExceeded", 6, (
        Level(23068675, "enterprise/licensing/quota.cpp", "Acquire", 141, "The quota of tenant {tenant} is used up: {digit} of {digit} machines."),
    )),
    Fault("Access", "LocationCredentialsNotCorrect", 5, (
        _OPERATION,
        Level(4456501, _FILES + "share_access.cpp", "Logon", 133, "The user name or password for '\\\\{host}\\backup' is not correct (user '{user}').", (("code", 0x8007052E),)),
    )),
    Fault("Common", "MemoUserAccountIsLockedNu", 3, (
        _OPERATION,
        Level(4456502, _FILES + "share_access.cpp", "Logon", 140, "The account '{user}' is locked.", (("code", 0x80070775),)),
    )),
    Fault("Common", "MemoErrorUnexpectedShutdown", 5, (
        Level(20250683, "enterprise/common/tol/replica/recovery.cpp", "Resume", 77, "The machine '{resource}' was shut down while process {size} was running."),
    )),
    Fault("Common", "MemoErrorMmsFailed", 3, (
        Level(1640494, "enterprise/mms/core/service.cpp", "HandleRequest", 935, "The service on '{host}' has failed: request {guid}."),
        Level(1640451, "enterprise/mms/core/service.cpp", "Allocate", 61, "Not enough memory: {size} bytes.", (("code", 0x8007000E),)),
    )),
    Fault("PolicyManager", "BackupDidNotStart", 4, (
        Level(20119561, _GTOB + "protection/scheduler.cpp", "StartDelayed", 389, "The backup did not start: '{resource}' was off for {digit} days."),
    )),
    Fault("Common", "InternalError", 8, (
        _BACKUP_FAILED,
        _OPERATION,
        Level(262147, _DISK + "io/block_reader.cpp", "Read", 744, "Failed to read data from sector {size} of disk {digit}."),
        Level(262148, _DISK + "io/block_reader.cpp", "DeviceIo", 80, "Data error (cyclic redundancy check) in '{path}'.", (("code", 0x80070017),)),
    )),
)  # fmt: skip
IN_CLOUD: Final = (
    Fault("Common", "NETWORK_ERROR", 8, (
        Level(50331651, "c2c/transport/client.go", "Do", 118, "Request {guid} to https://{host}/v1.0/users/{user} has failed with status 503."),
    )),
    Fault("Access", "MemoFailedToDiscoverFesUri", 3, (
        Level(50331672, "c2c/exchange/discover.go", "Autodiscover", 66, "Failed to discover the front-end server for '{user}'."),
    )),
    Fault("VaultManager", "CloudStorageUnavailable", 4, (
        Level(3014665, "c2c/vault/session.go", "Open", 91, "The cloud storage '{host}:44445' is not available. Attempt {digit} of 5."),
    )),
    Fault("Licensing", "ResourceQuotaExceeded", 3, (
        Level(23068675, "c2c/quota/quota.go", "Acquire", 40, "The quota of tenant {tenant} is used up: {digit} of {digit} seats."),
    )),
)  # fmt: skip
LOCKED_ITEM: Final = Fault(
    "Common", "InternalError", 0,
    (
        Level(7340044, _FILES + "file_backuper.cpp", "ReadItem", 267, "Some items have been skipped."),
        Level(7340051, _FILES + "file_backuper.cpp", "OpenItem", 310, "The file '{path}' is in use by process {size}.", (("code", 0x80070020),)),
    ),
)  # fmt: skip


def usual_fault(resource: Resource, rng: random.Random) -> Fault:
    """Draw what fails on a resource: mostly the same each time, as machines do."""
    own = resource.index * 7
    known = IN_CLOUD if resource.in_cloud else ON_MACHINES
    if resource.kind in {"vm", "vmhost"}:
        known = (ACCESS_DENIED, *ON_MACHINES[:4])
    if rng.random() < 0.8:
        return known[own % len(known)]
    return rng.choices(known, [fault.weight for fault in known])[0]


def levels_of(fault: Fault, resource: Resource, rng: random.Random) -> tuple[Level, ...]:
    """Fill in the templates of a fault: what happened, on which resource, where."""
    facts = {
        "resource": resource.name,
        "tenant": resource.tenant.id,
        "guid": new_uuid(rng).upper(),
        "host": rng.choice(("nas01", "nas-2.lan", "fes-eu2-cloud.example", "10.20.30.40")),
        "address": f"192.0.2.{rng.randrange(1, 255)}",
        "user": rng.choice(("svc-backup", "NT AUTHORITY\\SYSTEM", resource.tenant.login)),
        "path": rng.choice(("C:\\Users\\j.doe\\NTUSER.DAT", "/var/lib/mysql/ibdata1", "D:\\Säge 7")),
        "size": str(rng.randrange(1000, 10**10)),
        "digit": str(rng.randint(1, 9)),
    }  # fmt: skip
    return tuple(replace(level, text=level.text.format_map(facts)) for level in fault.levels)


def command_failed(command: str, title: str) -> Level:
    """Give the level that the command framework puts above the failure of a command."""
    text = f"TOL: Failed to execute the command. {title}"
    return Level(20250646, _TOL, "MakeFailResult", 464, text, (("CommandID", command),))


def summary(plan: str, failed: int, shown: Sequence[Level]) -> tuple[Level, ...]:
    """Put the levels of a plan run above those of the child activity that it displays."""
    top = command_failed(PLAN_RUN, f"Backup plan '{plan}'")
    execute = Level(
        20119593, _GTOB + "protection/agent_engine/protect_command.cpp", "SafeExecute", 234,
        "Failed to execute the command.",
    )  # fmt: skip
    if failed < 2:
        return (top, execute, *shown)
    cumulative = Level(
        20250677, "enterprise/common/tol/replica/event_processor.cpp", "CreateCumulativeError", 105,
        f"{failed} activities have not succeeded. One of them is displayed.",
        (("FailCount", failed),),
    )  # fmt: skip
    return (top, top, execute, cumulative, *shown)


def domain_error(fault: Fault, levels: Sequence[Level], resource: Resource) -> dict[str, Any]:
    """Write a failure as the service does: ``_src`` chain, ``kbLink`` and plain sentence."""
    old = resource.tenant.build == _OLD_BUILD
    module = f"service_process_{'glxa64' if old else 'vsa64'}_{resource.tenant.build}"
    cause = levels[-1].text
    told = {key: value for level in levels for key, value in level.fields}
    context: dict[str, Any] = {
        "$module": module,
        "_src": _chain(levels, module, old=old),
        "cause_str": cause,
        "effect_str": levels[0].text,
    }
    if "CommandID" in told:
        context["commandid"] = told["CommandID"]
    if "FailCount" in told:
        context["failcount"] = told["FailCount"]
    if "code" in told:
        context["os_error_code"] = f"0x{told['code']:08x}"
    return {
        "domain": fault.domain,
        "code": fault.code,
        "reason": fault.code,
        "context": context,
        "kbLink": _kb_link(levels, resource),
        "debug": {"msg": cause},
    }


def _chain(levels: Sequence[Level], module: str, *, old: bool) -> dict[str, Any]:
    chain: dict[str, Any] = {}
    for level in reversed(levels):
        tag = _tag(level.file)
        chain = {
            "code": level.code,
            "fields": {"$module": module, **dict(level.fields)},
            "src": {
                "file": f"{'e:/274' if old else 'c:/jenkins_agent/workspace'}/{level.file}",
                "func": level.func,
                "line": level.line,
                # old builds send a number that has been through a 64-bit float
                "tag": int(Decimal(repr(float(tag)))) if old else f"0x{tag:016x}",
            },
            "suberror": chain,
            "text": level.text,
            "types": {"$module": "A", **{key: _wire_type(value) for key, value in level.fields}},
        }
    return chain


def _wire_type(value: object) -> str:
    return "N" if isinstance(value, int) else "A"


@cache
def _tag(file: str) -> int:
    """Give a source file its 64-bit number, which stays the same from build to build."""
    return int.from_bytes(hashlib.sha256(file.encode()).digest()[:8], "big")


def _kb_link(levels: Sequence[Level], resource: Resource) -> dict[str, str | int]:
    codes = [
        code
        for level in levels
        for code in (level.code, *(value for key, value in level.fields if key == "code"))
    ]
    return {
        "lineTag": f"0x{_tag(levels[-1].file):016X}",
        "serCode": "+".join(f"0x{code:08X}" for code in codes),
        "version": "12.5" if resource.tenant.build == _OLD_BUILD else "26.2",
        "build": resource.tenant.build,
        "product": "cloud",
        "os": "Linux" if resource.in_cloud else "Windows",
    }
