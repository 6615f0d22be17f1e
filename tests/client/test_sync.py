"""The blocking twin is the asynchronous client, for threads."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from innkeeper.client import (
    Answer,
    BadInput,
    Innkeeper,
    OperationFailed,
    OperationHandle,
    Outcome,
    SyncInnkeeper,
    SyncOperationHandle,
    Unreachable,
)
from innkeeper.client.portal import Portal

from .test_handle import ALL_STEPS, told, workflow_of


@pytest.fixture
async def blocking(address: str, scripted_worker: Worker) -> AsyncIterator[SyncInnkeeper]:
    innkeeper = await asyncio.to_thread(SyncInnkeeper.connect, address)
    yield innkeeper
    await asyncio.to_thread(innkeeper.close)


@pytest.mark.parametrize(
    ("twin", "original"), [(SyncInnkeeper, Innkeeper), (SyncOperationHandle, OperationHandle)], ids=["client", "handle"]
)
def test_every_method_has_its_twin_with_the_same_parameters(twin: type, original: type) -> None:
    names = {name for name in dir(original) if not name.startswith("_") and callable(getattr(original, name))}
    assert {name for name in dir(twin) if not name.startswith("_") and callable(getattr(twin, name))} == names
    for name in names:
        blocking, awaited = getattr(twin, name), getattr(original, name)
        assert list(inspect.signature(blocking).parameters) == list(inspect.signature(awaited).parameters), name
        assert (blocking.__doc__ or "").split("\n")[0], name


async def test_operations_are_asked_for_and_followed_from_a_thread(blocking: SyncInnkeeper) -> None:
    def scenario() -> None:
        handle = blocking.provision("sync", tenant="t1", plan="starter", request_id="sync-1")
        assert told(list(handle.progress())) == ALL_STEPS
        assert handle.result().outcome is Outcome.DONE
        assert handle.describe().request_id == "sync-1"
        latest = blocking.latest("sync")
        assert latest is not None
        assert latest.run_id == handle.run_id
        assert blocking.latest("sync-never") is None
        assert handle.run_id is not None
        again = blocking.handle_for(handle.instance, handle.run_id)
        assert again.result() == handle.result()
        assert repr(again).startswith("SyncOperationHandle(instance='sync'")
        with pytest.raises(OperationFailed):
            blocking.restart("sync", asked_by="failed").result()
        with pytest.raises(BadInput):
            blocking.stop("no.dots")

    await asyncio.to_thread(scenario)


async def test_forty_threads_share_one_client(blocking: SyncInnkeeper) -> None:
    def scenario(number: int) -> Outcome:
        return blocking.restart(f"thread-{number}").result().outcome

    with ThreadPoolExecutor(40) as threads:
        loop = asyncio.get_running_loop()
        outcomes = await asyncio.gather(*(loop.run_in_executor(threads, scenario, number) for number in range(40)))
    assert outcomes == [Outcome.DONE] * 40


async def test_an_iterator_left_early_stops_asking(blocking: SyncInnkeeper, client: Client) -> None:
    handle = await asyncio.to_thread(blocking.restart, "sync-left", asked_by="held")

    def first() -> str:
        for event in handle.progress():
            return event.step
        raise AssertionError("no event")

    assert await asyncio.to_thread(first) == "check"
    await workflow_of(client, OperationHandle(client, handle.instance, handle.run_id)).signal("go")
    assert (await asyncio.to_thread(handle.result)).outcome is Outcome.DONE


async def test_closing_frees_those_who_wait(address: str, scripted_worker: Worker, client: Client) -> None:
    innkeeper = await asyncio.to_thread(SyncInnkeeper.connect, address)
    handle = await asyncio.to_thread(innkeeper.restart, "sync-waits", asked_by="held")
    waiting = asyncio.get_running_loop().run_in_executor(None, handle.result)
    await asyncio.sleep(0.2)
    await asyncio.to_thread(innkeeper.close)
    await asyncio.to_thread(innkeeper.close)
    async with asyncio.timeout(60):
        with pytest.raises(Answer, match="this client is closed"):
            await waiting
        with pytest.raises(Answer, match="this client is closed"):
            await asyncio.to_thread(innkeeper.stop, "acme")
    await client.get_workflow_handle("instance/sync-waits").terminate()


async def test_an_iterator_that_outlives_its_client_ends_quietly(address: str, scripted_worker: Worker) -> None:
    def scenario() -> None:
        innkeeper = SyncInnkeeper.connect(address)
        events = innkeeper.restart("sync-outlived").progress()
        next(events)
        innkeeper.close()
        with pytest.raises(Answer, match="this client is closed"):
            list(events)

    await asyncio.to_thread(scenario)


async def test_a_call_from_the_clients_own_loop_is_refused_and_does_not_hang() -> None:
    def scenario() -> None:
        portal = Portal()

        async def inside() -> None:
            portal.run(asyncio.sleep(0))

        with pytest.raises(Answer, match="would wait for itself"):
            portal.run(inside())
        portal.close()

    await asyncio.to_thread(scenario)


async def test_a_failed_connect_leaves_no_thread() -> None:
    before = threads_of_clients()
    with pytest.raises(Unreachable, match="does not answer"):
        await asyncio.to_thread(SyncInnkeeper.connect, "127.0.0.1:1")
    # Those of others may end meanwhile.
    assert threads_of_clients() <= before


def threads_of_clients() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "innkeeper"}


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_program_that_forgets_to_close_ends_all_the_same(address: str, scripted_worker: Worker) -> None:
    script = """
        import sys
        from innkeeper.client import SyncInnkeeper
        innkeeper = SyncInnkeeper.connect(sys.argv[1])
        print(innkeeper.stop("forgetful").result().outcome.value)
        events = innkeeper.restart("forgetful").progress()
        next(events)
    """
    done = await asyncio.to_thread(run_script, script, address)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "done", "")


async def test_a_client_made_before_a_fork_says_what_to_do(address: str, scripted_worker: Worker) -> None:
    script = """
        import os, sys
        from innkeeper.client import Answer, SyncInnkeeper
        innkeeper = SyncInnkeeper.connect(sys.argv[1])
        if os.fork() == 0:
            try:
                innkeeper.stop("forked")
            except Answer as answer:
                print(answer, flush=True)
            os._exit(0)
        os.wait()
    """
    done = await asyncio.to_thread(run_script, script, address)
    assert done.stdout.strip() == (
        "this client was made before the process forked Fix: connect in each worker process, after the fork"
    )
