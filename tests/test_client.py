"""The client against the emulated service, over real HTTP: whole and exact, or an honest error."""

import itertools
import json
import logging
import random
import sys
import threading
import time
import traceback
import types
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import tenacity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import activitykit as ak
from activitykit.client import Client, transport
from activitykit.client.auth import Secret, Tokens
from activitykit.client.transport import checked_base_url
from activitykit.demo.server import Faults, Variants, serve

SECRET = "s3cret-that-must-not-show"
GUID = "3b9187d6-0853-45ff-aab0-0c68cd643068"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Retry at once, so that no test sleeps."""
    monkeypatch.setattr(transport, "_BACKOFF", tenacity.wait_none())


def activity(number, created="2026-03-01T00:00:00Z", **more):
    """Give a small activity with an id that no float holds."""
    return {
        "id": 1_634_702_033_410_387_969 + number * 4099,
        "type": "Download",
        "state": "completed",
        "createdAt": created,
        "updatedAt": created,
        **more,
    }


def made(count, seed=0):
    """Give activities over a month, more of them by night."""
    chance = random.Random(seed)
    for number in range(count):
        day, hour = number * 30 // count + 1, chance.choice([1, 1, 2, 2, 3, chance.randrange(24)])
        nanoseconds = chance.randrange(3600 * 10**9)
        minutes = f"{nanoseconds // (60 * 10**9):02}:{nanoseconds // 10**9 % 60:02}"
        yield activity(number, f"2026-03-{day:02}T{hour:02}:{minutes}.{nanoseconds % 10**9:09}Z")


ITEMS = list(made(240))


def ids(items):
    """Give the sorted ids."""
    return sorted(item["id"] for item in items)


def client_of(service, **more):
    """Give a client for an emulated service."""
    given = {"client_id": service.client_id, "client_secret": service.client_secret, **more}
    return Client(service.base_url, **given)


@pytest.fixture(scope="module")
def service():
    """Run a service with a month of activities."""
    with serve(ITEMS, client_secret=SECRET) as running:
        yield running


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_any_number_of_workers_brings_the_same_rows(service, workers):
    """However many windows there are, each activity comes exactly once."""
    with client_of(service) as client:
        got = list(client.activities(workers=workers, page_size=10))
    assert ids(ITEMS) == [item["id"] for item in sorted(got, key=lambda item: item["id"])]
    assert sorted(got, key=lambda item: item["id"]) == ITEMS


def test_long_loads_use_windows_and_tiny_ones_a_single_request(service):
    """A result of one page costs one request, a longer one is fetched side by side."""
    with client_of(service) as client:
        client.activity(ITEMS[0]["id"])
        service.requests.clear()
        list(client.pages(ak.Filter(since="2026-03-30"), workers=8))
        assert [method for method, _, _ in service.requests] == ["GET"]
        list(client.pages(ak.Filter(since="2026-03-02"), workers=4, page_size=10))
    starts = {url.split("createdAt=")[1] for _, url, _ in service.requests if "createdAt=gt" in url}
    assert len(starts) > 6


@pytest.mark.parametrize("on", ["createdAt", "updatedAt"])
@pytest.mark.parametrize("workers", [1, 4])
def test_rows_without_a_readable_creation_time_are_not_lost(workers, on):
    """Missing and unreadable times are in no window and come all the same."""
    odd = [activity(900 + n, created) for n, created in enumerate([None, "soon", "9999-12-31"])]
    odd.append({"id": 77, "type": "Download", "state": "started"})
    where = ak.Filter(on=on) if on == "createdAt" else ak.Filter(since="2026-03-10", on=on)
    with serve([*ITEMS, *odd]) as service, client_of(service) as client:
        got = list(client.activities(where, workers=workers, page_size=10))
    assert ids(got) == ids(item for item in [*ITEMS, *odd] if where.matches(item))


VARIANTS = {
    "token at the top level": Variants(cursors="top"),
    "empty cursors at the end": Variants(end="empty"),
    "null token at the end": Variants(end="null"),
    "empty token at the end": Variants(end="blank"),
    "top level and null": Variants(cursors="top", end="null"),
    "token only when more follows": Variants(next_page="more"),
    "always a token": Variants(next_page="always"),
    "other parameters beside after ignored": Variants(with_after="ignore"),
    "after without limit": Variants(after_alone=True),
    "pages capped at 7": Variants(max_limit=7),
    "pages capped, token only when more": Variants(max_limit=7, next_page="more"),
    "one bound a field": Variants(interval=False),
    "only the documented functions": Variants(operators=frozenset({"gt", "like"})),
    "count without items": Variants(count="missing"),
    "count with null items": Variants(count="null"),
    "count refused": Variants(count="refuse"),
    "count ignored": Variants(count="ignore"),
    "expires_on only": Variants(expiry="on"),
    "expires_in only": Variants(expiry="in"),
    "no expiry stated": Variants(expiry="none"),
    "gzip": Variants(gzip=True),
    "token lives one second": Variants(lifetime_s=1),
}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("variants", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_of_the_service_gives_the_same_rows(variants, workers):
    """Whatever the documentation leaves open, the load is whole, with exact multiples too."""
    where = ak.Filter(since="2026-03-03", until="2026-03-29T00:00:00.5")
    wanted = ids(item for item in ITEMS if where.matches(item))
    with serve(ITEMS, variants=variants) as service, client_of(service) as client:
        assert ids(client.activities(where, workers=workers, page_size=10)) == wanted
        assert ids(client.activities(workers=workers, page_size=10)) == ids(ITEMS)
        assert client.count(where) == len(wanted)


PASSING = ["429", "429-date", "500", "502", "503", "503-date", "504", "401", "reset", "truncate",
           "html", "garbage", "late", "mutate"]  # fmt: skip


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_nothing_but_time(fault, workers):
    """The request is sent again until it succeeds, and every row is there."""
    faults = Faults(script=["", fault, fault, "", "", fault, "", fault])
    with serve(ITEMS, faults=faults) as service, client_of(service) as client:
        assert ids(client.activities(workers=workers, page_size=20)) == ids(ITEMS)


def test_a_read_that_takes_too_long_is_tried_again():
    """A service that stops answering in the middle is asked once more."""
    with serve(ITEMS, faults=Faults(script=["", "hang"])) as service:
        client = client_of(service, timeout=0.2)
        assert ids(client.activities(workers=1, page_size=100)) == ids(ITEMS)


FINAL = {
    "429": (ak.RateLimitError, 429, 8),
    "503": (ak.ApiError, 503, 8),
    "500": (ak.ApiError, 500, 8),
    "403": (ak.AuthError, 403, 1),
    "401": (ak.AuthError, 401, 1),
    "reset": (ak.ApiError, None, 8),
    "truncate": (ak.ApiError, None, 8),
    "garbage": (ak.ApiError, 200, 8),
    "html": (ak.ApiError, 200, 8),
    "no-items": (ak.IncompleteError, 200, 1),
}


@pytest.mark.parametrize("fault", FINAL)
def test_a_fault_that_stays_is_named_with_request_reason_and_attempts(fault):
    """At the first page the error has its own type and says what was tried."""
    kind, status, attempts = FINAL[fault]
    with serve(ITEMS, faults=Faults(rates={fault: 1})) as service, pytest.raises(kind) as caught:
        list(client_of(service).pages())
    error = caught.value
    assert type(error) is kind
    assert (error.method, error.status, error.attempts) == ("GET", status, attempts)
    assert "/api/task_manager/v2/activities" in error.url
    assert error.reason in str(error)


@pytest.mark.parametrize("faults", [Faults(rates={"hang": 1}), Faults(first_delay_s=5)])
def test_a_service_that_stays_slow_is_named_with_the_way_out(faults, monkeypatch):
    """A large partner's first page may take longer than the timeout: ask for less, or wait."""
    monkeypatch.setattr(transport, "_ATTEMPTS", 2)
    with serve(ITEMS, faults=faults) as service:
        said = r"no answer within 0\.2 s \(2 attempts\)\. Ask for less .* a longer timeout"
        with pytest.raises(ak.ApiError, match=said):
            list(client_of(service, timeout=0.2).pages())


