import pandas as pd
import pytest

import activitykit as ak


def test_a_policy_prints_as_python_that_rebuilds_it():
    """What a report prints can be pasted."""
    policy = ak.OutcomePolicy(success="ok", failure=["warning", "error"], neither=[])
    assert eval(repr(policy), {"ak": ak}) == policy  # noqa: S307 - our own text


def test_a_code_has_one_meaning():
    """The same code twice is refused."""
    with pytest.raises(ValueError, match="ok listed twice"):
        ak.OutcomePolicy(failure=["ok"])


@pytest.mark.parametrize(
    ("code", "error", "outcome"),
    [
        ("ok", None, "success"),
        ("warning", None, "success"),
        ("error", "InternalError", "failed"),
        ("error", None, "failed"),
        ("abandoned", None, "failed"),
        ("timedout", None, "failed"),
        ("cancelled", None, "cancelled"),
        ("error", "OperationCanceledByUser", "cancelled"),
        ("brand-new", None, "unknown"),
    ],
)
def test_the_default_policy(make_frame, code, error, outcome):
    """Each documented code has the outcome that reports agree on; new codes stay visible."""
    df = make_frame([0], [60], **{"result.code": code, "result.error.code": error})
    row = ak.failure_stats(df).iloc[0]
    counts = row[["n_success", "n_failed", "n_cancelled", "n_unknown"]]
    assert counts.to_dict() == {f"n_{o}": int(o == outcome) for o in _OUTCOMES}
    assert ak.streaks(df)["last_outcome"].tolist() == [outcome]


_OUTCOMES = ("success", "failed", "cancelled", "unknown")


def test_another_policy_moves_the_rate(make_frame):
    """A strict house counts warnings as failures."""
    df = make_frame([0, 1], [60, 60], **{"result.code": ["ok", "warning"]})
    strict = ak.OutcomePolicy(success="ok", failure=["warning", "error"], neither=[])
    assert ak.failure_stats(df, policy=strict)["failure_rate"].tolist() == [0.5]
    assert pd.isna(ak.last_good(df.iloc[1:], policy=strict)["age_s"].iloc[0])
