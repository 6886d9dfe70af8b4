"""`Hands`: what others do for the dashboard, which knows neither files nor the service."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Hands:
    """What the dashboard lets others do; what is None, it does not offer.

    Attributes
    ----------
    save
        Writes rows to a file and tells where it is.
    fetch
        Gives the frame anew, with what has changed.
    """

    save: Callable[[pd.DataFrame, str], Path] | None = None
    fetch: Callable[[pd.DataFrame], pd.DataFrame] | None = None
