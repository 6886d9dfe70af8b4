"""The notebooks run from top to bottom, without a network, and are stored clean."""

from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbclient import NotebookClient

import activitykit as ak

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter libraries
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path):
    """Every cell runs, in a kernel of its own, with nothing to warn of."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}).execute()
    printed = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    assert printed
    assert not [one["text"] for one in printed if one.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    """A notebook in the repository holds no outputs and stays small."""
    cells = nbformat.read(path, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    assert path.stat().st_size < 100_000


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter libraries
def test_the_report_notebook_takes_parameters(tmp_path):
    """Papermill fills in source and period, and nbconvert makes a page with the report on it."""
    import papermill
    from nbconvert import HTMLExporter

    df = ak.flatten(ak.demo.simulate(200, seed=3))
    ak.write_snapshot(df, tmp_path / "kept.parquet")
    asked = {"source": str(tmp_path / "kept.parquet"), "period": "7d", "out": "week.md"}
    papermill.execute_notebook(
        NOTEBOOKS[-1], tmp_path / "week.ipynb", asked, cwd=tmp_path, progress_bar=False,
        log_output=False,
    )  # fmt: skip
    page, _ = HTMLExporter(exclude_input=True).from_filename(str(tmp_path / "week.ipynb"))
    framed = BeautifulSoup(page, "html.parser").find("iframe", title="The report")
    assert framed["srcdoc"] == ak.render_report(df, period="7d")
    expected = ak.write_report(df, tmp_path / "expected.md", period="7d")
    assert (tmp_path / "week.md").read_bytes() == expected.read_bytes()
