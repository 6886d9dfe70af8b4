"""The page as PDF, printed by a browser of the Chromium family without a window.

A browser prints what its users see: the style for paper, fonts for all scripts, tags for screen
readers. Nearly every desktop has one, and no Python library that draws HTML comes close to it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pandas as pd

from activitykit.errors import ConfigError

BROWSER: Final = "ACTIVITYKIT_BROWSER"
"""The environment variable that names the program, when it is none of the usual ones."""

_NAMES: Final = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge", "msedge",
)  # fmt: skip
# where installers put it without touching the PATH
_PLACES: Final = {
    "darwin": (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    "win32": (
        r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
        r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
        r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
        r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
        r"%ProgramFiles%\Microsoft\Edge\Application\msedge.exe",
    ),
}
_FLAGS: Final = (
    "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--no-pdf-header-footer",
    # the page needs nothing from outside, so nothing is asked of anybody
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
_PATIENCE_S: Final = 120.0
_STAMPS: Final = re.compile(rb"(/(?:Creation|Mod)Date \(D:)\d{14}[^)]*\)")


def to_pdf(page: str, *, made: pd.Timestamp) -> bytes:
    """Print a page that stands alone as PDF.

    Parameters
    ----------
    page
        An HTML document.
    made
        What the file shall name as its date, so that the same page printed by the same browser
        gives the same bytes.

    Raises
    ------
    ConfigError
        When there is no browser, or it prints nothing.
    """
    browser = _browser()
    # a profile of its own, or a browser that is open already would take the call
    with TemporaryDirectory(prefix="activitykit-", ignore_cleanup_errors=True) as folder:
        source, printed = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source.write_text(page, encoding="utf-8")
        said = _run([
            browser, *_FLAGS, *_without_sandbox(), f"--user-data-dir={Path(folder) / 'profile'}",
            f"--print-to-pdf={printed}", source.as_uri(),
        ])  # fmt: skip
        if not printed.is_file():
            raise ConfigError(
                f"{browser} printed no PDF: {said or 'it gives no reason'}; name another browser of"
                f" the Chromium family in {BROWSER}, or write .html and print that"
            )
        return _dated(printed.read_bytes(), made)


def _browser() -> str:
    if named := os.environ.get(BROWSER):
        if found := shutil.which(named):
            return found
        raise ConfigError(f"{BROWSER} names {named}, and there is no such program")
    places = [os.path.expandvars(place) for place in _PLACES.get(sys.platform, ())]
    for candidate in (*_NAMES, *places):
        if found := shutil.which(candidate):
            return found
    raise ConfigError(
        "a PDF is printed by Chromium, Chrome or Edge, and none of them is installed; install one,"
        f" name it in {BROWSER}, or write .html and print that"
    )


def _without_sandbox() -> list[str]:
    # root gets no sandbox from Chromium; what is printed is our own page, without script
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def _run(command: list[str]) -> str:
    """Run the browser, and give the last thing that it complained of."""
    try:
        done = subprocess.run(  # noqa: S603 - a browser, with our own flags
            command, check=False, capture_output=True, text=True, errors="replace",
            timeout=_PATIENCE_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{command[0]} cannot print the report: {error}") from error
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _dated(document: bytes, made: pd.Timestamp) -> bytes:
    """Put another date into the document; nothing in it may move, since it tells positions."""

    def stamp(found: "re.Match[bytes]") -> bytes:
        text = found[1] + f"{made.tz_convert('UTC'):%Y%m%d%H%M%S}+00'00')".encode()
        return text if len(text) == len(found[0]) else found[0]

    return _STAMPS.sub(stamp, document)
