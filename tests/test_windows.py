"""Windows of a long load: no gap, no overlap, about the same size."""

import bisect
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from activitykit.client.windows import plan_windows

DAY = 86_400 * 10**9


def counter(times):
    """Give a function that counts the times in half-open intervals, as the service does."""
    times = sorted(times)

    def below(moment, otherwise):
        return otherwise if moment is None else bisect.bisect_left(times, moment)

    return lambda intervals: [below(b, len(times)) - below(a, 0) for a, b in intervals]


@given(
    times=st.lists(st.integers(-DAY, 40 * DAY) | st.integers(5 * DAY, 5 * DAY + 50), max_size=300),
    bounds=st.tuples(st.none() | st.just(0), st.none() | st.just(30 * DAY)),
    workers=st.integers(1, 8),
)
def test_windows_cover_the_interval_exactly_once(times, bounds, workers):
    """Sorted by time they adjoin, from the lower bound to the upper one, however rows lie."""
    count = counter(times)
    found, total, outside = plan_windows(
        count, bounds, (0, 30 * DAY), workers=workers, page_size=10
    )
    assert (found[0][0], found[-1][1]) == bounds
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert sum(count(found)) == count([bounds])[0] == total
    assert outside == 0


def test_a_heavy_day_is_cut_again():
    """Rows that crowd into one hour are spread over the workers all the same."""
    hour = [20 * DAY + n * 10**9 for n in range(3000)]
    sparse = [n * DAY for n in range(30)]
    count = counter([*hour, *sparse])
    found = plan_windows(count, (None, None), (0, 30 * DAY), workers=4, page_size=100)
    sizes = count(found.windows)
    assert max(sizes) <= 2 * sum(sizes) / 4
    assert len(sizes) >= 4


def test_little_is_not_cut():
    """What fits into a page is no reason for several requests."""
    count = counter([n * DAY for n in range(30)])
    found = plan_windows(count, (None, None), (0, 30 * DAY), workers=8, page_size=1000)
    assert found.windows == [(None, None)]
