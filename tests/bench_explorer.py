"""The dashboard in a real browser, from the press of the mouse to the last repaint.

A click on an option of a facet is real: it goes through the browser, the host, the kernel and back.
No state is visited twice, so that nothing remembered helps. Beside it, in turns and in the same
page, a button of core ipywidgets that changes a text: the floor for any widget. LONG=1 adds
frames of 5,000,000 and 10,000,000 rows, in JupyterLab.
"""

import json
import os
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import browser
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from bench import Figure, costs

import activitykit as ak
from activitykit.cli.explore import write_notebook

ROWS, SIMULATED, CLICKS = 1_000_000, 50_000, 40
LONG = {5_000_000: ("median", 250), 10_000_000: ("p90", 600)}
CELLS = (
    """
import json
import time

import ipywidgets
import pandas as pd

import activitykit as ak
from activitykit.explorer.board import Board

spent, heard = [0.0], Board._heard


def timed(board, *words):
    start = time.thread_time()
    heard(board, *words)
    spent.append(1000 * (time.thread_time() - start))


Board._heard = timed
df = pd.read_parquet({path!r})""",
    """
begin = time.time()
explorer = ak.explore(df)
said = ipywidgets.HTML(json.dumps([0, 0, 1000 * begin])).add_class("bare")
button, presses = ipywidgets.Button(description="bare").add_class("floor"), iter(range(1, 10**6))
button.on_click(lambda _: setattr(said, "value", json.dumps([next(presses), spent[-1], begin])))
ipywidgets.VBox([ipywidgets.HBox([button, said]), explorer])""",
)
# when the board was first painted
FIRST = """
new MutationObserver((_, observer) => {
    if (!document.querySelector(".ak-board[data-seq]")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.first = Date.now(); }));
}).observe(document, {childList: true, subtree: true});
"""
# from the press to the last repaint: over when the answer is there and nothing changes for 350 ms
WATCH = """root => {
    const said = () => root.dataset.seq ? root.dataset.seq + root.ariaBusy : root.textContent;
    const before = said();
    window.painted = new Promise(done => {
        let pressed, last, timer;
        const over = () => {
            if (said() === before || root.ariaBusy === "true") timer = setTimeout(over, 350);
            else { observer.disconnect(); done(last - pressed); }
        };
        const observer = new MutationObserver(() => {
            clearTimeout(timer);
            requestAnimationFrame(() => {
                const channel = new MessageChannel();
                channel.port1.onmessage = () => {
                    last = performance.now();
                    clearTimeout(timer);
                    timer = setTimeout(over, 350);
                };
                channel.port2.postMessage(0);
            });
        });
        document.addEventListener("pointerdown", () => {
            pressed = performance.now();
            observer.observe(root, {
                subtree: true, childList: true, attributes: true, characterData: true,
            });
        }, {capture: true, once: true});
    });
}"""
OPTIONS = """root => [...root.querySelectorAll(".ak-option")].map(one => {
    const box = one.getBoundingClientRect(), x = box.x + 30, y = box.y + box.height / 2;
    const list = one.closest("ul").ariaLabel, name = one.querySelector("bdi").textContent;
    return {
        name: `${list}: ${name}`, on: one.ariaPressed === "true", none: "none" in one.dataset,
        x, y, seen: one.contains(document.elementFromPoint(x, y)),
    };
})"""


class Measured(NamedTuple):
    """What a host took, in milliseconds."""

    first: float
    clicks: list[float]
    bare: list[float]
    kernel: list[float]


