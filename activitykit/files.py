"""Files that appear whole or not at all."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of the target when all went well.

    Until then, and for ever when anything fails, the target stays as it was; nothing else is left
    beside it, but for an ``.activitykit-….part`` when the process is killed. Once in place the
    file survives a crash of the system. A file that is replaced keeps who may read it.

    Parameters
    ----------
    target
        Where the file shall be; its folder must exist. A link stays, and what it leads to changes.

    Raises
    ------
    OSError
        When the folder is missing or full, the file may not be written, or is a device.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> with replacing(path) as file:
    ...     _ = file.write(b"all")
    >>> path.read_bytes()
    b'all'
    """
    target = target.resolve()
    if target.exists() and not target.is_file():
        raise OSError(f"{target} is no ordinary file, so it cannot be replaced")
    # opened plainly, and not by tempfile, it gets the permissions of any new file
    part = target.parent / f".activitykit-{uuid4().hex}.part"
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a crash, where the system offers that."""
    if os.name == "posix":
        # some network folders refuse it, but the file is there
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
