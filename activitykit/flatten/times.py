"""Columns of RFC 3339 text -> exact times, and back.

The grammar is that of `moments.parse_time`. What the service usually sends is read in bulk by
Arrow, the rest one by one.
"""

from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from activitykit.moments import format_time, parse_time

TIMESTAMP: Final = pa.timestamp("ns", "UTC")

# exactly what `write_times` writes, in years that 64-bit nanoseconds surely hold; first with all
# days of all months, then with those that every month has
_USUAL: Final = tuple(
    rf"^(?:1[7-9]|2[01])\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|{days})"
    r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{0,8}[1-9])?Z$"
    for days in (r"[12]\d|3[01]", r"1\d|2[0-8]")
)


def read_times(texts: Any) -> tuple[Any, Any]:  # noqa: ANN401 - Arrow is untyped
    """Read a column of text.

    Returns
    -------
    tuple of pyarrow.Array
        The times, null where there is none to read; and the texts that the times do not give back:
        what is no time, and what is one in another spelling (an offset, trailing zeros).
    """
    try:
        in_bulk, times = _read_usual(texts, _USUAL[0])
    except pa.ArrowInvalid:  # such as 30 February
        in_bulk, times = _read_usual(texts, _USUAL[1])
    odd = pc.and_(texts.is_valid(), pc.invert(in_bulk))
    if not pc.any(odd).as_py():
        return times, pa.nulls(len(texts), texts.type)
    left = texts.filter(odd).to_pylist()
    moments = [parse_time(text) for text in left]
    exact = [
        moment is not None and format_time(pd.Timestamp(moment, tz="UTC")) == text
        for moment, text in zip(moments, left, strict=True)
    ]
    times = pc.replace_with_mask(times, odd, pa.array(moments, pa.int64()).cast(TIMESTAMP))
    kept = [None if same else text for same, text in zip(exact, left, strict=True)]
    nothing = pa.nulls(len(texts), texts.type)
    return times, pc.replace_with_mask(nothing, odd, pa.array(kept, texts.type))


def _read_usual(texts: Any, usual: str) -> tuple[Any, Any]:  # noqa: ANN401
    in_bulk = pc.match_substring_regex(texts, usual)
    return in_bulk, pc.if_else(in_bulk, texts, None).cast(TIMESTAMP)


def write_times(times: Any) -> Any:  # noqa: ANN401 - Arrow is untyped
    """Write times as the service does: in UTC, without trailing zeros."""
    texts = times.cast(pa.timestamp("ns")).cast(pa.large_string())
    texts = pc.replace_substring(texts, " ", "T", max_replacements=1)
    texts = pc.replace_substring_regex(texts, r"\.?0+$", "")
    zone, nothing = (pa.scalar(text, pa.large_string()) for text in ("Z", ""))
    return pc.binary_join_element_wise(texts, zone, nothing)
