"""The simulated world: tenants, the resources they protect, and the plans that protect them.

Everything is a function of the seed and an index, so the world has no end and the first resources
are the same however many activities are asked for.
"""

import math
import random
import uuid
from dataclasses import dataclass, replace
from typing import Final, Literal

SECOND: Final = 1_000_000_000
"""Nanoseconds; all times of the simulation are whole nanoseconds since 1970 in UTC."""
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
GIGABYTE: Final = 1_000_000_000

Kind = Literal["server", "workstation", "vmhost", "vm", "mailbox", "site", "drive"]
Story = Literal["healthy", "flaky", "chronic", "recovered", "failing", "never"]
Cadence = Literal["nightly", "weekdays", "weekly", "hourly", "daily"]


@dataclass(frozen=True, slots=True)
class Window:
    """The simulated span, [since, until) in nanoseconds."""

    since: int
    until: int

    def back(self, span: int) -> int:
        """Give the moment that lies a span before the end, but not before the start."""
        return max(self.since, self.until - span)

    def share(self, moment: int) -> float:
        """Tell which share of the window has passed."""
        return (moment - self.since) / (self.until - self.since)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A partner or customer.

    Attributes
    ----------
    node
        Node number of the data centre, which goes into ids.
    care
        Factor on the risk of its healthy resources.
    build
        Version of its agents.
    drops_uuid
        Whether its oldest records lack the uuid.
    """

    id: str
    uuid: str
    name: str
    locator: str
    login: str
    node: int
    care: float
    build: int
    drops_uuid: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A protection plan and its schedule; `minute` counts from midnight UTC."""

    id: str
    name: str
    cadence: Cadence
    minute: int
    validates: bool = False
    replicates: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """A protected machine, mailbox, site or drive, or a host with its virtual machines.

    Attributes
    ----------
    size, speed
        Bytes of a full backup, and bytes per second.
    drift
        Growth of the size over the whole window, as a fraction.
    story, turn
        How it fails, and at which share of the window a story takes its turn.
    """

    index: int
    id: str
    kind: Kind
    name: str
    tenant: Tenant
    partner: Tenant
    agent: str
    plan: Plan
    size: int
    speed: int
    drift: float
    story: Story
    turn: float
    tags: tuple[str, ...]
    machines: tuple["Resource", ...] = ()

    @property
    def in_cloud(self) -> bool:
        """Whether the service backs it up itself, without an agent."""
        return self.kind in _CLOUD

    @property
    def wire_type(self) -> str:
        """The resource type as the service spells it."""
        return _CLOUD.get(self.kind, "machine")


_CLOUD: Final[dict[Kind, str]] = {"mailbox": "MAILBOX", "site": "SITE", "drive": "DRIVE"}
# the first resources show every kind, so that small samples do too
_KINDS: Final[tuple[Kind, ...]] = (
    "server", "workstation", "vmhost", "mailbox", "server", "site", "workstation", "mailbox",
    "vmhost", "workstation", "server", "drive", "workstation", "workstation", "server", "mailbox",
)  # fmt: skip
_STORIES: Final[dict[int, Story]] = {
    3: "flaky", 6: "failing", 9: "chronic", 11: "recovered", 24: "flaky", 38: "flaky", 45: "flaky",
}  # fmt: skip
_STORY_CYCLE, _NEVER_CYCLE, _NEVER_AT = 50, 150, 10
# customers of one block differ in size; one digit per resource
_SPREAD: Final = "0123456701020131402010030152100120346012"
_CUSTOMERS_PER_BLOCK, _CUSTOMERS_PER_PARTNER = 8, 4
_NODES: Final = (143, 839, 7, 512, 1)
_FIRST_TENANT, _PARTNER_STEP = 2000, 50

