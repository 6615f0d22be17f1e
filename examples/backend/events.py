"""An operation's progress as server-sent events, which a browser's EventSource reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import BaseModel

from innkeeper.client import InnkeeperError, OperationHandle


async def server_sent(handle: OperationHandle, *, skip: int = 0) -> AsyncIterator[str]:
    """Each step as the event ``step``, then one ``end`` with outcome and cause, or one ``lost`` to connect again.

    Events are numbered from 1: a browser that reconnects names the last it saw, and is told what it missed.
    """
    number = 0
    try:
        async for event in handle.progress():
            number += 1
            if number > skip:
                yield _event("step", number, event)
        yield _event("end", number + 1, await handle.describe())
    except InnkeeperError as error:
        yield _event("lost", number, error.cause)


def _event(kind: str, number: int, data: BaseModel) -> str:
    return f"event: {kind}\nid: {number}\ndata: {data.model_dump_json()}\n\n"
