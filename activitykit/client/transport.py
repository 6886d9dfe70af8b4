"""Requests to one service: token, patience, errors. Knows nothing of activities.

Every request goes through `Transport.get`: it signs, sends, reads the body in one piece, decodes
it, and tries again while a failure may pass. Threads share one token and one gate: a service that
asks for fewer requests is heeded by all of them.
"""

import ipaddress
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
import urllib3
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_random,
)

from activitykit.client.auth import Secret, Sign, Tokens, bearer_of, is_token
from activitykit.client.sockets import AbortableAdapter
from activitykit.errors import ApiError, AuthError, BadQueryError, ConfigError, RateLimitError

Params = Sequence[tuple[str, str]]
T = TypeVar("T")

MAX_CONNECTIONS: Final = 64
_ATTEMPTS, _FIRST_ATTEMPTS, _PATIENCE_S = 8, 3, 900.0
_BACKOFF: Final = wait_exponential(multiplier=0.5, max=30) + wait_random(0, 1)
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOKEN_PATH: Final = "/api/2/idp/token"  # noqa: S105 - a path
_LONGEST_REASON, _RENEWALS = 300, 2

_log = logging.getLogger("activitykit")
_log.addHandler(logging.NullHandler())


class Stopped(Exception):  # noqa: N818 - not a failure: the walk was told to stop
    """Raised in a worker whose walk was broken off."""


class Failure(Exception):  # noqa: N818 - turned into an ApiError before anyone sees it
    """One request that came to nothing: what is known about it, and whether it may pass."""

    def __init__(
        self, method: str, url: str, reason: str, *, status: int | None = None,
        passing: bool = False, wait_s: float = 0.0, advice: str = "",
    ) -> None:  # fmt: skip
        super().__init__(reason)
        self.method, self.url, self.reason, self.advice = method, url, reason, advice
        self.status, self.passing, self.wait_s = status, passing, wait_s

    def as_error(self, attempts: int) -> ApiError:
        """Give the error of the public tree, with what to do about it."""
        kind, advice = _KINDS.get(self.status or 0, (ApiError, self.advice))
        if self.status is None:
            advice = advice or "Check the base URL, the network and the proxy settings."
        elif self.passing and not advice:
            advice = "The service has a problem; try again later."
        if self.wait_s:
            advice += f" It asks to wait {self.wait_s:.0f} s."
        tried = f" ({attempts} attempts)" if attempts > 1 else ""
        answer = f"HTTP {self.status}: " if self.status else ""
        said = self.reason.rstrip(".")
        return kind(
            f"{self.method} {self.url}: {answer}{said}{tried}. {advice}".rstrip(),
            method=self.method,
            url=self.url,
            status=self.status,
            reason=self.reason,
            attempts=attempts,
        )


class _Passing(Failure):
    """A failure that may pass."""


_KINDS: Final[Mapping[int, tuple[type[ApiError], str]]] = {
    400: (BadQueryError, ""),
    401: (
        AuthError,
        "Check client id and secret, and that the base URL is that of their own data centre.",
    ),
    403: (AuthError, "The API client's role may not read this; it needs the task manager viewer."),
    429: (RateLimitError, "Try later, or with fewer workers."),
}


