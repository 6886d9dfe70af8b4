"""A real browser before real hosts: JupyterLab, Notebook and Voilà on loopback, nothing else.

What the servers keep lies in a temporary folder. The browser knows no machine but its own, and each
page notes what it complained of and what it wanted from elsewhere. Nothing waits for a time to
pass: only for a state to be reached.
"""

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, Final
from urllib.parse import urlsplit

import nbformat
import requests
import tenacity

ROOT: Final = Path(__file__).parents[1]
CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
AXE: Final = Path(sys.prefix) / "node/node_modules/axe-core/axe.min.js"
SECONDS: Final = 30
_HOSTS: Final = ("jupyterlab", "notebook", "voila", "playwright")
_FLAGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_NUMBERS: Final = itertools.count()
_READY: Final = """path => {
    const widget = window.jupyterapp?.shell?.currentWidget;
    const session = widget?.context?.sessionContext;
    const kernel = session?.session?.kernel;
    return widget?.context?.path === path && session.isReady
        && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
_PAINT: Final = """theme => {
    const commands = window.jupyterapp?.commands, change = "apputils:change-theme";
    return commands?.hasCommand(change) && commands.execute(change, {theme});
}"""


def missing() -> str:
    """Say what keeps these tests from running; nothing is the usual case."""
    absent = [name for name in _HOSTS if find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed: run make test"
    return "" if CHROMIUM else "there is no Chromium: install the package chromium"


@contextmanager
def chromium(**options: Any) -> Iterator[Any]:
    """Start a browser that knows no machine but this one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*_FLAGS], chromium_sandbox=False, **options
        )
        yield browser
        browser.close()


def page_in(browser: Any, *, size: tuple[int, int] = (1400, 1000), **options: Any) -> Any:
    """Open a window that keeps its complaints: errors of any kind, and requests elsewhere."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    page = context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.complaints = []

    def asked(request: Any) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            page.complaints.append(f"asked {request.url}")

    def said(message: Any) -> None:
        if message.type == "error":
            page.complaints.append(f"{message.text} ({message.location['url']})")

    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


# hosts


def write_notebook(path: Path, cells: Sequence[str]) -> Path:
    """Write a notebook of code cells."""
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(made, path)
    return path


@contextmanager
def jupyter(folder: Path) -> Iterator[str]:
    """Serve a folder's notebooks; give the address, where JupyterLab and Notebook both are."""
    port = free_port()
    settings = {
        "ServerApp": {
            "root_dir": str(folder), "port": port, "port_retries": 0, "ip": "127.0.0.1",
            "open_browser": False, "allow_root": True, "disable_check_xsrf": True,
        },
        "IdentityProvider": {"token": ""},
        "LabApp": {
            "expose_app_in_browser": True, "news_url": None,
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        },
        "JupyterNotebookApp": {"expose_app_in_browser": True},
    }  # fmt: skip
    with _homes() as environment:
        config = Path(environment["JUPYTER_CONFIG_DIR"], "jupyter_server_config.json")
        config.write_text(json.dumps(settings), encoding="utf-8")
        # else it asks, over whatever is there, whether to fetch news
        asks = Path(environment["JUPYTERLAB_SETTINGS_DIR"], "@jupyterlab", "apputils-extension")
        asks.mkdir(parents=True)
        (asks / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}', "utf-8")
        command = [sys.executable, "-m", "jupyterlab"]
        with served(command, f"http://127.0.0.1:{port}", "/api/status", environment) as url:
            yield url


@contextmanager
def voila(folder: Path) -> Iterator[str]:
    """Serve the folder's explore.ipynb as `activitykit explore` does; give the address."""
    port = free_port()
    code = (
        "import sys; from pathlib import Path; from activitykit.cli import explore as e\n"
        "folder, port = Path(sys.argv[1]), int(sys.argv[2])\n"
        "e.prepare(folder)\n"
        "e.serve(e.server(), folder, port=port, token='token', browser=False)"
    )
    command = [sys.executable, "-c", code, str(folder), str(port)]
    with _homes() as environment:
        url = f"http://127.0.0.1:{port}"
        with served(command, url, "/voila/static/voila.js", environment):
            yield f"{url}/?token=token"


@contextmanager
def _homes() -> Iterator[dict[str, str]]:
    """Give an environment in which Jupyter keeps everything in a temporary folder."""
    names = (
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
        "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
    )  # fmt: skip
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        for name in names:
            Path(home, name).mkdir()
        yield os.environ | {name: str(Path(home, name)) for name in names}


@contextmanager
def served(
    command: Sequence[str], url: str, known: str, environment: Mapping[str, str]
) -> Iterator[str]:
    """Run a server until the block ends; give its address once it answers."""
    with TemporaryFile() as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            for attempt in tenacity.Retrying(
                stop=tenacity.stop_after_delay(SECONDS), wait=tenacity.wait_fixed(0.05),
                retry=tenacity.retry_if_exception_type(requests.ConnectionError), reraise=True,
            ):  # fmt: skip
                with attempt:
                    if server.poll() is None:
                        requests.get(url + known, timeout=5)
            yield url
        except BaseException as error:
            log.seek(0)
            error.add_note(log.read().decode(errors="replace")[-4000:])
            raise
        finally:
            server.terminate()
            server.wait(SECONDS)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


# pages


def open_jupyter(page: Any, url: str, host: str, name: str) -> None:
    """Open a notebook in JupyterLab or Notebook, and run its cells without waiting for them.

    To await the command would be to hang behind any question that the kernel asks.
    """
    way = {"lab": f"lab/workspaces/{next(_NUMBERS)}/tree", "notebook": "notebooks"}
    page.goto(f"{url}/{way[host]}/{name}")
    page.wait_for_function(_READY, arg=name)
    # Notebook complains of itself while it opens, whatever is in the notebook
    page.complaints[:] = [one for one in page.complaints if one.startswith("asked ")]
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")


def serious(page: Any, root: str) -> list[str]:
    """Let axe-core look at a part of the page, and give what it finds serious or critical."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("root => axe.run(root, {resultTypes: ['violations']})", root)
    return [
        f"{one['id']}: {one['help']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def paint(page: Any, scheme: str) -> None:
    """Give the host its light or dark theme."""
    page.emulate_media(color_scheme=scheme)
    page.evaluate(_PAINT, f"JupyterLab {scheme.title()}")
    light = f"body[data-jp-theme-light={str(scheme == 'light').lower()}]"
    page.wait_for_selector(light, state="attached")
