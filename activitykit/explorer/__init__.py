"""The dashboard: filters beside linked figures and a table, in a notebook.

``cube`` makes a frame ready for fast filtering, ``selection`` holds what is chosen, ``measures``
works out what is shown, ``svg`` and ``render`` write it as HTML, ``widget`` puts it on the screen.
"""

from typing import TYPE_CHECKING

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.filters import Filter

if TYPE_CHECKING:
    from activitykit.explorer.widget import Explorer

__all__ = ["explore"]


def explore(df: pd.DataFrame, where: Filter | None = None) -> "Explorer":
    """Open the dashboard over a frame.

    Parameters
    ----------
    df
        Activities; the dashboard does not change them.
    where
        What to show first; everything by default.

    Returns
    -------
    Explorer
        A Jupyter widget. ``.filter`` is what is chosen, an `activitykit.Filter` that can be set and
        observed; ``.filtered`` the matching rows, a new frame; ``.code`` the Python that gives the
        same rows and the shown statistics without the widget.

    Raises
    ------
    ConfigError
        When ipywidgets is not installed.
    SchemaError
        When the frame lacks core columns.

    Notes
    -----
    A saved notebook, nbconvert or a code host show a picture of the moment in its place.

    Examples
    --------
    >>> import activitykit as ak
    >>> board = ak.explore(ak.flatten([{"id": 7, "state": "completed", "result": {"code": "ok"}}]))
    >>> board.filter = ak.Filter(result="error")
    >>> len(board.filtered)
    0
    """
    try:
        from activitykit.explorer.widget import Explorer
    except ModuleNotFoundError as error:
        if error.name not in ("ipywidgets", "traitlets"):
            raise
        raise ConfigError(
            "The dashboard needs ipywidgets: pip install 'activitykit[widgets]'"
        ) from error
    return Explorer(df, where or Filter())
