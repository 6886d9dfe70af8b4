"""How the emulated service behaves: where the documentation is open, and what goes wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from activitykit.demo.query import OPERATORS
from activitykit.errors import ConfigError

FAULTS: Final = (
    "401", "403", "429", "429-date", "500", "502", "503", "503-date", "504", "reset", "truncate",
    "hang", "html", "garbage", "no-items", "repeat", "mutate", "late",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Variants:
    """What the documentation of the service leaves open; the defaults are the likeliest.

    Attributes
    ----------
    cursors
        Where the token of the next page stands.
    end
        What the last page has instead of a token: no ``paging``, empty ``cursors``, null or "".
    next_page
        When a page has a token: when it is ``full``, only when there is ``more``, or ``always``.
    with_after
        Whether other parameters beside ``after`` are refused or ignored.
    after_alone
        Whether ``after`` works without ``limit``.
    max_limit
        Largest page.
    over_limit
        Whether a request for a larger page is cut down to that, or refused.
    default_limit
        Page size when none is asked for.
    interval
        Whether a field takes two bounds.
    operators
        Functions that conditions may use.
    count
        How ``lod=count`` is answered: with ``items`` empty, missing or null; refused; or ignored.
    direct_scope
        Whether client credentials may ask for the scope of one tenant.
    exchange
        How the exchange of a token for a narrower one is signed.
    numeric_tenant
        Whether a scope may name the numeric id of the tenant.
    uuid_in_path
        Whether ``/activities/{id}`` takes a UUID.
    expiry
        Which lifetime the token reply states.
    lifetime_s
        How long a token lives.
    error_text
        Where an error says what is wrong.
    gzip
        Whether bodies are compressed for clients that take it.
    """

    cursors: Literal["paging", "top"] = "paging"
    end: Literal["missing", "empty", "null", "blank"] = "missing"
    next_page: Literal["full", "more", "always"] = "full"
    with_after: Literal["refuse", "ignore"] = "refuse"
    after_alone: bool = False
    max_limit: int | None = None
    over_limit: Literal["cut", "refuse"] = "cut"
    default_limit: int = 100
    interval: bool = True
    operators: frozenset[str] = OPERATORS
    count: Literal["empty", "missing", "null", "refuse", "ignore"] = "empty"
    direct_scope: bool = True
    exchange: Literal["both", "bearer", "basic", "refuse"] = "both"
    numeric_tenant: bool = False
    uuid_in_path: bool = False
    expiry: Literal["both", "on", "in", "none"] = "both"
    lifetime_s: float = 7200
    error_text: Literal["debug", "context", "reason"] = "debug"
    gzip: bool = False

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            known, value = get_args(hint), getattr(self, name)
            if get_origin(hint) is Literal and value not in known:
                raise ConfigError(
                    f"unknown variant {name}={value!r}; choose from {', '.join(map(str, known))}"
                )


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How the list requests go wrong.

    Attributes
    ----------
    script
        What befalls the first list requests, one after the other; "" lets one pass.
    rates
        Probability of each fault for every request after the script.
    most
        At most so many faults by chance.
    seed
        Of the chance.
    delay_s, first_delay_s
        Wait before each answer to a list request, and a further one before first pages.
    retry_after_s
        What 429 and 503 ask for.
    late
        Objects that "late" adds, one at a time.
    """

    script: Sequence[str] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    most: int | None = None
    seed: int = 0
    delay_s: float = 0
    first_delay_s: float = 0
    retry_after_s: int = 0
    late: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        unknown = {*self.script, *self.rates} - {*FAULTS, ""}
        if unknown:
            raise ConfigError(
                f"unknown fault(s) {', '.join(sorted(unknown))}; choose from {', '.join(FAULTS)}"
            )
