"""`Client`: activities and tasks of the Task Manager API, exact and complete or with an error."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import msgspec

from activitykit.client.auth import Secret, owner_of, secret_in_keyring
from activitykit.client.transport import MAX_CONNECTIONS, Params, Transport
from activitykit.client.walk import Listing, Page, side_by_side
from activitykit.client.windows import window_queries
from activitykit.errors import ApiError, BadQueryError, ConfigError, IncompleteError
from activitykit.filters import Filter
from activitykit.progress import bar

Lod = Literal["tiny", "short", "long", "full", "debug"]
Plan = tuple[int | None, Iterator[Page]]
"""How many rows there will be, if known, and the pages to come."""

_API: Final = "/api/task_manager/v2"
_WHERE_CREDENTIALS: Final = (
    "Create an API client in the management console under Settings > API clients and use its"
    " id and secret"
)
# what clients in the field ask for without trouble
_SAFE_PAGE_SIZE: Final = 100
# what /activities knows and /tasks does not
_NOT_OF_TASKS: Final = frozenset({"taskId", "parentActivityId", "sustainable"})

_log = logging.getLogger("activitykit")
_read_any = msgspec.json.Decoder().decode


class _Items(msgspec.Struct):
    items: list[dict[str, Any]]


_read_items = msgspec.json.Decoder(_Items).decode


class Client:
    """Access to the activities of one data centre, for one API client.

    Parameters
    ----------
    base_url
        Data centre, such as ``https://eu2-cloud.acronis.com``. Plain HTTP only to this machine.
    client_id, client_secret
        API client of the account. Its role must include the task manager viewer.
    token
        A ready-made access token instead of id and secret; it cannot be renewed.
    tenant
        UUID of a customer tenant to which the access is narrowed; None for all that the API
        client sees.
    timeout
        Seconds to wait for an answer. First pages of large partners can take minutes.

    Raises
    ------
    ConfigError
        When credentials are missing or contradict each other, or the URL cannot be used.

    Examples
    --------
    >>> Client("https://eu2-cloud.acronis.com", client_id="5e2a…", client_secret="never shown")
    Client('https://eu2-cloud.acronis.com', client_id='5e2a…')
    """

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        token: str | None = None,
        tenant: str | None = None,
        timeout: float = 300.0,
    ) -> None:
        secret, given = Secret(client_secret or ""), Secret(token or "")
        # a traceback that shows local variables would show these
        del client_secret, token
        if bool(given) == bool(client_id and secret):
            raise ConfigError(
                f"give client_id and client_secret, or else a token. {_WHERE_CREDENTIALS}."
            )
        for one in (secret, given):
            one.check()
        self._transport = Transport(
            base_url,
            client_id=client_id,
            client_secret=secret or None,
            token=given or None,
            tenant=tenant,
            timeout=timeout,
        )
        self._client_id, self._tenant = client_id, tenant
        self._given = given
        # what the service was seen to refuse: two bounds on one field, larger pages
        self._one_sided, self._largest_page = False, sys.maxsize
        # and to give or count windows, for loads without and with a bound
        self._windowless: set[bool] = set()

    @classmethod
    def from_env(cls) -> Self:
        """Make a client from the environment.

        Reads ``ACRONIS_BASE_URL``, ``ACRONIS_CLIENT_ID``, ``ACRONIS_CLIENT_SECRET`` and, if set,
        ``ACRONIS_TENANT``. Without the secret it is looked up in the system's keyring (service
        ``activitykit``, user name the client id), if the package ``keyring`` is installed.

        Raises
        ------
        ConfigError
            Naming all that is missing.
        """
        base_url, client_id, tenant = (
            os.environ.get(f"ACRONIS_{name}", "") for name in ("BASE_URL", "CLIENT_ID", "TENANT")
        )
        secret = Secret(os.environ.get("ACRONIS_CLIENT_SECRET", ""))
        if client_id and not secret:
            secret = Secret(secret_in_keyring(client_id) or "")
        values = {"BASE_URL": base_url, "CLIENT_ID": client_id, "CLIENT_SECRET": secret}
        missing = [f"ACRONIS_{name}" for name, value in values.items() if not value]
        if missing:
            raise ConfigError(
                f"environment variable(s) not set: {', '.join(missing)}. {_WHERE_CREDENTIALS};"
                " ACRONIS_BASE_URL is the address of the console, such as"
                " https://eu2-cloud.acronis.com"
            )
        return cls(
            base_url, client_id=client_id, client_secret=secret.reveal(), tenant=tenant or None
        )

    @property
    def base_url(self) -> str:
        """Scheme and host of the data centre."""
        return self._transport.base_url

    def __repr__(self) -> str:
        who = f"client_id={self._client_id!r}" if self._client_id else "token=***"
        tenant = f", tenant={self._tenant!r}" if self._tenant else ""
        return f"Client({self.base_url!r}, {who}{tenant})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def pages(
        self,
        where: Filter | None = None,
        *,
        workers: int = 4,
        page_size: int = 1000,
        lod: Lod | None = None,
        progress: bool = False,
    ) -> Iterator[bytes]:
        """Yield the body of each page of activities, as JSON text.

        The pages hold all activities that match, and may hold others: the service cannot apply
        every condition. `Filter.select` or `Filter.matches` makes the exact cut.

        Parameters
        ----------
        where
            What to load; everything by default.
        workers
            Up to how many requests are under way at a time, 1 to 64. A load of several pages is
            cut into windows of ``createdAt``, so the order of the pages varies.
        page_size
            Rows asked for a page; 100 where the service refuses that many.
        lod
            Level of detail; the service's own default is a full one.
        progress
            Show a bar when it takes longer than a second.

        Raises
        ------
        IncompleteError
            When the walk broke off, after the pages that did arrive.
        ApiError
            When not even one page arrived.
        """
        if not 1 <= workers <= MAX_CONNECTIONS:
            raise ConfigError(f"workers={workers}; choose 1 to {MAX_CONNECTIONS}")
        listing = self._listing("activities", page_size, lod)
        plan = partial(self._plan, where or Filter(), listing, workers, counted=progress)
        return _honest(plan, "activities", shown=progress)

    def _plan(self, where: Filter, listing: Listing, workers: int, *, counted: bool) -> Plan:
        listing, params, first = self._first_page(listing, where.params())
        if first[1].after is None:
            return None, listing.walk(params, first)
        windows, rows = self._windows(listing, where, params, first, workers)
        if windows:
            # the rows of the first page lie in the windows too, so it is left out
            jobs = [partial(listing.walk, query, None) for query in windows]
        else:
            jobs = [partial(listing.walk, params, first)]
            rows = _count(listing, params) if counted else None
        return rows, side_by_side(jobs, workers, self._transport.abort)

    def _windows(
        self, listing: Listing, where: Filter, params: Params, first: Page, workers: int
    ) -> tuple[list[Params], int | None]:
        bounded = where.on == "createdAt" and (where.since or where.until) is not None
        if workers == 1 or self._one_sided or bounded in self._windowless:
            return [], None
        try:
            windows, rows = window_queries(listing, where, params, first[1].items or [], workers)
        except BadQueryError:
            self._windowless.add(bounded)
            return [], None
        except ApiError as error:
            _log.debug("no parallel windows: %s", error)
            return [], None
        return windows, rows or None

    def _listing(self, name: str, page_size: int = 1000, lod: Lod | None = None) -> Listing:
        return Listing(
            transport=self._transport,
            path=f"{_API}/{name}",
            page_size=page_size,
            extra=(("lod", lod),) if lod else (),
        )

    def _first_page(self, listing: Listing, params: Params) -> tuple[Listing, Params, Page]:
        """Send a query; when refused, without its upper bounds or for smaller pages."""
        size = min(listing.page_size, self._largest_page)
        whole = tuple(params)
        wider = tuple((key, value) for key, value in params if not value.startswith("lt("))
        queries = (wider,) if self._one_sided else (whole, wider)
        ways = [(n, query) for n in (size, min(size, _SAFE_PAGE_SIZE)) for query in queries]
        refused: list[BadQueryError] = []
        for number, query in dict.fromkeys(ways):
            sized = replace(listing, page_size=number)
            try:
                page = sized.first(query)
            except BadQueryError as error:
                refused.append(error)
                continue
            if refused:
                _log.debug("%s: asking for %d rows by %s", refused[0], number, query)
                self._one_sided |= query != whole
                self._largest_page = number
            return sized, query, page
        raise refused[0]

    def activities(
        self,
        where: Filter | None = None,
        *,
        workers: int = 4,
        page_size: int = 1000,
        lod: Lod | None = None,
        progress: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Yield the activities that match, each once, as the service sent them.

        Integers are exact. The order is that of arrival. Parameters and errors are those of
        `pages`.
        """
        where = where or Filter()
        pages = self.pages(where, workers=workers, page_size=page_size, lod=lod, progress=progress)
        return _distinct(pages, where.matches)

    def tasks(
        self, where: Filter | None = None, *, page_size: int = 1000, lod: Lod | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the tasks that match, each once, as the service sent them.

        A task has no ``createdAt``: a filter on it counts from ``enqueuedAt``. Its condition on
        ``task`` means the task's own id.

        Raises
        ------
        IncompleteError
            When the walk broke off, after the tasks that did arrive.
        """
        where = where or Filter()
        listing = self._listing("tasks", page_size, lod)
        params = [
            ("enqueuedAt" if key == "createdAt" else key, value)
            for key, value in where.params()
            if key not in _NOT_OF_TASKS
        ]

        def plan() -> Plan:
            sized, query, first = self._first_page(listing, params)
            return None, sized.walk(query, first)

        def matches(task: Mapping[str, Any]) -> bool:
            return where.matches(
                {**task, "createdAt": task.get("enqueuedAt"), "taskId": task.get("id")}
            )

        return _distinct(_honest(plan, "tasks", shown=False), matches)

    def activity(self, id: int | str) -> dict[str, Any]:  # noqa: A002 - the field's name
        """Fetch one activity by its id."""
        return self._one("activities", id)

    def task(self, id: int | str) -> dict[str, Any]:  # noqa: A002
        """Fetch one task by its id."""
        return self._one("tasks", id)

    def _one(self, kind: str, number: int | str) -> dict[str, Any]:
        found = self.get(f"/{kind}/{quote(str(number), safe='')}")
        if not isinstance(found, dict):
            raise ApiError(f"/{kind}/{number} answered with {type(found).__name__}, no object")
        return found

    def count(self, where: Filter | None = None) -> int:
        """Count the activities that match, without loading them where the service can count.

        Conditions that the service cannot apply are applied here, which loads the activities.
        """
        where = where or Filter()
        if where.sent_whole():
            rows = _count(self._listing("activities"), where.params())
            if rows is not None:
                return rows
        return sum(1 for _ in self.activities(where))

    def tenants(self) -> list[dict[str, Any]]:
        """List the tenants whose activities the token sees, from the account API.

        Returns
        -------
        list of dict
            As the account API describes them (``id``, ``name``, ``kind``, ``parent_id``, …), the
            own tenant first; units inside of customers are not listed.
        """
        found = [self.get(f"/api/2/tenants/{self.own_tenant()}")]
        children = Listing(
            transport=self._transport, path="/api/2/tenants", page_size=_SAFE_PAGE_SIZE, order=()
        )
        for tenant in found:
            if tenant.get("kind") not in ("customer", "unit"):
                for body, _ in children.walk([("parent_id", str(tenant["id"]))]):
                    found += _read_items(body).items
        return found

    def own_tenant(self) -> str:
        """Give the UUID of the tenant whose activities this client sees, with all below it."""
        if self._tenant:
            return self._tenant
        if self._given:
            return owner_of(self._given)
        return str(self.get(f"/api/2/clients/{self._client_id}")["tenant_id"])

    def get(self, path: str, params: Mapping[str, object] | Params = ()) -> Any:  # noqa: ANN401
        """Send one GET request and decode the JSON of its answer.

        Parameters
        ----------
        path
            Below ``/api/task_manager/v2``, such as ``/activities``; or from ``/api/`` on.
        params
            Query parameters; a list of values repeats its key.
        """
        pairs = params.items() if isinstance(params, Mapping) else params
        query = [
            (key, str(one))
            for key, value in pairs
            for one in (value if isinstance(value, list | tuple) else [value])
        ]
        full = path if path.startswith("/api/") else f"{_API}/{path.lstrip('/')}"
        return self._transport.get(full, query, _read_any)[1]


def _count(listing: Listing, params: Params) -> int | None:
    try:
        return listing.count(params)
    except BadQueryError:
        return None


def _honest(plan: Callable[[], Plan], what: str, *, shown: bool) -> Iterator[bytes]:
    """Yield the bodies; when the walk breaks off after the first, say that it is incomplete."""
    count = rows = 0
    try:
        total, pages = plan()
        with bar(what, unit=" rows", total=total, shown=shown) as so_far:
            for body, envelope in pages:
                count, rows = count + 1, rows + len(envelope.items or ())
                so_far.update(len(envelope.items or ()))
                yield body
    except ApiError as error:
        if count == 0 or isinstance(error, IncompleteError):
            raise
        raise IncompleteError(
            f"the load broke off after {rows} rows on {count} pages: {error}",
            method=error.method, url=error.url, status=error.status, reason=error.reason,
            attempts=error.attempts,
        ) from error  # fmt: skip


def _distinct(
    pages: Iterator[bytes], matches: Callable[[Mapping[str, Any]], bool]
) -> Iterator[dict[str, Any]]:
    seen = set()
    for body in pages:
        for item in _read_items(body).items:
            number = item.get("id")
            if matches(item) and (number is None or number not in seen):
                seen.add(number)
                yield item
