"""`explore`: any source onto the dashboard, which by itself knows neither files nor the service."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from activitykit.filters import Filter
from activitykit.flatten import flatten, unflatten
from activitykit.load import load
from activitykit.schema import ATTRS
from activitykit.snapshot import write_snapshot

if TYPE_CHECKING:
    from activitykit.client import Client
    from activitykit.explorer.widget import Explorer

_OVERLAP: Final = pd.Timedelta(10, "min")
"""Changes may reach the service's index late, so a refresh asks again for the last of them."""

_NOTHING: Final = Filter()


def explore(
    source: "pd.DataFrame | Client | str | PathLike[str] | Iterable[Mapping[str, Any]]",
    where: Filter | None = None,
    *,
    tz: str = "UTC",
    basic: bool = False,
) -> "Explorer":
    """Open the dashboard over activities, wherever they are.

    Parameters
    ----------
    source
        A frame, which the dashboard does not change; or what `load` takes: a client, a file, an
        archive, activities as dicts.
    where
        Of a frame, what to show first; of any other source, what to load. Everything by default.
    tz
        The time zone of the times that are shown, of days and of the hours of the week, such as
        "Europe/Berlin".
    basic
        Show the view for browsers that cannot load the dashboard's script. It needs core
        ipywidgets only and can do less.

    Returns
    -------
    Explorer
        A Jupyter widget. ``.filter`` is what is chosen, an `activitykit.Filter` that can be set and
        observed; ``.scope`` what else is chosen and no filter can say; ``.filtered`` the matching
        rows, a new frame; ``.code`` the Python that gives the same rows and the shown statistics
        without the widget. ``.save(path)`` writes the rows as a snapshot, ``.report(path)`` their
        report; ``.refresh()`` fetches what has changed when the source is a client, keeping what
        the service has forgotten since, and reads a file or an archive anew.

    Raises
    ------
    ConfigError
        When ipywidgets is not installed, for an unknown time zone, and as `load` does.
    SchemaError
        When the frame lacks core columns.
    ApiError
        As `load` does, such as `AuthError`: without activities there is no dashboard yet to say it
        on, so that the cell says it. A refresh that fails says so on the dashboard, which goes on
        with what it has.

    Notes
    -----
    A saved notebook, nbconvert or a code host show a picture of the moment in its place.

    Examples
    --------
    >>> import activitykit as ak
    >>> board = ak.explore([{"id": 7, "state": "completed", "result": {"code": "ok"}}])
    >>> board.filter = ak.Filter(result="error")
    >>> len(board.filtered)
    0
    """
    from activitykit.explorer import Hands, open_board

    if isinstance(source, pd.DataFrame):
        return open_board(source, where, tz=tz, basic=basic, hands=Hands(save=_save))
    df = load(source, where)
    hands = Hands(save=_save, fetch=_fetcher(source, where))
    return open_board(df, tz=tz, basic=basic, hands=hands)


def _save(rows: pd.DataFrame, path: str) -> Path:
    return write_snapshot(rows, path)


def _fetcher(source: Any, where: Filter | None) -> Callable[[pd.DataFrame], pd.DataFrame] | None:  # noqa: ANN401 - what `load` takes
    if isinstance(source, str | PathLike):
        return lambda _: load(source, where, progress=False)
    if hasattr(source, "pages"):
        return lambda before: _changed(source, where or _NOTHING, before)
    return None  # dicts that have been read are gone


def _changed(client: "Client", where: Filter, before: pd.DataFrame) -> pd.DataFrame:
    """Fetch what was updated since, and put it in the place of what it was.

    Rows that the service has forgotten since, which it does after 90 days, or that were deleted
    there, stay: who explores does not want rows to go from under their eyes. Opening the dashboard
    again shows what the service has now.
    """
    newest = before["updatedAt"].max()
    if pd.isna(newest):
        return load(client, where, progress=False)
    # a state or result may have changed, so that a row is to be taken out
    asked = replace(
        where, on="updatedAt", since=newest - _OVERLAP, until=None, state=(), result=(), text=""
    )
    fresh = load(client, asked, progress=False)
    merged = where.select(_merged(before, fresh)).reset_index(drop=True)
    told = before.attrs.get(ATTRS, {})
    kept = {name: told[name] for name in ("source", "filter", "complete") if name in told}
    merged.attrs[ATTRS] = {**merged.attrs.get(ATTRS, {}), **kept, "rows": len(merged)}
    return merged


def _merged(before: pd.DataFrame, fresh: pd.DataFrame) -> pd.DataFrame:
    kept = before[~before["id"].isin(fresh["id"])]
    shared = before.columns.intersection(fresh.columns)
    notes = [frame.attrs.get(ATTRS, {}).get("json_columns") for frame in (before, fresh)]
    if notes[0] != notes[1] or (before.dtypes[shared] != fresh.dtypes[shared]).any():
        # the type of a column is decided over all rows
        return flatten([*unflatten(kept), *unflatten(fresh)])
    new = sorted(fresh.columns.difference(before.columns))
    rows = pd.concat([kept, fresh])[[*before.columns, *new]]
    return rows.sort_values("id", ignore_index=True)
