"""The public surface, and what importing it costs."""

import subprocess
import sys

import pytest

import activitykit as ak

HEAVY = ("ipywidgets", "matplotlib", "deltalake", "duckdb", "scipy", "jinja2", "flask", "click")


def test_public_names_are_pinned_and_sorted():
    """The list of public names is what the design promises, in order, and all of it is there."""
    assert ak.__all__ == sorted(ak.__all__)
    assert all(hasattr(ak, name) for name in ak.__all__)
    promised = {"Archive", "Client", "Filter", "OutcomePolicy", "columns", "concurrency", "demo",
                "duration_stats", "durations", "explore", "failure_reasons", "failure_stats",
                "flatten", "last_good", "load", "overdue", "plots", "quality", "read_snapshot",
                "render_report", "streaks", "survival", "trend", "unflatten", "weekly_load",
                "write_report", "write_snapshot"}  # fmt: skip
    assert promised == {name for name in ak.__all__ if not name.endswith("Error")}


def test_functions_win_over_modules_of_the_same_name():
    """ak.load stays callable after the module activitykit.load was imported."""
    code = (
        "import activitykit.load, activitykit.flatten, activitykit as ak; ak.load, ak.flatten([])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", HEAVY)
def test_importing_brings_in_nothing_heavy(module):
    """Optional libraries are not imported before they are used."""
    code = f"import sys, activitykit; sys.exit({module!r} in sys.modules)"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_unknown_names_are_an_attribute_error():
    """A misspelt name says so at once."""
    with pytest.raises(AttributeError, match="laod"):
        ak.laod  # noqa: B018
