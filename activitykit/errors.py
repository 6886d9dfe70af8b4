"""Every error that activitykit raises on purpose.

The tree::

    ActivityKitError
    ├── ConfigError            settings, credentials or a missing optional package
    ├── ApiError               the service could not be reached or refused
    │   ├── AuthError          token refused, wrong secret, missing role
    │   ├── BadQueryError      the service rejected a query (HTTP 400)
    │   ├── RateLimitError     still too many requests when the retry budget ran out
    │   └── IncompleteError    the walk over the pages broke off before its end
    ├── FlattenError           input that holds no activities
    ├── SchemaError            a frame without the columns that a function needs
    ├── SnapshotError          a Parquet snapshot that cannot be written or read
    └── ArchiveError           an archive that cannot be opened, synced or read

``except ActivityKitError`` catches them all. Messages say what happened, where, and what to do.
"""

from collections.abc import Iterable
from typing import Any


class ActivityKitError(Exception):
    """Base of all errors of this package."""


class ConfigError(ActivityKitError, ValueError):
    """Settings are missing or contradict each other, or an optional package is not installed."""


class ApiError(ActivityKitError, ConnectionError):
    """The service could not be reached, or its answer is of no use.

    Attributes
    ----------
    method, url
        The request, without credentials.
    status
        HTTP status, or None when no answer arrived.
    reason
        What the service itself said, or the text of the network failure.
    attempts
        How often the request was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        url: str | None = None,
        status: int | None = None,
        reason: str | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.url = url
        self.status = status
        self.reason = reason
        self.attempts = attempts


class AuthError(ApiError):
    """The service refused the credentials or the token, or the role may not read activities."""


class BadQueryError(ApiError):
    """The service rejected a query parameter; repeating the request would not help."""


class RateLimitError(ApiError):
    """The service kept asking for fewer requests until the retry budget was used up."""


class IncompleteError(ApiError):
    """The walk over the pages broke off, so what was fetched is only a part.

    Attributes
    ----------
    partial
        What had been fetched so far: a frame when raised by `load`, else None.
    """

    partial: Any = None


class FlattenError(ActivityKitError, ValueError):
    """The input is not JSON, or holds something that is no activity."""


class SchemaError(ActivityKitError, KeyError):
    """A frame lacks columns that a function needs.

    Attributes
    ----------
    missing, available
        Column names.
    """

    def __init__(
        self, message: str, missing: Iterable[str] = (), available: Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.available = tuple(available)

    def __str__(self) -> str:
        # KeyError would show the message in quotes
        return str(self.args[0])


class SnapshotError(ActivityKitError, OSError):
    """A snapshot cannot be written or read."""


class ArchiveError(ActivityKitError, OSError):
    """An archive cannot be opened, synced or read."""
