"""Holds what calls that are made at once leave behind: nothing is written after the step's end was told."""

import asyncio

import pytest

from innkeeper.activities.together import together
from innkeeper.model.errors import Pending, Permanent


async def write(what: str, into: list[str]) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    into.append(what)


async def refuse(error: Exception) -> None:
    raise error


async def test_what_another_call_writes_is_there_when_a_failure_is_told() -> None:
    written: list[str] = []
    with pytest.raises(Permanent, match="no"):
        await together(refuse(Permanent("no")), write("a quota", written), write("a policy", written))
    assert written == ["a quota", "a policy"]


async def test_of_several_failures_the_first_as_they_were_asked_for_is_told() -> None:
    async def late() -> None:
        await asyncio.sleep(0.01)
        raise Permanent("the first")

    with pytest.raises(Permanent, match="the first"):
        await together(late(), refuse(Pending("the second")))


async def test_who_calls_it_off_is_told_once_every_call_has_ended() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def at_once() -> None:
        await asyncio.Event().wait()

    async def later() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.set()

    running = asyncio.create_task(together(at_once(), later(), at_once()))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()
