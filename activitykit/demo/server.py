"""`serve`: the emulated Task Manager service, over real HTTP on this machine.

It speaks the documented contract strictly. `Variants` switches what the documentation leaves open,
`Faults` makes it misbehave, by script or by chance.
"""

import base64
import gzip
import json
import logging
import random
import re
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from activitykit.demo.query import (
    LODS,
    OPERATORS,
    QueryError,
    Table,
    make_cursor,
    read_cursor,
    value_at,
)
from activitykit.errors import ConfigError

if TYPE_CHECKING:
    import flask

FAULTS: Final = (
    "401", "403", "429", "429-date", "500", "502", "503", "503-date", "504", "reset", "truncate",
    "hang", "html", "garbage", "no-items", "repeat", "mutate", "late",
)  # fmt: skip
_SCOPE: Final = re.compile(r"urn:acronis\.com:tenant-id:(.+)")
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, kw_only=True)
class Variants:
    """What the documentation of the service leaves open; the defaults are the likeliest.

    Attributes
    ----------
    cursors
        Where the token of the next page stands.
    end
        What the last page has instead of a token: no ``paging``, empty ``cursors``, null or "".
    token
        When a page has a token: when it is ``full``, only when there is ``more``, or ``always``.
    with_after
        Whether other parameters beside ``after`` are refused or ignored.
    after_alone
        Whether ``after`` works without ``limit``.
    max_limit
        Largest page; more is cut down to it.
    default_limit
        Page size when none is asked for.
    interval
        Whether a field takes two bounds.
    operators
        Functions that conditions may use.
    count
        How ``lod=count`` is answered: with ``items`` empty, missing or null; refused; or ignored.
    direct_scope
        Whether client credentials may ask for the scope of one tenant.
    exchange
        How the exchange of a token for a narrower one is signed.
    numeric_tenant
        Whether a scope may name the numeric id of the tenant.
    uuid_in_path
        Whether ``/activities/{id}`` takes a UUID.
    expiry
        Which lifetime the token reply states.
    lifetime_s
        How long a token lives.
    error_text
        Where an error says what is wrong.
    gzip
        Whether bodies are compressed for clients that take it.
    """

    cursors: Literal["paging", "top"] = "paging"
    end: Literal["missing", "empty", "null", "blank"] = "missing"
    token: Literal["full", "more", "always"] = "full"
    with_after: Literal["refuse", "ignore"] = "refuse"
    after_alone: bool = False
    max_limit: int | None = None
    default_limit: int = 100
    interval: bool = True
    operators: frozenset[str] = OPERATORS
    count: Literal["empty", "missing", "null", "refuse", "ignore"] = "empty"
    direct_scope: bool = True
    exchange: Literal["both", "bearer", "basic", "refuse"] = "both"
    numeric_tenant: bool = False
    uuid_in_path: bool = False
    expiry: Literal["both", "on", "in", "none"] = "both"
    lifetime_s: float = 7200
    error_text: Literal["debug", "context", "reason"] = "debug"
    gzip: bool = False


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How the list requests go wrong.

    Attributes
    ----------
    script
        What befalls the first list requests, one after the other; "" lets one pass.
    rates
        Probability of each fault for every request after the script.
    most
        At most so many faults by chance.
    seed
        Of the chance.
    delay_s, first_delay_s
        Wait before each answer to a list request, and a further one before first pages.
    retry_after_s
        What 429 and 503 ask for.
    late
        Objects that "late" adds, one at a time.
    """

    script: Sequence[str] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    most: int | None = None
    seed: int = 0
    delay_s: float = 0
    first_delay_s: float = 0
    retry_after_s: int = 0
    late: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        unknown = {*self.script, *self.rates} - {*FAULTS, ""}
        if unknown:
            raise ConfigError(
                f"unknown fault(s) {', '.join(sorted(unknown))}; choose from {', '.join(FAULTS)}"
            )


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


@contextmanager
def serve(
    items: Iterable[Mapping[str, Any]],
    *,
    port: int = 0,
    variants: Variants | None = None,
    faults: Faults | None = None,
    client_id: str = "7a0e4c0e-demo-client",
    client_secret: str = "demo-secret-of-the-emulator",  # noqa: S107 - opens nothing but this
) -> Iterator[Emulator]:
    """Run the emulated service on 127.0.0.1 while the context lasts.

    Parameters
    ----------
    items
        Activities as the service would send them. Tasks and tenants are derived from them.
    port
        0 for any free one.
    variants
        How it behaves where the documentation is open.
    faults
        How it misbehaves; not at all by default.
    client_id, client_secret
        The one API client that it knows.

    Yields
    ------
    Emulator
        With ``base_url``, ``client_id`` and ``client_secret`` for `ak.Client`.

    Raises
    ------
    ConfigError
        When flask is not installed.

    Examples
    --------
    >>> from activitykit import Client
    >>> with serve([{"id": 1, "type": "Download", "state": "started"}]) as service:
    ...     client = Client(
    ...         service.base_url,
    ...         client_id=service.client_id,
    ...         client_secret=service.client_secret,
    ...     )
    ...     [activity["type"] for activity in client.activities()]
    ['Download']
    """
    try:
        from werkzeug.serving import make_server
    except ImportError as error:
        raise ConfigError(
            "the emulated service needs flask: pip install 'activitykit[demo]'"
        ) from error
    store = _Store(items, variants or Variants(), faults or Faults(), (client_id, client_secret))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", port, _app(store), threaded=True, request_handler=_handler())
    # closes without a farewell, so that a connection can be reset
    server.shutdown_request = server.close_request  # type: ignore[method-assign]
    store.emulator.base_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield store.emulator
    finally:
        store.closed.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler() -> type[Any]:
    from werkzeug.serving import WSGIRequestHandler
    from werkzeug.wrappers import Response

    class Handler(WSGIRequestHandler):
        # connections stay open between requests, as with the real service
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 30

        def run_wsgi(self) -> None:
            # werkzeug's own reads whatever follows, and so swallows the next request on the line
            reply = Response.from_app(self.server.app, self.make_environ(), buffered=False)
            parts = reply.iter_encoded()
            try:
                first = next(parts, b"")
                self.send_response(reply.status_code)
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(first)
                self.wfile.writelines(parts)
            except ConnectionError:
                self.close_connection = True
            finally:
                reply.close()

        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ANN401
            """Stay silent: faults are on purpose."""

    return Handler


class _Store:
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
        self.encoded: dict[tuple[str, int], bytes] = {}
        self.emulator = Emulator("", *credentials, _tenants_of(activities))
        self.random = random.Random(faults.seed)
        self.script = list(faults.script)
        self.drawn = self.late = 0

    def next_fault(self) -> str:
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
        items = self.tables[kind].items
        parts = []
        for row in rows:
            key = kind, items[row]["id"]
            if key not in self.encoded:
                self.encoded[key] = msgspec.json.encode(items[row])
            parts.append(self.encoded[key])
        return b",".join(parts)

    def put(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Add or replace activities while clients are reading."""
        with self.lock:
            self.tables["activities"].put(items)
            for item in items:
                self.encoded.pop(("activities", item["id"]), None)

    def mutate(self) -> None:
        """Let an item change as running activities do."""
        with self.lock:
            item = self.random.choice(self.tables["activities"].items)
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            self.put([{**item, "state": "completed", "updatedAt": now, "completedAt": now}])

    def new_token(self, locator: str) -> str:
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
        wanted = _SCOPE.fullmatch(scope)
        for one in self.emulator.tenants if wanted else ():
            number = one["locator"].strip("/").split("/")[-1]
            if wanted and wanted[1] in (one["id"], number if self.variants.numeric_tenant else ""):
                return str(one["locator"])
        return None

    def tenant(self, locator: str) -> dict[str, Any]:
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
    by_locator = {}
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


