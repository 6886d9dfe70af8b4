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

_EMBEDDED: Final = {
    ".html": re.compile(r'<pre id="manifest-json">(.*?)</pre>', re.DOTALL),
    ".md": re.compile(r"^```json\n(.*)\n```\n\Z", re.DOTALL | re.MULTILINE),
}
# what must come out the same, or the data is not that of the report
_DATA: Final = ("rows", "content_hash", "period")


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest out of a report: .html, .md or .json.

    Raises
    ------
    ConfigError
        When the file cannot be read, or holds none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        suffix = path.suffix.lower()
        if suffix == ".json":
            found = json.loads(text)["manifest"]
        else:
            [embedded] = _EMBEDDED[suffix].findall(text)
            found = json.loads(html.unescape(embedded) if suffix == ".html" else embedded)
        if not {"arguments", "data", *_DATA} <= found.keys():
            raise ValueError("it is of another kind")  # noqa: TRY301 - told like the other misreadings
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} holds no manifest of a report ({error}); give one that was written as .html,"
            " .md or .json"
        ) from error
    manifest: dict[str, Any] = found
    return manifest


def rebuild_report(source: pd.DataFrame | Archived, manifest: Mapping[str, Any]) -> Report:
    """Compute a report again from its manifest.

    Written in the same format by the same release of activitykit, it has the same bytes.

    Parameters
    ----------
    source
        The archive that it was made from, of which the same state is read, wherever it is now; or
        a frame with the same rows.

    Raises
    ------
    ConfigError
        When the manifest cannot be understood, or the source holds other activities.
    ArchiveError
        When the state is not kept any more.
    """
    data = manifest["data"]
    try:
        asked = _arguments(manifest["arguments"])
        needs = {name: asked[name] for name in ("period", "where", "tz", "targets", "as_of")}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"the manifest cannot be understood: {error}") from error
    df = gather(source, **needs, version=data["version"]).copy(deep=False)
    # what is known of the data now may be more than was known then
    known = {"filter": data["loaded_with"], "complete": data["loaded_whole"]}
    known |= {name: data[name] for name in ("source", "version", "coverage")}
    df.attrs = {**df.attrs, ATTRS: {**df.attrs.get(ATTRS, {}), **known}}
    made = build_report(df, **asked)
    other = [name for name in _DATA if made.manifest[name] != manifest[name]]
    if other:
        raise ConfigError(
            f"the source holds other activities than the report was made from ({other[0]}:"
            f" {manifest[other[0]]} then, {made.manifest[other[0]]} now)"
        )
    return made


def _arguments(kept: Mapping[str, Any]) -> dict[str, Any]:
    period, where, policy = kept["period"], kept["where"], kept["policy"]
    return {
        **kept,
        "period": period if isinstance(period, str) else tuple(period),
        "where": None if where is None else Filter(**where),
        "policy": stats.OutcomePolicy(**{name: tuple(codes) for name, codes in policy.items()}),
    }