class Transport:
    """Signed, patient GET requests to one data centre.

    Parameters
    ----------
    base_url
        Data centre, such as ``https://eu2-cloud.acronis.com``.
    client_id, client_secret
        API client; or, instead of both, a ready-made ``token``.
    tenant
        UUID of the tenant to which the token is narrowed, or None.
    timeout
        Seconds to wait for an answer, and for each further piece of it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str | None,
        client_secret: Secret | None,
        token: Secret | None,
        tenant: str | None,
        timeout: float,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self._timeout = (min(10.0, timeout), timeout)
        self._tokens = Tokens(
            self._post_form,
            client_id=client_id,
            client_secret=client_secret,
            given=token,
            tenant=tenant,
        )
        self._gate_opens_at = 0.0
        self._reached = False
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        # a proxy from the environment would never reach a service on this machine
        self._session.trust_env = not _is_loopback(self.base_url)
        self._adapter = AbortableAdapter(pool_maxsize=MAX_CONNECTIONS)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self._adapter)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._session.close()

    def abort(self) -> None:
        """Cut every connection, so that threads which wait for an answer return at once."""
        self._adapter.abort()

    def get(
        self,
        path: str,
        params: Params,
        decode: Callable[[bytes], T],
        *,
        stop: threading.Event | None = None,
    ) -> tuple[bytes, T]:
        """Fetch one body and decode it; a body that cannot be decoded is fetched again.

        Raises
        ------
        ApiError
            When the service refused, or its failures outlasted the patience.
        Stopped
            When ``stop`` was set meanwhile.
        """
        stop = stop or threading.Event()

        def attempt() -> tuple[bytes, T]:
            token = self._tokens.get(stop)
            response, body = self._send("GET", path, params, sign=bearer_of(token))
            for _ in range(_RENEWALS if self._tokens.renewable else 0):
                if response.status_code != 401:
                    break
                # expired, or revoked, in mid-walk; a thread beside us may meet the same
                token = self._tokens.get(stop, stale=token)
                response, body = self._send("GET", path, params, sign=bearer_of(token))
            self._check(response, body)
            return body, self._decoded(response, body, decode)

        return self._patiently(attempt, stop)

    def _patiently(self, attempt: Callable[[], T], stop: threading.Event) -> T:
        def pause(seconds: float) -> None:
            if stop.wait(seconds):
                raise Stopped

        def gated() -> T:
            pause(max(0.0, self._gate_opens_at - time.monotonic()))
            return attempt()

        def enough(state: RetryCallState) -> bool:
            most = _ATTEMPTS if self._reached else _FIRST_ATTEMPTS
            return stop_after_attempt(most)(state) or stop_before_delay(_PATIENCE_S)(state)

        retrying = Retrying(
            retry=retry_if_exception_type(_Passing),
            stop=enough,
            wait=_wait,
            sleep=pause,
            before_sleep=self._slow_all_down,
        )
        try:
            return retrying(gated)
        except RetryError as gave_up:
            failure, attempts = (
                gave_up.last_attempt.exception(),
                gave_up.last_attempt.attempt_number,
            )
        except Failure as refused:
            failure, attempts = refused, 1
        if stop.is_set():
            raise Stopped
        raise failure.as_error(attempts) if isinstance(failure, Failure) else RuntimeError(failure)

    def _slow_all_down(self, state: RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        wait_s = state.next_action.sleep if state.next_action else 0.0
        _log.debug("%s; trying again in %.1f s", failure, wait_s)
        if isinstance(failure, Failure) and failure.status in (429, 503):
            self._gate_opens_at = max(self._gate_opens_at, time.monotonic() + wait_s)

    def _send(
        self, method: str, path: str, params: Params, *, sign: Sign
    ) -> tuple[requests.Response, bytes]:
        url = self.shown(path, params)
        started = time.perf_counter()
        try:
            with self._session.request(
                method, self.base_url + path, params=list(params), auth=sign,
                timeout=self._timeout, stream=True, allow_redirects=False,
            ) as response:  # fmt: skip
                # one read of the raw stream; `response.content` goes in pieces of 10 kB
                body: bytes = response.raw.read(decode_content=True)
        except requests.exceptions.SSLError as error:
            raise Failure(method, url, f"TLS failed: {_innermost(error)}") from None
        except (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError):
            reason = f"no answer within {self._timeout[1]:g} s"
            advice = "Ask for less at a time, or give the client a longer timeout."
            raise _Passing(method, url, reason, passing=True, advice=advice) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _Passing(method, url, _innermost(error), passing=True) from None
        self._reached = True
        took = time.perf_counter() - started
        _log.debug(
            "%s %s -> %d, %d bytes, %.2f s", method, url, response.status_code, len(body), took
        )
        return response, body

    def _check(self, response: requests.Response, body: bytes) -> None:
        status = response.status_code
        if status == 200:
            return
        method, url = str(response.request.method), self._hidden(str(response.url))
        reason = self._hidden(_reason(body) or str(response.reason))
        if 300 <= status < 400:
            where = urlsplit(response.headers.get("Location", "")).netloc or "elsewhere"
            reason = f"redirected to {where}; use that as the base URL if you trust it"
        if status in _PASSING:
            wait_s = _retry_after(response.headers.get("Retry-After"))
            raise _Passing(method, url, reason, status=status, passing=True, wait_s=wait_s)
        raise Failure(method, url, reason, status=status)

    def _decoded(self, response: requests.Response, body: bytes, decode: Callable[[bytes], T]) -> T:
        try:
            return decode(body)
        except msgspec.ValidationError as error:
            reason = f"answered with JSON of another shape ({error})"
            raise Failure("GET", self._hidden(str(response.url)), reason, status=200) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = "HTML" if _is_html(body) else f"a body that is no JSON ({error})"
            raise _Passing(
                "GET", self._hidden(str(response.url)), f"answered with {what}", status=200,
                passing=True,
            ) from None  # fmt: skip

    def shown(self, path: str, params: Params = ()) -> str:
        """Give the URL of a request, as error messages show it."""
        query = urlencode(list(params), safe="():,")
        return f"{self.base_url}{path}{'?' if query else ''}{query}"

    def _hidden(self, text: str) -> str:
        return self._tokens.hidden(text)[:_LONGEST_REASON]

    def _post_form(self, sign: Sign, stop: threading.Event) -> bytes:
        def attempt() -> bytes:
            response, body = self._send("POST", _TOKEN_PATH, (), sign=sign)
            if response.status_code in (200, 404, 405, 501) and not is_token(body):
                raise ConfigError(
                    f"{self.base_url} does not look like an Acronis data centre: POST"
                    f" {_TOKEN_PATH} answered HTTP {response.status_code}"
                    f" {'with HTML' if _is_html(body) else 'without an access token'}. Check the"
                    " base URL; it is the address of the console, such as"
                    " https://eu2-cloud.acronis.com"
                )
            self._check(response, body)
            return body

        return self._patiently(attempt, stop)


def checked_base_url(text: str) -> str:
    """Give scheme and host of a data centre.

    Raises
    ------
    ConfigError
        For plain HTTP (except to this machine), credentials in the URL, or no host.

    Examples
    --------
    >>> checked_base_url("eu2-cloud.acronis.com/api/2/")
    'https://eu2-cloud.acronis.com'
    """
    parts = urlsplit(text.strip() if "://" in text else f"https://{text.strip()}")
    example = "give the address of your data centre, such as https://eu2-cloud.acronis.com"
    if parts.username or parts.password:
        raise ConfigError(f"the base URL holds a login; {example}")
    try:
        bad = not parts.hostname or parts.port == 0 or bool(re.search(r"\s", parts.netloc))
    except ValueError:
        bad = True
    if bad or parts.scheme not in ("http", "https"):
        raise ConfigError(f"cannot use {text!r} as base URL; {example}")
    url = f"{parts.scheme}://{parts.netloc}{parts.path.split('/api/')[0].rstrip('/')}"
    if parts.scheme == "http" and not _is_loopback(url):
        raise ConfigError(f"plain HTTP would show the secret to the network; use https: {url}")
    return url.removesuffix("/api")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def _wait(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    asked_s = failure.wait_s if isinstance(failure, Failure) else 0.0
    return max(_BACKOFF(state), asked_s)


def _retry_after(header: str | None) -> float:
    """Read seconds or a date; 0 when there is neither.

    Examples
    --------
    >>> _retry_after("3"), _retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), _retry_after("soon")
    (3.0, 0.0, 0.0)
    """
    if header is None:
        return 0.0
    if re.fullmatch(r"\d{1,9}", header.strip(), re.ASCII):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _innermost(error: BaseException) -> str:
    """Give the root of a chain of network errors, without the names of library objects."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or next(
            (arg for arg in getattr(reason, "args", ()) if isinstance(arg, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            break
        reason = inner
    text = re.sub(
        r"<[^>]*object at [^>]*>:?\s*|\w+(?:Pool|Connection)\([^)]*\):\s*", "", str(reason)
    )
    return text[:_LONGEST_REASON] or type(reason).__name__


def _reason(body: bytes) -> str | None:
    """Read the service's own words from the three shapes of its errors."""
    try:
        reply = json.loads(body)
    except ValueError:
        return "answered with HTML" if _is_html(body) else None
    if not isinstance(reply, dict):
        return None
    wrapped = reply.get("error")
    error: Mapping[str, Any] = wrapped if isinstance(wrapped, dict) else reply
    parts = (error.get("debug"), error.get("context"))
    said: Iterable[Any] = (
        *(part.get("msg") for part in parts if isinstance(part, dict)),
        error.get("error_description"),
        error.get("message"),
        error.get("reason"),
        error.get("code"),
        error.get("error"),
    )
    kind = error.get("code") or error.get("error")
    text = next((one for one in said if isinstance(one, str) and one), None)
    return f"{text} ({kind})" if text and isinstance(kind, str) and kind != text else text
