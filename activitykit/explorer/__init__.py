"""The dashboard: filters beside linked figures and a table, in a notebook.

``cube`` makes a frame ready for fast filtering, ``selection`` and ``scope`` hold what is chosen,
``measures``, ``rankings`` and ``table`` work out what is shown, ``state`` puts it into a message
for the ``board``; ``svg`` and ``render`` write it as HTML, for the ``basic`` view and for readers
without a kernel; ``widget`` connects them.
"""

from typing import TYPE_CHECKING, Final

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.explorer.hands import Hands
from activitykit.filters import Filter

if TYPE_CHECKING:
    from activitykit.explorer.widget import Explorer

__all__ = ["Hands", "open_board"]


_NO_HANDS: Final = Hands()


def open_board(
    df: pd.DataFrame,
    where: Filter | None = None,
    *,
    tz: str = "UTC",
    basic: bool = False,
    hands: Hands = _NO_HANDS,
) -> "Explorer":
    """Open the dashboard over a frame; `activitykit.explore` explains the arguments.

    Parameters
    ----------
    hands
        What lets the dashboard write snapshots and fetch anew.

    Raises
    ------
    ConfigError
        When ipywidgets is not installed, or for an unknown time zone.
    SchemaError
        When the frame lacks core columns.
    """
    try:
        from activitykit.explorer.widget import Explorer
    except ModuleNotFoundError as error:
        if error.name not in ("ipywidgets", "traitlets"):
            raise
        raise ConfigError(
            "The dashboard needs ipywidgets: pip install 'activitykit[widgets]'"
        ) from error
    from activitykit.explorer.scope import Scope

    return Explorer(df, where or Filter(), Scope(tz=tz), hands, basic=basic)
