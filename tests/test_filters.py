"""One selection means the same everywhere; the service side is tested in test_client.py."""

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import activitykit as ak
from activitykit.filters import Filter

GUID = "3b9187d6-0853-45ff-aab0-0c68cd643068"
NAMES = ["srv-01", "VM (old)", "7_Tage_2*Täglich", "", "100%", GUID]


def item(**changes):
    """Make one activity with the fields that filters look at."""
    plain = {
        "id": 1,
        "type": "policy.apply",
        "state": "completed",
        "createdAt": "2026-01-31T22:00:00.5Z",
        "tenant": {"id": "67", "uuid": GUID, "name": "Contoso", "locator": "/1/66/67/"},
        "resource": {"id": GUID.upper(), "name": "srv-01", "type": "machine"},
        "policy": {"id": "8cc61f3c-46b0-40a6-9d60-7d72f68555db", "name": "Nightly (all)"},
        "startedByUser": "HOST\\AMS User",
        "result": {"code": "error", "error": {"code": "InternalError"}},
        "context": {"title": "Backing up STRASSE"},
        "tags": ["gold", "eu"],
    }
    return plain | changes


@pytest.mark.parametrize(
    "where",
    [
        {"tenant": "Contoso"},
        {"tenant": "67"},
        {"tenant": GUID.upper()},
        {"tenant": "/1/66/"},
        {"tenant": "/1/66"},
        {"resource": GUID},
        {"resource": "srv-*"},
        {"resource": ["nothing", GUID]},
        {"policy": "Nightly (all)"},
        {"policy": "*(all)"},
        {"started_by": "*AMS User"},
        {"result": ["warning", "error"], "type": "policy.apply"},
        {"type": ["Backup", "Applying plan"]},
        {"text": "strasse"},
        {"text": "internalerror"},
        {"tag": "eu"},
        {"id": 1},
        {"sustainable": False},
        {"since": "2026-01-31T22:00:00.5Z", "until": "2026-01-31T22:00:00.500000001Z"},
    ],
)
def test_matching_conditions(where):
    """An activity that meets the condition matches, as a raw object and as a row."""
    assert Filter(**where).matches(item())
    assert len(Filter(**where).select(ak.flatten([item()]))) == 1


@pytest.mark.parametrize(
    "where",
    [
        {"tenant": "Conto"},
        {"tenant": "/1/6"},
        {"resource": "srv"},
        {"policy": "nightly (all)"},
        {"result": "ok"},
        {"state": "never-heard-of"},
        {"text": "restore"},
        {"tag": "e"},
        {"id": 2},
        {"parent": 1},
        {"sustainable": True},
        {"until": "2026-01-31T22:00:00.5Z"},
        {"since": "2026-01-31T22:00:00.500000001Z"},
        {"since": "2020-01-01", "on": "completedAt"},
    ],
)
def test_failing_conditions(where):
    """An activity that misses the condition does not match, as a raw object or as a row."""
    assert not Filter(**where).matches(item())
    assert Filter(**where).select(ak.flatten([item()])).empty


texts = st.sampled_from([*NAMES, "ok", "error", "/1/", "67", "zz"])
activities = st.fixed_dictionaries(
    {"id": st.integers(1, 5)},
    optional={
        "type": texts,
        "state": st.sampled_from(["completed", "started", "odd"]),
        "createdAt": st.sampled_from(
            ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000001Z", "x"]
        ),
        "tenant": st.fixed_dictionaries(
            {}, optional={"id": texts, "name": texts, "locator": texts}
        ),
        "resource": st.fixed_dictionaries(
            {}, optional={"id": texts, "name": texts | st.integers()}
        ),
        "startedByUser": texts,
        "tags": st.lists(texts, max_size=2),
        "result": st.fixed_dictionaries({"code": texts}),
        "sustainable": st.booleans(),
    },
)
filters = st.builds(
    Filter,
    since=st.none() | st.just("2026-01-01T00:00:00Z"),
    until=st.none() | st.just("2026-01-01T00:00:00.000000001Z"),
    type=st.lists(texts, max_size=1),
    tenant=st.lists(texts, max_size=2),
    resource=st.lists(texts | st.just("*1*"), max_size=2),
    started_by=st.lists(texts, max_size=1),
    tag=st.lists(texts, max_size=1),
    result=st.lists(texts, max_size=2),
    text=st.sampled_from(["", "TAGE", "o"]),
    sustainable=st.none() | st.booleans(),
)


@given(filters, st.lists(activities, max_size=5, unique_by=lambda one: one["id"]))
def test_rows_and_raw_objects_agree(where, items):
    """A frame keeps exactly the activities that match one by one, also in odd columns."""
    expected = sorted(one["id"] for one in items if where.matches(one))
    assert where.select(ak.flatten(items))["id"].tolist() == expected


@given(filters)
def test_repr_rebuilds_the_filter(where):
    """What print shows is Python for the same filter."""
    assert eval(repr(where), {"ak": ak}) == where  # noqa: S307 - our own text


def test_selecting_by_the_end_is_noted_on_the_result_alone():
    """The latest beginning counts; an end, another time or the input's notes change nothing."""
    df = ak.flatten([item(completedAt="2026-02-05T00:00:00.123456789Z")])
    first = Filter(on="completedAt", since="2026-02-03T00:00:00.000000001Z").select(df)
    for since in ("2026-02-02", "2026-02-01"):
        first = Filter(on="completedAt", since=since).select(first)
    other = Filter(on="updatedAt", since="2020-01-01").select(
        Filter(on="completedAt", until="2026-03-01").select(df)
    )
    assert first.attrs["activitykit"]["ended_since"] == "2026-02-03T00:00:00.000000001Z"
    assert "ended_since" not in {**df.attrs["activitykit"], **other.attrs["activitykit"]}


