"""What the documentation of the client shows is what happens."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.client import Innkeeper, SyncInnkeeper, adopting, api, handle, sync

from .docstrings import blocking_examples_of, examples_of, run

EXAMPLES = examples_of(api, adopting, handle)
BLOCKING = blocking_examples_of(sync)


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_is_true(name: str, innkeeper: Innkeeper, address: str) -> None:
    await run(EXAMPLES[name], {"innkeeper": innkeeper, "address": address, "asyncio": asyncio})


@pytest.mark.parametrize("name", BLOCKING)
async def test_an_example_in_blocking_code_is_true(name: str, innkeeper: Innkeeper, address: str) -> None:
    await asyncio.to_thread(asyncio.run, run(BLOCKING[name], {"SyncInnkeeper": SyncInnkeeper, "address": address}))


def test_there_are_examples_of_all_that_matters() -> None:
    documented = {name.rpartition(".")[2] for name in EXAMPLES}
    assert documented >= {"Innkeeper", "connect", "provision", "stop", "upgrade", "handle_for", "handle", "decide"}
    assert documented >= {"adopt", "preview_adoption"}
    assert documented >= {"result", "progress", "describe"}
    assert len(BLOCKING) == 1
