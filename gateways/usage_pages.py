"""What every gateway of usage does alike: how figures are cut into pages, and how reports are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from innkeeper.model.errors import BadInput
from innkeeper.model.usage_ports import Figure, UsagePage

Place = tuple[str, datetime, str, str, str]
"""Instance, window, tenant, plan and metric."""

WORDS = 5


def place(figure: Figure) -> Place:
    """Where a figure stands: they come in this order."""
    return figure.instance, figure.window_start, figure.tenant, figure.plan, figure.metric


def cut(figures: Sequence[Figure], limit: int) -> UsagePage:
    """A page of figures, of which one more than it holds was read where there are more."""
    items = list(figures[:limit])
    if len(figures) <= limit:
        return UsagePage(items=items)
    return UsagePage(items=items, next=json.dumps(place(items[-1]), default=datetime.isoformat))


def refused(verdict: str, subject: str) -> BadInput:
    """Why no report was written: `mismatch` of a key's content, `future` of a time, or `absent`, an instance."""
    if verdict == "mismatch":
        fix = "use a new key for what is new, and the same content where you report again"
        return BadInput("key", subject, "was used before, with other content", fix=fix)
    if verdict == "future":
        fix = "report what has happened, with the time of a clock that is right"
        return BadInput("at", subject, "lies in the future", fix=fix)
    return BadInput("name", subject, "is no instance", fix="check the spelling, or provision it")


def place_of(cursor: str) -> list[str]:
    """The place that a page's cursor stands for, its time as text.

    Raises:
        BadInput: it is no cursor of ours.
    """
    try:
        found = json.loads(cursor)
        datetime.fromisoformat(found[1])
        if len(found) == WORDS and all(isinstance(word, str) for word in found):
            return list(found)
    except (ValueError, TypeError, LookupError):
        pass
    raise BadInput("after", cursor, "is not a page's cursor", fix="give the `next` of the page before")
