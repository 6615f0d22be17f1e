"""The faults that in-memory gateways play."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.gateways.faults import Faults
from innkeeper.model.errors import Unreachable

GONE = Unreachable("gone")


class Bell:
    """Something with one effect."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.rung = 0

    async def ring(self) -> None:
        async with self.faults.around("bell.ring"):
            self.rung += 1


async def outcomes(bell: Bell, times: int) -> list[bool]:
    answers = await asyncio.gather(*(bell.ring() for _ in range(times)), return_exceptions=True)
    return [answer is None for answer in answers]


@pytest.mark.parametrize("name", ["bell.ring", "ring", "bell.*", "*"])
async def test_a_fault_before_an_effect_prevents_it_for_as_many_calls_as_asked(name: str) -> None:
    bell = Bell()
    bell.faults.fail(name, GONE, times=2)
    assert await outcomes(bell, 4) == [False, False, True, True]
    assert bell.rung == 2


async def test_a_fault_after_an_effect_loses_its_answer_only() -> None:
    bell = Bell()
    bell.faults.fail("ring", GONE, when="after", skip=1)
    assert await outcomes(bell, 3) == [True, False, True]
    assert bell.rung == 3


async def test_a_fault_without_end_goes_on_until_it_is_cleared() -> None:
    bell = Bell()
    bell.faults.fail("ring", GONE, times=None)
    assert await outcomes(bell, 3) == [False] * 3
    bell.faults.clear()
    assert await outcomes(bell, 1) == [True]


async def test_a_hanging_call_is_seen_and_released() -> None:
    bell = Bell()
    hang = bell.faults.hang("ring")
    ringing = asyncio.create_task(bell.ring())
    await hang.reached.wait()
    assert bell.rung == 0
    await bell.ring()
    hang.release()
    await ringing
    assert bell.rung == 2


async def test_clearing_releases_what_hangs() -> None:
    bell = Bell()
    hang = bell.faults.hang("ring", when="after")
    ringing = asyncio.create_task(bell.ring())
    await hang.reached.wait()
    assert bell.rung == 1
    bell.faults.clear()
    await ringing


async def test_calls_are_recorded_and_faults_that_never_played_are_named() -> None:
    bell = Bell()
    bell.faults.fail("ring", GONE)
    bell.faults.fail("bell.toll", GONE)
    await outcomes(bell, 2)
    assert bell.faults.calls == ["bell.ring", "bell.ring"]
    assert (bell.faults.count("ring"), bell.faults.count("toll")) == (2, 0)
    assert bell.faults.unplayed == ["bell.toll"]