def _app(store: _Store) -> "flask.Flask":
    import flask

    app = flask.Flask("activitykit.demo")
    api = "/api/task_manager/v2"
    app.add_url_rule("/api/2/idp/token", "token", lambda: _token(store), methods=["POST"])
    app.add_url_rule(f"{api}/<any(activities,tasks):kind>", "list", lambda kind: _list(store, kind))
    app.add_url_rule(
        f"{api}/<any(activities,tasks):kind>/<number>",
        "one",
        lambda kind, number: _one(store, kind, number),
    )
    app.add_url_rule("/api/2/clients/<client>", "client", lambda client: _client(store, client))
    app.add_url_rule("/api/2/tenants", "tenants", lambda: _tenants(store))
    app.add_url_rule("/api/2/tenants/<tenant>", "tenant", lambda tenant: _tenants(store, tenant))

    @app.after_request
    def note(response: flask.Response) -> flask.Response:
        request = flask.request
        status = response.status_code if not response.headers.pop("X-Cut", None) else 0
        store.emulator.requests.append((request.method, request.full_path, status))
        return response

    return app


def _json(reply: object, status: int = 200, **headers: str) -> "flask.Response":
    import flask

    body = reply if isinstance(reply, bytes) else msgspec.json.encode(reply)
    return flask.Response(body, status, headers, content_type="application/json; charset=utf-8")


