"""The table of columns: what a frame holds, in which unit, and where in the JSON it comes from.

`CORE` lists the columns that every frame has, `DERIVED` those that activitykit works out. Both are
the single source for the loader, the documentation and the error messages.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal

from activitykit.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Final = 1
"""Raised when a column changes its name, type or meaning; written into every snapshot."""

ATTRS: Final = "activitykit"
"""The key in ``df.attrs`` under which a load notes what it found."""

Kind = Literal["id", "text", "integer", "number", "boolean", "time", "json"]

PANDAS_DTYPE: Final[dict[Kind, str]] = {
    "id": "int64",
    "text": "str",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "boolean",
    "time": "datetime64[ns, UTC]",
    "json": "str",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the frame.

    Attributes
    ----------
    name
        The JSON path joined with dots, or a snake_case name for a derived column.
    kind
        ``id`` is a 64-bit integer that is never missing, ``json`` any value as JSON text.
    unit
        What the value counts, "" for plain text.
    meaning
        One sentence for people.
    source
        Where the fact comes from: the vendor's API reference or guide, live data, or inference.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    source: str


_REF = "API reference"
_LIVE = "live data"
_OURS = "activitykit"

# fmt: off
CORE: Final = (
    Column("id", "id", "", "Identity, growing in order of arrival at the server.", _REF),
    Column("uuid", "text", "", "The same identity as a UUID.", _REF),
    Column("type", "text", "", "Kind of operation: an alias or an upper-case GUID.", _REF),
    Column("state", "text", "", "enqueued, assigned, started, paused or completed.", _REF),
    Column(
        "result.code", "text", "",
        "ok, warning, error, cancelled, abandoned or timedout; missing until completed.", _REF,
    ),
    Column("createdAt", "time", "UTC", "When the record was created.", _REF),
    Column("startedAt", "time", "UTC", "When work began; missing while waiting.", _REF),
    Column("updatedAt", "time", "UTC", "Last change of the record.", _REF),
    Column("completedAt", "time", "UTC", "When work ended; missing while running.", _REF),
    Column("enqueuedAt", "time", "UTC", "Tasks only: when the task was queued.", _REF),
    Column("assignedAt", "time", "UTC", "Tasks only: when an executor took the task.", _REF),
    Column("tenant.id", "text", "", "Numeric tenant id, as text.", _LIVE),
    Column("tenant.uuid", "text", "", "Id in the account API; absent in old records.", _LIVE),
    Column("tenant.name", "text", "", "Name of the tenant.", _REF),
    Column("tenant.locator", "text", "", "Numeric ids from the root down: /1/66/67/.", _LIVE),
    Column(
        "resource.id", "text", "",
        "Protected machine or item; upper and lower case mean the same one.", _LIVE,
    ),
    Column("resource.type", "text", "", "Such as machine, MAILBOX or SITE.", _REF),
    Column("resource.name", "text", "", "Name of the protected machine or item.", _REF),
    Column("policy.id", "text", "", "Protection plan.", _REF),
    Column("policy.type", "text", "", "backup for runs, policy.protection.total for edits.", _REF),
    Column("policy.name", "text", "", "Name of the protection plan.", _REF),
    Column("startedByUser", "text", "", "Who started it: a login, or BY_SCHEDULE.", _REF),
    Column("executor.id", "text", "", "Agent that ran it; empty for server-side records.", _LIVE),
    Column("executor.clusterId", "text", "", "Cluster of the executor.", _REF),
    Column("taskId", "integer", "", "Task that the activity belongs to.", _REF),
    Column("parentActivityId", "integer", "", "Parent activity; missing for a root.", _REF),
    Column("workflowId", "integer", "", "Workflow that the activity belongs to.", _REF),
    Column("progress.current", "integer", "steps", "Progress out of progress.total.", _REF),
    Column("progress.total", "integer", "steps", "All the work, often 100.", _REF),
    Column("progress.bytesProcessed", "integer", "bytes", "Data read so far.", _REF),
    Column("progress.bytesSaved", "integer", "bytes", "Data written so far.", _REF),
    Column("result.error.domain", "text", "", "Category, or the service at fault.", _REF),
    Column("result.error.code", "text", "", "Error code; InternalError is a catch-all.", _REF),
    Column("context.isLegacy", "boolean", "", "A log entry without a duration.", _LIVE),
    Column("context.IsProcessRoot", "boolean", "", "The record stands for a whole run.", _LIVE),
    Column("context.title", "text", "", "Sentence that the console shows.", _LIVE),
)
"""Columns that every frame has, in this order, whatever the service sent."""
# fmt: on

DERIVED: Final = (
    Column(
        "operation",
        "text",
        "",
        "Readable name of the operation: from the table of known types, else the title with names"
        " and ids blanked, else the type.",
        _OURS,
    ),
    Column(
        "error_signature",
        "text",
        "",
        "The same failure has the same text: domain, code and deepest cause without ids, paths,"
        " hosts and numbers.",
        _OURS,
    ),
    Column("error_cause", "text", "", "Deepest text of the error chain, as it came.", _OURS),
)
"""Columns that `flatten` works out, after the core; `unflatten` leaves them out."""

RESULT_CODES: Final = ("ok", "warning", "error", "cancelled", "abandoned", "timedout")
STATES: Final = ("enqueued", "assigned", "started", "paused", "completed")

_BACKUP, _RESTORE, _RETENTION = "Backup", "Restore", "Retention"
_C2C_BACKUP, _C2C_RESTORE = "Cloud-to-cloud backup", "Cloud-to-cloud restore"

KNOWN_TYPES: Final = {
    "policy.apply": "Applying plan",
    "policy.revoke": "Revoking plan",
    "44328016-20D7-4799-A357-CF152C904ED0": "Revoking plan",
    "F5CD89C9-3CD1-4DBC-97F3-82BF93687B46": "Editing plan",
    "agent.add": "Adding agent",
    "A59E8BF2-39C3-42C4-B667-CB672381A214": "Adding agent",
    "2B220C98-B8C2-428D-98B7-5C54AEBC8713": "Remote registration",
    "Download": "Agent component download",
    "AddFeatures": "Agent component update",
    "AutoUpdateStandby": "Agent update standby",
    "D332948D-A7A9-4E07-B76C-253DCF6E17FB": "Backup plan run",
    "8F01AC13-F59E-4851-9204-DE1FD77E36B4": _BACKUP,
    "F30407D6-601F-11E0-9C67-FF46DFD72085": "Backup workflow",
    "FD79C554-B363-4DB2-97BC-1E5A94094A94": "Resolving items to back up",
    "45D64182-5DF4-4AE0-9D42-55E1C3DB942B": _RETENTION,
    "08BE2B76-A95F-4FD4-AC32-AF26210E3A33": _RETENTION,
    "FFBC7082-9C55-47D1-A6D2-1744EC8D7481": "Replication",
    "19926590-DC92-4835-8458-34CE45061FAD": "Deleting recovery points",
    "ADB12096-4F68-4B48-B2D2-23CF5B6EAC4B": "Deleting archives",
    "1ACDF6BD-769F-42B5-9C7A-1FC8B1B297E1": "Deleting archives",
    "08FF37D8-FB90-49A3-828B-B9A8CDA417B3": "Recovering a virtual machine",
    "6F80C46F-90AC-4F6F-9578-3CAEF754A637": "Recovering an entire virtual machine",
    "3CC14D08-3D75-46C4-AB00-431B0E3868A3": "Reading backup information",
    "CF4A80C3-A7BA-4DD0-9491-1031E15E0731": "Refreshing recovery points",
    "C4DFD066-D6B5-48BF-ACA4-D9F03FB01337": "Managing Exchange server",
    "D77E80BD-410A-468E-B593-FC8467A0D91B": "Running script",
    "73417128-5DAC-4263-83CD-4332EF280E7B": "Pre-backup command",
    "4504F8D4-2727-42AB-BB4F-A42EDBB790A0": "Process isolation",
    "0016750A-EE56-49E6-BF59-7C768C9869AC": _C2C_BACKUP,
    "019CF690-803B-451F-9E4B-B76C478BC05F": _C2C_BACKUP,
    "UserMailboxBackup": "Mailbox backup",
    "SPBackup": "SharePoint backup",
    "ODBackup": "OneDrive backup",
    "GSBackupGMail": "Gmail backup",
    "GSBackupGDrive": "Google Drive backup",
    "UserMailboxRestore": "Mailbox restore",
    "SPRestore": "SharePoint restore",
    "ODRestore": "OneDrive restore",
    "GSRestoreGMail": "Gmail restore",
    "GSRestoreGDrive": "Google Drive restore",
    "WinScan": "Vulnerability scan",
    "TpScan": "Third-party vulnerability scan",
    "NGMP_FullScan": "Malware scan",
}
"""Aliases and GUIDs of ``type`` with a readable name; GUIDs are compared in upper case."""


def require(available: Iterable[str], needed: Iterable[str], what: str) -> None:
    """Check that all needed columns are there.

    Raises
    ------
    SchemaError
        Naming every missing column and what is there instead.
    """
    have = list(available)
    missing = [name for name in needed if name not in have]
    if missing:
        close = [near for name in missing for near in get_close_matches(name, have, n=1)]
        shown = ", ".join(have[:40]) + (", …" if len(have) > 40 else "")
        advice = (
            f"Did you mean {', '.join(close)}?"
            if close
            else f"Available: {shown or 'none'}. ak.load() and ak.flatten() give all core columns."
        )
        raise SchemaError(
            f"{what} needs the column(s) {', '.join(missing)}, which the frame lacks. {advice}",
            missing,
            have,
        )


def note(df: "pd.DataFrame", key: str, default: Any = None) -> Any:  # noqa: ANN401 - notes are JSON of any shape
    """Look up what the load noted about a frame, or the default for a frame from elsewhere."""
    return df.attrs.get(ATTRS, {}).get(key, default)


def columns() -> "pd.DataFrame":
    """List the columns of a frame, for people.

    Returns
    -------
    pandas.DataFrame
        One row per core and derived column: ``name``, ``dtype``, ``unit``, ``meaning``, ``source``.
        Context columns depend on the activities and are not listed.

    Examples
    --------
    >>> columns().set_index("name").loc["startedAt", "unit"]
    'UTC'
    """
    import pandas as pd

    return pd.DataFrame(
        [
            (column.name, PANDAS_DTYPE[column.kind], column.unit, column.meaning, column.source)
            for column in (*CORE, *DERIVED)
        ],
        columns=["name", "dtype", "unit", "meaning", "source"],
    )
