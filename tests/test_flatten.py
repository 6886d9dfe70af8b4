"""Activities in, frame out, and back: nothing lost, whatever arrives and in whatever order."""

import gc
import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import activitykit as ak
from activitykit.demo import simulate
from activitykit.flatten import decode, flatten_pages, times
from activitykit.flatten.names import RESERVED, TIMES, name_of, path_of
from activitykit.moments import parse_time
from activitykit.schema import ATTRS, CORE, DERIVED

KEYS = st.one_of(
    st.sampled_from(
        ["a", "b", "a.b", "", ".", "\\", "\\.", "\\a", '"', "\n", "é", "\U0001f600", "\ud800",
         "items", "type", "context", "result", "error", "_src", "suberror", "text", "code",
         "tags", "\\ud800", *sorted(RESERVED)]
    ),
    st.text(max_size=3),
)  # fmt: skip
NUMBERS = st.one_of(
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**40]),
    st.integers(-5, 5),
    st.sampled_from([-0.0, 1.0, 0.1, 1e16, 1e308, 5e-324, math.inf]),
    st.floats(allow_nan=False),
)
MOMENTS = st.sampled_from(
    ["2025-10-10T17:22:10Z", "2025-10-10T17:22:10.33Z", "2025-10-10T17:22:10.330Z",
     "2025-10-10t17:22:10z", "2025-10-10T17:22:10.123456789+02:00", "2016-12-31T23:59:60Z",
     "0001-01-01T00:00:00Z", "2025-02-30T00:00:00Z", "2262-04-11T23:47:16.854775807Z",
     "1677-09-21T00:12:43.145224193Z", "2025-10-10", "soon", ""]
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, MOMENTS, st.text(max_size=4), KEYS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
FIELDS = st.one_of(KEYS, st.sampled_from([*TIMES, "taskId", "tenant", "progress", "uuid"]))
# tasks among activities are left out, so nothing here is a task
BODIES = st.dictionaries(FIELDS.filter(lambda key: key != "enqueuedAt"), VALUES, max_size=6)


@st.composite
def activities(draw, **sizes):
    """Draw activities with distinct ids, in any order."""
    bodies = draw(st.lists(BODIES, max_size=6, **sizes))
    ids = draw(st.permutations([i * 1_000_003 - 1_000_003 for i in range(len(bodies))]))
    return [body | {"id": i} for body, i in zip(bodies, ids, strict=True)]


def without_nulls(value):
    """Drop null members of objects: JSON null and an absent key are the same."""
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}


def same(left, right):
    """Compare JSON modulo null, below lists too, with -0.0 apart from 0."""
    return json.dumps(deep(left), sort_keys=True) == json.dumps(deep(right), sort_keys=True)


