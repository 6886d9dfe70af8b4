"""What goes wrong in the simulation, and the nested error that the service reports for it."""

import hashlib
import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from activitykit.demo.world import Resource, new_uuid

PLAN_RUN: Final = "D332948D-A7A9-4E07-B76C-253DCF6E17FB"
BACKING_UP: Final = "8F01AC13-F59E-4851-9204-DE1FD77E36B4"
OLD_BUILD: Final = 20227

Area = Literal["machine", "vm", "cloud", "cancel", "restore", "warning"]


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

    area: Area
    domain: str
    code: str
    levels: tuple[Level, ...]


@cache
def faults(area: Area) -> tuple[Fault, ...]:
    """Give the faults of an area, as the catalogue lists them."""
    text = files("activitykit.demo").joinpath("faults.toml").read_text("utf-8")
    return tuple(
        Fault(area, entry["domain"], entry["code"], tuple(_level(*row) for row in entry["levels"]))
        for entry in tomllib.loads(text)["fault"]
        if entry["area"] == area
    )


def _level(code: int, file: str, func: str, line: int, text: str, os_code: int = 0) -> Level:
    return Level(code, file, func, line, text, (("code", os_code),) if os_code else ())


def usual_fault(resource: Resource, rng: random.Random) -> Fault:
    """Draw what fails on a resource: mostly the same each time, as it does with machines."""
    known = faults("cloud" if resource.in_cloud else "machine")
    if resource.kind == "vmhost":
        known = faults("vm")
    return known[resource.index * 7 % len(known)] if rng.random() < 0.8 else rng.choice(known)


def levels_of(fault: Fault, resource: Resource, rng: random.Random) -> tuple[Level, ...]:
    """Fill in the templates of a fault: what happened, on which resource, where."""
    facts = {
        "resource": resource.name,
        "tenant": resource.tenant.id,
        "guid": new_uuid(rng).upper(),
        "host": rng.choice(("nas01", "nas-2.lan", "fes-eu2-cloud.example", "10.20.30.40")),
        "address": f"192.0.2.{rng.randrange(1, 255)}",
        "user": rng.choice(("svc-backup", "NT AUTHORITY\\SYSTEM", resource.tenant.login)),
        "path": rng.choice(("C:\\Users\\j.doe\\NTUSER.DAT", "/var/lib/mysql/ibdata1", "D:\\Säge")),
        "size": str(rng.randrange(1000, 10**10)),
        "digit": str(rng.randint(1, 9)),
    }
    return tuple(replace(level, text=level.text.format_map(facts)) for level in fault.levels)


def command_failed(command: str, title: str) -> Level:
    """Give the level that the command framework puts above the failure of a command."""
    text = f"TOL: Failed to execute the command. {title}"
    file = "common/tol/command/command.cpp"
    return Level(20250646, file, "MakeFailResult", 464, text, (("CommandID", command),))


_EXECUTE: Final = Level(
    code=20119593,
    file="managers/gtob/protection/agent_engine/protect_command.cpp",
    func="SafeExecute",
    line=234,
    text="Failed to execute the command.",
)


def summary(plan: str, failed: int, shown: Sequence[Level]) -> tuple[Level, ...]:
    """Put the levels of a plan run above those of the child activity that it displays."""
    top = command_failed(PLAN_RUN, f"Backup plan '{plan}'")
    if failed < 2:
        return (top, _EXECUTE, *shown)
    cumulative = Level(
        code=20250677,
        file="common/tol/replica/event_processor.cpp",
        func="CreateCumulativeError",
        line=105,
        text=f"{failed} activities have not succeeded. One of them is displayed.",
        fields=(("FailCount", failed),),
    )
    return (top, top, _EXECUTE, cumulative, *shown)


def domain_error(fault: Fault, levels: Sequence[Level], resource: Resource) -> dict[str, Any]:
    """Write a failure as the service does: ``_src`` chain, ``kbLink`` and plain sentence."""
    build = resource.tenant.build
    module = f"service_process_{'glxa64' if build == OLD_BUILD else 'vsa64'}_{build}"
    told = {key: value for level in levels for key, value in level.fields}
    cause = levels[-1].text
    context = {
        "$module": module,
        "_src": _chain(levels, module, old=build == OLD_BUILD),
        "agentname": resource.name,
        "cause_str": cause,
        "commandid": told.get("CommandID"),
        "effect_str": levels[0].text,
        "failcount": told.get("FailCount"),
        "os_error_code": f"0x{told['code']:08x}" if "code" in told else None,
    }
    return {
        "domain": fault.domain,
        "code": fault.code,
        "reason": fault.code,
        "context": {key: value for key, value in context.items() if value is not None},
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
                "file": f"{'e:/274' if old else 'c:/jenkins_agent'}/enterprise/{level.file}",
                "func": level.func,
                "line": level.line,
                # old builds send a number that has been through a 64-bit float
                "tag": int(Decimal(repr(float(tag)))) if old else f"0x{tag:016x}",
            },
            "suberror": chain,
            "text": level.text,
            "types": {"$module": "A"}
            | {key: "N" if isinstance(value, int) else "A" for key, value in level.fields},
        }
    return chain


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
        "version": "12.5" if resource.tenant.build == OLD_BUILD else "26.2",
        "build": resource.tenant.build,
        "product": "cloud",
        "os": "Linux" if resource.in_cloud else "Windows",
    }
