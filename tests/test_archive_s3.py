"""The archive in an object store: an S3-compatible server on loopback, in its own process."""

import logging
import subprocess
import sys
import threading

import pandas as pd
import pytest

import activitykit as ak
from activitykit.archive import Archive, sync, tables
from activitykit.demo.server import serve

pytest.importorskip("moto")
NOW = pd.Timestamp("2026-11-01T06:00:00Z")
WHERE = ak.Filter(since=NOW - pd.Timedelta(2, "D"))
# the library holds the interpreter's lock while it waits, so the server cannot be a thread of ours
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
import boto3
url = "http://{}:{}".format(*server.get_host_and_port())
keys = dict(aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1")
store = boto3.client("s3", endpoint_url=url, **keys)
store.create_bucket(Bucket="history")
store.put_object(Bucket="history", Key="papers/thesis.txt", Body=b"mine")
print(url, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def options():
    """Start the server; give what `Archive` needs to know about it."""
    command = [sys.executable, "-W", "ignore", "-c", SERVER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as server:
        yield {
            "AWS_ENDPOINT_URL": server.stdout.readline().strip(),
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "hush-key",
            "AWS_SECRET_ACCESS_KEY": "hush-hush",
        }
        server.stdin.close()


@pytest.fixture(scope="module")
def items():
    """Activities of two days."""
    return list(filter(WHERE.matches, ak.demo.simulate(120, seed=4, days=2, until=NOW)))


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    """Stop the clock at the end of the simulated time."""
    monkeypatch.setattr(sync, "clock", lambda: NOW)


def client_of(service):
    """Give a client of the emulated service."""
    return ak.Client(
        service.base_url, client_id=service.client_id, client_secret=service.client_secret
    )


def is_whole(archive, expected):
    """Hold an archive to the truth."""
    pd.testing.assert_frame_equal(archive.read(), expected)
    assert archive.verify()["n"].tolist() == [len(expected), 0, 0, 0, 0]
    assert archive.coverage()["status"].tolist() == ["complete"]


def test_an_archive_in_s3_does_all_that_one_in_a_folder_does(options, items):
    """Two syncs, read, every engine, history, joining and deleting files: the same activities."""
    archive, expected = Archive("s3://history/whole/", storage_options=options), ak.flatten(items)
    with serve(items) as service, client_of(service) as client:
        first = archive.sync(client, WHERE, progress=False)
        second = archive.sync(client, WHERE, progress=False)
    assert (first["changed"].sum(), second["changed"].sum()) == (len(items), 0)
    is_whole(archive, expected)
    where = ak.Filter(since=NOW - pd.Timedelta(1, "D"), result="error")
    wanted = where.select(expected)["id"].tolist()
    assert archive.read(where)["id"].tolist() == wanted
    assert sorted(archive.scan(where, engine="arrow").to_table()["id"].to_pylist()) == wanted
    assert sorted(archive.scan(where, engine="polars").collect()["id"].to_list()) == wanted
    assert sorted(n for (n,) in archive.scan(where).select("id").fetchall()) == wanted
    archive.compact()
    assert archive.vacuum(keep="12h") == 0
    assert set(archive.history()["operation"]) == {"create", "sync", "compact"}
    is_whole(archive, expected)


def test_syncs_at_once_store_nothing_twice(options, items):
    """Commits that meet are told by the store's conditional put, and made again."""
    with serve(items) as service:

        def work():
            with client_of(service) as client:
                Archive("s3://history/many", storage_options=options).sync(
                    client, WHERE, progress=False
                )

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    is_whole(Archive("s3://history/many", storage_options=options), ak.flatten(items))


def test_a_commit_on_an_old_state_is_refused(options):
    """The store itself lets only one of two writers have a version."""
    from deltalake import CommitProperties, write_deltalake
    from deltalake.exceptions import CommitFailedError

    store = tables.Tables(root="s3://history/race", options=options)
    store.create()
    one, other = (store.open(tables.LEDGER) for _ in range(2))
    strictly = CommitProperties(max_commit_retries=0)
    line = one.to_pyarrow_table()
    write_deltalake(one, line, mode="append", commit_properties=strictly)
    with pytest.raises(CommitFailedError):
        write_deltalake(other, line, mode="append", commit_properties=strictly)


def test_a_place_with_something_else_is_refused(options, items):
    """An archive is never put among other objects."""
    archive = Archive("s3://history/papers", storage_options=options)
    with serve(items) as service, client_of(service) as client:
        with pytest.raises(ak.ArchiveError, match=r"papers is no archive, it holds thesis\.txt"):
            archive.sync(client, WHERE, progress=False)
        with pytest.raises(ak.ArchiveError, match="first sync"):
            archive.read()


def test_no_secret_of_the_store_is_shown(options, items, caplog):
    """Neither repr nor errors nor logs tell a credential, whatever the store answers."""
    caplog.set_level(logging.DEBUG)
    nowhere = options | {"max_retries": "0", "AWS_ENDPOINT_URL": "http://hush-hush@127.0.0.1:9"}
    said = []
    for url, given in (("s3://no-bucket/a", options), ("s3://history/a", nowhere)):
        archive = Archive(url, storage_options=given)
        with serve(items) as service, client_of(service) as client:
            for ask in (archive.read, lambda a=archive, c=client: a.sync(c, progress=False)):
                with pytest.raises(ak.ArchiveError) as caught:
                    ask()
                said += [str(caught.value), repr(caught.value), repr(archive)]
    assert "hush" not in "".join(said) + caplog.text
