"""The tree of errors."""

import inspect

import pytest

import activitykit as ak
from activitykit import errors

OURS = [one for _, one in inspect.getmembers(errors, inspect.isclass)
        if one.__module__ == errors.__name__]  # fmt: skip


@pytest.mark.parametrize("error", OURS)
def test_one_clause_catches_all(error):
    """Every error shares one base and is public."""
    assert issubclass(error, ak.ActivityKitError)
    assert getattr(ak, error.__name__) is error


@pytest.mark.parametrize("error", OURS)
def test_the_tree_is_drawn(error):
    """The picture at the top of the module names every error."""
    assert error.__name__ in errors.__doc__
