"""Masked frames: nothing of whom they tell of is left, and every number stays."""

import json
import re

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import activitykit as ak
from activitykit.cli.group import cli
from activitykit.demo import world
from activitykit.masking import masked
from activitykit.schema import ATTRS, KNOWN_TYPES

KEY = "correct horse battery staple"
GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
SAMPLE = [
    {
        "id": 1, "type": "policy.apply", "startedByUser": "WIN-R1OR1V5M79O\\AMS User",
        "tenant": {"id": "66", "name": "DemoCustomer2", "locator": "/1/66/",
                   "uuid": "07f6adf7-4665-4340-865d-c4a4c66f4dcd"},
        "resource": {"id": "3b9187d6-0853-45ff-aab0-0c68cd643068", "name": "WIN-R1OR1V5M79O"},
        "policy": {"id": "8cc61f3c-46b0-40a6-9d60-7d72f68555db", "name": "XDR plan"},
        "context": {
            "title": "Applying plan 'XDR plan' to resource win-r1or1v5m79o of DemoCustomer2",
            "Comments": "Ask Kowalski", "srv01.acme.test": 1,
            "Sources": [{"Path": "D:\\Geheim", "kowalski@acme.test": {"account": 187625}}],
        },
    },
    {
        "id": 2, "resource": {"id": "3B9187D6-0853-45FF-AAB0-0C68CD643068"},
        "result": {"code": "error", "error": {"domain": "Common", "code": "E77", "debug": {
            "msg": "Cannot reach nas7 (10.0.0.9) as ACME\\backup via \\\\nas\\share: 0x80070035"}}},
    },
]  # fmt: skip
SECRETS = [
    "07f6adf7", "07F6ADF7", "3b9187d6", "3B9187D6", "8cc61f3c", "WIN-R1", "win-r1", "AMS", "XDR",
    "DemoCustomer", "Kowalski", "kowalski", "acme", "ACME", "Geheim", "187625", "nas", "10.0.0.9",
    "share", "/66/",
]  # fmt: skip


@pytest.fixture(scope="module")
def items():
    """Simulated activities, with failures, odd names and nested errors."""
    return list(ak.demo.simulate(2500, seed=3))


def content(path):
    """Give all that a file holds as text: values, names of columns, metadata."""
    table, metadata = pq.read_table(path), pq.read_metadata(path).metadata
    parts = [str(metadata.get(b"activitykit")), str(table.schema.metadata), *table.schema.names]
    parts += [str(one) for name in table.schema.names for one in table[name].unique().to_pylist()]
    # within JSON text a quotation mark or backslash is written with a backslash before it
    return "\n".join(parts).replace("\\\\", "\\").replace('\\"', '"')


def people_of(items):
    """Collect names, users, hosts, paths and ids from raw activities, and from their making."""
    found = {"svc-backup", "SYSTEM", "nas01", "nas-2.lan", "10.20.30.40", "j.doe", "Säge", "mysql"}
    for item in items:
        for path in (
            ("tenant", "name"), ("tenant", "uuid"), ("tenant", "locator"), ("resource", "name"),
            ("resource", "id"), ("policy", "name"), ("policy", "id"), ("executor", "id"),
        ):  # fmt: skip
            found.add((item.get(path[0]) or {}).get(path[1]))
        found.add(item.get("startedByUser"))
        found.add(item["context"].get("MachineName"))
        found |= set(GUID.findall(json.dumps(item)))
    for number in range(30):
        one = world.resource(3, number)
        found |= {one.name, one.id, one.agent, one.tenant.name, one.tenant.login, one.plan.id}
        found |= {machine.name for machine in one.machines}
    found = {name for name in found if name}
    return {name for name in found if name.upper() not in KNOWN_TYPES} - {i["type"] for i in items}


