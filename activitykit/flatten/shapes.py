"""Structs that learn the keys of the objects at one path, to read many such objects fast."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec

from activitykit.flatten.documents import UNREADABLE, Text, join
from activitykit.flatten.names import name_of

DEEPEST: Final = 6
"""Objects this many levels below the activity become columns, deeper ones stay as JSON text."""

CONTEXT: Final = ("context",)
"""The path whose objects have their keys by the type of the activity, so they are read apart."""

Path = tuple[str, ...]
Columns = list[Sequence[Any]]

# for more keys, a struct would cost more than it saves
_MAX_KEYS: Final = 400
_LEARNT_AT_ONCE: Final = 300
_SCALAR: Final = str | int | float | bool | None
_NULL: Final = msgspec.Raw(b"null")
_read_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


# no JSON can be read as that
_NOTHING: Final[Any] = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=0)])


class Shape:
    """The keys seen in the objects at one path, and a struct that reads such objects.

    Objects and lists in them stay as they came, as raw JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nested: dict[str, bool] = {}
        """Whether there were objects or lists under a key."""
        self.names: list[str] = []
        """The column of each key."""
        self._list: Any = _NOTHING
        self._page: Any = _NOTHING

    def read(self, texts: Sequence[Text]) -> Columns | None:
        """Read JSON objects as columns, one per key; None when msgspec cannot."""
        if self.nested and self._list is _NOTHING:
            return None
        joined = join(texts)
        with contextlib.suppress(*UNREADABLE):
            with contextlib.suppress(msgspec.ValidationError):
                return self._transpose(self._list.decode(joined))
            for start in range(0, len(texts), _LEARNT_AT_ONCE):
                self._learn(join(texts[start : start + _LEARNT_AT_ONCE]))
            return self._transpose(self._list.decode(joined))
        return None

    def read_pages(self, pages: Iterable[bytes]) -> Columns | None:
        """Read the items of pages likewise; None when there is anything else, or a new key."""
        objects: list[Any] = []
        with contextlib.suppress(*UNREADABLE):
            for text in pages:
                page = self._page.decode(text)
                if page.id is not None or page.items is msgspec.UNSET:
                    return None
                objects += page.items or ()
            return self._transpose(objects)
        return None

    def of(self, key: str, columns: Columns) -> Sequence[Any]:
        """Give the column of a key."""
        nothing = [None] * len(columns[0] if columns else [None])
        return dict(zip(self.nested, columns, strict=True)).get(key, nothing)

    def _transpose(self, objects: Sequence[Any]) -> Columns:
        if not objects:
            return [()] * len(self.nested)
        return list(zip(*map(msgspec.structs.astuple, objects), strict=True))

    def _learn(self, joined: bytes) -> None:
        with contextlib.suppress(msgspec.ValidationError):
            self._list.decode(joined)
            return
        for item in _read_objects(joined):
            for key, raw in item.items():
                if not self.nested.get(key):
                    self.nested[key] = memoryview(raw)[0] in b"{["
        self._build()

    def _build(self) -> None:
        """Make the struct; there is none for very many keys, or such as msgspec does not take."""
        self.names = [name_of((*self.path, key)) for key in self.nested]
        fields = [
            (f"f{i}", msgspec.Raw if nested else _SCALAR, _NULL if nested else None)
            for i, nested in enumerate(self.nested.values())
        ]
        rename = {f"f{i}": key for i, key in enumerate(self.nested)}
        self._list = self._page = _NOTHING
        if len(fields) <= _MAX_KEYS:
            # ValueError: quotes, backslashes, control characters or half surrogates in keys
            with contextlib.suppress(ValueError):
                struct: Any = msgspec.defstruct(
                    "_", fields, rename=rename, forbid_unknown_fields=True, gc=False
                )
                items = list.__class_getitem__(struct)
                self._list = msgspec.json.Decoder(items)
                if not self.path:
                    self._page = msgspec.json.Decoder(_page_of(items))


def _page_of(items: Any) -> Any:  # noqa: ANN401 - the type of a list
    fields = [("id", Any, None), ("items", items | msgspec.UnsetType | None, msgspec.UNSET)]
    return msgspec.defstruct("_", fields)
