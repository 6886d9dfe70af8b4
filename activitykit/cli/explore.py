"""Open the dashboard in the browser: Voilà, on this machine only, on one notebook of one cell."""

import json
import logging
import os
import secrets
import socket
import sys
import webbrowser
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

import activitykit as ak
from activitykit.cli.group import cli
from activitykit.cli.options import filtered, load_source, source_argument, verbose_option

_NAME: Final = "activitykit"
_NOTEBOOK: Final = "explore.ipynb"
_SNAPSHOT: Final = "activities.parquet"
_KERNEL: Final = {
    "argv": [
        sys.executable,
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
        "--log-level=ERROR",
    ],
    "display_name": _NAME,
    "language": "python",
}
_EXTENSIONS: Final = (
    "@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget",
)  # fmt: skip
_CELL: Final = """\
import os

import activitykit as ak

os.chdir({here!r})  # what is saved goes there
ak.explore(ak.load({there!r}, progress=False))
"""


@cli.command()
@source_argument
@click.option(
    "--port", default=0, show_default=True, type=click.IntRange(0, 65535),
    help="0 takes a free one.",
)  # fmt: skip
@click.option("--browser/--no-browser", default=True, help="Open the page, or print where it is.")
@filtered
@verbose_option
def explore(source: str | None, port: int, browser: bool, where: ak.Filter, verbose: bool) -> None:
    """Open the dashboard in the browser, until Ctrl-C.

    Only this machine can reach it, and only with the token in its address.

    \b
    activitykit explore weeks.parquet
    activitykit explore archive --since 30d --tenant /1/66/
    """
    voila = server()
    with TemporaryDirectory(prefix=f"{_NAME}-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ak.write_snapshot(load_source(source, where, verbose), folder / _SNAPSHOT)
        prepare(folder)
        write_notebook(folder, title=Path(source).name if source else "Activities")
        token = secrets.token_urlsafe(24)
        serve(voila, folder, port=port or _free_port(), token=token, browser=browser)


def server() -> Any:  # noqa: ANN401 - Voilà has no types
    """Give the class of Voilà, or say what to install."""
    try:
        import ipykernel  # noqa: F401 - Voilà works with kernels of any language
        from voila.app import Voila
    except ModuleNotFoundError as error:
        raise ak.ConfigError(
            f"the dashboard in a browser needs {error.name}: pip install 'activitykit[explore]'"
        ) from error
    return Voila


def prepare(folder: Path) -> None:
    """Write into a folder what Jupyter shall find there: the page's template, and the kernel."""
    template = folder / "voila" / "templates" / _NAME
    kernel = folder / "kernels" / _NAME
    for made in (template, kernel):
        made.mkdir(parents=True)
    page = files(__package__).joinpath("explore.html.j2").read_text("utf-8")
    (template / "index.html.j2").write_text(page, encoding="utf-8")
    (template / "conf.json").write_text('{"base_template": "lab"}', encoding="utf-8")
    # a kernel that is set up elsewhere may lack activitykit
    (kernel / "kernel.json").write_text(json.dumps(_KERNEL), encoding="utf-8")


def write_notebook(folder: Path, *, title: str) -> None:
    """Write the notebook: one cell, on the snapshot beside it."""
    cell: dict[str, Any] = {
        "cell_type": "code", "execution_count": None, "id": "explore", "metadata": {},
        "outputs": [], "source": _CELL.format(here=str(Path.cwd()), there=str(folder / _SNAPSHOT)),
    }  # fmt: skip
    notebook = {
        "cells": [cell],
        "metadata": {"kernelspec": {"name": _NAME, **_KERNEL}, "title": f"{title} – {_NAME}"},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / _NOTEBOOK).write_text(json.dumps(notebook), encoding="utf-8")


def serve(
    voila: Any,  # noqa: ANN401
    folder: Path,
    *,
    port: int,
    token: str,
    browser: bool,
) -> None:
    """Run Voilà until Ctrl-C, with no settings but these, and open the page once it is there."""
    os.environ["JUPYTER_PATH"] = os.pathsep.join(
        filter(None, [str(folder), os.environ.get("JUPYTER_PATH")])
    )
    address = f"http://127.0.0.1:{port}/?token={token}"
    settings = {
        "Voila": {
            "config_file_paths": [], "connection_dir_root": str(folder), "ip": "127.0.0.1",
            "log_level": "ERROR", "port": port, "port_retries": 0, "root_dir": str(folder),
            "token": token,
        },
        "VoilaConfiguration": {
            # what else is installed into JupyterLab has no business here
            "extension_allowlist": list(_EXTENSIONS),
            "show_tracebacks": True, "template": _NAME,
        },
    }  # fmt: skip

    def opened() -> None:
        click.echo(f"The dashboard is at {address}\nCtrl-C ends it.")
        if browser:
            # by way of a file, because everybody on this machine sees the words of a command
            way = folder / "open.html"
            way.write_text(f'<meta http-equiv="refresh" content="0; url={address}">', "utf-8")
            webbrowser.open(way.as_uri())

    from traitlets.config import Config

    # it warns of what is no matter here, such as the intervals of its pings
    logging.getLogger("tornado").setLevel(logging.ERROR)
    app = voila(config=Config(settings))
    app.launch_browser = opened
    app.initialize([str(folder / _NOTEBOOK)])
    app.start()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
