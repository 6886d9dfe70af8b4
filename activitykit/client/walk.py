"""The walk over the pages of a list, and several walks side by side."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from activitykit.client.transport import Params, Stopped, Transport
from activitykit.errors import ApiError, IncompleteError

T = TypeVar("T")

_EMPTY_IN_A_ROW: Final = 3
_POLL_S, _JOIN_ROUNDS = 0.1, 20


class _Cursors(msgspec.Struct):
    after: str | None = None


class _Paging(msgspec.Struct):
    cursors: _Cursors | None = None


class Envelope(msgspec.Struct):
    """What surrounds the items of a page; the items stay undecoded."""

    items: list[msgspec.Raw] | None = None
    size: int | None = None
    paging: _Paging | None = None
    cursors: _Cursors | None = None

    @property
    def after(self) -> str | None:
        """The token of the next page, in either of its two places."""
        for holder in (self.paging, self):
            if holder and holder.cursors and holder.cursors.after:
                return holder.cursors.after
        return None


_read_envelope: Final = msgspec.json.Decoder(Envelope).decode
Page = tuple[bytes, Envelope]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list endpoint of the service, and how its pages are asked for.

    Attributes
    ----------
    transport, path
        Where.
    page_size
        Rows asked for a page. The service may send fewer, which is no sign of the end.
    order
        Given with the first page; later ones are asked for by their token alone.
    extra
        What every page needs, such as the level of detail.
    """

    transport: Transport
    path: str
    page_size: int
    order: Params = (("order", "asc(id)"),)
    extra: Params = ()

    def first(self, params: Params, stop: threading.Event | None = None) -> Page:
        """Fetch the first page of a query."""
        return self._fetch([*params, *self.order], stop)

    def _fetch(self, params: Params, stop: threading.Event | None) -> Page:
        query = [*params, ("limit", str(self.page_size)), *self.extra]
        return self.transport.get(self.path, query, _read_envelope, stop=stop)

    def count(self, params: Params, stop: threading.Event | None = None) -> int | None:
        """Ask the service how many rows a query has; None when its answer is no count."""
        query = [*params, ("lod", "count")]
        _, envelope = self.transport.get(self.path, query, _read_envelope, stop=stop)
        return None if envelope.items else envelope.size

    def walk(
        self, params: Params, first: Page | None = None, stop: threading.Event | None = None
    ) -> Iterator[Page]:
        """Yield all pages of a query; the first one may be at hand already.

        Raises
        ------
        IncompleteError
            When a page has no items, a token comes again, or a full page is said to be the last
            one although more rows exist.
        """
        page = first or self.first(params, stop)
        rows = empty = 0
        seen: set[str] = set()
        while True:
            items, token = page[1].items, page[1].after
            if items is None:
                raise self._broken("a page came without items", rows)
            yield page
            rows += len(items)
            empty = 0 if items else empty + 1
            if not token and len(items) < self.page_size:
                return
            if not token or (not items and (token in seen or empty == _EMPTY_IN_A_ROW)):
                return self._check_end(params, rows, stop)
            if token in seen:
                raise self._broken("the service repeated a page token", rows)
            seen.add(token)
            page = self._fetch([("after", token)], stop)

    def _check_end(self, params: Params, rows: int, stop: threading.Event | None) -> None:
        """Accept a doubtful end only when the service counts no more rows than came."""
        try:
            expected = self.count(params, stop)
        except ApiError:
            expected = None
        if expected is None or expected > rows:
            there_are = "an unknown number" if expected is None else str(expected)
            raise self._broken(f"the pages ended without a clear end; {there_are} exist", rows)

    def _broken(self, what: str, rows: int) -> IncompleteError:
        url = self.transport.shown(self.path)
        return IncompleteError(
            f"GET {url}: {what} (after {rows} rows). Load again, perhaps with another page_size.",
            method="GET", url=url, status=200, reason=what,
        )  # fmt: skip


def side_by_side(
    jobs: Sequence[Callable[[threading.Event], Iterator[T]]],
    workers: int,
    abort: Callable[[], None],
) -> Iterator[T]:
    """Run jobs in threads and yield what they yield, in the order of arrival.

    When one fails, the others are stopped, what had arrived is yielded, and its error is raised.
    When the consumer leaves, or Ctrl-C is pressed, all are stopped at once.
    """
    belt: _Belt[T] = _Belt(jobs, workers, abort)
    threads = [
        threading.Thread(target=belt.work, name=f"activitykit-{n}", daemon=True)
        for n in range(min(workers, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    try:
        yield from belt.until_done(len(threads))
    except BaseException:
        belt.stop.set()
        _cut_short(threads, abort)
        raise


class _Belt(Generic[T]):
    """What the workers put things on, and the consumer takes them from."""

    def __init__(
        self,
        jobs: Iterable[Callable[[threading.Event], Iterator[T]]],
        length: int,
        abort: Callable[[], None],
    ) -> None:
        self.stop = threading.Event()
        self._todo, self._abort = deque(jobs), abort
        self._things: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
        # bounds what waits in memory when the consumer is slower than the network
        self._free = threading.Semaphore(length)

    def work(self) -> None:
        """Do one job after the other, in a thread."""
        try:
            while not self.stop.is_set():
                for thing in self._todo.popleft()(self.stop):
                    self._put(thing)
        except (IndexError, Stopped):
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            self._things.put(error)
            self.stop.set()
            self._abort()
        finally:
            self._things.put(None)

    def _put(self, thing: T) -> None:
        while not self._free.acquire(timeout=_POLL_S):
            if self.stop.is_set():
                raise Stopped
        self._things.put(thing)

    def until_done(self, working: int) -> Iterator[T]:
        """Yield things until the last worker is done; then raise the first error, if any."""
        failure: BaseException | None = None
        while working:
            thing = self._take()
            if thing is None:
                working -= 1
            elif isinstance(thing, BaseException):
                failure = failure or thing
            else:
                yield thing
                self._free.release()
        if failure:
            raise failure

    def _take(self) -> T | BaseException | None:
        while True:
            try:
                # a wait without end could not be interrupted on Windows
                return self._things.get(timeout=_POLL_S)
            except queue.Empty:
                if self.stop.is_set():
                    self._abort()


def _cut_short(threads: Sequence[threading.Thread], abort: Callable[[], None]) -> None:
    """End threads that were told to stop; cut again what they had just begun."""
    for _ in range(_JOIN_ROUNDS):
        waiting = [thread for thread in threads if thread.is_alive()]
        if not waiting:
            return
        abort()
        waiting[0].join(timeout=_POLL_S)
