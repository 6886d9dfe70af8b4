"""What the emulated service holds: activities, tasks, tenants, tokens, and what goes wrong next."""

import base64
import json
import random
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from activitykit.demo.behaviour import Faults, Variants
from activitykit.demo.query import Table, value_at

_SCOPE: Final = re.compile(r"urn:acronis\.com:tenant-id:(.+)")


@dataclass
class Emulator:
    """A running service.

    Attributes
    ----------
    base_url, client_id, client_secret
        What a client needs.
    requests
        Each request so far: method, path with query, status (0 for a cut connection).
    tenants
        Those of the account API, the root first.
    """

    base_url: str
    client_id: str
    client_secret: str
    tenants: list[dict[str, Any]]
    requests: list[tuple[str, str, int]] = field(default_factory=list)


class Store:
    """The objects, who may see them, and what goes wrong next."""

    def __init__(
        self,
        items: Iterable[Mapping[str, Any]],
        variants: Variants,
        faults: Faults,
        credentials: tuple[str, str],
    ) -> None:
        activities = [dict(item) for item in items]
        self.variants, self.faults = variants, faults
        self.lock = threading.RLock()
        self.closed = threading.Event()
        self.tokens: dict[str, tuple[str, float]] = {}
        self.tables = {
            "activities": Table("activities", activities),
            "tasks": Table("tasks", _tasks_of(activities)),
        }
        self._encoded: dict[str, dict[int, bytes]] = {kind: {} for kind in self.tables}
        self.emulator = Emulator("", *credentials, _tenants_of(activities))
        self.random = random.Random(faults.seed)
        self.script = list(faults.script)
        self.drawn = self.late = 0

    def next_fault(self) -> str:
        """Draw what befalls the next list request; "" for nothing."""
        with self.lock:
            if self.script:
                return self.script.pop(0)
            if self.faults.most is not None and self.drawn >= self.faults.most:
                return ""
            for name, rate in self.faults.rates.items():
                if self.random.random() < rate:
                    self.drawn += 1
                    return name
            return ""

    def bytes_of(self, kind: str, rows: Sequence[int]) -> bytes:
        """Give objects as JSON, encoded once."""
        table, encoded = self.tables[kind], self._encoded[kind]
        ids = [table.ids[row] for row in rows]
        for row, number in zip(rows, ids, strict=True):
            if number not in encoded:
                encoded[number] = msgspec.json.encode(table.items[row])
        return b",".join([encoded[number] for number in ids])

    def put(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Add or replace activities while clients are reading."""
        with self.lock:
            self.tables["activities"].put(items)
            for item in items:
                self._encoded["activities"].pop(item["id"], None)

    def add_late(self) -> None:
        """Let the next of the late objects arrive."""
        with self.lock:
            self.put(self.faults.late[self.late : self.late + 1])
            self.late += 1

    def mutate(self) -> None:
        """Let an item change as running activities do."""
        with self.lock:
            item = self.random.choice(self.tables["activities"].items)
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            self.put([{**item, "state": "completed", "updatedAt": now, "completedAt": now}])

    def new_token(self, locator: str) -> str:
        """Make a token for a sub-tree, with the claim that real ones carry."""
        token = ".".join(
            base64.urlsafe_b64encode(part).decode().rstrip("=")
            for part in (
                b'{"alg":"none"}',
                json.dumps({"owner_tuid": self.tenant(locator)["id"]}).encode(),
                uuid.uuid4().bytes,
            )
        )
        self.tokens[token] = locator, time.monotonic() + self.variants.lifetime_s
        return token

    def scope_of(self, token: str | None) -> str | None:
        """Tell which sub-tree a token sees; None when it is unknown or expired."""
        locator, expires_at = self.tokens.get(token or "", ("", 0.0))
        return locator if time.monotonic() < expires_at else None

    def locator_of(self, scope: str) -> str | None:
        """Tell which sub-tree a scope means; None when there is no such tenant."""
        wanted = _SCOPE.fullmatch(scope)
        for one in self.emulator.tenants if wanted else ():
            number = one["locator"].strip("/").split("/")[-1]
            if wanted and wanted[1] in (one["id"], number if self.variants.numeric_tenant else ""):
                return str(one["locator"])
        return None

    def tenant(self, locator: str) -> dict[str, Any]:
        """Give the tenant of a locator."""
        return next(one for one in self.emulator.tenants if one["locator"] == locator)

    def sees(self, kind: str, locator: str) -> Any:  # noqa: ANN401 - a mask
        """Give the mask of the objects in a sub-tree; the root sees those without a tenant too."""
        root = self.emulator.tenants[0]["locator"]
        return self.tables[kind].below("" if locator == root else locator)


def _tenants_of(activities: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Derive the tree of tenants from the locators, the root first."""
    known = {
        locator: item["tenant"]
        for item in activities
        if isinstance(locator := value_at(item, "tenant.locator"), str)
        and re.fullmatch(r"/(\d+/)+", locator)
    }
    for locator in list(known):
        steps = locator.strip("/").split("/")
        for depth in range(1, len(steps)):
            known.setdefault(f"/{'/'.join(steps[:depth])}/", {})
    known.setdefault("/1/", {})
    by_locator: dict[str, dict[str, Any]] = {}
    for locator in sorted(known, key=lambda one: (one.count("/"), one)):
        own, parent = known[locator], locator[: locator[:-1].rfind("/") + 1]
        leaf = not any(other != locator and other.startswith(locator) for other in known)
        by_locator[locator] = {
            "id": own.get("uuid") or str(uuid.uuid5(uuid.NAMESPACE_URL, locator)),
            "name": own.get("name") or f"Tenant {locator}",
            "kind": "customer" if leaf else "partner",
            "parent_id": by_locator.get(parent, {}).get("id"),
            "locator": locator,
        }
    return list(by_locator.values())


def _tasks_of(activities: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Derive the task of each activity, one for all activities that share it."""
    copied = (
        "uuid", "type", "state", "tenant", "policy", "resource", "executor", "context", "result",
        "startedByUser", "startedAt", "updatedAt", "completedAt", "tags", "workflowId",
    )  # fmt: skip
    seen = set()
    for activity in activities:
        number = activity.get("taskId") or activity["id"]
        if number not in seen:
            seen.add(number)
            yield {
                **{key: activity[key] for key in copied if key in activity},
                "id": number,
                "idString": str(number),
                "queue": "legacySync" if number == activity["id"] else "agent",
                "priority": "normal",
                "issuer": {"id": "", "clusterId": ""},
                "cancelRequested": value_at(dict(activity), "result.code") == "cancelled",
                "enqueuedAt": activity.get("createdAt"),
                "assignCount": 1,
            }
