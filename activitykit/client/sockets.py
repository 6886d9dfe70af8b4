"""Connections that can be cut from another thread while they still wait for the answer."""

import contextlib
import socket
import weakref
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection


class AbortableAdapter(HTTPAdapter):
    """Remembers the connections it opened, for `abort`."""

    def __init__(self, *, pool_maxsize: int) -> None:
        self._opened: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        super().__init__(pool_maxsize=pool_maxsize)

    def get_connection_with_tls_context(  # noqa: D102 - a hook of requests
        self,
        request: PreparedRequest,
        verify: bool | str | None,  # noqa: FBT001
        proxies: Any = None,  # noqa: ANN401
        cert: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
        kind = pool.ConnectionCls
        if isinstance(kind, type):

            def remembered(*args: Any, **kwargs: Any) -> HTTPConnection:  # noqa: ANN401
                connection: HTTPConnection = kind(*args, **kwargs)
                self._opened.add(connection)
                return connection

            pool.ConnectionCls = remembered
        return pool

    def abort(self) -> None:
        """End the wait of every thread that reads from one of the connections."""
        for connection in list(self._opened):
            if connection.sock is not None:
                # an SSL socket's own method would drop its session while another thread reads
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
