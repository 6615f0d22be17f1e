"""Children die with their parent, and their death is news at once."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from innkeeper.embedded.errors import PartDied
from innkeeper.embedded.processes import Child, run, tail_of

PARENT = """
import asyncio, sys
from pathlib import Path
from innkeeper.embedded.processes import Child

async def main():
    child = await Child.start("sleeper", ["sleep", "1000"], log=Path(sys.argv[1]), guarded=sys.argv[2] == "guarded")
    print(child.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


PATIENCE = 60.0
"""Seconds that a process is given to end."""


def group_is_gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie whose adopted parent has not collected it yet holds nothing any more.
    return all(state == "Z" for state in states_of_group(pid))


def states_of_group(group: int) -> list[str]:
    states = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            states.append(fields[0])
    return states


def open_pipes() -> set[str]:
    """The pipes that this process has; its connections come and go by themselves."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(file.readlink()))
    return {each for each in found if each.startswith("pipe:")}


async def is_gone(pid: int) -> bool:
    """Whether the group comes to its end in the time that a busy machine takes for that."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if group_is_gone(pid):
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize("how", ["by-kernel", "guarded"])
async def test_a_child_dies_with_a_parent_that_is_killed(how: str, tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, tmp_path / "log", how, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert not group_is_gone(child)
    parent.kill()
    await parent.wait()
    assert await is_gone(child)


@pytest.mark.parametrize("guarded", [False, True])
async def test_a_child_that_dies_is_reported_with_its_last_lines_its_log_and_no_secret(
    guarded: bool, tmp_path: Path
) -> None:
    log = tmp_path / "part.log"
    script = "echo one; echo key is hush-hush; exit 3"
    child = await Child.start("part", ["sh", "-c", script], log=log, secrets=["hush-hush"], guarded=guarded)
    death = await asyncio.wait_for(child.ended(), PATIENCE)
    assert death is not None
    assert str(death).startswith(f"part ended with exit code 3; log: {log}. Its last lines:\none\nkey is ***")
    assert log.stat().st_mode & 0o077 == 0


async def test_waiting_for_an_answer_ends_when_the_child_does(tmp_path: Path) -> None:
    child = await Child.start("part", ["sh", "-c", "sleep 0.1; kill -9 $$"], log=tmp_path / "log")
    with pytest.raises(PartDied, match=r"part was killed by signal 9; .* It wrote nothing\."):
        await asyncio.wait_for(child.while_alive(asyncio.sleep(1000)), PATIENCE)


@pytest.mark.parametrize("guarded", [False, True])
async def test_a_stop_is_gentle_first_and_then_takes_the_whole_group(guarded: bool, tmp_path: Path) -> None:
    gentle = await Child.start(
        "gentle",
        ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"],
        log=tmp_path / "gentle",
        guarded=guarded,
    )
    stubborn = await Child.start(
        "stubborn",
        ["sh", "-c", "trap '' TERM; sleep 1000 & echo up; while :; do sleep 0.05; done"],
        log=tmp_path / "stubborn",
        guarded=guarded,
    )
    for child in (gentle, stubborn):
        while "up" not in child.tail():
            await asyncio.sleep(0.02)
    await asyncio.gather(gentle.stop(), stubborn.stop(grace=0.3))
    assert gentle.tail().splitlines()[-1] == "bye"
    assert await is_gone(gentle.pid)
    assert await is_gone(stubborn.pid)
    assert await stubborn.ended() is None, "who was asked to end did not die"


async def test_the_former_log_is_kept_for_one_more_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("first", "second"):
        await run("part", ["echo", word], log=log, timeout=PATIENCE)
    assert tail_of(log) == "second"
    assert tail_of(tmp_path / "log.previous") == "first"
    assert tail_of(tmp_path / "never-written") == ""


async def test_a_program_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TimeoutError):
        await run("slow", ["sh", "-c", f"echo $$ > {pid_file}; sleep 1000"], log=tmp_path / "log", timeout=4)
    assert await is_gone(int(pid_file.read_text()))


async def test_a_program_that_is_not_there_leaves_no_pipe_open(tmp_path: Path) -> None:
    before = open_pipes()
    with pytest.raises(OSError, match="no-such-directory"):
        await Child.start("part", ["true"], log=tmp_path / "log", cwd=tmp_path / "no-such-directory", guarded=True)
    assert open_pipes() <= before


async def test_a_guard_says_how_its_program_was_killed(tmp_path: Path) -> None:
    child = await Child.start("part", ["sh", "-c", "kill -9 $$"], log=tmp_path / "log", guarded=True)
    death = await asyncio.wait_for(child.ended(), PATIENCE)
    assert death is not None
    assert death.exit_code == 128 + signal.SIGKILL
