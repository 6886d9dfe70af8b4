"""The table of the board, a page of it, and the details of one activity: short texts by row."""

from typing import Any, Final

from activitykit.explorer import table
from activitykit.explorer.cube import Cube
from activitykit.explorer.look import Look
from activitykit.explorer.selection import Selection
from activitykit.explorer.svg import colour, mark
from activitykit.explorer.texts import cut, value_text
from activitykit.wording import duration_text

Json = dict[str, Any]

PAGE: Final = 25
TITLES: Final = {"createdAt": "Created", "duration_s": "Duration"}
_LONGEST_VALUE: Final = 4_000


def page(selection: Selection, look: Look) -> Json:
    """Give one page of the table."""
    last = max(selection.matching - 1, 0) // PAGE
    look.page = min(max(look.page, 0), last)
    extra = [name for name in look.columns if name in selection.cube.df.columns]
    found = table.page(
        selection, look.page, size=PAGE, sort=look.sort, descending=look.descending, columns=extra
    )
    first, end = look.page * PAGE + 1, min((look.page + 1) * PAGE, selection.matching)
    zone = selection.scope.tz
    return {
        "columns": [[name, _title(selection.cube, name)] for name in look.columns],
        "sort": look.sort,
        "descending": look.descending,
        "page": look.page,
        "last": last,
        "said": f"{first:,}–{end:,} of {selection.matching:,}" if selection.matching else "none",
        "rows": [
            {
                "id": str(row["id"]),
                "mark": mark(row["outcome"]),
                "colour": colour(row["outcome"]),
                "cells": [cell(row, name, zone) for name in look.columns],
            }
            for row in found
        ],
    }


def _title(cube: Cube, name: str) -> str:
    return TITLES.get(name) or (cube.facets[name].title if name in table.NAMED else name)


def cell(row: Json, name: str, zone: str) -> str:
    """Write one cell of the table."""
    value = row[name]
    if name == "duration_s":
        return f"≥ {duration_text(value)}" if row["running"] else duration_text(value)
    return cut(value_text(value, zone, seconds=True))


def details(selection: Selection, look: Look) -> Json | None:
    """Give everything about the chosen activity."""
    cube, zone = selection.cube, selection.scope.tz
    found = None if look.ident is None else table.details(cube, look.ident)
    if found is None:
        return None
    outcome = _label(cube, "outcome", found.row)
    return {
        "id": str(look.ident),
        "mark": mark(outcome),
        "colour": colour(outcome),
        "outcome": outcome,
        "operation": _label(cube, "operation", found.row),
        "facets": [
            [name, cube.facets[name].title, int(cube.facets[name].codes[found.row]),
             cut(_label(cube, name, found.row))]
            for name in ("tenant", "resource", "plan", "operation")
        ],
        "chain": [[code, text[:_LONGEST_VALUE]] for code, text in found.chain],
        "values": [
            [name, value_text(value, zone)[:_LONGEST_VALUE]]
            for name, value in found.cells.items()
        ],
        "parents": _brief(cube, found.parents, zone),
        "children": _brief(cube, found.children, zone),
        "neighbours": _brief(cube, found.neighbours, zone),
    }  # fmt: skip


def _label(cube: Cube, name: str, row: int) -> str:
    facet = cube.facets[name]
    code = int(facet.codes[row])
    return facet.labels[code] if code < len(facet.labels) else "?"


def _brief(cube: Cube, rows: list[int], zone: str) -> list[Json]:
    raw = cube.df[["id", "createdAt"]].iloc[cube.order[rows]]
    return [
        {
            "id": str(ident),
            "label": f"{value_text(created, zone, seconds=True)}  {_label(cube, 'operation', row)}",
            "mark": mark(_label(cube, "outcome", row)),
            "colour": colour(_label(cube, "outcome", row)),
            "outcome": _label(cube, "outcome", row),
        }
        for row, ident, created in zip(rows, raw["id"], raw["createdAt"], strict=True)
    ]
