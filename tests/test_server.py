"""The emulated service, asked without our client: it keeps to the contract by itself."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
import requests

import activitykit as ak
from activitykit.demo import Faults, Variants, serve
from activitykit.demo.query import read_moment, stored_moment

API = "/api/task_manager/v2"


def activity(number, **more):
    """Give a small activity, created so many minutes after midnight."""
    created = f"2026-03-01T00:{number:02}:00.123456789Z"
    return {"id": number, "type": "Download", "state": "completed", "createdAt": created, **more}


ITEMS = [
    activity(1, resource={"id": "R1", "name": "SRV-1"}, result={"code": "ok"}),
    activity(2, resource={"id": "R2", "name": "srv-2"}, result={"code": "error"}, tags=["a", "b"]),
    activity(3, state="started", parentActivityId=1, startedByUser="ann"),
    activity(4, createdAt="2026-03-01T02:00:00.5+02:00", startedByUser="bob"),
]


def signed(service):
    """Give a session with a token."""
    session = requests.Session()
    session.trust_env = False
    reply = session.post(
        f"{service.base_url}/api/2/idp/token",
        data={"grant_type": "client_credentials"},
        auth=(service.client_id, service.client_secret),
    ).json()
    session.headers["Authorization"] = f"Bearer {reply['access_token']}"
    return session


@pytest.fixture(scope="module")
def ask():
    """Give a function that sends a query and returns status and reply."""
    with serve(ITEMS) as service:
        session = signed(service)

        def send(query, kind="activities"):
            reply = session.get(f"{service.base_url}{API}/{kind}?{query}")
            return reply.status_code, reply.json()

        yield send


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", [1, 2, 3, 4]),
        ("order=desc(id)", [4, 3, 2, 1]),
        ("order=desc(startedByUser)", [4, 3, 2, 1]),
        ("order=asc(createdAt)", [4, 1, 2, 3]),
        ("state=started&state=completed", [1, 2, 3, 4]),
        ("resultCode=error", [2]),
        ("resourceName=like(rv-)", [2]),
        ("resourceName=hlike(SRV)", [1]),
        ("resourceName=tlike(-2)", [2]),
        ("startedBy=ne(ann)", [4]),
        ("startedBy=isnull()", [1, 2]),
        ("parentActivityId=notnull()", [3]),
        ("tag=b", [2]),
        ("id=gt(1)&id=le(3)", [2, 3]),
        ("createdAt=gt(2026-03-01T00:01:00.123456789Z)&createdAt=lt(2026-03-01T00:03:00Z)", [2]),
        ("createdAt=ge(2026-03-01T01:02:00.123456789%2B01:00)", [2, 3]),
        ("createdAt=le(1772323200500000000ns)", [4]),
        ("createdAt=gt(1772323380)", [3]),
        ("state=started&resultCode=ok", []),
    ],
)
def test_conditions_and_order(ask, query, wanted):
    """Values of one field are alternatives, fields and bounds must all hold."""
    status, reply = ask(query)
    assert status == 200
    assert [item["id"] for item in reply["items"]] == wanted
    assert reply["size"] == len(wanted)
    assert reply["timeStamp"].endswith("ns")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("tenant_id=1", "bad condition field 'tenant_id'"),
        ("status=ok", "bad condition field 'status'"),
        ("state=", "empty condition field"),
        ("type=like(x)", "like functions are unsupported on field 'type'"),
        ("type=gt(x)", "unsupported function 'gt' on field 'type'"),
        ("type=in(x)", "unsupported function 'in' on field 'type'"),
        ("type=like(x", "bad function 'like(x', no closing bracket"),
        ("type=x)", "bad function 'x)', no opening bracket"),
        ("type=)x(", "bad function ')x(', closing bracket placed before opening bracket"),
        (f"type={'x' * 65}", "field 'type' value is too long, max length is 64"),
        (f"policyName={'x' * 257}", "field 'policyName' value is too long, max length is 256"),
        ("uuid=abc", "bad uuid format: abc"),
        ("createdAt=gt(now)", "incorrect time format, must be one of"),
        ("order=up(id)", "bad order function 'up'"),
        ("order=asc()", "empty order field"),
        ("limit=0", "bad value '0' on field 'limit'"),
        ("lod=most", "bad value 'most' on field 'lod'"),
        ("after=AAAA&limit=1", "bad page token"),
        ("startedBy=ne(a)&startedBy=a", "contradicting conditions"),
    ],
)
def test_refusals_use_the_words_of_the_service(ask, query, said):
    """Unknown or unreadable parameters give HTTP 400 with a flat error."""
    status, reply = ask(query)
    assert status == 400
    assert said in reply["debug"]["msg"]
    assert reply["domain"]
    assert reply["code"]


def test_pages_go_on_by_token_and_limit_alone(ask):
    """The token holds the query and has every odd character; an exact multiple ends empty."""
    _, first = ask("limit=2&state=completed&order=desc(id)")
    token = first["paging"]["cursors"]["after"]
    assert set("+/=") <= set(token)
    assert base64.b64decode(token)
    assert ask(f"limit=2&after={quote(token)}&state=completed")[0] == 400
    assert ask(f"after={quote(token, safe='')}")[0] == 400
    _, second = ask(f"limit=2&after={quote(token, safe='')}")
    assert [item["id"] for item in first["items"] + second["items"]] == [4, 2, 1]
    assert "paging" not in second
    _, all_four = ask("limit=4")
    _, empty = ask(f"limit=4&after={quote(all_four['paging']['cursors']['after'], safe='')}")
    assert empty["items"] == []


def test_counts_single_objects_and_tasks(ask):
    """`lod=count` counts all matches; tasks have their own parameters."""
    assert ask("lod=count&state=completed")[1]["size"] == 3
    assert ask("lod=count&state=completed")[1]["items"] == []
    assert ask("queue=legacySync", kind="tasks")[1]["size"] == 4
    assert "createdAt" in ask("createdAt=gt(1)", kind="tasks")[1]["debug"]["msg"]
    assert ask("", kind="activities/2")[1]["tags"] == ["a", "b"]
    assert ask("", kind="activities/9")[0] == 404


def test_without_a_token_nothing_is_shown():
    """Wrong secrets and missing tokens give 401, in the form of each API."""
    with serve(ITEMS) as service:
        session = signed(service)
        session.headers.clear()
        assert session.get(f"{service.base_url}{API}/activities").status_code == 401
        reply = session.post(
            f"{service.base_url}/api/2/idp/token",
            data={"grant_type": "client_credentials"},
            auth=(service.client_id, "wrong"),
        )
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


def test_rows_that_change_between_pages_are_neither_lost_nor_doubled_by_id():
    """Paging goes by the key of the last row, over live data."""
    faults = Faults(script=["", "mutate", "late"], late=[activity(50)])
    with serve([activity(n) for n in range(1, 10)], faults=faults) as service:
        session, after, seen = signed(service), {}, []
        for _ in range(5):
            reply = session.get(
                f"{service.base_url}{API}/activities", params={"limit": 3, **after}
            ).json()
            seen += [item["id"] for item in reply["items"]]
            after = {"after": reply.get("paging", {}).get("cursors", {}).get("after")}
    assert seen[:10] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 50]


def test_a_connection_serves_many_requests():
    """HTTP/1.1 keep-alive, as the real service does."""
    with serve(ITEMS, variants=Variants(gzip=True)) as service:
        session = signed(service)
        for _ in range(3):
            reply = session.get(f"{service.base_url}{API}/activities")
            assert reply.headers["Content-Encoding"] == "gzip"
            assert len(json.loads(reply.content)["items"]) == 4
        pool = session.get_adapter(service.base_url).poolmanager.connection_from_url(
            service.base_url
        )
        assert pool.num_connections <= 1


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:30:45Z",
        "Sun, 01 Mar 2026 12:30:45 GMT",
        "Sunday, 01-Mar-26 12:30:45 GMT",
        "Sun Mar  1 12:30:45 2026",
        "1772368245",
        "1772368245000000000ns",
    ],
)
def test_all_documented_time_forms_mean_the_same(text):
    """Six forms, one moment."""
    wanted = int(datetime(2026, 3, 1, 12, 30, 45, tzinfo=UTC).timestamp()) * 10**9
    assert read_moment(text, "createdAt") == wanted
    assert stored_moment("2026-03-01T12:30:45.000000001Z") == wanted + 1


def test_unknown_faults_are_refused():
    """A misspelt fault would never happen."""
    with pytest.raises(ak.ConfigError, match="choose from 401"):
        Faults(rates={"teapot": 1})
