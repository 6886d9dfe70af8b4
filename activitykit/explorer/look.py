"""`Look`: what the board shows of a selection: the view, not the rows."""

from dataclasses import dataclass, field
from typing import Final

from activitykit.explorer.cube import Cube
from activitykit.explorer.facets import TREE, Facet

FACETS: Final = {
    "outcome": 12, "operation": 8, "tenants": 8, "tenant": 8, "plan": 6, "resource": 6, "state": 8,
    "started_by": 4,
}  # fmt: skip
"""The facets that are shown at first, and how many options each shows."""
COLUMNS: Final = ("createdAt", "outcome", "operation", "tenant", "resource", "duration_s")


@dataclass
class Look:
    """What the board shows of a selection: the view, not the rows."""

    page: int = 0
    sort: str = "createdAt"
    descending: bool = True
    columns: list[str] = field(default_factory=lambda: list(COLUMNS))
    by: dict[str, str] = field(
        default_factory=lambda: {"rates": "resource", "lengths": "operation"}
    )
    facets: list[str] = field(default_factory=list)
    unfolded: set[int] = field(default_factory=set)
    find: dict[str, str] = field(default_factory=dict)
    room: dict[str, int] = field(default_factory=dict)
    ident: int | None = None

    def begin(self, cube: Cube) -> None:
        """Look at a new frame: what lies at its numbers and names may be another."""
        self.facets = [name for name in self.facets if name in cube.facets] or first_facets(cube)
        self.columns = [name for name in self.columns if name in COLUMNS or name in cube.df.columns]
        self.unfolded.clear()


def first_facets(cube: Cube) -> list[str]:
    """Name the facets that are shown at first."""
    return [name for name in FACETS if name in cube.facets and apart(cube, cube.facets[name])]


def apart(cube: Cube, facet: Facet) -> bool:
    """Tell whether a facet is offered: the plain tenants are not beside their tree."""
    return not (facet.name == "tenant" and TREE in cube.facets)
