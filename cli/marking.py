"""Which rows stand for operations that are parked: Temporal knows it of all at once, the rows do not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from .session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model.instance import Instance
    from ..model.messages import OperationRecord
    from ..model.ports import InstancePage, OperationPage
    from .documents import InstanceList, OperationList

LONGEST_ASIDE = 5.0
"""Seconds for what is told beside the rows, and only where Temporal knows it."""


async def marked_instances(session: Session, page: InstancePage) -> InstanceList:
    """The page with what is parked marked."""
    from .documents import InstanceList, ListedInstance

    parked = await _parked(session) if any(not each.status.settled for each in page.items) else {}

    def is_parked(row: Instance) -> bool | None:
        if row.status.settled:
            return False
        return None if parked is None else row.name in parked

    items = [ListedInstance(**each.model_dump(), parked=is_parked(each)) for each in page.items]
    return InstanceList(items=items, next=page.next)


async def marked_operations(session: Session, page: OperationPage) -> OperationList:
    """The page with what is parked marked."""
    from .documents import ListedOperation, OperationList

    parked = await _parked(session) if any(each.ended_at is None for each in page.items) else {}

    def is_parked(row: OperationRecord) -> bool | None:
        if row.ended_at is not None:
            return False
        return None if parked is None else parked.get(row.instance) == row.run_id

    items = [ListedOperation(**each.model_dump(), parked=is_parked(each)) for each in page.items]
    return OperationList(items=items, next=page.next)


async def _parked(session: Session) -> Mapping[str, str] | None:
    """Instance → run of what is parked; None where Temporal does not say so soon: the rows are the answer."""
    from ..client import InnkeeperError

    with contextlib.suppress(InnkeeperError, TimeoutError):
        async with asyncio.timeout(LONGEST_ASIDE), session.innkeeper() as innkeeper:
            return await innkeeper.parked_runs()
    return None


def with_mark(word: str, *, parked: bool | None) -> str:
    """A status or outcome as a table shows it."""
    return f"{word}, parked" if parked else word


def tell_parked(session: Session, page: InstanceList | OperationList) -> None:
    """Say how to see what is asked, where the page has something that asks."""
    if any(each.parked for each in page.items):
        session.say(f"what the parked ones ask: {session.hint('attention')}", "yellow")
