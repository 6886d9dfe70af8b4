"""What a result code means: `OutcomePolicy`, the one place that decides success and failure."""

from dataclasses import dataclass, fields
from typing import Final

import narwhals as nw

from activitykit.stats.engines import one_of

SUCCESS: Final = "success"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, kw_only=True, repr=False)
class OutcomePolicy:
    """Which result codes of a finished activity mean success, failure, or neither.

    A code in none of the lists is *unknown*: counted and shown, in no rate.

    Attributes
    ----------
    success, failure, neither
        Result codes. Rates are failures over successes and failures; ``neither`` stays outside.
    cancelled_errors
        Values of ``result.error.code`` that turn a result ``error`` into a cancellation, because
        some producers report a run that a user stopped as an error.

    Raises
    ------
    ValueError
        When a code stands in two lists.

    Examples
    --------
    >>> OutcomePolicy(success="ok", failure=["warning", "error", "abandoned", "timedout"])
    ak.OutcomePolicy(success=('ok',), failure=('warning', 'error', 'abandoned', 'timedout'),
    neither=('cancelled',), cancelled_errors=('OperationCanceledByUser',))
    """

    success: tuple[str, ...] = ("ok", "warning")
    failure: tuple[str, ...] = ("error", "abandoned", "timedout")
    neither: tuple[str, ...] = ("cancelled",)
    cancelled_errors: tuple[str, ...] = ("OperationCanceledByUser",)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            codes = (value,) if isinstance(value, str) else tuple(value)
            object.__setattr__(self, field.name, codes)
        listed = (*self.success, *self.failure, *self.neither)
        twice = sorted({code for code in listed if listed.count(code) > 1})
        if twice:
            raise ValueError(
                f"result code(s) {', '.join(twice)} listed twice; give each one meaning"
            )

    def __repr__(self) -> str:
        shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"ak.OutcomePolicy({shown})"

    def expr(self) -> nw.Expr:
        """Give the narwhals expression for the outcome of a *finished* row.

        Returns
        -------
        narwhals.Expr
            Text: ``success``, ``failed``, ``cancelled`` or ``unknown``, from the columns
            ``result.code`` and ``result.error.code``.
        """
        outcome = nw.lit(UNKNOWN)
        for name in (SUCCESS, FAILED, CANCELLED):
            outcome = nw.when(self.test(name)).then(nw.lit(name)).otherwise(outcome)
        return outcome

    def test(self, outcome: str) -> nw.Expr:
        """Give the narwhals condition that a finished row has this outcome; never null."""
        stopped = (nw.col("result_code") == "error").fill_null(False) & one_of(
            "result_error_code", self.cancelled_errors
        )
        if outcome == CANCELLED:
            return one_of("result_code", self.neither) | stopped
        if outcome == UNKNOWN:
            return ~one_of("result_code", (*self.success, *self.failure, *self.neither)) & ~stopped
        return (
            one_of("result_code", self.success if outcome == SUCCESS else self.failure) & ~stopped
        )


DEFAULT_POLICY: Final = OutcomePolicy()
