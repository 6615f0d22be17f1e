"""What crosses Temporal while instances are metered."""

from __future__ import annotations

from .messages import Message
from .usage_ports import Hours, Metered


class MeteringPage(Message):
    """Which instances one step of a metering looks at."""

    after: str | None = None
    """The cursor of the page before, None for the first."""
    again: Hours | None = None
    """Hours that are metered again; None: what was not metered yet."""


class SoFar(Message):
    """Where a metering goes on whose run had looked at as many pages as one history shall hold."""

    metered: Metered
    """What the runs before it came to."""
    after: str | None
    """The next page's cursor."""
    expiring: bool
    """All is metered, and the page is one of instances whose time may be over."""


class MeteredPage(Message):
    """What came of one page, and where the next begins."""

    metered: Metered
    next: str | None = None
    """Give it as `after` to go on; None at the end."""
