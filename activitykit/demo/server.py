"""`serve`: the emulated Task Manager service, over real HTTP on this machine.

It speaks the documented contract strictly. `Variants` switches what the documentation leaves open,
`Faults` makes it misbehave, by script or by chance.
"""

import gzip
import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from activitykit.demo.behaviour import Faults, Variants
from activitykit.demo.query import LODS, QueryError, make_cursor, read_cursor
from activitykit.demo.store import Emulator, Store
from activitykit.errors import ConfigError

if TYPE_CHECKING:
    import flask

_CONTROL: Final = {
    "lod": "|".join(LODS),
    "limit": r"[1-9]\d{0,5}",
    "after": ".*",
    "allow_deleted": "true|false",
}
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


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
    store = Store(items, variants or Variants(), faults or Faults(), (client_id, client_secret))
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


def _app(store: Store) -> "flask.Flask":
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
    store: Store, status: int, text: str, *, domain: str = "TaskManager", code: str = "BadRequest",
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


def _token(store: Store) -> "flask.Response":
    """Grant a token by secret, or a narrower one in exchange for a token."""
    import flask

    form, signed = flask.request.form, flask.request.authorization
    pair = (signed.username, signed.password) if signed else None
    by_secret = pair == (store.emulator.client_id, store.emulator.client_secret)
    by_token = signed is not None and store.scope_of(signed.token) is not None
    grant, scope = form.get("grant_type"), form.get("scope")
    held: str | None = store.emulator.tenants[0]["locator"]
    allowed = store.variants.direct_scope or not scope
    if grant == _EXCHANGE:
        held = store.scope_of(form.get("assertion"))
        way = "basic" if by_secret else "bearer"
        allowed = held is not None and store.variants.exchange in ("both", way)
    if not by_secret and not (by_token and grant == _EXCHANGE):
        return _oauth_error(401, "invalid_client", "client authentication failed")
    if grant not in ("client_credentials", _EXCHANGE):
        return _oauth_error(400, "unsupported_grant_type", f"cannot grant {grant}")
    if not allowed:
        return _oauth_error(403, "access_denied", "the requested scope is not allowed")
    locator = store.locator_of(scope) if scope else held
    if locator is None or not locator.startswith(held or ""):
        return _oauth_error(400, "invalid_scope", "no such tenant")
    return _json(_granted(store, locator))


def _oauth_error(status: int, error: str, why: str) -> "flask.Response":
    return _json({"error": error, "error_description": why}, status)


def _granted(store: Store, locator: str) -> dict[str, Any]:
    lifetime, expiry = store.variants.lifetime_s, store.variants.expiry
    reply: dict[str, Any] = {"token_type": "bearer", "id_token": ""}
    reply["access_token"] = store.new_token(locator)
    if expiry in ("both", "on"):
        reply["expires_on"] = int(time.time() + lifetime)
    if expiry in ("both", "in"):
        reply["expires_in"] = lifetime
    return reply


def _list(store: Store, kind: str) -> "flask.Response":
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


def _early_fault(store: Store, fault: str) -> "flask.Response | None":
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
    elif fault == "mutate":
        store.mutate()
    elif fault == "late":
        store.add_late()
    bodies = {
        "html": b"<!DOCTYPE html><html><body>Maintenance</body></html>",
        "garbage": b'{"items": [{"id": 12345, "ty',
        "no-items": b'{"size": 0}',
    }
    content_type = "text/html" if fault == "html" else "application/json"
    return flask.Response(bodies[fault], content_type=content_type) if fault in bodies else None


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


def _compressed(store: Store, response: "flask.Response") -> "flask.Response":
    import flask

    if store.variants.gzip and "gzip" in flask.request.headers.get("Accept-Encoding", ""):
        response.set_data(gzip.compress(response.get_data(), compresslevel=1))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _page(
    store: Store, kind: str, locator: str, args: Sequence[tuple[str, str]], fault: str
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
    if (
        variants.next_page == "always"
        or more
        or (variants.next_page == "full" and len(rows) == limit)
    ):
        token = after if fault == "repeat" and after else make_cursor(pairs, order, key)
    tail = {"size": len(rows), "timeStamp": f"{time.time_ns()}ns", **_paging(token, variants)}
    return b'{"items":[' + items + b"]," + msgspec.json.encode(tail)[1:]


def _read_query(args: Sequence[tuple[str, str]], variants: Variants) -> Any:  # noqa: ANN401
    """Read level of detail, limit, token, order and conditions."""
    control = {key: value for key, value in args if key in _CONTROL}
    order = [value for key, value in args if key == "order"]
    pairs = [(key, value) for key, value in args if key not in _CONTROL and key != "order"]
    if len(control) + len(order) + len(pairs) < len(args):
        raise QueryError("a parameter that must be single is repeated")
    for key, value in control.items():
        if not re.fullmatch(_CONTROL[key], value, re.ASCII):
            raise QueryError(f"bad value '{value}' on field '{key}'")
    after = control.get("after")
    if after is not None:
        _check_continuation(variants, alone=not (pairs or order), limited="limit" in control)
    bounded = [key for key, value in pairs if re.match(r"(gt|ge|lt|le)\(", value)]
    if not variants.interval and len(bounded) > len(set(bounded)):
        raise QueryError("a time field takes a single entry")
    limit = int(control.get("limit", variants.default_limit))
    most = variants.max_limit or limit
    if limit > most and variants.over_limit == "refuse":
        raise QueryError(f"bad value '{limit}' on field 'limit'")
    return control.get("lod"), min(limit, most), after, order, pairs


def _check_continuation(variants: Variants, *, alone: bool, limited: bool) -> None:
    if variants.with_after == "refuse" and not alone:
        raise QueryError("only 'limit' can be used together with 'after'")
    if not variants.after_alone and not limited:
        raise QueryError("'after' can be used only together with 'limit'")


def _count_reply(total: int, variants: Variants) -> bytes:
    if variants.count == "refuse":
        raise QueryError("bad value 'count' on field 'lod'")
    items: dict[str, dict[str, Any]] = {"empty": {"items": []}, "null": {"items": None}}
    return msgspec.json.encode(
        {**items.get(variants.count, {}), "size": total, "timeStamp": f"{time.time_ns()}ns"}
    )


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


def _one(store: Store, kind: str, number: str) -> "flask.Response":
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


def _client(store: Store, client: str) -> "flask.Response":
    if store.scope_of(_presented()) is None:
        return _wrapped(401, "Unauthorized")
    if client != store.emulator.client_id:
        return _wrapped(404, "NotFound")
    return _json({"client_id": client, "tenant_id": store.emulator.tenants[0]["id"]})


def _tenants(store: Store, tenant: str | None = None) -> "flask.Response":
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
