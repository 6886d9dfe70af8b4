"""What an activity did and why it failed, in words that group well."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import activitykit as ak
from activitykit.demo import simulate
from activitykit.flatten.derive import blank_names, signature


def one(**fields):
    """Flatten one activity and give its derived columns."""
    row = ak.flatten([{"id": 1, **fields}]).iloc[0]
    return [None if row[name] != row[name] else row[name]
            for name in ("operation", "error_signature", "error_cause")]  # fmt: skip


def chain(*texts):
    """Nest texts as the service does, the deepest last, an empty link at the end."""
    link = {}
    for text in reversed(texts):
        link = {"code": 1, "text": text, "suberror": link}
    return link


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "agent.add"}, "Adding agent"),
        ({"type": "a59e8bf2-39c3-42c4-b667-cb672381a214"}, "Adding agent"),
        ({"type": "X", "context": {"title": "Deleting plan 'A' (web-1)"},
          "resource": {"name": "web-1"}}, "Deleting plan … (…)"),
        ({"type": "X", "context": {"title": " "}}, "X"),
        ({"type": ["X"]}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_operation(fields, expected):
    """The table of known types, else the title without names, else the type."""
    assert one(**fields)[0] == expected


@pytest.mark.parametrize("depth", range(1, 18))
def test_cause_is_the_deepest_text(depth):
    """However long the chain, its last sentence is the cause; empty texts are passed over."""
    texts = [f"Level {'x' * i}" for i in range(depth)]
    error = {"domain": "Common", "code": "InternalError",
             "context": {"_src": chain(*texts, ""), "cause_str": "other"}}  # fmt: skip
    _, found, cause = one(result={"code": "error", "error": error})
    assert cause == texts[-1]
    assert found == f"Common/InternalError: {texts[-1]}".strip()


def test_causes_are_looked_up_in_the_documented_order():
    """Taking the best text away uncovers the next one."""
    error = {"code": "C", "reason": "R", "context": {"cause_str": "S"}, "debug": {"msg": "M"}}
    result = {"code": "error", "error": error}
    found = []
    for part, key in ((error["debug"], "msg"), (error["context"], "cause_str"), (error, "reason")):
        found.append(one(result=result)[2])
        del part[key]
    assert [*found, one(result=result)[2]] == ["M", "S", "R", "C"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"code": "ok"}, [None, None]),
        ({"code": "timedout"}, ["timedout", None]),
        ({"code": "cancelled", "error": None}, ["cancelled", None]),
        ({"code": "exploded"}, ["exploded", None]),
        ({"code": "error", "error": {}}, ["error", None]),
        ({"code": "error", "error": {"domain": "D", "code": "C"}}, ["D/C", "C"]),
        ({"code": "warning", "warnings": [{"domain": "D", "code": "C", "debug": {"msg": "w 1"}}]},
         ["D/C: w <n>", "w 1"]),
        ({"code": "warning", "warnings": [{"context": {"_src": chain(*"abcde")}}]},
         ["warning: e", "e"]),
        ({"code": "error", "payload": {"error": {"code": "C", "reason": "why"}}},
         ["C: why", "why"]),
        ({"code": "warning", "payload": {"UnresolvedItemsWarning": [{"message": "gone"}]}},
         ["warning: gone", "gone"]),
        ({"code": "ok", "payload": {"UnresolvedItemsWarning": [{"message": "gone"}]}},
         [None, None]),
    ],
)  # fmt: skip
def test_failures_without_a_usual_error_are_still_named(result, expected):
    """Every result other than ok gets a signature; ok gets none."""
    assert one(result=result)[1:] == expected


def test_the_agents_own_words_come_last():
    """`context.Result` explains a failure that nothing else explains."""
    context = {"Result": "Disk full"}
    assert one(result={"code": "error"}, context=context)[1:] == ["error: Disk full", "Disk full"]
    assert one(result={"code": "ok"}, context=context)[1:] == [None, None]


MACHINES = st.tuples(
    st.from_regex(r"[A-Z]{3,8}-[A-Z0-9]{2,6}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.uuids().map(str),
    st.integers(0, 10**12),
)


@given(MACHINES, MACHINES, st.sampled_from([
    "Cannot back up {0}: attempt {3}.", "No route to {1}:{3}.", "Plan '{0}' ({2}) is gone",
    r"Cannot open \\{0}\share\{2}.tibx", r"Cannot write C:\Users\{0}\x.tmp, {3} bytes",
    "https://{0}.example.com/{2} answered {3}", "User {0}@example.com is locked",
    "/mnt/{0}/a is full",
]))  # fmt: skip
def test_the_same_failure_on_two_machines_has_one_signature(left, right, text):
    """Names, ids, addresses, paths and numbers make no difference."""
    made = {signature("D/C", text.format(*m), [m[0]]) for m in (left, right)}
    assert len(made) == 1


def test_different_failures_have_different_signatures():
    """Words and error codes stay."""
    texts = [
        "Disk full",
        "Disk failed",
        "Error 0x80070032",
        "Error 0x80070005",
        "No 'a'",
        "Not 'a'",
    ]
    assert len({signature("D/C", text) for text in texts}) == len(texts)


@given(st.text(max_size=60), st.text(max_size=10))
def test_any_text_can_be_generalised(text, name):
    """Odd texts neither fail nor grow beyond measure."""
    assert len(signature("D", text, [name] if name.strip() else [])) <= 8 * len(text) + 10
    blank_names(text, [name] if name.strip() else [])


def test_long_texts_take_no_time():
    """Patterns do not backtrack over hostile input."""
    for text in (
        "'" * 20_000,
        "a." * 10_000,
        "1:" * 10_000,
        "a-" * 10_000,
        "\\" * 20_000,
        "/a" * 9_000,
    ):
        signature("D", text)


def test_signatures_are_few_and_readable():
    """Thousands of simulated failures come down to a few dozen sentences."""
    df = ak.flatten(simulate(5_000, seed=2))
    failed = df["result.code"].isin(["error", "abandoned", "timedout"])
    assert df.loc[failed, "error_signature"].notna().all()
    assert df["error_signature"].nunique() < 60
    assert df.loc[df["result.code"] == "ok", "error_signature"].isna().all()


def test_the_published_failure():
    """The documented VMware failure names its root cause."""
    text = Path(ak.demo.__file__).with_name("examples.ndjson").read_text(encoding="utf-8")
    results = [json.loads(line).get("result", {}) for line in text.splitlines()]
    failures = [result for result in results if result.get("code") == "error"]
    for result in failures:
        _, found, cause = one(result=result)
        assert cause == result["error"]["context"]["cause_str"]
        assert found == f"Common/InternalError: {cause}"
    assert failures


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"result": {"code": "error", "error": {"domain": "D", "reason": "Disk \ud800 full"}}},
         [None, "D: Disk ? full", "Disk ? full"]),
        ({"type": "X", "context": {"title": "Disk \ud800 full"}}, ["Disk ? full", None, None]),
    ],
)  # fmt: skip
def test_half_a_surrogate_pair_does_no_harm(fields, expected):
    """JSON may hold one, a column of text may not; the rest of the sentence is told."""
    assert one(**fields) == expected
