"""What it costs to get activities from the service into a frame, beside what a user writes.

The emulated service runs in a process of its own and waits before each page, as a real one does.
It shares the cores with the load: with fewer than four of them, the figures for many workers say
as much about the machine as about the code.
"""

import gc
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import pandas as pd
import requests
from bench import Cost, Figure, costs
from requests.adapters import HTTPAdapter

from activitykit.client import Client
from activitykit.demo import Faults, serve, simulate
from activitykit.load import load

ROWS, PAGE, LATENCY_S = 100_000, 1000, 0.15
FASTER = {4: 4.0, 8: 8.0, 16: 14.0}
LIST = "/api/task_manager/v2/activities"


class Service(NamedTuple):
    """Where the emulated service is, and the tokens of its pages, known beforehand."""

    base_url: str
    client_id: str
    client_secret: str
    tokens: tuple[str, ...] = ()


def figures() -> Iterator[Figure]:
    """Compare loading with a plain loop, and with moving the same bytes."""
    with emulated() as emulator:
        service = emulator._replace(tokens=tokens_of(emulator))
        ways: dict[str, Callable[..., object]] = {
            **{f"load {n}": partial(load_all, workers=n) for n in FASTER},
            **{f"bytes {n}": partial(bytes_alone, workers=n) for n in FASTER},
        }
        # a single round of the plain loop, which is steady, takes as long as all else together
        by_hand = costs({"by hand": load_by_hand}, service, rounds=1)["by hand"]
        taken = costs(ways, service)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            frame_mib = pool.apply(frame_mib_of, (service,))
    yield from _faster(by_hand, taken)
    yield from _beside_bytes(taken)
    peak = max(taken[f"load {n}"].peak_mib for n in FASTER)
    allowed = 1.3 * frame_mib + 64
    yield Figure(
        "fetch: peak memory, of 1.3 frames + 64 MiB", peak / allowed, 1, at_least=False,
        detail=f"{peak:.0f} MiB, frame {frame_mib:.0f} MiB, by hand {by_hand.peak_mib:.0f} MiB",
    )  # fmt: skip


def _faster(by_hand: Cost, taken: dict[str, Cost]) -> Iterator[Figure]:
    for workers, target in FASTER.items():
        ours = taken[f"load {workers}"].seconds
        yield Figure(
            f"fetch: times as fast as by hand, {workers} workers", by_hand.seconds / ours, target,
            at_least=True, detail=f"{ours:.2f} s, by hand {by_hand.seconds:.1f} s (once)",
        )  # fmt: skip


def _beside_bytes(taken: dict[str, Cost]) -> Iterator[Figure]:
    for workers in FASTER:
        ours, alone = (taken[f"{way} {workers}"].seconds for way in ("load", "bytes"))
        yield Figure(
            f"fetch: time over that of the bytes alone, {workers} workers", ours / alone, 1.3,
            at_least=False, detail=f"bytes {alone:.2f} s",
        )  # fmt: skip


def load_by_hand(service: Service) -> pd.DataFrame:
    """Load as a user writes it: page after page, then a frame."""
    items = [item for page in pages_by_hand(service) for item in page["items"]]
    df = pd.json_normalize(items)
    for name in ("createdAt", "startedAt", "updatedAt", "completedAt"):
        df[name] = pd.to_datetime(df[name], format="ISO8601", utc=True, errors="coerce")
    return df


def pages_by_hand(service: Service) -> Iterator[dict[str, Any]]:
    """Follow the tokens from page to page."""
    session, params = signed_in(service), {"limit": str(PAGE), "order": "asc(id)"}
    while params:
        page = session.get(service.base_url + LIST, params=params).json()
        yield page
        after = page.get("paging", {}).get("cursors", {}).get("after")
        params = {"limit": str(PAGE), "after": after} if after else {}


def load_all(service: Service, *, workers: int) -> pd.DataFrame:
    """Load as this package does."""
    client = Client(
        service.base_url, client_id=service.client_id, client_secret=service.client_secret
    )
    with client:
        return load(client, workers=workers, progress=False)


def bytes_alone(service: Service, *, workers: int) -> list[bytes]:
    """Move the same pages and do nothing with them, all tokens being known."""
    session = signed_in(service, connections=workers)

    def body(query: dict[str, str]) -> bytes:
        params = {"limit": str(PAGE), **query}
        with session.get(service.base_url + LIST, params=params, stream=True) as reply:
            return bytes(reply.raw.read(decode_content=True))

    queries = [{"order": "asc(id)"}, *({"after": token} for token in service.tokens)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(body, queries))


def signed_in(service: Service, *, connections: int = 1) -> requests.Session:
    """Give a session with a token."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_maxsize=connections))
    reply = session.post(
        f"{service.base_url}/api/2/idp/token", data={"grant_type": "client_credentials"},
        auth=(service.client_id, service.client_secret),
    )  # fmt: skip
    session.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
    return session


def tokens_of(service: Service) -> tuple[str, ...]:
    """Walk over all pages once, which also warms the service up."""
    pages = [page for page in pages_by_hand(service) if page["items"]]
    return tuple(page["paging"]["cursors"]["after"] for page in pages[:-1])


def frame_mib_of(service: Service) -> float:
    """Tell how much memory the finished frame takes."""
    df = load_all(service, workers=4)
    return float(df.memory_usage(deep=True).sum()) / 2**20


@contextmanager
def emulated() -> Iterator[Service]:
    """Run the emulated service in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_emulate, args=(there,), daemon=True)
    process.start()
    # then the death of the process, or of this one, is noticed at the other end
    there.close()
    try:
        yield Service(*here.recv())
    finally:
        here.close()
        process.join()


def _emulate(pipe: Connection) -> None:
    items = list(simulate(ROWS, until=datetime.now(UTC)))
    with serve(items, faults=Faults(delay_s=LATENCY_S)) as service:
        # else looking for garbage among them would hold up the answers
        gc.freeze()
        pipe.send((service.base_url, service.client_id, service.client_secret))
        pipe.poll(None)