def test_nothing_of_simulated_people_is_in_a_masked_file(tmp_path, items):
    """Brute force: no name, user, host, path or GUID of the activities is anywhere in the file."""
    df = ak.flatten(items)
    df.attrs[ATTRS] |= {"source": "https://acme.example", "filter": "Filter(tenant='/1/2000/')"}
    everybody = people_of(items) | {"acme.example", "/1/2000/"}
    plain = content(ak.write_snapshot(df, tmp_path / "plain.parquet"))
    hidden = content(ak.write_snapshot(df, tmp_path / "masked.parquet", mask=True))
    assert len([name for name in everybody if name in plain]) > 2000
    assert [name for name in everybody if name in hidden] == []


def test_nothing_of_the_sample_is_in_a_masked_file(tmp_path):
    """Comments, keys, lists, accounts and sentences are covered too; the key is not in the file."""
    path = ak.write_snapshot(ak.flatten(SAMPLE), tmp_path / "a.parquet", mask=KEY)
    found = content(path)
    assert [secret for secret in (*SECRETS, KEY) if secret in found] == []
    assert KEY.encode() not in path.read_bytes()


def test_what_is_masked_stays_recognisable():
    """The same text has the same pseudonym everywhere; GUIDs keep their case, codes stay."""
    df = masked(ak.flatten(SAMPLE), KEY)
    name, plan = df.loc[0, "resource.name"], df.loc[0, "policy.name"]
    title = f"Applying plan '{plan}' to resource {name} of {df.loc[0, 'tenant.name']}"
    assert df.loc[0, "context.title"] == title
    assert df.loc[1, "resource.id"] == df.loc[0, "resource.id"].upper() != SAMPLE[1]["resource"]
    assert df.loc[0, "tenant.locator"] == f"/1/{df.loc[0, 'tenant.id']}/"
    assert df.loc[1, ["result.error.domain", "result.error.code"]].tolist() == ["Common", "E77"]
    assert df.loc[1, "error_cause"].endswith(" 0x80070035")
    assert df["type"].dropna().tolist() == ["policy.apply"]


