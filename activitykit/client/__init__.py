"""The service: `Client` fetches activities and tasks, complete or with an error.

From the top: `client` (what users call), `windows` (a long load cut into intervals of time), `walk`
(page after page), `transport` (one request, with patience), `auth` (the token), `sockets`.
"""

from activitykit.client.client import Client

__all__ = ["Client"]