NAMES = pd.Series(["b", "a", "b"], dtype="str")


@pytest.mark.parametrize(
    "many", [["b", "a"], ("b", "a"), {"a": 1, "b": 2}.keys(), {"b", "a"}, NAMES.unique(), NAMES,
             NAMES.to_numpy().astype(str), pd.Index(["b", "a"]), (one for one in "ba")],
)  # fmt: skip
def test_several_values_come_in_any_container(many):
    """What pandas and numpy give is taken as it is; a set, in an order that is the same always."""
    where = Filter(tenant=many)
    assert set(where.tenant) == {"a", "b"}
    assert all(type(one) is str for one in where.tenant)
    if isinstance(many, set):
        assert where.tenant == ("a", "b")


def test_numbers_come_in_any_container_too():
    """The integers of pandas and numpy become plain ones, which the Python of `repr` shows."""
    for many in (pd.array([7, 8], dtype="Int64"), pd.Series([7, 8]), {8, 7}, range(7, 9)):
        assert repr(Filter(id=many)) == "ak.Filter(id=[7, 8])"


def test_a_bad_value_among_many_is_shown_alone():
    """A missing name in a long column gives one short line that says what to give instead."""
    names = pd.Series(["Customer"] * 10_000 + [None], dtype="str")
    with pytest.raises(ValueError, match=r'^tenant: cannot use nan; give text \(""') as caught:
        Filter(tenant=names)
    assert len(str(caught.value)) < 120
    for bad in (b"67", [["67"]], [True], [1.5]):
        with pytest.raises(ValueError, match="task: cannot use"):
            Filter(task=bad)


def test_unknown_names_are_refused():
    """A misspelt condition is an error and not silently ignored."""
    with pytest.raises(TypeError, match="tenant_id"):
        Filter(tenant_id="67")


@pytest.mark.parametrize(
    "bad", [{"since": "soon"}, {"since": "2026-01-01T00:00:00.0123456789Z"}, {"id": "7"},
            {"type": 5}, {"on": "queuedAt"}, {"id": True}, {"since": "1500-01-01"}, {"since": 7},
            {"since": pd.NaT}, {"text": 5}, {"text": None}, {"sustainable": "yes"},
            {"sustainable": 1}, {"allow_deleted": "no"}],
)  # fmt: skip
def test_unreadable_values_are_refused(bad):
    """A value of the wrong kind is one clear ValueError that shows it."""
    with pytest.raises(ValueError, match=next(iter(bad)) if "since" not in bad else "as a time"):
        Filter(**bad)


@pytest.mark.parametrize(
    ("where", "sent"),
    [
        ({"resource": GUID}, [("resourceId", GUID), ("resourceId", GUID.upper())]),
        ({"resource": "srv-01"}, [("resourceName", "srv-01")]),
        ({"resource": "srv*prod-db"}, [("resourceName", "like(prod-db)")]),
        ({"resource": "VM (old)"}, [("resourceName", "like(VM )")]),
        ({"resource": ["a*", "b"]}, []),
        ({"resource": [GUID, "srv-01"]}, []),
        ({"state": "odd"}, []),
        ({"tenant": "67", "text": "x"}, []),
        ({"type": "x" * 65}, []),
        ({"uuid": "no-guid"}, []),
        ({"type": "Revoking plan"}, [
            ("type", "Revoking plan"), ("type", "policy.revoke"),
            ("type", "44328016-20D7-4799-A357-CF152C904ED0"),
            ("type", "44328016-20d7-4799-a357-cf152c904ed0"),
        ]),
        ({"parent": [1, 2]}, [("parentActivityId", "1"), ("parentActivityId", "2")]),
        ({"sustainable": True, "allow_deleted": False},
         [("sustainable", "true"), ("allow_deleted", "false")]),
        ({"until": "2026-01-01", "on": "updatedAt"},
         [("updatedAt", "lt(2026-01-01T00:00:00.000000000Z)")]),
    ],
)  # fmt: skip
def test_sent_parameters(where, sent):
    """Only conditions that the service reads as we mean them are sent."""
    assert Filter(**where).params() == sent


@pytest.mark.parametrize(
    ("where", "whole"),
    [
        (Filter(), True),
        (Filter(since="2026-01-01", state="completed", result="error", type=["a", "b"]), True),
        (Filter(result="odd"), False),
        (Filter(result="queued"), False),
        (Filter(state="completed", result="queued"), False),
        (Filter(policy="Nightly*"), False),
        (Filter(state="completed", tenant="Umbrella"), False),
    ],
)
def test_sent_whole_tells_whether_the_service_can_count(where, whole):
    """Only when each condition is sent as it is meant; a state leaves open whether a result is."""
    assert where.sent_whole() is whole


def test_missing_core_columns_are_named():
    """A frame that lacks what a condition needs is refused by name."""
    with pytest.raises(ak.SchemaError, match=r"result\.code") as caught:
        Filter(result="ok").select(pd.DataFrame({"id": [1]}))
    assert caught.value.missing == ("result.code",)


def test_lists_in_frames_are_compared_by_member():
    """A tag is found in the JSON text that a list column holds."""
    df = ak.flatten([item()])
    assert json.loads(df["tags"].iloc[0]) == ["gold", "eu"]
    assert Filter(tag="gold").mask(df).tolist() == [True]
