import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from activitykit.demo import simulate, write_sample
from activitykit.demo.simulate import UNTIL
from activitykit.moments import parse_time
from activitykit.schema import KNOWN_TYPES, RESULT_CODES, STATES

ROOT = Path(__file__).parents[1]
DAY = 86_400_000_000_000
END = parse_time(UNTIL)
MILLISECOND = 1_000_000
# sha256 of the first 1,000 activities as compact JSON lines; a new value is a new data set
PINNED = "6cee4d34d8792a90508303a23c1150bef0c725b2c6cf441acf4b380e899149c4"
PLAN_RUN = "D332948D-A7A9-4E07-B76C-253DCF6E17FB"

DIGEST = """
import hashlib, json
from activitykit.demo import simulate
lines = [json.dumps(item, separators=(",", ":")) for item in simulate(1000)]
print(hashlib.sha256("\\n".join(lines).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def items():
    """Two thousand activities of one seed."""
    return list(simulate(2000, seed=3))


@pytest.fixture(scope="module")
def fresh(items):
    """Leave out the published examples."""
    return [item for item in items if item["createdAt"] > "2026"]


def arrived(item):
    """Decode the moment of storage from an id, after the documented layout."""
    return ((item["id"] >> 22) + 1288834974287) << 20


def code(item):
    """Give the result code, or None while there is no result."""
    return item.get("result", {}).get("code")


def levels(error):
    """Walk the error chain from the top to the root cause."""
    level = error["context"]["_src"]
    while level:
        yield level
        level = level["suberror"]


def failures(items):
    """Give the errors of all failed activities."""
    return [item["result"]["error"] for item in items if "error" in item.get("result", {})]


@pytest.mark.parametrize("n", [0, 1, 5, 49, 50, 51, 300, 1234])
def test_exactly_n_in_order_of_id(n):
    """Any number of activities can be had; ids are unique and grow."""
    ids = [item["id"] for item in simulate(n)]
    assert len(ids) == n
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("days", [0.001, 0.5, 3, 90])
def test_other_windows(days):
    """Activities are created within the window, however short or long it is."""
    until = "2026-03-29T03:30:00.123456789+02:00"
    created = [parse_time(i["createdAt"]) for i in simulate(200, until=until, days=days)]
    end = parse_time(until)
    assert all(end - days * DAY <= moment < end for moment in sorted(created)[6:])
    assert max(created[:6]) < parse_time("2025-10-25T00:00:00Z")


@pytest.mark.parametrize(("n", "days"), [(-1, 30), (1, 0), (1, -2), (1, 1e5), (1, float("nan"))])
def test_impossible_wishes_are_refused_at_once(n, days):
    """A wrong number is refused by the call, not by the first item."""
    with pytest.raises(ValueError, match=r"n=-1|days="):
        simulate(n, days=days)


def test_same_seed_same_bytes_in_every_process():
    """Neither the hash seed nor the process changes a byte, and the first 1,000 are pinned."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": zone},
            check=True, capture_output=True, text=True,
        ).stdout.strip()
        for hash_seed, zone in (("1", "UTC"), ("271828", "Asia/Tokyo"))
    }  # fmt: skip
    assert digests == {PINNED}


def test_another_seed_gives_another_world():
    """Seeds share no ids and no resources."""
    one, two = (
        {item["id"] for item in simulate(300, seed=seed) if item["createdAt"] > "2026"}
        for seed in (1, 2)
    )
    assert not one & two


def test_ids_use_node_and_sequence_bits(fresh):
    """Ids are no multiples of 4096, so reading them as floats is found out."""
    assert all(item["id"] & 0xFFF for item in fresh)
    assert len({item["id"] >> 12 & 0x3FF for item in fresh}) >= 3
    assert any(float(item["id"]) != item["id"] for item in fresh)
    assert all(item["idString"] == str(item["id"]) for item in fresh)
    assert all(item["taskIdString"] == str(item["taskId"]) for item in fresh)


