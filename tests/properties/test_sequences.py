"""Whatever is asked, fails, is decided or cut off, in whatever order: each instance ends as its row says, and whole."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from in_memory import World
from temporalio.testing import WorkflowEnvironment

from innkeeper.model.instance import Kind

from .careless_parts import Forgetful, Lagging, Littering, Reckless, Talkative
from .seats import Wrong
from .sequences import KINDS, play, play_one_of_each
from .stage import stage

SEQUENCES = settings().max_examples // 10
"""A tenth of the profile's examples: each of these takes seconds."""

MET = {
    *("held", "parked", "decided: abort", "terminated", "found by a sweep", "asked again", "provision undone"),
    *(f"{kind} done" for kind in KINDS if kind is not Kind.STOP),
}
"""What happens in the sequences of every run of the tests; without it they would show less than they say."""


@pytest.fixture(scope="module")
async def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


@contextlib.contextmanager
def staged(environment: WorkflowEnvironment, loop: asyncio.AbstractEventLoop, **parts: Any) -> Iterator[World]:
    """A world for the rules, which wait for each of their steps."""
    entered = stage(environment, **parts)
    world = loop.run_until_complete(entered.__aenter__())
    try:
        yield world
    finally:
        loop.run_until_complete(entered.__aexit__(None, None, None))


def test_any_sequence_keeps_row_cluster_and_data_in_step(
    environment: WorkflowEnvironment, loop: asyncio.AbstractEventLoop
) -> None:
    with staged(environment, loop) as world:
        tally = play(world, loop, SEQUENCES)
        by_chance = MET & set(tally)
        play_one_of_each(world, loop, tally)
    sys.stdout.writelines(f"{count:>6} × {what}\n" for what, count in sorted(tally.items()))
    assert set(tally) >= MET
    # The rest depends on how many looks a wait takes, which are calls that a trouble can befall.
    assert len(by_chance) >= len(MET) * 2 // 3


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"helm": Reckless}, "lost data"),
        ({"helm": Littering}, "is an orphan"),
        ({"database": Forgetful}, "and stored"),
        ({"cluster": Talkative}, "a secret's value is in"),
        ({"cluster": Lagging}, "two operations at once"),
    ],
    ids=["lost data", "an orphan", "a row that differs", "a secret told", "two at once"],
)
def test_a_defect_is_found(
    environment: WorkflowEnvironment, loop: asyncio.AbstractEventLoop, parts: dict[str, Any], words: str
) -> None:
    with staged(environment, loop, **parts) as world, pytest.raises(Wrong, match=words):
        play(world, loop, SEQUENCES, steps=3)
