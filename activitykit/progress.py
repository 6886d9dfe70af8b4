"""The progress bar of everything that may take long."""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(what: str, *, unit: str, shown: bool, total: int | None = None) -> "tqdm[Any]":
    """Give a bar that shows when it takes longer than a second, and is gone at the end."""
    with warnings.catch_warnings():
        # in a notebook without ipywidgets a plain bar is good enough
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

        return tqdm(
            desc=what, unit=unit, unit_scale=True, total=total, delay=1, leave=False,
            disable=not shown,
        )  # fmt: skip