def test_ids_decode_to_the_moment_of_arrival(fresh):
    """Records are stored just before they are created, or just before their update when late."""
    late = 0
    for item in fresh:
        created, updated = parse_time(item["createdAt"]), parse_time(item["updatedAt"])
        written_after = 0 <= updated - arrived(item) < 3 * MILLISECOND
        assert written_after or 0 < created - arrived(item) < 9 * MILLISECOND
        late += arrived(item) - created > DAY // 24
    assert late > 0


def test_legacy_events_have_no_duration(fresh):
    """Log entries end when they begin, have no executor, and share the id with their task."""
    events = [item for item in fresh if item["context"].get("isLegacy")]
    assert {item["type"] for item in events} >= {"agent.add", "policy.apply"}
    for item in events:
        assert item["createdAt"] == item["startedAt"] == item["completedAt"]
        delay = parse_time(item["updatedAt"]) - parse_time(item["createdAt"])
        assert 4 * MILLISECOND <= delay < 45 * MILLISECOND
        assert item["executor"]["id"] == ""
        assert item["id"] == item["taskId"]


def test_times_are_in_order(fresh):
    """Created, started, completed, updated, and nothing after the end of the window."""
    for item in fresh:
        order = ("createdAt", "startedAt", "completedAt", "updatedAt")
        moments = [parse_time(item[name]) for name in order if item.get(name)]
        assert moments == sorted(moments)
        assert moments[0] >= END - 30 * DAY
        assert moments[-1] <= END


def test_times_drop_trailing_zeros(fresh):
    """Fractions have up to nine digits and never end in zero."""
    fractions = [item["createdAt"][20:-1] for item in fresh]
    assert not any(fraction.endswith("0") for fraction in fractions)
    assert {8, 9} <= {len(fraction) for fraction in fractions}


def test_parents_exist_and_are_roots(items):
    """A child names a root that is there, came before it, and shares its task."""
    by_id = {item["id"]: item for item in items}
    children = [item for item in items if item.get("parentActivityId")]
    assert len(children) > len(items) / 4
    for child in children:
        parent = by_id[child["parentActivityId"]]
        assert child["parentActivityIdString"] == parent["idString"]
        assert parent["context"]["IsProcessRoot"] is True
        assert "parentActivityId" not in parent
        assert child["context"]["parentUUID"] == parent["uuid"]
        assert (parent["id"], parent["taskId"]) < (child["id"], child["taskId"] + 1)


def test_a_root_sums_up_its_failed_children(items):
    """The failed plan run counts its failed children and displays the cause of one of them."""
    causes = {}
    for item in items:
        if item.get("parentActivityId") and code(item) == "error":
            cause = item["result"]["error"]["debug"]["msg"]
            causes.setdefault(item["parentActivityId"], []).append(cause)
    roots = [item for item in items if item["type"] == PLAN_RUN and code(item) == "error"]
    for root in roots:
        error = root["result"]["error"]
        assert error["context"].get("failcount", 1) == len(causes[root["id"]])
        assert error["debug"]["msg"] in causes[root["id"]]
    assert {len(causes[root["id"]]) for root in roots} >= {1, 2}


@pytest.mark.parametrize("n", [300, 600])
@pytest.mark.parametrize("seed", range(4))
def test_small_samples_show_every_state_and_outcome(n, seed):
    """A few hundred activities hold every state and result code, and both forms of cancel."""
    items = list(simulate(n, seed=seed))
    assert {item["state"] for item in items} == set(STATES)
    assert {code(item) for item in items} == {None, *RESULT_CODES}
    assert "OperationCanceledByUser" in {error["code"] for error in failures(items)}
    assert any("warnings" in item.get("result", {}) for item in items)


