"""The same filter gives the same rows from the service, a frame, a snapshot and the archive."""

import warnings

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import activitykit as ak
from activitykit.archive import Archive

MOMENTS = st.sampled_from(["createdAt", "startedAt", "updatedAt", "completedAt"])
FIELDS = {
    "state": "state", "type": "type", "tenant": "tenant.name", "resource": "resource.id",
    "policy": "policy.name", "policy_type": "policy.type", "started_by": "startedByUser",
    "resource_type": "resource.type",
}  # fmt: skip
WORDS = ["ok", "error", "warning", "cancelled", "running", "queued", "none"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Give the frame, and the same activities behind a client, in a snapshot and in an archive."""
    folder = tmp_path_factory.mktemp("sources")
    items = list(ak.demo.simulate(400, seed=6, days=20))
    with ak.demo.serve(items) as service:
        about = {"client_id": service.client_id, "client_secret": service.client_secret}
        with ak.Client(service.base_url, **about) as client:
            Archive(folder / "archive").sync(client, progress=False)
            frame = ak.flatten(items)
            yield frame, client, ak.write_snapshot(frame, folder / "a.parquet"), folder / "archive"


def values_of(draw, frame, column):
    """Draw a few values of a column, one that is not there, or the missing one."""
    present = sorted(frame[column].dropna().unique())
    one = st.sampled_from([*present, "nowhere", ""])
    mixed = one.map(lambda text: text.swapcase() if column == "resource.id" else text)
    return draw(st.lists(mixed, min_size=1, max_size=3))


@st.composite
def filters(draw, frame):
    """Draw a filter that selects by columns, and about as often by text as well."""
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=2, unique=True))
    given_ = {name: values_of(draw, frame, FIELDS[name]) for name in names}
    if draw(st.booleans()):
        given_["result"] = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=2))
    on = draw(MOMENTS)
    edges = sorted(draw(st.lists(st.sampled_from(sorted(frame[on].dropna())), max_size=2)))
    beside = pd.Timedelta(draw(st.integers(-1, 1)), "ns")
    given_ |= {"on": on} | dict(zip(("since", "until"), [e + beside for e in edges], strict=False))
    if draw(st.booleans()):
        given_["text"] = draw(st.sampled_from(["backup", "Failed", "nowhere"]))
    return ak.Filter(**given_)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_same_filter_gives_the_same_rows(sources, data):
    """Whatever is asked, every source answers with the rows that the frame has."""
    frame, *others = sources
    where = data.draw(filters(frame))
    expected = where.select(frame)["id"].tolist()
    for source in others:
        assert ak.load(source, where, progress=False)["id"].tolist() == expected
    if where.text:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of gaps, which play no part here
        found = Archive(others[-1]).scan(where).select("id").fetchall()
    assert sorted(number for (number,) in found) == expected
