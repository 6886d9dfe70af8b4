"""`Facet`: one way to group the rows, whose groups a filter can ask for; and those there are."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from activitykit.filters import NO_RESULT, UNFINISHED
from activitykit.query import GUID
from activitykit.schema import KNOWN_TYPES, RESULT_CODES, STATES

if TYPE_CHECKING:
    from activitykit.explorer.cube import Cube

Array = np.ndarray[Any, Any]

TREE: Final = "tenants"
"""The facet whose options lie below each other."""

NONE: Final = "(none)"
"""Stands for a missing value among the options of a facet."""

_WORDS: Final = (*RESULT_CODES, *UNFINISHED, NO_RESULT)
_LABELS: Final = {
    "ok": "OK", "warning": "Warning", "error": "Error", "cancelled": "Cancelled",
    "abandoned": "Abandoned", "timedout": "Timed out", "running": "Running", "queued": "Queued",
    NO_RESULT: "No result",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Codes:
    """A number for each row, below `size`."""

    of: Array
    size: int

    @cached_property
    def total(self) -> Array:
        """How many rows have each number."""
        return np.bincount(self.of, minlength=self.size)


@dataclass(frozen=True)
class Facet:
    """One way to group the rows, whose groups a field of `Filter` can ask for.

    Attributes
    ----------
    name, title
        Of the facet.
    field
        Of `Filter`.
    labels
        What people read, one per option.
    terms
        What the field of the filter holds when the option is chosen.
    codes
        For each row the position of its option; ``len(labels)`` for a row that no filter reaches.
    odd
        Options whose name `Filter` reads as a pattern or an id, so that choosing one may give other
        rows than the group's.
    ranked
        Whether the greatest options come first; else they keep their order.
    also
        Other terms under which an option counts as chosen, such as the name beside a locator.
    above
        For each option the one that it lies below, which counts its rows as well; -1 for none.
    """

    name: str
    title: str
    field: str
    labels: list[str]
    terms: list[tuple[str, ...]]
    codes: Array
    odd: frozenset[int] = frozenset()
    ranked: bool = True
    also: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    above: Array | None = None

    @cached_property
    def coded(self) -> Codes:
        """Its codes, ready to be counted."""
        return Codes(self.codes, len(self.labels) + 1)


def facets(cube: "Cube") -> list[Facet]:
    """Make the facets of a cube, in the order in which people look at them."""
    tenants = {*cube.column("tenant.id")[1], *cube.column("tenant.uuid")[1]}

    spelled = Counter(str(kind).lower() for kind in cube.column("type")[1])

    def wild(name: str) -> bool:
        return "*" in name or GUID.fullmatch(name) is not None

    def shared(name: str) -> bool:
        return name in KNOWN_TYPES.values() or spelled[name.lower()] > 1

    tree = tenant_tree(cube)
    return [
        _outcomes(cube),
        _named(cube, "state", "State", "state", "state", order=STATES),
        _operations(cube),
        _named(
            cube,
            "tenant", "Tenant", "tenant", "tenant.name",
            odd=lambda name: name in tenants or name.startswith("/") or wild(name),
        ),
        _named(cube, "plan", "Plan", "policy", "policy.name", odd=wild),
        _named(cube, "resource", "Resource", "resource", "resource.name", odd=wild),
        _named(cube, "started_by", "Started by", "started_by", "startedByUser", odd=wild),
        _named(cube, "type", "Type", "type", "type", odd=shared),
        *([tree] if tree else []),
    ]  # fmt: skip


def _named(
    cube: "Cube",
    name: str,
    title: str,
    field: str,
    path: str,
    *,
    odd: Callable[[str], bool] = lambda _: False,
    order: Sequence[str] = (),
) -> Facet:
    codes, values = cube.column(path)
    keys = [value if isinstance(value, str) else None for value in values] + [""]
    known = [*order, *sorted({key for key in keys if key}.difference(order)), ""]
    codes, used = _group(codes, keys, known)
    labels = [key or NONE for key in used]
    strange = frozenset(i for i, key in enumerate(used) if odd(key))
    return Facet(
        name, title, field, labels, [(key,) for key in used], codes, strange, ranked=not order
    )


def _operations(cube: "Cube") -> Facet:
    """Group the types by the name of their operation; a type counts under its commonest one."""
    codes, types = cube.column("type")
    names = _commonest(cube, codes, types)
    groups: dict[str, list[str]] = {}
    for label, value in zip(names, types, strict=True):
        if label:
            groups.setdefault(label, []).append(value)
    known = sorted(groups)
    keys = [*names, ""]
    codes, used = _group(codes, keys, [*known, ""])
    labels = [key or NONE for key in used]
    values = [tuple(sorted(groups.get(key, [""]))) for key in used]
    return Facet("operation", "Operation", "type", labels, values, codes)


def _outcomes(cube: "Cube") -> Facet:
    results, codes = cube.column("result.code")
    states, words = cube.column("state")
    pairs = results.astype(np.int64) * (len(words) + 1) + states
    distinct, position = np.unique(pairs, return_inverse=True)
    keys = [
        _outcome([*codes, None][pair // (len(words) + 1)], [*words, None][pair % (len(words) + 1)])
        for pair in distinct
    ]
    others = sorted({key for key in keys if key and key not in _WORDS})
    grouped, used = _group(position, keys, [*_WORDS, *others])
    labels = [_LABELS.get(key, key) for key in used]
    values: list[tuple[str, ...]] = [(key,) for key in used]
    return Facet("outcome", "Outcome", "result", labels, values, grouped, ranked=False)


def _outcome(result: object, state: object) -> str | None:
    """Give the word of `Filter.result` for a row; None when there is no word for it."""
    if isinstance(result, str) and result:
        return result if result not in (*UNFINISHED, NO_RESULT) else None
    if result not in (None, ""):
        return None
    open_ = {name: word for word, names in UNFINISHED.items() for name in names}
    return open_.get(state, NO_RESULT) if isinstance(state, str) else NO_RESULT


def _commonest(cube: "Cube", codes: Array, types: Sequence[Any]) -> list[str | None]:
    """Find for each type the name of operation that most of its rows have, else the type itself."""
    if "operation" not in cube.df.columns:
        return [value if isinstance(value, str) else None for value in types]
    named, names = cube.column("operation")
    width = len(names) + 1
    pairs, counts = np.unique(codes.astype(np.int64) * width + named, return_counts=True)
    best: dict[str, str] = {}
    spelling: dict[int, str] = {
        i: value.upper() if GUID.fullmatch(value) else value
        for i, value in enumerate(types)
        if isinstance(value, str)
    }
    for pair in pairs[np.argsort(counts, kind="stable")]:
        number, name = divmod(int(pair), width)
        if number in spelling and name < len(names) and names[name]:
            best[spelling[number]] = names[name]
    found = [spelling.get(i) for i in range(len(types))]
    return [best.get(value, value) if value else None for value in found]


def _group(
    codes: Array, keys: Sequence[str | None], order: Sequence[str]
) -> tuple[Array, list[str]]:
    """Renumber codes by the key of each, in the given order, leaving out keys that no row has.

    A row whose key is None gets the number after the last.
    """
    present = np.bincount(codes, minlength=len(keys)) > 0
    have = {key for key, there in zip(keys, present, strict=True) if there and key is not None}
    used = [key for key in order if key in have]
    number = {key: i for i, key in enumerate(used)}
    new = np.array([number.get(key, len(used)) if key is not None else len(used) for key in keys])
    return small(new.astype(np.int64)[codes], len(used)), used


def tenant_tree(cube: "Cube") -> Facet | None:
    """Make a facet whose options lie below each other; None when no tenant has a locator.

    Its codes say which node a row belongs to itself, ``above`` which node lies above another.
    """
    rows, locators = cube.column("tenant.locator")
    paths = [_path(locator) for locator in locators]
    known = sorted({path[:depth] for path in paths for depth in range(1, len(path) + 1)})
    # the root of everything is no choice, unless activities are its own
    if known and all(path[:1] == known[0] for path in known) and known[0] not in paths:
        known = known[1:]
    if not known:
        return None
    number = {path: i for i, path in enumerate(known)}
    names = _names(cube, number, paths)
    terms = [f"/{'/'.join(path)}/" for path in known]
    codes = np.array([number.get(path, len(known)) for path in [*paths, ()]])
    taken = {value for name in ("id", "uuid", "name") for value in cube.column(f"tenant.{name}")[1]}
    return Facet(
        TREE, "Tenant", "tenant", [names.get(i, f"#{path[-1]}") for i, path in enumerate(known)],
        [(term,) for term in terms], small(codes, len(known))[rows],
        odd=frozenset(i for i, term in enumerate(terms) if term in taken),
        also=[(names[i],) if i in names else () for i in range(len(known))],
        above=np.array([number.get(path[:-1], -1) for path in known]),
    )  # fmt: skip


def _path(locator: object) -> tuple[str, ...]:
    return tuple(filter(None, locator.split("/"))) if isinstance(locator, str) else ()


def _names(cube: "Cube", number: dict[Any, int], paths: list[tuple[str, ...]]) -> dict[int, str]:
    """Give the newest name of each tenant that has activities of its own."""
    rows, _ = cube.column("tenant.locator")
    codes, names = cube.column("tenant.name")
    latest = np.full(len(paths) + 1, -1)
    latest[rows] = np.arange(cube.n)  # of several rows the last one stays
    found: dict[int, str] = {}
    for path, row in zip(paths, latest[:-1], strict=True):
        if path in number and row >= 0 and codes[row] < len(names):
            found[number[path]] = str(names[codes[row]])
    return found


def folded(codes: Array, values: Sequence[Any]) -> tuple[Array, list[str]]:
    """Unite the codes of ids that differ in case only; a missing id keeps the last code."""
    lower = [str(value).lower() for value in values]
    number = {name: i for i, name in enumerate(dict.fromkeys(lower))}
    new = np.array([*(number[name] for name in lower), len(number)], dtype=np.int64)
    return small(new[codes], len(number)), list(number)


def small(codes: Array, greatest: int) -> Array:
    """Give codes the narrowest type that holds them."""
    return codes.astype(np.min_scalar_type(greatest))
