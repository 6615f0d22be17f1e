"""Whether the worker on this host is at work, as Temporal sees it: the health check of its container.

A live process proves little: a worker that lost Temporal is alive, too. So Temporal is asked when it last heard from a
poller of this host on the task queue.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from .model.errors import InnkeeperError
from .settings import Settings
from .worker import connect_temporal

FRESH = timedelta(minutes=1)
"""A poll that waits for work ends after a minute at the latest, and the next begins."""


async def heard_from(client: Client, task_queue: str, host: str) -> datetime | None:
    """When Temporal last heard from a worker of a host, None where it has not lately."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    times = [
        poller.last_access_time.ToDatetime(UTC)
        for poller in answer.pollers
        if poller.identity.rpartition("@")[2] == host
    ]
    return max(times, default=None)


async def check(settings: Settings) -> str:
    """Why the worker of this host is not healthy; empty where it is."""
    try:
        client = await connect_temporal(settings)
        last = await heard_from(client, settings.task_queue, socket.gethostname())
    except (InnkeeperError, RPCError) as error:
        return str(error)
    if last is None:
        return f"Temporal knows no worker of {socket.gethostname()} on task queue {settings.task_queue}"
    age = datetime.now(UTC) - last
    return "" if age < FRESH * 2 else f"Temporal last heard from this worker {age.total_seconds():.0f} s ago"


def main() -> int:
    """Exit code 0 where the worker is healthy, else 1 with the reason on standard error."""
    try:
        problem = asyncio.run(check(Settings.load()))
    except InnkeeperError as error:
        problem = str(error)
    if problem:
        print(f"unhealthy: {problem}", file=sys.stderr)  # noqa: T201  # what a container's engine shows
    return 1 if problem else 0


if __name__ == "__main__":
    raise SystemExit(main())
