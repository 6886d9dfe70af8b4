"""What to show of the tree of tenants: what is unfolded, what is chosen, the greatest first."""

from collections.abc import Collection, Iterator
from typing import Final

import numpy as np

from activitykit.explorer.facets import TREE
from activitykit.explorer.selection import Option, Selection

_ROOM: Final = 50
_Lines = Iterator[tuple[Option, int, bool | None]]


def lines(selection: Selection, *, unfolded: Collection[int], search: str, limit: int) -> tuple[
    list[tuple[Option, int, bool | None]], int
]:  # fmt: skip
    """Give the options to show, how deep each lies, and whether it is unfolded (None: a leaf).

    A search shows what it finds as a plain list. With the options comes how many more there are.
    """
    facet = selection.cube.facets[TREE]
    if search:
        options, more = selection.options(TREE, search=search, limit=limit)
        return [(option, 0, None) for option in options], more
    counts, above, on = selection.counts(facet), facet.above, selection.chosen(facet)
    assert above is not None  # noqa: S101 - for mypy: this facet is a tree
    order = np.argsort(-counts, kind="stable")
    # what is chosen is always in sight
    seen = set(on)
    for node in on:
        while (node := int(above[node])) >= 0:
            seen.add(node)

    def below(node: int, depth: int, room: int) -> _Lines:
        here = order[above[order] == node]
        for place, child in enumerate(here.tolist()):
            if place >= room and child not in seen:
                continue
            leaf = not (above == child).any()
            open_ = None if leaf else child in unfolded or (child in seen and child not in on)
            yield selection.option(facet, child, counts, on), depth, open_
            if open_:
                yield from below(child, depth + 1, _ROOM)

    shown = list(below(-1, 0, limit))
    roots = int(np.count_nonzero(above == -1))
    return shown, roots - sum(depth == 0 for _, depth, _ in shown)