def test_first_pages_may_be_slower_than_others():
    """Each window has a first page, and all is there."""
    with serve(ITEMS, faults=Faults(first_delay_s=0.03)) as service, client_of(service) as client:
        assert ids(client.activities(workers=4, page_size=20)) == ids(ITEMS)


@pytest.mark.parametrize("workers", [1, 4])
def test_rows_that_arrive_during_a_load_are_in_it_or_not_but_never_twice(workers, monkeypatch):
    """With new ids and old ones, old times of creation: what was there before is there."""
    late = [activity(number, f"2026-03-{number % 28 + 1:02}T00:00:00Z") for number in range(-9, 0)]
    late += [activity(number, item["createdAt"]) for number, item in enumerate(ITEMS[::9], 900)]
    monkeypatch.setitem(Client.pages.__kwdefaults__, "page_size", 10)
    with serve(ITEMS, faults=Faults(rates={"late": 0.7}, late=late)) as service:
        got = ak.load(client_of(service), workers=workers, progress=False)["id"]
    assert got.is_unique
    assert set(ids(ITEMS)) < set(got) <= set(ids([*ITEMS, *late]))


class Waits(threading.Event):
    """Notes how long it is waited for, without waiting."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        """Return at once."""
        self.seconds.append(timeout)
        return False


@pytest.mark.parametrize("fault", ["429", "429-date", "503", "503-date"])
def test_retry_after_is_heeded_by_all_workers(fault):
    """Seconds or a date: the next request waits that long, and so does every other one."""
    with serve(ITEMS, faults=Faults(script=[fault], retry_after_s=30)) as service:
        client, one, other = client_of(service), Waits(), Waits()
        for waits in (one, other):
            client._transport.get("/api/task_manager/v2/activities", [], bytes, stop=waits)
    assert max(one.seconds) == pytest.approx(30, abs=1.5)
    assert max(other.seconds) == pytest.approx(30, abs=1.5)


def test_patience_ends_before_a_wait_that_is_too_long():
    """A service that asks for an hour gets an error now, not in an hour."""
    with serve(ITEMS, faults=Faults(rates={"429": 1}, retry_after_s=3600)) as service:
        started = time.monotonic()
        with pytest.raises(ak.RateLimitError, match=r"fewer workers\. It asks to wait 3600 s"):
            list(client_of(service).pages())
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("workers", [1, 4])
def test_a_wait_that_is_too_long_ends_a_walk_with_what_came(workers):
    """In the middle of a load as well, by one worker for all of them."""
    script = [""] * 20 + ["503"] * 4
    with serve(ITEMS, faults=Faults(script=script, retry_after_s=3600)) as service:
        pages, got = client_of(service).pages(workers=workers, page_size=10), []
        with pytest.raises(ak.IncompleteError, match="It asks to wait 3600 s"):
            got.extend(pages)
    assert 1 <= len(got) <= 20


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("fault", ["403", "500", "reset", "no-items", "garbage"])
def test_a_walk_that_breaks_off_yields_what_came_and_says_so(fault, workers):
    """After at least one page the error is IncompleteError, never a silent end."""
    script = [""] * 30 + [fault] * 400
    with serve(list(made(1000)), faults=Faults(script=script)) as service:
        pages = client_of(service).pages(workers=workers, page_size=10)
        got = []
        with pytest.raises(ak.IncompleteError):
            got.extend(pages)
    assert 1 <= len(got) <= 30


def test_a_repeated_token_is_no_end():
    """A service that turns in a circle is caught."""
    faults = Faults(script=["", "", "repeat", "repeat", "repeat"])
    with (
        serve(ITEMS, faults=faults) as service,
        pytest.raises(ak.IncompleteError, match="repeated a page token"),
    ):
        list(client_of(service).pages(workers=1, page_size=20))


def test_a_full_last_page_is_believed_only_when_the_count_agrees(monkeypatch):
    """Without a token a full page may be the end, or a service that forgot the rest."""
    exact = Variants(next_page="more")
    with serve(ITEMS, variants=exact) as service, client_of(service) as client:
        assert len(list(client.pages(workers=1, page_size=80))) == 3
        monkeypatch.setattr("activitykit.demo.server._paging", lambda *_: {})
        with pytest.raises(ak.IncompleteError, match="240 exist"):
            list(client.pages(workers=1, page_size=80))


def test_tokens_are_renewed_before_they_run_out_and_shared(monkeypatch):
    """A token of 1 s is renewed by time; threads share it."""
    with serve(ITEMS, faults=Faults(delay_s=0.02)) as service, client_of(service) as client:
        list(client.pages(workers=8, page_size=10))
        assert sum(url.startswith("/api/2/idp/token") for _, url, _ in service.requests) == 1
        monkeypatch.setattr(client._transport._tokens, "_renew_at", 0.0)
        list(client.pages(ak.Filter(since="2026-03-30")))
        assert sum(url.startswith("/api/2/idp/token") for _, url, _ in service.requests) == 2


def test_a_token_of_its_own_cannot_be_renewed():
    """A given token that is refused ends the load with a clear error."""
    with serve(ITEMS) as service, pytest.raises(ak.AuthError, match="token is missing, wrong"):
        list(Client(service.base_url, token="long-gone").pages())


TREE = [
    activity(n, tenant={"id": str(66 + n), "uuid": f"00000000-0000-4000-8000-{n:012}",
                        "name": f"Customer {n}", "locator": f"/1/{66 + n}/"})
    for n in range(3)
]  # fmt: skip


@pytest.mark.parametrize(
    "variants",
    [
        Variants(),
        Variants(direct_scope=False),
        Variants(direct_scope=False, exchange="bearer"),
        Variants(direct_scope=False, exchange="basic"),
    ],
)
def test_a_tenant_narrows_the_token_by_either_way(variants):
    """Direct scope, or an exchange of the partner's token where that is refused."""
    with serve(TREE, variants=variants) as service:
        client = client_of(service, tenant=TREE[1]["tenant"]["uuid"])
        assert list(client.activities()) == [TREE[1]]
        assert [one["name"] for one in client.tenants()] == ["Customer 1"]


