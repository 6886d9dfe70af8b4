"""A figure of `plots` as SVG text that can stand in an HTML page."""

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from activitykit._axes import INK
from activitykit.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 9.0  # inches; the page scales it
_HEAD: Final = re.compile(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>")
# its style rule would reach the whole page
_EXTRAS: Final = re.compile(
    r"<defs>\s*<style.*?</style>\s*</defs>|<metadata.*?</metadata>", re.DOTALL
)


def svg(
    draw: "Callable[..., Axes]", frame: pd.DataFrame, *, name: str, alt: str, height: float
) -> str:
    """Draw a statistic's frame as an inline SVG element.

    The same frame gives the same bytes. Ids begin with ``name``, so that several figures can share
    a page; ``alt`` is the text alternative. Text stays text, and what `plots` draws in its grey ink
    takes the colour of the page, so that one figure serves light, dark and print.

    Raises
    ------
    ConfigError
        When matplotlib is missing.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "the report needs matplotlib: pip install 'activitykit[report]'"
        ) from error

    with mpl.rc_context(), warnings.catch_warnings():
        # names in any script are drawn by the browser, which has the glyphs
        warnings.filterwarnings("ignore", message="Glyph")
        mpl.rcdefaults()
        mpl.rc("svg", fonttype="none", hashsalt=name)
        mpl.rc("font", **{"sans-serif": ["DejaVu Sans"]})
        mpl.rc("hatch", linewidth=0.8)
        figure = Figure(figsize=(_WIDTH, height), dpi=72, layout="constrained")
        figure.patch.set_visible(False)
        draw(frame, ax=figure.add_subplot())
        text = io.StringIO()
        nothing: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        # savefig would lay it out for another resolution first, and draw it twice
        FigureCanvasSVG(figure).print_svg(text, metadata=nothing)  # type: ignore[no-untyped-call]
    return _inline(text.getvalue(), name, alt)


def _inline(document: str, name: str, alt: str) -> str:
    """Cut the element out of the document and make it safe to stand beside others."""
    element = document[document.index("<svg") :]
    # namespaces go without saying inside HTML
    element = _HEAD.sub(r"<svg \1>", _EXTRAS.sub("", element), count=1)
    element = element.replace("xlink:href", "href")
    element = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", element)
    label = escape(alt, quote=True)
    element = element.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return re.sub(r"\n\s*", "\n", element.replace(INK, "currentColor")).strip()