def _refusal(
    store: _Store, status: int, text: str, *, domain: str = "TaskManager", code: str = "BadRequest",
    **headers: str,
) -> "flask.Response":  # fmt: skip
    """Give the flat error of the Task Manager; its domain and code are made up."""
    error: dict[str, Any] = {"domain": domain, "code": code, "reason": code, "context": {}}
    place = store.variants.error_text
    if place == "reason":
        error["reason"] = text
    else:
        error[place] = {"msg": text}
    return _json(error, status, **headers)


def _token(store: _Store) -> "flask.Response":
    import flask

    form, signed = flask.request.form, flask.request.authorization
    grant, scope = form.get("grant_type"), form.get("scope")
    credentials = store.emulator.client_id, store.emulator.client_secret
    by_secret = bool(signed) and (signed.username, signed.password) == credentials
    by_token = bool(signed) and store.scope_of(signed.token) is not None

    def refuse(status: int, error: str, why: str) -> flask.Response:
        return _json({"error": error, "error_description": why}, status)

    if not by_secret and not (by_token and grant == _EXCHANGE):
        return refuse(401, "invalid_client", "client authentication failed")
    if grant == "client_credentials":
        held, allowed = store.emulator.tenants[0]["locator"], store.variants.direct_scope
    elif grant == _EXCHANGE:
        held = store.scope_of(form.get("assertion")) or ""
        way = "basic" if by_secret else "bearer"
        allowed = bool(held) and bool(scope) and store.variants.exchange in ("both", way)
    else:
        return refuse(400, "unsupported_grant_type", f"cannot grant {grant}")
    if scope and not allowed:
        return refuse(403, "access_denied", "the requested scope is not allowed")
    locator = store.locator_of(scope) if scope else held
    if not allowed and grant == _EXCHANGE:
        return refuse(403, "access_denied", "the requested scope is not allowed")
    if locator is None or not locator.startswith(held):
        return refuse(400, "invalid_scope", "no such tenant")
    lifetime = store.variants.lifetime_s
    expiry = {"on": {"expires_on": int(time.time() + lifetime)}, "in": {"expires_in": lifetime}}
    stated = ("on", "in") if store.variants.expiry == "both" else (store.variants.expiry,)
    reply = {"access_token": store.new_token(locator), "token_type": "bearer", "id_token": ""}
    for one in stated:
        reply |= expiry.get(one, {})
    return _json(reply)


def _list(store: _Store, kind: str) -> "flask.Response":
    import flask

    fault, faults = store.next_fault(), store.faults
    args = list(flask.request.args.items(multi=True))
    first = not any(key == "after" for key, _ in args)
    store.closed.wait(faults.delay_s + (faults.first_delay_s if first else 0))
    early = _early_fault(store, fault)
    if early is not None:
        return early
    locator = store.scope_of(_presented())
    if locator is None:
        return _refusal(store, 401, "token is missing, wrong or expired", domain="Access",
                        code="Unauthorized")  # fmt: skip
    try:
        body = _page(store, kind, locator, args, fault)
    except QueryError as error:
        return _refusal(store, 400, str(error))
    return _late_fault(_compressed(store, _json(body)), fault)