def test_every_family_of_types_is_there():
    """Aliases and GUIDs: backups with their steps, cloud, restores, scans, updates and edits."""
    types = {item["type"] for item in simulate(20_000)}
    operations = {KNOWN_TYPES.get(kind) for kind in types}
    assert operations >= {
        "Backup plan run", "Backup", "Retention", "Replication", "Resolving items to back up",
        "Pre-backup command", "Applying plan", "Revoking plan", "Editing plan", "Adding agent",
        "Agent component download", "Agent component update", "Agent update standby",
        "Cloud-to-cloud backup", "Mailbox backup", "SharePoint backup", "OneDrive backup",
        "Gmail backup", "Google Drive backup", "Recovering a virtual machine",
        "Recovering an entire virtual machine", "Vulnerability scan",
        "Third-party vulnerability scan", "Malware scan", None,
    }  # fmt: skip
    assert types & {"UserMailboxRestore", "SPRestore", "GSRestoreGMail", "GSRestoreGDrive"}
    assert types >= {"agent.add", "A59E8BF2-39C3-42C4-B667-CB672381A214", "policy.revoke"}


def test_the_end_of_the_window_is_busy(fresh):
    """Some runs are on, some wait, some run far too long, and one has been silent for days."""
    open_ones = [item for item in fresh if item["state"] != "completed"]
    assert not any(item.get("completedAt") or "result" in item for item in open_ones)
    waiting = [item for item in open_ones if not item.get("startedAt")]
    assert {item["state"] for item in waiting} == {"enqueued", "assigned"}
    running = [item for item in open_ones if item["state"] == "started"]
    assert all(item["progress"]["current"] < item["progress"]["total"] for item in running)
    ages = [END - parse_time(item["startedAt"]) for item in running]
    silences = [END - parse_time(item["updatedAt"]) for item in running]
    assert min(ages) < DAY / 24
    assert max(silences) > 3 * DAY
    assert any(
        age > DAY / 4 and silence < DAY / 24 for age, silence in zip(ages, silences, strict=True)
    )


def test_chains_and_knowledge_base_links_agree(fresh):
    """`serCode` lists the codes from top to bottom, and the deepest text is the cause."""
    errors, depths = failures(fresh), set()
    for error in errors:
        chain = list(levels(error))
        codes = [c for one in chain for c in (one["code"], one["fields"].get("code")) if c]
        assert error["kbLink"]["serCode"] == "+".join(f"0x{one:08X}" for one in codes)
        tag = chain[-1]["src"]["tag"]
        if isinstance(tag, str):
            assert error["kbLink"]["lineTag"].lower() == tag
        assert chain[-1]["text"] == error["context"]["cause_str"] == error["debug"]["msg"]
        assert chain[0]["text"] == error["context"]["effect_str"]
        depths.add(len(chain))
    assert {type(next(levels(error))["src"]["tag"]) for error in errors} == {int, str}
    assert min(depths) <= 3


def test_error_chains_go_seventeen_levels_deep():
    """The deepest chain is as deep as the deepest that was ever published."""
    depths = [len(list(levels(error))) for error in failures(simulate(20_000))]
    assert max(depths) == 17
    assert len(set(depths)) > 6


def test_every_published_error_code_occurs():
    """All error codes seen in published data occur, each with more than one text."""
    published = {
        "StorageOiNotAvailable", "FailedRecoveryNoSpacePath", "ResourceQuotaExceeded",
        "CannotConnectToMachineWithNetworkShare", "CloudStorageUnavailable", "BackupDidNotStart",
        "MemoErrorUnexpectedShutdown", "LocationCredentialsNotCorrect", "InternalError",
        "MemoUserAccountIsLockedNu", "MemoErrorMmsFailed", "OperationCanceledByUser",
        "MemoFailedToDiscoverFesUri", "NETWORK_ERROR", "MemoVssProviderDoesNotSupportVolume",
    }  # fmt: skip
    assert {error["code"] for error in failures(simulate(20_000))} == published


def test_documented_quirks_are_there(fresh):
    """Mixed spellings, missing fields, and payloads of every kind."""
    spelled = {item["resource"]["id"] for item in fresh if "resource" in item}
    assert {one for one in spelled if one.isupper()} & {
        one.upper() for one in spelled if one.islower()
    }
    modes = {item["context"].get("runMode") for item in fresh}
    assert modes >= {"scheduled", "Scheduled", "manual", None}
    payloads = {type(item["result"].get("payload", ...)) for item in fresh if "result" in item}
    assert payloads == {type(...), type(None), str, dict}
    done = [item for item in fresh if item["state"] == "completed"]
    assert 0 < sum(item["startedAt"] is None for item in done) < len(done) / 20
    assert {item.get("parentActivityId", ...) for item in fresh} > {None, ...}
    assert 0 < sum("uuid" not in item["tenant"] for item in fresh) < len(fresh) / 20
    assert 0 < sum("tags" in item for item in fresh) < len(fresh) / 5
    assert {"BY_SCHEDULE", None} < {item.get("startedByUser") for item in fresh}


