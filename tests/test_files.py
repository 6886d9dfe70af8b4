"""Files are replaced as a whole, or left alone."""

import os
import stat
import sys

import pytest

from activitykit.files import replacing


@pytest.mark.parametrize("failure", [OSError, ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["write", "fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failure, place):
    """Whatever fails, and wherever: Ctrl-C and a full disk too."""
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")

    def fail(*_):
        raise failure

    monkeypatch.setattr(os, place, fail)
    with pytest.raises(failure), replacing(path) as file:
        os.write(file.fileno(), b"new")
    monkeypatch.undo()
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text(encoding="utf-8") == "old"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path, umask, mode):
    """Who may read new files may read this one, and nobody else."""
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "a") as file:
            file.write(b"text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_names_may_be_as_long_as_the_system_allows(tmp_path):
    """The temporary name takes nothing from the target's."""
    path = tmp_path / ("n" * 255)
    with replacing(path) as file:
        file.write(b"text")
    assert path.read_bytes() == b"text"


def test_a_folder_that_is_missing_is_told(tmp_path):
    """No folder is made on the way."""
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "no" / "a"):
        pass
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_stays_a_link(tmp_path):
    """Writing to a link changes the file that it leads to."""
    (tmp_path / "real.txt").write_bytes(b"old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with replacing(tmp_path / "link.txt") as file:
        file.write(b"new")
    assert (tmp_path / "real.txt").read_bytes() == b"new"
    assert (tmp_path / "link.txt").is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_what_is_no_ordinary_file_is_refused(tmp_path):
    """A pipe or a device is never replaced by a file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no ordinary file"), replacing(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_replaced_file_keeps_who_may_read_it(tmp_path):
    """What was private before stays private."""
    path = tmp_path / "private.txt"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o600)
    with replacing(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
