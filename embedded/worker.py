"""Innkeeper's own worker as a child of the platform: started after the parts, and again whenever it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from ..model.messages import TASK_QUEUE
from .parts import Part
from .processes import Child
from .waiting import NotYet, until

STARTS_WITHIN = 60.0
"""Seconds; 3 on an idle machine with two cores."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds between a death and the next start; doubled each time."""
STEADY = 60.0
"""Seconds after which a worker counts as healthy, and the next pause is the first one again."""


class WorkerProcess(Part):
    """One worker process; `report` gets a line each time it dies."""

    name = "worker"

    def __init__(
        self,
        logs: Path,
        address: str,
        namespace: str,
        environment: Mapping[str, str],
        report: Callable[[str], None],
    ) -> None:
        super().__init__(logs)
        self._address = address
        self._namespace = namespace
        self._environment = {**os.environ, **environment}
        self._secrets = [value for name, value in environment.items() if name.endswith("_KEY")]
        self._report = report
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pids(self) -> dict[str, int]:
        """The process that runs now."""
        return {child.name: child.pid for child in self._children if child.running}

    async def _start(self) -> None:
        child = await self._spawn()
        await child.while_alive(self._polls(child))
        self._keeper = asyncio.create_task(self._keep(child))

    async def stop(self) -> None:
        """End it, letting running steps finish for some seconds."""
        await self._let_go()
        children, self._children = self._children, []
        for child in children:
            await child.stop(grace=15.0)

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        await self._let_go()
        await super().kill()

    async def _spawn(self) -> Child:
        child = await Child.start(
            "worker",
            [sys.executable, "-m", "innkeeper.worker"],
            log=self.log("worker"),
            env=self._environment,
            secrets=self._secrets,
        )
        self._children = [child]
        return child

    async def _keep(self, child: Child) -> None:
        pause = FIRST_PAUSE
        while True:
            started = time.monotonic()
            death = await child.ended()
            if death is None:
                return
            if time.monotonic() - started > STEADY:
                pause = FIRST_PAUSE
            self._report(f"{death.cause.message}\nThe worker starts again in {pause:g} s.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            child = await self._spawn()

    async def _let_go(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    async def _polls(self, child: Child) -> None:
        client = await Client.connect(self._address, namespace=self._namespace)
        question = DescribeTaskQueueRequest(
            namespace=self._namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        began = time.time()

        async def ask() -> None:
            try:
                answer = await client.workflow_service.describe_task_queue(question)
            except RPCError as error:
                raise NotYet(str(error)) from None
            seen = [each for each in answer.pollers if each.last_access_time.ToMicroseconds() / 1e6 >= began]
            # Others may poll, too. A guard is another process than the worker that it guards.
            if not any(child.guarded or each.identity.partition("@")[0] == str(child.pid) for each in seen):
                raise NotYet(f"nobody polls the task queue {TASK_QUEUE!r}")

        await until("the worker", ask, timeout=STARTS_WITHIN)
