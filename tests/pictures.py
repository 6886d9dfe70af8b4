"""Takes the README's pictures of the dashboard: ``python tests/pictures.py``."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import browser
from PIL import Image

import activitykit as ak

FOLDER = Path(__file__).parents[1] / "data/pictures"
SIZE, WIDTH, COLOURS = (1440, 1000), 1000, 256
CELL = 'import activitykit as ak\n\ndf = ak.load("activities.parquet")\nak.explore(df)'


def main() -> None:
    """Open the dashboard in each host, choose the failures, and take it light and dark."""
    with TemporaryDirectory() as name, browser.chromium() as chromium:
        folder = Path(name)
        df = ak.flatten(ak.demo.simulate(20_000, seed=4))
        ak.write_snapshot(df, folder / "activities.parquet")
        notebook = browser.write_notebook(folder / "explore.ipynb", [CELL])
        with browser.jupyter(folder) as url:
            for host in ("lab", "notebook"):
                page = browser.page_in(chromium, size=SIZE)
                browser.open_jupyter(page, url, host, notebook.name)
                if host == "lab":
                    page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
                take(page, host)
        with browser.voila(folder) as url:
            page = browser.page_in(chromium, size=SIZE)
            page.goto(url)
            take(page, "voila")


def take(page: Any, host: str) -> None:
    """Choose something, and keep what the window shows."""
    board = page.locator(".ak-board")
    board.get_by_role("button", name="7 d", exact=True).click()
    page.locator(".ak-board[data-seq='1']").wait_for()
    # what is overdue is found beside everything else, and comes last
    page.wait_for_function("() => !document.querySelector('.ak-cards').textContent.includes('…')")
    for scheme in ("light", "dark"):
        browser.paint(page, scheme)
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        picture = Image.open(BytesIO(page.screenshot(animations="disabled")))
        small = picture.convert("RGB").resize((WIDTH, WIDTH * SIZE[1] // SIZE[0]))
        few = small.quantize(COLOURS, kmeans=3, dither=Image.Dither.NONE)
        few.save(FOLDER / f"explorer-{host}-{scheme}.png", optimize=True)
    page.context.close()


if __name__ == "__main__":
    main()