_PARTNERS: Final = ("Nordlicht IT", "Bluewater MSP", "Kestrel Managed Services", "Delta Rhône")
_CUSTOMERS: Final = (
    "Müller & Söhne GmbH", "Fjord Shipping AS", 'O\'Brien "Quayside" Ltd', "Acme, Inc.",
    "<script>alert('tenant')</script>", "شركة الواحة", "Bäckerei Öztürk", "Städtisches Klinikum",
)  # fmt: skip
_TRADES: Final = ("Dental", "Logistics", "Legal", "Foods", "Robotics", "Travel", "Energy", "Press")
_PLACES: Final = ("Aalen", "Bergen", "Cork", "Dijon", "Eger", "Fulda", "Ghent", "Haifa", "Iași")
_LONG: Final = "FILESERVER-ARCHIVE-2019-BUILDING-7-FLOOR-3-ROOM-312-RACK-B-UNIT-21-"
_ODD_NAMES: Final = {
    1: 'O\'Brien "Büro" PC',
    4: "<script>alert('sql')</script>",
    6: "=cmd|' /C calc'!A0",
    7: "zoë.ångström@müller-söhne.example",
    10: _LONG + "REPLACES-OLD-ONE-DO-NOT-SWITCH-OFF-ASK-MR-KOWALSKI-B4",
    12: "חשבונות-2",
}
_ROLES: Final[dict[Kind, tuple[str, ...]]] = {
    "server": ("SQL", "DC", "FILE", "EXCH", "APP"),
    "workstation": ("PC", "LAPTOP", "CAD"),
    "vmhost": ("ESXI", "HYPERV"),
    "vm": ("web", "db", "erp", "print"),
    "site": ("Finance", "Projects", "Intranet"),
}
# kind: (median gigabytes of a full backup, median megabytes per second)
_SCALE: Final[dict[Kind, tuple[float, float]]] = {
    "server": (90, 35), "workstation": (40, 20), "vmhost": (1, 60), "vm": (60, 60),
    "mailbox": (4, 3), "site": (12, 5), "drive": (8, 5),
}  # fmt: skip
_PLAN_NAMES: Final[dict[Cadence, tuple[str, ...]]] = {
    "nightly": ("Servers nightly", "Tagessicherung", 'Nightly "all in"', "VMs @ night"),
    "weekdays": ("Workstations", "Notebooks mo-fr", "Office PCs; lunch break"),
    "weekly": ("Weekly full + check", "Wochenende"),
    "hourly": ("SQL log hourly",),
    "daily": ("Cloud apps daily", "Mail & files", "SaaS / all users"),
}
_DOCUMENTED_PLAN: Final = "7_Tage_2*Täglich"
DOCUMENTED_HOST: Final = 2
"""Index of the host with two machines that the published failure tells of."""


def stream(seed: int, *path: object) -> random.Random:
    """Give a random stream of its own for one part of the world."""
    return random.Random("/".join(map(str, (seed, *path))))