def test_a_tenant_that_cannot_be_had_is_an_error_in_the_words_of_the_service():
    """Refused both ways, or named by the number where only the UUID counts."""
    refusing = Variants(direct_scope=False, exchange="refuse")
    with serve(TREE, variants=refusing) as service, pytest.raises(ak.AuthError, match="scope is"):
        client_of(service, tenant=TREE[1]["tenant"]["uuid"]).count()
    message = r"no such tenant.*argument tenant, or ACRONIS_TENANT, here '67'"
    with serve(TREE) as service, pytest.raises(ak.ApiError, match=message):
        client_of(service, tenant="67").count()
    with serve(TREE, variants=Variants(numeric_tenant=True)) as service:
        assert list(client_of(service, tenant="67").activities()) == [TREE[1]]


def test_a_partner_sees_every_tenant_and_can_filter_by_sub_tree():
    """`tenants` lists the account tree, and a locator selects from it."""
    with serve(TREE) as service, client_of(service) as client:
        assert [one["name"] for one in client.tenants()][1:] == [f"Customer {n}" for n in range(3)]
        assert list(client.activities(ak.Filter(tenant="/1/67/"))) == [TREE[1]]
        assert client.count(ak.Filter(tenant="/1/67/")) == 1


def test_single_objects_tasks_and_raw_requests(service):
    """The rest of the API is reachable, and ids stay exact."""
    number = ITEMS[3]["id"]
    with client_of(service) as client:
        assert client.activity(number) == ITEMS[3]
        assert client.task(number)["queue"] == "legacySync"
        assert ids(client.tasks(page_size=50)) == ids(ITEMS)
        assert len(list(client.tasks(ak.Filter(since="2026-03-16")))) == 120
        reply = client.get("/activities", {"id": [number, ITEMS[4]["id"]]})
        assert ids(reply["items"]) == [number, ITEMS[4]["id"]]
        with pytest.raises(ak.ApiError, match="404: activities 5 not found"):
            client.activity(5)


