"""The access token: how it is asked for, narrowed to a tenant, renewed and kept from view."""

import importlib
import json
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import requests
from requests.auth import HTTPBasicAuth

from activitykit.errors import ApiError, ConfigError

Sign = Callable[[requests.PreparedRequest], requests.PreparedRequest]
Post = Callable[[Sign, threading.Event], bytes]
"""Sends a signed form to the token endpoint, patiently, and gives the body of the reply."""

_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_FALLBACK_LIFETIME_S, _MARGIN_S = 110 * 60.0, 900.0


class Secret:
    """Text that no repr, log or traceback shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        # what was pasted often ends with a line break
        self._text = text.strip()

    def __bool__(self) -> bool:
        return bool(self._text)

    def check(self) -> None:
        """Refuse characters that requests would show in an error of its own.

        Raises
        ------
        ConfigError
            When no header can carry the text.
        """
        # not in the constructor, whose local variables hold the text for a traceback to show
        if not (self._text.isascii() and self._text.isprintable()):
            raise ConfigError(
                "the token or client secret holds characters that no header can carry;"
                " copy it again"
            )

    def reveal(self) -> str:
        """Give the text, for use in an expression; a local variable might be printed."""
        return self._text

    def __repr__(self) -> str:
        return "***"


class Tokens:
    """The token of one API client, shared by all threads.

    Parameters
    ----------
    post
        Reaches the token endpoint.
    client_id, client_secret
        API client; or, instead of both, a ready-made token, ``given``.
    tenant
        UUID of the tenant to which the token is narrowed, or None.
    """

    def __init__(
        self,
        post: Post,
        *,
        client_id: str | None,
        client_secret: Secret | None,
        given: Secret | None,
        tenant: str | None,
    ) -> None:
        self._post = post
        self._client_id, self._secret, self._given = client_id, client_secret, given
        self._tenant = tenant
        self._token: Secret | None = None if tenant else given
        self._held = [one for one in (client_secret, given) if one]
        self._renew_at = float("inf")
        self._lock = threading.Lock()

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be replaced."""
        return self._secret is not None

    def hidden(self, text: str) -> str:
        """Blank out our secrets, should the service have echoed one."""
        # those of before as well: an answer may be late
        for secret in self._held:
            text = text.replace(secret.reveal(), "***")
        return text

    def get(self, stop: threading.Event, *, stale: Secret | None = None) -> Secret:
        """Give the token; a new one when it soon runs out or is the one that was refused."""
        with self._lock:
            if self._token is None or self._token is stale or time.monotonic() >= self._renew_at:
                self._token, lifetime_s = self._ask(stop)
                margin_s = min(_MARGIN_S, lifetime_s / 8)
                self._renew_at = time.monotonic() + lifetime_s - margin_s
            return self._token

    def _ask(self, stop: threading.Event) -> tuple[Secret, float]:
        if self._tenant is None:
            return self._by_secret(stop)
        try:
            return self._narrowed(f"urn:acronis.com:tenant-id:{self._tenant}", stop)
        except ApiError as refused:
            if refused.status in (400, 403, 404):
                advice = "Check the UUID of the tenant: the argument tenant, or ACRONIS_TENANT"
                refused.args = (f"{refused} {advice}, here {self._tenant!r}.",)
            raise

    def _narrowed(self, scope: str, stop: threading.Event) -> tuple[Secret, float]:
        if self._given is None:
            try:
                return self._by_secret(stop, scope=scope)
            except ApiError as refused:
                if refused.status not in (400, 403):
                    raise
        # some services sell the narrower token only in exchange for the wide one
        return self._by_exchange(self._given or self._by_secret(stop)[0], scope, stop)

    def _by_exchange(
        self, partner: Secret, scope: str, stop: threading.Event
    ) -> tuple[Secret, float]:
        form: dict[str, str | Secret]
        form = {"grant_type": _JWT_BEARER, "scope": scope, "assertion": partner}
        try:
            return self._obtain(bearer_of(partner), form, stop)
        except ApiError as refused:
            if self._secret is None or refused.status not in (400, 401, 403):
                raise
            # only the signature with the token is documented, the other one is as likely
            try:
                return self._obtain(self._basic(), form, stop)
            except ApiError:
                raise refused from None

    def _obtain(
        self, sign: Sign, form: Mapping[str, str | Secret], stop: threading.Event
    ) -> tuple[Secret, float]:
        token, lifetime_s = _read_token(self._post(_with_form(sign, form), stop))
        self._held.append(token)
        return token, lifetime_s

    def _by_secret(self, stop: threading.Event, **form: str) -> tuple[Secret, float]:
        form["grant_type"] = "client_credentials"
        return self._obtain(self._basic(), form, stop)

    def _basic(self) -> HTTPBasicAuth:
        if self._secret is None:
            raise AssertionError("a token was given, so none is asked for")
        # as bytes, since requests would refuse letters beyond Latin-1 by an error of its own
        return HTTPBasicAuth((self._client_id or "").encode(), self._secret.reveal().encode())


def is_token(body: bytes) -> bool:
    """Tell whether a reply of the token endpoint holds a token."""
    try:
        reply = json.loads(body)
    except ValueError:
        return False
    token = reply.get("access_token") if isinstance(reply, dict) else None
    return isinstance(token, str) and bool(token.strip())


def bearer_of(token: Secret) -> Sign:
    """Give what signs a request with a token."""

    # closures keep the token out of every local variable that a traceback may print
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token.reveal()}"
        return request

    return sign


def owner_of(token: Secret) -> str:
    """Read the tenant to which a token belongs from its claims.

    Raises
    ------
    ConfigError
        When it has none.
    """
    try:
        claims = msgspec.json.decode(urlsafe_b64decode(token.reveal().split(".")[1] + "=="))
        return str(claims["owner_tuid"])
    except (ValueError, LookupError, TypeError, msgspec.DecodeError):
        raise ConfigError(
            "the token does not say to which tenant it belongs; give tenant=, or client_id and"
            " client_secret"
        ) from None


def secret_in_keyring(client_id: str) -> str | None:
    """Look a secret up in the keyring of the system, if it has one and the package for it."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return None
    try:
        secret: str | None = keyring.get_password("activitykit", client_id)
    except keyring.errors.KeyringError:
        return None
    return secret


def _with_form(sign: Sign, form: Mapping[str, str | Secret]) -> Sign:
    def add(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.prepare_body(
            {key: v.reveal() if isinstance(v, Secret) else v for key, v in form.items()}, None
        )
        return sign(request)

    return add


def _read_token(body: bytes) -> tuple[Secret, float]:
    """Read the token and its lifetime in seconds; ``expires_on`` counts before ``expires_in``."""
    reply = json.loads(body)
    lifetimes_s = (
        _number(reply.get("expires_on")) - time.time(),
        _number(reply.get("expires_in")),
        _FALLBACK_LIFETIME_S,
    )
    # a lifetime that is over already comes from a clock that is wrong, here or there
    return Secret(reply["access_token"]), next(one for one in lifetimes_s if one > 0)


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0