def new_uuid(rng: random.Random) -> str:
    """Draw a random UUID in lower case."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def lognormal(rng: random.Random, median: float, sigma: float) -> float:
    """Draw from a log-normal distribution, the same on every platform.

    Twelve uniform numbers make a normal one exactly; what `exp` gives is rounded because its last
    bit differs between C libraries.
    """
    normal = sum(rng.random() for _ in range(12)) - 6
    return round(median * math.exp(sigma * normal), 6)


def partner(seed: int, index: int) -> Tenant:
    """Give the partner of a number; every third one is below the partner before it."""
    rng = stream(seed, "partner", index)
    name = _PARTNERS[index] if index < len(_PARTNERS) else f"{rng.choice(_PLACES)} MSP {index}"
    number = _FIRST_TENANT + index * _PARTNER_STEP
    above = f"/1/{number - _PARTNER_STEP}/" if index % 3 == 2 else "/1/"
    return _tenant(rng, number, name, above, index)


def customer(seed: int, index: int) -> Tenant:
    """Give the customer of a number, below its partner."""
    rng = stream(seed, "customer", index)
    if index < len(_CUSTOMERS):
        name = _CUSTOMERS[index]
    else:
        name = f"{rng.choice(_PLACES)} {rng.choice(_TRADES)} {index}"
    above = partner(seed, index // _CUSTOMERS_PER_PARTNER)
    number = int(above.id) + 1 + index % _CUSTOMERS_PER_PARTNER
    return _tenant(rng, number, name, above.locator, index)


def _tenant(rng: random.Random, number: int, name: str, above: str, index: int) -> Tenant:
    return Tenant(
        id=str(number),
        uuid=new_uuid(rng),
        name=name,
        locator=f"{above}{number}/",
        login=f"admin{number}@backup.example",
        node=_NODES[index % len(_NODES)],
        care=(0.5, 1.0, 1.0, 2.5)[index % 4],
        build=(43210, 41977, 42515, 20227)[index % 4],
        drops_uuid=index % 4 == 3,
    )


def resource(seed: int, index: int) -> Resource:
    """Give the resource of a number, with its tenant and its plan."""
    rng = stream(seed, "resource", index)
    block, place = divmod(index, len(_SPREAD))
    number = block * _CUSTOMERS_PER_BLOCK + int(_SPREAD[place])
    owner, above = customer(seed, number), partner(seed, number // _CUSTOMERS_PER_PARTNER)
    kind = _KINDS[index % len(_KINDS)]
    plan = _plan(seed, number, _cadence(index, kind), rng, documented=index == DOCUMENTED_HOST)
    host = _resource(rng, index, kind, owner, above, plan)
    if kind != "vmhost":
        return host
    guests = tuple(
        _resource(rng, index, "vm", owner, above, plan, agent=host.agent, number=guest)
        for guest in range(2 if index == DOCUMENTED_HOST else rng.randint(2, 4))
    )
    return replace(host, machines=guests)


def _resource(
    rng: random.Random, index: int, kind: Kind, owner: Tenant, above: Tenant, plan: Plan,
    *, agent: str | None = None, number: int | None = None,
) -> Resource:  # fmt: skip
    gigabytes, megabytes = _SCALE[kind]
    never = index % _NEVER_CYCLE == _NEVER_AT
    story = "never" if never else _STORIES.get(index % _STORY_CYCLE, "healthy")
    return Resource(
        index=index,
        id=new_uuid(rng),
        kind=kind,
        name=_name(rng, index, kind, owner, number),
        tenant=owner,
        partner=above,
        agent=agent or new_uuid(rng),
        plan=plan,
        size=int(lognormal(rng, gigabytes, 0.8) * GIGABYTE),
        speed=int(lognormal(rng, megabytes, 0.4) * 1_000_000),
        drift=rng.choice((0.0, 0.05, 0.1, 0.1, 0.2, -0.1, 1.5)),
        story=story,
        turn=(0.68 if story == "recovered" else 0.78) + 0.07 * rng.random(),
        tags=rng.choice((("tier-1",), ("tier-2", "on site"))) if index % 9 == 8 else (),
    )


def _name(rng: random.Random, index: int, kind: Kind, owner: Tenant, number: int | None) -> str:
    if number is not None:
        documented = index == DOCUMENTED_HOST and number == 0
        return "StackStorm" if documented else f"{rng.choice(_ROLES['vm'])}-{index}-{number}"
    if index in _ODD_NAMES:
        return _ODD_NAMES[index]
    if kind in {"mailbox", "drive"}:
        return f"user{index}@t{owner.id}.example"
    return f"{rng.choice(_ROLES[kind])}-{owner.id}-{index:02d}"


def _cadence(index: int, kind: Kind) -> Cadence:
    if kind in _CLOUD:
        return "daily"
    if kind == "workstation":
        return "weekdays"
    if kind == "server" and index % 64 == 4:
        return "hourly"
    return "weekly" if kind == "server" and index % 16 == 10 else "nightly"


def _plan(
    seed: int, number: int, cadence: Cadence, rng: random.Random, *, documented: bool
) -> Plan:
    """Give the plan that a tenant's resources of one cadence share; only the minute differs."""
    shared = stream(seed, "plan", number, cadence, documented)
    name = _DOCUMENTED_PLAN if documented else shared.choice(_PLAN_NAMES[cadence])
    first = {"nightly": 20 * 60, "weekdays": 11 * 60, "weekly": 21 * 60, "hourly": 0, "daily": 60}
    spread = {"nightly": 8 * 60, "weekdays": 120, "weekly": 180, "hourly": 60, "daily": 330}
    return Plan(
        id=new_uuid(shared),
        name=name,
        cadence=cadence,
        minute=first[cadence] + rng.randrange(spread[cadence]),
        validates=cadence == "weekly" or shared.random() < 0.2,
        replicates=shared.random() < 0.35,
    )
