"""The rows behind the numbers: pages of the matching activities, and everything about one."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from activitykit.explorer.cube import Cube
from activitykit.explorer.facets import Array
from activitykit.explorer.selection import Selection

NAMED: Final = ("outcome", "operation", "tenant", "plan", "resource")
"""Columns of a page that are named as their facets name them."""

_CHUNK: Final = 1 << 16
_NEAR: Final = 4
_MOST: Final = 50


def page(
    selection: Selection,
    number: int = 0,
    *,
    size: int = 25,
    sort: str = "createdAt",
    descending: bool = True,
    columns: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Give one page of the matching rows.

    Parameters
    ----------
    number
        Of the page, from 0.
    size
        Rows per page.
    sort
        ``createdAt``, ``duration_s``, the name of a facet or a column of the frame; rows that are
        equal in it come newest first.
    descending
        Newest, longest or last first.
    columns
        More columns of the frame.

    Returns
    -------
    list of dict
        ``id``, ``createdAt``, ``outcome``, ``operation``, ``tenant``, ``plan``, ``resource`` (all
        as the facets name them), ``duration_s`` and ``running``, which makes it a lower bound; then
        the other columns.
    """
    cube = selection.cube
    rows = _cut(selection, number * size, size, sort=sort, descending=descending)
    at = cube.order[rows]
    # column by column, because a frame taken apart by rows copies its notes and all columns
    found: dict[str, Any] = {
        "id": cube.ids[at].tolist(),
        "createdAt": pd.to_datetime(cube.created[rows], utc=True),
    }
    for name in NAMED:
        facet = cube.facets[name]
        labels = [*facet.labels, "?"]
        found[name] = [labels[code] for code in facet.codes[rows].tolist()]
    found |= {"duration_s": cube.seconds[rows].tolist(), "running": cube.running[rows].tolist()}
    for name in columns:
        if name not in found:
            found[name] = cube.df[name].array[at]
    lists = (list(column) for column in found.values())
    return [dict(zip(found, cells, strict=True)) for cells in zip(*lists, strict=True)]


def _cut(selection: Selection, start: int, size: int, *, sort: str, descending: bool) -> Array:
    """Find some of the matching rows in an order, without going through all of it."""
    rows = selection.rows()
    if sort == "createdAt":
        end = len(rows) - start
        return rows[max(end - size, 0) : max(end, 0)][::-1] if descending else rows[start:][:size]
    cube, inside = selection.cube, selection.inside()
    order = cube.sorted_by(sort, descending=descending)
    found: list[Array] = []
    passed = 0
    for at in range(0, cube.n, _CHUNK):
        part = order[at : at + _CHUNK]
        part = part[inside[part]]
        found.append(part[max(start - passed, 0) :])
        passed += len(part)
        if passed >= start + size:
            break
    return np.concatenate(found)[:size] if found else rows[:0]


@dataclass(frozen=True)
class Details:
    """Everything about one activity.

    Attributes
    ----------
    row
        Its position in the order of time.
    cells
        What its columns hold, but for missing values.
    chain
        Its error from the outside in: codes and sentences.
    parents, children, neighbours
        Positions of its parent, that one's parent and so on; of the activities that it is the
        parent of; and of those of the same resource just before and after.
    """

    row: int
    cells: dict[str, Any]
    chain: list[tuple[str, str]]
    parents: list[int]
    children: list[int]
    neighbours: list[int]


def details(cube: Cube, ident: int) -> Details | None:
    """Tell everything about the activity with this id; None when there is none."""
    found = np.flatnonzero(cube.ids[cube.order] == ident)
    if not len(found):
        return None
    row = int(found[0])
    found_row = cube.df.iloc[int(cube.order[row])].dropna()
    values = {str(name): value for name, value in found_row.items()}
    codes, parents = cube.column("parentActivityId")
    number = {parent: code for code, parent in enumerate(parents)}
    below = np.flatnonzero(codes == number.get(ident, -1))[:_MOST]
    return Details(
        row=row,
        cells=values,
        chain=list(error_chain(values)),
        parents=list(_ancestors(cube, row)),
        children=below.tolist(),
        neighbours=_neighbours(cube, row),
    )


def _ancestors(cube: Cube, row: int) -> Iterator[int]:
    codes, parents = cube.column("parentActivityId")
    ids = cube.ids[cube.order]
    seen = {row}
    while codes[row] < len(parents):
        found = np.flatnonzero(ids == parents[codes[row]])
        if not len(found) or int(found[0]) in seen:
            return
        row = int(found[0])
        seen.add(row)
        yield row


def _neighbours(cube: Cube, row: int) -> list[int]:
    if cube.resource[row] == len(cube.resources):
        return []
    same = np.flatnonzero(cube.resource == cube.resource[row])
    at = int(np.searchsorted(same, row))
    return [int(one) for one in same[max(at - _NEAR, 0) : at + _NEAR + 1] if one != row]


def error_chain(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Unfold the error of an activity, from the outside in: code and sentence of each link."""
    domain, code = (str(values.get(f"result.error.{part}", "")) for part in ("domain", "code"))
    if domain or code:
        yield code, domain
    path = "result.error.context._src"
    told = False
    while f"{path}.text" in values or f"{path}.code" in values:
        told = True
        yield _text(values.get(f"{path}.code")), _text(values.get(f"{path}.text"))
        path += ".suberror"
    link = _read(values.get(path))
    while isinstance(link, dict) and (link.get("text") or link.get("code")):
        told = True
        yield _text(link.get("code")), _text(link.get("text"))
        link = link.get("suberror")
    if not told and (cause := values.get("error_cause")):
        yield "", _text(cause)


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _read(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
