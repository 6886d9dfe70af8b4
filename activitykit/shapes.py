"""Structs that learn the keys of many objects at one path, to read such objects fast."""

import contextlib
from collections.abc import Sequence
from typing import Any, Final, Literal, Union

import msgspec

from activitykit.documents import UNREADABLE, Text, join
from activitykit.names import name_of

DEEPEST: Final = 6
"""Objects this many levels below the activity become columns, deeper ones stay as JSON text."""

CONTEXT: Final = ("context",)
"""The path whose objects have their keys by the type of the activity, so they are read apart."""

Path = tuple[str, ...]

# for more keys, a struct would cost more than it saves
_MAX_KEYS: Final = 400
_SCALAR: Final = str | int | float | bool | None
_read_objects = msgspec.json.Decoder(list[dict[str, Any]]).decode

# what is known of the values of a key: nothing yet, single values, objects, or anything
_Field = Union[None, Literal["scalar", "raw"], "Shape"]


class Shape:
    """The keys seen in the objects at one path, and a struct that reads such objects."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fields: dict[str, _Field] = {}
        self.names: list[str] = []
        self.struct: Any = None
        self._decoder: Any = None

    def read(self, texts: Sequence[Text]) -> list[Any] | None:
        """Read objects as structs; None when one is no object, or msgspec cannot read it."""
        joined = join(texts)
        with contextlib.suppress(*UNREADABLE):
            if self._decoder is None:
                self._learn_from(texts[:300])
            for _ in range(2):
                if self.struct is None:
                    break
                try:
                    objects: list[Any] = self._decoder.decode(joined)
                except msgspec.ValidationError:
                    self._learn_from([text for text in texts if not self._can_read(text)])
                else:
                    return objects
        return None

    def _can_read(self, text: Text) -> bool:
        try:
            self._decoder.decode(join([text]))
        except msgspec.ValidationError:
            return False
        return True

    def _learn_from(self, texts: Sequence[Text]) -> None:
        for item in _read_objects(join(texts)):
            self.learn(item)
        self.build()
        self._decoder = msgspec.json.Decoder(list.__class_getitem__(self.struct or dict))

    def learn(self, item: dict[str, Any]) -> None:
        """Take in the keys of an object and of those inside it."""
        for key, value in item.items():
            known = self.fields.get(key)
            path = (*self.path, key)
            if isinstance(value, dict) and len(path) <= DEEPEST and path != CONTEXT:
                if known is None:
                    known = self.fields[key] = Shape(path)
                if isinstance(known, Shape):
                    known.learn(value)
                else:
                    self.fields[key] = "raw"
            elif isinstance(value, dict | list) or (value is not None and isinstance(known, Shape)):
                self.fields[key] = "raw"
            elif known is None:
                self.fields[key] = None if value is None else "scalar"

    def build(self) -> None:
        """Make the struct; there is none for very many keys, or such as msgspec does not take."""
        self.names = [name_of((*self.path, key)) for key in self.fields]
        types: list[Any] = []
        for key, known in self.fields.items():
            of: Any = _SCALAR
            if isinstance(known, Shape):
                known.build()
                if known.struct is None:
                    self.fields[key] = "raw"
                else:
                    of = known.struct | None
            types.append(msgspec.Raw if self.fields[key] == "raw" else of)
        fields = [(f"f{i}", of, None) for i, of in enumerate(types)]
        rename = {f"f{i}": key for i, key in enumerate(self.fields)}
        self.struct = None
        if len(fields) <= _MAX_KEYS:
            # ValueError: quotes, backslashes, control characters or half surrogates in keys
            with contextlib.suppress(ValueError):
                self.struct = msgspec.defstruct(
                    "_", fields, rename=rename, forbid_unknown_fields=True, gc=False
                )
