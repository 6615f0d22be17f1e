"""Places that are few go round: by tenants, and lost with nobody."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from innkeeper.gateways.turns import Turns


class Queue:
    """Holders of places that give them back when they are told to."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.began: list[str] = []
        """Who got a place, in order."""
        self.at_once = 0
        self._go_on = asyncio.Semaphore(0)

    def wants(self, whose: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._hold(whose))

    async def _hold(self, whose: str) -> None:
        async with self.turns.of(whose):
            self.began.append(whose)
            self.at_once += 1
            try:
                await self._go_on.acquire()
            finally:
                self.at_once -= 1

    async def settle(self) -> None:
        """Let everybody do what they can do by now."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def one_ends(self) -> None:
        self._go_on.release()
        await self.settle()

    async def all_end(self, tasks: list[asyncio.Task[None]]) -> None:
        for _ in tasks:
            self._go_on.release()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_wants_few_places_waits_one_turn_and_not_for_who_wants_many() -> None:
    queue = Queue(2)
    tasks = [queue.wants("large") for _ in range(20)]
    await queue.settle()
    tasks += [queue.wants("small") for _ in range(3)]
    await queue.settle()
    for _ in range(6):
        await queue.one_ends()
    assert queue.began == ["large", "large", *["large", "small"] * 3]
    await queue.all_end(tasks)
    assert queue.began.count("large") == 20


async def test_who_gave_up_has_had_no_turn() -> None:
    queue = Queue(1)
    holder = queue.wants("a")
    await queue.settle()
    corpses = [queue.wants("a") for _ in range(50)]
    await queue.settle()
    for each in corpses:
        each.cancel()
    tasks = [holder, queue.wants("a"), *(queue.wants("b") for _ in range(20))]
    await queue.settle()
    await queue.one_ends()
    await queue.one_ends()
    assert "a" in queue.began[1:3]
    await queue.all_end(tasks)


async def test_within_one_tenant_who_came_first_is_first() -> None:
    turns, order = Turns(1), []

    async def hold(number: int) -> None:
        async with turns.of("t"):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(hold(number) for number in range(9)))
    assert order == list(range(9))


async def test_a_holder_that_fails_gives_its_place_back() -> None:
    turns = Turns(1)
    for _ in range(2):
        with contextlib.suppress(ValueError):
            async with asyncio.timeout(60), turns.of("t"):
                raise ValueError


async def test_a_place_given_to_who_was_cancelled_in_that_moment_goes_on_to_the_next() -> None:
    queue = Queue(1)
    first, second, third = (queue.wants(whose) for whose in ("a", "b", "c"))
    await queue.settle()
    first.cancel()
    for _ in range(3):  # the place is on its way to b, who has not been told yet
        await asyncio.sleep(0)
        if not queue.at_once:
            break
    second.cancel()
    await queue.settle()
    assert queue.began[-1] == "c"
    await queue.all_end([first, second, third])


@given(places=st.integers(1, 3), moves=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=40))
def test_no_place_is_lost_or_held_twice_whoever_comes_ends_or_gives_up(
    places: int, moves: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        queue = Queue(places)
        tasks: list[asyncio.Task[None]] = []
        for whose, move in moves:
            match move:
                case 0:
                    tasks.append(queue.wants(whose))
                case 1:
                    await queue.one_ends()
                case 2 if tasks:
                    tasks[len(queue.began) % len(tasks)].cancel()
                case _:
                    await asyncio.sleep(0)
            assert queue.at_once <= places
        await queue.all_end(tasks)
        assert queue.at_once == 0
        async with asyncio.timeout(60), contextlib.AsyncExitStack() as held:
            for _ in range(places):
                await held.enter_async_context(queue.turns.of("last"))
            one_more = queue.wants("one more")
            await queue.settle()
            assert queue.at_once == 0
        await queue.all_end([one_more])

    asyncio.run(play())
