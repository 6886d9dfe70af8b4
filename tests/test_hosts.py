"""The dashboard in real hosts: JupyterLab, Notebook and Voilà, in a real browser, on loopback.

VS Code cannot run here; what it needs is checked instead: a script that loads nothing, a state that
stands alone, and the basic view, which needs only what VS Code brings itself.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import browser
import pytest
import requests

import activitykit as ak

SEEN = "window.ran = 1"
EVIL = f"<script>{SEEN}</script><img src=x onerror='{SEEN}'>"
BOARD = ".ak-board"
CELLS = [
    f"""
import activitykit as ak
import ipywidgets

evil = {EVIL!r}
items = list(ak.demo.simulate(2000, seed=3))
items.append({{
    "id": 7, "type": evil, "state": "completed", "createdAt": "2026-10-20T10:00:00Z",
    "startedAt": "2026-10-20T10:00:00Z", "completedAt": "2026-10-20T10:01:00Z",
    "updatedAt": "2026-10-20T10:01:00Z", "tenant": {{"id": "7", "name": evil}},
    "resource": {{"id": "r7", "name": evil}}, "context": {{"title": evil}},
    "result": {{"code": "error", "error": {{"domain": evil, "code": evil, "reason": evil}}}},
}})
df = ak.flatten(items)
explorer = ak.explore(df)
explorer""",
    """
heard = ipywidgets.Label("nothing yet").add_class("heard")
setter = ipywidgets.Button(description="Set from Python")
explorer.observe(
    lambda _: setattr(heard, "value", f"{explorer.filter!r}: {len(explorer.filtered)}"), "filter"
)
setter.on_click(lambda _: setattr(explorer, "filter", ak.Filter(result="warning", text="nothing")))
ipywidgets.HBox([setter, heard])""",
]
BASIC = ["import activitykit as ak\nak.explore(ak.demo.simulate(500, seed=3), basic=True)"]

real = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "all is here")
checked = pytest.mark.skipif(
    not browser.AXE.exists(), reason="there is no axe-core: install npm, then run make test"
)


@pytest.fixture(scope="module")
def df():
    """Give the frame of the notebook."""
    names = {}
    exec(CELLS[0].replace("\nexplorer = ak.explore(df)\nexplorer", ""), names)  # noqa: S102
    return names["df"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write the notebooks."""
    folder = tmp_path_factory.mktemp("hosts")
    browser.write_notebook(folder / "explore.ipynb", CELLS)
    browser.write_notebook(folder / "basic.ipynb", BASIC)
    return folder


@pytest.fixture(scope="module")
def chromium():
    """Start the browser."""
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def jupyter(folder):
    """Start the server of JupyterLab and Notebook."""
    with browser.jupyter(folder) as url:
        yield url


@pytest.fixture(scope="module", params=["lab", "notebook", "voila"])
def page(request, chromium, folder):
    """Open the dashboard in a host; no test may leave a complaint behind."""
    page = browser.page_in(chromium)
    if request.param == "voila":
        with browser.voila(folder) as url:
            page.goto(url)
            yield page
            page.context.close()
        return
    url = request.getfixturevalue("jupyter")
    browser.open_jupyter(page, url, request.param, "explore.ipynb")
    yield page
    page.context.close()


@pytest.fixture
def board(page):
    """Give the dashboard with nothing chosen; afterwards, nothing may have been complained of."""
    page.emulate_media(color_scheme="light")
    board = page.locator(BOARD)
    page.locator(".heard").wait_for()
    with answered(board):
        board.get_by_role("button", name="Reset").click()
    yield board
    assert page.complaints == []


@contextmanager
def answered(board) -> Iterator[None]:
    """Wait until what was done has been answered and drawn."""
    before = board.get_attribute("data-seq")
    yield
    board.page.wait_for_function(
        "([root, before]) => root.dataset.seq !== before && root.ariaBusy === 'false'",
        arg=[board.element_handle(), before],
    )


def option(board, facet, name):
    """Find an option of a facet."""
    found = board.get_by_role("list", name=facet, exact=True).locator(".ak-option")
    return found.filter(has_text=re.compile(rf"{name}\d")).first


def matching(board):
    """Read how many activities match."""
    return number(board.get_by_role("status").filter(has_text="activities").first.inner_text())


def number(text):
    """Read the number that a text begins with."""
    return int(text.split()[0].replace(",", ""))