def test_files_with_the_same_key_belong_together(tmp_path):
    """The same key gives the same bytes and names, also from a part; any other key others."""
    df = ak.flatten(SAMPLE)
    paths = [
        ak.write_snapshot(df, tmp_path / f"{n}.parquet", mask=key)
        for n, key in enumerate((KEY, KEY, KEY + "2", True, True))
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len({path.read_bytes() for path in paths}) == 4
    part = masked(df.head(1), KEY.encode())
    whole = ak.read_snapshot(paths[0])
    assert part.loc[0, "resource.name"] == whole.loc[0, "resource.name"]
    assert part.loc[0, "context.title"] == whole.loc[0, "context.title"]


def numbers(df):
    """Give the figures of a statistic in an order that names play no part in."""
    numeric = df.select_dtypes(["number", "bool"]).drop(columns=["id"], errors="ignore")
    return numeric.sort_values(list(numeric.columns)).reset_index(drop=True)


@pytest.mark.parametrize(
    ("statistic", "options"),
    [
        (ak.duration_stats, {"by": ["operation", "tenant.name"]}),
        (ak.failure_stats, {"by": "policy.name"}),
        (ak.failure_reasons, {}),
        (ak.streaks, {}),
        (ak.last_good, {}),
        (ak.trend, {"by": "type"}),
        (ak.concurrency, {}),
    ],
)
def test_statistics_agree(items, statistic, options):
    """Masked and unmasked frames give the same numbers, whatever they are grouped by."""
    df = ak.flatten(items)
    found = numbers(statistic(masked(df, KEY), **options))
    pd.testing.assert_frame_equal(found, numbers(statistic(df, **options)))


def test_masking_keeps_the_frame(items):
    """Rows, types, numbers and times stay; the activities can be had back, masked."""
    df = ak.flatten(items)
    before = df.copy()
    found = masked(df, KEY)
    pd.testing.assert_frame_equal(df, before)
    assert found.dtypes.tolist() == df.dtypes.tolist()
    assert (found.isna() == df.isna()).all(axis=None)
    stays = ["id", "type", "state", "result.code", "createdAt", "completedAt", "taskId"]
    pd.testing.assert_frame_equal(found[stays], df[stays])
    assert found.attrs[ATTRS]["masked"] is True
    again = ak.flatten(ak.unflatten(found))
    assert again.drop(columns=["error_signature"]).equals(found.drop(columns=["error_signature"]))


def test_what_cannot_be_masked_is_refused(tmp_path):
    """A short key is no secret; a column of unknown things might tell anything."""
    df = ak.flatten(SAMPLE)
    with pytest.raises(ak.ConfigError, match="16 characters"):
        ak.write_snapshot(df, tmp_path / "a.parquet", mask="short")
    for odd in ([b"WIN"] * 2, [["WIN"]] * 2):
        with pytest.raises(ak.SnapshotError, match="odd"):
            ak.write_snapshot(df.assign(odd=odd), tmp_path / "a.parquet", mask=KEY)
    assert not list(tmp_path.iterdir())


def test_categories_and_empty_frames_are_masked():
    """A category is text; a frame without rows stays one."""
    df = ak.flatten(SAMPLE).astype({"tenant.name": "category"})
    assert "DemoCustomer2" not in masked(df, KEY).to_csv()
    assert masked(df.head(0), KEY).columns.tolist()[:3] == df.columns.tolist()[:3]


CHAIN = "result.error.context._src.suberror.suberror.suberror.suberror"
TOLD = [
    "context.title", "context.Result", "result.error.reason", "result.error.domain",
    "result.error.code", "result.error.debug.msg", "result.error.context.cause_str",
    "result.error.context.$module", f"{CHAIN}.text", f"{CHAIN}.src.file", f"{CHAIN}.fields.$module",
    "result.error.kbLink.product", "type", "state", "result.code", "resource.type", "policy.type",
    "queue", "priority", "context.phase", "context.ExecutionQueue", "operation", "error_signature",
]  # fmt: skip
AMBIGUOUS = [
    "context.Domain", "context.Kind", "context.os", "context.Queue", "context.version",
    "context.product", "context.code", "context.state", "context.text", "context.message",
    "context.types.x", "context.src.file", "context.result.error.domain", "result.payload.domain",
    "result.error.context.domain", "context._src.text", "argument.operation", "domain", "os",
]  # fmt: skip


def nested(path, value):
    """Put a value under a path of keys."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def told_of(name, *others):
    """Give the file's text for a masked frame with a machine of a name, and other objects."""
    machine = {"id": 1, "resource": {"name": name}}
    items = [machine, *({"id": n, **other} for n, other in enumerate(others, 2))]
    df = masked(ak.flatten(items), KEY)
    return "\n".join([*df.columns, df.to_csv(), json.dumps(ak.unflatten(df), ensure_ascii=False)])


@pytest.mark.parametrize("name", ["Alice Smith", "acmeserver", "Säge.lan", "a+b\\c"])
@pytest.mark.parametrize("path", [*TOLD, *AMBIGUOUS])
def test_a_name_is_masked_wherever_it_stands(path, name):
    """The name of a machine is nowhere: in words of the service, sentences, lists, JSON text."""
    whole, within = nested(path, name), nested(path, f"Backup (by {name.upper()}) failed")
    text = nested(path, json.dumps({"kind": [name], "code": {name: name}}))
    found = told_of(name, whole, within, text, nested(path, [{"type": name}, name]))
    assert name.casefold() not in found.replace("\\\\", "\\").casefold()


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_only_the_place_makes_a_word_of_the_service(path):
    """A key that reads like one of the service's, elsewhere, has its text masked as a whole."""
    assert "Smith" not in told_of("web", nested(path, "Smith"), nested(path, ["Smith"]))


@pytest.mark.parametrize(
    "key", ["acmeserver", "acmeserver_1", "acmeServer", "on-acmeserver", "a b"]
)
def test_keys_with_names_are_masked(key):
    """A key that holds a name is masked, in names of columns and within JSON, and stays one key."""
    found = told_of(
        "acmeserver" if key != "acmeServer" else "acme", {"context": {"status": {key: 1}}},
        {"context": {"list": [{key: 2}], "text": json.dumps({"deep": {key: 3}})}},
    )  # fmt: skip
    assert key not in found
    assert "context.status.name-" in found


def test_rare_paths_are_masked_like_columns():
    """In the column of rare paths, keys are names of columns, and texts go by these."""
    rest = {"context.acmeserver": "x", "context.phase": "copy", "context.title": "On acmeserver"}
    df = ak.flatten([{"id": 1, "resource": {"name": "acmeserver"}}])
    df.attrs[ATTRS] |= {"json_columns": ["context_rest"]}
    found = masked(df.assign(context_rest=json.dumps(rest)), KEY)
    name = found.loc[0, "resource.name"]
    keys = [f"context.{name}", "context.phase", "context.title"]
    read = json.loads(found.loc[0, "context_rest"])
    assert list(read) == keys
    assert [read[key] for key in keys[1:]] == ["copy", f"On {name}"]


def test_names_that_differ_in_case_only_stay_two_columns():
    """No two keys become one, which would lose a value."""
    status = {"acme": 1, "ACME": 2, "Acme": 3}
    df = masked(ak.flatten([{"id": 1, "tenant": {"name": "acme"}, "context": status}]), KEY)
    assert df.columns.is_unique
    assert sorted(df.filter(like="context.name-").iloc[0]) == [1, 2, 3]


def test_words_of_the_service_stay_though_somebody_is_called_so():
    """A plan called backup changes no type, state, result or error; in a sentence it is masked."""
    words = {
        "type": "Download", "state": "completed", "policy": {"type": "backup"},
        "result": {"code": "error", "error": {"domain": "Common", "code": "InternalError"}},
    }  # fmt: skip
    names = ["backup", "Download", "completed", "error", "Common", "InternalError", "context"]
    items = [{"id": n, "resource": {"name": name}} for n, name in enumerate(names)]
    df = ak.flatten([*items, {"id": 99, **words, "context": {"title": "Running 'backup'"}}])
    found = masked(df, KEY)
    stays = ["type", "state", "policy.type", "result.code", "result.error.domain", "operation",
             "result.error.code", "error_signature"]  # fmt: skip
    pd.testing.assert_frame_equal(found[stays], df[stays])
    assert "backup" not in found["context.title"].iloc[-1]


@given(st.text("abcxyz ÄSÉ-._\\/'\"{[+$(", min_size=3, max_size=12), st.sampled_from(TOLD))
@example("İstanbul-7", "context.title")
@settings(max_examples=60, deadline=None)
def test_any_name_is_masked(name, path):
    """Whatever a machine is called, the name between blanks is in no sentence or word."""
    assume(
        name.strip() == name and re.search(r"[^\W_]{2}", name) and name not in "backup failed on"
    )
    items = [{"id": 1, "resource": {"name": name}}, {"id": 2, **nested(path, f"on {name} !")}]
    found = masked(ak.flatten(items), KEY)
    cells = [str(cell) for cell in found.to_numpy().ravel()]
    assert not [cell for cell in cells if f" {name} " in f" {cell} "]


def test_the_command_takes_the_key_from_the_environment(tmp_path, monkeypatch):
    """Two runs with ACTIVITYKIT_MASK_KEY give the same file, and nothing shows the key."""
    source = tmp_path / "a.ndjson"
    source.write_text("\n".join(map(json.dumps, SAMPLE)), encoding="utf-8")
    outputs = []
    monkeypatch.setenv("ACTIVITYKIT_MASK_KEY", KEY)
    for name in ("1.parquet", "2.parquet"):
        args = ["snapshot", "--mask", str(tmp_path / name), str(source)]
        outputs.append(CliRunner().invoke(cli, args, catch_exceptions=False).output)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert "DemoCustomer2" not in content(tmp_path / "1.parquet")
    assert KEY not in "".join(outputs)
    monkeypatch.delenv("ACTIVITYKIT_MASK_KEY")
    said = CliRunner().invoke(cli, args, catch_exceptions=False).output
    assert "random key" in said
