"""When a trial is over, or an instance idle: which stop is asked for, and how often at the most."""

from __future__ import annotations

from datetime import datetime, timedelta

from . import names
from .catalog import Plan
from .instance import Kind
from .messages import Message, Request
from .usage_ports import Running


class ExpiryPage(Message):
    """Which instances one step of an expiry looks at."""

    after: str | None = None
    """The cursor of the page before, None for the first."""


class Expired(Message):
    """What came of one page, and where the next begins."""

    asked: int = 0
    """Stops that were asked for, or had been."""
    failed: int = 0
    """Those that could not be handed in; the next metering tries again."""
    next: str | None = None
    """Give it as `after` to go on; None at the end."""


def stop_of(running: Running, plan: Plan) -> Request | None:
    """The stop that the plan wants of an instance that runs; None where its time is not over.

    Its id is the same for as long as the instance runs on undisturbed, so that any number of meterings ask once.
    """
    why = _why(running, plan)
    if why is None:
        return None
    return Request(
        kind=Kind.STOP,
        instance=running.instance,
        request_id=f"{names.EXPIRY_PREFIX}{running.instance}-{running.generation}",
        tenant=running.tenant,
        asked_by=why,
    )


def _why(running: Running, plan: Plan) -> str | None:
    if plan.stop_after is not None and running.now - running.first_ran >= plan.stop_after:
        return f"trial: first ran at {_told(running.first_ran)}, and plan {running.plan} stops after {plan.stop_after}"
    if plan.idle_stop_after is None:
        return None
    active = max(running.runs_since, running.active_at or running.runs_since)
    if running.now - active < plan.idle_stop_after:
        return None
    return f"idle: nothing since {_told(active)}, and plan {running.plan} stops after {plan.idle_stop_after}"


def _told(moment: datetime) -> str:
    return f"{moment - timedelta(microseconds=moment.microsecond):%Y-%m-%d %H:%M:%S} UTC"