def deep(value):
    """Drop nulls everywhere, and write whole numbers in one way."""
    if isinstance(value, dict):
        return {key: deep(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [deep(inner) for inner in value]
    # 1 and 1.0 are equal, in Python and in a column of numbers
    if isinstance(value, int) and not isinstance(value, bool) and value == float_or_none(value):
        return float(value)
    return value


def float_or_none(value):
    """Give the float that equals an integer, if there is one."""
    try:
        return float(value) if int(float(value)) == value else None
    except OverflowError:
        return None


def frames_equal(left, right):
    """Compare frames and notes; how many chunks there were is no part of it."""
    pd.testing.assert_frame_equal(left, right)
    notes = [{**df.attrs[ATTRS], "pages": 0} for df in (left, right)]
    assert notes[0] == notes[1]


@settings(max_examples=80, deadline=None)
@given(activities())
@example([{"id": 1, "a": {"b": None}, "a.b": 1, "\\": {"": [None, {"x": None}]}}])
@example([{"id": 1, "n": 1}, {"id": 2, "n": 2**53 + 1}, {"id": 3, "n": 0.5}])
def test_unflatten_undoes_flatten(items):
    """Whatever JSON holds comes back, but for nulls."""
    back = ak.unflatten(ak.flatten(items))
    assert same(back, sorted(items, key=lambda item: item["id"]))


@settings(max_examples=50, deadline=None)
@given(activities(), st.randoms(use_true_random=False), st.integers(1, 3))
def test_order_and_cuts_make_no_difference(items, rng, size):
    """Any order, any pages, lists, lines or single activities give the same frame."""
    expected = ak.flatten(items)
    rng.shuffle(items)
    parts = [items[i : i + size] for i in range(0, len(items), size)]
    wrap = [
        lambda part: json.dumps({"items": part, "size": len(part)}),
        lambda part: json.dumps(part, indent=2),
        lambda part: "\n".join(map(json.dumps, part)),
    ]
    chunks = [rng.choice(wrap)(part).encode() for part in parts]
    frames_equal(flatten_pages(chunks), expected)


@settings(max_examples=50, deadline=None)
@given(activities(min_size=1), st.integers(1, 200))
def test_fast_and_plain_decoding_agree(items, batch):
    """Structs, in batches of any size, find what the plain walk finds, in pages or lists."""
    parts = [items[: batch % 5], items[batch % 5 :]]
    pages = [json.dumps({"items": part}).encode() for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "_BATCH_BYTES", batch)
        patch.setattr(decode, "_LARGEST_PAGE", 16 * batch)
        patch.setattr(decode, "_MOST_ASIDE", 2 * batch)
        fast = [flatten_pages(pages * 2), flatten_pages([json.dumps(items * 2).encode()])]
        patch.setattr(decode.Shape, "read", lambda *_: None)
        patch.setattr(decode.Shape, "read_chunks", lambda *_: None)
        plain = flatten_pages(pages * 2)
    for frame in fast:
        frames_equal(frame, plain)


@settings(max_examples=40, deadline=None)
@given(activities())
def test_flattening_twice_changes_nothing(items):
    """A frame of what came back is the same frame."""
    df = ak.flatten(items)
    frames_equal(ak.flatten(ak.unflatten(df)), df)


@given(st.lists(st.text(alphabet=st.characters(), max_size=5), min_size=1, max_size=4))
@example(["updatedAt_raw"])
@example(["\ud800", "\\ud800"])
def test_column_names_can_be_read_back(path):
    """A name stands for one path only, and is no name of our own columns."""
    name = name_of(path)
    assert path_of(name) == tuple(path)
    assert name not in RESERVED
    name.encode()


@given(st.one_of(MOMENTS, st.datetimes().map(lambda t: t.isoformat() + "Z"), st.text(max_size=30)))
def test_times_in_bulk_agree_with_the_grammar(text):
    """Reading a column gives what `parse_time` gives, and text and time together are exact."""
    import pyarrow as pa

    column = pa.array([text if text.isprintable() else None, "2025-01-31T00:00:00Z"])
    column = column.cast(pa.large_string())
    found, raw = times.read_times(column)
    assert found.cast(pa.int64()).to_pylist() == [parse_time(one) for one in column.to_pylist()]
    written = zip(raw.to_pylist(), times.write_times(found).to_pylist(), strict=True)
    assert [text if kept is None else kept for kept, text in written] == column.to_pylist()


@settings(deadline=None)
@given(
    st.datetimes(datetime(1678, 1, 1), datetime(2262, 1, 1)),  # noqa: DTZ001 - the offset is drawn too
    st.integers(0, 999),
    st.integers(-23 * 60, 23 * 60),
)
def test_times_keep_nine_digits(moment, nanoseconds, offset):
    """Python's own arithmetic gives the same instant, to the nanosecond."""
    local = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    text = f"{moment.isoformat(timespec='microseconds')}{nanoseconds:03d}{local.isoformat()[-6:]}"
    df = ak.flatten([{"id": 1, "createdAt": text}])
    micros = (local.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert df["createdAt"][0].value == micros * 1000 + nanoseconds
    assert ak.unflatten(df)[0]["createdAt"] == text


def test_core_columns_always_exist_in_order():
    """An empty load has all core and derived columns, with their types, and nothing else."""
    df = ak.flatten([])
    assert list(df.columns) == [column.name for column in (*CORE, *DERIVED)]
    kinds = dict(zip(df.columns, df.dtypes.astype(str), strict=True))
    expected = ak.columns().set_index("name")["dtype"].to_dict()
    assert kinds == expected
    frame = ak.flatten([{"id": 1, "z": 1, "b": {"c": 2}, "context": {"a": 3}}])
    assert list(frame.columns[len(kinds) :]) == ["b.c", "context.a", "z"]


@pytest.mark.parametrize(
    ("values", "dtype", "first"),
    [
        ([True, False], "boolean", True),
        ([1, 2**63 - 1], "Int64", 1),
        ([1, 0.5], "Float64", 1.0),
        (["1", "2"], "str", "1"),
        ([1, "1"], "str", "1"),
        ([True, 1], "str", "true"),
        ([2**63, 1], "str", str(2**63)),
        ([2**53 + 1, 0.5], "str", str(2**53 + 1)),
        ([[], ["é"]], "str", "[]"),
    ],
)
def test_type_of_a_column(values, dtype, first):
    """The whole load decides, and a mixture keeps every value as its JSON text."""
    df = ak.flatten([{"id": i, "x": value} for i, value in enumerate(values)])
    assert str(df["x"].dtype) == dtype
    assert df["x"][0] == first
    assert ("x" in df.attrs[ATTRS]["json_columns"]) == (dtype == "str" and values != ["1", "2"])


def test_ids_keep_every_digit():
    """Ids beyond 2^53 are exact, also beside missing ones in other columns."""
    df = ak.flatten([{"id": 1634702033410387969, "taskId": 1634702033410387971}, {"id": 5}])
    assert df["id"].tolist() == [5, 1634702033410387969]
    assert df["taskId"][1] == 1634702033410387971


def test_objects_deeper_than_six_levels_stay_json():
    """Six levels below the activity become columns; the seventh is JSON text in its column."""
    value = {"h": [1]}
    for key in "gfedcba":
        value = {key: value}
    df = ak.flatten([{"id": 1, **value}])
    assert json.loads(df["a.b.c.d.e.f.g"][0]) == {"h": [1]}


def test_the_latest_copy_stays_whatever_the_order():
    """Of copies, the greatest updatedAt wins; among equals the same one whatever came first."""
    copies = [
        {"id": 1, "updatedAt": "2025-01-01T00:00:00.5Z", "n": 1},
        {"id": 1, "updatedAt": "2025-01-01T00:00:00.49Z", "n": "old"},
        {"id": 1, "updatedAt": "2025-01-01T00:00:00.5Z", "n": 2},
        {"id": 1, "updatedAt": "never", "n": 4},
    ]
    frames = [ak.flatten(order) for order in (copies, copies[::-1], copies[2:] + copies[:2])]
    for df in frames:
        frames_equal(df, frames[0])
    assert frames[0]["n"].tolist() == [2]
    assert frames[0].attrs[ATTRS]["duplicates"] == {"n": 3, "example_ids": [1]}


def test_tasks_among_activities_are_left_out():
    """Mixed streams keep the activities, also where a task has the same id; tasks alone stay."""
    task = {"id": 1, "queue": "legacySync", "enqueuedAt": "2025-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z"}  # fmt: skip
    activity = {"id": 1, "taskId": 1, "createdAt": "2025-01-01T00:00:00Z"}
    mixed = ak.flatten([task, activity])
    assert ak.unflatten(mixed) == [activity]
    assert mixed.attrs[ATTRS]["tasks_left_out"] == 1
    assert ak.unflatten(ak.flatten([task])) == [task]


def test_unreadable_times_are_kept_beside():
    """What is no time is null, kept as it came, and noted."""
    df = ak.flatten([{"id": 1, "startedAt": "soon"}, {"id": 2, "startedAt": 5}, {"id": 3}])
    assert df["startedAt"].isna().all()
    assert df["startedAt_raw"].tolist()[:2] == ['"soon"', "5"]
    noted = df.attrs[ATTRS]["unreadable_times"]
    assert noted == [{"column": "startedAt", "n": 2, "example_ids": [1, 2]}]


def test_conflicts_are_noted():
    """A column of mixed kinds is named, with counts and the ids of the rarer kinds."""
    df = ak.flatten([{"id": 1, "x": 1}, {"id": 2, "x": "a"}, {"id": 3, "x": "b"}])
    noted = df.attrs[ATTRS]["conflicts"]
    assert noted == [{"column": "x", "kinds": {"integer": 1, "text": 2}, "example_ids": [1]}]


def test_very_wide_loads_keep_the_rarest_paths_in_one_column():
    """Over 512 columns beyond the core the rarest become one JSON text; nothing is lost."""
    items = [{"id": i, "context": {f"k{i}.x": i, "often": i, "y": {f"z{i}": [i]}}, "tags": ["t"]}
             for i in range(600)]  # fmt: skip
    items.append({"id": 600, "operation": 1, "tags": ["u"]})
    with pytest.warns(UserWarning, match=r"1203 columns .* 691 are in `context_rest`"):
        df = ak.flatten(items)
    assert df.shape[1] == len(CORE) + len(DERIVED) + 512 + 1
    assert {"context.often", "tags", "context_rest"} <= set(df.columns)
    assert ak.unflatten(df) == items


def test_refusal_names_the_first_ten_by_position():
    """What is no activity is named by its position; values that may be secret are not shown."""
    items = [{"id": 1}, {"access_token": "hush"}, 5, *[{"id": "7"}] * 20]
    with pytest.raises(ak.FlattenError, match=r"22 item\(s\).*\b1 \(.*; 2 \(int\); 3 \(") as caught:
        ak.flatten(items)
    assert "hush" not in str(caught.value)
    assert "11 (" not in str(caught.value)


@pytest.mark.parametrize("identity", [None, True, 1.0, "1", 2**63, [1]])
def test_ids_must_be_64_bit_integers(identity):
    """Rounded, textual or huge ids are refused rather than guessed at."""
    with pytest.raises(ak.FlattenError, match="0 "):
        ak.flatten([{"id": identity}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no"), (b"{", "not JSON"), (b'{"id": 1}\n{"id": }', "line 2"),
        (b'{"domain": "Access", "code": "AccessDenied"}', "AccessDenied"),
        (b'{"error": {"domain": "Platform", "message": "Token gone"}}', "Platform.*Token gone"),
        (b'{"items": 5}', "items"), (b'{"items": null}', "no list"), (b"[" * 100_000, "not JSON"),
        (b'{"id": 1, "x": "\xff"}', "item 0"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_said_to_be_so(text, message):
    """Broken text, error replies and pages without items give one clear error."""
    if not text:
        assert flatten_pages([text]).empty
        return
    with pytest.raises(ak.FlattenError, match=message):
        flatten_pages([text])


@pytest.mark.parametrize("odd", [b'"\xff"', b'{"y": "\xff"}', b'{"y": ["\xff"]}'])
def test_broken_text_is_found_at_any_depth(odd):
    """Nested values are read late, and the activity that holds them is still named."""
    good = b'{"id": %d, "x": {"y": "a"}}'
    items = b",".join([*(good % i for i in range(3)), b'{"id": 3, "x": %b}' % odd])
    with pytest.raises(ak.FlattenError, match="item 3"):
        flatten_pages([b'{"items": [%b]}' % items])


def test_what_is_no_json_value_is_refused():
    """Python objects that no JSON can hold are named by type."""
    with pytest.raises(ak.FlattenError, match="datetime is no JSON value"):
        ak.flatten([{"id": 1, "x": datetime(2025, 1, 1, tzinfo=UTC)}])


@pytest.mark.parametrize("text", [b'{"items": [], "size": 0}', b"[]", b"\n"])
def test_empty_pages_are_no_error(text):
    """The last page may be empty."""
    assert flatten_pages([text]).empty


def test_simulated_activities_come_back():
    """Thousands of realistic activities survive the way into a frame and back."""
    items = list(simulate(3_000, seed=3))
    back = ak.unflatten(ak.flatten(items))
    assert back == [without_nulls(item) for item in sorted(items, key=lambda item: item["id"])]


def test_json_normalize_agrees_on_plain_values():
    """Names and values of plain columns are those of pandas.json_normalize."""
    items = list(simulate(500, seed=1))
    df = ak.flatten(items).set_index("id")
    expected = pd.json_normalize(items).set_index("id").sort_index()
    for name in ("type", "tenant.name", "result.code", "context.title", "resource.id"):
        pd.testing.assert_series_equal(df[name], expected[name].astype(df[name].dtype))


def test_the_last_of_equal_keys_counts():
    """As in every JSON reader, whatever the earlier one held."""
    text = b'[{"id": 1, "a": {"x": 1}, "a": {"y": 2}, "b": 1, "b": {"c": 1}, "d": [1], "d": null}]'
    assert ak.unflatten(flatten_pages([text])) == [{"id": 1, "a": {"y": 2}, "b": {"c": 1}}]


def test_garbage_collection_is_left_as_it_was():
    """Decoding pauses the collector, and resumes it after an error as well."""
    with pytest.raises(ak.FlattenError):
        flatten_pages([b'{"id": 1, "x": "\xff"}'])
    assert gc.isenabled()


def test_a_frame_of_some_rows_and_columns_can_be_unflattened():
    """Selections keep what is needed to read them."""
    df = ak.flatten([{"id": i, "tags": ["a"], "context": {"n": i}} for i in range(4)])
    part = df.loc[df["id"] > 1, ["id", "tags"]]
    assert ak.unflatten(part) == [{"id": 2, "tags": ["a"]}, {"id": 3, "tags": ["a"]}]
