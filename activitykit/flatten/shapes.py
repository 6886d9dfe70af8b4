"""Structs that learn the keys of the objects at one path, to read many such objects fast."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec

from activitykit.flatten.documents import UNREADABLE, Text
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
_read_objects = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode_lines

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
        self._object: Any = _NOTHING
        self._page: Any = _NOTHING

    def read(self, texts: Sequence[Text]) -> Columns | None:
        """Read JSON objects as columns, one per key; None when msgspec cannot."""
        if self.nested and self._object is _NOTHING:
            return None
        lines = b"\n".join(texts)
        with contextlib.suppress(*UNREADABLE):
            with contextlib.suppress(msgspec.ValidationError):
                return self._transpose(self._object.decode_lines(lines))
            for start in range(0, len(texts), _LEARNT_AT_ONCE):
                self._learn(b"\n".join(texts[start : start + _LEARNT_AT_ONCE]))
            return self._transpose(self._object.decode_lines(lines))
        return None

    def read_chunks(self, chunks: Iterable[bytes]) -> Columns | None:
        """Read pages, or objects line by line; None when there is anything else, or a new key."""
        objects: list[Any] = []
        with contextlib.suppress(*UNREADABLE):
            for chunk in chunks:
                objects += self._items(chunk)
            return self._transpose(objects)
        return None

    def _items(self, chunk: bytes) -> Sequence[Any]:
        with contextlib.suppress(msgspec.DecodeError):
            page = self._page.decode(chunk)
            if page.id is None and page.items is not msgspec.UNSET:
                items: list[Any] = page.items
                return items
        lines: list[Any] = self._object.decode_lines(chunk)
        return lines

    def of(self, key: str, columns: Columns) -> Sequence[Any]:
        """Give the column of a key."""
        nothing = [None] * len(columns[0] if columns else [None])
        return dict(zip(self.nested, columns, strict=True)).get(key, nothing)

    def _transpose(self, objects: Sequence[Any]) -> Columns:
        if not objects:
            return [()] * len(self.nested)
        return list(zip(*map(msgspec.structs.astuple, objects), strict=True))

    def _learn(self, lines: bytes) -> None:
        with contextlib.suppress(msgspec.ValidationError):
            self._object.decode_lines(lines)
            return
        for item in _read_objects(lines):
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
        self._object = self._page = _NOTHING
        if len(fields) <= _MAX_KEYS:
            # ValueError: quotes, backslashes, control characters or half surrogates in keys
            with contextlib.suppress(ValueError):
                struct: Any = msgspec.defstruct(
                    "_", fields, rename=rename, forbid_unknown_fields=True, gc=False
                )
                self._object = msgspec.json.Decoder(struct)
                if not self.path:
                    self._page = msgspec.json.Decoder(_page_of(list.__class_getitem__(struct)))


def _page_of(items: Any) -> Any:  # noqa: ANN401 - the type of a list
    fields = [("id", Any, None), ("items", items | msgspec.UnsetType, msgspec.UNSET)]
    return msgspec.defstruct("_", fields)