@real
def test_it_opens(board, df):
    """All activities are there: in words, in the table, in every figure, and once."""
    assert board.page.locator("[class$=-picture]").is_hidden()
    box = board.evaluate("board => board.closest('.jp-OutputArea').getBoundingClientRect().height")
    assert box >= board.bounding_box()["height"]
    assert matching(board) == len(df)
    assert board.locator("tbody tr[class], .ak-table tbody tr").count() == 25
    figures = board.get_by_role("img").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert len(figures) >= 3
    over_time = board.get_by_role("region", name="Activities over time").inner_text()
    outside = re.search(r"(\d+) outside are not drawn", over_time)
    assert number(figures[0]) + (int(outside[1]) if outside else 0) == len(df)


@real
def test_the_mouse_filters(board, df):
    """A click changes numbers, figures and table, and the selection comes back to Python."""
    where = ak.Filter(result="error")
    with answered(board):
        option(board, "Outcome", "Error").click()
    wanted = len(where.select(df))
    assert matching(board) == wanted
    assert option(board, "Outcome", "Error").get_attribute("aria-pressed") == "true"
    figure = board.get_by_role("img").first.get_attribute("aria-label")
    assert f"{wanted} activities by outcome: Error {wanted}" in figure
    table = board.locator(".ak-table")
    assert {row.split("\t")[1] for row in table.locator("tbody tr").all_inner_texts()} == {"✕Error"}
    board.page.get_by_text(f"{where!r}: {wanted}").wait_for()


@real
def test_the_keyboard_filters(board, df):
    """Arrows and space choose, typing searches, and no key of the host fires."""
    page, cells = board.page, board.page.locator(".jp-CodeCell").count()
    option(board, "Outcome", "OK").focus()
    with answered(board):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
    chosen = board.get_by_role("list", name="Outcome").locator("[aria-pressed=true] bdi")
    first = chosen.inner_text()
    for key in ("b", "x", "d", "d", "m"):
        page.keyboard.press(key)
        assert board.locator("[aria-pressed=true]:focus").count() == 1
    with answered(board):
        board.get_by_role("searchbox", name="Search", exact=True).press_sequentially("backup")
    where = ak.Filter(result=first.lower(), text="backup")
    page.get_by_text(f"{where!r}: {len(where.select(df))}").wait_for()
    with answered(board):
        board.get_by_role("button", name="Take off: text: backup").press("Enter")
    assert matching(board) == len(ak.Filter(result=first.lower()).select(df))
    assert page.locator(".jp-CodeCell").count() == cells


@real
def test_a_span_is_brushed(board, df):
    """Dragging over the time chart chooses that time."""
    plot = board.get_by_role("slider", name="Activities over time")
    box = plot.bounding_box()
    with answered(board):
        plot.hover(position={"x": box["width"] * 0.25, "y": 40})
        board.page.mouse.down()
        plot.hover(position={"x": box["width"] * 0.5, "y": 40})
        board.page.mouse.up()
    assert 0 < matching(board) < len(df)
    chip = board.get_by_role("button", name="Take off: createdAt from").get_attribute("title")
    since, until = re.findall(r"\d{4}-\d\d-\d\dT\S+", chip)[:2]
    assert matching(board) == len(ak.Filter(since=since, until=until).select(df))


@real
def test_python_sets_the_filter(board):
    """A filter from Python shows on the board, here one that nothing matches."""
    board.page.get_by_role("button", name="Set from Python").click()
    board.get_by_text("0 of 2,001").first.wait_for()
    assert option(board, "Outcome", "Warning").get_attribute("aria-pressed") == "true"
    assert board.get_by_role("searchbox", name="Search", exact=True).input_value() == "nothing"


@real
def test_mistakes_are_told(board):
    """What cannot be read is said on the dashboard, and nothing else changes."""
    before = matching(board)
    with answered(board):
        board.get_by_role("textbox", name="From").fill("last tuesday")
        board.page.keyboard.press("Enter")
    assert "cannot read 'last tuesday'" in board.get_by_role("alert").inner_text()
    assert matching(board) == before


@real
def test_names_are_never_run(board):
    """A script in a title, a name or an error is shown as text, also in the details."""
    with answered(board):
        board.get_by_role("searchbox", name="Search", exact=True).fill(SEEN)
    assert matching(board) == 1
    with answered(board):
        board.locator(".ak-table").locator("tbody button").click()
    assert board.get_by_role("region", name="Details").get_by_text(EVIL).count() >= 3
    assert board.page.evaluate("window.ran") is None


