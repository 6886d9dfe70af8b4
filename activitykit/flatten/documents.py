"""JSON text: a chunk of bytes, cut into the texts of its activities; and values as text again."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from activitykit.errors import FlattenError

Text = bytes | msgspec.Raw

# what msgspec raises for JSON that Python's own reader may still take
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Page(msgspec.Struct):
    id: Any = None
    items: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_split_documents = msgspec.json.Decoder(msgspec.Raw).decode_lines
_split_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_page = msgspec.json.Decoder(_Page).decode
_read_fast = msgspec.json.Decoder().decode


def items_in(chunk: bytes, lines: int) -> list[Text]:
    """Cut a chunk into the texts of its activities."""
    try:
        documents = _split_documents(chunk)
        lists = [_split_list(doc) if opens(doc, b"[") else [doc] for doc in documents]
        items: list[Text] = [raw for raws in lists for raw in raws]
        # looking for the word first spares the activities from being read twice
        if b'"items"' in chunk:
            items = [raw for text in items for raw in _page_items(text)]
    except UNREADABLE:
        documents = _read_by_python(chunk, lines)
        return [json.dumps(item).encode() for document in documents for item in _unpack(document)]
    return items


def opens(text: Text, bracket: bytes) -> bool:
    """Tell whether a text begins with a bracket."""
    return bytes(memoryview(text)[:1]) == bracket


def _page_items(text: Text) -> Sequence[Text]:
    if opens(text, b"{"):
        page = _read_page(text)
        if page.id is None and page.items is not msgspec.UNSET:
            return page.items
    return [text]


def _unpack(document: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    for item in document if isinstance(document, list) else [document]:
        if isinstance(item, dict) and item.get("id") is None and "items" in item:
            if not isinstance(item["items"], list):
                raise FlattenError(f"the `items` of a page are no list: {to_json(item)[:80]}")
            yield from item["items"]
        else:
            yield item


def _read_by_python(chunk: bytes, lines: int) -> list[Any]:
    """Read what msgspec does not, or say where it is no JSON."""
    rows = [(i, row) for i, row in enumerate(chunk.splitlines(), lines + 1) if row.strip()]
    try:
        return [loads(chunk, f"line {lines + 1} and below")]
    except FlattenError:
        # one document that is broken, or lines of which one is broken?
        try:
            json.loads(rows[0][1] if len(rows) > 1 else b"")
        except (ValueError, RecursionError):
            only_lines = False
        else:
            only_lines = True
        if not only_lines:
            raise
        return [loads(row, f"line {i}") for i, row in rows]


def loads(text: bytes, where: str) -> Any:  # noqa: ANN401 - any JSON
    """Read JSON, or say where there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FlattenError(f"this is not JSON: {error} ({where})") from error


def to_json(value: object) -> str:
    """Write a value as compact JSON text, the same for equal values."""
    return compact(json.dumps(value).encode())


def read_any(text: bytes | str) -> Any:  # noqa: ANN401 - any JSON
    """Read JSON that is known to be some."""
    try:
        return _read_fast(text)
    except UNREADABLE:
        return json.loads(text)


def compact(text: bytes) -> str:
    """Write JSON anew, so that spaces and spellings make no difference."""
    try:
        return msgspec.json.encode(_read_fast(text)).decode()
    except UNREADABLE:
        return json.dumps(json.loads(text), separators=(",", ":"))
