"""Whether the worker on this host is at work, as Temporal sees it: the health check of its container.

A live process proves little: a worker that lost Temporal is alive, too. So Temporal is asked when it last heard from a
poller of this host on the task queue. Nothing of the worker itself is loaded: this runs every few seconds beside it.
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

from .client.connection import connect, temporal_errors
from .leaving import leave
from .model.errors import InnkeeperError
from .settings import Settings

SILENCE = timedelta(seconds=90)
"""A poll that waits for work ends after a minute at the latest, and the next one begins at once."""

PATIENCE = timedelta(seconds=5)
"""How long Temporal may take to answer the one question."""


async def heard_from(client: Client, task_queue: str, host: str) -> datetime | None:
    """When Temporal last heard from a worker of a host, None where it has not in the last minutes.

    Raises:
        Unreachable: Temporal does not answer.
        BadInput: it does not know the namespace.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    with temporal_errors(client):
        answer = await client.workflow_service.describe_task_queue(request, timeout=PATIENCE)
    # A worker names itself as `<process id>@<host>` where nobody named it otherwise.
    times = [
        poller.last_access_time.ToDatetime(UTC)
        for poller in answer.pollers
        if poller.identity.rpartition("@")[2] == host
    ]
    return max(times, default=None)


async def check(settings: Settings, host: str) -> str:
    """Why the worker of a host is not healthy; empty where it is."""
    try:
        client = await connect(settings.temporal_address)
        last = await heard_from(client, settings.task_queue, host)
    except InnkeeperError as error:
        return str(error)
    if last is None:
        where = f"task queue {settings.task_queue} of namespace {client.namespace}"
        return f"Temporal has heard of no worker of {host} on {where}"
    silent = datetime.now(UTC) - last
    return "" if silent < SILENCE else f"Temporal last heard from this worker {silent.total_seconds():.0f} s ago"


def main() -> int:
    """Exit code 0 where the worker is healthy, else 1 with the reason on standard error."""
    try:
        problem = asyncio.run(check(Settings.load(), socket.gethostname()))
    except InnkeeperError as error:
        problem = str(error)
    if problem:
        print(f"unhealthy: {problem}", file=sys.stderr)  # noqa: T201  # what a container's engine shows
    return 1 if problem else 0


if __name__ == "__main__":
    leave(main())