@real
@checked
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(board, scheme):
    """axe-core finds nothing serious, with conditions on and details open, light and dark."""
    browser.paint(board.page, scheme)
    with answered(board):
        option(board, "Outcome", "Error").click()
    with answered(board):
        board.locator(".ak-table").locator("tbody button").first.click()
    assert browser.serious(board.page, BOARD) == []
    browser.paint(board.page, "light")


@real
@checked
def test_the_basic_view(chromium, jupyter):
    """Core widgets alone filter as well, without a complaint, and nothing serious for axe-core."""
    page = browser.page_in(chromium)
    browser.open_jupyter(page, jupyter, "lab", "basic.ipynb")
    status = page.get_by_role("status").filter(has_text="of 500 activities")
    status.wait_for()
    page.get_by_role("button", name="Error").first.click()
    page.get_by_text("Outcome: Error").first.wait_for()
    found = ak.Filter(result="error").select(ak.flatten(ak.demo.simulate(500, seed=3)))
    assert number(status.inner_text()) == len(found)
    assert browser.serious(page, ".ak-explorer") == []
    assert page.complaints == []
    page.context.close()


@real
def test_without_a_kernel_a_picture_stands_in_its_place(chromium, tmp_path):
    """An exported notebook shows numbers and figures offline, however it was executed."""
    browser.write_notebook(tmp_path / "one.ipynb", [CELLS[0]])
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "html", "one.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    page = browser.page_in(chromium)
    page.goto((tmp_path / "one.html").as_uri())
    assert page.get_by_text("2,001 of 2,001 activities").is_visible()
    assert page.locator("svg").count() >= 2
    page.context.close()


# the command


@pytest.fixture
def command(tmp_path):
    """Run `activitykit explore`; give the process and the address that it prints."""
    path = ak.write_snapshot(ak.flatten(ak.demo.simulate(50, seed=1)), tmp_path / "a.parquet")
    words = [sys.executable, "-m", "activitykit", "explore", path, "--no-browser"]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
    )
    line = process.stdout.readline()
    yield process, line.split()[-1]
    process.kill()
    process.communicate()


def test_the_command_serves_its_user_only_and_ends(command):
    """The page needs the token, asks nobody else for anything, and Ctrl-C ends all of it."""
    process, address = command
    plain = address.partition("?")[0]
    assert urlsplit(address).hostname == "127.0.0.1"
    assert requests.get(plain, timeout=30).url.startswith(f"{plain}login")
    page = requests.get(address, timeout=30)
    assert page.status_code == 200
    assert not re.search(r'(?:src|href)="https?:', page.text)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stdout.read() == "Ctrl-C ends it.\n"


def test_the_command_names_the_missing_extra():
    """Without Voilà one line says what to install, before anything is loaded."""
    code = (
        "import sys; sys.modules['voila'] = None; sys.argv[1:] = ['explore', 'no-such-file']\n"
        "from activitykit.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'activitykit[explore]'" in done.stderr
    assert done.stderr.count("\n") == 1


# VS Code


def test_the_script_loads_nothing():
    """The board's script imports nothing and names no address but that of SVG."""
    board = ak.explore(ak.demo.simulate(50, seed=1)).view
    assert not re.search(
        r"^\s*import\b|\bimport\(|\bfetch\(|XMLHttp|\beval\(", board._esm, re.MULTILINE
    )
    addresses = set(re.findall(r"https?://[^\"'\s)]+", f"{board._esm}{board._css}"))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in board._css


def test_the_state_stands_alone():
    """What is sent to a host is plain JSON, and holds script, style and numbers."""
    board = ak.explore(ak.demo.simulate(50, seed=1)).view
    state = board.get_state()
    json.dumps({name: value for name, value in state.items() if name != "layout"})
    assert {"_esm", "_css", "state"} <= state.keys()
    assert state["_view_module"] == "anywidget"


def test_the_basic_view_needs_what_hosts_bring():
    """Every widget of the basic view is one of the two modules that VS Code brings itself."""
    whole = [ak.explore(ak.demo.simulate(50, seed=1), basic=True)]
    for widget in whole:
        whole += getattr(widget, "children", ())
    assert {widget._model_module for widget in whole} == {"@jupyter-widgets/controls"}