def test_names_are_nasty(fresh):
    """Names hold quotes, markup, formulas, right-to-left text, and up to 120 characters."""
    names = {item["resource"]["name"] for item in fresh if "resource" in item}
    names |= {item["tenant"]["name"] for item in fresh}
    names |= {item["policy"]["name"] for item in fresh if "policy" in item}
    assert max(map(len, names)) == 120
    assert "7_Tage_2*Täglich" in names
    for part in ("<script>", "'", '"', "&", "ü", "ش", "ח"):
        assert any(part in name for name in names), part
    assert any(name.startswith("=") for name in names)


def test_tenants_form_a_tree():
    """Locators end in the tenant's id, and partners stand above their customers."""
    tenants = {item["tenant"]["id"]: item["tenant"] for item in simulate(20_000)}
    for tenant in tenants.values():
        assert tenant["locator"].startswith("/1/")
        assert tenant["locator"].endswith(f"/{tenant['id']}/")
    depths = {tenant["locator"].count("/") for tenant in tenants.values()}
    assert depths >= {3, 4, 5}
    assert len({tenant["uuid"] for tenant in tenants.values() if "uuid" in tenant}) > 50


def test_failures_cluster_on_resources():
    """A few percent of the runs fail, most of them on few resources; one never had a success."""
    bad, all_runs = Counter(), Counter()
    for item in simulate(20_000):
        root = item["state"] == "completed" and not item.get("parentActivityId")
        if root and not item["context"].get("isLegacy") and "resource" in item:
            key = item["resource"]["id"].lower()
            all_runs[key] += 1
            bad[key] += code(item) in {"error", "abandoned", "timedout"}
    assert 0.02 < bad.total() / all_runs.total() < 0.08
    worst = bad.most_common(len(all_runs) // 10)
    assert sum(n for _, n in worst) > bad.total() / 2


def test_some_resources_never_fail_and_one_never_succeeds():
    """A protected machine without any good backup is in the data."""
    backups = {}
    for item in simulate(1000):
        if item["type"] == PLAN_RUN and item["state"] == "completed":
            backups.setdefault(item["resource"]["name"], set()).add(code(item))
    assert any(codes <= {"error", "abandoned", "timedout"} for codes in backups.values())
    assert any(codes <= {"ok", "warning"} for codes in backups.values())


def test_published_examples_are_there_word_for_word(items):
    """The six published activities and the failed result are among 50 activities or more."""
    text = (ROOT / "activitykit/demo/examples.ndjson").read_text("utf-8")
    *whole, failed = [json.loads(line) for line in text.splitlines()]
    assert len(whole) == 6
    for some in (items, list(simulate(50))):
        assert all(example in some for example in whole)
        carrier = next(item for item in some if item.get("result") == failed["result"])
        assert carrier["policy"]["name"] == "7_Tage_2*Täglich"
        assert not any(item["createdAt"] < "2026" and item not in whole for item in some)


def test_the_committed_sample_is_what_simulate_gives(tmp_path):
    """`data/` is made by the package, holds no time stamp, and stays small."""
    committed = ROOT / "data/activities.ndjson.gz"
    made = write_sample(tmp_path / "made.ndjson.gz")
    assert gzip.decompress(committed.read_bytes()) == gzip.decompress(made.read_bytes())
    assert committed.read_bytes()[4:8] == made.read_bytes()[4:8] == bytes(4)
    assert committed.stat().st_size < 200_000


def test_json_holds_no_surprises(items):
    """Every activity survives JSON, with nothing that is not JSON in it."""
    assert json.loads(json.dumps(items, allow_nan=False)) == items