def write_frame(path: Path, rows: int) -> None:
    """Repeat a simulated month, each time a week earlier and with ids of its own."""
    month = ak.flatten(ak.demo.simulate(SIMULATED, seed=1))[[*ak.columns()["name"]]]
    times = month.select_dtypes("datetimetz").columns
    with pq.ParquetWriter(path, pa.Table.from_pandas(month).schema) as file:
        for n in range(rows // SIMULATED):
            copy = month.assign(id=month["id"] - (n << 52))
            copy[times] -= pd.Timedelta(7 * n, "D")
            file.write_table(pa.Table.from_pandas(copy))


@contextmanager
def lab(folder: Path, page: Any, host: str) -> Iterator[None]:
    """Open the notebook in JupyterLab or Notebook."""
    with browser.jupyter(folder) as url:
        browser.open_jupyter(page, url, host, "explore.ipynb")
        yield


@contextmanager
def voila(folder: Path, page: Any) -> Iterator[None]:
    """Open the notebook in Voilà."""
    with browser.voila(folder) as url:
        page.goto(url)
        yield


HOSTS: dict[str, Callable[..., Any]] = {
    "JupyterLab": partial(lab, host="lab"),
    "Notebook 7": partial(lab, host="notebook"),
    "Voilà": voila,
}


def measure(host: str, rows: int, clicks: int = CLICKS) -> Measured:
    """Open a frame in a host, and click."""
    with TemporaryDirectory() as name, browser.chromium() as chromium:
        folder = Path(name)
        path = folder / "activities.parquet"
        write_frame(path, rows)
        browser.write_notebook(
            folder / "explore.ipynb", [CELLS[0].replace("{path!r}", repr(str(path))), CELLS[1]]
        )
        page = browser.page_in(chromium, size=(1400, 1400))
        page.set_default_timeout(300_000)
        page.add_init_script(FIRST)
        with HOSTS[host](folder, page):
            page.wait_for_function("() => window.first")
            first = page.evaluate("first") - said(page)[2]
            return Measured(first, *clicked(page, clicks))


def clicked(page: Any, clicks: int) -> tuple[list[float], list[float], list[float]]:
    """Click options that lead to states not yet seen; each time, the bare button as well."""
    draw, states = random.Random(1), {frozenset[str]()}
    board, floor = page.locator(".ak-board"), page.locator(".floor")
    floor.scroll_into_view_if_needed()
    took, bare, kernel = [], [], []
    for _ in range(clicks):
        options = [one for one in board.evaluate(OPTIONS) if one["seen"]]
        now = frozenset(one["name"] for one in options if one["on"])
        fresh = (one for one in options if now ^ {one["name"]} not in states)
        new = [one for one in fresh if one["on"] or not (one["none"] or len(now) == 3)]
        one = draw.choice(new or [one for one in options if one["on"]])
        states.add(now ^ {one["name"]})
        took.append(pressed(page, board, one["x"], one["y"]))
        box = floor.bounding_box()
        bare.append(pressed(page, page.locator(".bare"), box["x"] + 9, box["y"] + 9))
        kernel.append(said(page)[1])
    return took, bare, kernel


def pressed(page: Any, root: Any, x: float, y: float) -> float:
    """Press the mouse, and give the milliseconds to the last repaint of the root."""
    root.evaluate(WATCH)
    page.mouse.click(x, y)
    return float(page.evaluate("window.painted"))


def said(page: Any) -> list[float]:
    """Read what the bare text says: presses, the last event's time in the kernel, the begin."""
    words: list[float] = json.loads(page.locator(".bare").inner_text())
    return words


def p90(values: list[float]) -> float:
    """Give the 90th percentile."""
    return statistics.quantiles(values, n=10)[-1]


def figures() -> Iterator[Figure]:
    """Measure each host, the memory, and what is sent once."""
    for host in HOSTS:
        yield from in_host(host, measure(host, ROWS))
    yield Figure(
        "explorer in Voilà: address to first display, s", from_address(), 5, at_least=False,
        detail="by the command, with a kernel to start, and nothing but this machine to reach",
    )  # fmt: skip
    yield from memory()
    board = ak.explore([]).view
    kilobytes = len((board._esm + board._css).encode()) / 1000
    yield Figure("explorer: script and style, kB", kilobytes, 50, at_least=False, detail="")
    if os.environ.get("LONG"):
        for rows, (which, limit) in LONG.items():
            took = measure("JupyterLab", rows, clicks=20)
            value = statistics.median(took.clicks) if which == "median" else p90(took.clicks)
            yield Figure(
                f"explorer: click to views, {rows:,} rows, {which} ms", value, limit,
                at_least=False, detail=spread(took),
            )  # fmt: skip


def from_address() -> float:
    """Open a small frame by the command; give the seconds from the address to the first paint."""
    with TemporaryDirectory() as name, browser.chromium() as chromium:
        folder = Path(name)
        write_notebook(folder, title="bench")
        ak.write_snapshot(ak.flatten(ak.demo.simulate(600)), folder / "activities.parquet")
        page = browser.page_in(chromium)
        page.add_init_script(FIRST)
        with browser.voila(folder) as url:
            page.goto(url)
            page.wait_for_function("() => window.first")
            return float(page.evaluate("(first - performance.timeOrigin) / 1000"))


def in_host(host: str, took: Measured) -> Iterator[Figure]:
    """Hold the times of a host against their targets."""
    median, bare = statistics.median(took.clicks), statistics.median(took.bare)
    lines = {
        "click to views, median ms": (median, 100),
        "click to views, p90 ms": (p90(took.clicks), 150),
        "click to views, over a bare widget": (median / bare, 2.2),
        "kernel's part, median ms": (statistics.median(took.kernel), 35),
    }
    if host != "Voilà":  # which starts its page when all cells have run
        lines["frame to first display, s"] = (took.first / 1000, 1.5)
    for name, (value, limit) in lines.items():
        yield Figure(
            f"explorer in {host}: {name}", value, limit, at_least=False, detail=spread(took)
        )


def spread(took: Measured) -> str:
    """Show the times behind a figure."""
    parts = {"views": took.clicks, "bare": took.bare, "kernel": took.kernel}
    return ", ".join(
        f"{name} {statistics.median(values):.0f} ({p90(values):.0f}) ms"
        for name, values in parts.items()
    )


def memory() -> Iterator[Figure]:
    """Weigh what the dashboard holds on top of the frame, with one thing chosen."""
    with TemporaryDirectory() as name:
        path = Path(name) / "activities.parquet"
        write_frame(path, ROWS)
        frame = pd.read_parquet(path).memory_usage(deep=True).sum() / 2**20
        peak = costs({"explore": opened}, path, prepare=pd.read_parquet)["explore"].peak_mib
    yield Figure(
        "explorer: extra memory over the frame, at its peak", peak / frame, 0.3, at_least=False,
        detail=f"{peak:.0f} of {frame:.0f} MiB",
    )  # fmt: skip


def opened(df: pd.DataFrame) -> object:
    """Open the dashboard and choose something."""
    explorer = ak.explore(df)
    explorer.filter = ak.Filter(result="error")
    return explorer
