"""One meaning per colour, wherever outcomes are drawn.

The colours keep a CIEDE2000 distance of at least 15 in normal and colour-blind vision. They never
stand alone: `MARK` gives the symbol, and the key is the word, that go with each. Warning and queued
are too pale for text on white.
"""

from typing import Final

COLOUR: Final = {
    "ok": "#32a07d",
    "warning": "#cf9d05",
    "error": "#c53213",
    "cancelled": "#6a727f",
    "running": "#3a6acd",
    "queued": "#92adda",
}

MARK: Final = {
    "ok": "✓",
    "warning": "!",
    "error": "✕",
    "cancelled": "–",
    "running": "▶",
    "queued": "◷",
}

NEUTRAL: Final = "#7b8ba3"
"""For quantities that are no outcome, such as durations."""

SERIES: Final = (NEUTRAL, "#9a29b7", "#b68a6f", "#6e681e")
"""For groups side by side that are no outcomes; at least 18 apart, and no outcome's colour."""