@pytest.mark.parametrize("known", [True, False])
def test_an_activity_by_its_uuid_where_the_service_takes_one(known):
    """Else the error names what was not found."""
    with serve([activity(1, uuid=GUID)], variants=Variants(uuid_in_path=known)) as service:
        if known:
            assert client_of(service).activity(GUID)["uuid"] == GUID
        else:
            with pytest.raises(ak.ApiError, match=f"404: activities {GUID} not found"):
                client_of(service).activity(GUID)


@pytest.mark.parametrize("place", ["debug", "context", "reason"])
def test_the_reason_shows_wherever_the_service_puts_it(place):
    """The contract leaves open where an error says what is wrong."""
    with (
        serve(ITEMS, variants=Variants(error_text=place)) as service,
        pytest.raises(ak.BadQueryError, match="bad condition field 'status'"),
    ):
        client_of(service).get("/activities", {"status": "ok"})


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("interval", [True, False])
def test_pages_that_are_refused_as_too_large_become_smaller_once(interval, workers):
    """Whatever else the service refuses; the next load knows it beforehand."""
    variants = Variants(max_limit=150, over_limit="refuse", interval=interval)
    where = ak.Filter(since="2026-03-02", until="2026-03-28")
    wanted = ids(filter(where.matches, ITEMS))
    with serve(ITEMS, variants=variants) as service, client_of(service) as client:
        assert ids(client.activities(where, workers=workers)) == wanted
        service.requests.clear()
        assert ids(client.activities(where, workers=workers)) == wanted
        assert not [url for _, url, status in service.requests if status == 400]


