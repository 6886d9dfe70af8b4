"""The wheel works away from the clone."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
import activitykit as ak, pathlib
df = ak.flatten(ak.demo.simulate(200))
path = ak.write_report(df, "report.html", period="7d")
assert "<svg" in path.read_text(encoding="utf-8")
print(ak.explore(df).filter, pathlib.Path(ak.__file__).parent)
"""

# parts of what a declared library offers, by the library that requires them
PARTS = {
    "IPython": "ipywidgets",
    "markupsafe": "jinja2",
    "traitlets": "ipywidgets",
    "werkzeug": "flask",
}
# who brings a frame of these, or asks for one, has them
ENGINES = {"polars", "pyspark"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True, capture_output=True
    )
    return next(folder.glob("*.whl"))


def imported():
    """Give each module outside the standard library that is imported, and the first file to."""
    for path in sorted((ROOT / "activitykit").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in {name.partition(".")[0] for name in names}:
                if name not in sys.stdlib_module_names | {"activitykit"} | ENGINES:
                    yield PARTS.get(name, name), str(path.relative_to(ROOT))


def test_every_import_is_declared():
    """What a module imports is a dependency or an extra, not what others happen to bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = sum(project["optional-dependencies"].values(), project["dependencies"])
    declared = {re.match(r"[\w.-]+", line)[0].lower() for line in lines}
    owners = packages_distributions()
    undeclared = {
        (name, path)
        for name, path in imported()
        if declared.isdisjoint(owner.lower() for owner in owners.get(name, [name]))
    }
    assert not undeclared


def test_wheel_holds_the_package_and_nothing_else(wheel):
    """Code, types marker, templates and example objects are in; tests and data are not."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {"activitykit/py.typed", "activitykit/demo/examples.ndjson"} <= set(names)
    assert any(name.startswith("activitykit/report/") and ".html" in name for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"activitykit"}


def test_wheel_works_outside_the_clone(wheel, tmp_path):
    """Installed elsewhere, the package reports and explores with its own templates."""
    where = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--target", where, wheel], check=True)
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(where)},
    )  # fmt: skip
    assert done.stdout.split() == ["ak.Filter()", str(where / "activitykit")]
