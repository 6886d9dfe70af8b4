"""The ledger: what the entries say of each hour, and how long slices get."""

import random

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import activitykit as ak
from activitykit.archive import ledger

NOW = pd.Timestamp("2026-11-01T06:00:00Z")

HOURS = st.integers(0, 9)
ENTRIES = st.lists(
    st.tuples(
        HOURS, HOURS, st.booleans(), st.sampled_from([ledger.SLICE, ledger.UPDATE, ledger.OLDER])
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(ENTRIES, HOURS, HOURS)
def test_coverage_says_of_each_hour_what_the_entries_say(found, since, until):
    """Looked at hour by hour, the joined lines say what the entries say; they do not overlap."""
    hour = [NOW + pd.Timedelta(n, "h") for n in range(10)]
    found = [(min(a, b), max(a, b), ended, kind) for a, b, ended, kind in found]
    entries = pd.DataFrame(
        [
            ("u", "t", "f", kind, hour[a], hour[b], ended, NOW, NOW, 1, 1, 1)
            for a, b, ended, kind in found
        ],
        columns=ledger.FIELDS.names,
    )
    first, last = min(a for a, *_ in found), max(b for _, b, *_ in found)
    where = ak.Filter(since=hour[since], until=hour[until])
    for lines, span in (
        (ledger.coverage(entries), (first, last)),
        (ledger.coverage(entries, where), (since, until)),
    ):
        for n in range(9):
            over = [ended and kind != ledger.OLDER for a, b, ended, kind in found if a <= n < b]
            status = "complete" if any(over) else "partial" if over else "unknown"
            here = lines[(lines["since"] <= hour[n]) & (hour[n] < lines["until"])]
            assert here["status"].tolist() == ([status] if span[0] <= n < span[1] else [])


def test_slices_grow_and_shrink_with_what_they_bring():
    """Slices that bring little are followed by longer ones, large ones by shorter ones."""
    chance, end, last = random.Random(3), NOW, None
    while end > NOW - ledger.RETENTION:
        since, kind = ledger.next_slice(end, ledger.BEGINNING, NOW, last)
        assert kind == ledger.SLICE
        assert NOW - ledger.RETENTION <= since < end
        if last and since > NOW - ledger.RETENTION:
            factor = 2 if last[1] < 10_000 else 0.5 if last[1] > 100_000 else 1
            assert abs((end - since) - last[0] * factor) < pd.Timedelta(10, "us")
        last, end = (end - since, chance.choice([0, 50_000, 10**6])), since
        last = last if last[0] > pd.Timedelta(1, "h") else (last[0], 0)
    assert ledger.next_slice(end, ledger.BEGINNING, NOW, last) == (ledger.BEGINNING, ledger.OLDER)