def test_a_query_that_is_refused_anyway_is_told_in_the_first_words():
    """Trying smaller pages and fewer bounds does not hide what is wrong."""
    with (
        serve(ITEMS, variants=Variants(operators=frozenset())) as service,
        pytest.raises(ak.BadQueryError, match="unsupported function 'gt' on field 'createdAt'"),
    ):
        list(client_of(service).pages(ak.Filter(since="2026-03-01", until="2026-03-02")))


def test_a_plain_web_server_is_told_from_a_failing_service():
    """A server of files, which knows no POST, is not taken for Acronis in trouble."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(ak.ConfigError, match="HTTP 501 with HTML"):
        Client(address, client_id="a", client_secret="b").count()
    server.shutdown()
    server.server_close()


def test_a_bad_query_is_not_repeated(service):
    """HTTP 400 carries the service's own words and is sent once."""
    with client_of(service) as client, pytest.raises(ak.BadQueryError) as caught:
        client.get("/activities", {"tenant_id": "66"})
    assert "bad condition field 'tenant_id'" in str(caught.value)
    assert caught.value.attempts == 1


def test_wrong_credentials_and_strange_hosts_say_what_to_check(service):
    """Each mistake of a newcomer has its own line."""
    with pytest.raises(ak.AuthError, match="Check client id and secret"):
        client_of(service, client_secret="wrong").count()
    with pytest.raises(ak.ApiError, match="Check the base URL, the network"):
        Client("https://localhost:1", token="t").count()
    with pytest.raises(ak.ConfigError, match="does not look like an Acronis data centre"):
        Client(f"{service.base_url}/elsewhere", client_id="a", client_secret="b").count()


@pytest.mark.parametrize(
    "url", ["http://eu2-cloud.acronis.com", "https://user:pw@host", "ftp://host", "https://", "a b"]
)
def test_unsafe_and_unusable_addresses_are_refused(url):
    """No secret leaves in the clear."""
    with pytest.raises(ak.ConfigError):
        checked_base_url(url)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "127.9.9.9", "localhost", "[::1]:99"])
def test_plain_http_is_fine_on_this_machine(host):
    """Loopback never leaves the machine."""
    assert checked_base_url(f"http://{host}/") == f"http://{host}"


def test_from_env_names_all_that_is_missing(monkeypatch):
    """One error for all, with where to get them."""
    for name in ("BASE_URL", "CLIENT_ID", "CLIENT_SECRET", "TENANT"):
        monkeypatch.delenv(f"ACRONIS_{name}", raising=False)
    with pytest.raises(ak.ConfigError) as caught:
        Client.from_env()
    message = str(caught.value)
    for name in ("ACRONIS_BASE_URL", "ACRONIS_CLIENT_ID", "ACRONIS_CLIENT_SECRET", "API clients"):
        assert name in message


