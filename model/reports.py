"""What the tenants' product reports of itself: metered quantities such as API calls, each under a key of its own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from pydantic import ConfigDict

from . import names
from .errors import BadInput
from .messages import Message
from .usage import METRICS

MOST_REPORTS = 1000
"""Of one call, which writes all of them or none."""

_METRIC = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MOST = Decimal(10) ** 18
_FINEST = -9


class UsageReport(Message):
    """So much of a metric was used by an instance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance: str
    metric: str
    quantity: Decimal
    key: str
    """Reported twice with one key, it counts once; global, like request ids."""
    at: datetime | None = None
    """When; None: when it is written."""

    @classmethod
    def of(
        cls, name: str, metric: str, quantity: Decimal | float | str, *, key: str, at: datetime | None = None
    ) -> UsageReport:
        """A checked report from a caller's words.

        Raises:
            BadInput: the name, metric, quantity, key or time cannot be.
        """
        if not _METRIC.fullmatch(metric):
            fix = "use up to 63 small letters, digits and underscores, with a letter first"
            raise BadInput("metric", metric, "is no name of a metric", fix=fix)
        if metric in METRICS:
            raise BadInput("metric", metric, "is metered by Innkeeper itself", fix="use another name")
        if at is not None and at.tzinfo is None:
            raise BadInput("at", at.isoformat(), "has no time zone", fix="give one, e.g. datetime.now(UTC)")
        return cls(
            instance=names.normalise(name),
            metric=metric,
            quantity=_amount(quantity),
            key=names.check_key(key),
            at=None if at is None else at.astimezone(UTC),
        )


class Recorded(Message):
    """What became of reports: all of them are written."""

    recorded: int
    """New ones."""
    known: int
    """Those that had been written before."""


def _amount(quantity: Decimal | float | str) -> Decimal:
    try:
        amount = Decimal(str(quantity))
    except InvalidOperation:
        amount = Decimal("NaN")
    # Of what is no number, nothing can be compared.
    if amount.is_finite() and 0 <= amount < _MOST:
        amount = amount.normalize()
        if int(amount.as_tuple().exponent) >= _FINEST:
            return amount
    raise BadInput(
        "quantity",
        str(quantity),
        "is no quantity",
        fix="give a number of nought or more, below 10^18, with nine decimals at the most",
    )