def _presented() -> str | None:
    import flask

    signed = flask.request.authorization
    return signed.token if signed and signed.type == "bearer" else None


def _early_fault(store: _Store, fault: str) -> "flask.Response | None":
    """Misbehave instead of answering."""
    import flask

    retry_after = {"Retry-After": str(store.faults.retry_after_s)}
    if fault.endswith("-date"):
        moment = datetime.now(UTC) + timedelta(seconds=store.faults.retry_after_s)
        retry_after["Retry-After"] = format_datetime(moment, usegmt=True)
    status = fault.removesuffix("-date")
    if status == "401":
        store.tokens.pop(_presented() or "", None)
    elif status in ("429", "503"):
        return _refusal(store, int(status), "slow down", code="TooManyRequests", **retry_after)
    elif status.isdigit():
        return _refusal(store, int(status), f"fault {status} as told", code="Fault")
    elif fault == "hang":
        store.closed.wait(5)
    elif fault == "html":
        page = "<!DOCTYPE html><html><body>Maintenance</body></html>"
        return flask.Response(page, content_type="text/html")
    elif fault == "garbage":
        return _json(b'{"items": [{"id": 12345, "ty')
    elif fault == "no-items":
        return _json({"size": 0, "timeStamp": f"{time.time_ns()}ns"})
    elif fault == "mutate":
        store.mutate()
    elif fault == "late" and store.late < len(store.faults.late):
        store.put([store.faults.late[store.late]])
        store.late += 1
    return None