def test_secrets_never_show(caplog, monkeypatch, service):
    """Not in a repr, a log line, an error or the local variables of our frames."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ACRONIS_BASE_URL", service.base_url)
    monkeypatch.setenv("ACRONIS_CLIENT_ID", service.client_id)
    monkeypatch.setenv("ACRONIS_CLIENT_SECRET", SECRET)
    client = Client.from_env()
    with pytest.raises(ak.BadQueryError) as caught:
        client.get("/activities", {"nonsense": 1})
    token = client._transport._tokens._token.reveal()
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [f for f in frames.stack if "activitykit" in f.filename and "tests" not in f.filename]
    assert ours
    shown = [repr(client), caplog.text, str(caught.value), repr(vars(client)), repr(ours)]
    shown += [repr(vars(client._transport)), *(str(frame.locals) for frame in ours)]
    assert not any(SECRET in text or token in text for text in shown)
    assert "GET" in caplog.text


@pytest.mark.parametrize("tenant", [None, "a customer"])
def test_every_token_ever_held_is_hidden(tenant):
    """Answers that are late may echo a token that was replaced, or exchanged, meanwhile."""
    given = []

    def post(*_):
        if tenant and not given:
            given.append("refused")
            raise ak.ApiError("no direct scope", status=400)
        given.append(f"t0ken-{len(given)}")
        return json.dumps({"access_token": given[-1], "expires_in": 60}).encode()

    tokens = Tokens(post, client_id="me", client_secret=Secret(SECRET), given=None, tenant=tenant)
    tokens.get(threading.Event(), stale=tokens.get(threading.Event()))
    assert len(given) >= 2
    assert "t0ken" not in tokens.hidden(f"echoed: {given}")


@pytest.mark.parametrize("odd", ["S3KR\nET", "S3KRET…", "S3KR\x00ET"])
@pytest.mark.parametrize("kind", ["token", "client_secret"])
def test_a_secret_that_no_header_can_carry_is_refused_unseen(kind, odd):
    """One error of ours says what to do; neither it nor our local variables hold the text."""
    credentials = {kind: odd} | ({} if kind == "token" else {"client_id": "me"})
    with pytest.raises(ak.ConfigError, match="copy it again") as caught:
        Client("https://eu2-cloud.acronis.com", **credentials)
    _, *ours = (frame.f_locals.items() for frame, _ in traceback.walk_tb(caught.tb))
    seen = [repr(value) for values in ours for name, value in values if name != "self"]
    assert seen
    assert not any("S3KR" in text for text in [str(caught.value), *seen])


def test_blanks_around_a_secret_are_left_out(service):
    """What was pasted with the end of its line still works; nothing but blanks is no secret."""
    with Client(service.base_url, client_id=service.client_id, client_secret=f" {SECRET}\n") as one:
        assert one.count() == len(ITEMS)
    with pytest.raises(ak.ConfigError, match="or else a token"):
        Client(service.base_url, token=" \n")


def test_a_client_id_of_any_letters_is_told_as_wrong_credentials(service):
    """It is sent in UTF-8, and what the service says to it is shown."""
    with (
        Client(service.base_url, client_id="5e2a…", client_secret=SECRET) as client,
        pytest.raises(ak.AuthError, match="client id"),
    ):
        client.count()


def test_leaving_a_load_stops_its_workers_at_once():
    """Closing the iterator, as Ctrl-C does, cuts requests that still wait for an answer."""
    script = [""] * 16 + ["hang"] * 50
    with serve(ITEMS, faults=Faults(script=script)) as service, client_of(service) as client:
        where = ak.Filter(since="2026-03-01", until="2026-04-01")
        pages = client.pages(where, workers=4, page_size=10)
        next(pages)
        started = time.monotonic()
        pages.close()
        assert time.monotonic() - started < 2
        assert not [t for t in threading.enumerate() if t.name.startswith("activitykit")]


def test_an_interrupted_load_leaves_no_workers(service, monkeypatch):
    """Ctrl-C while the rows are flattened stops the requests too, whoever keeps the traceback."""

    def interrupted(pages):
        next(pages)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["activitykit.load"], "flatten_pages", interrupted)
    monkeypatch.setitem(Client.pages.__kwdefaults__, "page_size", 10)
    with client_of(service) as client, pytest.raises(KeyboardInterrupt) as kept:
        ak.load(client, workers=4)
    assert kept.tb
    assert not [t for t in threading.enumerate() if t.name.startswith("activitykit")]


@pytest.mark.parametrize(
    ("variants", "narrow"), [(Variants(interval=False), False), (Variants(count="refuse"), True)]
)
def test_what_the_service_refuses_is_noticed_once(variants, narrow):
    """The second load does not try again, and sends no less than it may."""
    where = ak.Filter(since="2026-03-03", until="2026-03-20")
    with serve(ITEMS, variants=variants) as service, client_of(service) as client:
        list(client.pages(where, page_size=10))
        service.requests.clear()
        list(client.pages(where, page_size=10))
    assert not [url for _, url, status in service.requests if status == 400]
    assert any("lt" in url for _, url, _ in service.requests) == narrow


class Keyring(types.ModuleType):
    """Stands in for the package of that name; asked with the wrong client id, it has no answer."""

    def __init__(self, client_id):
        super().__init__("keyring")
        self.errors = types.SimpleNamespace(KeyringError=RuntimeError)
        self.client_id, self.asked = client_id, []

    def get_password(self, system, name):
        """Give the secret."""
        self.asked.append((system, name))
        if name != self.client_id:
            raise self.errors.KeyringError("No recommended backend was available.")
        return SECRET


@pytest.fixture
def keyring(service, monkeypatch):
    """Install a keyring that knows the secret, which no variable holds."""
    known = Keyring(service.client_id)
    monkeypatch.setitem(sys.modules, "keyring", known)
    monkeypatch.setenv("ACRONIS_BASE_URL", service.base_url)
    monkeypatch.setenv("ACRONIS_CLIENT_ID", service.client_id)
    monkeypatch.delenv("ACRONIS_CLIENT_SECRET", raising=False)
    return known


def test_the_secret_may_come_from_the_keyring(keyring):
    """It is asked once, since it may show a question to the user each time."""
    with Client.from_env() as client:
        assert client.count() == len(ITEMS)
    assert keyring.asked == [("activitykit", keyring.client_id)]


def test_a_keyring_without_an_answer_leaves_the_secret_missing(keyring, monkeypatch):
    """A machine without a keyring, such as a server, is told what to set."""
    monkeypatch.setenv("ACRONIS_CLIENT_ID", "another")
    with pytest.raises(ak.ConfigError, match="not set: ACRONIS_CLIENT_SECRET"):
        Client.from_env()
    assert len(keyring.asked) == 1


def test_the_progress_bar_counts_rows_and_knows_the_total(service, capsys, monkeypatch):
    """One bar on standard error, gone at the end; no warnings about notebooks."""
    seconds = itertools.count(step=2)
    monkeypatch.setattr("tqdm.std.time", lambda: next(seconds))
    with client_of(service) as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        for workers in (1, 4):
            list(client.pages(workers=workers, page_size=20, progress=True))
            shown = capsys.readouterr().err
            assert "240/240" in shown
            assert "\n" not in shown
            assert not shown.rstrip("\r").rpartition("\r")[2].strip()


def test_what_is_quick_shows_no_bar(service, capsys, tmp_path):
    """Neither a load from the service nor one from a file flickers."""
    with client_of(service) as client:
        list(client.pages(workers=4, page_size=20, progress=True))
    path = tmp_path / "a.json"
    path.write_text(json.dumps(ITEMS), encoding="utf-8")
    ak.load(path, progress=True)
    assert not capsys.readouterr().err


def test_two_hundred_loads_with_random_faults_are_exact_or_honest():
    """The soak: every load is whole, or an error says that it is not."""
    kinds = [*PASSING, "403", "no-items", "repeat", "hang"]
    outcomes = []
    for seed in range(200):
        chance = random.Random(seed)
        items = list(made(chance.randrange(0, 90), seed))
        rates = {kind: chance.choice([0, 0, 0.02, 0.1]) for kind in chance.sample(kinds, 6)}
        rates["hang"] = min(rates.get("hang", 0), 0.01)
        with serve(items, faults=Faults(rates=rates, seed=seed)) as service:
            client = client_of(service, timeout=0.15)
            try:
                got = ids(client.activities(workers=chance.choice([1, 4]), page_size=10))
            except ak.ApiError:
                outcomes.append("error")
            else:
                assert got == ids(items), seed
                outcomes.append("exact")
    assert outcomes.count("exact") > 100


text = st.sampled_from(
    ["ok", "SRV (1)", "a*b", "Ünï 100%", GUID, GUID.upper(), GUID.title(), "x_y", "back\\slash"]
)
moment = st.integers(0, 40 * 10**9).map(
    lambda ns: f"2026-03-01T00:00:{ns // 10**9:02}.{ns % 10**9:09}".rstrip("0").rstrip(".") + "Z"
)
party = st.fixed_dictionaries({}, optional={"id": text, "name": text, "type": text})
activities = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(1, 60),
            "type": text,
            "state": st.sampled_from(["started", "completed", "enqueued"]),
        },
        optional={
            "createdAt": moment | st.none(),
            "updatedAt": moment,
            "completedAt": moment,
            "resource": party,
            "policy": party | st.none(),
            "startedByUser": text,
            "result": st.fixed_dictionaries({"code": st.sampled_from(["ok", "error", "warning"])}),
            "tags": st.lists(text, max_size=2),
            "taskId": st.integers(1, 5),
            "parentActivityId": st.integers(1, 5) | st.none(),
            "sustainable": st.booleans(),
            "tenant": st.fixed_dictionaries(
                {"id": st.sampled_from(["66", "67"]), "name": text,
                 "locator": st.sampled_from(["/1/66/", "/1/66/67/"])}
            ),
        },
    ),
    max_size=30,
    unique_by=lambda item: item["id"],
)  # fmt: skip
some_text = st.lists(text, max_size=2)
filters = st.builds(
    ak.Filter,
    since=st.none() | moment,
    until=st.none() | moment,
    on=st.sampled_from(["createdAt", "updatedAt", "completedAt"]),
    state=st.lists(st.sampled_from(["started", "completed"]), max_size=2),
    result=st.lists(st.sampled_from(["ok", "error", "odd", "queued", "running"]), max_size=2),
    type=st.just([]) | some_text,
    resource=st.just([]) | some_text,
    policy=st.just([]) | some_text,
    started_by=st.just([]) | some_text,
    tag=st.just([]) | some_text,
    tenant=st.sampled_from([[], ["66"], ["/1/66/67"], ["ok"]]),
    task=st.lists(st.integers(1, 5), max_size=2),
    parent=st.lists(st.integers(1, 5), max_size=1),
    sustainable=st.none() | st.booleans(),
    text=st.sampled_from(["", "srv", "K"]),
)


@pytest.mark.parametrize("state", [(), "completed", "started"])
@pytest.mark.parametrize("result", ["ok", "queued", "running", "none", ["ok", "running"]])
def test_counts_are_those_of_the_rows(state, result):
    """Also where the words of a result mean states, beside states that are asked for."""
    codes = [None, {"code": "ok"}]
    states = ["enqueued", "started", "completed"]
    pairs = enumerate(itertools.product(states, codes), start=1)
    items = [activity(number, state=kind, result=code) for number, (kind, code) in pairs]
    where = ak.Filter(state=state, result=result)
    with serve(items) as service, client_of(service) as client:
        assert client.count(where) == sum(map(where.matches, items))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(items=activities, where=filters, workers=st.sampled_from([1, 4]))
def test_a_filter_gives_the_same_rows_from_the_service_as_from_a_list(items, where, workers):
    """What is sent is never narrower than what is meant, and the local cut is exact."""
    wanted = sorted((i for i in items if where.matches(i)), key=lambda item: item["id"])
    with serve(items) as service, client_of(service) as client:
        got = list(client.activities(where, workers=workers, page_size=4))
        assert sorted(got, key=lambda item: item["id"]) == wanted
        assert client.count(where) == len(wanted)
