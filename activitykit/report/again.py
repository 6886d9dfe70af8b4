"""A report made again: from its own manifest, and from where its data is."""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from activitykit import stats
from activitykit.errors import ConfigError
from activitykit.filters import Filter
from activitykit.report.build import build_report
from activitykit.report.content import Report
from activitykit.report.sources import Archived, gather
from activitykit.schema import ATTRS

_IN_HTML: Final = re.compile(r'<pre id="manifest-json">(.*?)</pre>', re.DOTALL)
_IN_MARKDOWN: Final = re.compile(r"^```json\n(.*)\n```\n\Z", re.DOTALL | re.MULTILINE)
# what must come out the same, or the data is not that of the report
_DATA: Final = ("rows", "content_hash", "period")


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest out of a report in HTML, Markdown or JSON, whatever its name ends in.

    Raises
    ------
    ConfigError
        When the file cannot be read, or holds none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = _embedded(text)
        if not {"arguments", "data", *_DATA} <= found.keys():
            raise ValueError("it is of another kind")  # noqa: TRY301 - told like the other misreadings
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} holds no manifest of a report ({error}); give one that was written as .html,"
            " .md or .json"
        ) from error
    manifest: dict[str, Any] = found
    return manifest


def _embedded(text: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """Take the manifest out of a text; how it begins says the format, for its name may be any."""
    if text.startswith("{"):
        return json.loads(text)["manifest"]
    page = text.lower().startswith("<!doctype html>")
    found = (_IN_HTML if page else _IN_MARKDOWN).findall(text)
    if len(found) != 1:
        raise ValueError("there is none in it")
    return json.loads(html.unescape(found[0]) if page else found[0])


def gather_again(
    source: pd.DataFrame | Archived, manifest: Mapping[str, Any], *, whole: bool = False
) -> pd.DataFrame:
    """Give the activities that a report was made from, with what was known of them then.

    Parameters
    ----------
    source
        The archive that it was made from, of which the same state is read, wherever it is now; or
        a frame with the same rows.
    manifest
        What `read_manifest` gives.
    whole
        Read all columns, and not only those that a report looks at.

    Raises
    ------
    ConfigError
        When the manifest cannot be understood.
    ArchiveError
        When the archive does not keep that state any more.
    """
    data, asked = manifest["data"], arguments_of(manifest)
    needs = {name: asked[name] for name in ("period", "where", "tz", "targets", "as_of")}
    df = gather(source, **needs, version=data["version"], whole=whole).copy(deep=False)
    # by now more may be known, such as another fetch that found no change
    known = {"filter": data["loaded_with"], "complete": data["loaded_whole"]}
    known |= {name: data[name] for name in ("source", "version", "coverage")}
    df.attrs = {**df.attrs, ATTRS: {**df.attrs.get(ATTRS, {}), **known}}
    return df


def rebuild_report(df: pd.DataFrame, manifest: Mapping[str, Any]) -> Report:
    """Compute a report again, from what `gather_again` gives.

    Written in the same format by the same release of activitykit, it has the same bytes.

    Raises
    ------
    ConfigError
        When the manifest cannot be understood, or the rows are not those of the report.
    """
    made = build_report(df, **arguments_of(manifest))
    for name in _DATA:
        then, now = manifest[name], made.manifest[name]
        if then != now:
            raise ConfigError(
                "the source holds other activities than the report was made from:"
                f" {name.replace('_', ' ')} {then} then, {now} now"
            )
    return made


def arguments_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments of `build_report` that a manifest holds.

    Raises
    ------
    ConfigError
        When it holds none that can be understood.
    """
    try:
        kept = manifest["arguments"]
        period, where, policy = kept["period"], kept["where"], kept["policy"]
        asked = {name: kept[name] for name in ("profile", "tz", "targets", "as_of", "title")}
        return asked | {
            "period": period if isinstance(period, str) else tuple(period),
            "where": None if where is None else Filter(**where),
            "policy": stats.OutcomePolicy(**{name: tuple(codes) for name, codes in policy.items()}),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"the manifest cannot be understood: {error}") from error
