"""How old a last good run may be."""

import re
from collections.abc import Mapping
from fnmatch import translate
from typing import Any, Final

import pandas as pd

from activitykit.errors import ConfigError
from activitykit.moments import is_span, to_timestamp

Targets = str | Mapping[str, str] | None
"""A span such as "36h" for all; or spans by patterns of plan names, of which the first that fits
counts, such as ``{"*weekly*": "8d", "*": "36h"}``; or None: `DEFAULT`."""

LEAST: Final = pd.Timedelta(3, "D")
TIMES: Final = 2
DEFAULT: Final = (
    "3 days, or twice the usual time between two runs of the resource under the plan where that is"
    " longer"
)
"""The target where none is given: a Monday morning after a weekend without runs is no breach, and a
weekly plan is not late on Thursday."""

_EPOCH: Final = pd.Timestamp(0, tz="UTC")


def check_targets(targets: Targets) -> None:
    """Refuse targets that cannot be read.

    Raises
    ------
    ConfigError
        Naming the one that is no span.
    """
    spans = list(targets.values()) if isinstance(targets, Mapping) else [targets]
    for span in spans:
        if span is not None and not (is_span(span) and _seconds(span) > 0):
            raise ConfigError(
                f'cannot read the target {span!r}; give a span such as "36h" or "7d", or spans by'
                ' patterns of plan names such as {"*weekly*": "8d", "*": "36h"}'
            )


def target_seconds(table: pd.DataFrame, usual: "pd.Series[Any]", targets: Targets) -> list[float]:
    """Give the target of each row of `stats.last_good`, in seconds; missing where there is none.

    Parameters
    ----------
    table
        With ``policy.name``; a plan without a name is matched as "".
    usual
        The usual time between two runs, in seconds, for each row; missing where it is not known.
    """
    if targets is None:
        least = LEAST.total_seconds()
        return (usual * TIMES).clip(lower=least).fillna(least).tolist()
    patterns = targets if isinstance(targets, Mapping) else {"*": targets}
    read = [(re.compile(translate(p.casefold())), _seconds(span)) for p, span in patterns.items()]
    names = table["policy.name"].fillna("").str.casefold()
    found = {
        name: next((span for pattern, span in read if pattern.match(name)), float("nan"))
        for name in names.unique()
    }
    return names.map(found).tolist()


def _seconds(span: str) -> float:
    return (_EPOCH - to_timestamp(span, now=_EPOCH)).total_seconds()
