"""Workers and clients as processes of their own, which tests kill by their ids."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

PATIENT = (
    "import asyncio, sys\n"
    "from innkeeper.client import Innkeeper\n"
    "async def main():\n"
    "    innkeeper = await Innkeeper.connect(task_queue=sys.argv[1])\n"
    "    handle = await innkeeper.provision(sys.argv[2], tenant='t1', plan=sys.argv[3])\n"
    "    print(handle.run_id, flush=True)\n"
    "    await handle.result()\n"
    "asyncio.run(main())\n"
)
"""A client that asks for an instance, says the run's id, and waits for the end."""


LOG = "processes.log"


async def spawn_worker(environment: Mapping[str, str], folder: Path, queue: str) -> asyncio.subprocess.Process:
    """A worker on a task queue of its own: the session's must not carry on what this one leaves."""
    with (folder / LOG).open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "innkeeper.worker",
            cwd=folder,
            env={**environment, "INNKEEPER_TASK_QUEUE": queue},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def spawn_client(
    environment: Mapping[str, str], folder: Path, queue: str, name: str, plan: str
) -> tuple[asyncio.subprocess.Process, str]:
    """A client that has asked for an instance and waits for it, and the id of the run."""
    with (folder / LOG).open("ab") as log:
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PATIENT,
            queue,
            name,
            plan,
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert client.stdout is not None
    run_id = await asyncio.wait_for(client.stdout.readline(), 120)
    return client, run_id.decode().strip()


async def kill(process: asyncio.subprocess.Process) -> None:
    """End a process as a power cut would."""
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
