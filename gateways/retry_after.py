"""What an answer's Retry-After asks for, in either of the forms it may have (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the answering part wants to be asked again; None where it does not say so in a way one can read.

    A date counts from the answer's own, so that no two clocks have to agree.
    """
    wish = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,6}", wish):
        return float(wish)
    try:
        at, now = parsedate_to_datetime(wish), parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (at - now).total_seconds())
    except (TypeError, ValueError):
        return None