def _late_fault(response: "flask.Response", fault: str) -> "flask.Response":
    """Break the connection off, before or in the middle of the answer."""
    import flask

    if fault not in ("reset", "truncate"):
        return response
    body, line = response.get_data(), flask.request.environ["werkzeug.socket"]

    def cut() -> Iterator[bytes]:
        if fault == "truncate":
            yield body[: len(body) // 2]
        else:
            # closing at once, without the polite farewell, sends a reset
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError

    headers = {**response.headers, "Content-Length": str(len(body)), "X-Cut": "1"}
    return flask.Response(cut(), 200, headers)


def _compressed(store: _Store, response: "flask.Response") -> "flask.Response":
    import flask

    if store.variants.gzip and "gzip" in flask.request.headers.get("Accept-Encoding", ""):
        response.set_data(gzip.compress(response.get_data(), compresslevel=1))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _page(
    store: _Store, kind: str, locator: str, args: Sequence[tuple[str, str]], fault: str
) -> bytes:
    """Answer a list request.

    Raises
    ------
    QueryError
        When a parameter is unknown or cannot be read.
    """
    variants = store.variants
    lod, limit, after, order, pairs = _read_query(args, variants)
    with store.lock:
        table = store.tables[kind]
        last = None
        if after is not None:
            pairs, order, last = read_cursor(after)
        else:
            order = table.checked_order(order)
        mask = table.select(pairs, variants.operators) & store.sees(kind, locator)
        if lod == "count" and variants.count != "ignore":
            return _count_reply(int(mask.sum()), variants)
        rows, key = table.page(mask, order, limit + 1, last)
        more, rows = len(rows) > limit, rows[:limit]
        items = store.bytes_of(kind, rows)
        key = table.key_at(order, rows[-1]) if rows else key
    token = None
    if variants.token == "always" or more or (variants.token == "full" and len(rows) == limit):
        token = after if fault == "repeat" and after else make_cursor(pairs, order, key)
    tail = {"size": len(rows), "timeStamp": f"{time.time_ns()}ns", **_paging(token, variants)}
    return b'{"items":[' + items + b"]," + msgspec.json.encode(tail)[1:]


def _read_query(args: Sequence[tuple[str, str]], variants: Variants) -> Any:  # noqa: ANN401
    control: dict[str, str] = {}
    order, pairs = [], []
    for key, value in args:
        if key == "order":
            order.append(value)
        elif key not in ("lod", "limit", "after", "allow_deleted"):
            pairs.append((key, value))
        elif key in control:
            raise QueryError(f"field '{key}' must be single")
        else:
            control[key] = value
    lod, after = control.get("lod"), control.get("after")
    if lod is not None and lod not in LODS:
        raise QueryError(f"bad value '{lod}' on field 'lod'")
    if control.get("allow_deleted", "true") not in ("true", "false"):
        raise QueryError("bad boolean on field 'allow_deleted'")
    limit = control.get("limit", str(variants.default_limit))
    if not re.fullmatch(r"[1-9]\d{0,5}", limit, re.ASCII):
        raise QueryError(f"bad value '{limit}' on field 'limit'")
    if after is not None and variants.with_after == "refuse" and (pairs or order):
        raise QueryError("only 'limit' can be used together with 'after'")
    if after is not None and not variants.after_alone and "limit" not in control:
        raise QueryError("'after' can be used only together with 'limit'")
    if not variants.interval:
        bounded = [key for key, value in pairs if re.match(r"(gt|ge|lt|le)\(", value)]
        if len(bounded) > len(set(bounded)):
            raise QueryError("a time field takes a single entry")
    return lod, min(int(limit), variants.max_limit or int(limit)), after, order, pairs


def _count_reply(total: int, variants: Variants) -> bytes:
    if variants.count == "refuse":
        raise QueryError("bad value 'count' on field 'lod'")
    items = {"empty": {"items": []}, "null": {"items": None}}.get(variants.count, {})
    return msgspec.json.encode({**items, "size": total, "timeStamp": f"{time.time_ns()}ns"})


def _paging(token: str | None, variants: Variants) -> dict[str, Any]:
    ends: dict[str, dict[str, Any] | None] = {
        "missing": None, "empty": {}, "null": {"after": None}, "blank": {"after": ""},
    }  # fmt: skip
    cursors = {"after": token} if token else ends[variants.end]
    if cursors is None:
        return {}
    return (
        {"paging": {"cursors": cursors}} if variants.cursors == "paging" else {"cursors": cursors}
    )


def _one(store: _Store, kind: str, number: str) -> "flask.Response":
    import flask

    locator = store.scope_of(_presented())
    if locator is None:
        return _refusal(store, 401, "token is missing, wrong or expired", code="Unauthorized")
    unknown = set(flask.request.args) - {"lod", "allow_deleted"}
    if unknown:
        return _refusal(store, 400, f"bad condition field '{min(unknown)}'")
    seen = store.sees(kind, locator)
    for row, item in enumerate(store.tables[kind].items):
        named = str(item["id"]) == number or (
            store.variants.uuid_in_path and item.get("uuid") == number
        )
        if named and seen[row]:
            return _json(store.bytes_of(kind, [row]))
    return _refusal(store, 404, f"{kind} {number} not found", code="NotFound")


def _client(store: _Store, client: str) -> "flask.Response":
    if store.scope_of(_presented()) is None:
        return _wrapped(401, "Unauthorized")
    if client != store.emulator.client_id:
        return _wrapped(404, "NotFound")
    return _json({"client_id": client, "tenant_id": store.emulator.tenants[0]["id"]})


def _tenants(store: _Store, tenant: str | None = None) -> "flask.Response":
    import flask

    locator = store.scope_of(_presented())
    if locator is None:
        return _wrapped(401, "Unauthorized")
    seen = [one for one in store.emulator.tenants if one["locator"].startswith(locator)]
    shown = [{key: value for key, value in one.items() if key != "locator"} for one in seen]
    if tenant is None:
        parent, limit = (flask.request.args.get(key) for key in ("parent_id", "limit"))
        start, size = int(flask.request.args.get("after", 0)), int(limit or 100)
        below = [one for one in shown if one["parent_id"] == parent]
        after = {"after": str(start + size)} if start + size < len(below) else {}
        reply = {"items": below[start : start + size], "paging": {"cursors": after}}
        return _json(reply)
    found = [one for one in shown if one["id"] == tenant]
    return _json(found[0]) if found else _wrapped(404, "NotFound")


def _wrapped(status: int, code: str) -> "flask.Response":
    """Give the wrapped error of the account API."""
    error = {"code": code, "domain": "Platform", "message": f"{code} as told", "details": {}}
    return _json({"error": error}, status)
