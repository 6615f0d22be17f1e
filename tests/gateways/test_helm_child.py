"""A Helm that is stopped leaves no process, whoever stops it and however its worker ends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fake_helm import PATIENCE, WISH, command, ended, fake_helm, lives, noted

from innkeeper.gateways import helm_child
from innkeeper.model.errors import Pending, Unreachable

Fake = Callable[..., Path]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return partial(fake_helm, tmp_path)


FAMILY = """
child = subprocess.Popen([sys.executable, '-ISc', 'import signal,time; signal.signal(15, 1); time.sleep(600)'])
note('child', child.pid)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
time.sleep(600)
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nnote('ready', 1)\ntime.sleep(600)"


async def test_a_cancel_ends_the_whole_group(fake: Fake, tmp_path: Path) -> None:
    running = asyncio.create_task(command(fake(FAMILY), grace=0.3).upgrade(WISH, limit=60))
    child, leader = int(await noted(tmp_path, "child")), int(await noted(tmp_path))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not lives(leader)
    await ended(child)


async def test_one_who_left_the_group_and_holds_its_pipes_keeps_nobody_waiting(fake: Fake, tmp_path: Path) -> None:
    helm = command(fake(FAMILY.replace("600)'])", "600)'], start_new_session=True)")), grace=0.3)
    running = asyncio.create_task(helm.upgrade(WISH, limit=60))
    child = int(await noted(tmp_path, "child"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, PATIENCE)
    os.kill(child, signal.SIGKILL)


async def test_a_limit_ends_the_whole_group(fake: Fake, tmp_path: Path) -> None:
    # Long enough for both to begin and to note who they are.
    with pytest.raises(Pending, match="was not done within 6 s"):
        await command(fake(FAMILY), grace=0.3).upgrade(WISH, limit=6)
    child, leader = int(await noted(tmp_path, "child")), int(await noted(tmp_path))
    assert not lives(leader)
    await ended(child)


async def test_a_helm_that_ignores_term_is_killed_however_often_the_caller_is_cancelled(
    fake: Fake, tmp_path: Path
) -> None:
    running = asyncio.create_task(command(fake(STUBBORN), grace=4).upgrade(WISH, limit=60))
    await noted(tmp_path, "ready")
    leader = int(await noted(tmp_path))
    for _ in range(5):
        running.cancel()
        await asyncio.sleep(0.02)
    assert not running.done()
    assert lives(leader)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not lives(leader)


async def test_a_helm_that_heeds_term_is_not_waited_for_longer(fake: Fake, tmp_path: Path) -> None:
    running = asyncio.create_task(command(fake("time.sleep(600)"), grace=60).upgrade(WISH, limit=60))
    await noted(tmp_path)
    began = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < 30, "half of what it would be given"


PARENT = """
import asyncio, sys
from pathlib import Path
from innkeeper.gateways.helm import HelmCommand
from innkeeper.model.ports import Release
wish = Release.model_validate_json(sys.argv[2])
asyncio.run(HelmCommand(binary=Path(sys.argv[1]), kubeconfig=None).upgrade(wish, limit=600))
"""


@pytest.mark.parametrize("setpriv", [True, False], ids=["with-setpriv", "without-setpriv"])
async def test_a_killed_worker_takes_its_helm_along(fake: Fake, tmp_path: Path, setpriv: bool) -> None:
    assert shutil.which("setpriv"), "util-linux is there where this runs"
    path = os.environ["PATH"] if setpriv else str(tmp_path)
    wish = json.dumps(WISH.model_dump(mode="json"))
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(fake("time.sleep(600)")), wish, env={"PATH": path}
    )
    helm = int(await noted(tmp_path))
    parent.kill()
    await parent.wait()
    await ended(helm)


def test_only_linux_can_bind_a_child_to_its_parent() -> None:
    assert helm_child.bound_to_parent(["helm", "version"], system="darwin") == ["helm", "version"]
    assert helm_child.bound_to_parent(["helm"], system="linux", search="/nowhere")[0] == sys.executable
    assert helm_child.bound_to_parent(["helm"], system="linux")[-1] == "helm"


async def test_the_limit_counts_from_the_childs_start_and_not_from_the_queue(fake: Fake) -> None:
    helm = command(fake("time.sleep(2)"), slots=1)
    began = time.monotonic()
    await asyncio.gather(*(helm.upgrade(WISH, limit=7) for _ in range(4)))
    assert time.monotonic() - began > 7


def highest(folder: Path, count: int) -> int:
    seen = [int(file.read_text()) for file in folder.glob("seen-*")]
    assert len(seen) == count
    return max(seen)


async def test_no_more_helms_run_than_there_are_slots(fake: Fake, tmp_path: Path) -> None:
    count = "import glob\nopen(f'{folder}/run-{os.getpid()}', 'w').close()\ntime.sleep(0.3)\n"
    count += "note(f'seen-{os.getpid()}', len(glob.glob(f'{folder}/run-*')))\nos.remove(f'{folder}/run-{os.getpid()}')"
    helm = command(fake(count), slots=2)
    await asyncio.gather(*(helm.upgrade(WISH, limit=30) for _ in range(6)))
    assert highest(tmp_path, 6) <= 2


async def test_a_cancel_in_the_queue_starts_no_helm(fake: Fake, tmp_path: Path) -> None:
    helm = command(fake("time.sleep(600)"), slots=1)
    first = asyncio.create_task(helm.upgrade(WISH, limit=600))
    await noted(tmp_path)
    queued = asyncio.create_task(helm.uninstall("acme", "inn-acme", limit=600))
    await asyncio.sleep(0.05)
    for task in (queued, first):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    # Both left their slot: the next one runs.
    with pytest.raises(Pending):
        await helm.upgrade(WISH, limit=0.2)


async def test_a_helm_that_is_killed_from_outside_is_worth_another_try(fake: Fake) -> None:
    with pytest.raises(Unreachable, match="killed by signal 9") as killed:
        await command(fake("os.kill(os.getpid(), 9)")).upgrade(WISH, limit=30)
    assert killed.value.cause.code == "HelmKilled"


async def test_a_helm_that_reads_no_values_and_writes_a_lot_is_no_obstacle(fake: Fake) -> None:
    big = WISH.model_copy(update={"values": {"text": "x" * 500_000}})
    await command(fake("os.close(0)\nprint('x' * 3_000_000)")).upgrade(big, limit=30)


async def test_a_child_whose_loop_ends_is_killed(fake: Fake, tmp_path: Path) -> None:
    binary = str(fake("time.sleep(600)"))

    def one_short_loop() -> None:
        async def start() -> None:
            task = asyncio.create_task(
                helm_child.run([binary, "upgrade"], limit=600, stdin=b"", env=dict(os.environ), grace=0.2)
            )
            await noted(tmp_path)
            assert not task.done()

        asyncio.run(start())

    await asyncio.to_thread(one_short_loop)
    await ended(int(await noted(tmp_path)))
